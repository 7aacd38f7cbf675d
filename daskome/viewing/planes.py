"""Planes of images, and what is shown of their values: which channels, in which colours, between which limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskome.model.axes import Axis, channel_axis
from daskome.ome.omero import COLORS, n_channels
from daskome.reading.images import OpenImage
from daskome.reading.levels import OpenLevel
from daskome.stores.objects.sync_codecs import read

WINDOW_EDGE = 2048
"""Limits of values are measured in a square of so many voxels at most, in the middle of the coarsest plane."""
WINDOW_PERCENTILES = (0.5, 99.5)
Pixels = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class ShownChannel:
    """How a channel is shown.

    Attributes
    ----------
    k : int
        Its index.
    name : str
    color : str
        Six hexadecimal digits, RRGGBB.
    window : tuple of float
        What is shown black, and what in full colour.
    active : bool
        Whether it is shown at first.
    """

    k: int
    name: str
    color: str
    window: tuple[float, float]
    active: bool = True

    @property
    def rgb(self) -> Pixels:
        """The colour as three numbers from 0 to 1."""
        return np.frombuffer(bytes.fromhex(self.color), np.uint8) / 255


def picture_axes(axes: Sequence[Axis]) -> tuple[int, int]:
    """Return the axes that go down and to the right in a picture: y and x, or else the last two of space.

    >>> from daskome.model.axes import parse_axes
    >>> picture_axes(parse_axes("tczyx", 5)), picture_axes(parse_axes("xyz", 3)), picture_axes(parse_axes("tx", 2))
    ((3, 4), (1, 0), (0, 1))

    Raises
    ------
    ValueError
        If there is only one axis.
    """
    if len(axes) < 2:
        raise ValueError(f"axis {axes[0].name!r} alone is no picture; a picture has two axes")
    spatial = [i for i, axis in enumerate(axes) if axis.spatial]
    named = {axes[i].name: i for i in spatial}
    if {"y", "x"} <= named.keys():
        return named["y"], named["x"]
    down, right = spatial[-2:] if len(spatial) > 1 else (len(axes) - 2, len(axes) - 1)
    return down, right


def plane_shape(level: OpenLevel) -> tuple[int, int]:
    """Return the height and width of a level's plane."""
    down, right = picture_axes(level.axes)
    return level.shape[down], level.shape[right]


def plane(level: OpenLevel, channel: int, down: slice = slice(None), right: slice = slice(None)) -> Pixels:
    """Return a channel of a level: in the middle along axes of space, and the first elsewhere."""
    pair = picture_axes(level.axes)
    inside = dict(zip(pair, (down, right), strict=True))
    first = {i: n // 2 if level.axes[i].spatial else 0 for i, n in enumerate(level.shape) if i not in inside}
    first |= {i: channel for i in first if i == channel_axis(level.axes)}
    spans = tuple(inside[i] if i in inside else slice(first[i], first[i] + 1) for i in range(len(level.axes)))
    whole = np.asarray(read(level.array, spans))
    values = whole.reshape([n for i, n in enumerate(whole.shape) if i in inside])
    return values if pair[0] < pair[1] else values.T


def shown_channels(image: OpenImage) -> list[ShownChannel]:
    """Return how the channels of an image are shown: as its metadata say, and as its values suggest elsewhere."""
    n = n_channels(image.axes, image.level.shape)
    channels = image.channels or (None,) * n
    colors = COLORS[n > 1]
    return [
        ShownChannel(
            k,
            (channel and channel.label) or (f"channel {k}" if n > 1 else image.name or "image"),
            _color(channel.color if channel else None, colors[k % len(colors)]),
            channel.window[2:] if channel and channel.window else measured_window(image.levels[-1], k),
            k < len(colors) if channel is None else channel.active is not False,
        )
        for k, channel in enumerate(channels)
    ]


def measured_window(level: OpenLevel, channel: int) -> tuple[float, float]:
    """Return the percentiles of what is in the middle of a channel's plane; they differ even where its values do not.

    NaN and infinities do not count.
    """
    values = plane(level, channel, *(_middle(n) for n in plane_shape(level)))
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = map(float, np.percentile(finite, WINDOW_PERCENTILES)) if finite.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1)


def _middle(n: int) -> slice:
    start = max(n - WINDOW_EDGE, 0) // 2
    return slice(start, start + WINDOW_EDGE)


def _color(stated: str | None, default: str) -> str:
    """Return six hexadecimal digits, whatever the metadata hold."""
    text = (stated or "").lstrip("#")[:6]
    return text if len(text) == 6 and set(text) <= set("0123456789abcdefABCDEF") else default
