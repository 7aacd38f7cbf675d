"""Many objects at a time: lists of what is stored below a path, with sizes, store by store; and their deletion.

Lists come page by page, in the order of keys, which are relative to the path. A folder is walked, and a bucket is
listed by pages of a thousand, so neither is held as a whole; fsspec hands over a list only when it has all of it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from zarr.abc.store import Store

_T = TypeVar("_T")

PAGE_LENGTH = 1000
"""How many objects a page has at most: as many as clouds put into an answer."""
ANSWER_TRIES = 5
"""How often it is asked for what breaks off."""
DELETED_AT_ONCE = 32
"""How many objects are deleted at a time, where each takes a request of its own."""
Sized = tuple[str, int]
"""A key, and the bytes of its object."""
Pages = AsyncIterator[list[Sized]]


async def any_pages(store: Store, path: str) -> Pages:
    """Yield what any store lists, object by object, such as those in memory."""
    prefix = f"{path}/" if path else ""
    keys = sorted([key async for key in store.list_prefix(prefix)])
    for some in _in_pages(keys):
        yield [(key.removeprefix(prefix), await store.getsize(key)) for key in some]


async def folder_pages(store: Any, path: str) -> Pages:
    """Yield the files below a folder; links lead on."""
    files = walk_files(Path(store.root, path))
    while page := await asyncio.to_thread(lambda: [one for one, _ in zip(files, range(PAGE_LENGTH), strict=False)]):
        yield page


def walk_files(folder: Path) -> Iterator[Sized]:
    """Yield the files below a folder, and their sizes, in the order of their keys.

    Raises
    ------
    ValueError
        If a link leads back to a folder that it lies in.
    """
    yield from _walk(folder, "", ())


def _walk(folder: Path, prefix: str, around: tuple[tuple[int, int], ...]) -> Iterator[Sized]:
    with suppress(FileNotFoundError, NotADirectoryError):
        about = folder.stat()
        here = (about.st_dev, about.st_ino)
        if here in around:
            raise ValueError(f"{folder} is a link to a folder that it lies in")
        with os.scandir(folder) as entries:
            named = sorted((f"{entry.name}/" if entry.is_dir() else entry.name, entry) for entry in entries)
        for name, entry in named:
            if name.endswith("/"):
                yield from _walk(Path(entry.path), f"{prefix}{name}", (*around, here))
            else:
                yield from _file(entry, f"{prefix}{name}")


def _file(entry: os.DirEntry[str], key: str) -> Iterator[Sized]:
    """Yield a file, unless it has gone since its folder was listed, or is a link to nothing."""
    with suppress(FileNotFoundError):
        yield key, entry.stat().st_size


async def fsspec_pages(store: Any, path: str) -> Pages:
    """Yield what a file system of fsspec finds."""
    root = "/".join(filter(None, (store.path.rstrip("/"), path)))
    with suppress(*store.allowed_exceptions):
        found = await store.fs._find(root, withdirs=False, detail=True)
        cut = len(root.strip("/")) + 1 if root.strip("/") else 0
        sizes = sorted((name.lstrip("/")[cut:], int(about.get("size") or 0)) for name, about in found.items())
        for some in _in_pages(sizes):
            yield some


async def obstore_pages(client: Any, path: str) -> Pages:
    """Yield the pages that a bucket answers with; what comes after the last, again where an answer breaks off."""
    import obstore

    prefix, last, tries = f"{path}/" if path else "", None, ANSWER_TRIES
    while tries:
        try:
            async for page in obstore.list(client, prefix or None, offset=last, chunk_size=PAGE_LENGTH):
                yield [(str(each["path"])[len(prefix) :], int(each["size"])) for each in page]
                last = str(page[-1]["path"]) if page else last
            return
        except obstore.exceptions.GenericError as error:
            tries -= 1
            if not tries or not is_broken_off(error):
                raise


def is_broken_off(error: BaseException) -> bool:
    """Whether obstore says that an answer broke off after it had begun.

    It does not ask again for the rest of a list, nor of an answer that says what is wrong, as that there is nothing.
    """
    return "response body" in str(error)


async def whole_answer(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Return the answer to a request, which is made again if the answer breaks off."""
    for _ in range(ANSWER_TRIES - 1):
        try:
            return await ask()
        except Exception as error:
            if not is_broken_off(error):
                raise
    return await ask()


async def unordered_pages(client: Any, path: str) -> Pages:
    """As `obstore_pages`, of a store that lists in an order of its own."""
    every = sorted([one async for page in obstore_pages(client, path) for one in page])
    for some in _in_pages(every):
        yield some


def _in_pages(items: list[_T]) -> Iterator[list[_T]]:
    for start in range(0, len(items), PAGE_LENGTH):
        yield items[start : start + PAGE_LENGTH]


async def delete_keys(store: Any, keys: Sequence[str]) -> None:
    """Delete objects of a store: many with each request if it can, else some at a time."""
    many = getattr(store, "delete_many", None)
    for some in _in_pages(list(keys)):
        if many is not None:
            await many(some)
        else:
            turns = asyncio.Semaphore(DELETED_AT_ONCE)
            await asyncio.gather(*(_delete(store, key, turns) for key in some))


async def _delete(store: Store, key: str, turns: asyncio.Semaphore) -> None:
    async with turns:
        with suppress(FileNotFoundError):
            await store.delete(key)
