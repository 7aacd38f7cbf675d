"""`daskome.pack` and `daskome.unpack`: a whole hierarchy as one file, and back; not a byte of its objects changes."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from zarr.storage import StorePath

from daskome.execution.finished.packed import comment_of
from daskome.execution.progress import drawn
from daskome.model.json_values import MALFORMED
from daskome.model.paths import parents_of
from daskome.model.problem import or_unfinished
from daskome.model.text import Progress, format_nbytes, pluralize
from daskome.model.types import FileSystemOptions, GroupLike, PathLike, ShowProgress
from daskome.model.urls import without_credentials
from daskome.ome.detect import ome_keys, version_in
from daskome.ome.single_file import (
    ROOT_DOCUMENT,
    SINGLE_FILES,
    in_file_order,
    is_described_by,
    is_ozx,
    is_single_file,
)
from daskome.ome.versions import likely_version, stated_version
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.archives.file_output import check_absent
from daskome.stores.archives.packing import object_bytes, objects_below, pack_objects, put_object
from daskome.stores.groups import UNFINISHED_KEY, find_group
from daskome.stores.journal import has_run
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import address_of, file_place, free_nbytes, locate, single_file_of
from daskome.stores.ownership.taking import owning_place
from daskome.stores.remembered import for_each
from daskome.stores.targets.single_files import check_not_embedded, check_version_in_file
from daskome.writing.options import check_bool

LAST_UNPACKED = (".zattrs", ".zmetadata", ".zgroup", ROOT_DOCUMENT)
"""The documents of the root in the order in which they are unpacked: without the last one, there is no group."""
GO_ON_UNPACKING = "what is there has no root document, so nobody takes it for whole. The same call goes on"


@dataclass(frozen=True, slots=True)
class Packed:
    """What was packed or unpacked: where it is, how many objects it holds, and their bytes."""

    place: str
    objects: int
    nbytes: int

    def __str__(self) -> str:
        return f"{self.place}: {pluralize(self.objects, 'object')}, {format_nbytes(self.nbytes)}"


def pack(
    source: GroupLike,
    file: PathLike,
    *,
    in_options: FileSystemOptions | None = None,
    fs_options: FileSystemOptions | None = None,
    overwrite: bool = False,
    progress: ShowProgress = None,
) -> Packed:
    """Pack an OME-Zarr hierarchy into one file, ``.ozx`` (RFC-9) or ``.zip``, without encoding a chunk anew.

    The documents come first, that of the root before all others and the others breadth-first, so that a reader finds
    the structure without reading the whole directory of the archive. Members are stored uncompressed, in ZIP64; the
    same hierarchy always makes the same bytes. The file appears under its name when all of it is written: on a disk it
    is renamed, in a bucket its parts are put together. Pack an archive again to bring it into this form.

    Parameters
    ----------
    source : str, path, zarr.Group or zarr store
        The hierarchy: an image, a plate, … Everything below it is packed.
    file : str or path
        The file, on this machine or in a bucket. An ``.ozx`` holds OME-Zarr 0.5 or newer, a ``.zip`` any version.
    in_options, fs_options : dict, optional
        For the file systems of the source's and of the file's URLs.
    overwrite : bool
        Replace a file that is there. It stays whole until the new one is.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called with objects packed and objects in all.

    Returns
    -------
    Packed
        The number of objects, and the bytes of the file.

    Raises
    ------
    ValueError
        If the source is no OME-Zarr, unfinished, in zarr v2 for an ``.ozx``, or holds what an ``.ozx`` must not, a link
        that cannot be packed, or a folder in the place of a chunk; if the name of the file ends otherwise, or it would
        lie in a hierarchy. Nothing is written.
    FileExistsError
        If there is a file, and `overwrite` does not allow to replace it.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import daskome
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plan = daskome.write_image(np.ones((64, 64), "uint8"), f"{folder}/a.ome.zarr", [2], axes="yx")
    ...     daskome.pack(f"{folder}/a.ome.zarr", f"{folder}/a.ozx").objects
    ...     daskome.open(f"{folder}/a.ozx").dask.shape
    5
    (64, 64)
    """
    check_bool("overwrite", overwrite)
    bar = drawn(progress, "objects")
    place, target = locate(source, in_options, read_only=True), _file(file, fs_options)
    version = _version_of(place, target)
    check_absent(target, overwrite)
    keys = objects_below(place)
    _check_keys(keys, target)
    for key in filter(is_described_by, keys):
        _check_finished(place / key)
    nbytes = pack_objects(place, keys, target, comment_of(target, version), overwrite, bar)
    return Packed(without_credentials(str(file)), len(keys), nbytes)


def _file(file: PathLike, fs_options: FileSystemOptions | None) -> StorePath:
    """Return the place of a file by its name, which says what it is."""
    place = file_place(str(file), fs_options)
    if not is_single_file(str(place).rpartition("/")[2]):
        raise ValueError(f"{place} must end in {' or '.join(SINGLE_FILES)}: that says what the file is")
    check_not_embedded(place)
    return place


def _version_of(place: StorePath, target: StorePath) -> str:
    """Return the version of a hierarchy that can be packed into a file."""
    group = find_group(place)
    if group is None or has_run(place):
        wrong = "there is no zarr group" if group is None else "writing it was not completed: finish that first"
        raise ValueError(f"{place}: {wrong}")
    attributes = group.attrs.asdict()
    if not ome_keys(attributes) and UNFINISHED_KEY not in attributes:
        raise ValueError(f"{place} is a zarr group, but holds no OME-Zarr; give the group of an image or a plate")
    stated = stated_version(version_in(attributes)) or likely_version(attributes)
    check_version_in_file(target, stated.name)
    inner, outer = address_of(target), address_of(place)
    if inner[: len(outer)] == outer:
        raise ValueError(f"{target} lies in {place}, which it is to hold; write the file somewhere else")
    return stated.name


def _check_keys(keys: Sequence[str], target: StorePath) -> None:
    """Raise a ValueError for an ``.ozx`` that would hold another archive (RFC-9: SHALL NOT)."""
    nested = [key for key in keys if is_single_file(key.rpartition("/")[2])] if is_ozx(str(target)) else []
    if nested:
        raise ValueError(f"{nested[0]} is an archive, which an .ozx must not hold; move it away, or write a .zip")


def _check_finished(document: StorePath) -> None:
    """Raise a ValueError for the document of a group that is marked as unfinished."""
    said: Any = None
    with suppress(*MALFORMED):
        said = json.loads(object_bytes(document))
    attributes = said.get("attributes", said) if isinstance(said, dict) else None
    if isinstance(attributes, dict) and UNFINISHED_KEY in attributes:
        group = str(document).rpartition("/")[0]
        raise ValueError(f"{group} is unfinished: finish writing it, or write it again, first")


def unpack(
    file: PathLike,
    target: GroupLike,
    *,
    in_options: FileSystemOptions | None = None,
    fs_options: FileSystemOptions | None = None,
    take_over: bool = False,
    progress: ShowProgress = None,
) -> Packed:
    """Unpack an OME-Zarr hierarchy from a file, ``.ozx`` or ``.zip``, into a folder or a bucket.

    The checksum of each member is checked. The documents of the root come last; if the call is killed before, call it
    again.

    Parameters
    ----------
    file : str or path
        The file, on this machine or anywhere that answers ranges of bytes.
    target : str, path, zarr.Group or zarr store
        A new place.
    in_options, fs_options : dict, optional
        For the file systems of the file's and of the target's URLs.
    take_over : bool
        Whether to go on although another process that may be alive writes there; it stops.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called with objects unpacked and objects in all.

    Returns
    -------
    Packed
        The number of objects, and their bytes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it cannot be read, names of members lead out of it, or there is no room for what it holds.
    FileExistsError
        If there is something at the target, or another process is writing there.
    WriteError
        If something goes wrong after the first change, or another process has taken over.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> import daskome
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plan = daskome.write_image(np.ones((64, 64), "uint8"), f"{folder}/a.ozx", [2], axes="yx")
    ...     daskome.unpack(f"{folder}/a.ozx", f"{folder}/a.ome.zarr").objects
    ...     daskome.validate(f"{folder}/a.ome.zarr", "0.5")[0].warning
    5
    True
    """
    bar, place = drawn(progress, "objects"), locate(file, in_options, read_only=True)
    archive = unwrap_store(place.store)
    if not isinstance(archive, ArchiveStore):
        raise FileNotFoundError(f"there is no file {without_credentials(str(file))}")
    keys = objects_below(place)
    nbytes = _check_members(archive, place, keys)
    target_place, shown = locate(target, fs_options), without_credentials(str(target))
    if isinstance(unwrap_store(target_place.store), ArchiveStore) or single_file_of(target_place) is not None:
        raise ValueError(f"{shown} is a single file; to copy one, copy it, or use daskome.pack")
    _check_room(target_place, keys, nbytes)
    with (
        owning_place(target_place, take_over=take_over) as ours,
        or_unfinished(shown, "could not be unpacked", GO_ON_UNPACKING),
    ):
        _put_all(place, ours, keys, bar)
    return Packed(shown, len(keys), nbytes)


def _check_members(archive: ArchiveStore, place: StorePath, keys: Sequence[str]) -> int:
    """Return the bytes of all members; raise a ValueError for an archive that cannot be unpacked as it is."""
    _check_names(archive)
    if find_group(place) is None:
        raise ValueError(f"{place} holds no zarr group at its root, so it is no OME-Zarr that daskome unpacks")
    prefix = f"{place.path}/" if place.path else ""
    return sum(archive.directory.members[f"{prefix}{key}"].nbytes for key in keys)


def _check_names(archive: ArchiveStore) -> None:
    """Raise a ValueError for an archive whose members lead out of it, lie in each other, or cannot all be files."""
    directory, members = archive.directory, archive.directory.members
    both = next((parent for key in members for parent in parents_of(key) if parent in members), None)
    wrong = (
        f"has members outside of it, such as {directory.outside[0]!r}"
        if directory.outside
        else "has members that lie in each other, as in archives that are made to do harm"
        if sum(member.stored for member in members.values()) > directory.end.offset
        else f"has {both!r} as a file and as a folder"
        if both is not None
        else ""
    )
    if wrong:
        raise ValueError(f"{archive} {wrong}; it is not unpacked")


def _check_room(target: StorePath, keys: Sequence[str], nbytes: int) -> None:
    """Raise for a target that holds something else than what a call that was killed has unpacked; or lacks room."""
    there = set(objects_below(target))
    strange = there - set(keys)
    if strange or any(root in there for root in (ROOT_DOCUMENT, ".zgroup")):
        shown = min(strange) if strange else "a zarr group"
        raise FileExistsError(f"{target} is there already, with {shown} in it; give a new path")
    free = free_nbytes(target)
    if free is not None and free < nbytes:
        raise ValueError(f"{target} has {format_nbytes(free)} of room, and the file holds {format_nbytes(nbytes)}")


def _put_all(place: StorePath, target: StorePath, keys: Sequence[str], bar: Progress | None) -> None:
    """Write all objects: the documents last, those of the root after all others."""
    last = [key for key in LAST_UNPACKED if key in keys]
    most, done = [key for key in in_file_order(keys)[::-1] if key not in last], 0
    for some in (most[k : k + 256] for k in range(0, len(most), 256)):
        for_each(target, lambda key: put_object(target / key, place / key), some)
        done += len(some)
        if bar:
            bar(done, len(keys))
    for key in last:
        put_object(target / key, place / key)
    if bar:
        bar(len(keys), len(keys))
