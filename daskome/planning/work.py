"""The nouns of work: workers, options of a plan, the chunks of a source, and a pass over a pyramid."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from daskome.model.chunks import Chunks, longest_chunk
from daskome.model.limits import Limits, default_limits
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, Shape

CHUNKS_AT_ONCE = 10
"""How many chunks zarr encodes beside each other, if it is not set otherwise (its ``async.concurrency``)."""
PROCESS_MEM = 190 * 2**20
"""The memory of a process that has imported NumPy, Dask, distributed and zarr: measured 150 to 175 MiB."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who will write a plan: `count` processes with `threads` each.

    Attributes
    ----------
    count, threads : int
    memory : int, optional
        Bytes that each process may use; without it, memory is not bounded.
    at_once : int, optional
        How many chunks of a block zarr encodes at once where they write; all of them if it is None.
    in_flight : int
        How many stored objects may be on their way from each process at a time; 0 if each is stored before the next one
        is encoded, as near stores allow.

    Examples
    --------
    >>> Workers(4, threads=2).parallel
    8
    """

    count: int = 1
    threads: int = 1
    memory: int | None = None
    at_once: int | None = CHUNKS_AT_ONCE
    in_flight: int = 0

    @property
    def parallel(self) -> int:
        """The number of units that run at a time."""
        return self.count * self.threads

    @property
    def thread_memory(self) -> float:
        """The bytes that one unit may use."""
        return inf if self.memory is None else max((self.memory - PROCESS_MEM) / self.threads, 0)


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What a planner must know besides the image and its target: for whom it plans, and what it may do.

    Attributes
    ----------
    workers : Workers
        Units are made for them: small enough for their memory, and enough of them for all threads.
    images : int
        How many images like this one are written side by side. Many images keep all threads busy as they are, so
        none has to be cut into more units for that.
    staging : bool
        Whether there is room for a temporary copy of the image.
    deletes : bool
        Whether the store of the target can delete. If so, levels may have temporary copies, which are small.
    sharded : bool
        Whether arrays are stored in shards where nobody says otherwise, as in a single file.
    limits : Limits
    """

    workers: Workers = Workers()
    images: int = 1
    staging: bool = False
    deletes: bool = True
    sharded: bool = False
    limits: Limits = field(default_factory=default_limits)


class HeldByUnit(Protocol):
    """Tells how many bytes a unit of a pass holds that writes `levels`, a block of which takes `encoded` to encode."""

    def __call__(self, pyramid: Pyramid, pass_: "Pass", levels: Sequence[Level], encoded: Sequence[int]) -> int:
        """Return them."""
        ...


@dataclass(frozen=True, slots=True)
class SourceChunks:
    """What a pass reads: an image, a temporary copy, or (neither) a stored level.

    Attributes
    ----------
    chunks : tuple of tuple of int
        The pieces in which it is stored or computed, per axis.
    buffer_copies : int
        As in `daskome.model.source.Source`.
    image : int, optional
    reads_copy : str, optional
    shared : int
    repeated : tuple of int
        As in `Pass`.
    of_level : bool
        Whether it is a level, stored or copied, not an image.
    far : bool
        As in `Source`.
    offers_verbatim : bool
        As in `Pass`.
    held : callable, optional
        Of an image that is computed: tells what a unit of a pass holds, from the graph of one.
    made_in : tuple of tuple of int, optional
        Of an image that is computed: the pieces in which what it is made of is read, where they are other ones.
    longest : tuple of int
        The longest piece along each axis.
    """

    chunks: Chunks
    buffer_copies: int = 2
    image: int | None = None
    reads_copy: str | None = None
    shared: int = 0
    repeated: tuple[int, ...] = ()
    of_level: bool = False
    far: bool = False
    offers_verbatim: bool = False
    held: "HeldByUnit | None" = field(default=None, compare=False, repr=False)
    made_in: Chunks | None = None
    longest: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", tuple(map(longest_chunk, self.chunks)))


@dataclass(frozen=True, slots=True)
class Pass:
    """One way over a pyramid: what is read, and the levels that are written from it.

    Attributes
    ----------
    group : str
        The path of the group that it writes to.
    image : int or None
        Which image is read; None if it is the stored level below `first`, or a temporary copy.
    first, stop : int
        The levels that are written.
    unit : tuple of int
        The shape that one unit covers, in voxels of level `first`.
    read_chunks : tuple of int
        The longest pieces that are read at a time, in voxels of what is read.
    amplification : float
        How many times the average voxel is read; 1.0 is once.
    unit_memory : int
        The peak memory of one unit, in bytes.
    reads_copy : str, optional
        The path of the group of the temporary copy that is read, of an image or of level `first`.
    writes_copy : str, optional
        The path of the group of the temporary copy of level `stop` that is written too.
    staged_amplification : float, optional
        How many times the image would be read if there were a temporary copy of it; None if there is one, or it would
        not pay.
    shared : int
        How many results of the image's Dask graph all units need; they are computed once, before the units.
    repeated : tuple of int
        Axes along which units compute the same parts of the image.
    ahead : int
        How many pieces of what is far away are fetched before they are needed.
    offers_verbatim : bool
        Whether the chunks of the image could be taken over as they are, if the caller wanted that.
    computed : bool
        Whether the image is computed by functions, whose own memory is not known before they have run.
    abreast : int
        How many units run at a time in a process whose memory does not hold one for each thread; 0: one for each.
    region : tuple of (int, int), optional
        The only part of level `first` that it writes, in whole stored objects; None: all of it.
    given : tuple of (int, int), optional
        The part of that which the image holds. Around it, what is stored stays.
    """

    group: str
    image: int | None
    first: int
    stop: int
    unit: Shape
    read_chunks: Shape
    amplification: float
    unit_memory: int
    reads_copy: str | None = None
    writes_copy: str | None = None
    staged_amplification: float | None = None
    shared: int = 0
    repeated: tuple[int, ...] = ()
    ahead: int = 0
    offers_verbatim: bool = False
    computed: bool = False
    abreast: int = 0
    region: Region | None = None
    given: Region | None = None

    def at_a_time(self, threads: int) -> int:
        """Return how many units run at a time in a process with this number of threads."""
        return min(self.abreast or threads, threads)

    @property
    def reads_below(self) -> bool:
        """Whether the pass reads the stored level below its first."""
        return self.image is None and self.reads_copy is None

    @property
    def reading(self) -> str:
        """What is read, in one word: image, copy or level."""
        return "level" if self.reads_below else "image" if self.reads_copy is None else "copy"
