"""Chunks of the source taken over as they are (`verbatim=True`): where the caller wants it, and where it is offered.

zarr is imported where it is needed: planning a `Volume` for other workers does not need it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from daskome.model.axes import Axis
from daskome.model.source import Source, Volume
from daskome.model.storage.layout import options_per_level, parser
from daskome.model.storage.level_options import LevelOptions
from daskome.ome.versions import Version


def taken_source(source: Source) -> Source:
    """Return an image whose chunks are to be taken over, as the zarr array that it is.

    Raises
    ------
    ValueError
        If it is none.
    """
    from daskome.sources.stored_whole import as_stored_whole

    return as_stored_whole(source)


def with_taken(storage: LevelOptions, sources: Sequence[Source]) -> LevelOptions:
    """Return storage options with which the first levels have the chunks of images."""
    from daskome.sources.stored_whole import encoding_in

    return replace(storage, taken=[encoding_in(source).layout for source in sources])


def could_take(storage: LevelOptions, source: Source, axes: Sequence[Axis], version: Version) -> bool:
    """Whether level 0 of an image could have its chunks with these storage options."""
    if isinstance(source.array, np.ndarray | Volume):
        return False
    try:
        storage = with_taken(storage, [source])
        (options,) = options_per_level(replace(storage, levels=storage.levels[:1], shared=True), 1)
        parser(storage, 0)(options, source.shape, axes, np.dtype(source.dtype).itemsize, version.arrays)
    except (ValueError, KeyError):
        return False
    return True
