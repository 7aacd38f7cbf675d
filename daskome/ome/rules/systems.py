"""Rules of coordinate systems and of the transformations between them (0.6), and of vectors (0.4 and newer)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from daskome.model.json_values import JSONObject, is_list, shown_value
from daskome.model.problem import Problem
from daskome.ome.image_label import LABELS
from daskome.ome.metadata import TRANSFORMS
from daskome.ome.rules.addresses import items_of, key_address, objects_of, texts_of, type_of
from daskome.ome.rules.dimensions import checked_dimensions
from daskome.ome.rules.objects import EITHER, VECTORS
from daskome.ome.versions import Version

Findings = Iterator[Problem]
TO_LABELS = ("identity", "scale", "translation", "sequence")
"""The types of transformations between an image and its labels; a sequence is one of a scale and a translation."""


def vectors_in(value: JSONObject, where: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield scales and translations, also those in a sequence, with their addresses."""
    for at, item in objects_of(value, TRANSFORMS, where):
        parts = objects_of(item, "transformations", at) if type_of(item) == "sequence" else [(at, item)]
        for inside, part in parts:
            kind = type_of(part)
            if kind in VECTORS and is_list(part.get(kind)):
                yield f"{inside}/{kind}", part[kind]


def of_length(n: int, vectors: Iterable[tuple[str, Sequence[Any]]]) -> Findings:
    """Yield which vectors are of another length, if there are axes at all."""
    for at, vector in vectors:
        if n and len(vector) != n:
            yield Problem(at, f"has {len(vector)} values, but there are {n} axes", section=TRANSFORMS)


class End(NamedTuple):
    """What a transformation starts from or leads to: a coordinate system by name, perhaps of a group below."""

    name: str | None
    path: str | None

    @property
    def here(self) -> bool:
        """Whether it is a coordinate system of the same group."""
        return self.path is None and self.name is not None


class Link(NamedTuple):
    """A transformation from one coordinate system or level to another: its address, itself, and its two ends."""

    where: str
    transform: JSONObject
    input: End
    output: End

    @property
    def ends(self) -> tuple[tuple[str, End], tuple[str, End]]:
        """Both ends, with their keys."""
        return ("input", self.input), ("output", self.output)


def links_of(value: JSONObject) -> list[Link]:
    """Return the transformations of an object whose input and output are objects."""
    return [
        Link(where, item, _end(item["input"]), _end(item["output"]))
        for where, item in objects_of(value, TRANSFORMS)
        if isinstance(item.get("input"), Mapping) and isinstance(item.get("output"), Mapping)
    ]


def _end(stored: JSONObject) -> End:
    name, path = stored.get("name"), stored.get("path")
    return End(name if isinstance(name, str) else None, path if isinstance(path, str) else None)


def ndims_of(value: JSONObject) -> dict[str, int]:
    """Return the number of axes of each coordinate system, by name."""
    systems = objects_of(value, "coordinateSystems")
    return {s["name"]: len(items_of(s, "axes")) for _, s in systems[::-1] if isinstance(s.get("name"), str)}


def _outputs(multiscale: JSONObject) -> list[tuple[str, str]]:
    """Return the name of the coordinate system that each level ends in, with its address."""
    datasets = objects_of(multiscale, "datasets")
    pairs = [(f"{at}/{link.where}/output/name", link.output.name) for at, d in datasets for link in links_of(d)]
    return [(at, name) for at, name in pairs if name is not None]


def level_ends(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """The input is the level itself, the output one coordinate system of the image, the same for all levels."""
    systems, outputs = texts_of(multiscale, "coordinateSystems", "name"), _outputs(multiscale)
    for at, name in outputs:
        if systems and name not in systems:
            yield _unknown(key_address(where, at), name, "the image")
        elif outputs[0][1] in systems and name != outputs[0][1]:
            first = f"{shown_value(outputs[0][1])}, that of the first level"
            yield Problem(key_address(where, at), f"{shown_value(name)} is not {first}", section=TRANSFORMS)


def _unknown(where: str, name: str, owner: str) -> Problem:
    return Problem(where, f"{shown_value(name)} is not a coordinate system of {owner}", section=TRANSFORMS)


def level_input(dataset: JSONObject, where: str, version: Version) -> Findings:
    """The input of a level is the level."""
    path = dataset.get("path")
    for link in links_of(dataset):
        stated = link.input.path
        if isinstance(path, str) and stated is not None and stated != path:
            message = f"{shown_value(stated)} is not the path of the level, {shown_value(path)}"
            yield Problem(f"{key_address(where, link.where)}/input/path", message, section=TRANSFORMS)


def level_lengths(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """Vectors of levels have a number for each axis of their coordinate system."""
    ndims = ndims_of(multiscale)
    for at, dataset in objects_of(multiscale, "datasets", where):
        names = [link.output.name for link in links_of(dataset)]
        yield from of_length(ndims.get(names[0] or "", 0) if names else 0, vectors_in(dataset, at))


def link_ends(owner: str) -> Callable[[JSONObject, str, Version], Findings]:
    """Return the check that coordinate systems that transformations name are there, unless in another image."""

    def check(value: JSONObject, where: str, version: Version) -> Findings:
        known = texts_of(value, "coordinateSystems", "name")
        for link in links_of(value):
            for side, end in link.ends:
                if end.here and end.name not in known:
                    yield _unknown(f"{key_address(where, link.where)}/{side}/name", end.name or "", owner)

    return check


def link_dimensions(value: JSONObject, where: str, version: Version) -> Findings:
    """Transformations fit the axes of the coordinate systems that they lead from and to."""
    ndims = ndims_of(value)
    for link in links_of(value):
        n, m = (ndims.get(end.name or "") or None if end.here else None for end in (link.input, link.output))
        yield from checked_dimensions(link.transform, key_address(where, link.where), n, m, version.name)


def from_intrinsic(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """One end of a transformation of an image is the system of its levels, the other one of it or of its labels."""
    intrinsic, known = [name for _, name in _outputs(multiscale)][:1], texts_of(multiscale, "coordinateSystems", "name")
    for link in links_of(multiscale) if intrinsic and intrinsic[0] in known else ():
        at = key_address(where, link.where)
        here = [end.name for _, end in link.ends if end.here]
        if intrinsic[0] not in here and all(name in known for name in here):
            message = f"neither input nor output is {shown_value(intrinsic[0])}, the coordinate system of the levels"
            yield Problem(at, message, section="multiscales")
        yield from _of_labels(link, at)


def _of_labels(link: Link, where: str) -> Findings:
    for side, end in link.ends:
        if end.path is not None and end.path.split("/")[0] != LABELS:
            message = f"{shown_value(end.path)} is not a label image below the image, such as 'labels/nuclei'"
            yield Problem(f"{where}/{side}/path", message, section="multiscales")
        elif end.path is not None and type_of(link.transform) not in TO_LABELS:
            message = f"is {type_of(link.transform)!r}; to labels it must be one of {', '.join(TO_LABELS)}"
            yield Problem(f"{where}/type", message, section="multiscales")


def connected(multiscale: JSONObject, where: str, version: Version) -> Findings:
    """Each coordinate system can be reached from that of the levels."""
    outputs = {name for _, name in _outputs(multiscale)}
    yield from _unreached(multiscale, where, {End(name, None) for name in outputs}, "that of the levels")


def scene_connected(scene: JSONObject, where: str, version: Version) -> Findings:
    """All coordinate systems and images of a scene are connected; those of one image are by themselves."""
    first = next((end for link in links_of(scene) for _, end in link.ends), None)
    if first is not None and not any(True for _ in link_ends("the scene")(scene, where, version)):
        yield from _unreached(scene, where, {_node(first)}, shown_value(first.path or first.name))


def _node(end: End) -> End:
    """Return what is connected in any case: all coordinate systems of an image below the group."""
    return end if end.path is None else End(None, end.path)


def _unreached(value: JSONObject, where: str, start: set[End], named: str) -> Findings:
    links = links_of(value) if start else []
    reached = _reached(start, [(_node(link.input), _node(link.output)) for link in links])
    for at, system in objects_of(value, "coordinateSystems", where):
        name = system.get("name")
        if start and isinstance(name, str) and name and End(name, None) not in reached:
            message = f"no coordinateTransformations connect {shown_value(name)} to {named}"
            yield Problem(at, message, section="coordinateSystems")
    apart = next((link for link in links if link.input.path is not None and _node(link.input) not in reached), None)
    if apart is not None:
        message = f"no coordinateTransformations connect {shown_value(apart.input.path)} to {named}"
        yield Problem(f"{key_address(where, apart.where)}/input", message, section="coordinateSystems")


def _reached(start: set[End], edges: Sequence[tuple[End, End]]) -> set[End]:
    beside: dict[End, list[End]] = {}
    for a, b in edges:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    todo, reached = list(start), set(start)
    while todo:
        new = set(beside.get(todo.pop(), ())) - reached
        reached |= new
        todo.extend(new)
    return reached


def either(transformation: JSONObject, where: str, version: Version) -> Findings:
    """Transformations whose parameters have several forms have one of them."""
    most, keys = EITHER.get(type_of(transformation), (0, ()))
    if keys and not 1 <= sum(key in transformation for key in keys) <= most:
        yield Problem(where, f"must have {'either ' if most == 1 else ''}{' or '.join(keys)}", section=TRANSFORMS)
