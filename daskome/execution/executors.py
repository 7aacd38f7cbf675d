"""Who runs unit tasks: threads or processes of this machine, a scheduler of Dask's, or the workers of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from threading import BoundedSemaphore
from typing import Protocol
from uuid import uuid4

import dask
import dask.multiprocessing
from dask._task_spec import Task
from zarr.storage import StorePath

from daskome.execution.cluster import (
    SPILL_FRACTION,
    UNITS_IN_FLIGHT,
    UNITS_WAITING,
    check_annotations,
    check_workers_see,
    cluster_executor,
    concurrency_of_workers,
    memory_limit,
    threads_per_worker,
)
from daskome.execution.schedulers import (
    UNIT_PREFIX,
    Cluster,
    Get,
    Processes,
    Scheduling,
    SchedulingFunction,
    Threads,
    scheduler_for,
    task_worker,
)
from daskome.execution.unit_task import Slot, UnitTask, fetched, run_here, run_with_payload
from daskome.model.source import Source
from daskome.model.text import parse_nbytes
from daskome.planning.plan import Plan
from daskome.planning.work import CHUNKS_AT_ONCE, PROCESS_MEM, Workers
from daskome.sources.graphs.arrays_read import read_by
from daskome.sources.presence import check_there, check_travels, sights_of
from daskome.stores.journal import Journal
from daskome.stores.kinds import in_flight_to
from daskome.stores.objects import sync_codecs

RunInSlot = Callable[[UnitTask, Slot], None]


class Executor(Protocol):
    """Runs unit tasks. Retries, the journal, and the order of stages are the runner's.

    - Each task that is submitted runs at most once at a time, in any order, on any thread or machine, beside others.
    - Its future ends when the task has ended: with None, with the error that it raised, or cancelled if the task, or
      what it needs, was lost with its worker. A task that is lost may have run, wholly or in part.
    - An executor does not bound its queue: the caller keeps at most `window` tasks in flight.
    - An executor that cannot run anything any more raises `WriteError`, from either method.
    """

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task, and return at once."""
        ...

    def window(self) -> int:
        """Return how many tasks should be in flight now, at least one. It may change: clusters grow and shrink."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadExecutor:
    """An `Executor` on threads of this process.

    Attributes
    ----------
    threads : ThreadPoolExecutor
    window_ : int
    slots : BoundedSemaphore
        As many tasks work at a time; further threads wait, for a store that is far away.
    run : callable
        Runs a task in such a slot.
    """

    threads: ThreadPoolExecutor
    window_: int
    slots: BoundedSemaphore
    run: RunInSlot

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task, and return at once."""
        return self.threads.submit(self.run, task, self.slots)

    def window(self) -> int:
        """Return how many tasks should be in flight."""
        return self.window_


class CallerExecutor:
    """An `Executor` on the thread that calls, so that a debugger stops where an image is read."""

    def submit(self, task: UnitTask) -> "Future[None]":
        """Run a task, and return when it has ended."""
        future: Future[None] = Future()
        try:
            run_here(task)
            future.set_result(None)
        except Exception as error:
            future.set_exception(error)
        return future

    def window(self) -> int:
        """Return one."""
        return 1


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Runs a task through a scheduling function of Dask's, as a graph of its own."""

    get: Get

    def __call__(self, task: UnitTask, slot: Slot) -> None:
        """Run a task; what its piece holds on a cluster is fetched before."""
        bare, keys, values = fetched(task)
        key = f"{UNIT_PREFIX}{task.unit.pass_.reading}-{uuid4().hex}"
        with slot:
            self.get({key: Task(key, partial(run_with_payload, bare, keys, values))}, key)


def available_workers(target: StorePath | None = None, memory: int | str | None = None) -> Workers:
    """Return the workers that would write to a target now: those of the active client, or this process's threads.

    Parameters
    ----------
    target : StorePath, optional
        A store in memory is only written by threads of this process.
    memory : int or str, optional
        Bytes per worker process, or text such as "8GB". By default what its limit leaves before Dask spills, or the
        memory of the machine; in a task of a cluster, its share of that.
    """
    scheduler = scheduler_for(target)
    n, threads, usable = _size(scheduler)
    nbytes = usable if memory is None else parse_nbytes(memory, "memory")
    flying = 0 if target is None else in_flight_to(target)
    return Workers(n, threads, nbytes, _at_once(target, scheduler), flying)


def _size(scheduler: Scheduling) -> tuple[int, int, int]:
    """Return how many workers there are, how many threads one has at most, and the bytes that one may use."""
    if isinstance(scheduler, Cluster):
        threads = threads_per_worker(scheduler.client)
        return max(len(threads), 1), max([*threads, 1]), _usable(memory_limit(scheduler.client))
    if isinstance(scheduler, Processes):
        return scheduler.n, 1, _machine_memory() // scheduler.n
    return 1, max(scheduler.n, 1), _memory_here()


def _memory_here() -> int:
    """Return the bytes that this process may use; in a task of a cluster, the task's share of what its worker may."""
    worker = task_worker()
    if worker is None:
        return _machine_memory()
    usable = _usable(worker.memory_manager.memory_limit)
    threads: int = worker.state.nthreads
    return min(usable, PROCESS_MEM + max(usable - PROCESS_MEM, 0) // threads)


def _usable(limit: int | None) -> int:
    """Return the bytes that a worker process may use: what its limit leaves before Dask spills, or the machine's."""
    return min(int(SPILL_FRACTION * limit), _machine_memory()) if limit else _machine_memory()


def _at_once(place: StorePath | None, scheduler: Scheduling) -> int | None:
    """Return how many chunks of a block will be encoded beside each other: as zarr is set where they are written.

    Files and memory are written one chunk after the other; what is planned for zarr's default is enough for them.
    """
    if place is not None and sync_codecs.needs_no_loop(place):
        return CHUNKS_AT_ONCE
    if place is not None and isinstance(scheduler, Cluster):
        return concurrency_of_workers(scheduler.client)
    return sync_codecs.concurrency()


def check_sources(target: StorePath, plan: Plan, sources: Sequence[Source]) -> None:
    """Raise unless images can be read here, and by those that would write them to a target.

    Raises
    ------
    FileNotFoundError, ValueError
        If an array that they read is not there, or is another one; or if Dask annotations leave no worker for a unit.
    TypeError
        If an image cannot travel to other processes that write it.
    """
    for array in (array for source in sources for array in read_by(source.array)):
        check_there(array)
    scheduler = scheduler_for(target)
    if isinstance(scheduler, Cluster):
        check_workers_see(scheduler.client, sources)
        check_annotations(scheduler.client, plan, sources)
    elif isinstance(scheduler, Processes):
        sights_of(sources)
        for source in sources:
            check_travels(source)


def writes_alone(target: StorePath) -> bool:
    """Whether nobody but threads of this process would write to a target now."""
    return isinstance(scheduler_for(target), Threads)


def writes_beside(target: StorePath) -> bool:
    """Whether threads of this process would write to a target now, beside the one that calls."""
    scheduler = scheduler_for(target)
    return isinstance(scheduler, Threads) and scheduler.n > 0


@contextmanager
def open_executor(target: StorePath, plan: Plan, journal: Journal) -> Iterator[Executor]:
    """Yield the executor for a target: that of the scheduler that Dask is set to, if it can reach it (`scheduler_for`).

    Raises
    ------
    WriteError
        If workers of the cluster cannot write there.
    """
    scheduler = scheduler_for(target)
    if isinstance(scheduler, Cluster):
        with cluster_executor(scheduler.client, plan, journal) as executor:
            yield executor
    elif scheduler == Threads(0):
        yield CallerExecutor()
    elif isinstance(scheduler, Processes):
        with process_pool(scheduler.n) as pool, thread_executor(scheduler.n, Scheduled(pool)) as threads:
            yield threads
    else:
        run = Scheduled(scheduler.get) if isinstance(scheduler, SchedulingFunction) else run_here
        waiting = UNITS_WAITING * scheduler.n if plan.workers.in_flight else 0
        with thread_executor(scheduler.n, run, waiting) as threads:
            yield threads


@contextmanager
def thread_executor(n: int, run: RunInSlot = run_here, waiting: int = 0) -> Iterator[ThreadExecutor]:
    """Yield an executor of `n` threads, and some that wait; those still running when it is left are waited for."""
    with ThreadPoolExecutor(n + waiting, thread_name_prefix="daskome") as threads:
        try:
            yield ThreadExecutor(threads, UNITS_IN_FLIGHT * n + waiting, BoundedSemaphore(n), run)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


@contextmanager
def process_pool(n: int) -> Iterator[Get]:
    """Yield Dask's scheduler of processes, with processes that last: by itself, it starts new ones for every graph."""
    initializer = dask.config.get("multiprocessing.initializer", None)
    start = partial(dask.multiprocessing.initialize_worker_process, user_initializer=initializer)
    with ProcessPoolExecutor(n, dask.multiprocessing.get_context(), start) as pool:
        yield partial(dask.multiprocessing.get, pool=pool)


def _machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the cgroup or the limit of processes that it is run in.

    `distributed.system` knows all of these, `psutil` only the first; but ``import distributed`` takes 250 ms, and this
    file of it alone 1 ms.
    """
    distributed = find_spec("distributed")
    assert distributed is not None
    assert distributed.origin is not None
    return int(run_path(str(Path(distributed.origin).with_name("system.py")))["MEMORY_LIMIT"])
