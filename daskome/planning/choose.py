"""Choose the best pass: which levels it writes, and what a unit covers.

::

    candidates    every top level × every unit shape that holds whole blocks of it, with and without a copy
        │         (those that need more memory than a thread has are dropped)
        ▼
    sort key      time, then bytes over the limit per unit, then levels left to later passes, then memory
        ▼
    best pass     extended upwards while blocks still nest in its units
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, takewhile
from math import inf, lcm, prod, sqrt
from typing import Any

from daskome.model import regions
from daskome.model.chunks import Chunks, Sizes, longest_chunk, longest_consolidated, read_amplification
from daskome.model.limits import Limits
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Shape
from daskome.model.text import format_nbytes, pluralize
from daskome.planning.memory import halo_of, held_memory, pieces_ahead, steps_of, unit_memory
from daskome.planning.temporary_copies import copy_path, next_level_copy
from daskome.planning.work import PROCESS_MEM, Pass, PlanOptions, SourceChunks, Workers

MOST_TOLD = 3
"""How many passes of an image that is computed are looked at, at most, once one of them fits in memory."""
READ_SHARE = 0.5
"""How much of a pass's time is spent on reading; the rest is spent on downsampling, compressing and writing."""


@dataclass(frozen=True, slots=True)
class PassCandidates:
    """What all passes from one level share: what they read, in which pieces, and the copies they can write."""

    pyramid: Pyramid
    first: int
    source: SourceChunks
    read: Shape
    copies: Mapping[int, Pyramid | None]
    copy_path: str
    limits: Limits
    workers: Workers

    def passes(self, stop: int, unit: Shape) -> Iterator[Pass]:
        """Yield the passes with units of this shape: one that writes a temporary copy, if possible, and one without."""
        if copy := self.copies.get(stop):
            yield replace(self._pass(stop, unit, copy.levels), writes_copy=self.copy_path)
        yield self._pass(stop, unit)

    def _pass(self, stop: int, unit: Shape, copy: tuple[Level, ...] = ()) -> Pass:
        pyramid, first, source, read = self.pyramid, self.first, self.source, self.read
        halo, span = halo_of(pyramid, first), span_of(pyramid, first, unit)
        if halo:
            read = tuple(s + 2 * h for s, h in zip(span, halo, strict=True))
        levels = (*pyramid.levels[first:stop], *copy)
        ahead = pieces_ahead(read, source, pyramid.itemsize, self.workers, self._n_units(unit))
        return Pass(
            group="",
            image=source.image,
            first=first,
            stop=stop,
            unit=unit,
            read_chunks=read,
            amplification=max(self._amplification(chunks, span, halo) for chunks in self._pieces),
            unit_memory=unit_memory(pyramid, first, levels, span, read, source, self.workers, ahead),
            reads_copy=source.reads_copy,
            shared=source.shared,
            repeated=source.repeated,
            ahead=ahead,
            offers_verbatim=source.offers_verbatim,
            computed=source.held is not None,
        )

    def told(self, pass_: Pass) -> Pass:
        """Return a pass with the memory that the graph of one of its units holds, if the image is computed."""
        source, copy = self.source, self.copies.get(pass_.stop) if pass_.writes_copy is not None else None
        if source.held is None:
            return pass_
        levels = (*self.pyramid.levels[self.first : pass_.stop], *(copy.levels if copy else ()))
        nbytes = held_memory(self.pyramid, pass_, levels, source.held, source, self.workers)
        return replace(pass_, unit_memory=nbytes, abreast=_abreast(nbytes, self.workers))

    @property
    def _pieces(self) -> list[Chunks]:
        """The pieces of what is read, and of what that is made of."""
        return [self.source.chunks, *([] if self.source.made_in is None else [self.source.made_in])]

    def _amplification(self, chunks: Chunks, span: Shape, halo: Shape) -> float:
        return prod(map(read_amplification, chunks, span, halo or (0,) * len(span)))

    def _n_units(self, unit: Shape) -> int:
        return prod(regions.n_blocks(self.pyramid.levels[self.first].shape, unit))


def best_pass(
    pyramid: Pyramid, first: int, last: int, source: SourceChunks, options: PlanOptions, n_copies: int = 0
) -> Pass:
    """Return the pass from level `first` that is fastest within the memory; of equal ones, the one with most levels.

    A temporary copy that it writes is numbered `n_copies`: there are that many already. In a store that is far away,
    its objects cost more requests than they save, unless what is read otherwise are parts of shards.
    """
    workers, limits, stops = options.workers, options.limits, range(first + 1, last + 1)
    parallel, budget = max(workers.parallel // options.images, 1), workers.thread_memory
    share = _nbytes_read(pyramid, first) * options.images // (limits.units_per_thread * workers.parallel)
    limit = min(limits.unit_nbytes, max(share, limits.tail_nbytes if source.of_level else 1))
    copying = options.deletes and (not workers.in_flight or pyramid.is_sharded)
    copies = {stop: next_level_copy(pyramid, stop, limits) for stop in stops if copying}
    read = _read_chunks(pyramid, first, source.chunks)
    step = PassCandidates(pyramid, first, source, read, copies, copy_path(n_copies), limits, workers)
    shapes = [(stop, unit) for stop in stops for unit in _unit_shapes(step, stop, limit)]
    candidates = [pass_ for stop, unit in shapes for pass_ in step.passes(stop, unit)]
    amplifications = (pass_.amplification for pass_ in candidates if pass_.unit_memory <= budget)
    if min(amplifications, default=inf) >= limits.fine_shapes_above:
        finer = _unit_shapes(step, first + 1, limit, fine=True)
        candidates += [pass_ for unit in finer for pass_ in step.passes(first + 1, unit)]
    fitting = [pass_ for pass_ in candidates if pass_.unit_memory <= budget]

    def cost(pass_: Pass) -> tuple[Any, ...]:
        return _cost(step, pass_, limit, parallel)

    if source.held is not None:
        ranked = sorted(candidates, key=lambda pass_: (pass_.unit_memory > budget, cost(pass_)))
        fitting, candidates = _told(step, ranked)
    if not fitting:
        raise ValueError(_refusal(pyramid, source, min(pass_.unit_memory for pass_ in candidates), workers))
    best = min(fitting, key=cost)
    return _extended(step, best, range(best.stop + 1, last + 1), budget)


def _told(step: PassCandidates, ranked: Sequence[Pass]) -> tuple[list[Pass], list[Pass]]:
    """Return those passes whose units fit in memory, and all that were looked at: few, since each graph takes its time.

    The first that fits with a unit for each thread is the best. Where none does, those that fit with fewer at a time
    count. What holds all of a unit that is too large is too large.
    """
    fitting: list[Pass] = []
    seen: list[Pass] = []
    for pass_ in ranked:
        if any(_covers(pass_, large) for large in seen if large.unit_memory > _process_memory(step.workers)):
            continue
        told = step.told(pass_)
        seen.append(told)
        if told.unit_memory <= _process_memory(step.workers):
            fitting.append(told)
        if fitting and (not told.abreast or len(seen) >= MOST_TOLD):
            break
    return fitting, seen


def _covers(pass_: Pass, other: Pass) -> bool:
    """Whether units of a pass hold all that those of another hold."""
    return pass_.stop >= other.stop and all(a >= b for a, b in zip(pass_.unit, other.unit, strict=True))


def _process_memory(workers: Workers) -> float:
    """Return the bytes that all units of a process may use together."""
    return workers.threads * workers.thread_memory


def _abreast(unit_memory: int, workers: Workers) -> int:
    """Return how many units run at a time in a process that has not the memory for one of each thread; 0 if it has."""
    if unit_memory <= workers.thread_memory:
        return 0
    return max(int(_process_memory(workers) // unit_memory), 1)


def _extended(step: PassCandidates, pass_: Pass, stops: Iterable[int], budget: float) -> Pass:
    """Return a pass extended by further levels, as far as their stored objects nest in its units and memory allows.

    Blocks of several objects are cut at the borders of units; but a chunk of a temporary copy is made of a whole block.
    """
    for stop in stops:
        top = step.pyramid.levels[stop - 1]
        copying = _holds_whole(step, pass_.unit, stop, top.write_chunks)
        passes = (more for more in step.passes(stop, pass_.unit) if copying or more.writes_copy is None)
        further = next((more for more in map(step.told, passes) if more.unit_memory <= budget), None)
        if further is None or not _holds_whole(step, pass_.unit, stop, top.layout.objects):
            break
        pass_ = further
    return pass_


def _holds_whole(step: PassCandidates, unit: Shape, stop: int, block: Shape) -> bool:
    """Return whether units hold whole blocks of the top level of a pass."""
    roots = _root(step.pyramid, step.first, stop, block)
    return all(u % r == 0 or u >= n for r, u, n in zip(roots, unit, step.pyramid.levels[step.first].shape, strict=True))


def _refusal(pyramid: Pyramid, source: SourceChunks, least: int, workers: Workers) -> str:
    """Return why no unit fits in memory, and what to do."""
    chunk = prod(source.longest) * pyramid.itemsize
    stored = max(prod(level.layout.objects) for level in pyramid.levels) * pyramid.itemsize
    ways = "smaller chunks or shards" if stored >= chunk else f"smaller chunks of the image (now {_mem(chunk)} each)"
    fewer = "use fewer threads, or " if workers.threads > 1 else "or "
    return (
        f"one unit of {pyramid.name!r} needs {_mem(least)} of memory, but a thread has"
        f" {_mem(workers.thread_memory)}; give memory={_enough(PROCESS_MEM + workers.threads * least)!r} for"
        f" {pluralize(workers.threads, 'thread')}, {fewer}{ways}"
    )


def _mem(nbytes: float) -> str:
    return format_nbytes(nbytes)


def _enough(nbytes: int) -> str:
    """Return a number of bytes, rounded up, as the argument `memory` takes it."""
    return f"{regions.ceil_div(nbytes, 2**20)} MiB"


def _cost(step: PassCandidates, pass_: Pass, limit: int, parallel: int) -> tuple[float, int, int, bool, int]:
    """Return what the best pass has least of: time, then bytes over `limit` per unit, levels left, and memory.

    The next pass reads the last level of this one again, unless this one writes a temporary copy of the next level.
    """
    pyramid, largest = step.pyramid, step.limits.largest_unit_nbytes
    read = prod(pass_.unit) * prod(steps_of(pyramid, pass_.first)) * pyramid.itemsize
    total = _nbytes_read(pyramid, pass_.first)
    is_last = pass_.stop == len(pyramid.levels)
    again = 0 if is_last or pass_.writes_copy is not None else _nbytes_read(pyramid, pass_.stop)
    time = _time(pass_.amplification, read, total, parallel, limit, largest) + READ_SHARE * round(again / total)
    time *= step.workers.threads / pass_.at_a_time(step.workers.threads)
    return round(time, 1), max(read, limit), -pass_.stop, pass_.writes_copy is None, pass_.unit_memory


def _time(amplification: float, read: int, total: int, parallel: int, limit: int, largest: int) -> float:
    """Estimate the time of a pass of units that read `read` bytes of `total`; 1 is the best there is.

    Amplification repeats only the `READ_SHARE` of it. Fewer units than threads stretch all of it, and so do units
    larger than `largest` (by the square root), since a retry loses too much. A unit within `limit` is small enough.
    The weights are rough: they keep a pass from becoming one unit, or from reading everything again and again.
    """
    again = 1 + (amplification - 1) * READ_SHARE
    if read <= limit:
        return again
    return again * max(parallel * read / total, 1) * sqrt(max(read / largest, 1))


def span_of(pyramid: Pyramid, first: int, unit: Shape) -> Shape:
    """Return the shape that a unit covers, in voxels of what its pass reads."""
    return tuple(u * f for u, f in zip(unit, steps_of(pyramid, first), strict=True))


def _nbytes_read(pyramid: Pyramid, first: int) -> int:
    """Return the bytes that a pass from level `first` reads."""
    return pyramid.levels[max(first - 1, 0)].voxels * pyramid.itemsize


def _unit_shapes(step: PassCandidates, stop: int, limit: int, fine: bool = False) -> Iterable[Shape]:
    """Return the shapes that a unit can have: the block of the top level, grown along any axes towards source chunks.

    Of shapes that are too large, only those with the first or the last length of each axis are tried, to keep them few.
    With `fine`, all are tried, with steps between them.
    """
    pyramid, first, limits = step.pyramid, step.first, step.limits
    shape, steps = pyramid.levels[first].shape, steps_of(pyramid, first)
    root = _root(pyramid, first, stop, pyramid.levels[stop - 1].write_chunks)
    doublings = limits.fine_doublings if fine else limits.doublings
    axes = zip(root, steps, step.source.made_in or step.source.chunks, shape, strict=True)
    lengths = [
        [root, n] if len(chunks) == 1 and not fine else _lengths(root, step, chunks, n, doublings)
        for root, step, chunks, n in axes
    ]
    if fine and prod(map(len, lengths)) <= limits.fine_shapes:
        lengths = [sorted({*options, *_between(options)}) for options in lengths]
    ends = set(product(*((options[0], options[-1]) for options in lengths)))
    nbytes = prod(steps) * pyramid.itemsize
    largest = limits.largest_unit_nbytes // nbytes
    units = [unit for unit in product(*lengths) if fine or prod(unit) <= largest or unit in ends]
    grown = units if halo_of(pyramid, first) else [_grown(unit, shape, limit // nbytes) for unit in units]
    return dict.fromkeys([*grown, *(units if fine else ())])  # growing may take memory


def _lengths(root: int, step: int, chunks: Sizes, n: int, doublings: int) -> list[int]:
    """Return the lengths that a unit can have along one axis: multiples of `root`, or the whole axis.

    The last one holds whole source chunks. Where these do not nest with the root, it may be almost the whole axis, so
    shorter ones are tried too. They read the chunks at their borders twice: the longer they are, the fewer of those.
    """
    longest = longest_chunk(chunks)
    if root * step % longest == 0 and len(chunks) > 1:
        return [root]
    fitted = min(lcm(root * step, longest) // step, n)
    lengths = (root * 2**k for k in range(doublings + 1))
    doubled = takewhile(lambda length: length < fitted, lengths)
    return list(dict.fromkeys([root, *doubled, n, fitted]))


def _between(lengths: Sequence[int]) -> Iterable[int]:
    """Return the lengths half-way between doubled ones: between 2, 4 and 8, these are 3 and 6.

    >>> list(_between([128, 256, 512]))
    [384]
    """
    return (3 * length // 2 for length in lengths[1:-1] if length * 2 in lengths)


def _root(pyramid: Pyramid, first: int, stop: int, block: Shape) -> Shape:
    """Return a block of the top level, in voxels of level `first`."""
    fine, top = pyramid.levels[first], pyramid.levels[stop - 1]
    scale = [round(b / a) for a, b in zip(fine.factors, top.factors, strict=True)]
    return tuple(n if c >= m else c * f for c, f, n, m in zip(block, scale, fine.shape, top.shape, strict=True))


def _grown(unit: Shape, shape: Shape, voxels: int) -> Shape:
    """Return a unit doubled along the axis with most units, while it holds no more than `voxels`: fewer but longer."""
    while True:
        axis = max(range(len(shape)), key=lambda i: regions.ceil_div(shape[i], unit[i]))
        double = tuple(min(2 * u, n) if i == axis else u for i, (u, n) in enumerate(zip(unit, shape, strict=True)))
        if double == unit or prod(double) > voxels:
            return unit
        unit = double


def _read_chunks(pyramid: Pyramid, first: int, source_chunks: Chunks) -> Shape:
    """Return the longest pieces to read: source chunks, joined up to `Level.read_chunks`."""
    limits = pyramid.levels[max(first - 1, 0)].read_chunks
    return tuple(longest_consolidated(chunks, n) for chunks, n in zip(source_chunks, limits, strict=True))
