"""A real Slurm: arrays of jobs as `daskome script` submits them, clusters of dask-jobqueue, and what ends their jobs."""

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

import daskome
from tests.servers import slurm as servers
from tests.servers.slurm import Slurm
from tests.written import contents, is_image

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[2]
VALUES = np.arange(60**3, dtype="uint32").reshape(60, 60, 60)
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4], "storage_options": {"chunks": 8}, "method": "tests.habits:largest"}
PARTS = 3


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A running Slurm. CI has to have one where it can be installed."""
    why = servers.missing()
    if why:
        pytest.fail(why) if os.environ.get("CI") and shutil.which("apt-get") else pytest.skip(why)
    with servers.serve(tmp_path_factory.mktemp("slurm") / "run") as running:
        yield running


@pytest.fixture(autouse=True)
def environment(slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Be a user who has just logged in: commands find Slurm, jobs find daskome, and logs go to the folder we are in."""
    for key, value in {**slurm.environment, "PYTHONPATH": str(HERE)}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def image(tmp_path: Path, tiny_blocks: None) -> Any:
    np.save(tmp_path / "image.npy", VALUES)
    return daskome.read(tmp_path / "image.npy")


@pytest.fixture
def whole(tmp_path: Path, image: Any) -> dict[str, bytes]:
    """What an undisturbed run on this machine leaves."""
    daskome.write_image(image, tmp_path / "whole", **OPTIONS)
    return contents(tmp_path / "whole")


@pytest.fixture
def begun(tmp_path: Path, image: Any, whole: dict[str, bytes]) -> Path:
    plan = daskome.write_image(image, tmp_path / "a", compute="init", **OPTIONS)
    assert len(plan.stages) == 2
    assert plan.count(0) > 4 * PARTS
    return tmp_path / "a"


def script(out: Path, *options: str) -> str:
    """Return what the command prints."""
    line = [sys.executable, "-m", "daskome", "script", str(out), "--slurm", "--method", OPTIONS["method"], *options]
    return subprocess.run(line, check=True, text=True, stdout=subprocess.PIPE, timeout=60).stdout


def submit(text: str, **environment: str) -> list[str]:
    """Run a script where jobs are submitted; return the numbers of its jobs, in their order."""
    done = subprocess.run(
        ["bash", "-c", text + "\necho ${stage0-} ${stage1-} $finish"],
        env=os.environ | environment,
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


def logs() -> str:
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(Path().glob("slurm-*.out")))


def restarts(slurm: Slurm, job: str) -> int:
    """Return how often a job, or the jobs of an array, have been run again."""
    return sum(map(int, re.findall(r"Restarts=(\d+)", slurm("scontrol", "show", "job", job))))


def n_done(out: Path) -> int:
    return daskome.status(out).stages[0].done


def wait_for(what: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, logs()
        time.sleep(0.1)


def test_an_array_of_jobs_a_stage_after_the_other(slurm: Slurm, begun: Path, whole: dict[str, bytes]) -> None:
    jobs = submit(script(begun, "--jobs", str(PARTS)))
    assert len(jobs) == 3
    assert not is_image(begun)
    states = slurm.wait(*jobs, seconds=120)
    assert set(states.values()) == {"COMPLETED"}, logs()
    assert len(states) > 2 * PARTS
    assert contents(begun) == whole


def test_jobs_killed_for_memory(slurm: Slurm, begun: Path, whole: dict[str, bytes]) -> None:
    daskome.run_part(begun, stage=0, part=(0, PARTS), method=OPTIONS["method"])
    before = n_done(begun)
    stage, after, end = submit(script(begun, "--jobs", str(PARTS)), HOARD="4")
    states = slurm.wait(stage, after, end, seconds=120)
    killed = [state for job, state in states.items() if job.startswith(f"{stage}_")]
    assert len(killed) == PARTS - 1, "jobs of a part that is finished are not submitted"
    assert "COMPLETED" not in states.values(), logs()
    assert "OUT_OF_MEMORY" in killed or not os.access(servers.MEMORY_CGROUP, os.W_OK), (states, logs())
    assert {state for job, state in states.items() if job.startswith((after, end))} == {"CANCELLED"}
    assert n_done(begun) > before, "what was finished before the kill counts"
    assert not is_image(begun)
    with pytest.raises(daskome.WriteError, match="units are missing"):
        daskome.finish(begun)
    assert set(slurm.wait(*submit(script(begun, "--jobs", str(PARTS))), seconds=120).values()) == {"COMPLETED"}, logs()
    assert contents(begun) == whole


def test_a_job_whose_time_is_over_runs_again(slurm: Slurm, begun: Path, whole: dict[str, bytes]) -> None:
    """Some time before the end Slurm sends a signal to the job's shell; here we do, to save the wait."""
    jobs = submit(script(begun, "--jobs", "1", "--threads=1"), NAP="0.05")
    wait_for(lambda: n_done(begun) > 2)
    slurm("scancel", "--signal=USR1", "--batch", jobs[0])
    wait_for(lambda: "stopped by SIGTERM" in logs())
    states = slurm.wait(*jobs, seconds=120)
    assert set(states.values()) == {"COMPLETED"}, logs()
    assert restarts(slurm, jobs[0]) == 1
    assert contents(begun) == whole


def test_a_job_killed_for_time(slurm: Slurm, begun: Path, whole: dict[str, bytes]) -> None:
    """Slurm counts in minutes."""
    hurried = ("--threads=1", "--option=--time=1", "--option=--signal=URG@1")
    stage, *others = submit(script(begun, "--jobs", "1", *hurried), NAP="0.6")
    assert slurm.wait(stage, *others, seconds=150)[stage] == "TIMEOUT", logs()
    before = n_done(begun)
    assert before > 0
    assert not is_image(begun)
    states = slurm.wait(*submit(script(begun, "--jobs", "1")), seconds=120)
    assert set(states.values()) == {"COMPLETED"}, logs()
    assert contents(begun) == whole


def test_a_job_that_must_make_way_runs_again(slurm: Slurm, begun: Path, whole: dict[str, bytes]) -> None:
    jobs = submit(script(begun, "--jobs", "2", "--threads=2"), NAP="0.5")
    wait_for(lambda: n_done(begun) > 2)
    urgent = slurm("sbatch", "--parsable", "--partition=urgent", "--cpus-per-task=2", "--mem=100", "--wrap=sleep 1")
    wait_for(lambda: restarts(slurm, jobs[0]) > 0)
    states = slurm.wait(urgent.strip(), *jobs, seconds=150)
    assert set(states.values()) == {"COMPLETED"}, logs()
    assert contents(begun) == whole


@pytest.fixture
def cluster(slurm: Slurm, tmp_path: Path) -> Iterator[Any]:
    """A scheduler here, and two workers in jobs."""
    from dask_jobqueue import SLURMCluster

    loopback = ["--dashboard-address", "127.0.0.1:0"]
    with SLURMCluster(
        queue="test",
        cores=1,
        processes=1,
        memory="700MiB",
        walltime="00:10:00",
        interface="lo",
        scheduler_options={"interface": "lo", "dashboard_address": "127.0.0.1:0"},
        worker_extra_args=loopback,
        python=sys.executable,
        log_directory=str(tmp_path),
        death_timeout=60,
    ) as made:
        yield made


def test_a_cluster_of_jobs(cluster: Any, tmp_path: Path, image: Any, whole: dict[str, bytes]) -> None:
    cluster.scale(2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        plan = daskome.write_image(image, tmp_path / "a", **OPTIONS)
        assert (plan.workers.count, plan.workers.memory) == (2, int(0.7 * 700 * 2**20))
    assert contents(tmp_path / "a") == whole


def test_a_cluster_whose_job_is_cancelled(
    slurm: Slurm, cluster: Any, tmp_path: Path, image: Any, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAP", "0.05")
    cluster.adapt(minimum_jobs=2, maximum_jobs=2)
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        running = [job for job, state in slurm.states().items() if state == "RUNNING"]
        threading.Timer(2, slurm, ["scancel", running[0]]).start()
        daskome.write_image(image, tmp_path / "a", **OPTIONS)
    assert slurm.states()[running[0]] == "CANCELLED"
    assert contents(tmp_path / "a") == whole
