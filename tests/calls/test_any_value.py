"""Any value in any argument: a call works, or raises an error of ours that says what was given, and nothing is written."""

import traceback
import warnings
from functools import cache
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

import daskome
from daskome.calls.signatures import calls_of
from tests.strategies import law
from tests.written import contents

PLANE = np.zeros((8, 8), "u1")
LEVELS = [PLANE, PLANE[:4, :4]]
CALLS: dict[str, dict[str, Any]] = {
    "write_image": {"image": PLANE, "axes": "yx"},
    "write_multiscale": {"pyramid": LEVELS, "axes": "yx"},
    "write_labels": {"labels": PLANE, "axes": "yx", "name": "cells"},
    "write_multiscale_labels": {"pyramid": LEVELS, "axes": "yx", "name": "cells"},
    "write_plate": {"wells": {"A/1": PLANE}, "axes": "yx"},
    "plan_image": {"image": PLANE, "axes": "yx"},
}
ALONE = [
    True, False, np.True_, 0, 1, -1, 2, 1.5, 2.0, float("nan"), float("inf"), np.int64(2), np.float32(1), 10**30, 1j,
    "", "x", "\n", "None", b"x", object(), len, range(2, 4), Ellipsis, np.array(3), np.ones((2, 2)), np.array([True]),
]  # fmt: skip
SMALL = st.sampled_from([value for value in ALONE if not isinstance(value, np.ndarray)])
NAMES = st.sampled_from(["y", "x", "q", "", 1, None])
VALUES = st.one_of(
    st.sampled_from(ALONE),
    st.lists(SMALL, max_size=3),
    st.lists(SMALL, max_size=3).map(tuple),
    st.lists(SMALL, max_size=2).map(iter),
    st.sampled_from([set(), {2}, {2, 4}, frozenset("yx")]),
    st.dictionaries(NAMES, SMALL, max_size=2),
    st.lists(st.dictionaries(NAMES, SMALL, max_size=2), max_size=2),
    st.lists(st.tuples(SMALL, SMALL), max_size=2),
)
ARGUMENTS = [
    (call, name)
    for call in CALLS
    for name in signature(getattr(daskome, call)).parameters
    if name not in ("group", "metadata", "progress")
]


def refusal(call: str, arguments: dict[str, Any]) -> Exception | None:
    """Return the error of a call; None if it works."""
    try:
        getattr(daskome, call)(**arguments)
    except (ValueError, TypeError, FileExistsError) as error:
        return error
    return None


def is_ours(error: BaseException) -> bool:
    """Whether our code raises it, rather than Python or a library on behalf of our code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return "daskome" in frame.filename and (frame.line or "").lstrip().startswith("raise ")


@cache
def old_image() -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        daskome.write_image(PLANE + 1, Path(folder, "a"), [2], axes="yx", labels={"cells": PLANE})
        return contents(Path(folder))


@pytest.mark.parametrize(("call", "name"), ARGUMENTS)
@pytest.mark.sampled(153)
@law(max_examples=25)
@given(value=VALUES, over=st.booleans())
def test_any_value_works_or_is_refused_before_anything_is_written(call: str, name: str, value: Any, over: bool) -> None:
    with TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        before = old_image() if over else {}
        for path, data in before.items():
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Path(folder, path).write_bytes(data)
        arguments = {**CALLS[call], "group": Path(folder, "a"), **({"overwrite": True} if over else {})}
        error = refusal(call, {**arguments, name: value})
        if error is not None:
            assert is_ours(error), repr(error)
            assert contents(Path(folder)) == before


@pytest.mark.sampled(4)
@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize(
    "arguments",
    [
        {"compute": "Init"},
        {"compute": 0},
        {"overwrite": "no"},
        {"progress": 5},
        {"progress": lambda: None},
        {"retries": "2"},
        {"method": "nope"},
        {"method": len},
        {"method": lambda windows: windows},
        {"method": "os:getcwd"},
        {"memory": "1e400"},
        {"labels": {"a" * 256: PLANE}},
        {"labels": {"é" * 128: PLANE}},
        {"level_paths": "a" * 300 + "{}"},
    ],
    ids=lambda one: f"{next(iter(one))}={str(next(iter(one.values())))[:20]}",
)
def test_an_argument_is_not_refused_late(tmp_path: Path, arguments: dict[str, Any], over: bool) -> None:
    if over:
        daskome.write_image(PLANE + 1, tmp_path / "a", [2], axes="yx")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=next(iter(arguments)).rstrip("s")):
        daskome.write_image(**{"image": PLANE, "group": tmp_path / "a", "axes": "yx", "overwrite": over, **arguments})
    assert contents(tmp_path) == before


NONE_IS_NO_CHOICE = ("axes", "axes_units", "fs_options", "method", "name", "label_metadata")


@pytest.mark.parametrize("value", [False, 0, [], set()], ids=repr)
@pytest.mark.parametrize("call", CALLS)
def test_only_none_means_no_choice(call: str, value: Any) -> None:
    for name in NONE_IS_NO_CHOICE:
        if name in calls_of(getattr(daskome, call)).known:
            with pytest.raises((ValueError, TypeError)), TemporaryDirectory() as folder:
                getattr(daskome, call)(**{**CALLS[call], "group": Path(folder, "a"), name: value})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scale": [True, True]}, "scale has True, which is not a number"),
        ({"scale": {"y": True}}, "scale has True"),
        ({"translation": np.array([True, False])}, "translation has True"),
        ({"scale_factors": True}, "scale_factors True: give a list"),
        ({"scale_factors": [True]}, "scale factor True of axis 'y' must be a whole number"),
        ({"scale_factors": {"y": 2}}, r"scale_factors {'y': 2}: give a list with one such dict per level"),
        ({"scale_factors": {2, 4}}, "scale_factors {2, 4}: give a list"),
        ({"scale_factors": [(2, 2, 2)]}, r"scale factors \(2, 2, 2\) of a level are 3, but the axes are 'yx'"),
        ({"scale_factors": range(2, 4)}, "each a multiple of the previous one"),
        ({"memory": True}, "memory True is not a number of bytes"),
        ({"axes_units": 1}, "axes_units 1: give one"),
        ({"group": ""}, "the path is empty"),
        ({"storage_options": {"compressors": True}}, "storage option 'compressors' is True; give a name"),
        ({"storage_options": {"chunks": {4, 8}}}, "chunks {8, 4}: give a length"),
        ({"storage_options": {"chunks": [True, True]}}, "chunks .*True.* is not a whole number"),
        ({"storage_options": {"chunks": []}}, r"chunks \(\) has 0 values"),
        ({"storage_options": {"write_empty_chunks": "no"}}, "'write_empty_chunks' is 'no'; give True or False"),
        ({"storage_options": {"fill_value": 1.5}}, "'fill_value' is 1.5, which voxels of uint8 cannot be"),
        ({"level_paths": "s{}\n"}, "must be a path"),
        ({"level_paths": "a\x1b/{}"}, "must be a path"),
        ({"workers": True}, "workers=True must be a whole number, 1 or more"),
        ({"threads": 1.5}, "threads=1.5 must be a whole number"),
    ],
)
def test_what_was_given_is_said(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        daskome.plan_image(**{"image": PLANE, "axes": "yx", **arguments})


FACTORS: list[Any] = [
    [2, 4], (2, 4), [2.0, 4.0], [np.int64(2), np.uint8(4)], np.array([2, 4]), [(2, 2), (4, 4)], [[2, 2], [4, 4]],
    np.array([[2, 2], [4, 4]]), [{"y": 2, "x": 2}, {"y": 4, "x": 4}], [2, (4, 4)],
]  # fmt: skip


@pytest.mark.parametrize("factors", FACTORS, ids=repr)
def test_factors_in_many_forms_are_the_same(factors: Any) -> None:
    plan = daskome.plan_image(PLANE, axes="yx", scale_factors=factors)
    assert [level.factors for level in plan.pyramids[0].levels] == [(1, 1), (2, 2), (4, 4)]


def test_what_can_be_read_once_only_is_read_once() -> None:
    factors: Any = (2**k for k in (1, 2))
    plan = daskome.plan_image(PLANE, scale_factors=factors, axes=iter("yx"), scale=iter([2, 1]), labels={"a": PLANE})
    assert [level.factors for level in plan.pyramids[1].levels] == [(1, 1), (2, 2), (4, 4)]


def test_factors_of_several_axes_by_position_can_be_chunks() -> None:
    factors: Any = [(2, 2)]
    with pytest.raises(TypeError, match="can be factors or chunks; use scale_factors="):
        daskome.write_image(PLANE, {}, factors)  # type: ignore[arg-type]
