"""Labels: where they lie, what they say, what they must be; the image stays whole and as it is."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.callbacks import Callback
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.kernels.downsample import downsample
from daskome.kernels.methods import METHODS
from daskome.ome.image_label import ImageLabel, colored, parse_image_label, read_image_label
from daskome.ome.metadata import Metadata
from daskome.ome.versions import VERSIONS
from daskome.stores import publish
from daskome.stores.groups import read_attributes
from tests.written import contents, is_image, levels

IMAGE = np.random.default_rng(0).integers(0, 1000, (20, 64, 65)).astype("uint16")
CELLS = np.random.default_rng(1).integers(0, 4, (20, 64, 65)).astype("uint8")
ALL = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]


def ome(target: Any, path: str = "") -> dict[str, Any]:
    found = zarr.open_group(target, path=path, mode="r").attrs.asdict()
    return dict(found.get("ome", found))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    daskome.write_image(
        IMAGE, tmp_path / "a", [2, {"y": 4, "x": 4, "z": 2}], scale=(2, 0.5, 0.25), axes="zyx", axes_units="um"
    )
    return tmp_path / "a"


def without_labels(found: dict[str, bytes]) -> dict[str, bytes]:
    return {key: value for key, value in found.items() if not key.startswith("labels")}


# ---- labels of an image that is there


def test_labels_follow_their_image_and_leave_it_as_it_is(image: Path) -> None:
    before = contents(image)
    plan = daskome.write_labels(CELLS, image, "cells", colors={1: (255, 0, 0, 255)}, properties={1: {"area": 7}})
    assert without_labels(contents(image)) == before
    found, own = ome(image, "labels/cells"), ome(image)
    assert found["multiscales"][0]["axes"] == own["multiscales"][0]["axes"]
    assert [d["coordinateTransformations"] for d in found["multiscales"][0]["datasets"]] == [
        d["coordinateTransformations"] for d in own["multiscales"][0]["datasets"]
    ]
    assert found["multiscales"][0]["type"] == "mode"
    assert found["image-label"] == {
        "version": "0.5",
        "colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}],
        "properties": [{"label-value": 1, "area": 7}],
        "source": {"image": "../../"},
    }
    assert ome(image, "labels") == {"version": "0.5", "labels": ["cells"]}
    assert plan.home == "labels/cells"
    assert daskome.verify(image, pixels=True) == []
    np.testing.assert_array_equal(levels(image / "labels/cells")[0], CELLS)


def test_several_labels_are_listed_and_kept(image: Path) -> None:
    for name in ("cells", "nuclei", "a.b-c_1"):
        daskome.write_labels(CELLS, image, name)
    assert ome(image, "labels")["labels"] == ["cells", "nuclei", "a.b-c_1"]
    before = contents(image / "labels/nuclei")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.write_labels(CELLS, image, "cells")
    daskome.write_labels(CELLS + 1, image, "cells", overwrite=True)
    np.testing.assert_array_equal(levels(image / "labels/cells")[0], CELLS + 1)
    assert contents(image / "labels/nuclei") == before
    assert ome(image, "labels")["labels"] == ["cells", "nuclei", "a.b-c_1"]


def test_labels_of_others_stay_listed(image: Path) -> None:
    zarr.open_group(image).create_group(
        "labels", attributes={"ome": {"version": "0.5", "labels": ["theirs"]}, "mine": 1}
    )
    daskome.write_labels(CELLS, image, "cells")
    assert ome(image, "labels")["labels"] == ["theirs", "cells"]
    assert zarr.open_group(image, path="labels", mode="r").attrs["mine"] == 1


@pytest.mark.parametrize("version", ALL)
def test_labels_are_in_the_version_of_their_image(version: str) -> None:
    store = MemoryStore()
    daskome.write_image(IMAGE, store, [2], axes="zyx", fmt=version)
    daskome.write_labels(CELLS, store, "cells")
    assert daskome.verify(store, pixels=True) == []
    assert daskome.validate(store, version) == [] or all(p.warning for p in daskome.validate(store, version))


@pytest.mark.parametrize(
    ("shape", "axes", "labels"), [((2, 20, 64, 65), "czyx", CELLS), ((2, 20, 64, 65), "czyx", CELLS[None]), ((3, 20, 64, 65), "tzyx", CELLS[None])]
)  # fmt: skip
def test_labels_may_have_fewer_axes_or_be_one_along_some(shape: tuple[int, ...], axes: str, labels: Any) -> None:
    store = MemoryStore()
    daskome.write_image(da.zeros(shape, dtype="uint16"), store, [2], axes=axes, scale={"z": 3})
    plan = daskome.write_labels(labels, store, "cells")
    pyramid = plan.pyramids[0]
    assert [axis.name for axis in pyramid.axes] == list(axes)[len(axes) - labels.ndim :]
    assert pyramid.levels[0].scale[pyramid.axes.index(next(a for a in pyramid.axes if a.name == "z"))] == 3


def test_what_the_caller_says_comes_first(image: Path) -> None:
    plan = daskome.write_labels(CELLS, image, "cells", scale=(9, 9, 9), axes_units="mm", method="max", axes="zyx")
    level, axis = plan.pyramids[0].levels[0], plan.pyramids[0].axes[0]
    assert (level.scale, axis.unit, plan.pyramids[0].method.name) == ((9, 9, 9), "millimeter", "max")


def test_colours_for_every_value_are_made_when_asked_for(image: Path) -> None:
    daskome.write_labels(da.from_array(CELLS, chunks=16), image, "cells", colors=True)
    colors = ome(image, "labels/cells")["image-label"]["colors"]
    assert [color["label-value"] for color in colors] == [1, 2, 3]
    assert len({tuple(color["rgba"]) for color in colors}) == 3
    assert daskome.label_values(CELLS) == [1, 2, 3]


def test_colours_for_too_many_values_are_refused_before_anything_is_written(image: Path) -> None:
    before = contents(image)
    many = np.arange(2**15 + 2, dtype="uint32").reshape(2, -1)
    with pytest.raises(ValueError, match=r"colors=True would list more than 32,768 labels.*leave it out"):
        daskome.write_labels(many, image, "cells", colors=True, axes="yx")
    assert contents(image) == before
    assert len(daskome.label_values(many)) == 2**15 + 1


class Sizes(Callback):  # type: ignore[misc]
    """How many tasks each graph had that Dask was given."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def _start(self, dsk: Any) -> None:
        self.found.append(len(dsk))


@pytest.mark.extended
def test_values_are_found_in_graphs_that_do_not_grow() -> None:
    """A petabyte has 60 million blocks of 256³."""
    largest = []
    for n in (600, 1200):
        cells = da.from_array(np.arange(256 * n, dtype="uint32").reshape(1, 1, -1) // 100, chunks=(1, 1, 256))
        with Sizes() as sizes:
            assert daskome.label_values(cells) == list(range(1, 256 * n // 100))
        largest.append(max(sizes.found))
    assert largest[0] == largest[1]


def test_nothing_is_read_twice_unless_colours_are_asked_for(image: Path) -> None:
    reads: list[int] = []

    def block(block_info: Any = None) -> np.ndarray:
        reads.append(1)
        return CELLS

    lazy = da.map_blocks(block, dtype="uint8", chunks=((20,), (64,), (65,)), meta=np.empty((0,) * 3, "uint8"))
    daskome.write_labels(lazy, image, "cells")
    assert len(reads) == 1


def test_a_failed_write_leaves_the_image_whole_and_nothing_listed(image: Path) -> None:
    def broken(block: np.ndarray) -> np.ndarray:
        raise RuntimeError("gone")

    before = contents(image)
    with pytest.raises(daskome.WriteError):
        daskome.write_labels(
            da.from_array(CELLS, chunks=16).map_blocks(broken, dtype="uint8"), image, "cells", retries=0
        )
    assert without_labels(contents(image)) == before
    assert not is_image(image / "labels/cells")
    assert ome(image, "labels")["labels"] == []
    assert [problem for problem in daskome.validate(image) if not problem.warning] == []
    daskome.write_labels(CELLS, image, "cells", overwrite=True)
    assert daskome.verify(image, pixels=True) == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("version", ALL)
def test_an_image_is_valid_while_its_first_labels_are_made(version: str, tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models") if version in ("0.4", "0.5", "0.6") else None
    seen: list[Any] = []

    def look(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            seen.append([problem for problem in daskome.validate(path) if not problem.warning])
            seen.append(
                [] if models is None or models.open_ome_zarr(path, version=version).labels is not None else None
            )
        return block

    path = tmp_path / "a"
    daskome.write_image(IMAGE[None, None] if version in ("0.1", "0.2") else IMAGE, path, None, fmt=version)
    lazy = da.from_array(CELLS, chunks=-1).map_blocks(look, dtype="uint8", meta=np.empty((0,) * 3, "uint8"))
    daskome.write_labels(lazy, path, "cells", axes="zyx")
    assert seen
    assert all(found == [] for found in seen)


def _write(image: Path, name: str, start: Any) -> None:
    start.wait()
    daskome.write_labels(CELLS, image, name)


@pytest.mark.parametrize("kind", ["folder", "memory", "wrapped"])
def test_many_add_to_a_list_and_none_waits_for_a_clock(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: dict[str, Any] = {
        "folder": LocalStore(tmp_path / "a"), "memory": MemoryStore(), "wrapped": WrapperStore(LocalStore(tmp_path / "b"))
    }  # fmt: skip
    place = StorePath(stores[kind])
    names = [f"n{k}" for k in range(30)]
    waits: list[float] = []
    monkeypatch.setattr(publish.time, "sleep", waits.append)
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda name: publish.publish_group(place, VERSIONS["0.5"], Metadata(labels=(name,))), names):
            pass
    assert sorted(read_attributes(place)["ome"]["labels"]) == sorted(names)  # type: ignore[index]
    assert not any(waits)


def _list(path: Path, start: Any, names: list[str]) -> None:
    start.wait()
    for name in names:
        publish.publish_group(StorePath(LocalStore(path)), VERSIONS["0.5"], Metadata(labels=(name,)))


@pytest.mark.extended
def test_processes_add_many_to_a_list(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, names = context.Barrier(3), [[f"{who}{k}" for k in range(20)] for who in "abc"]
    processes = [context.Process(target=_list, args=(tmp_path / "a", start, own)) for own in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(ome(tmp_path / "a")["labels"]) == sorted(name for own in names for name in own)


@pytest.mark.extended
def test_two_processes_add_labels_at_the_same_time(image: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=_write, args=(image, name, start)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(ome(image, "labels")["labels"]) == ["a", "b"]
    assert daskome.verify(image, pixels=True) == []


def test_consolidated_metadata_are_made_anew(image: Path) -> None:
    with pytest.warns(UserWarning, match="Consolidated"):
        zarr.consolidate_metadata(str(image))
    daskome.write_labels(CELLS, image, "cells")
    group = zarr.open_consolidated(str(image))
    assert group["labels/cells/s0"].shape == CELLS.shape


def test_an_open_group_knows_what_was_written() -> None:
    """Its memory of attributes would be written over the new ones."""
    group = zarr.create_group(MemoryStore())
    daskome.write_image(IMAGE, group, [2], axes="zyx")
    group.attrs["mine"] = 1
    assert is_image(group.store)
    daskome.write_labels(CELLS, group, "cells")
    assert ome(group.store, "labels")["labels"] == ["cells"]


def test_labels_alone_can_be_written_again_after_a_failure(tmp_path: Path) -> None:
    lazy = da.from_array(CELLS, chunks=16)
    with pytest.raises(daskome.WriteError):
        daskome.write_labels(lazy.map_blocks(lambda block: 1 / 0, dtype="uint8"), tmp_path / "a", "cells", retries=0)
    daskome.write_labels(CELLS, tmp_path / "a", "others")
    daskome.write_labels(CELLS, tmp_path / "a", "cells", overwrite=True)
    assert ome(tmp_path / "a", "labels")["labels"] == ["others", "cells"]


# ---- together with an image


@pytest.mark.parametrize("version", ALL)
def test_labels_come_together_with_an_image(version: str) -> None:
    store = MemoryStore()
    plan = daskome.write_image(
        IMAGE, store, [2], axes="zyx", fmt=version,
        labels={"cells": CELLS, "nuclei": {"labels": CELLS + 1, "colors": {1: [1, 2, 3, 4]}, "method": "max"}},
    )  # fmt: skip
    assert [group.path for group in plan.groups] == ["", "labels/cells", "labels/nuclei", "labels"]
    assert daskome.verify(store, pixels=True) == []
    assert ome(store, "labels")["labels"] == ["cells", "nuclei"]
    np.testing.assert_array_equal(np.squeeze(levels_of(store, "labels/nuclei")[0]), CELLS + 1)


def levels_of(store: Any, path: str) -> list[Any]:
    group = zarr.open_group(store, path=path, mode="r")
    return [np.asarray(group[d["path"]][...]) for d in ome(store, path)["multiscales"][0]["datasets"]]


def test_the_image_is_published_after_its_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    order: list[str] = []
    published = publish.publish_group
    monkeypatch.setattr(
        publish, "publish_group", lambda place, *rest: (order.append(place.path), published(place, *rest))
    )
    daskome.write_image(IMAGE, tmp_path / "a", [2], axes="zyx", labels={"cells": CELLS})
    assert order == ["labels/cells", "labels", ""]


def test_together_later() -> None:
    store = MemoryStore()
    later = daskome.write_image(IMAGE, store, [2], axes="zyx", labels={"cells": CELLS}, compute=False)
    with dask.config.set(scheduler="threads"):
        (plan,) = dask.compute(*later)
    assert len(plan.images) == 2
    assert daskome.verify(store, pixels=True) == []


def test_levels_of_labels_that_are_there() -> None:
    store = MemoryStore()
    daskome.write_image(IMAGE, store, [2], axes="zyx")
    given = [CELLS, CELLS[::2, ::2, ::2]]
    daskome.write_multiscale_labels(given, store, "cells", method="nearest")
    for found, expected in zip(levels_of(store, "labels/cells"), given, strict=True):
        np.testing.assert_array_equal(found, expected)


def rounded_down(image: np.ndarray[Any, Any], n: int) -> list[np.ndarray[Any, Any]]:
    """Return levels as programs make them that drop windows which the edge cuts."""
    levels = [image]
    for _ in range(n):
        whole = tuple(slice(0, max(size // 2 * 2, 1), 2) for size in levels[-1].shape)
        levels.append(levels[-1][whole])
    return levels


@pytest.mark.sampled(6)
@pytest.mark.parametrize("shape", [(37, 41), (100, 100), (9, 101, 64), (33, 34, 35)])
@pytest.mark.parametrize("factors", ["auto", [2, 4, 8]])
def test_labels_of_an_image_whose_levels_are_rounded_down(shape: tuple[int, ...], factors: Any) -> None:
    """Others drop the last voxel of odd sizes; labels of such an image need its sizes."""
    store, image = MemoryStore(), np.zeros(shape, "u1")
    labels = np.random.default_rng(0).integers(0, 3, shape).astype("u2")
    levels = rounded_down(image, 3)
    daskome.write_multiscale(levels, store, axes="zyx"[-len(shape) :])
    options = {"chunks": 16}
    plan = daskome.write_labels(labels, store, "cells", factors, storage_options=options)
    assert [level.shape for level in plan.pyramids[0].levels] == [level.shape for level in levels]
    below = labels
    for level in plan.pyramids[0].levels[1:]:
        windows = tuple(m * f for m, f in zip(level.shape, (2,) * len(shape), strict=True))
        whole = below[tuple(slice(0, min(n, w)) for n, w in zip(below.shape, windows, strict=True))]
        below = downsample(whole, (2,) * len(shape), METHODS["mode"])
        np.testing.assert_array_equal(zarr.open_array(store, path=f"labels/cells/{level.path}", mode="r")[...], below)
    assert daskome.verify(store, pixels=True) == []
    assert [problem for problem in daskome.validate(store) if not problem.warning] == []


@pytest.mark.parametrize("shape", [(101, 99), (100, 64), (33, 65)])
def test_units_stay_inside_levels_that_were_rounded_down(shape: tuple[int, int], tiny_blocks: None) -> None:
    """A unit covers what its top level is made of, which is not all of the level below."""
    store = MemoryStore()
    image = np.random.default_rng(1).integers(0, 9, shape).astype("u2")
    daskome.write_multiscale(rounded_down(image, 3), store, axes="yx")
    plan = daskome.write_labels(image, store, "cells", storage_options={"chunks": 16})
    for stage in range(len(plan.stages)):
        for unit in plan.units(stage):
            levels_written = plan.pyramid(unit.pass_).levels[unit.pass_.first :]
            for region, level in zip(unit.regions, levels_written, strict=False):
                assert all(start < stop <= n for (start, stop), n in zip(region, level.shape, strict=True))
    np.testing.assert_array_equal(zarr.open_array(store, path="labels/cells/s0", mode="r")[...], image)


def test_labels_written_as_an_image_are_like_labels() -> None:
    store = MemoryStore()
    daskome.write_image(IMAGE, store, [2, 4], axes="zyx")
    plan = daskome.write_image(CELLS, zarr.storage.StorePath(store, "labels/cells"), axes="zyx")
    assert plan.pyramids[0].method.name == "mode"
    assert len(plan.pyramids[0].levels) == 3


# ---- what labels must be


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"name": "a/b"}, ValueError, "without slashes.*section 'labels'"),
        ({"name": ""}, ValueError, "without slashes"),
        ({"name": ".."}, ValueError, "without slashes"),
        ({"name": 5}, (ValueError, TypeError), "name|order"),
        ({"labels": CELLS.astype("float32")}, ValueError, "labels are float32.*section 'labels'"),
        ({"labels": CELLS.astype(bool)}, ValueError, "labels are bool"),
        ({"labels": CELLS[:, :32]}, ValueError, "would be 32 along axis 'y', but the image is 64"),
        ({"scale_factors": [2]}, ValueError, "would have 2 levels, but the image has 3.*section 'labels'"),
        ({"scale_factors": None}, ValueError, "would have 1 levels"),
        ({"colors": [{"rgba": [1, 2, 3, 4]}]}, ValueError, "label-value.*section 'image-label'"),
        ({"colors": {1: [1, 2, 3]}}, ValueError, "rgba.*section 'image-label'"),
        ({"colors": {1: [1, 2, 3, 256]}}, ValueError, "rgba"),
        ({"colors": [{"label-value": 1}, {"label-value": 1}]}, ValueError, "label-value"),
        ({"colors": [{"label-value": 1.5}]}, ValueError, "label-value"),
        ({"colors": 5}, (ValueError, TypeError), "colors|order"),
        ({"properties": [{"area": 7}]}, ValueError, "label-value"),
        ({"properties": {1: {"area": object()}}}, ValueError, "image-label/properties/0/area is <object.*not JSON"),
        ({"fmt": "0.4"}, ValueError, "is in OME-Zarr 0.5.*section 'version'"),
        ({"fmt": "0.6"}, ValueError, "is in OME-Zarr 0.5.*section 'version'"),
        ({"scale_factors": [2, 4]}, ValueError, "level s2 of labels 'cells' would be 5 along axis 'z'"),
        ({"colours": {1: [1, 2, 3, 4]}}, TypeError, "did you mean 'colors'"),
    ],
)
def test_labels_that_cannot_be(image: Path, change: dict[str, Any], error: Any, message: str) -> None:
    before = contents(image)
    arguments = {"labels": CELLS, "name": "cells", **change}
    with pytest.raises(error, match=message):
        daskome.write_labels(group=image, **arguments)
    assert contents(image) == before


def test_labels_of_an_unfinished_image_are_refused(image: Path) -> None:
    group = zarr.open_group(image)
    group.attrs.put({"daskome": {"unfinished": True}})
    with pytest.raises(ValueError, match="unfinished image"):
        daskome.write_labels(CELLS, image, "cells")


# ---- nouns


def test_colours_are_far_apart_and_the_background_is_clear() -> None:
    found = colored(range(100))
    assert found[0] == (0, 0, 0, 0)
    assert len(set(found.values())) == 100
    assert colored([7]) == {7: found[7]}


@pytest.mark.parametrize(
    ("colors", "expected"),
    [
        (None, None), ([], None), ({}, None),
        ({1: (1, 2, 3, 4)}, ({"label-value": 1, "rgba": [1, 2, 3, 4]},)),
        ([{"label-value": 1, "rgba": (1, 2, 3, 4)}], ({"label-value": 1, "rgba": (1, 2, 3, 4)},)),
    ],
)  # fmt: skip
def test_forms_of_colours(colors: Any, expected: Any) -> None:
    assert parse_image_label(colors).colors == expected


@pytest.mark.parametrize(
    "found",
    [
        {}, {"colors": []}, {"colors": [{"label-value": 1}], "x": 1}, {"source": {"image": "../"}},
        {"properties": 5}, {"colors": [5]}, {"source": "a"},
    ],
)  # fmt: skip
def test_what_others_say_comes_back_unchanged(found: dict[str, Any]) -> None:
    assert read_image_label(found).to_json() == found
    assert json.loads(json.dumps(found)) == found
    assert isinstance(read_image_label(found), ImageLabel)


@pytest.mark.parametrize("document", ["", "{", '{"zarr_format": 3}', None])
def test_labels_of_an_image_that_cannot_be_read_are_refused(tmp_path: Path, document: str | None) -> None:
    values = np.ones((64, 64), "uint8")
    daskome.write_image(values, tmp_path / "a", [2, 4], axes="yx")
    broken = tmp_path / "a" / "s1" / "zarr.json"
    broken.unlink()
    if document is None:
        broken.mkdir()  # Reading it fails.
    else:
        broken.write_text(document)
    with pytest.raises(ValueError, match=r"the image cannot be read, and its labels must have its levels"):
        daskome.write_labels(values, tmp_path / "a", "cells")
    assert not (tmp_path / "a" / "labels").exists()


@pytest.mark.parametrize("paths", ["{}", "s{}", "scale{}/image", "10{}"])
def test_levels_of_labels_are_named_like_those_of_their_image(paths: str) -> None:
    store, image = zarr.storage.MemoryStore(), np.zeros((32, 32), "u2")
    daskome.write_image(image, store, [2], axes="yx", level_paths=paths, labels={"nuclei": image})
    daskome.write_labels(image, store, "cells")
    daskome.write_multiscale_labels([image, image[::2, ::2]], store, "regions")
    daskome.write_labels(image, store, "mine", level_paths="level{}")
    for name, wanted in {"nuclei": paths, "cells": paths, "regions": paths, "mine": "level{}"}.items():
        (multiscale,) = zarr.open_group(store, path=f"labels/{name}", mode="r").attrs["ome"]["multiscales"]
        assert [dataset["path"] for dataset in multiscale["datasets"]] == [wanted.format(k) for k in (0, 1)]
