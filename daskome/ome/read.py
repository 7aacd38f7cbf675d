"""Attributes of a group to the nouns of `daskome.ome.metadata`, whatever the version."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from daskome.model.axes import Axis
from daskome.model.json_values import MALFORMED, JSONDict
from daskome.model.orientations import ANATOMICAL, ORIENTATIONS
from daskome.model.problem import errors
from daskome.ome.detect import STATING, list_objects, ome_keys, ome_of, version_in
from daskome.ome.image_label import read_image_label
from daskome.ome.metadata import (
    COORDINATES,
    DEFAULT_SYSTEM,
    TRANSFORMS,
    CoordinateSystem,
    Dataset,
    Metadata,
    Multiscale,
    Numbers,
    PlacedDataset,
)
from daskome.ome.omero import read_omero
from daskome.ome.plate import joined, read_plate, read_well
from daskome.ome.rules.addresses import objects_of
from daskome.ome.rules.walk import find_problems
from daskome.ome.versions import DEFAULT_VERSION, Version, likely_version, stated_version

PROBLEMS_SHOWN = 3
"""In the message of an error."""
LARGEST = 1.7e308
"""The largest number that is read: JSON has integers of any size, floats end here."""


def read_metadata(attributes: Mapping[str, Any]) -> Metadata:
    """Read a group's attributes; `daskome.ome.write.to_attributes` gives them back unchanged.

    Raises
    ------
    ValueError
        If they have a form that cannot be read.
    """
    version = version_to_read(attributes)
    with _reading(attributes, version):
        return _read({key: ome_of(attributes)[key] for key in ome_keys(attributes)}, version)


@contextmanager
def _reading(attributes: Mapping[str, Any], version: Version) -> Iterator[None]:
    """Turn what broken metadata make Python raise into a ValueError: what the specification forbids in them."""
    try:
        yield
    except MALFORMED as error:
        forbidden = [str(problem) for problem in errors(find_problems(attributes, version.name))]
        why = "; ".join(forbidden[:PROBLEMS_SHOWN]) or (str(error) if isinstance(error, ValueError) else repr(error))
        raise ValueError(f"metadata of version {version.name} cannot be read: {why}") from error


def read_multiscale(attributes: Mapping[str, Any]) -> Multiscale:
    """Return the first multiscale image that a group's attributes describe.

    Raises
    ------
    ValueError
        If there is none, or in a form that cannot be read.
    """
    _check_image(attributes)
    return read_metadata(attributes).multiscales[0]


def read_without_levels(attributes: Mapping[str, Any], index: int) -> tuple[Multiscale, Sequence[Any]]:
    """Return one of a group's multiscale images without its levels, and these as they are stored, for `read_level`.

    Raises
    ------
    ValueError
        If it is not there, or in a form that cannot be read.
    """
    _check_image(attributes)
    version = version_to_read(attributes)
    with _reading(attributes, version):
        return _without_levels(ome_of(attributes)["multiscales"][index], version)


def read_level(multiscale: Multiscale, stored: Any) -> tuple[PlacedDataset, tuple[str, ...]]:
    """Return a level of an image, and the types of its transformations in their order.

    Raises
    ------
    ValueError
        If it is in a form that cannot be read.
    """
    try:
        placed = replace(multiscale, datasets=(_read_dataset(stored),)).placed[0]
        return placed, tuple(str(transform["type"]) for transform in stored.get(TRANSFORMS, ()))
    except MALFORMED as error:
        raise ValueError(str(error) if isinstance(error, ValueError | TypeError) else repr(error)) from error


def _check_image(attributes: Mapping[str, Any]) -> None:
    if not ome_of(attributes).get("multiscales"):
        raise ValueError("the group has no multiscales metadata: it is not an OME-Zarr image, or an unfinished one")


def merged(attributes: Mapping[str, Any], new: Metadata) -> Metadata:
    """Return the metadata to write to a group that exists: its lists of labels and of wells grow."""
    if new.labels is None and new.plate is None:
        return new
    old = read_metadata(attributes)
    labels = new.labels if old.labels is None or new.labels is None else (*old.labels, *new.labels)
    plate = new.plate if old.plate is None or new.plate is None else joined(old.plate, new.plate)
    return replace(new, labels=labels and tuple(dict.fromkeys(labels)), plate=plate)


def with_levels(attributes: Mapping[str, Any], new: Metadata) -> Metadata:
    """Return the present metadata of an image with the levels that were added; what was edited meanwhile stays."""
    old, made = read_metadata(attributes), new.multiscales[0]
    first = replace(
        old.multiscales[0], datasets=made.datasets, method=made.method, metadata=made.metadata, rest=made.rest
    )
    return replace(old, multiscales=(first, *old.multiscales[1:]))


def version_to_read(attributes: Mapping[str, Any]) -> Version:
    """Return the version to read attributes with: the one they state, the default if that is unknown."""
    stated = version_in(attributes)
    return (stated_version(stated) or DEFAULT_VERSION) if stated else likely_version(attributes)


def _read(ome: JSONDict, version: Version) -> Metadata:
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
        _object(ome["scene"]) if "scene" in ome else None,
        stated,
    )


def _object(value: Any) -> JSONDict:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is not an object")
    return dict(value)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not all(isinstance(item, str) for item in _list(value)):
        raise TypeError(f"{value!r} is not a list of paths")
    return tuple(value)


def _all_state(ome: Mapping[str, Any], key: str, name: str) -> bool:
    objects = list(list_objects(ome, key))
    return bool(objects) and all(item.get("version") == name for item in objects)


def _silent(stating: Any) -> Any:
    """Return objects without the version that they state."""
    if isinstance(stating, list):
        return [_silent(item) for item in stating]
    return {key: value for key, value in stating.items() if key != "version"}


def _read_multiscale(stored: Mapping[str, Any], version: Version) -> Multiscale:
    image, levels = _without_levels(stored, version)
    return replace(image, datasets=tuple(map(_read_dataset, levels)))


def _without_levels(stored: Mapping[str, Any], version: Version) -> tuple[Multiscale, Sequence[Any]]:
    """Return an image without its levels, and these as they are stored."""
    rest = _with_coordinates(stored)
    name, method = (rest.pop(key) if isinstance(rest.get(key), str) else None for key in ("name", "type"))
    metadata = rest.pop("metadata") if isinstance(rest.get("metadata"), Mapping) else None
    levels = _list(rest.pop("datasets"))
    systems, intrinsic = _read_systems(rest, levels, version)
    return Multiscale((), systems, name, method, metadata, intrinsic, rest), levels


def _with_coordinates(stored: Mapping[str, Any]) -> JSONDict:
    """Return a stored multiscale with the axes and scales that its ``metadata`` keep (0.1 to 0.3)."""
    metadata = stored.get("metadata")
    kept = metadata.get(COORDINATES) if isinstance(metadata, Mapping) else None
    if not isinstance(metadata, Mapping) or not isinstance(kept, Mapping):
        return dict(stored)
    rest = {key: value for key, value in metadata.items() if key != COORDINATES}
    transforms = [{TRANSFORMS: t} for t in kept[TRANSFORMS]]
    datasets = [{**d, **t} for d, t in zip(stored["datasets"], transforms, strict=True)]
    completed = {**stored, "metadata": rest, "axes": kept["axes"], "datasets": datasets}
    return completed if rest else {key: value for key, value in completed.items() if key != "metadata"}


def _read_systems(
    rest: JSONDict, datasets: Sequence[Any], version: Version
) -> tuple[tuple[CoordinateSystem, ...], int]:
    """Take the axes out of `rest`: return the systems, and the index of that in which the levels lie."""
    if "coordinateSystems" not in rest:
        missing = "axes" not in rest and version.every_axis
        axes = version.every_axis if missing else tuple(map(_read_axis, _list(rest.pop("axes"))))
        return (CoordinateSystem(DEFAULT_SYSTEM, axes),), 0
    systems = tuple(map(_read_system, _list(rest.pop("coordinateSystems"))))
    return systems, _intrinsic([system.name for system in systems], datasets)


def _intrinsic(names: Sequence[str], datasets: Sequence[Any]) -> int:
    """Return the index of the system in which the levels end; where it stands in the list means nothing (0.6)."""
    levels = (dataset for dataset in datasets if isinstance(dataset, Mapping))
    steps = (step for level in levels for _, step in objects_of(level, TRANSFORMS))
    ends = [step["output"].get("name") for step in steps if isinstance(step.get("output"), Mapping)]
    known = [names.index(name) for name in ends if name in names]
    if not known and len(names) != 1:
        raise ValueError(
            f"no level ends in one of the coordinateSystems {names}: output names {ends} (section 'multiscales')"
        )
    return known[0] if known else 0


def _read_system(stored: Mapping[str, Any]) -> CoordinateSystem:
    rest = {key: value for key, value in stored.items() if key not in ("name", "axes")}
    return CoordinateSystem(str(stored["name"]), tuple(map(_read_axis, _list(stored["axes"]))), rest)


def _read_axis(stored: Any) -> Axis:
    if isinstance(stored, str):
        return Axis(stored)
    rest = dict(stored)
    kind, unit = (rest.pop(key) if rest.get(key) and isinstance(rest[key], str) else None for key in ("type", "unit"))
    return Axis(str(rest.pop("name")), kind, unit, rest, _taken_orientation(rest))


def _taken_orientation(rest: JSONDict) -> str | None:
    """Take the orientation of an axis out of `rest`, if it is one that is known."""
    known = (value for value in ORIENTATIONS if rest.get("orientation") == {"type": ANATOMICAL, "value": value})
    found = next(known, None)
    return found and rest.pop("orientation")["value"]


def _read_dataset(stored: Mapping[str, Any]) -> Dataset:
    vectors: dict[str, Numbers] = {}
    for transform in _steps(_list(stored.get(TRANSFORMS, ()))):
        if transform["type"] in ("scale", "translation"):
            vectors[transform["type"]] = tuple(_number(v) for v in _list(transform[transform["type"]]))
    rest = {key: value for key, value in stored.items() if key not in ("path", TRANSFORMS)}
    return Dataset(str(stored["path"]), vectors.get("scale"), vectors.get("translation"), rest)


def _steps(transforms: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield transformations, those of a sequence one by one."""
    for transform in transforms:
        yield from _steps(_list(transform["transformations"])) if transform["type"] == "sequence" else [transform]


def _number(value: Any) -> float:
    """Return a number as it is; raise for bools, text and integers too large for a float."""
    huge = isinstance(value, int) and abs(value) > LARGEST
    if huge or isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number that can be stored")
    return value
