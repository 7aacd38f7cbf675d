"""Documents too long, too deep or of too many values are refused with where they lie, and chunks that are no files."""

import json
import shutil
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.storage import ObjectStore, StorePath

import daskome
from daskome.inspection.describe import describe
from daskome.stores.documents import read_text
from daskome.stores.opened.bounded import PARSED_NBYTES, VALUE_NBYTES, BoundedFolder, check_document
from tests.strategies import law

VALUES = np.arange(48**2, dtype="uint8").reshape(48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2], "axes": "yx", "storage_options": {"chunks": 16}}
CALLS: dict[str, Callable[[Path], Any]] = {
    "read": daskome.read,
    "info": describe,
    "upgrade": lambda path: daskome.convert_metadata(path, "0.4"),
    "labels": lambda path: daskome.write_labels(VALUES, path, "cells", axes="yx"),
    "levels": daskome.add_levels,
    "write": lambda path: daskome.write_image(VALUES, path, **OPTIONS),
}
RUN_CALLS: dict[str, Callable[[Path], Any]] = {
    "status": daskome.status,
    "run": lambda path: daskome.run_part(path, VALUES),
    "finish": daskome.finish,
    "script": daskome.batch_script,
    "resume": lambda path: daskome.write_image(VALUES, path, resume=True, **OPTIONS),
}


def long(path: Path) -> None:
    """Make a document of three gigabytes that takes no room on the disk."""
    with path.open("wb") as file:
        file.truncate(3 * 2**30)


def deep(path: Path) -> None:
    path.write_text('{"a":' * 100_000 + "1" + "}" * 100_000)


def digits(path: Path) -> None:
    path.write_text('{"zarr_format": 3, "node_type": "group", "attributes": {"ome": %s}}' % ("1" * 100_000))


DAMAGE = {"long": long, "deep": deep, "digits": digits}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_an_image_of_such_documents_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS)
    damage(tmp_path / "a" / "zarr.json")
    for call in CALLS.values():
        tracemalloc.start()
        with pytest.raises((ValueError, OSError), match=r"zarr\.json|/a"):
            call(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 2**27
        tracemalloc.stop()
    assert any("cannot be read" in problem.message for problem in daskome.validate(tmp_path / "a"))
    assert daskome.verify(tmp_path / "a")


@pytest.mark.parametrize("name", ["plan.json", "current"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_run_of_such_documents_is_refused(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    daskome.write_image(VALUES, tmp_path / "a", compute="init", **OPTIONS)
    (document,) = tmp_path.glob(f"a/.daskome/**/{name}")
    damage(document)
    for call in RUN_CALLS.values():
        with pytest.raises((ValueError, OSError)):
            call(tmp_path / "a")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
)


@law(max_examples=20)
@given(value=JSON_VALUES)
def test_what_is_foretold_of_memory_holds(value: Any) -> None:
    """Of a thousand of any value, twice what is foretold is not taken."""
    text = json.dumps([value] * 1000)
    foretold = len(text) + VALUE_NBYTES * sum(map(text.count, ",:[{"))
    tracemalloc.start()
    parsed = json.loads(text)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert parsed is not None
    assert taken < 2.5 * foretold + 2**16


def test_values_without_end_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^a has about 22,\d+,\d+ values"):
        check_document(b"[" + b"[]," * (PARSED_NBYTES // VALUE_NBYTES) + b"0]", "a")


LOOKS: dict[str, Callable[[Path], Any]] = {
    **CALLS,
    **RUN_CALLS,
    "remove": lambda path: daskome.remove(path),
    "script": lambda path: daskome.batch_script(path),
    "manifest": daskome.manifest,
}
for writes in ("write", "labels", "resume"):
    del LOOKS[writes]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_place_that_is_looked_at_is_not_made(tmp_path: Path, look: Callable[[Path], Any]) -> None:
    with suppress(ValueError, FileNotFoundError):
        look(tmp_path / "a.ome.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_document_that_goes_while_it_is_looked_at_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that which makes a run current, just when another process finishes it."""
    (tmp_path / "current").write_text("run")
    looks = Path.is_file

    def then_gone(path: Path) -> bool:
        found = looks(path)
        path.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "is_file", then_gone)
    assert read_text(StorePath(BoundedFolder(tmp_path), "current")) is None


def link_to_nowhere(chunk: Path) -> None:
    chunk.unlink()
    chunk.symlink_to("/not/mounted")


def folder(chunk: Path) -> None:
    chunk.unlink()
    chunk.mkdir()


def link_above(chunk: Path) -> None:
    shutil.rmtree(chunk.parent)
    chunk.parent.symlink_to("/not/mounted")


def file_above(chunk: Path) -> None:
    shutil.rmtree(chunk.parent)
    chunk.parent.touch()


OPENED: dict[str, Callable[[Path], Any]] = {
    "daskome": daskome.read,
    "zarr": zarr.open_array,
    "dask": lambda path: da.from_zarr(str(path)),
    "dask of zarr": lambda path: da.from_zarr(zarr.open_array(path)) + 1,
    "dask of a path": lambda path: da.from_zarr(str(path)) + 1,
    "dask inline": lambda path: da.from_zarr(str(path), inline_array=True) + 1,
    "dask of several": lambda path: da.concatenate([da.from_zarr(str(path), inline_array=True)] * 2),
    "obstore": lambda path: zarr.open_array(
        ObjectStore(pytest.importorskip("obstore.store").LocalStore(path)), mode="r"
    ),
    "taken over": lambda path: zarr.open_array(path, mode="r"),
}


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("shards", [None, (32, 32)])
@pytest.mark.parametrize("damage", [link_to_nowhere, folder, link_above, file_above])
def test_a_chunk_that_something_is_in_the_way_of_is_no_fill_value(
    tmp_path: Path, damage: Callable[[Path], None], shards: Any, opened: str
) -> None:
    """zarr takes a link to a disk that is not mounted for a chunk that was never stored."""
    source = tmp_path / "source"
    zarr.create_array(source, data=VALUES, chunks=(16, 16), shards=shards)
    damage(source / "c" / "1" / "1")
    image, verbatim = OPENED[opened](source), opened == "taken over"
    with pytest.raises(
        daskome.WriteError, match=r"Error\('file://[^ ]*source/c/1/[0-2] cannot be read: [^:]* never stored"
    ):
        daskome.write_image(image, tmp_path / "image", axes="yx", retries=0, verbatim=verbatim)


def test_a_chunk_that_was_never_stored_is_fill_value(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "source", shape=VALUES.shape, chunks=(16, 16), dtype="uint8", fill_value=7)
    daskome.write_image(daskome.read(tmp_path / "source"), tmp_path / "image", axes="yx")
    assert (zarr.open_array(tmp_path / "image" / "s0")[...] == 7).all()


@pytest.mark.parametrize("damage", [link_to_nowhere, folder, link_above, file_above])
def test_verify_names_such_a_chunk_of_an_image(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS)
    damage(tmp_path / "a" / "s0" / "c" / "1" / "1")
    assert any("s0/c/1/1 cannot be read" in str(problem) for problem in daskome.verify(tmp_path / "a", pixels=True))
