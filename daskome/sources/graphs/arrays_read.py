"""Which zarr arrays a source reads, however deep in a graph or an adapter they are."""

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from types import CellType, CodeType, FunctionType
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask.blockwise import Blockwise

from daskome.model import regions
from daskome.model.source import Source
from daskome.sources.graphs.layers import ORIGINAL, only_cuts
from daskome.sources.joined import Joined
from daskome.sources.views import Reopenable

SOME_TASKS, SOME_VALUES = 256, 256
"""How many tasks of a layer, evenly spread, and values of a task are looked at: a graph may have millions."""
LIBRARIES = frozenset(("dask", "daskome", "distributed", "numpy", "xarray", "zarr"))
"""Whose functions hold no images of callers."""
UNCHANGING = frozenset(
    "CopyOnWriteArray ImplicitToExplicitIndexingAdapter LazilyIndexedArray MemoryCachedArray ZarrArrayWrapper".split()
)
"""Adapters of xarray that give the voxels of what is inside as they are, where they take all of it."""
MAX_DEPTH = 16
"""How many adapters around an array are looked through."""


def stored_at(source: Source) -> list[Any]:
    """Return the zarr arrays that the source is, or that its graph reads."""
    return [array for array in read_by(source.array) if isinstance(array, zarr.Array)]


def zarr_behind(array: Any) -> Any:
    """Return the zarr array of which a Dask array is all, in whatever chunks (`da.from_zarr`); others as they are.

    Its chunks are read as they are stored, several at a time, and not one task each.
    """
    if not isinstance(array, da.Array) or not _is_cut_once(array):
        return array
    held = (_bare(value) for layer in array.__dask_graph__().layers.values() for value in _literals(layer))
    stored = next((value for value in held if isinstance(value, zarr.Array)), None)
    same = stored is not None and (stored.shape, np.dtype(stored.dtype)) == (array.shape, array.dtype)
    return stored if same else array


def _bare(array: Any) -> Any:
    """Return what is behind adapters that give its voxels as they are; others may mask, scale or turn them."""
    for _ in range(MAX_DEPTH):
        if type(array).__name__ not in UNCHANGING or not _takes_all(array):
            break
        array = getattr(array, "array", getattr(array, "_array", None))
    return array


def _takes_all(adapter: Any) -> bool:
    """Whether one of xarray's adapters takes all of the array inside."""
    index = getattr(getattr(adapter, "key", None), "tuple", ())
    return all(isinstance(one, slice) and one == slice(None) for one in index)


def _is_cut_once(array: da.Array) -> bool:
    """Whether a Dask array is just what `da.from_array` returns: blocks cut side by side from an array."""
    layers = array.__dask_graph__().layers
    cutting = [layer for name, layer in layers.items() if not str(name).startswith(ORIGINAL)]
    return len(cutting) == 1 and isinstance(cutting[0], Blockwise) and not cutting[0].annotations and only_cuts(array)


def read_by(image: Any) -> list[Any]:
    """Return the zarr arrays, and arrays in files (`Reopenable`), that an array-like is, or that its graph reads."""
    array = _unwrapped(image)
    if isinstance(array, Joined):
        arrays = [one for part in array.parts for one in read_by(part)]
    elif isinstance(array, da.Array):
        layers = array.__dask_graph__().layers.values()
        arrays = [_unwrapped(value) for layer in layers for value in _literals(layer)]
    else:
        arrays = [array]
    return list({id(value): value for value in arrays if isinstance(value, zarr.Array | Reopenable)}.values())


def _unwrapped(array: Any) -> Any:
    """Return the zarr or Dask array behind views and adapters such as those of xarray; else the innermost array."""
    for _ in range(MAX_DEPTH):
        if isinstance(array, zarr.Array | da.Array | np.ndarray | Reopenable):
            break
        held = (getattr(array, name, None) for name in ("array", "_array", "_data"))
        inner = next((one for one in held if one is not None), None)
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
    given = [pair[0] for pair in getattr(layer, "indices", ()) if pair[1] is None]
    step = max(regions.ceil_div(len(mapping), SOME_TASKS), 1)
    originals = [mapping[key] for key in mapping if isinstance(key, str) and key.startswith(ORIGINAL)]
    for task in (getattr(layer, "task", None), *given, *originals, *islice(mapping.values(), 0, None, step)):
        yield from _held(task)


def _held(task: Any) -> Iterator[Any]:
    """Yield what a task holds: what it is, its value or its arguments, and those of the tasks inside it."""
    waiting = deque([task])
    for _ in range(SOME_VALUES):
        if not waiting:
            return
        value = waiting.popleft()
        if type(value).__module__.startswith("dask."):
            value = getattr(value, "value", _arguments(value))
        if isinstance(value, FunctionType | partial):
            value = _bound(value)
        if isinstance(value, Mapping):
            waiting.extend(islice(value.values(), SOME_VALUES))
        elif isinstance(value, tuple | list):
            waiting.extend(value[:SOME_VALUES])
        else:
            yield value


def _arguments(task: Any) -> list[Any]:
    return [getattr(task, "func", None), *getattr(task, "args", ()), getattr(task, "kwargs", None) or {}]


def _bound(function: Any) -> list[Any]:
    """Return what a function holds besides its code: arguments given before, and arrays and functions around it."""
    if isinstance(function, partial):
        return [function.func, *function.args, *function.keywords.values()]
    if (function.__module__ or "").partition(".")[0] in LIBRARIES:
        return []
    inner = (code.co_names for code in function.__code__.co_consts if isinstance(code, CodeType))
    around = [function.__globals__.get(name) for names in (function.__code__.co_names, *inner) for name in names]
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != CellType()]
    return [*cells, *(value for value in around if isinstance(value, zarr.Array | FunctionType | partial))]
