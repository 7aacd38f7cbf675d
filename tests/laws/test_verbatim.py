"""Chunks taken over as they are: values as if written anew, bytes of level 0 those of the source, all else the same."""

from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import HealthCheck, given, strategies as st
from numcodecs import LZ4, BitRound, Delta, get_codec
from zarr.storage import MemoryStore, WrapperStore

import daskome
from daskome.cli import main
from daskome.model.image import DTYPES
from daskome.model.storage.codecs import parse_codec
from daskome.model.storage.layout import ZARR_V2, ZARR_V3
from daskome.stores.objects.shards import sharding_of
from tests.execution.test_resume import done
from tests.laws.test_laws import random_image
from tests.strategies import law
from tests.written import contents, levels, lights_out

SLOW_TO_DRAW = list(HealthCheck)
CODECS = (
    (None, None),
    ("blosc:lz4:5:bitshuffle", "blosc:zstd:9:shuffle"),
    ("zstd:1", "zstd:19"),
    ("gzip:1", "gzip:9"),
)
"""What arrays say of their codec, and what their chunks were encoded with: bytes that nobody would write anew."""
Stored = dict[tuple[int, ...], bytes]


def chunks_stored(array: zarr.Array[Any]) -> Stored:
    """Return the encoded chunks of an array in memory, by their positions; out of its shards, if there are any."""
    sharding, found = sharding_of(array), {}
    shape = array.shards or array.chunks
    for where in product(*(range(-(-n // c)) for n, c in zip(array.shape, shape, strict=True))):
        key = f"{array.path}/{array.metadata.encode_chunk_key(where)}".lstrip("/")
        stored = array.store._store_dict.get(key)
        if stored is not None:
            inner = {(0,) * array.ndim: stored} if sharding is None else sharding.apart(stored)
            grid = (1,) * array.ndim if sharding is None else sharding.grid
            for position, chunk in inner.items():
                index = tuple(w * g + p for w, g, p in zip(where, grid, position, strict=True))
                found[index] = chunk.to_bytes()
    return found


def others(store: MemoryStore) -> dict[str, bytes]:
    """Return what is stored of all levels but the first."""
    return {key: value.to_bytes() for key, value in store._store_dict.items() if key.startswith(("s1/", "s2/"))}


@st.composite
def sources(draw: Any) -> dict[str, Any]:
    """Draw how an array is stored, its values and holes in it, and how it is to be stored."""
    ndim = draw(st.integers(2, 3))
    shape = tuple(draw(st.sampled_from([1, 5, 7, 16, 23])) for _ in range(ndim))
    chunks = tuple(draw(st.sampled_from([2, 3, 8, 30])) for _ in range(ndim))
    old, new = draw(st.sampled_from([2, 3])), draw(st.sampled_from(["0.4", "0.5", "0.5"]))
    sharded = old == 3 and new == "0.5" and draw(st.booleans())
    shards = tuple(c * draw(st.integers(1, 2)) for c in chunks) if sharded else None
    wanted = None
    if new == "0.5" and draw(st.booleans()):
        wanted = tuple(s * draw(st.integers(1, 3)) for s in shards or chunks)
    big = new == "0.5" and draw(st.booleans())
    filters = [{"name": "transpose", "configuration": {"order": [*range(ndim)][::-1]}}] if draw(st.booleans()) else []
    return {
        "shape": shape,
        "chunks": chunks,
        "shards": shards,
        "zarr_format": old,
        "version": new,
        "wanted": wanted,
        "dtype": draw(st.sampled_from(DTYPES)),
        "big": big,
        "filters": filters,
        "codecs": draw(st.sampled_from(CODECS)),
        "fills": (draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([None, 0, 1]))),
        "empty": draw(st.booleans()),
        "holes": draw(st.integers(0, 3)),
        "seed": draw(st.integers(0, 99)),
    }


def stored_source(case: dict[str, Any]) -> zarr.Array[Any]:
    """Return the array of a case, in memory: the document of one array, and the chunks of another."""
    array, stored = (empty_source(case, codec) for codec in case["codecs"])
    values = random_image(case["shape"], case["dtype"], case["seed"])
    grid = case["shards"] or case["chunks"]
    cells = list(product(*(range(0, n, c) for n, c in zip(case["shape"], grid, strict=True))))
    for number, starts in enumerate(cells):
        if number % 4 >= case["holes"]:
            part = tuple(slice(s, s + c) for s, c in zip(starts, grid, strict=True))
            stored[part] = values[part]
    for key, chunk in stored.store._store_dict.items():
        array.store._store_dict.setdefault(key, chunk)
    return array


def empty_source(case: dict[str, Any], codec: str | None) -> zarr.Array[Any]:
    v2 = case["zarr_format"] == 2
    dtype = np.dtype(case["dtype"]).newbyteorder(">" if v2 and case["big"] else "=")
    layout: dict[str, Any] = {"order": "F" if case["filters"] else "C"} if v2 else {"filters": case["filters"]}
    if not v2 and case["big"]:
        layout["serializer"] = {"name": "bytes", "configuration": {"endian": "big"}}
    return zarr.create_array(
        MemoryStore(),
        name="old",
        shape=case["shape"],
        chunks=case["chunks"],
        shards=case["shards"],
        dtype=dtype,
        compressors=codec and _codec(codec, v2),
        fill_value=dtype.type(case["fills"][0]),
        zarr_format=case["zarr_format"],
        config={"write_empty_chunks": case["empty"]},
        **layout,
    )


def _codec(name: str, v2: bool) -> Any:
    return get_codec(parse_codec(name, ZARR_V2)) if v2 else parse_codec(name, ZARR_V3)


@pytest.mark.usefixtures("tiny_blocks")
@law(max_examples=24, derandomize=False, suppress_health_check=SLOW_TO_DRAW)
@given(sources())
def test_values_bytes_and_other_levels(case: dict[str, Any]) -> None:
    check(case)


@pytest.mark.extended
@pytest.mark.usefixtures("block_size")
@law(max_examples=150, derandomize=False, suppress_health_check=SLOW_TO_DRAW)
@given(sources())
def test_many_values_bytes_and_other_levels(case: dict[str, Any]) -> None:
    check(case)


def check(case: dict[str, Any]) -> None:
    """Check what is written of a case, with its chunks taken over, and without."""
    source = stored_source(case)
    axes, old, new, plain = "zyx"[-source.ndim :], chunks_stored(source), MemoryStore(), MemoryStore()
    own = {} if case["wanted"] is None else {"shards": case["wanted"]}
    fill = case["fills"][1]
    own |= {} if fill is None else {"fill_value": fill}
    further = [{"chunks": 4, "compressors": "zstd:1"}] * 2
    written: dict[str, Any] = {"scale_factors": [2, 4], "axes": axes, "fmt": case["version"]}
    if min(source.shape) < 4:
        written["scale_factors"], further = None, []
    plan = daskome.write_image(source, new, verbatim=True, storage_options=[own, *further], **written)
    layout = plan.pyramids[0].levels[0].layout
    assert layout.verbatim
    assert layout.chunks == case["chunks"]
    daskome.write_image(source, plain, storage_options=[{**own, "chunks": layout.chunks}, *further], **written)

    made, expected = levels(new), levels(plain)
    assert made[0].tobytes() == source[...].astype(made[0].dtype).tobytes()
    for one, other in zip(made[1:], expected[1:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert others(new) == others(plain)
    found = chunks_stored(zarr.open_array(new, path="s0", mode="r"))
    assert {where: found[where] for where in old if where in found} == old
    if case["fills"][0] == (fill or 0):
        assert found.keys() == old.keys()
    assert daskome.verify(new, pixels=True) == []
    assert daskome.verify(new, source=source) == []
    assert type(plan).from_json(plan.to_json()) == plan


def image(tmp_path: Path, **stored: Any) -> zarr.Array[Any]:
    """Return an array in a folder."""
    options = {"chunks": (8, 8, 8), "compressors": {"name": "zstd", "configuration": {"level": 19}}, **stored}
    array = zarr.create_array(tmp_path / "old.zarr", shape=(40, 31, 24), dtype="uint16", **options)
    array[...] = random_image(array.shape, "uint16")
    array[:8, :8] = 0
    return array


REFUSED = [
    ({"chunks": 16}, {}, r"its chunks are \(8, 8, 8\), but \(16, 16, 16\) are wanted"),
    ({"compressors": "gzip:3"}, {}, r"its codecs are bytes \(endian little\), zstd, but .*gzip are wanted"),
    ({"compressors": None}, {}, r"zstd, but bytes \(endian little\) are wanted"),
    ({"compressor": None}, {}, r"zstd, but bytes \(endian little\) are wanted"),
    ({"serializer": {"name": "bytes", "configuration": {"endian": "big"}}}, {}, "endian big"),
    ({"filters": [{"name": "transpose", "configuration": {"order": [2, 1, 0]}}]}, {}, "transpose"),
    ({"shards": 12}, {}, "a shard holds whole chunks: axis 'z' has shards of 12 and chunks of 8"),
    ({"shards": 24}, {"shards": (16, 16, 16)}, r"its shards are \(16, 16, 16\), but whole ones do not make shards of"),
    ({"shards": False}, {"shards": (16, 16, 16)}, "do not make chunks of .* without shards"),
    ({"chunks": 4}, {"shards": (16, 16, 16)}, "its chunks are"),
    ({}, {"serializer": {"name": "bytes", "configuration": {"endian": "big"}}, "fmt": "0.4"}, "little-endian"),
    ({}, {"shards": (16, 16, 16), "fmt": "0.4"}, "zarr v2 .* has none"),
    ({}, {"filters": [{"name": "transpose", "configuration": {"order": [1, 0, 2]}}], "fmt": "0.4"}, "C and F only"),
    ({}, {"zarr_format": 2, "compressors": LZ4()}, "its codec numcodecs.lz4 is not one that zarr v2 and v3 share"),
    ({"order": "F"}, {"fmt": "0.4"}, "transpose .* are wanted"),
]


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("wanted", "stored", "message"), REFUSED)
def test_what_cannot_be_taken_over_is_refused_early(
    tmp_path: Path, wanted: dict[str, Any], stored: dict[str, Any], message: str
) -> None:
    stored = dict(stored)
    fmt = stored.pop("fmt", "0.5")
    source = image(tmp_path, **stored)
    for call in (daskome.plan_image, daskome.write_image):
        with pytest.raises(ValueError, match=message):
            call(source, tmp_path / "new", axes="zyx", verbatim=True, storage_options=wanted, fmt=fmt)
    assert not (tmp_path / "new").exists()
    plan = daskome.plan_image(source, axes="zyx", storage_options=wanted, fmt=fmt) if "shards" not in wanted else None
    assert "--verbatim" not in str(plan)


def test_what_is_no_zarr_array_is_refused(tmp_path: Path) -> None:
    source = image(tmp_path)
    lazy = da.from_zarr(source)
    (fused,) = dask.optimize(lazy[::-1])
    for other in (
        source[...],
        lazy + 1,
        lazy[::-1],
        lazy[:8],
        fused,
        lazy.astype("uint32"),
        daskome.Volume((8, 8), "u1"),
    ):
        with pytest.raises(ValueError, match=r"verbatim=True \(--verbatim\) takes the chunks of a zarr array over"):
            daskome.write_image(other, tmp_path / "new", verbatim=True)
        assert "--verbatim" not in str(daskome.plan_image(other))
    with pytest.raises(ValueError, match="verbatim='no' must be True or False"):
        daskome.write_image(source, tmp_path / "new", verbatim="no")
    assert not (tmp_path / "new").exists()


def test_it_is_offered_where_it_applies(tmp_path: Path) -> None:
    source = image(tmp_path)
    for one in (source, da.from_zarr(source), daskome.read(tmp_path / "old.zarr")):
        assert "level 0 could be taken over as it is, not encoded anew: verbatim=True (--verbatim)" in str(
            daskome.plan_image(one, axes="zyx", storage_options={"shards": 16})
        )
    plan = daskome.plan_image(source, axes="zyx", verbatim=True)
    assert "the chunks of s0 are those of the source, as they are" in str(plan)
    assert "could be" not in str(plan)


@pytest.mark.parametrize("codecs", [{"filters": Delta("<u2")}, {"filters": BitRound(3), "dtype": "float32"}])
def test_any_codecs_go_from_zarr_v2_to_v2(tmp_path: Path, codecs: dict[str, Any]) -> None:
    options: dict[str, Any] = {"dtype": "uint16", "compressors": LZ4(), **codecs}
    source = zarr.create_array(MemoryStore(), name="old", shape=(20, 20), chunks=(8, 8), zarr_format=2, **options)
    source[...] = random_image((20, 20), options["dtype"])
    new = MemoryStore()
    daskome.write_image(source, new, [2], axes="yx", fmt="0.4", verbatim=True)
    assert chunks_stored(zarr.open_array(new, path="s0")) == chunks_stored(source)
    assert daskome.verify(new, pixels=True, source=source) == []
    assert daskome.verify(new, pixels=True) == []


class Asked(WrapperStore[Any]):
    """A store that counts what is asked of it."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.asked: Counter[str] = Counter()

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        """Count and return."""
        self.asked[key] += 1
        return await self._store.get(key, prototype, byte_range)

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Count and return."""
        self.asked[key] += 1
        return self._store.get_sync(key, prototype=prototype, byte_range=byte_range)


@pytest.mark.parametrize("shards", [None, (16, 16, 16)])
def test_each_object_is_asked_for_once(tmp_path: Path, shards: Any) -> None:
    stored = image(tmp_path, shards=shards)
    store = Asked(stored.store)
    source = zarr.open_array(store, mode="r+")
    store.asked.clear()
    new = zarr.storage.LocalStore(tmp_path / "new")
    daskome.write_image(source, new, [2, 4], axes="zyx", verbatim=True)
    chunks = {key: n for key, n in store.asked.items() if key.startswith("c/")}
    assert set(chunks.values()) == {1}
    assert len(chunks) == np.prod([-(-n // c) for n, c in zip(source.shape, shards or source.chunks, strict=True)])
    assert contents(tmp_path / "new" / "s0" / "c") == contents(tmp_path / "old.zarr" / "c")


@pytest.mark.sampled(2)
@pytest.mark.usefixtures("tiny_blocks")
@pytest.mark.parametrize("storage", [{}, {"shards": 16}])
def test_an_interrupted_write_goes_on(tmp_path: Path, storage: dict[str, Any]) -> None:
    source = image(tmp_path)
    options: dict[str, Any] = {"axes": "zyx", "scale_factors": [2, 4], "storage_options": storage}
    daskome.write_image(source, tmp_path / "whole", verbatim=True, **options)
    with pytest.raises(daskome.WriteError), lights_out(3):
        daskome.write_image(source, tmp_path / "new", verbatim=True, retries=0, **options)
    assert len(done(tmp_path / "new")) == 3
    with pytest.raises(ValueError, match="verbatim"):
        daskome.write_image(source, tmp_path / "new", resume=True, **options)
    daskome.write_image(source, tmp_path / "new", verbatim=True, resume=True, **options)
    assert contents(tmp_path / "new") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("tiny_blocks")
def test_parts_delayed_and_a_cluster_write_the_same(tmp_path: Path, client: Any) -> None:
    source = image(tmp_path)
    options: dict[str, Any] = {"axes": "zyx", "scale_factors": [2], "storage_options": {"shards": 16}, "verbatim": True}
    with dask.config.set(scheduler="sync"):
        daskome.write_image(source, tmp_path / "whole", **options)
        plan: Any = daskome.write_image(da.from_zarr(source), tmp_path / "parts", compute="init", **options)
        for part in range(3):
            daskome.run_part(tmp_path / "parts", source, 0, (part, 3))
        for stage in range(1, len(plan.stages)):
            daskome.run_part(tmp_path / "parts", source, stage)
        daskome.finish(tmp_path / "parts")
        daskome.write_image(source, tmp_path / "later", compute=False, **options).compute()
    daskome.write_image(daskome.read(tmp_path / "old.zarr"), tmp_path / "cluster", name="image", **options)
    for other in ("parts", "later", "cluster"):
        assert contents(tmp_path / other) == contents(tmp_path / "whole"), other


def test_a_part_takes_only_the_chunks_that_were_planned(tmp_path: Path) -> None:
    source = image(tmp_path)
    daskome.write_image(source, tmp_path / "new", None, axes="zyx", verbatim=True, compute="init")
    other = image(tmp_path / "other", compressors={"name": "gzip", "configuration": {"level": 1}})
    with pytest.raises(ValueError, match=r"gzip, but .*zstd are wanted"):
        daskome.run_part(tmp_path / "new", other)
    with pytest.raises(ValueError, match="takes the chunks of a zarr array over"):
        daskome.run_part(tmp_path / "new", source[...])
    daskome.run_part(tmp_path / "new", da.from_zarr(source))
    daskome.finish(tmp_path / "new")
    assert daskome.verify(tmp_path / "new", source=source) == []


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("old", "new"), [*product(["0.1", "0.4", "0.5"], ["0.4", "0.5"])])
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.1", "ignore:.*OME-Zarr 0.1 has no", "ignore:.*0.1")
def test_hierarchies(tmp_path: Path, old: str, new: str) -> None:
    stored, labels = image(tmp_path)[...], {"cells": random_image((40, 31, 24), "uint8")}
    options: dict[str, Any] = {"storage_options": {"chunks": 8, "compressors": "zstd:19"}, "fmt": old}
    daskome.write_image(stored, tmp_path / "a", [2, 4], axes="zyx", labels=labels, **options)
    daskome.transcode(tmp_path / "a", tmp_path / "b", fmt=new, verbatim=True)
    for path in ("s0", "s1", "s2", "labels/cells/s0", "labels/cells/s1"):
        before, after = (zarr.open_array(tmp_path / one, path=path, mode="r") for one in "ab")
        np.testing.assert_array_equal(before[...], after[...])
        assert sorted(chunk_files(before)) == sorted(chunk_files(after)), path
    assert daskome.verify(tmp_path / "b", pixels=True) == []
    if new == "0.5":
        daskome.transcode(tmp_path / "a", tmp_path / "c", fmt=new, verbatim=True, storage_options={"shards": 32})
        assert daskome.verify(tmp_path / "c", pixels=True) == []


def chunk_files(array: zarr.Array[Any]) -> list[bytes]:
    """Return the stored objects of an array in a folder."""
    files = contents(Path(str(array.store_path).removeprefix("file://")))
    return [data for name, data in files.items() if not name.endswith((".zarray", ".zattrs", "zarr.json"))]


def test_labels_multiscales_and_plates(tmp_path: Path) -> None:
    source = image(tmp_path)
    half = image(tmp_path / "half", chunks=(8, 8, 24))
    half.resize((20, 16, 12))
    assert half.shape == (20, 16, 12)
    daskome.write_multiscale([source, half], tmp_path / "m", axes="zyx", verbatim=True)
    assert chunk_files(zarr.open_array(tmp_path / "m", path="s0")) == chunk_files(source)
    daskome.write_labels(source, tmp_path / "m", "cells", verbatim=True)
    assert chunk_files(zarr.open_array(tmp_path / "m", path="labels/cells/s0")) == chunk_files(source)
    other = image(tmp_path / "other", compressors={"name": "gzip", "configuration": {"level": 9}})
    daskome.write_plate({"A/1": [source, other]}, tmp_path / "p", axes="zyx", verbatim=True)
    for path, one in (("A/1/0/s0", source), ("A/1/1/s0", other)):
        assert chunk_files(zarr.open_array(tmp_path / "p", path=path)) == chunk_files(one)
    assert daskome.verify(tmp_path / "p", pixels=True) == []


def test_the_command(tmp_path: Path) -> None:
    source = image(tmp_path)
    old, new = str(tmp_path / "old.zarr"), str(tmp_path / "new")
    done = CliRunner().invoke(main, ["write", old, new, "--axes", "zyx", "--shards", "16", "--verbatim", "-q"])
    assert done.exit_code == 0, done.output
    assert zarr.open_array(new, path="s0").shards == (16, 16, 16)
    assert daskome.verify(new, pixels=True, source=source) == []
    done = CliRunner().invoke(main, ["write", old, new + "2", "--axes", "zyx", "--chunks", "16", "--verbatim", "-q"])
    assert done.exit_code == 2
    assert "its chunks are (8, 8, 8)" in done.output
    done = CliRunner().invoke(main, ["write", new, new + "3", "--verbatim", "-q"])
    assert done.exit_code == 0, done.output
    assert contents(Path(new) / "s0" / "c") == contents(Path(new + "3") / "s0" / "c")
