"""Laws of `daskome.model.regions`: parts tile, factors carry regions up and down, and counting finds the same."""

from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from daskome.model import regions
from daskome.model.chunks import (
    Regular,
    align_to_factor,
    block_sizes,
    chunks_within,
    consolidated,
    longest_chunk,
    longest_consolidated,
    read_amplification,
)
from tests.strategies import law, per, ragged

lengths = st.integers(1, 50)
chunks_of_an_axis = lengths.flatmap(ragged)
empty_and_not = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any).map(tuple)
shapes = st.lists(st.integers(1, 12), min_size=1, max_size=3).map(tuple)
steps = st.integers(1, 60)


@st.composite
def regions_in(draw: st.DrawFn) -> tuple[tuple[int, ...], regions.Region]:
    """Draw a shape, and a region of at least a voxel in it."""
    shape = draw(shapes)
    starts = [draw(st.integers(0, n - 1)) for n in shape]
    return shape, tuple((a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True))


@law(max_examples=200)
@given(n=st.integers(0, 500), most=st.integers(1, 70))
def test_what_is_spread_has_equal_steps_and_leaves_no_gap_wider_than_needed(n: int, most: int) -> None:
    found = list(regions.spread(n, most))
    step = -(-n // most)
    assert len(found) <= most
    assert found == [i for i in range(n) if i % step == 0]


@law(max_examples=300)
@given(data=st.data(), n=lengths, step=steps, halo=st.integers(0, 20), limit=steps)
def test_regular_chunks_are_chunks(data: st.DataObject, n: int, step: int, halo: int, limit: int) -> None:
    """What is reckoned of them is what counting finds of the same sizes one by one."""
    chunks = Regular(n, data.draw(st.integers(1, n)))
    counted = tuple(chunks)
    assert (sum(counted), len(chunks), chunks[0], chunks[-1]) == (n, len(counted), counted[0], counted[-1])
    assert counted == block_sizes(regions.whole((n,)), (chunks.step,))[0] == chunks[:]
    assert longest_chunk(chunks) == max(counted)
    assert longest_consolidated(chunks, limit) == max(consolidated(counted, limit))
    assert read_amplification(chunks, step, halo) == pytest.approx(read_amplification(counted, step, halo))
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start, n))
    assert chunks_within(chunks, start, stop) == chunks_within(counted, start, stop)


def test_regular_chunks_take_no_room() -> None:
    """Ten million million of them are reckoned with as few are; a tuple would not fit into memory."""
    chunks = Regular(10**13, 1)
    assert (len(chunks), chunks[-1], longest_chunk(chunks)) == (10**13, 1, 1)
    assert read_amplification(chunks, 1000, 5) == pytest.approx(1.01)
    assert read_amplification(Regular(10**13, 1000), 999) == pytest.approx(2)
    with pytest.raises(IndexError):
        chunks[10**13]


@law(max_examples=100)
@given(a=st.integers(0, 10**30), b=st.integers(1, 10**20))
def test_ceil_div_is_exact_at_any_size(a: int, b: int) -> None:
    assert (regions.ceil_div(a, b) - 1) * b < a <= regions.ceil_div(a, b) * b


@law(max_examples=100)
@given(drawn=regions_in(), data=st.data())
def test_blocks_tile_a_region_along_the_lines_of_the_grid(drawn: Any, data: st.DataObject) -> None:
    shape, region = drawn
    blocks = data.draw(per(shape, lambda _: st.integers(1, 15)))
    seen = np.zeros(shape, int)
    for part in regions.blocks_of(region, blocks):
        seen[regions.slices(part)] += 1
        assert all(a // step == (b - 1) // step for (a, b), step in zip(part, blocks, strict=True))
    inside = np.zeros(shape, int)
    inside[regions.slices(region)] = 1
    np.testing.assert_array_equal(seen, inside)
    assert regions.size(region) == inside.sum()
    assert regions.shape_of(region) == inside[regions.slices(region)].shape
    assert tuple(map(sum, block_sizes(region, blocks))) == regions.shape_of(region)


@law(max_examples=100)
@given(shape=shapes, data=st.data())
def test_the_blocks_of_a_grid_tile_a_shape(shape: tuple[int, ...], data: st.DataObject) -> None:
    blocks = data.draw(per(shape, lambda _: st.integers(1, 15)))
    seen = np.zeros(shape, int)
    for index in np.ndindex(regions.n_blocks(shape, blocks)):
        part = regions.block(index, blocks, shape)
        assert regions.size(part) > 0
        seen[regions.slices(part)] += 1
    assert (seen == 1).all()
    assert regions.size(regions.whole(shape)) == seen.size


@law(max_examples=100)
@given(drawn=regions_in(), data=st.data())
def test_coarser_undoes_finer_and_holds_every_window(drawn: Any, data: st.DataObject) -> None:
    shape, _ = drawn
    factors = data.draw(per(shape, lambda _: st.integers(1, 5)))
    above = tuple(regions.ceil_div(n, f) for n, f in zip(shape, factors, strict=True))
    starts = [data.draw(st.integers(0, n - 1)) for n in above]
    region = tuple((a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, above, strict=True))
    below = regions.finer(region, factors, shape)
    assert regions.coarser(below, factors) == region
    for (a, b), (c, d), f, n in zip(region, below, factors, shape, strict=True):
        windows = {voxel // f for voxel in range(n) if c <= voxel < d}
        assert windows == set(range(a, b))
        assert {voxel for voxel in range(n) if voxel // f in windows} == set(range(c, d))


@law(max_examples=100)
@given(drawn=regions_in(), data=st.data())
def test_a_halo_is_cut_by_the_edges(drawn: Any, data: st.DataObject) -> None:
    shape, region = drawn
    halo = data.draw(per(shape, lambda _: st.integers(0, 5)))
    grown = regions.with_halo(region, halo, shape)
    for (a, b), (c, d), h, n in zip(region, grown, halo, shape, strict=True):
        assert set(range(c, d)) == set(range(a - h, b + h)) & set(range(n))
    margins = regions.margins(grown, region)
    assert tuple((c + lo, d - hi) for (c, d), (lo, hi) in zip(grown, margins, strict=True)) == region
    assert all(0 <= m <= h for pair, h in zip(margins, halo, strict=True) for m in pair)


@law(max_examples=100)
@given(chunks=empty_and_not, data=st.data())
def test_cut_keeps_what_lies_between(chunks: tuple[int, ...], data: st.DataObject) -> None:
    owner = np.repeat(np.arange(len(chunks)), chunks)
    start = data.draw(st.integers(0, len(owner)))
    stop = data.draw(st.integers(start, len(owner)))
    _, sizes = np.unique(owner[start:stop], return_counts=True)
    assert chunks_within(chunks, start, stop) == tuple(sizes)


@law(max_examples=100)
@given(chunks=chunks_of_an_axis, limit=steps)
def test_gathered_joins_and_never_splits(chunks: tuple[int, ...], limit: int) -> None:
    joined = consolidated(chunks, limit)
    assert set(accumulate(joined)) <= set(accumulate(chunks))
    assert sum(joined) == sum(chunks)
    assert all(size <= limit or size in chunks for size in joined)
    first = dict(zip(accumulate((0, *chunks)), chunks, strict=False))
    assert all(size + first[edge] > limit for size, edge in zip(joined[:-1], accumulate(joined), strict=False))


@law(max_examples=100)
@given(chunks=chunks_of_an_axis, factor=st.integers(1, 9))
def test_aligned_joins_until_no_window_is_cut(chunks: tuple[int, ...], factor: int) -> None:
    joined = align_to_factor(chunks, factor)
    edges, own = list(accumulate(joined)), set(accumulate(chunks))
    assert set(edges) <= own
    assert edges[-1] == sum(chunks)
    assert set(edges[:-1]) == {edge for edge in own if edge % factor == 0} - {edges[-1]}


@law(max_examples=150)
@given(chunks=empty_and_not, step=steps)
def test_amplification_is_what_counting_finds(chunks: tuple[int, ...], step: int) -> None:
    owner = np.repeat(np.arange(len(chunks)), chunks)
    read = sum(chunks[c] for a in range(0, len(owner), step) for c in set(owner[a : a + step]))
    assert read_amplification(chunks, step) == pytest.approx(read / len(owner))
    assert read_amplification(chunks, step) >= 1


@law(max_examples=50)
@given(step=steps, chunk=steps, n=lengths)
def test_what_divides_is_read_once(step: int, chunk: int, n: int) -> None:
    chunks = block_sizes(((0, n),), (chunk,))[0]
    assert (read_amplification(chunks, step) == 1.0) == (step % chunk == 0 or step >= n or chunk == 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (regions.n_blocks((100, 1, 64), (64, 64, 64)), (2, 1, 1)),
        (regions.shape_of(((2, 5), (0, 1))), (3, 1)),
        (regions.slices(((2, 5),)), (slice(2, 5),)),
        (regions.whole((4, 5)), ((0, 4), (0, 5))),
        (block_sizes(((3, 10), (0, 4)), (4, 4)), ((1, 4, 2), (4,))),
        (list(regions.spans_of(5, 5, 3)), []),
        (regions.coarser(((0, 7), (6, 9)), (2, 3)), ((0, 4), (2, 3))),
        (regions.finer(((0, 4), (2, 3)), (2, 3), (7, 8)), ((0, 7), (6, 8))),
        (consolidated((5, 1, 1, 9), 3), (5, 2, 9)),
        (align_to_factor((4, 4), 2), (4, 4)),
        (align_to_factor((1, 1, 1), 5), (3,)),
        (regions.format_region(((0, 4), (2, 8)), "yx"), "y 0:4, x 2:8"),
    ],
)
def test_examples(found: Any, expected: Any) -> None:
    assert found == expected


@pytest.mark.parametrize("function", [regions.n_blocks])
def test_tuples_of_different_length_are_a_mistake(function: Any) -> None:
    with pytest.raises(ValueError, match="zip"):
        function((4, 4), (2,))
