"""Orientations: from where to where in a body the coordinates along an axis of space rise (RFC-4)."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from daskome.model.json_values import shown_value

ANATOMICAL = "anatomical"
"""The only type of orientation."""
_PAIRS = (
    "left right, anterior posterior, inferior superior, dorsal ventral, dorsal palmar, dorsal plantar, rostral caudal, "
    "cranial caudal, proximal distal, superficial deep, apical basal, apex base"
)
ORIENTATIONS = tuple(
    f"{start}-to-{end}" for pair in _PAIRS.split(", ") for start, end in (pair.split(), pair.split()[::-1])
)
"""All 24, those of one direction and its opposite side by side."""
LETTERS = {
    "R": "left-to-right",
    "L": "right-to-left",
    "A": "posterior-to-anterior",
    "P": "anterior-to-posterior",
    "S": "inferior-to-superior",
    "I": "superior-to-inferior",
}
"""Orientations by where they lead to, as in RAS and LPS."""


class OrientedAxis(NamedTuple):
    """An axis as far as its orientation goes; None for no orientation."""

    name: Any
    type: Any
    orientation: str | None


class OrientationFault(NamedTuple):
    """What is wrong with the orientation of an axis, and which axis that is."""

    position: int
    message: str


def orientation_faults(axes: Iterable[OrientedAxis]) -> Iterator[OrientationFault]:
    """Yield which orientations axes of an image cannot have: only those of space have one, each a direction of its own.

    Examples
    --------
    >>> axes = [OrientedAxis("y", "space", "left-to-right"), OrientedAxis("x", "space", "right-to-left")]
    >>> [fault.message for fault in orientation_faults(axes)]
    ["is 'right-to-left', but axis 'y' is 'left-to-right' already; each direction is that of one axis"]
    """
    seen: dict[frozenset[str], OrientedAxis] = {}
    for i, axis in enumerate(axes):
        if axis.orientation is None:
            continue
        if axis.type != "space":
            yield OrientationFault(i, f"is of an axis of type {shown_value(axis.type)}; only axes of space have one")
            continue
        other = seen.setdefault(frozenset(axis.orientation.split("-to-")), axis)
        if other is not axis:
            there = f"axis {shown_value(other.name)} is {other.orientation!r} already"
            yield OrientationFault(i, f"is {axis.orientation!r}, but {there}; each direction is that of one axis")
