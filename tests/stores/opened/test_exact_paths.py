"""Whatever a path is called, what is deleted lies there, and nowhere else."""

from itertools import count
from typing import Any

import pytest
from fsspec.asyn import AsyncFileSystem
from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LoggingStore, StorePath

from daskome.stores.location import locate
from daskome.stores.opened.exact_paths import ExactPathStore
from tests.strategies import law

NAMES = st.text("ab*?[]-!0", min_size=1, max_size=5)
numbers = count()


def files() -> AsyncFileSystem:
    return AsyncFileSystemWrapper(MemoryFileSystem(skip_instance_cache=True), asynchronous=True)


def kept(store: FsspecStore) -> set[str]:
    async def listed() -> list[str]:
        return [key async for key in store.list()]

    return set(sync(listed()))


@law(max_examples=60)
@given(names=st.sets(NAMES, min_size=1, max_size=6), root=NAMES, whole=st.booleans(), data=st.data())
def test_what_is_deleted_lies_at_the_path(names: set[str], root: str, whole: bool, data: st.DataObject) -> None:
    store = ExactPathStore(files(), path=f"/{next(numbers)}/{root}")
    keys = {f"{name}/{key}" for name in names for key in ("zarr.json", "c/0")}
    for key in keys:
        sync(store.set(key, default_buffer_prototype().buffer.from_bytes(b"1")))
    gone = data.draw(st.sampled_from(sorted(names)))
    sync(store.delete_dir(gone) if whole else store.delete(f"{gone}/zarr.json"))
    assert kept(store) == {
        key for key in keys if key not in ({f"{gone}/zarr.json", f"{gone}/c/0"} if whole else {f"{gone}/zarr.json"})
    }


@pytest.mark.parametrize("path", ["a", "a[1]/b"])
def test_a_store_that_a_caller_has_opened_is_taken_so(path: str) -> None:
    opened = FsspecStore(files(), path=f"/{next(numbers)}/[x]")
    place = locate(StorePath(opened, path))
    store: Any = place.store
    assert (type(store), store.path, store.fs, place.path) == (ExactPathStore, opened.path, opened.fs, path)


def test_a_store_that_a_caller_has_wrapped_is_taken_so() -> None:
    place = locate(StorePath(LoggingStore(FsspecStore(files(), path=f"/{next(numbers)}/[x]")), "a"))
    assert isinstance(place.store, LoggingStore)
    assert type(place.store._store) is ExactPathStore


def test_what_is_not_there_is_no_error() -> None:
    store = ExactPathStore(files(), path=f"/{next(numbers)}/[x]")
    sync(store.delete("a*"))
    sync(store.delete_dir("a*"))


@pytest.mark.parametrize("error", [OSError(121, "slow down"), PermissionError(13, "no"), OSError("no number")])
def test_errors_name_the_object(error: OSError) -> None:
    class Refusing(MemoryFileSystem):  # type: ignore[misc]
        def pipe_file(self, path: str, value: bytes, **options: Any) -> None:
            raise error

    store = ExactPathStore(AsyncFileSystemWrapper(Refusing(skip_instance_cache=True), asynchronous=True), path="/a")
    with pytest.raises(type(error)) as raised:
        sync(store.set("zarr.json", default_buffer_prototype().buffer.from_bytes(b"1")))
    assert ("/a/zarr.json" in str(raised.value)) == (error.errno is not None)
