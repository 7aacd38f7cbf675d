"""How fast one core downsamples, and others do.

``python -m benchmarks.kernels`` prints MB/s of input for `daskome.kernels.downsample.downsample` beside
`dask.array.coarsen`, TensorStore, scikit-image and SciPy, each on one thread, on the same block in memory.
``--tiny`` is for the tests. "—" stands for a peer that has no such method, "absent" for one not installed.
"""

import argparse
import importlib
import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.report import Table, report
from daskome.kernels.downsample import downsample
from daskome.kernels.methods import METHODS

Image = npt.NDArray[Any]
Factors = tuple[int, ...]
Prepared = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Case:
    """One question: how fast `peer` is with this method, on a cube of this dtype."""

    peer: str
    method: str
    dtype: str
    factors: Factors
    content: str
    side: int
    rounds: int


@dataclass(frozen=True, slots=True)
class Row:
    """The answer: seconds, medians of the rounds; or a note that says why there are none."""

    case: Case
    wall: float = math.nan
    cpu: float = math.nan
    note: str = ""

    @property
    def rate(self) -> float:
        """MB/s of input."""
        return self.case.side**3 * np.dtype(self.case.dtype).itemsize / 1e6 / self.wall


# ---- images


def _noise(side: int, dtype: np.dtype[Any]) -> Image:
    """Voxels without any order, over the dtype's range up to 16 bits."""
    high = 2 if dtype.kind == "b" else min(65535, np.iinfo(dtype).max) if dtype.kind in "iu" else 65535
    return np.random.default_rng(0).integers(0, high, (side,) * 3).astype(dtype)


def _cells(side: int, dtype: np.dtype[Any]) -> Image:
    """Labels: the nearest of random seeds, about 30 voxels apart; one window of 2×2×2 in nine is not uniform."""
    seeds = np.random.default_rng(0).random((max(1, side // 30) ** 3, 3)) * side
    z, y, x = np.ogrid[:side, :side, :side]
    labels, nearest = np.zeros((side,) * 3, dtype), np.full((side,) * 3, np.inf, "f4")
    for label, (sz, sy, sx) in enumerate(seeds, 1):
        distance = ((z - sz) ** 2 + (y - sy) ** 2 + (x - sx) ** 2).astype("f4")
        labels[distance < nearest] = label
        np.minimum(nearest, distance, out=nearest)
    return labels


CONTENTS: Final[dict[str, Callable[[int, np.dtype[Any]], Image]]] = {"noise": _noise, "cells": _cells}


# ---- peers: each gives a call without arguments, or None if it has no such method


def _daskome(image: Image, factors: Factors, method: str) -> Prepared | None:
    """A block as a unit sees it: the halo of `gaussian` would come on top."""
    return partial(downsample, image, factors, METHODS[method])


def _dask(image: Image, factors: Factors, method: str) -> Prepared | None:
    """`da.coarsen` on a single chunk, scheduled synchronously."""
    da: Any = importlib.import_module("dask.array")
    function = {"mean": np.mean, "median": np.median, "min": np.min, "max": np.max}.get(method)
    if function is None:
        return None
    axes = dict(enumerate(factors))
    lazy = da.coarsen(function, da.from_array(image, chunks=-1), axes, trim_excess=True).astype(image.dtype)
    return partial(lazy.compute, scheduler="sync")


def _tensorstore(image: Image, factors: Factors, method: str) -> Prepared | None:
    """`tensorstore.downsample` of an array in memory, with one thread for copies."""
    import tensorstore as ts

    if method == "gaussian":
        return None
    one = ts.Context({"data_copy_concurrency": {"limit": 1}})
    name: Any = "stride" if method == "nearest" else method
    view = ts.downsample(ts.array(image, context=one), list(factors), name)
    return lambda: view.read().result()


def _skimage(image: Image, factors: Factors, method: str) -> Prepared | None:
    """`skimage.measure.block_reduce`."""
    block_reduce = importlib.import_module("skimage.measure").block_reduce
    function = {"mean": np.mean, "median": np.median, "min": np.min, "max": np.max}.get(method)
    return function and partial(block_reduce, image, factors, function)


def _scipy(image: Image, factors: Factors, method: str) -> Prepared | None:
    """`scipy.ndimage.gaussian_filter`, then every nth voxel: without the shift to the window's centre."""
    gaussian_filter = importlib.import_module("scipy.ndimage").gaussian_filter
    if method != "gaussian":
        return None
    sigma = [((f * f - 1) / (8 * np.log(2))) ** 0.5 for f in factors]
    return lambda: gaussian_filter(image, sigma)[tuple(slice(None, None, f) for f in factors)]


PEERS: Final[dict[str, tuple[str, Callable[[Image, Factors, str], Prepared | None]]]] = {
    "daskome": ("numpy", _daskome),
    "da.coarsen": ("dask", _dask),
    "tensorstore": ("tensorstore", _tensorstore),
    "skimage": ("skimage", _skimage),
    "scipy": ("scipy", _scipy),
}
"""Name → the module it needs, and how to prepare a call."""

_QUESTIONS: Final = [
    *product(["mean"], ["uint8", "uint16", "float32"], [(2, 2, 2), (1, 2, 2), (2, 1, 1), (4, 4, 4)], ["noise"]),
    *product(["mode"], ["uint16", "uint32"], [(2, 2, 2)], ["cells", "noise"]),
    *product(["median", "min", "max", "nearest", "gaussian"], ["uint16", "float32"], [(2, 2, 2)], ["noise"]),
    *product(["mean", "median"], ["uint16"], [(3, 3, 3)], ["noise"]),
]


# ---- measuring


def cases(*, tiny: bool = False) -> list[Case]:
    """Every question to every peer; when tiny, on cubes of 16 and once."""
    side, rounds = (16, 1) if tiny else (128, 7)
    return [Case(peer, *question, side, rounds) for question in _QUESTIONS for peer in PEERS]


def measure(case: Case) -> Row:
    """Run a case: once to warm up, then its rounds."""
    module, prepare = PEERS[case.peer]
    if importlib.util.find_spec(module) is None:
        return Row(case, note="absent")
    image = CONTENTS[case.content](case.side, np.dtype(case.dtype))
    call = prepare(image, case.factors, case.method)
    if call is None:
        return Row(case, note="—")
    times = [_timed(call) for _ in range(case.rounds + 1)][1:]
    wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(case, wall, cpu)


def _timed(call: Prepared) -> tuple[float, float]:
    """Wall and CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - cpu


HEAD = ["method", "dtype", "factors", "content", "who", "MB/s", "wall ms", "CPU ms"]


def cells(row: Row) -> list[str]:
    """Return a row of the table."""
    case, factors = row.case, "×".join(map(str, row.case.factors))
    numbers = [f"{row.rate:,.0f}", f"{row.wall * 1e3:.2f}", f"{row.cpu * 1e3:.2f}"]
    return [case.method, case.dtype, factors, case.content, case.peer, *numbers]


def compared(rows: Iterable[Row]) -> list[list[str]]:
    """Return a row per method, dtype and content of 2×2×2 windows, with the MB/s of all peers side by side."""
    rates: dict[str, dict[str, str]] = {}
    for row in rows:
        case, rate = row.case, row.note or f"{row.rate:,.0f}"
        if case.factors == (2, 2, 2):
            rates.setdefault(f"{case.method}, {case.dtype}, {case.content}", {})[case.peer] = rate
    return [[name, *(found[peer] for peer in PEERS)] for name, found in rates.items()]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="cubes of 16 voxels, one round")
    tiny = parser.parse_args().tiny
    rows = [measure(case) for case in cases(tiny=tiny)]
    note = f"Not installed: {_noted(rows, 'absent')}. No such method: {_noted(rows, '—')}."
    every = Table(HEAD, [cells(row) for row in rows if not row.note], note=note)
    side = cases(tiny=tiny)[0].side
    short = Table([f"2×2×2 windows, {side}³, MB/s of input, one core", *PEERS], compared(rows))
    report("kernels", every, short, whole=not tiny)


def _noted(rows: Iterable[Row], note: str) -> str:
    """Which peers have this note, and for which methods."""
    methods: dict[str, list[str]] = {}
    for row in rows:
        if row.note == note and row.case.method not in methods.setdefault(row.case.peer, []):
            methods[row.case.peer].append(row.case.method)
    return "; ".join(f"{peer} ({', '.join(names)})" for peer, names in methods.items()) or "none"


if __name__ == "__main__":
    main()
