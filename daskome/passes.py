"""One way over a pyramid: the units that are fastest within the memory of a worker.

A pass reads an image, a stored level, or a temporary copy of one of them, once, and writes the levels above whose
blocks nest. Of the level after these it can leave a temporary copy: the next pass then need not read a stored one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, takewhile
from math import inf, lcm, prod, sqrt

from daskome import regions, table
from daskome.copies import left_copy
from daskome.memory import PROCESS_MEM, Capacity, Pieces, halo_of, steps_of, unit_memory
from daskome.pyramid import Level, Pyramid
from daskome.regions import Chunks, Shape

UNIT_NBYTES = 512 * 2**20
"""Units are grown while they read at most this much: some seconds of work, a few thousand units per TiB.
Larger are those that a block forces, and those that spare reading source chunks again (see `LARGEST_UNIT`)."""
LARGEST_UNIT = 4
"""How many times `UNIT_NBYTES` a unit may read before it counts as slow: a retry loses all of it."""
READING = 0.5
"""How much of a pass's time is spent on reading; the rest is spent on downsampling, compressing and writing."""
UNITS_PER_THREAD = 4
"""With fewer units than this per thread, units are made smaller, so that all threads finish together."""
SOME_DOUBLINGS = 4
"""How often a block is doubled, at most, towards source chunks that don't nest with it."""
DOUBLINGS = 8
"""How often a block is doubled, at most, towards source chunks that are not read whole for lack of memory."""
FEW_SHAPES = 256
"""Up to so many shapes of units, there are such between the doublings too."""
OFTEN = 2
"""From so many times on that the source would be read, units are shaped more finely to what memory allows."""
TAIL_NBYTES = 256 * 2**20
"""Coarse levels together this small are left to one unit: about a second of work, instead of another stage."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One way over a pyramid: what is read once, and the levels that are written from it.

    Attributes
    ----------
    group : int
        Which of the plan's groups it writes to.
    image : int or None
        Which image is read; None: the stored level below `first`.
    first, stop : int
        The levels that are written.
    unit : tuple of int
        What one unit covers, in voxels of level `first`.
    read_chunks : tuple of int
        The longest pieces in which it is read, in voxels of what is read.
    amplification : float
        How often the average voxel is read; 1.0 is once.
    memory : int
        Peak bytes of one unit.
    staged : int, optional
        The group of the temporary copy that is read, of an image or of level `first`.
    leaves : int, optional
        The group of the temporary copy of level `stop` that is written too.
    offer : float, optional
        How often the image would be read with such a copy, if there is none and it would pay.
    shared : int
        How many results of the image all units need; they are computed once, before these.
    repeated : tuple of int
        Axes along which units compute the same parts of the image.
    """

    group: int
    image: int | None
    first: int
    stop: int
    unit: Shape
    read_chunks: Shape
    amplification: float
    memory: int
    staged: int | None = None
    leaves: int | None = None
    offer: float | None = None
    shared: int = 0
    repeated: tuple[int, ...] = ()

    @property
    def reads_below(self) -> bool:
        """Whether what is read is the level below the first."""
        return self.image is None and self.staged is None

    @property
    def reading(self) -> str:
        """What is read, in a word: image, copy or level."""
        return "level" if self.reads_below else "image" if self.staged is None else "copy"


def cascade(pyramid: Pyramid, pieces: Pieces, capacity: Capacity, first: int = 0, copies: int = 0) -> list[Pass]:
    """Return passes that write the levels from `first` on, level 0 from its pieces, others from what is stored.

    That is the level below, or a temporary copy; so many `copies` there are already.
    """
    if first >= len(pyramid.levels):
        return []
    if first:
        pieces = _stored(pyramid.levels[first - 1])
    work = best_pass(pyramid, first, last_nested(pyramid, first), pieces, capacity)
    if work.leaves is None:
        return [work, *cascade(pyramid, pieces, capacity, work.stop, copies)]
    rest, number = replace(pyramid, levels=pyramid.levels[work.stop :]), copies + 1
    (copy,) = copies_left(pyramid, [work])
    further = cascade(rest, _stored(copy.levels[0], number), capacity, copies=number)
    above = (replace(w, first=w.first + work.stop, stop=w.stop + work.stop) for w in further)
    return [replace(work, leaves=number), *above]


def copies_left(pyramid: Pyramid, passes: Iterable[Pass]) -> list[Pyramid]:
    """Return the temporary copies of levels that passes leave, each a pyramid of one level."""
    found = (left_copy(pyramid, work.stop) for work in passes if work.leaves is not None)
    return [copy for copy in found if copy]


def _stored(level: Level, staged: int | None = None) -> Pieces:
    return Pieces(regions.regular(level.shape, level.layout.chunks), staged=staged, made=True)


def copying_pass(pyramid: Pyramid, k: int, pieces: Pieces, capacity: Capacity) -> Pass:
    """Return the pass that writes level k as the caller has it."""
    alone = replace(pyramid, levels=(pyramid.levels[k],))
    return replace(best_pass(alone, 0, 1, pieces, capacity), first=k, stop=k + 1)


def last_nested(pyramid: Pyramid, first: int) -> int:
    """Return up to which level blocks nest from `first` on, so that one pass can write them all."""
    stop = first + 1
    while stop < len(pyramid.levels) and _nests(pyramid, stop):
        stop += 1
    return stop


def _nests(pyramid: Pyramid, k: int) -> bool:
    """Whether a block of level k is made of whole blocks of level k - 1, as they are stored, and of nothing else."""
    fine, coarse, factors = pyramid.levels[k - 1], pyramid.levels[k], pyramid.factors(k)
    if any(map(pyramid.method.halo, factors)) or not fine.layout.lossless:
        return False
    spans = zip(coarse.write_chunks, factors, fine.write_chunks, coarse.shape, strict=True)
    return all(c >= n or c * f % b == 0 for c, f, b, n in spans)


@dataclass(frozen=True, slots=True)
class Step:
    """What the passes from a level have in common: what they read, in which pieces, and the copies they can leave."""

    pyramid: Pyramid
    first: int
    pieces: Pieces
    read: Shape
    copies: Mapping[int, Pyramid | None]
    at_once: int | None

    def passes(self, stop: int, unit: Shape) -> Iterator[Pass]:
        """Yield the passes in such units: the one that leaves a copy, if one can, and the one that doesn't.

        `cascade` puts the number of the copy's group into `leaves`.
        """
        if copy := self.copies.get(stop):
            yield replace(self._pass(stop, unit, copy.levels), leaves=0)
        yield self._pass(stop, unit)

    def _pass(self, stop: int, unit: Shape, copy: tuple[Level, ...] = ()) -> Pass:
        pyramid, first, pieces, read = self.pyramid, self.first, self.pieces, self.read
        halo, span = halo_of(pyramid, first), span_of(pyramid, first, unit)
        if halo:
            read = tuple(s + 2 * h for s, h in zip(span, halo, strict=True))
        levels = (*pyramid.levels[first:stop], *copy)
        return Pass(
            group=0,
            image=pieces.image,
            first=first,
            stop=stop,
            unit=unit,
            read_chunks=read,
            amplification=prod(map(regions.amplification, pieces.chunks, span, halo or (0,) * len(span))),
            memory=unit_memory(pyramid, first, levels, span, read, pieces, self.at_once),
            staged=pieces.staged,
            shared=pieces.shared,
            repeated=pieces.repeated,
        )


def best_pass(pyramid: Pyramid, first: int, last: int, pieces: Pieces, capacity: Capacity) -> Pass:
    """Return the pass from level `first` that is fastest, within the memory, and then writes most levels."""
    parallel = max(capacity.parallel // capacity.images, 1)
    share = _nbytes_read(pyramid, first) * capacity.images // (UNITS_PER_THREAD * capacity.parallel)
    limit = min(UNIT_NBYTES, max(share, TAIL_NBYTES if pieces.made else 1))
    budget, stops = capacity.thread_memory, range(first + 1, last + 1)
    copies = {stop: left_copy(pyramid, stop) for stop in stops if capacity.deletes}
    read = _read_chunks(pyramid, first, pieces.chunks)
    step = Step(pyramid, first, pieces, read, copies, capacity.at_once)
    shapes = [(stop, unit) for stop in stops for unit in _unit_shapes(pyramid, first, stop, pieces.chunks, limit)]
    candidates = [work for stop, unit in shapes for work in step.passes(stop, unit)]
    if min((work.amplification for work in candidates if work.memory <= budget), default=inf) >= OFTEN:
        finer = _unit_shapes(pyramid, first, first + 1, pieces.chunks, limit, DOUBLINGS)
        candidates += [work for unit in finer for work in step.passes(first + 1, unit)]
    fitting = [work for work in candidates if work.memory <= budget]
    if not fitting:
        raise ValueError(_refusal(pyramid, pieces, min(work.memory for work in candidates), capacity))
    best = min(fitting, key=lambda work: _cost(pyramid, work, limit, parallel))
    return _extended(step, best, range(best.stop + 1, last + 1), budget)


def _extended(step: Step, work: Pass, stops: Iterable[int], budget: float) -> Pass:
    """Return a pass that writes more levels, as far as their blocks nest in its units, and memory allows."""
    shape = step.pyramid.levels[work.first].shape
    for stop in stops:
        root = zip(_root(step.pyramid, work.first, stop), work.unit, shape, strict=True)
        further = next((more for more in step.passes(stop, work.unit) if more.memory <= budget), None)
        if further is None or not all(u % r == 0 or u >= n for r, u, n in root):
            break
        work = further
    return work


def _refusal(pyramid: Pyramid, pieces: Pieces, least: int, capacity: Capacity) -> str:
    """Return why no unit fits in memory, and what would do."""
    chunk = prod(pieces.longest) * pyramid.itemsize
    stored = max(prod(level.layout.objects) for level in pyramid.levels) * pyramid.itemsize
    ways = "smaller chunks or shards" if stored >= chunk else f"smaller chunks of the image (now {_mem(chunk)} each)"
    fewer = "use fewer threads, or " if capacity.threads > 1 else "or "
    return (
        f"one unit of {pyramid.name!r} needs {_mem(least)} of memory, but a thread has"
        f" {_mem(capacity.thread_memory)}; give memory={_enough(PROCESS_MEM + capacity.threads * least)!r} for"
        f" {table.count(capacity.threads, 'thread')}, {fewer}{ways}"
    )


def _mem(nbytes: float) -> str:
    return table.nbytes(nbytes)


def _enough(nbytes: int) -> str:
    """Return a number of bytes, rounded up, as the argument `memory` takes it."""
    return f"{regions.ceil_div(nbytes, 2**20)} MiB"


def _cost(pyramid: Pyramid, work: Pass, limit: int, parallel: int) -> tuple[float, int, int, bool, int]:
    """Return what the best pass has least of: time, then bytes over `limit` per unit, levels left, and memory.

    The next pass reads the last level of this one: all there is once more, if that is the image itself, unless there
    is a copy of the one after that.
    """
    read = prod(work.unit) * prod(steps_of(pyramid, work.first)) * pyramid.itemsize
    total = _nbytes_read(pyramid, work.first)
    again = 0 if work.stop == len(pyramid.levels) or work.leaves is not None else _nbytes_read(pyramid, work.stop)
    time = _time(work.amplification, read, total, limit, parallel) + READING * round(again / total)
    return round(time, 1), max(read, limit), -work.stop, work.leaves is None, work.memory


def _time(amplification: float, read: int, total: int, limit: int, parallel: int) -> float:
    """Estimate the time of a pass of units that read `read` bytes of `total`; 1 is the best there is.

    Only the `READING` part of it is repeated by amplification, but all of it is stretched by fewer units than
    threads, and (by the root) by units so large that a retry loses too much. A unit within `limit` is small enough.
    The weights are rough: they are to keep a pass from becoming one unit, or from reading all again and again.
    """
    again = 1 + (amplification - 1) * READING
    if read <= limit:
        return again
    return again * max(parallel * read / total, 1) * sqrt(max(read / (LARGEST_UNIT * UNIT_NBYTES), 1))


def span_of(pyramid: Pyramid, first: int, unit: Shape) -> Shape:
    """Return what a unit covers, in voxels of what its pass reads."""
    return tuple(u * f for u, f in zip(unit, steps_of(pyramid, first), strict=True))


def _nbytes_read(pyramid: Pyramid, first: int) -> int:
    """Return the bytes that a pass from level `first` reads."""
    return pyramid.levels[max(first - 1, 0)].voxels * pyramid.itemsize


def _unit_shapes(
    pyramid: Pyramid, first: int, stop: int, source_chunks: Chunks, limit: int, doublings: int = 0
) -> Iterable[Shape]:
    """Return what a unit can cover: the block of the top level, grown along any axes towards whole source chunks.

    What is too large is offered only in the first and the last length of each axis, so that there are few; unless
    lengths between them, so many `doublings`, are asked for.
    """
    shape, steps = pyramid.levels[first].shape, steps_of(pyramid, first)
    root = _root(pyramid, first, stop)
    lengths = [_lengths(*axis, doublings) for axis in zip(root, steps, source_chunks, shape, strict=True)]
    if doublings and prod(map(len, lengths)) <= FEW_SHAPES:
        lengths = [sorted({*options, *_between(options)}) for options in lengths]
    ends = set(product(*((options[0], options[-1]) for options in lengths)))
    nbytes = prod(steps) * pyramid.itemsize
    largest = LARGEST_UNIT * UNIT_NBYTES // nbytes
    units = [unit for unit in product(*lengths) if doublings or prod(unit) <= largest or unit in ends]
    grown = units if halo_of(pyramid, first) else [_grown(unit, shape, limit // nbytes) for unit in units]
    return dict.fromkeys([*grown, *(units if doublings else ())])  # growing may take memory


def _lengths(root: int, step: int, chunks: regions.Sizes, n: int, doublings: int) -> list[int]:
    """Return how long a unit can be along one axis: `root` times something, or the whole axis.

    The last one holds whole source chunks. Where they don't nest with the root, it may be (almost) the whole axis,
    so shorter ones come between: these read the chunks on their borders twice, fewer of them the longer they are.
    """
    longest = regions.longest(chunks)
    if len(chunks) == 1 and not doublings:
        return [root, n]
    if root * step % longest == 0 and len(chunks) > 1:
        return [root]
    fitted = min(lcm(root * step, longest) // step, n)
    lengths = (root * 2**k for k in range(max(doublings, SOME_DOUBLINGS) + 1))
    doubled = takewhile(lambda length: length < fitted, lengths)
    return list(dict.fromkeys([root, *doubled, n, fitted]))


def _between(lengths: Sequence[int]) -> Iterable[int]:
    """Return what is half way between lengths that are doubled: of 1, 2, 4, 8 also 3, 6.

    >>> list(_between([128, 256, 512]))
    [384]
    """
    return (3 * length // 2 for length in lengths[1:-1] if length * 2 in lengths)


def _root(pyramid: Pyramid, first: int, stop: int) -> Shape:
    """Return the block of the top level, in voxels of level `first`."""
    fine, top = pyramid.levels[first], pyramid.levels[stop - 1]
    scale = [round(b / a) for a, b in zip(fine.factors, top.factors, strict=True)]
    return tuple(
        n if c >= m else c * f for c, f, n, m in zip(top.write_chunks, scale, fine.shape, top.shape, strict=True)
    )


def _grown(unit: Shape, shape: Shape, voxels: int) -> Shape:
    """Double a unit along its axis of most units while it holds no more than `voxels`: fewer, longer tasks."""
    while True:
        axis = max(range(len(shape)), key=lambda i: regions.ceil_div(shape[i], unit[i]))
        double = tuple(min(2 * u, n) if i == axis else u for i, (u, n) in enumerate(zip(unit, shape, strict=True)))
        if double == unit or prod(double) > voxels:
            return unit
        unit = double


def _read_chunks(pyramid: Pyramid, first: int, source_chunks: Chunks) -> Shape:
    """Return the longest pieces to read: source chunks, gathered up to `Level.read_chunks`."""
    limits = pyramid.levels[max(first - 1, 0)].read_chunks
    return tuple(regions.longest_gathered(chunks, n) for chunks, n in zip(source_chunks, limits, strict=True))
