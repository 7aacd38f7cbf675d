"""The calls that plan and write images."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

from dask.delayed import Delayed, delayed
from dask.utils import parse_bytes
from zarr.storage import StorePath

from daskome import occupied, plan as planning, run, storage
from daskome.axes import AxesLike, parse_axes, per_axis
from daskome.layout import StorageOptions
from daskome.metadata import DEFAULT_VERSION, Version, find_version, parse_channels, version_of
from daskome.methods import find_method
from daskome.plan import Plan
from daskome.pyramid import Image, ScaleFactors, check_ndim
from daskome.sources import Source, as_source, stored_at


def write_image(
    image: Any,
    group: Any,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: Any = "mean",
    *,
    fmt: Any = None,
    axes: AxesLike | None = None,
    scale: Any = None,
    translation: Any = None,
    axes_units: Mapping[str, str] | str | None = None,
    channels: Any = None,
    storage_options: StorageOptions = None,
    fs_options: Mapping[str, Any] | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    retries: int = 2,
    progress: run.Progress | None = None,
    compute: bool = True,
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
    method : str or callable
        mean, median, mode, min, max, nearest, gaussian; ``"module:function"``; or a function
        ``(windows, axis) -> values`` such as `numpy.max`.
    fmt : str or object with a version, optional
        The OME-Zarr version: "0.5" (zarr v3) or "0.4" (zarr v2); that which fits an existing group.
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
    storage_options : dict or sequence of dict, optional
        For all levels, or one per level: chunks, shards, compressors, serializer, filters, fill_value,
        order, write_empty_chunks, chunk_key_encoding, dimension_separator, attributes, config.
        Chunks and shards are a tuple, a dict by axis name, or an int for all axes of space.
    fs_options : dict, optional
        For the file system of a URL, such as credentials. They are not stored.
    memory : int or str, optional
        What a worker process may use, such as "2GB"; by default its limit, or the machine's memory.
    overwrite : bool
        Replace an image that is there. Labels, other groups and attributes beside it are kept.
    retries : int
        How often a unit of work that fails is tried again.
    progress : callable, optional
        Called with bytes written and bytes in all after every unit.
    compute : bool
        If False, return a `Delayed` that does everything, publishing included.

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
    plan = plan_image(
        image, group, scale_factors, name, method, fmt=fmt, axes=axes, scale=scale, translation=translation,
        axes_units=axes_units, channels=channels, storage_options=storage_options, fs_options=fs_options,
        memory=memory, overwrite=overwrite,
    )  # fmt: skip
    task = _Task(plan, [as_source(image)], storage.locate(group, fs_options), overwrite, retries)
    return task.now(progress) if compute else task.later()


def plan_image(
    image: Any,
    group: Any = None,
    scale_factors: ScaleFactors = "auto",
    name: str | None = None,
    method: Any = "mean",
    *,
    fmt: Any = None,
    axes: AxesLike | None = None,
    scale: Any = None,
    translation: Any = None,
    axes_units: Mapping[str, str] | str | None = None,
    channels: Any = None,
    storage_options: StorageOptions = None,
    fs_options: Mapping[str, Any] | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
) -> Plan:
    """Return what `write_image` would do: the dry run. Print it, or look at it in a notebook.

    Parameters
    ----------
    image, scale_factors, name, method
        As in `write_image`.
    group : optional
        The target; with it, what is there already is checked too.
    fmt, axes, scale, translation, axes_units, channels, storage_options, fs_options, memory, overwrite
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
    """
    place = None if group is None else storage.locate(group, fs_options)
    source = as_source(image)
    described = describe(source, name, axes, scale, translation, axes_units)
    plan = planning.plan_image(
        described,
        source.chunks,
        find_method(method),
        _version(fmt, place),
        scale_factors=scale_factors,
        storage_options=storage_options,
        channels=parse_channels(channels, described.axes, described.shape),
        capacity=run.capacity(place, _bytes(memory)),
    )
    _check_target(plan, [source], place, overwrite)
    return plan


def write_multiscale(
    pyramid: Sequence[Any],
    group: Any,
    name: str | None = None,
    *,
    fmt: Any = None,
    axes: AxesLike | None = None,
    scale: Any = None,
    translation: Any = None,
    axes_units: Mapping[str, str] | str | None = None,
    channels: Any = None,
    method: Any = "mean",
    storage_options: StorageOptions = None,
    fs_options: Mapping[str, Any] | None = None,
    memory: int | str | None = None,
    overwrite: bool = False,
    retries: int = 2,
    progress: run.Progress | None = None,
    compute: bool = True,
) -> Plan | Delayed:
    """Write levels that the caller has already as an OME-Zarr pyramid.

    Parameters
    ----------
    pyramid : sequence of array-like
        From fine to coarse; the same dtype and axes, each smaller than the one before.
    method : str or callable
        How the levels were made, which places them: by windows ("mean", …), or "nearest".
    group, name, fmt, axes, scale, translation, axes_units, channels, storage_options, fs_options
        As in `write_image`; scale and translation are those of the first level.
    memory, overwrite, retries, progress, compute
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
    place = storage.locate(group, fs_options)
    sources = [as_source(level) for level in pyramid]
    levels = [describe(source, name, axes, scale, translation, axes_units) for source in sources]
    if not levels:
        raise ValueError("the pyramid has no levels")
    plan = planning.plan_levels(
        levels,
        [source.chunks for source in sources],
        find_method(method),
        _version(fmt, place),
        storage_options=storage_options,
        channels=parse_channels(channels, levels[0].axes, levels[0].shape),
        capacity=run.capacity(place, _bytes(memory)),
    )
    _check_target(plan, sources, place, overwrite)
    task = _Task(plan, sources, place, overwrite, retries)
    return task.now(progress) if compute else task.later()


def describe(
    source: Source,
    name: str | None = None,
    axes: AxesLike | None = None,
    scale: Any = None,
    translation: Any = None,
    axes_units: Mapping[str, str] | str | None = None,
) -> Image:
    """Return an image as the caller describes it, and where the caller doesn't, as it describes itself."""
    check_ndim(source.shape)
    known = {axis.name for axis in parse_axes(axes or source.dims, len(source.shape))}
    for axis in known.intersection(source.irregular):
        if scale is None or (isinstance(scale, Mapping) and axis not in scale):
            raise ValueError(f"coordinate {axis!r} is not regular and rising; drop it, or pass scale=")
    own = {k: v for k, v in source.units.items() if k in known}
    parsed = parse_axes(axes or source.dims, len(source.shape), own if axes_units is None else axes_units)
    sizes, origin = ({k: v for k, v in d.items() if k in known} for d in (source.scale, source.translation))
    return Image(
        source.shape,
        source.dtype,
        parsed,
        per_axis(sizes if scale is None else scale, parsed, "scale", 1.0),
        per_axis(origin if translation is None else translation, parsed, "translation", 0.0),
        name or source.name or "image",
    )


def _version(fmt: Any, place: StorePath | None) -> Version:
    """Return the version asked for; else the one that fits the group that is there, or the newest in use."""
    group = None if place is None else storage.find_group(place)
    if fmt is not None:
        return find_version(fmt)
    return DEFAULT_VERSION if group is None else version_of(group.metadata.zarr_format)


def _bytes(memory: int | str | None) -> int | None:
    return None if memory is None else int(parse_bytes(memory))


def _check_target(plan: Plan, sources: Sequence[Source], place: StorePath | None, overwrite: bool) -> None:
    if place is None:
        return
    for array in [array for source in sources for array in stored_at(source)]:
        occupied.check_apart(place, plan, array)
    occupied.replaceable(place, plan, overwrite)


@dataclass(frozen=True, slots=True)
class _Task:
    """A plan with all it needs to be carried out, now or later."""

    plan: Plan
    sources: Sequence[Source]
    place: StorePath
    overwrite: bool
    retries: int

    def create(self) -> None:
        """Make what is to be filled; what is there may have changed since it was checked."""
        storage.create(self.place, self.plan, occupied.replaceable(self.place, self.plan, self.overwrite))

    def now(self, progress: run.Progress | None) -> Plan:
        """Write, and publish."""
        self.create()
        run.run(self.plan, self.sources, self.place, self.retries, progress)
        run.finish(self.plan, self.place)
        return self.plan

    def later(self) -> Delayed:
        """Return a graph that does the same: a task per unit, a barrier per stage."""
        barrier = _delay("create", _create, replace(self, sources=()), os.getpid())(None)
        for stage in range(len(self.plan.stages)):
            units = [self._unit(job, barrier) for job in run.jobs(self.plan, stage, self.sources, self.place)]
            barrier = _delay("barrier", _all_done)(units)
        return _delay("finish", _finish, self.plan, self.place)(barrier)

    def _unit(self, job: run.Job, barrier: Delayed) -> Delayed:
        """Return a unit as a task; what its image holds in memory comes to it as arguments."""
        bare, keys, values = run.detached(job)
        name = f"stage-{job.unit.stage}"
        return _delay(name, run.attempt, bare, keys, self.plan.describe(job.unit), self.retries)(values, barrier)


def _delay(name: str, function: Callable[..., Any], *args: Any) -> Callable[..., Delayed]:
    """Return what makes a task of `function`; its `args` are kept from Dask, which would compute arrays in them."""
    call = delayed(partial(function, *args), traverse=False, pure=False)
    return partial(call, dask_key_name=f"daskome-{name}-{uuid4().hex}")


def _create(task: _Task, builder: int, after: None) -> None:
    if storage.is_local_to_process(task.place) and os.getpid() != builder:
        raise ValueError(f"{task.place} lives in the process that opened it; other processes can't write it")
    task.create()


def _all_done(units: list[None]) -> None:
    return None


def _finish(plan: Plan, place: StorePath, after: None) -> Plan:
    run.finish(plan, place)
    return plan
