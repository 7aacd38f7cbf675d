"""OME-XML in a TIFF file: which of its images a series is, and what it says of that."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from daskome.readers.described import Channels, Described, Quantities, numbers

SIZES = (
    ("t", "TimeIncrement", "s"),
    ("z", "PhysicalSizeZ", "µm"),
    ("y", "PhysicalSizeY", "µm"),
    ("x", "PhysicalSizeX", "µm"),
)
"""Axis, attribute, and the unit that the schema of OME-XML gives to those without one."""
STAGE = "reference frame"
"""The unit that the schema gives to positions without one."""
WRITTEN: Mapping[str, frozenset[str]] = {
    "Image": frozenset(("ID", "Name")),
    "Channel": frozenset(("ID", "Name", "Color", "SamplesPerPixel")),
    "Plane": frozenset(
        f"{name}{axis}{unit}" for name in ("The", "Position") for axis in "TCZYX" for unit in ("", "Unit")
    ),
    "StageLabel": frozenset(("Name", *(f"{axis}{unit}" for axis in "ZYX" for unit in ("", "Unit")))),
}
"""The attributes of elements that are written, or say where something belongs."""
PIXEL_ELEMENTS = {"Pixels", "TiffData", "BinData", "MetadataOnly"}
"""Elements that describe how pixels are stored."""


_FOUND: WeakKeyDictionary[Any, list["ImageInXML | None"]] = WeakKeyDictionary()
"""The images of the series of open files."""


class ImageInXML(NamedTuple):
    """An image of OME-XML: its number among all, and its element."""

    number: int
    element: Element


@lru_cache(maxsize=1)
def parsed_xml(xml: str) -> Element:
    """Return the root of OME-XML; nobody changes it."""
    return ElementTree.fromstring(xml)


def image_of_series(file: Any, number: int) -> ImageInXML | None:
    """Return the image that a series is; images without pixels, or whose pixels are not in the file, have no series."""
    if file not in _FOUND:
        _FOUND[file] = list(_images_of_all(file.ome_metadata, file.series))
    return _FOUND[file][number]


def _images_of_all(xml: str, series: Sequence[Any]) -> Iterator[ImageInXML | None]:
    every = enumerate(parsed_xml(xml).findall("{*}Image"))
    images, first = [ImageInXML(i, one) for i, one in every if _has_pixels(one)], 0
    for one in series:
        fitting = (i for i in range(first, len(images)) if _fits(images[i].element, one))
        found = next(fitting, first if first < len(images) else None)
        first = len(images) if found is None else found + 1
        yield None if found is None else images[found]


def describe_ome(xml: str, image: Element) -> Described:
    """Return what OME-XML says of one of its images."""
    pixels = image.find("{*}Pixels")
    assert pixels is not None
    attributes = pixels.attrib
    stated = numbers({key: attributes.get(key) for _, key, _ in SIZES})
    sizes = {a: (stated[k], attributes.get(f"{k}Unit", u)) for a, k, u in SIZES if k in stated}
    interval = {} if "t" in sizes else _interval(pixels)
    left = sorted({*_beside(xml), *_unwritten(image)})
    said = (f"of its OME-XML: {', '.join(left)}",) if left else ()
    return Described({**interval, **sizes}, _positions(image, pixels), _channels(pixels), said)


def _has_pixels(image: Element) -> bool:
    return image.find("{*}Pixels/{*}TiffData") is not None


def _fits(image: Element, series: Any) -> bool:
    """Whether an image has the size of a series: its planes, and all of it."""
    attributes = image.find("{*}Pixels").attrib  # type: ignore[union-attr]
    sizes = {axis: int(attributes.get(f"Size{axis}", 1)) for axis in "TCZYX"}
    own = dict(zip(series.axes, series.shape, strict=True))
    same = all(own.get(axis, 1) == sizes[axis] for axis in "YX")
    return same and prod(sizes.values()) == prod(series.shape)


def _channels(pixels: Element) -> Channels:
    """Return names and colours, which are RGBA as a signed number; nothing of samples of one channel, such as RGB."""
    elements = pixels.findall("{*}Channel")
    if any(element.get("SamplesPerPixel", "1") != "1" for element in elements):
        return []
    stated = [numbers({"color": element.get("Color")}) for element in elements]
    colors = [f"{int(one['color']) >> 8 & 0xFFFFFF:06X}" if one else "" for one in stated]
    known = ({"label": e.get("Name", ""), "color": color} for e, color in zip(elements, colors, strict=True))
    return [{key: value for key, value in one.items() if value} for one in known]


def _positions(image: Element, pixels: Element) -> Quantities:
    """Return where the stage was for the first plane, or else where its label says."""
    first = next((p for p in pixels.findall("{*}Plane") if all(int(p.get(f"The{a}", 0)) == 0 for a in "TCZ")), None)
    label = image.find("{*}StageLabel")
    for element, prefix in ((first, "Position"), (label, "")):
        keys = {axis.lower(): f"{prefix}{axis}" for axis in "ZYX"}
        stated = {} if element is None else numbers({a: element.get(key) for a, key in keys.items()})
        if element is not None and stated:
            return {a: (value, element.get(f"{keys[a]}Unit", STAGE)) for a, value in stated.items()}
    return {}


def _interval(pixels: Element) -> Quantities:
    """Return the time between planes if it is regular."""
    planes = [p for p in pixels.findall("{*}Plane") if numbers({"t": p.get("DeltaT")})]
    times = {int(p.get("TheT", 0)): float(p.attrib["DeltaT"]) for p in reversed(planes)}
    steps = np.diff([times[t] for t in sorted(times)])
    regular = len(steps) > 0 and len(times) == int(pixels.get("SizeT", 0)) and steps[0] > 0
    if not regular or not np.allclose(steps, steps[0], rtol=1e-3, atol=0):
        return {}
    return {"t": (float(np.mean(steps)), planes[0].get("DeltaTUnit", "s"))}


def _beside(xml: str) -> Iterator[str]:
    """Yield the kinds of elements beside images that say something."""
    yield from (_tag(e) for e in parsed_xml(xml) if _tag(e) != "Image" and _says_something(e))


def _unwritten(element: Element) -> Iterator[str]:
    """Yield the elements and attributes of an image that are not written, each once."""
    for child in element:
        tag = _tag(child)
        if tag in WRITTEN:
            yield from (f"{tag} {key}" for key in child.attrib if key not in WRITTEN[tag])
        elif tag not in PIXEL_ELEMENTS and _says_something(child):
            yield tag
        if tag in WRITTEN or tag == "Pixels":
            yield from _unwritten(child)


def _says_something(element: Element) -> bool:
    return bool(element.attrib or (element.text or "").strip() or any(map(_says_something, element)))


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
