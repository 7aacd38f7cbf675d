"""The C allocator: its settings, which can double the time of a unit, and the memory that it keeps for each thread.

Dask's nanny starts workers with ``MALLOC_TRIM_THRESHOLD_=65536``, and a threshold that is set keeps glibc from adapting
to large blocks: every block of an image is mapped, its pages are zeroed one by one, and unmapped after use.
"""

import ctypes
import os
from contextlib import suppress
from functools import cache

TRIM, MMAP = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of ``mallopt(3)``."""
MMAP_THRESHOLD_NBYTES = 8 * 2**20
"""Smaller blocks come from the heap, such as chunks of 128³ voxels of 16 bits."""
HEAP_KEPT_NBYTES = 64 * 2**20
"""How much free memory at the end of the heap is kept. Four times as much is not faster, but exceeds the prediction."""
OF_NANNY = "65536"
"""What Dask sets. Any other value was set on purpose."""


@cache
def tune_allocator() -> None:
    """Let this process keep the memory of blocks, if Dask's nanny set it not to; only the first call does anything."""
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") == OF_NANNY:
        with suppress(OSError, AttributeError):  # not glibc
            libc = ctypes.CDLL(None)
            libc.mallopt(MMAP, MMAP_THRESHOLD_NBYTES)
            libc.mallopt(TRIM, HEAP_KEPT_NBYTES)


def release_free_memory() -> None:
    """Give the system back what is free in the heaps of this process, else what follows comes on top.

    That takes some 10 ms; 80 where 2 GiB are in use in small pieces. Each thread has a heap of its own, and what the
    small pieces of a rechunked image leave free there is kept: with four threads, units that ran one at a time were
    seen to take 1.4 GiB, each 460 MiB.
    """
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
