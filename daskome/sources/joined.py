"""Array-likes side by side as one: the planes of a volume that are a file each, or several images along an axis."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod
from typing import Any

import numpy as np

from daskome.model.chunks import Chunks
from daskome.model.regions import Region, Shape, shape_of
from daskome.sources.blocks import to_numpy
from daskome.stores.objects import sync_codecs

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a part of a region lies along an axis: in which block, where in it, and where in the region."""

    block: int
    inside: slice
    outside: slice


@dataclass(frozen=True, slots=True)
class Joined:
    """Array-likes in a grid, itself an array-like.

    Attributes
    ----------
    parts : tuple of array-like
        In the order of C.
    blocks : tuple of sequence of int
        The lengths of the parts along each axis.
    dtype : numpy.dtype
    added : tuple of int
        Axes that the parts do not have: each is one step along them.
    origin : tuple of int
        Where the first part begins: it may be a region of a larger image, and keeps the indices of that.

    Examples
    --------
    >>> import numpy as np
    >>> planes = [np.full((2, 2), i) for i in range(3)]
    >>> volume = Joined(tuple(planes), ((1, 1, 1), (2,), (2,)), np.dtype(int), added=(0,))
    >>> volume.shape, volume[1:3, 0:1, 0:1].tolist()
    ((3, 2, 2), [[[1]], [[2]]])
    """

    parts: tuple[Any, ...]
    blocks: Chunks
    dtype: np.dtype[Any]
    added: tuple[int, ...] = ()
    origin: Shape = ()
    starts: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        origin = self.origin or (0,) * len(self.blocks)
        object.__setattr__(self, "starts", tuple(map(_starts, origin, self.blocks)))

    @property
    def shape(self) -> Shape:
        """The lengths of its axes."""
        return tuple(map(sum, self.blocks))

    @property
    def grid(self) -> Shape:
        """How many parts there are along each axis."""
        return tuple(map(len, self.blocks))

    def __getitem__(self, index: tuple[slice, ...]) -> Array:
        """Return a part of it, by one slice per axis."""
        origin = self.origin or (0,) * len(self.blocks)
        ends = [o + n for o, n in zip(origin, self.shape, strict=True)]
        region = tuple(part.indices(end)[:2] for part, end in zip(index, ends, strict=True))
        values: Array = np.empty(shape_of(region), self.dtype)
        for spans in product(*self._spans(region)):
            inside = tuple(span.inside for axis, span in enumerate(spans) if axis not in self.added)
            part = to_numpy(sync_codecs.read(self._part([span.block for span in spans]), inside))
            values[tuple(span.outside for span in spans)] = np.expand_dims(part, self.added)
        return values

    def within(self, region: Region) -> "Joined":
        """Return the same image, with no other parts than those of a region."""
        kept = [[span.block for span in spans] for spans in self._spans(region)]
        return replace(
            self,
            parts=tuple(self._part(index) for index in product(*kept)),
            blocks=tuple(tuple(sizes[i] for i in some) for sizes, some in zip(self.blocks, kept, strict=True)),
            origin=tuple(starts[some[0]] if some else 0 for starts, some in zip(self.starts, kept, strict=True)),
        )

    def _part(self, index: list[int] | tuple[int, ...]) -> Any:
        steps = (prod(self.grid[axis + 1 :]) for axis in range(len(self.grid)))
        return self.parts[sum(i * step for i, step in zip(index, steps, strict=True))]

    def _spans(self, region: Region) -> Iterator[list[Span]]:
        for starts, sizes, (start, stop) in zip(self.starts, self.blocks, region, strict=True):
            yield list(_spans(starts, sizes, start, stop))


def _starts(origin: int, sizes: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in np.cumsum([origin, *sizes])[:-1])


def _spans(starts: tuple[int, ...], sizes: Any, start: int, stop: int) -> Iterator[Span]:
    """Yield the parts of ``start:stop``, one per block."""
    first = max(bisect_right(starts, start) - 1, 0)
    for block in range(first, len(starts)):
        a, b = max(start, starts[block]), min(stop, starts[block] + sizes[block])
        if a >= stop or a >= b:
            return
        yield Span(block, slice(a - starts[block], b - starts[block]), slice(a - start, b - start))
