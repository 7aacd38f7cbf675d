"""Parameter types of click: values per axis, factors, blocks, key=value pairs, parts of a job array."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # It takes no type parameter in older releases.


class ValuesParam(ParamType):
    """Values along axes: one number, numbers by commas, or name=value pairs by commas; or JSON."""

    def __init__(self, number: Callable[[str], Any]) -> None:
        self.name = "VALUES"
        self.number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return an int or float, a list, or a dict by axis name."""
        if not isinstance(value, str):
            return value
        try:
            if value[:1] in "[{":
                return json.loads(value)
            parts = [part.strip() for part in value.split(",")]
            if all("=" in part for part in parts):
                return {k.strip(): self.number(v) for k, v in (part.split("=", 1) for part in parts)}
            return self.number(parts[0]) if len(parts) == 1 else [self.number(part) for part in parts]
        except ValueError:
            self.fail(
                f"{value!r} is not a number; give one, numbers as in 2,0.5,0.5, names as in z=2,y=0.5, or JSON",
                param,
                ctx,
            )


class AxesParam(ParamType):
    """Names of axes, each a letter; or names by commas, with a type after a colon; or JSON."""

    name = "AXES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the letters as they are, or a list of names and dicts."""
        if not isinstance(value, str) or not {",", ":", "["} & set(value):
            return value
        if value[:1] != "[":
            pairs = (axis.strip().partition(":") for axis in value.split(","))
            return [{"name": name, "type": kind} if colon else name for name, colon, kind in pairs]
        try:
            return json.loads(value)
        except ValueError as error:
            return self.fail(f"{value!r} is not JSON: {error}", param, ctx)


class FactorsParam(ValuesParam):
    """Scale factors: auto, none, numbers by commas, or JSON."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return "auto", None, or a list."""
        if value in ("auto", "none"):
            return None if value == "none" else value
        factors = super().convert(value, param, ctx)
        return factors if isinstance(factors, list) else [factors]


class OrientationParam(ValuesParam):
    """Orientation of axes: letters, name=value pairs by commas, JSON, or none."""

    def __init__(self) -> None:
        super().__init__(str)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return False for none, or letters, or a dict by axis name."""
        return False if value == "none" else super().convert(value, param, ctx)


class ChannelsParam(ParamType):
    """Names of channels by commas, or JSON."""

    name = "NAMES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a list of names, or what the JSON holds."""
        if not isinstance(value, str):
            return value
        if value[:1] not in "[{":
            return [name.strip() for name in value.split(",")]
        try:
            return json.loads(value)
        except ValueError as error:
            return self.fail(f"{value!r} is not JSON: {error}", param, ctx)


class BlocksParam(ParamType):
    """How many blocks of a level: all, or a positive number."""

    name = "[all|N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return True for all, or an int."""
        if not isinstance(value, str) or value == "all":
            return True if value == "all" else value
        if value.isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(f"{value!r} is neither 'all' nor a positive number of blocks, as in --pixels=8", param, ctx)


class RegionParam(ParamType):
    """A part of an image: spans and indices by axis name, by commas, as in z=0:64,t=5."""

    name = "REGION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return slices and indices by axis name."""
        if not isinstance(value, str):
            return value
        region: dict[str, slice | int] = {}
        for part in value.split(","):
            name, _, text = part.strip().partition("=")
            edges = [int(edge) if edge.strip() else None for edge in text.split(":") if _is_edge(edge)]
            if not name.strip() or len(edges) != text.count(":") + 1 or len(edges) > 2 or edges == [None]:
                self.fail(f"{part.strip()!r} is not a span or an index of an axis, as in z=0:64 or t=5", param, ctx)
            if name.strip() in region:
                self.fail(f"axis {name.strip()} is given twice", param, ctx)
            region[name.strip()] = slice(*edges) if len(edges) == 2 else int(text)
        return region


def _is_edge(text: str) -> bool:
    return not text.strip() or text.strip().removeprefix("-").isdecimal()


class PairsParam(ParamType):
    """A key and its value, as in key=value; the value may be JSON."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return key and value."""
        if isinstance(value, tuple):
            return value
        key, separator, text = value.partition("=")
        if not separator:
            self.fail("an option is its name and its value, as in anon=true; this one has no '='", param, ctx)
        try:
            return key, json.loads(text)
        except ValueError:
            return key, text


class PartParam(ParamType):
    """Part i of n of a stage; "auto" for i asks the batch scheduler."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return i, or None for "auto", and n, or None if that is left to the batch scheduler, too."""
        if not isinstance(value, str):
            return value
        i, _, n = value.partition("/")
        if value == "auto":
            return None, None
        if (i.isdecimal() or i == "auto") and n.isdecimal() and int(n):
            return (None if i == "auto" else int(i)), int(n)
        return self.fail(f"{value!r} is neither i/n, as in 3/64, nor auto/n or auto", param, ctx)
