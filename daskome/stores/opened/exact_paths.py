"""Stores of fsspec whose paths are paths, and whose errors name them, without what signed the request.

In what it deletes, fsspec takes ``*``, ``?`` and ``[`` for patterns. By itself, to delete ``st*r/a`` deletes ``star/a``
too, and ``a[1]/s0`` stays, since it matches ``a1/s0`` alone.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import FsspecStore, StorePath, WrapperStore

from daskome.model.urls import without_credentials
from daskome.stores.opened.bounded import check_document, is_document

PATTERNS = frozenset("*?[")
"""Characters by which fsspec takes a path for a pattern."""
AT_ONCE = 32
"""How many objects are deleted at a time, each with a request of its own."""
BULK = 1000
"""How many objects S3 deletes with one request."""
NOT_SIGNED = (401, 403)
"""What a web server answers to those whom it does not know."""


class ExactPathStore(FsspecStore):
    """A store of fsspec that deletes what lies at a path, and nothing else."""

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object, or a part of it; None where there is none."""
        with _naming(path := self._path_of(key)):
            found = await super().get(key, prototype, byte_range)
        if found is not None and byte_range is None and is_document(key):
            check_document(found.to_bytes(), without_credentials(path))
        return found

    async def set(self, key: str, value: Buffer, byte_range: tuple[int, int] | None = None) -> None:
        """Store an object."""
        with _naming(self._path_of(key)):
            await super().set(key, value, byte_range)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Store an object unless there is one: exclusively where the file system can, as those of clouds do."""
        self._check_writable()
        with _naming(path := self._path_of(key)):
            try:
                await self.fs._pipe_file(path, value.to_bytes(), mode="create")
            except FileExistsError:
                return
            except (TypeError, NotImplementedError):  # It knows no such mode.
                await super().set_if_not_exists(key, value)
            except OSError as error:
                if not _is_there_already(error):
                    raise

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        with _naming(self._path_of(key)):
            return await super().exists(key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        with _naming(self._path_of(prefix)):
            async for name in super().list_dir(prefix):
                yield name

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys below a path."""
        with _naming(self._path_of(prefix)):
            async for name in super().list_prefix(prefix):
                yield name

    async def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        path = self._path_of(key)
        if PATTERNS.isdisjoint(path):
            await super().delete(key)
        else:
            self._check_writable()
            await self._remove(path)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all objects below a path."""
        path = self._path_of(prefix)
        if PATTERNS.isdisjoint(path):
            await super().delete_dir(prefix)
            return
        self._check_writable()
        with suppress(*self.allowed_exceptions):
            await self._remove_all(await self.fs._find(path, withdirs=False, detail=False))

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Delete objects, many with each request where the file system can."""
        self._check_writable()
        paths = list(map(self._path_of, keys))
        plain = [path for path in paths if PATTERNS.isdisjoint(path)]
        with suppress(*self.allowed_exceptions):
            if plain:
                await self.fs._rm(plain)
        await self._remove_all([path for path in paths if not PATTERNS.isdisjoint(path)])

    async def _remove_all(self, paths: Sequence[str]) -> None:
        """Delete objects whose paths would be taken for patterns: many at a time with s3fs, which takes them so."""
        bulk, at_once = getattr(self.fs, "_bulk_delete", None), asyncio.Semaphore(AT_ONCE)

        async def remove(path: str) -> None:
            async with at_once:
                await self._remove(path)

        if bulk is None:
            await asyncio.gather(*map(remove, paths))
            return
        for start in range(0, len(paths), BULK):
            await bulk(list(paths[start : start + BULK]))

    async def _remove(self, path: str) -> None:
        with suppress(*self.allowed_exceptions):
            await self.fs._rm_file(path)

    def _path_of(self, key: str) -> str:
        return "/".join(filter(None, (self.path.rstrip("/"), key)))


def _is_there_already(error: OSError) -> bool:
    """Whether S3 has refused to replace an object. s3fs tells it where the server adds which condition has failed.

    Ceph and others answer with the code alone.
    """
    answer = getattr(error.__cause__, "response", None) or {}
    return bool(answer.get("Error", {}).get("Code") == "PreconditionFailed")


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Let errors name an object: those of s3fs are a server's words alone, and those of aiohttp quote the request."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = path
        raise
    except Exception as error:
        if not type(error).__module__.startswith("aiohttp"):
            raise
        plain = _of_web(error, path)
        try:
            raise plain from None
        finally:
            plain.__context__ = None


def _of_web(error: Exception, path: str) -> OSError:
    """Return an error of aiohttp's as one of Python's, which says where, and what the server has answered."""
    place, status = without_credentials(path), getattr(error, "status", None)
    if status is None:
        return ConnectionError(f"{place}: {without_credentials(str(error)) or type(error).__name__}")
    said = f"{place}: {status} {getattr(error, 'message', '')}".rstrip()
    if status not in NOT_SIGNED:
        return OSError(said)
    return PermissionError(
        f"{said}; logins are never stored: give it again, in the URL, as headers or params of its file system, or in"
        " the variables FSSPEC_HTTP_HEADERS or FSSPEC_HTTP_PARAMS (HTTPS likewise)"
    )


def exact(place: StorePath) -> StorePath:
    """Return a place in a store of fsspec that a caller has opened, with exact paths; other places as they are.

    Where the caller has wrapped it, as to log what is asked, the wrapper goes on with ours.
    """
    around, store = None, place.store
    while isinstance(store, WrapperStore):
        around, store = store, store._store
    if type(store) is not FsspecStore:
        return place
    ours = ExactPathStore(store.fs, store.read_only, store.path, store.allowed_exceptions)
    if around is None:
        return StorePath(ours, place.path)
    around._store = ours
    return place
