"""Axes, units and transformations as each version has them: kept with a warning where the text says SHOULD."""

from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from daskome import add_levels, validate, verify, write_image, write_labels, write_multiscales_metadata, write_plate
from daskome.model.problem import errors
from daskome.ome.detect import ome_of

SIZES = {"t": 2, "c": 2, "z": 5, "y": 12, "x": 9}
ORDER = "ignore:axes .* of space should be in the order"


def image(axes: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 99, [SIZES[name] for name in axes]).astype("uint8")


def multiscale(store: MemoryStore) -> dict[str, Any]:
    return dict(ome_of(zarr.open_group(store, mode="r").attrs.asdict())["multiscales"][0])


def empty(version: str, shape: tuple[int, ...] = (5, 12, 9)) -> MemoryStore:
    """Return a group with an array ``0``."""
    store = MemoryStore()
    group = zarr.create_group(store, zarr_format=2 if version < "0.5" else 3)
    group.create_array("0", shape=shape, dtype="uint8")
    return store


@pytest.mark.sampled(4)
@pytest.mark.filterwarnings(ORDER)
@pytest.mark.parametrize(("axes", "version"), [("xyz", "0.5"), ("tcxy", "0.6"), ("zxy", "0.4"), ("cyxz", "0.5")])
def test_any_order_of_space(axes: str, version: str) -> None:
    """Pixels, labels and added levels follow the image."""
    store, pixels = MemoryStore(), image(axes)
    write_image(pixels, store, [2], axes=axes, fmt=version)
    write_labels((pixels > 50).astype("uint8"), store, "bright")
    add_levels(store, [4])
    assert verify(store, pixels=True) == []
    assert errors(validate(store)) == []
    assert [axis.get("name") for axis in multiscale(store).get("axes", [])] in (list(axes), [])
    assert np.array_equal(zarr.open_array(store, path="s0")[:], pixels)


def test_the_order_is_warned_of_at_the_line_of_the_call() -> None:
    with pytest.warns(UserWarning, match=r"should be in the order z, y, x") as caught:
        write_image(image("xyz"), MemoryStore(), [2], axes="xyz")
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("unit", ["pixel", "voxels", "a.u."])
def test_units_of_others_are_kept(unit: str) -> None:
    store = MemoryStore()
    with pytest.warns(UserWarning, match="is not a unit of space that OME-Zarr knows"):
        write_image(image("yx"), store, [2], axes="yx", axes_units=unit)
    assert [axis["unit"] for axis in multiscale(store)["axes"]] == [unit, unit]
    assert errors(validate(store)) == []


@pytest.mark.parametrize("version", ["0.1", "0.2"])
@pytest.mark.parametrize(
    ("axes", "taken"), [("xyz", "z y x"), ("yxc", "z y x"), ("zctxy", "t c z y x"), ("yxt", "z y x")]
)
def test_axes_are_ignored_where_all_images_have_the_same(axes: str, taken: str, version: str) -> None:
    store, pixels = MemoryStore(), image(axes)
    with pytest.warns(UserWarning, match=f"are ignored, and taken for {taken}"):
        write_image(pixels, store, None, axes=axes, fmt=version)
    assert np.array_equal(zarr.open_array(store, path="s0")[:], pixels.reshape((1,) * (5 - pixels.ndim) + pixels.shape))
    assert errors(validate(store)) == []
    with pytest.warns(UserWarning, match=f"are ignored, and taken for {taken}"):
        write_plate({"A/1": [pixels]}, MemoryStore(), None, axes=axes, fmt=version)


# Metadata alone


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.4"])
def test_the_version_is_written(version: str) -> None:
    store = empty(version, (1, 1, 5, 12, 9))
    step = [{"type": "scale", "scale": [1, 1, 1, 1, 1]}]
    datasets = [{"path": "0"} | ({"coordinateTransformations": step} if version == "0.4" else {})]
    write_multiscales_metadata(zarr.open_group(store), datasets, fmt=version, axes="tczyx")
    assert multiscale(store)["version"] == version
    assert not [problem for problem in validate(store) if "version" in problem.where]


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_axes_are_ignored(version: str) -> None:
    store = empty(version, (1, 1, 5, 12, 9))
    with pytest.warns(
        UserWarning, match=r"axes \['y', 'x'\] are ignored: OME-Zarr 0.[12] has images of t, c, z, y, x only"
    ):
        write_multiscales_metadata(zarr.open_group(store), ["0"], fmt=version, axes="yx")
    assert "axes" not in multiscale(store)


@pytest.mark.parametrize(
    "steps", [None, 5, [None], [{"type": "scale", "scale": [1]}], [{"type": "warp"}], {"scale": 2}]
)
@pytest.mark.parametrize("version", ["0.1", "0.3", "0.4", "0.5", "0.6"])
def test_transformations_that_cannot_be(version: str, steps: Any) -> None:
    """Ignored with a warning where a version has none, else an error that says where and why."""
    store = empty(version, (1, 1, 5, 12, 9))
    before = dict(store._store_dict)
    if version < "0.4":
        with pytest.warns(UserWarning, match=f"coordinate transformations are ignored: OME-Zarr {version} stores none"):
            write_multiscales_metadata(
                store, [{"path": "0", "coordinateTransformations": steps}], fmt=version, axes="tczyx"
            )
        assert multiscale(store)["datasets"] == [{"path": "0"}]
    else:
        with pytest.raises(ValueError, match="multiscales/0/datasets/0/coordinateTransformations"):
            write_multiscales_metadata(
                store, [{"path": "0", "coordinateTransformations": steps}], fmt=version, axes="tczyx"
            )
        assert store._store_dict == before


@pytest.mark.parametrize("datasets", [[5], [None], [["0"]]])
def test_datasets_that_are_none(datasets: Any) -> None:
    with pytest.raises(TypeError, match="give paths, or dicts with 'path'"):
        write_multiscales_metadata(empty("0.5"), datasets, axes="zyx")


@pytest.mark.parametrize("how", [{}, {"description": "as it was"}])
def test_omero_in_metadata_is_checked_and_put_in_its_place(how: dict[str, str]) -> None:
    store, scale = empty("0.5"), [{"type": "scale", "scale": [1, 1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    with pytest.raises(ValueError, match="2 channels are given, but the image has 1"):
        write_multiscales_metadata(store, datasets, axes="zyx", metadata={"omero": {"channels": ["a", "b"]}, **how})
    write_multiscales_metadata(store, datasets, axes="zyx", metadata={"omero": {"channels": [{"label": "a"}]}, **how})
    assert zarr.open_group(store).attrs["ome"]["omero"]["channels"][0]["label"] == "a"
    assert multiscale(store).get("metadata", {}) == how
