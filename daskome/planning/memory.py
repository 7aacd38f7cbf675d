"""Predict the peak memory of a unit before it runs. `benchmarks/memory.py` compares it with what is measured.

A unit goes through its region block by block, depth first, so only one block of each level is in memory::

    source     [ pieces read: encoded and decoded ] [ what was read and waits for later blocks ]
    level 0    [ block ]───────▶ [ its objects, encoded ]
    level 1    [ parts of one block, waiting ]
    level 2    [ parts of one block, waiting ]

Where level 0 takes the chunks of the source over, these wait too, encoded as they are, in place of its own.

The peak is the larger of two moments: a piece is being read, or the block of some level is being encoded, while
parts of all coarser levels wait.
"""

from collections.abc import Sequence
from math import lcm, prod

from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Shape, ceil_div
from daskome.model.source import READ_NBYTES
from daskome.planning.codec_memory import codec_memory
from daskome.planning.work import HeldByUnit, Pass, SourceChunks, Workers

HEAP = 1.25
"""How much more an allocator holds than is asked of it, because of gaps between chunks: measured up to 22 %."""
MAPPED = 1.05
"""The same for chunks of `MAPPED_FROM_NBYTES` or more, which lie in memory of their own."""
MAPPED_FROM_NBYTES = 32 * 2**20
"""Glibc never puts anything larger into the heap."""
FLIGHT_NBYTES = 128 * 2**20
"""How much is on its way from a process at a time, at most, unless one object of each thread is more: enough for some
hundred MB/s to a store that answers after half a second."""
FLIGHT_SHARE = 1 / 8
"""How much of the memory that a process may use is left to what is on its way."""
FETCHED = 64
"""How many chunks are fetched at a time by a process, if they fit."""
FLIGHT_COPIES = 3
"""What is on its way, as it is encoded, as the client holds it, and as it is sent. With two, a slow server left 4 %."""
UNIT_MEM = 8 * 2**20
"""The graph of a unit, and the working memory of kernels and codecs."""
CODEC_MEM = 4 * 2**20
"""What codecs take of that; those that need more are few."""


def steps_of(pyramid: Pyramid, first: int) -> Shape:
    """Return how many voxels of what a pass reads become one voxel of its first level, per axis."""
    return pyramid.factors(first) if first else (1,) * len(pyramid.axes)


def halo_of(pyramid: Pyramid, first: int) -> Shape:
    """Return how far a pass reads around its units, in voxels of what it reads; () if it does not."""
    halo = tuple(map(pyramid.method.halo, steps_of(pyramid, first)))
    return halo if any(halo) else ()


def unit_memory(
    pyramid: Pyramid,
    first: int,
    levels: Sequence[Level],
    span: Shape,
    read: Shape,
    source: SourceChunks,
    workers: Workers,
    ahead: int = 0,
) -> int:
    """Return the peak memory of a unit that writes these levels (a temporary copy is one of them), in bytes.

    Either a piece is being read, or a block of some level is joined from its parts or encoded. Meanwhile parts of all
    coarser levels wait, and parts of the source that were read wait for the blocks that need them.
    """
    steps = steps_of(pyramid, first)
    blocks = [prod(level.write_chunks) for level in levels]
    block = tuple(map(lcm, levels[0].write_chunks if first == 0 else read, steps))
    live = _live(read, block, span)
    if halo_of(pyramid, first):
        live *= 2  # pieces as they are stored, and joined
    consumed = first == 0 and all(b % r == 0 for b, r in zip(block, read, strict=True))
    decoded = source.buffer_copies * _decoded(read, span, source.longest, pyramid.itemsize)
    if any(r > c for r, c in zip(read, source.longest, strict=True)):
        decoded = max(decoded, min(live, READ_NBYTES * 2 // pyramid.itemsize))  # some pieces are joined
    fetched = ahead * (1 + source.buffer_copies) * prod(read)  # each as a whole, and as it is decoded
    kept = live if levels[0].layout.verbatim else 0
    reading = live + decoded + fetched + kept + sum(blocks[1:])
    writing = max(
        own
        + max(live if k == 0 and consumed else own, _encoded(level, own, workers.at_once, pyramid.itemsize))
        + kept
        + sum(blocks[k + 1 :])
        for k, (level, own) in enumerate(zip(levels, blocks, strict=True))
    )
    held = _heap(pyramid, source)
    flying = FLIGHT_COPIES * flight_nbytes(pyramid, levels, workers)
    return int(
        held * (UNIT_MEM + max(reading, writing + fetched + (0 if consumed else live)) * pyramid.itemsize) + flying
    )


def held_memory(
    pyramid: Pyramid, pass_: Pass, levels: Sequence[Level], held: HeldByUnit, source: SourceChunks, workers: Workers
) -> int:
    """Return the peak memory of a unit of an image that is computed, in bytes, from what the graph of one holds."""
    size = pyramid.itemsize
    encoded = [_encoded(level, prod(level.write_chunks), workers.at_once, size) * size for level in levels]
    flying = FLIGHT_COPIES * flight_nbytes(pyramid, levels, workers)
    return int(_heap(pyramid, source) * (UNIT_MEM + held(pyramid, pass_, levels, encoded)) + flying)


def _heap(pyramid: Pyramid, source: SourceChunks) -> float:
    """Return how much more is held than is asked for."""
    return MAPPED if prod(source.longest) * pyramid.itemsize >= MAPPED_FROM_NBYTES else HEAP


def pieces_ahead(read: Shape, source: SourceChunks, itemsize: int, workers: Workers, n_units: int) -> int:
    """Return how many pieces of what is far away are fetched before they are needed, for one unit: at least one."""
    if not source.far and not (workers.in_flight and source.image is None):
        return 0
    chunks = max(prod(ceil_div(r, c) for r, c in zip(read, source.longest, strict=True)), 1)
    share = int(_spare(workers)) // workers.threads // ((1 + source.buffer_copies) * prod(read) * itemsize)
    return max(1, min(ceil_div(FETCHED, min(workers.threads, n_units) * chunks), share))


def _spare(workers: Workers) -> float:
    """Return the bytes of a process that what is on its way may take."""
    return min(FLIGHT_NBYTES, FLIGHT_SHARE * workers.threads * workers.thread_memory)


def flight_nbytes(pyramid: Pyramid, levels: Sequence[Level], workers: Workers) -> int:
    """Return the bytes of stored objects that are on their way at a time for one thread, at most: any object may."""
    if not workers.in_flight:
        return 0
    largest = max(prod(level.layout.objects) for level in levels) * pyramid.itemsize
    share = int(_spare(workers)) // workers.threads
    return max(largest, min(ceil_div(workers.in_flight, workers.threads) * largest, share))


def encoding_memory(pyramid: Pyramid, levels: Sequence[Level], workers: Workers, planned: Workers) -> int:
    """Return how much more a unit takes, at most, where other numbers of objects are encoded or sent than planned."""
    blocks = [(level, prod(level.write_chunks)) for level in levels]
    more = (
        _encoded(level, own, workers.at_once, pyramid.itemsize)
        - _encoded(level, own, planned.at_once, pyramid.itemsize)
        for level, own in blocks
    )
    flying = flight_nbytes(pyramid, levels, workers) - flight_nbytes(pyramid, levels, planned)
    return int(HEAP * max(0, *more) * pyramid.itemsize) + max(0, FLIGHT_COPIES * flying)


def _live(read: Shape, block: Shape, span: Shape) -> int:
    """Return how many voxels of the source wait at most: those of a block, and those shared with the next row.

    Units go from row to row of blocks, the first axis slowest.
    """
    covers = [min(_cover(r, b), s) for r, b, s in zip(read, block, span, strict=True)]
    shared = [i for i, (r, b) in enumerate(zip(read, block, strict=True)) if r % b and b % r and covers[i] < span[i]]
    return prod(covers) + sum(prod(covers[:i]) * read[i] * prod(span[i + 1 :]) for i in shared)


def _decoded(read: Shape, span: Shape, longest: Shape, itemsize: int) -> int:
    """Return how many voxels of whole chunks are decoded at the same time: those of a piece, or of a batch."""
    touched = prod(_cover(c, min(r, s)) if c < r else c for c, r, s in zip(longest, read, span, strict=True))
    return min(touched, max(READ_NBYTES // itemsize, prod(longest)))


def _encoded(level: Level, block: int, at_once: int | None, itemsize: int) -> int:
    """Return how many voxels the stored objects of a block take while they are encoded.

    A chunk is copied into one buffer and compressed into another, with what its codec takes besides, once: a unit
    compresses one chunk after the other, and zarr those of all units in about as many threads. Shards are written one
    at a time: a shard waits for all its chunks, then they are joined; so it is if they are those of the source.
    """
    if level.layout.verbatim:
        return prod(level.layout.objects)
    chunk = prod(level.layout.chunks)
    chunks = block if at_once is None else min(block, at_once * chunk)
    tables = codec_memory(level.layout.options, chunk * itemsize)
    more = max(tables - CODEC_MEM, 0) // itemsize
    return more + (2 * chunks if level.layout.shards is None else chunks + 2 * min(block, prod(level.layout.shards)))


def _cover(read: int, block: int) -> int:
    """Return how much is kept of the pieces of length `read` that a block of length `block` touches.

    Pieces that do not nest with the block are cut, at worst just beyond one end, which adds a whole piece.
    """
    if read % block == 0 or block % read == 0:
        return max(read, block)
    return block + read
