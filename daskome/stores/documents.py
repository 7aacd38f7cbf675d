"""Small documents and listings in a store, read past every cache."""

from contextlib import suppress

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import FsspecStore, StorePath

from daskome.stores.wrappers import unwrapped


def list_names(folder: StorePath) -> list[str]:
    """Return what is in a folder, now: file systems of objects remember lists that other processes have changed."""
    store = unwrapped(folder.store)
    if isinstance(store, FsspecStore):
        store.fs.invalidate_cache()
    with suppress(FileNotFoundError, NotADirectoryError):
        return sync(_listed(folder))
    return []


async def _listed(folder: StorePath) -> list[str]:
    return [name async for name in folder.store.list_dir(folder.path)]


def read_text(place: StorePath) -> str | None:
    """Return a document, or None if there is none."""
    with suppress(NotADirectoryError):
        found = sync(place.get(default_buffer_prototype()))
        return None if found is None else found.to_bytes().decode()
    return None


def write_text(place: StorePath, text: str) -> None:
    """Write a document, whole."""
    sync(place.set(default_buffer_prototype().buffer.from_bytes(text.encode())))
