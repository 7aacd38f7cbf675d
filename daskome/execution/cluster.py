"""The active Dask cluster: what it has, whether it can write, and how unit tasks get to its workers.

Before the first unit, every worker checks that it sees the target and has the same daskome. A unit is one task, named
``daskome-from-image``, ``-from-copy`` or ``-from-level``, in a span named after the image; two per thread are on the
scheduler at a time, however large the volume. Units of a worker that dies are done again, and so are those that a
restart of the cluster forgets; an adaptive cluster may begin without workers. If the scheduler dies, the call fails.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
from dask.highlevelgraph import HighLevelGraph

from daskome._version import __version__
from daskome.execution.schedulers import UNIT_PREFIX, workers_of
from daskome.execution.unit_task import UnitTask, run_with_payload, split_payload
from daskome.model.problem import WriteError
from daskome.model.regions import spread
from daskome.model.source import Source
from daskome.model.text import format_nbytes
from daskome.planning.plan import Plan
from daskome.sources.blocks import is_remote
from daskome.sources.graphs.annotations import Annotations, annotations_of
from daskome.sources.pieces import source_piece
from daskome.sources.presence import Sight, check_travels, sights_of
from daskome.stores import journal as journals
from daskome.stores.journal import Journal
from daskome.stores.objects import sync_codecs

log = logging.getLogger("daskome")
SPILL_FRACTION = 0.7
"""The share of its memory limit from which a Dask worker spills to disk; from 0.8 on it pauses."""
UNITS_IN_FLIGHT = 2
"""How many units per thread are in flight, so that no thread waits for its next one."""
UNITS_WAITING = 2
"""How many units per thread wait for a store that is far away, beside those."""
SEEN_BY_ALL = 64
"""Up to this many arrays are opened by every worker before anything is written; of more, each opens its share."""
LOOKS_AT_ONCE = 16
"""How many arrays a worker opens at a time."""
THREADS_TTL = 1.0
"""Seconds between checks of the number of threads: clusters grow and shrink."""


def threads_per_worker(client: Any) -> list[int]:
    """Return how many threads each worker has."""
    return list(client.nthreads().values())


def memory_limit(client: Any) -> int | None:
    """Return the smallest memory limit of the workers in bytes, if they have one."""
    workers = workers_of(client).values()
    return min((int(worker["memory_limit"]) for worker in workers if worker.get("memory_limit")), default=None)


def concurrency_of_workers(client: Any) -> int | None:
    """Return how many chunks zarr encodes beside each other on the workers, at most; None: all of a block.

    What can't say so does not count: whether workers can write is looked at later.
    """
    answers = [*client.run(sync_codecs.concurrency, on_error="return").values()]
    limits = [answer for answer in answers if isinstance(answer, int)]
    return None if None in answers else max(limits) if limits else sync_codecs.concurrency()


@dataclass(slots=True)
class ClusterExecutor:
    """The workers of a client, which run unit tasks; the number of their threads is looked up from time to time."""

    client: Any
    submitted: Callable[..., "Future[None]"]
    per_thread: int = UNITS_IN_FLIGHT
    _window: int = 0
    _counted: float = -inf

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task. Its payload travels beside it: arrays here are scattered, those on workers stay there.

        Raises
        ------
        WriteError
            If the scheduler is gone.
        """
        bare, keys, values = split_payload(task)
        name = f"{UNIT_PREFIX}{task.unit.pass_.reading}-{uuid4().hex}"  # Dask takes words for the name of a group
        try:
            there = [value if is_remote(value) else self.client.scatter(value, hash=False) for value in values]
            return self.submitted(run_on_worker, bare, keys, there, key=name, **task.annotations)
        except OSError as error:  # The worker to which an array was sent has died.
            self._check_connected(error)
            return _lost()

    def window(self) -> int:
        """Return how many tasks should be in flight now.

        Raises
        ------
        WriteError
            If the scheduler is gone.
        """
        self._check_connected()
        if time.monotonic() - self._counted > THREADS_TTL:
            try:
                self._window, self._counted = self.per_thread * self._threads(), time.monotonic()
            except OSError as error:  # The client has not noticed yet.
                raise self._unconnected() from error
        return self._window

    def _threads(self) -> int:
        """Return how many threads there are, at least one."""
        if not threads_per_worker(self.client):
            self._wake()
        return max(sum(threads_per_worker(self.client)), 1)

    def _wake(self) -> None:
        """Wait for a worker: an adaptive cluster starts one for a task, but not for an array that is scattered."""
        log.warning("the cluster has no workers; waiting for one")
        with suppress(CancelledError):
            self.client.submit(bool, pure=False).result()
        self._check_connected()

    def _check_connected(self, error: OSError | None = None) -> None:
        """Raise if the scheduler is gone: the client would wait for it to come back."""
        if self.client.status != "running":
            raise self._unconnected() from error

    def _unconnected(self) -> WriteError:
        """Return the error that says what to do when the scheduler is gone."""
        return WriteError(
            f"the connection to the scheduler at {self.client.scheduler.address} is lost; the image is unfinished."
            " Start a cluster, and write again with resume=True, which leaves out what is finished"
        )


@contextmanager
def cluster_executor(client: Any, plan: Plan, journal: Journal) -> Iterator[ClusterExecutor]:
    """Yield an executor on a cluster that can write a plan; warn of settings that slow it down.

    Raises
    ------
    WriteError
        If workers cannot see the target, or have another version of daskome.
    """
    from distributed import span

    _check_workers(client, journal)
    for warning in _warnings(client, plan):
        log.warning("%s", warning)
    executor = client.get_executor(pure=False)
    try:
        with span("daskome", *(pyramid.name for _, pyramid in plan.images[:1])):
            yield ClusterExecutor(
                client, executor.submit, UNITS_IN_FLIGHT + UNITS_WAITING * (plan.workers.in_flight > 0)
            )
    finally:
        executor.shutdown(wait=False)


def run_on_worker(task: UnitTask, keys: list[Any], values: list[Any]) -> None:
    """Run a task on a worker of a cluster; its thread takes another task while this one waits for a far store."""
    run_with_payload(task, keys, values, _worker_thread() if task.in_flight.objects else None)


@contextmanager
def _worker_thread() -> Iterator[None]:
    from distributed import secede

    yield
    secede()


def _lost() -> "Future[None]":
    future: Future[None] = Future()
    future.cancel()
    return future


def is_killed(error: BaseException) -> bool:
    """Whether workers died while they ran a task."""
    return type(error).__name__ == "KilledWorker"


def _check_workers(client: Any, journal: Journal) -> None:
    """Raise if a worker cannot write; one that leaves meanwhile does not matter."""
    answers = client.run(_visit, journal, __version__, on_error="return")
    wrong = {worker: answer for worker, answer in answers.items() if answer and not isinstance(answer, OSError)}
    for worker, answer in wrong.items():
        raise WriteError(f"the worker at {worker} {answer}; {len(wrong)} of {len(answers)} workers cannot write")


def _visit(journal: Journal, version: str) -> str:
    """Return, from a worker, why it cannot write; empty if it can."""
    if version != __version__:
        return f"has daskome {__version__}, but the client has {version}; install the same version everywhere"
    try:
        seen = journals.is_current(journal)
    except Exception as error:
        return f"cannot read {journal.home}: {error!r}"
    return "" if seen else f"does not see {journal.home}; give a path or URL that all workers share"


def check_workers_see(client: Any, sources: Sequence[Source]) -> None:
    """Raise if images cannot travel to the workers of a cluster, or a worker cannot read what they read.

    Every worker opens every array, once. Of more than `SEEN_BY_ALL` each worker opens its share.

    Raises
    ------
    TypeError, FileNotFoundError
        That says what, and where.
    """
    sights = sights_of(sources)
    for source in [sources[i] for i in spread(len(sources), SEEN_BY_ALL)]:
        check_travels(source)
    workers = sorted(workers_of(client))
    answers = client.run(_look, sights, workers, workers=workers, on_error="return") if sights and workers else {}
    wrong = {worker: answer for worker, answer in answers.items() if answer and not isinstance(answer, OSError)}
    for worker, answer in wrong.items():
        raise FileNotFoundError(
            f"the worker at {worker} cannot read {answer}; {len(wrong)} of {len(answers)} workers cannot. Nothing has"
            " been written; give a path or URL that all workers share"
        )


def _look(sights: Sequence[Sight], workers: Sequence[str], dask_worker: Any) -> str:
    """Return, from a worker, which of what it should see it cannot read, and why; empty if it can."""
    share = sights if len(sights) <= SEEN_BY_ALL else sights[workers.index(dask_worker.address) :: len(workers)]
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as threads:
        problems = threads.map(Sight.problem, share)
        return next((f"{one.place}: {problem}" for one, problem in zip(share, problems, strict=True) if problem), "")


def check_annotations(client: Any, plan: Plan, sources: Sequence[Source]) -> None:
    """Raise a ValueError if a unit would be confined to different workers; warn of resources that no worker has."""
    offered = [worker.get("resources") or {} for worker in workers_of(client).values()]
    for number, source in enumerate(sources):
        for asked in _asked(plan, number, source):
            needed = asked.get("resources", {})
            if not any(all(has.get(name, 0) >= n for name, n in needed.items()) for has in offered):
                log.warning("no worker of the cluster has the resources %s; units wait until one joins", needed)


def _asked(plan: Plan, number: int, source: Source) -> Iterator[Annotations]:
    """Yield what a Dask image asks of workers as a whole; if its parts ask for different ones, what each unit asks."""
    graph = source.array.__dask_graph__() if isinstance(source.array, da.Array) else HighLevelGraph({}, {})
    try:
        yield annotations_of(graph)
    except ValueError:
        units = (unit for stage in range(len(plan.stages)) for unit in plan.units(stage))
        for unit in (unit for unit in units if unit.pass_.image == number):
            yield annotations_of(source_piece(source, plan.reads(unit), unit.pass_.read_chunks).__dask_graph__())


def _warnings(client: Any, plan: Plan) -> Iterator[str]:
    limit, predicted = memory_limit(client), plan.memory_of(max(threads_per_worker(client), default=1))
    if limit is not None and predicted > SPILL_FRACTION * limit:
        yield (
            f"a worker is limited to {format_nbytes(limit)}, but {format_nbytes(predicted)} are predicted: Dask spills"
            f" to disk from {format_nbytes(int(SPILL_FRACTION * limit))} on, and kills workers above the limit. Give"
            " larger workers, or memory=… to plan smaller units"
        )
    ask = partial(dask.config.get, "distributed.scheduler.worker-saturation", None)
    if client.run_on_scheduler(ask) in ("inf", inf):
        yield (
            "the scheduler's worker-saturation is inf, so units queue on workers, and are lost with them, instead of on"
            " the scheduler; set distributed.scheduler.worker-saturation to 1.1, Dask's default"
        )
