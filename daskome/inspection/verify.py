"""A stored image against its own metadata, its own pixels and its source: a list of `Problem`, never an exception.

Any OME-Zarr can be verified, whichever program wrote it: an image, its labels, a plate with all its wells. Errors of
`validate` come first; then pixels are compared, image by image and block by block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np

from daskome.execution.progress import drawn
from daskome.inspection.array_checks import misplaced_levels
from daskome.inspection.compare import Compared, compare, comparisons, recorded
from daskome.inspection.manifest import differences_from_manifest, read_manifest
from daskome.inspection.validate import Inspected, findings, inspected
from daskome.kernels.methods import Method, find_method
from daskome.model.problem import Problem, below, errors
from daskome.model.types import FileSystemOptions, FunctionLike, GroupLike, ImageLike, PathLike, ShowProgress
from daskome.stores.location import locate


def verify(
    target: GroupLike,
    *,
    pixels: bool | int = False,
    source: ImageLike | None = None,
    manifest: PathLike | None = None,
    method: FunctionLike | None = None,
    fs_options: FileSystemOptions | None = None,
    progress: ShowProgress = None,
) -> list[Problem]:
    """Return all that is wrong with a stored image, labels or plate, as a list that is empty if nothing is.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
        Of an image, labels, a well, a plate or a bioformats2raw layout, of any version, written by any program.
        All images below it are verified with it.
    pixels : bool or int
        Whether to make each level again from the one below, by the method that the metadata name, and
        compare; and level 0 with the checksums of some of its blocks that daskome recorded when it wrote them,
        unless there is a `source`. An int is the number of blocks per level that are looked at, evenly spread, the last
        always among them. What codecs that keep less than all, such as BitRound, make of a value counts as
        that value.
    source : array-like, optional
        What level 0 of the target, an image, should equal, voxel by voxel: all blocks of it, or as many
        as `pixels` says.
    manifest : str or path, optional
        A file that `daskome.manifest`, or ``md5sum``, has written of the target or of what it is a copy of, or a
        checksum of all that `daskome.manifest` has returned. All stored objects are read; those that are missing, have
        changed or are not in it are named.
    method : str or callable, optional
        The function by which levels were made, if that is not one of `METHODS`: nothing that a store names is imported.
    fs_options : dict, optional
        For the file system of a URL.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called with blocks done and blocks in all after every block; before that,
        with objects done and objects in all, if there is a manifest.

    Returns
    -------
    list of Problem
        The errors of `daskome.validate`, then, as its warnings, levels that do not lie where their method takes
        samples, then objects that differ from the manifest, then what is wrong with pixels, from fine to coarse.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If an argument is invalid, or there is no such manifest; never for what is wrong with the image.

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
    >>> plan = write_image(np.ones((64, 64), "uint8"), store, None, axes="yx", overwrite=True)
    >>> zarr.open_array(store, path="s0")[...] = 0
    >>> print(*verify(store, pixels=True))
    s0 y 0:64, x 0:64: is not what was written there: its checksum is c71c0011, but 3ad9e426 was recorded
    """
    bar = drawn(progress, "blocks")
    wanted = None if isinstance(pixels, bool | np.bool_) else pixels
    if wanted is not None and (not isinstance(wanted, Integral) or wanted < 1):
        raise ValueError(f"pixels={pixels!r}: give True, False, or at least 1 block per level")
    place, listed = locate(target, fs_options, read_only=True), None if manifest is None else read_manifest(manifest)
    groups = inspected(place)
    given = None if method is None else find_method(method)
    parts = list(_parts(groups, pixels is not False, source, given))
    return [
        *errors(findings(groups)),
        *(part for part in parts if isinstance(part, Problem)),
        *(() if listed is None else differences_from_manifest(place, listed, bar)),
        *compare([part for part in parts if not isinstance(part, Problem)], wanted, bar),
    ]


def unrecorded(target: GroupLike, fs_options: FileSystemOptions | None = None) -> list[str]:
    """Return the paths of images with no checksums of level 0: `verify` compares it with nothing but a source."""
    groups = inspected(locate(target, fs_options, read_only=True))
    images = ((one.node.path, image) for one in groups for image in one.images)
    return [path or "the image" for path, image in images if recorded(image) is None]


def _parts(
    groups: Sequence[Inspected], levels: bool, source: Any, method: Method | None
) -> Iterator[Compared | Problem]:
    """Yield what to compare in every image, and what keeps from it, with addresses from the target."""
    for k, one in enumerate(groups):
        for i, image in enumerate(one.images):
            yield from _below(one.node.path, misplaced_levels(image))
            yield from _below(one.node.path, comparisons(image, levels, source if k == i == 0 else None, method))
    root = groups[0].node
    if source is not None and not groups[0].images and root.attributes is not None:
        yield Problem("pixels", "cannot be compared with the source: the target is not an image")


def _below(path: str, parts: Iterator[Compared | Problem]) -> Iterator[Compared | Problem]:
    for part in parts:
        if isinstance(part, Problem):
            yield from below(path, [part])
        else:
            yield replace(part, path=f"{path} {part.path}".strip())
