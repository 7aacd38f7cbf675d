"""Plates: what they list, as one plan, in bounded work; wells that come later; nothing lost."""

import multiprocessing
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.execution.executors import available_workers
from daskome.ome.plate import Plate, PlateWell, joined, parse_plate, parse_well, read_plate
from daskome.ome.versions import VERSIONS
from daskome.planning.work import PlanOptions
from daskome.stores import journal as journals
from daskome.stores.groups import UNFINISHED_KEY
from daskome.writing.description import ImageOptions
from daskome.writing.plates import PlateOptions, plan_plate
from tests.written import contents, is_image, levels

FIELD = np.random.default_rng(0).integers(0, 1000, (2, 33, 40)).astype("uint16")
ALL = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]


def ome(target: Any, path: str = "") -> dict[str, Any]:
    found = zarr.open_group(target, path=path, mode="r").attrs.asdict()
    return dict(found.get("ome", found))


# ---- whole plates


@pytest.mark.parametrize("version", ALL)
def test_a_plate_lists_what_it_holds(version: str) -> None:
    store = MemoryStore()
    wells = {"A/1": {0: [FIELD, FIELD + 1]}, ("B", 12): {0: [FIELD + 2], 3: [FIELD + 3, FIELD + 4]}}
    plan = daskome.write_plate(wells, store, [2], "screen", axes="cyx", fmt=version)
    plate = ome(store)["plate"]
    assert [row["name"] for row in plate["rows"]] == ["A", "B"]
    assert [column["name"] for column in plate["columns"]] == ["1", "12"]
    assert [well["path"] for well in plate["wells"]] == ["A/1", "B/12"]
    assert (plate["name"], plate["field_count"]) == ("screen", 3)
    assert [(a["id"], a["maximumfieldcount"]) for a in plate["acquisitions"]] == [(0, 2), (3, 2)]
    images = ome(store, "B/12")["well"]["images"]
    assert images == [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 3}, {"path": "2", "acquisition": 3}]
    assert len(plan.pyramids) == 1
    assert [group.path for group, _ in plan.images] == ["A/1/0", "A/1/1", "B/12/0", "B/12/1", "B/12/2"]
    assert ome(store, "B/12/1")["multiscales"][0]["name"] == "B/12/1"
    array = zarr.open_array(store, path="B/12/2/s0", mode="r")
    np.testing.assert_array_equal(np.squeeze(array[...]), FIELD + 4)
    assert daskome.verify(store, pixels=True) == []


def test_images_may_differ() -> None:
    store = MemoryStore()
    wells = {"A/1": [FIELD, FIELD[:, :20]], "A/2": da.from_array(FIELD.astype("float32"), chunks=16)}
    plan = daskome.write_plate(wells, store, axes="cyx")
    assert [pyramid.levels[0].shape for pyramid in plan.pyramids] == [(2, 33, 40), (2, 20, 40), (2, 33, 40)]
    assert daskome.verify(store, pixels=True) == []


def test_all_names_of_the_plate_may_be_given() -> None:
    store = MemoryStore()
    daskome.write_plate({"C/2": FIELD}, store, axes="cyx", rows="ABCDEFGH", columns=range(1, 13))
    plate = ome(store)["plate"]
    assert (len(plate["rows"]), len(plate["columns"])) == (8, 12)
    assert plate["wells"] == [{"path": "C/2", "rowIndex": 2, "columnIndex": 1}]


def test_the_plate_is_published_last_and_says_that_it_is_unfinished(tmp_path: Path) -> None:
    seen: list[bool] = []

    def block(block: np.ndarray) -> np.ndarray:
        seen.append(UNFINISHED_KEY in zarr.open_group(tmp_path / "p", mode="r").attrs)
        assert not is_image(tmp_path / "p" / "A/1/0")
        return block

    field = da.from_array(FIELD, chunks=-1).map_blocks(block, dtype="uint16", meta=np.empty((0,) * 3, "uint16"))
    daskome.write_plate({"A/1": [field], "B/2": [field]}, tmp_path / "p", axes="cyx")
    assert seen == [True, True]
    assert UNFINISHED_KEY not in zarr.open_group(tmp_path / "p", mode="r").attrs
    assert not [name for name in contents(tmp_path / "p") if journals.JOURNAL in name]


def test_a_plate_that_failed_can_be_written_again(tmp_path: Path) -> None:
    def broken(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("gone")

    field = da.from_array(FIELD, chunks=-1)
    wells = {"A/1": [field], "B/2": [field.map_blocks(broken, dtype="uint16", meta=np.empty((0,) * 3, "uint16"))]}
    with pytest.raises(daskome.WriteError, match="B/2/0"):
        daskome.write_plate(wells, tmp_path / "p", axes="cyx", retries=0)
    assert "plate" not in ome(tmp_path / "p")
    daskome.write_plate({"C/3": [field]}, tmp_path / "p", axes="cyx")
    assert [well["path"] for well in ome(tmp_path / "p")["plate"]["wells"]] == ["C/3"]
    daskome.write_plate({"A/1": [field], "B/2": [field]}, tmp_path / "p", axes="cyx", overwrite=True)
    assert daskome.verify(tmp_path / "p", pixels=True) == []


def test_results_that_all_units_of_an_image_need_are_computed_once_for_each(tmp_path: Path, tiny_blocks: None) -> None:
    computed: list[int] = []

    def offset(well: int) -> np.ndarray[Any, Any]:
        computed.append(well)
        return np.full((1, 1), well, "uint16")

    def image(well: int) -> da.Array:
        shared = da.from_delayed(dask.delayed(offset)(well), (1, 1), "uint16")
        return da.zeros((64, 64), dtype="uint16", chunks=16) + shared

    wells = {f"A/{well}": [image(well)] for well in (1, 2, 3)}
    plan = daskome.write_plate(wells, tmp_path / "a", [2], axes="yx", storage_options={"chunks": 16})
    assert plan.count(0) >= 3 * 4
    assert sorted(computed) == [1, 2, 3]
    for well in (1, 2, 3):
        assert (zarr.open_array(tmp_path / "a" / f"A/{well}/0/s0", mode="r")[...] == well).all()


@pytest.mark.extended
def test_thousands_of_images_are_bounded_work(tmp_path: Path) -> None:
    """Plans of like images are shared, units are one per image, the graph of one is all that is in flight."""
    field = da.zeros((8, 8), dtype="uint8", chunks=8)
    wells = {f"{row}/{column}": [field] * 4 for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)}
    start = time.process_time()
    described, options = PlateOptions(wells), PlanOptions(available_workers())
    images = described.images()
    plan, _ = plan_plate(described.plate(images), images, ImageOptions(axes="yx"), VERSIONS["0.5"], options)
    assert time.process_time() - start < 20
    assert (len(plan.images), len(plan.pyramids), plan.n_units, len(plan.stages)) == (1536, 1, 1536, 1)
    assert type(plan).from_json(plan.to_json()) == plan


@pytest.mark.extended
def test_a_plate_of_384_wells(tmp_path: Path) -> None:
    field = da.zeros((64, 64), dtype="uint16", chunks=64) + 7
    wells = {f"{row}/{column}": [field] * 4 for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25)}
    daskome.write_plate(wells, tmp_path / "p", [2], "screen", axes="yx")
    assert daskome.verify(tmp_path / "p") == []
    assert (levels(tmp_path / "p/P/24/3")[1] == 7).all()


# ---- wells that come later


def test_wells_are_added_to_a_plate_that_stays_whole(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": [FIELD], "C/10": [FIELD]}, tmp_path / "p", axes="cyx", name="screen")
    before = contents(tmp_path / "p")
    seen: list[Any] = []

    def block(block: np.ndarray) -> np.ndarray:
        seen.append(ome(tmp_path / "p"))
        return block

    field = da.from_array(FIELD, chunks=-1).map_blocks(block, dtype="uint16", meta=np.empty((0,) * 3, "uint16"))
    daskome.write_plate({"B/2": [field, field]}, tmp_path / "p", axes="cyx")
    after = contents(tmp_path / "p")
    assert {key: after[key] for key in before if key != "zarr.json"} == {
        k: v for k, v in before.items() if k != "zarr.json"
    }
    plate = ome(tmp_path / "p")["plate"]
    assert all([well["path"] for well in found["plate"]["wells"]] == ["A/1", "C/10"] for found in seen)
    assert [row["name"] for row in plate["rows"]] == ["A", "B", "C"]
    assert [column["name"] for column in plate["columns"]] == ["1", "2", "10"]
    assert [(w["path"], w["rowIndex"], w["columnIndex"]) for w in plate["wells"]] == [
        ("A/1", 0, 0),
        ("C/10", 2, 2),
        ("B/2", 1, 1),
    ]
    assert (plate["name"], plate["field_count"]) == ("screen", 2)
    assert daskome.verify(tmp_path / "p", pixels=True) == []


def test_wells_that_are_there_are_replaced_only_on_request(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": [FIELD], "A/2": [FIELD]}, tmp_path / "p", axes="cyx")
    before = contents(tmp_path / "p")
    with pytest.raises(FileExistsError, match="has wells A/2 already; overwrite=True"):
        daskome.write_plate({"A/2": [FIELD], "A/3": [FIELD]}, tmp_path / "p", axes="cyx")
    assert contents(tmp_path / "p") == before
    daskome.write_plate({"A/2": [FIELD + 1]}, tmp_path / "p", axes="cyx", overwrite=True)
    np.testing.assert_array_equal(levels(tmp_path / "p/A/2/0")[0], FIELD + 1)
    np.testing.assert_array_equal(levels(tmp_path / "p/A/1/0")[0], FIELD)
    assert len(ome(tmp_path / "p")["plate"]["wells"]) == 2


def test_wells_that_come_later_say_their_acquisition(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": {0: [FIELD], 1: [FIELD]}}, tmp_path / "p", axes="cyx")
    before = contents(tmp_path / "p")
    with pytest.raises(ValueError, match="image A/2/0 does not name its acquisition"):
        daskome.write_plate({"A/2": [FIELD]}, tmp_path / "p", axes="cyx")
    assert contents(tmp_path / "p") == before
    daskome.write_plate({"A/2": {1: [FIELD]}}, tmp_path / "p", axes="cyx")
    assert daskome.verify(tmp_path / "p") == []


def test_groups_are_of_one_kind(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": [FIELD]}, tmp_path / "p", axes="cyx")
    before = contents(tmp_path / "p")
    with pytest.raises(ValueError, match="is a plate; labels go into the group of their image"):
        daskome.write_labels(FIELD, tmp_path / "p", "cells", axes="cyx")
    with pytest.raises(FileExistsError, match="holds multiscales metadata"):
        daskome.write_plate_metadata(tmp_path / "p/A/1/0", ["A"], ["1"], ["A/1"])
    with pytest.raises(FileExistsError, match="holds plate metadata"):
        daskome.write_well_metadata(tmp_path / "p", ["0"])
    assert contents(tmp_path / "p") == before


def _write_well(path: Path, well: str, start: Any) -> None:
    start.wait()
    daskome.write_plate({well: [FIELD, FIELD]}, path, axes="cyx")


@pytest.mark.extended
def test_processes_write_wells_of_one_plate_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    wells = ["A/1", "A/2", "B/1"]
    start = context.Barrier(len(wells))
    processes = [context.Process(target=_write_well, args=(tmp_path / "p", well, start)) for well in wells]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(well["path"] for well in ome(tmp_path / "p")["plate"]["wells"]) == wells
    assert daskome.verify(tmp_path / "p", pixels=True) == []


def test_what_is_in_a_zip_file_stays_as_it_is(tmp_path: Path) -> None:
    with zarr.storage.ZipStore(tmp_path / "p.zip", mode="w") as store:
        daskome.write_plate({"A/1": [FIELD]}, store, axes="cyx")
        with pytest.raises(FileExistsError, match="cannot replace"):
            daskome.write_plate({"A/2": [FIELD]}, store, axes="cyx")
    assert daskome.verify(zarr.storage.ZipStore(tmp_path / "p.zip", mode="r")) == []


def test_a_plate_goes_into_no_image(tmp_path: Path) -> None:
    daskome.write_image(FIELD, tmp_path / "a", axes="cyx")
    with pytest.raises(FileExistsError, match="holds multiscales; a plate goes into a group of its own"):
        daskome.write_plate({"A/1": [FIELD]}, tmp_path / "a", axes="cyx")


# ---- what plates must be


@pytest.mark.parametrize(
    ("wells", "options", "message"),
    [
        ({}, {}, "a plate needs wells"),
        ({"A/1": []}, {}, "'A/1' has no images.*section 'plate'"),
        ({"A1": [FIELD]}, {}, "must be row and column: 'A/1'.*section 'plate'"),
        ({"A/1/2": [FIELD]}, {}, "must be row and column"),
        ({5: [FIELD]}, {}, "must be row and column"),
        ({"A/1": [FIELD]}, {"rows": "B"}, "plate/wells/0"),
        ({"A/1": [FIELD]}, {"columns": ["2"]}, "plate/wells/0"),
        ({"A/1": [FIELD]}, {"rows": "AA"}, "plate/rows"),
        ({"A-/1": [FIELD]}, {}, "plate/rows.*section 'plate'"),
        ({"A/1": {-1: [FIELD]}}, {}, "well/images/0/acquisition"),
        ({"A/1": {"x": [FIELD]}}, {}, "acquisition"),
        ({"A/1": [FIELD]}, {"acquisitions": [{"name": "no id"}]}, "acquisitions/0/id"),
        ({"A/1": [FIELD]}, {"acquisitions": [{"id": 0}, {"id": 0}]}, "acquisitions/1/id|does not name its acquisition"),
        ({"A/1": {0: FIELD}}, {"acquisitions": [{"id": 0}, {"id": 0}]}, "acquisitions/1/id"),
        (
            {"A/1": {0: FIELD, 1: FIELD}, "A/2": [FIELD]},
            {},
            "image A/2/0 does not name its acquisition.*section 'well'",
        ),
        ({"A/1": [FIELD[0, 0]]}, {}, "dimensions"),
        ({"A/1": [FIELD]}, {"scale_factors": [3, 4]}, "multiple"),
        ({"A/1": [FIELD]}, {"fmt": "0.7"}, "unknown OME-Zarr version"),
    ],
)
def test_plates_that_cannot_be(tmp_path: Path, wells: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        daskome.write_plate(wells, tmp_path / "p", axes="cyx", **options)
    assert not (tmp_path / "p").exists()


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"image B/2/1: the image is a path; .*daskome\.read"):
        daskome.write_plate({"A/1": [FIELD], "B/2": [FIELD, "x"]}, tmp_path / "p", axes="cyx")


# ---- nouns


def test_joined_plates() -> None:
    old, new = parse_plate("AC", ["1", "2"], ["A/1"], None, 4, "p"), parse_plate("B", ["10"], ["B/10"], None, 1)
    assert joined(old, new) == Plate(
        ("A", "B", "C"), ("1", "2", "10"), (PlateWell("A/1"), PlateWell("B/10")), "p", 4
    )  # fmt: skip
    odd = parse_plate("CA", ["1"], ["A/1"])
    assert joined(odd, new).rows == ("C", "A", "B")


@pytest.mark.parametrize(
    ("well", "message"),
    [
        ({"path": "A/1", "rowIndex": 1}, "rowIndex 1, but it is 0"),
        ({"path": "A/1", "columnIndex": 7}, "columnIndex 7, but it is 0"),
        ({"rowIndex": 1}, "give a path"),
        (5, "give a path"),
    ],
)
def test_wells_that_cannot_be(well: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_plate("AB", ["1"], [well])


def test_images_of_wells_need_paths() -> None:
    with pytest.raises(ValueError, match="give its path"):
        parse_well([{"acquisition": 1}])


def test_what_others_say_of_plates_comes_back_unchanged() -> None:
    found = {
        "rows": [{"name": "A", "x": 1}], "columns": [{"name": "1"}], "name": 5, "field_count": "3",
        "wells": [{"path": "A/1", "rowIndex": 0, "columnIndex": 3, "x": 1}], "y": None,
    }  # fmt: skip
    assert read_plate(found, indexed=True).to_json(indexed=True) == found


def test_plates_and_labels_in_zip_files(tmp_path: Path) -> None:
    with zarr.storage.ZipStore(tmp_path / "p.zip", mode="w") as store:
        daskome.write_plate({"A/1": [FIELD], "B/2": [FIELD]}, store, [2], axes="cyx")
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store:
        daskome.write_image(FIELD, store, [2], axes="cyx", labels={"cells": FIELD})
    for name in ("p.zip", "a.zip"):
        assert daskome.verify(zarr.storage.ZipStore(tmp_path / name, mode="r"), pixels=True) == []


# ---- plates that are resumed


@pytest.mark.sampled(2)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_finished_plate_is_left_as_it_is(tmp_path: Path, version: str, caplog: pytest.LogCaptureFixture) -> None:
    wells = {"A/1": {0: [FIELD], 1: [FIELD + 1]}, "B/2": {0: [FIELD + 2], 1: []}}
    write = {"scale_factors": [2], "axes": "cyx", "fmt": version, "resume": True}
    daskome.write_plate(wells, tmp_path / "a", **write)
    before = contents(tmp_path / "a")
    assert not caplog.records
    daskome.write_plate(wells, tmp_path / "a", **write)
    assert contents(tmp_path / "a") == before
    assert "finished already" in caplog.text
    with pytest.raises(ValueError, match="the image has changed since"):
        daskome.write_plate({**wells, "B/2": {0: [FIELD + 9], 1: []}}, tmp_path / "a", **write)
    with pytest.raises(FileExistsError, match=r"has some of these images already, such as 'A/1/0'"):
        daskome.write_plate({**wells, "C/3": {0: [FIELD]}}, tmp_path / "a", **write)
    daskome.write_plate({"C/3": {0: [FIELD]}, "C/4": {1: [FIELD]}}, tmp_path / "a", **write)
    assert len(ome(tmp_path / "a")["plate"]["wells"]) == 4
    assert daskome.verify(tmp_path / "a", pixels=True) == []
