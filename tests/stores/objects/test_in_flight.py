"""Objects on their way: as many as may be, none lost, none left when a unit has ended, however it ended."""

import asyncio
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore

from daskome.stores.arrays import through_store
from daskome.stores.objects.in_flight import QUEUE, ROOM, InFlight, WholeObjects, whole_objects
from tests.strategies import law

LIMIT = InFlight(4, 1000)


class Far(MemoryStore):
    """A store that answers later, notes how much it holds open, and fails for keys that say so."""

    def __init__(self) -> None:
        super().__init__()
        self.objects = self.nbytes = 0
        self.most: tuple[int, int] = (0, 0)

    async def set(self, key: str, value: Buffer, byte_range: Any = None) -> None:
        self.objects, self.nbytes = self.objects + 1, self.nbytes + len(value)
        self.most = (max(self.most[0], self.objects), max(self.most[1], self.nbytes))
        await asyncio.sleep(0.002)
        self.objects, self.nbytes = self.objects - 1, self.nbytes - len(value)
        if "fails" in key:
            raise OSError(f"{key} cannot be written")
        await super().set(key, value)


def value(n: int) -> Buffer:
    return default_buffer_prototype().buffer.from_bytes(b"\1" * n)


def send(store: Far, keys: Iterable[str], limit: InFlight = LIMIT, nbytes: int = 1) -> None:
    with whole_objects(store, limit) as taken:
        for key in keys:
            taken.set_sync(key, value(nbytes))


def sizes(store: MemoryStore) -> dict[str, int]:
    return {key: len(held) for key, held in store._store_dict.items()}


@given(st.lists(st.integers(1, 1500), max_size=25), st.integers(1, 3))
@law(max_examples=25, derandomize=False)
def test_all_are_stored_and_never_more_than_the_limit_is_on_its_way(nbytes: list[int], n_threads: int) -> None:
    store = Far()

    def unit(number: int) -> None:
        with whole_objects(store, LIMIT) as taken:
            for i, n in enumerate(nbytes):
                taken.set_sync(f"{number}/{i}", value(n))

    threads = [threading.Thread(target=unit, args=(number,)) for number in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes(store) == {f"{k}/{i}": n for k in range(n_threads) for i, n in enumerate(nbytes)}
    assert store.most[0] <= LIMIT.objects
    assert store.most[1] <= max(LIMIT.nbytes, *nbytes, 0)
    assert (ROOM.objects, ROOM.nbytes) == (0, 0)


def test_many_are_on_their_way_at_a_time() -> None:
    store = Far()
    send(store, map(str, range(20)))
    assert store.most[0] == LIMIT.objects


def test_an_object_that_fails_fails_its_unit_after_all_others_have_landed() -> None:
    store = Far()
    with pytest.raises(OSError, match="1-fails cannot be written"):
        send(store, ["0", "1-fails", "2"])
    assert store.objects == 0
    assert set(sizes(store)) == {"0", "2"}
    sent: list[str] = []
    with pytest.raises(OSError, match="cannot be written"):
        send(store, (sent.append(key) or key for key in map("{}-fails".format, range(1000))))
    assert len(sent) < 100
    assert store.objects == 0
    assert (ROOM.objects, ROOM.nbytes) == (0, 0)


def test_nothing_is_on_its_way_when_a_unit_has_failed_for_another_reason() -> None:
    store = Far()
    with pytest.raises(ZeroDivisionError):
        send(store, (key if key != "1" else str(1 // 0) for key in "01"))
    assert (store.objects, set(sizes(store))) == (0, {"0"})


def test_from_an_event_loop_too() -> None:
    store = Far()

    async def write(taken: WholeObjects) -> None:
        await asyncio.gather(*(taken.set(str(i), value(400)) for i in range(10)))
        await taken.delete("0")

    with whole_objects(store, LIMIT) as taken:
        zarr.core.sync.sync(write(taken))
    assert set(sizes(store)) <= {str(i) for i in range(10)}
    assert store.most[1] <= LIMIT.nbytes


@pytest.mark.parametrize("limit", [InFlight(), LIMIT], ids=["near", "far"])
@pytest.mark.parametrize("shards", [None, (8, 8)], ids=["chunks", "shards"])
def test_what_was_there_is_not_read(tmp_path: Any, limit: InFlight, shards: tuple[int, int] | None) -> None:
    """A shard at the edge that a killed process has left half written is written anew."""
    array = zarr.create_array(
        LocalStore(tmp_path), name="a", shape=(13, 13), chunks=(4, 4), shards=shards, dtype="uint16"
    )
    array[...] = 7
    for path in (tmp_path / "a" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(b"torn")
    with whole_objects(array.store, limit) as taken:
        through_store(array, taken)[...] = np.arange(169, dtype="uint16").reshape(13, 13)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a")[...], np.arange(169).reshape(13, 13))


@pytest.mark.parametrize("at_once", [True, False], ids=["set_sync", "set"])
def test_objects_wait_for_what_must_be_there_before(at_once: bool) -> None:
    store, before = Far(), Future[None]()
    with whole_objects(store, replace(LIMIT, after=before)) as taken:
        for key in ("a", "b"):
            taken.set_sync(key, value(1)) if at_once else sync(taken.set(key, value(1)))
        time.sleep(0.05)
        assert (store.most, sizes(store), ROOM.objects) == ((0, 0), {}, 2)
        before.set_result(None)
    assert sizes(store) == {"a": 1, "b": 1}


def test_who_stores_nothing_waits_for_it_too() -> None:
    store, before = Far(), Future[None]()
    threading.Timer(0.05, before.set_result, [None]).start()
    send(store, (), replace(LIMIT, after=before))
    assert before.done()


def test_who_stores_nothing_fails_with_it() -> None:
    store, before = Far(), Future[None]()
    threading.Timer(0.05, before.set_exception, [OSError("no arrays")]).start()
    with pytest.raises(OSError, match="no arrays"):
        send(store, (), replace(LIMIT, after=before))


def test_none_leaves_if_that_fails() -> None:
    store, before = Far(), Future[None]()
    threading.Timer(0.05, before.set_exception, [OSError("no arrays")]).start()
    with pytest.raises(OSError, match="no arrays"):
        send(store, map(str, range(9)), replace(LIMIT, after=before))  # More than may be on their way.
    assert (store.most, ROOM.objects) == ((0, 0), 0)


def test_what_waits_to_leave_is_bounded_by_its_bytes_and_number() -> None:
    """Encoding goes on while arrays are created, in the memory that is planned for what is on its way."""
    for nbytes, most in ((1, QUEUE * LIMIT.objects), (300, 3)):
        store, before = Far(), Future[None]()
        limit = replace(LIMIT, after=before)
        thread = threading.Thread(target=send, args=(store, map(str, range(30)), limit, nbytes))
        thread.start()
        time.sleep(0.1)
        waiting = ROOM.objects
        before.set_result(None)
        thread.join()
        assert waiting == most
        assert store.most[0] <= LIMIT.objects
        assert len(sizes(store)) == 30


def test_after_a_failure_none_that_waits_leaves() -> None:
    store = Far()
    with pytest.raises(OSError, match="0-fails cannot be written"):
        send(store, ["0-fails", *map(str, range(1, QUEUE * LIMIT.objects))])
    assert len(sizes(store)) < 2 * LIMIT.objects
