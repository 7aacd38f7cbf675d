"""A fingerprint of an image: checksums of some blocks of level 0, evenly spread, as they were written.

It is stored with the image. So what has become of its pixels since can be seen without the image that it was made of.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from daskome.model import regions
from daskome.model.regions import Region, Shape

Array = np.ndarray[Any, Any]
MOST_BLOCKS = 64
"""How many blocks have checksums: all of a small image."""
FINGERPRINT = "fingerprint"
"""Its key in ``multiscales[].metadata``."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Checksums of blocks of an image.

    Attributes
    ----------
    shape : tuple of int
        Of the image.
    block : tuple of int
        Of the blocks that it is cut into; those at the edges may be smaller.
    crc32 : tuple of str
        Of the blocks in `sampled`, in this order.
    """

    shape: Shape
    block: Shape
    crc32: tuple[str, ...]

    @property
    def regions(self) -> list[Region]:
        """Where the blocks are that have checksums."""
        return [self.region(number) for number in sampled(self.shape, self.block)]

    @property
    def by_region(self) -> dict[Region, str]:
        """The checksums by where the blocks are."""
        return dict(zip(self.regions, self.crc32, strict=True))

    def region(self, number: int) -> Region:
        """Return where the block with a number is."""
        return block_region(number, self.shape, self.block)

    def to_dict(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return {"block": list(self.block), "crc32": list(self.crc32)}


def block_region(number: int, shape: Shape, block: Shape) -> Region:
    """Return where a block is, of those counted in C order."""
    return regions.block(regions.position(number, regions.n_blocks(shape, block)), block, shape)


def sampled(shape: Shape, block: Shape) -> range:
    """Return the numbers of the blocks that have checksums.

    >>> sampled((30, 30), (10, 10)), len(sampled((3000, 3000), (10, 10)))
    (range(0, 9), 64)
    """
    return regions.spread(prod(regions.n_blocks(shape, block)), MOST_BLOCKS)


def checksum(values: Array) -> str:
    """Return the checksum of values, wherever and in which order of bytes they are in memory.

    A zero is a zero, and NaN is NaN, whatever their bits: chunks that equal the fill value are not stored.

    >>> checksum(np.array([0.0, np.nan])) == checksum(np.array([-0.0, -np.nan], ">f8"))
    True
    """
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values + np.array(0, values.dtype))
    contiguous = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return f"{zlib.crc32(contiguous.view(np.uint8).reshape(-1).data):08x}"


def parts_within(region: Region, shape: Shape, block: Shape) -> Iterator[tuple[int, tuple[slice, ...]]]:
    """Yield the sampled blocks in a region of whole blocks: their numbers, and where they are in the region."""
    grid, wanted = regions.n_blocks(shape, block), sampled(shape, block)
    for part in regions.blocks_of(region, block):
        where = tuple(start // n for (start, _), n in zip(part, block, strict=True))
        number = int(np.ravel_multi_index(where, grid))
        if number in wanted:
            yield number, tuple(slice(a - o, b - o) for (a, b), (o, _) in zip(part, region, strict=True))


def parse_fingerprint(stored: Any, shape: Sequence[int]) -> Fingerprint | None:
    """Return the fingerprint that the metadata of an image hold; None if they hold none that fits its shape."""
    found = stored.get(FINGERPRINT) if isinstance(stored, Mapping) else None
    block, crc32 = (found.get("block"), found.get("crc32")) if isinstance(found, Mapping) else (None, None)
    if not isinstance(block, list) or not isinstance(crc32, list) or len(block) != len(shape):
        return None
    if not all(isinstance(n, int) and n > 0 for n in block) or not all(isinstance(one, str) for one in crc32):
        return None
    whole = Fingerprint(tuple(shape), tuple(block), tuple(crc32))
    return whole if len(crc32) == len(sampled(whole.shape, whole.block)) else None
