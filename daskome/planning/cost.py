"""What a plan costs, estimated: requests to a store, and hours of so many workers."""

from collections.abc import Iterable
from dataclasses import dataclass

from daskome.model.regions import ceil_div

RATE = 100 * 10**6
"""Bytes of pixels that one thread reads, downsamples, compresses and writes in a second, unless the caller says
otherwise. Measured in memory, with zstd-1: 143 MB (`benchmarks.floor`, 2026-11-23). Stores are slower."""
LARGEST_PUT = 100 * 2**20
"""Objects as large as this, or larger, go to object stores in parts."""
PART_NBYTES = 50 * 2**20
"""One part of these, as s3fs cuts them."""


@dataclass(frozen=True, slots=True)
class Load:
    """A stage as its workers see it: how many units it has, and the bytes that all of them read, and the largest.

    What is read twice counts twice.
    """

    units: int
    nbytes: float
    largest: float

    def seconds(self, parallel: int, rate: float) -> float:
        """Return how long `parallel` threads take that read `rate` bytes a second each.

        Units that start as a thread becomes free end within the largest of each other; fewer units than threads take
        as long as one.

        >>> Load(4, 400, 100).seconds(1000, 10), Load(4, 400, 100).seconds(2, 10)
        (10.0, 20.0)
        """
        rounds = ceil_div(self.units, parallel) * self.largest
        return min(rounds, (self.nbytes - self.largest) / parallel + self.largest) / rate


def seconds(loads: Iterable[Load], parallel: int, rate: float = RATE) -> float:
    """Return how long stages take of which each waits for the one before."""
    return sum(load.seconds(parallel, rate) for load in loads)


def puts(n_objects: int, nbytes: int) -> int:
    """Return how many requests write so many objects of so many bytes each, at most: large ones go in parts.

    >>> puts(1000, 2**20), puts(1, 2**30)
    (1000, 23)
    """
    return n_objects * (1 if nbytes < LARGEST_PUT else ceil_div(nbytes, PART_NBYTES) + 2)
