"""Stored objects written and read without zarr's event loop: the same as with it, and only where that is safe."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.buffer.cpu import NDBuffer
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import FsspecStore, LocalStore, LoggingStore, MemoryStore, StorePath, WrapperStore, ZipStore

import daskome
from daskome.planning.work import CHUNKS_AT_ONCE
from daskome.stores.arrays import open_levels
from daskome.stores.objects import sync_codecs
from tests.strategies import law
from tests.written import contents

fused = pytest.mark.skipif(sync_codecs.FusedCodecPipeline is None, reason="zarr has no pipeline without an event loop")
KINDS: dict[str, dict[str, Any]] = {
    "v3": {"chunks": (4, 5)},
    "v2": {"chunks": (4, 5), "zarr_format": 2},
    "v2 filters": {
        "chunks": (4, 5), "zarr_format": 2, "filters": [{"id": "delta", "dtype": "<u2"}], "order": "F",
    },
    "shards": {"chunks": (2, 5), "shards": (4, 10)},
    "big-endian": {"chunks": (4, 5), "serializer": {"name": "bytes", "configuration": {"endian": "big"}}},
    "all chunks": {"chunks": (4, 5), "config": {"write_empty_chunks": True}},
    "checksums": {
        "chunks": (4, 5), "compressors": [{"name": "zstd", "configuration": {"level": 1}}, {"name": "crc32c"}],
    },
}  # fmt: skip
VALUES = np.random.default_rng(0).integers(0, 3, (11, 17)).astype("uint16")
VALUES[:4, :10] = 0  # a whole chunk, and a whole shard, of the fill value


def is_direct(array: Any) -> bool:
    return type(array.async_array.codec_pipeline).__name__ == "DirectPipeline"


def created(store: Any, kind: str) -> Any:
    options = dict(KINDS[kind])
    if "filters" in options:
        import numcodecs

        options["filters"] = [numcodecs.get_codec(dict(one)) for one in options["filters"]]
    config = options.get("config")
    zarr.create_array(store, name="a", shape=VALUES.shape, dtype="uint16", **options)
    array = zarr.open_array(store, path="a", mode="r+")
    return sync_codecs.open_sync(array.with_config(config) if config else array)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_are_those_that_zarr_writes(tmp_path: Path, kind: str) -> None:
    ours = created(LocalStore(tmp_path / "ours"), kind)
    assert is_direct(ours) == (sync_codecs.FusedCodecPipeline is not None)
    chunks = ours.shards or ours.chunks
    for y in range(0, 11, chunks[0]):
        for x in range(0, 17, chunks[1]):
            index = (slice(y, min(y + chunks[0], 11)), slice(x, min(x + chunks[1], 17)))
            sync_codecs.write(ours, index, VALUES[index])
    theirs = zarr.create_array(tmp_path / "theirs", name="a", **_options(kind))
    theirs = theirs.with_config(KINDS[kind]["config"]) if "config" in KINDS[kind] else theirs
    theirs[...] = VALUES
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")
    np.testing.assert_array_equal(sync_codecs.read(ours, (slice(None), slice(None))), VALUES)


def _options(kind: str) -> dict[str, Any]:
    import numcodecs

    options = {key: value for key, value in KINDS[kind].items() if key != "config"}
    if "filters" in options:
        options["filters"] = [numcodecs.get_codec(dict(one)) for one in options["filters"]]
    return {"shape": VALUES.shape, "dtype": "uint16", **options}


@law(max_examples=30, derandomize=False)
@given(kind=st.sampled_from(sorted(KINDS)), data=st.data())
def test_any_part_reads_as_with_zarr(kind: str, data: Any) -> None:
    array = created(MemoryStore(), kind)
    array[...] = VALUES
    spans = [sorted((data.draw(st.integers(0, n)), data.draw(st.integers(0, n)))) for n in VALUES.shape]
    index = tuple(slice(*span) for span in spans)
    np.testing.assert_array_equal(sync_codecs.read(array, index), VALUES[index])
    new = np.full_like(VALUES[index], 7)
    sync_codecs.write(array, index, new)
    expected = VALUES.copy()
    expected[index] = new
    np.testing.assert_array_equal(array[...], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["zip", "fsspec"])
def test_other_stores_go_the_ordinary_way(tmp_path: Path, place: str, kind: str) -> None:
    store = ZipStore(tmp_path / "a.zip", mode="w") if place == "zip" else FsspecStore.from_url(f"memory://{kind}")
    array = created(store, kind)
    assert not is_direct(array)
    chunks = array.shards or array.chunks
    for index in [tuple(slice(0, n) for n in chunks), tuple(slice(n, None) for n in chunks)]:  # inside, and at the edge
        sync_codecs.write(array, index, VALUES[index] + 1)
        assert (sync_codecs.read(array, index) == VALUES[index] + 1).all()
    store.close()


@fused
def test_on_an_event_loop_nothing_blocks_and_all_is_right() -> None:
    async def inside(array: Any) -> Any:
        sync_codecs.write(array, (slice(0, 3), slice(0, 5)), np.ones((3, 5), "uint16"))
        return await array.async_array.getitem((slice(0, 3), slice(0, 5)))

    for kind in ("v3", "shards"):
        assert (asyncio.run(inside(created(MemoryStore(), kind))) == 1).all()


@fused
def test_zarrs_configuration_is_as_it_was_and_a_users_choice_stays() -> None:
    before = zarr.config.get("codec_pipeline.path")
    assert is_direct(created(MemoryStore(), "v3"))
    assert zarr.config.get("codec_pipeline.path") == before

    class Chosen(sync_codecs.FusedCodecPipeline):  # type: ignore[misc]
        pass

    zarr.registry.register_pipeline(Chosen)
    with zarr.config.set({"codec_pipeline.path": f"{Chosen.__module__}.{Chosen.__qualname__}"}):
        assert not is_direct(created(MemoryStore(), "v3"))


class Meeting(WrapperStore[MemoryStore]):
    """A store that answers nobody before so many ask at a time, or some seconds have gone."""

    def __init__(self, store: MemoryStore, n: int) -> None:
        super().__init__(store)
        self.n, self.asking, self.most = n, 0, 0

    async def get(self, *args: Any, **options: Any) -> Any:
        self.asking += 1
        self.most = max(self.most, self.asking)
        for _ in range(500):
            if self.most == self.n:
                break
            await asyncio.sleep(0.01)
        self.asking -= 1
        return await super().get(*args, **options)


def test_arrays_of_slow_stores_are_opened_at_the_same_time() -> None:
    plan = daskome.plan_image(VALUES, scale_factors=None, axes="yx")
    (pyramid,), n = plan.pyramids, 8
    memory = MemoryStore()
    daskome.write_image(VALUES, memory, scale_factors=None, axes="yx")
    store = Meeting(memory, n)
    with ThreadPoolExecutor(n) as executor:
        opens = [executor.submit(open_levels, StorePath(store), pyramid.levels) for _ in range(n)]
        assert all(array.shape == VALUES.shape for found in opens for array in found.result())
    assert store.most == n


def test_what_others_open_meanwhile_has_the_codecs_of_zarrs_configuration() -> None:
    """Nothing that all threads share is changed: arrays of other stores, opened beside ours, stay as they are."""
    local, other = MemoryStore(), LoggingStore(MemoryStore())
    for store in (local, other):
        zarr.create_array(store, name="a", shape=VALUES.shape, dtype="uint16", chunks=(4, 5))
    with ThreadPoolExecutor(2) as executor:
        ours = executor.submit(lambda: [sync_codecs.open_sync(zarr.open_array(local, path="a")) for _ in range(50)])
        theirs = executor.submit(lambda: [sync_codecs.open_sync(zarr.open_array(other, path="a")) for _ in range(50)])
        assert not any(map(is_direct, theirs.result()))
        assert all(map(is_direct, ours.result())) == (sync_codecs.FusedCodecPipeline is not None)


def test_an_error_is_the_stores_own(tmp_path: Path) -> None:
    array = created(LocalStore(tmp_path), "v3")
    (tmp_path / "a" / "c").write_text("a file where a folder should be")
    with pytest.raises(OSError):
        sync_codecs.write(array, (slice(0, 4), slice(0, 5)), VALUES[:4, :5] + 1)


@fused
def test_images_are_written_that_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    write = sync_codecs.DirectPipeline.write_sync
    monkeypatch.setattr(
        sync_codecs.DirectPipeline,
        "write_sync",
        lambda self, *args, **kw: (seen.append(1), write(self, *args, **kw))[1],
    )
    daskome.write_image(VALUES, tmp_path / "a", [2])
    assert len(seen) == 2


EDGES = (0, -0.0, 1, float("nan"), float("inf"))


@given(
    st.sampled_from(["uint8", "int16", "float32", "float64"]),
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.sampled_from(EDGES),
    st.one_of(st.none(), st.tuples(st.sampled_from(EDGES), st.floats(0, 1, exclude_max=True))),
)
def test_whether_a_chunk_is_empty_is_what_zarr_says(dtype: str, shape: list[int], fill: float, other: Any) -> None:
    if dtype[0] != "f":
        fill = int(fill) if fill in (0, 1) else 0
    values = np.full(shape, fill, dtype)
    if other is not None and (dtype[0] == "f" or other[0] in (0, 1)):
        values.flat[int(other[1] * values.size)] = other[0]
    value = values.dtype.type(fill)
    assert sync_codecs.Voxels(values).all_equal(value) == NDBuffer(values).all_equal(value)
    assert sync_codecs.Voxels(values).all_equal(None) == NDBuffer(values).all_equal(None)


class Crowded(WrapperStore[MemoryStore]):
    """A store that is slow to take objects, and counts how many are on their way to it."""

    on_the_way = most = 0

    async def set(self, key: str, value: Any) -> None:
        self.on_the_way += 1
        before = -1
        while before < self.most:  # on busy machines the others take a while to come
            before = self.most
            await asyncio.sleep(0.02)
            self.most = max(self.most, self.on_the_way)
        self.on_the_way -= 1
        await super().set(key, value)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("limit", [None, 4, 64])
def test_what_is_planned_is_what_zarr_encodes_at_once(limit: int | None) -> None:
    """zarr's own setting decides how many chunks of a block are in memory beside each other where stores are far away."""
    values = np.random.default_rng(0).integers(1, 9, (128, 128)).astype("uint8")
    store = Crowded(MemoryStore())
    with zarr.config.set({"async.concurrency": limit} if limit else {}):
        plan = daskome.write_image(values, store, None, axes="yx", storage_options={"chunks": 8})
    assert plan.workers.at_once == (limit or CHUNKS_AT_ONCE)
    assert store.most == plan.workers.at_once


@fused
def test_files_and_memory_are_planned_for_whatever_zarr_is_set_to(tmp_path: Path) -> None:
    with zarr.config.set({"async.concurrency": 64}):
        for target in (tmp_path / "a", MemoryStore()):
            assert daskome.plan_image(VALUES, target).workers.at_once == CHUNKS_AT_ONCE
        assert daskome.plan_image(VALUES).workers.at_once == 64
    assert zarr.config.get("async.concurrency") == CHUNKS_AT_ONCE


@pytest.mark.extended
def test_going_on_where_zarr_encodes_more_at_once_needs_the_memory_for_it() -> None:
    values = np.zeros((4096, 4096), "uint16")
    options: dict[str, Any] = {"scale_factors": [2, 6], "storage_options": {"chunks": 64}}
    store = LoggingStore(MemoryStore())
    plan = daskome.write_image(values, store, compute="init", **options)
    with zarr.config.set({"async.concurrency": 10_000}), pytest.raises(ValueError, match="concurrency of 10"):
        daskome.write_image(values, store, resume=True, memory=plan.memory, **options)
    daskome.write_image(values, store, resume=True, memory=plan.memory, **options)


class Slow(WrapperStore[MemoryStore]):
    """A store that fails at one object at once, and takes its time for others."""

    async def set(self, key: str, value: Any) -> None:
        if key.endswith("/0"):
            raise OSError("the lights went out")
        await asyncio.sleep(0.05)
        await super().set(key, value)


def test_when_an_object_fails_no_other_is_on_its_way_any_more() -> None:
    """Another image may be written there at once, and must not meet chunks of this one."""
    array = zarr.create_array(Slow(MemoryStore()), shape=(40,), chunks=(10,), dtype="u1")
    objects = {f"c/{k}": default_buffer_prototype().buffer.from_bytes(b"x") for k in range(4)}
    with pytest.raises(OSError, match="lights"):
        sync_codecs.put(array, objects)
    assert len([key for key in array.store._store._store_dict if "c/" in key]) == 3
