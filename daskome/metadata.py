"""OME-Zarr metadata: one row of `VERSIONS` per version, pure functions from nouns to attributes, and back.

`Metadata` is what one group says, in no version's form: an image, a label image, a list of labels, a plate, a
well, a bioformats2raw layout. `attributes` writes it as a version has it, `read` reads any version. Nothing
here sees a store; no other module compares versions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from daskome._version import __version__
from daskome.axes import GUESSES, Axis, reject_unknown, typed
from daskome.channels import Omero, read_omero
from daskome.labels import ImageLabel, read_image_label
from daskome.layout import ZARR_V2, ZARR_V2_FLAT, ZARR_V3, ArrayFormat
from daskome.plates import Plate, Well, joined, read_plate, read_well
from daskome.pyramid import Pyramid

JSON = dict[str, Any]
Numbers = tuple[float, ...]

LARGEST = 1.7e308
"""JSON has whole numbers of any size; what is larger is no float."""
COORDINATES = "coordinates"
"""Where ``multiscales[].metadata`` keeps, in the form of 0.4, the axes and scales that 0.1 to 0.3 can't store."""
TCZYX = tuple(Axis(name) for name in GUESSES[5])


@dataclass(frozen=True, slots=True)
class Dataset:
    """One level as the metadata know it; None for a scale or translation that they don't state."""

    path: str
    scale: Numbers | None = None
    translation: Numbers | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Placed:
    """One level with a scale and a translation: ones and zeros where the metadata state none."""

    path: str
    scale: Numbers
    translation: Numbers


@dataclass(frozen=True, slots=True)
class System:
    """A coordinate system: its name, and its axes."""

    name: str
    axes: tuple[Axis, ...]
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One multiscale image as the metadata know it, whatever their version.

    Attributes
    ----------
    datasets : tuple of Dataset
        From fine to coarse.
    systems : tuple of System
        Only 0.6 can have several.
    name : str, optional
    method : str, optional
        The ``type``.
    metadata : dict, optional
        How it was made.
    intrinsic : int
        Which of the systems the levels lie in.
    rest : dict
        What else is said.
    """

    datasets: tuple[Dataset, ...]
    systems: tuple[System, ...]
    name: str | None = None
    method: str | None = None
    metadata: Mapping[str, Any] | None = None
    intrinsic: int = 0
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def system(self) -> System:
        """The system that the levels lie in."""
        return self.systems[self.intrinsic]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes, with the types that their names suggest where none are stated."""
        return typed(self.system.axes)

    @property
    def placed(self) -> tuple[Placed, ...]:
        """The datasets with a scale and a translation each, what applies to all of them (0.4, 0.5) included."""
        ones, zeros = (1.0,) * len(self.axes), (0.0,) * len(self.axes)
        placed = (Placed(d.path, d.scale or ones, d.translation or zeros) for d in self.datasets)
        return tuple(_after(level, self.rest.get("coordinateTransformations")) for level in placed)


@dataclass(frozen=True, slots=True)
class Metadata:
    """All that OME-Zarr says of one group; None or empty for what it is not.

    Attributes
    ----------
    multiscales : tuple of Multiscale
    omero : Omero, optional
    image_label : ImageLabel, optional
    labels : tuple of str, optional
        Paths of label images, in a group of labels.
    plate : Plate, optional
    well : Well, optional
    layout : int, optional
        ``bioformats2raw.layout``.
    series : tuple of str, optional
        Paths of images, in the group ``OME`` of that layout.
    stated : tuple of str, optional
        Which objects state the version; None: those that should.
    """

    multiscales: tuple[Multiscale, ...] = ()
    omero: Omero | None = None
    image_label: ImageLabel | None = None
    labels: tuple[str, ...] | None = None
    plate: Plate | None = None
    well: Well | None = None
    layout: int | None = None
    series: tuple[str, ...] | None = None
    stated: tuple[str, ...] | None = None


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


def image_metadata(
    pyramid: Pyramid,
    omero: Omero | None = None,
    image_label: ImageLabel | None = None,
    name: str | None = None,
    how: Mapping[str, Any] | None = None,
    rest: Mapping[str, Any] | None = None,
) -> Metadata:
    """Return what the group of an image says.

    Parameters
    ----------
    pyramid : Pyramid
    omero : Omero, optional
    image_label : ImageLabel, optional
        What makes it a label image.
    name : str, optional
        If not that of the pyramid.
    how : dict, optional
        What the caller adds to the ``metadata`` of the multiscale.
    rest : dict, optional
        What else the multiscale says.
    """
    multiscale = Multiscale(
        tuple(Dataset(level.path, level.scale, _unless_zero(level.translation)) for level in pyramid.levels),
        (System("physical", pyramid.axes),),
        name or pyramid.name,
        pyramid.method.name,
        {**_how(pyramid), **(how or {})},
        rest=rest or {},
    )
    return Metadata((multiscale,), omero, image_label)


def attributes(version: Version, metadata: Metadata) -> JSON:
    """Return the attributes of a group, to be merged into those it has.

    Parameters
    ----------
    version : Version
        A row of `VERSIONS`.
    metadata : Metadata
    """
    ome = _ome(version, metadata)
    beside = {key: value for m in metadata.multiscales[:1] for key, value in version.beside(m).items()}
    return {**beside, **(ome if version.root is None else {version.root: {"version": version.name, **ome}})}


def read(found: Mapping[str, Any]) -> Metadata:
    """Return what a group's attributes say of OME-Zarr; `attributes` gives it back unchanged.

    Raises
    ------
    ValueError
        If it stands there in a form that can't be read.
    """
    ome = ome_of(found)
    likely = VERSIONS.get(version_in(found) or likely_version(found), DEFAULT_VERSION)
    try:
        return _read(ome, likely)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"metadata of version {likely.name} can't be read: {error!r}") from error


def read_multiscale(found: Mapping[str, Any]) -> Multiscale:
    """Return the first multiscale image that a group's attributes describe.

    Raises
    ------
    ValueError
        If they describe none, or in a form that can't be read.
    """
    if not ome_of(found).get("multiscales"):
        raise ValueError("the group has no multiscales metadata: it is no OME-Zarr image, or an unfinished one")
    return read(found).multiscales[0]


def ome_of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a group's attributes that is OME-Zarr's: what stands under ``ome``, or at the top level."""
    ome = found.get("ome", found)
    return ome if isinstance(ome, Mapping) else {}


def ome_keys(found: Mapping[str, Any]) -> list[str]:
    """Return what OME-Zarr says of a group: the keys of `KINDS` in its attributes."""
    ome = ome_of(found)
    return [key for key in KINDS if key in ome]


def version_in(found: Mapping[str, Any]) -> str | None:
    """Return the version that a group's attributes state, known or not; None if they state none."""
    if "ome" in found:
        stated = ome_of(found).get("version")
        return stated if isinstance(stated, str) else None
    stated = (item.get("version") for key in STATING for item in _objects(found, key))
    return next((version for version in stated if isinstance(version, str)), None)


def likely_version(found: Mapping[str, Any]) -> str:
    """Return the version that a group's attributes look like, where they state none."""
    multiscale: Mapping[str, Any] = next(_objects(ome_of(found), "multiscales"), {})
    if "ome" in found:
        return "0.6" if "coordinateSystems" in multiscale else "0.5"
    axes = multiscale.get("axes")
    if multiscale and not isinstance(axes, list):
        return "0.2"
    return "0.3" if axes and all(isinstance(axis, str) for axis in axes) else "0.4"


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


def merged(found: Mapping[str, Any], new: Metadata) -> Metadata:
    """Return what a group is to say whose attributes are there already: lists of labels and of wells grow."""
    if new.labels is None and new.plate is None:
        return new
    old = read({key: found[key] for key in ("ome", *KINDS) if key in found})
    labels = new.labels if old.labels is None or new.labels is None else (*old.labels, *new.labels)
    plate = new.plate if old.plate is None or new.plate is None else joined(old.plate, new.plate)
    return replace(new, labels=labels and tuple(dict.fromkeys(labels)), plate=plate)


def with_levels(found: Mapping[str, Any], new: Metadata) -> Metadata:
    """Return what an image says by now, with the levels that were added to it; what was edited meanwhile stays."""
    old, made = read(found), new.multiscales[0]
    first = replace(
        old.multiscales[0], datasets=made.datasets, method=made.method, metadata=made.metadata, rest=made.rest
    )
    return replace(old, multiscales=(first, *old.multiscales[1:]))


def lost(version: Version, multiscale: Multiscale) -> list[str]:
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


# ---- what is written


def _ome(version: Version, metadata: Metadata) -> JSON:
    """Return all objects, with the version where it belongs."""
    rows: JSON = {
        "multiscales": [_multiscale(version, m) for m in metadata.multiscales] or None,
        "omero": metadata.omero and metadata.omero.to_json(),
        "image-label": metadata.image_label and metadata.image_label.to_json(),
        "labels": metadata.labels if metadata.labels is None else list(metadata.labels),
        "plate": metadata.plate and metadata.plate.to_json(version.indexed),
        "well": metadata.well and metadata.well.to_json(),
        "bioformats2raw.layout": metadata.layout,
        "series": metadata.series if metadata.series is None else list(metadata.series),
    }
    found = {key: value for key, value in rows.items() if value is not None}
    for key in version.stated if metadata.stated is None else metadata.stated:
        found |= {key: _stating(found[key], version.name)} if key in found else {}
    return found


def _stating(found: Any, name: str) -> Any:
    return [_stating(item, name) for item in found] if isinstance(found, list) else {"version": name, **found}


def _multiscale(version: Version, multiscale: Multiscale) -> JSON:
    said: JSON = {"name": multiscale.name, "type": multiscale.method, "metadata": _metadata(version, multiscale)}
    found = {key: value for key, value in said.items() if value is not None} | version.axes(multiscale)
    found["datasets"] = [_dataset(version, dataset, multiscale.system.name) for dataset in multiscale.datasets]
    return {**found, **multiscale.rest}


def _dataset(version: Version, dataset: Dataset, system: str) -> JSON:
    transforms = version.transforms and version.transforms(dataset, system)
    return {"path": dataset.path, **({"coordinateTransformations": transforms} if transforms else {}), **dataset.rest}


def _metadata(version: Version, multiscale: Multiscale) -> Mapping[str, Any] | None:
    """Return the ``metadata``; where axes and scales have no place of their own, they are kept in it."""
    said = any(d.scale for d in multiscale.datasets) or any(a.type or a.unit for a in multiscale.system.axes)
    if version.transforms is not None or not said:
        return multiscale.metadata
    kept = _axis_dicts(multiscale)
    kept["coordinateTransformations"] = [_scale_then_translation(dataset, "") for dataset in multiscale.datasets]
    return {**(multiscale.metadata or {}), COORDINATES: kept}


def _how(pyramid: Pyramid) -> JSON:
    method, where = pyramid.method.name, pyramid.method.address
    if len(pyramid.levels) == 1:
        return {"description": "one level, not downsampled", "method": where, "version": __version__}
    windows = "x".join(f"{b / a:g}" for a, b in zip(pyramid.levels[0].factors, pyramid.levels[1].factors, strict=True))
    factors = [dict(zip((a.name for a in pyramid.axes), level.factors, strict=True)) for level in pyramid.levels[1:]]
    return {
        "description": f"{method} of {windows} windows",
        "method": where,
        "version": __version__,
        "kwargs": {"scale_factors": factors},
    }


def _unless_zero(translation: Numbers) -> Numbers | None:
    return translation if any(translation) else None


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


def _axis_dicts(multiscale: Multiscale) -> JSON:
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


def _scale_then_translation(dataset: Dataset, system: str) -> list[JSON]:
    vectors = {"scale": dataset.scale, "translation": dataset.translation}
    return [{"type": kind, kind: list(vector)} for kind, vector in vectors.items() if vector is not None]


def _one_transform(dataset: Dataset, system: str) -> list[JSON]:
    """Return one transformation from the level to its system (0.6, section "multiscales")."""
    steps = _scale_then_translation(dataset, system) or [{"type": "identity"}]
    whole = steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}
    return [{**whole, "input": {"path": dataset.path}, "output": {"name": system}}]


STATING = ("multiscales", "omero", "image-label", "plate", "well")
KINDS = (*STATING, "labels", "bioformats2raw.layout", "series")
"""What OME-Zarr may say of a group."""

_05 = Version(
    "0.5", ZARR_V3, "ome", ("image-label", "plate", "well"), (), _check_axes,
    _axis_dicts, _scale_then_translation, _no_axes, True,
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


# ---- what is read


def _objects(found: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects under a key: itself, or those in a list."""
    value = found.get(key)
    yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, Mapping))


def _read(found: Mapping[str, Any], version: Version) -> Metadata:
    ome = {key: found[key] for key in KINDS if key in found}
    says = [key for key in STATING if key in ome and _all_state(ome, key, version.name)]
    stated = None if says == [key for key in version.stated if key in ome] else tuple(says)
    ome |= {key: _silent(ome[key]) for key in says}
    return Metadata(
        tuple(_read_multiscale(multiscale, version) for multiscale in _list(ome.get("multiscales", ()))),
        read_omero(ome["omero"]) if "omero" in ome else None,
        read_image_label(ome["image-label"]) if "image-label" in ome else None,
        _texts(ome["labels"]) if "labels" in ome else None,
        read_plate(ome["plate"], version.indexed) if "plate" in ome else None,
        read_well(ome["well"]) if "well" in ome else None,
        ome.get("bioformats2raw.layout"),
        _texts(ome["series"]) if "series" in ome else None,
        stated,
    )


def _list(found: Any) -> Sequence[Any]:
    if not isinstance(found, list | tuple):
        raise TypeError(f"{found!r} is no list")
    return found


def _texts(found: Any) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in _list(found)):
        raise TypeError(f"{found!r} is no list of paths")
    return tuple(found)


def _all_state(ome: Mapping[str, Any], key: str, name: str) -> bool:
    objects = list(_objects(ome, key))
    return bool(objects) and all(item.get("version") == name for item in objects)


def _silent(found: Any) -> Any:
    """Return objects without the version they state."""
    if isinstance(found, list):
        return [_silent(item) for item in found]
    return {key: value for key, value in found.items() if key != "version"}


def _read_multiscale(found: Mapping[str, Any], version: Version) -> Multiscale:
    rest = with_coordinates(found)
    name, method = (rest.pop(key) if isinstance(rest.get(key), str) else None for key in ("name", "type"))
    metadata = rest.pop("metadata") if isinstance(rest.get("metadata"), Mapping) else None
    raw = _list(rest.pop("datasets"))
    systems, intrinsic = _read_systems(rest, raw, version)
    datasets = tuple(_read_dataset(dataset) for dataset in raw)
    return Multiscale(datasets, systems, name, method, metadata, intrinsic, rest)


def _after(level: Placed, transforms: Any) -> Placed:
    """Return a level with the transformations of its multiscale, which come after its own (0.4 and 0.5)."""
    for step in transforms if isinstance(transforms, list) else ():
        vector = step.get(step.get("type")) if isinstance(step, Mapping) and "output" not in step else None
        if isinstance(vector, list) and len(vector) == len(level.scale):
            factors = vector if step["type"] == "scale" else [1] * len(vector)
            shifts = vector if step["type"] == "translation" else [0] * len(vector)
            scale = tuple(s * f for s, f in zip(level.scale, factors, strict=True))
            translation = tuple(t * f + d for t, f, d in zip(level.translation, factors, shifts, strict=True))
            level = replace(level, scale=scale, translation=translation)
    return level


def with_coordinates(found: Mapping[str, Any]) -> JSON:
    """Return a multiscale as it stands in the metadata, with axes and scales that its ``metadata`` keep for it."""
    metadata = found.get("metadata")
    kept = metadata.get(COORDINATES) if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(kept, Mapping):
        return dict(found)
    rest = {key: value for key, value in metadata.items() if key != COORDINATES}
    transforms = [{"coordinateTransformations": t} for t in kept["coordinateTransformations"]]
    datasets = [{**d, **t} for d, t in zip(found["datasets"], transforms, strict=True)]
    whole = {**found, "metadata": rest, "axes": kept["axes"], "datasets": datasets}
    return whole if rest else {key: value for key, value in whole.items() if key != "metadata"}


def _read_systems(
    rest: JSON, datasets: Sequence[Mapping[str, Any]], version: Version
) -> tuple[tuple[System, ...], int]:
    """Take the axes out of the rest of a multiscale: the systems, and which of them the levels lie in."""
    if "coordinateSystems" not in rest:
        missing = "axes" not in rest and version.every_axis
        axes = version.every_axis if missing else tuple(map(_read_axis, _list(rest.pop("axes"))))
        return (System("physical", axes),), 0
    systems = tuple(map(_read_system, _list(rest.pop("coordinateSystems"))))
    outputs = [t.get("output") for dataset in datasets for t in dataset.get("coordinateTransformations", ())]
    names = [output.get("name") for output in outputs if isinstance(output, Mapping)]
    if not systems:
        raise TypeError("there are no coordinateSystems")
    return systems, next((i for i, system in enumerate(systems) if system.name in names), 0)


def _read_system(found: Mapping[str, Any]) -> System:
    rest = {key: value for key, value in found.items() if key not in ("name", "axes")}
    return System(str(found["name"]), tuple(map(_read_axis, _list(found["axes"]))), rest)


def _read_axis(found: Any) -> Axis:
    if isinstance(found, str):
        return Axis(found)
    rest = dict(found)
    kind, unit = (rest.pop(key) if rest.get(key) and isinstance(rest[key], str) else None for key in ("type", "unit"))
    return Axis(str(rest.pop("name")), kind, unit, rest)


def _read_dataset(found: Mapping[str, Any]) -> Dataset:
    vectors: dict[str, Numbers] = {}
    for transform in _steps(_list(found.get("coordinateTransformations", ()))):
        if transform["type"] in ("scale", "translation"):
            vectors[transform["type"]] = tuple(_number(v) for v in _list(transform[transform["type"]]))
    rest = {key: value for key, value in found.items() if key not in ("path", "coordinateTransformations")}
    return Dataset(str(found["path"]), vectors.get("scale"), vectors.get("translation"), rest)


def _steps(transforms: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield transformations, those of a sequence one by one."""
    for transform in transforms:
        yield from _steps(_list(transform["transformations"])) if transform["type"] == "sequence" else [transform]


def _number(value: Any) -> float:
    """Return a number as it is; a bool or text is none."""
    huge = isinstance(value, int) and abs(value) > LARGEST
    if huge or isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number that can be stored")
    return value


__all__ = [
    "DEFAULT_VERSION", "KINDS", "VERSIONS", "Dataset", "Metadata", "Multiscale", "Placed", "System", "Version",
    "attributes", "find_version", "image_metadata", "likely_version", "lost", "merged", "ome_keys", "ome_of", "read",
    "read_multiscale", "version_in", "version_of", "with_coordinates", "with_levels",
]  # fmt: skip
