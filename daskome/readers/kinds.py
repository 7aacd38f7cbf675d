"""The kinds of files and stores that are images: one row of `READERS` each, and the protocol of a reader.

The module of a row has ``read(input_: Input) -> Source``. It opens only what describes the pixels; several threads may
slice what it returns at once, and other processes open it for themselves. An `Input` has the path, the part after
``::``, and the words that a caller says besides, of which a row lists those that it takes. What a reader cannot read is
a ValueError that names the file. Where files hold several images, ``parts(input_: Input) -> list[str]`` tells what
stands after ``::`` for each; within ``kept_open(input_: Input)``, where there is one, the file is opened once for all.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import PurePosixPath

from daskome.model.source import Source
from daskome.ome.single_file import split_single_file
from daskome.readers.inputs import Input
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
    words : tuple of str
        What a caller may say besides, by the names of parameters of `daskome.read`.
    marks : tuple of str
        Files that tell a folder of this kind; it is one image then, not a folder of images.
    series : bool
        Whether files say themselves how they belong together: the module has `series_of` and `with_step`.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]
    needs: str = ""
    part: str = ""
    words: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    series: bool = False

    def stem(self, path: str) -> str:
        """Return the last part of a path without the suffix, or with it, if that is all there is."""
        last = PurePosixPath(path).name
        suffix = next((suffix for suffix in self.suffixes if last.lower().endswith(suffix)), "")
        return last[: len(last) - len(suffix)] or last


ARCHIVED_ZARR = (".ome.zarr.zip", ".zarr.zip", ".zip")
ZARR = Reader("zarr", "zarr", (".ome.zarr", ".zarr", ".ozx", *ARCHIVED_ZARR), marks=("zarr.json", ".zarray", ".zgroup"))
TIFF = (".ome.tif", ".ome.tiff", ".ome.btf", ".ome.tf8", ".tif", ".tiff", ".btf", ".tf8")
DICOM = Reader("DICOM", "dicom", (".dcm", ".dicom", ".ima"), "pydicom", "series", series=True)
RAW = Reader("raw", "raw", (".raw", ".bin", ".dat"), words=("shape", "dtype", "offset", "order"))
BIOIO = Reader("bioio", "bioio", (".czi", ".lif", ".nd2", ".dv", ".sldy", ".oib", ".oir", ".vsi"), "bioio", "scene")
READERS = (
    ZARR,
    Reader("NumPy", "npy", (".npy",)),
    Reader("TIFF", "tiff", TIFF, "tifffile", "series"),
    Reader("PNG or JPEG", "pictures", (".png", ".jpg", ".jpeg"), "imagecodecs"),
    Reader("NIfTI", "nifti", (".nii", ".nii.gz"), "nibabel"),
    Reader("MRC", "mrc", (".mrc", ".mrcs", ".map", ".rec", ".st", ".ali", ".preali")),
    DICOM,
    Reader("HDF5", "hdf5", (".h5", ".hdf5", ".hdf", ".ims"), "h5py", "dataset"),
    Reader("N5", "tensorstore", (".n5",), "tensorstore", "dataset", marks=("attributes.json",)),
    Reader("precomputed", "tensorstore", (".precomputed",), "tensorstore", "scale", marks=("info",)),
    BIOIO,
    RAW,
)
DICOM_INDEX = "DICOMDIR"
"""A file with this name lists the others of a disk, and has no pixels."""
HINTS: Mapping[str, str] = {
    ".npz": "is an archive, which cannot be read in pieces; save the array in it with numpy.save as .npy",
    ".zarr": "is a file, but a zarr store is a folder; if it is an archive, call it .zip, or unpack it",
    ".gz": "is compressed, and cannot be read in pieces; unpack it with gunzip",
    ".bz2": "is compressed, and cannot be read in pieces; unpack it with bunzip2",
    ".xml": "has no pixels; give the file that it describes, such as the .h5 of BigDataViewer",
    ".gif": "is GIF, which is not read; save it as PNG or TIFF",
    ".bmp": "is BMP, which is not read; save it as PNG or TIFF",
    ".jp2": "is JPEG 2000, which is read in TIFF and DICOM alone; save it as TIFF",
}
"""What to do with files that are not read."""


def known() -> str:
    """Return the inputs that can be read, as text.

    >>> known()[:26]
    'zarr (.ome.zarr .zarr .ozx'
    """
    return ", ".join(f"{reader.name} ({' '.join(reader.suffixes)})" for reader in READERS)


def reader_of_name(path: str) -> Reader | None:
    """Return the row whose suffix a path has."""
    return next((row for row in READERS if path.lower().endswith(row.suffixes)), None)


def reader_of_file(path: str) -> Reader | None:
    """Return the row for a file: by its suffix; files of DICOM often have none, and are told by how they begin."""
    reader = reader_of_name(path)
    return DICOM if reader is None and not PurePosixPath(path).suffix.isalpha() and _is_dicom(path) else reader


def _is_dicom(path: str) -> bool:
    if not os.path.isfile(path) or PurePosixPath(path).name == DICOM_INDEX:
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def is_image_file(path: str) -> bool:
    """Whether a path has the suffix of a file of images, other than a store.

    >>> is_image_file("a.tif"), is_image_file("a.ome.zarr"), is_image_file("out")
    (True, False, False)
    """
    return reader_of_name(path) not in (ZARR, None)


def find_reader(input_: Input) -> Reader:
    """Return the row for an input: by its suffix, or by what is in a folder; of URLs, zarr is all that is read."""
    reader = reader_of_name(input_.path) or (RAW if {"shape", "dtype"} <= set(input_.words) else None)
    if input_.is_url:
        if reader not in (ZARR, None):
            raise ValueError(f"{input_.path} is not zarr, and of URLs only zarr is read; copy the file to a local path")
        return ZARR
    if _is_archived(input_.path):
        return ZARR
    if not os.path.exists(input_.path):
        raise FileNotFoundError(f"{input_.path} does not exist")
    if os.path.isdir(input_.path):
        return reader_of_folder(input_.path) or (reader if reader is not None and reader.marks else ZARR)
    reader = reader or reader_of_file(input_.path)
    if reader in (ZARR, None):
        hint = HINTS.get(PurePosixPath(input_.path).suffix.lower(), "is a file of unknown kind")
        raise ValueError(f"{input_.path} {hint}. Known: {known()}")
    return reader


def _is_archived(path: str) -> bool:
    """Whether a path is that of a single file, or leads into one."""
    found = split_single_file(path)
    return found is not None and os.path.isfile(found[0])


def reader_of_folder(path: str) -> Reader | None:
    """Return the row of which a folder is one image."""
    return next((row for row in READERS if any(os.path.exists(os.path.join(path, mark)) for mark in row.marks)), None)


def opened(reader: Reader, input_: Input) -> Source:
    """Return the image in an input; what its reader stumbles over, a damaged file, is a ValueError that names it.

    Raises
    ------
    ImportError
        If the package that reads it is not installed; the message has the line that installs it.
    ValueError
        If it cannot be read as that, or takes no such words.
    """
    if input_.part and not reader.part:
        raise ValueError(f"{input_.path}: {reader.name} has no parts to choose with ::{input_.part}")
    unused = [name for name in input_.words if name not in reader.words]
    if unused:
        raise ValueError(f"{input_.path}: {reader.name} takes no {unused[0]}; leave it out")
    require(reader)
    module = import_module(f"daskome.readers.{reader.module}")
    with locating_damage(lambda: input_.path, f"cannot be read as {reader.name}; it may be damaged"):
        source: Source = module.read(input_)
        if 0 in source.shape:
            raise ValueError(f"it has no pixels: its shape is {source.shape}")
        return source


def parts_of_file(reader: Reader, input_: Input) -> list[str]:
    """Return what stands after ``::`` for each image of a file; empty where a file is one image."""
    require(reader)
    module = import_module(f"daskome.readers.{reader.module}")
    with locating_damage(lambda: input_.path, f"cannot be read as {reader.name}; it may be damaged"):
        found: list[str] = module.parts(input_) if hasattr(module, "parts") else []
        return found


def held_open(reader: Reader, input_: Input) -> AbstractContextManager[None]:
    """Return in what all images of a file are to be opened: one that is parsed once, if its reader can do that."""
    module = import_module(f"daskome.readers.{reader.module}")
    kept: AbstractContextManager[None] = module.kept_open(input_) if hasattr(module, "kept_open") else nullcontext()
    return kept


def require(reader: Reader) -> None:
    """Raise an ImportError with the line that installs it if the package that a reader needs is not there.

    Raises
    ------
    ImportError
    """
    try:
        if reader.needs:
            import_module(reader.needs)
    except ImportError as error:
        line = f'pip install "daskome[{reader.module}]"'
        raise ImportError(f"reading {reader.name} needs {reader.needs}: {line}", name=reader.needs) from error
