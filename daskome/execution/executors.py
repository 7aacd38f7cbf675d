"""Who runs unit tasks: threads of this process, or the workers of the active Dask cluster."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from typing import Any, Protocol

import dask
from zarr.storage import StorePath

from daskome.execution.cluster import (
    IN_FLIGHT,
    SPILL_FRACTION,
    active_client,
    check_workers_see,
    cluster_executor,
    concurrency_of_workers,
    memory_limit,
    threads_per_worker,
)
from daskome.execution.unit_task import UnitTask, run_here
from daskome.model.source import Source
from daskome.model.text import parse_nbytes
from daskome.planning.plan import Plan
from daskome.planning.work import CHUNKS_AT_ONCE, Workers
from daskome.sources.presence import check_there
from daskome.sources.provenance import read_by
from daskome.stores import sync_codecs
from daskome.stores.journal import Journal
from daskome.stores.location import is_local_to_process


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
    """An `Executor` on threads of this process."""

    threads: ThreadPoolExecutor
    n: int

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task, and return at once."""
        return self.threads.submit(run_here, task)

    def window(self) -> int:
        """Return how many tasks should be in flight."""
        return IN_FLIGHT * self.n


def available_workers(target: StorePath | None = None, memory: int | str | None = None) -> Workers:
    """Return the workers that would write to a target now: those of the active client, or this process's threads.

    Parameters
    ----------
    target : StorePath, optional
        A store in memory is only written by threads of this process.
    memory : int or str, optional
        Bytes per worker process, or text such as "8GB". By default what its limit leaves before Dask spills, or the
        memory of the machine.
    """
    client = _client(target)
    threads = threads_per_worker(client) if client else [n_threads()]
    nbytes = _memory(client) if memory is None else parse_nbytes(memory)
    return Workers(max(len(threads), 1), max([*threads, 1]), nbytes, at_once=_at_once(target, client))


def _memory(client: Any) -> int:
    """Return the bytes that a worker process may use: what its limit leaves before Dask spills, or the machine's."""
    limit = memory_limit(client) if client else None
    return _machine_memory() if limit is None else min(int(SPILL_FRACTION * limit), _machine_memory())


def _at_once(place: StorePath | None, client: Any) -> int | None:
    """Return how many chunks of a block will be encoded beside each other: as zarr is set where they are written.

    Files and memory are written one chunk after the other; what is planned for zarr's default is enough for them.
    """
    if place is not None and sync_codecs.needs_no_loop(place.store):
        return CHUNKS_AT_ONCE
    return concurrency_of_workers(client) if client and place is not None else sync_codecs.concurrency()


def check_sources(target: StorePath, sources: Sequence[Source]) -> None:
    """Raise unless images can be read here, and on the workers that would write them to a target.

    Raises
    ------
    FileNotFoundError, ValueError
        If an array that they read is not there, or is another one.
    TypeError
        If an image cannot travel to the workers.
    """
    for array in (array for source in sources for array in read_by(source.array)):
        check_there(array)
    client = _client(target)
    if client:
        check_workers_see(client, sources)


@contextmanager
def open_executor(target: StorePath, plan: Plan, journal: Journal) -> Iterator[Executor]:
    """Yield the executor for a target: the active `distributed.Client`, or threads if none can reach it.

    Raises
    ------
    WriteError
        If workers of the cluster cannot write there.
    """
    client = _client(target)
    with cluster_executor(client, plan, journal) if client else thread_executor(n_threads()) as executor:
        yield executor


@contextmanager
def thread_executor(n: int) -> Iterator[ThreadExecutor]:
    """Yield an executor of `n` threads; those still running when it is left are waited for."""
    with ThreadPoolExecutor(n, thread_name_prefix="daskome") as threads:
        try:
            yield ThreadExecutor(threads, n)
        finally:
            threads.shutdown(wait=True, cancel_futures=True)


def _client(target: StorePath | None) -> Any:
    """Return the active client, if its workers can write to the target."""
    return None if target is not None and is_local_to_process(target) else active_client()


def _machine_memory() -> int:
    """Return the bytes of memory of this machine, or of the cgroup or the limit of processes that it is run in.

    `distributed.system` knows all of these, `psutil` only the first; but ``import distributed`` takes 250 ms, and this
    file of it alone 1 ms.
    """
    distributed = find_spec("distributed")
    assert distributed is not None
    assert distributed.origin is not None
    return int(run_path(str(Path(distributed.origin).with_name("system.py")))["MEMORY_LIMIT"])


def n_threads() -> int:
    """Return how many threads Dask is set to use in this process."""
    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        return 1
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
