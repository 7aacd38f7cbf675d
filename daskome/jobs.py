"""Jobs on their way to whoever runs them: what travels with a job, and what beside it."""

import logging
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import dask.array as da
import numpy as np

from daskome import allocator
from daskome.plan import Unit

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


class WriteError(RuntimeError):
    """Some units could not be written; the image is left unfinished and says so."""


def detached(job: AnyJob) -> tuple[AnyJob, list[Any], list[Any]]:
    """Return a job without what its image holds in memory, here or as futures on a cluster; and that, by key."""
    if job.piece is None:
        return job, [], []
    graph = dict(job.piece.dask)
    values = {key: getattr(task, "value", task) for key, task in graph.items()}
    held = {key: v for key, v in values.items() if isinstance(v, np.ndarray) or is_remote(v)}
    return _with_graph(job, {key: graph[key] for key in graph.keys() - held}), list(held), list(held.values())


def run_with(job: Job, keys: list[Any], values: list[Any]) -> None:
    """Run a job whose image needs these values, which came by another way."""
    allocator.settle()
    if keys and job.piece is not None:
        job = _with_graph(job, {**dict(job.piece.dask), **dict(zip(keys, values, strict=True))})
    job()


def run_here(job: Job) -> None:
    """Run a job in this process; what of its image lives on a cluster is fetched."""
    bare, keys, values = detached(job)
    run_with(bare, keys, [value.result() if is_remote(value) else value for value in values])


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


def is_remote(value: Any) -> bool:
    """Whether a value is a future of a cluster."""
    return type(value).__module__.startswith("distributed") and hasattr(value, "result")


def _with_graph(job: AnyJob, graph: dict[Any, Any]) -> AnyJob:
    if job.piece is None:
        return job
    return replace(job, piece=da.Array(graph, job.piece.name, job.piece.chunks, meta=job.piece._meta))
