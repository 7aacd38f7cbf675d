"""Groups and arrays that exist: found, opened, their attributes read and written."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import zarr
from zarr.storage import StorePath, ZipStore

from daskome.model.layout import ArrayFormat
from daskome.ome.detect import ome_keys
from daskome.ome.versions import Version
from daskome.stores.wrappers import unwrapped

JSON = dict[str, Any]
UNFINISHED_KEY = "daskome"
IMAGE = ("multiscales", "omero", "image-label")
"""What says that a group is an image."""
V2_DOCUMENTS = (".zgroup", ".zattrs", ".zmetadata")


def read_attributes(place: StorePath) -> dict[str, Any] | None:
    """Return the attributes of the group at a place, or None where there is no group."""
    group = find_group(place)
    return None if group is None else group.attrs.asdict()


def find_group(place: StorePath, writable: bool = False, consolidated: bool | None = False) -> zarr.Group | None:
    """Return the group at a place, or None where there is none."""
    mode = _mode(place, writable)
    try:
        return zarr.open_group(place.store, path=place.path, mode=mode, use_consolidated=consolidated)
    except (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsArrayError):
        return None


def list_members(group: zarr.Group, max_depth: int | None = 0) -> list[tuple[str, Any]]:
    """Return the arrays and groups in a group, by path, sorted. A journal is neither, which zarr would warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sorted(group.members(max_depth=max_depth), key=lambda member: member[0])


def find_array(place: StorePath) -> zarr.Array[Any] | None:
    """Return the array at a place, or None where there is none."""
    try:
        return zarr.open_array(place.store, path=place.path, mode=_mode(place))
    except (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsGroupError, zarr.errors.NodeTypeValidationError):
        return None


def write_attributes(place: StorePath, version: Version, found: Mapping[str, Any]) -> None:
    """Write all attributes of a group in one write; make the group, if it isn't there."""
    set_attributes(place, version.arrays, dict(found), last=True)


def reload_attributes(target: Any) -> None:
    """Bring up to date what a caller's open group remembers of its attributes: it would write that over the new."""
    if isinstance(target, zarr.Group):
        found = read_attributes(target.store_path)
        target.metadata.attributes.clear()
        target.metadata.attributes.update(found or {})


def reconsolidate(place: StorePath) -> None:
    """Consolidate anew the metadata of those groups, from a place up, that hold them consolidated: copies get old."""
    paths = [place.path]
    while paths[-1]:
        paths.append(paths[-1].rpartition("/")[0])
    for path in paths:
        if _is_consolidated(StorePath(place.store, path)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                zarr.consolidate_metadata(place.store, path=path or None)


def _is_consolidated(place: StorePath) -> bool:
    group = find_group(place, consolidated=None)
    return group is not None and group.metadata.consolidated_metadata is not None


def attributes_of_others(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes that are not those of an image: others' own, and what else is under ``ome``.

    Where there is no image, ``omero`` and ``image-label`` are somebody's, who says them before the image is written.
    """
    is_image = "multiscales" in ome_keys(found or {})
    image = (*IMAGE, "_ARRAY_DIMENSIONS") if is_image else ()
    kept = {key: value for key, value in (found or {}).items() if key not in (UNFINISHED_KEY, *image)}
    ome = kept.pop("ome", None)
    if isinstance(ome, Mapping):
        rest = {key: value for key, value in ome.items() if key not in ("version", *image)}
        kept |= {"ome": rest} if rest else {}
    return kept


def _mode(place: StorePath, writable: bool = False) -> Literal["r", "r+"]:
    """Return the mode that opens what is there. A zip file that is open for writing can't be opened as "r"."""
    return "r+" if writable or (isinstance(unwrapped(place.store), ZipStore) and not place.read_only) else "r"


def zarr_format_of(arrays: ArrayFormat) -> Literal[2, 3]:
    """Return the zarr format of arrays as zarr types it."""
    return 2 if arrays.zarr_format == 2 else 3


def set_attributes(place: StorePath, arrays: ArrayFormat, found: dict[str, Any], last: bool = False) -> None:
    """Write all attributes of the group at once. A store that can't rewrite gets them only when they are the last."""
    group = find_group(place, writable=True) if place.store.supports_deletes else None
    if group is not None:
        group.attrs.put(found)
    elif last or place.store.supports_deletes:
        zarr.create_group(place.store, path=place.path, zarr_format=zarr_format_of(arrays), attributes=found)
