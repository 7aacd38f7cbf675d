"""What others make of our images: validators they wrote, and readers."""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
import zarr

import daskome

CASES: dict[str, tuple[tuple[int, ...], str, dict[str, Any]]] = {
    "2d": ((65, 64), "yx", {}),
    "3d": ((9, 65, 64), "zyx", {}),
    "channels": ((2, 9, 65, 64), "czyx", {"channels": ["DAPI", "GFP"]}),
    "5d": ((2, 3, 5, 33, 32), "tczyx", {"channels": ["a", "b", "c"]}),
    "nearest": ((9, 65, 64), "zyx", {"method": "nearest"}),
    "sharded": ((9, 65, 64), "zyx", {"storage_options": {"chunks": 8, "shards": 32}}),
}
VERSIONS = ["0.4", "0.5"]


@pytest.fixture(
    params=[(name, fmt) for name in CASES for fmt in VERSIONS if (name, fmt) != ("sharded", "0.4")], ids=str
)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, daskome.Plan, np.ndarray[Any, Any]]:
    name, fmt = request.param
    shape, axes, options = CASES[name]
    image = np.random.default_rng(0).integers(0, 1000, shape).astype("uint16")
    units = {"z": "micrometer", "y": "micrometer", "x": "micrometer", "t": "second"}
    plan = daskome.write_image(
        image, tmp_path / "a.ome.zarr", [2, 4], fmt=fmt, axes=axes, name="cells", scale={"z": 2, "y": 0.5, "x": 0.5} if "z" in axes else None,
        axes_units={a: u for a, u in units.items() if a in axes}, **options,
    )  # fmt: skip
    return tmp_path / "a.ome.zarr", plan, image


def test_yaozarrs_finds_it_valid(written: Any) -> None:
    import yaozarrs

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yaozarrs.validate_zarr_store(str(written[0]))


def test_ngff_zarr_finds_it_valid(written: Any) -> None:
    import ngff_zarr
    from ngff_zarr.structural_validation import validate_structural
    from ngff_zarr.validate import validate

    path, plan, _ = written
    group = zarr.open_group(path, mode="r")
    validate(group.attrs.asdict(), version=plan.version, model="image", strict=True)
    image = ngff_zarr.from_ome_zarr(str(path), validate=True)
    validate_structural(image.metadata, version=plan.version)
    assert [tuple(i.data.shape) for i in image.images] == [level.shape for level in plan.pyramids[0].levels]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr-models needs Python 3.12")
def test_ome_zarr_models_finds_it_valid(written: Any) -> None:
    import ome_zarr_models

    path, plan, _ = written
    found = ome_zarr_models.open_ome_zarr(zarr.open_group(path, mode="r"), version=plan.version)
    assert type(found).__name__ == "Image"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ome-zarr 0.21 needs Python 3.12")
def test_ome_zarrs_reader_reads_the_same(written: Any) -> None:
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    path, plan, image = written
    node = next(iter(Reader(parse_url(str(path)))()))
    levels = plan.pyramids[0].levels
    assert [tuple(level.shape) for level in node.data] == [level.shape for level in levels]
    np.testing.assert_array_equal(node.data[0].compute(), image)
    transforms = node.metadata["coordinateTransformations"]
    assert [tuple(ts_[0]["scale"]) for ts_ in transforms] == [level.scale for level in levels]
    assert [axis["name"] for axis in node.metadata["axes"]] == [axis.name for axis in plan.pyramids[0].axes]
    if plan.groups[0].channels:
        assert node.metadata["channel_names"] == [channel.label for channel in plan.groups[0].channels]


def test_tensorstore_reads_the_same(written: Any) -> None:
    path, plan, image = written
    driver = {"0.4": "zarr", "0.5": "zarr3"}[plan.version]
    group = zarr.open_group(path, mode="r")
    for k, level in enumerate(plan.pyramids[0].levels):
        spec = {"driver": driver, "kvstore": {"driver": "file", "path": f"{path}/{level.path}/"}}
        found = ts.open(spec).result().read().result()
        np.testing.assert_array_equal(found, image if k == 0 else group[level.path][...])
