"""Encoded chunks on their way from one array to another: read and decoded once, then stored as they are.

What is stored are the chunks of the source, or shards that these are joined to; shards of the source are taken apart,
unless the target has the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from operator import add
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer

from daskome.model.regions import Shape, ceil_div
from daskome.ome.missing_axes import put_in
from daskome.stores.arrays import encoded_chunks, through_store
from daskome.stores.objects import sync_codecs
from daskome.stores.objects.keeping import KeepingStore
from daskome.stores.objects.shards import sharding_of

Slices = tuple[slice, ...]


class EncodedChunks:
    """A zarr array to be read, of which each object that was read is kept, encoded, until another array takes it over.

    Parameters
    ----------
    array : zarr.Array
    where : tuple of int
        Axes of length 1 that the other array has, and this one lacks.

    Attributes
    ----------
    array : zarr.Array
        That is to be read.

    Examples
    --------
    >>> old, new = (zarr.create_array({}, shape=(8,), chunks=(4,), dtype="uint8") for _ in range(2))
    >>> old[...] = range(8)
    >>> chunks = EncodedChunks(old)
    >>> chunks.write(new, (slice(0, 8),), chunks.array[0:8])
    >>> new[...].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    """

    def __init__(self, array: "zarr.Array[Any]", where: tuple[int, ...] = ()) -> None:
        self.store, self.where, self.sharding = KeepingStore(array.store), where, sharding_of(array)
        self.array: zarr.Array[Any] = through_store(array, self.store)

    def write(self, target: "zarr.Array[Any]", index: Slices, value: Any) -> None:
        """Write a block of whole stored objects of the other array; `value` are its voxels, read from this one."""
        writer = _Objects(self, target)
        ready: dict[str, Buffer] = {}
        for position, part in _parts(index, target.shards or target.chunks):
            own = value[tuple(slice(p.start - i.start, p.stop - i.start) for p, i in zip(part, index, strict=True))]
            found = writer.object_at(position, part, own)
            if found is not None:
                ready[target.metadata.encode_chunk_key(position)] = found
        sync_codecs.put(target, ready)

    def taken(self, position: Shape) -> Buffer | None:
        """Return an object that was read, by its position in the other array's grid, and keep it no longer."""
        own = tuple(p for i, p in enumerate(position) if i not in self.where)
        key = self.array.metadata.encode_chunk_key(own)
        return self.store.kept.pop("/".join(filter(None, (self.array.path, key))))

    def expanded(self, shape: Shape | None) -> Shape:
        """Return a shape with the axes that the other array has."""
        return () if shape is None else put_in(shape, self.where, (1,) * (len(shape) + len(self.where)))


class _Objects:
    """The stored objects of an array, made from the encoded chunks of another."""

    def __init__(self, source: EncodedChunks, target: "zarr.Array[Any]") -> None:
        self.source, self.target, self.sharding = source, target, sharding_of(target)
        self.same_fill = _fill(source.array) == _fill(target)
        inner = source.sharding and replace(source.sharding, grid=source.expanded(source.sharding.grid))
        self.inner, self.grid = inner, source.expanded(source.array.shards or source.array.chunks)

    def object_at(self, position: Shape, part: Slices, value: Any) -> Buffer | None:
        """Return what is to be stored as an object; None for nothing, or if it was encoded, and is stored.

        What is not stored in the source is not stored in the target either, if both have the same fill value.
        """
        if self.same_fill and self.inner == self.sharding:
            return self.source.taken(position)
        lengths = zip(part, self.target.chunks, strict=True)
        places = list(product(*(range(ceil_div(p.stop - p.start, c)) for p, c in lengths)))
        found = dict(self._chunks(part))
        chunks = {where: found[where] for where in places if where in found}
        missing = [] if self.same_fill else [where for where in places if where not in found]
        if missing and self.sharding is None:
            sync_codecs.write(self.target, part, value)
            return None
        chunks |= encoded_chunks(self.target, value, missing) if missing else {}
        return self.sharding.joined(chunks) if self.sharding else chunks.get(places[0])

    def _chunks(self, part: Slices) -> Iterator[tuple[Shape, Buffer]]:
        """Yield the chunks of the source that a part of the target has, by their positions in it."""
        for position, own in _parts(part, self.grid):
            taken = self.source.taken(position)
            first = tuple((o.start - p.start) // c for o, p, c in zip(own, part, self.target.chunks, strict=True))
            for where, chunk in () if taken is None else self._apart(taken):
                yield tuple(map(add, first, where)), chunk

    def _apart(self, taken: Buffer) -> Iterable[tuple[Shape, Buffer]]:
        """Return the chunks of an object of the source, by their positions in it."""
        return self.inner.apart(taken).items() if self.inner else [((0,) * self.target.ndim, taken)]


def _parts(index: Slices, grid: Shape) -> Iterator[tuple[Shape, Slices]]:
    """Yield the cells of a grid in a part of an array: their positions in the grid, and what they cover."""
    spans = [range(i.start // n, ceil_div(i.stop, n)) for i, n in zip(index, grid, strict=True)]
    for position in product(*spans):
        each = zip(position, grid, index, strict=True)
        yield position, tuple(slice(p * n, min((p + 1) * n, i.stop)) for p, n, i in each)


def _fill(array: "zarr.Array[Any]") -> bytes:
    """Return what is read where nothing is stored, bit by bit; where zarr v2 does not say it, zero."""
    value = 0 if array.fill_value is None else array.fill_value
    return np.asarray(value, np.dtype(array.dtype).newbyteorder("=")).tobytes()
