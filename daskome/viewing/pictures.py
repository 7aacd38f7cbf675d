"""A level as a picture: its channels in their colours, labels over them, and a caption with a scale bar below."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskome.ome.image_label import colored, stated_colors
from daskome.readers.units import symbol_of
from daskome.reading.images import OpenImage
from daskome.reading.levels import OpenLevel, coarsest_within
from daskome.viewing.planes import Pixels, ShownChannel, picture_axes, plane, plane_shape

MARGIN = 8
LABEL_OPACITY = 0.5
LINE = 14
"""Pixels from a line of text to the next."""
RGB = np.ndarray[Any, np.dtype[np.uint8]]


def level_picture(level: OpenLevel, channels: Sequence[ShownChannel], labels: Sequence[OpenImage], step: int) -> RGB:
    """Return every step-th voxel of a level's plane in colour; the light of channels is added, labels lie over it."""
    height, width = (-(-n // step) for n in plane_shape(level))
    light = np.zeros((height, width, 3))
    for channel in channels:
        if channel.active:
            light += _shown(plane(level, channel.k, slice(None, None, step), slice(None, None, step)), channel)
    for label in labels:
        light = _overlaid(light, label, level)
    picture: RGB = (light.clip(0, 1) * 255).round().astype(np.uint8)
    return picture


def _shown(values: Pixels, channel: ShownChannel) -> Pixels:
    """Return values as light in the colour of a channel; NaN as none."""
    low, high = channel.window
    finite = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    shown: Pixels = ((finite - low) / (high - low or 1)).clip(0, 1)[..., np.newaxis] * channel.rgb
    return shown


def _overlaid(light: Pixels, label: OpenImage, level: OpenLevel) -> Pixels:
    """Return a picture with the labels of the same place in their colours over it, where they are not background."""
    sizes = dict(zip(level.dims, level.scale, strict=True))
    wanted = {i: sizes[name] for i, name in enumerate(label.dims) if name in sizes}
    fitting = label.levels[coarsest_within([one.scale for one in label.levels], wanted)]
    rows, columns = (np.arange(n) * m // n for n, m in zip(light.shape, plane_shape(fitting), strict=False))
    step = max(min(m // n for n, m in zip(light.shape, plane_shape(fitting), strict=False)), 1)
    values = plane(fitting, 0, slice(None, None, step), slice(None, None, step))[np.ix_(rows // step, columns // step)]
    rgba = label_colors(values, label.image_label)
    opacity = rgba[..., 3:] * LABEL_OPACITY
    return light * (1 - opacity) + rgba[..., :3] * opacity


def label_colors(values: Pixels, image_label: Mapping[str, Any]) -> Pixels:
    """Return the colours of label values, from 0 to 1: those that the metadata state, and others easy to tell apart.

    >>> label_colors(np.array([[0, 1]]), {"colors": [{"label-value": 1, "rgba": [255, 0, 0, 255]}]}).tolist()
    [[[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 1.0]]]
    """
    stated = stated_colors(image_label)
    there, places = np.unique(values, return_inverse=True)
    table = [stated.get(value) or color for value, color in colored(map(int, there)).items()]
    colors: Pixels = np.array(table, dtype=np.float64).reshape(-1, 4)[places].reshape(*values.shape, 4) / 255
    return colors


def bar_length(size: float, longest: int) -> float:
    """Return the longest round length that is not longer than so many pixels of a size.

    >>> bar_length(0.5, 170), bar_length(1.0, 9), bar_length(0.25, 4)
    (50.0, 5.0, 1.0)
    """
    limit = size * longest
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(digit * power for digit in (1, 2, 5) if digit * power <= limit * (1 + 1e-9)))


def captioned(picture: RGB, lines: Sequence[str], bar: tuple[int, str] | None = None) -> RGB:
    """Return a picture on white with text below it, and a scale bar of so many pixels with its length."""
    from PIL import Image, ImageDraw

    height, width, _ = picture.shape
    drawn = Image.new(
        "RGB", (_text_width(lines, width), height + LINE * (len(lines) + 2 * (bar is not None)) + 4), "white"
    )
    drawn.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(drawn)
    for k, line in enumerate(lines):
        pen.text((0, height + 2 + LINE * k), line, fill="black")
    if bar is not None:
        top = height + 4 + LINE * len(lines)
        pen.rectangle((0, top, bar[0] - 1, top + 2), fill="black")
        pen.text((0, top + 4), bar[1], fill="black")
    return np.asarray(drawn)


def _text_width(lines: Sequence[str], width: int) -> int:
    """Return the width of a picture and of the text below it."""
    from PIL import Image, ImageDraw

    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    return max(width, *(int(pen.textlength(line)) + 1 for line in lines), 1)


def scale_bar(level: OpenLevel, step: int, width: int) -> tuple[int, str]:
    """Return the pixels and the length, in words, of a bar of a third of a picture at most."""
    _, right = picture_axes(level.axes)
    size = level.scale[right] * step
    length = bar_length(size, max(width // 3, 1))
    unit = symbol_of(level.axes[right].unit or "").replace("µ", "u")  # Pillow's own font has no µ.
    return max(round(length / size), 1), f"{length:g} {unit}".strip()


def beside(pictures: Sequence[RGB]) -> RGB:
    """Return pictures in one row, on white, their tops on one line."""
    height = max(len(picture) for picture in pictures) + 2 * MARGIN
    columns = []
    for picture in pictures:
        column = np.full((height, picture.shape[1] + 2 * MARGIN, 3), 255, np.uint8)
        column[MARGIN : MARGIN + len(picture), MARGIN:-MARGIN] = picture
        columns.append(column)
    return np.concatenate(columns, axis=1)
