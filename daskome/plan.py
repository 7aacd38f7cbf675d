"""What will be on disk, and the work to get there: plain frozen data, decided before a byte is written.

A `Plan` has stages; all of a stage is written before the next begins. A stage has passes; a `Pass` goes over
one pyramid once, reading an image or a stored level and writing the levels above it whose blocks nest. A pass
is cut into units; a `Unit` writes whole stored objects that no other unit writes, so units need no locks, no
order and no communication, and can be repeated.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from html import escape
from itertools import count, product, takewhile
from math import inf, lcm, prod, sqrt
from operator import attrgetter
from typing import Any

from daskome import cost, regions, table
from daskome.layout import ZARR_V3, StorageOptions
from daskome.metadata import Metadata, Version, image_metadata
from daskome.methods import Method, find_method
from daskome.nouns import from_json, to_json
from daskome.pyramid import Image, Level, Pyramid, ScaleFactors, given_pyramid, image_pyramid
from daskome.regions import Chunks, Region, Shape

FORMAT = 3
"""The form of a plan as JSON."""
Describe = Callable[[Pyramid], Metadata]
UNIT_NBYTES = 512 * 2**20
"""Units are grown while they read at most this much: some seconds of work, a few thousand units per TiB.
Larger are those that a block forces, and those that spare reading source chunks again (see `LARGEST_UNIT`)."""
STAGING = ".daskome/staging"
"""Where temporary copies of images lie: in the folder of the journal, beside it."""
STAGED_ABOVE = 4
"""From more than so many times on that an image would be read, a temporary copy is offered."""
STAGED_NBYTES = 2 * 2**20
"""The least size of the chunks of such a copy, if its image and target allow."""
STAGED_DOUBLINGS = 4
"""How many lengths of such chunks are tried along an axis, each twice the one before."""
LARGEST_UNIT = 4
"""How many times `UNIT_NBYTES` a unit may read before it counts as slow: a retry loses all of it."""
READING = 0.5
"""How much of a pass's time is spent on reading; the rest is spent on downsampling, compressing and writing."""
UNITS_PER_THREAD = 4
"""With fewer units than this per thread, units are made smaller, so that all threads finish together."""
SOME_DOUBLINGS = 4
"""How often a block is doubled, at most, towards source chunks that don't nest with it."""
DOUBLINGS = 8
"""How often a block is doubled, at most, towards source chunks that are not read whole for lack of memory."""
OFTEN = 2
"""From so many times on that the source would be read, units are shaped more finely to what memory allows."""
TAIL_NBYTES = 256 * 2**20
"""Coarse levels together this small are left to one unit: about a second of work, instead of another stage."""
HEAP = 1.1
"""How much more than is asked of it an allocator holds: measured up to 5 %."""
READ_NBYTES = 16 * 2**20
"""So much of the chunks of an image is decoded at a time (`daskome.sources.READ_NBYTES`)."""
OBJECTS_AT_ONCE = 10
"""How many chunks zarr encodes beside each other (its ``async.concurrency``)."""
UNIT_MEM = 8 * 2**20
"""The graph of a unit, and what kernels work with."""
PROCESS_MEM = 190 * 2**20
"""Python, NumPy, Dask, distributed and zarr, imported: measured 150 to 175 MiB."""


@dataclass(frozen=True, slots=True)
class Group:
    """One zarr group that the plan makes: where, relative to the target, what it says, and the pyramid it holds.

    Attributes
    ----------
    path : str
    metadata : Metadata
        What is published when all is written.
    pyramid : int, optional
        Which of the plan's pyramids lies in it.
    kept : int
        So many of the pyramid's levels, the finest, are there already, and stay as they are.
    temporary : bool
        Whether it is only read again, and goes with the journal (see `STAGING`).
    """

    path: str
    metadata: Metadata
    pyramid: int | None = None
    kept: int = 0
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """One way over a pyramid: what is read once, and the levels that are written from it.

    Attributes
    ----------
    group : int
        Which of the plan's groups it writes to.
    image : int or None
        Which image is read; None: the stored level below `first`.
    first, stop : int
        The levels that are written.
    unit : tuple of int
        What one unit covers, in voxels of level `first`.
    read_chunks : tuple of int
        The longest pieces in which it is read, in voxels of what is read.
    amplification : float
        How often the average voxel is read; 1.0 is once.
    memory : int
        Peak bytes of one unit.
    staged : int, optional
        The group of the temporary copy of an image that is read in its place.
    offer : float, optional
        How often the image would be read with such a copy, if there is none and it would pay.
    """

    group: int
    image: int | None
    first: int
    stop: int
    unit: Shape
    read_chunks: Shape
    amplification: float
    memory: int
    staged: int | None = None
    offer: float | None = None

    @property
    def reads_below(self) -> bool:
        """Whether what is read is the level below the first."""
        return self.image is None and self.staged is None


@dataclass(frozen=True, slots=True)
class Stage:
    """Passes that need nothing of each other."""

    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One independent job: a pass, and the region of each level that it writes, from `Pass.first` on."""

    stage: int
    index: int
    work: Pass
    regions: tuple[Region, ...]

    @property
    def key(self) -> str:
        """The unit's name in the journal and on dashboards."""
        return f"{self.stage}/{self.index}"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Who will write: worker processes, the threads of each, and the memory of each in bytes, if it is bounded.

    `images` is how many images like the one that is planned they write side by side: where there are many, none
    need be cut for the workers' sake. `staging` says that there is room for a temporary copy of an image.
    """

    workers: int = 1
    threads: int = 1
    memory: int | None = None
    images: int = 1
    staging: bool = False

    @property
    def parallel(self) -> int:
        """How many units run at a time."""
        return self.workers * self.threads

    @property
    def thread_memory(self) -> float:
        """What one unit may use, in bytes."""
        return inf if self.memory is None else max((self.memory - PROCESS_MEM) / self.threads, 0)


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """Everything that will be on disk, and the work to get there. Printing it is the dry run.

    Attributes
    ----------
    version : str
        Of OME-Zarr.
    groups : tuple of Group
    pyramids : tuple of Pyramid
    stages : tuple of Stage
    capacity : Capacity
        The workers for which it was planned. More or fewer may run it.
    """

    version: str
    groups: tuple[Group, ...]
    pyramids: tuple[Pyramid, ...]
    stages: tuple[Stage, ...]
    capacity: Capacity

    def __repr__(self) -> str:
        return self.text()

    def text(self, rate: float = cost.RATE) -> str:
        """Return the plan as text, with the time it takes workers whose threads read `rate` bytes a second each."""
        tables = [table.text(title, head, rows) for title, head, rows in self._tables(rate)]
        return "\n".join([*tables, *self._totals(rate)])

    def _repr_html_(self) -> str:
        tables = "".join(table.html(title, head, rows) for title, head, rows in self._tables(cost.RATE))
        return tables + "<p>" + "<br>".join(map(escape, self._totals(cost.RATE))) + "</p>"

    @property
    def n_units(self) -> int:
        """How many units there are in all stages."""
        return sum(self.count(stage) for stage in range(len(self.stages)))

    @property
    def n_objects(self) -> int:
        """How many chunks or shards will be stored, at most."""
        return sum(level.n_objects for level, _ in self._levels())

    @property
    def n_puts(self) -> int:
        """How many requests write it to an object store, at most: objects, a record per unit, and metadata."""
        held = [*self._levels(), *((level, copy.itemsize) for _, copy in self.temporary for level in copy.levels)]
        objects = sum(cost.puts(level.n_objects, prod(level.layout.objects) * itemsize) for level, itemsize in held)
        return objects + self.n_units + len(held) + 2 * len(self.groups)

    @property
    def nbytes(self) -> int:
        """Bytes of all levels that are written, uncompressed."""
        return sum(level.voxels * itemsize for level, itemsize in self._levels())

    @property
    def lasting(self) -> "Plan":
        """The plan without its temporary copies; its stages are not to be run."""
        groups = tuple(group for group in self.groups if not group.temporary)
        numbers = sorted({group.pyramid for group in groups if group.pyramid is not None})
        kept = (g if g.pyramid is None else replace(g, pyramid=numbers.index(g.pyramid)) for g in groups)
        return replace(self, groups=tuple(kept), pyramids=tuple(self.pyramids[i] for i in numbers))

    @property
    def temporary(self) -> list[tuple[Group, Pyramid]]:
        """The groups that hold a temporary copy of an image, and its pyramid of one level."""
        held = [(group, group.pyramid) for group in self.groups if group.temporary]
        return [(group, self.pyramids[number]) for group, number in held if number is not None]

    @property
    def temporary_nbytes(self) -> int:
        """Bytes of the temporary copies, uncompressed."""
        return sum(pyramid.nbytes for _, pyramid in self.temporary)

    @property
    def temporary_objects(self) -> int:
        """How many objects are stored only until the end."""
        return sum(level.n_objects for _, pyramid in self.temporary for level in pyramid.levels)

    @property
    def amplification(self) -> float:
        """How often the average voxel of the images is read; 1.0 is once."""
        reads = [(w.amplification, self.pyramid(w).levels[w.first].voxels) for w in self._passes()]
        return sum(a * n for a, n in reads) / max(sum(n for _, n in reads), 1)

    @property
    def thread_memory(self) -> int:
        """Predicted peak of one unit, in bytes."""
        return max((work.memory for stage in self.stages for work in stage.passes), default=0)

    @property
    def memory(self) -> int:
        """Predicted peak of one worker process, in bytes."""
        return self.memory_of(self.capacity.threads)

    def memory_of(self, threads: int) -> int:
        """Return the predicted peak of a process with so many threads, in bytes."""
        return PROCESS_MEM + threads * self.thread_memory

    @property
    def loads(self) -> list[cost.Load]:
        """What each stage asks of workers."""
        reads = [[self._nbytes_read(work) for work in stage.passes] for stage in self.stages]
        return [
            cost.Load(self.count(k), sum(total for total, _ in stage), max(largest for _, largest in stage))
            for k, stage in enumerate(reads)
        ]

    @property
    def fingerprint(self) -> str:
        """What identifies the bytes that the plan leaves on disk, whoever writes them, and in which units."""
        found = replace(self.lasting, stages=(), capacity=Capacity()).to_dict()
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def n_images(self) -> int:
        """How many images are read."""
        return 1 + max((work.image for work in self._passes() if work.image is not None), default=-1)

    @property
    def images(self) -> list[tuple[Group, Pyramid]]:
        """The groups that hold a pyramid for good, and that."""
        held = [(group, group.pyramid) for group in self.groups if not group.temporary]
        return [(group, self.pyramids[number]) for group, number in held if number is not None]

    @property
    def home(self) -> str:
        """The path of the group that keeps the journal: the deepest that all images lie in."""
        common = zip(*(group.path.split("/") for group, _ in self.images), strict=False)
        return "/".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, common))

    def pyramid(self, work: Pass) -> Pyramid:
        """Return the pyramid that a pass writes."""
        return self.pyramids[self.groups[work.group].pyramid or 0]

    def image_of(self, work: Pass) -> int | None:
        """Return which image a pass reads, itself or a temporary copy of it; None: a stored level."""
        if work.staged is None:
            return work.image
        return next(w.image for stage in self.stages for w in stage.passes if w.group == work.staged)

    def count(self, stage: int) -> int:
        """Return how many units a stage has."""
        return sum(prod(self._grid(work)) for work in self.stages[stage].passes)

    def units(self, stage: int, indices: Iterable[int] | None = None) -> Iterator[Unit]:
        """Yield units of a stage, one at a time: a plan for a petabyte has millions.

        Parameters
        ----------
        stage : int
        indices : iterable of int, optional
            Which ones, rising; all if not given.
        """
        passes = iter(self.stages[stage].passes)
        first = stop = 0
        for index in range(self.count(stage)) if indices is None else indices:
            while index >= stop:
                work = next(passes)
                grid = self._grid(work)
                first, stop = stop, stop + prod(grid)
            yield self._unit(stage, index, work, regions.position(index - first, grid))

    def reads(self, unit: Unit) -> Region:
        """Return what a unit reads, in voxels of the image or of the stored level below."""
        work, pyramid = unit.work, self.pyramid(unit.work)
        return pyramid.reads(work.first, unit.regions[0]) if work.reads_below else unit.regions[0]

    def writes(self, unit: Unit) -> int:
        """Return how many bytes a unit writes, uncompressed."""
        return sum(map(regions.size, unit.regions)) * self.pyramid(unit.work).itemsize

    def describe(self, unit: Unit) -> str:
        """Return which part of which levels a unit writes, as users write it."""
        pyramid = self.pyramid(unit.work)
        paths = self._paths(unit.work)
        where = regions.text(unit.regions[0], [axis.name for axis in pyramid.axes])
        name = self.groups[unit.work.group].path or pyramid.name
        return f"unit {unit.key} ({name}: {', '.join(paths)}; {where} of {paths[0]})"

    def to_json(self) -> str:
        """Return the plan as JSON; `Plan.from_json` makes the same plan of it."""
        return json.dumps({"format": FORMAT, **self.to_dict()}, allow_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as what JSON knows."""
        found: dict[str, Any] = to_json(self, {Method: attrgetter("name")})
        return found

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Return the plan that `to_json` wrote.

        Raises
        ------
        ValueError
            If it was written in another form, or names a method that can't be imported here.
        """
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"this is no plan of format {FORMAT}; another version of daskome may have made it")
        try:
            return from_json(cls, found, {Method: find_method})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no whole plan: {error!r}") from error

    def _passes(self) -> Iterator[Pass]:
        return (work for stage in self.stages for work in stage.passes if work.image is not None)

    def _levels(self) -> Iterator[tuple[Level, int]]:
        """Yield the levels that are written, with the size of their voxels in bytes."""
        for group, pyramid in self.images:
            yield from ((level, pyramid.itemsize) for level in pyramid.levels[group.kept :])

    def _grid(self, work: Pass) -> Shape:
        return regions.counts(self.pyramid(work).levels[work.first].shape, work.unit)

    def _unit(self, stage: int, index: int, work: Pass, position: Shape) -> Unit:
        pyramid = self.pyramid(work)
        written = [regions.block(position, work.unit, pyramid.levels[work.first].shape)]
        for k in range(work.first + 1, work.stop):
            written.append(regions.coarser(written[-1], pyramid.factors(k)))
        return Unit(stage, index, work, tuple(written))

    def _nbytes_read(self, work: Pass) -> tuple[float, float]:
        """Return the bytes that a pass reads, and its largest unit, uncompressed; what is read twice counts twice."""
        pyramid, first = self.pyramid(work), 0 if work.image is not None else work.first
        shape = pyramid.levels[work.first - 1 if first else work.first].shape
        largest = (min(s, n) for s, n in zip(_span(pyramid, first, work.unit), shape, strict=True))
        nbytes = pyramid.itemsize * work.amplification
        return prod(shape) * nbytes, prod(largest) * nbytes

    def _tables(self, rate: float) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        for index, pyramid in enumerate(self.pyramids):
            groups = [group for group in self.groups if group.pyramid == index and not group.temporary]
            if not groups:
                continue
            axes = "".join(axis.name for axis in pyramid.axes)
            look = f"{axes} {pyramid.dtype}, {pyramid.method.name}, OME-Zarr {self.version}"
            title = f"{_names(groups, pyramid)}: {look}"
            yield title, ROW, [level_row(level, pyramid.itemsize) for level in pyramid.levels]
        yield "stages, each after the one before", STAGE, [self._stage_row(k, rate) for k in range(len(self.stages))]

    def _stage_row(self, k: int, rate: float) -> list[str]:
        """Return a stage as the cells of a table under `STAGE`."""
        passes, load, parallel = self.stages[k].passes, self.loads[k], self.capacity.parallel
        paths = {path: None for work in passes for path in self._paths(work)}
        bound = "its units" if load.units < parallel else "threads"
        cells = [table.nbytes(load.nbytes), table.nbytes(load.largest), table.duration(load.seconds(parallel, rate))]
        return [str(k), ", ".join(paths), f"{load.units:,}", *cells, bound]

    def _paths(self, work: Pass) -> list[str]:
        """Return the paths of the levels that a pass writes."""
        if self.groups[work.group].temporary:
            return ["copy"]
        return [level.path for level in self.pyramid(work).levels[work.first : work.stop]]

    def _totals(self, rate: float) -> list[str]:
        workers, threads = self.capacity.workers, self.capacity.threads
        return [
            f"{table.nbytes(self.nbytes)} in {table.count(self.n_objects, 'stored object')}"
            f" ({self.n_puts:,} PUT requests); {table.count(self.n_units, 'unit')} in"
            f" {table.count(len(self.stages), 'stage')}, each one task of a scheduler",
            f"{table.count(workers, 'worker')} of {table.count(threads, 'thread')}: peak memory"
            f" {table.nbytes(self.memory)} each ({table.nbytes(PROCESS_MEM)}, and"
            f" {table.nbytes(self.thread_memory)} per thread)",
            f"the source is read {self.amplification:.2f} times" if self.n_images else "the coarsest level is read",
            *self._staging(),
            f"takes {table.duration(cost.seconds(self.loads, self.capacity.parallel, rate))}, if a thread reads,"
            f" downsamples and writes {rate / 1e6:.4g} MB/s of pixels",
        ]

    def _staging(self) -> Iterator[str]:
        """Yield what temporary copies of images cost, or would spare."""
        if self.temporary:
            yield (
                f"a temporary copy of {table.nbytes(self.temporary_nbytes)} in"
                f" {table.count(self.temporary_objects, 'object')} is written first, read once, and removed at the end"
            )
        offers = [(work.offer, self.pyramid(work)) for work in self._passes() if work.offer is not None]
        if offers:
            size = sum(pyramid.levels[0].voxels * pyramid.itemsize for _, pyramid in offers)
            yield (
                f"staging=True (--staging) would read it {max(offer for offer, _ in offers):.2f} times, through a"
                f" temporary copy of {table.nbytes(size)} that is written once and read once"
            )


def _names(groups: Sequence[Group], pyramid: Pyramid) -> str:
    """Return the names of the images that look alike."""
    names = [group.path or pyramid.name for group in groups]
    return ", ".join(names) if len(names) <= 2 else f"{table.count(len(names), 'image')}, {names[0]} … {names[-1]}"


STAGE = ["stage", "levels", "units", "reads", "largest", "time", "bound by"]
ROW = ["level", "shape", "chunks", "shards", "factors", "scale", "translation", "bytes", "objects"]


def level_row(level: Level, itemsize: int) -> list[str]:
    """Return a level as the cells of a table under `ROW`."""
    shards = table.numbers(level.layout.shards) if level.layout.shards else "–"
    return [
        level.path,
        *(table.numbers(n) for n in (level.shape, level.layout.chunks)),
        shards,
        *(table.numbers(n) for n in (level.factors, level.scale, level.translation)),
        table.nbytes(level.voxels * itemsize),
        f"{level.n_objects:,}",
    ]


def plan_image(
    image: Image,
    pieces: "Pieces",
    method: Method,
    version: Version,
    *,
    scale_factors: ScaleFactors = "auto",
    storage_options: StorageOptions = None,
    describe: Describe = image_metadata,
    capacity: Capacity | None = None,
) -> Plan:
    """Return the plan for one image that is read once and downsampled on the way.

    Parameters
    ----------
    image : Image
    pieces : Pieces
        In which the image is stored or computed.
    method : Method
    version : Version
    scale_factors, storage_options
        As in `daskome.write_image`.
    describe : callable
        From the pyramid to what its group says.
    capacity : Capacity, optional
        The workers that will write it; one of one thread and any memory if not given.

    Raises
    ------
    ValueError
        For anything that can't be written as asked, or not within the memory of a worker.
    """
    version.check_axes(image.axes)
    pyramid = image_pyramid(image, method, scale_factors, storage_options, version.arrays)
    capacity = capacity or Capacity()
    passes, copy = _best_way(pyramid, replace(pieces, image=0), capacity)
    groups, pyramids = [Group("", describe(pyramid), 0)], [pyramid]
    if copy:
        groups.append(Group(f"{STAGING}/0", Metadata(), 1, temporary=True))
        pyramids.append(copy)
    return Plan(version.name, tuple(groups), tuple(pyramids), tuple(Stage((work,)) for work in passes), capacity)


def plan_levels(
    levels: Sequence[Image],
    pieces: Sequence["Pieces"],
    method: Method,
    version: Version,
    *,
    storage_options: StorageOptions = None,
    describe: Describe = image_metadata,
    capacity: Capacity | None = None,
) -> Plan:
    """Return the plan for levels that the caller has already: all of them independent, in one stage."""
    pyramid = given_pyramid(levels, method, storage_options, version.arrays)
    version.check_axes(pyramid.axes)
    capacity = capacity or Capacity()
    passes = tuple(_copy(pyramid, k, replace(own, image=k), capacity) for k, own in enumerate(pieces))
    return Plan(version.name, (Group("", describe(pyramid), 0),), (pyramid,), (Stage(passes),), capacity)


def plan_more_levels(
    pyramid: Pyramid, kept: int, version: Version, metadata: Metadata, capacity: Capacity | None = None
) -> Plan:
    """Return the plan that adds to the first `kept` levels of a pyramid, which are stored, the others."""
    capacity = capacity or Capacity()
    stages = tuple(Stage((work,)) for work in _cascade(pyramid, Pieces(()), capacity, kept))
    return Plan(version.name, (Group("", metadata, 0, kept),), (pyramid,), stages, capacity)


def together(parts: Sequence[tuple[str, Plan]], groups: Sequence[Group] = ()) -> Plan:
    """Return plans, each put under a path, as one: their stages run side by side.

    Parameters
    ----------
    parts : sequence of (str, Plan)
        All of one version and capacity. What is equal by identity is kept once, so that a plate of a
        thousand like images has one pyramid.
    groups : sequence of Group
        Without pyramids, which are published after those of the parts.
    """
    pyramids: dict[int, tuple[int, Pyramid]] = {}
    made: list[Group] = []
    stages: list[list[Pass]] = []
    images = 0
    for path, part in parts:
        first = len(made)
        for group in part.groups:
            number = None if group.pyramid is None else _numbered(pyramids, part.pyramids[group.pyramid])
            made.append(replace(group, path="/".join(filter(None, (path, group.path))), pyramid=number))
        for k, stage in enumerate(part.stages):
            stages += [[] for _ in range(k + 1 - len(stages))]
            stages[k] += (_shifted(work, first, images) for work in stage.passes)
        images += part.n_images
    whole = parts[0][1]
    return _with_staging_at_home(
        Plan(
            whole.version,
            (*made, *groups),
            tuple(pyramid for _, pyramid in pyramids.values()),
            tuple(Stage(tuple(passes)) for passes in stages),
            whole.capacity,
        )
    )


def _with_staging_at_home(plan: Plan) -> Plan:
    """Return a plan whose temporary groups lie beside its journal, so that they go with it."""
    folder, numbers = "/".join(filter(None, (plan.home, STAGING))), count()
    groups = (replace(g, path=f"{folder}/{next(numbers)}") if g.temporary else g for g in plan.groups)
    return replace(plan, groups=tuple(groups))


def _numbered(pyramids: dict[int, tuple[int, Pyramid]], pyramid: Pyramid) -> int:
    """Return the number of a pyramid among those there are, which it joins if it is new."""
    return pyramids.setdefault(id(pyramid), (len(pyramids), pyramid))[0]


def _shifted(work: Pass, groups: int, images: int) -> Pass:
    image, staged = work.image, work.staged
    return replace(
        work,
        group=work.group + groups,
        image=None if image is None else image + images,
        staged=None if staged is None else staged + groups,
    )


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a pass reads: an image, a staged copy of it, or (neither) a stored level.

    Attributes
    ----------
    chunks : tuple of tuple of int
        The pieces in which it is stored or computed, per axis.
    copies : int
        How often a piece is in memory beside the result while it is read: encoded and decoded, or computed
        (`daskome.sources.Source.copies`).
    image, staged : int, optional
        As in `Pass`.
    longest : tuple of int
        The longest piece along each axis.
    """

    chunks: Chunks
    copies: int = 2
    image: int | None = None
    staged: int | None = None
    longest: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", tuple(map(regions.longest, self.chunks)))


def _cascade(pyramid: Pyramid, pieces: Pieces, capacity: Capacity, first: int = 0) -> list[Pass]:
    """Return passes that write the levels from `first` on, level 0 from its pieces, others from the one below."""
    passes: list[Pass] = []
    while first < len(pyramid.levels):
        if first:
            below = pyramid.levels[first - 1]
            pieces = Pieces(regions.regular(below.shape, below.layout.chunks))
        passes.append(_best_pass(pyramid, first, _last_nested(pyramid, first), pieces, capacity))
        first = passes[-1].stop
    return passes


def _best_way(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> tuple[list[Pass], Pyramid | None]:
    """Return the passes that write a pyramid from an image, and the temporary copy that they go by, if there is one.

    There is if the image would else be read over `STAGED_ABOVE` times, and a copy is allowed. What it would spare is
    noted where it isn't.
    """
    try:
        direct = _cascade(pyramid, pieces, capacity)
    except ValueError as error:
        staged = _staged(pyramid, pieces, capacity)
        if staged is None:
            raise
        if not capacity.staging:
            raise ValueError(f"{error}; or staging=True (--staging), for a temporary copy of the image") from error
        return staged.passes(pyramid, capacity), staged.copy
    often = direct[0].amplification
    staged = _staged(pyramid, pieces, capacity) if often > STAGED_ABOVE else None
    if staged is None or staged.moves >= often:
        return direct, None
    if not capacity.staging:
        return [replace(direct[0], offer=staged.write.amplification), *direct[1:]], None
    return staged.passes(pyramid, capacity), staged.copy


@dataclass(frozen=True, slots=True)
class Staged:
    """A temporary copy of an image between its chunks and those of its target: written once, read once.

    Attributes
    ----------
    copy : Pyramid
        Of one level.
    write, read : Pass
        From the image to the copy; from there to the first levels.
    """

    copy: Pyramid
    write: Pass
    read: Pass

    @property
    def pieces(self) -> Pieces:
        """The copy, to be read."""
        level = self.copy.levels[0]
        return Pieces(regions.regular(level.shape, level.layout.chunks), staged=1)

    @property
    def moves(self) -> float:
        """How many times the image is moved: read, written to the copy, and read from there."""
        return self.write.amplification + 1 + self.read.amplification

    @property
    def rank(self) -> tuple[float, float, int]:
        """What the best has least of: moves, small objects, objects."""
        chunk = prod(self.copy.levels[0].layout.chunks) * self.copy.itemsize
        return round(self.moves, 1), max(STAGED_NBYTES / chunk, 1), self.copy.levels[0].n_objects

    def passes(self, pyramid: Pyramid, capacity: Capacity) -> list[Pass]:
        """Return all passes that write a pyramid by way of the copy."""
        return [self.write, *_cascade(pyramid, self.pieces, capacity)]


def _staged(pyramid: Pyramid, pieces: Pieces, capacity: Capacity) -> Staged | None:
    """Return the best temporary copy; None if there is none within the memory."""
    found = []
    for chunks in _staged_chunks(pyramid, pieces):
        with suppress(ValueError):
            copy = _copy_in(pyramid, chunks)
            write = replace(_best_pass(copy, 0, 1, pieces, capacity), group=1)
            own = Pieces(regions.regular(pyramid.levels[0].shape, chunks), staged=1)
            read = _best_pass(pyramid, 0, _last_nested(pyramid, 0), own, capacity)
            found.append(Staged(copy, write, read))
    return min(found, key=attrgetter("rank"), default=None)


def _staged_chunks(pyramid: Pyramid, pieces: Pieces) -> list[Shape]:
    """Return in which chunks a temporary copy may be stored.

    Per axis they are as long as those of the image or as blocks of the target, whichever are shorter, or a few times
    that: so a unit can write whole ones of what it reads once, and another read them once.
    """
    axes = zip(pieces.longest, pyramid.levels[0].write_chunks, pyramid.levels[0].shape, strict=True)
    lengths = [sorted({min(min(s, b) * 2**k, max(s, b), n) for k in range(STAGED_DOUBLINGS)}) for s, b, n in axes]
    sizes = {chunks: prod(chunks) * pyramid.itemsize for chunks in product(*lengths)}
    near = [chunks for chunks, nbytes in sizes.items() if STAGED_NBYTES <= nbytes <= 8 * STAGED_NBYTES]
    return near or [min(sizes, key=lambda chunks: abs(sizes[chunks] - STAGED_NBYTES))]


def _copy_in(pyramid: Pyramid, chunks: Shape) -> Pyramid:
    """Return the pyramid of one level, stored in such chunks, that keeps an image for a while."""
    own = pyramid.levels[0]
    image = Image(own.shape, pyramid.dtype, pyramid.axes, own.scale, own.translation, pyramid.name)
    codec = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1, "shuffle": "shuffle"}}
    options = {"chunks": chunks, "compressors": codec, "write_empty_chunks": True}  # -0.0 would be an empty one
    copy = image_pyramid(image, pyramid.method, None, options, ZARR_V3)
    level = replace(copy.levels[0], write_chunks=chunks, read_chunks=chunks)
    return replace(copy, levels=(level,))


def _copy(pyramid: Pyramid, k: int, pieces: Pieces, capacity: Capacity) -> Pass:
    """Return the pass that writes level k as the caller has it."""
    alone = replace(pyramid, levels=(pyramid.levels[k],))
    return replace(_best_pass(alone, 0, 1, pieces, capacity), first=k, stop=k + 1)


def _last_nested(pyramid: Pyramid, first: int) -> int:
    """Return up to which level blocks nest from `first` on, so that one pass can write them all."""
    stop = first + 1
    while stop < len(pyramid.levels) and _nests(pyramid, stop):
        stop += 1
    return stop


def _nests(pyramid: Pyramid, k: int) -> bool:
    """Whether a block of level k is made of whole blocks of level k - 1, and of nothing around them."""
    fine, coarse, factors = pyramid.levels[k - 1], pyramid.levels[k], pyramid.factors(k)
    if any(map(pyramid.method.halo, factors)):
        return False
    spans = zip(coarse.write_chunks, factors, fine.write_chunks, coarse.shape, strict=True)
    return all(c >= n or c * f % b == 0 for c, f, b, n in spans)


def _best_pass(pyramid: Pyramid, first: int, last: int, pieces: Pieces, capacity: Capacity) -> Pass:
    """Return the pass from level `first` that is fastest, within the memory, and then writes most levels."""
    parallel = max(capacity.parallel // capacity.images, 1)
    share = _nbytes_read(pyramid, first) * capacity.images // (UNITS_PER_THREAD * capacity.parallel)
    limit = min(UNIT_NBYTES, max(share, TAIL_NBYTES if first else 1))
    budget, stops = capacity.thread_memory, range(first + 1, last + 1)
    read = _read_chunks(pyramid, first, pieces.chunks)
    shapes = [(stop, unit) for stop in stops for unit in _unit_shapes(pyramid, first, stop, pieces.chunks, limit)]
    candidates = [_candidate(pyramid, first, stop, unit, pieces, read) for stop, unit in shapes]
    if min((work.amplification for work in candidates if work.memory <= budget), default=inf) >= OFTEN:
        finer = _unit_shapes(pyramid, first, first + 1, pieces.chunks, limit, DOUBLINGS)
        candidates += [_candidate(pyramid, first, first + 1, unit, pieces, read) for unit in finer]
    fitting = [work for work in candidates if work.memory <= budget]
    if not fitting:
        raise ValueError(_refusal(pyramid, pieces, min(work.memory for work in candidates), capacity))
    best = min(fitting, key=lambda work: _cost(pyramid, work, limit, parallel))
    return _extended(pyramid, best, pieces, range(best.stop + 1, last + 1), budget)


def _extended(pyramid: Pyramid, work: Pass, pieces: Pieces, stops: Iterable[int], budget: float) -> Pass:
    """Return a pass that writes more levels, as far as their blocks nest in its units, and memory allows."""
    shape = pyramid.levels[work.first].shape
    for stop in stops:
        root = zip(_root(pyramid, work.first, stop), work.unit, shape, strict=True)
        further = _candidate(pyramid, work.first, stop, work.unit, pieces, work.read_chunks)
        if further.memory > budget or not all(u % r == 0 or u >= n for r, u, n in root):
            break
        work = further
    return work


def _refusal(pyramid: Pyramid, pieces: Pieces, least: int, capacity: Capacity) -> str:
    """Return why no unit fits in memory, and what would do."""
    chunk = prod(pieces.longest) * pyramid.itemsize
    stored = max(prod(level.layout.objects) for level in pyramid.levels) * pyramid.itemsize
    ways = "smaller chunks or shards" if stored >= chunk else f"smaller chunks of the image (now {_mem(chunk)} each)"
    fewer = "use fewer threads, or " if capacity.threads > 1 else "or "
    return (
        f"one unit of {pyramid.name!r} needs {_mem(least)} of memory, but a thread has"
        f" {_mem(capacity.thread_memory)}; give memory={_enough(PROCESS_MEM + capacity.threads * least)!r} for"
        f" {table.count(capacity.threads, 'thread')}, {fewer}{ways}"
    )


def _mem(nbytes: float) -> str:
    return table.nbytes(nbytes)


def _enough(nbytes: int) -> str:
    """Return a number of bytes, rounded up, as the argument `memory` takes it."""
    return f"{regions.ceil_div(nbytes, 2**20)} MiB"


def _cost(pyramid: Pyramid, work: Pass, limit: int, parallel: int) -> tuple[float, int, int, int]:
    """Return what the best pass has least of: time, then bytes over `limit` per unit, levels left, and memory."""
    read = prod(work.unit) * prod(_from(pyramid, work.first)) * pyramid.itemsize
    time = _time(work.amplification, read, _nbytes_read(pyramid, work.first), limit, parallel)
    return round(time, 1), max(read, limit), -work.stop, work.memory


def _time(amplification: float, read: int, total: int, limit: int, parallel: int) -> float:
    """Estimate the time of a pass of units that read `read` bytes of `total`; 1 is the best there is.

    Only the `READING` part of it is repeated by amplification, but all of it is stretched by fewer units than
    threads, and (by the root) by units so large that a retry loses too much. A unit within `limit` is small enough.
    The weights are rough: they are to keep a pass from becoming one unit, or from reading all again and again.
    """
    again = 1 + (amplification - 1) * READING
    if read <= limit:
        return again
    return again * max(parallel * read / total, 1) * sqrt(max(read / (LARGEST_UNIT * UNIT_NBYTES), 1))


def _from(pyramid: Pyramid, first: int) -> Shape:
    """Return how many voxels of what a pass reads make one of its first level, per axis."""
    return pyramid.factors(first) if first else (1,) * len(pyramid.axes)


def _span(pyramid: Pyramid, first: int, unit: Shape) -> Shape:
    """Return what a unit covers, in voxels of what its pass reads."""
    return tuple(u * f for u, f in zip(unit, _from(pyramid, first), strict=True))


def _nbytes_read(pyramid: Pyramid, first: int) -> int:
    """Return the bytes that a pass from level `first` reads."""
    return pyramid.levels[max(first - 1, 0)].voxels * pyramid.itemsize


def _unit_shapes(
    pyramid: Pyramid, first: int, stop: int, source_chunks: Chunks, limit: int, doublings: int = 0
) -> Iterable[Shape]:
    """Return what a unit can cover: the block of the top level, grown along any axes towards whole source chunks.

    What is too large is offered only in the first and the last length of each axis, so that there are few; unless
    lengths between them, so many `doublings`, are asked for.
    """
    shape, steps = pyramid.levels[first].shape, _from(pyramid, first)
    root = _root(pyramid, first, stop)
    lengths = [_lengths(*axis, doublings) for axis in zip(root, steps, source_chunks, shape, strict=True)]
    ends = set(product(*((options[0], options[-1]) for options in lengths)))
    nbytes = prod(steps) * pyramid.itemsize
    largest = LARGEST_UNIT * UNIT_NBYTES // nbytes
    units = [unit for unit in product(*lengths) if doublings or prod(unit) <= largest or unit in ends]
    if not _halo(pyramid, first):
        units = [_grown(unit, shape, limit // nbytes) for unit in units]
    return dict.fromkeys(units)


def _lengths(root: int, step: int, chunks: regions.Sizes, n: int, doublings: int) -> list[int]:
    """Return how long a unit can be along one axis: `root` times something, or the whole axis.

    The last one holds whole source chunks. Where they don't nest with the root, it may be (almost) the whole axis,
    so shorter ones come between: these read the chunks on their borders twice, fewer of them the longer they are.
    """
    longest = regions.longest(chunks)
    if len(chunks) == 1 and not doublings:
        return [root, n]
    if root * step % longest == 0 and len(chunks) > 1:
        return [root]
    fitted = min(lcm(root * step, longest) // step, n)
    lengths = (root * 2**k for k in range(max(doublings, SOME_DOUBLINGS) + 1))
    doubled = takewhile(lambda length: length < fitted, lengths)
    return list(dict.fromkeys([root, *doubled, n, fitted]))


def _root(pyramid: Pyramid, first: int, stop: int) -> Shape:
    """Return the block of the top level, in voxels of level `first`."""
    fine, top = pyramid.levels[first], pyramid.levels[stop - 1]
    scale = [round(b / a) for a, b in zip(fine.factors, top.factors, strict=True)]
    return tuple(
        n if c >= m else c * f for c, f, n, m in zip(top.write_chunks, scale, fine.shape, top.shape, strict=True)
    )


def _grown(unit: Shape, shape: Shape, voxels: int) -> Shape:
    """Double a unit along its axis of most units while it holds no more than `voxels`: fewer, longer tasks."""
    while True:
        axis = max(range(len(shape)), key=lambda i: regions.ceil_div(shape[i], unit[i]))
        double = tuple(min(2 * u, n) if i == axis else u for i, (u, n) in enumerate(zip(unit, shape, strict=True)))
        if double == unit or prod(double) > voxels:
            return unit
        unit = double


def _halo(pyramid: Pyramid, first: int) -> Shape:
    halo = tuple(map(pyramid.method.halo, _from(pyramid, first)))
    return halo if any(halo) else ()


def _candidate(pyramid: Pyramid, first: int, stop: int, unit: Shape, pieces: Pieces, read: Shape) -> Pass:
    halo, span = _halo(pyramid, first), _span(pyramid, first, unit)
    if halo:
        read = tuple(s + 2 * h for s, h in zip(span, halo, strict=True))
    amplification = prod(map(regions.amplification, pieces.chunks, span, halo or (0,) * len(span)))
    memory = _memory(pyramid, first, stop, span, read, pieces)
    return Pass(0, pieces.image, first, stop, unit, read, amplification, memory, pieces.staged)


def _read_chunks(pyramid: Pyramid, first: int, source_chunks: Chunks) -> Shape:
    """Return the longest pieces to read: source chunks, gathered up to `Level.read_chunks`."""
    limits = pyramid.levels[max(first - 1, 0)].read_chunks
    return tuple(regions.longest_gathered(chunks, n) for chunks, n in zip(source_chunks, limits, strict=True))


def _memory(pyramid: Pyramid, first: int, stop: int, span: Shape, read: Shape, pieces: Pieces) -> int:
    """Return the peak of one unit, in bytes; `benchmarks/memory.py` holds it against what is measured.

    Either a piece is being read, or a block of some level is joined from its parts, or encoded; meanwhile parts of
    all coarser levels wait, and what was read of the source waits for blocks to come.
    """
    levels, steps = pyramid.levels[first:stop], _from(pyramid, first)
    blocks = [prod(level.write_chunks) for level in levels]
    block = tuple(map(lcm, levels[0].write_chunks if first == 0 else read, steps))
    live = _live(read, block, span)
    if _halo(pyramid, first):
        live *= 2  # pieces as they are stored, and joined
    consumed = first == 0 and all(b % r == 0 for b, r in zip(block, read, strict=True))
    decoded = pieces.copies * _decoded(read, span, pieces.longest, pyramid.itemsize)
    if any(r > c for r, c in zip(read, pieces.longest, strict=True)):
        decoded = max(decoded, min(live, READ_NBYTES * 2 // pyramid.itemsize))  # some pieces are joined
    reading = live + decoded + sum(blocks[1:])
    writing = max(
        own + max(live if k == 0 and consumed else own, _encoded(level, own)) + sum(blocks[k + 1 :])
        for k, (level, own) in enumerate(zip(levels, blocks, strict=True))
    )
    return int(HEAP * (UNIT_MEM + max(reading, writing + (0 if consumed else live)) * pyramid.itemsize))


def _live(read: Shape, block: Shape, span: Shape) -> int:
    """Return how many voxels of the source wait at most: what covers a block, and what the next row of blocks shares.

    Units go from row to row of blocks, the first axis slowest.
    """
    covers = [min(_cover(r, b), s) for r, b, s in zip(read, block, span, strict=True)]
    shared = [i for i, (r, b) in enumerate(zip(read, block, strict=True)) if r % b and b % r and covers[i] < span[i]]
    return prod(covers) + sum(prod(covers[:i]) * read[i] * prod(span[i + 1 :]) for i in shared)


def _decoded(read: Shape, span: Shape, longest: Shape, itemsize: int) -> int:
    """Return how many voxels of whole chunks are decoded beside each other: those of a piece, or of a batch of them."""
    touched = prod(_cover(c, min(r, s)) if c < r else c for c, r, s in zip(longest, read, span, strict=True))
    return min(touched, max(READ_NBYTES // itemsize, prod(longest)))


def _encoded(level: Level, block: int) -> int:
    """Return how many voxels the objects of a block take while they are encoded.

    A chunk is copied into one buffer and compressed into another. A shard, of which there is one at a time, waits for
    all its chunks, and is then joined.
    """
    chunks = min(block, OBJECTS_AT_ONCE * prod(level.layout.chunks))
    return 2 * chunks if level.layout.shards is None else chunks + 2 * min(block, prod(level.layout.shards))


def _cover(read: int, block: int) -> int:
    """Return how much is kept of the pieces of length `read` that a block of length `block` touches.

    Of those that don't nest with it, parts are cut out, at one end at least a whole one.
    """
    if read % block == 0 or block % read == 0:
        return max(read, block)
    return block + read


__all__ = [
    "Capacity", "Group", "Pass", "Pieces", "Plan", "Stage", "Unit", "level_row", "plan_image", "plan_levels",
    "plan_more_levels", "together",
]  # fmt: skip
