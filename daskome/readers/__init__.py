"""Files and stores as images: what the command line's ``IN`` may be. One row of `READERS` per kind.

Opening reads what describes the pixels, never the pixels: these come in pieces, in any process and thread.
(The exception is ``.nii.gz``, which cannot be read in pieces and is read whole.)
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from glob import has_magic
from typing import TYPE_CHECKING, Any

from daskome.model.source import Origin, Source
from daskome.ome.single_file import split_single_file
from daskome.readers.inputs import Input, parse
from daskome.readers.kinds import READERS as READERS, Reader, find_reader, held_open, opened, parts_of_file

if TYPE_CHECKING:
    from daskome.readers.sequences.listing import Listing

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
SEVERAL = ("pattern", "stack")
"""Words that say how several files are one image."""


def read(
    path: Paths,
    fs_options: Mapping[str, Any] | None = None,
    *,
    pattern: str | None = None,
    stack: str | None = None,
    shape: Sequence[int] | None = None,
    dtype: str | None = None,
    offset: int | None = None,
    order: str | None = None,
) -> Source:
    """Return an image in a file, in many files, or in a store, described as far as it describes itself.

    Parameters
    ----------
    path : str or path, or list of them
        A zarr array, an OME-Zarr image (its level 0 is taken), or a file of one of the `READERS`. Zarr
        may be a URL too. What holds several images takes one after ``::``: ``"a.h5::volumes/raw"`` a
        dataset, ``"a.tif::1"`` a series, counted from 0 (by default 0). A folder of files, a glob or a list of them is
        one image, along z (t, if they have z) in the order of the number in their names that tells them apart.
    fs_options : dict, optional
        For the file system of a URL, such as credentials.
    pattern : str, optional
        How names of files tell where they belong: ``"t{t}_c{c}_z{z}.tif"`` has numbers for t and z, and numbers or
        names for channels. A path may be such a pattern, too.
    stack : str, optional
        The axis along which the images of a list follow each other, in the order of the list; where they lack it, as
        c, it is put in. Or the axis along which the files of a folder or glob do.

    shape, dtype, offset, order : optional
        Of a raw file, which says nothing of itself: its shape; its dtype, such as ``"uint16"``, or ``">u2"`` for
        big-endian numbers; how many bytes come before the pixels, by default 0; and ``"F"`` if the first axis is the
        fastest.

    Returns
    -------
    Source
        Its array is read when it is sliced; a ``.nii.gz`` alone is read into memory at once. Axes of a TIFF
        or NIfTI are brought into the order t, c, z, y, x. Voxel sizes, units, position, channels and attributes
        go along; what else a file holds or says is named by a warning when the image is written. Of many files the
        first describes all; some are opened now, and each when it is read: one that differs is an error.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    ValueError
        If it is not an image that daskome reads, or several images; the message lists the choices. If files leave
        gaps, are empty, or differ in shape or dtype.
    ImportError
        If the package that reads it is not installed; the message has the line that installs it.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from daskome.readers import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for z in range(12):
    ...         np.save(f"{folder}/z{z}.npy", np.full((5, 6), z, "uint8"))
    ...     source = read(folder)
    ...     print(source.shape, source.dims, source.array[10:12, :1, :1].ravel())
    ...     both = read([f"{folder}/z0.npy", f"{folder}/z1.npy"], stack="c")
    (12, 5, 6) ('z', 'y', 'x') [10 11]
    >>> both.shape, both.dims
    ((2, 5, 6), ('c', 'y', 'x'))
    """
    paths = [os.fspath(one) for one in ([path] if isinstance(path, str | os.PathLike) else path)]
    options = dict(fs_options or {})
    if not paths:
        raise ValueError("the list of paths is empty; give one at least")
    words = {"pattern": pattern, "stack": stack, "shape": shape, "dtype": dtype, "offset": offset, "order": order}
    said = {key: _plain(value) for key, value in words.items() if value is not None}
    if stack is not None and len(paths) > 1:
        return _stacked(paths, options, said)
    listing = _listing(paths, pattern, options)
    return _of_one(paths[0], options, said) if listing is None else _of_files(listing, said)


def read_series(path: str | os.PathLike[str], fs_options: Mapping[str, Any] | None = None) -> list[Source]:
    """Return all images of a file: the series of a TIFF, the datasets of an HDF5 file, the scenes of a microscope's.

    Other files, and a path that names one of the images after ``::``, are one image.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As `read`.
    """
    input_ = parse(os.fspath(path), fs_options or {})
    reader = None if input_.part or os.path.isdir(input_.path) or has_magic(input_.path) else find_reader(input_)
    numbers = parts_of_file(reader, input_) if reader is not None else []
    if reader is None or not numbers:
        return [read(path, fs_options)]
    with held_open(reader, input_):
        sources = [_opened_part(reader, replace(input_, part=part, whole=True)) for part in numbers]
    names = [f"{reader.stem(input_.path)} {part}" if len(numbers) > 1 else reader.stem(input_.path) for part in numbers]
    return [replace(source, name=source.name or name) for source, name in zip(sources, names, strict=True)]


def _opened_part(reader: Reader, input_: Input) -> Source:
    return replace(opened(reader, input_), origin=_origin(input_, {}))


def read_again(origin: Origin, fs_options: Mapping[str, Any] | None = None) -> Source:
    """Return the image that was read from somewhere, read in the same way.

    Raises
    ------
    ValueError, FileNotFoundError, ImportError
        As `read`.
    """
    paths = origin.paths or (origin.path,)
    return read(list(paths), fs_options if any("://" in path for path in paths) else None, **origin.words)


def _listing(paths: Sequence[str], pattern: str | None, fs_options: Mapping[str, Any]) -> "Listing | None":
    from daskome.readers.sequences.listing import listed_files

    return listed_files(paths, pattern, fs_options)


def _of_one(path: str, fs_options: Mapping[str, Any], words: Mapping[str, Any]) -> Source:
    """Return the image in one file or store."""
    input_ = replace(parse(path, fs_options), words=words)
    reader = find_reader(input_)
    unused = next((key for key in SEVERAL if key in words), None)
    if unused is not None:
        raise ValueError(f"{unused} is for several files, and {input_.path} is one {reader.name}; leave it out")
    source = opened(reader, input_)
    return replace(source, name=source.name or reader.stem(input_.path), origin=_origin(input_, words))


def _of_files(listing: "Listing", said: Mapping[str, Any]) -> Source:
    """Return the image that files make up; one alone is what it is by itself."""
    from daskome.readers.sequences.files import image_of_files
    from daskome.readers.sequences.listing import named_files
    from daskome.readers.sequences.names import has_places

    words = {key: value for key, value in said.items() if key not in SEVERAL}
    if len(listing.paths) == 1 and not listing.pattern and "stack" not in said:
        return _of_one("::".join(filter(None, (listing.paths[0], listing.part))), {}, words)
    stamp = listing.stamp()
    source = image_of_files(listing, words, said.get("stack"))
    path = "::".join(filter(None, (listing.path, listing.part)))
    kept = {key: value for key, value in said.items() if key != "pattern" or not has_places(listing.path)}
    origin = Origin(path or ", ".join(named_files(listing.paths)), stamp, (), () if path else _paths(listing), kept)
    return replace(source, origin=origin)


def _paths(listing: "Listing") -> tuple[str, ...]:
    return tuple("::".join(filter(None, (path, listing.part))) for path in listing.paths)


def _stacked(paths: Sequence[str], fs_options: Mapping[str, Any], said: Mapping[str, Any]) -> Source:
    """Return images in a row along an axis."""
    from daskome.readers.sequences.files import opened_when_read
    from daskome.readers.sequences.listing import named_files
    from daskome.readers.sequences.stack import stacked

    if "pattern" in said:
        example = f"a/{said['pattern']}"
        raise ValueError(f"of images in a row, each path can be a pattern, as in {example!r}; leave pattern out")
    words = {key: value for key, value in said.items() if key != "stack"}
    sources = [opened_when_read(read(path, fs_options, **words)) for path in paths]
    found = [source.origin.path for source in sources]
    stamp = "; ".join(source.origin.stamp for source in sources)
    return replace(
        stacked(sources, said["stack"]), origin=Origin(", ".join(named_files(found)), stamp, (), tuple(found), said)
    )


def _plain(value: Any) -> Any:
    """Return a word as JSON has it: a plan keeps how an image was read."""
    return value if isinstance(value, str) else [int(n) for n in value] if isinstance(value, Iterable) else int(value)


def _origin(input_: Input, words: Mapping[str, Any]) -> Origin:
    """Return where an image comes from, and what changes when its file does."""
    path = str(input_)
    if input_.is_url or os.path.isdir(input_.path):
        return Origin(path, words=words)
    archive = split_single_file(input_.path)
    file = os.stat(archive[0] if archive and os.path.isfile(archive[0]) else input_.path)
    stamp = f"{file.st_size} bytes, modified {datetime.fromtimestamp(file.st_mtime, UTC).isoformat()}"
    return Origin(path, stamp, words=words)
