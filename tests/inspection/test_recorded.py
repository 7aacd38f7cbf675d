"""What was recorded of an image when it was written is compared with what is there: without the image it was made of."""

import shutil
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.cli.main import main
from daskome.ome.fingerprint import MOST_BLOCKS, checksum, parse_fingerprint, sampled
from tests.strategies import law

PLANE = np.arange(1, 100 * 120 + 1, dtype="uint16").reshape(100, 120)
OPTIONS: dict[str, Any] = {"axes": "yx", "storage_options": {"chunks": (32, 32)}}


def recorded(target: Any, fmt: str = "0.5") -> Any:
    attributes = zarr.open_group(target, mode="r").attrs.asdict()
    return attributes.get("ome", attributes)["multiscales"][0]["metadata"]["fingerprint"]


@pytest.mark.parametrize("fmt", ["0.1", "0.4", "0.5", "0.6"])
def test_an_image_of_something_else_is_seen(fmt: str) -> None:
    store = MemoryStore()
    daskome.write_image(PLANE, store, [2], fmt=fmt, **OPTIONS)
    assert daskome.verify(store, pixels=True) == []
    group = zarr.open_group(store)
    for _, array in group.arrays():
        array[...] = 0  # as an image of a source that nobody could see
    problems = daskome.verify(store, pixels=True)
    assert len(problems) == 16
    assert all("is not what was written there" in problem.message for problem in problems)
    assert daskome.verify(store) == []


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shards": (64, 64)},
        {"compressors": None},
        {"filters": [{"name": "numcodecs.bitround", "configuration": {"keepbits": 3}}]},
        {"filters": [{"name": "numcodecs.delta", "configuration": {"dtype": "<f4"}}]},
    ],
    ids=["plain", "shards", "raw", "lossy", "delta"],
)
def test_whatever_the_codecs_it_is_what_is_read(options: dict[str, Any]) -> None:
    store = MemoryStore()
    values = np.random.default_rng(0).random((100, 120)).astype("float32")
    values[:40, :40], values[50:90, 50:90] = -0.0, np.nan
    daskome.write_image(values, store, [2], axes="yx", storage_options={"chunks": (32, 32), **options})
    assert daskome.verify(store, pixels=True) == []


@pytest.mark.extended
@law(max_examples=30, derandomize=False)
@given(data=st.data())
def test_one_voxel_of_a_small_image_is_seen(data: st.DataObject) -> None:
    store = MemoryStore()
    daskome.write_image(PLANE, store, None, **OPTIONS)
    y, x = data.draw(st.integers(0, 99)), data.draw(st.integers(0, 119))
    zarr.open_array(store, path="s0")[y, x] += 1
    (problem,) = daskome.verify(store, pixels=True)
    y0, x0 = y // 32 * 32, x // 32 * 32
    assert problem.where == f"s0 y {y0}:{min(y0 + 32, 100)}, x {x0}:{min(x0 + 32, 120)}"


@pytest.mark.extended
def test_it_does_not_depend_on_who_writes(tmp_path: Path, tiny_blocks: None) -> None:
    found = []
    for i, image in enumerate((PLANE, da.from_array(PLANE, chunks=(7, 50)), zarr.array(PLANE, chunks=(100, 10)))):
        daskome.write_image(image, tmp_path / str(i), [2], **OPTIONS)
        found.append(recorded(tmp_path / str(i)))
    daskome.write_image(PLANE, tmp_path / "parts", [2], **OPTIONS, compute="init")
    for stage in range(len(daskome.plan_image(PLANE, tmp_path / "x", [2], **OPTIONS).stages)):
        for i in (1, 0):
            daskome.run_part(tmp_path / "parts", PLANE, stage, (i, 2))
    daskome.finish(tmp_path / "parts")
    daskome.write_image(PLANE, tmp_path / "later", [2], **OPTIONS, compute=False).compute(scheduler="sync")
    assert [*found, recorded(tmp_path / "parts"), recorded(tmp_path / "later")] == [found[0]] * 5


def test_plates_labels_and_levels_that_are_given_have_theirs(tmp_path: Path) -> None:
    wells = {"A/1": [PLANE, PLANE + 1], "B/2": PLANE}
    daskome.write_plate(wells, tmp_path / "plate", scale_factors=[2], **OPTIONS)
    prints = [recorded(tmp_path / "plate" / path) for path in ("A/1/0", "A/1/1", "B/2/0")]
    assert prints[0] == prints[2] != prints[1]
    daskome.write_multiscale([PLANE, PLANE[::2, ::2]], tmp_path / "levels", **OPTIONS)
    assert recorded(tmp_path / "levels") == prints[0]
    daskome.write_labels(PLANE, tmp_path / "levels", "cells", **OPTIONS)
    assert recorded(tmp_path / "levels/labels/cells") == prints[0]
    zarr.open_array(tmp_path / "plate/A/1/1/s0")[...] = PLANE
    assert {p.where.split()[0] for p in daskome.verify(tmp_path / "plate", pixels=True)} == {"A/1/1"}


def test_it_stays_when_levels_are_added_and_when_the_version_changes(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", [2], fmt="0.4", **OPTIONS)
    before = recorded(tmp_path / "a")
    daskome.add_levels(tmp_path / "a", [4])
    daskome.convert_metadata(tmp_path / "a", "0.5")
    assert recorded(tmp_path / "a") == before
    assert daskome.verify(tmp_path / "a", pixels=True) == []


def test_with_a_source_that_is_what_counts(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", None, **OPTIONS)
    zarr.open_array(tmp_path / "a/s0")[...] = PLANE + 1
    assert daskome.verify(tmp_path / "a", source=PLANE + 1, pixels=True) == []
    assert daskome.verify(tmp_path / "a", pixels=True) != []


def test_what_the_caller_has_put_there_stays() -> None:
    store = MemoryStore()
    daskome.write_image(PLANE, store, None, **OPTIONS, metadata={"fingerprint": "mine"})
    assert recorded(store) == "mine"
    assert daskome.verify(store, pixels=True) == []


def test_the_command_says_what_it_has_not_compared(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", [2], **OPTIONS)
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "a"), "--pixels"])
    assert (result.exit_code, "not compared" in result.output) == (0, False)
    group = zarr.open_group(tmp_path / "a")
    ome = group.attrs["ome"]
    del ome["multiscales"][0]["metadata"]
    group.attrs["ome"] = ome
    result = CliRunner().invoke(main, ["verify", str(tmp_path / "a"), "--pixels"])
    assert result.exit_code == 0
    assert "not compared: the first level of the image, of which no checksums were recorded; --source" in result.output


@pytest.mark.parametrize("damage", ["removed", "written over"])
def test_what_has_become_of_finished_units_is_looked_at_before_a_run_is_finished(tmp_path: Path, damage: str) -> None:
    daskome.write_image(PLANE, tmp_path / "a", [2], **OPTIONS, compute="init")
    daskome.run_part(tmp_path / "a", PLANE)
    if damage == "removed":
        shutil.rmtree(tmp_path / "a/s0/c/1")
    else:
        zarr.open_array(tmp_path / "a/s0")[40, 40] += 1
    gone = {"removed": "s0/c/1/. of unit", "written over": "s0 y 32:64, x .* is no longer what a finished unit has"}
    with pytest.raises(daskome.WriteError, match=gone[damage]):
        daskome.finish(tmp_path / "a")
    assert "ome" not in zarr.open_group(tmp_path / "a", mode="r").attrs


def test_a_source_that_is_gone_is_a_finding(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a", None, **OPTIONS)
    source = zarr.create_array(tmp_path / "source", data=PLANE)
    shutil.rmtree(tmp_path / "source")
    (problem,) = daskome.verify(tmp_path / "a", source=source)
    assert "cannot be compared with the source: " in problem.message
    assert "there is no zarr array" in problem.message


# ---- the arithmetic


@given(n=st.integers(1, 10**6), block=st.integers(1, 1000))
def test_few_blocks_have_checksums_and_all_of_a_small_image(n: int, block: int) -> None:
    blocks = -(-n // block)
    assert (
        len(sampled((n,), (block,))) == blocks if blocks <= MOST_BLOCKS else len(sampled((n,), (block,))) <= MOST_BLOCKS
    )


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "float32", ">u2", ">f8"])
def test_a_checksum_is_that_of_the_values(dtype: str) -> None:
    values = (np.arange(24).reshape(4, 6) % 5).astype(dtype)
    native = values.astype(values.dtype.newbyteorder("="))
    for same in (native, np.asfortranarray(values), np.pad(values, 1)[1:-1, 1:-1]):
        assert checksum(same) == checksum(values)
    other = native.copy()
    other[3, 5] = 0
    assert checksum(other) != checksum(values)


@pytest.mark.parametrize(
    "stored",
    [
        None, 1, [], {}, {"fingerprint": 1}, {"fingerprint": {}}, {"fingerprint": {"block": [2], "crc32": ["0"]}},
        {"fingerprint": {"block": [0, 2], "crc32": []}}, {"fingerprint": {"block": [4, 4], "crc32": [1]}},
        {"fingerprint": {"block": [4, 4], "crc32": ["0", "0"]}}, {"fingerprint": {"block": "44", "crc32": ["0"]}},
    ],
)  # fmt: skip
def test_what_is_no_fingerprint_counts_for_nothing(stored: Any) -> None:
    assert parse_fingerprint(stored, (4, 4)) is None
