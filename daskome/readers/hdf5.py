"""HDF5: one dataset of a file."""

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import h5py
import numpy as np

from daskome.model.source import Source
from daskome.readers.datasets.grids import grid_in, joined_datasets
from daskome.readers.datasets.imaris import imaris_image
from daskome.readers.described import Described, described
from daskome.readers.inputs import Input, listed
from daskome.sources.adapt import as_source
from daskome.sources.array_likes import open_hdf5
from daskome.sources.dimension_names import known_dims

ELEMENT_SIZE = "element_size_um"
LABELS_OF_AXES = "DIMENSION_LABELS"
BOOKKEEPING = {"CLASS", "NAME", LABELS_OF_AXES, "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid"}
"""Attributes by which the library of HDF5 keeps its own order."""


def read(input_: Input) -> Source:
    """Return the dataset that the input names, or the only one that may be an image; of Imaris and others, all."""
    with h5py.File(input_.path, "r") as file:
        grid = grid_in(file, input_.path, input_.part)
        if grid is not None:
            return joined_datasets(file, input_.path, grid)
        part = _dataset(input_, file, _images(file))
        if file[part].shape is None:
            raise ValueError(f"{input_.path}::{part} is a null dataset: it has no pixels")
        dims = known_dims(_labels(file[part]))
        left = _attributes(file[part].attrs)
        stored = imaris_image(file, part)
        said = replace(_sizes(file[part]) if stored is None else stored.said, left=left)
    source = replace(as_source(open_hdf5(input_.path, part)), dims=dims)
    return described(source if stored is None else stored.cropped(source), said)


def parts(input_: Input) -> list[str]:
    """Return the datasets of a file that may be images; "" where they make up one, as those of Imaris do."""
    with h5py.File(input_.path, "r") as file:
        return [""] if grid_in(file, input_.path, "") is not None else list(_images(file))


def _images(file: Any) -> dict[str, Any]:
    """Return the datasets that may be images, by path."""
    inside: dict[str, Any] = {}
    file.visititems(lambda name, item: inside.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return {name: item for name, item in inside.items() if len(item.shape or ()) > 1}


def _dataset(input_: Input, file: Any, images: dict[str, Any]) -> str:
    if isinstance(file.get(input_.part or "/"), h5py.Dataset):
        return input_.part
    if len(images) == 1 and not input_.part:
        return next(iter(images))
    problem = f"has no dataset {input_.part}" if input_.part else f"has {len(images)} datasets"
    example = f"{PurePosixPath(input_.path).name}::name"
    datasets = listed([f"{name} {item.shape} {item.dtype}" for name, item in images.items()], "datasets")
    raise ValueError(f"{input_.path} {problem}; give one after ::, as in {example}, of {datasets}")


def _labels(dataset: Any) -> list[str]:
    """Return the labels of the axes, empty for none. HDF5's own function for them crashes on a damaged one."""
    stored = np.ravel(dataset.attrs.get(LABELS_OF_AXES, ()))
    found = [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in stored.tolist()]
    return found if len(found) == dataset.ndim else [""] * dataset.ndim


def _sizes(dataset: Any) -> Described:
    """Return the sizes of voxels that ilastik, Fiji and others note, as z, y, x in micrometers."""
    sizes = np.ravel(dataset.attrs.get(ELEMENT_SIZE, ()))
    axes = "zyx" if len(sizes) == 3 else ""
    return Described({a: (float(size), "micrometer") for a, size in zip(axes, sizes, strict=False)})


def _attributes(attributes: Any) -> tuple[str, ...]:
    """Return, in words, the attributes of a dataset that are not written."""
    names = [name for name in attributes if name not in BOOKKEEPING | {ELEMENT_SIZE}]
    return (f"attributes {', '.join(names)}",) if names else ()
