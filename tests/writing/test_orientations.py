"""The orientation of axes goes wherever an image goes; what no version can hold is refused before anything is written."""

import warnings
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.model.problem import errors
from daskome.ome.versions import VERSIONS
from daskome.viewing.planes import plane

IMAGE = np.random.default_rng(0).integers(0, 99, (2, 5, 12, 9)).astype("uint16")
RAS = {"z": "inferior-to-superior", "y": "posterior-to-anterior", "x": "left-to-right"}
KNOWN = {"axes_units": "millimeter", "scale": 0.5}


def write(store: Any, fmt: str = "0.5", **more: Any) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "OME-Zarr 0.[123] cannot store")
        daskome.write_image(IMAGE, store, [2], fmt=fmt, **{"axes": "czyx", "orientation": "RAS", **KNOWN, **more})


@pytest.mark.sampled(3)
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store")
@pytest.mark.parametrize("fmt", VERSIONS)
def test_it_goes_along(fmt: str) -> None:
    """With labels that come with the image, or later, by transcoding, by xarray, and to every other version and back."""
    store, copy, again = MemoryStore(), MemoryStore(), MemoryStore()
    write(store, fmt, labels={"cells": IMAGE[0]} if fmt > "0.2" else {})
    daskome.write_labels(IMAGE, store, "more", axes="czyx")
    daskome.transcode(store, copy)
    for one in (store, copy):
        assert daskome.verify(one, pixels=True) == errors(daskome.validate(one)) == []
        opened = daskome.open(one)
        assert opened.orientations == RAS
        assert {labels.orientations == RAS for labels in opened.labels.values()} == {True}
    daskome.write_image(daskome.open(store).xarray, again, None)
    assert daskome.open(again).orientations == RAS


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("old", "new"), [("0.9.dev1", "0.6"), ("0.9.dev1", "0.5"), ("0.5", "0.6"), ("0.4", "0.3")])
def test_upgrades_there_and_back_name_what_is_not_defined(old: str, new: str) -> None:
    store = MemoryStore()
    write(store, old)
    before = daskome.open(store).axes
    lines = daskome.convert_metadata(store, new)
    said = [line for line in lines if "orientation (z=inferior-to-superior, y=posterior-to-anterior" in line]
    assert len(said) == (old == "0.9.dev1" or new == "0.3")
    assert errors(daskome.validate(store)) == []
    assert daskome.open(store).axes == before
    assert not [line for line in daskome.convert_metadata(store, old) if "orientation" in line]
    assert daskome.open(store).axes == before


def test_versions_without_a_place_keep_it_and_warn() -> None:
    with pytest.warns(UserWarning, match=r"OME-Zarr 0.3 cannot store .*orientation \(z=inferior-to-superior"):
        daskome.write_image(IMAGE, MemoryStore(), None, axes="czyx", fmt="0.3", orientation="RAS")


@pytest.mark.parametrize("fmt", ["0.3", "0.5", "0.9.dev1"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orientation": {"c": "R"}}, "orientation of axis 'c' is of an axis of type 'channel'; only axes of space"),
        (
            {"orientation": {"z": "L", "x": "R"}},
            "orientation of axis 'x' is 'left-to-right', but axis 'z' is 'right-to",
        ),
        ({"orientation": "RLS"}, "each direction is that of one axis"),
        ({"orientation": "ras"}, "give capital letters"),
        (
            {"axes": ["c", "z", "y", {"name": "x", "orientation": "left-to-rigth"}], "orientation": None},
            "did you mean 'left-to-right'",
        ),
    ],
    ids=range(5),
)
def test_what_is_refused_before_anything_is_written(fmt: str, options: dict[str, Any], message: str) -> None:
    store = MemoryStore()
    with pytest.raises(ValueError, match=message):
        write(store, fmt, **options)
    assert store._store_dict == {}


def test_the_caller_says_it_by_axis_over_what_the_source_says() -> None:
    store, again = MemoryStore(), MemoryStore()
    write(store)
    source = daskome.open(store).xarray
    daskome.write_image(source, again, None, orientation={"z": "dorsal-to-ventral"})
    assert daskome.open(again).orientations == {**RAS, "z": "dorsal-to-ventral"}
    daskome.write_image(source, again, None, orientation=False, overwrite=True)
    assert daskome.open(again).orientations == {}


def test_what_others_put_in_its_place_stays() -> None:
    """An orientation of another type is no error before 0.9.dev1, and stays what it was."""
    store = MemoryStore()
    write(store, "0.5", orientation=None)
    group = zarr.open_group(store)
    ome = group.attrs["ome"]
    ome["multiscales"][0]["axes"][1]["orientation"] = {"type": "flow", "value": "upstream-to-downstream"}
    group.attrs["ome"] = ome
    assert errors(daskome.validate(store)) == []
    daskome.convert_metadata(store, "0.6")
    daskome.convert_metadata(store, "0.5")
    assert zarr.open_group(store).attrs["ome"] == ome
    with pytest.raises(ValueError, match="orientation/type: is 'flow'; it must be 'anatomical'"):
        daskome.convert_metadata(store, "0.9.dev1")


# ---- axes of any number and order


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("yxc", (30, 25, 3)),
        ("x", (70,)),
        (["a:frequency", "b:frequency"], (9, 8)),
        (["angle:angle", "phase:phase", *"tczyx"], (2, 2, 1, 2, 4, 17, 18)),
        (["u:space", "v:space", "w:space", "s:space"], (8, 9, 10, 11)),
        (["c", "d:channel", "y", "x"], (3, 2, 20, 20)),
    ],
)
def test_free_axes(axes: Any, shape: tuple[int, ...]) -> None:
    store, plate, copy = MemoryStore(), MemoryStore(), MemoryStore()
    named = [{"name": n, "type": t} if t else n for n, _, t in (axis.partition(":") for axis in axes)]
    pixels = np.random.default_rng(0).integers(0, 99, shape).astype("uint8")
    options: dict[str, Any] = {"axes": named, "fmt": "0.9.dev1"}
    with pytest.raises(ValueError, match=r"section 'axes'"):
        daskome.write_image(pixels, store, "auto", axes=named)
    assert store._store_dict == {}
    factors = [2] if any(axis.spatial for axis in daskome.plan_image(pixels, **options).pyramids[0].axes) else None
    daskome.write_image(pixels, store, factors, channels=True, labels={"l": pixels}, **options)
    daskome.write_labels(pixels, store, "m")
    daskome.write_plate({"A/1": [pixels, pixels]}, plate, factors, **options)
    daskome.transcode(store, copy)
    for one in (store, plate, copy):
        assert daskome.verify(one, pixels=True) == errors(daskome.validate(one)) == []
    opened = daskome.open(store)
    assert np.array_equal(opened.xarray.values, pixels)
    assert opened.labels["l"].dims == opened.dims == tuple(axis.partition(":")[0] for axis in axes)
    with pytest.raises(ValueError, match=r"section 'axes'"):
        daskome.convert_metadata(store, "0.6")


def test_of_several_axes_of_channels_the_first_is_counted() -> None:
    store, pixels = MemoryStore(), np.random.default_rng(0).integers(0, 99, (3, 2, 20, 21)).astype("uint8")
    axes = ["c", {"name": "d", "type": "channel"}, "y", "x"]
    daskome.write_image(pixels, store, None, axes=axes, fmt="0.9.dev1", channels=["a", "b", "e"])
    opened = daskome.open(store)
    assert opened.xarray.coords["c"].values.tolist() == ["a", "b", "e"]
    assert opened.xarray.coords["d"].values.tolist() == [0, 1]
    assert np.array_equal(plane(opened.level, 2), pixels[2, 0])
    alone = daskome.open(store).channels[2].window
    assert alone is not None
    assert alone[2:] == pytest.approx(np.percentile(pixels[2], (0.1, 99.9)))
