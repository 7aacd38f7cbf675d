"""What is there and cannot be read is never taken for what is not there: an error, or a problem, or the same result."""

import errno
import os
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import dask
import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

import daskome
from daskome.inspection.describe import describe
from daskome.inspection.stored_image import read_pyramid
from tests.mutations import ADDRESS, CELLS, IMAGE, intact


class BadDisk(MemoryStore):
    """A store of which one object cannot be read, until it is written."""

    bad: str = ""

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if key == self.bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO), key)
        return await super().get(key, *args, **kwargs)

    async def set(self, key: str, *args: Any, **kwargs: Any) -> None:
        self.bad = "" if key == self.bad else self.bad
        await super().set(key, *args, **kwargs)


def transcoded(store: BadDisk) -> Mapping[str, bytes]:
    daskome.transcode(store, out := MemoryStore(), fmt="0.5")
    return contents(out)


Call = Callable[[BadDisk], Any]
WRITTEN: dict[str, Any] = {"scale_factors": [2], "axes": "cyx"}
CALLS: dict[str, Call] = {
    "info": describe,
    "validate": lambda store: list(map(str, daskome.validate(store))),
    "verify": lambda store: list(map(str, daskome.verify(store))),
    "pyramid": read_pyramid,
    "transcode": transcoded,
    "labels": lambda store: daskome.write_labels(CELLS, store, "m", None, axes="yx"),
    "labels over": lambda store: daskome.write_labels(CELLS, store, "n", [2], axes="yx", overwrite=True),
    "label metadata": lambda store: daskome.write_label_metadata(store, "n", colors={1: (1, 2, 3, 4)}),
    "levels": lambda store: daskome.add_levels(store, [4]),
    "overwrite": lambda store: daskome.write_image(IMAGE, store, **WRITTEN, overwrite=True),
    "again": lambda store: daskome.write_image(IMAGE, store, **WRITTEN),
    "resume": lambda store: daskome.write_image(IMAGE, store, **WRITTEN, resume=True),
    "plate": lambda store: daskome.write_plate({"C/3": CELLS}, store, [2], axes="yx"),
    "plate over": lambda store: daskome.write_plate({"A/1": CELLS}, store, [2], axes="yx", overwrite=True),
    "plate metadata": lambda store: daskome.write_plate_metadata(store, ["A"], ["1"], ["A/1"]),
    "upgrade to 0.4": lambda store: daskome.convert_metadata(store, "0.4"),
    "upgrade to 0.6": lambda store: daskome.convert_metadata(store, "0.6"),
}
KEYS = {
    "image 0.4": (
        ".zattrs",
        "s1/.zarray",
        "labels/.zgroup",
        "labels/.zattrs",
        "labels/n/.zattrs",
        "labels/n/s1/.zarray",
    ),
    "image 0.5": ("zarr.json", "s0/zarr.json", "s1/zarr.json", "labels/zarr.json", "labels/n/zarr.json"),
    "plate 0.5": ("zarr.json", "A/1/zarr.json", "A/1/0/zarr.json", "B/zarr.json", "B/2/0/s1/zarr.json"),
}
ABOUT_PLATES = ("plate", "plate over", "plate metadata")
EVERYWHERE = ("info", "validate", "verify", "transcode", "upgrade to 0.4", "upgrade to 0.6")
CASES = [
    pytest.param(kind, call, key, id=f"{kind}: {call}: {key}")
    for kind, keys in KEYS.items()
    for call in CALLS
    if call in EVERYWHERE or ("plate" in kind) == (call in ABOUT_PLATES)
    for key in keys
]


def contents(store: MemoryStore) -> dict[str, bytes]:
    return {key: value.to_bytes() for key, value in store._store_dict.items()}


@cache
def stored(kind: str) -> dict[str, bytes]:
    return {name.removeprefix("a.zarr/"): data for name, data in intact(kind).items()}


def outcome(kind: str, call: str, bad: str = "") -> tuple[Any, dict[str, bytes]]:
    """Return what a call returns, and all that is stored after it."""
    store = BadDisk({key: default_buffer_prototype().buffer.from_bytes(data) for key, data in stored(kind).items()})
    store.bad = bad
    with warnings.catch_warnings(action="ignore"), dask.config.set(scheduler="sync"):
        returned = CALLS[call](store)
    return returned, contents(store)


@cache
def undisturbed(kind: str, call: str) -> tuple[Any, dict[str, bytes]] | None:
    """Return the outcome without a bad disk; None if the call is refused."""
    try:
        return outcome(kind, call)
    except (ValueError, FileExistsError):
        return None


@pytest.mark.sampled(57)
@pytest.mark.parametrize(("kind", "call", "key"), CASES)
def test_what_cannot_be_read_has_no_default(kind: str, call: str, key: str) -> None:
    expected = undisturbed(kind, call)
    try:
        returned, left = outcome(kind, call, key)
    except (OSError, ValueError, daskome.WriteError) as error:
        why = str(error)
        assert expected is None or key in why or ADDRESS.search(why), why
        return
    assert expected is not None, "accepted, though it is refused if all can be read"
    said = [str(one) for one in (returned if isinstance(returned, list) else [returned])]
    named = any("cannot be read" in one or "Input/output" in one for one in said)
    assert left == expected[1] or named
    assert str(returned) == str(expected[0]) or named
