"""Which objects of an array are stored: as the unit that wrote them notes it, and as the store lists them.

Objects of nothing but fill value are not stored, so a list alone does not say whether one is missing, nor does a note.

A note is the bits of a unit's objects, in C order, as hexadecimal digits; where all are stored there is none. An array
is listed by the first numbers of its keys, as many as leave enough objects for a page, so that lists can be asked for
beside each other, and none is long.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import product
from math import prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.paths import join_paths
from daskome.model.regions import Region, Shape, ceil_div, n_blocks, shape_of, size
from daskome.stores.kinds import kind_of
from daskome.stores.location import folder_of

PAGE = 1000
"""How many keys clouds put into an answer."""
ALL: tuple[str, ...] = ()
"""The notes of a unit all of whose objects are stored."""
Bits = NDArray[np.bool_]


def notes(arrays: Sequence["zarr.Array[Any]"], regions: Sequence[Region], keys: Collection[str]) -> tuple[str, ...]:
    """Return a note per array of which objects of its region are among the keys of a store; `ALL` if all are.

    Examples
    --------
    >>> array = zarr.create_array({}, name="s0", shape=(8,), chunks=(1,), dtype="uint8")
    >>> notes([array], [((4, 8),)], ["s0/c/4", "s0/c/7"])
    ('90',)
    >>> noted("90", ((4, 8),)).tolist()
    [True, False, False, True]
    """
    spans = [objects_in(array, region) for array, region in zip(arrays, regions, strict=True)]
    if len(keys) >= sum(map(size, spans)):
        return ALL
    return tuple(_note(array, span, keys) for array, span in zip(arrays, spans, strict=True))


def _note(array: "zarr.Array[Any]", span: Region, keys: Collection[str]) -> str:
    encode, positions = array.metadata.encode_chunk_key, product(*(range(*each) for each in span))
    return np.packbits([join_paths(array.path, encode(one)) in keys for one in positions]).tobytes().hex()


def noted(note: str, span: Region) -> Bits:
    """Return which objects of a unit are stored by a note of it, in their grid; `span` are their positions.

    Raises
    ------
    ValueError
        If it is not a note.
    """
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(note), "uint8"), count=size(span))
    return bits.astype(bool).reshape(shape_of(span))


def objects_in(array: "zarr.Array[Any]", region: Region) -> Region:
    """Return the positions of the objects that hold a region of an array."""
    return tuple((a // n, ceil_div(b, n)) for (a, b), n in zip(region, array.shards or array.chunks, strict=True))


def can_list(array: "zarr.Array[Any]") -> bool:
    """Whether a store can list the objects of an array, by keys that say where they are."""
    last = tuple(n - 1 for n in _grid(array))
    return array.store.supports_listing and _numbers(array.metadata.encode_chunk_key(last)) == last


def is_object(array: "zarr.Array[Any]", key: str) -> bool:
    """Whether a key, relative to an array, is that of one of its objects, stored or not.

    >>> array = zarr.create_array({}, shape=(3, 50), chunks=(1, 1), dtype="uint8")
    >>> is_object(array, "c/1/2"), is_object(array, "c/1"), is_object(array, "c.1.2")
    (True, False, False)
    """
    numbers = _numbers(key)
    return len(numbers) == array.ndim and array.metadata.encode_chunk_key(numbers) == key


def slabs(array: "zarr.Array[Any]") -> Iterator[Shape]:
    """Yield the first numbers of keys by which an array is listed; they are as many as have a folder of their own.

    >>> array = zarr.create_array({}, shape=(3, 50, 60), chunks=(1, 1, 1), dtype="uint8")
    >>> list(slabs(array.with_config({})))  # in memory, each list looks at all there is
    [()]
    """
    grid = _grid(array)
    has_folders = len(_names(array)) >= len(grid) and kind_of(array.store_path)[0].shared
    depth = max((d for d in range(len(grid)) if prod(grid[d:]) >= PAGE), default=0) if has_folders else 0
    yield from product(*map(range, grid[:depth]))


def listed_objects(some: Sequence[tuple["zarr.Array[Any]", Shape]]) -> list[Bits]:
    """Return which objects of slabs of arrays are stored, in their grids, as their one store lists them now."""
    kind, store = kind_of(some[0][0].store_path)
    kind.refresh(store)
    return sync(_all_listed(some))


async def _all_listed(some: Sequence[tuple["zarr.Array[Any]", Shape]]) -> list[Bits]:
    return await asyncio.gather(*(_listed(*each) for each in some))


async def _listed(array: "zarr.Array[Any]", slab: Shape) -> Bits:
    names, grid = _names(array), _grid(array)
    above = names[: max(len(names) - len(grid), 0)]
    prefix = join_paths(array.path, *above, *map(str, slab)) + "/"
    rest = grid[len(slab) :]
    found = np.zeros(rest, bool)
    with suppress(FileNotFoundError, NotADirectoryError):
        async for key in _keys_below(StorePath(array.store, prefix.lstrip("/"))):
            where = _numbers(key)
            if len(where) == len(rest) and all(p < n for p, n in zip(where, rest, strict=True)):
                found[where] = True
    return found


async def _keys_below(place: StorePath) -> AsyncIterator[str]:
    """Yield the keys below a path, without it. We walk folders: through zarr that takes ten times the work."""
    folder = folder_of(place)
    if folder is not None:
        for key in await asyncio.to_thread(_files_below, str(folder)):
            yield key
    else:
        prefix = f"{place.path}/" if place.path else ""
        async for key in place.store.list_prefix(prefix):
            yield key[len(prefix) :]


def _files_below(folder: str) -> list[str]:
    """Return the paths of files below a folder, whichever disk links lead to; none where there is no folder."""
    walk = os.walk(folder, onerror=_raise_unless_gone, followlinks=True)
    return [f"{parent[len(folder) + 1 :]}/{name}".lstrip("/") for parent, _, names in walk for name in names]


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _names(array: "zarr.Array[Any]") -> list[str]:
    """Return the folders of an object, and its name."""
    return array.metadata.encode_chunk_key((0,) * array.ndim).split("/")


def _grid(array: "zarr.Array[Any]") -> Shape:
    return n_blocks(array.shape, array.shards or array.chunks)


def _numbers(key: str) -> Shape:
    """Return the numbers in the end of a key; none for what is not an object.

    >>> _numbers("c/1/20"), _numbers("1.20"), _numbers("zarr.json")
    ((1, 20), (1, 20), ())
    """
    names = SEPARATORS.split(key.removeprefix("c/").removeprefix("c."))
    return tuple(map(int, names)) if all(map(str.isdecimal, names)) else ()


SEPARATORS = re.compile(r"[./\\]")
