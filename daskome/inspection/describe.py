"""What is at a place, in words: the tree, the levels, the axes, the metadata."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome.inspection.hierarchy import Node, nodes
from daskome.inspection.stored_image import StoredImage, StoredLevel, layout_of, read_stored_image
from daskome.model.problem import Problem
from daskome.model.text import format_nbytes, format_numbers, format_table, pluralize
from daskome.ome.detect import ome_keys, version_in
from daskome.ome.image_label import LABELS
from daskome.ome.metadata import TRANSFORMS, CoordinateSystem
from daskome.ome.omero import Channel
from daskome.stores.groups import UNFINISHED_KEY, find_array, find_group, list_members, no_group
from daskome.stores.location import locate
from daskome.stores.remembered import remembered_to_read

INFO_HEAD = ["level", "shape", "dtype", "chunks", "shards", "scale", "translation", "bytes", "codecs"]
COLORS_SHOWN = 12
"""Of the colours of a label image."""
TROUBLES_SHOWN = 12
"""Of the groups that are missing, or unfinished."""
BRANCHES_SHOWN, LINES_SHOWN = 12, 40
"""Of the tree: nodes in one group, and lines in all; plates have thousands."""


def describe(url: Any, fs_options: Mapping[str, Any] | None = None, as_json: bool = False) -> str:
    """Return what is at a URL: an OME-Zarr image, labels, plate or well, or any zarr hierarchy as a tree.

    Parameters
    ----------
    url : str, path, zarr.Group or zarr store
    fs_options : dict, optional
        For the file system of a URL.
    as_json : bool
        The attributes as they are stored, instead of words.

    Raises
    ------
    FileNotFoundError
        If there is neither a group nor an array.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 50), "uint8"), store, [2], "brain", axes="yx")
    >>> print(describe(store))
    OME-Zarr 0.5 image 'brain'
    axes: y space, x space
    downsampled by: mean
    levels:
      level  shape   dtype  chunks  shards  scale  translation  bytes    codecs
      s0     64, 50  uint8  64, 50  –       1, 1   0, 0         3.1 KiB  zstd ...
      s1     32, 25  uint8  32, 25  –       2, 2   0.5, 0.5     800 B    zstd ...
    tree:
      s0 64, 50 uint8
      s1 32, 25 uint8
    """
    store_path = remembered_to_read(locate(url, fs_options or None, read_only=True))
    group = find_group(store_path)
    node = find_array(store_path) if group is None else group
    if node is None:
        raise FileNotFoundError(f"{no_group(store_path)}, and no array")
    if as_json:
        return json.dumps(node.attrs.asdict(), indent=2)
    if isinstance(node, zarr.Array):
        return _array_line("", node)
    return "\n".join([*_said(store_path, node.attrs.asdict()), *_tree(node)])


def _said(store_path: StorePath, attributes: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the metadata of a group and of those below it say, in words."""
    if UNFINISHED_KEY in attributes:
        yield "UNFINISHED: this image was not written completely; readers do not see it"
        return
    if not ome_keys(attributes):
        return
    x_ = list(nodes(store_path))
    for kind in x_[0].kinds:
        yield from WORDS[kind](x_)
    troubles = [f"{trouble}: {node.path}" for node in x_[1:] if (trouble := _trouble(node))]
    yield from troubles[:TROUBLES_SHOWN]
    if len(troubles) > TROUBLES_SHOWN:
        yield f"and {len(troubles) - TROUBLES_SHOWN:,} more that are missing or unfinished"


def _trouble(node: Node) -> str:
    if node.attributes is None:
        return "MISSING" if node.trouble.startswith("there is no") else f"UNREADABLE ({node.trouble})"
    return "UNFINISHED" if UNFINISHED_KEY in node.attributes else ""


Nodes = Sequence[Node]


def _image(nodes_below: Nodes) -> Iterator[str]:
    image = read_stored_image(nodes_below[0].store_path)
    yield from [str(image)] if isinstance(image, Problem) else _image_lines(image)
    names = [node.path.removeprefix(f"{LABELS}/") for node in nodes_below if node.role == "label"]
    if names:
        yield f"labels: {', '.join(names)}"


def _labels(nodes_below: Nodes) -> Iterator[str]:
    names = [node.path for node in nodes_below if node.role == "label"]
    yield f"OME-Zarr {_version(nodes_below)} labels: {', '.join(names) or 'none'}"


def _plate(nodes_below: Nodes) -> Iterator[str]:
    plate = _object(nodes_below[0].ome, "plate")
    wells, fields = ([node for node in nodes_below if node.role == role] for role in ("well", "image"))
    counts = [
        *(pluralize(len(_list(plate, key)), key.removesuffix("s")) for key in ("rows", "columns")),
        pluralize(len(wells), "well"),
        pluralize(len(fields), "field"),
        pluralize(len(_list(plate, "acquisitions")), "acquisition"),
    ]
    yield f"OME-Zarr {_version(nodes_below)} plate {plate.get('name')!r}: {', '.join(counts)}"
    yield from _acquisitions(plate)
    yield from _first(fields)


def _acquisitions(plate: Mapping[str, Any]) -> Iterator[str]:
    for item in _list(plate, "acquisitions"):
        if isinstance(item, Mapping):
            yield f"acquisition {item.get('id')}: {item.get('name') or 'no name'}"


def _well(nodes_below: Nodes) -> Iterator[str]:
    images = [node for node in nodes_below if node.role == "image"]
    listed = [item for item in _list(_object(nodes_below[0].ome, "well"), "images") if isinstance(item, Mapping)]
    acquisitions = {repr(item["acquisition"]) for item in listed if "acquisition" in item}
    of = f" of {pluralize(len(acquisitions), 'acquisition')}" if acquisitions else ""
    yield f"OME-Zarr {_version(nodes_below)} well: {pluralize(len(images), 'field')}{of}"
    yield from _first(images)


def _layout(nodes_below: Nodes) -> Iterator[str]:
    images = [node for node in nodes_below if node.role == "image"]
    yield f"OME-Zarr {_version(nodes_below)} bioformats2raw layout: {pluralize(len(images), 'image')}"
    yield from _first(images) if "plate" not in nodes_below[0].kinds else ()


def _scene(nodes_below: Nodes) -> Iterator[str]:
    scene = _object(nodes_below[0].ome, "scene")
    images = [node for node in nodes_below if node.role == "image"]
    links = pluralize(len(_list(scene, TRANSFORMS)), "transformation")
    yield f"OME-Zarr {_version(nodes_below)} scene: {pluralize(len(images), 'image')}, {links} between them"
    yield from _first(images)


def _first(images: Nodes) -> Iterator[str]:
    """Yield what the first of many images is."""
    image = next((read_stored_image(node.store_path) for node in images if "image" in node.kinds), None)
    if isinstance(image, StoredImage):
        sizes = [f"{format_numbers(array.shape)} {array.dtype}" for _, array in image.stored[:1]]
        levels = pluralize(len(image.levels), "level")
        yield f"first image: {', '.join([*sizes, levels])}; axes: {', '.join(map(str, image.axes))}"


def _label(nodes_below: Nodes) -> Iterator[str]:
    """Yield what an ``image-label`` says of its values."""
    label = _object(nodes_below[0].ome, "image-label")
    colors, properties = ([i for i in _list(label, key) if isinstance(i, Mapping)] for key in ("colors", "properties"))
    source = _object(label, "source").get("image", "../../")
    yield f"label image of {source}: {pluralize(len(colors), 'colour')}, properties of {len(properties):,} values"
    rows = [f"{item.get('label-value')} {_rgba(item.get('rgba'))}" for item in colors[:COLORS_SHOWN]]
    if rows:
        more = f", and {len(colors) - COLORS_SHOWN:,} more" if len(colors) > COLORS_SHOWN else ""
        yield f"colours: {', '.join(rows)}{more}"


def _rgba(rgba: Any) -> str:
    """Return a colour as eight hexadecimal digits.

    >>> _rgba([255, 0, 16, 255]), _rgba(None)
    ('#FF0010FF', 'none')
    """
    fits = isinstance(rgba, list) and all(isinstance(v, int) and 0 <= v < 256 for v in rgba)
    return "#" + "".join(f"{v:02X}" for v in rgba) if fits else "none"


def _version(nodes_below: Nodes) -> str:
    """Return the version that the first group to state one states."""
    stated = (version_in(node.attributes or {}) for node in nodes_below)
    return next((version for version in stated if version), "of an unknown version")


def _object(ome: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the object under a key, an empty one if it is missing."""
    value = ome.get(key)
    return value if isinstance(value, Mapping) else {}


def _list(value: Mapping[str, Any], key: str) -> list[Any]:
    items = value.get(key)
    return items if isinstance(items, list) else []


WORDS: Mapping[str, Callable[[Nodes], Iterator[str]]] = {
    "image": _image,
    "image-label": _label,
    "labels": _labels,
    "plate": _plate,
    "well": _well,
    "bioformats2raw": _layout,
    "scene": _scene,
}
"""What to say of each kind of group."""


def _image_lines(image: StoredImage) -> Iterator[str]:
    yield f"OME-Zarr {image.stated} image {image.multiscale.name!r}"
    yield f"axes: {', '.join(map(str, image.axes))}"
    yield from (_system(system) for system in image.multiscale.systems if system is not image.multiscale.system)
    yield f"downsampled by: {image.multiscale.method or 'not stated'}"
    yield format_table("levels:", INFO_HEAD, [_level(level) for level in image.levels])
    yield from map(str, image.problems)
    try:
        yield from map(_channel, image.channels)
    except ValueError as error:
        yield f"omero/channels: {error}"


def _system(system: CoordinateSystem) -> str:
    return f"coordinate system {system.name!r}: {', '.join(map(str, system.axes))}"


def _level(level: StoredLevel) -> list[str]:
    array, dataset = level.array, level.dataset
    if array is None:
        return [dataset.path, "MISSING", *[""] * (len(INFO_HEAD) - 2)]
    layout = layout_of(array)
    return [
        dataset.path,
        format_numbers(array.shape),
        str(array.dtype),
        format_numbers(layout.chunks),
        format_numbers(layout.shards) if layout.shards else "–",
        format_numbers(dataset.scale),
        format_numbers(dataset.translation),
        format_nbytes(array.nbytes),
        ", ".join(map(_codec, layout.options["compressors"])) or "none",
    ]


def _codec(config: Mapping[str, Any]) -> str:
    """Return a codec as a name and its settings."""
    settings = config.get("configuration", config)
    words = [str(settings[key]) for key in ("cname", "clevel", "level", "shuffle") if key in settings]
    return " ".join([str(config.get("name", config.get("id"))), *words])


def _channel(channel: Channel) -> str:
    window = ", ".join(f"{v:g}" for v in channel.window) if channel.window else "none"
    return f"channel {channel.label!r}: #{channel.color}, window {window}"


def _tree(group: zarr.Group) -> Iterator[str]:
    """Yield the first lines of the tree; what they do not show is not even looked at."""
    yield "tree:"
    lines = _branches(group, "  ")
    yield from islice(lines, LINES_SHOWN)
    if next(lines, None) is not None:
        yield f"  … and more; here are the first {LINES_SHOWN} lines"


def _branches(group: zarr.Group, indent: str) -> Iterator[str]:
    members = list_members(group)
    for name, node in members[:BRANCHES_SHOWN]:
        if isinstance(node, zarr.Array):
            yield f"{indent}{_array_line(name, node)}"
        else:
            yield f"{indent}{name}/"
            yield from _branches(node, f"{indent}  ")
    if len(members) > BRANCHES_SHOWN:
        yield f"{indent}… and {len(members) - BRANCHES_SHOWN:,} more"


def _array_line(name: str, array: zarr.Array[Any]) -> str:
    return f"{name} {format_numbers(array.shape)} {array.dtype}".strip()
