"""Where pyramids lie: finding the target, creating, the journal, and publishing. Only this module opens URLs.

An image in the making is a zarr group without OME attributes, which says so itself: its attribute `MARK` holds
the plan's fingerprint. Its journal has one small record per finished unit, under `JOURNAL`. Publishing is one
write of the group's attributes.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numcodecs
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath, ZipStore

from daskome.metadata import find_version, ome_keys
from daskome.plan import Plan
from daskome.pyramid import Level, Pyramid

MARK = "daskome"
JOURNAL = ".daskome"
V2_DOCUMENTS = (".zgroup", ".zattrs", ".zmetadata")


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


def attributes(place: StorePath) -> dict[str, Any] | None:
    """Return the attributes of the group at a place, or None where there is no group."""
    group = find_group(place)
    return None if group is None else group.attrs.asdict()


def find_group(place: StorePath, writable: bool = False) -> zarr.Group | None:
    """Return the group at a place, or None where there is none."""
    try:
        return zarr.open_group(place.store, path=place.path, mode=_mode(place, writable), use_consolidated=False)
    except (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsArrayError):
        return None


def members(group: zarr.Group, max_depth: int | None = 0) -> list[tuple[str, Any]]:
    """Return the arrays and groups in a group, by path, sorted. A journal is neither, which zarr would warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sorted(group.members(max_depth=max_depth), key=lambda member: member[0])


def find_array(place: StorePath) -> zarr.Array[Any] | None:
    """Return the array at a place, or None where there is none."""
    try:
        return zarr.open_array(place.store, path=place.path, mode=_mode(place))
    except (FileNotFoundError, NotADirectoryError, zarr.errors.ContainsGroupError, zarr.errors.NodeTypeValidationError):
        return None


def check_free(place: StorePath, plan: Plan, overwrite: bool) -> None:
    """Raise if the plan can't be written at a place, or not without `overwrite`. Changes nothing.

    Raises
    ------
    FileExistsError
        If an image, finished or not, or something that is not ours is there.
    PermissionError
        If the place can't be written.
    ValueError
        If zarr refuses an array as planned.
    """
    _check_writable(place)
    if find_array(place) is not None:
        raise FileExistsError(f"{place} is a zarr array; give the path of a group, or of nothing yet")
    found = attributes(place)
    if found is None:
        _check_nothing_else(place)
    elif overwrite:
        _check_format(place, plan, found)
    else:
        _check_no_image(place, plan, found)
    rehearse(plan)


def rehearse(plan: Plan) -> MemoryStore:
    """Return a store in memory with all arrays of a plan, empty: what zarr refuses, it refuses here.

    Raises
    ------
    ValueError
        That names the level.
    """
    store = MemoryStore()
    for path, pyramid in _pyramids(plan):
        for level in pyramid.levels:
            try:
                _create_array(store, join(path, level.path), pyramid, level)
                _try_codecs(pyramid, level)
            except Exception as error:  # Codecs raise what they like: RuntimeError, zlib.error, …
                raise ValueError(f"zarr can't store level {level.path} as asked: {error}") from error
    return store


def _try_codecs(pyramid: Pyramid, level: Level) -> None:
    """Store one voxel in memory: only then do codecs look at their levels and names."""
    voxel = (1,) * len(level.shape)
    one = replace(level, shape=voxel, layout=replace(level.layout, chunks=voxel, shards=level.layout.shards and voxel))
    store = MemoryStore()
    _create_array(store, "voxel", pyramid, one)
    array = zarr.open_array(store, path="voxel", mode="r+")
    array[...] = 0 if array.fill_value else 1


def create(place: StorePath, plan: Plan) -> None:
    """Make the arrays of a plan, empty, in a group that is marked as unfinished. Replaces an image that is there.

    What made the old one an image goes first, so no reader takes a mixture for whole.
    """
    old = attributes(place)
    documents = _documents(rehearse(plan), plan)
    if old is not None:
        _retire(place, plan, old)
    elif place.store.supports_deletes:
        sync((place / JOURNAL).delete_dir())
    _set_attributes(place, plan, {**_foreign(old), MARK: {"unfinished": True, "fingerprint": plan.fingerprint}})
    for key, document in documents.items():
        sync((place / key).set(document))
    if place.store.supports_deletes:
        _set(place / JOURNAL / "plan.json", plan.to_json())


def open_levels(place: StorePath, pyramid: Pyramid) -> list[zarr.Array[Any]]:
    """Return the arrays of a pyramid in its group, to be written."""
    return [_open_array(place / level.path, level) for level in pyramid.levels]


def record(place: StorePath, fingerprint: str, key: str) -> None:
    """Note in the journal that a unit is finished."""
    if place.store.supports_deletes:
        _set(place / JOURNAL / "done" / key.replace("/", "-"), fingerprint)


def publish(place: StorePath, plan: Plan, ome: Mapping[str, Any]) -> None:
    """Turn the finished arrays into an image: its attributes, in one write. The journal goes after it."""
    _set_attributes(place, plan, {**_foreign(attributes(place)), **ome}, last=True)
    if place.store.supports_deletes:
        sync((place / JOURNAL).delete_dir())


def is_local_to_process(place: StorePath) -> bool:
    """Whether no other process can write there: stores in memory, and zip files."""
    store = place.store
    memory = isinstance(store, FsspecStore) and "memory" in (store.fs.protocol, *store.fs.protocol)
    return memory or isinstance(store, MemoryStore | ZipStore)


def overlaps(place: StorePath, plan: Plan, array: zarr.Array[Any]) -> bool:
    """Whether writing the plan at a place would touch a stored array."""
    theirs = _address(array.store_path)
    ours = [_address(place / join(path, level.path)) for path, pyramid in _pyramids(plan) for level in pyramid.levels]
    inside = _is_below(_address(place), theirs)
    return inside or any(_is_below(theirs, path) or _is_below(path, theirs) for path in ours)


def _mode(place: StorePath, writable: bool = False) -> Literal["r", "r+"]:
    """Return the mode that opens what is there. A zip file that is open for writing can't be opened as "r"."""
    return "r+" if writable or (isinstance(place.store, ZipStore) and not place.read_only) else "r"


def join(*paths: str) -> str:
    """Return paths in a store as one; empty ones leave no trace."""
    return "/".join(filter(None, paths))


def _locate_path(path: str, fs_options: dict[str, Any], read_only: bool) -> StorePath:
    scheme, separator, rest = path.partition("://")
    if not separator or scheme in ("file", "local"):
        if fs_options:
            raise ValueError(f"fs_options go with a URL; {path} is a local path")
        local = Path(rest if separator else path).expanduser().absolute()
        return StorePath(LocalStore(local, read_only=read_only))
    return StorePath(FsspecStore.from_url(path, storage_options=fs_options or None, read_only=read_only))


def _pyramids(plan: Plan) -> Iterable[tuple[str, Pyramid]]:
    return ((group.path, plan.pyramids[group.pyramid]) for group in plan.groups)


def _check_writable(place: StorePath) -> None:
    if place.read_only:
        raise PermissionError(f"{place} is opened for reading only")
    if isinstance(place.store, LocalStore):
        folder = next(parent for parent in (place.store.root, *place.store.root.parents) if parent.exists())
        if not folder.is_dir():
            raise NotADirectoryError(f"{place.store.root} can't be made: {folder} is a file")
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{place.store.root} can't be written: no permission in {folder}")


def _check_nothing_else(place: StorePath) -> None:
    """A folder that is no zarr group holds other people's files."""
    if isinstance(place.store, LocalStore):
        folder = place.store.root / place.path
        if folder.is_dir() and any(entry.name != JOURNAL for entry in folder.iterdir()):
            raise FileExistsError(f"{folder} holds files that are no zarr group; give a path that is free")


def _check_no_image(place: StorePath, plan: Plan, found: Mapping[str, Any]) -> None:
    if MARK in found:
        raise FileExistsError(f"{place} holds an unfinished image; overwrite=True starts it anew")
    if ome_keys(found):
        raise FileExistsError(f"{place} holds an OME-Zarr image; overwrite=True replaces it")
    for path, pyramid in _pyramids(plan):
        for level in pyramid.levels:
            if find_array(place / join(path, level.path)) is not None:
                raise FileExistsError(f"{place} has an array {level.path} already; overwrite=True replaces it")


def _retire(place: StorePath, plan: Plan, old: Mapping[str, Any]) -> None:
    """Take down the image at a place: first what makes it an image, then its levels, never anything else."""
    group = find_group(place, writable=True)
    if group is None or not place.store.supports_deletes:
        raise FileExistsError(f"{place} can't be replaced: its store can't delete")
    group.attrs.put({**_foreign(old), MARK: {"unfinished": True}})
    sync((place / JOURNAL).delete_dir())
    for path in _paths_to_delete(plan, old):
        sync((place / path).delete_dir())
    if group.metadata.zarr_format == 2:
        sync((place / ".zmetadata").delete())
    if group.metadata.zarr_format != _zarr_format(plan):
        for name in V2_DOCUMENTS if group.metadata.zarr_format == 2 else ("zarr.json",):
            sync((place / name).delete())


def _check_format(place: StorePath, plan: Plan, found: Mapping[str, Any]) -> None:
    """A group can change its zarr format only if it holds nothing but the image that is replaced."""
    group = find_group(place)
    if group is None or group.metadata.zarr_format == _zarr_format(plan):
        return
    rest = {name for name, _ in members(group)} - set(_paths_to_delete(plan, found))
    if rest:
        raise FileExistsError(
            f"{place} is a zarr v{group.metadata.zarr_format} group that holds {', '.join(sorted(rest))} besides the"
            " image; write to a new place, or in the version that it has"
        )


def _paths_to_delete(plan: Plan, found: Mapping[str, Any]) -> list[str]:
    ours = [join(path, level.path) for path, pyramid in _pyramids(plan) for level in pyramid.levels]
    return sorted({*_level_paths(found), *ours})


def _level_paths(found: Mapping[str, Any]) -> list[str]:
    ome = found.get("ome", found)
    return [
        str(dataset["path"])
        for multiscale in ome.get("multiscales", ())
        for dataset in multiscale.get("datasets", ())
        if ".." not in str(dataset["path"]).split("/") and str(dataset["path"]).strip("/.")
    ]


def _foreign(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes that are not daskome's to change."""
    found = found or {}
    return {key: value for key, value in found.items() if key != MARK and key not in ome_keys(found)}


def _zarr_format(plan: Plan) -> Any:
    return find_version(plan.version).arrays.zarr_format


def _set_attributes(place: StorePath, plan: Plan, found: dict[str, Any], last: bool = False) -> None:
    """Write all attributes of the group at once. A store that can't rewrite gets them only when they are the last."""
    group = find_group(place, writable=True) if place.store.supports_deletes else None
    if group is not None:
        group.attrs.put(found)
    elif last or place.store.supports_deletes:
        zarr.create_group(place.store, path=place.path, zarr_format=_zarr_format(plan), attributes=found)


def _create_array(store: MemoryStore, path: str, pyramid: Pyramid, level: Level) -> None:
    zarr.create_array(
        store,
        name=path,
        shape=level.shape,
        dtype=pyramid.dtype,
        chunks=level.layout.chunks,
        shards=level.layout.shards,
        **{key: _revived(value) for key, value in level.layout.options.items()},
    )


def _revived(option: Any) -> Any:
    """Return the codecs of zarr v2, which have an id, as objects; zarr takes those of v3 as JSON."""
    if isinstance(option, list):
        return [_revived(value) for value in option]
    return numcodecs.get_codec(dict(option)) if isinstance(option, Mapping) and "id" in option else option


def _documents(store: MemoryStore, plan: Plan) -> dict[str, Any]:
    """Return the metadata documents of a rehearsal, but for that of the image's own group."""
    own = {"zarr.json", *V2_DOCUMENTS}
    return {key: document for key, document in store._store_dict.items() if key not in own}


def _open_array(place: StorePath, level: Level) -> zarr.Array[Any]:
    """Return an array to write, with those options that zarr does not keep in its metadata."""
    array = zarr.open_array(place.store, path=place.path, mode="r+")
    config = level.layout.options.get("config")
    return array.with_config(config) if config else array


def _set(place: StorePath, text: str) -> None:
    buffer = default_buffer_prototype().buffer.from_bytes(text.encode())
    sync(place.set(buffer))


def _address(place: StorePath) -> tuple[str, ...]:
    """Return what tells two places apart: the store, resolved, and the path in it."""
    store = place.store
    if isinstance(store, LocalStore):
        return (*(store.root / place.path).resolve().parts,)
    root = f"{store.fs.protocol}{store.path}" if isinstance(store, FsspecStore) else str(id(_base(store)))
    return (*root.split("/"), *filter(None, place.path.split("/")))


def _base(store: Any) -> Any:
    return getattr(store, "_store_dict", store)


def _is_below(path: tuple[str, ...], parent: tuple[str, ...]) -> bool:
    return path[: len(parent)] == parent
