"""The collection that an image lies in, whose OME-XML says how long the image is: it follows when that changes."""

import os
from contextlib import suppress
from dataclasses import dataclass

from zarr.storage import StorePath

from daskome.model.paths import parents_of
from daskome.ome.detect import ome_of
from daskome.ome.omero import Channel
from daskome.ome.xml.collection_xml import COLLECTION_XML, LAYOUT, OME, with_lengths
from daskome.planning.groups.group import Group
from daskome.stores.documents import read_text
from daskome.stores.groups import JSON, read_attributes
from daskome.stores.location import folder_of, rooted
from daskome.stores.publish import rewrite

DEPTH_OF_FIELDS = 2
"""How many groups lie between a plate and its images: a row and a well."""


@dataclass(frozen=True, slots=True)
class DescribedAt:
    """Where OME-XML describes an image, and as which of its images; None if nothing says which."""

    document: StorePath
    number: int | None

    def with_lengths(self, xml: str, group: Group) -> str:
        """Return the OME-XML with the lengths that an image has after a change.

        Raises
        ------
        ValueError
            If it does not describe the image.
        """
        pyramid, change = group.pyramid, group.change
        assert pyramid is not None
        assert change is not None
        if self.number is None:
            raise ValueError("does not say which of its images this is")
        names, shapes = [axis.name for axis in pyramid.axes], (change.shapes[0], pyramid.levels[0].shape)
        before, lengths = (dict(zip(names, shape, strict=True)) for shape in shapes)
        n_more = lengths.get("c", 0) - before.get("c", 0)
        named = group.metadata.omero.channels if group.metadata.omero else None
        return with_lengths(xml, self.number, lengths, named or [Channel(None, None)] * n_more)


def described_at(image: StorePath) -> DescribedAt | None:
    """Return where OME-XML describes an image; None if it is none of a collection, or of one without OME-XML."""
    inner = rooted(image)
    for above in parents_of(inner.path):
        top = StorePath(inner.store, above)
        ome = _attributes(top)
        if LAYOUT in ome:
            document, (is_image, number) = top / OME / COLLECTION_XML, _listed(top, ome, inner.path.removeprefix(above))
            return DescribedAt(document, number) if is_image and read_text(document) is not None else None
    return None


def check_describable(image: StorePath, group: Group) -> str:
    """Return why OME-XML that describes an image cannot follow a change of its shape; empty if it can, or need not.

    Raises
    ------
    PermissionError, FileExistsError
        If it cannot be written where it is.
    """
    described = described_at(image) if _is_longer(group) else None
    if described is None:
        return ""
    try:
        described.with_lengths(read_text(described.document) or "", group)
    except ValueError as error:
        return f"{described.document} keeps what it says of the image: it {error}"
    file = folder_of(described.document)
    link = next((path for path in (file, file.parent) if path.is_symlink()), None) if file else None
    if link is not None:
        raise FileExistsError(f"{link} is a link, behind which OME-XML describes the image, and would have to change")
    if file is not None and not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{file} describes the image, and would have to change, but cannot be written")
    return ""


def describe_longer(image: StorePath, group: Group) -> None:
    """Let the OME-XML that describes an image say how long it is now."""
    described = described_at(image) if _is_longer(group) else None
    if described is not None:
        with suppress(ValueError):  # It was said before anything changed.
            rewrite(described.document, lambda xml: described.with_lengths(xml, group))


def _is_longer(group: Group) -> bool:
    change, levels = group.change, group.pyramid.levels if group.pyramid else ()
    return change is not None and change.shapes != tuple(level.shape for level in levels)


def _attributes(place: StorePath) -> JSON:
    """Return the attributes of OME-Zarr of a group; none where it cannot be read."""
    with suppress(ValueError):
        return dict(ome_of(read_attributes(place) or {}))
    return {}


def _listed(top: StorePath, ome: JSON, path: str) -> tuple[bool, int | None]:
    """Return whether a path is that of an image of a collection, and which one it is, if anything says so."""
    series, name = _attributes(top / OME).get("series"), path.strip("/")
    if isinstance(series, list):
        return name in series, series.index(name) if name in series else None
    if "plate" in ome:
        return name.count("/") == DEPTH_OF_FIELDS, None
    return name.isdecimal(), int(name) if name.isdecimal() else None
