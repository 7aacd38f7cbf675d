"""Compressors by the short names of the command line (``zstd:3``, ``blosc:lz4:5:shuffle``), per zarr format."""

from collections.abc import Callable, Mapping
from typing import Any

from daskome.model.axes import reject_unknown
from daskome.model.layout import ArrayFormat


def parse_codec(text: str, stored_as: ArrayFormat) -> Any:
    """Return a compressor from its name on the command line.

    Parameters
    ----------
    text : str
        ``none``, ``zstd[:level]``, ``gzip[:level]`` or ``blosc[:cname[:level[:shuffle]]]``.
    stored_as : ArrayFormat

    Examples
    --------
    >>> from daskome.model.layout import ZARR_V2, ZARR_V3
    >>> parse_codec("zstd:3", ZARR_V3)
    {'name': 'zstd', 'configuration': {'level': 3, 'checksum': False}}
    >>> parse_codec("blosc:lz4", ZARR_V2)
    {'id': 'blosc', 'cname': 'lz4', 'clevel': 5, 'shuffle': 1, 'blocksize': 0}
    """
    name, *values = text.split(":")
    if name == "none":
        return None
    reject_unknown([name], CODECS, "compressor")
    allowed, defaults, spell = CODECS[name]
    if len(values) > len(defaults):
        raise ValueError(f"compressor {text!r} has too many parts; {name} takes {', '.join(map(str, defaults))}")
    parts = [int(v) if v.lstrip("-").isdigit() else v for v in values]
    for part, of in zip(parts, allowed, strict=False):
        if part not in of:
            known = f"{of[0]} to {of[-1]}" if isinstance(of, range) else ", ".join(of)
            raise ValueError(f"compressor {text!r}: {part!r} is not one of {known}")
    return spell[stored_as.zarr_format](*parts, *defaults[len(parts) :])


def with_codecs(options: Mapping[str, Any], stored_as: ArrayFormat) -> dict[str, Any]:
    """Return storage options whose compressor, if it has a short name, is spelt as a zarr format spells it.

    >>> from daskome.model.layout import ZARR_V2
    >>> with_codecs({"chunks": 64, "compressors": "gzip:5"}, ZARR_V2)
    {'chunks': 64, 'compressors': {'id': 'gzip', 'level': 5}}
    """
    named = {key: value for key in ("compressor", "compressors") if isinstance(value := options.get(key), str)}
    return {**options, **{key: parse_codec(name, stored_as) for key, name in named.items() if name != "auto"}}


SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}
BLOSC = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
CODECS: Mapping[str, tuple[tuple[Any, ...], tuple[Any, ...], Mapping[int, Callable[..., dict[str, Any]]]]] = {
    "zstd": (
        (range(-7, 23),),
        (3,),
        {
            2: lambda level: {"id": "zstd", "level": level},
            3: lambda level: {"name": "zstd", "configuration": {"level": level, "checksum": False}},
        },
    ),
    "gzip": (
        (range(10),),
        (5,),
        {
            2: lambda level: {"id": "gzip", "level": level},
            3: lambda level: {"name": "gzip", "configuration": {"level": level}},
        },
    ),
    "blosc": (
        (BLOSC, range(10), SHUFFLES),
        ("zstd", 5, "shuffle"),
        {
            2: lambda cname, level, shuffle: {
                "id": "blosc", "cname": cname, "clevel": level, "shuffle": SHUFFLES[shuffle], "blocksize": 0,
            },
            3: lambda cname, level, shuffle: {
                "name": "blosc", "configuration": {"cname": cname, "clevel": level, "shuffle": shuffle, "blocksize": 0},
            },
        },
    ),
}  # fmt: skip
"""A compressor by name: the values it allows, its defaults, and how each zarr format spells it."""
