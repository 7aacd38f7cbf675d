"""A plan and its images to units on a scheduler: threads of this process, or the active Dask cluster.

One loop serves both: a sliding window of units in flight, retries per unit, a record in the journal for each
that is finished. A unit that fails for good is named; the others finish; then the call fails.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import islice

import dask
import dask.array as da
from dask.local import get_sync
from zarr.storage import StorePath

from daskome import display, graph, storage
from daskome.metadata import find_version, with_levels
from daskome.plan import Group, Plan, Unit
from daskome.pools import Pool, WriteError, pool
from daskome.pyramid import Pyramid
from daskome.regions import Region
from daskome.sources import Source, as_source, cut

log = logging.getLogger("daskome")
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Job:
    """A unit with all it needs, so that it can travel to another process and run there on its own."""

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    place: StorePath
    journal: StorePath
    fingerprint: str

    def __call__(self) -> None:
        """Write the unit, and note it in the journal."""
        arrays = storage.open_levels(self.place, self.pyramid)
        piece = self.piece
        if piece is None:
            piece = cut(as_source(arrays[self.unit.work.first - 1]), self.reads, self.unit.work.read_chunks)
        dask.compute(graph.stores(self.unit, self.pyramid, piece, arrays), scheduler=get_sync)
        storage.record(self.journal, self.fingerprint, self.unit.key)


def run(
    plan: Plan, sources: Sequence[Source], place: StorePath, retries: int = 2, progress: Progress | None = None
) -> None:
    """Write all units of a plan into arrays that exist, stage by stage.

    Parameters
    ----------
    plan : Plan
    sources : sequence of Source
        The plan's images.
    place : StorePath
        Where `storage.create` has made the plan's arrays.
    retries : int
        How often a unit that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all, uncompressed, after every unit.

    Raises
    ------
    WriteError
        That names the units that failed for good, after the others of their stage are finished.
    """
    done = 0
    with pool(place) as workers:
        for stage in range(len(plan.stages)):
            for unit in _finished(plan, stage, jobs(plan, stage, sources, place), workers, retries):
                done += plan.writes(unit)
                if progress:
                    progress(done, plan.nbytes)


def jobs(plan: Plan, stage: int, sources: Sequence[Source], place: StorePath) -> Iterator[Job]:
    """Yield the jobs of a stage, each made when it is asked for."""
    fingerprint = plan.fingerprint
    for unit in plan.units(stage):
        work, reads = unit.work, plan.reads(unit)
        piece = None if work.image is None else cut(sources[work.image], reads, work.read_chunks)
        group, home = place / plan.groups[work.group].path, place / plan.home
        yield Job(unit, reads, piece, plan.pyramid(work), group, home, fingerprint)


def finish(plan: Plan, place: StorePath) -> None:
    """Publish a plan whose units are all written: each group in one write, the deepest first, the target last.

    In a store that can't rewrite, such as a zip file, the target comes first: zarr makes groups with those above them.
    """
    version = find_version(plan.version)
    for group in sorted(plan.groups, key=_depth, reverse=place.store.supports_deletes):
        metadata = group.metadata
        if group.pyramid is not None and not group.kept and metadata.omero:
            pyramid = plan.pyramids[group.pyramid]
            coarsest = storage.open_levels(place / group.path, pyramid)[-1]
            channels = display.measured(metadata.omero.channels or (), coarsest, pyramid)
            metadata = replace(metadata, omero=replace(metadata.omero, channels=tuple(channels)))
        if group.kept:
            metadata = with_levels(storage.attributes(place / group.path) or {}, metadata)
        storage.publish(place / group.path, version, metadata)
    storage.forget(place / plan.home)
    storage.refresh(place)


def _depth(group: Group) -> int:
    return len(group.path.split("/")) if group.path else 0


def _finished(plan: Plan, stage: int, todo: Iterator[Job], workers: Pool, retries: int) -> Iterator[Unit]:
    """Run jobs in a sliding window, and yield each unit as it is finished."""
    running: dict[Future[None], tuple[Job, int]] = {}
    again: deque[tuple[Job, int]] = deque()
    failed: list[tuple[Unit, BaseException]] = []
    while True:
        fresh = islice(todo, max(2 * workers.workers - len(running) - len(again), 0))
        for job, attempt in (*again, *((job, 0) for job in fresh)):
            running[workers.submit(job)] = job, attempt
        again.clear()
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job, attempt = running.pop(future)
            error = future.exception()
            if error is None:
                yield job.unit
            elif attempt < retries:
                log.warning("%s failed, trying again: %r", plan.describe(job.unit), error)
                again.append((job, attempt + 1))
            else:
                log.error("%s failed for good: %r", plan.describe(job.unit), error)
                failed.append((job.unit, error))
    if failed:
        raise WriteError(_failure(plan, failed)) from failed[0][1]


def _failure(plan: Plan, failed: list[tuple[Unit, BaseException]]) -> str:
    named = [f"  {plan.describe(unit)}: {error!r}" for unit, error in failed[:10]]
    more = [f"  and {len(failed) - 10} more"] * (len(failed) > 10)
    return "\n".join([f"{len(failed)} units could not be written; the image is unfinished", *named, *more])
