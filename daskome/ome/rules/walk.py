"""Walk the attributes of a group along the tables, and yield what the specification forbids or advises against.

`validate` reads stored attributes with these rules, writers those they are about to write. Versions differ by the
sets in the rows only. Nothing raises, whatever JSON it is given: a value of the wrong type is a problem, and ends its
branch.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

from daskome.model.json_values import JSONObject, is_list, shown_value
from daskome.model.problem import Problem, errors
from daskome.ome.detect import OME_KEYS
from daskome.ome.rules.addresses import key_address, type_of
from daskome.ome.rules.agreement import AGREEMENT_CHECKS
from daskome.ome.rules.objects import OBJECTS, PARAMETERS, Rule
from daskome.ome.rules.values import Kind, object_of
from daskome.ome.versions import VERSIONS, Version

OF_AN_IMAGE = ("omero", "image-label")


def find_problems(attributes: JSONObject, version: str, *, label: bool = False) -> Iterator[Problem]:
    """Yield what the specification forbids, or advises against, in the attributes of one group.

    Parameters
    ----------
    attributes : dict
        As they are stored: those of 0.5 and later stand under ``ome``.
    version : str
        The name of the version to check against, such as "0.5".
    label : bool
        Whether the group is listed as a label image.

    Yields
    ------
    Problem
        With an address inside the OME-Zarr metadata; a warning where readers fail, or the word is SHOULD.

    Examples
    --------
    >>> for problem in find_problems({"well": {"images": [{"path": "A 1"}]}}, "0.4"):
    ...     print(problem.warning, problem)
    True well/version: is missing; it should be '0.4' (section 'well')
    False well/images/0/path: is 'A 1'; it must be letters and digits (section 'well')
    """
    row = VERSIONS.get(version) if isinstance(version, str) else None
    if row is None:
        yield Problem("version", f"{shown_value(version)} is not one of {', '.join(VERSIONS)}", section="version")
        return
    if not isinstance(attributes, Mapping):
        yield Problem("attributes", f"are {shown_value(attributes)}; they must be an object", section="multiscales")
        return
    yield from _finite(attributes)
    misplaced = list(_placed(attributes, row))
    yield from misplaced
    ome = attributes if row.root is None else attributes.get(row.root)
    if isinstance(ome, Mapping):
        ome = row.document.read(ome)
        yield from _walk(ome, row)
        # Keys in the wrong place are not reported as missing, too.
        yield from () if misplaced else _complete(ome, row, label)


def check_attributes(attributes: JSONObject, version: str) -> None:
    """Raise a ValueError that lists all that the specification forbids in the attributes of one group.

    Raises
    ------
    ValueError
        With one line for each `Problem` that is not a warning.

    Examples
    --------
    >>> check_attributes({"ome": {"version": "0.5", "labels": ["/nuclei"]}}, "0.5")
    Traceback (most recent call last):
    ValueError: labels/0: is '/nuclei'; it must be a path inside the group, such as 's0' (section 'labels')
    """
    forbidden = errors(find_problems(attributes, version))
    if forbidden:
        raise ValueError("\n".join(map(str, forbidden)))


class RuleNode(NamedTuple):
    """A value, where it stands, and what it has to be."""

    where: str
    value: Any
    kind: Kind
    section: str
    lax: bool = False


def _walk(ome: JSONObject, version: Version) -> Iterator[Problem]:
    """Yield what the rows and functions say; with a stack, as JSON may be nested deeper than functions can be."""
    todo = [RuleNode("", ome, object_of("ome"), "multiscales")]
    while todo:
        node = todo.pop()
        if isinstance(node.value, float) and not isfinite(node.value):
            continue  # Reported by `_finite`.
        if not node.kind.holds(node.value):
            message = f"is {shown_value(node.value)}; it {'should' if node.lax else 'must'} be {node.kind.what}"
            yield Problem(node.where, message, node.lax, node.section)
            continue
        yield from _missing(node, version)
        for versions, function in AGREEMENT_CHECKS.get(node.kind.fields, ()):
            yield from function(node.value, node.where, version) if version.name in versions else ()
        todo.extend(reversed([*_children(node, version)]))


def _missing(node: RuleNode, version: Version) -> Iterator[Problem]:
    for rule in _rules(node, version):
        needed = version.name in rule.must or version.name in rule.should
        if needed and rule.key not in node.value:
            warning = version.name not in rule.must
            message = f"is missing; it {'should' if warning else 'must'} be {rule.kind.what}"
            yield Problem(key_address(node.where, rule.key), message, warning, rule.section or node.section)


def _children(node: RuleNode, version: Version) -> Iterator[RuleNode]:
    if node.kind.items:
        for i, item in enumerate(node.value):
            yield node._replace(where=key_address(node.where, i), value=item, kind=node.kind.items)
    for rule in _rules(node, version):
        if rule.key in node.value:
            section, lax = rule.section or node.section, version.name in rule.lax
            yield RuleNode(key_address(node.where, rule.key), node.value[rule.key], rule.kind, section, lax)


def _rules(node: RuleNode, version: Version) -> Iterator[Rule]:
    if node.kind.fields:
        more = PARAMETERS.get(node.kind.fields, {}).get(type_of(node.value), ())
        rules = (*OBJECTS[node.kind.fields], *more)
        yield from (rule for rule in rules if version.name in rule.versions)


# The group as a whole


def _finite(attributes: JSONObject) -> Iterator[Problem]:
    todo = [("" if key == "ome" else str(key), value) for key, value in attributes.items()][::-1]
    while todo:
        where, value = todo.pop()
        if isinstance(value, float) and not isfinite(value):
            yield Problem(where, f"{value} is not valid JSON, and strict readers cannot open the group")
        elif isinstance(value, Mapping) or is_list(value):
            pairs = list(value.items() if isinstance(value, Mapping) else enumerate(value))
            todo.extend((key_address(where, key), item) for key, item in reversed(pairs))


def _placed(attributes: JSONObject, version: Version) -> Iterator[Problem]:
    ome = attributes.get("ome")
    inside = [key for key in OME_KEYS if isinstance(ome, Mapping) and key in ome]
    outside = [key for key in OME_KEYS if key in attributes]
    if version.root is None:
        if inside:
            yield Problem(
                "ome", f"{inside[0]!r} of {version.name} must stand at the top level", bool(outside), "version"
            )
        return
    for key in outside:
        yield Problem(key, f"stands at the top level; {version.name} has it under 'ome'", bool(inside), "version")
    if "ome" in attributes and not isinstance(ome, Mapping):
        yield Problem("ome", f"is {shown_value(ome)}; it must be an object", section="version")
    elif "ome" not in attributes and not outside:
        yield Problem("ome", f"is missing; {version.name} has all metadata in this object", section="version")


def _complete(ome: JSONObject, version: Version, label: bool) -> Iterator[Problem]:
    """Yield what the group has to hold."""
    known = [rule.key for rule in OBJECTS["ome"] if version.name in rule.versions and rule.key != "version"]
    if not label and not any(key in ome for key in known):
        where = version.root or "attributes"
        yield Problem(where, f"has none of {', '.join(known)}; the group is not OME-Zarr", section="multiscales")
    of_image = [key for key in OF_AN_IMAGE if key in ome]
    if (of_image or label) and "multiscales" not in ome:
        what = f"{of_image[0]!r} describes an image" if of_image else "a label image is an image"
        yield Problem("multiscales", f"is missing; {what}", section="multiscales")
    if label and version.root and "image-label" not in ome:
        yield Problem("image-label", "is missing; it should say that this is a label image", True, "image-label")
