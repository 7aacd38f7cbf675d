"""Small documents and listings in a store, read past every cache: the one reader and writer of both.

Each comes twice: to be waited for here, and as a coroutine, of which callers run several at a time.
"""

import asyncio
import json
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.stores.kinds import kind_of, waits_for_no_loop
from daskome.stores.objects.damage import locating_damage
from daskome.stores.opened.bounded import check_document, is_document

DOCUMENTS_AT_ONCE = 64
"""How many small documents are read at a time."""
_Found = TypeVar("_Found")


def read_text(path: StorePath) -> str | None:
    """Return a document, or None where there is none; on any thread, if the store can do without an event loop.

    Documents that a store bounds before it reads them are those of its loop alone.
    """
    if is_document(path.path) or not (hasattr(path.store, "get_sync") and waits_for_no_loop(path.store)):
        return sync(fetch_text(path))
    found = path.store.get_sync(path.path, prototype=default_buffer_prototype())
    return _decoded(path, None if found is None else found.to_bytes())


def read_json(path: StorePath) -> Any:
    """Return a JSON document, or None where there is none.

    Raises
    ------
    ValueError
        If it is not JSON, or null.
    """
    return sync(fetch_json(path))


def write_text(path: StorePath, text: str) -> None:
    """Write a document in one piece."""
    sync(put_text(path, text))


def list_names(folder: StorePath) -> list[str]:
    """Return the names in a folder, now; none where there is none."""
    return sync(fetch_names(folder))


async def fetch_text(path: StorePath) -> str | None:
    """As `read_text`."""
    return _decoded(path, await _fetch(path))


def _decoded(path: StorePath, found: bytes | None) -> str | None:
    with locating_damage(lambda: str(path), "is not text"):
        return None if found is None else found.decode()


async def fetch_json(path: StorePath) -> Any:
    """As `read_json`."""
    found = await _fetch(path)
    if found is None:
        return None
    try:
        document = json.loads(found)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if document is None:
        raise ValueError(f"{path} is null, not a document")
    return document


async def put_text(path: StorePath, text: str) -> None:
    """As `write_text`."""
    await path.set(default_buffer_prototype().buffer.from_bytes(text.encode()))


async def fetch_names(folder: StorePath) -> list[str]:
    """As `list_names`. File systems of objects remember lists that other processes have changed since."""
    kind, store = kind_of(folder)
    kind.refresh(store)
    with suppress(FileNotFoundError, NotADirectoryError):
        return [name.strip("/") async for name in folder.store.list_dir(folder.path)]
    return []


async def _fetch(path: StorePath) -> bytes | None:
    with suppress(NotADirectoryError):
        found = await path.get(default_buffer_prototype())
        if found is not None:
            check_document(document := found.to_bytes(), str(path))
            return document
    return None


async def some_at_once(requests: Iterable[Awaitable[_Found]]) -> list[_Found]:
    """Return the results of requests, `DOCUMENTS_AT_ONCE` of which are made at a time."""
    turn = asyncio.Semaphore(DOCUMENTS_AT_ONCE)

    async def in_turn(request: Awaitable[_Found]) -> _Found:
        async with turn:
            return await request

    return await asyncio.gather(*map(in_turn, requests))
