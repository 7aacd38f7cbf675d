"""Blocks of an image as NumPy, of the dtype and shape that it declares. Any other is an error that names the block."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import Task
from dask.array.optimization import GETTERS
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.layers import ArrayBlockIdDep, ArrayChunkShapeDep

from daskome.model.regions import Shape

Values = np.ndarray[Any, Any]
CHECKED, OWN = "daskome-checked-", "daskome-own-"
"""Before the name of an array in a graph: its layer of blocks that are checked, and copied where they are parts."""


def as_declared(block: Any, declared: np.dtype[Any], shape: Shape, name: Callable[[], str]) -> Values:
    """Return a block as NumPy; raise unless it has the dtype and shape that its image declares.

    Parameters
    ----------
    block : array-like
    declared : numpy.dtype
    shape : tuple of int
    name : callable
        Returns what the block is, for errors.

    Raises
    ------
    TypeError, ValueError
        That name the block.
    """
    if np.ma.is_masked(block):
        raise TypeError(f"{name()} has masked values; fill them first, as in image.filled(0)")
    values = to_numpy(block)
    if values.dtype.newbyteorder("=") != declared:
        raise TypeError(f"{name()} is {values.dtype}, but the image says {declared}; use image.astype(…)")
    if values.shape != shape:
        raise ValueError(
            f"{name()} has shape {values.shape}, but the image says {shape}; its blocks must have the shapes"
            " that it declares"
        )
    return values.astype(declared, copy=False)


def to_numpy(values: Any) -> Values:
    """Return values as a plain NumPy array, wherever they are.

    >>> to_numpy([[1, 2]]).shape
    (1, 2)
    """
    on_device = None if isinstance(values, np.ndarray) else getattr(values, "get", None)
    if callable(on_device) and hasattr(values, "shape"):  # CuPy refuses what NumPy would do by itself.
        values = on_device()
    return np.asarray(values)


def checked_blocks(array: da.Array, first: Shape, name: str, *, own: bool = False) -> da.Array:
    """Return a Dask array whose blocks come as NumPy, of its dtype and the shapes of its chunks.

    Parameters
    ----------
    array : dask.array.Array
    first : tuple of int
        The index that its first block has in the image, for errors.
    name : str
        Of the image in its graph, for errors.
    own : bool
        Whether a block is copied if it would keep a larger array alive.
    """
    dtype = np.dtype(array.dtype).newbyteorder("=")
    axes = tuple(range(array.ndim))
    checked: da.Array = da.blockwise(
        partial(_checked, declared=dtype, first=first, name=name.removeprefix(CHECKED), own=own),
        axes,
        array,
        axes,
        ArrayChunkShapeDep(array.chunks),
        axes,
        ArrayBlockIdDep(array.chunks),
        axes,
        name=f"{OWN if own else CHECKED}{array.name}",
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype),
        align_arrays=False,
    )
    return checked


def checked_before_cuts(array: da.Array) -> da.Array:
    """Return a Dask array whose blocks are checked before its own tasks cut them, as ``rechunk`` and slices do.

    What is cut from a block that is too large has the right shape, so that afterwards nothing could be seen.
    """
    graph = array.__dask_graph__()
    cuts = {name: _cut_layers(graph, layer) for name, layer in graph.layers.items()}
    checks = {name: _check_of(graph, name) for names in cuts.values() for name in names}
    if not checks:
        return array
    layers = {name: _reading_checked(layer, cuts[name]) for name, layer in graph.layers.items()}
    dependencies = {name: set(graph.dependencies[name]) | {CHECKED + cut for cut in cuts[name]} for name in layers}
    layers |= {CHECKED + name: check for name, check in checks.items()}
    dependencies |= {CHECKED + name: {name} for name in checks}
    return da.Array(HighLevelGraph(layers, dependencies), array.name, array.chunks, meta=array._meta)


def _cut_layers(graph: HighLevelGraph, layer: Layer) -> set[str]:
    """Return the layers of an array whose blocks the tasks of a layer cut, where their shapes are known."""
    if not isinstance(layer, MaterializedLayer):
        return set()
    names = {key[0] for task in layer.mapping.values() if (key := _cut_key(task))}
    return {name for name in names if name in graph.layers and _declares_blocks(graph.layers[name])}


def _cut_key(task: Any) -> tuple[Any, ...]:
    """Return the key of the block of which a task takes a part; an empty tuple if it takes none, or all of it."""
    if not isinstance(task, Task) or not (task.func in GETTERS or task.func.__name__ == "_getitem"):
        return ()
    key, index = getattr(task.args[0], "key", None), task.args[1]
    takes_all = isinstance(index, tuple) and all(part is None or part == slice(None) for part in index)
    return () if takes_all or type(key) is not tuple else key


def _declares_blocks(layer: Layer) -> bool:
    """Whether a layer says the shapes of its blocks, which are not those of an array that Dask itself cuts."""
    said = layer.collection_annotations or {}
    known = all(size == size for sizes in said.get("chunks", ((np.nan,),)) for size in sizes)
    made = getattr(layer, "task", None) if not isinstance(layer, MaterializedLayer) else None
    return known and "dtype" in said and getattr(made, "func", None) not in GETTERS


def _check_of(graph: HighLevelGraph, name: str) -> Layer:
    """Return the layer that checks the blocks of another."""
    said = graph.layers[name].collection_annotations
    alone = HighLevelGraph({name: graph.layers[name]}, {name: set()})
    array = da.Array(alone, name, said["chunks"], dtype=said["dtype"])
    return checked_blocks(array, (0,) * array.ndim, name).__dask_graph__().layers[CHECKED + name]


def _reading_checked(layer: Layer, names: set[str]) -> Layer:
    """Return a layer whose tasks read the checked blocks of others, where they cut them."""
    if not names:
        return layer
    mapping = {
        key: task.substitute({cut: (CHECKED + cut[0], *cut[1:])})
        if (cut := _cut_key(task)) and cut[0] in names
        else task
        for key, task in layer.mapping.items()
    }
    return MaterializedLayer(mapping, layer.annotations, layer.collection_annotations)


def _checked(
    block: Any, shape: Shape, index: Shape, *, declared: np.dtype[Any], first: Shape, name: str, own: bool
) -> Values:
    def named() -> str:
        key = tuple(i + k for i, k in zip(index, first, strict=True))
        return f"block {key} of the image ({name})"

    values = as_declared(block, declared, tuple(map(int, shape)), named)
    is_part = own and values.base is not None and getattr(values.base, "nbytes", 0) > values.nbytes
    return values.copy() if is_part else values
