"""Blocks that are not what their image says: an error that names the block, from every kind of image, however read."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.highlevelgraph import HighLevelGraph
from hypothesis import given, strategies as st
from zarr.storage import MemoryStore

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece
from daskome.sources.presence import check_travels
from tests.strategies import law

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


def cut_inline(block: Any) -> da.Array:
    return da.from_array(Fixed(block), chunks=(4, 8), inline_array=True, meta=np.empty((0, 0), "uint16"))


def chained(block: Any) -> da.Array:
    """Return blocks of which tasks of a hand-made graph are functions of another array's."""
    whole = da.from_array(np.concatenate([PLANE, PLANE]), chunks=(4, 8))
    tasks = {("made", i, 0): (lambda values: block, (whole.name, i, 0)) for i in range(2)}
    layered = HighLevelGraph.from_collections("made", tasks, [whole])
    return da.Array(layered, "made", ((4, 4), (8,)), "uint16")


def overlapped(block: Any) -> da.Array:
    """Return blocks that a function makes of blocks with their neighbours."""
    whole = da.from_array(np.concatenate([PLANE, PLANE]), chunks=(4, 8))
    meta = np.empty((0, 0), "uint16")
    return whole.map_overlap(lambda _: block, depth=1, boundary=0, trim=False, dtype="uint16", meta=meta)


def generalized(block: Any) -> da.Array:
    """Return blocks that a generalized ufunc takes out of a tuple."""
    whole = da.from_array(np.concatenate([PLANE, PLANE]), chunks=(4, 8))
    return da.apply_gufunc(lambda _: (0, block), "(i)->(),(i)", whole, output_dtypes=["int64", "uint16"])[1]


def of_a_block(block: Any) -> da.Array:
    """Return blocks of which one is that of another array."""
    other = da.Array({("other", 0, 0): (lambda: block,)}, "other", ((4,), (8,)), "uint16")
    return da.concatenate([da.from_array(PLANE), da.from_delayed(other.to_delayed()[0, 0], (4, 8), "uint16")])


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


@pytest.mark.sampled(3)
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


@law(max_examples=50, derandomize=False)
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


DECLARED = [delayed, mapped, graph, chained, overlapped, generalized, of_a_block]


def extended(*cases: Any) -> list[Any]:
    return [pytest.param(case, marks=pytest.mark.extended) for case in cases]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("kind", [*DECLARED[:3], *extended(*DECLARED[3:])])
@pytest.mark.parametrize("later", list(LATER))
def test_blocks_are_checked_before_they_are_cut(kind: Callable[[Any], Any], later: str) -> None:
    """Of a block that is too large, all parts would have the right shape."""
    with pytest.raises((daskome.WriteError, ValueError), match=r"has shape \((1, )?14, 18\), but the image says"):
        daskome.write_image(LATER[later](kind(np.pad(PLANE, 5))), MemoryStore(), None, retries=0)
    store, image = MemoryStore(), LATER[later](kind(PLANE + 1))
    daskome.write_image(image, store, None)
    np.testing.assert_array_equal(zarr.open_array(store, path="s0")[...], image.compute())


HIDING: dict[str, Callable[[da.Array], da.Array]] = {
    "sum": lambda image: image + da.ones((8, 8), chunks=(4, 8), dtype="uint16"),
    "where": lambda image: da.where(da.ones((8, 8), chunks=(4, 8)) > 0, image, 0),
    "joined": lambda image: image.rechunk((8, 8)),
    "stack": lambda image: da.stack([image, da.zeros((8, 8), chunks=(4, 8), dtype="uint16")]),
    "mean": lambda image: image + image.mean().astype("uint16"),
    "maximum": lambda image: image + image.max(axis=0, keepdims=True),
    "product": lambda image: da.einsum("ij,ij->ij", image, da.ones((8, 8), chunks=(4, 8), dtype="uint16")),
    "resized": lambda image: image.map_blocks(np.resize, (4, 8), dtype="uint16", meta=np.empty((0, 0), "uint16")),
    "assigned": lambda image: da.concatenate([image[:1], image[1:]]),
    "cast": lambda image: image.astype("float32").astype("uint8"),
}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("kind", [*DECLARED, cut, cut_inline])
@pytest.mark.parametrize("block", ["one row", *extended("a scalar", "one dimension", "floats", "None")])
@pytest.mark.parametrize("later", list(HIDING))
def test_blocks_are_checked_before_they_are_broadcast_or_joined(
    kind: Callable[[Any], Any], later: str, block: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=r"block [\[(].*[\])] of the image.* (is|has) .*the image says"):
        written(HIDING[later](kind(WRONG[block])))
    image = HIDING[later](delayed(PLANE + 1) if kind in (cut, cut_inline) else kind(PLANE + 1))
    np.testing.assert_array_equal(written(image), image.compute(scheduler="sync"))


VOLUME = np.random.default_rng(0).integers(0, 60000, (6, 8, 10)).astype("uint16")


SIZES: dict[str, Any] = {"output_sizes": {"j": 2}, "output_dtypes": ["uint16", "uint16"]}


def honest() -> dict[str, Callable[[da.Array, da.Array], da.Array]]:
    """Return functions of an image and of the same in single precision, with blocks for which Dask says what they are."""
    return {
        "mean": lambda x, f: f - f.mean(),
        "standard score": lambda x, f: ((f - f.mean(axis=0)) / f.std(axis=0)).astype("float32"),
        "keepdims": lambda x, f: x + x.max(axis=(1, 2), keepdims=True),
        "argmax": lambda x, f: x.argmax(axis=0),
        "cumsum": lambda x, f: x.cumsum(axis=0),
        "blelloch": lambda x, f: da.cumsum(x, axis=1, method="blelloch"),
        "median": lambda x, f: da.median(f, axis=0),
        "percentile": lambda x, f: (f - da.percentile(f.ravel(), [50])).astype("int32"),
        "histogram": lambda x, f: f + da.histogram(x, bins=9, range=(0, 60000))[0].cumsum(axis=0)[-1].astype("float32"),
        "bincount": lambda x, f: x + da.bincount(x.ravel(), minlength=4).max(),
        "unknown": lambda x, f: x + x[x > 30000].sum(),
        "known": lambda x, f: x[x[:, 0, 0] > 9000].compute_chunk_sizes(),
        "unique": lambda x, f: da.unique(x // 9000).compute_chunk_sizes()[:4, None],
        "topk": lambda x, f: da.topk(x, 3, axis=0),
        "indices": lambda x, f: x[da.from_array(np.array([1, 5, 3]), chunks=2)],
        "vindex": lambda x, f: x.vindex[:, [1, 2], [3, 4]],
        "assignment": assigned,
        "reshape": lambda x, f: x.reshape(2, 3, 8, 10),
        "ravel": lambda x, f: x.ravel()[:, None],
        "new axis": lambda x, f: da.expand_dims(x, 3),
        "pad": lambda x, f: da.pad(x, 2, mode="reflect"),
        "roll": lambda x, f: da.roll(x, 3, axis=1),
        "broadcast": lambda x, f: da.broadcast_to(x[:1], (4, 8, 10)),
        "length one": lambda x, f: x * x[:1] + x[:, :1, :1],
        "where": lambda x, f: da.add(x, 1, where=x > 5, out=da.zeros_like(x)),
        "fft": lambda x, f: da.fft.fft(f.rechunk((-1, 4, 5)), axis=0).real,
        "overlap": lambda x, f: f.map_overlap(lambda b: b - b.mean(), depth=1, boundary="none", dtype="float32"),
        "windows": lambda x, f: da.lib.stride_tricks.sliding_window_view(x, 3, axis=0).mean(axis=-1),
        "gufunc": lambda x, f: da.apply_gufunc(
            lambda a: (a[..., :2], a.max(-1)), "(i)->(j),()", x.rechunk((3, 4, -1)), **SIZES
        )[0],
        "einsum": lambda x, f: da.einsum("ijk,ijl->ikl", f, f),
        "matmul": lambda x, f: x @ x.transpose(0, 2, 1),
        "coarsen": lambda x, f: da.coarsen(np.mean, f, {0: 4, 1: 2}, trim_excess=True),
        "masked": lambda x, f: da.ma.filled(da.ma.masked_greater(x, 30000)[1:].rechunk(4), 7),
        "reduction": lambda x, f: da.reduction(x, np.max, np.max, axis=0, dtype="uint16"),
        "scalar": lambda x, f: x + da.from_delayed(dask.delayed(int)(3), (), "int64"),
        "blocks": lambda x, f: x.blocks[1:, 0] + 1,
        "arange": lambda x, f: x + da.arange(10, chunks=5),
        "block numbers": lambda x, f: x.map_blocks(lambda b, block_id: b + block_id[0], dtype="uint16"),
        "dropped axis": lambda x, f: x.rechunk((-1, 4, 5)).map_blocks(lambda b: b.max(0), drop_axis=0, dtype="uint16"),
        "optimized": lambda x, f: dask.optimize((x + 1).map_blocks(np.copy).rechunk(3))[0] + x[:1],
        "persisted": lambda x, f: (x + 1).map_blocks(np.copy).persist(scheduler="sync") + x[:1],
        "big-endian": lambda x, f: x.astype(">u2").map_blocks(np.copy).rechunk(3) + 1,
    }


def assigned(image: da.Array, _: da.Array) -> da.Array:
    copy = image.copy()
    copy[0] = image[1]
    copy[copy > 30000] = 7
    return copy


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", list(honest()))
def test_graphs_whose_blocks_are_what_dask_says_are_written(kind: str) -> None:
    """Dask says of some arrays inside its graphs what is not true of their blocks."""
    image = da.from_array(VOLUME, chunks=(3, 4, 5)).map_blocks(lambda block: block // 2, dtype="uint16")
    made = honest()[kind](image, image.astype("float32"))
    np.testing.assert_allclose(written(made), made.compute(scheduler="sync"))


def written(image: da.Array) -> Any:
    """Return an image as units read it."""
    source = as_source(image)
    return source_piece(source, tuple((0, n) for n in source.shape), (4,) * image.ndim).compute(scheduler="sync")


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
