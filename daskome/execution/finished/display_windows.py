"""Display windows of channels, measured on the coarsest level once it has been written."""

from dataclasses import replace
from threading import BoundedSemaphore
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from daskome.model import regions
from daskome.model.axes import channel_axis
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region
from daskome.ome.omero import Omero
from daskome.stores.arrays import open_levels
from daskome.stores.objects import sync_codecs

PERCENTILES = (0.1, 99.9)
"""What a window shows: outliers at both ends are cut off."""
MEASURING = BoundedSemaphore(2)
"""How many images are sampled at a time: a sample is held in memory."""
SAMPLE_BLOCKS = 64
"""How many blocks of the coarsest level are read at most, evenly spread."""


def with_windows(place: StorePath, omero: Omero, pyramid: Pyramid, first: int = 0) -> Omero:
    """Return what is said of channels, each with a window.

    Parameters
    ----------
    place : StorePath
        Of the image.
    omero : Omero
        Channels without a window get one: min and max are the range of the dtype (of the data for floats), start and
        end are `PERCENTILES`.
    pyramid : Pyramid
    first : int
        The number of the first of the channels.
    """
    with MEASURING:
        (coarsest,) = open_levels(place, pyramid.levels[-1:])
        channels = (
            channel if channel.window else replace(channel, window=_window(coarsest, pyramid, i))
            for i, channel in enumerate(omero.channels or (), start=first)
        )
        return replace(omero, channels=tuple(channels))


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
    """Return finite values of a channel, from blocks spread evenly over the array."""
    of_channels = channel_axis(pyramid.axes)
    region: Region = tuple((channel, channel + 1) if i == of_channels else (0, n) for i, n in enumerate(array.shape))
    blocks = list(regions.blocks_of(region, pyramid.levels[-1].write_chunks))
    sample = (blocks[i] for i in regions.spread(len(blocks), SAMPLE_BLOCKS))
    values = np.concatenate([np.ravel(sync_codecs.read(array, regions.slices(block))) for block in sample])
    return values[np.isfinite(values)]
