"""What `daskome.open` returns: an image, a plate, or a group of images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from zarr.storage import StorePath

from daskome.model.axes import Axis
from daskome.model.json_values import JSONObject
from daskome.model.problem import Problem
from daskome.model.regions import Shape
from daskome.model.text import format_html_table, format_nbytes, format_numbers, format_table, pluralize
from daskome.ome.omero import Channel
from daskome.reading.levels import OpenLevel
from daskome.reading.members import Members

if TYPE_CHECKING:
    import dask.array as da
    import xarray

OPEN_HEAD = ["level", "shape", "dtype", "blocks", "scale", "translation", "bytes"]
NAMES_SHOWN = 12
"""Of the members of a group, in its description."""


@dataclass(frozen=True, slots=True, repr=False)
class OpenImage:
    """An image: its levels, one of which is chosen, and its labels.

    Attributes
    ----------
    store_path : StorePath
        Of its group.
    zarr_format : int
    version : str
        Of OME-Zarr, as its metadata state it.
    name : str
    level : OpenLevel
        The one that was asked for. `dask`, `xarray`, `shape` and what else describes pixels are those of this level.
    levels : tuple of OpenLevel
        All that can be read, from fine to coarse.
    channels : tuple of Channel
        Names, colours and windows; empty where the metadata say nothing of them.
    labels : Members of OpenImage
        The label images by name, each with the level chosen that fits that of the image.
    image_label : dict
        What it says of its values, if it is a label image: ``colors``, ``properties``, ``source``.
    multiscales : tuple of str
        The names of all images of the group, most often one.
    problems : tuple of Problem
        What of its metadata or levels cannot be read.
    """

    store_path: StorePath
    zarr_format: int
    version: str
    name: str
    level: OpenLevel
    levels: tuple[OpenLevel, ...]
    channels: tuple[Channel, ...]
    labels: "Members[OpenImage]"
    image_label: JSONObject
    multiscales: tuple[str, ...] = ("",)
    problems: tuple[Problem, ...] = ()

    @property
    def dask(self) -> "da.Array":
        """The pixels of the chosen level as a Dask array."""
        return self.level.dask

    @property
    def xarray(self) -> "xarray.DataArray":
        """The pixels of the chosen level as an xarray, with positions, units and names of channels."""
        return self.level.xarray

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes."""
        return self.level.axes

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes."""
        return self.level.dims

    @property
    def units(self) -> dict[str, str]:
        """The units of those axes that state one."""
        return {axis.name: axis.unit for axis in self.axes if axis.unit}

    @property
    def orientations(self) -> dict[str, str]:
        """The orientations of those axes that state one: from where to where in a body coordinates rise."""
        return {axis.name: axis.orientation for axis in self.axes if axis.orientation}

    @property
    def shape(self) -> Shape:
        """The shape of the chosen level."""
        return self.level.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the chosen level."""
        return self.level.dtype

    @property
    def scale(self) -> dict[str, float]:
        """The size of a voxel of the chosen level by axis."""
        return dict(zip(self.dims, self.level.scale, strict=True))

    @property
    def translation(self) -> dict[str, float]:
        """The position of the centre of the first voxel of the chosen level by axis."""
        return dict(zip(self.dims, self.level.translation, strict=True))

    def __repr__(self) -> str:
        return "\n".join([format_table(self._title, OPEN_HEAD, self._rows), *self._lines])

    def _repr_html_(self) -> str:
        lines = "<br>".join(map(escape, self._lines))
        return format_html_table(self._title, OPEN_HEAD, self._rows) + f"<p>{lines}</p>"

    @property
    def _title(self) -> str:
        return f"OME-Zarr {self.version} image {self.name!r}; axes: {', '.join(map(str, self.axes))}"

    @property
    def _rows(self) -> list[list[str]]:
        return [_row(level) for level in self.levels]

    @property
    def _lines(self) -> list[str]:
        """What there is besides the levels, in words."""
        channels = ", ".join(str(channel.label) for channel in self.channels)
        others = len(self.multiscales) - 1
        return [
            f"chosen: {self.level.path}",
            *[f"channels: {channels}"] * bool(channels),
            *[f"labels: {', '.join(self.labels)}"] * bool(self.labels),
            *[f"{pluralize(others, 'further multiscale')}: multiscale=1"] * bool(others),
            *map(str, self.problems),
        ]


def _row(level: OpenLevel) -> list[str]:
    vectors = (level.chunks, level.scale, level.translation)
    described = [format_numbers(level.shape), str(level.dtype), *map(format_numbers, vectors)]
    return [level.path, *described, format_nbytes(level.nbytes)]


class _Grouped:
    """A group without pixels of its own: what is asked of it as if it were an image is refused, with what to do."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Raise an AttributeError that says where the pixels are."""
        if not name.startswith("_") and hasattr(OpenImage, name):
            raise AttributeError(f"this is {self._what}, not an image: it has no {name}; {self._hint}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _what(self) -> str:
        raise NotImplementedError

    @property
    def _hint(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, repr=False)
class OpenGroup(_Grouped):
    """Images that lie in one group: the fields of a well, those of a scene or of a bioformats2raw layout.

    Attributes
    ----------
    store_path : StorePath
    kind : str
        Such as "well".
    images : Members of OpenImage
        By path.
    acquisitions : dict of str to int or None
        Of a well: the acquisition of each image, by its path.
    """

    store_path: StorePath
    kind: str
    images: Members[OpenImage]
    acquisitions: Mapping[str, int | None] = field(default_factory=dict)

    def __repr__(self) -> str:
        return "\n".join(_listed(f"OME-Zarr {self.kind}", self.images))

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"

    @property
    def _what(self) -> str:
        return f"a group of images ({self.kind})"

    @property
    def _hint(self) -> str:
        return f"choose one, as in .images[{next(iter(self.images), '0')!r}]"


@dataclass(frozen=True, slots=True, repr=False)
class OpenPlate(_Grouped):
    """A plate: its wells by path, such as "A/1".

    Attributes
    ----------
    store_path : StorePath
    name : str
    rows, columns : tuple of str
        The names of all, with wells or without.
    wells : Members of OpenGroup
    acquisitions : tuple of dict
        Each with an ``id``.
    """

    store_path: StorePath
    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    wells: Members[OpenGroup]
    acquisitions: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        size = f"{pluralize(len(self.rows), 'row')}, {pluralize(len(self.columns), 'column')}"
        return "\n".join(_listed(f"OME-Zarr plate {self.name!r}: {size}", self.wells))

    def _repr_html_(self) -> str:
        """Return the grid of rows and columns, with a mark where there is a well."""
        rows = [
            [row, *("●" if f"{row}/{column}" in self.wells else "" for column in self.columns)] for row in self.rows
        ]
        return format_html_table(repr(self).splitlines()[0], ["", *self.columns], rows)

    @property
    def _what(self) -> str:
        return "a plate"

    @property
    def _hint(self) -> str:
        return f"choose a well and an image of it, as in .wells[{next(iter(self.wells), 'A/1')!r}].images['0']"


def _listed(title: str, members: Members[Any]) -> Iterator[str]:
    yield f"{title}, {pluralize(len(members), members.kind)}"
    more = [f"and {len(members) - NAMES_SHOWN:,} more"] * (len(members) > NAMES_SHOWN)
    yield ", ".join([*list(members)[:NAMES_SHOWN], *more])
