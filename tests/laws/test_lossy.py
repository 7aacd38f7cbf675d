"""Codecs that keep less than all: each level is made of the one below as it is stored, however all is cut."""

from pathlib import Path
from typing import Any

import dask.array as da
import numcodecs
import numpy as np
import pytest
import zarr

import daskome
from daskome.kernels.downsample import downsample
from daskome.kernels.methods import METHODS
from daskome.model.storage.layout import LOSSLESS, Layout
from tests.written import contents, levels

pytestmark = pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3 specification")
VALUES = np.random.default_rng(0).random((18, 21, 26), "float32") * 1000
BITROUND = {"name": "numcodecs.bitround", "configuration": {"keepbits": 3}}
QUANTIZE = {"name": "numcodecs.quantize", "configuration": {"digits": 1, "dtype": "float32"}}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "bitround-v2": ("0.4", {"chunks": 8, "filters": [numcodecs.BitRound(3)]}),
    "bitround-v3": ("0.5", {"chunks": 8, "filters": [BITROUND]}),
    "quantize-in-shards": ("0.5", {"chunks": 4, "shards": 8, "filters": [QUANTIZE]}),
    "first-level-only": ("0.5", [{"chunks": 8, "filters": [BITROUND]}, *[{"chunks": 8}] * 2]),
}  # type: ignore[dict-item]


def written(target: Path, way: str, chunks: int = 16) -> Path:
    """Write the volume with a lossy codec."""
    fmt, options = WAYS[way]
    daskome.write_image(da.from_array(VALUES, chunks=chunks), target, [2, 4], fmt=fmt, storage_options=options)
    return target


@pytest.mark.sampled(4)
@pytest.mark.parametrize("way", WAYS)
def test_each_level_is_made_of_the_one_below_as_it_is_stored(
    way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    whole = written(tmp_path / "whole", way)
    request.getfixturevalue("tiny_blocks")
    assert contents(written(tmp_path / "units", way, chunks=11)) == contents(whole)
    fine, *coarse = levels(whole)
    assert not np.array_equal(fine, VALUES)
    for k, level in enumerate(coarse, start=1):
        made = downsample(fine, (2, 2, 2), METHODS["mean"])
        path = whole / f"s{k}"
        assert np.array_equal(level, through(zarr.open_array(path, mode="r"), made))
        fine = level
    assert daskome.verify(whole, pixels=True, source=VALUES) == []


@pytest.mark.sampled(4)
@pytest.mark.parametrize("way", WAYS)
def test_a_voxel_that_is_none_of_theirs_is_found(way: str, tmp_path: Path) -> None:
    target = written(tmp_path / "a", way)
    zarr.open_array(target / "s1", mode="r+")[3, 5, 7] = 2000
    (problem, *_) = daskome.verify(target, pixels=True)
    assert "1 of" in str(problem)
    assert "the first, z 3, y 5, x 7, is 2" in str(problem)


def through(array: zarr.Array[Any], values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return values after they have been written over an array in memory that is like another."""
    copy = zarr.from_array(zarr.storage.MemoryStore(), data=array)
    copy[...] = values
    return np.asarray(copy[...])


@pytest.mark.parametrize("name", sorted(LOSSLESS - {"auto", "bytes", "transpose"}))
def test_what_is_said_to_keep_all_does(name: str) -> None:
    codec = numcodecs.get_codec({"id": name, **({"elementsize": 4} if name == "shuffle" else {})})
    values = VALUES > 500 if name == "packbits" else VALUES
    found = np.frombuffer(np.ascontiguousarray(codec.decode(codec.encode(values))).data.cast("B"), values.dtype)
    assert np.array_equal(found, values.ravel()[: found.size])
    assert found.size >= values.size
    assert Layout((8,), options={"filters": [codec.get_config()], "compressors": None}).lossless
