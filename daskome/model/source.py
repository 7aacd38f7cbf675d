"""An image to be read, and what is known of it without reading a pixel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from math import prod
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.regions import Shape
from daskome.model.text import format_html_table, format_nbytes, format_table
from daskome.model.voxel_system import VoxelSystem

READ_NBYTES = 16 * 2**20
"""Of chunks of an array-like, so many bytes are read and decoded at a time, however many zarr would decode at once."""
SOURCE_HEAD = ["axis", "length", "chunks", "scale", "translation", "unit"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an image comes from, so that other processes find it. It never holds credentials.

    Attributes
    ----------
    path : str
        A path or URL for `daskome.read`, or in words several; empty if only this process has the image.
    stamp : str
        Changes whenever the file does, or one of the files.
    expanded : tuple of int
        The axes of length 1 that were inserted.
    paths : tuple of str
        Of an image in several files that no single path names: theirs.
    words : dict
        What else `daskome.read` was told to read it so.
    """

    path: str = ""
    stamp: str = ""
    expanded: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredChunks:
    """How many of the chunks of an array are stored; the others are read as its fill value.

    Attributes
    ----------
    path : str
    stored, total : int
    fill_value : str

    Examples
    --------
    >>> print(StoredChunks("a.zarr/s0", 3, 4, "0"))
    a.zarr/s0: 1 of 4 chunks is not stored, and is read as the fill value, 0
    """

    path: str
    stored: int
    total: int
    fill_value: str

    @property
    def missing(self) -> int:
        """How many chunks are not stored."""
        return self.total - self.stored

    def __str__(self) -> str:
        if not self.missing:
            return f"{self.path}: all of its {self.total:,} chunks are stored"
        be = "is" if self.missing == 1 else "are"
        return (
            f"{self.path}: {self.missing:,} of {self.total:,} chunks {be} not stored, and {be} read as the fill value,"
            f" {self.fill_value}"
        )


@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """An image, and what it says about itself.

    Attributes
    ----------
    array : array-like
        Anything with shape, dtype and slicing.
    chunks : tuple of sequence of int
        The sizes of the pieces in which it is stored or computed, per axis.
    dims : tuple of str, optional
        Names of the axes.
    scale, translation : dict of str to float
        By name of the axis, for axes where they are known.
    units, orientations : dict of str to str
        By name of the axis, for axes where they are known.
    name : str, optional
    irregular : tuple of str
        Axes whose coordinates are not regular and rising. They have no scale, so the caller must give one.
    origin : Origin
    buffer_copies : int
        How many copies of a chunk are in memory, besides the result, while it is read: 0 if it is only cut, 2 if it
        is decoded or computed.
    shared : tuple
        Keys of a Dask graph that all blocks need: they are computed once, before the blocks.
    repeated : tuple of int
        Axes along which blocks that are far apart compute the same.
    far : bool
        Whether it is read from a store that answers after some time, but answers many at once.
    omero : dict, optional
        What it says of its channels, in the form of the specification (section "omero"), as far as it goes.
    image_label : dict, optional
        What it says of label values (section "image-label").
    attributes : dict
        Attributes of other programs; those of a group of OME-Zarr under ``ome``.
    systems : tuple of VoxelSystem
        Coordinate systems that its file knows by name.
    ome_xml : str
        The OME-XML of its file, all of it; empty if it has none.
    ome_image : int
        Which of the images that it describes this is.
    left : tuple of str
        What its file or store holds besides, and what of that has no place in OME-Zarr, in words: it is not written.

    Examples
    --------
    It is read where it is sliced, and whole by `numpy.asarray`; Dask takes its `array`.

    >>> image = Source(np.arange(6).reshape(2, 3), chunks=((2,), (3,)))
    >>> image[1], np.asarray(image).shape
    (array([3, 4, 5]), (2, 3))
    """

    array: Any
    chunks: Chunks
    dims: tuple[str, ...] | None = None
    scale: Mapping[str, float] = field(default_factory=dict)
    translation: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    orientations: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    irregular: tuple[str, ...] = ()
    origin: Origin = Origin()
    buffer_copies: int = 2
    shared: tuple[Any, ...] = ()
    repeated: tuple[int, ...] = ()
    far: bool = False
    omero: Mapping[str, Any] | None = None
    image_label: Mapping[str, Any] | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    systems: tuple[VoxelSystem, ...] = ()
    ome_xml: str = field(default="", hash=False)
    ome_image: int = 0
    left: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """The shape, as whole numbers."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> str:
        """The name of the dtype, whatever its byte order."""
        return str(np.dtype(self.array.dtype).newbyteorder("=").name)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def by_axes(self, names: Sequence[str]) -> "Source":
        """Return it with other names of its dimensions, and what it knows of them."""
        to = dict(zip(self.dims or names, names, strict=True))
        return replace(
            self,
            dims=tuple(names),
            scale={to[name]: value for name, value in self.scale.items() if name in to},
            translation={to[name]: value for name, value in self.translation.items() if name in to},
            units={to[name]: unit for name, unit in self.units.items() if name in to},
            orientations={to[name]: value for name, value in self.orientations.items() if name in to},
            irregular=tuple(to[name] for name in self.irregular if name in to),
            systems=tuple(system.renamed(to) for system in self.systems),
        )

    def __getitem__(self, region: Any) -> Any:
        """Read a region, as of the array."""
        return self.array[region]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read all of it: NumPy would else make an array of one object."""
        if copy is False:
            raise ValueError("pixels that are read are copied; leave copy out")
        return np.asarray(self.array[...], dtype)

    def __repr__(self) -> str:
        return "\n".join([format_table(self._title, SOURCE_HEAD, self._rows), *self._lines])

    def _repr_html_(self) -> str:
        lines = "<br>".join(map(escape, self._lines))
        return format_html_table(self._title, SOURCE_HEAD, self._rows) + f"<p>{lines}</p>"

    @property
    def _title(self) -> str:
        nbytes = prod(self.shape) * np.dtype(self.dtype).itemsize
        return f"image {self.name or '(no name)'}: {self.dtype}, {format_nbytes(nbytes)}"

    @property
    def _rows(self) -> list[list[str]]:
        """What is known along each axis."""
        dims = self.dims or tuple("?" * len(self.shape))
        vectors = (self.scale, self.translation)
        numbers = [[f"{v[dim]:.10g}" if dim in v else "–" for v in vectors] for dim in dims]
        pieces = (str(max(sizes, default=0)) for sizes in self.chunks)
        return [
            [dim, str(n), piece, *known, self.units.get(dim, "–")]
            for dim, n, piece, known in zip(dims, self.shape, pieces, numbers, strict=True)
        ]

    @property
    def _lines(self) -> list[str]:
        """What else it says of itself, and what of it is not written."""
        listed = (self.omero or {}).get("channels")
        named = [str(channel.get("label")) for channel in listed or () if isinstance(channel, Mapping)]
        oriented = [f"{axis} {value}" for axis, value in self.orientations.items()]
        return [
            *[f"from: {self.origin.path}"] * bool(self.origin.path),
            *[f"orientation: {', '.join(oriented)}"] * bool(oriented),
            *[f"channels: {', '.join(named)}"] * bool(named),
            *[f"attributes: {', '.join(map(str, self.attributes))}"] * bool(self.attributes),
            *[f"coordinate systems: {', '.join(one.name for one in self.systems)}"] * bool(self.systems),
            *(f"not written: {what}" for what in self.left),
        ]


@dataclass(frozen=True, slots=True)
class Volume:
    """An image without pixels: its shape, dtype and chunks, which is all that planning needs.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
    chunks : tuple of int, optional
        The chunks in which it will be stored. Without them it can be cut anywhere, like a NumPy array.

    Examples
    --------
    >>> import daskome
    >>> petabyte = daskome.Volume((100_000, 100_000, 100_000), "uint8", chunks=(128, 128, 128))
    >>> daskome.plan_image(petabyte, memory="8GB").amplification
    1.0
    """

    shape: Shape
    dtype: str
    chunks: Shape | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _lengths(self.shape, "shape"))
        object.__setattr__(self, "dtype", _dtype(self.dtype))
        if self.chunks is not None:
            object.__setattr__(self, "chunks", _lengths(self.chunks, "chunks"))
            if len(self.chunks) != len(self.shape):
                raise ValueError(f"chunks {self.chunks} must have one length for each of shape {self.shape}")

    @property
    def source(self) -> Source:
        """The volume as a source."""
        return Source(self, regular_chunks(self.shape, self.chunks or (1,) * len(self.shape)))

    def __getitem__(self, region: Any) -> Any:
        """Raise a TypeError: there are no pixels."""
        raise TypeError(NO_PIXELS)


NO_PIXELS = "a daskome.Volume can only be planned: it has no pixels to write; give the image itself"


def _lengths(values: Any, what: str) -> Shape:
    """Return whole, positive numbers."""
    try:
        lengths = tuple(index(value) for value in values)
    except TypeError as error:
        raise ValueError(f"{what} {values!r} must be whole numbers, one per axis, as in (512, 2048, 2048)") from error
    if min(lengths, default=1) < 1:
        raise ValueError(f"{what} {lengths} must be positive")
    return lengths


def _dtype(value: Any) -> str:
    try:
        return str(np.dtype(value).newbyteorder("=").name)
    except TypeError as error:
        raise ValueError(f"dtype {value!r} is not known; it is a name such as uint8, uint16 or float32") from error
