"""The types of arguments, each named once; `daskome.writer` says what they mean.

They stand at the bottom of the house, since every public call uses them. zarr is imported for type checkers only, so
that planning does not wait for it; so is what lies above.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from os import PathLike as AnyPathLike
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, Union

from daskome.model.axes import AxesLike as AxesLike, OrientationLike as OrientationLike
from daskome.model.factors import ScaleFactors as ScaleFactors
from daskome.model.source import Source
from daskome.model.storage.level_options import StorageOptions as StorageOptions
from daskome.model.text import Progress as Progress, ShowProgress as ShowProgress

if TYPE_CHECKING:
    import zarr
    from zarr.abc.store import Store
    from zarr.storage import StorePath

    from daskome.ome.omero import Channel


class ArrayLike(Protocol):
    """What has a shape, a dtype and slicing: NumPy, Dask, zarr, xarray and HDF5 arrays, `daskome.Volume`."""

    @property
    def shape(self) -> tuple[Any, ...]:
        """The lengths of the axes."""
        ...

    @property
    def dtype(self) -> Any:
        """A NumPy dtype, or what NumPy makes one of."""
        ...

    def __getitem__(self, region: Any, /) -> Any:
        """Return a part, by one slice per axis."""
        ...


class HasVersion(Protocol):
    """What names a version of OME-Zarr, such as the classes of `daskome.format` and of ``ome_zarr.format``."""

    @property
    def version(self) -> str:
        """Such as "0.5"."""
        ...


ImageLike = ArrayLike | Source
"""An array, or what `daskome.read` returns."""
PathLike: TypeAlias = Union[str, "AnyPathLike[str]"]
"""A path or URL."""
GroupLike: TypeAlias = Union[PathLike, "zarr.Group", "Store", "StorePath"]
FormatLike = str | float | HasVersion
PerAxis = float | Sequence[float] | Mapping[str, float]
UnitsLike = str | Mapping[str, str]
ChunksLike = int | Sequence[int] | Mapping[str, int]
MethodLike = str | Enum | Callable[..., Any]
FunctionLike = str | Callable[..., Any]
ChannelsLike: TypeAlias = bool | Sequence[Union[str, Mapping[str, Any], "Channel"]]
LabelsLike = ImageLike | Mapping[str, Any]
"""A label image, or a dict of ``labels`` and arguments of `daskome.write_labels`."""
ColorsLike = bool | Mapping[int, Sequence[int]] | Sequence[Mapping[str, Any]]
PropertiesLike = Mapping[int, Mapping[str, Any]] | Sequence[Mapping[str, Any]]
SystemsLike = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Coordinate systems by name, each with a matrix or a transformation; or as the specification lists them."""
TransformationsLike = Sequence[Any]
"""Transformations as the specification lists them; or as ``ome_zarr`` takes them, a list for each level."""
FieldsLike = ImageLike | Sequence[ImageLike]
WellLike = FieldsLike | Mapping[int, FieldsLike]
WellsLike = Mapping[Any, WellLike]
"""Keys are "A/1" or ("A", 1); a union of their types would refuse dicts of one, as `Mapping` is invariant in them."""
SeriesLike: TypeAlias = PathLike | Sequence[PathLike | ImageLike]
"""A file with images, or a list of images and of such files."""
FileSystemOptions = Mapping[str, Any]
SpanLike: TypeAlias = Union[int, slice, Sequence[int | None], "EllipsisType"]
RegionLike = SpanLike | Mapping[str, SpanLike] | Sequence[SpanLike]
"""A part of an image: by axis name, or as NumPy is indexed, with (start, stop) pairs, too."""
Nbytes = int | str
"""Bytes, or text such as "2GB"."""
Compute = bool | Literal["init"]
