"""Parts of a plan in processes that know nothing of each other."""

import ast
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner, Result
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

import daskome
from daskome.cli.main import main
from daskome.execution.batch.schedulers import SCHEDULERS, part_of_array
from daskome.stores import journal as journals
from daskome.stores.location import locate
from daskome.stores.ownership.claims import Claim
from daskome.stores.ownership.owner import Owner
from tests.cuboid import OPTIONS, VALUES
from tests.strategies import volume
from tests.written import contents, is_image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    np.save(tmp_path / "image.npy", VALUES)
    return tmp_path / "image.npy"


def command(*words: Any) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


def spawn(*words: Any, **environment: str) -> "subprocess.Popen[bytes]":
    path = {"PYTHONPATH": str(Path(daskome.__file__).parents[1])}
    line = [sys.executable, "-W", "ignore", "-m", "daskome", *map(str, words)]
    return subprocess.Popen(line, env=os.environ | path | environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


@pytest.fixture
def begun(tmp_path: Path, image: Path, tiny_blocks: None) -> Path:
    plan = daskome.write_image(daskome.read(image), tmp_path / "a", compute="init", **OPTIONS)
    assert plan.n_units > 10
    assert len(plan.stages) > 1
    return tmp_path / "a"


NO_BYTES = ("GB", "0", "-1", "1 XB", "much", "", -1, 0)
CALLS: dict[str, Callable[[Path, Any], Any]] = {
    "write_image": lambda begun, memory: daskome.write_image(VALUES, begun.with_name("b"), memory=memory),
    "plan_image": lambda begun, memory: daskome.plan_image(VALUES, memory=memory),
    "run_part": lambda begun, memory: daskome.run_part(begun, memory=memory),
    "batch_script": lambda begun, memory: daskome.batch_script(begun, memory=memory),
}


@pytest.mark.sampled(4)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_memory_is_read_alike_by_every_call(begun: Path, call: Callable[[Path, Any], Any]) -> None:
    before = contents(begun)
    for memory in NO_BYTES:
        with pytest.raises(ValueError, match="'8GB'"):
            call(begun, memory)
    assert contents(begun) == before
    assert not begun.with_name("b").exists()
    for memory in ("8GB", "8 gb", "8e9", 8_000_000_000, "8000MB", "7.5GiB"):
        call(begun, memory)
        shutil.rmtree(begun.with_name("b"), ignore_errors=True)


def test_parts_in_any_order_make_the_whole(begun: Path, expected: dict[str, bytes]) -> None:
    stages = len(daskome.status(begun).stages)
    for stage in range(stages):
        parts = list(range(5))
        random.Random(stage).shuffle(parts)
        for i in (*parts, parts[0]):
            assert not is_image(begun)
            daskome.run_part(begun, stage=stage, part=(i, 5))
    assert daskome.status(begun).missing == ()
    daskome.finish(begun)
    assert contents(begun) == expected


def test_without_a_stage_all_is_run(begun: Path, expected: dict[str, bytes]) -> None:
    assert daskome.run_part(begun).missing == ()
    daskome.finish(begun)
    assert contents(begun) == expected


def test_write_with_resume_goes_on_with_what_init_began(begun: Path, image: Path, expected: dict[str, bytes]) -> None:
    daskome.run_part(begun, stage=0, part=(1, 3))
    daskome.write_image(daskome.read(image), begun, resume=True, **OPTIONS)
    assert contents(begun) == expected


@pytest.mark.extended
def test_a_dask_image_is_given_again(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    array = da.from_array(VALUES, chunks=20)
    daskome.write_image(array, tmp_path / "a", compute="init", name="image", **OPTIONS)
    with pytest.raises(ValueError, match=r"give it again, as in run_part\(group, image"):
        daskome.run_part(tmp_path / "a", stage=0)
    with pytest.raises(ValueError, match="was planned"):
        daskome.run_part(tmp_path / "a", array.astype("uint16"), stage=0)
    daskome.run_part(tmp_path / "a", array)
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == expected


@pytest.mark.filterwarnings("ignore:OME-Zarr 0.2 cannot store")
def test_axes_that_were_put_in_are_put_in_again(tmp_path: Path, image: Path) -> None:
    options: dict[str, Any] = {**OPTIONS, "fmt": "0.2", "storage_options": {"chunks": 16}}
    daskome.write_image(daskome.read(image), tmp_path / "whole", **options)
    daskome.write_image(daskome.read(image), tmp_path / "a", compute="init", **options)
    daskome.run_part(tmp_path / "a")
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


@pytest.mark.extended
def test_labels_are_parts_too(tmp_path: Path, tiny_blocks: None) -> None:
    cells = da.from_array(VALUES // 1000, chunks=20)
    for name in ("whole", "a"):
        daskome.write_image(VALUES, tmp_path / name, axes="zyx", **OPTIONS)
    daskome.write_labels(cells, tmp_path / "whole", "cells")
    daskome.write_labels(cells, tmp_path / "a", "cells", compute="init")
    assert daskome.status(tmp_path / "a").troubles == ()
    for path, labels in ((tmp_path / "a", "cells"), (tmp_path / "a" / "labels" / "cells", None)):
        assert daskome.status(path, labels=labels).missing
    with pytest.raises(ValueError, match="labels of an image; give the image, and the name"):
        daskome.finish(tmp_path / "a" / "labels" / "cells")
    assert daskome.run_part(tmp_path / "a", cells, labels="cells").missing == ()
    daskome.finish(tmp_path / "a", labels="cells")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"stage": 1}, r"stage 1 reads what stage 0 writes.*\n.*stage 0: \d+ units, 0-\d+"),
        ({"part": (0, 2)}, "needs a stage"),
        ({"stage": 9}, "no stage 9"),
        ({"stage": 0, "part": (2, 2)}, "counted from 0 to 1"),
        ({"stage": 0, "part": (-1, 2)}, "no part -1"),
        ({"memory": "100MB"}, "need .* of memory"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_written(begun: Path, how: dict[str, Any], said: str) -> None:
    before = contents(begun)
    with pytest.raises(ValueError, match=said):
        daskome.run_part(begun, **how)
    assert contents(begun) == before


def test_a_file_that_changed_is_no_longer_written(begun: Path, image: Path) -> None:
    os.utime(image, (1e9, 1e9))
    with pytest.raises(ValueError, match=r"image\.npy has changed since"):
        daskome.run_part(begun, stage=0)


def test_finishing_too_early_lists_what_is_missing(begun: Path) -> None:
    daskome.run_part(begun, stage=0, part=(1, 3))
    missing = daskome.status(begun).missing
    with pytest.raises(daskome.WriteError, match=r"stage 0: \d+ units, 0-\d+, \d+-\d+\n  stage 1: .*\n") as refusal:
        daskome.finish(begun)
    assert f"{len([key for key in missing if key.startswith('0/')])} units" in str(refusal.value)
    assert not is_image(begun)


def test_status_counts(tmp_path: Path, tiny_blocks: None) -> None:
    def broken(block: np.ndarray[Any, Any], block_info: Any = None) -> np.ndarray[Any, Any]:
        if block_info[0]["chunk-location"] == (0, 0, 0):
            raise OSError("this plane is lost")
        return block

    array = da.from_array(VALUES, chunks=20)
    bad = array.map_blocks(broken, dtype=array.dtype, meta=np.empty((0, 0, 0), array.dtype))
    daskome.write_image(array, tmp_path / "a", compute="init", **OPTIONS)
    assert daskome.status(tmp_path / "a").seconds_left is None
    with pytest.raises(daskome.WriteError):
        daskome.run_part(tmp_path / "a", bad, stage=0, retries=0)
    found = daskome.status(tmp_path / "a")
    first = found.stages[0]
    assert 0 < first.failed == len(first.missing) < first.units
    assert first.done == first.units - first.failed
    assert 0 < first.nbytes_done < first.nbytes
    assert found.seconds_left is not None
    assert "this plane is lost" in repr(found)
    daskome.run_part(tmp_path / "a", array, stage=0)
    assert daskome.status(tmp_path / "a").failures == {}


def test_the_commands(tmp_path: Path, image: Path, expected: dict[str, bytes]) -> None:
    out = tmp_path / "b"
    start = command("init", image, out, "--scale-factors", "2,4,8", "--chunks", 8)
    assert start.exit_code == 0, start.output
    assert "begun; next: daskome script" in start.output
    assert command("finish", out).exit_code == 1
    assert command("run", out, "--stage", 0, "--part", "2/2").exit_code == 2
    assert command("run", out, "--part", "x/2").exit_code == 2
    assert command("run", out, "--stage", 0, "--part", "2/2", "--one-based", "-q").output == ""
    assert command("run", out, "-q").exit_code == 0
    found = json.loads(command("status", out, "--json").stdout)
    assert [stage["missing"] for stage in found["stages"]] == [[]] * len(found["stages"])
    assert "every unit is done" in command("status", out).output
    assert command("finish", out).exit_code == 0
    assert "OME-Zarr 0.5 image, whole" in command("status", out).output
    assert contents(out) == expected


def test_a_part_by_the_job_array(monkeypatch: pytest.MonkeyPatch, begun: Path) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert command("run", begun, "--stage", 0, "--part", "auto/3", "-q").exit_code == 0
    units = daskome.status(begun).stages[0].units
    missing = set(daskome.status(begun).stages[0].missing)
    assert set(range(units)) - missing == set(range(units // 3, units * 2 // 3))
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    refused = command("run", begun, "--stage", 0, "--part", "auto/3")
    assert (refused.exit_code, "outside the 3 parts, counted from 0" in refused.output) == (2, True)
    assert command("run", begun, "--stage", 0, "--part", "auto/3", "--one-based", "-q").exit_code == 0


@pytest.mark.parametrize(("name", "row"), SCHEDULERS.items())
def test_scripts_are_shell(begun: Path, name: str, row: Any) -> None:
    text = daskome.batch_script(begun, name, jobs=4, hours=2, options=["--partition=long run"])
    assert subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True).stderr == ""
    assert text.count("daskome run") == len(daskome.status(begun).stages)
    assert "'--partition=long run'" in text
    assert part_of_array({row.index: str(row.first + 2)}, 4) == (2, 4)
    with pytest.raises(ValueError, match="outside the 4 parts"):
        part_of_array({row.index: str(row.first + 4)}, 4)


@pytest.mark.extended
def test_a_part_that_a_scheduler_starts_again_takes_over_from_a_node_that_is_gone(begun: Path) -> None:
    """Nobody there says any more that it lives, nor, for a while, that it does not: the scheduler knows."""
    script = daskome.batch_script(begun, jobs=1, command=["daskome"])
    words = shlex.split(next(line for line in script.splitlines() if line.startswith("daskome run")).rstrip("& "))
    gone = Owner("t", "node7", "another machine", 7, "1", time.time())
    claim = Claim(locate(begun), "part-0-of-1-of-stage-0-1", gone)
    sync(claim.make())
    assert sync(claim.is_made())
    asked = [word for word in words[1:] if word != "--take-over"]
    refused = command(*asked)
    assert (refused.exit_code, "process 7 on node7" in refused.output) == (2, True)
    assert command(*words[1:]).exit_code == 0
    assert daskome.status(begun).stages[0].missing == ()


def test_no_job_array_says_which_part() -> None:
    with pytest.raises(ValueError, match="SLURM_ARRAY_TASK_ID"):
        part_of_array({}, 4)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Begin something of seconds, so that processes can be killed in it."""
    np.save(tmp_path / "large.npy", np.random.default_rng(0).integers(0, 999, (320, 320, 320), "uint16"))
    options = ("--chunks", 16, "--scale-factors", "2,4", "-q")
    assert command("write", tmp_path / "large.npy", tmp_path / "whole", *options).exit_code == 0
    assert command("init", tmp_path / "large.npy", tmp_path / "b", *options).exit_code == 0
    return tmp_path / "b"


@pytest.mark.extended
def test_sigterm_ends_after_the_unit_in_hand_with_a_status_of_its_own(large: Path) -> None:
    process = spawn("run", large, "--threads", 1)
    deadline = time.monotonic() + 60
    while not any(large.rglob(f"{journals.JOURNAL}/*/0/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors.decode()
    assert "stopped by SIGTERM" in errors.decode()
    assert f"to go on: daskome run {large} --threads 1" in errors.decode()
    found = daskome.status(large)
    assert 0 < found.stages[0].done < found.stages[0].units
    daskome.run_part(large)
    daskome.finish(large)
    assert contents(large) == contents(large.parent / "whole")


@pytest.mark.extended
def test_parts_at_the_same_time_one_twice_and_some_killed(large: Path) -> None:
    draw = random.Random(3)
    for stage in range(len(daskome.status(large).stages)):
        parts = [0, 1, 2, 3, 2]
        draw.shuffle(parts)
        for pair in (parts[:2], parts[2:4], parts[4:]):
            running = [spawn("run", large, "--stage", stage, "--part", f"{i}/4", "-q") for i in pair]
            time.sleep(draw.uniform(1, 3))
            running[0].kill()
            for process in running:
                process.communicate(timeout=120)
        for i in range(4):
            again = spawn("run", large, "--stage", stage, "--part", f"{i}/4", "-q")
            again.communicate(timeout=120)
            assert again.returncode == 0
    assert not is_image(large)
    daskome.finish(large)
    assert contents(large) == contents(large.parent / "whole")


@pytest.mark.extended
def test_a_store_that_is_open_is_a_target_too(tiny_blocks: None) -> None:
    store = zarr.storage.MemoryStore()
    daskome.write_image(VALUES, store, axes="zyx", compute="init", **OPTIONS)
    daskome.run_part(store, VALUES)
    daskome.finish(store)
    assert daskome.verify(store, pixels=True, source=VALUES) == []


def test_how_far_a_petabyte_is_takes_no_look_at_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    place = StorePath(MemoryStore())
    plan = volume(102_400, 1024, "uint8").plan()
    begun = journals.SavedRun(journals.new_journal(place, plan, ()), plan, ())
    assert plan.n_units > 100_000
    journals.save_plan(begun.journal, plan, ())
    journals.begin(begun.journal)
    done = range(7, plan.count(0), 1000)
    for unit in plan.units(0, done):
        journals.record(begun.journal, unit, journals.Record(1.0, 1.0))
    journals.fail(begun.journal, next(plan.units(0, [3])), "no such tape")
    journals.fail(begun.journal, next(plan.units(0, [7])), "written since")
    written = plan.nbytes_of(0, done)

    def made(*args: Any) -> Any:
        raise AssertionError("a unit was made")

    monkeypatch.setattr(type(plan), "_unit", made)
    found = daskome.status(place)
    assert sum(stage.nbytes for stage in found.stages) == plan.nbytes + plan.temporary_nbytes
    assert [stage.nbytes_done for stage in found.stages] == [written, *[0] * (len(plan.stages) - 1)]
    assert found.failures == {"0/3": "no such tape"}
    assert sum(stage.failed for stage in found.stages) == 1


@pytest.mark.parametrize("fields", [1, 2])
def test_a_plate_of_one_well_is_continued_at_the_plate(tmp_path: Path, fields: int) -> None:
    image = np.arange(64 * 64, dtype="u2").reshape(64, 64)
    wells: Any = {"A/1": [image] * fields}
    daskome.write_plate(wells, tmp_path / "p", [2], axes="yx", compute="init")
    assert daskome.status(tmp_path / "p").missing
    images: Any = wells["A/1"] if fields > 1 else image
    assert not daskome.run_part(tmp_path / "p", images).missing
    daskome.finish(tmp_path / "p")
    assert daskome.verify(tmp_path / "p", pixels=True) == []
    assert zarr.open_group(tmp_path / "p", mode="r").attrs["ome"]["plate"]["wells"][0]["path"] == "A/1"


def largest(windows: np.ndarray[Any, Any], axis: tuple[int, ...]) -> Any:
    return np.max(windows, axis=axis)


def test_a_function_of_the_callers_own_is_given_again() -> None:
    """What only the store names is not imported; how far it is, anyone may see."""
    store, function = MemoryStore(), f"{__name__}:largest"
    daskome.write_image(VALUES, store, axes="zyx", method=largest, compute="init")
    assert daskome.status(store).missing
    with pytest.raises(ValueError, match=rf"nothing that a store names is imported.*--method {function}"):
        daskome.run_part(store, VALUES)
    daskome.run_part(store, VALUES, method=function)
    daskome.finish(store)
    assert daskome.verify(store, pixels=True, method=largest) == []


def test_jobs_get_the_function_that_their_script_was_given(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    image, function = daskome.read(tmp_path / "a.npy"), f"{__name__}:largest"
    daskome.write_image(image, tmp_path / "a", axes="zyx", method=largest, compute="init")
    with pytest.raises(ValueError, match="only the store names"):
        daskome.batch_script(tmp_path / "a")
    assert f"--method {function}" in daskome.batch_script(tmp_path / "a", method=function)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name", ["a\nJOB\ntouch pwned\n", "$(touch pwned)", "`touch pwned`", "a'b;touch pwned", "ä\tb"]
)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_nothing_in_a_name_is_a_command(tmp_path: Path, name: str, scheduler: str) -> None:
    """What would be submitted is run here: `run` and `finish` get the path as one word."""
    np.save(tmp_path / "a.npy", VALUES)
    target = tmp_path / name
    daskome.write_image(daskome.read(tmp_path / "a.npy"), target, axes="zyx", compute="init")
    said = f"import sys; open({str(tmp_path / 'words')!r}, 'a').write(repr(sys.argv[1:]) + chr(10))"
    text = daskome.batch_script(target, scheduler, jobs=1, command=[sys.executable, "-c", said])
    folder = tmp_path / "bin"
    folder.mkdir()
    for submit in ("sbatch", "qsub", "bsub"):
        (folder / submit).write_text("#!/bin/bash\nbash >&2\necho 7\n")
        (folder / submit).chmod(0o755)
    (tmp_path / "submit.sh").write_text(text)
    way = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    subprocess.run(["bash", "submit.sh"], cwd=tmp_path, env=way, check=True, capture_output=True, timeout=60)
    assert not (tmp_path / "pwned").exists()
    words = [ast.literal_eval(line) for line in (tmp_path / "words").read_text().splitlines()]
    assert {line[0] for line in words} == {"run", "finish"}
    assert all(line[1] == str(target) for line in words)


@pytest.mark.parametrize("change", ["plan", "image", "mark", "id"])
def test_a_journal_that_was_changed_is_refused(tmp_path: Path, change: str) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    daskome.write_image(daskome.read(tmp_path / "a.npy"), tmp_path / "a", axes="zyx", compute="init")
    (saved,) = tmp_path.glob("a/.daskome/*/plan.json")
    document, group = json.loads(saved.read_text()), json.loads((tmp_path / "a/zarr.json").read_text())
    if change == "plan":
        document["plan"]["stages"][0]["passes"][0]["unit"][0] *= 2
    if change == "image":
        document["images"][0]["path"] = "http://elsewhere/a.npy"
    if change == "mark":
        group["attributes"]["daskome"]["fingerprint"] = "0" * 32
    if change == "id":
        (tmp_path / "a/.daskome/current").write_text("../../b")
    saved.write_text(json.dumps(document))
    (tmp_path / "a/zarr.json").write_text(json.dumps(group))
    for call in (daskome.status, daskome.run_part, daskome.finish, daskome.batch_script):
        with pytest.raises(ValueError, match="the journal cannot be read"):
            call(tmp_path / "a")


def test_a_plate_is_searched_for_runs_and_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daskome.write_plate({"A/1": [np.ones((8, 8), "u1")]}, tmp_path / "plate", axes="yx")
    daskome.write_image(np.ones((8, 8), "u1"), tmp_path / "others" / "deep" / "a", axes="yx", compute="init")
    asked: list[str] = []
    find = journals.find_run
    monkeypatch.setattr(journals, "find_run", lambda home, method=None: asked.append(home.path) or find(home, method))
    assert [daskome.status(tmp_path / path).kind for path in ("plate", "others")] == ["plate", "other files"]
    assert asked == ["", "A", "A/1", "A/1/0", ""]


def test_several_runs_of_a_plate_are_named(tmp_path: Path) -> None:
    for well in ("A/1", "B/2"):
        daskome.write_plate({well: np.zeros((64, 64), "u1")}, tmp_path / "p", axes="yx", compute="init")
    with pytest.raises(ValueError, match="has several runs, at A/1/0, B/2/0; give the zarr group"):
        daskome.finish(tmp_path / "p")
    assert "being written: A/1/0, B/2/0" in repr(daskome.status(tmp_path / "p"))
    group = zarr.open_group(tmp_path / "p")["A/1/0"]
    daskome.run_part(group, np.zeros((64, 64), "u1"))  # type: ignore[arg-type]
    daskome.finish(group)  # type: ignore[arg-type]
    assert daskome.status(tmp_path / "p").missing
