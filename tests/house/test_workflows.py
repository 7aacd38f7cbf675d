"""The workflows run: Snakemake's as it is, Nextflow's by the scripts of its processes, and as it is where Nextflow is."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

import daskome
from daskome.cli.main import main
from tests.written import contents

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "notebooks" / "workflows"
SNAKEFILE = (WORKFLOWS / "Snakefile").read_text(encoding="utf-8")
NEXTFLOW = (WORKFLOWS / "main.nf").read_text(encoding="utf-8")
CONFIG = (WORKFLOWS / "nextflow.config").read_text(encoding="utf-8")
ENVIRONMENT = ROOT / ".peers" / "snakemake"
"""Snakemake has an environment of its own: it takes older releases of packages that tests need."""
PARTS = 3
SECONDS = 300
LIMIT_GB = 0.001
SMALL = ["my cells.ome.tif", "a.1.npy"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Make a folder with a large image and two small ones."""
    tifffile = pytest.importorskip("tifffile")
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "large.npy", rng.integers(0, 99, (192, 192, 192), "uint8"))
    np.save(folder / "a.1.npy", rng.integers(0, 999, (40, 40), "uint16"))
    tifffile.imwrite(folder / "my cells.ome.tif", rng.integers(0, 99, (2, 40, 40), "uint8"), metadata={"axes": "ZYX"})
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `daskome` is on the path."""
    command = tmp_path / "bin" / "daskome"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -W ignore -m daskome "$@"\n', encoding="utf-8")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def check(images: Path, pyramids: Path) -> None:
    """Every image is a pyramid, with the bytes of a plain call."""
    found = sorted(path.name for path in pyramids.iterdir())
    assert found == ["a.1.ome.zarr", "large.ome.zarr", "my cells.ome.zarr"]
    for image, pyramid in zip(["a.1.npy", "large.npy", "my cells.ome.tif"], found, strict=True):
        daskome.write_image(
            daskome.read(images / image), pyramids.parent / "plain" / pyramid, storage_options={"chunks": 32}
        )
        assert contents(pyramids / pyramid) == contents(pyramids.parent / "plain" / pyramid)


# ---- Snakemake


@pytest.fixture(scope="module")
def snakemake() -> Path:
    """Return the command, installed into an environment of its own if it is not there."""
    command = ENVIRONMENT / "bin" / "snakemake"
    if not command.exists():
        venv.create(ENVIRONMENT, clear=True, with_pip=True)
        pip = [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", "snakemake>=8"]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=SECONDS)
        if not command.exists():
            said = f"Snakemake cannot be installed: {done.stderr[-500:]}"
            pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    return command


@pytest.mark.slow
def test_snakemake_writes_a_folder_and_goes_on_after_a_crash(
    snakemake: Path, images: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    def run(*words: str) -> str:
        settings = [f"{key}={value}" for key, value in options.items()]
        line = [snakemake, "-s", WORKFLOWS / "Snakefile", "--cores", "2", *words, "--config", *settings]
        done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stderr

    options: dict[str, object] = {"large_gb": LIMIT_GB, "parts": PARTS, "args": "--chunks 32"}
    run("steps/large/part-1")
    pyramid = tmp_path / "pyramids" / "large.ome.zarr"
    state = daskome.status(pyramid)
    assert 0 < state.stages[0].done < state.stages[0].units
    (tmp_path / "steps" / "large" / "part-1").unlink()  # As if it was killed between the last unit and its end.
    run()
    check(images, tmp_path / "pyramids")
    assert "Nothing to be done" in run()


# ---- Nextflow


def processes() -> dict[str, tuple[set[str], str]]:
    """Return the names of the inputs and the script of each process."""
    found = {}
    for name, body in re.findall(r"^process (\w+) \{\n(.*?)^\}", NEXTFLOW, flags=re.DOTALL | re.MULTILINE):
        head, script = body.split("script:")
        taken = re.findall(r"\bval\(?\s*(\w+)", head.split("output:")[0])
        found[name] = set(taken), script.strip().removeprefix('"""').removesuffix('"""')
    return found


PROCESSES = processes()
TASK = {"task.cpus": "2", "task.memory.toBytes()": str(4 * 2**30)}


def rendered(process: str, **values: object) -> str:
    """Return the script of a task, as Nextflow makes it."""
    names, script = PROCESSES[process]
    assert set(values) == names
    known = TASK | {name: str(value) for name, value in values.items()}
    return re.sub(r"\$\{([^}]+)\}", lambda match: known[match[1]], script).replace("\\\\", "\\")


def test_the_workflow_calls_each_process() -> None:
    body = NEXTFLOW.split("\nworkflow {")[1]
    assert (
        re.findall(r"^    ([A-Z]+)\(", body, flags=re.MULTILINE)
        == list(PROCESSES)
        == ["INIT", "RUN", "WRITE", "VERIFY"]
    )


def test_its_parameters_are_those_of_its_configuration() -> None:
    block = CONFIG.split("params {")[1].split("\n}")[0]
    assert set(re.findall(r"params\.(\w+)", NEXTFLOW)) == set(re.findall(r"^    (\w+) +=", block, flags=re.MULTILINE))
    assert "in ((130..145) + 75)" in CONFIG


def commands() -> list[str]:
    """Return every command of daskome in both workflows, with a word for whatever is filled in."""
    scripts = [script.replace("\\\\\n", " ") for _, script in PROCESSES.values()]
    scripts += ["".join(re.findall(r'"(.*)"', lines)) for lines in re.findall(r"shell:\n((?: +\".*\n)+)", SNAKEFILE)]
    return [" ".join(re.sub(r"\$?\{[^}]+\}", "1", script).split()) for script in scripts]


@pytest.mark.parametrize("command", commands())
def test_commands_have_the_options_that_are_used(command: str) -> None:
    name, verb, *words = shlex.split(command)
    known = {option for parameter in main.commands[verb].params for option in parameter.opts}
    assert name == "daskome"
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known


def test_both_workflows_run_the_same_commands() -> None:
    verbs = [command.split()[1] for command in commands()]
    assert verbs == ["init", "run", "write", "verify"] * 2


@pytest.mark.extended
def test_the_scripts_of_nextflow_write_a_folder(images: Path, environment: dict[str, str], tmp_path: Path) -> None:
    """In the order of the workflow, parts in another; and each again, as after a lost node."""

    def run(process: str, file: str, **values: object) -> None:
        name = re.sub(r"(\.ome)?\.[^.]+(\.gz)?$", "", file)
        where = {"name": name, "image": images / file, "target": tmp_path / "pyramids" / f"{name}.ome.zarr"}
        script = rendered(process, **where, **values)
        done = subprocess.run(
            ["bash", "-ue"], input=script, env=environment, cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    args = "--chunks 32"
    for _ in range(2):
        run("INIT", "large.npy", args=args)
    for part in (2, 0, 1, 1):
        run("RUN", "large.npy", part=part, parts=PARTS)
    for file in ["large.npy", "large.npy", *SMALL]:
        run("WRITE", file, args=args)
    run("VERIFY", "large.npy", blocks=4)
    check(images, tmp_path / "pyramids")


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("nextflow"), reason="Nextflow is not here: it comes from its own site")
def test_nextflow_writes_a_folder(images: Path, environment: dict[str, str], tmp_path: Path) -> None:
    options = {"images": f"{images}/*", "large_gb": LIMIT_GB, "parts": PARTS, "args": "--chunks 32", "blocks": 4}
    words = [str(word) for key, value in options.items() for word in (f"--{key}", value)]
    line = ["nextflow", "run", WORKFLOWS / "main.nf", *words]
    done = subprocess.run(line, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout
    check(images, tmp_path / "pyramids")
