"""Any array-like as a `Source`: NumPy, Dask, zarr, HDF5, xarray, memory maps.

Anything with ``shape``, ``dtype`` and slicing is an image. What it says of itself (chunks, dimensions, coordinates)
is kept in the `Source`.
"""

import mmap
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import zarr

from daskome.model.axes import TYPES
from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.source import Source
from daskome.sources.dask_graphs import materialize, shared_keys
from daskome.sources.provenance import stored_at
from daskome.sources.views import Mapped, Reopenable
from daskome.stores import sync_codecs


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
    return replace(source, buffer_copies=_copies(source), **_sharing(source.array))


def _copies(source: Source) -> int:
    """Return `Source.buffer_copies`. Of a Dask array it is known only that what merely cuts an array makes none."""
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
    shared, repeated = shared_keys(array)
    return {"shared": shared, "repeated": repeated}


def open_hdf5(path: str, dataset: str) -> Any:
    """Return a dataset of an HDF5 file."""
    import h5py

    return h5py.File(path, "r")[dataset]


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
            f"{type(image).__module__}.{type(image).__name__} is not a dask.array.Array;"
            " set the Dask configuration array.query-planning to False before importing dask.array"
        )


def _chunks(image: Any) -> Chunks:
    """Return the pieces in which the image comes: Dask's chunks, a zarr or HDF5 array's, or one piece."""
    chunks = getattr(image, "chunks", None)
    if isinstance(image, da.Array):
        return tuple(tuple(map(int, sizes)) for sizes in image.chunks)
    shape = tuple(map(int, image.shape))
    if chunks is None or len(chunks) != len(shape) or not all(isinstance(c, int | np.integer) for c in chunks):
        chunks = (1,) * len(shape)  # It can be cut anywhere, so its chunks are as fine as possible.
    return regular_chunks(shape, tuple(map(int, chunks)))


def _reopenable(image: Any) -> Any:
    if isinstance(image, da.Array):
        return materialize(image)
    if isinstance(image, zarr.Array):
        return sync_codecs.open_sync(image)
    if isinstance(image, np.memmap) and isinstance(image.base, mmap.mmap) and image.filename is not None:
        order: Any = "C" if image.flags.c_contiguous else "F"
        return Mapped(partial(np.memmap, image.filename, image.dtype, "r", image.offset, image.shape, order), image)
    if type(image).__module__.startswith("h5py") and hasattr(image, "file"):
        return Reopenable(partial(open_hdf5, image.file.filename, image.name), image)
    return image


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
        buffer_copies=inner.buffer_copies,
        shared=inner.shared,
        repeated=inner.repeated,
    )


def _step(values: np.ndarray[Any, Any]) -> float | None:
    """Return the step of a coordinate of two values or more; None where it is not regular and rising."""
    steps = np.diff(values)
    if not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)):
        return None
    return float((values[-1] - values[0]) / (len(values) - 1))
