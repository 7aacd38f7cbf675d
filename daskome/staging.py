"""A temporary copy of an image between its chunks and those of its target, where these fit badly."""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from operator import attrgetter

from daskome import regions
from daskome.copies import copy_in
from daskome.memory import Capacity, Pieces
from daskome.passes import Pass, best_pass, cascade, copies_left
from daskome.pyramid import Pyramid
from daskome.regions import Shape

STAGED_ABOVE = 4
"""From more than so many times on that an image would be read, a temporary copy is offered."""
STAGED_NBYTES = 2 * 2**20
"""The least size of the chunks of such a copy, if its image and target allow."""
STAGED_DOUBLINGS = 4
"""How many lengths of such chunks are tried along an axis, each twice the one before."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A temporary copy of an image between its chunks and those of its target: written once, read once.

    Attributes
    ----------
    copy : Pyramid
        Of one level.
    passes : list of Pass
        All there are: from the image to the copy, from there to the first levels, then the others.
    """

    copy: Pyramid
    passes: list[Pass]

    @property
    def moves(self) -> float:
        """How many times the image is moved: read, written to the copy, and read from there."""
        write, read, *_ = self.passes
        return write.amplification + 1 + read.amplification

    @property
    def rank(self) -> tuple[float, float, int]:
        """What the best has least of: moves, small objects, objects."""
        chunk = prod(self.copy.levels[0].layout.chunks) * self.copy.itemsize
        return round(self.moves, 1), max(STAGED_NBYTES / chunk, 1), self.copy.levels[0].n_objects

    def copies(self, pyramid: Pyramid) -> list[Pyramid]:
        """Return this copy, and those of levels that its passes leave."""
        return [self.copy, *copies_left(pyramid, self.passes)]


def best_way(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> tuple[list[Pass], list[Pyramid]]:
    """Return the passes that write a pyramid from an image, and the temporary copies that they go by, in their order.

    One of the image is the first, if it would else be read over `STAGED_ABOVE` times, and a copy is allowed. What it
    would spare is noted where it isn't.
    """
    try:
        direct = cascade(pyramid, pieces, capacity)
    except ValueError as error:
        staged = _staged(pyramid, pieces, capacity)
        if staged is None:
            raise
        if not capacity.staging:
            raise ValueError(f"{error}; or staging=True (--staging), for a temporary copy of the image") from error
        return staged.passes, staged.copies(pyramid)
    often = direct[0].amplification
    staged = _staged(pyramid, pieces, capacity) if often > STAGED_ABOVE else None
    if staged is None or staged.moves >= often:
        return direct, copies_left(pyramid, direct)
    if not capacity.staging:
        offering = [replace(direct[0], offer=staged.passes[0].amplification), *direct[1:]]
        return offering, copies_left(pyramid, direct)
    return staged.passes, staged.copies(pyramid)


def _staged(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> Staged | None:
    """Return the best temporary copy; None if there is none within the memory."""
    found = []
    for chunks in _staged_chunks(pyramid, pieces):
        with suppress(ValueError):
            copy = copy_in(pyramid, 0, chunks)
            write = replace(best_pass(copy, 0, 1, pieces, capacity), group=1)
            own = Pieces(regions.regular(pyramid.levels[0].shape, chunks), staged=1)
            found.append(Staged(copy, [write, *cascade(pyramid, own, capacity, copies=1)]))
    return min(found, key=attrgetter("rank"), default=None)


def _staged_chunks(pyramid: Pyramid, pieces: Pieces) -> list[Shape]:
    """Return in which chunks a temporary copy may be stored.

    Per axis they are as long as those of the image or as blocks of the target, whichever are shorter, or a few times
    that: so a unit can write whole ones of what it reads once, and another read them once.
    """
    axes = zip(pieces.longest, pyramid.levels[0].write_chunks, pyramid.levels[0].shape, strict=True)
    lengths = [sorted({min(min(s, b) * 2**k, max(s, b), n) for k in range(STAGED_DOUBLINGS)}) for s, b, n in axes]
    sizes = {chunks: prod(chunks) * pyramid.itemsize for chunks in product(*lengths)}
    near = [chunks for chunks, nbytes in sizes.items() if STAGED_NBYTES <= nbytes <= 8 * STAGED_NBYTES]
    return near or [min(sizes, key=lambda chunks: abs(sizes[chunks] - STAGED_NBYTES))]
