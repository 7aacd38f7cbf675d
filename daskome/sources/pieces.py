"""A region of a source as a small Dask array: what a unit reads, and no more graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np

from daskome.model import regions
from daskome.model.chunks import batches, chunks_within, consolidated, longest_chunk, split_bands
from daskome.model.regions import Region, Shape
from daskome.model.source import READ_NBYTES, Source
from daskome.sources.dask_graphs import restrict, with_values
from daskome.sources.views import Window, as_declared

Compute = Callable[[Any, Sequence[Any]], Mapping[Any, Any]]
"""Gets results of a graph, now (`cones.computed`) or later (`cones.lazily`)."""
BAND_NBYTES = 16 * 2**20
"""Chunks of a Dask array that are to be joined are first cut into bands that, joined, hold at most so much."""


def source_piece(source: Source, region: Region, read_chunks: Shape) -> da.Array:
    """Return a region of the source as a Dask array of pieces of at most about `read_chunks`, and no more graph.

    Source chunks are joined up to `read_chunks`. No stored one is split, so that none is read twice; one that Dask
    computes is split in the graph, so that not all chunks are in memory as they are and joined.
    """
    own = tuple(chunks_within(sizes, *span) for sizes, span in zip(source.chunks, region, strict=True))
    chunks = tuple(map(consolidated, own, read_chunks))
    dtype = np.dtype(source.dtype)
    if isinstance(source.array, da.Array):
        part = restrict(source.array[regions.slices(region)])
        part = part.map_blocks(_detached, dtype=dtype, declared=dtype, meta=np.empty((0,) * part.ndim, dtype))
        bands = split_bands(own, chunks, BAND_NBYTES // dtype.itemsize)
        return part.rechunk(bands, method="tasks", block_size_limit=BAND_NBYTES)
    if isinstance(source.array, np.ndarray):
        piece: Any = source.array[regions.slices(region)].astype(dtype, copy=False)
    else:
        longest = tuple(map(longest_chunk, source.chunks))
        piece = Window(source.array, region, batches(own, longest, READ_NBYTES // dtype.itemsize))
    return da.from_array(piece, chunks=chunks, name=False, meta=np.empty((0,) * len(region), dtype))


def with_shared_results(source: Source, compute: Compute) -> Source:
    """Return a source with the results of its graph that all parts need, got by `compute`."""
    if not source.shared:
        return source
    array = with_values(source.array, compute(source.array.__dask_graph__(), source.shared))
    return replace(source, array=array, shared=())


def _detached(block: Any, declared: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return a block as NumPy, of the dtype declared; not as a view of something larger, which it would keep alive."""
    found = as_declared(block, declared)
    return found.copy() if found.base is not None and getattr(found.base, "nbytes", 0) > found.nbytes else found
