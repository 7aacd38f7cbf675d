"""Publish a group: its attributes in one write, lists that grow merged with what others wrote meanwhile."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from zarr.storage import LocalStore, StorePath

from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.read import merged
from daskome.ome.versions import Version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.groups import JSON, UNFINISHED_KEY, read_attributes, set_attributes
from daskome.stores.location import is_local_to_process
from daskome.stores.locking import HERE, held
from daskome.stores.wrappers import unwrapped

PARTIAL = ".partial"
"""How the files end that zarr writes before it gives them their names; a process that is killed leaves them."""


def publish_group(place: StorePath, version: Version, metadata: Metadata) -> None:
    """Turn what is finished into an image, a plate, …: the attributes of its group, in one write.

    Lists of labels and of wells grow, and several processes may add to one. In a folder, and in what no other process
    can reach, one after the other does. Elsewhere, as on S3 and NFS, another process may have read the list before
    we wrote ours, and write it without what we added; so we look again twice, and add it again. What is left: it is
    lost if another takes longer than `WAITS` from reading the list to writing it, and began before we wrote.
    """
    if metadata.labels is None and metadata.plate is None:
        _publish(place, version, metadata)
        return
    with _alone(place) as alone:
        for wait in (0,) if alone else WAITS:
            _publish(place, version, metadata)
            time.sleep(wait)


WAITS = (0.05, 0.1, 0)
"""Seconds after writing a list that grows until it is looked at again, where processes can't take turns."""


def _publish(place: StorePath, version: Version, metadata: Metadata) -> None:
    found = read_attributes(place)
    whole = _published(found or {}, version, metadata)
    if whole != found:
        set_attributes(place, version.arrays, whole, last=True)


@contextmanager
def _alone(place: StorePath) -> Iterator[bool]:
    """Add to the lists at a place alone, if that can be. Yield whether it is so."""
    store = unwrapped(place.store)
    with HERE:
        if isinstance(store, LocalStore):
            (store.root / place.path).mkdir(parents=True, exist_ok=True)
            with held(store.root / place.path) as alone:
                yield alone
        else:
            yield is_local_to_process(place)


def _published(found: JSON, version: Version, metadata: Metadata) -> JSON:
    """Return the attributes of a group that says this, others' kept."""
    kinds = ome_attributes(version, merged(found, metadata))
    kept = {key: value for key, value in found.items() if key != UNFINISHED_KEY}
    if not ome_keys(kinds):
        return kept
    under = {key: {**kept[key], **value} for key, value in kinds.items() if key == "ome" and key in kept}
    return {**kept, **kinds, **under}


def delete_partial_files(place: StorePath, plan: Plan) -> None:
    """Delete what killed processes have left of files that were never finished. Other stores write whole objects."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        for group, pyramid in plan.images:
            for level in pyramid.levels[group.kept :]:
                folder = store.root / place.path / group.path / level.path
                for path in folder.rglob(f"*{PARTIAL}"):
                    path.unlink(missing_ok=True)
