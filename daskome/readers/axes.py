"""Axes of files in the words of OME-Zarr, and in its order."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from daskome.model.axes import TYPES
from daskome.model.source import Source
from daskome.sources.views import View


def ordered(source: Source, names: Sequence[str]) -> Source:
    """Return a source with its axes named and in the order of OME-Zarr; those without a name have length 1 and go."""
    order = tuple(names.index(name) for name in TYPES if name in names)
    array = source.array if order == tuple(range(len(names))) else View(source.array, order)
    if isinstance(source.array, np.ndarray):
        array = array[(slice(None),) * len(order)]
    return replace(
        source,
        array=array,
        chunks=tuple(source.chunks[axis] for axis in order),
        dims=tuple(names[axis] for axis in order),
    )
