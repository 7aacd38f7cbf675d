"""What shards cost beside chunks stored one by one, and what they spare.

``python -m benchmarks.shards [--tiny]``: the same volume in chunks of 64³, Blosc zstd-1, five levels, two threads, in
memory-backed storage; each in a process of its own, in turns, medians of the rounds; starts not counted.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process import measure
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

LEVELS = 5
CHUNK = 64


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge, in shards of so many; 0: none."""

    edge: int
    shards: tuple[int, ...] = (0, 256, 512)
    rounds: int = 3


FULL, TINY = Case(1024), Case(128, (0, 128), 1)


def write(edge: int, shard: int) -> dict[str, float]:
    """Write a volume; return its wall and CPU seconds, peak in bytes, files, and the peak that was predicted."""
    import dask

    import daskome
    from benchmarks.process import peak

    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"}}
    options = {"chunks": CHUNK, "shards": shard or None, "compressors": codec}
    folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    factors = [2**k for k in range(1, LEVELS)]
    try:
        with dask.config.set(num_workers=2):
            daskome.write_image(Tiled((128,) * 3), f"{folder}/warm", [2], storage_options={"chunks": CHUNK})
            began, before = time.perf_counter(), time.process_time()
            plan = daskome.write_image(Tiled((edge,) * 3), f"{folder}/image", factors, storage_options=options)
            wall, cpu = time.perf_counter() - began, time.process_time() - before
        files = sum(path.is_file() for path in Path(folder, "image").rglob("*"))
        return {"wall": wall, "cpu": cpu, "peak": peak(), "files": files, "predicted": plan.memory}
    finally:
        shutil.rmtree(folder)


def rows(case: Case) -> Iterator[list[str]]:
    """Yield a row per size of shard: medians, and ratios to no shards."""
    costs: dict[int, list[dict[str, float]]] = {shard: [] for shard in case.shards}
    for _ in range(case.rounds):
        for shard in case.shards:
            costs[shard].append(measure("benchmarks.shards:write", edge=case.edge, shard=shard).result)
    middle = {
        shard: {key: statistics.median(cost[key] for cost in all_) for key in all_[0]} for shard, all_ in costs.items()
    }
    base = middle[case.shards[0]]
    for shard, cost in middle.items():
        name = f"shards of {shard}³" if shard else "no shards"
        ratios = [f"{cost[key] / base[key]:.2f}" for key in ("wall", "cpu")]
        sizes = [f"{cost[key] / 2**20:.0f}" for key in ("peak", "predicted")]
        yield [
            f"{case.edge}³",
            name,
            f"{cost['wall']:.1f}",
            f"{cost['cpu']:.1f}",
            *ratios,
            *sizes,
            f"{cost['files']:,}",
        ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    case = TINY if parser.parse_args().tiny else FULL
    head = [f"uint16, {LEVELS} levels, chunks {CHUNK}³", "stored in", "wall s", "CPU s", "wall, ×no shards"]
    head += ["CPU, ×no shards", "peak MiB", "predicted MiB", "files"]
    report("shards", Table(head, list(rows(case)), drawn="CPU s"), whole=case == FULL)


if __name__ == "__main__":
    main()
