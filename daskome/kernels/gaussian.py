"""The Gaussian: weights, halo, and a sum that is the same however an image is cut."""

import math
from functools import lru_cache

import numpy as np

from daskome.kernels.windows import Array, Margins, canonical_floats, round_half_even

# ---- gaussian


def _sigma(factor: int) -> float:
    """Return the sigma with which frequencies that the new grid cannot show fall below half: ITK's for shrinking."""
    return math.sqrt((factor * factor - 1) / (8 * math.log(2)))


def gaussian_halo(factor: int) -> int:
    """Return how far three sigma on either side of a window's centre reach beyond the window."""
    return max(0, math.ceil(3 * _sigma(factor) - (factor - 1) / 2))


@lru_cache(maxsize=256)
def _gaussian_weights(factor: int) -> tuple[float, ...]:
    """Return the weights for the voxels of a window and its halo, centred on the window; their sum is one."""
    halo, sigma = gaussian_halo(factor), _sigma(factor)
    offsets = [j - (factor - 1) / 2 for j in range(-halo, factor + halo)]
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in offsets]
    return tuple(weight / math.fsum(weights) for weight in weights)


def gaussian_windows(slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """Return weighted means, one axis after the other in float64; integers are rounded half to even."""
    values = slab
    with np.errstate(over="ignore", invalid="ignore"):
        for axis, (factor, margin) in enumerate(zip(factors, margins, strict=True)):
            values = values if factor == 1 else _weighted(values, axis, factor, margin)
    return canonical_floats(values) if slab.dtype.kind == "f" else round_half_even(values, slab.dtype)


def _weighted(values: Array, axis: int, factor: int, margin: tuple[int, int]) -> Array:
    """Return weighted means along an axis, over the voxels that exist, always added from the first to the last."""
    n, (before, after) = values.shape[axis], margin
    count = -(-(n - before - after) // factor)
    total = np.zeros([*values.shape[:axis], count, *values.shape[axis + 1 :]])
    weights = np.zeros([count] + [1] * (values.ndim - axis - 1))
    for start, weight in enumerate(_gaussian_weights(factor), before - gaussian_halo(factor)):
        first, stop = max(0, -(start // factor)), min(count, -((start - n) // factor))
        along = (slice(None),) * axis
        voxels = slice(start + first * factor, start + stop * factor, factor)
        total[(*along, slice(first, stop))] += np.multiply(values[(*along, voxels)], weight, dtype=np.float64)
        weights[first:stop] += weight
    return total / weights
