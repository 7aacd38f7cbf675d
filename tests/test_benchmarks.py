"""The benchmarks run, and memory is as planned."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import memory

MIB = 2**20


def test_every_benchmark_runs_tiny() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny"], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for heading in ("## kernels", "## memory", "## throughput", "daskome", "loop", "tensorstore"):
        assert heading in done.stdout


@pytest.mark.slow
def test_memory_is_flat_with_size_and_within_the_prediction() -> None:
    costs = {case.name: memory.run(case) for case in memory.CASES}
    for name, cost in costs.items():
        assert cost.peak <= cost.result, (
            f"{name}: peak {cost.peak / MIB:.0f} MiB, predicted {cost.result / MIB:.0f} MiB"
        )
    small, large = (costs[case.name].peak for case in memory.CASES[:2])
    assert abs(large - small) < 50 * MIB
    assert max(large, small) < 450e6
