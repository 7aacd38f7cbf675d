"""Paths in metadata, relative to the group that states them."""

from collections.abc import Iterable
from typing import Any


def is_inside(path: Any) -> bool:
    """Return whether a path leads to something inside the group.

    It does not begin with a slash, and no part of it consists of dots only, which zarr refuses as the name of a node.
    Slashes at the end, or several in a row, count for nothing, as in zarr.

    Examples
    --------
    >>> [is_inside(path) for path in ("s0", "a/b/", "a//b", ".a")]
    [True, True, True, True]
    >>> [is_inside(path) for path in ("", "/s0", ".", "a/../b", "a/...", 0)]
    [False, False, False, False, False, False]
    """
    parts = path.split("/") if isinstance(path, str) else [""]
    return parts[0] != "" and all(part.strip(".") or not part for part in parts)


def paths_inside(paths: Iterable[Any]) -> list[str]:
    """Return the paths that lead to something inside the group, once each, without slashes that count for nothing.

    >>> paths_inside(["s0", "s0/", 1, "a//b", "../s0"])
    ['s0', '1', 'a/b']
    """
    inside = ("/".join(filter(None, path.split("/"))) for path in map(str, paths) if is_inside(path))
    return list(dict.fromkeys(inside))
