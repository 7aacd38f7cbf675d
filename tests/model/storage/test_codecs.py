"""Codecs may be given as either zarr format has them, and are stored as the one that is written has them."""

from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

import daskome

IMAGE = np.arange(64 * 64, dtype="u2").reshape(64, 64)
GIVEN: list[tuple[dict[str, Any], str]] = [
    ({"compressor": numcodecs.Blosc("lz4", 3, numcodecs.Blosc.BITSHUFFLE)}, "blosc"),
    ({"compressor": numcodecs.Blosc(shuffle=-1), "filters": [numcodecs.Delta("u2")]}, "blosc"),
    ({"compressors": [numcodecs.Zstd(2)]}, "zstd"),
    ({"compressor": numcodecs.GZip(4)}, "gzip"),
    ({"compressor": numcodecs.Zlib(3)}, "zlib"),
    ({"compressor": numcodecs.LZMA()}, "lzma"),
    ({"compressor": {"id": "bz2", "level": 1}}, "bz2"),
    ({"compressors": zarr.codecs.BloscCodec(cname="lz4", clevel=3, shuffle="bitshuffle")}, "blosc"),
    ({"compressors": [zarr.codecs.ZstdCodec(level=4)]}, "zstd"),
    ({"compressors": {"name": "gzip", "configuration": {"level": 4}}}, "gzip"),
    ({"compressor": "zstd"}, "zstd"),
    ({"compressors": "blosc:lz4:3"}, "blosc"),
    ({"compressors": ["gzip:2"]}, "gzip"),
    ({"compressors": []}, ""),
    ({"compressor": None}, ""),
]


@pytest.mark.filterwarnings("ignore:.*Numcodecs codecs are not in the Zarr version 3 specification")
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
@pytest.mark.parametrize(("options", "name"), GIVEN, ids=str)
def test_codecs_of_both_zarr_formats(options: dict[str, Any], name: str, fmt: str) -> None:
    store = zarr.storage.MemoryStore()
    daskome.write_image(IMAGE, store, None, axes="yx", fmt=fmt, storage_options=options)
    array = zarr.open_array(store, path="s0", mode="r")
    np.testing.assert_array_equal(array[...], IMAGE)
    assert [name in type(codec).__name__.lower() for codec in array.compressors] == ([True] if name else [])
    if "blosc" in name:
        (codec,) = array.compressors
        level = {"lz4": 3}.get(str(codec.cname), codec.clevel) if "filters" not in options else 5
        assert codec.clevel == level
    assert len(array.filters or ()) == len(options.get("filters", ()))
