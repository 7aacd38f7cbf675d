"""What is there: a stored image as far as it can be read, whoever wrote it. What can't be read is a `Problem`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome import storage
from daskome.axes import Axis
from daskome.layout import Layout
from daskome.metadata import VERSIONS, Channel, Dataset, Multiscale, Version, read_multiscale, version_of
from daskome.methods import METHODS, Method
from daskome.problem import Problem
from daskome.pyramid import DTYPES, Level, Pyramid, write_block
from daskome.regions import ceil_div

JSON = Mapping[str, Any]
Array = zarr.Array[Any]
Numbers = tuple[float, ...]

FACTOR_MAX = 1024
"""Windows that reach beyond the image are taken for true up to so many times its size; halos grow with them."""


@dataclass(frozen=True, slots=True)
class FoundLevel:
    """One dataset of an image: what its metadata say, and its array, where there is one.

    Attributes
    ----------
    k : int
        Where it stands among the datasets.
    dataset : Dataset
    kinds : tuple of str
        The types of its transformations, in their order.
    array : zarr.Array, optional
    """

    k: int
    dataset: Dataset
    kinds: tuple[str, ...]
    array: Array | None

    @property
    def where(self) -> str:
        """The level's address in the metadata."""
        return _address(self.k)


@dataclass(frozen=True, slots=True)
class Found:
    """An image as far as it can be read.

    Attributes
    ----------
    zarr_format : int
        Of its group.
    attributes : dict
        Of its group.
    multiscale : Multiscale
        Without datasets and channels, which are read one by one.
    levels : tuple of FoundLevel
        Those whose metadata can be read.
    problems : tuple of Problem
        Why the others can't.
    """

    zarr_format: int
    attributes: JSON
    multiscale: Multiscale
    levels: tuple[FoundLevel, ...]
    problems: tuple[Problem, ...]

    @property
    def ome(self) -> JSON:
        """The attributes of OME-Zarr."""
        found: JSON = self.attributes.get("ome", self.attributes)
        return found

    @property
    def lacks_version(self) -> bool:
        """Whether metadata under ``ome`` don't say their version; at the top level, they need not."""
        return "ome" in self.attributes and not isinstance(self.ome.get("version"), str)

    @property
    def version(self) -> Version | None:
        """The version, or the likeliest if it is missing; None for one that daskome doesn't know."""
        return version_of(self.zarr_format) if self.lacks_version else VERSIONS.get(self.multiscale.version)

    @property
    def method(self) -> Method | None:
        """The method that the metadata name, None if it is unknown; a function to import is one of windows."""
        name = self.multiscale.method
        if not isinstance(name, str) or (name not in METHODS and ":" not in name):
            return None
        return METHODS.get(name) or Method(name, _not_loaded)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes, as the metadata say."""
        return self.multiscale.axes

    @property
    def names(self) -> list[str]:
        """The names of the axes."""
        return [axis.name for axis in self.axes]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels; raises a ValueError if one of them can't be read."""
        return _read(self.attributes, [], self.ome.get("omero")).channels

    @property
    def stored(self) -> list[tuple[FoundLevel, Array]]:
        """The levels that have an array."""
        return [(level, level.array) for level in self.levels if level.array is not None]

    @property
    def complete(self) -> list[tuple[FoundLevel, Array]]:
        """The levels with an array, a scale and a translation that fit the axes."""
        return [(level, array) for level, array in self.stored if _is_complete(level.dataset, array, len(self.axes))]


def find(place: StorePath) -> Found | Problem:
    """Return the image at a place as far as it can be read, or why none can."""
    try:
        group = storage.find_group(place)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return Problem("group", f"can't be read: {reason(error)}")
    if group is None:
        return Problem("group", f"there is no zarr group at {place}")
    if storage.MARK in group.attrs:
        return Problem("group", "the image is unfinished: writing it was not completed")
    return _find_image(place, group.metadata.zarr_format, group.attrs.asdict())


def read_pyramid(target: Any, fs_options: Mapping[str, Any] | None = None) -> Pyramid:
    """Return a stored image as a `Pyramid`: shapes, chunks, shards, codecs, scales of all levels that can be read.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
    fs_options : dict, optional
        For the file system of a URL.

    Raises
    ------
    ValueError
        If there is no image, or no level of it can be read.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 50), "uint8"), store, [2], axes="yx")
    >>> [(level.path, level.shape, level.scale) for level in read_pyramid(store).levels]
    [('s0', (64, 50), (1.0, 1.0)), ('s1', (32, 25), (2.0, 2.0))]
    """
    found = find(storage.locate(target, fs_options, read_only=True))
    if isinstance(found, Problem):
        raise ValueError(str(found))
    if not found.complete:
        raise ValueError("; ".join(map(str, found.problems)) or "no level of the image can be read; verify says why")
    return pyramid_of(found)


def pyramid_of(found: Found) -> Pyramid:
    """Return the complete levels of an image, at least one, as a pyramid. No method is imported."""
    levels = zip(found.complete, factors_of(found), strict=True)
    return Pyramid(
        found.multiscale.name,
        found.axes,
        dtype_of(found.complete[0][1]),
        found.method or Method(str(found.multiscale.method), _not_loaded),
        tuple(_level(level.dataset, array, factors, found.axes) for (level, array), factors in levels),
    )


def factors_of(found: Found) -> list[Numbers]:
    """Return how many voxels of level 0 one voxel of each complete level spans: whole where shapes allow."""
    first, largest = found.complete[0]
    base, shape = first.dataset.scale, largest.shape
    return [
        tuple(map(_factor, shape, array.shape, (b / a for a, b in zip(base, level.dataset.scale, strict=True))))
        for level, array in found.complete
    ]


def fits(n: int, m: int, factor: int) -> bool:
    """Whether windows of `factor` make m voxels of n; other writers drop the window that the edge cuts.

    >>> fits(101, 51, 2), fits(101, 50, 2), fits(101, 50, 3)
    (True, True, False)
    """
    return 1 <= factor <= FACTOR_MAX * n and m in (ceil_div(n, factor), n // factor)


def layout_of(array: Array) -> Layout:
    """Return how an array is stored; raises for what has no regular chunks."""
    codecs = [c.to_dict() if hasattr(c, "to_dict") else c.get_config() for c in array.compressors]
    options = {"zarr_format": array.metadata.zarr_format, "compressors": codecs}
    return Layout(tuple(array.chunks), tuple(array.shards) if array.shards else None, options)


def dtype_of(array: Array) -> str:
    """Return the name of the dtype, whatever its byte order; raises for what are no numbers."""
    return str(array.dtype.newbyteorder("="))


def reason(error: BaseException) -> str:
    """Return what an error says, with its type where that is half of it."""
    return str(error) if isinstance(error, ValueError) and str(error) else repr(error)


def _find_image(place: StorePath, zarr_format: int, attributes: JSON) -> Found | Problem:
    try:
        multiscale = _read(attributes, [])
        datasets = list(attributes.get("ome", attributes)["multiscales"][0]["datasets"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return Problem("multiscales", reason(error))
    found = [_find_level(place, attributes, k, dataset) for k, dataset in enumerate(datasets)]
    found = found or [Problem("multiscales/datasets", "there are none")]
    levels = tuple(level for level in found if isinstance(level, FoundLevel))
    return Found(zarr_format, attributes, multiscale, levels, tuple(p for p in found if isinstance(p, Problem)))


def _read(attributes: JSON, datasets: Sequence[Any], omero: Any = None) -> Multiscale:
    """Read a multiscale with these datasets and channels only, so that each problem stands alone."""
    ome = attributes.get("ome", attributes)
    multiscales = [{**multiscale, "datasets": datasets} for multiscale in (ome.get("multiscales") or ())[:1]]
    return read_multiscale({"version": ome.get("version"), "multiscales": multiscales, "omero": omero})


def _find_level(place: StorePath, attributes: JSON, k: int, raw: Any) -> FoundLevel | Problem:
    try:
        dataset = _read(attributes, [raw]).datasets[0]
        kinds = tuple(str(transform["type"]) for transform in raw.get("coordinateTransformations", ()))
        return FoundLevel(k, dataset, kinds, _open(place, dataset.path))
    except Exception as error:  # Whatever a broken document makes zarr raise is a finding.
        return Problem(_address(k), reason(error))


def _open(place: StorePath, path: str) -> Array | None:
    if ".." in path.split("/") or not path.strip("/."):
        raise ValueError(f"path {path!r} does not lead to an array inside the group")
    array = storage.find_array(place / path)
    if array is not None:
        layout_of(array), dtype_of(array)
    return array


def _is_complete(dataset: Dataset, array: Array, ndim: int) -> bool:
    vectors = (dataset.scale, dataset.translation)
    fit = array.ndim == ndim and all(len(v) == ndim and all(map(isfinite, v)) for v in vectors)
    return fit and min(dataset.scale) > 0 and 0 not in array.shape and dtype_of(array) in DTYPES


def _level(dataset: Dataset, array: Array, factors: Numbers, axes: Sequence[Axis]) -> Level:
    layout, shape, itemsize = layout_of(array), tuple(array.shape), array.dtype.itemsize
    return Level(
        dataset.path,
        shape,
        layout,
        write_block(shape, layout.objects, axes, itemsize),
        write_block(shape, layout.chunks, axes, itemsize),
        factors,
        dataset.scale,
        dataset.translation,
    )


def _factor(n: int, m: int, stated: float) -> float:
    """Return the stated factor from n voxels to m if shapes agree, or else what they say."""
    near = round(n / m)
    candidates = (round(stated) if isfinite(stated) else 0, near, near + 1, near - 1)
    return next((factor for factor in candidates if fits(n, m, factor)), n / m)


def _not_loaded(*args: Any) -> Any:
    raise ValueError("the method that made this pyramid is not loaded")


def _address(k: int) -> str:
    return f"multiscales/datasets/{k}"
