"""What OME-Zarr says of the attributes of one group: rows of keys and what they hold, and functions for the rest.

`validate` reads stored attributes with them, writers those they are about to write. Versions differ by the sets in
the rows only. Nothing raises, whatever JSON it is given: a value of the wrong type is a problem, and ends its branch.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

from daskome.axes import UNITS
from daskome.problem import Problem, errors

JSON = Mapping[str, Any]
Versions = frozenset[str]

KNOWN = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6")
EVERY: Versions = frozenset(KNOWN)
NONE: Versions = frozenset()


def _only(*versions: str) -> Versions:
    return frozenset(versions)


def _since(version: str) -> Versions:
    return frozenset(KNOWN[KNOWN.index(version) :])


def _until(version: str) -> Versions:
    return frozenset(KNOWN[: KNOWN.index(version) + 1])


UNDER_OME = _since("0.5")
KINDS = {
    "multiscales": "image",
    "image-label": "image-label",
    "labels": "labels",
    "plate": "plate",
    "well": "well",
    "bioformats2raw.layout": "bioformats2raw",
    "series": "bioformats2raw",
}
OME_KEYS = (*KINDS, "omero")
"""Keys by which a group is known to hold OME-Zarr metadata."""
OF_AN_IMAGE = ("omero", "image-label")
TYPE_RANKS = {"time": 0, "space": 2}
"""The order of axes by their type; channels and all other types stand between."""


def problems(attributes: JSON, version: str, *, label: bool = False) -> Iterator[Problem]:
    """Yield what the specification forbids, or advises against, in the attributes of one group.

    Parameters
    ----------
    attributes : dict
        As they are stored: those of 0.5 and later stand under ``ome``.
    version : str
        The version to check against, "0.1" to "0.6".
    label : bool
        Whether the group is listed as a label image.

    Yields
    ------
    Problem
        With an address inside the OME-Zarr metadata; a warning where readers fail, or the word is SHOULD.

    Examples
    --------
    >>> for problem in problems({"well": {"images": [{"path": "A 1"}]}}, "0.4"):
    ...     print(problem.warning, problem)
    True well/version: is missing; it should be '0.4' (section 'well')
    False well/images/0/path: is 'A 1'; it must be letters and digits (section 'well')
    """
    if version not in KNOWN:
        yield Problem("version", f"{_given(version)} is none of {', '.join(KNOWN)}", section="version")
        return
    if not isinstance(attributes, Mapping):
        yield Problem("attributes", f"are {_given(attributes)}; they must be an object", section="multiscales")
        return
    yield from _finite(attributes)
    misplaced = list(_placed(attributes, version))
    yield from misplaced
    ome = attributes.get("ome") if version in UNDER_OME else attributes
    if isinstance(ome, Mapping):
        yield from _walk(ome, version)
        # What stands in the wrong place is not missing too.
        yield from () if misplaced else _complete(ome, version, label)


def check(attributes: JSON, version: str) -> None:
    """Raise a ValueError that lists all that the specification forbids in the attributes of one group.

    Raises
    ------
    ValueError
        With one line for each `Problem` that is no warning.

    Examples
    --------
    >>> check({"ome": {"version": "0.5", "labels": ["/nuclei"]}}, "0.5")
    Traceback (most recent call last):
    ValueError: labels/0: is '/nuclei'; it must be a path inside the group, such as 's0' (section 'labels')
    """
    forbidden = errors(problems(attributes, version))
    if forbidden:
        raise ValueError("\n".join(map(str, forbidden)))


def kinds(attributes: JSON) -> tuple[str, ...]:
    """Return what a group's attributes say it is: image, image-label, labels, plate, well, bioformats2raw.

    Examples
    --------
    >>> kinds({"multiscales": [], "image-label": {}})
    ('image', 'image-label')
    """
    ome = attributes.get("ome", attributes) if isinstance(attributes, Mapping) else {}
    held = [kind for key, kind in KINDS.items() if key in ome] if isinstance(ome, Mapping) else []
    return tuple(dict.fromkeys(held))


# Kinds of values


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be.

    Attributes
    ----------
    what : str
        As messages say it.
    holds : callable
        Whether a value is that.
    items : Kind, optional
        What the items of a list are.
    fields : str
        Which of `OBJECTS` it is; "" for none.
    """

    what: str
    holds: Callable[[Any], bool]
    items: "Kind | None" = None
    fields: str = ""


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    """JSON has one kind of number: 1.0 is an integer."""
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _integer_from(least: int, most: float = float("inf")) -> Callable[[Any], bool]:
    return lambda value: _is_integer(value) and least <= value <= most


def _is_inside(value: Any) -> bool:
    """Whether it is a relative path, none of whose parts consists of dots only, which zarr gives no node as a name."""
    return _is_name(value) and value[0] != "/" and all(part.strip(".") or not part for part in value.split("/"))


def _is_relative(value: Any) -> bool:
    return _is_name(value) and value[0] != "/" and "://" not in value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_square(value: Any) -> bool:
    rows = value if _is_list(value) else ()
    return 2 <= len(rows) <= 5 and all(_is_list(r) and len(r) == len(rows) and all(map(_is_number, r)) for r in rows)


def _are_axes(least: int, most: int) -> Callable[[Any], bool]:
    index = _integer_from(0, 4)
    return lambda v: _is_list(v) and least <= len(v) <= most and all(map(index, v)) and len(set(v)) == len(v)


def _pattern(pattern: str) -> Callable[[Any], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def _one_of(*values: Any) -> Kind:
    return Kind(_or(values), lambda value: isinstance(value, str) and value in values)


def _or(values: Iterable[Any]) -> str:
    *most, last = map(repr, values)
    return f"{', '.join(most)} or {last}" if most else last


def _object(fields: str, what: str = "an object") -> Kind:
    return Kind(what, lambda value: isinstance(value, Mapping), fields=fields)


def _list(what: str, items: Kind, least: int = 0, most: float = float("inf")) -> Kind:
    return Kind(f"a list of {what}", lambda value: _is_list(value) and least <= len(value) <= most, items)


def _absent(why: str) -> Kind:
    return Kind(f"left out: {why}", lambda value: False)


STRING = Kind("a string", lambda value: isinstance(value, str))
NAME = Kind("a string that is not empty", _is_name)
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", _is_number)
INTEGER = Kind("an integer", _is_integer)
INDEX = Kind("an integer from 0", _integer_from(0))
COUNT = Kind("an integer above 0", _integer_from(1))
BYTE = Kind("an integer from 0 to 255", _integer_from(0, 255))
SIZE = Kind("a number above 0, as no pixel has another size", lambda value: _is_number(value) and value > 0)
INSIDE = Kind("a path inside the group, such as 's0'", _is_inside)
RELATIVE = Kind("a relative path, such as '../../'", _is_relative)
COLOR = Kind("six hexadecimal digits, RRGGBB", _pattern("[0-9A-Fa-f]{6}"))
ALPHANUMERIC = Kind("letters and digits", _pattern("[A-Za-z0-9]+"))
FIELD = Kind(
    "letters, digits, '_', '-' and '.', neither dots alone nor with '__' at its start",
    _pattern(r"(?!__)(?!\.+$)[A-Za-z0-9_.-]+"),
)
WELL_PATH = Kind("row/column, such as 'A/1'", _pattern("[A-Za-z0-9]+/[A-Za-z0-9]+"))
LAYOUT = Kind("3", lambda value: _is_number(value) and value == 3)
NUMBERS = _list("numbers", NUMBER)
SCALE = _list("numbers", SIZE)
AXIS_NAME = _one_of(*"tczyx")
INTERPOLATION = _one_of("nearest", "linear", "cubic")
RELEASE = Kind("'0.6', that of the release", lambda value: value != "0.6rc0")
INPUT_OUTPUT = "only the outermost transformation has input and output"


# Rows


@dataclass(frozen=True, slots=True)
class Rule:
    """What a key of an object holds.

    Attributes
    ----------
    key : str
    kind : Kind
    section : str
        Of the specification; "": that of the object around it.
    versions : frozenset of str
        Those that the row is of.
    must, should : frozenset of str
        Of these, those in which the key has to be there.
    lax : frozenset of str
        Those in which a wrong value is a warning only, as the text does not forbid it.
    """

    key: str
    kind: Kind
    section: str = ""
    versions: Versions = EVERY
    must: Versions = NONE
    should: Versions = NONE
    lax: Versions = NONE


def _versions(defined: Versions, must: Versions = NONE, should: Versions = NONE) -> tuple[Rule, ...]:
    """Return a row for each version: the key holds its name, which is an error only where the key is defined."""
    return tuple(
        Rule("version", _one_of(v), "", _only(v), must, should, NONE if v in defined else _only(v)) for v in KNOWN
    )


SLOTS_4 = _only("0.2", "0.3", "0.4")
OF_LEVELS = _only("0.4", "0.5")
DATASETS = _list("one or more datasets", _object("dataset"), 1)
AXES = _object("axis", "an object with name, type and unit")
TRANSFORMATION = _object("transformation", "a transformation")
PART = _object("part", "a transformation")
LEVEL = _object("level transformation", "a transformation")
LINK = _object("link", "a transformation")
ANY = _object("any", "a transformation")
DIMENSIONS = _object("dimensions", "an object")
TRANSFORMS = "coordinateTransformations"
TYPES_OF_TRANSFORMS = (
    "identity mapAxis projectAxis scale translation affine rotation bijection sequence byDimension displacements "
    "coordinates"
).split()
PLATE_NAMES = _list("one or more objects with a name", _object("plate name"), 1)
WINDOW = _object("window", "an object of min, max, start, end")
INPUT = _object("input", "an object with the path of the level")
OUTPUT = _object("output", "an object with the name of a coordinate system")
SYSTEM = _object("system", "an object with the name of a coordinate system")

OBJECTS: Mapping[str, Sequence[Rule]] = {
    "ome": (
        Rule("version", _one_of("0.5"), "version", _only("0.5"), must=EVERY),
        Rule("version", _one_of("0.6", "0.6rc0"), "version", _only("0.6"), must=EVERY),
        Rule("version", RELEASE, "version", _only("0.6"), lax=EVERY),
        Rule("multiscales", _list("one or more objects", _object("multiscale"), 1), "multiscales"),
        Rule("omero", _object("omero"), "omero"),
        Rule("image-label", _object("image-label"), "image-label"),
        Rule("labels", _list("paths", INSIDE), "labels"),
        Rule("plate", _object("plate"), "plate"),
        Rule("well", _object("well"), "well"),
        Rule("bioformats2raw.layout", LAYOUT, "bioformats2raw", lax=_until("0.3")),
        Rule("series", _list("paths", INSIDE), "bioformats2raw", _since("0.4")),
        Rule("scene", _object("scene"), "scene", _only("0.6")),
    ),
    "multiscale": (
        *_versions(_until("0.4"), should=SLOTS_4),
        Rule("name", STRING, should=_since("0.2")),
        Rule("type", STRING, should=_since("0.2"), lax=EVERY),
        Rule("metadata", _object("metadata"), should=_since("0.2"), lax=_since("0.2")),
        Rule("datasets", DATASETS, must=EVERY),
        Rule("axes", _absent("images are tczyx"), "axes", _until("0.2"), lax=EVERY),
        Rule("axes", _list("2 to 5 names of axes", AXIS_NAME, 2, 5), "axes", _only("0.3"), must=EVERY),
        Rule("axes", _list("2 to 5 objects", AXES, 2, 5), "axes", OF_LEVELS, must=EVERY),
        Rule("axes", _absent("they stand in coordinateSystems"), "axes", _only("0.6"), lax=EVERY),
        Rule("coordinateSystems", _absent("0.6 brings them"), "coordinateSystems", _until("0.5"), lax=EVERY),
        Rule(
            "coordinateSystems",
            _list("one or more objects with name and axes", _object("coordinateSystem"), 1),
            "coordinateSystems",
            _only("0.6"),
            must=EVERY,
        ),
        Rule(TRANSFORMS, _absent("0.4 brings them"), TRANSFORMS, _until("0.3"), lax=EVERY),
        Rule(TRANSFORMS, _list("one or two transformations", TRANSFORMATION, 1), TRANSFORMS, OF_LEVELS),
        Rule(TRANSFORMS, _list("one or more transformations", LINK, 1), TRANSFORMS, _only("0.6")),
    ),
    "metadata": (
        Rule("method", STRING, lax=_since("0.2")),
        Rule("version", STRING, lax=_since("0.2")),
    ),
    "dataset": (
        Rule("path", INSIDE, must=EVERY),
        Rule(TRANSFORMS, _absent("0.4 brings them"), TRANSFORMS, _until("0.3"), lax=EVERY),
        Rule(TRANSFORMS, _list("one or two transformations", TRANSFORMATION, 1), TRANSFORMS, OF_LEVELS, must=EVERY),
        Rule(TRANSFORMS, _list("exactly one transformation", LEVEL, 1, 1), TRANSFORMS, _only("0.6"), must=EVERY),
    ),
    "axis": (
        Rule("name", STRING, versions=OF_LEVELS, must=EVERY),
        Rule("name", NAME, versions=_only("0.6"), must=EVERY),
        Rule("type", STRING, should=EVERY),
        Rule("unit", STRING, lax=OF_LEVELS),
        Rule("discrete", BOOLEAN, versions=_only("0.6")),
        Rule("longName", STRING, versions=_only("0.6")),
    ),
    "coordinateSystem": (
        Rule("name", NAME, must=EVERY),
        Rule("axes", _list("1 to 5 objects", AXES, 1, 5), "axes", must=EVERY),
    ),
    "transformation": (Rule("type", _one_of("scale", "translation"), must=EVERY),),
    "level transformation": (
        Rule("type", _one_of("scale", "identity", "sequence"), must=EVERY),
        Rule("input", INPUT, must=EVERY),
        Rule("output", OUTPUT, must=EVERY),
        Rule("name", STRING),
    ),
    "part": (
        Rule("type", _one_of("scale", "translation"), must=EVERY),
        Rule("input", _absent(INPUT_OUTPUT)),
        Rule("output", _absent(INPUT_OUTPUT)),
    ),
    "link": (
        Rule("type", _one_of(*TYPES_OF_TRANSFORMS), must=EVERY),
        Rule("input", SYSTEM, must=EVERY),
        Rule("output", SYSTEM, must=EVERY),
        Rule("name", STRING),
    ),
    "any": (
        Rule("type", _one_of(*TYPES_OF_TRANSFORMS), must=EVERY),
        Rule("input", _absent(INPUT_OUTPUT)),
        Rule("output", _absent(INPUT_OUTPUT)),
        Rule("name", STRING),
    ),
    "input": (
        Rule("path", STRING, must=EVERY),
        Rule("name", _absent("a level has only a path"), lax=EVERY),
    ),
    "output": (
        Rule("name", STRING, must=EVERY),
        Rule("path", _absent("the coordinate system is one of this image"), lax=EVERY),
    ),
    "system": (Rule("name", STRING, must=EVERY), Rule("path", STRING)),
    "dimensions": (
        Rule("transformation", ANY, must=EVERY),
        Rule("inputAxes", NUMBERS, must=EVERY),
        Rule("outputAxes", NUMBERS, must=EVERY),
    ),
    "scene": (Rule(TRANSFORMS, _list("one or more transformations", LINK, 1), TRANSFORMS, must=EVERY),),
    "omero": (
        *_versions(_until("0.4")),
        Rule("channels", _list("objects with color and window", _object("channel")), must=EVERY),
        Rule("rdefs", _object("rdefs"), lax=EVERY),
    ),
    "channel": (
        # MUST in the text of 0.5 and 0.6, but not in their schemas, and images without are common.
        Rule("color", COLOR, must=_until("0.4"), should=_since("0.5")),
        Rule(
            "window", _object("window", "an object of min, max, start, end"), must=_until("0.4"), should=_since("0.5")
        ),
        Rule("label", STRING),
        Rule("family", STRING),
        Rule("active", BOOLEAN),
        Rule("coefficient", NUMBER, lax=EVERY),
        Rule("inverted", BOOLEAN, lax=EVERY),
    ),
    "window": tuple(Rule(key, NUMBER, must=EVERY) for key in ("min", "max", "start", "end")),
    "rdefs": (
        Rule("defaultT", INDEX, lax=EVERY),
        Rule("defaultZ", INDEX, lax=EVERY),
        Rule("model", _one_of("color", "greyscale"), lax=EVERY),
    ),
    "image-label": (
        *_versions(_until("0.5"), should=OF_LEVELS),
        Rule("colors", _list("one or more objects with a label-value", _object("color"), 1), should=_since("0.4")),
        Rule("properties", _list("one or more objects with a label-value", _object("property"), 1), "", _since("0.2")),
        Rule("source", _object("source")),
    ),
    "color": (
        Rule("label-value", INTEGER, must=EVERY),
        Rule("rgba", _list("4 integers from 0 to 255", BYTE, 4, 4)),
    ),
    "property": (Rule("label-value", INTEGER, must=EVERY),),
    "source": (Rule("image", RELATIVE),),
    "plate": (
        *_versions(_until("0.5"), must=_until("0.3") | {"0.5"}, should=_only("0.4")),
        Rule("name", STRING, should=_since("0.4")),
        Rule("field_count", COUNT, should=_since("0.4"), lax=_until("0.3")),
        Rule("rows", PLATE_NAMES, must=EVERY),
        Rule("columns", PLATE_NAMES, must=EVERY),
        Rule("wells", _list("one or more objects with a path", _object("plate well"), 1), must=EVERY),
        Rule("acquisitions", _list("one or more objects with an id", _object("acquisition"), 1), "", _until("0.3")),
        Rule("acquisitions", _list("objects with an id", _object("acquisition")), "", _since("0.4")),
    ),
    "plate name": (
        Rule("name", NAME, versions=_until("0.3"), must=EVERY),
        Rule("name", ALPHANUMERIC, versions=_since("0.4"), must=EVERY),
    ),
    "plate well": (
        Rule("path", INSIDE, versions=_until("0.3"), must=EVERY),
        Rule("path", WELL_PATH, versions=_since("0.4"), must=EVERY),
        Rule("rowIndex", INDEX, versions=_since("0.4"), must=EVERY),
        Rule("columnIndex", INDEX, versions=_since("0.4"), must=EVERY),
    ),
    "acquisition": (
        Rule("id", NUMBER, versions=_only("0.1"), must=EVERY),
        Rule("id", INTEGER, versions=_only("0.2", "0.3"), must=EVERY),
        Rule("id", INDEX, versions=_since("0.4"), must=EVERY),
        Rule("name", STRING, should=EVERY),
        Rule("maximumfieldcount", NUMBER, versions=_only("0.1"), should=EVERY),
        Rule("maximumfieldcount", INTEGER, versions=_only("0.2", "0.3"), should=EVERY),
        Rule("maximumfieldcount", COUNT, versions=_since("0.4"), should=EVERY),
        Rule("description", STRING, lax=EVERY),
        Rule("starttime", NUMBER, versions=_only("0.1")),
        Rule("endtime", NUMBER, versions=_only("0.1"), lax=EVERY),
        Rule("starttime", INDEX, versions=_since("0.2")),
        Rule("endtime", INDEX, versions=_since("0.2")),
    ),
    "well": (
        *_versions(_until("0.5"), should=OF_LEVELS),
        Rule("images", _list("one or more objects with a path", _object("image"), 1), must=EVERY),
    ),
    "image": (
        Rule("path", ALPHANUMERIC, versions=_until("0.5"), must=EVERY),
        Rule("path", FIELD, versions=_only("0.6"), must=EVERY),
        Rule("acquisition", INTEGER, versions=_until("0.3")),
        Rule("acquisition", INDEX, versions=_since("0.4")),
    ),
}
"""Objects of the metadata, by the name that a `Kind` has for them."""

_VECTORS = {
    "scale": (Rule("scale", SCALE, must=EVERY),),
    "translation": (Rule("translation", NUMBERS, must=EVERY),),
}
_FIELDS = (Rule("path", STRING, must=EVERY), Rule("interpolation", INTERPOLATION))
_MATRIX = _list("rows of numbers", NUMBERS)
_SQUARE = Kind("a square of 2 to 5 rows of numbers", _is_square)
_EVERYTHING = _VECTORS | {
    "mapAxis": (Rule("mapAxis", Kind("2 to 5 different integers from 0 to 4", _are_axes(2, 5)), must=EVERY),),
    "projectAxis": tuple(
        Rule(key, Kind("1 to 3 different integers from 0 to 4", _are_axes(1, 3)))
        for key in ("droppedInputs", "createdOutputs")
    ),
    "affine": (Rule("affine", _MATRIX), Rule("path", STRING)),
    "rotation": (Rule("rotation", _SQUARE), Rule("path", STRING)),
    "bijection": (Rule("forward", ANY, must=EVERY), Rule("inverse", ANY, must=EVERY)),
    "sequence": (Rule("transformations", _list("transformations", ANY), must=EVERY),),
    "byDimension": (Rule("transformations", _list("objects", DIMENSIONS), must=EVERY),),
    "displacements": _FIELDS,
    "coordinates": _FIELDS,
}
PARAMETERS: Mapping[str, Mapping[str, Sequence[Rule]]] = {
    "transformation": _VECTORS,
    "part": _VECTORS,
    "level transformation": {
        "scale": _VECTORS["scale"],
        "sequence": (Rule("transformations", _list("scale, translation", PART, 2, 2), must=EVERY),),
    },
    "link": _EVERYTHING,
    "any": _EVERYTHING,
}
"""More rows for objects whose ``type`` is the second key."""

EITHER = {
    "affine": (1, ("affine", "path")),
    "rotation": (1, ("rotation", "path")),
    "projectAxis": (2, ("droppedInputs", "createdOutputs")),
}
"""Types of transformations that have at least one of these keys, and at most so many."""


class Node(NamedTuple):
    """A value, where it stands, and what it has to be."""

    where: str
    value: Any
    kind: Kind
    section: str
    lax: bool = False


def _walk(ome: JSON, version: str) -> Iterator[Problem]:
    """Yield what the rows and functions say; with a stack, as JSON may be nested deeper than functions can be."""
    todo = [Node("", ome, _object("ome"), "multiscales")]
    while todo:
        node = todo.pop()
        if isinstance(node.value, float) and not isfinite(node.value):
            continue  # `_finite` has said so
        if not node.kind.holds(node.value):
            message = f"is {_given(node.value)}; it {'should' if node.lax else 'must'} be {node.kind.what}"
            yield Problem(node.where, message, node.lax, node.section)
            continue
        yield from _missing(node, version)
        for versions, function in CHECKS.get(node.kind.fields, ()):
            yield from function(node.value, node.where, version) if version in versions else ()
        todo.extend(reversed([*_children(node, version)]))


def _missing(node: Node, version: str) -> Iterator[Problem]:
    for rule in _rules(node, version):
        needed = version in rule.must or version in rule.should
        if needed and rule.key not in node.value:
            warning = version not in rule.must
            message = f"is missing; it {'should' if warning else 'must'} be {rule.kind.what}"
            yield Problem(_at(node.where, rule.key), message, warning, rule.section or node.section)


def _children(node: Node, version: str) -> Iterator[Node]:
    if node.kind.items:
        for i, item in enumerate(node.value):
            yield node._replace(where=_at(node.where, i), value=item, kind=node.kind.items)
    for rule in _rules(node, version):
        if rule.key in node.value:
            section, lax = rule.section or node.section, version in rule.lax
            yield Node(_at(node.where, rule.key), node.value[rule.key], rule.kind, section, lax)


def _rules(node: Node, version: str) -> Iterator[Rule]:
    if node.kind.fields:
        more = PARAMETERS.get(node.kind.fields, {}).get(_type(node.value), ())
        rules = (*OBJECTS[node.kind.fields], *more)
        yield from (rule for rule in rules if version in rule.versions)


def _at(where: str, key: str | int) -> str:
    return f"{where}/{key}" if where else str(key)


def _given(value: Any) -> str:
    """Return a value as messages show it: short, and without looking into what may be nested too deeply."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}…"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if _is_list(value):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool | None):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    return f"{value!r}" if isinstance(value, int | float) else f"of type {type(value).__name__}, which is no JSON"


def _type(value: JSON) -> str:
    """Return the type that an object says it has, "" for none."""
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def _items(value: JSON, key: str) -> Sequence[Any]:
    items = value.get(key)
    return items if isinstance(items, list | tuple) else ()


def _objects(value: JSON, key: str, where: str = "") -> list[tuple[str, JSON]]:
    """Return the objects of a list, with their addresses."""
    items = enumerate(_items(value, key))
    return [(f"{_at(where, key)}/{i}", item) for i, item in items if isinstance(item, Mapping)]


def _texts(value: JSON, items: str, key: str) -> list[str]:
    return [item[key] for _, item in _objects(value, items) if isinstance(item.get(key), str)]


# The group as a whole


def _finite(attributes: JSON) -> Iterator[Problem]:
    todo = [("" if key == "ome" else str(key), value) for key, value in attributes.items()][::-1]
    while todo:
        where, value = todo.pop()
        if isinstance(value, float) and not isfinite(value):
            yield Problem(where, f"{value} is no JSON; readers that keep to it can't open the group")
        elif isinstance(value, Mapping) or _is_list(value):
            pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            todo.extend((_at(where, key), item) for key, item in reversed(pairs))


def _placed(attributes: JSON, version: str) -> Iterator[Problem]:
    ome = attributes.get("ome")
    inside = [key for key in OME_KEYS if isinstance(ome, Mapping) and key in ome]
    outside = [key for key in OME_KEYS if key in attributes]
    if version not in UNDER_OME:
        if inside:
            yield Problem("ome", f"{inside[0]!r} of {version} must stand at the top level", bool(outside), "version")
        return
    for key in outside:
        yield Problem(key, f"stands at the top level; {version} has it under 'ome'", bool(inside), "version")
    if "ome" in attributes and not isinstance(ome, Mapping):
        yield Problem("ome", f"is {_given(ome)}; it must be an object", section="version")
    elif "ome" not in attributes and not outside:
        yield Problem("ome", f"is missing; {version} has all metadata in this object", section="version")


def _complete(ome: JSON, version: str, label: bool) -> Iterator[Problem]:
    """Yield what the group has to hold."""
    known = [rule.key for rule in OBJECTS["ome"] if version in rule.versions and rule.key != "version"]
    if not label and not any(key in ome for key in known):
        where = "ome" if version in UNDER_OME else "attributes"
        yield Problem(where, f"there is none of {', '.join(known)}; the group is no OME-Zarr", section="multiscales")
    of_image = [key for key in OF_AN_IMAGE if key in ome]
    if (of_image or label) and "multiscales" not in ome:
        what = f"{of_image[0]!r} describes an image" if of_image else "a label image is an image"
        yield Problem("multiscales", f"is missing; {what}", section="multiscales")
    if label and version in UNDER_OME and "image-label" not in ome:
        yield Problem("image-label", "is missing; it should say that this is a label image", True, "image-label")


# What a row can't say: functions of an object, its address and the version

Findings = Iterator[Problem]


def _unique(fields: str) -> Callable[[JSON, str, str], Findings]:
    """Return the check of those rows of `UNIQUE` that are of an object."""

    def repeated(value: JSON, where: str, version: str) -> Findings:
        for row in UNIQUE:
            if row.fields == fields and version in row.versions:
                yield from _repeated(value, where, row)

    return repeated


class Unique(NamedTuple):
    """A list whose items, or a key of theirs, have to differ."""

    fields: str
    items: str
    key: str
    section: str
    versions: Versions = EVERY


UNIQUE = (
    Unique("ome", "labels", "", "labels"),
    Unique("multiscale", "datasets", "path", "multiscales"),
    Unique("multiscale", "axes", "", "axes", _only("0.3")),
    Unique("multiscale", "axes", "name", "axes", OF_LEVELS),
    Unique("multiscale", "coordinateSystems", "name", "coordinateSystems", _only("0.6")),
    Unique("coordinateSystem", "axes", "name", "axes"),
    Unique("image-label", "colors", "label-value", "image-label"),
    Unique("image-label", "properties", "label-value", "image-label", _since("0.2")),
    Unique("plate", "rows", "name", "plate"),
    Unique("plate", "columns", "name", "plate"),
    Unique("plate", "wells", "path", "plate"),
    Unique("plate", "acquisitions", "id", "plate"),
    Unique("well", "images", "path", "well"),
)


def _repeated(value: JSON, where: str, row: Unique) -> Findings:
    seen: dict[Any, str] = {}
    if row.key:
        pairs = [(f"{at}/{row.key}", item.get(row.key)) for at, item in _objects(value, row.items, where)]
    else:
        pairs = [(f"{_at(where, row.items)}/{i}", item) for i, item in enumerate(_items(value, row.items))]
    for at, item in pairs:
        if isinstance(item, str) or _is_number(item):
            if item in seen:
                yield Problem(
                    at, f"{_given(item)} stands at {seen[item]} already; each must differ", False, row.section
                )
            seen.setdefault(item, at)


def _multiscales_differ(ome: JSON, where: str, version: str) -> Findings:
    found = _objects(ome, "multiscales")
    for k, (at, multiscale) in enumerate(found):
        with suppress(RecursionError):
            if any(multiscale == other for _, other in found[:k]):
                yield Problem(at, "stands here twice; leave one out", section="multiscales")


def _array_dimensions(ome: JSON, where: str, version: str) -> Findings:
    names, multiscales = ome.get("_ARRAY_DIMENSIONS"), _objects(ome, "multiscales")
    axes = list(_items(multiscales[0][1], "axes")) if multiscales else []
    if axes and all(isinstance(name, str) for name in axes) and _is_list(names) and list(names or ()) != axes:
        yield Problem("_ARRAY_DIMENSIONS", f"differ from the axes {_given(''.join(axes))}", True, "axes")


def _axes_in_order(multiscale: JSON, where: str, version: str) -> Findings:
    names = [name for name in _items(multiscale, "axes") if name in tuple("tczyx")]
    if names != sorted(names, key="tczyx".index):
        message = f"{''.join(names)!r} must be in the order tczyx; transpose the image to match"
        yield Problem(_at(where, "axes"), message, section="axes")


ARRAY_AXES = _only("0.6")
"""Versions that know axes of type "array", for which the rules of images don't hold."""


def _axes(value: JSON, where: str, version: str) -> Findings:
    """Yield what is wrong with the number and order of the types of axes; axes of arrays are free."""
    kinds = [_type(axis) for _, axis in _objects(value, "axes")]
    if not kinds or (kinds.count("array") >= 2 and version in ARRAY_AXES):
        yield from _mixed(kinds, where)
        return
    space, time = kinds.count("space"), kinds.count("time")
    if not 2 <= space <= 3:
        yield Problem(_at(where, "axes"), f"{space} are of space; an image has 2 or 3", section="axes")
    elif time > 1 or len(kinds) - time - space > 1:
        message = f"at most one is of time, and one of channel or another type; not {', '.join(map(_given, kinds))}"
        yield Problem(_at(where, "axes"), message, section="axes")
    else:
        yield from _order_of_axes(value, where)


def _mixed(kinds: list[str], where: str) -> Findings:
    if 2 <= kinds.count("space") <= 3:
        yield Problem(_at(where, "axes"), "axes of arrays and of space don't stand together", section="axes")


def _order_of_axes(value: JSON, where: str) -> Findings:
    axes = [axis for _, axis in _objects(value, "axes")]
    ranks = [TYPE_RANKS.get(_type(axis), 1) for axis in axes]
    space = [axis.get("name") for axis in axes if _type(axis) == "space"]
    known = [name for name in space if name in ("z", "y", "x")]
    if ranks != sorted(ranks):
        message = "must be in the order time, channel, space; transpose the image to match"
        yield Problem(_at(where, "axes"), message, section="axes")
    elif known != sorted(known, reverse=True):
        yield Problem(_at(where, "axes"), "of space should be in the order z, y, x", True, "axes")


def _unit(axis: JSON, where: str, version: str) -> Findings:
    unit, units = axis.get("unit"), UNITS.get(_type(axis))
    example = {"space": "micrometer", "time": "second"}.get(_type(axis))
    if units and "unit" not in axis:
        yield Problem(_at(where, "unit"), f"is missing; it should be there, as in {example!r}", True, "axes")
    elif unit == "":
        yield Problem(_at(where, "unit"), "is empty; leave it out, as readers fail on it", True, "axes")
    elif units and isinstance(unit, str) and unit not in units:
        message = f"{_given(unit)} is no unit of {_type(axis)} that UDUNITS knows; write it out, as in {example!r}"
        yield Problem(_at(where, "unit"), message, True, "axes")


def _ordered(*kinds: Sequence[str], key: str = TRANSFORMS) -> Callable[[JSON, str, str], Findings]:
    """Return the check that the transformations under a key are of these types, in this order."""

    def ordered(value: JSON, where: str, version: str) -> Findings:
        found = [_type(item) for _, item in _objects(value, key)]
        if found and set(found) <= {"scale", "translation"} and found not in [list(kind) for kind in kinds]:
            wanted = " or ".join(", ".join(kind) for kind in kinds)
            yield Problem(_at(where, key), f"must be {wanted}; not {', '.join(found)}", section=TRANSFORMS)

    return ordered


def _pair(transformation: JSON, where: str, version: str) -> Findings:
    if _type(transformation) == "sequence" and len(_items(transformation, "transformations")) == 2:
        yield from _ordered(("scale", "translation"), key="transformations")(transformation, where, version)


def _vectors(value: JSON, where: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield scales and translations, also those in a sequence, with their addresses."""
    for at, item in _objects(value, TRANSFORMS, where):
        parts = _objects(item, "transformations", at) if _type(item) == "sequence" else [(at, item)]
        for inside, part in parts:
            kind = _type(part)
            if kind in _VECTORS and _is_list(part.get(kind)):
                yield f"{inside}/{kind}", part[kind]


def _lengths(multiscale: JSON, where: str, version: str) -> Findings:
    """Vectors have a number for each axis (0.4 and 0.5)."""
    n = len(_items(multiscale, "axes"))
    for at, value in ((where, multiscale), *_objects(multiscale, "datasets", where)):
        yield from _of_length(n, _vectors(value, at))


def _of_length(n: int, vectors: Iterable[tuple[str, Sequence[Any]]]) -> Findings:
    """Yield which vectors are of another length, if there are axes at all."""
    for at, vector in vectors:
        if n and len(vector) != n:
            yield Problem(at, f"has {len(vector)} values, but there are {n} axes", section=TRANSFORMS)


def _fine_to_coarse(multiscale: JSON, where: str, version: str) -> Findings:
    levels = [(at, _scale_of(dataset, at)) for at, dataset in _objects(multiscale, "datasets", where)]
    for (_, fine), (at, coarse) in pairwise(levels):
        smaller = [b < a for a, b in zip(fine, coarse, strict=False)]
        if any(smaller) and not any(b > a for a, b in zip(fine, coarse, strict=False)):
            yield Problem(at, "is finer than the level before; the finest must be first", section="multiscales")


def _scale_of(dataset: JSON, where: str) -> Sequence[Any]:
    found = [vector for at, vector in _vectors(dataset, where) if at.endswith("/scale")]
    return found[0] if len(found) == 1 and all(map(SIZE.holds, found[0])) else ()


def _linked(value: JSON) -> list[tuple[str, JSON, Any, Any]]:
    """Return the transformations of an object with their addresses, inputs and outputs, where these are objects."""
    found = [(at, item, item.get("input"), item.get("output")) for at, item in _objects(value, TRANSFORMS)]
    return [row for row in found if isinstance(row[2], Mapping) and isinstance(row[3], Mapping)]


def _outputs(multiscale: JSON) -> list[tuple[str, str]]:
    """Return the name of the coordinate system that each level ends in, with its address."""
    datasets = _objects(multiscale, "datasets")
    found = [(f"{at}/{way}/output/name", out.get("name")) for at, d in datasets for way, _, _, out in _linked(d)]
    return [(at, name) for at, name in found if isinstance(name, str)]


def _level_ends(multiscale: JSON, where: str, version: str) -> Findings:
    """The input is the level itself, the output one coordinate system of the image, the same for all levels (0.6)."""
    systems, outputs = _texts(multiscale, "coordinateSystems", "name"), _outputs(multiscale)
    for at, name in outputs:
        if systems and name not in systems:
            yield Problem(_at(where, at), f"{_given(name)} is no coordinate system of the image", section=TRANSFORMS)
        elif outputs[0][1] in systems and name != outputs[0][1]:
            first = f"{_given(outputs[0][1])}, that of the first level"
            yield Problem(_at(where, at), f"{_given(name)} is not {first}", section=TRANSFORMS)


def _level_input(dataset: JSON, where: str, version: str) -> Findings:
    path = dataset.get("path")
    for at, _, source, _ in _linked(dataset):
        given = source.get("path")
        if isinstance(path, str) and isinstance(given, str) and given != path:
            message = f"{_given(given)} is not the path of the level, {_given(path)}"
            yield Problem(f"{_at(where, at)}/input/path", message, section=TRANSFORMS)


def _level_lengths(multiscale: JSON, where: str, version: str) -> Findings:
    """Vectors have a number for each axis of the coordinate system (0.6)."""
    systems = _objects(multiscale, "coordinateSystems")
    ndims = {s["name"]: len(_items(s, "axes")) for _, s in systems if isinstance(s.get("name"), str)}
    for at, dataset in _objects(multiscale, "datasets", where):
        names = [output.get("name") for _, _, _, output in _linked(dataset)]
        n = ndims.get(names[0], 0) if names and isinstance(names[0], str) else 0
        yield from _of_length(n, _vectors(dataset, at))
    for at, item, source, _ in _linked(multiscale):
        name, kind = source.get("name"), _type(item)
        n = ndims.get(name, 0) if isinstance(name, str) and "path" not in source else 0
        if kind in _VECTORS and _is_list(item.get(kind)):
            yield from _of_length(n, [(f"{_at(where, at)}/{kind}", item[kind])])


def _link_ends(multiscale: JSON, where: str, version: str) -> Findings:
    """Coordinate systems that transformations name are there, unless in another image (0.6)."""
    systems = _texts(multiscale, "coordinateSystems", "name")
    for at, _, *ends in _linked(multiscale):
        for side, end in zip(("input", "output"), ends, strict=True):
            name = end.get("name")
            if isinstance(name, str) and "path" not in end and systems and name not in systems:
                message = f"{_given(name)} is no coordinate system of the image"
                yield Problem(f"{_at(where, at)}/{side}/name", message, section=TRANSFORMS)


def _connected(multiscale: JSON, where: str, version: str) -> Findings:
    """Each coordinate system can be reached from that of the levels (0.6)."""
    outputs = [name for _, name in _outputs(multiscale)]
    if not outputs:
        return
    ends = [(source.get("name"), output.get("name")) for _, _, source, output in _linked(multiscale)]
    reached = _reached(set(outputs), [(a, b) for a, b in ends if isinstance(a, str) and isinstance(b, str)])
    for at, system in _objects(multiscale, "coordinateSystems", where):
        name = system.get("name")
        if isinstance(name, str) and name and name not in reached:
            message = f"no coordinateTransformations connect {_given(name)} to that of the levels"
            yield Problem(at, message, section="coordinateSystems")


def _reached(start: set[str], edges: Sequence[tuple[str, str]]) -> set[str]:
    beside: dict[str, list[str]] = {}
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    todo, reached = list(start), set(start)
    while todo:
        new = set(beside.get(todo.pop(), ())) - reached
        reached |= new
        todo.extend(new)
    return reached


def _either(transformation: JSON, where: str, version: str) -> Findings:
    most, keys = EITHER.get(_type(transformation), (0, ()))
    if keys and not 1 <= sum(key in transformation for key in keys) <= most:
        yield Problem(where, f"must have {'either ' if most == 1 else ''}{' or '.join(keys)}", section=TRANSFORMS)


def _names_in_case(plate: JSON, where: str, version: str) -> Findings:
    for key in ("rows", "columns"):
        names = set(_texts(plate, key, "name"))
        folded = Counter(name.casefold() for name in names)
        for at, item in _objects(plate, key, where):
            name = item.get("name")
            if isinstance(name, str) and folded[name.casefold()] > 1:
                message = f"{_given(name)} and another differ only in case; some file systems take them for one"
                yield Problem(f"{at}/name", message, True, "plate")


FREE_PATHS = _until("0.3")
"""Versions whose text does not tie the path of a well to its row and column."""


def _wells(plate: JSON, where: str, version: str) -> Findings:
    sides = [("row", _texts(plate, "rows", "name")), ("column", _texts(plate, "columns", "name"))]
    for at, well in _objects(plate, "wells", where):
        path = well.get("path")
        names = path.split("/") if isinstance(path, str) else []
        if len(names) == 2 or (len(names) > 2 and version in FREE_PATHS):
            for name, (side, known) in zip(names[-2:], sides, strict=True):
                yield from _well(well, at, version, name, side, known)


def _well(well: JSON, where: str, version: str, name: str, side: str, known: list[str]) -> Findings:
    index = well.get(f"{side}Index")
    if name not in known and known:
        message = f"{_given(name)} is no {side} of the plate"
        yield Problem(f"{where}/path", message, version in FREE_PATHS, "plate")
    elif version not in FREE_PATHS and INDEX.holds(index) and known and index != known.index(name):
        message = f"is {_given(index)}, but {side} {_given(name)} is {known.index(name)}, counted from 0"
        yield Problem(f"{where}/{side}Index", message, section="plate")


SAYING_ACQUISITION = _since("0.4")
"""Versions where it is a MUST."""


def _acquisitions(well: JSON, where: str, version: str) -> Findings:
    """Where a plate has several acquisitions, images say theirs; a well alone shows that only if others do."""
    images = _objects(well, "images", where)
    given = {image["acquisition"] for _, image in images if _is_integer(image.get("acquisition"))}
    several = len(given) > 1 and version in SAYING_ACQUISITION
    for at, image in images if given else ():
        if "acquisition" not in image:
            message = f"is missing; it {'must' if several else 'should'} be there, as other images have it"
            yield Problem(f"{at}/acquisition", message, not several, "well")


Check = tuple[Versions, Callable[[JSON, str, str], Findings]]
_ONE_SCALE = _ordered(("scale",), ("scale", "translation"))
CHECKS: Mapping[str, Sequence[Check]] = {
    "ome": ((EVERY, _unique("ome")), (EVERY, _multiscales_differ), (_only("0.3"), _array_dimensions)),
    "multiscale": (
        (EVERY, _unique("multiscale")),
        (_only("0.3"), _axes_in_order),
        (OF_LEVELS, _axes),
        (OF_LEVELS, _ONE_SCALE),
        (OF_LEVELS, _lengths),
        (_since("0.4"), _fine_to_coarse),
        (_only("0.6"), _level_ends),
        (_only("0.6"), _level_lengths),
        (_only("0.6"), _link_ends),
        (_only("0.6"), _connected),
    ),
    "dataset": ((OF_LEVELS, _ONE_SCALE), (_only("0.6"), _level_input)),
    "axis": ((EVERY, _unit),),
    "coordinateSystem": ((EVERY, _unique("coordinateSystem")), (EVERY, _axes)),
    "level transformation": ((EVERY, _pair),),
    "link": ((EVERY, _either),),
    "any": ((EVERY, _either),),
    "image-label": ((EVERY, _unique("image-label")),),
    "plate": ((EVERY, _unique("plate")), (EVERY, _names_in_case), (EVERY, _wells)),
    "well": ((EVERY, _unique("well")), (EVERY, _acquisitions)),
}
"""For each object the functions that look at more than one of its keys, and in which versions."""
