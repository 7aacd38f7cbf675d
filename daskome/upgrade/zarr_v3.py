"""Arrays of zarr v2 as arrays of zarr v3: a new document for the same chunks, none of which is read or written.

That works where the bytes of a chunk mean the same in both formats: numbers, in one of the codecs that both have.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite, isnan
from typing import Any

from daskome.model.image import DTYPES, ITEMSIZES
from daskome.model.json_values import JSONDict

V3_DTYPES = {f"{name[0]}{ITEMSIZES[name]}": name for name in DTYPES}
"""The data types of an image, by what zarr v2 calls them after the sign of the byte order."""
ENDIANS = {"<": "little", ">": "big"}
OTHER_DTYPES = {
    "O": "objects",
    "S": "text",
    "U": "text",
    "V": "raw bytes",
    "M": "dates",
    "c": "complex numbers",
    "m": "time spans",
}
V2_SHUFFLES: Mapping[Any, Callable[[int], str]] = {
    0: lambda itemsize: "noshuffle",
    1: lambda itemsize: "shuffle",
    2: lambda itemsize: "bitshuffle",
    -1: lambda itemsize: "bitshuffle" if itemsize == 1 else "shuffle",
}
"""The name in v3 of a blosc shuffle of v2, by the size of items in bytes; -1 left the choice to the writer."""
CNAMES = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
FLOATS = {"float16": "<e", "float32": "<f", "float64": "<d"}
REQUIRED = ("shape", "chunks", "dtype", "order")


def to_zarr_v3(zarray: Mapping[str, Any], names: Sequence[str], attributes: Mapping[str, Any] = {}) -> JSONDict:
    """Return the ``zarr.json`` of zarr v3 that reads the chunks of a zarr v2 array, as they are and where they are.

    Parameters
    ----------
    zarray : dict
        The array's ``.zarray``.
    names : sequence of str
        Of the axes.
    attributes : dict, optional
        The array's ``.zattrs``. ``_ARRAY_DIMENSIONS`` is left out: ``dimension_names`` says it.

    Raises
    ------
    ValueError
        If zarr v3 has no codec or data type to decode the chunks with, or if the document is not that of a
        zarr v2 array with these axes.

    Examples
    --------
    >>> zarray = {"zarr_format": 2, "shape": [40, 50], "chunks": [32, 32], "dtype": ">u2", "order": "F"}
    >>> zarray |= {"fill_value": None, "filters": None, "compressor": {"id": "gzip", "level": 1}}
    >>> new = to_zarr_v3(zarray | {"dimension_separator": "/"}, "yx")
    >>> new["data_type"], new["fill_value"], new["chunk_key_encoding"]
    ('uint16', 0, {'name': 'v2', 'configuration': {'separator': '/'}})
    >>> for codec in new["codecs"]:
    ...     print(codec)
    {'name': 'transpose', 'configuration': {'order': [1, 0]}}
    {'name': 'bytes', 'configuration': {'endian': 'big'}}
    {'name': 'gzip', 'configuration': {'level': 1}}
    >>> to_zarr_v3(zarray | {"compressor": {"id": "zlib", "level": 1}}, "yx")
    Traceback (most recent call last):
    ...
    ValueError: zarr v3 has no codec for compressor 'zlib', only for blosc, crc32c, gzip, zstd; write the image again
    """
    _check_document(zarray, len(names))
    name, endian = _data_type(zarray["dtype"])
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(zarray["shape"]),
        "data_type": name,
        "chunk_grid": _named("regular", chunk_shape=list(zarray["chunks"])),
        "chunk_key_encoding": _named("v2", separator=separator(zarray)),
        "fill_value": _fill_value(zarray.get("fill_value"), name),
        "codecs": [*_transposed(zarray), _named("bytes", **endian), *_coded(zarray, ITEMSIZES[name])],
        "attributes": {key: value for key, value in attributes.items() if key != "_ARRAY_DIMENSIONS"},
        "dimension_names": list(names),
        "storage_transformers": [],
    }


def separator(zarray: Mapping[str, Any]) -> str:
    """Return what stands between the numbers in the name of a chunk: "." where a zarr v2 array does not say.

    >>> separator({"dimension_separator": "/"}), separator({})
    ('/', '.')
    """
    stated = zarray.get("dimension_separator") or "."
    if stated not in (".", "/"):
        raise ValueError(f"dimension_separator {stated!r} must be '.' or '/'")
    return str(stated)


def _check_document(zarray: Mapping[str, Any], ndim: int) -> None:
    if zarray.get("zarr_format") != 2:
        raise ValueError(f"the array has zarr_format {zarray.get('zarr_format')!r}, not 2")
    missing = [key for key in REQUIRED if key not in zarray]
    if missing:
        raise ValueError(f"the array's .zarray lacks {', '.join(missing)}")
    for key in ("shape", "chunks"):
        if len(zarray[key]) != ndim:
            raise ValueError(f"the array has {key} {list(zarray[key])}, but there are {ndim} axes")


def _named(name: str, **configuration: Any) -> JSONDict:
    """Return an extension point of zarr v3."""
    return {"name": name, "configuration": configuration} if configuration else {"name": name}


def _data_type(dtype: Any) -> tuple[str, JSONDict]:
    """Return the name of a dtype, and what the codec ``bytes`` is to know of the order of its bytes.

    >>> _data_type("<f4"), _data_type("|u1")
    (('float32', {'endian': 'little'}), ('uint8', {}))
    """
    order, code = str(dtype)[:1], str(dtype)[1:]
    name = V3_DTYPES.get(code)
    if name is None or order not in "<>|":
        known = ", ".join(DTYPES)
        raise ValueError(
            f"dtype {dtype!r}{_kind(dtype)} is not a dtype of images, which are {known}; write the image again"
        )
    if ITEMSIZES[name] == 1:
        return name, {}
    if order not in ENDIANS:
        raise ValueError(f"dtype {dtype!r} lacks the order of its bytes: '<' or '>'")
    return name, {"endian": ENDIANS[order]}


def _kind(dtype: Any) -> str:
    """Return what a dtype holds, in brackets, if it is not numbers."""
    kind = "records" if isinstance(dtype, list) else OTHER_DTYPES.get(str(dtype)[1:2])
    return f" ({kind})" if kind else ""


def _fill_value(value: Any, name: str) -> Any:
    """Return what a v3 document says of chunks that are not stored; where v2 does not, readers take zero.

    >>> _fill_value(None, "float32"), _fill_value("NaN", "float32"), _fill_value(3.0, "int8")
    (0.0, 'NaN', 3)
    """
    try:
        return _like(name)(0 if value is None else value, name)
    except (ValueError, TypeError, OverflowError, struct.error) as error:
        raise ValueError(f"fill_value {value!r} is not a valid {name}; write the image again") from error


def _like(name: str) -> Callable[[Any, str], Any]:
    """Return what reads a value of a data type from JSON."""
    return _float if name in FLOATS else (_bool if name == "bool" else _integer)


def _bool(value: Any, name: str) -> bool:
    if value not in (False, True):
        raise ValueError(name)
    return bool(value)


def _integer(value: Any, name: str) -> int:
    """Return a whole number; as zarr does, also of 3.0 and "3"."""
    number, bits = int(value), 8 * ITEMSIZES[name]
    lowest = 0 if name.startswith("u") else -(2 ** (bits - 1))
    if not lowest <= number < lowest + 2**bits or (isinstance(value, float) and number != value):
        raise ValueError(name)
    return number


def _float(value: Any, name: str) -> float | str:
    """Return the number that the data type stores, so that all readers agree, or the name of a non-finite one."""
    number: float = struct.unpack(FLOATS[name], struct.pack(FLOATS[name], float(value)))[0]
    if isfinite(number):
        return number
    return "NaN" if isnan(number) else ("Infinity" if number > 0 else "-Infinity")


def _transposed(zarray: Mapping[str, Any]) -> list[JSONDict]:
    """Return the codec for the order of the axes in a chunk; one axis has no other than C."""
    order, ndim = zarray["order"], len(zarray["shape"])
    if order not in ("C", "F"):
        raise ValueError(f"order {order!r} must be 'C' or 'F'")
    return [_named("transpose", order=[*range(ndim)][::-1])] if order == "F" and ndim > 1 else []


def _coded(zarray: Mapping[str, Any], itemsize: int) -> Iterator[JSONDict]:
    """Yield the codecs that turn bytes into bytes, in the order of writing: the filters first, the compressor last."""
    steps = [("filter", codec) for codec in zarray.get("filters") or ()]
    if zarray.get("compressor") is not None:
        steps.append(("compressor", zarray["compressor"]))
    for role, codec in steps:
        name = codec.get("id")
        if name not in V2_CODECS:
            known = ", ".join(V2_CODECS)
            raise ValueError(f"zarr v3 has no codec for {role} {name!r}, only for {known}; write the image again")
        yield _named(name, **V2_CODECS[name](codec, itemsize))


def _blosc(codec: Mapping[str, Any], itemsize: int) -> JSONDict:
    """Chunks of blosc say themselves how they are decoded; these are to be what they say."""
    shuffle, cname = codec.get("shuffle", 1), codec.get("cname", "lz4")
    if shuffle not in V2_SHUFFLES or cname not in CNAMES:
        raise ValueError(f"zarr v3 has no blosc with shuffle {shuffle!r} and cname {cname!r}; write the image again")
    return {
        "typesize": itemsize,
        "cname": cname,
        "clevel": _level(codec, "clevel", 5, range(10)),
        "shuffle": V2_SHUFFLES[shuffle](itemsize),
        "blocksize": codec.get("blocksize") or 0,
    }


def _crc32c(codec: Mapping[str, Any], itemsize: int) -> JSONDict:
    if codec.get("location", "end") != "end":
        raise ValueError("zarr v3 has crc32c only at the end of a chunk, not at its start; write the image again")
    return {}


def _gzip(codec: Mapping[str, Any], itemsize: int) -> JSONDict:
    return {"level": _level(codec, "level", 1, range(10))}


def _zstd(codec: Mapping[str, Any], itemsize: int) -> JSONDict:
    return {"level": _level(codec, "level", 0, range(-131072, 23)), "checksum": bool(codec.get("checksum", False))}


def _level(codec: Mapping[str, Any], key: str, default: int, allowed: range) -> int:
    """Return the level nearest to a codec's that v3 allows: chunks are decoded without it."""
    return min(max(int(codec.get(key, default)), allowed[0]), allowed[-1])


V2_CODECS: Mapping[str, Callable[[Mapping[str, Any], int], JSONDict]] = {
    "blosc": _blosc,
    "crc32c": _crc32c,
    "gzip": _gzip,
    "zstd": _zstd,
}
"""The codecs whose bytes are the same in both formats: functions of the v2 configuration and item size."""
