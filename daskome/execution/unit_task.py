"""A unit with all it needs, so that it can run anywhere: `UnitTask`, and how it travels.

Large arrays and futures that the graph of a piece holds do not travel inside the task but beside it, as its payload.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import dask
import dask.array as da
import zarr
from dask._task_spec import DataNode
from dask.local import get_sync
from zarr.storage import StorePath

from daskome.execution import unit_graph
from daskome.execution.allocator import tune_allocator
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region
from daskome.planning.plan import Unit
from daskome.sources.adapt import as_source
from daskome.sources.annotations import Annotations
from daskome.sources.blocks import is_remote
from daskome.sources.pieces import source_piece, without_payload
from daskome.sources.presence import check_still_there
from daskome.sources.stored_whole import encoded_chunks_of, source_of_chunks
from daskome.stores import journal as journals
from daskome.stores.arrays import open_levels
from daskome.stores.encoded import EncodedChunks
from daskome.stores.journal import Journal, Record


class WriteError(RuntimeError):
    """Some units could not be written; the image is left unfinished and says so."""


class TemporaryCopy(NamedTuple):
    """A temporary copy of an image or a level: its group, and the one level in it."""

    group: StorePath
    level: Level


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A unit with all it needs, so that it can travel to another process and run there on its own.

    Attributes
    ----------
    unit : Unit
    reads : tuple of (int, int)
        The region that it reads.
    piece : dask.array.Array, optional
        That region of an image; None: it is read from a temporary copy, or from the level below.
    pyramid : Pyramid
    group : StorePath
        Where the levels of the pyramid lie.
    journal : Journal
    wait : float
        Seconds to wait before it runs, after it has failed.
    copy_read, copy_written : TemporaryCopy, optional
    annotations : dict
        What the image asks of a scheduler (`annotations_of`).
    taken : array-like, optional
        The image, a zarr array perhaps with axes put in, if its chunks are taken over (`EncodedChunks`); no `piece`.
    """

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    group: StorePath
    journal: Journal
    wait: float = 0
    copy_read: TemporaryCopy | None = None
    copy_written: TemporaryCopy | None = None
    annotations: Annotations = field(default_factory=dict)
    taken: Any = None

    def __call__(self) -> None:
        """Write the unit, and note it in the journal; unless its image has been started anew meanwhile."""
        time.sleep(self.wait)
        if not journals.is_current(self.journal):
            raise WriteError(f"{self.group} is no longer being written: it was finished, or started anew elsewhere")
        started = journals.now()
        checksums: dict[int, str] = {}
        encoded = None if self.taken is None else encoded_chunks_of(self.taken)
        piece = self._piece(encoded)
        written = unit_graph.stores(self.unit, self.pyramid, piece, self._written(), checksums, encoded)
        dask.compute(written, scheduler=get_sync)
        for image in (self.piece, self.taken):
            if image is not None:
                check_still_there(image)
        journals.record(self.journal, self.unit, Record(journals.now(), journals.now() - started, checksums))

    def _piece(self, encoded: EncodedChunks | None) -> da.Array:
        """Return what the unit reads: of its image, of a temporary copy, or of the level below."""
        if self.piece is not None:
            return self.piece
        work, group = self.unit.pass_, self.group
        if encoded is not None:
            return source_piece(source_of_chunks(encoded), self.reads, work.read_chunks)
        group, level = (group, self.pyramid.levels[work.first - 1]) if self.copy_read is None else self.copy_read
        (array,) = open_levels(group, [level])
        return source_piece(as_source(array), self.reads, work.read_chunks)

    def _written(self) -> list[zarr.Array[Any]]:
        """Return the arrays that the unit writes, and no others: each costs a request where stores are far away."""
        work, copy = self.unit.pass_, self.copy_written
        arrays = open_levels(self.group, self.pyramid.levels[work.first : work.stop])
        return arrays if copy is None else [*arrays, *open_levels(copy.group, [copy.level])]


def split_payload(task: UnitTask) -> tuple[UnitTask, list[Any], list[Any]]:
    """Return a task without its payload, and the keys and values of that (`without_payload`)."""
    if task.piece is None:
        return task, [], []
    bare, held = without_payload(task.piece)
    return replace(task, piece=bare), list(held), list(held.values())


def run_with_payload(task: UnitTask, keys: list[Any], values: list[Any]) -> None:
    """Run a task, with its payload put back. Threads, workers of a cluster and `compute=False` all run this."""
    tune_allocator()
    if keys and task.piece is not None:
        payload = {key: DataNode(key, value) for key, value in zip(keys, values, strict=True)}
        task = _with_graph(task, {**dict(task.piece.dask), **payload})
    task()


def fetched(task: UnitTask) -> tuple[UnitTask, list[Any], list[Any]]:
    """Return a task without its payload, and the keys and values of that; what is on a cluster is fetched."""
    bare, keys, values = split_payload(task)
    return bare, keys, [value.result() if is_remote(value) else value for value in values]


def run_here(task: UnitTask) -> None:
    """Run a task in this process; what its piece holds on a cluster is fetched."""
    run_with_payload(*fetched(task))


def _with_graph(task: UnitTask, graph: Mapping[Any, Any]) -> UnitTask:
    if task.piece is None:
        return task
    return replace(task, piece=da.Array(graph, task.piece.name, task.piece.chunks, meta=task.piece._meta))
