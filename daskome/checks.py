"""What the metadata and arrays of an image have to fulfil: one function of `CHECKS` each, from `Found` to problems."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import isclose, isfinite
from typing import Any

from daskome.found import JSON, Found, FoundLevel, Numbers, dtype_of, factors_of, reason
from daskome.metadata import VERSIONS, Dataset, n_channels
from daskome.problem import Problem
from daskome.pyramid import DTYPES, shifted, shrinks

SCALE_TOLERANCE = 1e-6
"""Relative: factors that went through float32 are no problem."""
TRANSLATION_TOLERANCE = 1e-3
"""In voxels of level 0."""
COLOR_DIGITS = frozenset("0123456789abcdefABCDEF")
WINDOW = ("min", "max", "start", "end")


def _version(found: Found) -> Iterator[Problem]:
    if found.lacks_version:
        yield Problem("ome/version", "is missing; it must be a string such as '0.5'")
    elif found.version is None:
        known = ", ".join(VERSIONS)
        yield Problem("version", f"{found.multiscale.version!r} is none of {known}; only the rest is checked")
    elif (found.version.root is None) == ("ome" in found.attributes):
        place = "at the top level" if found.version.root is None else f"under {found.version.root!r}"
        yield Problem("version", f"metadata of version {found.version.name} must stand {place} of the attributes")


def _zarr_format(found: Found) -> Iterator[Problem]:
    wanted = found.version.arrays.zarr_format if found.version else found.zarr_format
    version = found.version.name if found.version else found.multiscale.version
    nodes = [("group", found.zarr_format), *((level.where, a.metadata.zarr_format) for level, a in found.stored)]
    for where, actual in nodes:
        if actual != wanted:
            yield Problem(where, f"is in zarr format {actual}; OME-Zarr {version} is in {wanted}")


def _axes(found: Found) -> Iterator[Problem]:
    repeated = [name for name, n in Counter(found.names).items() if n > 1]
    if repeated:
        yield Problem("multiscales/axes", f"the names of axes {found.names} repeat {', '.join(map(repr, repeated))}")
    try:
        if found.version:
            found.version.check_axes(found.axes)
    except (ValueError, TypeError) as error:
        yield Problem("multiscales/axes", reason(error))


def _arrays(found: Found) -> Iterator[Problem]:
    for level in found.levels:
        if level.array is None:
            yield Problem(level.where, f"there is no array at {level.dataset.path!r}")
        elif level.array.ndim != len(found.axes):
            yield Problem(level.where, f"the array has {level.array.ndim} dimensions, but the axes are {found.names}")
        elif 0 in level.array.shape:
            yield Problem(level.where, f"the array is empty: shape {level.array.shape}")


def _dtypes(found: Found) -> Iterator[Problem]:
    for level, array in found.stored:
        first, finest = found.stored[0]
        if dtype_of(array) not in DTYPES:
            yield Problem(level.where, f"dtype {array.dtype} is none of {', '.join(DTYPES)}")
        elif array.dtype != finest.dtype:
            yield Problem(level.where, f"dtype {array.dtype} is not {finest.dtype}, that of {first.dataset.path}")


def _names(found: Found) -> Iterator[Problem]:
    """``dimension_names`` (0.5, section "multiscales"); ``_ARRAY_DIMENSIONS``, where zarr v2 has them."""
    for level, array in found.stored:
        if array.metadata.zarr_format == 3:
            key, names = "dimension_names", getattr(array.metadata, "dimension_names", None)
        else:
            key, names = "_ARRAY_DIMENSIONS", array.attrs.get("_ARRAY_DIMENSIONS", found.names)
        if list(names or ()) != found.names:
            yield Problem(level.where, f"{key} of the array are {list(names or ())}, but the axes are {found.names}")


def _separators(found: Found) -> Iterator[Problem]:
    for level, array in found.stored:
        keys = getattr(array.metadata, "chunk_key_encoding", None)
        separator = getattr(keys or array.metadata, "separator" if keys else "dimension_separator", "/")
        if separator != "/":
            yield Problem(level.where, f"names of chunks are separated by {separator!r}; many readers know only '/'")


def _order(found: Found) -> Iterator[Problem]:
    levels = [(level, array) for level, array in found.stored if array.ndim == len(found.axes)]
    for (before, fine), (level, coarse) in pairwise(levels):
        if not shrinks(fine.shape, coarse.shape):
            was = f"{fine.shape}, that of {before.dataset.path} before it"
            yield Problem(level.where, f"shape {coarse.shape} does not shrink from {was}")


def _transforms(found: Found) -> Iterator[Problem]:
    """Exactly one scale, then at most one translation, of one number per axis (0.4 to 0.6, "multiscales")."""
    for level in found.levels:
        if level.kinds not in (("scale",), ("scale", "translation")):
            listed = ", ".join(level.kinds) or "none"
            yield Problem(level.where, f"coordinateTransformations must be scale, or scale, translation; not {listed}")
        for kind, vector in (("scale", level.dataset.scale), ("translation", level.dataset.translation)):
            if len(vector) != len(found.axes):
                yield Problem(level.where, f"{kind} has {len(vector)} values, but the axes are {found.names}")
        for name, value in zip(found.names, level.dataset.scale, strict=False):
            if not value > 0:
                yield Problem(level.where, f"scale of axis {name!r} is {value}; it must be positive")


def _scales(found: Found) -> Iterator[Problem]:
    for first, level, factors, believed in _downsampled(found):
        rows = zip(found.names, first.scale, level.dataset.scale, factors, believed, strict=True)
        for name, base, scale, factor, ratio in rows:
            if not isclose(scale, base * ratio, rel_tol=SCALE_TOLERANCE):
                right = f"{factor:.10g} times that of {first.path} is {base * factor:.10g}"
                yield Problem(level.where, f"scale of axis {name!r} is {scale:.10g}, but {right}")


def _translations(found: Found) -> Iterator[Problem]:
    method = found.method
    if method is None:
        return
    for first, level, _, believed in _downsampled(found):
        right = shifted(first.translation, first.scale, believed, method)
        for name, base, value, wanted in zip(found.names, first.scale, level.dataset.translation, right, strict=True):
            if not abs(value - wanted) <= TRANSLATION_TOLERANCE * base:
                samples = f"samples of {method.name!r} start at {wanted:.10g}"
                yield Problem(level.where, f"translation of axis {name!r} is {value:.10g}, but {samples}")


def _downsampled(found: Found) -> Iterator[tuple[Dataset, FoundLevel, Numbers, Numbers]]:
    """Yield level 0's metadata with each level that shrinks, its factors, and those to believe (`_believed`)."""
    if not found.complete or found.complete[0][0].k:
        return
    first, largest = found.complete[0]
    for ((_, fine), (level, array)), factors in zip(pairwise(found.complete), factors_of(found)[1:], strict=True):
        rows = zip(first.dataset.scale, level.dataset.scale, factors, largest.shape, array.shape, strict=True)
        if shrinks(fine.shape, array.shape):
            yield first.dataset, level, factors, tuple(_believed(b / a, f, n / m) for a, b, f, n, m in rows)


def _believed(stated: float, factor: float, of_shapes: float) -> float:
    """Return the ratio of shapes where it is stated, for levels aligned at their edges, or else the factor."""
    return of_shapes if isclose(stated, of_shapes, rel_tol=SCALE_TOLERANCE) else factor


def _finite(found: Found) -> Iterator[Problem]:
    for where, value in (("multiscales", found.ome["multiscales"][0]), ("omero", found.ome.get("omero"))):
        for address, number in _floats(value, where):
            if not isfinite(number):
                yield Problem(address, f"{number} is no JSON; readers that keep to it can't open the image")


def _floats(value: Any, where: str) -> Iterator[tuple[str, float]]:
    """Yield every float in JSON, with its address."""
    if isinstance(value, float):
        yield where, value
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _floats(item, f"{where}/{key}")


def _omero(found: Found) -> Iterator[Problem]:
    omero = found.ome.get("omero")
    if omero is None:
        return
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(channels, list):
        yield Problem("omero/channels", "there is no list of channels")
        return
    n = _n_channels(found)
    if n is not None and len(channels) != n:
        yield Problem("omero/channels", f"{len(channels)} are listed, but the image has {n}")
    for i, channel in enumerate(channels):
        yield from _channel(channel if isinstance(channel, Mapping) else {}, f"omero/channels/{i}")


def _n_channels(found: Found) -> int | None:
    """Return the length of the channel axis, 1 where there is none, or None where no array says."""
    shape = next((array.shape for _, array in found.stored if array.ndim == len(found.axes)), None)
    return None if shape is None else n_channels(found.axes, shape)


def _channel(channel: JSON, where: str) -> Iterator[Problem]:
    color, window = channel.get("color"), channel.get("window")
    if not isinstance(color, str) or len(color) != 6 or not set(color) <= COLOR_DIGITS:
        yield Problem(f"{where}/color", f"{color!r} is not six hexadecimal digits, RRGGBB")
    if not isinstance(window, Mapping):
        yield Problem(f"{where}/window", f"{window!r} is not an object of {', '.join(WINDOW)}")
        return
    for key in WINDOW:
        value = window.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield Problem(f"{where}/window/{key}", f"{value!r} is no number")


CHECKS: Sequence[Callable[[Found], Iterator[Problem]]] = (
    _version, _zarr_format, _axes, _arrays, _dtypes, _names, _separators, _order, _transforms, _scales, _translations,
    _finite, _omero,
)  # fmt: skip
