"""What writing into S3 costs beside files, in chunks and in shards.

``python -m benchmarks.cloud [--tiny]``: an S3 server on loopback (Ceph's RGW with its objects in memory where Debian's
packages are installed, else moto's), the same volume, Blosc zstd-1, five levels, two threads; each in a process of its
own, in turns, medians of the rounds; starts not counted, nor the CPU seconds of the server, which shares the machine.
There is no network, so no delays are waited for: it is the work of each request that shows.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.process import measure
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled
from tests.servers import s3

LEVELS = 5


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge, in chunks and shards of so many (0: no shards)."""

    edge: int
    stored: tuple[tuple[int, int], ...]
    rounds: int = 3


FULL = Case(512, ((64, 0), (128, 0), (64, 256)))
TINY = Case(64, ((32, 0),), 1)


def write(target: str, options: dict[str, Any] | None, edge: int, chunk: int, shard: int) -> dict[str, float]:
    """Write a volume; return its wall and CPU seconds, peak in bytes, and objects."""
    import dask

    import daskome
    from benchmarks.process import peak

    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"}}
    stored = {"chunks": chunk, "shards": shard or None, "compressors": codec}
    with dask.config.set(num_workers=2):
        daskome.write_image(Tiled((64,) * 3), f"{target}/warm", [2], fs_options=options)
        began, before = time.perf_counter(), time.process_time()
        plan = daskome.write_image(
            Tiled((edge,) * 3),
            f"{target}/image",
            [2**k for k in range(1, LEVELS)],
            storage_options=stored,
            fs_options=options,
        )
        wall, cpu = time.perf_counter() - began, time.process_time() - before
    return {"wall": wall, "cpu": cpu, "peak": peak(), "objects": plan.n_objects}


def rows(case: Case, server: s3.S3) -> Iterator[list[str]]:
    """Yield a row per place, chunks and shards: medians, and ratios to files."""
    ways = [(place, *stored) for stored in case.stored for place in ("files", f"S3 ({server.kind})")]
    costs: dict[Any, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(case.rounds):
        for way in ways:
            costs[way].append(_once(case, server, *way))
    middle = {way: {key: statistics.median(one[key] for one in all_) for key in all_[0]} for way, all_ in costs.items()}
    for (place, chunk, shard), cost in middle.items():
        base = middle["files", chunk, shard]
        name = f"chunks {chunk}³" + (f" in shards of {shard}³" if shard else "")
        ratios = [f"{cost[key] / base[key]:.2f}" for key in ("wall", "cpu")]
        sizes = [f"{cost['peak'] / 2**20:.0f}", f"{cost['objects']:,.0f}"]
        yield [name, place, f"{cost['wall']:.1f}", f"{cost['cpu']:.1f}", *ratios, *sizes]


def _once(case: Case, server: s3.S3, place: str, chunk: int, shard: int) -> dict[str, float]:
    folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    try:
        target, options = (folder, None) if place == "files" else (f"s3://{server.bucket()}", server.options)
        asked = {"edge": case.edge, "chunk": chunk, "shard": shard}
        found: dict[str, float] = measure("benchmarks.cloud:write", target=target, options=options, **asked).result
        return found
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    case = TINY if parser.parse_args().tiny else FULL
    head = [f"{case.edge}³ uint16, {LEVELS} levels", "into", "wall s", "CPU s", "wall, ×files", "CPU, ×files"]
    with tempfile.TemporaryDirectory() as folder, s3.serve(Path(folder)) as server:
        table = Table([*head, "peak MiB", "objects"], list(rows(case, server)), drawn="CPU s")
    report("cloud", table, whole=case == FULL)


if __name__ == "__main__":
    main()
