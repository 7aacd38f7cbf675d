"""Array-likes around array-likes: windows, files opened where they are read, axes put in, values scaled."""

import mmap
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from daskome.model import regions
from daskome.model.chunks import Chunks, spans_within
from daskome.model.regions import Region, Shape
from daskome.model.source import NO_PIXELS, Source, Volume
from daskome.sources.blocks import as_declared, check_declared, to_numpy
from daskome.stores.objects import sync_codecs

Array = np.ndarray[Any, Any]
MAPPED_STEP_NBYTES = 2**20
"""About how much of a memory map is read before its pages are dropped; the kernel maps some more around it."""


def check_has_pixels(source: Source) -> None:
    """Raise a TypeError if an image is only described."""
    array = source.array
    if isinstance(array.array if isinstance(array, ExpandedArray) else array, Volume):
        raise TypeError(NO_PIXELS)


class ExpandedArray:
    """An array-like with axes of length 1 put in."""

    def __init__(self, array: Any, where: tuple[int, ...]) -> None:
        self.array = array
        self.where = where
        sizes = iter(array.shape)
        self.ndim = len(array.shape) + len(where)
        self.shape = tuple(1 if i in where else int(next(sizes)) for i in range(self.ndim))
        self.dtype = array.dtype

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part of the array."""
        inner = tuple(part for i, part in enumerate(index) if i not in self.where)
        return np.expand_dims(to_numpy(self.array[inner]), self.where)


def expand_axes(source: Source, where: tuple[int, ...]) -> Source:
    """Return an image with axes of length 1 put in where they are to stand."""
    if not where:
        return source
    array, sizes = source.array, iter(source.chunks)
    index = tuple(None if i in where else slice(None) for i in range(len(source.shape) + len(where)))
    chunks = tuple((1,) if part is None else next(sizes) for part in index)
    own = [i for i, part in enumerate(index) if part is not None]
    repeated = tuple(own[axis] for axis in source.repeated)
    # NumPy and Dask arrays index with None; others may know slices only.
    whole = array[index] if hasattr(array, "__array_function__") else ExpandedArray(array, where)
    origin = replace(source.origin, expanded=where)
    return replace(source, array=whole, chunks=chunks, dims=None, origin=origin, repeated=repeated)


@dataclass(frozen=True, slots=True)
class View:
    """Some axes of an array-like, in another order, itself an array-like; the axes left out have length 1.

    Examples
    --------
    >>> import numpy as np
    >>> View(np.zeros((1, 64, 48, 3)), (3, 1, 2)).shape
    (3, 64, 48)
    """

    array: Any
    order: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """The lengths of the axes in their order."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, index: tuple[slice, ...]) -> Array:
        """Return a part, by one slice per axis."""
        inner = [slice(0, 1)] * len(self.array.shape)
        for axis, part in zip(self.order, index, strict=True):
            inner[axis] = part
        dropped = [axis for axis in range(len(inner)) if axis not in self.order]
        values: Array = to_numpy(self.array[tuple(inner)]).transpose(*self.order, *dropped)
        return values.reshape(values.shape[: len(self.order)])


@dataclass(frozen=True, slots=True)
class Scaled:
    """Stored numbers as the values that they stand for, ``stored * slope + inter``, in the dtype that nibabel gives."""

    array: Any
    slope: float
    inter: float

    @property
    def shape(self) -> Shape:
        """That of the stored numbers."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values, which depends on that of the stored numbers and the size of slope and inter."""
        dtype: np.dtype[Any] = self._scaled(np.zeros((1,), self.array.dtype)).dtype
        return dtype

    def __getitem__(self, index: Any) -> Array:
        """Return the values of a part."""
        return self._scaled(np.asarray(self.array[index]))

    def _scaled(self, stored: Array) -> Array:
        from nibabel.volumeutils import apply_read_scaling

        return np.asarray(apply_read_scaling(stored, self.slope, self.inter))


class RegionView:
    """A region of an array-like, itself an array-like, so that the graph of a unit holds nothing else of the image.

    It reads its `batches`, the lengths of blocks per axis, one after the other into one result. What is fetched `ahead`
    is taken from there.
    """

    __slots__ = ("ahead", "array", "batches", "dtype", "ndim", "region", "shape")

    def __init__(self, array: Any, region: Region, batches: Chunks | None = None) -> None:
        self.array = array
        self.region = region
        self.shape = regions.shape_of(region)
        self.batches = batches or tuple((n,) for n in self.shape)
        self.ndim = len(region)
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.ahead: Any = None

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part of the region."""
        wanted = tuple((i.start, i.stop) for i in index)
        part: Array = self.read(wanted) if self.ahead is None else self.ahead.take(wanted)
        return part

    def read(self, wanted: Region) -> np.ndarray[Any, Any]:
        """Return a part of the region, read now."""
        parts = list(product(*(spans_within(sizes, *span) for sizes, span in zip(self.batches, wanted, strict=True))))
        if len(parts) == 1:
            return self._read(wanted)
        values = np.empty(regions.shape_of(wanted), self.dtype)
        for part in parts:
            values[tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(part, wanted, strict=True))] = self._read(part)
        return values

    def _read(self, part: Region) -> np.ndarray[Any, Any]:
        inner = tuple(slice(a + start, a + stop) for (a, _), (start, stop) in zip(self.region, part, strict=True))
        name = partial(_named, inner)
        return as_declared(sync_codecs.read(self.array, inner), self.dtype, regions.shape_of(part), name)


def _named(index: tuple[Any, ...]) -> str:
    """Return what a part of an array-like is, for errors."""
    parts = (f"{part.start}:{part.stop}" if isinstance(part, slice) else str(part) for part in index)
    return f"the block [{', '.join(parts)}] of the image"


@dataclass(frozen=True, slots=True)
class AsAsked:
    """An array-like of which each part is checked to have the shape of its index, and the dtype that it declares."""

    array: Any

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        return tuple(map(int, self.array.shape))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype that it declares."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the array."""
        block = self.array[index]
        if isinstance(index, tuple) and all(isinstance(part, slice | int | np.integer | None) for part in index):
            shape = np.broadcast_to(np.empty((), bool), self.shape)[index].shape
            check_declared(block, self.dtype.newbyteorder("="), shape, partial(_named, index))
        return block


class Converted:
    """An array-like that has a dtype of its own, or lies on a device, and gives blocks of NumPy."""

    def __init__(self, array: Any, dtype: np.dtype[Any], chunks: Shape | None = None) -> None:
        self.array, self.dtype = array, dtype
        self.shape: Shape = tuple(map(int, array.shape))
        self.chunks = getattr(array, "chunks", None) if chunks is None else chunks

    def __getitem__(self, index: Any) -> Array:
        """Return a part of the array."""
        return to_numpy(self.array[index])


class Reopenable:
    """An array-like in a file, which other processes open for themselves.

    Parameters
    ----------
    opener : callable
        Opens it.
    array : array-like, optional
        What it opens, where that is open already.
    place : str
        Its path, for errors.
    """

    def __init__(self, opener: Callable[[], Any], array: Any = None, place: str = "") -> None:
        self._opener = opener
        self._array = array
        self.place = place

    @property
    def array(self) -> Any:
        """The array-like, opened when first needed."""
        if self._array is None:
            self._array = self._opener()
        return self._array

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.array, name)

    def __getitem__(self, index: Any) -> Any:
        """Return a part of the array."""
        return self.array[index]

    def __reduce__(self) -> tuple[type, tuple[Callable[[], Any], None, str]]:
        return type(self), (self._opener, None, self.place)


class Mapped(Reopenable):
    """A memory map of a file. What is read is copied piece by piece, and its pages are dropped each time.

    Otherwise everything ever read of the file counts as memory of the process, for which Dask pauses workers.
    """

    def __getitem__(self, index: Any) -> np.ndarray[Any, Any]:
        """Return a part of the array, in memory."""
        part = np.asarray(self.array[index])
        if not part.ndim:
            return part.copy()
        values = np.empty(part.shape, part.dtype)
        for some in _pieces(part):
            values[some] = part[some]
            self._drop_pages()
        return values

    def _drop_pages(self) -> None:
        """Drop all pages: what was read of them is copied."""
        whole = mapped_whole(self.array)
        if sys.platform == "linux" and whole is not None:
            whole.base.madvise(mmap.MADV_DONTNEED)


def mapped_whole(array: Any) -> Any:
    """Return the whole memory map of a file of which an array is a part, or itself; None if it is in memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array.base, mmap.mmap):
            return array if isinstance(array, np.memmap) and array.filename is not None else None
        array = array.base
    return None


def _pieces(part: np.ndarray[Any, Any]) -> Iterator[tuple[slice, ...]]:
    """Yield parts of an array along its slowest axis, each of which spans about `MAPPED_STEP_NBYTES` of its file."""
    steps = [abs(stride) for stride in part.strides]
    axis = max(range(part.ndim), key=steps.__getitem__)
    others = ((s, n) for i, (s, n) in enumerate(zip(steps, part.shape, strict=True)) if i != axis)
    spanned = part.itemsize + sum(s * max(n - 1, 0) for s, n in others)
    for start, stop in regions.spans_of(0, part.shape[axis], max(MAPPED_STEP_NBYTES // spanned, 1)):
        yield (slice(None),) * axis + (slice(start, stop),)
