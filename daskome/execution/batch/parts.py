"""The two calls of a job array's jobs: `run_part` writes some units, `finish` publishes when none is missing.

``write_image(…, compute="init")`` begins. Then any number of processes call `run_part`, in any order, on any machine
that can reach the store; each may be killed and started again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from daskome.execution.batch.origins import images_of
from daskome.execution.batch.saved import name_failures, reads_images, saved_run, target_of
from daskome.execution.batch.schedulers import share
from daskome.execution.batch.status import Status, status_of
from daskome.execution.executors import available_workers, check_sources
from daskome.execution.finished.fingerprints import check_still_written
from daskome.execution.finished.lost import check_stored, redoing_lost
from daskome.execution.owning import owning
from daskome.execution.progress import drawn
from daskome.execution.publish import publish_plan
from daskome.execution.resume import check_stamps, fitting
from daskome.execution.runner import Part, Run, write_units
from daskome.model.problem import WriteError, or_unfinished
from daskome.model.regions import shape_of
from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.model.types import FileSystemOptions, FunctionLike, GroupLike, ImageLike, Nbytes, PathLike, ShowProgress
from daskome.ome.versions import find_version
from daskome.planning.plan import Plan
from daskome.planning.work import Pass
from daskome.sources.stored_whole import as_stored_whole, encoding_in
from daskome.sources.views import expand_axes
from daskome.stores.groups import reload_attributes
from daskome.stores.journal import SavedRun
from daskome.stores.location import locate
from daskome.stores.ownership.claims import PART_SLOT


def run_part(
    group: GroupLike,
    image: ImageLike | PathLike | Sequence[ImageLike | PathLike] | None = None,
    stage: int | None = None,
    part: tuple[int, int] = (0, 1),
    *,
    labels: str | None = None,
    method: FunctionLike | None = None,
    fs_options: FileSystemOptions | None = None,
    in_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
) -> Status:
    """Write one part of a run that was begun with ``compute="init"``; units that are finished are left out.

    Parts share nothing but the store: run them in any order and at the same time, and again after a crash. Each part is
    written by one process at a time.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The target of the call that began.
    image : array-like, path, URL, or a sequence of these, optional
        The image, or all images in the order of the plan; or paths or URLs at or below which they lie. By default they
        are opened where they were when the run began, if that is where the group is: in the same bucket, on the same
        host, or both among the files of this machine. Elsewhere nothing is opened because a store says so: name it.
        An image that lives only in memory, such as a Dask image, must be given.
    stage : int, optional
        Which stage; those before it must be finished. By default all stages, one after the other.
    part : (int, int)
        Part i of n, counted from 0: consecutive units of the stage.
    labels : str, optional
        The name of the labels, if it is labels of an image that were begun.
    method : str or callable, optional
        The function by which it was begun, if that is not one of `METHODS`: nothing that a store names is imported.
    fs_options, in_options : dict, optional
        For the file systems of the target's and of the images' URLs, such as credentials.
    take_over : bool
        Write the part even if another process that may be alive does: from now on, that writes nothing more.
    memory, retries, progress
        As in `daskome.write_image`.

    Returns
    -------
    Status
        How far the whole run is.

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    ValueError
        For a stage or part that does not exist, a stage whose turn has not come, an image other than the one that
        was planned, changed since, or lies where the words of the call do not lead, or a function that was not given.
    FileExistsError
        If another process writes the part, or the whole run, and is alive.
    WriteError
        If units failed for good; the others of the part are finished. Or if another process has taken over.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import finish, run_part, write_image
    >>> store, image = zarr.storage.MemoryStore(), np.zeros((64, 64), "uint8")
    >>> plan = write_image(image, store, [2], axes="yx", compute="init")
    >>> run_part(store, image).missing
    ()
    >>> plan = finish(store)
    """
    bar = drawn(progress)
    saved = saved_run(locate(group, fs_options), labels, method)
    saved.plan.check_functions()
    workers = available_workers(saved.journal.home, memory)
    parts = _parts(saved.plan, stage, part)
    sources = _sources(saved, image, in_options) if reads_images(saved.plan, parts) else []
    run = Run(fitting(saved.plan, workers), sources, target_of(saved), saved.journal)
    _check_turn(run, parts[0].stage)
    check_sources(saved.journal.home, saved.plan, sources)
    with owning(run, _slot(stage, part), take_over) as owned_run, redoing_lost(owned_run):
        write_units(owned_run, retries, bar, parts)
    return status_of(saved)


def _slot(stage: int | None, part: tuple[int, int]) -> str:
    """Return what the owner of a part owns.

    >>> _slot(0, (3, 64))
    'part-3-of-64-of-stage-0'
    """
    i, n = part
    return f"{PART_SLOT}{i}-of-{n}" + ("" if stage is None else f"-of-stage-{stage}")


def finish(
    group: GroupLike,
    *,
    labels: str | None = None,
    fs_options: FileSystemOptions | None = None,
    check: bool = False,
    take_over: bool = False,
) -> Plan:
    """Publish what `run_part` has written: only now it becomes an image.

    Parameters
    ----------
    group, labels, fs_options
        As in `run_part`.
    check : bool
        Whether to look for every object that was stored even where lists are slow, as over sftp. Folders and clouds
        are always asked.
    take_over : bool
        Publish even if processes that may be alive write parts: from now on, they write nothing more.

    Returns
    -------
    Plan

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    FileExistsError
        If another process writes a part, or finishes, and is alive.
    WriteError
        That lists the units that are missing; or names objects that are gone, whose units then count as missing; or
        a block that is no longer what was written.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import finish, run_part, write_image
    >>> store, image = zarr.storage.MemoryStore(), np.zeros((64, 64), "uint8")
    >>> plan = write_image(image, store, [2], axes="yx", compute="init")
    >>> try:
    ...     finish(store)
    ... except RuntimeError as error:
    ...     print(str(error).splitlines()[1])
      stage 0: 1 unit, 0
    >>> state = run_part(store, image)
    >>> finish(store).n_objects
    2
    """
    saved = saved_run(locate(group, fs_options), labels)
    run = Run(saved.plan, [], target_of(saved), saved.journal)
    _check_whole(run)
    with owning(run, take_over=take_over) as owned_run:
        _check_whole(owned_run)
        check_stored(owned_run, check)
        check_still_written(owned_run)
        with or_unfinished(saved.journal.home, "could not be published", "once the cause is fixed, finish again"):
            publish_plan(owned_run)
    reload_attributes(group)
    return saved.plan


def _check_whole(run: Run) -> None:
    """Raise a WriteError that lists the units that are missing."""
    missing = {stage: run.missing(stage) for stage in range(len(run.plan.stages))}
    if any(missing.values()):
        named = [name_failures(stage, indices) for stage, indices in missing.items() if indices]
        raise WriteError(
            "\n".join(
                [f"{run.journal.home} cannot be finished, since units are missing:", *named, "run them, then finish"]
            )
        )


def _parts(plan: Plan, stage: int | None, part: tuple[int, int]) -> list[Part]:
    """Return the units of part i of n of a stage; without a stage, those of all stages."""
    i, n = part
    if not 0 <= i < n:
        raise ValueError(f"there is no part {i} of {n}; parts are counted from 0 to {n - 1}")
    if stage is None:
        if n > 1 and len(plan.stages) > 1:
            raise ValueError(
                f"part {i} of {n} needs a stage; there are {len(plan.stages)}, counted from 0, one after the other"
            )
        return [Part(k, share(plan.count(k), part)) for k in range(len(plan.stages))]
    if not 0 <= stage < len(plan.stages):
        raise ValueError(f"there is no stage {stage}; there are {len(plan.stages)}, counted from 0")
    return [Part(stage, share(plan.count(stage), part))]


def _check_turn(run: Run, stage: int) -> None:
    """Raise a ValueError if a stage would read what has not been written yet."""
    for before in range(stage):
        missing = run.missing(before)
        if missing:
            raise ValueError(
                f"stage {stage} reads what stage {before} writes, and that is not finished:\n"
                f"{name_failures(before, missing)}"
            )


def _sources(saved: SavedRun, image: Any, in_options: Mapping[str, Any] | None) -> list[Source]:
    """Return the images of a plan: those that the caller passes, or opened where they were."""
    opened = images_of(saved, image, in_options)
    if len(opened) != saved.plan.n_images:
        raise ValueError(f"the plan reads {pluralize(saved.plan.n_images, 'image')}, but {len(opened)} were given")
    taken = {work.image for work in saved.plan.image_passes if saved.plan.takes_over(work)}
    opened = [as_stored_whole(one) if k in taken else one for k, one in enumerate(opened)]
    sources = [expand_axes(one, origin.expanded) for one, origin in zip(opened, saved.origins, strict=True)]
    check_stamps(saved, sources)
    for work in (work for stage in saved.plan.stages for work in stage.passes):
        if work.image is not None:
            _check_planned(sources[work.image], saved.plan, work)
        if work.image is not None and work.image in taken:
            _check_taken(sources[work.image], saved.plan, work)
    return sources


def _check_taken(source: Source, plan: Plan, work: Pass) -> None:
    """Raise a ValueError if the chunks of an image are not those that were planned to be taken over."""
    level, version = plan.pyramid(work).levels[work.first], find_version(plan.version)
    encoding_in(source).check(level.layout, level.shape, version.arrays)


def _check_planned(source: Source, plan: Plan, work: Pass) -> None:
    planned = shape_of(work.given or plan.covered(work)), plan.pyramid(work).dtype
    if (source.shape, source.dtype) != planned:
        raise ValueError(
            f"the image is {source.shape} {source.dtype}, but {planned[0]} {planned[1]} was planned; give the image"
            " with which the run began"
        )
