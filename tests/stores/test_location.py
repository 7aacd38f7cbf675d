"""What daskome knows of each kind of store, however it is wrapped."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, StorePath, WrapperStore, ZipStore

import daskome
from daskome.stores.kinds import KINDS, kind_of, waits_for_no_loop
from daskome.stores.location import address_of, folder_of, is_local_to_process, locate, parent_of, url_of

PLANE = np.arange(1, 64 * 64 + 1, dtype="uint16").reshape(64, 64)


PUBLIC = {"anon": True, "endpoint_url": "https://example.org"}


def of_obstore(name: str, *args: Any, **options: Any) -> ObjectStore[Any]:
    """Return a store as users make it."""
    return ObjectStore(getattr(pytest.importorskip("obstore.store"), name)(*args, **options))


@dataclass(frozen=True)
class Row:
    kind: str
    store: Callable[[Path], Any]
    shared: bool
    url: str
    parent: bool
    folder: bool = False
    inline: bool = False


ROWS = (
    Row("folder", lambda folder: LocalStore(folder / "s"), True, "{folder}/s/a", True, folder=True, inline=True),
    Row("memory", lambda folder: MemoryStore(), False, "", False, inline=True),
    Row("zip", lambda folder: ZipStore(folder / "s.zip", mode="w"), False, "", False),
    Row("memory of fsspec", lambda folder: FsspecStore.from_url(f"memory://{folder}/s"), False, "", True),
    Row(
        "files of fsspec", lambda folder: FsspecStore.from_url(f"file://{folder}/s"), True, "file://{folder}/s/a", True
    ),
    Row("S3", lambda folder: FsspecStore.from_url("s3://bucket/s"), True, "s3://bucket/s/a", True),
    Row("obstore", lambda folder: locate("s3://bucket/s", PUBLIC).store, True, "s3://bucket/s/a", True),
    Row("obstore", lambda folder: of_obstore("S3Store", "bucket", prefix="s"), True, "s3://bucket/s/a", True),
    Row("obstore", lambda folder: of_obstore("GCSStore", "bucket", prefix="s"), True, "gs://bucket/s/a", True),
    Row(
        "obstore", lambda folder: of_obstore("AzureStore", "c", account_name="l", prefix="s"), True, "az://c/s/a", True
    ),
    Row(
        "obstore", lambda folder: of_obstore("HTTPStore", "https://me:pw@h.org/s?k=1"), True, "https://h.org/s/a", False
    ),
    Row(
        "files of obstore",
        lambda folder: of_obstore("LocalStore", folder / "s", mkdir=True),
        True,
        "{folder}/s/a",
        True,
    ),
    Row("memory of obstore", lambda folder: of_obstore("MemoryStore"), False, "", False),
    Row("fsspec", lambda folder: locate("https://example.org/s").store, True, "https://example.org/s/a", True),
)


@pytest.fixture(params=[True, False], ids=["wrapped", "bare"])
def wrapped(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_what_is_known_of_a_kind(tmp_path: Path, row: Row, wrapped: bool) -> None:
    store = row.store(tmp_path)
    root = StorePath(WrapperStore(store) if wrapped else store)
    assert kind_of(root)[0].name == row.kind
    assert is_local_to_process(root) is not row.shared
    assert url_of(root / "a") == row.url.format(folder=tmp_path.as_posix())
    assert (parent_of(root) is not None) is row.parent
    assert folder_of(root / "a") == (tmp_path / "s" / "a" if row.folder else None)
    assert waits_for_no_loop(root.store) is (row.inline and not wrapped)
    assert address_of(root / "a" / "b") == (*address_of(root / "a"), "b") == (*address_of(root), "a", "b")


def test_one_place_has_one_address(tmp_path: Path) -> None:
    stores = (LocalStore(tmp_path), LocalStore(tmp_path / "a" / ".."), FsspecStore.from_url(f"file://{tmp_path}"))
    assert len({address_of(StorePath(store, "b")) for store in stores}) == 1
    assert address_of(StorePath(MemoryStore(), "b")) != address_of(StorePath(MemoryStore(), "b"))


@pytest.mark.filterwarnings("ignore:.*asynchronous=True")
def test_one_place_has_one_address_whoever_opens_it(tmp_path: Path) -> None:
    """With s3fs, through a cache, with obstore, ours or the caller's, from the bucket or from within."""
    memory = of_obstore("MemoryStore")
    assert address_of(StorePath(memory)) == address_of(StorePath(ObjectStore(memory.store), ""))
    assert address_of(StorePath(memory)) != address_of(StorePath(of_obstore("MemoryStore")))
    cached = FsspecStore.from_url("simplecache::s3://bucket/s/a", storage_options={"cache_storage": str(tmp_path)})
    stores = (
        StorePath(FsspecStore.from_url("s3://bucket/s/a")),
        StorePath(cached),
        locate("s3a://bucket/s/a/", PUBLIC),
        locate("s3://bucket", PUBLIC) / "s" / "a",
        StorePath(of_obstore("S3Store", "bucket", prefix="s"), "a"),
    )
    assert {address_of(path) for path in stores} == {("s3", "bucket", "s", "a")}
    files = (StorePath(LocalStore(tmp_path), "a"), StorePath(of_obstore("LocalStore", tmp_path), "a"))
    assert len({address_of(path) for path in files}) == 1


def test_the_path_above_is_read_through_the_store_around(tmp_path: Path) -> None:
    stores = (
        LocalStore(tmp_path / "s"),
        FsspecStore.from_url(f"memory://{tmp_path}/s"),
        of_obstore("LocalStore", tmp_path / "s", mkdir=True),
        of_obstore("S3Store", "bucket", prefix="p/s", skip_signature=True),
        locate("s3://bucket/s", PUBLIC).store,
    )
    for store in stores:
        above = parent_of(StorePath(store))
        assert above is not None
        assert above.read_only
        assert address_of(above / "s") == address_of(StorePath(store))
    assert parent_of(StorePath(LocalStore("/"))) is None
    assert parent_of(locate("s3://bucket", PUBLIC)) is None


def test_a_store_of_a_derived_class_may_wait() -> None:
    class Slow(MemoryStore):
        """A store that might ask the network."""

    assert not waits_for_no_loop(Slow())


def test_each_scheme_leads_to_one_kind() -> None:
    schemes = [scheme for row in KINDS for scheme in row.schemes]
    assert len(set(schemes)) == len(schemes)


def test_a_scheme_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="nobody:// is not a URL that fsspec knows; give one such as s3://"):
        locate("nobody://a")


# ---- what fsspec can do


class Registered(MemoryFileSystem):
    """A file system that somebody else has registered."""

    protocol = "registered"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]


@pytest.mark.parametrize("url", ["s3://", "s3:///bucket/a", "gs://", "az:///a"])
def test_a_url_without_a_bucket(url: str) -> None:
    with pytest.raises(ValueError, match="names no bucket; give one, as in"):
        locate(url)


def test_registered_protocols_are_urls() -> None:
    fsspec.register_implementation("registered", Registered, clobber=True)
    daskome.write_image(PLANE, "registered://a/b.zarr", [2], axes="yx")
    source = daskome.read("registered://a/b.zarr")
    np.testing.assert_array_equal(np.asarray(source.array[:, :]), PLANE)


@pytest.mark.parametrize("url", ["simplecache::file://{}/a.zarr", "zip://a.zarr::file://{}/a.zip"])
def test_chained_urls_are_read(tmp_path: Path, url: str) -> None:
    daskome.write_image(PLANE, tmp_path / "a.zarr", [2], axes="yx")
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path, "a.zarr")
    daskome.write_image(daskome.read(url.format(tmp_path)), tmp_path / "b.zarr", [2], axes="yx")
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "b.zarr/s0")[...], PLANE)
    assert daskome.verify(url.format(tmp_path), pixels=True) == []


def test_a_cache_is_not_written(tmp_path: Path) -> None:
    daskome.write_image(PLANE, tmp_path / "a.zarr", [2], axes="yx")
    with pytest.raises(PermissionError, match="is a cache"):
        daskome.write_image(PLANE, f"simplecache::file://{tmp_path}/b.zarr", [2], axes="yx")
    image = daskome.read(f"simplecache::file://{tmp_path}/a.zarr")
    with pytest.raises(ValueError, match="overlaps the source"):
        daskome.write_image(image, tmp_path / "a.zarr", [2], axes="yx", overwrite=True)


@pytest.mark.parametrize("url", ["nothing://a", "simplecache::nothing://a", "nothing::file:///a"])
def test_unknown_protocols_are_named(url: str) -> None:
    with pytest.raises(ValueError, match="nothing:// is not a URL that fsspec knows"):
        daskome.write_image(PLANE, url, axes="yx")


@pytest.mark.parametrize(("error", "expected"), [(PermissionError, "removed"), (OSError, "refused")])
def test_a_group_above_that_does_not_answer_is_not_taken_for_none(
    tmp_path: Path, error: type[Exception], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else labels would go, and stay in the list: what may not be seen, cannot be changed either."""
    daskome.write_image(PLANE, tmp_path / "a", None, axes="yx", labels={"one": PLANE, "two": PLANE})
    asked = LocalStore.exists

    async def exists(store: LocalStore, key: str) -> bool:
        if store.root == tmp_path / "a/labels" and key in ("zarr.json", ".zgroup"):
            raise error("503")
        return await asked(store, key)

    monkeypatch.setattr(LocalStore, "exists", exists)
    if expected == "refused":
        with pytest.raises(OSError, match="503"):
            daskome.remove(tmp_path / "a/labels/one")
        assert (tmp_path / "a/labels/one").exists()
    else:
        daskome.remove(tmp_path / "a/labels/one")
