"""Arrays that transformations take their values from: that they are there, and fit (0.6)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zarr.storage import StorePath

from daskome.inspection.stored_image import StoredImage, read_stored_image
from daskome.model.json_values import JSONObject
from daskome.model.paths import is_inside
from daskome.model.problem import Problem
from daskome.ome.metadata import TRANSFORMS
from daskome.ome.rules.addresses import objects_of, type_of
from daskome.ome.rules.dimensions import DEEPEST
from daskome.stores.groups import find_array

Findings = Iterator[Problem]
FIELDS = {"displacements": "displacement", "coordinates": "coordinate"}
"""The type of the axis along which an array of vectors holds their numbers."""


def array_findings(
    transform: JSONObject, where: str, place: StorePath, before: int | None, after: int | None
) -> Findings:
    """Yield what is wrong with the arrays that a transformation names, and those inside it.

    Parameters
    ----------
    transform : dict
        As it is stored.
    where : str
        Its address.
    place : StorePath
        Of the group in whose metadata it stands.
    before, after : int, optional
        The numbers of axes that it leads from and to, where they are known.
    """
    todo: list[tuple[JSONObject, str, int | None, int | None, int]] = [(transform, where, before, after, 0)]
    while todo:
        one, at, n, m, depth = todo.pop()
        path, kind = one.get("path"), type_of(one)
        if isinstance(path, str) and kind in (*FIELDS, "affine", "rotation"):
            problem = _problem(kind, place, path, n, m)
            if problem:
                yield Problem(f"{at}/path", problem, section=TRANSFORMS)
        if depth < DEEPEST:
            todo += [(part, key, *sizes, depth + 1) for part, key, sizes in _parts(one, at, (n, m))]


_Sizes = tuple[int | None, int | None]


def _parts(transform: JSONObject, where: str, sizes: _Sizes) -> Iterator[tuple[JSONObject, str, _Sizes]]:
    for at, part in objects_of(transform, "transformations", where):
        inner = part.get("transformation") if type_of(transform) == "byDimension" else part
        if isinstance(inner, Mapping):
            yield inner, at if inner is part else f"{at}/transformation", (None, None)
    for key, own in (("forward", sizes), ("inverse", sizes[::-1])):
        inner = transform.get(key)
        if isinstance(inner, Mapping):
            yield inner, f"{where}/{key}", own


def _problem(kind: str, place: StorePath, path: str, before: int | None, after: int | None) -> str:
    """Return, in words, what is wrong with the array at a path; empty for nothing."""
    if not is_inside(path):
        return f"{path!r} must be a path inside the group, such as 'coordinateTransformations/{kind}'"
    if kind in FIELDS:
        return _problem_of_field(kind, place / path, path, before, before if kind == "displacements" else after)
    array = find_array(place / path)
    if array is None:
        return f"{path!r}: there is no zarr array"
    rows, columns = (after, before if kind == "rotation" or before is None else before + 1)
    shape: Sequence[Any] = array.shape
    wanted = (rows, columns)
    if len(shape) != 2 or any(k is not None and k != n for k, n in zip(wanted, shape, strict=True)):
        said = "×".join("?" if k is None else str(k) for k in wanted)
        return f"{path!r} has shape {tuple(shape)}; a matrix of {said} is needed"
    return ""


def _problem_of_field(kind: str, place: StorePath, path: str, before: int | None, vector: int | None) -> str:
    image = read_stored_image(place)
    if not isinstance(image, StoredImage):
        return f"{path!r}: there is no multiscale image of {kind} ({image.message})"
    axes = [axis.type for axis in image.axes]
    if before is not None and len(axes) != before + 1:
        return f"{path!r} has {len(axes)} axes; {kind} of {before} axes have {before + 1}"
    if axes.count(FIELDS[kind]) != 1:
        return f"{path!r} has axes of type {', '.join(map(str, axes))}; one of them must be {FIELDS[kind]!r}"
    along = axes.index(FIELDS[kind])
    lengths = {array.shape[along] for _, array in image.stored}
    if vector is not None and lengths - {vector}:
        return f"{path!r} is {max(lengths - {vector})} long along its {FIELDS[kind]} axis; it must be {vector}"
    return ""
