"""MD5 checksums of stored objects: DANDI's, of a whole tree, and the lines of a manifest, as `md5sum` writes them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import md5
from json import dumps

MD5SUM_LINE = re.compile(r"(?P<escaped>\\?)(?P<md5>[0-9a-f]{32}) [ *](?P<path>.+)", re.DOTALL)
"""A line of `md5sum`; it begins with a backslash if characters of the path are escaped."""
ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
"""What stands in a manifest for characters that would end its lines."""
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
TREE = re.compile(r"[0-9a-f]{32}-\d+--\d+")
"""A checksum of a whole tree: its MD5, how many objects it has, and their bytes."""


@dataclass(frozen=True, slots=True, order=True)
class ObjectChecksum:
    """A stored object: its key below the place that was asked for, the MD5 of its bytes, and how many they are."""

    key: str
    md5: str
    nbytes: int = field(default=0, compare=False)


@dataclass(slots=True)
class _Folder:
    """A folder whose objects are still to come; `files` is what DANDI's checksum says of those that have."""

    name: str
    files: bytearray = field(default_factory=bytearray)
    folders: list[tuple[str, str, int]] = field(default_factory=list)
    count: int = 0
    nbytes: int = 0

    def digest(self) -> str:
        """Return DANDI's checksum of the folder."""
        inner = ",".join(_said(*one) for one in sorted(self.folders))
        text = b'{"directories":[%s],"files":[%s]}' % (inner.encode(), self.files)
        return f"{md5(text, usedforsecurity=False).hexdigest()}-{self.count}--{self.nbytes}"


def _said(name: str, digest: str, nbytes: int) -> str:
    """Return what DANDI's checksum says of a file or folder."""
    return dumps({"digest": digest, "name": name, "size": nbytes}, separators=(",", ":"))


class TreeChecksum:
    """DANDI's checksum of a tree of objects that come in the order of their keys: that of the package zarr-checksum.

    Of each folder that is open it keeps one line per object, and forgets them when the folder is left.

    Examples
    --------
    >>> tree = TreeChecksum()
    >>> tree.add(ObjectChecksum("s0/c/0", "0cc175b9c0f1b6a831c399e269772661", 1))
    >>> tree.add(ObjectChecksum("zarr.json", "92eb5ffee6ae2fec3ad71c777531578f", 1))
    >>> tree.end()
    '0252801430cd09820fb5383aa3b6913b-2--2'
    """

    def __init__(self) -> None:
        self._open, self._last = [_Folder("")], ""

    def add(self, item: ObjectChecksum) -> None:
        """Take an object; raises a ValueError for one that comes out of order."""
        if item.key <= self._last:
            raise ValueError(f"{item.key!r} comes after {self._last!r}, out of order")
        self._last = item.key
        *folders, name = item.key.split("/")
        there = [folder.name for folder in self._open[1:]]
        alike = next((n for n, (a, b) in enumerate(zip(there, folders, strict=False)) if a != b), len(there))
        self._leave(min(alike, len(folders)))
        self._open += map(_Folder, folders[len(self._open) - 1 :])
        folder = self._open[-1]
        folder.files += (b"," if folder.files else b"") + _said(name, item.md5, item.nbytes).encode()
        folder.count, folder.nbytes = folder.count + 1, folder.nbytes + item.nbytes

    def end(self) -> str:
        """Return the checksum of all: ``MD5-COUNT--BYTES``."""
        self._leave(0)
        return self._open[0].digest()

    def _leave(self, depth: int) -> None:
        """Close the folders that are deeper."""
        while len(self._open) > depth + 1:
            left = self._open.pop()
            above = self._open[-1]
            above.folders.append((left.name, left.digest(), left.nbytes))
            above.count, above.nbytes = above.count + left.count, above.nbytes + left.nbytes


def manifest_line(item: ObjectChecksum) -> str:
    r"""Return a line of a manifest, without its end.

    >>> manifest_line(ObjectChecksum("s0/c/0", "0cc175b9c0f1b6a831c399e269772661"))
    '0cc175b9c0f1b6a831c399e269772661  s0/c/0'
    >>> print(manifest_line(ObjectChecksum("a\nb", "0cc175b9c0f1b6a831c399e269772661")))
    \0cc175b9c0f1b6a831c399e269772661  a\nb
    """
    path = "".join(ESCAPES.get(letter, letter) for letter in item.key)
    return f"{'' if path == item.key else chr(92)}{item.md5}  {path}"


def parse_manifest_line(line: str) -> ObjectChecksum | None:
    r"""Return what a line of a manifest says; None if it is not one.

    >>> parse_manifest_line("\\0cc175b9c0f1b6a831c399e269772661 *./a\\nb").key
    'a\nb'
    """
    found = MD5SUM_LINE.fullmatch(line)
    if found is None:
        return None
    letters = {escape[1]: letter for letter, escape in ESCAPES.items()}
    path = found["path"]
    if found["escaped"]:
        path = ESCAPED.sub(lambda escape: letters.get(escape[1], escape[0]), path)
    return ObjectChecksum(path.removeprefix("./"), found["md5"])


def is_sorted(items: Iterable[ObjectChecksum]) -> bool:
    """Whether objects come in the order of their keys, each once."""
    last = ""
    for item in items:
        if item.key <= last:
            return False
        last = item.key
    return True
