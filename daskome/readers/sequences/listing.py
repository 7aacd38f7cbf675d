"""Which files a folder, a glob, a pattern or a list of paths means, and what changes when one of them does."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any

from daskome.model.text import format_nbytes
from daskome.readers.inputs import parse
from daskome.readers.kinds import Reader, known, reader_of_file, reader_of_folder, reader_of_name
from daskome.readers.sequences.names import glob_of, has_places, natural_order

WILD = frozenset("*?[")
FEW = 5
FOLDERS_LOOKED_INTO = 20


@dataclass(frozen=True, slots=True)
class Listing:
    """Files of one kind.

    Attributes
    ----------
    reader : Reader
    paths : tuple of str
        Absolute, in their natural order.
    part : str
        Of each of them.
    path : str
        What lists them again: a folder, a glob or a pattern; empty if only their paths do.
    pattern : str
        Of their names; empty for none.
    others : tuple of str
        What else is in the folder.
    """

    reader: Reader
    paths: tuple[str, ...]
    part: str = ""
    path: str = ""
    pattern: str = ""
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the folder that they are in."""
        return Path(os.path.commonpath([os.path.dirname(path) for path in self.paths])).name

    def stamp(self) -> str:
        """Return what changes whenever one of the files does; empty files are an error.

        Raises
        ------
        ValueError
        """
        stats = [(path, os.stat(path)) for path in self.paths]
        empty = next((path for path, stat in stats if stat.st_size == 0), None)
        if empty is not None:
            raise ValueError(f"{empty} is empty; copy it anew, or move it out of the way")
        digest = sha256("\n".join(f"{p} {s.st_size} {s.st_mtime_ns}" for p, s in stats).encode()).hexdigest()[:16]
        last = max(stat.st_mtime for _, stat in stats)
        size = format_nbytes(sum(stat.st_size for _, stat in stats))
        modified = datetime.fromtimestamp(last, UTC).isoformat()
        return f"{len(stats):,} files of {size}, the last modified {modified}, together {digest}"


def listed_files(paths: Sequence[str], pattern: str | None, fs_options: Mapping[str, Any]) -> Listing | None:
    """Return the files that paths mean; None if that is one file or store by itself.

    Raises
    ------
    FileNotFoundError
        If there are none.
    ValueError
        If they are of several kinds, or of none.
    """
    if len(paths) > 1:
        return _of_paths(paths, pattern or "")
    (path,) = paths
    scheme, separator, _ = path.partition("://")
    if separator and scheme not in ("file", "local"):
        return None
    given = parse(path, fs_options)
    if os.path.isdir(given.path) and reader_of_folder(given.path) is None:
        return _of_folder(given.path, given.part, pattern or "")
    if os.path.exists(given.path):
        return None
    if has_places(given.path):
        return _of_pattern(given.path, given.part, pattern)
    return _of_glob(given.path, given.part, pattern or "") if WILD & set(given.path) else None


def _of_paths(paths: Sequence[str], pattern: str) -> Listing:
    """Return files given one by one, as a shell expands a glob; where a glob lists the same, by that."""
    given = [parse(path, {}) for path in paths]
    parts = {one.part for one in given}
    if len(parts) > 1:
        raise ValueError(f"of several files, each must have the same part after ::, not {', '.join(sorted(parts))}")
    found = [one.path for one in given]
    missing = next((path for path in found if not os.path.exists(path)), None)
    if missing is not None:
        raise FileNotFoundError(f"{missing} does not exist")
    twice = next((path for i, path in enumerate(sorted(found)) if i and sorted(found)[i - 1] == path), None)
    if twice is not None:
        raise ValueError(f"{twice} is given twice; leave one out")
    return _listing(found, parts.pop(), _glob_for(found), pattern)


def _of_folder(folder: str, part: str, pattern: str) -> Listing | None:
    """Return the images in a folder; None if it holds none."""
    if pattern:
        return _of_pattern(f"{folder}/{pattern}", part, None)
    images = _images_in(folder)
    if not images:
        return None
    others = sorted({*_names_in(folder)} - {*images})
    return _listing([f"{folder}/{name}" for name in images], part, folder, "", others)


def _names_in(folder: str) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]


def _images_in(folder: str) -> list[str]:
    """Return the names of the images in a folder, told by their suffixes, or, if none has one, by how they begin."""
    names = _names_in(folder)
    images = [name for name in names if _of_files(reader_of_name(name))]
    return images or [name for name in names if _of_files(reader_of_file(f"{folder}/{name}"))]


def _of_pattern(path: str, part: str, pattern: str | None) -> Listing:
    """Return the files that a pattern matches; those that are almost as it says are named as not read."""
    if pattern is not None:
        raise ValueError(f"{path} is a pattern already; leave pattern {pattern} out")
    start = next((i for i, name in enumerate(path.split("/")) if has_places(name) or WILD & set(name)), 0)
    names = "/".join(path.split("/")[start:])
    return _listing(_matching(glob_of(path), path), part, path, names)


def _of_glob(path: str, part: str, pattern: str) -> Listing:
    return _listing(_matching(_with_folders_as_they_are(path), path), part, path, pattern)


def _with_folders_as_they_are(path: str) -> str:
    """Return a glob in which folders that have brackets in their names, as in "scan [2]", stand for themselves."""
    there = next(str(part) for part in Path(path).parents if part.exists())
    return glob.escape(there) + path[len(there) :]


def _matching(wild: str, path: str) -> list[str]:
    found = [one for one in glob.iglob(wild) if os.path.isfile(one)]
    if not found:
        folder = next(part for part in Path(path).parents if part.exists())
        raise FileNotFoundError(f"{path} matches no file; in {folder} {_there(folder)}")
    return found


def without_images(folder: str) -> str:
    """Return why a folder is no image: what is in it, and, where images lie in folders of it, how to give those."""
    below = sorted((one for one in os.scandir(folder) if one.is_dir()), key=lambda one: natural_order(one.name))
    holding = [one.name for one in below[:FOLDERS_LOOKED_INTO] if _images_in(one.path)]
    example = f"{folder}/{holding[0]}" if holding else ""
    hint = f". Give one of its folders, as in {example}; or a pattern, as in '{folder}/t{{t}}/z{{z}}.tif'"
    return f"{folder} is a folder of neither zarr nor images; in it {_there(Path(folder))}{hint if holding else ''}"


def _there(folder: Path) -> str:
    names = sorted((one.name for one in folder.iterdir()), key=natural_order)
    return f"there {'is' if len(names) == 1 else 'are'} {_some(names)}" if names else "there is nothing"


def _listing(paths: Sequence[str], part: str, path: str, pattern: str, others: Sequence[str] = ()) -> Listing:
    """Return files of one kind in their natural order."""
    kinds: dict[str, tuple[Reader, list[str]]] = {}
    for one in paths:
        reader = reader_of_file(one)
        if reader is None or not _of_files(reader):
            raise ValueError(f"{one} is no file that can be one of several. Known: {known()}")
        kinds.setdefault(reader.name, (reader, []))[1].append(one)
    if len(kinds) > 1:
        counts = ", ".join(f"{len(some):,} of {name}, such as {some[0]}" for name, (_, some) in kinds.items())
        raise ValueError(f"the files are of several kinds: {counts}; give those of one, as in 'folder/*.tif'")
    ((reader, _),) = kinds.values()
    return Listing(reader, tuple(sorted(paths, key=natural_order)), part, path, pattern, tuple(others))


def _of_files(reader: Reader | None) -> bool:
    """Whether files of a kind can be put together: stores are folders."""
    return reader is not None and not reader.marks


def _glob_for(paths: Sequence[str]) -> str:
    """Return a glob that lists these files and no others; empty if there is none so simple."""
    folders = {os.path.dirname(path) for path in paths}
    if len(folders) > 1 or any(WILD & set(path) for path in paths):
        return ""
    names = [os.path.basename(path) for path in paths]
    start = _common_start(names)
    end = _common_start([name[len(start) :][::-1] for name in names])[::-1]
    wild = f"{folders.pop()}/{start}*{end}"
    return wild if {*glob.iglob(wild)} == {*paths} else ""


def _common_start(names: Sequence[str]) -> str:
    pairs = zip(min(names), max(names), strict=False)
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:FEW], *[f"and {len(names) - FEW:,} more"] * (len(names) > FEW)])


def named_files(paths: Sequence[str]) -> Iterator[str]:
    """Yield a few paths, in words.

    >>> ", ".join(named_files(["a", "b", "c", "d"]))
    'a, b, and 2 more'
    """
    yield from paths[:2]
    if len(paths) > 2:
        yield f"and {len(paths) - 2:,} more"
