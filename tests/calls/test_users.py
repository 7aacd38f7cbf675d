"""Calls as other programs make them, and what they find afterwards."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

import daskome
from daskome import writer
from daskome.format import Format, FormatV04, FormatV05
from daskome.scale import Methods, Scaler

IMAGE = np.random.default_rng(0).integers(0, 99, (2, 64, 72)).astype("u2")


def ome(target: Any, path: str = "") -> dict[str, Any]:
    found = zarr.open_group(target, path=path, mode="r").attrs.asdict()
    return dict(found.get("ome", found))


def test_storage_options_of_spatialdata(tmp_path: Path) -> None:
    """Chunks of a Dask array, and a list with an entry for each scale, however many there are."""
    image = da.from_array(IMAGE, chunks=((1, 1), (32, 32), (40, 32)))
    options = [{"chunks": image.chunks}] * 9
    daskome.write_image(image, tmp_path / "a", [2], axes=["c", "y", "x"], storage_options=options)
    assert zarr.open_array(tmp_path / "a" / "s0", mode="r").chunks == (1, 32, 40)


def test_channel_names_of_bioio(tmp_path: Path) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", [2], axes="cyx", channel_names=["DAPI", "GFP"])
    assert [channel["label"] for channel in ome(tmp_path / "a")["omero"]["channels"]] == ["DAPI", "GFP"]
    with pytest.raises(TypeError, match="both 'channels' and 'channel_names'"):
        daskome.write_image(IMAGE, tmp_path / "b", axes="cyx", channels=["a", "b"], channel_names=["a", "b"])


def test_axes_and_transformations_of_acquisition_software(tmp_path: Path) -> None:
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space", "units": "micrometer"} for n in "yx")]
    placed = [[{"type": "scale", "scale": [1, 0.5, 0.5]}], [{"type": "scale", "scale": [1, 1, 1]}]]
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=2)
    daskome.write_image(
        IMAGE,
        group,
        axes=axes,
        coordinate_transform=placed,
        scaler=Scaler(max_layer=1),
        storage_options={"dtype": "<u2"},
    )
    multiscale = ome(tmp_path / "a")["multiscales"][0]
    assert [axis.get("unit") for axis in multiscale["axes"]] == [None, "micrometer", "micrometer"]
    assert [dataset["path"] for dataset in multiscale["datasets"]] == ["0", "1"]
    assert zarr.open_group(tmp_path / "a", mode="r")["0"].shape == IMAGE.shape


def test_calls_of_03_leave_levels_where_their_readers_look(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=2)
    writer.write_image(IMAGE, group, (1, 32, 32), "cyx", fmt=FormatV04())
    assert group["0"].chunks == (1, 32, 32)
    writer.write_labels(IMAGE, group, "cells", Scaler(max_layer=2), axes="cyx")
    assert "0" in group["labels/cells"]


def test_short_shards_and_names_of_dimensions(tmp_path: Path) -> None:
    options = {"chunks": (16, 16), "shards": (32, 32), "dimension_names": ["c", "y", "x"]}
    daskome.write_image(IMAGE, tmp_path / "a", None, axes="cyx", storage_options=options)
    array = zarr.open_array(tmp_path / "a" / "s0", mode="r")
    assert (array.chunks, array.shards) == ((2, 16, 16), (2, 32, 32))
    options["dimension_names"] = ["z", "y", "x"]
    with pytest.raises(ValueError, match="cannot set 'dimension_names': they are the axes"):
        daskome.write_image(IMAGE, tmp_path / "b", None, axes="cyx", storage_options=options)


def test_paths_of_levels(tmp_path: Path) -> None:
    for paths, want in (("{}", ["0", "1"]), ("scale{}/image", ["scale0/image", "scale1/image"]), (None, ["s0", "s1"])):
        daskome.write_image(IMAGE, tmp_path / "a", [2], axes="cyx", level_paths=paths, overwrite=True)
        assert [dataset["path"] for dataset in ome(tmp_path / "a")["multiscales"][0]["datasets"]] == want
    daskome.write_image(IMAGE, tmp_path / "b", [2], axes="cyx", level_paths="{}")
    daskome.add_levels(tmp_path / "b", [4])
    assert [dataset["path"] for dataset in ome(tmp_path / "b")["multiscales"][0]["datasets"]] == ["0", "1", "2"]


@pytest.mark.parametrize(
    "paths", ["s", "{}{}", "{0}", "/{}", "../{}", "labels/{}", "labels", "{}\\", "a{}{", ".daskome/{}", "", 3]
)
def test_paths_that_levels_cannot_have(tmp_path: Path, paths: Any) -> None:
    with pytest.raises(ValueError, match=r"level_paths .* must be a path with \{\} for the number"):
        daskome.write_image(IMAGE, tmp_path / "a", axes="cyx", level_paths=paths)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["cells", "labels/cells", "/labels/cells", "/cells/"])
def test_label_metadata_by_path(name: str) -> None:
    store = zarr.storage.MemoryStore()
    daskome.write_labels(IMAGE[0], store, "cells", None, axes="yx")
    writer.write_label_metadata(store, name, colors={1: (1, 2, 3, 4)})
    assert ome(store, "labels/cells")["image-label"]["colors"] == [{"label-value": 1, "rgba": [1, 2, 3, 4]}]


@pytest.mark.parametrize("fmt", [FormatV04(), FormatV05()])
def test_formats_of_groups(tmp_path: Path, fmt: Format) -> None:
    group, found = writer.check_group_fmt(str(tmp_path / "a"), fmt)
    assert (found, found.version, group.metadata.zarr_format) == (fmt, fmt.version, fmt.zarr_format)
    assert writer.check_format(group) == fmt
    assert writer.Methods is Methods
    other = FormatV05() if fmt == FormatV04() else FormatV04()
    with pytest.raises(ValueError, match=f"Group is zarr_format: {fmt.zarr_format}"):
        writer.check_format(group, other)
    with pytest.raises(ValueError, match=f"Group is zarr_format: {fmt.zarr_format}"):
        writer.write_image(IMAGE, group, fmt=other, axes="cyx")


PLATE: dict[str, Any] = {"rows": ["A"], "columns": ["1"], "wells": ["A/1"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wells": None}, "plate/wells is None; give a list"),
        ({"wells": "A/1"}, "plate/wells is 'A/1'; give a list"),
        ({"wells": [1]}, "well 1: give a path such as 'A/1'"),
        ({"rows": None}, "plate/rows is None"),
        ({"columns": [{"nam": "1"}]}, "needs a 'name'"),
        ({"acquisitions": [0]}, "acquisition 0: give a dict with an 'id'"),
        ({"acquisitions": {"id": 0}}, "plate/acquisitions is {'id': 0}; give a list"),
        ({"acquisitions": [None]}, "acquisition None"),
    ],
)
def test_plates_that_cannot_be(change: dict[str, Any], message: str) -> None:
    store = zarr.storage.MemoryStore()
    with pytest.raises(ValueError, match=message):
        writer.write_plate_metadata(store, **{**PLATE, **change})
    assert not store._store_dict
    if "acquisitions" in change:
        with pytest.raises(ValueError, match=message):
            writer.write_plate({"A/1": IMAGE}, store, axes="cyx", **change)


def test_wells_that_are_no_list() -> None:
    with pytest.raises(ValueError, match="well/images is None; give a list"):
        writer.write_well_metadata(zarr.storage.MemoryStore(), None)  # type: ignore[arg-type]


def test_paths_alone_are_for_old_versions() -> None:
    for fmt in ("0.1", "0.2", "0.3"):
        writer.write_multiscales_metadata(
            zarr.storage.MemoryStore(), ["0"], fmt=fmt, axes="yx" if fmt == "0.3" else None
        )
    with pytest.raises(TypeError, match="needs the scale of each level beside its path"):
        writer.write_multiscales_metadata(zarr.storage.MemoryStore(), ["0"], fmt="0.4", axes="yx")


@pytest.mark.parametrize("fmt", ["0.1", "0.2"])
def test_axes_and_transformations_that_old_versions_do_not_know_are_ignored(fmt: str) -> None:
    store, five = zarr.storage.MemoryStore(), IMAGE[None, :, None]
    placed = [[{"type": "scale", "scale": [0.5, 0.5]}]]
    with pytest.warns(UserWarning, match="are ignored: OME-Zarr 0.. stores none"):
        writer.write_image(five, store, axes="yx", fmt=fmt, coordinate_transformations=placed, scaler=None)
    assert zarr.open_array(store, path="0", mode="r").shape == five.shape


BAD: list[Any] = [
    [[{"type": "scale", "scale": [0.5, 0.5]}]],
    [[{"type": "scale", "scale": "no"}]],
    [[{"type": "scale", "scale": [1, "x", 1]}]],
    [[{"type": "translation", "translation": [1, 1, 1]}]],
    [[{"type": "scale", "scale": [1, 1, 1]}], [{"type": "scale", "scale": [1, 1.3, 1.3]}]],
    [[{"type": "scale", "scale": [1, 0, 1]}]],
    [{"type": "scale", "scale": [1, 1, 1]}],
    "scale",
    7,
]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_transformations_that_cannot_be_are_ignored_where_none_are_stored(bad: Any) -> None:
    image = np.zeros((2, 16, 16), "u1")
    for fmt in ("0.1", "0.2", "0.3"):
        with pytest.warns(
            UserWarning, match=f"coordinate_transformations are ignored: OME-Zarr {fmt} stores none, and"
        ):
            writer.write_image(
                image, zarr.storage.MemoryStore(), axes="zyx", fmt=fmt, coordinate_transformations=bad, scaler=None
            )
    with pytest.raises((ValueError, TypeError), match=r"section|coordinate_transformations"):
        writer.write_image(image, zarr.storage.MemoryStore(), axes="zyx", fmt="0.4", coordinate_transformations=bad)


def test_dimensions_of_an_xarray_in_former_words() -> None:
    xr = pytest.importorskip("xarray")
    image = xr.DataArray(IMAGE, dims=["C", "Row", "Column"])
    plan = daskome.plan_image(image, scaler=Scaler(max_layer=1))  # type: ignore[call-arg]
    assert [level.factors for level in plan.pyramids[0].levels] == [(1, 1, 1), (1, 2, 2)]
