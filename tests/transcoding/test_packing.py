"""`daskome.pack` and `daskome.unpack`: what they take, what they refuse, and that not a byte changes."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.stores.archives.zip_records import end_of, entry_of, read_end, read_members
from daskome.transcoding import packing
from tests.stores.archives.archived import IMAGE, PIXELS, image_folder, zipped
from tests.written import contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    image_folder(tmp_path / "a.ome.zarr")
    return tmp_path / "a.ome.zarr"


@pytest.mark.parametrize("fmt", ["0.4", pytest.param("0.6", marks=pytest.mark.extended)])
def test_what_is_packed_is_unpacked_as_it_was(fmt: str, tmp_path: Path) -> None:
    """From a folder, a store or another archive, into a folder or a store."""
    options = {"storage_options": {"chunks": 8}, "fmt": fmt}
    image_folder(tmp_path / "a", **options)
    (tmp_path / "a" / "OME").mkdir()
    (tmp_path / "a" / "OME" / "METADATA.ome.xml").write_text("<OME/>")
    calls: list[tuple[int, int]] = []
    done = daskome.pack(tmp_path / "a", tmp_path / "a.zip", progress=lambda *n: calls.append(n))
    assert calls[-1] == (done.objects, len(contents(tmp_path / "a")))
    assert done.nbytes == (tmp_path / "a.zip").stat().st_size
    store = MemoryStore()
    daskome.unpack(tmp_path / "a.zip", store)
    assert {key: data.to_bytes() for key, data in store._store_dict.items()} == contents(tmp_path / "a")
    for k, source in enumerate((store, zarr.open_group(store, mode="r"), tmp_path / "a.zip")):
        daskome.pack(source, tmp_path / f"{k}.zip")
        assert (tmp_path / f"{k}.zip").read_bytes() == (tmp_path / "a.zip").read_bytes()
    daskome.unpack(tmp_path / "a.zip", tmp_path / "b", progress=lambda *n: calls.append(n))
    assert calls[-1] == (done.objects, done.objects)
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_an_archive_of_others_is_brought_into_form(folder: Path, tmp_path: Path) -> None:
    files = dict(reversed(contents(folder).items()))
    daskome.pack(zipped(tmp_path / "others.zip", files, zipfile.ZIP_DEFLATED), tmp_path / "a.ozx")
    daskome.pack(folder, tmp_path / "b.ozx")
    assert (tmp_path / "a.ozx").read_bytes() == (tmp_path / "b.ozx").read_bytes()


def test_a_part_of_a_hierarchy_is_one(folder: Path, tmp_path: Path) -> None:
    daskome.pack(folder / "labels" / "cells", tmp_path / "cells.ozx")
    assert daskome.open(tmp_path / "cells.ozx").dask.shape == PIXELS.shape
    daskome.pack(folder, tmp_path / "a.ozx")
    daskome.unpack(tmp_path / "a.ozx" / "labels" / "cells", tmp_path / "cells")
    assert contents(tmp_path / "cells") == contents(folder / "labels" / "cells")


def begun(target: Path) -> Path:
    daskome.write_image(PIXELS, target, [2], compute="init", **IMAGE)
    return target


def with_unfinished_labels(target: Path) -> Path:
    daskome.write_image(PIXELS, target, [2], **IMAGE)
    daskome.write_labels((PIXELS % 5).astype("uint8"), target, "cells", [2], compute="init", **IMAGE)
    return target


def old(target: Path) -> Path:
    daskome.write_image(PIXELS, target, [2], fmt="0.4", **IMAGE)
    return target


def with_archive(target: Path) -> Path:
    daskome.write_image(PIXELS, target, [2], **IMAGE)
    (target / "raw.zip").write_bytes(b"PK")
    return target


def bare(target: Path) -> Path:
    zarr.create_group(target)
    return target


def array(target: Path) -> Path:
    zarr.create_array(target, shape=(3,), dtype="uint8")
    return target


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("make", "file", "message"),
    [
        (begun, "a.ozx", "writing it was not completed|is unfinished"),
        (with_unfinished_labels, "a.ozx", "is unfinished: finish writing it"),
        (old, "a.ozx", "an .ozx holds zarr v3, and OME-Zarr 0.4 is stored in v2"),
        (with_archive, "a.ozx", "raw.zip is an archive, which an .ozx must not hold"),
        (bare, "a.zip", "holds no OME-Zarr"),
        (array, "a.zip", "there is no zarr group"),
        (lambda path: path, "a.zip", "there is no zarr group"),
        (old, "a.tar", "must end in .ozx or .zip"),
        (old, "in/s0/a.zip", "lies in .*in, which it is to hold"),
    ],
)
def test_what_is_not_packed(make: Callable[[Path], Path], file: str, message: str, tmp_path: Path) -> None:
    source = make(tmp_path / "in")
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=message):
        daskome.pack(source, tmp_path / file)
    assert contents(tmp_path) == before


def test_an_ozx_does_not_lie_in_a_hierarchy(folder: Path, tmp_path: Path) -> None:
    daskome.write_image(PIXELS, tmp_path / "other", [2], **IMAGE)
    with pytest.raises(ValueError, match="would lie inside the zarr hierarchy"):
        daskome.pack(folder, tmp_path / "other" / "a.ozx")


def test_a_file_is_replaced_on_request(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.ozx").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.pack(folder, tmp_path / "a.ozx")
    assert (tmp_path / "a.ozx").read_bytes() == b"mine"
    daskome.pack(folder, tmp_path / "a.ozx", overwrite=True)
    assert daskome.validate(tmp_path / "a.ozx") == []


def test_an_unpack_that_was_killed_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daskome.pack(folder, tmp_path / "a.ozx")
    put, calls = packing.put_object, iter(range(99))

    def broken(*args: Any) -> None:
        if next(calls) == 9:
            raise OSError(28, "No space left on device")
        put(*args)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "put_object", broken)
        with pytest.raises(daskome.WriteError, match=r"could not be unpacked: .*The same call goes on"):
            daskome.unpack(tmp_path / "a.ozx", tmp_path / "b")
    assert not (tmp_path / "b" / "zarr.json").exists()
    daskome.unpack(tmp_path / "a.ozx", tmp_path / "b")
    assert contents(tmp_path / "b") == contents(folder)


def test_the_documents_of_the_root_come_after_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In zarr v2 there are several, and without the last one there is no group."""
    daskome.pack(old(tmp_path / "a"), tmp_path / "a.zip")
    put = packing.put_object

    def broken(target: Any, source: Any) -> None:
        if target.path == ".zattrs":
            raise OSError(28, "No space left on device")
        put(target, source)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "put_object", broken)
        with pytest.raises(daskome.WriteError, match="The same call goes on"):
            daskome.unpack(tmp_path / "a.zip", tmp_path / "b")
    assert not (tmp_path / "b" / ".zgroup").exists()
    daskome.unpack(tmp_path / "a.zip", tmp_path / "b")
    assert contents(tmp_path / "b") == contents(tmp_path / "a")


def test_messages_have_no_secrets(folder: Path) -> None:
    url = "https://me:secret@localhost:1/a"
    for wrong in (lambda: daskome.pack(folder, f"{url}.tar"), lambda: daskome.unpack(url, folder)):
        with pytest.raises((ValueError, OSError)) as error:
            wrong()
        assert "secret" not in str(error.value)


def test_nothing_is_unpacked_over_something(folder: Path, tmp_path: Path) -> None:
    daskome.pack(folder, tmp_path / "a.ozx")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    for target, message in ((tmp_path / "mine", "with notes.txt in it"), (folder, "with a zarr group in it")):
        before = contents(target)
        with pytest.raises(FileExistsError, match=message):
            daskome.unpack(tmp_path / "a.ozx", target)
        assert contents(target) == before
    with pytest.raises(ValueError, match="is a single file; to copy one"):
        daskome.unpack(tmp_path / "a.ozx", tmp_path / "b.zip")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        daskome.unpack(tmp_path / "nothing.ozx", tmp_path / "b")


def test_what_would_leave_its_folder_is_not_unpacked(folder: Path, tmp_path: Path) -> None:
    for k, name in enumerate(("../evil", "/evil", "a/../../evil", "a\\..\\evil")):
        path = zipped(tmp_path / f"{k}.zip", {**contents(folder), name: b"evil"})
        with pytest.raises(ValueError, match="has members outside of it"):
            daskome.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert "evil" not in os.listdir(tmp_path)


def test_members_that_lie_in_each_other_are_not_unpacked(folder: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", contents(folder))
    end = read_end(path.read_bytes(), path.stat().st_size)
    data = path.read_bytes()[: end.offset]
    members = list(read_members(path.read_bytes()[end.offset :], end))
    longest = max(members, key=lambda member: member.stored)
    twins = [longest._replace(name=f"{k:0{len(longest.name)}}") for k in range(len(data) // longest.stored + 1)]
    directory = b"".join(map(entry_of, [*members, *twins]))
    path.write_bytes(data + directory + end_of(len(data), len(directory), len(members) + len(twins), b""))
    with pytest.raises(ValueError, match="members that lie in each other"):
        daskome.unpack(path, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_what_is_a_file_and_a_folder_is_not_unpacked(folder: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {**contents(folder), "s0/c": b"1"})
    with pytest.raises(ValueError, match="has 's0/c' as a file and as a folder"):
        daskome.unpack(path, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_damage_is_found_while_it_is_unpacked(folder: Path, tmp_path: Path) -> None:
    daskome.pack(folder, tmp_path / "a.ozx")
    data = bytearray((tmp_path / "a.ozx").read_bytes())
    at = data.index((folder / "s0" / "c" / "0" / "0").read_bytes())
    data[at + 3] ^= 1
    (tmp_path / "a.ozx").write_bytes(bytes(data))
    with pytest.raises(daskome.WriteError, match="s0/c/0/0 is damaged"):
        daskome.unpack(tmp_path / "a.ozx", tmp_path / "b")
    assert not (tmp_path / "b" / "zarr.json").exists()
    with pytest.raises(ValueError, match="s0/c/0/0"):
        np.asarray(daskome.open(tmp_path / "a.ozx").dask)


def test_there_is_room_for_what_a_bomb_holds(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daskome.pack(folder, tmp_path / "a.ozx")
    monkeypatch.setattr(packing, "free_nbytes", lambda place: 1000)
    with pytest.raises(ValueError, match="has 1000 B of room, and the file holds"):
        daskome.unpack(tmp_path / "a.ozx", tmp_path / "b")
    assert not (tmp_path / "b").exists()
