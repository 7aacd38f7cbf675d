"""Calls in the words of any release of ``ome_zarr.writer``, translated into daskome's.

No other module knows those words. A translation warns only if something is lost.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from numbers import Real
from typing import Any, Final, cast

from daskome._caller import warn
from daskome.calls.signatures import (
    PUBLIC,
    CallArguments,
    Calls,
    P,
    R,
    all_are,
    bound_arguments,
    calls_of,
    is_dict,
    is_int,
    reject_missing_arguments,
    reject_misspelt_arguments,
)
from daskome.model.axes import parse_axes
from daskome.model.factors import factors_by_axis, list_factors, whole_factor
from daskome.model.regions import ceil_div
from daskome.model.storage.level_options import LevelOptions, parse_level_options
from daskome.ome.versions import find_version
from daskome.sources.dimension_names import axis_names

# ---- calls


def accepts_ome_zarr_calls(function: Callable[P, R]) -> Callable[P, R]:
    """Return a public function that can be called in the words of any release of ``ome_zarr``, too.

    Type checkers see the function's own signature.
    """
    PUBLIC.append(function)

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast(Callable[..., R], function)(**to_daskome_arguments(function, args, kwargs))

    return called


def to_daskome_arguments(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> CallArguments:
    """Return the keywords of daskome's own function for a call in the words of any release.

    Only words that the call has are translated.

    Parameters
    ----------
    function
        One of daskome's public functions that ``ome_zarr.writer`` has too.
    args, kwargs
        As the caller gave them. They are not changed, nor is what they hold.

    Raises
    ------
    TypeError
        If positional arguments fit no order or can be read in two ways, a keyword is nearly a known one, or a required
        argument is missing.
    ValueError
        If coordinate transformations contradict the levels.

    Examples
    --------
    >>> from daskome import write_image
    >>> to_daskome_arguments(write_image, ["<image>", "a.zarr", [2, 4], "cells"], {"axes": "yx", "chunks": (64, 64)})
    {'image': '<image>', 'group': 'a.zarr', 'scale_factors': [2, 4], 'name': 'cells', 'axes': 'yx',
     'level_paths': '{}', 'storage_options': {'chunks': (64, 64)}}
    """
    calls = calls_of(function)
    arguments = _with_own_names(calls, bound_arguments(calls, args, kwargs))
    reject_misspelt_arguments(calls, arguments)
    reject_missing_arguments(calls, arguments)
    for words, translate in TRANSLATIONS:
        if not arguments.keys().isdisjoint(words):
            translate(calls, arguments)
    return arguments


OTHER_NAMES: Final = {"channel_names": "channels", "coordinate_transform": "coordinate_transformations"}
"""What callers also call an argument."""


def _with_own_names(calls: Calls, arguments: CallArguments) -> CallArguments:
    """Return arguments by daskome's names for them."""
    others = {name: own for name, own in OTHER_NAMES.items() if name in arguments and own in calls.known}
    for name, own in others.items():
        if own in arguments:
            raise TypeError(f"{calls.name}() got both {own!r} and {name!r}, which mean the same; give one of them")
    return {others.get(name, name): value for name, value in arguments.items()}


# ---- translations, one word each; they change `arguments`, which is a new dict


def _drop_none(calls: Calls, arguments: CallArguments) -> None:
    """None where it means no choice: the default of the function's own parameter holds."""
    for name in NO_CHOICE:
        if name in arguments and arguments[name] is None:
            del arguments[name]


def _level_paths(calls: Calls, arguments: CallArguments) -> None:
    """Levels named by numbers alone, as releases did that had these words."""
    no_levels = "scaler" in arguments and "scale_factors" not in arguments
    if no_levels or any(arguments.get(word) is not None for word in ("scaler", "chunks", "byte_order")):
        arguments.setdefault("level_paths", "{}")


def _method(calls: Calls, arguments: CallArguments) -> None:
    """A member of ``ome_zarr.scale.Methods`` by its value."""
    method = arguments.get("method")
    if isinstance(getattr(method, "value", None), str):
        arguments["method"] = cast(Any, method).value


def _without_axes(calls: Calls, arguments: CallArguments) -> None:
    """Versions that know no axes ignore those that do not fit the image, as ome_zarr does."""
    version, shapes = find_version(arguments["fmt"]), _shapes(arguments)
    if not version.every_axis or not shapes:
        return
    ndim, axes = len(shapes[0]), arguments.get("axes")
    if axes is not None and len(list(axes)) != ndim:
        warn(f"axes are ignored: OME-Zarr {version.name} stores none, and they are not for {ndim} dimensions")
        del arguments["axes"]


def _axes_of_dicts(calls: Calls, arguments: CallArguments) -> None:
    """``units`` of an axis as its ``unit``."""
    axes = arguments["axes"]
    if isinstance(axes, list | tuple):
        arguments["axes"] = [_with_unit(axis) if is_dict(axis) else axis for axis in axes]


def _with_unit(axis: Mapping[str, Any]) -> Mapping[str, Any]:
    if "units" not in axis or "unit" in axis:
        return axis
    return {("unit" if key == "units" else key): value for key, value in axis.items()}


def _byte_order(calls: Calls, arguments: CallArguments) -> None:
    """Names of axes, if no others are given and there is one per dimension."""
    order = arguments.pop("byte_order", None)
    if order is not None and arguments.get("axes") is None and len(order) == len(_shapes(arguments)[0]):
        arguments["axes"] = order


def _chunks(calls: Calls, arguments: CallArguments) -> None:
    """A shape, or one per level, as storage options."""
    chunks, options = arguments.pop("chunks"), parse_level_options(arguments.get("storage_options"))
    if all_are(is_int, chunks, list):
        chunks = tuple(chunks)
    many = isinstance(chunks, list)
    if many and not options.shared and len(options.levels) != len(chunks):
        raise ValueError(f"chunks are for {len(chunks)} levels, storage_options for {len(options.levels)}")
    levels = tuple({"chunks": shape} for shape in (chunks if many else [chunks]))
    arguments["storage_options"] = options.over(LevelOptions(levels, shared=not many)).plain


def _storage_options(calls: Calls, arguments: CallArguments) -> None:
    """Chunks and shards of too few axes span the first ones; ``overwrite`` is an argument of the call."""
    if not arguments["storage_options"]:
        return
    options = parse_level_options(arguments["storage_options"])
    overwrite = [level["overwrite"] for level in options.levels if "overwrite" in level]
    if overwrite:
        arguments.setdefault("overwrite", any(overwrite))
    arguments["storage_options"] = options.map(partial(_level_options, arguments=arguments)).plain


def _level_options(level: Mapping[str, Any], arguments: CallArguments) -> CallArguments:
    options = {key: value for key, value in level.items() if key != "overwrite"}
    shape = next(iter(_shapes(arguments)), ())
    lengths = {key: options[key] for key in ("chunks", "shards") if isinstance(options.get(key), list | tuple)}
    short = {key: value for key, value in lengths.items() if 0 < len(value) < len(shape)}
    return options | {key: (*shape[: len(shape) - len(value)], *value) for key, value in short.items()}


def _scaler(calls: Calls, arguments: CallArguments) -> None:
    """A `Scaler`, which works by planes, as a method, and factors along the last two axes."""
    if "scaler" not in arguments:
        return
    scaler = arguments.pop("scaler")
    if scaler is None:
        arguments.setdefault("scale_factors", None)
        return
    plane, wanted = (
        _axis_names(arguments)[-2:],
        plane_factors(_shapes(arguments)[0], scaler.downscale, scaler.max_layer),
    )
    factors = [dict.fromkeys(plane, factor) for factor in wanted] or None
    if arguments.get("scale_factors") not in (None, "auto", factors):
        warn("scale_factors are not used: the scaler says how far to go down")
    arguments |= {"scale_factors": factors, "method": arguments.get("method") or _method_of(scaler)}


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


def _transformations(calls: Calls, arguments: CallArguments) -> None:
    """Scale and translation of the first level, if the version stores them or they can be those of the image.

    Transformations between coordinate systems are daskome's own argument of that name.
    """
    if _are_links(arguments["coordinate_transformations"]):
        return
    levels, version = arguments.pop("coordinate_transformations"), arguments.get("fmt")
    if not levels:
        return
    if "wells" in arguments:
        raise ValueError(
            "coordinate_transformations of a plate are dicts with an input and an output, which are coordinate systems"
            " of its images; where voxels lie is said by scale and translation"
        )
    try:
        _fit(levels, arguments)
    except (ValueError, TypeError) as error:
        if version is None or find_version(version).transforms is not None:
            raise
        warn(f"coordinate_transformations are ignored: OME-Zarr {version} stores none, and {error}")
    else:
        _place(arguments, levels)


def _are_links(value: Any) -> bool:
    """Whether transformations are dicts with an input or an output, as between coordinate systems (0.6)."""
    return bool(value) and all_are(lambda one: is_dict(one) and not {"input", "output"}.isdisjoint(one), value)


def _fit(levels: Any, arguments: CallArguments) -> None:
    """Check the transformations of all levels: they follow from the factors, or say what these are."""
    _check_placed(levels, len(_shapes(arguments)[0]))
    scales = [_vector(level, "scale") or () for level in levels]
    ratios = [[b / a for a, b in zip(scales[0], scale, strict=True)] for scale in scales]
    if "pyramid" in arguments:
        _check_levels(ratios, _shapes(arguments))
    elif arguments.get("scale_factors", "auto") == "auto":
        arguments["scale_factors"] = [_factors(ratio, arguments) for ratio in ratios[1:]] or None
    else:
        _check_levels(ratios, [_smaller(entry, arguments) for entry in (1, *list_factors(arguments["scale_factors"]))])


def _are_levels(levels: Any) -> bool:
    """Whether transformations are a list of dicts for each level."""
    return all_are(lambda level: all_are(is_dict, level), levels)


def _check_placed(levels: Any, ndim: int) -> None:
    """Raise unless every level has a scale. Transformations of other types are not written; a warning names them."""
    if not _are_levels(levels):
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
        If they are of other types, in another order, or do not have one value per axis.
    TypeError
        If values are not numbers.

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


def _place(arguments: CallArguments, levels: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    lost = sorted({str(t.get("type")) for level in levels for t in level} - {"scale", "translation", "identity"})
    if lost:
        warn(f"coordinate_transformations of type {', '.join(lost)} are not written")
    for name in ("scale", "translation"):
        vector = _vector(levels[0], name)
        if vector is not None and arguments.get(name) is None:
            arguments[name] = vector


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


def _factors(ratio: Sequence[float], arguments: CallArguments) -> dict[str, int]:
    """Return a level's factors by axis from how many times bigger its voxels are."""
    return dict(zip(_axis_names(arguments), map(_whole, ratio, _shapes(arguments)[0]), strict=True))


def _whole(ratio: float, n: int) -> int:
    """Return the whole factor of a ratio of voxel sizes, which may be a ratio of rounded shapes."""
    for factor in (round(ratio), int(ratio), int(ratio) + 1):
        if factor and any(
            m and abs(n / m - ratio) < 1e-6 * ratio for m in (n / factor, n // factor, ceil_div(n, factor))
        ):
            return factor
    raise ValueError(f"coordinate_transformations: scale grows by {ratio:g}, which is not a whole factor of {n} voxels")


def _smaller(entry: Any, arguments: CallArguments) -> list[int]:
    """Return the shape of a level; an int is a factor of the axes of space."""
    axes, shape = _axes(arguments), _shapes(arguments)[0]
    named = factors_by_axis(entry, axes)
    return [ceil_div(n, whole_factor(named.get(axis.name, 1), axis.name)) for axis, n in zip(axes, shape, strict=True)]


def _metadata(calls: Calls, arguments: CallArguments) -> None:
    """``omero`` inside ``metadata``, and ``image-label``, under daskome's names."""
    metadata = arguments.get("metadata")
    if isinstance(metadata, Mapping) and "omero" in metadata and "omero" in calls.known:
        arguments.setdefault("omero", metadata["omero"])
        arguments["metadata"] = {key: value for key, value in metadata.items() if key != "omero"}
        if not arguments["metadata"]:
            del arguments["metadata"]
    if "label_metadata" in calls.known and "image-label" in arguments:
        arguments["label_metadata"] = {**_dict(arguments.pop("image-label")), **(arguments.get("label_metadata") or {})}
    if arguments.get("omero") is not None:
        arguments["omero"] = _dict(arguments["omero"])


def _dict(value: Any) -> Any:
    """A model, as ``ome_zarr_models`` has them, as a dict."""
    return value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def _datasets(calls: Calls, arguments: CallArguments) -> None:
    """Paths as datasets."""
    if "paths" in arguments:
        arguments["datasets"] = arguments.pop("paths")
    if "datasets" in arguments:
        if arguments["datasets"] is None or isinstance(arguments["datasets"], str):
            raise TypeError(f"datasets must be a list of dicts or paths {SECTION}, not {arguments['datasets']!r}")
        arguments["datasets"] = [{"path": d} if isinstance(d, str) else d for d in arguments["datasets"]]


NO_CHOICE = ("method", "compute", "fmt", "chunks", "coordinate_transformations", "byte_order", "retries")
"""Arguments for which None means that the caller makes no choice."""
TRANSLATIONS: Final[Sequence[tuple[Sequence[str], Callable[[Calls, CallArguments], None]]]] = (
    (NO_CHOICE, _drop_none),
    (("scaler", "chunks", "byte_order"), _level_paths),
    (("method",), _method),
    (("fmt",), _without_axes),
    (("axes",), _axes_of_dicts),
    (("byte_order",), _byte_order),
    (("chunks",), _chunks),
    (("storage_options",), _storage_options),
    (("scaler",), _scaler),
    (("coordinate_transformations",), _transformations),
    (("metadata", "omero", "image-label"), _metadata),
    (("datasets", "paths"), _datasets),
)
"""Words of a call, and what translates them, in this order."""


# ---- what is known of the image


def _arrays(arguments: CallArguments) -> Iterator[Any]:
    """Yield the image, or the levels."""
    yield from (
        arguments["pyramid"]
        if "pyramid" in arguments
        else (arguments[n] for n in ("image", "labels") if n in arguments)
    )


def _shapes(arguments: CallArguments) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in _arrays(arguments) if hasattr(array, "shape")]


def _axes(arguments: CallArguments) -> Any:
    first = next(_arrays(arguments))
    dims = getattr(first, "dims", None)
    axes = arguments.get("axes") or (axis_names(dims) if isinstance(dims, tuple) else None)
    return parse_axes(axes, len(first.shape))


def _axis_names(arguments: CallArguments) -> list[str]:
    return [axis.name for axis in _axes(arguments)]
