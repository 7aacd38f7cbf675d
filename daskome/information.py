"""What is at a place, in words: the tree, the levels, the axes, the metadata."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome import storage, table
from daskome.metadata import Multiscale, ome_keys, read_multiscale

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
    """
    place = storage.locate(url, fs_options or None, read_only=True)
    group, array = storage.find_group(place), storage.find_array(place)
    if group is None and array is None:
        raise FileNotFoundError(f"{place} is neither a zarr group nor an array")
    if group is None:
        return json.dumps(array.attrs.asdict(), indent=2) if as_json and array is not None else _array_line("", array)
    found = group.attrs.asdict()
    if as_json:
        return json.dumps(found, indent=2)
    return "\n".join([*_image(place, found), *_tree(group)])


def _image(place: StorePath, found: Mapping[str, Any]) -> Iterator[str]:
    if storage.MARK in found:
        yield "UNFINISHED: this image has not been written to its end; no reader takes it for one"
    if not ome_keys(found):
        return
    image = read_multiscale(found)
    axes = ", ".join(" ".join(filter(None, (axis.name, axis.type, axis.unit))) for axis in image.axes)
    yield f"OME-Zarr {image.version} image {image.name!r}"
    yield f"axes: {axes}"
    yield f"downsampled by: {image.method or 'not said'}"
    yield table.text("levels:", HEAD, [_level(place, image, k) for k in range(len(image.datasets))])
    for channel in image.channels:
        window = ", ".join(f"{v:g}" for v in channel.window) if channel.window else "none"
        yield f"channel {channel.label!r}: #{channel.color}, window {window}"


def _level(place: StorePath, image: Multiscale, k: int) -> list[str]:
    dataset = image.datasets[k]
    array = storage.find_array(place / dataset.path)
    if array is None:
        return [dataset.path, "MISSING", *[""] * (len(HEAD) - 2)]
    return [
        dataset.path,
        table.numbers(array.shape),
        str(array.dtype),
        table.numbers(array.chunks),
        table.numbers(array.shards) if array.shards else "–",
        table.numbers(dataset.scale),
        table.numbers(dataset.translation),
        table.nbytes(array.nbytes),
        ", ".join(_codec(codec) for codec in array.compressors) or "none",
    ]


def _codec(codec: Any) -> str:
    """Return a codec as a name and its settings."""
    config = codec.to_dict() if hasattr(codec, "to_dict") else codec.get_config()
    settings = config.get("configuration", {k: v for k, v in config.items() if k != "id"})
    words = [str(settings[key]) for key in ("cname", "clevel", "level", "shuffle") if key in settings]
    return " ".join([str(config.get("name", config.get("id"))), *words])


def _tree(group: zarr.Group) -> Iterator[str]:
    yield "tree:"
    for path, node in sorted(group.members(max_depth=None), key=lambda member: member[0]):
        indent = "  " * path.count("/")
        if isinstance(node, zarr.Array):
            yield f"  {indent}{_array_line(path.rsplit('/', 1)[-1], node)}"
        else:
            yield f"  {indent}{path.rsplit('/', 1)[-1]}/"


def _array_line(name: str, array: Any) -> str:
    return f"{name} {table.numbers(array.shape)} {array.dtype}".strip()
