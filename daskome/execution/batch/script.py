"""Write the scripts that submit a run as job arrays, one per stage."""

import sys
from collections.abc import Iterator, Sequence

from daskome.execution.batch.kubernetes import KUBERNETES, kubernetes_script, pod_of
from daskome.execution.batch.origins import check_named, named_in
from daskome.execution.batch.saved import reads_images, saved_run, target_of
from daskome.execution.batch.schedulers import SCHEDULERS, STOPPED, TERMINATED, Scheduler, parts_of
from daskome.execution.batch.submission import Submission, quoted
from daskome.execution.resume import fitting
from daskome.execution.runner import Part, Run
from daskome.model.regions import ceil_div
from daskome.model.text import format_ranges, parse_nbytes
from daskome.model.types import FileSystemOptions, GroupLike, Nbytes, PathLike
from daskome.planning.plan import Plan
from daskome.planning.work import Workers
from daskome.readers.inputs import Input
from daskome.stores.journal import SavedRun
from daskome.stores.location import locate, url_of

SPARE = 1.25
"""Batch systems count more than the memory of a process: cached files, the shell."""


def batch_script(
    group: GroupLike,
    scheduler: str = "slurm",
    *,
    image: PathLike | Sequence[PathLike] | None = None,
    jobs: int = 64,
    threads: int | None = None,
    hours: int = 24,
    memory: Nbytes | None = None,
    labels: str | None = None,
    method: str | None = None,
    options: Sequence[str] = (),
    fs_options: FileSystemOptions | None = None,
    command: Sequence[str] = (),
    container: str | None = None,
    secret: str | None = None,
    claim: str | None = None,
) -> str:
    """Return a shell script that submits a run as job arrays, one per stage, and the job that finishes it.

    It submits only what is missing now: after jobs have failed, make and run a new one.

    Parameters
    ----------
    group, labels, method, fs_options
        As in `run_part`; a method as ``module:function``, which jobs can import. Credentials are not written into the
        script: jobs find them in their environment.
    scheduler : str
        slurm, pbs, sge, lsf or kubernetes.
    image : path, URL, or a sequence of these, optional
        As in `run_part`: where the image lies, if not where the group does. The script names it to the jobs.
    jobs : int
        The most jobs that a stage is split into.
    threads, hours, memory
        Of each job; by default the threads for which it was planned, and the predicted memory with some to spare.
    options : sequence of str
        Further words for the command that submits, such as ``--partition=long``.
    command : sequence of str
        How daskome is called in a job; by default by this Python, in containers as ``daskome``.
    container, secret, claim : str, optional
        Of Kubernetes alone: the image of a container that has daskome; a secret whose keys are in its environment,
        such as credentials; and a volume claim with the path where it is mounted, as ``"data:/data"``.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        If nothing was begun there, or it is finished.
    ValueError
        For an unknown scheduler, less memory than a job needs, a function that was not given, an image that lies where
        the words of the call do not lead, or an image or target that jobs cannot reach, since it lives in the memory of
        this process.

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
    if scheduler not in (*SCHEDULERS, KUBERNETES):
        raise ValueError(f"scheduler {scheduler!r} is not known; give one of {', '.join((*SCHEDULERS, KUBERNETES))}")
    pod = pod_of(scheduler, container, secret, claim)
    saved = saved_run(locate(group, fs_options), labels, method)
    saved.plan.check_functions()
    run = Run(saved.plan, [], target_of(saved), saved.journal)
    missing = [run.missing(stage) for stage in range(len(saved.plan.stages))]
    n = threads or saved.plan.workers.threads
    mib = ceil_div(_job_memory(saved.plan, n, memory), 2**20)
    named = named_in(image)
    target = (_reachable(saved, missing, named), *(("--labels", labels) if labels else ()))
    daskome = tuple(command) or ((sys.executable, "-m", "daskome") if pod is None else ("daskome",))
    ours = saved.plan.function
    given = (*(() if ours is None else ("--method", ours.name)), *(w for one in named for w in ("--source", str(one))))
    submission = Submission(jobs, n, mib, hours, daskome, target, given, tuple(options))
    if pod is not None:
        return kubernetes_script(saved, missing, submission, pod)
    return script(saved.plan, missing, SCHEDULERS[scheduler], submission)


def _job_memory(plan: Plan, threads: int, memory: int | str | None) -> int:
    """Return how many bytes of memory a job requests."""
    if memory is None:
        return int(plan.memory_of(threads) * SPARE)
    nbytes = parse_nbytes(memory)
    fitting(plan, Workers(1, threads, nbytes))
    return nbytes


def _reachable(saved: SavedRun, missing: Sequence[Sequence[int]], named: Sequence[Input]) -> str:
    """Return the path or URL of a target; raise if jobs cannot reach it, or the images that they read."""
    target = url_of(target_of(saved))
    if not target:
        raise ValueError(f"{saved.journal.home} lives in this process, where jobs cannot reach it; give a path or URL")
    reads = reads_images(saved.plan, [Part(stage, range(len(units))) for stage, units in enumerate(missing) if units])
    if reads and not all(origin.path for origin in saved.origins):
        raise ValueError(
            "jobs cannot open the image: as a Dask or NumPy array, it lived in the process that began. Begin with a"
            " file or a zarr array; or let jobs of your own call daskome.run_part(group, image, stage, part)"
        )
    if reads:
        check_named(saved, named)
    return target


def script(plan: Plan, missing: Sequence[Sequence[int]], scheduler: Scheduler, submission: Submission) -> str:
    """Return a shell script that submits what is missing of each stage, in turn, and then the job that finishes."""
    jobs, after = [], ""
    for stage, indices in enumerate(missing):
        if indices:
            jobs.append(_stage(plan, scheduler, submission, stage, indices, after))
            after = f"$stage{stage}"
    end = _job(scheduler, submission, "finish", submission.finish, after)
    left = sum(map(len, missing))
    head = [
        "#!/usr/bin/env bash",
        f"# {left} of {plan.n_units} units, from `daskome script`. Run it where jobs are submitted. If jobs fail, fix",
        "# the cause, then make and run a new script: it submits only what is missing then.",
        "set -euo pipefail",
    ]
    return "\n".join([*head, *jobs, end, 'echo "submitted; the last job is $finish"', ""])


def _stage(
    plan: Plan, scheduler: Scheduler, submission: Submission, stage: int, missing: Sequence[int], after: str
) -> str:
    n = min(submission.jobs, plan.count(stage))
    parts = parts_of(plan.count(stage), n, missing)
    command = submission.run(stage, f"auto/{n}" if len(parts) > 1 else f"{parts[0]}/{n}")
    return _job(scheduler, submission, f"stage{stage}", command, after, parts)


def _job(
    scheduler: Scheduler,
    submission: Submission,
    name: str,
    command: Sequence[str],
    after: str,
    parts: Sequence[int] = (),
) -> str:
    """Return the lines that submit one job, or an array of several, and keep its id in a variable of its name."""
    options = [scheduler.array] * (len(parts) > 1) + [scheduler.after] * bool(after)
    values = {
        "name": f"daskome-{name}",
        "threads": submission.threads,
        "mib": submission.mib,
        "mib_per_thread": ceil_div(submission.mib, submission.threads),
        "hours": submission.hours,
        "indices": _indices(scheduler, parts),
        "id": after,
    }
    verb, pipe, rest = scheduler.submit.partition(" | ")
    line = " ".join([" ".join([verb, *options]).format(**values), *map(quoted, submission.options)])
    return "\n".join(
        [f"\n{name}=$({line} <<'JOB'{pipe}{rest}", *_body(scheduler, " ".join(map(quoted, command))), "JOB\n)"]
    )


def _indices(scheduler: Scheduler, parts: Sequence[int]) -> str:
    """Return the jobs of an array, as its scheduler writes them.

    >>> _indices(SCHEDULERS["slurm"], [0, 1, 2, 7]), _indices(SCHEDULERS["sge"], [0, 1, 2, 7])
    ('0-2,7', '1-8')
    """
    numbers = [part + scheduler.first for part in parts]
    return format_ranges(numbers if scheduler.lists else range(numbers[0], numbers[-1] + 1)) if numbers else ""


def _body(scheduler: Scheduler, command: str) -> Iterator[str]:
    """Yield the lines of a job: it passes on signals to stop, and runs again if they came before its time was over.

    Some schedulers signal all processes of a job. The command must survive that: the shell stops it by SIGTERM, which
    ends it at once in its first second, before it handles signals. `wait` returns when a signal comes; the last `wait`
    gives the status, even if the command has ended meanwhile.
    """
    yield "#!/usr/bin/env bash"
    yield "trap '' USR1 USR2"
    yield f"{command} --quiet &"
    yield "child=$! again="
    yield "trap 'kill -TERM $child' TERM"
    if scheduler.signal:
        yield f"trap 'again=1; kill -TERM $child' {scheduler.signal}"
    yield "while wait $child; kill -0 $child 2>/dev/null; do :; done"
    yield "wait $child; code=$?"
    if scheduler.signal:
        yield f'if [ -n "$again" ] && [ $code = {STOPPED} -o $code = {TERMINATED} ]; then {scheduler.again}; fi'
    yield "exit $code"
