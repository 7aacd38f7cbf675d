"""The calls of every release of ``ome_zarr.writer``: positional orders, keywords, and what fits where."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Final, ParamSpec, TypeVar

from daskome.model.axes import ABBREVIATIONS, UNITS

P = ParamSpec("P")
R = TypeVar("R")
Arguments = dict[str, Any]
# ---- what was called how

_SINCE_03 = "fmt axes coordinate_transformations storage_options"
ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "plan_image": ("image group scale_factors name method",),
    "write_plate": ("wells group scale_factors name method",),
    "write_image": (
        "image group scale_factors name method",
        f"image group scale_factors name method scaler {_SINCE_03} compute scale axes_units",
        f"image group scaler chunks {_SINCE_03} compute",
        f"image group chunks byte_order scaler {_SINCE_03}",
    ),
    "write_multiscale": (
        "pyramid group name",
        f"pyramid group {_SINCE_03} name compute scale axes_units",
        f"pyramid group chunks {_SINCE_03} name compute",
    ),
    "write_labels": (
        "labels group name scale_factors method",
        f"labels group name scaler scale_factors method {_SINCE_03} label_metadata scale axes_units compute",
        f"labels group name scaler chunks {_SINCE_03} label_metadata compute",
    ),
    "write_multiscale_labels": (
        "pyramid group name",
        f"pyramid group name {_SINCE_03} label_metadata scale axes_units compute",
        f"pyramid group name chunks {_SINCE_03} label_metadata compute",
    ),
    "write_multiscales_metadata": (
        "group datasets fmt axes axes_units name",
        "group datasets fmt axes name",
    ),
    "write_label_metadata": ("group name colors properties fmt",),
    "write_plate_metadata": ("group rows columns wells fmt acquisitions field_count name",),
    "write_well_metadata": ("group images fmt",),
}
"""Positional parameters: daskome's, those of ome-zarr 0.21, of 0.4 to 0.11 (later ones append), and of 0.3."""
_PLANNING = "fmt axes scale translation axes_units storage_options fs_options memory overwrite"
_WRITING = f"{_PLANNING} resume retries progress compute"
_LABELS = "label_metadata colors properties"
KEYWORDS: Final[Mapping[str, str]] = {
    "write_image": f"{_WRITING} staging channels omero labels",
    "plan_image": f"{_PLANNING} staging channels omero labels",
    "write_multiscale": f"{_WRITING} channels omero method",
    "write_plate": f"{_WRITING} staging channels omero rows columns acquisitions",
    "write_labels": f"{_WRITING} staging {_LABELS}",
    "write_multiscale_labels": f"{_WRITING} {_LABELS} method",
}
"""What daskome's functions take by keyword only."""
OPTIONAL: Final = {"plan_image": "group", "write_multiscales_metadata": "datasets"}
"""What can be left out: a plan needs no target, and datasets were called paths."""
WITHOUT_METADATA: Final = ("write_plate_metadata", "write_well_metadata")
"""Functions that take no ``**metadata``."""


# ---- the types by which an order is told from another


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def is_dict(value: Any) -> bool:
    """Whether a value is a mapping."""
    return isinstance(value, Mapping)


def _is_scaler(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("method", "downscale", "max_layer"))


def is_int(value: Any) -> bool:
    """Whether a value is a whole number; booleans are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def all_are(fits: Callable[[Any], bool], values: Any, kinds: Any = (list, tuple)) -> bool:
    """Whether a value is a list of what fits."""
    return isinstance(values, kinds) and all(map(fits, values))


def _is_chunks(value: Any) -> bool:
    """One shape, or one per level."""
    return is_int(value) or all_are(is_int, value, tuple) or all_are(lambda one: all_are(is_int, one), value, list)


def _is_factors(value: Any) -> bool:
    numbers = all_are(lambda one: is_dict(one) or isinstance(one, Real), value, list)
    factor = all_are(lambda one: is_dict(one) or (is_int(one) and one > 1), value, tuple)
    return numbers or factor or (_is_name(value) and value == "auto")


def _is_axes(value: Any) -> bool:
    return _is_name(value) or all_are(lambda axis: _is_name(axis) or is_dict(axis) or hasattr(axis, "name"), value)


def _is_storage_options(value: Any) -> bool:
    return is_dict(value) or all_are(is_dict, value)


def _is_units(value: Any) -> bool:
    known = _is_name(value) and any(value in units for units in (ABBREVIATIONS, *UNITS.values()))
    return known or is_dict(value)


FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "acquisitions": lambda value: all_are(is_dict, value),
    "axes": _is_axes,
    "axes_units": _is_units,
    "byte_order": lambda value: _is_name(value) or all_are(_is_name, value),
    "chunks": _is_chunks,
    "colors": lambda value: all_are(is_dict, value),
    "compute": lambda value: isinstance(value, bool) or value == "init",
    "coordinate_transformations": lambda value: all_are(lambda level: all_are(is_dict, level), value),
    "field_count": is_int,
    "fmt": lambda value: hasattr(value, "version") or (isinstance(value, str) and value[:2] == "0."),
    "label_metadata": is_dict,
    "method": lambda value: _is_name(value) or callable(value) or hasattr(value, "value") or hasattr(value, "reduce"),
    "name": _is_name,
    "properties": lambda value: all_are(is_dict, value),
    "scale": is_dict,
    "scale_factors": _is_factors,
    "scaler": _is_scaler,
    "storage_options": _is_storage_options,
}
"""Whether a value that is not None can be meant for a parameter; what isn't here takes any."""


def bound_arguments(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
    """Return all arguments by name, those without a value (None where it means nothing) left out."""
    by_name = _positional(function, args)
    twice = [name for name in by_name if name in kwargs]
    if twice:
        raise TypeError(f"{function}() got multiple values for argument {twice[0]!r}")
    given = {**by_name, **kwargs}
    first = ORDERS[function][0].split()[:2]
    missing = [name for name in first if name not in given and name != OPTIONAL.get(function)]
    if missing:
        raise TypeError(f"{function}() is missing {missing[0]!r}")
    if "pyramid" in given:
        given["pyramid"] = list(given["pyramid"])
    return given


def _positional(function: str, args: Sequence[Any]) -> Arguments:
    """Return positional arguments by the names of the first order that they fit."""
    fitting = [found for order in ORDERS[function] if (found := _named(order.split(), args)) is not None]
    if not fitting:
        kinds = ", ".join(type(value).__name__ for value in args[2:])
        raise TypeError(f"{function}(…, {kinds}): these fit no order of parameters that there was; use keywords")
    first, *others = fitting
    as_chunks = next((other for other in others if "chunks" in other), None)
    if as_chunks and _is_order(as_chunks.get("byte_order")):
        return as_chunks
    if as_chunks is None or not _doubtful(first.get("scale_factors")):
        return first
    if as_chunks.get("scaler") is not None:
        return as_chunks
    value = first["scale_factors"]
    raise TypeError(f"{function}(…, {value}) can be factors or chunks; say scale_factors={value} or chunks={value}")


def _named(order: Sequence[str], args: Sequence[Any]) -> Arguments | None:
    """Return arguments by the names of an order, or None if one can't be meant so."""
    if len(args) > len(order):
        return None
    found = dict(zip(order, args, strict=False))
    fits = all(value is None or name not in FITS or FITS[name](value) for name, value in found.items())
    return found if fits else None


def _doubtful(factors: Any) -> bool:
    """Whether ints don't rise by whole multiples, as scale factors must."""
    if not all_are(is_int, factors, tuple):
        return False
    return any(b <= a or b % a for a, b in pairwise((1, *factors)))


def _is_order(value: Any) -> bool:
    """Whether it names axes, as ``byte_order`` does; hardly an image."""
    return value is not None and len(value) > 1 and set(value) <= set("tczyx")


# ---- keywords


def known_arguments(function: str) -> list[str]:
    """Return every name that an argument of a function has, or had in some release."""
    own = f"{ORDERS[function][0]} {KEYWORDS.get(function, '')}".split()
    former = " ".join((*ORDERS[function][1:], *FORMER.get(function, ()))).split()
    return list(dict.fromkeys([*own, *former]))


def reject_misspelt_arguments(function: str, given: Arguments) -> None:
    """Raise for a keyword that is nearly a known one; others are metadata."""
    known = known_arguments(function)
    for name in given:
        if name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.75)
        if near or function in WITHOUT_METADATA:
            hint = f"; did you mean {near[0]!r}?" if near else f". It takes {', '.join(known)}"
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{hint}")


FORMER: Final[Mapping[str, tuple[str, ...]]] = {
    "write_multiscale": ("byte_order",),
    "write_multiscales_metadata": ("paths",),
    "write_image": ("metadata",),
}
"""Keywords that were, and stand in no order."""
