"""What a Dask graph holds in memory at a time, told before it runs: from the sizes of its blocks, in Dask's order.

Dask notes the chunks and the dtype of every array in a graph. A graph is gone through as Dask's synchronous scheduler
runs it; what a result holds is freed after the last task that needs it. A view holds all of the block that it is of.
What a function needs besides its result no graph shows: of functions that are not Dask's or NumPy's, and of what reads
an image, as much again is assumed.
"""

import operator
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.array import chunk
from dask.array.optimization import GETTERS
from dask.highlevelgraph import HighLevelGraph
from dask.order import order

from daskome.model.chunks import Chunks
from daskome.model.regions import Shape
from daskome.sources.blocks import CHECKED, OWN
from daskome.sources.graphs.block_checks import CALLERS

FUSED = "_execute_subgraph"
"""The function of a task that Dask has made of several. Its arguments are their graph, the last, and what they read."""
FRUGAL = frozenset(("_operator", "dask", "daskome", "numpy", "operator", "toolz"))
"""The libraries whose functions take little memory besides their result."""
VIEWING = frozenset((*GETTERS, operator.getitem, np.transpose, np.expand_dims))
"""Functions whose result is a view of their first argument, if that is in memory."""
TASK_NBYTES = 3000
"""What a task takes itself, with its place in Dask's order: measured 1 to 3 kB."""
COPIED_BELOW = 0.5
"""A part of a block that is no larger than this share of it is copied by Dask, so that the block can go."""


@dataclass(frozen=True, slots=True)
class KnownBlocks:
    """The chunks of arrays in graphs, and the bytes of one of their voxels, by the names of their layers."""

    arrays: Mapping[str, tuple[Chunks, int]]

    def shape(self, key: Any) -> Shape | None:
        """Return the shape of the block that a key of a graph stands for; None if it is not known."""
        found = self.arrays.get(key[0]) if type(key) is tuple and key else None
        if found is None or len(found[0]) != len(key) - 1:
            return None
        each = list(zip(found[0], key[1:], strict=True))
        if not all(isinstance(i, int | np.integer) and 0 <= i < len(sizes) for sizes, i in each):
            return None
        return tuple(int(sizes[i]) for sizes, i in each)

    def itemsize(self, key: Any) -> int:
        """Return the bytes of a voxel of the array that a key is named after; 0 if they are not known."""
        return self.arrays.get(_name(key), ((), 0))[1]


def _name(key: Any) -> str:
    """Return the name of the layer of a key; inside a fused task, the letters of its axes follow it."""
    return str(key[0] if type(key) is tuple and key else key).partition("_.")[0]


def known_blocks(*graphs: HighLevelGraph) -> KnownBlocks:
    """Return what Dask has noted of the arrays in graphs; those with chunks of unknown size are left out."""
    found = {}
    for name, layer in (each for graph in graphs for each in graph.layers.items()):
        said = layer.collection_annotations or {}
        chunks = said.get("chunks")
        if chunks is not None and said.get("dtype") is not None and not any(n != n for own in chunks for n in own):
            found[str(name)] = (chunks, np.dtype(said["dtype"]).itemsize)
    return KnownBlocks(found)


@dataclass(frozen=True, slots=True)
class Block:
    """A result: the keys whose memory it holds, its own size, and its shape and bytes per voxel where they are known.

    `base` is the size of the array of which it is a view, or its own; `scratch` what its task takes besides.
    """

    owners: tuple[Any, ...] = ()
    nbytes: int = 0
    shape: Shape | None = None
    itemsize: int = 0
    base: int = 0
    scratch: int = 0
    is_array: bool = False


@dataclass(slots=True)
class _Memory:
    """What is in memory while a graph runs."""

    left: Counter[Any] = field(default_factory=Counter)
    sizes: dict[Any, int] = field(default_factory=dict)
    now: int = 0
    peak: int = 0

    def hold(self, key: Any, block: Block) -> None:
        """Add a result: what is new of it, and for the moment what its task takes besides."""
        if block.owners == (key,):
            self.sizes[key] = block.base
            self.now += block.base
        self.left.update(block.owners)
        self.peak = max(self.peak, self.now + block.scratch)

    def drop(self, block: Block) -> None:
        """Take a result away, and the memory of those whose last view it was."""
        for owner in block.owners:
            self.left[owner] -= 1
            if not self.left[owner]:
                self.now -= self.sizes.pop(owner, 0)


@dataclass(frozen=True, slots=True)
class _Told:
    """What is known before a graph is gone through: of arrays, and what is taken for results that nothing tells of."""

    known: KnownBlocks
    unknown: int


def held_by(graph: Mapping[Any, Any], known: KnownBlocks, unknown: int, scratch: Mapping[Any, int]) -> int:
    """Return the bytes that a graph holds at a time, at most, when it is run by one thread.

    Parameters
    ----------
    graph : dict
        Of tasks, with all that they need, as Dask has optimized it.
    known : KnownBlocks
    unknown : int
        Bytes of a result of which nothing is known.
    scratch : dict
        Bytes that some tasks take for a moment, by their keys. Nothing is left of their results.
    """
    tasks: dict[Any, GraphNode] = convert_legacy_graph(graph)
    given = {key: Block(scratch=nbytes) for key, nbytes in scratch.items()}
    memory, _ = _run(tasks, order(tasks), {}, _Told(known, unknown), given, tuple(scratch))
    return memory.peak + TASK_NBYTES * len(tasks)


def _run(
    tasks: Mapping[Any, GraphNode],
    place: Mapping[Any, int],
    inputs: Mapping[Any, Block],
    told: _Told,
    given: Mapping[Any, Block],
    kept: Sequence[Any],
) -> tuple[_Memory, dict[Any, Block]]:
    """Go through tasks, and return the memory they took and what is left: the results that are to be kept.

    `inputs` are there already, and count for nothing; of `given` the results are known.
    """
    needs = {key: [dep for dep in task.dependencies if dep in tasks] for key, task in tasks.items()}
    needed_by: dict[Any, list[Any]] = {key: [] for key in tasks}
    for key, deps in needs.items():
        for dep in deps:
            needed_by[dep].append(key)
    uses = Counter({key: len(some) for key, some in needed_by.items()}) + Counter(kept)
    blocks, memory = dict(inputs), _Memory()
    for key in _in_turn(needs, needed_by, place):
        blocks[key] = given[key] if key in given else _result(key, tasks[key], blocks, told)
        memory.hold(key, blocks[key])
        for dep in needs[key]:
            uses[dep] -= 1
            if not uses[dep]:
                memory.drop(blocks.pop(dep))
    return memory, blocks


def _in_turn(
    needs: Mapping[Any, Sequence[Any]], needed_by: Mapping[Any, Sequence[Any]], place: Mapping[Any, int]
) -> Iterator[Any]:
    """Yield keys as Dask's synchronous scheduler takes them: of those that are ready, those that came last first."""
    left = {key: len(some) for key, some in needs.items()}
    ready = sorted((key for key, n in left.items() if not n), key=place.__getitem__, reverse=True)
    while ready:
        key = ready.pop()
        yield key
        for other in sorted(needed_by[key], key=place.__getitem__, reverse=True):
            left[other] -= 1
            if not left[other]:
                ready.append(other)


def _result(key: Any, task: GraphNode, blocks: Mapping[Any, Block], told: _Told) -> Block:
    """Return what the result of a task holds."""
    if isinstance(task, DataNode):
        return _given(task.value)
    inputs = [blocks[dep] for dep in task.dependencies if dep in blocks]
    if not isinstance(task, Task):
        return _together(inputs)
    if getattr(task.func, "__name__", "") == FUSED:
        return _fused(key, task, blocks, told)
    function, first = _unwrapped(task.func), _first(task, blocks)
    block = _new(key, task, function, first, inputs, told)
    if first is not None and first.is_array and _is_view(key, function, first, block):
        return replace(block, owners=first.owners, base=first.base, scratch=0)
    return block


def _given(value: Any) -> Block:
    """Return a value that a graph holds: an array in memory takes nothing more, nor do views of it."""
    if isinstance(value, np.ndarray):
        return Block((), value.nbytes, value.shape, value.itemsize, value.nbytes, is_array=True)
    return Block()


def _together(inputs: Sequence[Block]) -> Block:
    """Return a list of results, or another name for one."""
    if len(inputs) == 1:
        return replace(inputs[0], scratch=0)
    owners = dict.fromkeys(owner for block in inputs for owner in block.owners)
    nbytes = sum(block.nbytes for block in inputs)
    return Block(tuple(owners), nbytes, base=nbytes, is_array=any(block.is_array for block in inputs))


def _fused(key: Any, task: Task, blocks: Mapping[Any, Block], told: _Told) -> Block:
    """Return the result of tasks that Dask has made one: what they hold besides is freed at the end."""
    inner, last, names, *refs = task.args
    inputs = {name: _argument(ref, blocks) for name, ref in zip(names, refs, strict=True)}
    shape = told.known.shape(key if told.known.shape(key) else last)
    own = _Told(_as_block(told.known, inner, shape), told.unknown)
    place = {name: n for n, name in enumerate(inner)}
    memory, left = _run(dict(inner), place, inputs, own, {}, (last,))
    result = left[last]
    outer = tuple(owner for owner in result.owners if owner not in memory.sizes)
    base = sum(memory.sizes[owner] for owner in result.owners if owner in memory.sizes)
    if not base:
        return replace(result, owners=outer, scratch=memory.peak)
    return replace(result, owners=(key,), base=base, scratch=max(memory.peak - base, 0))


def _argument(ref: Any, blocks: Mapping[Any, Block]) -> Block:
    if isinstance(ref, TaskRef | Alias):
        return blocks.get(ref.target if isinstance(ref, Alias) else ref.key, Block())
    return _given(ref.value if isinstance(ref, DataNode) else ref)


def _as_block(known: KnownBlocks, names: Mapping[Any, Any], shape: Shape | None) -> KnownBlocks:
    """Return what is known inside a fused task: blocks that no index tells are as large as its result."""
    if shape is None:
        return known
    one = tuple((n,) for n in shape)
    inside = {name: _name(name) for name in names if not isinstance(name, tuple)}
    return KnownBlocks({**known.arrays, **{n: (one, known.itemsize(own)) for n, own in inside.items()}})


def _new(key: Any, task: Task, function: Any, first: Block | None, inputs: Sequence[Block], told: _Told) -> Block:
    """Return the result of a task as if it were no view."""
    known = told.known
    shape = known.shape(key if isinstance(key, tuple) else (key, *(0,) * len(known.arrays.get(key, ((), 0))[0])))
    itemsize = known.arrays[key][1] if key in known.arrays else known.itemsize(key)
    if first is not None and (function in VIEWING or function is chunk.getitem):
        itemsize = itemsize or first.itemsize
        shape = _cut(first.shape, task.args[1:2]) if shape is None else shape
    nbytes = prod(shape) * itemsize if shape and itemsize else _guessed(function, inputs, told.unknown)
    reads = not any(block.is_array for block in inputs)
    scratch = 0 if _is_check(key) or (_is_frugal(function) and not reads) else nbytes
    return Block((key,), nbytes, shape, itemsize, nbytes, scratch, is_array=True)


def _is_view(key: Any, function: Any, first: Block, block: Block) -> bool:
    """Whether a result is a view of the first argument of its task. Dask copies small parts, and so does a check."""
    if _is_check(key):
        return not _name(key).startswith(OWN) or first.base <= block.nbytes
    if function is chunk.getitem:
        return block.nbytes > COPIED_BELOW * first.nbytes
    return function in VIEWING


def _unwrapped(function: Any) -> Any:
    """Return what a partial function calls; of one that checks what a caller's function returns, that."""
    while isinstance(function, partial):
        inner = function.func
        made = getattr(inner, "__name__", "") == "_made" and function.args
        function = function.args[0] if made else inner
    return function


def _is_frugal(function: Any) -> bool:
    """Whether a function is of a library whose functions take little memory besides their result."""
    module = getattr(function, "__module__", None) or type(function).__module__
    return function not in CALLERS and str(module).partition(".")[0] in FRUGAL


def _is_check(key: Any) -> bool:
    return _name(key).startswith((CHECKED, OWN))


def _first(task: Task, blocks: Mapping[Any, Block]) -> Block | None:
    ref = task.args[0] if task.args else None
    if isinstance(ref, Alias):
        return blocks.get(ref.target)
    return blocks.get(ref.key) if isinstance(ref, TaskRef) else None


def _cut(shape: Shape | None, index: Sequence[Any]) -> Shape | None:
    """Return the shape of a part of a block; None if slices do not tell it."""
    parts = index[0] if index else None
    if isinstance(parts, GraphNode) and not parts.dependencies:
        parts = parts({})
    if shape is None or not isinstance(parts, tuple):
        return None
    lengths, own = [], iter(shape)
    for part in parts:
        if part is None:
            lengths.append(1)
        elif isinstance(part, slice):
            lengths.append(len(range(*part.indices(next(own)))))
        elif isinstance(part, int | np.integer):
            next(own)
        else:
            return None
    return (*lengths, *own)


def _guessed(function: Any, inputs: Sequence[Block], unknown: int) -> int:
    """Return how many bytes a result takes of which nothing is known: as its inputs, or as others."""
    sizes = [block.nbytes for block in inputs if block.is_array]
    if not sizes:
        return unknown
    return sum(sizes) if "concatenate" in getattr(function, "__name__", "") else max(sizes)
