"""What OME-XML says of plates: which of its images is which field of which well."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from daskome.model.json_values import JSONDict
from daskome.ome.xml.collection_xml import read_ome_xml

LONGEST_SIDE = 10_000
"""How many rows or columns a plate has at most; those with 9,600 wells have 120."""
NAMINGS = {
    "rows": ("Rows", "RowNamingConvention", "letter"),
    "columns": ("Columns", "ColumnNamingConvention", "number"),
}
"""For each side of a plate: the attributes with its length and with how it is named, and how it is named without."""


class FieldInXML(NamedTuple):
    """A field of a plate.

    Attributes
    ----------
    well : str
        The path of its well.
    path : str
        Its number among the fields of the well, those without an image included.
    acquisition : int, optional
        The number of the first acquisition that it is of.
    image : int
        The number of its image.
    """

    well: str
    path: str
    acquisition: int | None
    image: int


@dataclass(frozen=True, slots=True)
class PlateInXML:
    """A plate as OME-XML describes it, with the fields that have an image."""

    name: str | None
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    acquisitions: tuple[Mapping[str, Any], ...]
    fields: tuple[FieldInXML, ...]


def plates_in(xml: str) -> list[PlateInXML]:
    """Return the plates of OME-XML that have a field with an image.

    Raises
    ------
    ValueError
        If a field refers to an image that is not there, two fields lie at one place, or an image at two; or if a number
        cannot be read.

    Examples
    --------
    >>> well = '<Well Row="1" Column="2"><WellSample ID="a"><ImageRef ID="Image:0"/></WellSample></Well>'
    >>> (plate,) = plates_in(f'<OME><Plate Name="p">{well}</Plate><Image ID="Image:0"/></OME>')
    >>> plate.fields[0].well, plate.rows, plate.columns
    ('B/3', ('A', 'B'), ('1', '2', '3'))
    """
    root = read_ome_xml(xml)
    images = {one.get("ID", ""): i for i, one in enumerate(root.findall("{*}Image"))}
    plates = [_plate(element, images) for element in root.findall("{*}Plate")]
    placed: dict[int, FieldInXML] = {}
    for field in (field for plate in plates for field in plate.fields):
        before = placed.setdefault(field.image, field)
        if before is not field:
            raise ValueError(
                f"image {field.image} is a field of well {before.well} and of well {field.well}; it lies in one place"
            )
    return [plate for plate in plates if plate.fields]


def side_name(number: int, naming: str) -> str:
    """Return the name of a row or column.

    >>> side_name(0, "letter"), side_name(26, "letter"), side_name(701, "letter"), side_name(0, "number")
    ('A', 'AA', 'ZZ', '1')
    """
    if naming != "letter":
        return str(number + 1)
    before, letter = divmod(number, 26)
    return f"{side_name(before - 1, naming) if before else ''}{chr(ord('A') + letter)}"


def _plate(plate: Element, images: Mapping[str, int]) -> PlateInXML:
    wells = [(well, _number(well, "Row"), _number(well, "Column")) for well in plate.findall("{*}Well")]
    rows = _side(plate, "rows", [row for _, row, _ in wells])
    columns = _side(plate, "columns", [column for _, _, column in wells])
    acquisitions = plate.findall("{*}PlateAcquisition")
    refs = [(ref.get("ID"), k) for k, one in enumerate(acquisitions) for ref in one.findall("{*}WellSampleRef")]
    acquired = dict(reversed(refs))
    fields: dict[tuple[str, str], FieldInXML] = {}
    for well, row, column in wells:
        for field in _fields(well, f"{rows[row]}/{columns[column]}", acquired, images):
            if (field.well, field.path) in fields:
                raise ValueError(
                    f"two fields lie at {field.well}/{field.path}: there are two wells in row {row}, column {column}"
                )
            fields[field.well, field.path] = field
    described = tuple(_acquisition(k, one) for k, one in enumerate(acquisitions))
    return PlateInXML(plate.get("Name"), rows, columns, described, tuple(fields.values()))


def _fields(
    well: Element, path: str, acquired: Mapping[str | None, int], images: Mapping[str, int]
) -> Iterator[FieldInXML]:
    """Yield the fields of a well that have an image: a field without one was not acquired."""
    for k, sample in enumerate(well.findall("{*}WellSample")):
        ref = sample.find("{*}ImageRef")
        if ref is None:
            continue
        image = images.get(ref.get("ID", ""))
        if image is None:
            raise ValueError(f"field {k} of well {path} refers to {ref.get('ID')!r}, which is none of its images")
        yield FieldInXML(path, str(k), acquired.get(sample.get("ID")), image)


def _side(plate: Element, side: str, used: list[int]) -> tuple[str, ...]:
    """Return the names of all rows, or columns: as many as the plate has, and its wells need."""
    length, convention, usual = NAMINGS[side]
    n = max([_number(plate, length, 0), *(number + 1 for number in used)])
    if n > LONGEST_SIDE:
        raise ValueError(f"a plate of {n:,} {side} is none; at most {LONGEST_SIDE:,} are believed")
    return tuple(side_name(number, plate.get(convention, usual)) for number in range(n))


def _acquisition(number: int, element: Element) -> JSONDict:
    """Return an acquisition in the form of OME-Zarr; times without a zone are no points in time."""
    description = element.find("{*}Description")
    times = {key.lower(): _milliseconds(element.get(key)) for key in ("StartTime", "EndTime")}
    known = {
        "name": element.get("Name"),
        "description": None if description is None else description.text,
        **times,
    }
    return {"id": number, **{key: value for key, value in known.items() if value is not None}}


def _milliseconds(time: str | None) -> int | None:
    try:
        at = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return None if at.tzinfo is None or at.timestamp() < 0 else round(at.timestamp() * 1000)


def _number(element: Element, key: str, default: int | None = None) -> int:
    stated = element.get(key, "").strip() or None
    if stated is None and default is not None:
        return default
    if stated is None or not (stated.isascii() and stated.isdecimal()):
        raise ValueError(f"{key} of {element.tag.rpartition('}')[2]} is {stated!r}, not a whole number")
    return int(stated)
