"""How the arrays of a pyramid are stored: `storage_options`, checked and complete, one `Layout` per level."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite, prod
from numbers import Integral
from operator import index
from typing import Any

import numpy as np

from daskome.model.axes import Axis, joined_names, reject_unknown
from daskome.model.regions import Shape, ceil_div
from daskome.model.storage.level_options import StorageOptions, parse_level_options

CHUNK_VOXELS = 2**21
"""A chunk holds at most this many voxels, unless the caller gives chunks: 128³, or 1024² with room to spare."""
LONGEST_CHUNK = 1024
SHARD_CHUNKS = 4
"""``shards="auto"`` joins this many chunks along each axis of space."""
SINGLE_FILE = "single-file"
"""``shards`` of images in single files: by default, of as many chunks as hold at most `SINGLE_FILE_VOXELS`."""
SINGLE_FILE_VOXELS = 2**24
"""256³ or 4096² voxels: few members, and units that fit in the memory of a laptop."""
OPTIONS = (
    "chunks shards compressors compressor serializer filters fill_value order write_empty_chunks"
    " chunk_key_encoding dimension_separator attributes config"
).split()
FIXED_OPTIONS = {
    "shape": "it follows from the image and scale_factors",
    "dtype": "it is the image's; convert the image first",
    "data": "it is the image",
    "store": "it is the target",
    "name": "level paths are given by the pyramid",
    "zarr_format": "it follows from fmt",
    "dimension_names": "they are the axes",
    "overwrite": "use the argument overwrite of the call",
    "storage_options": "use the argument fs_options of the call",
}
LOSSLESS = frozenset(
    "auto bytes blosc bz2 crc32 crc32c gzip lz4 lzma adler32 fletcher32 packbits shuffle transpose zlib zstd".split()
)
"""Codecs that are known to be lossless. Others may not be: `BitRound`, `Quantize`, `Delta` of floats, JPEG, …"""


@dataclass(frozen=True, slots=True)
class ArrayFormat:
    """What a zarr format decides about an array.

    Attributes
    ----------
    zarr_format : int
        2 or 3.
    separator, keys : str
        Of the names of stored chunks.
    codec : callable
        Returns the default compression, as JSON, for items of a number of bytes. v2 has Blosc with byte shuffle,
        since some of its readers know no other. In v3, single bytes, which no shuffle helps, have plain zstd: it is
        smaller than Blosc, which compresses block by block, and faster (`benchmarks.codecs`).
    labels : str
        The default for labels, as `parse_codec` reads it. They consist of long runs of one value, which a shuffle
        would break up.
    naming : callable
        Turns names of axes into arguments of ``zarr.create_array``.
    refused : dict
        Storage options that the format does not have: the values that are harmless, and what to do instead.
    """

    zarr_format: int
    separator: str
    keys: str
    codec: Callable[[int], dict[str, Any]]
    labels: str
    naming: Callable[[list[str]], dict[str, Any]]
    refused: Mapping[str, tuple[tuple[Any, ...], str]]


def _zstd() -> dict[str, Any]:
    return {"name": "zstd", "configuration": {"level": 1, "checksum": False}}


def _blosc(itemsize: int) -> dict[str, Any]:
    settings = {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": itemsize, "blocksize": 0}
    return {"name": "blosc", "configuration": settings}


ZARR_V2 = ArrayFormat(
    2,
    "/",
    "v2",
    lambda itemsize: {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
    "blosc:zstd:1:noshuffle",
    lambda names: {"attributes": {"_ARRAY_DIMENSIONS": names}},
    {
        "shards": ((None,), "zarr v2 (OME-Zarr 0.4 and older) has no shards; use fmt='0.5' or leave them out"),
        "serializer": ((None, "auto"), "zarr v2 (OME-Zarr 0.4 and older) has no serializer; use fmt='0.5'"),
    },
)
ZARR_V2_FLAT = replace(ZARR_V2, separator=".")
"""The format of OME-Zarr 0.1: all chunks of an array side by side."""
ZARR_V3 = ArrayFormat(
    3,
    "/",
    "default",
    lambda itemsize: _zstd() if itemsize == 1 else _blosc(itemsize),
    "zstd:1",
    lambda names: {"dimension_names": names},
    {"order": ((None, "C"), "zarr v3 arrays have no order; use filters=[zarr.codecs.TransposeCodec(order=…)]")},
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How one array is stored: chunks, shards, and the other arguments of ``zarr.create_array`` as JSON.

    `verbatim`: its chunks are those of the source, as they are stored there.
    """

    chunks: Shape
    shards: Shape | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    verbatim: bool = False

    @property
    def objects(self) -> Shape:
        """The shape of one stored object: a shard, or a chunk where there are no shards."""
        return self.shards or self.chunks

    @property
    def lossless(self) -> bool:
        """Whether all codecs are known to be lossless.

        >>> Layout((64,), options={"filters": [{"id": "bitround", "keepbits": 3}]}).lossless
        False
        """
        chosen = [self.options.get(key) or () for key in ("filters", "serializer", "compressors")]
        codecs = [codec for some in chosen for codec in (some if isinstance(some, list | tuple) else [some])]
        names = (codec.get("name", codec.get("id")) if isinstance(codec, Mapping) else codec for codec in codecs)
        return LOSSLESS.issuperset(str(name).removeprefix("numcodecs.") for name in names)


def options_per_level(
    storage_options: StorageOptions, n: int, follows: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return one dict of options for each of `n` levels, its keys checked.

    Parameters
    ----------
    storage_options : dict, sequence of dict or LevelOptions, optional
    n : int
    follows : dict, optional
        What follows from the image, by the names of options. These may be given if they are the same, and are left out.

    Raises
    ------
    ValueError
        If a key is unknown or cannot be chosen by the caller, or if a list does not have one dict per level.
    """
    return parse_level_options(storage_options).map(partial(_chosen, follows=follows or {})).per_level(n)


def parser(storage_options: StorageOptions, k: int) -> Callable[..., Layout]:
    """Return what makes the layout of level k of its options: `parse_layout`, or what takes chunks over."""
    taken = parse_level_options(storage_options).taken
    return taken[k] if k < len(taken) else parse_layout


def _chosen(options: Mapping[str, Any], follows: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the caller can choose."""
    for key, value in options.items():
        if key in FIXED_OPTIONS and not (key in follows and (value is None or _is_same(key, value, follows[key]))):
            raise ValueError(f"storage_options cannot set {key!r}: {FIXED_OPTIONS[key]}")
    chosen = {key: value for key, value in options.items() if key not in FIXED_OPTIONS}
    reject_unknown(chosen, OPTIONS, "storage option")
    return chosen


def _is_same(key: str, value: Any, own: Any) -> bool:
    """Whether an option is what follows from the image; that dtypes are, NumPy says."""
    if key == "dtype":
        return bool(np.dtype(value).newbyteorder("=") == np.dtype(own))
    return list(value) == own if isinstance(value, list | tuple) else bool(value == own)


def parse_layout(
    options: Mapping[str, Any],
    shape: Shape,
    axes: Sequence[Axis],
    itemsize: int,
    stored_as: ArrayFormat,
    default: Shape | None = None,
) -> Layout:
    """Return the `Layout` of one array of `shape` from the caller's options.

    Chunks longer than the array are cut to it, and shards to the chunks that exist. Without chunks, they are `default`,
    or as near it as divides the shards.

    Raises
    ------
    ValueError
        If chunks or shards have the wrong length or are not positive, if shards are not multiples of
        chunks, or if an option is given that the zarr format does not have.
    """
    for key, (harmless, reason) in stored_as.refused.items():
        if key in options and options[key] not in harmless:
            raise ValueError(f"storage option {key!r}: {reason}")
    default = _dividing(options.get("shards"), default or default_chunks(shape, axes), axes)
    chunks = parse_edges(options.get("chunks"), default, axes, "chunks")
    shards = _shards(options.get("shards"), chunks, axes)
    chunks = tuple(min(c, n) for c, n in zip(chunks, shape, strict=True))
    if shards is not None:
        shards = tuple(min(s // c * c, ceil_div(n, c) * c) for s, c, n in zip(shards, chunks, shape, strict=True))
    return Layout(chunks, shards, _array_options(options, axes, itemsize, stored_as))


def default_chunks(shape: Shape, axes: Sequence[Axis]) -> Shape:
    """Return chunks of one time and channel that are as near a cube in space as the shape allows.

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
    >>> default_chunks((3, 2, 2048, 2048, 2048), parse_axes("tczyx", 5))
    (1, 1, 128, 128, 128)
    >>> default_chunks((5, 4096, 4096), parse_axes("zyx", 3))
    (5, 512, 512)
    """
    edge = LONGEST_CHUNK
    while edge > 1 and prod(_cube(edge, shape, axes)) > CHUNK_VOXELS:
        edge //= 2
    return _cube(edge, shape, axes)


def _cube(edge: int, shape: Shape, axes: Sequence[Axis]) -> Shape:
    return tuple(min(edge, n) if axis.spatial else 1 for n, axis in zip(shape, axes, strict=True))


def parse_edges(value: Any, default: Shape, axes: Sequence[Axis], what: str) -> Shape:
    """Return one edge length per axis from None, "auto", an int for space, a dict by name or a sequence."""
    names = [axis.name for axis in axes]
    if value is None or value is True or (isinstance(value, str) and value == "auto"):
        return default
    if value is False or isinstance(value, bytes | Set):
        raise ValueError(f"{what} {value!r}: give a length, one per axis, or leave {what} out for the default")
    if isinstance(value, Mapping):
        reject_unknown(value, names, f"axis in {what}")
        value = [value.get(name, d) for name, d in zip(names, default, strict=True)]
    elif isinstance(value, Integral):
        value = [value if axis.spatial else d for axis, d in zip(axes, default, strict=True)]
    try:
        edges = tuple(_edge(v, what) for v in value)
    except TypeError as error:
        raise ValueError(
            f"{what} {value!r} must be whole numbers: an int, a sequence, or a dict by axis name"
        ) from error
    if len(edges) != len(names):
        raise ValueError(f"{what} {edges} has {len(edges)} values, but the axes are {joined_names(names)!r}")
    if min(edges) < 1:
        raise ValueError(f"{what} {edges} must be positive")
    return edges


def _edge(value: Any, what: str) -> int:
    """Return a length; from lengths as Dask gives them, that of all chunks but the last."""
    sizes: Sequence[Any] = value if isinstance(value, list | tuple) and value else [value]
    if any(isinstance(size, bool) for size in sizes):
        raise ValueError(f"{what} {value!r} is not a whole number")
    first, *others = map(index, sizes)
    if any(n != first for n in others[:-1]) or (others and others[-1] > first):
        raise ValueError(f"{what} {value!r} of an axis differ, but those of a zarr array are equal; give one length")
    return first


def _dividing(shards: Any, default: Shape, axes: Sequence[Axis]) -> Shape:
    """Return the longest chunks, at most the default, that divide the shards that are given."""
    if shards is None or isinstance(shards, bool | str):
        return default
    edges = parse_edges(shards, default, axes, "shards")
    return tuple(next(c for c in range(min(d, s), 0, -1) if s % c == 0) for s, d in zip(edges, default, strict=True))


def _shards(value: Any, chunks: Shape, axes: Sequence[Axis]) -> Shape | None:
    if value is None or value is False:
        return None
    auto = _joined_chunks(chunks, axes, single_file=value == SINGLE_FILE)
    value = None if value == SINGLE_FILE else value
    shards = parse_edges(value, auto, axes, "shards")
    for axis, s, c in zip(axes, shards, chunks, strict=True):
        if s % c:
            near = max(s // c, 1) * c
            raise ValueError(
                f"a shard holds whole chunks: axis {axis.name!r} has shards of {s} and chunks of {c};"
                f" use shards of {near} or {near + c}"
            )
    return shards


def _joined_chunks(chunks: Shape, axes: Sequence[Axis], single_file: bool) -> Shape:
    """Return the shards of which nobody says how long they are."""
    joined = 1 if single_file else SHARD_CHUNKS
    while joined < SHARD_CHUNKS and prod(_times(chunks, axes, 2 * joined)) <= SINGLE_FILE_VOXELS:
        joined *= 2
    return _times(chunks, axes, joined)


def _times(chunks: Shape, axes: Sequence[Axis], n: int) -> Shape:
    """Return chunks `n` times as long along the axes of space."""
    return tuple(c * n if axis.spatial else c for c, axis in zip(chunks, axes, strict=True))


def _array_options(
    options: Mapping[str, Any], axes: Sequence[Axis], itemsize: int, stored_as: ArrayFormat
) -> dict[str, Any]:
    """Return the other arguments of `zarr.create_array`, complete and as JSON."""
    none = ("compressor", "compressors", "filters")  # For these, None is a choice: none of them.
    chosen = {key: value for key, value in options.items() if value is not None or key in none}
    arguments = {key: value for key, value in chosen.items() if key not in ("chunks", "shards", *stored_as.refused)}
    if "compressor" in arguments:
        arguments.setdefault("compressors", arguments.pop("compressor"))
    if "write_empty_chunks" in arguments:
        arguments["config"] = {
            **(arguments.get("config") or {}),
            "write_empty_chunks": bool(arguments.pop("write_empty_chunks")),
        }
    arguments.setdefault("compressors", stored_as.codec(itemsize))
    separator = arguments.pop("dimension_separator", stored_as.separator)
    arguments.setdefault("chunk_key_encoding", {"name": stored_as.keys, "separator": separator})
    arguments["zarr_format"] = stored_as.zarr_format
    for key, value in stored_as.naming([axis.name for axis in axes]).items():
        arguments[key] = {**arguments.get(key, {}), **value} if isinstance(value, dict) else value
    return {key: _json(value, key) for key, value in sorted(arguments.items())}


def _json(value: Any, key: str) -> Any:
    """Return codecs, NumPy scalars and enums as JSON."""
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(k): _json(v, key) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v, key) for v in value]
    for convert in ("get_config", "to_dict", "item"):
        if hasattr(value, convert):
            return _untuned(_json(getattr(value, convert)(), key), getattr(value, "_tunable_attrs", ()))
    if hasattr(value, "value"):
        return _json(value.value, key)
    raise ValueError(f"storage option {key!r} cannot be kept as JSON: {value!r}; give JSON, or a codec of zarr")


def _untuned(config: Any, tunable: Iterable[str]) -> Any:
    """Return a codec's JSON without what zarr chooses by the dtype: Blosc's typesize, if the caller gave none."""
    for name in tunable:
        config["configuration"].pop(name, None)
    return config
