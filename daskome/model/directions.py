"""Directions of the axes of a file in the coordinates of a body, and the orientations nearest to them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskome.model.orientations import LETTERS

ALONG = 1e-6
"""By how much directions along the axes of a body may be off, as they are rounded in files."""
Directions = Mapping[str, Sequence[float]]
"""By name of the axis, where its coordinates rise, as a vector in the coordinates of a body."""


def orientations_of(directions: Directions, letters: str) -> dict[str, str]:
    """Return the orientation nearest to the direction of each axis, each another one; none for axes without direction.

    The nearest of all is found first, as nibabel does it.

    Parameters
    ----------
    directions : dict
    letters : str
        Where the coordinates of the body rise: "RAS" for those of NIfTI, "LPS" for those of DICOM.

    Examples
    --------
    >>> orientations_of({"x": (0, 0, 2), "y": (-0.9, 0.1, 0)}, "RAS")
    {'x': 'inferior-to-superior', 'y': 'right-to-left'}
    """
    vectors = {axis: np.array(vector, float) for axis, vector in directions.items()}
    known = {axis: vector for axis, vector in vectors.items() if np.isfinite(vector).all() and vector.any()}
    if not known:
        return {}
    u, _, v = np.linalg.svd(np.stack([vector / np.linalg.norm(vector) for vector in known.values()], 1), False)
    near, found = u @ v, dict.fromkeys(known, "")
    for i in np.argsort(-np.abs(near).max(axis=0), kind="stable"):
        k = int(np.argmax(np.abs(near[:, i])))
        start, end = LETTERS[letters[k]].split("-to-")
        found[list(known)[i]] = f"{start}-to-{end}" if near[k, i] > 0 else f"{end}-to-{start}"
        near[k] = 0
    return found


def are_along(directions: Directions) -> bool:
    """Return whether directions are those of orientations, each of another one, up to rounding.

    >>> are_along({"x": (0, -2, 0), "y": (1, 1e-4, 0)}), are_along({"x": (1, 0, 0), "y": (1, 1e-4, 0)})
    (True, False)
    """
    known = [np.abs(vector) for vector in directions.values() if np.any(vector)]
    near = {int(np.argmax(vector)) for vector in known}
    rounded = (np.isclose(np.max(v), np.linalg.norm(v), rtol=0, atol=ALONG) for v in known)
    return len(near) == len(known) and all(rounded)


def said_directions(directions: Mapping[str, Any]) -> str:
    """Return directions in words.

    >>> said_directions({"x": (0.6, 0.8, 0)})
    'x (0.6, 0.8, 0)'
    """
    return ", ".join(f"{axis} ({', '.join(f'{v:g}' for v in np.round(d, 6) + 0.0)})" for axis, d in directions.items())
