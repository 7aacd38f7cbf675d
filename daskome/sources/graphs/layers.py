"""Layers of a Dask graph: which of them has a key, found without making tasks, and whether they only cut an array."""

from dataclasses import dataclass
from typing import Any

import dask.array as da
from dask._task_spec import Alias, DataNode
from dask.array.optimization import GETTERS
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer

ORIGINAL = "original-"
"""Before the name of the layer in which `da.from_array` keeps the array, alone."""


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


def literal(node: Any) -> Any:
    """Return what a node of a graph holds as it is; the node itself, if it is no literal."""
    return node.value if isinstance(node, DataNode) else node


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
