"""Jobs on their way to whoever runs them: what travels with a job, and what beside it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol, TypeVar

import dask.array as da
import numpy as np
from dask._task_spec import DataNode
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from daskome import allocator
from daskome.plan import Unit

log = logging.getLogger("daskome")
SMALL_NBYTES = 2**20
"""Arrays in memory up to so large travel in the job, not beside it."""


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
    """Return a job without what its image holds in memory: large arrays, futures, results of other tasks; and that."""
    layers = {} if job.piece is None else job.piece.dask.layers
    made = {name: layer.mapping for name, layer in layers.items() if isinstance(layer, MaterializedLayer)}
    values = {key: _value(task) for layer in made.values() for key, task in layer.items()}
    held = {key: value for key, value in values.items() if _is_held(value)}
    if job.piece is None or not held:
        return job, [], []
    bare = {name: MaterializedLayer({k: v for k, v in layer.items() if k not in held}) for name, layer in made.items()}
    graph = HighLevelGraph({**layers, **bare}, job.piece.dask.dependencies)
    return _with_graph(job, graph), list(held), list(held.values())


def run_with(job: Job, keys: list[Any], values: list[Any]) -> None:
    """Run a job whose image needs these values, which came by another way."""
    allocator.settle()
    if keys and job.piece is not None:
        job = _with_graph(
            job, {**dict(job.piece.dask), **{k: DataNode(k, v) for k, v in zip(keys, values, strict=True)}}
        )
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


def _value(task: Any) -> Any:
    return task.value if isinstance(task, DataNode) else task


def _is_held(value: Any) -> bool:
    large = isinstance(value, np.ndarray) and value.nbytes > SMALL_NBYTES
    return large or is_remote(value) or isinstance(value, Delayed)


def is_remote(value: Any) -> bool:
    """Whether a value is a future of a cluster."""
    return type(value).__module__.startswith("distributed") and hasattr(value, "result")


def _with_graph(job: AnyJob, graph: Mapping[Any, Any]) -> AnyJob:
    if job.piece is None:
        return job
    return replace(job, piece=da.Array(graph, job.piece.name, job.piece.chunks, meta=job.piece._meta))
