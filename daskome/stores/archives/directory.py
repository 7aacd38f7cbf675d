"""The directory of an archive: which members there are, by key, and what is wrong with the others."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from daskome.model.paths import is_inside, parents_of
from daskome.model.text import format_nbytes
from daskome.stores.archives.zip_records import ArchiveEnd, Member

DIRECTORY_NBYTES = 2**29
"""The longest directory that is read: that of some million members."""


@dataclass(frozen=True, slots=True)
class Directory:
    """What an archive holds.

    Attributes
    ----------
    end : ArchiveEnd
    members : mapping of str to Member
        By the keys of a store; of members of one name the last counts, as everywhere.
    keys : tuple of str
        Sorted.
    order : tuple of str
        The names of all members but folders, as listed.
    outside : tuple of str
        Names that are no key, as they lead out of the archive.
    """

    end: ArchiveEnd
    members: Mapping[str, Member]
    keys: tuple[str, ...]
    order: tuple[str, ...]
    outside: tuple[str, ...]
    _names: dict[str, dict[str, None]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def twice(self) -> list[str]:
        """Names of which there are several members."""
        return [name for name, n in Counter(self.order).items() if n > 1]

    def names_in(self, folder: str) -> Iterable[str]:
        """Return the names at a path."""
        if not self._names:
            self._names[""] = {}
            for key in self.keys:
                self._add(key)
        return self._names.get(folder, {})

    def _add(self, key: str) -> None:
        """Put a key into the lists of its parents, up to the first that has it."""
        below = key
        for parent in parents_of(key):
            names = self._names.setdefault(parent, {})
            name = below[len(parent) + bool(parent) :]
            if name in names:
                return
            names[name], below = None, parent

    def keys_below(self, prefix: str) -> Iterator[str]:
        """Yield the keys that begin with a prefix."""
        for n in range(bisect_left(self.keys, prefix), len(self.keys)):
            if not self.keys[n].startswith(prefix):
                return
            yield self.keys[n]


def directory_of(end: ArchiveEnd, listed: Iterable[Member]) -> Directory:
    """Return the directory of an archive from its members."""
    found: dict[str, Member] = {}
    order: list[str] = []
    outside: list[str] = []
    for member in listed:
        if member.name.endswith("/") and not member.nbytes:
            continue
        order.append(member.name)
        if not is_inside(member.name) or "\\" in member.name or "\0" in member.name:
            outside.append(member.name)
        else:
            found["/".join(filter(None, member.name.split("/")))] = member
    return Directory(end, found, tuple(sorted(found)), tuple(order), tuple(outside))


def check_directory(end: ArchiveEnd) -> None:
    """Raise a ValueError for a directory that is too long to be read."""
    if end.nbytes > DIRECTORY_NBYTES:
        raise ValueError(
            f"has a directory of {format_nbytes(end.nbytes)}, and at most {format_nbytes(DIRECTORY_NBYTES)} of it are"
            " read; unpack it, or pack it anew in shards"
        )
