"""Shards of zarr v3 taken apart into their encoded chunks, and joined from them, without decoding any (`Sharding`).

A shard is its chunks, one after the other, and an index: two numbers of 8 bytes for each chunk, where it begins and how
long it is, and a checksum of all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, product
from math import prod
from typing import Any

import numpy as np
import zarr
from numcodecs.checksum32 import CRC32C
from zarr.core.buffer import Buffer, default_buffer_prototype

from daskome.model.regions import Shape

NOT_STORED = 2**64 - 1
"""Stands for both numbers of a chunk that is not in its shard."""
CHECKSUM_NBYTES = 4


@dataclass(frozen=True, slots=True)
class Sharding:
    """How shards hold chunks.

    Attributes
    ----------
    grid : tuple of int
        How many chunks a shard has along each axis.
    first : bool
        Whether the index comes before the chunks.

    Examples
    --------
    >>> one = default_buffer_prototype().buffer.from_bytes(b"one")
    >>> shard = Sharding((2, 1), False).joined({(1, 0): one})
    >>> len(shard), Sharding((2, 1), False).apart(shard)[1, 0].to_bytes()
    (39, b'one')
    """

    grid: Shape
    first: bool

    def apart(self, shard: Buffer) -> dict[Shape, Buffer]:
        """Return the chunks of a shard, by their positions in it."""
        nbytes = 16 * prod(self.grid)
        index = shard[:nbytes] if self.first else shard[len(shard) - nbytes - CHECKSUM_NBYTES :][:nbytes]
        table = np.frombuffer(index.to_bytes(), "<u8").reshape(-1, 2).tolist()
        places = zip(product(*map(range, self.grid)), table, strict=True)
        return {where: shard[start : start + size] for where, (start, size) in places if start != NOT_STORED}

    def joined(self, chunks: Mapping[Shape, Buffer]) -> Buffer | None:
        """Return a shard of some chunks, by their positions in it; None of no chunks."""
        if not chunks:
            return None
        nbytes = 16 * prod(self.grid) + CHECKSUM_NBYTES
        table = np.full((*self.grid, 2), NOT_STORED, "<u8")
        starts = accumulate(map(len, chunks.values()), initial=nbytes if self.first else 0)
        for (where, chunk), start in zip(chunks.items(), starts, strict=False):
            table[where] = start, len(chunk)
        parts = [chunk.as_numpy_array().tobytes() for chunk in chunks.values()]
        index = bytes(CRC32C(location="end").encode(table))
        return default_buffer_prototype().buffer.from_bytes(
            b"".join([index, *parts] if self.first else [*parts, index])
        )


def sharding_of(array: "zarr.Array[Any]") -> Sharding | None:
    """Return how the shards of an array hold chunks; None where there are none."""
    if array.shards is None:
        return None
    grid = tuple(s // c for s, c in zip(array.shards, array.chunks, strict=True))
    codecs: Any = array.metadata.to_dict()["codecs"]
    return Sharding(grid, codecs[0]["configuration"]["index_location"] == "start")
