"""What a caller gives as progress, and the bar that True stands for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from zarr.storage import MemoryStore

import daskome
from daskome.execution import progress
from daskome.execution.progress import Pace, TextBar
from daskome.model.problem import WriteError

IMAGE = np.ones((64, 64), "uint8")


def written(given: Any, target: Any) -> None:
    daskome.write_image(IMAGE, target, [2], axes="yx", storage_options={"chunks": 16}, progress=given)


@pytest.mark.parametrize("given", [5, "yes", 0, 1, lambda: None, lambda n: None, lambda a, b, c: None, [print]])
def test_what_cannot_be_called_with_two_numbers_is_refused_before_anything_is_written(
    tmp_path: Path, given: Any
) -> None:
    with pytest.raises(ValueError, match=r"^progress=.*must be True, for a bar, or a function"):
        written(given, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    for call in (daskome.validate, daskome.verify, daskome.run_part):
        with pytest.raises(ValueError, match="must be True, for a bar"):
            call(MemoryStore(), progress=given)  # type: ignore[operator]


@pytest.mark.parametrize("columns", [30, 80, 81, 200])
def test_true_is_a_bar_on_a_terminal_that_fits_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr(progress, "watched", lambda: True)
    monkeypatch.setattr(progress, "terminal_columns", lambda: columns)
    store = MemoryStore()
    written(True, store)
    out, bar = capsys.readouterr()
    assert out == ""
    lines = bar.split("\r")
    width = min(40, columns - 63)
    assert lines[1].startswith("  0% " + f"[{' ' * width}] " * (width >= 8) + "0 B of 5.0 KiB")
    assert lines[-1].startswith("100% " + f"[{'#' * width}] " * (width >= 8) + "5.0 KiB of 5.0 KiB")
    assert {len(line.removesuffix("\n")) for line in lines[1:]} == {columns - 1}
    assert bar.endswith("\n")
    daskome.verify(store, pixels=True, progress=True)
    assert " blocks" in capsys.readouterr().err


def test_where_nobody_looks_on_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    written(True, MemoryStore())
    bar = capsys.readouterr().err
    assert "\r" not in bar
    first, *_, last = bar.splitlines()
    assert first == "0%, 0 B of 5.0 KiB"
    assert last.startswith("100%, 5.0 KiB of 5.0 KiB")


def shown(bar: TextBar, capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.rpartition("\n")[0].rpartition("\n")[2]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_the_rate_of_a_resumed_run_is_that_of_this_run_alone(
    capsys: pytest.CaptureFixture[str], clock: list[float]
) -> None:
    """It began with what was there: a GiB in no time, gigabytes a second, and soon done."""
    bar = TextBar(Pace("bytes", began=0.0))
    bar(3 * 2**30, 4 * 2**30)
    clock[0] += 100.0
    bar(3 * 2**30 + 2**27, 4 * 2**30)
    assert shown(bar, capsys) == "78%, 3.1 GiB of 4.0 GiB, 12 min left, 1.3 MiB/s"
    assert bar.written == 2**27


def test_it_moves_within_units_and_never_back(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    bar, seen = TextBar(Pace("bytes"), "stage 1 of 2"), []
    bar(0, 1000)
    for step in (lambda: bar.within(100), lambda: bar.within(150), lambda: bar(200, 1000), lambda: bar.within(50)):
        clock[0] += 20
        step()
        seen.append(shown(bar, capsys))
    assert [text.split("%")[0] for text in seen] == ["10", "25", "25", "30"]
    assert seen[0].endswith("100 B of 1000 B, 3 min left, 5 B/s, stage 1 of 2")


def test_blocks_are_heard_of_while_a_bar_listens_and_not_after(clock: list[float]) -> None:
    bar = TextBar(Pace("bytes"))
    written(bar, MemoryStore())
    assert bar.written == 64 * 64 + 32 * 32
    assert not progress.LISTENERS
    with pytest.raises(WriteError):
        daskome.write_image(da.ones((64, 64), chunks=16).map_blocks(broken, dtype="u1"), MemoryStore(), [2], axes="yx", retries=0, progress=bar)  # fmt: skip
    assert not progress.LISTENERS


def broken(block: Any) -> Any:
    raise OSError("no such disk")


@pytest.mark.parametrize("given", [None, False])
def test_nothing_is_shown_by_default(capsys: pytest.CaptureFixture[str], given: Any) -> None:
    written(given, MemoryStore())
    assert capsys.readouterr() == ("", "")
