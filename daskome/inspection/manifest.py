"""Manifests: the MD5 of every stored object in a text file, and DANDI's checksum of all; written, and compared."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from zarr.storage import StorePath

from daskome.execution.progress import drawn
from daskome.model.checksums import (
    TREE,
    ObjectChecksum,
    TreeChecksum,
    is_sorted,
    manifest_line,
    parse_manifest_line,
)
from daskome.model.problem import Problem
from daskome.model.text import Progress, pluralize
from daskome.model.types import FileSystemOptions, GroupLike, PathLike, ShowProgress
from daskome.stores.groups import UNFINISHED_KEY, find_array, read_attributes
from daskome.stores.location import folder_of, locate
from daskome.stores.objects.checksums import stored_checksums, stored_sizes

MANIFEST_HEAD = (
    "# MD5 of each object of a zarr hierarchy, checked by md5sum -c in its folder or daskome verify --manifest"
)
"""The first line of a manifest. There is nothing in it of where the hierarchy lies: that of a copy is the same."""
OF_ALL = "# zarr checksum: "
"""How the last line begins; DANDI's checksum of all follows."""
OBJECTS_NAMED = 100
"""How many objects that differ from a manifest are named; the others are only counted."""
TEXT: Mapping[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
"""How manifests are opened: names of files may hold any bytes."""


def manifest(
    target: GroupLike,
    path: PathLike | None = None,
    *,
    fs_options: FileSystemOptions | None = None,
    progress: ShowProgress = None,
) -> str:
    """Write the MD5 of every object of a zarr hierarchy to a file; return the checksum of all, as DANDI computes it.

    Everything is read once. `daskome.verify` compares with the file what is there later, or a copy, and so does
    ``md5sum -c`` in a folder: its lines are those of ``md5sum``, in the order of keys. The checksum is that of the
    package zarr-checksum: an MD5, the number of objects, and their bytes.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        Of a zarr group or array, whichever program wrote it. All objects below it count.
    path : str or path, optional
        The file, on this machine and outside the target. A manifest that is there is replaced. Without it, nothing is
        written.
    fs_options : dict, optional
        For the file system of a URL.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called with objects done and objects in all.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If there is neither a group nor an array, or the file's folder does not exist.
    FileExistsError
        If there is another file at the path.
    ValueError
        If the image is unfinished, or the file would lie in the target.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import manifest
    >>> store = zarr.storage.MemoryStore()
    >>> array = zarr.create_array(store, data=np.arange(4, dtype="uint8"), compressors=None)
    >>> manifest(store)
    '...-2--...'
    """
    bar, place = drawn(progress, "objects"), locate(target, fs_options, read_only=True)
    check_written(place)
    if path is not None:
        check_manifest_path(path, place)
    tree, total = TreeChecksum(), sum(1 for _ in stored_sizes(place)) if bar else 0
    with _replacing(path) as file:
        _write_line(file, MANIFEST_HEAD)
        for item in _added(tree, stored_checksums(place), total, bar):
            _write_line(file, manifest_line(item))
        of_all = tree.end()
        _write_line(file, f"{OF_ALL}{of_all}")
    return of_all


def check_written(place: StorePath) -> None:
    """Raise unless there is a zarr group or array, and it is finished."""
    attributes = read_attributes(place)
    if attributes is None and find_array(place) is None:
        raise FileNotFoundError(f"{place} is neither a zarr group nor an array")
    if attributes and UNFINISHED_KEY in attributes:
        raise ValueError(f"{place} is unfinished; finish it first: then its objects change no more")


def check_manifest_path(path: PathLike, place: StorePath) -> None:
    """Raise if a manifest of what is at a place cannot be written to a file."""
    file, folder = Path(os.fspath(path)), folder_of(place)
    if "://" in str(path):
        raise ValueError(f"{path} is a URL; a manifest is written to a file of this machine")
    if folder is not None and file.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{file} lies in {folder}, of which it would be a part; give a file beside it")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"{file} cannot be written: there is no folder {file.parent}")
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{file} cannot be written: no permission in {file.parent}")
    if file.exists() and not _is_ours(file):
        raise FileExistsError(f"{file} exists, and is no manifest; give another path")


def _is_ours(file: Path) -> bool:
    with suppress(OSError), file.open("rb") as opened:
        return opened.read(len(MANIFEST_HEAD)) == MANIFEST_HEAD.encode()
    return False


@contextmanager
def _replacing(path: PathLike | None) -> Iterator[IO[str] | None]:
    """Yield a file that takes its name when all is written."""
    if path is None:
        yield None
        return
    partial = Path(f"{os.fspath(path)}.partial")
    try:
        with partial.open("w", **TEXT) as file:
            yield file
        partial.replace(os.fspath(path))
    finally:
        partial.unlink(missing_ok=True)


def _write_line(file: IO[str] | None, line: str) -> None:
    if file is not None:
        file.write(f"{line}\n")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a hierarchy should hold: the lines of a file, or the checksum of all alone.

    Attributes
    ----------
    name : str
        The file, or the checksum, as it was given.
    stated : str, optional
        The checksum of all, if it is known.
    count : int
        How many objects are listed.
    in_order : bool
        Whether they are listed in the order of keys, so that they need not be held.
    """

    name: str
    stated: str | None
    count: int = 0
    in_order: bool = True

    @property
    def is_file(self) -> bool:
        """Whether objects are listed."""
        return self.name != self.stated

    def items(self) -> Iterator[ObjectChecksum]:
        """Return what is listed, in the order of keys."""
        lines = _lines(self.name)
        return lines if self.in_order else iter(sorted(set(lines)))


def read_manifest(given: PathLike) -> Manifest:
    """Return a manifest as `manifest` or ``md5sum`` writes it, or a checksum of all that is given itself.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If one of its lines is none of a manifest.
    """
    name = os.fspath(given)
    if TREE.fullmatch(name):
        return Manifest(name, name, int(name.split("-")[1]))
    count = sum(1 for _ in _lines(name))
    if not count:
        raise ValueError(f"{name} lists no object")
    return Manifest(name, _stated(name), count, is_sorted(_lines(name)))


def _lines(name: str) -> Iterator[ObjectChecksum]:
    with open(name, **TEXT) as file:
        for number, line in enumerate(file, start=1):
            item = parse_manifest_line(line.removesuffix("\n"))
            if item is not None:
                yield item
            elif line.strip() and not line.startswith("#"):
                raise ValueError(f"line {number} of {name} is not one of a manifest, as md5sum or daskome writes it")


def _stated(name: str) -> str | None:
    with open(name, **TEXT) as file:
        said = [line.removeprefix(OF_ALL).strip() for line in file if line.startswith(OF_ALL)]
    return said[-1] if said else None


def differences_from_manifest(place: StorePath, given: Manifest, progress: Progress | None = None) -> Iterator[Problem]:
    """Yield the objects below a place that are missing, changed, or not in a manifest: the first ones by name.

    Parameters
    ----------
    place : StorePath
    given : Manifest
    progress : callable, optional
        Called with objects done and objects in all.
    """
    tree, count = TreeChecksum(), 0
    found = _added(tree, stored_checksums(place), given.count, progress)
    for count, problem in enumerate(_compared(found, given), start=1):
        if count <= OBJECTS_NAMED:
            yield problem
    if count > OBJECTS_NAMED:
        yield Problem("objects", f"{pluralize(count - OBJECTS_NAMED, 'more object')} differ from {given.name}")
    of_all, in_file = tree.end(), f", as in {given.name}" if given.is_file else ""
    if not count and given.stated not in (None, of_all):
        yield Problem("objects", f"their zarr checksum is {of_all}, not {given.stated}{in_file}")


def _added(
    tree: TreeChecksum, items: Iterable[ObjectChecksum], total: int, progress: Progress | None
) -> Iterator[ObjectChecksum]:
    """Yield checksums, each added to that of all."""
    for done, item in enumerate(items, start=1):
        tree.add(item)
        yield item
        if progress and done <= total:  # A list may be shorter than what is there.
            progress(done, total)


def _compared(found: Iterable[ObjectChecksum], given: Manifest) -> Iterator[Problem]:
    if not given.is_file:
        deque(found, maxlen=0)
        return
    both = merge(((item.key, 0, item.md5) for item in found), ((item.key, 1, item.md5) for item in given.items()))
    for key, some in groupby(both, itemgetter(0)):
        sums = {side: checksum for _, side, checksum in some}
        if 0 not in sums:
            yield Problem(key, f"is missing: {given.name} lists it")
        elif 1 not in sums:
            yield Problem(key, f"is not in {given.name}")
        elif sums[0] != sums[1]:
            yield Problem(key, f"has changed: its MD5 is {sums[0]}, but {sums[1]} in {given.name}")
