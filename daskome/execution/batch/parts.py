"""A plan written by processes that know nothing of each other: parts of it, what is done so far, and the end.

``write_image(…, compute="init")`` begins. Then any number of processes call `run_part`, in any order, on any
machine that reaches the store; each may be killed and started again. `finish` publishes when nothing is missing.
"""

from collections.abc import Mapping
from typing import Any

from daskome.execution import runner
from daskome.execution.batch.saved import name_failures, reads_images, saved_run, target_of
from daskome.execution.batch.schedulers import share
from daskome.execution.batch.status import Status, status_of
from daskome.execution.executors import available_workers
from daskome.execution.publish import publish_plan
from daskome.execution.resume import check_stamps, fitting
from daskome.execution.runner import Run
from daskome.execution.unit_task import WriteError
from daskome.model.pyramid import Pyramid
from daskome.model.source import Source
from daskome.model.text import Progress, pluralize
from daskome.planning.plan import Plan
from daskome.sources.adapt import as_source
from daskome.sources.readers import read
from daskome.sources.views import expand_axes
from daskome.stores.groups import reload_attributes
from daskome.stores.journal import SavedRun
from daskome.stores.location import locate

Part = tuple[int, int]


def run_part(
    group: Any,
    image: Any = None,
    stage: int | None = None,
    part: Part = (0, 1),
    *,
    labels: str | None = None,
    fs_options: Mapping[str, Any] | None = None,
    in_options: Mapping[str, Any] | None = None,
    memory: int | str | None = None,
    retries: int = 2,
    progress: Progress | None = None,
) -> Status:
    """Write one part of what was begun with ``compute="init"``; units that are finished are left out.

    Parts share nothing but the store: run them in any order and at the same time, and again after a crash.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The target of the call that began.
    image : array-like or sequence of array-like, optional
        The image, or all images in the order of the plan. Without it they are opened where they were when it began;
        what lives only in memory, such as a Dask image, has to be given.
    stage : int, optional
        Which stage; those before it must be finished. Without it, all stages, one after the other.
    part : (int, int)
        Part i of n, counted from 0: a run of the stage's units.
    labels : str, optional
        The name of the labels, if labels of an image were begun.
    fs_options, in_options : dict, optional
        For the file systems of the target's and of the images' URLs, such as credentials.
    memory, retries, progress
        As in `daskome.write_image`.

    Returns
    -------
    Status
        How far all of it is.

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    ValueError
        For a stage or part that can't be, a stage whose turn has not come, an image that is not the one that was
        planned or has changed since.
    WriteError
        If units failed for good; others of the part are finished.

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
    begun = saved_run(locate(group, fs_options), labels)
    who = available_workers(begun.journal.home, memory)
    parts = _parts(begun.plan, stage, part)
    sources = _sources(begun, image, in_options) if reads_images(begun.plan, parts) else []
    start = Run(fitting(begun.plan, who), sources, target_of(begun), begun.journal)
    _check_turn(start, parts[0][0])
    runner.run(start, retries, progress, parts)
    return status_of(begun)


def finish(group: Any, *, labels: str | None = None, fs_options: Mapping[str, Any] | None = None) -> Plan:
    """Publish what `run_part` has written: only then is it an image.

    Parameters
    ----------
    group, labels, fs_options
        As in `run_part`.

    Returns
    -------
    Plan

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    WriteError
        That lists the units that are missing.

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
    begun = saved_run(locate(group, fs_options), labels)
    start = Run(begun.plan, [], target_of(begun), begun.journal)
    missing = {stage: start.missing(stage) for stage in range(len(begun.plan.stages))}
    if any(missing.values()):
        named = [name_failures(stage, indices) for stage, indices in missing.items() if indices]
        raise WriteError(
            "\n".join([f"{begun.journal.home} can't be finished, units are missing:", *named, "run them, then finish"])
        )
    publish_plan(start)
    reload_attributes(group)
    return begun.plan


def _parts(plan: Plan, stage: int | None, part: Part) -> list[tuple[int, range]]:
    """Return the units of a part, by stage."""
    i, n = part
    if not 0 <= i < n:
        raise ValueError(f"there is no part {i} of {n}; parts are counted from 0 to {n - 1}")
    if stage is None:
        if n > 1 and len(plan.stages) > 1:
            raise ValueError(f"part {i} of {n} of which stage? There are {len(plan.stages)}, one after the other")
        return [(k, share(plan.count(k), part)) for k in range(len(plan.stages))]
    if not 0 <= stage < len(plan.stages):
        raise ValueError(f"there is no stage {stage}; there are {len(plan.stages)}, counted from 0")
    return [(stage, share(plan.count(stage), part))]


def _check_turn(start: Run, stage: int) -> None:
    """Raise a ValueError if a stage would read what is not written yet."""
    for before in range(stage):
        missing = start.missing(before)
        if missing:
            raise ValueError(
                f"stage {stage} reads what stage {before} writes, and that is not finished:\n"
                f"{name_failures(before, missing)}"
            )


def _sources(begun: SavedRun, image: Any, in_options: Mapping[str, Any] | None) -> list[Source]:
    """Return the images of a plan: those that are given, or opened where they were."""
    if image is None:
        opened = [_opened(origin.path, in_options) for origin in begun.origins]
    else:
        many = isinstance(image, list | tuple) and begun.plan.n_images > 1
        opened = [as_source(one) for one in (image if many else [image])]
    if len(opened) != begun.plan.n_images:
        raise ValueError(f"the plan reads {pluralize(begun.plan.n_images, 'image')}, but {len(opened)} are given")
    sources = [expand_axes(one, origin.expanded) for one, origin in zip(opened, begun.origins, strict=True)]
    check_stamps(begun, sources)
    for work in (work for stage in begun.plan.stages for work in stage.passes):
        if work.image is not None:
            _check_planned(sources[work.image], begun.plan.pyramid(work), work.first)
    return sources


def _check_planned(source: Source, pyramid: Pyramid, level: int) -> None:
    planned = pyramid.levels[level].shape, pyramid.dtype
    if (source.shape, source.dtype) != planned:
        raise ValueError(
            f"the image is {source.shape} {source.dtype}, but {planned[0]} {planned[1]} was planned; give the one with"
            " which it was begun"
        )


def _opened(path: str, in_options: Mapping[str, Any] | None) -> Source:
    if not path:
        raise ValueError(
            "the image lived in the process that began, such as a Dask or NumPy array; give it again:"
            " run_part(group, image, …)"
        )
    return read(path, in_options if "://" in path else None)
