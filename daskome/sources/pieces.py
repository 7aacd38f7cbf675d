"""A region of a source as a small Dask array: what a unit reads, with no more graph than it needs."""

from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise, product
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from dask._task_spec import DataNode
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from daskome.model import regions
from daskome.model.chunks import Chunks, batches, chunks_within, consolidated, longest_chunk, split_bands
from daskome.model.regions import Region, Shape
from daskome.model.source import READ_NBYTES, Source
from daskome.sources.blocks import checked_blocks, is_remote
from daskome.sources.computed import ComputedArray
from daskome.sources.graphs.annotations import Annotations, annotations_of
from daskome.sources.graphs.layers import literal
from daskome.sources.graphs.shared_results import with_values
from daskome.sources.graphs.subgraphs import restrict
from daskome.sources.joined import Joined
from daskome.sources.views import RegionView

ComputeResults = Callable[[Any, Sequence[Any]], Mapping[Any, Any]]
"""Gets results of a graph, now (`shared_results.compute_shared`) or later (`shared_results.as_delayed`)."""
SMALL_NBYTES = 2**20
"""Arrays in memory that are larger than this travel beside a piece, not in it."""
BAND_NBYTES = 16 * 2**20
"""Before chunks of a Dask array are joined, they are cut into bands that hold at most this much when joined."""


def source_piece(source: Source, region: Region, read_chunks: Shape) -> da.Array:
    """Return a region of the source as a Dask array in pieces of about `read_chunks`, with its part of the graph.

    Source chunks are joined up to `read_chunks`. Stored chunks are never split, so that none is read twice; chunks that
    Dask computes are split in the graph, so that they are not all in memory twice, before and after they are joined.
    """
    own = tuple(chunks_within(sizes, *span) for sizes, span in zip(source.chunks, region, strict=True))
    chunks = tuple(map(consolidated, own, read_chunks))
    dtype = np.dtype(source.dtype)
    if isinstance(source.array, da.Array):
        part = restrict(source.array[regions.slices(region)])
        part = checked_blocks(part, _first(source, region), source.array.name, own=True)
        bands = split_bands(own, chunks, BAND_NBYTES // dtype.itemsize)
        return part.rechunk(bands, method="tasks", block_size_limit=BAND_NBYTES)
    if isinstance(source.array, np.ndarray):
        return _in_views(source.array[regions.slices(region)].astype(dtype, copy=False), chunks)
    longest = tuple(map(longest_chunk, source.chunks))
    array = source.array.within(region) if isinstance(source.array, ComputedArray | Joined) else source.array
    piece = RegionView(array, region, batches(own, longest, READ_NBYTES // dtype.itemsize))
    with dask.annotate(**_asked(piece)):
        return da.from_array(piece, chunks=chunks, name=False, meta=np.empty((0,) * len(region), dtype))


def _in_views(array: "np.ndarray[Any, Any]", chunks: Chunks) -> da.Array:
    """Return an array in memory as a Dask array of views; `da.from_array` would copy it, for each unit in line."""
    name = f"array-{uuid4().hex}"
    spans = [list(pairwise(accumulate(sizes, initial=0))) for sizes in chunks]
    keys = product([name], *(range(len(sizes)) for sizes in chunks))
    views = (array[regions.slices(region)] for region in product(*spans))
    layer = MaterializedLayer({key: DataNode(key, view) for key, view in zip(keys, views, strict=True)})
    return da.Array(HighLevelGraph({name: layer}, {name: set()}), name, chunks, meta=array[(slice(0, 0),) * array.ndim])


def _asked(piece: Any) -> Annotations:
    """Return the Dask annotations of the graph that a view of an array with a `compute` of its own hides."""
    hidden = getattr(piece, "array", None)
    return annotations_of(hidden.array.__dask_graph__()) if isinstance(hidden, ComputedArray) else {}


def with_shared_results(source: Source, compute: ComputeResults) -> Source:
    """Return a source with the results that all its blocks need put in, computed by `compute`."""
    if not source.shared:
        return source
    array = with_values(source.array, compute(source.array.__dask_graph__(), source.shared))
    return replace(source, array=array, shared=())


def _first(source: Source, region: Region) -> Shape:
    """Return the index of the first block of a Dask array that has a part in a region."""
    starts = (start for start, _ in region)
    return tuple(bisect(list(accumulate(sizes)), start) for sizes, start in zip(source.chunks, starts, strict=True))


def without_payload(piece: da.Array) -> tuple[da.Array, dict[Any, Any]]:
    """Return a piece without its payload, and that by its keys: large arrays, futures, results of other tasks."""
    layers = piece.__dask_graph__().layers
    made = {name: layer.mapping for name, layer in layers.items() if isinstance(layer, MaterializedLayer)}
    values = {key: literal(node) for layer in made.values() for key, node in layer.items()}
    held = {key: value for key, value in values.items() if _is_held(value)}
    if not held:
        return piece, {}
    bare = {
        name: MaterializedLayer({k: v for k, v in layer.items() if k not in held}, layers[name].annotations)
        for name, layer in made.items()
    }
    graph = HighLevelGraph({**layers, **bare}, piece.__dask_graph__().dependencies)
    return da.Array(graph, piece.name, piece.chunks, meta=piece._meta), held


def _is_held(value: Any) -> bool:
    large = isinstance(value, np.ndarray) and value.nbytes > SMALL_NBYTES
    return large or is_remote(value) or isinstance(value, Delayed)
