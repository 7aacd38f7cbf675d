"""Objects of finished units that are gone: looked for before anything is published, and before a run goes on.

A list says what is there. What is absent from it may never have been stored, so only then the record of its unit is
read: where all objects are there, as many requests are made as lists have pages.
"""

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from math import prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from daskome.execution.owning import owning
from daskome.execution.runner import Run, level_array
from daskome.model.paths import join_paths
from daskome.model.problem import MissingObjectError, WriteError
from daskome.model.regions import Region, Shape, whole
from daskome.model.text import pluralize
from daskome.planning.plan import Plan, Unit
from daskome.planning.work import Pass
from daskome.stores import journal as journals
from daskome.stores.journal import Journal
from daskome.stores.kinds import kind_of
from daskome.stores.objects import inventory

log = logging.getLogger("daskome")
NAMED = 10
"""How many lost objects an error names."""
SLABS_AT_ONCE = 64
"""How many lists are asked for at a time."""
Positions = NDArray[np.int64]
"""Of objects in the grid of their array, one in each row."""
Finished = Mapping[int, frozenset[int]] | None
"""Which units of each stage are finished; None: all."""
Notes = tuple[str, ...]
"""What the record of a unit says of its objects."""
KEPT_RECORDS = 100_000
"""How many records are remembered: units lie in several slabs, one soon after the other."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A unit that has lost an object: the unit, one of its objects, and whether later stages read such objects."""

    unit: Unit
    key: str
    is_read: bool


@dataclass(frozen=True, slots=True)
class Written:
    """An array that the units of a pass write.

    Attributes
    ----------
    array : zarr.Array
    stage : int
    first : int
        The index of the first unit of the pass.
    pass_ : Pass
    number : int
        Which of the arrays that these units write.
    """

    array: "zarr.Array[Any]"
    stage: int
    first: int
    pass_: Pass
    number: int

    def slabs(self) -> Iterator[Shape]:
        """Yield the slabs by which the array is listed, where units write."""
        for slab in inventory.slabs(self.array):
            span = zip(slab, self._span, strict=False)
            if all(start <= p < stop for p, (start, stop) in span):
                yield slab

    def absent(self, slab: Shape, there: NDArray[np.bool_]) -> Positions:
        """Return the positions in a slab at which a list shows no objects, where units write."""
        absent = np.argwhere(~there)
        positions = np.hstack([np.tile(np.array(slab, np.int64), (len(absent), 1)), absent])
        if self.pass_.region is None:
            return positions
        starts, stops = np.array(self._span).T
        inside: Positions = positions[((positions >= starts) & (positions < stops)).all(axis=1)]
        return inside

    @property
    def _span(self) -> Region:
        """The positions where units write: all, unless the pass writes a part of its level."""
        return inventory.objects_in(self.array, self.pass_.region or whole(self.array.shape))

    def lost(self, plan: Plan, recorded: "_Recorded", positions: Positions, finished: Finished) -> Iterator[Lost]:
        """Yield the units that have stored objects at positions where there are none."""
        indices = self._units_at(plan, positions)
        order = np.argsort(indices, kind="stable")
        found, starts = np.unique(indices[order], return_index=True)
        each = {int(i): p for i, p in zip(found, np.split(positions[order], starts[1:]), strict=True)}
        wanted = self._finished(found, finished)
        for unit in plan.units(self.stage, wanted):
            note = recorded.notes[unit.key]
            gone = each[unit.index] if note == inventory.ALL else self._noted_at(unit, note, each[unit.index])
            if len(gone):
                key = self.array.metadata.encode_chunk_key(tuple(map(int, gone[0])))
                yield Lost(unit, join_paths(self.array.path, key), self._is_last())

    def keys_at(self, plan: Plan, positions: Positions, finished: Finished) -> list[str]:
        """Return the keys of the finished units that write the objects at some positions."""
        found = np.unique(self._units_at(plan, positions)) if len(positions) else ()
        return [f"{self.stage}/{index}" for index in self._finished(found, finished)]

    def _finished(self, indices: Iterable[Any], finished: Finished) -> list[int]:
        return [int(index) for index in indices if finished is None or index in finished[self.stage]]

    def _units_at(self, plan: Plan, positions: Positions) -> NDArray[np.int64]:
        """Return the indices of the units that write the objects at some positions."""
        pyramid, work = plan.pyramid(self.pass_), self.pass_
        factors = np.prod([pyramid.factors(k) for k in range(work.first + 1, work.first + self.number + 1)], axis=0)
        grid, start = plan.grid(work), [start for start, _ in plan.covered(work)]
        voxels = positions * (self.array.shards or self.array.chunks) * factors.astype(np.int64) - start
        where = np.minimum(voxels // work.unit, np.array(grid) - 1)
        indices: NDArray[np.int64] = self.first + np.ravel_multi_index(tuple(where.T), grid)
        return indices

    def _noted_at(self, unit: Unit, notes: Notes | None, positions: Positions) -> Positions:
        """Return those of some positions where a unit has stored an object, as its record says."""
        if notes is None:
            return positions[:0]
        span = inventory.objects_in(self.array, (*unit.regions, *unit.copied)[self.number])
        try:
            stored = inventory.noted(notes[self.number], span)
        except (ValueError, IndexError, TypeError) as error:
            raise ValueError(
                f"the record of unit {unit.key} cannot be read: {error}; overwrite=True starts anew"
            ) from error
        chosen: Positions = positions[stored[tuple((positions - [start for start, _ in span]).T)]]
        return chosen

    def _is_last(self) -> bool:
        """Whether it is what later passes read of this one."""
        return self.number == len(_levels_of(self.pass_)) - 1


def check_stored(run: Run, thorough: bool = False) -> None:
    """Raise a WriteError if objects that finished units have stored are gone, before they are published.

    Parameters
    ----------
    run : Run
        All of its units are finished.
    thorough : bool
        Whether to look even where lists are slow.
    """
    lost = _lost_for_good(run, None, thorough)
    if lost:
        _forget(run, lost)
        named = "".join(f"\n  {_named(run, one)}" for one in lost[:NAMED])
        more = f"\n  and of {pluralize(len(lost) - NAMED, 'more unit')}" if len(lost) > NAMED else ""
        raise WriteError(
            f"{run.target} cannot be finished: objects that finished units have stored are gone:{named}{more}\n"
            "these units count as missing again: resume=True, or daskome run, writes them; then finish"
        )


def redo_lost(run: Run, take_over: bool = False) -> None:
    """Let units of which objects are gone, and those that have read them, count as missing, as their owner."""
    finished = {stage: journals.finished_indices(run.journal, stage) for stage in range(len(run.plan.stages))}
    lost = _lost_for_good(run, finished)
    if lost:
        with nullcontext(run) if run.journal.claim else owning(run, take_over=take_over) as owned_run:
            _forget(owned_run, lost)
    for one in lost:
        log.warning("%s is gone, and is written again", _named(run, one))


@contextmanager
def redoing_lost(run: Run) -> Iterator[None]:
    """Let units whose temporary copies are gone count as missing, if that is why others could not be written."""
    try:
        yield
    except WriteError as error:
        if isinstance(error.__cause__, MissingObjectError):
            redo_lost(run)
        raise


def _named(run: Run, lost: Lost) -> str:
    return f"{lost.key} of {run.plan.describe(lost.unit)} (unit {lost.unit.key})"


def _lost_for_good(run: Run, finished: Finished, thorough: bool = False) -> list[Lost]:
    """Return the units that have lost objects. Lists may lag, so we look twice."""
    kind, _ = kind_of(run.target)
    if not (run.journal.keeps and (kind.lists or thorough)):
        return []
    lost = _lost(run, finished)
    if lost:
        time.sleep(kind.lag)
        lost = _lost(run, finished)
    return lost


def _lost(run: Run, finished: Finished) -> list[Lost]:
    """Return the units that have lost objects, each once, as lists and records say now."""
    recorded, lost = _Recorded(run.journal), dict[tuple[str, bool], Lost]()
    pairs = ((one, slab) for one in _written(run, finished) for slab in one.slabs())
    while some := list(islice(pairs, SLABS_AT_ONCE)):
        found = inventory.listed_objects([(one.array, slab) for one, slab in some])
        absent = [(one, one.absent(slab, there)) for (one, slab), there in zip(some, found, strict=True)]
        recorded.read({key for one, positions in absent for key in one.keys_at(run.plan, positions, finished)})
        for one, positions in absent:
            for each in one.lost(run.plan, recorded, positions, finished) if len(positions) else ():
                lost[each.unit.key, each.is_read] = each
    return list(lost.values())


def _written(run: Run, finished: Finished) -> Iterator[Written]:
    """Yield the arrays that units write. Once all are finished, nobody reads the temporary copies any more."""
    copies = {group.path for group, _ in run.plan.temporary}
    for stage, passes in enumerate(each.passes for each in run.plan.stages):
        first = 0
        for pass_ in passes if finished is None or finished[stage] else ():
            for number, (group, k) in enumerate(_levels_of(pass_)):
                array = level_array(run, group, k)
                if not (finished is None and group in copies) and inventory.can_list(array):
                    yield Written(array, stage, first, pass_, number)
            first += prod(run.plan.grid(pass_))


def _levels_of(pass_: Pass) -> list[tuple[str, int]]:
    """Return what a pass writes: levels by their groups and numbers, and a temporary copy."""
    copied = [] if pass_.writes_copy is None else [(pass_.writes_copy, 0)]
    return [*((pass_.group, k) for k in range(pass_.first, pass_.stop)), *copied]


class _Recorded:
    """What the records of units say that they have stored, None if they do not say; some are remembered."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.notes: dict[str, Notes | None] = {}

    def read(self, keys: Collection[str]) -> None:
        """Read the notes of units by their keys, many at a time. Without a record, all counts."""
        if len(self.notes) > KEPT_RECORDS:
            self.notes.clear()
        new = [key for key in keys if key not in self.notes]
        found = journals.records_of(self.journal, new)
        self.notes.update({key: found.get(key, journals.UNREADABLE).stored for key in new})


def _forget(run: Run, lost: Sequence[Lost]) -> None:
    """Let units count as missing; before them those that may have read fill value where their objects are gone."""
    marred, later = set[str](), list[str]()
    for number, stage in enumerate(run.plan.stages):
        hit = [pass_ for pass_ in stage.passes if _reads(pass_) in marred]
        if hit:
            later += _finished_keys(run, number, hit)
        marred |= {_last_of(pass_) for pass_ in hit}
        marred |= {_last_of(one.unit.pass_) for one in lost if one.unit.stage == number and one.is_read}
    journals.forget_units(run.journal, later)
    journals.forget_units(run.journal, [one.unit.key for one in lost])


def _reads(pass_: Pass) -> str | None:
    """Return the group of the temporary copy or of the level that a pass reads; None if it reads an image."""
    return pass_.group if pass_.reads_below else pass_.reads_copy


def _last_of(pass_: Pass) -> str:
    """Return the group of what later passes read of a pass."""
    return _levels_of(pass_)[-1][0]


def _finished_keys(run: Run, number: int, passes: Sequence[Pass]) -> list[str]:
    """Return the keys of the finished units of some passes of a stage."""
    keys, first, finished = list[str](), 0, journals.finished_indices(run.journal, number)
    for pass_ in run.plan.stages[number].passes:
        stop = first + prod(run.plan.grid(pass_))
        keys += [f"{number}/{index}" for index in range(first, stop) if pass_ in passes and index in finished]
        first = stop
    return keys
