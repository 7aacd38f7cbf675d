"""Processes that are stopped while they write change nothing any more once another has finished."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.execution.zombies import KINDS, LIVE, published, tree, trial, trials, two_at_once

TRIALS = int(os.environ.get("DASKOME_ZOMBIES", "10"))
"""How many of each kind the extended suite tries; ``python -m tests.execution.zombies`` shows how they end."""
DEFAULT = ("resume", "overwrite", "a part twice", "finish beside a part")
IN_THE_MIDDLE = 0.1
"""Seconds after which a process is stopped that takes some tenths of a second."""


@pytest.fixture(autouse=True)
def _as_if_large(tiny_blocks: None) -> None:
    """Plan all images as if they were large: once, for trials run in threads of one process."""


@pytest.mark.extended
def test_one_of_each_kind_wakes_and_changes_nothing(tmp_path: Path) -> None:
    expected = {kind: published(tmp_path / f"{kind} alone", kind) for kind in DEFAULT}
    with ThreadPoolExecutor(len(DEFAULT)) as threads:
        found = list(threads.map(lambda kind: trial(kind, tmp_path / kind, IN_THE_MIDDLE, expected[kind]), DEFAULT))
    assert any(each.stopped for each in found)
    for each in found:
        assert each.changed == each.wrong == (), each
        assert each.second == "", each


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_zombies_change_nothing(tmp_path: Path, kind: str) -> None:
    found = list(trials(tmp_path, kind, TRIALS))
    assert any(
        each.stopped for each in found
    )  # Of what is over soon, few are caught in time, however often it is tried.
    for each in found:
        assert each.changed == each.wrong == (), each


@pytest.mark.sampled(8)
@pytest.mark.parametrize("kind", LIVE)
def test_of_two_at_once_one_is_refused_and_no_image_is_a_mixture(tmp_path: Path, kind: str) -> None:
    whole = [published(tmp_path / other, other) for other in ("resume", "overwrite")]
    for number in range(2):
        ended = two_at_once(tmp_path / str(number), kind)
        assert "" in ended
        assert tree(tmp_path / str(number)) in whole
        for error in filter(None, ended):
            assert error.startswith("FileExistsError"), error
