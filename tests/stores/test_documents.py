"""Small documents and listings, whatever the store."""

from pathlib import Path
from typing import Any

import pytest
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath, WrapperStore

from daskome.stores.documents import list_names, read_json, read_text, write_text

KINDS = ("memory", "local", "fsspec", "wrapped")


@pytest.fixture(params=KINDS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> StorePath:
    kinds: dict[str, Any] = {
        "memory": MemoryStore,
        "local": lambda: LocalStore(tmp_path),
        "fsspec": lambda: FsspecStore.from_url(f"memory://{tmp_path}"),
        "wrapped": lambda: WrapperStore(LocalStore(tmp_path)),
    }
    return StorePath(kinds[request.param]())


def test_a_document_comes_back(root: StorePath) -> None:
    write_text(root / "a" / "b", '{"µ": 1}')
    assert read_text(root / "a" / "b") == '{"µ": 1}'
    assert read_json(root / "a" / "b") == {"µ": 1}
    assert list_names(root) == ["a"]
    write_text(root / "a" / "c", "")
    assert sorted(list_names(root / "a")) == ["b", "c"]


def test_where_there_is_none(root: StorePath) -> None:
    write_text(root / "a", "1")
    for path in (root / "b", root / "a" / "b"):
        assert read_text(path) is None
        assert read_json(path) is None
        assert list_names(path) == []


@pytest.mark.parametrize("text", ["", "{", "nul", "null", "\x00"])
def test_what_is_not_json_is_named(root: StorePath, text: str) -> None:
    write_text(root / "a", text)
    with pytest.raises(ValueError, match=r"a is (not JSON|null)"):
        read_json(root / "a")
