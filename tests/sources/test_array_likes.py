"""Every array-like is an image: what has words of its own for a dtype, what lies on a device, what only converts."""

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client

import daskome
from daskome.sources.adapt import as_source

VALUES = np.arange(1, 64 * 64 + 1, dtype="uint16").reshape(64, 64)


class OnDevice:
    """An array-like as CuPy's: NumPy cannot convert it, and slices of it stay where they are."""

    def __init__(self, values: Any) -> None:
        self.values, self.shape, self.dtype, self.ndim = values, values.shape, values.dtype, values.ndim

    def __getitem__(self, index: Any) -> "OnDevice":
        return OnDevice(self.values[index])

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self) -> Any:
        return self.values


class OwnDtype:
    """A dtype as NumPy knows none."""

    def __repr__(self) -> str:
        return "own.uint16"


class NamedDtype(OwnDtype):
    """A dtype that says which of NumPy's it is."""

    as_numpy_dtype = np.uint16


class Tensor:
    """An array-like with a dtype of its own, as tensors have."""

    def __init__(self, values: Any, dtype: Any) -> None:
        self.values, self.shape, self.dtype = values, values.shape, dtype

    def __getitem__(self, index: Any) -> "Tensor":
        return Tensor(self.values[index], self.dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.values


class Converts:
    """An object that can only be converted, as a whole."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return VALUES


class Lazy:
    """An object that gives a Dask array."""

    def __dask_array__(self) -> Any:
        return da.from_array(VALUES, chunks=(32, 32))


def tensorstore(**changes: Any) -> Any:
    ts = pytest.importorskip("tensorstore")
    kvstore = {"driver": "memory", "path": "a/"}
    array = ts.open({"driver": "zarr3", "kvstore": kvstore}, dtype=ts.uint16, shape=[64, 64], create=True).result()
    array.write(VALUES).result()
    return array


pytestmark = pytest.mark.filterwarnings("ignore:the matrix subclass")
KINDS: dict[str, Callable[[], Any]] = {
    "CuPy": lambda: OnDevice(VALUES),
    "TensorFlow": lambda: Tensor(VALUES, NamedDtype()),
    "PyTorch": lambda: Tensor(VALUES, OwnDtype()),
    "__array__": Converts,
    "__dask_array__": Lazy,
    "list": VALUES.tolist,
    "matrix": lambda: VALUES.view(np.matrix),
    "masked, of which nothing is": lambda: np.ma.masked_equal(VALUES, 0),
    "big-endian": lambda: VALUES.astype(">u2"),
    "not contiguous": lambda: np.pad(VALUES, 3)[3:-3, 3:-3],
    "read-only": lambda: np.broadcast_to(VALUES, VALUES.shape),
    "Dask on a device": lambda: da.from_array(VALUES, chunks=32).map_blocks(OnDevice, dtype="u2", meta=VALUES[:0, :0]),
    "TensorStore": tensorstore,
    "TensorStore of an array": lambda: pytest.importorskip("tensorstore").array(VALUES),
    "TensorStore, transposed": lambda: pytest.importorskip("tensorstore").array(VALUES.T.copy()).T,
    "TensorStore with an origin": lambda: tensorstore()[pytest.importorskip("tensorstore").d[:].translate_to[100]],
    "zarr on a device": lambda: OnDevice(zarr.array(VALUES, chunks=(16, 16))[...]),
}


@pytest.mark.sampled(7)
@pytest.mark.parametrize("axes", ["yx", "tczyx"])
@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_it_is_written(make: Callable[[], Any], axes: str) -> None:
    store, fmt = zarr.storage.MemoryStore(), "0.5" if axes == "yx" else "0.2"
    daskome.write_image(make(), store, [2], axes="yx", fmt=fmt)
    group = zarr.open_group(store, mode="r")
    name = next(iter(sorted(name for name, _ in group.arrays())))
    np.testing.assert_array_equal(np.asarray(group[name][...]).reshape(64, 64), VALUES)
    assert daskome.verify(store, pixels=True, source=make()) == []


@pytest.mark.parametrize(
    "kind", ["CuPy", "PyTorch", "__array__", "__dask_array__", "matrix", "TensorStore of an array"]
)
def test_it_travels_to_workers(tmp_path: Any, client: Client, kind: str) -> None:
    daskome.write_image(KINDS[kind](), tmp_path / "a", [2], axes="yx")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a/s0")[...], VALUES)


def test_a_tensorstore_in_memory_is_refused_by_workers_before_anything_is_written(
    tmp_path: Any, client: Client
) -> None:
    with pytest.raises(FileNotFoundError, match=r"the worker at .* cannot read .*there is no such TensorStore"):
        daskome.write_image(tensorstore(), tmp_path / "a", [2], axes="yx")
    assert not (tmp_path / "a").exists()


def test_chunks_of_a_tensorstore_are_known(tmp_path: Any) -> None:
    ts = pytest.importorskip("tensorstore")
    zarr.create_array(tmp_path / "a", data=VALUES, chunks=(16, 32))
    opened = ts.open({"driver": "zarr3", "kvstore": f"file://{tmp_path}/a/"}).result()
    assert as_source(opened).chunks == as_source(zarr.open_array(tmp_path / "a")).chunks


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("a.tif", r"path; open it first, as in daskome\.read\('a\.tif'\)"),
        (np.ma.masked_less(VALUES, 9), "masked voxels"),
        (object(), "needs shape, dtype and slicing; object has no shape"),
        (zarr.create_group(zarr.storage.MemoryStore()), "needs shape, dtype and slicing; Group has no shape"),
    ],
    ids=["path", "masked", "object", "group"],
)
def test_what_is_no_image_is_refused_by_name(image: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        daskome.write_image(image, zarr.storage.MemoryStore(), axes="yx")


def test_an_empty_dataset_has_no_pixels(tmp_path: Any) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["null"] = h5py.Empty("u2")
        with pytest.raises(ValueError, match="has no pixels"):
            as_source(file["null"])
    with pytest.raises(ValueError, match="null dataset: it has no pixels"):
        daskome.read(tmp_path / "a.h5::null")
