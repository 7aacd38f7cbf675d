"""The benchmarks run, and memory is as planned."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import awkward, bounded, memory
from benchmarks.__main__ import QUESTIONS
from benchmarks.schedule import WORLDS, World, simulated
from daskome.execution.cluster import SPILL_FRACTION

MIB, ROOT = 2**20, Path(__file__).parents[2]
LONG = ["2 GiB, planes 1×2048²", "2 GiB, planes 1×2048², dask", "2 GiB, gaussian", "1 GiB, mean, uint8"]
"""Cases that are measured by hand, since others are like them."""


TIGHT = ["planes to cubes", "columns to planes", "map_blocks that needs much", "map_overlap"]
"""Awkward images of several kinds; the others are measured by hand."""
STARTS = ["awkward", "bounded", "cloud", "cluster", "floor", "graph", "memory", "peers", "shards", "start"]
"""Questions for which clusters, servers, other programs or many processes are started."""
WORDS = {"floor": ["loop", "tensorstore"], "peers": ["daskome"], "cloud": ["S3"], "schedule": ["workers"]}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("question", [pytest.param(q, marks=[pytest.mark.slow] * (q in STARTS)) for q in QUESTIONS])
def test_every_question_is_answered_tiny(question: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", question], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| --- |"), done.stdout
    for word in ["## " + question, *WORDS.get(question, [])]:
        assert word in done.stdout


def test_every_benchmark_is_a_question_and_told_of() -> None:
    told = (ROOT / "benchmarks" / "README.md").read_text()
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if "argparse" in path.read_text()}
    assert files - {"__main__"} == set(QUESTIONS)
    assert [q for q in QUESTIONS if f"`{q}.py`" not in told] == []


def test_a_simulated_schedule_is_what_can_be_counted_by_hand() -> None:
    kind = WORLDS["undisturbed"]
    stages = [(8, 100.0), (2, 50.0), (1, 10.0)]
    assert [simulated(stages, workers, [10.0], kind) for workers in (1, 2, 8, 100)] == [91, 46, 16, 16]
    assert simulated(stages, 1000, [10.0], World(0, 0, 1, dispatch=1)) == 8 + 10 + 2 + 5 + 1 + 1
    assert simulated(stages, 4, [10.0], World(0, 1, 3, 0)) == 3 * simulated(stages, 4, [10.0], kind)
    assert 91 < simulated(stages, 1, [10.0], World(0.5, 0, 1, 0)) < 91 * 3


@pytest.mark.slow
def test_memory_is_flat_with_size() -> None:
    small, large = (memory.run(case) for case in memory.CASES[:2])
    assert abs(large.peak - small.peak) < 50 * MIB
    assert max(large.peak, small.peak) <= small.result <= large.result < small.result + 4 * MIB


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [case for case in memory.CASES[2:] if case.name not in LONG], ids=lambda case: case.name
)
def test_memory_is_within_the_prediction(case: memory.Case) -> None:
    cost = memory.run(case)
    assert cost.peak <= cost.result <= 2.5 * cost.peak


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", [case for case in awkward.CASES if case.name in TIGHT], ids=lambda case: case.name)
def test_awkward_images_hold_no_more_than_predicted_and_allowed(case: awkward.Case) -> None:
    assert awkward.run(case).holds


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", bounded.SMALL, ids=lambda case: case.name)
def test_workers_with_little_memory_write_what_is_larger_without_need(case: bounded.Case) -> None:
    found, _ = bounded.run(case)
    assert (found.spills, found.pauses, found.restarts) == (0, 0, 0)
    assert max(found.peaks) <= found.predicted <= SPILL_FRACTION * case.limit
