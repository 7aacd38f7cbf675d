"""What is below a place: an image and its labels, a plate with wells and images, a bioformats2raw layout."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from zarr.storage import StorePath

from daskome.inspection.stored_image import read_document, reason
from daskome.model.json_values import JSONObject
from daskome.model.paths import is_inside
from daskome.ome.detect import kinds_of, ome_of
from daskome.ome.image_label import LABELS
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, find_group
from daskome.stores.location import join_paths

OME, LAYOUT = "OME", "bioformats2raw.layout"


@dataclass(frozen=True, slots=True)
class Node:
    """A group of OME-Zarr, or a place where there should be one.

    Attributes
    ----------
    path : str
        Relative to where the walk began.
    place : StorePath
    role : str
        What the group above takes it for: well, image, labels, label, series; "" for the first one.
    listed : str
        The address in the metadata of the group above where it is listed; "" for what was found.
    parent : Node, optional
        The group above.
    zarr_format : int, optional
    attributes : dict, optional
        None where there is no group, or none that can be read.
    trouble : str
        Why there is none.
    """

    path: str
    place: StorePath
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
        """What the attributes say it is (`daskome.ome.detect.kinds_of`)."""
        return kinds_of(self.attributes or {})

    @property
    def is_label(self) -> bool:
        """Whether it is a label image, by its place or by what it says."""
        return self.role == "label" or "image-label" in self.kinds

    @property
    def image(self) -> "Node | None":
        """The image that a label image is of, if the walk came through it."""
        labels = self.parent if self.role == "label" else None
        return labels.parent if labels else None


def nodes(place: StorePath) -> Iterator[Node]:
    """Yield the group at a place and all that its metadata list below it; what is missing too.

    Parameters
    ----------
    place : StorePath
        Of an image, a group of labels, a label image, a plate, a well or a bioformats2raw layout.

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
    todo = [_opened(Node("", place))]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(reversed([_opened(child) for child in _children(node)]))


def _opened(node: Node) -> Node:
    """Return a node with what its group says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = find_group(node.place)
        found = None if group is None else (group.metadata.zarr_format, group.attrs.asdict())
    except Exception as error:  # Whatever a broken document makes zarr raise is a finding.
        return replace(node, trouble=f"can't be read: {reason(error)}")
    if found is None:
        return replace(node, trouble=f"there is no zarr group at {node.place}")
    return replace(node, zarr_format=found[0], attributes=found[1])


def _children(node: Node) -> Iterator[Node]:
    """Yield what is below a group; its role says where to look, so that no loop of links leads on for ever."""
    if node.attributes is None or UNFINISHED_KEY in node.attributes:
        return
    seen: set[str] = set()
    for link in LINKS_BELOW:
        if link.kind in node.kinds and node.role in link.roles:
            for path, listed in link.children(node):
                if is_inside(path) and path not in seen:
                    seen.add(path)
                    yield Node(join_paths(node.path, path), node.place / path, link.role, listed, node)


Children = Iterator[tuple[str, str]]


def _labels(image: Node) -> Children:
    """Labels are an option, and no document lists them."""
    if not image.is_label and _is_there(image.place / LABELS):
        yield LABELS, ""


def _is_there(place: StorePath) -> bool:
    return any(read_document(place, name) is not None for name in ("zarr.json", ".zgroup")) or bool(_names(place))


def _listed_labels(labels: Node) -> Children:
    """Those that are listed, then images beside them that are not."""
    listed = labels.ome.get("labels")
    paths = list(listed) if isinstance(listed, list | tuple) else []
    yield from ((path, f"labels/{i}") for i, path in enumerate(paths) if isinstance(path, str))
    for name in _names(labels.place):
        child = Node(name, labels.place / name) if not any(_is_in(path, name) for path in paths) else None
        if child and "image" in _opened(child).kinds:
            yield name, ""


def _is_in(path: Any, name: str) -> bool:
    return isinstance(path, str) and path.split("/")[0] == name


def _names(place: StorePath) -> list[str]:
    """Return the names below a place, as far as the store can tell."""
    try:
        return sorted(name for name in list_names(place) if not name.startswith("."))
    except Exception:
        return []


def _entries(node: Node, key: str, items: str) -> Children:
    """Yield the paths in a list of objects."""
    owner = node.ome.get(key)
    found = owner.get(items) if isinstance(owner, Mapping) else None
    for i, item in enumerate(found if isinstance(found, list | tuple) else ()):
        if isinstance(item, Mapping) and isinstance(item.get("path"), str):
            yield item["path"], f"{key}/{items}/{i}"


def _series(layout: Node) -> Children:
    """Yield the images of a bioformats2raw layout: those that the group ``OME`` lists, or 0, 1, 2 and so on."""
    if "plate" in layout.kinds or LAYOUT not in layout.ome:
        return
    series = _opened(Node(OME, layout.place / OME)).ome.get("series")
    if isinstance(series, list):
        yield from ((path, f"{OME} series/{i}") for i, path in enumerate(series) if isinstance(path, str))
        return
    n = 0
    while n == 0 or _is_there(layout.place / str(n)):
        yield str(n), LAYOUT
        n += 1


def _ome_group(layout: Node) -> Children:
    if LAYOUT in layout.ome and "series" in _opened(Node(OME, layout.place / OME)).ome:
        yield OME, ""


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
    LinkBelow("image", ("", "image"), "labels", _labels),
    LinkBelow("labels", ("", "labels"), "label", _listed_labels),
)
