"""Images, labels and plates written as single files: one step at the end, refused before the first, gone on with after a kill."""

import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import daskome
from daskome.cli.main import main
from daskome.stores.archives import packing, working
from tests.stores.archives.archived import CELLS, IMAGE, LABELS, PIXELS

OPTIONS: dict[str, Any] = {"scale_factors": [2], "storage_options": {"chunks": 8}, **IMAGE}


def image(target: Any, **options: Any) -> Any:
    return daskome.write_image(PIXELS, target, **{**OPTIONS, **options})


def cells(options: Any) -> Any:
    return {"cells": {**LABELS["labels"]["cells"], "storage_options": options["storage_options"]}}


def plate(target: Any, **options: Any) -> Any:
    wells = {"A/1": [PIXELS, PIXELS], "B/2": [PIXELS]}
    return daskome.write_plate(wells, target, rows="AB", columns=(1, 2), **{**OPTIONS, **options})


WRITES: dict[str, Callable[..., Any]] = {
    "image": image,
    "image with labels": lambda target, **options: image(target, labels=cells(options), **options),
    "levels": lambda target, **options: daskome.write_multiscale(
        [PIXELS, PIXELS[::2, ::2]], target, method="nearest", **{**IMAGE, **options}
    ),
    "labels alone": lambda target, **options: daskome.write_labels(
        CELLS, target, "cells", **{**OPTIONS, "colors": {1: (255, 0, 0, 255)}, **options}
    ),
    "plate": plate,
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.extended] * (n != "image with labels")) for n in WRITES]
)
@pytest.mark.parametrize("fmt", ["0.5", pytest.param("0.6", marks=pytest.mark.extended)])
def test_it_is_one_file_that_holds_what_a_folder_would(name: str, fmt: str, tmp_path: Path) -> None:
    """Of the same bytes, in the order of RFC-9, and valid."""
    sharded = {"chunks": 8, "shards": 32}
    for target in ("a.ozx", "a.ome.zarr", "b.zip"):
        WRITES[name](tmp_path / target, fmt=fmt, storage_options=sharded)
    assert sorted(os.listdir(tmp_path)) == ["a.ome.zarr", "a.ozx", "b.zip"]
    daskome.pack(tmp_path / "a.ome.zarr", tmp_path / "c.ozx") if name != "labels alone" else None
    daskome.unpack(tmp_path / "a.ozx", tmp_path / "d.ome.zarr")
    for path in ("a.ozx", "b.zip"):
        assert daskome.validate(tmp_path / path, fmt) == daskome.validate(tmp_path / "a.ome.zarr", fmt)
        found = daskome.verify(tmp_path / path, pixels=True)
        assert found == daskome.verify(tmp_path / "a.ome.zarr", pixels=True)
    with zipfile.ZipFile(tmp_path / "a.ozx") as archive:
        names = archive.namelist()
        documents = [key for key in names if key.endswith("zarr.json")]
        assert names[: len(documents)] == documents == sorted(documents, key=lambda key: (key.count("/"), key))
        held = {key: archive.read(key) for key in names}
    folder = tmp_path / "a.ome.zarr"
    assert held == {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    if name != "labels alone":
        assert (tmp_path / "c.ozx").read_bytes() == (tmp_path / "a.ozx").read_bytes()


def test_shards_are_the_default(tmp_path: Path) -> None:
    """Of at most 2²⁴ voxels; not where the caller says otherwise, nor in zarr v2, nor in folders."""
    volume = daskome.Volume((1, 512, 1024, 2048), "uint16")
    for target, options, shards in [
        ("a.ozx", {}, (1, 256, 256, 256)),
        ("a.zip", {}, (1, 256, 256, 256)),
        ("a.ozx", {"storage_options": {"chunks": 64}}, (1, 256, 256, 256)),
        ("a.ozx", {"storage_options": {"shards": 128}}, (1, 128, 128, 128)),
        ("a.ozx", {"storage_options": {"shards": False}}, None),
        ("a.zip", {"fmt": "0.4"}, None),
        ("a.zarr", {}, None),
    ]:
        plan = daskome.plan_image(volume, tmp_path / target, axes="czyx", workers=1, **options)
        assert plan.pyramids[0].levels[0].layout.shards == shards, (target, options)
    flat = daskome.plan_image(daskome.Volume((20000, 20000), "uint8"), tmp_path / "a.ozx", workers=1)
    assert flat.pyramids[0].levels[0].layout.shards == (4096, 4096)
    assert os.listdir(tmp_path) == []


REFUSED: list[tuple[Callable[[Path], Any], type[Exception], str]] = [
    (lambda f: image(f / "b.ozx" / "0"), ValueError, "is written as a whole, not at '0' in it"),
    (lambda f: image(f / "z" / "b.ozx"), ValueError, "would lie inside the zarr hierarchy"),
    (lambda f: image(f / "a.ozx"), FileExistsError, "cannot be changed: unpack it"),
    (lambda f: daskome.write_labels(CELLS, f / "a.ozx", "x", overwrite=True), FileExistsError, "unpack it"),
    (lambda f: daskome.add_levels(f / "a.ozx"), FileExistsError, "cannot be changed: unpack it"),
    (lambda f: daskome.convert_metadata(f / "a.ozx", "0.6"), ValueError, "cannot be changed: unpack it"),
    (lambda f: image(f / "a.ozx", resume=True, scale_factors=[4]), ValueError, "written with other settings"),
    (lambda f: daskome.writer.write_multiscales_metadata(f / "b.ozx", [{"path": "0"}]), ValueError, "as a whole"),
    (lambda f: daskome.writer.write_multiscales_metadata(f / "a.ozx", [{"path": "0"}]), ValueError, "unpack it"),
    (lambda f: daskome.write_labels(CELLS, f / "z" / "x.ozx", "x"), ValueError, "inside the zarr hierarchy"),
    (lambda f: daskome.plan_image(PIXELS, f / "a.ozx", axes="yx"), FileExistsError, "unpack it"),
]


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    image(tmp_path / "a.ozx")
    image(tmp_path / "z")
    before = state(tmp_path)
    for call, error, message in REFUSED:
        with pytest.raises(error, match=message):
            call(tmp_path)
        assert state(tmp_path) == before


def state(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_overwrite_replaces_the_whole_file_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image(tmp_path / "a.ozx", **LABELS)
    before = (tmp_path / "a.ozx").read_bytes()
    pack = packing.file_output

    def seen(*args: Any) -> Any:
        assert (tmp_path / "a.ozx").read_bytes() == before
        return pack(*args)

    monkeypatch.setattr(packing, "file_output", seen)
    daskome.write_image(PIXELS[::-1], tmp_path / "a.ozx", overwrite=True, **OPTIONS)
    opened = daskome.open(tmp_path / "a.ozx")
    np.testing.assert_array_equal(opened.dask.compute(), PIXELS[::-1])
    assert not opened.labels
    assert os.listdir(tmp_path) == ["a.ozx"]


@pytest.mark.extended
def test_a_finished_file_is_left_alone_by_resume(tmp_path: Path) -> None:
    image(tmp_path / "a.ozx")
    before = state(tmp_path)
    image(tmp_path / "a.ozx", resume=True)
    assert state(tmp_path) == before
    with pytest.raises(ValueError, match="a pyramid must not be made of two images"):
        daskome.write_image(PIXELS + 1, tmp_path / "a.ozx", resume=True, **OPTIONS)


@pytest.mark.extended
def test_parts_of_a_batch_and_a_delayed(tmp_path: Path) -> None:
    image(tmp_path / "whole.ozx")
    image(tmp_path / "a.ozx", compute="init")
    assert sorted(os.listdir(tmp_path)) == ["a.ozx.partial", "whole.ozx"]
    with pytest.raises(daskome.WriteError, match="units are missing"):
        daskome.finish(tmp_path / "a.ozx")
    daskome.run_part(tmp_path / "a.ozx", PIXELS)
    assert daskome.status(tmp_path / "a.ozx").missing == ()
    daskome.finish(tmp_path / "a.ozx")
    image(tmp_path / "b.ozx", compute=False).compute()
    assert {(tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == {(tmp_path / "whole.ozx").read_bytes()}
    assert sorted(os.listdir(tmp_path)) == ["a.ozx", "b.ozx", "whole.ozx"]


@pytest.mark.extended
@pytest.mark.parametrize("version", ["0.6", pytest.param("0.5", marks=pytest.mark.extended)])
def test_a_single_file_is_transcoded_into_another(version: str, tmp_path: Path) -> None:
    """With its labels, in the shards that it has; from zarr v2, shards are made of its chunks."""
    image(tmp_path / "a.zip", fmt="0.4", **LABELS)
    daskome.transcode(tmp_path / "a.zip", tmp_path / "b.ozx", fmt=version)
    daskome.transcode(tmp_path / "b.ozx", tmp_path / "c.ozx", storage_options={"shards": 8}, fmt=version)
    daskome.transcode(tmp_path / "c.ozx", tmp_path / "d.ozx", fmt=version)
    for name, shards in (("b.ozx", 32), ("c.ozx", 8), ("d.ozx", 8)):
        array = zarr.open_array(zarr.storage.ZipStore(tmp_path / name), path="s0", mode="r")
        assert (array.chunks, array.shards) == ((8, 8), (shards, shards))
        assert daskome.validate(tmp_path / name) == []
        assert daskome.verify(tmp_path / name, pixels=True, source=PIXELS) == []
        array.store.close()
    daskome.transcode(tmp_path / "c.ozx", tmp_path / "e.zip", fmt="0.4")
    assert daskome.verify(tmp_path / "e.zip", pixels=True, source=PIXELS) == []


# ---- killed


def test_what_fails_while_it_packs_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither under the final name nor beside it; then resume packs it again."""
    read, calls = packing.object_bytes, iter(range(99))

    def broken(place: Any) -> bytes:
        if next(calls) == 4:
            raise OSError(28, "No space left on device")
        return read(place)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "object_bytes", broken)
        with pytest.raises(daskome.WriteError, match=r"No space left on device.*resume=True goes on"):
            image(tmp_path / "a.ozx")
    assert os.listdir(tmp_path) == ["a.ozx.partial"]
    with pytest.raises(FileNotFoundError):
        daskome.open(tmp_path / "a.ozx")
    image(tmp_path / "a.ozx", resume=True)
    assert os.listdir(tmp_path) == ["a.ozx"]
    assert daskome.verify(tmp_path / "a.ozx", pixels=True, source=PIXELS) == []


def kill(call: str, folder: Path) -> int:
    """Run a call in a process of its own that ends where the call says; return its status."""
    code = f"""
import os, sys
from pathlib import Path
from tests.writing.test_single_files import *
folder = Path({str(folder)!r})
{call}
"""
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code]).returncode


ENDS = {
    "before the first member": "packing.file_output = lambda *_: os._exit(9)",
    "in the middle": """
read, calls = packing.object_bytes, iter(range(99))
packing.object_bytes = lambda place: os._exit(9) if next(calls) == 4 else read(place)""",
    "before its name": "packing.end_of = lambda *_: os._exit(9)",
    "after its name": "working.shutil.rmtree = lambda *_, **__: os._exit(9)",
    "before the working folder goes": """
from daskome.execution.finished import packed
packed.remove_working = lambda *_: os._exit(9)""",
}


@pytest.mark.extended
@pytest.mark.parametrize("where", ENDS)
@pytest.mark.parametrize("over", [False, True])
def test_killed_while_it_packs(where: str, over: bool, tmp_path: Path) -> None:
    """There is no file under the final name, or the one that was there, or all of the new one; then resume ends it."""
    image(tmp_path / "whole.ozx")
    whole = (tmp_path / "whole.ozx").read_bytes()
    (tmp_path / "whole.ozx").unlink()
    if over:
        daskome.write_image(PIXELS[::-1], tmp_path / "a.ozx", **OPTIONS)
    before = (tmp_path / "a.ozx").read_bytes() if over else None
    assert kill(f"{ENDS[where]}\nimage(folder / 'a.ozx', overwrite={over})", tmp_path) == 9
    now = (tmp_path / "a.ozx").read_bytes() if (tmp_path / "a.ozx").exists() else None
    assert now == (whole if where in list(ENDS)[3:] else before)
    image(tmp_path / "a.ozx", resume=True)
    assert (tmp_path / "a.ozx").read_bytes() == whole
    left = {name for name in os.listdir(tmp_path) if not name.endswith(working.DELETED)}
    assert left == {"a.ozx"}
    image(tmp_path / "a.ozx", overwrite=True)
    assert os.listdir(tmp_path) == ["a.ozx"]


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    image(tmp_path / "a.ozx", compute="init")
    daskome.run_part(tmp_path / "a.ozx", PIXELS)
    daskome.write_image(PIXELS[::-1], tmp_path / "b.ozx", **OPTIONS)
    (tmp_path / "b.ozx").rename(tmp_path / "a.ozx")
    before = (tmp_path / "a.ozx").read_bytes()
    with pytest.raises(daskome.WriteError, match="exists"):
        daskome.finish(tmp_path / "a.ozx")
    assert (tmp_path / "a.ozx").read_bytes() == before
    (tmp_path / "a.ozx").unlink()
    daskome.finish(tmp_path / "a.ozx")
    assert daskome.verify(tmp_path / "a.ozx", pixels=True, source=PIXELS) == []


# ---- the command


@pytest.mark.extended
def test_the_commands(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", PIXELS)

    def run(*words: Any) -> str:
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        return result.output

    a, b, c, d = (tmp_path / name for name in ("a.ozx", "b.ome.zarr", "c.zip", "d.ozx"))
    run("write", tmp_path / "in.npy", a, "--axes", "yx", "--chunks", 8)
    assert "c.zip: " in run("pack", a, c)
    assert "10 objects" in run("unpack", c, b)
    run("pack", b, d, "-q")
    assert d.read_bytes() == a.read_bytes()
    assert CliRunner().invoke(main, ["pack", str(b), str(d)]).exit_code == 2
    run("pack", b, d, "--overwrite")
    for words in (["info", a], ["validate", a], ["verify", a, "--pixels"], ["preview", a, tmp_path / "a.png"]):
        run(*words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run("write", a, tmp_path / "e.ozx", "--only-image", "--name", "e")
    run("write", a, tmp_path / "f.ome.zarr", "--fmt", "0.6")
    run("plan", a, tmp_path / "g.ozx")
    with daskome.view(a) as viewing:
        assert viewing.link


# ---- elsewhere


def test_it_is_written_in_another_folder_first(tmp_path: Path) -> None:
    """To which a link leads as long as it lasts; nothing is left of either."""
    for name in ("scratch", "out"):
        (tmp_path / name).mkdir()
    target, options = tmp_path / "out" / "a.ozx", {"temporary": tmp_path / "scratch"}
    image(target, compute="init", **options)
    (folder,) = (tmp_path / "scratch").iterdir()
    assert (tmp_path / "out" / "a.ozx.partial").readlink() == folder
    assert (folder / "zarr.json").exists()
    daskome.run_part(target, PIXELS)
    image(target, resume=True)
    assert os.listdir(tmp_path / "out") == ["a.ozx"]
    assert os.listdir(tmp_path / "scratch") == []
    image(tmp_path / "b.ozx")
    assert target.read_bytes() == (tmp_path / "b.ozx").read_bytes()
    daskome.transcode(target, tmp_path / "out" / "c.ozx", **options)
    assert sorted(os.listdir(tmp_path / "out")) == ["a.ozx", "c.ozx"]


@pytest.mark.extended
def test_a_link_to_a_folder_that_is_gone_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "a.ozx.partial").symlink_to(tmp_path / "gone")
    (tmp_path / "scratch").mkdir()
    image(tmp_path / "a.ozx", temporary=tmp_path / "scratch")
    assert sorted(os.listdir(tmp_path)) == ["a.ozx", "scratch"]


@pytest.mark.parametrize(
    ("target", "temporary", "message"),
    [
        ("a.ome.zarr", ".", "is for single files, .ozx or .zip, on this machine"),
        ("memory://x/a.ozx", ".", "is for single files"),
        ("a.ozx", "nowhere", "is no folder; make it first"),
        ("a.ozx", 3, "must be the path of a folder"),
    ],
)
def test_a_temporary_folder_that_has_no_effect_is_an_error(
    target: str, temporary: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (image, daskome.plan_image) if temporary != 3 else (image,):
        arguments = (target,) if call is image else (PIXELS, target)
        with pytest.raises((ValueError, NotADirectoryError), match=message):
            call(*arguments, temporary=temporary)  # type: ignore[operator]
    assert os.listdir(tmp_path) == []
