"""A store that dies at a chosen change, and every operation that writes: what was before it, how it goes on, its end."""

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dask
import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.ome.detect import ome_of
from daskome.stores import journal as journals
from daskome.stores.remembered import LOOKED_FOR
from tests.plates_in_tiff import plate_tiff, plate_xml
from tests.written import contents

PLANE = np.arange(1, 12 * 8 + 1, dtype="uint16").reshape(12, 8)
CELLS = (PLANE % 7 + 1).astype("uint8")
IMAGE: dict[str, Any] = {"axes": "yx", "storage_options": {"chunks": 8}}
MINE = {"mine": {"of": "another program"}}
"""An attribute that every group has before an operation; whatever happens, it has it afterwards."""


class Death(BaseException):
    """The process is gone: no handler may make anything of it."""


class Mortal(WrapperStore[Any]):
    """A store whose process dies, or whose disk fails, at the n-th change of an object, or the write of a folder's file.

    What deletes a folder deletes its objects one by one, in one order or the other. `fails` is "dies", "once" or
    "for ever".
    """

    def __init__(self, store: Any, at: float = float("inf"), fails: str = "dies") -> None:
        super().__init__(store)
        self.state: dict[str, Any] = {"changes": 0, "at": at, "fails": fails}

    def _with_store(self, store: Any) -> "Mortal":
        made = type(self)(store)
        made.state = self.state
        return made

    @property
    def changes(self) -> int:
        """How many objects were changed."""
        return int(self.state["changes"])

    def _look(self) -> None:
        if self.state["fails"] == "dies" and self.changes > self.state["at"]:
            raise Death

    def _change(self, key: str = "") -> None:
        self._look()
        number, at = self.changes, self.state["at"]
        self.state["changes"] += 1
        if number == at or (number > at and self.state["fails"] == "for ever"):
            if self.state["fails"] != "dies":
                raise OSError(28, "No space left on device")
            if key and isinstance(self._store, LocalStore):
                write_half(self._store.root / f"{key}.0123.partial")
            raise Death

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        self._look()
        return await super().get(*args, **kwargs)

    async def exists(self, key: str) -> bool:
        self._look()
        return await super().exists(key)

    async def list_dir(self, prefix: str) -> Any:
        self._look()
        async for name in super().list_dir(prefix):
            yield name

    async def is_empty(self, prefix: str) -> bool:
        self._look()
        return await super().is_empty(prefix)

    async def set(self, key: str, value: Any) -> None:
        self._change(key)
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        if not await self.exists(key):
            self._change(key)
        await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        if await self.exists(key):
            self._change()
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        keys = sorted([key async for key in self.list_prefix(f"{prefix.rstrip('/')}/")])
        for key in keys[:: -1 if self.state["at"] % 2 == 1 else 1]:
            await self.delete(key)
        if isinstance(self._store, LocalStore):
            await super().delete_dir(prefix)


def write_half(path: Path) -> None:
    """Leave what zarr leaves when it is killed in the middle of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"{")


def copied(store: MemoryStore) -> MemoryStore:
    """Return a store in memory with the same objects."""
    return MemoryStore(dict(store._store_dict))


def in_folder(store: MemoryStore, folder: Path) -> LocalStore:
    """Return a store in a folder with the same objects."""
    for key, value in store._store_dict.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(value.to_bytes())
    return LocalStore(folder)


def in_memory(store: Any) -> MemoryStore:
    """Return a store in memory with the objects of another; without what a kill leaves of a file."""
    if isinstance(store, MemoryStore):
        return store
    files = {key: value for key, value in contents(store.root).items() if not key.endswith(".partial")}
    return MemoryStore({key: default_buffer_prototype().buffer.from_bytes(value) for key, value in files.items()})


def digest(store: Any) -> dict[str, Any]:
    """Return every object of a store by its key; documents as what they say."""
    found = in_memory(store)._store_dict
    return {key: _said(key, value.to_bytes()) for key, value in sorted(found.items())}


def _said(key: str, value: bytes) -> Any:
    return json.loads(value) if key.rpartition("/")[2] in (*LOOKED_FOR, journals.ANNOUNCED) else value


@contextmanager
def calm() -> Iterator[None]:
    """Without the warnings that say what is meant to be: two formats in one group, what a version cannot store."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def seen(store: MemoryStore, zarr_format: Any = None, consolidated: bool | None = False) -> dict[str, Any]:
    """Return, by the paths of groups, what a reader takes for whole images: attributes and pixels of all levels."""
    found: dict[str, Any] = {}
    with calm():
        for path, group in _groups(store, zarr_format, consolidated).items():
            multiscales = ome_of(group).get("multiscales")
            listed = [d["path"] for m in multiscales for d in m["datasets"]] if multiscales else []
            if listed:
                pixels = [_pixels(store, f"{path}/{name}".strip("/"), zarr_format) for name in listed]
                found[path] = (repr(multiscales), *pixels)
    return found


def _pixels(store: MemoryStore, path: str, zarr_format: Any) -> Any:
    try:
        return np.asarray(zarr.open_array(store, path=path, mode="r", zarr_format=zarr_format)[...]).tobytes()
    except FileNotFoundError:
        return f"no array {path}"


def attributes(store: MemoryStore) -> dict[str, Any]:
    """Return the attributes of all groups by their paths."""
    with calm():
        return _groups(store, None)


def _groups(store: MemoryStore, zarr_format: Any, consolidated: bool | None = False) -> dict[str, Any]:
    keys = [key for key in store._store_dict if key.endswith(("zarr.json", ".zgroup")) and ".daskome" not in key]
    found: dict[str, Any] = {}
    for path in {key.rpartition("/")[0] for key in keys}:
        try:
            group = zarr.open_group(store, path=path, mode="r", zarr_format=zarr_format, use_consolidated=consolidated)
        except (FileNotFoundError, zarr.errors.ContainsArrayError, zarr.errors.NodeTypeValidationError):
            continue
        found[path] = group.attrs.asdict()
    return found


# ---- what is there before


def tag(store: MemoryStore) -> None:
    """Give every group an attribute of another program."""
    for path in _groups(store, None):
        zarr.open_group(store, path=path, mode="r+").attrs.update(MINE)


def consolidate(store: MemoryStore) -> None:
    """Consolidate the metadata of the root."""
    with calm():
        zarr.consolidate_metadata(store)


def nothing(store: MemoryStore) -> None:
    """An empty store."""


def an_image(
    store: MemoryStore, fmt: str = "0.5", factors: Any = (2, 4), consolidated: bool = False, **more: Any
) -> None:
    """Write an image, with attributes of another program, and consolidated metadata if they are asked for."""
    daskome.write_image(PLANE[::-1], store, list(factors) or None, fmt=fmt, **{**IMAGE, **more})
    tag(store)
    if consolidated:
        consolidate(store)


def written_over(store: MemoryStore) -> None:
    """An image of which another program has written a part of level 0, and nothing else."""
    an_image(store)
    zarr.open_array(store, path="s0", mode="r+")[PART] = PLANE[PART]


def frames(store: MemoryStore, **more: Any) -> None:
    """Write a series of two time points."""
    an_image_of(store, np.stack([PLANE, PLANE[::-1]]), **more)


def an_odd_image(store: MemoryStore) -> None:
    """Write an image whose last windows are cut, and change when it gets longer."""
    daskome.write_image(PLANE[:11], store, [2, 4], **IMAGE)
    tag(store)


def an_image_of(store: MemoryStore, image: Any, consolidated: bool = False, **more: Any) -> None:
    daskome.write_image(image, store, [{"y": 2, "x": 2}], **{**IMAGE, "axes": "tyx", **more})
    tag(store)
    if consolidated:
        consolidate(store)


def a_plate(store: MemoryStore, fmt: str = "0.5", wells: Any = ("A/1",), consolidated: bool = False) -> None:
    """Write a plate, likewise."""
    daskome.write_plate({well: [PLANE[::-1], PLANE] for well in wells}, store, [2], fmt=fmt, **IMAGE)
    tag(store)
    if consolidated:
        consolidate(store)


# ---- operations


def image(store: Store, factors: Any = (2,), **options: Any) -> None:
    daskome.write_image(PLANE, store, list(factors) or None, retries=0, **{**IMAGE, **options})


def multiscale(store: Store, **options: Any) -> None:
    daskome.write_multiscale([PLANE, PLANE[::2, ::2]], store, retries=0, **{**IMAGE, **options})


def labels(store: Store, name: str = "cells", **options: Any) -> None:
    daskome.write_labels(CELLS, store, name, retries=0, **{**IMAGE, **options})


def plate(store: Store, wells: Any = ("A/1", "B/1"), **options: Any) -> None:
    fields = {well: [PLANE] for well in wells} | {wells[0]: [PLANE, PLANE[::-1]]}
    daskome.write_plate(fields, store, [2], retries=0, **{**IMAGE, **options})


def collection(store: Store, **options: Any) -> None:
    fields = {"axes": "yx", "storage_options": {"chunks": 8}, **options}
    daskome.write_series([PLANE, PLANE[::-1]], store, [2], retries=0, **fields)


def a_collection(store: MemoryStore, consolidated: bool = False, **options: Any) -> None:
    """Write a collection of two images."""
    collection(store, **options)
    tag(store)
    if consolidated:
        consolidate(store)


def a_plate_of_file(store: MemoryStore) -> None:
    """Write a plate with a list of series and OME-XML."""
    plate_of_file(store)
    tag(store)


def another_in_a_collection(store: Store, **options: Any) -> None:
    """Write an image of another shape and type, and with other voxels, over one of a collection."""
    daskome.write_image(
        CELLS[:9], StorePath(store, "0"), [2], retries=0, scale=0.5, axes_units="um", **IMAGE, **options
    )


def frames_in_a_collection(store: MemoryStore) -> None:
    """Write a collection of a series of two time points, and an image."""
    image: dict[str, Any] = {"axes": "tyx", "storage_options": {"chunks": 8}}
    daskome.write_series([np.stack([PLANE, PLANE[::-1]]), PLANE[None]], store, [{"y": 2, "x": 2}], **image)
    tag(store)


def levels(store: Store, factors: Any = (2, 4), **options: Any) -> None:
    daskome.add_levels(store, list(factors), retries=0, **options)


PART = (slice(3, 11), slice(2, 8))


def updated(store: Store, as_written: bool = False, path: str = "", **options: Any) -> None:
    values = PLANE if not path else CELLS
    data = None if as_written else values[PART]
    daskome.update(StorePath(store, path), {"y": PART[0], "x": PART[1]}, data, retries=0, **options)


def appended(store: Store, axis: str = "y", path: str = "", start: int = 12, **options: Any) -> None:
    image = PLANE if axis == "y" else PLANE[None]
    daskome.append(StorePath(store, path), image, axis, start=start, retries=0, **options)


def convert(store: Store, version: str, **options: Any) -> None:
    daskome.convert_metadata(store, version)


def transcode(store: Store, source: Callable[[MemoryStore], None], **options: Any) -> None:
    daskome.transcode(made(source), store, retries=0, **options)


@cache
def made(prepare: Callable[[MemoryStore], None]) -> MemoryStore:
    """Return a store that something was written to."""
    store = MemoryStore()
    prepare(store)
    return store


@cache
def packed() -> Path:
    """Return an image with labels as a single file."""
    folder = TemporaryDirectory()
    path = Path(folder.name) / "a.ozx"
    daskome.pack(made(labelled), path)
    FOLDERS.append(folder)
    return path


@cache
def plate_in_file() -> Path:
    """Return a file with the images of a plate."""
    folder = TemporaryDirectory()
    path = Path(folder.name) / "a.ome.tif"
    plate_tiff(path, plate_xml([(0, 0, 2), (1, 2, 1)], acquisitions=2))
    FOLDERS.append(folder)
    return path


def plate_of_file(store: Store, **options: Any) -> None:
    daskome.write_series(plate_in_file(), store, [2], retries=0, **options)


FOLDERS: list[TemporaryDirectory[str]] = []


def unpack(store: Store, **options: Any) -> None:
    daskome.unpack(packed(), store)


def labelled(store: MemoryStore) -> None:
    an_image(store, labels={"cells": CELLS})


def ended(store: Store, **options: Any) -> None:
    daskome.finish(store)


def begun_and_written(store: MemoryStore, **options: Any) -> None:
    image(store, compute="init", **options)
    daskome.run_part(store, PLANE)


@dataclass(frozen=True)
class Operation:
    """One that writes.

    Attributes
    ----------
    before : callable
        Prepares a store.
    call : callable
        Of the store, and options of going on.
    first : dict
        Options of the first call.
    ways : dict
        Options of calls that go on, by name.
    ends : str
        What a call says that is not needed any more, as all has been done already.
    removes : str, optional
        The path of what it removes, with all below it.
    """

    before: Callable[[MemoryStore], None]
    call: Callable[..., None]
    first: Mapping[str, Any] = field(default_factory=dict)
    ways: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"resume": {"resume": True}, "overwrite": {"overwrite": True}}
    )
    ends: str = "never"
    removes: str | None = None


def removed(store: Store, path: str = "", **options: Any) -> None:
    daskome.remove(StorePath(store, path), **options)


def untagged(store: MemoryStore) -> None:
    daskome.write_image(PLANE, store, [2], **IMAGE, labels={"cells": CELLS})


def levels_begun(store: MemoryStore) -> None:
    an_image(store, factors=())
    levels(store, factors=(2,), compute="init")


AGAIN: Mapping[str, Mapping[str, Any]] = {"again": {}}
GONE = "there is nothing at"
NO_MORE = "scale factors are relative to level 0"
LONGER = "the image ends at"
OVER = {"overwrite": True}
WITH_LABELS = {"labels": {"cells": CELLS, "more": CELLS}}
OPERATIONS: dict[str, Operation] = {
    "image": Operation(nothing, image),
    "image 0.4": Operation(nothing, partial(image, fmt="0.4")),
    "image 0.2": Operation(nothing, partial(image, fmt="0.2")),
    "image in a group": Operation(lambda s: zarr.create_group(s, attributes=MINE) and None, image),
    "multiscale": Operation(nothing, multiscale),
    "image with labels": Operation(nothing, partial(image, **WITH_LABELS)),
    "image with labels 0.4": Operation(nothing, partial(image, fmt="0.4", **WITH_LABELS)),
    "labels": Operation(partial(an_image, factors=(2,)), labels),
    "labels 0.4": Operation(partial(an_image, fmt="0.4", factors=(2,)), labels),
    "more labels": Operation(partial(an_image, labels={"others": CELLS}), labels),
    "labels alone": Operation(nothing, labels),
    "labels, consolidated": Operation(partial(an_image, consolidated=True), labels),
    "plate": Operation(nothing, plate),
    "plate 0.4": Operation(nothing, partial(plate, fmt="0.4")),
    "wells of another row": Operation(a_plate, partial(plate, wells=("B/1", "B/2"))),
    "wells of the same row": Operation(a_plate, partial(plate, wells=("A/2",))),
    "wells of several rows": Operation(a_plate, partial(plate, wells=("A/2", "B/1"))),
    "wells 0.4": Operation(partial(a_plate, fmt="0.4"), partial(plate, wells=("A/2", "B/1"))),
    "wells, consolidated": Operation(partial(a_plate, consolidated=True), partial(plate, wells=("A/2",))),
    "wells replaced": Operation(partial(a_plate, wells=("A/1", "A/2")), partial(plate, wells=("A/2",)), OVER),
    "a collection": Operation(nothing, collection, ends="holds bioformats2raw.layout"),
    "a plate in a file": Operation(nothing, plate_of_file, ends="holds plate, bioformats2raw.layout"),
    "levels": Operation(partial(an_image, factors=()), levels, ends=NO_MORE),
    "levels 0.4": Operation(partial(an_image, fmt="0.4", factors=()), levels, ends=NO_MORE),
    "levels with labels": Operation(partial(an_image, factors=(), labels={"cells": CELLS}), levels, ends=NO_MORE),
    "levels, consolidated": Operation(partial(an_image, factors=(), consolidated=True), levels, ends=NO_MORE),
    "overwrite": Operation(an_image, image, OVER),
    "overwrite 0.4": Operation(partial(an_image, fmt="0.4"), partial(image, fmt="0.4"), OVER),
    "overwrite 0.4 with 0.5": Operation(partial(an_image, fmt="0.4"), partial(image, fmt="0.5"), OVER),
    "overwrite 0.5 with 0.4": Operation(an_image, partial(image, fmt="0.4"), OVER),
    "overwrite 0.5 with 0.6": Operation(an_image, partial(image, fmt="0.6"), OVER),
    "overwrite, consolidated": Operation(partial(an_image, consolidated=True), image, OVER),
    "overwrite 0.4 with 0.5, consolidated": Operation(
        partial(an_image, fmt="0.4", consolidated=True), partial(image, fmt="0.5"), OVER
    ),
    "overwrite 0.5 with 0.4, consolidated": Operation(
        partial(an_image, consolidated=True), partial(image, fmt="0.4"), OVER
    ),
    "overwrite with labels": Operation(
        partial(an_image, labels={"cells": CELLS[::-1]}), partial(image, **WITH_LABELS), OVER
    ),
    "overwrite what was begun": Operation(partial(image, factors=(2, 4), compute="init"), image, OVER),
    "overwrite in a collection": Operation(a_collection, another_in_a_collection, OVER),
    "labels replaced": Operation(partial(an_image, factors=(2,), labels={"cells": CELLS[::-1]}), labels, OVER),
    "update": Operation(an_image, updated),
    "update 0.4": Operation(partial(an_image, fmt="0.4"), updated),
    "update, consolidated": Operation(partial(an_image, consolidated=True), updated),
    "update 0.2, consolidated": Operation(partial(an_image, fmt="0.2", consolidated=True), updated),
    "update as written": Operation(written_over, partial(updated, as_written=True)),
    "update labels": Operation(partial(an_image, labels={"cells": CELLS[::-1]}), partial(updated, path="labels/cells")),
    "update shards": Operation(partial(an_image, storage_options={"chunks": 4, "shards": 8}), updated),
    "append y": Operation(an_image, appended, ends=LONGER),
    "append y to an odd image": Operation(an_odd_image, partial(appended, start=11), ends=LONGER),
    "append y 0.4, consolidated": Operation(partial(an_image, fmt="0.4", consolidated=True), appended, ends=LONGER),
    "append t": Operation(frames, partial(appended, axis="t", start=2), ends=LONGER),
    "append t, consolidated": Operation(
        partial(frames, consolidated=True), partial(appended, axis="t", start=2), ends=LONGER
    ),
    "append t 0.4, consolidated": Operation(
        partial(frames, fmt="0.4", consolidated=True), partial(appended, axis="t", start=2), ends=LONGER
    ),
    "append t in a collection": Operation(
        frames_in_a_collection, partial(appended, axis="t", start=2, path="0"), ends=LONGER
    ),
    "upgrade 0.4 to 0.5": Operation(partial(an_image, fmt="0.4"), partial(convert, version="0.5"), ways=AGAIN),
    "upgrade 0.5 to 0.6": Operation(an_image, partial(convert, version="0.6"), ways=AGAIN),
    "downgrade 0.6 to 0.5": Operation(partial(an_image, fmt="0.6"), partial(convert, version="0.5"), ways=AGAIN),
    "downgrade 0.4 to 0.3": Operation(partial(an_image, fmt="0.4"), partial(convert, version="0.3"), ways=AGAIN),
    "upgrade a plate": Operation(
        partial(a_plate, fmt="0.4", consolidated=True), partial(convert, version="0.5"), ways=AGAIN
    ),
    "upgrade, consolidated": Operation(
        partial(an_image, consolidated=True, labels={"cells": CELLS}), partial(convert, version="0.6"), ways=AGAIN
    ),
    "transcode": Operation(nothing, partial(transcode, source=labelled, fmt="0.4")),
    "transcode a plate": Operation(nothing, partial(transcode, source=a_plate), ends="holds plate"),
    "unpack": Operation(nothing, unpack, ways=AGAIN, ends="is there already"),
    "finish": Operation(begun_and_written, ended, ways=AGAIN, ends="is finished"),
    **{
        f"remove {name}": Operation(before, partial(removed, path=path), ways=AGAIN, ends=GONE, removes=path)
        for name, before, path in (
            ("an image", partial(an_image, labels={"cells": CELLS}), ""),
            ("an image 0.4", partial(an_image, fmt="0.4", labels={"cells": CELLS}, consolidated=True), ""),
            ("an image, consolidated", partial(an_image, consolidated=True), ""),
            ("what was begun", partial(image, factors=(2, 4), compute="init"), ""),
            ("labels", partial(an_image, labels={"cells": CELLS, "more": CELLS}), "labels/cells"),
            ("labels 0.4", partial(an_image, fmt="0.4", labels={"cells": CELLS}, consolidated=True), "labels/cells"),
            ("labels, consolidated", partial(an_image, labels={"cells": CELLS}, consolidated=True), "labels/cells"),
            ("the last labels", untagged, "labels"),
            ("a plate", partial(a_plate, wells=("A/1", "B/1")), ""),
            ("a plate 0.4", partial(a_plate, fmt="0.4", consolidated=True), ""),
            ("a well", partial(a_plate, wells=("A/1", "A/2"), consolidated=True), "A/1"),
            ("an image of a well", a_plate, "A/1/0"),
            ("an image of a collection", partial(a_collection, consolidated=True), "0"),
            ("an image of a collection 0.4", partial(a_collection, fmt="0.4"), "0"),
            ("a well that OME-XML describes", a_plate_of_file, "A/1"),
            ("a field that OME-XML describes", a_plate_of_file, "A/1/0"),
            ("a journal", levels_begun, ".daskome"),
        )
    },
}
OPERATIONS["remove the last labels"] = replace(
    OPERATIONS["remove the last labels"], call=partial(removed, path="labels/cells")
)


def exit_at(name: str, folder: str, at: int) -> None:
    """Run an operation in this process, in a folder, and end the process at its n-th change as a kill does."""
    try:
        with dask.config.set(scheduler="sync"):
            OPERATIONS[name].call(Mortal(LocalStore(folder), at), **OPERATIONS[name].first)
    except Death:
        os._exit(9)
