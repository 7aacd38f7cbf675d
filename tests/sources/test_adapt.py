"""Images as callers have them: what they say of themselves, and what they may return."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece

VALUES = np.arange(64, dtype="uint16").reshape(8, 8)


# ---- coordinates


@pytest.mark.parametrize("part", [lambda image: image, lambda image: image[2:], lambda image: image[::-1, 3:]])
@pytest.mark.parametrize("kind", ["zarr", "netCDF"])
def test_what_xarray_has_not_loaded_is_read_in_pieces(tmp_path: Path, kind: str, part: Callable[[Any], Any]) -> None:
    """All of it may be more than memory holds."""
    xarray = pytest.importorskip("xarray")
    values = np.arange(64, dtype="int16").reshape(8, 8)
    dataset = xarray.Dataset({"s0": (("y", "x"), values)})
    if kind == "zarr":
        dataset.to_zarr(tmp_path / "a", encoding={"s0": {"chunks": (4, 4)}}, consolidated=False)
        image = part(xarray.open_zarr(tmp_path / "a", chunks=None, consolidated=False)["s0"])
    else:
        dataset.to_netcdf(tmp_path / "a", engine=pytest.importorskip("scipy") and "scipy")
        image = part(xarray.open_dataset(tmp_path / "a", engine="scipy")["s0"])
    daskome.write_image(image, tmp_path / "image")
    assert not image.variable._in_memory
    assert (zarr.open_array(tmp_path / "image" / "s0")[...] == part(values)).all()


def test_what_xarray_has_not_loaded_is_cut_as_it_is_stored(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    dataset = xarray.Dataset({"s0": (("z", "y", "x"), np.zeros((2, 9, 8)))})
    dataset.to_zarr(tmp_path / "a", encoding={"s0": {"chunks": (1, 4, 5)}}, consolidated=False)
    image = xarray.open_zarr(tmp_path / "a", chunks=None, consolidated=False)["s0"]
    assert list(map(tuple, as_source(image).chunks)) == [(1, 1), (4, 4, 1), (5, 3)]
    assert list(map(tuple, as_source(image[0]).chunks)) == [(4, 4, 1), (5, 3)]
    renamed = image.rename(y="height")
    assert (as_source(renamed).shape, renamed.variable._in_memory) == ((2, 9, 8), False)
    image.encoding["preferred_chunks"] = {"z": 1, "y": (4, 5), "x": 8}  # As of a grid that is not regular.
    assert (as_source(image[:, 1:]).shape, image.variable._in_memory) == ((2, 8, 8), False)


def labelled(**coords: Any) -> Any:
    xarray = pytest.importorskip("xarray")
    return xarray.DataArray(np.zeros((3, 1, 4, 5), "uint8"), dims=list("czyx"), coords=coords)


def test_regular_coordinates_are_scale_and_translation() -> None:
    source = as_source(labelled(y=[1.0, 1.5, 2.0, 2.5], x=range(5)))
    assert source.scale == {"y": 0.5, "x": 1.0}
    assert source.translation == {"y": 1.0, "x": 0.0}
    assert source.irregular == ()


def test_nanometers_in_meters_are_not_regular_just_for_being_small() -> None:
    source = as_source(labelled(y=[0, 1e-9, 3e-9, 4e-9], x=np.arange(5) * 2e-9))
    assert source.irregular == ("y",)
    assert source.scale == {"x": pytest.approx(2e-9)}
    assert source.translation == {"x": 0.0}


@pytest.mark.parametrize(("name", "known"), [(None, None), ("cells", "cells"), ("a-b", "a-b"), (7, "7")])
def test_names_of_xarrays_are_those_that_somebody_gave(name: Any, known: str | None) -> None:
    xarray = pytest.importorskip("xarray")
    image = xarray.DataArray(da.zeros((4, 4), chunks=2), dims=("y", "x"), name=name)
    assert as_source(image).name == known
    assert as_source(image + 1).name == known


def test_levels_are_no_image() -> None:
    with pytest.raises(TypeError, match=r"list of parts that differ in shape.*daskome\.write_multiscale"):
        as_source([np.zeros((4, 4)), np.zeros((2, 2))])


@pytest.mark.parametrize("values", [[3, 2, 1, 0], [0, 1, 1, 2], [0, 1, 2, 4], [0, 0, 0, 0], [0, 1, float("nan"), 3]])
def test_irregular_coordinates_are_named(values: list[float]) -> None:
    source = as_source(labelled(y=values, x=range(5)))
    assert source.irregular == ("y",)
    assert source.scale == {"x": 1.0}


def test_channels_have_no_scale() -> None:
    source = as_source(labelled(c=[405, 488, 647]))
    assert (source.scale, source.translation, source.irregular) == ({}, {}, ())
    assert as_source(labelled(c=["a", "b", "d"])).irregular == ()


def test_one_value_is_a_position() -> None:
    source = as_source(labelled(z=("z", [7.5], {"units": "micrometer"})))
    assert (source.scale, source.translation, source.irregular) == ({}, {"z": 7.5}, ())
    assert source.units == {"z": "micrometer"}


# ---- what they return


class Other:
    """An array-like that says one thing and returns another."""

    def __init__(self, found: Any, dtype: str = "uint8", shape: tuple[int, ...] = (4, 4)) -> None:
        self.found, self.dtype, self.shape = found, np.dtype(dtype), shape

    def __getitem__(self, index: Any) -> Any:
        return self.found


WHOLE = ((0, 4), (0, 4))


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (
            np.full((4, 4), 300, "uint16"),
            TypeError,
            r"block \[0:4, 0:4\] of the image is uint16, but the image says uint8",
        ),
        (np.ones((4, 4)), TypeError, "is float64, but the image says uint8"),
        (np.ones((4, 1), "uint8"), ValueError, r"shape \(4, 1\), but the image says \(4, 4\)"),
        (np.uint8(3), ValueError, r"shape \(\), but the image says \(4, 4\)"),
        (np.ma.masked_equal(np.zeros((4, 4), "uint8"), 0), TypeError, "masked values; fill them"),
    ],
)
def test_what_is_not_as_declared_is_refused(found: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        source_piece(as_source(Other(found)), WHOLE, (4, 4)).compute(scheduler="sync")


def test_any_byte_order_is_as_declared() -> None:
    for declared, returned in (("<u2", ">u2"), (">u2", "<u2"), (">f4", ">f4")):
        values = np.arange(16).reshape(4, 4).astype(returned)
        found = source_piece(as_source(Other(values, declared)), WHOLE, (4, 4)).compute(scheduler="sync")
        assert found.dtype.isnative
        np.testing.assert_array_equal(found, values)


def test_a_masked_array_without_masked_values_is_as_good_as_any() -> None:
    part = source_piece(as_source(Other(np.ones((4, 4), "uint8").view(np.ma.MaskedArray))), WHOLE, (4, 4))
    assert part.compute(scheduler="sync").sum() == 16


def test_masked_arrays_are_refused() -> None:
    with pytest.raises(TypeError, match=r"fill them first, as in image\.filled\(0\)"):
        as_source(np.ma.masked_equal(VALUES, 3))


def test_of_a_dataset_a_variable_is_to_be_chosen() -> None:
    xarray = pytest.importorskip("xarray")
    with pytest.raises(TypeError, match="xarray Dataset; choose one of its variables: 'a', 'b'"):
        as_source(xarray.Dataset({"a": ("x", [1]), "b": ("x", [2])}))


# ---- memory maps


def mapped_nbytes() -> int:
    """Return how much of the memory of this process are pages of files."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssFile"))


@pytest.mark.sampled(2)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is asked of Linux")
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_memory_map_does_not_fill_memory(tmp_path: Path, order: Any) -> None:
    values = np.asarray(np.arange(2**25, dtype=">u2").reshape(128, 512, 512), order=order)  # 64 MiB
    np.save(tmp_path / "a.npy", values)
    source = as_source(np.load(tmp_path / "a.npy", mmap_mode="r"))
    before = mapped_nbytes()
    for start in range(0, 128, 32):
        region = ((start, start + 32), (0, 512), (0, 512))
        piece = source_piece(source, region, (32, 128, 128)).compute(scheduler="sync")
        assert np.array_equal(piece, values[start : start + 32])
    assert mapped_nbytes() - before < 24 * 2**20


def test_changes_of_a_memory_map_that_are_its_own_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", VALUES)
    image = np.load(tmp_path / "a.npy", mmap_mode="c")
    image[0] = 7
    for _ in range(2):
        found = source_piece(as_source(image), ((0, 8), (0, 8)), (4, 4)).compute(scheduler="sync")
        assert (found[0] == 7).all()


@pytest.mark.parametrize("part", ["[1:]", "[::-1, ::2]", ".T", "[2:, 3:5].T"])
def test_a_part_of_a_memory_map_is_read_as_a_map(tmp_path: Path, part: str) -> None:
    values = np.arange(24 * 8, dtype="uint16").reshape(24, 8)
    np.save(tmp_path / "a.npy", values)
    mapped = eval(f"x{part}", {"x": np.load(tmp_path / "a.npy", mmap_mode="r")})
    source = as_source(mapped)
    assert type(source.array).__name__ == "Mapped"
    opened = pickle.loads(pickle.dumps(source.array))
    assert (opened[:, :] == eval(f"x{part}", {"x": values})).all()
