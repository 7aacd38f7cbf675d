"""The last step of a write: measure display windows, then write the attributes of each group, in one write.

That write is the commit: only then do readers take the group for an image.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from zarr.storage import StorePath

from daskome.execution.finished.display_windows import with_windows
from daskome.execution.finished.fingerprints import recorded_fingerprints, with_checksums
from daskome.execution.runner import Run
from daskome.model.axes import channel_axis
from daskome.ome.fingerprint import Fingerprint
from daskome.ome.metadata import with_fingerprint
from daskome.ome.omero import with_more_channels
from daskome.ome.read import with_levels
from daskome.ome.versions import find_version
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.stores import journal as journals, publish
from daskome.stores.arrays import find_shape, set_shape
from daskome.stores.documents import write_text
from daskome.stores.groups import (
    CONSOLIDATED,
    UNFINISHED_KEY,
    as_image,
    change_in,
    read_attributes,
    reconsolidate,
    set_attributes,
)
from daskome.stores.location import single_file_of
from daskome.stores.ownership.owned_store import owned
from daskome.stores.remembered import for_each, forgotten, remembered
from daskome.stores.targets.collection import Collection, collection_of, redescribe
from daskome.stores.targets.create import mark_as_changing


def publish_plan(run: Run, check: Callable[[], None] = lambda: None) -> None:
    """Publish a plan whose units are all written: each group in one write, the deepest first, the target last.

    In a store that cannot rewrite, such as a zip file, the target comes first: zarr creates a group with its parents.
    If `check` raises, nothing is published; meanwhile a far store is asked for what is needed then. What others may
    write is read when it is changed.
    """
    plan, target = run.plan, remembered(owned(run.target, run.journal.claim))
    run.journal.renew()
    publish.delete_partial_files(target, plan)
    lasting, consolidated = [group for group in plan.groups if not group.temporary], set[str]()
    by_depth = sorted(lasting, key=attrgetter("depth"), reverse=target.store.supports_deletes)
    is_asked = not run.is_new or any(group.kept for group in lasting)
    asked = partial(journals.consolidated_groups, run.journal) if is_asked else list[str]
    around = partial(collection_of, run.target, plan, run.journal.claim)
    steps: list[Callable[[], Any]] = [check, partial(recorded_fingerprints, run), asked, around]
    _, fingerprints, held_before, collection = for_each(target, lambda step: step(), steps)
    consolidated.update(held_before)
    redescribe(collection, [group for group in lasting if group.change is None])
    for _, groups in groupby(by_depth, key=attrgetter("depth")):
        held = for_each(
            target, lambda group: _publish(run, target, collection, group, fingerprints.get(group.path)), groups
        )
        consolidated.update(path for path in held if path is not None)
    reconsolidate(target, consolidated)
    if (file := single_file_of(run.target)) is not None:
        from daskome.execution.finished.packed import pack_published

        pack_published(run, file)
    journals.end_journal(target / plan.home, run.journal.claim)


def publish_lists(plan: Plan, target: StorePath) -> None:
    """Publish again the lists of a plan that was finished before: others may have overwritten them since."""
    for group in plan.groups:
        if group.metadata.labels is not None or group.metadata.plate is not None:
            place = forgotten(target / group.path)
            before = read_attributes(place)
            publish.publish_group(place, find_version(plan.version), group.metadata)
            if read_attributes(place) != before:
                reconsolidate(place)


def _publish(
    run: Run, target: StorePath, collection: Collection | None, group: Group, fingerprint: Fingerprint | None
) -> str | None:
    """Publish a group; return its path if it held consolidated metadata before its image was replaced."""
    if group.change is not None:
        return _publish_change(run.plan, target, collection, group)
    place, metadata = target / group.path, with_fingerprint(group.metadata, fingerprint)
    if group.pyramid is not None and not group.kept and metadata.omero:
        metadata = replace(metadata, omero=with_windows(place, metadata.omero, group.pyramid))
    if group.kept:
        metadata = with_levels(read_attributes(place) or {}, metadata)
    for path, text in group.documents.items():
        write_text(place / path, text)
    version = find_version(run.plan.version)
    held = publish.publish_group(place, version, metadata, group.attributes)
    return group.path if held else None


def _publish_change(plan: Plan, target: StorePath, collection: Collection | None, group: Group) -> str | None:
    """Publish an image that has changed in place: it has its new shape, and is an image again, in one write."""
    place, pyramid, version = target / group.path, group.pyramid, find_version(plan.version)
    if group.change is None or pyramid is None:
        return None
    shapes = for_each(place, lambda level: find_shape(place / level.path), pyramid.levels)
    longer = [level for level, shape in zip(pyramid.levels, shapes, strict=True) if shape != level.shape]
    if longer and change_in(read_attributes(place) or {}) is None:
        mark_as_changing(target, plan, group)
    for_each(place, lambda level: set_shape(place / level.path, level.shape), longer)
    found = read_attributes(place) or {}
    is_published = change_in(found) is None and group.change.shapes != tuple(level.shape for level in pyramid.levels)
    if is_published:  # A kill came before the journal went.
        return None
    redescribe(collection, [group])
    image = with_checksums(as_image(found), place, pyramid, group.change)
    axis = channel_axis(pyramid.axes)
    if group.metadata.omero is not None and group.change.given is not None and axis is not None:
        first, _ = group.change.given[axis]
        image = with_more_channels(image, with_windows(place, group.metadata.omero, pyramid, first), first)
    if image != found:
        set_attributes(place, version.arrays, image, last=True)
    mark = found.get(UNFINISHED_KEY)
    return group.path if isinstance(mark, dict) and mark.get(CONSOLIDATED) else None
