"""The C allocator of a worker process, whose settings can double the time of a unit.

Dask's nanny starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``, and a threshold that is set stops glibc from adapting
to large blocks: every block of an image is mapped anew, its pages are zeroed one by one, and unmapped after use.
"""

import ctypes
import os
from contextlib import suppress
from functools import cache

TRIM, MMAP = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of ``mallopt(3)``."""
MAPPED_NBYTES = 8 * 2**20
"""Blocks below this come from the heap: chunks of 128³ voxels of 16 bits do."""
KEPT_NBYTES = 64 * 2**20
"""So much of the heap's end is kept for the next block. Four times as much is no faster, but leaves the prediction."""
OF_NANNY = "65536"
"""What Dask sets; whoever has set something else, has meant it."""


@cache
def tune_allocator() -> None:
    """Let this process keep the memory of blocks, if Dask's nanny has told it not to; once is enough."""
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") == OF_NANNY:
        with suppress(OSError, AttributeError):  # not glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(MMAP, MAPPED_NBYTES)
            libc.mallopt(TRIM, KEPT_NBYTES)
