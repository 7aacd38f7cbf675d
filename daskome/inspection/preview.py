"""A picture of a pyramid: the middle slice of every level, side by side."""

from os import PathLike
from typing import Any

import numpy as np

from daskome.model.types import FileSystemOptions, GroupLike
from daskome.ome.metadata import Multiscale
from daskome.ome.read import read_multiscale
from daskome.stores.groups import find_array, read_attributes
from daskome.stores.location import locate
from daskome.stores.objects.sync_codecs import read

HEIGHT = 512
"""Of the finest level in the picture, at most, in pixels."""
MARGIN = 8
Gray = np.ndarray[Any, np.dtype[np.uint8]]


def preview(url: GroupLike, path: str | PathLike[str], fs_options: FileSystemOptions | None = None) -> None:
    """Draw the middle slice of every level of an OME-Zarr image side by side, each at its own size, into a file.

    Parameters
    ----------
    url : str, path, zarr.Group or zarr store
        The image.
    path : str or path
        Of the picture; its suffix decides the format.
    fs_options : dict, optional
        For the file system of a URL.

    Raises
    ------
    ImportError
        If Pillow is missing.
    ValueError
        If the target is not an OME-Zarr image.

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
    store_path = locate(url, fs_options, read_only=True)
    image = read_multiscale(read_attributes(store_path) or {})
    slices = [_slice(store_path, image, dataset.path) for dataset in image.datasets]
    Image.fromarray(_beside([_stretched(s, slices[0]) for s in slices])).save(path)


def _slice(store_path: Any, image: Multiscale, path: str) -> np.ndarray[Any, Any]:
    """Return the middle y-x plane of a level, no finer than the picture can show."""
    array = find_array(store_path / path)
    if array is None:
        raise ValueError(f"level {path} of {store_path} is missing")
    step = max(array.shape[-2] // HEIGHT, 1)
    middle: Any = tuple(n // 2 if axis.type == "space" else 0 for n, axis in zip(array.shape, image.axes, strict=True))
    plane: Any = read(array, (*(slice(n, n + 1) for n in middle[:-2]), slice(None), slice(None)))
    return np.asarray(plane).reshape(array.shape[-2:])[::step, ::step]


def _stretched(plane: np.ndarray[Any, Any], finest: np.ndarray[Any, Any]) -> Gray:
    """Return a plane in grays between the percentiles of the finest; NaN as black."""
    finite = finest[np.isfinite(finest)].astype(np.float64)
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    values = np.nan_to_num(plane.astype(np.float64), nan=low, posinf=high, neginf=low)
    gray: Gray = ((values - low) / max(high - low, 1e-12) * 255).clip(0, 255).astype(np.uint8)
    return gray


def _beside(planes: list[Gray]) -> Gray:
    """Return pictures in one row, on white, standing on the same line."""
    height = max(len(plane) for plane in planes) + 2 * MARGIN
    columns = []
    for plane in planes:
        column = np.full((height, plane.shape[1] + 2 * MARGIN), 255, np.uint8)
        column[height - MARGIN - len(plane) : height - MARGIN, MARGIN:-MARGIN] = plane
        columns.append(column)
    return np.concatenate(columns, axis=1)
