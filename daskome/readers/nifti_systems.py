"""The coordinate systems of a NIfTI header: where voxels lie in the scanner, or in the space of an atlas."""

from collections.abc import Iterator
from typing import Any

import nibabel
import numpy as np

from daskome.model.axes import Axis
from daskome.model.voxel_system import VoxelSystem
from daskome.ome.coordinates.transforms import is_singular
from daskome.readers.units import known_unit

DIRECTIONS = {"z": "inferior to superior", "y": "posterior to anterior", "x": "left to right"}
"""Where the axes of every system of NIfTI lead to, in the order of OME-Zarr."""
ZYX1 = [2, 1, 0, 3]


def systems_of_nifti(image: Any, note: str) -> tuple[VoxelSystem, ...]:
    """Return the systems that the sform and the qform of a header name, as `nibabel` names their codes.

    Parameters
    ----------
    image : nibabel.Nifti1Image
    note : str
        What is lost without the first of them, in words. Another one that places voxels otherwise is lost itself.
    """
    unit = known_unit("x", image.header.get_xyzt_units()[0]) or None
    axes = tuple(
        Axis(name, "space", unit, {"longName": way}, way.replace(" ", "-")) for name, way in DIRECTIONS.items()
    )
    inputs = tuple(name for name, n in zip("zyx", (3, 2, 1), strict=True) if n <= len(image.shape))
    columns = [i for i in ZYX1 if i < len(image.shape) or i == 3]
    found = dict(_affines(image.header))
    first = next(iter(found.values()), None)
    notes = (_otherwise(name, affine, first) or note * (affine is first) for name, affine in found.items())
    return tuple(
        VoxelSystem(name, axes, inputs, tuple(map(tuple, affine[ZYX1[:3]][:, columns].tolist())), lost)
        for (name, affine), lost in zip(found.items(), notes, strict=True)
    )


def _otherwise(name: str, affine: Any, first: Any) -> str:
    """Return, in words, what another form than the first says, or nothing if it is the same."""
    return "" if _are_alike(affine, first) else f"its qform ({name!r}), which places voxels otherwise than its sform"


def _are_alike(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-4))


def _affines(header: Any) -> Iterator[tuple[str, Any]]:
    """Yield affines by name: that of the sform first, as nibabel does; the same one is not said twice."""
    said: list[tuple[str, Any]] = []
    for form in ("sform", "qform"):
        affine, code = _form(header, form)
        if affine is None or not _has_inverse(affine):
            continue
        codes = nibabel.nifti1.xform_codes
        label = str(codes.label[code]) if code in codes else f"xform {code}"
        known = dict(said)
        if label not in known or not _are_alike(known[label], affine):
            said.append((label if label not in known else f"{label} ({form})", affine))
    yield from said


def notes_of_forms(header: Any) -> Iterator[str]:
    """Yield, in words, which forms have a code, but place no voxels."""
    for form in ("sform", "qform"):
        affine, _ = _form(header, form)
        if affine is not None and not _has_inverse(affine):
            yield f"its {form}, a matrix that is singular or not finite"


def _has_inverse(affine: Any) -> bool:
    return bool(np.isfinite(affine).all()) and not is_singular(affine[:3].tolist())


def _form(header: Any, form: str) -> tuple[Any, int]:
    """Return an affine and its code; None if it has none, or cannot be made of what the header holds."""
    try:
        affine, code = getattr(header, f"get_{form}")(coded=True)
    except (nibabel.spatialimages.HeaderDataError, ValueError):
        return None, 0
    return affine if code > 0 else None, int(code)
