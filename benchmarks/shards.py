"""Which chunks and shards: what they cost to write, how many files they are, and how fast a viewer gets its plane.

``python -m benchmarks.shards [--tiny]``: the same volume, Blosc zstd-1, five levels, two threads, in memory-backed
storage; each in a process of its own, in turns, medians of the rounds; starts not counted. Then a square of `VIEW`²
voxels is read from the middle of level 0, across each axis, as viewers do: what is read and decoded for it, and how
long it takes with warm caches. Shards are read in part. (The volume repeats a tile of 128³, so larger chunks compress
better than they would.)
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from benchmarks.process import measure
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

LEVELS = 5
VIEW = 512


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge, in chunks and shards of so many; 0: no shards."""

    edge: int
    stored: tuple[tuple[int, int], ...]
    rounds: int = 3


CASES = {
    "shards": Case(1024, ((64, 0), (64, 256), (64, 512), (32, 0), (128, 0), (128, 256), (128, 512), (256, 0))),
    "shards-large": Case(2048, ((64, 0), (64, 512)), 1),
}
"""By the name of their report. In the small one, much of what shards of 512³ cost is a GiB of memory that the system
hands out for the first time: seconds where that is slow. In the large one these count for little."""
TINY = {"tiny": Case(128, ((32, 0), (32, 128)), 1)}


def write(edge: int, chunk: int, shard: int) -> dict[str, float]:
    """Write a volume; return its wall and CPU seconds, peak in bytes, files, the peak predicted, and of a view."""
    import dask

    import daskome
    from benchmarks.process import peak

    codec = {"name": "blosc", "configuration": {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle"}}
    options = {"chunks": chunk, "shards": shard or None, "compressors": codec}
    folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    factors = [2**k for k in range(1, LEVELS)]
    try:
        with dask.config.set(num_workers=2):
            daskome.write_image(Tiled((128,) * 3), f"{folder}/warm", [2], storage_options={"chunks": chunk})
            began, before = time.perf_counter(), time.process_time()
            plan = daskome.write_image(Tiled((edge,) * 3), f"{folder}/image", factors, storage_options=options)
            wall, cpu = time.perf_counter() - began, time.process_time() - before
        highest = peak()
        files = [path for path in Path(folder, "image").rglob("*") if path.is_file()]
        sizes = {"files": len(files), "stored": sum(path.stat().st_size for path in files)}
        cost = {"wall": wall, "cpu": cpu, "peak": highest, "predicted": plan.memory}
        return {**cost, **sizes, **_viewed(f"{folder}/image/s0", edge)}
    finally:
        shutil.rmtree(folder)


def _viewed(path: str, edge: int) -> dict[str, float]:
    """Return the seconds that a square takes, and the bytes that are decoded for it; means over the axes."""
    import zarr

    array = zarr.open_array(path, mode="r")
    middle = slice((edge - min(VIEW, edge)) // 2, (edge + min(VIEW, edge)) // 2)
    views = [tuple(edge // 2 if i == axis else middle for i in range(3)) for axis in range(3)]
    return {
        "view": statistics.mean(_fastest(array, view) for view in views),
        "decoded": statistics.mean(_chunks(array, view) for view in views) * prod(array.chunks) * array.dtype.itemsize,
    }


def _fastest(array: Any, view: tuple[Any, ...]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        array[view]
        times.append(time.perf_counter() - began)
    return min(times)


def _chunks(array: Any, view: tuple[Any, ...]) -> int:
    """Return how many chunks a view touches."""
    spans = ((i.start, i.stop) if isinstance(i, slice) else (i, i + 1) for i in view)
    return prod(-(-stop // c) - start // c for (start, stop), c in zip(spans, array.chunks, strict=True))


def rows(case: Case) -> Iterator[list[str]]:
    """Yield a row per chunks and shards: medians, and ratios to the first."""
    costs: dict[tuple[int, int], list[dict[str, float]]] = {stored: [] for stored in case.stored}
    for _ in range(case.rounds):
        for chunk, shard in case.stored:
            found = measure("benchmarks.shards:write", edge=case.edge, chunk=chunk, shard=shard).result
            costs[chunk, shard].append(found)
    middle = {
        stored: {key: statistics.median(cost[key] for cost in all_) for key in all_[0]}
        for stored, all_ in costs.items()
    }
    base = middle[case.stored[0]]
    for (chunk, shard), cost in middle.items():
        name = f"{chunk}³ in shards of {shard}³" if shard else f"{chunk}³"
        seconds = [f"{cost[key]:.1f}" for key in ("wall", "cpu")]
        ratios = [f"{cost[key] / base[key]:.2f}" for key in ("wall", "cpu")]
        sizes = [f"{cost[key] / 2**20:.0f}" for key in ("peak", "predicted", "stored")]
        view = [f"{cost['view'] * 1000:.0f}", f"{cost['decoded'] / 2**20:.0f}"]
        yield [f"{case.edge}³", name, *seconds, *ratios, *sizes, f"{cost['files']:,}", *view]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("word", nargs="?", choices=["large"], help="only the large volume, of 16 GiB")
    asked = parser.parse_args()
    head = [f"uint16, {LEVELS} levels", "chunks", "wall s", "CPU s", "wall, ×first", "CPU, ×first", "peak MiB"]
    head += ["predicted MiB", "stored MiB", "files", f"view of {VIEW}², ms", "decoded for it, MiB"]
    for name, case in (TINY if asked.tiny else CASES).items():
        if asked.word is None or name.endswith(asked.word):
            report(name, Table(head, list(rows(case)), drawn="CPU s"), whole=case in CASES.values())


if __name__ == "__main__":
    main()
