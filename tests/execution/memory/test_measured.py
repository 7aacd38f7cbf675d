"""Units of images that are computed: no more at a time than memory holds, by what is predicted, then by what is measured."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, strategies as st

import daskome
from daskome.execution.memory.measured import Room, _Gate
from daskome.planning.work import PROCESS_MEM
from tests.strategies import law

MIB = 2**20


def run_all(gate: Any, rooms: Sequence[Room]) -> list[tuple[int, int]]:
    """Run units side by side; return, for each, what all that ran beside it were to take, and how many they were."""
    now: list[int] = []
    seen, lock = [], threading.Lock()

    def unit(room: Room) -> None:
        with gate.enter(room):
            with lock:
                now.append(room.nbytes)
                seen.append((sum(now), len(now)))
            time.sleep(0.001)
            with lock:
                now.remove(room.nbytes)

    threads = [threading.Thread(target=unit, args=(room,)) for room in rooms]
    for each in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            each(thread)
    return seen


@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.integers(1, 200))
@law(max_examples=25, derandomize=False)
def test_units_take_no_more_together_than_there_is_unless_one_does_alone(sizes: list[int], limit: int) -> None:
    for nbytes, n in run_all(_Gate(), [Room(i, size, limit, 1) for i, size in enumerate(sizes)]):
        assert nbytes <= limit or n == 1


def test_the_first_unit_runs_alone_where_memory_is_short() -> None:
    gate = _Gate()
    seen = run_all(gate, [Room("a", MIB, 8 * MIB, 4)] * 6)
    assert seen[0] == (MIB, 1)
    assert list(gate.measured) == ["a"]
    plenty = _Gate()
    run_all(plenty, [Room("a", MIB, 2**40, 4)] * 6)
    assert not plenty.measured


def test_units_that_fail_are_not_measured_and_hold_up_no_other() -> None:
    gate = _Gate()
    with pytest.raises(OSError, match="read"), gate.enter(Room("a", MIB, MIB, 1)):
        raise OSError("read")
    assert not gate.measured
    assert run_all(gate, [Room("a", MIB, 8 * MIB, 2)] * 3)


def test_an_image_made_by_writing_another_does_not_wait_for_itself() -> None:
    gate = _Gate()
    with gate.enter(Room("a", MIB, MIB, 1)), gate.enter(Room("b", MIB, MIB, 1)):
        pass


def hungry(block: Any) -> Any:
    """Take 64 MiB besides the result, for long enough to be seen."""
    taken = np.ones(64 * MIB, "uint8")
    time.sleep(0.02)
    return block + taken[0]


@pytest.mark.extended
def test_what_functions_need_is_measured_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    image = da.zeros((64, 64, 64), chunks=16, dtype="uint8").map_blocks(hungry, dtype="uint8")
    memory = PROCESS_MEM + 100 * MIB
    options: dict[str, Any] = {"scale_factors": [2], "storage_options": {"chunks": 32}, "memory": memory}
    with dask.config.set(num_workers=4), caplog.at_level(logging.WARNING, "daskome"):
        planned = daskome.plan_image(image, **options)
        assert "the first unit of each worker runs alone and is measured" in repr(planned)
        done = daskome.write_image(image, tmp_path / "a", **options)
    assert planned.thread_memory < 30 * MIB < 64 * MIB <= done.thread_memory
    assert done.stages[0].passes[0].abreast == 1
    assert "1 unit of" in repr(done)
    assert "1 unit of 4 run at a time" in caplog.text


@pytest.mark.extended
def test_the_journal_keeps_what_was_measured(tmp_path: Path) -> None:
    image = da.zeros((64, 64, 64), chunks=16, dtype="uint8").map_blocks(hungry, dtype="uint8")
    memory = PROCESS_MEM + 100 * MIB
    with dask.config.set(num_workers=4):
        daskome.write_image(image, tmp_path / "a", [2], storage_options={"chunks": 32}, memory=memory, compute="init")
        daskome.run_part(tmp_path / "a", image, part=(0, 1), memory=memory)
    records = [json.loads(path.read_text()) for path in (tmp_path / "a" / ".daskome").glob("*/0/*")]
    assert max(record["measured"] for record in records) >= 64 * MIB
