"""Dask arrays of a class that does more than Dask when it computes: those of nd2 and aicsimageio open their file."""

from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import dask.array as da
import numpy as np

from daskome.model import regions
from daskome.model.chunks import Chunks
from daskome.model.regions import Region, Shape
from daskome.sources.blocks import Values, to_numpy
from daskome.sources.graphs.layers import materialize
from daskome.sources.graphs.subgraphs import restrict

ONE_AT_A_TIME = RLock()
"""What one computation opens it closes, even if another is reading."""


@dataclass(frozen=True, slots=True)
class ComputedArray:
    """An array of a class with a `compute` of its own, itself an array-like: what is read of it, that computes.

    Attributes
    ----------
    kind : type
        Its class.
    array : dask.array.Array
        The same, of Dask's class.
    state : dict
        What an array of its class knows besides.
    """

    kind: type[da.Array]
    array: da.Array
    state: dict[str, Any]

    @property
    def shape(self) -> Shape:
        """The lengths of its axes."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that it declares."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def chunks(self) -> Chunks:
        """The lengths of its blocks."""
        return tuple(tuple(map(int, sizes)) for sizes in self.array.chunks)

    def __getitem__(self, index: tuple[slice, ...]) -> Values:
        """Return a part of it, computed by an array of its class."""
        part = restrict(self.array[index])
        own = da.Array.__new__(self.kind, part.__dask_graph__(), part.name, part.chunks, meta=part._meta)
        for name, value in self.state.items():
            setattr(own, name, value)
        with ONE_AT_A_TIME:
            return to_numpy(own.compute(scheduler="synchronous"))

    def within(self, region: Region) -> "ComputedArray":
        """Return the same array, with no more of its graph than a region needs."""
        graph = restrict(self.array[regions.slices(region)]).__dask_graph__()
        array = da.Array(graph, self.array.name, self.array.chunks, meta=self.array._meta)
        return replace(self, array=array)


def computes_by_itself(image: Any) -> bool:
    """Whether an image is a Dask array of a class with a `compute` of its own."""
    return isinstance(image, da.Array) and type(image).compute is not da.Array.compute


def computed_array(image: da.Array) -> ComputedArray:
    """Return a Dask array that is read through its own `compute`."""
    plain = da.Array(image.dask, image.name, image.chunks, meta=image._meta)
    slots = [name for kind in type(image).__mro__ for name in _names(getattr(kind, "__slots__", ()))]
    names = {*vars(image), *slots}.difference(dir(da.Array))
    state = {name: getattr(image, name) for name in names if hasattr(image, name)}
    return ComputedArray(type(image), materialize(plain), state)


def _names(slots: Any) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)
