"""Transformations do to points what others say they do: ome-zarr-models applies them one by one."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from daskome.ome.coordinates.transforms import is_singular, matrix_of, placing, simplest
from tests.strategies import law

NUMBERS = st.floats(-9, 9).map(lambda number: round(number, 3))


def vectors(n: int) -> st.SearchStrategy[list[float]]:
    return st.lists(NUMBERS, min_size=n, max_size=n)


def turned(angle: float, order: list[int]) -> list[list[float]]:
    """Return a rotation about the first of some axes."""
    matrix = np.eye(len(order))
    i, j = order[-2:]
    matrix[np.ix_([i, j], [i, j])] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    rows: list[list[float]] = matrix.tolist()
    return rows


def steps(n: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for transformations of n axes to n axes, of every type in closed form that others apply."""
    orders = st.permutations(range(n))
    return st.one_of(
        st.just({"type": "identity"}),
        st.lists(st.floats(0.1, 9), min_size=n, max_size=n).map(lambda v: {"type": "scale", "scale": v}),
        vectors(n).map(lambda v: {"type": "translation", "translation": v}),
        orders.map(lambda order: {"type": "mapAxis", "mapAxis": order}),
        st.lists(vectors(n + 1), min_size=n, max_size=n).map(lambda m: {"type": "affine", "affine": m}),
        st.tuples(NUMBERS, orders).map(lambda pair: {"type": "rotation", "rotation": turned(*pair)}),
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
@law(100)
@given(data=st.data(), n=st.integers(2, 4))
def test_a_matrix_does_what_the_transformations_do(data: st.DataObject, n: int) -> None:
    from ome_zarr_models.v06.coordinate_transforms import AnyTransform
    from pydantic import TypeAdapter

    parts = data.draw(st.lists(steps(n), min_size=1, max_size=3))
    point = data.draw(vectors(n))
    want = point
    for part in parts:
        want = TypeAdapter(AnyTransform).validate_python({**part, **ENDS}).transform_point(want)
    found = matrix_of({"type": "sequence", "transformations": parts}, n) @ [*point, 1]
    assert np.allclose(found, [*want, 1], rtol=1e-9, atol=1e-9)


ENDS = {"input": {"name": "a"}, "output": {"name": "b"}}


@law(50)
@given(data=st.data(), n=st.integers(2, 4))
def test_the_simplest_form_is_the_same_matrix(data: st.DataObject, n: int) -> None:
    matrix = matrix_of(data.draw(steps(n)), n)
    assert np.allclose(matrix_of(simplest(matrix), n), matrix, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("transform", "point", "want"),
    [
        ({"type": "projectAxis", "createdOutputs": [0, 1]}, [3, 4], [0, 0, 3, 4]),
        ({"type": "projectAxis", "droppedInputs": [0], "createdOutputs": [0]}, [9, 3, 4], [0, 3, 4]),
        ({"type": "affine", "affine": [[0, 0, 1], [3, 4, 2], [6, 7, 5]]}, [1, 1], [1, 9, 18]),
        ({"type": "bijection", "forward": {"type": "translation", "translation": [1, 2]}, "inverse": {}}, [0, 0], [1, 2]),
        (
            {"type": "byDimension", "transformations": [
                {"inputAxes": [2], "outputAxes": [0], "transformation": {"type": "scale", "scale": [5]}},
                {"inputAxes": [0, 1], "outputAxes": [2, 1], "transformation": {"type": "translation", "translation": [1, 2]}},
            ]},
            [10, 20, 30], [150, 22, 11],
        ),
    ],
)  # fmt: skip
def test_points_as_the_specification_has_them(transform: Any, point: list[float], want: list[float]) -> None:
    assert (matrix_of(transform, len(point)) @ [*point, 1]).tolist() == [*want, 1]


@pytest.mark.parametrize("transform", [{"type": "displacements", "path": "d"}, {"type": "affine", "path": "a"}, {}])
def test_what_lies_in_arrays_has_no_matrix(transform: Any) -> None:
    with pytest.raises(ValueError, match="has no matrix"):
        matrix_of(transform, 2)


def test_singular() -> None:
    assert is_singular([[1, 0, 0], [0, 0, 1]])
    assert not is_singular(placing([1e-6, 1e6], [0, 0])[:-1].tolist())
