"""What is at a place, in words: the tree, the levels, the axes, the metadata."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome import storage, table
from daskome.axes import Axis
from daskome.channels import Channel
from daskome.found import Found, FoundLevel, find, layout_of
from daskome.metadata import ome_keys
from daskome.problem import Problem

HEAD = ["level", "shape", "dtype", "chunks", "shards", "scale", "translation", "bytes", "codecs"]


def describe(url: Any, fs_options: Mapping[str, Any] | None = None, as_json: bool = False) -> str:
    """Return what is at a URL: an OME-Zarr image with its levels, or any zarr hierarchy as a tree.

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
      s0     64, 50  uint8  64, 50  –       1, 1   0, 0         3.1 KiB  blosc ...
      s1     32, 25  uint8  32, 25  –       2, 2   0.5, 0.5     800 B    blosc ...
    tree:
      s0 64, 50 uint8
      s1 32, 25 uint8
    """
    place = storage.locate(url, fs_options or None, read_only=True)
    group = storage.find_group(place)
    node = storage.find_array(place) if group is None else group
    if node is None:
        raise FileNotFoundError(f"{place} is neither a zarr group nor an array")
    if as_json:
        return json.dumps(node.attrs.asdict(), indent=2)
    if isinstance(node, zarr.Array):
        return _array_line("", node)
    return "\n".join([*_image(place, node.attrs.asdict()), *_tree(node)])


def _image(place: StorePath, attributes: Mapping[str, Any]) -> Iterator[str]:
    if storage.MARK in attributes:
        yield "UNFINISHED: this image has not been written to its end; no reader takes it for one"
    elif ome_keys(attributes):
        found = find(place)
        yield from [str(found)] if isinstance(found, Problem) else _found(found)


def _found(found: Found) -> Iterator[str]:
    yield f"OME-Zarr {found.stated} image {found.multiscale.name!r}"
    yield f"axes: {', '.join(map(_axis, found.axes))}"
    yield f"downsampled by: {found.multiscale.method or 'not said'}"
    yield table.text("levels:", HEAD, [_level(level) for level in found.levels])
    yield from map(str, found.problems)
    try:
        yield from map(_channel, found.channels)
    except ValueError as error:
        yield f"omero/channels: {error}"


def _axis(axis: Axis) -> str:
    return " ".join(str(word) for word in (axis.name, axis.type, axis.unit) if word)


def _level(level: FoundLevel) -> list[str]:
    array, dataset = level.array, level.dataset
    if array is None:
        return [dataset.path, "MISSING", *[""] * (len(HEAD) - 2)]
    layout = layout_of(array)
    return [
        dataset.path,
        table.numbers(array.shape),
        str(array.dtype),
        table.numbers(layout.chunks),
        table.numbers(layout.shards) if layout.shards else "–",
        table.numbers(dataset.scale),
        table.numbers(dataset.translation),
        table.nbytes(array.nbytes),
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
    yield "tree:"
    for path, node in storage.members(group, max_depth=None):
        indent, name = "  " * path.count("/"), path.rsplit("/", 1)[-1]
        yield f"  {indent}{_array_line(name, node) if isinstance(node, zarr.Array) else f'{name}/'}"


def _array_line(name: str, array: zarr.Array[Any]) -> str:
    return f"{name} {table.numbers(array.shape)} {array.dtype}".strip()
