"""Stored hierarchies in another version: the same pixels, the same chunk files, valid for everybody, after any kill."""

import json
import sys
import warnings
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore, ZipStore

import daskome
from daskome.cli.main import main
from daskome.ome.detect import ome_of
from daskome.ome.read import read_multiscale
from daskome.ome.versions import VERSIONS
from daskome.upgrade import tree
from daskome.upgrade.convert import _work
from tests.written import contents

DOCUMENTS = {"zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"}
OLD = ["0.1", "0.2", "0.3", "0.4"]
NEW = ["0.5", "0.6", "0.9.dev1"]
PAIRS = [(a, b) for a in OLD for b in [*OLD, *NEW] if a != b] + [("0.5", "0.6"), ("0.6", "0.5")]
PAIRS += [("0.6", "0.9.dev1"), ("0.9.dev1", "0.5"), ("0.9.dev1", "0.6")]
pairs = pytest.mark.parametrize(("source", "target"), PAIRS)
THROUGH = [
    ("0.1", "0.2"),
    ("0.2", "0.4"),
    ("0.4", "0.3"),
    ("0.1", "0.5"),
    ("0.4", "0.6"),
    ("0.5", "0.6"),
    ("0.6", "0.5"),
]
UNITS = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
SCALE = {"t": 3, "z": 2, "y": 0.5, "x": 0.5}


def write_cells(target: Any, fmt: str, axes: str = "tczyx", **options: Any) -> None:
    """Write an image of two channels and two levels with labels, as any version can hold it."""
    rng = np.random.default_rng(0)
    shape = {"t": 1, "c": 2, "z": 3, "y": 33, "x": 34}
    pixels = rng.integers(0, 1000, [shape[a] for a in axes]).astype("uint16")
    nuclei = rng.integers(0, 4, [1 if a == "c" else shape[a] for a in axes]).astype("uint8")
    known = {"axes": axes, "axes_units": {a: u for a, u in UNITS.items() if a in axes}}
    scale = {a: v for a, v in SCALE.items() if a in axes}
    chunks = tuple(16 if a in "yx" else 1 for a in axes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "OME-Zarr 0.[123] cannot store")
        daskome.write_image(
            pixels, target, [2], "cells", fmt=fmt, scale=scale, channels=["a", "b"] if "c" in axes else True,
            storage_options={"chunks": chunks}, **known, **options,
        )  # fmt: skip
        daskome.write_labels(
            nuclei, target, "nuclei", [2], fmt=fmt, scale=scale, colors={1: (255, 0, 0, 255)}, properties={1: {"a": 7}},
            storage_options={"chunks": chunks}, **known,
        )  # fmt: skip


def write_plate(target: Any, fmt: str) -> None:
    """Write a plate of two wells, one with two fields."""
    field = np.random.default_rng(0).integers(0, 1000, (1, 1, 1, 20, 21)).astype("uint16")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "OME-Zarr 0.[123] cannot store")
        daskome.write_plate(
            {"A/1": [field, field + 1], "B/2": field}, target, [2], "plate", fmt=fmt, axes="tczyx", channels=["a"],
            acquisitions=[{"id": 0, "name": "day 1", "maximumfieldcount": 2}], scale=SCALE,
        )  # fmt: skip


def chunks(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all files but metadata, with the time when they were written."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in DOCUMENTS]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def pixels(target: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return all arrays of a hierarchy by path."""
    group = zarr.open_group(target, mode="r")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Object at METADATA")
        members = dict(group.members(max_depth=None))
    return {path: np.asarray(a[...]) for path, a in members.items() if isinstance(a, zarr.Array)}


def assert_equal(found: dict[str, np.ndarray[Any, Any]], expected: dict[str, np.ndarray[Any, Any]]) -> None:
    assert set(found) == set(expected)
    for path, array in expected.items():
        np.testing.assert_array_equal(found[path], array)
        assert found[path].dtype == array.dtype


def attributes(target: Any, path: str = "") -> dict[str, Any]:
    return zarr.open_group(target, path=path or None, mode="r").attrs.asdict()


def validate(folder: Path, version: str, kind: str) -> None:
    """Ask all validators that know the version, and the reader of ome_zarr."""
    import yaozarrs
    from ngff_zarr.validate import validate as by_schema

    models = {"": kind, "labels/nuclei": "label"} if kind == "image" else {"": "plate", "A/1": "well", "A/1/0": "image"}
    for path, model in models.items():
        if model != "label" or version in ["0.4", *NEW]:
            strict = version in ["0.4", *NEW] or (model == "image" and version != "0.2")
            by_schema(attributes(folder, path), version=version, model=model, strict=strict)
    if version in ["0.4", "0.5"]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yaozarrs.validate_zarr_store(str(folder))
    if sys.version_info >= (3, 12):
        read_by_others(folder, version)


def read_by_others(folder: Path, version: str) -> None:
    import ome_zarr_models
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    if version in ["0.4", "0.5", "0.6"]:
        ome_zarr_models.open_ome_zarr(zarr.open_group(folder, mode="r"), version=version)  # type: ignore[arg-type]
    assert next(iter(Reader(parse_url(str(folder)))())).data[0].compute().any()  # type: ignore[arg-type]


WRITERS = {"image": write_cells, "plate": write_plate}


@pytest.mark.sampled(45)
@pytest.mark.parametrize("kind", WRITERS)
@pairs
def test_pixels_and_chunk_files_stay_and_everybody_finds_it_valid(
    tmp_path: Path, kind: str, source: str, target: str
) -> None:
    folder = tmp_path / "a.ome.zarr"
    WRITERS[kind](folder, source)
    before, files = pixels(folder), chunks(folder)
    lines = daskome.convert_metadata(folder, target)
    assert chunks(folder) == files
    assert_equal(pixels(folder), before)
    validate(folder, target, kind)
    assert any(f"OME-Zarr {source} to {target}" in line for line in lines)
    assert daskome.convert_metadata(folder, target) == [f"OME-Zarr {target} already: nothing to do"]
    old = target in OLD
    assert old == any(folder.rglob(".z*"))
    assert old != any(folder.rglob("zarr.json"))


@pytest.mark.sampled(28)
@pairs
def test_it_is_what_would_have_been_written(tmp_path: Path, source: str, target: str) -> None:
    """All attributes of all groups, and the pixel sizes that older versions only keep."""
    write_cells(tmp_path / "a", source)
    write_cells(tmp_path / "b", target)
    daskome.convert_metadata(tmp_path / "a", target)
    for path in ("", "labels", "labels/nuclei"):
        assert attributes(tmp_path / "a", path) == attributes(tmp_path / "b", path)
    sizes = [tuple(SCALE.get(axis, 1) for axis in "tczyx")]
    assert read_multiscale(attributes(tmp_path / "a")).placed[0].scale == sizes[0]


@pytest.mark.sampled(15)
@pytest.mark.parametrize("axes", ["yx", "zyx", "czyx"])
@pytest.mark.parametrize(("source", "target"), [("0.3", "0.5"), ("0.4", "0.3"), ("0.4", "0.6"), ("0.5", "0.6")])
def test_fewer_axes(tmp_path: Path, axes: str, source: str, target: str) -> None:
    write_cells(tmp_path / "a", source, axes)
    before = pixels(tmp_path / "a")
    daskome.convert_metadata(tmp_path / "a", target)
    validate(tmp_path / "a", target, "image")
    assert_equal(pixels(tmp_path / "a"), before)


def test_up_and_down_through_all_versions(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    first = contents(tmp_path / "a")
    for version in ["0.3", "0.2", "0.1", "0.3", "0.4"]:
        daskome.convert_metadata(tmp_path / "a", version)
        assert json.loads((tmp_path / "a/.zattrs").read_text())["multiscales"][0]["version"] == version
    last = contents(tmp_path / "a")
    assert {k: v for k, v in last.items() if Path(k).name not in DOCUMENTS} == {
        k: v for k, v in first.items() if Path(k).name not in DOCUMENTS
    }
    assert {k: json.loads(v) for k, v in last.items() if Path(k).name in DOCUMENTS} == {
        k: json.loads(v) for k, v in first.items() if Path(k).name in DOCUMENTS
    }


# ---- kills


class Killed(Exception):
    pass


class Failing(WrapperStore[MemoryStore]):
    """A store that is killed after so many changes."""

    def __init__(self, store: MemoryStore, changes: float = float("inf")) -> None:
        super().__init__(store)
        self.left = changes

    def _change(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1

    async def set(self, key: str, value: Any) -> None:
        self._change()
        await super().set(key, value)

    async def delete(self, key: str) -> None:
        self._change()
        await super().delete(key)


def copied(store: MemoryStore) -> MemoryStore:
    return MemoryStore(dict(store._store_dict))


def same_bytes(store: MemoryStore) -> dict[str, bytes]:
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def seen(store: MemoryStore, zarr_format: Any = None) -> dict[str, Any]:
    """Return what a reader finds from the root: its version and pixels, also those of labels."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Both zarr.json")
        root = zarr.open_group(store, mode="r", zarr_format=zarr_format)
    ome = ome_of(root.attrs.asdict())
    version = (
        ome.get("version") or ome.get("multiscales", [{}])[0].get("version") or ome.get("plate", {}).get("version")
    )
    places = [d["path"] for m in ome.get("multiscales", []) for d in m["datasets"]]
    places += [f"labels/nuclei/{path}" for path in places] + [
        f"{w['path']}/0/s0" for w in ome.get("plate", {}).get("wells", [])
    ]
    return {"version": version, **{path: np.asarray(root[path][...]) for path in places}}  # type: ignore[index]


@pytest.mark.extended
@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize(("source", "target"), THROUGH)
def test_killed_at_any_write_the_next_call_finishes(
    monkeypatch: pytest.MonkeyPatch, kind: str, consolidated: bool, source: str, target: str
) -> None:
    monkeypatch.setattr(tree, "REQUESTS_AT_ONCE", 1)
    first = MemoryStore()
    WRITERS[kind](first, source)
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(first)
    whole, before = copied(first), seen(first)
    daskome.convert_metadata(whole, target)
    after = seen(whole)
    assert (before["version"], after["version"]) == (source, target)
    for changes in count():
        store = copied(first)
        try:
            daskome.convert_metadata(Failing(store, changes), target)
        except Killed:
            found = seen(store)
            assert found["version"] in (source, target)
            assert_equal(*({k: v for k, v in one.items() if k != "version"} for one in (found, before)))
            daskome.convert_metadata(Failing(store), target)
            assert same_bytes(store) == same_bytes(whole)
        else:
            daskome.convert_metadata(
                store, target
            )  # Its claim stays where that cannot be deleted, until the next call.
            break
    assert changes > 1
    assert same_bytes(store) == same_bytes(whole)


def test_no_group_is_new_before_its_levels_and_the_root_is_last() -> None:
    store = MemoryStore()
    write_cells(store, "0.4")
    work = _work(StorePath(store), VERSIONS["0.5"], tree.build_tree(StorePath(store)))
    stages = [sorted(stage) for stage in work.writes]
    assert stages == [
        ["labels/nuclei/s0/zarr.json", "labels/nuclei/s1/zarr.json", "s0/zarr.json", "s1/zarr.json"],
        ["labels/nuclei/zarr.json"],
        ["labels/zarr.json"],
        ["zarr.json"],
    ]
    assert work.deletes[:2] == ((".zgroup",), (".zattrs",))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_readers_of_one_format_see_it_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, zarr_format: int) -> None:
    monkeypatch.setattr(tree, "REQUESTS_AT_ONCE", 1)
    first = MemoryStore()
    write_cells(first, "0.4")
    before = seen(first)
    there = []
    for changes in count():
        store = copied(first)
        try:
            daskome.convert_metadata(Failing(store, changes), "0.5")
        except Killed:
            try:
                found = seen(store, zarr_format)
            except FileNotFoundError:
                there.append(False)
                continue
            assert_equal(*({k: v for k, v in one.items() if k != "version"} for one in (found, before)))
            there.append(True)
        else:
            break
    assert there == sorted(there, reverse=zarr_format == 2)
    assert {True, False} == set(there)


def test_a_half_done_conversion_to_v3_is_not_turned_into_another_of_v2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "REQUESTS_AT_ONCE", 1)
    store = MemoryStore()
    write_cells(store, "0.4")
    with pytest.raises(Killed):
        daskome.convert_metadata(Failing(store, 3), "0.5")
    with pytest.raises(ValueError, match=r"is partly converted to zarr v3, as .*/zarr\.json shows"):
        daskome.convert_metadata(store, "0.3")


# ---- others' things


@pytest.mark.sampled(24)
@pairs
def test_attributes_of_others_stay(tmp_path: Path, source: str, target: str) -> None:
    write_cells(tmp_path / "a", source)
    for path in ("", "labels", "labels/nuclei"):
        group = zarr.open_group(tmp_path / "a", path=path or None, mode="r+")
        group.attrs["lab"] = {"person": path}
        if source in NEW:
            group.attrs["ome"] = {**group.attrs["ome"], "_creator": "me"}  # type: ignore[dict-item]
    zarr.open_array(tmp_path / "a/s0", mode="r+").attrs["gain"] = 2
    daskome.convert_metadata(tmp_path / "a", target)
    for path in ("", "labels", "labels/nuclei"):
        assert attributes(tmp_path / "a", path)["lab"] == {"person": path}
        assert source in OLD or attributes(tmp_path / "a", path)["ome"]["_creator"] == "me"
    assert zarr.open_array(tmp_path / "a/s0", mode="r").attrs["gain"] == 2


def test_groups_and_arrays_of_others_come_along_or_stay_as_they_are(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    root = zarr.open_group(tmp_path / "a", mode="r+")
    root.create_array("extra/flat", data=np.arange(6), chunks=(3,), attributes={"k": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.create_group("tables").create_array("names", shape=(2,), dtype="<U4")
    lines = daskome.convert_metadata(tmp_path / "a", "0.5")
    new = zarr.open_group(tmp_path / "a", mode="r")
    np.testing.assert_array_equal(new["extra/flat"][...], np.arange(6))  # type: ignore[index]
    assert new["extra/flat"].attrs.asdict() == {"k": 1}
    assert any(
        line.startswith("tables: left in zarr v2, as it is not OME-Zarr and tables/names: dtype") for line in lines
    )
    assert (tmp_path / "a/tables/.zgroup").exists()
    assert zarr.open_group(tmp_path / "a/tables", mode="r")["names"].shape == (2,)  # type: ignore[union-attr]
    assert not (tmp_path / "a/tables/zarr.json").exists()


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("source", "target"), [("0.2", "0.4"), ("0.4", "0.3"), ("0.5", "0.6"), ("0.6", "0.5")])
def test_consolidated_metadata_follow(tmp_path: Path, source: str, target: str) -> None:
    write_cells(tmp_path / "a", source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(tmp_path / "a")
    assert daskome.convert_metadata(tmp_path / "a", source) == [f"OME-Zarr {source} already: nothing to do"]
    daskome.convert_metadata(tmp_path / "a", target)
    copies = zarr.open_group(tmp_path / "a", mode="r", use_consolidated=True)
    plain = zarr.open_group(tmp_path / "a", mode="r", use_consolidated=False)
    for path, node in plain.members(max_depth=None):
        assert copies[path].attrs.asdict() == node.attrs.asdict()
    assert copies.attrs.asdict() == plain.attrs.asdict()


def test_consolidated_metadata_of_v2_go_with_it(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    zarr.consolidate_metadata(tmp_path / "a")
    daskome.convert_metadata(tmp_path / "a", "0.5")
    assert not list(tmp_path.rglob(".z*"))


@pytest.mark.extended
def test_a_bioformats2raw_layout(tmp_path: Path) -> None:
    root = zarr.create_group(tmp_path / "a", zarr_format=2, attributes={"bioformats2raw.layout": 3})
    root.create_group("OME", attributes={"series": ["0", "1"]})
    for i in "01":
        write_cells(tmp_path / "a" / i, "0.4")
    (tmp_path / "a/OME/METADATA.ome.xml").write_text("<OME/>")
    before = pixels(tmp_path / "a")
    lines = daskome.convert_metadata(tmp_path / "a", "0.5")
    assert attributes(tmp_path / "a") == {"ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    assert attributes(tmp_path / "a", "OME") == {"ome": {"version": "0.5", "series": ["0", "1"]}}
    assert_equal(pixels(tmp_path / "a"), before)
    assert (tmp_path / "a/OME/METADATA.ome.xml").read_text() == "<OME/>"
    assert "documents of zarr v3 for 8 groups and 8 arrays, instead of those of v2" in lines


def test_rows_without_a_document_get_one(tmp_path: Path) -> None:
    write_plate(tmp_path / "a", "0.4")
    for document in [*(tmp_path / "a").glob("?/.zgroup"), *(tmp_path / "a").glob("?/.zattrs")]:
        document.unlink()
    daskome.convert_metadata(tmp_path / "a", "0.5")
    validate(tmp_path / "a", "0.5", "plate")
    assert (tmp_path / "a/A/zarr.json").exists()


def test_labels_without_a_list_get_one(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    (tmp_path / "a/labels/.zattrs").unlink()
    lines = daskome.convert_metadata(tmp_path / "a", "0.5")
    assert "labels: labels nuclei are listed" in lines
    validate(tmp_path / "a", "0.5", "image")


def test_a_hierarchy_of_several_versions_becomes_one(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    group = zarr.open_group(tmp_path / "a/labels/nuclei", mode="r+")
    found = json.loads(json.dumps(group.attrs.asdict()).replace('"0.4"', '"0.3"'))
    found["multiscales"][0]["axes"] = list("tczyx")
    group.attrs.put(found)
    lines = daskome.convert_metadata(tmp_path / "a", "0.4")
    assert any(line.startswith("labels/nuclei: OME-Zarr 0.3 to 0.4") for line in lines)
    validate(tmp_path / "a", "0.4", "image")


@pytest.mark.extended
def test_names_of_axes_are_put_on_arrays(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4", "zyx")
    for document in (tmp_path / "a").glob("s?/.zattrs"):
        document.unlink()
    daskome.convert_metadata(tmp_path / "a", "0.3")
    assert attributes(tmp_path / "a")["_ARRAY_DIMENSIONS"] == ["z", "y", "x"]
    assert zarr.open_array(tmp_path / "a/s1", mode="r").attrs["_ARRAY_DIMENSIONS"] == ["z", "y", "x"]
    write_cells(tmp_path / "b", "0.6", "zyx")
    document = tmp_path / "b/s1/zarr.json"
    document.write_text(
        json.dumps({k: v for k, v in json.loads(document.read_text()).items() if k != "dimension_names"})
    )
    daskome.convert_metadata(tmp_path / "b", "0.5")
    validate(tmp_path / "b", "0.5", "image")


@pytest.mark.parametrize(("source", "target", "name"), [("0.1", "0.4", "."), ("0.4", "0.1", "/")])
def test_names_of_chunks_stay_and_that_is_said(tmp_path: Path, source: str, target: str, name: str) -> None:
    write_cells(tmp_path / "a", source)
    lines = daskome.convert_metadata(tmp_path / "a", target)
    assert any(line.startswith(f"image: chunks stay named with {name!r}") for line in lines)
    assert json.loads((tmp_path / "a/s0/.zarray").read_text())["dimension_separator"] == name


# ---- refusals, and what is left alone


def unfinished(folder: Path) -> None:
    write_cells(folder, "0.4")
    zarr.open_group(folder / "labels/nuclei", mode="r+").attrs["daskome"] = {"unfinished": True}


def other_codec(folder: Path) -> None:
    write_cells(folder, "0.4")
    for path in ("s1", "labels/nuclei/s0"):
        document = folder / path / ".zarray"
        found = json.loads(document.read_text()) | {"compressor": {"id": "lzma", "preset": 1}}
        document.write_text(json.dumps(found))


def three_axes(folder: Path) -> None:
    write_cells(folder, "0.4", "zyx")


def deep_wells(folder: Path) -> None:
    write_plate(folder, "0.3")
    group = zarr.open_group(folder, mode="r+")
    plate: Any = group.attrs["plate"]
    group.attrs["plate"] = {**plate, "wells": [{"path": f"2020-10-10/{well['path']}"} for well in plate["wells"]]}


def missing_level(folder: Path) -> None:
    write_cells(folder, "0.4")
    (folder / "s1/.zarray").unlink()


def float_labels(folder: Path) -> None:
    write_cells(folder, "0.4")
    for path in ("s0", "s1"):
        document = folder / "labels/nuclei" / path / ".zarray"
        document.write_text(json.dumps(json.loads(document.read_text()) | {"dtype": "<f4"}))


def two_dtypes(folder: Path) -> None:
    write_cells(folder, "0.5")
    document = folder / "s1/zarr.json"
    document.write_text(json.dumps(json.loads(document.read_text()) | {"data_type": "int16"}))


def unknown_version(folder: Path) -> None:
    write_cells(folder, "0.5")
    group = zarr.open_group(folder, mode="r+")
    group.attrs["ome"] = {**group.attrs["ome"], "version": "0.8"}  # type: ignore[dict-item]


def wrong_channels(folder: Path) -> None:
    write_cells(folder, "0.4")
    group = zarr.open_group(folder, mode="r+")
    group.attrs["omero"] = {"channels": [{"color": "red", "window": {"min": 0, "max": 1, "start": 0, "end": 1}}]}
    labels = zarr.open_group(folder / "labels", mode="r+")
    labels.attrs["labels"] = ["/nuclei"]


REFUSALS: list[tuple[Any, str, str]] = [
    (lambda folder: write_cells(folder, "0.5"), "0.4", r"is in zarr v3, and OME-Zarr 0\.4 is in v2.*write the image again with fmt='0\.4'"),
    (unfinished, "0.5", "labels/nuclei is unfinished"),
    (other_codec, "0.6", r"s1: zarr v3 has no codec for compressor 'lzma'(.|\n)*labels/nuclei/s0: zarr v3 has no codec"),
    (three_axes, "0.2", r"axes \['z', 'y', 'x'\]: OME-Zarr 0\.2 has images of t, c, z, y, x only.*section 'axes'"),
    (deep_wells, "0.4", r"wells \['2020-10-10/A/1', .*row/column only.*section 'plate'"),
    (missing_level, "0.5", "root: lists level s1, but there is no array"),
    (float_labels, "0.5", "labels/nuclei: labels are '<f4'.*integers only"),
    (two_dtypes, "0.6", "levels have data types uint16, int16; OME-Zarr 0.6 has one for all"),
    (unknown_version, "0.6", r"version '0\.8' is not one of"),
    (wrong_channels, "0.5", r"root: omero/channels/0/color: is 'red'(.|\n)*labels: labels/0: is '/nuclei'|labels: labels/0(.|\n)*"),
    (lambda folder: zarr.create_group(folder), "0.5", "holds no OME-Zarr"),
    (lambda folder: write_cells(folder, "0.4"), "0.7", r"unknown OME-Zarr version '0\.7'"),
]  # fmt: skip


@pytest.mark.sampled(12)
@pytest.mark.parametrize(("write", "target", "message"), REFUSALS)
def test_refused_before_anything_is_written(tmp_path: Path, write: Any, target: str, message: str) -> None:
    write(tmp_path / "a")
    before = contents(tmp_path / "a")
    with pytest.raises(ValueError, match=message):
        daskome.convert_metadata(tmp_path / "a", target)
    assert contents(tmp_path / "a") == before


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no zarr group"):
        daskome.convert_metadata(tmp_path / "a", "0.5")


@pytest.mark.sampled(6)
@pytest.mark.parametrize("path", ["labels/nuclei", "labels"])
@pytest.mark.parametrize("store", ["path", "store", "url"])
def test_a_part_of_a_hierarchy_is_refused_and_the_root_named(tmp_path: Path, path: str, store: str) -> None:
    places: dict[str, Any] = {
        "path": tmp_path / "a",
        "store": LocalStore(tmp_path / "a"),
        "url": f"memory://{tmp_path.name}/a",
    }
    write_cells(places[store], "0.4")
    part = StorePath(places[store], path) if store == "store" else (
        places[store] / path if store == "path" else f"{places[store]}/{path}"
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"is part of .*/a\W*, which is of OME-Zarr 0\.4.*convert that instead"):
        daskome.convert_metadata(part, "0.5")
    assert daskome.convert_metadata(places[store], "0.5")
    assert daskome.convert_metadata(part, "0.5") == ["OME-Zarr 0.5 already: nothing to do"]


def test_a_field_of_a_plate_is_refused(tmp_path: Path) -> None:
    write_plate(tmp_path / "a", "0.4")
    with pytest.raises(ValueError, match=r"is part of .*/a, which is of OME-Zarr 0\.4"):
        daskome.convert_metadata(tmp_path / "a/A/1/0", "0.5")


def test_read_only_stores_are_refused(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4")
    with pytest.raises(ValueError, match="is read-only; nothing is written"):
        daskome.convert_metadata(LocalStore(tmp_path / "a", read_only=True), "0.5")
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        zarr.create_group(store)  # Older zarr can't close what was never opened.
        with pytest.raises(ValueError, match="nothing can be replaced"):
            daskome.convert_metadata(store, "0.5")
    assert daskome.convert_metadata(LocalStore(tmp_path / "a", read_only=True), "0.5", dry_run=True)


@pytest.mark.sampled(45)
@pytest.mark.parametrize("kind", WRITERS)
@pairs
def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path: Path, kind: str, source: str, target: str) -> None:
    WRITERS[kind](tmp_path / "a", source)
    before = contents(tmp_path / "a")
    told = daskome.convert_metadata(tmp_path / "a", target, dry_run=True)
    assert contents(tmp_path / "a") == before
    assert daskome.convert_metadata(tmp_path / "a", target) == told


@pytest.mark.sampled(2)
@pytest.mark.parametrize("target", ["0.3", "0.5"])
def test_stores_in_memory_and_open_groups(tmp_path: Path, target: str) -> None:
    url = f"memory://{tmp_path.name}/b.ome.zarr"
    for place in (MemoryStore(), url):
        write_cells(place, "0.4")
        before = pixels(place)
        daskome.convert_metadata(place, target)
        assert_equal(pixels(place), before)
    group = zarr.create_group(MemoryStore(), zarr_format=2)
    write_cells(group, "0.4")
    group = zarr.open_group(group.store, mode="r+")
    daskome.convert_metadata(group, target)
    assert ("ome" in group.attrs) == (target in NEW)


def test_the_command(tmp_path: Path) -> None:
    write_cells(tmp_path / "a", "0.4", "zyx")
    before, url = contents(tmp_path / "a"), str(tmp_path / "a")
    tried = CliRunner().invoke(main, ["upgrade", url, "--version", "0.5", "--dry-run"])
    assert tried.output.startswith("nothing is written; this would be done:\nimage: OME-Zarr 0.4 to 0.5\n")
    assert contents(tmp_path / "a") == before
    done = CliRunner().invoke(main, ["upgrade", url, "--version", "0.5"])
    assert done.output == tried.output.partition("\n")[2]
    refused = CliRunner().invoke(main, ["upgrade", url, "--version", "0.4"])
    assert (refused.exit_code, done.exit_code, tried.exit_code) == (2, 0, 0)
    assert "write the image again with fmt='0.4'" in refused.output


def test_what_is_no_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "a.ome.zarr"
    write_cells(folder, "0.4")
    (folder / ".zattrs").write_text((folder / ".zattrs").read_text().rstrip().removesuffix("}") + ', "mine": NaN}')
    before = contents(folder)
    with pytest.raises(ValueError, match="mine is nan, which JSON does not have"):
        daskome.convert_metadata(folder, "0.5")
    assert contents(folder) == before


def test_attributes_of_others_beside_ome_stay_whatever_their_name(tmp_path: Path) -> None:
    folder = tmp_path / "a.ome.zarr"
    write_cells(folder, "0.5")
    group = zarr.open_group(folder)
    group.attrs["plate"], group.attrs["labels"] = {"mine": 1}, ["mine"]
    daskome.convert_metadata(folder, "0.6")
    found = zarr.open_group(folder, mode="r").attrs.asdict()
    assert (found["plate"], found["labels"]) == ({"mine": 1}, ["mine"])


def test_slashes_at_the_end_of_a_path_count_for_nothing(tmp_path: Path) -> None:
    daskome.write_image(np.zeros((8, 8), "uint8"), tmp_path / "a", None, axes="yx", fmt="0.4")
    document = tmp_path / "a" / ".zattrs"
    document.write_text(document.read_text().replace('"s0"', '"s0/"'))
    daskome.convert_metadata(tmp_path / "a", "0.5")
    assert zarr.open_array(tmp_path / "a" / "s0", mode="r").metadata.dimension_names == ("y", "x")
