"""Files in a grid as one image: the first describes it, some more are opened beforehand, each is when it is read."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

import numpy as np

from daskome.model import regions
from daskome.model.axes import GUESSES, TYPES
from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.readers.described import shown
from daskome.readers.inputs import Input, parse
from daskome.readers.kinds import Reader, opened, reader_of_file, require
from daskome.readers.sequences.listing import Listing
from daskome.readers.sequences.names import Grid, by_number, by_pattern
from daskome.sources.blocks import as_declared
from daskome.sources.joined import Joined
from daskome.stores.objects import sync_codecs

OPENED_BEFORE = 16
"""How many files of an image, evenly spread, are opened before anything is written."""
KEPT_OPEN = 32
"""How many files a process keeps open: a unit reads the tiles of a file one after the other."""


@dataclass(frozen=True, slots=True)
class FileKind:
    """What all files of an image have in common.

    Attributes
    ----------
    reader : Reader
    part : str
        After ``::``.
    words : tuple of (str, value)
        What is said of each.
    shape : tuple of int
    dtype : str
    member : bool
        As `Input.member`.
    """

    reader: Reader
    part: str
    words: tuple[tuple[str, Any], ...]
    shape: Shape
    dtype: str
    member: bool = True

    def open(self, path: str) -> Source:
        """Return the image in a file, which must be like the first.

        Raises
        ------
        ValueError
            If it has another shape or dtype.
        """
        source = opened(self.reader, Input(path, part=self.part, words=dict(self.words), member=self.member))
        if (source.shape, source.dtype) != (self.shape, self.dtype):
            raise ValueError(
                f"{path} is {source.dtype} of {source.shape}, but the first of these files is {self.dtype} of"
                f" {self.shape}; an image has one shape and dtype: convert it, or leave it out"
            )
        return source


@dataclass(frozen=True, slots=True)
class ImageFile:
    """The image in a file, itself an array-like that is opened when it is read.

    Whatever goes wrong when it is read is an error that names the file.
    """

    kind: FileKind
    path: str

    @property
    def shape(self) -> Shape:
        """That of all files."""
        return self.kind.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of all files."""
        return np.dtype(self.kind.dtype)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part of the image."""
        file = os.stat(self.path)
        source = _open_again(self.kind, self.path, (file.st_size, file.st_mtime_ns))
        wanted = regions.shape_of(tuple(part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True)))
        try:
            values = sync_codecs.read(source.array, index)
            return np.asarray(as_declared(values, self.dtype, wanted, partial(str, self.path)))
        except Exception as error:
            if isinstance(error, ValueError) and self.path in str(error):
                raise
            raise ValueError(f"{self.path} cannot be read as {self.kind.reader.name}: {error}") from error


@lru_cache(maxsize=KEPT_OPEN)
def _open_again(kind: FileKind, path: str, stamp: tuple[int, int]) -> Source:
    """Return an open file; one that has changed since is another."""
    return kind.open(path)


def image_of_files(listing: Listing, words: Mapping[str, Any], axis: str | None) -> Source:
    """Return the image that files make up.

    Parameters
    ----------
    listing : Listing
    words : dict
        What is said of each file.
    axis : str, optional
        Along which files without a pattern follow each other: by default the first of z, t, c that they do not have, or
        of which they have one step.

    Raises
    ------
    ValueError
        If names do not tell how the files belong together, or some of those that are opened differ from the first.
    """
    if listing.reader.series and not listing.pattern:
        return _of_series(listing, words, axis)
    first = _first(listing, words)
    return _of_grid(listing, words, first, _grid(listing, axis, first))


def _of_series(listing: Listing, words: Mapping[str, Any], axis: str | None) -> Source:
    """Return the image of files that say themselves how they belong together."""
    if axis not in (None, "z"):
        raise ValueError(
            f"{listing.reader.name} says itself that its planes follow each other along z; leave stack out"
        )
    require(listing.reader)
    module = import_module(f"daskome.readers.{listing.reader.module}")
    series = module.series_of(listing.paths, listing.part)
    alone = replace(listing, paths=series.paths, part="")
    steps = tuple(map(str, range(len(series.paths))))
    first = _first(alone, words)
    source: Source = module.with_step(_of_grid(alone, words, first, Grid(("z",), (steps,), series.paths)), series)
    return source


def _of_grid(listing: Listing, words: Mapping[str, Any], first: Source, grid: Grid) -> Source:
    kind = FileKind(listing.reader, listing.part, _hashable(words), first.shape, first.dtype)
    for i in regions.spread(len(grid.paths), OPENED_BEFORE):
        kind.open(grid.paths[i])
    dims = first.dims or ()
    names = tuple(name for name in TYPES if name in {*dims, *grid.axes})
    if tuple(name for name in names if name in dims) != dims:
        raise ValueError(f"{grid.paths[0]} has axes {', '.join(dims)}, which are not in the order t, c, z, y, x")
    steps = dict(zip(grid.axes, grid.labels, strict=True))
    own = dict(zip(dims, _chunks_of(first), strict=True))
    lengths = dict(zip(dims, first.shape, strict=True))
    blocks = tuple((lengths.get(name, 1),) * len(steps.get(name, "-")) for name in names)
    added = tuple(i for i, name in enumerate(names) if name not in dims)
    parts = tuple(ImageFile(kind, path) for path in grid.paths)
    source = replace(
        first,
        array=Joined(parts, blocks, np.dtype(first.dtype), added),
        chunks=tuple(joined_chunks(own.get(name, (1,)), len(steps.get(name, "-"))) for name in names),
        dims=names,
        buffer_copies=2,
        name=listing.name,
    )
    others = (f"also in its folder: {', '.join(listing.others[:10])}",) if listing.others else ()
    return with_channels(replace(source, left=(*source.left, *others)), _channel_names(steps.get("c", ())))


def opened_when_read(source: Source) -> Source:
    """Return an image in one file, which is closed until it is read; others, and those in memory, as they are."""
    given = parse(source.origin.path, {})
    reader = reader_of_file(given.path) if os.path.isfile(given.path) else None
    if reader is None or isinstance(source.array, np.ndarray):
        return source
    kind = FileKind(reader, given.part, _hashable(source.origin.words), source.shape, source.dtype, member=False)
    return replace(source, array=ImageFile(kind, given.path))


def joined_chunks(chunks: Sequence[int], n: int) -> Sequence[int]:
    """Return the chunks along an axis of `n` images in a row that have these.

    >>> joined_chunks((1,), 10**6), joined_chunks((4, 2), 2)
    (Regular(length=1000000, step=1), (4, 2, 4, 2))
    """
    if n == 1:
        return chunks
    if len(chunks) == 1:
        return regular_chunks((n * chunks[0],), (chunks[0],))[0]
    return tuple(chunks) * n


def with_channels(source: Source, labels: Sequence[str]) -> Source:
    """Return a source whose channels have names, if there are any."""
    if not labels:
        return source
    omero, unshown = shown(source, {"channels": [{"label": label} for label in labels]})
    return replace(source, omero=omero, left=(*source.left, *unshown))


def named_axes(source: Source, path: str) -> Source:
    """Return a source with the axes that an image of as many dimensions has, if it does not name them.

    Raises
    ------
    ValueError
        If there is more than one possibility.
    """
    if source.dims is not None:
        return source
    if len(source.shape) not in GUESSES:
        raise ValueError(
            f"{path} has {len(source.shape)} dimensions, but does not say which axes they are; open the files yourself,"
            " and pass daskome.write_image one array"
        )
    return replace(source, dims=tuple(GUESSES[len(source.shape)]))


def _hashable(words: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in words.items())


def _first(listing: Listing, words: Mapping[str, Any]) -> Source:
    path = listing.paths[0]
    source = opened(listing.reader, Input(path, part=listing.part, words=words, member=True))
    return named_axes(source, path)


def check_axis(axis: str) -> None:
    """Raise a ValueError for an axis along which images cannot follow each other.

    Raises
    ------
    ValueError
    """
    if axis not in TYPES:
        raise ValueError(f"stack {axis!r} is no axis; give one of {', '.join(TYPES)}")


def _grid(listing: Listing, axis: str | None, first: Source) -> Grid:
    if axis is not None:
        check_axis(axis)
    if listing.pattern:
        if axis is not None:
            raise ValueError(f"the pattern {listing.pattern} says along which axes files follow; leave stack out")
        return by_pattern(listing.paths, listing.pattern)
    lengths = dict(zip(first.dims or (), first.shape, strict=True))
    chosen = axis or next((name for name in "ztc" if lengths.get(name, 1) == 1), None)
    if chosen is None:
        raise ValueError(f"{listing.paths[0]} has axes t, c and z; give stack, the axis along which it goes on")
    return by_number(listing.paths, chosen)


def _chunks_of(source: Source) -> Chunks:
    """Return the chunks of a file; what is read into memory at once is one."""
    return tuple((n,) for n in source.shape) if isinstance(source.array, np.ndarray) else source.chunks


def _channel_names(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of channels if they are names."""
    return () if all(label.isdecimal() for label in labels) else tuple(labels)
