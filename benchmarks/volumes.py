"""Volumes of any size that cost next to nothing to make: a noisy tile, repeated."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

EDGE = 128


@cache
def noise(dtype: str) -> np.ndarray[Any, Any]:
    """Return smooth structure under Poisson noise, as of a light-sheet microscope, in which rows and columns differ."""
    z, y, x = np.ogrid[:EDGE, :EDGE, :EDGE]
    structure = 100 + 60 * np.sin(z / 9) * np.sin(y / 7) + 40 * np.cos(x / 11)
    return np.random.default_rng(0).poisson(structure).astype(dtype)


@cache
def cells(dtype: str) -> np.ndarray[Any, Any]:
    """Return cubes of one label each."""
    numbers = np.random.default_rng(0).integers(0, 10**6, (EDGE // 16,) * 3).astype(dtype)
    for axis in range(3):
        numbers = numbers.repeat(16, axis)
    return numbers


TILES = {"noise": noise, "cells": cells}
"""What is repeated; made once in a process, however often a volume travels there."""


@dataclass(frozen=True)
class Tiled:
    """A lazy volume of tiles, which are a key of `TILES`.

    It has shape, dtype, chunks and slicing, and so is an image to daskome.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...] = (EDGE, EDGE, EDGE)
    dtype_name: str = "uint16"
    content: str = "noise"

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all of it."""
        return np.dtype(self.dtype_name)

    @property
    def tile(self) -> np.ndarray[Any, Any]:
        """The tile."""
        return TILES[self.content](self.dtype_name)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        outer, inner = index[:-3], index[-3:]
        where = np.ix_(*[np.arange(i.start, i.stop) % EDGE for i in inner])
        aligned = all(i.start % EDGE == 0 and i.stop - i.start == EDGE for i in inner)
        block = self.tile if aligned else self.tile[where]
        return np.broadcast_to(block, (*(i.stop - i.start for i in outer), *block.shape)) if outer else block
