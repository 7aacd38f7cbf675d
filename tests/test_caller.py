"""Every warning points at the line that called daskome: there something can be done about it."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.scale import Scaler

IMAGE = np.zeros((64, 64), "uint8")
OLD: dict[str, Any] = {"fmt": "0.2", "axes": "yx", "scale": (0.5, 0.5)}
AFFINE = [[{"type": "scale", "scale": [1, 1]}, {"type": "affine", "affine": [[1, 0, 0], [0, 1, 0]]}]]


def _labelled() -> Any:
    store = MemoryStore()
    daskome.write_image(IMAGE, store, [2], axes="yx", fmt="0.2")
    return store


def _arrays() -> Any:
    group = zarr.create_group(MemoryStore(), zarr_format=2)
    group.create_array("0", shape=(8, 8), dtype="uint8")
    return group


PLACED = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.5, 0.5]}]}

CALLS: dict[str, Callable[[], Any]] = {
    "write_image": lambda: daskome.write_image(IMAGE, MemoryStore(), [2], **OLD),
    "write_image, later": lambda: daskome.write_image(IMAGE, MemoryStore(), [2], compute=False, **OLD),
    "write_image, begun": lambda: daskome.write_image(IMAGE, MemoryStore(), [2], compute="init", **OLD),
    "write_image with labels": lambda: daskome.write_image(IMAGE, MemoryStore(), labels={"a": IMAGE}, **OLD),
    "plan_image": lambda: daskome.plan_image(IMAGE, **OLD),
    "write_multiscale": lambda: daskome.write_multiscale([IMAGE, IMAGE[::2, ::2]], MemoryStore(), **OLD),
    "write_labels": lambda: daskome.write_labels(IMAGE, _labelled(), "cells", **OLD),
    "write_multiscale_labels": lambda: daskome.write_multiscale_labels(
        [IMAGE, IMAGE[::2, ::2]], _labelled(), "cells", **OLD
    ),
    "write_plate": lambda: daskome.write_plate({"A/1": [IMAGE]}, MemoryStore(), **OLD),
    "write_multiscales_metadata": lambda: daskome.write_multiscales_metadata(_arrays(), [PLACED], "0.2", "yx"),
    "a scaler and factors": lambda: daskome.write_image(
        IMAGE, MemoryStore(), [2], scaler=Scaler(max_layer=2), axes="yx"
    ),
    "transformations of other types": lambda: daskome.write_image(
        IMAGE, MemoryStore(), None, coordinate_transformations=AFFINE, axes="yx"
    ),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_warnings_point_at_the_caller(call: Callable[[], Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        call()
    ours = [warning for warning in caught if "OME-Zarr 0.2" in str(warning.message) or "not " in str(warning.message)]
    assert ours
    assert {warning.filename for warning in ours} == {__file__}
    code = call.__code__
    lines = range(code.co_firstlineno, max(line for _, _, line in code.co_lines() if line) + 1)
    assert all(warning.lineno in lines for warning in ours)


def test_each_line_that_calls_is_warned_once() -> None:
    """As Python's default is; were it our line, a process would hear of the first image only."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default", UserWarning)
        for _ in range(2):
            daskome.plan_image(IMAGE, **OLD)
        daskome.plan_image(IMAGE, **OLD)
    assert len(caught) == 2


def test_nothing_else_warns() -> None:
    """Of all our files only one warns, so no stack is counted by hand."""
    house = Path(daskome.__file__).parent
    found = [path.stem for path in house.rglob("*.py") if "warnings.warn(" in path.read_text(encoding="utf-8")]
    assert found == ["_caller"]


@pytest.mark.extended
def test_the_command_says_a_warning_in_one_line(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGE)
    command = f"-m daskome write {tmp_path}/a.npy {tmp_path}/a.zarr --axes yx --scale 0.5,0.5 --fmt 0.2 -q"
    done = subprocess.run([sys.executable, *command.split()], capture_output=True, text=True, check=True)
    assert done.stderr.startswith("warning: OME-Zarr 0.2 cannot store scale (y=0.5, x=0.5)")
    assert len(done.stderr.splitlines()) == 1
