"""Downsample a block: cut into slabs that fit the cache, each handed to the kernel of a method."""

import math
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from daskome.kernels.windows import Array, Margins, Span

if TYPE_CHECKING:
    from daskome.kernels.methods import Method


SLAB_NBYTES: Final = 4 * 2**20
"""Per slab, in the type that a method works in: small enough for the cache, and so large that threads seldom meet.

They do at the interpreter's lock, which every operation on a slab takes again as it ends. uint16 mean 2×2×2 on 128³,
one thread and two: slabs of ½ MiB 1,600 and 1,100 MB/s in all, of 4 MiB 3,000 and 4,000.
"""


def downsample(
    block: Array, factors: tuple[int, ...], method: "Method", halo: Sequence[tuple[int, int]] | None = None
) -> Array:
    """A block with every window of `factors` voxels reduced to one, in the block's dtype and byte order.

    Windows start at the first voxel that is not halo. One cut by the end covers the voxels that exist. Where
    every factor is 1, the result is a view of the block.

    Parameters
    ----------
    block
        Booleans, integers or floats, of any layout and byte order; never written to.
    factors
        Voxels per window along each axis.
    method
        A row of `METHODS`, or what `find_method` made of a callable.
    halo
        How many voxels at either end of each axis are context and not downsampled. `method.halo` says how
        many are wanted; fewer mean that the image ends there.

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
    """Whether the arguments of `downsample` fit together."""
    if block.dtype.kind not in "biuf":
        raise ValueError(f"can't downsample dtype {block.dtype}: use booleans, integers or floats")
    shape = block.shape
    if len(factors) != block.ndim or min(factors, default=1) < 1:
        raise ValueError(f"factors {tuple(factors)} don't fit shape {shape}: give one of 1 or more per axis")
    if len(ends) != block.ndim or any(min(e) < 0 or sum(e) > n for e, n in zip(ends, shape, strict=True)):
        raise ValueError(f"halo {tuple(ends)} doesn't fit shape {shape}: give (low, high) voxels per axis")


def _budget(method: "Method", dtype: np.dtype[Any]) -> int:
    """Voxels per slab. Sums are twice as wide as the block's voxels, or wider and then few: of large windows."""
    return SLAB_NBYTES // (8 if method.weighs else 2 * dtype.itemsize)


def _slabs(
    shape: Sequence[int], core: Sequence[Span], factors: Sequence[int], halos: Sequence[int], budget: int
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], Margins]]:
    """Per slab: the windows of the result, the voxels of the block, and how many of those are context.

    First every axis is cut into its whole windows and the one that the end cuts, then each part into slabs.
    """
    for part in product(*map(_parts, core, factors)):
        steps = _steps([stop - start for start, stop in part], budget)
        for slab in product(*map(_axis_slabs, part, steps, shape, core, factors, halos)):
            target, source, margins = zip(*slab, strict=True)
            yield target, source, margins


def _parts(core: Span, factor: int) -> list[Span]:
    """Ranges of windows along an axis: the whole ones, and the one that the end cuts."""
    whole, rest = divmod(core[1] - core[0], factor)
    return [part for part in ((0, whole), (whole, whole + bool(rest))) if part[0] < part[1]]


def _steps(counts: Sequence[int], budget: int) -> list[int]:
    """How many windows a slab takes per axis: at most `budget` in all, whole rows before whole planes."""
    steps = []
    for count in reversed(counts):
        steps.append(max(1, min(count, budget)))
        budget //= steps[-1]
    return steps[::-1]


def _axis_slabs(part: Span, step: int, n: int, core: Span, factor: int, halo: int) -> list[tuple[slice, slice, Span]]:
    """One axis of `_slabs`: up to `step` windows each, with as much context as wanted and there is."""
    slabs = []
    for start in range(*part, step):
        stop = min(start + step, part[1])
        low, high = core[0] + start * factor, min(core[0] + stop * factor, core[1])
        before, after = min(halo, low), min(halo, n - high)
        slabs.append((slice(start, stop), slice(low - before, high + after), (before, after)))
    return slabs
