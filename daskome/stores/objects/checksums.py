"""MD5 checksums of what is stored, read in pieces: many objects at a time, in the order of their keys.

Nothing is kept but what is on its way: at most `READ_AT_ONCE` pieces of `READ_PIECE` bytes, however large objects are.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from hashlib import file_digest, md5
from pathlib import Path
from typing import TypeVar

from zarr.abc.store import RangeByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.checksums import ObjectChecksum
from daskome.model.paths import join_paths
from daskome.stores.kinds import kind_of
from daskome.stores.location import folder_of
from daskome.stores.opened.pages import Sized

READ_AT_ONCE = 32
"""How many objects are read at a time; waiting for one of them, so many more may be done."""
READ_PIECE = 4 * 2**20
"""Bytes that are asked for at a time."""
_T = TypeVar("_T")


def stored_sizes(place: StorePath) -> Iterator[Sized]:
    """Yield the keys below a place, relative to it and in their order, with the bytes of their objects, now."""
    kind, store = kind_of(place)
    kind.refresh(store)
    for page in _drained(kind.pages(store, place.path)):
        yield from page


def stored_checksums(place: StorePath) -> Iterator[ObjectChecksum]:
    """Yield the checksums of what lies below a place, in the order of keys.

    Raises
    ------
    FileNotFoundError
        If an object is gone that was listed.
    """
    kind, store = kind_of(place)
    kind.refresh(store)
    for some in _drained(_checksums(place, kind.pages(store, place.path))):
        yield from some


def _drained(pages: AsyncIterator[_T]) -> Iterator[_T]:
    """Yield what an asynchronous generator does, which is closed whatever happens."""
    try:
        while (page := sync(_following(pages))) is not None:
            yield page
    finally:
        sync(_closed(pages))


async def _following(pages: AsyncIterator[_T]) -> _T | None:
    return await anext(pages, None)


async def _closed(pages: AsyncIterator[_T]) -> None:
    closing = getattr(pages, "aclose", None)
    if closing is not None:
        await closing()


async def _checksums(place: StorePath, pages: AsyncIterator[list[Sized]]) -> AsyncIterator[list[ObjectChecksum]]:
    """Yield what is ready, while others are on their way."""
    flying: deque[asyncio.Task[ObjectChecksum]] = deque()
    turns = asyncio.Semaphore(READ_AT_ONCE)
    try:
        async for page in pages:
            for key, nbytes in page:
                flying.append(asyncio.create_task(_checksum(place, key, nbytes, turns)))
                if len(flying) == 2 * READ_AT_ONCE:
                    yield [await flying.popleft(), *_ready(flying)]
        yield [await task for task in flying]
    finally:
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)


def _ready(flying: "deque[asyncio.Task[ObjectChecksum]]") -> Iterator[ObjectChecksum]:
    while flying and flying[0].done():
        yield flying.popleft().result()


async def _checksum(place: StorePath, key: str, nbytes: int, turns: asyncio.Semaphore) -> ObjectChecksum:
    folder = folder_of(place)
    async with turns:
        if folder is not None:
            return ObjectChecksum(key, await asyncio.to_thread(_of_file, folder / key), nbytes)
        found = md5(usedforsecurity=False)
        for start in range(0, max(nbytes, 1), READ_PIECE):
            await asyncio.to_thread(found.update, await _piece(place, key, nbytes, start))
        return ObjectChecksum(key, found.hexdigest(), nbytes)


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()


async def _piece(place: StorePath, key: str, nbytes: int, start: int) -> bytes:
    """Return a piece of an object; one that is a piece by itself is asked for as a whole."""
    wanted = None if nbytes <= READ_PIECE else RangeByteRequest(start, min(start + READ_PIECE, nbytes))
    path = join_paths(place.path, key)
    found = await place.store.get(path, default_buffer_prototype(), wanted)
    if found is None:
        raise FileNotFoundError(f"{place}/{key} was listed, and is gone")
    return found.to_bytes()
