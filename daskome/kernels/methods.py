"""How a window of voxels becomes one: the table `METHODS`, and `downsample`, which applies a row of it.

=========================  ===============================================================  ===================
method                     value of a window                                                position
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
floats have a single NaN and a zero without sign: otherwise the width of the CPU's vectors would decide which of two
came out.
"""

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any, Final

import numpy as np

from daskome.kernels.downsample import downsample
from daskome.kernels.filters import LAPLACIAN, RESIZE, ZOOM, Filter
from daskome.kernels.gaussian import gaussian_halo, gaussian_windows
from daskome.kernels.mean import mean_windows
from daskome.kernels.rank import median_windows, mode_windows
from daskome.kernels.windows import (
    Array,
    Margins,
    apply_filter,
    fold_windows,
    nearest_voxel,
    reduce_by_function,
    reduce_by_kernel,
)


def _no_halo(factor: int) -> int:
    """Return the halo of a window that looks at its own voxels only."""
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
    loaded
        Whether it can be called: not if a store names a function that nobody has given (`stored_method`).

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
    loaded: bool = True

    def __call__(self, block: Array, factors: tuple[int, ...]) -> Array:
        """Return a block with every window of `factors` voxels reduced to one, as `downsample` does."""
        return downsample(block, factors, self)

    @property
    def address(self) -> str:
        """The name by which anyone can import the method, as metadata states it; independent of where modules lie."""
        return self.name if ":" in self.name else f"{HOME}.{self.name}"

    def offset(self, factor: float) -> float:
        """Return the position of a window's sample, in voxels from the window's first."""
        return (factor - 1) / 2 if self.centred else 0.0


def find_method(method: str | Callable[..., Any] | Method) -> Method:
    """Return the `Method` for a name in `METHODS`, an address (``"module:qualname"``) to import, or a callable.

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
        _check_takes_windows(method, repr(method))
        return _from_function(method, _address(method))
    names = f"{', '.join(METHODS)}, 'module:function' or a callable"
    if not isinstance(method, str):
        raise ValueError(f"method {method!r}: use one of {names}")
    method = short_name(method)
    if method in METHODS or method == COPIED.name:
        return METHODS.get(method, COPIED)
    if ":" in method:
        return _from_function(_load(method), method)
    near = difflib.get_close_matches(method, METHODS, n=1, cutoff=0)
    raise ValueError(f"unknown method {method!r}, nearest {near[0]!r}: use one of {names}")


def stored_method(name: str, given: Method | None = None) -> Method:
    """Return the method that a store names: a row of `METHODS`, or what the caller has given, if it has that name.

    What a store says is data: nothing is imported because of it. A function that was not given has a name only.

    >>> stored_method("mean").loaded, stored_method("os:abort").loaded
    (True, False)
    >>> stored_method("numpy:max", find_method(np.max)).loaded
    True
    """
    known = short_name(name)
    if known in METHODS or known == COPIED.name:
        return METHODS.get(known, COPIED)
    return given if given is not None and given.name == name else Method(name, partial(_refuse, name), loaded=False)


def check_loaded(method: Method) -> None:
    """Raise a ValueError, with what to do, if a method is a function that a store names and nobody has given."""
    if not method.loaded:
        _refuse(method.name)


def _refuse(name: str, *_: Any) -> Any:
    raise ValueError(
        f"it is made with {name!r}, a function that only the store names, and nothing that a store names is imported;"
        f" if you trust it, give it too: method={name!r} (--method {name})"
    )


def short_name(method: str) -> str:
    """Return the name in `METHODS` of a method that is given by any of its names; other names unchanged.

    >>> [*map(short_name, ["local_mean", "daskome.scale.max", "daskome.methods:max", "numpy:max"])]
    ['mean', 'max', 'max', 'numpy:max']
    """
    known = next((method.removeprefix(home) for home in HOMES if method.startswith(home)), method)
    return ALIASES.get(known, known) if known in (*METHODS, *ALIASES) else method


def _address(function: Callable[..., Any]) -> str:
    """Return the ``"module:qualname"`` of a function, or of the class of a callable object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


def _load(address: str) -> Callable[..., Any]:
    """Return the callable at ``"module:qualname"``."""
    module, _, path = address.partition(":")
    try:
        target: Any = importlib.import_module(module)
        for name in path.split("."):
            target = getattr(target, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"method {address!r} cannot be imported ({error}): pass the callable") from error
    if not callable(target):
        raise ValueError(f"method {address!r} is a {type(target).__name__}: name a callable (windows, axis)")
    _check_takes_windows(target, repr(address))
    return target  # type: ignore[no-any-return]


def _check_takes_windows(function: Callable[..., Any], given: str) -> None:
    if not takes_two(function):
        raise ValueError(f"method {given} cannot be called with two arguments: give a callable (windows, axis)")


def takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two arguments, as far as it says: functions in C may not.

    >>> takes_two(np.max), takes_two(len), takes_two(lambda: None)
    (True, False, False)
    """
    try:
        signature(function).bind(0, 1)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


# ---- the table


def _row(name: str, kernel: Callable[[Array], Array]) -> Method:
    """Return a method whose windows look at their own voxels only."""
    return Method(name, partial(reduce_by_kernel, kernel))


def _filter_row(name: str, kernel: Filter) -> Method:
    """Return a method that weighs the voxels of a window and its halo."""
    return Method(name, partial(apply_filter, kernel), halo=kernel.halo, weighs=True)


def _from_function(function: Callable[..., Any], name: str) -> Method:
    """Return a method made from a user's callable."""
    return Method(name, partial(reduce_by_function, function, name))


METHODS: Final[Mapping[str, Method]] = {
    method.name: method
    for method in (
        _row("mean", mean_windows),
        _row("median", median_windows),
        _row("mode", mode_windows),
        _row("min", partial(fold_windows, np.minimum)),
        _row("max", partial(fold_windows, np.maximum)),
        Method("nearest", nearest_voxel, centred=False),
        Method("gaussian", gaussian_windows, halo=gaussian_halo, weighs=True),
        _filter_row("resize", RESIZE),
        _filter_row("zoom", ZOOM),
        _filter_row("laplacian", LAPLACIAN),
    )
}
"""The methods known by name. Those from `mean` to `nearest` equal TensorStore's, where `nearest` is ``stride``.

``resize``, ``zoom`` and ``laplacian`` are the filters of scikit-image and SciPy (`daskome.kernels.filters`). They, and
``gaussian``, add in float64: integers beyond 2⁵³ lose their last digits, so they are not for labels. Integers
are rounded half to even and clipped to their type; of a ``laplacian``, which has two signs, an unsigned type keeps
the positive half, so write floats or signed integers.
"""


def copied(windows: Array, axis: tuple[int, ...]) -> Array:
    """Raise: levels that are copied from another image are not downsampled, so no window becomes a voxel."""
    raise ValueError("levels that are copied are not made from finer ones; give a method that makes them")


COPIED: Final = _from_function(copied, f"{__name__}:copied")
"""What stands for a method in the pyramid of an image whose levels are all copied."""
HOME: Final = "daskome.scale"
"""The public module where every row of `METHODS` can be imported by its name."""
HOMES: Final = (f"{HOME}.", f"{HOME}:", "daskome.methods:")
"""Prefixes of a method's name in metadata; early versions wrote the last one, which cannot be imported."""
ALIASES: Final[Mapping[str, str]] = {"local_mean": "mean"}
"""Other names that `find_method` accepts."""
