"""What OME-Zarr demands of the number and order of axes, for writers and for `daskome.validate` alike."""

from collections.abc import Sequence
from typing import NamedTuple

from daskome._caller import warn
from daskome.model.axes import GUESSES, Axis
from daskome.model.json_values import shown_value
from daskome.model.orientations import OrientedAxis, orientation_faults

FIXED_AXES = tuple(GUESSES[5])
"""The axes of 0.1 to 0.3, in their order."""
TYPE_RANKS = {"time": 0, "space": 2}
"""The order of axes by their type; channels and all other types stand between."""
MIN_NDIM, MAX_NDIM = 2, 5
"""How many axes an image has, unless they are free."""
TRANSPOSE = "transpose the image to match"


class AxesFault(NamedTuple):
    """What is wrong with the axes of an image, and whether the specification only advises against it."""

    message: str
    is_advice: bool = False


def check_axes(axes: Sequence[Axis], *, fixed: bool = False, free: bool = False) -> None:
    """Raise a ValueError for axes that an image must not have; warn of those that it should not have.

    Parameters
    ----------
    axes : sequence of Axis
    fixed : bool
        Whether the version has the axes t, c, z, y, x only, in this order.
    free : bool
        Whether it has axes of any number, type and order.

    Examples
    --------
    >>> check_axes([Axis("y", "space"), Axis("x", "space"), Axis("c", "channel")])
    Traceback (most recent call last):
    ValueError: axes ['y', 'x', 'c'] must be in the order time, channel, space; transpose the image to match (section 'axes')
    """  # noqa: E501
    names = [axis.name for axis in axes]
    kinds = [(axis.name, axis.type or "") for axis in axes]
    fault = (fixed and fixed_axes_fault(names)) or (free_axes_fault(kinds) if free else image_axes_fault(kinds))
    if fault and not fault.is_advice:
        raise ValueError(f"axes {names} {fault.message} (section 'axes')")
    for wrong in orientation_faults(OrientedAxis(axis.name, axis.type, axis.orientation) for axis in axes):
        raise ValueError(f"orientation of axis {names[wrong.position]!r} {wrong.message} (section 'axes')")
    if fault:
        warn(f"axes {names} {fault.message}, or leave them so where it is meant (section 'axes')")


def fixed_axes_fault(names: Sequence[str]) -> AxesFault | None:
    """Return what is wrong with the names of axes in 0.1 to 0.3; that they differ is another rule."""
    if list(dict.fromkeys(names)) == [name for name in FIXED_AXES if name in names]:
        return None
    return AxesFault(f"must be t, c, z, y, x only, in this order; use OME-Zarr 0.4 or newer, or {TRANSPOSE}")


def free_axes_fault(axes: Sequence[tuple[object, str]]) -> AxesFault | None:
    """Return what the specification advises against where axes are free: other names for usual axes (RFC-3).

    >>> free_axes_fault([("frame", "time"), ("y", "space"), ("x", "space")]).message
    "have 'frame' of time; it should be named 't'"
    """
    of_time, of_space = ([str(name) for name, kind in axes if kind == wanted] for wanted in ("time", "space"))
    others = [name for name in of_space if name not in ("z", "y", "x")]
    if len(of_time) == 1 and of_time != ["t"]:
        return AxesFault(f"have {shown_value(of_time[0])} of time; it should be named 't'", is_advice=True)
    if 2 <= len(of_space) <= 3 and others:
        return AxesFault(
            f"have {shown_value(others[0])} of space; two or three such axes should be named of z, y, x", True
        )
    return None


def image_axes_fault(axes: Sequence[tuple[object, str]]) -> AxesFault | None:
    """Return the first thing that is wrong with the axes of an image, given as pairs of name and type."""
    ranks = [TYPE_RANKS.get(kind, 1) for _, kind in axes]
    n_time, n_other, n_space = map(ranks.count, range(3))
    zyx = [str(name) for name, kind in axes if kind == "space" and name in ("z", "y", "x")]
    rows = (
        (2 <= n_space <= 3, False, f"have {n_space} of space; an image has 2 or 3"),
        (
            max(n_time, n_other) <= 1,
            False,
            f"have {n_time} of time and {n_other} of channel or other types; an image has at most one of each",
        ),
        (ranks == sorted(ranks), False, f"must be in the order time, channel, space; {TRANSPOSE}"),
        (zyx == sorted(zyx, reverse=True), True, f"of space should be in the order z, y, x; {TRANSPOSE}"),
    )
    return next((AxesFault(message, is_advice) for holds, is_advice, message in rows if not holds), None)
