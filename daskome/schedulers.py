"""Batch schedulers: how a job array is submitted, and which job of it a process is. One row of `SCHEDULERS` each."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daskome.plan import Plan
from daskome.regions import ceil_div

STOPPED = 75
"""Exit status of a run that was told to stop (EX_TEMPFAIL): nothing is wrong, the rest is for another run."""


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A row of `SCHEDULERS`.

    Attributes
    ----------
    name : str
    index : str
        The environment variable that holds a job's number in its array.
    first : int
        The number of the first job.
    submit : str
        The command that reads a job from standard input and prints its id; with ``{name}``, ``{threads}``, ``{mib}``
        (of memory, per job), ``{mib_per_thread}`` and ``{hours}``.
    array, after : str
        Its options for an array from ``{first}`` to ``{last}``, and for what waits for the success of the job ``{id}``.
    again : str
        What a job does to run again, after it was told to stop.
    signal : str
        What is sent to a job before its time is over, if the scheduler can be told.
    """

    name: str
    index: str
    first: int
    submit: str
    array: str
    after: str
    again: str
    signal: str = ""


SCHEDULERS: Mapping[str, Scheduler] = {
    row.name: row
    for row in (
        Scheduler(
            "slurm",
            "SLURM_ARRAY_TASK_ID",
            0,
            "sbatch --parsable --job-name={name} --cpus-per-task={threads} --mem={mib}M --time={hours}:00:00 --requeue"
            " --open-mode=append --signal=B:USR1@120 --kill-on-invalid-dep=yes",
            "--array={first}-{last}",
            "--dependency=afterok:{id}",
            'scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"',
            "USR1",
        ),
        Scheduler(
            "pbs",
            "PBS_ARRAY_INDEX",
            0,
            "qsub -N {name} -l select=1:ncpus={threads}:mem={mib}mb -l walltime={hours}:00:00 -r y",
            "-J {first}-{last}",
            "-W depend=afterok:{id}",
            'qrerun "$PBS_JOBID"',
        ),
        Scheduler(
            "sge",
            "SGE_TASK_ID",
            1,
            "qsub -terse -cwd -r y -N {name} -pe smp {threads} -l h_vmem={mib_per_thread}M -l h_rt={hours}:00:00"
            " -notify | cut -d. -f1",
            "-t {first}-{last}",
            "-hold_jid {id}",
            "exit 99",
            "USR2",
        ),
        Scheduler(
            "lsf",
            "LSB_JOBINDEX",
            1,
            'bsub -n {threads} -R "span[hosts=1]" -M {mib}MB -W {hours}:00 -r -wt 2 -wa USR2'
            " | sed 's/[^<]*<\\([0-9]*\\)>.*/\\1/'",
            '-J "{name}[{first}-{last}]"',
            '-w "done({id})"',
            'brequeue "$LSB_JOBID[$LSB_JOBINDEX]"',
            "USR2",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Submission:
    """What a job is given.

    Attributes
    ----------
    jobs : int
        How many there are per stage, at most.
    threads, mib, hours : int
        Of each: threads, MiB of memory, and time.
    daskome : tuple of str
        The words that start the command there.
    target : tuple of str
        What it writes, and how to get there.
    options : tuple of str
        Further words for the command that submits, such as ``--partition=long``.
    """

    jobs: int
    threads: int
    mib: int
    hours: int
    daskome: tuple[str, ...]
    target: tuple[str, ...]
    options: tuple[str, ...] = ()


def part_of_array(environment: Mapping[str, str], n: int, one_based: bool = False) -> tuple[int, int]:
    """Return which part of `n` a process is by what its batch scheduler says, counted from 0.

    Raises
    ------
    ValueError
        If no scheduler says it, or it is not among the `n`.

    Examples
    --------
    >>> part_of_array({"SLURM_ARRAY_TASK_ID": "3"}, 64), part_of_array({"SGE_TASK_ID": "3"}, 64)
    ((3, 64), (2, 64))
    """
    for row in SCHEDULERS.values():
        text = environment.get(row.index, "")
        if text.isdecimal():
            index = int(text) - max(row.first, int(one_based))
            if not 0 <= index < n:
                count = "from 1" if max(row.first, int(one_based)) else "from 0"
                raise ValueError(f"{row.index} is {text}, which is none of {n} parts, counted {count}")
            return index, n
    names = ", ".join(row.index for row in SCHEDULERS.values())
    raise ValueError(f"no job array says which part this is (none of {names} is set); give it, as in --part 3/{n}")


def script(plan: Plan, scheduler: Scheduler, what: Submission) -> str:
    """Return a shell script that submits a plan: an array of jobs per stage, one after the other; then the end."""
    stages = range(len(plan.stages))
    jobs = [_stage(plan, scheduler, what, stage) for stage in stages]
    end = _job(scheduler, what, "finish", [*what.daskome, "finish", *what.target], f"$stage{stages[-1]}")
    head = [
        "#!/usr/bin/env bash",
        f"# {plan.n_units} units in {len(plan.stages)} stages, from `daskome script`. Run it where jobs are submitted.",
        "set -euo pipefail",
    ]
    return "\n".join([*head, *jobs, end, 'echo "submitted; the last job is $finish"', ""])


def _stage(plan: Plan, scheduler: Scheduler, what: Submission, stage: int) -> str:
    n = min(what.jobs, plan.count(stage))
    after = f"$stage{stage - 1}" if stage else ""
    part = ["--part", f"auto/{n}" if n > 1 else "0/1"]
    command = [*what.daskome, "run", *what.target, "--stage", str(stage), *part, "--threads", str(what.threads)]
    return _job(scheduler, what, f"stage{stage}", command, after, n)


def _job(scheduler: Scheduler, what: Submission, name: str, command: Sequence[str], after: str = "", n: int = 1) -> str:
    """Return the lines that submit one job, or an array of `n`, and keep its id in a variable of its name."""
    first = scheduler.first
    options = [scheduler.array] * (n > 1) + [scheduler.after] * bool(after) + [*map(shlex.quote, what.options)]
    values = {
        "name": f"daskome-{name}",
        "threads": what.threads,
        "mib": what.mib,
        "mib_per_thread": ceil_div(what.mib, what.threads),
        "hours": what.hours,
    }
    verb, pipe, rest = scheduler.submit.partition(" | ")
    line = " ".join([verb, *options]).format(first=first, last=first + n - 1, id=after, **values)
    return "\n".join([f"\n{name}=$({line} <<'JOB'{pipe}{rest}", *_body(scheduler, shlex.join(command)), "JOB\n)"])


def _body(scheduler: Scheduler, command: str) -> Iterator[str]:
    """Yield the lines of a job: it passes on signals to stop, and runs again if they came before its time was over."""
    yield "#!/usr/bin/env bash"
    yield f"{command} --quiet &"
    yield "child=$! again="
    yield "trap 'kill -TERM $child' TERM"
    if scheduler.signal:
        yield f"trap 'again=1; kill -TERM $child' {scheduler.signal}"
    yield "wait $child; code=$?"
    yield "while kill -0 $child 2>/dev/null; do wait $child; code=$?; done"
    if scheduler.signal:
        yield f'if [ $code = {STOPPED} ] && [ -n "$again" ]; then {scheduler.again}; fi'
    yield "exit $code"


__all__ = ["SCHEDULERS", "STOPPED", "Scheduler", "Submission", "part_of_array", "script"]
