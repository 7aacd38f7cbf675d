"""HDF5: one dataset of a file."""

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import h5py
import numpy as np

from daskome.model.source import Source
from daskome.sources.adapt import as_source
from daskome.sources.array_likes import open_hdf5
from daskome.sources.readers.axes_and_sizes import VoxelSizes, known_dims, sized
from daskome.sources.readers.inputs import Input, listed


def read(input_: Input) -> Source:
    """Return the dataset that the input names, or the only one that may be an image."""
    with h5py.File(input_.path, "r") as file:
        part = _dataset(input_, file)
        if file[part].shape is None:
            raise ValueError(f"{input_.path}::{part} is a null dataset: it has no pixels")
        sizes = _element_size(file[part])
        dims = known_dims([dim.label for dim in file[part].dims])
    return sized(replace(as_source(open_hdf5(input_.path, part)), dims=dims), sizes)


def _dataset(input_: Input, file: Any) -> str:
    if isinstance(file.get(input_.part or "/"), h5py.Dataset):
        return input_.part
    inside: dict[str, Any] = {}
    file.visititems(lambda name, item: inside.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    images = [name for name, item in inside.items() if len(item.shape or ()) > 1]
    if len(images) == 1 and not input_.part:
        return images[0]
    problem = f"has no dataset {input_.part}" if input_.part else f"has {len(images)} datasets"
    example = f"{PurePosixPath(input_.path).name}::name"
    datasets = listed([f"{name} {item.shape} {item.dtype}" for name, item in inside.items()], "datasets")
    raise ValueError(f"{input_.path} {problem}; give one after ::, as in {example}, of {datasets}")


def _element_size(dataset: Any) -> VoxelSizes:
    """Return the sizes of voxels that ilastik, Fiji and others note, as z, y, x in micrometers."""
    sizes = np.ravel(dataset.attrs.get("element_size_um", ()))
    axes = "zyx" if len(sizes) == 3 else ""
    return {axis: (float(size), "micrometer") for axis, size in zip(axes, sizes, strict=False)}
