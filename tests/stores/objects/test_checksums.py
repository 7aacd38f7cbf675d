"""Checksums of what is stored: whatever the store, in the order of keys, and as zarr-checksum computes them."""

from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore, ObjectStore, StorePath

import daskome
from daskome.stores.location import locate
from daskome.stores.objects import checksums
from daskome.stores.objects.checksums import stored_checksums, stored_sizes

OBJECTS = {
    "a-b": b"1",
    "a/b": b"22",
    "a/b.c": b"",
    "a/d/e": b"333",
    "a.b": b"4" * 100,
    "é/*[x]?": b"5",
    "zarr.json": b'{"zarr_format": 3, "node_type": "group"}',
}
EXPECTED = [(key, md5(OBJECTS[key]).hexdigest(), len(OBJECTS[key])) for key in sorted(OBJECTS)]


def in_a_folder(folder: Path) -> StorePath:
    return locate(folder / "a")


def in_fsspec(folder: Path) -> StorePath:
    return locate(f"memory://{folder.name}/a*")


def in_obstore(folder: Path) -> StorePath:
    from obstore.store import MemoryStore as Client

    return StorePath(ObjectStore(Client()), "a")


def in_files_of_obstore(folder: Path) -> StorePath:
    from obstore.store import LocalStore as Client

    return StorePath(ObjectStore(Client(str(folder))), "a")


STORES: dict[str, Any] = {
    "folder": in_a_folder,
    "memory": lambda folder: StorePath(MemoryStore(), "a"),
    "fsspec": in_fsspec,
    "obstore": in_obstore,
    "files of obstore": in_files_of_obstore,
}


@pytest.mark.parametrize("kind", STORES)
def test_every_object_in_the_order_of_keys(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "READ_PIECE", 16)
    place = STORES[kind](tmp_path)
    for key, value in OBJECTS.items():
        path = "/".join(filter(None, (place.path, key)))
        sync(place.store.set(path, default_buffer_prototype().buffer.from_bytes(value)))
    assert [(item.key, item.md5, item.nbytes) for item in stored_checksums(place)] == EXPECTED
    assert list(stored_sizes(place)) == [(key, nbytes) for key, _, nbytes in EXPECTED]
    assert list(stored_sizes(place / "nothing")) == []


def test_links_lead_on_but_not_round_and_round(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "0").write_bytes(b"1")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "c").symlink_to(tmp_path / "disk")
    assert list(stored_sizes(locate(tmp_path / "a"))) == [("c/0", 1)]
    (tmp_path / "disk" / "round").symlink_to(tmp_path / "a")
    with pytest.raises(ValueError, match="is a link to a folder that it lies in"):
        list(stored_sizes(locate(tmp_path / "a")))


def test_an_object_that_goes_meanwhile_is_named() -> None:
    store = MemoryStore()
    zarr.create_array(store, data=np.ones(5, "uint8"), chunks=1)
    found = stored_checksums(StorePath(Forgetful(store)))
    with pytest.raises(FileNotFoundError, match="c/3 was listed, and is gone"):
        list(found)
    assert daskome.manifest(store).endswith("-6--" + str(sum(size for _, size in stored_sizes(StorePath(store)))))


class Forgetful(zarr.storage.WrapperStore[MemoryStore]):
    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        return None if key == "c/3" else await super().get(key, *args, **kwargs)
