"""Median, mode, min and max: windows sorted plane by plane with a sorting network."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from daskome.kernels.windows import PLANES_MAX, Array, fold_windows, window_planes, window_size

# ---- order and counts


def median_windows(windows: Array) -> Array:
    """Return the middle value; of an even number, the lower middle, as in TensorStore. NaN if there is a NaN."""
    middle = (window_size(windows) - 1) // 2
    return _ordered(window_planes(windows), middle)[middle]


def mode_windows(windows: Array) -> Array:
    """Return the most frequent value; of several, the least, as in TensorStore. NaN if there is a NaN.

    Most windows of a label image are uniform: their least value is their greatest. Only the others are sorted.
    """
    mode = fold_windows(np.minimum, windows)
    mixed = np.flatnonzero(mode != fold_windows(np.maximum, windows))
    if mixed.size:
        mode = mode.copy()
        mode.put(mixed, _longest_run(_ordered([plane.ravel()[mixed] for plane in window_planes(windows)])))
    return mode


def _longest_run(ordered: Sequence[Array]) -> Array:
    """Return the first of the most frequent values of planes that are sorted elementwise."""
    best = ordered[0].copy()
    run = np.ones(best.shape, np.min_scalar_type(len(ordered)))
    longest = run.copy()
    for before, plane in pairwise(ordered):
        run *= (plane == before).view("u1")
        run += 1
        np.copyto(best, plane, where=run > longest)
        np.maximum(longest, run, out=longest)
    return best


def _ordered(planes: Sequence[Array], wanted: int | None = None) -> Sequence[Array]:
    """Return planes sorted elementwise, or with at least the wanted one in its place. A NaN makes all of them NaN."""
    if len(planes) <= PLANES_MAX:
        return _exchanged(planes, _network(len(planes), wanted))
    ordered = np.sort(np.stack(planes, axis=-1))
    if ordered.dtype.kind == "f":
        ordered[np.isnan(ordered[..., -1])] = np.nan
    return list(np.moveaxis(ordered, -1, 0))


def _exchanged(planes: Sequence[Array], network: Sequence[tuple[int, int]]) -> Sequence[Array]:
    """Return contiguous copies of planes, with every pair of the network put in order."""
    planes, spare = [plane.copy() for plane in planes], np.empty_like(planes[0], order="C")
    for i, j in network:
        np.minimum(planes[i], planes[j], out=spare)
        np.maximum(planes[i], planes[j], out=planes[j])
        planes[i], spare = spare, planes[i]
    return planes


@lru_cache(maxsize=256)
def _network(n: int, wanted: int | None) -> tuple[tuple[int, int], ...]:
    """Return Batcher's odd-even merge sort for n values, without the pairs that do not affect the wanted place."""
    needed, kept = set(range(n)) if wanted is None else {wanted}, []
    for i, j in reversed(list(_merge_exchanges(n))):
        if i in needed or j in needed:
            needed |= {i, j}
            kept.append((i, j))
    return tuple(reversed(kept))


def _merge_exchanges(n: int) -> Iterator[tuple[int, int]]:
    """Yield the pairs of Batcher's network (Knuth, The Art of Computer Programming, volume 3, 5.3.4)."""
    powers = [1 << bit for bit in range((n - 1).bit_length())]
    for run in powers:
        for gap in (g for g in reversed(powers) if g <= run):
            for start in range(gap % run, n - gap, 2 * gap):
                pairs = ((i, i + gap) for i in range(start, min(start + gap, n - gap)))
                yield from ((i, j) for i, j in pairs if i // (2 * run) == j // (2 * run))
