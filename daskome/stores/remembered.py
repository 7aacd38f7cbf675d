"""A far store as one call looks around in it: each document and list is asked for once, however many checks need it.

What the call itself writes and deletes is seen. What others write meanwhile is not, until it is told to `forget`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath, WrapperStore

from daskome.model.paths import join_paths
from daskome.stores.kinds import in_flight_to, kind_of

LOOKED_FOR = ("zarr.json", ".zgroup", ".zattrs", ".zmetadata", ".zarray")
"""The documents of groups and arrays."""
DOCUMENTS_OF_GROUPS = ("zarr.json", ".zgroup")
"""Those of which every group has one."""
LOOKING_THREADS = 32
"""How many groups are looked at or written at a time, where each request takes its time."""
_T = TypeVar("_T")
_R = TypeVar("_R")


class Remembered(WrapperStore[Store]):
    """A store that remembers the documents (`LOOKED_FOR`) and lists that it was asked for."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._documents: dict[str, Buffer | None] = {}
        self._lists: dict[str, list[str]] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._around: list[Remembered | None] = []

    def __str__(self) -> str:
        return str(self._store)

    def _with_store(self, store: Store) -> "Remembered":
        """Return another view of the store, as zarr makes one for reading; both remember the same."""
        other = type(self)(store)
        other._documents, other._lists, other._asking = self._documents, self._lists, self._asking
        other._around = self._around
        return other

    @property
    def around(self) -> "Remembered | None":
        """The store around this one, to be read, which remembers, too."""
        found = self._around[:1]
        if not found:
            kind, inner = kind_of(StorePath(self._store))
            parent = kind.parent(inner)
            found = [None if parent is None else Remembered(parent)]
            self._around[:] = found
        return found[0]

    def forget(self) -> None:
        """Ask for everything anew."""
        self._documents.clear()
        self._lists.clear()
        self._around.clear()

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return a document, or a part of it; None where there is none."""
        if byte_range is not None or key.rpartition("/")[2] not in LOOKED_FOR:
            return await super().get(key, prototype, byte_range)
        async with self._asking.setdefault(key, asyncio.Lock()):
            if key in self._documents:
                return self._documents[key]
            found = None if self._is_unlisted(key) else await super().get(key, prototype)
            self._documents[key] = found
        return found

    async def look(self, path: str) -> None:
        """Ask at once for all that is asked of a group before it is written, and whether it lies in another.

        What cannot be had comes again when it matters, with an address.
        """
        around, above = (self, path.rpartition("/")[0]) if path else (self.around, "")
        looks = [self.exists(join_paths(path, name)) for name in LOOKED_FOR]
        looks += [around.exists(join_paths(above, name)) for name in DOCUMENTS_OF_GROUPS] if around else []
        await asyncio.gather(self._list(path), *looks, return_exceptions=True)

    async def exists(self, key: str) -> bool:
        """Whether there is a document, or any other object."""
        if key.rpartition("/")[2] not in LOOKED_FOR:
            return await super().exists(key)
        return await self.get(key, default_buffer_prototype()) is not None

    async def is_empty(self, prefix: str) -> bool:
        """Whether there is nothing below a path."""
        return not [name async for name in self.list_dir(prefix)]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names at a path."""
        for name in await self._list(prefix.rstrip("/")):
            yield name

    async def _list(self, prefix: str) -> list[str]:
        async with self._asking.setdefault(f"{prefix}/", asyncio.Lock()):
            if prefix in self._lists:
                return self._lists[prefix]
            there = [] if self._is_unlisted(prefix) else [name async for name in super().list_dir(prefix)]
            self._lists[prefix] = there
        return there

    async def set(self, key: str, value: Buffer) -> None:
        """Write a document."""
        await super().set(key, value)
        self._add(key)
        if key.rpartition("/")[2] in LOOKED_FOR:
            self._documents[key] = value

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write a document unless there is one."""
        await super().set_if_not_exists(key, value)
        self._add(key)
        self._documents.pop(key, None)

    async def delete(self, key: str) -> None:
        """Delete a document; nothing, where lists say that there is none."""
        if not self._is_unlisted(key):
            await super().delete(key)
            self._lists.clear()
        self._documents[key] = None

    async def delete_dir(self, prefix: str) -> None:
        """Delete all below a path; nothing, where lists say that nothing is there."""
        if not self._is_unlisted(prefix.rstrip("/")):
            await super().delete_dir(prefix)
            self.forget()

    async def clear(self) -> None:
        """Delete everything."""
        await super().clear()
        self.forget()

    def _add(self, key: str) -> None:
        """Put what has been written into the lists of its parents."""
        for parent, name in _steps(key):
            names = self._lists.get(parent)
            if names is not None and name not in names:
                names.append(name)

    def _is_unlisted(self, key: str) -> bool:
        """Whether a list of what lies at one of its parents lacks a path."""
        lists = ((self._lists.get(parent), name) for parent, name in _steps(key))
        return any(names is not None and name not in names for names, name in lists)


def _steps(key: str) -> list[tuple[str, str]]:
    """Return the parents of a path, each with the name that leads on from it.

    >>> _steps("a/b/zarr.json")
    [('', 'a'), ('a', 'b'), ('a/b', 'zarr.json')]
    """
    names = key.split("/") if key else []
    return [("/".join(names[:n]), name) for n, name in enumerate(names)]


def remembered(target: StorePath) -> StorePath:
    """Return a target in a far store as one that remembers what it was asked for; others as they are."""
    far = in_flight_to(target) and not isinstance(target.store, Remembered)
    return StorePath(Remembered(target.store), target.path) if far else target


def remembered_to_read(place: StorePath) -> StorePath:
    """Return a far place, whose lists show all that is there, as one that remembers; others as they are."""
    return remembered(place) if kind_of(place)[0].lists else place


def looked_at(target: StorePath) -> StorePath:
    """Return a target that remembers, and has looked already: at once, for all that is asked of it before a write."""
    looking = remembered(target)
    if isinstance(looking.store, Remembered):
        sync(looking.store.look(looking.path))
    return looking


def forgotten(target: StorePath) -> StorePath:
    """Return a target as it was before it remembered anything."""
    store: Any = target.store
    return StorePath(store._store, target.path) if isinstance(store, Remembered) else target


def forget(target: StorePath) -> None:
    """Make a target ask for everything anew."""
    if isinstance(target.store, Remembered):
        target.store.forget()


def for_each(target: StorePath, function: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
    """Return a function of each item, in order; where the store of a target is far away, beside each other."""
    if not in_flight_to(target):
        return [function(item) for item in items]
    with ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="daskome-look") as threads:
        return list(threads.map(function, items))
