"""How far a run is: units, failures and rates per stage, read from its journal."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daskome.execution.batch.saved import MAX_LISTED, target_of
from daskome.execution.runner import Run
from daskome.model.text import format_duration, format_nbytes, format_table
from daskome.planning.plan import Plan
from daskome.stores import journal as journals
from daskome.stores.journal import SavedRun


@dataclass(frozen=True, slots=True)
class StageStatus:
    """How far a stage is: units in all, done, failed for good; bytes, uncompressed; and the missing units."""

    units: int
    done: int
    failed: int
    nbytes: int
    nbytes_done: int
    missing: tuple[int, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """How far a run is.

    Attributes
    ----------
    stages : tuple of StageStatus
    failures : dict of str to str
        Why units failed for good, by ``stage/index``, without those that have been written since.
    seconds_left : float, optional
        At the rate so far; None before the first unit is done.
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
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return it as lines of text, of which the first is where it is."""
        rows = [[str(k), *_row(stage)] for k, stage in enumerate(self.stages)]
        head = ["stage", "units", "done", "missing", "failed", "bytes done", "of"]
        lines = format_table(self.where, head, rows).split("\n")
        lines += [f"  unit {key} failed: {reason}" for key, reason in list(self.failures.items())[:MAX_LISTED]]
        if self.missing:
            left = "unknown" if self.seconds_left is None else format_duration(self.seconds_left)
            return [*lines, f"time left, at the rate so far: {left}"]
        return [*lines, "every unit is done; `daskome finish` publishes it"]


def _row(stage: StageStatus) -> list[str]:
    numbers = (stage.units, stage.done, len(stage.missing), stage.failed)
    return [*(f"{n:,}" for n in numbers), format_nbytes(stage.nbytes_done), format_nbytes(stage.nbytes)]


def status_of(saved: SavedRun) -> Status:
    """Return how far a saved run is."""
    plan, run = saved.plan, Run(saved.plan, [], target_of(saved), saved.journal)
    missing = [tuple(run.missing(stage)) for stage in range(len(plan.stages))]
    failures = {key: why for key, why in journals.failures(saved.journal).items() if _is_in(key, missing)}
    stages = tuple(_stage_status(plan, k, units, failures) for k, units in enumerate(missing))
    left = sum(stage.nbytes - stage.nbytes_done for stage in stages)
    rate = max(_rates(saved, stages), default=0.0)
    return Status(str(saved.journal.home), stages, failures, left / rate if rate else None)


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


def _rates(saved: SavedRun, stages: Sequence[StageStatus]) -> Iterator[float]:
    """Yield bytes per second of each stage that has any units done."""
    for k, stage in enumerate(stages):
        finished = sorted(set(range(stage.units)).difference(stage.missing))
        records = list(journals.records(saved.journal, k, finished))
        if records:
            began, ended = min(r.time - r.seconds for r in records), max(r.time for r in records)
            yield stage.nbytes_done / max(ended - began, 1e-3)
