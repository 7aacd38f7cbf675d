"""How far daskome is from what the codec allows, on threads and on a cluster, and from TensorStore.

``python -m benchmarks.floor [--tiny]``: the same volume, chunks, codec and levels, into memory-backed storage, with two
threads in all, every way in a process of its own, in turns, medians of the rounds; CPU seconds with those of workers.
Starts and imports are not counted: a small image is written first. (Those of *processes*, which Dask starts for each
call, are; their peak is not.) *loop* is written by hand, with no Dask and no zarr:
make a chunk, downsample it (with our kernels), encode it, write a file.
"""

import argparse
import resource
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import measure
from benchmarks.report import Table, report
from benchmarks.volumes import EDGE, Tiled

LEVELS = 5


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge, and a codec."""

    edge: int
    cname: str
    clevel: int
    rounds: int = 3

    @property
    def name(self) -> str:
        """The case in words."""
        return f"{self.edge}³ uint16, {LEVELS} levels, {self.cname}-{self.clevel}"


CASES = [Case(1024, "zstd", 1), Case(1024, "zstd", 3), Case(1024, "lz4", 5)]
TINY = [Case(256, "lz4", 1, 1)]


def write_daskome(folder: str, edge: int, cname: str, clevel: int, compute: bool = True) -> Any:
    """Write with daskome, or return what writes."""
    import dask

    import daskome

    codec = {"name": "blosc", "configuration": {"cname": cname, "clevel": clevel, "shuffle": "bitshuffle"}}
    with dask.config.set(num_workers=2):
        return daskome.write_image(
            Tiled((edge,) * 3), f"{folder}/a", [2**k for k in range(1, LEVELS)],
            storage_options={"chunks": EDGE, "compressors": codec}, compute=compute,
        )  # fmt: skip


def write_processes(folder: str, edge: int, cname: str, clevel: int) -> None:
    """Write with daskome in two processes that Dask starts for it: their start counts."""
    import dask

    dask.compute(write_daskome(folder, edge, cname, clevel, compute=False), scheduler="processes", num_workers=2)


def write_loop(folder: str, edge: int, cname: str, clevel: int) -> None:
    """Write by hand: each thread a tree of chunks, depth first."""
    import numcodecs

    from daskome.kernels.downsample import downsample
    from daskome.kernels.methods import METHODS

    codec = numcodecs.Blosc(cname, clevel, numcodecs.Blosc.BITSHUFFLE)
    volume = Tiled((edge,) * 3)
    split = min(2, LEVELS - 1)

    def put(k: int, index: tuple[int, ...], chunk: np.ndarray[Any, Any]) -> None:
        Path(folder, f"s{k}-{'-'.join(map(str, index))}").write_bytes(codec.encode(chunk))

    def make(k: int, index: tuple[int, ...], known: dict[tuple[int, ...], np.ndarray[Any, Any]]) -> Any:
        if k == 0:
            chunk = volume[tuple(slice(i * EDGE, (i + 1) * EDGE) for i in index)]
        elif (k, *index) in known:
            return known[(k, *index)]
        else:
            below = edge >> (k - 1)
            chunk = np.zeros([min(EDGE, edge >> k)] * 3, "uint16")
            for corner in product((0, 1), repeat=3):
                child = tuple(2 * i + c for i, c in zip(index, corner, strict=True))
                if all(c * EDGE < below for c in child):
                    part = downsample(make(k - 1, child, known), (2, 2, 2), METHODS["mean"])
                    chunk[
                        tuple(slice(c * EDGE // 2, c * EDGE // 2 + n) for c, n in zip(corner, part.shape, strict=True))
                    ] = part
        put(k, index, np.ascontiguousarray(chunk))
        return chunk

    roots = list(product(range(max(edge // (EDGE << split), 1)), repeat=3))
    with ThreadPoolExecutor(2) as threads:
        tops = dict(zip([(split, *r) for r in roots], threads.map(lambda r: make(split, r, {}), roots), strict=True))
    for k in range(split + 1, LEVELS):
        for index in product(range(max(edge // (EDGE << k), 1)), repeat=3):
            tops[(k, *index)] = make(k, index, tops)


def write_tensorstore(folder: str, edge: int, cname: str, clevel: int) -> None:
    """Write with TensorStore, region by region, each level from the one below, in the driver's two threads."""
    import tensorstore as ts

    volume = Tiled((edge,) * 3)
    context = ts.Context({"data_copy_concurrency": {"limit": 2}, "file_io_concurrency": {"limit": 2}})
    codec = {"name": "blosc", "configuration": {"cname": cname, "clevel": clevel, "shuffle": "bitshuffle"}}

    def create(k: int) -> Any:
        n = edge >> k
        grid = {"name": "regular", "configuration": {"chunk_shape": [min(EDGE, n)] * 3}}
        metadata = {
            "shape": [n] * 3,
            "data_type": "uint16",
            "chunk_grid": grid,
            "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, codec],
        }
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{folder}/s{k}/"}, "metadata": metadata}
        return ts.open(spec, create=True, context=context).result()

    source = ts.virtual_chunked(
        lambda domain, into, _: np.copyto(into, volume[domain.index_exp]), dtype=ts.uint16,
        domain=ts.IndexDomain(shape=volume.shape),
        chunk_layout=ts.ChunkLayout(chunk_shape=volume.chunks), context=context,
    )  # fmt: skip
    below = None
    for k in range(LEVELS):
        level = create(k)
        view = source if below is None else ts.downsample(below, [2, 2, 2], "mean")
        step = min(4 * EDGE, edge >> k)
        for corner in product(range(0, edge >> k, step), repeat=3):
            region = tuple(slice(c, c + step) for c in corner)
            level[region].write(view[region]).result()
        below = level


@dataclass(frozen=True)
class Way:
    """What writes, and on which cluster; `options` are those of `LocalCluster`."""

    write: Callable[[str, int, str, int], None]
    options: dict[str, int] | None = None


WAYS = {
    "loop": Way(write_loop),
    "daskome, threads": Way(write_daskome),
    "daskome, processes": Way(write_processes),
    "daskome, LocalCluster of 1×2": Way(write_daskome, {"n_workers": 1, "threads_per_worker": 2}),
    "daskome, LocalCluster of 2×1": Way(write_daskome, {"n_workers": 2, "threads_per_worker": 1}),
    "tensorstore": Way(write_tensorstore),
}
"""A cluster of 1×2 has one worker of two threads."""


def run(way: str, case: dict[str, Any]) -> dict[str, float]:
    """Write a case, and return its wall and CPU seconds, the peaks of its processes, and what it stored, in bytes."""
    chosen, c = WAYS[way], Case(**case)
    folder = tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
    try:
        with ExitStack() as stack:
            client = _client(stack, chosen.options)
            for name, edge in (("warm", EDGE), ("whole", c.edge)):
                Path(folder, name).mkdir()
                before, began = _cpu(client), time.perf_counter()
                chosen.write(f"{folder}/{name}", edge, c.cname, c.clevel)
                wall, cpu = time.perf_counter() - began, _cpu(client) - before
            files = (path for path in Path(folder, "whole").rglob("*") if path.is_file())
            nbytes = sum(path.stat().st_size for path in files)
            return {"wall": wall, "cpu": cpu, "peak": _peak(client), "stored": nbytes}
    finally:
        shutil.rmtree(folder)


def _client(stack: ExitStack, options: dict[str, Any] | None) -> Any:
    if options is None:
        return None
    from distributed import Client, LocalCluster

    cluster = stack.enter_context(LocalCluster(dashboard_address="127.0.0.1:0", **options))
    return stack.enter_context(Client(cluster))


def _cpu(client: Any) -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = children.ru_utime + children.ru_stime if client is None else 0
    return time.process_time() + ended + sum((client.run(time.process_time) if client else {}).values())


def _peak(client: Any) -> int:
    from benchmarks.process import peak

    return peak() + sum((client.run(peak) if client else {}).values())


def rows(case: Case, ways: Iterable[str] = WAYS) -> Iterator[list[str]]:
    """Yield a row per way: medians, and ratios to the first."""
    costs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for _ in range(case.rounds):
        for way in costs:
            costs[way].append(measure("benchmarks.floor:run", way=way, case=asdict(case)).result)
    base = _medians(next(iter(costs.values())))
    for way, all_ in costs.items():
        cost = _medians(all_)
        seconds = [f"{cost['wall']:.1f}", f"{cost['cpu']:.1f}"]
        ratios = [f"{cost[what] / base[what]:.2f}" for what in ("wall", "cpu")]
        yield [case.name, way, *seconds, *ratios, *(f"{cost[what] / 2**20:.0f}" for what in ("peak", "stored"))]


def _medians(costs: list[dict[str, float]]) -> dict[str, float]:
    return {what: statistics.median(cost[what] for cost in costs) for what in costs[0]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    cases = TINY if parser.parse_args().tiny else CASES
    head = ["volume", "written by", "wall s", "CPU s", "wall, ×loop", "CPU, ×loop", "peak MiB", "stored MiB"]
    table = Table(head, [row for case in cases for row in rows(case)], drawn="CPU s")
    report("floor", table, whole=cases == CASES)


if __name__ == "__main__":
    main()
