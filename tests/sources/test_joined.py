"""Array-likes in a grid are one array: that which NumPy makes of them."""

import pickle
from itertools import accumulate, pairwise, product

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.graphs.arrays_read import stored_at
from daskome.sources.joined import Joined
from tests.strategies import law

LENGTHS = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@st.composite
def joined(draw):
    """An array of up to three axes, cut into parts in a grid, of which some axes are left out of the parts."""
    blocks = tuple(tuple(draw(LENGTHS)) for _ in range(draw(st.integers(1, 3))))
    added = tuple(i for i, sizes in enumerate(blocks) if set(sizes) == {1} and draw(st.booleans()))
    whole = np.arange(np.prod([sum(sizes) for sizes in blocks])).reshape([sum(sizes) for sizes in blocks])
    starts = [[0, *accumulate(sizes)] for sizes in blocks]
    cuts = product(*[[slice(a, b) for a, b in pairwise(s)] for s in starts])
    parts = tuple(whole[cut].reshape([n for i, n in enumerate(whole[cut].shape) if i not in added]) for cut in cuts)
    return whole, Joined(parts, blocks, whole.dtype, added)


@law(derandomize=False)
@given(data=st.data(), pair=joined())
def test_any_region_is_that_of_the_whole(data, pair):
    whole, array = pair
    region = tuple(
        (a, data.draw(st.integers(a, n), "stop")) for n in whole.shape for a in [data.draw(st.integers(0, n), "start")]
    )
    index = tuple(slice(*span) for span in region)
    assert array.shape == whole.shape
    np.testing.assert_array_equal(array[index], whole[index])
    some = pickle.loads(pickle.dumps(array.within(region)))
    np.testing.assert_array_equal(some[index], whole[index])


def test_a_unit_carries_no_more_parts_than_it_reads():
    array = Joined(tuple(np.full((2,), i) for i in range(10_000)), ((1,) * 10_000, (2,)), np.dtype(int), (0,))
    some = array.within(((5_000, 5_003), (0, 2)))
    assert [part[0] for part in some.parts] == [5_000, 5_001, 5_002]
    assert len(pickle.dumps(some)) < 2_000


def test_a_target_that_overlaps_one_of_several_is_refused(tmp_path):
    for name in "ab":
        daskome.write_image(np.zeros((4, 4), "u1"), tmp_path / f"{name}.ome.zarr", axes="yx")
    image = daskome.read([tmp_path / "a.ome.zarr", tmp_path / "b.ome.zarr"], stack="c")
    assert [type(one) for one in stored_at(as_source(image))] == [zarr.Array] * 2
    with pytest.raises(ValueError, match="overlaps the source"):
        daskome.write_image(image, tmp_path / "b.ome.zarr", overwrite=True)
