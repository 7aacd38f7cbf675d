"""Rules for the arrays of an image: each is a function in `ARRAY_CHECKS` from a `StoredImage` to problems.

`daskome.ome.rules` has the rules for attributes; versions differ by the flags of their rows, `daskome.ome.versions`.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from math import isclose
from typing import Any

from daskome.inspection.stored_image import LONGEST, Numbers, StoredImage, StoredLevel, dtype_of, factors_of
from daskome.model.image import DTYPES
from daskome.model.json_values import JSONObject
from daskome.model.problem import Problem
from daskome.model.pyramid import level_translation, shrinks
from daskome.ome.metadata import PlacedDataset
from daskome.ome.omero import n_channels
from daskome.ome.versions import Version

Findings = Iterator[Problem]
SCALE_TOLERANCE = 1e-6
"""Relative: factors that went through float32 pass."""
TRANSLATION_TOLERANCE = 1e-3
"""In voxels of level 0."""
LABEL_KINDS = "iu"
LARGE_LABELS = ("int64", "uint64")
RARE = {"bool": "neuroglancer", "float16": "many viewers"}
"""Dtypes of images, and the viewers that cannot show them."""
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def array_problems(image: StoredImage, label: bool = False) -> Findings:
    """Yield what is wrong with the arrays of an image.

    Parameters
    ----------
    found : StoredImage
    label : bool
        Whether it is a label image.
    """
    if image.version is not None:
        for check in (*ARRAY_CHECKS, *(LABEL_CHECKS if label else ())):
            yield from check(image, image.version)


def _zarr_format(image: StoredImage, version: Version) -> Findings:
    for level, array in image.stored:
        if array.metadata.zarr_format != version.arrays.zarr_format:
            yield Problem(level.where, wrong_format(array.metadata.zarr_format, version))


def wrong_format(actual: int, version: Version) -> str:
    """Return what to say of a node whose zarr format is not that of the version."""
    return f"is in zarr format {actual}; OME-Zarr {version.name} is in {version.arrays.zarr_format}"


def _arrays(image: StoredImage, version: Version) -> Findings:
    explained = {problem.where for problem in image.problems}
    for level in image.levels:
        if level.array is None and level.where not in explained:
            yield Problem(level.where, f"there is no array at {level.dataset.path!r}", section="multiscales")
        elif level.array is not None and 0 in level.array.shape:
            yield Problem(level.where, f"the array is empty: shape {level.array.shape}")
        elif level.array is not None and max(level.array.shape, default=0) > LONGEST:
            yield Problem(level.where, "the array is longer than 2**63 - 1, the longest possible")


def _ndims(image: StoredImage, version: Version) -> Findings:
    names = [axis.name for axis in version.every_axis] or image.names
    for level, array in image.stored:
        if array.ndim != len(names):
            message = f"the array has {array.ndim} dimensions, but the axes are {names}"
            yield Problem(level.where, message, section="multiscales")


def _dtypes(image: StoredImage, version: Version) -> Findings:
    for level, array in image.stored:
        if array.dtype.kind not in "biufc":
            yield Problem(
                level.where, f"dtype {array.dtype} does not hold numbers; it must be one of {', '.join(DTYPES)}"
            )
        elif dtype_of(array) not in DTYPES:
            yield Problem(
                level.where, f"dtype {array.dtype} is not one of {', '.join(DTYPES)}, which readers know", True
            )
        elif dtype_of(array) in RARE:
            yield Problem(level.where, f"dtype {array.dtype} cannot be shown by {RARE[dtype_of(array)]}", True)


def _same_dtype(image: StoredImage, version: Version) -> Findings:
    """One dtype at all levels (0.6, section "multiscales")."""
    for level, array in image.stored[1:]:
        first, finest = image.stored[0]
        if dtype_of(array) != dtype_of(finest):
            other_kind = {array.dtype.kind, finest.dtype.kind} - {"i", "u"} and array.dtype.kind != finest.dtype.kind
            message = f"dtype {array.dtype} is not {finest.dtype}, that of {first.dataset.path}"
            yield Problem(level.where, message, not (version.one_dtype or other_kind), "multiscales")


def _dimension_names(image: StoredImage, version: Version) -> Findings:
    """``dimension_names`` (MUST in 0.5, section "multiscales"; not stated in 0.6)."""
    for level, array in image.stored if version.arrays.zarr_format == 3 else ():
        if array.metadata.zarr_format == 3:
            yield from _names(
                image, version, level, "dimension_names", getattr(array.metadata, "dimension_names", None)
            )


def _array_dimensions(image: StoredImage, version: Version) -> Findings:
    """``_ARRAY_DIMENSIONS`` (MUST in 0.3, section "axes"; an option in others)."""
    for level, array in image.stored if version.arrays.zarr_format == 2 else ():
        if array.metadata.zarr_format == 2 and (version.named_arrays or "_ARRAY_DIMENSIONS" in array.attrs):
            yield from _names(image, version, level, "_ARRAY_DIMENSIONS", array.attrs.get("_ARRAY_DIMENSIONS"))


def _names(image: StoredImage, version: Version, level: StoredLevel, key: str, names: Any) -> Findings:
    listed = list(names) if isinstance(names, list | tuple) else []
    if listed != image.names:
        message = f"{key} of the array are {listed}, but the axes are {image.names}"
        yield Problem(level.where, message, not version.named_arrays, "axes")


def _separators(image: StoredImage, version: Version) -> Findings:
    wanted = version.arrays.separator
    for level, array in image.stored:
        keys = getattr(array.metadata, "chunk_key_encoding", None)
        separator = getattr(keys or array.metadata, "separator" if keys else "dimension_separator", "/")
        if separator != wanted:
            unsaid = "" if keys or "dimension_separator" in level.document else ", as dimension_separator is missing"
            message = f"names of chunks are separated by {separator!r}{unsaid}; many readers know only {wanted!r}"
            yield Problem(level.where, f"{message}, and show zeros", True)


def _order(image: StoredImage, version: Version) -> Findings:
    """From fine to coarse (section "multiscales")."""
    levels = [(level, array) for level, array in image.stored if array.ndim == len(image.axes)]
    for (before, fine), (level, coarse) in pairwise(levels):
        if not shrinks(fine.shape, coarse.shape):
            was = f"{fine.shape}, that of {before.dataset.path} before it"
            same = fine.shape == coarse.shape and before.dataset.path != level.dataset.path
            yield Problem(level.where, f"shape {coarse.shape} does not shrink from {was}", same, "multiscales")


def _scales(image: StoredImage, version: Version) -> Findings:
    """Voxels are larger by as much as there are fewer; a voxel more or less at the edge is only odd."""
    for first, level, factors, believed in _downsampled(image):
        shapes = zip(image.complete[0][1].shape, level.array.shape if level.array else (), strict=False)
        rows = zip(image.names, first.scale, level.dataset.scale, factors, believed, shapes, strict=True)
        for name, base, scale, factor, ratio, (n, m) in rows:
            if not isclose(scale, base * ratio, rel_tol=SCALE_TOLERANCE):
                right = f"{factor:.10g} times that of {first.path} is {base * factor:.10g}"
                message = f"scale of axis {name!r} is {scale:.10g}, but {right}"
                to_a_voxel = n != m and abs(m * scale - n * base) <= scale
                yield Problem(level.where, message, to_a_voxel, "coordinateTransformations")


def _translations(image: StoredImage, version: Version) -> Findings:
    return misplaced_levels(image)


def misplaced_levels(image: StoredImage) -> Findings:
    """Yield levels whose translation is not where our method of that name takes samples.

    These are warnings: the text leaves what a ``type`` means to the writer.
    """
    method = image.method
    if method is None:
        return
    for first, level, _, believed in _downsampled(image):
        right = level_translation(first.translation, first.scale, believed, method)
        for name, base, value, wanted in zip(image.names, first.scale, level.dataset.translation, right, strict=True):
            if not abs(value - wanted) <= TRANSLATION_TOLERANCE * base:
                samples = f"samples of {method.name!r} start at {wanted:.10g}"
                message = f"translation of axis {name!r} is {value:.10g}, but {samples}"
                yield Problem(level.where, message, True, "coordinateTransformations")


def _downsampled(image: StoredImage) -> Iterator[tuple[PlacedDataset, StoredLevel, Numbers, Numbers]]:
    """Yield level 0's metadata with each level that shrinks, its factors, and those to believe (`_believed`).

    Levels without transformations have nothing to contradict: 0.1 to 0.3 know none, elsewhere `rules` says so.
    """
    if not image.complete or image.complete[0][0].k or not image.complete[0][0].kinds:
        return
    first, largest = image.complete[0]
    for ((_, fine), (level, array)), factors in zip(pairwise(image.complete), factors_of(image)[1:], strict=True):
        rows = zip(first.dataset.scale, level.dataset.scale, factors, largest.shape, array.shape, strict=True)
        if shrinks(fine.shape, array.shape) and level.kinds:
            yield first.dataset, level, factors, tuple(_believed(b / a, f, n / m) for a, b, f, n, m in rows)


def _believed(stated: float, factor: float, of_shapes: float) -> float:
    """Return the ratio of shapes where it is stated, for levels aligned at their edges, or else the factor."""
    return of_shapes if isclose(stated, of_shapes, rel_tol=SCALE_TOLERANCE) else factor


def _omero(image: StoredImage, version: Version) -> Findings:
    """As many channels as the image has (section "omero")."""
    omero = image.ome.get("omero")
    channels = omero.get("channels") if isinstance(omero, Mapping) else None
    n = _n_channels(image)
    if isinstance(channels, list) and n is not None and len(channels) != n and not image.index:
        message = f"{len(channels)} are listed, but the image has {n}"
        yield Problem("omero/channels", message, section="omero")


def _n_channels(image: StoredImage) -> int | None:
    """Return the length of the channel axis, 1 without one, or None if there is no array."""
    shape = next((array.shape for _, array in image.stored if array.ndim == len(image.axes)), None)
    return None if shape is None else n_channels(image.axes, shape)


def _label_dtypes(image: StoredImage, version: Version) -> Findings:
    """Integers only (MUST since 0.5, section "labels"; before, the layout says so)."""
    for level, array in image.stored:
        if array.dtype.kind not in LABEL_KINDS:
            message = f"dtype {array.dtype} of labels {'must' if version.integer_labels else 'should'} be an integer"
            yield Problem(level.where, message, not version.integer_labels, "labels")
        elif dtype_of(array) in LARGE_LABELS:
            message = f"viewers in JavaScript cannot show labels of {array.dtype}; uint32 is enough for most"
            yield Problem(level.where, message, True, "labels")


# The documents of arrays, as they are stored


def _documents(image: StoredImage, version: Version) -> Findings:
    for level in image.levels:
        for zarr_format, warning, look in DOCUMENT_CHECKS:
            if level.document.get("zarr_format") == zarr_format:
                yield from (Problem(level.where, message, warning) for message in look(level.document))


Messages = Iterator[str]


def _fill_value(document: JSONObject) -> Messages:
    value = document.get("fill_value")
    if value is None or (isinstance(value, str) and value not in NOT_FINITE):
        shown = "missing" if "fill_value" not in document else "null" if value is None else repr(value)
        yield f"fill_value is {shown}; some readers fail unless it is a number, such as 0"


def _filters(document: JSONObject) -> Messages:
    if document.get("filters") == []:
        yield "filters is []; some readers fail unless it is null"


def _big_endian_v2(document: JSONObject) -> Messages:
    if isinstance(document.get("dtype"), str) and document["dtype"].startswith(">"):
        yield f"dtype {document['dtype']!r} is big-endian, which some readers cannot read"


def _compressor(document: JSONObject) -> Messages:
    codec = document.get("compressor")
    if isinstance(codec, Mapping):
        yield from (why for name, key, holds, why in TRAPS if codec.get("id") == name and holds(codec.get(key)))


TRAPS: tuple[tuple[str, str, Callable[[Any], bool], str], ...] = (
    (
        "blosc",
        "shuffle",
        lambda value: value == -1,
        "blosc has shuffle -1, on which some readers fail; say 0, 1 or 2",
    ),
    ("zstd", "checksum", lambda value: value is not None, "zstd has a checksum key, on which some readers fail"),
)
"""Of codecs of zarr v2: the name, a key, and which of its values readers fail on."""


def _endian(document: JSONObject) -> Messages:
    one_byte = document.get("data_type") in ("bool", "int8", "uint8")
    for name, configuration in _codecs(document):
        if name == "bytes" and "endian" not in configuration and not one_byte:
            yield "the codec bytes does not say its endian, also needed inside shards"


def _big_endian_v3(document: JSONObject) -> Messages:
    if any(name == "bytes" and configuration.get("endian") == "big" for name, configuration in _codecs(document)):
        yield "pixels are big-endian, which some readers cannot read"


def _numcodecs(document: JSONObject) -> Messages:
    names = [name for name, _ in _codecs(document) if name.startswith("numcodecs.")]
    if names:
        yield f"the codec {names[0]!r} is known to zarr-python only"


def _shard_index(document: JSONObject) -> Messages:
    for name, configuration in _codecs(document):
        if name == "sharding_indexed":
            index = [(codec, settings.get("endian")) for codec, settings in _listed(configuration.get("index_codecs"))]
            if index != [("bytes", "little"), ("crc32c", None)]:
                yield f"index_codecs of shards are {[codec for codec, _ in index]}; readers expect bytes, crc32c"
            if configuration.get("index_location", "end") != "end":
                yield "the index of shards is not at their end, where readers expect it"


def _codecs(document: JSONObject) -> Iterator[tuple[str, JSONObject]]:
    """Yield names and configurations of the codecs of a zarr v3 array, those inside shards too."""
    todo = _listed(document.get("codecs"))
    while todo:
        name, configuration = todo.pop(0)
        yield name, configuration
        todo += _listed(configuration.get("codecs"))


def _listed(codecs: Any) -> list[tuple[str, JSONObject]]:
    objects = [codec for codec in codecs if isinstance(codec, Mapping)] if isinstance(codecs, list) else []
    pairs = [(str(codec.get("name")), codec.get("configuration")) for codec in objects]
    return [(name, configuration if isinstance(configuration, Mapping) else {}) for name, configuration in pairs]


DOCUMENT_CHECKS: tuple[tuple[int, bool, Callable[[JSONObject], Messages]], ...] = (
    (2, True, _fill_value),
    (2, True, _filters),
    (2, True, _big_endian_v2),
    (2, True, _compressor),
    (3, False, _endian),
    (3, True, _big_endian_v3),
    (3, True, _numcodecs),
    (3, True, _shard_index),
)
"""Of documents of a zarr format: whether it is a warning, and what looks at them."""
Checks = tuple[Callable[[StoredImage, Version], Findings], ...]
ARRAY_CHECKS: Checks = (
    _zarr_format,
    _arrays,
    _ndims,
    _dtypes,
    _same_dtype,
    _dimension_names,
    _array_dimensions,
    _separators,
    _order,
    _scales,
    _translations,
    _omero,
    _documents,
)
LABEL_CHECKS: Checks = (_label_dtypes,)
"""Of label images, besides."""
