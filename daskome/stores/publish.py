"""Publish a group: its attributes in one write, lists that grow merged with what others wrote meanwhile."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zarr.storage import StorePath

from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.read import merged
from daskome.ome.versions import Version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.groups import (
    CONSOLIDATED,
    JSON,
    UNFINISHED_KEY,
    check_ome,
    read_attributes,
    set_attributes,
    split_others,
)
from daskome.stores.location import folder_of, is_local_to_process
from daskome.stores.locking import HERE, held
from daskome.stores.remembered import forget, forgotten

NO_ATTRIBUTES: Mapping[str, Any] = {}
PARTIAL = ".partial"
"""The suffix of files until zarr has written them and gives them their names; killed processes leave such files."""


def publish_group(
    target: StorePath, version: Version, metadata: Metadata, attributes: Mapping[str, Any] = NO_ATTRIBUTES
) -> bool:
    """Turn what is finished into an image, a plate, …: the attributes of its group, in one write.

    Return whether the group held consolidated metadata before an image in it was replaced.

    Lists of labels and of wells grow, and several processes may add to one. In a folder, and in what no other process
    can reach, one after the other does. Elsewhere, as on S3 and NFS, another process may have read the list before
    we wrote ours, and write it without what we added; so we look again twice, and add it again. What is left: it is
    lost if another takes longer than `WAITS` from reading the list to writing it, and began before we wrote.

    `attributes` are those of other programs, which go with it.
    """
    if metadata.labels is None and metadata.plate is None:
        return _publish(target, version, metadata, attributes)
    for wait in WAITS:
        with _alone(target) as alone:
            _publish(forgotten(target), version, metadata, attributes)
        if alone:
            break
        time.sleep(wait)
    forget(target)
    return False


WAITS = (0.05, 0.1, 0)
"""Seconds after writing a list that grows until it is looked at again, where processes cannot take turns."""


def _publish(target: StorePath, version: Version, metadata: Metadata, attributes: Mapping[str, Any]) -> bool:
    found = read_attributes(target)
    check_ome(target, found or {})
    whole = _published(found or {}, version, metadata, attributes)
    if whole != found:
        set_attributes(target, version.arrays, whole, last=True)
    mark = (found or {}).get(UNFINISHED_KEY)
    return isinstance(mark, dict) and bool(mark.get(CONSOLIDATED))


@contextmanager
def _alone(target: StorePath) -> Iterator[bool]:
    """Keep other processes from adding to the lists at a target meanwhile, if possible; yield whether it is."""
    folder = folder_of(target)
    with HERE:
        if folder is None:
            yield is_local_to_process(target)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            with held(folder) as alone:
                yield alone


def _published(found: JSON, version: Version, metadata: Metadata, attributes: Mapping[str, Any]) -> JSON:
    """Return the attributes of a group that says this, others' kept; those under ``ome`` stay there if it has that."""
    kinds = ome_attributes(version, merged(found, metadata))
    beside, under = split_others(attributes)
    kept = {**beside, **{key: value for key, value in found.items() if key != UNFINISHED_KEY}}
    if not ome_keys(kinds):
        return {**under, **kept}
    if version.root is None:
        return {**under, **kept, **kinds}
    return {**kept, **kinds, version.root: {**under, **kept.get(version.root, {}), **kinds[version.root]}}


def delete_partial_files(target: StorePath, plan: Plan) -> None:
    """Delete unfinished files that killed processes left. Stores other than folders write whole objects."""
    for group, pyramid in plan.images:
        for level in pyramid.levels[group.kept :]:
            folder = folder_of(target / group.path / level.path)
            for path in folder.rglob(f"*{PARTIAL}") if folder else ():
                path.unlink(missing_ok=True)
