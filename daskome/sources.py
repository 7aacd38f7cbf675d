"""Images as callers have them, and pieces of them as Dask arrays.

Anything with ``shape``, ``dtype`` and slicing is an image. What it says of itself (chunks, dimensions,
coordinates) is kept in a `Source`.
"""

import mmap
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product
from typing import Any

import dask.array as da
import numpy as np
import zarr

from daskome import cones, direct, regions
from daskome.axes import TYPES
from daskome.images import READ_NBYTES, Origin, Source, expanded
from daskome.regions import Chunks, Region, Shape

Compute = Callable[[Any, Sequence[Any]], Mapping[Any, Any]]
"""Gets results of a graph, now (`cones.computed`) or later (`cones.lazily`)."""
SOME_TASKS, SOME_VALUES = 256, 256
"""At most so many tasks of a layer, evenly spread, and values in a task are looked at: a graph may have millions."""
MAX_DEPTH = 8
"""So many adapters may be around an array."""
MAPPED_NBYTES = 2**20
"""Of a memory map, about so much is read before it is let go; the kernel maps some more around it."""
BAND_NBYTES = 16 * 2**20
"""Chunks of a Dask array that are to be joined are first cut into bands that, joined, hold at most so much."""


def as_source(image: Any) -> Source:
    """Return any image as a `Source`.

    Raises
    ------
    TypeError
        If it has no shape, dtype and slicing, has a mask, or is a dataset of several images.
    ValueError
        If it is a Dask array with chunks of unknown size.
    """
    if isinstance(image, Source):
        return image
    if isinstance(image, list | tuple):
        image = np.asarray(image)
    _check_one_image(image)
    if hasattr(image, "dims") and hasattr(image, "coords"):
        return _from_xarray(image)
    for attribute in ("shape", "dtype", "__getitem__"):
        if not hasattr(image, attribute):
            raise TypeError(f"an image needs shape, dtype and slicing; {type(image).__name__} has no {attribute}")
    _check_known(image)
    source = Source(_reopenable(image), _chunks(image))
    return replace(source, copies=_copies(source), **_sharing(source.array))


def _copies(source: Source) -> int:
    """Return `Source.copies`. Of a Dask array it is known only that what merely cuts an array makes none."""
    if isinstance(source.array, np.ndarray):
        return 0
    if not isinstance(source.array, da.Array):
        return 2
    computing = [name for name in source.array.__dask_graph__().layers if not str(name).startswith("original-")]
    return 0 if len(computing) == 1 and not stored_at(source) else 2


def _sharing(array: Any) -> dict[str, Any]:
    """Return `Source.shared` and `Source.repeated` of a Dask array."""
    if not isinstance(array, da.Array):
        return {}
    shared, repeated = cones.sharing(array)
    return {"shared": shared, "repeated": repeated}


def cut(source: Source, region: Region, read_chunks: Shape) -> da.Array:
    """Return a region of the source as a Dask array of pieces of at most about `read_chunks`, and no more graph.

    Source chunks are joined up to `read_chunks`. No stored one is split, so that none is read twice; one that Dask
    computes is split in the graph, so that not all chunks are in memory as they are and joined.
    """
    own = tuple(regions.cut(sizes, *span) for sizes, span in zip(source.chunks, region, strict=True))
    chunks = tuple(map(regions.gathered, own, read_chunks))
    dtype = np.dtype(source.dtype)
    if isinstance(source.array, da.Array):
        part = cones.part(source.array[regions.slices(region)])
        part = part.map_blocks(_detached, dtype=dtype, declared=dtype, meta=np.empty((0,) * part.ndim, dtype))
        bands = regions.bands(own, chunks, BAND_NBYTES // dtype.itemsize)
        return part.rechunk(bands, method="tasks", block_size_limit=BAND_NBYTES)
    if isinstance(source.array, np.ndarray):
        piece: Any = source.array[regions.slices(region)].astype(dtype, copy=False)
    else:
        longest = tuple(map(regions.longest, source.chunks))
        piece = Window(source.array, region, regions.batched(own, longest, READ_NBYTES // dtype.itemsize))
    return da.from_array(piece, chunks=chunks, name=False, meta=np.empty((0,) * len(region), dtype))


class Window:
    """A region of an array-like, itself one: so the graph of a unit knows nothing of the rest of the image.

    Of large chunks it reads `batches` one after the other, each of so many voxels per axis, into one result.
    """

    __slots__ = ("array", "batches", "dtype", "ndim", "region", "shape")

    def __init__(self, array: Any, region: Region, batches: Chunks | None = None) -> None:
        self.array = array
        self.region = region
        self.shape = regions.shape_of(region)
        self.batches = batches or tuple((n,) for n in self.shape)
        self.ndim = len(region)
        self.dtype = np.dtype(array.dtype).newbyteorder("=")

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part of the region."""
        wanted = tuple((i.start, i.stop) for i in index)
        parts = list(product(*(regions.parts(sizes, *span) for sizes, span in zip(self.batches, wanted, strict=True))))
        if len(parts) == 1:
            return self._read(wanted)
        found = np.empty(regions.shape_of(wanted), self.dtype)
        for part in parts:
            found[tuple(slice(a - w, b - w) for (a, b), (w, _) in zip(part, wanted, strict=True))] = self._read(part)
        return found

    def _read(self, part: Region) -> np.ndarray[Any, Any]:
        inner = tuple(slice(a + start, a + stop) for (a, _), (start, stop) in zip(self.region, part, strict=True))
        return _as_declared(direct.read(self.array, inner), self.dtype, regions.shape_of(part))


class Reopenable:
    """An array-like in a file, which other processes open for themselves."""

    def __init__(self, opener: Callable[[], Any], array: Any = None) -> None:
        self._opener = opener
        self._array = array

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

    def __reduce__(self) -> tuple[type, tuple[Callable[[], Any]]]:
        return type(self), (self._opener,)


class Mapped(Reopenable):
    """A memory map of a file. What is read is copied bit by bit, and the map let go each time.

    Otherwise all of the file that was ever read counts as memory of the process, and Dask pauses workers for it.
    """

    def __getitem__(self, index: Any) -> np.ndarray[Any, Any]:
        """Return a part of the array, in memory."""
        part = np.asarray(self.array[index])
        if not part.ndim:
            return part.copy()
        found = np.empty(part.shape, part.dtype)
        for some in _bits(part):
            found[some] = part[some]
            self._let_go()
        return found

    def _let_go(self) -> None:
        """Unmap all pages; not of a map whose changes are its own, for these would be lost."""
        pages = self.array.base
        if sys.platform == "linux" and isinstance(pages, mmap.mmap) and self.array.mode != "c":
            pages.madvise(mmap.MADV_DONTNEED)


def _bits(part: np.ndarray[Any, Any]) -> Iterator[tuple[slice, ...]]:
    """Yield parts of an array along its slowest axis, each of which spans about `MAPPED_NBYTES` of its file."""
    steps = [abs(stride) for stride in part.strides]
    axis = max(range(part.ndim), key=steps.__getitem__)
    others = ((s, n) for i, (s, n) in enumerate(zip(steps, part.shape, strict=True)) if i != axis)
    spanned = part.itemsize + sum(s * max(n - 1, 0) for s, n in others)
    for start, stop in regions.spans_of(0, part.shape[axis], max(MAPPED_NBYTES // spanned, 1)):
        yield (slice(None),) * axis + (slice(start, stop),)


def open_hdf5(path: str, dataset: str) -> Any:
    """Return a dataset of an HDF5 file."""
    import h5py

    return h5py.File(path, "r")[dataset]


def stored_at(source: Source) -> list[Any]:
    """Return the zarr arrays that the source is, or that its graph reads."""
    array = _unwrapped(source.array)
    if isinstance(array, da.Array):
        layers = array.__dask_graph__().layers.values()
        found = [_unwrapped(value) for layer in layers for value in _literals(layer)]
    else:
        found = [array]
    return list({id(value): value for value in found if isinstance(value, zarr.Array)}.values())


def _unwrapped(array: Any) -> Any:
    """Return the zarr or Dask array behind views and adapters such as those of xarray; else the innermost array."""
    for _ in range(MAX_DEPTH):
        if isinstance(array, zarr.Array | da.Array | np.ndarray):
            break
        opened = None if isinstance(array, Reopenable) else getattr(array, "array", None)
        inner = getattr(array, "_array", None) if opened is None else opened
        if inner is None:
            break
        array = inner
    return array


def _literals(layer: Any) -> Iterator[Any]:
    """Yield what a layer of a graph holds as it is, as far as some of its tasks show it.

    `da.from_array` puts arrays into keys of their own, called original-…, or into every task; optimization puts
    these with others into one layer, and tasks into tasks.
    """
    mapping = getattr(layer, "mapping", {})
    yield from (pair[0] for pair in getattr(layer, "indices", ()) if pair[1] is None)
    step = max(regions.ceil_div(len(mapping), SOME_TASKS), 1)
    own = [mapping[key] for key in mapping if isinstance(key, str) and key.startswith("original-")]
    for task in (getattr(layer, "task", None), *own, *islice(mapping.values(), 0, None, step)):
        yield from _held(task)


def _held(task: Any) -> Iterator[Any]:
    """Yield what a task holds: what it is, its value or its arguments, and those of the tasks inside it."""
    waiting = deque([task])
    for _ in range(SOME_VALUES):
        if not waiting:
            return
        value = waiting.popleft()
        if type(value).__module__.startswith("dask."):
            value = getattr(value, "value", [*getattr(value, "args", ()), getattr(value, "kwargs", None) or {}])
        if isinstance(value, Mapping):
            waiting.extend(islice(value.values(), SOME_VALUES))
        elif isinstance(value, tuple | list):
            waiting.extend(value[:SOME_VALUES])
        else:
            yield value


def _check_one_image(image: Any) -> None:
    if isinstance(image, np.ma.MaskedArray):
        raise TypeError(
            "the image is a masked array, and OME-Zarr has no masks; fill them first, as in image.filled(0)"
        )
    if hasattr(image, "data_vars"):
        names = ", ".join(repr(name) for name in image.data_vars)
        raise TypeError(f"the image is an xarray {type(image).__name__}; choose one of its variables: {names}")


def _check_known(image: Any) -> None:
    shape = tuple(image.shape)
    chunks = getattr(image, "chunks", None) if isinstance(image, da.Array) else None
    sizes = [size for sizes in chunks for size in sizes] if chunks else list(shape)
    if any(size != size for size in sizes):
        raise ValueError("the image has Dask chunks of unknown size; call compute_chunk_sizes() on it first")
    if type(image).__module__.startswith("dask.") and not isinstance(image, da.Array):
        raise TypeError(
            f"{type(image).__module__}.{type(image).__name__} is no dask.array.Array;"
            " set the Dask configuration array.query-planning to False before importing dask.array"
        )


def _chunks(image: Any) -> Chunks:
    """Return the pieces in which the image comes: Dask's chunks, a zarr or HDF5 array's, or one piece."""
    chunks = getattr(image, "chunks", None)
    if isinstance(image, da.Array):
        return tuple(tuple(map(int, sizes)) for sizes in image.chunks)
    shape = tuple(map(int, image.shape))
    if chunks is None or len(chunks) != len(shape) or not all(isinstance(c, int | np.integer) for c in chunks):
        chunks = (1,) * len(shape)  # What can be cut anywhere has chunks so fine that they fit any block.
    return regions.regular(shape, tuple(map(int, chunks)))


def _reopenable(image: Any) -> Any:
    if isinstance(image, da.Array):
        return cones.made(image)
    if isinstance(image, zarr.Array):
        return direct.opened(image)
    if isinstance(image, np.memmap) and isinstance(image.base, mmap.mmap) and image.filename is not None:
        order: Any = "C" if image.flags.c_contiguous else "F"
        return Mapped(partial(np.memmap, image.filename, image.dtype, "r", image.offset, image.shape, order), image)
    if type(image).__module__.startswith("h5py") and hasattr(image, "file"):
        return Reopenable(partial(open_hdf5, image.file.filename, image.name), image)
    return image


def ready(source: Source, compute: Compute) -> Source:
    """Return a source with the results of its graph that all parts need, got by `compute`."""
    if not source.shared:
        return source
    array = cones.with_values(source.array, compute(source.array.__dask_graph__(), source.shared))
    return replace(source, array=array, shared=())


def _detached(block: Any, declared: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Return a block as NumPy, of the dtype declared; not as a view of something larger, which it would keep alive."""
    found = _as_declared(block, declared)
    return found.copy() if found.base is not None and getattr(found.base, "nbytes", 0) > found.nbytes else found


def _as_declared(block: Any, declared: np.dtype[Any], shape: Shape | None = None) -> np.ndarray[Any, Any]:
    """Return a block as NumPy, if it has the dtype and shape that its image declares: others would fit silently."""
    if np.ma.is_masked(block):
        raise TypeError("a block of the image has masked values; fill them first, as in image.filled(0)")
    block = np.asarray(block)
    if block.dtype.newbyteorder("=") != declared:
        raise TypeError(f"a block of the image is {block.dtype}, but the image says {declared}; use image.astype(…)")
    if shape is not None and block.shape != shape:
        raise ValueError(f"a block of the image has shape {block.shape}, but {shape} was asked for")
    found: np.ndarray[Any, Any] = block.astype(declared, copy=False)
    return found


def _from_xarray(image: Any) -> Source:
    inner = as_source(image.data)
    dims = tuple(map(str, image.dims))
    known = {dim: image.coords[dim] for dim in dims if dim in image.coords and TYPES.get(dim) != "channel"}
    numbers = {dim: c.values.astype(float) for dim, c in known.items() if c.dtype.kind in "iuf" and c.ndim == 1}
    steps = {dim: _step(values) for dim, values in numbers.items() if len(values) > 1}
    irregular = tuple(dim for dim, step in steps.items() if step is None)
    return Source(
        inner.array,
        inner.chunks,
        dims,
        {dim: step for dim, step in steps.items() if step is not None},
        {dim: float(values[0]) for dim, values in numbers.items() if len(values) and dim not in irregular},
        {dim: str(known[dim].attrs["units"]) for dim in numbers if known[dim].attrs.get("units")},
        str(image.name) if image.name else None,
        irregular,
        copies=inner.copies,
        shared=inner.shared,
        repeated=inner.repeated,
    )


def _step(values: np.ndarray[Any, Any]) -> float | None:
    """Return the step of a coordinate of two values or more; None where it is not regular and rising."""
    steps = np.diff(values)
    if not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)):
        return None
    return float((values[-1] - values[0]) / (len(values) - 1))


__all__: Sequence[str] = [
    "Origin",
    "Reopenable",
    "Source",
    "Window",
    "as_source",
    "cut",
    "expanded",
    "open_hdf5",
    "ready",
    "stored_at",
]
