"""The groups below a group: labels of an image, wells and images of a plate, images of a collection or a scene."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.json_values import JSONObject
from daskome.model.paths import is_inside, join_paths
from daskome.ome.detect import kinds_of, ome_of
from daskome.ome.image_label import LABELS
from daskome.ome.rules.systems import links_of
from daskome.ome.xml.names import LAYOUT, OME
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, find_group, no_group
from daskome.stores.location import fetch_holds_group
from daskome.stores.objects.damage import lists_nothing, reason
from daskome.stores.remembered import for_each


@dataclass(frozen=True, slots=True)
class Node:
    """A group of OME-Zarr, or the path where one is missing.

    Attributes
    ----------
    path : str
        Relative to where the walk began.
    place : StorePath
    role : str
        Its role in the group above: well, image, labels, label, series; "" for the first one.
    listed : str
        The address in the metadata of the group above where it is listed; "" if it is not listed.
    parent : Node, optional
        The group above.
    zarr_format : int, optional
    attributes : dict, optional
        None if the group is missing or cannot be read.
    trouble : str
        Why they are None.
    """

    path: str
    store_path: StorePath
    role: str = ""
    listed: str = ""
    parent: "Node | None" = None
    zarr_format: int | None = None
    attributes: JSONObject | None = None
    trouble: str = ""

    @property
    def ome(self) -> JSONObject:
        """The attributes of OME-Zarr."""
        return ome_of(self.attributes or {})

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of group that the attributes make it (`daskome.ome.detect.kinds_of`)."""
        return kinds_of(self.attributes or {})

    @property
    def is_label(self) -> bool:
        """Whether it is a label image, by its role or its attributes."""
        return self.role == "label" or "image-label" in self.kinds

    @property
    def image(self) -> "Node | None":
        """The image that a label image is of, if the walk came through it."""
        labels = self.parent if self.role == "label" else None
        return labels.parent if labels else None


def nodes(store_path: StorePath) -> Iterator[Node]:
    """Yield a group and all that its metadata list below it, including what is missing.

    Parameters
    ----------
    place : StorePath
        Of an image, a group of labels, a label image, a plate, a well, a bioformats2raw layout or a scene.

    Yields
    ------
    Node
        A group before those below it.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store, image = zarr.storage.MemoryStore(), np.ones((64, 64), "uint8")
    >>> plan = write_image(image, store, [2], axes="yx", labels={"nuclei": image})
    >>> [(node.path, node.kinds) for node in nodes(StorePath(store))]
    [('', ('image',)), ('labels', ('labels',)), ('labels/nuclei', ('image', 'image-label'))]
    """
    todo = [opened_node(Node("", store_path))]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed(_below(node)))


def _below(node: Node) -> list[Node]:
    """Return the nodes below a group; one that says why, if they cannot be found for an error in reading."""
    try:
        return [opened_node(child) for child in children_of(node)]
    except Exception as error:  # Each kind of file system has errors of its own.
        trouble = f"what is below {node.path or 'the group'} cannot be read: {reason(error)}"
        return [Node(join_paths(node.path, "*"), node.store_path / "*", parent=node, trouble=trouble)]


def opened_node(node: Node) -> Node:
    """Return a node with the attributes of its group."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = find_group(node.store_path)
        zarr_format_and_attributes = None if group is None else (group.metadata.zarr_format, group.attrs.asdict())
    except Exception as error:  # Broken documents make zarr raise errors of many types.
        return replace(node, trouble=f"cannot be read: {reason(error)}")
    if zarr_format_and_attributes is None:
        return replace(node, trouble=no_group(node.store_path))
    return replace(node, zarr_format=zarr_format_and_attributes[0], attributes=zarr_format_and_attributes[1])


def children_of(node: Node) -> Iterator[Node]:
    """Yield the nodes below a group; which links are followed depends on its role, so that loops of links end."""
    if node.attributes is None or UNFINISHED_KEY in node.attributes:
        return
    seen: set[str] = set()
    for link in LINKS_BELOW:
        if link.kind in node.kinds and node.role in link.roles:
            for path, listed in link.children(node):
                if is_inside(path) and path not in seen:
                    seen.add(path)
                    yield Node(join_paths(node.path, path), node.store_path / path, link.role, listed, node)


Children = Iterator[tuple[str, str]]


def _labels(image: Node) -> Children:
    """Yield the group of labels, if there is one: it is optional, and no document lists it."""
    if not image.is_label and _is_there(image.store_path / LABELS):
        yield LABELS, ""


def _is_there(store_path: StorePath) -> bool:
    looks: tuple[Callable[[StorePath], Any], ...] = (lambda place: sync(fetch_holds_group(place)), _names)
    return any(for_each(store_path, lambda look: look(store_path), looks))


def _listed_labels(labels: Node) -> Children:
    """Yield the listed label images, then images beside them that are not listed."""
    listed = labels.ome.get("labels")
    paths = list(listed) if isinstance(listed, list | tuple) else []
    yield from ((path, f"labels/{i}") for i, path in enumerate(paths) if isinstance(path, str))
    for name in _names(labels.store_path):
        child = Node(name, labels.store_path / name) if not any(_is_in(path, name) for path in paths) else None
        if child and "image" in opened_node(child).kinds:
            yield name, ""


def _is_in(path: Any, name: str) -> bool:
    return isinstance(path, str) and path.split("/")[0] == name


def _names(store_path: StorePath) -> list[str]:
    """Return the names below a place, none where a store lists nothing."""
    try:
        return sorted(name for name in list_names(store_path) if not name.startswith("."))
    except Exception as error:
        if not lists_nothing(error):
            raise
        return []


def _entries(node: Node, key: str, items: str) -> Children:
    """Yield the paths in a list of objects."""
    owner = node.ome.get(key)
    listed = owner.get(items) if isinstance(owner, Mapping) else None
    for i, item in enumerate(listed if isinstance(listed, list | tuple) else ()):
        if isinstance(item, Mapping) and isinstance(item.get("path"), str):
            yield item["path"], f"{key}/{items}/{i}"


def _series(layout: Node) -> Children:
    """Yield the images of a bioformats2raw layout: those that the group ``OME`` lists, or 0, 1, 2 and so on."""
    if "plate" in layout.kinds or LAYOUT not in layout.ome:
        return
    series = opened_node(Node(OME, layout.store_path / OME)).ome.get("series")
    if isinstance(series, list):
        yield from ((path, f"{OME} series/{i}") for i, path in enumerate(series) if isinstance(path, str))
        return
    n = 0
    while n == 0 or _is_there(layout.store_path / str(n)):
        yield str(n), LAYOUT
        n += 1


def _ome_group(layout: Node) -> Children:
    if LAYOUT in layout.ome and "series" in opened_node(Node(OME, layout.store_path / OME)).ome:
        yield OME, ""


def _in_scene(scene: Node) -> Children:
    """Yield the images that transformations of a scene lead from and to."""
    described = scene.ome.get("scene")
    for link in links_of(described) if isinstance(described, Mapping) else ():
        yield from ((end.path, f"scene/{link.where}/{side}") for side, end in link.ends if end.path is not None)


class LinkBelow(NamedTuple):
    """What lies below a kind of group.

    Attributes
    ----------
    kind : str
        Of the group.
    roles : tuple of str
        Which the group may have itself.
    role : str
        Of what is below it.
    children : callable
        The paths of that, each with the address where it is listed.
    """

    kind: str
    roles: tuple[str, ...]
    role: str
    children: Callable[[Node], Children]


LINKS_BELOW = (
    LinkBelow("plate", ("",), "well", lambda plate: _entries(plate, "plate", "wells")),
    LinkBelow("well", ("", "well"), "image", lambda well: _entries(well, "well", "images")),
    LinkBelow("bioformats2raw", ("",), "series", _ome_group),
    LinkBelow("bioformats2raw", ("",), "image", _series),
    LinkBelow("scene", ("",), "image", _in_scene),
    LinkBelow("image", ("", "image"), "labels", _labels),
    LinkBelow("labels", ("", "labels"), "label", _listed_labels),
)
