"""Any array-like as one with NumPy's dtype and blocks, which other processes can read too: the rows of `ARRAY_LIKES`.

What is in a file is opened anew by the processes that read it, by an absolute path. What says its dtype in words of its
own, or lies on a device, is turned into NumPy block by block.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from dask._task_spec import DataNode
from dask.blockwise import Blockwise
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer

from daskome.sources.blocks import to_numpy
from daskome.sources.computed import computed_array, computes_by_itself
from daskome.sources.graphs.layers import ORIGINAL, literal, materialize
from daskome.sources.views import Converted, Mapped, Reopenable, mapped_whole
from daskome.stores.arrays import through_store
from daskome.stores.kinds import anchor, root_of_files
from daskome.stores.objects import sync_codecs
from daskome.stores.opened.bounded import BoundedFolder

DTYPE_NAMES = ("numpy_dtype", "as_numpy_dtype")
"""What dtypes that NumPy does not know call the one that it does: TensorStore's and TensorFlow's."""
FILE_DRIVERS = ("sec2", "stdio", "direct", "windows")
"""The drivers of HDF5 with which a dataset is in the file of that name, and in no other, nor in memory."""


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """A row of `ARRAY_LIKES`: which objects are of a kind, and how they are read."""

    includes: Callable[[Any], bool]
    adapted: Callable[[Any], Any]


def adapted(image: Any) -> Any:
    """Return an image as an array-like that daskome reads, here and elsewhere."""
    return next((row.adapted(image) for row in ARRAY_LIKES if row.includes(image)), image)


def _from_dask(array: da.Array) -> da.Array:
    """Return a Dask array; what `da.from_array` holds of files is read as such, and travels as a path to them."""
    array = materialize(array)
    graph = array.__dask_graph__()
    layers = {name: _with_files(name, layer) for name, layer in graph.layers.items()}
    if all(layers[name] is layer for name, layer in graph.layers.items()):
        return array
    return da.Array(HighLevelGraph(layers, graph.dependencies), array.name, array.chunks, meta=array._meta)


def _with_files(name: str, layer: Layer) -> Layer:
    """Return a layer that holds arrays in files as we read them: in keys of their own, or (`inline_array`) in tasks."""
    if isinstance(layer, Blockwise):
        return _given(layer) if any(i is None and _is_in_files(value) for value, i in layer.indices) else layer
    if not (name.startswith(ORIGINAL) and isinstance(layer, MaterializedLayer)):
        return layer
    held = ((key, literal(value)) for key, value in layer.mapping.items())
    files = {key: DataNode(key, adapted(value)) for key, value in held if _is_in_files(value)}
    read = {**layer.mapping, **files}
    return MaterializedLayer(read, layer.annotations, layer.collection_annotations) if files else layer


def _given(layer: Blockwise) -> Blockwise:
    """Return a layer whose function is given arrays in files as we read them."""
    other = copy(layer)
    other.indices = tuple((adapted(v), i) if i is None and _is_in_files(v) else (v, i) for v, i in layer.indices)
    vars(other).pop("_cached_dict", None)
    return other


def _is_in_files(value: Any) -> bool:
    return any(is_kind(value) for is_kind in IN_FILES)


def open_hdf5(path: str, dataset: str) -> Any:
    """Return a dataset of an HDF5 file."""
    import h5py

    found = h5py.File(path, "r")[dataset]
    check_virtual(found)
    return found


def check_virtual(dataset: Any) -> None:
    """Raise a FileNotFoundError if a virtual dataset maps files that are not there: HDF5 reads them as fill value."""
    for source in dataset.virtual_sources() if dataset.is_virtual else ():
        file = Path(dataset.file.filename).absolute().parent / source.file_name
        if source.file_name != "." and "%" not in source.file_name and not file.exists():
            raise FileNotFoundError(
                f"{dataset.file.filename}::{dataset.name} takes a part from {file}, which is not there; HDF5 would read"
                " it as the fill value"
            )


def _is_zarr_in_files(image: Any) -> bool:
    """Whether a zarr array is in files, and not opened with codecs that its user has chosen."""
    is_zarr = isinstance(image, zarr.Array)
    return is_zarr and root_of_files(image.store) is not None and not sync_codecs.is_chosen(image)


def _from_zarr(image: Any) -> Any:
    """Return a zarr array; one in files is read as files, however it was opened, and its broken links are errors."""
    anchor(image.store_path)
    root = root_of_files(image.store)
    if root is None or sync_codecs.is_chosen(image):
        return sync_codecs.open_sync(image)
    return through_store(image, BoundedFolder(root, read_only=True))


def _is_mapped(image: Any) -> bool:
    """Whether an array is a memory map of a file, or a part of one."""
    return isinstance(image, np.ndarray) and mapped_whole(image) is not None


def _from_memmap(image: Any) -> Any:
    """Return a memory map; one that is copied on write has changes that no other process would find in the file."""
    whole = mapped_whole(image)
    assert whole is not None
    if whole.mode == "c":
        return np.asarray(image)
    if whole.mode != "r":
        whole.flush()
    path = os.path.abspath(str(whole.filename))
    start = image.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    where = (whole.offset, whole.nbytes, start, image.strides)
    return Mapped(partial(open_map, path, image.dtype, image.shape, *where), image, path)


def open_map(path: str, dtype: Any, shape: Any, offset: int, nbytes: int, start: int, strides: Any) -> Any:
    """Return a part of a file as a memory map, to be read: what lies there from a start, in strides of bytes."""
    return np.ndarray(shape, dtype, np.memmap(path, np.uint8, "r", offset, (nbytes,)), start, strides)


def _is_hdf5(image: Any) -> bool:
    return type(image).__module__.startswith("h5py") and hasattr(image, "file")


def _from_hdf5(image: Any) -> Any:
    """Return a dataset that others open by the path of its file; as it is where that does not lead to this file."""
    check_virtual(image)
    path = os.path.abspath(image.file.filename)
    if image.file.driver not in FILE_DRIVERS or not _is_open_there(image.file, path):
        return image
    if image.file.mode != "r":
        image.file.flush()
    return Reopenable(partial(open_hdf5, path, image.name), image, f"{path}::{image.name.strip('/')}")


def _is_open_there(file: Any, path: str) -> bool:
    """Whether an open file of HDF5 is the one at a path: it may have been opened in another folder."""
    with suppress(OSError, TypeError, ValueError):
        return os.path.samestat(os.fstat(file.id.get_vfd_handle()), os.stat(path))
    return os.path.exists(path)


def _is_tensorstore(image: Any) -> bool:
    return type(image).__module__.startswith("tensorstore") and hasattr(image, "spec")


def _from_tensorstore(image: Any) -> Any:
    """Return a TensorStore that is opened anew where it is read: a copy of it would read what is gone as fill value."""
    try:
        spec = image.spec(minimal_spec=True).to_json()
    except ValueError:  # It computes its values by a function of Python.
        return _from_tensor(_at_origin(image))
    if spec.get("driver") == "array":
        return np.asarray(image)
    text = json.dumps(_anchored(spec))
    opened = _at_origin(image) if "memory" in text else open_tensorstore(text)
    array = Converted(opened, np.dtype(image.dtype.numpy_dtype), _read_chunk(image))
    return Reopenable(partial(_reopened_tensorstore, text), array, _place(spec) or text)


@lru_cache(maxsize=64)
def open_tensorstore(spec: str) -> Any:
    """Return a TensorStore by its spec as JSON.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    import tensorstore

    try:
        opened = tensorstore.open(json.loads(spec), open=True, read=True).result()
    except ValueError as error:
        raise FileNotFoundError(f"there is no such TensorStore: {str(error)[:200]}") from error
    return _at_origin(opened)


def _at_origin(opened: Any) -> Any:
    """Return a TensorStore whose first voxel is at index 0, as elsewhere."""
    import tensorstore

    return opened[tensorstore.d[:].translate_to[0]]


def _reopened_tensorstore(spec: str) -> Converted:
    opened = open_tensorstore(spec)
    return Converted(opened, np.dtype(opened.dtype.numpy_dtype), _read_chunk(opened))


def _anchored(spec: Any) -> Any:
    """Return the spec of a TensorStore with absolute paths."""
    if not isinstance(spec, Mapping):
        return spec
    inner = {key: _anchored(value) for key, value in spec.items()}
    path = spec.get("path")
    if spec.get("driver") == "file" and isinstance(path, str):
        inner["path"] = os.path.abspath(path) + "/" * path.endswith("/")
    return inner


def _place(spec: Mapping[str, Any]) -> str:
    inner = spec.get("kvstore")
    return str(inner.get("path", "")) if isinstance(inner, Mapping) else ""


def _read_chunk(image: Any) -> tuple[int, ...] | None:
    shape = image.chunk_layout.read_chunk.shape
    return tuple(map(int, shape)) if shape is not None and all(shape) else None


def _is_foreign(image: Any) -> bool:
    return callable(getattr(image, "get", None)) or _as_dtype(image.dtype) is None


def _from_tensor(image: Any) -> Any:
    """Return an array-like with a dtype of its own, or on a device, that gives blocks of NumPy."""
    known = _dtype(image)
    return Converted(image, to_numpy(image[(slice(0, 0),) * len(image.shape)]).dtype if known is None else known)


def _dtype(image: Any) -> np.dtype[Any] | None:
    """Return the dtype of an array-like as NumPy's; None if it says none that is."""
    named = [image.dtype, *(getattr(image.dtype, name, None) for name in DTYPE_NAMES)]
    return next((dtype for dtype in map(_as_dtype, named) if dtype is not None), None)


def _as_dtype(dtype: Any) -> np.dtype[Any] | None:
    with suppress(TypeError):
        return None if dtype is None else np.dtype(dtype)
    return None


IN_FILES = (_is_zarr_in_files, _is_mapped, _is_hdf5)
"""What `da.from_array` may hold of files."""
ARRAY_LIKES = (
    ArrayKind(computes_by_itself, computed_array),
    ArrayKind(lambda image: isinstance(image, da.Array), _from_dask),
    ArrayKind(lambda image: isinstance(image, zarr.Array), _from_zarr),
    ArrayKind(_is_mapped, _from_memmap),
    ArrayKind(lambda image: isinstance(image, np.ndarray), np.asarray),
    ArrayKind(_is_hdf5, _from_hdf5),
    ArrayKind(_is_tensorstore, _from_tensorstore),
    ArrayKind(_is_foreign, _from_tensor),
)
"""The first row that includes an image is how it is read; what none includes is read as it is."""
