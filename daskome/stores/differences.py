"""In what the images that are stored differ from those of a plan: arrays and multiscales, document by document."""

import json
import reprlib
from typing import Any

from zarr.storage import StorePath

from daskome.kernels.methods import short_name
from daskome.ome.detect import ome_of
from daskome.ome.versions import find_version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.create import array_documents
from daskome.stores.documents import read_json
from daskome.stores.groups import read_attributes
from daskome.stores.location import join_paths


def differences(place: StorePath, plan: Plan) -> list[str]:
    """Return in what the images at a place differ from those of a plan: their arrays and their multiscales.

    Nothing, if the plan, or one like it, has been written there.
    """
    documents, version = array_documents(plan), find_version(plan.version)
    found: list[str] = []
    for group, _ in plan.images:
        there = read_attributes(place / group.path) or {}
        wanted = ome_of(ome_attributes(version, group.metadata)).get("multiscales")
        found += differing(join_paths(group.path, "multiscales"), ome_of(there).get("multiscales"), wanted)
        for key, document in documents[group.path].items():
            stored = read_json(place / group.path / key)
            found += differing(join_paths(group.path, key), stored, json.loads(document.to_bytes()))
    return found


def differing(where: str, there: Any, wanted: Any) -> list[str]:
    """Return where two JSON documents differ, in words. What made an image may be another version of daskome.

    >>> differing("s0", {"shape": [4, 5], "order": "C"}, {"shape": [4, 6]})
    ["s0/order: 'C' there, nothing asked for", 's0/shape: [4, 5] there, [4, 6] asked for']
    >>> differing("levels", [{"path": "s0"}, {"path": "s1"}], [{"path": "0"}])
    ['levels: 2 there, 1 asked for', "levels/0/path: 's0' there, '0' asked for"]
    """
    if where.endswith("/metadata/version") or there == wanted or _same_method(where, there, wanted):
        return []
    if isinstance(there, dict) and isinstance(wanted, dict):
        keys: list[Any] = sorted({*there, *wanted})
        return [x for key in keys for x in differing(f"{where}/{key}", there.get(key), wanted.get(key))]
    if _are_objects(there) and _are_objects(wanted):
        pairs = enumerate(zip(there, wanted, strict=False))
        counts = [f"{where}: {len(there)} there, {len(wanted)} asked for"] * (len(there) != len(wanted))
        return counts + [x for i, (a, b) in pairs for x in differing(f"{where}/{i}", a, b)]
    a, b = ("nothing" if value is None else reprlib.repr(value) for value in (there, wanted))
    return [f"{where}: {a} there, {b} asked for"]


def _same_method(where: str, there: Any, wanted: Any) -> bool:
    names = isinstance(there, str) and isinstance(wanted, str) and where.endswith("/metadata/method")
    return names and short_name(there) == short_name(wanted)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
