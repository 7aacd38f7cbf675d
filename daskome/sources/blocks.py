"""Blocks of an image as NumPy, of the dtype and shape that it declares. Any other is an error that names the block."""

from collections.abc import Callable
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from dask.layers import ArrayBlockIdDep, ArrayChunkShapeDep

from daskome.model.regions import Shape

Values = np.ndarray[Any, Any]
CHECKED, OWN = "daskome-checked-", "daskome-own-"
"""Before the name of an array in a graph: its layer of blocks that are checked, and copied where they are parts."""


def as_declared(block: Any, declared: np.dtype[Any], shape: Shape, name: Callable[[], str]) -> Values:
    """Return a block as NumPy; raise unless it has the dtype and shape that its image declares.

    Parameters
    ----------
    block : array-like
    declared : numpy.dtype
    shape : tuple of int
    name : callable
        Returns what the block is, for errors.

    Raises
    ------
    TypeError, ValueError
        That name the block.
    """
    if np.ma.is_masked(block):
        raise TypeError(f"{name()} has masked values; fill them first, as in image.filled(0)")
    if block is None:
        check_declared(block, declared, shape, name)
    values = to_numpy(block)
    check_declared(values, declared, shape, name)
    return values.astype(declared, copy=False)


def check_declared(block: Any, declared: np.dtype[Any], shape: Shape, name: Callable[[], str]) -> None:
    """Raise unless a block has the dtype and shape that were declared; numbers of Python have no dtype of their own.

    Raises
    ------
    TypeError, ValueError
        That name the block.
    """
    if block is None:
        raise TypeError(f"{name()} is None, but the image says {declared} of shape {shape}")
    dtype = getattr(block, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype != declared and dtype.newbyteorder("=") != declared:
        raise TypeError(
            f"{name()} is {dtype}, but the image says {declared}; cast its blocks where they are made, as in"
            f' image.map_blocks(lambda block: block.astype("{declared}"))'
        )
    found = getattr(block, "shape", None)
    found = np.shape(block) if found is None else tuple(found)
    if found != shape:
        raise ValueError(
            f"{name()} has shape {found}, but the image says {shape}; its blocks must have the shapes that it declares"
        )


def to_numpy(values: Any) -> Values:
    """Return values as a plain NumPy array, wherever they are.

    >>> to_numpy([[1, 2]]).shape
    (1, 2)
    """
    on_device = None if isinstance(values, np.ndarray) else getattr(values, "get", None)
    if callable(on_device) and hasattr(values, "shape"):  # CuPy refuses what NumPy would do by itself.
        values = on_device()
    return np.asarray(values)


def is_remote(value: Any) -> bool:
    """Whether a value is a future of a cluster."""
    return type(value).__module__.startswith("distributed") and hasattr(value, "result")


def checked_blocks(array: da.Array, first: Shape, name: str, *, own: bool = False) -> da.Array:
    """Return a Dask array whose blocks come as NumPy, of its dtype and the shapes of its chunks.

    Parameters
    ----------
    array : dask.array.Array
    first : tuple of int
        The index that its first block has in the image, for errors.
    name : str
        Of the image in its graph, for errors.
    own : bool
        Whether a block is copied if it would keep a larger array alive.
    """
    dtype = np.dtype(array.dtype).newbyteorder("=")
    axes = tuple(range(array.ndim))
    checked: da.Array = da.blockwise(
        partial(_checked, declared=dtype, first=first, name=name, own=own),
        axes,
        array,
        axes,
        ArrayChunkShapeDep(array.chunks),
        axes,
        ArrayBlockIdDep(array.chunks),
        axes,
        name=f"{OWN if own else CHECKED}{array.name}",
        dtype=dtype,
        meta=np.empty((0,) * array.ndim, dtype),
        align_arrays=False,
    )
    return checked


def named_block(index: Shape, array: str) -> str:
    """Return what a block is, for errors."""
    return f"block {index} of the image ({array})"


def _checked(
    block: Any, shape: Shape, index: Shape, *, declared: np.dtype[Any], first: Shape, name: str, own: bool
) -> Values:
    def named() -> str:
        key = tuple(i + k for i, k in zip(index, first, strict=True))
        return named_block(key, name)

    values = as_declared(block, declared, tuple(map(int, shape)), named)
    is_part = own and values.base is not None and getattr(values.base, "nbytes", 0) > values.nbytes
    return values.copy() if is_part else values
