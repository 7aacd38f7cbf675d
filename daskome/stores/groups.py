"""Groups and arrays that exist: opened, listed, their attributes read and written."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.group import GroupMetadata
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from daskome._caller import warn
from daskome.model.json_values import MALFORMED, shown_value
from daskome.model.paths import depth_of, join_paths, parents_of
from daskome.model.regions import Region, Shape
from daskome.model.storage.layout import ArrayFormat
from daskome.ome.detect import OME_KEYS, as_of_all, ome_keys, ome_of
from daskome.ome.image_label import LABELS
from daskome.ome.versions import Version
from daskome.stores.kinds import kind_of
from daskome.stores.objects.damage import reason

JSON = dict[str, Any]
UNFINISHED_KEY = "daskome"
REMOVING_KEY = "removing"
"""The entry of the mark of a group that says that it, and all in it, is being removed."""
DESCRIBED = "described"
"""The entry of such a mark that names the images of it in the OME-XML of a collection, by their IDs."""
CONSOLIDATED = "consolidated"
"""The entry of the mark of an unfinished image that says that its group held consolidated metadata."""
BOTH_FORMATS = "both_formats"
"""The entry that says that its group may have documents of both zarr formats, while one takes the other's place."""
CHANGE = "change"
"""The entry that says which part of an image is being changed, what shapes its levels had, and what made it one."""
IMAGE_KEYS = ("multiscales", "omero", "image-label")
"""The attributes that make a group an image."""
ARRAY_DIMENSIONS = "_ARRAY_DIMENSIONS"
"""Names of the axes of an array of zarr v2; images of 0.3 repeat it."""
V2_DOCUMENTS = (".zgroup", ".zattrs", ".zmetadata")


def read_attributes(store_path: StorePath) -> dict[str, Any] | None:
    """Return the attributes of the group at a path, or None where there is no group."""
    group = find_group(store_path)
    return None if group is None else group.attrs.asdict()


def removal_mark(attributes: Mapping[str, Any] | None) -> JSON | None:
    """Return the mark of a group that is being removed (`REMOVING_KEY`); None of others.

    >>> removal_mark({"daskome": {"unfinished": True, "removing": True}})
    {'unfinished': True, 'removing': True}
    >>> removal_mark({"daskome": {"unfinished": True}})
    """
    mark = (attributes or {}).get(UNFINISHED_KEY)
    return mark if isinstance(mark, dict) and mark.get(REMOVING_KEY) else None


def listed_labels(store_path: StorePath) -> list[str]:
    """Return the label images that an image lists."""
    listed = ome_of(read_attributes(store_path / LABELS) or {}).get("labels")
    return [str(name) for name in listed] if isinstance(listed, list) else []


def find_group(store_path: StorePath, writable: bool = False, consolidated: bool | None = False) -> zarr.Group | None:
    """Return the group at a path, or None where there is none.

    Raises
    ------
    ValueError
        If its documents cannot be read.
    """
    mode = _mode(store_path, writable)
    with reading(store_path):
        try:
            group = zarr.open_group(store_path.store, path=store_path.path, mode=mode, use_consolidated=consolidated)
        except (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsArrayError):
            return None
        _check_attributes(group)
        return group


def no_group(store_path: StorePath) -> str:
    """Return, in words, that there is no group; a file may be an image, but is not OME-Zarr yet."""
    root = getattr(store_path.store, "root", None)
    is_file = isinstance(root, Path) and (root / store_path.path).is_file()
    hint = " (it is a file; if daskome.read reads it, daskome write, or daskome.write_image, makes OME-Zarr of it)"
    return f"there is no zarr group at {store_path}{hint if is_file else ''}"


def list_members(group: zarr.Group, max_depth: int | None = 0) -> list[tuple[str, Any]]:
    """Return the arrays and groups in a group, by path, sorted. zarr would warn of a journal, which is neither.

    Raises
    ------
    ValueError
        If documents of one of them cannot be read.
    """
    with reading(group.store_path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sorted(group.members(max_depth=max_depth), key=lambda member: member[0])


def find_array(store_path: StorePath) -> zarr.Array[Any] | None:
    """Return the array at a path, or None where there is none.

    Raises
    ------
    ValueError
        If its documents cannot be read.
    """
    gone = (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsGroupError, zarr.errors.NodeTypeValidationError)
    with reading(store_path):
        try:
            array = zarr.open_array(store_path.store, path=store_path.path, mode=_mode(store_path))
        except gone:
            return None
        _check_attributes(array)
        return array


def _check_attributes(node: zarr.Group | zarr.Array[Any]) -> None:
    attributes: Any = node.metadata.attributes
    if not isinstance(attributes, Mapping):
        raise ValueError(f"attributes are {shown_value(attributes)}; they must be an object")


@contextmanager
def reading(store_path: StorePath) -> Iterator[None]:
    """Turn what broken documents make Python and zarr raise, errors of many types, into one that says where and why."""
    try:
        yield
    except (*MALFORMED, RuntimeError) as error:
        raise ValueError(f"the metadata at {store_path} cannot be read: {reason(error)}") from error


def create_unless_there(store_path: StorePath, arrays: ArrayFormat, attributes: dict[str, Any]) -> None:
    """Create a group, and those above it, where there are none: what another process has just written there stays."""
    made = MemoryStore()
    zarr.create_group(made, path=store_path.path, zarr_format=zarr_format_of(arrays), attributes=attributes)
    for key, document in made._store_dict.items():
        sync(StorePath(store_path.store, key).set_if_not_exists(document))


def check_ome(store_path: StorePath, attributes: Mapping[str, Any]) -> None:
    """Raise a ValueError for a group whose ``ome`` is not an object: nothing can be added to it."""
    if not isinstance(attributes.get("ome", {}), Mapping):
        raise ValueError(f"'ome' of {store_path} is {shown_value(attributes['ome'])}; it must be an object")


def write_attributes(store_path: StorePath, version: Version, attributes: Mapping[str, Any]) -> None:
    """Write all attributes of a group in one write; create the group if there is none."""
    set_attributes(store_path, version.arrays, dict(attributes), last=True)


def reload_attributes(target: Any) -> None:
    """Update the attributes that a caller's open group remembers; it would write them over the new ones."""
    if isinstance(target, zarr.Group):
        attributes = read_attributes(target.store_path)
        target.metadata.attributes.clear()
        target.metadata.attributes.update(attributes or {})


def reconsolidate(store_path: StorePath, anew: Iterable[str] = ()) -> None:
    """Consolidate again the metadata of those groups, from a path up, that hold consolidated copies, now stale.

    Parameters
    ----------
    store_path : StorePath
    anew : iterable of str
        Paths of groups below whose copies have been taken away while they were written.
    """
    for path in sorted((join_paths(store_path.path, inner) for inner in anew), key=depth_of, reverse=True):
        _consolidate(store_path.store, path)
    for path in (store_path.path, *parents_of(store_path.path)):
        if is_consolidated(StorePath(store_path.store, path)):
            _consolidate(store_path.store, path)


def _consolidate(store: Any, path: str) -> None:
    """Consolidate; warn if that fails, as what was written is complete without it."""
    try:
        with reading(StorePath(store, path)), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            zarr.consolidate_metadata(store, path=path or None)
    except ValueError as error:
        warn(f"what was written is complete, but consolidated metadata are old, as they cannot be renewed: {error}")


def is_consolidated(store_path: StorePath) -> bool:
    """Whether a group holds copies of the metadata below it."""
    group = find_group(store_path, consolidated=None)
    return group is not None and group.metadata.consolidated_metadata is not None


def check_parents(store_path: StorePath, version: Version) -> None:
    """Raise a ValueError if a group lies in a group of another zarr format, which it would hide.

    zarr puts a document of the new format into each parent that has none: readers would take that for the parent.
    """
    ours, others = ("zarr.json", ".zgroup") if version.arrays.zarr_format == 3 else (".zgroup", "zarr.json")
    for path in parents_of(store_path.path):
        parent = StorePath(store_path.store, path)
        if sync((parent / ours).exists()):
            return
        if sync((parent / others).exists()):
            raise ValueError(
                f"{store_path} lies in {parent}, a zarr v{5 - version.arrays.zarr_format} group, but OME-Zarr"
                f" {version.name} is stored in v{version.arrays.zarr_format}; write in a version of that zarr format,"
                " or to a place of its own"
            )


def attributes_of_others(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes that do not belong to an image, also under ``ome``.

    Without an image, ``omero`` and ``image-label`` are kept: somebody wrote them before the image.
    """
    is_image = "multiscales" in ome_keys(attributes or {})
    image = (*IMAGE_KEYS, ARRAY_DIMENSIONS) if is_image else ()
    kept = {key: value for key, value in (attributes or {}).items() if key not in (UNFINISHED_KEY, *image)}
    ome = kept.pop("ome", None)
    if isinstance(ome, Mapping):
        others = {key: value for key, value in as_of_all(ome).items() if key not in ("version", *image)}
        kept |= {"ome": others} if others else {}
    return kept


def noted_change(region: Region, shapes: Sequence[Shape], attributes: JSON) -> JSON:
    """Return what the mark of an image that is being changed says: all that is needed to make it an image again.

    >>> noted_change(((0, 2),), [(4,)], {"ome": {"version": "0.5", "multiscales": []}, "mine": 1})["image"]
    {'ome': {'version': '0.5', 'multiscales': []}}
    """
    noted = change_in(attributes)
    image = _without(attributes, attributes_of_others(attributes)) if noted is None else noted["image"]
    return {"region": [list(span) for span in region], "shapes": [list(shape) for shape in shapes], "image": image}


def change_in(attributes: Mapping[str, Any]) -> JSON | None:
    """Return what the mark of an image says that is being changed; None for others."""
    mark = attributes.get(UNFINISHED_KEY)
    noted = mark.get(CHANGE) if isinstance(mark, Mapping) else None
    return dict(noted) if isinstance(noted, Mapping) and isinstance(noted.get("image"), Mapping) else None


def as_image(attributes: Mapping[str, Any]) -> JSON:
    """Return the attributes of an image that is being changed as they were, with what others have added since.

    >>> image = {"ome": {"multiscales": []}, "mine": 1}
    >>> as_image({"mine": 2, "daskome": {"change": noted_change(((0, 2),), [(4,)], image)}})
    {'mine': 2, 'ome': {'multiscales': []}}
    """
    noted = change_in(attributes)
    if noted is None:
        return dict(attributes)
    found = {key: value for key, value in attributes.items() if key != UNFINISHED_KEY}
    image = noted["image"]
    both = {"ome": {**found["ome"], **image["ome"]}} if {"ome"} <= found.keys() & image.keys() else {}
    return {**found, **image, **both}


def _without(attributes: Mapping[str, Any], others: Mapping[str, Any]) -> JSON:
    """Return attributes without some others, also under ``ome``."""
    rest = {key: value for key, value in attributes.items() if key not in (*others, UNFINISHED_KEY)}
    if "ome" in others and isinstance(attributes["ome"], Mapping):
        rest["ome"] = {key: value for key, value in attributes["ome"].items() if key not in others["ome"]}
    return rest


def others_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a group that are other programs'; those under ``ome`` stay there.

    >>> others_of({"ome": {"version": "0.5", "multiscales": [], "_creator": "tool"}, "acquired": "2026"})
    {'acquired': '2026', 'ome': {'_creator': 'tool'}}
    """
    known = ("ome",) if "ome" in attributes else (*ome_keys(attributes), ARRAY_DIMENSIONS)
    beside = {key: value for key, value in attributes.items() if key not in known}
    under = ome_of(attributes) if "ome" in attributes else {}
    rest = {key: value for key, value in under.items() if key not in ("version", *OME_KEYS)}
    return {**beside, "ome": rest} if rest else beside


def split_others(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes that `others_of` returns in two: those beside ``ome``, and those under it."""
    return {key: value for key, value in attributes.items() if key != "ome"}, dict(attributes.get("ome", {}))


def _mode(store_path: StorePath, writable: bool = False) -> Literal["r", "r+"]:
    """Return the mode that opens what is there."""
    return "r+" if writable or (kind_of(store_path)[0].opens_to_write and not store_path.read_only) else "r"


def zarr_format_of(arrays: ArrayFormat) -> Literal[2, 3]:
    """Return the zarr format of arrays as zarr types it."""
    return 2 if arrays.zarr_format == 2 else 3


def make_group(store_path: StorePath, arrays: ArrayFormat, attributes: dict[str, Any]) -> None:
    """Write the documents of a group, whatever is there in the other zarr format; in v2 its attributes come first."""
    documents = GroupMetadata(attributes, zarr_format_of(arrays)).to_buffer_dict(default_buffer_prototype())
    for name, document in reversed(documents.items()):
        sync((store_path / name).set(document))


def set_attributes(store_path: StorePath, arrays: ArrayFormat, attributes: dict[str, Any], last: bool = False) -> None:
    """Write all attributes of a group in one write. A store that cannot rewrite gets only the last ones."""
    group = find_group(store_path, writable=True) if store_path.store.supports_deletes else None
    if group is not None:
        group.attrs.put(attributes)
    elif last or store_path.store.supports_deletes:
        zarr.create_group(
            store_path.store, path=store_path.path, zarr_format=zarr_format_of(arrays), attributes=attributes
        )
