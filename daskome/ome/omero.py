"""Channels, and how viewers first show them: the ``omero`` object of OME-Zarr."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from daskome.model.axes import Axis, channel_axis, reject_near_misses
from daskome.model.json_values import JSONDict
from daskome.ome.detect import ome_of

Window = tuple[float, float, float, float]
WINDOW = ("min", "max", "start", "end")
STYLE: Mapping[str, Any] = {"coefficient": 1, "family": "linear", "inverted": False}
"""Further keys of every channel, unless the caller sets them: readers fail where they are missing."""
COLORS = {False: ["FFFFFF"] * 6, True: ["0000FF", "00FF00", "FF0000", "FF00FF", "00FFFF", "FFFF00"]}
"""By whether there are several channels."""


def _style() -> Mapping[str, Any]:
    return dict(STYLE)


@dataclass(frozen=True, slots=True)
class Channel:
    """How viewers first show a channel (section "omero").

    Attributes
    ----------
    label : str, optional
    color : str, optional
        Six hexadecimal digits, RRGGBB.
    window : tuple of four floats, optional
        min, max, start, end; None: measured on the coarsest level when it has been written.
    active : bool, optional
    rest : dict
        All other keys: coefficient, family, inverted, …
    """

    label: str | None
    color: str | None = "FFFFFF"
    window: Window | None = None
    active: bool | None = True
    rest: Mapping[str, Any] = field(default_factory=_style, hash=False)


@dataclass(frozen=True, slots=True)
class Omero:
    """The ``omero`` object: the channels, and its other keys (``id``, ``name``, ``rdefs``)."""

    channels: tuple[Channel, ...] | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def shown(self) -> "Omero":
        """The same with a window for every channel, from 0 to 1 where none is known."""
        windows = (channel.window or (0, 1, 0, 1) for channel in self.channels or ())
        channels = (replace(c, window=window) for c, window in zip(self.channels or (), windows, strict=True))
        return replace(self, channels=None if self.channels is None else tuple(channels))

    def to_json(self) -> JSONDict:
        """Return the object as it stands in the metadata."""
        channels = {} if self.channels is None else {"channels": list(map(_to_json, self.channels))}
        return {**channels, **self.rest}


def read_omero(stored: Mapping[str, Any]) -> Omero:
    """Read an ``omero`` object; `Omero.to_json` gives it back unchanged.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    if not isinstance(stored, Mapping):
        raise ValueError(f"omero {stored!r} is not an object")
    rest = dict(stored)
    channels = rest.pop("channels") if isinstance(rest.get("channels"), list) else None
    if not all(isinstance(channel, Mapping) for channel in channels or ()):
        raise ValueError(f"omero/channels {channels!r} are not objects")
    return Omero(None if channels is None else tuple(map(_read_channel, channels)), rest)


def parse_omero(
    omero: Mapping[str, Any] | None,
    channels: Any,
    axes: Sequence[Axis],
    shape: Sequence[int],
    name: str,
    known: Mapping[str, Any] | None = None,
) -> Omero | None:
    """Return the complete ``omero`` object of an image from the caller's arguments; None if there are none.

    Parameters
    ----------
    omero : dict, optional
        In the form of the specification; what is missing is added.
    channels : True, sequence of names, dicts or `Channel`, optional
        Instead of those in `omero`.
    axes, shape
        Of the image.
    name : str
        Of the image.
    known : dict, optional
        What the image itself says; the caller's arguments override what they name, channel by channel.

    Raises
    ------
    ValueError
        For invalid channels (`parse_channels`).
    """
    if omero is not None and not isinstance(omero, Mapping):
        omero = _of_object(omero)
    known = dict(known or {})
    stated = {**known, **(omero or {})}
    listed = (omero or {}).get("channels")
    channels = _over(listed if channels is None else channels, known.get("channels"))
    stated.pop("channels", None)
    if channels is None:
        channels = bool(stated) or None
    parsed = parse_channels(channels, axes, shape)
    if not parsed:
        return None
    middle = {axis.name: n // 2 for axis, n in zip(axes, shape, strict=True)}
    model = "color" if len(parsed) > 1 else "greyscale"
    rdefs = {"defaultT": 0, "defaultZ": middle.get("z", 0), "model": model}
    return Omero(parsed, {"id": 1, "name": name, "rdefs": rdefs, **stated})


def _over(channels: Any, known: Any) -> Any:
    """Return channels as a caller gives them, with what is known of each where the caller does not name it."""
    if known is None or channels is False:
        return channels
    if channels is None or channels is True:
        return known
    if not isinstance(channels, list | tuple) or len(channels) != len(known):
        return channels
    return [_channel_over(*pair) for pair in zip(channels, known, strict=True)]


def _channel_over(channel: Any, known: Any) -> Any:
    if isinstance(channel, str):
        channel = {"label": channel}
    if not isinstance(channel, Mapping) or not isinstance(known, Mapping):
        return channel
    named = {"label": channel["name"]} if "name" in channel and "label" not in channel else {}
    return {**known, **channel, **named}


def _of_object(omero: Any) -> JSONDict:
    """Return the ``omero`` object of classes of other libraries, such as ome-zarr-models and ome_zarr."""
    for convert in ("model_dump", "to_dict", "dict"):
        if hasattr(omero, convert):
            return dict(getattr(omero, convert)())
    raise ValueError(f"omero {omero!r}: give a dict in the form of the specification, section 'omero'")


def parse_channels(channels: Any, axes: Sequence[Axis], shape: Sequence[int]) -> tuple[Channel, ...]:
    """Return one `Channel` per channel of the image from True, names, dicts or `Channel` objects.

    Raises
    ------
    ValueError
        If their number is not that of the image, a colour is not RRGGBB, or a window is not four or two numbers.
    TypeError
        If a key is almost a known one.

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
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
        raise ValueError(f"{len(channels)} channels are given, but the image has {n} (section 'omero')")
    return tuple(_parse_channel(channel, COLORS[n > 1][i % 6]) for i, channel in enumerate(channels))


def with_more_channels(attributes: Mapping[str, Any], new: Omero, first: int) -> JSONDict:
    """Return the attributes of an image that has channels `first` and those after it, too, if they are not there yet.

    >>> image = {"omero": {"channels": [{"label": "DAPI"}], "id": 1}}
    >>> with_more_channels(image, Omero((Channel("GFP"),), {}), 1)["omero"]["channels"][1]["label"]
    'GFP'
    """
    ome = ome_of(attributes)
    listed = (ome.get("omero") or {}).get("channels") or []
    omero = {**(ome.get("omero") or {}), "channels": [*listed[:first], *map(_to_json, new.channels or ())]}
    return {**attributes, "ome": {**ome, "omero": omero}} if "ome" in attributes else {**attributes, "omero": omero}


def n_channels(axes: Sequence[Axis], shape: Sequence[int]) -> int:
    """Return the number of channels of an image: the length of its channel axis, or 1."""
    axis = channel_axis(axes)
    return 1 if axis is None else shape[axis]


def _parse_channel(channel: Any, color: str) -> Channel:
    if isinstance(channel, Channel):
        channel = {**channel.rest, **{key: getattr(channel, key) for key in ("label", "color", "window", "active")}}
    if isinstance(channel, str):
        return Channel(channel, color)
    if not isinstance(channel, Mapping):
        raise ValueError(f"channel {channel!r} must be a name, a dict or a Channel object")
    known = ("label", "color", "window", "active")
    reject_near_misses(channel, (*known, *STYLE, "name", "id"), "key of a channel")
    color = str(channel.get("color") or channel.get("color", color)).lstrip("#").upper()
    if len(color) != 6 or not set(color) <= set("0123456789ABCDEF"):
        raise ValueError(f"colour {channel['color']!r} of a channel is not six hexadecimal digits, RRGGBB")
    label = str(channel.get("label") or channel.get("name") or "")
    rest = {key: value for key, value in channel.items() if key not in (*known, "name")}
    active = bool(channel.get("active", True))
    return Channel(label, color, _parse_window(channel.get("window")), active, {**STYLE, **rest})


def _parse_window(window: Any) -> Window | None:
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


def _to_json(channel: Channel) -> JSONDict:
    known = {"label": channel.label, "color": channel.color, "active": channel.active}
    written: JSONDict = {key: value for key, value in known.items() if value is not None}
    if channel.window:
        written["window"] = dict(zip(WINDOW, channel.window, strict=True))
    return {**written, **channel.rest}


def _read_channel(stored: Mapping[str, Any]) -> Channel:
    """Return a channel; values of unexpected types stay in its `rest`."""
    rest = dict(stored)
    label, color = (rest.pop(key) if isinstance(rest.get(key), str) else None for key in ("label", "color"))
    active = rest.pop("active") if isinstance(rest.get("active"), bool) else None
    window = rest.get("window")
    is_whole = isinstance(window, Mapping) and set(window) == set(WINDOW)
    numbers = _parse_window(rest.pop("window")) if is_whole else None
    return Channel(label, color, numbers, active, rest)
