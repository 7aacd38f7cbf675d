"""The names of ome_zarr.scale: the shapes and means that a Scaler makes, in memory and in Dask."""

import dataclasses
import inspect
import pkgutil
import warnings
from itertools import pairwise
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

import daskome
from daskome.kernels.downsample import downsample
from daskome.kernels.methods import METHODS, find_method
from daskome.scale import FORMER_METHODS, Methods, Scaler

IMAGE = np.random.default_rng(0).integers(0, 2**16, (3, 67, 50)).astype("u2")
LISTS = [name for name in FORMER_METHODS if name != "resize_image"]


def theirs(**options: Any) -> Any:
    scale = pytest.importorskip("ome_zarr.scale")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return scale.Scaler(**options)


@pytest.mark.parametrize("name", METHODS)
def test_what_metadata_name_as_method_can_be_imported(name: str) -> None:
    store = zarr.storage.MemoryStore()
    daskome.write_image(IMAGE, store, [2], axes="zyx", method=name)
    stored: Any = zarr.open_group(store).attrs["ome"]
    address = stored["multiscales"][0]["metadata"]["method"]
    assert address == f"daskome.scale.{name}"
    assert pkgutil.resolve_name(address) is METHODS[name]
    assert find_method(address) is METHODS[name]
    np.testing.assert_array_equal(METHODS[name](IMAGE, (2, 2, 2)), zarr.open_array(store, path="s1")[...])


def test_functions_of_others_are_named_as_they_were() -> None:
    assert find_method(np.std).address == "numpy:std"


def test_other_names_are_not_there() -> None:
    with pytest.raises(AttributeError, match=r"'daskome\.scale' has no attribute 'medium'"):
        pkgutil.resolve_name("daskome.scale.medium")
    with pytest.raises(ValueError, match=r"unknown method 'daskome\.scale\.medium'"):
        find_method("daskome.scale.medium")


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("downscale", [2, 3])
def test_levels_are_made_from_each_other_along_the_last_two_axes(name: str, downscale: int) -> None:
    levels = getattr(Scaler(downscale=downscale, max_layer=3), name)(IMAGE)
    assert levels[0] is IMAGE
    assert len(levels) == 4
    for below, level in pairwise(levels):
        want = downsample(below, (1, downscale, downscale), find_method(name))
        np.testing.assert_array_equal(level, want, strict=True)


@pytest.mark.parametrize("name", [*FORMER_METHODS])
@pytest.mark.parametrize("chunks", [(1, 16, 50), (3, 7, 9), (2, 67, 1)])
def test_dask_arrays_stay_lazy_and_come_out_the_same(name: str, chunks: tuple[int, ...]) -> None:
    read = []
    lazy = da.from_array(IMAGE, chunks).map_blocks(
        lambda block: read.append(1) or block, dtype="u2", meta=np.empty(0, "u2")
    )
    scaler = Scaler(max_layer=2, method=name)
    got, want = scaler.func(lazy), scaler.func(IMAGE)
    assert not read
    for ours, level in zip(*(levels if isinstance(levels, list) else [levels] for levels in (got, want)), strict=True):
        assert isinstance(ours, da.Array)
        assert ours.shape == level.shape
        np.testing.assert_array_equal(ours.compute(scheduler="sync"), level, strict=True)


@pytest.mark.parametrize(("order", "method"), [(0, "nearest"), (1, "resize")])
def test_resize_image_is_one_level(order: int, method: str) -> None:
    got = Scaler(order=order).resize_image(IMAGE)
    np.testing.assert_array_equal(got, downsample(IMAGE, (1, 2, 2), METHODS[method]))


def test_local_means_are_those_of_ome_zarr_but_rounded() -> None:
    image = IMAGE[:, :64, :48]
    ours, their = (s.local_mean(image) for s in (Scaler(max_layer=1), theirs(max_layer=1)))
    assert abs(ours[1].astype("i8") - their[1]).max() <= 1
    assert [level.shape for level in ours] == [level.shape for level in their]


@pytest.mark.parametrize("name", ["nearest", "local_mean"])
def test_shapes_are_those_of_ome_zarr(name: str) -> None:
    image = np.zeros((2, 64, 96), "u1")
    ours, their = (getattr(scaler, name)(image) for scaler in (Scaler(), theirs()))
    assert [level.shape for level in ours] == [level.shape for level in their]


def test_fields_and_methods_are_those_of_ome_zarr() -> None:
    their = theirs()
    assert dataclasses.asdict(Scaler()) == {f.name: getattr(their, f.name) for f in dataclasses.fields(their)}
    assert set(their.methods()) - {"func"} == set(Scaler.methods())
    assert {m.name: m.value for m in Methods} == {
        m.name: m.value for m in pytest.importorskip("ome_zarr.scale").Methods
    }
    assert all(find_method(method.value) for method in Methods)
    assert list(inspect.signature(Scaler).parameters) == [f.name for f in dataclasses.fields(their)]


def test_func() -> None:
    assert Scaler(method="zoom").func(IMAGE)[0] is IMAGE
    with pytest.raises(ValueError, match="unknown method 'zom': use one of gaussian"):
        _ = Scaler(method="zom").func


def test_labels_stay_labels() -> None:
    levels = Scaler(labeled=True).nearest(IMAGE)
    assert set(np.unique(levels[-1])) <= set(np.unique(IMAGE))
    with pytest.raises(ValueError, match="makes values that are not among the labels"):
        Scaler(labeled=True).gaussian(IMAGE)
