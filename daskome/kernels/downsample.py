"""Downsample a block: cut it into slabs that fit the cache, and hand each to the kernel of a method."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from daskome.kernels.windows import Array, Margins, Span

if TYPE_CHECKING:
    from daskome.kernels.methods import Method


SLAB_NBYTES: Final = 4 * 2**20
"""The size of a slab, in the type that a method works in: small enough for the cache, large enough for threads.

Threads contend for the interpreter's lock, which every operation on a slab takes again as it ends. Measured for uint16,
mean, 2×2×2 on 128³, with one and two threads: 1,600 and 1,100 MB/s with slabs of ½ MiB, 3,000 and 4,000 with 4 MiB.
"""


def downsample(
    block: Array, factors: tuple[int, ...], method: "Method", halo: Sequence[tuple[int, int]] | None = None
) -> Array:
    """Return a block with every window of `factors` voxels reduced to one, in the block's dtype and byte order.

    Windows start at the first voxel that is not halo. A window that is cut by the end covers the voxels that exist.
    Where every factor is 1, the result is a view of the block.

    Parameters
    ----------
    block
        Booleans, integers or floats, of any layout and byte order; never written to.
    factors
        Voxels per window along each axis.
    method
        A row of `METHODS`, or what `find_method` made of a callable.
    halo
        How many voxels at either end of each axis are context, which is not downsampled. `method.halo` says how
        many a method needs; fewer mean that the image ends there.

    Examples
    --------
    >>> from daskome.kernels.methods import METHODS
    >>> downsample(np.arange(10, dtype="u1").reshape(2, 5), (2, 2), METHODS["mean"])
    array([[3, 5, 6]], dtype=uint8)
    """
    ends = tuple(halo or [(0, 0)] * block.ndim)
    _check(block, factors, ends)
    core = [(low, n - high) for n, (low, high) in zip(block.shape, ends, strict=True)]
    if all(f == 1 for f in factors):
        return block[tuple(slice(*c) for c in core)]
    result = np.empty([-(-(stop - start) // f) for (start, stop), f in zip(core, factors, strict=True)], block.dtype)
    budget = _budget(method, block.dtype) // math.prod(factors)
    for target, source, margins in _slabs(block.shape, core, factors, [*map(method.halo, factors)], budget):
        np.copyto(result[target], method.reduce(block[source], factors, margins), casting="unsafe")
    return result


# ---- slabs


def _check(block: Array, factors: Sequence[int], ends: Sequence[tuple[int, int]]) -> None:
    """Raise a ValueError if the arguments of `downsample` do not fit together."""
    if block.dtype.kind not in "biuf":
        raise ValueError(f"cannot downsample dtype {block.dtype}: use booleans, integers or floats")
    shape = block.shape
    if len(factors) != block.ndim or min(factors, default=1) < 1:
        raise ValueError(f"factors {tuple(factors)} do not fit shape {shape}: give one of 1 or more per axis")
    if len(ends) != block.ndim or any(min(e) < 0 or sum(e) > n for e, n in zip(ends, shape, strict=True)):
        raise ValueError(f"halo {tuple(ends)} does not fit shape {shape}: give (low, high) voxels per axis")


def _budget(method: "Method", dtype: np.dtype[Any]) -> int:
    """Return the voxels per slab. Sums are twice as wide as voxels; wider ones belong to large windows, and are few."""
    return SLAB_NBYTES // (8 if method.weighs else 2 * dtype.itemsize)


def _slabs(
    shape: Sequence[int], core: Sequence[Span], factors: Sequence[int], halos: Sequence[int], budget: int
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], Margins]]:
    """Yield, per slab, the windows of the result, the voxels of the block, and how many of those are context.

    First every axis is cut into its whole windows and the window that the end cuts, then each part into slabs.
    """
    for part in product(*map(_parts, core, factors)):
        steps = _steps([stop - start for start, stop in part], budget)
        for slab in product(*map(_axis_slabs, part, steps, shape, core, factors, halos)):
            target, source, margins = zip(*slab, strict=True)
            yield target, source, margins


def _parts(core: Span, factor: int) -> list[Span]:
    """Return the ranges of windows along an axis: whole ones, and the one that the end cuts."""
    n_whole, remainder = divmod(core[1] - core[0], factor)
    return [part for part in ((0, n_whole), (n_whole, n_whole + bool(remainder))) if part[0] < part[1]]


def _steps(counts: Sequence[int], budget: int) -> list[int]:
    """Return how many windows a slab takes per axis: at most `budget` in all, whole rows before whole planes."""
    steps = []
    for count in reversed(counts):
        steps.append(max(1, min(count, budget)))
        budget //= steps[-1]
    return steps[::-1]


def _axis_slabs(part: Span, step: int, n: int, core: Span, factor: int, halo: int) -> list[tuple[slice, slice, Span]]:
    """Return the slabs along one axis: up to `step` windows each, with as much of the halo as exists."""
    slabs = []
    for start in range(*part, step):
        stop = min(start + step, part[1])
        low, high = core[0] + start * factor, min(core[0] + stop * factor, core[1])
        before, after = min(halo, low), min(halo, n - high)
        slabs.append((slice(start, stop), slice(low - before, high + after), (before, after)))
    return slabs
