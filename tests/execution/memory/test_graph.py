"""What a Dask graph is told to hold, against what it holds when it runs."""

import tracemalloc
from collections.abc import Callable
from math import prod
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask._task_spec import Task, TaskRef
from dask.array.optimization import optimize
from dask.core import flatten
from hypothesis import given, strategies as st

from daskome.execution.memory.graph import TASK_NBYTES, held_by, known_blocks
from daskome.sources.adapt import as_source
from tests.strategies import law

SHAPE = (64, 256, 256)
FIRST_NBYTES = 2**20
"""What is made once, when a graph first runs."""


class Read:
    """An array-like that makes what is asked of it, as a file does."""

    shape, dtype, ndim = SHAPE, np.dtype("uint16"), 3

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        spans = [(i, n) for i, n in zip(index, SHAPE, strict=True) if isinstance(i, slice)]
        return np.ones([len(range(*i.indices(n))) for i, n in spans], self.dtype)


def source(chunks: tuple[int, ...]) -> Any:
    return da.from_array(Read(), chunks=chunks)


def written(block: Any) -> None:
    """Take a block, and leave nothing."""


def graph_of(array: Any) -> tuple[dict[Any, Any], dict[Any, int]]:
    """Return the graph that goes through the blocks of an array, as a unit does, and the tasks that take them."""
    keys = list(flatten(array.__dask_keys__()))
    graph = dict(optimize(array.__dask_graph__(), keys))
    taken = {("written", *key): Task(("written", *key), written, TaskRef(key)) for key in keys}
    return {**graph, **taken}, dict.fromkeys(taken, 0)


def told(image: Any) -> int:
    array = as_source(image).array
    graph, taken = graph_of(array)
    return held_by(graph, known_blocks(array.__dask_graph__()), prod(array.chunksize) * 2, taken)


def measured(image: Any) -> int:
    graph, taken = graph_of(as_source(image).array)
    dask.get(graph, [*taken][:1])
    tracemalloc.start()
    try:
        dask.get(graph, list(taken))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def smoothed(block: Any) -> Any:
    return block + np.roll(block, 1, 0)


IMAGES: dict[str, Callable[[Any], Any]] = {
    "plus one": lambda x: x + 1,
    "in float64": lambda x: (x.astype("float64") * 2).astype("uint16"),
    "a sum": lambda x: x + x // 2 + x // 3,
    "to cubes": lambda x: (x + 1).rechunk((64, 64, 64)),
    "to planes": lambda x: (x + 1).rechunk((1, 256, 256)),
    "rechunked twice": lambda x: (x + 1).rechunk((8, 256, 256)).rechunk((64, 32, 256)) + 1,
    "overlapped": lambda x: x.map_overlap(smoothed, depth=2, boundary="reflect", dtype="uint16"),
    "transposed": lambda x: (x + 1).transpose(2, 1, 0).rechunk((64, 64, 64)),
    "sliced": lambda x: (x + 1)[:, ::2, 3:],
    "concatenated": lambda x: da.concatenate([x[:32], x[32:] + 1]).rechunk((64, 64, 64)),
    "stacked": lambda x: da.stack([x[z] + 1 for z in range(64)]).rechunk((64, 64, 64)),
    "where": lambda x: da.where(x > 1, x, 0).astype("uint16"),
}


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    "chunks",
    [(64, 64, 64), *(pytest.param(c, marks=pytest.mark.extended) for c in [(1, 256, 256), (32, 64, 64), SHAPE])],
    ids=str,
)
def test_a_graph_holds_what_is_told_of_it(name: str, chunks: tuple[int, ...]) -> None:
    image = IMAGES[name](source(chunks))
    told_, measured_ = told(image), measured(image)
    assert measured_ <= 1.1 * told_ + FIRST_NBYTES
    assert told_ <= 2 * measured_ + FIRST_NBYTES


@pytest.mark.extended
@given(st.tuples(*(st.integers(1, n) for n in (8, 16, 16))), st.tuples(*(st.integers(1, n) for n in (8, 16, 16))))
@law(max_examples=15, derandomize=False)
def test_rechunking_holds_no_less_than_a_block_and_no_more_than_both_images(first: Any, then: Any) -> None:
    x = da.from_array(Read(), chunks=first)[:8, :16, :16] + 1
    image = x.rechunk(then)
    tasks = TASK_NBYTES * len(graph_of(as_source(image).array)[0])
    assert prod(image.chunksize) * 2 <= told(image) - tasks <= 5 * 8 * 16 * 16 * 2


def test_what_is_in_memory_counts_for_nothing() -> None:
    array = np.zeros(SHAPE, "uint16")
    assert told(da.from_array(array, chunks=(8, 256, 256))) < 8 * 256 * 256 * 2
    assert told(da.from_array(array, chunks=(8, 256, 256)) + 1) <= 3 * 8 * 256 * 256 * 2


def test_functions_of_callers_are_taken_to_need_as_much_again() -> None:
    x = source((64, 64, 64)) + 1
    assert told(x.map_blocks(smoothed, dtype="uint16")) > told(x + 1)
