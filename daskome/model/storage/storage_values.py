"""What the value of a storage option can be: checked before zarr sees it, so that messages say what was given."""

from collections.abc import Callable, Mapping
from math import isfinite
from numbers import Real
from typing import Any, Final

import numpy as np

SPECIAL: Final = ("NaN", "Infinity", "-Infinity")
"""Fill values that JSON has no numbers for."""


def is_special(value: Any) -> bool:
    """Whether a fill value is a number that JSON has only as text."""
    return isinstance(value, str) and value in SPECIAL


def _is_codec(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "name" in value or "id" in value
    return bool(isinstance(value, str) and value) or hasattr(value, "get_config") or hasattr(value, "to_dict")


def _are_codecs(value: Any) -> bool:
    return value is False or _is_codec(value) or (isinstance(value, list | tuple) and all(map(_is_codec, value)))


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "to_dict")


_CODECS = (_are_codecs, "a name such as 'zstd:3', a codec, a list of codecs, or None")
OPTION_VALUES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "compressors": _CODECS,
    "compressor": _CODECS,
    "filters": _CODECS,
    "serializer": (_is_codec, "a codec, or 'auto'"),
    "fill_value": (lambda value: isinstance(value, Real | np.bool_) or is_special(value), "a number, or 'NaN'"),
    "write_empty_chunks": (lambda value: isinstance(value, bool | np.bool_), "True or False"),
    "dimension_separator": (lambda value: value in ("/", "."), "'/' or '.'"),
    "chunk_key_encoding": (_is_dict, "a dict such as {'name': 'v2', 'separator': '/'}"),
    "attributes": (lambda value: isinstance(value, Mapping), "a dict"),
    "config": (_is_dict, "a dict such as {'write_empty_chunks': True}"),
}
"""Options other than shapes: whether a value other than None is one that they can have, and what to give."""


def check_values(options: Mapping[str, Any]) -> None:
    """Raise a ValueError for an option with a value that it cannot have.

    >>> check_values({"compressors": True})
    Traceback (most recent call last):
    ValueError: storage option 'compressors' is True; give a name such as 'zstd:3', a codec, a list of codecs, or None
    """
    for key, (fits, wanted) in OPTION_VALUES.items():
        value = options.get(key)
        if value is not None and not fits(value):
            raise ValueError(f"storage option {key!r} is {value!r}; give {wanted}")


def check_fill_value(value: Any, dtype: str) -> None:
    """Raise a ValueError for a fill value that voxels of a dtype cannot have.

    >>> check_fill_value(300, "uint8")
    Traceback (most recent call last):
    ValueError: storage option 'fill_value' is 300, which voxels of uint8 cannot be
    """
    of = np.dtype(dtype)
    if value is None or (of.kind == "f" and not isinstance(value, bool | np.bool_)):
        return
    low, high = (0, 1) if of.kind == "b" else (np.iinfo(of).min, np.iinfo(of).max) if of.kind in "iu" else (0, -1)
    is_bool = isinstance(value, bool | np.bool_) and of.kind != "b"
    whole = not is_bool and not is_special(value) and isfinite(value) and value == int(value)
    if not whole or not low <= value <= high:
        raise ValueError(f"storage option 'fill_value' is {value!r}, which voxels of {dtype} cannot be")
