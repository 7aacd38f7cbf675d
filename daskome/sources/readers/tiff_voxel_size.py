"""The sizes of voxels in a TIFF file: from OME-XML, from ImageJ, or from the tags of the first page."""

from typing import Any
from xml.etree import ElementTree

from daskome.sources.readers.axes_and_sizes import VoxelSizes, known_unit

OME = (
    ("t", "TimeIncrement", "s"),
    ("z", "PhysicalSizeZ", "µm"),
    ("y", "PhysicalSizeY", "µm"),
    ("x", "PhysicalSizeX", "µm"),
)
"""Axis, attribute, and the unit that the schema of OME-XML gives to those without one."""
MICROMETERS = {"inch": 25_400.0, "cm": 10_000.0}
PAPER = 20.0
"""In micrometers: larger pixels, if measured in inches or cm, mean the size on paper (1200 dpi or less)."""


def voxel_sizes(file: Any, number: int) -> VoxelSizes:
    """Return the sizes of voxels in a series of an open TIFF file; the first of these that has any counts."""
    return _ome(file.ome_metadata, number) or _imagej(file) or _tags(file)


def _ome(xml: str | None, number: int) -> VoxelSizes:
    images = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels") if xml else []
    attributes = images[number].attrib if number < len(images) else {}
    return {
        axis: (float(attributes[key]), attributes.get(f"{key}Unit", unit))
        for axis, key, unit in OME
        if key in attributes
    }


def _imagej(file: Any) -> VoxelSizes:
    attributes = file.imagej_metadata or {}
    unit = str(attributes.get("unit", "")).replace("\\u00B5", "µ")
    sizes = {axis: (size, unit) for axis, size in _resolution(file, unit).items()}
    if sizes and "spacing" in attributes:
        sizes["z"] = (float(attributes["spacing"]), unit)
    if "finterval" in attributes:
        sizes["t"] = (float(attributes["finterval"]), "s")
    return sizes


def _tags(file: Any) -> VoxelSizes:
    tag = file.pages.first.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag else 0, "")
    sizes = _resolution(file, unit)
    return {axis: (round(size * MICROMETERS[unit], 9), "micrometer") for axis, size in sizes.items()}


def _resolution(file: Any, unit: str) -> dict[str, float]:
    """Return the size of a pixel in `unit` from the tags, if the unit is one, and the size is not that on paper."""
    tags = file.pages.first.tags
    pairs = {axis: tags[key].value for axis, key in (("y", "YResolution"), ("x", "XResolution")) if key in tags}
    sizes = {axis: below / above for axis, (above, below) in pairs.items() if above and below}
    on_paper = any(size * MICROMETERS.get(unit, 0) > PAPER for size in sizes.values())
    return {} if on_paper or not known_unit("x", unit) else sizes
