"""A part of an image as callers select it, by axis names or by position, as a region."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from daskome.model.regions import Region, Shape

Selection = tuple[Region, tuple[int, ...]]
"""A region, and the axes along which it is one index, which the pixels for it need not have."""


def parse_selection(given: Any, names: Sequence[str], shape: Shape) -> Selection:
    """Return the region that a caller selects, and the axes along which it is one index.

    Parameters
    ----------
    given : dict by axis name, or tuple
        Of slices, (start, stop) pairs and indices; axes that are left out are whole. Negative numbers count from the
        end.
    names : sequence of str
        Of the axes.
    shape : tuple of int

    Raises
    ------
    ValueError
        That names the axis along which nothing, or more than there is, is selected.

    Examples
    --------
    >>> parse_selection({"z": slice(0, 64), "t": 5}, "tzyx", (9, 100, 80, 80))
    (((5, 6), (0, 64), (0, 80), (0, 80)), (0,))
    >>> parse_selection((..., (10, 20), -1), "zyx", (100, 80, 80))
    (((0, 100), (10, 20), (79, 80)), (2,))
    >>> parse_selection({"z": (90, 110)}, "zyx", (100, 80, 80))
    Traceback (most recent call last):
    ValueError: region 90:110 of axis 'z' is not within the image, which is 100 long there
    """
    parts = _by_axis(given, names)
    spans = (_span(part, name, n) for part, name, n in zip(parts, names, shape, strict=True))
    return tuple(spans), tuple(i for i, part in enumerate(parts) if isinstance(part, Integral))


def _by_axis(given: Any, names: Sequence[str]) -> list[Any]:
    """Return one part per axis."""
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise ValueError(f"region names axis {name!r}, but the axes of the image are {', '.join(names)}")
        return [given.get(name, slice(None)) for name in names]
    parts = list(given) if isinstance(given, list | tuple) else [given]
    n = sum(part is Ellipsis for part in parts)
    if n > 1 or len(parts) - n > len(names):
        raise ValueError(
            f"region {given!r} has {len(parts)} parts, but the image has the axes {', '.join(names)}; give one part for"
            " each, or a dict by axis name"
        )
    at = parts.index(Ellipsis) if n else len(parts)
    return [*parts[:at], *[slice(None)] * (len(names) - len(parts) + n), *parts[at + n :]]


def _span(part: Any, name: str, n: int) -> tuple[int, int]:
    """Return where a part of an axis begins and ends."""
    start, stop = _edges(part, name)
    first, last = (edge + n if edge < 0 else edge for edge in (start or 0, n if stop is None else stop))
    if isinstance(part, Integral):
        first, last = (first, first + 1)
    if not 0 <= first <= n or not 0 <= last <= n:
        raise ValueError(f"region {_shown(part)} of axis {name!r} is not within the image, which is {n} long there")
    if first >= last:
        raise ValueError(f"region {_shown(part)} of axis {name!r} is empty: it ends where it begins, or before")
    return first, last


def _edges(part: Any, name: str) -> tuple[int | None, int | None]:
    """Return where a part begins and ends as it is given; None: where the axis does."""
    if _is_whole_number(part):
        return int(part), int(part)
    edges = (part.start, part.stop) if isinstance(part, slice) else part
    if isinstance(part, slice) and part.step not in (None, 1):
        raise ValueError(f"region {_shown(part)} of axis {name!r} leaves voxels out; only steps of 1 can be written")
    whole = isinstance(edges, list | tuple) and len(edges) == 2
    if not whole or not all(edge is None or _is_whole_number(edge) for edge in edges):
        raise ValueError(f"region {part!r} of axis {name!r} must be a slice, a (start, stop) pair, or an index")
    start, stop = edges
    return (None if start is None else int(start)), (None if stop is None else int(stop))


def _shown(part: Any) -> str:
    """Return a part as it is written between brackets."""
    if isinstance(part, Integral):
        return str(part)
    edges = [part.start, part.stop, *([] if part.step is None else [part.step])] if isinstance(part, slice) else part
    return ":".join("" if edge is None else str(edge) for edge in edges)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
