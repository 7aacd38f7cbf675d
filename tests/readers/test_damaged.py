"""Damaged files: the error names the file, and a unit that cannot be written names the chunk that it could not read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

import daskome

STACK = np.random.default_rng(0).integers(0, 900, (3, 20, 24), "uint16")


def hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=STACK, chunks=(1, 20, 24), compression="gzip")


def tiff(path: Path) -> None:
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib")


FILES: dict[str, Callable[[Path], Any]] = {
    "a.tif": tiff,
    "a.nii": lambda path: nibabel.save(nibabel.Nifti1Image(STACK.astype("int16"), np.eye(4)), path),
    "a.nii.gz": lambda path: nibabel.save(nibabel.Nifti1Image(STACK.astype("int16"), np.eye(4)), path),
    "a.h5": hdf5,
    "a.npy": lambda path: np.save(path, STACK),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", [0, 7, 60, 0.5])
def test_a_file_that_is_cut_is_named(tmp_path: Path, name: str, kept: float) -> None:
    FILES[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=rf"{tmp_path}/{name}\b.*"):
        daskome.read(tmp_path / name)


def damage(path: Path, at: bytes) -> None:
    """Zero some bytes after some others."""
    data = path.read_bytes()
    start = data.index(at) + len(at)
    path.write_bytes(data[:start] + bytes(40) + data[start + 40 :])


@pytest.mark.parametrize(
    ("name", "address"), [("a.tif", r"a\.tif \[1:2, 0:20, 0:24\]"), ("a.h5", r"a\.h5::raw \[1:2, 0:20, 0:24\]")]
)
def test_a_chunk_of_a_file_that_cannot_be_decoded_is_named(tmp_path: Path, name: str, address: str) -> None:
    FILES[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    heads = [i for i in range(len(data) - 1) if data[i : i + 2] in (b"x\x9c", b"x\x5e", b"x\xda")]
    (tmp_path / name).write_bytes(data[: heads[1] + 20] + bytes(40) + data[heads[1] + 60 :])
    with pytest.raises(daskome.WriteError, match=rf"(?s)unit 0/0.*{address} cannot be read: ") as error:
        daskome.write_image(daskome.read(tmp_path / name), tmp_path / "out", axes="zyx", retries=0)
    assert error.value.__cause__ is not None
    assert error.value.__cause__.__cause__ is not None


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shards", [None, (2, 20, 24)])
def test_a_chunk_of_zarr_that_cannot_be_decoded_is_named(tmp_path: Path, zarr_format: Any, shards: Any) -> None:
    if shards and zarr_format == 2:
        pytest.skip("zarr v2 has no shards")
    array = zarr.create_array(
        tmp_path / "in.zarr", data=STACK, chunks=(1, 20, 24), shards=shards, zarr_format=zarr_format
    )
    key = array.metadata.encode_chunk_key((1, 0, 0))
    (tmp_path / "in.zarr" / key).write_bytes(b"damaged")
    with pytest.raises(daskome.WriteError, match=rf"(?s)unit 0/0.*in\.zarr/{key} cannot be read: "):
        daskome.write_image(array, tmp_path / "out", axes="zyx", retries=0)


def test_an_image_without_pixels_is_refused_where_it_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 4), "uint8"))
    with pytest.raises(ValueError, match=r"a\.npy cannot be read as NumPy.*no pixels"):
        daskome.read(tmp_path / "a.npy")


def test_a_level_whose_image_cannot_be_read_says_so(tmp_path: Path) -> None:
    daskome.write_image(STACK, tmp_path / "a.zarr", axes="zyx", scale=[2, 1, 1])
    assert daskome.read(tmp_path / "a.zarr/s0").scale == {"z": 2, "y": 1, "x": 1}
    (tmp_path / "a.zarr/zarr.json").write_text("damaged")
    (left,) = daskome.read(tmp_path / "a.zarr/s0").left
    assert left.startswith(f"the metadata of {tmp_path}/a.zarr, which cannot be read (")
