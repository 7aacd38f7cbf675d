"""How viewers first show an image: display windows, measured on the coarsest level."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import zarr

from daskome import regions
from daskome.channels import Channel
from daskome.pyramid import Pyramid
from daskome.regions import Region

PERCENTILES = (0.1, 99.9)
"""What the window shows: outliers in either direction are cut."""
SAMPLE_BLOCKS = 64
"""At most so many blocks of the coarsest level are looked at, evenly spread."""


def measured(channels: Sequence[Channel], array: zarr.Array[Any], pyramid: Pyramid) -> list[Channel]:
    """Return the channels, each with a window.

    Parameters
    ----------
    channels : sequence of Channel
        Those without a window get one: min and max are the range of the dtype (of the data for floats),
        start and end are `PERCENTILES`.
    array : zarr.Array
        The coarsest level.
    pyramid : Pyramid
    """
    return [
        channel if channel.window else replace(channel, window=_window(array, pyramid, i))
        for i, channel in enumerate(channels)
    ]


def _window(array: zarr.Array[Any], pyramid: Pyramid, channel: int) -> tuple[float, float, float, float]:
    values = _sample(array, pyramid, channel)
    if not values.size:
        return (0.0, 1.0, 0.0, 1.0)
    start, end = (float(v) for v in np.percentile(values.astype(np.float64), PERCENTILES))
    if pyramid.dtype == "bool" or values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
    else:
        low, high = float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)
    return (low, high, start, end if end > start else start + 1)


def _sample(array: zarr.Array[Any], pyramid: Pyramid, channel: int) -> np.ndarray[Any, Any]:
    """Return finite values of one channel, from blocks spread evenly over the array."""
    whole: Region = tuple(
        (channel, channel + 1) if axis.type == "channel" else (0, n)
        for axis, n in zip(pyramid.axes, array.shape, strict=True)
    )
    blocks = list(regions.blocks_of(whole, pyramid.levels[-1].write_chunks))
    step = regions.ceil_div(len(blocks), SAMPLE_BLOCKS)
    values = np.concatenate([np.ravel(np.asarray(array[regions.slices(block)])) for block in blocks[::step]])
    return values[np.isfinite(values)]
