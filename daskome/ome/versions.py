"""`VERSIONS`: one row per version of OME-Zarr. No other module asks which version it has in hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from daskome.model.axes import Axis, reject_unknown
from daskome.model.layout import ZARR_V2, ZARR_V2_FLAT, ZARR_V3, ArrayFormat
from daskome.ome.detect import STATING
from daskome.ome.metadata import JSON, TCZYX, Dataset, Multiscale


@dataclass(frozen=True, slots=True)
class Version:
    """A row of `VERSIONS`: where one version of OME-Zarr differs from the others.

    Attributes
    ----------
    name : str
        As it stands in the metadata.
    arrays : ArrayFormat
        The zarr format, and how chunks are named.
    root : str or None
        The attribute under which everything stands; None for the top level.
    stated : tuple of str
        The objects that state the version, besides `root`.
    every_axis : tuple of Axis
        Axes that each image has, of length 1 if need be; empty for those that it likes.
    axes : callable
        The axes as the entries of a multiscale.
    transforms : callable
        What a level says besides its path; None where that can't be stored.
    beside : callable
        What stands beside ``multiscales``.
    indexed : bool
        Whether a plate lists wells with row and column.
    """

    name: str
    arrays: ArrayFormat
    root: str | None
    stated: tuple[str, ...]
    every_axis: tuple[Axis, ...]
    check_axes: Callable[[Sequence[Axis]], None]
    axes: Callable[[Multiscale], JSON]
    transforms: Callable[[Dataset, str], list[JSON]] | None
    beside: Callable[[Multiscale], JSON]
    indexed: bool


def find_version(fmt: Any) -> Version:
    """Return the row of `VERSIONS` for "0.5", 0.5, a row, or an object with a `version`, such as ome_zarr's formats.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if isinstance(fmt, Version):
        return fmt
    name = str(getattr(fmt, "version", fmt))
    reject_unknown([name], VERSIONS, "OME-Zarr version")
    return VERSIONS[name]


def version_of(zarr_format: int) -> Version:
    """Return the newest version that a group of this zarr format can hold, of those that viewers read."""
    return next(v for v in (VERSIONS["0.5"], VERSIONS["0.4"]) if v.arrays.zarr_format == zarr_format)


def unsupported(version: Version, multiscale: Multiscale) -> list[str]:
    """Return what readers of a version will not know of an image, in words; nothing if it says all that matters."""
    if version.transforms is not None:
        return []
    first = multiscale.placed[0]
    rows = [
        ("scale", [f"{a.name}={s:g}" for a, s in zip(multiscale.axes, first.scale or (), strict=True) if s != 1]),
        (
            "translation",
            [f"{a.name}={t:g}" for a, t in zip(multiscale.axes, first.translation or (), strict=True) if t],
        ),
        ("unit", [f"{a.name}={a.unit}" for a in multiscale.axes if a.unit]),
    ]
    return [f"{what} ({', '.join(values)})" for what, values in rows if values]


def _check_axes(axes: Sequence[Axis]) -> None:
    """Raise for what the specification, 0.4 and later, section "axes", forbids."""
    names = [axis.name for axis in axes]
    space = [axis.name for axis in axes if axis.spatial]
    rank = [{"time": 0, "space": 2}.get(axis.type or "", 1) for axis in axes]
    if not 2 <= len(space) <= 3:
        raise ValueError(f"axes {names}: an image has 2 or 3 axes of space, not {len(space)} (section 'axes')")
    if rank.count(0) > 1 or rank.count(1) > 1:
        raise ValueError(f"axes {names}: at most one axis of time, and one of channel or another type (section 'axes')")
    if rank != sorted(rank):
        raise ValueError(
            f"axes {names} must be in the order time, channel, space; transpose the image to match (section 'axes')"
        )
    known = [name for name in space if name in "zyx"]
    if known != sorted(known, reverse=True):
        raise ValueError(f"axes {names} must be in the order z, y, x; transpose the image to match (section 'axes')")


def _check_named(axes: Sequence[Axis]) -> None:
    """Raise for what 0.1 to 0.3 forbid: other axes than t, c, z, y, x, or these in another order."""
    names = [axis.name for axis in axes]
    known = [axis.name for axis in TCZYX if axis.name in names]
    if names != known:
        raise ValueError(
            f"axes {names}: OME-Zarr 0.3 and older has t, c, z, y, x only, in this order (section 'axes');"
            " use fmt='0.4' or newer, or transpose the image"
        )
    _check_axes(axes)


def _no_axes(multiscale: Multiscale) -> JSON:
    return {}


def _axis_names(multiscale: Multiscale) -> JSON:
    return {"axes": [axis.name for axis in multiscale.system.axes]}


def _array_dimensions(multiscale: Multiscale) -> JSON:
    return {"_ARRAY_DIMENSIONS": [axis.name for axis in multiscale.system.axes]}


def axis_dicts(multiscale: Multiscale) -> JSON:
    """Return the axes as objects (0.4 and 0.5)."""
    return {"axes": [_axis_dict(axis) for axis in multiscale.system.axes]}


def _systems(multiscale: Multiscale) -> JSON:
    return {
        "coordinateSystems": [
            {"name": system.name, "axes": [_axis_dict(axis) for axis in system.axes], **system.rest}
            for system in multiscale.systems
        ]
    }


def _axis_dict(axis: Axis) -> JSON:
    """Return an axis without the keys it has no value for: readers fail on null and "" (section "axes")."""
    pairs = {"name": axis.name, "type": axis.type, "unit": axis.unit}
    return {**{key: value for key, value in pairs.items() if value}, **axis.rest}


def scale_then_translation(dataset: Dataset, system: str) -> list[JSON]:
    """Return a scale, and a translation where there is one (0.4 and 0.5)."""
    vectors = {"scale": dataset.scale, "translation": dataset.translation}
    return [{"type": kind, kind: list(vector)} for kind, vector in vectors.items() if vector is not None]


def _one_transform(dataset: Dataset, system: str) -> list[JSON]:
    """Return one transformation from the level to its system (0.6, section "multiscales")."""
    steps = scale_then_translation(dataset, system) or [{"type": "identity"}]
    whole = steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}
    return [{**whole, "input": {"path": dataset.path}, "output": {"name": system}}]


_05 = Version(
    "0.5", ZARR_V3, "ome", ("image-label", "plate", "well"), (), _check_axes,
    axis_dicts, scale_then_translation, _no_axes, True,
)  # fmt: skip
_04 = replace(_05, name="0.4", arrays=ZARR_V2, root=None, stated=STATING)
_03 = replace(
    _04, name="0.3", check_axes=_check_named, axes=_axis_names, transforms=None, beside=_array_dimensions, indexed=False
)
_02 = replace(_03, name="0.2", every_axis=TCZYX, axes=_no_axes, beside=_no_axes)
_01 = replace(_02, name="0.1", arrays=ZARR_V2_FLAT)
_06 = replace(_05, name="0.6", stated=(), axes=_systems, transforms=_one_transform)
VERSIONS: Mapping[str, Version] = {version.name: version for version in (_01, _02, _03, _04, _05, _06)}
"""Specification: https://ngff.openmicroscopy.org/. Each row is made from a neighbour by what changed between them."""
DEFAULT_VERSION = VERSIONS["0.5"]
