"""A hierarchy as one file, as RFC-9 describes ``.ozx``: which files are one, the order in them, and their comment.

A file that ends in ``.zip`` holds a hierarchy in the same way, of any version; nothing is demanded of it.
"""

import json
from collections.abc import Iterable

from daskome.model.json_values import MALFORMED
from daskome.model.paths import depth_of

OZX = ".ozx"
SINGLE_FILES = (OZX, ".zip")
"""The endings of the names of files that hold a hierarchy."""
RFC9_SECTION = "Single-file OME-Zarr"
"""Of RFC-9."""
ROOT_DOCUMENT = "zarr.json"
DOCUMENT_NAMES = frozenset((ROOT_DOCUMENT, ".zgroup", ".zattrs", ".zmetadata", ".zarray"))


def split_single_file(path: str) -> tuple[str, str] | None:
    """Return the path or URL of the first single file in another, and what follows it; None if there is none.

    >>> split_single_file("s3://bucket/a.ozx/labels/cells"), split_single_file("a.zip"), split_single_file("a.zarr")
    (('s3://bucket/a.ozx', 'labels/cells'), ('a.zip', ''), None)
    """
    scheme, separator, rest = path.rpartition("://")
    names = rest.split("/")
    for n, name in enumerate(names[bool(scheme) :], start=1 + bool(scheme)):
        if is_single_file(name):
            inside = "/".join(filter(None, names[n:]))
            return scheme + separator + "/".join(names[:n]), inside
    return None


def is_single_file(name: str) -> bool:
    """Whether a name is that of a single file; one that is only an ending is not.

    >>> is_single_file("a.OZX"), is_single_file(".zip")
    (True, False)
    """
    return name.lower().endswith(SINGLE_FILES) and not name.lower().startswith(SINGLE_FILES)


def is_ozx(path: str) -> bool:
    """Whether a path is that of a file to which RFC-9 applies."""
    return path.lower().endswith(OZX)


def is_described_by(key: str) -> bool:
    """Whether a key is that of a document of a group or an array."""
    return key.rpartition("/")[2] in DOCUMENT_NAMES


def in_file_order(keys: Iterable[str]) -> list[str]:
    """Return keys as they lie in a file: documents breadth-first, that of the root first, then all else by name.

    >>> in_file_order(["s0/c/0", "a/b/zarr.json", "s0/zarr.json", "zarr.json"])
    ['zarr.json', 's0/zarr.json', 'a/b/zarr.json', 's0/c/0']
    """
    return sorted(keys, key=lambda key: (not is_described_by(key), depth_of(key) if is_described_by(key) else 0, key))


def file_comment(version: str) -> bytes:
    """Return the comment of a file that is ordered so.

    >>> file_comment("0.5")
    b'{"ome": {"version": "0.5", "zipFile": {"centralDirectory": {"jsonFirst": true}}}}'
    """
    said = {"ome": {"version": version, "zipFile": {"centralDirectory": {"jsonFirst": True}}}}
    return json.dumps(said).encode()


def read_file_comment(comment: bytes) -> tuple[str, bool]:
    """Return the version that a comment states, and whether documents are said to come first.

    Raises
    ------
    ValueError
        That says what is wrong with it.
    """
    if not comment:
        raise ValueError("is missing")
    try:
        said = json.loads(comment.decode())
    except MALFORMED as error:
        raise ValueError(f"is not JSON: {comment[:40]!r}") from error
    ome = said.get("ome") if isinstance(said, dict) else None
    version = ome.get("version") if isinstance(ome, dict) else None
    if not isinstance(ome, dict) or not isinstance(version, str):
        raise ValueError('states no version; it should be such as {"ome": {"version": "0.5"}}')
    zip_file = ome.get("zipFile", {})
    directory = zip_file.get("centralDirectory", {}) if isinstance(zip_file, dict) else None
    if not isinstance(directory, dict) or not isinstance(directory.get("jsonFirst", False), bool):
        raise ValueError("has no object zipFile/centralDirectory with jsonFirst true or false")
    return version, directory.get("jsonFirst", False)
