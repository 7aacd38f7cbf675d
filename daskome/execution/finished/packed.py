"""The end of a write into a single file: what is published in the working store is packed, and that goes.

The run is not over before: killed while it packs, it goes on as any other. The file appears in one step.
"""

import zlib
from collections.abc import Sequence

from zarr.storage import StorePath

from daskome.execution.runner import Run
from daskome.ome.single_file import file_comment, is_ozx
from daskome.ome.versions import find_version
from daskome.stores import journal as journals
from daskome.stores.archives.packing import object_bytes, objects_below, pack_objects
from daskome.stores.archives.working import remove_working
from daskome.stores.location import archive_at


def pack_published(run: Run, file: StorePath) -> None:
    """Pack what a run has published into the single file that it is to be, and remove what it was packed from.

    Raises
    ------
    FileExistsError
        If a file has come there since the run began, and does not hold the same.
    """
    working = StorePath(run.target.store)
    keys = objects_below(working)
    try:
        replace, comment = journals.may_replace_file(run.journal), comment_of(file, run.plan.version)
        pack_objects(working, keys, file, comment, replace, check=run.journal.check_owned)
    except FileExistsError:
        if not holds_the_same(file, working, keys):
            raise
    remove_working(working)


def comment_of(file: StorePath, version: str) -> bytes:
    """Return the comment of a file: RFC-9 demands one of zarr v3."""
    return file_comment(version) if is_ozx(str(file)) or find_version(version).arrays.zarr_format == 3 else b""


def holds_the_same(file: StorePath, working: StorePath, keys: Sequence[str]) -> bool:
    """Whether a file holds these objects, and nothing else: then a run was killed between the last two steps."""
    archive = archive_at(file)
    members = {} if archive is None else archive.directory.members
    return set(members) == set(keys) and all(
        member.crc == zlib.crc32(object_bytes(working / key)) for key, member in members.items()
    )
