"""A store that remembers: it gives what the store gives, and asks for each thing once."""

from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath

from daskome.stores.location import holds_group, parent_of
from daskome.stores.remembered import Remembered, forget

KEYS = ("zarr.json", "a/zarr.json", "a/b/zarr.json", "a/b/c/0", "labels/x/zarr.json")
FOLDERS = ("", "a", "a/b", "labels")
WAYS = st.one_of(
    st.tuples(st.sampled_from(["get", "set", "delete", "exists"]), st.sampled_from(KEYS)),
    st.tuples(st.sampled_from(["list_dir", "is_empty", "delete_dir"]), st.sampled_from(FOLDERS[1:])),
    st.tuples(st.just("list_dir"), st.just("")),
)


def ask(store: Any, verb: str, key: str, number: int = 0) -> Any:
    prototype = default_buffer_prototype()
    if verb == "get":
        found = sync(store.get(key, prototype))
        return None if found is None else found.to_bytes()
    if verb == "set":
        return sync(store.set(key, prototype.buffer.from_bytes(str(number).encode())))
    if verb == "list_dir":

        async def names() -> list[str]:
            return sorted([name async for name in store.list_dir(key)])

        return sync(names())
    return sync(getattr(store, verb)(key))


@pytest.mark.extended
@given(st.lists(WAYS, max_size=30))
def test_it_gives_what_the_store_gives(asked: list[tuple[str, str]]) -> None:
    plain, inner = MemoryStore(), MemoryStore()
    store = Remembered(inner)
    for number, (verb, key) in enumerate(asked):
        assert ask(store, verb, key, number) == ask(plain, verb, key, number), (verb, key)
        assert ask(store.with_read_only(True), "exists", key) == ask(plain, "exists", key)
    assert {k: v.to_bytes() for k, v in inner._store_dict.items()} == {
        k: v.to_bytes() for k, v in plain._store_dict.items()
    }


class Counted(MemoryStore):
    """A store that counts what it is asked for, with all views of it."""

    asked: ClassVar[Counter[str]] = Counter()

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        self.asked[key] += 1
        return await super().get(key, *args, **options)


def test_it_keeps_documents_and_nothing_else() -> None:
    """Chunks of a thousand images would stay in memory."""
    inner = Counted()
    inner.asked.clear()
    store = Remembered(inner)
    for key in ("s0/c/0/0", "s0/zarr.json"):
        ask(store, "set", key, 7)
        assert [ask(store, "get", key) for _ in range(2)] == [b"7"] * 2
    assert inner.asked == {"s0/c/0/0": 2}


def test_it_asks_once_and_not_below_what_is_not_listed() -> None:
    inner = Counted()
    inner.asked.clear()
    store = Remembered(inner)
    for _ in range(3):
        assert ask(store, "get", "zarr.json") is None
        assert ask(store.with_read_only(True), "get", "zarr.json") is None
    assert inner.asked == {"zarr.json": 1}
    assert ask(store, "list_dir", "") == []
    assert ask(store, "get", "a/zarr.json") is None
    assert inner.asked == {"zarr.json": 1}
    store.forget()
    assert ask(store, "get", "a/zarr.json") is None
    assert inner.asked == {"zarr.json": 1, "a/zarr.json": 1}


def test_what_lies_around_it_is_asked_for_once_until_it_is_forgotten(tmp_path: Path) -> None:
    zarr.create_group(tmp_path)
    place = StorePath(Remembered(LocalStore(tmp_path / "a")))
    seen = []
    for change in (lambda: None, (tmp_path / "zarr.json").unlink, lambda: forget(place)):
        change()
        above = parent_of(place)
        assert above is not None
        seen.append(holds_group(above))
    assert seen == [True, True, False]
