"""Users' calls are checked: those of `typed_calls`, right and wrong."""

import subprocess
import sys
from inspect import isfunction
from pathlib import Path

import pytest

import daskome

HOUSE = Path(daskome.__file__).parents[1]
IMPRECISE = {"metadata"}
"""Parameters of any type: further keywords."""


@pytest.mark.extended
def test_users_calls_are_type_checked() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--follow-imports=silent"]
    file = Path(__file__).with_name("typed_calls.py")
    done = subprocess.run([*command, str(file)], cwd=HOUSE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_argument_has_a_type() -> None:
    for name in daskome.__all__:
        if isfunction(function := getattr(daskome, name)):
            vague = {key for key, kind in function.__annotations__.items() if str(kind) in ("Any", "typing.Any")}
            assert vague <= IMPRECISE, name
