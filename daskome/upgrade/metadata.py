"""The metadata of a group in the terms of another version, and in words what that loses, or what had to be inferred.

The nouns are those of `daskome.ome.metadata`; of arrays, only the shapes are known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from daskome.kernels.methods import METHODS
from daskome.model.axes import Axis, typed
from daskome.model.json_values import to_plain_json
from daskome.model.regions import Shape, ceil_div
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import (
    DEFAULT_SYSTEM,
    TRANSFORMS,
    CoordinateSystem,
    Dataset,
    Metadata,
    Multiscale,
    Numbers,
    PlacedDataset,
)
from daskome.ome.missing_axes import positions_of_missing, put_in
from daskome.ome.omero import WINDOW, Channel, Omero, Window
from daskome.ome.plate import Plate
from daskome.ome.rules.walk import check_attributes
from daskome.ome.versions import Version, said_orientations, unsupported
from daskome.ome.write import to_attributes

Shapes = Sequence[Shape]
Lines = list[str]


def convert_attributes(
    metadata: Metadata, source: Version, target: Version, shapes: Sequence[Shapes]
) -> tuple[Metadata, list[str]]:
    r"""Return the metadata of a group for another version, and in words what is lost, folded or inferred.

    Parameters
    ----------
    metadata : Metadata
        As `daskome.ome.read.read_metadata` returns it.
    source, target : Version
        Rows of `daskome.ome.versions.VERSIONS`.
    shapes : sequence of sequence of tuple of int
        For each multiscale, the shape of each of its levels.

    Raises
    ------
    ValueError
        If the target cannot hold something, or something would be invalid in it.

    Examples
    --------
    >>> from daskome.ome.versions import VERSIONS
    >>> from daskome.ome.read import read_metadata
    >>> datasets = [{"path": "0"}, {"path": "1"}]
    >>> image = {"version": "0.3", "type": "mean", "axes": ["y", "x"], "datasets": datasets}
    >>> found = read_metadata({"multiscales": [image]})
    >>> new, lines = convert_attributes(found, VERSIONS["0.3"], VERSIONS["0.5"], [[(64, 65), (32, 33)]])
    >>> new.multiscales[0].placed[1]
    PlacedDataset(path='1', scale=(2.0, 2.0), translation=(0.5, 0.5))
    >>> print(*lines, sep="\n")
    no pixel size is stored: scales are factors between shapes, 1: y=2 x=2
    translations are those of windows of 'mean'
    """
    if metadata.scene is not None and not target.named_systems:
        raise ValueError(
            f"scene: OME-Zarr {target.name} cannot say how images lie to each other (section 'scene'); convert each"
            " image on its own, or choose 0.6 or newer"
        )
    levels = list(shapes) or [()] * len(metadata.multiscales)
    images = [_image(m, source, target, s) for m, s in zip(metadata.multiscales, levels, strict=True)]
    omero, filled = _omero(metadata.omero, target)
    _check_wells(metadata.plate, target)
    new = replace(
        metadata,
        multiscales=tuple(image for image, _ in images),
        omero=_silent(omero),
        image_label=_silent(metadata.image_label),
        plate=_silent(metadata.plate and replace(metadata.plate, acquisitions=metadata.plate.acquisitions or None)),
        well=_silent(metadata.well),
        stated=None,
    )
    written = to_plain_json(to_attributes(target, new), "metadata")
    if ome_keys(written):
        check_attributes(written, target.name)
    return new, [*(line for _, lines in images for line in lines), *filled]


def with_every_axis(
    metadata: Metadata, shapes: Sequence[Shapes], target: Version
) -> tuple[Metadata, list[list[Shape]]]:
    """Return images, and the shapes of their levels, with the axes that a version requires put in."""
    pairs = [_with_every_axis(m, s, target) for m, s in zip(metadata.multiscales, shapes, strict=True)]
    return replace(metadata, multiscales=tuple(m for m, _ in pairs)), [s for _, s in pairs]


def _with_every_axis(multiscale: Multiscale, shapes: Shapes, target: Version) -> tuple[Multiscale, list[Shape]]:
    positions = positions_of_missing(multiscale.axes, target.every_axis)
    if not positions:
        return multiscale, list(shapes)
    ones, zeros = (1.0,) * len(target.every_axis), (0.0,) * len(target.every_axis)
    datasets = tuple(
        replace(
            dataset,
            scale=put_in(placed.scale, positions, ones) if dataset.scale or TRANSFORMS in multiscale.rest else None,
            translation=put_in(placed.translation, positions, zeros) if any(placed.translation) else None,
        )
        for dataset, placed in zip(multiscale.datasets, multiscale.placed, strict=True)
    )
    system = replace(multiscale.system, axes=put_in(multiscale.system.axes, positions, target.every_axis))
    systems = tuple(system if one is multiscale.system else one for one in multiscale.systems)
    links = [step for step in multiscale.rest.get(TRANSFORMS, ()) if isinstance(step, Mapping) and "output" in step]
    rest = {key: value for key, value in multiscale.rest.items() if key != TRANSFORMS}
    rest |= {TRANSFORMS: links} if links else {}
    expanded = replace(multiscale, datasets=datasets, systems=systems, rest=rest)
    return expanded, [put_in(shape, positions, (1,) * len(target.every_axis)) for shape in shapes]


def factors_between(shape: Shape, smaller: Shape) -> Numbers:
    """Return how many voxels of one shape make one of a smaller: an integer where windows fit, else the ratio.

    Axes too short to decide take the factor of the longest.

    >>> factors_between((3, 101, 5), (3, 26, 2)), factors_between((100, 100), (100, 67))
    ((1.0, 4.0, 4.0), (1.0, 1.492...))
    """
    longest = max(range(len(shape)), key=lambda i: shape[i] if smaller[i] != shape[i] else 0, default=0)
    hint = _factor(shape[longest], smaller[longest], 1) if shape else 1
    return tuple(float(_factor(n, m, hint)) for n, m in zip(shape, smaller, strict=True))


def _factor(n: int, m: int, hint: float) -> float:
    """Return the factor from n voxels to m; other writers drop the window that the edge cuts."""
    if m in (n, 0):
        return 1
    near = round(n / m)
    for parts in (ceil_div, int.__floordiv__):
        fitting = (f for f in (hint, near, near - 1, near + 1) if f > 1 and f == int(f) and parts(n, int(f)) == m)
        fitting_factor = next(fitting, None)
        if fitting_factor is not None:
            return fitting_factor
    return n / m


# ---- images


def _image(multiscale: Multiscale, source: Version, target: Version, shapes: Shapes) -> tuple[Multiscale, Lines]:
    """Return an image in the target's terms, with a scale for each level, and no transformation of all levels."""
    steps = (_placed, _folded, _in_one_system, _without_nulls)
    _check_ndim(multiscale, shapes)
    lines: Lines = []
    for step in steps:
        multiscale, lines_of_step = step(multiscale, source, target, shapes)
        lines += lines_of_step
    _check_axes(multiscale, source, target)
    unknown = [
        f"{what}: readers of {target.name} will not know it; kept in 'metadata'"
        for what in unsupported(target, multiscale)
    ]
    return multiscale, [*lines, *unknown, *_undefined(multiscale, source, target)]


def _undefined(multiscale: Multiscale, source: Version, target: Version) -> Lines:
    """Return, in words, the orientations that the target does not define, if they are new to it."""
    said = said_orientations(multiscale)
    if not said or not source.oriented or target.oriented or target.transforms is None:
        return []
    return [f"orientation ({', '.join(said)}): {target.name} does not define it; kept as a further key of its axis"]


def _check_ndim(multiscale: Multiscale, shapes: Shapes) -> None:
    names = [axis.name for axis in multiscale.axes]
    for dataset, shape in zip(multiscale.datasets, shapes, strict=bool(shapes)):
        if len(shape) != len(names):
            raise ValueError(
                f"level {dataset.path} has {len(shape)} dimensions, but the axes are {names} (section 'axes');"
                " write the image again"
            )


def _check_axes(multiscale: Multiscale, source: Version, target: Version) -> None:
    """Raise for axes that the target cannot have, where those of the source may be such."""
    names, every = [axis.name for axis in multiscale.axes], [axis.name for axis in target.every_axis]
    if every and names != every:
        raise ValueError(
            f"axes {names}: OME-Zarr {target.name} has images of {', '.join(every)} only, and axes cannot be inserted"
            f" without writing the image again (section 'axes'); write it with fmt={target.name!r}, or convert to 0.3"
        )
    if target.fixed_axes or (source.free_axes and not target.free_axes):
        target.check_ndim(len(names))
        target.check_axes(multiscale.axes)


def _placed(multiscale: Multiscale, source: Version, target: Version, shapes: Shapes) -> tuple[Multiscale, Lines]:
    """Return an image whose levels have a scale: as stated or kept, ones for the identity, else from the shapes."""
    unknown = not any(d.scale for d in multiscale.datasets) and not _states_identity(source)
    if unknown and target.transforms is not None and shapes:
        return _by_shape(multiscale, shapes)
    ones = (1.0,) * len(multiscale.axes)
    if unknown and target.transforms is None:
        return multiscale, []
    datasets = tuple(replace(d, scale=d.scale or ones) for d in multiscale.datasets)
    return replace(multiscale, datasets=datasets), []


def _states_identity(version: Version) -> bool:
    """Whether a version can state the identity; others leave out transformations that they do not know."""
    return version.transforms is not None and bool(version.transforms(Dataset(""), ""))


def _by_shape(multiscale: Multiscale, shapes: Shapes) -> tuple[Multiscale, Lines]:
    factors = [factors_between(shapes[0], shape) for shape in shapes]
    method = METHODS.get(multiscale.method or "")
    offset: Callable[[float], float] = (lambda factor: 0.0) if method is None else method.offset
    translations = [tuple(map(offset, scale)) for scale in factors]
    datasets = tuple(
        replace(dataset, scale=scale, translation=shift if any(shift) else None)
        for dataset, scale, shift in zip(multiscale.datasets, factors, translations, strict=True)
    )
    lines = [f"no pixel size is stored: scales are factors between shapes{_said(multiscale, factors)}"]
    known = f"translations are those of windows of {multiscale.method!r}" if any(map(any, translations)) else ""
    unknown = f"no translation: method {multiscale.method!r} does not define where voxels lie" if method is None else ""
    return replace(multiscale, datasets=datasets), [*lines, *filter(None, [known, unknown if shapes[1:] else ""])]


def _said(multiscale: Multiscale, factors: Sequence[Numbers]) -> str:
    """Return the factors of levels by axis, as ``, s1: y=2 x=2``."""
    names = [axis.name for axis in multiscale.axes]
    pairs = (
        (dataset.path, " ".join(f"{name}={f:g}" for name, f in zip(names, level, strict=True) if f != 1))
        for dataset, level in zip(multiscale.datasets, factors, strict=True)
    )
    return "".join(f", {path}: {factors_of_level}" for path, factors_of_level in pairs if factors_of_level)


def _folded(multiscale: Multiscale, source: Version, target: Version, shapes: Shapes) -> tuple[Multiscale, Lines]:
    """Return an image without transformations of all levels (0.4, 0.5): these are in the levels' own."""
    if multiscale.shared is None:
        return multiscale, []
    pairs = zip(multiscale.datasets, multiscale.placed, strict=True)
    datasets = tuple(_moved(dataset, placed) for dataset, placed in pairs)
    rest = {key: value for key, value in multiscale.rest.items() if key != TRANSFORMS}
    return replace(multiscale, datasets=datasets, rest=rest), [
        f"{TRANSFORMS} of the multiscale are folded into its levels"
    ]


def _moved(dataset: Dataset, placed: PlacedDataset) -> Dataset:
    return replace(dataset, scale=placed.scale, translation=placed.translation if any(placed.translation) else None)


def _in_one_system(
    multiscale: Multiscale, source: Version, target: Version, shapes: Shapes
) -> tuple[Multiscale, Lines]:
    """Return an image with typed axes; in a version that cannot name coordinate systems, with the levels' own only."""
    rest = {key: value for key, value in multiscale.rest.items() if key != "version"}
    systems = tuple(replace(system, axes=typed(system.axes)) for system in multiscale.systems)
    typed_one = replace(multiscale, systems=systems, rest=rest)
    if target.named_systems:
        return typed_one, []
    lines = list(_lost_systems(typed_one, target))
    only = CoordinateSystem(DEFAULT_SYSTEM, typed_one.system.axes)
    alone = {key: value for key, value in rest.items() if key != TRANSFORMS}
    return replace(typed_one, systems=(only,), intrinsic=0, rest=alone), lines


def _without_nulls(
    multiscale: Multiscale, source: Version, target: Version, shapes: Shapes
) -> tuple[Multiscale, Lines]:
    """Return an image whose axes leave out what they hold null for, which means the same; readers fail on it."""
    dropped = [f"{key} of axis {axis.name!r}" for s in multiscale.systems for axis in s.axes for key in _nulls(axis)]
    if not dropped:
        return multiscale, []
    systems = tuple(replace(s, axes=tuple(map(_stated_alone, s.axes))) for s in multiscale.systems)
    return replace(multiscale, systems=systems), [f"left out, as null says nothing: {', '.join(dropped)}"]


def _nulls(axis: Axis) -> list[str]:
    return [key for key, value in axis.rest.items() if value is None]


def _stated_alone(axis: Axis) -> Axis:
    return replace(axis, rest={key: value for key, value in axis.rest.items() if value is not None})


def _lost_systems(multiscale: Multiscale, target: Version) -> Iterator[str]:
    others = [repr(system.name) for system in multiscale.systems if system is not multiscale.system]
    if others:
        yield f"lost: {target.name} has no coordinate systems besides that of the levels, as {', '.join(others)}"
    links = multiscale.rest.get(TRANSFORMS)
    if links:
        yield f"lost: {target.name} has no transformations between coordinate systems, {len(links)} of them"
    if multiscale.system.name != DEFAULT_SYSTEM:
        yield f"lost: {target.name} has no name for the coordinate system {multiscale.system.name!r}"
    if multiscale.system.rest:
        yield f"lost: further keys of the coordinate system: {', '.join(multiscale.system.rest)}"


# ---- what else a group says


def _omero(omero: Omero | None, target: Version) -> tuple[Omero | None, Lines]:
    """Return the channels, with a colour and a window each where the target asks for them, and no half a window."""
    if omero is None or not omero.channels:
        return omero, []
    completed = [_whole(channel, target.whole_channels) for channel in omero.channels]
    filled = [str(i) for i, (old, new) in enumerate(zip(omero.channels, completed, strict=True)) if old != new]
    line = f"channels {', '.join(filled)}: color and window are completed, white and 0 to 1 where nothing is stated"
    return replace(omero, channels=tuple(completed)), [line] if filled else []


def _whole(channel: Channel, every: bool) -> Channel:
    """Return a channel with a window if half of one is stated, and with colour and window in `every` case."""
    stated = channel.rest.get("window")
    halved = isinstance(stated, Mapping) and not set(WINDOW) <= set(stated)
    if halved or (every and channel.window is None and not isinstance(stated, Mapping)):
        rest = {key: value for key, value in channel.rest.items() if key != "window"}
        channel = replace(channel, window=_window(stated), rest=rest)
    return replace(channel, color="FFFFFF") if every and channel.color is None else channel


def _window(stated: Any) -> Window:
    """Return the window that is stated in part."""
    window: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    start, end = window.get("start", window.get("min", 0)), window.get("end", window.get("max", 1))
    return window.get("min", start), window.get("max", end), start, end


def _check_wells(plate: Plate | None, target: Version) -> None:
    deeper = [well.path for well in (plate.wells if plate else ()) if well.path.count("/") != 1]
    if deeper and target.indexed:
        raise ValueError(
            f"wells {deeper}: OME-Zarr {target.name} has wells at row/column only, as in 'A/1' (section 'plate');"
            " move them there, and list them so"
        )


def _silent(item: Any) -> Any:
    """Return an object without a version of its own: it is stated where the target has a place for it."""
    if item is None:
        return None
    return replace(item, rest={key: value for key, value in item.rest.items() if key != "version"})
