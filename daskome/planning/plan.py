"""What will be on disk, and the work to get there: plain frozen data, decided before a byte is written.

A `Plan` has stages; all of a stage is written before the next begins. A stage has passes; a `Pass` goes over one
pyramid once: it reads an image, a stored level or a temporary copy, and writes the levels above whose blocks nest. A
pass is cut into units; a `Unit` writes whole stored objects that no other unit writes, so units need no locks, no order
and no communication, and can be repeated.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskome.kernels.methods import Method, check_loaded, stored_method
from daskome.model import regions
from daskome.model.paths import check_inside, common_path
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, Shape, whole
from daskome.model.source import StoredChunks
from daskome.ome.metadata import Metadata
from daskome.planning import cost
from daskome.planning.choose import span_of
from daskome.planning.groups.group import Group
from daskome.planning.memory import encoding_memory, flight_nbytes
from daskome.planning.report import plan_html, plan_text
from daskome.planning.serialize import from_json, to_json
from daskome.planning.sizes import check_lengths, check_sizes
from daskome.planning.work import PROCESS_MEM, Pass, Workers

FORMAT = 13
"""The format of a plan as JSON. A job that was begun with another format is refused, not finished differently."""
Describe = Callable[[Pyramid], Metadata]


@dataclass(frozen=True, slots=True)
class Stage:
    """Passes that do not depend on each other."""

    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """One independent piece of work: a pass, and the region of each level that it writes, from `Pass.first` on.

    `copied` is the region of level `Pass.stop` that it writes to a temporary copy. `given` is what it has of its region
    of the first level, where around that what is stored stays.
    """

    stage: int
    index: int
    pass_: Pass
    regions: tuple[Region, ...]
    copied: tuple[Region, ...] = ()
    given: Region | None = None

    @property
    def key(self) -> str:
        """The unit's name in the journal and on dashboards."""
        return f"{self.stage}/{self.index}"

    @property
    def made(self) -> tuple[Region, ...]:
        """What it makes of each level, and of a temporary copy."""
        return (*self.regions, *self.copied) if self.given is None else (self.given,)


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """Everything that will be on disk, and the work that puts it there. Printing it is the dry run.

    Attributes
    ----------
    version : str
        The version of OME-Zarr.
    groups : tuple of Group
        Each of those with pyramids has a path of its own.
    stages : tuple of Stage
    workers : Workers
        The workers for which it was planned. More or fewer may carry it out.
    counted : tuple of StoredChunks
        Of the arrays that the images read, if they were counted (``check_source=True``).
    keeper : str, optional
        The path of the group that keeps the journal; by default the deepest that all images lie in.
    """

    version: str
    groups: tuple[Group, ...]
    stages: tuple[Stage, ...]
    workers: Workers
    counted: tuple[StoredChunks, ...] = ()
    keeper: str | None = None
    _held: dict[str, tuple[Group, Pyramid]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        held = ((group, group.pyramid) for group in self.groups)
        object.__setattr__(self, "_held", {group.path: (group, p) for group, p in held if p is not None})

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
        """The number of units in all stages."""
        return sum(self.count(stage) for stage in range(len(self.stages)))

    @property
    def n_objects(self) -> int:
        """The number of chunks or shards that will be stored, at most."""
        return sum(level.count_objects(region) for level, region, _ in self._parts())

    @property
    def n_puts(self) -> int:
        """The number of requests that write it to an object store, at most: objects, a record per unit, metadata."""
        copied = ((level, whole(level.shape), copy.itemsize) for _, copy in self.temporary for level in copy.levels)
        held = [*self._parts(), *copied]
        objects = sum(cost.puts(level.count_objects(r), prod(level.layout.objects) * size) for level, r, size in held)
        return objects + self.n_units + len(held) + 2 * len(self.groups)

    @property
    def nbytes(self) -> int:
        """Bytes of all levels that are written, uncompressed; of what changes, those of the whole stored objects."""
        return sum(regions.size(region) * itemsize for _, region, itemsize in self._parts())

    def __iter__(self) -> Iterator[Any]:
        """Yield nothing: where ome_zarr returns a list of what is left to compute, nothing is left."""
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    @property
    def lasting(self) -> "Plan":
        """The plan without its temporary copies. Its stages cannot be run."""
        return replace(self, groups=tuple(group for group in self.groups if not group.temporary))

    @property
    def temporary(self) -> list[tuple[Group, Pyramid]]:
        """The groups that hold a temporary copy, each with its pyramid of one level."""
        return [(group, pyramid) for group, pyramid in self._held.values() if group.temporary]

    @property
    def temporary_nbytes(self) -> int:
        """Bytes of the temporary copies, uncompressed."""
        return sum(pyramid.nbytes for _, pyramid in self.temporary)

    @property
    def temporary_objects(self) -> int:
        """The number of objects that are stored only until the end."""
        return sum(level.n_objects for _, pyramid in self.temporary for level in pyramid.levels)

    @property
    def amplification(self) -> float:
        """How many times the average voxel of the images is read; 1.0 is once."""
        reads = [(w.amplification, regions.size(self.covered(w))) for w in self.image_passes]
        return sum(a * n for a, n in reads) / max(sum(n for _, n in reads), 1)

    @property
    def thread_memory(self) -> int:
        """Predicted peak of one unit, in bytes."""
        return max((pass_.unit_memory for stage in self.stages for pass_ in stage.passes), default=0)

    @property
    def memory(self) -> int:
        """Predicted peak of one worker process, in bytes."""
        return self.memory_of(self.workers.threads)

    def memory_of(self, threads: int) -> int:
        """Return the predicted peak of a process with this number of threads, in bytes."""
        passes = (pass_ for stage in self.stages for pass_ in stage.passes)
        return PROCESS_MEM + max((pass_.at_a_time(threads) * pass_.unit_memory for pass_ in passes), default=0)

    def memory_at(self, workers: Workers) -> int:
        """Return the predicted peak of one of other workers than those for which it was planned, in bytes, at most."""
        works = [(self.pyramid(work), work) for stage in self.stages for work in stage.passes]
        more = (encoding_memory(pyramid, self._written(work), workers, self.workers) for pyramid, work in works)
        return self.memory_of(workers.threads) + workers.threads * max(more, default=0)

    def in_flight_nbytes(self, pass_: Pass) -> int:
        """Return the bytes of a pass's objects that may be on their way from a process at a time."""
        pyramid, workers = self.pyramid(pass_), self.workers
        return workers.threads * flight_nbytes(pyramid, self._written(pass_), workers)

    def _written(self, pass_: Pass) -> Sequence[Level]:
        """Return the levels that a pass writes, and the temporary copy of the next one."""
        copied = () if pass_.writes_copy is None else self.pyramid_at(pass_.writes_copy).levels
        return (*self.pyramid(pass_).levels[pass_.first : pass_.stop], *copied)

    @property
    def loads(self) -> list[cost.Load]:
        """The load of each stage."""
        reads = [[self._nbytes_read(pass_) for pass_ in stage.passes] for stage in self.stages]
        return [
            cost.Load(self.count(k), sum(total for total, _ in stage), max(largest for _, largest in stage))
            for k, stage in enumerate(reads)
        ]

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides which bytes will be on disk. It knows neither workers nor units."""
        document = replace(self.lasting, stages=(), workers=Workers(), counted=()).to_dict()
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def n_images(self) -> int:
        """The number of images that are read."""
        return 1 + max((pass_.image for pass_ in self.image_passes if pass_.image is not None), default=-1)

    @property
    def function(self) -> Method | None:
        """The method that is a function of the caller's own, not a row of `METHODS`, if there is one."""
        methods = (pyramid.method for pyramid in self.pyramids)
        return next((method for method in methods if stored_method(method.name) != method), None)

    def check_functions(self) -> None:
        """Raise a ValueError if the plan is made with a function that only the store names."""
        for pyramid in self.pyramids:
            check_loaded(pyramid.method)

    @property
    def images(self) -> list[tuple[Group, Pyramid]]:
        """The groups that hold an image, each with its pyramid; no temporary copies."""
        return [(group, pyramid) for group, pyramid in self._held.values() if not group.temporary]

    @property
    def pyramids(self) -> tuple[Pyramid, ...]:
        """The pyramids of all groups, in their order. A pyramid that several groups share is listed once."""
        return tuple({id(pyramid): pyramid for _, pyramid in self._held.values()}.values())

    @property
    def home(self) -> str:
        """The path of the group that keeps the journal: `keeper`, or the deepest that all images lie in."""
        return self.keeper if self.keeper is not None else common_path([group.path for group, _ in self.images])

    def pyramid(self, pass_: Pass) -> Pyramid:
        """Return the pyramid that a pass writes."""
        return self.pyramid_at(pass_.group)

    def pyramid_at(self, path: str) -> Pyramid:
        """Return the pyramid of the group with this path."""
        return self._held[path][1]

    def group_at(self, path: str) -> Group:
        """Return the group that holds an image or a temporary copy, by its path."""
        return self._held[path][0]

    def image_of(self, pass_: Pass) -> int | None:
        """Return which image a pass reads, directly or from a temporary copy; None if it reads a level."""
        if pass_.reads_copy is None:
            return pass_.image
        return next((w.image for stage in self.stages for w in stage.passes if w.group == pass_.reads_copy), None)

    def is_temporary(self, pass_: Pass) -> bool:
        """Return whether what a pass writes is a temporary copy of an image."""
        return self.group_at(pass_.group).temporary

    def takes_over(self, pass_: Pass) -> bool:
        """Return whether the first level that a pass writes takes the chunks of an image over as they are."""
        return pass_.image is not None and self.pyramid(pass_).levels[pass_.first].layout.verbatim

    def count(self, stage: int) -> int:
        """Return how many units a stage has."""
        return sum(prod(self.grid(pass_)) for pass_ in self.stages[stage].passes)

    def units(self, stage: int, indices: Iterable[int] | None = None) -> Iterator[Unit]:
        """Yield units of a stage, one at a time: a plan for a petabyte has millions.

        Parameters
        ----------
        stage : int
        indices : iterable of int, optional
            Which units, in rising order; all if not given.
        """
        passes = iter(self.stages[stage].passes)
        first = stop = 0
        for index in range(self.count(stage)) if indices is None else indices:
            while index >= stop:
                pass_ = next(passes)
                grid = self.grid(pass_)
                first, stop = stop, stop + prod(grid)
            yield self._unit(stage, index, pass_, regions.position(index - first, grid))

    def reads(self, unit: Unit) -> Region:
        """Return what a unit reads, in voxels of the image or of the stored level below."""
        pass_, pyramid = unit.pass_, self.pyramid(unit.pass_)
        if pass_.reads_below:
            return pyramid.reads(pass_.first, unit.regions[0])
        return self.in_image(pass_, unit.made[0])

    def in_image(self, pass_: Pass, region: Region) -> Region:
        """Return a region of the first level that a pass writes as it is counted in the image that it reads."""
        return region if pass_.given is None else regions.within(region, pass_.given)

    def writes(self, unit: Unit) -> int:
        """Return how many bytes a unit writes, uncompressed."""
        return sum(map(regions.size, (*unit.regions, *unit.copied))) * self.pyramid(unit.pass_).itemsize

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
        """Return which part of which levels a unit writes, for people to read."""
        pyramid = self.pyramid(unit.pass_)
        paths = self.paths(unit.pass_)
        where = regions.format_region(unit.regions[0], [axis.name for axis in pyramid.axes])
        name = unit.pass_.group or pyramid.name
        return f"unit {unit.key} ({name}: {', '.join(paths)}; {where} of {paths[0]})"

    def paths(self, pass_: Pass) -> list[str]:
        """Return the paths of the levels that a pass writes."""
        if self.is_temporary(pass_):
            return ["copy"]
        return [level.path for level in self.pyramid(pass_).levels[pass_.first : pass_.stop]]

    def to_json(self) -> str:
        """Return the plan as JSON, from which `Plan.from_json` makes the same plan."""
        return json.dumps({"format": FORMAT, **self.to_dict()}, allow_nan=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dict of JSON values, with a table of its pyramids to which groups refer by number.

        Equal pyramids have one number, whether or not groups share them: that depends on how their sources are chunked.
        """
        documents = {id(pyramid): to_json(pyramid, {Method: attrgetter("name")}) for pyramid in self.pyramids}
        texts = {key: json.dumps(document, sort_keys=True) for key, document in documents.items()}
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts.values()))}
        plan: dict[str, Any] = to_json(self, {Pyramid: lambda pyramid: numbers[texts[id(pyramid)]]})
        table = {numbers[texts[key]]: document for key, document in documents.items()}
        return {**plan, "pyramids": list(table.values())}

    @classmethod
    def from_json(cls, text: str, method: Method | None = None) -> "Plan":
        """Return the plan that `to_json` wrote. It may come from a stranger's store: nothing in it is imported.

        Parameters
        ----------
        text : str
        method : Method, optional
            The function that the plan names, if it is not a row of `METHODS` (`stored_method`).

        Raises
        ------
        ValueError
            If it has another format, is damaged, leads out of its store, or has sizes that no plan has.
        """
        document = json.loads(text)
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(
                f"this is not a plan of format {FORMAT}; another version of daskome may have made it: plan again, or"
                " finish with that version"
            )
        try:
            check_lengths(document)
            named = partial(stored_method, given=method)
            pyramids = from_json(tuple[Pyramid, ...], document["pyramids"], {Method: named})
            plan = from_json(cls, document, {Pyramid: pyramids.__getitem__})
            plan._check_paths()
            check_sizes(plan)
        except (KeyError, IndexError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"this plan is damaged, so plan again: {error!r}") from error
        return plan

    def _check_paths(self) -> None:
        """Raise a ValueError if a path leads out of the store."""
        passes = [pass_ for stage in self.stages for pass_ in stage.passes]
        groups = [group.path for group in self.groups] + [self.keeper] + [pass_.group for pass_ in passes]
        copies = [path for pass_ in passes for path in (pass_.reads_copy, pass_.writes_copy)]
        for path in filter(None, (*groups, *copies)):
            check_inside(path, "the path of a group")
        for path in (path for group in self.groups for path in group.documents):
            check_inside(path, "the path of a document")
        for path in (level.path for pyramid in self.pyramids for level in pyramid.levels):
            check_inside(path, "the path of a level")

    @property
    def image_passes(self) -> list[Pass]:
        """The passes that read an image, not a level or a copy of one."""
        return [pass_ for stage in self.stages for pass_ in stage.passes if pass_.image is not None]

    def _parts(self) -> Iterator[tuple[Level, Region, int]]:
        """Yield the levels that are written, or the parts of them that change, each with the bytes of one voxel."""
        for group, pyramid in self.images:
            yield from ((level, whole(level.shape), pyramid.itemsize) for level in pyramid.levels[group.kept :])
        for pass_ in (pass_ for stage in self.stages for pass_ in stage.passes if pass_.region is not None):
            pyramid = self.pyramid(pass_)
            yield pyramid.levels[pass_.first], self.covered(pass_), pyramid.itemsize

    def covered(self, pass_: Pass) -> Region:
        """Return the region of its first level that a pass writes."""
        return whole(self.pyramid(pass_).levels[pass_.first].shape) if pass_.region is None else pass_.region

    def grid(self, pass_: Pass) -> Shape:
        """Return how many units a pass has along each axis."""
        return regions.n_blocks(regions.shape_of(self.covered(pass_)), pass_.unit)

    def _unit(self, stage: int, index: int, pass_: Pass, position: Shape) -> Unit:
        pyramid = self.pyramid(pass_)
        written = [regions.block_in(self.covered(pass_), position, pass_.unit)]
        for k in range(pass_.first + 1, pass_.stop):
            written.append(regions.coarser(written[-1], pyramid.factors(k)))
        copied = () if pass_.writes_copy is None else (regions.coarser(written[-1], pyramid.factors(pass_.stop)),)
        given = None if pass_.given is None else regions.common(written[0], pass_.given)
        return Unit(stage, index, pass_, tuple(written), copied, given)

    def _voxels(self, pass_: Pass, indices: NDArray[np.int64] | None) -> int:
        """Return how many voxels units of a pass write, all or some: the products of their lengths along the axes."""
        grid = self.grid(pass_)
        if (indices is None or len(indices) == prod(grid)) and pass_.region is not None:
            return regions.size(pass_.region)
        if indices is None or len(indices) == prod(grid):
            levels = self.pyramid(pass_).levels[pass_.first : pass_.stop + (pass_.writes_copy is not None)]
            return sum(level.voxels for level in levels)
        where = np.unravel_index(indices, grid)
        sizes = (
            [np.array(regions.shape_of(spans))[i] for spans, i in zip(axes, where, strict=True)]
            for axes in self._spans(pass_)
        )
        return sum(int(np.prod(lengths, axis=0).sum()) for lengths in sizes)

    def _spans(self, pass_: Pass) -> Iterator[list[Region]]:
        """Yield, per level that a pass writes, the spans of its units along each axis."""
        pyramid = self.pyramid(pass_)
        each = zip(self.covered(pass_), pass_.unit, strict=True)
        axes: list[Region] = [tuple((a, min(a + n, stop)) for a in range(start, stop, n)) for (start, stop), n in each]
        yield axes
        for k in range(pass_.first + 1, pass_.stop + (pass_.writes_copy is not None)):
            axes = [
                regions.coarser(spans, (f,) * len(spans)) for spans, f in zip(axes, pyramid.factors(k), strict=True)
            ]
            yield axes

    def _nbytes_read(self, pass_: Pass) -> tuple[float, float]:
        """Return the uncompressed bytes that a pass and its largest unit read; what is read twice counts twice."""
        pyramid = self.pyramid(pass_)
        covered = self.covered(pass_)
        shape = regions.shape_of(pyramid.reads(pass_.first, covered) if pass_.reads_below else covered)
        span = span_of(pyramid, pass_.first, pass_.unit) if pass_.reads_below else pass_.unit
        largest = (min(s, n) for s, n in zip(span, shape, strict=True))
        nbytes = pyramid.itemsize * pass_.amplification
        return prod(shape) * nbytes, prod(largest) * nbytes
