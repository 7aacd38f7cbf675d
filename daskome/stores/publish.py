"""Publish a group: its attributes in one write, lists that grow merged with what others wrote meanwhile."""

import time

from zarr.storage import LocalStore, StorePath

from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.read import merged
from daskome.ome.versions import Version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.groups import JSON, UNFINISHED_KEY, read_attributes, set_attributes
from daskome.stores.location import unwrap_store

PARTIAL = ".partial"
"""How the files end that zarr writes before it gives them their names; a process that is killed leaves them."""


def publish_group(place: StorePath, version: Version, metadata: Metadata) -> None:
    """Turn what is finished into an image, a plate, …: the attributes of its group, in one write.

    Lists of labels and of wells grow. Another process may have read such a list before we wrote ours, and write it
    without what we added; so we look again, and add it again.
    """
    for wait in WAITS:
        found = read_attributes(place)
        whole = _published(found or {}, version, metadata)
        if whole != found:
            set_attributes(place, version.arrays, whole, last=True)
        if metadata.labels is None and metadata.plate is None:
            return
        time.sleep(wait)


WAITS = (0.05, 0.1, 0)
"""Seconds after writing a list that grows until it is looked at again."""


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
    store = unwrap_store(place.store)
    if isinstance(store, LocalStore):
        for group, pyramid in plan.images:
            for level in pyramid.levels[group.kept :]:
                folder = store.root / place.path / group.path / level.path
                for path in folder.rglob(f"*{PARTIAL}"):
                    path.unlink(missing_ok=True)
