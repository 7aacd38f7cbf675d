"""Sets of versions, as the tables of rules name them."""

from collections.abc import Mapping
from typing import Any

JSON = Mapping[str, Any]
Versions = frozenset[str]
KNOWN = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6")
EVERY: Versions = frozenset(KNOWN)
NONE: Versions = frozenset()


def only(*versions: str) -> Versions:
    """Return these versions."""
    return frozenset(versions)


def since(version: str) -> Versions:
    """Return a version and all newer ones."""
    return frozenset(KNOWN[KNOWN.index(version) :])


def until(version: str) -> Versions:
    """Return a version and all older ones."""
    return frozenset(KNOWN[: KNOWN.index(version) + 1])


UNDER_OME = since("0.5")
