"""What the caller says of an image overrides only what it names; the rest is the source's."""

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import daskome
from daskome.model.source import Source
from daskome.writing.description import ImageOptions

SIZES = st.floats(0.1, 9)
AXES = st.sampled_from(["yx", "zyx", "czyx", "tyx", "tczyx"])


def some(names: str, values: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for values of some of the axes."""
    return st.dictionaries(st.sampled_from(names), values)


def source_of(names: str, **known: Any) -> Source:
    shape = (2,) * len(names)
    return Source(np.zeros(shape, "u1"), tuple((n,) for n in shape), tuple(names), **known)


@given(data=st.data(), names=AXES)
def test_what_the_caller_says_overrides_only_what_it_names(data: st.DataObject, names: str) -> None:
    stated, said = ({key: data.draw(some(names, SIZES)) for key in ("scale", "translation")} for _ in range(2))
    image = ImageOptions(**said).image(source_of(names, **stated))
    for key, default in (("scale", 1.0), ("translation", 0.0)):
        want = {**dict.fromkeys(names, default), **stated[key], **said[key]}
        assert getattr(image, key) == tuple(want[name] for name in names)


@given(data=st.data(), names=AXES, number=SIZES)
def test_a_number_is_for_the_axes_of_space(data: st.DataObject, names: str, number: float) -> None:
    stated = data.draw(some(names, SIZES))
    image = ImageOptions(scale=number).image(source_of(names, scale=stated))
    assert image.scale == tuple(number if name in "zyx" else stated.get(name, 1.0) for name in names)


@pytest.mark.parametrize(
    ("said", "want"),
    [
        ({}, [None, "second", "micrometer"]),
        ({"axes_units": {"z": "nm"}}, ["nanometer", "second", "micrometer"]),
        ({"axes_units": "nm"}, ["nanometer", "second", "nanometer"]),
        ({"axes_units": {"x": None}}, [None, "second", None]),
        ({"axes": [{"name": "t"}, {"name": "z"}, {"name": "x", "unit": "inch"}]}, [None, "second", "inch"]),
        ({"axes": [{"name": "t"}, "z", {"name": "x", "unit": "inch"}], "axes_units": "nm"}, ["nanometer", "second", "nanometer"]),
        ({"scale": {"z": 2}}, ["micrometer", "second", "micrometer"]),
        ({"scale": {"t": 2}}, [None, "second", "micrometer"]),
        ({"scale": 2, "axes_units": {"z": "inch"}}, ["inch", "second", "micrometer"]),
    ],
)  # fmt: skip
def test_units(said: dict[str, Any], want: list[str | None]) -> None:
    source = source_of("tzx", scale={"x": 0.5}, units={"t": "second", "x": "micrometer"})
    axes = {axis.name: axis.unit for axis in ImageOptions(**said).image(source).axes}
    assert [axes[name] for name in "ztx"] == want


def test_names_of_dimensions_that_the_caller_gives_take_their_sizes_along() -> None:
    source = source_of("abc", scale={"a": 2.0, "c": 0.5}, translation={"c": 3.0}, units={"c": "um"})
    image = ImageOptions(axes="zyx").image(source)
    assert (image.scale, image.translation) == ((2, 1, 0.5), (0, 0, 3))
    assert [axis.unit for axis in image.axes] == [None, None, "micrometer"]


@pytest.mark.parametrize("said", [None, {"z": 2.0}, 2.0])
def test_axes_that_are_not_regular_need_a_size(said: Any) -> None:
    source = source_of("tzyx", irregular=("t",))
    with pytest.raises(ValueError, match="coordinate 't' is not regular"):
        ImageOptions(scale=said).image(source)
    assert ImageOptions(scale={"t": 3}).image(source).scale == (3, 1, 1, 1)


XARRAY_DIMS: list[tuple[list[str], str | None]] = [
    (["C", "Z", "Y", "X"], None),
    (["channel", "z", "y", "x"], None),
    (["Channels", "Plane", "row", "col"], None),
    (["CH", "Depth", "Height", "Width"], "czyx"),
    (["a", "b", "d", "e"], "czyx"),
]


@pytest.mark.parametrize(("dims", "axes"), XARRAY_DIMS)
def test_dimensions_of_an_xarray_keep_their_coordinates(dims: list[str], axes: str | None) -> None:
    xr = pytest.importorskip("xarray")
    steps = (None, 2.0, 0.5, 0.25)
    coords: dict[str, Any] = {d: np.arange(4) * step + 1 for d, step in zip(dims, steps, strict=True) if step}
    if dims[0] != "a":
        coords[dims[0]] = ["DAPI", "GFP", "a", "b"]
    image = xr.DataArray(np.zeros((4,) * 4, "u1"), dims=dims, coords=coords)
    plan = daskome.plan_image(image, axes=axes, scale_factors=None)
    level = plan.pyramids[0].levels[0]
    assert [axis.name for axis in plan.pyramids[0].axes] == list("czyx")
    assert (level.scale, level.translation) == ((1, 2, 0.5, 0.25), (0, 1, 1, 1))
    omero = plan.groups[0].metadata.omero
    labels = [channel.label for channel in (omero and omero.channels) or ()]
    assert labels == (["DAPI", "GFP", "a", "b"] if dims[0] != "a" else [])


@pytest.mark.parametrize(
    ("values", "labels"),
    [([0, 1], []), ([405, 488], ["405", "488"]), (["a", "b"], ["a", "b"]), ([b"a", b"b"], ["a", "b"])],
)
def test_coordinates_of_channels_are_their_names(values: list[Any], labels: list[str]) -> None:
    xr = pytest.importorskip("xarray")
    image = xr.DataArray(np.zeros((2, 8, 8), "u1"), dims=["c", "y", "x"], coords={"c": values})
    omero = daskome.plan_image(image).groups[0].metadata.omero
    assert [channel.label for channel in (omero and omero.channels) or ()] == labels


@pytest.mark.parametrize("first", ["2024-02-28T23:59:30", None])
def test_times_are_seconds(first: str | None) -> None:
    xr = pytest.importorskip("xarray")
    times = np.arange(4) * np.timedelta64(1500, "ms") + (
        np.datetime64(first, "ns") if first else np.timedelta64(3, "s")
    )
    image = xr.DataArray(
        np.zeros((4, 8, 8), "u1"),
        dims=["time", "y", "x"],
        coords={"time": times.astype("M8[ns]" if first else "m8[ns]")},
    )
    said = (
        pytest.warns(UserWarning, match="the date of coordinate 't', 2024-02-28T23:59:30") if first else nullcontext()
    )
    with said:
        pyramid = daskome.plan_image(image).pyramids[0]
    assert (pyramid.axes[0].unit, pyramid.levels[0].scale[0]) == ("second", 1.5)
    assert pyramid.levels[0].translation[0] == (0 if first else 3)


def test_coordinates_that_are_not_numbers_are_named() -> None:
    xr = pytest.importorskip("xarray")
    image = xr.DataArray(np.zeros((2, 8, 8), "u1"), dims=["z", "y", "x"], coords={"z": ["top", "bottom"]})
    with pytest.warns(UserWarning, match="not written: coordinate 'z'"):
        daskome.plan_image(image)
