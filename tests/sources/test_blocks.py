"""Blocks that are not what their image says: an error that names the block, from every kind of image, however read."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece
from daskome.sources.presence import check_travels

PLANE = np.arange(1, 33, dtype="uint16").reshape(4, 8)


class Fixed:
    """An array-like that returns the same block whatever it is asked for."""

    def __init__(self, block: Any) -> None:
        self.block, self.shape, self.dtype, self.ndim = block, (8, 8), np.dtype("uint16"), 2

    def __getitem__(self, index: Any) -> Any:
        return self.block


def delayed(block: Any) -> da.Array:
    """Return two blocks of 4 x 8, of which the second is `block`."""
    return da.concatenate([da.from_array(PLANE), da.from_delayed(dask.delayed(lambda: block)(), (4, 8), "uint16")])


def mapped(block: Any) -> da.Array:
    def function(values: Any, block_id: Any) -> Any:
        return block if block_id == (1, 0) else values

    whole = da.from_array(np.concatenate([PLANE, PLANE]), chunks=(4, 8))
    return whole.map_blocks(function, dtype="uint16", meta=np.empty((0, 0), "uint16"))


def graph(block: Any) -> da.Array:
    return da.Array({("x", 0, 0): PLANE, ("x", 1, 0): block}, "x", ((4, 4), (8,)), "uint16")


def cut(block: Any) -> da.Array:
    return da.from_array(Fixed(block), chunks=(4, 8))


KINDS = {"from_delayed": delayed, "map_blocks": mapped, "graph": graph, "from_array": cut, "array-like": Fixed}
WRONG: dict[str, Any] = {
    "one row": PLANE[:1],
    "one column": PLANE[:, :1],
    "no rows": PLANE[:0],
    "one row too few": PLANE[1:],
    "more all around": np.pad(PLANE, 5),
    "transposed": PLANE.T,
    "a scalar": np.uint16(7),
    "one dimension": PLANE[0],
    "three dimensions": PLANE[None],
    "wider integers": PLANE.astype("uint32"),
    "floats": PLANE.astype(float),
    "signed": PLANE.view("int16"),
    "text": np.full((4, 8), "a"),
    "objects": PLANE.astype(object),
    "None": None,
    "masked": np.ma.masked_less(PLANE, 3),
}


@pytest.mark.parametrize("block", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("rows", [(0, 8), (4, 8), (5, 7)], ids=["all", "a block", "a part of a block"])
def test_a_block_that_is_not_as_declared_is_named(
    kind: Callable[[Any], Any], block: Any, rows: tuple[int, int]
) -> None:
    piece = source_piece(as_source(kind(block)), (rows, (0, 8)), (2, 8))
    with pytest.raises((ValueError, TypeError), match=r"block [\[(].*[\])] of the image .*(says|masked)"):
        piece.compute(scheduler="sync")


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_nothing_is_published_of_it(kind: Callable[[Any], Any]) -> None:
    store = zarr.storage.MemoryStore()
    with pytest.raises(daskome.WriteError, match=r"of the image.* has shape \(1, 8\), but the image says"):
        daskome.write_image(kind(PLANE[:1]), store, [2], axes="yx", retries=0)
    assert "ome" not in zarr.open_group(store, mode="r").attrs


def test_the_block_and_its_key_are_named() -> None:
    with pytest.raises(ValueError, match=r"block \(1, 0\) of the image \(x\) has shape \(1, 8\)"):
        source_piece(as_source(graph(PLANE[:1])), ((4, 8), (0, 8)), (4, 8)).compute(scheduler="sync")


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_pieces_of_any_dask_image_are_its_parts(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 12)] * 3))
    chunks = tuple(data.draw(st.integers(1, n)) for n in shape)
    values = np.arange(np.prod(shape), dtype=data.draw(st.sampled_from(["<i4", ">i4"]))).reshape(shape)
    image = da.from_array(values, chunks=chunks)
    image = data.draw(st.sampled_from([image, image.map_blocks(np.copy), image + 0]))
    region = tuple(sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape)
    region = tuple((a, max(b, a + 1)) for a, b in region)
    found = source_piece(as_source(image), region, (4, 4, 4)).compute(scheduler="sync")
    np.testing.assert_array_equal(found, values[tuple(slice(*span) for span in region)])


READ: list[Any] = []


class Recording(Fixed):
    """An array-like that notes what it is asked for."""

    def __getitem__(self, index: Any) -> Any:
        READ.append(index)
        return np.zeros((8, 8), "uint16")[index]


LATER: dict[str, Callable[[da.Array], da.Array]] = {
    "rechunk": lambda image: image.rechunk(3),
    "slice": lambda image: image[1:, 2:5],
    "backwards": lambda image: image[::-1],
    "indices": lambda image: image[[0, 5, 7]],
    "computed": lambda image: (image + 1)[2:],
    "concatenate": lambda image: da.concatenate([image, image]).rechunk((5, 8)),
    "stack": lambda image: da.stack([image, image])[:, 3:],
    "overlap": lambda image: da.overlap.overlap(image.rechunk(4), 1, "none"),
}


@pytest.mark.parametrize("kind", [delayed, mapped, graph])
@pytest.mark.parametrize("later", list(LATER))
def test_blocks_are_checked_before_they_are_cut(kind: Callable[[Any], Any], later: str) -> None:
    """Of a block that is too large, all parts would have the right shape."""
    with pytest.raises((daskome.WriteError, ValueError), match=r"has shape \((1, )?14, 18\), but the image says"):
        daskome.write_image(LATER[later](kind(np.pad(PLANE, 5))), MemoryStore(), None, retries=0)
    store, image = MemoryStore(), LATER[later](kind(PLANE + 1))
    daskome.write_image(image, store, None)
    np.testing.assert_array_equal(zarr.open_array(store, path="s0")[...], image.compute())


def test_of_what_is_only_cut_no_more_than_the_part_is_read() -> None:
    READ.clear()
    image = da.from_array(Recording(None), chunks=(8, 8), meta=np.empty((0, 0), "uint16"))
    source_piece(as_source(image), ((2, 4), (0, 8)), (8, 8)).compute(scheduler="sync")
    assert [(part[0].start, part[0].stop) for part in READ] == [(2, 4)]


def test_what_cannot_be_pickled_cannot_travel() -> None:
    image = as_source(da.from_array(Fixed(lambda: 1), chunks=(8, 8), meta=np.empty((0, 0), "uint16")))
    check_travels(image)
    image = as_source(da.from_array(Fixed(i for i in ()), chunks=(8, 8), meta=np.empty((0, 0), "uint16")))
    with pytest.raises(TypeError, match=r"cannot travel to the workers .*generator.*daskome\.read"):
        check_travels(image)
