"""Laws of `daskome.metadata`: what is written is what the specification says, and comes back the same."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from daskome import __version__
from daskome.axes import Axis, parse_axes
from daskome.layout import ZARR_V2, ZARR_V3
from daskome.metadata import (
    DEFAULT_VERSION,
    VERSIONS,
    Channel,
    Dataset,
    find_version,
    image_attributes,
    ome_keys,
    parse_channels,
    read_multiscale,
    version_of,
)
from daskome.methods import METHODS
from daskome.pyramid import Image, Pyramid, image_pyramid
from tests.strategies import factors, images, law, methods

JSON = dict[str, Any]
both = pytest.mark.parametrize("version", ["0.4", "0.5"])


def cells(**changes: Any) -> Pyramid:
    """Return the pyramid of the hand-written documents."""
    image = Image((4, 64, 65), "uint16", parse_axes("zyx", 3, "um"), (2.0, 0.5, 0.5), (0.0,) * 3, "cells.tif")
    image = replace(image, **changes)
    return image_pyramid(image, METHODS["mean"], [{"y": 2, "x": 2}], None, ZARR_V3)


MULTISCALE: JSON = {
    "name": "cells.tif",
    "type": "mean",
    "metadata": {
        "description": "mean of 1x2x2 windows",
        "method": "daskome.methods:mean",
        "version": __version__,
    },
    "axes": [
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ],
    "datasets": [
        {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]},
        {
            "path": "s1",
            "coordinateTransformations": [
                {"type": "scale", "scale": [2.0, 1.0, 1.0]},
                {"type": "translation", "translation": [0.0, 0.25, 0.25]},
            ],
        },
    ],
}
OMERO: JSON = {
    "id": 1,
    "name": "cells.tif",
    "channels": [
        {
            "label": "DAPI",
            "color": "0000FF",
            "active": True,
            "coefficient": 1,
            "family": "linear",
            "inverted": False,
            "window": {"min": 0, "max": 65535, "start": 0, "end": 1500},
        }
    ],
    "rdefs": {"defaultT": 0, "defaultZ": 2, "model": "greyscale"},
}
DAPI = Channel("DAPI", "0000FF", (0, 65535, 0, 1500))
DOCUMENTS: Mapping[str, JSON] = {
    "0.4": {"multiscales": [{"version": "0.4", **MULTISCALE}], "omero": {"version": "0.4", **OMERO}},
    "0.5": {"ome": {"version": "0.5", "multiscales": [MULTISCALE], "omero": OMERO}},
}


@st.composite
def pyramids(draw: st.DrawFn) -> Pyramid:
    """Draw a pyramid of any axes, units, factors and method."""
    image = replace(
        draw(images(units=draw(st.sampled_from([None, "micrometer", "nm"])))), name=draw(st.text(max_size=5))
    )
    return image_pyramid(image, METHODS[draw(methods)], draw(factors(image)), None, ZARR_V3)


numbers = st.integers(-(2**60), 2**60) | st.floats(-1e30, 1e30)
channels = st.builds(
    Channel,
    st.text(max_size=5),
    st.from_regex(r"[0-9A-F]{6}", fullmatch=True),
    st.tuples(*[numbers] * 4),
    st.booleans(),
)


# ---- what is written


@both
def test_an_image_is_written_as_by_hand(version: str) -> None:
    found = image_attributes(VERSIONS[version], cells(), [DAPI])
    assert found == DOCUMENTS[version]
    assert json.dumps(found, sort_keys=True) == json.dumps(DOCUMENTS[version], sort_keys=True)


@both
def test_without_channels_there_is_no_omero(version: str) -> None:
    found = image_attributes(VERSIONS[version], cells())
    expected = json.loads(json.dumps(DOCUMENTS[version]))
    del expected.get("ome", expected)["omero"]
    assert found == expected


def test_axes_have_no_empty_keys() -> None:
    image = Image((2, 2, 8, 8), "uint8", parse_axes("tcyx", 4), (1.0,) * 4, (0.0,) * 4)
    found = image_attributes(VERSIONS["0.5"], image_pyramid(image, METHODS["mean"], None, None, ZARR_V3))["ome"]
    assert found["multiscales"][0]["axes"] == [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]
    assert found["multiscales"][0]["metadata"]["description"] == "one level, not downsampled"


@pytest.mark.parametrize(
    ("method", "translation"), [("mean", True), ("mode", True), ("gaussian", True), ("nearest", False)]
)
def test_a_translation_of_zeros_is_left_out(method: str, translation: bool) -> None:
    pyramid = image_pyramid(
        Image((8, 8), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0)), METHODS[method], [2], None, ZARR_V3
    )
    datasets = image_attributes(VERSIONS["0.5"], pyramid)["ome"]["multiscales"][0]["datasets"]
    kinds = [[transform["type"] for transform in dataset["coordinateTransformations"]] for dataset in datasets]
    assert kinds == [["scale"], ["scale", "translation"] if translation else ["scale"]]


@law(max_examples=30)
@given(pyramid=pyramids(), shown=st.lists(channels, max_size=2), version=st.sampled_from(["0.4", "0.5"]))
def test_schemas_take_what_is_written(pyramid: Pyramid, shown: list[Channel], version: str) -> None:
    validate = pytest.importorskip("ngff_zarr.validate").validate
    pytest.importorskip("jsonschema")
    attributes = json.loads(json.dumps(image_attributes(VERSIONS[version], pyramid, shown), allow_nan=False))
    validate(attributes, version=version, model="image", strict=True)


@both
def test_schemas_find_what_is_wrong(version: str) -> None:
    validate = pytest.importorskip("ngff_zarr.validate").validate
    wrong = json.loads(json.dumps(DOCUMENTS[version]))
    del wrong.get("ome", wrong)["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    with pytest.raises(pytest.importorskip("jsonschema").ValidationError):
        validate(wrong, version=version, model="image", strict=True)


# ---- there and back


@law(max_examples=100)
@given(pyramid=pyramids(), shown=st.lists(channels, max_size=3), version=st.sampled_from(list(VERSIONS)))
def test_attributes_come_back_as_they_were(pyramid: Pyramid, shown: list[Channel], version: str) -> None:
    text = json.dumps(image_attributes(VERSIONS[version], pyramid, shown), allow_nan=False)
    found = read_multiscale({"other": 1, **json.loads(text)})
    assert (found.version, found.name, found.method) == (version, pyramid.name, pyramid.method.name)
    assert found.axes == pyramid.axes
    assert [dataset.path for dataset in found.datasets] == [level.path for level in pyramid.levels]
    assert [dataset.scale for dataset in found.datasets] == [level.scale for level in pyramid.levels]
    assert [dataset.translation for dataset in found.datasets] == [level.translation for level in pyramid.levels]
    assert list(found.channels) == shown


def test_units_and_other_types_come_back() -> None:
    axes = parse_axes([{"name": "lifetime", "type": "lifetime"}, {"name": "y", "unit": "nm"}, "x"], 3)
    image = Image((2, 8, 8), "uint8", axes, (1.0,) * 3, (0.0,) * 3)
    pyramid = image_pyramid(image, METHODS["mean"], None, None, ZARR_V3)
    assert read_multiscale(image_attributes(VERSIONS["0.4"], pyramid)).axes == axes


PLACED: JSON = {
    "path": "a",
    "coordinateTransformations": [
        {"type": "scale", "scale": [2]},
        {"type": "translation", "translation": [3]},
        {"type": "identity"},
    ],
}


@pytest.mark.parametrize(
    ("attributes", "version", "axes", "datasets"),
    [
        (
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}], "version": "0.3"}]},
            "0.3",
            (Axis("y", "space"), Axis("x", "space")),
            (Dataset("0", (1.0, 1.0), (0.0, 0.0)),),
        ),
        (
            {"multiscales": [{"axes": [{"name": "q"}], "datasets": []}]},
            "0.4",
            (Axis("q"),),
            (),
        ),
        (
            {"multiscales": "older", "ome": {"version": "0.5", "multiscales": [{"axes": ["x"], "datasets": [PLACED]}]}},
            "0.5",
            (Axis("x", "space"),),
            (Dataset("a", (2.0,), (3.0,)),),
        ),
    ],
)
def test_what_others_write_is_read(attributes: JSON, version: str, axes: Any, datasets: Any) -> None:
    found = read_multiscale(attributes)
    assert (found.version, found.axes, found.datasets, found.channels) == (version, axes, datasets, ())


def without(attributes: JSON, *path: Any) -> JSON:
    """Return a copy of attributes that lacks something."""
    copy = json.loads(json.dumps(attributes))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "the group has no multiscales metadata: it is no OME-Zarr image, or an unfinished one"),
        ({"daskome": {"unfinished": True}}, "no multiscales"),
        ({"multiscales": []}, "no multiscales"),
        ({"ome": {}}, "no multiscales"),
        ({"ome": "0.5"}, "no multiscales"),
        ({"ome": None}, "no multiscales"),
        (without(DOCUMENTS["0.4"], "multiscales", 0, "axes"), "of version 0.4 can't be read"),
        (without(DOCUMENTS["0.4"], "multiscales", 0, "datasets"), "of version 0.4 can't be read"),
        (without(DOCUMENTS["0.5"], "ome", "multiscales", 0, "axes"), "of version 0.5 can't be read"),
        (without(DOCUMENTS["0.4"], "multiscales", 0, "axes", 1, "name"), "can't be read"),
        (without(DOCUMENTS["0.4"], "multiscales", 0, "datasets", 1, "path"), "can't be read"),
        ({"multiscales": [{"axes": [1], "datasets": []}]}, "can't be read"),
        ({"multiscales": [{"axes": ["x"], "datasets": [7]}]}, "can't be read"),
        ({"multiscales": [{"axes": ["x"], "datasets": []}], "omero": "grey"}, "can't be read"),
        ({"multiscales": ["x"]}, "can't be read"),
        ({"multiscales": {"axes": []}}, "can't be read"),
        ({"multiscales": 5}, "can't be read"),
    ],
)
def test_what_cannot_be_read_is_a_value_error(attributes: JSON, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_multiscale(attributes)


def test_keys_of_ome() -> None:
    assert ome_keys(DOCUMENTS["0.4"]) == ["multiscales", "omero"]
    assert ome_keys(DOCUMENTS["0.5"]) == ["ome"]
    assert ome_keys({"daskome": 1, "labels": []}) == []


# ---- versions


@pytest.mark.parametrize(
    "fmt", ["0.4", 0.4, VERSIONS["0.4"], SimpleNamespace(version="0.4"), np.float64(0.4), np.str_("0.4")]
)
def test_forms_of_a_version(fmt: Any) -> None:
    assert find_version(fmt) is VERSIONS["0.4"]


@pytest.mark.parametrize(
    ("fmt", "message"),
    [
        ("0.55", "unknown OME-Zarr version '0.55'; did you mean '0.5'"),
        ("v0.4", "unknown OME-Zarr version 'v0.4'; did you mean '0.4'"),
        ("latest", "unknown OME-Zarr version 'latest'.* Known: .*0.4, 0.5"),
        (5, "unknown OME-Zarr version '5'"),
        (None, "unknown OME-Zarr version 'None'"),
        (SimpleNamespace(version="9.9"), "unknown OME-Zarr version '9.9'"),
    ],
)
def test_versions_that_are_not(fmt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_version(fmt)


def test_the_rows_of_versions() -> None:
    assert DEFAULT_VERSION is VERSIONS["0.5"]
    assert {name: version.name for name, version in VERSIONS.items()} == {name: name for name in VERSIONS}
    assert VERSIONS["0.4"].arrays is ZARR_V2
    assert VERSIONS["0.5"].arrays is ZARR_V3
    assert [version_of(zarr_format).name for zarr_format in (2, 3)] == ["0.4", "0.5"]


@both
@pytest.mark.parametrize("names", ["yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tczyx", ["angle", "y", "x"], ["a", "b"]])
def test_axes_that_the_specification_allows(version: str, names: Any) -> None:
    kinds = {"angle": "angle", "a": "space", "b": "space"}
    axes = [{"name": n, "type": kinds[n]} if n in kinds else n for n in names]
    VERSIONS[version].check_axes(parse_axes(axes, len(axes)))


@both
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("x", "an image has 2 or 3 axes of space, not 1"),
        ("tcx", "2 or 3 axes of space, not 1"),
        ("tc", "2 or 3 axes of space, not 0"),
        (["a:space", "z", "y", "x"], "2 or 3 axes of space, not 4"),
        (["t", "u:time", "y", "x"], "at most one axis of time"),
        (["c", "d:channel", "y", "x"], "one of channel or another type"),
        (["c", "q:angle", "y", "x"], "one of channel or another type"),
        ("ctyx", "must be in the order time, channel, space; transpose the image to match"),
        ("yxc", "order time, channel, space"),
        ("zcyx", "order time, channel, space"),
        ("ytx", "order time, channel, space"),
        ("xy", "order z, y, x"),
        ("xyz", "order z, y, x"),
        ("tczxy", "order z, y, x"),
        ("yzx", "order z, y, x"),
    ],
)
def test_axes_that_it_forbids(version: str, names: Any, message: str) -> None:
    pairs = [name.partition(":")[::2] for name in names]
    axes = parse_axes([{"name": name, "type": kind} if kind else name for name, kind in pairs], len(pairs))
    with pytest.raises(ValueError, match=message):
        VERSIONS[version].check_axes(axes)


# ---- channels

CYX, YX = parse_axes("cyx", 3), parse_axes("yx", 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, ()),
        (False, ()),
        (True, (Channel("channel 0", "0000FF"), Channel("channel 1", "00FF00"))),
        (["DAPI", "GFP"], (Channel("DAPI", "0000FF"), Channel("GFP", "00FF00"))),
        ([{"label": "DAPI"}, {"name": "GFP"}], (Channel("DAPI", "0000FF"), Channel("GFP", "00FF00"))),
        ([{}, {"color": "#ff00aa", "active": False}], (Channel("", "0000FF"), Channel("", "FF00AA", None, False))),
        ([Channel("a", "123456"), "b"], (Channel("a", "123456"), Channel("b", "00FF00"))),
    ],
)
def test_forms_of_channels(given: Any, expected: tuple[Channel, ...]) -> None:
    assert parse_channels(given, CYX, (2, 8, 8)) == expected


@pytest.mark.parametrize(
    ("given", "window"),
    [
        (None, None),
        ((0, 9), (0, 9, 0, 9)),
        ([0, 9, 1, 8], (0, 9, 1, 8)),
        ({"min": 0, "max": 9, "start": 1, "end": 8}, (0, 9, 1, 8)),
        ({"min": 0, "max": 9}, (0, 9, 0, 9)),
        ({"start": 1, "end": 8}, (1, 8, 1, 8)),
        ((0.5, 1.5), (0.5, 1.5, 0.5, 1.5)),
    ],
)
def test_forms_of_windows(given: Any, window: Any) -> None:
    assert parse_channels([{"window": given}], YX, (8, 8)) == (Channel("", "FFFFFF", window),)


def test_one_channel_is_white_and_many_repeat_their_colours() -> None:
    assert parse_channels(["a"], YX, (8, 8)) == (Channel("a", "FFFFFF"),)
    assert parse_channels(True, CYX, (1, 8, 8)) == (Channel("channel 0", "FFFFFF"),)
    colors = [channel.color for channel in parse_channels(True, CYX, (13, 8, 8))]
    assert len(set(colors)) == 6
    assert colors[:6] == colors[6:12]


@pytest.mark.parametrize(
    "window", [(np.uint16(3), np.uint16(9)), np.array([3.0, 9.0], "f4"), {"start": np.float32(3), "end": np.int64(9)}]
)
def test_windows_of_numpy_become_plain_numbers(window: Any) -> None:
    (channel,) = parse_channels([{"window": window}], YX, (8, 8))
    assert channel.window == (3, 9, 3, 9)
    assert json.loads(json.dumps(channel.window)) == [3, 9, 3, 9]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a"], "1 channels are given, but the image has 2"),
        (["a"] * 3, "3 channels are given, but the image has 2"),
        ([], "0 channels are given, but the image has 2"),
        ("ab", "channels 'ab': give True, or a list of names, dicts or Channel objects"),
        ({"label": "a", "color": "FF0000"}, "channels {'label.*: give True, or a list"),
        (5, "channels 5: give True, or a list"),
        (iter("ab"), "channels .*: give True, or a list"),
        (["a", 5], "channel 5 must be a name, a dict or a Channel object"),
        ([None, "a"], "channel None must be"),
        ([("a", "FF0000"), "b"], "channel \\('a', 'FF0000'\\) must be"),
        ([{"colour": "FF0000"}, {}], "unknown key of a channel 'colour'; did you mean 'color'"),
        ([{"color": "red"}, {}], "colour 'red' of a channel is not six hexadecimal digits, RRGGBB"),
        ([{"color": "FF00"}, {}], "colour 'FF00'"),
        ([{"color": 0xFF0000}, {}], "colour 16711680"),
        ([{"color": ""}, {}], "colour ''"),
        ([Channel("a", "green"), "b"], "colour 'green'"),
        ([Channel("a", window=(0, float("nan"), 0, 1)), "b"], "window"),
        ([{"window": (0, float("inf"))}, {}], "window .* of a channel must be min, max, start, end as finite numbers"),
        ([{"window": (0, float("nan"), 0, 1)}, {}], "window"),
        ([{"window": (1, 2, 3)}, {}], "window"),
        ([{"window": ("0", "9")}, {}], "window"),
        ([{"window": {"min": 0}}, {}], "window"),
        ([{"window": 5}, {}], "window"),
    ],
)
def test_channels_that_cannot_be(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_channels(given, CYX, (2, 8, 8))
