"""NIfTI: an image on a grid of voxels, mapped into memory, or read into it if it is compressed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import nibabel
import numpy as np

from daskome.model.directions import orientations_of
from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.model.voxel_system import VoxelSystem
from daskome.readers.axes import ordered
from daskome.readers.body import directions_of, said_oblique, said_off_plane
from daskome.readers.described import Channels, Described, Quantities, described
from daskome.readers.inputs import Input
from daskome.readers.nifti_forms import (
    Form,
    axes_of_space,
    placing_forms,
    shortest,
    sizes_of_nifti,
    systems_of_nifti,
)
from daskome.sources.adapt import as_source
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
    pixels = ordered(as_source(_pixels(input_.path, image.dataobj)), names[::-1])
    forms, unplaced = placing_forms(image)
    said = _described(image, forms)
    known = described(pixels, replace(said, left=(*said.left, *unplaced)))
    return replace(known, systems=_systems(image, forms))


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


def _described(image: Any, forms: tuple[Form, ...]) -> Described:
    """Return sizes, origin and orientation of an image, and in words what else its header says.

    Positions along an axis are counted in its own direction: where x leads to the left, they rise to the left. Units of
    time may be frequencies, which no unit of time fits.
    """
    space, time = (unit.replace("unknown", "") for unit in image.header.get_xyzt_units())
    sizes, other = sizes_of_nifti(image, forms)
    known = {axis: (size, time if axis == "t" else space) for axis, size in zip("xyzt", sizes, strict=False)}
    directions = directions_of(forms[0].affine, axes_of_space(image)) if forms else {}
    origin = {axis: (shortest(forms[0].affine[:, -1] @ way), space) for axis, way in directions.items()}
    positions: Quantities = {**origin, "t": (shortest(image.header["toffset"]), time)}
    left = (*filter(None, [other]), *_notes(image))
    return Described(known, positions, _shown_range(image), left, orientations_of(directions, "RAS"))


def _systems(image: Any, forms: tuple[Form, ...]) -> tuple[VoxelSystem, ...]:
    """Return the coordinate systems of an image; of the first is lost what sizes, origin and orientation do not say."""
    if not forms:
        return ()
    affine, unit = forms[0].affine, image.header.get_xyzt_units()[0].replace("unknown", "")
    notes = said_oblique(directions_of(affine, axes_of_space(image)), "RAS"), said_off_plane(affine, unit)
    return systems_of_nifti(image, forms, "; ".join(filter(None, notes)))


def _shown_range(image: Any) -> Channels:
    """Return the range in which every channel is shown, where the header has one; equal ends mean none."""
    start, end = shortest(image.header["cal_min"]), shortest(image.header["cal_max"])
    n = image.shape[4] if len(image.shape) > 4 else 1
    return [{"window": {"start": start, "end": end}} for _ in range(n)] if start < end else []


def _notes(image: Any) -> Iterator[str]:
    """Yield what else a header says."""
    description = bytes(image.header["descrip"].item()).rstrip(b"\0 ")
    if description:
        yield f"its description {description.decode(errors='replace')!r}"
    if len(image.shape) < 4 and image.header["toffset"]:
        yield f"its time, {shortest(image.header['toffset']):g} (the image has no such axis)"
    if image.header.get_intent()[0] != "none":
        yield f"its intent {image.header.get_intent()[0]!r}"
    if len(image.header.extensions):
        yield f"{pluralize(len(image.header.extensions), 'extension')} of its header"
