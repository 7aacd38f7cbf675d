"""The collection that an image lies in: what describes it there follows when it changes, is replaced, or goes.

OME-XML describes the images of a collection in the order in which ``OME`` lists them, or in that of their numbers. An
image that is being removed leaves OME-XML first, then the list; its mark says which one OME-XML has, or had, of it. So
after a kill between the two, which image is which can still be told (`daskome.stores.targets.descriptions`).
"""

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from zarr.storage import StorePath

from daskome._caller import warn
from daskome.model.paths import join_paths, parents_of
from daskome.ome.detect import ome_of
from daskome.ome.xml.names import COLLECTION_XML, LAYOUT, OME
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.stores.documents import read_text
from daskome.stores.groups import DESCRIBED, JSON, read_attributes, removal_mark
from daskome.stores.location import folder_of, rooted
from daskome.stores.opened.refusals import is_denied, is_withheld
from daskome.stores.ownership.claims import Claim
from daskome.stores.ownership.owned_store import owned
from daskome.stores.publish import rewrite
from daskome.stores.remembered import for_each, forgotten

DEPTH_OF_FIELDS = 2
"""How many groups lie between a plate and its images: a row and a well."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A bioformats2raw layout around a place.

    Attributes
    ----------
    top : StorePath
        Its group.
    inner : str
        The path of the place in it.
    is_plate : bool
        Whether its images are fields of wells.
    """

    top: StorePath
    inner: str
    is_plate: bool

    @property
    def document(self) -> StorePath:
        """Where its OME-XML is, if it has any."""
        return self.top / OME / COLLECTION_XML

    @property
    def series(self) -> list[str] | None:
        """The paths of its images, if it lists them."""
        listed = _attributes(forgotten(self.top) / OME).get("series")
        return [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else None

    def followed(self, groups: Sequence[Group]) -> list[Group]:
        """Return the groups of a plan that are images of the collection, and new or longer."""
        series, paths = self.series, {group.path: join_paths(self.inner, group.path) for group in groups}
        is_listed = self._may_be_image if series is None else series.__contains__
        return [group for group in groups if _is_new(group) and is_listed(paths[group.path])]

    def _may_be_image(self, path: str) -> bool:
        return path.count("/") == DEPTH_OF_FIELDS if self.is_plate else path.isdecimal()

    def going(self, path: str) -> list[str] | None:
        """Return the IDs in OME-XML of what goes with an image that is being removed; None of one that stays."""
        found = _removal_at(forgotten(self.top), path)
        return None if found is None else ids_in(found[1])


def collection_around(place: StorePath) -> Collection | None:
    """Return the collection that lies around a place; the innermost of several."""
    inner = rooted(place)
    tops = [StorePath(inner.store, above) for above in parents_of(inner.path)]
    for top, ome in zip(tops, for_each(inner, _attributes_above, tops), strict=True):
        if LAYOUT in ome:
            return Collection(top, inner.path.removeprefix(top.path).strip("/"), "plate" in ome)
    return None


def _removal_at(top: StorePath, path: str) -> tuple[StorePath, JSON] | None:
    """Return which group is being removed at a path below another one, or around that path, and its mark."""
    for group in (path, *filter(None, parents_of(path))):
        with suppress(PermissionError):
            mark = removal_mark(read_attributes(top / group))
            if mark is not None:
                return top / group, mark
    return None


def _attributes_above(place: StorePath) -> JSON:
    """Return the attributes of OME-Zarr of a group; none where a login may not look."""
    try:
        return _attributes(place)
    except Exception as error:
        if is_withheld(error):
            return {}
        raise


def collection_of(target: StorePath, plan: Plan, claim: Claim | None = None) -> Collection | None:
    """Return the collection around a target, if a plan writes images; None of one that the plan writes itself.

    With a claim, only its owner changes it.
    """
    itself = any(group.documents for group in plan.groups)
    found = None if itself or not any(map(_is_new, plan.groups)) else collection_around(target)
    return replace(found, top=owned(found.top, claim)) if found else None


def check_describable(target: StorePath, plan: Plan) -> None:
    """Warn if OME-XML that describes images of a plan cannot follow.

    Raises
    ------
    FileExistsError
        If one of them is being removed: the list of images, or OME-XML, may be without it already.
    PermissionError, FileExistsError
        If it cannot be written where it is, as far as a folder tells.
    """
    collection = collection_of(target, plan)
    if collection is None:
        return
    _check_stays(collection, plan.groups)
    try:
        groups = collection.followed(plan.groups)
        xml = read_text(collection.document) if groups else None
        if xml is not None:
            from daskome.stores.targets.descriptions import redescribed

            redescribed(collection, xml, groups)
    except (ValueError, PermissionError) as error:
        warn_kept(collection.document, "the image", error)
    else:
        if xml is not None:
            check_rewritable(collection.document)


def _check_stays(collection: Collection, groups: Iterable[Group]) -> None:
    """Raise for images that are written where a removal has begun, whose mark alone says how far it has come."""
    for group in groups:
        is_image = _is_new(group) and group.change is None and group.metadata.image_label is None
        found = _removal_at(collection.top, join_paths(collection.inner, group.path)) if is_image else None
        if found is not None:
            place, _ = found
            raise FileExistsError(
                f"{place} is being removed from the collection at {collection.top}; if that was interrupted,"
                " daskome.remove removes the rest: call it first"
            )


def warn_kept(document: StorePath, what: str, error: Exception) -> None:
    """Warn that OME-XML keeps what it says of images, and why; errors about the document may begin with its place."""
    warn(f"{document} keeps what it says of {what}: {str(error).removeprefix(f'{document} ')}")


def check_rewritable(document: StorePath) -> None:
    """Raise for OME-XML in a folder that cannot be written where it is.

    What a bucket refuses shows only when it is written: then an image is published without it (`redescribe`).
    """
    file = folder_of(document)
    link = next((path for path in (file, file.parent) if path.is_symlink()), None) if file else None
    if link is not None:
        raise FileExistsError(f"{link} is a link, behind which OME-XML describes the image, and would have to change")
    if file is not None and not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{file} describes the image, and would have to change, but cannot be written")


def redescribe(collection: Collection | None, groups: Sequence[Group]) -> None:
    """Let the OME-XML that describes images say what is stored, if there is any; warn if that may not be written.

    A login may be for the image alone. The old one is gone by now, and no later call could do more than this one.
    """
    if collection is None:
        return
    try:
        followed = collection.followed(groups)
        if followed:
            from daskome.stores.targets.descriptions import redescribed

            rewrite(collection.document, lambda xml: redescribed(collection, xml, followed))
    except ValueError:  # It was said before anything changed.
        return
    except Exception as error:
        if not is_denied(error):
            raise
        warn_kept(collection.document, "the image, as it may not be written", error)


def images_below(collection: Collection) -> list[str]:
    """Return the paths of images that a collection lists, and that lie at the place, or below it."""
    return [path for path in collection.series or () if collection.inner in (path, *parents_of(path))]


def ids_in(mark: JSON) -> list[str]:
    """Return the IDs that the mark of a group that is being removed names."""
    noted = mark.get(DESCRIBED)
    return [one for one in noted if isinstance(one, str)] if isinstance(noted, list) else []


def _is_new(group: Group) -> bool:
    """Whether an image is written anew, or has become longer."""
    levels = () if group.pyramid is None or group.temporary else group.pyramid.levels
    if group.change is not None:
        return group.change.shapes != tuple(level.shape for level in levels)
    return bool(levels) and not group.kept


def _attributes(place: StorePath) -> JSON:
    """Return the attributes of OME-Zarr of a group; none where it cannot be read."""
    with suppress(ValueError):
        return dict(ome_of(read_attributes(place) or {}))
    return {}
