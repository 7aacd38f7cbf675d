"""The documents that a conversion writes, bottom up, and those it deletes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daskome.model.json_values import MALFORMED, JSONDict
from daskome.model.paths import depth_of, join_paths
from daskome.model.problem import Problem
from daskome.ome.detect import ome_keys
from daskome.ome.versions import Version
from daskome.stores.groups import ARRAY_DIMENSIONS
from daskome.upgrade.groups import GroupChange, is_below, upwards
from daskome.upgrade.tree import DOCUMENTS, V2_ALL, V2_ATTRIBUTES, V3, DocumentNode, Tree
from daskome.upgrade.zarr_v3 import to_zarr_v3

# ---- what is to be done


@dataclass(frozen=True, slots=True)
class Work:
    """Documents to write and to delete, both in stages: one stage is complete before the next begins.

    Attributes
    ----------
    writes : tuple of dict
        From keys to documents.
    deletes : tuple of tuple of str
        Keys.
    lines : tuple of str
        What that changes, in words.
    """

    writes: tuple[Mapping[str, JSONDict], ...] = ()
    deletes: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


def try_conversion(refusals: list[Problem], path: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns; turn what broken documents raise into problems of a node, and return None."""
    try:
        return call(*arguments)
    except MALFORMED as error:
        why = str(error) if isinstance(error, ValueError) else f"its documents cannot be read: {error!r}"
        refusals += [Problem(path or "root", line) for line in why.splitlines()]
        return None


# ---- in place: attributes only


def work_in_place(tree: Tree, groups: Sequence[GroupChange], target: Version, refusals: list[Problem]) -> Work:
    """Return the changes within a zarr format: axes of arrays, groups bottom-up, consolidated metadata."""
    arrays: dict[str, JSONDict] = {}
    for group in groups:
        names = group.names if group.changed else {}
        arrays |= {array: _named(tree, array, names[array], group.beside) for array in names if array in tree.nodes}
    new = {group.path: group.attributes for group in groups if group.changed}
    stages = [arrays, *_bottom_up({path: _with_attributes(tree, path, attributes) for path, attributes in new.items()})]
    writes = [_keyed(tree, stage) for stage in stages]
    consolidated = _consolidated(tree, {key: document for stage in writes for key, document in stage.items()})
    return Work(tuple(filter(None, [*writes, *consolidated])), _leftovers(tree))


def _named(tree: Tree, path: str, names: tuple[str, ...], beside: JSONDict) -> JSONDict:
    """Return the document of an array with the names of its axes, in the form of the target."""
    if tree.zarr_format == 3:
        return {**(tree.array(path) or {}), "dimension_names": list(names)}
    return {**tree.attributes(path), **beside}


def _with_attributes(tree: Tree, path: str, attributes: JSONDict) -> JSONDict:
    """Return the document that holds a group's attributes, with new ones."""
    return attributes if tree.zarr_format == 2 else {**tree.nodes[path].documents[V3], "attributes": attributes}


def _keyed(tree: Tree, documents: Mapping[str, JSONDict]) -> dict[str, JSONDict]:
    """Return, by key, the documents that differ from what is stored."""
    name = V2_ATTRIBUTES if tree.zarr_format == 2 else V3
    stored = {path: tree.nodes[path].documents.get(name, {}) for path in documents}
    return {join_paths(path, name): document for path, document in documents.items() if document != stored[path]}


def _bottom_up(documents: Mapping[str, JSONDict]) -> list[dict[str, JSONDict]]:
    """Return documents of groups by stages, the deepest first, the root last."""
    depths = sorted({depth_of(path) for path in documents}, reverse=True)
    return [{path: document for path, document in documents.items() if depth_of(path) == depth} for depth in depths]


def _consolidated(tree: Tree, written: Mapping[str, JSONDict]) -> list[dict[str, JSONDict]]:
    """Return the consolidated metadata of groups, bottom-up, brought up to date with what is written."""
    copies: dict[str, JSONDict] = {}
    for group in tree.groups:
        copy = (_consolidated_v2 if tree.zarr_format == 2 else _consolidated_v3)(tree, group, written)
        name = V2_ALL if tree.zarr_format == 2 else V3
        if copy is not None and copy != group.documents.get(name):
            copies[join_paths(group.path, name)] = copy
    deepest = sorted({depth_of(key) for key in copies}, reverse=True)
    return [{key: document for key, document in copies.items() if depth_of(key) == depth} for depth in deepest]


def _consolidated_v2(tree: Tree, group: DocumentNode, written: Mapping[str, JSONDict]) -> JSONDict | None:
    copies = group.documents.get(V2_ALL, {}).get("metadata")
    if not isinstance(copies, Mapping):
        return None
    of_attributes = {key: copy for key, copy in copies.items() if key.rpartition("/")[2] == V2_ATTRIBUTES}
    new = {key: _now(tree, join_paths(group.path, key), written, copy) for key, copy in of_attributes.items()}
    return {**group.documents[V2_ALL], "metadata": {**copies, **new}}


def _now(tree: Tree, key: str, written: Mapping[str, JSONDict], copy: Any) -> Any:
    """Return a document as it will be: as written, else as stored."""
    path, _, name = key.rpartition("/")
    node = tree.nodes.get(path)
    return written.get(key, copy if node is None else node.documents.get(name, copy))


def _consolidated_v3(tree: Tree, group: DocumentNode, written: Mapping[str, JSONDict]) -> JSONDict | None:
    consolidated = group.documents[V3].get("consolidated_metadata")
    copies = consolidated.get("metadata") if isinstance(consolidated, Mapping) else None
    if not isinstance(copies, Mapping):
        return None
    keys = {path: join_paths(group.path, path, V3) for path in copies}
    new = {path: {**copy, **_told_by(_now(tree, keys[path], written, copy))} for path, copy in copies.items()}
    document = written.get(join_paths(group.path, V3), group.documents[V3])
    return {**document, "consolidated_metadata": {**dict(consolidated or {}), "metadata": new}}


def _told_by(document: Mapping[str, Any]) -> JSONDict:
    return {key: document[key] for key in ("attributes", "dimension_names") if key in document}


def _leftovers(tree: Tree) -> tuple[tuple[str, ...], ...]:
    """Return the documents of v2 beside those of v3, root first."""
    return _deletions(tree, [path for path in tree.nodes if tree.zarr_format == 3])


def _deletions(tree: Tree, paths: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return documents of v2 to delete, top-down, and in each node in the order of `DOCUMENTS`."""
    keys: dict[tuple[int, int], list[str]] = {}
    for path in paths:
        for i, name in enumerate(DOCUMENTS[1:]):
            if name in tree.nodes[path].documents:
                keys.setdefault((depth_of(path), i), []).append(join_paths(path, name))
    return tuple(tuple(keys[stage]) for stage in sorted(keys))


# ---- from zarr v2 to v3


def upgrade_work(tree: Tree, groups: Sequence[GroupChange], target: Version, refusals: list[Problem]) -> Work:
    """Return the changes from zarr v2 to v3: documents of all arrays, then groups bottom-up, then deletions of v2."""
    names = {array: axes for group in groups for array, axes in group.names.items()}
    left = _left(tree, _own(groups))
    arrays = {
        node.path: try_conversion(refusals, node.path, _upgraded, tree, node.path, names.get(node.path))
        for node in tree.arrays
        if not is_below(node.path, left)
    }
    new = {group.path: _group_document(group.attributes) for group in groups if not is_below(group.path, left)}
    stages = [arrays, *_bottom_up(new)]
    writes = tuple({join_paths(path, V3): document for path, document in stage.items()} for stage in stages if stage)
    lines = tuple(f"{path}: left in zarr v2, as it is not OME-Zarr and {why}" for path, why in left.items())
    return Work(writes, _deletions(tree, [*arrays, *new]), lines)


def _upgraded(tree: Tree, path: str, names: Sequence[str] | None) -> JSONDict:
    """Return the zarr v3 document of an array; axes of arrays that are not levels keep their names."""
    zarray, zattrs = tree.array(path) or {}, tree.attributes(path)
    ndim = len(zarray.get("shape", ()))
    stated = zattrs.get(ARRAY_DIMENSIONS)
    known = names or (stated if isinstance(stated, list) and len(stated) == ndim else None)
    document = to_zarr_v3(zarray, known or [""] * ndim, zattrs)
    return document if known else {key: value for key, value in document.items() if key != "dimension_names"}


def _group_document(attributes: JSONDict) -> JSONDict:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _own(groups: Sequence[GroupChange]) -> set[str]:
    """Return the paths of all that is OME-Zarr, and of the groups above it."""
    paths = {path for group in groups if ome_keys(group.attributes) for path in (group.path, *group.names)}
    return {"", *(path[:i] for path in paths for i in range(len(path) + 1) if path[i : i + 1] in ("", "/"))}


def _left(tree: Tree, ome_paths: set[str]) -> dict[str, str]:
    """Return the paths to leave as they are, and why: not OME-Zarr, and not possible in v3, such as tables of text."""
    reasons: dict[str, str] = {}
    for node in tree.arrays:
        if node.path not in ome_paths:
            refusals: list[Problem] = []
            try_conversion(refusals, node.path, _upgraded, tree, node.path, None)
            top = next(path for path in upwards(node.path) if path.rpartition("/")[0] in ome_paths)
            reasons |= {top: str(refusals[0])} if refusals and top not in reasons else {}
    return reasons
