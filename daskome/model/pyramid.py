"""Levels and pyramids: every shape, chunk, scale and translation is computed here and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

from daskome.kernels.methods import Method
from daskome.model import regions
from daskome.model.axes import Axis
from daskome.model.factors import Factors, ScaleFactors, level_scale, next_ratio, parse_factors
from daskome.model.image import ITEMSIZES, Image, check_image
from daskome.model.limits import Limits, default_limits
from daskome.model.paths import LONGEST_NAME, has_short_names, is_inside
from daskome.model.regions import Region, Shape, ceil_div, n_blocks
from daskome.model.storage.layout import ArrayFormat, Layout, options_per_level, parser
from daskome.model.storage.level_options import StorageOptions, parse_level_options
from daskome.model.storage.storage_values import check_fill_value


@dataclass(frozen=True, slots=True)
class Level:
    """One array of a pyramid. All tuples are ordered like the axes.

    Attributes
    ----------
    path : str
        The path of the array, relative to the image's group.
    shape : tuple of int
        The number of voxels along each axis.
    layout : Layout
        Chunks, shards, codecs.
    write_chunks : tuple of int
        The shape of a block that one task writes: one or more whole stored objects.
    read_chunks : tuple of int
        The shape up to which chunks are joined when the level, or the image of that shape, is read.
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
        """The number of stored objects (shards, or chunks) that hold the array."""
        return prod(n_blocks(self.shape, self.layout.objects))

    def count_objects(self, region: Region) -> int:
        """Return how many stored objects hold a part of a region."""
        return prod(ceil_div(b, n) - a // n for (a, b), n in zip(region, self.layout.objects, strict=True))


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

    @property
    def is_sharded(self) -> bool:
        """Whether a level is stored in shards."""
        return any(level.layout.shards for level in self.levels)

    def factors(self, k: int) -> Factors:
        """Return the factors that lead from level k - 1 to level k."""
        fine, coarse = self.levels[k - 1].factors, self.levels[k].factors
        return tuple(round(b / a) for a, b in zip(fine, coarse, strict=True))

    def is_whole(self, k: int) -> bool:
        """Return whether every voxel of level k - 1 is in a window of level k; other programs drop cut windows."""
        below = zip(self.levels[k - 1].shape, self.factors(k), strict=True)
        return self.levels[k].shape == tuple(ceil_div(n, f) for n, f in below)

    def reads(self, k: int, region: Region) -> Region:
        """Return the region of level k - 1 that a region of level k is made from, with the halo of the method."""
        factors, below = self.factors(k), self.levels[k - 1].shape
        return regions.with_halo(regions.finer(region, factors, below), tuple(map(self.method.halo, factors)), below)

    def depends(self, k: int, region: Region) -> Region:
        """Return the region of level k that is made of voxels of a region of level k - 1; it may be empty.

        Windows that an edge cuts may be dropped.
        """
        factors, shape = self.factors(k), self.levels[k].shape
        halos = map(self.method.halo, factors)
        each = zip(region, factors, halos, shape, strict=True)
        return tuple((max((a - h) // f, 0), min(ceil_div(b + h, f), n)) for (a, b), f, h, n in each)


def image_pyramid(
    image: Image,
    method: Method,
    scale_factors: ScaleFactors,
    storage_options: StorageOptions,
    stored_as: ArrayFormat,
    limits: Limits | None = None,
) -> Pyramid:
    """Return the pyramid that daskome makes of an image.

    Raises
    ------
    ValueError
        For a dtype, shape, scale, factor or storage option that is not possible; the message says which are.
    """
    check_image(image)
    (options,) = options_per_level(parse_level_options(storage_options).first, 1, _follows(image, stored_as))
    chunks = parser(storage_options, 0)(options, image.shape, image.axes, image.itemsize, stored_as).chunks
    factors = parse_factors(scale_factors, image, chunks)
    shapes = level_shapes(image.shape, factors, parse_level_options(storage_options).like)
    return _pyramid(image, method, shapes, factors, storage_options, stored_as, limits or default_limits())


def level_shapes(shape: Shape, factors: Sequence[Factors], like: Sequence[Shape] = ()) -> list[Shape]:
    """Return the shapes of levels, rounded up; or as in `like`, as far as that only drops windows that an edge cuts.

    >>> level_shapes((101, 7), [(1, 1), (2, 2), (4, 4)]), level_shapes((101, 7), [(1, 1), (2, 2)], [(101, 7), (50, 3)])
    ([(101, 7), (51, 4), (26, 2)], [(101, 7), (50, 3)])
    """
    shapes = [shape]
    for k, (before, after) in enumerate(pairwise(factors), start=1):
        steps = [b // a for a, b in zip(before, after, strict=True)]
        whole = tuple(ceil_div(n, step) for n, step in zip(shapes[-1], steps, strict=True))
        wanted = like[k] if k < len(like) else whole
        each = zip(shapes[-1], steps, whole, wanted, strict=True)
        shapes.append(tuple(m if m > 0 and m == n // step else up for n, step, up, m in each))
    return shapes


def given_pyramid(
    levels: Sequence[Image],
    method: Method,
    storage_options: StorageOptions,
    stored_as: ArrayFormat,
    limits: Limits | None = None,
) -> Pyramid:
    """Return the pyramid of levels that the caller has already made, from fine to coarse.

    Raises
    ------
    ValueError
        If there are none, if they differ in dtype or dimensions, or if one does not shrink in space.
    """
    _check_levels(levels)
    image, shapes = levels[0], [level.shape for level in levels]
    factors: list[tuple[float, ...]] = [(1,) * len(image.shape)]
    for fine, coarse in pairwise(shapes):
        factors.append(tuple(map(next_ratio, factors[-1], image.shape, fine, coarse)))
    return _pyramid(image, method, shapes, factors, storage_options, stored_as, limits or default_limits())


def level_translation(
    translation: tuple[float, ...], scale: tuple[float, ...], factors: tuple[float, ...], method: Method
) -> tuple[float, ...]:
    """Return the position of a level's first voxel, its centre (OME-Zarr 0.6, "pixel centre"; see `Method.offset`)."""
    return tuple(t + method.offset(f) * s for t, s, f in zip(translation, scale, factors, strict=True))


def write_block(shape: Shape, objects: Shape, axes: Sequence[Axis], itemsize: int, limits: Limits) -> Shape:
    """Return the shape of a block: a stored object, doubled along the shortest axis up to the limits.

    >>> from daskome.model.axes import parse_axes
    >>> write_block((500, 500, 500), (64, 64, 64), parse_axes("zyx", 3), 2, Limits())
    (128, 128, 128)
    """
    block = list(objects)
    while True:
        nbytes = prod(block) * itemsize
        limit = {True: limits.block_nbytes, False: limits.frame_nbytes}
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
    limits: Limits,
) -> Pyramid:
    paths = _paths(storage_options)
    options = options_per_level(storage_options, len(shapes), _follows(image, stored_as))
    for chosen in options:
        check_fill_value(chosen.get("fill_value"), image.dtype)
    layouts = [
        parser(storage_options, k)(chosen, shape, image.axes, image.itemsize, stored_as)
        for k, (chosen, shape) in enumerate(zip(options, shapes, strict=True))
    ]
    levels = [
        _level(paths.format(k), image, method, shape, level_factors, layout, limits)
        for k, (shape, level_factors, layout) in enumerate(zip(shapes, factors, layouts, strict=True))
    ]
    return Pyramid(image.name, image.axes, image.dtype, method, tuple(levels))


def _paths(storage_options: StorageOptions) -> str:
    """Return the paths of levels, with ``{}`` for their number; raise a ValueError if levels cannot have them."""
    paths = parse_level_options(storage_options).paths
    rest = paths.replace("{}", "") if isinstance(paths, str) and paths.count("{}") == 1 else "{"
    odd = set("{}\\") & set(rest) or not rest.isprintable() or not has_short_names(paths)
    if odd or not is_inside(paths.format(0)) or paths.split("/")[0] in ("labels", ".daskome"):
        raise ValueError(
            f"level_paths {paths!r} must be a path with {{}} for the number of a level, such as 's{{}}', of names of at"
            f" most {LONGEST_NAME} bytes"
        )
    return paths


def _follows(image: Image, stored_as: ArrayFormat) -> dict[str, Any]:
    """Return the storage options that follow from an image and the version, which a caller may only repeat."""
    names = [axis.name for axis in image.axes]
    return {"dtype": image.dtype, "dimension_names": names, "zarr_format": stored_as.zarr_format}


def _level(
    path: str,
    image: Image,
    method: Method,
    shape: Shape,
    factors: tuple[float, ...],
    layout: Layout,
    limits: Limits,
) -> Level:
    return Level(
        path=path,
        shape=shape,
        layout=layout,
        write_chunks=write_block(shape, layout.objects, image.axes, image.itemsize, limits),
        read_chunks=write_block(shape, layout.chunks, image.axes, image.itemsize, limits),
        factors=factors,
        scale=level_scale(image.scale, factors),
        translation=level_translation(image.translation, image.scale, factors, method),
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
    """Return whether a level is smaller than the previous one, and not longer along any axis."""
    return fine != coarse and min(coarse) > 0 and all(b <= a for a, b in zip(fine, coarse, strict=True))
