"""How far more workers help: a schedule simulated from measured units.

``python -m benchmarks.schedule [--tiny]``. Nothing here runs on a thousand workers. A volume is written on one core of
this machine, one unit at a time, and its journal tells how fast each unit was. Large volumes are planned for so many
workers, and their units dealt out one by one: each takes as long as one of those measured, for its bytes; some workers
are slow, some units fail and are done again, a scheduler hands out one task after another, and a stage begins when the
one before has ended. What storage would do under so many workers is not in it.
"""

import argparse
import heapq
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.process import measure
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

TIB = 2**40


@dataclass(frozen=True)
class World:
    """What goes wrong, and what the scheduler takes.

    Attributes
    ----------
    failures : float
        The share of attempts at a unit that fail, at a random moment, and are made again after all others.
    slow, slowness : float
        The share of workers that are slow, and how many times as long everything takes there.
    dispatch : float
        Seconds that the scheduler spends on a task; it does one at a time. (Dask's took 0.9 ms of CPU, measured.)
    """

    failures: float = 0.001
    slow: float = 0.02
    slowness: float = 2
    dispatch: float = 0.001


WORLDS = {
    "undisturbed": World(failures=0, slow=0, dispatch=0),
    "Dask cluster": World(),
    "many small array jobs": World(dispatch=0),
}


@dataclass(frozen=True)
class Case:
    """A volume of uint16 with edges of so many voxels, and how many one-thread workers write it."""

    edge: int
    workers: tuple[int, ...]
    sample: int = 1024

    @property
    def name(self) -> str:
        """The case in words."""
        return f"{2 * self.edge**3 / TIB:.3g} TiB"


CASES = [Case(8192, (1, 10, 100, 1000)), Case(36864, (100, 1000, 10_000))]
UNITS = ((3600, "h"), (60, "min"), (1, "s"))
TINY = [Case(1024, (1, 4), 256)]


def measured(edge: int) -> list[float]:
    """Write a cube unit by unit on one core, and return the bytes of the image per second of each that reads it."""
    import os

    import dask
    import zarr

    import daskome
    from daskome.model import regions
    from daskome.stores import journal

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder, image = tempfile.mkdtemp(), Tiled((edge,) * 3)
    try:
        with dask.config.set(num_workers=1):
            plan = daskome.write_image(image, f"{folder}/a", compute="init", storage_options={"chunks": 128})
            daskome.run_part(f"{folder}/a", image, stage=0)
        found = journal.find_run(zarr.open_group(f"{folder}/a", mode="r").store_path)
        assert found is not None
        units = list(plan.units(0))
        taken = [next(journal.records(found.journal, 0, [unit.index])).seconds for unit in units]
        return [regions.size(plan.reads(unit)) * 2 / seconds for unit, seconds in zip(units, taken, strict=True)]
    finally:
        shutil.rmtree(folder)


def simulated(stages: Sequence[tuple[int, float]], workers: int, rates: Sequence[float], world: World) -> float:
    """Return the seconds that a schedule takes.

    Parameters
    ----------
    stages : sequence of (int, float)
        How many units each has, and the bytes that one of them reads.
    workers : int
    rates : sequence of float
        Bytes per second, one per measured unit.
    world : World
    """
    chance, clock = Random(0), 0.0
    slowness = [world.slowness if chance.random() < world.slow else 1.0 for _ in range(workers)]
    for n, nbytes in stages:
        clock = _ended(n, clock, slowness, lambda nbytes=nbytes: nbytes / chance.choice(rates), world, chance)
    return clock


def _ended(
    n: int, began: float, slowness: list[float], takes: Callable[[], float], world: World, chance: Random
) -> float:
    """Return when a stage of `n` units has ended."""
    scheduler = ended = began
    idle = [(began, worker) for worker in range(min(n, len(slowness)))]
    while n:
        at, worker = heapq.heappop(idle)
        scheduler = max(scheduler, at) + world.dispatch
        failed = chance.random() < world.failures
        at = scheduler + takes() * slowness[worker] * (chance.random() if failed else 1)
        n -= not failed
        ended = max(ended, at)
        heapq.heappush(idle, (at, worker))
    return ended


def stages(edge: int, workers: int) -> list[tuple[int, float]]:
    """Return the stages of a cube that is planned for so many workers of one thread and 2 GB."""
    import daskome

    volume = daskome.Volume((edge,) * 3, "uint16", chunks=(128, 128, 128))
    options = {"axes": "zyx", "storage_options": {"chunks": 128}}
    plan = daskome.plan_image(volume, workers=workers, threads=1, memory=2 * 10**9, **options)
    return [(load.units, load.nbytes / load.units) for load in plan.loads]


def rows(case: Case) -> Iterator[list[str]]:
    """Yield a row of the table for each number of workers."""
    rates = measure("benchmarks.schedule:measured", edge=case.sample).result
    alone = sum(n * nbytes for n, nbytes in stages(case.edge, 1)) / statistics.harmonic_mean(rates)
    for workers in case.workers:
        found = stages(case.edge, workers)
        times = [simulated(found, workers, rates, world) for world in WORLDS.values()]
        cells = [f"{_time(seconds)} ({alone / seconds / workers:.0%})" for seconds in times]
        speed = f"{statistics.harmonic_mean(rates) / 1e6:.0f} MB/s"
        yield [case.name, speed, f"{workers:,}", f"{sum(n for n, _ in found):,}", *cells]


def _time(seconds: float) -> str:
    """Return seconds in words, to a tenth."""
    return next(f"{seconds / n:.1f} {unit}" for n, unit in UNITS if seconds >= n or n == 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    cases = TINY if parser.parse_args().tiny else CASES
    head = ["uint16, computed", "one worker", "workers", "units", *(f"{name} (efficiency)" for name in WORLDS)]
    report("schedule", Table(head, [row for case in cases for row in rows(case)]), whole=cases == CASES)


if __name__ == "__main__":
    main()
