"""What is at a target already, and what of it a plan may replace. Changes nothing."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.storage import LocalStore, StorePath

from daskome.ome.metadata import Metadata
from daskome.planning.plan import Group, Plan
from daskome.stores.create import zarr_format
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, find_array, find_group, list_members, read_attributes
from daskome.stores.location import address_of, join_paths
from daskome.stores.wrappers import unwrapped

OTHER_KINDS = ("plate", "well", "bioformats2raw.layout")


def arrays_to_replace(place: StorePath, plan: Plan, overwrite: bool) -> list[str]:
    """Return the paths of the arrays at a place that a plan replaces; raise if it may not be written there.

    Raises
    ------
    FileExistsError
        If an image, finished or not, or something else is in the way.
    PermissionError, NotADirectoryError
        If the place can't be written.
    ValueError
        If the plan needs a temporary copy, which the store can't delete.
    """
    _check_writable(place)
    if plan.temporary and not place.store.supports_deletes:
        raise ValueError(f"{place} is in a store that can't delete a temporary copy of the image; leave staging out")
    missing: set[str] = set()
    old: list[str] = []
    for group in sorted(plan.groups, key=lambda group: group.path.count("/")):
        if group.temporary:
            continue
        parent = group.path.rpartition("/")[0]
        if group.path and parent in missing:
            missing.add(group.path)  # Nothing is below what isn't there: a plate has thousands of groups.
        else:
            old += [join_paths(group.path, path) for path in _replaceable(place / group.path, plan, group, overwrite)]
        if group.path not in missing and find_group(place / group.path) is None:
            missing.add(group.path)
    return old


def _replaceable(place: StorePath, plan: Plan, group: Group, overwrite: bool) -> list[str]:
    """Return the arrays of one group that go."""
    if find_array(place) is not None:
        raise FileExistsError(f"{place} is a zarr array; give the path of a group, or of nothing yet")
    found = read_attributes(place)
    if found is None:
        _check_nothing_else(place)
        if not list_names(place):
            return []  # One request to a cloud, instead of some for every level.
    elif not place.store.supports_deletes and group.metadata != Metadata():
        raise FileExistsError(f"{place} exists in a store that can't replace what it holds; use a new one")
    old: list[str] = []
    if group.pyramid is not None:
        if found is not None and not group.kept:
            _check_kind(place, found, overwrite)
            old = levels_there(place, found)
        new = [level.path for level in plan.pyramids[group.pyramid].levels[group.kept :]]
        old += [path for path in new if path not in old and _is_in_the_way(place, path, overwrite)]
    _check_format(place, plan, old)
    return old


def check_no_overlap(place: StorePath, plan: Plan, arrays: Iterable[zarr.Array[Any]]) -> None:
    """Raise a ValueError if writing the plan at a place would touch stored arrays, which are to be read."""
    theirs = {address_of(array.store_path): array.store_path for array in arrays}
    if not theirs:
        return
    ours = set(_touched(place, plan))
    above = {path[:n] for path in ours for n in range(1, len(path) + 1)}
    for path, source in theirs.items():
        if path in above or any(path[:n] in ours for n in range(1, len(path))):
            raise ValueError(f"the target {place} overlaps the source {source}; write somewhere else")


def _touched(place: StorePath, plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield the addresses of what a plan writes, and of what it replaces."""
    is_new = find_group(place) is None
    for group, pyramid in plan.images:
        own = place / group.path
        paths = [level.path for level in pyramid.levels[group.kept :]]
        if not group.kept:
            yield address_of(own)
            paths += [] if is_new else levels_there(own, read_attributes(own) or {})
        yield from (address_of(own / path) for path in paths)


def levels_there(place: StorePath, found: Mapping[str, Any]) -> list[str]:
    """Return the paths of the arrays of the image, finished or not, that a group's attributes tell of.

    Those that our own mark lists may be no arrays yet: a process can be killed while it makes them.
    """
    ome, mark = found.get("ome", found), found.get(UNFINISHED_KEY)
    ours = _inside(mark.get("levels", ())) if isinstance(mark, Mapping) else []
    told: list[Any] = []
    for multiscale in _dicts(ome.get("multiscales") if isinstance(ome, Mapping) else None):
        told += [dataset.get("path") for dataset in _dicts(multiscale.get("datasets"))]
    theirs = [path for path in _inside(told) if path not in ours and find_array(place / path) is not None]
    return ours + theirs


def _inside(paths: Iterable[Any]) -> list[str]:
    """Return those paths, once each, that don't lead out of a group."""
    return [path for path in dict.fromkeys(map(str, paths)) if set(path.split("/")).isdisjoint(("", ".", ".."))]


def _dicts(values: Any) -> Sequence[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _check_writable(place: StorePath) -> None:
    if place.read_only:
        raise PermissionError(f"{place} is opened for reading only")
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        folder = next(parent for parent in (store.root, *store.root.parents) if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(f"{store.root} can't be made: {folder} is a file")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{store.root} can't be written: no permission in {folder}")


def _check_nothing_else(place: StorePath) -> None:
    """A folder that is no zarr group holds other people's files, but for what zarr was writing when it was killed."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        folder = store.root / place.path
        entries = {entry.name for entry in folder.iterdir() if entry.suffix != ".partial"} if folder.is_dir() else set()
        if entries and entries.isdisjoint(("zarr.json", ".zgroup")):  # Another process may have just made the group.
            raise FileExistsError(f"{folder} holds files that are no zarr group; give a path that is free")


def _check_kind(place: StorePath, found: Mapping[str, Any], overwrite: bool) -> None:
    """What is there may be a group of others, or an image if it is to be replaced; nothing of another kind."""
    ome = found.get("ome") if isinstance(found.get("ome"), Mapping) else {}
    keys = {*found, *(ome or {})}
    for kind in OTHER_KINDS:
        if kind in keys:
            raise FileExistsError(f"{place} is a {kind.split('.')[0]}; an image goes into a group of its own inside it")
    if not place.store.supports_deletes:
        raise FileExistsError(f"{place} exists in a store that can't replace what it holds; use a new one")
    if not overwrite and UNFINISHED_KEY in keys:
        raise FileExistsError(f"{place} holds an unfinished image; overwrite=True starts it anew")
    if not overwrite and "multiscales" in keys:
        raise FileExistsError(f"{place} holds an OME-Zarr image; overwrite=True replaces it")


def _is_in_the_way(place: StorePath, path: str, overwrite: bool) -> bool:
    """Return whether an array is at the path of a level, to be replaced; raise for it or anything else otherwise."""
    if find_array(place / path) is not None:
        if not overwrite:
            raise FileExistsError(f"{place} has an array {path} already; overwrite=True replaces it")
        return True
    if not sync((place / path).is_empty()):
        raise FileExistsError(f"{place / path} is where a level goes, and holds something that is no array")
    return False


def _check_format(place: StorePath, plan: Plan, old: Sequence[str]) -> None:
    """A group can change its zarr format only if it holds nothing but the image that is replaced."""
    group = find_group(place)
    if group is None or group.metadata.zarr_format == zarr_format(plan):
        return
    rest = {name for name, _ in list_members(group)} - {path.split("/")[0] for path in old}
    if rest:
        raise FileExistsError(
            f"{place} is a zarr v{group.metadata.zarr_format} group that holds {', '.join(sorted(rest))} besides the"
            " image; write to a new place, or in the version that it has"
        )
