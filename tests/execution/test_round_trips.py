"""How many round trips to a far store are made one after another. The table holds what may only become less."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import zarr
from zarr.storage import MemoryStore, WrapperStore

import daskome
from daskome.execution import write as execution
from daskome.inspection.describe import describe
from daskome.model.problem import WriteError
from daskome.stores import kinds
from daskome.stores.objects.in_flight import ROOM
from daskome.stores.ownership import claims
from tests.cuboid import VALUES

IMAGE = VALUES + 1
OPTIONS: dict[str, Any] = {"axes": "zyx", "storage_options": {"chunks": 16}}
LATENCIES = (0.05, 0.2, 0.8)
"""Seconds until an answer comes: long enough for all that is asked at once to be asked. A machine may be slow."""


class Distant(WrapperStore[MemoryStore]):
    """A store that answers some time later, and counts requests that were sent when the one before was answered."""

    def __init__(self, store: MemoryStore, latency: float) -> None:
        super().__init__(store)
        self.latency, self.trips = latency, [0]

    def _with_store(self, store: MemoryStore) -> "Distant":
        made = Distant(store, self.latency)
        made.trips = self.trips
        return made

    async def trip(self) -> None:
        """Wait, and count a round trip; those that begin before it ends are the same."""
        number = self.trips[0] + 1
        await asyncio.sleep(self.latency)
        self.trips[0] = max(self.trips[0], number)


def later(method: str) -> Callable[..., Any]:
    """Return a method of the store that answers later."""

    async def ask(store: Distant, *args: Any, **kwargs: Any) -> Any:
        await store.trip()
        return await getattr(store._store, method)(*args, **kwargs)

    return ask


def listed_later(method: str) -> Callable[..., Any]:
    """Return a method of the store that lists later."""

    async def ask(store: Distant, *args: Any, **kwargs: Any) -> AsyncIterator[str]:
        await store.trip()
        async for name in getattr(store._store, method)(*args, **kwargs):
            yield name

    return ask


for _method in ("get", "exists", "getsize", "set", "set_if_not_exists", "delete", "delete_dir", "is_empty"):
    setattr(Distant, _method, later(_method))
for _method in ("list", "list_dir", "list_prefix"):
    setattr(Distant, _method, listed_later(_method))


def write(store: Any, **options: Any) -> None:
    daskome.write_image(IMAGE, store, [2, 4], **OPTIONS, **options)


def nothing(store: Any) -> None:
    """Leave a store empty."""


CALLS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], int]] = {
    "write": (nothing, write, 13),
    "overwrite": (write, lambda store: write(store, overwrite=True), 20),
    "append": (write, lambda store: daskome.append(store, IMAGE, "z"), 30),
    "update": (write, lambda store: daskome.update(store, {"z": 0}, IMAGE[0]), 29),
    "open": (write, daskome.open, 4),
    "describe": (write, describe, 5),
    "validate": (write, daskome.validate, 4),
    "verify": (write, lambda store: daskome.verify(store, pixels=False), 7),
    "status": (write, daskome.status, 11),
}
"""What is there before, the call, and its round trips."""


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores in memory count as far away, and claims as looked at lately."""
    monkeypatch.setattr(claims, "LEASE", 1e6)
    monkeypatch.setattr(kinds, "KINDS", tuple(replace(row, in_flight=64) for row in kinds.KINDS))


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_waits_for_few_round_trips(name: str) -> None:
    before, call, most = CALLS[name]
    found = []
    for latency in LATENCIES:
        near = MemoryStore()
        before(near)
        distant = Distant(near, latency)
        call(distant)
        found += distant.trips
        if found[-1] <= most:
            return
    raise AssertionError(found)


@pytest.mark.usefixtures("far")
def test_what_others_write_while_objects_are_looked_for_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes minutes, where an image is large."""
    store = MemoryStore()
    check_stored = execution.check_stored

    def slow(run: Any) -> None:
        time.sleep(0.2)
        zarr.open_group(store, mode="r+").attrs["mine"] = 1
        check_stored(run)

    monkeypatch.setattr(execution, "check_stored", slow)
    write(store)
    assert zarr.open_group(store, mode="r").attrs["mine"] == 1


@pytest.mark.usefixtures("far")
def test_units_are_encoded_while_arrays_are_created_and_stored_after_that(monkeypatch: pytest.MonkeyPatch) -> None:
    store, keys, create_arrays = MemoryStore(), list[str](), execution.create_arrays
    put = MemoryStore.set

    async def noting(store: MemoryStore, key: str, value: Any, byte_range: Any = None) -> None:
        keys.append(key)
        await put(store, key, value)

    def once_encoded(*args: Any) -> None:
        until(lambda: ROOM.objects > 0)
        create_arrays(*args)

    monkeypatch.setattr(execution, "create_arrays", once_encoded)
    monkeypatch.setattr(MemoryStore, "set", noting)
    write(store)
    current = next(i for i, key in enumerate(keys) if key.endswith("/current"))
    assert not [key for key in keys[:current] if key.startswith("s0/c/")]
    assert [key for key in keys[current:] if key.startswith("s0/c/")]
    assert (zarr.open_array(store, path="s0", mode="r")[...] == IMAGE).all()


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("error", [FileExistsError("there is an image"), PermissionError("no"), WriteError("begun")])
def test_what_hinders_creation_is_what_the_call_raises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    store = MemoryStore()

    def refuse(*args: Any) -> None:
        until(lambda: ROOM.objects > 0)
        raise error

    monkeypatch.setattr(execution, "create_arrays", refuse)
    with pytest.raises(type(error), match=f"^{error}$"):
        write(store)
    assert (store._store_dict, caplog.records, ROOM.objects) == ({}, [], 0)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that takes a moment."""
    end = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.001)
