"""Going on with what was begun: the same bytes as undisturbed, no unit done twice, no pyramid made of two images."""

import json
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

import daskome
from daskome.execution import runner
from daskome.kernels.methods import METHODS, find_method
from daskome.model.source import Volume
from daskome.stores import journal as journals
from daskome.stores.location import locate
from daskome.stores.ownership.claims import OwnershipLost
from tests.conftest import plan_as_if_large
from tests.cuboid import OPTIONS, SHAPE, VALUES, image
from tests.strategies import volume
from tests.written import contents, is_image

SHARDED: dict[str, Any] = {"scale_factors": [2, 4], "storage_options": {"chunks": 4, "shards": 8}}


def failing(array: da.Array, after: int) -> da.Array:
    """Return an image that can't be read any more after so many blocks."""
    read = [0]

    def block(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        read[0] += 1
        if read[0] > after:
            raise OSError("the lights went out")
        return values

    return array.map_blocks(block, dtype=array.dtype, meta=np.empty((0,) * array.ndim, array.dtype))


def interrupt(write: Any, target: Any, array: da.Array, **options: Any) -> int:
    """Write some of an image, and return how many units are finished."""
    with pytest.raises(daskome.WriteError, match="resume=True"):
        write(failing(array, 9), target, retries=0, **options)
    return len(done(target))


def done(folder: Path) -> list[str]:
    """Return the units that journals below a folder say are finished."""
    found = [path for path in folder.rglob(f"{journals.JOURNAL}/*/*/*") if path.name.isdecimal()]
    return [f"{path.parent.name}/{path.name}" for path in found]


@pytest.fixture(params=[OPTIONS, SHARDED, {**OPTIONS, "fmt": "0.4"}, {**OPTIONS, "fmt": "0.2"}])
def options(request: pytest.FixtureRequest, tiny_blocks: None) -> dict[str, Any]:
    found: dict[str, Any] = request.param
    return found


@pytest.mark.sampled(2)
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.2 cannot store")
def test_a_resumed_image_has_the_bytes_of_an_undisturbed_one(tmp_path: Path, options: dict[str, Any]) -> None:
    daskome.write_image(image(), tmp_path / "whole", **options)
    assert interrupt(daskome.write_image, tmp_path / "a", image(), **options) > 3
    assert not is_image(tmp_path / "a")
    daskome.write_image(image(), tmp_path / "a", resume=True, **options)
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_finished_units_are_left_out(tmp_path: Path, tiny_blocks: None) -> None:
    there = interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    seen: list[int] = []
    plan = daskome.write_image(
        image(), tmp_path / "a", resume=True, progress=lambda n, total: seen.append(n), **OPTIONS
    )
    assert len(seen) == 1 + plan.n_units - there
    assert seen[-1] == plan.nbytes + plan.temporary_nbytes


def test_progress_begins_with_what_was_there(tmp_path: Path, tiny_blocks: None) -> None:
    interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    there = sum(stage.nbytes_done for stage in daskome.status(tmp_path / "a").stages)
    seen: list[int] = []
    daskome.write_image(image(), tmp_path / "a", resume=True, progress=lambda n, total: seen.append(n), **OPTIONS)
    assert seen[0] == there > 0


def test_where_it_begins_no_unit_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A petabyte has millions of units; how many bytes they write is arithmetic."""
    plan = volume(102_400, 1024, "uint8").plan()
    made: list[int] = []
    unit = type(plan)._unit
    monkeypatch.setattr(type(plan), "_unit", lambda *args: (made.append(1), unit(*args))[1])

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    place = locate(tmp_path / "a")
    source = Volume((102_400,) * 3, "uint8", (1024,) * 3).source
    with pytest.raises(KeyboardInterrupt):
        runner.write_units(runner.Run(plan, [source], place, journals.new_journal(place, plan, ())), progress=stop)
    assert len(made) <= len(plan.stages)


def test_it_can_be_resumed_later(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    daskome.write_image(image(), tmp_path / "a", resume=True, compute=False, **OPTIONS).compute(scheduler="threads")
    assert contents(tmp_path / "a") == expected
    again = daskome.write_image(image(), tmp_path / "a", resume=True, compute=False, **OPTIONS)
    again.compute(scheduler="threads")
    assert contents(tmp_path / "a") == expected


@pytest.mark.extended
def test_a_plate_is_resumed_from_sources_in_other_chunks(tmp_path: Path, tiny_blocks: None) -> None:
    """What is written does not depend on the chunks of sources, so neither does whether it is the same."""
    options: dict[str, Any] = {"scale_factors": [2], "storage_options": {"chunks": 8}, "axes": "zyx"}
    daskome.write_plate({"A/1": [VALUES, VALUES], "A/2": [VALUES]}, tmp_path / "expected", **options)
    with pytest.raises(daskome.WriteError):
        daskome.write_plate(
            {"A/1": [image(), image()], "A/2": [failing(image(), 9)]}, tmp_path / "a", retries=0, **options
        )
    wells = {"A/1": [VALUES, image()], "A/2": [da.from_array(VALUES, chunks=24)]}
    daskome.write_plate(wells, tmp_path / "a", resume=True, **options)
    assert contents(tmp_path / "a") == contents(tmp_path / "expected")


def test_where_nothing_was_begun_it_begins(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert contents(tmp_path / "a") == expected


def _written_before(folder: Path) -> None:
    """Let metadata name the method as the first versions of daskome did."""
    document = folder / "zarr.json"
    text = document.read_text()
    assert "daskome.scale.mean" in text
    document.write_text(text.replace("daskome.scale.mean", "daskome.methods:mean"))


@pytest.mark.extended
def test_the_old_name_of_a_method_is_the_same_method(tmp_path: Path, tiny_blocks: None) -> None:
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    _written_before(tmp_path / "a")
    before = contents(tmp_path / "a")
    daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert contents(tmp_path / "a") == before
    with pytest.raises(ValueError, match="planned"):
        daskome.write_image(image(), tmp_path / "a", resume=True, method="max", **OPTIONS)
    assert find_method("daskome.methods:mean") is METHODS["mean"]
    daskome.write_labels(image(), tmp_path / "a", "cells", axes="zyx")
    daskome.add_levels(tmp_path / "a", [16])
    daskome.convert_metadata(tmp_path / "a", "0.6")
    assert [p for p in daskome.verify(tmp_path / "a", pixels=True) if not p.warning] == []


def test_a_finished_image_is_left_alone_and_that_is_said(
    tmp_path: Path, tiny_blocks: None, caplog: pytest.LogCaptureFixture
) -> None:
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with caplog.at_level(logging.WARNING):
        daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert "finished already; nothing is left to do" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"scale_factors": [2, 4]}, "levels: stored 4, planned 3"),
    ({"method": "max"}, "stored 'mean', planned 'max'"),
    ({"storage_options": {"chunks": 16}}, r"stored \[8, 8, 8\], planned \[16, 16, 16\]"),
    ({"name": "heart"}, "stored 'image', planned 'heart'"),
    ({"scale": 2.0}, "scale"),
    ({"fmt": "0.6"}, "stored '0.5', planned '0.6'|coordinateSystems"),
]


@pytest.mark.sampled(12)
@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(("change", "said"), CHANGES)
def test_other_settings_are_refused_and_told(
    tmp_path: Path, tiny_blocks: None, change: dict[str, Any], said: str, finished: bool
) -> None:
    if finished:
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    else:
        interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    before = contents(tmp_path / "a")
    said = said if not finished else "stored .*, planned "
    with pytest.raises(ValueError, match=said):
        daskome.write_image(image(), tmp_path / "a", resume=True, **{**OPTIONS, **change})
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize("finished", [False, True])
def test_another_image_is_refused(tmp_path: Path, tiny_blocks: None, finished: bool) -> None:
    if finished:
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    else:
        interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    before = contents(tmp_path / "a")
    with pytest.raises(ValueError, match="the image has changed since unit"):
        daskome.write_image(image() + np.uint32(1), tmp_path / "a", resume=True, **OPTIONS)
    assert contents(tmp_path / "a") == before


def test_a_file_that_changed_is_refused(tmp_path: Path, tiny_blocks: None) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    source = daskome.read(tmp_path / "a.npy")
    daskome.write_image(source, tmp_path / "a", compute="init", **OPTIONS)
    os.utime(tmp_path / "a.npy", (1e9, 1e9))
    with pytest.raises(ValueError, match=r"a\.npy has changed since writing began"):
        daskome.write_image(daskome.read(tmp_path / "a.npy"), tmp_path / "a", resume=True, **OPTIONS)


def test_codecs_that_lose_something_are_no_change(tmp_path: Path, tiny_blocks: None) -> None:
    import numcodecs

    lossy = {"chunks": 8, "filters": [numcodecs.BitRound(3)]}
    values = da.from_array(np.random.default_rng(0).random(SHAPE, "float32"), chunks=16)
    options: dict[str, Any] = {"scale_factors": [2], "storage_options": lossy, "fmt": "0.4"}
    interrupt(daskome.write_image, tmp_path / "a", values, **options)
    daskome.write_image(values, tmp_path / "a", resume=True, **options)
    assert is_image(tmp_path / "a")


def test_resume_and_overwrite_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give one of them"):
        daskome.write_image(image(), tmp_path / "a", resume=True, overwrite=True)
    assert not (tmp_path / "a").exists()


def test_units_too_large_for_less_memory_are_refused_with_the_numbers(tmp_path: Path) -> None:
    large = da.zeros((512, 512, 512), dtype="uint16", chunks=512)
    daskome.write_image(large, tmp_path / "a", compute="init")
    with pytest.raises(ValueError, match=r"need .* of memory|needs .* of memory"):
        daskome.write_image(large, tmp_path / "a", resume=True, memory="200MB")


def test_the_last_journal_counts_for_nothing_after_a_new_start(tmp_path: Path, tiny_blocks: None) -> None:
    """A process of the old start that is still alive neither writes nor notes anything any more."""
    plan = daskome.write_image(image(), tmp_path / "a", compute="init", **OPTIONS)
    old = journals.find_run(locate(tmp_path / "a"))
    assert old is not None
    from daskome.sources.adapt import as_source

    stale = next(
        runner.unit_tasks(
            runner.Run(plan, [as_source(image())], locate(tmp_path / "a"), old.journal), runner.Part(0, [0])
        )
    )
    daskome.write_image(image(), tmp_path / "a", overwrite=True, compute="init", **OPTIONS)
    with pytest.raises(OwnershipLost, match="started anew"):
        stale()
    assert done(tmp_path / "a") == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("rubbish", [b"", bytes(50), b"PK"], ids=["empty", "zeros", "short"])
def test_torn_shards_are_written_whole(tmp_path: Path, tiny_blocks: None, rubbish: bytes) -> None:
    values = da.from_array(VALUES[:20, :28, :44], chunks=16)  # The last shards reach beyond the edge: zarr reads them.
    daskome.write_image(values, tmp_path / "whole", **SHARDED)
    daskome.write_image(values, tmp_path / "a", compute="init", **SHARDED)
    torn = tmp_path / "a" / "s0" / "c" / "2" / "2" / "2"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(rubbish)
    daskome.write_image(values, tmp_path / "a", resume=True, **SHARDED)
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_leftovers_of_killed_processes_go(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    for of in ("s0/c/0/0/0", "s0/zarr", "zarr"):
        (tmp_path / "a" / f"{of}.d41d8cd98f00b204e9800998ecf8427e.partial").write_bytes(b"half")
    daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert contents(tmp_path / "a") == expected


def test_killed_between_publishing_and_forgetting(tmp_path: Path, tiny_blocks: None) -> None:
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    whole = contents(tmp_path / "a")
    leftover = tmp_path / "a" / journals.JOURNAL / "0123" / "0"
    leftover.mkdir(parents=True)
    (leftover / "0").write_text("{}")
    daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert contents(tmp_path / "a") == whole


@pytest.mark.extended
def test_labels_go_on(tmp_path: Path, tiny_blocks: None) -> None:
    cells = image() // np.uint32(1000)
    for name in ("whole", "a"):
        daskome.write_image(image(), tmp_path / name, **OPTIONS)
    daskome.write_labels(cells, tmp_path / "whole", "cells", storage_options={"chunks": 8})
    interrupt(daskome.write_labels, tmp_path / "a", cells, name="cells", storage_options={"chunks": 8})
    daskome.write_labels(cells, tmp_path / "a", "cells", resume=True, storage_options={"chunks": 8})
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_a_plan_that_was_begun_is_the_same_when_read(tmp_path: Path, tiny_blocks: None) -> None:
    plan = daskome.write_image(image(), tmp_path / "a", compute="init", **OPTIONS)
    begun = journals.find_run(locate(tmp_path / "a"))
    assert begun is not None
    assert begun.plan == plan
    assert begun.plan.to_json() == plan.to_json()
    assert not is_image(tmp_path / "a")


FORKS = multiprocessing.get_context("forkserver")
"""Processes that begin with everything imported: one may be killed every moment of its short life."""
FORKS.set_forkserver_preload(["daskome.writer", __name__])


def slowly(values: np.ndarray[Any, Any], chunks: int, log: Path) -> da.Array:
    """Return an image of which each block takes a while, and is noted."""

    def block(part: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        time.sleep(0.02)
        with log.open("a") as file:
            file.write("x")
        return part

    lazy = da.from_array(values, chunks=chunks)
    return lazy.map_blocks(block, dtype=lazy.dtype, meta=np.empty((0, 0, 0), lazy.dtype))


def write_one(target: Path, log: Path) -> None:
    with dask.config.set(num_workers=2), pytest.MonkeyPatch.context() as patch:
        plan_as_if_large(patch)
        daskome.write_image(slowly(VALUES, 16, log), target, resume=True, **OPTIONS)


def write_a_plate(target: Path, log: Path) -> None:
    wells = {f"{row}/{column}": [slowly(VALUES, 48, log)] * 2 for row in "ABC" for column in (1, 2)}
    with dask.config.set(num_workers=2), pytest.MonkeyPatch.context() as patch:
        plan_as_if_large(patch)
        daskome.write_plate(wells, target, [2], storage_options={"chunks": 16}, resume=True, axes="zyx")


def killed(write: Any, target: Path, log: Path, seconds: float, units: int = 10**9) -> bool:
    """Write in a process, and kill it after some time, or so many finished units; return whether it ended by itself."""
    process = FORKS.Process(target=write, args=(target, log))
    process.start()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.is_alive() and len(done(target)) < units:
        early = (target / journals.JOURNAL / journals.CURRENT).exists() and is_image(target)
        assert not early or whole_journal(target), "a reader saw an image before its last unit was written"
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def kills_until_it_ends(write: Any, target: Path, log: Path, draw: random.Random, takes: float) -> int:
    """Kill it at random moments, and return how often; they come later and later, so any machine gets to the end."""
    kills = 0
    while not killed(write, target, log, draw.uniform(0.0, takes * (0.7 + kills / 20))):
        kills += 1
    return kills


def whole_journal(target: Path) -> bool:
    """Whether all units are noted, or there is no plan; it goes first when a journal is forgotten, then the notes."""
    begun = journals.find_run(locate(target))
    return begun is None or len(done(target)) >= begun.plan.n_units or journals.find_run(locate(target)) is None


@pytest.mark.extended
@pytest.mark.timeout(600)
def test_killed_at_50_moments_it_ends_with_the_same_bytes(tmp_path: Path, tiny_blocks: None) -> None:
    plan = daskome.write_image(image(), tmp_path / "whole", **OPTIONS)
    started = time.monotonic()
    assert killed(write_one, tmp_path / "undisturbed", tmp_path / "log", 300)
    takes = time.monotonic() - started
    draw, kills, ended = random.Random(1), 0, 0
    while kills < 50:
        target, log = tmp_path / f"a{ended}", tmp_path / f"log{ended}"
        mine = kills_until_it_ends(write_one, target, log, draw, takes)
        kills, ended = kills + mine, ended + 1
        assert contents(target) == contents(tmp_path / "whole")
        # A unit reads one block; each kill loses at most one unit per thread. Each resume compares some, too.
        assert len(log.read_text()) <= plan.count(0) + mine * 2 + (mine + 1) * 8
    assert kills >= 50


@pytest.mark.extended
def test_a_plate_that_is_killed_goes_on(tmp_path: Path) -> None:
    assert killed(write_a_plate, tmp_path / "whole", tmp_path / "log", 300)
    for units in (1, 4, 7):
        assert not killed(write_a_plate, tmp_path / "a", tmp_path / "log", 300, units)
        assert not is_image(tmp_path / "a" / "A" / "1" / "0")
    assert killed(write_a_plate, tmp_path / "a", tmp_path / "log", 300)
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")
    assert daskome.verify(tmp_path / "a" / "A" / "1" / "0", pixels=True) == []


@pytest.mark.extended
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_a_clear_error_and_is_gone_on_with_once_there_is_space(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    noise = da.random.default_rng(0).integers(0, 2**16, (256, 256, 256), dtype="uint16", chunks=64)
    try:
        with pytest.raises(daskome.WriteError, match="No space left on device"):
            daskome.write_image(noise, disk / "a", [2], storage_options={"chunks": 64}, retries=0)
        assert not is_image(disk / "a")
        subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
        daskome.write_image(noise, disk / "a", [2], storage_options={"chunks": 64}, resume=True)
        daskome.write_image(noise, tmp_path / "whole", [2], storage_options={"chunks": 64})
        assert contents(disk / "a") == contents(tmp_path / "whole")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_journal_is_json_without_surprises(tmp_path: Path, tiny_blocks: None) -> None:
    interrupt(daskome.write_image, tmp_path / "a", image(), **OPTIONS)
    folder = tmp_path / "a" / journals.JOURNAL
    found = json.loads((folder / (folder / journals.CURRENT).read_text() / journals.PLAN).read_text())
    assert set(found) == {"id", "images", "plan", "consolidated"}
    assert zarr.open_group(tmp_path / "a", mode="r").attrs["daskome"]["unfinished"]
