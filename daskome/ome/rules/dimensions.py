"""Whether a transformation fits the number of axes that it leads from and to (0.6, "coordinateTransformations")."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from math import isclose, isfinite
from typing import Any, NamedTuple, TypeGuard

from daskome.model.json_values import JSONObject, is_integer, is_list, is_number, shown_value
from daskome.model.problem import Problem
from daskome.ome.metadata import TRANSFORMS
from daskome.ome.rules.addresses import objects_of, type_of
from daskome.ome.rules.objects import PARAMETERS

DEEPEST = 16
"""How deep transformations inside transformations are looked into."""
TOLERANCE = 1e-3
"""Of products of the rows of a rotation."""


class Step(NamedTuple):
    """A transformation, where it stands, the numbers of axes before and after it, if known, and the version."""

    transform: JSONObject
    where: str
    before: int | None
    after: int | None
    version: str
    depth: int = 0

    def inside(self, key: str, transform: Any, before: int | None, after: int | None) -> "Step":
        """Return a step for a transformation that is a part of this one."""
        return Step(transform, f"{self.where}/{key}", before, after, self.version, self.depth + 1)

    def problem(self, key: str, message: str) -> Problem:
        """Return a problem of a key of the transformation, or of itself for ""."""
        return Problem(f"{self.where}/{key}".rstrip("/"), message, section=TRANSFORMS)


Walk = Generator[Problem, None, int | None]
"""Problems of a step, and in the end the number of axes after it."""


def checked_dimensions(
    transform: JSONObject, where: str, before: int | None, after: int | None, version: str
) -> Iterator[Problem]:
    """Yield where a transformation does not fit the numbers of axes before and after it; None for unknown ones.

    Examples
    --------
    >>> scale = {"type": "scale", "scale": [2, 2]}
    >>> print(*checked_dimensions(scale, "coordinateTransformations/0", 3, 3, "0.6"))
    coordinateTransformations/0/scale: has 2 values, but there are 3 axes (section 'coordinateTransformations')
    """
    yield from _through(Step(transform, where, before, after, version))


def _through(step: Step) -> Walk:
    """Yield the problems of a step and of those inside it; return the number of axes after it."""
    if not isinstance(step.transform, Mapping) or step.depth > DEEPEST:
        return step.after
    walk = STEPS.get(type_of(step.transform))
    if walk is None or not _is_whole(step):
        return step.after
    result = yield from walk(step)
    if result is not None and step.after is not None and result != step.after:
        yield step.problem("", f"leads to {result} axes, but there are {step.after}")
    return step.after if step.after is not None else result


def _is_whole(step: Step) -> bool:
    """Whether the parameters are what their rules ask for; these report what is not."""
    rules = PARAMETERS["any"].get(type_of(step.transform), ())
    return all(
        rule.kind.holds(step.transform[rule.key]) if rule.key in step.transform else not rule.must
        for rule in rules
        if step.version in rule.versions and not rule.lax
    )


def _same(step: Step) -> Walk:
    yield from ()
    return step.after if step.before is None else step.before


def _unknown(step: Step) -> Walk:
    yield from ()
    return step.after


def _vector(step: Step) -> Walk:
    kind = type_of(step.transform)
    values, n = step.transform.get(kind), step.after if step.before is None else step.before
    if not is_list(values):
        return n
    wrong = next((m for m in (step.before, step.after) if m is not None and m != len(values)), None)
    if wrong is not None:
        yield step.problem(kind, f"has {len(values)} values, but there are {wrong} axes")
        return step.after
    return n


def _map_axis(step: Step) -> Walk:
    order = step.transform.get("mapAxis")
    if not _are_indices(order):
        return step.after
    if sorted(order) != [*range(len(order))]:
        yield step.problem("mapAxis", f"must be each of 0 to {len(order) - 1} once, as there are {len(order)}")
        return step.after
    if step.before not in (None, len(order)):
        yield step.problem("mapAxis", f"has {len(order)} values, but there are {step.before} axes")
        return step.after
    return len(order)


def _project_axis(step: Step) -> Walk:
    dropped, created = (step.transform.get(key, []) for key in ("droppedInputs", "createdOutputs"))
    if step.before is None or not _are_indices(dropped) or not _are_indices(created):
        return step.after
    after = step.before - len(dropped) + len(created)
    for key, indices, n in (("droppedInputs", dropped, step.before), ("createdOutputs", created, after)):
        yield from _out_of_range(step, key, indices, n)
    return after


def _out_of_range(step: Step, key: str, indices: Sequence[int], n: int | None) -> Iterator[Problem]:
    beyond = [int(i) for i in indices if n is not None and i >= n]
    if beyond:
        yield step.problem(key, f"names axis {shown_value(beyond[0])}, but there are {n} axes, counted from 0")


def _matrix(step: Step) -> Walk:
    """``affine``: a row for each axis after it; in each a number for each axis before it, and one more."""
    rows = step.transform.get("affine")
    if not is_list(rows) or not rows or not all(is_list(row) for row in rows):
        return step.after
    lengths = {len(row) for row in rows}
    wanted = len(rows[0]) if step.before is None else step.before + 1
    if lengths != {wanted}:
        yield step.problem("affine", f"has rows of {min(lengths - {wanted})} numbers; they must have {wanted}")
    return len(rows)


def _rotation(step: Step) -> Walk:
    rows = step.transform.get("rotation")
    if not is_list(rows) or not rows or not all(is_list(r) and all(map(_is_finite, r)) for r in rows):
        return (yield from _same(step))
    if step.before not in (None, len(rows)) or {len(row) for row in rows} != {len(rows)}:
        yield step.problem("rotation", f"has {len(rows)} rows; it must be a square of {step.before or len(rows)}")
    elif not _is_rotation(rows):
        yield step.problem("rotation", "rows must be orthonormal, and the determinant 1")
    return len(rows)


def _is_rotation(rows: Sequence[Sequence[float]]) -> bool:
    pairs = [(i, j) for i in range(len(rows)) for j in range(i + 1)]
    products = [sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) for i, j in pairs]
    near = all(isclose(p, i == j, abs_tol=TOLERANCE) for p, (i, j) in zip(products, pairs, strict=True))
    return near and isclose(_determinant(rows), 1, abs_tol=TOLERANCE)


def _determinant(rows: Sequence[Sequence[float]]) -> float:
    """Return the determinant of a matrix whose rows are orthonormal, by elimination."""
    rest, total = [list(row) for row in rows], 1.0
    while rest:
        k = max(range(len(rest)), key=lambda i: abs(rest[i][0]))
        pivot = rest.pop(k)
        total *= pivot[0] * (-1 if k % 2 else 1)
        rest = [[b - a * row[0] / pivot[0] for a, b in zip(pivot[1:], row[1:], strict=True)] for row in rest]
    return total


def _sequence(step: Step) -> Walk:
    parts = objects_of(step.transform, "transformations")
    n = step.before
    for k, (at, part) in enumerate(parts, start=1):
        n = yield from _through(step.inside(at, part, n, step.after if k == len(parts) else None))
    return n


def _by_dimension(step: Step) -> Walk:
    """Each axis after it is made by exactly one of the parts."""
    made: list[Any] = []
    for at, item in objects_of(step.transform, "transformations"):
        inputs, outputs = item.get("inputAxes"), item.get("outputAxes")
        if not _are_indices(inputs) or not _are_indices(outputs):
            return step.after
        yield from _out_of_range(step, f"{at}/inputAxes", inputs, step.before)
        yield from _out_of_range(step, f"{at}/outputAxes", outputs, step.after)
        twice = [int(i) for k, i in enumerate(outputs) if i in (*made, *outputs[:k])]
        if twice:
            yield step.problem(f"{at}/outputAxes", f"makes axis {twice[0]} again; each must be made once")
        yield from _through(step.inside(f"{at}/transformation", item.get("transformation"), len(inputs), len(outputs)))
        made += outputs
    n = len(set(made)) if step.after is None else step.after
    missing = [i for i in range(n) if i not in made]
    if missing:
        yield step.problem("transformations", f"make no axis {missing[0]}; each of {n} must be made once")
    return n


def _bijection(step: Step) -> Walk:
    if step.before is not None and step.after is not None and step.before != step.after:
        yield step.problem("", f"leads from {step.before} axes to {step.after}; there must be as many")
        return step.after
    for key in ("forward", "inverse"):
        n = yield from _same(step)
        yield from _through(step.inside(key, step.transform.get(key), n, n))
    return (yield from _same(step))


def _are_indices(value: Any) -> TypeGuard[Sequence[int]]:
    return is_list(value) and all(is_integer(i) and i >= 0 for i in value)


def _is_finite(value: Any) -> bool:
    return is_number(value) and abs(value) < 1e300 and isfinite(value)


STEPS: Mapping[str, Callable[[Step], Walk]] = {
    "identity": _same,
    "displacements": _same,
    "coordinates": _unknown,
    "scale": _vector,
    "translation": _vector,
    "mapAxis": _map_axis,
    "projectAxis": _project_axis,
    "affine": _matrix,
    "rotation": _rotation,
    "sequence": _sequence,
    "byDimension": _by_dimension,
    "bijection": _bijection,
}
"""How each type of transformation changes the number of axes."""
