"""What a caller gives as progress, and the bar that True stands for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import MemoryStore

import daskome

IMAGE = np.ones((64, 64), "uint8")


def written(progress: Any, target: Any) -> None:
    daskome.write_image(IMAGE, target, [2], axes="yx", storage_options={"chunks": 16}, progress=progress)


@pytest.mark.parametrize("progress", [5, "yes", 0, 1, lambda: None, lambda n: None, lambda a, b, c: None, [print]])
def test_what_cannot_be_called_with_two_numbers_is_refused_before_anything_is_written(
    tmp_path: Path, progress: Any
) -> None:
    with pytest.raises(ValueError, match=r"^progress=.*must be True, for a bar, or a function"):
        written(progress, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    for call in (daskome.validate, daskome.verify, daskome.run_part):
        with pytest.raises(ValueError, match="must be True, for a bar"):
            call(MemoryStore(), progress=progress)  # type: ignore[operator]


def test_true_is_a_bar_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    store = MemoryStore()
    written(True, store)
    out, bar = capsys.readouterr()
    assert out == ""
    lines = bar.split("\r")
    assert lines[1].startswith("[" + " " * 40 + "]   0% 0 B of 5.0 KiB")
    assert lines[-1].startswith("[" + "#" * 40 + "] 100% 5.0 KiB of 5.0 KiB")
    assert bar.endswith("\n")
    daskome.verify(store, pixels=True, progress=True)
    assert " blocks" in capsys.readouterr().err


@pytest.mark.parametrize("progress", [None, False])
def test_nothing_is_shown_by_default(capsys: pytest.CaptureFixture[str], progress: Any) -> None:
    written(progress, MemoryStore())
    assert capsys.readouterr() == ("", "")
