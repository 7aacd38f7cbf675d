"""What folders do not allow is refused before anything changes: what lies behind links, and what may not be changed."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from zarr.storage import LocalStore, LoggingStore, MemoryStore, StorePath

import daskome
from daskome.cli.main import main
from daskome.model.paths import parents_of
from daskome.stores.targets.folders import links_to, locked_folders
from tests.written import contents, is_image

PLANE = np.arange(1, 97, dtype="uint16").reshape(12, 8)
CELLS = (PLANE % 5).astype("uint8")
OPTIONS: dict[str, Any] = {"axes": "yx", "overwrite": True}


def an_image(folder: Path, fmt: str = "0.5") -> None:
    daskome.write_image(PLANE, folder, [2], axes="yx", fmt=fmt, labels={"cells": CELLS})


def lead_elsewhere(folder: Path, name: str) -> Path:
    """Put what is at a path somewhere else, and a link in its place; return where it is."""
    elsewhere = folder.parent / f"elsewhere-{name.replace('/', '-')}"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    return elsewhere


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let nothing in a folder be changed, not even by root, who may change what modes do not allow."""
    lock, unlock = (["chattr", "+i"], ["chattr", "-i"]) if os.geteuid() == 0 else (["chmod", "555"], ["chmod", "755"])
    if subprocess.run([*lock, folder], capture_output=True).returncode:
        pytest.skip("this file system cannot make a folder immutable")
    try:
        yield
    finally:
        subprocess.run([*unlock, folder], check=True)


CALLS: dict[str, Callable[[Any], Any]] = {
    "image": lambda target: daskome.write_image(PLANE + 1, target, [2], **OPTIONS),
    "image and labels": lambda target: daskome.write_image(PLANE + 1, target, [2], labels={"cells": CELLS}, **OPTIONS),
    "labels": lambda target: daskome.write_labels(CELLS + 1, target, "cells", **OPTIONS),
    "more labels": lambda target: daskome.write_labels(CELLS, target, "more", axes="yx"),
    "upgrade": lambda target: daskome.convert_metadata(target, "0.6"),
    "levels": lambda target: daskome.add_levels(target, [4]),
}


@pytest.mark.sampled(15)
@pytest.mark.parametrize("wrapped", [LocalStore, lambda folder: LoggingStore(LocalStore(folder))], ids=["", "logging"])
@pytest.mark.parametrize(
    ("call", "linked"),
    [
        ("image", "s0"),
        ("image and labels", "labels/cells"),
        ("labels", "labels"),
        ("labels", "labels/cells/s1"),
        ("more labels", "labels"),
        ("upgrade", "labels"),
        ("levels", "labels/cells"),
    ],
)
def test_nothing_is_changed_behind_a_link(tmp_path: Path, call: str, linked: str, wrapped: Any) -> None:
    an_image(tmp_path / "a")
    elsewhere = lead_elsewhere(tmp_path / "a", linked)
    before = contents(tmp_path)
    with pytest.raises((FileExistsError, ValueError), match=f"{linked} is a link to .*{elsewhere.name}"):
        CALLS[call](wrapped(tmp_path / "a"))
    assert contents(tmp_path) == before
    assert is_image(tmp_path / "a")


def test_levels_that_stay_may_lie_behind_links_and_so_may_the_target(tmp_path: Path) -> None:
    an_image(tmp_path / "a")
    shared = lead_elsewhere(tmp_path / "a", "s0")
    before = contents(shared)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    daskome.add_levels(tmp_path / "link", [4])
    assert sorted(zarr.open_group(tmp_path / "a", mode="r").array_keys()) == ["s0", "s1", "s2"]
    assert contents(shared) == before


@pytest.mark.sampled(2)
@pytest.mark.parametrize("call", ["convert", "transcode"])
@pytest.mark.parametrize("links", [{"loop": "."}, {"loop": ".."}, {"x/loop": "y", "y/loop": "x"}])
def test_links_without_an_end_are_named(tmp_path: Path, links: dict[str, str], call: str) -> None:
    an_image(tmp_path / "in" / "a", "0.4")
    for name in ("x", "y"):
        zarr.create_group(tmp_path / "in" / "a" / name, zarr_format=2)
    zarr.create_group(tmp_path / "in", zarr_format=2)
    for link, end in links.items():
        (tmp_path / "in" / "a" / link).symlink_to((tmp_path / "in" / "a" / end).resolve())
    before = contents(tmp_path / "in" / "a" / "s0")
    calls = {"convert": daskome.convert_metadata, "transcode": daskome.transcode}
    with pytest.raises(ValueError, match=r"loop is a link to a folder that it lies in"):
        calls[call](tmp_path / "in" / "a", {"convert": "0.5", "transcode": tmp_path / "out"}[call])
    assert contents(tmp_path / "in" / "a" / "s0") == before
    assert not (tmp_path / "out").exists()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("call", "folder"),
    [("image", "s0"), ("image", "s1/c/0"), ("labels", "labels/cells/s0"), ("more labels", "labels"), ("upgrade", ".")],
)
def test_where_nothing_may_be_changed_nothing_is(tmp_path: Path, call: str, folder: str) -> None:
    an_image(tmp_path / "a")
    before = contents(tmp_path)
    with locked(tmp_path / "a" / folder), pytest.raises((PermissionError, ValueError), match="no permission"):
        CALLS[call](tmp_path / "a")
    assert contents(tmp_path) == before
    CALLS[call](tmp_path / "a")


def test_the_command_says_that_it_refused_before_anything_was_written(tmp_path: Path) -> None:
    an_image(tmp_path / "a")
    np.save(tmp_path / "in.npy", PLANE)
    lead_elsewhere(tmp_path / "a", "s1")
    before = contents(tmp_path)
    words = ["write", str(tmp_path / "in.npy"), str(tmp_path / "a"), "--axes", "yx", "--overwrite", "--quiet"]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, contents(tmp_path)) == (2, before)
    assert "is a link to" in result.output


paths = st.sampled_from(["a", "b", "a/a", "a/b", "a/b/c", "b/a/b", "c/d/e"])


@given(linked=st.sets(paths, max_size=3), asked=st.lists(paths, max_size=4))
def test_every_link_on_the_way_is_found_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, linked: set[str], asked: list[str]
) -> None:
    root = tmp_path_factory.mktemp("links")
    apart = {path for path in linked if not linked.intersection(parents_of(path))}
    for path in apart:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(root / "elsewhere")
    on_the_way = {inner for path in asked for inner in (path, *parents_of(path))} & apart
    found = {link.partition(" is a link")[0] for link in links_to(StorePath(LocalStore(root)), asked)}
    assert found == {str(root / path) for path in on_the_way}


def test_other_stores_have_neither_links_nor_folders() -> None:
    target = StorePath(MemoryStore())
    assert list(links_to(target, ["a"])) == list(locked_folders(target, ["a"], ["a"])) == []
