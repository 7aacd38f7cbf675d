"""`daskome.status`: what anything is, whether it is whole, who writes it, and what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner

import daskome
from daskome.cli.main import main
from daskome.keeping.place import OURS
from daskome.stores.groups import REMOVING_KEY, UNFINISHED_KEY
from daskome.stores.journal import JOURNAL
from daskome.stores.location import locate
from daskome.stores.ownership.claims import WHOLE_RUN
from daskome.stores.ownership.taking import claimed
from tests.written import contents

PLANE = np.arange(12 * 8, dtype="uint8").reshape(12, 8)
IMAGE: dict[str, Any] = {"axes": "yx", "storage_options": {"chunks": 4}}


def image(target: Path, **options: Any) -> Path:
    daskome.write_image(PLANE, target, [2], **IMAGE, **options)
    return target


def labelled(target: Path) -> Path:
    return image(target, labels={"cells": PLANE})


def plate(target: Path, **options: Any) -> Path:
    daskome.write_plate({"A/1": [PLANE], "B/2": [PLANE]}, target, [2], **IMAGE, **options)
    return target


def killed_as_it_began(target: Path) -> Path:
    shutil.rmtree(image(target, compute="init") / JOURNAL)
    return target


def half_removed(target: Path) -> Path:
    zarr.open_group(image(target)).attrs.put({UNFINISHED_KEY: {REMOVING_KEY: True}})
    return target


def array(target: Path) -> Path:
    zarr.create_array(target, data=PLANE)
    return target


def others(target: Path) -> Path:
    zarr.create_group(target, attributes={"mine": 1}).create_group("x")
    return target


def files(target: Path) -> Path:
    target.mkdir()
    (target / "notes.txt").write_text("mine")
    return target


KINDS: dict[str, tuple[Callable[[Path], Path], list[str]]] = {
    "image": (labelled, ["OME-Zarr 0.5 image, whole", "levels: s0 12, 8 uint8, s1 6, 4 uint8", "holds: labels/cells"]),
    "label image": (lambda t: labelled(t) / "labels/cells", ["OME-Zarr 0.5 label image, whole"]),
    "labels": (lambda t: labelled(t) / "labels", ["OME-Zarr 0.5 labels, whole", "holds: cells"]),
    "plate": (plate, ["OME-Zarr 0.5 plate, whole", "holds: A/1, A/1/0, B/2, B/2/0"]),
    "well": (lambda t: plate(t) / "A/1", ["OME-Zarr 0.5 well, whole", "holds: 0"]),
    "unfinished image": (
        lambda t: image(t, compute="init"),
        ["unfinished image", "units  done  missing", "resume=True (--resume); or `daskome run`", "`daskome remove`"],
    ),
    "unfinished plate": (lambda t: plate(t, compute="init"), ["unfinished plate", "units  done  missing"]),
    "killed as it began": (
        killed_as_it_began,
        ["unfinished image", "killed as it began: the call that began it goes on"],
    ),
    "removal": (half_removed, ["what is left of a removal", "`daskome remove` removes the rest"]),
    "journal": (lambda t: image(t, compute="init") / JOURNAL, ["journal", "units  done  missing"]),
    "array": (array, ["zarr array", "holds: 12, 8 uint8"]),
    "group": (others, ["zarr group", "holds: x"]),
    "files": (files, ["other files", "holds: notes.txt"]),
    "file": (lambda t: files(t) / "notes.txt", ["notes.txt: file"]),
    "nothing": (lambda t: t / "a", ["a/a: nothing"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_anything_is(tmp_path: Path, kind: str) -> None:
    made, said = KINDS[kind]
    place = made(tmp_path / "a")
    before = contents(tmp_path)
    text = repr(daskome.status(place))
    assert [line for line in said if line not in text] == []
    assert daskome.status(place).whole == (", whole" in said[0])
    done = CliRunner().invoke(main, ["status", str(place), "--json"])
    assert done.exit_code == (1 if kind == "nothing" else 0)
    assert json.loads(done.stdout)["kind"] == daskome.status(place).kind
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_daskome_made_can_be_removed_and_nothing_else(tmp_path: Path, kind: str) -> None:
    place = KINDS[kind][0](tmp_path / "a")
    state = daskome.status(place)
    if state.kind in OURS:
        daskome.remove(place, dry_run=True)
    else:
        with pytest.raises((ValueError, FileNotFoundError)):
            daskome.remove(place)


def test_what_is_missing_or_unfinished_in_it_is_named(tmp_path: Path) -> None:
    target = labelled(tmp_path / "a")
    daskome.write_labels(PLANE, target, "more", [2], storage_options={"chunks": 4}, compute="init")
    shutil.rmtree(target / "s1")
    found = daskome.status(target)
    assert not found.whole
    assert found.troubles == ("missing: s1",) or "s1" in found.troubles[0]
    assert daskome.status(target, labels="more").missing
    shutil.rmtree(target / "labels" / "cells")
    assert "missing: labels/cells" in daskome.status(target).troubles


def test_levels_that_are_being_added_leave_it_whole(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", None, **IMAGE)
    daskome.add_levels(tmp_path / "a", [2], compute="init")
    found = daskome.status(tmp_path / "a")
    assert (found.kind, found.whole, bool(found.missing)) == ("image", True, True)
    assert f"`daskome remove` of {JOURNAL} in it" in repr(found)


def test_who_writes_is_named(tmp_path: Path) -> None:
    target = image(tmp_path / "a", compute="init")
    with claimed(locate(target), WHOLE_RUN) as claim:
        assert daskome.status(target).writers == (f"written by {claim.owner}",)
        (target / JOURNAL / "claims" / claim.name).rename(tmp_path / claim.name)
    (target / JOURNAL / "claims").mkdir(exist_ok=True)
    shutil.copy(tmp_path / claim.name, target / JOURNAL / "claims")
    assert daskome.status(target).writers == (f"written by {claim.owner}, which has ended",)


def test_damaged_documents_are_an_error_that_says_where(tmp_path: Path) -> None:
    (image(tmp_path / "a") / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="/a"):
        daskome.status(tmp_path / "a")
