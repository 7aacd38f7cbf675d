"""An image of a collection becomes longer, or another, and the OME-XML of the collection says so in the same change."""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import pytest
import tifffile
from zarr.storage import MemoryStore, StorePath, WrapperStore

import daskome
from daskome.model.problem import WriteError, errors
from tests.plates_in_tiff import plate_tiff, plate_xml
from tests.written import contents

XML = "OME/METADATA.ome.xml"
IMAGE = np.arange(2 * 3 * 20 * 24, dtype="uint16").reshape(2, 3, 20, 24)
IMAGES = (IMAGE, IMAGE[0, 0])


def collection(folder: Path, **options: Any) -> Path:
    """Write the two images of an OME-TIFF as a collection."""
    folder.mkdir(exist_ok=True)
    with tifffile.TiffWriter(folder / "a.ome.tif", ome=True) as file:
        said = {"axes": "TCYX", "Channel": {"Name": ["a", "b", "c"]}, "Name": "cells", "Description": "of a mouse"}
        file.write(IMAGE, photometric="minisblack", metadata=said)
        file.write(IMAGE[0, 0], photometric="minisblack", metadata={"axes": "YX", "Name": "overview"})
    daskome.write_series(folder / "a.ome.tif", folder / "a.ome.zarr", [2], **options)
    return folder / "a.ome.zarr"


def described(target: Path) -> Any:
    xml = (target / XML).read_text("utf-8")
    ome_types.validate_xml(xml)
    return ome_types.from_xml(xml).images


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize(("axis", "number"), [("t", 0), ("c", 0), ("y", 0), ("x", 1)])
def test_ome_xml_says_how_long_an_image_has_become(tmp_path: Path, fmt: str, axis: str, number: int) -> None:
    target = collection(tmp_path, fmt=fmt)
    image, before = IMAGES[number], described(target)
    daskome.append(target / str(number), image, axis)
    daskome.append(target / str(number), image, axis)
    after = described(target)
    assert getattr(after[number].pixels, f"size_{axis}") == 3 * image.shape["tcyx"[-image.ndim :].index(axis)]
    longer = {"pixels": {f"size_{axis}", *(["channels"] if axis == "c" else [])}}
    assert before[number].model_dump(exclude=longer) == after[number].model_dump(exclude=longer)
    assert before[1 - number] == after[1 - number]
    assert errors(daskome.validate(target)) == []


def test_new_channels_are_described(tmp_path: Path) -> None:
    target = collection(tmp_path, fmt="0.4")
    daskome.append(target / "0", IMAGE[:, :2], "c", channels=["d", {"label": "e", "color": "FF0000"}])
    channels = described(target)[0].pixels.channels
    assert [channel.name for channel in channels] == ["a", "b", "c", "d", "e"]
    assert channels[4].color.as_rgb_tuple() == (255, 0, 0)
    assert len({channel.id for channel in channels}) == 5


def test_an_image_in_a_store_and_one_of_a_collection_inside_a_group(tmp_path: Path) -> None:
    store = MemoryStore()
    daskome.write_series([IMAGE[0, 0]], StorePath(store, "a/b"), [2])
    daskome.append(StorePath(store, "a/b/0"), IMAGE[0, 0], "y")
    assert b'SizeY="40"' in store._store_dict[f"a/b/{XML}"].to_bytes()


def test_labels_become_longer_and_ome_xml_knows_nothing_of_them(tmp_path: Path) -> None:
    target = collection(tmp_path)
    xml = (target / XML).read_text()
    daskome.write_labels(np.ones((20, 24), "uint8"), target / "1", "cells", axes="yx")
    daskome.append(target / "1" / "labels" / "cells", np.ones((4, 24), "uint8"), "y")
    assert (target / XML).read_text() == xml


def test_a_plate_that_does_not_list_its_images_keeps_its_ome_xml(tmp_path: Path) -> None:
    target = collection(tmp_path / "a")
    daskome.write_plate({"A/1": IMAGE[0, 0]}, tmp_path / "p", [2], axes="yx")
    (tmp_path / "p" / "OME").mkdir()
    (tmp_path / "p" / XML).write_text((target / XML).read_text())
    plate = tmp_path / "p" / "zarr.json"
    plate.write_text(plate.read_text().replace('"plate": {', '"bioformats2raw.layout": 3, "plate": {', 1))
    with pytest.warns(UserWarning, match="keeps what it says of the image: does not say which of its images"):
        daskome.append(tmp_path / "p" / "A" / "1" / "0", IMAGE[0, 0], "y")


def test_two_images_become_longer_at_once(tmp_path: Path) -> None:
    target = collection(tmp_path)
    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(daskome.append, target / f"{i}", IMAGES[i], "y") for i in (0, 1)]:
            one.result()
    assert [image.pixels.size_y for image in described(target)] == [40, 40]


REPLACED: dict[str, tuple[Any, dict[str, Any]]] = {
    "shape": (np.ones((1, 3, 5, 7), "uint16"), {"axes": "tcyx"}),
    "axes": (np.ones((4, 5, 7), "uint16"), {"axes": "zyx"}),
    "type": (np.ones((2, 3, 20, 24), "float32"), {"axes": "tcyx"}),
    "bits": (np.ones((20, 24), bool), {"axes": "yx"}),
    "voxels": (
        np.ones((2, 3, 5, 7), "uint16"),
        {"axes": "tzyx", "scale": [9, 4, 2, 0.5], "axes_units": {"t": "s", "z": "um", "y": "um", "x": "nm"}},
    ),
    "channels": (np.ones((2, 5, 7), "uint16"), {"axes": "cyx", "channels": ["d", {"label": "e", "color": "FF0000"}]}),
}


@pytest.mark.parametrize("fmt", [pytest.param("0.4", marks=pytest.mark.extended), "0.5"])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("what", REPLACED)
def test_ome_xml_says_what_has_taken_the_place_of_an_image(tmp_path: Path, what: str, number: int, fmt: str) -> None:
    target, (image, options) = collection(tmp_path, fmt=fmt), REPLACED[what]
    before = described(target)
    daskome.write_image(image, target / str(number), [2], overwrite=True, **options)
    assert errors(daskome.validate(target)) == []
    after = described(target)
    options = {key: value for key, value in options.items() if key != "channels"}
    daskome.write_series([image], tmp_path / "alone.ome.zarr", [2], fmt=fmt, **options)
    own, (alone,) = {"id", "channels"}, described(tmp_path / "alone.ome.zarr")
    assert after[number].pixels.model_dump(exclude=own) == alone.pixels.model_dump(exclude=own)
    assert len(after[number].pixels.channels) == after[number].pixels.size_c
    assert before[number].model_dump(exclude={"pixels"}) == after[number].model_dump(exclude={"pixels"})
    assert before[1 - number] == after[1 - number]


def test_channels_of_an_image_that_is_replaced(tmp_path: Path) -> None:
    """They stay as far as there are as many, and nothing else is known."""
    target = collection(tmp_path)
    daskome.write_image(IMAGE + 1, target / "0", [2], axes="tcyx", overwrite=True)
    before = described(target)[0].pixels.channels
    daskome.write_image(IMAGE, target / "0", [2], axes="tcyx", channels=["a", "b", {"label": "x"}], overwrite=True)
    after = described(target)[0].pixels.channels
    assert [channel.name for channel in before] == ["a", "b", "c"]
    assert [channel.name for channel in after] == ["a", "b", "x"]
    assert [channel.id for channel in before] == [channel.id for channel in after]
    daskome.write_image(IMAGE[:, :2], target / "0", [2], axes="tcyx", channels=["d", "e"], overwrite=True)
    assert [channel.name for channel in described(target)[0].pixels.channels] == ["d", "e"]


def test_what_is_said_of_planes_and_bits_goes(tmp_path: Path) -> None:
    """Also of planes where there is one again: their times and stages are those of an acquisition that is gone."""
    target = collection(tmp_path)
    planes = "".join(f'<Plane TheZ="0" TheC="2" TheT="{t}" ExposureTime="0.1"/>' for t in (0, 1))
    xml = (target / XML).read_text().replace("<MetadataOnly />", f"<MetadataOnly />{planes}", 1)
    (target / XML).write_text(xml.replace('Type="uint16"', 'Type="uint16" SignificantBits="12"', 1))
    daskome.write_image(IMAGE[:1], target / "0", [2], axes="tcyx", overwrite=True)
    pixels = described(target)[0].pixels
    assert ([plane.the_t for plane in pixels.planes], pixels.significant_bits) == ([], None)


def test_each_call_that_replaces_an_image_is_followed(tmp_path: Path) -> None:
    target, plane = collection(tmp_path), IMAGE[0, 0]
    daskome.write_multiscale([plane, plane[::2, ::2]], target / "0", axes="yx", overwrite=True)
    assert errors(daskome.validate(target)) == []
    daskome.write_image(IMAGE, target / "0", [2], axes="tcyx", overwrite=True, compute="init")
    daskome.run_part(target / "0", IMAGE)
    daskome.finish(target / "0")
    assert errors(daskome.validate(target)) == []
    later: Any = daskome.write_image(plane, target / "0", [2], axes="yx", overwrite=True, compute=False)
    later.compute()
    assert errors(daskome.validate(target)) == []


def test_a_field_of_a_plate_that_is_replaced(tmp_path: Path) -> None:
    plate_tiff(tmp_path / "a.ome.tif", plate_xml([(0, 0, 2), (1, 2, 1)]))
    target = tmp_path / "p.ome.zarr"
    daskome.write_series(tmp_path / "a.ome.tif", target, [2])
    daskome.write_image(IMAGE[0], target / "A" / "1" / "1", [2], axes="cyx", overwrite=True)
    assert [(image.pixels.size_c, image.pixels.size_y) for image in described(target)] == [(2, 40), (3, 20), (2, 40)]
    assert errors(daskome.validate(target)) == []


def test_pixels_that_ome_xml_does_not_have_are_said(tmp_path: Path) -> None:
    target = collection(tmp_path)
    xml = (target / XML).read_text()
    with pytest.warns(UserWarning, match="keeps what it says of the image: can have no pixels of int64"):
        daskome.write_image(np.ones((20, 24), "int64"), target / "1", axes="yx", overwrite=True)
    assert (target / XML).read_text() == xml


@pytest.mark.parametrize(
    ("xml", "why"),
    [
        ("<OME><Image/>", "cannot be read as XML"),
        ("<a/>", "is 'a', not OME-XML"),
        ("<OME><Image/><Image/></OME>", "has no image 0 with pixels"),
        ("<OME><Image/></OME>", "describes 1 image, but the collection lists 2"),
    ],
)
def test_ome_xml_that_cannot_follow_is_named(tmp_path: Path, xml: str, why: str) -> None:
    target = collection(tmp_path)
    (target / XML).write_text(xml)
    with pytest.warns(UserWarning, match=f"METADATA.ome.xml keeps what it says of the image: {why}"):
        daskome.append(target / "0", IMAGE, "t")
    assert (target / XML).read_text() == xml
    assert daskome.open(target / "0").dask.shape[0] == 4


WORDS = "METADATA.ome.xml keeps what it says of {}: is not text: 'utf-8' codec can't decode"


@pytest.mark.parametrize(
    ("change", "of"),
    [
        (lambda target: daskome.append(target / "0", IMAGE, "t"), "the image"),
        (lambda target: daskome.write_image(IMAGE, target / "0", axes="tcyx", overwrite=True), "the image"),
        (lambda target: daskome.remove(target / "0"), "0"),
        (lambda target: daskome.write_image(IMAGE, target / "7", axes="tcyx"), ""),
        (lambda target: daskome.write_labels(np.ones((20, 24), "uint8"), target / "1", "cells", axes="yx"), ""),
    ],
    ids=["append", "overwrite", "remove", "another image", "labels"],
)
def test_ome_xml_that_is_not_text_stops_nothing(tmp_path: Path, change: Callable[[Path], Any], of: str) -> None:
    """It is named once where it should follow; elsewhere it is not read."""
    target = collection(tmp_path)
    (target / XML).write_bytes(xml := (target / XML).read_text().encode("utf-16"))
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        change(target)
    assert [str(one.message).partition("/OME/")[2].startswith(WORDS.format(of)) for one in found] == [True] * bool(of)
    assert [str(one.message).count("METADATA") for one in found] == [1] * bool(of)
    assert (target / XML).read_bytes() == xml


@pytest.mark.parametrize(
    "change",
    [
        lambda target: daskome.append(target, IMAGE, "t"),
        lambda target: daskome.write_image(IMAGE[0, 0], target, [2], axes="yx", overwrite=True),
    ],
    ids=["append", "overwrite"],
)
def test_ome_xml_that_may_not_change_is_an_error_before_anything_changes(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    target = collection(tmp_path)
    (target / XML).rename(tmp_path / "elsewhere.xml")
    (target / XML).symlink_to(tmp_path / "elsewhere.xml")
    before = contents(target)
    with pytest.raises(FileExistsError, match="is a link, behind which OME-XML describes the image"):
        change(target / "0")
    assert contents(target) == before


class OfOthers(WrapperStore[Any]):
    """A bucket whose login is for the images alone, or whose network fails elsewhere."""

    error: Exception = PermissionError("AccessDenied")

    async def set(self, key: str, value: Any) -> None:
        if key.startswith("OME/"):
            raise self.error
        await super().set(key, value)


OVER: dict[str, Any] = {"overwrite": True}
CHANGES: dict[str, tuple[Callable[..., Any], int]] = {
    "append": (lambda image, **options: daskome.append(image, IMAGE[0, 0], "y", start=20, **options), 40),
    "overwrite": (lambda image, **how: daskome.write_image(IMAGE[0, 0, :7], image, [2], axes="yx", **how or OVER), 7),
}


class PermissionDeniedError(Exception):
    """As obstore's, which is no OSError."""


REFUSALS = [
    PermissionError("AccessDenied"),
    OSError("Access denied"),
    OSError(30, "Read-only"),
    PermissionDeniedError(),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("error", REFUSALS)
def test_where_ome_xml_may_not_be_written_the_image_is_published(
    monkeypatch: pytest.MonkeyPatch, error: Exception, change: str
) -> None:
    store, (call, length) = MemoryStore(), CHANGES[change]
    daskome.write_series([IMAGE[0, 0]], store, [2], axes="yx")
    xml = store._store_dict[XML].to_bytes()
    monkeypatch.setattr(OfOthers, "error", error)
    with pytest.warns(UserWarning, match=r"METADATA.ome.xml keeps what it says of the image, as it may not be written"):
        call(StorePath(OfOthers(store), "0"))
    assert daskome.open(StorePath(store, "0")).dask.shape[0] == length
    assert store._store_dict[XML].to_bytes() == xml


@pytest.mark.parametrize("change", CHANGES)
def test_where_ome_xml_could_not_be_written_resume_goes_on(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    store, (call, length) = MemoryStore(), CHANGES[change]
    daskome.write_series([IMAGE[0, 0]], store, [2], axes="yx")
    monkeypatch.setattr(OfOthers, "error", OSError(5, "Input/output error"))
    with pytest.raises(WriteError, match="Input/output error"):
        call(StorePath(OfOthers(store), "0"))
    call(StorePath(store, "0"), resume=True)
    assert f'SizeY="{length}"'.encode() in store._store_dict[XML].to_bytes()


def test_comments_and_elements_of_others_stay(tmp_path: Path) -> None:
    target = collection(tmp_path)
    xml = (target / XML).read_text().replace("<Image ", '<!-- ours --><Image xmlns:a="urn:a" a:of="us" ', 1)
    (target / XML).write_text(xml)
    daskome.append(target / "0", IMAGE, "t")
    daskome.write_image(IMAGE, target / "0", [2], axes="tcyx", overwrite=True)
    after = (target / XML).read_text()
    assert "<!-- ours --><Image " in after
    assert ':of="us"' in after


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ('SizeT="2"', 'SizeT="3"', "Image/0/Pixels/SizeT", "is '3', but image '0' is 2 long along 't'"),
        ('SizeC="3"', 'SizeC="many"', "Image/0/Pixels/SizeC", "is 'many', but image '0' is 3 long along 'c'"),
        ('SizeZ="1" SizeT="1"', 'SizeZ="4" SizeT="1"', "Image/1/Pixels/SizeZ", "is '4', but image '1' has no axis 'z'"),
        ('SizeC="3"', f'SizeC="{"9" * 5000}"', "Image/0/Pixels/SizeC", "is '999"),
        ('SizeX="24"', "", "Image/0/Pixels/SizeX", "is missing, but image '0' is 24 long along 'x'"),
        ("<MetadataOnly />", "<TiffData />", "", "has TiffData, which says where pixels are"),
        ('"uint16"', '"int16"', "Image/0/Pixels/Type", "is 'int16', but image '0' is uint16"),
    ],
)
def test_ome_xml_of_other_images_is_a_problem(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    target = collection(tmp_path)
    xml = (target / XML).read_text()
    assert old in xml
    (target / XML).write_text(xml.replace(old, new, 1))
    (problem,) = errors(daskome.validate(target))
    assert problem.where == f"{XML}/{where}".rstrip("/")
    assert problem.message.startswith(message)


def test_an_image_without_pixels_is_one_problem(tmp_path: Path) -> None:
    target = collection(tmp_path)
    (target / XML).write_text("<OME><Image/><Image/></OME>")
    found = [str(problem) for problem in errors(daskome.validate(target))]
    why = "are missing; they have to say how long image '{}' is (section 'bf2raw')"
    assert found == [f"{XML}/Image/{i}/Pixels: {why.format(i)}" for i in (0, 1)]


def test_images_in_another_order_are_a_problem(tmp_path: Path) -> None:
    target = collection(tmp_path)
    listed = target / "OME" / "zarr.json"
    listed.write_text(listed.read_text().replace('"0"', '"x"').replace('"1"', '"0"').replace('"x"', '"1"'))
    found = [problem.where for problem in errors(daskome.validate(target))]
    assert found == [f"{XML}/Image/{i}/Pixels/Size{axis}" for i in (0, 1) for axis in "CT"]
