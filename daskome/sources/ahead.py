"""Pieces of an image that is far away, fetched before they are needed: meanwhile others are worked on.

They are fetched in the order in which Dask will ask for them. What it asks for out of order is read at once.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice, product
from typing import Any

import dask.array as da
import numpy as np
from dask.order import order

from daskome.model.regions import Region
from daskome.sources.views import RegionView

Array = np.ndarray[Any, Any]


class Ahead:
    """What is fetched ahead of its need, by a pool of threads: no more than some at a time, and each piece once."""

    def __init__(self, read: Callable[[Region], Array], wanted: Sequence[Region], n: int, pool: ThreadPoolExecutor):
        self._read, self._pool = read, pool
        self._wanted = deque(wanted)
        self._fetched: dict[Region, Future[Array]] = {}
        for _ in range(n):
            self._fetch_next()

    def take(self, part: Region) -> Array:
        """Return a part of the image, which may be on its way."""
        future = self._fetched.pop(part, None)
        if future is None:
            if part in self._wanted:
                self._wanted.remove(part)
            return self._read(part)
        self._fetch_next()
        return future.result()

    def _fetch_next(self) -> None:
        for part in islice(iter(self._wanted.popleft, None), min(1, len(self._wanted))):
            self._fetched[part] = self._pool.submit(self._read, part)


@contextmanager
def fetched_ahead(piece: da.Array, results: Sequence[da.Array], n: int) -> Iterator[None]:
    """Fetch pieces of a region ahead of their need, up to `n` at a time, while results made of it are computed."""
    view = _view_in(piece) if n else None
    if view is None:
        yield
        return
    with ThreadPoolExecutor(n, thread_name_prefix="daskome-ahead") as pool:
        view.ahead = Ahead(view.read, _in_order(piece, results), n, pool)
        try:
            yield
        finally:
            view.ahead = None
            pool.shutdown(cancel_futures=True)


def _view_in(piece: da.Array) -> RegionView | None:
    """Return the view of a region that a piece reads; None if it is in memory, or computed."""
    values = (getattr(node, "value", node) for node in dict(piece.dask).values())
    return next((value for value in values if isinstance(value, RegionView)), None)


def _in_order(piece: da.Array, results: Sequence[da.Array]) -> list[Region]:
    """Return the blocks of a piece in the order in which Dask will ask for them."""
    graph = {key: task for result in results for key, task in dict(result.dask).items()}
    first = order(graph)
    spans = [_spans(sizes) for sizes in piece.chunks]
    blocks = list(product(*(range(len(sizes)) for sizes in piece.chunks)))
    blocks.sort(key=lambda block: first.get((piece.name, *block), 0))
    return [tuple(own[i] for own, i in zip(spans, block, strict=True)) for block in blocks]


def _spans(sizes: Sequence[int]) -> list[tuple[int, int]]:
    stops = np.cumsum(sizes).tolist()
    return list(zip([0, *stops], stops, strict=False))
