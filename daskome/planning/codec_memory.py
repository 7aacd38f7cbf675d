"""The memory that compressors take besides what they compress and what comes of it: tables in which they search.

Those of zstd are what libzstd 1.5 says itself (``ZstdCompressionParameters.from_level(level, source_size=nbytes)
.estimated_compression_context_size()`` of the package zstandard), those of LZMA what ``man xz`` says. Blosc compresses
a chunk in blocks of at most `BLOSC_BLOCK`.
"""

from collections.abc import Callable, Mapping
from typing import Any

MIB = 2**20
ZSTD_MIB: Mapping[int, tuple[float, ...]] = {
    MIB: (
        0.6, 0.7, 1.2, 2.5, 3, 3, 5.5, 5.5, 10.5, 10.5, 10.5,
        10.5, 16.5, 16.5, 16.5, 16.6, 16.6, 17.3, 17.3, 17.3, 17.3, 17.3,
    ),
    4 * MIB: (
        0.6, 0.7, 1.2, 2.5, 3, 3, 5.5, 5.5, 10.5, 20.5, 20.5,
        40.5, 32.5, 48.5, 64.5, 32.6, 48.6, 49.3, 49.3, 65.3, 65.3, 65.3,
    ),
    32 * MIB: (
        0.6, 0.7, 1.2, 2.5, 3, 3, 5.5, 5.5, 10.5, 20.5, 20.5,
        40.5, 32.5, 48.5, 64.5, 32.6, 48.6, 49.3, 81.3, 161, 321, 385,
    ),
    256 * MIB: (
        0.6, 0.7, 1.2, 2.5, 3, 3, 5.5, 5.5, 10.5, 20.5, 20.5,
        40.5, 32.5, 48.5, 64.5, 32.6, 48.6, 49.3, 81.3, 161, 321, 641,
    ),
}  # fmt: skip
"""MiB for levels 1 to 22, for chunks of up to so many bytes; larger ones need no more."""
LZMA_MIB = (3, 9, 17, 32, 48, 94, 94, 186, 370, 674)
"""MiB for presets 0 to 9."""
BZ2_NBYTES = 8 * MIB
BLOSC_BLOCK = MIB
BLOSC_ZSTD_LEVELS = (1, 1, 3, 5, 7, 9, 11, 13, 15, 22)
"""The level of zstd for each of Blosc's."""


def codec_memory(options: Mapping[str, Any], nbytes: int) -> int:
    """Return how much memory the compressors of an array take for a chunk of a number of bytes.

    Parameters
    ----------
    options : dict
        Storage options of the array (`Layout.options`), in the words of either zarr format.
    nbytes : int

    Examples
    --------
    >>> best = {"compressors": {"name": "zstd", "configuration": {"level": 22, "checksum": False}}}
    >>> codec_memory(best, 2**25) // 2**20, codec_memory({"compressors": None}, 2**25)
    (385, 0)
    """
    chosen = options.get("compressors") or options.get("compressor") or ()
    codecs = chosen if isinstance(chosen, list | tuple) else [chosen]
    return max((_of_codec(codec, nbytes) for codec in codecs if isinstance(codec, Mapping)), default=0)


def _of_codec(codec: Mapping[str, Any], nbytes: int) -> int:
    name = str(codec.get("id") or codec.get("name")).removeprefix("numcodecs.")
    settings = codec.get("configuration") or codec
    return CODEC_NBYTES[name](settings, nbytes) if name in CODEC_NBYTES else 0


def _zstd(level: int, nbytes: int) -> int:
    row = next((own for most, own in ZSTD_MIB.items() if nbytes <= most), ZSTD_MIB[256 * MIB])
    return int(row[min(max(level or 3, 1), len(row)) - 1] * MIB)


def _blosc(settings: Mapping[str, Any], nbytes: int) -> int:
    """Return what the codec takes that Blosc uses inside."""
    level = min(max(int(settings.get("clevel", 5)), 0), 9)
    return _zstd(BLOSC_ZSTD_LEVELS[level], min(nbytes, BLOSC_BLOCK)) if settings.get("cname") == "zstd" else 0


CODEC_NBYTES: Mapping[str, Callable[[Mapping[str, Any], int], int]] = {
    "zstd": lambda settings, nbytes: _zstd(int(settings.get("level", 0)), nbytes),
    "blosc": _blosc,
    "bz2": lambda settings, nbytes: BZ2_NBYTES,
    "lzma": lambda settings, nbytes: LZMA_MIB[min(int(settings.get("preset") or 6), 9)] * MIB,
}
"""What a codec takes, by its name, from its settings and the bytes of a chunk; others take next to nothing."""
