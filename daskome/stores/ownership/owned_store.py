"""A store that only its owner changes: before each change, its claim must stand, as far as it was asked lately.

In folders, nothing of a process that was stopped between asking and writing arrives afterwards, either: a file is
written under another name, then the claim is looked at, then it gets its name; and who takes over deletes such files,
with the folders of what it replaces. What is deleted is moved away first, into the folder of the journal, then the
claim is looked at: nobody goes on to delete in a folder that another has made since, nor a file of an image that is
finished, whose journal is gone.
"""

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore, StorePath, WrapperStore

from daskome.model.paths import join_paths
from daskome.stores.kinds import in_flight_to, kind_of, waits_for_no_loop
from daskome.stores.location import folder_of
from daskome.stores.opened.bounded import BoundedFolder
from daskome.stores.opened.pages import delete_keys
from daskome.stores.ownership.claims import CLAIMS, LEASE, Claim
from daskome.stores.ownership.owner import is_of_the_dead, mark_of_this_process

JOURNAL_FOLDER = CLAIMS.partition("/")[0]
MOVED = "deleted"
"""The folder, beside that of claims, into which folders are moved to be deleted."""
PARTIAL_FILES = "*.partial"
KNOWN_WITHIN = 5.0
"""Seconds in which it must be known that a claim stands, while a far store is asked for a change."""


class OwnedStore(WrapperStore[Store]):
    """A store that is changed under a claim.

    Parameters
    ----------
    store : Store
    claim : Claim
    """

    def __init__(self, store: Store, claim: Claim) -> None:
        super().__init__(store)
        self.claim = claim
        self._is_far = in_flight_to(StorePath(store)) > 0
        self._root: Path | None = store.root if isinstance(store, LocalStore) and _moves(store) else None

    def _with_store(self, store: Store) -> "OwnedStore":
        return type(self)(store, self.claim)

    def __str__(self) -> str:
        return str(self._store)

    @property
    def waits_for_no_loop(self) -> bool:
        """Whether requests never wait for an event loop."""
        return waits_for_no_loop(self._store)

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object."""
        if self._root is not None:
            await asyncio.to_thread(self._put, self._root, key, value)
            return
        await self._asked(lambda: self._store.set(key, value))

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write an object, without an event loop."""
        if self._root is not None:
            self._put(self._root, key, value)
            return
        self.claim.renew()
        self._any.set_sync(key, value)

    async def _set_many(self, values: Iterable[tuple[str, Buffer]]) -> None:
        await asyncio.gather(*(self.set(*each) for each in values))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write an object unless there is one."""
        if self._root is not None:
            with suppress(FileExistsError):
                await asyncio.to_thread(self._put, self._root, key, value, exclusive=True)
            return
        await self._asked(lambda: self._store.set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        """Delete an object."""
        if self._root is not None and not (self._root / key).is_dir():
            await asyncio.to_thread(self._remove, self._root, key)
            return
        await self._asked(lambda: self._store.delete(key))

    def delete_sync(self, key: str) -> None:
        """Delete an object, without an event loop."""
        if self._root is not None and not (self._root / key).is_dir():
            self._remove(self._root, key)
            return
        self.claim.renew()
        self._any.delete_sync(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all below a path."""
        if self._root is not None and await asyncio.to_thread(self._moved_and_deleted, self._root, prefix):
            return
        kind, store = kind_of(StorePath(self._store))
        if kind.shared and kind.in_flight:  # That takes its time, in which another may take over, and write there.
            async for page in kind.pages(store, prefix.rstrip("/")):
                await self.delete_many([join_paths(prefix.rstrip("/"), key) for key, _ in page])
            return
        await self.claim.renewed()
        await self._store.delete_dir(prefix)

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Delete objects, many with each request where the store can."""
        if self._root is not None:
            await asyncio.gather(*map(self.delete, keys))
            return
        await self._asked(lambda: delete_keys(self._store, keys))

    async def clear(self) -> None:
        """Delete everything."""
        await self.claim.renewed()
        await self._store.clear()

    async def _asked(self, request: Callable[[], Awaitable[None]]) -> None:
        """Ask for a change, as long as the claim stands: far stores are asked again for minutes.

        If it is not known in time whether the claim stands, the request is taken back, and made again once it is.
        """
        while not await self._answered(request):
            continue

    async def _answered(self, request: Callable[[], Awaitable[None]]) -> bool:
        await self.claim.renewed()
        asked = asyncio.ensure_future(request())
        try:
            while self._is_far and not (await asyncio.wait([asked], timeout=LEASE))[0]:
                await asyncio.wait_for(self.claim.renewed(), KNOWN_WITHIN)
            await asked
        except TimeoutError:
            if not asked.done():
                return False
            asked.result()
        finally:
            asked.cancel()
        return True

    @property
    def _any(self) -> Any:
        return self._store

    def _put(self, root: Path, key: str, value: Buffer, exclusive: bool = False) -> None:
        """Write a file; it gets its name only if the claim stands, and, if it is to be exclusive, nobody has it."""
        self._check_writable()
        path = root / key
        partial = path.with_suffix(f".{mark_of_this_process()}.{uuid4().hex}.partial")
        self.claim.renew()
        try:
            _make_folder(path.parent)
            with partial.open("wb") as file:
                file.write(value.as_buffer_like())
            self.claim.renew()
            if exclusive:
                _name_new(partial, path)
            else:
                partial.replace(path)
        except BaseException as error:
            with suppress(OSError):
                partial.unlink()
            if isinstance(error, FileNotFoundError):  # Who has taken over has deleted it.
                self.claim.check()
            raise

    def _remove(self, root: Path, key: str) -> None:
        """Delete a file, if there is one."""
        self._check_writable()
        path = root / key
        if not os.path.lexists(path):
            self.claim.renew()
            return
        moved = self._moved(root, path)
        if moved is None:
            self.claim.check()
            path.unlink(missing_ok=True)
        else:
            moved.unlink(missing_ok=True)

    def _moved_and_deleted(self, root: Path, prefix: str) -> bool:
        """Delete a folder, once it is moved away; return whether that could be done."""
        folder, kept = root / prefix, self._journal(root) / MOVED
        if not folder.is_dir() or folder.is_symlink() or folder in (kept, *kept.parents):
            return False
        moved = self._moved(root, folder)
        if moved is None:
            self.claim.check()
            return False
        with suppress(FileNotFoundError):
            shutil.rmtree(moved)
        return True

    def _moved(self, root: Path, path: Path) -> Path | None:
        """Move what is deleted away, and back unless the claim stands; return where it is, None if it cannot be moved.

        It cannot if it is gone, if the journal is, or where a file system is mounted.
        """
        moved = self._journal(root) / MOVED / uuid4().hex
        self.claim.renew()
        try:
            _make_folder(moved.parent)
            path.rename(moved)
        except OSError:
            return None
        try:
            self.claim.check()
        except BaseException:
            with suppress(OSError):
                moved.rename(path)
            raise
        return moved

    def _journal(self, root: Path) -> Path:
        return root / self.claim.home.path / JOURNAL_FOLDER


def _moves(store: LocalStore) -> bool:
    """Whether files get their names here; a class that is derived may do otherwise."""
    return os.name == "posix" and type(store) in (LocalStore, BoundedFolder)


def _name_new(partial: Path, path: Path) -> None:
    """Give a file its name; raise a FileExistsError if another has it."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # As of file systems without hard links. What else is wrong comes again.
        if path.exists():
            raise FileExistsError(str(path)) from None
        partial.replace(path)
    else:
        partial.unlink()


def _make_folder(folder: Path) -> None:
    """Make a folder and those that it lies in, but never that of the journal: where that is gone, nobody writes."""
    with suppress(FileExistsError):
        try:
            _make_one(folder)
        except FileNotFoundError:
            _make_folder(folder.parent)
            _make_one(folder)


def _make_one(folder: Path) -> None:
    if folder.name != JOURNAL_FOLDER:
        folder.mkdir()
    elif not folder.is_dir():
        raise FileNotFoundError(f"{folder} is gone")


def owned(place: StorePath, claim: Claim | None) -> StorePath:
    """Return a place as the owner of a claim writes there; as it is, where there are no claims."""
    return place if claim is None else StorePath(OwnedStore(place.store, claim), place.path)


def forget_half_done(home: StorePath, target: StorePath, paths: Iterable[str]) -> None:
    """Delete what an owner that was taken over has half written in groups, or moved away: woken, it finds neither."""
    delete_partial_documents(target, paths)
    folder = folder_of(home / JOURNAL_FOLDER / MOVED)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def delete_partial_documents(target: StorePath, paths: Iterable[str], of_the_dead: bool = False) -> None:
    """Delete unfinished documents of groups, which processes that are owners no longer would give their names.

    In groups that others may be writing, too, only those of processes of this machine that have ended (`of_the_dead`).
    """
    for folder in (folder_of(target / path) for path in paths):
        for partial in () if folder is None else folder.glob(PARTIAL_FILES):
            if not of_the_dead or is_of_the_dead(Path(Path(partial.stem).stem).suffix[1:]):
                partial.unlink(missing_ok=True)
