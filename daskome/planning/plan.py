"""What will be on disk, and the work to get there: plain frozen data, decided before a byte is written.

A `Plan` has stages; all of a stage is written before the next begins. A stage has passes; a `Pass` goes over
one pyramid once, reading an image or a stored level and writing the levels above it whose blocks nest. A pass
is cut into units; a `Unit` writes whole stored objects that no other unit writes, so units need no locks, no
order and no communication, and can be repeated.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskome.kernels.methods import Method, find_method
from daskome.model import regions
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, Shape
from daskome.ome.metadata import Metadata
from daskome.planning import cost
from daskome.planning.choose import span_of
from daskome.planning.report import plan_html, plan_text
from daskome.planning.serialize import from_json, to_json
from daskome.planning.work import PROCESS_MEM, Pass, Workers

FORMAT = 7
"""The form of a plan as JSON, and what it means: a job begun under another is refused, not finished differently."""
Describe = Callable[[Pyramid], Metadata]


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
class Stage:
    """Passes that need nothing of each other."""

    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One independent job: a pass, and the region of each level that it writes, from `Pass.first` on.

    `left` is the region of level `Pass.stop` that it leaves in a temporary copy.
    """

    stage: int
    index: int
    work: Pass
    regions: tuple[Region, ...]
    left: tuple[Region, ...] = ()

    @property
    def key(self) -> str:
        """The unit's name in the journal and on dashboards."""
        return f"{self.stage}/{self.index}"


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
    workers : Workers
        The workers for which it was planned. More or fewer may run it.
    """

    version: str
    groups: tuple[Group, ...]
    pyramids: tuple[Pyramid, ...]
    stages: tuple[Stage, ...]
    workers: Workers

    def __repr__(self) -> str:
        return self.text()

    def text(self, rate: float = cost.RATE) -> str:
        """Return the plan as text.

        Parameters
        ----------
        rate : float
            Bytes of pixels that one thread reads, downsamples and writes per second: times follow from it.
        """
        return plan_text(self, rate)

    def _repr_html_(self) -> str:
        return plan_html(self)

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
        reads = [(w.amplification, self.pyramid(w).levels[w.first].voxels) for w in self.image_passes]
        return sum(a * n for a, n in reads) / max(sum(n for _, n in reads), 1)

    @property
    def thread_memory(self) -> int:
        """Predicted peak of one unit, in bytes."""
        return max((work.memory for stage in self.stages for work in stage.passes), default=0)

    @property
    def memory(self) -> int:
        """Predicted peak of one worker process, in bytes."""
        return self.memory_of(self.workers.threads)

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
        found = replace(self.lasting, stages=(), workers=Workers()).to_dict()
        return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def n_images(self) -> int:
        """How many images are read."""
        return 1 + max((work.image for work in self.image_passes if work.image is not None), default=-1)

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
        """Return which image a pass reads, itself or a temporary copy of it; None: a level that was made."""
        if work.staged is None:
            return work.image
        return next((w.image for stage in self.stages for w in stage.passes if w.group == work.staged), None)

    def count(self, stage: int) -> int:
        """Return how many units a stage has."""
        return sum(prod(self.grid(work)) for work in self.stages[stage].passes)

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
                grid = self.grid(work)
                first, stop = stop, stop + prod(grid)
            yield self._unit(stage, index, work, regions.position(index - first, grid))

    def reads(self, unit: Unit) -> Region:
        """Return what a unit reads, in voxels of the image or of the stored level below."""
        work, pyramid = unit.work, self.pyramid(unit.work)
        return pyramid.reads(work.first, unit.regions[0]) if work.reads_below else unit.regions[0]

    def writes(self, unit: Unit) -> int:
        """Return how many bytes a unit writes, uncompressed."""
        return sum(map(regions.size, (*unit.regions, *unit.left))) * self.pyramid(unit.work).itemsize

    def nbytes_of(self, stage: int, indices: Sequence[int] | None = None) -> int:
        """Return how many bytes units of a stage write, uncompressed: arithmetic, for a petabyte has millions of units.

        Parameters
        ----------
        stage : int
        indices : sequence of int, optional
            Which ones, rising; all if not given.
        """
        chosen = None if indices is None else np.asarray(indices, np.int64)
        total = first = 0
        for work in self.stages[stage].passes:
            stop = first + prod(self.grid(work))
            own = None if chosen is None else chosen[slice(*np.searchsorted(chosen, (first, stop)))] - first
            total += self._voxels(work, own) * self.pyramid(work).itemsize
            first = stop
        return total

    def describe(self, unit: Unit) -> str:
        """Return which part of which levels a unit writes, as users write it."""
        pyramid = self.pyramid(unit.work)
        paths = self.paths(unit.work)
        where = regions.format_region(unit.regions[0], [axis.name for axis in pyramid.axes])
        name = self.groups[unit.work.group].path or pyramid.name
        return f"unit {unit.key} ({name}: {', '.join(paths)}; {where} of {paths[0]})"

    def paths(self, work: Pass) -> list[str]:
        """Return the paths of the levels that a pass writes."""
        if self.groups[work.group].temporary:
            return ["copy"]
        return [level.path for level in self.pyramid(work).levels[work.first : work.stop]]

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

    @property
    def image_passes(self) -> list[Pass]:
        """The passes that read an image, not a level or a copy of one."""
        return [work for stage in self.stages for work in stage.passes if work.image is not None]

    def _levels(self) -> Iterator[tuple[Level, int]]:
        """Yield the levels that are written, with the size of their voxels in bytes."""
        for group, pyramid in self.images:
            yield from ((level, pyramid.itemsize) for level in pyramid.levels[group.kept :])

    def grid(self, work: Pass) -> Shape:
        """Return how many units a pass has along each axis."""
        return regions.n_blocks(self.pyramid(work).levels[work.first].shape, work.unit)

    def _unit(self, stage: int, index: int, work: Pass, position: Shape) -> Unit:
        pyramid = self.pyramid(work)
        written = [regions.block(position, work.unit, pyramid.levels[work.first].shape)]
        for k in range(work.first + 1, work.stop):
            written.append(regions.coarser(written[-1], pyramid.factors(k)))
        left = () if work.leaves is None else (regions.coarser(written[-1], pyramid.factors(work.stop)),)
        return Unit(stage, index, work, tuple(written), left)

    def _voxels(self, work: Pass, indices: NDArray[np.int64] | None) -> int:
        """Return how many voxels units of a pass write, all or some: the products of their lengths along the axes."""
        grid = self.grid(work)
        if indices is None or len(indices) == prod(grid):
            levels = self.pyramid(work).levels[work.first : work.stop + (work.leaves is not None)]
            return sum(level.voxels for level in levels)
        where = np.unravel_index(indices, grid)
        sizes = (
            [np.array(regions.shape_of(spans))[i] for spans, i in zip(axes, where, strict=True)]
            for axes in self._spans(work)
        )
        return sum(int(np.prod(lengths, axis=0).sum()) for lengths in sizes)

    def _spans(self, work: Pass) -> Iterator[list[Region]]:
        """Yield, per level that a pass writes, the spans of its units along each axis."""
        pyramid = self.pyramid(work)
        shape = pyramid.levels[work.first].shape
        axes: list[Region] = [tuple(regions.spans_of(0, n, step)) for n, step in zip(shape, work.unit, strict=True)]
        yield axes
        for k in range(work.first + 1, work.stop + (work.leaves is not None)):
            axes = [
                regions.coarser(spans, (f,) * len(spans)) for spans, f in zip(axes, pyramid.factors(k), strict=True)
            ]
            yield axes

    def _nbytes_read(self, work: Pass) -> tuple[float, float]:
        """Return the bytes that a pass reads, and its largest unit, uncompressed; what is read twice counts twice."""
        pyramid = self.pyramid(work)
        shape = pyramid.levels[work.first - work.reads_below].shape
        span = span_of(pyramid, work.first, work.unit) if work.reads_below else work.unit
        largest = (min(s, n) for s, n in zip(span, shape, strict=True))
        nbytes = pyramid.itemsize * work.amplification
        return prod(shape) * nbytes, prod(largest) * nbytes
