"""Where a target or source lies: paths, URLs and stores. Only this module opens URLs."""

import asyncio
import os
import shutil
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import zarr
from zarr.abc.store import Store
from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.paths import join_paths
from daskome.model.source import Origin, Source
from daskome.model.urls import NO_LOGINS, QUERY, SIGNED, URL_LOGIN, WEB, without_credentials
from daskome.ome.single_file import is_single_file, split_single_file
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.kinds import anchor, kind_of, kind_of_scheme
from daskome.stores.opened.bounded import BoundedFolder
from daskome.stores.opened.exact_paths import ExactPathStore, exact
from daskome.stores.opened.refusals import is_withheld
from daskome.stores.remembered import DOCUMENTS_OF_GROUPS, Remembered, for_each

WORKING_SUFFIX = ".partial"
"""What the name of a working store has behind that of the file into which it is packed."""
BEGINNINGS = ("zarr.json", ".zgroup", ".zattrs", ".daskome/current")
"""With one of these, a working store has begun."""


def locate(
    target: Any, fs_options: Mapping[str, Any] | None = None, read_only: bool = False, replaces: bool = False
) -> StorePath:
    """Return the place of a path, URL, group, array or store. Nothing is created.

    That of a single file is a store of what the file holds; to write one, it is the working store beside it, unless the
    file is there.

    Parameters
    ----------
    target : path, URL, group, array or store
    fs_options : mapping, optional
        For the file system of a URL.
    read_only : bool
        Whether it is only to be read.
    replaces : bool
        Whether a single file that is there is to be replaced as a whole.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If `fs_options` come with something that has a file system already.
    """
    if not isinstance(fs_options, Mapping | None):
        raise TypeError(f"fs_options is a {type(fs_options).__name__}: give a dict, as in {{'anon': True}}")
    if isinstance(target, str | os.PathLike) and "\0" in str(target):
        raise ValueError(f"the path {str(target)!r} has a NUL character, which no file system takes")
    if target == "":
        raise ValueError("the path is empty; give one such as 'image.ome.zarr', or '.' for the working directory")
    if isinstance(target, str | os.PathLike):
        return _locate_any(os.fspath(target), dict(fs_options or {}), read_only, replaces)
    if fs_options:
        raise ValueError("fs_options go with a URL; a store or group that is open has its own")
    if isinstance(target, Store):
        target = StorePath(target)
    if not isinstance(target, zarr.Group | zarr.Array | StorePath):
        hint = "; give the path that it was read from" if isinstance(target, Source) else ""
        raise TypeError(
            f"the target or source must be a path, URL, zarr.Group or store, not {type(target).__name__}{hint}"
        )
    path = _signed_in(exact(target if isinstance(target, StorePath) else target.store_path))
    anchor(path)
    return path


def without_login(url: str, fs_options: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a URL without its login and its query, and the options of its file systems that say the same.

    So what is kept of a URL, or shown, is no secret; and its query goes with every request, not into the paths of keys.

    Raises
    ------
    ValueError
        If its file system takes no login, or no signed query, from a URL.

    Examples
    --------
    >>> without_login("https://me:secret@host/a.zarr?sig=abc", {})
    ('https://host/a.zarr', {'headers': {'Authorization': 'Basic bWU6c2VjcmV0'}, 'params': {'sig': 'abc'}})
    """
    links, options = url.split("::"), dict(fs_options)
    for k, link in enumerate(links):
        links[k], found = _separated(link)
        scheme = link.partition("://")[0]
        inner = options if k == 0 else dict(options.get(scheme, {}))
        merged = {**found, **inner}
        if "headers" in found:
            merged["headers"] = {**found["headers"], **inner.get("headers", {})}
        options = merged if k == 0 else {**options, **({scheme: merged} if merged else {})}
    return "::".join(links), options


def is_local_to_process(path: StorePath) -> bool:
    """Whether no other process can write there, as to stores in memory and zip files."""
    return not kind_of(path)[0].shared


def address_of(path: StorePath) -> tuple[str, ...]:
    """Return what tells a path apart from others, whatever kind of store leads there: for files, where they lie."""
    kind, store = kind_of(path)
    return kind.address(store, path.path)


def folder_of(path: StorePath) -> Path | None:
    """Return a path in a store of files as a folder of this machine; None in other stores."""
    kind, store = kind_of(path)
    return kind.folder(store, path.path)


def free_nbytes(path: StorePath) -> int | None:
    """Return how many bytes are free where a path is, or will be; None in other stores than folders."""
    folder = folder_of(path)
    if folder is None:
        return None
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    return shutil.disk_usage(there).free


def origin_of(source: Source) -> Origin:
    """Return where an image comes from, as far as other processes can find it there."""
    if source.origin.path or not isinstance(source.array, zarr.Array):
        return source.origin
    return replace(source.origin, path=url_of(source.array.store_path))


def url_of(path: StorePath) -> str:
    """Return the path or URL by which other processes find a path; empty if they cannot. It has no secrets."""
    kind, store = kind_of(path)
    return kind.url(store, path.path)


def parent_of(path: StorePath) -> StorePath | None:
    """Return the path above, to be read, also above the root of a store of files; None where there is none."""
    if path.path:
        return StorePath(path.store, path.path.rpartition("/")[0])
    kind, store = kind_of(path)
    parent = path.store.around if isinstance(path.store, Remembered) else kind.parent(store)
    return None if parent is None else StorePath(parent)


def rooted(place: StorePath) -> StorePath:
    """Return a place as a path in the outermost zarr group around it: so what lists it can be reached, and changed."""
    places, names = [place], list[str]()
    while (above := parent_of(places[-1])) is not None and (name := _name_of(places[-1])) != "..":
        places.append(above)
        names.append(name)
    is_group = [holds_group(above) for above in places[1:2]]  # Most often, that is all there is to ask.
    is_group += for_each(place, holds_group, places[2:] if all(is_group) else [])
    n = sum(1 for _ in takewhile(bool, is_group))
    top = places[n]
    if top.store is place.store:
        return place
    store = top.store if top.store.read_only == place.read_only else top.store.with_read_only(place.read_only)
    return exact(StorePath(store, join_paths(top.path, *names[:n][::-1])))


def _name_of(place: StorePath) -> str:
    folder = folder_of(place)
    return place.path.rpartition("/")[2] or (address_of(place)[-1] if folder is None else folder.name)


def holds_group(place: StorePath) -> bool:
    """Whether a place is a zarr group; one that a login may not look at is none: it may be for what is below alone."""
    try:
        return sync(fetch_holds_group(place))
    except Exception as error:
        if is_withheld(error):
            return False
        raise


async def fetch_holds_group(place: StorePath) -> bool:
    """Whether a place is a zarr group; raises if it cannot be looked at."""
    return any(await asyncio.gather(*((place / name).exists() for name in DOCUMENTS_OF_GROUPS)))


def is_whole_store(place: StorePath) -> bool:
    """Whether a place is all that there is: a bucket, or the root of a file system."""
    kind, _ = kind_of(place)
    address = address_of(place)
    return (
        len(address) < 2 if folder_of(place) is not None else bool(kind.shared and kind.in_flight) and len(address) <= 2
    )


def file_place(path: str, fs_options: Mapping[str, Any] | None = None) -> StorePath:
    """Return the place of a file by its path or URL: its name, in the store around it.

    Raises
    ------
    ValueError
        If it has none, as the URL of a host.
    """
    path = str(_local(path)) if is_local(path) else path.rstrip("/")
    folder, _, name = path.rpartition("/")
    return _locate_path(folder or "/", dict(fs_options or {}), read_only=True) / name


def is_local(path: str) -> bool:
    """Whether a path or URL is that of a file of this machine.

    >>> is_local("a.zarr"), is_local("file:///a.zarr"), is_local("s3://bucket/a.zarr")
    (True, True, False)
    """
    scheme, separator, _ = path.partition("://")
    return not separator or scheme in ("file", "local")


def archive_at(place: StorePath) -> ArchiveStore | None:
    """Return the store of what a file holds; None where there is no file."""
    file = folder_of(place)
    if file is not None:
        return ArchiveStore(place, file) if file.is_file() else None
    with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
        if sync(place.store.getsize(place.path)):  # That of a folder, as a bucket has them, is 0.
            return ArchiveStore(place)
    return None


def single_file_of(target: StorePath) -> StorePath | None:
    """Return the place of the file into which what is written at a target is packed; None where nothing is."""
    kind, store = kind_of(target)
    root = (kind.url(store, "") or str(getattr(store, "path", ""))).rstrip("/")
    name = root.rpartition("/")[2].removesuffix(WORKING_SUFFIX)
    if not (root.endswith(f"{name}{WORKING_SUFFIX}") and is_single_file(name)):
        return None
    around = kind.parent(store)
    return None if around is None else StorePath(around, name)


def _locate_any(path: str, fs_options: dict[str, Any], read_only: bool, replaces: bool) -> StorePath:
    """Return the place of a path or URL, which may be that of a single file, or lead into one."""
    if not is_local(path):
        path, fs_options = without_login(path, fs_options)
    found = None if "://" in path.rpartition("::")[0] else split_single_file(path)
    if found is None or (is_local(path) and _local(found[0]).is_dir()):
        return _locate_path(path, fs_options, read_only)
    file, inside = found
    working = None if read_only else _locate_path(f"{file}{WORKING_SUFFIX}", fs_options, read_only) / inside
    if working is not None and (replaces or _is_begun(working)):
        return working
    archive = archive_at(file_place(file, fs_options))
    return StorePath(archive, inside) if archive else working or _locate_path(path, fs_options, read_only)


def _is_begun(working: StorePath) -> bool:
    """Whether there is a group, or a journal, in a working store."""
    root = StorePath(working.store)
    return any(sync((root / name).exists()) for name in BEGINNINGS)


def _local(path: str) -> Path:
    """Return the path or URL of a file of this machine as its absolute path."""
    return Path(path.partition("://")[2] or path).expanduser().absolute()


def _locate_path(path: str, fs_options: dict[str, Any], read_only: bool) -> StorePath:
    if is_local(path):
        if fs_options:
            raise ValueError(f"fs_options go with a URL; {path} is a local path")
        return StorePath(BoundedFolder(_local(path), read_only=read_only))
    path, fs_options = without_login(path, fs_options)
    scheme, _, after = path.partition("://")
    links = [link.partition("://")[0] for link in path.split("::")]
    kind = kind_of_scheme(links[0])
    if kind.schemes and not after.partition("/")[0]:
        raise ValueError(f"{path} names no bucket; give one, as in {scheme}://bucket/image.ome.zarr")
    store = kind.client(path, fs_options, read_only) if len(links) == 1 else None
    if store is not None:
        return StorePath(store)
    for link in links:
        _check_scheme(link)
    options = _options_of(links, fs_options)
    try:
        return StorePath(kind.store_class().from_url(path, storage_options=options or None, read_only=read_only))
    except ImportError as error:
        extra = f"; pip install 'daskome[{kind.extra}]'" if kind.extra else ""
        raise ImportError(f"{links[0]}:// needs a package that is not installed: {error}{extra}") from error


def _separated(link: str) -> tuple[str, dict[str, Any]]:
    """Return a URL that is not chained without its login and query, and what says the same as options."""
    scheme, login = link.partition("://")[0], URL_LOGIN.match(link)
    if scheme not in WEB:
        if signed := SIGNED.search(link):
            raise ValueError(
                f"{without_credentials(link)}: {signed['name']} in a query signs nothing but http(s)://; give it as"
                " fs_options"
            )
        return (
            (link, {}) if login is None or scheme in NO_LOGINS else _login_of(link, f"{scheme}://{link[login.end() :]}")
        )
    options: dict[str, Any] = {}
    if login is not None:
        words = unquote(login[0][len(scheme) + 3 : -1])
        basic = words if ":" in words else f"{words}:"
        options["headers"] = {"Authorization": f"Basic {b64encode(basic.encode()).decode()}"}
        link = f"{scheme}://{link[login.end() :]}"
    if QUERY.match(link):
        link, _, query = link.partition("?")
        options["params"] = dict(parse_qsl(query, keep_blank_values=True))
    return link, options


def _login_of(link: str, bare: str) -> tuple[str, dict[str, Any]]:
    """Return a URL without its login, and that as the options which fsspec makes of it, such as those of FTP."""
    from fsspec import get_filesystem_class

    scheme = link.partition("://")[0]
    _check_scheme(scheme)
    options_of = get_filesystem_class(scheme)._get_kwargs_from_urls
    others = options_of(bare)
    found = {name: value for name, value in options_of(link).items() if name not in others}
    if not found:
        raise ValueError(f"{without_credentials(bare)}: {scheme}:// takes no login in its URL; give it as fs_options")
    return bare, found


def _signed_in(path: StorePath) -> StorePath:
    """Return a place in a store that a caller has opened by a URL with a login, which the store's name then shows."""
    store = path.store
    if not isinstance(store, ExactPathStore) or without_credentials(store.path) == store.path:
        return path
    url, options = without_login(store.path, store.fs.storage_options)
    fs = type(store.fs)(*store.fs.storage_args, **options)
    return StorePath(ExactPathStore(fs, store.read_only, url, store.allowed_exceptions), path.path)


def _options_of(links: Sequence[str], fs_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options for a URL; in one that is chained, as ``simplecache::s3://…``, each further link has its own.

    >>> _options_of(["simplecache", "gs"], {"cache_storage": "/tmp", "gs": {"token": "anon"}})
    {'cache_storage': '/tmp', 'gs': {'token': 'anon'}}
    """
    first, *others = links
    inner = {link: kind_of_scheme(link).fs_options(dict(fs_options.get(link, {}))) for link in others}
    return kind_of_scheme(first).fs_options({**fs_options, **inner})


def _check_scheme(scheme: str) -> None:
    """Raise a ValueError if fsspec does not know a kind of URL, and no package has registered it."""
    from fsspec import get_filesystem_class

    with suppress(ImportError):  # It is known, and what it needs is said where it is opened.
        try:
            get_filesystem_class(scheme)
        except ValueError as error:
            raise ValueError(
                f"{scheme}:// is not a URL that fsspec knows; give one such as s3://, gs://, az:// or https://"
            ) from error
