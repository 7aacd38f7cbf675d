"""One unit as lazy Dask arrays: its piece of the source, downsampled level by level, each level stored.

The only place where pixels are written. Blocks are whole stored objects (`Level.write_chunks`) that no other
block shares, so `da.store` needs no lock. (`da.to_zarr` onto an array, which calls `da.store` too, would lay its
own grid over ours: with ``array.chunk-size`` at one block, 10 % of random grids came out misaligned.)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import dask.array as da
import numpy as np
import zarr

from daskome.kernels.downsample import downsample
from daskome.model import regions
from daskome.model.chunks import Chunks, align_to_factor, block_sizes
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region
from daskome.planning.plan import Unit
from daskome.stores import sync_codecs
from daskome.stores.arrays import delete_shards


def stores(unit: Unit, pyramid: Pyramid, piece: da.Array, arrays: Sequence[zarr.Array[Any]]) -> list[da.Array]:
    """Return a lazy array per level of a unit, a temporary copy too; computing them writes it.

    Parameters
    ----------
    unit : Unit
    pyramid : Pyramid
    piece : dask.array.Array
        What the unit reads (`Plan.reads`).
    arrays : sequence of zarr.Array
        Where each of its regions lies.
    """
    work, blocks, written = unit.pass_, [], (*unit.regions, *unit.copied)
    for k, (region, array) in enumerate(zip(written, arrays, strict=True), start=work.first):
        if k > work.first or work.reads_below:
            piece = coarsen(piece, pyramid, k, region)
        write_chunks = pyramid.levels[k].write_chunks if k < work.stop else array.chunks
        piece = piece.rechunk(block_sizes(region, write_chunks), method="tasks")
        blocks.append(piece)
    targets = [Target(array) for array in arrays]
    found = da.store(blocks, targets, lock=False, regions=list(map(regions.slices, written)), compute=False)
    return list(found) if isinstance(found, tuple) else [found]


class Target:
    """A zarr array as `da.store` sees it.

    Dask would name its tasks by a hash of the array, store included: slow, and fatal for a zip file, which zarr
    3.1 opens anew to be written when it is copied for that. A random name does as well.
    """

    __slots__ = ("array",)

    def __init__(self, array: zarr.Array[Any]) -> None:
        self.array = array

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write a block of whole stored objects.

        zarr reads a shard that reaches beyond the edge before it writes it. One that a killed process has left half
        written can't be read, so it goes first, and nothing of it is lost: the block has all that belongs into it.
        """
        try:
            sync_codecs.write(self.array, index, value)
        except Exception:
            if self.array.shards is None:
                raise
            delete_shards(self.array, index)
            sync_codecs.write(self.array, index, value)

    def __dask_tokenize__(self) -> str:
        """Return a name that no other target has."""
        return uuid4().hex


def coarsen(piece: da.Array, pyramid: Pyramid, k: int, region: Region) -> da.Array:
    """Return a region of level k from the piece of level k - 1 that it is made of, halo included."""
    method, factors, below = pyramid.method, pyramid.factors(k), pyramid.levels[k - 1].shape
    inner = regions.finer(region, factors, below)
    reduce = partial(downsample, factors=factors, method=method)
    if any(map(method.halo, factors)):
        margins = regions.margins(pyramid.reads(k, region), inner)
        whole: Chunks = tuple((n,) for n in regions.shape_of(region))
        return _mapped(piece.rechunk(-1, method="tasks"), whole, partial(reduce, halo=margins))
    aligned = tuple(align_to_factor(sizes, f) for sizes, f in zip(piece.chunks, factors, strict=True))
    chunks: Chunks = tuple(
        tuple(regions.ceil_div(n, f) for n in sizes) for sizes, f in zip(aligned, factors, strict=True)
    )
    return _mapped(piece.rechunk(aligned, method="tasks"), chunks, reduce)


def _mapped(piece: da.Array, chunks: Chunks, function: Callable[..., Any]) -> da.Array:
    """Return `piece` with a function applied to each block; a random name saves hashing."""
    name = f"daskome-downsample-{uuid4().hex}"
    meta = np.empty((0,) * piece.ndim, piece.dtype)
    return piece.map_blocks(function, chunks=chunks, dtype=piece.dtype, meta=meta, name=name)
