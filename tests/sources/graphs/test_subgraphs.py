"""The part of a Dask graph that some keys need: all that they need, found without a walk over the rest."""

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask.core import get_dependencies
from hypothesis import given, strategies as st

from daskome.sources.graphs.layers import materialize
from daskome.sources.graphs.shared_results import shared_keys
from daskome.sources.graphs.subgraphs import restrict, subgraph
from tests.sources.graphs.images import IMAGES
from tests.strategies import law


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", IMAGES)
@law(max_examples=10, derandomize=False)
@given(data=st.data())
def test_a_cone_is_closed_and_has_the_same_values(name: str, data: Any) -> None:
    array = IMAGES[name]()
    block = tuple(data.draw(st.integers(0, n - 1)) for n in array.numblocks)
    graph, key = materialize(array).__dask_graph__(), (array.name, *block)
    found = dict(subgraph(graph, [key]))
    needed = {one for task in found.values() for one in get_dependencies(graph, task=task)}
    assert needed | {key} == set(found)
    np.testing.assert_array_equal(dask.get(found, key), array.blocks[block].compute())


def test_cutting_many_parts_does_not_walk_the_rest() -> None:
    """As `HighLevelGraph.cull` does: it looked at every key for every unit."""
    image = da.zeros((2**16, 2**16, 2**16), chunks=64, dtype="uint8") + 1  # 2**30 blocks: walking them takes hours
    found = restrict(image[:64, :64, 64:128])
    assert len(dict(found.dask)) <= 4
    assert shared_keys(image) == ((), ())
