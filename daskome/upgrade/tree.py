"""All zarr documents of a hierarchy, read once, as a tree."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.json_values import JSONDict, shown_value
from daskome.model.paths import depth_of, join_paths, paths_inside
from daskome.ome.coordinates.arrays import arrays_named_in
from daskome.ome.detect import ome_of
from daskome.ome.image_label import LABELS
from daskome.ome.rules.systems import links_of
from daskome.stores.documents import fetch_json, fetch_names
from daskome.stores.journal import JOURNAL
from daskome.stores.objects.damage import lists_nothing
from daskome.stores.targets.folders import loops

V3, V2_GROUP, V2_ARRAY, V2_ATTRIBUTES, V2_ALL = "zarr.json", ".zgroup", ".zarray", ".zattrs", ".zmetadata"
DOCUMENTS = (V3, V2_ALL, V2_GROUP, V2_ARRAY, V2_ATTRIBUTES)
"""The documents of zarr; those of v2 in the order in which they are deleted."""
UNLISTED = {"multiscales": LABELS, "bioformats2raw.layout": "OME"}
"""By a key of its metadata, what a group may hold that they do not list."""
MOST_LOOKED_INTO = 1000
"""How many folders that are no groups are looked into, at most, for who may begin to write there."""
REQUESTS_AT_ONCE = 32
"""Requests in flight at a time."""


@dataclass(frozen=True, slots=True)
class DocumentNode:
    """A group or an array as it is stored: its documents, and for a group the names inside it.

    Attributes
    ----------
    path : str
    documents : dict
        By name, of both formats.
    names : tuple of str
        Of the members of a group.
    """

    path: str
    documents: Mapping[str, JSONDict]
    names: tuple[str, ...] = ()

    def is_group(self, zarr_format: int) -> bool:
        """Whether it is a group to a reader of that format."""
        return V2_GROUP in self.documents if zarr_format == 2 else self._v3.get("node_type") == "group"

    def is_array(self, zarr_format: int) -> bool:
        """Whether it is an array to a reader of that format."""
        return V2_ARRAY in self.documents if zarr_format == 2 else self._v3.get("node_type") == "array"

    def attributes(self, zarr_format: int) -> JSONDict:
        """Return the attributes that a reader of that format finds."""
        attributes = self.documents.get(V2_ATTRIBUTES) if zarr_format == 2 else self._v3.get("attributes")
        if not isinstance(attributes, Mapping | None):
            raise ValueError(f"{self.path or 'root'}: attributes are {shown_value(attributes)}; they must be an object")
        return dict(attributes or {})

    def array(self, zarr_format: int) -> JSONDict:
        """Return the document of an array."""
        return self.documents[V2_ARRAY] if zarr_format == 2 else self._v3

    @property
    def _v3(self) -> JSONDict:
        return self.documents.get(V3, {})


@dataclass(frozen=True, slots=True)
class Tree:
    """A hierarchy as a reader of one zarr format finds it, root first."""

    zarr_format: int
    nodes: Mapping[str, DocumentNode]

    @property
    def groups(self) -> Iterator[DocumentNode]:
        """The groups, root first."""
        return (node for node in self.nodes.values() if node.is_group(self.zarr_format))

    @property
    def arrays(self) -> Iterator[DocumentNode]:
        """The arrays."""
        return (node for node in self.nodes.values() if node.is_array(self.zarr_format))

    def attributes(self, path: str) -> JSONDict:
        """Return the attributes of a node."""
        return self.nodes[path].attributes(self.zarr_format)

    def array(self, path: str) -> JSONDict | None:
        """Return the document of an array, None if there is no array."""
        node = self.nodes.get(path)
        return node.array(self.zarr_format) if node and node.is_array(self.zarr_format) else None


def build_tree(store_path: StorePath) -> Tree:
    """Return the hierarchy below a group.

    A group in both formats counts as v3 if its v3 document is OME-Zarr: a conversion writes that last.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If documents are not JSON, or a link leads back to a group that it lies in.
    """
    root = read_nodes(store_path, [""])[0]
    zarr_format = 3 if root.is_group(3) and (not root.is_group(2) or "ome" in root.attributes(3)) else 2
    if not root.is_group(zarr_format):
        raise FileNotFoundError(f"there is no zarr group at {store_path}")
    by_path: dict[str, DocumentNode] = {}
    todo = [root]
    while todo:
        by_path |= {node.path: node for node in todo}
        inner = {path for n in todo if n.is_group(zarr_format) for path in _inside(n, zarr_format)}
        new = sorted(inner - set(by_path))
        loop = next(loops(store_path, new), None)
        if loop is not None:
            raise ValueError(f"{loop} is a link to a folder that it lies in, so it has no end; remove it")
        nodes = read_nodes(store_path, new)
        todo = [node for node in nodes if node.is_group(zarr_format) or node.is_array(zarr_format)]
    all_nodes = {**_implicit(by_path, zarr_format), **by_path}
    return Tree(
        zarr_format, {path: all_nodes[path] for path in sorted(all_nodes, key=lambda path: (depth_of(path), path))}
    )


def _inside(group: DocumentNode, zarr_format: int) -> set[str]:
    """Return the paths in a group: those that a listing shows, and those in its metadata, which may lie deeper.

    Where a store lists nothing, as on the web, groups are looked for that no metadata list: labels, and ``OME``.
    """
    ome = ome_of(group.attributes(zarr_format))
    unlisted = [name for key, name in UNLISTED.items() if key in ome] if not group.names else []
    series = ome.get("series")
    beside = group.path.rpartition("/")[0]
    listed = [
        ome.get("labels"),
        unlisted,
        _paths(ome.get("plate"), "wells"),
        _paths(ome.get("well"), "images"),
    ]
    scene = ome.get("scene")
    listed += [[end.path for link in links_of(scene) for _, end in link.ends] if isinstance(scene, Mapping) else None]
    listed += [_paths(m, "datasets") for m in ome.get("multiscales") or () if isinstance(m, Mapping)]
    listed += [[path for _, path in arrays_named_in([ome.get("multiscales"), scene])]]
    paths = chain.from_iterable(item for item in listed if isinstance(item, list))
    names = {*paths_inside(paths)} | {name for name in group.names if not name.startswith(".")}
    images = paths_inside(series) if isinstance(series, list) else ()
    return {join_paths(group.path, name) for name in names} | {join_paths(beside, path) for path in images}


def _paths(value: Any, key: str) -> list[Any]:
    items = value.get(key) if isinstance(value, Mapping) else None
    return [item.get("path") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def begun_in(store_path: StorePath, tree: Tree) -> list[str]:
    """Return the paths below the root where somebody writes, or has written, by their journals.

    Where somebody has only just begun, there may be no group yet: so we look into what is none, but not far.
    """
    homes = [group.path for group in tree.groups if group.path and JOURNAL in group.names]
    todo = [path for group in tree.groups for path in _unknown_in(tree, group.path, group.names)]
    todo += [group.path for group in tree.groups if not group.names]
    looked = 0
    while todo and looked < MOST_LOOKED_INTO:
        some, looked = todo[:MOST_LOOKED_INTO], looked + len(todo)
        found = dict(zip(some, gather([_names_in(store_path / path) for path in some]), strict=True))
        homes += [path for path, names in found.items() if JOURNAL in names]
        todo = [inner for path, names in found.items() for inner in _unknown_in(tree, path, names)]
    return homes


async def _names_in(folder: StorePath) -> list[str]:
    """Return the names in a folder of others; none where we may not look, and so nobody writes with our rights."""
    with suppress(OSError):
        return await fetch_names(folder)
    return []


def _unknown_in(tree: Tree, path: str, names: Sequence[str]) -> list[str]:
    """Return the paths in a group that are neither groups nor arrays, nor seem to be files."""
    inside = (join_paths(path, name) for name in names if "." not in name)
    return [inner for inner in inside if inner not in tree.nodes]


def _implicit(by_path: Mapping[str, DocumentNode], zarr_format: int) -> dict[str, DocumentNode]:
    """Return groups without a document above nodes with one: v2 allows that, a reader of v3 does not list them."""
    parents = {path[:i] for path in by_path for i, letter in enumerate(path) if letter == "/"}
    return {
        path: DocumentNode(path, {V2_GROUP: {"zarr_format": 2}}) for path in parents - set(by_path) if zarr_format == 2
    }


def read_nodes(store_path: StorePath, paths: Sequence[str]) -> list[DocumentNode]:
    """Return a node with the zarr documents at each path; where there are none, it has none."""
    documents = gather([_document(store_path / path / name) for path in paths for name in DOCUMENTS])
    rows = [documents[i : i + len(DOCUMENTS)] for i in range(0, len(documents), len(DOCUMENTS))]
    nodes = [
        DocumentNode(
            path, {name: document for name, document in zip(DOCUMENTS, row, strict=True) if document is not None}
        )
        for path, row in zip(paths, rows, strict=True)
    ]
    groups = [node.path for node in nodes if node.is_group(2) or node.is_group(3)]
    names = dict(zip(groups, gather([_listed(store_path / path) for path in groups]), strict=True))
    return [replace(node, names=names.get(node.path, ())) for node in nodes]


async def _document(store_path: StorePath) -> JSONDict | None:
    """Return a document, None where there is none."""
    document: Any = await fetch_json(store_path)
    if document is not None and not isinstance(document, dict):
        raise ValueError(f"{store_path} is not a JSON object")
    return document


async def _listed(store_path: StorePath) -> tuple[str, ...]:
    """Return the names in a group; none where a store, opened only to be read, lists nothing, as on the web."""
    try:
        return tuple(sorted(await fetch_names(store_path)))
    except Exception as error:  # Each kind of file system has errors of its own.
        if not (store_path.read_only and lists_nothing(error)):
            raise
        return ()


def gather(requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return the results of requests, run a few at a time; raise an error when the requests beside it have ended."""
    return sync(_in_batches(requests))


async def _in_batches(requests: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    results: list[Any] = []
    for start in range(0, len(requests), REQUESTS_AT_ONCE):
        results += await asyncio.gather(*requests[start : start + REQUESTS_AT_ONCE], return_exceptions=True)
        error = next((item for item in results[start:] if isinstance(item, BaseException)), None)
        if error is not None:
            for request in requests[start + REQUESTS_AT_ONCE :]:
                request.close()
            raise error
    return results
