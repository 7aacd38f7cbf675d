"""The hierarchy that is transcoded: its groups in the terms of the target, its arrays, and what does not go along."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from daskome.model.json_values import JSONDict
from daskome.model.paths import depth_of, join_paths
from daskome.model.problem import Problem
from daskome.ome.coordinates.arrays import MATRIX_TYPES, arrays_named_in, with_matrices
from daskome.ome.coordinates.transforms import Matrix
from daskome.ome.detect import kinds_of, ome_keys, ome_of
from daskome.ome.metadata import Metadata
from daskome.ome.missing_axes import positions_of_missing
from daskome.ome.read import read_metadata
from daskome.ome.versions import Version
from daskome.stores.documents import read_text
from daskome.stores.groups import UNFINISHED_KEY, find_array, others_of, reading
from daskome.stores.journal import JOURNAL, has_run
from daskome.upgrade.documents import try_conversion
from daskome.upgrade.groups import GroupChange, is_below, read_group, upwards
from daskome.upgrade.tree import DOCUMENTS, DocumentNode, Tree

XML = "METADATA.ome.xml"
"""The document of a bioformats2raw layout."""
XML_FOLDER = "OME"
LARGEST_MATRIX = 1000
"""How many numbers a matrix has at most that goes into the metadata: more are no transformation of an image."""
SERIES = "bf2raw"
"""The section about lists of series, which lie beside the group that lists them."""


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A group of the source in the terms of the target.

    Attributes
    ----------
    path : str
    metadata : Metadata
    attributes : dict
        Those of other programs.
    documents : dict of str to str
        Further documents in it, by their paths.
    put_in : tuple of tuple of int
        For each of its multiscales, the positions of axes that only the target requires.
    """

    path: str
    metadata: Metadata
    attributes: Mapping[str, Any] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    put_in: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class StoredHierarchy:
    """A hierarchy: its groups, the deepest last, and in words, by path, what changes or is left behind."""

    place: StorePath
    tree: Tree
    groups: tuple[StoredGroup, ...]
    notes: tuple[tuple[str, str], ...]

    def array(self, path: str) -> zarr.Array[Any]:
        """Return an array, opened from the document that was read already; a cloud is asked for nothing more."""
        document = dict(self.tree.array(path) or {})
        own = {"attributes": self.tree.attributes(path)} if self.tree.zarr_format == 2 else {}
        with reading(self.place / path):
            return zarr.Array.from_dict(self.place / path, {**document, **own})


def stored_hierarchy(place: StorePath, tree: Tree, target: Version) -> StoredHierarchy:
    """Return a hierarchy in the terms of the target.

    Raises
    ------
    ValueError
        With all obstacles, one line each: what the version cannot hold, what is unfinished, or listed but not there.
    """
    refusals: list[Problem] = []
    _check_whole(place, tree, refusals)
    read = (try_conversion(refusals, g.path, read_group, tree, g.path, target, True) for g in tree.groups)
    changes = [change for change in read if change is not None]
    if refusals:
        lines = "\n".join(dict.fromkeys(map(str, refusals)))
        raise ValueError(f"{place} cannot be written as OME-Zarr {target.name}:\n{lines}")
    matrices = {change.path: _matrices(place / change.path, change) for change in changes}
    inside = {join_paths(path, *name.split("/")) for path, found in matrices.items() for name in found}
    left = _left(tree, changes, inside)
    kept = [change for change in changes if not is_below(change.path, left)]
    texts = {change.path: _documents(place, tree, tree.nodes[change.path]) for change in kept}
    kept = [_with_its_matrices(change, matrices[change.path]) for change in kept]
    groups = tuple(_stored_group(tree, change, texts[change.path], target) for change in kept)
    notes = (*_notes(tree, kept, left, texts), *_attributes_of(tree, inside))
    return StoredHierarchy(place, tree, groups, notes)


def _stored_group(tree: Tree, change: GroupChange, documents: Mapping[str, str], target: Version) -> StoredGroup:
    if not ome_keys(change.attributes):
        return StoredGroup(change.path, Metadata(), others_of(change.attributes), documents)
    metadata, others = read_metadata(change.attributes), others_of(change.attributes)
    before = read_metadata(tree.attributes(change.path)).multiscales
    put_in = tuple(positions_of_missing(multiscale.axes, target.every_axis) for multiscale in before)
    return StoredGroup(change.path, metadata, others, documents, put_in)


def _matrices(group: StorePath, change: GroupChange) -> dict[str, Matrix]:
    """Return the matrices that lie in arrays of a group, by their paths: they go into the metadata."""
    named = {path for kind, path in arrays_named_in(change.attributes.get("ome")) if kind in MATRIX_TYPES}
    arrays = {path: find_array(group / path) for path in named}
    small = {path: a for path, a in arrays.items() if a is not None and a.ndim == 2 and a.size <= LARGEST_MATRIX}
    found = {path: np.asarray(array[...], float) for path, array in small.items() if array.dtype.kind in "iuf"}
    return {path: matrix for path, matrix in found.items() if np.isfinite(matrix).all()}


def _with_its_matrices(change: GroupChange, matrices: Mapping[str, Matrix]) -> GroupChange:
    """Return a group whose metadata, not the attributes of other programs, hold its matrices."""
    ome = with_matrices(change.attributes.get("ome"), matrices)
    return replace(change, attributes={**change.attributes, "ome": ome}) if matrices else change


def _check_whole(place: StorePath, tree: Tree, refusals: list[Problem]) -> None:
    """Add a problem for each group that is unfinished, and for each that is listed but not there."""
    there = {group.path for group in tree.groups}
    for group in tree.groups:
        attributes = tree.attributes(group.path)
        if UNFINISHED_KEY in attributes or (JOURNAL in group.names and has_run(place / group.path)):
            refusals.append(Problem(group.path or "root", "is unfinished: finish writing it first"))
        if "bioformats2raw.layout" in ome_keys(attributes) and not group.names and not _has_series(tree, group.path):
            refusals.append(Problem(group.path or "root", "its images cannot be found: the store lists nothing"))
        folder, _, _ = group.path.rpartition("/")
        for key, path in try_conversion(refusals, group.path, _listed, attributes) or ():
            if join_paths(folder if key == SERIES else group.path, path) not in there:
                refusals.append(Problem(group.path or "root", f"lists {path} (section '{key}'), but there is no group"))


def _has_series(tree: Tree, path: str) -> bool:
    folder = join_paths(path, XML_FOLDER)
    return folder in tree.nodes and "series" in ome_of(tree.attributes(folder))


def _listed(attributes: JSONDict) -> list[tuple[str, str]]:
    """Return the paths of the groups that a group lists, each with the section about such lists."""
    if not ome_keys(attributes):
        return []
    metadata = read_metadata(attributes)
    wells = metadata.plate.wells if metadata.plate else ()
    images = metadata.well.images if metadata.well else ()
    pairs = [("plate", well.path) for well in wells] + [("well", image.path) for image in images]
    pairs += [(SERIES, path) for path in metadata.series or ()]
    return pairs + [("labels", path) for path in metadata.labels or ()]


def _left(tree: Tree, changes: Sequence[GroupChange], inside: Set[str]) -> dict[str, str]:
    """Return the paths of what is left behind, and what it is: arrays that are no levels, with the groups around them.

    Those that are `inside` the metadata now are not left behind.

    Groups in which there are no arrays go along.
    """
    ome = {path for change in changes if ome_keys(change.attributes) for path in (change.path, *change.names)}
    around = {"", *(above for path in ome for above in upwards(path))}
    left: dict[str, str] = {}
    for node in tree.arrays:
        if node.path not in around and node.path not in inside:
            top = next(path for path in upwards(node.path) if path.rpartition("/")[0] in around)
            left[top] = "an array that is no level of an image" if top == node.path else "not OME-Zarr"
    return left


def _documents(place: StorePath, tree: Tree, group: DocumentNode) -> dict[str, str]:
    """Return the documents of a group that go along: OME-XML, also where its folder is no group."""
    unknown, layout = not group.names, "bioformats2raw" in kinds_of(tree.attributes(group.path))
    paths = [XML] if XML in group.names or (unknown and layout) else []
    has_folder = XML_FOLDER in group.names or (unknown and layout)
    if has_folder and join_paths(group.path, XML_FOLDER) not in tree.nodes:
        paths.append(f"{XML_FOLDER}/{XML}")
    with suppress(NotADirectoryError):
        texts = {path: read_text(place / group.path / path) for path in paths}
        return {path: text for path, text in texts.items() if text is not None}
    return {}


def _notes(
    tree: Tree, changes: Sequence[GroupChange], left: Mapping[str, str], texts: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str]]:
    """Yield what is lost or inferred, and what is left behind, by path."""
    for change in changes:
        yield from ((change.path or "the root", line) for line in change.lines if not _is_news(line))
    yield from ((path, f"not written: {what}") for path, what in left.items())
    if not tree.nodes[""].names:
        yield "the root", "the store lists nothing, so what no metadata name is not written"
    for change in changes:
        node = tree.nodes[change.path]
        own = {path.partition("/")[0] for path in texts[change.path]} | set(DOCUMENTS)
        for name in node.names:
            path = join_paths(node.path, name)
            if path not in tree.nodes and name not in own and not _holds_node(tree, path):
                yield path, "not written: neither a group nor an array"


def _attributes_of(tree: Tree, arrays: Set[str]) -> Iterator[tuple[str, str]]:
    """Yield which attributes are left behind of arrays that go into the metadata."""
    for path in sorted(arrays & tree.nodes.keys()):
        if tree.attributes(path):
            yield path, f"not written: its attributes {', '.join(tree.attributes(path))}"


def _is_news(line: str) -> bool:
    """Whether a line tells what is done, rather than what is lost or inferred."""
    return line.startswith(("OME-Zarr ", "labels ")) or "are folded into" in line


def _holds_node(tree: Tree, path: str) -> bool:
    return any(depth_of(node) > depth_of(path) and is_below(node, [path]) for node in tree.nodes)
