"""Broken documents: every call that reads them ends in one ValueError that names the place, or does its work."""

import json
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

import daskome
from daskome.inspection.describe import describe
from tests.strategies import law

IMAGE = np.arange(128, dtype="uint8").reshape(2, 8, 8)
LABELS = (IMAGE[0] > 5).astype("uint8")
ODD = [None, True, 5, -1, 1.5, "x", "", [], {}, [1], [None], {"a": 1}, "../x", 10**400, [[]], "0.5", "0.6", "0.4"]
CALLS: dict[str, Callable[[MemoryStore], Any]] = {
    "info": describe,
    "upgrade": lambda store: daskome.convert_metadata(store, "0.6"),
    "labels": lambda store: daskome.write_labels(LABELS, store, "m", None, axes="yx"),
    "levels": lambda store: daskome.add_levels(store, [4]),
    "overwrite": lambda store: daskome.write_image(IMAGE, store, None, axes="cyx", overwrite=True),
    "label metadata": lambda store: daskome.write_label_metadata(store, "n", colors={1: (1, 2, 3, 4)}),
}


@cache
def documents(version: str) -> dict[str, bytes]:
    store = MemoryStore()
    labels = {"n": {"labels": LABELS, "axes": "yx"}}
    daskome.write_image(IMAGE, store, [2], axes="cyx", fmt=version, channels=["a", "b"], labels=labels)
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in pairs for place in places(item, (*path, key)))]


def broken(document: Any, place: tuple[Any, ...], odd: Any) -> Any:
    if not place:
        return odd
    holder = document = deepcopy(document)
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = odd
    return document


@pytest.mark.extended
@law()
@given(st.data(), st.sampled_from(["0.4", "0.5", "0.6"]), st.sampled_from(sorted(CALLS)))
def test_one_error_says_where_and_why(data: st.DataObject, version: str, call: str) -> None:
    files = dict(documents(version))
    names = ("zarr.json", ".zattrs", ".zarray", ".zgroup")
    key = data.draw(st.sampled_from([key for key in files if key.rpartition("/")[2] in names]))
    document = json.loads(files[key])
    place = data.draw(st.sampled_from(places(document)))
    files[key] = json.dumps(broken(document, place, data.draw(st.sampled_from(ODD)))).encode()
    buffers = default_buffer_prototype().buffer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(ValueError, FileExistsError, FileNotFoundError):
            CALLS[call](MemoryStore({name: buffers.from_bytes(value) for name, value in files.items()}))
