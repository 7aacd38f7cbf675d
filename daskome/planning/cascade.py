"""Turn a pyramid into passes: how many levels each writes, and whether it uses a temporary copy.

::

    image ──▶ pass 0 ──▶ s0 s1 s2                      levels whose blocks nest are written from what is in memory
                           └──▶ pass 1 ──▶ s3 s4       the next pass reads back the level below it,
                           └─copy of s3──▶             or a temporary copy that the previous pass wrote

    image ──▶ temporary copy ──▶ s0 s1 …               where chunks of the image do not fit those of level 0
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from daskome.model.chunks import regular_chunks
from daskome.model.limits import Limits
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Shape
from daskome.planning.choose import best_pass
from daskome.planning.temporary_copies import copy_path, next_level_copy, temporary_level
from daskome.planning.work import Pass, PlanOptions, SourceChunks


def plan_passes(
    pyramid: Pyramid, source: SourceChunks, options: PlanOptions, first: int = 0, n_copies: int = 0
) -> list[Pass]:
    """Return the passes that write the levels from `first` on.

    Level 0 is made from `source`, the others from the stored level below or from a temporary copy. There are
    `n_copies` of these already.
    """
    if first >= len(pyramid.levels):
        return []
    if first:
        source = _stored(pyramid.levels[first - 1])
    pass_ = best_pass(pyramid, first, last_nested(pyramid, first), source, options, n_copies)
    if pass_.writes_copy is None:
        return [pass_, *plan_passes(pyramid, source, options, pass_.stop, n_copies)]
    coarser = replace(pyramid, levels=pyramid.levels[pass_.stop :])
    (copy,) = copies_written(pyramid, [pass_], options.limits)
    further = plan_passes(coarser, _stored(copy.levels[0], pass_.writes_copy), options, n_copies=n_copies + 1)
    return [pass_, *(replace(w, first=w.first + pass_.stop, stop=w.stop + pass_.stop) for w in further)]


def copies_written(pyramid: Pyramid, passes: Iterable[Pass], limits: Limits) -> list[Pyramid]:
    """Return the temporary copies of levels that passes write, each a pyramid of one level."""
    copies = (next_level_copy(pyramid, pass_.stop, limits) for pass_ in passes if pass_.writes_copy is not None)
    return [copy for copy in copies if copy]


def _stored(level: Level, reads_copy: str | None = None) -> SourceChunks:
    return SourceChunks(regular_chunks(level.shape, level.layout.chunks), reads_copy=reads_copy, of_level=True)


def copying_pass(pyramid: Pyramid, k: int, source: SourceChunks, options: PlanOptions) -> Pass:
    """Return the pass that writes level k as the caller has made it."""
    alone = replace(pyramid, levels=(pyramid.levels[k],))
    return replace(best_pass(alone, 0, 1, source, options), first=k, stop=k + 1)


def last_nested(pyramid: Pyramid, first: int) -> int:
    """Return the end of the levels from `first` on whose blocks nest, so that one pass can write them all."""
    stop = first + 1
    while stop < len(pyramid.levels) and _nests(pyramid, stop):
        stop += 1
    return stop


def _nests(pyramid: Pyramid, k: int) -> bool:
    """Return whether a block of level k is made of whole blocks of level k - 1, as stored, and of nothing else."""
    fine, coarse, factors = pyramid.levels[k - 1], pyramid.levels[k], pyramid.factors(k)
    if any(map(pyramid.method.halo, factors)) or not fine.layout.lossless or not pyramid.is_whole(k):
        return False
    spans = zip(coarse.write_chunks, factors, fine.write_chunks, coarse.shape, strict=True)
    return all(c >= n or c * f % b == 0 for c, f, b, n in spans)


@dataclass(frozen=True, slots=True)
class StagedRoute:
    """A temporary copy of an image between its chunks and those of its target: written once, read once.

    Attributes
    ----------
    copy : Pyramid
        A pyramid of one level.
    passes : list of Pass
        All passes: from the image to the copy, from there to the first levels, then the others.
    """

    copy: Pyramid
    passes: list[Pass]

    @property
    def moves(self) -> float:
        """How many times the image is moved: read, written to the copy, and read from it."""
        write, read, *_ = self.passes
        return write.amplification + 1 + read.amplification

    def rank(self, limits: Limits) -> tuple[float, float, int]:
        """Return what the best route has least of: moves, small objects, objects."""
        chunk = prod(self.copy.levels[0].layout.chunks) * self.copy.itemsize
        return round(self.moves, 1), max(limits.staged_nbytes / chunk, 1), self.copy.levels[0].n_objects

    def copies(self, pyramid: Pyramid, limits: Limits) -> list[Pyramid]:
        """Return this copy, and those of levels that its passes write."""
        return [self.copy, *copies_written(pyramid, self.passes, limits)]


def choose_route(pyramid: Pyramid, source: SourceChunks, options: PlanOptions) -> tuple[list[Pass], list[Pyramid]]:
    """Return the passes that write a pyramid from an image, and the temporary copies that they use, in order.

    If the image would be read more than `Limits.staged_above` times otherwise, the first copy is one of the image,
    provided that is allowed; where it is not, the pass notes what a copy would save.
    """
    try:
        direct = plan_passes(pyramid, source, options)
    except ValueError as error:
        staged = _staged(pyramid, source, options)
        if staged is None:
            raise
        if not options.staging:
            raise ValueError(f"{error}; or staging=True (--staging), for a temporary copy of the image") from error
        return staged.passes, staged.copies(pyramid, options.limits)
    amplification = direct[0].amplification
    staged = _staged(pyramid, source, options) if amplification > options.limits.staged_above else None
    if staged is None or staged.moves >= amplification:
        return direct, copies_written(pyramid, direct, options.limits)
    if not options.staging:
        offering = [replace(direct[0], staged_amplification=staged.passes[0].amplification), *direct[1:]]
        return offering, copies_written(pyramid, direct, options.limits)
    return staged.passes, staged.copies(pyramid, options.limits)


def _staged(pyramid: Pyramid, source: SourceChunks, options: PlanOptions) -> StagedRoute | None:
    """Return the route by the best temporary copy; None if none fits in memory, or chunks are taken over."""
    if pyramid.levels[0].layout.verbatim:
        return None
    routes, arithmetic = [], replace(source, held=None)
    for chunks in _staged_chunks(pyramid, source, options.limits):
        with suppress(ValueError):
            copy = temporary_level(pyramid, 0, chunks)
            write = replace(best_pass(copy, 0, 1, arithmetic, options), group=copy_path(0))
            copied = SourceChunks(regular_chunks(pyramid.levels[0].shape, chunks), reads_copy=copy_path(0))
            routes.append(StagedRoute(copy, [write, *plan_passes(pyramid, copied, options, n_copies=1)]))
    best = min(routes, key=lambda route: route.rank(options.limits), default=None)
    if best is None or source.held is None:
        return best
    with suppress(ValueError):
        write = replace(best_pass(best.copy, 0, 1, source, options), group=copy_path(0))
        return replace(best, passes=[write, *best.passes[1:]])
    return None


def _staged_chunks(pyramid: Pyramid, source: SourceChunks, limits: Limits) -> list[Shape]:
    """Return the shapes of chunks that a temporary copy may have.

    Per axis they are as long as the chunks of the image or the blocks of the target, whichever are shorter, or a few
    times that. Then one unit can write whole chunks of what it reads once, and another can read them once.
    """
    axes = zip(source.longest, pyramid.levels[0].write_chunks, pyramid.levels[0].shape, strict=True)
    lengths = [
        sorted({min(min(s, b) * 2**k, max(s, b), n) for k in range(limits.staged_doublings)}) for s, b, n in axes
    ]
    sizes = {chunks: prod(chunks) * pyramid.itemsize for chunks in product(*lengths)}
    near = [chunks for chunks, nbytes in sizes.items() if limits.staged_nbytes <= nbytes <= 8 * limits.staged_nbytes]
    return near or [min(sizes, key=lambda chunks: abs(sizes[chunks] - limits.staged_nbytes))]
