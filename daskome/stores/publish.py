"""Publish a group: its attributes in one write, lists that grow merged with what others wrote meanwhile."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from zarr.storage import StorePath

from daskome._caller import warn
from daskome.ome.detect import as_of_all, ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.versions import Version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.documents import read_text, write_text
from daskome.stores.groups import (
    CONSOLIDATED,
    JSON,
    UNFINISHED_KEY,
    check_ome,
    find_group,
    read_attributes,
    reconsolidate,
    set_attributes,
    split_others,
)
from daskome.stores.kinds import LAG, kind_of
from daskome.stores.location import folder_of, is_local_to_process
from daskome.stores.ownership.locking import HERE, held
from daskome.stores.ownership.owned_store import delete_partial_documents
from daskome.stores.remembered import forget, forgotten

NO_ATTRIBUTES: Mapping[str, Any] = {}
PARTIAL = ".partial"
"""The suffix of files until zarr has written them and gives them their names; killed processes leave such files."""


def publish_group(
    target: StorePath,
    version: Version,
    metadata: Metadata,
    attributes: Mapping[str, Any] = NO_ATTRIBUTES,
) -> bool:
    """Turn what is finished into an image, a plate, …: the attributes of its group, in one write.

    Return whether the group held consolidated metadata before an image in it was replaced.

    Lists of labels and of wells grow, and several processes may add to one (`daskome.stores.lists`). In a folder, and
    in what no other process can reach, one after the other does. Elsewhere, as on S3, we look again once others see
    what we wrote, until nothing is missing.

    `attributes` are those of other programs, which go with it.
    """
    if metadata.labels is None and metadata.plate is None:
        return _publish(target, version, metadata, attributes)
    place = forgotten(target)
    with _alone(target) as alone:
        _extend(place, version, metadata, attributes)
    if not alone:
        _look_again(place, version, metadata, attributes)
    forget(target)
    return False


def publish_at_once(target: StorePath, version: Version, metadata: Metadata) -> None:
    """Publish a group alone, and bring copies in consolidated metadata up to date."""
    publish_group(target, version, metadata)
    reconsolidate(target)


def unlist(target: StorePath, without: Callable[[JSON], JSON]) -> None:
    """Take something from the lists of a group, which others may be extending; what goes must be marked before."""
    with _alone(target) as alone:
        _shorten(target, without)
    for _ in range(0 if alone else MOST_LOOKS):
        time.sleep(_lag(target))
        with HERE:
            if not _shorten(target, without):
                return


def rewrite(document: StorePath, changed: Callable[[str], str]) -> None:
    """Change a document of text, which others may be changing too, until it says what it should; none is made."""
    file = folder_of(document)
    if file is not None and not file.exists():
        return
    folder = StorePath(document.store, document.path.rpartition("/")[0])
    with _alone(folder) as alone:
        is_changed = _change(document, changed)
    for _ in range(MOST_LOOKS if is_changed and not alone else 0):
        time.sleep(_lag(folder))
        with HERE:
            if not _change(document, changed):
                return


def _change(document: StorePath, changed: Callable[[str], str]) -> bool:
    """Write a document as it is to be; return whether it was another. One that is not there is not made."""
    found = read_text(document)
    new = found if found is None else changed(found)
    if new is not None and new != found:
        write_text(document, new)
    return new != found


def _shorten(target: StorePath, without: Callable[[JSON], JSON]) -> bool:
    """Write the attributes of a group without something; return whether they had it."""
    group = find_group(target, writable=True)
    found = {} if group is None else group.attrs.asdict()
    shorter = without(found)
    if group is not None and shorter != found:
        group.attrs.put(shorter)
    return shorter != found


MOST_LOOKS = 50
"""How many times a list that others extend is looked at again, at most."""


def _look_again(target: StorePath, version: Version, metadata: Metadata, attributes: Mapping[str, Any]) -> None:
    """Extend lists until nothing is missing, once others see what was written, and we see what they have written."""
    for _ in range(MOST_LOOKS):
        time.sleep(_lag(target))
        with HERE:
            if not _extend(target, version, metadata, attributes):
                return
    warn(f"the list at {target} may lack what others were adding still; the next write there, or resume, adds it")


def _lag(target: StorePath) -> float:
    """Return after how many seconds others see what was written; a folder that cannot be locked is on a network."""
    return LAG if folder_of(target) is not None and os.name == "posix" else kind_of(target)[0].lag


def _publish(target: StorePath, version: Version, metadata: Metadata, attributes: Mapping[str, Any]) -> bool:
    found = read_attributes(target) or {}
    check_ome(target, found)
    _write(target, version, found, _published(found, version, metadata, attributes))
    mark = found.get(UNFINISHED_KEY)
    return isinstance(mark, dict) and bool(mark.get(CONSOLIDATED))


def _extend(target: StorePath, version: Version, metadata: Metadata, attributes: Mapping[str, Any]) -> bool:
    """Write a list with what is added, and what others have finished; return whether anything was missing."""
    from daskome.stores.lists import grown

    found = read_attributes(target) or {}
    check_ome(target, found)
    return _write(target, version, found, _published(found, version, grown(target, found, metadata), attributes))


def _write(target: StorePath, version: Version, found: JSON, whole: JSON) -> bool:
    """Write the attributes of a group, if they are not those that it has; return whether they were."""
    if whole != found:
        set_attributes(target, version.arrays, whole, last=True)
    return whole != found


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
    kinds = ome_attributes(version, metadata)
    beside, under = split_others(attributes)
    kept = {**beside, **{key: value for key, value in found.items() if key != UNFINISHED_KEY}}
    if not ome_keys(kinds):
        return {**under, **kept}
    if version.root is None:
        return {**under, **kept, **kinds}
    usual = {**under, **as_of_all(kept.get(version.root, {})), **as_of_all(kinds[version.root])}
    return {**kept, **kinds, version.root: version.document.write(usual)}


def delete_partial_files(target: StorePath, plan: Plan) -> None:
    """Delete unfinished files that killed processes left in images. Stores other than folders write whole objects.

    In other groups, such as a plate, others that are alive may be writing theirs.
    """
    ours = [group.path for group, _ in plan.images if not group.kept]
    delete_partial_documents(target, ours)
    delete_partial_documents(target, {group.path for group in plan.groups}.difference(ours), of_the_dead=True)
    for group, _ in plan.images:
        for level in group.touched:
            folder = folder_of(target / group.path / level.path)
            for path in folder.rglob(f"*{PARTIAL}") if folder else ():
                path.unlink(missing_ok=True)
