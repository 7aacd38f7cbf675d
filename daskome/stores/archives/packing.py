"""A hierarchy packed into one file, in one pass, and unpacked: the bytes of its objects stay as they are."""

import os
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, StorePath

from daskome.model.paths import is_inside, join_paths, parents_of
from daskome.model.problem import BrokenObjectError
from daskome.model.text import Progress
from daskome.ome.single_file import in_file_order
from daskome.stores.archives.file_output import Output, file_output
from daskome.stores.archives.zip_records import Member, end_of, entry_of, header_of
from daskome.stores.groups import find_array
from daskome.stores.journal import JOURNAL
from daskome.stores.kinds import in_flight_to, unwrap_store, waits_for_no_loop
from daskome.stores.location import folder_of
from daskome.stores.objects.inventory import is_object
from daskome.stores.publish import PARTIAL
from daskome.stores.targets.conflicts import is_litter

PIECE_NBYTES = 2**25
"""Larger files of this machine are read in pieces of so many bytes, twice: their checksum stands before them."""
FAR_AHEAD = 16
"""How many objects of a far store are read at a time."""


def objects_below(place: StorePath) -> list[str]:
    """Return the keys of all objects below a place, relative to it; not those of journals, and what desktops leave.

    Raises
    ------
    ValueError
        For what would be left out without a word: links to folders or to nowhere, and folders in the place of chunks;
        and for what is no file, nor a folder.
    """
    folder = folder_of(place)
    keys = _files(folder) if folder is not None else sync(_listed(place))
    return [key for key in keys if _belongs(key)]


def _belongs(key: str) -> bool:
    names = key.split("/")
    return is_inside(key) and JOURNAL not in names and not is_litter(names[-1]) and not key.endswith(PARTIAL)


def _files(folder: Path) -> Iterator[str]:
    array_at = cache(partial(_array_at, folder))
    for path, folders, files in os.walk(folder, onerror=_raise_error):
        inside = Path(path).relative_to(folder).as_posix() if path != str(folder) else ""
        kept = [name for name in files if _belongs(name)]
        if not any(name[0].isdigit() for name in (*folders, *kept)):
            _check_no_chunk(folder, inside, array_at)
        _check_kinds(path, folders, kept)
        yield from (join_paths(inside, name) for name in kept)


def _check_kinds(parent: str, folders: Sequence[str], files: Sequence[str]) -> None:
    """Raise for links to folders or to nowhere, and for what is no file: a pipe would be read for ever."""
    inside = partial(os.path.join, parent)
    links = filter(os.path.islink, map(inside, folders))
    for path in (*links, *(path for path in map(inside, files) if not os.path.isfile(path))):
        if os.path.islink(path):
            raise ValueError(f"{path} is a link to {os.readlink(path)}; put what it leads to in its place first")
        raise ValueError(f"{path} is neither a file nor a folder; take it away first")


def _array_at(folder: Path, path: str) -> "zarr.Array[Any] | None":
    """Return the array in a folder; None where there is none that can be read."""
    has_document = any((folder / path / name).is_file() for name in ("zarr.json", ".zarray"))
    with suppress(ValueError):
        return find_array(StorePath(LocalStore(folder), path)) if has_document else None
    return None


def _check_no_chunk(folder: Path, key: str, array_at: Callable[[str], "zarr.Array[Any] | None"]) -> None:
    """Raise for a folder where an array keeps a chunk: in an archive, that would be one never stored."""
    around = ((path, array_at(path)) for path in parents_of(key))
    path, array = next(((path, array) for path, array in around if array is not None), ("", None))
    if array is not None and is_object(array, key[len(path) :].lstrip("/")):
        raise BrokenObjectError(f"{folder}/{key} is a folder, where an array keeps a chunk; put the chunk in its place")


def _raise_error(error: OSError) -> None:
    """Let a folder that cannot be listed be an error, but for one that is not there."""
    if not isinstance(error, FileNotFoundError):
        raise error


async def _listed(place: StorePath) -> list[str]:
    prefix = f"{place.path}/" if place.path else ""
    keys: AsyncIterator[str] = place.store.list_prefix(prefix)
    return [key.removeprefix(prefix) async for key in keys]


def pack_objects(
    source: StorePath,
    keys: Sequence[str],
    place: StorePath,
    comment: bytes,
    replace: bool = False,
    progress: Progress | None = None,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Pack objects into one file; return its bytes. The same objects make the same bytes.

    Parameters
    ----------
    source : StorePath
    keys : sequence of str
        Relative to the source.
    place : StorePath
        Of the file.
    comment : bytes
        Of the archive.
    replace : bool
        Whether a file that is there is replaced.
    progress : callable, optional
        Called with objects packed and objects in all.
    check : callable
        Called before the file gets its name; what it raises leaves what was there.

    Raises
    ------
    FileExistsError
        If there is such a file, and it is not to be replaced.
    """
    with file_output(place, replace) as output:
        offset, directory, n = 0, bytearray(), 0
        for n, (key, data) in enumerate(_read_ahead(source, in_file_order(keys)), start=1):
            nbytes, crc = (data.nbytes, data.crc) if isinstance(data, _Long) else (len(data), zlib.crc32(data))
            member = Member(key, offset, nbytes, nbytes, crc)
            header = header_of(member)
            output.write(header)
            _write_data(output, data)
            directory += entry_of(member)
            offset += len(header) + nbytes
            if progress:
                progress(n, len(keys))
        output.write(bytes(directory))
        end = end_of(offset, len(directory), n, comment)
        output.write(end)
        check()
    return offset + len(directory) + len(end)


class _Long:
    """A file that is read in pieces."""

    def __init__(self, path: Path) -> None:
        self.path, self.nbytes, self.crc = path, 0, 0
        for piece in self.pieces():
            self.nbytes, self.crc = self.nbytes + len(piece), zlib.crc32(piece, self.crc)

    def pieces(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(PIECE_NBYTES):
                yield piece


def _write_data(output: Output, data: bytes | _Long) -> None:
    if not isinstance(data, _Long):
        output.write(data)
        return
    nbytes, crc = 0, 0
    for piece in data.pieces():
        output.write(piece)
        nbytes, crc = nbytes + len(piece), zlib.crc32(piece, crc)
    if (nbytes, crc) != (data.nbytes, data.crc):
        raise ValueError(f"{data.path} was changed while it was packed")


def _read_ahead(source: StorePath, keys: Sequence[str]) -> Iterator[tuple[str, bytes | _Long]]:
    """Yield objects in order; where the store is far away, some are read beside each other."""
    if not in_flight_to(source):
        for key in keys:
            yield key, _data(source / key)
        return
    with ThreadPoolExecutor(FAR_AHEAD, thread_name_prefix="daskome-pack") as threads:
        left, running = iter(keys), deque[tuple[str, Future[bytes | _Long]]]()
        running.extend((key, threads.submit(_data, source / key)) for key in islice(left, FAR_AHEAD))
        while running:
            key, future = running.popleft()
            running.extend((key, threads.submit(_data, source / key)) for key in islice(left, 1))
            yield key, future.result()


def _data(place: StorePath) -> bytes | _Long:
    """Return an object; a large file of this machine as one that is read in pieces."""
    path = folder_of(place)
    return object_bytes(place) if path is None or path.stat().st_size <= PIECE_NBYTES else _Long(path)


def put_object(target: StorePath, source: StorePath) -> None:
    """Copy an object as it is."""
    found = object_bytes(source)
    sync(target.set(default_buffer_prototype().buffer.from_bytes(found)))


def object_bytes(place: StorePath) -> bytes:
    """Return an object.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    store = unwrap_store(place.store)
    near = waits_for_no_loop(store) and hasattr(store, "get_sync")
    found = store.get_sync(place.path) if near else sync(place.get())
    if found is None:
        raise FileNotFoundError(f"{place} is gone since it was listed")
    data: bytes = found.to_bytes()
    return data
