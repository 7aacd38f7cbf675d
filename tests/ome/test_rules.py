"""Rules of the specification: valid documents have no problem, broken ones exactly theirs, and nothing raises."""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, strategies as st
from jsonschema import Draft202012Validator
from ngff_zarr.validate import _schema_registry, load_schema, validate

from daskome.model.problem import Problem, errors
from daskome.ome.detect import kinds_of
from daskome.ome.rules.agreement import AGREEMENT_CHECKS, UNIQUE
from daskome.ome.rules.objects import OBJECTS, PARAMETERS
from daskome.ome.rules.versions import KNOWN
from daskome.ome.rules.walk import check_attributes, find_problems
from tests.strategies import law

JSON = dict[str, Any]
Change = Callable[[JSON, str], None]

# Valid documents


def document(kind: str, version: str) -> JSON:
    """Return valid attributes of a group, as they are stored."""
    ome: JSON = json.loads(json.dumps(DOCUMENTS[kind](version)))
    return {"ome": {"version": version, **ome}} if version >= "0.5" else ome


def slot(version: str, last: str = "0.4") -> JSON:
    return {"version": version} if version <= last else {}


def multiscale(version: str, name: str, more: JSON | None = None) -> JSON:
    how = {"description": "mean of 2x2 windows", "method": "daskome.scale.mean", "version": "0.1.0"}
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    axes: JSON = {
        "0.3": {"axes": list("czyx")},
        "0.4": {"axes": [{"name": "c", "type": "channel"}, *space]},
        "0.6": {"coordinateSystems": [{"name": "physical", "axes": [{"name": "c", "type": "channel"}, *space]}]},
    }
    axes |= {"0.5": axes["0.4"], "0.9.dev1": axes["0.6"]}
    levels = [level(version, "s0", [1, 2.0, 0.5, 0.5]), level(version, "s1", [1, 2.0, 1.0, 1.0], [0, 0.0, 0.25, 0.25])]
    parts = {"name": name, "type": "mean", "metadata": how, **axes.get(version, {}), "datasets": levels}
    return slot(version) | parts | (more or {})


def level(version: str, path: str, scale: list[float], translation: list[float] | None = None) -> JSON:
    steps: list[JSON] = [{"type": "scale", "scale": scale}]
    steps += [{"type": "translation", "translation": translation}] if translation else []
    if version < "0.4":
        return {"path": path}
    if version < "0.6":
        return {"path": path, "coordinateTransformations": steps}
    step = steps[0] if len(steps) == 1 else {"type": "sequence", "transformations": steps}
    ends = {"input": {"path": path}, "output": {"name": "physical"}}
    return {"path": path, "coordinateTransformations": [step | ends]}


def image(version: str) -> JSON:
    channel = {"label": "DAPI", "color": "0000FF", "active": True, "coefficient": 1, "family": "linear"}
    channel |= {"inverted": False, "window": {"min": 0, "max": 65535, "start": 0, "end": 1500}}
    rdefs = {"defaultT": 0, "defaultZ": 2, "model": "color"}
    omero = slot(version) | {"channels": [channel, channel | {"label": "GFP"}], "rdefs": rdefs}
    return {"multiscales": [multiscale(version, "cells.tif")], "omero": omero}


def linked(version: str) -> JSON:
    """Return an image with transformations for all levels."""
    if version < "0.6":
        scale = {"type": "scale", "scale": [1, 1, 1, 1]}
        return {"multiscales": [multiscale(version, "cells.tif", {"coordinateTransformations": [scale]})]}
    found = multiscale(version, "cells.tif")
    axes = found["coordinateSystems"][0]["axes"]
    found["coordinateSystems"] += [{"name": name, "axes": deepcopy(axes)} for name in ("world", "atlas", "grid")]
    square = [[1, 0], [0, 1]]
    turned = {"inputAxes": [0, 1], "outputAxes": [0, 1], "transformation": {"type": "rotation", "rotation": square}}
    scaled = {"inputAxes": [2, 3], "outputAxes": [2, 3], "transformation": {"type": "scale", "scale": [1, 2]}}
    by = {"type": "byDimension", "transformations": [turned, scaled]}
    parts = [{"type": "translation", "translation": [0, 0, 0, 0]}, by]
    both = {"forward": {"type": "displacements", "path": "d"}, "inverse": {"type": "coordinates", "path": "c"}}
    found["coordinateTransformations"] = [
        {"type": "sequence", "transformations": parts, **ends("physical", "world")},
        {"type": "affine", "affine": [[int(i == j) for j in range(5)] for i in range(4)], **ends("physical", "atlas")},
        {"type": "bijection", **both, **ends("atlas", "physical")},
        {"type": "mapAxis", "mapAxis": [0, 1, 3, 2], **ends("physical", "grid")},
        {"type": "scale", "scale": [1, 1, 1, 1], **ends("grid", "physical")},
    ]
    return {"multiscales": [found]}


def ends(start: str, end: str) -> JSON:
    return {"input": {"name": start}, "output": {"name": end}}


def label(version: str) -> JSON:
    color = [{"label-value": 1, "rgba": [255, 0, 0, 255]}, {"label-value": 2, "rgba": [0, 0, 0, 0]}]
    entry = slot(version, "0.5") | {"colors": color, "source": {"image": "../../"}}
    entry |= {"properties": [{"label-value": 1, "area": 256}, {"label-value": 2}]} if version > "0.1" else {}
    return {"multiscales": [multiscale(version, "nuclei")], "image-label": entry}


def plate(version: str) -> JSON:
    def well(row: int, column: int) -> JSON:
        indices = {"rowIndex": row, "columnIndex": column} if version >= "0.4" else {}
        return {"path": f"{'AB'[row]}/{column + 1}", **indices}

    days = [{"id": i, "name": f"day {i}", "maximumfieldcount": 1, "starttime": 1, "endtime": 2} for i in (0, 1)]
    names = {"rows": [{"name": "A"}, {"name": "B"}], "columns": [{"name": "1"}, {"name": "2"}]}
    entry = {"name": "plate", "field_count": 1, "acquisitions": days, **names, "wells": [well(0, 0), well(1, 1)]}
    return {"plate": slot(version, "0.5") | entry}


def well(version: str) -> JSON:
    images = [{"path": "0", "acquisition": 0}, {"path": "1", "acquisition": 1}, {"path": "2", "acquisition": 1}]
    return {"well": slot(version, "0.5") | {"images": images}}


def scene(version: str) -> JSON:
    """Return two images in a world, and one that lies in one of them."""
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    turned = {"type": "rotation", "rotation": [[0, -1], [1, 0]]}
    links = [
        {"type": "translation", "translation": [0, 348], **across("tiles/0", "")},
        {"type": "sequence", "transformations": [turned, {"type": "scale", "scale": [2, 2]}], **across("tiles/1", "")},
        {"type": "affine", "affine": [[1, 0, 0, 5], [0, 1, 0, 6]], **across("stack", "tiles/1")},
    ]
    return {"scene": {"coordinateSystems": [{"name": "world", "axes": axes}], "coordinateTransformations": links}}


def across(start: str, end: str) -> JSON:
    """Return the ends of a transformation between images of a scene; "" for its own world."""
    places = [{"path": path, "name": "physical"} if path else {"name": "world", "path": None} for path in (start, end)]
    return dict(zip(("input", "output"), places, strict=True))


DOCUMENTS: dict[str, Callable[[str], JSON]] = {
    "image": image,
    "linked": linked,
    "label": label,
    "labels": lambda _: {"labels": ["nuclei", "cells/large"]},
    "plate": plate,
    "well": well,
    "bioformats2raw": lambda _: {"bioformats2raw.layout": 3},
    "series": lambda _: {"series": ["0", "1"]},
    "scene": scene,
}
FIRST = {"linked": "0.4", "bioformats2raw": "0.4", "series": "0.4", "scene": "0.6"}
VALID = [(kind, version) for kind in DOCUMENTS for version in KNOWN if version >= FIRST.get(kind, "0.1")]
MODELS = {"image": "image", "linked": "image", "label": "label", "plate": "plate", "well": "well"}
BY_SCHEMA = [(k, v) for k, v in VALID if k in MODELS and (k != "label" or v >= "0.4")]


def strict(kind: str, version: str) -> bool:
    """Whether there is a strict schema."""
    return version >= "0.4" or (MODELS[kind] == "image" and version != "0.2")


def found(attributes: JSON, version: str, **options: Any) -> list[Problem]:
    return list(find_problems(attributes, version, **options))


@pytest.mark.parametrize(("kind", "version"), VALID)
def test_valid_documents_have_no_problem(kind: str, version: str) -> None:
    attributes = document(kind, version)
    assert found(attributes, version) == []
    assert found({**attributes, "other": {"multiscales": 1}}, version, label=kind == "label") == []
    check_attributes(attributes, version)


@pytest.mark.parametrize(("kind", "version"), BY_SCHEMA)
def test_schemas_agree_on_valid_documents(kind: str, version: str) -> None:
    validate(document(kind, version), version=version, model=MODELS[kind], strict=strict(kind, version))


def test_kinds() -> None:
    expected = {"linked": ("image",), "label": ("image", "image-label"), "series": ("bioformats2raw",)}
    for kind, version in VALID:
        assert kinds_of(document(kind, version)) == expected.get(kind, (kind,))
    nothing: tuple[Any, ...] = ({}, None, [], {"ome": None}, {"ome": {}})
    assert all(kinds_of(attributes) == () for attributes in nothing)


# Broken documents

MULTISCALE = "multiscales/0"
LEVEL = f"{MULTISCALE}/datasets"
TRANSFORM = f"{LEVEL}/1/coordinateTransformations"
ALL_LEVELS = f"{MULTISCALE}/coordinateTransformations"
SYSTEMS = f"{MULTISCALE}/coordinateSystems"
SCENE = "scene/coordinateTransformations"
INNER = f"{ALL_LEVELS}/0/transformations"
PLACES = {v: {"axes": f"{MULTISCALE}/axes", "steps": TRANSFORM} for v in KNOWN}
PLACES["0.6"] = PLACES["0.9.dev1"] = {"axes": f"{SYSTEMS}/0/axes", "steps": f"{TRANSFORM}/0/transformations"}


def reach(ome: JSON, address: str, version: str) -> tuple[Any, Any]:
    """Return what holds the value at an address, and the last key of it."""
    *way, last = address.format(**PLACES[version]).split("/")
    holder: Any = ome
    for key in way:
        holder = holder[int(key) if isinstance(holder, list) else key]
    return holder, int(last) if isinstance(holder, list) else last


def put(address: str, value: Any) -> Change:
    def change(ome: JSON, version: str) -> None:
        holder, key = reach(ome, address, version)
        holder[key] = deepcopy(value)

    return change


def drop(address: str) -> Change:
    def change(ome: JSON, version: str) -> None:
        holder, key = reach(ome, address, version)
        del holder[key]

    return change


def add(address: str, *values: Any) -> Change:
    def change(ome: JSON, version: str) -> None:
        holder, key = reach(ome, address, version)
        holder[key] = [*holder[key], *deepcopy(values)]

    return change


def swap(address: str) -> Change:
    """Reverse a list."""

    def change(ome: JSON, version: str) -> None:
        holder, key = reach(ome, address, version)
        holder[key] = holder[key][::-1]

    return change


def both(*changes: Change) -> Change:
    def change(ome: JSON, version: str) -> None:
        for one in changes:
            one(ome, version)

    return change


ALL, FLAT, SLOTS, DICTS, OLD, LATE, NEW, SIX = (
    "0.1 0.2 0.3 0.4 0.5 0.6 0.9.dev1", "0.1 0.2 0.3", "0.2 0.3 0.4", "0.4 0.5", "0.1 0.2 0.3 0.4",
    "0.4 0.5 0.6 0.9.dev1", "0.5 0.6 0.9.dev1", "0.6 0.9.dev1",
)  # fmt: skip
ORDERED = "0.4 0.5 0.6"
"""Those whose axes have a number and an order, of objects."""
E, W = False, True
SPACE = {"name": "w", "type": "space", "unit": "meter"}
LEFT, RIGHT = ({"type": "anatomical", "value": value} for value in ("right-to-left", "left-to-right"))
NINE = "0.9.dev1"
TIME = {"name": "t", "type": "time", "unit": "second"}
IDENTITY = {"type": "identity"}
PHYSICAL = ends("physical", "physical")
CHANNEL = "omero/channels/1"

# fmt: off
BROKEN: list[tuple[str, str, str, Change, str, bool, str]] = [
    # the group
    ("no multiscales", "image", ALL, drop("multiscales"), "multiscales", E, "'omero' describes an image"),
    ("label without multiscales", "label", ALL, drop("multiscales"), "multiscales", E, "'image-label' describes an image"),
    ("empty multiscales", "image", ALL, put("multiscales", []), "multiscales", E, "an empty list"),
    ("multiscales an object", "image", ALL, put("multiscales", {}), "multiscales", E, "an empty object"),
    ("multiscale null", "image", ALL, put(MULTISCALE, None), MULTISCALE, E, "is null; it must be an object"),
    ("multiscale twice", "bioformats2raw", "0.4", put("multiscales", [multiscale("0.4", "a")] * 2), "multiscales/1", E, "twice"),
    ("no version", "image", NEW, drop("version"), "version", E, "is missing"),
    ("another version", "image", NEW, put("version", "0.4"), "version", E, "is '0.4'"),
    ("version a number", "image", NEW, put("version", 0.5), "version", E, "is 0.5"),
    ("pre-release", "image", "0.6", put("version", "0.6rc0"), "version", W, "of the release"),
    ("nothing", "well", OLD, drop("well"), "attributes", E, "not OME-Zarr"),
    ("nothing under ome", "well", NEW, drop("well"), "ome", E, "not OME-Zarr"),
    ("NaN", "image", ALL, put("omero/channels/0/window/max", math.nan), "omero/channels/0/window/max", E, "nan is not valid JSON"),
    ("Infinity in what is free", "image", ALL, put(f"{MULTISCALE}/metadata/args", [math.inf]), f"{MULTISCALE}/metadata/args/0", E, "inf is not valid JSON"),
    ("layout", "bioformats2raw", LATE, put("bioformats2raw.layout", 2), "bioformats2raw.layout", E, "must be 3"),
    ("series", "series", LATE, put("series", "0"), "series", E, "a list of paths"),
    ("series outside", "series", LATE, put("series/1", "../1"), "series/1", E, "inside the group"),
    # multiscales
    ("no name", "image", "0.2 0.3 0.4 0.5 0.6", drop(f"{MULTISCALE}/name"), f"{MULTISCALE}/name", W, "is missing"),
    ("name a number", "image", ALL, put(f"{MULTISCALE}/name", 3), f"{MULTISCALE}/name", E, "must be a string"),
    ("no type", "image", "0.2 0.3 0.4 0.5 0.6", drop(f"{MULTISCALE}/type"), f"{MULTISCALE}/type", W, "is missing"),
    ("type null", "image", ALL, put(f"{MULTISCALE}/type", None), f"{MULTISCALE}/type", W, "should be a string"),
    ("no metadata", "image", "0.2 0.3 0.4 0.5 0.6", drop(f"{MULTISCALE}/metadata"), f"{MULTISCALE}/metadata", W, "is missing"),
    ("metadata a list", "image", "0.2 0.3 0.4 0.5 0.6", put(f"{MULTISCALE}/metadata", []), f"{MULTISCALE}/metadata", W, "should be an object"),
    ("metadata a list, 0.1", "image", "0.1", put(f"{MULTISCALE}/metadata", []), f"{MULTISCALE}/metadata", E, "must be an object"),
    ("no slot", "image", SLOTS, drop(f"{MULTISCALE}/version"), f"{MULTISCALE}/version", W, "is missing"),
    ("another slot", "image", OLD, put(f"{MULTISCALE}/version", "0.7"), f"{MULTISCALE}/version", E, "is '0.7'"),
    ("a late slot", "image", NEW, put(f"{MULTISCALE}/version", "0.4"), f"{MULTISCALE}/version", W, "is '0.4'"),
    ("no datasets", "image", ALL, drop(LEVEL), LEVEL, E, "is missing"),
    ("empty datasets", "image", "0.1 0.2 0.3 0.4 0.5", put(LEVEL, []), LEVEL, E, "an empty list"),
    ("no path", "image", "0.1 0.2 0.3 0.4 0.5", drop(f"{LEVEL}/0/path"), f"{LEVEL}/0/path", E, "is missing"),
    ("absolute path", "image", "0.1 0.2 0.3 0.4 0.5", put(f"{LEVEL}/0/path", "/s0"), f"{LEVEL}/0/path", E, "inside the group"),
    ("path outside", "image", "0.1 0.2 0.3 0.4 0.5", put(f"{LEVEL}/0/path", "a/../../s0"), f"{LEVEL}/0/path", E, "inside the group"),
    ("path of the group", "image", "0.1 0.2 0.3 0.4 0.5", put(f"{LEVEL}/0/path", "."), f"{LEVEL}/0/path", E, "inside the group"),
    ("empty path", "image", "0.1 0.2 0.3 0.4 0.5", put(f"{LEVEL}/0/path", ""), f"{LEVEL}/0/path", E, "inside the group"),
    ("path outside, 0.6", "image", SIX, both(put(f"{LEVEL}/1/path", ".."), put(f"{TRANSFORM}/0/input/path", "..")), f"{LEVEL}/1/path", E, "inside"),
    ("paths twice", "image", "0.1 0.2 0.3 0.4 0.5", put(f"{LEVEL}/1/path", "s0"), f"{LEVEL}/1/path", E, "already"),
    ("paths twice, 0.6", "image", SIX, both(put(f"{LEVEL}/1/path", "s0"), put(f"{TRANSFORM}/0/input/path", "s0")), f"{LEVEL}/1/path", E, "already"),
    ("coarse to fine", "image", LATE, swap(LEVEL), f"{LEVEL}/1", E, "the finest must be first"),
    ("all levels: too early", "image", FLAT, put(ALL_LEVELS, []), ALL_LEVELS, W, "0.4 brings them"),
    ("method, 0.1", "image", "0.1", put(f"{MULTISCALE}/metadata/method", 1), f"{MULTISCALE}/metadata/method", E, "must be a string"),
    ("method", "image", "0.2 0.3 0.4 0.5 0.6", put(f"{MULTISCALE}/metadata/method", 1), f"{MULTISCALE}/metadata/method", W, "should be a string"),
    ("version of the method", "image", "0.1", put(f"{MULTISCALE}/metadata/version", 1), f"{MULTISCALE}/metadata/version", E, "must be a string"),
    # axes
    ("axes too early", "image", "0.1 0.2", put(f"{MULTISCALE}/axes", ["y", "x"]), f"{MULTISCALE}/axes", W, "images are tczyx"),
    ("axes in 0.6", "image", SIX, put(f"{MULTISCALE}/axes", []), f"{MULTISCALE}/axes", W, "in coordinateSystems"),
    ("no axes", "image", "0.3 0.4 0.5", drop("{axes}"), "{axes}", E, "is missing"),
    ("axes a string", "image", "0.3 0.4 0.5 0.6", put("{axes}", "czyx"), "{axes}", E, "is 'czyx'; it must be a list of"),
    ("unknown name", "image", "0.3", put("{axes}/0", "a"), "{axes}/0", E, "'t', 'c', 'z', 'y' or 'x'"),
    ("names out of order", "image", "0.3", put("{axes}", list("zcyx")), "{axes}", E, "must be t, c, z, y, x only, in this order"),
    ("names twice, 0.3", "image", "0.3", put("{axes}", list("zyxx")), "{axes}/3", E, "already"),
    ("array dimensions", "image", "0.3", put("_ARRAY_DIMENSIONS", list("tzyx")), "_ARRAY_DIMENSIONS", W, "differ from"),
    ("axis a string", "image", LATE, put("{axes}/0", "c"), "{axes}/0", E, "an object with name"),
    ("axis without name", "image", LATE, drop("{axes}/1/name"), "{axes}/1/name", E, "is missing"),
    ("axis with an empty name", "image", SIX, put("{axes}/1/name", ""), "{axes}/1/name", E, "not empty"),
    ("axis without type", "image", LATE, drop("{axes}/0/type"), "{axes}/0/type", W, "should be a string"),
    ("type of axis null", "image", LATE, put("{axes}/0/type", None), "{axes}/0/type", W, "is null; it should be left out"),
    ("names twice", "image", LATE, put("{axes}/2/name", "x"), "{axes}/3/name", E, "already"),
    ("one of space", "image", ORDERED, both(put("{axes}/1", TIME), put("{axes}/2", {**TIME, "name": "u"})), "{axes}", E, "have 1 of space"),
    ("four of space", "image", ORDERED, put("{axes}/0", SPACE), "{axes}", E, "have 4 of space"),
    ("two of time", "image", ORDERED, both(put("{axes}/0", TIME), put("{axes}/1/type", "time"), put("{axes}/1/unit", "second")), "{axes}", E, "have 2 of time and 0 of channel or other types"),
    ("two of channel", "image", ORDERED, both(put("{axes}/1/type", "lambda"), drop("{axes}/1/unit")), "{axes}", E, "have 0 of time and 2 of channel or other types; an image has at most one of each"),
    ("channel last", "image", ORDERED, swap("{axes}"), "{axes}", E, "time, channel, space"),
    ("time after channel", "image", ORDERED, put("{axes}/1", TIME), "{axes}", E, "time, channel, space"),
    ("space not zyx", "image", ORDERED, both(put("{axes}/1/name", "x"), put("{axes}/3/name", "z")), "{axes}", W, "z, y, x"),
    ("no unit", "image", LATE, drop("{axes}/1/unit"), "{axes}/1/unit", W, "is missing"),
    ("unit null", "image", DICTS, put("{axes}/1/unit", None), "{axes}/1/unit", W, "is null"),
    ("unit null, 0.6", "image", SIX, put("{axes}/1/unit", None), "{axes}/1/unit", E, "is null"),
    ("unit of no text", "image", SIX, put("{axes}/1/unit", 7), "{axes}/1/unit", E, "is 7"),
    ("empty unit", "image", LATE, put("{axes}/1/unit", ""), "{axes}/1/unit", W, "leave it out"),
    ("unit not spelt out", "image", LATE, put("{axes}/1/unit", "um"), "{axes}/1/unit", W, "UDUNITS"),
    ("unit of time on space", "image", LATE, put("{axes}/1/unit", "second"), "{axes}/1/unit", W, "not a unit of space"),
    ("discrete", "image", SIX, put("{axes}/1/discrete", "no"), "{axes}/1/discrete", E, "true or false"),
    ("longName", "image", SIX, put("{axes}/1/longName", 1), "{axes}/1/longName", E, "a string"),
    ("oriented channel", "image", "0.4 0.5 0.6", put("{axes}/0/orientation", LEFT), "{axes}/0/orientation", W, "only axes of space have one"),
    ("oriented channel, 0.9.dev1", "image", NINE, put("{axes}/0/orientation", LEFT), "{axes}/0/orientation", E, "only axes of space have one"),
    ("direction twice", "image", "0.4 0.5 0.6", both(put("{axes}/1/orientation", LEFT), put("{axes}/3/orientation", RIGHT)), "{axes}/3/orientation", W, "axis 'z' is 'right-to-left' already"),
    ("direction twice, 0.9.dev1", "image", NINE, both(put("{axes}/1/orientation", LEFT), put("{axes}/3/orientation", RIGHT)), "{axes}/3/orientation", E, "axis 'z' is 'right-to-left' already"),
    ("direction again, 0.9.dev1", "image", NINE, both(put("{axes}/1/orientation", LEFT), put("{axes}/3/orientation", LEFT)), "{axes}/3/orientation", E, "each direction is that of one axis"),
    ("unknown orientation", "image", "0.4 0.5 0.6", put("{axes}/1/orientation", {**LEFT, "value": "up"}), "{axes}/1/orientation/value", W, "is 'up'; it should be one of the 24"),
    ("unknown orientation, 0.9.dev1", "image", NINE, put("{axes}/1/orientation", {**LEFT, "value": "up"}), "{axes}/1/orientation/value", E, "is 'up'; it must be one of the 24"),
    ("orientation of another type", "image", NINE, put("{axes}/1/orientation", {**LEFT, "type": "flow"}), "{axes}/1/orientation/type", E, "is 'flow'"),
    ("orientation without type", "image", NINE, put("{axes}/1/orientation", {"value": "left-to-right"}), "{axes}/1/orientation/type", E, "is missing"),
    ("orientation of text", "image", NINE, put("{axes}/1/orientation", "left-to-right"), "{axes}/1/orientation", E, "an object with type and value"),
    ("orientation of text, before", "image", "0.4 0.5 0.6", put("{axes}/1/orientation", "RAS"), "{axes}/1/orientation", W, "an object with type and value"),
    ("time not t", "image", NINE, put("{axes}/0", {**TIME, "name": "frame"}), "{axes}", W, "should be named 't'"),
    ("space not of zyx", "image", NINE, put("{axes}/1/name", "depth"), "{axes}", W, "should be named of z, y, x"),
    # coordinateSystems
    ("no systems", "image", SIX, drop(SYSTEMS), SYSTEMS, E, "is missing"),
    ("systems too early", "image", "0.1 0.2 0.3 0.4 0.5", put(SYSTEMS, []), SYSTEMS, W, "0.6 brings them"),
    ("system without axes", "image", SIX, drop(f"{SYSTEMS}/0/axes"), f"{SYSTEMS}/0/axes", E, "is missing"),
    ("systems twice", "linked", SIX, add(SYSTEMS, {"name": "world", "axes": [SPACE, {**SPACE, "name": "x"}]}), f"{SYSTEMS}/4/name", E, "already"),
    ("system without name", "linked", SIX, both(put(f"{SYSTEMS}/3/name", ""), put(f"{ALL_LEVELS}", [{**IDENTITY, **ends("physical", name)} for name in ("world", "atlas")])), f"{SYSTEMS}/3/name", E, "not empty"),
    ("system unconnected", "linked", SIX, add(SYSTEMS, {"name": "island", "axes": [SPACE, {**SPACE, "name": "x"}]}), f"{SYSTEMS}/4", E, "connect 'island'"),
    ("arrays and space", "linked", "0.6", put(f"{SYSTEMS}/3/axes", [SPACE, {**SPACE, "name": "x"}, *({"name": n, "type": "array"} for n in "ij")]), f"{SYSTEMS}/3/axes", E, "are of type 'array' and 'space'"),
    # coordinateTransformations of levels
    ("transforms too early", "image", FLAT, put(TRANSFORM, []), TRANSFORM, W, "0.4 brings them"),
    ("no transforms", "image", LATE, drop(TRANSFORM), TRANSFORM, E, "is missing"),
    ("empty transforms", "image", LATE, put(TRANSFORM, []), TRANSFORM, E, "an empty list"),
    ("transforms an object", "image", LATE, put(TRANSFORM, {}), TRANSFORM, E, "an empty object"),
    ("translation first", "image", LATE, swap("{steps}"), "{steps}", E, "not translation, scale"),
    ("translation only", "image", DICTS, drop(f"{TRANSFORM}/0"), TRANSFORM, E, "not translation"),
    ("two scales", "image", LATE, put("{steps}/1", {"type": "scale", "scale": [1, 1, 1, 1]}), "{steps}", E, "not scale, scale"),
    ("two translations", "image", DICTS, add(TRANSFORM, {"type": "translation", "translation": [0] * 4}), TRANSFORM, E, "translation, translation"),
    ("affine", "image", DICTS, put(f"{TRANSFORM}/1", {"type": "affine"}), f"{TRANSFORM}/1/type", E, "is 'affine'"),
    ("no type of transform", "image", LATE, drop("{steps}/0/type"), "{steps}/0/type", E, "is missing"),
    ("no scale", "image", LATE, drop("{steps}/0/scale"), "{steps}/0/scale", E, "is missing"),
    ("scale a number", "image", LATE, put("{steps}/0/scale", 2), "{steps}/0/scale", E, "a list of numbers"),
    ("short scale", "image", LATE, put("{steps}/0/scale", [1, 2.0, 1.0]), "{steps}/0/scale", E, "3 values, but there are 4"),
    ("long translation", "image", LATE, put("{steps}/1/translation", [0] * 5), "{steps}/1/translation", E, "5 values"),
    ("scale of zero", "image", LATE, put("{steps}/0/scale/2", 0), "{steps}/0/scale/2", E, "no pixel"),
    ("negative scale", "image", LATE, put("{steps}/0/scale/2", -1.0), "{steps}/0/scale/2", E, "no pixel"),
    ("scale true", "image", LATE, put("{steps}/0/scale/0", True), "{steps}/0/scale/0", E, "is true"),
    ("scale a text", "image", LATE, put("{steps}/0/scale/0", "1"), "{steps}/0/scale/0", E, "is '1'"),
    ("scale infinite", "image", LATE, put("{steps}/0/scale/0", math.inf), "{steps}/0/scale/0", E, "inf is not valid JSON"),
    ("translation null", "image", LATE, put("{steps}/1/translation/0", None), "{steps}/1/translation/0", E, "is null"),
    ("two transforms", "image", SIX, add(TRANSFORM, {**IDENTITY, "input": {"path": "s1"}, "output": {"name": "physical"}}), TRANSFORM, E, "exactly one"),
    ("bare translation", "image", SIX, put(f"{TRANSFORM}/0/type", "translation"), f"{TRANSFORM}/0/type", E, "'scale', 'identity' or 'sequence'"),
    ("sequence of one", "image", SIX, drop(f"{TRANSFORM}/0/transformations/1"), f"{TRANSFORM}/0/transformations", E, "scale, translation"),
    ("no input", "image", SIX, drop(f"{TRANSFORM}/0/input"), f"{TRANSFORM}/0/input", E, "is missing"),
    ("input a string", "image", SIX, put(f"{TRANSFORM}/0/input", "s1"), f"{TRANSFORM}/0/input", E, "is 's1'; it must be an object"),
    ("output a string", "image", SIX, put(f"{TRANSFORM}/0/output", "physical"), f"{TRANSFORM}/0/output", E, "an object with the name"),
    ("input without path", "image", SIX, put(f"{TRANSFORM}/0/input", {}), f"{TRANSFORM}/0/input/path", E, "is missing"),
    ("another input", "image", SIX, put(f"{TRANSFORM}/0/input/path", "s0"), f"{TRANSFORM}/0/input/path", E, "not the path of the level, 's1'"),
    ("named input", "image", SIX, put(f"{TRANSFORM}/0/input/name", "s1"), f"{TRANSFORM}/0/input/name", W, "left out"),
    ("output without name", "image", SIX, put(f"{TRANSFORM}/0/output", {}), f"{TRANSFORM}/0/output/name", E, "is missing"),
    ("output elsewhere", "image", SIX, put(f"{TRANSFORM}/0/output/path", "b"), f"{TRANSFORM}/0/output/path", W, "left out"),
    ("name of a transform", "image", SIX, put(f"{TRANSFORM}/0/name", 1), f"{TRANSFORM}/0/name", E, "a string"),
    ("bare scale without numbers", "image", SIX, drop(f"{LEVEL}/0/coordinateTransformations/0/scale"), f"{LEVEL}/0/coordinateTransformations/0/scale", E, "is missing"),
    ("another output", "image", SIX, put(f"{TRANSFORM}/0/output/name", "world"), f"{TRANSFORM}/0/output/name", E, "not a coordinate system"),
    ("outputs differ", "linked", SIX, put(f"{TRANSFORM}/0/output/name", "world"), f"{TRANSFORM}/0/output/name", E, "not 'physical'"),
    ("input inside", "image", SIX, put("{steps}/0/input", {"path": "s1"}), "{steps}/0/input", W, "outermost"),
    ("output inside", "image", SIX, put("{steps}/1/output", {"name": "physical"}), "{steps}/1/output", W, "outermost"),
    # coordinateTransformations of all levels
    ("all levels: empty", "image", LATE, put(ALL_LEVELS, []), ALL_LEVELS, E, "an empty list"),
    ("all levels: short", "linked", DICTS, put(f"{ALL_LEVELS}/0/scale", [1, 1]), f"{ALL_LEVELS}/0/scale", E, "2 values"),
    ("all levels: translation", "linked", DICTS, put(ALL_LEVELS, [{"type": "translation", "translation": [0] * 4}]), ALL_LEVELS, E, "not translation"),
    ("link: scale short", "linked", SIX, put(f"{ALL_LEVELS}/4/scale", [1, 1]), f"{ALL_LEVELS}/4/scale", E, "2 values"),
    ("link: unknown", "linked", SIX, put(f"{ALL_LEVELS}/4/type", "warp"), f"{ALL_LEVELS}/4/type", E, "is 'warp'"),
    ("link: nowhere", "linked", SIX, put(f"{ALL_LEVELS}/4/output/name", "moon"), f"{ALL_LEVELS}/4/output/name", E, "not a coordinate system"),
    ("link: two matrices", "linked", SIX, put(f"{ALL_LEVELS}/1/path", "a"), f"{ALL_LEVELS}/1", E, "either affine or path"),
    ("link: nothing projected", "linked", SIX, put(f"{ALL_LEVELS}/4", {"type": "projectAxis", **PHYSICAL}), f"{ALL_LEVELS}/4", E, "droppedInputs"),
    ("link: axis twice", "linked", SIX, put(f"{ALL_LEVELS}/3/mapAxis/0", 1), f"{ALL_LEVELS}/3/mapAxis", E, "different integers"),
    ("link: input inside", "linked", SIX, put(f"{ALL_LEVELS}/0/transformations/0/input", {}), f"{ALL_LEVELS}/0/transformations/0/input", W, "outermost"),
    ("link: no input", "linked", SIX, drop(f"{ALL_LEVELS}/4/input"), f"{ALL_LEVELS}/4/input", E, "is missing"),
    ("link: output a string", "linked", SIX, put(f"{ALL_LEVELS}/2/output", "physical"), f"{ALL_LEVELS}/2/output", E, "is 'physical'"),
    ("link: name of a transform", "linked", SIX, put(f"{ALL_LEVELS}/2/name", 1), f"{ALL_LEVELS}/2/name", E, "a string"),
    ("link: input without name", "linked", SIX, put(f"{ALL_LEVELS}/4/input", {"path": "labels/nuclei"}), f"{ALL_LEVELS}/4/input/name", E, "is missing"),
    ("link: path of an input", "linked", SIX, put(f"{ALL_LEVELS}/2/input/path", 1), f"{ALL_LEVELS}/2/input/path", E, "a string"),
    ("link: no scale", "linked", SIX, drop(f"{ALL_LEVELS}/4/scale"), f"{ALL_LEVELS}/4/scale", E, "is missing"),
    ("link: no translation", "linked", SIX, put(f"{ALL_LEVELS}/4/type", "translation"), f"{ALL_LEVELS}/4/translation", E, "is missing"),
    ("link: projected", "linked", "0.6", put(f"{ALL_LEVELS}/4", {"type": "projectAxis", "droppedInputs": [5], **PHYSICAL}), f"{ALL_LEVELS}/4/droppedInputs", E, "1 to 3"),
    ("link: affine", "linked", SIX, put(f"{ALL_LEVELS}/1/affine/0/0", "1"), f"{ALL_LEVELS}/1/affine/0/0", E, "a number"),
    ("link: rotation", "linked", SIX, put(f"{ALL_LEVELS}/1", {"type": "rotation", "rotation": [[1, 0]], **ends("physical", "atlas")}), f"{ALL_LEVELS}/1/rotation", E, "a square"),
    ("link: bijection", "linked", SIX, drop(f"{ALL_LEVELS}/2/inverse"), f"{ALL_LEVELS}/2/inverse", E, "is missing"),
    ("link: byDimension", "linked", SIX, put(f"{ALL_LEVELS}/4/type", "byDimension"), f"{ALL_LEVELS}/4/transformations", E, "is missing"),
    ("link: displacements", "linked", SIX, put(f"{ALL_LEVELS}/4/type", "displacements"), f"{ALL_LEVELS}/4/path", E, "is missing"),
    ("link: coordinates", "linked", SIX, put(f"{ALL_LEVELS}/4/type", "coordinates"), f"{ALL_LEVELS}/4/path", E, "is missing"),
    ("link: neither", "linked", SIX, put(f"{ALL_LEVELS}/3/input/name", "world"), f"{ALL_LEVELS}/3", E, "neither input nor output is 'physical'"),
    ("link: elsewhere", "linked", SIX, add(ALL_LEVELS, {**IDENTITY, "input": {"name": "physical"}, "output": {"name": "a", "path": "nuclei"}}), f"{ALL_LEVELS}/5/output/path", E, "not a label image below"),
    ("link: labels turned", "linked", SIX, put(f"{ALL_LEVELS}/3/output/path", "labels/nuclei"), f"{ALL_LEVELS}/3/type", E, "to labels it must be one of"),
    ("link: another ndim", "linked", SIX, both(put(f"{SYSTEMS}/3/axes", [SPACE, {**SPACE, "name": "x"}]), put(f"{ALL_LEVELS}/4", {**IDENTITY, **PHYSICAL})), f"{ALL_LEVELS}/3", E, "leads to 4 axes, but there are 2"),
    ("link: mapAxis short", "linked", SIX, put(f"{ALL_LEVELS}/3/mapAxis", [1, 0]), f"{ALL_LEVELS}/3/mapAxis", E, "has 2 values"),
    ("link: mapAxis beyond", "linked", SIX, put(f"{ALL_LEVELS}/3/mapAxis", [0, 1, 2, 4]), f"{ALL_LEVELS}/3/mapAxis", E, "each of 0 to 3 once"),
    ("link: affine ragged", "linked", SIX, put(f"{ALL_LEVELS}/1/affine/3", [1, 0]), f"{ALL_LEVELS}/1/affine", E, "rows of 2 numbers; they must have 5"),
    ("link: affine short", "linked", SIX, put(f"{ALL_LEVELS}/1/affine", [[1, 0, 0, 0, 0]]), f"{ALL_LEVELS}/1", E, "leads to 1 axes"),
    ("link: dropped beyond", "linked", SIX, put(f"{ALL_LEVELS}/4", {"type": "projectAxis", "droppedInputs": [4], "createdOutputs": [0], **PHYSICAL}), f"{ALL_LEVELS}/4/droppedInputs", E, "names axis 4"),
    ("inner: stretched", "linked", SIX, put(f"{INNER}/1/transformations/0/transformation/rotation", [[1, 0], [0, 2]]), f"{INNER}/1/transformations/0/transformation/rotation", E, "orthonormal"),
    ("inner: mirrored", "linked", SIX, put(f"{INNER}/1/transformations/0/transformation/rotation", [[1, 0], [0, -1]]), f"{INNER}/1/transformations/0/transformation/rotation", E, "the determinant 1"),
    ("inner: axis made twice", "linked", SIX, put(f"{INNER}/1/transformations/1", {"inputAxes": [1, 2, 3], "outputAxes": [1, 2, 3], "transformation": {"type": "scale", "scale": [1, 1, 1]}}), f"{INNER}/1/transformations/1/outputAxes", E, "makes axis 1 again"),
    ("inner: axis not made", "linked", SIX, both(put(f"{INNER}/1/transformations/1/outputAxes", [2]), put(f"{INNER}/1/transformations/1/inputAxes", [2]), put(f"{INNER}/1/transformations/1/transformation/scale", [1])), f"{INNER}/1/transformations", E, "make no axis 3; each of 4"),
    ("inner: axis beyond", "linked", SIX, put(f"{INNER}/1/transformations/1/inputAxes", [2, 4]), f"{INNER}/1/transformations/1/inputAxes", E, "names axis 4, but there are 4"),
    ("inner: axes by name", "linked", SIX, put(f"{INNER}/1/transformations/1/inputAxes/0", "y"), f"{INNER}/1/transformations/1/inputAxes/0", E, "an integer from 0"),
    ("inner: parameters short", "linked", SIX, put(f"{INNER}/1/transformations/1/transformation/scale", [1]), f"{INNER}/1/transformations/1/transformation/scale", E, "has 1 values, but there are 2 axes"),
    ("inner: no steps", "linked", SIX, put(f"{ALL_LEVELS}/0/transformations", []), f"{ALL_LEVELS}/0/transformations", E, "one or more"),
    # scenes
    ("scene: nothing", "scene", SIX, drop(SCENE), SCENE, E, "is missing"),
    ("scene: no name", "scene", SIX, drop(f"{SCENE}/0/input/name"), f"{SCENE}/0/input/name", E, "is missing"),
    ("scene: unknown", "scene", SIX, put(f"{SCENE}/0/output/name", "moon"), f"{SCENE}/0/output/name", E, "not a coordinate system of the scene"),
    ("scene: island", "scene", SIX, add("scene/coordinateSystems", {"name": "island", "axes": [SPACE]}), "scene/coordinateSystems/1", E, "connect 'island'"),
    ("scene: images apart", "scene", SIX, put(f"{SCENE}/2/output/path", "c"), f"{SCENE}/2/input", E, "connect 'stack'"),
    ("scene: twice", "scene", SIX, add("scene/coordinateSystems", {"name": "world", "axes": [SPACE]}), "scene/coordinateSystems/1/name", E, "already"),
    ("scene: short", "scene", SIX, put(f"{SCENE}/0/translation", [1]), f"{SCENE}/0/translation", E, "there are 2 axes"),
    ("inner: no type", "linked", SIX, drop(f"{INNER}/0/type"), f"{INNER}/0/type", E, "is missing"),
    ("inner: name", "linked", SIX, put(f"{INNER}/0/name", 1), f"{INNER}/0/name", E, "a string"),
    ("inner: output", "linked", SIX, put(f"{INNER}/0/output", {}), f"{INNER}/0/output", W, "outermost"),
    ("inner: no axes in", "linked", SIX, drop(f"{INNER}/1/transformations/0/inputAxes"), f"{INNER}/1/transformations/0/inputAxes", E, "is missing"),
    ("inner: no axes out", "linked", SIX, drop(f"{INNER}/1/transformations/0/outputAxes"), f"{INNER}/1/transformations/0/outputAxes", E, "is missing"),
    ("inner: nothing", "linked", SIX, drop(f"{INNER}/1/transformations/0/transformation"), f"{INNER}/1/transformations/0/transformation", E, "is missing"),
    ("inner: rotation", "linked", SIX, put(f"{INNER}/1/transformations/0/transformation/rotation", [[1, 0], [0]]), f"{INNER}/1/transformations/0/transformation/rotation", E, "a square"),
    ("inner: no rotation", "linked", SIX, put(f"{INNER}/0/type", "rotation"), f"{INNER}/0", E, "either rotation or path"),
    ("inner: interpolation", "linked", SIX, put(f"{ALL_LEVELS}/2/forward/interpolation", "spline"), f"{ALL_LEVELS}/2/forward/interpolation", W, "'cubic'"),
    ("inner: coordinates", "linked", SIX, drop(f"{ALL_LEVELS}/2/inverse/path"), f"{ALL_LEVELS}/2/inverse/path", E, "is missing"),
    *(
        (f"inner: {kind}", "linked", SIX, put(f"{INNER}/0", {"type": kind}), f"{INNER}/0/{key}", E, "is missing")
        for kind, key in (("scale", "scale"), ("translation", "translation"), ("mapAxis", "mapAxis"),
                          ("sequence", "transformations"), ("byDimension", "transformations"))
    ),
    ("inner: bijection", "linked", SIX, put(f"{INNER}/0", {"type": "bijection", "forward": IDENTITY}), f"{INNER}/0/inverse", E, "is missing"),
    ("inner: affine", "linked", SIX, put(f"{INNER}/0", {"type": "affine", "path": 1}), f"{INNER}/0/path", E, "a string"),
    ("inner: projectAxis", "linked", "0.6", put(f"{INNER}/0", {"type": "projectAxis", "createdOutputs": []}), f"{INNER}/0/createdOutputs", E, "1 to 3"),
    ("no transforms of a scene", "bioformats2raw", SIX, put("scene", {}), "scene/coordinateTransformations", E, "is missing"),
    ("scene null", "bioformats2raw", SIX, put("scene", None), "scene", E, "is null"),
    # omero
    ("no channels", "image", ALL, drop("omero/channels"), "omero/channels", E, "is missing"),
    ("channel a name", "image", ALL, put(CHANNEL, "GFP"), CHANNEL, E, "is 'GFP'"),
    ("no color", "image", OLD, drop(f"{CHANNEL}/color"), f"{CHANNEL}/color", E, "must be six"),
    ("no color, late", "image", "0.5 0.6", drop(f"{CHANNEL}/color"), f"{CHANNEL}/color", W, "should be six"),
    ("color of the web", "image", ALL, put(f"{CHANNEL}/color", "#00FF00"), f"{CHANNEL}/color", E, "six hexadecimal digits"),
    ("no window", "image", OLD, drop(f"{CHANNEL}/window"), f"{CHANNEL}/window", E, "is missing"),
    ("no window, late", "image", "0.5 0.6", drop(f"{CHANNEL}/window"), f"{CHANNEL}/window", W, "is missing"),
    ("no start", "image", ALL, drop(f"{CHANNEL}/window/start"), f"{CHANNEL}/window/start", E, "is missing"),
    ("end a text", "image", ALL, put(f"{CHANNEL}/window/end", "9"), f"{CHANNEL}/window/end", E, "must be a number"),
    ("active a number", "image", ALL, put(f"{CHANNEL}/active", 1), f"{CHANNEL}/active", E, "true or false"),
    ("label null", "image", ALL, put(f"{CHANNEL}/label", None), f"{CHANNEL}/label", E, "is null"),
    ("model", "image", ALL, put("omero/rdefs/model", "grey"), "omero/rdefs/model", W, "'color' or 'greyscale'"),
    ("version of omero", "image", OLD, put("omero/version", "0.9"), "omero/version", E, "is '0.9'"),
    ("a late version of omero", "image", NEW, put("omero/version", "0.4"), "omero/version", W, "is '0.4'"),
    ("family", "image", "0.1 0.2 0.3 0.4 0.5 0.6", put(f"{CHANNEL}/family", 1), f"{CHANNEL}/family", E, "a string"),
    ("coefficient", "image", ALL, put(f"{CHANNEL}/coefficient", "1"), f"{CHANNEL}/coefficient", W, "a number"),
    ("inverted", "image", "0.1 0.2 0.3 0.4 0.5 0.6", put(f"{CHANNEL}/inverted", 0), f"{CHANNEL}/inverted", W, "true or false"),
    ("inverted, 0.9.dev1", "image", NINE, put(f"{CHANNEL}/inverted", 0), f"{CHANNEL}/inverted", E, "true or false"),
    ("no start, 0.9.dev1", "image", NINE, drop(f"{CHANNEL}/window/start"), f"{CHANNEL}/window/start", E, "is missing"),
    ("no min", "image", "0.1 0.2 0.3 0.4 0.5 0.6", drop(f"{CHANNEL}/window/min"), f"{CHANNEL}/window/min", E, "is missing"),
    ("max null", "image", ALL, put(f"{CHANNEL}/window/max", None), f"{CHANNEL}/window/max", E, "is null"),
    ("defaultT", "image", ALL, put("omero/rdefs/defaultT", -1), "omero/rdefs/defaultT", W, "from 0"),
    ("defaultZ", "image", ALL, put("omero/rdefs/defaultZ", 0.5), "omero/rdefs/defaultZ", W, "from 0"),
    # labels and image-label
    ("labels an object", "labels", ALL, put("labels", {"nuclei": 1}), "labels", E, "a list of paths"),
    ("labels: number", "labels", ALL, put("labels/0", 1), "labels/0", E, "is 1"),
    ("labels: empty", "labels", ALL, put("labels/0", ""), "labels/0", E, "is ''"),
    ("labels: slash", "labels", ALL, put("labels/0", "/nuclei"), "labels/0", E, "inside the group"),
    ("labels: outside", "labels", ALL, put("labels/1", "../nuclei"), "labels/1", E, "inside the group"),
    ("labels: twice", "labels", ALL, put("labels/1", "nuclei"), "labels/1", E, "'nuclei' stands at labels/0"),
    ("image-label a list", "label", ALL, put("image-label", []), "image-label", E, "an empty list"),
    ("no version of label", "label", DICTS, drop("image-label/version"), "image-label/version", W, "is missing"),
    ("version of label", "label", "0.1 0.2 0.3 0.4 0.5", put("image-label/version", "0.6"), "image-label/version", E, "is '0.6'"),
    ("no colors", "label", LATE, drop("image-label/colors"), "image-label/colors", W, "is missing"),
    ("empty colors", "label", ALL, put("image-label/colors", []), "image-label/colors", E, "one or more"),
    ("empty properties", "label", "0.2 0.3 0.4 0.5 0.6", put("image-label/properties", []), "image-label/properties", E, "one or more"),
    ("no label-value", "label", ALL, drop("image-label/colors/1/label-value"), "image-label/colors/1/label-value", E, "is missing"),
    ("label-value a fraction", "label", ALL, put("image-label/colors/1/label-value", 1.5), "image-label/colors/1/label-value", E, "an integer"),
    ("label-value twice", "label", ALL, put("image-label/colors/1/label-value", 1), "image-label/colors/1/label-value", E, "already"),
    ("properties twice", "label", "0.2 0.3 0.4 0.5 0.6", put("image-label/properties/1/label-value", 1), "image-label/properties/1/label-value", E, "already"),
    ("rgba of three", "label", ALL, put("image-label/colors/0/rgba", [1, 2, 3]), "image-label/colors/0/rgba", E, "a list of 3; it must be a list of 4"),
    ("rgba too bright", "label", ALL, put("image-label/colors/0/rgba/1", 256), "image-label/colors/0/rgba/1", E, "0 to 255"),
    ("rgba from 0 to 1", "label", ALL, put("image-label/colors/0/rgba/1", 0.5), "image-label/colors/0/rgba/1", E, "0 to 255"),
    ("absolute source", "label", ALL, put("image-label/source/image", "/data/a.zarr"), "image-label/source/image", E, "a relative path"),
    ("a late version of a label", "label", SIX, put("image-label/version", "0.5"), "image-label/version", W, "is '0.5'"),
    ("no label-value of properties", "label", "0.2 0.3 0.4 0.5 0.6", drop("image-label/properties/1/label-value"), "image-label/properties/1/label-value", E, "is missing"),
    # plate
    ("a late version of a plate", "plate", SIX, put("plate/version", "0.5"), "plate/version", W, "is '0.5'"),
    ("row without a name, early", "plate", FLAT, add("plate/rows", {"name": ""}), "plate/rows/2/name", E, "not empty"),
    ("well elsewhere, early", "plate", FLAT, put("plate/wells/1/path", "/B/2"), "plate/wells/1/path", E, "inside the group"),
    ("no columnIndex", "plate", LATE, drop("plate/wells/1/columnIndex"), "plate/wells/1/columnIndex", E, "is missing"),
    ("no name of an acquisition", "plate", ALL, drop("plate/acquisitions/1/name"), "plate/acquisitions/1/name", W, "is missing"),
    ("description", "plate", ALL, put("plate/acquisitions/1/description", 1), "plate/acquisitions/1/description", W, "a string"),
    ("endtime, 0.1", "plate", "0.1", put("plate/acquisitions/1/endtime", "today"), "plate/acquisitions/1/endtime", W, "a number"),
    ("endtime", "plate", "0.2 0.3 0.4 0.5 0.6", put("plate/acquisitions/1/endtime", -1), "plate/acquisitions/1/endtime", E, "from 0"),
    ("no rows", "plate", ALL, drop("plate/rows"), "plate/rows", E, "is missing"),
    ("empty columns", "plate", ALL, put("plate/columns", []), "plate/columns", E, "one or more"),
    ("no wells", "plate", ALL, drop("plate/wells"), "plate/wells", E, "is missing"),
    ("no version of plate", "plate", "0.1 0.2 0.3 0.5", drop("plate/version"), "plate/version", E, "is missing"),
    ("no version of plate, 0.4", "plate", "0.4", drop("plate/version"), "plate/version", W, "is missing"),
    ("no name of plate", "plate", LATE, drop("plate/name"), "plate/name", W, "is missing"),
    ("no field_count", "plate", LATE, drop("plate/field_count"), "plate/field_count", W, "is missing"),
    ("no fields", "plate", LATE, put("plate/field_count", 0), "plate/field_count", E, "above 0"),
    ("row twice", "plate", ALL, add("plate/rows", {"name": "A"}), "plate/rows/2/name", E, "already"),
    ("column twice", "plate", ALL, add("plate/columns", {"name": "1"}), "plate/columns/2/name", E, "already"),
    ("name of row", "plate", LATE, add("plate/rows", {"name": "C-1"}), "plate/rows/2/name", E, "letters and digits"),
    ("row a text", "plate", ALL, add("plate/rows", "C"), "plate/rows/2", E, "is 'C'"),
    ("well outside", "plate", LATE, put("plate/wells/1/path", "C/2"), "plate/wells/1/path", E, "'C' is not a row"),
    ("well outside, early", "plate", FLAT, put("plate/wells/1/path", "B/3"), "plate/wells/1/path", W, "'3' is not a column"),
    ("well deep", "plate", LATE, put("plate/wells/1/path", "day/B/2"), "plate/wells/1/path", E, "row/column"),
    ("well twice", "plate", ALL, add("plate/wells", {"path": "A/1", "rowIndex": 0, "columnIndex": 0}), "plate/wells/2/path", E, "already"),
    ("no rowIndex", "plate", LATE, drop("plate/wells/1/rowIndex"), "plate/wells/1/rowIndex", E, "is missing"),
    ("rowIndex", "plate", LATE, put("plate/wells/1/rowIndex", 0), "plate/wells/1/rowIndex", E, "row 'B' is 1"),
    ("columnIndex from 1", "plate", LATE, put("plate/wells/1/columnIndex", 2), "plate/wells/1/columnIndex", E, "counted from 0"),
    ("empty acquisitions", "plate", FLAT, put("plate/acquisitions", []), "plate/acquisitions", E, "one or more"),
    ("acquisition without id", "plate", ALL, drop("plate/acquisitions/1/id"), "plate/acquisitions/1/id", E, "is missing"),
    ("acquisition twice", "plate", ALL, put("plate/acquisitions/1/id", 0), "plate/acquisitions/1/id", E, "already"),
    ("negative acquisition", "plate", LATE, put("plate/acquisitions/1/id", -1), "plate/acquisitions/1/id", E, "from 0"),
    ("maximumfieldcount", "plate", LATE, put("plate/acquisitions/1/maximumfieldcount", 0), "plate/acquisitions/1/maximumfieldcount", E, "above 0"),
    ("no maximumfieldcount", "plate", ALL, drop("plate/acquisitions/1/maximumfieldcount"), "plate/acquisitions/1/maximumfieldcount", W, "is missing"),
    ("starttime", "plate", ALL, put("plate/acquisitions/1/starttime", "today"), "plate/acquisitions/1/starttime", E, "is 'today'"),
    # well
    ("a late version of a well", "well", SIX, put("well/version", "0.5"), "well/version", W, "is '0.5'"),
    ("no images", "well", ALL, drop("well/images"), "well/images", E, "is missing"),
    ("empty images", "well", ALL, put("well/images", []), "well/images", E, "one or more"),
    ("image without path", "well", ALL, drop("well/images/1/path"), "well/images/1/path", E, "is missing"),
    ("image twice", "well", ALL, put("well/images/1/path", "0"), "well/images/1/path", E, "already"),
    ("path of an image", "well", "0.1 0.2 0.3 0.4 0.5", put("well/images/1/path", "f_1"), "well/images/1/path", E, "letters and digits"),
    ("image of dots", "well", SIX, put("well/images/1/path", ".."), "well/images/1/path", E, "dots alone"),
    ("reserved image", "well", SIX, put("well/images/1/path", "__1"), "well/images/1/path", E, "'__' at its start"),
    ("acquisition a text", "well", ALL, put("well/images/2/acquisition", "1"), "well/images/2/acquisition", E, "an integer"),
    ("acquisition negative", "well", LATE, put("well/images/2/acquisition", -1), "well/images/2/acquisition", E, "from 0"),
    ("one of several", "well", LATE, drop("well/images/2/acquisition"), "well/images/2/acquisition", E, "it must be there"),
    ("one of several, early", "well", FLAT, drop("well/images/2/acquisition"), "well/images/2/acquisition", W, "it should be there"),
    ("one of one", "well", ALL, both(put("well/images/0/acquisition", 1), drop("well/images/2/acquisition")), "well/images/2/acquisition", W, "it should be there"),
    ("version of well", "well", "0.1 0.2 0.3 0.4 0.5", put("well/version", "0.6"), "well/version", E, "is '0.6'"),
]
# fmt: on


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_broken_documents(kind: str) -> None:
    """Each row in each of its versions: just that problem, at that address, in such words."""
    rows = [row for row in BROKEN if row[1] == kind]
    wrong = {
        f"{row[0]}, {version}": result for row in rows for version in row[2].split() if (result := odd(row, version))
    }
    assert len(rows) > 0
    assert not wrong


def odd(row: tuple[str, str, str, Change, str, bool, str], version: str) -> list[str]:
    """Return the problems of a document that a row breaks; none if they are those that the row expects."""
    _, kind, _, change, where, warning, message = row
    attributes = document(kind, version)
    assert found(attributes, version) == []
    change(attributes.get("ome", attributes), version)
    result = found(attributes, version)
    expected = [(where.format(**PLACES[version]), warning)]
    right = [(p.where, p.warning) for p in result] == expected and message in result[0].message
    explained = right and (result[0].section or "not valid JSON" in result[0].message)
    return [] if explained else [*map(str, result), "another problem was expected"]


def test_the_table_names_each_row_once() -> None:
    assert len({row[0] for row in BROKEN}) == len(BROKEN)


def test_names_that_differ_in_case() -> None:
    attributes = document("plate", "0.5")
    attributes["ome"]["plate"]["rows"].append({"name": "a"})
    assert [p.where for p in found(attributes, "0.5") if p.warning] == ["plate/rows/0/name", "plate/rows/2/name"]
    check_attributes(attributes, "0.5")


def test_what_several_versions_allow() -> None:
    """A bare scale and identity (0.6), axes of arrays (0.6), dotted fields (0.6), and the first plates' long paths."""
    attributes = document("linked", "0.6")
    multiscale = attributes["ome"]["multiscales"][0]
    multiscale["coordinateSystems"][3]["axes"] = [{"name": n, "type": "array"} for n in "ijkl"]
    multiscale["datasets"][0]["coordinateTransformations"][0].pop("scale")
    multiscale["datasets"][0]["coordinateTransformations"][0]["type"] = "identity"
    assert found(attributes, "0.6") == []
    fields = document("well", "0.6")
    fields["ome"]["well"]["images"][0]["path"] = "field_1.ome-zarr"
    assert found(fields, "0.6") == []
    early = document("plate", "0.1")
    early["plate"]["wells"][0]["path"] = "2020-10-10/A/1"
    assert found(early, "0.1") == []


@pytest.mark.parametrize("version", KNOWN)
def test_metadata_in_the_wrong_place(version: str) -> None:
    inner = document("plate", version)
    inner = inner.get("ome", inner)
    misplaced = inner if version >= "0.5" else {"ome": inner}
    result = found(misplaced, version)
    assert [(p.where, p.warning, p.section) for p in result] == [
        ("plate" if version >= "0.5" else "ome", False, "version")
    ]


def test_a_copy_in_the_wrong_place_is_a_warning() -> None:
    new, old = document("image", "0.5"), document("image", "0.4")
    assert {(p.where, p.warning) for p in found({**new, **old}, "0.5")} == {("multiscales", True), ("omero", True)}
    assert {(p.where, p.warning) for p in found({**new, **old}, "0.4")} == {("ome", True)}


def test_a_label_image_says_so() -> None:
    for version in KNOWN:
        expected = [("image-label", True)] if version >= "0.5" else []
        assert [(p.where, p.warning) for p in found(document("image", version), version, label=True)] == expected
    assert [p.where for p in errors(found({}, "0.4", label=True))] == ["multiscales"]
    assert [p.where for p in errors(found({"ome": {"version": "0.5"}}, "0.5", label=True))] == ["multiscales"]


def test_check_lists_errors_only() -> None:
    attributes = document("image", "0.4")
    multiscale = attributes["multiscales"][0]
    del multiscale["name"]
    check_attributes(attributes, "0.4")
    multiscale["datasets"][0]["path"] = "/s0"
    with pytest.raises(ValueError, match=r"^multiscales/0/datasets/0/path: is '/s0'.* \(section 'multiscales'\)$"):
        check_attributes(attributes, "0.4")
    attributes["omero"]["channels"] = 3
    with pytest.raises(ValueError) as raised:
        check_attributes(attributes, "0.4")
    lines = str(raised.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["multiscales/0/datasets/0/path", "omero/channels"]


def test_unknown_versions() -> None:
    unknown: tuple[Any, ...] = ("0.7", "", None, 0.5, [], {})
    for result in (found({}, version) for version in unknown):
        assert [(p.where, p.section) for p in result] == [("version", "version")]


def test_tables_are_whole() -> None:
    """Each object that a row speaks of has rows, and functions are of objects that there are."""
    rows = [row for table in (OBJECTS, *PARAMETERS.values()) for each in table.values() for row in each]
    named = {kind.fields for row in rows for kind in (row.kind, row.kind.items) if kind and kind.fields}
    assert named | {"ome"} == set(OBJECTS)
    assert set(AGREEMENT_CHECKS) | set(PARAMETERS) | {row.fields for row in UNIQUE} <= set(OBJECTS)


# Nothing raises

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from(sorted({row.key for each in OBJECTS.values() for row in each})) | st.text(max_size=3)
anything = st.recursive(
    scalars | st.sampled_from(["scale", "translation", "sequence", "space", "s0", "0.5", 10**400]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=6),
    max_leaves=20,
)


@pytest.mark.extended
@law(max_examples=250)
@given(anything, st.sampled_from(KNOWN), st.booleans())
def test_no_json_raises(value: Any, version: str, label: bool) -> None:
    for attributes in (value, {"ome": value}, {"ome": {"version": version, "multiscales": value, "plate": value}}):
        assert all(isinstance(str(p), str) for p in find_problems(attributes, version, label=label))
        kinds_of(attributes)


@law(max_examples=250)
@given(st.sampled_from(VALID), st.data())
def test_no_replaced_node_raises(case: tuple[str, str], data: st.DataObject) -> None:
    attributes = document(*case)
    _, holder, key = data.draw(st.sampled_from(list(nodes(attributes))))
    holder[key] = data.draw(anything)
    assert all(isinstance(str(p), str) for p in find_problems(attributes, case[1]))


@pytest.mark.sampled(9)
@pytest.mark.parametrize(("kind", "version"), VALID)
def test_no_odd_value_raises(kind: str, version: str) -> None:
    attributes = document(kind, version)
    for _, value in changed(attributes, "", [10**5000, -(10**400), math.nan, (1, 2), b"", 1j, {1: 2}, "x" * 999]):
        assert all(len(str(p)) < 500 for p in find_problems(attributes, version)), value


def nodes(value: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield all that a document consists of: its address, what holds it and its key there."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            at = f"{where}/{key}".removeprefix("/ome").removeprefix("/")
            yield at, value, key
            yield from nodes(value[key], f"/{at}" if at else "")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: {"type": "sequence", "transformations": [v]}]
)
def test_deep_nesting(wrap: Callable[[Any], Any]) -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = wrap(deep)
    for kind, version in [("linked", "0.6"), ("image", "0.4"), ("plate", "0.5")]:
        for key in ("multiscales", "plate", "omero"):
            attributes = document(kind, version)
            attributes.get("ome", attributes)[key] = deep
            assert errors(found(attributes, version))
    attributes = document("linked", "0.6")
    attributes["ome"]["multiscales"] *= 2
    attributes["ome"]["multiscales"][0]["coordinateTransformations"][0] = (
        {**deep, **PHYSICAL} if isinstance(deep, dict) else deep
    )
    assert errors(found(attributes, "0.6"))


# What schemas reject, rules reject

MISSING = object()
VALUES: tuple[Any, ...] = (
    MISSING, None, True, -1, 0, 1.5, 7, "", "a/b", "!", "A", [], ["a"], ["a", "a"], [1], [1, -1], {}, {"name": "q"}, [{}], [[]],
)  # fmt: skip
EXCEPTIONS = (
    # The schemas of 0.4 and 0.5 take an axis without type for one of space, too; the text allows one of no type.
    ("0.4 0.5", r"multiscales/0/axes/0(/type)?"),
    # Whoever asks for the label schema says that it is a label image: a warning, with label=True, as it is a SHOULD.
    ("0.5 0.6 0.9.dev1", r"image-label"),
    # The text says nothing of a type that is null.
    ("0.6 0.9.dev1", r"multiscales/0/coordinateSystems/0/axes/\d/type"),
)
"""Addresses where the schema rejects a change that is let pass on purpose."""


@cache
def schema(model: str, version: str) -> Draft202012Validator:
    return Draft202012Validator(load_schema(version, model), registry=_schema_registry(version))


def changed(attributes: JSON, under: str, values: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Take or replace each node of a document in turn, in place, and yield its address and what it was replaced by."""
    for where, holder, key in nodes(attributes):
        before = deepcopy(holder)
        for value in values if where.startswith(under) else ():
            holder[key] = value
            if value is MISSING:
                del holder[key]
            yield where, value
            holder.clear()
            holder.update(before) if isinstance(holder, dict) else holder.extend(before)


def let_pass(where: str, version: str) -> bool:
    return any(version in versions.split() and re.fullmatch(pattern, where) for versions, pattern in EXCEPTIONS)


@pytest.mark.extended
@pytest.mark.parametrize(("kind", "version"), BY_SCHEMA)
def test_what_the_schema_rejects_is_an_error(kind: str, version: str) -> None:
    """Of images with transformations of all levels only these are changed: the rest is that of the other images."""
    attributes, valid = document(kind, version), schema(MODELS[kind], version).is_valid
    missed, rejected = [], 0
    # Their schemas are slow.
    chosen = (ALL_LEVELS, VALUES[::3]) if kind == "linked" else ("", VALUES)
    for where, value in changed(attributes, *chosen):
        if not valid(attributes):
            rejected += 1
            if not errors(find_problems(attributes, version)) and not let_pass(where, version):
                missed.append((where, value))
    assert missed == []
    assert rejected > 10
