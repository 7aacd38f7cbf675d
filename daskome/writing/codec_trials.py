"""Compare compressors on an image: a few of its chunks are compressed with each."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from dask.local import get_sync

from daskome.model import regions
from daskome.model.regions import Region, Shape
from daskome.model.source import Source
from daskome.model.storage.codecs import parse_codec
from daskome.model.storage.level_options import LevelOptions
from daskome.model.text import format_html_table, format_numbers, format_table, pluralize
from daskome.model.types import AxesLike, ChunksLike, FormatLike, ImageLike
from daskome.ome.versions import DEFAULT_VERSION, find_version
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.sources.adapt import as_source
from daskome.sources.pieces import source_piece
from daskome.sources.views import check_has_pixels
from daskome.stores.arrays import chunk_nbytes, one_chunk
from daskome.stores.objects import sync_codecs
from daskome.writing.description import ImageOptions

COMPRESSORS = (
    "none", "blosc:lz4:5:shuffle", "blosc:lz4:5:bitshuffle", "blosc:zstd:1:shuffle", "blosc:zstd:1:bitshuffle",
    "blosc:zstd:3:bitshuffle", "blosc:zstd:5:bitshuffle", "zstd:1", "zstd:3", "gzip:5",
)  # fmt: skip
"""Compressors that are tried by default: those that readers of OME-Zarr know."""
CHUNKS = 5
"""Number of chunks of an image that are tried."""
ROUNDS = 3
"""How many times each chunk is compressed and decompressed; the fastest counts, since the machine may be shared."""


@dataclass(frozen=True, slots=True)
class CodecTrial:
    """Ratio and speeds of one compressor on the chunks of an image.

    Attributes
    ----------
    compressor : str
        Its short name.
    ratio : float
        Bytes of pixels per byte stored.
    encode, decode : float
        Bytes of pixels per second, of one thread.
    """

    compressor: str
    ratio: float
    encode: float
    decode: float


@dataclass(frozen=True, slots=True, repr=False)
class CodecTrials:
    """Ratios and speeds of compressors on an image; a table when printed.

    Attributes
    ----------
    trials : tuple of CodecTrial
    chunks : tuple of int
        The shape of the chunks that were tried.
    n : int
        Their number.
    dtype : str
    """

    trials: tuple[CodecTrial, ...]
    chunks: Shape
    n: int
    dtype: str

    def __repr__(self) -> str:
        return format_table(self._title(), TRIAL_HEAD, self._rows())

    def _repr_html_(self) -> str:
        return format_html_table(self._title(), TRIAL_HEAD, self._rows())

    def _title(self) -> str:
        return f"{pluralize(self.n, 'chunk')} of {format_numbers(self.chunks)} {self.dtype}; one thread"

    def _rows(self) -> list[list[str]]:
        return [
            [one.compressor, f"{one.ratio:.2f}", *(f"{speed / 1e6:,.0f}" for speed in (one.encode, one.decode))]
            for one in self.trials
        ]


TRIAL_HEAD = ["compressor", "ratio", "encode MB/s", "decode MB/s"]


def try_codecs(
    image: ImageLike,
    compressors: Sequence[str] = COMPRESSORS,
    *,
    axes: AxesLike | None = None,
    chunks: ChunksLike | None = None,
    fmt: FormatLike | None = None,
) -> CodecTrials:
    """Compress some chunks of an image with each compressor, and return ratios and speeds.

    Parameters
    ----------
    image : array-like
        As for `write_image`.
    compressors : sequence of str
        Short names, which storage options take too: ``none``, ``zstd:3``, ``gzip:5``, ``blosc:lz4:5:bitshuffle``.
    axes, fmt
        As in `write_image`.
    chunks : int, sequence or dict, optional
        As in the ``storage_options`` of `write_image`; by default those that `write_image` would choose.

    Returns
    -------
    CodecTrials
        A table when printed. Chunks are spread evenly over the image; speeds are those of one thread of this machine.

    Raises
    ------
    ValueError
        If a compressor is not known, and as `plan_image` raises.
    TypeError
        If the image is only described (`Volume`).

    Examples
    --------
    >>> import numpy as np
    >>> from daskome import try_codecs
    >>> table = try_codecs(np.arange(64**3, dtype="uint16").reshape(64, 64, 64), ["none", "zstd:1"])
    >>> [trial.compressor for trial in table.trials], table.trials[0].ratio, table.trials[1].ratio > 2
    (['none', 'zstd:1'], 1.0, True)
    """
    source, version = as_source(image), DEFAULT_VERSION if fmt is None else find_version(fmt)
    check_has_pixels(source)
    plan, _ = ImageOptions(axes=axes, storage_options=LevelOptions(({"chunks": chunks},))).plan(
        source, version, PlanOptions()
    )
    stored_as = version.arrays
    codecs = {name: parse_codec(name, stored_as) for name in compressors}
    blocks = list(_blocks(plan, source))
    with ThreadPoolExecutor(1) as thread:  # Blosc uses threads of its own where the main thread calls it.
        form: Literal[2, 3] = 2 if stored_as.zarr_format == 2 else 3
        trials = [thread.submit(_tried, name, one, blocks, form).result() for name, one in codecs.items()]
    return CodecTrials(tuple(trials), blocks[0].shape, len(blocks), str(blocks[0].dtype))


def _blocks(plan: Plan, source: Source) -> Iterator[np.ndarray[Any, Any]]:
    """Yield some chunks of an image, spread evenly."""
    chunks = plan.pyramids[0].levels[0].layout.chunks[-len(source.shape) :]
    grid = regions.n_blocks(source.shape, chunks)
    indices = dict.fromkeys(tuple(_spread(i, n, axis) for axis, n in enumerate(grid)) for i in range(CHUNKS))
    for index in indices:
        region: Region = regions.block(index, chunks, source.shape)
        yield np.ascontiguousarray(source_piece(source, region, chunks).compute(scheduler=get_sync))


def _spread(i: int, n: int, axis: int) -> int:
    """Return the i-th of `CHUNKS` indices along an axis of n, chosen so that they differ along all axes."""
    return int((i * (axis + 1) % CHUNKS + 0.5) / CHUNKS * n)


def _tried(
    name: str, compressor: Any, blocks: Sequence[np.ndarray[Any, Any]], zarr_format: Literal[2, 3]
) -> CodecTrial:
    """Return ratio and speeds of a compressor on blocks."""
    stored, encode, decode = 0, 0.0, 0.0
    for block in blocks:
        array, everything = one_chunk(block, compressor, zarr_format), (slice(None),) * block.ndim
        encode += _fastest(partial(sync_codecs.write, array, everything, block))
        decode += _fastest(partial(sync_codecs.read, array, everything))
        stored += chunk_nbytes(array)
    nbytes = sum(block.nbytes for block in blocks)
    return CodecTrial(name, nbytes / stored, nbytes / encode, nbytes / decode)


def _fastest(call: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of `ROUNDS` calls."""
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
