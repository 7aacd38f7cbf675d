"""Units as files spell them, in the words of OME-Zarr, and values from one unit to another."""

from collections.abc import Mapping

from daskome.model.axes import ABBREVIATIONS, TYPES, UNITS

PREFIXES: Mapping[str, tuple[str, int]] = {
    "yotta": ("Y", 24), "zetta": ("Z", 21), "exa": ("E", 18), "peta": ("P", 15), "tera": ("T", 12), "giga": ("G", 9),
    "mega": ("M", 6), "kilo": ("k", 3), "hecto": ("h", 2), "deci": ("d", -1), "centi": ("c", -2),
    "milli": ("m", -3), "micro": ("µ", -6), "nano": ("n", -9), "pico": ("p", -12), "femto": ("f", -15),
    "atto": ("a", -18), "zepto": ("z", -21), "yocto": ("y", -24),
}  # fmt: skip
"""Symbol and power of ten."""
BASES = {"meter": "m", "second": "s"}
OTHERS = {
    "angstrom": 1e-10, "foot": 0.3048, "inch": 0.0254, "mile": 1609.344, "parsec": 3.0856775814913673e16,
    "yard": 0.9144, "day": 86_400.0, "hour": 3600.0, "minute": 60.0,
}  # fmt: skip
"""In meters or seconds."""
SYMBOLS: Mapping[str, str] = {
    **{short: base for base, short in BASES.items()},
    **{f"{symbol}{short}": f"{name}{base}" for base, short in BASES.items() for name, (symbol, _) in PREFIXES.items()},
    "in": "inch",
    "ft": "foot",
    "yd": "yard",
    "mi": "mile",
    "pc": "parsec",
    "d": "day",
    "hours": "hour",
    "minutes": "minute",
    "seconds": "second",
    "secs": "second",
    "days": "day",
    "inches": "inch",
}
"""Symbols of OME-XML, and plurals of ImageJ, besides the abbreviations that daskome takes everywhere."""


def known_unit(axis: str, unit: str | None) -> str:
    """Return a unit spelt out; empty where OME-Zarr does not know it.

    >>> known_unit("x", "um"), known_unit("x", "pm"), known_unit("x", "pixel")
    ('micrometer', 'picometer', '')
    """
    spelt = ABBREVIATIONS.get(unit or "") or SYMBOLS.get(unit or "", unit or "")
    return spelt if spelt in UNITS.get(TYPES.get(axis, ""), ()) else ""


def symbol_of(unit: str) -> str:
    """Return the symbol of a unit that is spelt out; the unit itself where there is none.

    >>> symbol_of("micrometer"), symbol_of("second"), symbol_of("pixel")
    ('µm', 's', 'pixel')
    """
    return next((symbol for symbol, name in SYMBOLS.items() if name == unit), unit)


def converted(value: float, unit: str, wanted: str) -> float:
    """Return a value in another unit of the same kind, both spelt out.

    >>> converted(0.0031, "millimeter", "micrometer"), converted(2.0, "minute", "second")
    (3.1, 120.0)
    """
    powers = _power(unit), _power(wanted)
    if None not in powers:
        power = int(powers[0] or 0) - int(powers[1] or 0)
        return float(value * 10**power if power >= 0 else value / 10**-power)
    return value * (_size(unit) / _size(wanted))


def _power(unit: str) -> int | None:
    """Return the power of ten of a unit of the SI, None of others."""
    prefix = unit.removesuffix("meter").removesuffix("second")
    if prefix == unit:
        return None
    return PREFIXES[prefix][1] if prefix else 0


def _size(unit: str) -> float:
    power = _power(unit)
    return OTHERS[unit] if power is None else 10.0**power
