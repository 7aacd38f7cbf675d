"""Whatever is damaged, a call ends in an error of ours with an address, soon and in little memory, or does its work."""

import pytest
from hypothesis import given, strategies as st

from daskome.readers import READERS
from tests.mutations import KINDS, TRIALS, attempt, wrong
from tests.strategies import law

SEEDS = st.integers(0, 2**32)
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""tifffile leaves files open whose headers it cannot read."""


UNTRIED = {"bioio"}
"""What is read by packages that tests do not install."""


def test_every_reader_is_given_damaged_files() -> None:
    paths = [kind.path for kind in KINDS.values()]
    assert {row.name for row in READERS if not any(path.endswith(row.suffixes) for path in paths)} == UNTRIED


@law(max_examples=60)
@given(st.sampled_from(TRIALS), SEEDS)
def test_an_error_was_meant(trial: tuple[str, str], seed: int) -> None:
    assert not wrong(*attempt(*trial, seed))


@pytest.mark.extended
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_was_meant_for_each_kind(kind: str) -> None:
    """Each call once, and some more."""

    @law(max_examples=50)
    @given(st.sampled_from(list(KINDS[kind].calls)), SEEDS)
    def trials(call: str, seed: int) -> None:
        assert not wrong(*attempt(kind, call, seed))

    trials()
