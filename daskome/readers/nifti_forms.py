"""Where a NIfTI header places voxels: in the scanner, or in the space of an atlas.

The rule: voxels lie where the sform says if it has a code, else where the qform says if it has one: that is the affine
of nibabel, and what viewers draw. Sizes, position and orientation all come from this one; where it is not there, sizes
come from the pixdim. A form that is singular or not finite places nothing. What else a header says, another form or a
pixdim that has other sizes, is a coordinate system of its own, or named.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import nibabel
import numpy as np

from daskome.model.voxel_system import VoxelSystem
from daskome.ome.coordinates.transforms import Matrix
from daskome.readers.body import places_voxels, system_of_body
from daskome.readers.units import known_unit

SAME = 1e-5
"""By how much sizes may differ, relatively, that are one and the same, rounded to 32 bits in several ways."""
ROUNDED = 0.01
"""By how much of a voxel places may differ that are one and the same: a qform is turned by three 32-bit numbers."""


class Form(NamedTuple):
    """A form that places voxels: "sform" or "qform", what its code means, and x, y and z of the body as its rows."""

    kind: str
    label: str
    affine: Matrix


class PlacingForms(NamedTuple):
    """The forms of a header that place voxels, that which counts first; in words, those that have a code and do not."""

    forms: tuple[Form, ...]
    notes: tuple[str, ...]


def axes_of_space(image: Any) -> str:
    """Return the axes of space that an image has."""
    return "xyz"[: len(image.shape)]


def placing_forms(image: Any) -> PlacingForms:
    """Return the forms of a header; an affine that is said twice, under one name, once."""
    forms: list[Form] = []
    notes: list[str] = []
    for kind in ("sform", "qform"):
        code = int(image.header[f"{kind}_code"])
        affine = _affine(image, kind) if code > 0 else None
        if affine is not None and places_voxels(affine):
            forms.append(Form(kind, _label(code), affine))
        elif code > 0:
            notes.append(f"its {kind}, a matrix that is singular or not finite")
    if len(forms) == 2 and forms[0].label == forms[1].label:
        again = forms.pop()
        if not _are_alike(image, forms[0], again):
            forms.append(again._replace(label=f"{again.label} ({again.kind})"))
    return PlacingForms(tuple(forms), tuple(notes))


def _affine(image: Any, kind: str) -> Matrix | None:
    """Return an affine, without the columns of axes that the image does not have; None if it is none."""
    try:
        affine = getattr(image.header, f"get_{kind}")()
    except (nibabel.spatialimages.HeaderDataError, ValueError):
        return None
    return np.asarray(affine[:3, [*range(len(axes_of_space(image))), 3]], float)


def _label(code: int) -> str:
    codes = nibabel.nifti1.xform_codes
    return str(codes.label[code]) if code in codes else f"xform {code}"


def _are_alike(image: Any, a: Form, b: Form) -> bool:
    """Whether no voxel lies further apart in two forms than rounding explains."""
    last = [*(n - 1 for n in image.shape[:3]), 1]
    apart = np.linalg.norm(np.abs(a.affine - b.affine) @ last)
    return bool(apart <= ROUNDED * min(np.linalg.norm(a.affine[:, :-1], axis=0)))


def systems_of_nifti(image: Any, forms: tuple[Form, ...], note: str) -> tuple[VoxelSystem, ...]:
    """Return the systems that forms name, as `nibabel` names their codes.

    Parameters
    ----------
    image : nibabel.Nifti1Image
    forms : tuple of Form
    note : str
        What is lost without the first of them, in words. Another one that places voxels otherwise is lost itself.
    """
    unit = known_unit("x", image.header.get_xyzt_units()[0]) or None
    systems = (system_of_body(form.label, "RAS", unit, form.affine, axes_of_space(image)) for form in forms)
    notes = (note if form is forms[0] else _otherwise(image, form, forms[0]) for form in forms)
    return tuple(system.noted(lost) for system, lost in zip(systems, notes, strict=True))


def _otherwise(image: Any, form: Form, first: Form) -> str:
    """Return, in words, what another form than the first says, or nothing if it is the same."""
    differs = f"its {form.kind} ({form.label!r}), which places voxels otherwise than its {first.kind}"
    return "" if _are_alike(image, form, first) else differs


def sizes_of_nifti(image: Any, forms: tuple[Form, ...]) -> tuple[list[float], str]:
    """Return the sizes of voxels along all axes, 0 for what nobody says, and in words those of the pixdim besides.

    Sizes that are the same are those of the pixdim, which has no rounding of a matrix in it. Other ones are the qform's
    if there is one, which is a system of its own.
    """
    said = list(_pixdim(image))
    affine = forms[0].affine[:, :-1] if forms else np.empty((3, 0))
    lengths = dict(enumerate(map(shortest, np.linalg.norm(affine, axis=0))))
    other = {i: size for i, size in lengths.items() if not np.isclose(size, said[i], rtol=SAME, atol=0)}
    sizes = [other.get(i, size) for i, size in enumerate(said)]
    unsaid = ", ".join(f"{'xyz'[i]}={said[i]:g}" for i in other if 0 < said[i] < np.inf)
    lost = unsaid and all(form.kind == "sform" for form in forms)
    return sizes, f"its pixdim, {unsaid}, which is not the voxel size of its sform" if lost else ""


def _pixdim(image: Any) -> Iterator[float]:
    """Yield the sizes of the header; 0 where it says 0, of which nibabel makes 1."""
    with image.file_map["image"].get_prepare_fileobj() as file:
        stored = type(image.header).from_fileobj(file, check=False)
    for zoom, raw in zip(image.header.get_zooms(), stored["pixdim"][1:], strict=False):
        yield shortest(zoom) if raw else 0.0


def shortest(number: Any) -> float:
    """Return a 32-bit float as the number that was meant: 0.1, not 0.10000000149."""
    return float(str(np.float32(number)))
