"""`daskome.remove`: all of what was asked for goes, nothing else does, and what may not go is refused untouched."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from zarr.storage import MemoryStore, StorePath, ZipStore

import daskome
from daskome.cli.main import main
from daskome.keeping import remove as remove_module
from daskome.ome.versions import VERSIONS
from daskome.stores.journal import JOURNAL
from daskome.stores.location import locate
from daskome.stores.ownership.claims import WHOLE_RUN, OwnershipLost
from daskome.stores.ownership.taking import claimed
from tests.kills import calm
from tests.written import contents

PLANE = np.arange(1, 12 * 8 + 1, dtype="uint16").reshape(12, 8)
IMAGE: dict[str, Any] = {"axes": "yx", "storage_options": {"chunks": 4}}
FORMATS = (pytest.param("0.4", marks=pytest.mark.extended), "0.5")


def image(target: Path, labels: tuple[str, ...] = (), **options: Any) -> Path:
    cells = dict.fromkeys(labels, (PLANE % 7).astype("uint8"))
    daskome.write_image(PLANE, target, [2], **IMAGE, **({"labels": cells} if labels else {}), **options)
    return target


def plate(target: Path, wells: tuple[str, ...] = ("A/1", "A/2", "B/1"), **options: Any) -> Path:
    daskome.write_plate({well: [PLANE, PLANE] for well in wells}, target, [2], **IMAGE, **options)
    return target


def valid(target: Path) -> bool:
    return not [problem for problem in daskome.validate(target) if not problem.warning]


# ---- what goes, and what stays


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize(
    "begun",
    [
        lambda target, fmt: image(target, ("cells",), fmt=fmt),
        lambda target, fmt: image(target, compute="init", fmt=fmt),
        lambda target, fmt: plate(target, fmt=fmt),
        lambda target, fmt: plate(target, compute="init", fmt=fmt),
    ],
    ids=["image", "image begun", "plate", "plate begun"],
)
def test_nothing_is_left_but_what_is_beside(tmp_path: Path, begun: Callable[..., Path], fmt: str) -> None:
    image(tmp_path / "beside")
    before = contents(tmp_path)
    begun(tmp_path / "a", fmt)
    (tmp_path / "a" / ".DS_Store").write_bytes(b"")
    (tmp_path / "a" / "empty").mkdir()
    planned = daskome.remove(tmp_path / "a", dry_run=True)
    assert planned.objects == len(contents(tmp_path / "a"))
    assert planned.nbytes == sum(map(len, contents(tmp_path / "a").values()))
    gone = daskome.remove(tmp_path / "a")
    assert (gone.to_dict(), repr(gone)) == (planned.to_dict(), repr(planned))
    assert contents(tmp_path) == before
    assert not (tmp_path / "a").exists()
    with pytest.raises(FileNotFoundError, match="there is nothing at"):
        daskome.remove(tmp_path / "a")


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("path", [False, True], ids=["labels=", "path"])
def test_labels_leave_their_list_and_the_last_take_it_along(tmp_path: Path, fmt: str, path: bool) -> None:
    target = image(tmp_path / "a", ("cells", "nuclei"), fmt=fmt)
    alone = contents(image(tmp_path / "alone", fmt=fmt, name="a"))
    zarr.consolidate_metadata(target) if fmt == "0.4" else None
    for name in ("cells", "nuclei"):
        gone = daskome.remove(target / "labels" / name) if path else daskome.remove(target, labels=name)
        assert gone.where.endswith(f"/a/labels/{name}")
        assert not (target / "labels" / name).exists()
        assert daskome.status(target).holds == (("labels/nuclei",) if name == "cells" else ())
        assert valid(target)
    assert {key for key in contents(target) if key != ".zmetadata"} == set(alone)
    assert ".zmetadata" not in alone
    assert daskome.verify(target, pixels=True) == []


@pytest.mark.parametrize("fmt", FORMATS)
def test_wells_and_their_images_leave_their_lists(tmp_path: Path, fmt: str) -> None:
    target = plate(tmp_path / "p", fmt=fmt)
    assert daskome.remove(target / "A" / "1" / "0").kind == "image"
    assert daskome.status(target / "A" / "1").holds == ("1",)
    with pytest.raises(ValueError, match=r"1 is the last image of the well at .*; remove the well instead"):
        daskome.remove(target / "A" / "1" / "1")
    assert daskome.remove(target / "A" / "1").listed.startswith("plate at")
    assert valid(target)
    assert (target / "A").exists()
    assert daskome.remove(target / "A" / "2").kind == "well, and A, which is empty then"
    assert not (target / "A").exists()
    assert valid(target)
    assert daskome.status(target).holds == ("B/1", "B/1/0", "B/1/1")
    with pytest.raises(ValueError, match="B/1 is the last well of the plate"):
        daskome.remove(target / "B" / "1")
    daskome.write_plate({"A/1": [PLANE]}, target, [2], **IMAGE)
    assert daskome.verify(target, pixels=True) == []


def test_the_journal_of_levels_that_were_being_added_goes_with_these(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", None, **IMAGE)
    before = contents(tmp_path / "a")
    daskome.add_levels(tmp_path / "a", [2], compute="init")
    assert daskome.remove(tmp_path / "a" / JOURNAL).kind == "journal"
    assert contents(tmp_path / "a") == before
    daskome.add_levels(tmp_path / "a", [2])
    assert daskome.verify(tmp_path / "a", pixels=True) == []


def test_what_a_kill_has_left_goes(tmp_path: Path) -> None:
    claims = tmp_path / "a" / JOURNAL / "claims"
    claims.mkdir(parents=True)
    (claims / "run-1").write_text("{}")
    assert daskome.status(tmp_path / "a").kind == "what a kill has left"
    daskome.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_groups_of_other_programs_in_an_image_are_listed_and_go_with_it(tmp_path: Path) -> None:
    target = image(tmp_path / "a")
    zarr.create_array(f"{target}/tables/cells/x", data=np.ones(3))
    assert "tables/" in daskome.remove(target, dry_run=True).amounts
    daskome.remove(target)
    assert not target.exists()


def test_an_image_in_a_group_of_others_goes_alone(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g", attributes={"mine": 1})
    image(tmp_path / "g" / "a")
    image(tmp_path / "g" / "a*")
    with calm():
        zarr.consolidate_metadata(tmp_path / "g")
    daskome.remove(tmp_path / "g" / "a*")
    assert sorted(zarr.open_consolidated(tmp_path / "g").keys()) == ["a"]
    assert valid(tmp_path / "g" / "a")


def test_in_memory_and_in_fsspec() -> None:
    store = MemoryStore()
    daskome.write_image(PLANE, store, [2], **IMAGE)
    daskome.remove(store)
    assert store._store_dict == {}
    daskome.write_image(PLANE, "memory://removal/a[1]", [2], **IMAGE)
    daskome.write_image(PLANE, "memory://removal/a1", [2], **IMAGE)
    daskome.remove("memory://removal/a[1]")
    assert daskome.status("memory://removal/a[1]").kind == "nothing"
    assert daskome.verify("memory://removal/a1", pixels=True) == []


# ---- what is refused, with nothing changed


def a_link(target: Path) -> Path:
    (target / "s9").symlink_to(target.parent)
    return target


def a_link_itself(target: Path) -> Path:
    (target.parent / "link").symlink_to(target)
    return target.parent / "link"


def a_number(target: Path, path: str) -> Path:
    (target / path).parent.mkdir(exist_ok=True)
    (target / path).write_text("mine")
    return target


def a_file(target: Path) -> Path:
    (target / "notes.txt").write_text("mine")
    return target


REFUSED: dict[str, tuple[Callable[[Path], Path], type[Exception], str]] = {
    "link in it": (a_link, FileExistsError, "s9 is a link to .*; nothing is removed through links"),
    "link to it": (a_link_itself, FileExistsError, "link is a link to"),
    "files of others": (a_file, FileExistsError, "holds files that are not of OME-Zarr, such as notes.txt"),
    "a number in a folder of others": (
        lambda target: a_number(target, "raw/0001"),
        FileExistsError,
        "such as raw/0001",
    ),
    "a number beside levels": (lambda target: a_number(target, "12"), FileExistsError, "such as 12"),
    "a number in a group": (lambda target: a_number(target, "labels/c"), FileExistsError, "such as labels/c"),
    "level": (lambda target: target / "s0", ValueError, "is a zarr array, as levels of images are"),
    "folder": (lambda target: target.parent, ValueError, "is a folder of other files"),
    "chunk": (lambda target: target / "s0/c/0/0", ValueError, "is a file; only what is OME-Zarr"),
    "root": (lambda target: Path("/"), ValueError, "is a whole bucket or file system"),
    "nothing": (lambda target: target / "no", FileNotFoundError, "there is nothing at"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_go_is_refused(tmp_path: Path, case: str) -> None:
    given, error, said = REFUSED[case]
    place = given(image(tmp_path / "a"))
    before = contents(tmp_path)
    with pytest.raises(error, match=said):
        daskome.remove(place)
    assert contents(tmp_path) == before


@pytest.mark.sampled(3)
@pytest.mark.parametrize("level_paths", ["{}", "s{}"])
@pytest.mark.parametrize("fmt", VERSIONS)
@pytest.mark.parametrize("make", ["image", "plate", "shards"])
def test_nothing_that_is_written_counts_as_of_others(tmp_path: Path, make: str, fmt: str, level_paths: str) -> None:
    options: dict[str, Any] = {"axes": "yx", "fmt": fmt, "level_paths": level_paths}
    values, target = np.ones((32, 32), "uint8"), tmp_path / "a"
    if make == "plate":
        daskome.write_plate({"A/1": [values, values]}, target, [2], storage_options={"chunks": 8}, **options)
    else:
        shards = {"shards": 16} if make == "shards" and VERSIONS[fmt].arrays.zarr_format == 3 else {}
        daskome.write_image(
            values, target, [2], labels={"n": values}, storage_options={"chunks": 8, **shards}, **options
        )
    daskome.remove(target)
    assert list(tmp_path.iterdir()) == []


def test_groups_of_others_are_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g")
    image(tmp_path / "g" / "a")
    with pytest.raises(ValueError, match=r"is a zarr group, but none of OME-Zarr, .* give what is in it: a"):
        daskome.remove(tmp_path / "g")
    with pytest.raises(ValueError, match=r"is a zarr group, .*: 1, 2"):
        daskome.remove(plate(tmp_path / "p") / "A")


def test_the_working_directory_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(image(tmp_path / "a") / "s0")
    with pytest.raises(ValueError, match="is the working directory, or holds it"):
        daskome.remove(tmp_path / "a")


@pytest.mark.parametrize("url", ["s3://bucket", "gs://bucket/", "az://container"])
def test_buckets_stay(url: str) -> None:
    with pytest.raises(ValueError, match="is a whole bucket"):
        daskome.remove(
            url, fs_options={"anon": True} if url.startswith("s3") else {"account_name": "a", "token": "anon"}
        )


def test_zip_files_cannot_delete(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        daskome.write_image(PLANE, store, [2], **IMAGE)
        with pytest.raises(ValueError, match="cannot delete, such as a zip file"):
            daskome.remove(store)


def test_a_series_does_not_leave_its_collection(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "b", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    image(tmp_path / "b" / "0")
    with pytest.raises(ValueError, match=r"0 is a part of the bioformats2raw at .*; remove that as a whole"):
        daskome.remove(tmp_path / "b" / "0")
    daskome.remove(tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may change everything")
def test_folders_that_may_not_be_changed(tmp_path: Path) -> None:
    target = image(tmp_path / "a")
    (target / "s0").chmod(0o500)
    with pytest.raises(PermissionError, match="no permission"):
        daskome.remove(target)


# ---- who writes there


@pytest.mark.parametrize(("writing", "removed"), [("", ""), ("", "A/1"), ("A/1/0", ""), ("A/1", "A/1/0")])
def test_while_another_writes_around_or_in_it_it_stays(tmp_path: Path, writing: str, removed: str) -> None:
    target = plate(tmp_path / "p")
    with claimed(locate(target / writing), WHOLE_RUN):
        before = contents(target)
        with pytest.raises(FileExistsError, match=r"is being written by process .*--take-over"):
            daskome.remove(target / removed)
        assert contents(target) == before


def test_who_is_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    target = image(tmp_path / "a")
    with claimed(locate(target), WHOLE_RUN) as claim:
        daskome.remove(target, take_over=True)
        with pytest.raises(OwnershipLost):
            claim.check()
    assert not target.exists()


# ---- the command


def command(*words: object) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_where_nobody_can_be_asked_it_needs_yes(tmp_path: Path) -> None:
    target = image(tmp_path / "a")
    before = contents(target)
    done = command("remove", target)
    assert (done.exit_code, contents(target)) == (2, before)
    assert "s0/        7        " in done.output
    assert "--yes removes it without asking" in done.output
    done = command("remove", target, "--dry-run", "--json")
    assert (json.loads(done.stdout)["kind"], contents(target)) == ("image", before)
    assert command("remove", target, "--yes").output.endswith("/a: removed\n")
    assert not target.exists()
    assert command("remove", target, "--yes").exit_code == 2


@pytest.mark.parametrize(("answer", "status"), [pytest.param("y", 0, marks=pytest.mark.extended), ("n", 2)])
def test_on_a_terminal_it_asks(tmp_path: Path, answer: str, status: int) -> None:
    target = image(tmp_path / "a")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "daskome", "remove", str(target)], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs
    )
    os.write(ours, f"{answer}\n".encode())
    out, _ = process.communicate(timeout=60)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == status
    assert b"in all 11 objects" in out
    assert target.exists() == (answer == "n")


def test_a_place_in_an_open_store(tmp_path: Path) -> None:
    target = image(tmp_path / "a", ("cells",))
    daskome.remove(zarr.open_group(target)["labels/cells"])  # type: ignore[arg-type]
    daskome.remove(StorePath(locate(target).store, ""))
    assert not target.exists()


def test_an_image_that_came_after_it_was_looked_at_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the process is stopped before it is the owner, and wakes after another has written a new image."""
    target = tmp_path / "a"
    daskome.write_image(np.zeros((64, 64), "uint8"), target, [2], axes="yx")
    claimed = remove_module.claimed

    def late(*args: Any) -> Any:
        monkeypatch.setattr(remove_module, "claimed", claimed)
        daskome.write_image(np.ones((64, 64), "uint8"), target, [2], axes="yx", overwrite=True)
        return claimed(*args)

    monkeypatch.setattr(remove_module, "claimed", late)
    with pytest.raises(daskome.WriteError, match=r"was written by another process meanwhile; nothing was removed"):
        daskome.remove(target)
    assert daskome.verify(target, pixels=True, source=np.ones((64, 64), "uint8")) == []
    assert daskome.remove(target).kind == "image"
