"""A stored image against its own metadata, its own pixels and its source: a list of `Problem`, never an exception.

Any OME-Zarr image can be verified, whoever wrote it. What the store holds is read once into `Found`, as far as it
can be read; `CHECKS` are functions from that to problems; pixels are compared block by block.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from daskome import storage
from daskome.checks import CHECKS
from daskome.found import find
from daskome.pixels import Comparison, compare, comparisons
from daskome.problem import Problem
from daskome.run import Progress


def verify(
    target: Any,
    *,
    pixels: bool | int = False,
    source: Any = None,
    fs_options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[Problem]:
    """Return all that is wrong with a stored image; an empty list if nothing is.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        An OME-Zarr image of a version that daskome writes, whoever wrote it.
    pixels : bool or int
        Whether to make each level again from the one below, by the method that the metadata name, and
        compare. An int is the number of blocks per level that are looked at, evenly spread, the last
        always among them. A method ``module:function`` is imported: only for stores you trust.
    source : array-like, optional
        What level 0 should equal, voxel by voxel: all blocks of it, or as many as `pixels` says.
    fs_options : dict, optional
        For the file system of a URL.
    progress : callable, optional
        Called with blocks done and blocks in all after every block.

    Returns
    -------
    list of Problem
        Problems of the metadata in the order of their checks, then of pixels from fine to coarse.

    Raises
    ------
    TypeError, ValueError
        If an argument can't be; never for what is wrong with the image.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 64), "uint8"), store, [2], axes="yx")
    >>> verify(store, pixels=True)
    []
    >>> zarr.open_array(store, path="s1")[3, 5] = 7
    >>> print(*verify(store, pixels=True))
    s1 y 0:32, x 0:32: 1 of 1,024 voxels differs; the first, y 3, x 5, is 7, but 1 in the mean of s0
    """
    wanted = None if isinstance(pixels, bool) else int(pixels)
    if wanted is not None and wanted < 1:
        raise ValueError(f"pixels={pixels}: give True, False, or at least 1 block per level")
    found = find(storage.locate(target, fs_options, read_only=True))
    if isinstance(found, Problem):
        return [found]
    parts = list(comparisons(found, pixels is not False, source))
    return [
        *found.problems,
        *chain.from_iterable(check(found) for check in CHECKS),
        *(part for part in parts if isinstance(part, Problem)),
        *compare([part for part in parts if isinstance(part, Comparison)], wanted, progress),
    ]


__all__ = ["Problem", "verify"]
