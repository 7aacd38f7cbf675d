"""The kinds of store there are, one row of `KINDS` each: all that daskome treats differently from store to store.

A new kind costs one row. Most are file systems of fsspec: a row made of `FSSPEC`, or of `BUCKET`, with schemes,
options and an extra.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ObjectStore, StorePath, WrapperStore, ZipStore

from daskome.model.urls import without_credentials
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.opened.bounded import BoundedFolder
from daskome.stores.opened.exact_paths import ExactPathStore
from daskome.stores.opened.pages import Pages, any_pages, folder_pages, fsspec_pages, obstore_pages, unordered_pages


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind:
    """A row of `KINDS`. Its functions take a store of this kind, without wrappers, and mostly a path in it.

    Attributes
    ----------
    name : str
    includes : callable
        Whether a store is of this kind. The first row that includes a store is its kind.
    schemes : tuple of str
        Of the URLs that lead there.
    extra : str
        The extra of daskome that installs the package for these URLs; empty where none is needed.
    store_class : callable
        Returns the class that opens these URLs.
    fs_options : callable
        Completes the options of a caller for the file system of these URLs.
    client : callable
        Opens a URL with what is faster than fsspec, where that is installed and can do all that the options say.
    shared : bool
        Whether other processes can open the store.
    near : bool
        Whether a request costs next to nothing, so that what was found is asked for again.
    lists : bool
        Whether its lists are cheap: many names for each request, however many folders these are in.
    lag : float
        Seconds after which others see what has been written; 0 where they do at once.
    in_flight : int
        How many objects may be on their way there at a time, from one process; 0 where each is stored at once.
    remembers : bool
        Whether it reads copies that it has made, which others' writing does not change: it cannot be written.
    sync_classes : tuple of type
        Classes, not counting those derived from them, whose requests never wait for an event loop.
    opens_to_write : bool
        Whether groups in a store that is open for writing can only be opened for writing, too.
    pages : callable
        Yields what is stored below a path, page by page, in the order of keys (`daskome.stores.opened.pages`).
    folder : callable
        Returns where a path lies as a folder of this machine, in which files are written under other names first.
    address : callable
        Returns what tells a path apart from all others, in whatever kind of store.
    url : callable
        Returns the path or URL by which other processes find a path; empty if they cannot. It has no secrets.
    parent : callable
        Returns the store around the store, to be read; None if there is none.
    refresh : callable
        Makes a store forget what it remembers of listings.
    anchor : callable
        Makes the path of a store absolute: it leads to the same place from other folders and in other processes.
    """

    name: str
    includes: Callable[[Any], bool]
    schemes: tuple[str, ...] = ()
    extra: str = ""
    store_class: Callable[[], type[FsspecStore]] = lambda: ExactPathStore
    fs_options: Callable[[dict[str, Any]], dict[str, Any]] = lambda options: options
    client: Callable[[str, dict[str, Any], bool], Store | None] = lambda url, options, read_only: None
    shared: bool = True
    near: bool = False
    lists: bool = True
    lag: float = 0
    in_flight: int = 0
    remembers: bool = False
    sync_classes: tuple[type[Store], ...] = ()
    opens_to_write: bool = False
    pages: Callable[[Any, str], Pages] = any_pages
    folder: Callable[[Any, str], Path | None] = lambda store, path: None
    address: Callable[[Any, str], tuple[str, ...]] = lambda store, path: (str(id(store)), *_names(path))
    url: Callable[[Any, str], str] = lambda store, path: ""
    parent: Callable[[Any], Store | None] = lambda store: None
    refresh: Callable[[Any], None] = lambda store: None
    anchor: Callable[[Any], None] = lambda store: None


def unwrap_store(store: Store) -> Any:
    """Return the store inside all wrappers, such as those that log: its kind is what counts, however it is wrapped."""
    inner: Any = store
    while isinstance(inner, WrapperStore):
        inner = inner._store
    return inner


def kind_of(target: StorePath) -> tuple[StoreKind, Any]:
    """Return the kind of the store of a target, and that store without wrappers."""
    store = unwrap_store(target.store)
    return next(row for row in KINDS if row.includes(store)), store


def anchor(target: StorePath) -> None:
    """Make the path of an open store absolute, as it is meant here and now: it is read and written elsewhere, later."""
    kind, store = kind_of(target)
    kind.anchor(store)


def kind_of_scheme(scheme: str) -> StoreKind:
    """Return the kind of store to which URLs with a scheme lead."""
    return next((row for row in KINDS if scheme in row.schemes), FSSPEC)


def waits_for_no_loop(store: Store) -> bool:
    """Whether requests to a store, as it is, never wait for an event loop. A derived class may do what it likes."""
    said = getattr(store, "waits_for_no_loop", None)
    return any(type(store) in row.sync_classes for row in KINDS) if said is None else bool(said)


def root_of_files(store: Any) -> Path | None:
    """Return the folder whose files a store of zarr's reads, by itself, fsspec (Dask's choice) or obstore."""
    fs: Any = getattr(store, "fs", None)
    if type(store) is FsspecStore and type(getattr(fs, "sync_fs", fs)).__name__ == "LocalFileSystem":
        return Path(store.path)
    if type(store) is ObjectStore and type(store.store).__name__ == "LocalStore":
        return _obstore_files(store, "")
    return store.root if type(store) is LocalStore else None


def in_flight_to(target: StorePath) -> int:
    """Return how many objects may be on their way to the store of a target at a time, or to that of its archive."""
    kind, store = kind_of(target)
    return in_flight_to(store.place) if isinstance(store, ArchiveStore) else kind.in_flight


def _names(path: str) -> tuple[str, ...]:
    return tuple(filter(None, path.split("/")))


def _is_obstore(*names: str) -> Callable[[Any], bool]:
    """Return whether a store is zarr's around one of these of obstore's."""
    return lambda store: isinstance(store, ObjectStore) and type(store.store).__name__ in names


def _parent_folder(store: LocalStore) -> LocalStore | None:
    root = store.root.absolute()
    return BoundedFolder(root.parent, read_only=True) if root.parent != root else None


def _anchor_folder(store: LocalStore) -> None:
    store.root = store.root.absolute()


def _anchor_zip(store: ZipStore) -> None:
    if store.path is not None:  # It may be an open file instead.
        store.path = Path(store.path).absolute()


def _anchor_files(store: FsspecStore) -> None:
    store.path = Path(store.path).absolute().as_posix()


def _protocols(store: FsspecStore) -> tuple[str, ...]:
    protocol = store.fs.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _speaks(*protocols: str) -> Callable[[Any], bool]:
    """Return whether a store is one of fsspec that has one of these protocols."""
    return lambda store: isinstance(store, FsspecStore) and not set(protocols).isdisjoint(_protocols(store))


def _scheme(fs: Any) -> str:
    """Return the first scheme of the kind to which a file system belongs: one, whoever opens it."""
    protocol = str(fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0])
    return (*kind_of_scheme(protocol).schemes, protocol)[0]


def _fsspec_address(store: FsspecStore, path: str) -> tuple[str, ...]:
    return (_scheme(store.fs), *_names(without_credentials(store.path)), *_names(path))


def _cache_address(store: FsspecStore, path: str) -> tuple[str, ...]:
    """Return the address of what a cache keeps copies of."""
    inner: Any = store.fs
    while (around := getattr(inner, "sync_fs", None) or getattr(inner, "fs", None)) is not None:
        inner = around
    names = (*_names(store.path), *_names(path))
    return Path("/", *names).resolve().parts if "file" in inner.protocol else (_scheme(inner), *names)


def _fsspec_url(store: FsspecStore, path: str) -> str:
    return without_credentials(store.fs.unstrip_protocol("/".join(filter(None, (store.path, path)))))


def _fsspec_parent(store: FsspecStore) -> FsspecStore | None:
    path, slash, _ = store.path.rstrip("/").rpartition("/")
    return FsspecStore(store.fs, read_only=True, path=path) if slash and path.strip("/") else None


def _bucket_of(store: ObjectStore[Any]) -> tuple[str, str]:
    """Return the scheme and the name of the bucket of a store of obstore's; for other servers, those of the server."""
    inner: Any = store.store
    if type(inner).__name__ == "HTTPStore":
        url = urlsplit(inner.url)
        return url.scheme, f"{url.netloc.rpartition('@')[2]}{url.path}"
    scheme, key = BUCKETS[type(inner).__name__]
    return scheme, str(inner.config.get(key, ""))


def _obstore_prefix(store: ObjectStore[Any]) -> str:
    return str(getattr(store.store, "prefix", None) or "")


def _obstore_address(store: ObjectStore[Any], path: str) -> tuple[str, ...]:
    scheme, bucket = _bucket_of(store)
    return (scheme, *_names(bucket), *_names(_obstore_prefix(store)), *_names(path))


def _obstore_url(store: ObjectStore[Any], path: str) -> str:
    scheme, *names = _obstore_address(store, path)
    return f"{scheme}://{'/'.join(names)}"


def _obstore_parent(store: ObjectStore[Any]) -> Store | None:
    """Return the store around one of obstore's; it is ours, or built as that which is there."""
    above, _, last = _obstore_prefix(store).rstrip("/").rpartition("/")
    if not last:
        return None
    if hasattr(store, "at"):
        return store.at(above)  # type: ignore[no-any-return]
    args, settings = store.store.__getnewargs_ex__()
    return ObjectStore(type(store.store)(*args, **{**settings, "prefix": above or None}), read_only=True)


def _obstore_pages(store: ObjectStore[Any], path: str) -> Pages:
    """Return what a bucket lists; our own store puts its errors into Python's words."""
    return store.pages(path) if hasattr(store, "pages") else obstore_pages(store.store, path)


def _archive_address(store: ArchiveStore, path: str) -> tuple[str, ...]:
    kind, inner = kind_of(store.place)
    return (*kind.address(inner, store.place.path), *_names(path))


def _archive_url(store: ArchiveStore, path: str) -> str:
    kind, inner = kind_of(store.place)
    url = kind.url(inner, store.place.path)
    return "/".join(filter(None, (url, path))) if url else ""


def _obstore_files(store: ObjectStore[Any], path: str = "") -> Path:
    return Path(_obstore_prefix(store) or "/", path).resolve()


def _obstore_parent_folder(store: ObjectStore[Any]) -> LocalStore | None:
    folder = _obstore_files(store)
    return LocalStore(folder.parent, read_only=True) if folder.parent != folder else None


def _with_obstore(name: str) -> Callable[[str, dict[str, Any], bool], Store | None]:
    """Return how URLs are opened with obstore, by a function of `daskome.stores.clouds.options`."""

    def opened(url: str, options: dict[str, Any], read_only: bool) -> Store | None:
        if find_spec("obstore") is None:
            return None
        from daskome.stores.clouds import options as cloud_options

        return cloud_options.open_bucket(getattr(cloud_options, name), url, options, read_only)

    return opened


def _s3_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of s3fs, with those of `daskome.stores.s3` that the caller has not set."""
    from daskome.stores.s3 import PATIENCE, REQUESTS_PER_FILE

    patience = {**PATIENCE, **(options.get("config_kwargs") or {})}
    return {"max_concurrency": REQUESTS_PER_FILE, **options, "config_kwargs": patience}


def _azure_store() -> type[FsspecStore]:
    from daskome.stores.azure import AzureStore

    return AzureStore


IN_FLIGHT = 64
"""What a store takes at a time that answers after some time, but answers many at once."""
LAG = 2.0
"""Seconds after which what is written is seen by others, in stores of which nothing is known."""
CACHES = ("simplecache", "filecache", "blockcache", "cached")
"""The file systems of fsspec that keep copies of what they read, as in ``simplecache::s3://…``."""
FSSPEC = StoreKind(
    name="fsspec",
    lists=False,
    lag=LAG,
    includes=lambda store: isinstance(store, FsspecStore),
    pages=fsspec_pages,
    in_flight=IN_FLIGHT,
    address=_fsspec_address,
    url=_fsspec_url,
    parent=_fsspec_parent,
    refresh=lambda store: store.fs.invalidate_cache(),
)
"""Any file system of fsspec: https://, sftp:// and so on."""
BUCKET = replace(FSSPEC, lists=True, lag=0)
"""A bucket as fsspec opens it: what is written is seen at once, by lists too."""
BUCKETS = {"S3Store": ("s3", "bucket"), "GCSStore": ("gs", "bucket"), "AzureStore": ("az", "container_name")}
"""The stores of obstore for clouds: the scheme of their URLs, and their setting with the name of the bucket."""
OBSTORE = StoreKind(
    name="obstore",
    includes=_is_obstore(*BUCKETS, "HTTPStore"),
    pages=_obstore_pages,
    in_flight=IN_FLIGHT,
    address=_obstore_address,
    url=_obstore_url,
    parent=_obstore_parent,
)
"""The clouds and the web by obstore: our `CloudStore`, or zarr's `ObjectStore` around one that a caller has opened."""
KINDS = (
    StoreKind(
        name="folder",
        near=True,
        includes=lambda store: isinstance(store, LocalStore),
        sync_classes=(LocalStore, BoundedFolder),
        pages=folder_pages,
        folder=lambda store, path: store.root / path,
        address=lambda store, path: (store.root / path).resolve().parts,
        url=lambda store, path: (store.root / path).absolute().as_posix(),
        parent=_parent_folder,
        anchor=_anchor_folder,
    ),
    StoreKind(
        name="memory",
        includes=lambda store: isinstance(store, MemoryStore),
        shared=False,
        sync_classes=(MemoryStore,),
        address=lambda store, path: (str(id(store._store_dict)), *_names(path)),
    ),
    StoreKind(
        name="memory of obstore",
        includes=_is_obstore("MemoryStore"),
        shared=False,
        pages=lambda store, path: unordered_pages(store.store, path),
        address=lambda store, path: (str(id(store.store)), *_names(path)),
    ),
    StoreKind(
        name="files of obstore",
        near=True,
        includes=_is_obstore("LocalStore"),
        pages=lambda store, path: unordered_pages(store.store, path),
        address=lambda store, path: _obstore_files(store, path).parts,
        url=lambda store, path: _obstore_files(store, path).as_posix(),
        parent=_obstore_parent_folder,
    ),
    OBSTORE,
    StoreKind(
        name="archive",
        near=True,
        includes=lambda store: isinstance(store, ArchiveStore),
        address=_archive_address,
        url=_archive_url,
    ),
    StoreKind(
        name="zip",
        includes=lambda store: isinstance(store, ZipStore),
        shared=False,
        opens_to_write=True,
        anchor=_anchor_zip,
    ),
    replace(
        BUCKET,
        name="memory of fsspec",
        includes=_speaks("memory"),
        shared=False,
        in_flight=0,
        url=lambda store, path: "",
    ),
    replace(
        BUCKET,
        name="files of fsspec",
        near=True,
        in_flight=0,
        includes=_speaks("file"),
        address=lambda store, path: (Path(store.path) / path).resolve().parts,
        anchor=_anchor_files,
    ),
    replace(FSSPEC, name="cache", includes=_speaks(*CACHES), remembers=True, address=_cache_address),
    replace(
        BUCKET,
        name="S3",
        includes=_speaks("s3"),
        schemes=("s3", "s3a"),
        fs_options=_s3_options,
        client=_with_obstore("s3_bucket"),
    ),
    replace(BUCKET, name="Google Cloud", includes=_speaks("gs"), schemes=("gs", "gcs"), extra="gcs"),
    replace(
        BUCKET,
        name="Azure",
        includes=_speaks("abfs", "az"),
        schemes=("az", "abfs", "abfss"),
        extra="azure",
        store_class=_azure_store,
        client=_with_obstore("azure_bucket"),
    ),
    FSSPEC,
    StoreKind(name="other", includes=lambda store: True, lists=False, lag=LAG, in_flight=IN_FLIGHT),
)
