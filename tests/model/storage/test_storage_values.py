"""Storage options have values that zarr takes; others are refused by name before zarr sees them."""

from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr

from daskome.model.storage.level_options import parse_level_options
from daskome.model.storage.storage_values import OPTION_VALUES, check_fill_value

JUNK: list[Any] = [True, 0, -1, 1.5, "", b"x", {2}, [True], [None], [[2]], {"y": 2}, object(), len, 1j]
TAKEN: dict[str, list[Any]] = {
    "compressors": [None, False, "zstd:3", "auto", [], zarr.codecs.ZstdCodec(), [numcodecs.Zstd(1)], {"name": "zstd"}],
    "compressor": [None, numcodecs.Zstd(1), {"id": "zstd", "level": 1}],
    "filters": [None, [], [{"id": "delta", "dtype": "<u2"}], (numcodecs.Delta("<u2"),)],
    "serializer": [None, "auto", zarr.codecs.BytesCodec(), {"name": "bytes"}],
    "fill_value": [True, 0, -1, 1.5, np.uint8(7), np.float32("nan"), "NaN", np.False_, float("inf")],
    "write_empty_chunks": [True, False, np.True_],
    "dimension_separator": ["/", "."],
    "chunk_key_encoding": [{"name": "v2"}, {"y": 2}],
    "attributes": [{}, {"y": 2}],
    "config": [{}, {"y": 2}, {"write_empty_chunks": True}],
}


@pytest.mark.parametrize("key", OPTION_VALUES)
def test_a_value_is_taken_or_refused_by_name(key: str) -> None:
    for value in TAKEN[key]:
        assert parse_level_options({key: value}).first == {key: value}
    for value in JUNK:
        if value not in TAKEN[key]:
            with pytest.raises(ValueError, match=f"^storage option '{key}' is .*; give "):
                parse_level_options([{key: value}])


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(255, "uint8"), (-1, "int8"), (7.0, "uint8"), (np.int64(3), "uint16"), (1.5, "float32"), ("NaN", "float64"),
     (True, "bool"), (np.False_, "bool"), (1, "bool"), (2**64 - 1, "uint64"), (None, "uint8"), (-7, "float32")],
)  # fmt: skip
def test_fill_values_that_voxels_can_be(value: Any, dtype: str) -> None:
    check_fill_value(value, dtype)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(256, "uint8"), (-1, "uint8"), (1.5, "uint8"), ("NaN", "uint16"), (float("inf"), "int16"), (2, "bool"),
     (True, "uint8"), (True, "float32"), (np.float32("nan"), "int64"), (10**30, "uint64")],
)  # fmt: skip
def test_fill_values_that_no_voxel_can_be(value: Any, dtype: str) -> None:
    with pytest.raises(ValueError, match=f"'fill_value' is .*, which voxels of {dtype} cannot be"):
        check_fill_value(value, dtype)
