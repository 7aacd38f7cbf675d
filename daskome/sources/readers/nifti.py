"""NIfTI: an image on a grid of voxels, mapped into memory, or read into it if it is compressed."""

from typing import Any

import nibabel
import numpy as np

from daskome.model.source import Source
from daskome.sources.adapt import as_source
from daskome.sources.readers.axes_and_sizes import VoxelSizes, ordered, sized
from daskome.sources.readers.inputs import Input
from daskome.sources.views import Scaled

NIFTI_AXES = ("x", "y", "z", "t", "c", "", "")


def read(input_: Input) -> Source:
    """Return the image of a ``.nii`` or ``.nii.gz`` file."""
    image = _open(input_.path)
    if any(n > 1 for n in image.shape[5:]):
        raise ValueError(
            f"{input_.path} has shape {image.shape}; OME-Zarr has no axis for the 6th dimension and beyond"
        )
    names = NIFTI_AXES[: len(image.shape)]
    return sized(ordered(as_source(_pixels(input_.path, image.dataobj)), names[::-1]), _sizes(image.header))


def _open(path: str) -> Any:
    try:
        image: Any = nibabel.load(path)
    except nibabel.filebasedimages.ImageFileError as error:
        raise ValueError(f"{path} cannot be read as NIfTI: {error}") from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise ValueError(f"{path} is {type(image).__name__}, not an image on a grid of voxels")
    stored: Any = image.dataobj
    if np.dtype(stored.dtype).fields:
        raise ValueError(f"{path} has colours as one number ({stored.dtype}); split them into channels")
    return image


def _pixels(path: str, stored: Any) -> Any:
    """Return the values with the last axis of the file first: that is the order in which they lie there."""
    if path.lower().endswith(".gz"):
        return np.asarray(stored).T
    pixels = np.memmap(path, stored.dtype, "r", stored.offset, stored.shape[::-1])
    if (stored.slope, stored.inter) == (1, 0):
        return pixels
    return Scaled(as_source(pixels).array, stored.slope, stored.inter)


def _sizes(header: Any) -> VoxelSizes:
    """Return the sizes of voxels; those of time may be frequencies, which no unit of time fits."""
    space, time = (unit.replace("unknown", "") for unit in header.get_xyzt_units())
    sizes = zip("xyzt", header.get_zooms(), (space, space, space, time), strict=False)
    return {axis: (_shortest(size), unit) for axis, size, unit in sizes}


def _shortest(number: Any) -> float:
    """Return a 32-bit float as the number that was meant: 0.1, not 0.10000000149."""
    return float(str(np.float32(number)))
