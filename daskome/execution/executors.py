"""Who runs unit tasks: threads of this process, or the workers of the active Dask cluster."""

from collections.abc import Iterator
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
    cluster_executor,
    memory_limit,
    threads_per_worker,
)
from daskome.execution.unit_task import UnitTask, run_here
from daskome.model.text import parse_nbytes
from daskome.planning.plan import Plan
from daskome.planning.work import Workers
from daskome.stores.journal import Journal
from daskome.stores.location import is_local_to_process


class Executor(Protocol):
    """Where unit tasks run."""

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task."""
        ...

    def window(self) -> int:
        """Return how many tasks may be submitted at a time."""
        ...


@dataclass(frozen=True, slots=True)
class ThreadExecutor:
    """Threads of this process as a place where unit tasks run."""

    executor: ThreadPoolExecutor
    n: int

    def submit(self, task: UnitTask) -> "Future[None]":
        """Submit a task."""
        return self.executor.submit(run_here, task)

    def window(self) -> int:
        """Return how many tasks may be submitted at a time."""
        return IN_FLIGHT * self.n


def available_workers(place: StorePath | None = None, memory: int | str | None = None) -> Workers:
    """Return who would write there now: the workers of the active client, or the threads of this process.

    Parameters
    ----------
    place : StorePath, optional
        The target; those in memory are only written by threads of this process.
    memory : int or str, optional
        Bytes per worker process, or text such as "8GB", instead of what its limit leaves before Dask spills, or the
        size of the machine.
    """
    client = _client(place)
    threads = threads_per_worker(client) if client else [n_threads()]
    nbytes = _memory(client) if memory is None else parse_nbytes(memory)
    return Workers(max(len(threads), 1), max([*threads, 1]), nbytes)


def _memory(client: Any) -> int:
    """Return the bytes that a worker process may use: what its limit leaves before Dask spills, or the machine's."""
    limit = memory_limit(client) if client else None
    return _machine() if limit is None else min(int(SPILL_FRACTION * limit), _machine())


@contextmanager
def open_executor(place: StorePath, plan: Plan, journal: Journal) -> Iterator[Executor]:
    """Yield where unit tasks run: the active `distributed.Client`, or threads if there is none that can reach `place`.

    Raises
    ------
    WriteError
        If workers of the cluster can't write there.
    """
    client = _client(place)
    if client:
        with cluster_executor(client, plan, journal) as workers:
            yield workers
    else:
        with ThreadPoolExecutor(n_threads(), thread_name_prefix="daskome") as executor:
            try:
                yield ThreadExecutor(executor, n_threads())
            finally:
                executor.shutdown(wait=True, cancel_futures=True)


def _client(place: StorePath | None) -> Any:
    """Return the active client, if its workers can write where the image goes."""
    return None if place is not None and is_local_to_process(place) else active_client()


def _machine() -> int:
    """Return the bytes of this machine, or what its limits allow, as distributed finds them.

    Only that module is run: to import the rest of distributed takes half a second.
    """
    found = find_spec("distributed")
    assert found is not None
    assert found.origin is not None
    return int(run_path(str(Path(found.origin).with_name("system.py")))["MEMORY_LIMIT"])


def n_threads() -> int:
    """Return how many threads Dask is set to use in this process."""
    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        return 1
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
