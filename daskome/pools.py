"""Who runs jobs: threads of this process, or the workers of the active Dask cluster."""

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

from daskome import clusters, direct, storage, table
from daskome.jobs import Job, run_here
from daskome.journal import Journal
from daskome.memory import AT_ONCE
from daskome.plan import Capacity, Plan


class Pool(Protocol):
    """Where jobs run."""

    def submit(self, job: Job) -> "Future[None]":
        """Submit a job."""
        ...

    def window(self) -> int:
        """Return how many jobs may be submitted at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process as a place where jobs run."""

    executor: ThreadPoolExecutor
    n: int

    def submit(self, job: Job) -> "Future[None]":
        """Submit a job."""
        return self.executor.submit(run_here, job)

    def window(self) -> int:
        """Return how many jobs may be submitted at a time."""
        return clusters.IN_FLIGHT * self.n


def capacity(place: StorePath | None = None, memory: int | str | None = None) -> Capacity:
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
    threads = clusters.threads(client) if client else [n_threads()]
    nbytes = _memory(client) if memory is None else table.parsed_nbytes(memory)
    return Capacity(max(len(threads), 1), max([*threads, 1]), nbytes, at_once=_at_once(place, client))


def _memory(client: Any) -> int:
    """Return the bytes that a worker process may use: what its limit leaves before Dask spills, or the machine's."""
    limit = clusters.memory_limit(client) if client else None
    return _machine() if limit is None else min(int(clusters.SAFE * limit), _machine())


def _at_once(place: StorePath | None, client: Any) -> int | None:
    """Return how many chunks of a block will be encoded beside each other: as zarr is set where they are written.

    Files and memory are written one chunk after the other; what is planned for zarr's default is enough for them.
    """
    if place is not None and direct.needs_no_loop(place.store):
        return AT_ONCE
    return clusters.concurrency(client) if client and place is not None else direct.concurrency()


@contextmanager
def pool(place: StorePath, plan: Plan, journal: Journal) -> Iterator[Pool]:
    """Yield where jobs run: the active `distributed.Client`, or threads if there is none that can reach `place`.

    Raises
    ------
    WriteError
        If workers of the cluster can't write there.
    """
    client = _client(place)
    if client:
        with clusters.cluster(client, plan, journal) as workers:
            yield workers
    else:
        with ThreadPoolExecutor(n_threads(), thread_name_prefix="daskome") as executor:
            try:
                yield Threads(executor, n_threads())
            finally:
                executor.shutdown(wait=True, cancel_futures=True)


def _client(place: StorePath | None) -> Any:
    """Return the active client, if its workers can write where the image goes."""
    return None if place is not None and storage.is_local_to_process(place) else clusters.active()


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
