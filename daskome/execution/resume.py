"""What is left to do where writing has begun already: go on, or nothing; or an error that says what differs.

A plan goes on in the units in which it was started, whoever writes them now. What is finished is compared with
the images in a few places, so that no pyramid is made of two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from dask.local import get_sync

from daskome.execution.runner import Run
from daskome.execution.write import Write
from daskome.model import regions
from daskome.model.regions import Region
from daskome.model.source import Source
from daskome.model.text import format_nbytes, pluralize
from daskome.ome.detect import ome_keys
from daskome.planning.plan import Plan, Unit
from daskome.planning.work import Workers
from daskome.sources.pieces import source_piece
from daskome.stores import journal as journals
from daskome.stores.arrays import as_stored, open_levels
from daskome.stores.differences import differences, differing
from daskome.stores.groups import UNFINISHED_KEY, read_attributes
from daskome.stores.journal import Journal, SavedRun
from daskome.stores.location import origin_of

SAMPLE = 8
"""So many finished units are compared with the images, a stored chunk of each."""
MAX_DIFFERENCES = 20
"""So many differences are told."""


def resumed(task: Write) -> Write:
    """Return a task that goes on with what has been begun at its place, or one that is new where nothing was.

    Raises
    ------
    ValueError
        That says what differs, if something else was begun or written there, or the images have changed; if the
        units in which it was begun need more memory than there is now.
    """
    begun = journals.find_run(task.home)
    if begun:
        _check_same(task, _lines(begun.plan, task.plan), "was begun")
        plan = fitting(begun.plan, task.plan.workers)
        check_stamps(begun, task.sources)
        _check_pixels(Run(plan, task.sources, task.place, begun.journal), _finished_units(plan, begun.journal))
        return replace(task, plan=plan, journal=begun.journal)
    found = read_attributes(task.home) or {}
    mark = found.get(UNFINISHED_KEY)
    if isinstance(mark, dict):  # Killed while its arrays were made: there are no pixels yet.
        if mark.get("fingerprint") != task.plan.fingerprint:
            raise ValueError(f"{task.home} holds what was begun with other settings; overwrite=True starts anew")
        return replace(task, overwrite=True)
    return _finished(task) if "multiscales" in ome_keys(found) else task


def fitting(plan: Plan, workers: Workers) -> Plan:
    """Return a plan for other workers than those for which it was made.

    Raises
    ------
    ValueError
        If its units need more memory than they have.
    """
    plan = replace(plan, workers=workers)
    if workers.memory is not None and plan.memory > workers.memory:
        raise ValueError(
            f"the units in which this was begun need {format_nbytes(plan.memory)} of memory for"
            f" {pluralize(workers.threads, 'thread')}, but a worker has {format_nbytes(workers.memory)}; use fewer"
            " threads or larger workers, or start anew with overwrite=True"
        )
    return plan


def _lines(begun: Plan, asked: Plan) -> list[str]:
    """Return in what a plan that was begun differs from the one that is asked for; the metadata follow the pyramids."""
    there, wanted = begun.lasting.to_dict(), asked.lasting.to_dict()
    lines = [line for key in ("version", "pyramids") for line in differing(key, there[key], wanted[key])]
    return [x for x in lines if "_chunks" not in x] or differing("groups", there["groups"], wanted["groups"])


def _check_same(task: Write, lines: Sequence[str], what: str) -> None:
    if lines:
        more = [f"and {len(lines) - MAX_DIFFERENCES} more"] * (len(lines) > MAX_DIFFERENCES)
        raise ValueError(
            "\n  ".join(
                [
                    f"{task.home} {what} with other settings, so this can't go on with it:",
                    *lines[:MAX_DIFFERENCES],
                    *more,
                ]
            )
            + "\noverwrite=True starts anew"
        )


def check_stamps(begun: SavedRun, sources: Sequence[Source]) -> None:
    """Raise a ValueError if the file of an image has changed since a plan was begun."""
    for old, source in zip(begun.origins, sources, strict=True):
        new = origin_of(source)
        if old.path == new.path and old.stamp != new.stamp:
            raise ValueError(
                f"{new.path} has changed since writing began: it had {old.stamp}, now {new.stamp}; a pyramid must not"
                " be made of two images: overwrite=True starts anew"
            )


def _finished(task: Write) -> Write:
    """Return a task with nothing to do, if what is at its place is what it would write."""
    _check_same(task, differences(task.place, task.plan), "was written")
    plan = task.plan
    every = [(stage, range(plan.count(stage))) for stage in range(len(plan.stages))]
    units = (unit for stage, indices in every for unit in plan.units(stage, _spread(indices)))
    lasting = (unit for unit in units if not plan.groups[unit.work.group].temporary)
    _check_pixels(Run(plan, task.sources, task.place, Journal(task.home, "")), _of_images(plan, lasting))
    return replace(task, finished=True)


def _finished_units(plan: Plan, journal: Journal) -> Iterator[Unit]:
    for stage in range(len(plan.stages)):
        if any(plan.image_of(work) is not None for work in plan.stages[stage].passes):
            yield from plan.units(stage, _spread(sorted(journals.finished_indices(journal, stage))))


def _of_images(plan: Plan, units: Iterator[Unit]) -> Iterator[Unit]:
    return (unit for unit in units if plan.image_of(unit.work) is not None)


def _spread(indices: Sequence[int]) -> Sequence[int]:
    return indices[:: max(regions.ceil_div(len(indices), SAMPLE), 1)]


def _check_pixels(start: Run, units: Iterator[Unit]) -> None:
    """Raise a ValueError if what is stored of finished units is not what the images hold."""
    for unit in islice(_of_images(start.plan, units), 4 * SAMPLE):
        if not _holds(start, unit):
            raise ValueError(
                f"the image has changed since {start.plan.describe(unit)} was written to {start.place}; a pyramid must"
                " not be made of two images: overwrite=True starts anew"
            )


def _holds(start: Run, unit: Unit) -> bool:
    """Whether the chunk in the middle of a unit is stored as the image has it."""
    work, plan = unit.work, start.plan
    pyramid, place = plan.pyramid(work), start.place / plan.groups[work.group].path
    level = pyramid.levels[work.first]
    region = _middle(unit.regions[0], level.layout.chunks)
    (array,) = open_levels(place, [level])
    expected = _pixels(start.sources[plan.image_of(work) or 0], region, level.layout.chunks)
    same = partial(_same, np.asarray(array[regions.slices(region)]))
    return same(expected) or same(as_stored(array, expected))


def _same(a: Any, b: Any) -> bool:
    return bool(a.tobytes() == b.tobytes())


def _middle(region: Region, chunks: Sequence[int]) -> Region:
    """Return the chunk around the middle of a region."""
    starts = [(a + b) // 2 // c * c for (a, b), c in zip(region, chunks, strict=True)]
    return tuple((max(s, a), min(s + c, b)) for s, c, (a, b) in zip(starts, chunks, region, strict=True))


def _pixels(source: Source, region: Region, chunks: Sequence[int]) -> Any:
    """Return a region of an image; one that lives on a cluster comes from there."""
    piece = source_piece(source, region, tuple(chunks))
    lives_there = any(type(getattr(task, "value", task)).__module__.startswith("distributed") for task in _tasks(piece))
    return np.asarray(piece.compute() if lives_there else piece.compute(scheduler=get_sync))


def _tasks(piece: Any) -> Iterator[Any]:
    return iter(dict(piece.dask).values())
