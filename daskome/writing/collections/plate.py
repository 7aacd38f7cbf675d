"""The plate that OME-XML describes: its wells, and which image of a file is which of their fields."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.ome.plate import Plate, parse_plate
from daskome.ome.xml.plate_xml import FieldInXML, PlateInXML, plates_in
from daskome.writing.description import warn_together
from daskome.writing.plates import PlateImage, acquisitions_of

FIELDS_NAMED = 5
"""How many images or fields a message names."""
AS_IMAGES = "to write them as a collection without a plate, give a list of its images, as in ['a.ome.tif::0', …]"


class FoundPlate(NamedTuple):
    """A plate as it is written, and its images in the order of their sources."""

    plate: Plate
    images: tuple[PlateImage, ...]


def common_xml(sources: Sequence[Source]) -> str:
    """Return the OME-XML of the file that all images are of, each another one of it; empty if there is none."""
    xml, *others = {source.ome_xml for source in sources}
    n_images = len({source.ome_image for source in sources})
    return xml if not others and n_images == len(sources) else ""


def plate_of(sources: Sequence[Source]) -> FoundPlate | None:
    """Return the plate that the OME-XML of a file makes of all its images; None if they are none, with a warning why.

    Raises
    ------
    ValueError
        If fields of a plate refer to images that are not there, or would lie at one place.
    """
    xml = common_xml(sources)
    try:
        plates = plates_in(xml) if xml else []
    except ValueError as error:
        what = f"{_file(sources)}: the plate in its OME-XML cannot be written"
        raise ValueError(f"{what}: {error}; {AS_IMAGES}") from error
    fields = {field.image: field for plate in plates for field in plate.fields}
    outside = [source for source in sources if source.ome_image not in fields]
    if len(plates) == 1 and not outside:
        _warn_of_missing(plates[0], sources)
        return _found(plates[0], sources)
    if plates:
        names = [source.name or f"image {source.ome_image}" for source in outside]
        why = f"it describes {len(plates)}" if len(plates) > 1 else f"{_shown(names)} would lie in no well"
        warn_together([(_file(sources), f"not written as a plate, but as a collection of images: {why}")])
    return None


def _found(described: PlateInXML, sources: Sequence[Source]) -> FoundPlate:
    placed = {field.image: field for field in described.fields}
    fields = [placed[source.ome_image] for source in sources]
    acquisitions = _acquisitions(described, fields, _file(sources))
    images = tuple(
        PlateImage(field.well, field.path, field.acquisition if acquisitions else None, source)
        for field, source in zip(fields, sources, strict=True)
    )
    counts = Counter(image.well for image in images)
    acquired = acquisitions_of(images, acquisitions)
    plate = parse_plate(described.rows, described.columns, list(counts), acquired, max(counts.values()), described.name)
    return FoundPlate(plate, images)


def _acquisitions(described: PlateInXML, fields: Sequence[FieldInXML], file: str) -> Sequence[Mapping[str, Any]]:
    """Return the acquisitions of a plate; none, with a warning, if there are several, and fields are of none."""
    silent = [f"{field.well}/{field.path}" for field in fields if field.acquisition is None]
    if len(described.acquisitions) < 2 or not silent:
        return described.acquisitions
    why = f"{_shown(silent)} would have to be of one (section 'well')"
    warn_together([(file, f"its {len(described.acquisitions)} acquisitions stand in its OME-XML only: {why}")])
    return ()


def _warn_of_missing(described: PlateInXML, sources: Sequence[Source]) -> None:
    """Warn of fields whose images are not in the file."""
    there = {source.ome_image for source in sources}
    missing = [f"{field.well}/{field.path}" for field in described.fields if field.image not in there]
    if missing:
        n = pluralize(len(missing), "field")
        warn_together(
            [(_file(sources), f"{n} of its plate not written, as the file has no pixels of {_shown(missing)}")]
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join([*names[:FIELDS_NAMED], *[f"and {len(names) - FIELDS_NAMED} more"] * (len(names) > FIELDS_NAMED)])


def _file(sources: Sequence[Source]) -> str:
    return sources[0].origin.path.rpartition("::")[0] or sources[0].origin.path
