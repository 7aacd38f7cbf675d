"""A unit's graph: `da.to_zarr` writes every level, in exactly the blocks that the plan gave it."""

import ast
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.local import get_sync
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.execution import unit_graph
from daskome.model import regions
from daskome.model.chunks import block_sizes
from daskome.model.regions import Region, Shape
from daskome.stores.objects import sync_codecs
from tests.strategies import law, ragged
from tests.written import levels

LONGEST = {1: 400, 2: 60, 3: 24, 4: 9, 5: 6}
CHUNK_SIZES = st.sampled_from([1, 7, 64, 1000, "16 kiB", "128 MiB"])
"""What a user may have set as Dask's ``array.chunk-size``, which says how large blocks should be."""


@st.composite
def grids(draw: st.DrawFn) -> tuple[Shape, Shape, Shape, Shape | None, Region, tuple[tuple[int, ...], ...]]:
    """Draw an array's shape, chunks, shards or none, blocks of whole objects, a region of whole blocks and pieces."""
    ndim = draw(st.integers(1, 5))
    shape = tuple(draw(st.integers(1, LONGEST[ndim])) for _ in range(ndim))
    chunks = tuple(draw(st.integers(1, n)) for n in shape)
    shards = tuple(c * draw(st.integers(1, 3)) for c in chunks) if draw(st.booleans()) else None
    blocks = tuple(c * draw(st.integers(1, 3)) for c in shards or chunks)
    region = tuple(draw(spans(n, b)) for n, b in zip(shape, blocks, strict=True))
    return shape, chunks, blocks, shards, region, tuple(draw(ragged(n)) for n in regions.shape_of(region))


@st.composite
def spans(draw: st.DrawFn, length: int, block: int) -> tuple[int, int]:
    """Draw some consecutive blocks of an axis, cut by its end."""
    count = regions.ceil_div(length, block)
    first = draw(st.integers(0, count - 1))
    return first * block, min(draw(st.integers(first + 1, count)) * block, length)


@contextmanager
def seen() -> Any:
    """Within it, the regions that blocks are written to are noted."""
    found: list[Region] = []

    def write(array: Any, index: Any, value: Any) -> None:
        found.append(tuple((i.start, i.stop) for i in index))
        assert value.shape == regions.shape_of(found[-1])
        plain(array, index, value)

    plain = sync_codecs.write
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sync_codecs, "write", write)
        yield found


def objects(store: MemoryStore) -> dict[str, bytes]:
    """Return the chunks or shards in a store, by key."""
    return {key: value.to_bytes() for key, value in store._store_dict.items() if "/c/" in f"/{key}"}


@pytest.mark.extended
@pytest.mark.filterwarnings("error")
@law(max_examples=100)
@given(grids(), CHUNK_SIZES)
def test_what_is_written_are_the_blocks_of_the_unit(grid: Any, chunk_size: Any) -> None:
    shape, chunks, blocks, shards, region, pieces = grid
    ours, plain = MemoryStore(), MemoryStore()
    arrays = [zarr.create_array(s, shape=shape, chunks=chunks, shards=shards, dtype="uint16") for s in (ours, plain)]
    values = np.arange(1, regions.size(region) + 1, dtype="uint16").reshape(regions.shape_of(region))
    level = da.from_array(values, chunks=pieces).rechunk(block_sizes(region, blocks), method="tasks")
    with dask.config.set({"array.chunk-size": chunk_size}), seen() as written:
        dask.compute(unit_graph.write_level(level, region, arrays[0]), scheduler=get_sync)
    assert sorted(written) == sorted(regions.blocks_of(region, blocks))
    arrays[1][regions.slices(region)] = values
    assert objects(ours) == objects(plain)


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("storage", [{"chunks": 8}, {"chunks": 4, "shards": 16}])
def test_to_zarr_writes_every_level_of_every_unit(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, calls = da.to_zarr, []

    def to_zarr(level: da.Array, target: Any, **how: Any) -> Any:
        calls.append(level.shape)
        return plain(level, target, **how)

    image, store = np.random.default_rng(0).integers(0, 999, (40, 50, 60)).astype("uint16"), MemoryStore()
    monkeypatch.setattr(da, "to_zarr", to_zarr)
    plan = daskome.write_image(image, store, [2, 4], axes="zyx", storage_options=storage)
    units = [unit for stage in range(len(plan.stages)) for unit in plan.units(stage)]
    sizes = [regions.shape_of(region) for unit in units for region in (*unit.regions, *unit.copied)]
    assert plan.n_units > 10
    assert sorted(calls) == sorted(sizes)
    np.testing.assert_array_equal(levels(store)[0], image)


def test_nothing_else_writes_pixels() -> None:
    house = Path(daskome.__file__).parent
    trees = {path: ast.parse(path.read_text()) for path in house.rglob("*.py")}
    calls = {path: {n.func.attr for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
             for path, tree in trees.items()}  # fmt: skip
    assert [path.name for path in calls if "to_zarr" in calls[path]] == ["unit_graph.py"]
    assert not [path for path in calls if "store" in calls[path]]


def test_other_blocks_than_those_of_the_unit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a later Dask might cut them: two blocks would share a chunk, and what one writes could be lost."""
    monkeypatch.setattr(unit_graph.Blocks, "rechunk", lambda self, *_: da.Array.rechunk(self, 3))
    store = MemoryStore()
    with pytest.raises(daskome.WriteError, match=r"blocks of \(\(3, 1\), \(3, 1\)\) instead of \(\(4,\), \(4,\)\)"):
        daskome.write_image(np.ones((4, 4), "uint8"), store, None, storage_options={"chunks": 4}, retries=0)
    assert not objects(store)


def test_dask_settings_stay_as_they_are() -> None:
    """They belong to the whole process, in which other threads use Dask too."""
    with dask.config.set({"array.chunk-size": "3 MiB"}):
        before = dask.config.serialize(dask.config.global_config)
        level = da.ones((8, 8), chunks=4, dtype="uint8")
        array = zarr.create_array(MemoryStore(), shape=(8, 8), chunks=(4, 4), dtype="uint8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dask.config, "set", None)
            unit_graph.write_level(level, ((0, 8), (0, 8)), array)
        assert dask.config.serialize(dask.config.global_config) == before
