"""Axes and voxel sizes of files in the words of OME-Zarr; what OME-Zarr has no word for is left out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np

from daskome.model.axes import ABBREVIATIONS, TYPES, UNITS
from daskome.model.source import Source
from daskome.sources.views import View

VoxelSizes = Mapping[str, tuple[float, str]]
"""Of voxels, by name of the axis, each with its unit as the file spells it; empty where it says none."""
DIMENSION_NAMES = {name: name for name in TYPES} | {"time": "t", "channel": "c", "channels": "c"}


def known_dims(names: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of axes if they are ones that OME-Zarr knows and each is there once; otherwise None.

    >>> known_dims(["Channel", "Y", "X"]), known_dims(["dim_0", "dim_1"])
    (('c', 'y', 'x'), None)
    """
    dims = tuple(DIMENSION_NAMES.get(str(name).lower(), "") for name in names)
    return dims if dims and all(dims) and len(set(dims)) == len(dims) else None


def known_unit(axis: str, unit: str | None) -> str:
    """Return a unit spelt out; empty where OME-Zarr does not know it.

    >>> known_unit("x", "um"), known_unit("x", "pixel")
    ('micrometer', '')
    """
    spelt = ABBREVIATIONS.get(unit or "", unit or "")
    return spelt if spelt in UNITS.get(TYPES.get(axis, ""), ()) else ""


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


def sized(source: Source, sizes: VoxelSizes) -> Source:
    """Return a source with the sizes of its voxels, without those in unknown units, such as pixels."""
    units = {axis: known_unit(axis, unit) for axis, (_, unit) in sizes.items()}
    scale = {
        axis: size
        for axis, (size, unit) in sizes.items()
        if axis in (source.dims or TYPES) and 0 < size < inf and (units[axis] or not unit)
    }
    return replace(source, scale=scale, units={axis: units[axis] for axis in scale if units[axis]})
