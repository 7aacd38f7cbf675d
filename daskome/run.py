"""A plan and its images to units on a scheduler: threads of this process, or the active Dask cluster.

One loop serves both: a sliding window of units in flight, retries per unit, a record in the journal for each
that is finished. A unit that fails for good is named; the others finish; then the call fails.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

import dask
import dask.array as da
import numpy as np
from dask.local import get_sync
from zarr.storage import StorePath

from daskome import display, graph, storage
from daskome.metadata import find_version, with_levels
from daskome.plan import Capacity, Group, Plan, Unit
from daskome.pyramid import Pyramid
from daskome.regions import Region
from daskome.sources import Source, as_source, cut

log = logging.getLogger("daskome")
Progress = Callable[[int, int], None]
Submit = Callable[["Job"], "Future[None]"]


STAGED = "s0"
"""The one level of a temporary copy of an image."""


class WriteError(RuntimeError):
    """Some units could not be written; the image is left unfinished and says so."""


@dataclass(frozen=True, slots=True)
class Job:
    """A unit with all it needs, so that it can travel to another process and run there on its own."""

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    place: StorePath
    journal: StorePath
    fingerprint: str
    staged: StorePath | None = None

    def __call__(self) -> None:
        """Write the unit, and note it in the journal."""
        arrays = storage.open_levels(self.place, self.pyramid)
        piece = self.piece
        if piece is None:
            below = arrays[self.unit.work.first - 1] if self.staged is None else storage.find_array(self.staged)
            piece = cut(as_source(below), self.reads, self.unit.work.read_chunks)
        dask.compute(graph.stores(self.unit, self.pyramid, piece, arrays), scheduler=get_sync)
        storage.record(self.journal, self.fingerprint, self.unit.key)


@dataclass(frozen=True, slots=True)
class Pool:
    """Where jobs run: how to submit one, and how many run at a time."""

    submit: Submit
    workers: int


def run(
    plan: Plan, sources: Sequence[Source], place: StorePath, retries: int = 2, progress: Progress | None = None
) -> None:
    """Write all units of a plan into arrays that exist, stage by stage.

    Parameters
    ----------
    plan : Plan
    sources : sequence of Source
        The plan's images.
    place : StorePath
        Where `storage.create` has made the plan's arrays.
    retries : int
        How often a unit that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all, uncompressed, after every unit.

    Raises
    ------
    WriteError
        That names the units that failed for good, after the others of their stage are finished.
    """
    done = 0
    with pool(place) as workers:
        for stage in range(len(plan.stages)):
            for unit in _finished(plan, stage, jobs(plan, stage, sources, place), workers, retries):
                done += plan.writes(unit)
                if progress:
                    progress(done, plan.nbytes + plan.temporary_nbytes)


def jobs(plan: Plan, stage: int, sources: Sequence[Source], place: StorePath) -> Iterator[Job]:
    """Yield the jobs of a stage, each made when it is asked for."""
    fingerprint = plan.fingerprint
    for unit in plan.units(stage):
        work, reads = unit.work, plan.reads(unit)
        piece = None if work.image is None else cut(sources[work.image], reads, work.read_chunks)
        group, home = place / plan.groups[work.group].path, place / plan.home
        staged = None if work.staged is None else place / plan.groups[work.staged].path / STAGED
        yield Job(unit, reads, piece, plan.pyramid(work), group, home, fingerprint, staged)


def finish(plan: Plan, place: StorePath) -> None:
    """Publish a plan whose units are all written: each group in one write, the deepest first, the target last.

    In a store that can't rewrite, such as a zip file, the target comes first: zarr makes groups with those above them.
    """
    version = find_version(plan.version)
    groups = [group for group in plan.groups if not group.temporary]
    for group in sorted(groups, key=_depth, reverse=place.store.supports_deletes):
        metadata = group.metadata
        if group.pyramid is not None and not group.kept and metadata.omero:
            pyramid = plan.pyramids[group.pyramid]
            coarsest = storage.open_levels(place / group.path, pyramid)[-1]
            channels = display.measured(metadata.omero.channels or (), coarsest, pyramid)
            metadata = replace(metadata, omero=replace(metadata.omero, channels=tuple(channels)))
        if group.kept:
            metadata = with_levels(storage.attributes(place / group.path) or {}, metadata)
        storage.publish(place / group.path, version, metadata)
    storage.forget(place / plan.home)
    storage.refresh(place)


def _depth(group: Group) -> int:
    return len(group.path.split("/")) if group.path else 0


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


def detached(job: Job) -> tuple[Job, list[Any], list[Any]]:
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


def _with_graph(job: Job, graph: dict[Any, Any]) -> Job:
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


def _finished(plan: Plan, stage: int, todo: Iterator[Job], workers: Pool, retries: int) -> Iterator[Unit]:
    """Run jobs in a sliding window, and yield each unit as it is finished."""
    running: dict[Future[None], tuple[Job, int]] = {}
    again: deque[tuple[Job, int]] = deque()
    failed: list[tuple[Unit, BaseException]] = []
    while True:
        fresh = islice(todo, max(2 * workers.workers - len(running) - len(again), 0))
        for job, attempt in (*again, *((job, 0) for job in fresh)):
            running[workers.submit(job)] = job, attempt
        again.clear()
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job, attempt = running.pop(future)
            error = future.exception()
            if error is None:
                yield job.unit
            elif attempt < retries:
                log.warning("%s failed, trying again: %r", plan.describe(job.unit), error)
                again.append((job, attempt + 1))
            else:
                log.error("%s failed for good: %r", plan.describe(job.unit), error)
                failed.append((job.unit, error))
    if failed:
        raise WriteError(_failure(plan, failed)) from failed[0][1]


def _failure(plan: Plan, failed: list[tuple[Unit, BaseException]]) -> str:
    named = [f"  {plan.describe(unit)}: {error!r}" for unit, error in failed[:10]]
    more = [f"  and {len(failed) - 10} more"] * (len(failed) > 10)
    return "\n".join([f"{len(failed)} units could not be written; the image is unfinished", *named, *more])


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
