"""Hierarchies written anew: pixels equal, nothing missing, valid to others; what cannot go along is named."""

import re
import shutil
import sys
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from zarr.storage import LocalStore, MemoryStore, WrapperStore, ZipStore

import daskome
from daskome.cli import main
from daskome.ome.versions import VERSIONS
from tests.written import contents, is_image, levels, lights_out

RNG = np.random.default_rng(15)
FIELD = RNG.integers(0, 1000, (2, 37, 41), dtype="uint16")
CELLS = RNG.integers(0, 5, (37, 41), dtype="uint8")
COLORS = {1: [255, 0, 0, 255], 2: [0, 255, 0, 255]}
SHOWN = [{"label": "DAPI", "color": "0000FF", "window": (0, 999, 5, 800)}, {"label": "GFP", "color": "00FF00"}]


def attributes_of(target: Any) -> dict[str, dict[str, Any]]:
    """Return the attributes of every group and array below a target, by path."""
    group = zarr.open_group(target, mode="r")
    return {"": group.attrs.asdict()} | {path: item.attrs.asdict() for path, item in members_of(target)}


def members_of(target: Any) -> tuple[tuple[str, Any], ...]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Object at")
        return zarr.open_group(target, mode="r").members(max_depth=None)


def arrays_of(target: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the pixels of every array below a target, by path."""
    return {path: item[...] for path, item in members_of(target) if isinstance(item, zarr.Array)}


def check_same(old: Any, new: Any) -> None:
    """The same groups and arrays, of the same voxels."""
    before, after = arrays_of(old), arrays_of(new)
    assert attributes_of(old).keys() == attributes_of(new).keys()
    for path, pixels in before.items():
        assert after[path].dtype.newbyteorder("=") == pixels.dtype.newbyteorder("=")
        np.testing.assert_array_equal(after[path], pixels, err_msg=path)


def make_image(target: Any, fmt: str = "0.4", **arguments: Any) -> Any:
    labels = {"cells": {"labels": CELLS, "colors": COLORS, "properties": {3: {"area": 7}}}, "nuclei": CELLS // 2}
    daskome.write_image(
        FIELD, target, [2, 4], "kidney", axes="cyx", scale=(1, 0.5, 0.25), translation=(0, 3, 4), axes_units="um",
        channels=SHOWN, labels=labels, fmt=fmt, storage_options={"chunks": 16}, **arguments,
    )  # fmt: skip
    group = zarr.open_group(target)
    group.attrs["acquired"] = {"by": "somebody", "lasers": [405, 488]}
    return target


def make_plate(target: Any, fmt: str = "0.4") -> Any:
    wells = {"A/1": {0: [FIELD, FIELD + 1], 7: [FIELD + 2]}, "B/3": {0: [FIELD + 3], 7: [FIELD + 4]}}
    acquisitions = [{"id": 0, "name": "first", "starttime": 1343731272000}, {"id": 7, "name": "second"}]
    daskome.write_plate(
        wells, target, axes="cyx", acquisitions=acquisitions, rows="ABC", columns=["1", "2", "3"], name="screen", fmt=fmt,
        channels=SHOWN, axes_units="um", storage_options={"chunks": 16},
    )  # fmt: skip
    for field in ("A/1/0", "B/3/1"):
        daskome.write_labels(CELLS, f"{target}/{field}", "cells", axes="yx", colors=COLORS, axes_units="um")
    zarr.open_group(target)["A"].attrs["note"] = "a row"
    return target


def make_collection(target: Path, fmt: str = "0.4", series: tuple[str, ...] | None = ("0", "1")) -> Path:
    """Make what bioformats2raw makes; its ``OME`` is a group, or without `series` a folder."""
    zarr_format = VERSIONS[fmt].arrays.zarr_format
    root = {"bioformats2raw.layout": 3}
    stated = {"ome": {"version": fmt, **root}} if zarr_format == 3 else root
    zarr.create_group(target, zarr_format=zarr_format, attributes=stated)
    for name, shift in (("0", 0), ("1", 5)):
        daskome.write_image(FIELD + shift, target / name, [2], axes="cyx", axes_units="um", fmt=fmt)
    if series is None:
        (target / "OME").mkdir()
    else:
        listed = {"series": list(series)}
        attributes = {"ome": {"version": fmt, **listed}} if zarr_format == 3 else listed
        zarr.create_group(target / "OME", zarr_format=zarr_format, attributes=attributes)
    n, height, width = FIELD.shape
    sizes = f'SizeX="{width}" SizeY="{height}" SizeZ="1" SizeC="{n}" SizeT="1" Type="{FIELD.dtype}"'
    images = "".join(f'<Image ID="Image:{i}"><Pixels {sizes}><MetadataOnly/></Pixels></Image>' for i in range(2))
    xml = f'<?xml version="1.0"?><OME><!-- µ -->{images}</OME>'
    (target / "OME/METADATA.ome.xml").write_text(xml, encoding="utf-8")
    return target


# ---- plates, valid to others


def by_others(folder: Path, version: str, path: str, model: str) -> None:
    from ngff_zarr.validate import validate as by_schema

    group = zarr.open_group(folder / path, mode="r")
    by_schema(group.attrs.asdict(), version=version, model=model, strict=True)
    if sys.version_info >= (3, 12):
        import ome_zarr_models

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ome_zarr_models.open_ome_zarr(group, version=version)


def check_valid(folder: Path, version: str, models: dict[str, str]) -> None:
    import yaozarrs

    assert not [problem for problem in daskome.validate(folder) if not problem.warning]
    for path, model in models.items():
        by_others(folder, version, path, model)
        if model != "well":
            yaozarrs.validate_zarr_store(str(folder / path))


@pytest.mark.extended
def test_a_plate_goes_to_shards_and_back(tmp_path: Path) -> None:
    old, new, back = make_plate(tmp_path / "old.zarr"), tmp_path / "new.zarr", tmp_path / "back.zarr"
    daskome.transcode(old, new, fmt="0.5", storage_options={"chunks": 16, "shards": 32})
    daskome.transcode(new, back, fmt="0.4")
    models = {"": "plate", "A/1": "well", "B/3/1": "image", "A/1/0/labels/cells": "label"}
    check_valid(new, "0.5", models)
    check_valid(back, "0.4", models)
    check_same(old, new)
    check_same(old, back)
    assert attributes_of(back) == attributes_of(old)
    assert {name for name in contents(old) if "/." in name} == {name for name in contents(back) if "/." in name}
    assert zarr.open_array(new / "A/1/2/s0").shards == (1, 32, 32)
    assert zarr.open_array(back / "A/1/2/s0").chunks == (1, 16, 16)


# ---- any version


@pytest.mark.sampled(40)
@pytest.mark.parametrize(("old", "new"), [*product(VERSIONS, VERSIONS)])
def test_any_version_to_any_other_and_back(old: str, new: str) -> None:
    """What newer versions alone have a place for is kept, and restored; only version numbers and axes differ."""
    one, other, back = MemoryStore(), MemoryStore(), MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_image(one, old)
        options = {"shards": 32} if VERSIONS[new].arrays.zarr_format == 3 else {}
        daskome.transcode(one, other, fmt=new, storage_options=options)
        daskome.transcode(other, back, fmt=old)
    assert not [problem for problem in daskome.validate(other) if not problem.warning]
    for stored in (other, back):
        before, after = arrays_of(one), arrays_of(stored)
        assert before.keys() == after.keys()
        for path, pixels in before.items():
            np.testing.assert_array_equal(np.squeeze(after[path]), np.squeeze(pixels))
        assert attributes_of(stored)[""]["acquired"] == {"by": "somebody", "lasers": [405, 488]}
    if VERSIONS[old].every_axis or not VERSIONS[new].every_axis:
        assert attributes_of(back) == attributes_of(one)


@pytest.mark.parametrize("fmt", ["0.4", "0.5", "0.6"])
def test_what_others_put_under_ome(fmt: str) -> None:
    old, new = make_image(MemoryStore(), "0.5"), MemoryStore()
    group = zarr.open_group(old)
    group.attrs["ome"] = {**group.attrs["ome"], "_creator": {"name": "tool"}}
    daskome.transcode(old, new, fmt=fmt)
    found = attributes_of(new)[""]
    assert found.get("ome", found)["_creator"] == {"name": "tool"}


def test_what_a_version_has_no_place_for_is_named(tmp_path: Path) -> None:
    make_image(tmp_path / "old.zarr", "0.5")
    with pytest.warns(UserWarning, match="readers of 0.2 will not know it; kept in 'metadata'") as warned:
        daskome.transcode(tmp_path / "old.zarr", tmp_path / "new.zarr", fmt="0.2")
    assert {w.filename for w in warned} == {__file__}
    assert {str(w.message).split(" (")[0].rpartition(": ")[2] for w in warned} == {"scale", "translation", "unit"}
    assert levels(tmp_path / "new.zarr")[0].shape == (1, 2, 1, 37, 41)


@pytest.mark.parametrize(("fmt", "expected"), [("0.1", "0.5"), ("0.4", "0.5"), ("0.5", "0.5"), ("0.6", "0.6")])
def test_the_version_by_default(fmt: str, expected: str) -> None:
    old, new = MemoryStore(), MemoryStore()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make_image(old, fmt)
    assert daskome.transcode(old, new).version == expected


# ---- levels as they are


def of_others(target: Path) -> Path:
    """Make an image as others do: floor sizes, gaussian, big-endian, in Fortran order, other names, one fill value."""
    group = zarr.create_group(target, zarr_format=2)
    for k, path in enumerate(("0", "deep/1")):
        level = FIELD[:, : 37 >> k, : 41 >> k]
        array = group.create_array(
            path, shape=level.shape, chunks=(1, 20, 30), dtype=">u2", order="F", fill_value=9,
            attributes={"_ARRAY_DIMENSIONS": ["c", "y", "x"], "gain": k},
        )  # fmt: skip
        array[...] = level
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [
        {"path": path, "coordinateTransformations": [{"type": "scale", "scale": [1, 2.0**k, 2.0**k]}]}
        for k, path in enumerate(("0", "deep/1"))
    ]
    shared = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    group.attrs["multiscales"] = [
        {
            "version": "0.4", "name": "x", "type": "gaussian", "axes": axes, "datasets": datasets,
            "coordinateTransformations": shared, "metadata": {"method": "skimage"}, "pinhole": 3,
        }
    ]  # fmt: skip
    return target


def test_levels_of_others_stay_as_they_are(tmp_path: Path) -> None:
    old, new = of_others(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    daskome.transcode(old, new, fmt="0.5")
    check_same(old, new)
    (multiscale,) = attributes_of(new)[""]["ome"]["multiscales"]
    assert (multiscale["type"], multiscale["pinhole"]) == ("gaussian", 3)
    assert multiscale["metadata"]["method"] == "skimage"
    level = zarr.open_array(new / "deep/1")
    assert (level.chunks, level.fill_value, level.attrs["gain"]) == ((1, 18, 20), 9, 1)
    assert daskome.read(new).scale == daskome.read(old).scale == {"c": 1, "y": 0.5, "x": 0.5}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_levels_can_be_made_anew(tmp_path: Path, fmt: str) -> None:
    old, new, direct = make_image(tmp_path / "old.zarr"), tmp_path / "new.zarr", tmp_path / "direct.zarr"
    daskome.transcode(old, new, fmt=fmt, scale_factors=[3], method="max", storage_options={"chunks": 8})
    daskome.write_image(FIELD, direct, [3], axes="cyx", method="max", fmt=fmt)
    for ours, expected in zip(levels(new), levels(direct), strict=True):
        np.testing.assert_array_equal(ours, expected)
    daskome.write_image(CELLS, direct, [3], axes="yx", method="mode", fmt=fmt, overwrite=True)
    for ours, expected in zip(levels(new / "labels/cells"), levels(direct), strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert not [problem for problem in daskome.validate(new) if not problem.warning]
    assert attributes_of(new)["labels/cells"].get("ome", attributes_of(new)["labels/cells"])["image-label"]["colors"]


def test_labels_follow_levels_that_are_made_anew(tmp_path: Path) -> None:
    old, new = make_image(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    daskome.transcode(old, new, scale_factors="auto", storage_options={"chunks": 8})
    assert len(levels(new)) == len(levels(new / "labels/cells")) > 2


@pytest.mark.extended
def test_chunks_shards_and_codecs(tmp_path: Path) -> None:
    old = make_image(tmp_path / "old.zarr", "0.5")
    daskome.transcode(old, tmp_path / "a.zarr", storage_options={"shards": 32, "compressors": "zstd:5"})
    level = zarr.open_array(tmp_path / "a.zarr/s0")
    assert (level.chunks, level.shards, level.compressors[0].to_dict()["name"]) == ((1, 16, 16), (1, 32, 32), "zstd")
    daskome.transcode(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert zarr.open_array(tmp_path / "b.zarr/s0").shards == (1, 32, 32)
    daskome.transcode(tmp_path / "b.zarr", tmp_path / "c.zarr", storage_options={"chunks": 64})
    assert (zarr.open_array(tmp_path / "c.zarr/s0").chunks, zarr.open_array(tmp_path / "c.zarr/s0").shards) == (
        (1, 37, 41),
        None,
    )
    check_same(old, tmp_path / "c.zarr")


# ---- collections


@pytest.mark.sampled(2)
@pytest.mark.parametrize("series", [("0", "1"), None])
def test_a_collection_of_bioformats2raw(tmp_path: Path, series: tuple[str, ...] | None) -> None:
    old, new = make_collection(tmp_path / "old.zarr", series=series), tmp_path / "new.zarr"
    daskome.transcode(old, new, fmt="0.5", storage_options={"shards": 64})
    xml = (new / "OME/METADATA.ome.xml").read_text(encoding="utf-8")
    assert xml == (old / "OME/METADATA.ome.xml").read_text(encoding="utf-8")
    check_same(old, new)
    assert attributes_of(new)[""] == {"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    assert not [problem for problem in daskome.validate(new) if not problem.warning]
    daskome.transcode(new, tmp_path / "back.zarr", fmt="0.4")
    assert attributes_of(tmp_path / "back.zarr") == attributes_of(old)


def test_a_collection_says_that_it_is_unfinished(tmp_path: Path) -> None:
    old, new = make_collection(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    with lights_out(1), pytest.raises(RuntimeError):
        daskome.transcode(old, new, retries=0)
    assert "daskome" in attributes_of(new)[""]
    assert not is_image(new / "0")
    assert not (new / "OME/METADATA.ome.xml").exists()
    daskome.transcode(old, new, resume=True)
    check_same(old, new)
    assert "daskome" not in attributes_of(new)[""]
    assert not (new / ".daskome").exists()


# ---- like any plan


@pytest.mark.extended
def test_resume_leaves_the_same_bytes(tmp_path: Path) -> None:
    old, whole, new = make_plate(tmp_path / "old.zarr"), tmp_path / "whole.zarr", tmp_path / "new.zarr"
    daskome.transcode(old, whole)
    with lights_out(5), pytest.raises(RuntimeError):
        daskome.transcode(old, new, retries=0)
    daskome.transcode(old, new, resume=True)
    assert contents(whole) == contents(new)


@pytest.mark.extended
def test_parts_of_a_batch(tmp_path: Path) -> None:
    old, whole, new = make_plate(tmp_path / "old.zarr"), tmp_path / "whole.zarr", tmp_path / "new.zarr"
    daskome.transcode(old, whole)
    plan = daskome.transcode(old, new, compute="init")
    assert not is_image(new / "A/1/0")
    for i in (2, 0, 1):
        daskome.run_part(new, stage=0, part=(i, 3))
    assert daskome.finish(new) == plan
    assert contents(whole) == contents(new)


def test_a_single_image_in_a_well_in_parts(tmp_path: Path) -> None:
    """The journal lies at the target, however deep the only image does."""
    daskome.write_plate({"A/1": [FIELD]}, tmp_path / "old.zarr", axes="cyx")
    daskome.transcode(tmp_path / "old.zarr", tmp_path / "new.zarr", compute="init")
    assert daskome.status(tmp_path / "new.zarr").missing
    daskome.run_part(tmp_path / "new.zarr")
    daskome.finish(tmp_path / "new.zarr")
    check_same(tmp_path / "old.zarr", tmp_path / "new.zarr")


def test_later(tmp_path: Path) -> None:
    old, new = make_image(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    later = daskome.transcode(old, new, compute=False)
    assert not new.exists()
    later.compute()
    check_same(old, new)


@pytest.mark.extended
def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    old, new = make_plate(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    plan = daskome.transcode(old, new, dry_run=True)
    assert not new.exists()
    assert "5 images, A/1/0 … B/3/1: cyx uint16, levels copied, OME-Zarr 0.5" in repr(plan)
    assert plan.amplification == 1
    assert plan == daskome.transcode(old, None, dry_run=True)
    assert type(plan).from_json(plan.to_json()) == plan
    with pytest.raises(ValueError, match="without a target"):
        daskome.transcode(old, None)


def test_chunks_that_are_not_stored_are_counted(tmp_path: Path) -> None:
    daskome.write_image(FIELD, tmp_path / "old.zarr", None, axes="cyx", storage_options={"chunks": 16})
    (tmp_path / "old.zarr/s0/c/1/0/2").unlink()
    with pytest.warns(UserWarning, match="s0"):
        plan = daskome.transcode(tmp_path / "old.zarr", None, dry_run=True, check_source=True)
    assert [count.missing for count in plan.counted] == [1]


def test_memory_is_kept(tmp_path: Path) -> None:
    old = make_image(tmp_path / "old.zarr")
    with pytest.raises(ValueError, match="give memory="):
        daskome.transcode(old, tmp_path / "new.zarr", memory="191 MiB")
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.sampled(2)
@pytest.mark.parametrize("make", [make_image, make_plate])
def test_into_a_zip_file(tmp_path: Path, make: Any) -> None:
    old = make(tmp_path / "old.zarr")
    with ZipStore(tmp_path / "new.zip", mode="w") as store:
        daskome.transcode(old, store)
    with ZipStore(tmp_path / "new.zip", mode="r") as store:
        check_same(old, store)


def test_a_cluster(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    old, new = make_image(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    with distributed.Client(n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"):
        daskome.transcode(old, new)
    check_same(old, new)


# ---- what does not go along, or cannot be


class Unlisted(WrapperStore[LocalStore]):
    """A store that tells what is at a path, and not what there is, as most servers on the web."""

    def list_dir(self, prefix: str) -> Any:
        raise PermissionError(prefix)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("make", [make_image, make_plate, make_collection])
def test_a_store_that_lists_nothing(tmp_path: Path, make: Any) -> None:
    old, new = make(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    with pytest.warns(UserWarning, match="the store lists nothing"):
        daskome.transcode(Unlisted(LocalStore(old, read_only=True)), new)
    check_same(old, new)
    assert (new / "OME/METADATA.ome.xml").exists() == (make is make_collection)


def test_images_that_cannot_be_found(tmp_path: Path) -> None:
    old = make_collection(tmp_path / "old.zarr", series=None)
    with pytest.raises(ValueError, match="root: its images cannot be found: the store lists nothing"):
        daskome.transcode(Unlisted(LocalStore(old, read_only=True)), tmp_path / "new.zarr")


def test_what_is_left_behind_is_named(tmp_path: Path) -> None:
    old, new = make_image(tmp_path / "old.zarr", "0.5"), tmp_path / "new.zarr"
    group = zarr.open_group(old)
    group.create_array("tables/regions/x", data=np.arange(3))
    group.create_array("raw", data=FIELD)
    group.create_group("notes", attributes={"kept": True})
    (old / "thumbnail.png").write_bytes(b"png")
    with pytest.warns(UserWarning, match="not written") as warned:
        daskome.transcode(old, new)
    assert {str(w.message) for w in warned} == {
        "raw: not written: an array that is no level of an image",
        "tables: not written: not OME-Zarr",
        "thumbnail.png: not written: neither a group nor an array",
    }
    assert {w.filename for w in warned} == {__file__}
    assert attributes_of(new)["notes"] == {"kept": True}
    assert "tables" not in attributes_of(new)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("B/3", r"root: lists B/3 \(section 'plate'\), but there is no group"),
        ("A/1/2", r"A/1: lists 2 \(section 'well'\), but there is no group"),
        ("A/1/0/labels/cells", r"A/1/0/labels: lists cells \(section 'labels'\)"),
        ("A/1/0/s1", r"A/1/0: lists level A/1/0/s1, but there is no array"),
    ],
)
def test_what_is_listed_but_not_there(tmp_path: Path, path: str, message: str) -> None:
    old = make_plate(tmp_path / "old.zarr")
    shutil.rmtree(old / path)
    with pytest.raises(ValueError, match=message):
        daskome.transcode(old, tmp_path / "new.zarr", fmt="0.5")
    assert not (tmp_path / "new.zarr").exists()


def test_series_that_are_listed_but_not_there(tmp_path: Path) -> None:
    old = make_collection(tmp_path / "old.zarr", series=("0", "1", "2"))
    with pytest.raises(ValueError, match=r"OME: lists 2 \(section 'bf2raw'\), but there is no group"):
        daskome.transcode(old, tmp_path / "new.zarr")
    assert not (tmp_path / "new.zarr").exists()


def test_an_unfinished_source(tmp_path: Path) -> None:
    daskome.write_image(FIELD, tmp_path / "old.zarr", [2], axes="cyx", compute="init")
    with pytest.raises(ValueError, match="is unfinished"):
        daskome.transcode(tmp_path / "old.zarr", tmp_path / "new.zarr")


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "max"}, "a method has no effect"),
        ({"fmt": "0.4", "storage_options": {"shards": 32}}, "no shards"),
        ({"storage_options": {"chunk": 32}}, "unknown storage option 'chunk'"),
        ({"scale_factors": [0]}, "scale factor 0"),
        ({"overwrite": True, "resume": True}, "give one of them"),
    ],
)
def test_arguments_that_cannot_be(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    make_image(tmp_path / "old.zarr")
    with pytest.raises(ValueError, match=message):
        daskome.transcode(tmp_path / "old.zarr", tmp_path / "new.zarr", **arguments)
    assert not (tmp_path / "new.zarr").exists()


@pytest.mark.extended
def test_targets_that_cannot_be(tmp_path: Path) -> None:
    image, plate = make_image(tmp_path / "image.zarr"), make_plate(tmp_path / "plate.zarr")
    before = contents(tmp_path)
    for source, target, message in [
        (image, plate, "plate.zarr holds plate; a hierarchy is written to a new path"),
        (plate, image, "image.zarr holds multiscales, omero"),
    ]:
        with pytest.raises(FileExistsError, match=message):
            daskome.transcode(source, target)
    (tmp_path / "link").symlink_to(image)
    before = contents(tmp_path)
    for inside in (image, image / "new", image / "labels/new", tmp_path / "link/new"):
        for arguments in ({"overwrite": True}, {"resume": True}, {"dry_run": True}, {"compute": "init"}):
            with pytest.raises(ValueError, match="overlaps the source"):
                daskome.transcode(image, inside, **arguments)
    with pytest.raises(FileExistsError, match="holds an OME-Zarr image"):
        daskome.transcode(plate / "A/1/0", image, fmt="0.4")
    with pytest.raises(FileNotFoundError, match="there is no zarr group at"):
        daskome.transcode(tmp_path / "nothing.zarr", tmp_path / "new.zarr")
    assert contents(tmp_path) == before
    daskome.transcode(plate / "A/1/0", image, fmt="0.4", overwrite=True)
    np.testing.assert_array_equal(levels(image)[0], FIELD)


# ---- the command


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.extended
def test_the_command_writes_all_of_it(tmp_path: Path) -> None:
    old, new = make_plate(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    planned = run("plan", old, new, "--shards", 32)
    assert (planned.exit_code, "levels copied" in planned.output, new.exists()) == (0, True, False)
    written = run("write", old, new, "--shards", 32, "-q")
    assert (written.exit_code, written.output) == (0, "")
    check_same(old, new)
    assert zarr.open_array(new / "A/1/0/s0").shards == (1, 32, 32)


def test_the_command_in_parts(tmp_path: Path) -> None:
    old, new = make_collection(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    for arguments in (
        ("init", old, new),
        ("run", new, "--part", "0/2"),
        ("run", new, "--part", "1/2"),
        ("finish", new),
    ):
        result = run(*arguments, "-q")
        assert result.exit_code == 0, result.output
    check_same(old, new)


@pytest.mark.filterwarnings("always")
def test_the_command_writes_the_image_alone(tmp_path: Path) -> None:
    old, new = make_image(tmp_path / "old.zarr"), tmp_path / "new.zarr"
    result = run("write", old, new, "--only-image", "--scale", "c=1,y=0.5,x=7", "-q")
    assert result.exit_code == 0
    assert f"warning: {old}: not written: labels cells, nuclei" in result.output
    found = attributes_of(new)[""]
    assert found["acquired"]["by"] == "somebody"
    assert [channel["label"] for channel in found["ome"]["omero"]["channels"]] == ["DAPI", "GFP"]
    assert daskome.read(new).scale == {"c": 1, "y": 0.5, "x": 7}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scale", "2"), "takes no --scale: all of .* add --only-image"),
        (("--axes", "cyx"), "takes no --axes"),
        (("--name", "x"), "takes no --name"),
        (("--channels", "a,b"), "takes no --channels"),
        (("--staging",), "takes no --staging"),
    ],
)
def test_options_that_describe_one_image(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    old = make_image(tmp_path / "old.zarr")
    result = run("write", old, tmp_path / "new.zarr", *options)
    assert result.exit_code == 2
    assert re.search(message, result.output), result.output
    assert not (tmp_path / "new.zarr").exists()


def test_only_images_of_ome_zarr_can_be_had_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FIELD)
    result = run("write", tmp_path / "a.npy", tmp_path / "new.zarr", "--only-image")
    assert (result.exit_code, "is for groups of OME-Zarr" in result.output) == (2, True)


@pytest.mark.parametrize(("fmt", "target"), [("0.4", "0.4"), ("0.5", "0.5"), ("0.4", "0.5"), ("0.5", "0.6")])
@pytest.mark.parametrize(
    ("omero", "said"),
    [
        ({"channels": [{"color": "red", "window": {"min": 0, "max": 1, "start": 0, "end": 1}}]}, "channels/0/color"),
        ({"channels": 7}, "omero/channels: is 7"),
        ("x", "omero: is 'x'"),
    ],
)
def test_omero_is_checked_on_every_way(fmt: str, target: str, omero: Any, said: str) -> None:
    store, new = MemoryStore(), MemoryStore()
    daskome.write_image(FIELD, store, None, axes="cyx", fmt=fmt)
    group = zarr.open_group(store)
    group.attrs.update({"ome": {**group.attrs["ome"], "omero": omero}} if "ome" in group.attrs else {"omero": omero})
    with pytest.raises(ValueError, match=said):
        daskome.transcode(store, new, fmt=target)
    assert not new._store_dict


def test_windows_that_are_missing_are_completed_and_named_in_the_same_version() -> None:
    store, new = MemoryStore(), MemoryStore()
    daskome.write_image(FIELD, store, None, axes="cyx", fmt="0.4")
    zarr.open_group(store).attrs["omero"] = {"channels": [{"color": "FF0000"}, {"color": "00FF00"}]}
    with pytest.warns(UserWarning, match="channels 0, 1: color and window are completed"):
        daskome.transcode(store, new, fmt="0.4")
    assert not [problem for problem in daskome.validate(new) if not problem.warning]


def test_what_is_read_is_no_hierarchy(tmp_path: Path) -> None:
    daskome.write_image(FIELD, tmp_path / "a", None, axes="cyx")
    with pytest.raises(TypeError, match=r"source must be a path, .* not Source; give the path that it was read from"):
        daskome.transcode(daskome.read(tmp_path / "a"), tmp_path / "b")  # type: ignore[arg-type]


@pytest.mark.parametrize("unlisted", [False, True])
def test_arrays_of_transformations_go_along(tmp_path: Path, unlisted: bool) -> None:
    """A matrix in an array goes into the metadata, wherever it stands; a field stays an image beside it."""
    plain = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    matrix, turn = np.array([[1, 2, 3], [4, 5.5, 6]]), np.array([[0, -1], [1, 0]], "int8")
    steps = [{"type": "rotation", "path": "more/turn"}, {"type": "affine", "path": "matrix"}]
    kinds = {
        "a": {"type": "affine", "path": "matrix"},
        "b": {"type": "sequence", "transformations": steps},
        "c": {"type": "displacements", "path": "more/field", "interpolation": "linear"},
    }
    source = tmp_path / "a.zarr"
    options: Any = {"axes": "yx", "axes_units": "um", "fmt": "0.6"}
    daskome.write_image(
        CELLS, source, None, coordinate_systems=[{"name": name, "axes": plain} for name in kinds],
        coordinate_transformations=[
            {**one, "input": {"name": "physical"}, "output": {"name": name}} for name, one in kinds.items()
        ],
        **options,
    )  # fmt: skip
    group = zarr.open_group(source)
    group.create_array("matrix", data=matrix)
    group.create_array("more/turn", data=turn, attributes={"from": "a microscope"})
    group.attrs["other"] = {"type": "affine", "path": "matrix"}
    moved = RNG.normal(size=(2, *CELLS.shape)).astype("float32")
    daskome.write_image(
        moved, source / "more/field", None, axes=[{"name": "d", "type": "displacement"}, *plain], fmt="0.6"
    )
    assert daskome.validate(source) == []
    store = Unlisted(LocalStore(source, read_only=True)) if unlisted else source
    with pytest.warns(UserWarning, match="not written: its attributes|the store lists nothing") as warned:
        daskome.transcode(store, tmp_path / "b.zarr")
    said = [str(w.message) for w in warned]
    assert said[unlisted:] == ["more/turn: not written: its attributes from"]
    assert daskome.validate(tmp_path / "b.zarr") == []
    (image,) = attributes_of(tmp_path / "b.zarr")[""]["ome"]["multiscales"]
    assert attributes_of(tmp_path / "b.zarr")[""]["other"] == {"type": "affine", "path": "matrix"}
    a, b, _ = image["coordinateTransformations"]
    assert a["affine"] == b["transformations"][1]["affine"] == matrix.tolist()
    assert b["transformations"][0] == {"type": "rotation", "rotation": turn.tolist()}
    np.testing.assert_array_equal(arrays_of(tmp_path / "b.zarr")["more/field/s0"], moved)
    point = daskome.open(tmp_path / "b.zarr").systems["b"].positions([1, 2])  # type: ignore[union-attr]
    np.testing.assert_array_equal(point, matrix @ [-2, 1, 1])


@pytest.mark.filterwarnings("ignore:The data type")  # zarr's, of text, in the oldest release that we take
@pytest.mark.parametrize("array", [np.zeros((40, 41)), np.array([["a"]]), np.array([[np.nan, 0, 0], [0, 1, 0]])])
def test_arrays_that_are_no_matrix_are_left_behind_by_name(tmp_path: Path, array: Any) -> None:
    source, link = tmp_path / "a.zarr", {"type": "affine", "affine": [[1, 0, 5], [0, 1, 0]]}
    daskome.write_image(CELLS, source, None, axes="yx", fmt="0.6", coordinate_systems={"a": link})
    group = zarr.open_group(source)
    group.create_array("matrix", data=array.astype("U1") if array.dtype.kind == "U" else array)
    ome = group.attrs["ome"]
    (stored,) = ome["multiscales"][0]["coordinateTransformations"]  # type: ignore[index, call-overload]
    stored["path"] = "matrix"
    del stored["affine"]
    group.attrs["ome"] = ome
    with pytest.warns(UserWarning, match="matrix: not written: an array that is no level of an image"):
        daskome.transcode(source, tmp_path / "b.zarr")
