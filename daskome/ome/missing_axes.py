"""Axes that a version of OME-Zarr requires and an image lacks: 0.1 and 0.2 know images of five dimensions only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daskome._caller import warn
from daskome.model.axes import Axis, typed
from daskome.model.image import Image


def missing_axes(image: Image, required: Sequence[Axis]) -> tuple[int, ...]:
    """Return the positions at which axes of length 1 have to be put in: the first ones, if the axes are others."""
    return positions_of_missing(image.axes, required)


def positions_of_missing(axes: Sequence[Axis], required: Sequence[Axis]) -> tuple[int, ...]:
    """Return the same for axes alone."""
    if not _fit(axes, required):
        return tuple(range(max(len(required) - len(axes), 0)))
    present = [axis.name for axis in axes]
    return tuple(i for i, axis in enumerate(required) if axis.name not in present)


def _fit(axes: Sequence[Axis], required: Sequence[Axis]) -> bool:
    """Whether axes are some of those that are required, in their order."""
    present = [axis.name for axis in axes]
    return [axis.name for axis in required if axis.name in present] == present


def with_missing_axes(image: Image, positions: tuple[int, ...], required: Sequence[Axis]) -> Image:
    """Return an image with axes of length 1 put in at these positions. Axes that cannot be stored are ignored."""
    if required and not _fit(image.axes, required):
        given, taken = (" ".join(axis.name for axis in axes) for axes in (image.axes, required[len(positions) :]))
        warn(
            f"axes {given} are ignored, and taken for {taken}: this version of OME-Zarr stores no axes (section 'axes')"
        )
        image = replace(image, axes=typed(required[len(positions) :]))
    if not positions:
        return image
    return replace(
        image,
        shape=put_in(image.shape, positions, (1,) * len(required)),
        axes=put_in(image.axes, positions, typed(required)),
        scale=put_in(image.scale, positions, (1.0,) * len(required)),
        translation=put_in(image.translation, positions, (0.0,) * len(required)),
    )


def put_in(values: Sequence[Any], positions: tuple[int, ...], fill: Sequence[Any]) -> tuple[Any, ...]:
    """Return one value per axis, those at `positions` from `fill`, the others from `values` in their order.

    >>> put_in((64, 64), (0, 1, 2), (1, 1, 1, 1, 1))
    (1, 1, 1, 64, 64)
    """
    present = iter(values)
    return tuple(fill[i] if i in positions else next(present) for i in range(len(values) + len(positions)))
