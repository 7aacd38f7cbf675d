"""NIfTI: an image on a grid of voxels, mapped into memory, or read into it if it is compressed."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import nibabel
import numpy as np

from daskome.model.directions import are_along, orientations_of, said_directions
from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.readers.axes import ordered
from daskome.readers.described import Channels, Described, Quantities, described
from daskome.readers.inputs import Input
from daskome.readers.nifti_systems import notes_of_forms, systems_of_nifti
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
    systems = systems_of_nifti(image, _oblique(image))
    return replace(described(pixels, _described(image)), systems=systems)


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


def _described(image: Any) -> Described:
    """Return sizes, origin and orientation of an image, and in words what else its header says.

    Where neither the qform nor the sform has a code, nibabel makes an affine up. Units of time may be frequencies,
    which no unit of time fits.
    """
    header = image.header
    space, time = (unit.replace("unknown", "") for unit in header.get_xyzt_units())
    sizes = zip("xyzt", header.get_zooms(), (space, space, space, time), strict=False)
    directions = _directions(image)
    origin = {axis: _shortest(image.affine[:3, 3] @ direction) for axis, direction in directions.items()}
    positions: Quantities = {axis: (value, space) for axis, value in origin.items()}
    positions = {**positions, "t": (_shortest(header["toffset"]), time)}
    oriented = orientations_of(directions, "RAS")
    known = {axis: (_shortest(size), unit) for axis, size, unit in sizes}
    return Described(known, positions, _shown_range(image), tuple(_notes(image, positions)), oriented)


def _oblique(image: Any) -> str:
    """Return, in words, what orientations leave out of the directions of axes; empty where they are those."""
    directions = _directions(image)
    oriented = " ".join(orientations_of(directions, "RAS").values())
    said = f"the exact directions of its axes, {said_directions(directions)}, near {oriented}"
    return "" if are_along(directions) else said


def _directions(image: Any) -> dict[str, Any]:
    """Return where the axes of voxels lead to in the body; empty where the header does not say it.

    Positions along an axis are counted in its own direction: where x leads to the left, they rise to the left.
    """
    has_affine = any(int(image.header[code]) > 0 for code in ("qform_code", "sform_code"))
    if not has_affine or not np.isfinite(image.affine).all():
        return {}
    columns = dict(zip("xyz", image.affine[:3, :3].T, strict=True))
    return {axis: column / np.linalg.norm(column) for axis, column in columns.items() if np.any(column)}


def _shown_range(image: Any) -> Channels:
    """Return the range in which every channel is shown, where the header has one; equal ends mean none."""
    start, end = _shortest(image.header["cal_min"]), _shortest(image.header["cal_max"])
    n = image.shape[4] if len(image.shape) > 4 else 1
    return [{"window": {"start": start, "end": end}} for _ in range(n)] if start < end else []


def _notes(image: Any, positions: Quantities) -> Iterator[str]:
    """Yield what else a header says."""
    flat = set("xyz"[len(image.shape) :])
    others = [f"{axis}={at:g} {unit}".rstrip() for axis, (at, unit) in positions.items() if axis in flat and at]
    if others:
        yield f"position {', '.join(others)} (the image has no such axis)"
    description = bytes(image.header["descrip"].item()).rstrip(b"\0 ")
    if description:
        yield f"its description {description.decode(errors='replace')!r}"
    if image.header.get_intent()[0] != "none":
        yield f"its intent {image.header.get_intent()[0]!r}"
    if len(image.header.extensions):
        yield f"{pluralize(len(image.header.extensions), 'extension')} of its header"
    yield from notes_of_forms(image.header)


def _shortest(number: Any) -> float:
    """Return a 32-bit float as the number that was meant: 0.1, not 0.10000000149."""
    return float(str(np.float32(number)))
