"""The calls that plan and write images, labels and plates: with `daskome.writing.metadata`, the ome_zarr.writer API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dask.delayed import Delayed

from daskome.planning.plan import Plan
from daskome.writing.carry_out import write
from daskome.writing.dry_run import dry_run
from daskome.writing.images import planned_image, planned_multiscale
from daskome.writing.labels import planned_labels, planned_multiscale_labels
from daskome.writing.metadata import (
    add_metadata,
    check_format,
    check_group_fmt,
    get_metadata,
    write_label_metadata,
    write_multiscales_metadata,
    write_plate_metadata,
    write_well_metadata,
)
from daskome.writing.more_levels import write_more_levels
from daskome.writing.ome_zarr_calls import accepts_ome_zarr_calls
from daskome.writing.plates import planned_plate
from daskome.writing.types import (
    AxesLike,
    ChannelsLike,
    ColorsLike,
    Compute,
    FileSystemOptions,
    FormatLike,
    GroupLike,
    ImageLike,
    LabelsLike,
    MethodLike,
    Nbytes,
    PerAxis,
    Progress,
    PropertiesLike,
    ScaleFactors,
    StorageOptions,
    UnitsLike,
    WellsLike,
)


@accepts_ome_zarr_calls
def write_image(
    image: ImageLike,
    group: GroupLike,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: MethodLike | None = None,
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    labels: Mapping[str, LabelsLike] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write an image of any size as an OME-Zarr pyramid.

    Every argument is checked before anything is written. OME attributes appear after the last block,
    so what is interrupted is never taken for an image. With an active `distributed.Client` its
    workers write, otherwise threads of this process.

    Parameters
    ----------
    image : array-like
        NumPy, Dask, zarr, xarray or HDF5 array, or anything with shape, dtype and slicing; 2 to 5
        dimensions of bool, integers or floats up to 64 bits. It is read in pieces.
    group : str, path, zarr.Group or zarr store
        Where to write: a path, a URL that fsspec knows, a group, a store.
    scale_factors : "auto", sequence of int or dict, or None
        One entry per level below the first, relative to level 0, each a multiple of the one before: an
        int for all axes of space, or a dict by axis name. ``"auto"`` makes voxels isotropic first, then
        halves until a level fits in one chunk. None: one level.
    name : str, optional
        Of the image; the name of an xarray, or "image".
    method : str or callable, optional
        mean, the default, median, mode, min, max, nearest, gaussian, resize, zoom, laplacian;
        ``"module:function"``; or a function ``(windows, axis) -> values`` such as `numpy.max`. In a group
        of labels the default is mode: the mean of labels is none.
    fmt : str or object with a version, optional
        The OME-Zarr version, such as "0.4" (zarr v2) or "0.5" (zarr v3, the default); that of an existing
        group. Older than 0.4, pixel sizes can't be stored where readers find them: a warning says so.
    axes : str or sequence of names or dicts, optional
        Such as "tczyx"; without it dims of an xarray, or yx, zyx and tczyx for 2, 3, 5 dimensions.
    scale : number, sequence or dict by axis name, optional
        Size of a voxel; a number is for all axes of space. Without it regular coordinates of an xarray, or 1.
    translation : number, sequence or dict by axis name, optional
        Position of the centre of the first voxel; coordinates of an xarray, or 0.
    axes_units : str or dict by axis name, optional
        Such as "micrometer"; one for all axes of space, or by name.
    channels : True, sequence of names, dicts or `Channel`, optional
        Adds ``omero`` metadata: label, color, window (min, max, start, end); windows that are not
        given are measured on the coarsest level.
    omero : dict, optional
        The whole ``omero`` object, as the specification has it; what is missing is added.
    labels : dict of name to array, optional
        Label images, written together with the image to ``labels/<name>``. Instead of an array, a dict
        with ``labels`` and arguments of `write_labels`, such as ``colors``.
    storage_options : dict or sequence of dict, optional
        For all levels, or one per level: chunks, shards, compressors, serializer, filters, fill_value,
        order, write_empty_chunks, chunk_key_encoding, dimension_separator, attributes, config.
        Chunks and shards are a tuple, a dict by axis name, or an int for all axes of space. By default a chunk has
        one time and channel and up to 128³ voxels, as near a cube as the shape allows, compressed by Blosc (zstd-1,
        bit shuffle); single bytes and labels by plain zstd-1; in zarr v2 by Blosc (zstd-1, byte shuffle; none for
        labels). `try_codecs` compares others on the image.
    fs_options : dict, optional
        For the file system of a URL: the options of s3fs, gcsfs or adlfs, such as ``{"key": "…", "secret": "…",
        "endpoint_url": "https://…"}`` for S3, or ``{"connection_string": "…"}`` for Azure. They are not stored; without
        them, these libraries look in the environment.
    memory : int or str, optional
        What a worker process may use, such as "2GB"; by default 70 % of its limit, from where on Dask's workers
        spill to disk, or the machine's memory.
    staging : bool
        Allow a temporary copy of an image whose chunks fit those of the target so badly that it would be read more than
        four times: it is written once beside the journal, read once, and removed at the end. (Levels have such copies
        where that spares reading much; these are small, and the plan says so.)
    overwrite : bool
        Replace an image that is there. Labels, other groups and attributes beside it are kept.
    resume : bool
        Go on with what was begun and not finished: units that are finished are left out, and the bytes in the end
        are those of an undisturbed run. What was begun with other settings or from another image is an error that
        says what differs. Where nothing was begun, begin; where all is finished, say so and do nothing.
    retries : int
        How often a unit of work that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all: before the first unit, with what was there already, and after every
        unit.
    compute : bool or "init"
        If False, return a `Delayed` that does everything, publishing included; it holds a task for each unit, so more
        than 100,000 units are an error. If "init", make the empty arrays and the journal only: `run_part`, in as many
        processes as you like, and `finish` do the rest.
    **metadata
        What else the multiscale is to say; ``metadata``, a dict, says how the image was made.

    Returns
    -------
    Plan or dask.delayed.Delayed
        What was written, or the `Delayed`.

    Raises
    ------
    ValueError, TypeError
        For arguments that can't be, before anything is written.
    FileExistsError
        If something is there already.
    WriteError
        If units failed for good; the image is left unfinished.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint8"), store, [2, 4], axes="yx", scale=(0.5, 0.5))
    >>> [array.shape for _, array in sorted(zarr.open_group(store, mode="r").arrays())]
    [(64, 64), (32, 32), (16, 16)]
    """
    return write(planned_image, locals())


@accepts_ome_zarr_calls
def plan_image(
    image: ImageLike,
    group: GroupLike | None = None,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: MethodLike | None = None,
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    labels: Mapping[str, LabelsLike] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    **metadata: Any,
) -> Plan:
    """Return what `write_image` would do: the dry run. Print it, or look at it in a notebook.

    Parameters
    ----------
    image, scale_factors, name, method
        As in `write_image`.
    group : optional
        The target; with it, what is there already is checked too.
    fmt, axes, scale, translation, axes_units, channels, omero, labels, storage_options, fs_options, memory, staging
        As in `write_image`.
    workers, threads : int, optional
        Plan for this many worker processes of `threads` threads (1 if not given) and `memory` each (not bounded if not
        given), instead of those that would write now; `threads` alone changes only their threads.
    overwrite, **metadata
        As in `write_image`.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError, TypeError, FileExistsError
        As `write_image` would.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskome import plan_image
    >>> plan_image(da.zeros((100, 300, 300), dtype="uint8", chunks=100), memory="2GB").pyramids[0].levels[-1].shape
    (25, 75, 75)
    >>> from daskome import Volume
    >>> terabyte = Volume((10_000, 10_000, 10_000), "uint8", chunks=(1, 10_000, 10_000))
    >>> plan_image(terabyte, workers=100, threads=4, memory="16GB").workers.parallel
    400
    """
    return dry_run(locals())


@accepts_ome_zarr_calls
def write_multiscale(
    pyramid: Sequence[ImageLike],
    group: GroupLike,
    name: str | None = None,
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    method: MethodLike = "mean",
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write levels that the caller has already as an OME-Zarr pyramid.

    Parameters
    ----------
    pyramid : sequence of array-like
        From fine to coarse; the same dtype and axes, each smaller than the one before.
    method : str or callable
        How the levels were made, which places them: by windows ("mean", …), or "nearest".
    group, name, fmt, axes, scale, translation, axes_units, channels, omero, storage_options, fs_options
        As in `write_image`; scale and translation are those of the first level.
    memory, overwrite, resume, retries, progress, compute, **metadata
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, FileExistsError, WriteError
        As `write_image`, and for levels that don't shrink or differ in dtype or dimensions.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_multiscale
    >>> plan = write_multiscale([np.zeros((8, 8)), np.zeros((4, 4))], zarr.storage.MemoryStore(), axes="yx")
    >>> plan.pyramids[0].levels[1].translation
    (0.5, 0.5)
    """
    return write(planned_multiscale, locals())


@accepts_ome_zarr_calls
def write_labels(
    labels: ImageLike,
    group: GroupLike,
    name: str = "labels",
    scale_factors: ScaleFactors = "auto",
    method: MethodLike = "mode",
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    colors: ColorsLike | None = None,
    properties: PropertiesLike | None = None,
    label_metadata: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write labels of an image as a pyramid under ``labels/<name>``, and list them.

    The image, if it is there, stays as it is, whole at every moment; labels get its version, axes, scale, units
    and as many levels, unless you say otherwise.

    Parameters
    ----------
    labels : array-like
        Integers, as long along each axis as the image, or 1. Read in pieces, once.
    group : str, path, zarr.Group or zarr store
        Of the image.
    name : str
        Of the label image, without slashes.
    scale_factors, method
        As in `write_image`; by default the factors of the image, and the most frequent value of a window.
    fmt, axes, scale, translation, axes_units, storage_options, fs_options
        As in `write_image`.
    colors : dict of label value to RGBA, sequence of dict, or True, optional
        ``{1: (255, 0, 0, 255)}`` or ``[{"label-value": 1, "rgba": [255, 0, 0, 255]}]``. True gives every
        value a colour, which reads all labels once more.
    properties : dict of label value to dict, or sequence of dict, optional
        ``{1: {"area": 7}}`` or ``[{"label-value": 1, "area": 7}]``.
    label_metadata : dict, optional
        ``colors``, ``properties``, ``source`` and what else ``image-label`` is to say, in one.
    memory, staging, overwrite, resume, retries, progress, compute, **metadata
        As in `write_image`; `overwrite` replaces the labels of this name only.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, FileExistsError, WriteError
        As `write_image`; for labels that are no integers, or can't be labels of the image (section "labels").

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image, write_labels
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint16"), store, [2], axes="yx")
    >>> plan = write_labels(np.ones((64, 64), "uint8"), store, "cells", colors={1: (255, 0, 0, 255)})
    >>> zarr.open_group(store, path="labels", mode="r").attrs["ome"]["labels"]
    ['cells']
    """
    return write(planned_labels, locals())


@accepts_ome_zarr_calls
def write_multiscale_labels(
    pyramid: Sequence[ImageLike],
    group: GroupLike,
    name: str = "labels",
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    method: MethodLike = "mode",
    colors: ColorsLike | None = None,
    properties: PropertiesLike | None = None,
    label_metadata: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write levels of labels that the caller has already under ``labels/<name>``, and list them.

    Parameters
    ----------
    pyramid : sequence of array-like
        From fine to coarse, as many as the image has.
    group, name, colors, properties, label_metadata
        As in `write_labels`.
    method : str or callable
        How the levels were made, which places them.
    fmt, axes, scale, translation, axes_units, storage_options, fs_options
        As in `write_image`.
    memory, overwrite, resume, retries, progress, compute, **metadata
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, FileExistsError, WriteError
        As `write_labels` and `write_multiscale`.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_multiscale_labels
    >>> levels = [np.ones((8, 8), "uint8"), np.ones((4, 4), "uint8")]
    >>> write_multiscale_labels(levels, zarr.storage.MemoryStore(), "cells", axes="yx").groups[0].path
    'labels/cells'
    """
    return write(planned_multiscale_labels, locals())


@accepts_ome_zarr_calls
def write_plate(
    wells: WellsLike,
    group: GroupLike,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: MethodLike = "mean",
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str | int] | None = None,
    acquisitions: Sequence[Mapping[str, Any]] | None = None,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write a whole plate, wells and their images, as one plan; or add wells to a plate that is there.

    Images may be lazy, and thousands; they are written side by side, in the memory of a few blocks each.

    Parameters
    ----------
    wells : dict
        From ``"A/1"`` or ``("A", 1)`` to the images of that well: one, a list of them (its fields), or a
        dict from the id of an acquisition to a list.
    group : str, path, zarr.Group or zarr store
        Of the plate. Wells that a plate has already stay; the new ones are listed when they are whole.
    scale_factors, method
        As in `write_image`, for every image.
    name : str, optional
        Of the plate.
    rows, columns : sequence of str, optional
        All names of the plate, such as ``"ABCDEFGH"`` and ``range(1, 13)``; without them, those that have wells.
    acquisitions : sequence of dict, optional
        Each with ``id``, and what else is to be said of it: ``name``, ``starttime``, …
    fmt, axes, scale, translation, axes_units, channels, omero, storage_options, fs_options
        As in `write_image`, for every image.
    memory, staging, overwrite, resume, retries, progress, compute, **metadata
        As in `write_image`; `overwrite` replaces wells that are given and there.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, WriteError
        As `write_image`; for rows, columns and wells that can't be (section "plate").
    FileExistsError
        If the plate has one of the wells already.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_plate
    >>> store, field = zarr.storage.MemoryStore(), np.zeros((64, 64), "uint16")
    >>> plan = write_plate({"A/1": [field, field], "B/2": [field]}, store, [2], "screen", axes="yx")
    >>> plate = zarr.open_group(store, mode="r").attrs["ome"]["plate"]
    >>> plate["field_count"], [well["path"] for well in plate["wells"]]
    (2, ['A/1', 'B/2'])
    """
    return write(planned_plate, locals())


def add_levels(
    group: GroupLike,
    scale_factors: ScaleFactors = "auto",
    method: MethodLike | None = None,
    *,
    storage_options: StorageOptions = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    overwrite: bool = False,
    resume: bool = False,
    retries: int = 2,
    progress: Progress | None = None,
    compute: Compute = True,
) -> Plan | Delayed:
    """Add coarser levels to an image that lacks them, without touching what is there.

    Labels of the image get levels, too: they must have as many.
    Readers see the image as it was until the new levels are whole; then its metadata change in one write. After a
    failure, call it again with ``overwrite=True``.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        Of an OME-Zarr image, whoever wrote it.
    scale_factors : "auto", or sequence of int or dict
        One entry per new level, relative to level 0, as in `write_image`.
    method : str or callable, optional
        The one that the metadata name, or the mean.
    storage_options : dict or sequence of dict, optional
        Of the new levels; by default chunks, shards and compression of the coarsest level that is there.
    overwrite : bool
        Replace arrays in the way of new levels, such as those of a call that failed; never levels of the image.
    fs_options, memory, resume, retries, progress, compute
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    FileExistsError
        If an array is in the way of a new level.
    ValueError
        If there is no image, it can't be read, or has no room for more levels.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import add_levels, write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint16"), store, None, axes="yx")
    >>> plan = add_levels(store, [2, 4])
    >>> [array.shape for _, array in sorted(zarr.open_group(store, mode="r").arrays())]
    [(64, 64), (32, 32), (16, 16)]
    """
    return write_more_levels(locals())


__all__ = [
    "add_levels", "add_metadata", "check_format", "check_group_fmt", "get_metadata", "plan_image", "write_image",
    "write_label_metadata", "write_labels", "write_multiscale", "write_multiscale_labels",
    "write_multiscales_metadata", "write_plate", "write_plate_metadata", "write_well_metadata",
]  # fmt: skip
