"""TIFFs that are cut short, and those of several files of which one is missing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskome

tifffile = pytest.importorskip("tifffile")
PLANES = np.random.default_rng(0).integers(1, 60_000, (12, 32, 40)).astype("uint16")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def page_by_page(path: str, **options: Any) -> None:
    """Write pages as libtiff does: after the pixels of each its tags, and then the next page."""
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as writer:
        for plane in PLANES:
            writer.write(plane, contiguous=False, metadata=None, photometric="minisblack", **options)


def at_once(path: str, **options: Any) -> None:
    tifffile.imwrite(path, PLANES, photometric="minisblack", **options)


def by_pillow(path: str) -> None:
    images = [pytest.importorskip("PIL.Image").fromarray(plane) for plane in PLANES]
    images[0].save(path, save_all=True, append_images=images[1:])


LAYOUTS: dict[str, Callable[[str], None]] = {
    "page by page": page_by_page,
    "compressed": lambda path: page_by_page(path, compression="zlib"),
    "tiles": lambda path: page_by_page(path, compression="lzw", tile=(16, 16)),
    "big": lambda path: page_by_page(path, bigtiff=True),
    "at once": at_once,
    "at once, compressed": lambda path: at_once(path, compression="zlib"),
    "ImageJ": lambda path: tifffile.imwrite(path, PLANES, imagej=True),
    "Pillow": by_pillow,
}


@pytest.mark.parametrize("write", LAYOUTS.values(), ids=LAYOUTS)
def test_a_file_that_is_cut_is_never_read_as_a_smaller_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[str], None]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("a.tif")
    whole = Path("a.tif").read_bytes()
    source = daskome.read("a.tif")
    np.testing.assert_array_equal(np.asarray(source.array[:, :, :]).reshape(PLANES.shape), PLANES)
    for share in (0.2, 0.35, 0.5, 0.77, 0.9, 0.98):
        Path("cut.tif").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"cut short|cannot be read|mmap length"):
            daskome.read("cut.tif")


def test_the_last_plane_is_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "a.tif")
    page_by_page(path, compression="zlib")
    os.truncate(path, os.path.getsize(path) - 1)
    with pytest.raises(ValueError, match=r"cut short: .* page 11 ends at byte"):
        daskome.read(path)


def several_files(folder: Path, *, planes: int = 3, companion: bool = False) -> list[Path]:
    """Write an OME-TIFF of a file per plane."""
    files = [folder / f"z{i}.ome.tif" for i in range(planes)]
    uuids = [f"urn:uuid:0000000{i}-0000-0000-0000-000000000000" for i in range(planes)]
    data = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="{file.name}">{uuid}</UUID></TiffData>'
        for i, (file, uuid) in enumerate(zip(files, uuids, strict=True))
    )
    schema = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    for i, (file, uuid) in enumerate(zip(files, uuids, strict=True)):
        image = (
            f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="40" SizeY="32"'
            f' SizeZ="{planes}" SizeC="1" SizeT="1"><Channel ID="Channel:0:0"/>{data}</Pixels></Image>'
        )
        inside = f'<BinaryOnly MetadataFile="a.companion.ome" UUID="{uuid}"/>' if companion else image
        xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{schema}" UUID="{uuid}">{inside}</OME>'
        tifffile.imwrite(file, PLANES[i], description=xml, metadata=None, photometric="minisblack", compression="zlib")
    return files


def test_all_files_make_the_image(tmp_path: Path) -> None:
    source = daskome.read(several_files(tmp_path)[0])
    np.testing.assert_array_equal(np.squeeze(np.asarray(source.array[:, :, :])), PLANES[:3])


@pytest.mark.parametrize("gone", [1, 2])
def test_a_file_that_is_missing_is_named(tmp_path: Path, gone: int) -> None:
    files = several_files(tmp_path)
    files[gone].unlink()
    with pytest.raises(
        FileNotFoundError, match=rf"1 of 3 planes of series 0 are not there.*missing: z{gone}\.ome\.tif"
    ):
        daskome.read(files[0])


def test_a_file_that_is_no_tiff_counts_as_missing(tmp_path: Path) -> None:
    files = several_files(tmp_path)
    files[1].write_bytes(b"")
    with pytest.raises((FileNotFoundError, ValueError), match=r"missing: plane 1|not a TIFF file"):  # older tifffile
        daskome.read(files[0])


def test_of_an_ome_tiff_with_a_companion_what_is_in_the_file_is_read_with_a_warning(tmp_path: Path) -> None:
    files = several_files(tmp_path, companion=True)
    with pytest.warns(UserWarning, match="one of several files that a companion file describes"):
        source = daskome.read(files[1])
    np.testing.assert_array_equal(np.squeeze(np.asarray(source.array[:, :])), PLANES[1])


def test_tiles_that_are_not_stored_are_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.zeros((64, 64), "uint16")
    values[:16, :16] = 7
    tiles = iter([values[:16, :16], *[None] * 15])
    tifffile.imwrite(path, tiles, shape=values.shape, dtype=values.dtype, tile=(16, 16), photometric="minisblack")
    np.testing.assert_array_equal(np.asarray(daskome.read(path).array[:, :]), values)
