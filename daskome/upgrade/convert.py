"""Convert a hierarchy to another version of OME-Zarr in place: documents change, pixels do not."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from zarr.storage import StorePath

from daskome.model.json_values import JSONDict, to_plain_json
from daskome.model.problem import Problem, or_unfinished
from daskome.model.text import pluralize
from daskome.model.types import FileSystemOptions, FormatLike, GroupLike
from daskome.ome.detect import ome_keys, ome_of, version_in
from daskome.ome.versions import DEFAULT_VERSION, Version, find_version, likely_version, stated_version
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.documents import list_names, put_text
from daskome.stores.groups import UNFINISHED_KEY, reload_attributes
from daskome.stores.journal import JOURNAL, has_run
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import locate, parent_of
from daskome.stores.ownership.claims import CLAIMS, UPGRADE, Claim
from daskome.stores.ownership.owned_store import forget_half_done, owned
from daskome.stores.ownership.taking import claimed, end_owners_below, naming_the_heir
from daskome.stores.targets.folders import links_to, locked_folders
from daskome.stores.targets.single_files import cannot_change
from daskome.upgrade.documents import Work, try_conversion, upgrade_work, work_in_place
from daskome.upgrade.groups import GroupChange, read_group
from daskome.upgrade.tree import V3, Tree, begun_in, build_tree, gather, read_nodes
from daskome.upgrade.zarr_v3 import separator


def convert_metadata(
    target: GroupLike,
    version: FormatLike,
    *,
    fs_options: FileSystemOptions | None = None,
    dry_run: bool = False,
    take_over: bool = False,
) -> list[str]:
    r"""Convert an OME-Zarr hierarchy to another version, without reading or writing a pixel.

    All groups below the target follow: labels, wells, series. From 0.4 or older to 0.5 or newer, arrays get
    documents of zarr v3 that read the same chunks. Everything is checked before the first write. If the call is
    killed, call it again: readers see the old version until all is there, and the next call finishes what is left.
    Meanwhile no other process writes in the hierarchy, nor converts it.

    0.1 to 0.3 have no place for voxel sizes and positions: the lines returned say what readers lose. It is kept in the
    ``metadata`` of the multiscale, from where a later upgrade restores it.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        The root of the hierarchy: an image, a plate, or a bioformats2raw layout.
    version : str or object with a version
        One of `daskome.ome.versions.VERSIONS`, such as "0.5".
    fs_options : dict, optional
        For the file system of a URL.
    dry_run : bool
        Write nothing; return what would be done.
    take_over : bool
        Whether to go on although another process that may be alive converts it, or begins to write in it; it stops.

    Returns
    -------
    list of str
        What has been done: groups and arrays, what is lost, and what had to be inferred.

    Raises
    ------
    ValueError
        With all obstacles, one line each: what the version cannot hold, codecs that zarr v3 does not have,
        an image that is unfinished, a target inside a hierarchy of another version, a store that is read-only, links to
        what would be changed elsewhere, folders that may not be changed.
    FileNotFoundError
        If there is no zarr group.
    FileExistsError
        If another process is writing there, or converts it.
    WriteError
        If the store refuses a write after the first, or another process has taken over: the same call finishes what is
        left.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 50), "uint8"), store, [2], axes="yx", fmt="0.4")
    >>> print(*convert_metadata(store, "0.5"), sep="\n")
    image: OME-Zarr 0.4 to 0.5
    documents of zarr v3 for 1 group and 2 arrays, instead of those of v2
    >>> zarr.open_group(store, mode="r").attrs["ome"]["version"]
    '0.5'
    >>> convert_metadata(store, "0.5")
    ['OME-Zarr 0.5 already: nothing to do']
    """
    row = find_version(version)
    store_path = locate(target, fs_options, read_only=dry_run)
    if not dry_run:
        _check_writable(store_path)
    changes = _work(store_path, row, build_tree(store_path))
    if not dry_run and (changes.writes or changes.deletes or list_names(store_path / CLAIMS)):
        changes = _converted(store_path, row, take_over)
        reload_attributes(target)
    return list(changes.lines)


def _converted(store_path: StorePath, target: Version, take_over: bool) -> Work:
    """Return the changes, made as the owner of the hierarchy, which is read again: others may have written before."""
    with claimed(store_path, UPGRADE, take_over) as claim, naming_the_heir(claim):
        try:
            changes = _work_of_its_owner(store_path, target, claim, take_over)
        except ValueError:
            claim.check()  # What was read may be half of what another makes, who has taken over.
            raise
        _perform(owned(store_path, claim), changes)
    return changes


def _work_of_its_owner(store_path: StorePath, target: Version, claim: Claim, take_over: bool) -> Work:
    """Return the changes, once nobody else writes in the hierarchy."""
    tree = build_tree(store_path)
    end_owners_below([store_path / path for path in begun_in(store_path, tree)], take_over)
    if claim.took_over:
        forget_half_done(store_path, store_path, tree.nodes)
    return _work(store_path, target, tree)


def _work(store_path: StorePath, target: Version, tree: Tree) -> Work:
    """Return the changes; raise a ValueError that lists all obstacles."""
    _check_finished(store_path, tree)
    if not any(ome_keys(group.attributes(tree.zarr_format)) for group in tree.groups):
        raise ValueError(f"{store_path} holds no OME-Zarr, so there is nothing to convert")
    _check_formats(store_path, tree, target)
    refusals: list[Problem] = []
    groups = [try_conversion(refusals, group.path, read_group, tree, group.path, target) for group in tree.groups]
    readable = [group for group in groups if group is not None]
    in_place = tree.zarr_format == target.arrays.zarr_format
    changes = (work_in_place if in_place else upgrade_work)(tree, readable, target, refusals)
    for stage in changes.writes:
        for key, document in stage.items():
            try_conversion(
                refusals, "", to_plain_json, document, key
            )  # A value that JSON cannot hold would fail in the middle of the writes.
    refusals += _locked(store_path, changes)
    if refusals:
        raise ValueError(
            "\n".join([f"{store_path} cannot be converted to OME-Zarr {target.name}:", *map(str, refusals)])
        )
    if changes.writes:
        _check_root(store_path, target)
    return replace(changes, lines=_told(tree, readable, changes, target))


def _locked(store_path: StorePath, changes: Work) -> Iterator[Problem]:
    """Yield what cannot be changed: behind links, or in folders where nothing may be written."""
    keys = [key for stage in (*changes.writes, *changes.deletes) for key in stage]
    folders = list(dict.fromkeys(key.rpartition("/")[0] for key in keys))
    for link in links_to(store_path, folders):
        yield Problem("root", f"{link}; nothing is written behind links: convert what it leads to, or leave it out")
    for folder in locked_folders(store_path, folders, ()):
        yield Problem("root", f"no permission to change what is in {folder}")


def _check_finished(store_path: StorePath, tree: Tree) -> None:
    for group in tree.groups:
        begun = JOURNAL in group.names and has_run(store_path / group.path)
        if begun or UNFINISHED_KEY in group.attributes(tree.zarr_format):
            raise ValueError(f"{store_path / group.path} is unfinished: finish writing it, or write it again, first")


def _check_formats(store_path: StorePath, tree: Tree, target: Version) -> None:
    if tree.zarr_format > target.arrays.zarr_format:
        raise ValueError(
            f"{store_path} is in zarr v3, and OME-Zarr {target.name} is in v2, which cannot describe arrays of v3"
            f" (section 'storage'); write the image again with fmt={target.name!r}"
        )
    halfway = [n.path or "root" for n in tree.nodes.values() if V3 in n.documents] if tree.zarr_format == 2 else []
    if halfway and target.arrays.zarr_format == 2:
        raise ValueError(
            f"{store_path} is partly converted to zarr v3, as {halfway[-1]}/zarr.json shows; finish that first, as with"
            f" version {DEFAULT_VERSION.name!r}"
        )


def _check_root(store_path: StorePath, target: Version) -> None:
    """Raise if the group lies in a hierarchy of another version: all of it has one version (section "version")."""
    root, above = None, parent_of(store_path)
    while above is not None:
        node = read_nodes(above, [""])[0]
        zarr_format = 3 if node.is_group(3) else 2
        if not node.is_group(zarr_format):
            break
        attributes = node.attributes(zarr_format)
        root = (above, version_in(attributes) or likely_version(attributes).name) if ome_keys(attributes) else root
        above = parent_of(above)
    if root is not None and stated_version(root[1]) != target:
        raise ValueError(
            f"{store_path} is part of {root[0]}, which is of OME-Zarr {root[1]}, and a hierarchy has one version"
            " (section 'version'); convert that instead"
        )


def _check_writable(store_path: StorePath) -> None:
    store = unwrap_store(store_path.store)
    if isinstance(store, ArchiveStore):
        raise ValueError(cannot_change(store))
    if store_path.read_only or not store_path.store.supports_writes:
        raise ValueError(f"{store_path} is read-only; nothing is written")
    if not store_path.store.supports_deletes:
        raise ValueError(
            f"{store_path} is a store where nothing can be replaced, such as a zip file; copy it out first"
        )


# ---- in words, and in the store


def _told(tree: Tree, groups: Sequence[GroupChange], changes: Work, target: Version) -> tuple[str, ...]:
    """Return, in words, what is done, lost, inferred or left."""
    if not changes.writes and not changes.deletes:
        return (f"OME-Zarr {target.name} already: nothing to do",)
    lines = [f"{_called(tree, group)}: {line}" for group in groups for line in group.lines]
    if not changes.writes:
        lines.append(f"OME-Zarr {target.name} already: what is left of zarr v2 is deleted")
    elif not lines:
        lines.append(f"OME-Zarr {target.name} already: copies in consolidated metadata are brought up to date")
    elif tree.zarr_format != target.arrays.zarr_format:
        keys = [key for stage in changes.writes for key in stage]
        arrays = sum(tree.array(key.rpartition("/")[0]) is not None for key in keys)
        counts = f"{pluralize(len(keys) - arrays, 'group')} and {pluralize(arrays, 'array')}"
        lines.append(f"documents of zarr v3 for {counts}, instead of those of v2")
    return (*lines, *_separators(tree, groups, target), *changes.lines)


def _called(tree: Tree, group: GroupChange) -> str:
    return group.path or ("image" if "multiscales" in ome_of(group.attributes) else "root")


def _separators(tree: Tree, groups: Sequence[GroupChange], target: Version) -> Iterator[str]:
    """Yield groups whose chunks keep a separator other than that of the target, as some readers ignore .zarray."""
    wanted = target.arrays.separator
    for group in groups if tree.zarr_format == target.arrays.zarr_format == 2 else ():
        separators = {separator(array) for path in group.names if (array := tree.array(path))} - {wanted}
        if separators and group.changed:
            yield (
                f"{_called(tree, group)}: chunks stay named with {separators.pop()!r}, as .zarray says; readers that"
                f" expect {wanted!r} of OME-Zarr {target.name} miss them"
            )


def _perform(store_path: StorePath, changes: Work) -> None:
    """Write and delete, stage by stage."""
    with or_unfinished(store_path, "is only partly converted", "once the cause is fixed, the same call goes on"):
        for stage in changes.writes:
            gather([_put(store_path / key, document) for key, document in stage.items()])
        for keys in changes.deletes:
            gather([(store_path / key).delete() for key in keys])


async def _put(store_path: StorePath, document: JSONDict) -> None:
    await put_text(store_path, json.dumps(document, indent=2, allow_nan=False))
