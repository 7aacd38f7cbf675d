"""zarr: an OME-Zarr image, of which level 0 is taken, one of its levels, or any other array."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.ome.detect import list_objects, ome_keys, ome_of
from daskome.ome.image_label import LABELS
from daskome.ome.metadata import TRANSFORMS, Multiscale, PlacedDataset
from daskome.ome.read import read_multiscale
from daskome.readers.described import shown
from daskome.readers.inputs import Input, listed
from daskome.readers.kinds import ZARR
from daskome.readers.sequences.listing import without_images
from daskome.readers.units import known_unit
from daskome.sources.adapt import as_source
from daskome.sources.dimension_names import known_dims
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.documents import list_names
from daskome.stores.groups import (
    ARRAY_DIMENSIONS,
    UNFINISHED_KEY,
    find_array,
    find_group,
    list_members,
    listed_labels,
    others_of,
    read_attributes,
)
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import locate
from daskome.stores.objects.damage import reason

JSON = Mapping[str, Any]
Array = zarr.Array[Any]


def read(input_: Input) -> Source:
    """Return the array or image that is at a path or URL."""
    location = locate(input_.path, input_.fs_options, read_only=True)
    array = find_array(location)
    if array is not None:
        return _level(input_, array)
    group = find_group(location)
    if group is not None:
        return _image(input_.path, group)
    if input_.is_url:
        raise FileNotFoundError(f"{input_.path}: there is no zarr array or group")
    if isinstance(unwrap_store(location.store), ArchiveStore):
        raise ValueError(f"{input_.path} is an archive, but not of a zarr array or group{_begins_with(location)}")
    raise ValueError(without_images(input_.path))


def _begins_with(location: StorePath) -> str:
    """Return, as the end of a message, in which folder of an archive a hierarchy is that is not at its root."""
    inner = [name for name in list_names(location) if find_group(location / name) is not None]
    return f" at its root; give {location.store}/{inner[0]}" if inner else ", the only ones that are read; unpack it"


def _image(path: str, group: zarr.Group) -> Source:
    """Return level 0 of the image that a group is."""
    attributes = group.attrs.asdict()
    _check_finished(path, attributes)
    try:
        multiscale = read_multiscale(attributes)
        dataset = multiscale.placed[0]
    except (ValueError, IndexError) as error:
        what = (
            f"cannot be read as OME-Zarr ({error})"
            if "multiscales" in ome_keys(attributes)
            else "is not an OME-Zarr image"
        )
        raise ValueError(f"{path} {what}; give one of {_members(group)}") from error
    array = find_array(group.store_path / dataset.path)
    if array is None:
        raise FileNotFoundError(f"{path}: level {dataset.path} that its metadata name is missing")
    source = _described(path, array, multiscale, dataset, attributes, listed_labels(group.store_path))
    beside = _beside(group, attributes)
    return replace(source, left=(*source.left, f"also in its group: {', '.join(beside)}")) if beside else source


def _plain(array: Array) -> Source:
    """Return an array that is no level of an image, with the attributes that others gave it."""
    return replace(as_source(array), dims=_dims(array), attributes=others_of(array.attrs.asdict()))


def _beside(group: zarr.Group, attributes: JSON) -> list[str]:
    """Return the names in the group of an image that are neither levels nor labels, if its store can list them."""
    names = list_names(group.store_path) if group.store.supports_listing else []
    images = list_objects(ome_of(attributes), "multiscales")
    paths = (str(dataset.get("path")) for image in images for dataset in list_objects(image, "datasets"))
    own = {"zarr.json", *(path.strip("/").partition("/")[0] for path in paths)}
    own |= {LABELS} if listed_labels(group.store_path) else set()
    return sorted(name for name in names if name not in own and not name.startswith("."))


def _level(input_: Input, array: Array) -> Source:
    """Return an array described by the OME-Zarr image of which it is a level, or by itself where it is none.

    What may describe it and cannot be read is named: its pixels can be read without.
    """
    unread: list[str] = []
    for parent, path in _parents(input_.path):
        try:
            attributes = read_attributes(locate(parent, input_.fs_options, read_only=True)) or {}
            found = None if UNFINISHED_KEY in attributes else _level_of(parent, path, array, attributes)
        except Exception as error:  # Above a store may be what nobody may read; each kind has errors of its own.
            unread.append(f"the metadata of {parent}, which cannot be read ({reason(error)})")
            continue
        _check_finished(parent, attributes)
        if found is not None:
            return found
    plain = _plain(array)
    return replace(plain, left=(*plain.left, *unread))


def _level_of(parent: str, path: str, array: Array, attributes: JSON) -> Source | None:
    """Return an array as the image in a group describes it, if it is a level of that."""
    if "multiscales" not in ome_keys(attributes):
        return None
    multiscale = read_multiscale(attributes)
    level = next((dataset for dataset in multiscale.placed if dataset.path.strip("/") == path), None)
    return None if level is None else _described(parent, array, multiscale, level, attributes)


def _parents(path: str) -> Iterator[tuple[str, str]]:
    """Yield the two folders above a path, and the path in each.

    >>> list(_parents("s3://bucket/a.zarr/0"))
    [('s3://bucket/a.zarr', '0'), ('s3://bucket', 'a.zarr/0')]
    """
    for up in (1, 2):
        parent, *rest = path.rstrip("/").rsplit("/", up)
        if parent and not parent.endswith(("/", ":")):
            yield parent, "/".join(rest)


def _check_finished(path: str, attributes: JSON) -> None:
    if UNFINISHED_KEY in attributes:
        raise ValueError(f"{path} holds an unfinished image: daskome has not written all of it; finish that first")


def _described(
    path: str,
    array: Array,
    multiscale: Multiscale,
    dataset: PlacedDataset,
    attributes: JSON,
    labels: Sequence[str] = (),
) -> Source:
    names = tuple(axis.name for axis in multiscale.axes)
    if not len(names) == array.ndim == len(dataset.scale) == len(dataset.translation):
        raise ValueError(f"{path}: its metadata have axes {names}, but level {dataset.path} is {array.shape}")
    units = {axis.name: known_unit(axis.name, axis.unit) for axis in multiscale.axes}
    ome = ome_of(attributes)
    omero, unshown = shown(replace(as_source(array), dims=names), ome.get("omero"))
    label = ome.get("image-label")
    return replace(
        as_source(array),
        dims=names,
        scale=dict(zip(names, dataset.scale, strict=True)),
        translation=dict(zip(names, dataset.translation, strict=True)),
        units={name: unit for name, unit in units.items() if unit},
        orientations={axis.name: axis.orientation for axis in multiscale.axes if axis.orientation},
        name=(multiscale.name or "").strip("/") or ZARR.stem(path),
        omero=omero,
        image_label=label if isinstance(label, Mapping) else None,
        attributes=others_of(attributes),
        left=(*unshown, *_left(array, multiscale, ome, labels)),
    )


def _left(array: Array, multiscale: Multiscale, ome: JSON, labels: Sequence[str]) -> Iterator[str]:
    """Yield, in words, what an image holds besides one level of it, and what that says that is not written."""
    if labels:
        yield f"labels {', '.join(labels)} (daskome.transcode writes them too)"
    images = ome.get("multiscales")
    if isinstance(images, list) and len(images) > 1:
        yield f"{pluralize(len(images) - 1, 'further multiscale')} of the group"
    rest = [key for key in multiscale.rest if key not in ("version", TRANSFORMS)]
    if rest:
        yield f"of its multiscale: {', '.join(rest)}"
    others = [repr(system.name) for system in multiscale.systems if system is not multiscale.system]
    if others:
        yield f"coordinate systems {', '.join(others)}, and transformations to them"
    axes = [f"{key} of axis {axis.name}" for axis in multiscale.axes for key in axis.rest]
    units = [f"unit {a.unit!r} of axis {a.name}" for a in multiscale.axes if a.unit and not known_unit(a.name, a.unit)]
    if axes or units:
        yield ", ".join([*axes, *units])
    names = [key for key in array.attrs if key != ARRAY_DIMENSIONS]
    if names:
        yield f"attributes of its array: {', '.join(names)}"


def _dims(array: Array) -> tuple[str, ...] | None:
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return known_dims(names) if isinstance(names, list | tuple) and len(names) == array.ndim else None


def _members(group: zarr.Group) -> str:
    """Return the arrays and images in a group, as text."""
    if not group.store.supports_listing:
        return "the arrays in it (its store cannot list them)"
    members = [_member(path, member) for path, member in list_members(group, max_depth=2)]
    return listed(list(filter(None, members)), "arrays")


def _member(path: str, member: zarr.Group | Array) -> str:
    if isinstance(member, zarr.Array):
        return f"{path} {member.shape} {member.dtype}"
    return f"{path} (an OME-Zarr image)" if "multiscales" in ome_of(member.attrs.asdict()) else ""
