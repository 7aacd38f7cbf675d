"""How a group goes: its mark first, then its entry in a list, then all in it, and last its own documents."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.paths import depth_of, join_paths, paths_inside
from daskome.model.problem import WriteError
from daskome.ome.detect import without_entries
from daskome.ome.xml.collection_xml import xml_without_images
from daskome.stores import journal as journals
from daskome.stores.documents import list_names
from daskome.stores.groups import (
    DESCRIBED,
    JSON,
    REMOVING_KEY,
    UNFINISHED_KEY,
    V2_DOCUMENTS,
    find_group,
    others_of,
    read_attributes,
    reconsolidate,
)
from daskome.stores.journal import JOURNAL
from daskome.stores.location import folder_of
from daskome.stores.objects.checksums import stored_sizes
from daskome.stores.opened.pages import delete_keys
from daskome.stores.ownership.claims import CLAIMS, Claim, is_claim
from daskome.stores.ownership.owned_store import owned
from daskome.stores.publish import rewrite, unlist
from daskome.stores.remembered import for_each, forgotten
from daskome.stores.targets.conflicts import levels_there

LAST_DOCUMENTS = (".zmetadata", "zarr.json", ".zgroup", ".zattrs")
"""The documents of a group in the order in which they go: in zarr v2, the mark stands in the last one."""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """What a group lists: its path and kind (`daskome.ome.detect.ENTRY_LISTS`), and the paths that are listed."""

    group: str
    kind: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DescribedImages:
    """Images in the OME-XML of a collection: the path of the document, and their IDs."""

    document: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Doomed:
    """What goes.

    Attributes
    ----------
    root : StorePath
        Around it, and around what lists it.
    path : str
        Its path there.
    names : tuple of str
        Of the folders in it.
    files : tuple of str
        Of the objects directly in it.
    documents : tuple of str
        Paths in it of the documents of groups and arrays.
    levels : tuple of str
        The arrays of the image.
    entries : tuple of ListEntry
        Where it, and what is in it, is listed.
    described : DescribedImages, optional
        What OME-XML says of it, and of what is in it.
    attributes : dict, optional
        Those of the group when this was planned; None if it has no documents of its own.
    """

    root: StorePath
    path: str
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    entries: tuple[ListEntry, ...] = ()
    described: DescribedImages | None = None
    attributes: Mapping[str, Any] | None = None

    @property
    def is_group(self) -> bool:
        """Whether it has documents of its own."""
        return self.attributes is not None

    @property
    def place(self) -> StorePath:
        """Where it lies."""
        return self.root / self.path


def delete_all_but_claims(doomed: Doomed, claim: Claim) -> None:
    """Delete what goes, as the owner of a claim; the claim stays. After a kill anywhere, do the same again.

    Raises
    ------
    WriteError
        If it is another image by now: a process that is stopped before it owns anything may wake after a new one is
        there.
    """
    if read_attributes(forgotten(doomed.place)) != doomed.attributes:
        raise WriteError(f"{doomed.place} was written by another process meanwhile; nothing was removed")
    place, root = owned(doomed.place, claim), owned(doomed.root, claim)
    ids = doomed.described.ids if doomed.described else ()
    if doomed.is_group:
        _mark_for_removal(place, doomed.levels, ids)
    if doomed.described and ids:
        rewrite(root / doomed.described.document, lambda xml: xml_without_images(xml, ids))
    for entry in doomed.entries:
        unlist(root / entry.group, partial(without_entries, kind=entry.kind, paths=entry.paths))
    _reconsolidate_above(root, doomed.path)
    journals.delete_journal(place)
    for documents in _by_depth(doomed.documents):
        sync(delete_keys(place.store, [join_paths(place.path, key) for key in documents]))
    for_each(place, lambda name: sync((place / name).delete_dir()), [n for n in doomed.names if n != JOURNAL])
    sync(delete_keys(place.store, [join_paths(place.path, n) for n in doomed.files if n not in LAST_DOCUMENTS]))
    _delete_rest_of_journal(place)
    for name in LAST_DOCUMENTS if doomed.is_group or doomed.files else ():
        if sync((place / name).exists()):
            sync((place / name).delete())
    _reconsolidate_above(root, doomed.path)


def delete_journal_alone(claim: Claim) -> None:
    """Delete the journal of a group but for claims, and levels that were being added to an image, which stays one."""
    home = owned(claim.home, claim)
    arrays = list(_announced_arrays(claim.home))
    journals.delete_journal(home, but_announced=True)
    for_each(home, lambda path: sync((home / path).delete_dir()), arrays)
    _delete_rest_of_journal(home)


def _announced_arrays(home: StorePath) -> Iterator[str]:
    """Yield the arrays that a run was making in groups that stay what they are; never those that these list."""
    for path, mark in journals.announced(home).items():
        attributes = read_attributes(home / path) or {}
        kept = levels_there(home / path, {key: value for key, value in attributes.items() if key != UNFINISHED_KEY})
        begun = paths_inside(mark["levels"]) if isinstance(mark.get("levels"), list) else []
        yield from (join_paths(path, level) for level in begun if level not in kept)


def delete_empty_folders(place: StorePath) -> None:
    """Delete folders that hold nothing any more."""
    folder = folder_of(place)
    for parent, _, _ in os.walk(folder, topdown=False) if folder is not None else ():
        with suppress(OSError):
            Path(parent).rmdir()


def _delete_rest_of_journal(home: StorePath) -> None:
    """Delete what lies in a journal, but for claims, with which their owners end themselves."""
    keys = [key for key, _ in stored_sizes(home / JOURNAL)]
    claims, here = f"{CLAIMS.rpartition('/')[2]}/", join_paths(home.path, JOURNAL)
    gone = [key for key in keys if not (key.startswith(claims) and is_claim(key.removeprefix(claims)))]
    sync(delete_keys(home.store, [join_paths(here, key) for key in gone]))
    for name in (name for name in list_names(home / JOURNAL) if f"{name}/" != claims):
        sync((home / JOURNAL / name).delete_dir())


def _mark_for_removal(place: StorePath, levels: Iterable[str], described: Sequence[str]) -> None:
    """Take from a group what makes it anything, in one write; then what another reader could still take it for."""
    group = find_group(place, writable=True)
    if group is None:
        return
    mark: JSON = {"unfinished": True, REMOVING_KEY: True, "levels": list(levels)}
    mark |= {DESCRIBED: list(described)} if described else {}
    group.attrs.put({**_kept(group.attrs.asdict()), UNFINISHED_KEY: mark})
    others = V2_DOCUMENTS if group.metadata.zarr_format == 3 else ("zarr.json", ".zmetadata")
    for name in others:
        if sync((place / name).exists()):
            sync((place / name).delete())


def _kept(attributes: JSON) -> JSON:
    return {key: value for key, value in others_of(attributes).items() if key != UNFINISHED_KEY}


def _reconsolidate_above(root: StorePath, path: str) -> None:
    if path:
        reconsolidate(root / path.rpartition("/")[0])


def _by_depth(documents: Iterable[str]) -> Iterator[list[str]]:
    """Yield the documents below a group, those of outer groups first: an image is none before an array of it goes."""
    below = sorted((key for key in documents if "/" in key), key=depth_of)
    yield from (list(some) for _, some in groupby(below, depth_of))
