"""Arrays that transformations take their values from, by their paths (0.6)."""

from collections.abc import Iterator, Mapping
from typing import Any

from daskome.model.paths import is_inside
from daskome.ome.coordinates.transforms import Matrix

ARRAY_TYPES = ("affine", "rotation", "displacements", "coordinates")
"""The types of transformations whose values may lie in an array."""
MATRIX_TYPES = ARRAY_TYPES[:2]
"""Those that have a matrix, which may as well stand in the metadata, under their own name."""


def arrays_named_in(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the type of each transformation in some metadata that names an array inside its group, and the path.

    >>> list(arrays_named_in([{"type": "sequence", "transformations": [{"type": "affine", "path": "a"}]}]))
    [('affine', 'a')]
    """
    todo = [value]
    while todo:
        one = todo.pop()
        if isinstance(one, Mapping):
            kind, path = one.get("type"), one.get("path")
            if kind in ARRAY_TYPES and is_inside(path):
                yield str(kind), str(path)
        todo += one.values() if isinstance(one, Mapping) else one if isinstance(one, list) else ()


def with_matrices(value: Any, matrices: Mapping[str, Matrix]) -> Any:
    """Return metadata in which matrices that lie in arrays, here by their paths, stand themselves.

    >>> import numpy as np
    >>> with_matrices({"type": "rotation", "path": "a"}, {"a": np.eye(2)})
    {'type': 'rotation', 'rotation': [[1.0, 0.0], [0.0, 1.0]]}
    """
    if isinstance(value, list):
        return [with_matrices(part, matrices) for part in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("type") in MATRIX_TYPES and str(value.get("path")) in matrices:
        rest, kind = {key: part for key, part in value.items() if key != "path"}, str(value["type"])
        return {**rest, kind: rest.get(kind, matrices[str(value["path"])].tolist())}
    return {key: with_matrices(part, matrices) for key, part in value.items()}
