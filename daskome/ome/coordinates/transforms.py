"""Transformations in closed form as matrices: what they do to points (0.6, "coordinateTransformations").

A matrix is homogeneous: a row for each axis after it, a column for each before it, and one more of both.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daskome.model.json_values import JSONDict, JSONObject
from daskome.ome.rules.addresses import items_of, objects_of, type_of

Matrix: TypeAlias = NDArray[np.float64]
SINGULAR = 1e-12
"""The smallest ratio of the volumes after and before a matrix, its columns being of length 1, that can be undone."""


def matrix_of(transform: JSONObject, before: int) -> Matrix:
    """Return what a transformation does to points, as a matrix.

    Parameters
    ----------
    transform : dict
        As the metadata state it, and valid.
    before : int
        The number of axes that it leads from.

    Returns
    -------
    numpy.ndarray
        A row for each axis after it and one more, a column for each axis before it and one more.

    Raises
    ------
    ValueError
        If its values lie in an array, as those of displacements do, or it is of an unknown type.

    Examples
    --------
    >>> steps = [{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [0, 1]}]
    >>> matrix_of({"type": "sequence", "transformations": steps}, 2) @ [10, 10, 1]
    array([20., 31.,  1.])
    """
    make = MATRICES.get(type_of(transform))
    if make is None or "path" in transform:
        raise ValueError(f"{type_of(transform) or 'a transformation'} has no matrix: its values lie in an array")
    return make(transform, before)


def is_closed(transform: JSONObject) -> bool:
    """Whether a transformation has a matrix, and all of it stands in the metadata.

    >>> is_closed({"type": "identity"}), is_closed({"type": "affine", "path": "matrix"})
    (True, False)
    """
    kind = type_of(transform)
    parts = [part for _, part in objects_of(transform, "transformations")]
    inner = [part.get("transformation", {}) for part in parts] if kind == "byDimension" else parts
    inner += [transform.get(key, {}) for key in ("forward", "inverse") if kind == "bijection"]
    return kind in MATRICES and "path" not in transform and all(map(is_closed, inner))


def simplest(matrix: Matrix, tolerance: float = 1e-6) -> JSONDict:
    """Return a matrix as the simplest transformation that it is, as the specification prefers.

    One to more axes stands in a ``byDimension`` of all of them: by itself, ome-zarr-models takes its rows for as many
    axes of the image.

    >>> simplest(np.array([[2.0, 0, 0], [0, 2, 0], [0, 0, 1]]))
    {'type': 'scale', 'scale': [2.0, 2.0]}
    >>> simplest(np.array([[2.0, 1], [0, 7], [0, 1]]))["transformations"]
    [{'inputAxes': [0], 'outputAxes': [0, 1], 'transformation': {'type': 'affine', 'affine': [[2.0, 1.0], [0.0, 7.0]]}}]
    """
    linear, shift = matrix[:-1, :-1], matrix[:-1, -1]
    square = linear.shape[0] == linear.shape[1]
    straight = square and np.allclose(linear, np.diag(np.diag(linear)), rtol=0, atol=tolerance)
    sizes, moved = (np.diag(linear) if square else shift), not np.allclose(shift, 0, rtol=0, atol=tolerance)
    if straight and np.allclose(sizes, 1, rtol=0, atol=tolerance):
        return {"type": "translation", "translation": shift.tolist()} if moved else {"type": "identity"}
    if straight and not moved and (sizes > 0).all():
        return {"type": "scale", "scale": sizes.tolist()}
    affine: JSONDict = {"type": "affine", "affine": matrix[:-1].tolist()}
    sides = {"inputAxes": [*range(linear.shape[1])], "outputAxes": [*range(linear.shape[0])]}
    return affine if square else {"type": "byDimension", "transformations": [{**sides, "transformation": affine}]}


def is_singular(rows: Sequence[Sequence[float]]) -> bool:
    """Whether the rows of an affine matrix, with as many axes after as before it, or more, take several points to one.

    >>> is_singular([[1, 2, 0], [2, 4, 0]]), is_singular([[1e-9, 0, 5], [0, 1e-9, 5]]), is_singular([[1, 0], [1, 0]])
    (True, False, False)
    """
    linear = np.array(rows, float)[:, :-1]
    lengths = np.linalg.norm(linear, axis=0)
    return bool((lengths == 0).any() or np.prod(np.linalg.svd(linear / lengths, compute_uv=False)) < SINGULAR)


def placing(scale: Sequence[float], translation: Sequence[float]) -> Matrix:
    """Return the matrix of a scale and a translation after it."""
    matrix = np.diag([*scale, 1.0])
    matrix[:-1, -1] = translation
    return matrix


def _identity(transform: JSONObject, before: int) -> Matrix:
    return np.eye(before + 1)


def _scale(transform: JSONObject, before: int) -> Matrix:
    return np.diag([*map(float, transform["scale"]), 1.0])


def _translation(transform: JSONObject, before: int) -> Matrix:
    return placing([1.0] * before, transform["translation"])


def _affine(transform: JSONObject, before: int) -> Matrix:
    return np.vstack([np.array(transform["affine"], float), np.eye(before + 1)[-1]])


def _rotation(transform: JSONObject, before: int) -> Matrix:
    matrix = np.eye(before + 1)
    matrix[:-1, :-1] = transform["rotation"]
    return matrix


def _map_axis(transform: JSONObject, before: int) -> Matrix:
    return np.eye(before + 1)[[*map(int, transform["mapAxis"]), before]]


def _project_axis(transform: JSONObject, before: int) -> Matrix:
    dropped, created = ({*map(int, items_of(transform, key))} for key in ("droppedInputs", "createdOutputs"))
    after = before - len(dropped) + len(created)
    matrix = np.zeros((after + 1, before + 1))
    kept = [i for i in range(before + 1) if i not in dropped]
    matrix[[i for i in range(after + 1) if i not in created], kept] = 1
    return matrix


def _sequence(transform: JSONObject, before: int) -> Matrix:
    matrix = np.eye(before + 1)
    for step in transform["transformations"]:
        matrix = matrix_of(step, len(matrix) - 1) @ matrix
    return matrix


def _by_dimension(transform: JSONObject, before: int) -> Matrix:
    parts = transform["transformations"]
    matrix = np.zeros((1 + sum(len(part["outputAxes"]) for part in parts), before + 1))
    matrix[-1, -1] = 1
    for part in parts:
        inputs, outputs = ([int(i) for i in part[key]] for key in ("inputAxes", "outputAxes"))
        matrix[np.ix_(outputs, [*inputs, before])] = matrix_of(part["transformation"], len(inputs))[:-1]
    return matrix


def _forward(transform: JSONObject, before: int) -> Matrix:
    return matrix_of(transform["forward"], before)


MATRICES: Mapping[str, Callable[[Any, int], Matrix]] = {
    "identity": _identity,
    "scale": _scale,
    "translation": _translation,
    "affine": _affine,
    "rotation": _rotation,
    "mapAxis": _map_axis,
    "projectAxis": _project_axis,
    "sequence": _sequence,
    "byDimension": _by_dimension,
    "bijection": _forward,
}
"""The types of transformations that have a matrix."""
