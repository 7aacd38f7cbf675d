"""The mean: exact for integers, rounded half to even; floats summed in a fixed order."""

import numpy as np

from daskome.kernels.windows import PLANES_MAX, Array, fold_windows, window_planes, window_rows, window_size

# ---- mean


def mean_windows(windows: Array) -> Array:
    """Return means: exact, half to even, for integers; for floats added in C order, then divided, as in TensorStore."""
    if windows.dtype.kind == "f":
        return _mean_float(windows)
    return _mean_words(windows) if windows.itemsize == 8 else _mean_integer(windows)


def _mean_integer(windows: Array) -> Array:
    """Return means by a sum in the narrowest type with room for it and half the divisor."""
    n = window_size(windows)
    bits = 8 * windows.itemsize + n.bit_length() + 1
    wide = next(size for size in (2, 4, 8) if bits <= 8 * size)
    return _divide(fold_windows(np.add, windows, np.dtype(f"{windows.dtype.kind}{wide}")), n)


def _mean_words(windows: Array) -> Array:
    """Return means of 64-bit integers: two words, summed apart; the high one's remainder goes to the low one."""
    n = window_size(windows)
    high, remainder = np.divmod(fold_windows(np.add, windows >> 32), n)
    low = fold_windows(np.add, windows & 0xFFFF_FFFF)
    return (high << 32) + _divide((remainder << 32) + low, n)


def _divide(total: Array, n: int) -> Array:
    """Return integers over n, half to even: add just less than n / 2, and 1 where n is even and the quotient odd."""
    floor, by = (np.right_shift, n.bit_length() - 1) if n.bit_count() == 1 else (np.floor_divide, n)
    shifted = floor(total, by)
    shifted &= 1 - n % 2
    shifted += (n - 1) // 2
    shifted += total
    return floor(shifted, by)


def _mean_float(windows: Array) -> Array:
    """Return the total over n; where it is not finite, that of scaled values: only true infinities and NaN remain."""
    n = window_size(windows)
    with np.errstate(over="ignore", invalid="ignore"):
        total = _total(windows)
        finite = np.isfinite(total)
        return total / n if finite.all() else np.where(finite, total / n, _mean_scaled(windows, n))


def _mean_scaled(windows: Array, n: int) -> Array:
    """Return the mean of values that are scaled down first, so that their sum cannot overflow.

    Scaling back does not overflow either: n times the greatest float, added one by one and divided by n, is not above
    it (tried for every n up to 3,000,000), and rounding is monotonic.
    """
    scale = windows.dtype.type(0.5 ** n.bit_length())
    mean: Array = _total(windows * scale) / n / scale
    return mean


def _total(windows: Array) -> Array:
    """Return the sum of floats, added one by one in C order."""
    if window_size(windows) > PLANES_MAX:
        return np.add.accumulate(window_rows(windows), axis=-1)[..., -1]
    first, *others = window_planes(windows)
    total = first.copy()
    for other in others:
        total += other
    return total
