"""Temporary copies between chunks that fit badly: the same bytes as without, read once, and nothing left of them."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import HealthCheck, given, reject, strategies as st

import daskome
from daskome.cli.main import main
from daskome.model import limits
from daskome.model.limits import Limits
from daskome.planning import memory
from daskome.planning.plan import Plan
from daskome.planning.work import PROCESS_MEM
from daskome.stores import journal as journals
from tests.execution.test_resume import done
from tests.strategies import law
from tests.written import Counting, contents, is_image, lights_out

VALUES = np.random.default_rng(0).integers(0, 2**16, (48, 48, 48)).astype("uint16")
PLANES = (1, 48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4], "storage_options": {"chunks": 8}}
TIGHT: dict[str, Any] = {**OPTIONS, "memory": PROCESS_MEM + 2 * 20_000}
"""So little that planes of `VALUES` are read six times."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Plan small images in little memory as large ones are; two threads."""
    monkeypatch.setattr(limits, "LIMITS", Limits(1, 1, unit_nbytes=2**14, tail_nbytes=2**12, staged_nbytes=256))
    monkeypatch.setattr(memory, "UNIT_MEM", 0)
    with dask.config.set(num_workers=2):
        yield


def planes() -> da.Array:
    return da.from_array(VALUES, chunks=PLANES)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    daskome.write_image(VALUES, folder, **OPTIONS)
    return contents(folder)


# ---- laws


@st.composite
def awkward(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], tuple[int, ...], tuple[int, ...], str]:
    """Draw pixels, the chunks of a source that rarely fit those of its target, these, a method."""
    shape = tuple(draw(st.lists(st.integers(9, 24), min_size=3, max_size=3)))
    dtype = draw(st.sampled_from(["uint8", "uint16", "int32", "float32", "float64", "bool"]))
    values = np.random.default_rng(draw(st.integers(0, 9))).integers(-2, 3, shape) * 0.5
    if dtype.startswith("float"):
        values[values == 0] = draw(st.sampled_from([-0.0, np.nan, np.inf]))
    thin = draw(st.integers(0, 2))
    source = tuple(draw(st.integers(1, 2) if i == thin else st.sampled_from([n, n, 5])) for i, n in enumerate(shape))
    target = tuple(draw(st.integers(3, 6)) for _ in shape)
    method = draw(st.sampled_from(["mean", "nearest", "mode", "gaussian"]))
    return values.astype(dtype), source, target, method


def budgets(image: Any, options: dict[str, Any]) -> Iterator[int]:
    """Yield ever less memory for two threads."""
    most = daskome.plan_image(image, **options).thread_memory
    return (PROCESS_MEM + 2 * int(most * 0.8**k) for k in range(1, 24))


def is_staged(image: Any, options: dict[str, Any], memory: int) -> bool:
    with suppress(ValueError):
        return bool(daskome.plan_image(image, memory=memory, staging=True, **options).temporary)
    return False


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@law(max_examples=20, derandomize=False, suppress_health_check=list(HealthCheck))
@given(case=awkward())
def test_the_bytes_are_those_of_an_image_that_was_not_copied(
    case: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values, source, target, method = case
    options: dict[str, Any] = {"scale_factors": [2], "method": method, "storage_options": {"chunks": target}}
    image, folder = Counting(values, source), tmp_path_factory.mktemp("staging")
    memory = next(filter(partial(is_staged, image, options), budgets(image, options)), None) or reject()
    plan = daskome.write_image(image, folder / "a", memory=memory, staging=True, **options)
    daskome.write_image(values, folder / "b", **options)
    assert contents(folder / "a") == contents(folder / "b")
    sizes = np.ones_like(image.reads)
    for axis, (n, c) in enumerate(zip(values.shape, source, strict=True)):
        lengths = [min(c, n - start) for start in range(0, n, c)]
        sizes *= np.array(lengths).reshape([-1 if i == axis else 1 for i in range(3)])
    assert (image.reads * sizes).sum() / values.size == pytest.approx(plan.amplification)


@pytest.mark.extended
def test_what_would_be_read_often_is_read_once(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    image = Counting(VALUES, PLANES)
    plan = daskome.write_image(image, tmp_path / "a", **TIGHT, staging=True)
    assert plan.temporary
    assert (image.reads == 1).all()
    assert contents(tmp_path / "a") == undisturbed


@pytest.mark.sampled(18)
@pytest.mark.parametrize("fmt", ["0.2", "0.4", "0.6"])
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.2 cannot store")
def test_every_version_of_a_target(tmp_path: Path, fmt: str) -> None:
    assert daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, fmt=fmt).temporary
    daskome.write_image(planes(), tmp_path / "b", **OPTIONS, fmt=fmt)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.extended
def test_it_can_be_done_later(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, compute=False).compute(scheduler="threads")
    assert contents(tmp_path / "a") == undisturbed


@pytest.mark.extended
def test_an_image_is_replaced(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    daskome.write_image(VALUES[:8], tmp_path / "a", **OPTIONS)
    daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, overwrite=True)
    assert contents(tmp_path / "a") == undisturbed


# ---- where it lies meanwhile


def begun(target: Path, **options: Any) -> Plan:
    """Write the temporary copy, and no more."""
    plan: Plan = daskome.write_image(planes(), target, **TIGHT, staging=True, compute="init", **options)
    daskome.run_part(target, planes(), stage=0)
    return plan


def test_no_reader_takes_the_copy_for_an_image(tmp_path: Path) -> None:
    begun(tmp_path / "a")
    copy = tmp_path / "a" / journals.JOURNAL / "staging" / "0" / "s0"
    assert np.array_equal(zarr.open_array(copy)[...], VALUES)
    assert not is_image(tmp_path / "a")
    with pytest.warns(zarr.errors.ZarrUserWarning, match=r"\.daskome") as warned:
        assert sorted(zarr.open_group(tmp_path / "a").array_keys()) == ["s0", "s1", "s2"]
    assert len(warned) == 1
    assert "staging" not in repr(daskome.validate(tmp_path / "a"))
    assert "staging" not in CliRunner().invoke(main, ["info", str(tmp_path / "a")]).output


@pytest.mark.extended
def test_parts_go_by_way_of_it_too(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    plan = begun(tmp_path / "a")
    assert daskome.status(tmp_path / "a").stages[0].nbytes == VALUES.nbytes
    for stage in range(1, len(plan.stages)):
        for i in (1, 0):
            daskome.run_part(tmp_path / "a", stage=stage, part=(i, 2))  # the image is not needed any more
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == undisturbed


def test_a_store_that_deletes_nothing_is_refused(tmp_path: Path) -> None:
    store = zarr.storage.ZipStore(tmp_path / "a.zip", mode="w")
    with pytest.raises(ValueError, match="cannot delete a temporary copy"):
        daskome.write_image(planes(), store, **TIGHT, staging=True)
    store.close()


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", ["labels", "plate"])
def test_labels_and_plates_have_copies_of_their_own(tmp_path: Path, name: str) -> None:
    def write(folder: Path, **options: Any) -> Any:
        if name == "plate":
            return daskome.write_plate({"A/1": planes(), "B/2": planes()}, folder, **options)
        daskome.write_image(planes(), folder, **OPTIONS)
        return daskome.write_labels(planes(), folder, "cells", **options)

    plan = write(tmp_path / "a", **TIGHT, staging=True)
    assert len(plan.temporary) == (2 if name == "plate" else 1)
    assert all(group.path.startswith(f"{plan.home}/.daskome/".lstrip("/")) for group, _ in plan.temporary)
    write(tmp_path / "b", **OPTIONS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


# ---- resume


@pytest.mark.sampled(6)
@pytest.mark.parametrize("after", [9, 24 + 9], ids=["copying", "reading the copy"])
@pytest.mark.parametrize("again", [{"staging": True, **TIGHT}, OPTIONS], ids=["with", "without"])
def test_a_resumed_image_has_the_bytes_of_an_undisturbed_one(
    tmp_path: Path, undisturbed: dict[str, bytes], after: int, again: dict[str, Any]
) -> None:
    with lights_out(after), pytest.raises(daskome.WriteError, match="resume=True"):
        daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, retries=0)
    assert {key.split("/")[0] for key in done(tmp_path / "a")} == ({"0"} if after == 9 else {"0", "1"})
    daskome.write_image(planes(), tmp_path / "a", resume=True, **again)
    assert contents(tmp_path / "a") == undisturbed


def test_an_image_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    with lights_out(9), pytest.raises(daskome.WriteError):
        daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, retries=0)
    assert done(tmp_path / "a")
    other = da.from_array(VALUES + 1, chunks=PLANES)
    with pytest.raises(ValueError, match="changed since"):
        daskome.write_image(other, tmp_path / "a", **TIGHT, staging=True, resume=True)


@pytest.mark.extended
def test_a_finished_image_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True)
    before = contents(tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        daskome.write_image(planes(), tmp_path / "a", **TIGHT, staging=True, resume=True)
    assert "finished already" in caplog.text
    assert contents(tmp_path / "a") == before
    other = da.from_array(VALUES + 1, chunks=PLANES)
    with pytest.raises(ValueError, match="changed since"):
        daskome.write_image(other, tmp_path / "a", **TIGHT, staging=True, resume=True)


# ---- what a plan says


def test_a_plan_offers_what_would_spare_reading() -> None:
    direct = daskome.plan_image(planes(), **TIGHT)
    assert direct.amplification > 4
    assert "the source is read 6.00 times\nstaging=True (--staging) would read it 1.00 times" in repr(direct)
    assert "216 KiB" in repr(direct)
    assert not direct.temporary


def test_a_plan_tells_of_its_copy_and_survives_json() -> None:
    plan = daskome.plan_image(planes(), **TIGHT, staging=True)
    shown = repr(plan)
    assert "the source is read 1.00 times\na temporary copy of the image, 216 KiB in" in shown
    assert "staging=True" not in shown
    assert "\n  0      copy " in shown
    assert shown.count("zyx uint16") == 1  # one image
    assert Plan.from_json(plan.to_json()) == plan
    direct = daskome.plan_image(planes(), **TIGHT)
    assert plan.fingerprint == direct.fingerprint
    assert (plan.nbytes, plan.n_objects) == (direct.nbytes, direct.n_objects)
    assert plan.n_puts > direct.n_puts + plan.temporary_nbytes // 2**20
    assert plan.memory <= TIGHT["memory"]


@pytest.mark.parametrize("image", [VALUES, da.from_array(VALUES, chunks=8), da.from_array(VALUES, chunks=16)])
def test_what_fits_is_not_copied(image: Any) -> None:
    plan = daskome.plan_image(image, **TIGHT, staging=True)
    assert not plan.temporary
    assert "staging" not in repr(daskome.plan_image(image, **TIGHT))


@pytest.mark.extended
def test_what_does_not_fit_is_refused_and_a_copy_offered_where_it_would_help() -> None:
    image = planes() + 1  # computed: some planes at a time
    with pytest.raises(ValueError, match=r"needs 72.8 KiB of memory, but a thread has 34.2 KiB; give memory="):
        daskome.plan_image(image, **OPTIONS, memory=PROCESS_MEM + 2 * 35_000)
    memory = PROCESS_MEM + 2 * 50_000
    assert "staging=True" in repr(daskome.plan_image(image, **OPTIONS, memory=memory))
    assert daskome.plan_image(image, **OPTIONS, memory=memory, staging=True).temporary
    with pytest.raises(ValueError, match=r"needs .* of memory, but a thread has 1000 B; give memory=.* or smaller"):
        daskome.plan_image(planes(), **OPTIONS, memory=PROCESS_MEM + 2000, staging=True)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("computed", [False, True])
def test_what_an_error_or_a_plan_offers_can_be_had(computed: bool) -> None:
    image, offers = planes() + 1 if computed else planes(), 0
    for nbytes in range(PROCESS_MEM + 2000, PROCESS_MEM + 200_000, 4000):
        try:
            offered = "staging=True" in repr(daskome.plan_image(image, **OPTIONS, memory=nbytes))
        except ValueError as error:
            offered = "staging=True" in str(error)
        if offered:
            offers += 1
            assert daskome.plan_image(image, **OPTIONS, memory=nbytes, staging=True).temporary
    assert offers


@pytest.mark.extended
def test_the_command_knows_it(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "in.zarr", data=VALUES, chunks=PLANES)
    options = ["--chunks", "8", "--scale-factors", "2,4", "--memory", str(PROCESS_MEM + 200_000), "--threads", "2"]
    source, target = str(tmp_path / "in.zarr"), str(tmp_path / "a")
    assert "would read it 1.00 times" in CliRunner().invoke(main, ["plan", source, *options]).output
    run = CliRunner().invoke(main, ["write", source, target, *options, "--staging"])
    assert run.exit_code == 0, run.output
    daskome.write_image(VALUES, tmp_path / "b", name="in", **OPTIONS)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    described = ["--shape", "48,48,48", "--dtype", "uint16", "--source-chunks", "1,48,48", "--workers", "1"]
    assert "a temporary copy" in CliRunner().invoke(main, ["plan", *described, *options, "--staging"]).output
    refused = CliRunner().invoke(main, ["write", target, "--add-levels", "--staging"])
    assert refused.exit_code == 2
