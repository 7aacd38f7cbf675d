"""`daskome.transcode`: a whole hierarchy with other chunks, shards, codecs, or in another version."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from dask.delayed import Delayed
from zarr.storage import StorePath

from daskome.calls.signatures import as_lists
from daskome.execution.write import Write
from daskome.model.source import Source
from daskome.model.storage.level_options import parse_level_options
from daskome.model.types import (
    Compute,
    FileSystemOptions,
    FormatLike,
    GroupLike,
    MethodLike,
    Nbytes,
    PathLike,
    Progress,
    ScaleFactors,
    StorageOptions,
)
from daskome.planning.plan import Plan
from daskome.stores.archives.working import check_temporary
from daskome.stores.location import locate
from daskome.transcoding.images import STORED, copies_levels
from daskome.transcoding.stored import stored_hierarchy
from daskome.transcoding.whole import check_apart, check_target, plan_hierarchy, version_for
from daskome.upgrade.tree import build_tree
from daskome.writing.carry_out import carry_out
from daskome.writing.description import ImageOptions, warn_together
from daskome.writing.options import Arguments, check_bool, chosen
from daskome.writing.target import PlanRequest, counted_chunks, plan_options


def transcode(
    source: GroupLike,
    target: GroupLike | None,
    *,
    fmt: FormatLike | None = None,
    storage_options: StorageOptions = None,
    scale_factors: ScaleFactors | Literal["stored"] = STORED,
    method: MethodLike | None = None,
    in_options: FileSystemOptions | None = None,
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
    progress: Progress | None = None,
    compute: Compute = True,
    dry_run: bool = False,
) -> Plan | Delayed:
    """Write an OME-Zarr hierarchy anew: with other chunks, shards, codecs, or in another version.

    Everything below the source goes along: levels, channels, labels, the wells of a plate, the series and OME-XML of a
    bioformats2raw layout, attributes of other programs. Each level is copied as it is, voxel by voxel. It is one plan,
    so it resumes, keeps within memory, and runs on clusters and in parts like every other. What cannot go along,
    such as tables that are not OME-Zarr, or what the version has no place for, is named by warnings.

    Parameters
    ----------
    source : str, path, zarr.Group or zarr store
        An image, a plate, a well or a bioformats2raw layout.
    target : str, path, zarr.Group or zarr store, or None
        A new place; None if it is a dry run for a place that is not known yet.
    fmt : str or object with a version, optional
        OME-Zarr version. Default: that of the target if it exists; or else "0.5", or that of the source if it is newer.
    storage_options : dict or sequence of dict, optional
        As in `daskome.write_image`, for all images. By default arrays keep their chunks, shards (in zarr v3) and
        fill values; compressors are those of `daskome.write_image`.
    scale_factors : "stored", "auto", sequence of int or dict, or None
        "stored" copies the levels that there are. Otherwise levels are made anew from the first, as in
        `daskome.write_image`, and labels follow their images.
    method : str or callable, optional
        How levels are made anew. Default: as the metadata of each image say, or mean. Labels have mode.
    in_options, fs_options : dict, optional
        For the file systems of the source's and the target's URLs. They are never stored.
    memory, check_source, in_flight, take_over, retries, progress, compute
        As in `daskome.write_image`.
    verbatim : bool
        As in `daskome.write_image`; of levels that are copied, all. They need nothing but the same chunks and codecs,
        which are then the default, as `chunks` of larger ``shards`` too.
    temporary : str or path, optional
        As in `daskome.write_image`.
    overwrite : bool
        Replace an image at the target; a single file as a whole.
    resume : bool
        Continue what was interrupted; begin where nothing was begun.
    dry_run : bool
        Write nothing; return the plan, which can be written there.

    Returns
    -------
    Plan or dask.delayed.Delayed
        As `daskome.write_image` returns it.

    Raises
    ------
    ValueError
        With all obstacles, one line each: what the version cannot hold, what is unfinished, listed but missing, or
        cannot be stored as wanted.
    FileNotFoundError
        If there is no zarr group at the source.
    FileExistsError
        If something at the target is in the way.

    Examples
    --------
    >>> import daskome, numpy as np, zarr
    >>> old, new = zarr.storage.MemoryStore(), zarr.storage.MemoryStore()
    >>> image, cells = np.ones((64, 64), "uint16"), np.ones((64, 64), "uint8")
    >>> plan = daskome.write_image(image, old, [2], axes="yx", fmt="0.4", labels={"cells": cells})
    >>> plan = daskome.transcode(old, new, fmt="0.5", storage_options={"chunks": 16, "shards": 64})
    >>> group = zarr.open_group(new, mode="r")
    >>> group["s0"].shards, group["labels/cells/s1"].shape
    ((64, 64), (32, 32))
    """
    arguments = {name: value if name in ("source", "target") else as_lists(value) for name, value in locals().items()}
    check_bool("dry_run", dry_run)
    if dry_run:
        return planned_transcode(source, target, arguments)
    if target is None:
        raise ValueError("without a target there is nothing to write; give one, or dry_run=True")
    place = locate(target, fs_options, replaces=overwrite is True)
    plan, sources = _planned(locate(source, in_options, read_only=True), place, arguments)
    return carry_out(plan, sources, place, {**arguments, "group": target})


def planned_transcode(source: GroupLike, target: GroupLike | None, arguments: Arguments) -> Plan:
    """Return the plan of a transcode; with a target, check that it can be written there."""
    replaces = arguments["overwrite"] is True
    place = None if target is None else locate(target, arguments["fs_options"], replaces=replaces)
    plan, sources = _planned(locate(source, arguments["in_options"], read_only=True), place, arguments)
    if place is not None:
        if arguments.get("temporary") is not None:
            check_temporary(place, arguments["temporary"])
        Write(plan, sources, place, arguments["overwrite"]).checked()
    return plan


def _planned(source: StorePath, target: StorePath | None, arguments: Arguments) -> tuple[Plan, Sequence[Source]]:
    """Return the plan of a call, and what it reads; warn of what does not go along."""
    factors = arguments.get("scale_factors", STORED)
    if arguments["method"] is not None and copies_levels(factors):
        raise ValueError("levels are copied, so a method has no effect; give scale_factors to make them anew")
    if target is not None:
        check_apart(target, source)
    tree = build_tree(source)
    version = version_for(tree, target, arguments["fmt"])
    hierarchy = stored_hierarchy(source, tree, version)
    if target is not None and not arguments.get("resume"):
        check_target(target, hierarchy)
    storage = parse_level_options(arguments["storage_options"])
    choices = ImageOptions(
        method=arguments["method"],
        scale_factors=factors,
        storage_options=storage,
        verbatim=arguments.get("verbatim", False),
    )
    request = chosen(PlanRequest, arguments)
    plan, sources = plan_hierarchy(hierarchy, version, choices, plan_options(target, request))
    if request.check_source:
        plan = replace(plan, counted=counted_chunks(sources))
    warn_together(hierarchy.notes)
    return plan, sources
