"""Arrays of equal windows, shaped ``(n0, f0, n1, f1, …)``, and how kernels reduce them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from daskome.kernels.filters import Filter

Array = npt.NDArray[Any]
Span = tuple[int, int]
Margins = tuple[Span, ...]
PLANES_MAX: Final = 64
"""Windows of up to this many voxels are sorted or added plane by plane; bigger ones row by row."""
WORKING: Final = {"?": "u1", "e": "f4"}
"""Types that kernels see as another type, which holds all their values: bool as 0 and 1, float16 as float32."""


def _windows(slab: Array, factors: Sequence[int]) -> Array:
    """Return a slab as ``(n0, f0, n1, f1, …)``; a cut window is the only one along its axis, as wide as the slab."""
    sizes = zip(slab.shape, factors, strict=True)
    return slab.reshape([size for n, f in sizes for size in (max(n // f, 1), min(n, f))])


# ---- windows → values


def reduce_by_kernel(
    kernel: Callable[[Array], Array], slab: Array, factors: tuple[int, ...], margins: Margins
) -> Array:
    """Return what a kernel makes of contiguous windows in native byte order and its working type."""
    dtype = WORKING.get(slab.dtype.char, slab.dtype.newbyteorder("="))
    values = kernel(_windows(np.ascontiguousarray(slab, dtype), factors))
    return canonical_floats(values) if values.dtype.kind == "f" else values


def canonical_floats(values: Array) -> Array:
    """Return floats with a single NaN and a single zero."""
    values = values + 0.0
    values[np.isnan(values)] = np.nan
    return values


def reduce_by_function(
    function: Callable[..., Any], name: str, slab: Array, factors: tuple[int, ...], margins: Margins
) -> Array:
    """Return what a user's callable makes of read-only windows, checked against the contract."""
    windows = _windows(slab, factors).astype(slab.dtype.newbyteorder("="), copy=False).view()
    windows.flags.writeable = False
    values = np.asarray(function(windows, tuple(range(1, windows.ndim, 2))))
    if values.shape != windows.shape[::2] or values.dtype.kind not in "biuf":
        returned, wanted = f"{values.dtype} shaped {values.shape}", f"numbers shaped {windows.shape[::2]}"
        raise ValueError(f"method {name!r} returned {returned}: it must return {wanted}")
    return values if slab.dtype.kind == "f" else _fitting(values, slab.dtype, name)


def _fitting(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Return values rounded half to even; raise a ValueError if one does not fit an integer dtype or bool."""
    low, high = _limits(dtype)
    if values.dtype.kind == "f":
        values = np.rint(values.astype(np.float64))
    # `high` of 64 bits is not a float, but `high + 1` is, a power of two: so compare with that.
    fits = (values >= low) & ((values < float(high + 1)) if values.dtype.kind == "f" else (values <= high))
    if not fits.all():
        bad = values[~fits].flat[0]
        raise ValueError(f"method {name!r} returned {bad} for {dtype}: it must stay in {low} … {high}")
    return values


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the least and greatest value of an integer dtype or bool."""
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def nearest_voxel(slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """Return the first voxel of every window, unchanged."""
    return slab[tuple(slice(None, None, f) for f in factors)]


def fold_windows(pairwise_op: np.ufunc, windows: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Return windows reduced by an exact ufunc, axis by axis: the last axis, slow for its stride, has least to do."""
    dtype = dtype or windows.dtype
    for axis in range(1, windows.ndim // 2 + 1):
        first, *others = (windows[(slice(None),) * axis + (j,)] for j in range(windows.shape[axis]))
        if others:
            first = pairwise_op(first, others[0], dtype=dtype)
        for other in others[1:]:
            pairwise_op(first, other, out=first, dtype=dtype)
        windows = first
    return windows.astype(dtype, copy=False)


def window_planes(windows: Array) -> list[Array]:
    """Return one view per voxel of a window, in C order, each with that voxel of all windows."""
    every = slice(None)
    return [windows[tuple(i for j in voxel for i in (every, j))] for voxel in np.ndindex(windows.shape[1::2])]


def window_rows(windows: Array) -> Array:
    """Return the voxels of each window in C order along the last axis."""
    rows = windows.transpose([*range(0, windows.ndim, 2), *range(1, windows.ndim, 2)])
    return rows.reshape(*windows.shape[::2], -1)


def window_size(windows: Array) -> int:
    """Return the voxels per window."""
    return math.prod(windows.shape[1::2])


def round_half_even(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return floats as integers or bools: rounded half to even, clipped to what the type holds."""
    low, high = _limits(dtype)
    values = np.rint(values)
    # A float64 cannot be 2⁶⁴ - 1: clip below it, and put the limit itself where the values reach it.
    rounded = values.clip(low, np.nextafter(float(high + 1), 0)).astype(dtype)
    rounded[values >= high] = high
    return rounded


# ---- the filters of SciPy and scikit-image


def apply_filter(kernel: Filter, slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """Return weighted sums in float64; integers are rounded half to even and clipped, so that none wraps."""
    values = kernel(slab, factors, margins)
    return canonical_floats(values) if slab.dtype.kind == "f" else round_half_even(values, slab.dtype)
