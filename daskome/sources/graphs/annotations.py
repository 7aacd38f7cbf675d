"""Dask annotations of an image: what its tasks ask of a scheduler, and so what the units that run them ask."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final

import dask.array as da
from dask.highlevelgraph import HighLevelGraph, Layer

Annotations = dict[str, Any]


def annotations_of(graph: HighLevelGraph) -> Annotations:
    """Return what one task must ask of a scheduler to do the work of all tasks of a graph.

    Annotations are combined as Dask does where it makes one task of several (`COMBINED`).

    Raises
    ------
    ValueError
        If they are confined to different workers.

    Examples
    --------
    >>> import dask, dask.array as da
    >>> with dask.annotate(priority=1, resources={"GPU": 1}):
    ...     x = da.zeros(4, chunks=2)
    >>> with dask.annotate(priority=5, resources={"RAM": 2}):
    ...     y = x + 1
    >>> sorted(annotations_of(y.dask).items())
    [('priority', 5), ('resources', {'GPU': 1, 'RAM': 2})]
    """
    layers = [*graph.layers.values()]
    stated = {name: [*_stated(layers, name)] for name in COMBINED}
    combined = {name: COMBINED[name](values) for name, values in stated.items() if values}
    anywhere = combined.get("allow_other_workers", False)
    if combined.get("workers") == [] and not anywhere:
        raise ValueError(
            f"parts of the image are confined to different workers ({stated['workers']}), but one task reads them"
            " together; persist() these parts first, or annotate them with allow_other_workers=True"
        )
    return combined if combined.get("workers") else _without(combined, "workers", "allow_other_workers")


def without_annotations(array: da.Array) -> da.Array:
    """Return an array whose tasks ask nothing of a scheduler, so that Dask can fuse them, whatever they asked."""
    graph = array.__dask_graph__()
    layers = {name: copy(layer) for name, layer in graph.layers.items()}
    for layer in layers.values():
        layer.annotations = None
    return da.Array(HighLevelGraph(layers, graph.dependencies), array.name, array.chunks, meta=array._meta)


def _stated(layers: Iterable[Layer], name: str) -> Iterator[Any]:
    """Yield what layers say of one annotation; functions of keys say it for each."""
    for layer in layers:
        value = (layer.annotations or {}).get(name)
        if callable(value):
            yield from map(value, layer.get_output_keys())
        elif value is not None:
            yield value


def _without(annotations: Annotations, *names: str) -> Annotations:
    return {name: value for name, value in annotations.items() if name not in names}


def _largest(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the most that is needed of each resource: what comes one after the other needs no more at a time."""
    return {name: max(one.get(name, 0) for one in values) for one in values for name in one}


def _common(values: Sequence[Any]) -> list[Any]:
    """Return the workers that all name; one alone may stand without a list."""
    first, *others = ([each] if isinstance(each, str | int) else [*each] for each in values)
    return [worker for worker in first if all(worker in other for other in others)]


COMBINED: Final[Mapping[str, Callable[[Sequence[Any]], Any]]] = {
    "resources": _largest,
    "priority": max,
    "retries": max,
    "workers": _common,
    "allow_other_workers": all,
}
"""What a scheduler of Dask knows of, and how the values of several tasks become that of one."""
