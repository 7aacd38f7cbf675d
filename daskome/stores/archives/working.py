"""The working store beside a single file, in which a hierarchy is written before it is packed."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.ome.single_file import DOCUMENT_NAMES
from daskome.stores.journal import JOURNAL
from daskome.stores.location import folder_of

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
    moved = folder.with_name(f"{folder.name}.{uuid4().hex}{DELETED}")
    with suppress(FileNotFoundError):
        folder.rename(moved)
    for old in folder.parent.glob(f"{_quoted(folder.name)}.*{DELETED}"):
        shutil.rmtree(old, ignore_errors=True)


def _quoted(name: str) -> str:
    """Return a name as a pattern that is only that."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
