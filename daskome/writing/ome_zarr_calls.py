"""The door: calls in the words of any release of ``ome_zarr.writer``, translated into daskome's.

Nothing behind it knows those words. A translation is silent where it loses nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from numbers import Real
from typing import Any, Final, cast

from daskome._caller import warn
from daskome.model.axes import parse_axes
from daskome.model.regions import ceil_div
from daskome.writing.ome_zarr_signatures import (
    Arguments,
    P,
    R,
    all_are,
    bound_arguments,
    is_dict,
    is_int,
    known_arguments,
    reject_misspelt_arguments,
)

# ---- the door


def accepts_ome_zarr_calls(function: Callable[P, R]) -> Callable[P, R]:
    """Return a public function that can be called in the words of any release of ``ome_zarr``, too.

    Type checkers see the function's own signature.

    Parameters
    ----------
    function
        One of those in `ORDERS`, by its name.
    """

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return cast(Callable[..., R], function)(**to_daskome_arguments(function.__name__, args, kwargs))

    return called


def to_daskome_arguments(function: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Arguments:
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
    >>> to_daskome_arguments("write_image", ["<image>", "a.zarr", [2, 4], "cells"], {"axes": "yx", "chunks": (64, 64)})
    {'image': '<image>', 'group': 'a.zarr', 'scale_factors': [2, 4], 'name': 'cells', 'axes': 'yx',
     'storage_options': {'chunks': (64, 64)}}
    """
    given = bound_arguments(function, args, kwargs)
    reject_misspelt_arguments(function, given)
    for translate in TRANSLATIONS:
        translate(function, given)
    return given


# ---- translations, one word each; they change `given`, which is a new dict


def _plain_none(function: str, given: Arguments) -> None:
    """None for a choice is none made."""
    for name in ("method", "compute", "fmt", "chunks", "coordinate_transformations", "byte_order", "retries"):
        if name in given and given[name] is None:
            del given[name]


def _method(function: str, given: Arguments) -> None:
    """A member of ``ome_zarr.scale.Methods`` by its value."""
    method = given.get("method")
    if isinstance(getattr(method, "value", None), str):
        given["method"] = cast(Any, method).value


def _byte_order(function: str, given: Arguments) -> None:
    """Names of axes, where there are no others and they are as many as the dimensions."""
    order = given.pop("byte_order", None)
    if order is not None and given.get("axes") is None and len(order) == len(_shapes(given)[0]):
        given["axes"] = order


def _chunks(function: str, given: Arguments) -> None:
    """A shape, or one per level, as storage options."""
    if "chunks" in given:
        chunks, options = given.pop("chunks"), given.get("storage_options")
        if all_are(is_int, chunks, list):
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


def _storage_options(function: str, given: Arguments) -> None:
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


def _level_options(level: Mapping[str, Any], given: Arguments) -> Arguments:
    options = {key: value for key, value in level.items() if key != "overwrite"}
    chunks, shapes = options.get("chunks"), _shapes(given)
    if shapes and isinstance(chunks, list | tuple) and len(chunks) < len(shapes[0]):
        options["chunks"] = (*shapes[0][: len(shapes[0]) - len(chunks)], *chunks)
    return options


def _scaler(function: str, given: Arguments) -> None:
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
        warn("scale_factors are not used: the scaler says how far to go down")
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


def _transformations(function: str, given: Arguments) -> None:
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
    if not all_are(lambda level: all_are(is_dict, level), levels):
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


def _place(given: Arguments, levels: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    lost = sorted({str(t.get("type")) for level in levels for t in level} - {"scale", "translation", "identity"})
    if lost:
        warn(f"coordinate_transformations of type {', '.join(lost)} are not written")
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


def _factors(ratio: Sequence[float], given: Arguments) -> dict[str, int]:
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


def _smaller(entry: Any, given: Arguments) -> list[int]:
    """Return the shape of a level; an int is a factor of the axes of space."""
    named = entry if isinstance(entry, Mapping) else {axis.name: entry for axis in _axes(given) if axis.spatial}
    return [ceil_div(n, named.get(name, 1)) for name, n in zip(_axis_names(given), _shapes(given)[0], strict=True)]


def _metadata(function: str, given: Arguments) -> None:
    """What was said of rendering inside ``metadata``, and of labels as ``image-label``, by daskome's names."""
    metadata = given.get("metadata")
    if isinstance(metadata, Mapping) and "omero" in metadata and "omero" in known_arguments(function):
        given.setdefault("omero", metadata["omero"])
        given["metadata"] = {key: value for key, value in metadata.items() if key != "omero"}
        if not given["metadata"]:
            del given["metadata"]
    if "label_metadata" in known_arguments(function) and "image-label" in given:
        given["label_metadata"] = {**_dict(given.pop("image-label")), **(given.get("label_metadata") or {})}
    if given.get("omero") is not None:
        given["omero"] = _dict(given["omero"])


def _dict(value: Any) -> Any:
    """A model, as ``ome_zarr_models`` has them, as a dict."""
    return value.model_dump(by_alias=True, exclude_none=True) if hasattr(value, "model_dump") else value


def _datasets(function: str, given: Arguments) -> None:
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


def _arrays(given: Arguments) -> Iterator[Any]:
    """Yield the image, or the levels."""
    yield from given["pyramid"] if "pyramid" in given else (given[n] for n in ("image", "labels") if n in given)


def _shapes(given: Arguments) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in _arrays(given) if hasattr(array, "shape")]


def _axes(given: Arguments) -> Any:
    first = next(_arrays(given))
    dims = getattr(first, "dims", None)
    axes = given.get("axes") or (dims if isinstance(dims, tuple) else None)
    return parse_axes(axes, len(first.shape))


def _axis_names(given: Arguments) -> list[str]:
    return [axis.name for axis in _axes(given)]
