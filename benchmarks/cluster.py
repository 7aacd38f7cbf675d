"""What a cluster costs beside threads, for the same pyramid.

``python -m benchmarks.cluster [--tiny]``: into memory-backed storage, blosc zstd-3, with two threads in all; each way
in a process of its own, in turns, medians of the rounds; CPU seconds with those of the workers. Starts and imports are
not counted: a small image is written first. *loop* is that of `benchmarks.throughput`.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import throughput
from benchmarks.process import markdown, measure
from benchmarks.volumes import EDGE, Tiled

LEVELS = 5
WAYS: dict[str, dict[str, Any] | None] = {
    "loop": None,
    "threads": None,
    "LocalCluster, 1 worker of 2 threads": {"n_workers": 1, "threads_per_worker": 2},
    "LocalCluster, 2 workers of 1 thread": {"n_workers": 2, "threads_per_worker": 1},
}


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge."""

    edge: int
    rounds: int = 3


FULL, TINY = Case(1024), Case(256, 1)


def write(way: str, edge: int) -> dict[str, float]:
    """Write a volume in one of the `WAYS`; return its wall and CPU seconds, and the peaks of its processes in bytes."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = tempfile.mkdtemp(dir=memory)
    try:
        with ExitStack() as stack:
            client = _client(stack, WAYS[way])
            _write(way, f"{folder}/warm", EDGE)
            before, began = _cpu(client), time.perf_counter()
            _write(way, f"{folder}/image", edge)
            wall = time.perf_counter() - began
            return {"wall": wall, "cpu": _cpu(client) - before, "peak": _peak(client)}
    finally:
        shutil.rmtree(folder)


def _client(stack: ExitStack, options: dict[str, Any] | None) -> Any:
    if options is None:
        return None
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(LocalCluster(dashboard_address=None, **options))
    return stack.enter_context(Client(cluster))


def _write(way: str, folder: str, edge: int) -> None:
    if way == "loop":
        Path(folder).mkdir()
        throughput.write_loop(folder, edge, "zstd", 3)
        return
    import dask

    import daskome

    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}}
    with dask.config.set(num_workers=2):
        daskome.write_image(
            Tiled((edge,) * 3), folder, [2**k for k in range(1, LEVELS)],
            storage_options={"chunks": EDGE, "compressors": codec},
        )  # fmt: skip


def _cpu(client: Any) -> float:
    return time.process_time() + sum((client.run(time.process_time) if client else {}).values())


def _peak(client: Any) -> int:
    from benchmarks.process import peak

    return peak() + sum((client.run(peak) if client else {}).values())


def rows(case: Case) -> Iterator[list[str]]:
    """Yield a row per way: medians, and ratios to the loop and to threads."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(case.rounds):
        for way in WAYS:
            found[way].append(measure("benchmarks.cluster:write", way=way, edge=case.edge).result)
    middle = {way: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for way, all_ in found.items()}
    for way, cost in middle.items():
        ratios = [f"{cost[key] / middle[base][key]:.2f}" for base in ("loop", "threads") for key in ("wall", "cpu")]
        yield [way, f"{cost['wall']:.1f}", f"{cost['cpu']:.1f}", *ratios, f"{cost['peak'] / 2**20:.0f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    case = TINY if parser.parse_args().tiny else FULL
    head = [f"{case.edge}³ uint16, {LEVELS} levels", "wall s", "CPU s", "wall, ×loop", "CPU, ×loop"]
    print(markdown([*head, "wall, ×threads", "CPU, ×threads", "peak MiB, all processes"], list(rows(case))))


if __name__ == "__main__":
    main()
