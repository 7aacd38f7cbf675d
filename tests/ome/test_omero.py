"""Laws of `daskome.ome.omero`: what callers say of channels, made whole."""

import json
from typing import Any

import numpy as np
import pytest

from daskome.model.axes import parse_axes
from daskome.ome.omero import STYLE, Channel, parse_channels, parse_omero, read_omero

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


def test_a_slip_in_a_key_is_found() -> None:
    with pytest.raises(TypeError, match="unknown key of a channel 'colour'; did you mean 'color'"):
        parse_channels([{"colour": "FF0000"}, {}], CYX, (2, 8, 8))


def test_other_keys_are_kept() -> None:
    (channel,) = parse_channels([{"label": "a", "lut": "fire", "inverted": True}], YX, (8, 8))
    assert channel.rest == {**STYLE, "lut": "fire", "inverted": True}


@pytest.mark.parametrize(
    ("omero", "channels", "expected"),
    [
        (None, None, None),
        ({}, None, None),
        (None, ["a", "b"], {"rdefs": {"defaultT": 0, "defaultZ": 0, "model": "color"}, "id": 1, "name": "n"}),
        ({"id": 7, "rdefs": {"model": "greyscale"}}, None, {"rdefs": {"model": "greyscale"}, "id": 7, "name": "n"}),
        ({"channels": [{"label": "a"}, {}], "x": 1}, None, {"x": 1}),
    ],
)
def test_forms_of_omero(omero: Any, channels: Any, expected: Any) -> None:
    found = parse_omero(omero, channels, CYX, (2, 8, 8), "n")
    assert (found is None) == (expected is None)
    assert found is None or expected.items() <= found.rest.items()
    assert found is None or len(found.channels or ()) == 2


@pytest.mark.parametrize(
    "omero",
    [
        {"channels": []},
        {
            "channels": [
                {"label": "a", "color": "00FF00", "active": True, "window": {"min": 0, "max": 1, "start": 0, "end": 1}}
            ]
        },
        {"channels": [{"color": 7, "window": {"start": 0, "end": 1}, "lut": "x"}, {}], "id": 3, "rdefs": {}},
        {"channels": None},
        {"id": 1},
    ],
)
def test_what_others_say_comes_back_unchanged(omero: Any) -> None:
    found = read_omero(omero)
    assert found.to_json() == omero
