"""Volumes of any size that cost next to nothing to make: a noisy tile, repeated."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

EDGE = 128


@dataclass(frozen=True)
class Tiled:
    """A lazy volume like that of a light-sheet microscope: smooth structure under Poisson noise.

    It has shape, dtype, chunks and slicing, and so is an image to daskome.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...] = (EDGE, EDGE, EDGE)
    dtype_name: str = "uint16"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all of it."""
        return np.dtype(self.dtype_name)

    @cached_property
    def tile(self) -> np.ndarray[Any, Any]:
        """The tile, in which rows and columns differ."""
        z, y, x = np.ogrid[:EDGE, :EDGE, :EDGE]
        structure = 100 + 60 * np.sin(z / 9) * np.sin(y / 7) + 40 * np.cos(x / 11)
        return np.random.default_rng(0).poisson(structure).astype(self.dtype)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        where = np.ix_(*[np.arange(i.start, i.stop) % EDGE for i in index])
        aligned = all(i.start % EDGE == 0 and i.stop - i.start == EDGE for i in index)
        return self.tile if aligned else self.tile[where]
