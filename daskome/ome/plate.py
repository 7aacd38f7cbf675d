"""Plates and wells: the ``plate`` and ``well`` objects of OME-Zarr."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daskome.model.json_values import JSONDict


@dataclass(frozen=True, slots=True)
class PlateWell:
    """A well as its plate lists it: its path, and all other keys."""

    path: str
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Plate:
    """The ``plate`` object; None for absent keys.

    Attributes
    ----------
    rows, columns : tuple of str
        All names, with wells or without.
    wells : tuple of PlateWell
    name : str, optional
    field_count : int, optional
        The largest number of fields in a well.
    acquisitions : tuple of dict, optional
        Each with an ``id``.
    rest : dict
        All other keys.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    wells: tuple[PlateWell, ...]
    name: str | None = None
    field_count: int | None = None
    acquisitions: tuple[Mapping[str, Any], ...] | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self, indexed: bool) -> JSONDict:
        """Return the object as it stands in the metadata, wells with their indices or without (0.1 to 0.3)."""
        keys: JSONDict = {
            "name": self.name,
            "field_count": self.field_count,
            "acquisitions": None if self.acquisitions is None else [dict(a) for a in self.acquisitions],
            "rows": [{"name": name} for name in self.rows],
            "columns": [{"name": name} for name in self.columns],
            "wells": [
                {"path": well.path, **(self.indices(well.path) if indexed else {}), **well.rest} for well in self.wells
            ],
        }
        return {**{key: value for key, value in keys.items() if value is not None}, **self.rest}

    def indices(self, path: str) -> JSONDict:
        """Return the indices of the row and column in the path of a well, those that are known."""
        row, _, column = path.partition("/")
        pairs = (("rowIndex", self.rows, row), ("columnIndex", self.columns, column))
        return {key: names.index(name) for key, names, name in pairs if name in names}


@dataclass(frozen=True, slots=True)
class Field:
    """An image of a well as the well lists it."""

    path: str
    acquisition: int | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Well:
    """The ``well`` object."""

    images: tuple[Field, ...]
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_json(self) -> JSONDict:
        """Return the object as it stands in the metadata."""
        return {"images": [_field(image) for image in self.images], **self.rest}


def read_plate(stored: Mapping[str, Any], indexed: bool) -> Plate:
    """Read a ``plate`` object; `Plate.to_json` gives it back unchanged. What has no attribute of its own is in `rest`.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    rest = dict(_object(stored, "plate"))
    names = {key: tuple(str(item["name"]) for item in _objects(rest.get(key), f"plate/{key}")) for key in SIDES}
    wells = _objects(rest.pop("wells", None), "plate/wells")
    plate = Plate(names["rows"], names["columns"], ())
    for key in SIDES:
        if rest[key] == [{"name": name} for name in names[key]]:
            del rest[key]
    return Plate(
        names["rows"],
        names["columns"],
        tuple(_read_well(plate, well, indexed) for well in wells),
        rest.pop("name") if isinstance(rest.get("name"), str) else None,
        rest.pop("field_count") if isinstance(rest.get("field_count"), int) else None,
        tuple(rest.pop("acquisitions")) if isinstance(rest.get("acquisitions"), list) else None,
        rest,
    )


def read_well(stored: Mapping[str, Any]) -> Well:
    """Read a ``well`` object; `Well.to_json` gives it back unchanged.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    rest = dict(_object(stored, "well"))
    images = _objects(rest.pop("images", None), "well/images")
    return Well(tuple(_read_field(image) for image in images), rest)


def parse_plate(
    rows: Sequence[str],
    columns: Sequence[str],
    wells: Sequence[str | Mapping[str, Any]],
    acquisitions: Sequence[Mapping[str, Any]] | None = None,
    field_count: int | None = None,
    name: str | None = None,
) -> Plate:
    """Return a plate as the caller describes it.

    Parameters
    ----------
    rows, columns : sequence of str or dict with name
    wells : sequence of str or dict
        Paths such as ``"A/1"``, or dicts with ``path``, in which indices are optional.

    Raises
    ------
    ValueError
        If a well has no path, or indices that contradict it. (`daskome.ome.rules` checks the rest.)

    Examples
    --------
    >>> parse_plate("AB", ["1", "2"], ["B/1"]).to_json(indexed=True)["wells"]
    [{'path': 'B/1', 'rowIndex': 1, 'columnIndex': 0}]
    """
    names = [
        tuple(map(_side_name, list_given(side, f"plate/{key}"))) for side, key in ((rows, "rows"), (columns, "columns"))
    ]
    plate = Plate(names[0], names[1], ())
    return Plate(
        names[0],
        names[1],
        tuple(_parse_well(plate, well) for well in list_given(wells, "plate/wells")),
        name,
        field_count,
        parse_acquisitions(acquisitions),
    )


def parse_well(images: Sequence[str | Mapping[str, Any]]) -> Well:
    """Return a well as the caller describes it: paths of its images, or dicts with path and acquisition.

    Raises
    ------
    ValueError
        If an image has no path.

    Examples
    --------
    >>> parse_well(["0", {"path": "1", "acquisition": 2}]).to_json()
    {'images': [{'path': '0'}, {'path': '1', 'acquisition': 2}]}
    """
    fields = ({"path": image} if isinstance(image, str) else image for image in list_given(images, "well/images"))
    return Well(tuple(map(_read_field, fields)))


def parse_acquisitions(acquisitions: Any) -> tuple[Mapping[str, Any], ...] | None:
    """Return acquisitions as a caller gives them; None if there are none.

    Raises
    ------
    ValueError
        If they are not a list of dicts.
    """
    items = [] if acquisitions is None else list(list_given(acquisitions, "plate/acquisitions"))
    for item in items:
        if not isinstance(item, Mapping):
            raise ValueError(f"acquisition {item!r}: give a dict with an 'id', as in {{'id': 0}} (section 'plate')")
    return tuple(map(dict, items)) or None


def list_given(values: Any, what: str) -> Iterable[Any]:
    """Return what is a list; raise a ValueError for anything else. Rows may also be text, with a letter for each.

    >>> list_given(None, "plate/wells")
    Traceback (most recent call last):
    ValueError: plate/wells is None; give a list
    """
    text = isinstance(values, str) and what not in ("plate/rows", "plate/columns")
    if text or isinstance(values, Mapping) or not isinstance(values, Iterable):
        raise ValueError(f"{what} is {values!r}; give a list")
    return values


def _side_name(side: Any) -> str:
    """Return the name of a row or column, from itself or a dict."""
    if isinstance(side, Mapping) and "name" not in side:
        raise ValueError(f"row or column {dict(side)} of a plate needs a 'name' (section 'plate')")
    return str(side["name"] if isinstance(side, Mapping) else side)


def joined(old: Plate, new: Plate) -> Plate:
    """Return a plate with the wells of two; new names of rows and columns are sorted in if the old ones are in order.

    >>> joined(parse_plate("AC", ["1", "2"], ["A/1"]), parse_plate("B", ["10"], ["B/10"])).rows
    ('A', 'B', 'C')
    """
    wells = {well.path: well for well in (*old.wells, *new.wells)}
    acquisitions = _joined_acquisitions(old.acquisitions or (), new.acquisitions or ())
    counts = [count for count in (old.field_count, new.field_count) if count is not None]
    sides = {key: _joined(getattr(old, key), getattr(new, key), key in old.rest) for key in SIDES}
    more = {
        key: [*old.rest[key], *({"name": name} for name in names[len(getattr(old, key)) :])]
        for key, names in sides.items()
        if key in old.rest
    }
    return Plate(
        sides["rows"],
        sides["columns"],
        tuple(wells.values()),
        new.name or old.name,
        max(counts, default=None),
        acquisitions or None,
        {**old.rest, **new.rest, **more},
    )


def _joined_acquisitions(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> tuple[Mapping[str, Any], ...]:
    """Merge acquisitions by id: keys of the new ones win, but for a name that merely repeats the id."""
    by_id: dict[str, Mapping[str, Any]] = {str(item.get("id")): item for item in old}
    for item in new:
        before = by_id.get(str(item.get("id")), {})
        stated = {
            key: v for key, v in item.items() if not (key == "name" and v == str(item.get("id")) and key in before)
        }
        counts = [n for n in (before.get("maximumfieldcount"), item.get("maximumfieldcount")) if isinstance(n, int)]
        most = {"maximumfieldcount": max(counts)} if counts else {}
        by_id[str(item.get("id"))] = {**before, **stated, **most}
    return tuple(by_id.values())


def natural(name: str) -> tuple[int, str]:
    """Return a key that sorts rows A to Z before AA, and column 2 before 10."""
    return len(name), name


SIDES = ("rows", "columns")


def _joined(old: tuple[str, ...], new: tuple[str, ...], as_is: bool) -> tuple[str, ...]:
    names = tuple(dict.fromkeys((*old, *new)))
    ordered = list(old) == sorted(old, key=natural) and not as_is
    return tuple(sorted(names, key=natural)) if ordered else names


def _parse_well(plate: Plate, well: str | Mapping[str, Any]) -> PlateWell:
    if isinstance(well, str):
        return PlateWell(well)
    if not isinstance(well, Mapping) or not isinstance(well.get("path"), str):
        raise ValueError(f"well {well!r}: give a path such as 'A/1', or a dict with one (section 'plate')")
    indices = plate.indices(well["path"])
    for key, index in indices.items():
        if well.get(key, index) != index:
            raise ValueError(f"well {well['path']!r} has {key} {well[key]!r}, but it is {index} (section 'plate')")
    return PlateWell(well["path"], {k: v for k, v in well.items() if k not in ("path", *indices)})


def _read_well(plate: Plate, stored: Mapping[str, Any], indexed: bool) -> PlateWell:
    path = stored["path"]
    derived = {"path": path, **(plate.indices(str(path)) if indexed else {})}
    return PlateWell(str(path), {key: value for key, value in stored.items() if derived.get(key, _NOTHING) != value})


def _read_field(stored: Mapping[str, Any]) -> Field:
    if not isinstance(stored, Mapping) or not isinstance(stored.get("path"), str):
        raise ValueError(f"image {stored!r} of a well: give its path, or a dict with one (section 'well')")
    rest = {key: value for key, value in stored.items() if key not in ("path", "acquisition")}
    return Field(stored["path"], stored.get("acquisition"), rest)


def _field(image: Field) -> JSONDict:
    acquisition = {} if image.acquisition is None else {"acquisition": image.acquisition}
    return {"path": image.path, **acquisition, **image.rest}


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} {value!r} is not an object")
    return value


def _objects(value: Any, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ValueError(f"{what} {value!r} is not a list of objects")
    return value


_NOTHING = object()
