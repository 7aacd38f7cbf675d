"""A unit with all it needs, so that it can run anywhere: `UnitTask`, and how it travels.

Large arrays and futures that the graph of a piece holds do not travel inside the task but beside it, as its payload.
"""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import dask
import dask.array as da
import zarr
from dask._task_spec import DataNode
from dask.local import get_sync

from daskome.execution import unit_graph
from daskome.execution.memory.allocator import tune_allocator
from daskome.execution.memory.measured import Room, in_room
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region
from daskome.planning.plan import Unit
from daskome.sources.adapt import as_source
from daskome.sources.ahead import fetched_ahead
from daskome.sources.blocks import is_remote
from daskome.sources.graphs.annotations import Annotations
from daskome.sources.pieces import source_piece, without_payload
from daskome.sources.presence import check_still_there
from daskome.sources.stored_whole import encoded_chunks_of, source_of_chunks
from daskome.stores import journal as journals
from daskome.stores.arrays import through_store
from daskome.stores.journal import Journal, Record
from daskome.stores.objects import inventory
from daskome.stores.objects.complete import CompleteStore
from daskome.stores.objects.encoded import EncodedChunks
from daskome.stores.objects.in_flight import InFlight, whole_objects
from daskome.stores.ownership.owned_store import owned

Slot = AbstractContextManager[Any]
"""What a task holds while it works, and no longer while it waits for its store."""


@dataclass(frozen=True, slots=True)
class UnitTask:
    """A unit with all it needs, so that it can travel to another process and run there on its own.

    Of its store it asks for nothing else than whether it is still wanted, unless that was asked lately, for what it
    reads, and for the objects and the record that it writes: arrays travel with it.

    Attributes
    ----------
    unit : Unit
    reads : tuple of (int, int)
        The region that it reads.
    piece : dask.array.Array, optional
        That region of an image; None: it is read from `below`.
    pyramid : Pyramid
    arrays : tuple of zarr.Array
        Those it writes: a level each, and a temporary copy if it writes one.
    journal : Journal
    below : zarr.Array, optional
        The level or the temporary copy that it reads, if it does not read an image.
    in_flight : InFlight
        How much may be on its way to the store.
    wait : float
        Seconds to wait before it runs, after it has failed.
    annotations : dict
        What the image asks of a scheduler (`annotations_of`).
    taken : array-like, optional
        The image, a zarr array perhaps with axes put in, if its chunks are taken over (`EncodedChunks`); no `piece`.
    room : Room, optional
        The memory for which it waits, if its image is computed.
    """

    unit: Unit
    reads: Region
    piece: da.Array | None
    pyramid: Pyramid
    arrays: tuple[zarr.Array[Any], ...]
    journal: Journal
    below: zarr.Array[Any] | None = None
    in_flight: InFlight = field(default_factory=InFlight)
    wait: float = 0
    annotations: Annotations = field(default_factory=dict)
    taken: Any = None
    room: Room | None = None

    def __call__(self, slot: Slot | None = None) -> None:
        """Write the unit, and note it in the journal.

        Raises
        ------
        OwnershipLost
            If another process is the owner now, or the run is over; what it wrote before is all that it writes.
        """
        time.sleep(self.wait)
        self.journal.renew()
        checksums: dict[int, str] = {}
        place = owned(self.arrays[0].store_path, self.journal.claim)
        within = whole_objects(place.store, self.in_flight)
        with within as store, in_room(self.room) as memory, slot or nullcontext():
            started = journals.now()
            encoded = None if self.taken is None else encoded_chunks_of(self.taken)
            arrays, piece = [through_store(array, store) for array in self.arrays], self._piece(encoded)
            stays = None if self.unit.given is None else unit_graph.Stored(self.arrays[0])
            written = unit_graph.stores(self.unit, self.pyramid, piece, arrays, checksums, encoded, stays)
            with fetched_ahead(piece, written, self.unit.pass_.ahead):
                dask.compute(written, scheduler=get_sync)
            seconds = journals.now() - started
        for image in (self.piece, self.taken):
            if image is not None:
                check_still_there(image)
        stored = inventory.notes(self.arrays, (*self.unit.regions, *self.unit.copied), store.keys)
        record = Record(journals.now(), seconds, checksums, stored, memory.measured)
        self.journal.renew()
        journals.record(self.journal, self.unit, record)

    def _piece(self, encoded: EncodedChunks | None) -> da.Array:
        """Return what the unit reads: of its image, of a temporary copy, or of the level below."""
        if self.piece is not None:
            return self.piece
        source = as_source(self._below()) if encoded is None else source_of_chunks(encoded)
        return source_piece(source, self.reads, self.unit.pass_.read_chunks)

    def _below(self) -> zarr.Array[Any] | None:
        """Return the level or the temporary copy that it reads; of a copy, all must be there."""
        if self.below is None or self.unit.pass_.reads_copy is None:
            return self.below
        return through_store(self.below, CompleteStore(self.below.store))


def split_payload(task: UnitTask) -> tuple[UnitTask, list[Any], list[Any]]:
    """Return a task without its payload, and the keys and values of that (`without_payload`)."""
    if task.piece is None:
        return task, [], []
    bare, held = without_payload(task.piece)
    return replace(task, piece=bare), list(held), list(held.values())


def run_with_payload(task: UnitTask, keys: list[Any], values: list[Any], slot: Slot | None = None) -> None:
    """Run a task, with its payload put back. Threads, workers of a cluster and `compute=False` all run this."""
    tune_allocator()
    if keys and task.piece is not None:
        payload = {key: DataNode(key, value) for key, value in zip(keys, values, strict=True)}
        task = _with_graph(task, {**dict(task.piece.dask), **payload})
    task(slot)


def fetched(task: UnitTask) -> tuple[UnitTask, list[Any], list[Any]]:
    """Return a task without its payload, and the keys and values of that; what is on a cluster is fetched."""
    bare, keys, values = split_payload(task)
    return bare, keys, [value.result() if is_remote(value) else value for value in values]


def run_here(task: UnitTask, slot: Slot | None = None) -> None:
    """Run a task in this process; what its piece holds on a cluster is fetched."""
    run_with_payload(*fetched(task), slot)


def _with_graph(task: UnitTask, graph: Mapping[Any, Any]) -> UnitTask:
    if task.piece is None:
        return task
    return replace(task, piece=da.Array(graph, task.piece.name, task.piece.chunks, meta=task.piece._meta))
