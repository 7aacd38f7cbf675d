"""A link holds what the metadata say: axes, units, ranges, colours, labels; of each version, in words that are read."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from urllib.request import urlopen

import numpy as np
import pytest
from zarr.storage import MemoryStore

import daskome
from daskome.inspection.stored_image import StoredImage, stored_image_of
from daskome.reading.images import OpenImage
from daskome.stores.location import locate
from daskome.viewing.napari import napari_layers, show_in_napari
from daskome.viewing.neuroglancer import READS, description
from daskome.viewing.view import Viewing

IMAGE = np.arange(2 * 6 * 20 * 30, dtype="uint16").reshape(2, 6, 20, 30)
CHANNELS = [
    {"label": "DAPI", "color": "0000FF", "window": (0, 65535, 10, 900)},
    {"label": "GFP", "color": "00FF00", "window": (0, 65535, 20, 5000), "active": False},
]
OPTIONS: dict[str, Any] = {
    "axes": "czyx",
    "scale": {"z": 2, "y": 0.5, "x": 0.5},
    "translation": {"z": 100},
    "axes_units": "micrometer",
    "channels": CHANNELS,
    "name": "cells",
}
VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6")


def written(store: Any, image: Any = IMAGE, **options: Any) -> Any:
    daskome.write_image(image, store, [2], **{**OPTIONS, **options})
    return store


def state_of(viewing: Viewing) -> Any:
    page, _, fragment = viewing.link.partition("#!")
    assert page == "https://neuroglancer-demo.appspot.com/"
    return json.loads(unquote(fragment))


def test_axes_units_channels_and_ranges_are_set() -> None:
    with daskome.view(written(MemoryStore())) as viewing:
        state = state_of(viewing)
    assert list(state["dimensions"]) == ["x", "y", "z"]
    assert [value for value, _ in state["dimensions"].values()] == pytest.approx([5e-7, 5e-7, 2e-6])
    assert {unit for _, unit in state["dimensions"].values()} == {"m"}
    assert state["position"] == [15, 10, 53]
    assert state["layout"] == "4panel"
    one, other = state["layers"]
    assert (one["name"], one["shaderControls"]) == ("DAPI", {"normalized": {"range": [10, 900]}, "color": "#0000ff"})
    assert (other["localDimensions"], other["localPosition"], other["visible"]) == ({"c'": [1, ""]}, [1], False)
    assert one["source"] == other["source"] == f"zarr3://{viewing.url}/"


def test_labels_are_layers_with_their_colours(tmp_path: Path) -> None:
    values = (IMAGE[0] > 99).astype("uint32")
    labels = {"cells": {"labels": values, "colors": {1: (255, 0, 16, 255)}}, "signed": values.astype("int64")}
    written(tmp_path / "a", labels=labels, fmt="0.4")
    with daskome.view(tmp_path / "a") as viewing:
        layer = state_of(viewing)["layers"][-1]
        assert layer["type"] == "segmentation"
        assert layer["source"] == f"zarr2://{viewing.url}/labels/cells/"
        assert layer["segmentColors"] == {"1": "#ff0010"}
        assert viewing.left == ("labels signed: Neuroglancer shows no int64",)
        assert json.loads(urlopen(f"{viewing.url}/labels/cells/.zattrs").read())["multiscales"][0]["version"] == "0.4"
        assert "labels signed" in repr(viewing)
        assert viewing.link.replace("&", "&amp;") in viewing._repr_html_()


@pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store")
@pytest.mark.parametrize("version", VERSIONS)
def test_the_description_says_of_every_version_what_is_stored(version: str) -> None:
    store = written(MemoryStore(), fmt=version)
    image = daskome.open(store)
    assert isinstance(image, OpenImage)
    path, text = description(image)
    document = json.loads(text)
    attributes = document["attributes"] if path == "zarr.json" else document
    described = stored_image_of(locate(store), image.zarr_format, attributes)
    assert isinstance(described, StoredImage)
    assert described.stated == READS[image.zarr_format][0]
    assert [(axis.name, axis.type, axis.unit) for axis in described.axes] == [
        (a.name, a.type, a.unit) for a in image.axes
    ]
    for (level, _), opened in zip(described.complete, image.levels, strict=True):
        assert (level.dataset.scale, level.dataset.translation) == (opened.scale, opened.translation)


def test_units_that_neuroglancer_does_not_know_are_left_out(tmp_path: Path) -> None:
    written(tmp_path / "a", axes_units="micrometer")
    file = tmp_path / "a" / "zarr.json"
    file.write_text(file.read_text().replace("micrometer", "pixel"))
    with daskome.view(tmp_path / "a") as viewing:
        assert state_of(viewing)["dimensions"]["z"] == [2, ""]
        assert "pixel" not in urlopen(f"{viewing.url}/zarr.json").read().decode()


def test_ranges_are_measured_where_none_are_stated() -> None:
    store = MemoryStore()
    daskome.write_image(np.array([[0.0, np.nan], [7.0, 7.0]], "float32").repeat(20, 0), store, None, axes="yx")
    with daskome.view(store) as viewing:
        state = state_of(viewing)
    assert state["layout"] == "xy"
    assert state["layers"][0]["shaderControls"]["normalized"]["range"] == [0, 7]


def test_times_are_a_dimension_and_start_at_the_first() -> None:
    store = MemoryStore()
    units = {"t": "minute", "z": "nanometer", "y": "nanometer", "x": "nanometer"}
    daskome.write_image(IMAGE[:, None], store, None, axes="tczyx", scale={"t": 2}, axes_units=units)
    with daskome.view(store) as viewing:
        state = state_of(viewing)
    assert state["dimensions"]["t"] == [120, "s"]
    assert list(state["dimensions"]) == ["x", "y", "z", "t"]
    assert state["position"][-1] == 0
    assert len(state["layers"]) == 1


def test_of_a_plate_the_first_image_is_shown(tmp_path: Path) -> None:
    daskome.write_plate({"A/1": [IMAGE], "B/2": [IMAGE]}, tmp_path / "p", axes="czyx", scale_factors=[2])
    with daskome.view(tmp_path / "p") as viewing:
        assert viewing.left[0].startswith("this is A/1/0, the first image of ")
        assert json.loads(urlopen(f"{viewing.url}/zarr.json").read())["attributes"]["ome"]["version"] == "0.5"


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_pixels_that_neuroglancer_cannot_show_are_refused(dtype: str) -> None:
    store = MemoryStore()
    daskome.write_image(np.ones((8, 8), dtype), store, None, axes="yx")
    with pytest.raises(
        ValueError, match=f"Neuroglancer cannot show {dtype}, only uint8.*use --napari, or daskome preview"
    ):
        daskome.view(store)


def test_layers_of_napari_lie_where_the_levels_lie(tmp_path: Path) -> None:
    written(tmp_path / "a", labels={"cells": (IMAGE[0] > 99).astype("uint8")})
    image = daskome.open(tmp_path / "a")
    assert isinstance(image, OpenImage)
    dapi, gfp, cells = napari_layers(image)
    assert [level.shape for level in gfp.data] == [(6, 20, 30), (3, 10, 15)]
    assert np.array_equal(gfp.data[0].compute(), IMAGE[1])
    assert dapi.arguments == {
        "scale": [2, 0.5, 0.5],
        "translate": [100, 0, 0],
        "units": ["micrometer"] * 3,
        "axis_labels": ["z", "y", "x"],
        "name": "DAPI",
        "colormap": "#0000FF",
        "contrast_limits": [10, 900],
        "blending": "additive",
        "visible": True,
    }
    assert (cells.kind, cells.arguments["name"], gfp.arguments["visible"]) == ("labels", "cells", False)


def test_napari_takes_the_layers(tmp_path: Path) -> None:
    components = pytest.importorskip("napari.components")
    from daskome.viewing.napari import add_layers

    written(tmp_path / "a", labels={"cells": (IMAGE[0] > 99).astype("uint8")})
    viewer, image = components.ViewerModel(), daskome.open(tmp_path / "a")
    assert isinstance(image, OpenImage)
    add_layers(viewer, image)
    assert [layer.name for layer in viewer.layers] == ["DAPI", "GFP", "cells"]
    assert viewer.layers["GFP"].multiscale
    assert viewer.layers["cells"].extent.world[0] == pytest.approx([100, 0, 0])


def test_without_napari_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "napari", None)
    with pytest.raises(ImportError, match=r'--napari needs napari: pip install "napari\[all\]"'):
        show_in_napari(tmp_path)
