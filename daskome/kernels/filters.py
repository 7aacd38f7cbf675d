"""The filters with which SciPy and scikit-image shrink an image, by windows: `RESIZE`, `ZOOM` and `LAPLACIAN`.

For a whole factor, smoothing and then interpolating between voxels is one weighted sum per axis, the same for
every window. So only the samples that are kept are computed, and a value depends only on its window and a fixed
halo. Sums are added in float64, always from the first voxel to the last.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Span = tuple[int, int]
Taps = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Weighted sums of the voxels around the middle of each window, axis by axis.

    Attributes
    ----------
    sigma
        Returns, for a factor, the sigma in voxels of the Gaussian that smooths before a sample is taken; 0 for none.
    again
        Returns the sigma, in samples, of a Gaussian that smooths the samples; the smoothed ones are then subtracted.
    beyond
        How an image continues beyond its edges: mirrored without its last voxel (``"reflect"``) or with it
        (``"symmetric"``).

    Examples
    --------
    >>> ZOOM(np.array([1, 2, 3, 8]), (2,), ((0, 0),))
    array([1.5, 5.5])
    """

    sigma: Callable[[int], float]
    again: Callable[[int], float] | None = None
    beyond: Literal["reflect", "symmetric"] = "reflect"

    def halo(self, factor: int) -> int:
        """Return how far a sum reaches beyond a window, at most: beyond the middle of one that is cut to a voxel."""
        return 0 if factor == 1 else _radius(self.sigma(factor)) + self._around(factor) * factor

    def __call__(self, slab: Array, factors: Sequence[int], margins: Sequence[Span]) -> Array:
        """Return one float per window of a slab; where its margins are narrower than the halo, the image ends."""
        with np.errstate(over="ignore", invalid="ignore"):
            smooth = self._samples(slab, factors, margins, smoother=False)
            return smooth - self._samples(slab, factors, margins, smoother=True) if self.again else smooth

    def _samples(self, values: Array, factors: Sequence[int], margins: Sequence[Span], smoother: bool) -> Array:
        for axis, (factor, margin) in enumerate(zip(factors, margins, strict=True)):
            if factor > 1:
                values = self._along(values, axis, factor, margin, smoother)
        return values

    def _along(self, values: Array, axis: int, factor: int, margin: Span, smoother: bool) -> Array:
        """Return the samples along one axis; of a cut window, at the middle of what is left."""
        inside, halo = values.shape[axis] - sum(margin), self.halo(factor)
        size, around = min(factor, inside), self._around(factor) if smoother else 0
        taps, count = _taps(self.sigma(factor), size), -(-inside // factor)
        missing = [(0, 0)] * values.ndim
        missing[axis] = (halo - margin[0], halo - margin[1])
        start = halo - (len(taps) - size) // 2 - around * factor
        values = _summed(np.pad(values, missing, self.beyond), axis, factor, count + 2 * around, taps, start)
        if self.again and smoother:
            values = _summed(values, axis, 1, count, _gaussian(self.again(factor)), 0)
        return values

    def _around(self, factor: int) -> int:
        """Return how many samples on either side of one smooth it."""
        return _radius(self.again(factor)) if self.again else 0


def _summed(values: Array, axis: int, step: int, count: int, taps: Taps, start: int) -> Array:
    """Return `count` weighted sums along an axis, every `step` voxels from `start`."""
    along = (slice(None),) * axis
    total = np.zeros([*values.shape[:axis], count, *values.shape[axis + 1 :]])
    for first, tap in enumerate(taps, start):
        voxels = slice(first, first + (count - 1) * step + 1, step)
        total += np.multiply(values[(*along, voxels)], tap, dtype=np.float64)
    return total


@cache
def _taps(sigma: float, size: int) -> Taps:
    """Return the weights of a smooth image at the middle of `size` voxels: at a voxel, or the mean of two."""
    taps = _gaussian(sigma)
    return taps if size % 2 else tuple((a + b) / 2 for a, b in pairwise((0.0, *taps, 0.0)))


@cache
def _gaussian(sigma: float) -> Taps:
    """Return weights out to four sigma, as in `scipy.ndimage`; their sum is one."""
    weights = [math.exp(-0.5 * (j / (sigma or 1)) ** 2) for j in range(-_radius(sigma), _radius(sigma) + 1)]
    return tuple(weight / math.fsum(weights) for weight in weights)


def _radius(sigma: float) -> int:
    return int(4 * sigma + 0.5)


def _antialiasing(factor: int) -> float:
    """Return the sigma of anti-aliasing in scikit-image: half the voxels that a window has beyond one."""
    return (factor - 1) / 2


def _third(factor: int) -> float:
    """Return a third of a window: 99 % of the Gaussian lies within two of them."""
    return factor / 3


def _none(factor: int) -> float:
    return 0.0


RESIZE: Final = Filter(_antialiasing)
"""Gaussian smoothing, then the middle of a window: ``skimage.transform.resize(…, order=1, anti_aliasing=True)``."""
ZOOM: Final = Filter(_none)
"""The middle of a window, nothing smoothed: ``scipy.ndimage.zoom(…, order=1, grid_mode=True)``."""
LAPLACIAN: Final = Filter(_third, again=_third, beyond="symmetric")
"""A band pass: the level made from the smoothed level below, minus a smoothed version of itself.

The first level below the image is that of ``skimage.transform.pyramid_laplacian``; the image itself stays as it is.
There, lower levels are bands of the smoothed image. Here, where levels are made from each other, they are bands of the
previous band.
"""
