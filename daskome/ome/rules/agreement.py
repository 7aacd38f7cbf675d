"""Rules that relate several keys of a document, as functions; `objects` has those of single keys as tables."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

from daskome.model.axes import UNITS
from daskome.model.json_values import JSONObject, is_integer, is_list, is_number, shown_value
from daskome.model.orientations import OrientedAxis, orientation_faults
from daskome.model.problem import Problem
from daskome.ome.axes_rule import FIXED_AXES, AxesFault, fixed_axes_fault, free_axes_fault, image_axes_fault
from daskome.ome.metadata import TRANSFORMS
from daskome.ome.rules.addresses import items_of, key_address, objects_of, texts_of, type_of
from daskome.ome.rules.objects import OF_LEVELS
from daskome.ome.rules.systems import (
    circles,
    connected,
    either,
    from_intrinsic,
    level_ends,
    level_input,
    level_lengths,
    link_dimensions,
    link_ends,
    links_of,
    of_length,
    scene_connected,
    vectors_in,
)
from daskome.ome.rules.values import INDEX, KNOWN_ORIENTATION, NAME, SIZE
from daskome.ome.rules.versions import EVERY, Versions, only, since
from daskome.ome.versions import Version

Findings = Iterator[Problem]


def _unique(fields: str) -> Callable[[JSONObject, str, Version], Findings]:
    """Return the check of those rows of `UNIQUE` that are of an object."""

    def repeated(value: JSONObject, where: str, version: Version) -> Findings:
        for row in UNIQUE:
            if row.fields == fields and version.name in row.versions:
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
    Unique("multiscale", "axes", "", "axes", only("0.3")),
    Unique("multiscale", "axes", "name", "axes", OF_LEVELS),
    Unique("multiscale", "coordinateSystems", "name", "coordinateSystems", since("0.6")),
    Unique("coordinateSystem", "axes", "name", "axes"),
    Unique("scene", "coordinateSystems", "name", "coordinateSystems"),
    Unique("image-label", "colors", "label-value", "image-label"),
    Unique("image-label", "properties", "label-value", "image-label", since("0.2")),
    Unique("plate", "rows", "name", "plate"),
    Unique("plate", "columns", "name", "plate"),
    Unique("plate", "wells", "path", "plate"),
    Unique("plate", "acquisitions", "id", "plate"),
    Unique("well", "images", "path", "well"),
)


def _repeated(value: JSONObject, where: str, row: Unique) -> Findings:
    seen: dict[Any, str] = {}
    if row.key:
        pairs = [(f"{at}/{row.key}", item.get(row.key)) for at, item in objects_of(value, row.items, where)]
    else:
        pairs = [(f"{key_address(where, row.items)}/{i}", item) for i, item in enumerate(items_of(value, row.items))]
    for at, item in pairs:
        if isinstance(item, str) or is_number(item):
            if item in seen:
                yield Problem(
                    at, f"{shown_value(item)} stands at {seen[item]} already; each must differ", False, row.section
                )
            seen.setdefault(item, at)


def _stated(ome: JSONObject, where: str, version: Version) -> Findings:
    """Schemas ask for a version (0.5); of lists of labels there is none, and the text only says where it stands."""
    if "version" not in ome:
        is_list_of_labels = "labels" in ome and not ome.keys() & {"multiscales", "plate", "well", "series"}
        message = f"is missing; it {'should' if is_list_of_labels else 'must'} be {version.name!r}"
        yield Problem("version", message, is_list_of_labels, "version")


def _multiscales_differ(ome: JSONObject, where: str, version: Version) -> Findings:
    found = objects_of(ome, "multiscales")
    for k, (at, multiscale) in enumerate(found):
        with suppress(RecursionError):
            if any(multiscale == other for _, other in found[:k]):
                yield Problem(at, "stands here twice; leave one out", section="multiscales")


def _array_dimensions(ome: JSONObject, where: str, version: Version) -> Findings:
    names, multiscales = ome.get("_ARRAY_DIMENSIONS"), objects_of(ome, "multiscales")
    axes = list(items_of(multiscales[0][1], "axes")) if multiscales else []
    if axes and all(isinstance(name, str) for name in axes) and is_list(names) and list(names or ()) != axes:
        yield Problem("_ARRAY_DIMENSIONS", f"differ from the axes {shown_value(''.join(axes))}", True, "axes")


def _fixed_axes(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """Axes are in order (0.3); that names are known, and differ, other rules say."""
    names = [name for name in items_of(multiscale, "axes") if isinstance(name, str) and name in FIXED_AXES]
    yield from _of_axes(where, fixed_axes_fault(names))


def _image_axes(value: JSONObject, where: str, version: Version) -> Findings:
    """Axes are those of an image, in number and order; axes of arrays are free (0.6), and then all are (0.9.dev1)."""
    if version.free_axes:
        return
    axes = [(axis.get("name"), type_of(axis)) for _, axis in objects_of(value, "axes")]
    kinds = [kind for _, kind in axes]
    of_arrays = version.array_axes and kinds.count("array") >= 2
    if of_arrays and 2 <= kinds.count("space") <= 3:
        yield from _of_axes(where, AxesFault("are of type 'array' and 'space'; an image has one or the other"))
    elif axes and not of_arrays:
        yield from _of_axes(where, image_axes_fault(axes))


def _usual_axes(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """Axes of space and time that most images have should have their usual names (0.9.dev1)."""
    ends = [link.output.name for _, dataset in objects_of(multiscale, "datasets") for link in links_of(dataset)]
    for at, system in objects_of(multiscale, "coordinateSystems", where):
        axes = [(axis.get("name"), type_of(axis)) for _, axis in objects_of(system, "axes")]
        if system.get("name") in ends and all(NAME.holds(name) for name, _ in axes):
            yield from _of_axes(at, free_axes_fault(axes))


def _of_axes(where: str, fault: AxesFault | None) -> Findings:
    if fault:
        yield Problem(key_address(where, "axes"), fault.message, fault.is_advice, "axes")


def _oriented(value: JSONObject, where: str, version: Version) -> Findings:
    """Only axes of space have an orientation, and each direction is that of one; older versions do not say so."""
    found = objects_of(value, "axes", where)
    axes = [OrientedAxis(axis.get("name"), type_of(axis), _orientation(axis)) for _, axis in found]
    for i, message in orientation_faults(axes):
        yield Problem(f"{found[i][0]}/orientation", message, not version.oriented, "axes")


def _orientation(axis: JSONObject) -> str | None:
    stated = axis.get("orientation")
    value = stated.get("value") if isinstance(stated, Mapping) else None
    return value if KNOWN_ORIENTATION.holds(value) else None


def _unit(axis: JSONObject, where: str, version: Version) -> Findings:
    unit, units = axis.get("unit"), UNITS.get(type_of(axis))
    example = {"space": "micrometer", "time": "second"}.get(type_of(axis))
    if units and "unit" not in axis:
        yield Problem(key_address(where, "unit"), f"is missing; it should be there, as in {example!r}", True, "axes")
    elif unit == "":
        yield Problem(key_address(where, "unit"), "is empty; leave it out, as readers fail on it", True, "axes")
    elif units and isinstance(unit, str) and unit not in units:
        message = (
            f"{shown_value(unit)} is not a unit of {type_of(axis)} that UDUNITS knows; write it out, as in {example!r}"
        )
        yield Problem(key_address(where, "unit"), message, True, "axes")


def _ordered(*kinds: Sequence[str], key: str = TRANSFORMS) -> Callable[[JSONObject, str, Version], Findings]:
    """Return the check that the transformations under a key are of these types, in this order."""

    def ordered(value: JSONObject, where: str, version: Version) -> Findings:
        found = [type_of(item) for _, item in objects_of(value, key)]
        if found and set(found) <= {"scale", "translation"} and found not in [list(kind) for kind in kinds]:
            wanted = " or ".join(", ".join(kind) for kind in kinds)
            yield Problem(key_address(where, key), f"must be {wanted}; not {', '.join(found)}", section=TRANSFORMS)

    return ordered


def _pair(transformation: JSONObject, where: str, version: Version) -> Findings:
    if type_of(transformation) == "sequence" and len(items_of(transformation, "transformations")) == 2:
        yield from _ordered(("scale", "translation"), key="transformations")(transformation, where, version)


def _lengths(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """Vectors have a number for each axis (0.4 and 0.5)."""
    n = len(items_of(multiscale, "axes"))
    for at, value in ((where, multiscale), *objects_of(multiscale, "datasets", where)):
        yield from of_length(n, vectors_in(value, at))


def _fine_to_coarse(multiscale: JSONObject, where: str, version: Version) -> Findings:
    levels = [(at, _scale_of(dataset, at)) for at, dataset in objects_of(multiscale, "datasets", where)]
    for (_, fine), (at, coarse) in pairwise(levels):
        smaller = [b < a for a, b in zip(fine, coarse, strict=False)]
        if any(smaller) and not any(b > a for a, b in zip(fine, coarse, strict=False)):
            yield Problem(at, "is finer than the level before; the finest must be first", section="multiscales")


def _scale_of(dataset: JSONObject, where: str) -> Sequence[Any]:
    found = [vector for at, vector in vectors_in(dataset, where) if at.endswith("/scale")]
    return found[0] if len(found) == 1 and all(map(SIZE.holds, found[0])) else ()


def _names_in_case(plate: JSONObject, where: str, version: Version) -> Findings:
    for key in ("rows", "columns"):
        names = set(texts_of(plate, key, "name"))
        folded = Counter(name.casefold() for name in names)
        for at, item in objects_of(plate, key, where):
            name = item.get("name")
            if isinstance(name, str) and folded[name.casefold()] > 1:
                message = f"{shown_value(name)} and another differ only in case; some file systems take them for one"
                yield Problem(f"{at}/name", message, True, "plate")


def _wells(plate: JSONObject, where: str, version: Version) -> Findings:
    sides = [("row", texts_of(plate, "rows", "name")), ("column", texts_of(plate, "columns", "name"))]
    for at, well in objects_of(plate, "wells", where):
        path = well.get("path")
        names = path.split("/") if isinstance(path, str) else []
        if len(names) == 2 or (len(names) > 2 and not version.indexed):
            for name, (side, known) in zip(names[-2:], sides, strict=True):
                yield from _well(well, at, version, name, side, known)


def _well(well: JSONObject, where: str, version: Version, name: str, side: str, known: list[str]) -> Findings:
    index = well.get(f"{side}Index")
    if name not in known and known:
        message = f"{shown_value(name)} is not a {side} of the plate"
        yield Problem(f"{where}/path", message, not version.indexed, "plate")
    elif version.indexed and INDEX.holds(index) and known and index != known.index(name):
        message = f"is {shown_value(index)}, but {side} {shown_value(name)} is {known.index(name)}, counted from 0"
        yield Problem(f"{where}/{side}Index", message, section="plate")


def _acquisitions(well: JSONObject, where: str, version: Version) -> Findings:
    """Where a plate has several acquisitions, images say theirs; a well alone shows that only if others do."""
    images = objects_of(well, "images", where)
    given = {image["acquisition"] for _, image in images if is_integer(image.get("acquisition"))}
    several = len(given) > 1 and version.named_acquisitions
    for at, image in images if given else ():
        if "acquisition" not in image:
            message = f"is missing; it {'must' if several else 'should'} be there, as other images have it"
            yield Problem(f"{at}/acquisition", message, not several, "well")


Check = tuple[Versions, Callable[[JSONObject, str, Version], Findings]]
_ONE_SCALE = _ordered(("scale",), ("scale", "translation"))
AGREEMENT_CHECKS: Mapping[str, Sequence[Check]] = {
    "ome": (
        (EVERY, _unique("ome")),
        (only("0.5"), _stated),
        (EVERY, _multiscales_differ),
        (only("0.3"), _array_dimensions),
    ),
    "multiscale": (
        (EVERY, _unique("multiscale")),
        (only("0.3"), _fixed_axes),
        (OF_LEVELS, _image_axes),
        (OF_LEVELS, _oriented),
        (OF_LEVELS, _ONE_SCALE),
        (OF_LEVELS, _lengths),
        (since("0.4"), _fine_to_coarse),
        (since("0.9.dev1"), _usual_axes),
        (since("0.6"), level_ends),
        (since("0.6"), level_lengths),
        (since("0.6"), link_ends("the image")),
        (since("0.6"), from_intrinsic),
        (since("0.6"), link_dimensions),
        (since("0.6"), connected),
        (since("0.6"), circles),
    ),
    "dataset": ((OF_LEVELS, _ONE_SCALE), (since("0.6"), level_input)),
    "axis": ((EVERY, _unit),),
    "coordinateSystem": ((EVERY, _unique("coordinateSystem")), (EVERY, _image_axes), (EVERY, _oriented)),
    "level transformation": ((EVERY, _pair),),
    "scene": (
        (EVERY, _unique("scene")),
        (EVERY, link_ends("the scene")),
        (EVERY, link_dimensions),
        (EVERY, scene_connected),
        (EVERY, circles),
    ),
    "scene system": ((EVERY, _unique("coordinateSystem")), (EVERY, _oriented)),
    "link": ((EVERY, either),),
    "any": ((EVERY, either),),
    "image-label": ((EVERY, _unique("image-label")),),
    "plate": ((EVERY, _unique("plate")), (EVERY, _names_in_case), (EVERY, _wells)),
    "well": ((EVERY, _unique("well")), (EVERY, _acquisitions)),
}
"""For each object the functions that look at more than one of its keys, and in which versions."""
