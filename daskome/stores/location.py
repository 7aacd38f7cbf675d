"""Where a target or source lies: paths, URLs and stores. Only this module opens URLs."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import zarr
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath, ZipStore

from daskome.model.source import Origin, Source
from daskome.stores.wrappers import unwrapped


def locate(target: Any, fs_options: Mapping[str, Any] | None = None, read_only: bool = False) -> StorePath:
    """Return where a path, URL, group, array or store points. Nothing is created.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If options for a file system are given with something that has one already.
    """
    if isinstance(target, str | os.PathLike):
        return _locate_path(os.fspath(target), dict(fs_options or {}), read_only)
    if fs_options:
        raise ValueError("fs_options go with a URL; a store or group that is open has its own")
    if isinstance(target, zarr.Group | zarr.Array | StorePath):
        return target if isinstance(target, StorePath) else target.store_path
    if isinstance(target, Store):
        return StorePath(target)
    raise TypeError(f"the target must be a path, URL, zarr.Group or zarr store, not {type(target).__name__}")


def is_local_to_process(place: StorePath) -> bool:
    """Whether no other process can write there: stores in memory, and zip files."""
    store = unwrapped(place.store)
    if isinstance(store, FsspecStore):
        return "memory" in (store.fs.protocol, *store.fs.protocol)
    return isinstance(store, MemoryStore | ZipStore) or type(getattr(store, "store", None)).__name__ == "MemoryStore"


def address_of(place: StorePath) -> tuple[str, ...]:
    """Return what tells two places apart, whatever kind of store leads there: for files, the resolved path."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        return (store.root / place.path).resolve().parts
    if isinstance(store, FsspecStore):
        if "file" in (store.fs.protocol, *store.fs.protocol):
            return (Path(store.path) / place.path).resolve().parts
        return tuple(filter(None, (str(store.fs.protocol), *store.path.split("/"), *place.path.split("/"))))
    return (str(id(getattr(store, "_store_dict", store))), *filter(None, place.path.split("/")))


def origin_of(source: Source) -> Origin:
    """Return where an image comes from, as far as other processes can find it there."""
    if source.origin.path or not isinstance(source.array, zarr.Array):
        return source.origin
    return replace(source.origin, path=url_of(source.array.store_path))


def url_of(place: StorePath) -> str:
    """Return the path or URL under which another process finds a place; empty where it can't. It says no secrets."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        return (store.root / place.path).absolute().as_posix()
    if isinstance(store, FsspecStore) and not is_local_to_process(place):
        return str(store.fs.unstrip_protocol(join_paths(store.path, place.path)))
    return ""


def parent_of(place: StorePath) -> StorePath | None:
    """Return the place above one, to be read, also above its store if that is of files; None where there is none."""
    if place.path:
        return StorePath(place.store, place.path.rpartition("/")[0])
    store = unwrapped(place.store)
    if isinstance(store, LocalStore) and store.root.absolute().parent != store.root.absolute():
        return StorePath(LocalStore(store.root.absolute().parent, read_only=True))
    if isinstance(store, FsspecStore) and "/" in store.path.strip("/"):
        return StorePath(FsspecStore(store.fs, read_only=True, path=store.path.rstrip("/").rpartition("/")[0]))
    return None


def join_paths(*paths: str) -> str:
    """Return paths in a store as one; empty ones leave no trace."""
    return "/".join(filter(None, paths))


def _locate_path(path: str, fs_options: dict[str, Any], read_only: bool) -> StorePath:
    scheme, separator, rest = path.partition("://")
    if not separator or scheme in ("file", "local"):
        if fs_options:
            raise ValueError(f"fs_options go with a URL; {path} is a local path")
        local = Path(rest if separator else path).expanduser().absolute()
        return StorePath(LocalStore(local, read_only=read_only))
    options = _s3_options(fs_options) if scheme in ("s3", "s3a") else fs_options
    try:
        return StorePath(_store_of(scheme).from_url(path, storage_options=options or None, read_only=read_only))
    except ImportError as error:
        extra = f"; pip install 'daskome[{EXTRAS[scheme]}]'" if scheme in EXTRAS else ""
        raise ImportError(f"{scheme}:// needs a package that is not installed: {error}{extra}") from error


EXTRAS = {"gs": "gcs", "gcs": "gcs", **dict.fromkeys(["abfs", "abfss", "az"], "azure")}
"""What brings the package for a kind of URL; that for S3 is always there."""


def _store_of(scheme: str) -> type[FsspecStore]:
    """Return what opens a kind of URL.

    Raises
    ------
    ValueError
        If fsspec knows no such kind.
    """
    from fsspec import available_protocols

    if scheme not in available_protocols():
        raise ValueError(f"{scheme}:// is no kind of URL that fsspec knows; such are s3://, gs://, az://, https://")
    if EXTRAS.get(scheme) != "azure":
        return FsspecStore
    from daskome.stores.azure import AzureStore

    return AzureStore


def _s3_options(fs_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of s3fs, with those of `daskome.stores.s3` that the caller has not set."""
    from daskome.stores.s3 import AT_ONCE, PATIENCE

    patience = {**PATIENCE, **(fs_options.get("config_kwargs") or {})}
    return {"max_concurrency": AT_ONCE, **fs_options, "config_kwargs": patience}
