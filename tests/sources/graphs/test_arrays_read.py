"""The zarr arrays that an image is, or that its graph reads: found behind adapters, and taken for it only unchanged."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.highlevelgraph import HighLevelGraph
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.registry import register_pipeline
from zarr.storage import LocalStore

import daskome
from daskome.model.source import Source
from daskome.sources.adapt import as_source
from daskome.sources.graphs.arrays_read import stored_at
from daskome.sources.views import RegionView
from daskome.stores.objects.sync_codecs import FusedCodecPipeline

VALUES = np.arange(64, dtype="uint16").reshape(8, 8)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Return a group with one array, ``s0``."""
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("s0", data=VALUES, chunks=(4, 4), dimension_names=["y", "x"])
    return tmp_path / "a.zarr"


def opened(path: Path, **options: Any) -> Any:
    xarray = pytest.importorskip("xarray")
    return xarray.open_zarr(path, consolidated=False, **options)["s0"]


class View:
    """An array-like around another."""

    def __init__(self, array: Any) -> None:
        self._array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, len(array.shape)

    def __getitem__(self, index: Any) -> Any:
        return self._array[index]


def array(path: Path) -> Any:
    return zarr.open_array(path / "s0", mode="r")


def in_closure(stored: Any) -> da.Array:
    def inner(block: Any) -> Any:
        return block + stored[:4, :4]

    return da.zeros((8, 8), chunks=4).map_blocks(lambda block: inner(block), dtype=float)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "make",
    [
        array,
        lambda p: View(array(p)),
        lambda p: View(RegionView(array(p), ((0, 4), (0, 4)))),
        lambda p: Source(View(View(array(p))), ((8,), (8,))),
        lambda p: da.from_array(array(p)),
        lambda p: da.from_array(array(p), inline_array=True),
        lambda p: da.from_array(View(array(p)), chunks=4),
        lambda p: da.from_array(View(array(p)), chunks=4, inline_array=True),
        lambda p: da.from_zarr(array(p)),
        lambda p: da.from_zarr(str(p / "s0")),
        lambda p: da.from_zarr(f"file://{p}", component="s0"),
        lambda p: da.from_zarr(str(p / "s0")) + 1 - 1,
        lambda p: da.from_zarr(str(p / "s0"))[1:5, ::2],
        lambda p: da.from_zarr(str(p / "s0")).rechunk((8, 3)),
        lambda p: da.stack([da.from_zarr(str(p / "s0"))] * 3),
        lambda p: da.stack([da.zeros((8, 8), chunks=2, dtype="u2"), da.from_array(array(p), inline_array=True)]),
        lambda p: da.from_zarr(str(p / "s0")).map_blocks(np.negative),
        lambda p: da.zeros((8, 8), chunks=4).map_blocks(lambda block, other: block, other=array(p)),
        lambda p: in_closure(array(p)),
        lambda p: da.zeros((8, 8), chunks=4).map_blocks(partial(np.add, array(p)), dtype=float),
        lambda p: Source(opened(p, chunks=None).variable._data, ((8,), (8,))),
        lambda p: opened(p, chunks={}),
        lambda p: opened(p, chunks={}) + 1 - 1,
        lambda p: dask.optimize(opened(p, chunks={}) + 1)[0],
    ],
)
@pytest.mark.parametrize("optimized", [False, True])
def test_the_zarr_array_is_found(stored: Path, make: Callable[[Path], Any], optimized: bool) -> None:
    image = make(stored)
    if optimized:
        (image,) = dask.optimize(image)
    found = stored_at(as_source(image))
    assert found
    assert all(isinstance(a, zarr.Array) and a.shape == (8, 8) for a in found)


@pytest.mark.parametrize("url", ["{}", "file://{}"])
def test_what_dask_opens_by_a_path_is_read_without_an_event_loop(stored: Path, url: str) -> None:
    """Dask opens it through fsspec, which took 1024³ voxels a third longer."""
    found = as_source(da.from_zarr(url.format(stored / "s0"))).array
    assert isinstance(found.store, LocalStore)
    direct = type(found.async_array.codec_pipeline).__name__ == "DirectPipeline"
    assert direct == (FusedCodecPipeline is not None)
    assert (found[...] == array(stored)[...]).all()


class Negative:
    """An adapter that keeps shape and dtype, and nothing else, of the array inside."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype, self.ndim = array, array.shape, array.dtype, array.ndim

    def __getitem__(self, index: Any) -> Any:
        return ~self.array[index]


ADAPTED: dict[str, Callable[[Path], Any]] = {
    "its own": lambda p: da.from_array(Negative(array(p)), chunks=4),
    "turned": lambda p: opened(p, chunks=None)[:, ::-1].chunk(4),
    "a part": lambda p: opened(p, chunks=None)[2:, ::2].chunk(2),
    "ordered": lambda p: opened(p, chunks=None).isel(x=[1, 0, 2, 3, 4, 5, 6, 7]).chunk(4),
    "plain": lambda p: opened(p, chunks={}),
}


@pytest.mark.parametrize("adapter", ADAPTED)
def test_what_an_adapter_changes_is_changed(stored: Path, tmp_path: Path, adapter: str) -> None:
    image = ADAPTED[adapter](stored)
    daskome.write_image(image, tmp_path / "image", axes="yx")
    assert (zarr.open_array(tmp_path / "image" / "s0")[...] == np.asarray(image)).all()
    assert isinstance(as_source(image).array, zarr.Array) == (adapter == "plain")


@pytest.mark.parametrize(
    "encoding",
    [
        {"_FillValue": -999.0},
        {"_FillValue": -999.0, "missing_value": -999.0},
        {"scale_factor": np.float32(2), "add_offset": np.float32(1)},
        {"_FillValue": -999.0, "scale_factor": 2.0, "add_offset": 1.0},
        {"_FillValue": -1, "dtype": "int32"},
    ],
)
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [{}, None, {"y": 8}])
def test_what_xarray_decodes_is_decoded(tmp_path: Path, encoding: Any, zarr_format: int, chunks: Any) -> None:
    """Of variables that are masked or scaled in their own dtype, the stored numbers were written."""
    xarray = pytest.importorskip("xarray")
    values = VALUES.astype("float32")
    values[0, 0] = np.nan
    dataset = xarray.Dataset({"s0": (("y", "x"), values)})
    told = {"s0": {"dtype": "float32", "chunks": (4, 4), **encoding}}
    dataset.to_zarr(tmp_path / "a", encoding=told, zarr_format=zarr_format, consolidated=False)
    image = xarray.open_zarr(tmp_path / "a", consolidated=False, chunks=chunks)["s0"]
    daskome.write_image(image, tmp_path / "image")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "image" / "s0")[...], values)


class Chosen(BatchedCodecPipeline):
    """A pipeline of codecs that a user has chosen."""


@pytest.mark.parametrize("make", [lambda a: a, lambda a: da.from_array(a, inline_array=True) + 1], ids=["", "dask"])
def test_codecs_that_the_user_has_chosen_stay(stored: Path, make: Callable[[Any], Any]) -> None:
    register_pipeline(Chosen)
    with zarr.config.set({"codec_pipeline.path": f"{Chosen.__module__}.{Chosen.__qualname__}"}):
        image = make(array(stored))
    (found,) = stored_at(as_source(image))
    assert type(found.async_array.codec_pipeline) is Chosen


def test_all_zarr_arrays_are_found(tmp_path: Path) -> None:
    parts = [zarr.create_array(tmp_path / str(i), data=VALUES) for i in range(3)]
    for inline in (True, False):
        image = da.concatenate([da.from_array(part, inline_array=inline) for part in parts])
        for graph in (image, *dask.optimize(image)):
            assert {str(a.store_path) for a in stored_at(as_source(graph))} == {str(p.store_path) for p in parts}


@pytest.mark.parametrize("image", [VALUES, View(VALUES), da.from_array(VALUES), da.zeros((9, 9), chunks=2) + 1])
def test_other_images_are_stored_nowhere(image: Any) -> None:
    assert stored_at(as_source(image)) == []


@pytest.mark.extended
def test_a_graph_of_a_million_tasks_is_not_walked() -> None:
    task = [[("other", i, j) for i in range(300)] for j in range(300)]
    graph = {("x", i, 0): (np.block, task) for i in range(10**6)}
    image = da.Array(HighLevelGraph.from_collections("x", graph), "x", ((1,) * 10**6, (1,)), "u1")
    source = Source(image, ((1,), (1,)))
    start = time.process_time()
    assert stored_at(source) == []
    assert time.process_time() - start < 10  # a walk would take days
