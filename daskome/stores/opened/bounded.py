"""Documents of a store, bounded before they are believed: what describes pixels is small, whoever wrote it.

A document that takes gigabytes, or becomes gigabytes when it is parsed, is refused with where it lies. So it is for
those that zarr reads by itself, in stores that `daskome.stores.location.locate` has opened.
"""

import os
from collections.abc import AsyncIterator
from contextlib import suppress

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from daskome.model.problem import BrokenObjectError
from daskome.model.text import format_nbytes

DESCRIBING = frozenset(("zarr.json", ".zgroup", ".zattrs", ".zmetadata", ".zarray", "plan.json", "current"))
"""The names of documents that are read whole."""
DOCUMENT_NBYTES = 128 * 2**20
"""The longest document. That of a plate of a hundred thousand images, each with its arrays' metadata, is shorter."""
PARSED_NBYTES = 512 * 2**20
"""How much memory a document may take once it is parsed."""
VALUE_NBYTES = 48
"""About what each of the marks between values of JSON takes in Python, besides its text: a list has two of its own."""


def is_document(key: str) -> bool:
    """Whether a key is that of a document."""
    return key.rpartition("/")[2] in DESCRIBING


def check_length(nbytes: int, where: str) -> None:
    """Raise a ValueError for a document that is too long to be one."""
    if nbytes > DOCUMENT_NBYTES:
        raise ValueError(
            f"{where} is {format_nbytes(nbytes)} long, but no document that describes images is longer than"
            f" {format_nbytes(DOCUMENT_NBYTES)}; it is not read"
        )


def check_document(document: bytes, where: str) -> None:
    """Raise a ValueError for a document that is too long, or of too many values."""
    check_length(len(document), where)
    values = sum(document.count(mark) for mark in (b",", b"[", b"{", b":"))
    if len(document) + values * VALUE_NBYTES > PARSED_NBYTES:
        raise ValueError(
            f"{where} has about {values:,} values, which would take more than {format_nbytes(PARSED_NBYTES)} of memory;"
            " it is not read"
        )


def _broken(root: str, key: str) -> str | None:
    """Return why there is no file in a folder, if a name is in the way: a link that leads nowhere, or a folder.

    zarr takes all of that for an object that was never stored, and reads it as the fill value.
    """
    there = key
    while there and not os.path.lexists(f"{root}/{there}"):
        there = there.rpartition("/")[0]
    name = f"{root}/{there}"
    shown = "it" if there == key else name
    if os.path.islink(name) and not os.path.exists(name):
        return f"{shown} is a link to {os.readlink(name)}, which is not there"
    if there == key:
        return "it is a folder" if os.path.isdir(name) else None
    return f"{name} is a file, not a folder" if os.path.isfile(name) else None


class BoundedFolder(LocalStore):
    """A store in a folder whose documents are bounded before they are read, and that is not made by looking into it.

    What is in the folder and cannot be read is an error, never nothing.
    """

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object, or a part of it; None where there is none."""
        if self._is_absent:
            return None
        bounded, path = is_document(key) and byte_range is None, self.root / key
        if bounded and path.is_file():
            with suppress(FileNotFoundError):  # Another process has deleted it meanwhile.
                check_length(path.stat().st_size, str(path))
        found = await super().get(key, prototype, byte_range)
        if bounded and found is not None:
            check_document(found.to_bytes(), str(path))
        return self._checked(key, found)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return an object or a part of it, without an event loop; None where there is none."""
        return self._checked(key, super().get_sync(key, prototype=prototype, byte_range=byte_range))

    def _checked(self, key: str, found: Buffer | None) -> Buffer | None:
        """Return what was found; raise a BrokenObjectError where a name is in the way."""
        if found is None and not is_document(key) and (why := _broken(str(self.root), key)):
            raise BrokenObjectError(
                f"{self}/{key} cannot be read: {why}; zarr would take it for one that was never stored"
            )
        return found

    async def exists(self, key: str) -> bool:
        """Whether there is an object."""
        return not self._is_absent and await super().exists(key)

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names in a folder."""
        if not self._is_absent:
            async for name in super().list_dir(prefix):
                yield name

    @property
    def _is_absent(self) -> bool:
        """Whether the folder is not there: zarr makes that of a store that may be written as soon as it opens it."""
        return not (self._is_open or self.root.exists())
