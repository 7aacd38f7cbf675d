"""What others make of what we write: validators they wrote, and readers, for every version and kind of group."""

import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr

import daskome
from daskome.ome.fingerprint import FINGERPRINT
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from tests.written import contents

CASES: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "2d": ((65, 64), "yx", {}),
    "3d": ((9, 65, 64), "zyx", {}),
    "channels": ((2, 9, 65, 64), "czyx", {"channels": ["DAPI", "GFP"]}),
    "5d": ((2, 3, 5, 33, 32), "tczyx", {"channels": ["a", "b", "c"]}),
    "nearest": ((9, 65, 64), "zyx", {"method": "nearest"}),
    "sharded": ((9, 65, 64), "zyx", {"storage_options": {"chunks": 8, "shards": 32}}),
    "labels": ((9, 65, 64), "zyx", {"labels": {"cells": {"labels": None, "colors": {1: (255, 0, 0, 255)}}}}),
    "oriented": ((9, 65, 64), "zyx", {"orientation": "RAS"}),
    "6d": ((2, 2, 3, 5, 33, 32), [{"name": "angle", "type": "angle"}, *"tczyx"], {"orientation": {"x": "L"}}),
}
SINCE = {"sharded": "0.5", "6d": "0.9.dev1"}
"""The first version that has it."""
UNITS = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
ALL = list(VERSIONS)
SINCE_4 = ("0.4", "0.5", "0.6", "0.9.dev1")
MODELS = ("0.4", "0.5", "0.6")
"""Those that ome-zarr-models and the classes of ome_zarr know."""
newest = pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr and ome-zarr-models need Python 3.12")


def cells(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 3, shape).astype("uint16")


@pytest.fixture(
    params=[(name, fmt) for name in CASES for fmt in ALL if fmt >= SINCE.get(name, "0.1")],
    ids=lambda param: "-".join(param),
)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, daskome.Plan, np.ndarray[Any, Any]]:
    """An image of each kind in each version."""
    name, fmt = request.param
    shape, axes, options = CASES[name]
    image = np.random.default_rng(0).integers(0, 1000, shape).astype("uint16")
    if name == "labels":
        options = {"labels": {"cells": {**options["labels"]["cells"], "labels": cells(shape)}}}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "OME-Zarr 0.[123] cannot store", UserWarning)
        plan = daskome.write_image(
            image, tmp_path / "a.ome.zarr", [2, 4], fmt=fmt, axes=axes, name="cells",
            scale={"z": 2, "y": 0.5, "x": 0.5} if "z" in axes else None,
            axes_units={a: u for a, u in UNITS.items() if a in axes}, **options,
        )  # fmt: skip
    if VERSIONS[fmt].every_axis:
        image = image[tuple(slice(None) if axis in axes else None for axis in "tczyx")]
    return tmp_path / "a.ome.zarr", plan, image


@pytest.fixture(params=ALL)
def plate(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A plate of two wells, two fields and two acquisitions, in each version."""
    field = np.random.default_rng(0).integers(0, 1000, (2, 33, 32)).astype("uint16")
    wells = {"A/1": {0: [field], 1: [field]}, "B/2": {0: [field, field]}}
    scale = {"axes_units": {"y": "micrometer", "x": "micrometer"}} if request.param >= "0.4" else {}
    daskome.write_plate(
        wells, tmp_path / "p.ome.zarr", [2], "screen", rows="AB", columns=(1, 2, 3), fmt=request.param, axes="cyx",
        channels=["DAPI", "GFP"], acquisitions=[{"id": 0, "name": "day 1"}, {"id": 1, "name": "day 2"}], **scale,
    )  # fmt: skip
    return tmp_path / "p.ome.zarr", request.param


def said(path: Path) -> Mapping[str, Any]:
    return zarr.open_group(path, mode="r").attrs.asdict()


# ---- validators


@pytest.mark.sampled(4)
def test_ours_finds_both_valid(written: Any) -> None:
    assert [str(problem) for problem in daskome.verify(written[0], pixels=True)] == []
    assert [str(problem) for problem in daskome.validate(written[0]) if not problem.warning] == []


@pytest.mark.sampled(4)
def test_ours_finds_plates_valid(plate: Any) -> None:
    assert [str(problem) for problem in daskome.verify(plate[0], pixels=True)] == []
    assert [str(problem) for problem in daskome.validate(plate[0]) if not problem.warning] == []


@pytest.mark.sampled(4)
def test_schemas_find_images_and_labels_valid(written: Any) -> None:
    from ngff_zarr.validate import validate

    path, plan, _ = written
    image = {"version": plan.version, "model": "image"}
    validate(said(path), strict=plan.version != "0.2", **image)
    for label in path.glob("labels/*/"):
        if not label.name.startswith("."):
            validate(said(label), strict=plan.version != "0.2", **image)
            if plan.version in SINCE_4:
                validate(said(label), version=plan.version, model="label", strict=True)


def test_schemas_find_plates_and_wells_valid(plate: Any) -> None:
    from ngff_zarr.validate import validate

    path, version = plate
    strict = version in SINCE_4
    validate(said(path), version=version, model="plate", strict=strict)
    for well in ("A/1", "B/2"):
        validate(said(path / well), version=version, model="well", strict=strict)
        for field in ("0", "1"):
            validate(said(path / well / field), version=version, model="image", strict=strict)


@pytest.mark.sampled(4)
def test_yaozarrs_finds_images_and_labels_valid(written: Any) -> None:
    import yaozarrs

    path, plan, _ = written
    if plan.version not in ("0.4", "0.5"):
        pytest.skip("yaozarrs knows 0.4 and 0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(path))
        for label in path.glob("labels/*/zarr.json"):
            yaozarrs.validate_zarr_store(str(label.parent))


def test_yaozarrs_finds_plates_valid(plate: Any) -> None:
    import yaozarrs

    path, version = plate
    if version not in ("0.4", "0.5"):
        pytest.skip("yaozarrs knows 0.4 and 0.5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(path))
        yaozarrs.validate_zarr_store(str(path / "A/1"))


@pytest.mark.sampled(4)
@newest
def test_ome_zarr_models_finds_images_and_labels_valid(written: Any) -> None:
    import ome_zarr_models

    path, plan, _ = written
    if plan.version not in MODELS:
        pytest.skip("ome-zarr-models knows 0.4 to 0.6")
    found = ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"), version=plan.version)
    assert type(found).__name__ == "Image"
    if (path / "labels").exists():
        labels = ome_zarr_models.open_ome_zarr(zarr.open_group(path / "labels/cells", mode="r"), version=plan.version)
        assert type(labels).__name__ == "ImageLabel"


@newest
def test_ome_zarr_models_finds_plates_valid(plate: Any) -> None:
    import ome_zarr_models

    path, version = plate
    if version not in MODELS:
        pytest.skip("ome-zarr-models knows 0.4 to 0.6")
    found = ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"), version=version)
    assert type(found).__name__ == "HCS"
    well = ome_zarr_models.open_ome_zarr(zarr.open_group(path / "A/1", mode="r"), version=version)
    assert type(well).__name__ == "Well"


@pytest.mark.sampled(4)
def test_ngff_zarrs_structural_rules_hold(written: Any) -> None:
    import ngff_zarr
    from ngff_zarr.structural_validation import validate_structural

    path, plan, _ = written
    image = ngff_zarr.from_ome_zarr(str(path), validate=plan.version != "0.2")
    if plan.version in SINCE_4:
        validate_structural(image.metadata, version=plan.version)
    levels = plan.images[-1][1].levels
    assert [tuple(i.data.shape) for i in image.images] == [level.shape for level in levels]
    if plan.version in SINCE_4:
        assert [tuple(i.scale.values()) for i in image.images] == [level.scale for level in levels]


def test_ngff_zarrs_plates_hold(plate: Any) -> None:
    import ngff_zarr
    from ngff_zarr.structural_validation import validate_plate

    path, version = plate
    if version not in SINCE_4:
        pytest.skip("ngff-zarr knows plates from 0.4 on")
    found = ngff_zarr.from_hcs_zarr(str(path), validate=True)
    validate_plate(found.metadata)
    assert found.get_well("A", "1").get_image(1).images[0].data.shape == (2, 33, 32)


# ---- readers


@pytest.mark.sampled(4)
@newest
def test_ome_zarrs_reader_reads_the_same(written: Any) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    path, plan, image = written
    node = next(iter(Reader(parse_url(str(path)))()))
    group, pyramid = next((g, p) for g, p in plan.images if not g.path)
    assert [tuple(level.shape) for level in node.data] == [level.shape for level in pyramid.levels]
    np.testing.assert_array_equal(node.data[0].compute(), image)
    if plan.version in ("0.4", "0.5"):  # Its reader of 0.6 is `OMEZarrMultiscale`; older images have no scales.
        transforms = node.metadata["coordinateTransformations"]
        assert [tuple(t[0]["scale"]) for t in transforms] == [level.scale for level in pyramid.levels]
        assert [axis["name"] for axis in node.metadata["axes"]] == [axis.name for axis in pyramid.axes]
    if group.metadata.omero:
        assert node.metadata["channel_names"] == [channel.label for channel in group.metadata.omero.channels or ()]


@pytest.mark.sampled(4)
@newest
def test_ome_zarrs_classes_read_the_same(written: Any) -> None:
    from ome_zarr import OMEZarrMultiscale

    path, plan, image = written
    if plan.version not in MODELS:
        pytest.skip("its classes know 0.4 to 0.6")
    group, pyramid = next((g, p) for g, p in plan.images if not g.path)
    found = OMEZarrMultiscale.from_ome_zarr(zarr.open_group(path, mode="r"))
    assert [tuple(level.data.shape) for level in found.images] == [level.shape for level in pyramid.levels]
    assert [tuple(level.scale.values()) for level in found.images] == [level.scale for level in pyramid.levels]
    np.testing.assert_array_equal(found.images[0].data, image)
    if group.metadata.omero:
        labels = [channel.label for channel in found.omero.channels]
        assert labels == [channel.label for channel in group.metadata.omero.channels or ()]


@newest
def test_ome_zarrs_reader_reads_plates(plate: Any) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    if plate[1] >= "0.6":
        pytest.skip("its reader of plates asks for axes, which 0.6 and newer have in coordinateSystems")
    nodes = list(Reader(parse_url(str(plate[0])))())
    assert nodes[0].data[0].shape[-2:] == (2 * 33, 3 * 32)


@pytest.mark.sampled(4)
def test_bioio_reads_the_same(written: Any) -> None:
    from bioio_ome_zarr import Reader

    path, plan, image = written
    if plan.version not in ("0.4", "0.5"):
        pytest.skip("bioio-ome-zarr reads 0.4 and 0.5")
    group, pyramid = next((g, p) for g, p in plan.images if not g.path)
    reader = Reader(str(path))
    assert reader.resolution_levels == tuple(range(len(pyramid.levels)))
    np.testing.assert_array_equal(np.squeeze(reader.data), np.squeeze(image))
    sizes = dict(zip((axis.name.upper() for axis in pyramid.axes), pyramid.levels[0].scale, strict=True))
    for axis in "ZYX":
        if axis in sizes:
            assert getattr(reader.physical_pixel_sizes, axis) == sizes[axis]
    if group.metadata.omero:
        assert reader.channel_names == [channel.label for channel in group.metadata.omero.channels]


@pytest.mark.sampled(4)
def test_tensorstore_reads_the_same(written: Any) -> None:
    path, plan, image = written
    driver = {2: "zarr", 3: "zarr3"}[VERSIONS[plan.version].arrays.zarr_format]
    for group, pyramid in plan.images:
        for k, level in enumerate(pyramid.levels):
            at = Path(group.path) / level.path
            spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path / at}/"}}
            found = ts.open(spec).result().read().result()
            whole = k == 0 and not group.path
            np.testing.assert_array_equal(found, image if whole else zarr.open_array(path / at, mode="r")[...])


# ---- what is said


@pytest.mark.sampled(4)
def test_it_says_what_the_plan_says(written: Any) -> None:
    path, plan, _ = written
    for group, _ in plan.images:
        found = said(path / group.path)
        for multiscale in found.get("ome", found).get("multiscales", ()):
            multiscale["metadata"].pop(FINGERPRINT)
        assert found == to_attributes(VERSIONS[plan.version], group.metadata) or group.metadata.omero
    assert not [name for name in contents(path) if ".daskome" in name]
