"""An image without its pixels: shape, dtype, axes, voxel size and origin."""

from dataclasses import dataclass
from math import inf, isfinite

import numpy as np

from daskome.model.axes import Axis
from daskome.model.regions import Shape

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
ITEMSIZES = {name: np.dtype(name).itemsize for name in DTYPES}


@dataclass(frozen=True, slots=True)
class Image:
    """All that is known of an image but its pixels; tuples are ordered like the axes."""

    shape: Shape
    dtype: str
    axes: tuple[Axis, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    name: str = "image"

    @property
    def itemsize(self) -> int:
        """Bytes of one voxel."""
        return ITEMSIZES[self.dtype]


def check_ndim(shape: Shape) -> None:
    """Raise a ValueError for a number of dimensions that no image can have; versions allow some of the others."""
    if not shape:
        raise ValueError("an OME-Zarr image has dimensions; a single number has none")


def check_image(image: Image) -> None:
    """Raise a ValueError for a dtype, shape or scale that no OME-Zarr image can have."""
    if image.dtype not in DTYPES:
        raise ValueError(f"dtype {image.dtype} cannot be stored as an image; convert it to one of {', '.join(DTYPES)}")
    check_ndim(image.shape)
    if 0 in image.shape:
        raise ValueError(f"the image is empty: shape {image.shape} has an axis of length 0")
    for axis, value in zip(image.axes, image.scale, strict=True):
        if not 0 < value < inf:
            raise ValueError(f"scale of axis {axis.name!r} is {value}; it must be finite and positive (OME-Zarr 0.6)")
    for axis, value in zip(image.axes, image.translation, strict=True):
        if not isfinite(value):
            raise ValueError(f"translation of axis {axis.name!r} is {value}; it must be finite")
