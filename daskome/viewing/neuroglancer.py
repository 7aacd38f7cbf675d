"""An image as Neuroglancer shows it: a link that holds layers, axes, units and ranges, and a description that it reads.

Neuroglancer reads the metadata of OME-Zarr 0.4 and 0.5, takes only units that it knows, and shows nothing at all where
one of these does not fit. So it is told of every image in these two versions, whatever the store holds.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from urllib.parse import quote

from daskome.model.axes import Axis, channel_axis
from daskome.model.json_values import JSONDict
from daskome.ome.image_label import stated_colors
from daskome.ome.metadata import DEFAULT_SYSTEM, CoordinateSystem, Dataset, Metadata, Multiscale
from daskome.ome.versions import VERSIONS
from daskome.ome.write import to_attributes
from daskome.readers.units import converted, known_unit
from daskome.reading.images import OpenImage
from daskome.reading.levels import OpenLevel
from daskome.viewing.planes import ShownChannel, picture_axes

NEUROGLANCER = "https://neuroglancer-demo.appspot.com"
"""The client that its authors run. It is a page without a server: what it shows never goes there."""
NEUROGLANCER_DTYPES = "uint8 int8 uint16 int16 uint32 int32 uint64 float32".split()
READS = {2: ("0.4", ".zattrs"), 3: ("0.5", "zarr.json")}
"""By zarr format: the version that it reads, and the document that holds the attributes."""
BASE_UNITS = {"space": ("meter", "m"), "time": ("second", "s")}
"""By type of an axis: the unit that Neuroglancer counts in, and what it calls it."""
PANEL = 400
"""Pixels across a panel of the window, which the image is to fill."""
COLORS_LINKED = 256
"""Of a label image: a link holds no more."""
SHADER = """#uicontrol invlerp normalized
#uicontrol vec3 color color
void main() { emitRGB(color * normalized()); }
"""


def check_neuroglancer(image: OpenImage) -> None:
    """Raise a ValueError for pixels that Neuroglancer cannot show."""
    name = str(image.dtype.newbyteorder("="))
    if name not in NEUROGLANCER_DTYPES:
        raise ValueError(
            f"Neuroglancer cannot show {name}, only {', '.join(NEUROGLANCER_DTYPES)}; use --napari, or daskome preview"
        )


def description(image: OpenImage, path: str = "") -> tuple[str, str]:
    """Return the path and the text of the document that tells Neuroglancer of an image at a path below the root."""
    version, name = READS[image.zarr_format]
    axes = tuple(replace(axis, unit=_unit(axis) or None, rest={}, orientation=None) for axis in image.axes)
    datasets = tuple(Dataset(level.path, *_placed(level)) for level in image.levels)
    multiscale = Multiscale(datasets, (CoordinateSystem(DEFAULT_SYSTEM, axes),), image.name)
    attributes = to_attributes(VERSIONS[version], Metadata((multiscale,)))
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return f"{path}/{name}".lstrip("/"), json.dumps(group if image.zarr_format == 3 else attributes)


def link(url: str, image: OpenImage, channels: Sequence[ShownChannel], labels: Mapping[str, OpenImage]) -> str:
    """Return the link that shows an image whose store is served at a URL.

    Parameters
    ----------
    url : str
    image : OpenImage
    channels : sequence of ShownChannel
        Each is a layer of its own, which adds its light.
    labels : dict of str to OpenImage
        By path below the image.
    """
    state = neuroglancer_state(url, image, channels, labels)
    return f"{NEUROGLANCER}/#!{quote(json.dumps(state, separators=(',', ':')), safe='')}"


def neuroglancer_state(
    url: str, image: OpenImage, channels: Sequence[ShownChannel], labels: Mapping[str, OpenImage]
) -> JSONDict:
    """Return what a link holds, as an object of JSON."""
    finest = image.levels[0]
    shown = list(_shown_axes(finest))
    down, right = picture_axes(finest.axes)
    smallest = min(_extent(finest, i, 1) for i in (down, right))
    across = max(_extent(finest, i, finest.shape[i]) for i in (down, right)) / smallest
    deep = any(axis.spatial and n > 1 and i not in (down, right) for i, (axis, n) in enumerate(_pairs(finest)))
    return {
        "dimensions": {finest.axes[i].name: list(_dimension(finest, i)) for i in shown},
        "position": [_position(finest, i) for i in shown],
        "crossSectionScale": across / PANEL,
        "projectionScale": across * 1.5,
        "layers": [*_image_layers(url, image, channels), *(_label_layer(url, *item) for item in labels.items())],
        "layout": "4panel" if deep else "xy",
        "showAxisLines": False,
    }


def _image_layers(url: str, image: OpenImage, channels: Sequence[ShownChannel]) -> Iterator[JSONDict]:
    """Yield a layer for each channel; of an image without an axis of channels, there is one."""
    of_channels = channel_axis(image.axes)
    axis = None if of_channels is None else image.axes[of_channels].name
    for channel in channels:
        place = {} if axis is None else {"localDimensions": {f"{axis}'": [1, ""]}, "localPosition": [channel.k]}
        yield {
            "type": "image",
            "name": channel.name,
            "source": _source(url, image),
            **place,
            "blend": "additive",
            "opacity": 1,
            "shader": SHADER,
            "shaderControls": {"normalized": {"range": list(channel.window)}, "color": f"#{channel.color.lower()}"},
            "visible": channel.active,
        }


def _label_layer(url: str, path: str, labels: OpenImage) -> JSONDict:
    colors = islice(stated_colors(labels.image_label).items(), COLORS_LINKED)
    layer = {"type": "segmentation", "name": path.rpartition("/")[2], "source": _source(f"{url}/{path}", labels)}
    given = {str(value): f"#{bytes(rgba[:3]).hex()}" for value, rgba in colors if value != 0}
    return {**layer, "segments": [], "segmentColors": given} if given else {**layer, "segments": []}


def _source(url: str, image: OpenImage) -> str:
    return f"zarr{image.zarr_format}://{url}/"


def _unit(axis: Axis) -> str:
    return known_unit(axis.name, axis.unit) if axis.type in BASE_UNITS else ""


def _placed(level: OpenLevel) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation; channels are counted."""
    counted = [i == channel_axis(level.axes) for i in range(len(level.axes))]
    scale = tuple(1.0 if c else size for c, size in zip(counted, level.scale, strict=True))
    return scale, tuple(0.0 if c else start for c, start in zip(counted, level.translation, strict=True))


def _pairs(level: OpenLevel) -> Iterator[tuple[Axis, int]]:
    return zip(level.axes, level.shape, strict=True)


def _shown_axes(level: OpenLevel) -> Iterator[int]:
    """Yield the axes but channels: to the right, down, into the depth, and all others."""
    down, right = picture_axes(level.axes)
    yield from (right, down)
    rest = [i for i in range(len(level.axes)) if i not in (down, right, channel_axis(level.axes))]
    yield from sorted(rest, key=lambda i: not level.axes[i].spatial)


def _dimension(level: OpenLevel, i: int) -> tuple[float, str]:
    """Return the size of a voxel along an axis in the unit that Neuroglancer counts in."""
    axis = level.axes[i]
    unit = _unit(axis)
    if not unit:
        return level.scale[i], ""
    base, symbol = BASE_UNITS[str(axis.type)]
    return level.scale[i] * converted(1.0, unit, base), symbol


def _extent(level: OpenLevel, i: int, n: int) -> float:
    return n * _dimension(level, i)[0]


def _position(level: OpenLevel, i: int) -> float:
    """Return the middle of an axis of space, or the first voxel of another, in voxels of its dimension."""
    k = level.shape[i] // 2 if level.axes[i].spatial else 0
    return level.translation[i] / level.scale[i] + k
