"""A version of OME-Zarr is one row: whatever differs between versions is asked of it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from daskome.ome.versions import DEFAULT_VERSION, VERSIONS, likely_version, version_of

HOUSE = Path(__file__).parents[2] / "daskome"
PRIVATE = """
from dataclasses import replace
from daskome.ome import versions
versions.VERSIONS["0.7"] = replace(versions.VERSIONS["0.6"], name="0.7", drafts=())

import numpy as np, zarr
import daskome
from daskome.inspection.stored_image import read_pyramid
from daskome.model.problem import errors

image, scale = np.arange(64 * 50, dtype="uint16").reshape(64, 50), {"y": 0.5, "x": 0.25}
store, old = zarr.storage.MemoryStore(), zarr.storage.MemoryStore()
daskome.write_image(image, store, [2], axes="yx", scale=scale, axes_units="micrometer", fmt="0.7", labels={"a": image})
daskome.write_image(image, old, [2], axes="yx", scale=scale, axes_units="micrometer", fmt="0.4")
daskome.convert_metadata(old, "0.7")
for one in (store, old):
    assert zarr.open_group(one, mode="r").attrs["ome"]["version"] == "0.7"
    assert "coordinateSystems" in zarr.open_group(one, mode="r").attrs["ome"]["multiscales"][0]
    assert daskome.verify(one, pixels=True) == errors(daskome.validate(one)) == [], daskome.validate(one)
    assert read_pyramid(one).levels[1].scale == (1.0, 0.5)

group = zarr.open_group(store)
ome = group.attrs["ome"]
for change, problem in [
    ({"version": "0.6rc0"}, "it should be '0.6', that of the release"),
    ({"multiscales": [{**ome["multiscales"][0], "axes": ["y", "x"]}]}, "they stand in coordinateSystems"),
]:
    group.attrs["ome"] = ome | change
    assert problem in "; ".join(map(str, daskome.validate(store))), daskome.validate(store)
"""


WHOLE = """
from dataclasses import replace
from daskome.ome import versions

SINGLE = "coordinateTransformations"

def write(ome):
    "As RFC-8 proposes: an image is a node with its levels as nodes in it, and there are no multiscales."
    ome = dict(ome)
    if "multiscales" not in ome:
        return {**ome, "type": "collection"}
    image = dict(ome.pop("multiscales")[0])
    levels = image.pop("datasets")
    nodes = [{"type": "singlescale", "path": {"type": "zarr", "path": level["path"]},
              "attributes": {SINGLE: level[SINGLE]}} for level in levels]
    return {"type": "multiscale", "name": image.pop("name"), "nodes": nodes, "attributes": image, **ome}

def read(own):
    own = dict(own)
    if own.pop("type", None) != "multiscale":
        return own
    levels = [{"path": node["path"]["path"], **node["attributes"]} for node in own.pop("nodes")]
    image = {"name": own.pop("name"), **own.pop("attributes"), "datasets": levels}
    return {**own, "multiscales": [image]}

document = versions.DocumentForm(write, read)
versions.VERSIONS["1.0"] = replace(versions.VERSIONS["0.9.dev1"], name="1.0", unreleased=False, document=document)

import tempfile
import numpy as np, zarr
import daskome
from daskome.model.problem import errors

image, folder = np.arange(2 * 64 * 50, dtype="uint16").reshape(2, 64, 50), tempfile.mkdtemp()
described = {"axes": "cyx", "scale": {"y": 0.5, "x": 0.25}, "axes_units": "micrometer", "orientation": {"x": "R"}}
pyramid = {**described, "channels": ["a", "b"], "labels": {"cells": image}}
new, old, copy, plate = (f"{folder}/{name}.zarr" for name in ("new", "old", "copy", "plate"))
daskome.write_image(image, new, [2], fmt="1.0", **pyramid)
daskome.write_image(image, old, [2], fmt="0.4", **pyramid)
daskome.convert_metadata(old, "1.0")
daskome.transcode(new, copy)
daskome.write_plate({"A/1": [image, image], "B/2": image}, plate, [2], fmt="1.0", **described)
for one in (new, old, copy):
    ome = zarr.open_group(one, mode="r").attrs["ome"]
    assert (ome["version"], ome["type"], len(ome["nodes"])) == ("1.0", "multiscale", 2), ome
    assert "multiscales" not in ome and "datasets" not in str(ome)
    assert daskome.verify(one, pixels=True) == errors(daskome.validate(one)) == [], daskome.validate(one)
    found = daskome.open(one)
    assert found.scale == {"c": 1, "y": 0.5, "x": 0.25} and found.orientations == {"x": "left-to-right"}
    assert [c.label for c in found.channels] == ["a", "b"] and list(found.labels) == ["cells"]
    assert np.array_equal(found.labels["cells"].dask.compute(), image) and found.levels[1].shape == (2, 32, 25)
assert daskome.verify(plate, pixels=True) == errors(daskome.validate(plate)) == []
assert sorted(daskome.open(plate).wells) == ["A/1", "B/2"]

daskome.add_levels(new, [4])
assert len(zarr.open_group(new, mode="r").attrs["ome"]["nodes"]) == 3
try:
    daskome.write_image(image, new, [2], **described)
    raise AssertionError("an image was replaced")
except FileExistsError:
    daskome.write_image(image, new, [2], overwrite=True, fmt="1.0", **described)
assert "labels/cells: OME-Zarr 1.0 to 0.5" in daskome.convert_metadata(copy, "0.5")
assert daskome.verify(copy, pixels=True) == errors(daskome.validate(copy)) == []
assert set(zarr.open_group(copy, mode="r").attrs["ome"]) == {"version", "multiscales", "omero"}
"""


@pytest.mark.extended
@pytest.mark.parametrize("script", [PRIVATE, WHOLE], ids=["parts", "whole"])
def test_a_row_makes_a_version(script: str) -> None:
    """In a process of its own, as the tables of rules are made when they are imported."""
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr


def strings_compared(tree: ast.AST) -> list[str]:
    """Return the constants in comparisons of a module."""
    operands = [
        operand
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        for operand in ast.walk(side)
    ]
    return [operand.value for operand in operands if isinstance(operand, ast.Constant) and operand.value in VERSIONS]


@pytest.mark.parametrize("path", sorted(HOUSE.rglob("*.py")), ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_no_version_is_compared_by_name(path: Path) -> None:
    assert strings_compared(ast.parse(path.read_text("utf-8"))) == []


def test_preferred_versions() -> None:
    """One for each zarr format, and the default among them."""
    assert [version_of(zarr_format) for zarr_format in (2, 3)] == [VERSIONS["0.4"], VERSIONS["0.5"]]
    assert [version.name for version in VERSIONS.values() if version.preferred] == ["0.4", "0.5"]
    assert DEFAULT_VERSION.preferred


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, "0.4"),
        ({"plate": {}}, "0.4"),
        ({"multiscales": []}, "0.4"),
        ({"multiscales": [{"datasets": []}]}, "0.2"),
        ({"multiscales": [{"axes": "yx"}]}, "0.2"),
        ({"multiscales": [{"coordinateSystems": []}]}, "0.2"),
        ({"multiscales": [{"axes": ["y", "x"]}]}, "0.3"),
        ({"multiscales": [{"axes": []}]}, "0.4"),
        ({"multiscales": [{"axes": [{"name": "y"}, {"name": "x"}]}]}, "0.4"),
        ({"ome": {}}, "0.5"),
        ({"ome": 3}, "0.5"),
        ({"ome": {"multiscales": [{"datasets": []}]}}, "0.5"),
        ({"ome": {"multiscales": [{"axes": ["y", "x"]}]}}, "0.5"),
        ({"ome": {"multiscales": [{"axes": [{"name": "y"}]}]}}, "0.5"),
        ({"ome": {"multiscales": [{"coordinateSystems": []}]}}, "0.6"),
    ],
    ids=str,
)
def test_what_attributes_without_a_version_look_like(attributes: dict[str, object], expected: str) -> None:
    assert likely_version(attributes).name == expected
