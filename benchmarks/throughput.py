"""How far daskome is from what the codec allows, and from TensorStore.

``python -m benchmarks.throughput [--tiny]``: the same volume, chunks, codec and levels, into memory-backed storage,
with two threads, every program in its own process, in turns, medians of the rounds. *loop* is written by hand, with
no Dask and no zarr: make a chunk, downsample it (with our kernels), encode it, write a file.
"""

import argparse
import shutil
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import Cost, markdown, measure
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


def write_daskome(folder: str, edge: int, cname: str, clevel: int) -> int:
    """Write with daskome, and return the bytes stored."""
    import dask

    import daskome

    codec = {"name": "blosc", "configuration": {"cname": cname, "clevel": clevel, "shuffle": "bitshuffle"}}
    with dask.config.set(num_workers=2):
        daskome.write_image(
            Tiled((edge,) * 3), f"{folder}/a", [2**k for k in range(1, LEVELS)],
            storage_options={"chunks": EDGE, "compressors": codec},
        )  # fmt: skip
    return stored(folder)


def write_loop(folder: str, edge: int, cname: str, clevel: int) -> int:
    """Write by hand: each thread a tree of chunks, depth first."""
    import numcodecs

    from daskome.methods import METHODS, downsample

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
    return stored(folder)


def write_tensorstore(folder: str, edge: int, cname: str, clevel: int) -> int:
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
    return stored(folder)


def stored(folder: str) -> int:
    """Return the bytes of all files below a folder."""
    return sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())


WRITERS = {"loop": "write_loop", "daskome": "write_daskome", "tensorstore": "write_tensorstore"}


def run(case: Case) -> dict[str, list[Cost]]:
    """Return the costs of all rounds of every writer."""
    costs: dict[str, list[Cost]] = {name: [] for name in WRITERS}
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    for _ in range(case.rounds):
        for name, function in WRITERS.items():
            folder = tempfile.mkdtemp(dir=memory)
            arguments = {"folder": folder, "edge": case.edge, "cname": case.cname, "clevel": case.clevel}
            costs[name].append(measure(f"benchmarks.throughput:{function}", **arguments))
            shutil.rmtree(folder)
    return costs


def rows(case: Case) -> list[list[str]]:
    """Return a row per writer: medians, and ratios to the loop."""
    costs = run(case)
    base = {what: statistics.median(getattr(c, what) for c in costs["loop"]) for what in ("wall", "cpu")}
    found = []
    for name, all_ in costs.items():
        wall, cpu, peak = (statistics.median(getattr(c, what) for c in all_) for what in ("wall", "cpu", "peak"))
        found.append(
            [case.name, name, f"{wall:.1f}", f"{cpu:.1f}", f"{wall / base['wall']:.2f}", f"{cpu / base['cpu']:.2f}",
             f"{peak / 2**20:.0f}", f"{all_[0].result / 2**20:.0f}"]
        )  # fmt: skip
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    cases = TINY if parser.parse_args().tiny else CASES
    head = ["volume", "writer", "wall s", "CPU s", "wall, ×loop", "CPU, ×loop", "peak MiB", "stored MiB"]
    print(markdown(head, [row for case in cases for row in rows(case)]))


if __name__ == "__main__":
    main()
