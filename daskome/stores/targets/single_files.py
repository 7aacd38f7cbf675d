"""What is asked before a single file is written: whether its store, its version and what is around it allow it."""

from zarr.core.sync import sync
from zarr.storage import StorePath

from daskome.ome.single_file import DOCUMENT_NAMES, is_ozx
from daskome.ome.versions import find_version
from daskome.stores.archives.archive_store import ArchiveStore
from daskome.stores.kinds import unwrap_store
from daskome.stores.location import parent_of, single_file_of


def check_single_file(target: StorePath, version: str) -> None:
    """Raise if a target is a single file that is there, or one that cannot be written so; no other target.

    Raises
    ------
    FileExistsError
        If it is there: it is replaced as a whole, or not changed.
    ValueError
        If it would be written in part, lie in a hierarchy, or be an ``.ozx`` of zarr v2.
    """
    store = unwrap_store(target.store)
    if isinstance(store, ArchiveStore):
        raise FileExistsError(cannot_change(store))
    file = single_file_of(target)
    if file is None:
        return
    if target.path:
        raise ValueError(f"{file} is written as a whole, not at {target.path!r} in it; write a folder, and pack that")
    check_version_in_file(file, version)
    check_not_embedded(file)


def cannot_change(store: ArchiveStore) -> str:
    """Return that a single file cannot be changed, and what to do."""
    return (
        f"{store} exists, and a single file cannot be changed: unpack it, change that, and pack it (daskome.unpack,"
        " daskome.pack); or overwrite=True of a call that writes all of it replaces it"
    )


def check_no_single_file(target: StorePath) -> None:
    """Raise a ValueError for a single file, where metadata alone are to be written."""
    store, file = unwrap_store(target.store), single_file_of(target)
    if isinstance(store, ArchiveStore):
        raise ValueError(cannot_change(store))
    if file is not None:
        raise ValueError(f"{file} is written as a whole: write metadata into a folder, and pack that (daskome.pack)")


def check_version_in_file(file: StorePath, version: str) -> None:
    """Raise a ValueError for an ``.ozx`` of a version in zarr v2."""
    if is_ozx(str(file)) and find_version(version).arrays.zarr_format == 2:
        raise ValueError(
            f"{file}: an .ozx holds zarr v3, and OME-Zarr {version} is stored in v2; write 0.5 or newer, or a .zip"
        )


def check_not_embedded(file: StorePath) -> None:
    """Raise a ValueError for an ``.ozx`` in the folder of a group or an array (RFC-9: SHALL NOT)."""
    around = parent_of(file) if is_ozx(str(file)) else None
    if around is not None and any(sync((around / name).exists()) for name in DOCUMENT_NAMES):
        raise ValueError(f"{file} would lie inside the zarr hierarchy at {around}, where an .ozx must not be")
