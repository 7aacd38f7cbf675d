"""Images that are many datasets of one HDF5 file: those of Imaris and BigDataViewer, one per time and channel."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from daskome.model.chunks import chunks_within, regular_chunks
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.readers.datasets.imaris import INFO, imaris_channel, imaris_image, imaris_text
from daskome.readers.described import Channels, Described, Quantities, described, numbers
from daskome.readers.inputs import listed
from daskome.sources.array_likes import open_hdf5
from daskome.sources.joined import Joined
from daskome.sources.views import Reopenable

IMARIS_TOP = "DataSet/ResolutionLevel 0"
BDV_SETUP = re.compile(r"t(\d{5,})/s(\d{2,})")
VIEW_ATTRIBUTES = ("angle", "tile", "illumination")
"""What tells setups of BigDataViewer apart besides their channels: their volumes lie elsewhere."""


@dataclass(frozen=True, slots=True)
class DatasetGrid:
    """Datasets by time and channel.

    Attributes
    ----------
    names : dict of (int, int) to str
    said : Described
    shape : tuple of int, optional
        Of the image in each, if that is less than what is stored.
    dtype : str, optional
        If it is not that of what is stored.
    """

    names: Mapping[tuple[int, int], str]
    said: Described = field(default_factory=Described)
    shape: Shape | None = None
    dtype: str | None = None


def grid_in(file: Any, path: str, part: str) -> DatasetGrid | None:
    """Return the datasets of Imaris or BigDataViewer that are an image; None in other files."""
    if not part and IMARIS_TOP in file:
        return _imaris(file, path)
    views = [
        BDV_SETUP.fullmatch(f"{time}/{setup}")
        for time in file
        if BDV_SETUP.match(f"{time}/s00")
        for setup in file[time]
    ]
    found = [(int(view[1]), int(view[2]), f"{view[0]}/0/cells") for view in views if view]
    is_bdv = bool(found) and (not part or re.fullmatch(r"s\d{2,}", part) is not None)
    return _bdv(path, part, found) if is_bdv else None


def joined_datasets(file: Any, path: str, grid: DatasetGrid) -> Source:
    """Return the image that datasets make up, which must all be there, and alike.

    Raises
    ------
    ValueError
    """
    times, channels = (sorted({key[i] for key in grid.names}) for i in (0, 1))
    missing = [key for key in product(times, channels) if key not in grid.names or grid.names[key] not in file]
    if missing:
        few = ", ".join(f"time {t}, channel {c}" for t, c in missing[:5])
        raise ValueError(f"{path} has no dataset for {few}: {len(missing)} of {len(times) * len(channels)} are missing")
    names = [grid.names[key] for key in product(times, channels)]
    first = file[names[0]]
    for name in names:
        if (file[name].shape, file[name].dtype) != (first.shape, first.dtype):
            raise ValueError(
                f"{path}: {name} is {file[name].dtype} of {file[name].shape}, but {names[0]} is {first.dtype} of"
                f" {first.shape}; give one, as in {path}::{names[0]}"
            )
    shape = tuple(map(min, grid.shape or first.shape, first.shape))
    along = {axis: len(numbers_) for axis, numbers_ in (("t", times), ("c", channels)) if len(numbers_) > 1}
    array = Joined(
        tuple(Reopenable(partial(open_hdf5, path, name), place=f"{path}::{name}") for name in names),
        (*((1,) * n for n in along.values()), *((n,) for n in shape)),
        np.dtype(grid.dtype or first.dtype),
        added=tuple(range(len(along))),
    )
    stored = regular_chunks(first.shape, first.chunks or (1,) * len(first.shape))
    cut = tuple(chunks_within(sizes, 0, n) for sizes, n in zip(stored, shape, strict=True))
    chunks = (*regular_chunks(tuple(along.values()), (1,) * len(along)), *cut)
    return described(Source(array, chunks, (*along, "z", "y", "x")), grid.said)


def _imaris(file: Any, path: str) -> DatasetGrid:
    """Return the datasets of the largest resolution, and what Imaris says of them together."""
    top = file[IMARIS_TOP]
    names = {
        (_number(time), _number(channel)): f"{IMARIS_TOP}/{time}/{channel}/Data"
        for time in top
        for channel in top[time]
    }
    stored = imaris_image(file, next(iter(names.values()), ""))
    if stored is None:
        raise ValueError(f"{path} is named as a file of Imaris, but has none of its images")
    channels = sorted({c for _, c in names})
    groups = [f"{INFO}/Channel {c}" for c in channels]
    shown: Channels = [imaris_channel(file[name].attrs) if name in file else {} for name in groups]
    levels = len([name for name in file["DataSet"] if name.startswith("ResolutionLevel")]) - 1
    left = (f"{levels} smaller resolutions, made anew from the largest",) if levels else ()
    sizes = {**_interval(file), **stored.said.sizes}
    return DatasetGrid(names, replace(stored.said, sizes=sizes, channels=shown, left=left), stored.shape)


def _number(name: str) -> int:
    return int(name.rpartition(" ")[2])


def _interval(file: Any) -> Quantities:
    """Return the time between time points of Imaris if it is regular."""
    if f"{INFO}/TimeInfo" not in file:
        return {}
    attributes = file[f"{INFO}/TimeInfo"].attrs
    keys = sorted((key for key in attributes if re.fullmatch(r"TimePoint\d+", key)), key=lambda key: int(key[9:]))
    try:
        times = [datetime.fromisoformat(imaris_text(attributes, key)).timestamp() for key in keys]
    except ValueError:
        return {}
    steps = np.diff(times)
    regular = len(steps) > 0 and steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3, atol=0)
    return {"t": (float(f"{np.mean(steps):.6g}"), "s")} if regular else {}


def _bdv(path: str, part: str, found: Sequence[tuple[int, int, str]]) -> DatasetGrid:
    """Return the datasets of one setup of BigDataViewer, or of those that are the channels of one volume.

    It keeps its 16-bit numbers as signed ones, and takes them for unsigned.
    """
    document = Path(path).with_suffix(".xml")
    views = _views(document) if document.exists() else {}
    setups = sorted({setup for _, setup, _ in found})
    chosen = [int(part[1:])] if part else setups
    if not {*chosen} <= {*setups} or not _one_volume([views.get(setup) for setup in chosen]):
        choices = [f"s{setup:02}{_name_of(views.get(setup))}" for setup in setups]
        raise ValueError(
            f"{path} has {len(setups)} setups; give one, as in {path}::s00, of {listed(choices, 'setups')}"
        )
    names = {(t, setup): name for t, setup, name in found if setup in chosen}
    view = views.get(chosen[0])
    sizes = {} if view is None else _voxel_size(view)
    labels: Channels = [{"label": name} if (name := _text(views.get(s), "name")) else {} for s in chosen]
    notes = ["the registration of its views, in its XML"] if views else []
    rest = [f"other setups, of {len(setups)}"] if len(chosen) < len(setups) else []
    return DatasetGrid(names, Described(sizes, channels=labels, left=(*notes, *rest)), dtype="uint16")


def _views(document: Path) -> dict[int, ElementTree.Element]:
    """Return what the XML of BigDataViewer says of each setup."""
    try:
        setups = ElementTree.parse(document).iterfind(".//ViewSetup")
        return {int(setup.findtext("id", "-1")): setup for setup in setups}
    except ElementTree.ParseError as error:
        raise ValueError(f"{document} cannot be read as XML: {error}") from error


def _one_volume(views: Sequence[ElementTree.Element | None]) -> bool:
    """Whether setups are channels of one volume: all else that the XML says of them is the same."""
    same = {tuple(_text(view, f"attributes/{name}") for name in VIEW_ATTRIBUTES) for view in views}
    channels = {_text(view, "attributes/channel") for view in views}
    return len(views) == 1 or (None not in views and len(same) == 1 and len(channels) == len(views))


def _voxel_size(view: ElementTree.Element) -> Quantities:
    values = numbers(dict(zip("xyz", _text(view, "voxelSize/size").split(), strict=False)))
    return {axis: (size, _text(view, "voxelSize/unit")) for axis, size in values.items()}


def _text(view: ElementTree.Element | None, path: str) -> str:
    return "" if view is None else (view.findtext(path) or "").strip()


def _name_of(view: ElementTree.Element | None) -> str:
    return f" {_text(view, 'name')}" if _text(view, "name") else ""
