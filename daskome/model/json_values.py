"""Turn any value into plain JSON, or raise an error that names what is not JSON."""

import reprlib
from collections.abc import Mapping
from math import isfinite
from typing import Any

JSONDict = dict[str, Any]
"""An object of JSON that is made, to be written."""
JSONObject = Mapping[str, Any]
"""An object of JSON that is read."""


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
