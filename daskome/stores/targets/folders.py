"""What the folders of a store allow, asked before anything in them is changed: links, and the right to write."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from zarr.storage import StorePath

from daskome.model.paths import parents_of
from daskome.stores.location import folder_of

MAY_CHANGE = os.R_OK | os.W_OK | os.X_OK


def links_to(target: StorePath, paths: Iterable[str]) -> Iterator[str]:
    """Yield, in words, each link that some paths inside a target lead through, or are. Links above it are the caller's.

    In stores other than folders there are none.
    """
    root = folder_of(target)
    if root is not None:
        steps = dict.fromkeys(inner for path in paths for inner in (*reversed(parents_of(path)), path) if inner)
        for folder in (root / inner for inner in steps):
            if folder.is_symlink():
                yield f"{folder} is a link to {folder.readlink()}"


def loops(target: StorePath, paths: Iterable[str]) -> Iterator[Path]:
    """Yield links in a target that lead to a folder that they lie in: who follows them never ends."""
    root = folder_of(target)
    if root is not None:
        yield from (root / path for path in paths if (root / path).is_symlink() and _leads_back(root, path))


def _leads_back(root: Path, path: str) -> bool:
    """Whether a link leads to one of the folders through which it was reached, or to one around them."""
    end = (root / path).resolve()
    return any((root / parent).resolve().is_relative_to(end) for parent in parents_of(path))


def locked_folders(target: StorePath, groups: Iterable[str], gone: Iterable[str]) -> Iterator[Path]:
    """Yield folders of groups that get other documents, and of arrays that go, in which nothing may be changed."""
    root = folder_of(target)
    if root is not None:
        changed = [*(root / path for path in groups), *((root / path).parent for path in gone)]
        below = (Path(folder) for path in gone for folder, _, _ in os.walk(root / path, onerror=_raise))
        each = dict.fromkeys([*(folder for folder in changed if folder.is_dir()), *below])
        yield from (folder for folder in each if not os.access(folder, MAY_CHANGE))


def _raise(error: OSError) -> None:
    """Let a folder that cannot be listed be an error, but for one that is not there."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
