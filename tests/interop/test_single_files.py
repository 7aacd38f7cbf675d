"""Single files between programs: what daskome writes, opened by zarr, ngff-zarr, bioio and TensorStore; theirs by daskome."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr
from zarr.storage import ZipStore

import daskome
from daskome.model.problem import errors
from tests.written import levels

IMAGE = np.random.default_rng(0).integers(0, 1000, (20, 65, 64)).astype("uint16")
OPTIONS: dict[str, Any] = {"axes": "zyx", "axes_units": "micrometer", "scale": (2, 0.5, 0.5)}


@pytest.fixture(params=["a.ozx", pytest.param("a.zip", marks=pytest.mark.extended)])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    cells = {"cells": {"labels": IMAGE % 3, "colors": {1: (255, 0, 0, 255)}}}
    daskome.write_image(IMAGE, tmp_path / request.param, [2], storage_options={"chunks": 16}, labels=cells, **OPTIONS)
    return tmp_path / request.param


def test_zarr_opens_it(written: Path) -> None:
    with ZipStore(written) as store:
        pyramid = levels(store)
    np.testing.assert_array_equal(pyramid[0], IMAGE)
    assert pyramid[1].shape == (10, 33, 32)


def test_tensorstore_opens_it(written: Path) -> None:
    base = {"driver": "zip", "base": f"file://{written}", "path": "s0/"}
    array = ts.open({"driver": "zarr3", "kvstore": base}, read=True).result()
    np.testing.assert_array_equal(array.read().result(), IMAGE)


def test_ngff_zarr_opens_it(written: Path) -> None:
    from ngff_zarr import from_ngff_zarr

    images = from_ngff_zarr(str(written)).images
    np.testing.assert_array_equal(np.asarray(images[0].data), IMAGE)
    assert images[1].scale == {"z": 4, "y": 1, "x": 1}


@pytest.mark.extended
def test_bioio_opens_it(written: Path) -> None:
    from bioio_ome_zarr import Reader

    reader = Reader(str(written))
    try:
        np.testing.assert_array_equal(np.squeeze(reader.data), IMAGE)
        assert reader.physical_pixel_sizes.Z == 2
    finally:
        reader._zarr.store.close()


@pytest.mark.extended
def test_ngff_zarrs_are_opened(tmp_path: Path) -> None:
    from ngff_zarr import to_multiscales, to_ngff_image, to_ngff_zarr

    image = to_ngff_image(IMAGE, dims=["z", "y", "x"], scale={"z": 2, "y": 0.5, "x": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        to_ngff_zarr(str(tmp_path / "a.ozx"), to_multiscales(image, [], chunks=16), version="0.5")
    check_theirs(tmp_path / "a.ozx")


@pytest.mark.extended
def test_bioios_are_opened(tmp_path: Path) -> None:
    from bioio_ome_zarr.writers import OMEZarrWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        writer = OMEZarrWriter(
            str(tmp_path / "a.ozx"), [IMAGE.shape, (10, 33, 32)], IMAGE.dtype, axes_names=["z", "y", "x"],
            axes_types=["space"] * 3, zarr_format=3,
        )  # fmt: skip
        writer.write_full_volume(IMAGE)
        writer.close()
    check_theirs(tmp_path / "a.ozx")


def test_zarrs_own_are_opened(tmp_path: Path) -> None:
    """Written straight into zarr's store, whose root document comes last."""
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        daskome.write_image(IMAGE, store, [2], **OPTIONS)
    check_theirs(tmp_path / "a.zip")
    (tmp_path / "a.zip").rename(tmp_path / "b.ozx")
    assert "does not list its documents first" in str(daskome.validate(tmp_path / "b.ozx"))


def check_theirs(path: Path) -> None:
    """Check that it is read, as are its levels, and what validate says; and that it can be packed anew, in order."""
    np.testing.assert_array_equal(np.squeeze(daskome.open(path).dask.compute()), IMAGE)
    assert errors(daskome.validate(path)) == []
    daskome.pack(path, path.with_name("again.ozx"))
    of_archive = [problem for problem in daskome.validate(path.with_name("again.ozx")) if "archive" in problem.where]
    assert all("shards" in problem.message for problem in of_archive)
    with ZipStore(path.with_name("again.ozx")) as store:
        assert isinstance(zarr.open_group(store, mode="r"), zarr.Group)
