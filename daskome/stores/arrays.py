"""The zarr arrays of a pyramid: created in memory, opened to be written, read back as they are stored."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numcodecs
import zarr
from zarr.abc.store import Store
from zarr.core.buffer import Buffer
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Shape
from daskome.model.storage.codecs import CODEC_OPTIONS
from daskome.stores.documents import read_json, write_text
from daskome.stores.objects import sync_codecs

LOSSLESS_CODECS = frozenset(
    "bytes sharding_indexed transpose blosc zstd gzip zlib bz2 lzma lz4 shuffle crc32 crc32c adler32".split()
)
"""Codecs that keep all of a value; `numcodecs` has them under the same names."""
Documents = Mapping[str, Buffer]
"""The documents of arrays, by their keys in the group of their pyramid."""


class PlannedArrays:
    """The arrays of a plan as they were created: made of it, without a request, once for all groups that share them.

    Those that were there before are asked for once.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], zarr.Array[Any]] = {}
        self._there: dict[str, zarr.Array[Any]] = {}

    def at(self, group: StorePath, pyramid: Pyramid, k: int) -> zarr.Array[Any]:
        """Return level k of a pyramid in its group."""
        level = pyramid.levels[k]
        if (id(pyramid), k) not in self._made:
            self._made[id(pyramid), k] = create_array(MemoryStore(), "", pyramid, level)
        return _at(group / level.path, self._made[id(pyramid), k])

    def there(self, group: StorePath, level: Level) -> zarr.Array[Any]:
        """Return a level as it is stored in its group, with the shape that it is to have."""
        place = group / level.path
        if place.path not in self._there:
            (self._there[place.path],) = open_levels(group, [level])
        return resized(self._there[place.path], level.shape)


def through_store(array: zarr.Array[Any], store: Store) -> zarr.Array[Any]:
    """Return an array as it is read or written through a store around its own."""
    return sync_codecs.open_sync(_at(StorePath(store, array.store_path.path), array))


def _at(store_path: StorePath, array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return an array with the metadata and the configuration of another one."""
    return zarr.Array(zarr.AsyncArray(array.metadata, store_path, array.config))


def open_levels(store_path: StorePath, levels: Iterable[Level]) -> list[zarr.Array[Any]]:
    """Return the arrays of levels in their group, as they are stored there."""
    return [_open_array(store_path / level.path, level) for level in levels]


def resized(array: zarr.Array[Any], shape: Shape) -> zarr.Array[Any]:
    """Return an array as one of another shape, which its store does not know yet."""
    if array.shape == shape:
        return array
    metadata: Any = array.metadata
    longer = zarr.Array(zarr.AsyncArray(metadata.update_shape(shape), array.store_path, array.async_array.config))
    return sync_codecs.open_sync(longer)


def find_shape(store_path: StorePath) -> Shape | None:
    """Return the shape of an array, as its document says it; None where there is none."""
    found = _document(store_path)
    return None if found is None else tuple(found[1]["shape"])


def set_shape(store_path: StorePath, shape: Shape) -> None:
    """Give an array another shape, in one write; the rest of its document stays as it is."""
    found = _document(store_path)
    if found is not None:
        name, document = found
        changed = {**document, "shape": list(shape)}
        write_text(store_path / name, json.dumps(changed, indent=zarr.config.get("json_indent")))


def _document(store_path: StorePath) -> tuple[str, Any] | None:
    """Return the document of an array by its name."""
    each = ((name, read_json(store_path / name)) for name in ("zarr.json", ".zarray"))
    return next(((name, one) for name, one in each if one is not None), None)


def as_stored(array: zarr.Array[Any], block: Any) -> Any:
    """Return the voxels of a block, which begins with a chunk, as an array would return them: codecs may be lossy."""
    one = _like(array, block)
    one[...] = block
    return one[...]


def encoded_chunks(array: zarr.Array[Any], block: Any, wanted: Iterable[Shape]) -> dict[Shape, Buffer]:
    """Return some chunks of a block, which begins with a chunk, as an array would encode them; fill value is left out.

    They are wanted by their positions in the block.
    """
    one = _like(array, block)
    found: dict[Shape, Buffer] = {}
    for where in wanted:
        each = zip(where, one.chunks, block.shape, strict=True)
        part = tuple(slice(p * c, min((p + 1) * c, n)) for p, c, n in each)
        one[part] = block[part]
        buffer = sync((one.store_path / one.metadata.encode_chunk_key(where)).get())
        found |= {} if buffer is None else {where: buffer}
    return found


def _like(array: zarr.Array[Any], block: Any) -> zarr.Array[Any]:
    """Return an empty array in memory for a block of another, with the same chunks and codecs, without shards."""
    metadata = array.metadata
    return zarr.create_array(
        MemoryStore(),
        shape=block.shape,
        chunks=array.chunks,
        dtype=block.dtype,
        filters=array.filters or None,
        serializer=array.serializer or "auto",
        compressors=array.compressors or None,
        fill_value=array.fill_value,
        zarr_format=metadata.zarr_format,
        order=array.order if metadata.zarr_format == 2 else None,
    )


def keeps_all(array: zarr.Array[Any]) -> bool:
    """Whether an array returns just what is written to it: all of its codecs are known to keep it."""
    return all(name.removeprefix("numcodecs.") in LOSSLESS_CODECS for name in _codec_names(array.metadata.to_dict()))


def _codec_names(document: Any) -> Iterator[str]:
    """Yield the codecs of a document of zarr v2 or v3, those inside shards too."""
    if isinstance(document, list | tuple):
        for one in document:
            yield from _codec_names(one)
    elif isinstance(document, Mapping):
        name = document.get("id", document.get("name"))
        yield from [name] if isinstance(name, str) else []
        for key in ("codecs", "index_codecs", "compressor", "filters", "configuration"):
            yield from _codec_names(document.get(key))


def one_chunk(block: Any, compressor: Any, zarr_format: Literal[2, 3]) -> zarr.Array[Any]:
    """Return an empty array in memory that will store a block as one chunk, even if it is all fill value."""
    array = zarr.create_array(
        MemoryStore(),
        shape=block.shape,
        chunks=block.shape,
        dtype=block.dtype,
        compressors=_revived(compressor),
        zarr_format=zarr_format,
        config={"write_empty_chunks": True},
    )
    return sync_codecs.open_sync(array)


def chunk_nbytes(array: zarr.Array[Any]) -> int:
    """Return the stored bytes of the first chunk of an array."""
    store_path = array.store_path / array.metadata.encode_chunk_key((0,) * array.ndim)
    return sync(store_path.store.getsize(store_path.path))


def create_array(store: MemoryStore, path: str, pyramid: Pyramid, level: Level) -> zarr.Array[Any]:
    """Create the array of a level in memory, as zarr makes it, and return it."""
    return zarr.create_array(
        store,
        name=path,
        shape=level.shape,
        dtype=pyramid.dtype,
        chunks=level.layout.chunks,
        shards=level.layout.shards,
        **{key: _revived(value) if key in CODEC_OPTIONS else value for key, value in level.layout.options.items()},
    )


def _revived(option: Any) -> Any:
    """Return the codecs of zarr v2, which have an id, as objects; zarr takes those of v3 as JSON."""
    if isinstance(option, list):
        return [_revived(value) for value in option]
    return numcodecs.get_codec(dict(option)) if isinstance(option, Mapping) and "id" in option else option


def _open_array(store_path: StorePath, level: Level) -> zarr.Array[Any]:
    """Return an array, to be written unless it is read-only, with the options that zarr keeps nowhere."""
    config, stored_as = (level.layout.options.get(key) for key in ("config", "zarr_format"))
    # With the format, zarr asks a cloud for one document instead of three.
    mode: Literal["r", "r+"] = "r" if store_path.read_only else "r+"
    array = zarr.open_array(store=store_path.store, path=store_path.path, mode=mode, zarr_format=stored_as)
    return sync_codecs.open_sync(array.with_config(config) if config else array)
