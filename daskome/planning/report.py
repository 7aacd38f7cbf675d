"""Print a plan in words and tables, for terminals and notebooks: the dry run that people read."""

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from daskome.kernels.methods import COPIED
from daskome.model.axes import joined_names
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import format_region
from daskome.model.text import (
    format_duration,
    format_html_table,
    format_nbytes,
    format_numbers,
    format_table,
    pluralize,
)
from daskome.planning import cost
from daskome.planning.work import PROCESS_MEM, Pass

if TYPE_CHECKING:
    from daskome.planning.groups.group import Group
    from daskome.planning.plan import Plan


STAGE_HEAD = ["stage", "levels", "units", "reads", "largest", "time", "bound by"]
LEVEL_HEAD = ["level", "shape", "chunks", "shards", "factors", "scale", "translation", "bytes", "objects"]


def plan_text(plan: "Plan", rate: float) -> str:
    """Return a plan as text; `rate` is how many bytes of pixels one thread processes per second."""
    tables = [format_table(title, head, rows) for title, head, rows in _tables(plan, rate)]
    return "\n".join([*tables, *_totals(plan, rate)])


def plan_html(plan: "Plan") -> str:
    """Return a plan as HTML, at the default rate."""
    tables = "".join(format_html_table(title, head, rows) for title, head, rows in _tables(plan, cost.RATE))
    return tables + "<p>" + "<br>".join(map(escape, _totals(plan, cost.RATE))) + "</p>"


def _tables(plan: "Plan", rate: float) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    alike: dict[int, list[Group]] = {}
    for group, pyramid in plan.images:
        alike.setdefault(id(pyramid), []).append(group)
    for groups in alike.values():
        pyramid = plan.pyramid_at(groups[0].path)
        axes = joined_names([axis.name for axis in pyramid.axes])
        made = "levels copied" if pyramid.method == COPIED else pyramid.method.name
        look = f"{axes} {pyramid.dtype}, {made}, OME-Zarr {plan.version}"
        title = f"{_names(groups, pyramid)}: {look}"
        yield title, LEVEL_HEAD, [_level_row(level, pyramid.itemsize) for level in pyramid.levels]
    yield "stages, each after the one before", STAGE_HEAD, [_stage_row(plan, k, rate) for k in range(len(plan.stages))]


def _stage_row(plan: "Plan", k: int, rate: float) -> list[str]:
    """Return a stage as the cells of a table under `STAGE_HEAD`."""
    passes, load, parallel = plan.stages[k].passes, plan.loads[k], plan.workers.parallel
    paths = {path: None for pass_ in passes for path in plan.paths(pass_)}
    bound = "its units" if load.units < parallel else "threads"
    cells = [format_nbytes(load.nbytes), format_nbytes(load.largest), format_duration(load.seconds(parallel, rate))]
    return [str(k), ", ".join(paths), f"{load.units:,}", *cells, bound]


def _copied(plan: "Plan") -> list[str]:
    """Return the paths of the levels that have temporary copies."""
    passes = (pass_ for stage in plan.stages for pass_ in stage.passes if pass_.writes_copy is not None)
    return list(dict.fromkeys(plan.pyramid(pass_).levels[pass_.stop].path for pass_ in passes))


def _totals(plan: "Plan", rate: float) -> list[str]:
    workers, threads, flying = plan.workers.count, plan.workers.threads, plan.workers.in_flight
    return [
        f"{format_nbytes(plan.nbytes)} in {pluralize(plan.n_objects, 'stored object')}"
        f" ({plan.n_puts:,} PUT requests); {pluralize(plan.n_units, 'unit')} in"
        f" {pluralize(len(plan.stages), 'stage')}, each one task of a scheduler",
        f"{pluralize(workers, 'worker')} of {pluralize(threads, 'thread')}: peak memory"
        f" {format_nbytes(plan.memory)} each ({format_nbytes(PROCESS_MEM)}, and"
        f" {format_nbytes(plan.thread_memory)} per thread)",
        *_abreast(plan),
        *[f"up to {pluralize(flying, 'object')} of each worker on their way to the store at a time"] * (flying > 0),
        *_changes(plan),
        f"the source is read {plan.amplification:.2f} times" if plan.n_images else "what is stored is read",
        *map(str, plan.counted),
        *_verbatim(plan),
        *_staging(plan),
        *_sharing(plan),
        f"takes {format_duration(cost.seconds(plan.loads, plan.workers.parallel, rate))}, if a thread reads,"
        f" downsamples and writes {rate / 1e6:.4g} MB/s of pixels",
    ]


def _changes(plan: "Plan") -> Iterator[str]:
    """Yield what changes in images that are there."""
    for group, pyramid in plan.images:
        if group.change is not None:
            where = format_region(group.change.region, [axis.name for axis in pyramid.axes])
            yield f"only {where} of {pyramid.levels[0].path} changes, and what is made of it; the rest stays as it is"


def _abreast(plan: "Plan") -> Iterator[str]:
    """Yield how many units run at a time where that is not one for each thread, or not known before they have run."""
    threads = plan.workers.threads
    for pass_ in plan.image_passes:
        if pass_.abreast and pass_.at_a_time(threads) < threads:
            yield (
                f"of {', '.join(plan.paths(pass_))} {pluralize(pass_.abreast, 'unit')} of"
                f" {format_nbytes(pass_.unit_memory)} at a time in each worker: its memory holds no more"
            )
    if any(pass_.computed for pass_ in plan.image_passes):
        yield (
            "the image is computed: what its functions need besides their results is not known; where memory is short,"
            " the first unit of each worker runs alone and is measured"
        )


def _verbatim(plan: "Plan") -> Iterator[str]:
    """Yield which levels have the chunks of the source, or could have them."""
    passes = plan.image_passes
    taken = {plan.pyramid(w).levels[w.first].path: None for w in passes if plan.takes_over(w)}
    if taken:
        yield f"the chunks of {', '.join(taken)} are those of the source, as they are: read and decoded, not encoded"
    elif any(pass_.offers_verbatim for pass_ in passes):
        yield "level 0 could be taken over as it is, not encoded anew: verbatim=True (--verbatim)"


def _sharing(plan: "Plan") -> Iterator[str]:
    """Yield what units of images that Dask computes share."""
    passes = {pass_.image: pass_ for pass_ in plan.image_passes}.values()
    if shared := sum(pass_.shared for pass_ in passes):
        yield f"{pluralize(shared, 'result')} that all units need: computed once, before them"
    along = {plan.pyramid(pass_).axes[axis].name for pass_ in passes for axis in _repeating(plan, pass_)}
    if along:
        yield (
            f"units side by side along {', '.join(sorted(along))} compute the same parts of the image, each anew:"
            " persist() or store what they share first"
        )


def _repeating(plan: "Plan", pass_: Pass) -> list[int]:
    return [axis for axis in pass_.repeated if plan.grid(pass_)[axis] > 1]


def _staging(plan: "Plan") -> Iterator[str]:
    """Yield what temporary copies cost, or would save."""
    if plan.temporary:
        what = [*["the image"] * any(plan.is_temporary(pass_) for pass_ in plan.image_passes), *_copied(plan)]
        head = "a temporary copy" if len(plan.temporary) == 1 else "temporary copies"
        yield (
            f"{head} of {', '.join(what)}, {format_nbytes(plan.temporary_nbytes)} in"
            f" {pluralize(plan.temporary_objects, 'object')}: written once, read once, removed at the end"
        )
    passes = plan.image_passes
    offers = [(a, plan.pyramid(w)) for w in passes if (a := w.staged_amplification) is not None]
    if offers:
        size = sum(pyramid.levels[0].voxels * pyramid.itemsize for _, pyramid in offers)
        yield (
            f"staging=True (--staging) would read it {max(offer for offer, _ in offers):.2f} times, through a"
            f" temporary copy of {format_nbytes(size)} that is written once and read once"
        )


def _names(groups: Sequence["Group"], pyramid: Pyramid) -> str:
    """Return the names of images that are alike."""
    names = [group.path or pyramid.name for group in groups]
    return ", ".join(names) if len(names) <= 2 else f"{pluralize(len(names), 'image')}, {names[0]} … {names[-1]}"


def _level_row(level: Level, itemsize: int) -> list[str]:
    """Return a level as the cells of a table under `LEVEL_HEAD`."""
    shards = format_numbers(level.layout.shards) if level.layout.shards else "–"
    return [
        level.path,
        *(format_numbers(n) for n in (level.shape, level.layout.chunks)),
        shards,
        *(format_numbers(n) for n in (level.factors, level.scale, level.translation)),
        format_nbytes(level.voxels * itemsize),
        f"{level.n_objects:,}",
    ]
