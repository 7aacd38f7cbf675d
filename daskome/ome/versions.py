"""`VERSIONS`: one row per version of OME-Zarr. Nothing else compares versions by name; all code asks the row."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from daskome.model.axes import Axis, reject_unknown
from daskome.model.json_values import JSONDict
from daskome.model.orientations import ANATOMICAL
from daskome.model.storage.layout import ZARR_V2, ZARR_V2_FLAT, ZARR_V3, ArrayFormat
from daskome.ome.axes_rule import MAX_NDIM, MIN_NDIM, check_axes
from daskome.ome.detect import STATING, list_objects, ome_of
from daskome.ome.metadata import TCZYX, Dataset, Multiscale

NUMBER_OF_VERSION = re.compile(r"\d+\.\d+")


class AxesForm(NamedTuple):
    """How a multiscale states its axes.

    Attributes
    ----------
    write : callable
        The axes as entries of a multiscale.
    matches : callable
        Whether a stored multiscale has this form.
    """

    write: Callable[[Multiscale], JSONDict]
    matches: Callable[[Mapping[str, Any]], bool]


class DocumentForm(NamedTuple):
    """What a version makes of the whole object under `root`, where it says it otherwise than all versions so far.

    Attributes
    ----------
    write : callable
        From the object as 0.6 has it, with its own version, to that of the version.
    read : callable
        Back. It is given whatever is stored, and raises nothing: what it does not know, it leaves out.
    """

    write: Callable[[JSONDict], JSONDict]
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A row of `VERSIONS`: where one version of OME-Zarr differs from the others.

    Attributes
    ----------
    name : str
        As it stands in the metadata.
    drafts : bool
        Whether stores may state one of its drafts, such as "0.6rc0", instead.
    unreleased : bool
        Whether it is on the way to a release: only what states it is taken for it.
    preferred : bool
        Whether daskome chooses it where only the zarr format is known: the newest version that viewers read.
    arrays : ArrayFormat
        The zarr format, and how chunks are named.
    root : str or None
        The attribute under which everything stands; None for the top level.
    document : DocumentForm
        What it makes of all that stands under `root`.
    stated : tuple of str
        The objects that state the version, besides `root`.
    every_axis : tuple of Axis
        Axes that every image has, of length 1 if need be; empty where axes are free.
    fixed_axes : bool
        Whether images have the axes t, c, z, y, x only, in this order.
    free_axes : bool
        Whether images have axes of any number, type and order (RFC-3).
    axes : AxesForm
        How a multiscale states its axes.
    oriented : bool
        Whether it defines the orientation of an axis (RFC-4); in other objects that describe axes, it is a further key.
    named_systems : bool
        Whether axes belong to coordinate systems with a name, of which an image may have several.
    array_axes : bool
        Whether coordinate systems of axes of type "array" are allowed, for which the rules of images do not hold.
    named_arrays : bool
        Whether arrays must name their axes.
    one_dtype : bool
        Whether all levels of an image must have the same dtype.
    integer_labels : bool
        Whether labels must be integers.
    transforms : callable
        The transformations of a level; None where they cannot be stored.
    beside : callable
        Further attributes beside ``multiscales``.
    whole_channels : bool
        Whether every channel must have a colour and a window.
    indexed : bool
        Whether a plate lists wells with row and column, and their paths are row/column.
    named_acquisitions : bool
        Whether images must state their acquisition where a plate has several.
    collections : bool
        Whether a group may hold a collection of images (``bioformats2raw.layout``).
    """

    name: str
    drafts: bool = False
    unreleased: bool = False
    preferred: bool = False
    arrays: ArrayFormat
    root: str | None
    document: DocumentForm
    stated: tuple[str, ...]
    every_axis: tuple[Axis, ...]
    fixed_axes: bool
    free_axes: bool
    axes: AxesForm
    oriented: bool
    named_systems: bool
    array_axes: bool
    named_arrays: bool
    one_dtype: bool
    integer_labels: bool
    transforms: Callable[[Dataset, str], list[JSONDict]] | None
    beside: Callable[[Multiscale], JSONDict]
    whole_channels: bool
    indexed: bool
    named_acquisitions: bool
    collections: bool

    def check_axes(self, axes: Sequence[Axis]) -> None:
        """Raise a ValueError for axes that an image of this version must not have."""
        check_axes(axes, fixed=self.fixed_axes, free=self.free_axes)

    def check_ndim(self, ndim: int) -> None:
        """Raise a ValueError for a number of dimensions that an image of this version must not have."""
        if not self.free_axes and not MIN_NDIM <= ndim <= MAX_NDIM:
            newer = ", ".join(version.name for version in VERSIONS.values() if version.free_axes)
            raise ValueError(
                f"an image of OME-Zarr {self.name} has {MIN_NDIM} to {MAX_NDIM} dimensions; this one has {ndim}:"
                f" write it with fmt={newer!r}, which has any number (section 'axes')"
            )


def find_version(fmt: Any) -> Version:
    """Return the row of `VERSIONS` for "0.5", 0.5, a row, or an object with a `version`, such as ome_zarr's formats.

    Raises
    ------
    ValueError
        If it is not one of them.
    """
    if isinstance(fmt, Version):
        return fmt
    name = str(getattr(fmt, "version", fmt))
    reject_unknown([name], VERSIONS, "OME-Zarr version")
    return VERSIONS[name]


def stated_version(name: str | None) -> Version | None:
    """Return the version that metadata state: drafts and corrections of a version are read as it; None if unknown.

    >>> names = ("0.6rc0", "0.6.dev4", "0.5.2", "0.9.dev1", "0.10")
    >>> [version and version.name for version in map(stated_version, names)]
    ['0.6', '0.6', '0.5', '0.9.dev1', None]
    """
    number = NUMBER_OF_VERSION.match(name or "")
    return VERSIONS.get(name or "") or (VERSIONS.get(number[0]) if number else None)


def version_of(zarr_format: int) -> Version:
    """Return the preferred version of a zarr format, the newest one that viewers read."""
    return next(v for v in _newest_first() if v.preferred and v.arrays.zarr_format == zarr_format)


def likely_version(attributes: Mapping[str, Any]) -> Version:
    """Return the version that a group's attributes look like, where they state none."""
    multiscale: Mapping[str, Any] = next(list_objects(ome_of(attributes), "multiscales"), {})
    released = [version for version in _newest_first() if not version.unreleased]
    candidates = [version for version in released if (version.root is not None) == ("ome" in attributes)]
    alike = (version for version in candidates if version.axes.matches(multiscale))
    return next(alike, None) or next(version for version in candidates if version.preferred)


def _newest_first() -> list[Version]:
    return list(VERSIONS.values())[::-1]


def unsupported(version: Version, multiscale: Multiscale) -> list[str]:
    """Return, in words, what readers of a version will not know of an image."""
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
        ("orientation", said_orientations(multiscale)),
    ]
    return [f"{what} ({', '.join(values)})" for what, values in rows if values]


def said_orientations(multiscale: Multiscale) -> list[str]:
    """Return, in words, the orientations of the axes that have one."""
    return [f"{a.name}={a.orientation}" for a in multiscale.axes if a.orientation]


def _nothing(multiscale: Multiscale) -> JSONDict:
    return {}


def _axis_names(multiscale: Multiscale) -> JSONDict:
    return {"axes": [axis.name for axis in multiscale.system.axes]}


def _lists_names(multiscale: Mapping[str, Any]) -> bool:
    axes = multiscale.get("axes")
    return isinstance(axes, list) and axes != [] and all(isinstance(axis, str) for axis in axes)


def _array_dimensions(multiscale: Multiscale) -> JSONDict:
    return {"_ARRAY_DIMENSIONS": [axis.name for axis in multiscale.system.axes]}


def axis_dicts(multiscale: Multiscale) -> JSONDict:
    """Return the axes as objects (0.4 and 0.5)."""
    return {"axes": [axis_object(axis) for axis in multiscale.system.axes]}


def _systems(multiscale: Multiscale) -> JSONDict:
    return {
        "coordinateSystems": [
            {"name": system.name, "axes": [axis_object(axis) for axis in system.axes], **system.rest}
            for system in multiscale.systems
        ]
    }


def axis_object(axis: Axis) -> JSONDict:
    """Return an axis without the keys it has no value for: readers fail on null and "" (section "axes")."""
    orientation = axis.orientation and {"type": ANATOMICAL, "value": axis.orientation}
    pairs = {"name": axis.name, "type": axis.type, "unit": axis.unit, "orientation": orientation}
    return {**{key: value for key, value in pairs.items() if value}, **axis.rest}


def scale_then_translation(dataset: Dataset, system: str) -> list[JSONDict]:
    """Return a scale, and a translation where there is one (0.4 and 0.5)."""
    vectors = {"scale": dataset.scale, "translation": dataset.translation}
    return [{"type": kind, kind: list(vector)} for kind, vector in vectors.items() if vector is not None]


def _one_transform(dataset: Dataset, system: str) -> list[JSONDict]:
    """Return one transformation from the level to its system (0.6, section "multiscales")."""
    steps = scale_then_translation(dataset, system) or [{"type": "identity"}]
    transform = steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}
    return [{**transform, "input": {"path": dataset.path}, "output": {"name": system}}]


AS_ALL = DocumentForm(dict, lambda stored: stored)
"""The form of all versions so far."""
NO_AXES = AxesForm(_nothing, lambda stored: bool(stored) and not isinstance(stored.get("axes"), list))
AXIS_NAMES = AxesForm(_axis_names, _lists_names)
AXIS_OBJECTS = AxesForm(axis_dicts, lambda stored: isinstance(stored.get("axes"), list) and not _lists_names(stored))
SYSTEMS = AxesForm(_systems, lambda stored: "coordinateSystems" in stored)

_05 = Version(
    name="0.5", preferred=True, arrays=ZARR_V3, root="ome", document=AS_ALL,
    stated=("image-label", "plate", "well"), every_axis=(), fixed_axes=False, free_axes=False, axes=AXIS_OBJECTS,
    oriented=False, named_systems=False, array_axes=False, named_arrays=True, one_dtype=False, integer_labels=True,
    transforms=scale_then_translation, beside=_nothing, whole_channels=False, indexed=True, named_acquisitions=True,
    collections=True,
)  # fmt: skip
_04 = replace(
    _05, name="0.4", arrays=ZARR_V2, root=None, stated=STATING, named_arrays=False, integer_labels=False,
    whole_channels=True,
)  # fmt: skip
_03 = replace(
    _04, name="0.3", preferred=False, fixed_axes=True, axes=AXIS_NAMES, named_arrays=True, transforms=None,
    beside=_array_dimensions, indexed=False, named_acquisitions=False, collections=False,
)  # fmt: skip
_02 = replace(_03, name="0.2", every_axis=TCZYX, axes=NO_AXES, named_arrays=False, beside=_nothing)
_01 = replace(_02, name="0.1", arrays=ZARR_V2_FLAT)
_06 = replace(
    _05, name="0.6", drafts=True, preferred=False, stated=(), axes=SYSTEMS, named_systems=True, array_axes=True,
    named_arrays=False, one_dtype=True, transforms=_one_transform,
)  # fmt: skip
_09_DEV1 = replace(_06, name="0.9.dev1", drafts=False, unreleased=True, free_axes=True, oriented=True)
VERSIONS: Mapping[str, Version] = {version.name: version for version in (_01, _02, _03, _04, _05, _06, _09_DEV1)}
"""Specification: https://ngff.openmicroscopy.org/. Each row is made from a neighbour by what changed between them.

Old to new. A version that is not among them is added by a row here; the sets of versions in `daskome.ome.rules` are
made from these names, so that `since("0.6")` covers it.
"""
DEFAULT_VERSION = _05
FLAT_FORM = _05
"""The version whose spelling of levels callers use: a list of a scale and perhaps a translation for each."""
