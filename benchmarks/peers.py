"""The same pyramid by everyone: daskome, ome-zarr-py, ngff-zarr, ome_zarr_pyramid, multiview-stitcher, TensorStore.

``python -m benchmarks.peers [--tiny] [--install] [WORD …]``. Each program in a process, and an environment, of its own
(``--install`` only makes them, in .peers/; one that isn't there is reported as such), in turns, medians of the rounds,
in memory-backed storage; a report for each volume. `benchmarks/programs.py` shows how each is called. What it leaves
is looked at: so many levels, and the mean of the last against that of the image. *daskome_verbatim* takes the chunks of
level 0 over as they are.
"""

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import Cost, measure
from benchmarks.report import Table, report
from benchmarks.volumes import EDGE, Tiled

LEVELS = 5
ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".peers"
PACKAGES = {
    "daskome": [f"{ROOT}[cloud]"],
    "daskome_verbatim": [f"{ROOT}[cloud]"],
    "ome_zarr": ["ome-zarr"],
    "ngff_zarr": ["ngff-zarr", "dask-image", "zarr"],
    "ome_zarr_pyramid": ["ome-zarr-pyramid"],
    "multiview_stitcher": ["multiview-stitcher"],
    "tensorstore": ["tensorstore"],
}
"""What is installed for each program, itself first; daskome from here. ngff-zarr leaves zarr, by which Dask reads, and
dask-image, for nearest, to those who need them."""

OURS = {"daskome": sys.executable, "daskome_verbatim": sys.executable}
"""Who is here, if it has no environment of its own."""


@dataclass(frozen=True)
class Case:
    """A volume: its shape and chunks, what is in it, and the method that suits it; None: each program's own.

    `word` says which it is on the command line and in the name of its report.
    """

    word: str
    name: str
    axes: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str = "uint16"
    method: str | None = "mean"
    content: str = "noise"
    rounds: int = 3


CASES = [
    Case("sheet", "light sheet 1024³", "zyx", (1024,) * 3, (128,) * 3),
    Case("defaults", "light sheet 1024³, everyone's own codec and method", "zyx", (1024,) * 3, (128,) * 3, method=None),
    Case("em", "EM 1024³", "zyx", (1024,) * 3, (128,) * 3, "uint8"),
    Case("labels", "labels 768³", "zyx", (768,) * 3, (128,) * 3, "uint32", "nearest", "cells"),
    Case("slide", "slide 3×16384²", "cyx", (3, 16384, 16384), (1, 1024, 1024), "uint8"),
    Case("series", "series 8×2×64×1024²", "tczyx", (8, 2, 64, 1024, 1024), (1, 1, 64, 128, 128)),
]
TINY = [
    Case("tiny", "tiny", "zyx", (128,) * 3, (32,) * 3, rounds=1),
    Case("own", "own", "zyx", (128,) * 3, (32,) * 3, method=None, rounds=1),
]


def python(program: str) -> str | None:
    """Return the interpreter of a program's environment, if there is one."""
    found = ENVIRONMENTS / program / "bin" / "python"
    return str(found) if found.exists() else OURS.get(program)


def install() -> None:
    """Make an environment for every program."""
    for program, packages in PACKAGES.items():
        folder = ENVIRONMENTS / program
        if not folder.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, *(["--editable"] if program in OURS else []), *packages], check=True)


def store(case: Case, path: str) -> None:
    """Store the volume of a case."""
    import dask.array as da
    import zarr

    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}}
    array = zarr.create_array(path, shape=case.shape, chunks=case.chunks, dtype=case.dtype, compressors=codec)
    volume = Tiled(case.shape, case.chunks, case.dtype, case.content)
    meta = np.empty((0,) * len(case.shape), case.dtype)
    da.store(da.from_array(volume, chunks=case.chunks, name=False, meta=meta), array, lock=False)


def run(case: Case, program: str, source: str) -> tuple[Cost, list[str]]:
    """Write the pyramid of a case once, and return what it cost, and what is wrong with it."""
    import zarr

    folder = tempfile.mkdtemp(dir=memory())
    try:
        arguments = {"source": source, "target": f"{folder}/a", "levels": LEVELS}
        told = {"axes": case.axes, "method": case.method}
        cost = measure(f"benchmarks.programs:{program}", python(program), **arguments, **told)
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        sizes = {"nbytes": sum(path.stat().st_size for path in files), "objects": len(files)}
        mean = float(np.mean(zarr.open_array(source)[_tile(case)])) if case.method == "mean" else None
        return replace(cost, peak=max(cost.peak, cost.child), result=sizes), list(wrong(f"{folder}/a", LEVELS, mean))
    finally:
        shutil.rmtree(folder)


def memory() -> str | None:
    """Return where folders are kept in memory, if anywhere."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def wrong(target: str, levels: int, mean: float | None, options: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield what a pyramid, in a folder or at a URL, lacks: levels, and the grey value of the image."""
    import fsspec
    import zarr

    fs, root = fsspec.url_to_fs(target, **(options or {}))
    documents = {path: json.loads(fs.cat(path)) for path in fs.find(root) if path.endswith("/zarr.json")}
    shapes = {path: one["shape"] for path, one in documents.items() if one["node_type"] == "array"}
    if len(shapes) != levels:
        yield f"{len(shapes)} levels"
    if shapes and mean is not None:
        last = min(shapes, key=lambda path: math.prod(shapes[path])).rpartition("/")[0]
        with tempfile.TemporaryDirectory() as folder:
            fs.get(f"{last}/", f"{folder}/", recursive=True)
            found = float(np.mean(zarr.open_array(folder, mode="r")[...]))
        if abs(found - mean) > 0.02 * mean:
            yield f"mean {found:.1f} of {mean:.1f}"


def _tile(case: Case) -> tuple[slice, ...]:
    """Return where one tile lies: the image is made of such."""
    outer = len(case.shape) - 3
    return tuple(slice(0, 1 if i < outer else min(n, EDGE)) for i, n in enumerate(case.shape))


def rows(case: Case) -> Iterator[list[str]]:
    """Yield a row per program: medians, and ratios to ours."""
    with tempfile.TemporaryDirectory(dir=memory()) as folder:
        store(case, f"{folder}/source/")
        costs: dict[str, list[Cost]] = {program: [] for program in PACKAGES if python(program)}
        wrong: dict[str, list[str]] = {}
        for _ in range(case.rounds):
            for program in list(costs):
                try:
                    cost, wrong[program] = run(case, program, f"{folder}/source/")
                    costs[program].append(cost)
                except subprocess.CalledProcessError:
                    wrong[program] = ["failed"]
    base = {what: statistics.median(getattr(c, what) for c in costs["daskome"]) for what in ("wall", "cpu")}
    for program in PACKAGES:
        yield [
            case.name,
            program,
            *_cells_of(costs.get(program, []), base),
            ", ".join(wrong.get(program, ["not here"])),
        ]


def _cells_of(costs: list[Cost], base: dict[str, float]) -> list[str]:
    if not costs:
        return ["–"] * 7
    wall, cpu, peak = (statistics.median(getattr(c, what) for c in costs) for what in ("wall", "cpu", "peak"))
    ratios = [f"{wall / base['wall']:.2f}", f"{cpu / base['cpu']:.2f}"]
    sizes = [f"{peak / 2**20:.0f}", f"{costs[0].result['nbytes'] / 2**20:.0f}", f"{costs[0].result['objects']:,}"]
    return [f"{wall:.1f}", f"{cpu:.1f}", *ratios, *sizes]


def versions() -> str:
    """Return the versions of the programs."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    found = []
    for program, packages in PACKAGES.items():
        if program not in OURS and python(program):
            command = [str(python(program)), "-c", code, packages[0]]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(f"{packages[0]} {done.stdout.strip()}")
    return ", ".join(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--install", action="store_true")
    parser.add_argument("words", nargs="*", metavar="WORD", help=", ".join(case.word for case in CASES))
    asked = parser.parse_args()
    if asked.install:
        install()
        return
    every = TINY if asked.tiny else CASES
    cases = [case for case in every if not asked.words or case.word in asked.words]
    head = ["volume", "program", "wall s", "CPU s", "wall, ×ours", "CPU, ×ours", "peak MiB", "stored MiB", "files"]
    for case in cases:
        table = Table([*head, "what is wrong"], list(rows(case)), drawn="CPU s", note=versions())
        report(f"peers-{case.word}", table, whole=case in CASES)


if __name__ == "__main__":
    main()
