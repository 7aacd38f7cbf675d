"""Stores inside other stores, such as those that log or slow down what is asked of them."""

from typing import Any

from zarr.abc.store import Store
from zarr.storage import WrapperStore


def unwrapped(store: Store) -> Any:
    """Return the store inside all wrappers: what kind of store it is decides what it can do, whoever wraps it."""
    found: Any = store
    while isinstance(found, WrapperStore):
        found = found._store
    return found
