"""How a window of voxels becomes one: the table `METHODS`, and `downsample`, which applies a row of it.

=========================  ===============================================================  ===================
method                     value of a window                                                its place
=========================  ===============================================================  ===================
mean                       exact for integers, rounded half to even; floats don't overflow  the window's centre
median                     the middle; of an even number the lower middle: a value there    the window's centre
mode                       the most frequent; of equally frequent ones the smallest         the window's centre
min, max                   the smallest, the largest                                        the window's centre
nearest                    the window's first voxel                                         that voxel
gaussian                   smoothed, with variance (f² - 1) / (8 ln 2) for a factor f       the window's centre
resize, zoom, laplacian    those of scikit-image and SciPy, for whole factors               the window's centre
a function                 ``(windows, axis) -> values``, such as `numpy.max`               the window's centre
=========================  ===============================================================  ===================

The first five rows equal TensorStore's ``downsample`` bit for bit; NaN and infinities are treated as in NumPy. No
method leaves seams between chunks.

NumPy only. `downsample` cuts a block into slabs that fit the cache and hold either whole windows or one that
the image's edge cuts, so a kernel only ever sees an array of equal windows, shaped ``(n0, f0, n1, f1, …)``.

A value depends on the voxels of its window and nothing else, to the bit, however the image is cut. Therefore
floats have a single NaN and a zero without sign: which of two came out would be up to the width of the CPU's
vectors.
"""

import difflib
import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from daskome.resampling import LAPLACIAN, RESIZE, ZOOM, Filter

__all__ = ["METHODS", "Method", "downsample", "find_method", "short_name"]

Array = npt.NDArray[Any]
Span = tuple[int, int]
Margins = tuple[Span, ...]

SLAB_NBYTES: Final = 4 * 2**20
"""Per slab, in the type that a method works in: small enough for the cache, and so large that threads seldom meet.

They do at the interpreter's lock, which every operation on a slab takes again as it ends. uint16 mean 2×2×2 on 128³,
one thread and two: slabs of ½ MiB 1,600 and 1,100 MB/s in all, of 4 MiB 3,000 and 4,000.
"""

PLANES_MAX: Final = 64
"""Windows of up to this many voxels are sorted or added plane by plane; bigger ones row by row."""

WORKING: Final = {"?": "u1", "e": "f4"}
"""Types that kernels see as another, which holds all their values: truth as 0 and 1, float16 as float32."""


def _no_halo(factor: int) -> int:
    """A window that looks at its own voxels only."""
    return 0


@dataclass(frozen=True, slots=True)
class Method:
    """A row of `METHODS`: a reduction over windows, and where its sample sits.

    Attributes
    ----------
    name
        The key in `METHODS`, or ``"module:qualname"`` of a callable.
    reduce
        ``(slab, factors, margins) -> values``. The slab holds, per axis, whole windows or a single cut one,
        and around them `margins` voxels of context.
    centred
        Whether the sample sits at its window's centre, or where it was taken.
    halo
        Voxels wanted either side of a window, along an axis downsampled by the given factor.
    weighs
        Whether it weighs voxels, which it does in float64 whatever the dtype.

    Examples
    --------
    >>> METHODS["mean"].offset(4), METHODS["nearest"].offset(4), METHODS["gaussian"].halo(2)
    (1.5, 0.0, 2)
    """

    name: str
    reduce: Callable[[Array, tuple[int, ...], Margins], Array]
    centred: bool = True
    halo: Callable[[int], int] = _no_halo
    weighs: bool = False

    def __call__(self, block: Array, factors: tuple[int, ...]) -> Array:
        """Return a block with every window of `factors` voxels reduced to one, as `downsample` does."""
        return downsample(block, factors, self)

    @property
    def address(self) -> str:
        """Where anyone can import it: what metadata say made an image. It never changes, whatever modules do."""
        return self.name if ":" in self.name else f"{HOME}.{self.name}"

    def offset(self, factor: float) -> float:
        """The position of a window's sample, in voxels from the window's first."""
        return (factor - 1) / 2 if self.centred else 0.0


def downsample(
    block: Array, factors: tuple[int, ...], method: Method, halo: Sequence[tuple[int, int]] | None = None
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


def find_method(method: str | Callable[..., Any] | Method) -> Method:
    """The `Method` for a name in `METHODS`, its `Method.address`, a ``"module:qualname"`` to import, or a callable.

    Parameters
    ----------
    method
        A callable takes ``(windows, axis)``, windows shaped ``(n0, f0, n1, f1, …)`` and read-only, axis
        ``(1, 3, …)``, and returns values shaped ``(n0, n1, …)``. It is called once per slab, so a value may
        depend on its own window alone. For an integer image, values are rounded half to even, and must fit
        the dtype.

    Examples
    --------
    >>> find_method("mean").name, find_method("numpy:max").name, find_method(np.std).name
    ('mean', 'numpy:max', 'numpy:std')
    """
    if isinstance(method, Method):
        return method
    if callable(method):
        return _from_function(method, _address(method))
    names = f"{', '.join(METHODS)}, 'module:function' or a callable"
    if not isinstance(method, str):
        raise ValueError(f"method {method!r}: use one of {names}")
    method = short_name(method)
    if method in METHODS:
        return METHODS[method]
    if ":" in method:
        return _from_function(_load(method), method)
    near = difflib.get_close_matches(method, METHODS, n=1, cutoff=0)
    raise ValueError(f"unknown method {method!r}, nearest {near[0]!r}: use one of {names}")


def short_name(method: str) -> str:
    """Return the name of a method in `METHODS` for all that it is or was called; other names as they are.

    >>> [*map(short_name, ["local_mean", "daskome.scale.max", "daskome.methods:max", "numpy:max"])]
    ['mean', 'max', 'max', 'numpy:max']
    """
    known = next((method.removeprefix(home) for home in HOMES if method.startswith(home)), method)
    return ALIASES.get(known, known) if known in (*METHODS, *ALIASES) else method


def _address(function: Callable[..., Any]) -> str:
    """``"module:qualname"`` of a function; of its class, for an object that is called."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _load(address: str) -> Callable[..., Any]:
    """The callable at ``"module:qualname"``."""
    module, _, path = address.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"method {address!r} isn't importable ({error}): pass the callable") from error
    if not callable(found):
        raise ValueError(f"method {address!r} is a {type(found).__name__}: name a callable (windows, axis)")
    return found  # type: ignore[no-any-return]


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


def _budget(method: Method, dtype: np.dtype[Any]) -> int:
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


def _windows(slab: Array, factors: Sequence[int]) -> Array:
    """``(n0, f0, n1, f1, …)``; a cut window is the only one along its axis, and as wide as the slab."""
    sizes = zip(slab.shape, factors, strict=True)
    return slab.reshape([size for n, f in sizes for size in (max(n // f, 1), min(n, f))])


# ---- windows → values


def _by_kernel(kernel: Callable[[Array], Array], slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """A kernel on contiguous, native, working-type windows; one NaN and one zero for floats."""
    dtype = WORKING.get(slab.dtype.char, slab.dtype.newbyteorder("="))
    values = kernel(_windows(np.ascontiguousarray(slab, dtype), factors))
    return _canonical(values) if values.dtype.kind == "f" else values


def _canonical(values: Array) -> Array:
    """Floats with a single NaN and a single zero."""
    values = values + 0.0
    values[np.isnan(values)] = np.nan
    return values


def _by_function(
    function: Callable[..., Any], name: str, slab: Array, factors: tuple[int, ...], margins: Margins
) -> Array:
    """A user's callable on read-only windows, and what it returns held to the contract."""
    windows = _windows(slab, factors).astype(slab.dtype.newbyteorder("="), copy=False).view()
    windows.flags.writeable = False
    values = np.asarray(function(windows, tuple(range(1, windows.ndim, 2))))
    if values.shape != windows.shape[::2] or values.dtype.kind not in "biuf":
        returned, wanted = f"{values.dtype} shaped {values.shape}", f"numbers shaped {windows.shape[::2]}"
        raise ValueError(f"method {name!r} returned {returned}: it must return {wanted}")
    return values if slab.dtype.kind == "f" else _fitting(values, slab.dtype, name)


def _fitting(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Values rounded half to even, all within an integer dtype or bool."""
    low, high = _limits(dtype)
    if values.dtype.kind == "f":
        values = np.rint(values.astype(np.float64))
    # As floats, the limits of 64 bits are powers of two: below `high + 1` is exact where up to `high` isn't.
    fits = (values >= low) & ((values < float(high + 1)) if values.dtype.kind == "f" else (values <= high))
    if not fits.all():
        bad = values[~fits].flat[0]
        raise ValueError(f"method {name!r} returned {bad} for {dtype}: it must stay in {low} … {high}")
    return values


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least and greatest value of an integer dtype or bool."""
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _nearest(slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """The first voxel of every window, as it is."""
    return slab[tuple(slice(None, None, f) for f in factors)]


def _fold(pairwise_op: np.ufunc, windows: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Windows reduced by an exact ufunc, axis by axis: the last, slow for its stride, has least to do."""
    dtype = dtype or windows.dtype
    for axis in range(1, windows.ndim // 2 + 1):
        first, *others = (windows[(slice(None),) * axis + (j,)] for j in range(windows.shape[axis]))
        if others:
            first = pairwise_op(first, others[0], dtype=dtype)
        for other in others[1:]:
            pairwise_op(first, other, out=first, dtype=dtype)
        windows = first
    return windows.astype(dtype, copy=False)


def _planes(windows: Array) -> list[Array]:
    """One view per voxel of a window, in C order, each with that voxel of all windows."""
    every = slice(None)
    return [windows[tuple(i for j in voxel for i in (every, j))] for voxel in np.ndindex(windows.shape[1::2])]


def _rows(windows: Array) -> Array:
    """Each window's voxels in C order along the last axis."""
    rows = windows.transpose([*range(0, windows.ndim, 2), *range(1, windows.ndim, 2)])
    return rows.reshape(*windows.shape[::2], -1)


def _size(windows: Array) -> int:
    """Voxels per window."""
    return math.prod(windows.shape[1::2])


# ---- mean


def _mean(windows: Array) -> Array:
    """Integers: exact, half to even. Floats: added in C order, then divided, as TensorStore; no overflow."""
    if windows.dtype.kind == "f":
        return _mean_float(windows)
    return _mean_words(windows) if windows.itemsize == 8 else _mean_integer(windows)


def _mean_integer(windows: Array) -> Array:
    """The sum in the narrowest type with room for it and half the divisor."""
    n = _size(windows)
    bits = 8 * windows.itemsize + n.bit_length() + 1
    wide = next(size for size in (2, 4, 8) if bits <= 8 * size)
    return _divide(_fold(np.add, windows, np.dtype(f"{windows.dtype.kind}{wide}")), n)


def _mean_words(windows: Array) -> Array:
    """64-bit integers as two words, summed apart; the high mean's remainder goes down to the low word."""
    n = _size(windows)
    high, rest = np.divmod(_fold(np.add, windows >> 32), n)
    low = _fold(np.add, windows & 0xFFFF_FFFF)
    return (high << 32) + _divide((rest << 32) + low, n)


def _divide(total: Array, n: int) -> Array:
    """Integers over n, half to even: add just less than n / 2, and 1 where n is even and the quotient odd."""
    floor, by = (np.right_shift, n.bit_length() - 1) if n.bit_count() == 1 else (np.floor_divide, n)
    shifted = floor(total, by)
    shifted &= 1 - n % 2
    shifted += (n - 1) // 2
    shifted += total
    return floor(shifted, by)


def _mean_float(windows: Array) -> Array:
    """The total over n; where not finite, of values scaled down, which leaves true infinities and NaN."""
    n = _size(windows)
    with np.errstate(over="ignore", invalid="ignore"):
        total = _total(windows)
        finite = np.isfinite(total)
        return total / n if finite.all() else np.where(finite, total / n, _mean_scaled(windows, n))


def _mean_scaled(windows: Array, n: int) -> Array:
    """The mean by way of values so small that their sum can't overflow.

    Neither does scaling back: n times the greatest float, added one by one and divided by n, is not above it
    (tried for every n to 3,000,000), and rounding is monotonic.
    """
    scale = windows.dtype.type(0.5 ** n.bit_length())
    mean: Array = _total(windows * scale) / n / scale
    return mean


def _total(windows: Array) -> Array:
    """Floats added one by one in C order."""
    if _size(windows) > PLANES_MAX:
        return np.add.accumulate(_rows(windows), axis=-1)[..., -1]
    first, *others = _planes(windows)
    total = first.copy()
    for other in others:
        total += other
    return total


# ---- order and counts


def _median(windows: Array) -> Array:
    """The middle value; of an even number, the lower of the two, as TensorStore. NaN where there is one."""
    middle = (_size(windows) - 1) // 2
    return _ordered(_planes(windows), middle)[middle]


def _mode(windows: Array) -> Array:
    """The most frequent value; of several, the least, as TensorStore. NaN where there is one.

    Most windows of a label image are uniform: their least value is their greatest. Only others are sorted.
    """
    mode = _fold(np.minimum, windows)
    mixed = np.flatnonzero(mode != _fold(np.maximum, windows))
    if mixed.size:
        mode = mode.copy()
        mode.put(mixed, _longest_run(_ordered([plane.ravel()[mixed] for plane in _planes(windows)])))
    return mode


def _longest_run(ordered: Sequence[Array]) -> Array:
    """The first of the most frequent values, of planes in ascending order."""
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
    """Planes sorted elementwise: all, or at least the wanted one in its place. A NaN makes every one NaN."""
    if len(planes) <= PLANES_MAX:
        return _exchanged(planes, _network(len(planes), wanted))
    ordered = np.sort(np.stack(planes, axis=-1))
    if ordered.dtype.kind == "f":
        ordered[np.isnan(ordered[..., -1])] = np.nan
    return list(np.moveaxis(ordered, -1, 0))


def _exchanged(planes: Sequence[Array], network: Sequence[tuple[int, int]]) -> Sequence[Array]:
    """Contiguous copies of planes, with every pair of the network put in order."""
    planes, spare = [plane.copy() for plane in planes], np.empty_like(planes[0], order="C")
    for i, j in network:
        np.minimum(planes[i], planes[j], out=spare)
        np.maximum(planes[i], planes[j], out=planes[j])
        planes[i], spare = spare, planes[i]
    return planes


@lru_cache(maxsize=256)
def _network(n: int, wanted: int | None) -> tuple[tuple[int, int], ...]:
    """Batcher's odd-even merge sort for n values, less the pairs on which the wanted place doesn't depend."""
    needed, kept = set(range(n)) if wanted is None else {wanted}, []
    for i, j in reversed(list(_merge_exchanges(n))):
        if i in needed or j in needed:
            needed |= {i, j}
            kept.append((i, j))
    return tuple(reversed(kept))


def _merge_exchanges(n: int) -> Iterator[tuple[int, int]]:
    """The pairs of Batcher's network (Knuth, The Art of Computer Programming, volume 3, 5.3.4)."""
    powers = [1 << bit for bit in range((n - 1).bit_length())]
    for run in powers:
        for gap in (g for g in reversed(powers) if g <= run):
            for start in range(gap % run, n - gap, 2 * gap):
                pairs = ((i, i + gap) for i in range(start, min(start + gap, n - gap)))
                yield from ((i, j) for i, j in pairs if i // (2 * run) == j // (2 * run))


# ---- gaussian


def _sigma(factor: int) -> float:
    """The width that leaves below half height what the new grid can't show: ITK's variance for shrinking."""
    return math.sqrt((factor * factor - 1) / (8 * math.log(2)))


def _gaussian_halo(factor: int) -> int:
    """What a window lacks of three sigma either side of its centre."""
    return max(0, math.ceil(3 * _sigma(factor) - (factor - 1) / 2))


@lru_cache(maxsize=256)
def _gaussian_weights(factor: int) -> tuple[float, ...]:
    """For the voxels of a window and its halo, centred on the window; their sum is one."""
    halo, sigma = _gaussian_halo(factor), _sigma(factor)
    offsets = [j - (factor - 1) / 2 for j in range(-halo, factor + halo)]
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in offsets]
    return tuple(weight / math.fsum(weights) for weight in weights)


def _gaussian(slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """One axis after the other in float64; integers rounded half to even."""
    values = slab
    with np.errstate(over="ignore", invalid="ignore"):
        for axis, (factor, margin) in enumerate(zip(factors, margins, strict=True)):
            values = values if factor == 1 else _weighted(values, axis, factor, margin)
    return _canonical(values) if slab.dtype.kind == "f" else _rounded(values, slab.dtype)


def _weighted(values: Array, axis: int, factor: int, margin: tuple[int, int]) -> Array:
    """Weighted means along an axis, over the voxels that exist, always added from the first to the last."""
    n, (before, after) = values.shape[axis], margin
    count = -(-(n - before - after) // factor)
    total = np.zeros([*values.shape[:axis], count, *values.shape[axis + 1 :]])
    weights = np.zeros([count] + [1] * (values.ndim - axis - 1))
    for start, weight in enumerate(_gaussian_weights(factor), before - _gaussian_halo(factor)):
        first, stop = max(0, -(start // factor)), min(count, -((start - n) // factor))
        along = (slice(None),) * axis
        voxels = slice(start + first * factor, start + stop * factor, factor)
        total[(*along, slice(first, stop))] += np.multiply(values[(*along, voxels)], weight, dtype=np.float64)
        weights[first:stop] += weight
    return total / weights


def _rounded(values: Array, dtype: np.dtype[Any]) -> Array:
    """Floats as integers or bools: half to even, clipped to what the type holds."""
    low, high = _limits(dtype)
    values = np.rint(values)
    # A float64 can't be 2⁶⁴ - 1: clip below it, and put the limit itself where the values reach it.
    whole = values.clip(low, np.nextafter(float(high + 1), 0)).astype(dtype)
    whole[values >= high] = high
    return whole


# ---- the filters of SciPy and scikit-image


def _filtered(kernel: Filter, slab: Array, factors: tuple[int, ...], margins: Margins) -> Array:
    """Weighted sums in float64; integers rounded half to even and clipped, so that none wraps."""
    values = kernel(slab, factors, margins)
    return _canonical(values) if slab.dtype.kind == "f" else _rounded(values, slab.dtype)


# ---- the table


def _row(name: str, kernel: Callable[[Array], Array]) -> Method:
    """A method whose windows look at their own voxels only."""
    return Method(name, partial(_by_kernel, kernel))


def _filter_row(name: str, kernel: Filter) -> Method:
    """A method that weighs the voxels of a window and its halo."""
    return Method(name, partial(_filtered, kernel), halo=kernel.halo, weighs=True)


def _from_function(function: Callable[..., Any], name: str) -> Method:
    """A method made of a user's callable."""
    return Method(name, partial(_by_function, function, name))


METHODS: Final[Mapping[str, Method]] = {
    method.name: method
    for method in (
        _row("mean", _mean),
        _row("median", _median),
        _row("mode", _mode),
        _row("min", partial(_fold, np.minimum)),
        _row("max", partial(_fold, np.maximum)),
        Method("nearest", _nearest, centred=False),
        Method("gaussian", _gaussian, halo=_gaussian_halo, weighs=True),
        _filter_row("resize", RESIZE),
        _filter_row("zoom", ZOOM),
        _filter_row("laplacian", LAPLACIAN),
    )
}
"""The methods known by name. Those from `mean` to `nearest` equal TensorStore's, where `nearest` is ``stride``.

``resize``, ``zoom`` and ``laplacian`` are the filters of scikit-image and SciPy (`daskome.resampling`). They, and
``gaussian``, add in float64: integers beyond 2⁵³ lose their last digits, so they are not for labels. Integers
are rounded half to even and clipped to their type; of a ``laplacian``, which has two signs, an unsigned type keeps
the positive half, so write floats or signed integers.
"""

HOME: Final = "daskome.scale"
"""The public module where every row of `METHODS` can be imported by its name."""

HOMES: Final = (f"{HOME}.", f"{HOME}:", "daskome.methods:")
"""What stands before the name of a method in metadata; the last, which could not be imported, in the first of them."""

ALIASES: Final[Mapping[str, str]] = {"local_mean": "mean"}
"""Other names that `find_method` knows."""
