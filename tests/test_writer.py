"""The calls, as users make them: kinds of images, targets, options, and mistakes."""

import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray
import zarr
from dask.delayed import Delayed

import daskome
from daskome.sources import adapt
from tests.written import contents, is_image, levels

RNG = np.random.default_rng(0)
CUBE = RNG.integers(0, 1000, (20, 30, 40)).astype("uint16")


def attributes(target: Any) -> dict[str, Any]:
    found = zarr.open_group(target, mode="r").attrs.asdict()
    return found.get("ome", found)


# -- images


@pytest.mark.extended
def test_every_kind_of_image_gives_the_same_bytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = CUBE
    np.save(tmp_path / "a.npy", CUBE)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        kinds = {
            "numpy": CUBE,
            "dask": da.from_array(CUBE, chunks=7),
            "zarr2": zarr.create_array(zarr.storage.MemoryStore(), data=CUBE, zarr_format=2, chunks=(5, 30, 40)),
            "zarr3": zarr.create_array(zarr.storage.MemoryStore(), data=CUBE, shards=(20, 20, 20), chunks=(10, 10, 10)),
            "hdf5": file["data"],
            "memmap": np.load(tmp_path / "a.npy", mmap_mode="r"),
            "fortran": np.asfortranarray(CUBE),
            "list": CUBE.tolist() and CUBE,
        }
        for name, image in kinds.items():
            daskome.write_image(image, tmp_path / name, [2, 4])
    for name in kinds:
        assert contents(tmp_path / name) == contents(tmp_path / "numpy"), name


def test_xarray_gives_axes_scale_origin_units_and_name() -> None:
    image = xarray.DataArray(
        da.from_array(CUBE[None]),
        dims=("c", "z", "y", "x"),
        name="cells",
        coords={
            "c": ["DAPI"],
            "z": ("z", 5 + 2.0 * np.arange(20), {"units": "um"}),
            "y": 0.5 * np.arange(30),
            "x": 0.5 * np.arange(40),
        },
    )
    plan = daskome.write_image(image, zarr.storage.MemoryStore(), [2])
    (pyramid,) = plan.pyramids
    assert "".join(a.name for a in pyramid.axes) == "czyx"
    assert pyramid.axes[1].unit == "micrometer"
    assert pyramid.levels[0].scale == (1, 2, 0.5, 0.5)
    assert pyramid.levels[1].translation == (0, 6, 0.25, 0.25)
    assert pyramid.name == "cells"


def test_an_irregular_coordinate_is_refused() -> None:
    image = xarray.DataArray(np.zeros((3, 3)), dims=("y", "x"), coords={"x": [0.0, 1.0, 5.0]})
    with pytest.raises(ValueError, match="'x' is not regular"):
        daskome.plan_image(image)


@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "float16",
        "float32",
        "float64",
        ">u2",
        ">f4",
    ],
)
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_every_dtype(dtype: str, fmt: str) -> None:
    image = RNG.integers(0, 2, (9, 9)).astype(dtype)
    store = zarr.storage.MemoryStore()
    daskome.write_image(image, store, [2], fmt=fmt)
    np.testing.assert_array_equal(levels(store)[0], image)
    assert levels(store)[1].dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), "complex64"), "complex64"),
        (np.zeros((4, 4), object), "object"),
        (np.zeros((4, 4), "datetime64[s]"), "datetime64"),
        (np.zeros((4, 4), "S3"), "bytes"),
        (np.zeros(4), "dimensions"),
        (np.zeros((1,) * 6), "dimensions"),
        (np.zeros((0, 4)), "empty"),
        (np.zeros((4, 4, 4, 4)), "axes are needed"),
    ],
)
def test_images_that_cannot_be_are_refused_by_name(tmp_path: Path, image: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        daskome.write_image(image, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(TypeError, match=r"path; .*daskome\.read"):
        daskome.plan_image("a.tif")


def test_dask_chunks_of_unknown_size_are_refused() -> None:
    image = da.from_array(CUBE[0], chunks=5)
    with pytest.raises(ValueError, match="unknown size"):
        daskome.plan_image(image[image[:, 0] > 500])


def test_blocks_of_another_dtype_than_declared_fail_the_call(tmp_path: Path) -> None:
    image = da.from_array(CUBE, chunks=20).map_blocks(lambda b: b / 3, dtype="uint16")
    with pytest.raises(daskome.WriteError, match="float64, but the image says uint16"):
        daskome.write_image(image, tmp_path / "a", retries=0)
    assert not is_image(tmp_path / "a")


# -- targets


def test_targets(tmp_path: Path) -> None:
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="w") as zipped:
        targets = {
            "path": tmp_path / "path",
            "string": str(tmp_path / "string"),
            "url": f"file://{tmp_path}/url",
            "group": zarr.create_group(tmp_path / "group"),
            "inner": zarr.create_group(tmp_path / "outer").create_group("inner"),
            "local": zarr.storage.LocalStore(tmp_path / "local"),
            "memory": zarr.storage.MemoryStore(),
            "zip": zipped,
        }
        for target in targets.values():
            daskome.write_image(CUBE, target, [2])
        expected = contents(tmp_path / "path")
        for name in ("string", "url", "group", "local", "outer/inner"):
            assert contents(tmp_path / name) == expected, name
    with zarr.storage.ZipStore(tmp_path / "a.zip", mode="r") as zipped:
        np.testing.assert_array_equal(levels(zipped)[0], CUBE)
    np.testing.assert_array_equal(levels(targets["memory"])[0], CUBE)


def test_an_fsspec_url() -> None:
    daskome.write_image(CUBE, "memory://bucket/a.ome.zarr", [2])
    store = zarr.storage.FsspecStore.from_url("memory://bucket/a.ome.zarr")
    np.testing.assert_array_equal(levels(store)[0], CUBE)


def test_the_version_follows_the_group() -> None:
    group = zarr.create_group(zarr.storage.MemoryStore(), zarr_format=2)
    assert daskome.write_image(CUBE, group, [2]).version == "0.4"
    assert group.store_path  # 0.4 is zarr v2
    assert attributes(group.store)["multiscales"][0]["version"] == "0.4"


def test_unwritable_targets_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="is a file"):
        daskome.write_image(CUBE, tmp_path / "file" / "a")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        daskome.write_image(CUBE, tmp_path / "file")
    with pytest.raises(PermissionError, match="reading only"):
        daskome.write_image(CUBE, zarr.storage.LocalStore(tmp_path / "a", read_only=True))
    with pytest.raises(TypeError, match="must be a path"):
        daskome.write_image(CUBE, 3)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        daskome.write_image(CUBE, tmp_path / "a")


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="not a zarr group"):
            daskome.write_image(CUBE, tmp_path, overwrite=overwrite)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_targets_that_overlap_the_source_are_refused(tmp_path: Path) -> None:
    daskome.write_image(CUBE, tmp_path / "a", [2])
    before = contents(tmp_path / "a")
    source = zarr.open_array(tmp_path / "a" / "s0", mode="r")
    lazy = da.from_zarr(source)
    for image in (source, lazy, lazy + 1, da.from_array(source, inline_array=True)):
        for target in (tmp_path / "a", tmp_path / "a" / "s0" / "x", tmp_path / "b" / ".." / "a"):
            with pytest.raises(ValueError, match="overlaps the source"):
                daskome.write_image(image, target, overwrite=True)
    assert contents(tmp_path / "a") == before
    daskome.write_image(source, tmp_path / "a" / "other", [2])


# -- overwriting


def test_an_image_is_replaced_only_on_request(tmp_path: Path) -> None:
    daskome.write_image(CUBE, tmp_path / "a", [2, 4])
    before = contents(tmp_path / "a")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.write_image(CUBE + 1, tmp_path / "a")
    with pytest.raises(ValueError, match="scale factor"):
        daskome.write_image(CUBE, tmp_path / "a", [0], overwrite=True)
    with pytest.raises(ValueError, match="zarr cannot store"):
        daskome.write_image(CUBE, tmp_path / "a", storage_options={"compressors": {"name": "nonsense"}}, overwrite=True)
    assert contents(tmp_path / "a") == before
    daskome.write_image(CUBE + 1, tmp_path / "a", [2], overwrite=True)
    assert [level.shape for level in levels(tmp_path / "a")] == [(20, 30, 40), (10, 15, 20)]
    assert not (tmp_path / "a" / "s2").exists()
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE + 1)


def test_overwriting_keeps_what_is_not_of_the_image(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a", attributes={"mine": {"deep": 1}})
    group.create_group("labels").create_array("old", shape=(2,), dtype="u1")
    for _ in range(2):
        daskome.write_image(CUBE, group, [2], overwrite=True)
        found = zarr.open_group(tmp_path / "a", mode="r")
        assert found.attrs["mine"] == {"deep": 1}
        assert found["labels/old"].shape == (2,)
        assert set(found.attrs) == {"mine", "ome"}


def test_overwriting_in_another_zarr_format(tmp_path: Path) -> None:
    daskome.write_image(CUBE, tmp_path / "a", [2], fmt="0.4")
    daskome.write_image(CUBE, tmp_path / "a", [2], fmt="0.5", overwrite=True)
    assert not list((tmp_path / "a").rglob(".z*"))
    zarr.open_group(tmp_path / "a", mode="r+").create_group("labels")
    with pytest.raises(FileExistsError, match="labels"):
        daskome.write_image(CUBE, tmp_path / "a", [2], fmt="0.4", overwrite=True)
    assert is_image(tmp_path / "a")


def test_arrays_in_the_way_are_not_touched(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", name="s0", data=CUBE)
    with pytest.raises(FileExistsError, match="array s0 already"):
        daskome.write_image(CUBE, tmp_path / "a")
    with pytest.raises(FileExistsError, match="is a zarr array"):
        daskome.write_image(CUBE, tmp_path / "a" / "s0", overwrite=True)


# -- options


def test_storage_options_reach_the_arrays(tmp_path: Path) -> None:
    options = [
        {
            "chunks": (10, 10, 10),
            "shards": (20, 30, 40),
            "compressors": zarr.codecs.ZstdCodec(level=5),
            "fill_value": 3,
        },
        {"chunks": {"z": 5, "y": 15, "x": 20}, "compressor": None, "attributes": {"note": "coarse"}},
    ]
    daskome.write_image(CUBE, tmp_path / "a", [2], storage_options=options)
    fine, coarse = (zarr.open_array(tmp_path / "a" / path, mode="r") for path in ("s0", "s1"))
    assert (fine.chunks, fine.shards, fine.fill_value) == ((10, 10, 10), (20, 30, 40), 3)
    assert fine.compressors[0].to_dict()["configuration"]["level"] == 5
    assert (coarse.chunks, coarse.shards, coarse.compressors) == ((5, 15, 20), None, ())
    assert coarse.attrs["note"] == "coarse"
    assert fine.metadata.dimension_names == ("z", "y", "x")
    np.testing.assert_array_equal(fine[...], CUBE)


def test_storage_options_of_zarr_v2(tmp_path: Path) -> None:
    import numcodecs

    options = {
        "compressor": numcodecs.Blosc("lz4"),
        "order": "F",
        "dimension_separator": ".",
        "filters": [numcodecs.Delta("u2")],
    }
    daskome.write_image(CUBE, tmp_path / "a", [2], fmt="0.4", storage_options=options)
    array = zarr.open_array(tmp_path / "a" / "s0", mode="r")
    assert (tmp_path / "a" / "s0" / "0.0.0").exists()
    assert array.compressors[0].cname == "lz4"
    assert array.metadata.order == "F"
    np.testing.assert_array_equal(array[...], CUBE)


def test_the_callers_options_are_not_changed() -> None:
    options = {"compressor": None, "chunks": 16}
    daskome.plan_image(CUBE, storage_options=options)
    assert options == {"compressor": None, "chunks": 16}


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "axes too few": ({"axes": "yx"}, "3 dimensions"),
    "axes twice": ({"axes": "zzx"}, "repeat 'z'"),
    "space before channel": ({"axes": "yxc"}, "time, channel, space"),
    "one axis of space": ({"axes": "tcx"}, "have 1 of space; an image has 2 or 3"),
    "unknown axis": ({"axes": "qyx"}, "'q'"),
    "shards": ({"storage_options": {"chunks": 8, "shards": 12}}, "shards of 8 or 16"),
    "options too few": ({"scale_factors": [2, 4], "storage_options": [{}, {}]}, "2 entries.*3 levels"),
    "unknown option": ({"storage_options": {"chunk": 8}}, "did you mean 'chunks'"),
    "owned option": ({"storage_options": {"zarr_format": 2}}, "follows from fmt"),
    "factor 0": ({"scale_factors": [0]}, "whole number"),
    "factor along c": ({"axes": "cyx", "scale_factors": [{"c": 2}]}, "only space is downsampled"),
    "factors relative": ({"scale_factors": [2, 3]}, "multiple of the previous one"),
    "too many levels": ({"scale_factors": [2**k for k in range(1, 20)]}, "no smaller|allows fewer"),
    "scale nan": ({"scale": (1, float("nan"), 1)}, "finite"),
    "scale zero": ({"scale": (1, 0, 1)}, "positive"),
    "scale length": ({"scale": (1, 1)}, "2 values"),
    "scale of no axis": ({"scale": {"q": 1}}, "'q'"),
    "unit": ({"axes_units": 5}, "micrometer"),
    "version": ({"fmt": "0.55"}, "did you mean '0.5'"),
    "method": ({"method": "meen"}, "mean"),
    "channels": ({"channels": ["a", "b"]}, "2 channels"),
    "colour": ({"channels": [{"label": "a", "color": "green"}]}, "RRGGBB"),
    "window": ({"channels": [{"label": "a", "window": (0, float("inf"))}]}, "finite"),
    "memory": ({"memory": "150MB"}, "memory"),
    "shards in v2": ({"fmt": "0.4", "storage_options": {"shards": 16}}, "no shards"),
    "negative chunks": ({"storage_options": {"chunks": -1}}, "positive"),
}  # fmt: skip


@pytest.mark.sampled(5)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_explained_before_anything_is_written(tmp_path: Path, mistake: str) -> None:
    arguments, said = MISTAKES[mistake]
    daskome.write_image(CUBE, tmp_path / "old", [2])
    before = contents(tmp_path / "old")
    for target in ("new", "old"):
        with pytest.raises(ValueError, match=said):
            daskome.write_image(CUBE, tmp_path / target, overwrite=True, **arguments)
    assert not (tmp_path / "new").exists()
    assert contents(tmp_path / "old") == before


def test_omero(tmp_path: Path) -> None:
    image = np.stack([CUBE, CUBE * 2])
    channels = ["DAPI", {"label": "GFP", "color": "#ffff00", "window": (0, 100)}]
    for fmt in ("0.4", "0.5"):
        daskome.write_image(image, tmp_path / fmt, [2], axes="czyx", fmt=fmt, channels=channels)
        omero = attributes(tmp_path / fmt)["omero"]
        dapi, gfp = omero["channels"]
        low, high = np.percentile(levels(tmp_path / fmt)[-1][0].astype(float), (0.1, 99.9))
        assert (dapi["label"], dapi["color"], dapi["window"]) == (
            "DAPI", "0000FF", {"min": 0, "max": 65535, "start": low, "end": high},
        )  # fmt: skip
        assert (gfp["color"], gfp["window"]) == ("FFFF00", {"min": 0, "max": 100, "start": 0, "end": 100})
        assert omero["rdefs"] == {"defaultT": 0, "defaultZ": 10, "model": "color"}


# -- write_multiscale, compute=False, plan_image


def test_levels_that_the_caller_has(tmp_path: Path) -> None:
    pyramid = [CUBE, da.from_array(CUBE[::2, ::2, ::2], chunks=4), CUBE[::4, ::4, ::4]]
    plan = daskome.write_multiscale(pyramid, tmp_path / "a", scale=(2, 1, 1), method="nearest", name="mine")
    for written, given in zip(levels(tmp_path / "a"), pyramid, strict=True):
        np.testing.assert_array_equal(written, given)
    assert plan.pyramids[0].levels[2].scale == (8, 4, 4)
    assert plan.pyramids[0].levels[2].translation == (0, 0, 0)
    assert attributes(tmp_path / "a")["multiscales"][0]["name"] == "mine"


@pytest.mark.parametrize(
    ("pyramid", "said"),
    [
        ([], "no levels"),
        ([CUBE, CUBE], "does not shrink"),
        ([CUBE[::2], CUBE], "does not shrink"),
        ([CUBE, CUBE[::2].astype("float32")], "float32"),
        ([CUBE, CUBE[::2, ::2, 0]], "axes|dimensions"),
    ],
)
def test_levels_that_do_not_fit_are_refused(tmp_path: Path, pyramid: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        daskome.write_multiscale(pyramid, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_one_graph_of_everything_is_refused_where_it_would_not_fit(tmp_path: Path) -> None:
    """Each unit is a task of it, before the first is written: a petabyte's would take days and all memory."""
    image = zarr.create_array(zarr.storage.MemoryStore(), shape=(60_000,) * 3, chunks=(128,) * 3, dtype="uint8")
    units = f"{daskome.plan_image(image, axes='zyx').n_units:,}"
    with pytest.raises(ValueError, match=f"one Dask graph of {units} units.*GiB.*compute='init'"):
        daskome.write_image(image, tmp_path / "a", axes="zyx", compute=False)
    assert not (tmp_path / "a").exists()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("scheduler", ["threads", "sync", "processes"])
def test_compute_false_does_everything_later(tmp_path: Path, tiny_blocks: None, scheduler: str) -> None:
    lazy = daskome.write_image(
        da.from_array(CUBE, chunks=16), tmp_path / "a", [2, 4, 8], compute=False, storage_options={"chunks": 8}
    )
    assert isinstance(lazy, Delayed)
    assert not (tmp_path / "a").exists()
    plan = lazy.compute(scheduler=scheduler, num_workers=2)
    daskome.write_image(CUBE, tmp_path / "b", [2, 4, 8], storage_options={"chunks": 8})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert plan.n_units > 1


def test_compute_false_that_fails_publishes_nothing(tmp_path: Path) -> None:
    def broken(block: Any) -> Any:
        raise RuntimeError("no such luck")

    image = da.from_array(CUBE, chunks=8).map_blocks(broken, dtype="uint16", meta=np.empty((0, 0, 0), "uint16"))
    lazy = daskome.write_image(image, tmp_path / "a", [2], compute=False)
    with pytest.raises(RuntimeError, match="no such luck"):
        lazy.compute()
    assert not is_image(tmp_path / "a")


def test_the_dry_run_says_what_will_be_and_writes_nothing(tmp_path: Path) -> None:
    plan = daskome.plan_image(CUBE, tmp_path / "a", [2, 4], storage_options={"chunks": 5, "shards": 10})
    for said in (
        "20, 30, 40",
        "5, 5, 5",
        "10, 10, 10",
        "4, 4, 4",
        "1.5",
        "s2",
        "unit",
        "stage",
        "peak memory",
        "read 1.00",
    ):
        assert said in repr(plan)
        assert said in plan._repr_html_()
    assert not (tmp_path / "a").exists()
    written = daskome.write_image(CUBE, tmp_path / "a", [2, 4], storage_options={"chunks": 5, "shards": 10})
    assert written == plan
    with pytest.raises(FileExistsError):
        daskome.plan_image(CUBE, tmp_path / "a")


def test_axes_out_of_custom_order_are_a_warning_free_choice() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plan = daskome.plan_image(CUBE, axes=[{"name": "phase", "type": "phase"}, "y", "x"], scale_factors=[2])
    assert plan.pyramids[0].levels[1].factors == (1, 2, 2)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_is_said_before_the_image_is_written_is_kept(tmp_path: Path, version: str) -> None:
    """As with ome_zarr: `root.attrs["omero"] = …`, then the image."""
    shown = {"channels": [{"label": "a", "color": "00FF00", "window": {"min": 0, "max": 9, "start": 0, "end": 9}}]}
    said = {"omero": shown} if version == "0.4" else {"ome": {"omero": shown}}
    group = zarr.create_group(tmp_path / "a", zarr_format=2 if version == "0.4" else 3, attributes={**said, "mine": 1})
    daskome.write_image(CUBE, group, [2], fmt=version)
    found = zarr.open_group(tmp_path / "a", mode="r").attrs.asdict()
    assert found["mine"] == 1
    assert found.get("ome", found)["omero"] == shown
    daskome.write_image(CUBE, group, [2], fmt=version, overwrite=True)
    found = zarr.open_group(tmp_path / "a", mode="r").attrs.asdict()
    assert found["mine"] == 1
    assert "omero" not in found.get("ome", found)


@pytest.mark.parametrize("path", ["../s0", "a/../../s0", "/s0", ".", ""])
def test_levels_outside_their_group_are_refused(path: str) -> None:
    store = zarr.storage.MemoryStore()
    dataset = {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}
    with pytest.raises(ValueError, match=r"must be a path inside the group, such as 's0' \(section 'multiscales'\)"):
        daskome.write_multiscales_metadata(store, [dataset], axes="yx")
    assert not store._store_dict


def test_an_image_is_looked_at_once_and_zarr_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph of an image may be large, and to make an array in memory takes a millisecond: to try, create, and write it."""
    seen: Counter[str] = Counter()

    def counting(module: Any, name: str) -> None:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kw: (seen.update([name]), function(*args, **kw))[1])

    counting(adapt, "shared_keys")
    counting(zarr, "create_array")
    image = da.from_array(CUBE, chunks=10)
    plan = daskome.write_image(image, zarr.storage.MemoryStore(), [2, 4, 8])
    assert seen == {"shared_keys": 1, "create_array": 3 * len(plan.pyramids[0].levels)}
    seen.clear()
    labels = {"cells": da.from_array(CUBE, chunks=10)}
    daskome.write_image(image, zarr.storage.MemoryStore(), [2], labels=labels, compute=False).compute()
    assert seen == {"shared_keys": 2, "create_array": 16}


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_compressors_have_short_names_in_every_version(tmp_path: Path, fmt: str) -> None:
    """As `try_codecs` prints them and the command takes them; spelt for the version that is written, not the newest."""
    options: Any = {"chunks": 16, "compressors": "gzip:5"}
    daskome.write_image(CUBE, tmp_path / "a", None, fmt=fmt, axes="zyx", storage_options=options)
    daskome.write_labels(CUBE, tmp_path / "a", "cells", None, axes="zyx", storage_options=options)
    daskome.add_levels(tmp_path / "a", [2], storage_options=options)
    for path in ("s0", "s1", "labels/cells/s0", "labels/cells/s1"):
        (codec,) = zarr.open_array(tmp_path / "a" / path, mode="r").compressors
        assert "gzip" in type(codec).__name__.lower(), path


@pytest.mark.parametrize(
    "options", [{"compute": "int"}, {"compute": 1}, {"retries": -1}, {"retries": "2"}, {"retries": 1.5}]
)
def test_how_it_is_written_is_checked_before_anything_is(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        daskome.write_image(CUBE, tmp_path / "a", [2], axes="zyx", **options)
    assert not (tmp_path / "a").exists()
