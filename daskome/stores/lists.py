"""Lists that several processes extend: the labels of an image, the wells of a plate.

What is listed lies below the list, in a group of its own that no two processes write: it is its own record. Whoever
writes a list lists all that is whole there, and looks again once others see what was written, until nothing is missing.
So the last to write lists what all others have finished. What a killed process has left unlisted, or has overwritten,
is listed on the next visit.

What was taken out of a list on purpose, but lies there whole, looks the same as what was lost, and is listed again on
the next visit: to leave it out, delete its group.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from zarr.storage import StorePath

from daskome.model.paths import join_paths
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.plate import Field, joined, natural, parse_plate
from daskome.ome.read import merged, read_metadata
from daskome.stores.documents import list_names
from daskome.stores.groups import JSON, UNFINISHED_KEY, read_attributes
from daskome.stores.remembered import for_each


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list has, or lacks: its path in the group of the list, and the images of a well."""

    path: str
    images: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class ListKind:
    """A row of `LIST_KINDS`.

    Attributes
    ----------
    depth : int
        How many names the path of an entry has.
    listed : callable
        Returns the paths that metadata list; None if they have no such list.
    read : callable
        Returns an entry if it is whole: finished, with its images.
    add : callable
        Returns metadata that list further entries.
    """

    depth: int
    listed: Callable[[Metadata], Iterable[str] | None]
    read: Callable[[StorePath, str], Entry | None]
    add: Callable[[Metadata, Sequence[Entry]], Metadata]


def grown(target: StorePath, found: JSON, new: Metadata) -> Metadata:
    """Return the metadata of a group with lists: what it has, what is added, and all else that is whole there."""
    metadata = merged(found, new)
    for kind in _kinds_in(metadata):
        entries = _unlisted(target, kind, set(kind.listed(metadata) or ()))
        metadata = kind.add(metadata, entries) if entries else metadata
    return metadata


def _kinds_in(metadata: Metadata) -> list[ListKind]:
    return [kind for kind in LIST_KINDS if kind.listed(metadata) is not None]


def _unlisted(target: StorePath, kind: ListKind, listed: Container[str]) -> list[Entry]:
    """Return what is whole, and not listed, in the order of names."""
    paths = [path for path in _paths_below(target, kind.depth) if path not in listed]
    found = for_each(target, lambda path: _read(target, kind, path), paths)
    return [entry for entry in found if entry is not None]


def _paths_below(target: StorePath, depth: int) -> list[str]:
    """Return the paths of what may be groups at a depth, in the order of names."""
    paths = [""]
    for _ in range(depth):
        names = for_each(target, lambda path: list_names(target / path), paths)
        each = ((path, sorted(set(some), key=natural)) for path, some in zip(paths, names, strict=True))
        paths = [join_paths(path, name) for path, some in each for name in some if _is_name(name)]
    return paths


def _is_name(name: str) -> bool:
    """Whether a group may have a name; documents and the journal have others."""
    return name != "zarr.json" and not name.startswith((".", "__"))


def _read(target: StorePath, kind: ListKind, path: str) -> Entry | None:
    """Return an entry if it is whole; what cannot be read is not."""
    with suppress(ValueError):
        return kind.read(target, path)
    return None


def _is_image(target: StorePath) -> bool:
    """Whether a group is a whole image."""
    attributes = read_attributes(target) or {}
    return "multiscales" in ome_keys(attributes) and UNFINISHED_KEY not in attributes


def _read_label(target: StorePath, path: str) -> Entry | None:
    return Entry(path) if _is_image(target / path) else None


def _read_well(target: StorePath, path: str) -> Entry | None:
    well = read_metadata(read_attributes(target / path) or {}).well
    if well is None or not all(_is_image(target / path / image.path) for image in well.images):
        return None
    return Entry(path, well.images)


def _add_labels(metadata: Metadata, entries: Sequence[Entry]) -> Metadata:
    return replace(metadata, labels=(*(metadata.labels or ()), *(entry.path for entry in entries)))


def _add_wells(metadata: Metadata, entries: Sequence[Entry]) -> Metadata:
    """Return the metadata of a plate with further wells, as far as these tell: rows, columns, fields, acquisitions."""
    rows, columns = (list(dict.fromkeys(entry.path.split("/")[k] for entry in entries)) for k in (0, 1))
    most: dict[int, int] = {}
    for entry in entries:
        for acquisition, n in Counter(image.acquisition for image in entry.images).items():
            if acquisition is not None:
                most[acquisition] = max(most.get(acquisition, 0), n)
    acquisitions = [{"id": k, "name": str(k), "maximumfieldcount": n} for k, n in most.items()]
    fields = max(len(entry.images) for entry in entries)
    more = parse_plate(rows, columns, [entry.path for entry in entries], acquisitions, fields)
    return replace(metadata, plate=joined(metadata.plate, more) if metadata.plate else more)


def _wells(metadata: Metadata) -> list[str] | None:
    return None if metadata.plate is None else [well.path for well in metadata.plate.wells]


LIST_KINDS = (
    ListKind(1, lambda metadata: metadata.labels, _read_label, _add_labels),
    ListKind(2, _wells, _read_well, _add_wells),
)
