"""Orientations: the 24 of RFC-4, in any form, and one direction for each axis of space."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, strategies as st
from ngff_zarr import rfc4

from daskome.model.axes import parse_axes, parse_orientation, parse_orientations
from daskome.model.orientations import LETTERS, ORIENTATIONS, OrientedAxis, orientation_faults
from tests.strategies import law

ZYX = parse_axes("zyx", 3)


def test_they_are_those_of_the_schema_and_of_ngff_zarr() -> None:
    schema = json.loads(files("ngff_zarr").joinpath("spec/0.9/schemas/axis_orientation.schema").read_text())
    assert set(ORIENTATIONS) == set(schema["properties"]["value"]["enum"])
    assert set(ORIENTATIONS) == {value.value for value in rfc4.AnatomicalOrientationValues}
    assert len(ORIENTATIONS) == len(set(ORIENTATIONS)) == 24


@pytest.mark.parametrize("letters", ["RAS", "LPS"])
def test_letters_are_those_of_others(letters: str) -> None:
    theirs = {axis: orientation.value.value for axis, orientation in getattr(rfc4, letters).items()}
    assert parse_orientations(letters, ZYX) == theirs


@law(max_examples=50)
@given(value=st.sampled_from(ORIENTATIONS))
def test_every_form_means_the_same(value: str) -> None:
    forms: list[Any] = [value, {"type": "anatomical", "value": value}]
    forms += [letter for letter, full in LETTERS.items() if full == value]
    assert {parse_orientation(form, "z") for form in forms} == {value}
    assert {parse_orientations({"z": form}, ZYX)["z"] for form in forms} == {value}
    for form in forms:
        (axis, _) = parse_axes([{"name": "z", "orientation": form}, "y"], 2)
        assert axis.orientation == value
        assert parse_axes([axis, "y"], 2)[0] == axis


@law()
@given(values=st.lists(st.sampled_from(ORIENTATIONS), min_size=1, max_size=4))
def test_each_direction_is_that_of_one_axis(values: list[str]) -> None:
    """The later of two has the fault, whichever way it leads."""
    axes = [OrientedAxis(f"a{i}", "space", value) for i, value in enumerate(values)]
    seen: set[frozenset[str]] = set()
    expected = []
    for i, value in enumerate(values):
        direction = frozenset(value.split("-to-"))
        expected += [i] if direction in seen else []
        seen.add(direction)
    assert [fault.position for fault in orientation_faults(axes)] == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("RA", "is for x, y and z, one letter each, but the axes of space are z, y, x"),
        ("ras", "give capital letters that say where x, y and z lead to, as in 'RAS'"),
        ("left-to-right", "give capital letters"),
        ("", "give capital letters"),
        (True, "or False"),
        (["R", "A", "S"], "a dict by name of the axis"),
        ({"w": "R"}, "unknown orientation of axis 'w'"),
        ({"z": "left-to-rigth"}, r"is 'left-to-rigth'; did you mean 'left-to-right'\?"),
        ({"z": "up"}, "is 'up'.* one of left-to-right, right-to-left, "),
        ({"z": 3}, "is 3"),
        ({"z": {"type": "flow", "value": "up"}}, "is of type 'flow'; the only type is 'anatomical'"),
        ({"z": {"type": "anatomical"}}, "is None"),
        ({"z": {"kind": "anatomical"}}, "unknown key of the orientation of axis 'z' 'kind'"),
    ],
)
def test_what_is_none(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_orientations(given, ZYX)


def test_letters_need_x_y_and_z() -> None:
    with pytest.raises(ValueError, match=r"the axes of space are depth, y, x; give a dict"):
        parse_orientations("RAS", parse_axes([{"name": "depth", "type": "space"}, "y", "x"], 3))
    assert parse_orientations("RA", parse_axes("cyx", 3)) == {"x": LETTERS["R"], "y": LETTERS["A"]}
