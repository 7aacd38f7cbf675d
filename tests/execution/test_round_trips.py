"""How many round trips to a far store are made one after another. The table holds what may only become less."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import dask.array as da
import pytest
import zarr
from zarr.storage import MemoryStore, StorePath, WrapperStore

import daskome
from daskome.execution import runner, write as execution
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
    "write": (nothing, write, 14),
    "write within a store": (nothing, lambda store: write(StorePath(store, "a")), 17),
    "overwrite": (write, lambda store: write(store, overwrite=True), 21),
    "append": (write, lambda store: daskome.append(store, IMAGE, "z"), 34),
    "update": (write, lambda store: daskome.update(store, {"z": 0}, IMAGE[0]), 32),
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


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are written into stores in memory, one after the other."""
    noted, put = list[str](), MemoryStore.set

    async def noting(store: MemoryStore, key: str, value: Any, byte_range: Any = None) -> None:
        noted.append(key)
        await put(store, key, value)

    monkeypatch.setattr(MemoryStore, "set", noting)
    return noted


def after(monkeypatch: pytest.MonkeyPatch, wait: Callable[[], Any]) -> None:
    """Let arrays be created after something else."""
    create_arrays = execution.create_arrays

    def late(*args: Any) -> None:
        wait()
        create_arrays(*args)

    monkeypatch.setattr(execution, "create_arrays", late)


@pytest.mark.usefixtures("far")
def test_units_are_encoded_while_arrays_are_created_and_stored_after_that(
    monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    store = MemoryStore()
    after(monkeypatch, lambda: until(lambda: ROOM.objects > 0))
    write(store)
    current = next(i for i, key in enumerate(keys) if key.endswith("/current"))
    assert not [key for key in keys[:current] if key.startswith("s0/c/")]
    assert [key for key in keys[current:] if key.startswith("s0/c/")]
    assert (zarr.open_array(store, path="s0", mode="r")[...] == IMAGE).all()


@pytest.mark.usefixtures("far")
def test_units_that_store_nothing_wait_for_their_arrays(monkeypatch: pytest.MonkeyPatch, keys: list[str]) -> None:
    empty = zarr.create_array({}, shape=(64, 64), chunks=(16, 16), dtype="uint8")
    after(monkeypatch, lambda: time.sleep(0.2))
    store = MemoryStore()
    daskome.write_image(empty, store, [2], axes="yx", verbatim=True)
    current = next(i for i, key in enumerate(keys) if key.endswith("/current"))
    assert not [key for key in keys[:current] if key.rpartition("/")[2].isdecimal() and not key.startswith("voxel")]
    assert (daskome.verify(store), daskome.open(store).dask.shape) == ([], (64, 64))


CHANGES: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any], bool]] = {
    "a new image": (nothing, write, True),
    "labels": (write, lambda store: daskome.write_labels(IMAGE, store, "cells", axes="zyx"), True),
    "an old image": (write, lambda store: write(store, overwrite=True), False),
    "append": (write, lambda store: daskome.append(store, IMAGE, "z"), False),
    "update": (write, lambda store: daskome.update(store, {"z": 0}, IMAGE[0]), False),
    "a computed image": (nothing, lambda store: daskome.write_image(da.ones((32, 32)) + 1, store, axes="yx"), False),
}
"""What is there before, the call, and whether its units begin while arrays are created."""


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize("name", CHANGES)
def test_what_can_be_harmed_is_not_begun_before_it_is_created(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before, call, early = CHANGES[name]
    store, begun, written = MemoryStore(), list[float](), list[float]()
    before(store)
    write_units = runner.write_units

    def noting(*args: Any) -> None:
        written.append(time.monotonic())
        write_units(*args)

    monkeypatch.setattr(runner, "write_units", noting)
    after(monkeypatch, lambda: (time.sleep(0.2), begun.append(time.monotonic())))
    call(store)
    assert (written < begun) == early


def test_an_interruption_is_not_hidden_by_what_hindered_creation() -> None:
    def refuse() -> None:
        raise PermissionError

    with pytest.raises(KeyboardInterrupt), execution._beside(refuse):
        raise KeyboardInterrupt


def test_why_arrays_could_not_be_created_is_told() -> None:
    def refuse() -> None:
        raise WriteError("could not be begun") from PermissionError("no")

    with pytest.raises(WriteError, match="begun") as caught, execution._beside(refuse):
        raise ValueError("what follows from it")
    assert isinstance(caught.value.__cause__, PermissionError)


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
