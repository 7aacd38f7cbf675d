"""How many chunks of the arrays that an image reads are stored: zarr and HDF5 read the others as the fill value."""

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any

import zarr
from zarr.core.sync import sync

from daskome.model import regions
from daskome.model.source import Source, StoredChunks
from daskome.sources.graphs.arrays_read import read_by
from daskome.sources.views import Reopenable


def count_chunks(source: Source) -> Iterator[StoredChunks]:
    """Yield how many chunks are stored of each zarr or HDF5 array that an image reads.

    Raises
    ------
    ValueError
        If a store cannot list its chunks.
    """
    for array in read_by(source.array):
        inner = array.array if isinstance(array, Reopenable) else array
        if isinstance(inner, zarr.Array):
            yield _of_zarr(inner)
        elif type(inner).__module__.startswith("h5py"):
            yield _of_hdf5(inner, array.place)


def _of_zarr(array: zarr.Array[Any]) -> StoredChunks:
    path = array.store_path
    if not path.store.supports_listing:
        raise ValueError(f"{path} is in a store that cannot list its chunks; leave check_source out")
    grid = regions.n_blocks(array.shape, array.shards or array.chunks)
    prefix = f"{path.path}/" if path.path else ""
    there = sync(_listed(path.store, prefix))
    stored = sum(prefix + array.metadata.encode_chunk_key(i) in there for i in product(*map(range, grid)))
    return StoredChunks(str(path), stored, prod(grid), str(array.fill_value))


async def _listed(store: Any, prefix: str) -> set[str]:
    return {key async for key in store.list_prefix(prefix)}


def _of_hdf5(dataset: Any, place: str) -> StoredChunks:
    """Return the count of a dataset; one without chunks is a single one."""
    fill = str(dataset.fillvalue)
    if dataset.chunks is None:
        return StoredChunks(place, int(dataset.id.get_storage_size() > 0), 1, fill)
    total = prod(regions.n_blocks(dataset.shape, dataset.chunks))
    return StoredChunks(place, int(dataset.id.get_num_chunks()), total, fill)
