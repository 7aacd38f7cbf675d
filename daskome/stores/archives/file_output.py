"""A file that appears under its name when all of it is written, in one step; until then there is what was there before.

On this machine it is written beside its place, flushed to the disk and renamed. Elsewhere its parts are sent as they
come, and the store puts them together at the end: buckets do that in one request, which is the first that shows it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from zarr.storage import StorePath

from daskome.planning.cost import PART_NBYTES
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.clouds.store import CloudStore
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import archive_at, folder_of

PACKING = ".packing"
"""What the name of a file has behind it until it is complete; killed processes leave such files."""


class Output(Protocol):
    """What bytes are written to, from the first to the last."""

    def write(self, data: Any, /) -> Any:
        """Write bytes."""
        ...


@contextmanager
def file_output(place: StorePath, replace: bool) -> Iterator[Output]:
    """Yield what the bytes of a file are written to. It gets its name when the block ends without an error.

    Parameters
    ----------
    place : StorePath
        Where it goes.
    replace : bool
        Whether it may take the place of a file that is there.

    Raises
    ------
    FileExistsError
        If it may not, or another process writes it.
    PermissionError
        If nothing can be written there.
    """
    check_absent(place, replace)
    path, store = folder_of(place), unwrap_store(place.store)
    if path is not None:
        output = _of_this_machine(path, replace)
    elif isinstance(store, CloudStore):
        output = _of_a_bucket(store, place.path)
    elif hasattr(store, "fs"):
        output = _of_a_file_system(store, place.path)
    else:
        raise PermissionError(f"{place}: a file cannot be written there; give a local path or the URL of a bucket")
    with output as file:
        yield file
        if path is None:
            check_absent(place, replace)


def check_absent(place: StorePath, replace: bool) -> None:
    """Raise a FileExistsError if there is something at a place that may not be replaced, such as a folder."""
    path = folder_of(place)
    if path is not None and path.is_dir():
        raise FileExistsError(f"{path} is a folder; give the file another name, or delete the folder first")
    if not replace and (path.exists() if path is not None else archive_at(place) is not None):
        raise FileExistsError(f"{place} exists; overwrite=True replaces all of it")


def same_members(one: ArchiveStore, other: ArchiveStore) -> bool:
    """Whether two archives hold the same, by their directories."""
    each = (archive.directory.members for archive in (one, other))
    said = [[(key, member.nbytes, member.crc) for key, member in members.items()] for members in each]
    return said[0] == said[1]


@contextmanager
def _of_this_machine(path: Path, replace: bool) -> Iterator[Output]:
    partial = path.with_name(f"{path.name}{PACKING}")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _alone(partial)
    with os.fdopen(descriptor, "wb", buffering=2**20) as file:
        try:
            yield file
            file.flush()
            os.fsync(descriptor)
            _named(partial, path, replace)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise
    _flush_folder(path.parent)


def _alone(partial: Path) -> int:
    """Open a file, empty, that no other process is writing, and that has no other name: then a kill has left it."""
    while True:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor, partial)
            opened = os.fstat(descriptor)
            if partial.exists() and os.path.samestat(opened, partial.stat()):
                if opened.st_nlink <= 1:
                    os.ftruncate(descriptor, 0)
                    return descriptor
                partial.unlink()  # What lies under the other name stays whole.
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # Its name is that of another file by now, or of none.


def _lock(descriptor: int, partial: Path) -> None:
    """Lock an open file until it is closed, where the file system can do that."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FileExistsError(f"{partial} is being written by another process; wait until it has ended") from error
    except (ImportError, OSError):  # Windows, and file systems without locks.
        return


def _named(partial: Path, path: Path, replace: bool) -> None:
    """Give a file its name; if it may not replace another, in a way that cannot."""
    if not replace:
        try:
            os.link(partial, path)
        except FileExistsError as error:
            raise FileExistsError(f"{path} exists since a moment ago; overwrite=True replaces all of it") from error
        except OSError:  # As of file systems without hard links.
            check_absent_file(path)
        else:
            partial.unlink()
            return
    partial.replace(path)


def check_absent_file(path: Path) -> None:
    """Raise a FileExistsError if there is something at a path."""
    if path.exists():
        raise FileExistsError(f"{path} exists since a moment ago; overwrite=True replaces all of it")


def _flush_folder(folder: Path) -> None:
    """Have the name of a new file on the disk, too, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _of_a_bucket(store: CloudStore, key: str) -> Iterator[Output]:
    """Send a file by obstore, whose object appears when it is closed."""
    import obstore

    file = obstore.open_writer(store.store, key, buffer_size=PART_NBYTES)
    yield file
    file.close()


@contextmanager
def _of_a_file_system(store: Any, key: str) -> Iterator[Output]:
    """Send a file by fsspec; where it would be seen before its end, under another name."""
    fs = _waiting(store.fs)
    path = "/".join(filter(None, (store.path.rstrip("/"), key)))
    file = fs.open(path, "wb", block_size=PART_NBYTES, autocommit=False)
    try:
        yield file
    except BaseException:
        with suppress(Exception):
            file.discard()
        raise
    file.close()
    file.commit()
    fs.invalidate_cache()


def _waiting(fs: Any) -> Any:
    """Return a file system of fsspec whose calls wait for their ends, as zarr's own do not."""
    if not getattr(fs, "asynchronous", False):
        return fs
    inner = getattr(fs, "sync_fs", None)
    return inner if inner is not None else type(fs)(*fs.storage_args, **{**fs.storage_options, "asynchronous": False})
