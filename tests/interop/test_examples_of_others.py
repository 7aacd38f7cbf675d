"""What the documentation of ome-zarr shows, release by release, with another import: it writes what was meant.

The calls are those of docs/source/python.rst in 0.3 to 0.11, and of the guides of 0.21. Each example takes a
path, and is then read by daskome's `verify` and, where installed, by ome_zarr itself.
"""

from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

from daskome.format import CurrentFormat, FormatV04, FormatV05
from daskome.inspection.verify import verify
from daskome.scale import Methods, Scaler
from daskome.writer import write_image, write_labels, write_multiscale, write_multiscale_labels
from daskome.writing.metadata import (
    add_metadata,
    get_metadata,
    write_label_metadata,
    write_multiscales_metadata,
    write_plate_metadata,
    write_well_metadata,
)

SIZE_XY, SIZE_Z = 128, 10
OMERO = {
    "channels": [
        {"color": "00FFFF", "window": {"start": 0, "end": 20, "min": 0, "max": 255}, "label": "random", "active": True}
    ]
}
COLORS = [
    {"label-value": 1, "rgba": [255, 0, 0, 255]},
    {"label-value": 2, "rgba": [0, 255, 0, 255]},
    {"label-value": 3, "rgba": [255, 255, 0, 255]},
]
PROPERTIES = [{"label-value": 1, "class": "nucleus", "area": 12}, {"label-value": 2, "class": "cell"}]


def cells(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).poisson(lam=10, size=shape or (SIZE_Z, SIZE_XY, SIZE_XY)).astype(np.uint8)


def blobs(*shape: int) -> np.ndarray:
    """Boxes of 1, 2 and 3 in a background of 0."""
    labels = np.zeros(shape or (SIZE_Z, SIZE_XY, SIZE_XY), "int8")
    for value in (1, 2, 3):
        labels[(slice(None),) * (labels.ndim - 2) + (slice(10 * value, 10 * value + 8), slice(20, 44))] = value
    return labels


def group_at(path: str, version: Any = None) -> zarr.Group:
    return zarr.open_group(path, mode="w", zarr_format=2 if version else 3)


# ---- images


def with_a_group_and_chunks(path: str) -> None:
    """0.3 to 0.11."""
    root = group_at(path)
    write_image(image=cells(), group=root, axes="zyx", storage_options={"chunks": (1, SIZE_XY, SIZE_XY)})


def into_a_path(path: str) -> None:
    """0.12 to 0.21."""
    write_image(cells(), path, axes="zyx")


def of_zarr_v2(path: str) -> None:
    write_image(cells(2, SIZE_Z, SIZE_XY, SIZE_XY), path, axes="czyx", fmt=FormatV04())


def into_a_group_of_zarr_v2(path: str) -> None:
    write_image(cells(), group_at(path, "0.4"), axes="zyx")


def with_scale_factors(path: str) -> None:
    write_image(cells(64, 64, 64), path, axes="zyx", scale_factors=[2, 4, 8])


def with_factors_by_axis(path: str) -> None:
    factors = [{"z": 2, "x": 2, "y": 2}, {"z": 4, "x": 4, "y": 4}, {"z": 8, "x": 8, "y": 8}]
    write_image(cells(64, 64, 64), path, axes="zyx", scale_factors=factors)


def with_a_method(path: str, method: Any = "nearest") -> None:
    write_image(cells(64, 64, 64), path, axes="zyx", scale_factors=[2, 4], method=method)


def with_pixel_sizes(path: str) -> None:
    """0.16 to 0.21."""
    write_image(
        cells(), path, axes="zyx", scale={"z": 0.5, "y": 0.1, "x": 0.1},
        axes_units={"z": "micrometer", "y": "micrometer", "x": "micrometer"},
    )  # fmt: skip


def with_a_scaler(path: str) -> None:
    """0.3 to 0.11: positional arguments, transformations per level, the format as an object."""
    placed = [[{"type": "scale", "scale": [1, 0.5 * f, 0.5 * f]}] for f in (1, 2, 4)]
    write_image(
        cells(), group_at(path), Scaler(max_layer=2, method="gaussian"), (1, 64, 64), CurrentFormat(), "zyx", placed
    )


def without_a_pyramid(path: str) -> None:
    write_image(cells(), group_at(path), scaler=None, axes="zyx", compute=True)


def with_omero_metadata(path: str) -> None:
    """0.9 to 0.11."""
    write_image(cells(), group_at(path), axes="zyx", metadata={"omero": OMERO})


def with_rendering_settings_added(path: str) -> None:
    write_image(cells(), path, axes="zyx")
    add_metadata(path, {"omero": OMERO})


def with_dicts_of_axes(path: str) -> None:
    axes = [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    write_image(cells(3, 64, 64), group_at(path), axes=axes, fmt=FormatV05())


def with_options_per_level(path: str) -> None:
    options = [{"chunks": (1, 64, 64)}, {"chunks": (1, 32, 32)}, {"chunks": (1, 32, 32)}]
    write_image(cells(), group_at(path), axes="zyx", scaler=Scaler(max_layer=2), storage_options=options)


def from_tiles(path: str) -> None:
    """0.5 to 0.21: an image out of delayed tiles."""

    def get_tile(channel: int, z: int, row: int, column: int) -> np.ndarray:
        mean = (row + 1) * (column + 1) * 4 + 10 * z
        return np.random.default_rng(1000 * channel).poisson(mean, size=(50, 50)).astype(np.uint8)

    def tile(*index: int) -> da.Array:
        return da.from_delayed(dask.delayed(get_tile)(*index), shape=(50, 50), dtype=np.uint8)

    planes = [
        da.stack([da.block([[tile(c, z, row, col) for col in range(5)] for row in range(3)]) for z in range(4)])
        for c in range(2)
    ]
    root = group_at(path)
    write_image(da.stack(planes), root, axes="czyx")
    add_metadata(
        root, {"omero": {"channels": [{**OMERO["channels"][0], "color": color} for color in ("FF0000", "00FF00")]}}
    )


def later(path: str) -> None:
    """0.8 to 0.21: a list of delayed tasks, or what can be computed like one."""
    delayed = write_image(da.from_array(cells(), chunks=(1, 64, 64)), group_at(path), axes="zyx", compute=False)
    dask.compute(*delayed) if isinstance(delayed, list) else dask.compute(delayed)


def with_shards(path: str) -> None:
    """0.16 to 0.21."""
    array = da.random.random((1, 3, 64, 64, 64), chunks=(1, 1, 16, 16, 16))
    write_image(array, group=path, storage_options={"shards": [1, 1, 32, 32, 32]})


def with_shards_per_level(path: str) -> None:
    array = da.random.random((1, 3, 64, 64, 64), chunks=(1, 1, 16, 16, 16))
    write_image(
        array,
        group=path,
        scale_factors=[{"t": 1, "c": 1, "z": f, "y": f, "x": f} for f in (2, 4)],
        storage_options=[{"shards": [1, 1, n, n, n]} for n in (64, 32, 16)],
    )


# ---- pyramids


def of_levels(path: str) -> None:
    levels = [cells()[:, ::f, ::f] for f in (1, 2, 4)]
    write_multiscale(levels, group_at(path), axes="zyx", storage_options={"chunks": (1, 64, 64)})


def of_levels_with_transformations(path: str) -> None:
    levels = [cells()[:, ::f, ::f] for f in (1, 2, 4)]
    placed = [[{"type": "scale", "scale": [1.0, 0.5 * f, 0.5 * f]}] for f in (1, 2, 4)]
    write_multiscale(levels, group_at(path), None, FormatV05(), "zyx", placed, None, "cells")


def of_arrays_that_are_there(path: str) -> None:
    """A pyramid written tile by tile, then its metadata."""
    fmt = CurrentFormat()
    axes = [{"name": "c", "type": "channel"}, {"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    image, tile, root = cells(2, 100, 90), 32, group_at(path)
    for k, factor in enumerate((1, 2, 4)):
        level = image[:, ::factor, ::factor]
        array = root.require_array(
            str(k), shape=level.shape, exact=True, chunks=(1, tile, tile), dtype=level.dtype,
            chunk_key_encoding=fmt.chunk_key_encoding, dimension_names=[axis["name"] for axis in axes],
        )  # fmt: skip
        for row in range(ceil(level.shape[1] / tile)):
            array[:, row * tile : (row + 1) * tile] = level[:, row * tile : (row + 1) * tile]
    placed = [[{"type": "scale", "scale": [1.0, f, f]}] for f in (1.0, 2.0, 4.0)]
    datasets = [{"path": p, "coordinateTransformations": t} for p, t in zip("012", placed, strict=True)]
    write_multiscales_metadata(root, datasets, axes=axes)


# ---- labels


def labels_as_images(path: str) -> None:
    """0.3 to 0.11, and python.rst of 0.12 to 0.15: a group of labels by hand."""
    root = group_at(path)
    write_image(image=cells(), group=root, axes="zyx", storage_options={"chunks": (1, SIZE_XY, SIZE_XY)})
    labels_grp = root.create_group("labels")
    add_metadata(labels_grp, {"labels": ["blobs"]})
    label_grp = labels_grp.create_group("blobs")
    write_image(blobs(), label_grp, axes="zyx")
    add_metadata(label_grp, {"image-label": {"colors": COLORS}})


def labels_of_an_image(path: str) -> None:
    root = group_at(path)
    write_image(cells(), root, axes="zyx")
    metadata = {"colors": COLORS, "properties": PROPERTIES, "source": {"image": "../../"}}
    write_labels(blobs(), root, name="blobs", axes="zyx", label_metadata=metadata)


def labels_with_a_scaler(path: str) -> None:
    """0.4 to 0.11."""
    root = group_at(path)
    write_image(cells(), root, Scaler(max_layer=2), axes="zyx")
    write_labels(blobs(), root, "blobs", Scaler(max_layer=2), (1, 64, 64), FormatV05(), "zyx")


def labels_of_levels(path: str) -> None:
    root = group_at(path)
    write_image(cells(), root, axes="zyx", scale_factors=[{"y": 2, "x": 2}])
    levels = [blobs()[:, ::f, ::f] for f in (1, 2)]
    write_multiscale_labels(levels, root, name="blobs", axes="zyx", label_metadata={"properties": PROPERTIES})


def labels_described_later(path: str) -> None:
    """The metadata by themselves."""
    root = group_at(path)
    write_image(cells(), root, axes="zyx")
    write_image(blobs(), root.require_group("labels/blobs"), axes="zyx")
    write_label_metadata(root["labels"], "blobs", colors=COLORS, properties=PROPERTIES)


# ---- plates


def plate(path: str, version: Any = None) -> None:
    row_names, col_names = ["A", "B"], ["1", "2", "3"]
    well_paths, field_paths = ["A/2", "B/3"], ["0", "1", "2"]
    data = cells(len(well_paths), len(field_paths), 2, 64, 64)
    root = group_at(path, version)
    write_plate_metadata(root, row_names, col_names, well_paths)
    for wi, wp in enumerate(well_paths):
        row, col = wp.split("/")
        row_group = root.require_group(row)
        well_group = row_group.require_group(col)
        write_well_metadata(well_group, field_paths)
        for fi, field in enumerate(field_paths):
            image_group = well_group.require_group(str(field))
            write_image(image=data[wi, fi], group=image_group, axes="zyx", storage_options={"chunks": (1, 64, 64)})


def plate_of_zarr_v2(path: str) -> None:
    plate(path, "0.4")


# ---- what comes of them

IMAGES = [
    with_a_group_and_chunks, into_a_path, of_zarr_v2, into_a_group_of_zarr_v2, with_scale_factors, with_factors_by_axis,
    with_a_method, with_pixel_sizes, with_a_scaler, without_a_pyramid, with_omero_metadata, with_rendering_settings_added,
    with_dicts_of_axes, with_options_per_level, from_tiles, later, with_shards, with_shards_per_level, of_levels,
    of_levels_with_transformations, of_arrays_that_are_there,
]  # fmt: skip
LABELS = [labels_as_images, labels_of_an_image, labels_with_a_scaler, labels_of_levels, labels_described_later]
PLATES = [plate, plate_of_zarr_v2]
Example = Callable[[str], None]


def nodes_of(path: str) -> list[Any]:
    """What ome_zarr reads."""
    reader, io = pytest.importorskip("ome_zarr.reader"), pytest.importorskip("ome_zarr.io")
    return list(reader.Reader(io.parse_url(path))())


@pytest.mark.sampled(14)
@pytest.mark.parametrize("example", [*IMAGES, *LABELS])
def test_an_example_is_a_valid_image(example: Example, tmp_path: Path) -> None:
    path = str(tmp_path / "a.ome.zarr")
    example(path)
    assert not verify(path)


@pytest.mark.sampled(15)
@pytest.mark.parametrize("example", IMAGES)
def test_ome_zarr_reads_what_an_example_wrote(example: Example, tmp_path: Path) -> None:
    path = str(tmp_path / "a.ome.zarr")
    example(path)
    node = nodes_of(path)[0]
    assert node.data[0].shape == level_0(path).shape
    np.testing.assert_array_equal(node.data[0].compute(), level_0(path)[...])


def level_0(path: str) -> Any:
    multiscale = get_metadata(path)["multiscales"][0]
    return zarr.open_group(path, mode="r")[multiscale["datasets"][0]["path"]]


def shapes(path: str) -> list[tuple[int, ...]]:
    group = zarr.open_group(path, mode="r")
    return [group[dataset["path"]].shape for dataset in get_metadata(path)["multiscales"][0]["datasets"]]


def test_factors_are_kept(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with_factors_by_axis(path)
    assert shapes(path) == [(64,) * 3, (32,) * 3, (16,) * 3, (8,) * 3]


def test_a_scaler_takes_planes(tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    with_a_scaler(path)
    assert shapes(path) == [(10, 128, 128), (10, 64, 64), (10, 32, 32)]
    multiscale = get_metadata(path)["multiscales"][0]
    assert multiscale["type"] == "gaussian"
    assert [dataset["coordinateTransformations"][0]["scale"] for dataset in multiscale["datasets"]] == [
        [1.0, 0.5 * f, 0.5 * f] for f in (1, 2, 4)
    ]
    assert level_0(path).chunks == (1, 64, 64)


@pytest.mark.sampled(3)
@pytest.mark.parametrize("method", Methods)
def test_every_method_of_ome_zarr(method: Methods, tmp_path: Path) -> None:
    for name, given in (("enum", method), ("value", method.value)):
        path = str(tmp_path / f"{name}.zarr")
        with_a_method(path, given)
        assert not verify(path)
        assert shapes(path) == [(64,) * 3, (32,) * 3, (16,) * 3]


@pytest.mark.parametrize("example", [with_omero_metadata, with_rendering_settings_added])
def test_rendering_settings(example: Example, tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    example(path)
    channel = get_metadata(path)["omero"]["channels"][0]
    assert {key: channel[key] for key in OMERO["channels"][0]} == OMERO["channels"][0]


@pytest.mark.parametrize("example", LABELS)
def test_labels(example: Example, tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    example(path)
    assert get_metadata(f"{path}/labels")["labels"] == ["blobs"]
    np.testing.assert_array_equal(level_0(f"{path}/labels/blobs")[...], blobs())
    described = get_metadata(f"{path}/labels/blobs")["image-label"]
    if example in (labels_of_an_image, labels_described_later, labels_as_images):
        assert described["colors"] == COLORS
    if example in (labels_of_an_image, labels_described_later, labels_of_levels):
        assert described["properties"] == PROPERTIES


@pytest.mark.sampled(2)
@pytest.mark.parametrize("example", PLATES)
def test_plates(example: Example, tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    example(path)
    assert [well["path"] for well in get_metadata(path)["plate"]["wells"]] == ["A/2", "B/3"]
    assert [image["path"] for image in get_metadata(f"{path}/A/2")["well"]["images"]] == ["0", "1", "2"]
    assert not verify(f"{path}/B/3/2")
    np.testing.assert_array_equal(level_0(f"{path}/B/3/2")[...], cells(2, 3, 2, 64, 64)[1, 2])
