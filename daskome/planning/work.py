"""The nouns of work: the workers there are, the chunks of a source, and a pass over a pyramid."""

from dataclasses import dataclass, field
from math import inf

from daskome.model.chunks import Chunks, longest_chunk
from daskome.model.regions import Shape
from daskome.planning.memory import AT_ONCE

PROCESS_MEM = 190 * 2**20
"""Python, NumPy, Dask, distributed and zarr, imported: measured 150 to 175 MiB."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who will write: worker processes, the threads of each, and the memory of each in bytes, if it is bounded.

    `images` is how many images like the one that is planned they write side by side: where there are many, none
    need be cut for the workers' sake. `staging` says that there is room for a temporary copy of an image; `deletes`,
    that the store of the target can delete, so that levels can have temporary copies, which are small. `at_once` is how
    many chunks of a block zarr encodes beside each other there, as it is set where they write; None: all of them.
    """

    workers: int = 1
    threads: int = 1
    memory: int | None = None
    images: int = 1
    staging: bool = False
    deletes: bool = True
    at_once: int | None = AT_ONCE

    @property
    def parallel(self) -> int:
        """How many units run at a time."""
        return self.workers * self.threads

    @property
    def thread_memory(self) -> float:
        """What one unit may use, in bytes."""
        return inf if self.memory is None else max((self.memory - PROCESS_MEM) / self.threads, 0)


@dataclass(frozen=True, slots=True)
class SourceChunks:
    """What a pass reads: an image, a temporary copy, or (neither) a stored level.

    Attributes
    ----------
    chunks : tuple of tuple of int
        The pieces in which it is stored or computed, per axis.
    copies : int
        How often a piece is in memory beside the result while it is read: encoded and decoded, or computed
        (`daskome.sources.adapt.Source.copies`).
    image, staged : int, optional
        As in `Pass`.
    shared : int
    repeated : tuple of int
        As in `Pass`.
    made : bool
        Whether they are of a level that was made, not of an image.
    longest : tuple of int
        The longest piece along each axis.
    """

    chunks: Chunks
    copies: int = 2
    image: int | None = None
    staged: int | None = None
    shared: int = 0
    repeated: tuple[int, ...] = ()
    made: bool = False
    longest: Shape = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest", tuple(map(longest_chunk, self.chunks)))


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
        The group of the temporary copy that is read, of an image or of level `first`.
    leaves : int, optional
        The group of the temporary copy of level `stop` that is written too.
    offer : float, optional
        How often the image would be read with such a copy, if there is none and it would pay.
    shared : int
        How many results of the image all units need; they are computed once, before these.
    repeated : tuple of int
        Axes along which units compute the same parts of the image.
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
    leaves: int | None = None
    offer: float | None = None
    shared: int = 0
    repeated: tuple[int, ...] = ()

    @property
    def reads_below(self) -> bool:
        """Whether what is read is the level below the first."""
        return self.image is None and self.staged is None

    @property
    def reading(self) -> str:
        """What is read, in a word: image, copy or level."""
        return "level" if self.reads_below else "image" if self.staged is None else "copy"
