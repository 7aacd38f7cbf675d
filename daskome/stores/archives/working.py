"""The working store beside a single file, in which a hierarchy is written before it is packed."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.model.types import PathLike
from daskome.ome.single_file import DOCUMENT_NAMES
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.journal import JOURNAL
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import folder_of, single_file_of


def check_temporary(target: StorePath, temporary: PathLike) -> None:
    """Raise for a folder in which the pyramid of a single file cannot be written before it is packed.

    Raises
    ------
    ValueError
        If it is no path, or the target is no single file of this machine: nothing would be written there.
    NotADirectoryError, PermissionError
        If it is no folder in which something can be written.
    """
    if not isinstance(temporary, str | os.PathLike):
        raise ValueError(f"temporary={temporary!r} must be the path of a folder")
    is_there = isinstance(unwrap_store(target.store), ArchiveStore)
    if not is_there and (single_file_of(target) is None or folder_of(target) is None):
        raise ValueError(
            f"temporary={os.fspath(temporary)!r} is for single files, .ozx or .zip, on this machine; leave it out, or"
            " write such a file, and copy it to where it belongs"
        )
    if not Path(temporary).is_dir():
        raise NotADirectoryError(f"temporary={os.fspath(temporary)!r} is no folder; make it first")
    if not os.access(temporary, os.W_OK):
        raise PermissionError(f"temporary={os.fspath(temporary)!r}: no permission to write there")


def begin_elsewhere(target: StorePath, temporary: PathLike) -> None:
    """Have the working folder of a single file be a link to a new one elsewhere, unless it is there already."""
    folder = folder_of(StorePath(target.store))
    if folder is None or folder.exists():
        return
    folder.unlink(missing_ok=True)  # A link to what is gone.
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=Path(temporary).absolute()))


DELETED = ".deleted"
"""What the name of a working folder ends with while it is deleted."""


def remove_working(working: StorePath) -> None:
    """Remove a working store whose file is complete. Of one that is removed in part, nothing is taken for an image."""
    folder = folder_of(StorePath(working.store))
    if folder is not None:
        _remove_folder(folder)
        return
    sync((StorePath(working.store) / JOURNAL).delete_dir())
    for name in DOCUMENT_NAMES:
        with suppress(FileNotFoundError):
            sync((StorePath(working.store) / name).delete())
    sync(StorePath(working.store).delete_dir())


def _remove_folder(folder: Path) -> None:
    """Move a folder away in one step, then delete it, and others that were being deleted."""
    if folder.is_symlink():
        elsewhere = folder.resolve()
        folder.unlink()
        shutil.rmtree(elsewhere, ignore_errors=True)
        return
    moved = folder.with_name(f"{folder.name}.{uuid4().hex}{DELETED}")
    with suppress(FileNotFoundError):
        folder.rename(moved)
    for old in folder.parent.glob(f"{_quoted(folder.name)}.*{DELETED}"):
        shutil.rmtree(old, ignore_errors=True)


def _quoted(name: str) -> str:
    """Return a name as a pattern that is only that."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
