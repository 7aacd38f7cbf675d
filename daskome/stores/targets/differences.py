"""How stored images differ from those of a plan: arrays and multiscales, document by document."""

import json
import reprlib
from typing import Any

from zarr.storage import StorePath

from daskome.kernels.methods import short_name
from daskome.model.paths import join_paths
from daskome.ome.detect import ome_of
from daskome.ome.fingerprint import FINGERPRINT
from daskome.ome.versions import find_version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.planning.plan import Plan
from daskome.stores.documents import read_json
from daskome.stores.groups import read_attributes
from daskome.stores.targets.create import array_documents

NOT_PLANNED = ("/metadata/version", f"/metadata/{FINGERPRINT}")
"""What the same image may have differently: the version of daskome that wrote it, and what follows from its pixels."""


def differences(target: StorePath, plan: Plan) -> list[str]:
    """Return how the images at a target differ from those of a plan, in their arrays and their multiscales.

    Empty if the plan, or one like it, was written there.
    """
    documents, version = array_documents(plan), find_version(plan.version)
    lines: list[str] = []
    for group, _ in plan.images:
        attributes = read_attributes(target / group.path) or {}
        planned = ome_of(ome_attributes(version, group.metadata)).get("multiscales")
        lines += differing(join_paths(group.path, "multiscales"), ome_of(attributes).get("multiscales"), planned)
        for key, document in documents[group.path].items():
            stored = read_json(target / group.path / key)
            lines += differing(join_paths(group.path, key), stored, json.loads(document.to_bytes()))
    return lines


def differing(where: str, stored: Any, planned: Any) -> list[str]:
    """Return where two JSON documents differ, as lines of text, apart from what is `NOT_PLANNED`.

    >>> differing("s0", {"shape": [4, 5], "order": "C"}, {"shape": [4, 6]})
    ["s0/order: stored 'C', planned nothing", 's0/shape: stored [4, 5], planned [4, 6]']
    >>> differing("levels", [{"path": "s0"}, {"path": "s1"}], [{"path": "0"}])
    ['levels: stored 2, planned 1', "levels/0/path: stored 's0', planned '0'"]
    """
    if where.endswith(NOT_PLANNED) or stored == planned or _same_method(where, stored, planned):
        return []
    if isinstance(stored, dict) and isinstance(planned, dict):
        keys: list[Any] = sorted({*stored, *planned})
        return [x for key in keys for x in differing(f"{where}/{key}", stored.get(key), planned.get(key))]
    if _are_objects(stored) and _are_objects(planned):
        pairs = enumerate(zip(stored, planned, strict=False))
        counts = [f"{where}: stored {len(stored)}, planned {len(planned)}"] * (len(stored) != len(planned))
        return counts + [x for i, (a, b) in pairs for x in differing(f"{where}/{i}", a, b)]
    a, b = ("nothing" if value is None else reprlib.repr(value) for value in (stored, planned))
    return [f"{where}: stored {a}, planned {b}"]


def _same_method(where: str, stored: Any, planned: Any) -> bool:
    names = isinstance(stored, str) and isinstance(planned, str) and where.endswith("/metadata/method")
    return names and short_name(stored) == short_name(planned)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
