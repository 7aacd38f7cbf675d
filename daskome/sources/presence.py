"""Whether the arrays that an image reads are there: where it is described, and where it is read.

zarr reads a chunk that is missing as the fill value, so an array that is gone, or that a worker cannot see, would be
read as one that holds nothing else. What counts is its metadata document: there, and of the same array.

Of what was persisted on workers before, only the pixels are known, not where they were read: that a worker opened a
relative path in another folder then cannot be seen here.
"""

import json
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask.array as da
import numpy as np
import zarr
from dask._task_spec import DataNode
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

from daskome.model.json_values import JSONObject
from daskome.model.regions import shape_of
from daskome.model.source import Source
from daskome.sources.computed import ComputedArray
from daskome.sources.graphs.arrays_read import read_by
from daskome.sources.pieces import source_piece, with_shared_results, without_payload
from daskome.stores.kinds import kind_of
from daskome.stores.location import address_of, folder_of, is_local_to_process

ARRAY_DOCUMENTS = {2: ".zarray", 3: "zarr.json"}
"""The metadata document of an array, by its zarr format."""
SEEN: set[tuple[str, ...]] = set()
"""Where this process has found a source that is far away: it is asked for once."""


def check_there(array: Any) -> None:
    """Raise unless an array can be opened here: a zarr array by its metadata document, others as they are opened.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    ValueError
        If there is another array.
    """
    if not isinstance(array, zarr.Array):
        np.dtype(array.dtype)  # A `Reopenable` is opened for this.
        return
    found = sync((array.store_path / ARRAY_DOCUMENTS[array.metadata.zarr_format]).get())
    if found is None:
        raise FileNotFoundError(_gone(array))
    ours, theirs = (_described(array.metadata), _described(_parsed(array.metadata, found.to_bytes())))
    for key in ours:
        if ours[key] != theirs.get(key):
            raise ValueError(
                f"{array.store_path} is another array than when it was opened: its {key} was {ours[key]}, and is"
                f" {theirs.get(key)}; open it anew"
            )


def check_still_there(image: Any) -> None:
    """Raise a FileNotFoundError if a zarr array that an image reads is gone; those far away are asked for once."""
    for array in read_by(image):
        if isinstance(array, zarr.Array) and not _is_still_there(array):
            raise FileNotFoundError(_gone(array))


def _is_still_there(array: zarr.Array[Any]) -> bool:
    path = array.store_path / ARRAY_DOCUMENTS[array.metadata.zarr_format]
    file = folder_of(path)
    if file is not None:
        return file.is_file()
    address = address_of(path)
    if is_local_to_process(path) or address in SEEN:
        return True
    there = sync(path.exists())
    SEEN.update([address] if there and not kind_of(path)[0].near else [])
    return there


def _gone(array: zarr.Array[Any]) -> str:
    return f"there is no zarr array at {array.store_path}; all of it would be read as the fill value"


def _parsed(metadata: Any, document: bytes) -> Any:
    return type(metadata).from_dict(json.loads(document))


def _described(metadata: Any) -> JSONObject:
    """Return what a metadata document says of an array, without its attributes."""
    document = metadata.to_buffer_dict(default_buffer_prototype())[ARRAY_DOCUMENTS[metadata.zarr_format]]
    described: JSONObject = {k: v for k, v in json.loads(document.to_bytes()).items() if k != "attributes"}
    return described


@dataclass(frozen=True, slots=True)
class Sight:
    """An array that other processes are to see: where it is, what it is here, and as it travels."""

    place: str
    look: str
    payload: bytes

    def problem(self) -> str:
        """Return why it cannot be read in this process; empty if it can."""
        try:
            array = pickle.loads(self.payload)
            check_there(array)
        except Exception as error:
            return str(error) or repr(error)
        here = _look(array)
        return "" if here == self.look else f"it is {here} there, but {self.look} here"


def sights_of(sources: Iterable[Source]) -> list[Sight]:
    """Return what other processes must see to read images, each once.

    Raises
    ------
    TypeError
        If something cannot travel to them.
    """
    arrays = {id(array): array for source in sources for array in _needed(source.array)}
    return [Sight(_place(array), _look(array), _travelling(array)) for array in arrays.values()]


def check_travels(source: Source) -> None:
    """Raise a TypeError if the first block of an image cannot be sent to another process; arrays in memory can."""
    if isinstance(source.array, da.Array | ComputedArray):
        first = tuple((0, sizes[0]) for sizes in source.chunks)
        without = with_shared_results(source, lambda _, keys: {key: DataNode(key, None) for key in keys})
        _travelling(without_payload(source_piece(without, first, shape_of(first)))[0])


def _needed(image: Any) -> list[Any]:
    """Return the arrays in files and stores that an image reads; if it is none of those known, the image itself."""
    own = [] if isinstance(image, da.Array | np.ndarray) else [image]
    return read_by(image) or own


def _place(array: Any) -> str:
    return str(array.store_path) if isinstance(array, zarr.Array) else getattr(array, "place", "") or "the image"


def _look(array: Any) -> str:
    return f"{np.dtype(array.dtype).name} of shape {tuple(array.shape)}"


def _travelling(array: Any) -> bytes:
    """Return an array as other processes get it."""
    try:
        payload: bytes = cloudpickle.dumps(array)
    except Exception as error:
        raise TypeError(
            f"the image cannot travel to the workers of the cluster: {' '.join(str(error).split())[:200]}. Open it by"
            " its path with daskome.read, give an array of zarr, HDF5 or NumPy, or write without the cluster: close its"
            " client first"
        ) from error
    return payload
