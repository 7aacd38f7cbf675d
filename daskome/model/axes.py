"""Axes: what the dimensions of an image mean."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from numbers import Real
from typing import Any

from daskome._caller import warn
from daskome.model.orientations import ANATOMICAL, LETTERS, ORIENTATIONS

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
GUESSES = {2: "yx", 3: "zyx", 5: "tczyx"}
AXIS_REST = ("discrete", "longName")
"""Further keys that an axis may have (OME-Zarr 0.6, section "axes")."""
_PREFIXES = (
    "atto centi deci exa femto giga hecto kilo mega micro milli nano peta pico tera yocto yotta zepto zetta".split()
)
UNITS = {
    "space": frozenset(f"{p}meter" for p in ("", *_PREFIXES)) | {"angstrom", "foot", "inch", "mile", "parsec", "yard"},
    "time": frozenset(f"{p}second" for p in ("", *_PREFIXES)) | {"day", "hour", "minute"},
}
"""The UDUNITS-2 names that OME-Zarr recommends (0.4 to 0.6, section "axes")."""
ABBREVIATIONS = {
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometre", "micrometres"), "micrometer"),
    **dict.fromkeys(("nm", "nanometre"), "nanometer"),
    **dict.fromkeys(("mm", "millimetre"), "millimeter"),
    **dict.fromkeys(("cm", "centimetre"), "centimeter"),
    **dict.fromkeys(("m", "metre"), "meter"),
    **dict.fromkeys(("å", "Å", "A"), "angstrom"),
    **dict.fromkeys(("s", "sec"), "second"),
    **dict.fromkeys(("ms", "msec"), "millisecond"),
    **dict.fromkeys(("us", "µs", "usec"), "microsecond"),
    **dict.fromkeys(("min",), "minute"),
    **dict.fromkeys(("h", "hr"), "hour"),
}


@dataclass(frozen=True, slots=True, repr=False)
class Axis:
    """One dimension of an image.

    Attributes
    ----------
    name : str
    type : str, optional
        Such as "space", "time" or "channel".
    unit : str, optional
    rest : dict
        Its other keys (0.6).
    orientation : str, optional
        Of an axis of space, one of `ORIENTATIONS`: from where to where in a body coordinates rise.

    Examples
    --------
    >>> Axis("z", "space", "micrometer")
    Axis(name='z', type='space', unit='micrometer')
    >>> Axis("z", "space", "millimeter", orientation="inferior-to-superior")
    Axis(name='z', type='space', unit='millimeter', orientation='inferior-to-superior')
    """

    name: str
    type: str | None = None
    unit: str | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)
    orientation: str | None = None

    def __repr__(self) -> str:
        oriented = f", orientation={self.orientation!r}" if self.orientation else ""
        return f"Axis(name={self.name!r}, type={self.type!r}, unit={self.unit!r}{oriented})"

    def __str__(self) -> str:
        return " ".join(str(word) for word in (self.name, self.type, self.unit, self.orientation) if word)

    @property
    def spatial(self) -> bool:
        """Whether it is an axis of space; only these are downsampled."""
        return self.type == "space"


AxesLike = str | Iterable[str | Mapping[str, Any] | Axis]


OrientationLike = str | bool | Mapping[str, Any]


def parse_axes(
    axes: AxesLike | None,
    ndim: int,
    units: Mapping[str, str] | str | None = None,
    orientations: Mapping[str, str] | None = None,
) -> tuple[Axis, ...]:
    """Return one `Axis` for each of the `ndim` dimensions.

    Parameters
    ----------
    axes : str, iterable of names, dicts or `Axis`, optional
        ``"zyx"``, ``["z", "y", "x"]`` or ``[{"name": "z", "type": "space", "unit": "micrometer"}, …]``.
        Without it, 2, 3 and 5 dimensions are taken to be yx, zyx and tczyx.
    ndim : int
        The number of dimensions of the image.
    units : dict of axis name to unit, or one unit for all axes of space, optional
        UDUNITS-2 names, as OME-Zarr recommends; common abbreviations are spelt out. Others, such as "pixel", are kept,
        with a warning.
    orientations : dict of axis name to orientation, optional
        Of `ORIENTATIONS`, over those that the axes state themselves.

    Raises
    ------
    ValueError
        If there are not `ndim` axes, if names repeat, or if an axis is unknown.

    Examples
    --------
    >>> [axis.type for axis in parse_axes("cyx", 3)]
    ['channel', 'space', 'space']
    >>> parse_axes("yx", 2, "um")[0].unit
    'micrometer'
    """
    if axes is None:
        if ndim not in GUESSES:
            raise ValueError(f"axes are needed for an image of {ndim} dimensions, as in axes='czyx' or axes='tzyx'")
        axes = GUESSES[ndim]
    if not isinstance(axes, Iterable):
        raise ValueError(f"axes {axes!r}: give names, as in 'zyx', or a list of names or dicts")
    parsed = tuple(_parse_axis(axis) for axis in axes)
    if len(parsed) != ndim:
        raise ValueError(
            f"axes {joined_names(_names(parsed))!r} are {len(parsed)}, but the image has {ndim} dimensions"
        )
    repeated = sorted({name for name in _names(parsed) if _names(parsed).count(name) > 1})
    if repeated:
        raise ValueError(
            f"axes {_names(parsed)} repeat {', '.join(map(repr, repeated))}; every axis needs its own name"
        )
    oriented = tuple(replace(a, orientation=(orientations or {}).get(a.name, a.orientation)) for a in parsed)
    return _with_units(oriented, units)


def parse_orientations(orientation: OrientationLike | None, axes: Sequence[Axis]) -> dict[str, str]:
    """Return orientations by name of the axis: of "RAS", the letters are where x, y and z lead to, in this order.

    Raises
    ------
    ValueError
        If they are none, or not for these axes.

    Examples
    --------
    >>> parse_orientations("LPS", parse_axes("zyx", 3))
    {'x': 'right-to-left', 'y': 'anterior-to-posterior', 'z': 'inferior-to-superior'}
    >>> parse_orientations({"z": "dorsal-to-ventral"}, parse_axes("zyx", 3))
    {'z': 'dorsal-to-ventral'}
    """
    if orientation is None or orientation is False:
        return {}
    if isinstance(orientation, str):
        return _parse_letters(orientation, [axis.name for axis in axes if axis.spatial])
    if not isinstance(orientation, Mapping):
        raise ValueError(
            f"orientation {orientation!r}: give a letter for each axis of space, x first, as in 'RAS', a dict by name"
            " of the axis, as in {'z': 'inferior-to-superior'}, or False"
        )
    reject_unknown(orientation, _names(axes), "orientation of axis")
    return {name: parse_orientation(value, name) for name, value in orientation.items()}


def parse_orientation(value: Any, name: str) -> str:
    """Return the orientation of an axis, given as one of `ORIENTATIONS`, a letter, or an object of the specification.

    >>> parse_orientation({"type": "anatomical", "value": "left-to-right"}, "x"), parse_orientation("R", "x")
    ('left-to-right', 'left-to-right')
    """
    if isinstance(value, Mapping):
        reject_unknown(value, ("type", "value"), f"key of the orientation of axis {name!r}")
        if value.get("type") != ANATOMICAL:
            raise ValueError(
                f"orientation of axis {name!r} is of type {value.get('type')!r}; the only type is {ANATOMICAL!r}"
            )
        value = value.get("value")
    if isinstance(value, str) and value in LETTERS:
        return LETTERS[value]
    if not isinstance(value, str) or value not in ORIENTATIONS:
        near = get_close_matches(str(value), ORIENTATIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"orientation of axis {name!r} is {value!r}{hint} It is a letter of {''.join(LETTERS)}, or one of"
            f" {', '.join(ORIENTATIONS)}"
        )
    return value


def _parse_letters(letters: str, space: Sequence[str]) -> dict[str, str]:
    names = [name for name in "xyz" if name in space]
    if not letters or set(letters) - set(LETTERS):
        raise ValueError(
            f"orientation {letters!r}: give capital letters that say where x, y and z lead to, as in 'RAS' (right,"
            " anterior, superior), or a dict by name of the axis, as in {'z': 'inferior-to-superior'}"
        )
    if len(names) != len(space) or len(letters) != len(names):
        raise ValueError(
            f"orientation {letters!r} is for x, y and z, one letter each, but the axes of space are"
            f" {', '.join(space) or 'none'}; give a dict by name of the axis"
        )
    return {name: LETTERS[letter] for name, letter in zip(names, letters, strict=True)}


def typed(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Return axes, those without a type with the one that their name suggests: OME-Zarr 0.3 stores names only.

    >>> typed([Axis("t"), Axis("x", "space")])
    (Axis(name='t', type='time', unit=None), Axis(name='x', type='space', unit=None))
    """
    return tuple(axis if axis.type else replace(axis, type=TYPES.get(axis.name)) for axis in axes)


def joined_names(names: Sequence[str]) -> str:
    """Return names of axes as one word, with spaces between those of several letters.

    >>> joined_names("zyx"), joined_names(["angle", "y", "x"])
    ('zyx', 'angle y x')
    """
    return ("" if all(len(name) == 1 for name in names) else " ").join(names)


def channel_axis(axes: Sequence[Axis]) -> int | None:
    """Return the index of the axis of channels, of several the first; None if there is none.

    >>> channel_axis(parse_axes("tczyx", 5)), channel_axis(parse_axes("yx", 2))
    (1, None)
    """
    return next((i for i, axis in enumerate(axes) if axis.type == "channel"), None)


def names_axis(values: Any, axis: Axis) -> bool:
    """Return whether values by axis, as `per_axis` takes them, say something of an axis."""
    if isinstance(values, Mapping):
        return axis.name in values
    return axis.spatial if isinstance(values, Real) else values is not None


def per_axis(values: Any, axes: Sequence[Axis], what: str, default: float | Mapping[str, float]) -> tuple[float, ...]:
    """Return one number per axis, from a sequence in their order, a dict by name, one number for space, or None.

    Axes of which the values say nothing have the default, which may be a number by axis.

    Raises
    ------
    ValueError
        If a name is not an axis, if there is not one value per axis, or if a value is not a finite number.
    """
    defaults = default if isinstance(default, Mapping) else dict.fromkeys(_names(axes), default)
    if values is None:
        values = defaults
    if isinstance(values, Mapping):
        reject_unknown(values, _names(axes), f"{what} for axis")
        values = [values.get(name, defaults[name]) for name in _names(axes)]
    if isinstance(values, Real) and not isinstance(values, bool):
        values = [values if axis.spatial else defaults[axis.name] for axis in axes]
    if isinstance(values, str | bytes | bool | Set) or not isinstance(values, Iterable):
        raise ValueError(f"{what} {values!r}: give one number, one for every axis in their order, or a dict by name")
    numbers = tuple(_number(value, what) for value in values)
    if len(numbers) != len(axes):
        raise ValueError(f"{what} has {len(numbers)} values, but the axes are {joined_names(_names(axes))!r}")
    for axis, number in zip(axes, numbers, strict=True):
        if not abs(number) < float("inf"):
            raise ValueError(f"{what} of axis {axis.name!r} is {number}; it must be a finite number")
    return numbers


def reject_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise a ValueError that names the first unknown name, and the nearest known one."""
    known = list(known)
    for key in names:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"unknown {what} {key!r}{hint} Known: {', '.join(map(str, known))}")


def reject_near_misses(names: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise a TypeError for a name that is almost a known one: probably a slip, where any other name is allowed.

    >>> reject_near_misses(["pinhole"], ["scale"], "argument")
    """
    known = list(known)
    for key in names:
        near = get_close_matches(str(key), known, n=1, cutoff=0.75)
        if near and key not in known:
            raise TypeError(f"unknown {what} {key!r}; did you mean {near[0]!r}?")


def _names(axes: Iterable[Axis]) -> list[str]:
    return [axis.name for axis in axes]


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool):
        raise ValueError(f"{what} has {value}, which is not a number")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what} has {value!r}, which is not a number") from error


def _parse_axis(axis: str | Mapping[str, Any] | Axis) -> Axis:
    if isinstance(axis, Axis):
        _check_text(axis.name, "name of an axis")
        return axis
    if isinstance(axis, str):
        axis = {"name": axis}
    if not isinstance(axis, Mapping):
        raise ValueError(f"axis {axis!r} must be a name, a dict or an Axis")
    reject_unknown(axis, ("name", "type", "unit", "orientation", *AXIS_REST), "key of an axis")
    name = axis.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f"an axis needs a name: {dict(axis)}")
    kind = axis.get("type") or TYPES.get(name)
    if kind is None:
        raise ValueError(
            f"axis {name!r} is none of t, c, z, y, x; say what it is: {{'name': {name!r}, 'type': …}} (--axes"
            f" {name}:other,…)"
        )
    _check_text(kind, f"type of axis {name!r}")
    rest = {key: axis[key] for key in AXIS_REST if key in axis}
    stated = axis.get("orientation")
    return Axis(name, kind, axis.get("unit"), rest, None if stated is None else parse_orientation(stated, name))


def _check_text(value: Any, what: str) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r}; it must be a str")


def _with_units(axes: tuple[Axis, ...], units: Mapping[str, str] | str | None) -> tuple[Axis, ...]:
    if isinstance(units, str):
        units = {axis.name: units for axis in axes if axis.spatial}
    units = {} if units is None else units
    if not isinstance(units, Mapping):
        raise ValueError(f"axes_units {units!r}: give one for all axes of space, as in 'micrometer', or a dict by name")
    reject_unknown(units, _names(axes), "unit for axis")
    return tuple(replace(a, unit=_parse_unit(a, units.get(a.name, a.unit))) for a in axes)


def _parse_unit(axis: Axis, unit: str | None) -> str | None:
    if unit is None or unit == "":
        return None
    _check_text(unit, f"unit of axis {axis.name!r}")
    unit = ABBREVIATIONS.get(unit, unit)
    known = UNITS.get(axis.type or "")
    if known is not None and unit not in known:
        near = get_close_matches(unit, sorted(known), n=1)
        warn(
            f"unit {unit!r} of axis {axis.name!r} is not a unit of {axis.type} that OME-Zarr knows, and readers may not"
            " either" + (f"; did you mean {near[0]!r}?" if near else "")
        )
    return unit
