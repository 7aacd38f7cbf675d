"""The calls that plan and write images, labels and plates: the reference documentation of daskome.

With the calls of `daskome.writing.metadata`, these are the API of ``ome_zarr.writer``: each also takes the arguments
of every release of it. Sections named in quotation marks are those of the OME-Zarr specification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import zarr
from dask.delayed import Delayed

from daskome.calls.translation import accepts_ome_zarr_calls
from daskome.format import Format, format_from_version
from daskome.model.types import (
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
    OrientationLike,
    PathLike,
    PerAxis,
    PropertiesLike,
    RegionLike,
    ScaleFactors,
    ShowProgress,
    StorageOptions,
    SystemsLike,
    TransformationsLike,
    UnitsLike,
    WellsLike,
)
from daskome.planning.plan import Plan
from daskome.scale import Methods
from daskome.writing.carry_out import write
from daskome.writing.dry_run import dry_run
from daskome.writing.images import planned_image, planned_multiscale
from daskome.writing.metadata import (
    add_metadata,
    get_metadata,
    open_group_for,
    version_written,
    write_label_metadata,
    write_multiscales_metadata,
    write_plate_metadata,
    write_well_metadata,
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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    labels: Mapping[str, LabelsLike] | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    temporary: PathLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write an image of any size as an OME-Zarr pyramid.

    All arguments are checked before anything is written. The OME attributes are written last, so readers never take an
    interrupted write for an image. What writes is the scheduler that Dask is set to: the workers of the active
    `distributed.Client`, else threads of this process. A call in a task of a cluster writes in that task; under
    `distributed.worker_client`, on the whole cluster.

    Parameters
    ----------
    image : array-like
        A NumPy, Dask, zarr, xarray or HDF5 array, or anything with shape, dtype and slicing: 2 to 5 dimensions, in
        0.9.dev1 any number, of bool, integers or floats of up to 64 bits. It is read in pieces, never as a whole.
    group : str, path, zarr.Group or zarr store
        The target: a path, a URL that fsspec knows, an open group or a store. What ends in ``.ozx`` (RFC-9, for "0.5"
        and newer) or ``.zip`` becomes a single file. It is written as a folder beside it, ``NAME.ozx.partial``, in a
        bucket as objects there. When that is published it is packed in one pass, and removed. The file appears in one
        step: it is renamed; in a bucket its parts are sent as they are read, and put together at the end.
    scale_factors : "auto", sequence of int, dict or sequence, or None
        One entry per level below the first, relative to level 0 and a multiple of the entry before: an int for all
        axes of space, a dict by axis name, or one int per axis. ``"auto"`` first makes voxels isotropic, then halves
        all axes of space until a level fits in one chunk. None writes level 0 only.
    name : str, optional
        Name of the image. Default: the name of an xarray, or "image".
    method : str or callable, optional
        How the voxels of a window become one: a name in `METHODS` (mean, median, mode, min, max, nearest, gaussian,
        resize, zoom, laplacian), ``"module:function"``, or a function ``(windows, axis) -> values`` such as
        `numpy.max`. Default: mean; mode if the target lies among the labels of an image.
    fmt : str or object with a version, optional
        OME-Zarr version: "0.1" to "0.4" (zarr v2), "0.5", "0.6" or "0.9.dev1" (zarr v3). Default: the version of the
        group, or "0.5" if there is none. Versions before 0.4 cannot store voxel sizes where readers find them; a
        warning says so.
    axes : str or sequence of names or dicts, optional
        Such as "tczyx", one per dimension; others than these say their type, as in ``[{"name": "angle", "type":
        "angle"}, "y", "x"]``. Default: the dims of an xarray; else yx, zyx or tczyx for 2, 3 or 5 dimensions.
    scale : number, sequence or dict by axis name, optional
        Voxel size in `axes_units`; a number is for all axes of space. Default: the step of regular xarray coordinates,
        or 1.
    translation : number, sequence or dict by axis name, optional
        Position of the centre of the first voxel in `axes_units`. Default: the first xarray coordinate, or 0.
    axes_units : str or dict by axis name, optional
        UDUNITS-2 names such as "micrometer", or common abbreviations; a str is for all axes of space.
    orientation : str, dict by axis name, or False, optional
        Where in a body the axes of space lead to: "RAS" says that x leads to the right, y to the front (anterior) and z
        to the head (superior), whatever the order of the axes; a dict has letters or the 24 values of RFC-4, such as
        ``{"z": "dorsal-to-ventral"}``. Default: what the file or store of the image says; False leaves that out, on
        the axes of the image and of all coordinate systems, where the call itself does not say it. The specification
        has it since 0.9.dev1; 0.4 to 0.6 hold it as a further key of the axis.
    coordinate_systems : dict by name, or sequence of dict, optional
        Coordinate systems besides that of the image itself, which is called "physical" (OME-Zarr 0.6 and newer).
        ``{"stage": matrix}`` gives the affine matrix from the image's own coordinates, in its units and in the order of
        its axes, to those of the stage: a row for each axis, or for each axis of space alone, and in it a number for
        each of these, and the shift. If neither scale nor translation is given, its own coordinates are the indices of
        voxels. Instead of a matrix there may be a transformation, ``{"type": "rotation", "rotation": …}``, or a dict of
        ``axes``, if they are not those of the image, and ``transformation``. A list of ``{"name": …, "axes": …}`` goes
        with `coordinate_transformations`, both as the specification has them. Default: those that a file knows, such as
        the "scanner" of NIfTI and the "patient" of DICOM; labels have those of their image.
    coordinate_transformations : sequence of dict, optional
        Transformations between the systems that `coordinate_systems` lists, each with ``input`` and ``output`` (section
        "coordinateTransformations"); or a list of dicts for each level, which is taken as ``ome_zarr`` takes it.
    channels : True, sequence of names, dicts or `Channel`, optional
        Adds ``omero`` metadata, one entry per channel: label, color (RRGGBB), window (min, max, start, end). Windows
        that are not given are measured on the coarsest level. Default: what the file or store of the image says of
        them; names, dicts and `omero` override what they name, and False leaves channels out.
    omero : dict, optional
        The complete ``omero`` object (section "omero"); missing entries are added.
    labels : dict of name to array, optional
        Label images, written together with the image to ``labels/<name>``. A value may also be a dict of ``labels``,
        the array, and arguments of `write_labels`, such as ``colors``.
    storage_options : dict or sequence of dict, optional
        For all levels, or one dict per level: chunks, shards, compressors, serializer, filters, fill_value,
        order, write_empty_chunks, chunk_key_encoding, dimension_separator, attributes, config.
        Chunks and shards are a tuple, a dict by axis name, or an int for all axes of space. By default a chunk has
        one time point and channel and up to 128³ voxels, as near a cube as the shape allows. The default compressor is
        Blosc (zstd-1, bit shuffle), for single bytes and labels zstd-1; in zarr v2 it is Blosc (zstd-1, byte shuffle;
        for labels no shuffle). Compressors may be named as in `try_codecs`, which compares them on the image:
        ``"zstd:3"``. In a single file of "0.5" or newer, levels are in shards unless ``shards`` says otherwise: up to
        four chunks along each axis of space, and 2²⁴ voxels (256³, 4096²).
    level_paths : str, optional
        The paths of the levels, with ``{}`` for their number. Default: ``"s{}"``; ``"{}"`` in calls with `scaler`,
        `chunks` or `byte_order`, as ``ome_zarr`` had them until 0.11.
    fs_options : dict, optional
        For the file system of a URL: the options of s3fs, gcsfs or adlfs, such as ``{"key": "…", "secret": "…",
        "endpoint_url": "https://…"}`` for S3, or ``{"connection_string": "…"}`` for Azure. They are never stored.
        Default: what these libraries find in the environment. obstore understands them, too, where it is installed.
    memory : int or str, optional
        Bytes that a worker process may use, or text such as "2GB". Default: 70 % of the worker's limit, above which
        Dask spills to disk; without a cluster, the memory of the machine.
    staging : bool
        Allow a temporary copy of an image whose chunks fit those of the target so badly that it would be read more than
        four times. The copy is written once beside the journal, read once, and removed at the end. (Levels get such
        copies wherever that saves much reading; these are small, and the plan lists them.)
    check_source : bool
        Count the chunks of a zarr or HDF5 image that are not stored, and so would be written as the fill value. The
        plan says how many; a warning does, if there are any. It takes a listing of the store.
    in_flight : int, optional
        How many chunks or shards each process may have on their way to the store at a time, while it goes on with the
        next ones; 0: each is stored first. Default: 64 where the store is far away, such as a bucket, 0 for files.
    verbatim : bool
        Take the encoded chunks of the image over as those of level 0: they are decoded for the next level, and stored
        as they are, which saves encoding the largest level. The image must be a zarr array, of v2 or v3, or
        `da.from_zarr` of one. Its chunks, shards and codecs are then the default of level 0, and others an error;
        shards may be given that are made of whole chunks, or of whole shards. Chunks that are not stored stay so if the
        fill value is the same.
    temporary : str or path, optional
        The folder in which a single file on this machine is written before it is packed, such as a fast or large disk;
        ``NAME.ozx.partial`` is then a link. Default: beside the file.
    overwrite : bool
        Replace an existing image. Its labels, and other groups and attributes beside it, are kept. A single file is
        replaced as a whole, and stays as it is until the new one is complete.
    resume : bool
        Continue an interrupted write: finished units are left out, and the bytes are those of an uninterrupted run. If
        that write had other settings or another image, the error says what differs. If there is none, begin; if the
        image is finished, log that and do nothing.
    take_over : bool
        Write even if another process that may be alive does: from now on, that writes nothing more. Needed for one that
        hangs, or lives on a machine that has just died; one that has ended here is not waited for.
    retries : int
        How many times a failing unit of work is tried again.
    progress : bool or callable, optional
        True: a bar on stderr. A function is called as ``progress(written, total)``, in bytes: before the first unit,
        with what an interrupted write has left, and after every unit.
    compute : bool or "init"
        True: write now. False: return a `Delayed` that does everything, publishing included; it holds one task per
        unit, so more than 100,000 units are an error. "init": make the empty arrays and the journal only; `run_part`,
        in any number of processes, and `finish` do the rest.
    **metadata
        Further entries of the multiscale (section "multiscales"); the dict ``metadata`` describes how the image was
        made.

    Returns
    -------
    Plan or dask.delayed.Delayed
        The plan that was carried out (`Plan`), or the `Delayed` if ``compute=False``.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid; nothing has been written.
    FileExistsError
        If the target holds an image or other data, and `overwrite` does not allow to replace it; or if another process
        writes there, with which and since when.
    WriteError
        If units still failed after all retries. The image is left unfinished; `resume` continues it.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint8"), store, [2, 4], axes="yx", scale=(0.5, 0.5))
    >>> [array.shape for _, array in sorted(zarr.open_group(store, mode="r").arrays())]
    [(64, 64), (32, 32), (16, 16)]
    >>> turned = {"stage": [[0, -1, 100], [1, 0, 50]]}  # y of the stage is 100 - x, its x is 50 + y
    >>> plan = write_image(np.zeros((64, 64)), zarr.storage.MemoryStore(), coordinate_systems=turned, fmt="0.6")
    >>> [system.name for system in plan.groups[0].metadata.multiscales[0].systems]
    ['physical', 'stage']
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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    labels: Mapping[str, LabelsLike] | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    workers: int | None = None,
    threads: int | None = None,
    temporary: PathLike | None = None,
    overwrite: bool = False,
    **metadata: Any,
) -> Plan:
    """Return the plan of `write_image`, and write nothing: the dry run.

    Print the plan, or show it in a notebook: levels, chunks, units of work, memory, requests and hours.

    Parameters
    ----------
    image
        As in `write_image`, or a `Volume`, which has a shape and a dtype but no pixels.
    scale_factors, name, method
        As in `write_image`.
    group : optional
        The target. If it is given, the plan follows its version, and what it holds is checked too.
    fmt, axes, scale, translation, axes_units, orientation, coordinate_systems, coordinate_transformations
        As in `write_image`.
    channels, omero, labels, storage_options, level_paths, fs_options, memory
        As in `write_image`.
    staging, check_source, in_flight, verbatim
        As in `write_image`.
    workers, threads : int, optional
        Plan for this many worker processes of `threads` threads (default 1) and `memory` each (default: not bounded),
        instead of those that would write now. `threads` alone changes only the number of threads.
    temporary, overwrite, **metadata
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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    method: MethodLike = "mean",
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    temporary: PathLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write existing levels of an image as an OME-Zarr pyramid, without downsampling.

    Parameters
    ----------
    pyramid : sequence of array-like
        The levels from fine to coarse, of the same dtype and axes, each smaller than the one before.
    method : str or callable
        How the levels were made. It decides their translation: "nearest" takes the first voxel of a window, all other
        methods the window's centre.
    group, name, fmt, axes, scale, translation, axes_units, orientation, coordinate_systems
        As in `write_image`; scale and translation are those of the first level.
    coordinate_transformations, channels, omero, storage_options, level_paths, fs_options
        As in `write_image`.
    memory, check_source, in_flight, verbatim, temporary, overwrite, resume, take_over, retries, progress
        As in `write_image`.
    compute, **metadata
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, FileExistsError, WriteError
        As `write_image`, and if levels do not shrink or differ in dtype or dimensions.

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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    colors: ColorsLike | None = None,
    properties: PropertiesLike | None = None,
    label_metadata: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write labels of an image as a pyramid under ``labels/<name>``, and list them there.

    The image stays as it is. Where the arguments say nothing else, labels have its version, axes, scale, units and
    number of levels. An image is not required.

    Parameters
    ----------
    labels : array-like
        Integers; along each axis as long as the image, or 1. They are read in pieces, once.
    group : str, path, zarr.Group or zarr store
        The group of the image.
    name : str
        Name of the label image, without slashes.
    scale_factors, method
        As in `write_image`. Default: the factors of the image, and mode, the most frequent value of a window.
    fmt, axes, scale, translation, axes_units, orientation, coordinate_systems, coordinate_transformations
        As in `write_image`.
    storage_options, level_paths, fs_options
        As in `write_image`.
    colors : dict of label value to RGBA, sequence of dict, or True, optional
        ``{1: (255, 0, 0, 255)}`` or ``[{"label-value": 1, "rgba": [255, 0, 0, 255]}]``. True chooses a color for
        every value, 32,768 at most, for which all labels are read once more.
    properties : dict of label value to dict, or sequence of dict, optional
        ``{1: {"area": 7}}`` or ``[{"label-value": 1, "area": 7}]``.
    label_metadata : dict, optional
        ``colors``, ``properties``, ``source`` and further entries of ``image-label`` (section "labels") in one dict.
    memory, staging, check_source, in_flight, verbatim, overwrite, resume, take_over, retries, progress
        As in `write_image`; `overwrite` replaces the labels of this name only.
    compute, **metadata
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, FileExistsError, WriteError
        As `write_image`, and if labels are not integers, or do not fit the image (section "labels").

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
    arguments = locals()
    from daskome.writing.labels import planned_labels

    return write(planned_labels, arguments, whole=False)


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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    method: MethodLike = "mode",
    colors: ColorsLike | None = None,
    properties: PropertiesLike | None = None,
    label_metadata: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write existing levels of labels under ``labels/<name>``, without downsampling, and list them there.

    Parameters
    ----------
    pyramid : sequence of array-like
        The levels from fine to coarse, as many as the image has.
    group, name, colors, properties, label_metadata
        As in `write_labels`.
    method : str or callable
        How the levels were made, as in `write_multiscale`.
    fmt, axes, scale, translation, axes_units, orientation, coordinate_systems, coordinate_transformations
        As in `write_image`.
    storage_options, level_paths, fs_options
        As in `write_image`.
    memory, check_source, in_flight, verbatim, overwrite, resume, take_over, retries, progress, compute, **metadata
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
    arguments = locals()
    from daskome.writing.labels import planned_multiscale_labels

    return write(planned_multiscale_labels, arguments, whole=False)


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
    orientation: OrientationLike | None = None,
    coordinate_systems: SystemsLike | None = None,
    coordinate_transformations: TransformationsLike | None = None,
    channels: ChannelsLike | None = None,
    omero: Mapping[str, Any] | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    check_source: bool = False,
    in_flight: int | None = None,
    verbatim: bool = False,
    temporary: PathLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    **metadata: Any,
) -> Plan | Delayed:
    """Write a plate with its wells and images, or add wells to an existing plate, as one plan.

    Images may be lazy and may be thousands: like images are planned once, and memory does not grow with their number.

    Parameters
    ----------
    wells : dict
        From ``"A/1"`` or ``("A", 1)`` to the images of that well: one image, a list of them (its fields), or a
        dict from the id of an acquisition to an image or a list.
    group : str, path, zarr.Group or zarr store
        The group of the plate. Wells that it already has stay; new ones are listed when they are complete.
    scale_factors, method
        As in `write_image`, for every image.
    name : str, optional
        Name of the plate; images are named by their paths in it.
    rows, columns : sequence of str, optional
        All names of the plate, such as ``"ABCDEFGH"`` and ``range(1, 13)``. Default: those that have wells.
    acquisitions : sequence of dict, optional
        Each with ``id`` and, optionally, ``name``, ``starttime`` and further entries (section "plate").
    fmt, axes, scale, translation, axes_units, orientation, coordinate_systems, coordinate_transformations
        As in `write_image`, for every image.
    channels, omero, storage_options, level_paths, fs_options
        As in `write_image`, for every image.
    memory, staging, check_source, in_flight, verbatim, overwrite, resume, take_over, retries, progress
        As in `write_image`; `overwrite` replaces wells of the plate that are given again.
    temporary, compute, **metadata
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed

    Raises
    ------
    ValueError, TypeError, WriteError
        As `write_image`, and if names of rows, columns or wells are invalid (section "plate").
    FileExistsError
        If the plate already has one of the wells, and `overwrite` is False.

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
    arguments = locals()
    from daskome.writing.plates import planned_plate

    return write(planned_plate, arguments)


@accepts_ome_zarr_calls
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
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
) -> Plan | Delayed:
    """Add coarser levels to a stored image, and to its labels, without touching the levels that are there.

    Readers see the image as before until the new levels are complete; then its metadata change in one write. After a
    failure, the same call with ``resume=True`` goes on; with ``overwrite=True`` it starts anew.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of an OME-Zarr image, no matter what program wrote it.
    scale_factors : "auto", or sequence of int, dict or sequence
        One entry per new level, relative to level 0, as in `write_image`.
    method : str or callable, optional
        As in `write_image`. Default: the method that the metadata name; else mean, for labels mode.
    storage_options : dict or sequence of dict, optional
        For the new levels, as in `write_image`. Default: chunks, shards and compression of the coarsest stored level.
    overwrite : bool
        Replace arrays at the paths of new levels, such as those that a failed call has left; never levels of the image.
    fs_options, memory, resume, take_over, retries, progress, compute
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed
        As `write_image` returns.

    Raises
    ------
    FileExistsError
        If there is an array at the path of a new level.
    ValueError
        If there is no image, it cannot be read, or it has no room for more levels.

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
    arguments = locals()
    from daskome.writing.more_levels import write_more_levels

    return write_more_levels(arguments)


def update(
    group: GroupLike,
    region: RegionLike,
    data: ImageLike | PathLike | float | None = None,
    *,
    method: MethodLike | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    in_flight: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
) -> Plan | Delayed:
    """Write a region of a stored image, and make exactly what depends on it again, at every level.

    The bytes are those of the whole image written anew. Only chunks or shards that hold a voxel of the region, or one
    that is made of it, are read and written; in these, what lies around the region stays. While it runs, the image says
    that it is unfinished. After a failure or a kill, the same call with ``resume=True`` goes on.

    Labels are images of their own: give the path of one, as in ``update("a.zarr/labels/cells", …)``.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of an OME-Zarr image or label image, no matter what program wrote it.
    region : dict by axis name, or tuple
        Of slices, ``(start, stop)`` pairs or indices, in voxels of level 0: ``{"z": slice(0, 64), "t": 5}``, or as
        NumPy is indexed, ``np.s_[5, 0:64]``. Axes that are left out are whole; negative numbers count from the end.
    data : array-like, path or number, optional
        What is written there: an array as in `write_image`, or what `daskome.read` opens, of the shape of the region
        and the dtype of the image; a number fills the region. Axes along which the region is an index may be left out.
        Default: level 0 has been written there already, by whatever program.
    method : str or callable, optional
        How levels are made, as in `write_image`. Default: the method that the metadata name; else mean, for labels
        mode. The levels are consistent only if it is the one by which they were made.
    dry_run : bool
        Check everything and return the plan, but write nothing.
    overwrite : bool
        Begin anew where changing the image was interrupted: what depends on that is made again, too.
    fs_options, memory, in_flight, resume, take_over, retries, progress, compute
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed
        As `write_image` returns.

    Raises
    ------
    ValueError
        If the region is not within the image, with the axis; if data has other axes, lengths, or another dtype, or is
        read from the image itself; if there is no image, or its levels cannot be made again. Nothing has been written.
    FileExistsError
        If another process writes there.
    WriteError
        If units still failed after all retries: the image is unfinished; `resume` goes on.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import update, write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint16"), store, [2], axes="yx", storage_options={"chunks": 16})
    >>> update(store, {"y": slice(10, 20), "x": (0, 8)}, np.full((10, 8), 4, "uint16")).n_objects
    3
    >>> group = zarr.open_group(store, mode="r")
    >>> group["s1"][4:8, 0].tolist()
    [0, 4, 4, 4]
    """
    arguments = locals()
    from daskome.writing.in_place.update import write_update

    return write_update(arguments)


def append(
    group: GroupLike,
    image: ImageLike | PathLike | float,
    axis: str = "t",
    *,
    start: int | None = None,
    channels: ChannelsLike | None = None,
    method: MethodLike | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    in_flight: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
) -> Plan | Delayed:
    """Make a stored image longer along one of its axes, such as by time points, channels or planes of z.

    The cost is that of what is new. The bytes are those of the longer image written at once, in the chunks and with as
    many levels as there are: none is added, and an image that began shorter than the chunks or shards that were asked
    for keeps the short ones. Chunks or shards that hold both old and new voxels are written again, and so are windows
    that the end of the image cut, along an axis that is downsampled.

    Where no old voxel changes, at any level, as along t and c, readers see the image as it was until the end, when it
    is longer; otherwise it says meanwhile that it is unfinished. After a failure or a kill, the same call with
    ``resume=True`` goes on.

    Labels are images of their own, and do not get longer with their image: append to them, too.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of an OME-Zarr image or label image, no matter what program wrote it.
    image : array-like, path or number
        What comes after the image: an array as in `write_image`, or what `daskome.read` opens, with the same axes and
        dtype, as long as the image but for `axis`, which may be missing where one index is appended.
    axis : str
        Its name.
    start : int, optional
        Where along the axis the new part begins: an error unless the image ends there. With it, a call with
        ``resume=True`` that is repeated when all is done knows that it is. Without it, such a call does nothing if the
        image ends with these pixels already.
    channels : sequence of names, dicts or `Channel`, optional
        As in `write_image`, of new channels alone, for an image that has ``omero`` metadata. Default: what the file or
        store of `image` says, or their numbers.
    method, dry_run, overwrite
        As in `update`.
    fs_options, memory, in_flight, resume, take_over, retries, progress, compute
        As in `write_image`.

    Returns
    -------
    Plan or dask.delayed.Delayed
        As `write_image` returns.

    Raises
    ------
    ValueError
        If the image has no such axis; if what is to be appended has other axes, lengths, channels, or another dtype; or
        if there is no image, or its levels cannot be made again. Nothing has been written.
    FileExistsError
        If another process writes there.
    WriteError
        If units still failed after all retries; `resume` goes on.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import append, write_image
    >>> store, frame = zarr.storage.MemoryStore(), np.zeros((64, 64), "uint16")
    >>> plan = write_image(frame[None], store, [2], axes="tyx")
    >>> for t in range(1, 3):
    ...     plan = append(store, frame, start=t)
    >>> [array.shape for _, array in sorted(zarr.open_group(store, mode="r").arrays())]
    [(3, 64, 64), (3, 32, 32)]
    """
    arguments = locals()
    from daskome.writing.in_place.append import write_append

    return write_append(arguments)


def check_group_fmt(group: GroupLike, fmt: FormatLike | None = None, mode: str = "a") -> tuple[zarr.Group, Format]:
    """Return a group, created if necessary, and the version that is written to it.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
    fmt : str or object with a version, optional
        Default: the version of the group.
    mode : str
        ``"a"`` or ``"r+"`` to write, ``"r"`` to read.

    Returns
    -------
    (zarr.Group, Format)

    Raises
    ------
    ValueError
        If the version does not allow the zarr format of the group.

    Examples
    --------
    >>> import zarr
    >>> check_group_fmt(zarr.storage.MemoryStore(), "0.4")[1]
    FormatV04
    """
    opened, version = open_group_for(group, fmt, mode)
    return opened, format_from_version(version.name)


def check_format(group: GroupLike, fmt: FormatLike | None = None) -> Format:
    """Return the version that is written to a group.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
    fmt : str or object with a version, optional
        Default: the version of the group.

    Returns
    -------
    Format

    Raises
    ------
    ValueError
        If the version does not allow the zarr format of the group.

    Examples
    --------
    >>> import zarr
    >>> check_format(zarr.create_group(zarr.storage.MemoryStore(), zarr_format=2)).version
    '0.4'
    """
    return format_from_version(version_written(group, fmt).name)


__all__ = [
    "Methods", "add_levels", "add_metadata", "append", "check_format", "check_group_fmt", "get_metadata", "plan_image",
    "update", "write_image", "write_label_metadata", "write_labels", "write_multiscale", "write_multiscale_labels",
    "write_multiscales_metadata", "write_plate", "write_plate_metadata", "write_well_metadata",
]  # fmt: skip
