"""A function in a process of its own, and what it cost: wall and CPU seconds, peak memory."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds, bytes, and what the function returned; CPU seconds of its children count.

    `peak` is its own; `child` that of its largest child.
    """

    wall: float
    cpu: float
    peak: int
    child: int
    result: Any


def measure(function: str, python: str | None = None, imports: Sequence[str] = (), **arguments: Any) -> Cost:
    """Run ``benchmarks.module:function`` with JSON arguments in a new process, and return its cost, start excluded.

    Modules named in `imports` are there before the clock starts.
    """
    command = [python or sys.executable, "-m", "benchmarks.process", function, json.dumps(arguments), *imports]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment(), text=True)
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    """Return the environment of a program: it finds benchmarks, and keeps what it compiles, as if it were installed."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return variables | {"PYTHONPATH": str(Path(__file__).parents[1])}


def peak() -> int:
    """Return the peak of this process in bytes. ``ru_maxrss`` starts with that of the process that started it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Begin to measure the peak of this process anew, where the system lets it."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def resident() -> int:
    """Return the memory that this process has in use now, in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _main(function: str, arguments: str, *imports: str) -> None:
    module, name = function.split(":")
    call = getattr(import_module(module), name)
    for imported in imports:
        import_module(imported)
    wall, cpu = time.perf_counter(), time.process_time()
    result = call(**json.loads(arguments))
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cost = Cost(
        time.perf_counter() - wall,
        time.process_time() - cpu + children.ru_utime + children.ru_stime,
        peak(),
        children.ru_maxrss * 1024,
        result,
    )
    print(json.dumps(vars(cost)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
