"""One rule of axes: what a writer refuses, `find_problems` finds in the attributes, and the other way round."""

import re
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from daskome.model.axes import TYPES, Axis
from daskome.model.orientations import ORIENTATIONS
from daskome.model.problem import Problem
from daskome.ome.axes_rule import check_axes
from daskome.ome.metadata import CoordinateSystem, Dataset, Metadata, Multiscale
from daskome.ome.read import read_metadata
from daskome.ome.rules.walk import find_problems
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from tests.strategies import law

AXES = [*(Axis(name, kind) for name, kind in TYPES.items()), Axis("a", "angle"), Axis("u", "space"), Axis("v", "time")]
images = st.lists(st.sampled_from(AXES), min_size=2, max_size=5, unique_by=lambda axis: axis.name)
oriented = st.lists(
    st.builds(Axis, st.just("a"), st.sampled_from(["space", "space", "time"]), orientation=st.sampled_from(ORIENTATIONS)),
    min_size=2, max_size=3,
).map(lambda axes: [replace(axis, name=f"a{i}") for i, axis in enumerate(axes)])  # fmt: skip


def problems_of_axes(version: str, axes: list[Axis]) -> list[Problem]:
    """Return what is found in stored attributes of an image with these axes, as to their number and order."""
    ones = (1.0,) * len(axes)
    image = Multiscale((Dataset("s0", ones),), (CoordinateSystem("physical", tuple(axes)),))
    attributes = to_attributes(VERSIONS[version], Metadata((image,)))
    return [problem for problem in find_problems(attributes, version) if problem.where.endswith("/axes")]


@law()
@given(version=st.sampled_from(["0.4", "0.5", "0.6", "0.9.dev1"]), axes=images)
def test_writers_refuse_what_is_an_error_and_warn_of_the_rest(version: str, axes: list[Axis]) -> None:
    problems = problems_of_axes(version, axes)
    with expected(problems[0]) if problems else nullcontext():
        VERSIONS[version].check_axes(axes)


@law()
@given(axes=oriented)
def test_writers_refuse_orientations_that_are_an_error(axes: list[Axis]) -> None:
    """What is found where the specification defines them is refused in every version."""
    image = Multiscale((Dataset("s0", (1.0,) * len(axes)),), (CoordinateSystem("physical", tuple(axes)),))
    attributes = to_attributes(VERSIONS["0.9.dev1"], Metadata((image,)))
    found = [p for p in find_problems(attributes, "0.9.dev1") if p.where.endswith("/orientation")]
    directions = [frozenset(axis.orientation.split("-to-")) for axis in axes if axis.orientation and axis.spatial]
    wrong = len(directions) < len(axes) or len(set(directions)) < len(directions)
    assert bool(found) == wrong
    assert not any(problem.warning for problem in found)
    if wrong:
        with pytest.raises(ValueError, match=f"orientation of axis .* {re.escape(found[0].message)}"):
            check_axes(axes, free=True)
    else:
        read = read_metadata(attributes).multiscales[0]
        assert [axis.orientation for axis in read.axes] == [axis.orientation for axis in axes]


def expected(problem: Problem) -> AbstractContextManager[Any]:
    if problem.warning:
        return pytest.warns(UserWarning, match=problem.message)
    return pytest.raises(ValueError, match=problem.message)


@pytest.mark.parametrize("names", ["yx", "zyx", "tczyx", "tyx", "xy", "cty", "zcyx"])
def test_order_of_old_versions(names: str) -> None:
    axes = [Axis(name, TYPES[name]) for name in names]
    problems = problems_of_axes("0.3", axes)
    assert [problem.message.startswith("must be t, c, z, y, x only") for problem in problems] == (
        [] if list(names) == [name for name in "tczyx" if name in names] else [True]
    )
    for problem in problems:
        with pytest.raises(ValueError, match=problem.message):
            VERSIONS["0.3"].check_axes(axes)


@pytest.mark.parametrize("version", [name for name, version in VERSIONS.items() if not version.free_axes])
def test_no_writer_makes_an_image_of_axes_of_arrays(version: str) -> None:
    with pytest.raises(ValueError, match=r"have 0 of space|must be t, c, z, y, x only"):
        VERSIONS[version].check_axes([Axis("i", "array"), Axis("j", "array")])
