"""A stored image as far as it can be read, whichever program wrote it; what cannot be read becomes a `Problem`."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome.kernels.methods import METHODS, Method, stored_method
from daskome.model.axes import Axis
from daskome.model.image import DTYPES
from daskome.model.json_values import JSONObject
from daskome.model.limits import default_limits
from daskome.model.paths import is_inside
from daskome.model.problem import Problem
from daskome.model.pyramid import Level, Pyramid, write_block
from daskome.model.regions import ceil_div
from daskome.model.storage.layout import Layout
from daskome.ome.detect import ome_of, version_in
from daskome.ome.metadata import Multiscale, PlacedDataset
from daskome.ome.omero import Channel, read_omero
from daskome.ome.read import read_level, read_without_levels
from daskome.ome.versions import Version, likely_version, stated_version, version_of
from daskome.stores.arrays import resized
from daskome.stores.documents import read_json
from daskome.stores.groups import UNFINISHED_KEY, as_image, change_in, find_array, find_group, no_group
from daskome.stores.location import locate
from daskome.stores.objects.damage import reason
from daskome.stores.remembered import for_each

Array = zarr.Array[Any]
Numbers = tuple[float, ...]
FACTOR_MAX = 1024
"""The largest factor that is believed, as a multiple of the image's size; halos grow with factors."""
LONGEST = 2**63 - 1
"""The longest axis that an array can have."""


@dataclass(frozen=True, slots=True)
class StoredLevel:
    """One dataset of an image: its metadata, and its array if that can be opened.

    Attributes
    ----------
    k : int
        Its index among the datasets.
    dataset : PlacedDataset
    kinds : tuple of str
        The types of its transformations, in their order.
    array : zarr.Array, optional
    document : dict
        The document of the array, as it is stored.
    multiscale : int
        Index of the multiscale that it is a level of.
    """

    k: int
    dataset: PlacedDataset
    kinds: tuple[str, ...]
    array: Array | None
    document: JSONObject = field(default_factory=dict, hash=False)
    multiscale: int = 0

    @property
    def where(self) -> str:
        """The level's address in the metadata."""
        return _address(self.k, self.multiscale)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as far as it can be read.

    Attributes
    ----------
    zarr_format : int
        Of its group.
    attributes : dict
        Of its group.
    multiscale : Multiscale
        Without datasets, which are read one by one.
    levels : tuple of StoredLevel
        The levels whose metadata can be read.
    problems : tuple of Problem
        Why others cannot be read, or arrays cannot be opened.
    index : int
        Index among the multiscales of the group.
    against : Version, optional
        The version to check it against, instead of the stated one.
    """

    zarr_format: int
    attributes: JSONObject
    multiscale: Multiscale
    levels: tuple[StoredLevel, ...]
    problems: tuple[Problem, ...]
    index: int = 0
    against: Version | None = None

    @property
    def where(self) -> str:
        """The image's address in the metadata."""
        return f"multiscales/{self.index}"

    @property
    def ome(self) -> JSONObject:
        """The attributes of OME-Zarr."""
        return ome_of(self.attributes)

    @property
    def stated(self) -> str:
        """The version that the metadata state, known or not; the likeliest if they do not state one."""
        return version_in(self.attributes) or likely_version(self.attributes).name

    @property
    def lacks_version(self) -> bool:
        """Whether metadata under ``ome`` lack their version; at the top level it is optional."""
        return "ome" in self.attributes and not isinstance(self.ome.get("version"), str)

    @property
    def version(self) -> Version | None:
        """The version, or the likeliest if it is missing; None for an unknown one."""
        if self.against:
            return self.against
        return version_of(self.zarr_format) if self.lacks_version else stated_version(self.stated)

    @property
    def method(self) -> Method | None:
        """The method that the metadata name, None if it is unknown; one to be imported is not imported."""
        name = self.multiscale.method
        if not isinstance(name, str) or (name not in METHODS and ":" not in name):
            return None
        return stored_method(name)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes, from the metadata."""
        return self.multiscale.axes

    @property
    def names(self) -> list[str]:
        """The names of the axes."""
        return [axis.name for axis in self.axes]

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels; raises a ValueError if one of them cannot be read."""
        omero = self.ome.get("omero")
        return () if omero is None else read_omero(omero).channels or ()

    @property
    def stored(self) -> list[tuple[StoredLevel, Array]]:
        """The levels that have an array."""
        return [(level, level.array) for level in self.levels if level.array is not None]

    @property
    def complete(self) -> list[tuple[StoredLevel, Array]]:
        """The levels with an array, a scale and a translation that fit the axes."""
        return [(level, array) for level, array in self.stored if _is_complete(level.dataset, array, len(self.axes))]


def read_stored_image(store_path: StorePath) -> StoredImage | Problem:
    """Return the image in a group as far as it can be read, or why it cannot."""
    try:
        group = find_group(store_path)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        return Problem("group", f"cannot be read: {reason(error)}")
    if group is None:
        return Problem("group", no_group(store_path))
    if UNFINISHED_KEY in group.attrs:
        return unfinished(group.attrs.asdict())
    return stored_image_of(store_path, group.metadata.zarr_format, group.attrs.asdict())


def unfinished(attributes: JSONObject) -> Problem:
    """Return what is wrong with a group that says that it is unfinished."""
    noted = change_in(attributes)
    if noted is None:
        return Problem("group", "the image is unfinished: writing it was not completed")
    return Problem(
        "group",
        "the image is unfinished: changing it, by update or append, was not completed; the same call with resume=True"
        " (--resume) goes on",
    )


def changing_image(store_path: StorePath) -> tuple[StoredImage | Problem, JSONObject] | None:
    """Return an image that is being changed as it was before, and what its mark notes; None where there is none."""
    group = find_group(store_path)
    noted = None if group is None else change_in(group.attrs.asdict())
    if group is None or noted is None:
        return None
    image = stored_image_of(store_path, group.metadata.zarr_format, as_image(group.attrs.asdict()))
    return (image if isinstance(image, Problem) else with_shapes(image, noted["shapes"])), noted


def with_shapes(image: StoredImage, shapes: Sequence[Sequence[int]]) -> StoredImage:
    """Return an image whose arrays have these shapes."""
    levels = iter(shapes)
    sized = (
        level if level.array is None else replace(level, array=resized(level.array, tuple(next(levels))))
        for level in image.levels
    )
    return replace(image, levels=tuple(sized))


def stored_image_of(
    store_path: StorePath, zarr_format: int, attributes: JSONObject, index: int = 0, against: Version | None = None
) -> StoredImage | Problem:
    """Return the image that the attributes of a group describe, as far as it can be read, or why it cannot.

    Parameters
    ----------
    place : StorePath
        Of the group.
    zarr_format : int
    attributes : dict
        Of the group.
    index : int
        Which of the multiscales.
    against : Version, optional
        The version to check it against, instead of the stated one.
    """
    try:
        multiscale, datasets = read_without_levels(attributes, index)
    except ValueError as error:
        return Problem("multiscales", str(error))
    find = partial(_find_level, store_path, multiscale, index)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = for_each(store_path, lambda k: find(k, datasets[k]), range(len(datasets)))
    problems = (
        [problem for _, problem in pairs if problem] if pairs else [Problem(_address("", index), "there are none")]
    )
    levels = tuple(level for level, _ in pairs if level)
    return StoredImage(zarr_format, attributes, multiscale, levels, tuple(problems), index, against)


def read_document(store_path: StorePath, name: str) -> Any:
    """Return a JSON document as it is stored, or None if it is missing or not JSON."""
    try:
        return read_json(store_path / name)
    except (ValueError, RecursionError):
        return None


def read_pyramid(target: Any, fs_options: Mapping[str, Any] | None = None) -> Pyramid:
    """Return a stored image as a `Pyramid`: shapes, chunks, shards, codecs, scales of all levels.

    Parameters
    ----------
    target : str, path, zarr.Group or zarr store
    fs_options : dict, optional
        For the file system of a URL.

    Raises
    ------
    ValueError
        If there is no image, or one of its levels cannot be read.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.ones((64, 50), "uint8"), store, [2], axes="yx")
    >>> [(level.path, level.shape, level.scale) for level in read_pyramid(store).levels]
    [('s0', (64, 50), (1.0, 1.0)), ('s1', (32, 25), (2.0, 2.0))]
    """
    image = read_stored_image(locate(target, fs_options, read_only=True))
    if isinstance(image, Problem):
        raise ValueError(str(image))
    if image.problems or not image.complete:
        raise ValueError("; ".join(map(str, image.problems)) or "no level of the image can be read; verify says why")
    return pyramid_of(image)


def pyramid_of(image: StoredImage) -> Pyramid:
    """Return the complete levels of an image, at least one, as a pyramid, without importing its method."""
    levels = zip(image.complete, factors_of(image), strict=True)
    return Pyramid(
        image.multiscale.name or "",
        image.axes,
        dtype_of(image.complete[0][1]),
        image.method or stored_method(str(image.multiscale.method)),
        tuple(_level(level.dataset, array, factors, image.axes) for (level, array), factors in levels),
    )


def factors_of(image: StoredImage) -> list[Numbers]:
    """Return how many voxels of level 0 one voxel of each complete level spans: integers where shapes allow."""
    first, largest = image.complete[0]
    base, shape, factors = first.dataset.scale, largest.shape, [(1.0,) * len(first.dataset.scale)]
    for level, array in image.complete:
        stated = (b / a for a, b in zip(base, level.dataset.scale, strict=True))
        factors.append(tuple(map(_factor, shape, array.shape, stated, factors[-1])))
    return factors[1:]


def is_downsampled_length(n: int, m: int, factor: int) -> bool:
    """Whether windows of `factor` make m voxels of n; other writers drop the window that the edge cuts.

    >>> is_downsampled_length(101, 51, 2), is_downsampled_length(101, 50, 2), is_downsampled_length(101, 50, 3)
    (True, True, False)
    """
    return 1 <= factor <= FACTOR_MAX * n and m in (ceil_div(n, factor), n // factor)


def layout_of(array: Array) -> Layout:
    """Return how an array is stored; raises for arrays without regular chunks."""
    codecs = [c.to_dict() if hasattr(c, "to_dict") else c.get_config() for c in array.compressors]
    options = {"zarr_format": array.metadata.zarr_format, "compressors": codecs}
    return Layout(tuple(array.chunks), tuple(array.shards) if array.shards else None, options)


def dtype_of(array: Array) -> str:
    """Return the name of the dtype, whatever its byte order; raises for dtypes that are not numbers."""
    return str(array.dtype.newbyteorder("="))


def _find_level(
    store_path: StorePath, multiscale: Multiscale, index: int, k: int, raw: Any
) -> tuple[StoredLevel | None, Problem | None]:
    """Return a level with its array; or the level alone, or None, with the problem."""
    try:
        dataset, kinds = read_level(multiscale, raw)
    except ValueError as error:
        return None, Problem(_address(k, index), str(error))
    level = StoredLevel(k, dataset, kinds, None, {}, index)
    try:
        if not is_inside(dataset.path):
            raise ValueError(f"path {dataset.path!r} does not lead to an array inside the group")
        place = store_path / dataset.path
        level = replace(level, document=_document_of_array(place))
        return replace(level, array=_open(place)), None
    except Exception as error:  # Broken documents make zarr raise errors of many types.
        return level, Problem(_address(k, index), reason(error))


def _document_of_array(store_path: StorePath) -> JSONObject:
    documents = (read_document(store_path, name) for name in ("zarr.json", ".zarray"))
    return next((one for one in documents if isinstance(one, dict)), {})


def _open(store_path: StorePath) -> Array | None:
    array = find_array(store_path)
    if array is not None:
        if not isinstance(array.metadata.attributes, Mapping):
            raise ValueError(f"attributes {array.metadata.attributes!r} of the array are not an object")
        layout_of(array), dtype_of(array)
    return array


def _is_complete(dataset: PlacedDataset, array: Array, ndim: int) -> bool:
    vectors = (dataset.scale, dataset.translation)
    fit = array.ndim == ndim and all(len(v) == ndim and all(map(isfinite, v)) for v in vectors)
    real = min(array.shape) > 0 and max(array.shape) <= LONGEST if array.ndim else False
    return fit and real and min(dataset.scale) > 0 and dtype_of(array) in DTYPES


def _level(dataset: PlacedDataset, array: Array, factors: Numbers, axes: Sequence[Axis]) -> Level:
    layout, shape, itemsize = layout_of(array), tuple(array.shape), array.dtype.itemsize
    return Level(
        dataset.path,
        shape,
        layout,
        write_block(shape, layout.objects, axes, itemsize, default_limits()),
        write_block(shape, layout.chunks, axes, itemsize, default_limits()),
        factors,
        dataset.scale,
        dataset.translation,
    )


def _factor(n: int, m: int, stated: float, before: float) -> float:
    """Return the stated factor from n voxels to m if shapes agree with it, else that of the shapes.

    A multiple of the factor of the level below comes first: 6 of 100 voxels were 12 before, so they span 16 each.
    """
    near = round(n / m)
    ratio = stated if isfinite(stated) else 0.0
    candidates = (round(ratio), near, near + 1, near - 1, *(int(before) * k for k in (round(ratio / before), 2, 3, 4)))
    fitting = [factor for factor in candidates if is_downsampled_length(n, m, factor)]
    return next((factor for factor in fitting if factor % before == 0), next(iter(fitting), n / m))


def _address(k: int | str, index: int) -> str:
    return f"multiscales/{index}/datasets/{k}".rstrip("/")
