"""Objects of other libraries that hold an image among other things: `BioImage` of bioio, `DataTree` of xarray."""

from dataclasses import replace
from typing import Any

from daskome.model.source import Source

ORDER = "TCZYX"
ADDED = "TCZ"
"""Dimensions that bioio gives to every image."""


def is_bioimage(image: Any) -> bool:
    """Whether an object is a `BioImage`."""
    return hasattr(image, "xarray_dask_data") and hasattr(image, "physical_pixel_sizes")


def is_tree(image: Any) -> bool:
    """Whether an object is an `xarray.DataTree`."""
    return hasattr(image, "subtree") and hasattr(image, "data_vars")


def array_of_bioimage(image: Any) -> Any:
    """Return the scene of a `BioImage` as an xarray, with the dimensions that its file has; samples are channels.

    Raises
    ------
    TypeError
        If it has channels, and samples of each, too.
    """
    array = image.xarray_dask_data
    own = image.reader.dims.order
    array = array.isel({dim: 0 for dim in ADDED if dim not in own and array.sizes.get(dim) == 1}, drop=True)
    if "S" not in array.dims:
        return array
    if array.sizes.get("C", 1) > 1:
        raise TypeError(
            f"the image has {array.sizes['C']} channels of {array.sizes['S']} samples; choose a channel of it"
        )
    coloured = (array.isel(C=0, drop=True) if "C" in array.dims else array).rename(S="C")
    return coloured.transpose(*(dim for dim in ORDER if dim in coloured.dims))


def described_bioimage(source: Source, image: Any) -> Source:
    """Return the scene of a `BioImage` with a name, sizes in micrometers as bioio has them, and the time step."""
    sizes = image.physical_pixel_sizes
    known = {} if sizes is None else {name.lower(): size for name, size in sizes._asdict().items()}
    interval: Any = getattr(image, "time_interval", None)
    known["t"] = interval.total_seconds() if hasattr(interval, "total_seconds") else None
    scale = {axis: float(size) for axis, size in known.items() if size and axis in (source.dims or ())}
    units = {axis: "second" if axis == "t" else "micrometer" for axis in scale}
    others = [repr(str(scene)) for scene in image.scenes if scene != image.current_scene]
    left = [note for note in source.left if note not in ("attribute 'unprocessed'", "attribute 'processed'")]
    left += [f"{len(others)} other scenes, such as {others[0]}"] if others else []
    metadata = ("the metadata of its file",) if len(left) < len([*source.left, *others[:1]]) else ()
    return replace(
        source,
        scale=scale,
        units=units,
        translation={},
        irregular=tuple(axis for axis in source.irregular if axis not in "zyx"),
        name=str(image.current_scene) if others else None,
        attributes={},
        left=(*left, *metadata),
    )


def array_of_tree(tree: Any) -> tuple[Any, int]:
    """Return the image of a `DataTree`, the largest of its resolutions, and how many smaller ones there are.

    Raises
    ------
    TypeError
        If it holds no image, or several.
    """
    found = {f"{node.path.strip('/')}/{name}": array for node in tree.subtree for name, array in node.data_vars.items()}
    images = {path.strip("/"): array for path, array in found.items() if array.ndim > 1}
    largest = max(images.values(), key=lambda array: array.size, default=None)
    names = {path.rpartition("/")[2] for path in images}
    if largest is None or len(names) > 1 or sum(array.size == largest.size for array in images.values()) > 1:
        choices = ", ".join(map(repr, images)) or "none"
        raise TypeError(f"the image is an xarray DataTree; choose one of its variables: {choices}")
    return largest, len(images) - 1
