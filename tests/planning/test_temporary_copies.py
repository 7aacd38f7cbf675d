"""Temporary copies that passes leave: the same bytes as without, no level read twice, and nothing left of them."""

import zipfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, strategies as st

import daskome
from daskome.model import limits
from daskome.planning.plan import Plan
from daskome.planning.work import PROCESS_MEM, Workers
from daskome.stores import journal as journals
from tests.strategies import law, volume
from tests.written import contents, is_image, lights_out

VALUES = np.random.default_rng(0).integers(0, 2**16, (32, 16, 16)).astype("uint16")
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4, 8, 16], "storage_options": {"chunks": 4, "shards": 8}}

TINY = limits.Limits(1, 1, unit_nbytes=2**10, tail_nbytes=2**10, copied_nbytes=1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plan small images as large ones are; two threads."""
    monkeypatch.setattr(limits, "LIMITS", TINY)
    with dask.config.set(num_workers=2):
        yield


def copied(plan: Plan) -> list[str]:
    """Return the levels of which passes leave copies, each read by the next pass."""
    works = [pass_ for stage in plan.stages for pass_ in stage.passes]
    for pass_, following in pairwise(works):
        assert pass_.writes_copy == following.reads_copy
        assert following.first == pass_.stop
    return [plan.pyramid(pass_).levels[pass_.stop].path for pass_ in works if pass_.writes_copy is not None]


def without(values: Any, folder: Path, **options: Any) -> dict[str, bytes]:
    """Return what is written without copies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "LIMITS", replace(TINY, copied_nbytes=2**62))
        assert not daskome.write_image(values, folder, **options).temporary
    return contents(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of `VALUES`, planned at once."""
    folder = tmp_path_factory.mktemp("expected")
    daskome.write_image(VALUES, folder, **OPTIONS)
    return contents(folder)


# ---- laws


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Draw pixels, and how they are written."""
    shape = tuple(draw(st.lists(st.integers(9, 14), min_size=3, max_size=3)))
    dtype = draw(st.sampled_from(["uint8", "uint16", "int32", "float32", "bool"]))
    values = np.random.default_rng(draw(st.integers(0, 9))).integers(-2, 3, shape) * 0.5
    if dtype == "float32":
        values[values == 0] = draw(st.sampled_from([-0.0, np.nan, np.inf]))
    chunks = tuple(draw(st.integers(3, 6)) for _ in shape)
    shards = draw(st.sampled_from([None, tuple(2 * c for c in chunks)]))
    factors = draw(st.sampled_from([[2, 4], [3], [2, 6, 12], [{"z": 1, "y": 2, "x": 2}, {"z": 2, "y": 4, "x": 4}]]))
    method = draw(st.sampled_from(["mean", "nearest", "mode", "max", "gaussian"]))
    options = {"chunks": chunks, "shards": shards}
    return values.astype(dtype), {"scale_factors": factors, "method": method, "storage_options": options}


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@law(max_examples=10, suppress_health_check=list(HealthCheck))
@given(image=images())
def test_the_bytes_are_those_without(
    image: tuple[np.ndarray[Any, Any], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    values, options = image
    folder = tmp_path_factory.mktemp("copies")
    plan = daskome.write_image(values, folder / "a", **options)
    assert options["method"] != "gaussian" or not copied(plan)
    assert Plan.from_json(plan.to_json()) == plan
    assert contents(folder / "a") == without(values, folder / "b", **options)


def test_no_level_is_read_again(tmp_path: Path, expected: dict[str, bytes]) -> None:
    plan = daskome.write_image(VALUES, tmp_path / "a", **OPTIONS)
    assert copied(plan) == ["s1", "s2"]
    assert not any(pass_.reads_below for stage in plan.stages for pass_ in stage.passes)
    assert contents(tmp_path / "a") == expected


@pytest.mark.sampled(18)
@pytest.mark.parametrize("fmt", ["0.2", "0.4", "0.6"])
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.2 cannot store")
def test_every_version_of_a_target(tmp_path: Path, fmt: str) -> None:
    options = {"scale_factors": [2, 4, 8], "storage_options": {"chunks": 4}, "fmt": fmt}
    assert copied(daskome.write_image(VALUES, tmp_path / "a", **options))
    assert contents(tmp_path / "a") == without(VALUES, tmp_path / "b", **options)


# ---- which passes leave one


@pytest.mark.parametrize(("edge", "left"), [(512, []), (1024, ["s3"]), (2048, ["s3"])])
def test_a_copy_is_left_where_much_would_be_read(edge: int, left: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert copied(volume(2 * edge).plan()) == left


def test_of_every_level_in_large_shards_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert copied(volume(2048, storage_options={"chunks": 64, "shards": 512}).plan()) == ["s1", "s2"]


def test_without_memory_for_a_copy_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    case = volume(1024, storage_options={"chunks": 64, "shards": 512})
    least = next(case.plan().units(0)).pass_.unit_memory
    assert copied(replace(case, workers=Workers(memory=PROCESS_MEM + least)).plan()) == ["s1"]
    assert copied(replace(case, workers=Workers(memory=PROCESS_MEM + least - 1)).plan()) == []


# ---- where it lies meanwhile


def test_parts_go_by_way_of_it(tmp_path: Path, expected: dict[str, bytes]) -> None:
    plan = daskome.write_image(VALUES, tmp_path / "a", **OPTIONS, compute="init")
    daskome.run_part(tmp_path / "a", VALUES, stage=0)
    copy = zarr.open_array(tmp_path / "a" / journals.JOURNAL / "staging" / "0" / "s0")
    assert np.array_equal(
        copy[...], zarr.open_array(tmp_path / "a" / "s0")[...].reshape(16, 2, 8, 2, 8, 2).mean((1, 3, 5)).round()
    )
    assert not is_image(tmp_path / "a")
    for stage in range(1, len(plan.stages)):
        for i in (1, 0, 1):
            daskome.run_part(tmp_path / "a", stage=stage, part=(i, 2))
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == expected


def test_it_can_be_done_later(tmp_path: Path, expected: dict[str, bytes]) -> None:
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS, compute=False).compute(scheduler="threads")
    assert contents(tmp_path / "a") == expected


@pytest.mark.extended
def test_a_plate_has_copies_for_each_image(tmp_path: Path) -> None:
    wells = {"A/1": VALUES, "B/2": VALUES + 1}
    plan = daskome.write_plate(wells, tmp_path / "a", **OPTIONS)
    assert len(plan.temporary) == 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "LIMITS", replace(TINY, copied_nbytes=2**62))
        daskome.write_plate(wells, tmp_path / "b", **OPTIONS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.extended
def test_levels_are_added_by_way_of_it(tmp_path: Path) -> None:
    chunks: dict[str, Any] = {"storage_options": {"chunks": 4}}
    daskome.write_image(VALUES, tmp_path / "a", [2], **chunks)
    assert daskome.add_levels(tmp_path / "a", [4, 8, 16], **chunks).temporary
    daskome.write_image(VALUES, tmp_path / "b", [2, 4, 8, 16], **chunks)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_zip_file_can_delete_nothing_and_has_none(tmp_path: Path) -> None:
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as store:
        assert not daskome.write_image(VALUES, store, **OPTIONS).temporary
    with zipfile.ZipFile(tmp_path / "a.zip") as file:
        assert not [name for name in file.namelist() if "staging" in name]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("after", [4, 17], ids=["leaving", "reading"])
def test_a_resumed_image_has_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, expected: dict[str, bytes], after: int
) -> None:
    with lights_out(after), pytest.raises(daskome.WriteError, match="resume=True"):
        daskome.write_image(VALUES, tmp_path / "a", **OPTIONS, retries=0)
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS, resume=True)
    assert contents(tmp_path / "a") == expected


# ---- what a plan says


def test_a_plan_says_what_copies_take() -> None:
    plan = daskome.plan_image(VALUES, **OPTIONS)
    assert "temporary copies of s1, s2, 2.2 KiB in 18 objects: written once, read once, removed at the end" in repr(
        plan
    )
    assert plan.n_puts > plan.n_objects + plan.n_units + 18
