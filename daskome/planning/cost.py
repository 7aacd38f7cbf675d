"""Estimate what a plan costs: requests to a store, and time."""

from collections.abc import Iterable
from dataclasses import dataclass

from daskome.model.regions import ceil_div

RATE = 100 * 10**6
"""Bytes of pixels that one thread reads, downsamples, compresses and writes per second, unless the caller gives others.

Measured in memory, with zstd-1: 143 MB (`benchmarks.floor`, 2026-11-23). Stores are slower."""
LARGEST_PUT = 100 * 2**20
"""Objects of this size or larger are sent to object stores in parts."""
PART_NBYTES = 50 * 2**20
"""The size of one part, as s3fs cuts them."""


@dataclass(frozen=True, slots=True)
class Load:
    """The load of a stage: the number of its units, the bytes that all of them read, and those of the largest.

    What is read twice counts twice.
    """

    units: int
    nbytes: float
    largest: float

    def seconds(self, parallel: int, rate: float) -> float:
        """Return the seconds that `parallel` threads take if each reads `rate` bytes per second.

        A unit starts when a thread becomes free, so threads end at most one largest unit apart. Fewer units than
        threads take as long as one.

        >>> Load(4, 400, 100).seconds(1000, 10), Load(4, 400, 100).seconds(2, 10)
        (10.0, 20.0)
        """
        rounds = ceil_div(self.units, parallel) * self.largest
        return min(rounds, (self.nbytes - self.largest) / parallel + self.largest) / rate


def seconds(loads: Iterable[Load], parallel: int, rate: float = RATE) -> float:
    """Return the seconds that stages take, each of which waits for the previous one."""
    return sum(load.seconds(parallel, rate) for load in loads)


def puts(n_objects: int, nbytes: int) -> int:
    """Return how many requests write `n_objects` of `nbytes` each, at most: large ones are sent in parts.

    >>> puts(1000, 2**20), puts(1, 2**30)
    (1000, 23)
    """
    return n_objects * (1 if nbytes < LARGEST_PUT else ceil_div(nbytes, PART_NBYTES) + 2)
