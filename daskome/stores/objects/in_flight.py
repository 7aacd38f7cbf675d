"""Stores as a unit writes whole objects into them: at once where they are near, many on their way where they are far.

::

    the thread of a unit    encode ──▶ encode ──▶ encode ──▶ …   waits only if too much has not arrived
                               │          │          │
    zarr's event loop          └─ PUT ……  └─ PUT ……  └─ PUT ……

An object is on its way when `set` returns; a unit is recorded as finished only after `landed`. The first may be encoded
while the documents of arrays, which must be there before them, are still being written: they wait for these.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.core.sync import sync
from zarr.storage import WrapperStore

from daskome.stores.kinds import waits_for_no_loop

QUEUE = 4
"""How many times as many objects as may be on their way may be encoded and not stored, if their bytes allow it."""
POLL = 0.005
"""Seconds between looks for room by what runs on an event loop, and so must not wait."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """How much may be on its way from a process at a time, from all of its threads; one object always may.

    Attributes
    ----------
    objects : int
        How many; 0: each object is stored before the next one is encoded.
    nbytes : int
        Of these, and of those that wait until they may leave, as they are encoded.
    after : Future, optional
        What has to end before any of them leaves, and before all count as stored, were it none.
    """

    objects: int = 0
    nbytes: int = 0
    after: "Future[None] | None" = None


class _Room:
    """What is encoded in this process and not stored."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a process that was forked, nothing is on its way."""
        self.objects = self.nbytes = 0
        self._freed = threading.Condition()

    def take(self, nbytes: int, limit: InFlight, patient: bool = True) -> bool:
        """Take room for an object, once there is some; return whether there was any."""
        with self._freed:
            while self.objects and (self.objects >= QUEUE * limit.objects or self.nbytes + nbytes > limit.nbytes):
                if not patient:
                    return False
                self._freed.wait()
            self.objects, self.nbytes = self.objects + 1, self.nbytes + nbytes
            return True

    def give_back(self, nbytes: int) -> None:
        """Give back the room of an object that is stored, or has failed."""
        with self._freed:
            self.objects, self.nbytes = self.objects - 1, self.nbytes - nbytes
            self._freed.notify_all()


ROOM = _Room()
os.register_at_fork(after_in_child=ROOM.reset)


class WholeObjects(WrapperStore[Store]):
    """A near store into which whole objects are written: what was there before is never read.

    zarr reads a shard that reaches beyond the edge of an array before it writes it. Of one that a killed process has
    left half written it would make an error, and where stores are far away it is a request for nothing.

    Attributes
    ----------
    keys : set of str
        Of the objects that it was given; empty chunks are not stored.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.keys: set[str] = set()

    def __str__(self) -> str:
        return str(self._store)

    @property
    def waits_for_no_loop(self) -> bool:
        """Whether requests never wait for an event loop."""
        return waits_for_no_loop(self._store)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return nothing."""
        return None

    def get_sync(self, key: str, **_: Any) -> Buffer | None:
        """Return nothing."""
        return None

    async def set(self, key: str, value: Buffer) -> None:
        """Store an object."""
        self.keys.add(key)
        await super().set(key, value)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Store an object, without an event loop."""
        self.keys.add(key)
        super().set_sync(key, value)

    def settle(self) -> None:
        """Wait until nothing is on its way, whether it is stored or has failed."""

    def landed(self) -> None:
        """Raise unless all objects are stored."""


class Outbox(WholeObjects):
    """A far store into which whole objects are written: they are on their way while the thread goes on.

    Parameters
    ----------
    store : Store
    limit : InFlight
    """

    waits_for_no_loop = True

    def __init__(self, store: Store, limit: InFlight) -> None:
        super().__init__(store)
        self.limit = limit
        self._loop = sync(_running_loop())
        self._flying: set[Future[None]] = set()
        self._error: BaseException | None = None

    def set_sync(self, key: str, value: Buffer) -> None:
        """Send an object; return when there is room for it.

        Raises
        ------
        Exception
            What has befallen an object that was sent before.
        """
        self.keys.add(key)
        self._send(self._store.set(key, value), len(value))

    def delete_sync(self, key: str) -> None:
        """Delete an object: a request like others."""
        self._send(self._store.delete(key), 0)

    async def set(self, key: str, value: Buffer) -> None:
        """Send an object, from an event loop."""
        self.keys.add(key)
        await self._send_from_loop(self._store.set(key, value), len(value))

    async def delete(self, key: str) -> None:
        """Delete an object, from an event loop."""
        await self._send_from_loop(self._store.delete(key), 0)

    def settle(self) -> None:
        """Wait until nothing is on its way, whether it is stored or has failed."""
        before = () if self.limit.after is None else (self.limit.after,)
        ended = wait({*before, *self._flying.copy()}).done
        self._error = self._error or next(filter(None, (future.exception() for future in ended)), None)

    def landed(self) -> None:
        """Raise unless all objects are stored."""
        if self._error is not None:
            raise self._error

    def _send(self, request: Coroutine[Any, Any, None], nbytes: int) -> None:
        self._check(request)
        ROOM.take(nbytes, self.limit)
        self._let_fly(request, nbytes)

    async def _send_from_loop(self, request: Coroutine[Any, Any, None], nbytes: int) -> None:
        self._check(request)
        while not ROOM.take(nbytes, self.limit, patient=False):
            await asyncio.sleep(POLL)
        self._let_fly(request, nbytes)

    def _check(self, request: Coroutine[Any, Any, None]) -> None:
        if self._error is not None:
            request.close()
            raise self._error

    def _let_fly(self, request: Coroutine[Any, Any, None], nbytes: int) -> None:
        future = asyncio.run_coroutine_threadsafe(self._carry(request, nbytes), self._loop)
        self._flying.add(future)
        future.add_done_callback(self._note)

    async def _carry(self, request: Coroutine[Any, Any, None], nbytes: int) -> None:
        """Make a request when it may be made; none any more once another has failed."""
        after = self.limit.after
        try:
            if after is not None and not (after.done() and after.exception() is None):
                await _ended(after, request)
            async with _gate(self.limit.objects):
                self._check(request)
                await request
        finally:
            ROOM.give_back(nbytes)

    def _note(self, future: "Future[None]") -> None:
        self._error = self._error or future.exception()
        self._flying.discard(future)


_GATES: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, asyncio.Semaphore]]" = WeakKeyDictionary()


def _gate(objects: int) -> asyncio.Semaphore:
    """Return what lets so many requests of this event loop be open at a time."""
    gates = _GATES.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(objects, asyncio.Semaphore(objects))


async def _ended(after: "Future[None]", request: Coroutine[Any, Any, None]) -> None:
    """Wait until something has ended; if that has failed, raise its error, and make no request."""
    try:
        await asyncio.shield(asyncio.wrap_future(after))
    except BaseException:
        request.close()
        raise


async def _running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


@contextmanager
def whole_objects(store: Store, limit: InFlight) -> Iterator[WholeObjects]:
    """Yield a store as a unit writes whole objects into it; when it is left, none is on its way any more.

    Raises
    ------
    Exception
        What has befallen an object.
    """
    taken = Outbox(store, limit) if limit.objects else WholeObjects(store)
    try:
        yield taken
    finally:
        taken.settle()
    taken.landed()
