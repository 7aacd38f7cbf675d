"""Values of JSON: any value as plain JSON, tests of its types, and values as messages show them."""

import reprlib
from collections.abc import Mapping
from math import isfinite
from typing import Any, TypeGuard

JSONDict = dict[str, Any]
"""An object of JSON that is made, to be written."""
JSONObject = Mapping[str, Any]
"""An object of JSON that is read."""
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError)
"""What code that reads JSON raises where it has another form than expected."""


def to_plain_json(value: Any, where: str) -> Any:
    """Return a value as JSON can hold it: NumPy scalars as numbers, tuples as lists.

    Raises
    ------
    ValueError
        That names what JSON cannot hold: objects, keys that are not text, numbers that are not finite.

    Examples
    --------
    >>> to_plain_json({"gain": (1, 2.5)}, "metadata")
    {'gain': [1, 2.5]}
    """
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{where} is {value}, which JSON does not have; give a finite number, or leave it out")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{where} has the key {key!r}, but keys of JSON are text; give a str")
        return {key: to_plain_json(item, f"{where}/{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_json(item, f"{where}/{i}") for i, item in enumerate(value)]
    raise ValueError(f"{where} is {reprlib.repr(value)} of type {type(value).__name__}, which is not JSON")


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether a value is a list."""
    return isinstance(value, list | tuple)


def is_number(value: Any) -> bool:
    """Whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """JSON has one kind of number: 1.0 is an integer."""
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def shown_value(value: Any) -> str:
    """Return a value as messages show it: short, and without looking into what may be nested too deeply."""
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}…"
    if isinstance(value, Mapping):
        return "an object" if value else "an empty object"
    if is_list(value):
        return f"a list of {len(value)}" if value else "an empty list"
    if isinstance(value, bool | None):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 64:
        return "an integer of more than 64 bits"
    return (
        f"{value!r}" if isinstance(value, int | float) else f"of type {type(value).__name__}, which JSON does not have"
    )
