"""One level of an image as arrays: lazily, in blocks of whole stored objects, with a true position for every voxel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import numpy as np
import zarr

from daskome.model.axes import Axis, channel_axis, names_axis, per_axis
from daskome.model.regions import Shape
from daskome.model.text import parse_nbytes

if TYPE_CHECKING:
    import xarray

SIZE_TOLERANCE = 1e-6
"""By which a voxel may be larger than wanted: sizes are products of factors, and rounded."""


@dataclass(frozen=True, slots=True)
class OpenLevel:
    """A level of an image.

    Attributes
    ----------
    k : int
        Its index among the levels that the metadata list.
    path : str
    array : zarr.Array
    axes : tuple of Axis
    scale : tuple of float
        The size of a voxel along each axis.
    translation : tuple of float
        The position of the centre of the first voxel.
    channels : tuple of str
        The names of the channels; empty where they have none.
    name : str
        Of the image.
    """

    k: int
    path: str
    array: zarr.Array[Any]
    axes: tuple[Axis, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    channels: tuple[str, ...] = ()
    name: str = ""

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def shape(self) -> Shape:
        """The shape."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype, as it is stored."""
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        """The bytes of its pixels."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def chunks(self) -> Shape:
        """The blocks of the Dask array: whole stored objects, or chunks of shards that are too large for a block."""
        largest = parse_nbytes(dask.config.get("array.chunk-size"))
        stored = self.array.shards or self.array.chunks
        return tuple(stored if prod(stored) * self.dtype.itemsize <= largest else self.array.chunks)

    @property
    def dask(self) -> da.Array:
        """The pixels as a Dask array, which reads them when it is computed."""
        return da.from_zarr(self.array, chunks=self.chunks)

    @property
    def coords(self) -> dict[str, Any]:
        """The positions of voxel centres along each axis, and the names of channels, as xarray takes coordinates."""
        named = {axis.name: self._coordinate(i) for i, axis in enumerate(self.axes)}
        return {name: coordinate for name, coordinate in named.items() if coordinate is not None}

    @property
    def xarray(self) -> "xarray.DataArray":
        """The pixels as an xarray of the Dask array: coordinates in the axes' units, channels by name.

        Raises
        ------
        ImportError
            If xarray is missing.
        """
        try:
            from xarray import DataArray
        except ImportError as error:
            raise ImportError('this view needs xarray: pip install "daskome[xarray]"; .dask needs nothing') from error
        return DataArray(self.dask, self.coords, self.dims, self.name or None)

    def _coordinate(self, i: int) -> tuple[str, Any, dict[str, str]] | None:
        """Return name, values and attributes along an axis; None for channels without names."""
        axis, n = self.axes[i], self.shape[i]
        if i == channel_axis(self.axes):
            return (axis.name, np.array(self.channels), {}) if self.channels else None
        positions = self.translation[i] + self.scale[i] * np.arange(n)
        said = {"units": axis.unit, "orientation": axis.orientation}
        return axis.name, positions, {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which level of an image is wanted: by its index or path, or by the size of its voxels; the finest by default."""

    level: int | str | None = None
    scale: Any = None

    def __post_init__(self) -> None:
        if self.level is not None and self.scale is not None:
            raise ValueError(f"level {self.level!r} and scale {self.scale!r} both choose a level; leave one out")
        if isinstance(self.level, bool) or not isinstance(self.level, int | str | None):
            raise TypeError(f"level {self.level!r}: give its index, as in 0 or -1, or its path, as in 's1'")

    def of(self, levels: Sequence[OpenLevel]) -> OpenLevel:
        """Return the level that is wanted.

        Raises
        ------
        ValueError
            If there is no such level, or the size of voxels is none.
        """
        if self.scale is not None:
            return levels[coarsest_within([level.scale for level in levels], _wanted(self.scale, levels[0].axes))]
        found = [level for level in levels if self._names(level, len(levels))]
        if not found:
            there = ", ".join(f"{level.k} ({level.path})" for level in levels)
            raise ValueError(f"there is no level {self.level or 0!r}; there are {there}")
        return found[0]

    def _names(self, level: OpenLevel, n: int) -> bool:
        if isinstance(self.level, str):
            return level.path.strip("/") == self.level.strip("/")
        index = self.level or 0
        return level.k == (index if index >= 0 else n + index)


def coarsest_within(scales: Sequence[Sequence[float]], wanted: Mapping[int, float]) -> int:
    """Return which level has the largest voxels that are no larger than wanted along any axis; else the finest.

    Parameters
    ----------
    scales : sequence of sequence of float
        Of each level, from fine to coarse.
    wanted : dict of int to float
        The size of a voxel by the index of its axis.

    Examples
    --------
    >>> scales = [(2, 0.5, 0.5), (2, 1, 1), (4, 2, 2)]
    >>> [coarsest_within(scales, wanted) for wanted in ({0: 4}, {0: 3}, {2: 1.9}, {0: 0.1})]
    [2, 1, 1, 0]
    """
    fine = [k for k, scale in enumerate(scales) if all(scale[i] <= w * (1 + SIZE_TOLERANCE) for i, w in wanted.items())]
    return max(fine, default=0)


def _wanted(scale: Any, axes: Sequence[Axis]) -> dict[int, float]:
    """Return a wanted voxel size by axis, for those axes of which it says something."""
    sizes = per_axis(scale, axes, "scale", 1.0)
    wanted = {i: size for i, (axis, size) in enumerate(zip(axes, sizes, strict=True)) if names_axis(scale, axis)}
    if min(wanted.values(), default=1.0) <= 0:
        raise ValueError(f"scale {scale!r} is no size of a voxel: give positive numbers, as in {{'z': 2.0}}")
    return wanted
