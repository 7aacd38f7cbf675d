"""A unit with all it needs, so that it can run anywhere: `UnitTask`, and how it travels.

Large arrays and futures that the graph of a piece holds do not travel inside the task but beside it, as its payload.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar

import dask
import dask.array as da
import numpy as np
import zarr
from dask._task_spec import DataNode
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.local import get_sync
from zarr.storage import StorePath

from daskome.execution import unit_graph
from daskome.execution.allocator import tune_allocator
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region
from daskome.planning.plan import Unit
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece
from daskome.stores import journal as journals
from daskome.stores.arrays import open_levels
from daskome.stores.journal import Journal, Record

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


def split_payload(job: AnyJob) -> tuple[AnyJob, list[Any], list[Any]]:
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


def run_with_payload(job: Job, keys: list[Any], values: list[Any]) -> None:
    """Run a job whose image needs these values, which came by another way."""
    tune_allocator()
    if keys and job.piece is not None:
        job = _with_graph(
            job, {**dict(job.piece.dask), **{k: DataNode(k, v) for k, v in zip(keys, values, strict=True)}}
        )
    job()


def run_here(job: Job) -> None:
    """Run a job in this process; what of its image lives on a cluster is fetched."""
    bare, keys, values = split_payload(job)
    run_with_payload(bare, keys, [value.result() if is_remote(value) else value for value in values])


def run_with_retries(job: Job, keys: list[Any], name: str, retries: int, values: list[Any], after: None) -> None:
    """Run a job as a task of a graph, and again if it fails.

    Raises
    ------
    WriteError
        That names the unit.
    """
    for left in range(retries, -1, -1):
        try:
            run_with_payload(job, keys, values)
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


Copy = tuple[StorePath, Pyramid]
"""A temporary copy: its group, and its pyramid of one level."""


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A unit with all it needs, so that it can travel to another process and run there on its own."""

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    place: StorePath
    journal: Journal
    wait: float = 0
    staged: Copy | None = None
    leaves: Copy | None = None

    def __call__(self) -> None:
        """Write the unit, and note it in the journal; unless its image has been started anew meanwhile."""
        time.sleep(self.wait)
        if not journals.is_current(self.journal):
            raise WriteError(f"{self.place} is not being written any more: it was finished, or started anew elsewhere")
        begun = journals.now()
        dask.compute(unit_graph.stores(self.unit, self.pyramid, self._piece(), self._written()), scheduler=get_sync)
        journals.record(self.journal, self.unit, Record(journals.now(), journals.now() - begun))

    def _piece(self) -> da.Array:
        """Return what the unit reads: of its image, of a temporary copy, or of the level below."""
        if self.piece is not None:
            return self.piece
        work, levels = self.unit.work, self.pyramid.levels
        place, below = (self.place, levels[work.first - 1]) if self.staged is None else _only_level(self.staged)
        (array,) = open_levels(place, [below])
        return source_piece(as_source(array), self.reads, work.read_chunks)

    def _written(self) -> list[zarr.Array[Any]]:
        """Return the arrays that the unit writes, and no others: each costs a request where stores are far away."""
        own = self.pyramid.levels[self.unit.work.first : self.unit.work.stop]
        arrays = open_levels(self.place, own)
        if self.leaves is not None:
            place, copy = _only_level(self.leaves)
            arrays += open_levels(place, [copy])
        return arrays


def _only_level(copy: Copy) -> tuple[StorePath, Level]:
    """Return the group of a temporary copy, and its one level."""
    place, pyramid = copy
    return place, pyramid.levels[0]
