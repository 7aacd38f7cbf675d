"""Pieces fetched ahead: the same pixels, in the order in which they are asked for, and no more than some at a time."""

import asyncio
import threading
from contextlib import nullcontext
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.execution import unit_task
from daskome.sources import ahead
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece
from daskome.stores import kinds
from tests.strategies import law

VALUES = np.arange(12**3, dtype="uint16").reshape(12, 12, 12)


class Slow(MemoryStore):
    """A store that answers later, and notes how many requests for chunks were open at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self.most = self.chunks = 0

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        if "/c/" not in f"/{key}":
            return await super().get(key, *args, **options)
        self.open, self.chunks = self.open + 1, self.chunks + 1
        self.most = max(self.most, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        return await super().get(key, *args, **options)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores in memory count as far away."""
    monkeypatch.setattr(kinds, "KINDS", tuple(kinds.replace(row, in_flight=64) for row in kinds.KINDS))


def stored(store: MemoryStore, chunks: int = 4) -> zarr.Array[Any]:
    array = zarr.create_array(store, shape=VALUES.shape, chunks=(chunks,) * 3, dtype="uint16")
    array[...] = VALUES
    return array


@pytest.mark.extended
@given(st.integers(1, 6), st.tuples(*[st.integers(1, 12)] * 3), st.integers(0, 5))
@law(max_examples=25, derandomize=False)
def test_the_same_pixels_and_each_piece_once(n: int, read: tuple[int, int, int], first: int) -> None:
    store = Slow()
    piece = source_piece(as_source(stored(store)), ((first, 12), (0, 12), (4, 11)), read)
    store.chunks = 0
    expected = piece.compute(scheduler="sync")
    once, store.chunks = store.chunks, 0
    with ahead.fetched_ahead(piece, [piece], n):
        np.testing.assert_array_equal(piece.compute(scheduler="sync"), expected)
    assert store.chunks == once


def test_in_the_order_in_which_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise what is fetched waits for what is not, and little is gained."""
    piece = source_piece(as_source(stored(MemoryStore())), ((0, 12),) * 3, (4, 4, 4))
    coarse = da.coarsen(np.max, piece, {0: 2, 1: 2, 2: 2}).rechunk(2)
    asked: list[Any] = []
    monkeypatch.setattr(ahead.Ahead, "take", lambda self, part: asked.append(part) or self._read(part))
    with ahead.fetched_ahead(piece, [coarse], 1):
        coarse.compute(scheduler="sync")
    assert asked == ahead._in_order(piece, [coarse])
    assert asked != sorted(asked)


@pytest.mark.parametrize("wrapped", [lambda array: array, da.from_zarr], ids=["zarr", "da.from_zarr"])
def test_an_image_and_its_levels_are_fetched_ahead(far: None, tiny_blocks: None, wrapped: Any) -> None:
    store = Slow()
    array = stored(store, 3)
    with dask.config.set(scheduler="sync"):
        plan = daskome.write_image(wrapped(array), MemoryStore(), [2, 4], storage_options={"chunks": 3}, axes="zyx")
    assert all(pass_.ahead for pass_ in plan.image_passes)
    assert store.chunks == 4**3
    assert store.most > 1


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("shape", "chunks", "written", "method"),
    [
        ((130, 96, 130), (20, 32, 20), (8, 16, 24), "mean"),
        ((130, 130, 130), (32, 8, 20), (32, 8, 16), "nearest"),
        ((130, 130, 100), (20, 20, 8), (16, 8, 16), "mode"),
    ],
)
def test_no_chunk_is_read_more_often_because_it_is_fetched_ahead(
    far: None,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    written: tuple[int, ...],
    method: str,
) -> None:
    """Dask fuses tasks before it orders them, so that it asks for some pieces earlier than was thought."""
    store, read = Slow(), []
    image = zarr.create_array(store, shape=shape, chunks=chunks, dtype="uint16")
    image[...] = 1
    for fetched in (unit_task.fetched_ahead, lambda *_: nullcontext()):
        monkeypatch.setattr(unit_task, "fetched_ahead", fetched)
        store.chunks = 0
        with dask.config.set(scheduler="sync"):
            options: Any = {"storage_options": {"chunks": written}, "method": method, "axes": "zyx"}
            daskome.write_image(image, MemoryStore(), [2], **options)
        read.append(store.chunks)
    assert read[0] == read[1]


def test_what_fails_ahead_fails_where_it_is_needed(far: None, tiny_blocks: None) -> None:
    class Broken(Slow):
        async def get(self, key: str, *args: Any, **options: Any) -> Any:
            if key.endswith("c/2/2/2"):
                raise OSError("no answer")
            return await super().get(key, *args, **options)

    target = MemoryStore()
    with pytest.raises(daskome.WriteError, match="no answer"):
        daskome.write_image(stored(Broken()), target, [2], storage_options={"chunks": 4}, axes="zyx", retries=0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("daskome-ahead")]
