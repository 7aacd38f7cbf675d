"""The calls of every release of ``ome_zarr.writer``: positional orders, keywords, and what fits where."""

from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Final, ParamSpec, TypeVar

import numpy as np

from daskome.calls.slips import meant, says_how
from daskome.model.axes import ABBREVIATIONS, UNITS

P = ParamSpec("P")
R = TypeVar("R")
CallArguments = dict[str, Any]
# ---- former releases

_SINCE_03 = "fmt axes coordinate_transformations storage_options"
FORMER_ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "write_image": (
        f"image group scale_factors name method scaler {_SINCE_03} compute scale axes_units",
        f"image group scaler chunks {_SINCE_03} compute",
        f"image group chunks byte_order scaler {_SINCE_03}",
    ),
    "write_multiscale": (
        f"pyramid group {_SINCE_03} name compute scale axes_units",
        f"pyramid group chunks {_SINCE_03} name compute",
    ),
    "write_labels": (
        f"labels group name scaler scale_factors method {_SINCE_03} label_metadata scale axes_units compute",
        f"labels group name scaler chunks {_SINCE_03} label_metadata compute",
    ),
    "write_multiscale_labels": (
        f"pyramid group name {_SINCE_03} label_metadata scale axes_units compute",
        f"pyramid group name chunks {_SINCE_03} label_metadata compute",
    ),
    "write_multiscales_metadata": ("group datasets fmt axes name",),
}
"""Positional parameters of ome-zarr 0.21, of 0.4 to 0.11 (later ones append), and of 0.3, where they are not ours."""
FORMER_KEYWORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "write_multiscale": ("byte_order",),
    "write_multiscales_metadata": ("paths",),
    "write_image": ("metadata",),
    "plan_image": ("scaler", "chunks", "byte_order", "coordinate_transformations", "metadata"),
}
"""Keywords of former releases that stand in no order."""
FORMER_NAMES: Final = {"datasets": "paths"}
"""What a required parameter was called in a former release."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How a public function is called, and was in former releases of ``ome_zarr``.

    Attributes
    ----------
    name : str
    positional, keywords, required : tuple of str
        The function's own parameters: by position, by keyword only, and those without a default.
    takes_metadata : bool
        Whether it takes further keywords, as metadata.
    """

    name: str
    positional: tuple[str, ...]
    keywords: tuple[str, ...]
    required: tuple[str, ...]
    takes_metadata: bool

    @property
    def orders(self) -> list[tuple[str, ...]]:
        """The orders of positional parameters: the function's own, then those of former releases."""
        return [self.positional, *(tuple(order.split()) for order in FORMER_ORDERS.get(self.name, ()))]

    @property
    def known(self) -> list[str]:
        """Every name that an argument has, or had in some release."""
        own, *former = self.orders
        names = [*own, *self.keywords, *(name for order in former for name in order)]
        return list(dict.fromkeys([*names, *FORMER_KEYWORDS.get(self.name, ())]))


PUBLIC: Final[list[Callable[..., Any]]] = []
"""The public functions that accept calls in the words of ``ome_zarr``, as they are defined."""


@cache
def calls_of(function: Callable[..., Any]) -> Calls:
    """Return how a function is called, from its signature."""
    parameters = signature(function).parameters.values()
    by_kind = {kind: tuple(p.name for p in parameters if p.kind is kind) for kind in {p.kind for p in parameters}}
    positional, keywords = (by_kind.get(k, ()) for k in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY))
    named = (p for p in parameters if p.kind is not Parameter.VAR_KEYWORD)
    required = tuple(p.name for p in named if p.default is Parameter.empty)
    return Calls(function.__name__, positional, keywords, required, Parameter.VAR_KEYWORD in by_kind)


# ---- the types by which orders are distinguished


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
    numbers = all_are(lambda one: is_dict(one) or isinstance(one, Real) or all_are(is_int, one), value, list)
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
"""Whether a value other than None can be meant for a parameter; parameters that are not listed take any value."""


def bound_arguments(calls: Calls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> CallArguments:
    """Return the arguments that a caller gives by name."""
    kwargs = {name: value if name in PIXELS else as_lists(value) for name, value in kwargs.items()}
    by_name = _positional(calls, [*args[:1], *map(as_lists, args[1:])])
    twice = [name for name in by_name if name in kwargs]
    if twice:
        raise TypeError(f"{calls.name}() got multiple values for argument {twice[0]!r}")
    arguments = {**by_name, **kwargs}
    if "pyramid" in arguments:
        arguments["pyramid"] = _levels(arguments["pyramid"])
    return arguments


def _levels(pyramid: Any) -> list[Any]:
    if isinstance(pyramid, str | bytes | Mapping) or not isinstance(pyramid, Iterable):
        raise TypeError(f"pyramid is of type {type(pyramid).__name__}; give a list of arrays, from fine to coarse")
    return list(pyramid)


PIXELS: Final = ("image", "labels", "pyramid", "wells", "group")
"""Arguments that are arrays or hold them, or are where these go."""


def as_lists(value: Any) -> Any:
    """Return an argument with lists for NumPy arrays, ranges, iterators and views of dicts, which are read once.

    >>> import numpy as np
    >>> as_lists({"chunks": np.array([32, 32])})
    {'chunks': [32, 32]}
    >>> as_lists(2**k for k in range(1, 4))
    [2, 4, 8]
    """
    if isinstance(value, np.ndarray):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(as_lists, value))
    if isinstance(value, range | Iterator | KeysView | ValuesView):
        return list(map(as_lists, value))
    return {key: as_lists(one) for key, one in value.items()} if type(value) is dict else value


def _positional(calls: Calls, args: Sequence[Any]) -> CallArguments:
    """Return positional arguments by the names of the first order that they fit."""
    fitting = [arguments for order in calls.orders if (arguments := _named(order, args)) is not None]
    if not fitting:
        types = ", ".join(type(value).__name__ for value in args[2:])
        raise TypeError(f"{calls.name}(…, {types}): no release has an order of parameters that fits; use keywords")
    first, *others = fitting
    as_chunks = next((other for other in others if "chunks" in other), None)
    if as_chunks and _is_order(as_chunks.get("byte_order")):
        return as_chunks
    if as_chunks is None or not _doubtful(first.get("scale_factors")):
        return first
    if as_chunks.get("scaler") is not None:
        return as_chunks
    value = first["scale_factors"]
    raise TypeError(
        f"{calls.name}(…, {value}) can be factors or chunks; use scale_factors={value} or chunks={value} as a keyword"
    )


def _named(order: Sequence[str], args: Sequence[Any]) -> CallArguments | None:
    """Return arguments by the names of an order; None if one does not fit its parameter."""
    if len(args) > len(order):
        return None
    arguments = dict(zip(order, args, strict=False))
    fits = all(value is None or name not in FITS or FITS[name](value) for name, value in arguments.items())
    return arguments if fits else None


def _doubtful(factors: Any) -> bool:
    """Whether ints do not rise by whole multiples, as scale factors must, or there are several for a level."""
    if factors and all_are(lambda one: all_are(is_int, one), factors, list):
        return True
    if not all_are(is_int, factors, tuple):
        return False
    return any(b <= a or b % a for a, b in pairwise((1, *factors)))


def _is_order(value: Any) -> bool:
    """Whether a value consists of names of axes, as ``byte_order`` does."""
    return value is not None and len(value) > 1 and set(value) <= set("tczyx")


# ---- keywords


def reject_misspelt_arguments(calls: Calls, arguments: CallArguments) -> None:
    """Raise a TypeError for a keyword that is nearly a known one, another call's or another program's.

    Others are metadata (`daskome.calls.slips`).
    """
    known = calls.known
    for name in arguments:
        if name in known:
            continue
        if owners := [other.name for other in map(calls_of, PUBLIC) if name in (*other.positional, *other.keywords)]:
            raise TypeError(f"{calls.name}() got an unexpected keyword argument {name!r}; it is for {owners[0]}()")
        hint = meant(name, known)
        if calls.takes_metadata and not hint and says_how(name):
            hint = f"it has no effect here; if it describes the image, give metadata={{{name!r}: …}}"
        if hint or not calls.takes_metadata:
            hint = f"; {hint}" if hint else f". It takes {', '.join(known)}"
            raise TypeError(f"{calls.name}() got an unexpected keyword argument {name!r}{hint}")


def reject_missing_arguments(calls: Calls, arguments: CallArguments) -> None:
    """Raise a TypeError for the first required argument that is missing, under its former name too."""
    for name in calls.required:
        if name not in arguments and FORMER_NAMES.get(name) not in arguments:
            raise TypeError(f"{calls.name}() is missing {name!r}")
