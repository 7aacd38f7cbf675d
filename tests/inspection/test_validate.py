"""Every store that is broken on purpose is found out, where it is broken; what daskome and others write is not."""

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import yaozarrs
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st
from ngff_zarr.validate import validate as validate_schema
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore, StorePath

from daskome.cli.main import main
from daskome.inspection.describe import describe
from daskome.inspection.hierarchy import nodes
from daskome.inspection.validate import validate
from daskome.inspection.verify import verify
from daskome.model.problem import Problem, errors
from daskome.writer import write_image, write_plate
from tests.strategies import law

Document = dict[str, Any]
pytestmark = pytest.mark.filterwarnings("ignore:OME-Zarr 0:UserWarning")

ALL = ("0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.9.dev1")
V2, V3, SINCE_4, UNTIL_3 = ALL[:4], ALL[4:], ALL[3:], ALL[:3]
MODELS = ("0.4", "0.5", "0.6")
"""Those that ome-zarr-models and the classes of ome_zarr know."""
E, W = False, True
IMAGE = np.random.default_rng(0).integers(1, 250, (2, 5, 24, 30)).astype("uint16")
LABELS = (IMAGE[0] > 100).astype("uint8")

# Stores as dicts of documents, which a change edits


class Files(dict[str, bytes]):
    """All objects of a store by their keys, and the version of OME-Zarr."""

    version: str

    def document(self, key: str) -> Any:
        return json.loads(self[key])

    def put(self, key: str, document: Any) -> None:
        self[key] = json.dumps(document).encode()

    def store(self) -> MemoryStore:
        make = default_buffer_prototype().buffer.from_bytes
        return MemoryStore({key: make(value) for key, value in self.items()})


def files(store: MemoryStore, version: str) -> Files:
    found = Files({key: value.to_bytes() for key, value in store._store_dict.items()})
    found.version = version
    return found


@cache
def _good(kind: str, version: str) -> Files:
    store = MemoryStore()
    options: Document = {"axes": "czyx", "fmt": version, "scale": (1, 2, 0.5, 0.5), "axes_units": "micrometer"}
    if kind == "plate":
        days = [{"id": i, "name": f"day {i}", "maximumfieldcount": 2} for i in (0, 1)]
        wells = {"A/1": {0: [IMAGE], 1: [IMAGE, IMAGE]}, "B/2": {0: [IMAGE]}}
        write_plate(wells, store, [2], "plate", acquisitions=days, **options)
    else:
        labels = {"cells": {"labels": LABELS, "axes": "zyx", "colors": {1: (255, 0, 0, 255)}}}
        write_image(IMAGE, store, [2, 4], "image", channels=["a", "b"], labels=labels, **options)
    found = files(store, version)
    return _layout(found) if kind == "layout" else found


def _layout(image: Files) -> Files:
    """Return the image twice in a bioformats2raw layout."""
    found = Files({f"{i}/{key}": value for i in "01" for key, value in image.items()})
    found.version = image.version
    for path, said in (("", {"bioformats2raw.layout": 3}), ("OME/", {"series": ["0", "1"]})):
        if image.version in V3:
            attributes = {"ome": {"version": image.version, **said}}
            found.put(f"{path}zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": attributes})
        else:
            found.put(f"{path}.zgroup", {"zarr_format": 2})
            found.put(f"{path}.zattrs", said)
    return found


def good(kind: str, version: str) -> Files:
    found = Files(_good(kind, version))
    found.version = version
    return found


# Changes

Change = Callable[[Files], None]


def at(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def ome(change: Callable[[Document], Any], path: str = "") -> Change:
    """Change the OME-Zarr attributes of a group."""

    def apply(store: Files) -> None:
        if store.version in V2:
            found = store.document(at(path, ".zattrs"))
            change(found)
            store.put(at(path, ".zattrs"), found)
        else:
            found = store.document(at(path, "zarr.json"))
            change(found["attributes"]["ome"])
            store.put(at(path, "zarr.json"), found)

    return apply


def multiscale(change: Callable[[Document], Any], path: str = "") -> Change:
    return ome(lambda found: change(found["multiscales"][0]), path)


def document(key: str, change: Callable[[Document], Any]) -> Change:
    def apply(store: Files) -> None:
        found = store.document(key)
        change(found)
        store.put(key, found)

    return apply


def array(path: str, change: Callable[[Document], Any] = lambda d: None, **changes: Any) -> Change:
    """Change the document of an array."""

    def apply(store: Files) -> None:
        key = at(path, ".zarray" if store.version in V2 else "zarr.json")
        document(key, lambda found: (change(found), found.update(changes)))(store)

    return apply


def codec(change: Callable[[Document], Any], path: str = "s1") -> Change:
    """Change the first codec of an array: bytes, or shards."""
    return array(path, lambda found: change(found["codecs"][0]))


def inner(change: Callable[[Document], Any]) -> Change:
    """Change what shards are made of."""
    return both(
        remade("s0", shards=(1, 5, 24, 30), chunks=(1, 5, 12, 15)), codec(lambda c: change(c["configuration"]), "s0")
    )


def removed(prefix: str) -> Change:
    def apply(store: Files) -> None:
        for key in [key for key in store if key == prefix or key.startswith(f"{prefix}/")]:
            del store[key]

    return apply


def moved(old: str, new: str) -> Change:
    def apply(store: Files) -> None:
        for key in [key for key in store if key.startswith(f"{old}/")]:
            store[new + key.removeprefix(old)] = store.pop(key)

    return apply


def copied(old: str, new: str) -> Change:
    def apply(store: Files) -> None:
        store.update({new + key.removeprefix(old): value for key, value in store.items() if key.startswith(f"{old}/")})

    return apply


def both(*changes: Change) -> Change:
    def apply(store: Files) -> None:
        for change in changes:
            change(store)

    return apply


def broken(name: str = "", array: str = "") -> Change:
    """Cut a document off."""

    def apply(store: Files) -> None:
        own = (".zarray" if array else ".zgroup") if store.version in V2 else "zarr.json"
        store[at(array or name, own)] = b'{"zarr_format": '

    return apply


def remade(path: str, change: Callable[[np.ndarray], np.ndarray] = lambda a: a, **options: Any) -> Change:
    """Write an array again, with other pixels or in another form."""

    def apply(store: Files) -> None:
        memory = store.store()
        old = zarr.open_array(memory, path=path, mode="r")
        data, zarr_format = change(old[...]), options.get("zarr_format", old.metadata.zarr_format)
        named = {"dimension_names": getattr(old.metadata, "dimension_names", None)} if zarr_format == 3 else {}
        if named and (named["dimension_names"] is None or len(named["dimension_names"]) != data.ndim):
            named = {}
        keys = {"name": "default" if zarr_format == 3 else "v2", "separator": "." if store.version == "0.1" else "/"}
        settings = {
            "chunks": data.shape,
            "zarr_format": zarr_format,
            "attributes": old.attrs.asdict(),
            **named,
            **options,
        }
        removed(path)(store)
        memory = store.store()
        zarr.create_array(memory, name=path, data=data, chunk_key_encoding=keys, **settings)
        store.update({k: v for k, v in files(memory, store.version).items() if k.startswith(f"{path}/")})

    return apply


def retyped(dtype: str, *paths: str) -> Change:
    return both(*(remade(path, lambda a: a.astype(dtype)) for path in paths))


def consolidated(store: Files) -> None:
    memory = store.store()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(memory)
    store.update(files(memory, store.version))


def with_metadata_between(store: Files) -> None:
    moved("labels/cells", "labels/a/cells")(store)
    if store.version in V2:
        store.put("labels/a/.zgroup", {"zarr_format": 2})
        store.put("labels/a/.zattrs", {"note": 1})
    else:
        store.put("labels/a/zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {"note": 1}})
    ome(lambda o: o.update(labels=["a/cells"]), "labels")(store)
    ome(lambda o: o["image-label"]["source"].update(image="../../../"), "labels/a/cells")(store)


def vectors(m: Document, k: int) -> list[Document]:
    """Return the transformations of a level, in whatever form the version has them."""
    kept = m.get("metadata", {}).get("coordinates")
    found = kept["coordinateTransformations"][k] if kept else m["datasets"][k]["coordinateTransformations"]
    return found[0].get("transformations", found)


def vector(k: int, i: int, axis: int, value: float) -> Change:
    kind = ("scale", "translation")[i]
    return multiscale(lambda m: vectors(m, k)[i][kind].__setitem__(axis, value))


def version(path: str, other: str) -> Change:
    def change(found: Document) -> None:
        for part in (found, *found.get("multiscales", ()), found.get("image-label", {})):
            if "version" in part:
                part["version"] = other

    return ome(change, path)


def second(m: Document) -> None:
    m["multiscales"].append({**deepcopy(m["multiscales"][0]), "name": "second"})
    datasets = m["multiscales"][1]["datasets"]
    datasets[0]["path"] = "t0"
    for transform in datasets[0].get("coordinateTransformations", ()):
        if "input" in transform:
            transform["input"]["path"] = "t0"


def marked(found: Document) -> None:
    found["daskome"] = {"unfinished": True}


def mark(path: str) -> Change:
    def apply(store: Files) -> None:
        if store.version in V2:
            document(at(path, ".zattrs"), marked)(store)
        else:
            document(at(path, "zarr.json"), lambda d: marked(d["attributes"]))(store)

    return apply


def as_group(store: Files) -> None:
    if store.version in V2:
        store["s1/.zgroup"] = b'{"zarr_format": 2}'
        del store["s1/.zarray"]
    else:
        store.put("s1/zarr.json", {"zarr_format": 3, "node_type": "group", "attributes": {}})


def beside(found: Document) -> None:
    found["plate"]["wells"].append({**found["plate"]["wells"][1], "path": "B/1"})
    if "columnIndex" in found["plate"]["wells"][2]:
        found["plate"]["wells"][2]["columnIndex"] = 0


class Row(NamedTuple):
    """A way to break a good store, and what is to be found then."""

    name: str
    kind: str
    versions: Iterable[str]
    change: Change
    where: str
    warning: bool
    message: str


D0, D1, D2 = (f"multiscales/0/datasets/{k}" for k in range(3))
LABEL, ZERO = "labels/cells", [0]
ROWS = [
    # Documents and nodes
    Row("nothing", "image", ALL, dict.clear, "group", E, "no zarr group"),
    Row("group is no JSON", "image", ALL, broken(), "group", E, "cannot be read"),
    Row("unfinished", "image", ALL, mark(""), "group", E, "unfinished"),
    Row("old documents", "image", V3, lambda s: s.put(".zgroup", {"zarr_format": 2}), "group", W, ".zgroup beside"),
    Row("another zarr format", "image", ["0.5"], version("", "0.4"), "group", E, "zarr format 3; OME-Zarr 0.4 is in 2"),
    Row("no version", "image", V3, ome(lambda o: o.pop("version")), "version", E, "is missing"),
    Row("unknown version", "image", V3, version("", "7"), "version", E, "is '7'"),
    Row("axes missing", "image", ["0.4", "0.5"], multiscale(lambda m: m.pop("axes")), "multiscales/0/axes", E, "missing"),
    Row("nothing in the group", "image", ALL, ome(lambda o: o.pop("multiscales")), "multiscales", E, "is missing"),
    Row("no datasets", "image", ALL, multiscale(lambda m: m.update(datasets=[])), "multiscales/0/datasets", E, "empty"),
    Row("second image", "image", ALL, ome(second), "multiscales/1/datasets/0", E, "no array at 't0'"),
    # Arrays: are they there
    Row("level missing", "image", ALL, removed("s1"), D1, E, "no array at 's1'"),
    Row("finest missing", "image", ALL, removed("s0"), D0, E, "no array at 's0'"),
    Row("level is a group", "image", ALL, as_group, D1, E, "no array at 's1'"),
    Row("array is no JSON", "image", ALL, broken(array="s1"), D1, E, ""),
    Row("unknown codec", "image", V3, array("s2", codecs=[{"name": "nonesuch"}]), D2, E, "nonesuch"),
    Row("unknown compressor", "image", V2, array("s2", compressor={"id": "nonesuch"}), D2, E, "nonesuch"),
    Row("zarr v3 inside v2", "image", V2, remade("s1", zarr_format=3), D1, E, "is in zarr format 3"),
    Row("zarr v2 inside v3", "image", V3, remade("s1", zarr_format=2), D1, E, "is in zarr format 2"),
    # Arrays: their shapes
    Row("fewer dimensions", "image", ALL, remade("s1", lambda a: a[0]), D1, E, "dimensions, but the axes"),
    Row("no pixel", "image", ALL, array("s2", lambda d: d["shape"].__setitem__(-1, 0)), D2, E, "is empty"),
    Row("endless", "image", ALL, array("s2", lambda d: d["shape"].__setitem__(-1, 10**400)), D2, E, "longest possible"),
    Row("coarse first", "image", ALL, multiscale(lambda m: m["datasets"].reverse()), D1, E, "does not shrink"),
    Row("wider level", "image", ALL, remade("s2", lambda a: np.repeat(a, 3, -1)), D2, E, "does not shrink"),
    Row("levels alike", "image", ALL, copied("s0", "s1"), D1, W, "does not shrink"),
    Row("another size", "image", ALL, remade("s2", lambda a: a[..., :2, :]), D2, E, "scale of axis 'y'"),
    # Arrays: what they hold
    Row("float level", "image", ALL, retyped("float32", "s1"), D1, E, "float32 is not uint16"),
    Row("wider dtype", "image", ALL[:5], retyped("uint32", "s1"), D1, W, "uint32 is not uint16"),
    Row("wider dtype in 0.6", "image", ["0.6"], retyped("uint32", "s1"), D1, E, "uint32 is not uint16"),
    Row("complex", "image", ALL, retyped("complex64", "s0", "s1", "s2"), D0, W, "complex64 is not one of"),
    Row("text", "image", V3, array("s2", data_type="string", fill_value=""), D2, E, ""),
    Row("bool", "image", ALL, retyped("bool", "s0", "s1", "s2"), D2, W, "neuroglancer"),
    Row("float16", "image", ALL, retyped("float16", "s0", "s1", "s2"), D0, W, "float16"),
    Row("big-endian in v2", "image", V2, array("s1", dtype=">u2"), D1, W, "big-endian"),
    Row("big-endian in v3", "image", V3, codec(lambda c: c["configuration"].update(endian="big")), D1, W, "big-endian"),
    # Arrays: names
    Row("no dimension_names", "image", ["0.5"], array("s1", lambda d: d.pop("dimension_names")), D1, E, "dimension_names"),
    Row("no dimension_names, 0.6", "image", ["0.6"], array("s1", lambda d: d.pop("dimension_names")), D1, W, "but the axes"),
    Row("other names", "image", ["0.5"], array("s0", lambda d: d["dimension_names"].reverse()), D0, E, "dimension_names"),
    Row("no _ARRAY_DIMENSIONS", "image", ["0.3"], lambda s: s.put("s1/.zattrs", {}), D1, E, "_ARRAY_DIMENSIONS"),
    Row("other dimensions", "image", ["0.4"], document("s1/.zattrs", lambda d: d["_ARRAY_DIMENSIONS"].reverse()), D1, W, "_ARRAY"),
    # Arrays: chunks and codecs
    Row("dots", "image", ["0.2", "0.3", "0.4"], array("s1", dimension_separator="."), D1, W, "show zeros"),
    Row("slashes in 0.1", "image", ["0.1"], array("s1", dimension_separator="/"), D1, W, "show zeros"),
    Row("no separator", "image", ["0.2", "0.3", "0.4"], array("s1", lambda d: d.pop("dimension_separator")), D1, W, "is missing"),
    Row("dots in v3", "image", V3, array("s1", lambda d: d["chunk_key_encoding"]["configuration"].update(separator=".")), D1, W, "'.'"),
    Row("fill_value null", "image", V2, array("s1", fill_value=None), D1, W, "fill_value is null"),
    Row("fill_value text", "image", V2, array("s1", fill_value="0"), D1, W, "fill_value is '0'"),
    Row("filters []", "image", V2, array("s1", filters=[]), D1, W, "filters is []"),
    Row("shuffle -1", "image", V2, array("s1", lambda d: d["compressor"].update(shuffle=-1)), D1, W, "shuffle -1"),
    Row("checksum of zstd", "image", V2, array("s1", compressor={"id": "zstd", "level": 1, "checksum": False}), D1, W, "checksum"),
    Row("no endian", "image", V3, codec(lambda c: c.pop("configuration")), D1, E, "does not say its endian"),
    Row("no endian in shards", "image", V3, inner(lambda c: c["codecs"][0].pop("configuration")), D0, E, "does not say its endian"),
    Row("numcodecs", "image", V3, array("s1", lambda d: d["codecs"].append({"name": "numcodecs.zlib", "configuration": {"level": 1}})), D1, W, "numcodecs.zlib"),
    Row("index without checksum", "image", V3, inner(lambda c: c["index_codecs"].pop()), D0, W, "index_codecs"),
    Row("index at the start", "image", V3, inner(lambda c: c.update(index_location="start")), D0, W, "the index of shards"),
    # Scales, translations, channels
    Row("scale against factor", "image", ALL, vector(1, 0, -1, 1.5), D1, E, "scale of axis 'x' is 1.5"),
    Row("translation against method", "image", ALL, vector(2, 1, -2, 0.1), D2, W, "samples of 'mean'"),
    Row("channel missing", "image", ALL, ome(lambda o: o["omero"]["channels"].pop()), "omero/channels", E, "has 2"),
    # Labels
    Row("labels listed, not there", "image", ALL, ome(lambda o: o["labels"].append("x"), "labels"), "labels labels/1", E, "'x'"),
    Row("labels not listed", "image", ALL, copied("labels/cells", "labels/dots"), "labels labels", W, "'dots'"),
    Row("label group is no JSON", "image", ALL, broken("labels/cells"), "labels labels/0", E, "cannot be read"),
    Row("group of labels is no JSON", "image", ALL, broken("labels"), "labels group", E, "cannot be read"),
    Row("label is no image", "image", ALL, ome(lambda o: o.pop("multiscales"), LABEL), f"{LABEL} multiscales", E, "missing"),
    Row("label unfinished", "image", ALL, mark(LABEL), f"{LABEL} group", E, "unfinished"),
    Row("label level missing", "image", ALL, removed(f"{LABEL}/s2"), f"{LABEL} {D2}", E, "no array"),
    Row("float labels", "image", V3, retyped("float32", *(f"{LABEL}/s{k}" for k in range(3))), f"{LABEL} {D0}", E, "must be an integer"),
    Row("float labels in v2", "image", V2, retyped("float32", *(f"{LABEL}/s{k}" for k in range(3))), f"{LABEL} {D0}", W, "should be an integer"),
    Row("bool labels", "image", V3, retyped("bool", *(f"{LABEL}/s{k}" for k in range(3))), f"{LABEL} {D1}", E, "integer"),
    Row("large labels", "image", ALL, retyped("int64", *(f"{LABEL}/s{k}" for k in range(3))), f"{LABEL} {D0}", W, "JavaScript"),
    Row("fewer label levels", "image", SINCE_4, multiscale(lambda m: m["datasets"].pop(), LABEL), f"{LABEL} multiscales/0/datasets", E, "the image has 3"),
    Row("labels of another size", "image", ALL, both(*(remade(f"{LABEL}/s{k}", lambda a: np.repeat(a, 2, -1)) for k in range(3))), f"{LABEL} {D0}", W, "but the image is 30"),
    Row("metadata between", "image", V3, with_metadata_between, "labels/a/cells group", E, "must not have metadata"),
    Row("metadata between in v2", "image", V2, with_metadata_between, "labels/a/cells group", W, "must not have metadata"),
    Row("labels of another version", "image", ["0.5"], version("labels", "0.6"), "labels version", E, "the same"),
    Row("label of another version", "image", ["0.6"], version(LABEL, "0.5"), f"{LABEL} version", E, "the same"),
    Row("label of an older version", "image", ["0.2"], version(LABEL, "0.1"), f"{LABEL} version", W, "the same"),
    Row("source that is not an image", "image", SINCE_4, ome(lambda o: o["image-label"]["source"].update(image="../"), LABEL), f"{LABEL} image-label/source/image", E, "that is not an image"),
    # Copies of metadata
    Row("stale attributes", "image", ALL, both(consolidated, multiscale(lambda m: m.update(name="new"), LABEL)), "", W, "hold an old copy of labels/cells"),
    Row("stale level", "image", ALL, both(consolidated, removed("s2")), "", W, "which is gone"),
    Row("new label", "image", ALL, both(consolidated, copied(LABEL, "labels/new")), "", W, "lack labels/new"),
    # Plates
    Row("well missing", "plate", ALL, removed("B"), "plate/wells/1", E, "no zarr group"),
    Row("another well listed", "plate", ALL, ome(beside), "plate/wells/2", E, "'B/1'"),
    Row("well is an image", "plate", ALL, both(removed("B/2"), copied("A/1/0", "B/2")), "B/2 image", E, "must be of kind 'well'"),
    Row("well is no JSON", "plate", ALL, broken("A/1"), "plate/wells/0", E, "cannot be read"),
    Row("field missing", "plate", ALL, removed("A/1/1"), "A/1 well/images/1", E, "no zarr group"),
    Row("field's level missing", "plate", ALL, removed("A/1/2/s1"), f"A/1/2 {D1}", E, "no array"),
    Row("field unfinished", "plate", ALL, mark("B/2/0"), "B/2/0 group", E, "unfinished"),
    Row("unknown acquisition", "plate", SINCE_4, ome(lambda o: o["well"]["images"][1].update(acquisition=7), "A/1"), "A/1 well/images/1/acquisition", E, "is 7, but the plate has 0, 1"),
    Row("unknown acquisition, old", "plate", UNTIL_3, ome(lambda o: o["well"]["images"][1].update(acquisition=7), "A/1"), "A/1 well/images/1/acquisition", W, "is 7"),
    Row("no acquisition", "plate", SINCE_4, ome(lambda o: o["well"]["images"][0].pop("acquisition"), "B/2"), "B/2 well/images/0/acquisition", E, "2 acquisitions"),
    Row("no acquisition, old", "plate", UNTIL_3, ome(lambda o: o["well"]["images"][0].pop("acquisition"), "B/2"), "B/2 well/images/0/acquisition", W, "2 acquisitions"),
    Row("field_count", "plate", ALL, ome(lambda o: o["plate"].update(field_count=2)), "plate/field_count", W, "has 3 fields"),
    Row("maximumfieldcount", "plate", ALL, ome(lambda o: o["plate"]["acquisitions"][1].update(maximumfieldcount=1)), "plate/acquisitions/1/maximumfieldcount", W, "has 2 fields"),
    Row("acquisitions not listed", "plate", ALL, ome(lambda o: o["plate"].pop("acquisitions")), "A/1 well/images/0/acquisition", W, "lists none"),
    Row("field of another version", "plate", ["0.5"], version("A/1/0", "0.6"), "A/1/0 version", E, "the same"),
    Row("float level of a field", "plate", ALL, retyped("float32", "A/1/0/s1"), f"A/1/0 {D1}", E, "float32"),
    # bioformats2raw
    Row("series missing", "layout", SINCE_4, removed("1"), "OME series/1", E, "'1'"),
    Row("no image", "layout", SINCE_4, both(removed("OME"), removed("0"), removed("1")), "bioformats2raw.layout", E, "'0'"),
    Row("level of a series", "layout", SINCE_4, both(removed("OME"), removed("1/s1")), f"1 {D1}", E, "no array"),
    Row("label of a series", "layout", SINCE_4, removed("0/labels/cells/s0"), f"0/{LABEL} {D0}", E, "no array"),
]  # fmt: skip
CASES = [(row, version) for row in ROWS for version in row.versions]
PARTS = 16
"""The table is tried in so many parts of rows and versions from all over it."""


def test_the_table_is_long_enough() -> None:
    assert len(ROWS) >= 60
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("kind", ["image", "plate", "layout"])
def test_what_daskome_writes_has_no_problem(kind: str, version: str) -> None:
    """Neither errors nor warnings, also of its parts alone, and of its consolidated metadata."""
    if kind == "layout" and version not in SINCE_4:
        return
    store = good(kind, version)
    assert validate(store.store()) == validate(store.store(), version) == []
    for node in nodes(StorePath(store.store())):
        assert validate(node.store_path) == [], node.path
    consolidated(store)
    assert validate(store.store()) == []


@pytest.mark.sampled(16)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_is_broken_is_found(part: int) -> None:
    wrong = {f"{row.name}, {version}": odd for row, version in CASES[part::PARTS] if (odd := missed(row, version))}
    assert not wrong


def missed(row: Row, version: str) -> list[str]:
    """Return what is found in a store that a row breaks, if it is not what is expected, or not that alone."""
    store = good(row.kind, version)
    row.change(store)
    problems = validate(store.store())
    where = row.where or ("consolidated_metadata" if version in V3 else ".zmetadata")
    found = [p for p in problems if p.where == where and row.message in p.message and p.warning == row.warning]
    alone = row.warning is E or row.name in WARNED_BESIDE_ERRORS or not errors(problems)
    return [] if found and alone else [f"not found, or not alone, at {where}", *map(str, problems)]


WARNED_BESIDE_ERRORS = {"stale level", "levels alike"}
"""Warnings about stores that are wrong besides."""


# What others find we find


def rejected_by(path: Path, version: str) -> list[str]:
    """Return who of the validators by others rejects a store."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, check in OTHERS.items():
            if version in check[0]:
                try:
                    check[1](path, version)
                except Exception as error:
                    found.append(f"{name}: {str(error)[:200]}")
    return found


def by_schema(path: Path, version: str) -> None:
    group = zarr.open_group(path, mode="r")
    kind = "plate" if "plate" in group.attrs.get("ome", group.attrs) else "image"
    validate_schema(group.attrs.asdict(), version=version, model=kind)


def by_ome_zarr_models(path: Path, version: str) -> None:
    if sys.version_info >= (3, 12):  # It needs this.
        import ome_zarr_models

        ome_zarr_models.open_ome_zarr(str(path), version=version)


OTHERS: dict[str, tuple[Iterable[str], Callable[[Path, str], Any]]] = {
    "ome-zarr-models": (MODELS, by_ome_zarr_models),
    "yaozarrs": (("0.4", "0.5"), lambda path, version: yaozarrs.validate_zarr_store(str(path))),
    "schemas": (("0.1", "0.3", "0.4", "0.5", "0.6", "0.9.dev1"), by_schema),
}


@pytest.mark.sampled(16)
@pytest.mark.parametrize("part", range(PARTS))
def test_what_others_reject_we_reject(part: int, tmp_path: Path) -> None:
    cases = [(row, version) for row, version in CASES[part::PARTS] if row.kind != "layout"]
    let_pass = {}
    for k, (row, version) in enumerate(cases):
        store, path = good(row.kind, version), tmp_path / str(k)
        row.change(store)
        on_disk(store, path)
        rejected = [] if errors(validate(LocalStore(path))) else rejected_by(path, version)
        let_pass |= {f"{row.name}, {version}": rejected} if rejected else {}
    # What the text of 0.4 does not say: that labels are whole numbers.
    assert not let_pass.keys() - {"float labels in v2, 0.4"}


def on_disk(store: Files, folder: Path) -> None:
    """Write the objects of a store into a folder."""
    folder.mkdir(exist_ok=True)
    for key, value in store.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(value)


@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("kind", ["image", "plate"])
def test_others_reject_nothing_that_is_right(kind: str, version: str, tmp_path: Path) -> None:
    on_disk(good(kind, version), tmp_path)
    assert rejected_by(tmp_path, version) == []


# What others write


def by_ome_zarr(path: str, version: str) -> None:
    from ome_zarr.format import format_from_version
    from ome_zarr.writer import write_image, write_labels

    fmt = format_from_version(version)
    write_image(IMAGE, path, fmt=fmt, axes="czyx", scale_factors=[2, 4])
    write_labels(LABELS, path, name="cells", fmt=fmt, axes="zyx", scale_factors=[2, 4])


def by_classes_of_ome_zarr(path: str, version: str) -> None:
    from ome_zarr import OMEZarrImage, OMEZarrMultiscale

    image = OMEZarrImage(IMAGE, "czyx", {"c": 1, "z": 2, "y": 0.5, "x": 0.5}, dict.fromkeys("zyx", "micrometer"))
    OMEZarrMultiscale(image, [2, 4]).to_ome_zarr(path, version=version)


def by_ngff_zarr(path: str, version: str) -> None:
    import ngff_zarr

    image = ngff_zarr.to_ngff_image(IMAGE, dims=list("czyx"), axes_units=dict.fromkeys("zyx", "micrometer"))
    multiscales = ngff_zarr.to_multiscales(image, [2, 4], method=ngff_zarr.Methods.ITKWASM_BIN_SHRINK, chunks=32)
    ngff_zarr.to_ngff_zarr(path, multiscales, version=version)


def by_bioio(path: str, version: str) -> None:
    writers = pytest.importorskip("bioio_ome_zarr.writers")
    types, units = ["channel", "space", "space", "space"], [None, "micrometer", "micrometer", "micrometer"]
    shapes = [IMAGE.shape, (2, 5, 12, 15)]
    options = {"axes_names": list("czyx"), "axes_types": types, "axes_units": units}
    zarr_format = 2 if version in V2 else 3
    writers.OMEZarrWriter(path, shapes, IMAGE.dtype, zarr_format=zarr_format, **options).write_full_volume(IMAGE)


@pytest.mark.parametrize(
    ("writer", "version"),
    [
        *((by_ome_zarr, version) for version in ("0.4", "0.5")),
        *((by_classes_of_ome_zarr, version) for version in MODELS),
        *((by_ngff_zarr, version) for version in SINCE_4),
        *((by_bioio, version) for version in ("0.4", "0.5")),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_others_write_is_valid(writer: Callable[[str, str], None], version: str, tmp_path: Path) -> None:
    if "ome_zarr" in writer.__name__:
        pytest.importorskip("ome_zarr")
    writer(str(tmp_path / "a.ome.zarr"), version)
    found = errors(validate(tmp_path / "a.ome.zarr"))
    assert found == []


# Whatever is there, nothing raises

STRANGE = [
    None,
    [],
    {},
    "",
    "x",
    "../..",
    -1,
    0,
    1.5,
    True,
    math.nan,
    10**400,
    [[]],
    [None],
    {"path": 1},
    [{"path": "s0"}],
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the addresses of all nodes of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copy = deepcopy(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], other)
    return copy


@pytest.mark.extended
@law(max_examples=40)
@given(st.data(), st.sampled_from(["image", "plate", "layout"]), st.sampled_from(SINCE_4 + UNTIL_3))
def test_random_damage_never_raises(data: st.DataObject, kind: str, version: str) -> None:
    store = good(kind, version)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(sorted(key for key in store if key.rsplit("/", 1)[-1][:2] in (".z", "za"))))
        how = data.draw(st.sampled_from(["node", "node", "node", "delete", "truncate"]))
        if how == "delete" and len(store) > 1:
            del store[key]
        elif how == "truncate":
            store[key] = store[key][: data.draw(st.integers(0, len(store[key])))]
        else:
            try:
                found = store.document(key)
            except ValueError:
                continue
            store.put(
                key, replaced(found, data.draw(st.sampled_from(places(found))), data.draw(st.sampled_from(STRANGE)))
            )
    damaged = store.store()
    found = [*validate(damaged), *verify(damaged), *verify(damaged, pixels=1)]
    assert all(isinstance(problem, Problem) for problem in found)


def test_the_version_can_be_given() -> None:
    found = validate(good("image", "0.5").store(), "0.6")
    assert {"version", "multiscales/0/coordinateSystems"} <= {problem.where for problem in errors(found)}
    with pytest.raises(ValueError, match="unknown OME-Zarr version"):
        validate(good("image", "0.5").store(), "7")


@pytest.mark.parametrize("stated", ["0.7", "0.10", "0.19", "0.50", "0.60", "00.5", "10.5"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_version_that_only_begins_like_another_is_unknown(version: str, stated: str) -> None:
    """What looks like 0.5 is checked as 0.5, and only what it states is wrong."""
    image = good("image", version)
    key = ".zattrs" if version == "0.4" else "zarr.json"
    image.put(
        key, json.loads(json.dumps(image.document(key)).replace(f'"version": "{version}"', f'"version": "{stated}"'))
    )
    assert {
        (problem.where.rsplit("/")[-1], stated in problem.message) for problem in errors(validate(image.store()))
    } == {("version", True)}


def test_a_draft_is_checked_as_the_version_that_it_became() -> None:
    image = good("image", "0.6")
    image.put("zarr.json", json.loads(json.dumps(image.document("zarr.json")).replace('"0.6"', '"0.6rc0"')))
    (problem,) = validate(image.store())
    assert (problem.where, problem.warning) == ("version", True)


def test_stores_that_cant_be_written_or_listed() -> None:
    class Blind(MemoryStore):
        supports_listing = False

        async def list_dir(self, prefix: str) -> Any:
            raise NotImplementedError
            yield ""

    store = good("plate", "0.5").store()
    assert validate(store.with_read_only(True)) == []
    assert validate(Blind(store._store_dict, read_only=True)) == []
    assert validate(Blind(good("image", "0.4").store()._store_dict)) == []


def test_no_loop_of_links_leads_on_for_ever(tmp_path: Path) -> None:
    on_disk(good("image", "0.5"), tmp_path)
    (tmp_path / "labels" / "loop").symlink_to(tmp_path)
    assert {"labels labels"} <= {problem.where for problem in validate(tmp_path)}


def test_no_target_and_an_array() -> None:
    with pytest.raises(TypeError, match="target"):
        validate(7)
    made = zarr.create_array(MemoryStore(), shape=(4, 4), dtype="u1")
    assert [problem.where for problem in validate(made)] == ["group"]
    assert [problem.where for problem in validate(MemoryStore())] == ["group"]


def test_progress_counts_groups() -> None:
    calls: list[tuple[int, int]] = []
    validate(good("plate", "0.5").store(), progress=lambda *call: calls.append(call))
    assert calls == [(n, 7) for n in range(1, 8)]


def test_nothing_is_written() -> None:
    store = good("image", "0.5")
    memory = store.store()
    validate(memory)
    assert files(memory, "0.5") == store


def test_unit_unknown_is_a_warning() -> None:
    store = MemoryStore()
    write_image(IMAGE[0], store, [2], axes="zyx")
    found = validate(store)
    assert [problem.where for problem in found] == [f"multiscales/0/axes/{i}/unit" for i in range(3)]
    assert not errors(found)


# The command


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["validate", *arguments])


def test_the_command(tmp_path: Path) -> None:
    path = str(tmp_path / "a.ome.zarr")
    write_image(IMAGE[0], path, [2], axes="zyx")
    done = run(path)
    assert (done.exit_code, "3 warnings" in done.output, "warning: multiscales/0/axes/0/unit" in done.output) == (
        0,
        True,
        True,
    )
    assert (run(path, "--quiet").exit_code, run(path, "--quiet").output) == (0, "")
    assert run(path, "--strict").exit_code == 1
    assert run(path, "--strict", "--quiet").output.count("warning:") == 3
    assert len(json.loads(run(path, "--json").stdout)) == 3
    assert run(path, "--version", "0.4").exit_code == 1
    assert run(path, "--version", "7").exit_code == 2
    assert run(str(tmp_path / "nothing")).exit_code == 1


def test_an_unfinished_image() -> None:

    store = MemoryStore()
    write_image(IMAGE[0], store, [2], axes="zyx", compute="init")
    assert [problem.message for problem in validate(store)] == ["the image is unfinished: writing it was not completed"]


# In words


@pytest.mark.parametrize("version", ALL)
def test_kinds_of_groups_in_words(version: str) -> None:
    image, plate = good("image", version).store(), good("plate", version).store()
    told = describe(image)
    assert f"OME-Zarr {version} image 'image'" in told
    assert "labels: cells" in told
    assert f"OME-Zarr {version} labels: cells" in describe(zarr.open_group(image, path="labels", mode="r"))
    label = describe(zarr.open_group(image, path=LABEL, mode="r"))
    assert "label image of ../../: 1 colour, properties of 0 values\ncolours: 1 #FF0000FF" in label
    counts = "2 rows, 2 columns, 2 wells, 4 fields, 2 acquisitions\nacquisition 0: day 0\nacquisition 1: day 1\nfirst image: "
    assert f"OME-Zarr {version} plate 'plate': {counts}" in describe(plate)
    assert f"OME-Zarr {version} well: 3 fields of 2 acq" in describe(zarr.open_group(plate, path="A/1", mode="r"))


@pytest.mark.parametrize("version", SINCE_4)
def test_a_layout_in_words(version: str) -> None:
    assert "bioformats2raw layout: 2 images\nfirst image: 2, 5, 24, 30 uint16, 3 levels" in describe(
        good("layout", version).store()
    )


def test_what_is_unfinished_or_missing_in_words() -> None:
    store = good("plate", "0.5")
    both(mark("B/2/0"), removed("A/1/1"))(store)
    told = describe(store.store())
    assert "UNFINISHED: B/2/0" in told
    assert "MISSING: A/1/1" in told
