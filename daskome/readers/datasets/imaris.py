"""Imaris: what an ``.ims`` file, which is HDF5, says of the one channel, time point and resolution in a dataset."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskome.model.chunks import chunks_within
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.readers.described import Described, numbers
from daskome.sources.views import RegionView

IMARIS_DATA = re.compile(r"/?DataSet/ResolutionLevel \d+/TimePoint \d+/Channel (\d+)/Data")
INFO = "DataSetInfo"


@dataclass(frozen=True, slots=True)
class ImarisImage:
    """A dataset of Imaris: the shape of its image, which whole chunks go beyond, and what the file says of it."""

    shape: Shape
    said: Described

    def cropped(self, source: Source) -> Source:
        """Return a source without what is stored beyond the image."""
        dims, region = ("z", "y", "x"), tuple((0, min(n, m)) for n, m in zip(source.shape, self.shape, strict=True))
        if region == tuple((0, n) for n in source.shape):
            return replace(source, dims=dims)
        chunks = tuple(chunks_within(sizes, *span) for sizes, span in zip(source.chunks, region, strict=True))
        return replace(source, array=RegionView(source.array, region), chunks=chunks, dims=dims)


def imaris_image(file: Any, part: str) -> ImarisImage | None:
    """Return a dataset as Imaris describes it; None for one that is none of Imaris."""
    matched = IMARIS_DATA.fullmatch(part)
    if matched is None or f"{INFO}/Image" not in file:
        return None
    image, channel = file[f"{INFO}/Image"].attrs, f"{INFO}/Channel {matched[1]}"
    stored = file[part].parent.attrs
    lengths = [_number(stored, f"ImageSize{axis}") or n for axis, n in zip("ZYX", file[part].shape, strict=True)]
    shape = tuple(map(int, lengths))
    ends = {axis: (_number(image, f"ExtMin{i}"), _number(image, f"ExtMax{i}")) for i, axis in enumerate("xyz")}
    unit = imaris_text(image, "Unit") or "um"
    extents = {axis: (low, high) for axis, (low, high) in ends.items() if low is not None and high is not None}
    sizes = (
        {axis: ((high - low) / n, unit) for axis, n in zip("zyx", shape, strict=True) for low, high in [extents[axis]]}
        if len(extents) == 3
        else {}
    )
    positions = {axis: (extents[axis][0] + size / 2, unit) for axis, (size, _) in sizes.items()}
    shown = imaris_channel(file[channel].attrs) if channel in file else {}
    return ImarisImage(shape, Described(sizes, positions, [shown]))


def imaris_channel(attributes: Any) -> dict[str, Any]:
    """Return name, colour and display range of a channel."""
    color = list(numbers(dict(enumerate(imaris_text(attributes, "Color").split()))).values())
    window = list(numbers(dict(enumerate(imaris_text(attributes, "ColorRange").split()))).values())
    known = {
        "label": imaris_text(attributes, "Name"),
        "color": "".join(f"{round(255 * min(max(v, 0), 1)):02X}" for v in color) if len(color) == 3 else "",
        "window": {"start": window[0], "end": window[1]} if len(window) == 2 else {},
    }
    return {key: value for key, value in known.items() if value}


def imaris_text(attributes: Any, name: str) -> str:
    """Return an attribute, which Imaris stores as an array of single characters."""
    stored = np.ravel(attributes.get(name, ()))
    return b"".join(v if isinstance(v, bytes) else str(v).encode() for v in stored.tolist()).decode(errors="replace")


def _number(attributes: Any, name: str) -> float | None:
    try:
        return float(imaris_text(attributes, name))
    except ValueError:
        return None
