"""A stored hierarchy in another version of OME-Zarr: new documents for its groups and arrays, the chunks as they are.

First all is read, converted and checked; then documents are written in an order in which a reader sees the whole old
image, and after one write the whole new one. What a kill leaves is found and finished by the same call.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome import storage
from daskome.arrays import separator, upgraded
from daskome.conversion import converted
from daskome.journal import JOURNAL
from daskome.metadata import (
    KINDS,
    VERSIONS,
    Metadata,
    Multiscale,
    Version,
    attributes as ome_attributes,
    find_version,
    likely_version,
    ome_keys,
    ome_of,
    read,
    version_in,
)
from daskome.nouns import plain
from daskome.problem import Problem
from daskome.regions import Shape

JSON = dict[str, Any]

V3, V2_GROUP, V2_ARRAY, V2_ATTRIBUTES, V2_ALL = "zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"
DOCUMENTS = (V3, V2_ALL, V2_GROUP, V2_ARRAY, V2_ATTRIBUTES)
"""The documents of zarr; those of v2 in the order in which they are deleted."""
AT_ONCE = 32
"""Requests on their way at a time."""
ONE_DTYPE = frozenset({"0.6"})
"""Versions where all levels have the same data type."""
INTEGER_LABELS = frozenset({"0.5", "0.6"})
"""Versions whose text says that labels are integers and nothing else."""
DIMENSIONS = "_ARRAY_DIMENSIONS"


def convert_metadata(
    target: Any, version: Any, *, fs_options: Mapping[str, Any] | None = None, dry_run: bool = False
) -> list[str]:
    r"""Convert an OME-Zarr hierarchy to another version, without reading or writing a pixel.

    All groups below the target follow: labels, wells, series. From 0.4 or older to 0.5 or newer, arrays get
    documents of zarr v3 that read the same chunks. Everything is checked before the first write. If the call is
    killed, call it again: readers see the old version until all is there, and the next call finishes what is left.

    0.1 to 0.3 have no place for voxel sizes and positions: the lines returned say what readers lose. It is kept in the
    ``metadata`` of the multiscale, from where a later upgrade restores it.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        The root of the hierarchy: an image, a plate, or a bioformats2raw layout.
    version : str or object with a version
        "0.1" to "0.6".
    fs_options : dict, optional
        For the file system of a URL.
    dry_run : bool
        Write nothing; return what would be done.

    Returns
    -------
    list of str
        What has been done: groups and arrays, what is lost, and what had to be inferred.

    Raises
    ------
    ValueError
        With all that stands against it, one line each: what the version can't hold, codecs that zarr v3 has not,
        an image that is unfinished, a target inside a hierarchy of another version, a store that is read-only.
    FileNotFoundError
        If there is no zarr group.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 50), "uint8"), store, [2], axes="yx", fmt="0.4")
    >>> print(*convert_metadata(store, "0.5"), sep="\n")
    image: OME-Zarr 0.4 to 0.5
    documents of zarr v3 for 1 group and 2 arrays, instead of those of v2
    >>> zarr.open_group(store, mode="r").attrs["ome"]["version"]
    '0.5'
    >>> convert_metadata(store, "0.5")
    ['OME-Zarr 0.5 already: nothing to do']
    """
    row = find_version(version)
    place = storage.locate(target, fs_options, read_only=dry_run)
    if not dry_run:
        _check_writable(place)
    work = _work(place, row)
    if not dry_run and (work.writes or work.deletes):
        _perform(place, work)
        storage.renew(target)
    return list(work.lines)


# ---- what is there


@dataclass(frozen=True, slots=True)
class Node:
    """A group or an array as it is stored: its documents, and for a group the names inside it.

    Attributes
    ----------
    path : str
    documents : dict
        By name, of both formats.
    names : tuple of str
        What lies in a group.
    """

    path: str
    documents: Mapping[str, JSON]
    names: tuple[str, ...] = ()

    def is_group(self, zarr_format: int) -> bool:
        """Whether it is a group to a reader of that format."""
        return V2_GROUP in self.documents if zarr_format == 2 else self._v3.get("node_type") == "group"

    def is_array(self, zarr_format: int) -> bool:
        """Whether it is an array to a reader of that format."""
        return V2_ARRAY in self.documents if zarr_format == 2 else self._v3.get("node_type") == "array"

    def attributes(self, zarr_format: int) -> JSON:
        """Return the attributes that a reader of that format finds."""
        found = self.documents.get(V2_ATTRIBUTES) if zarr_format == 2 else self._v3.get("attributes")
        return dict(found or {})

    def array(self, zarr_format: int) -> JSON:
        """Return the document of an array."""
        return self.documents[V2_ARRAY] if zarr_format == 2 else self._v3

    @property
    def _v3(self) -> JSON:
        return self.documents.get(V3, {})


@dataclass(frozen=True, slots=True)
class Tree:
    """A hierarchy as a reader of one zarr format finds it, root first."""

    zarr_format: int
    nodes: Mapping[str, Node]

    @property
    def groups(self) -> Iterator[Node]:
        """The groups, root first."""
        return (node for node in self.nodes.values() if node.is_group(self.zarr_format))

    @property
    def arrays(self) -> Iterator[Node]:
        """The arrays."""
        return (node for node in self.nodes.values() if node.is_array(self.zarr_format))

    def attributes(self, path: str) -> JSON:
        """Return the attributes of a node."""
        return self.nodes[path].attributes(self.zarr_format)

    def array(self, path: str) -> JSON | None:
        """Return the document of an array, None where there is none."""
        node = self.nodes.get(path)
        return node.array(self.zarr_format) if node and node.is_array(self.zarr_format) else None


def _tree(place: StorePath) -> Tree:
    """Return the hierarchy at a place.

    A group in both formats is of v3 where that says it is OME-Zarr: conversion writes it last.
    """
    root = _read_nodes(place, [""])[0]
    zarr_format = 3 if root.is_group(3) and (not root.is_group(2) or "ome" in root.attributes(3)) else 2
    if not root.is_group(zarr_format):
        raise FileNotFoundError(f"there is no zarr group at {place}")
    found: dict[str, Node] = {}
    todo = [root]
    while todo:
        found |= {node.path: node for node in todo}
        inner = {
            storage.join(n.path, name) for n in todo if n.is_group(zarr_format) for name in _inside(n, zarr_format)
        }
        nodes = _read_nodes(place, sorted(inner - set(found)))
        todo = [node for node in nodes if node.is_group(zarr_format) or node.is_array(zarr_format)]
    whole = {**_implicit(found, zarr_format), **found}
    return Tree(zarr_format, {path: whole[path] for path in sorted(whole, key=lambda path: (_depth(path), path))})


def _inside(group: Node, zarr_format: int) -> set[str]:
    """Return what lies in a group: what a listing shows, and what its metadata list, perhaps deeper."""
    ome = ome_of(group.attributes(zarr_format))
    listed = [
        ome.get("labels"),
        ome.get("series"),
        _paths(ome.get("plate"), "wells"),
        _paths(ome.get("well"), "images"),
    ]
    listed += [_paths(m, "datasets") for m in ome.get("multiscales") or () if isinstance(m, Mapping)]
    paths = {str(path).strip("/") for path in chain.from_iterable(item for item in listed if isinstance(item, list))}
    inside = {path for path in paths if path and ".." not in path.split("/")}
    return inside | {name for name in group.names if not name.startswith(".")}


def _paths(found: Any, key: str) -> list[Any]:
    items = found.get(key) if isinstance(found, Mapping) else None
    return [item.get("path") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def _implicit(found: Mapping[str, Node], zarr_format: int) -> dict[str, Node]:
    """Return groups without a document above nodes with one: v2 allows that, a reader of v3 doesn't list them."""
    parents = {path[:i] for path in found for i, letter in enumerate(path) if letter == "/"}
    return {path: Node(path, {V2_GROUP: {"zarr_format": 2}}) for path in parents - set(found) if zarr_format == 2}


def _read_nodes(place: StorePath, paths: Sequence[str]) -> list[Node]:
    found = _gather([_document(place / path / name) for path in paths for name in DOCUMENTS])
    rows = [found[i : i + len(DOCUMENTS)] for i in range(0, len(found), len(DOCUMENTS))]
    nodes = [
        Node(path, {name: document for name, document in zip(DOCUMENTS, row, strict=True) if document is not None})
        for path, row in zip(paths, rows, strict=True)
    ]
    groups = [node.path for node in nodes if node.is_group(2) or node.is_group(3)]
    names = dict(zip(groups, _gather([_listed(place / path) for path in groups]), strict=True))
    return [replace(node, names=names.get(node.path, ())) for node in nodes]


async def _document(place: StorePath) -> JSON | None:
    """Return a document, None where there is none."""
    found = await place.get(default_buffer_prototype())
    if found is None:
        return None
    try:
        document = json.loads(found.to_bytes())
    except ValueError as error:
        raise ValueError(f"{place} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{place} is no object")
    return document


async def _listed(place: StorePath) -> tuple[str, ...]:
    return tuple(sorted([name.strip("/") async for name in place.store.list_dir(place.path)]))


def _gather(requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return what requests return, a few at a time; what one raises is raised when those beside it have ended."""
    return sync(_in_batches(requests))


async def _in_batches(requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(requests), AT_ONCE):
        found += await asyncio.gather(*requests[start : start + AT_ONCE], return_exceptions=True)
        error = next((item for item in found[start:] if isinstance(item, BaseException)), None)
        if error is not None:
            for request in requests[start + AT_ONCE :]:
                request.close()
            raise error
    return found


# ---- what is to be done


@dataclass(frozen=True, slots=True)
class Work:
    """Documents to write and to delete, both in stages: each is done before the next begins.

    Attributes
    ----------
    writes : tuple of dict
        From keys to documents.
    deletes : tuple of tuple of str
        Keys.
    lines : tuple of str
        What that is, in words.
    """

    writes: tuple[Mapping[str, JSON], ...] = ()
    deletes: tuple[tuple[str, ...], ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One group of a tree as the target has it.

    Attributes
    ----------
    path : str
    attributes : dict
        All of them, new.
    names : dict
        Of the axes of each of its levels, by path of the array.
    beside : dict
        What its levels say as it does, in zarr v2.
    changed : bool
        Whether it was of another version.
    lines : tuple of str
        What is lost, and what was inferred.
    """

    path: str
    attributes: JSON
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: JSON = field(default_factory=dict)
    changed: bool = False
    lines: tuple[str, ...] = ()


def _work(place: StorePath, target: Version) -> Work:
    """Return what is to be done; raise for all that stands against it."""
    tree = _tree(place)
    _check_finished(tree)
    if not any(ome_keys(group.attributes(tree.zarr_format)) for group in tree.groups):
        raise ValueError(f"{place} holds no OME-Zarr, so there is nothing to convert")
    _check_formats(place, tree, target)
    refusals: list[Problem] = []
    groups = [_tried(refusals, group.path, _group, tree, group.path, target) for group in tree.groups]
    whole = [group for group in groups if group is not None]
    in_place = tree.zarr_format == target.arrays.zarr_format
    work = (_in_place if in_place else _upgrade)(tree, whole, target, refusals)
    for stage in work.writes:
        for key, document in stage.items():
            _tried(refusals, "", plain, document, key)  # What is no JSON would fail in the middle of the writes.
    if refusals:
        raise ValueError("\n".join([f"{place} can't be converted to OME-Zarr {target.name}:", *map(str, refusals)]))
    if work.writes:
        _check_root(place, target)
    return replace(work, lines=_told(tree, whole, work, target))


def _tried(refusals: list[Problem], path: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a call returns; note what it raises, as a problem of a node, and return None."""
    try:
        return call(*arguments)
    except ValueError as error:
        refusals += [Problem(path or "root", line) for line in str(error).splitlines()]
        return None


def _check_finished(tree: Tree) -> None:
    for group in tree.groups:
        if storage.MARK in group.attributes(tree.zarr_format) or JOURNAL in group.names:
            raise ValueError(f"{group.path or 'the image'} is unfinished: finish writing it, or write it again, first")


def _check_formats(place: StorePath, tree: Tree, target: Version) -> None:
    if tree.zarr_format > target.arrays.zarr_format:
        raise ValueError(
            f"{place} is in zarr v3, and OME-Zarr {target.name} is in v2, which can't describe arrays of v3 (section"
            f" 'storage'); write the image again with fmt={target.name!r}"
        )
    halfway = [n.path or "root" for n in tree.nodes.values() if V3 in n.documents] if tree.zarr_format == 2 else []
    if halfway and target.arrays.zarr_format == 2:
        raise ValueError(
            f"{place} has begun to be converted to zarr v3, as {halfway[-1]}/zarr.json shows; finish that first, as"
            " with version '0.5'"
        )


def _check_root(place: StorePath, target: Version) -> None:
    """Raise if the place lies in a hierarchy of another version: all of it has one version (section "version")."""
    root, above = None, storage.above(place)
    while above is not None:
        node = _read_nodes(above, [""])[0]
        zarr_format = 3 if node.is_group(3) else 2
        if not node.is_group(zarr_format):
            break
        found = node.attributes(zarr_format)
        root = (above, version_in(found) or likely_version(found)) if ome_keys(found) else root
        above = storage.above(above)
    if root is not None and root[1] != target.name:
        raise ValueError(
            f"{place} is part of {root[0]}, which is of OME-Zarr {root[1]}, and a hierarchy has one version (section"
            " 'version'); convert that instead"
        )


def _check_writable(place: StorePath) -> None:
    if place.read_only or not place.store.supports_writes:
        raise ValueError(f"{place} is read-only; nothing is written")
    if not place.store.supports_deletes:
        raise ValueError(f"{place} is a store where nothing can be replaced, such as a zip file; copy it out first")


# ---- one group


def _group(tree: Tree, path: str, target: Version) -> Group:
    """Return a group as the target has it, checked."""
    found = tree.attributes(path)
    unlisted = _unlisted(tree, path) if target.root is not None else ()
    if unlisted:
        listing = _merged(found, ome_attributes(target, Metadata(labels=unlisted)), target)
        return Group(path, listing, changed=True, lines=(f"labels {', '.join(unlisted)} are listed",))
    if not ome_keys(found):
        return Group(path, found)
    name = version_in(found) or likely_version(found)
    if name not in VERSIONS:
        raise ValueError(f"version {name!r} is none of {', '.join(VERSIONS)}")
    metadata = read(found)
    names = _names(path, metadata)
    if name == target.name:
        return Group(path, found, names)
    shapes = [[_shape(tree, storage.join(path, d.path)) for d in m.datasets] for m in metadata.multiscales]
    new, lines = converted(metadata, VERSIONS[name], target, shapes)
    _check_dtypes(tree, path, new, target)
    changed = _merged(found, ome_attributes(target, new), target)
    beside = next((target.beside(multiscale) for multiscale in new.multiscales), {})
    told = (f"OME-Zarr {name} to {target.name}", *lines) if changed != found else tuple(lines)
    return Group(path, changed, names, beside, changed != found, told)


def _unlisted(tree: Tree, path: str) -> tuple[str, ...]:
    """Return the label images of a group of labels without a list, which older versions allow."""
    image, _, name = path.rpartition("/")
    if name != "labels" or ome_keys(tree.attributes(path)) or "multiscales" not in ome_of(tree.attributes(image)):
        return ()
    images = (p for p in tree.nodes if _is_below(p, [path]) and "multiscales" in ome_of(tree.attributes(p)))
    return tuple(p.removeprefix(f"{path}/") for p in images)


def _names(path: str, metadata: Metadata) -> dict[str, tuple[str, ...]]:
    """Return the names of the axes of each level, by the path of its array."""
    pairs = ((storage.join(path, d.path), m) for m in metadata.multiscales for d in m.datasets)
    return {array: _axis_names(m) for array, m in pairs}


def _axis_names(multiscale: Multiscale) -> tuple[str, ...]:
    return tuple(axis.name for axis in multiscale.axes)


def _shape(tree: Tree, path: str) -> Shape:
    array = tree.array(path)
    if array is None:
        raise ValueError(f"lists level {path}, but there is no array (section 'multiscales')")
    return tuple(array["shape"])


def _check_dtypes(tree: Tree, path: str, metadata: Metadata, target: Version) -> None:
    """Raise for data types of levels that the target forbids."""
    for multiscale in metadata.multiscales:
        paths = [storage.join(path, dataset.path) for dataset in multiscale.datasets]
        dtypes = {str(_dtype(tree, array)): None for array in paths}
        if len(dtypes) > 1 and target.name in ONE_DTYPE:
            raise ValueError(
                f"levels have data types {', '.join(dtypes)}; OME-Zarr {target.name} has one for all (section"
                " 'multiscales'); write the image again"
            )
        if metadata.image_label is not None and target.name in INTEGER_LABELS:
            _check_integers(dtypes, target)


def _dtype(tree: Tree, path: str) -> Any:
    array = tree.array(path) or {}
    return array.get("dtype", array.get("data_type"))


def _check_integers(dtypes: Iterable[str], target: Version) -> None:
    """Raise unless all data types, by their names in zarr v2 or v3, are of integers."""
    for dtype in dtypes:
        if not dtype.lstrip("<>|").startswith(("i", "u")):
            raise ValueError(
                f"labels are {dtype!r}; OME-Zarr {target.name} has integers only (section 'labels'); write them again"
            )


def _merged(found: Mapping[str, Any], new: JSON, target: Version) -> JSON:
    """Return new attributes beside those that are others', also those that others have put under ``ome``."""
    ours = () if "ome" in found else KINDS
    gone = {"ome", *ours, *((DIMENSIONS,) if "multiscales" in ome_of(found) else ())}
    beside = {key: value for key, value in found.items() if key not in gone}
    under = found.get("ome")
    rest = {k: v for k, v in under.items() if k not in ("version", *KINDS)} if isinstance(under, Mapping) else {}
    if target.root is not None and rest:
        new = {**new, target.root: {**rest, **new[target.root]}}
    return {**beside, **new}


# ---- in place: attributes only


def _in_place(tree: Tree, groups: Sequence[Group], target: Version, refusals: list[Problem]) -> Work:
    """Return the work within a zarr format: arrays that name their axes, groups bottom-up, and copies of them."""
    arrays: dict[str, JSON] = {}
    for group in groups:
        names = group.names if group.changed else {}
        arrays |= {array: _named(tree, array, names[array], group.beside) for array in names if array in tree.nodes}
    new = {group.path: group.attributes for group in groups if group.changed}
    stages = [arrays, *_bottom_up({path: _with_attributes(tree, path, found) for path, found in new.items()})]
    writes = [_keyed(tree, stage) for stage in stages]
    consolidated = _consolidated(tree, {key: document for stage in writes for key, document in stage.items()})
    return Work(tuple(filter(None, [*writes, *consolidated])), _leftovers(tree))


def _named(tree: Tree, path: str, names: tuple[str, ...], beside: JSON) -> JSON:
    """Return the document of an array that names its axes, where the target has it so."""
    if tree.zarr_format == 3:
        return {**(tree.array(path) or {}), "dimension_names": list(names)}
    return {**tree.attributes(path), **beside}


def _with_attributes(tree: Tree, path: str, attributes: JSON) -> JSON:
    """Return the document that holds a group's attributes, with new ones."""
    return attributes if tree.zarr_format == 2 else {**tree.nodes[path].documents[V3], "attributes": attributes}


def _keyed(tree: Tree, documents: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return documents by their keys, those that differ from what is stored."""
    name = V2_ATTRIBUTES if tree.zarr_format == 2 else V3
    stored = {path: tree.nodes[path].documents.get(name, {}) for path in documents}
    return {storage.join(path, name): found for path, found in documents.items() if found != stored[path]}


def _bottom_up(documents: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return documents of groups by stages, the deepest first, the root last."""
    depths = sorted({_depth(path) for path in documents}, reverse=True)
    return [{path: found for path, found in documents.items() if _depth(path) == depth} for depth in depths]


def _depth(path: str) -> int:
    return len(path.split("/")) if path else 0


def _consolidated(tree: Tree, written: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the consolidated metadata of groups, bottom-up, with what is written: copies get old."""
    found: dict[str, JSON] = {}
    for group in tree.groups:
        copy = (_consolidated_v2 if tree.zarr_format == 2 else _consolidated_v3)(tree, group, written)
        name = V2_ALL if tree.zarr_format == 2 else V3
        if copy is not None and copy != group.documents.get(name):
            found[storage.join(group.path, name)] = copy
    deepest = sorted({_depth(key) for key in found}, reverse=True)
    return [{key: document for key, document in found.items() if _depth(key) == depth} for depth in deepest]


def _consolidated_v2(tree: Tree, group: Node, written: Mapping[str, JSON]) -> JSON | None:
    copies = group.documents.get(V2_ALL, {}).get("metadata")
    if not isinstance(copies, Mapping):
        return None
    said = {key: copy for key, copy in copies.items() if key.rpartition("/")[2] == V2_ATTRIBUTES}
    new = {key: _now(tree, storage.join(group.path, key), written, copy) for key, copy in said.items()}
    return {**group.documents[V2_ALL], "metadata": {**copies, **new}}


def _now(tree: Tree, key: str, written: Mapping[str, JSON], copy: Any) -> Any:
    """Return a document as it is to be, or as it is."""
    path, _, name = key.rpartition("/")
    node = tree.nodes.get(path)
    return written.get(key, copy if node is None else node.documents.get(name, copy))


def _consolidated_v3(tree: Tree, group: Node, written: Mapping[str, JSON]) -> JSON | None:
    own = group.documents[V3].get("consolidated_metadata")
    copies = own.get("metadata") if isinstance(own, Mapping) else None
    if not isinstance(copies, Mapping):
        return None
    keys = {path: storage.join(group.path, path, V3) for path in copies}
    new = {path: {**copy, **_told_by(_now(tree, keys[path], written, copy))} for path, copy in copies.items()}
    whole = written.get(storage.join(group.path, V3), group.documents[V3])
    return {**whole, "consolidated_metadata": {**dict(own or {}), "metadata": new}}


def _told_by(document: Mapping[str, Any]) -> JSON:
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
                keys.setdefault((_depth(path), i), []).append(storage.join(path, name))
    return tuple(tuple(keys[stage]) for stage in sorted(keys))


# ---- from zarr v2 to v3


def _upgrade(tree: Tree, groups: Sequence[Group], target: Version, refusals: list[Problem]) -> Work:
    """Return the work from zarr v2 to v3: documents of all arrays, of groups bottom-up, then those of v2 away."""
    names = {array: axes for group in groups for array, axes in group.names.items()}
    left = _left(tree, _own(groups))
    arrays = {
        node.path: _tried(refusals, node.path, _upgraded, tree, node.path, names.get(node.path))
        for node in tree.arrays
        if not _is_below(node.path, left)
    }
    new = {group.path: _group_document(group.attributes) for group in groups if not _is_below(group.path, left)}
    stages = [arrays, *_bottom_up(new)]
    writes = tuple({storage.join(path, V3): found for path, found in stage.items()} for stage in stages if stage)
    lines = tuple(f"{path}: left in zarr v2, as it is no OME-Zarr and {why}" for path, why in left.items())
    return Work(writes, _deletions(tree, [*arrays, *new]), lines)


def _upgraded(tree: Tree, path: str, names: Sequence[str] | None) -> JSON:
    """Return the document of an array for zarr v3; what is no level is called as it says itself, if at all."""
    zarray, zattrs = tree.array(path) or {}, tree.attributes(path)
    ndim = len(zarray.get("shape", ()))
    own = zattrs.get(DIMENSIONS)
    known = names or (own if isinstance(own, list) and len(own) == ndim else None)
    found = upgraded(zarray, known or [""] * ndim, zattrs)
    return found if known else {key: value for key, value in found.items() if key != "dimension_names"}


def _group_document(attributes: JSON) -> JSON:
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _own(groups: Sequence[Group]) -> set[str]:
    """Return the paths of what is OME-Zarr, and of what lies above it."""
    paths = {path for group in groups if ome_keys(group.attributes) for path in (group.path, *group.names)}
    return {"", *(path[:i] for path in paths for i in range(len(path) + 1) if path[i : i + 1] in ("", "/"))}


def _left(tree: Tree, own: set[str]) -> dict[str, str]:
    """Return what is no OME-Zarr and can't be described by v3, such as tables of text, and why: it is left as it is."""
    found: dict[str, str] = {}
    for node in tree.arrays:
        if node.path not in own:
            refusals: list[Problem] = []
            _tried(refusals, node.path, _upgraded, tree, node.path, None)
            top = next(path for path in _upwards(node.path) if path.rpartition("/")[0] in own)
            found |= {top: str(refusals[0])} if refusals and top not in found else {}
    return found


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _is_below(path: str, tops: Iterable[str]) -> bool:
    return not set(_upwards(path)).isdisjoint(tops)


# ---- in words, and in the store


def _told(tree: Tree, groups: Sequence[Group], work: Work, target: Version) -> tuple[str, ...]:
    """Return all that is done, lost, inferred or left."""
    if not work.writes and not work.deletes:
        return (f"OME-Zarr {target.name} already: nothing to do",)
    lines = [f"{_called(tree, group)}: {line}" for group in groups for line in group.lines]
    if not work.writes:
        lines.append(f"OME-Zarr {target.name} already: what is left of zarr v2 is deleted")
    elif not lines:
        lines.append(f"OME-Zarr {target.name} already: copies in consolidated metadata are brought up to date")
    elif tree.zarr_format != target.arrays.zarr_format:
        keys = [key for stage in work.writes for key in stage]
        arrays = sum(tree.array(key.rpartition("/")[0]) is not None for key in keys)
        counts = f"{_count(len(keys) - arrays, 'group')} and {_count(arrays, 'array')}"
        lines.append(f"documents of zarr v3 for {counts}, instead of those of v2")
    return (*lines, *_separators(tree, groups, target), *work.lines)


def _called(tree: Tree, group: Group) -> str:
    return group.path or ("image" if "multiscales" in ome_of(group.attributes) else "root")


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _separators(tree: Tree, groups: Sequence[Group], target: Version) -> Iterator[str]:
    """Yield whose chunks are named otherwise than the target has it: zarr says how, but some readers don't ask."""
    wanted = target.arrays.separator
    for group in groups if tree.zarr_format == target.arrays.zarr_format == 2 else ():
        found = {separator(array) for path in group.names if (array := tree.array(path))} - {wanted}
        if found and group.changed:
            yield (
                f"{_called(tree, group)}: chunks stay named with {found.pop()!r}, as .zarray says; readers that take"
                f" OME-Zarr {target.name} for {wanted!r} miss them"
            )


def _perform(place: StorePath, work: Work) -> None:
    """Write and delete, stage by stage."""
    for stage in work.writes:
        _gather([_put(place / key, document) for key, document in stage.items()])
    for keys in work.deletes:
        _gather([(place / key).delete() for key in keys])


async def _put(place: StorePath, document: JSON) -> None:
    text = json.dumps(document, indent=2, allow_nan=False)
    await place.set(default_buffer_prototype().buffer.from_bytes(text.encode()))
