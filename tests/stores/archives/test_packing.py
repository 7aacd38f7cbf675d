"""What is packed: read by others' programs, the same bytes each time, at any size; and files that appear at once."""

import io
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath

import daskome
from daskome.stores.archives import packing
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.archives.file_output import file_output
from daskome.stores.archives.packing import objects_below, pack_objects
from daskome.stores.archives.zip_records import Member, end_of, entry_of, header_of, read_end, read_members
from tests.stores.archives.test_archive_store import files


def in_memory(objects: dict[str, bytes]) -> StorePath:
    buffer = default_buffer_prototype().buffer
    return StorePath(MemoryStore({key: buffer.from_bytes(data) for key, data in objects.items()}))


def packed(folder: Path, objects: dict[str, bytes], comment: bytes = b"") -> Path:
    source, place = in_memory(objects), StorePath(LocalStore(folder), "a.zip")
    nbytes = pack_objects(source, objects_below(source), place, comment)
    assert (folder / "a.zip").stat().st_size == nbytes
    assert os.listdir(folder) == ["a.zip"]
    return folder / "a.zip"


@settings(max_examples=30, deadline=None)
@given(files=files, comment=st.binary(max_size=30).filter(lambda data: b"PK" not in data))
def test_zipfile_reads_what_is_packed(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], comment: bytes
) -> None:
    path = packed(tmp_path_factory.mktemp("a"), files, comment)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert archive.comment == comment
        assert all(info.extract_version == 45 and not info.compress_type for info in archive.infolist())
    again = packed(tmp_path_factory.mktemp("b"), dict(reversed(files.items())), comment)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_unzip_reads_what_is_packed(tmp_path: Path) -> None:
    path = packed(tmp_path, {"zarr.json": b"{}", "a/é": bytes(1000), "empty": b""}, b"comment")
    assert subprocess.run(["unzip", "-tq", str(path)], capture_output=True).returncode == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), min_size=1, max_size=4), st.integers(0, 2**40))
def test_records_of_any_size_are_read_as_they_were_made(sizes: list[tuple[int, int]], offset: int) -> None:
    """More than 4 GiB, and more than 65,535 members, without the bytes; by zipfile, too."""
    members = [Member(f"m{n}", min(at, offset), size, size, n) for n, (at, size) in enumerate(sizes)]
    offset = max(m.offset + 32 + m.stored for m in members) + 10
    directory = b"".join(map(entry_of, members))
    tail = directory + end_of(offset, len(directory), len(members), b"said")
    end = read_end(tail, offset + len(tail))
    assert list(read_members(directory, end)) == members
    assert (end.offset, end.comment, end.is_zip64) == (offset, b"said", True)
    with zipfile.ZipFile(Sparse(offset, tail)) as archive:
        assert [(i.filename, i.header_offset, i.file_size, i.CRC) for i in archive.infolist()] == [
            (m.name, m.offset, m.nbytes, m.crc) for m in members
        ]


class Sparse(io.RawIOBase):
    """A file that begins with many bytes that nobody reads."""

    def __init__(self, offset: int, tail: bytes) -> None:
        self.offset, self.tail, self.at = offset, tail, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, at: int, whence: int = 0) -> int:
        self.at = at + (0, self.at, self.offset + len(self.tail))[whence]
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, n: int = -1) -> bytes:
        end = self.offset + len(self.tail)
        stop = end if n < 0 else min(self.at + n, end)
        zeros = bytes(max(min(stop, self.offset) - self.at, 0))
        found = zeros + self.tail[max(self.at - self.offset, 0) : max(stop - self.offset, 0)]
        self.at = stop
        return found


def test_more_members_than_16_bits_count(tmp_path: Path) -> None:
    """The fields that are too short say so; the end of ZIP64 counts."""
    member = Member("a", 0, 0, 0, 0)
    directory = entry_of(member) * 70_000
    end = read_end(directory + end_of(100, len(directory), 70_000, b""), 100 + len(directory) + 98)
    assert end.members == 70_000
    assert len(header_of(member)) == 30 + 1 + 20


def test_large_files_are_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(os.urandom(10_000))
    source = StorePath(LocalStore(tmp_path / "in"))
    monkeypatch.setattr(packing, "PIECE_NBYTES", 1000)
    pack_objects(source, ["a"], StorePath(LocalStore(tmp_path), "a.zip"), b"")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.read("a") == (tmp_path / "in" / "a").read_bytes()


def test_journals_litter_and_unfinished_files_are_left_out(tmp_path: Path) -> None:
    names = ["zarr.json", ".daskome/current", "a/.daskome/claims/x", ".DS_Store", "a/._b", "a/b.0.partial", "a/b", "é"]
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"1")
    for source in (StorePath(LocalStore(tmp_path / "in")), in_memory(dict.fromkeys(names, b"1"))):
        assert sorted(objects_below(source)) == ["a/b", "zarr.json", "é"]


def test_links_to_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="link is a link to"):
        objects_below(StorePath(LocalStore(tmp_path / "in")))


def test_links_to_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"link is a link to .*gone"):
        objects_below(StorePath(LocalStore(tmp_path)))


@pytest.mark.parametrize(("version", "key"), [("0.1", "s1/0.0.0.0.0"), ("0.4", "s1/0/0"), ("0.5", "s1/c/0/0")])
@pytest.mark.parametrize("inside", ["", "a/b"])
def test_a_folder_in_the_place_of_a_chunk_is_refused(tmp_path: Path, version: str, key: str, inside: str) -> None:
    """Other empty folders hold nothing that could be lost."""
    daskome.write_image(np.ones((16, 16), "uint8"), tmp_path / inside, [2], fmt=version, axes="yx")
    place, chunk = StorePath(LocalStore(tmp_path)), tmp_path / inside / key
    whole = set(objects_below(place))
    (tmp_path / "nothing" / "c" / "0").mkdir(parents=True)
    chunk.unlink()
    assert whole - set(objects_below(place)) == {chunk.relative_to(tmp_path).as_posix()}
    chunk.mkdir()
    for beside in (None, ".DS_Store", "a folder/file"):
        if beside is not None:
            (chunk / beside).parent.mkdir(exist_ok=True)
            (chunk / beside).touch()
        with pytest.raises(ValueError, match=f"{chunk} is a folder, where an array keeps a chunk"):
            objects_below(place)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are none")
def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """To read a pipe takes for ever. What is not packed may be anything."""
    os.mkfifo(tmp_path / ".DS_Store")
    assert objects_below(StorePath(LocalStore(tmp_path))) == []
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is neither a file nor a folder"):
        objects_below(StorePath(LocalStore(tmp_path)))


# ---- the file


def test_a_file_appears_at_once_and_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    place = StorePath(LocalStore(tmp_path), "a.zip")
    with file_output(place, replace=False) as file:
        file.write(b"old")
        assert os.listdir(tmp_path) == ["a.zip.packing"]
    with pytest.raises(RuntimeError), file_output(place, replace=True) as file:
        broken(file)
    assert os.listdir(tmp_path) == ["a.zip"]
    assert (tmp_path / "a.zip").read_bytes() == b"old"
    with file_output(place, replace=True) as file:
        file.write(b"new")
        assert (tmp_path / "a.zip").read_bytes() == b"old"
    assert (tmp_path / "a.zip").read_bytes() == b"new"


def broken(file: Any) -> None:
    file.write(b"new")
    raise RuntimeError


def test_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    """Not one that was there, nor one that comes meanwhile, nor a folder."""
    place = StorePath(LocalStore(tmp_path), "a.zip")
    with pytest.raises(FileExistsError, match="since a moment ago"), file_output(place, replace=False):
        (tmp_path / "a.zip").write_bytes(b"other")
    with pytest.raises(FileExistsError, match="overwrite=True replaces all of it"), file_output(place, replace=False):
        pass
    assert (tmp_path / "a.zip").read_bytes() == b"other"
    (tmp_path / "b.zip").mkdir()
    with (
        pytest.raises(FileExistsError, match="is a folder"),
        file_output(StorePath(LocalStore(tmp_path), "b.zip"), replace=True),
    ):
        pass


@pytest.mark.extended
def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    place = StorePath(LocalStore(tmp_path), "a.zip")
    code = f"""
from zarr.storage import LocalStore, StorePath
from daskome.stores.archives.file_output import file_output
try:
    with file_output(StorePath(LocalStore({str(tmp_path)!r}), "a.zip"), replace=True) as file:
        file.write(b"theirs")
except FileExistsError as error:
    print(error)
"""
    with file_output(place, replace=False) as file:
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        file.write(b"ours")
    assert "is being written by another process" in said
    assert (tmp_path / "a.zip").read_bytes() == b"ours"


def test_what_a_killed_process_has_left_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "a.zip.packing").write_bytes(bytes(10**5))
    path = packed(tmp_path, {"a": b"1"})
    assert ArchiveStore(StorePath(LocalStore(tmp_path), "a.zip"), path).directory.keys == ("a",)


def test_stores_that_hold_no_files_say_so() -> None:
    with pytest.raises(PermissionError, match="a file cannot be written there"):
        pack_objects(in_memory({"a": b"1"}), ["a"], StorePath(MemoryStore(), "a.zip"), b"")


def test_an_object_that_goes_meanwhile_is_an_error(tmp_path: Path) -> None:
    source: Any = in_memory({"a": b"1"})
    keys = objects_below(source)
    sync(source.store.delete("a"))
    with pytest.raises(FileNotFoundError, match="a is gone since it was listed"):
        pack_objects(source, keys, StorePath(LocalStore(tmp_path), "a.zip"), b"")
    assert os.listdir(tmp_path) == []


def test_a_kill_between_the_two_names_of_a_file_leaves_it_whole(tmp_path: Path) -> None:
    file = packed(tmp_path, {"zarr.json": b"{}"})
    before = file.read_bytes()
    os.link(file, tmp_path / "a.zip.packing")
    with suppress(KeyboardInterrupt), file_output(StorePath(LocalStore(tmp_path), "a.zip"), True) as output:
        output.write(b"new")
        assert file.read_bytes() == before
        raise KeyboardInterrupt
    assert file.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.zip"]
