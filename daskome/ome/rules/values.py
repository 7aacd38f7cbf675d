"""Kinds of values that keys hold: a predicate, and how a message names it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from daskome.model.json_values import is_integer, is_list, is_number
from daskome.model.orientations import ORIENTATIONS
from daskome.model.paths import is_inside

# Kinds of values


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be.

    Attributes
    ----------
    what : str
        As messages say it.
    holds : callable
        Whether a value is that.
    items : Kind, optional
        What the items of a list are.
    fields : str
        Which of `OBJECTS` it is; "" for none.
    """

    what: str
    holds: Callable[[Any], bool]
    items: "Kind | None" = None
    fields: str = ""


def _integer_from(least: int, most: float = float("inf")) -> Callable[[Any], bool]:
    return lambda value: is_integer(value) and least <= value <= most


def _is_relative(value: Any) -> bool:
    return _is_name(value) and value[0] != "/" and "://" not in value


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_square(least: int, most: float = float("inf")) -> Callable[[Any], bool]:
    """Return a test for square matrices of at least `least` and at most `most` rows of numbers."""

    def square(value: Any) -> bool:
        rows = value if is_list(value) else ()
        fit = all(is_list(row) and len(row) == len(rows) and all(map(is_number, row)) for row in rows)
        return fit and least <= len(rows) <= most

    return square


def are_axes(least: int, most: float = float("inf")) -> Callable[[Any], bool]:
    """Return a test for lists of different axis indices, of at least `least`; with a `most`, axes are five at most."""
    index = _integer_from(0, 4 if isfinite(most) else most)
    return lambda v: is_list(v) and least <= len(v) <= most and all(map(index, v)) and len(set(v)) == len(v)


def _pattern(pattern: str) -> Callable[[Any], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda value: isinstance(value, str) and matches(value) is not None


def one_of(*values: Any) -> Kind:
    """Return the kind of a string that is one of these."""
    return Kind(_or(values), lambda value: isinstance(value, str) and value in values)


def is_draft_of(release: str) -> Callable[[Any], bool]:
    """Return a test for names of drafts of a version, such as "0.6rc0"."""
    return _pattern(rf"{re.escape(release)}[-.]?(a|b|rc|dev)[-.]?\d*")


def version_or_draft(release: str) -> Kind:
    """Return the kind of the name of a version, or of one of its drafts."""
    return Kind(repr(release), lambda value: value == release or is_draft_of(release)(value))


def all_but(what: str, *holds: Callable[[Any], bool]) -> Kind:
    """Return the kind of all values but those for which one of these holds: for warnings beside an error."""
    return Kind(what, lambda value: not any(test(value) for test in holds))


def _or(values: Iterable[Any]) -> str:
    *most, last = map(repr, values)
    return f"{', '.join(most)} or {last}" if most else last


def object_of(fields: str, what: str = "an object") -> Kind:
    """Return the kind of an object whose fields stand in a table."""
    return Kind(what, lambda value: isinstance(value, Mapping), fields=fields)


def list_of(what: str, items: Kind, least: int = 0, most: float = float("inf")) -> Kind:
    """Return the kind of a list of items of one kind."""
    return Kind(f"a list of {what}", lambda value: is_list(value) and least <= len(value) <= most, items)


def or_null(kind: Kind) -> Kind:
    """Return a kind whose key may also hold null, which means the same as to leave it out."""
    return Kind(f"{kind.what} or null", lambda value: value is None or kind.holds(value))


def absent(why: str) -> Kind:
    """Return the kind of a key that must be left out, and why."""
    return Kind(f"left out: {why}", lambda value: False)


STRING = Kind("a string", lambda value: isinstance(value, str))
NAME = Kind("a string that is not empty", _is_name)
BOOLEAN = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a number", is_number)
INTEGER = Kind("an integer", is_integer)
INDEX = Kind("an integer from 0", _integer_from(0))
COUNT = Kind("an integer above 0", _integer_from(1))
BYTE = Kind("an integer from 0 to 255", _integer_from(0, 255))
SIZE = Kind("a number above 0, as no pixel has another size", lambda value: is_number(value) and value > 0)
INSIDE = Kind("a path inside the group, such as 's0'", is_inside)
RELATIVE = Kind("a relative path, such as '../../'", _is_relative)
COLOR = Kind("six hexadecimal digits, RRGGBB", _pattern("[0-9A-Fa-f]{6}"))
ALPHANUMERIC = Kind("letters and digits", _pattern("[A-Za-z0-9]+"))
FIELD = Kind(
    "letters, digits, '_', '-' and '.', neither dots alone nor with '__' at its start",
    _pattern(r"(?!__)(?!\.+$)[A-Za-z0-9_.-]+"),
)
WELL_PATH = Kind("row/column, such as 'A/1'", _pattern("[A-Za-z0-9]+/[A-Za-z0-9]+"))
LAYOUT = Kind("3", lambda value: is_number(value) and value == 3)
NUMBERS = list_of("numbers", NUMBER)
SCALE = list_of("numbers", SIZE)
AXIS_NAME = one_of(*"tczyx")
INTERPOLATION = one_of("nearest", "linear", "cubic", "bspline-cubic")
KNOWN_ORIENTATION = Kind(
    f"one of the {len(ORIENTATIONS)} of RFC-4, such as 'left-to-right'", one_of(*ORIENTATIONS).holds
)
INDICES = list_of("integers from 0", INDEX)
INPUT_OUTPUT = "only the outermost transformation has input and output"
