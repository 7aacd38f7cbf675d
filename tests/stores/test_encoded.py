"""Encoded chunks on their way: shards with either index, nothing kept longer than needed, nothing asked for twice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from daskome.stores.encoded import EncodedChunks
from daskome.stores.keeping import KeepingStore
from daskome.stores.shards import sharding_of
from zarr.storage import MemoryStore

VALUES = np.arange(144, dtype="uint16").reshape(12, 12)
ALL = (slice(0, 12), slice(0, 12))


def sharded(location: Any) -> zarr.Array[Any]:
    """Return an array with shards whose index comes first or last."""
    shards = {"shape": (8, 8), "index_location": location}
    return zarr.create_array(MemoryStore(), shape=(12, 12), chunks=(4, 4), shards=shards, dtype="uint16")


@pytest.mark.parametrize("old", ["start", "end"])
@pytest.mark.parametrize("new", ["start", "end"])
def test_the_index_of_a_shard_comes_first_or_last(old: Any, new: Any) -> None:
    source, target = sharded(old), sharded(new)
    source[...] = VALUES
    source[:4, :4] = 0
    chunks = EncodedChunks(source)
    chunks.write(target, ALL, chunks.array[...])
    np.testing.assert_array_equal(target[...], source[...])
    assert chunks.store.kept == {}
    before, after = sharding_of(source), sharding_of(target)
    assert before is not None
    assert after is not None
    assert (before.first, after.first) == (old == "start", new == "start")


def test_a_shard_is_read_once_however_it_is_cut(tmp_path: Path) -> None:
    source = zarr.create_array(tmp_path / "a", shape=(12, 12), chunks=(4, 4), shards=(8, 8), dtype="uint16")
    source[...] = VALUES
    chunks = EncodedChunks(source)
    assert chunks.array[9, 9] == VALUES[9, 9]
    for path in (tmp_path / "a" / "c").rglob("1"):
        if path.is_file():
            path.unlink()
    np.testing.assert_array_equal(chunks.array[8:, 8:], VALUES[8:, 8:])
    assert isinstance(chunks.array.store, KeepingStore)
