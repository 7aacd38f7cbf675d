"""What a TIFF file says of a series: in OME-XML, as ImageJ writes it, or in the tags of its first page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from daskome.model.text import pluralize
from daskome.readers.described import Channels, Described, Quantities, numbers
from daskome.readers.tiffs.ome_xml import describe_ome, image_of_series
from daskome.readers.units import known_unit

MICROMETERS = {"inch": 25_400.0, "cm": 10_000.0}
PAPER = 20.0
"""In micrometers: larger pixels, if measured in inches or cm, mean the size on paper (1200 dpi or less)."""
IMAGEJ = frozenset(
    "ImageJ images channels slices frames hyperstack mode loop unit yunit zunit tunit spacing finterval fps"
    " xorigin yorigin zorigin min max Ranges LUTs IJMetadata".split()
)
"""What ImageJ says that is written, or how it shows a stack."""
SHAPED = frozenset(("shape", "axes", "truncate"))
"""What tifffile notes of the pixels."""
NO_LIGHT: Mapping[int, str] = {
    0: "that its small values are bright",
    3: "the palette that gives its values colours",
    5: "that its channels are inks, of which more is darker",
    8: "that its channels are those of CIELAB",
    32803: "that its pixels lie behind a mosaic of colours",
}
"""By photometric interpretation."""
TAGS = ("DocumentName", "ImageDescription", "Make", "Model", "PageName", "DateTime", "Artist", "Copyright")
PLAIN = {"imagej", "mdgel", "ome", "shaped", "uniform"}
"""Kinds of files, as tifffile tells them apart, whose notes are known here, or that have none."""


def described_series(file: Any, number: int, whole: bool = False) -> Described:
    """Return what an open TIFF file says of one of its series, and what else there is, unless all of it is read."""
    series = file.series[number]
    said = next(filter(None, (reader(file, number) for reader in (_ome, _imagej))), Described())
    sizes = said.sizes or _tags(series.keyframe)
    others = [] if whole else _other_series(file, number)
    left = () if whole and series.kind == "ome" else said.left
    return Described(sizes, said.positions, said.channels, (*others, *_others(file, number, series), *left))


def _ome(file: Any, number: int) -> Described | None:
    if not file.ome_metadata or file.series[number].kind != "ome":
        return None
    image = image_of_series(file, number)
    return None if image is None else describe_ome(file.ome_metadata, image.element)


def ome_xml_of(file: Any, number: int) -> tuple[str, int]:
    """Return the OME-XML of an open file, and which of its images a series is; empty if it is none of them."""
    if not file.ome_metadata or file.series[number].kind != "ome":
        return "", 0
    found = image_of_series(file, number)
    return ("", 0) if found is None else (file.ome_metadata, found.number)


def name_of_series(file: Any, number: int) -> str | None:
    """Return the name that OME-XML gives to a series, unless it is a number."""
    if not file.ome_metadata or file.series[number].kind != "ome":
        return None
    image = image_of_series(file, number)
    name = "" if image is None else image.element.get("Name", "")
    return name if name.lower().replace("image", "").strip(": _0123456789") else None


def _other_series(file: Any, number: int) -> Iterator[str]:
    """Yield, in words, that a file holds other series."""
    others = [i for i in range(len(file.series)) if i != number]
    if others:
        run = others[-1] - others[0] < len(others)
        which = f"::{others[0]}{f' to ::{others[-1]}' * (len(others) > 1)}" if run else f"all but ::{number}"
        yield f"{len(others)} other series ({which})"


def _others(file: Any, number: int, series: Any) -> Iterator[str]:
    """Yield, in words, what a file holds of a series besides its pixels, and says besides what is written."""
    if len(series.levels) > 1:
        yield f"{pluralize(len(series.levels) - 1, 'smaller resolution')}, made anew from the largest"
    yield from _meaning(series.keyframe)
    shaped = (file.shaped_metadata or ())[number : number + 1]
    notes = [key for one in shaped for key in one if key not in SHAPED]
    tags = [name for name in TAGS if name in series.keyframe.tags and not _is_known(file, series.keyframe, name)]
    kinds = [f"metadata of {kind}" for kind in sorted(file.flags - PLAIN)]
    if notes or tags or kinds:
        yield f"of its tags: {', '.join([*tags, *notes, *kinds])}"


def _meaning(page: Any) -> Iterator[str]:
    """Yield, in words, what the numbers of a page mean, if not light, and how it is to be turned."""
    if page.photometric in NO_LIGHT:
        yield NO_LIGHT[page.photometric]
    orientation = page.tags.valueof("Orientation", default=1)
    if orientation != 1:
        yield f"that it is to be shown turned or mirrored (orientation {int(orientation)})"


def _is_known(file: Any, page: Any, tag: str) -> bool:
    """Whether a tag is a description that is read in other ways; tifffile puts what it notes behind the caller's."""
    if tag != "ImageDescription":
        return False
    return bool(file.ome_metadata or file.imagej_metadata) or page.description.startswith('{"shape"')


def _imagej(file: Any, number: int) -> Described | None:
    """Return what ImageJ says; its origin is in pixels."""
    notes = file.imagej_metadata
    if not notes:
        return None
    sizes = _imagej_sizes(file, notes)
    origins = numbers({axis: notes.get(f"{axis}origin") for axis in "zyx"})
    positions = {
        axis: (-origin * sizes[axis][0], sizes[axis][1]) for axis, origin in origins.items() if origin and axis in sizes
    }
    unplaced = [f"{axis}origin" for axis, origin in origins.items() if origin and axis not in sizes]
    labels = _labels(notes)
    left = [*unplaced, *(key for key in notes if key not in IMAGEJ and not (key == "Labels" and labels))]
    said = (f"of what ImageJ says: {', '.join(left)}",) if left else ()
    return Described(sizes, positions, _imagej_channels(notes, labels), said)


def _imagej_sizes(file: Any, notes: Mapping[str, Any]) -> Quantities:
    unit = _unit(notes, "unit", "")
    known = {
        axis: (size, _unit(notes, f"{axis}unit", unit)) for axis, size in _resolution(file.pages.first, unit).items()
    }
    stated = numbers({key: notes.get(key) for key in ("spacing", "finterval")})
    if known and "spacing" in stated:
        known["z"] = (abs(stated["spacing"]), _unit(notes, "zunit", unit))
    if "finterval" in stated:
        known["t"] = (stated["finterval"], _unit(notes, "tunit", "s"))
    return known


def _unit(notes: Mapping[str, Any], key: str, default: str) -> str:
    return str(notes.get(key, default)).replace("\\u00B5", "µ")


def _labels(notes: Mapping[str, Any]) -> list[str]:
    """Return the labels of slices if there is one for each channel, and channels are all there is."""
    labels, n = notes.get("Labels") or [], int(notes.get("channels", 1))
    planes = int(notes.get("images", 1))
    return [str(label) for label in labels] if n > 1 and len(labels) == n == planes else []


def _imagej_channels(notes: Mapping[str, Any], labels: list[str]) -> Channels:
    """Return names, display ranges and colours, which are the brightest of their tables, of channels."""
    n = int(notes.get("channels", 1))
    flat = list(numbers(dict(enumerate(np.ravel(notes.get("Ranges", ()))))).values())
    shown = numbers({key: notes.get(key) for key in ("min", "max")})
    flat = list(shown.values()) if n == 1 and not flat else flat
    windows = (
        [{"start": a, "end": b} for a, b in zip(flat[::2], flat[1::2], strict=False)] if len(flat) == 2 * n else []
    )
    tables = notes.get("LUTs") or []
    colors = ["".join(f"{int(v):02X}" for v in np.asarray(table)[:3, -1]) for table in tables]
    colors = colors if len(colors) == n and notes.get("mode") in ("composite", "color") else []
    rows: dict[str, Sequence[Any]] = {"label": labels, "window": windows, "color": colors}
    return [{key: values[i] for key, values in rows.items() if values} for i in range(n)]


def _tags(page: Any) -> Quantities:
    tag = page.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag else 0, "")
    sizes = _resolution(page, unit)
    return {axis: (round(size * MICROMETERS[unit], 9), "micrometer") for axis, size in sizes.items()}


def _resolution(page: Any, unit: str) -> dict[str, float]:
    """Return the size of a pixel in `unit` from the tags, if the unit is one, and the size is not that on paper."""
    pairs = {
        axis: page.tags[key].value for axis, key in (("y", "YResolution"), ("x", "XResolution")) if key in page.tags
    }
    sizes = {axis: below / above for axis, (above, below) in pairs.items() if above and below}
    on_paper = any(size * MICROMETERS.get(unit, 0) > PAPER for size in sizes.values())
    return {} if on_paper or not known_unit("x", unit) else sizes
