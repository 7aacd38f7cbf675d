"""Create the groups and arrays of a plan: arrays empty, groups marked as unfinished."""

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter

import zarr
from zarr.core.buffer import Buffer
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from daskome.model.pyramid import Level, Pyramid
from daskome.model.source import Origin
from daskome.ome.metadata import Metadata
from daskome.ome.versions import find_version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Group, Plan
from daskome.stores import journal as journals
from daskome.stores.arrays import Documents, create_array
from daskome.stores.groups import (
    CONSOLIDATED,
    JSON,
    UNFINISHED_KEY,
    V2_DOCUMENTS,
    attributes_of_others,
    create_unless_there,
    find_group,
    is_consolidated,
    read_attributes,
    set_attributes,
)
from daskome.stores.journal import Journal
from daskome.stores.remembered import for_each


def array_documents(plan: Plan) -> dict[str, Documents]:
    """Return, by the paths of a plan's groups, the documents of their arrays, made in memory: zarr refuses here.

    Raises
    ------
    ValueError
        That names the level.
    """
    images = [*plan.images, *plan.temporary]
    alike = {(id(pyramid), group.kept): (pyramid, group.kept) for group, pyramid in images}
    documents = {key: _rehearsed(*value) for key, value in alike.items()}
    return {group.path: documents[id(pyramid), group.kept] for group, pyramid in images}


def _rehearsed(pyramid: Pyramid, kept: int) -> Documents:
    store = MemoryStore()
    for level in pyramid.levels[kept:]:
        try:
            create_array(store, level.path, pyramid, level)
            _try_codecs(pyramid, level)
        except Exception as error:  # Codecs raise what they like: RuntimeError, zlib.error, …
            raise ValueError(f"zarr cannot store level {level.path} with these options: {error}") from error
    of_groups = {"zarr.json", *V2_DOCUMENTS}
    return {key: document for key, document in store._store_dict.items() if key not in of_groups}


def _try_codecs(pyramid: Pyramid, level: Level) -> None:
    """Store one voxel in memory: only then do codecs check their options."""
    voxel = (1,) * len(level.shape)
    one = replace(level, shape=voxel, layout=replace(level.layout, chunks=voxel, shards=level.layout.shards and voxel))
    store = MemoryStore()
    create_array(store, "voxel", pyramid, one)
    array = zarr.open_array(store, path="voxel", mode="r+")
    array[...] = 0 if array.fill_value else 1


def create_arrays(
    target: StorePath,
    plan: Plan,
    documents: Mapping[str, Documents],
    old: Sequence[str],
    journal: Journal,
    origins: Sequence[Origin] = (),
) -> None:
    """Create the groups and arrays of a plan, empty; groups of images are marked as unfinished.

    Parameters
    ----------
    target : StorePath
    plan : Plan
    documents : mapping of str to dict
        Those of its arrays, by the paths of groups (`array_documents`).
    old : sequence of str
        Levels of the images that are there, which go (`daskome.stores.conflicts.arrays_to_replace`). What made them
        images goes before them, so no reader takes a mixture for whole. Nothing else is touched.
    journal : Journal
        Begins last: a plan that is in a journal has all its arrays.
    origins : sequence of Origin
        Where the images of the plan come from, for the journal.
    """
    lasting, fingerprint = [group for group in plan.groups if not group.temporary], plan.fingerprint
    replaced = _by_group(old, {group.path for group in lasting})
    marks = {group.path: _mark(group, replaced.get(group.path, ()), fingerprint) for group in lasting}
    by_depth = groupby(sorted(lasting, key=attrgetter("depth")), key=attrgetter("depth"))
    for _, groups in by_depth:  # A folder is never without its group.
        for_each(target, lambda group: _begin(target / group.path, plan, group, marks[group.path]), groups)
    if target.store.supports_deletes:
        journals.delete_journal(target / plan.home)
        for_each(target, lambda path: sync((target / path).delete_dir()), old)
    for_each(target, lambda group: _clear(target / group.path, plan, group), reversed(plan.groups))
    held = [group for group in reversed(plan.groups) if group.pyramid is not None]
    made = [(group, one) for group in held for one in documents[group.path].items()]
    steps = [partial(_put, target / group.path / key, document) for group, (key, document) in made]
    for_each(target, partial.__call__, [*steps, partial(journals.save_plan, journal, plan, origins)])
    journals.begin(journal)


def _by_group(paths: Iterable[str], groups: Container[str]) -> dict[str, list[str]]:
    """Return paths by the deepest of some groups that each lies in, relative to that group.

    >>> _by_group(["s0", "labels/c/s0", "labels/cc/s0"], {"", "labels", "labels/c"})
    {'': ['s0'], 'labels/c': ['s0'], 'labels': ['cc/s0']}
    """
    by_group: dict[str, list[str]] = {}
    for path in paths:
        names = path.split("/")
        depth = next(n for n in range(len(names) - 1, -1, -1) if n == 0 or "/".join(names[:n]) in groups)
        by_group.setdefault("/".join(names[:depth]), []).append("/".join(names[depth:]))
    return by_group


def _begin(target: StorePath, plan: Plan, group: Group, mark: JSON) -> None:
    """Take from a group what makes it an image, if it is to hold another."""
    attributes, arrays = read_attributes(target), find_version(plan.version).arrays
    if attributes is not None and group.pyramid is not None and not group.kept:
        if _had_copies(target, attributes):
            mark = {**mark, CONSOLIDATED: True}
        set_attributes(target, arrays, {**attributes_of_others(attributes), UNFINISHED_KEY: mark})
    elif attributes is None and group.pyramid is None and group.path != plan.keeper:
        _make_group(target, plan, group, {} if group.metadata.plate is None else {UNFINISHED_KEY: mark})
    elif attributes is None:
        with suppress(zarr.errors.ContainsGroupError):  # Another process has just made it, for a part of its own.
            set_attributes(target, arrays, {UNFINISHED_KEY: mark})


def _make_group(target: StorePath, plan: Plan, group: Group, attributes: JSON) -> None:
    """Create a group. Another process may have created it since we looked, and its attributes.

    A list of labels is empty until one of them is finished: validators refuse a group ``labels`` without a list.
    """
    if target.store.supports_deletes:
        version = find_version(plan.version)
        empty = {} if group.metadata.labels is None else ome_attributes(version, Metadata(labels=()))
        create_unless_there(target, version.arrays, {**attributes, **empty})


def _had_copies(target: StorePath, attributes: JSON) -> bool:
    """Whether an image that is replaced holds consolidated metadata, or did when it was begun to be replaced."""
    mark = attributes.get(UNFINISHED_KEY)
    return is_consolidated(target) or (isinstance(mark, dict) and bool(mark.get(CONSOLIDATED)))


def _mark(group: Group, replaced: Iterable[str], fingerprint: str) -> JSON:
    """Return the attribute that marks a group as unfinished, and lists its arrays: the plan's and those that go."""
    levels = [] if group.pyramid is None else [level.path for level in group.pyramid.levels]
    return {"unfinished": True, "fingerprint": fingerprint, "levels": sorted({*levels, *replaced})}


def _clear(target: StorePath, plan: Plan, group: Group) -> None:
    """Delete documents of a group that would contradict it."""
    stale = [] if group.pyramid is None or group.kept else _stale_documents(target, plan)
    unfinished = read_attributes(target) if stale else None
    for name in stale:
        sync((target / name).delete())
    if unfinished is not None:
        set_attributes(target, find_version(plan.version).arrays, unfinished)


def _put(path: StorePath, document: Buffer) -> None:
    sync(path.set(document))


def _stale_documents(target: StorePath, plan: Plan) -> list[str]:
    """Return those documents of a group that would contradict new ones: of another zarr format, or consolidated."""
    group = find_group(target)
    if group is None or not target.store.supports_deletes:
        return []
    stale = [".zmetadata"] if group.metadata.zarr_format == 2 else []
    if group.metadata.zarr_format != find_version(plan.version).arrays.zarr_format:
        stale += V2_DOCUMENTS if group.metadata.zarr_format == 2 else ["zarr.json"]
    return stale
