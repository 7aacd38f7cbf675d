"""Pixels against where they come from, block by block: each level with the level below, level 0 with the source."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, pairwise
from math import isclose, prod
from typing import Any

import dask.array as da
import numpy as np
from dask.local import get_sync

from daskome.execution.schedulers import n_threads
from daskome.execution.unit_graph import coarsen
from daskome.inspection.stored_image import StoredImage, is_downsampled_length, pyramid_of
from daskome.kernels.methods import METHODS, Method, check_loaded, stored_method
from daskome.model import regions
from daskome.model.chunks import longest_chunk
from daskome.model.problem import Problem
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region, Shape, ceil_div
from daskome.model.source import Source
from daskome.model.text import Progress, pluralize
from daskome.ome.fingerprint import Fingerprint, checksum, parse_fingerprint
from daskome.sources.adapt import as_source
from daskome.sources.graphs.arrays_read import read_by
from daskome.sources.pieces import source_piece
from daskome.sources.presence import check_there
from daskome.sources.views import expand_axes
from daskome.stores.arrays import as_stored
from daskome.stores.objects import sync_codecs
from daskome.stores.objects.damage import reason

Array = np.ndarray[Any, Any]
SPAN_NBYTES = 64 * 2**20
"""Level 0 is compared in blocks grown to whole chunks of the source, up to this size: a chunk is decoded once."""
BLOCKS_NAMED = 100
"""How many differing blocks are named per level; the others are only counted, to keep the list of problems short."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A stored level, and how to make what it should hold.

    Attributes
    ----------
    path : str
        Of the level.
    names : sequence of str
        Of the axes.
    array : array-like
        What is stored.
    blocks : tuple of int
        How much is compared at a time.
    expected : callable
        A region of the level to what it should hold, lazily.
    origin : str
        What that is, in words.
    """

    path: str
    names: Sequence[str]
    array: Any
    blocks: Shape
    expected: Callable[[Region], da.Array]
    origin: str

    @property
    def counts(self) -> Shape:
        """How many blocks the level has along each axis."""
        return regions.n_blocks(self.array.shape, self.blocks)

    def __call__(self, index: int) -> Problem | None:
        """Compare one block, of those counted in C order. Whatever goes wrong in reading it is a finding too.

        What codecs that keep less than all make of the expected counts as that.
        """
        position = [int(i) for i in np.unravel_index(index, self.counts)]
        region = regions.block(position, self.blocks, self.array.shape)
        where = f"{self.path} {regions.format_region(region, self.names)}"
        try:
            stored = np.asarray(sync_codecs.read(self.array, regions.slices(region)))
            expected = np.asarray(self.expected(region).compute(scheduler=get_sync))
            message = differing_blocks(stored, expected, region, self.names)
            if message:
                expected = as_stored(self.array, expected)
                message = differing_blocks(stored, expected, region, self.names)
        except Exception as error:
            return Problem(where, f"cannot be compared with {self.origin}: {reason(error)}")
        return Problem(where, f"{message} in {self.origin}") if message else None


@dataclass(frozen=True, slots=True)
class Recorded:
    """Level 0 of an image, and the checksums of some of its blocks that were recorded when it was written.

    Attributes
    ----------
    path : str
        Of the level.
    names : sequence of str
        Of the axes.
    array : array-like
        What is stored.
    fingerprint : Fingerprint
    """

    path: str
    names: Sequence[str]
    array: Any
    fingerprint: Fingerprint
    origin = "what was recorded"

    @property
    def counts(self) -> Shape:
        """How many blocks have a checksum."""
        return (len(self.fingerprint.crc32),)

    def __call__(self, index: int) -> Problem | None:
        """Compare one block with its checksum. Whatever goes wrong in reading it is a finding too."""
        region, recorded = self.fingerprint.regions[index], self.fingerprint.crc32[index]
        where = f"{self.path} {regions.format_region(region, self.names)}"
        try:
            found = checksum(np.asarray(sync_codecs.read(self.array, regions.slices(region))))
        except Exception as error:
            return Problem(where, f"cannot be compared with {self.origin}: {reason(error)}")
        if found == recorded:
            return None
        return Problem(where, f"is not what was written there: its checksum is {found}, but {recorded} was recorded")


Compared = Comparison | Recorded
"""Something to compare, block by block."""


def recorded(image: StoredImage) -> Recorded | None:
    """Return level 0 of an image with its recorded checksums; None if there are none, or it cannot be read."""
    if not image.complete or image.complete[0][0].k:
        return None
    level, array = image.complete[0]
    fingerprint = parse_fingerprint(image.multiscale.metadata, array.shape)
    if fingerprint is None:
        return None
    return Recorded(level.dataset.path, image.names, as_source(array).array, fingerprint)


def comparisons(
    image: StoredImage, levels: bool, source: Any = None, method: Method | None = None
) -> Iterator[Compared | Problem]:
    """Yield the comparisons to make, and problems where none can be made.

    Parameters
    ----------
    found : StoredImage
    levels : bool
        Whether to compare each level with the one below, and without a source level 0 with what was recorded of it.
    source : array-like, optional
        To compare with level 0.
    method : Method, optional
        The function that made the levels, if it is not a row of `METHODS`.
    """
    if not image.complete:
        if levels or source is not None:
            yield Problem("pixels", "cannot be compared: no level can be read")
        return
    if source is not None:
        yield _with_source(image, as_source(source))
    elif levels and (level := recorded(image)):
        yield level
    if levels and len(image.levels) > 1:
        yield from _with_levels_below(image, method)


def compare(todo: Sequence[Compared], wanted: int | None, progress: Progress | None) -> Iterator[Problem]:
    """Yield what differs in the sampled blocks, level by level, at most `BLOCKS_NAMED` of each by name.

    Parameters
    ----------
    todo : sequence of Comparison or Recorded
    wanted : int, optional
        How many blocks of each; all if not given.
    progress : callable, optional
        Called with blocks done and blocks in all after every block.
    """
    samples = [sample(prod(comparison.counts), wanted) for comparison in todo]
    done, total = count(1), sum(map(len, samples))
    for comparison, blocks in zip(todo, samples, strict=True):
        differ = 0
        for problem in _in_threads(comparison, blocks):
            if progress:
                progress(next(done), total)
            if problem:
                differ += 1
                if differ <= BLOCKS_NAMED:
                    yield problem
        if differ > BLOCKS_NAMED:
            more = pluralize(differ - BLOCKS_NAMED, "more block")
            yield Problem(comparison.path, f"{more} of {len(blocks):,} differ from {comparison.origin}")


def sample(total: int, wanted: int | None) -> Sequence[int]:
    """Return which of `total` blocks to look at: all, or as many as wanted, evenly spread, with the last.

    >>> sample(10, None), sample(10, 4), sample(10, 1)
    (range(0, 10), [1, 4, 6, 9], [9])
    """
    if wanted is None or wanted >= total:
        return range(total)
    return [(i + 1) * total // wanted - 1 for i in range(wanted)]


def differing_blocks(stored: Array, expected: Array, region: Region, names: Sequence[str]) -> str | None:
    """Return how many voxels of a region differ, and the first that does; None if none. NaN equals NaN.

    Examples
    --------
    >>> differing_blocks(np.array([1, 2, 3]), np.array([1, 0, 0]), ((10, 13),), "x")
    '2 of 3 voxels differ; the first, x 11, is 2, but 0'
    """
    differ = stored != expected
    if stored.dtype.kind == expected.dtype.kind == "f":
        differ &= ~(np.isnan(stored) & np.isnan(expected))
    n = int(np.count_nonzero(differ))
    if not n:
        return None
    at = np.unravel_index(int(differ.argmax()), differ.shape)
    voxel = ", ".join(f"{name} {start + int(i)}" for name, (start, _), i in zip(names, region, at, strict=True))
    verb = "differs" if n == 1 else "differ"
    return f"{n:,} of {differ.size:,} voxels {verb}; the first, {voxel}, is {stored[at]}, but {expected[at]}"


def _in_threads(compare_one: Compared, blocks: Iterable[int]) -> Iterator[Problem | None]:
    """Yield the results of blocks in their order; only a few are in flight."""
    running: deque[Future[Problem | None]] = deque()
    with ThreadPoolExecutor(n_threads(), thread_name_prefix="daskome-verify") as threads:
        for block in blocks:
            running.append(threads.submit(compare_one, block))
            if len(running) > 2 * n_threads():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _with_source(image: StoredImage, source: Source) -> Comparison | Problem:
    level, array = image.complete[0]
    if level.k:
        return Problem("s0", "cannot be compared with the source: level 0 cannot be read")
    stored = as_source(array)
    source = _with_axes_of(image, stored, source)
    try:
        for part in read_by(source.array):
            check_there(part)
    except (OSError, ValueError) as error:
        return Problem(level.dataset.path, f"cannot be compared with the source: {reason(error)}")
    if (stored.shape, stored.dtype) != (source.shape, source.dtype):
        theirs, ours = (f"{s.dtype} of shape {s.shape}" for s in (source, stored))
        return Problem(level.dataset.path, f"is {ours}, but the source is {theirs}")
    read_chunks = pyramid_of(image).levels[0].read_chunks
    blocks = _spans(read_chunks, source, array.dtype.itemsize)
    expected = partial(source_piece, source, read_chunks=read_chunks)
    return Comparison(level.dataset.path, image.names, array, blocks, expected, "the source")


def _with_axes_of(image: StoredImage, stored: Source, source: Source) -> Source:
    """Return a source with the axes of length 1 that an image has besides its own, as versions before 0.3 need them."""
    n = len(source.shape)
    own = source.dims or tuple(image.names)[-n:]
    lacking = tuple(i for i, name in enumerate(image.names) if name not in own)
    fits = n + len(lacking) == len(stored.shape) and all(stored.shape[i] == 1 for i in lacking)
    return expand_axes(source, lacking) if fits else source


def _spans(blocks: Shape, source: Source, itemsize: int) -> Shape:
    """Return blocks grown to whole chunks of the source, the last axis first, up to `SPAN_NBYTES`."""
    spans = list(blocks)
    for i in reversed(range(len(spans))):
        grown = ceil_div(longest_chunk(source.chunks[i]), blocks[i]) * blocks[i]
        if prod(spans) // spans[i] * grown * itemsize <= SPAN_NBYTES:
            spans[i] = grown
    return tuple(spans)


def _with_levels_below(image: StoredImage, given: Method | None) -> Iterator[Comparison | Problem]:
    try:
        if image.method is None:
            raise ValueError(f"type is {image.multiscale.method!r}, which is not one of {', '.join(METHODS)}")
        method = stored_method(image.method.name, given)
        check_loaded(method)
    except ValueError as error:
        yield Problem(f"{image.where}/type", f"pixels cannot be verified: {reason(error)}")
        return
    pyramid = replace(pyramid_of(image), method=method)
    for k, ((below, _), (level, _)) in enumerate(pairwise(image.complete), start=1):
        if level.k - below.k == 1:
            yield _with_level_below(image, pyramid, k)


def _with_level_below(image: StoredImage, pyramid: Pyramid, k: int) -> Comparison | Problem:
    (_, fine), (there, array) = image.complete[k - 1 : k + 1]
    below, level = pyramid.levels[k - 1 : k + 1]
    ratios = [b / a for a, b in zip(below.factors, level.factors, strict=True)]
    rows = zip(ratios, below.shape, level.shape, strict=True)
    if not all(isclose(ratio, round(ratio)) and is_downsampled_length(n, m, round(ratio)) for ratio, n, m in rows):
        shapes = f"no whole factors lead from shape {below.shape} to {level.shape}"
        return Problem(there.where, f"pixels cannot be verified: {shapes}")
    expected = partial(_of_level_below, as_source(fine), pyramid, k)
    origin = f"the {pyramid.method.name} of {below.path}"
    return Comparison(level.path, image.names, array, level.read_chunks, expected, origin)


def _of_level_below(source: Source, pyramid: Pyramid, k: int, region: Region) -> da.Array:
    """Return a region of level k, made again from the stored level k - 1."""
    piece = source_piece(source, pyramid.reads(k, region), pyramid.levels[k - 1].read_chunks)
    return coarsen(piece, pyramid, k, region)
