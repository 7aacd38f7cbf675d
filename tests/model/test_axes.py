"""Laws of `daskome.model.axes`: whatever form axes and numbers come in, one `Axis` and one number per dimension."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from daskome.model.axes import ABBREVIATIONS, GUESSES, TYPES, UNITS, Axis, parse_axes, per_axis, reject_unknown
from tests.strategies import AXES, law

names = st.lists(st.sampled_from("tczyx"), min_size=1, max_size=5, unique=True)


@law(max_examples=100)
@given(names=names)
def test_every_form_means_the_same(names: list[str]) -> None:
    want = tuple(Axis(name, TYPES[name]) for name in names)
    forms: list[Any] = ["".join(names), names, tuple(names), iter(names), [{"name": name} for name in names], want]
    forms.append([{"name": name, "type": TYPES[name], "unit": None} for name in names])
    assert {parse_axes(form, len(names)) for form in forms} == {want}


@law(max_examples=50)
@given(names=names, unit=st.sampled_from(sorted(UNITS["space"])))
def test_parsing_again_changes_nothing(names: list[str], unit: str) -> None:
    axes = parse_axes(names, len(names), unit)
    assert parse_axes(axes, len(names)) == axes
    assert [axis.unit for axis in axes] == [unit if axis.spatial else None for axis in axes]


@law(max_examples=50)
@given(names=names, numbers=st.lists(st.floats(-1e9, 1e9), min_size=5, max_size=5))
def test_numbers_by_name_and_in_order_are_the_same(names: list[str], numbers: list[float]) -> None:
    axes, numbers = parse_axes(names, len(names)), numbers[: len(names)]
    assert per_axis(numbers, axes, "scale", 1) == tuple(numbers)
    assert per_axis(dict(zip(names, numbers, strict=True)), axes, "scale", 1) == tuple(numbers)
    assert per_axis({names[0]: 7}, axes, "scale", 0.5) == (7.0, *(0.5,) * (len(names) - 1))
    assert per_axis(None, axes, "scale", 0.5) == (0.5,) * len(names)
    assert all(type(number) is float for number in per_axis(range(len(names)), axes, "scale", 1))


@pytest.mark.parametrize(("ndim", "names"), [(2, "yx"), (3, "zyx"), (5, "tczyx")])
def test_guesses(ndim: int, names: str) -> None:
    assert parse_axes(None, ndim) == parse_axes(names, ndim)


@pytest.mark.parametrize("ndim", [0, 1, 4, 6])
def test_no_guess_where_it_is_not_clear(ndim: int) -> None:
    assert ndim not in GUESSES
    with pytest.raises(ValueError, match=f"axes are needed for an image of {ndim} dimensions, as in axes='czyx'"):
        parse_axes(None, ndim)


@pytest.mark.parametrize("names", AXES)
def test_only_space_is_spatial(names: str) -> None:
    assert [axis.name for axis in parse_axes(names, len(names)) if axis.spatial] == [n for n in names if n in "zyx"]


def test_axes_of_other_kinds() -> None:
    axes = parse_axes(
        [{"name": "lifetime", "type": "lifetime", "unit": "tick"}, "y", {"name": "across", "type": "space"}], 3
    )
    assert axes == (Axis("lifetime", "lifetime", "tick"), Axis("y", "space"), Axis("across", "space"))
    assert [axis.spatial for axis in axes] == [False, True, True]


@pytest.mark.parametrize(
    ("unit", "name", "spelt"),
    [
        ("um", "x", "micrometer"), ("µm", "x", "micrometer"), ("μm", "x", "micrometer"), ("micron", "x", "micrometer"),
        ("microns", "x", "micrometer"), ("micrometre", "x", "micrometer"), ("nm", "z", "nanometer"),
        ("mm", "y", "millimeter"), ("cm", "y", "centimeter"), ("m", "y", "meter"), ("metre", "y", "meter"),
        ("Å", "z", "angstrom"), ("A", "z", "angstrom"), ("parsec", "z", "parsec"), ("s", "t", "second"),
        ("sec", "t", "second"), ("ms", "t", "millisecond"), ("µs", "t", "microsecond"), ("min", "t", "minute"),
        ("h", "t", "hour"), ("day", "t", "day"), ("", "t", None), (None, "x", None),
    ],
)  # fmt: skip
def test_units_are_spelt_out(unit: str | None, name: str, spelt: str | None) -> None:
    assert parse_axes([{"name": name, "unit": unit}], 1)[0].unit == spelt
    assert parse_axes([Axis(name, TYPES[name], unit)], 1)[0].unit == spelt
    if unit:
        assert parse_axes(name, 1, {name: unit})[0].unit == spelt


def test_the_units_are_those_of_the_specification() -> None:
    space = """angstrom attometer centimeter decimeter exameter femtometer foot gigameter hectometer inch kilometer
        megameter meter micrometer mile millimeter nanometer parsec petameter picometer terameter yard yoctometer
        yottameter zeptometer zettameter"""
    time = """attosecond centisecond day decisecond exasecond femtosecond gigasecond hectosecond hour kilosecond
        megasecond microsecond millisecond minute nanosecond petasecond picosecond second terasecond yoctosecond
        yottasecond zeptosecond zettasecond"""
    assert {kind: set(units) for kind, units in UNITS.items()} == {
        "space": set(space.split()),
        "time": set(time.split()),
    }
    assert set(ABBREVIATIONS.values()) <= UNITS["space"] | UNITS["time"]
    assert not set(ABBREVIATIONS) & (UNITS["space"] | UNITS["time"])


def test_units_given_apart_win() -> None:
    axes = [{"name": "t", "unit": "s"}, {"name": "y", "unit": "mm"}, {"name": "x", "unit": "mm"}]
    assert [axis.unit for axis in parse_axes(axes, 3, {"x": "um"})] == ["second", "millimeter", "micrometer"]
    assert [axis.unit for axis in parse_axes(axes, 3, "nm")] == ["second", "nanometer", "nanometer"]


@pytest.mark.parametrize(
    ("axes", "ndim", "units", "message"),
    [
        ("zyx", 2, None, "axes 'zyx' are 3, but the image has 2 dimensions"),
        ("", 2, None, "are 0, but the image has 2"),
        ("yy", 2, None, "repeat 'y'; every axis needs its own name"),
        (["x", "x", "y", "y"], 4, None, "repeat 'x', 'y'"),
        ("qyx", 3, None, "axis 'q' is none of t, c, z, y, x; say what it is"),
        ("ZYX", 3, None, "axis 'Z' is none of"),
        ([{"name": "q", "type": None}], 1, None, "axis 'q' is none of"),
        ([{"type": "space"}], 1, None, "an axis needs a name"),
        ([{"name": ""}], 1, None, "an axis needs a name"),
        ([{"name": 3}], 1, None, "an axis needs a name"),
        ([{"name": "x", "units": "um"}], 1, None, "unknown key of an axis 'units'; did you mean 'unit'?"),
        ("yx", 2, {"z": "um"}, "unknown unit for axis 'z'.* Known: y, x"),
        (5, 2, None, "axes 5: give names, as in 'zyx', or a list of names or dicts"),
        (True, 2, None, "axes True: give names"),
        ([5, "x"], 2, None, "axis 5 must be a name, a dict or an Axis"),
        ([None, "x"], 2, None, "axis None must be"),
        (b"yx", 2, None, "axis 121 must be"),
        ([Axis(3, "space"), "x"], 2, None, "name of an axis is 3; it must be a str"),  # type: ignore[arg-type]
        ([{"name": "x", "type": 7}], 1, None, "type of axis 'x' is 7; it must be a str"),
        ([{"name": "x", "unit": 7}], 1, None, "unit of axis 'x' is 7; it must be a str"),
        ([Axis("x", "space", 0)], 1, None, "unit of axis 'x' is 0"),  # type: ignore[arg-type]
        ("yx", 2, {"x": 0.5}, "unit of axis 'x' is 0.5"),
        ("yx", 2, 5, "units 5: give one for all axes of space"),
        ("yx", 2, ["um", "um"], "units .*: give one for all axes of space, as in 'micrometer', or a dict by name"),
    ],
)
def test_axes_that_cannot_be(axes: Any, ndim: int, units: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_axes(axes, ndim, units)


@pytest.mark.parametrize(
    ("axes", "units", "message"),
    [
        ("yx", {"y": "micromter"}, "unit 'micromter' of axis 'y' is not a unit of space .* did you mean 'micrometer'?"),
        ("yx", {"y": "pixel"}, "unit 'pixel' of axis 'y'"),
        ("yx", {"y": "second"}, "unit 'second' of axis 'y'"),
        ("yx", {"y": "µ"}, "unit 'µ' of axis 'y'"),
        ([{"name": "y", "type": "space", "unit": "voxel"}, "x"], None, "unit 'voxel' of axis 'y'"),
        ("tx", {"t": "um"}, "unit 'micrometer' of axis 't' is not a unit of time"),
    ],
)
def test_units_that_readers_may_not_know_are_kept_with_a_warning(axes: Any, units: Any, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        parsed = parse_axes(axes, 2, units)
    assert f"unit {parsed[0].unit!r}" in message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1, 2), "scale has 2 values, but the axes are 'zyx'"),
        ((), "scale has 0 values"),
        ((1, 2, float("nan")), "scale of axis 'x' is nan; it must be a finite number"),
        ((1, float("inf"), 2), "scale of axis 'y' is inf"),
        ((-float("inf"), 1, 2), "scale of axis 'z' is -inf"),
        ({"w": 1}, "unknown scale for axis 'w'"),
        (("a", 1, 1), "scale has 'a', which is not a number"),
        ((None, 1, 1), "scale has None, which is not a number"),
        ({"z": [1]}, r"scale has \[1\], which is not a number"),
        ("123", "scale '123': give one number, one for every axis in their order, or a dict by name"),
        (b"123", "scale b'123': give one number"),
        (object(), "scale <object.*: give one number"),
        (True, "scale True: give one number"),
        ({1, 2, 3}, "scale {1, 2, 3}: give one number"),
        (float("nan"), "scale of axis 'z' is nan"),
    ],
)
def test_numbers_that_cannot_be(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        per_axis(values, parse_axes("zyx", 3), "scale", 1)


@pytest.mark.parametrize("number", [3, 3.0, np.float32(3), np.int64(3)])
def test_one_number_is_that_of_all_axes_of_space(number: Any) -> None:
    assert per_axis(number, parse_axes("tcyx", 4), "scale", 0.5) == (0.5, 0.5, 3.0, 3.0)


def test_an_unknown_name_comes_with_the_nearest() -> None:
    reject_unknown([], ["chunks"], "option")
    reject_unknown(["chunks"], ["chunks", "shards"], "option")
    with pytest.raises(ValueError, match="unknown option 'chunk'; did you mean 'chunks'\\? Known: chunks, shards"):
        reject_unknown(["chunk"], ["chunks", "shards"], "option")
    with pytest.raises(ValueError, match=r"^unknown option 'zzz'[^?]* Known: chunks, shards$"):
        reject_unknown(["zzz"], ["chunks", "shards"], "option")
