"""A stored image that is to change in place: what it was before, how its levels are made, and what it is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isclose
from numbers import Number
from os import PathLike
from typing import Any

import dask.array as da
import numpy as np
from zarr.storage import StorePath

from daskome.inspection.stored_image import (
    StoredImage,
    changing_image,
    is_downsampled_length,
    pyramid_of,
    read_stored_image,
    with_shapes,
)
from daskome.kernels.methods import METHODS, Method, find_method
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region, Shape, around, clipped
from daskome.model.source import Source
from daskome.ome.detect import ome_keys
from daskome.ome.image_label import LABELS
from daskome.ome.versions import Version
from daskome.planning.work import SourceChunks
from daskome.readers import read
from daskome.sources.adapt import as_source
from daskome.sources.views import expand_axes
from daskome.stores import journal as journals
from daskome.stores.arrays import keeps_all
from daskome.writing.description import source_chunks
from daskome.writing.more_levels import whole_image
from daskome.writing.options import Arguments


@dataclass(frozen=True, slots=True)
class Changeable:
    """A stored image as it was before anything in it changes.

    Attributes
    ----------
    image : StoredImage
    pyramid : Pyramid
        With the method by which its levels are made again.
    version : Version
    left : tuple of (int, int), optional
        The region of level 0 that an interrupted change has left half done.
    begun : bool
        Whether a change has begun that is not finished.
    """

    image: StoredImage
    pyramid: Pyramid
    version: Version
    left: Region | None
    begun: bool

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shapes of its levels."""
        return tuple(level.shape for level in self.pyramid.levels)

    @property
    def exact(self) -> tuple[bool, ...]:
        """Whether each of its levels keeps all of a value."""
        return tuple(keeps_all(array) for _, array in self.image.complete)

    def with_left(self, region: Region, resume: bool) -> Region:
        """Return the region whose dependents are made again: with what an interrupted change has left, if any.

        A call that goes on has the region of that change. Of what was to be appended, the voxels that it would have
        joined count.
        """
        if self.left is None or resume:
            return self.left or region
        return around(region, clipped(self.left, self.shapes[0]))

    @property
    def names(self) -> list[str]:
        """The names of its axes."""
        return self.image.names


def changeable(store_path: StorePath, arguments: Arguments) -> Changeable:
    """Return the image at a target, to be changed as a call says.

    Raises
    ------
    ValueError
        If there is none, a part of it cannot be read, or its levels cannot be made again; or if changing it was
        interrupted, and the call neither goes on nor begins anew.
    """
    before = changing_image(store_path)
    if before is not None and not (arguments["resume"] or arguments["overwrite"]):
        raise ValueError(
            f"{store_path}: changing the image was not completed: the same call with resume=True goes on;"
            " overwrite=True begins another change, and makes again what depends on the one that was not completed"
        )
    found, noted = before or (read_stored_image(store_path), None)
    image, version = whole_image(store_path, found)
    saved = journals.find_run(store_path, _given_function(arguments["method"])) if arguments["resume"] else None
    change = next((group.change for group in saved.plan.groups if group.change), None) if saved else None
    left = None if noted is None else _region_left(store_path, noted["region"], len(image.axes))
    if change is not None:
        image, left = with_shapes(image, change.shapes), change.region
    pyramid = _remade(store_path, image, arguments["method"])
    return Changeable(image, pyramid, version, left, bool(before or change))


def _given_function(method: Any) -> Method | None:
    return None if method is None else find_method(method)


def _region_left(store_path: StorePath, stored: Any, ndim: int) -> Region:
    """Return the region that a mark notes."""
    try:
        region = tuple((int(a), int(b)) for a, b in stored)
        if len(region) != ndim or any(not 0 <= a < b for a, b in region):
            raise ValueError(f"{stored!r} is no region of it")
        return region
    except (TypeError, ValueError) as error:
        raise ValueError(f"{store_path}: what it says of the change that was not completed cannot be read") from error


def _remade(store_path: StorePath, image: StoredImage, method: Any) -> Pyramid:
    """Return an image as a pyramid whose levels can be made again."""
    pyramid = pyramid_of(image)
    if len(pyramid.levels) > 1:
        pyramid = replace(pyramid, method=_method(store_path, image) if method is None else find_method(method))
    for fine, coarse in pairwise(pyramid.levels):
        ratios = [b / a for a, b in zip(fine.factors, coarse.factors, strict=True)]
        rows = zip(ratios, fine.shape, coarse.shape, strict=True)
        if not all(isclose(ratio, round(ratio)) and is_downsampled_length(n, m, round(ratio)) for ratio, n, m in rows):
            raise ValueError(
                f"{store_path}: no whole factors lead from {fine.path} of shape {fine.shape} to {coarse.path} of shape"
                f" {coarse.shape}, so that it cannot be made again; write the image anew"
            )
    return pyramid


def _method(store_path: StorePath, image: StoredImage) -> Method:
    """Return the method that the metadata of an image name; where they name none, mean, of labels mode."""
    stated = image.multiscale.method
    if image.method is None and stated is not None:
        raise ValueError(
            f"{store_path}: its levels are said to be made by {stated!r}, which is none of {', '.join(METHODS)}; give"
            " the method by which they are made again (method=, --method)"
        )
    is_label = "image-label" in ome_keys(image.attributes) or store_path.path.split("/")[-2:-1] == [LABELS]
    return image.method or find_method("mode" if is_label else "mean")


def given_source(
    data: Any, found: Changeable, lengths: Sequence[int | None], single: Sequence[int], what: str
) -> Source:
    """Return what a part of an image is given, with the axes of the image.

    Parameters
    ----------
    data : array-like, path, or number
    found : Changeable
    lengths : sequence of int or None
        How long it has to be along each axis; None: as long as it is.
    single : sequence of int
        Axes that it may lack.
    what : str
        What the caller calls it.

    Raises
    ------
    ValueError
        If its axes, lengths or dtype are not those of the image, with the axis.
    """
    names, dtype = found.names, found.pyramid.dtype
    if isinstance(data, Number | np.generic) or getattr(data, "shape", None) == ():
        data = _filled(data, [1 if n is None else n for n in lengths], dtype, what)
    source = read(data) if isinstance(data, str | PathLike) else as_source(data)
    source = expand_axes(source, _lacking(source, names, lengths, single, what))
    for name, n, wanted in zip(names, source.shape, lengths, strict=True):
        if wanted is not None and n != wanted:
            raise ValueError(f"{what} is {n} long along axis {name!r}, where {wanted} is needed")
    if source.dtype != dtype:
        raise ValueError(f"{what} is {source.dtype}, but the image is {dtype}; convert it, as in astype({dtype!r})")
    return source


def _filled(value: Any, shape: Sequence[int], dtype: str, what: str) -> np.ndarray[Any, Any]:
    """Return an array that is one number everywhere, without the memory for it."""
    number = np.asarray(value)
    if number.dtype.kind not in "biuf" or not _is_kept(number, number.dtype.kind == np.dtype(dtype).kind == "f", dtype):
        raise ValueError(f"{what} {value!r} cannot be stored as {dtype}, the dtype of the image")
    return np.broadcast_to(number.astype(dtype), tuple(shape))


def _is_kept(number: np.ndarray[Any, Any], may_be_rounded: bool, dtype: str) -> bool:
    """Whether a number is the same as a voxel, or is only rounded where it may be; nothing becomes infinite."""
    with np.errstate(all="ignore"):
        one = number.astype(dtype)
    return bool(np.isfinite(one) == np.isfinite(number) if may_be_rounded else one == number)


def _lacking(
    source: Source, names: Sequence[str], lengths: Sequence[int | None], single: Sequence[int], what: str
) -> tuple[int, ...]:
    """Return the axes of the image, each of length 1 here, that a source lacks."""
    own, n = source.dims, len(names) - len(source.shape)
    if own:
        lacking = [i for i, name in enumerate(names) if name not in own]
        named = [name for name in names if name in own]
    else:
        lacking = list(single) if n == len(single) else list(range(max(n, 0)))
        named = [name for i, name in enumerate(names) if i not in lacking]
    fits = len(named) == len(source.shape) and (not own or list(own) == named)
    if not fits or any(lengths[i] not in (None, 1) or (lengths[i] is None and i not in single) for i in lacking):
        theirs = "".join(own) if own and all(len(name) == 1 for name in own) else own or f"{len(source.shape)} axes"
        raise ValueError(
            f"{what} has {theirs}, but the image {', '.join(names)}: give it the same axes in the same order; only"
            " those of length 1 may be left out"
        )
    return tuple(lacking)


def chunks_around(source: Source, given: Region, objects: Region) -> SourceChunks:
    """Return what the planner must know of a source that fills a part of whole stored objects."""
    margins = [(a - c, d - b) for (a, b), (c, d) in zip(given, objects, strict=True)]
    if given == objects:
        return source_chunks(source)
    if source.buffer_copies and isinstance(source.array, da.Array):
        return source_chunks(as_source(da.pad(source.array, margins)))
    padded = [
        (*((before,) if before else ()), *sizes, *((after,) if after else ()))
        for sizes, (before, after) in zip(source.chunks, margins, strict=True)
    ]
    return replace(source_chunks(source), chunks=tuple(padded))
