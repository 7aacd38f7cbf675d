"""`daskome.open`: what is at a place, to be read."""

from collections.abc import Callable, Mapping
from functools import partial

from zarr.storage import StorePath

from daskome.inspection.hierarchy import nodes
from daskome.inspection.stored_image import StoredImage, stored_image_of
from daskome.model.axes import channel_axis
from daskome.model.json_values import JSONObject
from daskome.model.paths import paths_inside
from daskome.model.problem import Problem
from daskome.model.types import FileSystemOptions, GroupLike, PerAxis
from daskome.ome.detect import kinds_of, list_objects, ome_of
from daskome.ome.image_label import LABELS
from daskome.ome.omero import Channel, n_channels
from daskome.ome.read import read_metadata
from daskome.reading.images import OpenGroup, OpenImage, OpenPlate
from daskome.reading.levels import Choice, OpenLevel
from daskome.reading.members import Members
from daskome.reading.systems import systems_of
from daskome.stores.groups import UNFINISHED_KEY, find_array, find_group, listed_labels, no_group
from daskome.stores.location import locate


def open(
    url: GroupLike,
    level: int | str | None = None,
    scale: PerAxis | None = None,
    multiscale: int | str = 0,
    fs_options: FileSystemOptions | None = None,
) -> OpenImage | OpenPlate | OpenGroup:
    """Open an OME-Zarr image to read it, as Dask or xarray arrays; or a plate, a well or another group of images.

    Parameters
    ----------
    url : str, path, zarr.Group or zarr store
    level : int or str, optional
        Which level: its index (-1 is the coarsest), or its path; by default the finest.
    scale : float, sequence of float, or dict of str to float, optional
        Or how large a voxel may be, in the units of the axes: one number for all axes of space, or by axis, as in
        ``{"z": 2}``. The coarsest level that is fine enough is chosen; the finest, if none is.
    multiscale : int or str
        Which of several images of the group: its index or its name.
    fs_options : dict, optional
        For the file system of a URL, such as credentials.

    Returns
    -------
    OpenImage, OpenPlate or OpenGroup
        An image has `dask` and `xarray`, `levels`, `labels`, `channels` and `systems`; a plate has `wells`, and a well,
        as any other group of images, has `images`. Documents are read now, pixels when arrays are computed.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is no image and no group of images, if it is unfinished, or has no such level.
    TypeError
        If the level is neither an index nor a path.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> import daskome
    >>> store, image = zarr.storage.MemoryStore(), np.ones((64, 50), "uint8")
    >>> plan = daskome.write_image(image, store, [2], "brain", axes="yx", scale=0.5, axes_units="micrometer")
    >>> daskome.open(store, scale={"y": 1.5}).dask
    dask.array<from-zarr, shape=(32, 25), dtype=uint8, chunksize=(32, 25), chunktype=numpy.ndarray>
    >>> daskome.open(store, level="s1").xarray.y.values[:3]
    array([0.25, 1.25, 2.25])
    """
    return open_place(locate(url, fs_options, read_only=True), Choice(level, scale), multiscale)


def open_place(store_path: StorePath, choice: Choice, multiscale: int | str = 0) -> OpenImage | OpenPlate | OpenGroup:
    """As `open`, of a place."""
    attributes, zarr_format = _attributes(store_path)
    kinds = kinds_of(attributes)
    if "image" in kinds:
        return _image(store_path, zarr_format, attributes, choice, multiscale)
    opened = next((row for kind, row in GROUPS.items() if kind in kinds), None)
    if opened is None:
        raise ValueError(f"{store_path} is no image, plate or well of OME-Zarr; daskome info shows what is there")
    return opened(store_path, attributes, choice)


def _attributes(store_path: StorePath) -> tuple[JSONObject, int]:
    """Return the attributes and the zarr format of a group that is finished."""
    group = find_group(store_path)
    if group is None and find_array(store_path) is not None:
        raise ValueError(f"{store_path} is an array: open the image that it is a level of, and choose it with level=")
    if group is None:
        raise FileNotFoundError(no_group(store_path))
    attributes = group.attrs.asdict()
    if UNFINISHED_KEY in attributes:
        raise ValueError(
            f"{store_path} holds an unfinished image: not all of it is written. Finish it first: write it with"
            " resume=True (--resume), or, if it is written in parts, daskome.finish"
        )
    return attributes, group.metadata.zarr_format


def open_image(store_path: StorePath, choice: Choice) -> OpenImage:
    """Return the image at a place; raise a ValueError if it is something else."""
    opened = open_place(store_path, choice)
    if not isinstance(opened, OpenImage):
        raise ValueError(f"{store_path} is not an image, though what is above lists it as one")
    return opened


def _image(
    store_path: StorePath, zarr_format: int, attributes: JSONObject, choice: Choice, multiscale: int | str
) -> OpenImage:
    names = tuple(str(m.get("name") or "") for m in list_objects(ome_of(attributes), "multiscales"))
    image = stored_image_of(store_path, zarr_format, attributes, _index(names, multiscale))
    if isinstance(image, Problem):
        raise ValueError(f"{store_path}: {image}")
    if not image.complete:
        raise ValueError(f"{store_path}: no level can be read: {'; '.join(map(str, image.problems))}")
    channels, problems = _channels(image)
    levels = _levels(image, channels)
    level = _chosen(store_path, image, levels, choice)
    listed = () if "image-label" in kinds_of(attributes) else tuple(listed_labels(store_path))
    return OpenImage(
        store_path,
        zarr_format,
        image.stated,
        image.multiscale.name or "",
        level,
        levels,
        channels,
        Members("label image", listed, partial(_label, store_path, level)),
        _object(image.ome, "image-label"),
        names,
        (*image.problems, *problems),
        systems_of(image.multiscale, level.scale, level.translation),
    )


def _index(names: tuple[str, ...], multiscale: int | str) -> int:
    """Return the index of the image that is wanted."""
    known = dict(zip(reversed(names), range(len(names) - 1, -1, -1), strict=True))
    index = known.get(multiscale) if isinstance(multiscale, str) else multiscale
    if index is None or not 0 <= index < max(len(names), 1):
        listed = ", ".join(f"{i} ({name!r})" for i, name in enumerate(names))
        raise ValueError(f"there is no multiscale {multiscale!r}; there are {listed}")
    return index


def _levels(image: StoredImage, channels: tuple[Channel, ...]) -> tuple[OpenLevel, ...]:
    labelled = tuple(channel.label or f"channel {i}" for i, channel in enumerate(channels))
    has_axis = channel_axis(image.axes) is not None
    return tuple(
        OpenLevel(
            level.k,
            level.dataset.path,
            array,
            image.axes,
            level.dataset.scale,
            level.dataset.translation,
            labelled if has_axis else (),
            image.multiscale.name or "",
        )
        for level, array in image.complete
    )


def _chosen(store_path: StorePath, image: StoredImage, levels: tuple[OpenLevel, ...], choice: Choice) -> OpenLevel:
    """Return the level that is wanted; where there is none, the error says where, and what cannot be read."""
    try:
        return choice.of(levels)
    except ValueError as error:
        raise ValueError("; ".join([f"{store_path}: {error}", *map(str, image.problems)])) from error


def _channels(image: StoredImage) -> tuple[tuple[Channel, ...], list[Problem]]:
    """Return the channels, if they are as many as the image has, or why they are left out."""
    try:
        channels = image.channels
    except ValueError as error:
        return (), [Problem("omero/channels", str(error), warning=True)]
    n = n_channels(image.axes, image.complete[0][1].shape)
    if channels and len(channels) != n:
        said = f"are {len(channels)}, but the image has {n}: their names are left out"
        return (), [Problem("omero/channels", said, warning=True)]
    return channels, []


def _label(store_path: StorePath, level: OpenLevel, name: str) -> OpenImage:
    """Return a label image, its level chosen by the voxels of its image along the axes that both have."""
    labels = open_image(store_path / LABELS / name, Choice())
    wanted = {axis.name: size for axis, size in zip(level.axes, level.scale, strict=True) if axis.name in labels.dims}
    return open_image(store_path / LABELS / name, Choice(scale=wanted))


def _plate(store_path: StorePath, attributes: JSONObject, choice: Choice) -> OpenPlate:
    plate = read_metadata(attributes).plate
    assert plate is not None
    paths = tuple(paths_inside(well.path for well in plate.wells))
    wells = Members("well", paths, lambda path: _open_well(store_path / path, choice))
    return OpenPlate(store_path, plate.name or "", plate.rows, plate.columns, wells, plate.acquisitions or ())


def _open_well(store_path: StorePath, choice: Choice) -> OpenGroup:
    attributes, _ = _attributes(store_path)
    return _well(store_path, attributes, choice)


def _well(store_path: StorePath, attributes: JSONObject, choice: Choice) -> OpenGroup:
    well = read_metadata(attributes).well
    if well is None:
        raise ValueError(f"{store_path} is not a well, though its plate lists it as one")
    paths = tuple(paths_inside(field.path for field in well.images))
    acquisitions = {field.path: field.acquisition for field in well.images}
    return OpenGroup(store_path, "well", _members(store_path, paths, choice), acquisitions)


def _others(kind: str, store_path: StorePath, _: JSONObject, choice: Choice) -> OpenGroup:
    """Return the images that a layout of bioformats2raw, a scene or a group of labels lists."""
    role = "label" if kind == LABELS else "image"
    paths = (node.path for node in nodes(store_path) if node.role == role)
    return OpenGroup(store_path, kind, _members(store_path, tuple(paths), choice))


def _members(store_path: StorePath, paths: tuple[str, ...], choice: Choice) -> Members[OpenImage]:
    return Members("image", paths, lambda path: open_image(store_path / path, choice))


def _object(ome: JSONObject, key: str) -> JSONObject:
    value = ome.get(key)
    return value if isinstance(value, Mapping) else {}


GROUPS: Mapping[str, Callable[[StorePath, JSONObject, Choice], OpenPlate | OpenGroup]] = {
    "plate": _plate,
    "well": _well,
    "bioformats2raw": partial(_others, "bioformats2raw layout"),
    "scene": partial(_others, "scene"),
    "labels": partial(_others, "labels"),
}
"""How groups of images are opened, by their kind."""
