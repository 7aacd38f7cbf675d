"""What units of an image that Dask computes hold in memory: told from the graph of one of them before any runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from math import prod
from typing import Any

import dask.array as da
import numpy as np
from dask._task_spec import DataNode, Task, TaskRef
from dask.array.optimization import optimize
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph

from daskome.execution.memory.graph import KnownBlocks, held_by, known_blocks
from daskome.execution.unit_graph import level_blocks
from daskome.model.chunks import Chunks, Regular, longest_chunk
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Shape, ceil_div
from daskome.model.source import Source
from daskome.ome.metadata import Metadata
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan, Stage, Unit
from daskome.planning.work import Pass, Workers
from daskome.sources.graphs.annotations import without_annotations
from daskome.sources.graphs.shared_results import KEPT_RESULT_NBYTES
from daskome.sources.pieces import source_piece, with_shared_results

MOST_PIECES = 8192
"""Of a unit that cuts an image into more pieces than this, two parts are looked at, and the rest follows from these."""


@dataclass(frozen=True, slots=True)
class UnitMemory:
    """What units of an image hold: called with a pass by a planner (`SourceChunks.held`)."""

    source: Source

    def __call__(self, pyramid: Pyramid, pass_: Pass, levels: Sequence[Level], encoded: Sequence[int]) -> int:
        """Return the bytes that a unit of a pass holds at a time, at most.

        Parameters
        ----------
        pyramid : Pyramid
        pass_ : Pass
        levels : sequence of Level
            Those that it writes; a temporary copy is one of them.
        encoded : sequence of int
            Bytes that a block of each takes while it is encoded.
        """
        axis, length = self._fewer(pass_.unit)
        if length >= pass_.unit[axis]:
            return self._held(pyramid, pass_, levels, encoded)
        lengths = (max(length // 2, 1), length)
        units = [tuple(n if i == axis else u for i, u in enumerate(pass_.unit)) for n in lengths]
        half, most = (self._held(pyramid, replace(pass_, unit=unit), levels, encoded) for unit in units)
        more = max(most - half, 0) / max(length - lengths[0], 1)
        return int(most + more * (pass_.unit[axis] - length))

    def _fewer(self, unit: Shape) -> tuple[int, int]:
        """Return the axis along which a unit has most pieces, and how long it may be there for `MOST_PIECES`."""
        shape = self.source.shape
        arrays = known_blocks(self.source.array.__dask_graph__()).arrays.values()
        alike = [chunks for chunks, _ in arrays if tuple(map(sum, chunks)) == shape] or [self.source.chunks]
        longest = [max(map(longest_chunk, each)) for each in zip(*alike, strict=True)]
        shortest = [min(map(longest_chunk, each)) for each in zip(*alike, strict=True)]
        each = zip(unit, longest, shortest, shape, strict=True)
        pieces = [ceil_div(min(max(u, most), n), least) for u, most, least, n in each]
        axis = max(range(len(unit)), key=pieces.__getitem__)
        return axis, max(unit[axis] * MOST_PIECES // prod(pieces), 2)

    def _held(self, pyramid: Pyramid, pass_: Pass, levels: Sequence[Level], encoded: Sequence[int]) -> int:
        unit = _sample(pyramid, pass_, self.source)
        known = known_blocks(self.source.array.__dask_graph__())
        piece = source_piece(_ready(self.source, known), unit.regions[0], pass_.read_chunks)
        blocks = level_blocks(unit, pyramid, without_annotations(piece), [level.write_chunks for level in levels])
        known = KnownBlocks({**known.arrays, **known_blocks(*(level.__dask_graph__() for level in blocks)).arrays})
        keys = [key for level in blocks for key in _keys(level)]
        graph = dict(optimize(HighLevelGraph.merge(*(level.__dask_graph__() for level in blocks)), keys))
        written = {
            ("written", *key): (key, n) for level, n in zip(blocks, encoded, strict=True) for key in _keys(level)
        }
        graph.update({name: Task(name, _written, TaskRef(key)) for name, (key, _) in written.items()})
        unknown = prod(self.source_chunk) * np.dtype(self.source.dtype).itemsize
        return held_by(graph, known, unknown, {name: n for name, (_, n) in written.items()})

    @property
    def source_chunk(self) -> Shape:
        """The largest block of the image."""
        return tuple(map(longest_chunk, self.source.chunks))


def _keys(level: da.Array) -> list[Any]:
    return list(flatten(level.__dask_keys__()))


def _written(block: Any) -> None:
    """Stand for the writing of a block."""


def _ready(source: Source, known: KnownBlocks) -> Source:
    """Return a source whose small results that all units need are there."""

    def small(_: Any, keys: Sequence[Any]) -> Mapping[Any, Any]:
        sizes = {key: prod(known.shape(key) or ()) * known.itemsize(key) for key in keys}
        return {key: DataNode(key, None) for key, nbytes in sizes.items() if nbytes <= KEPT_RESULT_NBYTES}

    return with_shared_results(source, small)


def _sample(pyramid: Pyramid, pass_: Pass, source: Source) -> Unit:
    """Return the unit of a pass that holds most: that with the largest blocks, in the middle of those alike."""
    plan = Plan("", (Group("", Metadata(), pyramid),), (Stage((pass_,)),), Workers())
    grid = plan.grid(pass_)
    position = tuple(map(_largest, grid, pass_.unit, source.chunks))
    return next(plan.units(0, [int(np.ravel_multi_index(position, grid))]))


def _largest(n: int, step: int, sizes: Sequence[int]) -> int:
    """Return the unit along an axis that begins with a longest block; of several, the one nearest to the middle."""
    middle, longest = n // 2, longest_chunk(sizes)
    if isinstance(sizes, Regular) or len(set(sizes)) <= 2:
        return middle
    starts = accumulate(sizes, initial=0)
    found = [min(start // step, n - 1) for start, size in zip(starts, sizes, strict=False) if size == longest]
    return min(found, key=lambda i: abs(i - middle))


def made_in(source: Source) -> Chunks | None:
    """Return the chunks of the array of the same shape, with the largest ones, that an image is made of, if any.

    Units that cut them compute the same again.
    """
    graph = source.array.__dask_graph__()
    arrays = known_blocks(graph).arrays
    first = [name for name, needs in graph.dependencies.items() if name in arrays and not needs & arrays.keys()]
    alike = [chunks for name in first if tuple(map(sum, chunks := arrays[name][0])) == source.shape]
    largest = max(alike, key=lambda chunks: prod(map(longest_chunk, chunks)), default=None)
    return None if largest == tuple(source.chunks) else largest
