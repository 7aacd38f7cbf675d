"""Levels and pyramids: every shape, chunk, scale and translation is computed here and nowhere else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite, log2, prod
from numbers import Real
from typing import Any

from daskome import regions
from daskome.axes import Axis, reject_unknown
from daskome.layout import ArrayFormat, Layout, StorageOptions, layout, per_level
from daskome.methods import Method
from daskome.regions import Region, Shape, ceil_div, counts

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
ITEMSIZES = {"bool": 1} | {name: int(re.sub(r"\D", "", name)) // 8 for name in DTYPES[1:]}
BLOCK_NBYTES = 4 * 2**20
"""Stored objects smaller than this are written several at a time, neighbours in space together."""
FRAME_NBYTES = 2**18
"""Only objects smaller than this are written together with those of other times and channels."""

Factors = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Level:
    """One array of a pyramid. All tuples are ordered like the axes.

    Attributes
    ----------
    path : str
        Where the array lies, relative to the image's group.
    shape : tuple of int
        In voxels.
    layout : Layout
        Chunks, shards, codecs.
    write_chunks : tuple of int
        What one task writes: a whole multiple of a stored object.
    read_chunks : tuple of int
        What one task reads of the stored level, or of its image: chunks as large as these, and not more.
    factors : tuple of float
        How many voxels of level 0 one voxel spans; whole numbers unless the levels were made elsewhere.
    scale, translation : tuple of float
        Size of a voxel, and position of the centre of the first one, in the units of the axes.
    """

    path: str
    shape: Shape
    layout: Layout
    write_chunks: Shape
    read_chunks: Shape
    factors: tuple[float, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    @property
    def voxels(self) -> int:
        """The number of voxels."""
        return prod(self.shape)

    @property
    def n_objects(self) -> int:
        """How many stored objects (shards, or chunks) hold the array."""
        return prod(counts(self.shape, self.layout.objects))


@dataclass(frozen=True, slots=True)
class Pyramid:
    """One multiscale image: what all its levels share, and the levels from fine to coarse."""

    name: str
    axes: tuple[Axis, ...]
    dtype: str
    method: Method
    levels: tuple[Level, ...]

    @property
    def itemsize(self) -> int:
        """Bytes of one voxel."""
        return ITEMSIZES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Bytes of all levels, uncompressed."""
        return sum(level.voxels for level in self.levels) * self.itemsize

    def factors(self, k: int) -> Factors:
        """Return the factors that lead from level k - 1 to level k."""
        fine, coarse = self.levels[k - 1].factors, self.levels[k].factors
        return tuple(round(b / a) for a, b in zip(fine, coarse, strict=True))

    def reads(self, k: int, region: Region) -> Region:
        """Return the region of level k - 1 that one of level k is made from, with the halo that the method looks at."""
        factors, below = self.factors(k), self.levels[k - 1].shape
        return regions.grown(regions.finer(region, factors, below), tuple(map(self.method.halo, factors)), below)


ScaleFactors = str | Sequence[int | Mapping[str, int]] | None


@dataclass(frozen=True, slots=True)
class Image:
    """What is known of an image without its pixels; tuples are ordered like the axes."""

    shape: Shape
    dtype: str
    axes: tuple[Axis, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    name: str = "image"

    @property
    def itemsize(self) -> int:
        """Bytes of one voxel."""
        return ITEMSIZES[self.dtype]


def check_ndim(shape: Shape) -> None:
    """Raise a ValueError for a number of dimensions that no OME-Zarr image can have."""
    if not 2 <= len(shape) <= 5:
        raise ValueError(f"an OME-Zarr image has 2 to 5 dimensions; shape {shape} has {len(shape)}")


def check_image(image: Image) -> None:
    """Raise a ValueError for a dtype, shape or scale that no OME-Zarr image can have."""
    if image.dtype not in DTYPES:
        raise ValueError(f"dtype {image.dtype} can't be stored as an image; convert it to one of {', '.join(DTYPES)}")
    check_ndim(image.shape)
    if 0 in image.shape:
        raise ValueError(f"the image is empty: shape {image.shape} has an axis of length 0")
    for axis, value in zip(image.axes, image.scale, strict=True):
        if not 0 < value < inf:
            raise ValueError(f"scale of axis {axis.name!r} is {value}; it must be finite and positive (OME-Zarr 0.6)")
    for axis, value in zip(image.axes, image.translation, strict=True):
        if not isfinite(value):
            raise ValueError(f"translation of axis {axis.name!r} is {value}; it must be finite")


def image_pyramid(
    image: Image, method: Method, scale_factors: ScaleFactors, storage_options: StorageOptions, stored_as: ArrayFormat
) -> Pyramid:
    """Return the pyramid that daskome makes of an image.

    Raises
    ------
    ValueError
        For a dtype, shape, scale, factor or storage option that can't be; the message says what can.
    """
    check_image(image)
    options = storage_options if isinstance(storage_options, Mapping) else next(iter(storage_options or ()), {})
    chunks = layout(per_level(options, 1)[0], image.shape, image.axes, image.itemsize, stored_as).chunks
    factors = parse_factors(scale_factors, image, chunks)
    shapes = [tuple(ceil_div(n, f) for n, f in zip(image.shape, fs, strict=True)) for fs in factors]
    return _pyramid(image, method, shapes, factors, storage_options, stored_as)


def given_pyramid(
    levels: Sequence[Image], method: Method, storage_options: StorageOptions, stored_as: ArrayFormat
) -> Pyramid:
    """Return the pyramid of levels that the caller has already, from fine to coarse.

    Raises
    ------
    ValueError
        If there are none, they differ in dtype or dimensions, or one does not shrink in space.
    """
    _check_levels(levels)
    image, shapes = levels[0], [level.shape for level in levels]
    factors: list[tuple[float, ...]] = [(1,) * len(image.shape)]
    for fine, coarse in pairwise(shapes):
        factors.append(tuple(map(_next_ratio, factors[-1], image.shape, fine, coarse)))
    return _pyramid(image, method, shapes, factors, storage_options, stored_as)


def parse_factors(scale_factors: ScaleFactors, image: Image, chunks: Shape) -> list[Factors]:
    """Return the factors of every level relative to level 0, level 0 included.

    Parameters
    ----------
    scale_factors : "auto", sequence of int or dict, or None
        One entry per level below the first, relative to level 0: an int for all axes of space (an
        axis of one voxel keeps it), or a dict by axis name. None: no levels below the first.
        ``"auto"`` makes voxels isotropic first, then halves until a level fits in one chunk.

    Raises
    ------
    ValueError
        If a factor is not positive, not a multiple of the one before, along an axis that is not of
        space, or leads to a level that is no smaller than the one before.

    Examples
    --------
    >>> from daskome.axes import parse_axes
    >>> image = Image((100, 400, 400), "uint16", parse_axes("zyx", 3), (4.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    >>> parse_factors("auto", image, (64, 64, 64))
    [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]
    """
    if scale_factors == "auto":
        return _auto_factors(image, chunks)
    if scale_factors is not None and (isinstance(scale_factors, str) or not hasattr(scale_factors, "__iter__")):
        raise ValueError(f"scale_factors {scale_factors!r}: give a list such as [2, 4, 8], or 'auto'")
    levels: list[Factors] = [(1,) * len(image.axes)]
    for entry in scale_factors or ():
        levels.append(_next_factors(entry, levels[-1], image))
    return levels


def scaled(values: tuple[float, ...], factors: tuple[float, ...]) -> tuple[float, ...]:
    """Return the voxel size of a level: never a ratio of shapes, always the factors times the size at level 0."""
    return tuple(v * f for v, f in zip(values, factors, strict=True))


def shifted(
    translation: tuple[float, ...], scale: tuple[float, ...], factors: tuple[float, ...], method: Method
) -> tuple[float, ...]:
    """Return where the centre of a level's first voxel lies (OME-Zarr 0.6, "pixel centre"; see `Method.offset`)."""
    return tuple(t + method.offset(f) * s for t, s, f in zip(translation, scale, factors, strict=True))


def write_block(shape: Shape, objects: Shape, axes: Sequence[Axis], itemsize: int) -> Shape:
    """Return how much one task writes: stored objects, doubled along the shortest axis up to `BLOCK_NBYTES`.

    >>> from daskome.axes import parse_axes
    >>> write_block((500, 500, 500), (64, 64, 64), parse_axes("zyx", 3), 2)
    (128, 128, 128)
    """
    block = list(objects)
    while True:
        nbytes = prod(block) * itemsize
        limit = {True: BLOCK_NBYTES, False: FRAME_NBYTES}
        growing = [i for i, n in enumerate(shape) if block[i] < n and 2 * nbytes <= limit[axes[i].spatial]]
        if not growing:
            return tuple(block)
        block[min(growing, key=lambda i: (not axes[i].spatial, block[i], -i))] *= 2


def _pyramid(
    image: Image,
    method: Method,
    shapes: Sequence[Shape],
    factors: Sequence[tuple[float, ...]],
    storage_options: StorageOptions,
    stored_as: ArrayFormat,
) -> Pyramid:
    options = per_level(storage_options, len(shapes))
    levels = [
        _level(f"s{k}", image, method, shape, fs, layout(o, shape, image.axes, image.itemsize, stored_as))
        for k, (shape, fs, o) in enumerate(zip(shapes, factors, options, strict=True))
    ]
    return Pyramid(image.name, image.axes, image.dtype, method, tuple(levels))


def _level(path: str, image: Image, method: Method, shape: Shape, factors: tuple[float, ...], lay: Layout) -> Level:
    return Level(
        path=path,
        shape=shape,
        layout=lay,
        write_chunks=write_block(shape, lay.objects, image.axes, image.itemsize),
        read_chunks=write_block(shape, lay.chunks, image.axes, image.itemsize),
        factors=factors,
        scale=scaled(image.scale, factors),
        translation=shifted(image.translation, image.scale, factors, method),
    )


def _check_levels(levels: Sequence[Image]) -> None:
    if not levels:
        raise ValueError("the pyramid has no levels")
    first = levels[0]
    check_image(first)
    for k, (fine, coarse) in enumerate(pairwise(levels), start=1):
        if coarse.dtype != first.dtype:
            raise ValueError(f"level {k} has dtype {coarse.dtype}, but level 0 has {first.dtype}; they must be equal")
        if coarse.axes != first.axes:
            raise ValueError(f"level {k} has axes {coarse.axes}, but level 0 has {first.axes}; they must be equal")
        if not shrinks(fine.shape, coarse.shape):
            raise ValueError(
                f"level {k} of shape {coarse.shape} does not shrink from level {k - 1} of shape {fine.shape};"
                " give levels from fine to coarse"
            )
        _check_only_space_shrinks(k, fine, coarse)


def _check_only_space_shrinks(k: int, fine: Image, coarse: Image) -> None:
    for axis, before, after in zip(fine.axes, fine.shape, coarse.shape, strict=True):
        if after != before and not axis.spatial:
            raise ValueError(
                f"level {k} has {after} along axis {axis.name!r} of type {axis.type}, but level {k - 1} has {before};"
                " only space is downsampled"
            )


def shrinks(fine: Shape, coarse: Shape) -> bool:
    """Return whether a level is smaller than the one before, and longer along no axis."""
    return fine != coarse and min(coarse) > 0 and all(b <= a for a, b in zip(fine, coarse, strict=True))


def _next_ratio(before: float, n: int, fine: int, coarse: int) -> float:
    """Return the factor of a level made elsewhere, of `coarse` voxels where the one before has `fine`, level 0 `n`.

    Where a whole step leads there it is that: an exact one, or one with rounding up or down, 2 first. Otherwise
    it is the ratio of lengths.
    """
    near = max(round(fine / coarse), 1)
    exact = [near] if near * coarse == fine else []
    steps = [step for step in (*exact, 2, near, near + 1, near - 1) if step > 0] if coarse < fine else [1]
    fitting = (step for step in steps if coarse in (ceil_div(fine, step), fine // step))
    step = next(fitting, None)
    return n / coarse if step is None or before != int(before) else before * step


def _auto_factors(image: Image, chunks: Shape) -> list[Factors]:
    levels: list[Factors] = [(1,) * len(image.axes)]
    while True:
        factors = levels[-1]
        sizes = [ceil_div(n, f) for n, f in zip(image.shape, factors, strict=True)]
        long = [i for i, axis in enumerate(image.axes) if axis.spatial and sizes[i] > 1]
        if all(sizes[i] <= chunks[i] for i in long):
            return levels
        halved = _halved(long, scaled(image.scale, factors))
        levels.append(tuple(f * 2 if i in halved else f for i, f in enumerate(factors)))


def _halved(axes: list[int], voxel: tuple[float, ...]) -> list[int]:
    """Return the axes to halve: those with voxels nearer to half the coarsest than to it, or all."""
    coarsest = max(voxel[i] for i in axes)
    fine = [i for i in axes if log2(coarsest / voxel[i]) >= 0.5]
    return fine or axes


def _next_factors(entry: int | Mapping[str, int], before: Factors, image: Image) -> Factors:
    sizes = tuple(ceil_div(n, f) for n, f in zip(image.shape, before, strict=True))
    if isinstance(entry, Mapping):
        reject_unknown(entry, [a.name for a in image.axes], "scale factor for axis")
        wanted = [entry.get(axis.name, 1) for axis in image.axes]
    else:
        wanted = [entry if a.spatial and n > 1 else f for a, n, f in zip(image.axes, sizes, before, strict=True)]
    factors = tuple(_whole(f, axis) for f, axis in zip(wanted, image.axes, strict=True))
    _check_factors(factors, before, sizes, image)
    return factors


def _whole(value: Any, axis: Axis) -> int:
    if not isinstance(value, Real) or not isfinite(value) or float(value) != int(float(value)) or value < 1:
        raise ValueError(f"scale factor {value!r} of axis {axis.name!r} must be a whole number, 1 or more")
    return int(float(value))


def _check_factors(factors: Factors, before: Factors, sizes: Shape, image: Image) -> None:
    for axis, f, b, n in zip(image.axes, factors, before, sizes, strict=True):
        if f > 1 and not axis.spatial:
            raise ValueError(f"axis {axis.name!r} of type {axis.type} has scale factor {f}; only space is downsampled")
        if f % b:
            raise ValueError(
                f"scale factors are relative to level 0, each a multiple of the one before:"
                f" axis {axis.name!r} has {f} after {b}"
            )
        if f > b and n == 1:
            raise ValueError(f"scale factor {f} of axis {axis.name!r}: the level before has one voxel there already")
    if factors == before:
        raise ValueError(
            f"scale factors {factors} make a level no smaller than the one before;"
            f" an image of shape {image.shape} allows fewer levels"
        )
