"""Run the units of a plan: a sliding window of them in flight, retries for each, a record in the journal for each.

::

    units of a stage ──▶ ┌ window ┐ ──▶ executor (threads, or the workers of a cluster)
                         └────────┘          │ done: a record in the journal
                             ▲               │ lost with its worker: again, at once
                             └───────────────┘ failed: again, later; at last named, and the others go on

A unit that fails for good is named; the others of its stage finish; then the call fails.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple

import dask.array as da
import zarr
from zarr.storage import StorePath

from daskome.execution.attempt import Attempt
from daskome.execution.cluster import is_killed
from daskome.execution.executors import Executor, open_executor
from daskome.execution.memory.allocator import release_free_memory
from daskome.execution.memory.measured import room_of
from daskome.execution.progress import Tally, hearing_of_blocks
from daskome.execution.unit_task import UnitTask
from daskome.model.problem import WriteError
from daskome.model.regions import Region, Shape
from daskome.model.source import Source
from daskome.model.text import Progress, format_nbytes, pluralize
from daskome.model.urls import cause_of, shown_error
from daskome.planning.plan import Plan, Unit
from daskome.planning.work import PROCESS_MEM, Pass
from daskome.sources.graphs.annotations import Annotations, annotations_of, without_annotations
from daskome.sources.graphs.shared_results import compute_shared
from daskome.sources.pieces import source_piece, with_shared_results
from daskome.stores import journal as journals
from daskome.stores.arrays import PlannedArrays
from daskome.stores.journal import Journal
from daskome.stores.objects.in_flight import InFlight
from daskome.stores.ownership.claims import OwnershipLost

KEPT_NBYTES = 32 * 2**20
"""What units may leave free in this process for the next call: to give it back takes time in a large process."""
MAX_FAILURES_IN_A_ROW = 10
"""After this many failures for good without a success between them no further units are tried: the disk is full, …"""


class Part(NamedTuple):
    """Some units of a stage, by their indices, which rise."""

    stage: int
    indices: Sequence[int]


@dataclass(frozen=True, slots=True)
class Run:
    """A plan whose arrays exist: the images that it reads, the target that it writes to, and its journal.

    `is_new` is True where it has just been created: nothing of it is finished; `created` is running while that is still
    being done. `arrays` are those that it writes.
    """

    plan: Plan
    sources: Sequence[Source]
    target: StorePath
    journal: Journal
    is_new: bool = False
    created: "Future[None] | None" = None
    arrays: PlannedArrays = field(default_factory=PlannedArrays, init=False, compare=False, repr=False)

    @property
    def is_refused(self) -> bool:
        """Whether it could not be created; waits until that is known."""
        return self.created is not None and self.created.exception() is not None

    def missing(self, stage: int, indices: Iterable[int] | None = None) -> list[int]:
        """Return the indices of those units of a stage that are not finished, all or some of them."""
        finished = frozenset() if self.is_new else journals.finished_indices(self.journal, stage)
        candidates = range(self.plan.count(stage)) if indices is None else indices
        return [index for index in candidates if index not in finished]


def write_units(
    run: Run, retries: int = 2, progress: Progress | None = None, parts: Sequence[Part] | None = None
) -> None:
    """Write units of a plan into arrays that exist, stage by stage; those that are finished are left out.

    Parameters
    ----------
    run : Run
    retries : int
        How many times a unit that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all, uncompressed: before the first unit, with what was there already,
        and after every unit.
    parts : sequence of Part, optional
        Which units; all if not given.

    Raises
    ------
    WriteError
        That names the units that failed for good, after the others of their stage are finished.
    """
    plan, parts = run.plan, parts or _all_parts(run.plan)
    missing = [Part(stage, run.missing(stage, indices)) for stage, indices in parts]
    tally = _tally(plan, parts, missing, progress)
    with open_executor(run.target, plan, run.journal) as executor, hearing_of_blocks(progress):
        tally.add(0)
        for part in missing:
            tally.begin(part.stage, len(plan.stages))
            for unit in finished_units(run, unit_tasks(run, part), executor, retries):
                tally.add(plan.writes(unit))
    if plan.memory - PROCESS_MEM > KEPT_NBYTES:
        release_free_memory()


def _tally(plan: Plan, parts: Sequence[Part], missing: Sequence[Part], progress: Progress | None) -> Tally:
    """Return a tally that says what is there already; where nobody listens, nothing is counted."""
    if progress is None:
        return Tally(0, 0, None)
    total = sum(plan.nbytes_of(*part) for part in parts)
    return Tally(total - sum(plan.nbytes_of(*part) for part in missing), total, progress)


def _all_parts(plan: Plan) -> list[Part]:
    return [Part(stage, range(plan.count(stage))) for stage in range(len(plan.stages))]


def unit_tasks(run: Run, part: Part) -> Iterator[UnitTask]:
    """Yield the tasks of some units, each made when it is needed.

    What all units of an image need is computed before the first of them, and let go after the last: a plate has
    thousands of images.
    """
    plan = run.plan
    sources: dict[int, Source] = {}
    current: Pass | None = None
    for unit in plan.units(*part):
        pass_, image = unit.pass_, unit.pass_.image
        if image is not None and image not in sources:
            sources = {image: with_shared_results(run.sources[image], compute_shared)}
        if pass_ is not current:
            current, below, written = pass_, _read_by(run, pass_), _written_by(run, pass_)
            flying = InFlight(plan.workers.in_flight, plan.in_flight_nbytes(pass_), run.created)
            room = room_of(plan, pass_, run.journal)
        reads = plan.reads(unit)
        piece, asked, taken = None, Annotations(), None
        if image is not None and plan.takes_over(pass_):
            taken = sources[image].array
        elif image is not None:
            piece, asked = _piece_of(sources[image], reads, pass_.read_chunks)
        pyramid, journal = plan.pyramid(pass_), run.journal
        yield UnitTask(unit, reads, piece, pyramid, written, journal, below, flying, 0, asked, taken, room)


def _written_by(run: Run, pass_: Pass) -> tuple[zarr.Array[Any], ...]:
    """Return the arrays that units of a pass write: its levels, and a temporary copy of the next one."""
    levels = [level_array(run, pass_.group, k) for k in range(pass_.first, pass_.stop)]
    return (*levels, *([] if pass_.writes_copy is None else [_temporary_copy(run, pass_.writes_copy)]))


def _read_by(run: Run, pass_: Pass) -> zarr.Array[Any] | None:
    """Return the array that units of a pass read, a temporary copy or the level below; None if they read an image."""
    if pass_.image is not None:
        return None
    if pass_.reads_copy is not None:
        return _temporary_copy(run, pass_.reads_copy)
    return level_array(run, pass_.group, pass_.first - 1)


def level_array(run: Run, path: str, k: int) -> zarr.Array[Any]:
    """Return level k of the group with this path: as it was planned; as it is stored, where it was there before."""
    group, place, pyramid = run.plan.group_at(path), run.target / path, run.plan.pyramid_at(path)
    if k >= group.kept:
        return run.arrays.at(place, pyramid, k)
    return run.arrays.there(place, pyramid.levels[k])


def _temporary_copy(run: Run, path: str) -> zarr.Array[Any]:
    """Return a temporary copy by the path of its group."""
    return run.arrays.at(run.target / path, run.plan.pyramid_at(path), 0)


def _piece_of(source: Source, region: Region, read_chunks: Shape) -> tuple[da.Array, Annotations]:
    """Return a region of a source, and apart from it the Dask annotations of its tasks: the unit runs them as one."""
    piece = source_piece(source, region, read_chunks)
    asked = annotations_of(piece.__dask_graph__())
    return (without_annotations(piece) if asked else piece), asked


def finished_units(run: Run, tasks: Iterator[UnitTask], executor: Executor, retries: int) -> Iterator[Unit]:
    """Run unit tasks in a sliding window, and yield each unit as it is finished.

    Raises
    ------
    OwnershipLost
        If another process is the owner now: nothing is tried again.
    Exception
        Why the run could not be created, likewise.
    """
    ended: SimpleQueue[Future[None]] = SimpleQueue()
    running: dict[Future[None], Attempt] = {}
    again: deque[Attempt] = deque()
    failed: list[tuple[Unit, BaseException]] = []
    in_a_row = 0
    while True:
        room = executor.window() - len(running) - len(again) if in_a_row < MAX_FAILURES_IN_A_ROW else 0
        for attempt in (*again, *map(Attempt, islice(tasks, max(room, 0)))):
            future = executor.submit(attempt.task)
            running[future] = attempt
            future.add_done_callback(ended.put)
        again.clear()
        if not running:
            break
        future = ended.get()
        attempt, error = running.pop(future), _error(future)
        unit, name = attempt.task.unit, run.plan.describe(attempt.task.unit)
        if error is None:
            in_a_row = 0
            yield unit
        elif isinstance(error, OwnershipLost) or run.is_refused:
            raise error
        elif following := attempt.after(error, name, retries, hopeless=in_a_row >= MAX_FAILURES_IN_A_ROW):
            again.append(following)
        else:
            in_a_row += 1
            failed.append((unit, error))
    if failed:
        raise WriteError(_failure(run.plan, failed, any(True for _ in tasks))) from cause_of(failed[0][1])


def _error(future: "Future[None]") -> BaseException | None:
    """Return why a task did not succeed, cancellation included."""
    try:
        return future.exception()
    except CancelledError as error:
        return error


def _failure(plan: Plan, failed: list[tuple[Unit, BaseException]], gave_up: bool) -> str:
    """Return the message about units that failed for good, and what to do."""
    notes = [f"  {plan.describe(unit)}: {shown_error(error)}" for unit, error in failed[:10]]
    if len(failed) > 10:
        notes.append(f"  and {len(failed) - 10} more")
    if any(is_killed(error) for _, error in failed):
        notes.append(
            f"  workers that die were mostly killed for their memory: {format_nbytes(plan.memory)} each is predicted"
        )
    if gave_up:
        notes.append("  no further units were tried, since nothing succeeded any more")
    head = f"{pluralize(len(failed), 'unit')} could not be written; the image is unfinished"
    return "\n".join([head, *notes, "once the cause is fixed, resume=True goes on with what is missing"])
