"""What daskome writes verifies clean; every fault that can be thought of is found, at its address."""

import json
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from copy import deepcopy
from math import inf, nan
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import example, given, strategies as st
from zarr.storage import MemoryStore

from daskome.inspection import compare
from daskome.inspection.compare import sample
from daskome.inspection.stored_image import read_pyramid
from daskome.inspection.verify import verify
from daskome.kernels.methods import METHODS
from daskome.model import limits
from daskome.model.problem import Problem
from daskome.writer import write_image, write_multiscale, write_plate
from tests.strategies import law

SHAPES = {"yx": (45, 70), "zyx": (7, 37, 30), "czyx": (2, 9, 33, 40), "tczyx": (2, 2, 3, 21, 11)}
CHUNKS = {"z": 4, "y": 16, "x": 16}


def noise(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, shape).astype(dtype)


def chunks_of(axes: str) -> dict[str, int]:
    return {name: CHUNKS[name] for name in axes if name in CHUNKS}


def written(store: Any, axes: str = "zyx", **options: Any) -> np.ndarray:
    image = noise(SHAPES[axes], options.pop("dtype", "uint16"))
    options = {"storage_options": {"chunks": chunks_of(axes)}, "scale_factors": [2, 4], **options}
    write_image(image, store, axes=axes, **options)
    return image


def where(problems: list[Problem]) -> list[str]:
    return [problem.where for problem in problems]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks per level, also of small images."""
    monkeypatch.setattr(limits, "LIMITS", limits.Limits(block_nbytes=1, frame_nbytes=1))


# ---- what is right


@pytest.mark.sampled(20)
@pytest.mark.parametrize(
    ("axes", "fmt"),
    [("yx", "0.4"), ("zyx", "0.5"), ("zyx", "0.4"), ("czyx", "0.5"), ("tczyx", "0.5"), ("tczyx", "0.4")],
)
@pytest.mark.parametrize("method", [*METHODS, "numpy:max"])
def test_what_daskome_writes_is_clean(method: str, axes: str, fmt: str) -> None:
    store = MemoryStore()
    scale = [0.5 + 0.1 * i for i in range(len(axes))]
    chunks = chunks_of(axes) | {"y": 32, "x": 32}
    options = {"scale": scale, "translation": scale[::-1], "channels": True, "storage_options": {"chunks": chunks}}
    image = written(store, axes, method=method, fmt=fmt, **options)
    own = None if method in METHODS else method
    assert verify(store, pixels=True, source=image, method=own) == []


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float64", "uint64"])
def test_dtypes(dtype: str) -> None:
    store = MemoryStore()
    image = written(store, dtype=dtype)
    assert verify(store, pixels=True, source=image) == []


def test_nan_equals_nan() -> None:
    store, image = MemoryStore(), noise((20, 30), "float32")
    image[3, 4] = image[10:, 7:] = nan
    write_image(image, store, [2, 4], axes="yx")
    assert verify(store, pixels=True, source=image) == []


@pytest.mark.parametrize("method", ["mean", "gaussian"])
def test_sharded(method: str) -> None:
    store, options = MemoryStore(), {"chunks": {"z": 4, "y": 8, "x": 16}, "shards": {"z": 8, "y": 32, "x": 32}}
    image = written(store, method=method, storage_options=options)
    assert verify(store, pixels=True, source=da.from_array(image, chunks=(3, 37, 20))) == []
    assert read_pyramid(store).levels[0].layout.shards == (8, 32, 32)


@pytest.mark.parametrize("factors", [[3, 9], [{"y": 2}, {"y": 4, "x": 2}], [5], None, "auto"])
def test_factors(factors: Any) -> None:
    store = MemoryStore()
    image = written(store, scale_factors=factors, scale=(3.0, 1.0, 1.1))
    assert verify(store, pixels=True, source=image) == []


def test_levels_given_by_the_caller_need_not_have_whole_factors() -> None:
    store = MemoryStore()
    write_multiscale([noise((100, 90)), noise((41, 37))], store, axes="yx")
    assert verify(store) == []
    assert where(verify(store, pixels=True)) == ["multiscales/0/datasets/1"]


@pytest.mark.parametrize("shift", [0.5, 0.51])
def test_levels_of_other_writers_have_floor_sizes(shift: float) -> None:
    """Scales are factors, or ratios of shapes; the last, cut window is dropped."""
    store, image = MemoryStore(), noise((101, 101)) // 2 * 2
    levels = [image, image[:100, :100].reshape(50, 2, 50, 2).max(axis=(1, 3))]
    scale = [2 * shift + 1] * 2
    datasets = [
        {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]},
        {
            "path": "1",
            "coordinateTransformations": [
                {"type": "scale", "scale": scale},
                {"type": "translation", "translation": [shift, shift]},
            ],
        },
    ]
    axes = [{"name": name, "type": "space"} for name in "yx"]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets, "type": "max"}]}
    group = zarr.create_group(store, attributes={"ome": ome})
    for path, level in zip("01", levels, strict=True):
        group.create_array(path, data=level, chunks=(30, 30), dimension_names=["y", "x"])
    assert verify(store, pixels=True) == []
    group["1"][49, 49] = 0
    assert where(verify(store, pixels=True)) == ["1 y 30:50, x 30:50"]
    group.attrs["ome"] = {**ome, "multiscales": [{"axes": axes, "datasets": datasets, "type": "local_mean"}]}
    assert where(verify(store, pixels=True)) == ["multiscales/0/type"]
    assert verify(store) == []


def test_read_pyramid_is_what_was_planned() -> None:
    store = MemoryStore()
    plan = write_image(noise((50, 60)), store, [2, 8], axes="yx", scale=(0.5, 0.25), storage_options={"chunks": 16})
    planned, found = plan.pyramids[0], read_pyramid(store)
    assert (found.name, found.axes, found.dtype, found.method) == (
        planned.name, planned.axes, planned.dtype, planned.method,
    )  # fmt: skip
    for a, b in zip(planned.levels, found.levels, strict=True):
        fields = ("path", "shape", "factors", "scale", "translation")
        assert [getattr(a, f) for f in fields] == [getattr(b, f) for f in fields]
        assert (a.layout.chunks, a.layout.shards) == (b.layout.chunks, b.layout.shards)
        assert b.layout.options["compressors"][0]["name"] == "blosc"
    with pytest.raises(ValueError, match="no zarr group"):
        read_pyramid(MemoryStore())


# ---- what is broken: metadata

Document = dict[str, Any]
Change = Callable[[Path], None]


def document(path: str, change: Callable[[Document], None]) -> Change:
    """Change a JSON document of a store."""

    def apply(root: Path) -> None:
        found = json.loads((root / path).read_text())
        change(found)
        (root / path).write_text(json.dumps(found))

    return apply


def attributes(change: Callable[[Document], None]) -> Change:
    return document("zarr.json", lambda d: change(d["attributes"]))


def ome(change: Callable[[Document], None]) -> Change:
    return attributes(lambda a: change(a["ome"]))


def multiscale(change: Callable[[Document], None]) -> Change:
    return ome(lambda o: change(o["multiscales"][0]))


def transform(k: int, i: int, values: Any) -> Change:
    kind = ("scale", "translation")[i]
    return multiscale(lambda m: m["datasets"][k]["coordinateTransformations"][i].__setitem__(kind, values))


def channel(change: Callable[[Document], None]) -> Change:
    return ome(lambda o: change(o["omero"]["channels"][1]))


def array(path: str, **changes: Any) -> Change:
    return document(f"{path}/zarr.json", lambda d: d.update(changes))


def removed(path: str) -> Change:
    return lambda root: shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()


def remade(path: str, dtype: str | None = None, **options: Any) -> Change:
    """An array of the same name, shape and values, different in something else."""

    def apply(root: Path) -> None:
        old = zarr.open_array(root / path, mode="r")
        data = old[:].astype(dtype or old.dtype)
        settings = {"zarr_format": 3, "chunks": old.chunks, "dimension_names": list("czyx"), **options}
        if settings["zarr_format"] == 2:
            del settings["dimension_names"]
        shutil.rmtree(root / path)
        zarr.create_array(root / path, data=data, **settings)

    return apply


def voxel(path: str, *at: int) -> Change:
    def apply(root: Path) -> None:
        stored = zarr.open_array(root / path, mode="r+")
        stored[at] = stored[at] + 77

    return apply


def to_the_top(a: Document) -> None:
    a |= a.pop("ome")
    a["multiscales"][0]["version"] = "0.5"


def swap(m: Document) -> None:
    m["datasets"][:2] = m["datasets"][1::-1]


def broken(path: str) -> Change:
    return lambda root: (root / path).write_text("{") and None


T = "coordinateTransformations"
D0, D1, D2, OMERO = "multiscales/0/datasets/0", "multiscales/0/datasets/1", "multiscales/0/datasets/2", "omero/channels"
FAULTS: dict[str, tuple[Change, list[str]]] = {
    "array deleted": (removed("s1"), [D1]),
    "coarsest array deleted": (removed("s2"), [D2]),
    "array is a group": (document("s1/zarr.json", lambda d: d.update(node_type="group")), [D1]),
    "array document is no JSON": (broken("s1/zarr.json"), [D1]),
    "unknown codec": (array("s2", codecs=[{"name": "nonesuch"}]), [D2]),
    "scale wrong": (transform(1, 0, [1, 2, 3, 2]), [D1]),
    "scale of level 2 wrong on two axes": (transform(2, 0, [1, 4, 2, 2]), [D2, D2]),
    "scale of channels not 1": (transform(1, 0, [2, 2, 2, 2]), [D1]),
    "scale zero": (transform(1, 0, [1, 2, 0, 2]), [f"{D1}/{T}/0/scale/2"]),
    "scale negative": (transform(0, 0, [1, -1, 1, 1]), [f"{D0}/{T}/0/scale/1"]),
    "scale too short": (transform(1, 0, [2, 2, 2]), [f"{D1}/{T}/0/scale"]),
    "scale is text": (transform(1, 0, ["a", 2, 2, 2]), [f"{D1}/{T}/0/scale/0"]),
    "scale NaN": (transform(2, 0, [1, 4, nan, 4]), [f"{D2}/{T}/0/scale/2"]),
    "scale missing": (multiscale(lambda m: m["datasets"][1][T].pop(0)), [f"{D1}/{T}", *[D1] * 3]),
    "transformations missing": (multiscale(lambda m: m["datasets"][0].pop(T)), [f"{D0}/{T}"]),
    "translation before scale": (multiscale(lambda m: m["datasets"][1][T].reverse()), [f"{D1}/{T}"]),
    "translation wrong": (transform(1, 1, [0, 0.5, 0.5, 1.5]), [D1]),
    "translation infinite": (transform(1, 1, [0, 0.5, 0.5, inf]), [f"{D1}/{T}/1/translation/3"]),
    "translation missing": (multiscale(lambda m: m["datasets"][2]["coordinateTransformations"].pop()), [D2] * 3),
    "type says nearest": (multiscale(lambda m: m.update(type="nearest")), [D1] * 3 + [D2] * 3),
    "levels swapped": (multiscale(swap), [D1, D1]),
    "a level twice": (multiscale(lambda m: m["datasets"][2].update(path="s1")), [D2, f"{D2}/path"]),
    "dataset without path": (multiscale(lambda m: m["datasets"][2].pop("path")), [f"{D2}/path"]),
    "path outside the group": (multiscale(lambda m: m["datasets"][2].update(path="../s2")), [f"{D2}/path"]),
    "no datasets": (multiscale(lambda m: m.update(datasets=[])), ["multiscales/0/datasets"]),
    "dtype differs": (remade("s1", dtype="float32"), [D1]),
    "dtype of no image": (remade("s2", dtype="complex64"), [D2]),
    "text": (array("s2", data_type="string", fill_value=""), [D2]),
    "array in zarr v2": (remade("s1", zarr_format=2, chunk_key_encoding={"name": "v2", "separator": "/"}), [D1]),
    "dimension_names wrong": (array("s1", dimension_names=["c", "x", "y", "z"]), [D1]),
    "dimension_names missing": (document("s0/zarr.json", lambda d: d.pop("dimension_names")), [D0]),
    "axes in the wrong order": (multiscale(lambda m: m["axes"].insert(0, m["axes"].pop(1))), ["multiscales/0/axes"]),
    "axes repeat": (multiscale(lambda m: m["axes"][2].update(name="x")), ["multiscales/0/axes/3/name"]),
    "an axis too few": (multiscale(lambda m: m["axes"].pop(1)), [D0, D1, D2]),
    "no axes": (multiscale(lambda m: m.pop("axes")), ["multiscales/0/axes"]),
    "no multiscales": (ome(lambda o: o.pop("multiscales")), ["multiscales"]),
    "no ome": (attributes(lambda a: a.pop("ome")), ["ome"]),
    "no version": (ome(lambda o: o.pop("version")), ["version"]),
    "unknown version": (ome(lambda o: o.update(version="7")), ["version"]),
    "metadata at the top level": (attributes(to_the_top), ["multiscales", "omero"]),
    "version of zarr v2": (ome(lambda o: o.update(version="0.4")), ["ome", "group", D1]),
    "channel missing": (ome(lambda o: o["omero"]["channels"].pop()), [OMERO]),
    "channels missing": (ome(lambda o: o.update(omero={})), [OMERO]),
    "colour with #": (channel(lambda c: c.update(color="#00FF00")), [f"{OMERO}/1/color"]),
    "window without end": (channel(lambda c: c["window"].pop("end")), [f"{OMERO}/1/window/end"]),
    "window infinite": (channel(lambda c: c["window"].update(max=inf)), [f"{OMERO}/1/window/max"]),
    "unfinished": (attributes(lambda a: a.update(daskome={"unfinished": True})), ["group"]),
    "group document is no JSON": (broken("zarr.json"), ["group"]),
    "nothing there": (lambda root: shutil.rmtree(root), ["group"]),
}  # fmt: skip


WITH_CONSEQUENCES = {
    "version of zarr v2", "axes in the wrong order", "axes repeat", "an axis too few", "scale missing", "no axes",
}  # fmt: skip
"""Faults that make other things wrong too."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "image.ome.zarr"
    written(path, "czyx", channels=["a", "b"], storage_options={"chunks": chunks_of("czyx")})
    return path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "image.ome.zarr"))


def test_the_copy_is_clean(copy: Path) -> None:
    assert verify(copy, pixels=True) == []
    assert not [path for path in copy.parent.iterdir() if path != copy]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_metadata_are_found_where_they_are(copy: Path, fault: str) -> None:
    change, addresses = FAULTS[fault]
    change(copy)
    problems = verify(copy)
    found = where(problems)
    assert set(found) >= set(addresses), problems
    assert all(found.count(address) >= addresses.count(address) for address in addresses), problems
    if fault not in WITH_CONSEQUENCES:
        assert sorted(found) == sorted(addresses), problems
    assert all(problem.message for problem in problems)


def test_all_problems_at_once(copy: Path) -> None:
    for fault in ("scale wrong", "window without end", "dimension_names missing", "coarsest array deleted"):
        FAULTS[fault][0](copy)
    assert set(where(verify(copy))) == {D1, D2, D0, f"{OMERO}/1/window/end"}


def test_messages_name_both_values(copy: Path) -> None:
    transform(1, 0, [1, 2, 3, 2])(copy)
    assert str(*verify(copy)) == f"{D1}: scale of axis 'y' is 3, but 2 times that of s0 is 2 (section '{T}')"


def test_faults_of_zarr_v2(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    written(path, fmt="0.4")
    document("s1/.zarray", lambda d: d.update(dtype="<f4"))(path)
    document("s2/.zarray", lambda d: d.update(shape=[2, 0, 8]))(path)
    assert set(where(verify(path))) == {D1, D2}


def test_what_is_only_advised_against_is_no_fault(copy: Path) -> None:
    remade("s1", chunk_key_encoding={"name": "default", "separator": "."})(copy)
    remade("s2", dtype="int32")(copy)
    channel(lambda c: c.pop("window"))(copy)
    assert verify(copy) == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("fmt", ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"])
@pytest.mark.filterwarnings("ignore:OME-Zarr 0:UserWarning")
def test_labels_and_plates_are_verified_whole(fmt: str) -> None:
    image, labels = noise((20, 30)), noise((20, 30), "uint8")
    store, plate = MemoryStore(), MemoryStore()
    write_image(image, store, [2, 4], axes="yx", fmt=fmt, labels={"nuclei": labels})
    write_plate({"A/1": [image, image], "B/2": [image]}, plate, [2], axes="yx", fmt=fmt)
    assert verify(store, pixels=True) == verify(plate, pixels=True) == []
    zarr.open_array(store, path="labels/nuclei/s1")[..., 3, 4] += 1
    zarr.open_array(plate, path="A/1/1/s1")[..., 9, 14] += 1
    ones = "t 0:1, c 0:1, z 0:1, " if fmt < "0.3" else ""
    assert where(verify(store, pixels=True))[0] == f"labels/nuclei s1 {ones}y 0:10, x 0:15"
    assert where(verify(plate, pixels=True)) == [f"A/1/1 s1 {ones}y 0:10, x 0:15"]
    assert where(verify(plate, source=image)) == ["pixels"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_no_document_however_strange_makes_it_raise(fmt: str) -> None:
    """Each node of all metadata in turn is left out, or replaced by what should not be there."""
    store = MemoryStore()
    write_image(noise((9, 12)), store, [2], axes="yx", fmt=fmt, channels=True, method="max")
    image = zarr.open_group(store, mode="r+")
    attributes = image.attrs.asdict()
    for i, changed in enumerate(strange(attributes)):
        image.attrs.put(changed)
        problems = verify(store, pixels=i % 8 == 0)
        assert all(isinstance(problem, Problem) for problem in problems)
    image.attrs.put(attributes)
    assert verify(store, pixels=True) == []


def strange(value: Any) -> Iterator[Any]:
    """Every variant of JSON with one node changed."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        for other in (None, [], {}, "x", -1, nan, 10**400):
            variant = deepcopy(value)
            variant[key] = other
            yield variant
        variant = deepcopy(value)
        del variant[key]
        yield variant
        for inner in strange(item):
            variant = deepcopy(value)
            variant[key] = inner
            yield variant


@pytest.mark.sampled(2)
@pytest.mark.parametrize("node", ["zarr.json", "s1/zarr.json"])
def test_strange_documents_of_nodes(tmp_path: Path, node: str) -> None:
    path = tmp_path / "image.zarr"
    write_image(noise((9, 12)), path, [2], axes="yx", method="max")
    sane = json.loads((path / node).read_text())
    for variant in (*strange({key: value for key, value in sane.items() if key != "attributes"}), [], None, 1):
        (path / node).write_text(json.dumps(variant))
        assert isinstance(verify(path), list)


# ---- what is broken: pixels

ALL_OF_2 = "s2 c {}:{}, z 0:3, y 0:9, x 0:10"


def nothing_left(root: Path) -> None:
    for path in ("s0", "s1", "s2"):
        removed(path)(root)


def test_a_function_that_a_store_names_is_not_imported(copy: Path) -> None:
    multiscale(lambda m: m.update(type="antigravity:geohash"))(copy)
    (problem,) = [found for found in verify(copy, pixels=True) if not found.warning]
    assert problem.where == "multiscales/0/type"
    assert "method='antigravity:geohash'" in problem.message
    assert "antigravity" not in sys.modules


def test_a_function_that_fails_is_named_at_every_block(copy: Path) -> None:
    multiscale(lambda m: m.update(type="math:fmod"))(copy)
    assert len(where(verify(copy, pixels=True, method="math:fmod"))) == 18


PIXEL_FAULTS: dict[str, tuple[Change, list[str] | None]] = {
    "voxel of level 0": (
        voxel("s0", 1, 5, 20, 33),
        ["s0 c 1:2, z 4:8, y 16:32, x 32:40", "s1 c 1:2, z 0:4, y 0:16, x 16:20"],
    ),
    "voxel of level 1": (voxel("s1", 0, 1, 2, 3), ["s1 c 0:1, z 0:4, y 0:16, x 0:16", ALL_OF_2.format(0, 1)]),
    "voxel of level 2": (voxel("s2", 1, 2, 8, 9), [ALL_OF_2.format(1, 2)]),
    "chunk of level 0": (
        removed("s0/c/1/1/1/1"),
        ["s0 c 1:2, z 4:8, y 16:32, x 16:32", "s1 c 1:2, z 0:4, y 0:16, x 0:16"],
    ),
    "chunk of level 1": (removed("s1/c/1/0/0/1"), ["s1 c 1:2, z 0:4, y 0:16, x 16:20", ALL_OF_2.format(1, 2)]),
    "chunk of level 2": (removed("s2/c/0/0/0/0"), [ALL_OF_2.format(0, 1)]),
    "chunk that can't be decoded": (
        broken("s1/c/0/1/0/0"),
        ["s1 c 0:1, z 4:5, y 0:16, x 0:16", ALL_OF_2.format(0, 1)],
    ),
    "another method": (multiscale(lambda m: m.update(type="min")), None),
    "a method that can't be imported": (multiscale(lambda m: m.update(type="nowhere:f")), ["multiscales/0/type"]),
    "a method that nobody knows": (multiscale(lambda m: m.update(type="magic")), ["multiscales/0/type"]),
    "no method": (multiscale(lambda m: m.pop("type")), ["multiscales/0/type"]),
    "array deleted": (removed("s1"), [D1]),
    "no array at all": (nothing_left, [D0, D1, D2, "pixels"]),
}  # fmt: skip


@pytest.mark.sampled(4)
@pytest.mark.parametrize("fault", PIXEL_FAULTS)
def test_faults_of_pixels_are_found_where_they_are(copy: Path, fault: str) -> None:
    change, addresses = PIXEL_FAULTS[fault]
    change(copy)
    found = where(verify(copy, pixels=True))
    assert found == addresses if addresses else len(found) == 18, found


def test_problem_names_the_first_voxel_with_both_values(copy: Path) -> None:
    stored = zarr.open_array(copy / "s2", mode="r+")
    was = stored[1, 2, 8, 8:10]
    stored[1, 2, 8, 8:10] = was + 1
    problem = f"2 of 270 voxels differ; the first, c 1, z 2, y 8, x 8, is {was[0] + 1}, but {was[0]} in the mean of s1"
    assert [p.message for p in verify(copy, pixels=True)] == [problem]


@pytest.mark.parametrize("sharded", [False, True])
def test_a_fault_in_the_last_block_is_always_sampled(sharded: bool) -> None:
    store, shards = MemoryStore(), {"shards": {"y": 32, "x": 32}} if sharded else {}
    written(store, "yx", storage_options={"chunks": 8, **shards})
    assert verify(store, pixels=1) == []
    zarr.open_array(store, path="s1")[-1, -1] += 1
    zarr.open_array(store, path="s1")[8, 8] += 1
    assert where(verify(store, pixels=1)) == ["s1 y 16:23, x 32:35", "s2 y 8:12, x 16:18"]
    assert where(verify(store, pixels=2))[:2] == ["s1 y 8:16, x 8:16", "s1 y 16:23, x 32:35"]


@pytest.mark.parametrize("wanted", [0, -3])
def test_a_sample_has_a_block(wanted: int) -> None:
    with pytest.raises(ValueError, match="at least 1 block"):
        verify(MemoryStore(), pixels=wanted) if wanted else verify(MemoryStore(), pixels=np.int64(0))  # type: ignore[arg-type]


@law(max_examples=150)
@given(total=st.integers(1, 10**12), wanted=st.none() | st.integers(1, 200))
@example(total=39, wanted=None)
@example(total=40, wanted=39)
def test_samples_are_different_blocks_and_have_the_last(total: int, wanted: int | None) -> None:
    total = total if wanted else total % 1000 + 1
    blocks = list(sample(total, wanted))
    assert blocks == sorted(set(blocks))
    assert len(blocks) == min(total, wanted or total)
    assert blocks[-1] == total - 1


# ---- the source


def test_source_differs(copy: Path) -> None:
    image = noise(SHAPES["czyx"])
    image[1, 8, 20, 39] = 0
    assert where(verify(copy, source=image)) == ["s0 c 1:2, z 8:9, y 16:32, x 32:40"]
    slabs = da.from_array(image, chunks=(1, 2, 33, 40))
    assert where(verify(copy, source=slabs)) == ["s0 c 1:2, z 8:9, y 0:33, x 0:40"]


@pytest.mark.parametrize("source", [noise((2, 9, 33, 41)), noise((33, 40)), noise(SHAPES["czyx"], "int32")])
def test_source_is_another_image(copy: Path, source: np.ndarray) -> None:
    assert where(verify(copy, source=source)) == ["s0"]


def test_level_0_is_missing(copy: Path) -> None:
    removed("s0")(copy)
    assert where(verify(copy, source=noise((3, 3)))) == [D0, "s0"]


def test_source_chunks_are_decoded_once() -> None:
    reads = []

    class Slabs:
        shape, dtype, chunks = (64, 64), np.dtype("u2"), (32, 64)

        def __getitem__(self, index: Any) -> np.ndarray:
            reads.append(index)
            return np.zeros(self.shape, self.dtype)[index]

    store = MemoryStore()
    write_image(np.zeros((64, 64), "u2"), store, None, axes="yx", storage_options={"chunks": 16})
    assert verify(store, source=Slabs()) == []
    assert len(reads) == 2


# ---- the rest


def test_unfinished_image_says_so() -> None:
    store = MemoryStore()
    write_image(noise((20, 20)), store, [2], axes="yx", compute="init")
    problems = verify(store, pixels=True)
    assert where(problems) == ["group"]
    assert "unfinished" in problems[0].message


def test_array_is_no_group() -> None:
    array = zarr.create_array(MemoryStore(), shape=(4, 4), dtype="u1")
    assert where(verify(array)) == ["group"]


def test_target_is_not_a_store() -> None:
    with pytest.raises(TypeError, match="target"):
        verify(7)


def test_nothing_is_written(copy: Path) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in copy.rglob("*"))
    verify(copy, pixels=True)
    verify(copy.with_name("nothing.zarr"))
    assert sorted((path, path.stat().st_mtime_ns) for path in copy.rglob("*")) == before
    assert not copy.with_name("nothing.zarr").exists()


def test_progress_counts_blocks(copy: Path) -> None:
    calls: list[tuple[int, int]] = []
    verify(copy, pixels=True, source=noise(SHAPES["czyx"]), progress=lambda *call: calls.append(call))
    assert calls == [(done, len(calls)) for done in range(1, len(calls) + 1)]
    assert len(calls) == 54 + 16 + 2


def test_many_differing_blocks_are_counted(monkeypatch: pytest.MonkeyPatch, copy: Path) -> None:
    monkeypatch.setattr(compare, "BLOCKS_NAMED", 3)
    problems = verify(copy, source=noise(SHAPES["czyx"]) + 1)
    assert len(problems) == 4
    assert str(problems[-1]) == "s0: 51 more blocks of 54 differ from the source"


@pytest.mark.parametrize(("config", "most"), [({"scheduler": "sync"}, 1), ({"num_workers": 2}, 2)])
def test_threads_are_those_of_dask(config: dict[str, Any], most: int) -> None:
    names = set()

    class Watched:
        shape, dtype = (64, 64), np.dtype("u1")

        def __getitem__(self, index: Any) -> np.ndarray:
            names.add(threading.current_thread().name)
            return np.zeros(self.shape, self.dtype)[index]

    store = MemoryStore()
    write_image(np.zeros((64, 64), "u1"), store, None, axes="yx", storage_options={"chunks": 8})
    with dask.config.set(config):
        assert verify(store, source=Watched()) == []
    assert 1 <= len(names) <= most
