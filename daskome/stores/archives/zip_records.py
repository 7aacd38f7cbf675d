"""The records of a ZIP archive, read and made: its end, its directory, and the header before each member.

::

    header member header member …  directory  [end of ZIP64, its locator]  end, comment

What is read was written by others: counts and places are checked against the bytes that there are.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

LOCAL_HEADER = struct.Struct("<4s5H3L2H")
CENTRAL_HEADER = struct.Struct("<4s6H3L5H2L")
END_RECORD = struct.Struct("<4s4H2LH")
END64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR = struct.Struct("<4sLQL")
EXTRA64 = struct.Struct("<2H")
HEADER_MARK, ENTRY_MARK, END_MARK = b"PK\3\4", b"PK\1\2", b"PK\5\6"
END64_MARK, LOCATOR_MARK = b"PK\6\6", b"PK\6\7"
LONGEST_COMMENT = 2**16 - 1
LONGEST_END = END64.size + LOCATOR.size + END_RECORD.size + LONGEST_COMMENT
FULL16, FULL32 = 2**16 - 1, 2**32 - 1
"""What a number is that stands in the part of a record for ZIP64 instead."""
STORED, DEFLATED = 0, 8
ENCRYPTED, UTF8 = 0x1, 0x800
ZIP64_VERSION = 45
MADE_BY_UNIX = 3 << 8
FILE_MODE = 0o100644 << 16
EPOCH = (0, (1 << 5) | 1)
"""Time and date of all members that are written, the earliest there are: the same pixels make the same bytes."""


class Member(NamedTuple):
    """One of an archive's members, as its directory describes it.

    Attributes
    ----------
    name : str
    offset : int
        Of its header.
    stored : int
        Bytes in the archive, behind the header.
    nbytes : int
        Bytes of what it is.
    crc : int
    method : int
        `STORED`, `DEFLATED`, or what is not read.
    flags : int
    needs : int
        The version of ZIP that who reads it must know, times ten.
    """

    name: str
    offset: int
    stored: int
    nbytes: int
    crc: int
    method: int = STORED
    flags: int = UTF8
    needs: int = ZIP64_VERSION


@dataclass(frozen=True, slots=True)
class ArchiveEnd:
    """What the end of an archive says: where its directory lies, of how many members, and the comment."""

    offset: int
    nbytes: int
    members: int
    comment: bytes
    is_zip64: bool


def read_end(tail: bytes, length: int) -> ArchiveEnd:
    """Return what the last bytes of a file say, of `LONGEST_END` or of all of it.

    Raises
    ------
    ValueError
        If it is no archive, is cut, or is a part of one.
    """
    at = _find_end(tail)
    if at < 0:
        raise ValueError("has no directory at its end: it is cut, or no ZIP archive")
    _, disk, first, here, members, nbytes, offset, _ = END_RECORD.unpack_from(tail, at)
    comment, is_zip64 = tail[at + END_RECORD.size :], False
    before = length - len(tail) + at
    if at >= LOCATOR.size and tail[at - LOCATOR.size : at].startswith(LOCATOR_MARK):
        _, disk, before, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
        is_zip64, at64 = True, before - (length - len(tail))
        if not 0 <= at64 <= at - LOCATOR.size - END64.size or not tail.startswith(END64_MARK, at64):
            raise ValueError("has a damaged end")
        _, _, _, _, disk, first, here, members, nbytes, offset = END64.unpack_from(tail, at64)
    if disk or first or here != members:
        raise ValueError("is one of several parts of an archive; join them first")
    if offset + nbytes != before:
        raise ValueError("does not have its directory where its end says: it is cut, or something was put before it")
    if members * CENTRAL_HEADER.size > nbytes:
        raise ValueError(f"has no room for the {members:,} members that its end states")
    return ArchiveEnd(offset, nbytes, members, comment, is_zip64)


def _find_end(tail: bytes) -> int:
    """Return where the end of an archive begins whose comment fills the rest; -1 if there is none."""
    at = tail.rfind(END_MARK)
    while at >= 0:
        if at + END_RECORD.size <= len(tail) and at + END_RECORD.size + END_RECORD.unpack_from(tail, at)[-1] == len(
            tail
        ):
            return at
        at = tail.rfind(END_MARK, 0, at)
    return -1


def read_members(directory: bytes, end: ArchiveEnd) -> Iterator[Member]:
    """Yield the members that a directory lists.

    Raises
    ------
    ValueError
        If it is damaged.
    """
    at = 0
    for _ in range(end.members):
        member, at = _read_member(directory, at, end)
        yield member


def _read_member(directory: bytes, at: int, end: ArchiveEnd) -> tuple[Member, int]:
    """Return the member that is listed at a byte of a directory, and where the next one is."""
    if at + CENTRAL_HEADER.size > len(directory) or not directory.startswith(ENTRY_MARK, at):
        raise ValueError(f"has a damaged directory, at its byte {at:,}")
    fields = CENTRAL_HEADER.unpack_from(directory, at)
    _, _, needs, flags, method, _, _, crc, stored, nbytes, n_name, n_extra, n_comment, *_, offset = fields
    at += CENTRAL_HEADER.size
    name, extra = _decoded(directory[at : at + n_name], flags), directory[at + n_name : at + n_name + n_extra]
    at += n_name + n_extra + n_comment
    if at > len(directory):
        raise ValueError("has a damaged directory: its last member is cut")
    if FULL32 in (stored, nbytes, offset):
        nbytes, stored, offset = _wide(extra, (nbytes, stored, offset))
    if offset + LOCAL_HEADER.size + n_name + stored > end.offset:
        raise ValueError(f"lists {name!r} where there are no such bytes: it is cut or damaged")
    return Member(name, offset, stored, nbytes, crc, method, flags, needs & 0xFF), at


def _wide(extra: bytes, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return numbers, those that are full from the part of a record that is there for ZIP64."""
    at = 0
    while at + EXTRA64.size <= len(extra):
        kind, n = EXTRA64.unpack_from(extra, at)
        at += EXTRA64.size
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(n, len(extra) - at) // 8}Q", extra, at))
            found = tuple(next(wide, -1) if number == FULL32 else number for number in numbers)
            if -1 in found:
                break
            return found
        at += n
    raise ValueError("has a damaged directory: a size of more than 4 GiB is missing")


def _decoded(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & UTF8 else "cp437", errors="replace")


def data_offset(header: bytes, member: Member) -> int:
    """Return where the bytes of a member begin, from the header before them, or `LOCAL_HEADER.size` bytes of it.

    Raises
    ------
    ValueError
        If that is not the header of this member.
    """
    if len(header) < LOCAL_HEADER.size or not header.startswith(HEADER_MARK):
        raise ValueError(
            f"has no member where {member.name!r} is listed: it was changed since it was opened, or damaged"
        )
    n_name, n_extra = map(int, LOCAL_HEADER.unpack_from(header)[-2:])
    return member.offset + LOCAL_HEADER.size + n_name + n_extra


def header_of(member: Member) -> bytes:
    """Return the header before a member that is written: with the sizes of ZIP64, whatever they are."""
    name = member.name.encode()
    fixed = (HEADER_MARK, ZIP64_VERSION, member.flags, member.method, *EPOCH, member.crc, FULL32, FULL32)
    sizes = struct.pack("<2H2Q", 1, 16, member.nbytes, member.stored)
    return LOCAL_HEADER.pack(*fixed, len(name), len(sizes)) + name + sizes


def entry_of(member: Member) -> bytes:
    """Return the entry of a member in the directory that is written."""
    name, numbers = member.name.encode(), (member.nbytes, member.stored, member.offset)
    wide = [number for number in numbers if number >= FULL32]
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    nbytes, stored, offset = (min(number, FULL32) for number in numbers)
    versions = (MADE_BY_UNIX | ZIP64_VERSION, ZIP64_VERSION)
    fixed = (ENTRY_MARK, *versions, member.flags, member.method, *EPOCH, member.crc, stored, nbytes)
    return CENTRAL_HEADER.pack(*fixed, len(name), len(extra), 0, 0, 0, FILE_MODE, offset) + name + extra


def end_of(offset: int, nbytes: int, members: int, comment: bytes) -> bytes:
    """Return the end of an archive whose directory lies there: that of ZIP64, and the other."""
    versions = (MADE_BY_UNIX | ZIP64_VERSION, ZIP64_VERSION)
    end64 = END64.pack(END64_MARK, END64.size - 12, *versions, 0, 0, members, members, nbytes, offset)
    locator = LOCATOR.pack(LOCATOR_MARK, 0, offset + nbytes, 1)
    count, size, place = min(members, FULL16), min(nbytes, FULL32), min(offset, FULL32)
    return end64 + locator + END_RECORD.pack(END_MARK, 0, 0, count, count, size, place, len(comment)) + comment
