"""Laws of `daskome.ome.metadata`: what is written is what the specification says, and comes back the same."""

import json
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from daskome._version import __version__
from daskome.kernels.methods import METHODS
from daskome.model.axes import Axis, parse_axes
from daskome.model.image import Image
from daskome.model.pyramid import Pyramid, image_pyramid
from daskome.model.storage.layout import ZARR_V2, ZARR_V2_FLAT, ZARR_V3
from daskome.ome.detect import ome_keys, version_in
from daskome.ome.image_label import ImageLabel, parse_image_label
from daskome.ome.metadata import CoordinateSystem, Dataset, Metadata, Multiscale, image_metadata
from daskome.ome.omero import Channel, Omero
from daskome.ome.plate import Field, Plate, PlateWell, Well, parse_plate, parse_well
from daskome.ome.read import merged, read_metadata, read_multiscale
from daskome.ome.rules.walk import find_problems
from daskome.ome.versions import DEFAULT_VERSION, VERSIONS, find_version, likely_version, unsupported, version_of
from daskome.ome.write import to_attributes
from tests.strategies import factors, images, law, methods

JSON = dict[str, Any]
every = pytest.mark.parametrize("version", list(VERSIONS))
both = pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
NAMES = list(VERSIONS)


def cells(version: str = "0.5", **changes: Any) -> Pyramid:
    """Return the pyramid of the hand-written documents: zyx, or tczyx where that must be."""
    image = Image((4, 64, 65), "uint16", parse_axes("zyx", 3, "um"), (2.0, 0.5, 0.5), (0.0,) * 3, "cells.tif")
    if VERSIONS[version].every_axis:
        axes = (*parse_axes("tc", 2), *image.axes)
        image = replace(
            image, shape=(1, 1, 4, 64, 65), axes=axes, scale=(1.0, 1.0, 2.0, 0.5, 0.5), translation=(0.0,) * 5
        )
    image = replace(image, **changes)
    return image_pyramid(image, METHODS["mean"], [{"y": 2, "x": 2}], None, VERSIONS[version].arrays)


AXES: JSON = {name: {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"}
SCALES = [[2.0, 0.5, 0.5], [2.0, 1.0, 1.0]]
SHIFT = [0.0, 0.25, 0.25]
STEPS = [
    [{"type": "scale", "scale": SCALES[0]}],
    [{"type": "scale", "scale": SCALES[1]}, {"type": "translation", "translation": SHIFT}],
]
DAPI = Channel("DAPI", "0000FF", (0, 65535, 0, 1500))
OMERO: JSON = {
    "id": 1,
    "name": "cells.tif",
    "channels": [
        {
            "label": "DAPI",
            "color": "0000FF",
            "active": True,
            "coefficient": 1,
            "family": "linear",
            "inverted": False,
            "window": {"min": 0, "max": 65535, "start": 0, "end": 1500},
        }
    ],
    "rdefs": {"defaultT": 0, "defaultZ": 2, "model": "greyscale"},
}
SHOWN = Omero((DAPI,), {key: value for key, value in OMERO.items() if key != "channels"})
LABEL: JSON = {
    "colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}],
    "properties": [{"label-value": 1, "area": 256}],
    "source": {"image": "../../"},
}
PLATE: JSON = {
    "name": "plate",
    "field_count": 1,
    "acquisitions": [{"id": 0, "name": "day 1", "maximumfieldcount": 1}],
    "rows": [{"name": "A"}, {"name": "B"}],
    "columns": [{"name": "1"}, {"name": "2"}],
}
WELL: JSON = {"images": [{"path": "0", "acquisition": 0}]}


def how(window: str, **factors: int) -> JSON:
    """Return what is said of how the hand-written image was made."""
    return {
        "description": f"mean of {window} windows",
        "method": "daskome.scale.mean",
        "version": __version__,
        "kwargs": {"scale_factors": [factors]},
    }


def kept(*names: str) -> JSON:
    """Return where 0.1 to 0.3 keep axes and scales."""
    extra, front = [{"name": n, "type": t} for n, t in (("t", "time"), ("c", "channel")) if n in names], len(names) - 3
    steps = [[{**t, t["type"]: [float(t["type"] == "scale")] * front + t[t["type"]]} for t in step] for step in STEPS]
    return {"coordinates": {"axes": [*extra, *AXES.values()], "coordinateTransformations": steps}}


BARE = {"datasets": [{"path": "s0"}, {"path": "s1"}]}
PLACED = {"datasets": [{"path": f"s{k}", "coordinateTransformations": step} for k, step in enumerate(STEPS)]}
LINKS = [{"input": {"path": f"s{k}"}, "output": {"name": "physical"}} for k in (0, 1)]
LINKED = {
    "datasets": [
        {"path": "s0", "coordinateTransformations": [{**STEPS[0][0], **LINKS[0]}]},
        {"path": "s1", "coordinateTransformations": [{"type": "sequence", "transformations": STEPS[1], **LINKS[1]}]},
    ]
}
ALL = {"name": "cells.tif", "type": "mean"}
MADE = how("1x2x2", z=1, y=2, x=2)
MADE5 = how("1x1x1x2x2", t=1, c=1, z=1, y=2, x=2)
MULTISCALES: Mapping[str, JSON] = {
    "0.1": {**ALL, "metadata": {**MADE5, **kept(*"tczyx")}, **BARE},
    "0.2": {**ALL, "metadata": {**MADE5, **kept(*"tczyx")}, **BARE},
    "0.3": {**ALL, "metadata": {**MADE, **kept(*"zyx")}, "axes": ["z", "y", "x"], **BARE},
    "0.4": {**ALL, "metadata": MADE, "axes": list(AXES.values()), **PLACED},
    "0.5": {**ALL, "metadata": MADE, "axes": list(AXES.values()), **PLACED},
    "0.6": {
        **ALL,
        "metadata": MADE,
        "coordinateSystems": [{"name": "physical", "axes": list(AXES.values())}],
        **LINKED,
    },
}
MULTISCALES = {**MULTISCALES, "0.9.dev1": json.loads(json.dumps(MULTISCALES["0.6"]))}
INDEXED = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0}, {"path": "B/2", "rowIndex": 1, "columnIndex": 1}]
WELLS = {name: INDEXED if name > "0.3" else [{"path": "A/1"}, {"path": "B/2"}] for name in NAMES}


def stating(name: str, found: JSON, also: bool = False) -> JSON:
    """Return an object with its version, in those versions that state it there."""
    return {"version": name, **found} if name < "0.5" or (also and name == "0.5") else found


def rooted(name: str, found: JSON) -> JSON:
    """Return what stands under ``ome`` from 0.5 on."""
    return {"ome": {"version": name, **found}} if name >= "0.5" else found


def document(name: str, kind: str) -> JSON:
    """Return what the specification has, written by hand."""
    image = {"multiscales": [stating(name, MULTISCALES[name])]}
    beside = {"_ARRAY_DIMENSIONS": ["z", "y", "x"]} if name == "0.3" else {}
    parts: JSON = {
        "image": {**image, "omero": stating(name, OMERO)},
        "label": {**image, "image-label": stating(name, LABEL, also=True)},
        "labels": {"labels": ["nuclei"]},
        "plate": {"plate": stating(name, {**PLATE, "wells": WELLS[name]}, also=True)},
        "well": {"well": stating(name, WELL, also=True)},
        "bioformats2raw": {"bioformats2raw.layout": 3},
        "series": {"series": ["0", "1"]},
    }
    return {**(beside if kind in ("image", "label") else {}), **rooted(name, parts[kind])}


def metadata(name: str, kind: str) -> Metadata:
    """Return the same as nouns."""
    pyramid = cells(name)
    return {
        "image": image_metadata(pyramid, SHOWN),
        "label": image_metadata(pyramid, None, parse_image_label(LABEL["colors"], LABEL["properties"])),
        "labels": Metadata(labels=("nuclei",)),
        "plate": Metadata(plate=parse_plate("AB", "12", ["A/1", "B/2"], PLATE["acquisitions"], 1, "plate")),
        "well": Metadata(well=parse_well([{"path": "0", "acquisition": 0}])),
        "bioformats2raw": Metadata(layout=3),
        "series": Metadata(series=("0", "1")),
    }[kind]


KINDS = ["image", "label", "labels", "plate", "well", "bioformats2raw", "series"]
kinds = pytest.mark.parametrize("kind", KINDS)


# ---- what is written


@every
@kinds
def test_each_is_written_as_by_hand(version: str, kind: str) -> None:
    found = to_attributes(VERSIONS[version], metadata(version, kind))
    assert found == document(version, kind)
    assert json.dumps(found, sort_keys=True) == json.dumps(document(version, kind), sort_keys=True)


@every
@kinds
def test_each_comes_back_as_it_was(version: str, kind: str) -> None:
    found = document(version, kind)
    assert read_metadata(found) == metadata(version, kind)
    assert to_attributes(VERSIONS[version], read_metadata(found)) == found


@every
@kinds
def test_our_rules_take_what_is_written(version: str, kind: str) -> None:
    if kind not in ("bioformats2raw", "series") or version >= "0.4":
        assert [str(problem) for problem in find_problems(document(version, kind), version)] == []


@every
@pytest.mark.parametrize("kind", ["image", "label", "plate", "well"])
def test_schemas_of_others_take_what_is_written(version: str, kind: str) -> None:
    validate = pytest.importorskip("ngff_zarr.validate").validate
    if kind == "label" and version < "0.4":
        pytest.skip("there is no schema of label images before 0.4")
    strict = version >= "0.4" or (kind == "image" and version != "0.2")
    validate(document(version, kind), version=version, model=kind, strict=strict)


@every
def test_schemas_find_what_is_wrong(version: str) -> None:
    validate = pytest.importorskip("ngff_zarr.validate").validate
    wrong = document(version, "image")
    del wrong.get("ome", wrong)["multiscales"][0]["datasets"]
    with pytest.raises(pytest.importorskip("jsonschema").ValidationError):
        validate(wrong, version=version, model="image")


@every
def test_without_channels_there_is_no_omero(version: str) -> None:
    found = to_attributes(VERSIONS[version], image_metadata(cells(version)))
    assert "omero" not in found.get("ome", found)


@pytest.mark.parametrize("kind", ["image", "label"])
@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_what_old_versions_cannot_store_is_told_and_kept(version: str, kind: str) -> None:
    (multiscale,) = metadata(version, kind).multiscales
    assert unsupported(VERSIONS[version], multiscale) == [
        "scale (z=2, y=0.5, x=0.5)", "unit (z=micrometer, y=micrometer, x=micrometer)"
    ]  # fmt: skip
    assert read_metadata(document(version, kind)).multiscales == (multiscale,)


@both
def test_new_versions_lose_nothing(version: str) -> None:
    assert unsupported(VERSIONS[version], metadata(version, "image").multiscales[0]) == []


def test_nothing_is_lost_that_was_not_said() -> None:
    plain = cells("0.3", scale=(1.0,) * 3, axes=parse_axes("zyx", 3))
    assert unsupported(VERSIONS["0.3"], image_metadata(plain).multiscales[0]) == []


def test_axes_have_no_empty_keys() -> None:
    image = Image((2, 2, 8, 8), "uint8", parse_axes("tcyx", 4), (1.0,) * 4, (0.0,) * 4)
    pyramid = image_pyramid(image, METHODS["mean"], None, None, ZARR_V3)
    found = to_attributes(VERSIONS["0.5"], image_metadata(pyramid))["ome"]
    assert found["multiscales"][0]["axes"] == [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]
    assert found["multiscales"][0]["metadata"]["description"] == "one level, not downsampled"


@pytest.mark.parametrize(
    ("method", "translation"), [("mean", True), ("mode", True), ("gaussian", True), ("nearest", False)]
)
def test_a_translation_of_zeros_is_left_out(method: str, translation: bool) -> None:
    image = Image((8, 8), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
    pyramid = image_pyramid(image, METHODS[method], [2], None, ZARR_V3)
    datasets = to_attributes(VERSIONS["0.5"], image_metadata(pyramid))["ome"]["multiscales"][0]["datasets"]
    found = [[transform["type"] for transform in dataset["coordinateTransformations"]] for dataset in datasets]
    assert found == [["scale"], ["scale", "translation"] if translation else ["scale"]]


# ---- there and back

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
rests = st.dictionaries(st.from_regex(r"x_[a-z]{1,3}", fullmatch=True), json_values, max_size=2)
some = st.fixed_dictionaries({"x_some": json_values}, optional={"x_more": json_values})
numbers = st.integers(-(2**60), 2**60) | st.floats(-1e30, 1e30)
positive = st.integers(1, 2**60) | st.floats(1e-9, 1e30)
names = st.text(max_size=5)
channels = st.builds(
    Channel,
    st.none() | names,
    st.none() | st.from_regex(r"[0-9A-F]{6}", fullmatch=True),
    st.none() | st.tuples(*[numbers] * 4),
    st.none() | st.booleans(),
    rests,
)
omeros = st.builds(Omero, st.none() | st.lists(channels, max_size=3).map(tuple), rests)
values = st.lists(st.fixed_dictionaries({"label-value": st.integers()}, optional={"x": json_values}), max_size=3).map(
    tuple
)
image_labels = st.builds(
    ImageLabel, st.none() | values, st.none() | values, st.none() | st.fixed_dictionaries({"image": names}), rests
)
wells = st.builds(
    Well, st.lists(st.builds(Field, names, st.none() | st.integers(0, 9), rests), max_size=3).map(tuple), rests
)


@st.composite
def multiscales(draw: st.DrawFn, version: str) -> Multiscale:
    """Draw a multiscale as a version can have it, of any axes and scales."""
    row = VERSIONS[version]
    ndim = len(row.every_axis) or draw(st.integers(2, 5))
    own = [axis.name for axis in row.every_axis] or list("tczyx"[-ndim:])
    stated = draw(st.booleans()) or version >= "0.4"
    vectors = st.lists(positive, min_size=ndim, max_size=ndim).map(tuple)
    units = st.none() | st.sampled_from(["micrometer", "second"])
    types = st.sampled_from(["space", "time", "channel"])
    axes = [
        Axis(name, draw(types) if stated else None, draw(units) if stated else None, draw(rests) if stated else {})
        for name in own
    ]
    scales = st.just(None) if not stated else (st.none() | vectors if version >= "0.6" else vectors)
    datasets = []
    for k in range(draw(st.integers(1, 3))):
        scale = draw(scales)
        datasets.append(Dataset(f"s{k}", scale, draw(st.none() | vectors) if scale else None, draw(rests)))
    systems = [CoordinateSystem("physical", tuple(axes))]
    intrinsic = 0
    if version >= "0.6":
        systems = [CoordinateSystem(f"{i}", tuple(axes), draw(rests)) for i in range(draw(st.integers(1, 3)))]
        intrinsic = draw(st.integers(0, len(systems) - 1))
    said = (draw(st.none() | names), draw(st.none() | names), draw(st.none() | some))
    return Multiscale(tuple(datasets), tuple(systems), *said, intrinsic, draw(rests))


@st.composite
def plates(draw: st.DrawFn) -> Plate:
    """Draw a plate; a well says nothing of its row and column besides its path."""
    rows, columns = (tuple(draw(st.lists(st.sampled_from(s), unique=True, max_size=3))) for s in ("ABC", "123"))
    paths = st.sampled_from([f"{row}/{column}" for row in "ABC" for column in "123"])
    listed = draw(st.lists(st.builds(PlateWell, paths, rests), max_size=3))
    acquisitions = draw(st.none() | st.lists(st.fixed_dictionaries({"id": st.integers()}), max_size=2).map(tuple))
    return Plate(
        rows,
        columns,
        tuple(listed),
        draw(st.none() | names),
        draw(st.none() | st.integers()),
        acquisitions,
        draw(rests),
    )


@st.composite
def said(draw: st.DrawFn) -> tuple[str, Metadata]:
    """Draw a version, and what a group can say in it."""
    version = draw(st.sampled_from(NAMES))
    return version, Metadata(
        tuple(draw(st.lists(multiscales(version), min_size=1, max_size=2))),
        draw(st.none() | omeros),
        draw(st.none() | image_labels),
        draw(st.none() | st.lists(names, max_size=2).map(tuple)),
        draw(st.none() | plates()),
        draw(st.none() | wells),
        draw(st.none() | st.integers(0, 9)),
        draw(st.none() | st.lists(names, max_size=2).map(tuple)),
    )


@pytest.mark.extended
@law(max_examples=300)
@given(drawn=said())
def test_nouns_come_back_from_every_version_as_they_were(drawn: tuple[str, Metadata]) -> None:
    version, nouns = drawn
    text = json.dumps(to_attributes(VERSIONS[version], nouns), allow_nan=False)
    found = json.loads(text)
    assert read_metadata({"other": 1, **found}) == read_metadata(found)
    assert json.dumps(to_attributes(VERSIONS[version], read_metadata(found)), sort_keys=True) == json.dumps(
        json.loads(text), sort_keys=True
    )
    assert json.loads(json.dumps(to_attributes(VERSIONS[version], nouns))) == found
    assert read_metadata(found) == nouns


@pytest.mark.extended
@law(max_examples=300)
@given(drawn=said(), data=st.data())
def test_documents_come_back_whatever_they_leave_out(drawn: tuple[str, Metadata], data: st.DataObject) -> None:
    """Versions that are stated or not, keys that are there or not: all is given back."""
    version, nouns = drawn
    found = json.loads(json.dumps(to_attributes(VERSIONS[version], nouns)))
    objects = [o for o in holders(found.get("ome", found)) if any(key in o for key in OPTIONAL)]
    for item in objects:
        for key in [key for key in OPTIONAL if key in item and item is not found.get("ome", found)]:
            if data.draw(st.booleans()):
                del item[key]
    if version_in(found) == version:
        assert to_attributes(VERSIONS[version], read_metadata(found)) == found


OPTIONAL = ("version", "name", "type", "metadata", "omero", "color", "window", "field_count")


def holders(found: Any) -> list[JSON]:
    """Return all objects in a document but those that hold axes or scales."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
    below = [
        item
        for key, value in (found.items() if isinstance(found, dict) else enumerate(inner))
        if key not in ("axes", "coordinateSystems", "coordinateTransformations", "metadata", "rows", "columns")
        for item in holders(value)
    ]
    return [*([found] if isinstance(found, dict) else []), *below]


@st.composite
def pyramids(draw: st.DrawFn) -> Pyramid:
    """Draw a pyramid of any axes, units, factors and method."""
    image = draw(images(units=draw(st.sampled_from([None, "micrometer", "nm"]))))
    image = replace(image, name=draw(st.text(min_size=1, max_size=5)))
    return image_pyramid(image, METHODS[draw(methods)], draw(factors(image)), None, ZARR_V3)


@law(max_examples=60)
@given(pyramid=pyramids(), version=st.sampled_from(["0.4", "0.5", "0.6"]))
def test_levels_stand_where_they_are(pyramid: Pyramid, version: str) -> None:
    validate = pytest.importorskip("ngff_zarr.validate").validate
    written = json.loads(json.dumps(to_attributes(VERSIONS[version], image_metadata(pyramid)), allow_nan=False))
    validate(written, version=version, model="image", strict=True)
    found = read_multiscale(written)
    assert (found.name, found.method, found.axes) == (pyramid.name, pyramid.method.name, pyramid.axes)
    assert [level.path for level in found.placed] == [level.path for level in pyramid.levels]
    assert [level.scale for level in found.placed] == [level.scale for level in pyramid.levels]
    assert [level.translation for level in found.placed] == [level.translation for level in pyramid.levels]


def test_units_and_other_types_come_back() -> None:
    axes = parse_axes(
        [{"name": "lifetime", "type": "lifetime"}, {"name": "y", "unit": "nm", "longName": "row"}, "x"], 3
    )
    image = Image((2, 8, 8), "uint8", axes, (1.0,) * 3, (0.0,) * 3)
    pyramid = image_pyramid(image, METHODS["mean"], None, None, ZARR_V3)
    assert read_multiscale(to_attributes(VERSIONS["0.4"], image_metadata(pyramid))).axes == axes


SCATTERED: JSON = {
    "path": "a",
    "coordinateTransformations": [
        {"type": "scale", "scale": [2]},
        {"type": "translation", "translation": [3]},
        {"type": "identity"},
    ],
}


@pytest.mark.parametrize(
    ("found", "version", "axes", "placed"),
    [
        (
            {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}], "version": "0.3"}]},
            "0.3",
            (Axis("y", "space"), Axis("x", "space")),
            [("0", (1.0, 1.0), (0.0, 0.0))],
        ),
        ({"multiscales": [{"axes": [{"name": "q"}], "datasets": []}]}, "0.4", (Axis("q"),), []),
        (
            {
                "multiscales": "older",
                "ome": {"version": "0.5", "multiscales": [{"axes": ["x"], "datasets": [SCATTERED]}]},
            },
            "0.5",
            (Axis("x", "space"),),
            [("a", (2.0,), (3.0,))],
        ),
        (
            {
                "multiscales": [
                    {
                        "axes": [{"name": "x", "type": "space"}],
                        "datasets": [SCATTERED],
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [10]},
                            {"type": "translation", "translation": [1]},
                        ],
                    }
                ]
            },
            "0.4",
            (Axis("x", "space"),),
            [("a", (20.0,), (31.0,))],
        ),
        (
            {
                "ome": {
                    "version": "0.9.dev1",
                    "multiscales": [
                        {
                            "coordinateSystems": [
                                {"name": "other", "axes": [{"name": "i"}]},
                                {"name": "world", "axes": [{"name": "x", "type": "space"}]},
                            ],
                            "datasets": [
                                {
                                    "path": "a",
                                    "coordinateTransformations": [
                                        {
                                            "type": "sequence",
                                            "output": {"name": "world"},
                                            "transformations": SCATTERED["coordinateTransformations"],
                                        }
                                    ],
                                }
                            ],
                        }
                    ],
                }
            },
            "0.9.dev1",
            (Axis("x", "space"),),
            [("a", (2.0,), (3.0,))],
        ),
    ],
)
def test_what_others_write_is_read(found: JSON, version: str, axes: Any, placed: Any) -> None:
    multiscale = read_multiscale(found)
    assert (version_in(found) or likely_version(found).name) == version
    assert multiscale.axes == axes
    assert [(level.path, level.scale, level.translation) for level in multiscale.placed] == placed


def without(found: JSON, *path: Any) -> JSON:
    """Return a copy of attributes that lacks something."""
    copy = json.loads(json.dumps(found))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return copy


IMAGE4, IMAGE5 = document("0.4", "image"), document("0.5", "image")


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "the group has no multiscales metadata: it is not an OME-Zarr image, or an unfinished one"),
        ({"daskome": {"unfinished": True}}, "no multiscales"),
        ({"multiscales": []}, "no multiscales"),
        ({"ome": {}}, "no multiscales"),
        ({"ome": "0.5"}, "no multiscales"),
        ({"ome": None}, "no multiscales"),
        (without(IMAGE4, "multiscales", 0, "axes"), "of version 0.4 cannot be read"),
        (without(IMAGE4, "multiscales", 0, "datasets"), "of version 0.4 cannot be read"),
        (without(IMAGE5, "ome", "multiscales", 0, "axes"), "of version 0.5 cannot be read"),
        (without(IMAGE4, "multiscales", 0, "axes", 1, "name"), "cannot be read"),
        (without(IMAGE4, "multiscales", 0, "datasets", 1, "path"), "cannot be read"),
        (
            without(document("0.6", "image"), "ome", "multiscales", 0, "coordinateSystems"),
            "of version 0.6 cannot be read",
        ),
        ({"ome": {"version": "0.6", "multiscales": [{"coordinateSystems": [], "datasets": []}]}}, "cannot be read"),
        ({"multiscales": [{"axes": [1], "datasets": []}]}, "cannot be read"),
        ({"multiscales": [{"axes": ["x"], "datasets": [7]}]}, "cannot be read"),
        ({"multiscales": [{"axes": ["x"], "datasets": []}], "omero": "grey"}, "omero: is 'grey'; it must be an object"),
        ({"multiscales": ["x"]}, "cannot be read"),
        ({"multiscales": {"axes": []}}, "cannot be read"),
        ({"multiscales": 5}, "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_a_value_error(found: JSON, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_multiscale(found)


@pytest.mark.parametrize(
    "found",
    [
        {"plate": 5}, {"plate": {}}, {"plate": {"rows": [], "columns": [], "wells": [{}]}}, {"well": []}, {"well": {}},
        {"well": {"images": [{}]}}, {"labels": "a"}, {"series": 5}, {"image-label": 3}, {"plate": {"rows": ["A"]}},
    ],
)  # fmt: skip
def test_other_kinds_that_cannot_be_read(found: JSON) -> None:
    with pytest.raises(ValueError):
        read_metadata(found)


def test_what_a_group_is() -> None:
    assert ome_keys(IMAGE4) == ["multiscales", "omero"]
    assert ome_keys(IMAGE5) == ["multiscales", "omero"]
    assert ome_keys({"daskome": 1}) == []
    assert [ome_keys(document("0.5", kind)) for kind in KINDS[2:]] == [
        ["labels"], ["plate"], ["well"], ["bioformats2raw.layout"], ["series"]
    ]  # fmt: skip


@every
def test_lists_of_labels_and_wells_grow(version: str) -> None:
    row = VERSIONS[version]
    labels = merged(to_attributes(row, Metadata(labels=("a", "b"))), Metadata(labels=("b", "c")))
    assert labels.labels == ("a", "b", "c")
    old = to_attributes(row, Metadata(plate=parse_plate("AC", ["1"], ["A/1"], [{"id": 0}], 4, "p")))
    plate = merged({"other": 1, **old}, Metadata(plate=parse_plate("B", ["1", "10"], ["B/10"], [{"id": 1}], 2))).plate
    assert plate is not None
    assert (plate.rows, plate.columns, plate.name, plate.field_count) == (("A", "B", "C"), ("1", "10"), "p", 4)
    assert [well.path for well in plate.wells] == ["A/1", "B/10"]
    assert [a["id"] for a in plate.acquisitions or ()] == [0, 1]


# ---- versions


@pytest.mark.parametrize(
    "fmt", ["0.4", 0.4, VERSIONS["0.4"], SimpleNamespace(version="0.4"), np.float64(0.4), np.str_("0.4")]
)
def test_forms_of_a_version(fmt: Any) -> None:
    assert find_version(fmt) is VERSIONS["0.4"]


@pytest.mark.parametrize(
    ("fmt", "message"),
    [
        ("0.55", "unknown OME-Zarr version '0.55'; did you mean '0.5'"),
        ("v0.4", "unknown OME-Zarr version 'v0.4'; did you mean '0.4'"),
        ("latest", "unknown OME-Zarr version 'latest'.* Known: .*0.4, 0.5"),
        (5, "unknown OME-Zarr version '5'"),
        (None, "unknown OME-Zarr version 'None'"),
        (SimpleNamespace(version="9.9"), "unknown OME-Zarr version '9.9'"),
    ],
)
def test_versions_that_are_not(fmt: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_version(fmt)


def test_the_rows_of_versions() -> None:
    assert DEFAULT_VERSION is VERSIONS["0.5"]
    assert {name: version.name for name, version in VERSIONS.items()} == {name: name for name in VERSIONS}
    assert [VERSIONS[name].arrays for name in NAMES] == [ZARR_V2_FLAT, *[ZARR_V2] * 3, *[ZARR_V3] * 3]
    assert [version_of(zarr_format).name for zarr_format in (2, 3)] == ["0.4", "0.5"]


@both
@pytest.mark.parametrize("names", ["yx", "zyx", "cyx", "tyx", "czyx", "tzyx", "tczyx", ["angle", "y", "x"], ["a", "b"]])
def test_axes_that_the_specification_allows(version: str, names: Any) -> None:
    kinds = {"angle": "angle", "a": "space", "b": "space"}
    axes = [{"name": n, "type": kinds[n]} if n in kinds else n for n in names]
    VERSIONS[version].check_axes(parse_axes(axes, len(axes)))


@both
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("x", "have 1 of space; an image has 2 or 3"),
        ("tcx", "have 1 of space; an image has 2 or 3"),
        ("tc", "have 0 of space; an image has 2 or 3"),
        (["a:space", "z", "y", "x"], "have 4 of space; an image has 2 or 3"),
        (["t", "u:time", "y", "x"], "have 2 of time and 0 of channel"),
        (
            ["c", "d:channel", "y", "x"],
            "have 0 of time and 2 of channel or other types; an image has at most one of each",
        ),
        (
            ["c", "q:angle", "y", "x"],
            "have 0 of time and 2 of channel or other types; an image has at most one of each",
        ),
        ("ctyx", "must be in the order time, channel, space; transpose the image to match"),
        ("yxc", "order time, channel, space"),
        ("zcyx", "order time, channel, space"),
        ("ytx", "order time, channel, space"),
    ],
)
def test_axes_that_it_forbids(version: str, names: Any, message: str) -> None:
    pairs = [name.partition(":")[::2] for name in names]
    axes = parse_axes([{"name": name, "type": kind} if kind else name for name, kind in pairs], len(pairs))
    with pytest.raises(ValueError, match=message):
        VERSIONS[version].check_axes(axes)


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
@pytest.mark.parametrize("names", [["angle", "y", "x"], "xyz", "ctyx", ["a", "b"]])
def test_axes_that_old_versions_forbid(version: str, names: Any) -> None:
    others = {"angle": "angle", "a": "space", "b": "space"}
    axes = parse_axes([{"name": n, "type": others[n]} if n in others else n for n in names], len(names))
    with pytest.raises(ValueError, match="t, c, z, y, x only, in this order"):
        VERSIONS[version].check_axes(axes)
