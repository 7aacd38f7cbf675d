"""Manifests: DANDI's checksum as zarr-checksum computes it, lines as md5sum reads them, and what verify finds."""

import shutil
import subprocess
from collections.abc import Callable
from hashlib import md5
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from zarr_checksum import compute_zarr_checksum
from zarr_checksum.generators import yield_files_local
from zarr_checksum.tree import ZarrChecksumTree

import daskome
from daskome.cli.main import main
from daskome.inspection import manifest as manifests
from daskome.model.checksums import ObjectChecksum, TreeChecksum, manifest_line, parse_manifest_line
from tests.strategies import law
from tests.written import contents

VALUES = np.arange(20 * 30 * 40, dtype="uint16").reshape(20, 30, 40)
NAMES = st.text(st.sampled_from("ab-./*\\\n\ré☃\U0001f600 "), min_size=1, max_size=3).filter(
    lambda name: "/" not in name and name.strip(".")
)
KEYS = st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), max_size=12, unique=True)


def without_folders(keys: list[str]) -> list[str]:
    """Return keys of which none is a folder of another one."""
    return [key for key in keys if not any(other.startswith(f"{key}/") for other in keys)]


@law(max_examples=25)
@given(KEYS)
def test_the_checksum_of_a_tree_is_dandis(keys: list[str]) -> None:
    ours, theirs = TreeChecksum(), ZarrChecksumTree()
    for number, key in enumerate(sorted(without_folders(keys))):
        item = ObjectChecksum(key, md5(key.encode()).hexdigest(), number)
        ours.add(item)
        theirs.add_leaf(PurePosixPath(key), item.nbytes, item.md5)  # type: ignore[arg-type]
    assert ours.end() == theirs.process().digest


@law(max_examples=25)
@given(KEYS)
def test_a_line_says_what_it_was_made_of(keys: list[str]) -> None:
    for key in keys:
        item = ObjectChecksum(key, md5(key.encode()).hexdigest())
        line = manifest_line(item)
        assert "\n" not in line
        assert parse_manifest_line(line) == item


def test_a_key_out_of_order_is_refused() -> None:
    tree = TreeChecksum()
    tree.add(ObjectChecksum("b", "0" * 32))
    with pytest.raises(ValueError, match="'a' comes after 'b', out of order"):
        tree.add(ObjectChecksum("a", "0" * 32))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    daskome.write_image(VALUES, tmp_path / "a", [2], axes="zyx", storage_options={"chunks": 8})
    return tmp_path / "a"


def dandi(folder: Path) -> str:
    return str(compute_zarr_checksum(yield_files_local(folder)).digest)


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_of_an_image(tmp_path: Path, fmt: str) -> None:
    daskome.write_image(VALUES, tmp_path / "a", [2], axes="zyx", fmt=fmt, storage_options={"chunks": 8})
    said = daskome.manifest(tmp_path / "a", tmp_path / "a.md5")
    assert said == dandi(tmp_path / "a") == daskome.manifest(tmp_path / "a")
    checked = subprocess.run(
        ["md5sum", "--check", "--strict", "../a.md5"], cwd=tmp_path / "a", capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(": OK\n") == len(contents(tmp_path / "a"))
    for what in (tmp_path / "a.md5", said):
        assert daskome.verify(tmp_path / "a", manifest=what) == []


def test_that_of_a_copy_is_the_same(tmp_path: Path, written: Path) -> None:
    shutil.copytree(written, tmp_path / "b")
    for name in ("a", "b"):
        daskome.manifest(tmp_path / name, tmp_path / f"{name}.md5")
    assert (tmp_path / "a.md5").read_bytes() == (tmp_path / "b.md5").read_bytes()


def unsorted_lines(folder: Path, file: Path) -> None:
    """As ``find . -type f | xargs md5sum`` may list them."""
    lines = [f"{md5(value).hexdigest()} *./{name}\n" for name, value in contents(folder).items()]
    file.write_text("".join(lines[::-1]))


@pytest.mark.parametrize("listed", [daskome.manifest, unsorted_lines])
def test_what_differs_is_named(tmp_path: Path, written: Path, listed: Callable[[Path, Path], Any]) -> None:
    listed(written, tmp_path / "a.md5")
    assert daskome.verify(written, manifest=tmp_path / "a.md5") == []
    (written / "s0" / "c" / "0" / "0" / "0").unlink()
    (written / "s0" / "c" / "0" / "0" / "1").write_bytes(b"")
    (written / "extra").write_bytes(b"")
    found = {
        problem.where: problem.message.split(":")[0] for problem in daskome.verify(written, manifest=tmp_path / "a.md5")
    }
    name = tmp_path / "a.md5"
    assert found == {"extra": f"is not in {name}", "s0/c/0/0/0": "is missing", "s0/c/0/0/1": "has changed"}


def test_many_that_differ_are_counted(tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "OBJECTS_NAMED", 3)
    daskome.manifest(written, tmp_path / "a.md5")
    shutil.rmtree(written / "s0" / "c")
    found = daskome.verify(written, manifest=tmp_path / "a.md5")
    assert len(found) == 4
    assert "57 more objects differ from" in found[-1].message


def test_another_checksum_of_all_is_told(written: Path) -> None:
    before = daskome.manifest(written)
    zarr.open_group(written).attrs["more"] = 1
    (problem,) = daskome.verify(written, manifest=before)
    assert problem.message == f"their zarr checksum is {dandi(written)}, not {before}"


def test_a_manifest_that_was_changed_is_told(tmp_path: Path, written: Path) -> None:
    said = daskome.manifest(written, tmp_path / "a.md5")
    (tmp_path / "a.md5").write_text((tmp_path / "a.md5").read_text().replace(said, f"{said[:-1]}9"))
    (problem,) = daskome.verify(written, manifest=tmp_path / "a.md5")
    assert f"their zarr checksum is {said}, not {said[:-1]}9, as in" in problem.message


def test_progress_goes_to_the_end(tmp_path: Path, written: Path) -> None:
    calls: list[tuple[int, int]] = []
    daskome.manifest(written, tmp_path / "a.md5", progress=lambda *call: calls.append(call))
    n = len(contents(written))
    assert calls == [(k, n) for k in range(1, n + 1)]
    calls.clear()
    daskome.verify(written, manifest=tmp_path / "a.md5", progress=lambda *call: calls.append(call))
    assert calls == [(k, n) for k in range(1, n + 1)]


@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("a/in.md5", ValueError, "of which it would be a part"),
        ("no/a.md5", FileNotFoundError, "there is no folder"),
        ("notes.txt", FileExistsError, "is no manifest; give another path"),
        ("s3://bucket/a.md5", ValueError, "is a URL"),
    ],
)
def test_where_it_may_not_lie(tmp_path: Path, written: Path, path: str, error: Any, said: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(error, match=said):
        daskome.manifest(written, path if "://" in path else tmp_path / path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    daskome.manifest(written, tmp_path / "a.md5")
    daskome.manifest(written, tmp_path / "a.md5")


def test_of_what_is_not_there_or_unfinished(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="neither a zarr group nor an array"):
        daskome.manifest(tmp_path / "a", tmp_path / "a.md5")
    daskome.write_image(VALUES, tmp_path / "a", axes="zyx", compute="init")
    with pytest.raises(ValueError, match="is unfinished; finish it first"):
        daskome.manifest(tmp_path / "a", tmp_path / "a.md5")
    assert not (tmp_path / "a.md5").exists()


@pytest.mark.parametrize(
    ("text", "said"), [("hello", "line 1 of .* is not one of a manifest"), ("# \n", "lists no object")]
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, written: Path, text: str, said: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=said):
        daskome.verify(written, manifest=tmp_path / "x")
    with pytest.raises(FileNotFoundError):
        daskome.verify(written, manifest=tmp_path / "nothing")


def command(*words: object) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_commands(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", VALUES)
    out, file = tmp_path / "a", tmp_path / "a.md5"
    assert command("write", tmp_path / "in.npy", out, "--manifest", out / "in").exit_code == 2
    assert not out.exists()
    done = command("write", tmp_path / "in.npy", out, "--manifest", file, "--chunks", 8)
    assert f"{file}: the MD5 of every object; zarr checksum {dandi(out)}" in done.output
    assert command("manifest", out, "-q").output.strip() == dandi(out)
    done = command("verify", out, "--manifest", file)
    assert (done.exit_code, f"checked: metadata, every object against {file}" in done.output) == (0, True)
    (out / "s0" / "c" / "0" / "0" / "0").unlink()
    done = command("verify", out, "--manifest", file, "-q")
    assert (done.exit_code, done.output) == (1, f"s0/c/0/0/0: is missing: {file} lists it\n")


def test_a_job_that_finishes_writes_one(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", VALUES)
    out, file = tmp_path / "a", tmp_path / "a.md5"
    for words in (("init", tmp_path / "in.npy", out, "-q"), ("run", out, "-q"), ("finish", out, "--manifest", file)):
        assert command(*words).exit_code == 0
    assert daskome.verify(out, manifest=file) == []
