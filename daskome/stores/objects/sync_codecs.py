"""Stored objects encoded and written, or read, by the thread that needs them, where zarr allows it.

zarr hands every chunk to an event loop that all threads share, and from there to a thread of another pool: with two
threads that write, a third of the time goes into waiting for each other. Since 3.3 zarr has a pipeline that needs no
event loop, for stores that do not need one either. Everything else goes zarr's ordinary way.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import numpy as np
import zarr
from zarr.buffer.cpu import Buffer, NDBuffer
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer as AnyBuffer, BufferPrototype, default_buffer_prototype
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.sync import sync
from zarr.registry import register_pipeline
from zarr.storage import StorePath

from daskome.model.regions import slices
from daskome.stores.kinds import in_flight_to, waits_for_no_loop
from daskome.stores.objects.damage import first_damaged, locating_damage

try:
    from zarr.abc.store import SupportsSetSync
    from zarr.core.codec_pipeline import FusedCodecPipeline
except ImportError:  # before zarr 3.3
    SupportsSetSync = None  # type: ignore[assignment, misc]
    FusedCodecPipeline = None  # type: ignore[assignment, misc]
ZARRS_OWN = (BatchedCodecPipeline, FusedCodecPipeline)
"""Another pipeline, such as that of zarrs, is the user's choice, and stays."""
SAMPLES_PER_AXIS = 8
"""How many voxels along each axis are compared before all are."""


if FusedCodecPipeline is not None:

    class DirectPipeline(FusedCodecPipeline):
        """Codecs that run at once, in the thread that calls; on an event loop, as zarr's own."""

        async def read(self, batch_info: Any, out: Any, drop_axes: tuple[int, ...] = ()) -> Any:
            """Read and decode stored objects."""
            if _on_loop() or self.sync_transform is None:
                return await super().read(batch_info, out, drop_axes)
            return self.read_sync(batch_info, out, drop_axes)

        async def write(self, batch_info: Any, value: Any, drop_axes: tuple[int, ...] = ()) -> None:
            """Encode and write stored objects."""
            if _on_loop() or self.sync_transform is None:
                return await super().write(batch_info, value, drop_axes)
            return self.write_sync(batch_info, value, drop_axes)

    register_pipeline(DirectPipeline)


def open_sync(array: "zarr.Array[Any]") -> "zarr.Array[Any]":
    """Return an open array with codecs that run at once, if its store can do without an event loop.

    zarr would choose them by its configuration, which all threads share: to change it while an array is opened would
    make every thread wait for the slowest store. So the pipeline that zarr has chosen is replaced, without a lock.
    """
    if FusedCodecPipeline is None or not waits_for_no_loop(array.store) or is_chosen(array):
        return array
    array = array.with_config({})  # a copy: the caller keeps what it has
    object.__setattr__(array.async_array, "codec_pipeline", _direct(array))
    return array


def needs_no_loop(target: StorePath) -> bool:
    """Whether what is written to a store is encoded by codecs that run at once, one chunk after the other."""
    chosen = zarr.config.get("codec_pipeline.path").rpartition(".")[2] not in {
        getattr(p, "__name__", "") for p in ZARRS_OWN
    }
    at_once = waits_for_no_loop(target.store) or in_flight_to(target) > 0
    return FusedCodecPipeline is not None and at_once and not chosen


def concurrency() -> int | None:
    """Return how many chunks zarr encodes beside each other elsewhere, in this process; None: all of a block."""
    limit = zarr.config.get("async.concurrency")
    return None if limit is None else int(limit)


def is_chosen(array: "zarr.Array[Any]") -> bool:
    """Whether an array was opened with codecs that are not zarr's own: its user's, or those that run at once."""
    return type(array.async_array.codec_pipeline) not in ZARRS_OWN


def _direct(array: "zarr.Array[Any]") -> Any:
    """Return the codecs of an array as a pipeline that runs them at once."""
    metadata, shape = array.metadata, array.shards or array.chunks
    spec = ArraySpec(shape, metadata.dtype, metadata.fill_value, array.config, default_buffer_prototype())
    codecs: Any = array.async_array.codec_pipeline
    return DirectPipeline.from_codecs(codecs).evolve_from_array_spec(spec)


class Voxels(NDBuffer):
    """Voxels on their way into a store. zarr leaves out chunks of the fill value; a few voxels tell most others apart.

    To look at all of them takes zarr as long as to read them from memory; of uint8 ten times that.
    """

    def all_equal(self, other: Any, equal_nan: bool = True) -> bool:
        """Whether all voxels equal a value."""
        some = np.asarray(self._data)[tuple(slice(None, None, max(n // SAMPLES_PER_AXIS, 1)) for n in self.shape)]
        return NDBuffer(some).all_equal(other, equal_nan) and super().all_equal(other, equal_nan)


VOXELS = BufferPrototype(Buffer, Voxels)


def write(array: "zarr.Array[Any]", index: Sequence[slice], value: Any) -> None:
    """Write a part of an array. On an event loop, zarr takes only its own buffers within shards."""
    if not _run_inline(array, lambda: array.async_array.setitem(tuple(index), value, prototype=VOXELS)):
        array.set_basic_selection(tuple(index), value, prototype=None if array.shards else VOXELS)


def put(array: "zarr.Array[Any]", objects: Mapping[str, AnyBuffer]) -> None:
    """Store objects of an array, encoded already, by their keys in it."""
    path, store = array.store_path, array.store
    if FusedCodecPipeline is not None and waits_for_no_loop(store) and isinstance(store, SupportsSetSync):
        for key, encoded in objects.items():
            store.set_sync(f"{path.path}/{key}".lstrip("/"), encoded)
    else:
        sync(_put_all(path, objects, concurrency() or len(objects)))


async def _put_all(path: StorePath, objects: Mapping[str, AnyBuffer], at_once: int) -> None:
    room = asyncio.Semaphore(max(at_once, 1))

    async def put_one(key: str, encoded: AnyBuffer) -> None:
        async with room:
            await (path / key).set(encoded)

    ended = await asyncio.gather(*(put_one(*each) for each in objects.items()), return_exceptions=True)
    for error in filter(None, ended):  # Only now: none is on its way any more, where another image may follow.
        raise error


def read(array: Any, index: Sequence[slice]) -> Any:
    """Return a part of an array-like.

    Raises
    ------
    ValueError
        If it is a zarr array and a stored object cannot be decoded; codecs raise errors of any type.
    """
    if not isinstance(array, zarr.Array):
        return array[tuple(index)]
    with locating_damage(lambda: _damaged_object(array, index)):
        return _read(array, index)


def _read(array: "zarr.Array[Any]", index: Sequence[slice]) -> Any:
    found = _run_inline(array, lambda: array.async_array.getitem(tuple(index)))
    return found[0] if found else array[tuple(index)]


def _damaged_object(array: "zarr.Array[Any]", index: Sequence[slice]) -> str:
    """Return the address of the first stored object in a part of an array that cannot be decoded."""
    grid = array.shards or array.chunks
    region = tuple(i.indices(n)[:2] for i, n in zip(index, array.shape, strict=True))
    block = first_damaged(lambda part: _read(array, slices(part)), region, grid)
    position = tuple(start // n for (start, _), n in zip(block, grid, strict=True))
    return str(array.store_path / array.metadata.encode_chunk_key(position))


def _run_inline(array: "zarr.Array[Any]", begin: Callable[[], Coroutine[Any, Any, Any]]) -> tuple[Any, ...]:
    """Run a coroutine that waits for nothing to its end and return its result; nothing if it has to wait."""
    pipeline = array.async_array.codec_pipeline
    if FusedCodecPipeline is None or not isinstance(pipeline, DirectPipeline) or not pipeline.sync_transform:
        return ()
    if _on_loop():
        return ()
    coroutine = begin()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return (end.value,)
    except RuntimeError as error:
        if "event loop" not in str(error):
            raise
    finally:
        coroutine.close()
    return ()


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
