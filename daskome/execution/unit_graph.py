"""One unit as lazy Dask arrays: its piece of the source, downsampled level by level, each level given to `da.to_zarr`.

The only place where pixels are written. Blocks are whole stored objects (`Level.write_chunks`) that no other block
shares, so nothing needs a lock. By itself, `da.to_zarr` would lay another grid over an array that exists: blocks of
about ``array.chunk-size``, cut where its heuristics cut, which may be within a stored object. That setting belongs to
the whole process, so it cannot be changed around a call while other threads write other units. Instead, a level comes
as an array whose blocks are final (`Blocks`), and goes to what Dask cannot divide (`Target`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
import zarr

from daskome.execution.progress import block_stored
from daskome.kernels.downsample import downsample
from daskome.model import regions
from daskome.model.chunks import Chunks, align_to_factor, block_sizes
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region, Shape
from daskome.ome.fingerprint import checksum, parts_within
from daskome.planning.plan import Unit
from daskome.stores.arrays import as_stored, keeps_all
from daskome.stores.objects import sync_codecs
from daskome.stores.objects.encoded import EncodedChunks

Checksums = dict[int, str]
"""Of blocks, by their numbers (`daskome.ome.fingerprint`)."""


def stores(
    unit: Unit,
    pyramid: Pyramid,
    piece: da.Array,
    arrays: Sequence[zarr.Array[Any]],
    checksums: Checksums | None = None,
    encoded: EncodedChunks | None = None,
    stored: "Stored | None" = None,
) -> list[da.Array]:
    """Return a lazy array per level of a unit, a temporary copy too; computing them writes it.

    Parameters
    ----------
    unit : Unit
    pyramid : Pyramid
    piece : dask.array.Array
        What the unit reads (`Plan.reads`).
    arrays : sequence of zarr.Array
        Where each of its regions lies.
    checksums : dict, optional
        Gets those of the blocks of level 0 that make the image's fingerprint.
    encoded : EncodedChunks, optional
        What the piece is read from, if the first level that is written takes its chunks over.
    stored : Stored, optional
        What stays around the piece, if that is not all of the unit.
    """
    work, written = unit.pass_, unit.made
    blocks = level_blocks(unit, pyramid, piece, [array.chunks for array in arrays])
    wanted = checksums if work.region is None else None
    noted = [wanted if k == 0 else None for k in range(work.first, work.first + len(blocks))]
    taken = [encoded, *[None] * len(blocks)][: len(blocks)]
    stays = [stored, *[None] * len(blocks)][: len(blocks)]
    return [write_level(*each) for each in zip(blocks, written, arrays, noted, taken, stays, strict=True)]


def level_blocks(unit: Unit, pyramid: Pyramid, piece: da.Array, chunks: Sequence[Shape]) -> list[da.Array]:
    """Return each level of a unit, a temporary copy too, as a lazy array of the blocks in which it is written.

    Of levels, their `write_chunks` count; of a temporary copy, `chunks`: those in which each is stored.
    """
    work, blocks, written = unit.pass_, [], unit.made
    for k, (region, stored) in enumerate(zip(written, chunks, strict=True), start=work.first):
        if k > work.first or work.reads_below:
            piece = coarsen(piece, pyramid, k, region)
        write_chunks = pyramid.levels[k].write_chunks if k < work.stop else stored
        piece = piece.rechunk(block_sizes(region, write_chunks), method="tasks")
        blocks.append(piece)
    return blocks


def write_level(
    level: da.Array,
    region: Region,
    array: zarr.Array[Any],
    checksums: Checksums | None = None,
    encoded: EncodedChunks | None = None,
    stays: "Stored | None" = None,
) -> da.Array:
    """Return what writes a level, block by block, into a region of an array when it is computed.

    Raises
    ------
    RuntimeError
        If Dask has cut the level into other blocks.
    """
    final = Blocks(level.dask, level.name, level.chunks, meta=level)
    stored: da.Array = da.to_zarr(final, Target(array, region, checksums, encoded, stays), compute=False)
    if stored.chunks != level.chunks:
        raise RuntimeError(
            f"Dask {dask.__version__} would write blocks of {stored.chunks} instead of {level.chunks}, and two of them"
            " might share a stored object; install an older version of Dask"
        )
    return stored


@dataclass(frozen=True, slots=True)
class Stored:
    """A level as it is stored, of which what lies around a block, in its objects, stays."""

    array: zarr.Array[Any]

    def around(self, index: tuple[slice, ...], block: Any) -> tuple[tuple[slice, ...], Any]:
        """Return the whole objects that hold a block, and their voxels, with the block among them."""
        region = tuple((part.start, part.stop) for part in index)
        whole = regions.widened(region, self.array.shards or self.array.chunks, self.array.shape)
        if whole == region:
            return index, block
        voxels = np.array(sync_codecs.read(self.array, regions.slices(whole)))
        voxels[regions.slices(regions.within(region, whole))] = block
        return regions.slices(whole), voxels


class Blocks(da.Array):  # type: ignore[misc]
    """A Dask array that stays in its blocks, whatever grid `da.to_zarr` asks for."""

    __slots__ = ()

    def rechunk(self, *args: Any, **kwargs: Any) -> "Blocks":
        """Return the array as it is."""
        return self


class Target(zarr.Array[Any]):
    """A region of a zarr array, as `da.to_zarr` sees it: one voxel, so there is no grid to lay over it.

    Dask would name its tasks by a hash of the array, store included: slow, and fatal for a zip file, which zarr
    3.1 opens anew to be written when it is copied for that. A random name does as well. Nor does Dask see the store:
    it refuses one in memory while there is a cluster, which has nothing to do with how this unit is written. And it
    has no fields: Dask would search all of them for Dask arrays.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]] = {}
    store: Any = None
    shards: Any = None

    def __init__(
        self,
        array: zarr.Array[Any],
        region: Region,
        checksums: Checksums | None = None,
        encoded: EncodedChunks | None = None,
        stays: Stored | None = None,
    ) -> None:
        super().__init__(array.async_array)
        self.array = array
        self.checksums = checksums
        self.encoded = encoded
        self.stays = stays
        self.start = tuple(start for start, _ in region)

    @property
    def chunks(self) -> tuple[int, ...]:
        """One voxel."""
        return (1,) * len(self.start)

    shape = chunks

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write a block of whole stored objects; its index is counted from the start of the region."""
        index = tuple(slice(i.start + n, i.stop + n) for i, n in zip(index, self.start, strict=True))
        if self.stays is not None:
            index, value = self.stays.around(index, value)
        if self.encoded is not None:
            self.encoded.write(self.array, index, value)
        else:
            sync_codecs.write(self.array, index, value)
        if self.checksums is not None:
            kept = self.encoded is not None or keeps_all(self.array)
            self.checksums.update(_checksums(self.array, index, value, kept))
        block_stored(value.nbytes)

    def __dask_tokenize__(self) -> str:
        """Return a name that no other target has."""
        return uuid4().hex


def _checksums(array: zarr.Array[Any], index: Sequence[slice], value: Any, kept: bool) -> Checksums:
    """Return the checksums of those blocks of a part of an array that make its fingerprint, as it will return them.

    `kept` says that it returns what it is given.
    """
    found = parts_within(tuple((i.start, i.stop) for i in index), array.shape, array.chunks)
    parts = ((number, value[part]) for number, part in found)
    return {number: checksum(part if kept else as_stored(array, part)) for number, part in parts}


def coarsen(piece: da.Array, pyramid: Pyramid, k: int, region: Region) -> da.Array:
    """Return a region of level k from the piece of level k - 1 that it is made of, halo included."""
    method, factors, below = pyramid.method, pyramid.factors(k), pyramid.levels[k - 1].shape
    inner = regions.finer(region, factors, below)
    reduce = partial(downsample, factors=factors, method=method)
    if any(map(method.halo, factors)):
        margins = regions.margins(pyramid.reads(k, region), inner)
        one_chunk: Chunks = tuple((n,) for n in regions.shape_of(region))
        return _mapped(piece.rechunk(-1, method="tasks"), one_chunk, partial(reduce, halo=margins))
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
