"""One process at a time in a folder: who holds it may read a document, add to it, and write it back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

HERE = Lock()
"""One thread of this process at a time, wherever it writes."""


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a folder, alone among all processes that ask for it so. Yield whether file system and machine can do that.

    The lock is advisory, leaves no file behind, and ends with the process that holds it, however that ends. Windows has
    none, nor have NFS and those file systems that are mounted without locks.
    """
    descriptor = os.open(folder, os.O_RDONLY) if hasattr(os, "O_DIRECTORY") else None
    try:
        yield descriptor is not None and _locked(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Wait for the lock of an open folder, which closing it gives back. Return whether there is such a lock."""
    with suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return True
    return False
