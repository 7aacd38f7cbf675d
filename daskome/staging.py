"""A temporary copy of an image between its chunks and those of its target, where these fit badly."""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from operator import attrgetter

from daskome import regions
from daskome.layout import ZARR_V3
from daskome.memory import Capacity, Pieces
from daskome.passes import Pass, best_pass, cascade
from daskome.pyramid import Image, Pyramid, image_pyramid
from daskome.regions import Shape

STAGING = ".daskome/staging"
"""Where temporary copies of images lie: in the folder of the journal, beside it."""
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


def best_way(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> tuple[list[Pass], Pyramid | None]:
    """Return the passes that write a pyramid from an image, and the temporary copy that they go by, if there is one.

    There is if the image would else be read over `STAGED_ABOVE` times, and a copy is allowed. What it would spare is
    noted where it isn't.
    """
    try:
        direct = cascade(pyramid, pieces, capacity)
    except ValueError as error:
        staged = _staged(pyramid, pieces, capacity)
        if staged is None:
            raise
        if not capacity.staging:
            raise ValueError(f"{error}; or staging=True (--staging), for a temporary copy of the image") from error
        return staged.passes, staged.copy
    often = direct[0].amplification
    staged = _staged(pyramid, pieces, capacity) if often > STAGED_ABOVE else None
    if staged is None or staged.moves >= often:
        return direct, None
    if not capacity.staging:
        return [replace(direct[0], offer=staged.passes[0].amplification), *direct[1:]], None
    return staged.passes, staged.copy


def _staged(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> Staged | None:
    """Return the best temporary copy; None if there is none within the memory."""
    found = []
    for chunks in _staged_chunks(pyramid, pieces):
        with suppress(ValueError):
            copy = _copy_in(pyramid, chunks)
            write = replace(best_pass(copy, 0, 1, pieces, capacity), group=1)
            own = Pieces(regions.regular(pyramid.levels[0].shape, chunks), staged=1)
            found.append(Staged(copy, [write, *cascade(pyramid, own, capacity)]))
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


def _copy_in(pyramid: Pyramid, chunks: Shape) -> Pyramid:
    """Return the pyramid of one level, stored in such chunks, that keeps an image for a while."""
    own = pyramid.levels[0]
    image = Image(own.shape, pyramid.dtype, pyramid.axes, own.scale, own.translation, pyramid.name)
    codec = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle"}}
    options = {"chunks": chunks, "compressors": codec, "write_empty_chunks": True}  # -0.0 would be an empty one
    copy = image_pyramid(image, pyramid.method, None, options, ZARR_V3)
    level = replace(copy.levels[0], write_chunks=chunks, read_chunks=chunks)
    return replace(copy, levels=(level,))
