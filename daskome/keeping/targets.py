"""What a removal is of: which group goes, and which list loses an entry; what may not be removed is refused."""

from dataclasses import dataclass

from zarr.storage import StorePath

from daskome.inspection.hierarchy import Node, children_of, opened_node
from daskome.keeping.place import NOTHING, OURS, WORDS_OF_KINDS, Place, place_at
from daskome.model.paths import join_paths, parents_of
from daskome.ome.image_label import LABELS
from daskome.ome.xml.names import OME
from daskome.stores.documents import list_names
from daskome.stores.groups import UNFINISHED_KEY, others_of, read_attributes, removal_mark
from daskome.stores.journal import JOURNAL
from daskome.stores.remembered import LOOKED_FOR
from daskome.stores.targets.conflicts import is_litter
from daskome.stores.targets.removal import ListEntry

ROW_DEPTH = 2
"""How many names lead from a plate to a well: a row lies between."""
LAYOUT_KIND = "bioformats2raw"
MEMBERS = {"plate": "well", "well": "image", LAYOUT_KIND: "image"}
"""What each kind of group lists that may leave its list; a collection may list none, then its images are numbered."""
MEMBERS_NAMED = 5
"""How many names a refusal lists."""


@dataclass(frozen=True, slots=True)
class RemovalTarget:
    """What a removal is of.

    Attributes
    ----------
    place : Place
        In the outermost group around it.
    asked : str
        Path of what was asked for: that of the place, or one in it, if nothing else is in it.
    kind : str
        Of what was asked for.
    entry : ListEntry, optional
        What lists it.
    """

    place: Place
    asked: str
    kind: str
    entry: ListEntry | None = None


def removal_target(store_path: StorePath) -> RemovalTarget:
    """Return what goes, if what lies at a place is to be removed.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is nothing of OME-Zarr or daskome, or may not go alone.
    """
    root, path = StorePath(store_path.store), store_path.path
    place, entry = place_at(store_path), _entry(root=StorePath(store_path.store), path=path)
    parent = path.rpartition("/")[0]
    if path and removal_mark(read_attributes(root / parent)):
        return RemovalTarget(place_at(root / parent), path, place_at(root / parent).kind, entry)
    if place.kind == NOTHING and entry is None:
        raise FileNotFoundError(f"there is nothing at {store_path}")
    if place.kind not in (*OURS, NOTHING):
        raise ValueError(_refusal(place))
    alone = entry is not None and _is_alone(root, path, entry)
    return RemovalTarget(place_at(root / parent) if alone else place, path, place.kind, entry)


def _entry(root: StorePath, path: str) -> ListEntry | None:
    """Return what lists a path; raises a ValueError if it may not leave that list."""
    for above in parents_of(path)[:ROW_DEPTH]:
        node = opened_node(Node("", root / above))
        inner = path.removeprefix(above).lstrip("/")
        if above.rpartition("/")[2] == LABELS and "/" not in inner and node.attributes is not None:
            return ListEntry(above, "labels", (inner,))
        siblings = [child for child in children_of(node) if child.listed]
        if any(child.path == inner for child in siblings):
            return _listed(node, above, inner, siblings)
    return None


def _listed(node: Node, above: str, inner: str, siblings: list[Node]) -> ListEntry:
    kind = next((kind for kind in MEMBERS if kind in node.kinds), None)
    if kind is None or (kind == LAYOUT_KIND and not siblings[0].listed.startswith(OME)):
        raise ValueError(f"{inner} is a part of the {node.kinds[0]} at {node.store_path}; remove that as a whole")
    if len(siblings) == 1:
        what, word = MEMBERS[kind], WORDS_OF_KINDS[kind]
        raise ValueError(f"{inner} is the last {what} of the {word} at {node.store_path}; remove the {word} instead")
    group, listing = (join_paths(above, OME), "series") if kind == LAYOUT_KIND else (above, kind)
    return ListEntry(group, listing, (inner,))


def _is_alone(root: StorePath, path: str, entry: ListEntry) -> bool:
    """Whether the group above is a row, or the group of labels, and holds nothing else."""
    parent, _, name = path.rpartition("/")
    if parent == entry.group and entry.kind != "labels":
        return False
    attributes = {key: value for key, value in (read_attributes(root / parent) or {}).items() if key != UNFINISHED_KEY}
    names = {one for one in list_names(root / parent) if not is_litter(one)}
    return not others_of(attributes) and names <= {name, JOURNAL, *LOOKED_FOR}


def _refusal(place: Place) -> str:
    """Return why what is there is not removed."""
    path = place.store_path
    if place.kind == "zarr array":
        return f"{path} is a zarr array, as levels of images are; only what is OME-Zarr goes: give the path of an image"
    if place.kind == "zarr group":
        names = sorted(name for name in list_names(path) if not name.startswith(".") and name != "zarr.json")
        some = ", ".join([*names[:MEMBERS_NAMED], *["…"] * (len(names) > MEMBERS_NAMED)])
        inside = f"give what is in it: {some}" if names else "it is empty"
        return f"{path} is a zarr group, but none of OME-Zarr, which alone is removed; {inside}"
    what = "a file" if place.kind == "file" else "a folder of other files"
    return f"{path} is {what}; only what is OME-Zarr, or was begun as that, is removed"


def asked_kind(target: RemovalTarget) -> str:
    """Return the kind of what was asked for, and that the group around it goes, too, if it does."""
    around = target.place.store_path.path
    return (
        target.kind
        if around == target.asked
        else f"{target.kind}, and {around.rpartition('/')[2]}, which is empty then"
    )
