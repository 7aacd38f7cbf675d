"""OME-XML of a collection against its images: as many, in their order, of the same lengths and types."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from daskome.inspection.stored_image import StoredImage, dtype_of
from daskome.model.json_values import shown_value
from daskome.model.problem import Problem
from daskome.model.text import pluralize
from daskome.ome.xml.collection_xml import OWN_AXES, PIXEL_TYPES, pixels_in, places_pixels
from daskome.ome.xml.names import COLLECTION_XML, OME
from daskome.ome.xml.plate_xml import plates_in

BF2RAW = "bf2raw"
WHERE = f"{OME}/{COLLECTION_XML}"
SHOWN = 10
"""How many paths a message lists."""
OF_BITS = ("bool", "uint8", "int8")
"""The dtypes in which pixels of one bit are stored."""


class ListedImage(NamedTuple):
    """An image of a collection by its path in it; None if it cannot be read."""

    path: str
    image: StoredImage | None


def series_problems(series: Sequence[Any], paths: Sequence[str]) -> Iterator[Problem]:
    """Yield where the images that a plate lists in ``OME`` are not those of its wells, which count."""
    there, listed = set(paths), {path for path in series if isinstance(path, str)}
    for i, path in enumerate(series):
        if isinstance(path, str) and path not in there:
            yield Problem(f"{OME} series/{i}", f"{path!r} is none of the images that wells list", section=BF2RAW)
    lacking = [path for path in paths if path not in listed]
    if lacking:
        shown = ", ".join([*lacking[:SHOWN], *[f"and {len(lacking) - SHOWN} more"] * (len(lacking) > SHOWN)])
        message = f"lack {shown}; all images should be there, for readers that know no plates"
        yield Problem(f"{OME} series", message, True, BF2RAW)


def xml_problems(xml: str, images: Sequence[ListedImage], is_ordered: bool = True) -> Iterator[Problem]:
    """Yield what OME-XML says of a collection that is not so (section "bf2raw").

    Parameters
    ----------
    xml : str
    images : sequence of ListedImage
    is_ordered : bool
        Whether they are in the order in which they have to stand in the OME-XML.
    """
    try:
        described = pixels_in(xml)
    except ValueError as error:
        yield Problem(WHERE, str(error), section=BF2RAW)
        return
    if images and len(described) != len(images):
        n = pluralize(len(described), "image")
        message = f"describes {n}, but there are {len(images)}; each must be one of them"
        yield Problem(WHERE, message, section=BF2RAW)
    elif is_ordered:
        for i, (pixels, listed) in enumerate(zip(described, images, strict=False)):
            yield from _image_problems(f"{WHERE}/Image/{i}/Pixels", pixels, listed)
        yield from _misplaced(xml, [listed.path for listed in images])
    for tag in places_pixels(xml):
        yield Problem(WHERE, f"has {tag}, which says where pixels are; it must be MetadataOnly", section=BF2RAW)


def _misplaced(xml: str, paths: Sequence[str]) -> Iterator[Problem]:
    """Yield images that are other fields of a plate than the list has, if both name its wells alike."""
    try:
        fields = [field for plate in plates_in(xml) for field in plate.fields]
    except ValueError:
        return
    stated = {field.image: f"{field.well}/{field.path}" for field in fields}
    if set(stated.values()) == set(paths):
        for i, path in enumerate(paths):
            if stated.get(i) != path:
                message = f"is field {stated.get(i)} of its plate, but the list of series has {path!r} there"
                yield Problem(f"{WHERE}/Image/{i}", message, section=BF2RAW)


def _image_problems(where: str, pixels: Mapping[str, str], listed: ListedImage) -> Iterator[Problem]:
    """Yield where an image is described as another than it is; axes that OME-XML lacks can be part of others."""
    if listed.image is None or not listed.image.complete:
        return
    if not pixels:
        yield Problem(where, f"are missing; they have to say how long image {listed.path!r} is", section=BF2RAW)
        return
    _, array = listed.image.complete[0]
    names, dtype = listed.image.names, dtype_of(array)
    lengths = dict(zip(names, array.shape, strict=True))
    for name in OWN_AXES if set(names) <= set(OWN_AXES) else ():
        stated, length = pixels.get(f"Size{name.upper()}"), lengths.get(name, 1)
        if stated is None or stated.strip().lstrip("0") != str(length):
            axis = f"is {length} long along {name!r}" if name in lengths else f"has no axis {name!r}, so it must be 1"
            yield _differs(f"{where}/Size{name.upper()}", stated, f"image {listed.path!r} {axis}")
    stated = pixels.get("Type")
    if stated != PIXEL_TYPES.get(dtype) and not (stated == "bit" and dtype in OF_BITS):
        yield _differs(f"{where}/Type", stated, f"image {listed.path!r} is {dtype}")


def _differs(where: str, stated: str | None, what: str) -> Problem:
    return Problem(
        where, f"{'is missing' if stated is None else f'is {shown_value(stated)}'}, but {what}", section=BF2RAW
    )
