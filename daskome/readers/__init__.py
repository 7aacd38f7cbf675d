"""Files and stores as images: what the command line's ``IN`` may be. One row of `READERS` per kind.

Opening reads what describes the pixels, never the pixels: these come in pieces, in any process and thread.
(The exception is ``.nii.gz``, which cannot be read in pieces and is read whole.)
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any

from daskome.model.source import Origin, Source
from daskome.readers.inputs import Input, parse
from daskome.stores.objects.damage import locating_damage


@dataclass(frozen=True, slots=True)
class Reader:
    """A row of `READERS`.

    Attributes
    ----------
    name : str
        Of the kind.
    module : str
        Of this package, imported when it is needed; its ``read`` turns an `Input` into a `Source`. The extra
        of daskome that installs what it needs has the same name.
    suffixes : tuple of str
        Longer ones before those that they end in.
    needs : str
        The package that reads it; empty for those that daskome always has.
    part : str
        What can be chosen with ``::``; empty for nothing.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    needs: str = ""
    part: str = ""


ZARR = Reader("zarr", "zarr", (".ome.zarr", ".zarr"))
TIFF = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".tif", ".tiff", ".btf", ".tf8")
READERS = (
    ZARR,
    Reader("NumPy", "npy", (".npy",)),
    Reader("TIFF", "tiff", TIFF, "tifffile", "series"),
    Reader("NIfTI", "nifti", (".nii", ".nii.gz"), "nibabel"),
    Reader("HDF5", "hdf5", (".h5", ".hdf5", ".hdf", ".ims"), "h5py", "dataset"),
)
HINTS: Mapping[str, str] = {
    ".npz": "is an archive, which cannot be read in pieces; save the array in it with numpy.save as .npy",
    ".zarr": "is a file, but a zarr store is a folder; unpack it if it is an archive",
    ".zip": "is an archive; unpack it",
    **dict.fromkeys((".czi", ".lif", ".nd2", ".oib", ".oir", ".vsi"), "is best made a zarr by bioformats2raw"),
}
"""What to do with files that are not read."""


def read(path: str | os.PathLike[str], fs_options: Mapping[str, Any] | None = None) -> Source:
    """Return an image in a file or store, described as far as it describes itself.

    Parameters
    ----------
    path : str or path
        A zarr array, an OME-Zarr image (its level 0 is taken), or a file of one of the `READERS`. Zarr
        may be a URL too. What holds several images takes one after ``::``: ``"a.h5::volumes/raw"`` a
        dataset, ``"a.tif::1"`` a series, counted from 0 (by default 0).
    fs_options : dict, optional
        For the file system of a URL, such as credentials.

    Returns
    -------
    Source
        Its array is read when it is sliced; a ``.nii.gz`` alone is read into memory at once. Axes of a TIFF
        or NIfTI are brought into the order t, c, z, y, x. Voxel sizes, units, position, channels and attributes
        go along; what else a file holds or says is named by a warning when the image is written.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is not an image that daskome reads, or several images; the message lists the choices.
    ImportError
        If the package that reads it is not installed; the message has the line that installs it.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from daskome.readers import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/brain.npy", np.zeros((4, 5, 6), "uint8"))
    ...     source = read(f"{folder}/brain.npy")
    >>> source.name, source.shape, source.dtype
    ('brain', (4, 5, 6), 'uint8')
    """
    input_ = parse(os.fspath(path), dict(fs_options or {}))
    reader = _find(input_)
    if input_.part and not reader.part:
        raise ValueError(f"{input_.path}: {reader.name} has no parts to choose with ::{input_.part}")
    _require(reader)
    source = _opened(reader, input_)
    return replace(source, name=source.name or _stem(input_.path, reader), origin=_origin(input_))


def _opened(reader: Reader, input_: Input) -> Source:
    """Return the image in an input; what its reader stumbles over, a damaged file, is a ValueError that names it."""
    module = import_module(f"{__name__}.{reader.module}")
    with locating_damage(lambda: input_.path, f"cannot be read as {reader.name}; it may be damaged"):
        source: Source = module.read(input_)
        if 0 in source.shape:
            raise ValueError(f"it has no pixels: its shape is {source.shape}")
        return source


def known() -> str:
    """Return the inputs that can be read, as text.

    >>> known()[:26]
    'zarr (.ome.zarr .zarr), Nu'
    """
    return ", ".join(f"{reader.name} ({' '.join(reader.suffixes)})" for reader in READERS)


def _find(input_: Input) -> Reader:
    """Return the row for an input: by its suffix, or zarr for folders and URLs."""
    reader = next((row for row in READERS if input_.path.lower().endswith(row.suffixes)), None)
    if input_.is_url:
        if reader not in (ZARR, None):
            raise ValueError(f"{input_.path} is not zarr, and of URLs only zarr is read; copy the file to a local path")
        return ZARR
    if not os.path.exists(input_.path):
        raise FileNotFoundError(f"{input_.path} does not exist")
    if os.path.isdir(input_.path):
        return ZARR
    if reader in (ZARR, None):
        hint = HINTS.get(PurePosixPath(input_.path).suffix.lower(), "is a file of unknown kind")
        raise ValueError(f"{input_.path} {hint}. Known: {known()}")
    return reader


def _origin(input_: Input) -> Origin:
    """Return where an image comes from, and what changes when its file does."""
    path = str(input_)
    if input_.is_url or os.path.isdir(input_.path):
        return Origin(path)
    file = os.stat(input_.path)
    return Origin(path, f"{file.st_size} bytes, modified {datetime.fromtimestamp(file.st_mtime, UTC).isoformat()}")


def _require(reader: Reader) -> None:
    try:
        if reader.needs:
            import_module(reader.needs)
    except ImportError as error:
        line = f'pip install "daskome[{reader.module}]"'
        raise ImportError(f"reading {reader.name} needs {reader.needs}: {line}", name=reader.needs) from error


def _stem(path: str, reader: Reader) -> str:
    """Return the last part of a path without the suffix, or with it, if that is all there is."""
    last = PurePosixPath(path).name
    suffix = next((suffix for suffix in reader.suffixes if last.lower().endswith(suffix)), "")
    return last[: len(last) - len(suffix)] or last
