"""Regions that are written anew, and images that get longer: what may be said of them, and what they leave."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
import zarr
from click.testing import CliRunner
from zarr.storage import MemoryStore, ZipStore

import daskome
from daskome.cli.main import main
from daskome.model.problem import errors
from daskome.stores.groups import UNFINISHED_KEY
from tests.kills import Death, Mortal, copied, digest
from tests.written import Counting, contents, levels, lights_out

IMAGE = np.random.default_rng(0).integers(1, 1000, (12, 16, 17)).astype("uint16")
PART = np.random.default_rng(1).integers(1, 1000, (5, 16, 9)).astype("uint16")
REGION = {"z": (3, 8), "x": slice(6, 15)}
INDEX = np.s_[3:8, :, 6:15]
HOW: dict[str, Any] = {"axes": "zyx", "storage_options": {"chunks": 8}, "scale_factors": [2, 4]}


@pytest.fixture(autouse=True)
def _calm() -> Iterator[None]:
    with warnings.catch_warnings(), dask.config.set(num_workers=1):
        warnings.filterwarnings("ignore", "OME-Zarr 0.[123] cannot store", UserWarning)
        yield


def written(image: Any = None, **how: Any) -> MemoryStore:
    if image is None and not how:
        return copied(_whole())
    store = MemoryStore()
    daskome.write_image(IMAGE if image is None else image, store, **{**HOW, **how})
    return store


@cache
def _whole() -> MemoryStore:
    return written(IMAGE)


def changed(part: Any = PART, index: Any = INDEX, **how: Any) -> dict[str, Any]:
    """Return the objects of a store with the image as it is after an update."""
    image = IMAGE.copy()
    image[index] = part
    return digest(written(image, **how))


def ome(store: Any) -> dict[str, Any]:
    found = zarr.open_group(store, mode="r").attrs.asdict()
    return dict(found.get("ome", found))


# ---- what is given


@pytest.mark.parametrize(
    "data",
    [
        PART,
        da.from_array(PART, chunks=(2, 7, 4)),
        zarr.create_array(MemoryStore(), data=PART, chunks=(5, 5, 5)),
        xarray.DataArray(PART, dims=("z", "y", "x")),
        Counting(PART, (2, 8, 8)),
        da.from_array(PART, chunks=(2, 7, 4)).map_blocks(lambda block: block + 0, dtype="uint16"),
    ],
    ids=["numpy", "dask", "zarr", "xarray", "array-like", "computed"],
)
@pytest.mark.usefixtures("block_size")
@pytest.mark.sampled(4)
def test_data_of_any_kind(data: Any) -> None:
    store = written()
    daskome.update(store, REGION, data)
    assert digest(store) == changed()


@pytest.mark.parametrize(
    ("region", "index", "part"),
    [
        ({"z": 5}, np.s_[5], IMAGE[6]),
        ({"z": -1, "x": (2, 3)}, np.s_[-1, :, 2:3], PART[0, :, :1]),
        ((slice(None), 4), np.s_[:, 4], np.full((12, 17), 9, "uint16")),
        ((..., (12, None)), np.s_[..., 12:], np.full((12, 16, 5), 9, "uint16")),
        (np.s_[2:4], np.s_[2:4], np.full((2, 16, 17), 9, "uint16")),
        ({}, np.s_[...], IMAGE[::-1]),
        ({"y": slice(-3, None)}, np.s_[:, -3:], 7),
    ],
)
@pytest.mark.sampled(3)
def test_regions_in_all_their_words(region: Any, index: Any, part: Any) -> None:
    store = written()
    daskome.update(store, region, part)
    assert digest(store) == changed(part, index)


def test_a_file_by_its_path(tmp_path: Path) -> None:
    np.save(tmp_path / "part.npy", PART)
    store = written()
    daskome.update(store, REGION, tmp_path / "part.npy")
    assert digest(store) == changed()


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"])
@pytest.mark.sampled(3)
def test_every_version(version: str) -> None:
    store = written(fmt=version)
    daskome.update(store, REGION, PART)
    daskome.append(store, IMAGE[:3], "z")
    image = IMAGE.copy()
    image[INDEX] = PART
    stored = [{"chunks": 8}, {"chunks": (6, 8, 8)}, {"chunks": (3, 4, 5)}]
    whole = written(np.concatenate([image, IMAGE[:3]]), fmt=version, storage_options=stored)
    assert digest(store) == digest(whole)
    assert daskome.verify(store, pixels=True) == []


@pytest.mark.extended
def test_what_codecs_lose_counts_for_whole_objects() -> None:
    rounded = {"offset": 0, "scale": 0.1, "dtype": "<u2", "astype": "<u2"}
    filters = [{"name": "numcodecs.fixedscaleoffset", "configuration": rounded}]
    options = {"chunks": 8, "filters": filters}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = written(storage_options=options)
        daskome.update(store, REGION, PART)
        assert digest(store) == changed(storage_options=options)


def test_what_codecs_lose_in_a_shard_counts_for_its_checksums() -> None:
    """As if a codec had made other voxels of those beside the region, when it encoded their shard again."""
    rounded = {"offset": 0, "scale": 0.1, "dtype": "<u2", "astype": "<u2"}
    filters = [{"name": "numcodecs.fixedscaleoffset", "configuration": rounded}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        store = written(storage_options={"chunks": 4, "shards": 8, "filters": filters}, scale_factors=[])
        array = zarr.open_group(store)["s0"]
        array[4:8, 4:8, 4:8] = 10
        daskome.update(store, {"z": (0, 2), "y": (0, 2), "x": (0, 2)}, 20)
        assert daskome.verify(store, pixels=True) == []
        array[8:12, 8:12, 8:12] = 10
        daskome.update(store, {"z": (0, 2), "y": (0, 2), "x": (0, 2)}, 20)
        assert len(daskome.verify(store, pixels=True)) == 1


def test_labels_by_their_own_path(tmp_path: Path) -> None:
    cells = (IMAGE % 5).astype("uint8")
    daskome.write_image(IMAGE, tmp_path / "a", labels={"cells": cells}, **HOW)
    before = contents(tmp_path / "a")
    daskome.update(tmp_path / "a/labels/cells", REGION, 3)
    cells[INDEX] = 3
    daskome.write_image(IMAGE, tmp_path / "b", labels={"cells": cells}, **HOW)
    after = contents(tmp_path / "a")
    assert after == contents(tmp_path / "b")
    assert {key for key in after if after[key] != before[key]} == {
        key for key in after if key.startswith("labels/cells/") and after[key] != before[key]
    }


def test_a_number_that_fills_costs_no_memory_and_objects_of_fill_value_go() -> None:
    store = written()
    plan = daskome.update(store, {"z": (0, 8), "y": (0, 8), "x": (0, 8)}, 0)
    assert "s0/c/0/0/0" not in store._store_dict
    assert plan.n_objects == 3
    assert levels(store)[2][:2, :2, :2].max() == 0


def test_levels_of_other_programs_by_a_method_that_is_given() -> None:
    store = MemoryStore()
    group = zarr.create_group(store)
    for path, array in {"0": IMAGE, "1": IMAGE[::2, ::2, ::2]}.items():
        group.create_array(path, data=array, chunks=(7, 7, 7))
    axes = [{"name": name, "type": "space"} for name in "zyx"]
    scales = [[{"type": "scale", "scale": [n] * 3}] for n in (1.0, 2.0)]
    datasets = [{"path": str(k), "coordinateTransformations": scale} for k, scale in enumerate(scales)]
    image = {"axes": axes, "datasets": datasets, "type": "local_mean"}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image], "_creator": "somebody"}
    before = ome(store)
    with pytest.raises(ValueError, match=r"made by 'local_mean'.*give the method"):
        daskome.update(store, REGION, PART)
    daskome.update(store, REGION, PART, method="nearest")
    new = IMAGE.copy()
    new[INDEX] = PART
    np.testing.assert_array_equal(group["0"][...], new)
    np.testing.assert_array_equal(group["1"][...], new[::2, ::2, ::2])
    assert ome(store) == before


@pytest.mark.parametrize(("n", "coarse"), [(1, 1), (5, 2)])
def test_an_axis_that_is_cut_nowhere_does_not_lose_what_it_has(n: int, coarse: int) -> None:
    """Although windows are dropped along another one."""
    store = MemoryStore()
    group = zarr.create_group(store)
    group.create_array("0", data=np.ones((n, 9), "uint8"), chunks=(4, 4))
    group.create_array("1", data=np.ones((coarse, 2), "uint8"), chunks=(4, 4))
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [float(f), float(f)]}]}
        for k, f in enumerate((1, 4))
    ]
    axes = [{"name": name, "type": "space"} for name in "yx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    daskome.append(store, np.full((1, 9), 5, "uint8"), "y")
    assert [array.shape for array in levels(store)] == [(n + 1, 9), (coarse, 2)]


def test_windows_that_others_drop_are_dropped_along_the_new_end(tmp_path: Path) -> None:
    store = MemoryStore()
    daskome.write_multiscale([IMAGE[:, :, :5], IMAGE[::2, ::2, :4:2]], store, method="nearest", axes="zyx")
    daskome.append(store, IMAGE[:, :, 5:11], "x")
    np.testing.assert_array_equal(levels(store)[1], IMAGE[::2, ::2, :10:2])
    daskome.append(store, IMAGE[:, :, 11:13], "x")
    np.testing.assert_array_equal(levels(store)[1], IMAGE[::2, ::2, :12:2])


# ---- what is refused, before anything changes


@pytest.mark.parametrize(
    ("region", "data", "message"),
    [
        ({"z": (3, 28)}, 0, "3:28 of axis 'z' is not within the image, which is 12 long"),
        ({"z": -21}, 0, "-21 of axis 'z' is not within"),
        ({"t": 0}, 0, "names axis 't', but the axes of the image are z, y, x"),
        ({"y": (5, 5)}, 0, "5:5 of axis 'y' is empty"),
        ({"y": slice(0, 8, 2)}, 0, "0:8:2 of axis 'y' leaves voxels out"),
        ({"y": "all"}, 0, "'all' of axis 'y' must be a slice"),
        ((0, 0, 0, 0), 0, "has 4 parts"),
        (REGION, PART[:4], "4 long along axis 'z', where 5 is needed"),
        (REGION, PART.astype("int32"), r"is int32, but the image is uint16; convert it, as in astype\('uint16'\)"),
        (REGION, 70000, "70000 cannot be stored as uint16"),
        (REGION, 0.5, "0.5 cannot be stored as uint16"),
        (REGION, np.nan, "nan cannot be stored as uint16"),
        (REGION, 1j, "1j cannot be stored as uint16"),
        (REGION, 2**70, "cannot be stored as uint16"),
        (REGION, PART[0], "only those of length 1 may be left out"),
        (REGION, xarray.DataArray(PART.transpose(1, 0, 2), dims=list("yzx")), "the same axes in the same order"),
        (REGION, xarray.DataArray(PART, dims=list("tyx")), "data has tyx, but the image z, y, x"),
    ],
)
def test_what_does_not_fit_is_named_by_its_axis(region: Any, data: Any, message: str) -> None:
    store = written()
    before = digest(store)
    with pytest.raises(ValueError, match=message):
        daskome.update(store, region, data)
    assert digest(store) == before


@pytest.mark.parametrize("number", [0.1, np.nan, np.inf, 7])
def test_numbers_are_rounded_as_floats_are(number: float) -> None:
    store = written(np.ones((8, 8), "float32"), axes="yx", scale_factors=[2])
    daskome.update(store, {"y": 3}, number)
    assert np.array_equal(levels(store)[0][3], np.full(8, number, "float32"), equal_nan=True)
    for huge in (1e300, -1e39):
        with pytest.raises(ValueError, match="cannot be stored as float32"):
            daskome.update(store, {"y": 3}, huge)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (IMAGE, {"axis": "t"}, "axis 't' is none of the image's, which are z, y, x"),
        (IMAGE[:, :10], {"axis": "z"}, "10 long along axis 'y', where 16 is needed"),
        (IMAGE.astype("float32"), {"axis": "z"}, "is float32, but the image is uint16"),
        (IMAGE[0, 0], {"axis": "z"}, "1 axes, but the image z, y, x"),
        (IMAGE, {"axis": "z", "start": 21}, "start=21, but the image ends at 12 along axis 'z'"),
        (IMAGE, {"axis": "z", "start": -1}, "start=-1 must be a whole number"),
        (IMAGE, {"axis": "z", "channels": ["a"]}, "channels are given, but the image gets no new ones along axis 'z'"),
    ],
)
def test_what_cannot_be_appended(image: Any, options: dict[str, Any], message: str) -> None:
    store = written()
    before = digest(store)
    with pytest.raises(ValueError, match=message):
        daskome.append(store, image, **options)
    assert digest(store) == before


def test_there_is_nothing_to_change(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no zarr group"):
        daskome.update(tmp_path / "nothing", {}, 0)
    assert not (tmp_path / "nothing").exists()
    daskome.write_image(IMAGE, tmp_path / "a", compute="init", **HOW)
    with pytest.raises(ValueError, match="unfinished"):
        daskome.update(tmp_path / "a", {}, 0)


def test_an_image_is_not_changed_by_what_is_read_from_it(tmp_path: Path) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", **HOW)
    before = contents(tmp_path / "a")
    part = daskome.open(tmp_path / "a").dask[:5] + 1
    with pytest.raises(ValueError, match="overlaps the source"):
        daskome.update(tmp_path / "a", {"z": (0, 5)}, part)
    assert contents(tmp_path / "a") == before
    daskome.update(tmp_path / "a", {"z": (0, 5)}, part.compute())
    assert daskome.verify(tmp_path / "a", pixels=True) == []


def test_a_zip_file_cannot_be_changed(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        daskome.write_image(IMAGE, store, **HOW)
        with pytest.raises(FileExistsError, match="cannot replace what it holds"):
            daskome.update(store, REGION, PART)


def test_levels_that_no_factors_make_are_refused() -> None:
    store = MemoryStore()
    daskome.write_multiscale([IMAGE, IMAGE[:8]], store, axes="zyx")
    with pytest.raises(ValueError, match=r"no whole factors lead from s0 of shape \(12, 16, 17\) to s1"):
        daskome.update(store, REGION, PART)


# ---- how it is carried out


def test_dry_run(caplog: pytest.LogCaptureFixture) -> None:
    store = written()
    before = digest(store)
    plan = daskome.update(store, REGION, PART, dry_run=True)
    assert "only z 3:8, y 0:16, x 6:15 of s0 changes" in str(plan)
    longer = daskome.append(store, IMAGE, "z", dry_run=True)
    assert longer.pyramids[0].levels[0].shape == (24, 16, 17)
    assert digest(store) == before
    assert type(plan).from_json(plan.to_json()) == plan


def test_it_says_that_it_is_unfinished_until_it_goes_on(tmp_path: Path, tiny_blocks: None) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", **HOW)
    with lights_out(after=2), pytest.raises(daskome.WriteError):
        daskome.update(tmp_path / "a", REGION, PART, retries=0)
    attributes = zarr.open_group(tmp_path / "a", mode="r").attrs.asdict()
    assert list(attributes) == [UNFINISHED_KEY]
    assert "changing it, by update or append, was not completed" in str(daskome.validate(tmp_path / "a"))
    assert daskome.status(tmp_path / "a").missing
    assert "to change it otherwise: update or append, with overwrite=True" in str(daskome.status(tmp_path / "a"))
    with pytest.raises(ValueError, match="unfinished"):
        daskome.open(tmp_path / "a")
    with pytest.raises(ValueError, match=r"resume=True goes on;.*overwrite=True begins another"):
        daskome.update(tmp_path / "a", REGION, PART)
    with pytest.raises(ValueError, match="other settings"):
        daskome.update(tmp_path / "a", {"z": (4, 9), "x": slice(6, 15)}, PART, resume=True)
    with pytest.raises(ValueError, match="the image has changed since"):
        daskome.update(tmp_path / "a", REGION, PART + 1, resume=True)
    daskome.update(tmp_path / "a", REGION, PART, resume=True)
    daskome.write_image(np.asarray(levels(tmp_path / "a")[0]), tmp_path / "b", **HOW)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    daskome.update(tmp_path / "a", REGION, PART, resume=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.extended
@pytest.mark.parametrize("begun", ["update", "append"])
def test_another_change_in_place_of_one_that_was_interrupted(begun: str, tiny_blocks: None) -> None:
    """What that left is made again, too; an image that is written over it is whole."""
    store = written()
    call: Any = {
        "update": lambda: daskome.update(store, REGION, PART, retries=0),
        "append": lambda: daskome.append(store, IMAGE[:3], "z", retries=0),
    }[begun]
    with lights_out(after=3), pytest.raises(daskome.WriteError):
        call()
    daskome.update(store, {"z": 11, "y": 0}, 5, overwrite=True)
    found = levels(store)
    daskome.write_image(found[0], whole := MemoryStore(), **HOW)
    for ours, theirs in zip(found, levels(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert daskome.verify(store, pixels=True) == []


@pytest.mark.extended
def test_an_unfinished_one_is_written_over(tiny_blocks: None) -> None:
    store = written()
    with lights_out(after=3), pytest.raises(daskome.WriteError):
        daskome.update(store, REGION, PART, retries=0)
    with pytest.raises(FileExistsError, match="unfinished image"):
        daskome.write_image(IMAGE, store, **HOW)
    daskome.write_image(IMAGE, store, overwrite=True, **HOW)
    assert digest(store) == digest(written())


@pytest.mark.extended
def test_in_parts_and_later(tiny_blocks: None) -> None:
    whole = changed()
    store = written()
    plan = daskome.update(store, REGION, PART, compute="init")
    for stage in range(len(plan.stages)):
        for part in range(2):
            daskome.run_part(store, PART, stage, (part, 2))
    daskome.finish(store)
    assert digest(store) == whole
    store = written()
    later = daskome.update(store, REGION, da.from_array(PART), compute=False)
    assert digest(store) == digest(written())
    later.compute()
    assert digest(store) == whole


@pytest.mark.extended
def test_on_a_cluster(client: Any, tmp_path: Path, tiny_blocks: None) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", **HOW)
    daskome.update(tmp_path / "a", REGION, da.from_array(PART, chunks=3))
    daskome.append(tmp_path / "a", IMAGE[:4], "z")
    image = IMAGE.copy()
    image[INDEX] = PART
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], np.concatenate([image, IMAGE[:4]]))
    assert daskome.verify(tmp_path / "a", pixels=True) == []


def test_memory_that_is_not_enough_is_refused() -> None:
    store = written()
    with pytest.raises(ValueError, match="memory"):
        daskome.update(store, REGION, PART, memory=1000)


# ---- images that get longer


def test_frames_one_by_one_are_seen_whole_and_what_is_there_is_not_touched(tmp_path: Path) -> None:
    frames = np.stack([IMAGE[k] for k in range(5)])
    how = {"axes": "tyx", "storage_options": {"chunks": 8}, "scale_factors": [2]}
    daskome.write_image(frames[:1], tmp_path / "a", **how)
    for t in range(1, 5):
        before = contents(tmp_path / "a")
        later = daskome.append(tmp_path / "a", frames[t], start=t, compute=False)
        assert len(levels(tmp_path / "a")[1]) == t
        later.compute()
        after = contents(tmp_path / "a")
        assert [key for key in before if before[key] != after[key]] == ["s0/zarr.json", "s1/zarr.json", "zarr.json"]
    daskome.write_image(frames, tmp_path / "b", **how)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_readers_see_the_old_image_while_frames_are_appended_and_no_unfinished_one(tiny_blocks: None) -> None:
    how = {"axes": "tyx", "storage_options": {"chunks": 8}, "scale_factors": [2]}
    store = written(IMAGE[:2], **how)
    before = levels(store)
    with lights_out(after=1), pytest.raises(daskome.WriteError):
        daskome.append(store, IMAGE[2:4], retries=0)
    for ours, theirs in zip(levels(store), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    daskome.append(store, IMAGE[2:4], resume=True)
    assert digest(store) == digest(written(IMAGE[:4], **how))


def killed_while_appending(store: MemoryStore, image: Any, axis: str) -> Iterator[MemoryStore]:
    """Yield what is left of a store, for each of the changes at which that may be killed, the last ones first."""
    whole = Mortal(copied(store))
    daskome.append(whole, image, axis)
    for at in reversed(range(whole.changes)):
        left = Mortal(copied(store), at)
        with suppress(Death, daskome.WriteError):
            daskome.append(left, image, axis, retries=0)
        yield left._store


def test_another_channel_than_the_one_that_was_begun_takes_no_name_away() -> None:
    how = {"axes": "cyx", "scale_factors": [2], "storage_options": {"chunks": (2, 8, 8)}}
    store = written(IMAGE[:2], channels=["a", "b"], **how)
    for left in islice(killed_while_appending(store, IMAGE[2:3], "c"), 6, 9):
        daskome.append(left, IMAGE[3:4], "c", channels=["c"], overwrite=True, take_over=True)
        labels = [one["label"] for one in ome(left)["omero"]["channels"]]
        assert labels in (["a", "b", "c"], ["a", "b", "channel 2", "c"])
        assert levels(left)[0].shape[0] == len(labels)


def test_killed_after_it_is_published_it_keeps_its_checksums() -> None:
    """Although there are as many of them as before."""
    image = np.arange(24 * 8, dtype="uint16").reshape(24, 8)
    store = written(image[:16], axes="yx", scale_factors=[], storage_options={"chunks": 1})
    for left in islice(killed_while_appending(store, image[16:], "y"), 3, 5):
        daskome.append(left, image[16:], "y", resume=True, take_over=True)
        assert levels(left)[0].shape == (24, 8)
        assert daskome.verify(left, pixels=True) == []


def test_channels_are_named_and_measured_with_the_others() -> None:
    how = {"axes": "cyx", "scale_factors": [2], "storage_options": {"chunks": 8}}
    store = written(IMAGE[:2], channels=["a", "b"], **how)
    with pytest.raises(ValueError, match="give a list of 2"):
        daskome.append(store, IMAGE[2:4], "c", channels=["c"])
    daskome.append(store, IMAGE[2:4], "c", channels=["c", {"label": "d", "color": "112233"}])
    assert [one["label"] for one in ome(store)["omero"]["channels"]] == ["a", "b", "c", "d"]
    whole = written(IMAGE[:4], channels=["a", "b", "c", {"label": "d", "color": "112233"}], **how)
    assert ome(store)["omero"]["channels"] == ome(whole)["omero"]["channels"]
    daskome.append(store, IMAGE[4:5], "c")
    assert ome(store)["omero"]["channels"][4]["label"] == "channel 4"
    assert errors(daskome.validate(store)) == []


def test_what_is_appended_again_is_known(caplog: pytest.LogCaptureFixture) -> None:
    store = written()
    daskome.append(store, IMAGE[:4], "z", resume=True)
    whole = digest(store)
    with caplog.at_level(logging.WARNING):
        daskome.append(store, IMAGE[:4], "z", resume=True)
        daskome.append(store, IMAGE[:4], "z", resume=True, start=12)
    assert caplog.text.count("finished already") == 2
    assert digest(store) == whole
    with pytest.raises(ValueError, match="ends at 16"):
        daskome.append(store, IMAGE[:4] + 1, "z", resume=True, start=12)
    daskome.append(store, IMAGE[4:8], "z", resume=True)
    assert levels(store)[0].shape[0] == 20


# ---- the command


def test_the_commands(tmp_path: Path) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", **HOW)
    np.save(tmp_path / "part.npy", PART)
    np.save(tmp_path / "more.npy", IMAGE[:4])
    url, run = str(tmp_path / "a"), CliRunner().invoke
    region = ["--region", "z=3:8,x=6:15"]
    dry = run(main, ["update", url, *region, "--data", str(tmp_path / "part.npy"), "--dry-run"])
    assert "only z 3:8, y 0:16, x 6:15 of s0 changes" in dry.output
    assert run(main, ["update", url, *region, "--data", str(tmp_path / "part.npy"), "-q"]).exit_code == 0
    for _ in range(2):
        done = run(main, ["append", url, str(tmp_path / "more.npy"), "--axis", "z", "--start", "12", "--resume"])
        assert done.exit_code == 0, done.output
    image = IMAGE.copy()
    image[INDEX] = PART
    np.testing.assert_array_equal(levels(url)[0], np.concatenate([image, IMAGE[:4]]))
    assert run(main, ["update", url, "--region", "y=:3,z=-1"]).exit_code == 0
    assert daskome.verify(url, pixels=True) == []


@pytest.mark.parametrize("region", ["z", "z=", "z=a", "z=1:2:3", "z=1,z=2", "=3", ""])
def test_regions_that_say_nothing(region: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["update", str(tmp_path), "--region", region])
    assert done.exit_code == 2
    assert "--region" in done.output


@pytest.mark.parametrize("then", ["append", "update"])
def test_what_was_planned_before_another_change_made_it_longer_is_refused(then: str) -> None:
    """It would write over what the other has appended, or cut it off."""
    store = written()
    arguments: Any = (IMAGE, "z") if then == "append" else (REGION, PART)
    later = getattr(daskome, then)(store, *arguments, compute=False)
    daskome.append(store, IMAGE, "z")
    longer = digest(store)
    with pytest.raises(ValueError, match="was changed by another call since this one looked at it; call it again"):
        later.compute()
    assert digest(store) == longer
    assert daskome.verify(store, pixels=True) == []


def test_what_was_planned_before_another_change_was_killed_is_refused() -> None:
    """It would leave half done what that has left so, and say that the image is whole."""
    for at in range(99):
        store = written()
        later = daskome.append(store, IMAGE[:4], "z", compute=False)
        killed = Mortal(store, at)
        with suppress(Death, daskome.WriteError):
            daskome.update(killed, {"z": 11}, IMAGE[0], retries=0)
        if killed.changes <= at:
            break
        if UNFINISHED_KEY in zarr.open_group(store, mode="r").attrs:
            with pytest.raises(ValueError, match="was changed by another call"):
                later.compute()
        else:
            later.compute()
            assert daskome.verify(store, pixels=True) == []
    assert at > 10
