"""Paths of groups and arrays: joined, compared, and those in metadata, relative to the group that states them."""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

LONGEST_NAME = 255
"""Bytes of the longest name that file systems take."""


def is_inside(path: Any) -> bool:
    r"""Return whether a path leads to something inside the group.

    It does not begin with a slash, and no part of it consists of dots only, which zarr refuses as the name of a node;
    nor is there a character that no file system takes.
    Slashes at the end, or several in a row, count for nothing, as in zarr.

    Examples
    --------
    >>> [is_inside(path) for path in ("s0", "a/b/", "a//b", ".a")]
    [True, True, True, True]
    >>> [is_inside(path) for path in ("", "/s0", ".", "a/../b", "a/...", "a\0", 0)]
    [False, False, False, False, False, False, False]
    """
    parts = path.split("/") if isinstance(path, str) else [""]
    return parts[0] != "" and all(part.strip(".") or not part for part in parts) and "\0" not in path


def has_short_names(path: str) -> bool:
    """Whether file systems take each name in a path: they have at most 255 bytes.

    >>> has_short_names("labels/" + 255 * "a"), has_short_names("labels/" + 128 * "é")
    (True, False)
    """
    return all(len(name.encode(errors="replace")) <= LONGEST_NAME for name in path.split("/"))


def check_inside(path: str, what: str) -> None:
    """Raise a ValueError if a path that a store states leads out of the group that states it."""
    if not is_inside(path):
        raise ValueError(f"{what} {path!r} leads out of its group")


def paths_inside(paths: Iterable[Any]) -> list[str]:
    """Return the paths that lead to something inside the group, once each, without slashes that count for nothing.

    >>> paths_inside(["s0", "s0/", 1, "a//b", "../s0"])
    ['s0', '1', 'a/b']
    """
    inside = ("/".join(filter(None, path.split("/"))) for path in map(str, paths) if is_inside(path))
    return list(dict.fromkeys(inside))


def parents_of(path: str) -> list[str]:
    """Return the paths above a path in a store, the nearest first.

    >>> parents_of("A/1/0"), parents_of("")
    (['A/1', 'A', ''], [])
    """
    names = path.split("/") if path else []
    return ["/".join(names[:n]) for n in range(len(names) - 1, -1, -1)]


def join_paths(*paths: str) -> str:
    """Return paths as one; an empty one, such as that of the target itself, leaves no trace.

    >>> join_paths("", "labels", "cells"), join_paths("", "")
    ('labels/cells', '')
    """
    return "/".join(filter(None, paths))


def depth_of(path: str) -> int:
    """Return how many names a path has: 0 for the target itself."""
    return len(path.split("/")) if path else 0


def common_path(paths: Sequence[str]) -> str:
    """Return the path of the deepest group that all groups lie in, or are.

    >>> common_path(["A/1/0", "A/1/1"]), common_path(["A/1/0", "B/2/0"]), common_path(["labels/cells"])
    ('A/1', '', 'labels/cells')
    """
    names = zip(*(path.split("/") for path in paths), strict=False)
    return "/".join(alike[0] for alike in takewhile(lambda alike: len(set(alike)) == 1, names))
