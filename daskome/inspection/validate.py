"""Validate a store against any version of OME-Zarr: attributes, arrays, and relations between groups.

`daskome.ome.rules` has the rules for the attributes of one group, `array_checks` those for the arrays of one image,
`hierarchy` finds the groups; here are the rules that relate two groups, or two documents of one group.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from zarr.storage import StorePath

from daskome.execution.progress import drawn
from daskome.inspection.array_checks import array_problems, wrong_format
from daskome.inspection.collections.described_images import ListedImage, series_problems, xml_problems
from daskome.inspection.coordinates.transform_arrays import array_findings
from daskome.inspection.hierarchy import Node, nodes
from daskome.inspection.single_files.archive_checks import archive_problems, is_unreadable
from daskome.inspection.stored_image import StoredImage, read_document, stored_image_of, unfinished
from daskome.model.json_values import JSONObject
from daskome.model.paths import join_paths
from daskome.model.problem import Problem, below, errors
from daskome.model.text import Progress
from daskome.model.types import FileSystemOptions, FormatLike, GroupLike, ShowProgress
from daskome.ome.detect import ome_of, version_in
from daskome.ome.rules.addresses import objects_of
from daskome.ome.rules.dimensions import checked_dimensions
from daskome.ome.rules.systems import links_of, ndims_of
from daskome.ome.rules.values import COUNT
from daskome.ome.rules.walk import find_problems
from daskome.ome.versions import Version, find_version, likely_version, stated_version, version_of
from daskome.ome.xml.names import COLLECTION_XML, LAYOUT, OME
from daskome.stores.documents import read_text
from daskome.stores.groups import UNFINISHED_KEY, V2_DOCUMENTS
from daskome.stores.location import locate
from daskome.stores.objects.damage import reason
from daskome.stores.remembered import remembered_to_read

Findings = Iterator[Problem]


@dataclass(frozen=True, slots=True)
class Inspected:
    """A group, the version that it is checked against, and the results.

    Attributes
    ----------
    node : Node
    version : Version
    images : tuple of StoredImage
        One for each multiscale that can be read.
    problems : tuple of Problem
        Those of the group by itself, with addresses relative to where the walk began.
    """

    node: Node
    version: Version
    images: tuple[StoredImage, ...] = ()
    problems: tuple[Problem, ...] = ()


Whole = Mapping[str, Inspected]


def validate(
    target: GroupLike,
    version: FormatLike | None = None,
    *,
    fs_options: FileSystemOptions | None = None,
    progress: ShowProgress = None,
) -> list[Problem]:
    """Return all violations of the specification in a store, and warnings; pixels are not read.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        Of an image, a label image, labels, a plate, a well or a bioformats2raw layout, written by any program.
        All that lies below it is checked with it; of a single file, ``.ozx`` or ``.zip``, the archive, too.
    version : str, optional
        To check against, such as "0.5"; by default the one that each group states.
    fs_options : dict, optional
        For the file system of a URL.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called with groups done and groups in all after every group.

    Returns
    -------
    list of Problem
        Errors for what the specification forbids, warnings for what it advises against or readers fail on.

    Raises
    ------
    TypeError, ValueError
        If an argument is invalid; never for what is wrong with the store.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import validate, write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 64), "uint8"), store, [2], axes="yx", axes_units="micrometer")
    >>> validate(store)
    []
    >>> store._store_dict = {key: value for key, value in store._store_dict.items() if not key.startswith("s1")}
    >>> print(*validate(store))
    multiscales/0/datasets/1: there is no array at 's1' (section 'multiscales')
    """
    bar, store_path = drawn(progress, "groups"), remembered_to_read(locate(target, fs_options, read_only=True))
    archive = archive_problems(store_path)
    return archive if is_unreadable(archive) else [*archive, *findings(inspected(store_path, version, bar))]


def inspected(store_path: StorePath, version: Any = None, progress: Progress | None = None) -> list[Inspected]:
    """Return a group and all groups below it, from the top down.

    Parameters
    ----------
    place : StorePath
    version : str, optional
        The version to check all of them against.
    progress : callable, optional
        As in `validate`.
    """
    requested = None if version is None else find_version(version)
    nodes_below, groups = list(nodes(store_path)), dict[str, Inspected]()
    stated = next(filter(None, map(_stated, nodes_below)), None)
    for done, node in enumerate(nodes_below, start=1):
        above = groups[node.parent.path].version if node.parent else stated
        version = requested or _stated(node) or above or _likely(node)
        groups[node.path] = _inspected(node, version, None if requested else above)
        if progress:
            progress(done, len(nodes_below))
    return list(groups.values())


def findings(groups: Sequence[Inspected]) -> Findings:
    """Yield all problems, group by group: those of the group by itself, then those of its relations."""
    by_path = {one.node.path: one for one in groups}
    for one in groups:
        yield from one.problems
        for agree in LINKS if one.node.attributes is not None else ():
            yield from below(one.node.path, _readable(agree(one, by_path)))


def _readable(checks: Iterable[Problem]) -> Findings:
    """Yield what checks find; that they cannot read something is a problem, too."""
    try:
        yield from checks
    except OSError as error:
        yield Problem("group", f"cannot be read: {reason(error)}")


def _stated(node: Node) -> Version | None:
    """Return the version that a group states, or that it states a draft of."""
    return stated_version(version_in(node.attributes or {}))


def _likely(node: Node) -> Version:
    """Return the version that a group looks like."""
    likely = likely_version(node.attributes or {})
    return likely if node.zarr_format in (None, likely.arrays.zarr_format) else version_of(node.zarr_format or 3)


# ---- one group


def _inspected(node: Node, version: Version, above: Version | None) -> Inspected:
    if node.attributes is None:
        return Inspected(node, version, (), tuple(_missing(node)))
    if UNFINISHED_KEY in node.attributes:
        return Inspected(node, version, (), tuple(below(node.path, [unfinished(node.attributes)])))
    of_attributes = list(find_problems(node.attributes, version.name, label=node.role == "label"))
    images, unread = _images(node, version, of_attributes)
    alone = [*of_attributes, *_readable(_of_group(node, version)), *_in_hierarchy(node, above), *unread]
    alone += [problem for image in images for problem in array_problems(image, node.is_label)]
    return Inspected(node, version, images, (*_unlisted(node), *below(node.path, alone)))


def _missing(node: Node) -> Findings:
    """Yield that a group is missing or cannot be read, at the address where it is listed, if it is."""
    if node.parent and node.listed:
        path = node.path.removeprefix(f"{node.parent.path}/")
        yield from below(node.parent.path, [Problem(node.listed, f"{path!r}: {node.trouble}")])
    else:
        yield from below(node.path, [Problem("group", node.trouble)])


def _unlisted(node: Node) -> Findings:
    if node.parent and node.role == "label" and not node.listed:
        message = f"{node.path.rsplit('/', 1)[-1]!r} is a label image, and should be listed"
        yield from below(node.parent.path, [Problem("labels", message, True, "labels")])


def _images(
    node: Node, version: Version, of_attributes: Sequence[Problem]
) -> tuple[tuple[StoredImage, ...], list[Problem]]:
    """Return the images of a group, and why others cannot be read, unless other problems explain it."""
    listed = node.ome.get("multiscales")
    n = len(listed) if isinstance(listed, list) else 0
    results = [
        stored_image_of(node.store_path, node.zarr_format or 3, node.attributes or {}, i, version) for i in range(n)
    ]
    images = tuple(one for one in results if isinstance(one, StoredImage))
    unread = [one for one in results if isinstance(one, Problem)] + [p for image in images for p in image.problems]
    return images, [problem for problem in unread if not any(map(problem.covers, errors(of_attributes)))]


def _of_group(node: Node, version: Version) -> Findings:
    if node.zarr_format != version.arrays.zarr_format:
        yield Problem("group", wrong_format(node.zarr_format or 3, version))
    old = [
        name for name in V2_DOCUMENTS[:2] if node.zarr_format == 3 and read_document(node.store_path, name) is not None
    ]
    if old:
        yield Problem("group", f"has {' and '.join(old)} beside zarr.json; readers may take either", True)


def _in_hierarchy(node: Node, above: Version | None) -> Findings:
    """Yield where a group contradicts the group above it."""
    wanted = ROLES.get(node.role)
    if wanted and wanted not in node.kinds and node.kinds:
        listed = f"as {node.listed} of the group above has it" if node.listed else "as its name says"
        yield Problem(node.kinds[0], f"the group must be of kind {wanted!r}, {listed}", section=wanted)
    stated = version_in(node.attributes or {})
    if node.parent and above and stated and stated_version(stated) != above:
        message = f"is {stated!r}, but that of the group above is {above.name!r}; they must be the same"
        yield Problem("version", message, above.root is None, "version")


ROLES = {"well": "well", "image": "image", "labels": "labels", "label": "image", "series": "bioformats2raw"}
"""The kind that a group must have, by its role in the group above."""


# ---- relations between groups


def _like_image(label: Inspected, groups: Whole) -> Findings:
    """As many levels as the image (MUST, section "labels"), each axis as long, or 1 (SHOULD, section "storage")."""
    image = groups.get(label.node.image.path) if label.node.image else None
    if image is None or not image.images or not label.images:
        return
    ours, theirs = label.images[0], image.images[0]
    n, wanted = _n_levels(ours), _n_levels(theirs)
    if n != wanted:
        message = f"there are {n} levels, but the image has {wanted}; there must be as many"
        yield Problem("multiscales/0/datasets", message, section="labels")
    shapes = {level.k: dict(zip(theirs.names, array.shape, strict=False)) for level, array in theirs.stored}
    for level, array in ours.stored:
        for name, size in zip(ours.names, array.shape, strict=False):
            length = shapes.get(level.k, {}).get(name, size)
            if size not in (1, length):
                message = f"is {size} long along {name!r}, but the image is {length}; it should be as long, or 1"
                yield Problem(level.where, message, True, "labels")


def _n_levels(image: StoredImage) -> int:
    return len(ome_of(image.attributes)["multiscales"][image.index]["datasets"])


def _bare_between(label: Inspected, groups: Whole) -> Findings:
    """Groups between ``labels`` and a label image have no metadata (section "labels")."""
    labels = label.node.parent
    parts = label.node.path.removeprefix(f"{labels.path}/").split("/") if labels and label.node.role == "label" else []
    for n in range(1, len(parts)):
        store_path = labels.store_path / "/".join(parts[:n])  # type: ignore[union-attr]
        attributes = read_document(store_path, ".zattrs") or (read_document(store_path, "zarr.json") or {}).get(
            "attributes"
        )
        if attributes:
            message = f"the group {'/'.join(parts[:n])!r} above the label image must not have metadata"
            yield Problem("group", message, label.version.root is None, "labels")


def _source(label: Inspected, groups: Whole) -> Findings:
    """The source of labels is an image, as far as it lies below the target (section "image-label")."""
    source = _object(_object(label.node.ome.get("image-label")).get("source")).get("image")
    path = normpath(f"{label.node.path}/{source}") if isinstance(source, str) and label.node.path else ".."
    source_group = groups.get("" if path == "." else path)
    if source_group and "image" not in source_group.node.kinds and source_group.node.attributes is not None:
        message = f"leads to {path!r}, but that is not an image"
        yield Problem("image-label/source/image", message, section="image-label")


def _acquisitions(well: Inspected, groups: Whole) -> Findings:
    """Images say their acquisition if there are several: one of the plate's (section "well")."""
    plate = groups.get(well.node.parent.path) if well.node.parent and well.node.role == "well" else None
    if plate is None or "well" not in well.node.kinds:
        return
    listed = _entries(plate.node, "plate", "acquisitions")
    ids = [item.get("id") for _, item in listed]
    warning = not well.version.named_acquisitions
    for at, image in _entries(well.node, "well", "images"):
        stated = image.get("acquisition")
        if stated is None and len(ids) > 1:
            message = f"is missing; the plate has {len(ids)} acquisitions"
            yield Problem(f"{at}/acquisition", message, warning, "well")
        elif stated is not None and stated not in ids:
            known = f"has {', '.join(map(repr, ids))} only" if ids else "lists none"
            yield Problem(f"{at}/acquisition", f"is {stated!r}, but the plate {known}", warning or not ids, "well")


def _field_counts(plate: Inspected, groups: Whole) -> Findings:
    """No well has more fields than the plate says, in all or of one acquisition (section "plate")."""
    wells = [one.node for one in groups.values() if one.node.parent is plate.node and one.node.role == "well"]
    fields = [_entries(well, "well", "images") for well in wells]
    listed_plate = plate.node.ome.get("plate")
    limit = listed_plate.get("field_count") if isinstance(listed_plate, Mapping) else None
    yield from _exceeded("plate/field_count", limit, map(len, fields))
    counts = [Counter(repr(image.get("acquisition")) for _, image in images) for images in fields]
    for at, acquisition in _entries(plate.node, "plate", "acquisitions"):
        of_acquisition = (count[repr(acquisition.get("id"))] for count in counts)
        yield from _exceeded(f"{at}/maximumfieldcount", acquisition.get("maximumfieldcount"), of_acquisition)


def _exceeded(where: str, limit: Any, counts: Iterator[int]) -> Findings:
    most = max(counts, default=0)
    if COUNT.holds(limit) and most > limit:
        yield Problem(where, f"is {limit}, but a well has {most} fields", True, "plate")


def _entries(node: Node, key: str, items: str) -> list[tuple[str, JSONObject]]:
    """Return the objects of a list, with their addresses."""
    owner = node.ome.get(key)
    objects = owner.get(items) if isinstance(owner, Mapping) else None
    listed = enumerate(objects) if isinstance(objects, list) else ()
    return [(f"{key}/{items}/{i}", item) for i, item in listed if isinstance(item, Mapping)]


def _stale(holder: Inspected, groups: Whole) -> Findings:
    """Consolidated metadata are copies; outdated ones hide levels from readers that read nothing else."""
    where, copies = _consolidated(holder.node)
    if copies is None:
        return
    for key, copy in copies.items():
        store_path, _, name = f"/{key}".rpartition("/")
        document = read_document(holder.node.store_path / store_path.strip("/"), name)
        if _said(copy) != _said(document):
            gone = "which is gone" if document is None and copy else "which says something else"
            yield Problem(where, f"hold an old copy of {key}, {gone}; consolidate again", True)
    names = [name for key in copies for name in [key.rpartition("/")[0]]]
    for path in _paths_below(holder, groups):
        if path not in names:
            yield Problem(where, f"lack {path}, which is there; consolidate again", True)


def _consolidated(node: Node) -> tuple[str, Mapping[str, Any] | None]:
    """Return the address of consolidated metadata, and the copies by the path of the document."""
    if node.zarr_format == 2:
        copies = _object(read_document(node.store_path, ".zmetadata")).get("metadata")
        return ".zmetadata", copies if isinstance(copies, Mapping) else None
    held = _object(_object(read_document(node.store_path, "zarr.json")).get("consolidated_metadata")).get("metadata")
    copies = {f"{key}/zarr.json": copy for key, copy in held.items()} if isinstance(held, Mapping) else None
    return "consolidated_metadata", copies


def _object(value: Any) -> JSONObject:
    return value if isinstance(value, Mapping) else {}


COMPARED = ("node_type", "shape", "data_type", "dtype", "chunks", "dimension_names", "attributes")
"""Keys of documents that copies have as they are; libraries complete others. (A ``.zattrs`` has none of them.)"""


def _said(document: Any) -> str:
    known = {key: value for key, value in _object(document).items() if key in COMPARED and value not in (None, {}, [])}
    is_zarr = "zarr_format" in _object(document)
    return json.dumps(known if is_zarr else _object(document), sort_keys=True, default=str)


def _paths_below(holder: Inspected, groups: Whole) -> Iterator[str]:
    top = f"{holder.node.path}/" if holder.node.path else ""
    for one in groups.values():
        if one.node.attributes is not None and one.node.path.startswith(top):
            yield from [one.node.path.removeprefix(top)] if one is not holder else []
            for image in one.images:
                paths = (level.dataset.path for level, _ in image.stored)
                yield from (join_paths(one.node.path, path).removeprefix(top) for path in paths)


def _linked_systems(holder: Inspected, groups: Whole) -> Findings:
    """Transformations lead to systems that are there, and fit their axes; so do the arrays that they name (0.6)."""
    scene, version = holder.node.ome.get("scene"), holder.version.name
    owners = [*objects_of(holder.node.ome, "multiscales"), *([("scene", scene)] if isinstance(scene, Mapping) else [])]
    for where, owner in owners if holder.version.named_systems else ():
        own = ndims_of(owner)
        for link in links_of(owner):
            ndims: list[int | None] = []
            for side, end in link.ends:
                systems = own if end.path is None else _systems_of(join_paths(holder.node.path, end.path), groups)
                ndims.append(None if systems is None else systems.get(end.name or ""))
                if end.path is not None and systems is not None and end.name not in systems:
                    message = f"{end.name!r} is not a coordinate system of {end.path!r}"
                    yield Problem(f"{where}/{link.where}/{side}/name", message, section="coordinateTransformations")
            yield from array_findings(link.transform, f"{where}/{link.where}", holder.node.store_path, *ndims)
            if any(end.path is not None for _, end in link.ends):
                yield from checked_dimensions(link.transform, f"{where}/{link.where}", ndims[0], ndims[1], version)


def _systems_of(path: str, groups: Whole) -> Mapping[str, int] | None:
    """Return the coordinate systems of an image, and how many axes they have; None where it cannot be read."""
    image = groups.get(normpath(path))
    if image is None or not image.node.attributes:
        return None
    return {name: n for _, one in objects_of(image.node.ome, "multiscales") for name, n in ndims_of(one).items()}


def _collection(layout: Inspected, groups: Whole) -> Findings:
    """What describes a collection, its list of series and its OME-XML, describes the images that are there."""
    if LAYOUT not in layout.node.ome:
        return
    top, lists = layout.node.path, groups.get(join_paths(layout.node.path, OME))
    below = [one.node for one in groups.values() if one.node.role == "image" and _root_of(one.node) is layout.node]
    paths = [node.path.removeprefix(f"{top}/") for node in below]
    series = lists.node.ome.get("series") if lists else None
    is_ordered = isinstance(series, list) or "plate" not in layout.node.kinds
    if isinstance(series, list):
        if "plate" in layout.node.kinds:
            yield from series_problems(series, paths)
        paths = [path for path in series if isinstance(path, str)]
    images = [(path, groups.get(join_paths(top, path))) for path in paths]
    listed = [ListedImage(path, next(iter(one.images), None) if one else None) for path, one in images]
    xml = read_text(layout.node.store_path / OME / COLLECTION_XML)
    if xml is not None:
        yield from xml_problems(xml, listed, is_ordered)


def _root_of(node: Node) -> Node:
    """Return the group in which the walk came to an image."""
    return node if node.parent is None else _root_of(node.parent)


LINKS: tuple[Callable[[Inspected, Whole], Findings], ...] = (
    _like_image,
    _bare_between,
    _source,
    _acquisitions,
    _field_counts,
    _linked_systems,
    _collection,
    _stale,
)
"""The rules that relate a group to the others."""
