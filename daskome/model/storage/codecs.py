"""Compressors by the short names of the command line (``zstd:3``, ``blosc:lz4:5:shuffle``), per zarr format."""

from collections.abc import Callable, Mapping
from typing import Any

from daskome.model.axes import reject_unknown
from daskome.model.storage.layout import ArrayFormat


def parse_codec(text: str, stored_as: ArrayFormat) -> Any:
    """Return a compressor from its name on the command line.

    Parameters
    ----------
    text : str
        ``none``, ``zstd[:level]``, ``gzip[:level]`` or ``blosc[:cname[:level[:shuffle]]]``.
    stored_as : ArrayFormat

    Examples
    --------
    >>> from daskome.model.storage.layout import ZARR_V2, ZARR_V3
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


CODEC_OPTIONS = ("compressor", "compressors", "filters", "serializer")
"""Storage options that are codecs."""


def with_codecs(options: Mapping[str, Any], stored_as: ArrayFormat) -> dict[str, Any]:
    """Return storage options whose codecs are spelt as a zarr format spells them.

    They may be named as on the command line, or be those of the other zarr format: JSON, or objects of `numcodecs` or
    `zarr.codecs`.

    >>> from daskome.model.storage.layout import ZARR_V2, ZARR_V3
    >>> with_codecs({"chunks": 64, "compressors": "gzip:5"}, ZARR_V2)
    {'chunks': 64, 'compressors': {'id': 'gzip', 'level': 5}}
    >>> with_codecs({"filters": [{"id": "delta", "dtype": "<u2"}], "compressor": {"id": "zstd", "level": 2}}, ZARR_V3)
    {'filters': [{'name': 'numcodecs.delta', 'configuration': {'dtype': '<u2'}}],
     'compressor': {'name': 'zstd', 'configuration': {'level': 2, 'checksum': False}}}
    """
    given = {key: options[key] or None for key in CODEC_OPTIONS if key in options}
    return {**options, **{key: _spelt_all(codecs, stored_as) for key, codecs in given.items()}}


def _spelt_all(codecs: Any, stored_as: ArrayFormat) -> Any:
    if isinstance(codecs, list | tuple):
        return [_spelt(codec, stored_as) for codec in codecs]
    return _spelt(codecs, stored_as)


def _spelt(codec: Any, stored_as: ArrayFormat) -> Any:
    """Return a codec as a zarr format spells it; unchanged if it is spelt so already."""
    if codec is None:
        return None
    if isinstance(codec, str):
        return codec if codec == "auto" else parse_codec(codec, stored_as)
    convert = getattr(codec, "get_config", None) or getattr(codec, "to_dict", None)
    config = codec if isinstance(codec, Mapping) else convert() if convert else {}
    if stored_as.zarr_format == 3 and "id" in config:
        name, settings = config["id"], {key: value for key, value in config.items() if key != "id"}
        return _as_v3(str(name), settings)
    if stored_as.zarr_format == 2 and "id" not in config and "name" in config:
        return _as_v2(str(config["name"]), dict(config.get("configuration") or {}))
    return codec


def _as_v3(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a codec of numcodecs, by its settings, as zarr v3 spells it; Blosc chooses its shuffle by the dtype."""
    if name not in CODECS:
        return {"name": f"numcodecs.{name}", "configuration": settings}
    if name == "zstd":
        settings = {"level": settings.get("level", 0), "checksum": bool(settings.get("checksum", False))}
    if name == "blosc":
        shuffle = next((word for word, number in SHUFFLES.items() if number == settings.get("shuffle")), None)
        settings = {
            **{k: v for k, v in settings.items() if k != "shuffle"},
            **({"shuffle": shuffle} if shuffle else {}),
        }
    return {"name": name, "configuration": settings}


def _as_v2(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return a codec of zarr v3, by its settings, as numcodecs spells it."""
    if name == "blosc":
        settings = {k: v for k, v in settings.items() if k != "typesize"}
        settings["shuffle"] = SHUFFLES.get(str(getattr(settings.get("shuffle"), "value", settings.get("shuffle"))), -1)
    return {"id": name.removeprefix("numcodecs."), **settings}


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
