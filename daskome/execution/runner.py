"""Run the units of a plan: a sliding window of them in flight, retries for each, a record in the journal for each.

::

    units of a stage ──▶ ┌ window ┐ ──▶ executor (threads, or the workers of a cluster)
                         └────────┘          │ done: a record in the journal
                             ▲               │ lost with its worker: again, at once
                             └───────────────┘ failed: again, later; at last named, and the others go on

A unit that fails for good is named; the others of its stage finish; then the call fails.
"""

import logging
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from itertools import islice
from queue import SimpleQueue

from zarr.storage import StorePath

from daskome.execution.cluster import is_killed, is_lost
from daskome.execution.executors import Executor, open_executor
from daskome.execution.unit_task import Copy, UnitTask, WriteError
from daskome.model.source import Source
from daskome.model.text import Progress, format_nbytes, pluralize
from daskome.planning.plan import Plan, Unit
from daskome.sources.dask_graphs import compute_shared
from daskome.sources.pieces import source_piece, with_shared_results
from daskome.stores import journal as journals
from daskome.stores.journal import Journal

log = logging.getLogger("daskome")
Part = tuple[int, Sequence[int]]
"""A stage, and the indices of some of its units, rising."""
BACK_OFF = 0.25
"""Seconds to wait before a unit is tried again, about; four times as long each time."""
MAX_LOSSES = 20
"""So often a unit may be lost with the worker that had it, without being the reason."""
MAX_FAILURES_IN_A_ROW = 10
"""After so many failures for good without a success between them, no further units are tried: the disk is full, …"""


@dataclass(frozen=True, slots=True)
class Run:
    """A plan whose arrays are made: what it reads, where it writes, and its journal."""

    plan: Plan
    sources: Sequence[Source]
    place: StorePath
    journal: Journal

    def missing(self, stage: int, indices: Iterable[int] | None = None) -> list[int]:
        """Return the indices of those units of a stage that are not finished, all or some of them."""
        finished = journals.finished_indices(self.journal, stage)
        wanted = range(self.plan.count(stage)) if indices is None else indices
        return [index for index in wanted if index not in finished]


def run(start: Run, retries: int = 2, progress: Progress | None = None, parts: Sequence[Part] | None = None) -> None:
    """Write units of a plan into arrays that exist, stage by stage; those that are finished are left out.

    Parameters
    ----------
    start : Run
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
    with open_executor(start.place, plan, start.journal) as workers:
        start = _ready(start, todo)
        if progress:
            progress(done, total)
        for stage, indices in todo:
            for unit in finished_units(start, unit_tasks(start, stage, indices), workers, retries):
                done += plan.writes(unit)
                if progress:
                    progress(done, total)


def _ready(start: Run, todo: Sequence[tuple[int, list[int]]]) -> Run:
    """Compute what all units of an image need, for those images of which there are units to do."""
    read = {unit.work.image for stage, indices in todo for unit in start.plan.units(stage, indices[:1])}
    sources = [with_shared_results(s, compute_shared) if i in read else s for i, s in enumerate(start.sources)]
    return replace(start, sources=sources)


def _whole(plan: Plan) -> list[Part]:
    return [(stage, range(plan.count(stage))) for stage in range(len(plan.stages))]


def unit_tasks(start: Run, stage: int, indices: Iterable[int]) -> Iterator[UnitTask]:
    """Yield the jobs of some units of a stage, each made when it is asked for."""
    plan = start.plan
    for unit in plan.units(stage, indices):
        work, reads = unit.work, plan.reads(unit)
        piece = None if work.image is None else source_piece(start.sources[work.image], reads, work.read_chunks)
        group = start.place / plan.groups[work.group].path
        staged, leaves = (None if n is None else _copy(start, n) for n in (work.staged, work.leaves))
        yield UnitTask(unit, reads, piece, plan.pyramid(work), group, start.journal, staged=staged, leaves=leaves)


def _copy(start: Run, number: int) -> Copy:
    """Return a temporary copy by the number of its group."""
    group = start.plan.groups[number]
    return start.place / group.path, start.plan.pyramids[group.pyramid or 0]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job, and what has become of it so far."""

    job: UnitTask
    failures: int = 0
    losses: int = 0

    def after(self, error: BaseException, retries: int) -> "Attempt | None":
        """Return what to do after it has not succeeded: try again, later after a failure; None: it failed for good."""
        if is_lost(error) and self.losses < MAX_LOSSES:
            return replace(self, losses=self.losses + 1)
        if self.failures >= retries:
            return None
        wait = BACK_OFF * 4**self.failures * random.uniform(0.5, 1.5)
        return replace(self, job=replace(self.job, wait=wait), failures=self.failures + 1)


def finished_units(start: Run, todo: Iterator[UnitTask], workers: Executor, retries: int) -> Iterator[Unit]:
    """Run jobs in a sliding window, and yield each unit as it is finished."""
    ended: SimpleQueue[Future[None]] = SimpleQueue()
    running: dict[Future[None], Attempt] = {}
    again: deque[Attempt] = deque()
    failed: list[tuple[Unit, BaseException]] = []
    in_a_row = 0
    while True:
        room = workers.window() - len(running) - len(again) if in_a_row < MAX_FAILURES_IN_A_ROW else 0
        for entry in (*again, *map(Attempt, islice(todo, max(room, 0)))):
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
        elif in_a_row < MAX_FAILURES_IN_A_ROW and (next_try := entry.after(error, retries)):
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
    if any(is_killed(error) for _, error in failed):
        notes.append(
            f"  workers that die are mostly killed for memory: {format_nbytes(plan.memory)} each are predicted"
        )
    if gave_up:
        notes.append("  others were not tried any more, since nothing succeeded")
    head = f"{pluralize(len(failed), 'unit')} could not be written; the image is unfinished"
    return "\n".join([head, *notes, "resume=True goes on with what is missing, once the cause is mended"])
