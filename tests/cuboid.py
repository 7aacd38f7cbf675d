"""A small image that `tiny_blocks` plans as a large one: many units in several stages, and edges of odd sizes."""

from typing import Any

import dask.array as da
import numpy as np

SHAPE = (24, 32, 48)
VALUES: np.ndarray[Any, Any] = np.arange(np.prod(SHAPE), dtype="uint32").reshape(SHAPE)
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4, 8], "storage_options": {"chunks": 8}}
"""How it is written, to the bytes that the fixture `expected` has."""


def image() -> da.Array:
    """Return it in twelve chunks of the source."""
    return da.from_array(VALUES, chunks=16)
