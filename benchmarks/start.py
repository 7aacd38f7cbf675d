"""What it takes to begin: the imports, the command, and everyone's pyramid of one chunk, where nothing else counts.

``python -m benchmarks.start [--tiny]``: medians of processes in turns, the start of Python counted. What a pyramid of
one chunk takes here is in every wall time of `benchmarks/peers.py`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from benchmarks.peers import PACKAGES, Case, python, store, versions
from benchmarks.process import environment
from benchmarks.report import Table, report

ROUNDS = 7
LEVELS = 2
ONE = Case("one", "one chunk", "zyx", (64,) * 3, (64,) * 3)
IMPORTS = {
    "nothing": "pass",
    "`import dask.array, zarr`": "import dask.array, zarr",
    "`import daskome`": "import daskome",
    "`from daskome import write_image`": "from daskome import write_image",
    "`daskome --help`": "import sys; sys.argv[1:] = ['--help']; from daskome.cli.main import main; main()",
}


def commands(source: str, folder: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield what is run, and how."""
    ours = python("daskome") or sys.executable
    for name, code in IMPORTS.items():
        yield name, [ours, "-c", code]
    told = {"source": source, "axes": ONE.axes, "levels": LEVELS, "method": ONE.method}
    for program in PACKAGES:
        if found := python(program):
            arguments = json.dumps({**told, "target": f"{folder}/{program}"})
            function = f"benchmarks.programs:{program}"
            yield f"pyramid of {ONE.name}, {program}", [found, "-m", "benchmarks.process", function, arguments]


def run(command: Sequence[str]) -> tuple[float, float]:
    """Return wall and CPU seconds of a command."""
    before, began = _children(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    return time.perf_counter() - began, _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(rounds: int) -> list[list[str]]:
    """Return a row for each command, after one round that doesn't count."""
    costs: dict[str, list[tuple[float, float]]] = {}
    for k in range(rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            store(ONE, f"{folder}/source/")
            for name, command in commands(f"{folder}/source/", folder):
                cost = run(command)
                costs.setdefault(name, []).extend([cost] * (k > 0))
    return [[name, *_medians(all_)] for name, all_ in costs.items()]


def _medians(costs: Sequence[tuple[float, float]]) -> list[str]:
    return [f"{statistics.median(values):.2f}" for values in zip(*costs, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    tiny = parser.parse_args().tiny
    table = Table(["what", "wall s", "CPU s"], rows(1 if tiny else ROUNDS), note=versions())
    report("start", table, whole=not tiny)


if __name__ == "__main__":
    main()
