"""Where voxels lie in a body: the coordinate systems of NIfTI and DICOM in the form that OME-Zarr has for them."""

from typing import Any

import numpy as np

from daskome.model.axes import Axis
from daskome.model.directions import ALONG, Directions, are_along, orientations_of, said_directions
from daskome.model.orientations import LETTERS
from daskome.model.voxel_system import VoxelSystem
from daskome.ome.coordinates.transforms import is_singular


def system_of_body(name: str, letters: str, unit: str | None, affine: Any, along: str = "xyz") -> VoxelSystem:
    """Return the system of a body, whose coordinates lead where three letters say: "RAS" in NIfTI, "LPS" in DICOM.

    Parameters
    ----------
    name, letters : str
    unit : str, optional
    affine : array_like
        From indices of voxels along some axes to x, y and z of the body: a row for each of these; a column for each
        of those, and the position of the first voxel.
    along : str
        Those axes: all three, or those of a plane.

    Examples
    --------
    >>> system = system_of_body("patient", "LPS", "millimeter", [[2, 0, -30], [0, 2, -40], [0, 0, 7]], "xy")
    >>> system.inputs, system.matrix
    (('y', 'x'), ((0.0, 0.0, 7.0), (2.0, 0.0, -40.0), (0.0, 2.0, -30.0)))
    """
    ways = dict(zip("xyz", (LETTERS[letter] for letter in letters), strict=True))
    axes = tuple(Axis(axis, "space", unit, {"longName": ways[axis].replace("-", " ")}, ways[axis]) for axis in "zyx")
    columns = [*range(len(along))[::-1], len(along)]
    matrix = np.array(affine, float)[::-1, columns]
    return VoxelSystem(name, axes, tuple(along[::-1]), tuple(map(tuple, matrix.tolist())))


def places_voxels(affine: Any) -> bool:
    """Whether an affine is finite, and leads each voxel to a place of its own."""
    return bool(np.isfinite(affine).all()) and not is_singular(np.asarray(affine).tolist())


def directions_of(affine: Any, along: str) -> dict[str, Any]:
    """Return where the axes of voxels lead to, each a vector of length 1."""
    columns = np.asarray(affine, float)[:, : len(along)].T
    return {axis: column / np.linalg.norm(column) for axis, column in zip(along, columns, strict=True)}


def said_oblique(directions: Directions, letters: str) -> str:
    """Return, in words, what orientations leave out of the directions of axes; empty where they are those.

    >>> said_oblique({"x": (0.6, 0.8, 0), "y": (0, 0, 1)}, "RAS")
    'the exact directions of its axes, x (0.6, 0.8, 0), y (0, 0, 1), near posterior-to-anterior inferior-to-superior'
    """
    near = " ".join(orientations_of(directions, letters).values())
    said = f"the exact directions of its axes, {said_directions(directions)}, near {near}"
    return "" if are_along(directions) else said


def said_off_plane(affine: Any, unit: str) -> str:
    """Return, in words, how far from the origin a plane lies; empty for 0, and for images of three axes of space.

    >>> said_off_plane([[-2, 0, 5], [0, 2, 6], [0, 0, 7.5]], "mm")
    'position z=7.5 mm (the image has no such axis)'
    """
    columns = np.array(affine, float).T
    if columns.shape != (3, 3):
        return ""
    normal = np.cross(columns[0], columns[1])
    normal *= np.sign(normal[np.argmax(np.abs(normal))]) / np.linalg.norm(normal)
    at = columns[2] @ normal
    far = abs(at) > ALONG * np.linalg.norm(columns[2])
    return f"position {f'z={at:g} {unit}'.rstrip()} (the image has no such axis)" if far else ""
