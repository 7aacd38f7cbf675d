"""Sets of versions, as the tables of rules name them."""

from daskome.ome.versions import VERSIONS

Versions = frozenset[str]
KNOWN = tuple(VERSIONS)
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
