"""The part of a Dask graph that some of its keys need, found without walking all of it."""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import dask.array as da
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, Layer

from daskome.sources.graphs.layers import Keys

Needs = Mapping[Any, set[Any]]
"""The keys that each key depends on directly."""


def subgraph(graph: HighLevelGraph, keys: Iterable[Any]) -> HighLevelGraph:
    """Return the part of a graph that computes some keys.

    Its cost grows with the part: `HighLevelGraph.cull` looks at all keys, which for thousands of parts of a large graph
    is most of the work. Layers whose tasks are not made yet stay so.
    """
    found: dict[str, list[tuple[Layer, Needs]]] = defaultdict(list)
    for name, layer, needs in culled(graph, keys):
        found[name].append((layer, needs))
    layers = {name: _joined(graph, name, parts) for name, parts in found.items()}
    return HighLevelGraph(layers, {name: graph.dependencies[name] & layers.keys() for name in layers})


def _joined(graph: HighLevelGraph, name: str, parts: Sequence[tuple[Layer, Needs]]) -> Layer:
    """Return parts of a layer as one; usually there is only one."""
    if len(parts) == 1:
        return parts[0][0]
    return graph.layers[name].cull({key for _, needs in parts for key in needs}, Keys(graph))[0]


def culled(graph: HighLevelGraph, keys: Iterable[Any], known: Container[Any] = ()) -> list[tuple[str, Layer, Needs]]:
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
