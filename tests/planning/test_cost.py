"""Laws of `daskome.planning.cost`: time is never less than the work allows, and more workers never take longer."""

from heapq import heapreplace

import pytest
from hypothesis import given, strategies as st

from daskome.planning.cost import LARGEST_PUT, Load, puts, seconds
from tests.strategies import law

units = st.lists(st.integers(1, 100), min_size=1, max_size=60)
workers = st.integers(1, 80)


def load(nbytes: list[int]) -> Load:
    return Load(len(nbytes), sum(nbytes), max(nbytes))


@law(max_examples=200)
@given(nbytes=units, parallel=workers)
def test_a_schedule_of_the_units_takes_no_longer(nbytes: list[int], parallel: int) -> None:
    """Each unit goes to the thread that is free first, in any order."""
    free = [0.0] * parallel
    for n in nbytes:
        heapreplace(free, free[0] + n)
    said = load(nbytes).seconds(parallel, 1)
    assert max(free) <= said + 1e-9
    assert said >= max(max(nbytes), sum(nbytes) / parallel) - 1e-9


@law(max_examples=200)
@given(nbytes=units, parallel=workers)
def test_more_workers_never_take_longer(nbytes: list[int], parallel: int) -> None:
    assert load(nbytes).seconds(parallel + 1, 1) <= load(nbytes).seconds(parallel, 1) + 1e-9


@law(max_examples=50)
@given(stages=st.lists(units, max_size=4), parallel=workers, rate=st.floats(0.5, 1e9))
def test_stages_wait_for_each_other(stages: list[list[int]], parallel: int, rate: float) -> None:
    loads = [load(nbytes) for nbytes in stages]
    assert seconds(loads, parallel, rate) == pytest.approx(sum(one.seconds(parallel, rate) for one in loads))


@pytest.mark.parametrize(
    ("n_objects", "nbytes", "found"),
    [(5, 2**20, 5), (5, LARGEST_PUT - 1, 5), (2, LARGEST_PUT, 2 * (2 + 2)), (1, 2**30, 21 + 2), (0, 2**40, 0)],
)
def test_large_objects_go_in_parts(n_objects: int, nbytes: int, found: int) -> None:
    """A request begins them, one ends them, and one a part."""
    assert puts(n_objects, nbytes) == found
