"""TIFF: one series of a file; pixels in one piece are mapped into memory, others are decoded by tifffile."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import local
from typing import Any

import numpy as np
import tifffile
import zarr
from zarr.core.buffer import default_buffer_prototype

from daskome.model import regions
from daskome.model.regions import Region, Shape
from daskome.model.source import Source
from daskome.readers.axes import ordered
from daskome.readers.described import described
from daskome.readers.inputs import Input, listed
from daskome.readers.tiffs.complete import check_complete, check_planes
from daskome.readers.tiffs.metadata import described_series, name_of_series, ome_xml_of
from daskome.sources.adapt import as_source
from daskome.sources.views import Reopenable

TIFF_AXES: Mapping[str, str] = {"T": "t", "C": "c", "S": "c", "Z": "z", "Y": "y", "X": "x"}
PAGE_NBYTES = 64 * 2**20
"""Up to this size, a page of strips is read whole."""


def read(input_: Input) -> Source:
    """Return the series that the input names, or the first."""
    if input_.part and not input_.part.isdecimal():
        raise ValueError(f"{input_.path}::{input_.part}: a series of a TIFF is a number, counted from 0")
    chunks = TiffChunks(input_.path, int(input_.part or 0))
    if input_.member and chunks.series.is_multifile:
        raise ValueError(
            f"{input_.path} describes an image in several files, which are read together: give that file alone"
        )
    check_complete(input_.path, chunks.file, chunks.series)
    source, names = _pixels(chunks), tiff_dims(input_.path, chunks.series.axes, chunks.series.shape)
    source = replace(ordered(source, names) if names else source, name=name_of_series(chunks.file, chunks.number))
    source = described(source, described_series(chunks.file, chunks.number, input_.whole))
    if not input_.whole:
        return source
    xml, image = ome_xml_of(chunks.file, chunks.number)
    return replace(source, ome_xml=xml, ome_image=image)


def parts(input_: Input) -> list[str]:
    """Return the numbers of the series of a file."""
    with OpenTiff(input_.path).file as file:
        return [str(number) for number in range(len(file.series))]


@contextmanager
def kept_open(input_: Input) -> Iterator[None]:
    """Let all series that this thread opens meanwhile be of one open file, which is parsed once.

    tifffile finds pages without a lock, so a file that others may be reading from is never opened for more.
    """
    _KEPT.path, _KEPT.opened = input_.path, OpenTiff(input_.path)
    try:
        yield
    finally:
        del _KEPT.path, _KEPT.opened


class OpenTiff:
    """An open file, which is closed with the last that reads from it."""

    def __init__(self, path: str) -> None:
        try:
            self.file = tifffile.TiffFile(path)
            len(self.file.series)  # It is parsed now.
        except tifffile.TiffFileError as error:
            raise ValueError(f"{path} cannot be read as TIFF: {error}") from error
        weakref.finalize(self, self.file.close)


class TiffChunks:
    """A series of a TIFF file as an array-like of tiles, or of pages where it has strips of moderate size.

    tifffile's zarr store finds and decodes chunks; they are fetched without zarr, whose one event loop would
    decode for all threads: half the time for tiles, a tenth for raw strips (measured, two threads).
    """

    def __init__(self, path: str, number: int) -> None:
        self.path, self.number, self._opened = path, number, _open(path)
        self.file = self._opened.file
        self.series = _numbered(path, self.file.series, number).levels[0]
        check_planes(path, self.file, self.series, number)
        page = self.series.keyframe
        _check_decodable(path, page)
        whole = not page.is_tiled and page.nbytes <= PAGE_NBYTES
        self._store = self.series.aszarr(level=0, chunkmode="page" if whole else None, maxworkers=1)
        self._array = zarr.open_array(self._store, mode="r")
        self.shape: Shape = self._array.shape
        self.chunks: Shape = self._array.chunks
        self.dtype = self._array.dtype

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part, by one slice per axis."""
        region = tuple(part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True))
        values = np.empty(regions.shape_of(region), self.dtype)
        for block in regions.blocks_of(region, self.chunks):
            chunk = tuple(start // size for (start, _), size in zip(block, self.chunks, strict=True))
            origin = [i * size for i, size in zip(chunk, self.chunks, strict=True)]
            values[_shifted(block, [start for start, _ in region])] = self._chunk(chunk)[_shifted(block, origin)]
        return values

    def _chunk(self, index: Shape) -> np.ndarray[Any, Any]:
        data = _fetch(self._store, self._array.metadata.encode_chunk_key(index))
        if data is None:
            return np.full(self.chunks, self._array.fill_value or 0, self.dtype)
        return np.asarray(data.as_numpy_array()).view(self.dtype).reshape(self.chunks)


_KEPT = local()


def _open(path: str) -> OpenTiff:
    """Return a file opened, or the one that this thread keeps open."""
    return _KEPT.opened if getattr(_KEPT, "path", None) == path else OpenTiff(path)


def _fetch(store: Any, key: str) -> Any:
    """Return a value of a store that never waits, as tifffile's with one worker, in this thread."""
    try:
        store.get(key, default_buffer_prototype()).send(None)
    except StopIteration as finished:
        return finished.value
    raise RuntimeError(f"tifffile {tifffile.__version__} waits for chunks; daskome knows no such version")


def _shifted(region: Region, origin: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for (a, b), o in zip(region, origin, strict=True))


def _numbered(path: str, series: Sequence[Any], number: int) -> Any:
    if number < len(series):
        return series[number]
    choices = [f"{i} {one.axes} {one.shape} {one.dtype}" for i, one in enumerate(series)]
    raise ValueError(f"{path} has no series {number}; give one of {listed(choices, 'series')}")


def _check_decodable(path: str, page: Any) -> None:
    """Raise if pages cannot be decoded; tifffile would raise only when they are read."""
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
        tifffile.TIFF.UNPREDICTORS[page.predictor]
    except KeyError as error:
        how = f"{getattr(page.compression, 'name', page.compression)} compression"
        raise ImportError(f"{path} has {how}, which tifffile cannot read alone; pip install imagecodecs") from error


def _pixels(chunks: TiffChunks) -> Source:
    """Return the pixels of a series as they are stored: mapped into memory where they lie in one piece."""
    series = chunks.series
    if series.is_multifile or series.dataoffset is None:
        return as_source(Reopenable(partial(TiffChunks, chunks.path, chunks.number), chunks, chunks.path))
    dtype = np.dtype(chunks.file.byteorder + series.dtype.char)
    source = as_source(np.memmap(chunks.path, dtype, "r", series.dataoffset, series.shape))
    if series.axes[-1] != "S":
        return source
    return Source(source.array, (*source.chunks[:-1], series.shape[-1:]))  # samples of a pixel lie together


def tiff_dims(path: str, axes: str, shape: Shape) -> tuple[str, ...] | None:
    """Return what tifffile's axes are in OME-Zarr, empty for those of length 1 that go; None if that is ambiguous.

    Samples (S) are channels. One axis without meaning (I or Q: a stack of pages) is the first of z, t, c that is
    not there; several could be anything.

    Raises
    ------
    ValueError
        If an axis has no place in OME-Zarr, or two have the same.

    Examples
    --------
    >>> tiff_dims("a.tif", "IYXS", (9, 64, 48, 3))
    ('z', 'y', 'x', 'c')
    """
    names = [TIFF_AXES.get(axis, "") for axis in axes]
    names = [name if n > 1 or names.count(name) == 1 else "" for name, n in zip(names, shape, strict=True)]
    stacks = [i for i, axis in enumerate(axes) if axis in "IQ" and shape[i] > 1]
    if len(stacks) > 1 and set(axes) <= set("IQYX"):
        return None
    for i in stacks[:1]:
        names[i] = next((name for name in "ztc" if name not in names), "")
    kept = [name for name, n in zip(names, shape, strict=True) if name or n > 1]
    if "" in kept or len(set(kept)) < len(kept):
        raise ValueError(
            f"{path} has axes {axes} of {tuple(shape)}, which are not one each of t, c, z, y, x;"
            " open it with tifffile and pass daskome.write_image the image that is meant"
        )
    return tuple(names)
