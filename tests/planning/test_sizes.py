"""What a plan from a stranger's store says of sizes is bounded before it is believed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from daskome.model.image import DTYPES
from daskome.planning.plan import Plan
from daskome.planning.sizes import MOST_LEVELS, MOST_UNITS_PLANNED, check_sizes, check_units
from tests.strategies import Case, cases, law, volume

FOUND = json.loads(volume().plan().to_json())
HOSTILE: dict[str, Any] = {
    "shape": lambda plan, pyramid, pass_: pyramid["levels"][0].update(shape=[2**63] * 3),
    "chunks": lambda plan, pyramid, pass_: pyramid["levels"][0].update(write_chunks=[2**40] * 3),
    "no chunk": lambda plan, pyramid, pass_: pyramid["levels"][0]["layout"].update(chunks=[0] * 3),
    "text": lambda plan, pyramid, pass_: pyramid["levels"][0].update(shape=["64"] * 3),
    "axes": lambda plan, pyramid, pass_: pyramid["levels"][0].update(shape=[64] * 2),
    "factors": lambda plan, pyramid, pass_: pyramid["levels"][-1].update(factors=[0.0] * 3),
    "NaN": lambda plan, pyramid, pass_: pyramid["levels"][-1].update(scale=[float("nan")] * 3),
    "dtype": lambda plan, pyramid, pass_: pyramid.update(dtype="object"),
    "levels": lambda plan, pyramid, pass_: pyramid.update(levels=pyramid["levels"][:1] * (MOST_LEVELS + 1)),
    "no levels": lambda plan, pyramid, pass_: pyramid.update(levels=[]),
    "stages": lambda plan, pyramid, pass_: plan.update(stages=plan["stages"] * 10_000),
    "passes": lambda plan, pyramid, pass_: plan["stages"][0].update(passes=[pass_] * 10_000),
    "units": lambda plan, pyramid, pass_: (
        pyramid["levels"][0].update(shape=[2**40] * 3),
        pass_.update(unit=[64] * 3),
    ),
    "no unit": lambda plan, pyramid, pass_: pass_.update(unit=[0] * 3),
    "half a unit": lambda plan, pyramid, pass_: pass_.update(unit=[0.5] * 3),
    "less memory": lambda plan, pyramid, pass_: pass_.update(unit_memory=0),
    "large pieces": lambda plan, pyramid, pass_: (
        pyramid["levels"][0].update(shape=[2**20] * 3),
        pass_.update(read_chunks=[2**20] * 3, unit=[2**20] * 3),
    ),
    "ahead": lambda plan, pyramid, pass_: pass_.update(ahead=10**12),
    "beyond": lambda plan, pyramid, pass_: pass_.update(stop=10**9),
    "backwards": lambda plan, pyramid, pass_: pass_.update(first=-1),
    "images": lambda plan, pyramid, pass_: pass_.update(image=-1),
    "threads": lambda plan, pyramid, pass_: plan["workers"].update(threads=2**40),
    "no threads": lambda plan, pyramid, pass_: plan["workers"].update(threads=0),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_sizes_that_cannot_be_are_refused(change: Any) -> None:
    plan = json.loads(json.dumps(FOUND))
    change(plan, plan["pyramids"][0], plan["stages"][0]["passes"][0])
    with pytest.raises(ValueError, match=r"^this (plan|is written in)"):
        Plan.from_json(json.dumps(plan))


@law(max_examples=25)
@given(case=cases())
def test_every_plan_that_is_made_is_believed(case: Case) -> None:
    check_sizes(case.plan())


@law(max_examples=25)
@given(case=cases(), dtype=st.sampled_from(DTYPES), edge=st.integers(1, 2**21))
def test_what_is_believed_names_its_memory(case: Case, dtype: str, edge: int) -> None:
    """Whatever units and pieces a plan claims, one that is believed says at least what a block of it takes."""
    plan = case.plan()
    pass_ = plan.stages[0].passes[0]
    forged = replace(pass_, unit=(edge,) * len(pass_.unit), read_chunks=(edge,) * len(pass_.unit))
    changed = replace(plan, stages=(replace(plan.stages[0], passes=(forged,)), *plan.stages[1:]))
    try:
        check_sizes(changed)
    except ValueError:
        return
    assert edge ** len(pass_.unit) * changed.pyramid(forged).itemsize <= forged.unit_memory


def test_more_units_than_can_be_listed_are_refused_before_anything_is_written() -> None:
    plan = volume(300).plan()
    check_units(plan)
    (level, *rest), pyramid = plan.pyramids[0].levels, plan.pyramids[0]
    huge = replace(pyramid, levels=(replace(level, shape=(2**30,) * 3), *rest))
    many = replace(plan, groups=tuple(replace(group, pyramid=huge) for group in plan.groups))
    assert many.n_units > MOST_UNITS_PLANNED
    with pytest.raises(ValueError, match="larger chunks or shards"):
        check_units(many)
