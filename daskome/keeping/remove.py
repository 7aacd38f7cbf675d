"""`daskome.remove`: an image, finished or not, its labels, a plate, a well, or what a kill has left of them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zarr.storage import StorePath

from daskome.keeping.contents import Contents, contents_of
from daskome.keeping.targets import RemovalTarget, asked_kind, removal_target
from daskome.model.paths import join_paths, parents_of
from daskome.model.problem import or_unfinished
from daskome.model.text import format_nbytes, format_table, pluralize
from daskome.model.types import FileSystemOptions, GroupLike
from daskome.ome.image_label import LABELS
from daskome.ome.xml.names import OME
from daskome.stores.documents import list_names
from daskome.stores.groups import removal_mark
from daskome.stores.journal import JOURNAL
from daskome.stores.location import folder_of, is_whole_store, locate, rooted
from daskome.stores.objects.checksums import stored_sizes
from daskome.stores.ownership.claims import CLAIMS, WHOLE_RUN
from daskome.stores.ownership.taking import check_free, claimed, naming_the_heir
from daskome.stores.targets.collection import (
    Collection,
    check_rewritable,
    collection_around,
    ids_in,
    images_below,
    warn_kept,
)
from daskome.stores.targets.conflicts import check_writable, levels_there
from daskome.stores.targets.descriptions import described_in
from daskome.stores.targets.folders import links_to, locked_folders
from daskome.stores.targets.removal import (
    DescribedImages,
    Doomed,
    ListEntry,
    delete_all_but_claims,
    delete_empty_folders,
    delete_journal_alone,
)

ROWS_SHOWN = 20
"""How many names a listing shows."""
AGAIN = "what is there says that it is unfinished; the same call again removes the rest"


@dataclass(frozen=True, slots=True, repr=False)
class Removal:
    """What is removed, or would be. Print it.

    Attributes
    ----------
    where : str
    kind : str
        Such as "image", "plate", "unfinished image".
    levels : tuple of str
        Of the image.
    amounts : dict of str to (int, int)
        Objects and bytes, by the first names in it.
    objects, nbytes : int
        In all.
    listed : str
        Which lists lose an entry; empty if none does.
    """

    where: str
    kind: str
    levels: tuple[str, ...]
    amounts: dict[str, tuple[int, int]]
    objects: int
    nbytes: int
    listed: str
    doomed: Doomed = field(repr=False)
    homes: tuple[str, ...] = field(repr=False)

    @property
    def is_journal(self) -> bool:
        """Whether the journal of a run goes, and not what it is of."""
        return self.doomed.path.rpartition("/")[2] == JOURNAL

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        names = ("where", "kind", "levels", "amounts", "objects", "nbytes", "listed")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        shown = list(self.amounts.items())[:ROWS_SHOWN]
        rows = [[name, f"{objects:,}", format_nbytes(nbytes)] for name, (objects, nbytes) in shown]
        lines = [format_table(f"{self.where}: {self.kind}", ["what", "objects", "bytes"], rows)]
        lines += [f"  … and {len(self.amounts) - ROWS_SHOWN:,} more"] * (len(self.amounts) > ROWS_SHOWN)
        lines += [f"it leaves the list of {self.listed}"] * bool(self.listed)
        return "\n".join([*lines, f"in all {pluralize(self.objects, 'object')}, {format_nbytes(self.nbytes)}"])


def remove(
    target: GroupLike,
    *,
    labels: str | None = None,
    dry_run: bool = False,
    take_over: bool = False,
    fs_options: FileSystemOptions | None = None,
) -> Removal:
    """Remove an image with its labels, a label image, a plate or a well, finished or not; return what it was.

    Before anything changes, all of it is looked at: what is not OME-Zarr or was not begun by daskome, files of others
    in it, links, and an image that another process is writing are refused. Then the group is marked as unfinished; it
    leaves the list of labels, wells or images that it is in, and, of a collection, the list of series and the OME-XML;
    its objects go, many with each request; and last its own documents. So whatever is left after a kill says that it is
    unfinished, and the same call removes it.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        Of an image, labels, a label image, a plate, a well, an image of a well, a bioformats2raw layout, an image of
        one that lists its series, of any of these that is unfinished, or of what a kill has left. A path that ends in
        ``.daskome`` is a journal: without it, a run cannot be gone on with; levels that were being added go with it.
        With the last label image, the group of labels goes, too.
    labels : str, optional
        The name of labels of the image at the target: these go, not the image.
    dry_run : bool
        Whether to change nothing, and only return what would go.
    take_over : bool
        Whether to go on although another process that may be alive writes there; it stops.
    fs_options : dict, optional
        For the file system of a URL.

    Returns
    -------
    Removal
        Print it: what has gone, object by object counted, and bytes.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    FileExistsError
        If another process is writing there, or files of others or links lie in it.
    PermissionError
        If something may not be deleted.
    ValueError
        If it is nothing that OME-Zarr or daskome makes, or the last image or well of what would be left.
    WriteError
        If it could not be removed as a whole, or another process has taken over.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import remove, write_image
    >>> store, image = zarr.storage.MemoryStore(), np.ones((64, 64), "uint8")
    >>> plan = write_image(image, store, [2], axes="yx", labels={"cells": image})
    >>> remove(store, labels="cells").kind
    'label image, and labels, which is empty then'
    >>> remove(store, dry_run=True)
    memory://...: image
      what       objects  bytes
      s0/        2        ...
      s1/        2        ...
      zarr.json  1        ...
    in all 5 objects, ...
    >>> remove(store).levels
    ('s0', 's1')
    >>> len(store._store_dict)
    0
    """
    place = rooted(_located(target, labels, fs_options))
    removal = _planned(place, take_over)
    if not dry_run:
        with or_unfinished(removal.where, "could not be removed as a whole", AGAIN):
            _carry_out(removal, take_over)
    return removal


def _located(target: GroupLike, labels: str | None, fs_options: FileSystemOptions | None) -> StorePath:
    place = locate(target, fs_options)
    return place / LABELS / labels if labels else place


def _planned(place: StorePath, take_over: bool) -> Removal:
    """Return what goes; raises where it may not."""
    if is_whole_store(place):
        raise ValueError(f"{place} is a whole bucket or file system; give the path of what is to be removed in it")
    if not place.store.supports_deletes:
        raise ValueError(f"{place} is in a store that cannot delete, such as a zip file: delete that as a whole")
    target = removal_target(place)
    check_writable(place)
    there = target.place.store_path
    _check_folder(there)
    contents = contents_of(stored_sizes(there))
    removal = _removal(target, contents)
    foreign = contents.foreign + ([] if target.place.is_unfinished or contents.homes else contents.loose)
    if foreign and not removal.is_journal:
        named = ", ".join(foreign)
        raise FileExistsError(
            f"{there} holds files that are not of OME-Zarr, such as {named}; move them away, or delete them, first"
        )
    for home in removal.homes:
        check_free(StorePath(there.store, home), take_over)
    return removal


def _check_folder(place: StorePath) -> None:
    """Raise for a folder that cannot go, or parts of which lie elsewhere."""
    folder, root = folder_of(place), StorePath(place.store)
    if folder is None:
        return
    if Path.cwd().is_relative_to(folder.resolve()):
        raise ValueError(f"{folder} is the working directory, or holds it; go elsewhere first")
    if os.path.ismount(folder):
        raise ValueError(f"{folder} is where a file system is mounted, which cannot be removed; give a path in it")
    link = next(_links(root, place.path, folder), None)
    if link is not None:
        raise FileExistsError(
            f"{link}; nothing is removed through links, nor are they: delete the link, or give the path where it leads"
        )
    locked = next(locked_folders(root, [], [place.path]), None)
    if locked is not None:
        raise PermissionError(f"{folder} cannot be removed: no permission to change what is in {locked}")


def _links(root: StorePath, path: str, folder: Path) -> Iterator[str]:
    yield from links_to(root, [path])
    if folder.is_symlink():
        yield f"{folder} is a link to {folder.readlink()}"
    for parent, folders, files in os.walk(folder):
        for one in (Path(parent, name) for name in (*folders, *files)):
            if one.is_symlink():
                yield f"{one} is a link to {one.readlink()}"


def _removal(target: RemovalTarget, contents: Contents) -> Removal:
    there = target.place.store_path
    series, described = _in_collection(target)
    entries = {entry.group: entry for entry in (target.entry, series) if entry is not None}
    levels = tuple(levels_there(there, target.place.attributes or {})) if target.place.attributes else ()
    doomed = Doomed(
        StorePath(there.store),
        there.path,
        contents.folders,
        contents.files,
        tuple(contents.documents),
        levels,
        tuple(entries.values()),
        described,
        target.place.attributes,
    )
    amounts = {name: (one.objects, one.nbytes) for name, one in contents.amounts.items()}
    lists = (f"{one.kind} at {StorePath(there.store, path)}" for path, one in entries.items() if path != there.path)
    listed = ", and that of ".join(lists)
    where, total = str(StorePath(there.store, target.asked)), contents.total
    homes = tuple(dict.fromkeys(_homes(there, contents)))
    return Removal(where, asked_kind(target), levels, amounts, total.objects, total.nbytes, listed, doomed, homes)


def _in_collection(target: RemovalTarget) -> tuple[ListEntry | None, DescribedImages | None]:
    """Return how a collection around a place lists what goes, and what its OME-XML says of it.

    What a removal has begun with is what its mark says.
    """
    there, mark = target.place.store_path, removal_mark(target.place.attributes)
    collection = collection_around(there)
    if collection is None:
        return None, None
    paths = images_below(collection)
    series = ListEntry(join_paths(collection.top.path, OME), "series", tuple(paths)) if paths else None
    ids = ids_in(mark) if mark else _described(collection, paths) if paths or _is_field(target) else []
    return series, DescribedImages(collection.document.path, tuple(ids)) if ids else None


def _is_field(target: RemovalTarget) -> bool:
    """Whether images of a plate go."""
    return target.entry is not None and target.entry.kind in ("plate", "well")


def _described(collection: Collection, paths: Sequence[str]) -> list[str]:
    """Return which images in the OME-XML of a collection go; warn if nothing tells, so that it keeps them."""
    try:
        ids = described_in(collection, paths)
    except ValueError as error:
        warn_kept(collection.document, ", ".join(paths) or "what goes", error)
        return []
    if ids:
        check_rewritable(collection.document)
    return ids


def _homes(place: StorePath, contents: Contents) -> Iterator[str]:
    """Yield the paths of groups whose claims exclude others from what goes: the group, and those where any are."""
    is_journal = place.path.rpartition("/")[2] == JOURNAL
    yield place.path.rpartition("/")[0] if is_journal else place.path
    yield from (join_paths(place.path, home) for home in contents.homes)
    for above in () if is_journal else parents_of(place.path):
        if list_names(StorePath(place.store, above) / CLAIMS):
            yield above


def _carry_out(removal: Removal, take_over: bool) -> None:
    """Remove what was planned, as the owner of all of it."""
    doomed = removal.doomed
    with naming_the_heir(None), ExitStack() as stack:
        homes = (StorePath(doomed.root.store, home) for home in removal.homes)
        claims = [stack.enter_context(claimed(home, WHOLE_RUN, take_over)) for home in homes]
        if removal.is_journal:
            delete_journal_alone(claims[0])
        else:
            delete_all_but_claims(doomed, claims[0])
    if not removal.is_journal:
        delete_empty_folders(doomed.place)
