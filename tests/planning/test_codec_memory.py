"""What compressors take: never less for larger chunks, or higher levels, than the tables say."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from daskome.model.storage.codecs import parse_codec
from daskome.model.storage.layout import ZARR_V2, ZARR_V3
from daskome.planning.codec_memory import codec_memory

MIB = 2**20
NAMES = st.sampled_from(["none", "gzip:9", "blosc:lz4:9", *(f"zstd:{n}" for n in range(-7, 23)), "blosc:zstd:9"])


@given(NAMES, st.integers(0, 2**30), st.integers(0, 2**30))
def test_memory_does_not_fall_with_size_and_both_formats_agree(name: str, some: int, more: int) -> None:
    found = [codec_memory({"compressors": parse_codec(name, form)}, min(some, more)) for form in (ZARR_V2, ZARR_V3)]
    assert 0 <= found[0] == found[1]
    assert found[0] <= codec_memory({"compressors": parse_codec(name, ZARR_V3)}, max(some, more))


@pytest.mark.parametrize(
    ("codec", "nbytes", "mib"),
    [
        ({"name": "zstd", "configuration": {"level": 19}}, 4 * MIB, 49),
        ({"name": "zstd", "configuration": {"level": 22}}, 32 * MIB, 385),
        ({"id": "zstd", "level": 22}, 2**40, 641),
        ([{"name": "numcodecs.delta"}, {"id": "zstd", "level": 20}], 32 * MIB, 161),
        ({"name": "numcodecs.lzma", "configuration": {"preset": 9}}, MIB, 674),
        ({"name": "blosc", "configuration": {"cname": "zstd", "clevel": 9}}, 32 * MIB, 17),
        (None, MIB, 0),
        ("auto", MIB, 0),
    ],
)
def test_codecs(codec: Any, nbytes: int, mib: int) -> None:
    assert codec_memory({"compressors": codec}, nbytes) // MIB == mib
