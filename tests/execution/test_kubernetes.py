"""A run as indexed Jobs: what `kubectl` would get is run here, a process for each pod."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskome
from daskome.execution.batch.schedulers import JOB_ARRAYS, part_of_array
from tests.written import contents

VALUES = np.random.default_rng(0).integers(0, 999, (40, 40, 40), "uint16")
KUBECTL = f"""#!{sys.executable}
import json, os, pathlib, subprocess, sys
log = pathlib.Path(__file__).with_name("jobs")
if sys.argv[1] == "wait":
    job = json.loads(log.with_name(sys.argv[-2].removeprefix("job/")).read_text())
    sys.exit(("failed" in sys.argv[-1]) == job["passed"])
job = json.load(sys.stdin)
(container,) = job["spec"]["template"]["spec"]["containers"]
job["passed"] = all(
    subprocess.run(container["command"], env=dict(os.environ, JOB_COMPLETION_INDEX=str(i))).returncode == 0
    for i in range(job["spec"]["completions"])
)
log.with_name(job["metadata"]["name"]).write_text(json.dumps(job))
with log.open("a") as file:
    file.write(job["metadata"]["name"] + chr(10))
"""


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", VALUES)
    options = {"chunks": 8}
    image = daskome.read(tmp_path / "a.npy")
    daskome.write_image(image, tmp_path / "whole", [2, 4], axes="zyx", storage_options=options)
    daskome.write_image(image, tmp_path / "a", [2, 4], axes="zyx", storage_options=options, compute="init")
    return tmp_path / "a"


def submitted(begun: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    folder = begun.parent / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "kubectl").write_text(KUBECTL)
    (folder / "kubectl").chmod(0o755)
    daskome_ = [sys.executable, "-m", "daskome"]
    text = daskome.batch_script(
        begun, "kubernetes", jobs=2, container="daskome:1", command=daskome_, options=["--namespace=x"], **options
    )
    way = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": os.getcwd()}
    return subprocess.run(["bash", "-c", text], env=way, capture_output=True, text=True, timeout=300)


@pytest.mark.extended
def test_its_jobs_write_the_whole(begun: Path) -> None:
    expected = contents(begun.parent / "whole")
    done = submitted(begun, secret="s3", claim="data:/data")
    assert done.returncode == 0, done.stderr
    assert contents(begun) == expected
    names = (begun.parent / "bin" / "jobs").read_text().split()
    assert names[-1].endswith("-finish")
    job = json.loads((begun.parent / "bin" / names[0]).read_text())
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["completionMode"] == "Indexed"
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "data"}
    assert pod["containers"][0]["volumeMounts"] == [{"name": "data", "mountPath": "/data"}]


@pytest.mark.extended
def test_a_job_that_fails_ends_the_script(begun: Path) -> None:
    (begun.parent / "a.npy").unlink()
    done = submitted(begun)
    assert done.returncode == 1
    assert "a Job has failed" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scheduler": "kubernetes"}, "give an image that has daskome"),
        ({"scheduler": "kubernetes", "container": "a", "claim": "data"}, "as in data:/data"),
        ({"scheduler": "slurm", "container": "a"}, "container= is for Kubernetes"),
        ({"scheduler": "nomad"}, "slurm, pbs, sge, lsf, kubernetes"),
    ],
)
def test_what_cannot_be_is_refused(begun: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        daskome.batch_script(begun, **options)


@pytest.mark.parametrize("row", JOB_ARRAYS, ids=lambda row: row.title)
def test_every_job_array_says_which_part_and_some_how_many(row: Any) -> None:
    environment = {row.index: str(2 + row.first)} | ({row.count: "5"} if row.count else {})
    assert part_of_array(environment, 4) == (2, 4)
    if row.count:
        assert part_of_array(environment, None) == (2, 5)
    else:
        with pytest.raises(ValueError, match="nothing how many there are"):
            part_of_array(environment, None)


def test_a_stray_variable_is_no_part() -> None:
    with pytest.raises(ValueError, match="no job array says"):
        part_of_array({"PART": "3"}, 4)
