"""A store that reads an archive by ranges of bytes: a file of this machine, or an object in any other store.

Nothing is shared between threads but the directory, which is read once: of a file, each read is one call of the system;
elsewhere each is one request, and another one before it if only a part of a member is read for the first time.
"""

import asyncio
import os
import weakref
import zlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NoReturn

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.text import format_nbytes
from daskome.stores.archives.directory import Directory, check_directory, directory_of
from daskome.stores.archives.zip_records import (
    DEFLATED,
    ENCRYPTED,
    LOCAL_HEADER,
    LONGEST_END,
    STORED,
    ArchiveEnd,
    Member,
    data_offset,
    read_end,
    read_members,
)
from daskome.stores.opened.bounded import check_document, check_length, is_document

TRAVELLING_MEMBERS = 4096
"""A directory of at most so many members travels with its store to other processes, which need not read it again."""
INFLATED_NBYTES = 2**31
"""The longest member that is stored compressed and read."""
HEADER_SLACK = 2**10
"""Bytes that are read with a whole member, as its header may be so much longer than the directory tells."""


class _File:
    """An open file: what takes its name later does not change what is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        self.length, self.stamp = status.st_size, (status.st_size, status.st_mtime_ns)

    def read(self, start: int, stop: int) -> bytes:
        """Return bytes; fewer at the end of the file."""
        parts, at = [], start
        while at < stop and (part := os.pread(self._descriptor, stop - at, at)):
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class ArchiveStore(Store):
    """A store of what an archive holds, to be read.

    Parameters
    ----------
    place : StorePath
        Of the archive.
    file : Path, optional
        The same as a file of this machine.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, place: StorePath, file: Path | None = None) -> None:
        super().__init__(read_only=True)
        self.place, self.file = place, file
        self._open_file: _File | None = None
        self._stamp: tuple[int, int] | None = None
        self._directory: Directory | None = None
        self._data: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        travels = self._directory is not None and len(self._directory.members) <= TRAVELLING_MEMBERS
        kept: dict[str, Any] = {"_open_file": None, "_data": {}, "_directory": self._directory if travels else None}
        return {**self.__dict__, **kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchiveStore) and (self.place, self.file) == (other.place, other.file)

    def __str__(self) -> str:
        return str(self.file or self.place)

    def __repr__(self) -> str:
        return f"ArchiveStore({str(self)!r})"

    def with_read_only(self, read_only: bool = False) -> "ArchiveStore":
        """Return the same store.

        Raises
        ------
        ValueError
            If it is to be written.
        """
        if not read_only:
            self._refuse()
        return self

    @property
    def waits_for_no_loop(self) -> bool:
        """Whether requests never wait for an event loop."""
        return self.file is not None

    _supports_sync_io = waits_for_no_loop
    """As zarr asks for it."""

    @property
    def directory(self) -> Directory:
        """The directory of the archive.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        return self._listed() if self.file is not None else sync(self._list_far())

    # ---- bytes

    def _bytes(self) -> _File:
        if self._open_file is None:
            assert self.file is not None
            opened = _File(self.file)
            if self._directory is not None and self._stamp not in (None, opened.stamp):
                raise ValueError(f"{self} has changed since it was opened; open it anew")
            self._open_file, self._stamp = opened, opened.stamp
        return self._open_file

    async def _range(self, start: int, stop: int) -> bytes:
        """Return bytes of the archive, all of them."""
        if stop <= start:
            return b""
        if self.file is not None:
            found = await asyncio.to_thread(self._bytes().read, start, stop)
        else:
            part = await self.place.get(byte_range=RangeByteRequest(start, stop))
            found = b"" if part is None else part.to_bytes()
        return self._all(found, start, stop)

    def _all(self, found: bytes, start: int, stop: int) -> bytes:
        if len(found) > stop - start:
            raise ValueError(f"{self}: its server does not answer ranges of bytes; copy the file to a local path")
        if len(found) < stop - start:
            raise ValueError(f"{self} ends before byte {stop:,}: it is cut, or was changed since it was opened")
        return found

    # ---- the directory

    def _listed(self) -> Directory:
        if self._directory is None:
            file = self._bytes()
            end = self._end(file.read(max(file.length - LONGEST_END, 0), file.length), file.length)
            self._directory = self._parsed(end, file.read(end.offset, end.offset + end.nbytes))
        return self._directory

    async def _list_far(self) -> Directory:
        if self._directory is None:
            if self.file is not None:
                return await asyncio.to_thread(self._listed)
            length = await self.place.store.getsize(self.place.path)
            start = max(length - LONGEST_END, 0)
            tail = await self._range(start, length)
            end = self._end(tail, length)
            known = end.offset >= start
            listed = tail[end.offset - start :] if known else await self._range(end.offset, end.offset + end.nbytes)
            self._directory = self._parsed(end, listed[: end.nbytes])
        return self._directory

    def _end(self, tail: bytes, length: int) -> ArchiveEnd:
        try:
            end = read_end(tail, length)
            check_directory(end)
        except ValueError as error:
            raise ValueError(f"{self} {error}") from error
        return end

    def _parsed(self, end: ArchiveEnd, listed: bytes) -> Directory:
        try:
            return directory_of(end, read_members(listed, end))
        except ValueError as error:
            raise ValueError(f"{self} {error}") from error

    # ---- members

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a member, or a part of it; None where there is none. Files of this machine alone are read so."""
        member = self._listed().members.get(key)
        if member is None:
            return None
        self._check(key, member)
        read, buffer = self._bytes().read, (prototype or default_buffer_prototype()).buffer
        if key not in self._data:
            self._place(key, member, read(member.offset, member.offset + LOCAL_HEADER.size))
        start = self._data[key]
        if member.method == STORED and byte_range is not None:
            first, last = _bounds(byte_range, member.nbytes)
            first, last = start + first, start + max(first, last)
            return buffer.from_bytes(self._all(read(first, last), first, last))
        whole = self._whole(key, member, read(start, start + member.stored))
        return buffer.from_bytes(whole if byte_range is None else whole[slice(*_bounds(byte_range, len(whole)))])

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a member, or a part of it; None where there is none."""
        member = (await self._list_far()).members.get(key)
        if member is None:
            return None
        if self.file is not None:
            return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)
        self._check(key, member)
        buffer = (prototype or default_buffer_prototype()).buffer
        if member.method == STORED and byte_range is not None:
            if key not in self._data:
                self._place(key, member, await self._range(member.offset, member.offset + LOCAL_HEADER.size))
            first, last = _bounds(byte_range, member.nbytes)
            at = self._data[key]
            return buffer.from_bytes(await self._range(at + first, at + last) if last > first else b"")
        span = await self._range(*self._span(member))
        start = self._place(key, member, span)
        stored = _within(span, start, member) or await self._range(start, start + member.stored)
        whole = self._whole(key, member, stored)
        return buffer.from_bytes(whole[slice(*_bounds(byte_range, len(whole)))])

    def _check(self, key: str, member: Member) -> None:
        """Raise a ValueError for a member that cannot be read, or is too long to be what it is."""
        if member.flags & ENCRYPTED or member.method not in (STORED, DEFLATED):
            how = "encrypted" if member.flags & ENCRYPTED else f"compressed by method {member.method}"
            raise ValueError(f"{self}/{key} is {how}, which is not read; unpack the archive with what made it")
        if member.method == STORED and member.stored != member.nbytes:
            raise ValueError(f"{self}/{key} is damaged: {member.nbytes:,} bytes are said to lie in {member.stored:,}")
        if is_document(key):
            check_length(member.nbytes, f"{self}/{key}")
        if member.method == DEFLATED and member.nbytes > INFLATED_NBYTES:
            raise ValueError(
                f"{self}/{key} is {format_nbytes(member.nbytes)} long and stored compressed; at most"
                f" {format_nbytes(INFLATED_NBYTES)} are read so: unpack the archive"
            )

    def _span(self, member: Member) -> tuple[int, int]:
        """Return the bytes that hold a member with its header, unless that is long; the directory comes after all."""
        assert self._directory is not None
        longest = LOCAL_HEADER.size + len(member.name.encode()) + HEADER_SLACK + member.stored
        return member.offset, min(member.offset + longest, self._directory.end.offset)

    def _place(self, key: str, member: Member, header: bytes) -> int:
        """Return where the bytes of a member begin, and note it."""
        try:
            start = data_offset(header, member)
        except ValueError as error:
            raise ValueError(f"{self} {error}") from error
        self._data[key] = start
        return start

    def _whole(self, key: str, member: Member, stored: bytes | memoryview) -> bytes:
        """Return a member from its bytes in the archive.

        Raises
        ------
        ValueError
            If it is not what was written.
        """
        try:
            whole = bytes(stored) if member.method == STORED else _inflated(stored, member.nbytes)
        except zlib.error as error:
            raise ValueError(f"{self}/{key} cannot be inflated: {error}") from error
        if len(whole) != member.nbytes or zlib.crc32(whole) != member.crc:
            raise ValueError(f"{self}/{key} is damaged: it is not what the archive's directory says of it")
        if is_document(key):
            check_document(whole, f"{self}/{key}")
        return whole

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of members."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether there is a member."""
        return key in (await self._list_far()).members

    async def getsize(self, key: str) -> int:
        """Return the bytes of a member."""
        member = (await self._list_far()).members.get(key)
        if member is None:
            raise FileNotFoundError(f"there is no {key} in {self}")
        return member.nbytes

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for key in (await self._list_far()).keys:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with a prefix."""
        for key in (await self._list_far()).keys_below(prefix):
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names at a path."""
        for name in (await self._list_far()).names_in(prefix.rstrip("/")):
            yield name

    # ---- what it cannot do

    def _refuse(self) -> NoReturn:
        raise ValueError(f"{self} is a single file, which is only read; unpack it, change that, and pack it")

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        self._refuse()

    async def delete(self, key: str) -> None:
        """Refuse."""
        self._refuse()

    def set_sync(self, key: str, value: Buffer) -> None:
        """Refuse."""
        self._refuse()

    def delete_sync(self, key: str) -> None:
        """Refuse."""
        self._refuse()


def _bounds(byte_range: ByteRequest | None, nbytes: int) -> tuple[int, int]:
    """Return the first byte of a range of so many, and the one after the last."""
    if isinstance(byte_range, RangeByteRequest):
        return min(byte_range.start, nbytes), min(byte_range.end, nbytes)
    if isinstance(byte_range, OffsetByteRequest):
        return min(byte_range.offset, nbytes), nbytes
    if isinstance(byte_range, SuffixByteRequest):
        return max(nbytes - byte_range.suffix, 0), nbytes
    return 0, nbytes


def _within(span: bytes, start: int, member: Member) -> memoryview | None:
    """Return the part of a member's span that begins at a byte of the archive; None if it does not hold all of it."""
    first = start - member.offset
    return memoryview(span)[first : first + member.stored] if first + member.stored <= len(span) else None


def _inflated(stored: bytes | memoryview, nbytes: int) -> bytes:
    """Return a member that is stored compressed; no more than one byte too much of it."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    return inflating.decompress(stored, nbytes + 1)
