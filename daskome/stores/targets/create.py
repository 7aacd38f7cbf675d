"""Create the groups and arrays of a plan: arrays empty, groups marked as unfinished."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import zarr
from zarr.core.buffer import Buffer
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from daskome.model.problem import REFUSALS, or_unfinished
from daskome.model.pyramid import Level, Pyramid
from daskome.model.source import Origin
from daskome.ome.metadata import Metadata
from daskome.ome.versions import find_version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.arrays import Documents, create_array
from daskome.stores.documents import write_text
from daskome.stores.groups import (
    BOTH_FORMATS,
    CHANGE,
    CONSOLIDATED,
    JSON,
    UNFINISHED_KEY,
    V2_DOCUMENTS,
    attributes_of_others,
    create_unless_there,
    find_group,
    is_consolidated,
    make_group,
    noted_change,
    read_attributes,
    reconsolidate,
    set_attributes,
)
from daskome.stores.journal import Journal
from daskome.stores.location import folder_of
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

    What can be refused comes first, what is lost by it last: an unfinished run that was here ends, groups are marked,
    what could be taken for the old image goes, then its arrays.

    Parameters
    ----------
    target : StorePath
    plan : Plan
    documents : mapping of str to dict
        Those of its arrays, by the paths of groups (`array_documents`).
    old : sequence of str
        Levels of the images that are there, which go (`daskome.stores.targets.conflicts.arrays_to_replace`). What made
        them images goes before them, so no reader takes a mixture for whole. Nothing else is touched.
    journal : Journal
        Begins last: a plan that is in a journal has all its arrays.
    origins : sequence of Origin
        Where the images of the plan come from, for the journal.

    Raises
    ------
    OSError
        If the store refuses the first change: nothing is written.
    WriteError
        If it refuses a later one: what is there says that it is unfinished.
    """
    lasting, fingerprint = [group for group in plan.groups if not group.temporary], plan.fingerprint
    replaced = _by_group(old, {group.path for group in lasting})
    marks = {group.path: _mark(group, replaced.get(group.path, ()), fingerprint) for group in lasting}
    again = old or any(group.kept or group.change for group in lasting)
    taken = journals.copies_taken(target / plan.home) if again else ()  # By a run that was killed as it ended.
    for path in taken:
        marks.get(path, {})[CONSOLIDATED] = True
    made = for_each(target, lambda group: _beginning(target, plan, group, marks[group.path]), lasting)
    if old:
        _try_to_delete(target / old[0])
    kept = {begun.group.path: begun.mark for begun in made if begun.group.kept and begun.group.change is None}
    if kept:
        journals.announce(target / plan.home, kept)
    _give_copies_back(target, [begun for begun in made if begun.group.path in taken])
    journals.delete_journal(target / plan.home, but_announced=bool(kept))
    by_depth = [list(level) for _, level in groupby(sorted(made, key=_depth), key=_depth)]
    with _or_refused(target, by_depth[0]):
        for_each(target, partial(_begin, target, plan), by_depth[0])
    with or_unfinished(target, "could not be begun"):
        for level in by_depth[1:]:  # A folder is never without its group.
            for_each(target, partial(_begin, target, plan), level)
        _replace_with_empty(target, plan, made, old)
        consolidated = [begun.group.path for begun in made if begun.mark.get(CONSOLIDATED)]
        save = partial(journals.save_plan, journal, plan, origins, consolidated)
        steps: list[Callable[[], None]] = [*_array_steps(target, plan, documents), save]
        for_each(target, lambda step: step(), steps)
        journals.begin(journal)


def _array_steps(target: StorePath, plan: Plan, documents: Mapping[str, Documents]) -> Iterator[Callable[[], None]]:
    """Yield what puts each document of the arrays of a plan."""
    for group in reversed(plan.groups):
        for key, document in documents[group.path].items() if group.pyramid is not None else ():
            yield partial(_put, target / group.path / key, document)


def _try_to_delete(array: StorePath) -> None:
    """Write and delete an object in an array that goes: a store that refuses this does so while the array is whole.

    A folder has been asked already (`daskome.stores.targets.conflicts`).
    """
    if folder_of(array) is None:
        write_text(array / TRIAL, "")
        sync((array / TRIAL).delete())


TRIAL = ".daskome-trial"


@dataclass(frozen=True, slots=True)
class _Beginning:
    """A group as it is before anything changes, and the attribute that will mark it as unfinished."""

    group: Group
    attributes: JSON | None
    mark: JSON


def _depth(begun: _Beginning) -> int:
    return begun.group.depth


def _beginning(target: StorePath, plan: Plan, group: Group, mark: JSON) -> _Beginning:
    """Look at a group. What a mark says of what was there outlives any number of starts."""
    there = find_group(target / group.path)
    if there is None:
        return _Beginning(group, None, mark)
    attributes = there.attrs.asdict()
    old = attributes.get(UNFINISHED_KEY)
    if group.pyramid is not None:
        before = old if isinstance(old, dict) else {}
        is_other = there.metadata.zarr_format != find_version(plan.version).arrays.zarr_format
        said = {CONSOLIDATED: is_consolidated(target / group.path), BOTH_FORMATS: is_other}
        mark = {**mark, **{key: True for key, value in said.items() if value or before.get(key)}}
        if group.change is not None:
            mark = {**mark, CHANGE: noted_change(group.change.region, group.change.shapes, attributes)}
    return _Beginning(group, attributes, mark)


@contextmanager
def _or_refused(target: StorePath, first: Sequence[_Beginning]) -> Iterator[None]:
    """Let an error be a refusal while the first groups are as they were; else it is a `WriteError`."""
    try:
        yield
    except REFUSALS:
        if all(_is_as_before(target, begun) for begun in first):
            raise
        with or_unfinished(target, "could not be begun"):
            raise


def _is_as_before(target: StorePath, begun: _Beginning) -> bool:
    """Whether nothing of a group has changed; where another run had begun, that has ended."""
    path = target / begun.group.path
    if begun.attributes is None:
        return not any(sync((path / name).exists()) for name in ("zarr.json", *V2_DOCUMENTS))
    return UNFINISHED_KEY not in begun.attributes and read_attributes(path) == begun.attributes


def _replace_with_empty(target: StorePath, plan: Plan, made: Sequence[_Beginning], old: Sequence[str]) -> None:
    """Delete what is replaced, whose groups are marked: first what a reader could take for the image."""
    if not target.store.supports_deletes:
        return
    images = [begun for begun in made if begun.attributes is not None and begun.group.is_marked]
    for_each(target, partial(_take_copies, target), images)
    for_each(target, lambda path: sync((target / path).delete_dir()), old)
    for_each(target, partial(_change_format, target, plan), images)


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


def _begin(target: StorePath, plan: Plan, begun: _Beginning) -> None:
    """Take from a group what makes it an image, if it is to hold another."""
    group, arrays, path = begun.group, find_version(plan.version).arrays, target / begun.group.path
    if begun.attributes is not None:
        if group.is_marked:
            set_attributes(path, arrays, _marked(begun))
    elif group.pyramid is None and group.path != plan.keeper:
        _make_group(path, plan, group, {} if group.metadata.plate is None else {UNFINISHED_KEY: begun.mark})
    else:
        with suppress(zarr.errors.ContainsGroupError):  # Another process has just made it, for a part of its own.
            set_attributes(path, arrays, _marked(begun))


def _marked(begun: _Beginning) -> JSON:
    return {**attributes_of_others(begun.attributes), UNFINISHED_KEY: begun.mark}


def _make_group(target: StorePath, plan: Plan, group: Group, attributes: JSON) -> None:
    """Create a group. Another process may have created it since we looked, and its attributes.

    A list of labels is empty until one of them is finished: validators refuse a group ``labels`` without a list.
    """
    if target.store.supports_deletes:
        version = find_version(plan.version)
        empty = {} if group.metadata.labels is None else ome_attributes(version, Metadata(labels=()))
        create_unless_there(target, version.arrays, {**attributes, **empty})


def _mark(group: Group, replaced: Iterable[str], fingerprint: str) -> JSON:
    """Return the attribute that marks a group as unfinished, and lists its arrays: the plan's and those that go."""
    levels = [level.path for level in group.touched]
    return {"unfinished": True, "fingerprint": fingerprint, "levels": sorted({*levels, *replaced})}


def _take_copies(target: StorePath, begun: _Beginning) -> None:
    """Delete the copies of metadata that zarr v2 keeps in a document of their own, and that still show an image."""
    if begun.mark.get(CONSOLIDATED):
        sync((target / begun.group.path / ".zmetadata").delete())


def _give_copies_back(target: StorePath, begun: Iterable[_Beginning]) -> None:
    """Consolidate those groups again that are whole: when the journal that says so is gone, a mark may not be there."""
    whole = [each.group.path for each in begun if each.attributes and UNFINISHED_KEY not in each.attributes]
    lacking = [path for path in whole if not is_consolidated(target / path)]
    if lacking:
        reconsolidate(target, lacking)


def _change_format(target: StorePath, plan: Plan, begun: _Beginning) -> None:
    """Give a group a document of the format of the plan, if it has one of the other, and only then delete that."""
    if begun.mark.get(BOTH_FORMATS):
        path, arrays = target / begun.group.path, find_version(plan.version).arrays
        make_group(path, arrays, _marked(begun))
        for name in V2_DOCUMENTS if arrays.zarr_format == 3 else ("zarr.json",):
            sync((path / name).delete())


def mark_as_changing(target: StorePath, plan: Plan, group: Group) -> None:
    """Mark a group as unfinished that is an image until now, as its levels are about to get longer."""
    begun = _beginning(target, plan, group, _mark(group, (), plan.fingerprint))
    set_attributes(target / group.path, find_version(plan.version).arrays, _marked(begun))
    _take_copies(target, begun)


def _put(path: StorePath, document: Buffer) -> None:
    sync(path.set(document))
