"""Results that all blocks of an array need: which they are, computed once, and put into the graph."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
from dask._task_spec import Alias, DataNode, Task
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.sizeof import sizeof

from daskome.model.text import format_nbytes
from daskome.sources.graphs.annotations import annotations_of
from daskome.sources.graphs.layers import Keys
from daskome.sources.graphs.subgraphs import culled, subgraph

log = logging.getLogger("daskome")
KEPT_RESULT_NBYTES = 2**20
"""A result that all units need travels with each of them, unless it is larger than this."""
MIN_BLOCKS_APART = 4
"""Along an axis of at least this many blocks the first, one in the middle and the last are not neighbours: what these
need, all may need."""


def shared_keys(array: da.Array) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return what blocks of an array share: the keys that all of them need, and axes along which they repeat.

    Only a few blocks far apart are compared. The mean in ``x - x.mean()`` is needed by all; of
    ``x - x.mean(axis=0)`` those along the first axis compute the same.
    """
    graph, first = array.__dask_graph__(), (array.name, *(0,) * array.ndim)
    far = [axis for axis, n in enumerate(array.numblocks) if n >= MIN_BLOCKS_APART]
    known = {key for *_, needs in culled(graph, [first]) for key in needs} if far else set()
    every, *others = (_met(array, axes, known) for axes in [range(array.ndim) if far else (), *((i,) for i in far)])
    return tuple(every), tuple(axis for axis, keys in zip(far, others, strict=True) if keys - every)


def _met(array: da.Array, axes: Collection[int], known: Collection[Any]) -> set[Any]:
    """Return what blocks in the middle and at the end of some axes need directly of what the first one needs.

    Data do not count.
    """
    graph, met = array.__dask_graph__(), []
    for half in (1, 2):
        block = (half * (n - 1) // 2 if i in axes else 0 for i, n in enumerate(array.numblocks))
        parts = culled(graph, [(array.name, *block)], known)
        met.append({key for *_, needs in parts for keys in needs.values() for key in keys if key in known})
    return {key for key in set.intersection(*met) if not _is_data(_task(graph, key))}


def _task(graph: HighLevelGraph, key: Any) -> Any:
    every = Keys(graph)
    return graph.layers[every.layer(key)].cull({key}, every)[0][key]


def _is_data(task: Any) -> bool:
    """Whether a value of a graph is data, not work: an array, a store, a future."""
    return not (isinstance(task, Task | Alias) or (type(task) is tuple and bool(task) and callable(task[0])))


def as_delayed(graph: HighLevelGraph, keys: Collection[Any]) -> dict[Any, Any]:
    """Return some results of a graph, each as a task of another."""
    return {key: Delayed(key, dict(subgraph(graph, [key]))) for key in keys}


def compute_shared(graph: HighLevelGraph, keys: Collection[Any]) -> dict[Any, Any]:
    """Compute some results of a graph together; return those small enough to travel with each unit."""
    if not keys:
        return {}
    with dask.annotate(**annotations_of(subgraph(graph, keys))):
        found = dask.compute(*(delayed(_kept, pure=False)(one) for one in as_delayed(graph, keys).values()))
    results = dict(zip(keys, found, strict=True))
    large = sum(value.nbytes for value in found if isinstance(value, Large))
    if large:
        log.warning(
            "all units need results of the image of %s, too large to travel with each, so each computes them again;"
            " persist() them on a cluster, or store them, before you build the image from them",
            format_nbytes(large),
        )
    return {key: DataNode(key, value) for key, value in results.items() if not isinstance(value, Large)}


@dataclass(frozen=True, slots=True)
class Large:
    """Stands for a result that is too large to travel."""

    nbytes: int


def _kept(value: Any) -> Any:
    nbytes = sizeof(value)
    return value if nbytes <= KEPT_RESULT_NBYTES else Large(nbytes)


def with_values(array: da.Array, values: Mapping[Any, Any]) -> da.Array:
    """Return an array with the values of some of its keys put in."""
    graph = array.__dask_graph__()
    layers = dict(graph.layers)
    for key, value in values.items():
        name = Keys(graph).layer(key)
        layers[name] = MaterializedLayer({**dict(layers[name]), key: value}, layers[name].annotations)
    return da.Array(HighLevelGraph(layers, graph.dependencies), array.name, array.chunks, meta=array._meta)
