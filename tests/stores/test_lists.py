"""Lists that several processes extend: none of their entries is lost, and none is there that should not be."""

import multiprocessing
import os
import pickle
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.ome.metadata import Metadata
from daskome.ome.read import read_metadata
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from daskome.stores import kinds, publish
from daskome.stores.groups import create_unless_there, read_attributes, set_attributes

IMAGE = np.ones((4, 4), "uint8")
VERSION = VERSIONS["0.5"]
LAG = 0.15
"""Seconds after which the writes of another process are seen at the latest, in stores of these tests."""


class Lagging(WrapperStore[LocalStore]):
    """A store in which others see what is written, and deleted, some time later; who writes sees it at once.

    Each version of an object is a file, which says who wrote it and from when on others see it.
    """

    def __init__(self, store: LocalStore, lag: float = LAG) -> None:
        super().__init__(store)
        self.lag = lag

    def _with_store(self, store: LocalStore) -> "Lagging":
        return Lagging(store, self.lag)

    def _versions(self, key: str) -> list[Path]:
        folder = self._store.root / key
        return sorted(folder.glob("*.version"), reverse=True) if folder.is_dir() else []

    def _seen(self, key: str) -> bytes | None:
        for path in self._versions(key):
            who, when, value = pickle.loads(path.read_bytes())
            if who == os.getpid() or when <= time.time():
                return value  # type: ignore[no-any-return]
        return None

    def _write(self, key: str, value: bytes | None) -> None:
        folder = self._store.root / key
        folder.mkdir(parents=True, exist_ok=True)
        version = pickle.dumps((os.getpid(), time.time() + random.uniform(0.1, 1) * self.lag, value))
        (folder / f".{os.getpid()}").write_bytes(version)
        (folder / f".{os.getpid()}").rename(folder / f"{time.time_ns():020}-{os.getpid()}.version")

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        found = self._seen(key)
        if found is None or byte_range is None:
            return None if found is None else prototype.buffer.from_bytes(found)
        copy = MemoryStore({"key": prototype.buffer.from_bytes(found)})
        return await copy.get("key", prototype, byte_range)

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

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        root = self._store.root
        keys = {path.parent.relative_to(root).as_posix() for path in (root / prefix).rglob("*.version")}
        for key in sorted(keys):
            if self._seen(key) is not None:
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        start = f"{prefix}/" if prefix else ""
        for name in sorted({key.removeprefix(start).split("/")[0] async for key in self.list_prefix(prefix)}):
            yield name


def add(folder: Path, kind: str, who: int, n: int, lagging: bool, barrier: Any) -> None:
    """Add some wells or labels to a plate or an image, one after the other, as a process of its own."""
    store: Any = LocalStore(folder)
    if lagging:
        kinds.KINDS = (
            replace(kinds.KINDS[-1], name="lagging", includes=is_lagging, lag=3 * LAG, in_flight=0),
            *kinds.KINDS,
        )
        store = Lagging(store)
    barrier.wait()
    for k in range(n):
        if kind == "wells":
            daskome.write_plate({f"{'ABCDEF'[who]}/{k}": [IMAGE]}, store, None, axes="yx")
        else:  # the last steps of writing labels
            set_attributes(StorePath(store, f"labels/{who}-{k}"), VERSION.arrays, LABEL)
            publish.publish_group(StorePath(store, "labels"), VERSION, Metadata(labels=(f"{who}-{k}",)))


LABEL: dict[str, Any] = {"ome": {"version": "0.5", "multiscales": []}}
"""The attributes of labels, as far as a list of them looks."""


def is_lagging(store: Any) -> bool:
    return isinstance(store, Lagging)


EXTENDED = pytest.mark.extended


@pytest.mark.parametrize(
    ("kind", "lagging", "n_processes", "n"),
    [
        ("labels", True, 3, 4),
        *(pytest.param(kind, False, 6, 15, marks=EXTENDED) for kind in ("wells", "labels")),
    ],
)
def test_processes_lose_none(tmp_path: Path, kind: str, lagging: bool, n_processes: int, n: int) -> None:
    """Law: whatever processes add at the same time is listed at the end, even where others see it only later."""
    store: Any = Lagging(LocalStore(tmp_path / "a")) if lagging else LocalStore(tmp_path / "a")
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(n_processes)
    calls = [(tmp_path / "a", kind, who, n, lagging, barrier) for who in range(n_processes)]
    processes = [context.Process(target=add, args=call) for call in calls]
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


def list_only(store: Any, *names: str) -> None:
    """Let the list of labels have just these, as a process leaves it that has read it before others wrote it."""
    set_attributes(StorePath(store, "labels"), VERSION.arrays, to_attributes(VERSION, Metadata(labels=names)))


def test_what_is_left_out_on_purpose_stays_so() -> None:
    store = with_labels("a", "b")
    list_only(store, "a")
    daskome.write_labels(IMAGE, store, "c")
    assert listed(StorePath(store, "labels")) == ["a", "c"]


@pytest.mark.parametrize("names", [[], ["a"]])
def test_what_is_about_to_be_listed_is_listed(names: list[str]) -> None:
    """Its process has not ended: its journal is there. An empty list leaves nothing out."""
    store = with_labels("a", "b")
    list_only(store, *names)
    if names:
        store._store_dict["labels/b/.daskome/current"] = store._store_dict["zarr.json"].from_bytes(b"run")
    daskome.write_labels(IMAGE, store, "c")
    assert listed(StorePath(store, "labels")) == ["a", "b", "c"]


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

    async def set(self, key: str, value: Buffer, **options: Any) -> None:
        await super().set(key, value, **options)
        if self.stale is not None and key == self.stale[0]:
            (key, old), self.stale = self.stale, None
            await super().set(key, old)


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
