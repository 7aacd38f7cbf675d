"""A plan and its images to units on a scheduler: threads of this process, or the active Dask cluster.

One loop serves both: a sliding window of units in flight, retries per unit, a record in the journal for each
that is finished. A unit that fails for good is named; the others finish; then the call fails.
"""

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from itertools import islice
from queue import SimpleQueue
from typing import Any

import dask
import dask.array as da
import zarr
from dask.local import get_sync
from zarr.storage import StorePath

from daskome import clusters, cones, display, graph, journal as journals, storage, table
from daskome.jobs import WriteError
from daskome.journal import Journal, Record
from daskome.metadata import find_version, with_levels
from daskome.plan import Group, Plan, Unit
from daskome.pools import Pool, pool
from daskome.pyramid import Level, Pyramid
from daskome.regions import Region
from daskome.sources import Source, as_source, cut, ready

log = logging.getLogger("daskome")
Progress = Callable[[int, int], None]
Part = tuple[int, Sequence[int]]
"""A stage, and the indices of some of its units, rising."""
Copy = tuple[StorePath, Pyramid]
"""A temporary copy: its group, and its pyramid of one level."""
BACK_OFF = 0.25
"""Seconds to wait before a unit is tried again, about; four times as long each time."""
LOSSES = 20
"""So often a unit may be lost with the worker that had it, without being the reason."""
HOPELESS = 10
"""After so many failures for good without a success between them, no further units are tried: the disk is full, …"""


@dataclass(frozen=True, slots=True)
class Start:
    """A plan whose arrays are made: what it reads, where it writes, and its journal."""

    plan: Plan
    sources: Sequence[Source]
    place: StorePath
    journal: Journal

    def missing(self, stage: int, indices: Iterable[int] | None = None) -> list[int]:
        """Return the indices of those units of a stage that are not finished, all or some of them."""
        finished = journals.finished(self.journal, stage)
        wanted = range(self.plan.count(stage)) if indices is None else indices
        return [index for index in wanted if index not in finished]


@dataclass(frozen=True, slots=True)
class Job:
    """A unit with all it needs, so that it can travel to another process and run there on its own."""

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    place: StorePath
    journal: Journal
    wait: float = 0
    staged: Copy | None = None
    leaves: Copy | None = None

    def __call__(self) -> None:
        """Write the unit, and note it in the journal; unless its image has been started anew meanwhile."""
        time.sleep(self.wait)
        if not journals.is_current(self.journal):
            raise WriteError(f"{self.place} is not being written any more: it was finished, or started anew elsewhere")
        begun = journals.now()
        dask.compute(graph.stores(self.unit, self.pyramid, self._piece(), self._written()), scheduler=get_sync)
        journals.record(self.journal, self.unit, Record(journals.now(), journals.now() - begun))

    def _piece(self) -> da.Array:
        """Return what the unit reads: of its image, of a temporary copy, or of the level below."""
        if self.piece is not None:
            return self.piece
        work, levels = self.unit.work, self.pyramid.levels
        place, below = (self.place, levels[work.first - 1]) if self.staged is None else _only(self.staged)
        (array,) = storage.open_levels(place, [below])
        return cut(as_source(array), self.reads, work.read_chunks)

    def _written(self) -> list[zarr.Array[Any]]:
        """Return the arrays that the unit writes, and no others: each costs a request where stores are far away."""
        own = self.pyramid.levels[self.unit.work.first : self.unit.work.stop]
        arrays = storage.open_levels(self.place, own)
        if self.leaves is not None:
            place, copy = _only(self.leaves)
            arrays += storage.open_levels(place, [copy])
        return arrays


def _only(copy: Copy) -> tuple[StorePath, Level]:
    """Return the group of a temporary copy, and its one level."""
    place, pyramid = copy
    return place, pyramid.levels[0]


def run(start: Start, retries: int = 2, progress: Progress | None = None, parts: Sequence[Part] | None = None) -> None:
    """Write units of a plan into arrays that exist, stage by stage; those that are finished are left out.

    Parameters
    ----------
    start : Start
    retries : int
        How often a unit that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all, uncompressed: before the first unit, with what was there already,
        and after every unit.
    parts : sequence of (int, sequence of int), optional
        Stages and units; all if not given.

    Raises
    ------
    WriteError
        That names the units that failed for good, after the others of their stage are finished.
    """
    plan = start.plan
    todo = [(stage, start.missing(stage, indices)) for stage, indices in parts or _whole(plan)]
    total = sum(plan.nbytes_of(stage, indices) for stage, indices in parts or _whole(plan)) if progress else 0
    done = total - sum(plan.nbytes_of(stage, indices) for stage, indices in todo) if progress else 0
    with pool(start.place, plan, start.journal) as workers:
        start = _ready(start, todo)
        if progress:
            progress(done, total)
        for stage, indices in todo:
            for unit in finished(start, jobs(start, stage, indices), workers, retries):
                done += plan.writes(unit)
                if progress:
                    progress(done, total)


def _ready(start: Start, todo: Sequence[tuple[int, list[int]]]) -> Start:
    """Compute what all units of an image need, for those images of which there are units to do."""
    read = {unit.work.image for stage, indices in todo for unit in start.plan.units(stage, indices[:1])}
    sources = [ready(s, cones.computed) if i in read else s for i, s in enumerate(start.sources)]
    return replace(start, sources=sources)


def _whole(plan: Plan) -> list[Part]:
    return [(stage, range(plan.count(stage))) for stage in range(len(plan.stages))]


def jobs(start: Start, stage: int, indices: Iterable[int]) -> Iterator[Job]:
    """Yield the jobs of some units of a stage, each made when it is asked for."""
    plan = start.plan
    for unit in plan.units(stage, indices):
        work, reads = unit.work, plan.reads(unit)
        piece = None if work.image is None else cut(start.sources[work.image], reads, work.read_chunks)
        group = start.place / plan.groups[work.group].path
        staged, leaves = (None if n is None else _copy(start, n) for n in (work.staged, work.leaves))
        yield Job(unit, reads, piece, plan.pyramid(work), group, start.journal, staged=staged, leaves=leaves)


def _copy(start: Start, number: int) -> Copy:
    """Return a temporary copy by the number of its group."""
    group = start.plan.groups[number]
    return start.place / group.path, start.plan.pyramids[group.pyramid or 0]


def finish(start: Start) -> None:
    """Publish a plan whose units are all written: each group in one write, the deepest first, the target last.

    In a store that can't rewrite, such as a zip file, the target comes first: zarr makes groups with those above them.
    """
    plan, place, version = start.plan, start.place, find_version(start.plan.version)
    storage.sweep(place, plan)
    lasting = [group for group in plan.groups if not group.temporary]
    for group in sorted(lasting, key=_depth, reverse=place.store.supports_deletes):
        metadata = group.metadata
        if group.pyramid is not None and not group.kept and metadata.omero:
            pyramid = plan.pyramids[group.pyramid]
            (coarsest,) = storage.open_levels(place / group.path, pyramid.levels[-1:])
            channels = display.measured(metadata.omero.channels or (), coarsest, pyramid)
            metadata = replace(metadata, omero=replace(metadata.omero, channels=tuple(channels)))
        if group.kept:
            metadata = with_levels(storage.attributes(place / group.path) or {}, metadata)
        storage.publish(place / group.path, version, metadata)
    journals.forget(start.journal.home)
    storage.refresh(place)


def _depth(group: Group) -> int:
    return len(group.path.split("/")) if group.path else 0


@dataclass(frozen=True, slots=True)
class Try:
    """A job, and what has become of it so far."""

    job: Job
    failures: int = 0
    losses: int = 0

    def after(self, error: BaseException, retries: int) -> "Try | None":
        """Return what to do after it has not succeeded: try again, later after a failure; None: it failed for good."""
        if clusters.is_lost(error) and self.losses < LOSSES:
            return replace(self, losses=self.losses + 1)
        if self.failures >= retries:
            return None
        wait = BACK_OFF * 4**self.failures * random.uniform(0.5, 1.5)
        return replace(self, job=replace(self.job, wait=wait), failures=self.failures + 1)


def finished(start: Start, todo: Iterator[Job], workers: Pool, retries: int) -> Iterator[Unit]:
    """Run jobs in a sliding window, and yield each unit as it is finished."""
    ended: SimpleQueue[Future[None]] = SimpleQueue()
    running: dict[Future[None], Try] = {}
    again: deque[Try] = deque()
    failed: list[tuple[Unit, BaseException]] = []
    in_a_row = 0
    while True:
        room = workers.window() - len(running) - len(again) if in_a_row < HOPELESS else 0
        for entry in (*again, *map(Try, islice(todo, max(room, 0)))):
            future = workers.submit(entry.job)
            running[future] = entry
            future.add_done_callback(ended.put)
        again.clear()
        if not running:
            break
        future = ended.get()
        entry, error = running.pop(future), _error(future)
        unit, name = entry.job.unit, start.plan.describe(entry.job.unit)
        if error is None:
            in_a_row = 0
            yield unit
        elif in_a_row < HOPELESS and (next_try := entry.after(error, retries)):
            log.warning("%s failed, trying again: %r", name, error)
            again.append(next_try)
        else:
            in_a_row += 1
            log.error("%s failed for good: %r", name, error)
            journals.fail(start.journal, unit, repr(error))
            failed.append((unit, error))
    if failed:
        raise WriteError(_failure(start.plan, failed, any(True for _ in todo))) from failed[0][1]


def _error(future: "Future[None]") -> BaseException | None:
    """Return why a job did not succeed, cancellation included."""
    try:
        return future.exception()
    except CancelledError as error:
        return error


def _failure(plan: Plan, failed: list[tuple[Unit, BaseException]], gave_up: bool) -> str:
    """Return what to tell of units that failed for good, and what to do."""
    notes = [f"  {plan.describe(unit)}: {error!r}" for unit, error in failed[:10]]
    if len(failed) > 10:
        notes.append(f"  and {len(failed) - 10} more")
    if any(clusters.is_killed(error) for _, error in failed):
        notes.append(f"  workers that die are mostly killed for memory: {table.nbytes(plan.memory)} each are predicted")
    if gave_up:
        notes.append("  others were not tried any more, since nothing succeeded")
    head = f"{table.count(len(failed), 'unit')} could not be written; the image is unfinished"
    return "\n".join([head, *notes, "resume=True goes on with what is missing, once the cause is mended"])
