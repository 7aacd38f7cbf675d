"""Sequences of chunk sizes along an axis: cut, consolidated, batched, aligned.

A source has chunks, a level has blocks, and they rarely agree. How they are read and written is decided here, in whole
numbers::

    source chunks    |-------|-------|-------|-------|---|
    consolidated     |---------------|---------------|---|      whole chunks, joined up to a limit
    aligned to 4     |---------------|-----------|-------|      joined until each ends at a multiple of a factor
    blocks (grid)    |-----|-----|-----|-----|-----|-----|
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from typing import Any

from daskome.model.regions import Region, Shape, ceil_div, spans_of

Sizes = Sequence[int]
"""Sizes of consecutive chunks along an axis."""
Chunks = tuple[Sizes, ...]


@dataclass(frozen=True, slots=True)
class Regular(Sequence[int]):
    """The sizes of the chunks of an axis of `length`, all of `step` but the last, without a list of them.

    An axis may have millions of chunks, and may be cut a million times, so everything here is arithmetic.

    >>> list(Regular(10, 4)), len(Regular(10**15, 1))
    ([4, 4, 2], 1000000000000000)
    """

    length: int
    step: int

    def __len__(self) -> int:
        return ceil_div(self.length, self.step)

    def __getitem__(self, index: Any) -> Any:
        """Return one size, or a tuple of them."""
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        i = range(len(self))[index]
        return min(self.step, self.length - i * self.step)


def block_sizes(region: Region, blocks: Sequence[int]) -> Chunks:
    """Return the sizes of the parts into which a grid of `blocks` cuts a region.

    >>> block_sizes(((64, 200),), (64,))
    ((64, 64, 8),)
    """
    return tuple(
        tuple(b - a for a, b in spans_of(start, stop, step)) for (start, stop), step in zip(region, blocks, strict=True)
    )


def regular_chunks(shape: Sequence[int], blocks: Sequence[int]) -> Chunks:
    """Return the chunks into which a grid of `blocks` cuts an array of `shape`.

    >>> regular_chunks((5, 4), (2, 4))
    (Regular(length=5, step=2), Regular(length=4, step=4))
    """
    return tuple(Regular(n, max(min(b, n), 1)) for n, b in zip(shape, blocks, strict=True))


def longest_chunk(chunks: Sizes) -> int:
    """Return the size of the longest chunk."""
    return max(chunks[:1] if isinstance(chunks, Regular) else chunks, default=0)


def chunks_within(chunks: Sizes, start: int, stop: int) -> tuple[int, ...]:
    """Return the sizes of the parts of consecutive chunks that lie in ``start:stop``.

    >>> chunks_within((4, 4, 4), 2, 9), chunks_within(Regular(10**9, 4), 2, 9)
    ((2, 4, 1), (2, 4, 1))
    """
    if isinstance(chunks, Regular):
        return tuple(b - a for a, b in spans_of(start, min(stop, chunks.length), chunks.step))
    sizes, edge = [], 0
    for chunk in chunks:
        overlap = min(edge + chunk, stop) - max(edge, start)
        if overlap > 0:
            sizes.append(overlap)
        edge += chunk
    return tuple(sizes)


def consolidated(chunks: Sequence[int], limit: int) -> tuple[int, ...]:
    """Join consecutive chunks while they are together at most `limit` long.

    >>> consolidated((1, 1, 1, 1, 1), 2)
    (2, 2, 1)
    """
    groups: list[int] = []
    for chunk in chunks:
        if groups and groups[-1] + chunk <= limit:
            groups[-1] += chunk
        else:
            groups.append(chunk)
    return tuple(groups)


def longest_consolidated(chunks: Sizes, limit: int) -> int:
    """Return the longest of the chunks that `consolidated` makes.

    >>> longest_consolidated((4, 4, 4), 9), longest_consolidated(Regular(10**9 + 1, 4), 9)
    (8, 9)
    """
    if not isinstance(chunks, Regular):
        return max(consolidated(chunks, limit))
    joined = max(limit // chunks.step, 1)
    n_whole, remainder = divmod(chunks.length, chunks.step)
    longer = joined * chunks.step + remainder
    return min(longer if n_whole % joined == 0 and longer <= limit else longer - remainder, chunks.length)


def batches(parts: Chunks, longest: Shape, voxels: int) -> Chunks:
    """Join parts of chunks while the whole chunks, of at most `longest`, hold at most `voxels` together.

    >>> batches(((1, 1, 1), (3, 3)), (1, 4), 8)
    ((1, 1, 1), (6,))
    """
    left, joined = max(voxels // prod(longest), 1), []
    for sizes in reversed(parts):
        n = min(len(sizes), left)
        joined.append(tuple(sum(sizes[i : i + n]) for i in range(0, len(sizes), n)))
        left //= n
    return tuple(reversed(joined))


def spans_within(sizes: Sequence[int], start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the spans of consecutive parts that lie in ``start:stop``.

    >>> list(spans_within((4, 4, 4), 2, 8))
    [(2, 4), (4, 8)]
    """
    edge = 0
    for n in sizes:
        if edge < stop and edge + n > start:
            yield max(edge, start), min(edge + n, stop)
        edge += n


def split_bands(own: Chunks, joined: Chunks, voxels: int) -> Chunks:
    """Return `joined` chunks, halved along axes where nothing was joined until each holds at most `voxels`.

    The longest of these axes is halved first. Where nothing was joined, nothing is halved. The example below joins
    four rows; without bands, all four would be in memory as they are and joined::

        own         joined        in bands
        ─────────   ┌─────────┐   ┌─┬─┬─┬─┐
        ─────────   │         │   │ │ │ │ │
        ─────────   │         │   │ │ │ │ │
        ─────────   └─────────┘   └─┴─┴─┴─┘

    >>> split_bands(((1, 1, 1, 1), (64,)), ((4,), (64,)), 64)
    ((4,), (16, 16, 16, 16))
    """
    free = [i for i, (a, b) in enumerate(zip(own, joined, strict=True)) if len(a) == len(b)]
    lengths = [max(sizes) for sizes in joined]
    while len(free) < len(own) and prod(lengths) > voxels and free:
        axis = max(free, key=lambda i: (lengths[i], -i))
        if lengths[axis] == 1:
            break
        lengths[axis] = ceil_div(lengths[axis], 2)
    return tuple(
        tuple(b - a for n in sizes for a, b in spans_of(0, n, length))
        for sizes, length in zip(joined, lengths, strict=True)
    )


@lru_cache(maxsize=1024)
def read_amplification(chunks: Sizes, step: int, halo: int = 0) -> float:
    """Return how many times the chunks of an axis are read if it is read `step` voxels at a time, with a `halo`.

    >>> read_amplification((128, 128), 128), read_amplification((256,), 64), read_amplification((64, 64), 64, 2)
    (1.0, 4.0, 2.0)
    """
    if isinstance(chunks, Regular):
        return _amplification(chunks, step, halo)
    edge, touched, steps = 0, 0, ceil_div(sum(chunks), step)
    for chunk in chunks:
        last = min(ceil_div(edge + chunk + halo, step), steps)
        touched += chunk * (last - max((edge - halo) // step, 0))
        edge += chunk
    return touched / edge


def _amplification(chunks: Regular, step: int, halo: int) -> float:
    """Return the same for regular chunks, from the steps of one period, or from all steps if there are fewer."""
    n, chunk = chunks.length, chunks.step

    def read(i: int) -> int:
        first = max(i * step - halo, 0) // chunk * chunk
        return min(ceil_div(min((i + 1) * step, n) + halo, chunk) * chunk, n) - first

    # A step that no edge cuts reads as much as the step one period later.
    steps, period = ceil_div(n, step), chunk // gcd(chunk, step)
    near = ceil_div(halo + chunk, step)
    inner = max(steps - 2 * near - 1, 0) // period
    if inner < 2:
        return sum(map(read, range(steps))) / n
    repeated = range(near, near + period)
    outer = [*range(near), *range(near + inner * period, steps)]
    return (inner * sum(map(read, repeated)) + sum(map(read, outer))) / n


def align_to_factor(chunks: Sequence[int], factor: int) -> tuple[int, ...]:
    """Join consecutive chunks until all but the last end at a multiple of `factor`, so that no window is cut.

    >>> align_to_factor((3, 3, 3, 3, 1), 2)
    (6, 6, 1)
    """
    groups, open_group = [], 0
    for chunk in chunks:
        open_group += chunk
        if open_group % factor == 0:
            groups.append(open_group)
            open_group = 0
    return (*groups, open_group) if open_group else tuple(groups)
