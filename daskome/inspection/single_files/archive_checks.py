"""What is wrong with an archive itself: its members and their order, what RFC-9 demands of an ``.ozx``."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import inf
from typing import Any

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.paths import depth_of, parents_of
from daskome.model.problem import Problem
from daskome.model.text import pluralize
from daskome.ome.detect import version_in
from daskome.ome.single_file import (
    RFC9_SECTION,
    ROOT_DOCUMENT,
    is_described_by,
    is_ozx,
    is_single_file,
    read_file_comment,
)
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.archives.directory import Directory
from daskome.stores.archives.zip_records import DEFLATED, ENCRYPTED, STORED, ZIP64_VERSION
from daskome.stores.documents import fetch_json
from daskome.stores.groups import read_attributes
from daskome.stores.kinds import unwrap_store

ARCHIVE = "archive"
"""The address of an archive, before those of its members."""
_Found = Iterator[Problem]


def archive_problems(store_path: StorePath) -> list[Problem]:
    """Return what is wrong with the archive whose root a place is; nothing for other places.

    Its members are not read, but for documents.
    """
    store = unwrap_store(store_path.store)
    if not isinstance(store, ArchiveStore) or store_path.path:
        return []
    try:
        directory = store.directory
    except (ValueError, OSError) as error:
        return [Problem(ARCHIVE, str(error))]
    found = [*_members(directory), *_roots(directory)]
    return [*found, *_of_ozx(store, directory)] if is_ozx(str(store)) else found


def is_unreadable(problems: list[Problem]) -> bool:
    """Whether an archive has no directory that can be read, so that there is nothing else to look at."""
    return len(problems) == 1 and problems[0].where == ARCHIVE and not problems[0].section


def _problem(where: str, message: str, warning: bool = False) -> Problem:
    return Problem(f"{ARCHIVE} {where}".rstrip(), message, warning, RFC9_SECTION)


# ---- any archive


def _members(directory: Directory) -> _Found:
    for name in directory.outside:
        yield _problem(name, "leads out of the archive, or is no path; it is not read")
    for name in directory.twice:
        yield _problem(name, "is there several times; the last of them counts for some programs, the first for others")
    for key, member in directory.members.items():
        if member.flags & ENCRYPTED or member.method not in (STORED, DEFLATED):
            how = "is encrypted" if member.flags & ENCRYPTED else f"is compressed by method {member.method}"
            yield _problem(key, f"{how}, which zarr does not read; pack it anew")
    in_file = sorted(directory.members.items(), key=lambda item: item[1].offset)
    for (key, one), (other, following) in pairwise(in_file):
        if one.offset + one.stored > following.offset:
            yield _problem(key, f"overlaps {other!r} in the file; it is damaged, or made to harm")


def _roots(directory: Directory) -> _Found:
    """Yield what is no part of one hierarchy that begins at the root of the archive."""
    groups = {key.rpartition("/")[0] for key in directory.members if is_described_by(key)}
    tops = sorted(group for group in groups if not any(parent in groups for parent in parents_of(group)))
    if not tops:
        yield _problem("", "holds no zarr group")
    elif tops != [""]:
        if len(tops) == 1:
            yield _problem(ROOT_DOCUMENT, f"is missing; the hierarchy lies in {tops[0]!r} instead of at the root")
        else:
            some = f"such as {tops[0]!r} and {tops[1]!r}"
            yield _problem("", f"holds {len(tops)} hierarchies, {some}; it must be one, at the root")
    for group in sorted(groups - {""}):
        parent = group.rpartition("/")[0]
        if "" in groups and parent not in groups:
            yield _problem(group, f"is no part of the hierarchy, as {parent!r} is no group; it must be one hierarchy")


# ---- .ozx


def _of_ozx(store: ArchiveStore, directory: Directory) -> _Found:
    if ROOT_DOCUMENT not in directory.members and ".zgroup" in directory.members:
        yield _problem(
            ROOT_DOCUMENT, "is missing: this is zarr v2, but an .ozx holds zarr v3; call it .zip, or upgrade it"
        )
    for key in directory.keys:
        if is_single_file(key.rpartition("/")[2]):
            yield _problem(key, "is an archive inside of the archive, which must not be")
    deflated = [key for key, member in directory.members.items() if member.method != STORED]
    if deflated:
        count = pluralize(len(deflated), "member")
        yield _problem(deflated[0], f"is compressed by ZIP, as {count} are in all; they should be stored as is", True)
    if not directory.end.is_zip64 and all(member.needs < ZIP64_VERSION for member in directory.members.values()):
        yield _problem("", "is not in the form of ZIP64; it should be, whatever its size", True)
    yield from _comment(store, directory)
    yield from _unsharded(store, directory)


def _comment(store: ArchiveStore, directory: Directory) -> _Found:
    """Yield what is wrong with the comment, and with the order of documents, of which it says something."""
    stated, json_first = "", False
    try:
        stated, json_first = read_file_comment(directory.end.comment)
    except ValueError as error:
        yield _problem("comment", str(error), True)
    version = _version(store)
    if stated and version and stated != version:
        yield _problem("comment", f"states version {stated!r}, but the hierarchy is {version!r}", True)
    yield from _order(directory, json_first)


def _order(directory: Directory, json_first: bool) -> _Found:
    """Yield where documents do not come first, as they should, and must if the comment says so of the directory."""
    keys, members = [name for name in directory.order if name in directory.members], directory.members
    if not _is_in_order(keys):
        says = ", though the comment says so (jsonFirst)" if json_first else f"; {ROOT_DOCUMENT} should be the first"
        yield _problem("", f"does not list its documents first, breadth-first{says}", not json_first)
    if not _is_in_order(sorted(keys, key=lambda key: members[key].offset)):
        yield _problem("", f"does not hold its documents first, breadth-first: {ROOT_DOCUMENT}, then others", True)


def _is_in_order(keys: list[str]) -> bool:
    """Whether documents come before all else, none before one of a group above it.

    >>> _is_in_order(["zarr.json", "b/zarr.json", "a/zarr.json", "a/c/0"]), _is_in_order(["a/zarr.json", "zarr.json"])
    (True, False)
    """
    depths = [depth_of(key) if is_described_by(key) else inf for key in keys]
    return depths == sorted(depths)


def _version(store: ArchiveStore) -> str | None:
    """Return the version that the root states, if it can be read."""
    try:
        found = version_in(read_attributes(StorePath(store)) or {})
    except ValueError:  # The walk through the groups says so.
        return None
    return None if found is None else str(found)


def _unsharded(store: ArchiveStore, directory: Directory) -> _Found:
    """Yield arrays that are stored as several chunks, not in shards."""
    arrays = [key.rpartition("/")[0] for key in directory.members if key.rpartition("/")[2] == ROOT_DOCUMENT]
    for path in filter(None, arrays):
        n = sum(1 for _ in zip(range(3), directory.keys_below(f"{path}/"), strict=False)) - 1
        document = _document(store, f"{path}/{ROOT_DOCUMENT}") if n > 1 else {}
        codecs = document.get("codecs")
        if document.get("node_type") == "array" and isinstance(codecs, list):
            names = [codec.get("name") for codec in codecs if isinstance(codec, Mapping)]
            if "sharding_indexed" not in names:
                yield _problem(path, "is stored chunk by chunk; it should be in shards, which make fewer members", True)


def _document(store: ArchiveStore, key: str) -> Mapping[str, Any]:
    try:
        found = sync(fetch_json(StorePath(store, key)))
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}
