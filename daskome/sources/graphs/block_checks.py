"""Blocks inside the graph of an image, checked where they are made, if a caller of Dask declared what they are.

What Dask derives is as declared if that is from which it derives it. A block that is not is seen only where it is made:
NumPy broadcasts it, a slice takes a part of it, Dask joins it with others by the shapes of the first ones, and what
comes of that may have the right shape. Not seen are blocks of which Dask keeps no note: of chunks of unknown size,
inside tasks that `dask.optimize` has fused before, of what is assigned to a part of an array, and those that workers of
a cluster hold already.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask._task_spec import Alias, Task, TaskRef
from dask.array.chunk import getitem, slice_with_int_dask_array
from dask.array.core import _pass_extra_kwargs, apply_and_enforce
from dask.array.optimization import GETTERS
from dask.blockwise import Blockwise, blockwise_token
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.layers import ArrayBlockIdDep, ArrayChunkShapeDep

from daskome.model.chunks import Chunks
from daskome.model.regions import Shape
from daskome.sources.blocks import check_declared, is_remote, named_block
from daskome.sources.graphs.layers import ORIGINAL, literal
from daskome.sources.views import AsAsked, Reopenable

DASK_OWN = frozenset(("dask", "daskome", "toolz", "cytoolz", "operator", "_operator"))
"""The libraries whose functions give blocks of the shapes that Dask derives."""
CALLERS = (_pass_extra_kwargs, apply_and_enforce)
"""Functions of Dask that call one of the caller."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the blocks of an array in a graph are said to be."""

    name: str
    dtype: np.dtype[Any]
    chunks: Chunks

    def has(self, key: Any) -> bool:
        """Whether a key of the graph is that of one of the blocks."""
        if type(key) is not tuple or len(key) != len(self.chunks) + 1 or key[0] != self.name:
            return False
        return all(0 <= i < len(sizes) for i, sizes in zip(key[1:], self.chunks, strict=True))

    def shape(self, index: Shape) -> Shape:
        """Return the shape of a block."""
        return tuple(int(sizes[i]) for sizes, i in zip(self.chunks, index, strict=True))


def checked_where_made(array: da.Array) -> da.Array:
    """Return the same array, with all blocks in its graph checked that callers declared, where they are made.

    In place: keys and layers stay what they are, and what Dask fuses it still fuses.
    """
    graph = array.__dask_graph__()
    declared = _declared(array, _unfinished(graph))
    layers = {
        name: _checked_layer(layer, declared[name], declared) if name in declared else _answering(name, layer)
        for name, layer in graph.layers.items()
    }
    return da.Array(HighLevelGraph(layers, graph.dependencies), array.name, array.chunks, meta=array._meta)


def _declared(array: da.Array, unfinished: set[str]) -> dict[str, Declared]:
    """Return what layers are said to be, as Dask notes it for each array, where it is true and all sizes are known."""
    found: dict[str, Declared] = {}
    for name, layer in array.__dask_graph__().layers.items():
        said = {"dtype": array.dtype, "chunks": array.chunks} if name == array.name else layer.collection_annotations
        chunks = (said or {}).get("chunks", ((np.nan,),))
        if name not in unfinished and all(size == size for sizes in chunks for size in sizes):
            found[name] = Declared(name, np.dtype(said["dtype"]).newbyteorder("="), chunks)
    return found


def _unfinished(graph: HighLevelGraph) -> set[str]:
    """Return the layers whose results are not yet the blocks that they are said to be.

    These are steps of Dask's reductions, what functions return to `da.apply_gufunc`, and offsets of indices that are
    Dask arrays: only the layer that reads them knows what they are.
    """
    found: set[str] = set()
    for name, layer in graph.layers.items():
        if isinstance(layer, Blockwise):
            found |= _unfinished_near(name, layer)
        elif isinstance(layer, MaterializedLayer) and layer.mapping:
            key, task = next(iter(layer.mapping.items()))
            if _is_step(_function(task)):
                found |= graph.dependencies[name]
            elif (read := _unpacked(key, task)) and read not in layer.mapping:
                found.add(read[0])
    return found


def _unfinished_near(name: str, layer: Blockwise) -> set[str]:
    function, steps = _innermost(layer.task.func), {"axis", "keepdims"}
    if function is slice_with_int_dask_array:
        return {str(read) for read, _ in layer.indices[2:3]}
    return {name} if steps <= layer.task.kwargs.keys() and _module(function) == "numpy" else set()


def _is_step(function: Any) -> bool:
    """Whether a function is a step of a reduction, after Dask has joined its arguments or not."""
    parts = (function, getattr(function, "first", None), *getattr(function, "funcs", ()))
    return any(isinstance(part, partial) and {"axis", "keepdims"} <= part.keywords.keys() for part in parts)


def _unpacked(key: Any, task: Any) -> tuple[Any, ...]:
    """Return the key of the tuple from which a task takes a block, or of a block that it gives another number of axes.

    Of other tasks, return an empty tuple.
    """
    function, args = _function(task), _args(task)
    if function is getitem and type(args[-1]) is int:
        return _alias(args[0])
    read = _alias(task)
    return read if len(read) != len(key) else ()


def _checked_layer(layer: Layer, own: Declared, declared: Mapping[str, Declared]) -> Layer:
    """Return a layer that checks the blocks that callers declared."""
    if isinstance(layer, Blockwise):
        checked: Layer = _checked_blockwise(layer, own) if _is_of_caller(layer.task.func) else _answering_inline(layer)
    elif isinstance(layer, MaterializedLayer):
        tasks = layer.mapping.items()
        mapping = {
            key: _checked_task(key, task, own, declared) if own.has(key) and _alias(task) not in layer.mapping else task
            for key, task in tasks
        }
        checked = MaterializedLayer(mapping, layer.annotations)
    else:
        return layer
    checked.collection_annotations = layer.collection_annotations
    return checked


def _checked_blockwise(layer: Blockwise, own: Declared) -> Blockwise:
    task, axes, n = layer.task, layer.output_indices, len(layer.indices)
    made = partial(_made, task.func, own.dtype, own.name)
    shape, index = TaskRef(blockwise_token(n)), TaskRef(blockwise_token(n + 1))
    checking = Task(task.key, made, shape, index, *task.args, _data_producer=task.data_producer, **task.kwargs)
    indices = [*layer.indices, (ArrayChunkShapeDep(own.chunks), axes), (ArrayBlockIdDep(own.chunks), axes)]
    return _with_task(layer, checking, indices)


def _with_task(layer: Blockwise, task: Task, indices: Sequence[Any]) -> Blockwise:
    """Return a layer with another task and arguments, and all else as it is."""
    return Blockwise(
        layer.output,
        layer.output_indices,
        task,
        indices,
        numblocks=layer.numblocks,
        concatenate=layer.concatenate,
        new_axes=layer.new_axes,
        output_blocks=layer.output_blocks,
        annotations=layer.annotations,
        io_deps=layer.io_deps,
    )


def _answering(name: str, layer: Layer) -> Layer:
    """Return the layer in which `da.from_array` keeps an array, with that checked to give parts as they are indexed."""
    if not name.startswith(ORIGINAL) or not isinstance(layer, MaterializedLayer):
        return layer
    mapping = {key: _as_asked(literal(task)) for key, task in layer.mapping.items()}
    return MaterializedLayer(mapping, layer.annotations)


def _answering_inline(layer: Blockwise) -> Blockwise:
    """Return the layer of parts of an array that `da.from_array` keeps in it, likewise."""
    if layer.task.func not in GETTERS:
        return layer
    indices = [(_as_asked(given) if axes is None else given, axes) for given, axes in layer.indices]
    return _with_task(layer, layer.task, indices)


def _as_asked(array: Any) -> Any:
    """Return an array-like of a caller checked; arrays of libraries that daskome knows give what they are asked for."""
    known = isinstance(array, np.ndarray | zarr.Array | Reopenable | TaskRef) or type(array).__module__.startswith(
        "h5py"
    )
    likely = all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__"))
    return AsAsked(array) if likely and not known else array


def _checked_task(key: Any, task: Any, own: Declared, declared: Mapping[str, Declared]) -> Any:
    """Return a task that checks the block that it gives, if a caller declared that."""
    function, shape = _function(task), own.shape(key[1:])
    if function is None:
        known = _is_known(task, own.dtype, shape, declared)
    else:
        known = not (_is_of_caller(function) or _unpacked(key, task))
    if known:
        return task
    made = partial(_made, function or _same, own.dtype, own.name, shape, key[1:])
    if isinstance(task, Task):
        return Task(key, made, *task.args, _data_producer=task.data_producer, **task.kwargs)
    return Task(key, made, *_args(task)) if isinstance(task, Alias) else (made, *_args(task))


def _is_known(task: Any, dtype: np.dtype[Any], shape: Shape, declared: Mapping[str, Declared]) -> bool:
    """Whether a block that no function makes is as declared: it is data, or a block of which the same is declared."""
    value, read = literal(task), _alias(task)
    if isinstance(value, np.ndarray):
        return bool(value.shape == shape and value.dtype.newbyteorder("=") == dtype)
    other = declared.get(read[0]) if read else None
    same = other is not None and other.has(read) and other.shape(read[1:]) == shape and other.dtype == dtype
    return same or is_remote(value)


def _function(task: Any) -> Callable[..., Any] | None:
    """Return the function of a task, in Dask's new form or the old one; None if it is a key or data."""
    if type(task) is tuple:
        return task[0] if task and callable(task[0]) else None
    return task.func if isinstance(task, Task) else None


def _args(task: Any) -> tuple[Any, ...]:
    """Return what the function of a task is called with; of a task without one, the key or the data that it is."""
    if isinstance(task, Task):
        return tuple(task.args)
    if type(task) is tuple and _function(task) is not None:
        return task[1:]
    return (TaskRef(task.target) if isinstance(task, Alias) else literal(task),)


def _alias(task: Any) -> tuple[Any, ...]:
    """Return the key of a block that is all that a task is; an empty tuple of other tasks."""
    key = task.target if isinstance(task, Alias) else getattr(task, "key", None) if isinstance(task, TaskRef) else task
    return key if type(key) is tuple and key and isinstance(key[0], str) else ()


def _is_of_caller(function: Any) -> bool:
    """Whether a function is not Dask's, so that only a caller can know what it returns; NumPy's ufuncs are known."""
    if function in CALLERS:
        return True
    inner = _innermost(function)
    return not isinstance(inner, np.ufunc) and _module(inner) not in DASK_OWN


def _innermost(function: Any) -> Any:
    while isinstance(function, partial):
        function = function.func
    return function


def _module(function: Any) -> str:
    """Return the package in which a function was written, also of one that is made to look like another."""
    own = getattr(function, "__globals__", {}).get("__name__")
    return str(own or getattr(function, "__module__", "")).partition(".")[0]


def _same(block: Any) -> Any:
    return block


def _made(
    function: Callable[..., Any],
    dtype: np.dtype[Any],
    array: str,
    shape: Shape,
    index: Shape,
    /,
    *args: Any,
    **more: Any,
) -> Any:
    block = function(*args, **more)
    if isinstance(block, list | tuple | np.matrix):  # No function of Dask takes these for arrays.
        block = np.asarray(block)
    check_declared(block, dtype, tuple(map(int, shape)), lambda: named_block(index, array))
    return block
