"""``METADATA.ome.xml`` of a collection of images: what a file says in OME-XML, or made from what is known.

Either way its images are those that are written, in their order, with the sizes that are written, and their pixels lie
elsewhere (``MetadataOnly``; section "bf2raw").
"""

from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate, count
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement, TreeBuilder, XMLParser

from daskome.model.image import Image
from daskome.ome.omero import Channel, Omero

NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
LOCATION = f"{NAMESPACE} {NAMESPACE}/ome.xsd"
PIXEL_TYPES: Mapping[str, str] = {
    **{name: name for name in ("int8", "int16", "int32", "uint8", "uint16", "uint32")},
    "float32": "float",
    "float64": "double",
    "bool": "bit",
}
"""What OME-XML calls dtypes; it has no others."""
LONGEST_NUMBER = 9
"""Digits of a number of samples that is believed."""
OWN_AXES = "xyzct"
"""The axes that OME-XML has."""
UNITS_OF_XML: Mapping[str, str] = {
    "micrometer": "µm", "nanometer": "nm", "millimeter": "mm", "meter": "m", "centimeter": "cm", "angstrom": "Å",
    "picometer": "pm", "inch": "in", "foot": "ft", "second": "s", "millisecond": "ms", "microsecond": "µs",
    "minute": "min", "hour": "h", "day": "d",
}  # fmt: skip
STORED_ELSEWHERE = ("BinData", "TiffData", "BinaryOnly", "MetadataOnly")
"""Elements that say where pixels are."""
OF_STORAGE = ("BigEndian", "Interleaved")
"""Attributes that say how pixels were stored."""
OF_VOXELS = ("SignificantBits", *(f"{key}{unit}" for key in
    ("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "TimeIncrement") for unit in ("", "Unit")))  # fmt: skip
"""Attributes that say what voxels are: those of other voxels say nothing of new ones."""


class DescribedImage(NamedTuple):
    """An image as it is written, and its channels, if they are known."""

    image: Image
    omero: Omero | None


def lacks_pixel_type(images: Sequence[DescribedImage]) -> list[str]:
    """Return the dtypes of images that OME-XML does not have."""
    return sorted({one.image.dtype for one in images} - set(PIXEL_TYPES))


def collection_xml(images: Sequence[DescribedImage]) -> str:
    """Return OME-XML that says what is known of images.

    Parameters
    ----------
    images : sequence of DescribedImage
        Of dtypes that it has (`lacks_pixel_type`).

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
    >>> image = Image((2, 3), "uint8", parse_axes("yx", 2, "um"), (0.5, 0.5), (0.0, 0.0), "cells")
    >>> print(collection_xml([DescribedImage(image, None)]))  # doctest: +ELLIPSIS
    <?xml version="1.0" encoding="UTF-8"?>
    <OME ...>
      <Image ID="Image:0" Name="cells">
        <Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="3" SizeY="2" SizeZ="1" SizeC="1" SizeT="1" ...>
          <Channel ID="Channel:0:0" SamplesPerPixel="1" />
          <MetadataOnly />
        </Pixels>
      </Image>
    </OME>
    """
    root = Element("OME", {"xmlns": NAMESPACE, SCHEMA: LOCATION})
    for i, (image, omero) in enumerate(images):
        element = SubElement(root, "Image", {"ID": f"Image:{i}", "Name": image.name})
        pixels = SubElement(element, "Pixels", {"ID": f"Pixels:{i}", **_sizes(image), **_physical(image)})
        for c in range(int(_sizes(image)["SizeC"])):
            SubElement(pixels, "Channel", {"ID": f"Channel:{i}:{c}", **_channel(omero, c)})
        SubElement(pixels, "MetadataOnly")
    ElementTree.indent(root)
    return _as_text(root)


def metadata_only(xml: str, numbers: Sequence[int], images: Sequence[DescribedImage]) -> str:
    """Return the OME-XML of a file for a collection of its images: all that it says, but where pixels are.

    Parameters
    ----------
    xml : str
    numbers : sequence of int
        For each image of the collection, which of the ``Image`` elements is of it. Others are left out.
    images : sequence of DescribedImage
        As they are written.
    """
    root = ElementTree.fromstring(xml)
    elements = root.findall("{*}Image")
    kept = [elements[number] for number in numbers]
    first = list(root).index(elements[0])
    gone = {one.get("ID") for one in elements if one not in kept}
    for one in elements:
        root.remove(one)
    for element, described in zip(kept, images, strict=True):
        _place_elsewhere(element, _own(root), described.image)
    root[first:first] = kept
    _remove_references(root, gone)
    return _as_text(root)


def read_ome_xml(xml: str, comments: bool = False) -> Element:
    """Return the root of OME-XML, with comments in it if they are to stay.

    What stands outside the root, and processing instructions anywhere, are not read, and so gone from what is written.

    Raises
    ------
    ValueError
        If it is no OME-XML.
    """
    try:
        root = ElementTree.fromstring(xml, XMLParser(target=TreeBuilder(insert_comments=comments)))
    except ElementTree.ParseError as error:
        raise ValueError(f"cannot be read as XML: {error}") from error
    if root.tag.rpartition("}")[2] != "OME":
        raise ValueError(f"is {root.tag.rpartition('}')[2]!r}, not OME-XML")
    return root


def pixels_in(xml: str) -> list[Mapping[str, str]]:
    """Return what OME-XML says of the pixels of its images; nothing of an image without.

    Raises
    ------
    ValueError
        If it is no OME-XML.

    Examples
    --------
    >>> pixels_in('<OME><Image><Pixels SizeX="3" Type="uint8"/></Image><Image/></OME>')
    [{'SizeX': '3', 'Type': 'uint8'}, {}]
    """
    pixels = (image.find("{*}Pixels") for image in read_ome_xml(xml).findall("{*}Image"))
    return [{} if one is None else dict(one.attrib) for one in pixels]


def with_lengths(xml: str, number: int, lengths: Mapping[str, int], more: Sequence[Channel] = ()) -> str:
    """Return OME-XML in which one of the images has other lengths along its axes.

    All other elements, and comments among them, are as they are; what stands outside the root, and processing
    instructions, are gone.

    Parameters
    ----------
    xml : str
    number : int
        Of the image.
    lengths : dict of str to int
        By the names of axes. OME-XML has t, c, z, y and x only.
    more : sequence of Channel
        Those at the end of the image, which stand there instead of what is described there.

    Raises
    ------
    ValueError
        If it is no OME-XML, or has no such image.

    Examples
    --------
    >>> print(with_lengths('<OME><Image><Pixels SizeT="2"><MetadataOnly/></Pixels></Image></OME>', 0, {"t": 3, "y": 9}))
    <?xml version="1.0" encoding="UTF-8"?>
    <OME><Image><Pixels SizeT="3" SizeY="9"><MetadataOnly /></Pixels></Image></OME>
    """
    root = read_ome_xml(xml, comments=True)
    _, pixels = _image_with_pixels(root, number)
    pixels.attrib.update({f"Size{name.upper()}": str(n) for name, n in lengths.items() if name in OWN_AXES})
    if more:
        _describe_channels(root, pixels, number, lengths["c"], more)
    return _as_text(root)


def with_images(xml: str, images: Mapping[int, DescribedImage]) -> str:
    """Return OME-XML in which some images have other pixels.

    All other elements, and comments among them, are as they are; what stands outside the root, and processing
    instructions, are gone.

    Lengths, type, and sizes of voxels are those of the new pixels, also where none are known. What is said of planes,
    such as when they were taken, goes. If there are as many channels as before, they are described as before, but for
    the names and colours that are known of the new ones; else they are described anew.

    Parameters
    ----------
    xml : str
    images : dict of int to DescribedImage
        By their numbers.

    Raises
    ------
    ValueError
        If it is no OME-XML, has no such image, or cannot have pixels of such a type.

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
    >>> image = Image((2, 3), "uint8", parse_axes("yx", 2, "um"), (0.5, 0.5), (0.0, 0.0), "cells")
    >>> xml = '<OME><Image Name="a"><Pixels SizeX="9" Type="float" SignificantBits="8"/></Image></OME>'
    >>> print(with_images(xml, {0: DescribedImage(image, None)}))  # doctest: +ELLIPSIS
    <?xml version="1.0" encoding="UTF-8"?>
    <OME><Image Name="a"><Pixels SizeX="3" Type="uint8" DimensionOrder="XYZCT" SizeY="2" ...><Channel .../>...</OME>
    """
    root = read_ome_xml(xml, comments=True)
    for number, (image, omero) in images.items():
        if image.dtype not in PIXEL_TYPES:
            raise ValueError(f"can have no pixels of {image.dtype}")
        element, pixels = _image_with_pixels(root, number)
        _place_elsewhere(element, _own(root), image)
        for key in OF_VOXELS:
            pixels.attrib.pop(key, None)
        pixels.attrib.update(_physical(image))
        for plane in pixels.findall("{*}Plane"):
            pixels.remove(plane)
        _describe_all_channels(root, pixels, number, omero)
    return _as_text(root)


def image_ids(xml: str) -> list[str]:
    """Return the IDs of the images of OME-XML; "" for none.

    >>> image_ids('<OME><Image ID="Image:0"/><Image/></OME>')
    ['Image:0', '']
    """
    return [image.get("ID", "") for image in read_ome_xml(xml).findall("{*}Image")]


def xml_without_images(xml: str, ids: Container[str]) -> str:
    """Return OME-XML without the images that have these IDs, and without references to them.

    All other elements, and comments among them, are as they are; what stands outside the root, and processing
    instructions, are gone. Fields of a plate stay, as fields of which no image was taken.

    >>> xml = '<OME><Image ID="a"/><Image ID="b"/><Dataset><ImageRef ID="a"/></Dataset></OME>'
    >>> print(xml_without_images(xml, ["a"]))
    <?xml version="1.0" encoding="UTF-8"?>
    <OME><Image ID="b" /><Dataset /></OME>
    """
    root = read_ome_xml(xml, comments=True)
    gone = [image for image in root.findall("{*}Image") if image.get("ID") in ids]
    for image in gone:
        root.remove(image)
    _remove_references(root, {image.get("ID") for image in gone})
    return _as_text(root) if gone else xml


def places_pixels(xml: str) -> list[str]:
    """Return the elements of OME-XML that say that pixels lie in it, or in files: a collection has none of them."""
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(xml).iter()}
    return [tag for tag in STORED_ELSEWHERE if tag in tags and tag != "MetadataOnly"]


# ---- what is known of an image


def _sizes(image: Image) -> dict[str, str]:
    """Return how its pixels are written: in the order of OME-Zarr, the last axis first."""
    lengths = {axis.name: n for axis, n in zip(image.axes, image.shape, strict=True)}
    sizes = {f"Size{name.upper()}": str(lengths.get(name, 1)) for name in OWN_AXES}
    return {"DimensionOrder": "XYZCT", "Type": PIXEL_TYPES[image.dtype], **sizes}


def _physical(image: Image) -> dict[str, str]:
    """Return the sizes of voxels that have a unit which OME-XML has."""
    known: dict[str, str] = {}
    for axis, size in zip(image.axes, image.scale, strict=True):
        unit = UNITS_OF_XML.get(axis.unit or "")
        key = {"t": "TimeIncrement", **{name: f"PhysicalSize{name.upper()}" for name in "xyz"}}.get(axis.name)
        if unit and key:
            known |= {key: repr(float(size)), f"{key}Unit": unit}
    return known


def _channel(omero: Omero | None, number: int) -> dict[str, str]:
    """Return what is known of a channel; a colour is RGBA as a signed number."""
    channels = (omero.channels if omero else None) or ()
    one = channels[number] if number < len(channels) else None
    said = {"Name": one.label} if one and one.label else {}
    if one and one.color:
        rgba = int(f"{one.color}FF", 16)
        said["Color"] = str(rgba - 2**32 if rgba >= 2**31 else rgba)
    return {**said, "SamplesPerPixel": "1"}


def _describe_channels(root: Element, pixels: Element, image: int, n: int, more: Sequence[Channel]) -> None:
    """Describe `more` as the last of n channels, if those before them are described, each or as samples of one."""
    described = pixels.findall("{*}Channel")
    ends = list(accumulate(map(_n_samples, described)))
    kept = bisect_right(ends, n - len(more))
    if not described or ends[kept - 1 : kept] != [n - len(more)]:
        return
    for one in described[kept:]:
        pixels.remove(one)
    before, omero = described[kept - 1], Omero(tuple(more))
    at, ids = list(pixels).index(before) + 1, _free_ids(root, image, n - len(more))
    for k in range(len(more)):
        added = Element(before.tag, {"ID": next(ids), **_channel(omero, k)})
        added.tail = before.tail
        pixels.insert(at + k, added)


def _describe_all_channels(root: Element, pixels: Element, image: int, omero: Omero | None) -> None:
    """Describe the channels of new pixels: as they are described, with what is known of them, if they are as many."""
    described, n = pixels.findall("{*}Channel"), int(pixels.attrib["SizeC"])
    if sum(map(_n_samples, described)) != n:
        for one in described:
            pixels.remove(one)
        ids = _free_ids(root, image, 0)
        pixels[:0] = [Element(f"{_own(root)}Channel", {"ID": next(ids), **_channel(omero, c)}) for c in range(n)]
    elif len(described) == n:
        for c, one in enumerate(described):
            one.attrib.update({**_channel(omero, c), "SamplesPerPixel": one.get("SamplesPerPixel", "1")})


def _free_ids(root: Element, image: int, first: int) -> Iterator[str]:
    """Yield IDs for channels of an image, counted from one of them, that no element has."""
    taken = {one.get("ID") for one in root.iter()}
    return (one for one in (f"Channel:{image}:{k}" for k in count(first)) if one not in taken)


def _remove_references(root: Element, ids: Container[str | None]) -> None:
    """Remove all references to images that are gone."""
    for parent in list(root.iter()):
        for child in parent.findall("{*}ImageRef"):
            if child.get("ID") in ids:
                parent.remove(child)


def _n_samples(channel: Element) -> int:
    stated = channel.get("SamplesPerPixel", "1")
    return int(stated) if stated.isascii() and stated.isdecimal() and len(stated) < LONGEST_NUMBER else 1


def _place_elsewhere(element: Element, own: str, image: Image) -> None:
    """Change the element of an image: its sizes are those that are written, and its pixels lie elsewhere."""
    pixels = element.find("{*}Pixels")
    assert pixels is not None
    for child in [child for tag in STORED_ELSEWHERE for child in pixels.findall(f"{{*}}{tag}")]:
        pixels.remove(child)
    for key in OF_STORAGE:
        pixels.attrib.pop(key, None)
    pixels.attrib.update(_sizes(image))
    before = pixels.findall("{*}Channel")
    pixels.insert(list(pixels).index(before[-1]) + 1 if before else 0, Element(f"{own}MetadataOnly"))


def _image_with_pixels(root: Element, number: int) -> tuple[Element, Element]:
    """Return the element of an image, and that of its pixels; raise a ValueError if there are none."""
    images = root.findall("{*}Image")
    pixels = images[number].find("{*}Pixels") if number < len(images) else None
    if pixels is None:
        raise ValueError(f"has no image {number} with pixels")
    return images[number], pixels


def _own(root: Element) -> str:
    """Return what stands before the names of elements of OME-XML: their namespace in braces, if they have one."""
    namespace, brace, _ = root.tag.rpartition("}")
    return f"{namespace}{brace}"


def _in_namespace(root: Element) -> Element:
    """Return a tree whose elements of a namespace need no prefix; those of none say so."""
    namespace = _own(root)[1:-1]
    for element, parent in list(_with_parents(root)):
        if namespace and element.tag.startswith(f"{{{namespace}}}"):
            element.tag = element.tag.rpartition("}")[2]
        elif namespace and not element.tag.startswith("{") and (parent is None or parent.get("xmlns") != ""):
            element.set("xmlns", "")
    if namespace:
        root.set("xmlns", namespace)
    return root


def _with_parents(root: Element) -> Iterator[tuple[Element, Element | None]]:
    yield root, None
    for parent in root.iter():
        yield from ((child, parent) for child in parent if isinstance(child.tag, str))


def _as_text(root: Element) -> str:
    whole = ElementTree.tostring(_in_namespace(root), encoding="unicode")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + whole
