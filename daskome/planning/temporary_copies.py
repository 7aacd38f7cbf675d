"""Temporary copies of images and levels, in chunks that suit what reads them.

They lie beside the journal, and are deleted with it.
"""

from dataclasses import replace
from math import prod

from daskome.model.image import Image
from daskome.model.limits import Limits
from daskome.model.pyramid import Pyramid, image_pyramid
from daskome.model.regions import Shape, ceil_div
from daskome.model.storage.layout import ZARR_V3

STAGING = ".daskome/staging"
"""The folder of temporary copies: inside that of the journal."""


def copy_path(number: int) -> str:
    """Return the path of the group of a temporary copy, relative to the group that keeps the journal."""
    return f"{STAGING}/{number}"


def temporary_level(pyramid: Pyramid, k: int, chunks: Shape) -> Pyramid:
    """Return the pyramid of one level, stored in `chunks`, that holds a temporary copy of level k of another."""
    original = pyramid.levels[k]
    image = Image(original.shape, pyramid.dtype, pyramid.axes, original.scale, original.translation, pyramid.name)
    codec = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle"}}
    options = {
        "chunks": chunks,
        "compressors": codec,
        "write_empty_chunks": True,
    }  # a chunk of -0.0 would count as empty
    copy = image_pyramid(image, pyramid.method, None, options, ZARR_V3)
    level = replace(copy.levels[0], write_chunks=chunks, read_chunks=chunks)
    return replace(copy, levels=(level,))


def next_level_copy(pyramid: Pyramid, stop: int, limits: Limits) -> Pyramid | None:
    """Return the copy of level `stop` that a pass up to that level can write for the next pass.

    Returns None if it cannot, or if it does not pay. A chunk of the copy is what one block of the last level becomes,
    so the unit that writes the block writes the chunk.
    """
    if stop >= len(pyramid.levels) or not pyramid.is_whole(stop):
        return None
    below, level, factors = pyramid.levels[stop - 1], pyramid.levels[stop], pyramid.factors(stop)
    blocks = list(zip(below.write_chunks, factors, below.shape, strict=True))
    alone = below.layout.lossless and not any(map(pyramid.method.halo, factors))
    if not alone or any(c % f and c < n for c, f, n in blocks):
        return None
    if prod(below.shape) * pyramid.itemsize < limits.copied_nbytes:
        return None
    return temporary_level(
        pyramid, stop, tuple(min(ceil_div(c, f), n) for (c, f, _), n in zip(blocks, level.shape, strict=True))
    )
