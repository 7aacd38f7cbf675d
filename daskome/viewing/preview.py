"""A picture of what is stored: the middle plane of every level, side by side, or the wells of a plate."""

from collections.abc import Collection, Sequence
from math import prod
from os import PathLike
from pathlib import Path

from daskome.model.text import format_numbers
from daskome.model.types import FileSystemOptions, GroupLike
from daskome.reading.images import OpenImage
from daskome.reading.levels import OpenLevel
from daskome.reading.opening import open as open_place
from daskome.viewing.overview import overview
from daskome.viewing.pictures import RGB, beside, captioned, level_picture, scale_bar
from daskome.viewing.planes import ShownChannel, plane_shape, shown_channels

HEIGHT, WIDTH = 512, 1024
"""Of a level in the picture, in pixels; it is not quite twice as large, at most."""
DRAWN_MAX = 2**27
"""Voxels of a plane: of larger ones, every chunk would be read for a picture that shows a few of their voxels."""


def preview(url: GroupLike, path: str | PathLike[str], fs_options: FileSystemOptions | None = None) -> None:
    """Draw an OME-Zarr image into a file: the middle plane of every level side by side, each at its own size.

    Channels have their colours, labels lie over them, and each level has its name, its shape and a scale bar. Planes
    are in the middle of the volume, at the first time. A plate is drawn as its wells, the first field of each.

    Parameters
    ----------
    url : str, path, zarr.Group or zarr store
        The image, the plate, or another group of images.
    path : str or path
        Of the picture; its suffix decides the format.
    fs_options : dict, optional
        For the file system of a URL.

    Raises
    ------
    ImportError
        If Pillow is missing.
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is neither an OME-Zarr image nor a group of images, or an unfinished one; or if no format of pictures has
        such a suffix.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from daskome import preview, write_image
    >>> folder = tempfile.mkdtemp()
    >>> plan = write_image(np.eye(64, dtype="uint8"), f"{folder}/a.ome.zarr", [2, 4], axes="yx")
    >>> preview(f"{folder}/a.ome.zarr", f"{folder}/a.png")
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError('a preview needs Pillow: pip install "daskome[preview]"') from error
    _check_picture(path, [suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.SAVE])
    opened = open_place(url, fs_options=fs_options)
    picture = levels_picture(opened) if isinstance(opened, OpenImage) else overview(opened)
    Image.fromarray(picture).save(path)


def _check_picture(path: str | PathLike[str], known: Collection[str]) -> None:
    """Raise an error unless a picture can be saved there: what is drawn takes a while."""
    place = Path(path)
    if place.suffix.lower() not in known:
        raise ValueError(f"{place} is no name of a picture: give it the suffix .png, .jpg or .tif")
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(f"{place} cannot be written: there is no folder {place.absolute().parent}")


def levels_picture(image: OpenImage) -> RGB:
    """Return the levels of an image side by side; those that are too large to draw are named below the first."""
    drawn = [level for level in image.levels if prod(plane_shape(level)) <= DRAWN_MAX] or list(image.levels[-1:])
    channels, (labels, troubles) = shown_channels(image), image.labels.readable()
    left_out = [f"{_caption(level)}, too large to draw" for level in image.levels if level not in drawn]
    notes = [*left_out, *(trouble.partition(":")[0] for trouble in troubles)]
    over = list(labels.values())
    return beside([_labelled(level, channels, over, notes if level is drawn[0] else []) for level in drawn])


def _labelled(
    level: OpenLevel, channels: Sequence[ShownChannel], labels: Sequence[OpenImage], lines: Sequence[str]
) -> RGB:
    """Return a level with its name, further lines and a scale bar below it."""
    step = max(*(n // most for n, most in zip(plane_shape(level), (HEIGHT, WIDTH), strict=True)), 1)
    picture = level_picture(level, channels, labels, step)
    return captioned(picture, [_caption(level), *lines], scale_bar(level, step, picture.shape[1]))


def _caption(level: OpenLevel) -> str:
    return f"{level.path}: {format_numbers(level.shape)}"
