"""What lies in a group: how much, by the names in it, which documents, whose claims, and files of others."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from daskome.model.paths import parents_of
from daskome.stores.journal import JOURNAL
from daskome.stores.opened.pages import Sized
from daskome.stores.ownership.claims import CLAIMS
from daskome.stores.remembered import LOOKED_FOR
from daskome.stores.targets.conflicts import is_litter

CHUNK = re.compile(r"(?:.*/)?(?:c|(?:c[./])?\d+(?:[./]\d+)*)", re.DOTALL)
"""The key of a chunk or shard, in the encodings of zarr v2 and v3."""
CHUNK_NAME = re.compile(r"c|(?:c\.)?\d+(?:\.\d+)*")
"""One name in such a key."""
OME_XML = re.compile(r"(?:.*/)?OME/[^/]+\.xml", re.DOTALL)
"""What bioformats2raw keeps of the files that an image was made of."""
FOREIGN_NAMED = 5
"""How many files of others a message names."""


@dataclass(slots=True)
class Amount:
    """How many objects, and their bytes."""

    objects: int = 0
    nbytes: int = 0

    def add(self, nbytes: int) -> None:
        """Count one more."""
        self.objects, self.nbytes = self.objects + 1, self.nbytes + nbytes


@dataclass(slots=True)
class Contents:
    """What lies below a place.

    Attributes
    ----------
    amounts : dict
        By the first names of paths; those of folders end with a slash.
    documents : list of str
        The paths of documents of groups and arrays.
    homes : dict of str to None
        The paths of groups where somebody writes, or has written, by claims in them.
    foreign : list of str
        The paths of files that are neither zarr's nor OME-Zarr's, as many as are named.
    numbered : dict of tuple to str
        Of what has the name of a chunk: the folder of the first number in its path, that number unless it is the name
        itself, and a path. Where there are no arrays, they are files of others (`loose`).
    """

    amounts: dict[str, Amount] = field(default_factory=dict)
    documents: list[str] = field(default_factory=list)
    homes: dict[str, None] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)
    numbered: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def loose(self) -> list[str]:
        """Paths of files whose names are those of chunks, but which lie in no array, as many as are named."""
        arrays = self._arrays()
        return [
            path for (folder, number), path in self.numbered.items() if not arrays & {(folder, ""), (folder, number)}
        ][:FOREIGN_NAMED]

    def _arrays(self) -> set[tuple[str, str]]:
        """Return where arrays are, in the form of `numbered`: documents that have none below them."""
        nodes = {path.rpartition("/")[0] for path in self.documents}
        groups = {above for node in nodes for above in parents_of(node)}
        arrays = nodes - groups
        return {(node, "") for node in arrays} | {_numbered(f"{node}/0") for node in arrays}

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of what has something in it."""
        return tuple(name.rstrip("/") for name in self.amounts if name.endswith("/"))

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the objects that lie there themselves."""
        return tuple(name for name in self.amounts if not name.endswith("/"))

    @property
    def total(self) -> Amount:
        """All of it."""
        some = self.amounts.values()
        return Amount(sum(one.objects for one in some), sum(one.nbytes for one in some))


def contents_of(items: Iterable[Sized]) -> Contents:
    """Return what lies below a place, from the keys there and their sizes.

    >>> found = contents_of([("notes.txt", 9), ("s0/c/0/1", 5), ("s0/zarr.json", 3), ("zarr.json", 2)])
    >>> found.folders, found.files, found.documents, found.foreign, found.total
    (('s0',), ('notes.txt', 'zarr.json'), ['s0/zarr.json', 'zarr.json'], ['notes.txt'], Amount(objects=4, nbytes=19))
    """
    found = Contents()
    for key, nbytes in items:
        first, slash, _ = key.partition("/")
        found.amounts.setdefault(f"{first}{slash}", Amount()).add(nbytes)
        folder, _, name = key.rpartition("/")
        home, claims, _ = f"/{key}".partition(f"/{CLAIMS}/")
        if claims:
            found.homes[home.strip("/")] = None
        if name in LOOKED_FOR and JOURNAL not in folder.split("/"):
            found.documents.append(key)
        elif not is_ome_zarr_key(key):
            found.foreign += [key] if len(found.foreign) < FOREIGN_NAMED else []
        elif CHUNK.fullmatch(key):
            found.numbered.setdefault(_numbered(key), key)
    return found


def _numbered(key: str) -> tuple[str, str]:
    """Return the folder of the first number at the end of a path, and that number unless nothing follows it.

    >>> _numbered("A/1/0/s0/c/0/0"), _numbered("s0/0.0"), _numbered("s0/4/2"), _numbered("7")
    (('A/1/0/s0', 'c'), ('s0', ''), ('s0', '4'), ('', ''))
    """
    names = key.split("/")
    end = next((i for i in range(len(names), 0, -1) if not CHUNK_NAME.fullmatch(names[i - 1])), 0)
    return "/".join(names[:end]), names[end] if end < len(names) - 1 else ""


def is_ome_zarr_key(key: str) -> bool:
    """Whether a key may be that of an object of OME-Zarr, of our journal, or of what desktops put into folders.

    >>> [is_ome_zarr_key(key) for key in ("A/1/0/s0/c/0/0", "s0/0.0", "c", "labels/zarr.json", "OME/METADATA.ome.xml")]
    [True, True, True, True, True]
    >>> [is_ome_zarr_key(key) for key in ("notes.txt", "raw/0001.tif", "s0/1.dat", ".git/config")]
    [False, False, False, False]
    """
    names = key.split("/")
    ours = names[-1] in LOOKED_FOR or JOURNAL in names or any(map(is_litter, names))
    return ours or bool(CHUNK.fullmatch(key) or OME_XML.fullmatch(key))
