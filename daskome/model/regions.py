"""Integer geometry: regions, grids, and how factors map one level to another.

A region is one ``(start, stop)`` pair per axis, in voxels of its level.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

Region = tuple[tuple[int, int], ...]
Shape = tuple[int, ...]


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up.

    >>> ceil_div(7, 2)
    4
    """
    return -(-a // b)


def spread(n: int, most: int) -> range:
    """Return at most `most` of the numbers below `n`, in equal steps from 0.

    >>> list(spread(10, 4)), list(spread(3, 4))
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return range(0, n, max(ceil_div(n, most), 1))


def n_blocks(shape: Sequence[int], blocks: Sequence[int]) -> Shape:
    """Return how many blocks cover `shape` along each axis."""
    return tuple(ceil_div(n, b) for n, b in zip(shape, blocks, strict=True))


def size(region: Region) -> int:
    """Return the number of voxels in a region."""
    return prod(stop - start for start, stop in region)


def shape_of(region: Region) -> Shape:
    """Return the shape of a region."""
    return tuple(stop - start for start, stop in region)


def slices(region: Region) -> tuple[slice, ...]:
    """Return the region as an index."""
    return tuple(slice(start, stop) for start, stop in region)


def whole(shape: Sequence[int]) -> Region:
    """Return the region that covers `shape`."""
    return tuple((0, n) for n in shape)


def position(index: int, grid: Sequence[int]) -> Shape:
    """Return the position in a grid of the block with this index, counted in C order.

    >>> position(7, (2, 2, 3))
    (1, 0, 1)
    """
    found: list[int] = []
    for count in reversed(grid):
        index, last = divmod(index, count)
        found.append(last)
    return tuple(reversed(found))


def block(index: Sequence[int], blocks: Sequence[int], shape: Sequence[int]) -> Region:
    """Return the region of one block of a grid, cut at the edge of `shape`.

    >>> block((1, 0), (64, 64), (100, 50))
    ((64, 100), (0, 50))
    """
    return tuple((i * b, min((i + 1) * b, n)) for i, b, n in zip(index, blocks, shape, strict=True))


def block_in(region: Region, index: Sequence[int], blocks: Sequence[int]) -> Region:
    """Return the region of one block of a grid that begins where a region does, cut at its end.

    >>> block_in(((64, 200),), (1,), (100,))
    ((164, 200),)
    """
    return tuple((a + i * n, min(a + (i + 1) * n, b)) for (a, b), i, n in zip(region, index, blocks, strict=True))


def widened(region: Region, blocks: Sequence[int], shape: Sequence[int]) -> Region:
    """Return the region of the whole blocks of a grid that hold a part of a region.

    >>> widened(((70, 100),), (64,), (120,))
    ((64, 120),)
    """
    each = zip(region, blocks, shape, strict=True)
    return tuple((a // n * n, min(ceil_div(b, n) * n, length)) for (a, b), n, length in each)


def common(a: Region, b: Region) -> Region:
    """Return what two regions have in common, which may be empty.

    >>> common(((0, 8), (2, 4)), ((4, 9), (0, 9)))
    ((4, 8), (2, 4))
    """
    return tuple((max(p, r), min(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def overlap(a: Region, b: Region) -> bool:
    """Whether two regions have a voxel in common.

    >>> overlap(((0, 8), (2, 4)), ((4, 9), (4, 9)))
    False
    """
    return not is_empty(common(a, b))


def around(a: Region, b: Region) -> Region:
    """Return the smallest region that holds two regions.

    >>> around(((0, 2), (2, 4)), ((4, 9), (0, 3)))
    ((0, 9), (0, 4))
    """
    return tuple((min(p, r), max(q, s)) for (p, q), (r, s) in zip(a, b, strict=True))


def clipped(region: Region, shape: Sequence[int]) -> Region:
    """Return the part of a region in an array; of one that begins where the array ends, the last voxels: it joins them.

    >>> clipped(((21, 40), (2, 4)), (21, 8))
    ((20, 21), (2, 4))
    """
    return tuple((min(start, n - 1), min(stop, n)) for (start, stop), n in zip(region, shape, strict=True))


def within(region: Region, outer: Region) -> Region:
    """Return a region as it is counted from the start of another.

    >>> within(((6, 8),), ((4, 9),))
    ((2, 4),)
    """
    return tuple((a - start, b - start) for (a, b), (start, _) in zip(region, outer, strict=True))


def is_empty(region: Region) -> bool:
    """Whether no voxel is in a region.

    >>> is_empty(((0, 4), (3, 3)))
    True
    """
    return any(start >= stop for start, stop in region)


def blocks_of(region: Region, blocks: Sequence[int]) -> Iterator[Region]:
    """Yield the parts into which a grid of `blocks` cuts a region."""
    spans = [list(spans_of(a, b, size)) for (a, b), size in zip(region, blocks, strict=True)]
    yield from product(*spans)


def spans_of(start: int, stop: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the parts of ``start:stop`` between multiples of `step`.

    >>> list(spans_of(3, 10, 4))
    [(3, 4), (4, 8), (8, 10)]
    """
    while start < stop:
        end = min((start // step + 1) * step, stop)
        yield start, end
        start = end


def coarser(region: Region, factors: Sequence[int]) -> Region:
    """Return the region one level up; starts are multiples of the factors, ragged ends round up.

    >>> coarser(((4, 9),), (2,))
    ((2, 5),)
    """
    return tuple((start // f, ceil_div(stop, f)) for (start, stop), f in zip(region, factors, strict=True))


def finer(region: Region, factors: Sequence[int], shape: Sequence[int]) -> Region:
    """Return the region of the level below, which has `shape`, that a region is made from.

    >>> finer(((2, 5),), (2,), (9,))
    ((4, 9),)
    """
    return tuple((start * f, min(stop * f, n)) for (start, stop), f, n in zip(region, factors, shape, strict=True))


def with_halo(region: Region, halo: Sequence[int], shape: Sequence[int]) -> Region:
    """Return the region with `halo` more voxels on either side, cut at the edges of `shape`."""
    return tuple((max(a - h, 0), min(b + h, n)) for (a, b), h, n in zip(region, halo, shape, strict=True))


def margins(outer: Region, inner: Region) -> tuple[tuple[int, int], ...]:
    """Return how far `outer` reaches beyond `inner`, before and after, per axis."""
    return tuple((a - c, d - b) for (c, d), (a, b) in zip(outer, inner, strict=True))


def format_region(region: Region, names: Sequence[str]) -> str:
    """Return a region as text, for people.

    >>> format_region(((0, 4), (2, 8)), "yx")
    'y 0:4, x 2:8'
    """
    return ", ".join(f"{name} {a}:{b}" for name, (a, b) in zip(names, region, strict=True))
