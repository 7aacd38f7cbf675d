"""Sources that are not there, or not where they are read: errors, never the fill value."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client
from zarr.storage import LocalStore, LoggingStore, ZipStore

import daskome
from daskome.model.source import Source
from daskome.sources.adapt import as_source
from daskome.sources.graphs.arrays_read import read_by
from daskome.sources.presence import check_still_there, check_there

VALUES = np.arange(1, 64 * 64 + 1, dtype="uint16").reshape(64, 64)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds an image in many kinds of file."""
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    for zarr_format in (2, 3):
        group = zarr.create_group(f"v{zarr_format}.zarr", zarr_format=zarr_format)
        group.create_array("a", data=VALUES, chunks=(32, 32))
    np.save("a.npy", VALUES)
    with h5py.File("a.h5", "w") as file:
        file.create_dataset("a", data=VALUES, chunks=(32, 32))
    return tmp_path


def stored(zarr_format: int = 3) -> Any:
    return zarr.open_array(LocalStore(Path(f"v{zarr_format}.zarr")), path="a", mode="r")


def hdf5() -> Any:
    return pytest.importorskip("h5py").File("a.h5", "r")["a"]


def tensorstore() -> Any:
    ts = pytest.importorskip("tensorstore")
    return ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": "v3.zarr/a"}}).result()


RELATIVE: dict[str, Callable[[], Any]] = {
    "zarr v2": lambda: stored(2),
    "zarr v3": stored,
    "a wrapped store": lambda: zarr.open_array(LoggingStore(LocalStore(Path("v3.zarr"))), path="a", mode="r"),
    "da.from_zarr": lambda: da.from_zarr(stored()),
    "da.from_array": lambda: da.from_array(stored(), inline_array=True),
    "computed": lambda: da.from_zarr(stored()) + np.uint16(0),
    "daskome.read": lambda: daskome.read("v3.zarr/a"),
    "HDF5": hdf5,
    "da of HDF5": lambda: da.from_array(hdf5(), chunks=(32, 32)),
    "memory map": lambda: np.load("a.npy", mmap_mode="r"),
    "da of a memory map": lambda: da.from_array(np.load("a.npy", mmap_mode="r"), chunks=(32, 32)),
    "TensorStore": tensorstore,
}


@pytest.mark.sampled(5)
@pytest.mark.parametrize("make", RELATIVE.values(), ids=RELATIVE)
def test_a_relative_path_means_what_it_meant_when_it_was_given(
    here: Path, make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = daskome.write_image(make(), "out.zarr", [2], axes="yx", compute=False)
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    later.compute(scheduler="sync")
    np.testing.assert_array_equal(zarr.open_array(here / "out.zarr/s0")[...], VALUES)


def test_so_does_a_relative_target(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = daskome.write_image(VALUES, LocalStore(Path("out.zarr")), [2], axes="yx", compute=False)
    monkeypatch.chdir("/")
    later.compute(scheduler="sync")
    np.testing.assert_array_equal(zarr.open_array(here / "out.zarr/s0")[...], VALUES)


@pytest.mark.sampled(12)
@pytest.mark.parametrize("make", RELATIVE.values(), ids=RELATIVE)
def test_workers_in_another_folder_read_it(here: Path, make: Callable[[], Any], client: Client) -> None:
    before = client.run(os.getcwd)
    client.run(os.chdir, "/")
    try:
        daskome.write_image(make(), "out.zarr", [2], axes="yx", retries=0)
    finally:
        for worker, folder in before.items():
            client.run(os.chdir, folder, workers=[worker])
    np.testing.assert_array_equal(zarr.open_array(here / "out.zarr/s0")[...], VALUES)


GONE = {
    "zarr v2": ("v2.zarr", lambda: stored(2)),
    "zarr v3": ("v3.zarr", stored),
    "only its document": ("v3.zarr/a/zarr.json", stored),
    "da.from_zarr": ("v3.zarr", lambda: da.from_zarr(stored())),
    "computed": ("v3.zarr", lambda: da.from_zarr(stored()) + np.uint16(0)),
    "TensorStore": ("v3.zarr", tensorstore),
}


@pytest.mark.parametrize(("path", "make"), GONE.values(), ids=GONE)
def test_what_is_gone_is_refused_before_anything_is_written(here: Path, path: str, make: Callable[[], Any]) -> None:
    image = make()
    os.rename(path, "elsewhere")
    with pytest.raises(FileNotFoundError, match="there is no"):
        daskome.write_image(image, "out.zarr", [2], axes="yx")
    assert not Path("out.zarr").exists()


def test_files_of_fsspec_are_asked_for_again(here: Path) -> None:
    image = da.from_zarr("v3.zarr/a") + np.uint16(1)
    daskome.write_image(image, "first.zarr", [2], axes="yx")
    later = daskome.write_image(image, "out.zarr", [2], axes="yx", compute=False, retries=0)
    os.rename("v3.zarr", "elsewhere")
    with pytest.raises(daskome.WriteError, match="there is no zarr array"):
        later.compute(scheduler="sync")


@pytest.mark.parametrize(("path", "make"), list(GONE.values())[:-1], ids=list(GONE)[:-1])
def test_what_goes_later_fails_its_units(here: Path, path: str, make: Callable[[], Any]) -> None:
    later = daskome.write_image(make(), "out.zarr", [2], axes="yx", compute=False, retries=0)
    os.rename(path, "elsewhere")
    with pytest.raises(daskome.WriteError, match="there is no zarr array"):
        later.compute(scheduler="sync")
    assert "ome" not in zarr.open_group("out.zarr", mode="r").attrs


@pytest.mark.parametrize(
    "make", [stored, hdf5, lambda: np.load("a.npy", mmap_mode="r"), lambda: da.from_zarr(stored())]
)
def test_a_worker_that_cannot_read_is_named_before_anything_is_written(
    here: Path, make: Callable[[], Any], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daskome.execution import executors

    image = as_source(make())
    for path in ("v3.zarr", "a.h5", "a.npy"):
        os.rename(path, f"{path}-elsewhere")
    monkeypatch.setattr(executors, "check_there", lambda array: None)  # The client sees it, and workers do not.
    with pytest.raises(FileNotFoundError, match=r"the worker at tcp://.* cannot read .*2 of 2 workers cannot"):
        daskome.write_image(image, "out.zarr", [2], axes="yx")
    assert not Path("out.zarr").exists()


def test_another_array_at_its_place_is_none_of_it(here: Path) -> None:
    image = stored()
    shutil.rmtree("v3.zarr/a")
    zarr.create_array("v3.zarr/a", data=VALUES[:32], chunks=(32, 32))
    with pytest.raises(ValueError, match=r"another array than when it was opened: its shape was \[64, 64\]"):
        daskome.write_image(image, "out.zarr", [2], axes="yx")


def test_other_attributes_and_missing_chunks_are_none_of_the_matter(here: Path) -> None:
    image = stored()
    zarr.open_array("v3.zarr/a").attrs["more"] = float("1")
    shutil.rmtree("v3.zarr/a/c/0")
    check_there(image)
    check_still_there(image)


def test_an_unseen_nan_is_the_same_nan(here: Path) -> None:
    check_there(zarr.create_array("nan.zarr", shape=(4, 4), dtype="float32", fill_value=np.nan))


def test_a_copy_on_write_map_travels_with_its_changes(here: Path, client: Client) -> None:
    image = np.load("a.npy", mmap_mode="c")
    image[0] = 7
    daskome.write_image(image, "out.zarr", None, axes="yx")
    assert (zarr.open_array("out.zarr/s0")[0] == 7).all()


def test_a_file_of_hdf5_that_is_being_written_is_flushed(here: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File("b.h5", "w") as file:
        image = file.create_dataset("a", data=VALUES, chunks=(32, 32))
        daskome.write_image(image, "out.zarr", [2], axes="yx")
    np.testing.assert_array_equal(zarr.open_array("out.zarr/s0")[...], VALUES)


@pytest.mark.parametrize("opened", ["a file", "memory", "another folder"])
def test_hdf5_that_no_path_leads_to_cannot_travel(here: Path, opened: str, monkeypatch: pytest.MonkeyPatch) -> None:
    h5py = pytest.importorskip("h5py")
    if opened == "a file":
        image = h5py.File(io.BytesIO(Path("a.h5").read_bytes()), "r")["a"]
    elif opened == "memory":
        image = h5py.File("memory.h5", "w", driver="core", backing_store=False).create_dataset("a", data=VALUES)
    else:
        image = hdf5()
        (here / "elsewhere").mkdir()
        monkeypatch.chdir(here / "elsewhere")
    assert read_by(as_source(image).array) == []
    daskome.write_image(image, "out.zarr", [2], axes="yx")
    np.testing.assert_array_equal(zarr.open_array("out.zarr/s0")[...], VALUES)


def test_virtual_datasets_of_files_that_are_missing_are_refused(here: Path) -> None:
    h5py = pytest.importorskip("h5py")
    layout = h5py.VirtualLayout((64, 64), "uint16")
    layout[...] = h5py.VirtualSource("a.h5", "a", (64, 64))
    with h5py.File("virtual.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    assert as_source(h5py.File("virtual.h5")["v"]).array[0:1, 0:1] == 1
    os.rename("a.h5", "elsewhere.h5")
    for opened in (lambda: h5py.File("virtual.h5")["v"], lambda: daskome.read("virtual.h5::v")):
        with pytest.raises(FileNotFoundError, match=r"takes a part from .*a\.h5, which is not there"):
            as_source(opened())


def test_zip_files_are_found_from_other_folders(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ZipStore("a.zip", mode="w") as store:
        zarr.create_array(store, data=VALUES, chunks=(32, 32))
    image = as_source(zarr.open_array(ZipStore("a.zip", mode="r"), mode="r"))
    assert isinstance(image, Source)
    assert Path(image.array.store.path).is_absolute()
