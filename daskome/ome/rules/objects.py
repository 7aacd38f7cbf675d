"""Tables of the objects of OME-Zarr: which keys each must, should and may have, and what these hold, per version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daskome.model.orientations import ANATOMICAL
from daskome.ome.metadata import TRANSFORMS
from daskome.ome.rules.values import (
    ALPHANUMERIC,
    AXIS_NAME,
    BOOLEAN,
    BYTE,
    COLOR,
    COUNT,
    FIELD,
    INDEX,
    INDICES,
    INPUT_OUTPUT,
    INSIDE,
    INTEGER,
    INTERPOLATION,
    KNOWN_ORIENTATION,
    LAYOUT,
    NAME,
    NUMBER,
    NUMBERS,
    RELATIVE,
    SCALE,
    STRING,
    WELL_PATH,
    Kind,
    absent,
    all_but,
    are_axes,
    is_draft_of,
    is_square,
    list_of,
    object_of,
    one_of,
    or_null,
    version_or_draft,
)
from daskome.ome.rules.versions import EVERY, KNOWN, NONE, Versions, only, since, until
from daskome.ome.versions import VERSIONS

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
        Rule("version", one_of(v), "", only(v), must, should, NONE if v in defined else only(v)) for v in KNOWN
    )


def _versions_of_root() -> Iterator[Rule]:
    """Yield the rows of versions that state themselves once; that a draft does is no error, but said."""
    for version in VERSIONS.values():
        if version.root:
            name = version_or_draft(version.name) if version.drafts else one_of(version.name)
            yield Rule("version", name, "version", only(version.name), must=since("0.6"))
        if version.drafts:
            released = all_but(f"{version.name!r}, that of the release", is_draft_of(version.name))
            yield Rule("version", released, "version", only(version.name), lax=EVERY)


SLOTS_4 = only("0.2", "0.3", "0.4")
OF_LEVELS = only("0.4", "0.5")
OF_TEXT = only("0.5", "0.6")
"""Those whose text asks for what their schemas do not."""
DATASETS = list_of("one or more datasets", object_of("dataset"), 1)
AXES = object_of("axis", "an object with name, type and unit")
TRANSFORMATION = object_of("transformation", "a transformation")
PART = object_of("part", "a transformation")
LEVEL = object_of("level transformation", "a transformation")
LINK = object_of("link", "a transformation")
ANY = object_of("any", "a transformation")
DIMENSIONS = object_of("dimensions", "an object")
TYPES_OF_TRANSFORMS = (
    "identity mapAxis projectAxis scale translation affine rotation bijection sequence byDimension displacements "
    "coordinates"
).split()
PLATE_NAMES = list_of("one or more objects with a name", object_of("plate name"), 1)
INPUT = object_of("input", "an object with the path of the level")
OUTPUT = object_of("output", "an object with the name of a coordinate system")
NOT_NULL = all_but("left out, rather than null", lambda value: value is None)
SYSTEM = object_of("system", "an object with the name of a coordinate system")
_AXES_OF_SYSTEMS = (
    Rule("axes", list_of("1 to 5 objects", AXES, 1, 5), "axes", until("0.6"), must=EVERY),
    Rule("axes", list_of("one or more objects", AXES, 1), "axes", since("0.9.dev1"), must=EVERY),
)
OBJECTS: Mapping[str, Sequence[Rule]] = {
    "ome": (
        *_versions_of_root(),
        Rule("multiscales", list_of("one or more objects", object_of("multiscale"), 1), "multiscales"),
        Rule("omero", object_of("omero"), "omero"),
        Rule("image-label", object_of("image-label"), "image-label"),
        Rule("labels", list_of("paths", INSIDE), "labels"),
        Rule("plate", object_of("plate"), "plate"),
        Rule("well", object_of("well"), "well"),
        Rule("bioformats2raw.layout", LAYOUT, "bioformats2raw", lax=until("0.3")),
        Rule("series", list_of("paths", INSIDE), "bioformats2raw", since("0.4")),
        Rule("scene", object_of("scene"), "scene", since("0.6")),
    ),
    "multiscale": (
        *_versions(until("0.4"), should=SLOTS_4),
        Rule("name", STRING, should=since("0.2")),
        Rule("type", STRING, should=since("0.2"), lax=EVERY),
        Rule("metadata", object_of("metadata"), should=since("0.2"), lax=since("0.2")),
        Rule("datasets", DATASETS, must=EVERY),
        Rule("axes", absent("images are tczyx"), "axes", until("0.2"), lax=EVERY),
        Rule("axes", list_of("2 to 5 names of axes", AXIS_NAME, 2, 5), "axes", only("0.3"), must=EVERY),
        Rule("axes", list_of("2 to 5 objects", AXES, 2, 5), "axes", OF_LEVELS, must=EVERY),
        Rule("axes", absent("they stand in coordinateSystems"), "axes", since("0.6"), lax=EVERY),
        Rule("coordinateSystems", absent("0.6 brings them"), "coordinateSystems", until("0.5"), lax=EVERY),
        Rule(
            "coordinateSystems",
            list_of("one or more objects with name and axes", object_of("coordinateSystem"), 1),
            "coordinateSystems",
            since("0.6"),
            must=EVERY,
        ),
        Rule(TRANSFORMS, absent("0.4 brings them"), TRANSFORMS, until("0.3"), lax=EVERY),
        Rule(TRANSFORMS, list_of("one or two transformations", TRANSFORMATION, 1), TRANSFORMS, OF_LEVELS),
        Rule(TRANSFORMS, list_of("one or more transformations", LINK, 1), TRANSFORMS, since("0.6")),
    ),
    "metadata": (
        Rule("method", STRING, lax=since("0.2")),
        Rule("version", STRING, lax=since("0.2")),
    ),
    "dataset": (
        Rule("path", INSIDE, must=EVERY),
        Rule(TRANSFORMS, absent("0.4 brings them"), TRANSFORMS, until("0.3"), lax=EVERY),
        Rule(TRANSFORMS, list_of("one or two transformations", TRANSFORMATION, 1), TRANSFORMS, OF_LEVELS, must=EVERY),
        Rule(TRANSFORMS, list_of("exactly one transformation", LEVEL, 1, 1), TRANSFORMS, since("0.6"), must=EVERY),
    ),
    "axis": (
        Rule("name", STRING, versions=OF_LEVELS, must=EVERY),
        Rule("name", NAME, versions=since("0.6"), must=EVERY),
        Rule("type", or_null(STRING), should=EVERY),
        Rule("type", NOT_NULL, lax=EVERY),
        Rule("unit", STRING, lax=until("0.5")),
        Rule("orientation", object_of("orientation", "an object with type and value"), lax=until("0.6")),
        Rule("discrete", BOOLEAN, versions=since("0.6")),
        Rule("longName", STRING, versions=since("0.6")),
    ),
    "orientation": (
        Rule("type", one_of(ANATOMICAL), must=since("0.9.dev1"), should=until("0.6"), lax=until("0.6")),
        Rule("value", KNOWN_ORIENTATION, must=since("0.9.dev1"), should=until("0.6"), lax=until("0.6")),
    ),
    "coordinateSystem": (Rule("name", NAME, must=EVERY), *_AXES_OF_SYSTEMS),
    "transformation": (Rule("type", one_of("scale", "translation"), must=EVERY),),
    "level transformation": (
        Rule("type", one_of("scale", "identity", "sequence"), must=EVERY),
        Rule("input", INPUT, must=EVERY),
        Rule("output", OUTPUT, must=EVERY),
        Rule("name", STRING),
    ),
    "part": (
        Rule("type", one_of("scale", "translation"), must=EVERY),
        Rule("input", absent(INPUT_OUTPUT), lax=EVERY),
        Rule("output", absent(INPUT_OUTPUT), lax=EVERY),
    ),
    "link": (
        Rule("type", one_of(*TYPES_OF_TRANSFORMS), must=EVERY),
        Rule("input", SYSTEM, must=EVERY),
        Rule("output", SYSTEM, must=EVERY),
        Rule("name", STRING),
    ),
    "any": (
        Rule("type", one_of(*TYPES_OF_TRANSFORMS), must=EVERY),
        Rule("input", absent(INPUT_OUTPUT), lax=EVERY),
        Rule("output", absent(INPUT_OUTPUT), lax=EVERY),
        Rule("name", STRING),
    ),
    "input": (
        Rule("path", STRING, must=EVERY),
        Rule("name", absent("a level has only a path"), lax=EVERY),
    ),
    "output": (
        Rule("name", STRING, must=EVERY),
        Rule("path", absent("the coordinate system is one of this image"), lax=EVERY),
    ),
    "system": (Rule("name", STRING, must=EVERY), Rule("path", or_null(STRING))),
    "dimensions": (
        Rule("transformation", ANY, must=EVERY),
        Rule("inputAxes", INDICES, must=EVERY),
        Rule("outputAxes", INDICES, must=EVERY),
    ),
    "scene": (
        Rule(TRANSFORMS, list_of("one or more transformations", LINK, 1), TRANSFORMS, must=EVERY),
        Rule(
            "coordinateSystems", list_of("objects with name and axes", object_of("scene system")), "coordinateSystems"
        ),
    ),
    "scene system": (Rule("name", NAME, must=EVERY), *_AXES_OF_SYSTEMS),
    "omero": (
        *_versions(until("0.4")),
        Rule("channels", list_of("objects with color and window", object_of("channel")), must=EVERY),
        Rule("rdefs", object_of("rdefs"), lax=EVERY),
    ),
    "channel": (
        # MUST in the text of 0.5 and 0.6, but not in their schemas, and images without are common.
        Rule("color", COLOR, must=until("0.4"), should=OF_TEXT),
        Rule("window", object_of("window", "an object of min, max, start, end"), must=until("0.4"), should=OF_TEXT),
        Rule("label", STRING),
        Rule("family", STRING, lax=since("0.9.dev1")),
        Rule("active", BOOLEAN),
        Rule("coefficient", NUMBER, lax=EVERY),
        Rule("inverted", BOOLEAN, lax=until("0.6")),
    ),
    "window": (
        *(Rule(key, NUMBER, must=EVERY) for key in ("start", "end")),
        *(Rule(key, NUMBER, must=until("0.6")) for key in ("min", "max")),
    ),
    "rdefs": (
        Rule("defaultT", INDEX, lax=EVERY),
        Rule("defaultZ", INDEX, lax=EVERY),
        Rule("model", one_of("color", "greyscale"), lax=EVERY),
    ),
    "image-label": (
        *_versions(until("0.5"), should=OF_LEVELS),
        Rule("colors", list_of("one or more objects with a label-value", object_of("color"), 1), should=since("0.4")),
        Rule(
            "properties", list_of("one or more objects with a label-value", object_of("property"), 1), "", since("0.2")
        ),
        Rule("source", object_of("source")),
    ),
    "color": (
        Rule("label-value", INTEGER, must=EVERY),
        Rule("rgba", list_of("4 integers from 0 to 255", BYTE, 4, 4)),
    ),
    "property": (Rule("label-value", INTEGER, must=EVERY),),
    "source": (Rule("image", RELATIVE),),
    "plate": (
        *_versions(until("0.5"), must=until("0.3") | {"0.5"}, should=only("0.4")),
        Rule("name", STRING, should=since("0.4")),
        Rule("field_count", COUNT, should=since("0.4"), lax=until("0.3")),
        Rule("rows", PLATE_NAMES, must=EVERY),
        Rule("columns", PLATE_NAMES, must=EVERY),
        Rule("wells", list_of("one or more objects with a path", object_of("plate well"), 1), must=EVERY),
        Rule("acquisitions", list_of("one or more objects with an id", object_of("acquisition"), 1), "", until("0.3")),
        Rule("acquisitions", list_of("objects with an id", object_of("acquisition")), "", since("0.4")),
    ),
    "plate name": (
        Rule("name", NAME, versions=until("0.3"), must=EVERY),
        Rule("name", ALPHANUMERIC, versions=since("0.4"), must=EVERY),
    ),
    "plate well": (
        Rule("path", INSIDE, versions=until("0.3"), must=EVERY),
        Rule("path", WELL_PATH, versions=since("0.4"), must=EVERY),
        Rule("rowIndex", INDEX, versions=since("0.4"), must=EVERY),
        Rule("columnIndex", INDEX, versions=since("0.4"), must=EVERY),
    ),
    "acquisition": (
        Rule("id", NUMBER, versions=only("0.1"), must=EVERY),
        Rule("id", INTEGER, versions=only("0.2", "0.3"), must=EVERY),
        Rule("id", INDEX, versions=since("0.4"), must=EVERY),
        Rule("name", STRING, should=EVERY),
        Rule("maximumfieldcount", NUMBER, versions=only("0.1"), should=EVERY),
        Rule("maximumfieldcount", INTEGER, versions=only("0.2", "0.3"), should=EVERY),
        Rule("maximumfieldcount", COUNT, versions=since("0.4"), should=EVERY),
        Rule("description", STRING, lax=EVERY),
        Rule("starttime", NUMBER, versions=only("0.1")),
        Rule("endtime", NUMBER, versions=only("0.1"), lax=EVERY),
        Rule("starttime", INDEX, versions=since("0.2")),
        Rule("endtime", INDEX, versions=since("0.2")),
    ),
    "well": (
        *_versions(until("0.5"), should=OF_LEVELS),
        Rule("images", list_of("one or more objects with a path", object_of("image"), 1), must=EVERY),
    ),
    "image": (
        Rule("path", ALPHANUMERIC, versions=until("0.5"), must=EVERY),
        Rule("path", FIELD, versions=since("0.6"), must=EVERY),
        Rule("acquisition", INTEGER, versions=until("0.3")),
        Rule("acquisition", INDEX, versions=since("0.4")),
    ),
}
"""Objects of the metadata, by the name that a `Kind` has for them."""
VECTORS = {
    "scale": (Rule("scale", SCALE, must=EVERY),),
    "translation": (Rule("translation", NUMBERS, must=EVERY),),
}
_FIELDS = (
    Rule("path", STRING, must=EVERY),
    Rule("interpolation", STRING),
    Rule(
        "interpolation",
        all_but(INTERPOLATION.what, lambda v: STRING.holds(v) and not INTERPOLATION.holds(v)),
        lax=EVERY,
    ),
)
_MATRIX = list_of("rows of numbers", NUMBERS)
_EVERYTHING = VECTORS | {
    "mapAxis": (
        Rule("mapAxis", Kind("2 to 5 different integers from 0 to 4", are_axes(2, 5)), "", until("0.6"), must=EVERY),
        Rule("mapAxis", Kind("different integers from 0", are_axes(0)), "", since("0.9.dev1"), must=EVERY),
    ),
    "projectAxis": tuple(
        rule
        for key in ("droppedInputs", "createdOutputs")
        for rule in (
            Rule(key, Kind("1 to 3 different integers from 0 to 4", are_axes(1, 3)), "", until("0.6")),
            Rule(key, Kind("one or more different integers from 0", are_axes(1)), "", since("0.9.dev1")),
        )
    ),
    "affine": (Rule("affine", _MATRIX), Rule("path", STRING)),
    "rotation": (
        Rule("rotation", Kind("a square of 2 to 5 rows of numbers", is_square(2, 5)), "", until("0.6")),
        Rule("rotation", Kind("a square of rows of numbers", is_square(1)), "", since("0.9.dev1")),
        Rule("path", STRING),
    ),
    "bijection": (Rule("forward", ANY, must=EVERY), Rule("inverse", ANY, must=EVERY)),
    "sequence": (Rule("transformations", list_of("one or more transformations", ANY, 1), must=EVERY),),
    "byDimension": (Rule("transformations", list_of("objects", DIMENSIONS), must=EVERY),),
    "displacements": _FIELDS,
    "coordinates": _FIELDS,
}
PARAMETERS: Mapping[str, Mapping[str, Sequence[Rule]]] = {
    "transformation": VECTORS,
    "part": VECTORS,
    "level transformation": {
        "scale": VECTORS["scale"],
        "sequence": (Rule("transformations", list_of("scale, translation", PART, 2, 2), must=EVERY),),
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
"""Types of transformations that have at least one of these keys, and the largest number of them."""
