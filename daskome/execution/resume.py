"""Continue a write that was interrupted: with what is missing, with nothing, or with an error that says what differs.

A plan goes on in the units in which it began, whatever workers there are now. Some of what is finished is compared
with the images, so that no pyramid is made of two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from dask.local import get_sync

from daskome.execution.finished.lost import redo_lost
from daskome.execution.runner import Run, level_array
from daskome.execution.write import Write
from daskome.model import regions
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region
from daskome.model.source import Source
from daskome.model.text import format_nbytes, pluralize
from daskome.ome.detect import ome_keys
from daskome.ome.read import read_metadata
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan, Unit
from daskome.planning.work import Workers
from daskome.sources.pieces import source_piece
from daskome.stores import journal as journals
from daskome.stores.arrays import as_stored, keeps_all
from daskome.stores.groups import JSON, UNFINISHED_KEY, read_attributes
from daskome.stores.journal import Journal, SavedRun
from daskome.stores.location import origin_of
from daskome.stores.objects import sync_codecs
from daskome.stores.targets.differences import differences, differing

SAMPLED_UNITS = 8
"""How many finished units of a stage are compared with the images, by one stored chunk each."""
MAX_DIFFERENCES = 20
"""How many differences an error lists."""


def resumed(write: Write) -> Write:
    """Return a write that goes on with the run that was begun at its target, or begins one where there is none.

    Raises
    ------
    ValueError
        If something else was begun or written there, or the images have changed, with what differs; or if the units
        in which it was begun need more memory than there is now.
    """
    saved = journals.find_run(write.home, write.plan.function)
    if saved:
        _check_same(write, _differences(saved.plan, write.plan), "was begun")
        plan = fitting(saved.plan, write.plan.workers)
        check_stamps(saved, write.sources)
        run = Run(plan, write.sources, write.target, saved.journal)
        redo_lost(run, write.take_over)
        _check_pixels(run, _finished_units(plan, saved.journal))
        return replace(write, plan=plan, journal=saved.journal)
    found = _attributes_there(write)
    whole = [group.path for group, pyramid in write.plan.images if _is_whole(found[group.path], group, pyramid)]
    if len(whole) == len(write.plan.images):
        return _finished(write)
    marks = [attributes[UNFINISHED_KEY] for attributes in found.values() if UNFINISHED_KEY in attributes]
    marks += journals.announced(write.home).values()
    if marks:  # Killed while its arrays were created: there are no pixels yet.
        if any(not isinstance(mark, dict) or mark.get("fingerprint") != write.plan.fingerprint for mark in marks):
            raise ValueError(f"{write.home} was begun with other settings; overwrite=True starts anew")
        return replace(write, overwrite=True)
    if whole:
        raise FileExistsError(
            f"{write.target} has some of these images already, such as {whole[0]!r}, and no write of all of them was"
            " begun there; leave those out, or overwrite=True replaces them"
        )
    return write


def _attributes_there(write: Write) -> dict[str, JSON]:
    """Return the attributes of the groups that a write makes images, and of its home, by their paths."""
    paths = {write.plan.home, *(group.path for group, _ in write.plan.images)}
    return {path: read_attributes(write.target / path) or {} for path in paths}


def _is_whole(attributes: JSON, group: Group, pyramid: Pyramid) -> bool:
    """Whether a group is published as an image; one that only gets more levels, with as many as it is to have."""
    if "multiscales" not in ome_keys(attributes) or group.change is not None:
        return False
    multiscales = read_metadata(attributes).multiscales if group.kept else ()
    return not group.kept or any(len(one.datasets) >= len(pyramid.levels) for one in multiscales)


def fitting(plan: Plan, workers: Workers) -> Plan:
    """Return a plan for other workers than those for which it was made.

    Raises
    ------
    ValueError
        If its units need more memory than they have.
    """
    memory = plan.memory_at(workers)
    if workers.memory is not None and memory > workers.memory:
        raise ValueError(
            f"the units in which this was begun need {format_nbytes(memory)} of memory for"
            f" {pluralize(workers.threads, 'thread')}, but a worker has {format_nbytes(workers.memory)}; use fewer"
            f" threads or larger workers{_fewer(plan, workers)}, or start anew with overwrite=True"
        )
    return replace(plan, workers=workers)


def _fewer(plan: Plan, workers: Workers) -> str:
    """Return what else would do, if zarr encodes more chunks at once here than where it was planned."""
    return (
        ""
        if plan.memory_at(workers) == plan.memory_of(workers.threads)
        else (f", zarr's async.concurrency of {plan.workers.at_once}, for which it was planned")
    )


def _differences(saved: Plan, planned: Plan) -> list[str]:
    """Return in which lines a plan that was begun differs from a new one. Metadata follow from the pyramids."""
    old, new = saved.lasting.to_dict(), planned.lasting.to_dict()
    lines = [line for key in ("version", "pyramids") for line in differing(key, old[key], new[key])]
    return [line for line in lines if "_chunks" not in line] or differing("groups", old["groups"], new["groups"])


def _check_same(write: Write, lines: Sequence[str], what: str) -> None:
    if lines:
        more = [f"and {len(lines) - MAX_DIFFERENCES} more"] * (len(lines) > MAX_DIFFERENCES)
        head = f"{write.home} {what} with other settings, so it cannot be continued:"
        listed = "\n  ".join([head, *lines[:MAX_DIFFERENCES], *more])
        raise ValueError(f"{listed}\noverwrite=True starts anew")


def check_stamps(saved: SavedRun, sources: Sequence[Source]) -> None:
    """Raise a ValueError if the file of an image has changed since a plan was saved."""
    for old, source in zip(saved.origins, sources, strict=True):
        new = origin_of(source)
        if old.path == new.path and old.stamp != new.stamp:
            raise ValueError(
                f"{new.path} has changed since writing began: it had {old.stamp}, now {new.stamp}; a pyramid must not"
                " be made of two images: overwrite=True starts anew"
            )


def _finished(write: Write) -> Write:
    """Return a write with nothing left to do, if what is stored at its target is what it would write."""
    _check_same(write, differences(write.target, write.plan), "was written")
    plan = write.plan
    units = (unit for stage in range(len(plan.stages)) for unit in plan.units(stage, _spread(range(plan.count(stage)))))
    lasting = (unit for unit in units if not plan.is_temporary(unit.pass_))
    _check_pixels(Run(plan, write.sources, write.target, Journal(write.home, "")), lasting)
    return replace(write, finished=True)


def _finished_units(plan: Plan, journal: Journal) -> Iterator[Unit]:
    for stage in range(len(plan.stages)):
        if any(plan.image_of(work) is not None for work in plan.stages[stage].passes):
            yield from plan.units(stage, _spread(sorted(journals.finished_indices(journal, stage))))


def _of_images(plan: Plan, units: Iterator[Unit]) -> Iterator[tuple[Unit, int]]:
    """Yield those units that are made from an image, with the number of the image."""
    images = ((unit, plan.image_of(unit.pass_)) for unit in units)
    return ((unit, image) for unit, image in images if image is not None)


def _spread(indices: Sequence[int]) -> Sequence[int]:
    return [indices[i] for i in regions.spread(len(indices), SAMPLED_UNITS)]


def _check_pixels(run: Run, units: Iterator[Unit]) -> None:
    """Raise a ValueError if stored chunks of finished units differ from the images."""
    for unit, image in islice(_of_images(run.plan, units), 4 * SAMPLED_UNITS):
        if not _holds(run, unit, image):
            raise ValueError(
                f"the image has changed since {run.plan.describe(unit)} was written to {run.target}; a pyramid must"
                " not be made of two images: overwrite=True starts anew"
            )


def _holds(run: Run, unit: Unit, image: int) -> bool:
    """Whether the stored chunk in the middle of a unit equals the image with this number."""
    pass_, plan = unit.pass_, run.plan
    level = plan.pyramid(pass_).levels[pass_.first]
    region = _middle(unit.made[0], level.layout.chunks)
    array = level_array(run, pass_.group, pass_.first)
    expected = _pixels(run.sources[image], plan.in_image(pass_, region), level.layout.chunks)
    same = partial(_same, np.asarray(sync_codecs.read(array, regions.slices(region))))
    if unit.given is not None and not keeps_all(array):
        return True  # What lies around it in its chunk decides, too, what is stored.
    return same(expected) or same(as_stored(array, expected))


def _same(a: Any, b: Any) -> bool:
    return bool(a.tobytes() == b.tobytes())


def _middle(region: Region, chunks: Sequence[int]) -> Region:
    """Return the chunk around the middle of a region."""
    starts = [(a + b) // 2 // c * c for (a, b), c in zip(region, chunks, strict=True)]
    return tuple((max(s, a), min(s + c, b)) for s, c, (a, b) in zip(starts, chunks, region, strict=True))


def _pixels(source: Source, region: Region, chunks: Sequence[int]) -> Any:
    """Return a region of an image; if it lives on a cluster, it is computed there."""
    piece = source_piece(source, region, tuple(chunks))
    lives_there = any(type(getattr(task, "value", task)).__module__.startswith("distributed") for task in _tasks(piece))
    return np.asarray(piece.compute() if lives_there else piece.compute(scheduler=get_sync))


def _tasks(piece: Any) -> Iterator[Any]:
    return iter(dict(piece.dask).values())
