"""The door: calls in the words of any release of ``ome_zarr.writer``, translated into daskome's.

Nothing behind it knows those words. A translation is silent where it loses nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import wraps
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Final, ParamSpec, TypeVar, cast

from daskome import caller
from daskome.axes import ABBREVIATIONS, UNITS, parse_axes
from daskome.regions import ceil_div

__all__ = ["check_placing", "opened", "plane_factors", "translated"]

P = ParamSpec("P")
R = TypeVar("R")
Given = dict[str, Any]

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


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_scaler(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("method", "downscale", "max_layer"))


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _all(fits: Callable[[Any], bool], values: Any, kinds: Any = (list, tuple)) -> bool:
    return isinstance(values, kinds) and all(map(fits, values))


def _is_chunks(value: Any) -> bool:
    """One shape, or one per level."""
    return _is_int(value) or _all(_is_int, value, tuple) or _all(lambda one: _all(_is_int, one), value, list)


def _is_factors(value: Any) -> bool:
    numbers = _all(lambda one: _is_dict(one) or isinstance(one, Real), value, list)
    factor = _all(lambda one: _is_dict(one) or (_is_int(one) and one > 1), value, tuple)
    return numbers or factor or (_is_name(value) and value == "auto")


def _is_axes(value: Any) -> bool:
    return _is_name(value) or _all(lambda axis: _is_name(axis) or _is_dict(axis) or hasattr(axis, "name"), value)


def _is_storage_options(value: Any) -> bool:
    return _is_dict(value) or _all(_is_dict, value)


def _is_units(value: Any) -> bool:
    known = _is_name(value) and any(value in units for units in (ABBREVIATIONS, *UNITS.values()))
    return known or _is_dict(value)


FITS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "acquisitions": lambda value: _all(_is_dict, value),
    "axes": _is_axes,
    "axes_units": _is_units,
    "byte_order": lambda value: _is_name(value) or _all(_is_name, value),
    "chunks": _is_chunks,
    "colors": lambda value: _all(_is_dict, value),
    "compute": lambda value: isinstance(value, bool) or value == "init",
    "coordinate_transformations": lambda value: _all(lambda level: _all(_is_dict, level), value),
    "field_count": _is_int,
    "fmt": lambda value: hasattr(value, "version") or (isinstance(value, str) and value[:2] == "0."),
    "label_metadata": _is_dict,
    "method": lambda value: _is_name(value) or callable(value) or hasattr(value, "value") or hasattr(value, "reduce"),
    "name": _is_name,
    "properties": lambda value: _all(_is_dict, value),
    "scale": _is_dict,
    "scale_factors": _is_factors,
    "scaler": _is_scaler,
    "storage_options": _is_storage_options,
}
"""Whether a value that is not None can be meant for a parameter; what isn't here takes any."""


# ---- the door


def opened(function: Callable[P, R]) -> Callable[P, R]:
    """Return a public function that can be called in the words of any release of ``ome_zarr``, too.

    Type checkers see the function's own signature.

    Parameters
    ----------
    function
        One of those in `ORDERS`, by its name.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast(Callable[..., R], function)(**translated(function.__name__, args, kwargs))

    return called


def translated(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Given:
    """Return the keywords of daskome's own function for a call in the words of any release.

    Parameters
    ----------
    function
        A key of `ORDERS`.
    args, kwargs
        As the caller gave them. They are not changed, nor is what they hold.

    Raises
    ------
    TypeError
        If positional arguments fit no order or can be read in two ways, or a keyword is nearly a known one.
    ValueError
        If coordinate transformations contradict the levels.

    Examples
    --------
    >>> translated("write_image", ["<image>", "a.zarr", [2, 4], "cells"], {"axes": "yx", "chunks": (64, 64)})
    {'image': '<image>', 'group': 'a.zarr', 'scale_factors': [2, 4], 'name': 'cells', 'axes': 'yx',
     'storage_options': {'chunks': (64, 64)}}
    """
    given = _bound(function, args, kwargs)
    _reject_near_misses(function, given)
    for translate in TRANSLATIONS:
        translate(function, given)
    return given


def _bound(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Given:
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


def _positional(function: str, args: Sequence[Any]) -> Given:
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


def _named(order: Sequence[str], args: Sequence[Any]) -> Given | None:
    """Return arguments by the names of an order, or None if one can't be meant so."""
    if len(args) > len(order):
        return None
    found = dict(zip(order, args, strict=False))
    fits = all(value is None or name not in FITS or FITS[name](value) for name, value in found.items())
    return found if fits else None


def _doubtful(factors: Any) -> bool:
    """Whether ints don't rise by whole multiples, as scale factors must."""
    if not _all(_is_int, factors, tuple):
        return False
    return any(b <= a or b % a for a, b in pairwise((1, *factors)))


def _is_order(value: Any) -> bool:
    """Whether it names axes, as ``byte_order`` does; hardly an image."""
    return value is not None and len(value) > 1 and set(value) <= set("tczyx")


# ---- keywords


def _known(function: str) -> list[str]:
    own = f"{ORDERS[function][0]} {KEYWORDS.get(function, '')}".split()
    former = " ".join((*ORDERS[function][1:], *FORMER.get(function, ()))).split()
    return list(dict.fromkeys([*own, *former]))


def _reject_near_misses(function: str, given: Given) -> None:
    """Raise for a keyword that is nearly a known one; others are metadata."""
    known = _known(function)
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


# ---- translations, one word each; they change `given`, which is a new dict


def _plain_none(function: str, given: Given) -> None:
    """None for a choice is none made."""
    for name in ("method", "compute", "fmt", "chunks", "coordinate_transformations", "byte_order", "retries"):
        if name in given and given[name] is None:
            del given[name]


def _method(function: str, given: Given) -> None:
    """A member of ``ome_zarr.scale.Methods`` by its value."""
    method = given.get("method")
    if isinstance(getattr(method, "value", None), str):
        given["method"] = cast(Any, method).value


def _byte_order(function: str, given: Given) -> None:
    """Names of axes, where there are no others and they are as many as the dimensions."""
    order = given.pop("byte_order", None)
    if order is not None and given.get("axes") is None and len(order) == len(_shapes(given)[0]):
        given["axes"] = order


def _chunks(function: str, given: Given) -> None:
    """A shape, or one per level, as storage options."""
    if "chunks" in given:
        chunks, options = given.pop("chunks"), given.get("storage_options")
        if _all(_is_int, chunks, list):
            chunks = tuple(chunks)
        if isinstance(chunks, list):
            levels = options if isinstance(options, list | tuple) else [options or {}] * len(chunks)
            if len(levels) != len(chunks):
                raise ValueError(f"chunks are for {len(chunks)} levels, storage_options for {len(levels)}")
            given["storage_options"] = [{"chunks": c, **level} for c, level in zip(chunks, levels, strict=True)]
        elif isinstance(options, list | tuple):
            given["storage_options"] = [{"chunks": chunks, **level} for level in options]
        else:
            given["storage_options"] = {"chunks": chunks, **(options or {})}


def _storage_options(function: str, given: Given) -> None:
    """Chunks of fewer axes than the image has span the first ones; ``overwrite`` is an argument of the call."""
    options = given.get("storage_options")
    if not options:
        return
    levels = [options] if isinstance(options, Mapping) else list(options)
    overwrite = [level["overwrite"] for level in levels if "overwrite" in level]
    if overwrite:
        given.setdefault("overwrite", any(overwrite))
    levels = [_level_options(level, given) for level in levels]
    given["storage_options"] = levels[0] if isinstance(options, Mapping) else levels


def _level_options(level: Mapping[str, Any], given: Given) -> Given:
    options = {key: value for key, value in level.items() if key != "overwrite"}
    chunks, shapes = options.get("chunks"), _shapes(given)
    if shapes and isinstance(chunks, list | tuple) and len(chunks) < len(shapes[0]):
        options["chunks"] = (*shapes[0][: len(shapes[0]) - len(chunks)], *chunks)
    return options


def _scaler(function: str, given: Given) -> None:
    """A `Scaler`, which works by planes, as a method, and factors along the last two axes."""
    if "scaler" not in given:
        return
    scaler = given.pop("scaler")
    if scaler is None:
        given.setdefault("scale_factors", None)
        return
    plane, wanted = _axis_names(given)[-2:], plane_factors(_shapes(given)[0], scaler.downscale, scaler.max_layer)
    factors = [dict.fromkeys(plane, factor) for factor in wanted] or None
    if given.get("scale_factors") not in (None, "auto", factors):
        caller.warn("scale_factors are not used: the scaler says how far to go down")
    given |= {"scale_factors": factors, "method": given.get("method") or _method_of(scaler)}


def _method_of(scaler: Any) -> str:
    name = "resize" if scaler.method == "resize_image" else str(scaler.method)
    return "nearest" if name == "resize" and getattr(scaler, "order", 1) == 0 else name


def plane_factors(shape: Sequence[int], downscale: int, max_layer: int) -> list[int]:
    """Return the factors of the last two axes for each level of a `Scaler`; fewer levels where a plane is too small.

    Examples
    --------
    >>> plane_factors((10, 100, 9), 2, 4)
    [2, 4, 8]
    """
    if downscale != int(downscale) or downscale < 2:
        raise ValueError(f"downscale {downscale!r} of a Scaler: give a whole number of 2 or more")
    factors = (int(downscale) ** k for k in range(1, max_layer + 1))
    return [factor for factor in factors if factor <= min(shape[-2:])]


def _transformations(function: str, given: Given) -> None:
    """Scale and translation of the first level; the others follow from the factors, and must agree with them."""
    levels = given.pop("coordinate_transformations", None)
    if not levels:
        return
    _check_placed(levels, len(_shapes(given)[0]))
    scales = [_vector(level, "scale") or () for level in levels]
    ratios = [[b / a for a, b in zip(scales[0], scale, strict=True)] for scale in scales]
    if "pyramid" in given:
        _check_levels(ratios, _shapes(given))
    elif given.get("scale_factors", "auto") == "auto":
        given["scale_factors"] = [_factors(ratio, given) for ratio in ratios[1:]] or None
    else:
        _check_levels(ratios, [_smaller(entry, given) for entry in (1, *(given["scale_factors"] or ()))])
    _place(given, levels)


def _check_placed(levels: Any, ndim: int) -> None:
    """Raise unless every level says where it lies; other transformations are not written, and that is said."""
    if not _all(lambda level: _all(_is_dict, level), levels):
        raise ValueError(f"coordinate_transformations must be a list for each level {SECTION}, not {levels!r}")
    for level in levels:
        check_placing([t for t in level if t.get("type") in ("scale", "translation")], ndim)
        if min(_vector(level, "scale") or ()) <= 0:
            raise ValueError(f"scale {_vector(level, 'scale')} must be above 0 {SECTION}")


def check_placing(level: Sequence[Mapping[str, Any]], ndim: int) -> None:
    """Raise unless the transformations of a level are a scale, and at most a translation after it.

    Raises
    ------
    ValueError
        For others, in another order, or with another number of values than axes.
    TypeError
        For values that are no numbers.

    Examples
    --------
    >>> check_placing([{"type": "scale", "scale": [1]}], 2)
    Traceback (most recent call last):
    ValueError: scale [1] must have one value for each of 2 axes (section 'multiscales')
    """
    kinds = [transformation.get("type") for transformation in level]
    if kinds not in (["scale"], ["scale", "translation"]):
        raise ValueError(
            f"coordinate transformations must be a scale, then at most a translation, not {kinds} {SECTION}"
        )
    for kind, transformation in zip(kinds, level, strict=True):
        values = transformation.get(str(kind))
        if not isinstance(values, list | tuple) or len(values) != ndim:
            raise ValueError(f"{kind} {values!r} must have one value for each of {ndim} axes {SECTION}")
        if not all(isinstance(value, Real) for value in values):
            raise TypeError(f"{kind} {values!r} must be numbers {SECTION}")


SECTION: Final = "(section 'multiscales')"


def _place(given: Given, levels: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    lost = sorted({str(t.get("type")) for level in levels for t in level} - {"scale", "translation", "identity"})
    if lost:
        caller.warn(f"coordinate_transformations of type {', '.join(lost)} are not written")
    for name in ("scale", "translation"):
        vector = _vector(levels[0], name)
        if vector is not None and given.get(name) is None:
            given[name] = vector


def _vector(level: Sequence[Mapping[str, Any]], kind: str) -> tuple[float, ...] | None:
    return next((tuple(map(float, t[kind])) for t in level if t.get("type") == kind and kind in t), None)


def _check_levels(ratios: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]]) -> None:
    """Raise unless each level is smaller by as much as its voxels are bigger, to a voxel."""
    if len(ratios) != len(shapes):
        raise ValueError(f"coordinate_transformations are for {len(ratios)} levels, the image has {len(shapes)}")
    for k, (ratio, shape) in enumerate(zip(ratios, shapes, strict=True)):
        if any(abs(full / r - n) > 1 + 1e-6 for full, r, n in zip(shapes[0], ratio, shape, strict=True)):
            raise ValueError(
                f"coordinate_transformations: level {k} is shaped {tuple(shape)}, level 0 {tuple(shapes[0])},"
                f" but its scale is {tuple(ratio)} times that of level 0"
            )


def _factors(ratio: Sequence[float], given: Given) -> dict[str, int]:
    """Return a level's factors by axis from how many times bigger its voxels are."""
    return dict(zip(_axis_names(given), map(_whole, ratio, _shapes(given)[0]), strict=True))


def _whole(ratio: float, n: int) -> int:
    """Return the whole factor of a ratio of voxel sizes, which may be a ratio of rounded shapes."""
    for factor in (round(ratio), int(ratio), int(ratio) + 1):
        if factor and any(
            m and abs(n / m - ratio) < 1e-6 * ratio for m in (n / factor, n // factor, ceil_div(n, factor))
        ):
            return factor
    raise ValueError(f"coordinate_transformations: scale grows by {ratio:g}, which is no whole factor of {n} voxels")


def _smaller(entry: Any, given: Given) -> list[int]:
    """Return the shape of a level; an int is a factor of the axes of space."""
    named = entry if isinstance(entry, Mapping) else {axis.name: entry for axis in _axes(given) if axis.spatial}
    return [ceil_div(n, named.get(name, 1)) for name, n in zip(_axis_names(given), _shapes(given)[0], strict=True)]


def _metadata(function: str, given: Given) -> None:
    """What was said of rendering inside ``metadata``, and of labels as ``image-label``, by daskome's names."""
    metadata = given.get("metadata")
    if isinstance(metadata, Mapping) and "omero" in metadata and "omero" in _known(function):
        given.setdefault("omero", metadata["omero"])
        given["metadata"] = {key: value for key, value in metadata.items() if key != "omero"}
        if not given["metadata"]:
            del given["metadata"]
    if "label_metadata" in _known(function) and "image-label" in given:
        given["label_metadata"] = {**_dict(given.pop("image-label")), **(given.get("label_metadata") or {})}
    if given.get("omero") is not None:
        given["omero"] = _dict(given["omero"])


def _dict(value: Any) -> Any:
    """A model, as ``ome_zarr_models`` has them, as a dict."""
    return value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def _datasets(function: str, given: Given) -> None:
    """Paths as datasets."""
    if "paths" in given:
        given["datasets"] = given.pop("paths")
    if "datasets" in given:
        if given["datasets"] is None or isinstance(given["datasets"], str):
            raise TypeError(f"datasets must be a list of dicts or paths {SECTION}, not {given['datasets']!r}")
        given["datasets"] = [{"path": d} if isinstance(d, str) else d for d in given["datasets"]]


TRANSLATIONS: Final = (
    _plain_none,
    _method,
    _byte_order,
    _chunks,
    _storage_options,
    _scaler,
    _transformations,
    _metadata,
    _datasets,
)


# ---- what is known of the image


def _arrays(given: Given) -> Iterator[Any]:
    """Yield the image, or the levels."""
    yield from given["pyramid"] if "pyramid" in given else (given[n] for n in ("image", "labels") if n in given)


def _shapes(given: Given) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in _arrays(given) if hasattr(array, "shape")]


def _axes(given: Given) -> Any:
    first = next(_arrays(given))
    dims = getattr(first, "dims", None)
    axes = given.get("axes") or (dims if isinstance(dims, tuple) else None)
    return parse_axes(axes, len(first.shape))


def _axis_names(given: Given) -> list[str]:
    return [axis.name for axis in _axes(given)]
