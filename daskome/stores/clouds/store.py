"""Buckets opened with obstore: requests that outlast trouble, errors in Python's words, no secrets in either.

obstore does the work of a request in Rust: it takes a fraction of the processor time that s3fs and adlfs take. Imported
only where a bucket is opened, if obstore is installed.
"""

import atexit
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Self

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore

from daskome.model.paths import join_paths
from daskome.planning.cost import LARGEST_PUT, PART_NBYTES
from daskome.stores.clouds.logins import LOOKING_UP
from daskome.stores.opened.bounded import check_document, is_document
from daskome.stores.opened.pages import Pages, obstore_pages, whole_answer

ANSWERED_WITHIN = 40.0
"""Seconds until a request that is not answered, or an answer that does not go on, is given up and tried again."""
SLOWEST_PUT = 1_000_000
"""Bytes per second: a large object that travels more slowly counts as hanging."""
SMALL_OBJECT = 2**22
"""Bytes of the largest object that travels within the `ANSWERED_WITHIN` for any request."""
MOST_RETRIES = 50
"""After waits of up to `LONGEST_WAIT` seconds: servers that are overloaded refuse many times, and then do not."""
LONGEST_WAIT = 2.0
GIVE_UP = 170.0
"""Seconds after which a request is not tried again. Its signature ages."""
CLIENTS = 64
"""How many clients, with their connections, one process keeps."""
LOOKED_UP_WITHIN = 30
"""Seconds that a process waits at its end for credentials that are just looked up."""
SETTLING = 0.05
"""Seconds that a process waits at its end until obstore's threads have let go of Python, which they would abort."""
_FORKED = threading.Event()


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where objects lie, and how they are requested: all that a process needs to open a `CloudStore`.

    Attributes
    ----------
    scheme : str
        Of its URL: that tells the clouds apart.
    name, prefix : str
        The bucket or container, and the path in it; all keys lie below.
    config, client : tuple of (str, str)
        Settings of obstore for this cloud, which may be secrets, and for any.
    login : callable, optional
        Returns credentials, whenever they are needed.
    certificates : str
        A file of certificates that are trusted beside those of the system.
    patience : float
        Seconds until a request is given up, and tried again.
    retries : int
        How many times.
    """

    scheme: str
    name: str
    prefix: str
    config: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    client: tuple[tuple[str, str], ...] = ()
    login: Any = field(default=None, repr=False)
    certificates: str = ""
    patience: float = ANSWERED_WITHIN
    retries: int = MOST_RETRIES

    @property
    def url(self) -> str:
        """The URL; it has no secrets."""
        return f"{self.scheme}://{'/'.join(filter(None, (self.name, self.prefix)))}"

    def for_large_objects(self) -> "Bucket":
        """Return the same, with the time that the largest object takes which is sent as one."""
        return replace(self, patience=self.patience + LARGEST_PUT / SLOWEST_PUT)


def is_forked() -> bool:
    """Whether this process is a copy of one that has used obstore, whose threads it does not have."""
    return _FORKED.is_set()


@cache
def _begin() -> None:
    """Prepare for the end of this process, and for copies of it."""
    atexit.register(_settle)
    os.register_at_fork(after_in_child=_FORKED.set)


def _settle() -> None:
    """Wait for threads that are in Python, and keep others out: they would abort a process that ends."""
    LOOKING_UP.acquire(timeout=LOOKED_UP_WITHIN)
    time.sleep(SETTLING)


@lru_cache(CLIENTS)
def _client(bucket: Bucket) -> Any:
    """Return obstore's client for a bucket; one is shared by all who open it, with its connections."""
    from datetime import timedelta

    from obstore import store

    _begin()
    classes: dict[str, Any] = {"s3": store.S3Store, "az": store.AzureStore}
    options: dict[str, Any] = {"read_timeout": f"{bucket.patience:.3f}s", "timeout": "1day", **dict(bucket.client)}
    if bucket.certificates:
        options["root_certificate"] = Path(bucket.certificates).read_bytes()
    login = {} if bucket.login is None else {"credential_provider": bucket.login}
    return classes[bucket.scheme](
        bucket.name,
        prefix=bucket.prefix or None,
        config=dict(bucket.config),
        client_options=options,
        retry_config={
            "max_retries": bucket.retries,
            "retry_timeout": timedelta(seconds=GIVE_UP),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=LONGEST_WAIT),
                "base": 2,
            },
        },
        **login,
    )


class CloudStore(ObjectStore[Any]):
    """A store in a bucket. It can be pickled; each process opens its own connections, once."""

    def __init__(self, bucket: Bucket, *, read_only: bool = False) -> None:
        super().__init__(_client(bucket), read_only=read_only)
        self.bucket = bucket

    def __reduce__(self) -> Any:
        return _reopened, (self.bucket, self.read_only)

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the same store, open for reading only or for writing, too."""
        return type(self)(self.bucket, read_only=read_only)

    def at(self, prefix: str) -> "CloudStore":
        """Return another place in the bucket, to be read."""
        return CloudStore(replace(self.bucket, prefix=prefix), read_only=True)

    def __str__(self) -> str:
        return self.bucket.url

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object, or a part of it; None where there is none."""
        get = super().get
        with _PlainErrors(self, key):
            found = await whole_answer(lambda: get(key, prototype, byte_range))
        if found is not None and byte_range is None and is_document(key):
            check_document(found.to_bytes(), f"{self.bucket.url}/{key}")
        return found

    async def get_partial_values(self, prototype: BufferPrototype, key_ranges: Any) -> list[Buffer | None]:
        """Return parts of objects."""
        with _PlainErrors(self):
            return await super().get_partial_values(prototype, key_ranges)

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        with _PlainErrors(self, key):
            return await super().exists(key)

    async def getsize(self, key: str) -> int:
        """Return the bytes of an object."""
        with _PlainErrors(self, key):
            return await super().getsize(key)

    async def set(self, key: str, value: Buffer) -> None:
        """Write an object: as one, unless it is huge. obstore would make parts of 5 MiB, and wait three times."""
        import obstore

        self._check_writable()
        client = _client(self.bucket if len(value) <= SMALL_OBJECT else self.bucket.for_large_objects())
        with _PlainErrors(self, key):
            await obstore.put_async(
                client,
                key,
                value.as_buffer_like(),
                use_multipart=len(value) >= LARGEST_PUT,
                chunk_size=PART_NBYTES,
                max_concurrency=1,
            )

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Write an object unless there is one."""
        with _PlainErrors(self, key):
            await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        with _PlainErrors(self, key):
            await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        """Delete all objects below a path: page by page as they are listed, many with each request."""
        path = prefix.rstrip("/")
        async for page in self.pages(path):
            await self.delete_many([join_paths(path, key) for key, _ in page])

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Delete objects, as many with each request as the cloud takes."""
        import obstore

        self._check_writable()
        with _PlainErrors(self):
            await obstore.delete_async(self.store, list(keys))

    async def pages(self, path: str) -> Pages:
        """Yield the objects below a path, in the order of their keys."""
        with _PlainErrors(self, path):
            async for page in obstore_pages(self.store, path):
                yield page

    async def list(self) -> AsyncIterator[str]:  # type: ignore[override]
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # type: ignore[override]
        """Yield the keys below a path."""
        path = prefix.rstrip("/")
        async for page in self.pages(path):
            for key, _ in page:
                yield join_paths(path, key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:  # type: ignore[override]
        """Yield the names in a folder."""
        with _PlainErrors(self, prefix):
            for name in await whole_answer(lambda: self._names(prefix)):
                yield name

    async def _names(self, prefix: str) -> Sequence[str]:
        return [name async for name in super().list_dir(prefix)]


def _reopened(bucket: Bucket, read_only: bool) -> CloudStore:
    return CloudStore(bucket, read_only=read_only)


STATUS = re.compile(r"status code: (\d{3}) ([A-Za-z][A-Za-z ]*)")
CODE = re.compile(r"<Code>(\w+)</Code>")
TRIED = re.compile(r"after (\d+) retries")
LOGIN = re.compile(r"credential provider: (?:\w+: )?([^\n]+)")
ANSWERS: dict[str, type[OSError]] = {"401": PermissionError, "403": PermissionError, "404": FileNotFoundError}
BROKEN: dict[str, tuple[type[OSError], str]] = {
    "kind: Timeout": (TimeoutError, "timed out"),
    "ConnectionRefused": (ConnectionError, "connection refused"),
    "dns error": (ConnectionError, "no such host"),
    "kind: Connect": (ConnectionError, "cannot connect"),
}
"""What obstore's description of an error tells of requests that were not answered, by a part of it."""
PYTHONS_OWN = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)


class _PlainErrors:
    """Turns obstore's errors into Python's, with place and answer. Theirs quote requests, and what was signed."""

    def __init__(self, store: CloudStore, key: str = "") -> None:
        self.place, self.key = store.bucket, key

    def __enter__(self) -> None:
        if is_forked():
            raise RuntimeError(
                f"{self.place.url} was opened before this process was forked, which obstore does not survive; start"
                " processes with 'spawn' or 'forkserver'"
            )

    def __exit__(self, _: Any, error: BaseException | None, traceback: Any) -> None:
        if not (type(error).__module__.startswith("obstore") or isinstance(error, PYTHONS_OWN)):
            return
        assert error is not None
        plain = plain_error(error, "/".join(filter(None, (self.place.url, self.key))))
        try:
            raise plain from None
        finally:
            plain.__context__ = None


def plain_error(error: BaseException, place: str) -> OSError:
    """Return an error of obstore's as one of Python's, which says where, and what the server has answered."""
    text = str(error)
    kind, said = _cause(error, text)
    code, tried = CODE.search(text), TRIED.search(text)
    codes = f", {code.group(1)}" if code else ""
    retries = f", after {tried.group(1)} retries" if tried else ""
    return kind(f"{place}: {said}{codes}{retries}")


def _cause(error: BaseException, text: str) -> tuple[type[OSError], str]:
    """Return the class of Python's for an error of obstore's, and what was wrong."""
    kind = next((known for known in PYTHONS_OWN if isinstance(error, known)), OSError)
    if status := STATUS.search(text):
        return ANSWERS.get(status.group(1), kind), f"{status.group(1)} {status.group(2).strip()}"
    if login := LOGIN.search(text):
        return PermissionError, login.group(1)
    return next((found for words, found in BROKEN.items() if words in text), (kind, type(error).__name__))
