"""Whether workers with little memory write a volume that is much larger, without spill, pause or restart.

``python -m benchmarks.bounded [--tiny] [WORD …]``: a lazy volume, computed from positions, on a `LocalCluster` of
workers of one thread, each limited to 700 MB. Peak RSS of the workers against the prediction and the limit.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.process import measure
from benchmarks.report import Table, report

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """A volume of uint16, its chunks, and the limit of each worker in bytes."""

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    limit: int = 700 * 10**6


@dataclass(frozen=True)
class Found:
    """What workers did: peaks of their processes and the prediction in bytes, and how often they were in need.

    `pauses` and `spills` are counted in what the workers logged; `restarts` by their processes.
    """

    peaks: list[int]
    predicted: int
    amplification: float
    pauses: int
    spills: int
    restarts: int


CASES = [
    Case("16 GiB, chunks 128³", (2048, 2048, 2048), (128, 128, 128)),
    Case("16 GiB, planes 1×2048²", (2048, 2048, 2048), (1, 2048, 2048)),
]
SMALL = [
    Case("1 GiB, chunks 128³", (128, 2048, 2048), (128, 128, 128)),
    Case("1 GiB, planes 1×2048²", (128, 2048, 2048), (1, 2048, 2048)),
]
TINY = [Case("tiny", (128, 128, 128), (64, 64, 64)), Case("tiny planes", (128, 128, 128), (1, 128, 128))]


def value(z: Any, y: Any, x: Any) -> Any:
    """Return the voxels at positions, which are uint16."""
    return (z * 5 ^ y * 3) + x


def _block(block_info: Any = None) -> np.ndarray[Any, Any]:
    spans = block_info[None]["array-location"]
    found: np.ndarray[Any, Any] = value(*np.ix_(*(np.arange(a, b, dtype="uint16") for a, b in spans)))
    return found


def volume(case: Case) -> Any:
    """Return the volume of a case as a Dask array: what is asked of it is computed."""
    import dask.array as da

    sizes = tuple(tuple(min(c, n - i) for i in range(0, n, c)) for n, c in zip(case.shape, case.chunks, strict=True))
    return da.map_blocks(_block, chunks=sizes, dtype="uint16", meta=np.empty((0, 0, 0), "uint16"))


def write(case: dict[str, Any]) -> dict[str, Any]:
    """Write a case on a cluster of its own, with 5 levels, to a temporary folder, and return what was `StoredImage`."""
    import dask
    from distributed import Client, LocalCluster

    import daskome

    c, folder = _case(case), tempfile.mkdtemp()
    options = {"chunks": 128, "compressors": {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1}}}
    try:
        with (
            dask.config.set({"temporary-directory": folder}),
            LocalCluster(
                n_workers=2, threads_per_worker=1, memory_limit=c.limit, dashboard_address="127.0.0.1:0"
            ) as cluster,
            Client(cluster) as client,
        ):
            before = client.run(_process)
            plan = daskome.write_image(volume(c), f"{folder}/a", [2, 4, 8, 16], storage_options=options)
            after = client.run(_process)
            logs = "\n".join(text for log in client.get_worker_logs().values() for _, text in log)
        _check(c, f"{folder}/a")
    finally:
        shutil.rmtree(folder)
    restarts = len({pid for pid, _ in after.values()} - {pid for pid, _ in before.values()})
    peaks = sorted(peak for _, peak in after.values())
    found = Found(peaks, plan.memory, plan.amplification, logs.count("Pausing"), logs.count("spill"), restarts)
    return asdict(found)


def _process() -> tuple[int, int]:
    """Return the id and the peak of the process that calls."""
    import os

    from benchmarks.process import peak

    return os.getpid(), peak()


def _check(case: Case, path: str) -> None:
    """See that the middle of the volume has arrived."""
    import zarr

    region = tuple(slice(n // 2 - 8, n // 2 + 8) for n in case.shape)
    expected = value(*np.ix_(*(np.arange(s.start, s.stop, dtype="uint16") for s in region)))
    assert np.array_equal(zarr.open_group(path, mode="r")["s0"][region], expected)  # type: ignore[index]


def _case(values: Mapping[str, Any]) -> Case:
    return Case(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def run(case: Case) -> tuple[Found, float]:
    """Write a case from a process of its own, and return what was found and the seconds it took."""
    cost = measure("benchmarks.bounded:write", case=vars(case))
    return Found(**cost.result), cost.wall


def row(case: Case) -> list[str]:
    """Return a case as a row of the table."""
    found, wall = run(case)
    peaks = ", ".join(f"{peak / MIB:.0f}" for peak in found.peaks)
    needs = f"{found.spills}, {found.pauses}, {found.restarts}"
    sizes = [f"{found.predicted / MIB:.0f}", f"{case.limit / MIB:.0f}"]
    return [case.name, peaks, *sizes, f"{found.amplification:.2f}", needs, f"{wall:.0f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    every = TINY if asked.tiny else SMALL if asked.small else CASES
    cases = [case for case in every if not asked.words or any(word in case.name for word in asked.words)]
    head = ["uint16, 5 levels, 2 workers of 1 thread", "peaks MiB", "predicted MiB", "limit MiB", "reads"]
    table = Table([*head, "spills, pauses, restarts", "wall s"], [row(case) for case in cases])
    report("bounded", table, whole=cases == CASES)


if __name__ == "__main__":
    main()
