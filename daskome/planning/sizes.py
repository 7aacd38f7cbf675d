"""The sizes that a plan can have: one from a store may be a stranger's, and is bounded before it is believed."""

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, prod
from typing import TYPE_CHECKING, Any

from daskome.model.image import ITEMSIZES
from daskome.model.json_values import shown_value
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import is_empty, widened
from daskome.model.text import format_nbytes, pluralize
from daskome.planning.choose import span_of
from daskome.planning.work import Pass

if TYPE_CHECKING:
    from daskome.planning.plan import Plan

LONGEST_AXIS = 2**63 - 1
"""How many voxels zarr counts along an axis."""
MOST_LEVELS = 100
"""A level that is half as long as the one before, or shorter, comes at most 63 times."""
MOST_UNITS_PLANNED = 2**23
"""The units of a plan, of which some lists are kept: those of two petabytes, as they are planned by themselves."""


def check_units(plan: "Plan") -> None:
    """Raise a ValueError for more units than a plan may have."""
    if plan.n_units > MOST_UNITS_PLANNED:
        raise ValueError(
            f"this is written in {plan.n_units:,} units, but {MOST_UNITS_PLANNED:,} are the most: even the list of them"
            " would not fit; give larger chunks or shards, or write parts of it as images of their own"
        )


def check_lengths(document: Mapping[str, Any]) -> None:
    """Raise a ValueError for longer lists than the JSON of a plan has: to make nouns of them takes time and memory."""
    groups, stages = len(document["groups"]), document["stages"]
    levels = max((len(pyramid["levels"]) for pyramid in document["pyramids"]), default=0)
    passes = sum(len(stage["passes"]) for stage in stages)
    if levels > MOST_LEVELS or len(stages) > 2 * MOST_LEVELS or passes > 2 * MOST_LEVELS * groups:
        raise ValueError(
            f"this plan has {levels:,} levels, {len(stages):,} stages and {passes:,} passes for"
            f" {pluralize(groups, 'group')}, which cannot be"
        )


def check_sizes(plan: "Plan") -> None:
    """Raise a ValueError for sizes in a plan that cannot be, or need more memory than it says."""
    for pyramid in plan.pyramids:
        _check_pyramid(pyramid)
    for pass_ in (pass_ for stage in plan.stages for pass_ in stage.passes):
        _check_pass(pass_, plan.pyramid(pass_))
    workers = plan.workers
    _check_counts((workers.count, workers.threads), 1, 2**20, "a number of workers or threads")
    _check_counts((workers.in_flight, workers.at_once or 1), 0, 2**20, "a number of objects")
    check_units(plan)


def _check_pyramid(pyramid: Pyramid) -> None:
    ndim, n = len(pyramid.axes), len(pyramid.levels)
    if pyramid.dtype not in ITEMSIZES or not 1 <= n <= MOST_LEVELS:
        raise ValueError(f"this plan has an image of {n} levels and dtype {pyramid.dtype!r}, which cannot be")
    for level in pyramid.levels:
        for sizes in _sizes_of(level):
            if len(sizes) != ndim:
                raise ValueError(f"this plan has sizes {tuple(sizes)} for {ndim} axes")
            _check_counts(sizes, 1, LONGEST_AXIS, f"a size of level {level.path}")
        for numbers in (level.factors, level.scale, level.translation):
            if len(numbers) != ndim or not all(isinstance(x, int | float) and isfinite(x) for x in numbers):
                raise ValueError(f"this plan has numbers of level {level.path} that are not finite, or too few")
        if min(level.factors) < 1:
            raise ValueError(f"this plan has factors {level.factors} of level {level.path}, below 1")


def _sizes_of(level: Level) -> Iterable[Sequence[int]]:
    yield from (level.shape, level.write_chunks, level.read_chunks, level.layout.chunks)
    if level.layout.shards is not None:
        yield level.layout.shards


def _check_pass(pass_: Pass, pyramid: Pyramid) -> None:
    if not (isinstance(pass_.first, int) and isinstance(pass_.stop, int)):
        raise ValueError(f"this plan has a pass from level {pass_.first!r} to {pass_.stop!r}")
    if not 0 <= pass_.first < pass_.stop <= len(pyramid.levels):
        raise ValueError(f"this plan has a pass over levels {pass_.first} to {pass_.stop} of {len(pyramid.levels)}")
    for sizes in (pass_.unit, pass_.read_chunks):
        _check_counts(sizes, 1, LONGEST_AXIS, "a size of a pass")
        if len(sizes) != len(pyramid.axes):
            raise ValueError(f"this plan has sizes {sizes} for {len(pyramid.axes)} axes")
    if pass_.region is not None or pass_.given is not None:
        _check_region(pass_, pyramid.levels[pass_.first])
    _check_counts(
        (pass_.ahead, pass_.shared, pass_.image or 0, pass_.unit_memory), 0, LONGEST_AXIS, "a number of a pass"
    )
    needed = _least_memory(pass_, pyramid)
    if pass_.unit_memory < needed:
        raise ValueError(
            f"this plan says that a unit takes {format_nbytes(pass_.unit_memory)} of memory, but its blocks alone take"
            f" {format_nbytes(needed)}"
        )


def _check_region(pass_: Pass, level: Level) -> None:
    """Raise a ValueError for a part of a level that is none, or not one of whole stored objects."""
    covered, held = pass_.region or (), pass_.region if pass_.given is None else pass_.given
    spans = [span for region in (covered, held or ()) for span in region]
    _check_counts([edge for span in spans for edge in span], 0, LONGEST_AXIS, "an edge of a region")
    alone = pass_.stop == pass_.first + 1 and pass_.writes_copy is None
    fits = len(covered) == len(held or ()) == len(level.shape) and all(len(span) == 2 for span in spans)
    if not (alone and fits and covered == widened(held or (), level.layout.objects, level.shape)):
        raise ValueError(f"this plan writes {pass_.region} of level {level.path}, which are not whole stored objects")
    if is_empty(held or ()) or any(b > n for (_, b), n in zip(covered, level.shape, strict=True)):
        raise ValueError(f"this plan writes {pass_.region} of level {level.path}, whose shape is {level.shape}")


def _least_memory(pass_: Pass, pyramid: Pyramid) -> int:
    """Return the bytes that a unit takes at least: a block of a level, and what is read at a time."""
    blocks = [prod(level.write_chunks) for level in pyramid.levels[pass_.first : pass_.stop]]
    span = span_of(pyramid, pass_.first, pass_.unit) if pass_.reads_below else pass_.unit
    piece = prod(min(r, s) for r, s in zip(pass_.read_chunks, span, strict=True))
    return max(*blocks, piece, pass_.ahead * prod(pass_.read_chunks)) * pyramid.itemsize


def _check_counts(values: Sequence[Any], least: int, most: int, what: str) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(
                f"this plan has {shown_value(value)} as {what}; it is a whole number from {least} to {most:,}"
            )
