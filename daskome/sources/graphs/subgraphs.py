"""Parts of a Dask graph, found without walking all of it; and the results that all parts need, computed once."""

import logging
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
from dask._task_spec import Alias, DataNode, Task
from dask.array.optimization import GETTERS
from dask.blockwise import Blockwise
from dask.core import flatten
from dask.delayed import Delayed, delayed
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer
from dask.sizeof import sizeof

from daskome.model.text import format_nbytes
from daskome.sources.graphs.annotations import annotations_of

Needs = Mapping[Any, set[Any]]
"""The keys that each key depends on directly."""
ORIGINAL = "original-"
"""Before the name of the layer in which `da.from_array` keeps the array, alone."""
log = logging.getLogger("daskome")
KEPT_RESULT_NBYTES = 2**20
"""A result that all units need travels with each of them, unless it is larger than this."""
MIN_BLOCKS_APART = 4
"""Along an axis of at least this many blocks the first, one in the middle and the last are not neighbours: what these
need, all may need."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a graph whose tasks are not made: those of a `Blockwise` layer are named after it."""

    graph: HighLevelGraph

    def __contains__(self, key: Any) -> bool:
        return self.layer(key) is not None

    def named(self, key: Any) -> str | None:
        """Return the name of the layer that has the name of a key; the key may be in an optimized one, too."""
        name = key[0] if type(key) is tuple and key else key
        return name if name in self.graph.layers else None

    def layer(self, key: Any) -> str | None:
        """Return the name of the layer that has a key."""
        named = key[0] if type(key) is tuple and key else key
        layer = self.graph.layers.get(named)
        if layer is not None and (not isinstance(layer, MaterializedLayer) or key in layer.mapping):
            return str(named)
        made = (n for n, o in self.graph.layers.items() if isinstance(o, MaterializedLayer) and key in o.mapping)
        return next(made, None)


def materialize(array: da.Array) -> da.Array:
    """Return an array whose graph has only `Blockwise` and materialized layers: of others the keys are not known."""
    graph = array.__dask_graph__()
    other = {k: o for k, o in graph.layers.items() if not isinstance(o, Blockwise | MaterializedLayer)}
    if not other:
        return array
    layers = {
        **graph.layers,
        **{n: MaterializedLayer(dict(o), o.annotations, o.collection_annotations) for n, o in other.items()},
    }
    return da.Array(HighLevelGraph(layers, graph.dependencies), array.name, array.chunks, meta=array._meta)


def only_cuts(array: da.Array) -> bool:
    """Whether a Dask array only cuts what `da.from_array` holds: Dask reads a part of a block without the rest."""
    return all(name.startswith(ORIGINAL) or _cuts(layer) for name, layer in array.__dask_graph__().layers.items())


def _cuts(layer: Layer) -> bool:
    task = layer.task if isinstance(layer, Blockwise) else next(iter(layer.values()), None)
    function = task[0] if type(task) is tuple else getattr(task, "func", None)
    return isinstance(task, Alias) or function in GETTERS


def subgraph(graph: HighLevelGraph, keys: Iterable[Any]) -> HighLevelGraph:
    """Return the part of a graph that computes some keys.

    Its cost grows with the part: `HighLevelGraph.cull` looks at all keys, which for thousands of parts of a large graph
    is most of the work. Layers whose tasks are not made yet stay so.
    """
    found: dict[str, list[tuple[Layer, Needs]]] = defaultdict(list)
    for name, layer, needs in _culled(graph, keys):
        found[name].append((layer, needs))
    layers = {name: _joined(graph, name, parts) for name, parts in found.items()}
    return HighLevelGraph(layers, {name: graph.dependencies[name] & layers.keys() for name in layers})


def _joined(graph: HighLevelGraph, name: str, parts: Sequence[tuple[Layer, Needs]]) -> Layer:
    """Return parts of a layer as one; usually there is only one."""
    if len(parts) == 1:
        return parts[0][0]
    return graph.layers[name].cull({key for _, needs in parts for key in needs}, Keys(graph))[0]


def _culled(graph: HighLevelGraph, keys: Iterable[Any], known: Container[Any] = ()) -> list[tuple[str, Layer, Needs]]:
    """Return parts of layers, with their names, that compute some keys, up to known ones."""
    every, found = Keys(graph), []
    todo: set[Any] = set(keys)
    seen: set[Any] = set()
    while todo := {key for key in todo if key not in seen and key not in known}:
        seen |= todo
        new: dict[str, set[Any]] = defaultdict(set)
        for key in todo:
            name = every.layer(key)
            if name is not None:
                new[name].add(key)
        todo = set()
        for name, own in new.items():
            layer, needs = graph.layers[name].cull(own, every)
            found.append((name, layer, needs))
            seen.update(key for key in needs if every.named(key) in (name, None))
            todo.update(*needs.values())
    return found


def restrict(array: da.Array) -> da.Array:
    """Return an array with only what it needs of its graph; `dask.optimize` would lose futures of a persisted one."""
    graph = subgraph(array.__dask_graph__(), flatten(array.__dask_keys__()))
    return da.Array(graph, array.name, array.chunks, meta=array._meta)


def shared_keys(array: da.Array) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """Return what blocks of an array share: the keys that all of them need, and axes along which they repeat.

    Only a few blocks far apart are compared. The mean in ``x - x.mean()`` is needed by all; of
    ``x - x.mean(axis=0)`` those along the first axis compute the same.
    """
    graph, first = array.__dask_graph__(), (array.name, *(0,) * array.ndim)
    far = [axis for axis, n in enumerate(array.numblocks) if n >= MIN_BLOCKS_APART]
    known = {key for *_, needs in _culled(graph, [first]) for key in needs} if far else set()
    every, *others = (_met(array, axes, known) for axes in [range(array.ndim) if far else (), *((i,) for i in far)])
    return tuple(every), tuple(axis for axis, keys in zip(far, others, strict=True) if keys - every)


def _met(array: da.Array, axes: Collection[int], known: Collection[Any]) -> set[Any]:
    """Return what blocks in the middle and at the end of some axes need directly of what the first one needs.

    Data do not count.
    """
    graph, met = array.__dask_graph__(), []
    for half in (1, 2):
        block = (half * (n - 1) // 2 if i in axes else 0 for i, n in enumerate(array.numblocks))
        parts = _culled(graph, [(array.name, *block)], known)
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
