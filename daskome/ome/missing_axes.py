"""Axes that a version of OME-Zarr requires and an image lacks: 0.1 and 0.2 know images of five dimensions only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daskome.model.axes import parse_axes
from daskome.model.image import Image
from daskome.ome.versions import Version


def missing_axes(image: Image, version: Version) -> tuple[int, ...]:
    """Return the positions at which axes of length 1 have to be put in; none if the image's axes are out of order."""
    required, present = [axis.name for axis in version.every_axis], [axis.name for axis in image.axes]
    in_order = [name for name in required if name in present] == present
    return tuple(i for i, name in enumerate(required) if name not in present) if in_order else ()


def with_missing_axes(image: Image, positions: tuple[int, ...], version: Version) -> Image:
    """Return an image with axes of length 1 put in at these positions."""
    if not positions:
        return image
    axes = parse_axes([axis.name for axis in version.every_axis], len(version.every_axis))
    return replace(
        image,
        shape=put_in(image.shape, positions, (1,) * len(axes)),
        axes=put_in(image.axes, positions, axes),
        scale=put_in(image.scale, positions, (1.0,) * len(axes)),
        translation=put_in(image.translation, positions, (0.0,) * len(axes)),
    )


def put_in(values: Sequence[Any], positions: tuple[int, ...], fill: Sequence[Any]) -> tuple[Any, ...]:
    """Return one value per axis, those at `positions` from `fill`, the others from `values` in their order.

    >>> put_in((64, 64), (0, 1, 2), (1, 1, 1, 1, 1))
    (1, 1, 1, 64, 64)
    """
    present = iter(values)
    return tuple(fill[i] if i in positions else next(present) for i in range(len(values) + len(positions)))
