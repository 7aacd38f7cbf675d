"""What a volume costs before a voxel is read: tasks, seconds to make them, bytes sent, and the scheduler's memory.

``python -m benchmarks.graph [--tiny]``: volumes of uint16 in chunks of 128³ that are not there (a zarr array without
chunks), six levels. *plain Dask* is `da.coarsen` per level and one `da.store` of all levels, as scripts do it. In the
second table units that do nothing go through a scheduler in a process with the client; its memory is that of both. Dask
remembers the names of the last 100,000 tasks (`dask.utils.key_split` is cached): memory grows up to that, and no more.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.process import measure
from benchmarks.report import Table, report

LEVELS = 6
EDGE = 128
MIB = 2**20


@dataclass(frozen=True)
class Case:
    """A cube of so many voxels along each edge, and what it is: a key of `IMAGES`."""

    edge: int
    image: str

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.edge**3 * 2 / 2**40:.3g} TiB"


CASES = [
    Case(4096, "plain Dask"),
    *(Case(edge, image) for edge in (4096, 8192) for image in ("zarr array", "from_zarr", "from_zarr * 2 + 1")),
    Case(8192, "from_zarr - mean"),
]
TINY = [Case(1024, "plain Dask"), Case(1024, "zarr array"), Case(1024, "from_zarr - mean")]
SCHEDULED, SCHEDULED_TINY = [8192, 17648, 32768], [1024]


def image(case: Case) -> Any:
    """Return the image of a case."""
    import dask.array as da
    import zarr

    stored = zarr.create_array({}, shape=(case.edge,) * 3, chunks=(EDGE,) * 3, dtype="uint16")
    lazy = da.from_zarr(stored)
    return {
        "plain Dask": lambda: lazy,
        "zarr array": lambda: stored,
        "from_zarr": lambda: lazy,
        "from_zarr * 2 + 1": lambda: lazy * 2 + 1,
        "from_zarr - mean": lambda: (lazy - lazy.mean()).astype("uint16"),
    }[case.image]()


def factors() -> list[int]:
    """Return the factors of the levels, as `daskome.write_image` takes them."""
    return [2**k for k in range(1, LEVELS)]


def build(edge: int, name: str) -> dict[str, float]:
    """Return how many tasks there are, the seconds to make all of them, and the bytes that travel."""
    case = Case(edge, name)
    return _plain(image(case)) if name == "plain Dask" else _units(image(case))


def _units(array: Any) -> dict[str, float]:
    import pickle

    import numpy as np
    from zarr.storage import MemoryStore, StorePath

    import daskome
    from daskome.execution import runner as run, unit_task as jobs
    from daskome.sources.adapt import as_source
    from daskome.sources.pieces import with_shared_results
    from daskome.stores import journal

    place = StorePath(MemoryStore())
    began = time.process_time()
    plan = daskome.plan_image(array, scale_factors=factors(), storage_options={"chunks": EDGE})
    source = with_shared_results(as_source(array), lambda graph, keys: {key: np.float64(1) for key in keys})
    start = run.Run(plan, [source], place, journal.new_journal(place, plan, ()))
    sizes = []
    for stage in range(len(plan.stages)):
        for number, task in enumerate(run.unit_tasks(start, run.Part(stage, range(plan.count(stage))))):
            bare, *_ = jobs.split_payload(task)
            if number % 100 == 0:
                sizes.append(len(pickle.dumps(replace(bare, journal=None))))
    took = time.process_time() - began
    return {"tasks": plan.n_units, "seconds": took, "nbytes": plan.n_units * sum(sizes) / len(sizes)}


def _plain(array: Any) -> dict[str, float]:
    import pickle

    import dask.array as da
    import numpy as np
    import zarr

    began = time.process_time()
    levels = [array]
    for _ in range(LEVELS - 1):
        levels.append(da.coarsen(np.mean, levels[-1], {0: 2, 1: 2, 2: 2}).astype("uint16").rechunk(EDGE))
    targets = [zarr.create_array({}, shape=a.shape, chunks=(EDGE,) * 3, dtype="uint16") for a in levels]
    stored = da.store(levels, targets, lock=False, compute=False)
    graph = {key: task for level in stored for key, task in dict(level.__dask_graph__()).items()}
    took = time.process_time() - began
    some = [task for task, _ in zip(graph.values(), range(1000), strict=False)]
    return {"tasks": len(graph), "seconds": took, "nbytes": len(graph) * len(pickle.dumps(some)) / len(some)}


def schedule(edge: int) -> dict[str, float]:
    """Send all units of a volume through a scheduler, and return their number, CPU seconds and peaks of memory."""
    import psutil
    from distributed import Client, LocalCluster
    from zarr.storage import MemoryStore, StorePath

    import daskome
    from daskome.execution import cluster as clusters, runner as run
    from daskome.execution.unit_task import UnitTask
    from daskome.sources import adapt as sources
    from daskome.stores import journal

    place = StorePath(MemoryStore())
    array = image(Case(edge, "zarr array"))
    plan = daskome.plan_image(array, scale_factors=factors(), storage_options={"chunks": EDGE})
    start = run.Run(plan, [sources.as_source(array)], place, journal.new_journal(place, plan, ()))

    class Idle(UnitTask):
        """A unit task that does nothing."""

        def __call__(self, slot: object = None) -> None:
            """Do nothing."""

    def idle() -> Iterator[UnitTask]:
        for stage in range(len(plan.stages)):
            for task in run.unit_tasks(start, run.Part(stage, range(plan.count(stage)))):
                yield Idle(task.unit, task.reads, task.piece, task.pyramid, task.arrays, None)

    process, memory, known = psutil.Process(), {}, []
    with (
        LocalCluster(n_workers=1, threads_per_worker=4, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        workers = clusters.ClusterExecutor(client, client.get_executor(pure=False).submit)
        began = time.process_time()
        for done, _ in enumerate(run.finished_units(start, idle(), workers, 0)):
            if done % 500 == min(200, plan.n_units // 2):
                memory[done] = process.memory_info().rss
                known.append(len(cluster.scheduler.tasks))
        took = time.process_time() - began
    half = min(memory, key=lambda done: abs(done - plan.n_units // 2))
    at = {"first": memory[min(memory)], "half": memory[half], "last": memory[max(memory)]}
    return {"units": plan.n_units, "seconds": took, "known": max(known), **at}


def rows(cases: list[Case]) -> Iterator[list[str]]:
    """Yield a row per case."""
    for case in cases:
        found = measure("benchmarks.graph:build", edge=case.edge, name=case.image).result
        sizes = [f"{found['tasks']:,.0f}", f"{found['seconds']:.1f}", f"{found['nbytes'] / found['tasks']:,.0f}"]
        yield [case.size, case.image, *sizes]


def scheduled(edges: list[int]) -> Iterator[list[str]]:
    """Yield a row per volume."""
    for edge in edges:
        found = measure("benchmarks.graph:schedule", edge=edge).result
        memory = [f"{found[key] / MIB:.0f}" for key in ("first", "half", "last")]
        yield [Case(edge, "").size, f"{found['units']:,}", f"{found['known']}", *memory, f"{found['seconds']:.0f}"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("word", nargs="?", choices=["tasks", "scheduler"], help="only one of the tables")
    asked = parser.parse_args()
    if asked.word in (None, "tasks"):
        head = [f"uint16, chunks 128³, {LEVELS} levels", "image", "tasks", "CPU s to make all", "bytes each"]
        made = Table(head, list(rows(TINY if asked.tiny else CASES)))
        report("graph-tasks", made, whole=not asked.tiny)
    if asked.word in (None, "scheduler"):
        head = ["units that do nothing", "units", "tasks known at a time", "RSS MiB after 200 units"]
        head += ["after half of them", "after all", "CPU s"]
        sent = Table(head, list(scheduled(SCHEDULED_TINY if asked.tiny else SCHEDULED)))
        report("graph-scheduler", sent, whole=not asked.tiny)


if __name__ == "__main__":
    main()
