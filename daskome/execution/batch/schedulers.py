"""Batch schedulers: how they take a job array, and how a job learns its number. One row of `SCHEDULERS` each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

STOPPED = 75
"""Exit status of a run that was asked to stop (EX_TEMPFAIL): nothing is wrong, another run can do what is missing."""
TERMINATED = 143
"""Status in a shell of a process that SIGTERM ended before it handled signals."""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A row of `SCHEDULERS`.

    Attributes
    ----------
    name, title : str
        As calls and flags take it, and as people write it.
    index : str
        The environment variable that holds a job's number in its array.
    first : int
        The number of the first job.
    submit : str
        The command that reads a job from standard input and prints its id; with ``{name}``, ``{threads}``, ``{mib}``
        (of memory, per job), ``{mib_per_thread}`` and ``{hours}``.
    array, after : str
        Its options for an array of the jobs ``{indices}``, and for a job that waits for the success of job ``{id}``.
    again : str
        The command by which a job runs again, after it was asked to stop.
    signal : str
        The signal that a job gets before its time is over; empty if the scheduler sends none.
    lists : bool
        Whether an array can have gaps, as in ``0-3,7``.
    """

    name: str
    title: str
    index: str
    first: int
    submit: str
    array: str
    after: str
    again: str
    signal: str = ""
    lists: bool = False


SCHEDULERS: Mapping[str, Scheduler] = {
    row.name: row
    for row in (
        Scheduler(
            "slurm",
            "Slurm",
            "SLURM_ARRAY_TASK_ID",
            0,
            "sbatch --parsable --job-name={name} --cpus-per-task={threads} --mem={mib}M --time={hours}:00:00 --requeue"
            " --open-mode=append --signal=B:USR1@120 --kill-on-invalid-dep=yes",
            "--array={indices}",
            "--dependency=afterok:{id}",
            'scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
            "USR1",
            lists=True,
        ),
        Scheduler(
            "pbs",
            "PBS Pro and OpenPBS",
            "PBS_ARRAY_INDEX",
            0,
            "qsub -N {name} -S /bin/bash -l select=1:ncpus={threads}:mem={mib}mb -l walltime={hours}:00:00 -r y",
            "-J {indices}",
            "-W depend=afterok:{id}",
            "",
        ),
        Scheduler(
            "sge",
            "Grid Engine",
            "SGE_TASK_ID",
            1,
            "qsub -terse -cwd -S /bin/bash -r y -N {name} -pe smp {threads} -l h_vmem={mib_per_thread}M"
            " -l h_rt={hours}:00:00 -notify | cut -d. -f1",
            "-t {indices}",
            "-hold_jid {id}",
            "exit 99",
            "USR2",
        ),
        Scheduler(
            "lsf",
            "LSF",
            "LSB_JOBINDEX",
            1,
            'bsub -n {threads} -R "span[hosts=1]" -M {mib}MB -W {hours}:00 -r -Q 99 -wt 2 -wa USR2'
            " | sed 's/[^<]*<\\([0-9]*\\)>.*/\\1/'",
            '-J "{name}[{indices}]"',
            '-w "done({id})"',
            "exit 99",
            "USR2",
            lists=True,
        ),
    )
}
"""PBS sends no signal, so its jobs do not run again by themselves. Grid Engine and LSF rerun jobs that exit with 99."""


@dataclass(frozen=True, slots=True)
class JobArray:
    """How a process learns which job of an array it is.

    Attributes
    ----------
    title : str
        Whose array it is.
    index : str
        The environment variable that holds a job's number.
    first : int
        The number of the first job.
    count : str
        The variable that holds how many there are; empty if there is none, or it does not count all.
    """

    title: str
    index: str
    first: int = 0
    count: str = ""


PART_ITSELF = JobArray("any scheduler, by hand", "PART", 0, "PARTS")
JOB_ARRAYS = (
    *(JobArray(row.title, row.index, row.first) for row in SCHEDULERS.values()),
    JobArray("AWS Batch", "AWS_BATCH_JOB_ARRAY_INDEX", 0, "AWS_BATCH_JOB_ARRAY_SIZE"),
    JobArray("Google Batch", "BATCH_TASK_INDEX", 0, "BATCH_TASK_COUNT"),
    JobArray("Kubernetes", "JOB_COMPLETION_INDEX"),
    PART_ITSELF,
)
"""In this order they are asked; an array that is submitted with gaps counts only the jobs that it has."""


def part_of_array(environment: Mapping[str, str], n: int | None, one_based: bool = False) -> tuple[int, int]:
    """Return which part of `n` a process is to run, counted from 0, as its batch scheduler says in the environment.

    Raises
    ------
    ValueError
        If no scheduler says so, or how many parts there are, or its number is not among them.

    Examples
    --------
    >>> part_of_array({"SLURM_ARRAY_TASK_ID": "3"}, 64), part_of_array({"SGE_TASK_ID": "3"}, 64)
    ((3, 64), (2, 64))
    >>> part_of_array({"PART": "3", "PARTS": "64"}, None)
    (3, 64)
    """
    for row in JOB_ARRAYS:
        text = environment.get(row.index, "")
        if text.isdecimal() and (row is not PART_ITSELF or row.count in environment):
            return _part(row, int(text), n or _count(row, environment), one_based)
    names = ", ".join(row.index for row in JOB_ARRAYS)
    raise ValueError(f"no job array says which part this is (none of {names} is set); give it, as in --part 3/64")


def _part(row: JobArray, number: int, n: int, one_based: bool) -> tuple[int, int]:
    first = max(row.first, int(one_based))
    if not 0 <= number - first < n:
        raise ValueError(f"{row.index} is {number}, outside the {n} parts, counted from {first}; submit {n} jobs")
    return number - first, n


def _count(row: JobArray, environment: Mapping[str, str]) -> int:
    text = environment.get(row.count, "") if row.count else ""
    if not text.isdecimal() or not int(text):
        raise ValueError(
            f"{row.index} says which part this is, and nothing how many there are; give it, as in --part auto/64"
        )
    return int(text)


def share(units: int, part: tuple[int, int]) -> range:
    """Return the indices of part i of n of a stage's units.

    >>> [share(10, (i, 4)) for i in range(4)]
    [range(0, 2), range(2, 5), range(5, 7), range(7, 10)]
    """
    i, n = part
    return range(units * i // n, units * (i + 1) // n)


def parts_of(units: int, n: int, indices: Iterable[int]) -> list[int]:
    """Return which of `n` parts have units with these indices: the inverse of `share`.

    >>> parts_of(10, 4, [1, 2, 4, 9])
    [0, 1, 3]
    """
    return sorted({(n * (index + 1) - 1) // units for index in indices})
