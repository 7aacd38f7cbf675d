"""A plan with its sources and target: `Write`, which is carried out now, later, or as parts of a job array."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import uuid4

import dask
from dask.delayed import Delayed, delayed
from zarr.storage import StorePath

from daskome.execution import runner
from daskome.execution.attempt import run_with_retries
from daskome.execution.executors import check_sources, writes_beside
from daskome.execution.finished.lost import check_stored, redoing_lost
from daskome.execution.memory.measured import with_measured
from daskome.execution.owning import disown, own_graph, owning
from daskome.execution.publish import publish_lists, publish_plan
from daskome.execution.runner import Part, Run
from daskome.execution.unit_task import UnitTask, split_payload
from daskome.model.problem import or_unfinished
from daskome.model.source import Origin, Source
from daskome.model.text import Progress, format_nbytes
from daskome.ome.read import merged
from daskome.planning.plan import Plan
from daskome.planning.sizes import check_units
from daskome.sources.graphs.arrays_read import stored_at
from daskome.sources.graphs.shared_results import as_delayed
from daskome.sources.pieces import with_shared_results
from daskome.stores import journal as journals
from daskome.stores.arrays import Documents
from daskome.stores.documents import list_names
from daskome.stores.groups import read_attributes
from daskome.stores.journal import JOURNAL, Journal
from daskome.stores.location import is_local_to_process, origin_of
from daskome.stores.ownership.owned_store import owned
from daskome.stores.ownership.taking import check_free, naming_the_heir
from daskome.stores.remembered import for_each, forget, forgotten
from daskome.stores.targets.collection import check_describable
from daskome.stores.targets.conflicts import arrays_to_replace, check_as_planned, check_no_overlap
from daskome.stores.targets.create import array_documents, create_arrays

MOST_UNITS = 100_000
"""How many units one graph may hold. To make it takes minutes and more than a GiB, before anything is computed."""
UNIT_NBYTES = 14 * 2**10
"""Bytes of a unit in such a graph, measured for an image in a store; for a Dask image it is more."""
log = logging.getLogger("daskome")


@dataclass(frozen=True, slots=True)
class Write:
    """A plan with its sources and target, and what may be replaced there.

    Attributes
    ----------
    plan : Plan
    sources : sequence of Source
    target : StorePath
    overwrite : bool
        Whether images there may be replaced.
    retries : int
        How many times a unit that fails is tried again.
    take_over : bool
        Whether another process that writes there loses its right to.
    journal : Journal, optional
        That of the run which it continues; None: it begins a new one.
    finished : bool
        Whether all of it was written before, so that nothing is left to do.
    documents : mapping of str to dict
        Those of its arrays by the paths of groups, once zarr has accepted them: `checked` puts them here, and only then
        can anything be created.
    """

    plan: Plan
    sources: Sequence[Source]
    target: StorePath
    overwrite: bool = False
    retries: int = 2
    take_over: bool = False
    journal: Journal | None = None
    finished: bool = False
    documents: Mapping[str, Documents] = field(default_factory=dict)

    @property
    def home(self) -> StorePath:
        """The group that keeps the journal."""
        return self.target / self.plan.home

    def checked(self) -> "Write":
        """Return the write, ready to be carried out; raise if something is in the way, or would be read while written.

        Raises
        ------
        ValueError
            If zarr refuses an array as planned, the target overlaps what is read, or only the store names a function.
        FileNotFoundError, TypeError
            If what is read is not there, or not for the workers that would read it.
        FileExistsError, PermissionError, NotADirectoryError
            As `daskome.stores.targets.conflicts.arrays_to_replace`, and
            `daskome.stores.targets.collection.check_describable`.
        """
        check_units(self.plan)
        self.plan.check_functions()
        check_sources(self.target, self.plan, self.sources)
        check_no_overlap(self.target, self.plan, [a for source in self.sources for a in stored_at(source)])
        if not self.finished:
            check_describable(self.target, self.plan)
        if self.journal is not None or self.finished:
            return self
        documents = array_documents(self.plan)
        arrays_to_replace(self.target, self.plan, self.overwrite)
        for group in self.plan.groups:
            if group.metadata.labels is not None or group.metadata.plate is not None:
                merged(read_attributes(self.target / group.path) or {}, group.metadata)
        return replace(self, documents=documents)

    @contextmanager
    def begun(self) -> Iterator[Run]:
        """Yield the run, as its owner, with its arrays; they are created unless they exist.

        They may be created while threads encode already: `Run.created` keeps objects back until they exist.

        Raises
        ------
        FileExistsError
            If another process writes there; or something is there that was not when it was `checked`.
        ValueError
            If an image that changes in place is no longer as it was then.
        WriteError
            If another process takes over.
        """
        with owning(self._run(), take_over=self.take_over, home=self.home) as run:
            create = partial(self.create, run.journal, self._origins())
            if self.journal is not None:
                yield run
            elif self._begins_early():
                with _beside(create) as created:
                    yield replace(run, created=created)
            else:
                create()
                yield run

    def _begins_early(self) -> bool:
        """Whether units begin while their arrays are created: far away, where nothing that is there can be harmed.

        Whoever interrupts the call must find what was there; and who is refused should not wait for images to be
        computed.
        """
        groups, stages = self.plan.groups, self.plan.stages
        is_new = not self.overwrite and not any(group.kept or group.change for group in groups)
        is_stored = not any(pass_.computed for stage in stages for pass_ in stage.passes)
        return bool(self.plan.workers.in_flight) and is_new and is_stored and writes_beside(self.target)

    def init(self) -> Plan:
        """Create the arrays, unless they exist: any number of processes may write them, one part each."""
        with self.begun():
            return self.plan

    def create(self, journal: Journal, origins: Sequence[Origin]) -> None:
        """Create the arrays, empty, and the journal.

        What a far store said before counts for an image alone, if nothing has begun there since; of several, another
        process may have begun or finished one.
        """
        looks: list[Callable[[], Any]] = [
            self._remembers_what_is_there,
            partial(check_as_planned, self.target, self.plan),
        ]
        if not for_each(self.target, lambda look: look(), looks)[0]:
            forget(self.target)
        old = arrays_to_replace(self.target, self.plan, self.overwrite)
        create_arrays(owned(self.target, journal.claim), self.plan, self.documents, old, journal, origins)

    def _remembers_what_is_there(self) -> bool:
        """Whether what a target remembers is there still, as far as one look tells; near ones remember nothing."""
        now = forgotten(self.home)
        alone = [group.path for group in self.plan.groups if not group.temporary] == [self.plan.home]
        return now == self.home or (alone and read_attributes(now) == read_attributes(self.home))

    def now(self, progress: Progress | None) -> Plan:
        """Write, and publish."""
        if self.finished:
            log.warning("%s is finished already; nothing is left to do", self.home)
            publish_lists(self.plan, self.target)
            self._end_journal()
        else:
            with self.begun() as run, or_unfinished(self.home, "could not be written"):
                with redoing_lost(run):
                    runner.write_units(run, self.retries, progress)
                publish_plan(run, check=partial(check_stored, run))
            return with_measured(self.plan, run.journal)
        return self.plan

    def _end_journal(self) -> None:
        """Delete what a process that was killed as it ended has left of a journal, unless another writes there now."""
        if JOURNAL in list_names(self.home):
            check_free(self.home, self.take_over)
            journals.end_journal(self.home)

    def later(self) -> "DelayedWrite":
        """Return a graph that does the same: a task per unit, a barrier per stage.

        Raises
        ------
        ValueError
            For more units than a graph should hold.
        """
        self._check_one_graph()
        run = self._run()
        run = replace(run, sources=[with_shared_results(source, as_delayed) for source in run.sources])
        create = partial(_create, replace(self, sources=(), target=run.target), run.journal, self._origins())
        barrier = created = _delay("create", create, os.getpid())(None)
        for stage in () if self.finished else range(len(self.plan.stages)):
            missing = run.missing(stage) if self.journal else range(self.plan.count(stage))
            units = [self._unit(task, barrier, created) for task in runner.unit_tasks(run, Part(stage, missing))]
            barrier = _delay("barrier", _all_done)(units)
        done = _delay("finish", _finish, replace(run, sources=()), self.finished)(barrier, created)
        return DelayedWrite(done.key, done.dask)

    def _check_one_graph(self) -> None:
        n = 0 if self.finished else self.plan.n_units
        if n > MOST_UNITS:
            raise ValueError(
                f"compute=False would make one Dask graph of {n:,} units, about {format_nbytes(n * UNIT_NBYTES)} of it"
                f" before the first is written; at most {MOST_UNITS:,} are put into one. Write now, with compute=True,"
                " which keeps a few at a time; or begin with compute='init', then let any number of processes or tasks"
                " call daskome.run_part, and one daskome.finish"
            )

    def _run(self) -> Run:
        target = forgotten(self.target)
        journal = self.journal or journals.new_journal(target / self.plan.home, self.plan, self._origins())
        return Run(self.plan, self.sources, target, journal, is_new=self.journal is None)

    def _origins(self) -> list[Origin]:
        return [origin_of(source) for source in self.sources]

    def _unit(self, task: UnitTask, barrier: Delayed, created: Delayed) -> Delayed:
        """Return a unit as a task of a Dask graph; its payload comes to it as arguments."""
        bare, keys, values = split_payload(task)
        name = f"from-{task.unit.pass_.reading}"
        unit = _delay(name, run_with_retries, bare, keys, self.plan.describe(task.unit), self.retries)
        with dask.annotate(**task.annotations):
            return unit(values, barrier, created)


class DelayedWrite(Delayed):  # type: ignore[misc]
    """A `Delayed` that is also a list of itself: ome_zarr returns a list, whose users call ``dask.compute(*later)``."""

    __slots__ = ()

    def __iter__(self) -> Iterator["DelayedWrite"]:
        yield self

    def __len__(self) -> int:
        return 1

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: Any) -> Any:
        return [self][index]

    def __add__(self, others: Iterable[Any]) -> list[Any]:
        return [self, *others]

    def __radd__(self, others: Iterable[Any]) -> list[Any]:
        return [*others, self]


def _delay(name: str, function: Callable[..., Any], *args: Any) -> Callable[..., Delayed]:
    """Return what makes a task of a function. Its `args` are hidden from Dask, which would compute arrays in them."""
    call = delayed(partial(function, *args), traverse=False, pure=False)
    return partial(call, dask_key_name=f"daskome-{name}-{uuid4().hex}")


@contextmanager
def _beside(create: Callable[[], None]) -> Iterator["Future[None]"]:
    """Create arrays on a thread of its own; yield what ends with that. Its error counts before any that follows."""
    with ThreadPoolExecutor(1, thread_name_prefix="daskome-create") as thread:
        created = thread.submit(create)
        try:
            yield created
        finally:
            error = created.exception()
            if error is not None and not isinstance(sys.exception(), KeyboardInterrupt):
                raise error from error.__cause__


def _create(write: Write, journal: Journal, origins: Sequence[Origin], builder: int, after: None) -> Journal:
    """Create the arrays, and return the journal with the claim under which the tasks of the graph write."""
    if is_local_to_process(write.target) and os.getpid() != builder:
        raise ValueError(
            f"{write.target} lives in the process that opened it, and other processes cannot write it; compute with"
            " threads, or give a path or URL"
        )
    if write.finished:
        return journal
    claimed = own_graph(Run(write.plan, (), write.target, journal, is_new=write.journal is None), write.take_over)
    try:
        if write.journal is None:
            write.create(claimed, origins)
    except BaseException:  # No unit has begun.
        disown(claimed)
        raise
    return claimed


def _all_done(units: list[None]) -> None:
    return None


def _finish(run: Run, finished: bool, after: None, journal: Journal) -> Plan:
    if finished:
        publish_lists(run.plan, run.target)
    else:
        with naming_the_heir(journal.claim), or_unfinished(run.target, "could not be published"):
            owned_run = replace(run, journal=journal)
            publish_plan(owned_run, check=partial(check_stored, owned_run))
        disown(journal)
    return run.plan
