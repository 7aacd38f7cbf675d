"""Where pyramids lie: finding the target, creating, and publishing. Only this module opens URLs.

An image in the making is a zarr group without OME attributes, which says so itself: its attribute `MARK` holds
the plan's fingerprint. Its journal (`daskome.journal`) tells which units are finished. Publishing is one write of
the group's attributes.
"""

import json
import os
import reprlib
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numcodecs
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, LocalStore, MemoryStore, StorePath, ZipStore

from daskome import direct, journal as journals, locking
from daskome.journal import Journal
from daskome.layout import ArrayFormat
from daskome.metadata import Metadata, Version, attributes as ome_attributes, find_version, merged, ome_keys, ome_of
from daskome.methods import short_name
from daskome.plan import Group, Plan
from daskome.pyramid import Level, Pyramid
from daskome.sources import Origin, Source
from daskome.wrappers import unwrapped

JSON = dict[str, Any]
MARK = "daskome"
PARTIAL = ".partial"
"""How the files end that zarr writes before it gives them their names; a process that is killed leaves them."""
IMAGE = ("multiscales", "omero", "image-label")
"""What says that a group is an image."""
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


def find_group(place: StorePath, writable: bool = False, consolidated: bool | None = False) -> zarr.Group | None:
    """Return the group at a place, or None where there is none."""
    mode = _mode(place, writable)
    try:
        return zarr.open_group(place.store, path=place.path, mode=mode, use_consolidated=consolidated)
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


Documents = Mapping[str, Buffer]
"""The documents of arrays, by their keys in the group of their pyramid."""


def rehearse(plan: Plan) -> list[Documents]:
    """Return, per pyramid of a plan, the documents of its arrays: what zarr refuses, it refuses here, in memory.

    Raises
    ------
    ValueError
        That names the level.
    """
    return [_rehearsed(pyramid, _kept(plan, index)) for index, pyramid in enumerate(plan.pyramids)]


def _kept(plan: Plan, pyramid: int) -> int:
    return min(group.kept for group in plan.groups if group.pyramid == pyramid)


def _rehearsed(pyramid: Pyramid, kept: int) -> Documents:
    store = MemoryStore()
    for level in pyramid.levels[kept:]:
        try:
            _create_array(store, level.path, pyramid, level)
            _try_codecs(pyramid, level)
        except Exception as error:  # Codecs raise what they like: RuntimeError, zlib.error, …
            raise ValueError(f"zarr can't store level {level.path} as asked: {error}") from error
    own = {"zarr.json", *V2_DOCUMENTS}
    return {key: document for key, document in store._store_dict.items() if key not in own}


def _try_codecs(pyramid: Pyramid, level: Level) -> None:
    """Store one voxel in memory: only then do codecs look at their levels and names."""
    voxel = (1,) * len(level.shape)
    one = replace(level, shape=voxel, layout=replace(level.layout, chunks=voxel, shards=level.layout.shards and voxel))
    store = MemoryStore()
    _create_array(store, "voxel", pyramid, one)
    array = zarr.open_array(store, path="voxel", mode="r+")
    array[...] = 0 if array.fill_value else 1


def create(
    place: StorePath,
    plan: Plan,
    documents: Sequence[Documents],
    old: Sequence[str],
    journal: Journal,
    origins: Sequence[Origin] = (),
) -> None:
    """Make the groups and arrays of a plan, empty; groups of images are marked as unfinished.

    Parameters
    ----------
    place : StorePath
    plan : Plan
    documents : sequence of dict
        Those of its arrays (`rehearse`).
    old : sequence of str
        Levels of the images that are there, which go (`daskome.occupied.replaceable`). What made them
        images goes before them, so no reader takes a mixture for whole. Nothing else is touched.
    journal : Journal
        Begins last: a plan that is in a journal has all its arrays.
    origins : sequence of Origin
        Where the images of the plan come from, for the journal.
    """
    fingerprint = plan.fingerprint
    for group in reversed([group for group in plan.groups if not group.temporary]):
        replaced = [path for path in old if _is_in(path, group.path)]
        _begin(place / group.path, plan, group, _mark(plan, group, replaced, fingerprint))
    if place.store.supports_deletes:
        journals.forget(place / plan.home)
        for path in old:
            sync((place / path).delete_dir())
    for group in reversed(plan.groups):
        _make(place / group.path, plan, group, {} if group.pyramid is None else documents[group.pyramid])
    journals.begin(journal, plan, origins)


def _is_in(path: str, parent: str) -> bool:
    return path.startswith(join(parent, "")) if parent else True


def _begin(place: StorePath, plan: Plan, group: Group, mark: JSON) -> None:
    """Take from a group what makes it an image, if it is to hold another."""
    found, arrays = attributes(place), find_version(plan.version).arrays
    if found is not None and group.pyramid is not None and not group.kept:
        _set_attributes(place, arrays, {**foreign(found), MARK: mark})
    elif found is None and group.pyramid is None and group.metadata.plate is None:
        _make_group(place, plan, group)
    elif found is None:
        with suppress(zarr.errors.ContainsGroupError):  # Another process has just made it, for a part of its own.
            _set_attributes(place, arrays, {MARK: mark})


def _make_group(place: StorePath, plan: Plan, group: Group) -> None:
    """Make a group that says nothing yet. Another process may have made it since we looked, and what it says.

    A list of labels is empty until one of them is whole: validators refuse an image whose group ``labels`` has none.
    """
    if place.store.supports_deletes:
        version = find_version(plan.version)
        said = {} if group.metadata.labels is None else ome_attributes(version, Metadata(labels=()))
        with suppress(zarr.errors.ContainsGroupError):
            zarr.create_group(place.store, path=place.path, zarr_format=_format(version.arrays), attributes=said)


def _mark(plan: Plan, group: Group, old: Sequence[str], fingerprint: str) -> JSON:
    """Return what says that a group is unfinished, and which arrays in it are the plan's."""
    own = [] if group.pyramid is None else [level.path for level in plan.pyramids[group.pyramid].levels]
    replaced = [path.removeprefix(join(group.path, "")) for path in old] if group.path else list(old)
    return {"unfinished": True, "fingerprint": fingerprint, "levels": sorted({*own, *replaced})}


def _make(place: StorePath, plan: Plan, group: Group, documents: Documents) -> None:
    """Make the arrays of a group, and take away documents that would contradict it."""
    stale = [] if group.pyramid is None or group.kept else _stale_documents(place, plan)
    unfinished = attributes(place) if stale else None
    for name in stale:
        sync((place / name).delete())
    if unfinished is not None:
        _set_attributes(place, find_version(plan.version).arrays, unfinished)
    for key, document in documents.items():
        sync((place / key).set(document))


def open_levels(place: StorePath, levels: Iterable[Level]) -> list[zarr.Array[Any]]:
    """Return the arrays of levels in their group, to be written."""
    return [_open_array(place / level.path, level) for level in levels]


def delete_shards(array: zarr.Array[Any], index: Sequence[slice]) -> None:
    """Delete the shards that hold a part of an array."""
    spans = [range(s.start // n, -(-s.stop // n)) for s, n in zip(index, array.shards or array.chunks, strict=True)]
    for where in product(*spans):
        sync((array.store_path / array.metadata.encode_chunk_key(where)).delete())


def publish(place: StorePath, version: Version, metadata: Metadata) -> None:
    """Turn what is finished into an image, a plate, …: the attributes of its group, in one write.

    Lists of labels and of wells grow, and several processes may add to one. In a folder, and in what no other process
    can reach, one after the other does. Elsewhere, as on S3 and NFS, another process may have read the list before
    we wrote ours, and write it without what we added; so we look again twice, and add it again. What is left: it is
    lost if another takes longer than `WAITS` from reading the list to writing it, and began before we wrote.
    """
    if metadata.labels is None and metadata.plate is None:
        _publish(place, version, metadata)
        return
    with _alone(place) as alone:
        for wait in (0,) if alone else WAITS:
            _publish(place, version, metadata)
            time.sleep(wait)


WAITS = (0.05, 0.1, 0)
"""Seconds after writing a list that grows until it is looked at again, where processes can't take turns."""


def _publish(place: StorePath, version: Version, metadata: Metadata) -> None:
    found = attributes(place)
    whole = _published(found or {}, version, metadata)
    if whole != found:
        _set_attributes(place, version.arrays, whole, last=True)


@contextmanager
def _alone(place: StorePath) -> Iterator[bool]:
    """Add to the lists at a place alone, if that can be. Yield whether it is so."""
    store = unwrapped(place.store)
    with locking.HERE:
        if isinstance(store, LocalStore):
            (store.root / place.path).mkdir(parents=True, exist_ok=True)
            with locking.held(store.root / place.path) as alone:
                yield alone
        else:
            yield is_local_to_process(place)


def _published(found: JSON, version: Version, metadata: Metadata) -> JSON:
    """Return the attributes of a group that says this, others' kept."""
    kinds = ome_attributes(version, merged(found, metadata))
    kept = {key: value for key, value in found.items() if key != MARK}
    if not ome_keys(kinds):
        return kept
    under = {key: {**kept[key], **value} for key, value in kinds.items() if key == "ome" and key in kept}
    return {**kept, **kinds, **under}


def put_attributes(place: StorePath, version: Version, found: Mapping[str, Any]) -> None:
    """Write all attributes of a group in one write; make the group, if it isn't there."""
    _set_attributes(place, version.arrays, dict(found), last=True)


def renew(target: Any) -> None:
    """Bring up to date what a caller's open group remembers of its attributes: it would write that over the new."""
    if isinstance(target, zarr.Group):
        found = attributes(target.store_path)
        target.metadata.attributes.clear()
        target.metadata.attributes.update(found or {})


def sweep(place: StorePath, plan: Plan) -> None:
    """Delete what killed processes have left of files that were never finished. Other stores write whole objects."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        for group, pyramid in plan.images:
            for level in pyramid.levels[group.kept :]:
                folder = store.root / place.path / group.path / level.path
                for path in folder.rglob(f"*{PARTIAL}"):
                    path.unlink(missing_ok=True)


def differences(place: StorePath, plan: Plan) -> list[str]:
    """Return in what the images at a place differ from those of a plan: their arrays and their multiscales.

    Nothing, if the plan, or one like it, has been written there.
    """
    documents, version = rehearse(plan), find_version(plan.version)
    found: list[str] = []
    for group, _ in plan.images:
        there = attributes(place / group.path) or {}
        wanted = ome_of(ome_attributes(version, group.metadata)).get("multiscales")
        found += differing(join(group.path, "multiscales"), ome_of(there).get("multiscales"), wanted)
        for key, document in documents[group.pyramid or 0].items():
            stored = sync((place / group.path / key).get(default_buffer_prototype()))
            is_there = None if stored is None else json.loads(stored.to_bytes())
            found += differing(join(group.path, key), is_there, json.loads(document.to_bytes()))
    return found


def differing(where: str, there: Any, wanted: Any) -> list[str]:
    """Return where two JSON documents differ, in words. What made an image may be another version of daskome.

    >>> differing("s0", {"shape": [4, 5], "order": "C"}, {"shape": [4, 6]})
    ["s0/order: 'C' there, nothing asked for", 's0/shape: [4, 5] there, [4, 6] asked for']
    >>> differing("levels", [{"path": "s0"}, {"path": "s1"}], [{"path": "0"}])
    ['levels: 2 there, 1 asked for', "levels/0/path: 's0' there, '0' asked for"]
    """
    if where.endswith("/metadata/version") or there == wanted or _same_method(where, there, wanted):
        return []
    if isinstance(there, dict) and isinstance(wanted, dict):
        keys: list[Any] = sorted({*there, *wanted})
        return [x for key in keys for x in differing(f"{where}/{key}", there.get(key), wanted.get(key))]
    if _are_objects(there) and _are_objects(wanted):
        pairs = enumerate(zip(there, wanted, strict=False))
        counts = [f"{where}: {len(there)} there, {len(wanted)} asked for"] * (len(there) != len(wanted))
        return counts + [x for i, (a, b) in pairs for x in differing(f"{where}/{i}", a, b)]
    a, b = ("nothing" if value is None else reprlib.repr(value) for value in (there, wanted))
    return [f"{where}: {a} there, {b} asked for"]


def _same_method(where: str, there: Any, wanted: Any) -> bool:
    names = isinstance(there, str) and isinstance(wanted, str) and where.endswith("/metadata/method")
    return names and short_name(there) == short_name(wanted)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def as_stored(array: zarr.Array[Any], block: Any) -> Any:
    """Return voxels from the first of a chunk on as they come back from an array: codecs may keep less than all."""
    one = zarr.create_array(
        MemoryStore(),
        shape=block.shape,
        chunks=array.chunks,
        dtype=block.dtype,
        filters=array.filters or None,
        serializer=array.serializer or "auto",
        compressors=array.compressors or None,
        fill_value=array.fill_value,
        zarr_format=array.metadata.zarr_format,
    )
    one[...] = block
    return one[...]


def one_chunk(block: Any, compressor: Any, zarr_format: Literal[2, 3]) -> zarr.Array[Any]:
    """Return an empty array in memory that stores voxels as one chunk, whatever is in them."""
    array = zarr.create_array(
        MemoryStore(),
        shape=block.shape,
        chunks=block.shape,
        dtype=block.dtype,
        compressors=_revived(compressor),
        zarr_format=zarr_format,
        config={"write_empty_chunks": True},
    )
    return direct.opened(array)


def chunk_nbytes(array: zarr.Array[Any]) -> int:
    """Return how many bytes the first chunk of an array takes where it is stored."""
    place = array.store_path / array.metadata.encode_chunk_key((0,) * array.ndim)
    return sync(place.store.getsize(place.path))


def refresh(place: StorePath) -> None:
    """Consolidate anew the metadata of those groups, from a place up, that hold them consolidated: copies get old."""
    paths = [place.path]
    while paths[-1]:
        paths.append(paths[-1].rpartition("/")[0])
    for path in paths:
        if _is_consolidated(StorePath(place.store, path)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                zarr.consolidate_metadata(place.store, path=path or None)


def _is_consolidated(place: StorePath) -> bool:
    group = find_group(place, consolidated=None)
    return group is not None and group.metadata.consolidated_metadata is not None


def is_local_to_process(place: StorePath) -> bool:
    """Whether no other process can write there: stores in memory, and zip files."""
    store = unwrapped(place.store)
    if isinstance(store, FsspecStore):
        return "memory" in (store.fs.protocol, *store.fs.protocol)
    return isinstance(store, MemoryStore | ZipStore) or type(getattr(store, "store", None)).__name__ == "MemoryStore"


def foreign(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the attributes that are not those of an image: others' own, and what else is under ``ome``.

    Where there is no image, ``omero`` and ``image-label`` are somebody's, who says them before the image is written.
    """
    is_image = "multiscales" in ome_keys(found or {})
    image = (*IMAGE, "_ARRAY_DIMENSIONS") if is_image else ()
    kept = {key: value for key, value in (found or {}).items() if key not in (MARK, *image)}
    ome = kept.pop("ome", None)
    if isinstance(ome, Mapping):
        rest = {key: value for key, value in ome.items() if key not in ("version", *image)}
        kept |= {"ome": rest} if rest else {}
    return kept


def address(place: StorePath) -> tuple[str, ...]:
    """Return what tells two places apart, whatever kind of store leads there: for files, the resolved path."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        return (store.root / place.path).resolve().parts
    if isinstance(store, FsspecStore):
        if "file" in (store.fs.protocol, *store.fs.protocol):
            return (Path(store.path) / place.path).resolve().parts
        return tuple(filter(None, (str(store.fs.protocol), *store.path.split("/"), *place.path.split("/"))))
    return (str(id(getattr(store, "_store_dict", store))), *filter(None, place.path.split("/")))


def origin(source: Source) -> Origin:
    """Return where an image comes from, as far as other processes can find it there."""
    if source.origin.path or not isinstance(source.array, zarr.Array):
        return source.origin
    return replace(source.origin, path=url(source.array.store_path))


def url(place: StorePath) -> str:
    """Return the path or URL under which another process finds a place; empty where it can't. It says no secrets."""
    store = unwrapped(place.store)
    if isinstance(store, LocalStore):
        return (store.root / place.path).absolute().as_posix()
    if isinstance(store, FsspecStore) and not is_local_to_process(place):
        return str(store.fs.unstrip_protocol(join(store.path, place.path)))
    return ""


def above(place: StorePath) -> StorePath | None:
    """Return the place above one, to be read, also above its store if that is of files; None where there is none."""
    if place.path:
        return StorePath(place.store, place.path.rpartition("/")[0])
    store = unwrapped(place.store)
    if isinstance(store, LocalStore) and store.root.absolute().parent != store.root.absolute():
        return StorePath(LocalStore(store.root.absolute().parent, read_only=True))
    if isinstance(store, FsspecStore) and "/" in store.path.strip("/"):
        return StorePath(FsspecStore(store.fs, read_only=True, path=store.path.rstrip("/").rpartition("/")[0]))
    return None


def _mode(place: StorePath, writable: bool = False) -> Literal["r", "r+"]:
    """Return the mode that opens what is there. A zip file that is open for writing can't be opened as "r"."""
    return "r+" if writable or (isinstance(unwrapped(place.store), ZipStore) and not place.read_only) else "r"


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
    from daskome.azure import AzureStore

    return AzureStore


def _s3_options(fs_options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of s3fs, with those of `daskome.s3` that the caller has not set."""
    from daskome.s3 import AT_ONCE, PATIENCE

    patience = {**PATIENCE, **(fs_options.get("config_kwargs") or {})}
    return {"max_concurrency": AT_ONCE, **fs_options, "config_kwargs": patience}


def _stale_documents(place: StorePath, plan: Plan) -> list[str]:
    """Return the documents of a group that would contradict the new ones: of another zarr format, or consolidated."""
    group = find_group(place)
    if group is None or not place.store.supports_deletes:
        return []
    stale = [".zmetadata"] if group.metadata.zarr_format == 2 else []
    if group.metadata.zarr_format != zarr_format(plan):
        stale += V2_DOCUMENTS if group.metadata.zarr_format == 2 else ["zarr.json"]
    return stale


def zarr_format(plan: Plan) -> int:
    """Return the zarr format that the version of a plan asks for."""
    return find_version(plan.version).arrays.zarr_format


def _format(arrays: ArrayFormat) -> Literal[2, 3]:
    return 2 if arrays.zarr_format == 2 else 3


def _set_attributes(place: StorePath, arrays: ArrayFormat, found: dict[str, Any], last: bool = False) -> None:
    """Write all attributes of the group at once. A store that can't rewrite gets them only when they are the last."""
    group = find_group(place, writable=True) if place.store.supports_deletes else None
    if group is not None:
        group.attrs.put(found)
    elif last or place.store.supports_deletes:
        zarr.create_group(place.store, path=place.path, zarr_format=_format(arrays), attributes=found)


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


def _open_array(place: StorePath, level: Level) -> zarr.Array[Any]:
    """Return an array to write, with those options that zarr does not keep in its metadata."""
    config, stored_as = (level.layout.options.get(key) for key in ("config", "zarr_format"))
    # With the format, zarr asks a cloud for one document instead of three.
    array = zarr.open_array(store=place.store, path=place.path, mode="r+", zarr_format=stored_as)
    return direct.opened(array.with_config(config) if config else array)
