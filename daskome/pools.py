"""Who runs jobs: threads of this process, or the workers of the active Dask cluster, and how a job gets there."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol, TypeVar
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from zarr.storage import StorePath

from daskome import storage
from daskome.plan import Capacity, Unit

log = logging.getLogger("daskome")


class Job(Protocol):
    """A unit with all it needs, a dataclass: calling it does the work, and `piece` is what it reads of an image."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def unit(self) -> Unit:
        """What is written."""
        ...

    @property
    def piece(self) -> da.Array | None:
        """Its piece of an image."""
        ...

    def __call__(self) -> None:
        """Do the work."""
        ...


AnyJob = TypeVar("AnyJob", bound=Job)
Submit = Callable[[Job], "Future[None]"]


class WriteError(RuntimeError):
    """Some units could not be written; the image is left unfinished and says so."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Where jobs run: how to submit one, and how many run at a time."""

    submit: Submit
    workers: int


def capacity(place: StorePath | None = None, memory: int | None = None) -> Capacity:
    """Return who would write there now: the workers of the active client, or the threads of this process.

    Parameters
    ----------
    place : StorePath, optional
        The target; those in memory are only written by threads of this process.
    memory : int, optional
        Bytes per worker process, instead of the limit of the workers or the size of the machine.
    """
    from distributed.system import MEMORY_LIMIT

    client = _client(place)
    threads = list(client.nthreads().values()) if client else [n_threads()]
    limits = _memory_limits(client) if client else []
    return Capacity(
        max(len(threads), 1), max([*threads, 1]), min([*limits, int(MEMORY_LIMIT)]) if memory is None else memory
    )


@contextmanager
def pool(place: StorePath) -> Iterator[Pool]:
    """Yield where jobs run: the active `distributed.Client`, or threads if there is none that can reach `place`."""
    client = _client(place)
    if client:
        executor = client.get_executor(pure=False)
        try:
            yield Pool(partial(_to_cluster, client, executor), capacity(place).parallel)
        finally:
            executor.shutdown(wait=False)
    else:
        with ThreadPoolExecutor(n_threads(), thread_name_prefix="daskome") as threads:
            try:
                yield Pool(lambda job: threads.submit(_run_here, job), n_threads())
            finally:
                threads.shutdown(wait=True, cancel_futures=True)


def detached(job: AnyJob) -> tuple[AnyJob, list[Any], list[Any]]:
    """Return a job without what its image holds in memory, here or as futures on a cluster; and that, by key."""
    if job.piece is None:
        return job, [], []
    graph = dict(job.piece.dask)
    values = {key: getattr(task, "value", task) for key, task in graph.items()}
    held = {key: v for key, v in values.items() if isinstance(v, np.ndarray) or _is_future(v)}
    return _with_graph(job, {key: graph[key] for key in graph.keys() - held}), list(held), list(held.values())


def run_with(job: Job, keys: list[Any], values: list[Any]) -> None:
    """Run a job whose image needs these values, which came by another way."""
    if keys and job.piece is not None:
        job = _with_graph(job, {**dict(job.piece.dask), **dict(zip(keys, values, strict=True))})
    job()


def attempt(job: Job, keys: list[Any], name: str, retries: int, values: list[Any], after: None) -> None:
    """Run a job as a task of a graph, and again if it fails.

    Raises
    ------
    WriteError
        That names the unit.
    """
    for left in range(retries, -1, -1):
        try:
            run_with(job, keys, values)
            break
        except Exception as error:
            if not left:
                raise WriteError(f"{name} could not be written; the image is unfinished: {error!r}") from error
            log.warning("%s failed, trying again: %r", name, error)


def _with_graph(job: AnyJob, graph: dict[Any, Any]) -> AnyJob:
    if job.piece is None:
        return job
    return replace(job, piece=da.Array(graph, job.piece.name, job.piece.chunks, meta=job.piece._meta))


def _is_future(value: Any) -> bool:
    return type(value).__module__.startswith("distributed") and hasattr(value, "result")


def _run_here(job: Job) -> None:
    """Run a job in this process; what of its image lives on a cluster is fetched."""
    bare, keys, values = detached(job)
    run_with(bare, keys, [value.result() if _is_future(value) else value for value in values])


def _to_cluster(client: Any, executor: Any, job: Job) -> "Future[None]":
    """Submit a job. Arrays in memory travel beside it: those here are scattered, those on workers stay there."""
    bare, keys, values = detached(job)
    there = [value if _is_future(value) else client.scatter(value, hash=False) for value in values]
    name = f"daskome-stage-{job.unit.stage}-{uuid4().hex}"
    future: Future[None] = executor.submit(run_with, bare, keys, there, key=name)
    return future


def _memory_limits(client: Any) -> list[int]:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return [int(worker["memory_limit"]) for worker in workers if worker.get("memory_limit")]


def _client(place: StorePath | None) -> Any:
    """Return the active client, if its workers can write where the image goes."""
    try:
        from distributed import default_client

        client = default_client()
    except (ImportError, ValueError):
        return None
    return None if place is not None and storage.is_local_to_process(place) else client


def n_threads() -> int:
    """Return how many threads Dask is set to use in this process."""
    if dask.config.get("scheduler", None) in ("sync", "synchronous", "single-threaded"):
        return 1
    return int(dask.config.get("num_workers", None) or dask.system.CPU_COUNT)
