"""What tests of several modules share."""

import pytest

from daskome import plan, pyramid


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan small images as if they were large ones: one stored object a block, many units, several stages."""
    monkeypatch.setattr(pyramid, "BLOCK_NBYTES", 1)
    monkeypatch.setattr(pyramid, "FRAME_NBYTES", 1)
    monkeypatch.setattr(plan, "TAIL_NBYTES", 2**12)
    monkeypatch.setattr(plan, "UNIT_NBYTES", 2**14)


@pytest.fixture(params=["large", "small"])
def block_size(request: pytest.FixtureRequest) -> None:
    """Both ways of planning."""
    if request.param == "small":
        request.getfixturevalue("tiny_blocks")
