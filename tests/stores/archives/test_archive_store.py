"""Archives that others have made, read as a store: Python's zipfile is the oracle; and those that are damaged."""

import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings, strategies as st
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath

from daskome.stores.archives import archive_store
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.location import archive_at, locate, url_of
from tests.stores.archives.archived import PIXELS, image_folder, with_end, zipped

names = st.text(st.sampled_from("abé0"), min_size=1, max_size=3)
keys = st.lists(names, min_size=1, max_size=3).map("/".join)
files = st.dictionaries(keys, st.binary(max_size=200), max_size=8)
methods = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
numbers = st.integers(0, 250)


def far(path: Path) -> ArchiveStore:
    """Return an archive as an object of a store that answers ranges."""
    data = default_buffer_prototype().buffer.from_bytes(path.read_bytes())
    return ArchiveStore(StorePath(MemoryStore({"archive": data}), "archive"))


def both(path: Path) -> list[ArchiveStore]:
    return [ArchiveStore(StorePath(LocalStore(path.parent), path.name), path), far(path)]


def listed(found: Any) -> list[str]:
    async def collect() -> list[str]:
        return [name async for name in found]

    return sorted(sync(collect()))


@settings(max_examples=25, deadline=None)
@given(files=files, method=methods, comment=st.binary(max_size=30), zip64=st.booleans(), first=numbers, last=numbers)
def test_all_is_read_as_zipfile_has_written_it(
    tmp_path_factory: pytest.TempPathFactory,
    files: dict[str, bytes],
    method: int,
    comment: bytes,
    zip64: bool,
    first: int,
    last: int,
) -> None:
    path = zipped(tmp_path_factory.mktemp("a") / "a.zip", files, method, comment, zip64)
    first, last = sorted((first, last))
    buffers = default_buffer_prototype()
    for store in both(path):
        assert store.directory.end.comment == comment
        assert listed(store.list()) == sorted(files)
        for folder in {key.rpartition("/")[0] for key in files} | {"", "no"}:
            below = {key.removeprefix(f"{folder}/") for key in files if not folder or key.startswith(f"{folder}/")}
            assert listed(store.list_dir(folder)) == sorted({key.split("/")[0] for key in below})
            assert listed(store.list_prefix(folder)) == sorted(key for key in files if key.startswith(folder))
        for key, data in files.items():
            parts = {
                None: data,
                RangeByteRequest(first, last): data[first:last],
                OffsetByteRequest(first): data[first:],
                SuffixByteRequest(last): data[-last:] if last else b"",
            }
            for part, expected in parts.items():
                assert sync(store.get(key, buffers, part)).to_bytes() == expected
            assert sync(store.getsize(key)) == len(data)
        assert sync(store.get("nothing", buffers)) is None
        assert not sync(store.exists("nothing"))


def test_many_threads_and_other_processes_read_one(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", image_folder(tmp_path / "a"))
    for store in both(path):
        for one in (store, pickle.loads(pickle.dumps(store))):
            assert one == store
            np.testing.assert_array_equal(zarr.open_array(one, path="s0", mode="r")[...], PIXELS)


def test_a_directory_of_many_members_does_not_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", image_folder(tmp_path / "a"))
    monkeypatch.setattr(archive_store, "TRAVELLING_MEMBERS", 3)
    store = both(path)[0]
    assert store.directory is not pickle.loads(pickle.dumps(store))._directory
    again = pickle.loads(pickle.dumps(store))
    assert again._directory is None
    assert again.directory == store.directory


def test_what_takes_the_name_of_an_open_file_is_not_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"old"})
    store = both(path)[0]
    assert store.get_sync("a").to_bytes() == b"old"  # type: ignore[union-attr]
    travelling = pickle.dumps(store)
    zipped(tmp_path / "b.zip", {"b": b"other", "a": b"new"}).replace(path)
    assert store.get_sync("a").to_bytes() == b"old"  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=r"has changed since it was opened"):
        pickle.loads(travelling).get_sync("a")


def test_the_requests_for_a_far_archive_are_few(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", image_folder(tmp_path / "a"))
    asked: list[Any] = []

    class Counted(MemoryStore):
        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            asked.append(byte_range)
            return await super().get(key, prototype or default_buffer_prototype(), byte_range)

    data = default_buffer_prototype().buffer.from_bytes(path.read_bytes())
    store = ArchiveStore(StorePath(Counted({"archive": data}), "archive"))
    buffers = default_buffer_prototype()
    for key in store.directory.keys:
        sync(store.get(key, buffers))
    assert len(asked) == 2 + len(store.directory.keys)  # Its length; its end, which holds the directory; members.
    asked.clear()
    sync(store.get("s0/c/0/0", buffers, SuffixByteRequest(4)))
    assert len(asked) == 1  # Where the member begins is known by now.


def test_a_server_without_ranges_is_no_garbage(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": bytes(2**18)})

    class Whole(MemoryStore):
        async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
            return await super().get(key, prototype or default_buffer_prototype())

    data = default_buffer_prototype().buffer.from_bytes(path.read_bytes())
    store = ArchiveStore(StorePath(Whole({"archive": data}), "archive"))
    with pytest.raises(ValueError, match="does not answer ranges of bytes; copy the file to a local path"):
        _ = store.directory


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(0, 10**6), data=st.data())
def test_a_cut_archive_is_an_error_that_names_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, data: st.DataObject
) -> None:
    """At whatever byte, from the front too; never garbage, and never less than there was."""
    folder = tmp_path_factory.mktemp("a")
    path = zipped(folder / "a.zip", {"a": b"1234" * 20, "b/c": b"5678"})
    whole = path.read_bytes()
    cut %= len(whole) - 1
    path.write_bytes(data.draw(st.sampled_from([whole[: cut + 1], whole[cut + 1 :]])))
    for store in both(path):
        with pytest.raises(ValueError, match=r"is cut|damaged end"):
            _ = store.directory


DAMAGED = {
    "a part of several": (lambda path: with_end(path, disk=1), "one of several parts"),
    "more members than fit": (lambda path: with_end(path, here=60000, members=60000), "no room for the 60,000 members"),
    "one member too many": (lambda path: with_end(path, here=3, members=3), "damaged directory|no room"),
    "another place": (lambda path: with_end(path, offset=3), "does not have its directory where its end says"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_end_is_an_error(case: str, tmp_path: Path) -> None:
    damage, message = DAMAGED[case]
    path = damage(zipped(tmp_path / "a.zip", {"a": b"1234", "b": b"5678"}))
    with pytest.raises(ValueError, match=message):
        _ = both(path)[0].directory


@settings(max_examples=25, deadline=None)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7), method=methods)
def test_one_bit_that_is_another_is_an_error_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, method: int
) -> None:
    """What is read is what was written, or an error that names the archive; unless a name has become another."""
    files = {"zarr.json": b'{"a": 1}', "s0/c/0": bytes(range(100))}
    path = zipped(tmp_path_factory.mktemp("a") / "a.zip", files, method, zip64=False)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(bytes(data))
    for store in both(path):
        for key, expected in files.items():
            try:
                found = sync(store.get(key, default_buffer_prototype()))
            except ValueError as error:
                assert "archive" in str(error) or "a.zip" in str(error)  # noqa: PT017
            else:
                assert found is None or found.to_bytes() == expected


def test_a_member_that_becomes_too_long_is_not_inflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(archive_store, "INFLATED_NBYTES", 10**5)
    for store in both(path):
        with pytest.raises(ValueError, match=r"a is 977 KiB long and stored compressed; at most"):
            sync(store.get("a", default_buffer_prototype()))


def test_a_directory_that_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"", "b": b""})
    monkeypatch.setattr("daskome.stores.archives.directory.DIRECTORY_NBYTES", 50)
    with pytest.raises(ValueError, match=r"a directory of 94 B, and at most 50 B of it are read"):
        _ = both(path)[0].directory


def test_names_that_lead_out_are_no_keys(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"../a": b"1", "/b": b"2", "c/../../d": b"3", "e\\f": b"4", "good": b"5"})
    directory = both(path)[0].directory
    assert directory.keys == ("good",)
    assert len(directory.outside) == 4


def test_what_is_encrypted_or_compressed_otherwise_says_so(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"1234"}, zipfile.ZIP_BZIP2)
    for store in both(path):
        with pytest.raises(ValueError, match="a is compressed by method 12, which is not read"):
            sync(store.get("a", default_buffer_prototype()))


def test_no_more_of_a_member_is_read_than_there_is(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a": b"1234", "b": b"secret"}, zip64=False)
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 60)
    path.write_bytes(bytes(data))
    for store in both(path):
        with pytest.raises(ValueError, match="a is damaged"):
            sync(store.get("a", default_buffer_prototype(), RangeByteRequest(0, 60)))


def test_it_is_only_read(tmp_path: Path) -> None:
    store = both(zipped(tmp_path / "a.zip", {"a": b"1"}))[0]
    value = default_buffer_prototype().buffer.from_bytes(b"2")
    for change in (
        lambda: sync(store.set("a", value)),
        lambda: store.set_sync("a", value),
        lambda: sync(store.delete("a")),
        lambda: store.delete_sync("a"),
        lambda: store.with_read_only(False),
    ):
        with pytest.raises(ValueError, match="is only read; unpack it, change that, and pack it"):
            change()
    assert store.with_read_only(True) == store


def test_where_single_files_are(tmp_path: Path) -> None:
    """A path leads into a file, if it is one; a folder of such a name stays a folder."""
    zipped(tmp_path / "a.ozx", image_folder(tmp_path / "a"))
    inside = locate(tmp_path / "a.ozx" / "labels" / "cells", read_only=True)
    assert isinstance(inside.store, ArchiveStore)
    assert inside.path == "labels/cells"
    assert url_of(inside) == f"{tmp_path}/a.ozx/labels/cells"
    (tmp_path / "b.zip").mkdir()
    for read_only in (True, False):
        assert isinstance(locate(tmp_path / "b.zip", read_only=read_only).store, LocalStore)
        assert not (tmp_path / "c.ozx.partial").exists()
    assert locate(tmp_path / "c.ozx").store.root == tmp_path / "c.ozx.partial"  # type: ignore[attr-defined]
    assert locate(tmp_path / "a.ozx", replaces=True).store.root == tmp_path / "a.ozx.partial"  # type: ignore[attr-defined]
    assert archive_at(StorePath(LocalStore(tmp_path), "nothing.ozx")) is None
