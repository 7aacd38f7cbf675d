"""Any array-like as a `Source`: NumPy, Dask, zarr, HDF5, xarray, TensorStore, memory maps.

Anything with ``shape``, ``dtype`` and slicing is an image. What it says of itself (chunks, dimensions, coordinates)
is kept in the `Source`.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np

from daskome.model.axes import TYPES
from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.json_values import to_plain_json
from daskome.model.orientations import ORIENTATIONS
from daskome.model.source import Source
from daskome.model.urls import without_credentials
from daskome.sources.array_likes import adapted
from daskome.sources.blocks import checked_blocks
from daskome.sources.computed import ComputedArray
from daskome.sources.dimension_names import axis_names
from daskome.sources.graphs.arrays_read import stored_at, zarr_behind
from daskome.sources.graphs.block_checks import checked_where_made
from daskome.sources.graphs.layers import ORIGINAL, only_cuts
from daskome.sources.graphs.shared_results import shared_keys
from daskome.sources.objects import array_of_bioimage, array_of_tree, described_bioimage, is_bioimage, is_tree
from daskome.stores.groups import others_of
from daskome.stores.kinds import anchor, in_flight_to


def as_source(image: Any) -> Source:
    """Return any image as a `Source`.

    Raises
    ------
    TypeError
        If it has no shape, dtype and slicing, has masked voxels, or is a path or a dataset of several images.
    ValueError
        If it has no pixels, or is a Dask array with chunks of unknown size.
    FileNotFoundError
        If what it reads is not there.
    """
    if isinstance(image, Source):
        return image
    if callable(getattr(image, "__dask_array__", None)):
        return as_source(image.__dask_array__())
    if is_bioimage(image):
        return described_bioimage(as_source(array_of_bioimage(image)), image)
    if is_tree(image):
        array, n = array_of_tree(image)
        source = as_source(array)
        return replace(
            source, left=(*source.left, *([f"{n} smaller resolutions, made anew from the largest"] if n else []))
        )
    image = _one_image(image)
    if hasattr(image, "dims") and hasattr(image, "coords"):
        return _from_xarray(image)
    _check_known(image)
    array = adapted(zarr_behind(adapted(image)))
    source = Source(array, _chunks(array))
    stored = stored_at(source)
    for one in stored:
        anchor(one.store_path)
    far = any(in_flight_to(one.store_path) for one in stored)
    source = replace(source, buffer_copies=_copies(source), array=_checked(array), far=far)
    return replace(source, **_sharing(source.array))


def _one_image(image: Any) -> Any:
    """Return an image with shape, dtype and slicing: what has none of these, but can be made an array, is made one."""
    if isinstance(image, str | os.PathLike):
        raise TypeError(
            f"the image is a path; open it first, as in daskome.read({without_credentials(os.fspath(image))!r})"
        )
    _check_one_image(image)
    if isinstance(image, list | tuple):
        image = _nested(image)
    if isinstance(image, np.ma.MaskedArray):
        image = np.ma.getdata(image)
    lacking = [name for name in ("shape", "dtype", "__getitem__") if not hasattr(image, name)]
    if lacking and not (hasattr(image, "__array__") or hasattr(image, "__array_interface__")):
        raise TypeError(f"an image needs shape, dtype and slicing; {type(image).__name__} has no {lacking[0]}")
    return np.asarray(image) if lacking else image


def _nested(image: Any) -> Any:
    """Return lists of numbers in each other as an array."""
    try:
        return np.asarray(image)
    except ValueError as error:
        raise TypeError(
            f"the image is a {type(image).__name__} of parts that differ in shape; pass the levels of a pyramid to"
            " daskome.write_multiscale"
        ) from error


def _checked(array: Any) -> Any:
    """Return a Dask array whose blocks are checked; one that only cuts is checked where it is read, in other pieces."""
    if not isinstance(array, da.Array):
        return array
    checked = checked_where_made(array)
    return checked if only_cuts(array) else checked_blocks(checked, (0,) * array.ndim, array.name)


def _copies(source: Source) -> int:
    """Return `Source.buffer_copies`. Of a Dask array it is known only that what merely cuts an array makes none."""
    if isinstance(source.array, np.ndarray):
        return 0
    if not isinstance(source.array, da.Array):
        return 2
    computing = [name for name in source.array.__dask_graph__().layers if not str(name).startswith(ORIGINAL)]
    return 0 if len(computing) == 1 and not stored_at(source) else 2


def _sharing(array: Any) -> dict[str, Any]:
    """Return `Source.shared` and `Source.repeated` of a Dask array."""
    if not isinstance(array, da.Array):
        return {}
    shared, repeated = shared_keys(array)
    return {"shared": shared, "repeated": repeated}


def _check_one_image(image: Any) -> None:
    if np.ma.is_masked(image):
        raise TypeError(
            "the image has masked voxels, and OME-Zarr has no masks; fill them first, as in image.filled(0)"
        )
    if hasattr(image, "data_vars"):
        names = ", ".join(repr(name) for name in image.data_vars)
        raise TypeError(f"the image is an xarray {type(image).__name__}; choose one of its variables: {names}")


def _check_known(image: Any) -> None:
    if image.shape is None:
        raise ValueError(f"the image, {type(image).__name__}, has no pixels: it has no shape")
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
    if isinstance(image, da.Array | ComputedArray):
        return tuple(tuple(map(int, sizes)) for sizes in image.chunks)
    shape = tuple(map(int, image.shape))
    if chunks is None or len(chunks) != len(shape) or not all(isinstance(c, int | np.integer) for c in chunks):
        chunks = (1,) * len(shape)  # It can be cut anywhere, so its chunks are as fine as possible.
    return regular_chunks(shape, tuple(map(int, chunks)))


DASK_NAME = re.compile(r"-|.*-[0-9a-f]{32}")
"""No name, or that of a Dask array, which an xarray of one has if it was given none."""


def _from_xarray(image: Any) -> Source:
    """Return an xarray with its coordinates, by the names that OME-Zarr has for its dimensions."""
    names = dict(zip(map(str, image.dims), axis_names(image.dims), strict=True))
    coords = {name: image.coords[dim] for dim, name in names.items() if dim in image.coords}
    channels = [_channels(coord) for name, coord in coords.items() if TYPES.get(name) == "channel"]
    others = {name: coord for name, coord in coords.items() if TYPES.get(name) != "channel"}
    numbers = {name: values for name, coord in others.items() if (values := _seconds_or_numbers(coord)) is not None}
    units = {
        name: coord.attrs.get("units") or ("s" if coord.dtype.kind in "mM" else "") for name, coord in others.items()
    }
    steps = {name: _step(values) for name, values in numbers.items() if len(values) > 1}
    irregular = tuple(name for name, step in steps.items() if step is None)
    beside = [str(name) for name in image.coords if str(name) not in map(str, image.dims)]
    attributes, unwritable = _attributes(image.attrs)
    unplaced = [*(name for name in others if name not in numbers), *beside]
    return replace(
        as_source(_voxels_of(image)),
        dims=tuple(names.values()),
        scale={name: step for name, step in steps.items() if step is not None},
        translation={name: float(v[0]) for name, v in numbers.items() if len(v) and name not in irregular},
        units={name: str(units[name]) for name in numbers if units[name]},
        orientations={
            name: value
            for name, coord in others.items()
            if (value := str(coord.attrs.get("orientation"))) in ORIENTATIONS
        },
        name=None if DASK_NAME.fullmatch(str(image.name or "-")) else str(image.name),
        irregular=irregular,
        omero=next(filter(None, channels), None),
        attributes=attributes,
        left=(
            *_dates(others),
            *(f"coordinate {name!r}" for name in unplaced),
            *(f"attribute {name!r}" for name in unwritable),
        ),
    )


def _voxels_of(image: Any) -> Any:
    """Return what an xarray holds; what is not loaded yet is cut where it is read, as it may be more than memory."""
    if image.variable._in_memory or not hasattr(image.variable._data, "get_duck_array"):
        return image.data
    stored = image.encoding.get("preferred_chunks") or {}
    is_known = bool(image.dims) and all(isinstance(stored.get(dim), int | np.integer) for dim in image.dims)
    return image.chunk({dim: stored[dim] for dim in image.dims}).data if is_known else image.variable


def _attributes(attributes: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the attributes of an xarray that can be those of a group, and the names of the others."""
    written: dict[str, Any] = {}
    for name, value in others_of({str(name): value for name, value in attributes.items()}).items():
        with suppress(ValueError):
            plain = value.tolist() if isinstance(value, np.ndarray) else value
            written |= {name: to_plain_json(plain, "attribute")}
    return written, [str(name) for name in attributes if str(name) not in written]


def _seconds_or_numbers(coord: Any) -> np.ndarray[Any, Any] | None:
    """Return the values of a coordinate along its axis, times in seconds and dates from the first; or None."""
    values = coord.values
    if coord.ndim != 1 or coord.dtype.kind not in "iufmM":
        return None
    if coord.dtype.kind == "M":
        values = values - values[:1]
    return np.asarray(values / np.timedelta64(1, "s") if coord.dtype.kind in "mM" else values, float)


def _dates(coords: Mapping[str, Any]) -> list[str]:
    """Return the dates at which coordinates begin: what is written of them are the seconds since then."""
    dated = {name: coord.values[0] for name, coord in coords.items() if coord.dtype.kind == "M" and coord.size}
    return [f"the date of coordinate {name!r}, {first}" for name, first in dated.items()]


def _channels(coord: Any) -> dict[str, Any] | None:
    """Return channels named by their coordinate, as ``omero``; None if that only counts them."""
    values = coord.values.ravel().tolist()
    return None if values == list(range(len(values))) else {"channels": [{"label": _label(value)} for value in values]}


def _label(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _step(values: np.ndarray[Any, Any]) -> float | None:
    """Return the step of a coordinate of two values or more; None where it is not regular and rising."""
    steps = np.diff(values)
    if not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)):
        return None
    return float((values[-1] - values[0]) / (len(values) - 1))
