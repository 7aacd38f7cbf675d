"""Laws of `daskome.upgrade.zarr_v3`: an upgraded array has the values it had, bit for bit, for zarr and for tensorstore."""

import ast
import json
import warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numcodecs
import numpy as np
import pytest
import tensorstore
import zarr
from hypothesis import given, strategies as st
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import LocalStore, MemoryStore

from daskome.model.image import DTYPES, ITEMSIZES
from daskome.upgrade import zarr_v3
from daskome.upgrade.zarr_v3 import CNAMES, V2_CODECS, V2_SHUFFLES, separator, to_zarr_v3
from tests.strategies import law

ORDERS = ("C", "F")
SEPARATORS = (".", "/")
STORED_AS = [
    order + f"{name[0]}{ITEMSIZES[name]}" for name in DTYPES for order in ("<>" if ITEMSIZES[name] > 1 else "|")
]
"""Every dtype of an image in each order of its bytes, as zarr v2 calls it."""
COMPRESSORS: dict[str, tuple[list[Any], list[Any]]] = {
    "none": ([], []),
    "zstd": ([{"id": "zstd", "level": 3}], [ZstdCodec(level=3)]),
    "zstd-checksum": ([{"id": "zstd", "level": -2, "checksum": True}], [ZstdCodec(level=-2, checksum=True)]),
    "gzip": ([{"id": "gzip", "level": 1}], [GzipCodec(level=1)]),
    "crc32c": ([{"id": "crc32c"}], [Crc32cCodec()]),
    "gzip-crc32c": ([{"id": "gzip", "level": 0}, {"id": "crc32c"}], [GzipCodec(level=0), Crc32cCodec()]),
    "blosc": ([{"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 64}],
              [BloscCodec(cname="zstd", clevel=1, shuffle="shuffle", blocksize=64)]),
    "blosc-auto": ([{"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": -1}], [BloscCodec(cname="lz4")]),
}  # fmt: skip
"""Chains of codecs in zarr v2, all but the last as filters, and what zarr itself would say in v3."""
FILLS: dict[str, list[Any]] = {
    **{name: [None, 7, 2 ** (8 * ITEMSIZES[name]) - 1] for name in DTYPES if name[0] == "u"},
    **{name: [None, 7, -(2 ** (8 * ITEMSIZES[name] - 1))] for name in DTYPES if name[0] == "i"},
    **{name: [None, 0.1, float("nan"), float("inf"), -float("inf"), -0.0] for name in DTYPES if name[0] == "f"},
    "bool": [None, False, True],
}


def make_values(dtype: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[Any]:
    """Return any bits that a dtype can have, in this machine's order."""
    name = np.dtype(dtype).name
    bits = np.random.default_rng(seed).integers(0, 256, (*shape, ITEMSIZES[name]), "uint8")
    return (bits % 2 if name == "bool" else bits).view(name)[..., 0]


def write_v2(
    folder: Path,
    values: NDArray[Any],
    written: tuple[slice, ...],
    *,
    dtype: str,
    chunks: tuple[int, ...],
    codecs: list[Any],
    order: Any = "C",
    separator: Any = ".",
    fill_value: Any = 0,
) -> NDArray[Any]:
    """Write a zarr v2 array with chunks that are missing; return what is to be read from it."""
    made: list[Any] = [numcodecs.get_codec(dict(codec)) for codec in codecs]
    array = zarr.create_array(
        LocalStore(folder),
        shape=values.shape,
        chunks=chunks,
        dtype=dtype,
        filters=made[:-1] or None,
        compressors=made[-1] if made else None,
        order=order,
        chunk_key_encoding={"name": "v2", "separator": separator},
        fill_value=fill_value,
        zarr_format=2,
        attributes={"_ARRAY_DIMENSIONS": list("tczyx"[-values.ndim :]), "of others": [1]},
    )
    array[written] = values[written]
    expected = np.full(values.shape, 0 if fill_value is None else fill_value, values.dtype)
    expected[written] = values[written]
    return expected


def upgrade(folder: Path) -> dict[str, Any]:
    """Make a zarr v2 array one of v3 without a look at its chunks; return its document."""
    zarray = json.loads((folder / ".zarray").read_text())
    zattrs = folder / ".zattrs"
    found = json.loads(zattrs.read_text()) if zattrs.exists() else {}
    document = to_zarr_v3(zarray, "tczyx"[-len(zarray["shape"]) :], found)
    (folder / "zarr.json").write_text(json.dumps(document, allow_nan=False))
    (folder / ".zarray").unlink()
    zattrs.unlink(missing_ok=True)
    return document


def open_tensorstore(folder: Path, **spec: Any) -> Any:
    kvstore = {"driver": "file", "path": str(folder)}
    return tensorstore.open({"driver": "zarr3", "kvstore": kvstore, **spec}).result()


def assert_reads(folder: Path, expected: NDArray[Any]) -> None:
    """Check the values that zarr and tensorstore read from a zarr v3 array, bit for bit."""
    theirs = np.asarray(zarr.open_array(LocalStore(folder), mode="r", zarr_format=3)[...])
    for found in (theirs, open_tensorstore(folder).read().result()):
        assert found.shape == expected.shape
        assert found.dtype.name == expected.dtype.name
        assert np.ascontiguousarray(found, expected.dtype).tobytes() == np.ascontiguousarray(expected).tobytes()


def written_by_zarr(document: dict[str, Any], codecs: list[Any], endian: Any, order: str) -> Any:
    """Return the document that zarr itself writes for such an array."""
    store, ndim = MemoryStore(), len(document["shape"])
    zarr.create_array(
        store,
        shape=document["shape"],
        chunks=tuple(document["chunk_grid"]["configuration"]["chunk_shape"]),
        dtype=document["data_type"],
        filters=[TransposeCodec(order=tuple(range(ndim))[::-1])] if order == "F" and ndim > 1 else None,
        serializer=BytesCodec(endian=endian),
        compressors=codecs or None,
        chunk_key_encoding={"name": "v2", "separator": document["chunk_key_encoding"]["configuration"]["separator"]},
        fill_value=zarr.dtype.parse_dtype(document["data_type"], zarr_format=3).from_json_scalar(
            document["fill_value"], zarr_format=3
        ),
        dimension_names=document["dimension_names"],
        attributes=document["attributes"],
        zarr_format=3,
    )
    return json.loads(store._store_dict["zarr.json"].to_bytes())


def of_v2(**changes: Any) -> dict[str, Any]:
    """Return the ``.zarray`` of a plane, with changes."""
    plane = {"zarr_format": 2, "shape": [40, 50], "chunks": [32, 32], "dtype": "<u2", "order": "C", "fill_value": 0}
    return {**plane, "filters": None, "compressor": None, **changes}


# ---- laws


@pytest.mark.sampled(16)
@pytest.mark.parametrize("compressor", COMPRESSORS)
@pytest.mark.parametrize("dtype", STORED_AS)
def test_values_stay_for_every_dtype_and_codec(dtype: str, compressor: str, tmp_path: Path) -> None:
    name, (codecs, codecs_v3) = np.dtype(dtype).name, COMPRESSORS[compressor]
    values, endian = make_values(dtype, (5, 7)), {"<": "little", ">": "big", "|": None}[dtype[0]]
    fills = FILLS[name]
    for k, (order, between) in enumerate(product(ORDERS, SEPARATORS)):
        folder, fill_value = tmp_path / str(k), fills[(k + len(compressor)) % len(fills)]
        how: Any = {"dtype": dtype, "chunks": (2, 3), "codecs": codecs, "order": order, "separator": between}
        expected = write_v2(folder, values, (slice(0, 4), slice(0, 6)), **how, fill_value=fill_value)
        document = upgrade(folder)
        assert document == written_by_zarr(document, codecs_v3, endian, order)
        assert document["attributes"] == {"of others": [1]}
        assert_reads(folder, expected)


@pytest.mark.parametrize("dtype", ["|b1", "|u1", "<u2", ">f4", "<f8"])
@pytest.mark.parametrize("cname", numcodecs.blosc.list_compressors())
def test_values_stay_for_every_kind_of_blosc(cname: str, dtype: str, tmp_path: Path) -> None:
    values = make_values(dtype, (40, 30))
    for shuffle in V2_SHUFFLES:
        folder = tmp_path / str(shuffle)
        codec = {"id": "blosc", "cname": cname, "clevel": 3, "shuffle": shuffle, "blocksize": 0}
        expected = write_v2(folder, values, (slice(None),) * 2, dtype=dtype, chunks=(32, 16), codecs=[codec], order="F")
        upgrade(folder)
        assert_reads(folder, expected)


@pytest.mark.parametrize("name", DTYPES)
def test_the_value_of_missing_chunks_stays(name: str, tmp_path: Path) -> None:
    dtype = np.dtype(name).str
    for k, fill_value in enumerate(FILLS[name]):
        folder = tmp_path / str(k)
        values = make_values(dtype, (4,))
        expected = write_v2(folder, values, (slice(0, 0),), dtype=dtype, chunks=(3,), codecs=[], fill_value=fill_value)
        upgrade(folder)
        assert_reads(folder, expected)


@st.composite
def stored(draw: st.DrawFn) -> dict[str, Any]:
    """Return how an array of up to five dimensions is stored, and which part of it is."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)))
    corners = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2))) for n in shape]
    dtype = draw(st.sampled_from(STORED_AS))
    return {
        "values": make_values(dtype, shape, draw(st.integers(0, 9))),
        "written": tuple(slice(*corner) for corner in corners),
        "dtype": dtype,
        "chunks": tuple(draw(st.integers(1, 8)) for _ in shape),
        "codecs": draw(st.sampled_from([codecs for codecs, _ in COMPRESSORS.values()])),
        "order": draw(st.sampled_from(ORDERS)),
        "separator": draw(st.sampled_from(SEPARATORS)),
        "fill_value": draw(st.sampled_from(FILLS[np.dtype(dtype).name])),
    }


@law(max_examples=60)
@given(how=stored())
def test_values_stay_for_every_shape(how: dict[str, Any]) -> None:
    with TemporaryDirectory() as path:
        folder = Path(path) / "array"
        expected = write_v2(folder, **how)
        chunks = {file: file.stat().st_mtime_ns for file in folder.rglob("[0-9]*") if file.is_file()}
        upgrade(folder)
        assert_reads(folder, expected)
        assert {f: f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file() and f.name != "zarr.json"} == chunks


@law(max_examples=100)
@given(
    dtype=st.sampled_from(STORED_AS),
    value=st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]),
)
def test_fill_values_are_those_of_zarr_or_refused(dtype: str, value: Any) -> None:
    try:
        document = to_zarr_v3(of_v2(dtype=dtype, fill_value=value), "yx")
    except ValueError as error:
        assert "fill_value" in str(error)  # noqa: PT017
        return
    json.dumps(document, allow_nan=False)
    kind = zarr.dtype.parse_dtype(np.dtype(dtype), zarr_format=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A number that is too large for the dtype makes NumPy warn.
        new = np.asarray(kind.from_json_scalar(document["fill_value"], zarr_format=3))
        old = new if isinstance(value, bool) else np.asarray(kind.from_json_scalar(value or 0, zarr_format=2))
    assert np.array_equal(new, old, equal_nan=new.dtype.kind == "f")


# ---- examples


@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">f4"])
@pytest.mark.parametrize("cname", CNAMES)
def test_arrays_of_tensorstore_stay_what_they_were(cname: str, dtype: str, tmp_path: Path) -> None:
    for k, shuffle in enumerate(V2_SHUFFLES):
        codec = {"id": "blosc", "cname": cname, "clevel": 5, "shuffle": shuffle, "blocksize": 0}
        metadata = {"dtype": dtype, "shape": [5, 7], "chunks": [4, 4], "order": ORDERS[k % 2], "compressor": codec}
        array = open_tensorstore(tmp_path / str(k), driver="zarr", metadata=metadata, create=True)
        values = make_values(dtype, (5, 7))
        array[:, :4].write(values[:, :4]).result()
        values[:, 4:] = 0
        document = upgrade(tmp_path / str(k))
        assert ArrayV3Metadata.from_dict(document).to_dict().keys() == document.keys()
        found = open_tensorstore(tmp_path / str(k)).read().result()
        assert found.tobytes() == values.tobytes()


def test_an_array_without_axes(tmp_path: Path) -> None:
    to_zarr_v3(of_v2(shape=[], chunks=[], order="F"), [])
    zarr.create_array(LocalStore(tmp_path), shape=(), dtype="uint8", fill_value=0, zarr_format=2)[...] = 3
    document = to_zarr_v3(json.loads((tmp_path / ".zarray").read_text()), [])
    (tmp_path / "zarr.json").write_text(json.dumps(document))
    (tmp_path / ".zarray").unlink()
    assert_reads(tmp_path, np.asarray(3, "uint8"))


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({}, "fill_value", 0),
        ({"fill_value": None}, "fill_value", 0),
        ({"fill_value": "12"}, "fill_value", 12),
        ({"fill_value": 12.0}, "fill_value", 12),
        ({"dtype": "|b1", "fill_value": 0}, "fill_value", False),
        ({"dtype": "<f4", "fill_value": 0.1}, "fill_value", 0.10000000149011612),
        ({"dtype": "<f4", "fill_value": "-Infinity"}, "fill_value", "-Infinity"),
        ({"dtype": "<f4", "fill_value": float("nan")}, "fill_value", "NaN"),
        ({"dtype": "|u1"}, "codecs", [{"name": "bytes"}]),
        ({"dtype": "<u1"}, "codecs", [{"name": "bytes"}]),
        ({"filters": []}, "codecs", [{"name": "bytes", "configuration": {"endian": "little"}}]),
        ({"dimension_separator": None}, "chunk_key_encoding", {"name": "v2", "configuration": {"separator": "."}}),
    ],
)
def test_what_documents_say(changes: dict[str, Any], key: str, expected: Any) -> None:
    found = to_zarr_v3(of_v2(**changes), "yx")[key]
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("codec", "configuration"),
    [
        ({"id": "gzip"}, {"level": 1}),
        ({"id": "gzip", "level": -1}, {"level": 0}),
        ({"id": "zstd"}, {"level": 0, "checksum": False}),
        ({"id": "zstd", "level": 99}, {"level": 22, "checksum": False}),
        ({"id": "blosc"}, {"typesize": 2, "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "blocksize": 0}),
    ],
)
def test_what_a_codec_does_not_say_is_that_of_numcodecs(codec: dict[str, Any], configuration: dict[str, Any]) -> None:
    assert to_zarr_v3(of_v2(compressor=codec), "yx")["codecs"][-1] == {
        "name": codec["id"],
        "configuration": configuration,
    }


@pytest.mark.parametrize("role", ["filter", "compressor"])
def test_other_codecs_are_refused_by_name(role: str) -> None:
    for name in sorted({*numcodecs.registry.codec_registry, "imagecodecs_jpeg2k"} - set(V2_CODECS)):
        codecs = {"filter": {"filters": [{"id": name}]}, "compressor": {"compressor": {"id": name}}}
        with pytest.raises(ValueError, match=f"no codec for {role} '{name}', only for .*; write the image again"):
            to_zarr_v3(of_v2(**codecs[role]), "yx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dtype": "<c8"},
            r"dtype '<c8' \(complex numbers\) is not a dtype of images, which are .*; write the image again",
        ),
        ({"dtype": "|O", "filters": [{"id": "vlen-utf8"}]}, r"dtype '\|O' \(objects\)"),
        ({"dtype": "|S5"}, r"dtype '\|S5' \(text\)"),
        ({"dtype": "<U5"}, r"dtype '<U5' \(text\)"),
        ({"dtype": "|V8"}, r"dtype '\|V8' \(raw bytes\)"),
        ({"dtype": "<M8[ns]"}, r"dtype '<M8\[ns\]' \(dates\)"),
        ({"dtype": "<m8[s]"}, r"dtype '<m8\[s\]' \(time spans\)"),
        ({"dtype": [["r", "|u1"], ["g", "|u1"]]}, r"\(records\)"),
        ({"dtype": "<f16"}, "dtype '<f16' is not a dtype of images"),
        ({"dtype": "u2"}, "dtype 'u2' is not a dtype of images"),
        ({"dtype": "|u2"}, r"dtype '\|u2' lacks the order of its bytes"),
        ({"fill_value": 2**16}, "fill_value 65536 is not a valid uint16"),
        ({"fill_value": -1}, "fill_value -1 is not a valid uint16"),
        ({"fill_value": 0.5}, "fill_value 0.5 is not a valid uint16"),
        ({"fill_value": "NaN"}, "fill_value 'NaN' is not a valid uint16"),
        ({"fill_value": "AAA="}, "fill_value 'AAA=' is not a valid uint16"),
        ({"dtype": "<f4", "fill_value": 1e39}, r"fill_value 1e\+39 is not a valid float32"),
        ({"dtype": "<f8", "fill_value": [0, 0]}, r"fill_value \[0, 0\] is not a valid float64"),
        ({"dtype": "|b1", "fill_value": 2}, "fill_value 2 is not a valid bool"),
        ({"compressor": {"id": "crc32c", "location": "start"}}, "crc32c only at the end"),
        ({"compressor": {"id": "blosc", "shuffle": 3}}, "no blosc with shuffle 3"),
        ({"compressor": {"id": "blosc", "cname": "lzo"}}, "blosc .* cname 'lzo'"),
        ({"order": "A"}, "order 'A' must be 'C' or 'F'"),
        ({"dimension_separator": "-"}, "dimension_separator '-' must be"),
        ({"zarr_format": 3}, "zarr_format 3, not 2"),
        ({"shape": [40, 50, 60]}, r"shape \[40, 50, 60\], but there are 2 axes"),
        ({"chunks": [40]}, r"chunks \[40\], but there are 2 axes"),
    ],
)
def test_refusals_say_why(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_zarr_v3(of_v2(**changes), "yx")


def test_what_a_document_lacks_is_named() -> None:
    with pytest.raises(ValueError, match=r"lacks chunks, dtype, order"):
        to_zarr_v3({"zarr_format": 2, "shape": [1]}, "x")


def test_what_is_given_stays_as_it_was() -> None:
    zarray, attributes = of_v2(compressor={"id": "gzip", "level": 1}), {"_ARRAY_DIMENSIONS": ["y", "x"], "a": 1}
    before = json.dumps([zarray, attributes])
    to_zarr_v3(zarray, "yx", attributes)
    assert json.dumps([zarray, attributes]) == before


def test_separators() -> None:
    assert [separator(of_v2(dimension_separator=found)) for found in SEPARATORS] == list(SEPARATORS)
    assert separator(of_v2()) == "."


def test_nothing_here_knows_zarr() -> None:
    tree = ast.parse(Path(zarr_v3.__file__).read_text(encoding="utf-8"))
    roots = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not roots & {"zarr", "numcodecs", "numpy", "dask"}
