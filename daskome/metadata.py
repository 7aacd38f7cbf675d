"""OME-Zarr metadata: one row of `VERSIONS` per version, pure functions from a pyramid to attributes, and back.

Nothing here sees a store; no other module compares versions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daskome._version import __version__
from daskome.axes import TYPES, Axis, reject_unknown
from daskome.layout import ZARR_V2, ZARR_V3, ArrayFormat
from daskome.pyramid import DTYPES, Level, Pyramid

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """A row of `VERSIONS`: where one version of OME-Zarr differs from the others.

    Attributes
    ----------
    name : str
        As it stands in the metadata.
    arrays : ArrayFormat
        The zarr format, and how chunks are named.
    root : str or None
        The attribute under which everything stands; None for the top level.
    multiscale_has_version : bool
        Whether the version stands in each multiscale, or once under `root`.
    check_axes : callable
        Raises a ValueError for axes that the version does not allow.
    axes : callable
        The axes as the entries of a multiscale.
    transforms : callable
        A level as its ``coordinateTransformations``.
    """

    name: str
    arrays: ArrayFormat
    root: str | None
    multiscale_has_version: bool
    check_axes: Callable[[Sequence[Axis]], None]
    axes: Callable[[Sequence[Axis]], JSON]
    transforms: Callable[[Level], list[JSON]]


@dataclass(frozen=True, slots=True)
class Channel:
    """How viewers first show a channel: the ``omero`` object of the specification.

    Attributes
    ----------
    label : str
    color : str
        Six hexadecimal digits, RRGGBB.
    window : tuple of four floats, optional
        min, max, start, end; None: measured on the coarsest level when it has been written.
    active : bool
    """

    label: str
    color: str = "FFFFFF"
    window: tuple[float, float, float, float] | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Dataset:
    """One level as the metadata know it."""

    path: str
    scale: tuple[float, ...]
    translation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One multiscale image as the metadata know it, whatever their version."""

    version: str
    name: str
    axes: tuple[Axis, ...]
    method: str | None
    datasets: tuple[Dataset, ...]
    channels: tuple[Channel, ...] = ()


def image_attributes(version: Version, pyramid: Pyramid, channels: Sequence[Channel] = ()) -> JSON:
    """Return the attributes of the group of an image, to be merged into those it has.

    Parameters
    ----------
    version : Version
        A row of `VERSIONS`.
    pyramid : Pyramid
    channels : sequence of Channel
        All with windows; none for no ``omero``.
    """
    multiscale: JSON = {"version": version.name} if version.multiscale_has_version else {}
    multiscale |= {"name": pyramid.name, "type": pyramid.method.name, "metadata": _how(pyramid)}
    multiscale |= version.axes(pyramid.axes)
    multiscale["datasets"] = [
        {"path": level.path, "coordinateTransformations": version.transforms(level)} for level in pyramid.levels
    ]
    attributes: JSON = {"multiscales": [multiscale]}
    if channels:
        attributes["omero"] = _omero(version, pyramid, channels)
    if version.root is None:
        return attributes
    return {version.root: {"version": version.name, **attributes}}


def ome_keys(attributes: Mapping[str, Any]) -> list[str]:
    """Return the top-level attributes that say a group is an OME-Zarr image."""
    return [key for key in ("ome", "multiscales", "omero") if key in attributes]


def read_multiscale(attributes: Mapping[str, Any]) -> Multiscale:
    """Return the first multiscale image that a group's attributes describe.

    Raises
    ------
    ValueError
        If they describe none, or in a form that can't be read.
    """
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, Mapping) or not ome.get("multiscales"):
        raise ValueError("the group has no multiscales metadata: it is no OME-Zarr image, or an unfinished one")
    version = str(ome.get("version") or "")
    try:
        found = ome["multiscales"][0]
        version = version or str(found.get("version") or "0.4")
        axes = tuple(_read_axis(axis) for axis in found["axes"])
        datasets = tuple(_read_dataset(dataset, len(axes)) for dataset in found["datasets"])
        channels = tuple(_read_channel(channel) for channel in (ome.get("omero") or {}).get("channels", ()))
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"multiscales metadata of version {version} can't be read: {error!r}") from error
    return Multiscale(version, str(found.get("name", "")), axes, found.get("type"), datasets, channels)


def find_version(fmt: Any) -> Version:
    """Return the row of `VERSIONS` for "0.5", 0.5, a row, or an object with a `version`, such as ome_zarr's formats.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if isinstance(fmt, Version):
        return fmt
    name = str(getattr(fmt, "version", fmt))
    reject_unknown([name], VERSIONS, "OME-Zarr version")
    return VERSIONS[name]


def version_of(zarr_format: int) -> Version:
    """Return the newest version that a group of this zarr format can hold, of those that viewers read."""
    return next(v for v in (VERSIONS["0.5"], VERSIONS["0.4"]) if v.arrays.zarr_format == zarr_format)


def parse_channels(channels: Any, axes: Sequence[Axis], shape: Sequence[int]) -> tuple[Channel, ...]:
    """Return one `Channel` per channel of the image from True, names, dicts or `Channel` objects.

    Raises
    ------
    ValueError
        If there are not as many as the image has, a colour is no RRGGBB, or a window is not four or two numbers.

    Examples
    --------
    >>> from daskome.axes import parse_axes
    >>> [c.color for c in parse_channels(["DAPI", "GFP"], parse_axes("cyx", 3), (2, 64, 64))]
    ['0000FF', '00FF00']
    """
    if channels is None or channels is False:
        return ()
    n = n_channels(axes, shape)
    if channels is True:
        channels = [f"channel {i}" for i in range(n)]
    if isinstance(channels, str | bytes | Mapping) or not hasattr(channels, "__len__"):
        raise ValueError(f"channels {channels!r}: give True, or a list of names, dicts or Channel objects")
    if len(channels) != n:
        raise ValueError(f"{len(channels)} channels are given, but the image has {n}")
    return tuple(_parse_channel(channel, _COLORS[n > 1][i % 6]) for i, channel in enumerate(channels))


def n_channels(axes: Sequence[Axis], shape: Sequence[int]) -> int:
    """Return how many channels an image has: the length of its channel axis, or 1."""
    return next((n for axis, n in zip(axes, shape, strict=True) if axis.type == "channel"), 1)


def _parse_channel(channel: Any, color: str) -> Channel:
    if isinstance(channel, Channel):
        channel = {"label": channel.label, "color": channel.color, "window": channel.window, "active": channel.active}
    if isinstance(channel, str):
        return Channel(channel, color)
    if not isinstance(channel, Mapping):
        raise ValueError(f"channel {channel!r} must be a name, a dict or a Channel object")
    reject_unknown(channel, ("label", "name", "color", "window", "active"), "key of a channel")
    color = str(channel.get("color", color)).lstrip("#").upper()
    if len(color) != 6 or not set(color) <= set("0123456789ABCDEF"):
        raise ValueError(f"colour {channel['color']!r} of a channel is not six hexadecimal digits, RRGGBB")
    label = str(channel.get("label") or channel.get("name") or "")
    return Channel(label, color, _parse_window(channel.get("window")), bool(channel.get("active", True)))


def _parse_window(window: Any) -> tuple[float, float, float, float] | None:
    if window is None:
        return None
    if isinstance(window, Mapping):
        start, end = window.get("start", window.get("min")), window.get("end", window.get("max"))
        window = (window.get("min", start), window.get("max", end), start, end)
    elif hasattr(window, "__len__") and len(window) == 2:
        window = (*window, *window)
    numbers = [getattr(v, "item", lambda v=v: v)() for v in window] if hasattr(window, "__len__") else []
    if len(numbers) != 4 or not all(isinstance(v, int | float) and abs(v) < float("inf") for v in numbers):
        raise ValueError(f"window {window!r} of a channel must be min, max, start, end as finite numbers")
    low, high, start, end = numbers
    return (low, high, start, end)


_COLORS = {False: ["FFFFFF"] * 6, True: ["0000FF", "00FF00", "FF0000", "FF00FF", "00FFFF", "FFFF00"]}


def _how(pyramid: Pyramid) -> JSON:
    method = pyramid.method.name
    where = method if ":" in method else f"daskome.methods:{method}"
    if len(pyramid.levels) == 1:
        return {"description": "one level, not downsampled", "method": where, "version": __version__}
    windows = "x".join(f"{b / a:g}" for a, b in zip(pyramid.levels[0].factors, pyramid.levels[1].factors, strict=True))
    return {"description": f"{method} of {windows} windows", "method": where, "version": __version__}


def _omero(version: Version, pyramid: Pyramid, channels: Sequence[Channel]) -> JSON:
    """Return the whole object: readers fail on channels without colour or window (section "omero")."""
    middle = {axis.name: n // 2 for axis, n in zip(pyramid.axes, pyramid.levels[0].shape, strict=True)}
    omero: JSON = {"version": version.name} if version.multiscale_has_version else {}
    return omero | {
        "id": 1,
        "name": pyramid.name,
        "channels": [_channel(channel) for channel in channels],
        "rdefs": {
            "defaultT": 0,
            "defaultZ": middle.get("z", 0),
            "model": "color" if len(channels) > 1 else "greyscale",
        },
    }


def _channel(channel: Channel) -> JSON:
    window = channel.window or (0, 1, 0, 1)
    return {
        "label": channel.label,
        "color": channel.color,
        "active": channel.active,
        "coefficient": 1,
        "family": "linear",
        "inverted": False,
        "window": dict(zip(("min", "max", "start", "end"), window, strict=True)),
    }


def _check_axes(axes: Sequence[Axis]) -> None:
    """Raise for what the specification, 0.4 and later, section "axes", forbids."""
    names = [axis.name for axis in axes]
    space = [axis.name for axis in axes if axis.spatial]
    rank = [{"time": 0, "space": 2}.get(axis.type or "", 1) for axis in axes]
    if not 2 <= len(space) <= 3:
        raise ValueError(f"axes {names}: an image has 2 or 3 axes of space, not {len(space)} (section 'axes')")
    if rank.count(0) > 1 or rank.count(1) > 1:
        raise ValueError(f"axes {names}: at most one axis of time, and one of channel or another type (section 'axes')")
    if rank != sorted(rank):
        raise ValueError(f"axes {names} must be in the order time, channel, space; transpose the image to match")
    known = [name for name in space if name in "zyx"]
    if known != sorted(known, reverse=True):
        raise ValueError(f"axes {names} must be in the order z, y, x; transpose the image to match")


def _axis_dicts(axes: Sequence[Axis]) -> JSON:
    return {"axes": [_axis_dict(axis) for axis in axes]}


def _axis_dict(axis: Axis) -> JSON:
    """Return an axis without the keys it has no value for: readers fail on null and "" (section "axes")."""
    pairs = {"name": axis.name, "type": axis.type, "unit": axis.unit}
    return {key: value for key, value in pairs.items() if value}


def _scale_then_translation(level: Level) -> list[JSON]:
    transforms: list[JSON] = [{"type": "scale", "scale": list(level.scale)}]
    if any(level.translation):
        transforms.append({"type": "translation", "translation": list(level.translation)})
    return transforms


VERSIONS: Mapping[str, Version] = {
    version.name: version
    for version in (
        Version("0.4", ZARR_V2, None, True, _check_axes, _axis_dicts, _scale_then_translation),
        Version("0.5", ZARR_V3, "ome", False, _check_axes, _axis_dicts, _scale_then_translation),
    )
}
"""Specification: https://ngff.openmicroscopy.org/."""

DEFAULT_VERSION = VERSIONS["0.5"]


def _read_axis(axis: Any) -> Axis:
    if isinstance(axis, str):
        axis = {"name": axis}
    name = str(axis["name"])
    return Axis(name, axis.get("type") or TYPES.get(name), axis.get("unit"))


def _read_dataset(dataset: Mapping[str, Any], ndim: int) -> Dataset:
    vectors = {"scale": (1.0,) * ndim, "translation": (0.0,) * ndim}
    for transform in dataset.get("coordinateTransformations", ()):
        kind = transform["type"]
        if kind in vectors:
            vectors[kind] = tuple(float(v) for v in transform[kind])
    return Dataset(str(dataset["path"]), vectors["scale"], vectors["translation"])


def _read_channel(channel: Mapping[str, Any]) -> Channel:
    return Channel(
        str(channel.get("label", "")),
        str(channel.get("color", "FFFFFF")),
        _parse_window(channel.get("window")),
        bool(channel.get("active", True)),
    )


__all__ = [
    "DEFAULT_VERSION", "DTYPES", "VERSIONS", "Channel", "Dataset", "Multiscale", "Version", "find_version",
    "image_attributes", "ome_keys", "parse_channels", "read_multiscale", "version_of",
]  # fmt: skip
