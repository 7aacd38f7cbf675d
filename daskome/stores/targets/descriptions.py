"""What the OME-XML of a collection says of its images: which one is which, and what follows when they change.

It is apart from `daskome.stores.targets.collection`, which every write asks: few have XML to read.
"""

from collections.abc import Iterable

from daskome.model.image import Image
from daskome.model.paths import join_paths
from daskome.model.text import pluralize
from daskome.ome.omero import Channel
from daskome.ome.xml.collection_xml import DescribedImage, image_ids, with_images, with_lengths
from daskome.planning.groups.group import Group
from daskome.stores.documents import read_text
from daskome.stores.targets.collection import Collection


def image_numbers(collection: Collection, xml: str) -> dict[str, int]:
    """Return which of the images in OME-XML is which, by paths; nothing of a plate that lists no series.

    Raises
    ------
    ValueError
        If it is no OME-XML, or does not describe as many images as are listed.
    """
    ids, series = image_ids(xml), collection.series
    if series is None:
        return {} if collection.is_plate else {str(i): i for i in range(len(ids))}
    left = list(enumerate(ids))
    if len(series) != len(ids):
        going = {path: some for path in series if (some := collection.going(path)) is not None}
        series = [path for path in series if path not in going]
        left = [(i, one) for i, one in left if not any(one in some for some in going.values())]
    if len(series) != len(left):
        raise ValueError(f"describes {pluralize(len(left), 'image')}, but the collection lists {len(series)}")
    return {path: i for path, (i, _) in zip(series, left, strict=True)}


def redescribed(collection: Collection, xml: str, groups: Iterable[Group]) -> str:
    """Return OME-XML that says what is stored in groups of a plan, whose target is the place in the collection.

    Raises
    ------
    ValueError
        If it does not describe one of them, or cannot.
    """
    numbers, new = image_numbers(collection, xml), dict[int, DescribedImage]()
    for group in groups:
        number = numbers.get(join_paths(collection.inner, group.path))
        if number is None:
            raise ValueError("does not say which of its images this is")
        if group.change is None:
            new[number] = _described(group)
        else:
            xml = _longer(xml, number, group)
    return with_images(xml, new) if new else xml


def described_in(collection: Collection, paths: Iterable[str]) -> list[str]:
    """Return the IDs in OME-XML of images of a collection by their paths; none if there is no OME-XML.

    Raises
    ------
    ValueError
        If they cannot be told apart.
    """
    xml = read_text(collection.document)
    if xml is None:
        return []
    if collection.series is None:
        raise ValueError("does not say which of its images goes, as the collection lists none")
    numbers, ids = image_numbers(collection, xml), image_ids(xml)
    found = [ids[numbers[path]] for path in paths if path in numbers]
    if any(not one or ids.count(one) > 1 for one in found):
        raise ValueError("has images without an ID of their own")
    return found


def _described(group: Group) -> DescribedImage:
    pyramid = group.pyramid
    assert pyramid is not None
    first = pyramid.levels[0]
    image = Image(first.shape, pyramid.dtype, pyramid.axes, first.scale, first.translation, pyramid.name)
    return DescribedImage(image, group.metadata.omero)


def _longer(xml: str, number: int, group: Group) -> str:
    """Return OME-XML with the lengths that an image has after a change, and its new channels."""
    pyramid, change = group.pyramid, group.change
    assert pyramid is not None
    assert change is not None
    names, shapes = [axis.name for axis in pyramid.axes], (change.shapes[0], pyramid.levels[0].shape)
    before, lengths = (dict(zip(names, shape, strict=True)) for shape in shapes)
    n_more = lengths.get("c", 0) - before.get("c", 0)
    named = group.metadata.omero.channels if group.metadata.omero else None
    return with_lengths(xml, number, lengths, named or [Channel(None, None)] * n_more)
