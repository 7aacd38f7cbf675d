"""What was written is what is opened: pixels, positions, units, names; levels are found by size; the rest is refused."""

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore, StorePath, WrapperStore

import daskome
from daskome.inspection.describe import describe
from daskome.reading.images import OpenGroup, OpenImage, OpenPlate
from daskome.reading.levels import SIZE_TOLERANCE, coarsest_within
from tests.strategies import law

IMAGE = np.arange(2 * 9 * 20 * 30, dtype="uint16").reshape(2, 9, 20, 30)
OPTIONS: dict[str, Any] = {
    "axes": "czyx",
    "scale": {"z": 2, "y": 0.5, "x": 0.25},
    "translation": {"z": 100, "y": 10},
    "axes_units": "micrometer",
    "channels": ["DAPI", "GFP"],
    "name": "cells",
}
VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.9.dev1")
sizes = st.floats(0.01, 100)


def written(store: Any, factors: Any = (2, 4), **options: Any) -> Any:
    daskome.write_image(IMAGE, store, factors and list(factors), **{**OPTIONS, **options})
    return store


def opened(*arguments: Any, **options: Any) -> OpenImage:
    image = daskome.open(*arguments, **options)
    assert isinstance(image, OpenImage)
    return image


# ---- laws


@law(max_examples=8)
@given(
    st.lists(st.sampled_from([(1, 2), (2, 1), (2, 2), (3, 2)]), max_size=2),
    st.tuples(sizes, sizes),
    st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    st.sampled_from(VERSIONS[3:]),
    st.sampled_from(["uint8", ">i2", "float32"]),
)
def test_a_voxel_lies_in_the_middle_of_those_that_it_was_made_of(
    steps: list[tuple[int, int]], scale: Any, origin: Any, version: str, dtype: str
) -> None:
    values, factors = np.arange(36 * 45, dtype=dtype).reshape(36, 45), np.cumprod([(1, 1), *steps], axis=0)
    store = MemoryStore()
    chosen = [dict(zip("yx", map(int, pair), strict=True)) for pair in factors[1:]] or None
    daskome.write_image(values, store, chosen, axes="yx", scale=scale, translation=origin, fmt=version)
    image = opened(store)
    assert len(image.levels) == len(factors)
    assert image.dtype == image.dask.dtype
    assert np.array_equal(image.dask.compute(), values)
    for level, factor in zip(image.levels, factors, strict=True):
        for name, size, start, f in zip("yx", scale, origin, factor, strict=True):
            finest = start + size * np.arange(image.shape["yx".index(name)])
            whole = len(finest) // f
            positions = level.xarray[name].values
            assert positions[:whole] == pytest.approx(finest[: whole * f].reshape(whole, f).mean(axis=1))
        assert np.array_equal(level.dask.compute(), zarr.open_group(store, mode="r")[level.path][...])


@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=5), st.dictionaries(st.integers(0, 1), sizes, min_size=1))
def test_the_chosen_level_is_the_coarsest_that_is_fine_enough(
    steps: list[tuple[float, float]], wanted: dict[int, float]
) -> None:
    scales = [tuple(row) for row in np.sort(np.array(steps), axis=0)]
    k = coarsest_within(scales, wanted)
    fits = [all(scale[i] <= size * (1 + SIZE_TOLERANCE) for i, size in wanted.items()) for scale in scales]
    assert fits[k] or (k == 0 and not any(fits))
    assert not any(fits[k + 1 :])


@pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store")
@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_opened_and_written_again_is_the_same(version: str) -> None:
    store, again = written(MemoryStore(), fmt=version), MemoryStore()
    image = opened(store)
    daskome.write_image(image.xarray, again, [2, 4], fmt=version)
    copy = opened(again)
    assert image.version == copy.version == version
    assert image.units == copy.units == dict.fromkeys("zyx", "micrometer")
    assert [c.label for c in copy.channels] == ["DAPI", "GFP"]
    assert (copy.name, copy.scale, copy.translation) == (image.name, image.scale, image.translation)
    assert image.translation == dict(zip(copy.dims, (0,) * (len(copy.dims) - 3) + (100, 10, 0), strict=True))
    for one, other in zip(image.levels, copy.levels, strict=True):
        assert (one.path, one.scale, one.translation, one.channels) == (
            other.path,
            other.scale,
            other.translation,
            other.channels,
        )
        assert np.array_equal(one.dask.compute(), other.dask.compute())


# ---- views


def test_xarray_selects_by_position_and_by_channel(tmp_path: Path) -> None:
    image = opened(written(tmp_path / "a"))
    array = image.xarray
    assert array.name == "cells"
    assert array.dims == ("c", "z", "y", "x")
    assert array.z.attrs == {"units": "micrometer"}
    assert array.sel(c="GFP").sel(z=104.1, y=10.4, x=0.5, method="nearest").values == IMAGE[1, 2, 1, 2]
    assert isinstance(array.data, da.Array)


def test_blocks_are_whole_stored_objects_unless_these_are_large(tmp_path: Path) -> None:
    import dask

    options = {"chunks": (1, 3, 10, 15), "shards": (1, 9, 20, 30)}
    level = opened(written(tmp_path / "a", None, storage_options=options)).level
    assert level.dask.chunksize == (1, 9, 20, 30)
    with dask.config.set({"array.chunk-size": "1 KiB"}):
        assert level.dask.chunksize == (1, 3, 10, 15)
    assert np.array_equal(level.dask.compute(), IMAGE)


@pytest.mark.parametrize(
    ("choice", "path"),
    [
        ({}, "s0"),
        ({"level": 1}, "s1"),
        ({"level": -1}, "s2"),
        ({"level": "s2"}, "s2"),
        ({"level": "s1/"}, "s1"),
        ({"scale": {"z": 7}}, "s1"),
        ({"scale": {"z": 8}}, "s2"),
        ({"scale": {"z": 1}}, "s0"),
        ({"scale": 4.0}, "s1"),
        ({"scale": (1, 8, 2, 1)}, "s2"),
        ({"scale": (1, 8, 2, 0.6)}, "s1"),
    ],
)
def test_levels_are_chosen(choice: dict[str, Any], path: str) -> None:
    assert opened(written(MemoryStore()), **choice).level.path == path


def test_labels_have_the_level_of_their_image(tmp_path: Path) -> None:
    written(
        tmp_path / "a", labels={"nuclei": {"labels": (IMAGE[0] > 99).astype("uint32"), "colors": {1: (9, 8, 7, 255)}}}
    )
    image = opened(tmp_path / "a", level=1)
    assert dict(image.labels).keys() == {"nuclei"}
    nuclei = image.labels["nuclei"]
    assert nuclei.level.path == "s1"
    assert nuclei.shape == image.shape[1:]
    assert nuclei.image_label["colors"] == [{"label-value": 1, "rgba": [9, 8, 7, 255]}]
    assert not nuclei.labels
    with pytest.raises(KeyError, match="no label image 'cells'; there are nuclei"):
        image.labels["cells"]


def test_plates_are_opened_by_well(tmp_path: Path) -> None:
    wells = {"A/1": {0: [IMAGE], 3: [IMAGE + 1]}, "B/2": {3: [IMAGE + 2]}}
    daskome.write_plate(wells, tmp_path / "p", axes="czyx", scale_factors=[2], name="screen")
    plate = daskome.open(tmp_path / "p", level=1)
    assert isinstance(plate, OpenPlate)
    assert (plate.name, plate.rows, plate.columns, list(plate.wells)) == (
        "screen",
        ("A", "B"),
        ("1", "2"),
        ["A/1", "B/2"],
    )
    well = plate.wells["A/1"]
    assert well.acquisitions == {"0": 0, "1": 3}
    assert well.images["1"].level.path == "s1"
    assert np.array_equal(well.images["1"].levels[0].dask.compute(), IMAGE + 1)
    assert isinstance(daskome.open(tmp_path / "p" / "B" / "2"), OpenGroup)
    assert np.array_equal(opened(tmp_path / "p" / "B" / "2" / "0").dask.compute(), IMAGE + 2)
    assert "<td>●</td>" in plate._repr_html_()
    assert repr(well).startswith("OME-Zarr well, 2 images\n0, 1")
    with pytest.raises(AttributeError, match=r"this is a plate, not an image: it has no dask; .*wells\['A/1'\]"):
        _ = plate.dask
    with pytest.raises(AttributeError, match=r"no attribute 'daks'"):
        _ = plate.daks


def test_several_images_of_a_group_are_chosen_by_index_or_name(tmp_path: Path) -> None:
    written(tmp_path / "a", None)
    document = json.loads((tmp_path / "a" / "zarr.json").read_text())
    first = document["attributes"]["ome"]["multiscales"][0]
    second = {**first, "name": "again", "datasets": [{**first["datasets"][0]}]}
    second["datasets"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 1, 1, 1]}]
    document["attributes"]["ome"]["multiscales"].append(second)
    (tmp_path / "a" / "zarr.json").write_text(json.dumps(document))
    assert opened(tmp_path / "a").multiscales == ("cells", "again")
    for which in (1, "again"):
        assert opened(tmp_path / "a", multiscale=which).scale == dict.fromkeys("czyx", 1)
    with pytest.raises(ValueError, match=r"no multiscale 'other'; there are 0 \('cells'\), 1 \('again'\)"):
        daskome.open(tmp_path / "a", multiscale="other")


def test_layouts_of_bioformats2raw_are_groups_of_images(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "a", attributes={"ome": {"version": "0.5", "bioformats2raw.layout": 3}})
    for name in "01":
        written(tmp_path / "a" / name, None)
    group = daskome.open(tmp_path / "a")
    assert isinstance(group, OpenGroup)
    assert list(group.images) == ["0", "1"]
    assert group.images["1"].name == "cells"


def test_it_says_what_it_is(tmp_path: Path) -> None:
    written(tmp_path / "a", labels={"nuclei": (IMAGE[0] > 99).astype("uint8")})
    image = opened(tmp_path / "a", level=1)
    shown = repr(image)
    assert shown.splitlines()[0] == (
        "OME-Zarr 0.5 image 'cells'; axes: c channel, z space micrometer, y space micrometer, x space micrometer"
    )
    assert shown.splitlines()[-3:] == ["chosen: s1", "channels: DAPI, GFP", "labels: nuclei"]
    assert "<caption>OME-Zarr 0.5 image &#x27;cells&#x27;" in image._repr_html_()
    assert image._repr_html_().count("<tr>") == 4


def test_channels_that_do_not_fit_are_left_out_and_named(tmp_path: Path) -> None:
    written(tmp_path / "a", None)
    document = json.loads((tmp_path / "a" / "zarr.json").read_text())
    document["attributes"]["ome"]["omero"]["channels"].pop()
    (tmp_path / "a" / "zarr.json").write_text(json.dumps(document))
    image = opened(tmp_path / "a")
    assert image.channels == ()
    assert "c" not in image.xarray.coords
    assert "are 1, but the image has 2" in repr(image)


class Asked(WrapperStore[MemoryStore]):
    """Remembers what is asked for."""

    keys: tuple[str, ...] = ()

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        self.keys = (*self.keys, key)
        return await super().get(key, *args, **kwargs)


def test_opening_reads_documents_only() -> None:
    store = Asked(written(MemoryStore()))
    image = opened(store)
    assert {key.split("/")[-1] for key in store.keys} <= {"zarr.json", ".zarray", ".zgroup", ".zattrs"}
    assert len(store.keys) <= 3 + 3 * 3 + 3
    before = len(store.keys)
    assert isinstance(image.xarray.data, da.Array)
    assert len(store.keys) == before


# ---- what is refused


def test_what_is_unfinished_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a", compute="init")
    with pytest.raises(
        ValueError, match=r"unfinished image: not all of it is written\. Finish it first: .*resume=True"
    ):
        daskome.open(tmp_path / "a")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"level": 3}, ValueError, r"there is no level 3; there are 0 \(s0\), 1 \(s1\), 2 \(s2\)"),
        ({"level": -4}, ValueError, "there is no level -4"),
        ({"level": "0"}, ValueError, "there is no level '0'"),
        ({"level": True}, TypeError, "level True: give its index, as in 0 or -1, or its path"),
        ({"level": 0.5}, TypeError, "level 0.5"),
        ({"level": 1, "scale": 2}, ValueError, "both choose a level; leave one out"),
        ({"scale": {"q": 2}}, ValueError, "unknown scale for axis 'q'"),
        ({"scale": {"z": -2}}, ValueError, "is no size of a voxel"),
        ({"scale": (1, 2)}, ValueError, "scale has 2 values"),
        ({"multiscale": 1}, ValueError, "there is no multiscale 1"),
    ],
)
def test_choices_that_there_are_not(options: dict[str, Any], error: type[Exception], message: str) -> None:
    store = written(MemoryStore())
    with pytest.raises(error, match=message):
        daskome.open(store, **options)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a", None)
    zarr.create_group(tmp_path / "plain")
    with pytest.raises(FileNotFoundError, match="there is no zarr group at"):
        daskome.open(tmp_path / "nothing")
    with pytest.raises(ValueError, match="is an array: open the image that it is a level of"):
        daskome.open(tmp_path / "a" / "s0")
    with pytest.raises(ValueError, match="is no image, plate or well of OME-Zarr; daskome info"):
        daskome.open(tmp_path / "plain")


def test_levels_that_cannot_be_read_are_named_and_the_others_keep_their_index(tmp_path: Path) -> None:
    written(tmp_path / "a")
    (tmp_path / "a" / "s1" / "zarr.json").write_text("{")
    image = opened(tmp_path / "a", level=2)
    assert image.level.path == "s2"
    assert [level.k for level in image.levels] == [0, 2]
    assert any("datasets/1" in str(problem) for problem in image.problems)
    with pytest.raises(ValueError, match=r"there is no level 1; there are 0 \(s0\), 2 \(s2\)"):
        daskome.open(tmp_path / "a", level=1)


def test_stores_and_places_are_taken_as_they_are(tmp_path: Path) -> None:
    written(tmp_path / "a", None)
    group = zarr.open_group(tmp_path / "a", mode="r")
    for place in (tmp_path / "a", str(tmp_path / "a"), group, group.store, StorePath(group.store)):
        assert np.array_equal(opened(place).dask.compute(), IMAGE)


def test_a_file_of_an_image_is_no_group_and_says_what_to_do(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 5)))
    calls: list[Any] = [daskome.open, lambda path: daskome.preview(path, tmp_path / "a.png"), describe]
    for call in calls:
        with pytest.raises(FileNotFoundError, match=r"no zarr group at .*a.npy \(it is a file; .* daskome write"):
            call(tmp_path / "a.npy")
    assert "it is a file" in str(daskome.validate(tmp_path / "a.npy")[0])
