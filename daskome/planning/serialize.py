"""Turn frozen dataclasses into JSON values, and back into equal ones."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")
_type_hints = lru_cache(get_type_hints)


def to_json(value: Any, special: Mapping[type, Callable[[Any], Any]] | None = None) -> Any:
    """Return dataclasses as dicts and tuples as lists; `special` says how to convert other types.

    >>> from daskome.model.problem import Problem
    >>> to_json((Problem("omero", "is missing"), 1))
    [{'where': 'omero', 'message': 'is missing', 'warning': False, 'section': None}, 1]
    """
    special = special or {}
    if type(value) in special:
        return special[type(value)](value)
    if is_dataclass(value):
        return {f.name: to_json(getattr(value, f.name), special) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(k): to_json(v, special) for k, v in value.items()}
    return [to_json(v, special) for v in value] if isinstance(value, tuple | list) else value


def from_json(cls: type[T], value: Any, special: Mapping[type, Callable[[Any], Any]] | None = None) -> T:
    """Return the `cls` that `to_json` turned into `value`.

    Parameters
    ----------
    cls : type
        A dataclass, or tuple, of dataclasses, tuples, optional values and plain JSON types.
    value : JSON
    special : dict of type to callable
        How to make values of other types.

    Examples
    --------
    >>> from daskome.model.problem import Problem
    >>> from_json(Problem, {"where": "omero", "message": "is missing", "warning": False, "section": None})
    Problem(where='omero', message='is missing', warning=False, section=None)
    """
    built: T = _build(cls, value, special or {})
    return built


def _build(hint: Any, value: Any, special: Mapping[type, Callable[[Any], Any]]) -> Any:
    if hint in special:
        return special[hint](value)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = _type_hints(hint)
        return hint(**{f.name: _build(hints[f.name], value[f.name], special) for f in fields(hint) if f.init})
    if get_origin(hint) is UnionType:
        inner = next(h for h in get_args(hint) if h is not type(None))
        return None if value is None else _build(inner, value, special)
    if get_origin(hint) is tuple:
        return tuple(_build(get_args(hint)[0], item, special) for item in value)
    return float(value) if hint is float and not isinstance(value, int) else value
