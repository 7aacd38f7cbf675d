"""Laws of `daskome.model.storage.layout`: what it accepts is whole, JSON, and what zarr takes; what it refuses, it explains."""

import enum
import json
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st

from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes
from daskome.model.image import DTYPES, Image
from daskome.model.regions import ceil_div
from daskome.model.storage.codecs import CODECS, parse_codec
from daskome.model.storage.layout import (
    CHUNK_VOXELS,
    FIXED_OPTIONS,
    OPTIONS,
    ZARR_V2,
    ZARR_V3,
    ArrayFormat,
    Layout,
    default_chunks,
    options_per_level,
    parse_layout,
)
from daskome.ome.versions import VERSIONS
from daskome.planning.build import plan_downsampled
from daskome.planning.work import SourceChunks
from daskome.stores.targets.create import array_documents
from tests.strategies import images, law, options

ZYX = parse_axes("zyx", 3)
formats = pytest.mark.parametrize("stored_as", [ZARR_V2, ZARR_V3], ids=["v2", "v3"])


def lay(given: dict[str, Any], shape: tuple[int, ...] = (100, 200, 300), stored_as: ArrayFormat = ZARR_V3) -> Layout:
    """Return the layout of a uint16 volume."""
    return parse_layout(given, shape, parse_axes("tczyx"[-len(shape) :], len(shape)), 2, stored_as)


def stored(given: dict[str, Any], dtype: str = "uint16", version: str = "0.5") -> zarr.Array[Any]:
    """Return the empty array that zarr makes of options."""
    image = Image((20, 30, 40), dtype, ZYX, (1.0,) * 3, (0.0,) * 3)
    plan = plan_downsampled(
        image,
        SourceChunks(((20,), (30,), (40,))),
        METHODS["mean"],
        VERSIONS[version],
        scale_factors=None,
        storage_options=given,
    )
    store = zarr.storage.MemoryStore(array_documents(plan)[""])
    return zarr.open_array(store, path="s0", mode="r+", zarr_format=VERSIONS[version].arrays.zarr_format)


# ---- laws


@law(max_examples=150)
@given(image=images(), data=st.data(), stored_as=st.sampled_from([ZARR_V2, ZARR_V3]))
def test_shards_hold_whole_chunks_and_both_are_cut_to_the_array(
    image: Image, data: st.DataObject, stored_as: ArrayFormat
) -> None:
    given = data.draw(options(image.shape, stored_as is ZARR_V3))
    found = parse_layout(given, image.shape, image.axes, image.itemsize, stored_as)
    assert found.chunks == tuple(min(c, n) for c, n in zip(given["chunks"], image.shape, strict=True))
    assert (found.shards is None) == ("shards" not in given)
    assert found.objects == (found.shards or found.chunks)
    for shard, chunk, n in zip(found.objects, found.chunks, image.shape, strict=True):
        assert shard % chunk == 0
        assert shard <= ceil_div(n, chunk) * chunk
    for shard, chunk, wanted in zip(found.objects, found.chunks, given.get("shards", found.chunks), strict=True):
        assert shard <= max(wanted, chunk)


@law(max_examples=100)
@given(image=images(), big=st.integers(1, 5000))
def test_default_chunks_are_near_cubes_of_one_frame(image: Image, big: int) -> None:
    shape = tuple(n * big for n in image.shape)
    chunks = default_chunks(shape, image.axes)
    space = [(c, n) for c, n, axis in zip(chunks, shape, image.axes, strict=True) if axis.spatial]
    assert all(c == 1 for c, axis in zip(chunks, image.axes, strict=True) if not axis.spatial)
    assert np.prod(chunks, dtype=float) <= CHUNK_VOXELS
    assert len({c for c, n in space if c < n}) <= 1
    assert all(c <= n for c, n in space)
    assert all(c & (c - 1) == 0 for c, n in space if c < n)


@law(max_examples=60)
@given(image=images(), stored_as=st.sampled_from([ZARR_V2, ZARR_V3]))
def test_a_layout_is_json(image: Image, stored_as: ArrayFormat) -> None:
    found = parse_layout({}, image.shape, image.axes, image.itemsize, stored_as)
    assert json.loads(json.dumps(found.options, allow_nan=False)) == found.options
    assert found.options["zarr_format"] == stored_as.zarr_format


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_zarr_takes_the_defaults_for_every_dtype(dtype: str, version: str) -> None:
    array = stored({}, dtype, version)
    assert (array.shape, array.chunks, array.dtype) == ((20, 30, 40), (20, 30, 40), np.dtype(dtype))
    assert array.fill_value == 0
    data = (np.arange(24000) % 100).reshape(20, 30, 40).astype(dtype)
    array[:] = data
    np.testing.assert_array_equal(array[:], data)
    metadata = array.metadata.to_dict()
    if version == "0.4":
        assert array.attrs["_ARRAY_DIMENSIONS"] == ["z", "y", "x"]
        assert metadata["dimension_separator"] == "/"
        assert array.compressors[0].get_config()["shuffle"] == 1
    else:
        assert metadata["dimension_names"] == ("z", "y", "x")
        assert metadata["chunk_key_encoding"]["name"] == "default"
        assert metadata["chunk_key_encoding"]["configuration"]["separator"] == "/"


# ---- options


@formats
def test_defaults(stored_as: ArrayFormat) -> None:
    found = lay({}, (3, 2, 500, 500, 500), stored_as)
    assert (found.chunks, found.shards, found.objects) == ((1, 1, 128, 128, 128), None, (1, 1, 128, 128, 128))
    v2 = {
        "attributes": {"_ARRAY_DIMENSIONS": ["t", "c", "z", "y", "x"]},
        "chunk_key_encoding": {"name": "v2", "separator": "/"},
        "compressors": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
        "zarr_format": 2,
    }
    blosc = {"cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 0}
    v3 = {
        "chunk_key_encoding": {"name": "default", "separator": "/"},
        "compressors": {"name": "blosc", "configuration": blosc},
        "dimension_names": ["t", "c", "z", "y", "x"],
        "zarr_format": 3,
    }
    assert found.options == {2: v2, 3: v3}[stored_as.zarr_format]


def test_single_bytes_are_not_shuffled_where_readers_know_zstd() -> None:
    assert parse_layout({}, (8, 8, 8), ZYX, 1, ZARR_V3).options["compressors"] == parse_codec("zstd:1", ZARR_V3)
    assert parse_layout({}, (8, 8, 8), ZYX, 1, ZARR_V2).options["compressors"] == parse_codec(
        "blosc:zstd:1:shuffle", ZARR_V2
    )


@pytest.mark.parametrize(
    ("value", "chunks"),
    [
        (None, (1, 1, 100, 128, 128)),
        ("auto", (1, 1, 100, 128, 128)),
        (32, (1, 1, 32, 32, 32)),
        (np.int64(32), (1, 1, 32, 32, 32)),
        ({"z": 16}, (1, 1, 16, 128, 128)),
        ({"t": 2, "x": 10**9}, (2, 1, 100, 128, 300)),
        ((2, 2, 16, 32, 64), (2, 2, 16, 32, 64)),
        ([9, 9, 999, 999, 999], (4, 3, 100, 200, 300)),
    ],
)
def test_forms_of_chunks(value: Any, chunks: tuple[int, ...]) -> None:
    found = lay({"chunks": value}, (4, 3, 100, 200, 300)).chunks
    assert found == chunks
    assert all(type(c) is int for c in found)


@pytest.mark.parametrize(
    ("value", "shards"),
    [
        (None, None),
        ("auto", (1, 1, 100, 128, 128)),
        (64, (1, 1, 64, 64, 64)),
        ({"z": 64}, (1, 1, 64, 128, 128)),
        ((2, 3, 32, 320, 32), (2, 3, 32, 224, 32)),
    ],
)
def test_forms_of_shards(value: Any, shards: Any) -> None:
    found = lay({"chunks": (1, 1, 32, 32, 32), "shards": value}, (4, 3, 100, 200, 300))
    expected = (1, 1, 128, 128, 128) if value == "auto" else shards
    assert found.shards == expected


@pytest.mark.parametrize(
    ("shape", "chunks", "shards", "cut"),
    [
        ((100, 100, 100), 64, 128, (128, 128, 128)),
        ((50, 50, 50), 64, 128, (50, 50, 50)),
        ((65, 64, 63), 64, 256, (128, 64, 63)),
        ((1, 1, 1), 64, 64, (1, 1, 1)),
    ],
)
def test_shards_are_cut_to_the_chunks_that_exist(shape: Any, chunks: int, shards: int, cut: Any) -> None:
    assert lay({"chunks": chunks, "shards": shards}, shape).shards == cut


def endian(array: zarr.Array[Any]) -> str:
    """Return the byte order in which an array is stored; newer zarr has it as a string."""
    order = array.serializer.endian
    return getattr(order, "value", order)


OPTIONS_OF_BOTH = [
    ({"chunks": 8}, lambda a: a.chunks, (8, 8, 8)),
    ({"compressors": None}, lambda a: a.compressors, ()),
    ({"compressor": None}, lambda a: a.compressors, ()),
    ({"fill_value": 7}, lambda a: a.fill_value, 7),
    ({"fill_value": np.uint16(7)}, lambda a: a.fill_value, 7),
    ({"attributes": {"made": [1, "by"]}}, lambda a: a.attrs["made"], [1, "by"]),
    ({"attributes": {"id": "blosc"}}, lambda a: a.attrs["id"], "blosc"),
    ({"write_empty_chunks": True}, lambda a: a.shape, (20, 30, 40)),
    ({"config": {"write_empty_chunks": True}}, lambda a: a.shape, (20, 30, 40)),
    ({"filters": None}, lambda a: a.filters, ()),
]
OPTIONS_OF_V2 = [
    ({"order": "F"}, lambda a: a.metadata.order, "F"),
    ({"dimension_separator": "."}, lambda a: a.metadata.dimension_separator, "."),
    ({"chunk_key_encoding": {"name": "v2", "separator": "."}}, lambda a: a.metadata.dimension_separator, "."),
    ({"compressor": numcodecs.Zlib(3)}, lambda a: a.compressors[0].get_config(), {"id": "zlib", "level": 3}),
    ({"compressors": numcodecs.Blosc("lz4")}, lambda a: a.compressors[0].cname, "lz4"),
    ({"filters": [numcodecs.Delta("<u2")]}, lambda a: a.filters[0].codec_id, "delta"),
    ({"compressors": {"id": "zlib", "level": 2}}, lambda a: a.compressors[0].level, 2),
    ({"shards": None, "serializer": None}, lambda a: a.chunks, (20, 30, 40)),
]
OPTIONS_OF_V3 = [
    ({"chunks": 8, "shards": 16}, lambda a: a.shards, (16, 16, 16)),
    ({"serializer": zarr.codecs.BytesCodec(endian="big")}, endian, "big"),
    ({"serializer": "auto"}, endian, "little"),
    ({"compressors": zarr.codecs.ZstdCodec(level=2)}, lambda a: a.compressors[0].level, 2),
    ({"compressors": [zarr.codecs.GzipCodec(level=2)]}, lambda a: a.compressors[0].level, 2),
    ({"compressors": zarr.codecs.BloscCodec(cname="lz4", clevel=2)}, lambda a: a.compressors[0].clevel, 2),
    ({"compressors": {"name": "zstd", "configuration": {"level": 9}}}, lambda a: a.compressors[0].level, 9),
    ({"filters": [zarr.codecs.TransposeCodec(order=(2, 1, 0))]}, lambda a: a.filters[0].order, (2, 1, 0)),
    ({"dimension_separator": "."}, lambda a: a.metadata.chunk_key_encoding.separator, "."),
    ({"chunk_key_encoding": {"name": "v2", "separator": "/"}}, lambda a: a.metadata.chunk_key_encoding.name, "v2"),
    ({"order": "C"}, lambda a: a.chunks, (20, 30, 40)),
]


@pytest.mark.parametrize(
    ("version", "given", "of", "expected"),
    [("0.4", *row) for row in OPTIONS_OF_BOTH + OPTIONS_OF_V2]
    + [("0.5", *row) for row in OPTIONS_OF_BOTH + OPTIONS_OF_V3],
)
def test_options_reach_zarr(version: str, given: dict[str, Any], of: Any, expected: Any) -> None:
    array = stored(given, version=version)
    found = of(array)
    assert (() if found is None else found) == expected
    array[:3] = 5
    assert int(array[:].max()) == max(5, array.fill_value)


def test_every_option_is_tried() -> None:
    tried = {key for row in OPTIONS_OF_BOTH + OPTIONS_OF_V2 + OPTIONS_OF_V3 for key in row[0]}
    assert tried == set(OPTIONS)


@formats
def test_empty_chunks_are_written_on_request(stored_as: ArrayFormat) -> None:
    assert lay({"write_empty_chunks": 1}, stored_as=stored_as).options["config"] == {"write_empty_chunks": True}
    both = lay({"write_empty_chunks": True, "config": {"order": "C"}}, stored_as=stored_as).options["config"]
    assert both == {"order": "C", "write_empty_chunks": True}


@pytest.mark.parametrize(
    "key", ["chunks", "shards", "attributes", "config", "chunk_key_encoding", "dimension_separator"]
)
@formats
def test_none_is_the_default(key: str, stored_as: ArrayFormat) -> None:
    """As zarr has it, but for the separator: images of zarr v2 with chunks named "0.0" are black in viewers."""
    found, default = lay({key: None}, stored_as=stored_as), lay({}, stored_as=stored_as)
    given = {name: value for name, value in found.options.items() if value is not None}
    assert (found.chunks, found.shards, given) == (default.chunks, default.shards, default.options)


def test_attributes_of_v2_are_kept_beside_the_names_of_the_axes() -> None:
    found = lay({"attributes": {"a": 1}}, stored_as=ZARR_V2).options["attributes"]
    assert found == {"a": 1, "_ARRAY_DIMENSIONS": ["z", "y", "x"]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (numcodecs.Zlib(level=3), {"id": "zlib", "level": 3}),
        (numcodecs.GZip(2), {"id": "gzip", "level": 2}),
        (zarr.codecs.GzipCodec(level=2), {"name": "gzip", "configuration": {"level": 2}}),
        ((numcodecs.GZip(2), None), [{"id": "gzip", "level": 2}, None]),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (enum.Enum("Level", {"high": 9}).high, 9),
        ({1: {"a": (1, 2)}}, {"1": {"a": [1, 2]}}),
    ],
)
def test_objects_become_json(value: Any, expected: Any) -> None:
    found = lay({"compressors": value}).options["compressors"]
    assert json.loads(json.dumps(found)) == found == expected


@pytest.mark.parametrize("name", ["zstd", "gzip", "blosc"])
def test_codecs_of_zarr_and_of_text_agree(name: str) -> None:
    objects = {
        "zstd": zarr.codecs.ZstdCodec(level=3, checksum=False),
        "gzip": zarr.codecs.GzipCodec(level=5),
        "blosc": zarr.codecs.BloscCodec(cname="zstd", clevel=5, shuffle="shuffle", typesize=2),
    }
    found, expected = parse_codec(name, ZARR_V3), lay({"compressors": objects[name]}).options["compressors"]
    assert found["name"] == expected["name"]
    assert found["configuration"].items() <= expected["configuration"].items()


# ---- compressors as the command line names them


@pytest.mark.parametrize(
    ("text", "v2", "v3"),
    [
        ("none", None, None),
        ("zstd", ("zstd", {"level": 3}), ("zstd", {"level": 3, "checksum": False})),
        ("zstd:-5", ("zstd", {"level": -5}), ("zstd", {"level": -5, "checksum": False})),
        ("gzip", ("gzip", {"level": 5}), ("gzip", {"level": 5})),
        ("gzip:9", ("gzip", {"level": 9}), ("gzip", {"level": 9})),
        ("blosc", ("blosc", ("zstd", 5, 1)), ("blosc", ("zstd", 5, "shuffle"))),
        ("blosc:lz4", ("blosc", ("lz4", 5, 1)), ("blosc", ("lz4", 5, "shuffle"))),
        ("blosc:lz4:1", ("blosc", ("lz4", 1, 1)), ("blosc", ("lz4", 1, "shuffle"))),
        ("blosc:zstd:9:bitshuffle", ("blosc", ("zstd", 9, 2)), ("blosc", ("zstd", 9, "bitshuffle"))),
        ("blosc:lz4hc:0:noshuffle", ("blosc", ("lz4hc", 0, 0)), ("blosc", ("lz4hc", 0, "noshuffle"))),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_codecs_by_name(text: str, v2: Any, v3: Any, version: str) -> None:
    found = parse_codec(text, VERSIONS[version].arrays)
    expected = v2 if version == "0.4" else v3
    if expected is None:
        assert found is None
    else:
        name, values = expected
        if isinstance(values, tuple):
            values = dict(zip(("cname", "clevel", "shuffle"), values, strict=True), blocksize=0)
        assert found == ({"id": name, **values} if version == "0.4" else {"name": name, "configuration": values})
    array = stored({"compressors": found}, version=version)
    array[:] = 3
    assert int(array[:].min()) == 3


def test_the_table_of_codecs_has_both_formats() -> None:
    assert {name: set(spell) for name, (_, _, spell) in CODECS.items()} == {
        name: {2, 3} for name in ("zstd", "gzip", "blosc")
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("zst", "unknown compressor 'zst'; did you mean 'zstd'"),
        ("lzma", "unknown compressor 'lzma'"),
        ("", "unknown compressor ''"),
        ("zstd:3:4", "compressor 'zstd:3:4' has too many parts; zstd takes 3"),
        ("blosc:lz4:1:shuffle:0", "too many parts; blosc takes zstd, 5, shuffle"),
        ("zstd:high", "zstd:high"),
        ("gzip:", "gzip:"),
        ("blosc:lz4:fast", "blosc:lz4:fast"),
    ],
)
@formats
def test_unknown_codecs_are_named(text: str, message: str, stored_as: ArrayFormat) -> None:
    with pytest.raises(ValueError, match=message):
        parse_codec(text, stored_as)


@pytest.mark.parametrize("text", ["blosc:lz4:1:byte", "blosc:zippy", "blosc:lz4:99", "gzip:99"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_values_that_a_codec_has_not_are_refused_before_anything_is_written(text: str, version: str) -> None:
    with pytest.raises(ValueError):
        stored({"compressors": parse_codec(text, VERSIONS[version].arrays)}, version=version)


BROKEN = [
    ("0.4", {"id": "blosc", "cname": "zippy", "clevel": 5, "shuffle": 1}),
    ("0.4", {"id": "gzip", "level": 99}),
    ("0.4", numcodecs.Zlib(level=99)),
    ("0.5", {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 99, "shuffle": "shuffle"}}),
]


@pytest.mark.parametrize(("version", "given"), BROKEN)
def test_codecs_that_cannot_encode_are_refused_before_anything_is_written(version: str, given: Any) -> None:
    with pytest.raises(ValueError, match="s0"):
        stored({"compressors": given}, version=version)


# ---- one dict per level


def test_options_per_level() -> None:
    assert options_per_level(None, 3) == [{}, {}, {}]
    assert options_per_level({"chunks": 8}, 2) == [{"chunks": 8}] * 2
    assert options_per_level([{"chunks": 8}, {}], 2) == [{"chunks": 8}, {}]
    assert options_per_level([], 0) == []


def test_the_caller_keeps_the_dict() -> None:
    given = {"compressor": None, "write_empty_chunks": True, "dimension_separator": "/", "attributes": {"a": 1}}
    before = json.dumps(given)
    first, second = options_per_level(given, 2)
    assert first is not second
    lay(given, stored_as=ZARR_V2)
    assert json.dumps(given) == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{}], "storage_options has 1 entries, but the pyramid has 2 levels"),
        ([{}, {}, {"shape": 8}], "storage_options cannot set 'shape'"),
        ({"chunk": 8}, "unknown storage option 'chunk'; did you mean 'chunks'"),
        ({"shard": 8}, "did you mean 'shards'"),
        ([{}, {"compresors": 8}], "did you mean 'compressors'"),
        ({"zzz": 8}, "unknown storage option 'zzz'.*Known: chunks, shards"),
    ],
)
def test_options_that_are_unknown(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        options_per_level(given, 2)


@pytest.mark.parametrize("key", sorted(FIXED_OPTIONS))
def test_options_that_follow_from_the_image_are_refused_with_a_way_out(key: str) -> None:
    with pytest.raises(ValueError, match=f"storage_options cannot set '{key}': [a-z]+ .*"):
        options_per_level({key: None}, 1)
    assert not set(FIXED_OPTIONS) & set(OPTIONS)


def test_what_zarr_knows_is_an_option_or_owned() -> None:
    import inspect

    known = set(inspect.signature(zarr.create_array).parameters)
    assert known - {"write_data"} <= {*OPTIONS, *FIXED_OPTIONS}


# ---- bad values


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"chunks": (8, 8)}, r"chunks \(8, 8\) has 2 values, but the axes are 'zyx'"),
        ({"chunks": ()}, r"chunks \(\) has 0 values"),
        ({"chunks": 0}, "chunks .*0.* must be positive"),
        ({"chunks": (8, -1, 8)}, r"chunks \(8, -1, 8\) must be positive"),
        ({"chunks": {"q": 8}}, "unknown axis in chunks 'q'"),
        ({"chunks": (8.5, 8, 8)}, "8.5"),
        ({"chunks": "big"}, "chunks"),
        ({"chunks": {"z": "auto"}}, "chunks"),
        ({"chunks": 8, "shards": (8, 8)}, r"shards \(8, 8\) has 2 values"),
        ({"chunks": 8, "shards": 0}, "shards .* must be positive"),
        ({"chunks": 8, "shards": {"q": 8}}, "unknown axis in shards 'q'"),
        ({"chunks": 100, "shards": 256}, "axis 'z' has shards of 256 and chunks of 100; use shards of 200 or 300"),
        (
            {"chunks": (8, 8, 100), "shards": (8, 16, 64)},
            "'x' has shards of 64 and chunks of 100; use shards of 100 or 200",
        ),
        ({"compressors": object()}, "storage option 'compressors' cannot be kept as JSON: <object"),
        ({"attributes": {"a": {1, 2}}}, "storage option 'attributes' cannot be kept as JSON"),
        ({"fill_value": 1j}, "storage option 'fill_value' cannot be kept as JSON"),
    ],
)
@formats
def test_values_that_cannot_be(given: dict[str, Any], message: str, stored_as: ArrayFormat) -> None:
    if stored_as is ZARR_V2 and "shards" in given:
        message = "shards"
    with pytest.raises(ValueError, match=message):
        lay(given, stored_as=stored_as)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
@formats
def test_what_is_accepted_is_json_or_refused_by_name(value: Any, stored_as: ArrayFormat) -> None:
    try:
        found = lay({"fill_value": value}, stored_as=stored_as)
    except ValueError as error:
        reason = str(error)
    else:
        reason = "fill_value" + json.dumps(found.options, allow_nan=False)
    assert "fill_value" in reason


@pytest.mark.parametrize(
    ("given", "stored_as", "message"),
    [
        ({"shards": 8}, ZARR_V2, "storage option 'shards': zarr v2 .* has no shards; use fmt='0.5' or leave them out"),
        ({"shards": "auto"}, ZARR_V2, "storage option 'shards'"),
        ({"serializer": zarr.codecs.BytesCodec()}, ZARR_V2, "storage option 'serializer': zarr v2 .* use fmt='0.5'"),
        ({"order": "F"}, ZARR_V3, "storage option 'order': zarr v3 arrays have no order; use filters="),
    ],
)
def test_what_a_zarr_format_has_not_is_refused(given: dict[str, Any], stored_as: ArrayFormat, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lay(given, stored_as=stored_as)


def test_options_of_levels_that_there_are_not_have_no_effect() -> None:
    assert options_per_level([{"chunks": 8}, {"chunks": 4}, {"chunks": 2}], 2) == [{"chunks": 8}, {"chunks": 4}]


@pytest.mark.parametrize(
    ("chunks", "want"),
    [
        (((30, 30), (40, 30)), (30, 40)),
        (((30, 30, 10), (70,)), (30, 70)),
        ([[64, 6], [64, 6]], (64, 64)),
        (((30,), 35), (30, 35)),
        (True, (70, 70)),
        ("auto", (70, 70)),
    ],
)
def test_chunks_as_dask_has_them(chunks: Any, want: tuple[int, int]) -> None:
    assert lay_plane({"chunks": chunks}).chunks == want


def lay_plane(given: dict[str, Any]) -> Layout:
    return parse_layout(given, (70, 70), parse_axes("yx", 2), 1, ZARR_V3)


@pytest.mark.parametrize("chunks", [((30, 20, 20), (70,)), ((30, 40), (70,)), ((30, 10, 30), (70,))])
def test_chunks_that_differ_are_refused(chunks: Any) -> None:
    with pytest.raises(ValueError, match="of an axis differ, but those of a zarr array are equal"):
        lay_plane({"chunks": chunks})


def test_true_means_choose_for_me_and_false_nothing() -> None:
    assert lay_plane({"chunks": 10, "shards": True}) == lay_plane({"chunks": 10, "shards": "auto"})
    assert lay_plane({"shards": False}) == lay_plane({})
    with pytest.raises(ValueError, match="chunks False"):
        lay_plane({"chunks": False})


FOLLOWS = {"dtype": "uint16", "dimension_names": ["y", "x"], "zarr_format": 3}


@pytest.mark.parametrize(
    "option",
    [{"dtype": "u2"}, {"dtype": np.uint16}, {"dtype": ">u2"}, {"dimension_names": ("y", "x")}, {"zarr_format": 3},
     {"dtype": None}],
)  # fmt: skip
def test_what_follows_from_the_image_may_be_repeated(option: dict[str, Any]) -> None:
    assert options_per_level({**option, "chunks": 8}, 1, FOLLOWS) == [{"chunks": 8}]


@pytest.mark.parametrize("option", [{"dtype": "u1"}, {"dimension_names": ["x", "y"]}, {"zarr_format": 2}, {"shape": 3}])
def test_what_follows_from_the_image_cannot_be_changed(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="storage_options cannot set"):
        options_per_level(option, 1, FOLLOWS)
