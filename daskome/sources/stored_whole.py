"""The zarr array that an image is, all of it and unchanged, so that its chunks could be taken over as they are."""

from dataclasses import replace
from typing import Any

import zarr

from daskome.model.chunks import regular_chunks
from daskome.model.source import Source
from daskome.planning.encoding import Encoding, encoding_of
from daskome.sources.adapt import as_source
from daskome.sources.views import ExpandedArray, expand_axes
from daskome.stores.objects.encoded import EncodedChunks


def stored_whole(source: Source) -> zarr.Array[Any] | None:
    """Return the zarr array that an image is, as one that `da.from_zarr` made of it is too; None for all else.

    Examples
    --------
    >>> import dask.array as da
    >>> stored = zarr.create_array(zarr.storage.MemoryStore(), shape=(8, 8), chunks=(4, 4), dtype="uint8")
    >>> stored_whole(as_source(da.from_zarr(stored))), stored_whole(as_source(da.from_zarr(stored) + 1))
    (<Array memory://... shape=(8, 8) dtype=uint8>, None)
    """
    array = source.array.array if isinstance(source.array, ExpandedArray) else source.array
    return array if isinstance(array, zarr.Array) else None


def as_stored_whole(source: Source) -> Source:
    """Return an image whose chunks are to be taken over as the zarr array that it is, read in whole stored objects.

    Raises
    ------
    ValueError
        If it is none.
    """
    return read_by_objects(source, _required(source))


def _required(source: Source) -> zarr.Array[Any]:
    array = stored_whole(source)
    if array is None:
        kind = f"{type(source.array).__module__.partition('.')[0]}.{type(source.array).__name__}"
        raise ValueError(
            f"verbatim=True (--verbatim) takes the chunks of a zarr array over as they are; the image, a {kind}, is"
            " neither such an array nor all of one by da.from_zarr; leave verbatim out"
        )
    return array


def encoding_in(source: Source) -> Encoding:
    """Return how the chunks of an image are encoded, with axes put in.

    Raises
    ------
    ValueError
        If it is no zarr array, or its chunks are encoded as those of no level can be.
    """
    array = _required(source)
    where = source.array.where if isinstance(source.array, ExpandedArray) else ()
    return encoding_of(array.metadata.to_dict()).with_axes(where)


def encoded_chunks_of(image: Any) -> EncodedChunks:
    """Return the chunks of a zarr array, perhaps with axes put in, to be read and taken over."""
    return EncodedChunks(image.array, image.where) if isinstance(image, ExpandedArray) else EncodedChunks(image)


def source_of_chunks(encoded: EncodedChunks) -> Source:
    """Return as a source what the chunks are read from."""
    return expand_axes(read_by_objects(as_source(encoded.array), encoded.array), encoded.where)


def read_by_objects(source: Source, array: zarr.Array[Any]) -> Source:
    """Return an image that is a zarr array as that array, read in whole stored objects: chunks, or shards."""
    stored = as_source(array)
    return replace(
        source,
        array=stored.array,
        chunks=regular_chunks(array.shape, array.shards or array.chunks),
        buffer_copies=stored.buffer_copies,
        shared=(),
        repeated=(),
    )
