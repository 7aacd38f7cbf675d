"""Lists that several processes extend: none of their entries is lost, and none is there that should not be."""

import multiprocessing
import os
import pickle
import random
import time
import warnings
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import zarr
from zarr.abc.store import ByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, MemoryStore, StorePath

import daskome
from daskome.ome.metadata import Metadata
from daskome.ome.plate import parse_plate
from daskome.ome.read import read_metadata
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from daskome.stores import kinds, publish
from daskome.stores.groups import create_unless_there, read_attributes, set_attributes
from daskome.stores.kinds import StoreKind
from daskome.stores.ownership.owner import mark_of_this_process

IMAGE = np.ones((4, 4), "uint8")
VERSION = VERSIONS["0.5"]
LAG = 0.15
"""Seconds after which the writes of another process are seen at the latest, in stores of these tests."""


class Lagging(Store):
    """A store in which others see what is written, and deleted, some time later; who writes sees it at once.

    Each version of an object is a file, which says who wrote it and from when on others see it. It is no wrapper, whose
    kind would be that of the store inside: daskome would take it for a folder, and lock that.
    """

    supports_writes = supports_deletes = supports_listing = True
    supports_partial_writes = False

    def __init__(self, root: Path, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.root = root

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lagging) and other.root == self.root

    __hash__ = None  # type: ignore[assignment]

    def with_read_only(self, read_only: bool = False) -> "Lagging":
        return Lagging(self.root, read_only)

    def _versions(self, key: str) -> list[Path]:
        folder = self.root / key
        return sorted(folder.glob("*.version"), reverse=True) if folder.is_dir() else []

    def _seen(self, key: str) -> bytes | None:
        for path in self._versions(key):
            who, when, value = pickle.loads(path.read_bytes())
            if who == os.getpid() or when <= time.time():
                return value  # type: ignore[no-any-return]
        return None

    def _write(self, key: str, value: bytes | None) -> None:
        folder = self.root / key
        folder.mkdir(parents=True, exist_ok=True)
        version = pickle.dumps((os.getpid(), time.time() + random.uniform(0.1, 1) * LAG, value))
        (folder / f".{os.getpid()}").write_bytes(version)
        (folder / f".{os.getpid()}").rename(folder / f"{time.time_ns():020}-{os.getpid()}.version")

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = self._seen(key)
        if found is None or byte_range is None:
            return None if found is None else prototype.buffer.from_bytes(found)
        copy = MemoryStore({"key": prototype.buffer.from_bytes(found)})
        return await copy.get("key", prototype, byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        return self._seen(key) is not None

    async def set(self, key: str, value: Buffer) -> None:
        self._write(key, value.to_bytes())

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if self._seen(key) is None:
            self._write(key, value.to_bytes())

    async def delete(self, key: str) -> None:
        self._write(key, None)

    async def delete_dir(self, prefix: str) -> None:
        async for key in self.list_prefix(prefix):
            self._write(key, None)

    async def is_empty(self, prefix: str) -> bool:
        return not [key async for key in self.list_prefix(prefix)]

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        keys = {path.parent.relative_to(self.root).as_posix() for path in (self.root / prefix).rglob("*.version")}
        for key in sorted(keys):
            if self._seen(key) is not None:
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        for name in sorted({key.removeprefix(start).split("/")[0] async for key in self.list_prefix(prefix)}):
            yield name


def lagging_row() -> StoreKind:
    """Return the kind of these stores: one of which nothing is known, but how long others may not see a write."""
    return replace(kinds.KINDS[-1], includes=lambda store: isinstance(store, Lagging), lag=3 * LAG, in_flight=0)


def add(folder: Path, kind: str, who: int, n: int, lagging: bool, barrier: Any) -> None:
    """Add some wells or labels to a plate or an image, each at the same time as other processes add theirs."""
    kinds.KINDS = (lagging_row(), *kinds.KINDS)
    store: Any = Lagging(folder) if lagging else LocalStore(folder)
    try:
        for k in range(n):
            barrier.wait(120)
            if kind == "wells":
                daskome.write_plate({f"{'ABCDEF'[who]}/{k}": [IMAGE]}, store, None, axes="yx")
            else:  # the last steps of writing labels
                set_attributes(StorePath(store, f"labels/{who}-{k}"), VERSION.arrays, LABEL)
                publish.publish_group(StorePath(store, "labels"), VERSION, Metadata(labels=(f"{who}-{k}",)))
    except BaseException:
        barrier.abort()  # The others would wait.
        raise


LABEL: dict[str, Any] = {"ome": {"version": "0.5", "multiscales": []}}
"""The attributes of labels, as far as a list of them looks."""
EXTENDED = pytest.mark.extended
SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize(
    ("kind", "lagging", "n_processes", "n"),
    [
        ("labels", True, 3, 2),
        pytest.param("labels", True, 6, 15, marks=EXTENDED),
        *(pytest.param(kind, False, 6, 15, marks=EXTENDED) for kind in ("wells", "labels")),
    ],
)
def test_processes_lose_none(tmp_path: Path, kind: str, lagging: bool, n_processes: int, n: int) -> None:
    """Law: whatever processes add at the same time is listed at the end, even where others see it only later."""
    store: Any = Lagging(tmp_path / "a") if lagging else LocalStore(tmp_path / "a")
    barrier = SPAWN.Barrier(n_processes)
    calls = [(tmp_path / "a", kind, who, n, lagging, barrier) for who in range(n_processes)]
    processes = [SPAWN.Process(target=add, args=call) for call in calls]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * n_processes
    time.sleep(LAG)
    each = [(who, k) for who in range(n_processes) for k in range(n)]
    wanted = [f"{'ABCDEF'[who]}/{k}" if kind == "wells" else f"{who}-{k}" for who, k in each]
    assert listed(StorePath(store, "labels" if kind == "labels" else "")) == sorted(wanted)


def listed(place: StorePath) -> list[str]:
    """Return what a list of wells or labels has, in order."""
    found = read_metadata(read_attributes(place) or {})
    return sorted([well.path for well in found.plate.wells] if found.plate else found.labels or ())


# ---- what is listed, and what is not


def with_labels(*names: str) -> MemoryStore:
    """Return an image with labels."""
    store = MemoryStore()
    daskome.write_image(IMAGE, store, None, axes="yx", labels=dict.fromkeys(names, IMAGE))
    return store


def with_wells(*names: str) -> MemoryStore:
    """Return a plate with wells."""
    store = MemoryStore()
    daskome.write_plate({name: [IMAGE] for name in names}, store, None, axes="yx")
    return store


def write_label(store: Any, name: str, **options: Any) -> Any:
    return daskome.write_labels(IMAGE, store, f"A{name}", **options)


def write_well(store: Any, name: str, **options: Any) -> Any:
    return daskome.write_plate({f"A/{name}": [IMAGE]}, store, None, axes="yx", **options)


def finish_part(store: Any, name: str, write: Any) -> None:
    """Write as a batch does; labels keep their journal in their own group."""
    write(store, name, compute="init")
    labels = f"A{name}" if write is write_label else None
    daskome.run_part(store, IMAGE, labels=labels)
    daskome.finish(store, labels=labels)


VISITS: dict[str, Any] = {
    "another is written": lambda store, write: write(store, "4"),
    "one is written again": lambda store, write: write(store, "2", overwrite=True),
    "one that was listed is resumed": lambda store, write: write(store, "1", resume=True),
    "one that was lost is resumed": lambda store, write: write(store, "2", resume=True),
    "it is resumed by a graph": lambda store, write: dask.compute(*write(store, "2", resume=True, compute=False)),
    "another is finished": lambda store, write: finish_part(store, "4", write),
}
"""What comes to a group with a list, and ends with it; `write` writes a label or a well."""


@pytest.mark.sampled(5)
@pytest.mark.parametrize("visit", VISITS)
@pytest.mark.parametrize("left", [(), ("1",)], ids=["none", "one"])
@pytest.mark.parametrize("kind", ["labels", "wells"])
def test_whoever_comes_next_lists_all_that_is_whole(kind: str, left: tuple[str, ...], visit: str) -> None:
    """Law: whatever a killed process has left unlisted, or has overwritten, is listed by any later write."""
    makes, write, start = (with_labels, write_label, "A") if kind == "labels" else (with_wells, write_well, "A/")
    store, whole = makes(*(f"{start}{n}" for n in "123")), {f"{start}{n}" for n in "123"}
    place = StorePath(store, "labels" if kind == "labels" else "")
    fewer = [f"{start}{n}" for n in left]
    lists = Metadata(labels=tuple(fewer)) if kind == "labels" else Metadata(plate=parse_plate("A", "123", fewer))
    set_attributes(place, VERSION.arrays, to_attributes(VERSION, lists))
    VISITS[visit](store, write)
    assert {*listed(place)} - {f"{start}4"} == whole
    assert (f"{start}4" in listed(place)) == visit.startswith("another")


def test_what_is_finished_and_listed_is_not_written_again() -> None:
    store = with_labels("A1")
    before = {key: id(value) for key, value in store._store_dict.items()}
    write_label(store, "1", resume=True)
    assert {key: id(value) for key, value in store._store_dict.items()} == before


def test_consolidated_metadata_have_what_is_listed_again() -> None:
    store = with_labels("A1", "A2")
    set_attributes(StorePath(store, "labels"), VERSION.arrays, to_attributes(VERSION, Metadata(labels=("A1",))))
    with warnings.catch_warnings(action="ignore"):
        zarr.consolidate_metadata(store)
    write_label(store, "2", resume=True)
    assert zarr.open_consolidated(store)["labels"].attrs["ome"]["labels"] == ["A1", "A2"]


def test_a_list_that_changes_all_the_time_is_said_to_lack_something(
    shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is an end to looking again, and it is no silent one."""
    monkeypatch.setattr(publish, "MOST_LOOKS", 3)
    store = Overtaken()
    daskome.write_plate({"A/1": [IMAGE]}, store, None, axes="yx")
    store.stale, store.forever = ("zarr.json", store._store_dict["zarr.json"]), True
    with pytest.warns(UserWarning, match="may lack"):
        daskome.write_plate({"A/2": [IMAGE]}, store, None, axes="yx")
    store.stale, store.forever = None, False
    write_well(store, "2", resume=True)
    assert listed(StorePath(store)) == ["A/1", "A/2"]


def test_what_is_not_whole_is_not_listed() -> None:
    store = with_labels("a")
    daskome.write_labels(IMAGE, store, "b", compute="init")
    daskome.write_labels(IMAGE, store, "c")
    assert listed(StorePath(store, "labels")) == ["a", "c"]


def test_what_cannot_be_read_is_not_listed(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": [IMAGE]}, tmp_path, None, axes="yx")
    for name in ("A/2", "B/x/0", "labels"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "zarr.json").write_text("broken")
    daskome.write_plate({"A/3": [IMAGE]}, tmp_path, None, axes="yx")
    assert listed(StorePath(LocalStore(tmp_path))) == ["A/1", "A/3"]


class Overtaken(MemoryStore):
    """A store that others can reach, and in which one of them writes its list right after us, as it was before."""

    stale: tuple[str, Any] | None = None
    forever = False

    async def set(self, key: str, value: Buffer, **options: Any) -> None:
        await super().set(key, value, **options)
        if self.stale is not None and key == self.stale[0]:
            await super().set(*self.stale)
            self.stale = self.stale if self.forever else None


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores in memory count as what others can reach."""
    monkeypatch.setattr(kinds, "KINDS", tuple(replace(row, shared=True) for row in kinds.KINDS))


def test_what_another_has_overwritten_is_listed_again(shared: None) -> None:
    """Ours, and what was listed before, with what its images say of it."""
    store = Overtaken()
    daskome.write_plate({"A/1": {0: [IMAGE]}}, store, None, axes="yx")
    old = store._store_dict["zarr.json"]
    daskome.write_plate({"B/2": {3: [IMAGE, IMAGE]}}, store, None, axes="yx")
    store.stale = "zarr.json", old
    daskome.write_plate({"A/3": {0: [IMAGE]}}, store, None, axes="yx")
    assert store.stale is None
    found = read_metadata(read_attributes(StorePath(store)) or {}).plate
    assert found is not None
    assert listed(StorePath(store)) == ["A/1", "A/3", "B/2"]
    assert found.field_count == 2
    assert [item["id"] for item in found.acquisitions or ()] == [0, 3]
    assert daskome.verify(store) == []


def test_a_group_that_another_has_just_made_stays_as_it_is() -> None:
    """Both have looked, and found nothing there."""
    store = with_labels("a")
    create_unless_there(StorePath(store, "labels"), VERSION.arrays, {"ome": {"version": "0.5", "labels": []}})
    assert listed(StorePath(store, "labels")) == ["a"]
    create_unless_there(StorePath(store, "new/place"), VERSION.arrays, {"mine": 1})
    assert read_attributes(StorePath(store, "new")) == {}
    assert read_attributes(StorePath(store, "new/place")) == {"mine": 1}


def die_at(name: str, folder: Path) -> None:
    """Write a plate, and be killed just before a document of a group gets its name for the last time."""
    replace_file = Path.replace

    def killed(partial: Path, path: Path) -> Path:
        if path == folder / name and b"ome" in partial.read_bytes():
            os._exit(9)
        return replace_file(partial, path)

    Path.replace = killed  # type: ignore[method-assign]
    daskome.write_plate({"A/1": [IMAGE], "B/1": [IMAGE]}, folder, None, axes="yx")


@pytest.mark.skipif(os.name != "posix", reason="processes are told apart by /proc")
@pytest.mark.parametrize("name", ["zarr.json", "A/1/zarr.json", "A/1/0/zarr.json"])
def test_what_a_killed_process_has_half_written_goes_and_what_others_write_stays(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "a"
    child = SPAWN.Process(target=die_at, args=(name, folder))
    child.start()
    child.join()
    assert child.exitcode == 9
    left, *_ = folder.rglob("zarr.*.partial")  # Beside it, the process may have been saying that it lives.
    alive = folder / f"zarr.{mark_of_this_process()}.{'0' * 32}.partial"
    elsewhere = folder / f"zarr.{child.pid}-1-01234567.{'0' * 32}.partial"
    for other in (alive, elsewhere):
        other.write_bytes(left.read_bytes())
    daskome.write_plate({"A/1": [IMAGE], "B/1": [IMAGE]}, folder, None, axes="yx", resume=True)
    assert set(folder.rglob("zarr.*.partial")) == {alive, elsewhere}
