"""A plan written by processes that know nothing of each other: parts of it, what is done so far, and the end.

``write_image(…, compute="init")`` begins. Then any number of processes call `run_part`, in any order, on any
machine that reaches the store; each may be killed and started again. `finish` publishes when nothing is missing.
"""

import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zarr.storage import StorePath

from daskome import journal as journals, pools, run, storage, table
from daskome.jobs import WriteError
from daskome.journal import Begun
from daskome.label_images import LABELS
from daskome.metadata import ome_keys
from daskome.plan import Capacity, Plan
from daskome.pyramid import Pyramid
from daskome.readers import read
from daskome.regions import ceil_div
from daskome.resume import check_stamps, fitting
from daskome.run import Progress, Start
from daskome.schedulers import SCHEDULERS, Submission, script, share
from daskome.sources import Source, as_source, expanded

Part = tuple[int, int]
NAMED = 20
"""So many runs of missing units are named."""
SPARE = 1.25
"""Batch systems count more than a process's own memory: files in their cache, the shell."""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far a stage is: units in all, done, failed for good; bytes, uncompressed; and the units missing."""

    units: int
    done: int
    failed: int
    nbytes: int
    nbytes_done: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """How far a plan is that has been begun.

    Attributes
    ----------
    stages : tuple of StageStatus
    failures : dict of str to str
        Why units failed for good, by ``stage/index``; those that have been written since are left out.
    seconds_left : float, optional
        At the rate so far; None before there is any.
    """

    where: str
    stages: tuple[StageStatus, ...]
    failures: Mapping[str, str]
    seconds_left: float | None

    @property
    def missing(self) -> tuple[str, ...]:
        """The units that are not finished, as ``stage/index``."""
        return tuple(f"{k}/{index}" for k, stage in enumerate(self.stages) for index in stage.missing)

    def __repr__(self) -> str:
        rows = [[str(k), *_row(stage)] for k, stage in enumerate(self.stages)]
        lines = [table.text(self.where, ["stage", "units", "done", "missing", "failed", "bytes done", "of"], rows)]
        lines += [f"  unit {key} failed: {reason}" for key, reason in list(self.failures.items())[:NAMED]]
        if self.missing:
            left = "unknown" if self.seconds_left is None else table.duration(self.seconds_left)
            return "\n".join([*lines, f"time left, at the rate so far: {left}"])
        return "\n".join([*lines, "every unit is done; `daskome finish` publishes it"])


def _row(stage: StageStatus) -> list[str]:
    numbers = (stage.units, stage.done, len(stage.missing), stage.failed)
    return [*(f"{n:,}" for n in numbers), table.nbytes(stage.nbytes_done), table.nbytes(stage.nbytes)]


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
    begun = _begun(storage.locate(group, fs_options), labels)
    who = pools.capacity(begun.journal.home, memory)
    parts = _parts(begun.plan, stage, part)
    sources = _sources(begun, image, in_options) if _reads_images(begun.plan, parts) else []
    start = Start(fitting(begun.plan, who), sources, _place(begun), begun.journal)
    _check_turn(start, parts[0][0])
    run.run(start, retries, progress, parts)
    return _status(begun)


def status(group: Any, *, labels: str | None = None, fs_options: Mapping[str, Any] | None = None) -> Status:
    """Return how far it is, what was begun with ``compute="init"``, or was interrupted. Print it.

    Parameters
    ----------
    group, labels, fs_options
        As in `run_part`.

    Returns
    -------
    Status

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import status, write_image
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_image(np.zeros((64, 64), "uint8"), store, [2], axes="yx", compute="init")
    >>> status(store).missing
    ('0/0',)
    """
    return _status(_begun(storage.locate(group, fs_options), labels))


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
    begun = _begun(storage.locate(group, fs_options), labels)
    start = Start(begun.plan, [], _place(begun), begun.journal)
    missing = {stage: start.missing(stage) for stage in range(len(begun.plan.stages))}
    if any(missing.values()):
        named = [_named(stage, indices) for stage, indices in missing.items() if indices]
        raise WriteError(
            "\n".join([f"{begun.journal.home} can't be finished, units are missing:", *named, "run them, then finish"])
        )
    run.finish(start)
    storage.renew(group)
    return begun.plan


def batch_script(
    group: Any,
    scheduler: str = "slurm",
    *,
    jobs: int = 64,
    threads: int | None = None,
    hours: int = 24,
    memory: int | str | None = None,
    labels: str | None = None,
    options: Sequence[str] = (),
    fs_options: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
) -> str:
    """Return a shell script that submits what was begun as arrays of jobs, a stage after the other, and its end.

    It asks only for what is missing now: after jobs have failed, print and run it anew.

    Parameters
    ----------
    group, labels, fs_options
        As in `run_part`. Credentials are not written into the script: jobs find them in their environment.
    scheduler : str
        slurm, pbs, sge or lsf.
    jobs : int
        How many a stage is split into, at most.
    threads, hours, memory
        Of each job; by default the threads for which it was planned, and the memory it predicts with some to spare.
    options : sequence of str
        Further words for the command that submits, such as ``--partition=long``.
    command : sequence of str
        How daskome is called in a job; by default by this Python.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    ValueError
        For a scheduler that is not known, less memory than a job needs, and what jobs can't reach: an image or a
        target that lives in the memory of this process.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> from daskome import batch_script, read, write_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image, target = Path(folder, "a.npy"), Path(folder, "a.ome.zarr")
    ...     np.save(image, np.zeros((64, 64), "uint8"))
    ...     plan = write_image(read(image), target, [2], axes="yx", compute="init")
    ...     text = batch_script(target, "slurm", jobs=8)
    >>> "sbatch" in text
    True
    """
    if scheduler not in SCHEDULERS:
        raise ValueError(f"scheduler {scheduler!r} is not known; give one of {', '.join(SCHEDULERS)}")
    begun = _begun(storage.locate(group, fs_options), labels)
    start = Start(begun.plan, [], _place(begun), begun.journal)
    missing = [start.missing(stage) for stage in range(len(begun.plan.stages))]
    n = threads or begun.plan.capacity.threads
    mib = ceil_div(_job_memory(begun.plan, n, memory), 2**20)
    target = (_reachable(begun, missing), *(("--labels", labels) if labels else ()))
    daskome = tuple(command) or (sys.executable, "-m", "daskome")
    what = Submission(jobs, n, mib, hours, daskome, target, tuple(options))
    return script(begun.plan, missing, SCHEDULERS[scheduler], what)


def _job_memory(plan: Plan, threads: int, memory: int | str | None) -> int:
    """Return how much memory a job asks for."""
    if memory is None:
        return int(plan.memory_of(threads) * SPARE)
    asked = table.parsed_nbytes(memory)
    fitting(plan, Capacity(1, threads, asked))
    return asked


def _reachable(begun: Begun, missing: Sequence[Sequence[int]]) -> str:
    """Return the path or URL of a target for jobs, if they can reach it, and the images that they read."""
    target = storage.url(_place(begun))
    if not target:
        raise ValueError(f"{begun.journal.home} lives in this process, where no job reaches it; give a path or a URL")
    reads = _reads_images(begun.plan, [(stage, range(len(units))) for stage, units in enumerate(missing) if units])
    if reads and not all(origin.path for origin in begun.origins):
        raise ValueError(
            "jobs can't open the image: it lived in the process that began, such as a Dask or NumPy array. Begin with a"
            " file or a zarr array; or let jobs of your own call daskome.run_part(group, image, stage, part)"
        )
    return target


def _begun(place: StorePath, labels: str | None) -> Begun:
    home = place / LABELS / labels if labels else place
    begun = journals.find(home)
    if begun is None:
        found = storage.attributes(home)
        whole = found and "multiscales" in ome_keys(found)
        what = "is finished" if whole else "holds nothing that was begun; `daskome init`, or compute='init', begins"
        raise FileNotFoundError(f"{home} {what}")
    if begun.plan.home != home.path[len(home.path) - len(begun.plan.home) :]:
        raise ValueError(f"{home} are labels of an image; give that, and the name of the labels")
    return begun


def _place(begun: Begun) -> StorePath:
    """Return the target of a plan, from the group that keeps its journal."""
    home = begun.journal.home
    return StorePath(home.store, home.path.removesuffix(begun.plan.home).rstrip("/"))


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


def _reads_images(plan: Plan, parts: Sequence[tuple[int, range]]) -> bool:
    return any(work.image is not None for stage, _ in parts for work in plan.stages[stage].passes)


def _check_turn(start: Start, stage: int) -> None:
    """Raise a ValueError if a stage would read what is not written yet."""
    for before in range(stage):
        missing = start.missing(before)
        if missing:
            raise ValueError(
                f"stage {stage} reads what stage {before} writes, and that is not finished:\n{_named(before, missing)}"
            )


def _named(stage: int, indices: Sequence[int]) -> str:
    """Return missing units in words.

    >>> _named(0, [1, 2, 3, 7])
    '  stage 0: 4 units, 1-3, 7'
    """
    words = table.runs(indices).split(",")
    named = ", ".join(words[:NAMED] + ["…"] * (len(words) > NAMED))
    return f"  stage {stage}: {table.count(len(indices), 'unit')}, {named}"


def _sources(begun: Begun, image: Any, in_options: Mapping[str, Any] | None) -> list[Source]:
    """Return the images of a plan: those that are given, or opened where they were."""
    if image is None:
        opened = [_opened(origin.path, in_options) for origin in begun.origins]
    else:
        many = isinstance(image, list | tuple) and begun.plan.n_images > 1
        opened = [as_source(one) for one in (image if many else [image])]
    if len(opened) != begun.plan.n_images:
        raise ValueError(f"the plan reads {table.count(begun.plan.n_images, 'image')}, but {len(opened)} are given")
    sources = [expanded(one, origin.expanded) for one, origin in zip(opened, begun.origins, strict=True)]
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


def _status(begun: Begun) -> Status:
    plan, start = begun.plan, Start(begun.plan, [], _place(begun), begun.journal)
    missing = [tuple(start.missing(stage)) for stage in range(len(plan.stages))]
    failures = {key: why for key, why in journals.failures(begun.journal).items() if _is_in(key, missing)}
    stages = tuple(_stage_status(plan, k, units, failures) for k, units in enumerate(missing))
    left = sum(stage.nbytes - stage.nbytes_done for stage in stages)
    rate = max(_rates(begun, stages), default=0.0)
    return Status(str(begun.journal.home), stages, failures, left / rate if rate else None)


def _is_in(key: str, missing: Sequence[Sequence[int]]) -> bool:
    """Whether a unit is among those that are missing, which rise: a petabyte has millions."""
    stage, _, index = key.partition("/")
    indices = missing[int(stage)]
    where = bisect_left(indices, int(index))
    return where < len(indices) and indices[where] == int(index)


def _stage_status(plan: Plan, k: int, missing: tuple[int, ...], failures: Mapping[str, str]) -> StageStatus:
    units, nbytes = plan.count(k), plan.nbytes_of(k)
    failed = sum(key.startswith(f"{k}/") for key in failures)
    return StageStatus(units, units - len(missing), failed, nbytes, nbytes - plan.nbytes_of(k, missing), missing)


def _rates(begun: Begun, stages: Sequence[StageStatus]) -> Iterator[float]:
    """Yield bytes per second of each stage that has any units done."""
    for k, stage in enumerate(stages):
        there = sorted(set(range(stage.units)).difference(stage.missing))
        records = list(journals.records(begun.journal, k, there))
        if records:
            began, ended = min(r.time - r.seconds for r in records), max(r.time for r in records)
            yield stage.nbytes_done / max(ended - began, 1e-3)


__all__ = ["StageStatus", "Status", "batch_script", "finish", "run_part", "status"]
