"""The names of ome_zarr.format: what they say is what ome_zarr's say, where the specification lets them."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from daskome.format import (
    CurrentFormat,
    Format,
    FormatV01,
    FormatV04,
    FormatV05,
    FormatV06,
    detect_format,
    format_from_version,
    format_implementations,
)
from daskome.ome.versions import VERSIONS, find_version

FORMATS = list(format_implementations())
formats = pytest.mark.parametrize("fmt", FORMATS, ids=repr)
AGAINST = ["0.1", "0.2", "0.3", "0.4", "0.5"]
against = pytest.mark.parametrize("version", AGAINST)
SHAPES = [(10, 64, 48), (10, 32, 24), (5, 16, 12)]


def theirs(version: str) -> Any:
    return pytest.importorskip("ome_zarr.format").format_from_version(version)


def test_there_is_a_format_for_every_version() -> None:
    assert sorted(fmt.version for fmt in FORMATS) == sorted(VERSIONS)
    assert [fmt.version for fmt in FORMATS] == sorted(VERSIONS, reverse=True)
    assert CurrentFormat is FormatV05


@formats
def test_a_format_is_a_version_wherever_one_is_asked_for(fmt: Format) -> None:
    assert find_version(fmt).name == fmt.version
    assert find_version(fmt).arrays.zarr_format == fmt.zarr_format
    assert format_from_version(fmt.version) == fmt
    if fmt.version.count(".") == 1:
        assert format_from_version(float(fmt.version)) == fmt


def test_equal_are_those_of_a_version() -> None:
    for a, b in itertools.product(FORMATS, repeat=2):
        assert (a == b) == (a.version == b.version)
    assert len({FormatV04(), FormatV04(), FormatV05()}) == 2
    assert FormatV04() != "0.4"
    assert repr(FormatV04()) == "FormatV04"


@against
def test_what_ome_zarr_says(version: str) -> None:
    ours, their = format_from_version(version), theirs(version)
    assert ours.zarr_format == their.zarr_format
    assert ours.chunk_key_encoding == their.chunk_key_encoding
    assert repr(ours) == repr(their)
    well = "A/2"
    assert ours.generate_well_dict(well, ["A"], ["1", "2"]) == their.generate_well_dict(well, ["A"], ["1", "2"])
    assert ours.generate_coordinate_transformations(SHAPES) == their.generate_coordinate_transformations(SHAPES)
    assert ours.init_channels() is None


@pytest.mark.parametrize("version", ["0.9", "x", None, 4])
def test_unknown_versions(version: Any) -> None:
    with pytest.raises(ValueError, match="unknown OME-Zarr version"):
        format_from_version(version)


@pytest.mark.parametrize("key", ["multiscales", "plate", "well", "image-label"])
@formats
def test_detection(fmt: Format, key: str) -> None:
    part: Any = {"version": fmt.version}
    attributes = {key: [part] if key == "multiscales" else part}
    assert fmt.matches(attributes)
    assert detect_format(attributes, FormatV01() if fmt != FormatV01() else FormatV06()) == fmt
    assert detect_format({"ome": {"version": fmt.version, key: {}}}, FormatV01()) == fmt


@pytest.mark.parametrize(
    "attributes", [{}, {"multiscales": []}, {"plate": {}}, {"multiscales": [{}]}, {"ome": {"version": 1}}]
)
def test_what_states_no_version_is_the_default(attributes: Any) -> None:
    assert detect_format(attributes, FormatV04()) == FormatV04()


@formats
@pytest.mark.parametrize("as_url", [False, True])
def test_stores(fmt: Format, as_url: bool, tmp_path: Path) -> None:
    path = str(tmp_path / "a.zarr")
    group = zarr.open_group(fmt.init_store(f"file://{path}" if as_url else path, mode="w"), zarr_format=fmt.zarr_format)
    group.create_array("0", data=np.zeros((4, 4)), chunk_key_encoding=fmt.chunk_key_encoding)
    store = fmt.init_store(path)
    assert store.read_only
    assert zarr.open_group(store, mode="r")["0"].shape == (4, 4)


@formats
@pytest.mark.parametrize("well", [{}, {"path": 1}, {"path": "A/1", "rowIndex": "0", "columnIndex": 0}])
def test_wells_of_wrong_types(fmt: Format, well: Any) -> None:
    if fmt.version < "0.4" and well.get("path") == "A/1":
        return
    with pytest.raises(TypeError, match=r"needs '(path|rowIndex)', a \w+ \(section 'plate'\)"):
        fmt.validate_well_dict(well, ["A"], ["1"])


@pytest.mark.parametrize(
    ("well", "message"),
    [
        ({"path": "A/3", "rowIndex": 0, "columnIndex": 2}, "'A/3' must be one of rows"),
        ({"path": "C/1", "rowIndex": 2, "columnIndex": 0}, "'C/1' must be one of rows"),
        ({"path": "A", "rowIndex": 0, "columnIndex": 0}, "a slash"),
        ({"path": "A/1/0", "rowIndex": 0, "columnIndex": 0}, "a slash"),
        ({"path": "A/2", "rowIndex": 0, "columnIndex": 0}, "its indices must be those of its path"),
    ],
)
def test_wells_that_contradict_themselves(well: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FormatV04().validate_well_dict(well, ["A", "B"], ["1", "2"])


@formats
def test_what_is_generated_is_valid(fmt: Format) -> None:
    fmt.validate_well_dict(fmt.generate_well_dict("B/1", ["A", "B"], ["1"]), ["A", "B"], ["1"])
    fmt.validate_coordinate_transformations(3, 3, fmt.generate_coordinate_transformations(SHAPES))


SCALE, MOVE = {"type": "scale", "scale": [1, 2]}, {"type": "translation", "translation": [0, 0.5]}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, ValueError, "None coordinate transformations for 1 levels"),
        ([[SCALE], [SCALE]], ValueError, "2 coordinate transformations for 1 levels"),
        ([[]], ValueError, "must be a scale, then at most a translation"),
        ([[MOVE, SCALE]], ValueError, "must be a scale, then"),
        ([[SCALE, MOVE, MOVE]], ValueError, "must be a scale, then"),
        ([[{"scale": [1, 2]}]], ValueError, "must be a scale, then"),
        ([[{"type": "scale"}]], ValueError, "scale None must have one value for each of 2 axes"),
        ([[{"type": "scale", "scale": [1, 2, 3]}]], ValueError, r"scale \[1, 2, 3\] must have one value"),
        ([[SCALE, {**MOVE, "translation": [1]}]], ValueError, r"translation \[1\] must have one"),
        ([[{"type": "scale", "scale": ["1", 2]}]], TypeError, r"must be numbers \(section 'multiscales'\)"),
    ],
)
def test_transformations_that_can_not_be(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        FormatV04().validate_coordinate_transformations(2, 1, given)
    their = theirs("0.4")
    with pytest.raises((error, ValueError, TypeError)):
        their.validate_coordinate_transformations(2, 1, given)


def test_transformations_that_can() -> None:
    for level in ([SCALE], [SCALE, MOVE]):
        FormatV05().validate_coordinate_transformations(2, 1, [level])
    FormatV01().validate_coordinate_transformations(2, 1, None)
