"""What is at a target already, and what of it a plan may replace. Changes nothing."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import zarr
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model import regions
from daskome.model.paths import join_paths, paths_inside
from daskome.ome.detect import ome_of
from daskome.ome.metadata import Metadata
from daskome.ome.versions import find_version
from daskome.planning.groups.group import Change, Group
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.arrays import find_shape
from daskome.stores.documents import list_names, read_json
from daskome.stores.groups import (
    JSON,
    UNFINISHED_KEY,
    change_in,
    check_ome,
    check_parents,
    find_array,
    find_group,
    list_members,
    read_attributes,
)
from daskome.stores.journal import JOURNAL
from daskome.stores.kinds import kind_of
from daskome.stores.location import address_of, folder_of
from daskome.stores.remembered import for_each, forgotten
from daskome.stores.targets.folders import links_to, locked_folders
from daskome.stores.targets.single_files import check_single_file

LITTER = frozenset((".DS_Store", ".localized", ".directory", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir"))
OTHER_KINDS = ("plate", "well", "bioformats2raw.layout")


def arrays_to_replace(target: StorePath, plan: Plan, overwrite: bool) -> list[str]:
    """Return the paths of the arrays at a target that a plan replaces; raise if it may not write there.

    Raises
    ------
    FileExistsError
        If an image, finished or not, or something else is in the way.
    PermissionError, NotADirectoryError
        If the target cannot be written.
    ValueError
        If the plan needs a temporary copy, which the store cannot delete; or the target lies in a group of another
        zarr format.
    """
    check_single_file(target, plan.version)
    check_writable(target)
    check_parents(target, find_version(plan.version))
    if plan.temporary and not target.store.supports_deletes:
        raise ValueError(f"{target} is in a store that cannot delete a temporary copy of the image; leave staging out")
    missing: set[str] = set()
    old: list[str] = []
    announced = journals.announced(target / plan.home) if any(group.kept for group in plan.groups) else {}
    lasting = sorted((group for group in plan.groups if not group.temporary), key=attrgetter("depth"))
    for _, groups in groupby(lasting, key=attrgetter("depth")):
        each = list(groups)
        below = {group.path for group in each if group.path and group.path.rpartition("/")[0] in missing}
        seen = [group for group in each if group.path not in below]
        looks = for_each(target, partial(_look, target, plan, overwrite, announced), seen)
        old += [path for paths, _ in looks for path in paths]
        # Nothing can be below what is missing: a plate has thousands of groups.
        missing |= below | {group.path for group, (_, is_there) in zip(seen, looks, strict=True) if not is_there}
    _check_folders(target, plan, [group.path for group in lasting], old)
    return old


def check_as_planned(target: StorePath, plan: Plan) -> None:
    """Raise if an image that a plan changes in place has changed since: the plan tells what it was.

    Raises
    ------
    ValueError
        That says what to do.
    """
    for group in plan.groups:
        place = forgotten(target / group.path)
        if group.change is not None and not _is_as_planned(place, group, group.change):
            raise ValueError(f"{place} was changed by another call since this one looked at it; call it again")


def _is_as_planned(place: StorePath, group: Group, change: Change) -> bool:
    """Whether an image has the shapes of which a plan of a change is made, and all that one before it has left."""
    paths = [level.path for level in group.pyramid.levels] if group.pyramid is not None else []
    shapes_of: list[Callable[[], Any]] = [partial(find_shape, place / path) for path in paths]
    looks: list[Callable[[], Any]] = [lambda: change_in(read_attributes(place) or {}), *shapes_of]
    noted, *shapes = for_each(place, lambda look: look(), looks)
    if noted is None:
        return tuple(shapes) == change.shapes
    left = tuple((start, stop) for start, stop in noted["region"])
    ends = (left, regions.clipped(left, change.shapes[0]))  # Of what was to be appended, what it joins is enough.
    is_in_it = any(regions.around(change.region, each) == change.region for each in ends)
    return noted["shapes"] == [list(shape) for shape in change.shapes] and is_in_it


def _check_folders(target: StorePath, plan: Plan, groups: Sequence[str], old: Sequence[str]) -> None:
    """Raise for folders of which a plan would change something behind a link, or may change nothing."""
    journal = join_paths(plan.home, JOURNAL)
    link = next(links_to(target, [*groups, *old, *_touched_levels(plan), journal]), None)
    if link is not None:
        raise FileExistsError(f"{link}; nothing is written or deleted behind links: give the path where it leads")
    locked = next(locked_folders(target, [*groups, *_changed_levels(plan)], old), None)
    if locked is not None:
        raise PermissionError(f"{target} cannot be written: no permission to change what is in {locked}")


def _touched_levels(plan: Plan) -> Iterator[str]:
    for group, _ in plan.images:
        yield from (join_paths(group.path, level.path) for level in group.touched)


def _changed_levels(plan: Plan) -> list[str]:
    """Return the paths of the arrays that are there, and change."""
    return [join_paths(group.path, level.path) for group in plan.groups if group.change for level in group.touched]


def _look(
    target: StorePath, plan: Plan, overwrite: bool, announced: Mapping[str, JSON], group: Group
) -> tuple[list[str], bool]:
    """Return the paths of the arrays of a group that go, and whether the group is there."""
    begun = _begun(group, announced) if overwrite and group.change is None else []
    paths = _replaceable(target / group.path, plan, group, overwrite, begun)
    return [join_paths(group.path, path) for path in paths], find_group(target / group.path) is not None


def _begun(group: Group, announced: Mapping[str, JSON]) -> list[str]:
    """Return the levels that were being made in a group that stays an image, but never those that stay."""
    levels = announced.get(group.path, {}).get("levels")
    kept = {level.path for level in group.pyramid.levels[: group.kept]} if group.pyramid else set()
    return [path for path in paths_inside(levels if isinstance(levels, list) else ()) if path not in kept]


def _replaceable(target: StorePath, plan: Plan, group: Group, overwrite: bool, begun: Sequence[str]) -> list[str]:
    """Return the arrays of one group that go, those too that were begun where an image only gets more levels."""
    if find_array(target) is not None:
        raise FileExistsError(f"{target} is a zarr array; give the path of a group, or a new path")
    attributes = read_attributes(target)
    if attributes is None:
        _check_nothing_else(target)
        if not {*list_names(target)} - {JOURNAL}:
            return []  # One request to a cloud, instead of some for every level.
    else:
        check_ome(target, attributes)
    rewritten = group.metadata != Metadata() or group.change is not None
    if attributes is not None and not target.store.supports_deletes and rewritten:
        raise FileExistsError(f"{target} exists in a store that cannot replace what it holds; write to a new store")
    old: list[str] = []
    if group.pyramid is not None:
        old = list(begun)
        if attributes is not None and not group.kept:
            _check_kind(target, attributes, overwrite)
            old = levels_there(target, attributes)
        new = [level.path for level in group.pyramid.levels[group.kept :]]
        old += [path for path in new if path not in old and _is_in_the_way(target, path, overwrite)]
    _check_format(target, plan, old, replaced=group.pyramid is not None and not group.kept)
    return old


def check_no_overlap(target: StorePath, plan: Plan, arrays: Iterable[zarr.Array[Any]]) -> None:
    """Raise a ValueError if writing a plan would touch stored arrays that it reads."""
    theirs = {address_of(array.store_path): array.store_path for array in arrays}
    if not theirs:
        return
    ours = set(_touched(target, plan))
    above = {path[:n] for path in ours for n in range(1, len(path) + 1)}
    for path, source in theirs.items():
        if path in above or any(path[:n] in ours for n in range(1, len(path))):
            raise ValueError(
                f"the target {target} overlaps the source {source}; write somewhere else, as to another path in that"
                " group"
            )


def _touched(target: StorePath, plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield the addresses of what a plan writes, with all below it: arrays, those that they replace, and the journal.

    What else is in the groups stays as it is.
    """
    is_new = find_group(target) is None
    yield address_of(target / plan.home / JOURNAL)
    for group, _ in plan.images:
        group_path = target / group.path
        paths = [level.path for level in group.touched]
        if not group.kept:
            paths += [] if is_new else levels_there(group_path, read_attributes(group_path) or {})
        yield from (address_of(group_path / path) for path in paths)


def levels_there(target: StorePath, attributes: Mapping[str, Any]) -> list[str]:
    """Return the paths of the arrays of the image, finished or not, that a group's attributes list.

    Those that our mark lists may not exist yet: a process can be killed while it creates them.
    """
    ome, mark = ome_of(attributes), attributes.get(UNFINISHED_KEY)
    ours = paths_inside(mark.get("levels", ())) if isinstance(mark, Mapping) else []
    listed: list[Any] = []
    for multiscale in _dicts(ome.get("multiscales")):
        listed += [dataset.get("path") for dataset in _dicts(multiscale.get("datasets"))]
    others = [path for path in paths_inside(listed) if path not in ours]
    found = for_each(target, lambda path: find_array(target / path), others)
    return ours + [path for path, array in zip(others, found, strict=True) if array is not None]


def _dicts(values: Any) -> Sequence[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def check_writable(target: StorePath) -> None:
    """Raise if a target is open for reading only, is a cache, or lies where this process may not write."""
    if target.read_only:
        raise PermissionError(f"{target} is open for reading only; open it for writing")
    if kind_of(target)[0].remembers:
        raise PermissionError(f"{target} is a cache, which does not see what others write; write to what it caches")
    root = folder_of(StorePath(target.store))
    if root is not None:
        folder = next(parent for parent in (root, *root.parents) if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(f"{root} cannot be created: {folder} is a file; give another path")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{root} cannot be written: no permission in {folder}")


def _check_nothing_else(target: StorePath) -> None:
    """Raise for files in a folder that is not a zarr group, except for litter."""
    folder = folder_of(target)
    if folder is not None and folder.is_dir():
        entries = {entry.name for entry in folder.iterdir() if _holds_something(entry)}
        entries -= {".zattrs"} if _is_our_beginning(target) else set()
        if entries and entries.isdisjoint(("zarr.json", ".zgroup")):  # Another process may have just made the group.
            raise FileExistsError(f"{folder} holds files that are not a zarr group; give a new path")


def _is_our_beginning(target: StorePath) -> bool:
    """Whether attributes of zarr v2 without a group are those with which one begins: a kill came between the two."""
    attributes = read_json(target / ".zattrs")
    return isinstance(attributes, Mapping) and set(attributes) <= {UNFINISHED_KEY}


def _holds_something(path: Path) -> bool:
    """Whether a file is no litter; whether such a file lies in a folder, apart from the claim of who writes there."""
    if path.name == JOURNAL or is_litter(path.name):
        return False
    return path.is_symlink() or not path.is_dir() or any(map(_holds_something, path.iterdir()))


def is_litter(name: str) -> bool:
    """Whether desktops and file servers leave files of this name in any folder, or zarr, when it is killed."""
    return name in LITTER or name.startswith(("._", ".nfs")) or name.endswith(".partial")


def _check_kind(target: StorePath, attributes: Mapping[str, Any], overwrite: bool) -> None:
    """Raise unless a group has no image, or one that is to be replaced, and nothing of another kind."""
    keys = {*attributes, *ome_of(attributes)}
    for kind in OTHER_KINDS:
        if kind in keys:
            raise FileExistsError(
                f"{target} is a {kind.split('.')[0]}; an image goes into a group of its own inside it"
            )
    if not target.store.supports_deletes:
        raise FileExistsError(f"{target} exists in a store that cannot replace what it holds; write to a new store")
    if not overwrite and UNFINISHED_KEY in keys:
        raise FileExistsError(f"{target} holds an unfinished image; overwrite=True starts it anew")
    if not overwrite and "multiscales" in keys:
        raise FileExistsError(f"{target} holds an OME-Zarr image; overwrite=True replaces it")


def _is_in_the_way(target: StorePath, path: str, overwrite: bool) -> bool:
    """Return whether an array at the path of a level is to be replaced; raise if it may not be, or is not an array."""
    if find_array(target / path) is not None:
        if not overwrite:
            raise FileExistsError(f"{target} has an array {path} already; overwrite=True replaces it")
        return True
    if not sync((target / path).is_empty()):
        raise FileExistsError(
            f"{target / path} is where a level goes, but holds something that is not an array; give a new path"
        )
    return False


def _check_format(target: StorePath, plan: Plan, old: Sequence[str], *, replaced: bool) -> None:
    """Raise if a group would change its zarr format, but is not replaced, or holds more than the image that is."""
    group = find_group(target)
    if group is None or group.metadata.zarr_format == find_version(plan.version).arrays.zarr_format:
        return
    if not replaced:
        raise ValueError(
            f"{target} is a zarr v{group.metadata.zarr_format} group, but OME-Zarr {plan.version} is stored in the"
            " other; leave fmt out to follow the group, or write to a new path"
        )
    others = {name for name, _ in list_members(group)} - {path.split("/")[0] for path in old}
    if others:
        raise FileExistsError(
            f"{target} is a zarr v{group.metadata.zarr_format} group that holds {', '.join(sorted(others))} besides the"
            " image; write to a new path, or in a version of that zarr format"
        )
