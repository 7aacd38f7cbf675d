"""A plan with all it needs to be carried out, now or later."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

from dask.delayed import Delayed, delayed
from zarr.storage import StorePath

from daskome.execution import runner
from daskome.execution.publish import publish_plan
from daskome.execution.runner import Run
from daskome.execution.unit_task import UnitTask, run_with_retries, split_payload
from daskome.model.source import Origin, Source
from daskome.model.text import Progress, format_nbytes
from daskome.ome.read import merged
from daskome.planning.plan import Plan
from daskome.sources.dask_graphs import as_delayed
from daskome.sources.pieces import with_shared_results
from daskome.sources.provenance import stored_at
from daskome.stores import journal as journals
from daskome.stores.arrays import Documents
from daskome.stores.conflicts import arrays_to_replace, check_no_overlap
from daskome.stores.create import array_documents, create_arrays
from daskome.stores.groups import read_attributes
from daskome.stores.journal import Journal
from daskome.stores.location import is_local_to_process, origin_of

MOST_UNITS = 100_000
"""How many units one graph may hold: it takes minutes and a GiB to make, whoever computes it."""
UNIT_NBYTES = 14 * 2**10
"""What a unit takes in such a graph, measured, if its image is in a store; more if Dask makes it."""
log = logging.getLogger("daskome")


@dataclass(frozen=True, slots=True)
class Write:
    """What is written, from what, where, and what may be replaced there.

    `journal` is that of the start which it continues; None: it starts anew. If it is `finished`, nothing is to be done.
    `documents` are those of its arrays, once zarr has been asked whether it takes them (`checked`).
    """

    plan: Plan
    sources: Sequence[Source]
    place: StorePath
    overwrite: bool = False
    retries: int = 2
    journal: Journal | None = None
    finished: bool = False
    documents: Sequence[Documents] = ()

    @property
    def home(self) -> StorePath:
        """The group that keeps the journal."""
        return self.place / self.plan.home

    def checked(self) -> "Write":
        """Return the task, ready to be carried out; raise for what is in the way, or read while it is written.

        Raises
        ------
        ValueError
            If zarr refuses an array as planned, or the target overlaps what is read.
        FileExistsError, PermissionError, NotADirectoryError
            As `daskome.stores.conflicts.arrays_to_replace`.
        """
        check_no_overlap(self.place, self.plan, [a for source in self.sources for a in stored_at(source)])
        if self.journal is not None or self.finished:
            return self
        documents = array_documents(self.plan)
        arrays_to_replace(self.place, self.plan, self.overwrite)
        for group in self.plan.groups:
            if group.metadata.labels is not None or group.metadata.plate is not None:
                merged(read_attributes(self.place / group.path) or {}, group.metadata)
        return replace(self, documents=documents)

    def init(self) -> Run:
        """Make what is to be filled, unless it is made; what is there may have changed since it was checked."""
        start = self._start()
        if self.journal is None:
            self.create(start.journal, self._origins())
        return start

    def create(self, journal: Journal, origins: Sequence[Origin]) -> None:
        """Make what is to be filled."""
        old = arrays_to_replace(self.place, self.plan, self.overwrite)
        create_arrays(self.place, self.plan, self.documents, old, journal, origins)

    def now(self, progress: Progress | None) -> Plan:
        """Write, and publish."""
        if self.finished:
            log.warning("%s is finished already; nothing is left to do", self.home)
            journals.delete_journal(self.home)
        else:
            start = self.init()
            runner.run(start, self.retries, progress)
            publish_plan(start)
        return self.plan

    def later(self) -> "DelayedWrite":
        """Return a graph that does the same: a task per unit, a barrier per stage.

        Raises
        ------
        ValueError
            For more units than a graph should hold.
        """
        self._check_one_graph()
        start = self._start()
        start = replace(start, sources=[with_shared_results(source, as_delayed) for source in start.sources])
        create = partial(_create, replace(self, sources=()), start.journal, self._origins())
        barrier = _delay("create", create, os.getpid())(None)
        for stage in () if self.finished else range(len(self.plan.stages)):
            missing = start.missing(stage) if self.journal else range(self.plan.count(stage))
            units = [self._unit(job, barrier) for job in runner.unit_tasks(start, stage, missing)]
            barrier = _delay("barrier", _all_done)(units)
        done = _delay("finish", _finish, replace(start, sources=()), self.finished)(barrier)
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

    def _start(self) -> Run:
        return Run(self.plan, self.sources, self.place, self.journal or journals.new_journal(self.home))

    def _origins(self) -> list[Origin]:
        return [origin_of(source) for source in self.sources]

    def _unit(self, job: UnitTask, barrier: Delayed) -> Delayed:
        """Return a unit as a task; what its image holds in memory comes to it as arguments."""
        bare, keys, values = split_payload(job)
        name = f"from-{job.unit.work.reading}"
        return _delay(name, run_with_retries, bare, keys, self.plan.describe(job.unit), self.retries)(values, barrier)


class DelayedWrite(Delayed):  # type: ignore[misc]
    """A `Delayed` that is a list of itself, too: ome_zarr returns a list, so its users say ``dask.compute(*later)``."""

    __slots__ = ()

    def __iter__(self) -> Iterator["DelayedWrite"]:
        yield self

    def __len__(self) -> int:
        return 1


def _delay(name: str, function: Callable[..., Any], *args: Any) -> Callable[..., Delayed]:
    """Return what makes a task of `function`; its `args` are kept from Dask, which would compute arrays in them."""
    call = delayed(partial(function, *args), traverse=False, pure=False)
    return partial(call, dask_key_name=f"daskome-{name}-{uuid4().hex}")


def _create(task: Write, journal: Journal, origins: Sequence[Origin], builder: int, after: None) -> None:
    if is_local_to_process(task.place) and os.getpid() != builder:
        raise ValueError(f"{task.place} lives in the process that opened it; other processes can't write it")
    if task.journal is None and not task.finished:
        task.create(journal, origins)


def _all_done(units: list[None]) -> None:
    return None


def _finish(start: Run, finished: bool, after: None) -> Plan:
    if not finished:
        publish_plan(start)
    return start.plan
