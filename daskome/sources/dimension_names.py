"""What dimensions are called elsewhere: in xarray, HDF5 and zarr, by other programs."""

from collections.abc import Mapping, Sequence
from typing import Any

from daskome.model.axes import TYPES

_OTHERS: Mapping[str, str] = {
    "t": "time times timepoint timepoints frame frames",
    "c": "ch channel channels",
    "z": "depth plane planes slice slices section sections",
    "y": "height row rows line lines",
    "x": "width col cols column columns",
}
DIMENSION_NAMES: Mapping[str, str] = {name: name for name in TYPES} | {
    other: name for name, others in _OTHERS.items() for other in others.split()
}
"""The usual names, in lower case, and the axis that each is."""


def axis_names(dims: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of dimensions, the usual ones as OME-Zarr calls these axes; all as they are if two would be one.

    >>> axis_names(["Time", "C", "Y", "x"]), axis_names(["row", "y"]), axis_names(["phase", "Y"])
    (('t', 'c', 'y', 'x'), ('row', 'y'), ('phase', 'y'))
    """
    own = tuple(map(str, dims))
    names = tuple(DIMENSION_NAMES.get(name.lower(), name) for name in own)
    return names if len(set(names)) == len(names) else own


def known_dims(names: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of axes if they are ones that OME-Zarr knows and each is there once; otherwise None.

    >>> known_dims(["Channel", "Y", "X"]), known_dims(["dim_0", "dim_1"])
    (('c', 'y', 'x'), None)
    """
    dims = axis_names(names)
    return dims if dims and TYPES.keys() >= set(dims) and len(set(dims)) == len(dims) else None
