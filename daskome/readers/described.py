"""What a file says of an image besides its pixels, in the words of OME-Zarr; what has no word there is named."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any

from daskome.model.axes import TYPES, Axis
from daskome.model.source import Source
from daskome.ome.omero import parse_omero
from daskome.readers.units import converted, known_unit

Quantities = Mapping[str, tuple[float, str]]
"""By name of the axis, each with its unit as the file spells it; empty where it says none."""
Channels = list[dict[str, Any]]
"""What is known of each channel, in the form of the specification (section "omero")."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a file says of an image.

    Attributes
    ----------
    sizes : dict
        Of voxels.
    positions : dict
        Of the centre of the first voxel.
    channels : list of dict
        One per channel; empty where nothing is known.
    left : tuple of str
        What has no place in OME-Zarr, or is not part of this image, in words.
    orientations : dict
        By name of the axis, one of `ORIENTATIONS` where it is known.
    """

    sizes: Quantities = field(default_factory=dict)
    positions: Quantities = field(default_factory=dict)
    channels: Channels = field(default_factory=list)
    left: tuple[str, ...] = ()
    orientations: Mapping[str, str] = field(default_factory=dict)


def numbers(stated: Mapping[Any, Any]) -> dict[Any, float]:
    """Return the entries that are finite numbers, or text of one; files hold all sorts of things.

    >>> numbers({"x": "0.5", "y": "about 3", "z": None})
    {'x': 0.5}
    """
    found: dict[Any, float] = {}
    for key, value in stated.items():
        with suppress(TypeError, ValueError):
            found |= {key: float(value)} if isfinite(float(value)) else {}
    return found


def described(source: Source, said: Described) -> Source:
    """Return a source with what its file says, without sizes in unknown units, such as pixels."""
    units = {axis: known_unit(axis, unit) for axis, (_, unit) in said.sizes.items()}
    scale = {
        axis: size
        for axis, (size, unit) in said.sizes.items()
        if axis in (source.dims or TYPES) and 0 < size < inf and (units[axis] or not unit)
    }
    units = {axis: units[axis] for axis in scale if units[axis]}
    translation, unplaced = _placed(source, scale, units, said.positions)
    omero, unshown = shown(source, {"channels": said.channels} if any(said.channels) else None)
    left = (*source.left, *unplaced, *unshown, *said.left)
    oriented = {axis: value for axis, value in said.orientations.items() if axis in (source.dims or TYPES)}
    known = replace(source, scale=scale, units=units, translation=translation, orientations=oriented)
    return replace(known, omero=omero, left=left)


def shown(source: Source, omero: Mapping[str, Any] | None) -> tuple[Mapping[str, Any] | None, tuple[str, ...]]:
    """Return an ``omero`` object, without its version, if it can be that of an image; or None, and in words why not."""
    if omero is None:
        return None, ()
    omero = {key: value for key, value in omero.items() if key != "version"}
    names = source.dims or ()
    n = next((n for name, n in zip(names, source.shape, strict=False) if TYPES.get(name) == "channel"), 1)
    try:
        parse_omero(omero, None, (Axis("c", "channel"),), (n,), "")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return None, (f"how its channels are shown ({error})",)
    return omero, ()


def _placed(
    source: Source, scale: Mapping[str, float], units: Mapping[str, str], positions: Quantities
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the positions along the axes in the units of their voxel sizes, and in words those that have none.

    A position in a unit along an axis whose voxel size is unknown is named, too: its unit would become that of the
    size, which would then be 1 of it.
    """
    translation, unplaced = dict(source.translation), []
    for axis, (value, unit) in positions.items():
        own, known = units.get(axis, ""), known_unit(axis, unit)
        if axis not in (source.dims or TYPES) or not isfinite(value) or value == 0:
            continue
        if axis in scale and own == known and (known or not unit):
            translation[axis] = value
        elif axis in scale and own and known:
            translation[axis] = converted(value, known, own)
        else:
            unplaced.append(f"{axis}={value:g} {unit}".rstrip())
    why = "its unit is unknown, or the size of voxels is"
    return translation, (f"position {', '.join(unplaced)} ({why})",) if unplaced else ()
