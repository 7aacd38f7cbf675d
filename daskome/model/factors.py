"""Downsampling factors: as the caller gives them, or chosen so that voxels become isotropic first."""

from collections.abc import Iterable, Mapping, Sequence, Set
from math import isfinite, log2
from numbers import Real
from typing import Any

from daskome.model.axes import Axis, joined_names, reject_unknown
from daskome.model.image import Image
from daskome.model.regions import Shape, ceil_div

Factors = tuple[int, ...]
ScaleFactors = str | Sequence[int | Mapping[str, int] | Sequence[int]] | None


def parse_factors(scale_factors: ScaleFactors, image: Image, chunks: Shape) -> list[Factors]:
    """Return the factors of every level relative to level 0, level 0 included.

    Parameters
    ----------
    scale_factors : "auto", sequence of int, dict or sequence, or None
        One entry per level below the first, relative to level 0: an int for all axes of space (an axis of one voxel
        keeps it), a dict by axis name, or one int per axis. None: no levels below the first.
        ``"auto"`` makes voxels isotropic first, then halves until a level fits in one chunk.

    Raises
    ------
    ValueError
        If a factor is not positive, is not a multiple of the previous one, belongs to an axis that is not of
        space, or leads to a level that is not smaller than the previous one.

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
    >>> image = Image((100, 400, 400), "uint16", parse_axes("zyx", 3), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    >>> parse_factors("auto", image, (64, 64, 64))
    [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]
    """
    if isinstance(scale_factors, str) and scale_factors == "auto":
        return _auto_factors(image, chunks)
    levels: list[Factors] = [(1,) * len(image.axes)]
    for entry in list_factors(scale_factors):
        levels.append(_next_factors(entry, levels[-1], image))
    return levels


def list_factors(scale_factors: Any) -> list[Any]:
    """Return the entries of factors, one for each level below the first; "auto" has none.

    Raises
    ------
    ValueError
        If they are not a list.

    Examples
    --------
    >>> list_factors((2, 4)), list_factors("auto")
    ([2, 4], [])
    """
    if scale_factors is None or (isinstance(scale_factors, str) and scale_factors == "auto"):
        return []
    if isinstance(scale_factors, Mapping):
        raise ValueError(f"scale_factors {scale_factors!r}: give a list with one such dict per level")
    if isinstance(scale_factors, str | bytes | Set) or not isinstance(scale_factors, Iterable):
        raise ValueError(f"scale_factors {scale_factors!r}: give a list such as [2, 4, 8], or 'auto'")
    return list(scale_factors)


def factors_by_axis(entry: Any, axes: Sequence[Axis]) -> dict[str, Any]:
    """Return the factors of a level by axis, of those axes that its entry names; an int names those of space.

    >>> factors_by_axis((1, 2), (Axis("z", "space"), Axis("y", "space")))
    {'z': 1, 'y': 2}
    """
    names = [axis.name for axis in axes]
    if isinstance(entry, Mapping):
        reject_unknown(entry, names, "scale factor for axis")
        return dict(entry)
    if not isinstance(entry, list | tuple):
        return {axis.name: entry for axis in axes if axis.spatial}
    if len(entry) != len(names):
        raise ValueError(
            f"scale factors {entry!r} of a level are {len(entry)}, but the axes are {joined_names(names)!r}"
        )
    return dict(zip(names, entry, strict=True))


def level_scale(values: tuple[float, ...], factors: tuple[float, ...]) -> tuple[float, ...]:
    """Return the voxel size of a level: never a ratio of shapes, always the factors times the size at level 0."""
    return tuple(v * f for v, f in zip(values, factors, strict=True))


def next_ratio(before: float, n: int, fine: int, coarse: int) -> float:
    """Return the factor of a level made elsewhere: `coarse` voxels long, the previous level `fine`, level 0 `n`.

    If a whole step leads there, it is that: an exact one, or one with rounding up or down, 2 first. Otherwise it is
    the ratio of lengths.
    """
    near = max(round(fine / coarse), 1)
    exact = [near] if near * coarse == fine else []
    steps = [step for step in (*exact, 2, near, near + 1, near - 1) if step > 0] if coarse < fine else [1]
    fitting = (step for step in steps if coarse in (ceil_div(fine, step), fine // step))
    step = next(fitting, None)
    return n / coarse if step is None or before != int(before) else before * step


def _auto_factors(image: Image, chunks: Shape) -> list[Factors]:
    levels: list[Factors] = [(1,) * len(image.axes)]
    while True:
        factors = levels[-1]
        sizes = [ceil_div(n, f) for n, f in zip(image.shape, factors, strict=True)]
        long = [i for i, axis in enumerate(image.axes) if axis.spatial and sizes[i] > 1]
        if all(sizes[i] <= chunks[i] for i in long):
            return levels
        halved = _halved(long, level_scale(image.scale, factors))
        levels.append(tuple(f * 2 if i in halved else f for i, f in enumerate(factors)))


def _halved(axes: list[int], voxel: tuple[float, ...]) -> list[int]:
    """Return the axes to halve: those with voxels nearer to half the coarsest than to the coarsest, or all."""
    coarsest = max(voxel[i] for i in axes)
    fine = [i for i in axes if log2(coarsest / voxel[i]) >= 0.5]
    return fine or axes


def _next_factors(entry: Any, before: Factors, image: Image) -> Factors:
    sizes = tuple(ceil_div(n, f) for n, f in zip(image.shape, before, strict=True))
    wanted = factors_by_axis(entry, image.axes)
    if not isinstance(entry, Mapping | list | tuple):
        short = {a.name: f for a, n, f in zip(image.axes, sizes, before, strict=True) if n == 1}
        wanted |= {name: factor for name, factor in short.items() if name in wanted}
    factors = tuple(whole_factor(wanted.get(axis.name, 1), axis.name) for axis in image.axes)
    _check_factors(factors, before, sizes, image)
    return factors


def whole_factor(value: Any, name: str) -> int:
    """Return the factor of an axis; raise a ValueError unless it is a whole number, 1 or more."""
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not isfinite(value)
        or float(value) != int(float(value))
        or value < 1
    ):
        raise ValueError(f"scale factor {value!r} of axis {name!r} must be a whole number, 1 or more")
    return int(float(value))


def _check_factors(factors: Factors, before: Factors, sizes: Shape, image: Image) -> None:
    for axis, f, b, n in zip(image.axes, factors, before, sizes, strict=True):
        if f > 1 and not axis.spatial:
            raise ValueError(f"axis {axis.name!r} of type {axis.type} has scale factor {f}; only space is downsampled")
        if f % b:
            raise ValueError(
                f"scale factors are relative to level 0, each a multiple of the previous one:"
                f" axis {axis.name!r} has {f} after {b}"
            )
        if f > b and n == 1:
            raise ValueError(f"scale factor {f} of axis {axis.name!r}: the previous level has only one voxel there")
    if factors == before:
        raise ValueError(
            f"scale factors {factors} make a level that is not smaller than the previous one; they are relative to"
            f" level 0, as in [2, 4, 8], and an image of shape {image.shape} allows fewer levels"
        )
