"""What tests ask of stores: all their bytes, who reads them, and what is in them after a failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from daskome.execution import unit_graph


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder and its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def levels(target: Any) -> list[np.ndarray[Any, Any]]:
    """Return the pixels of every level that the OME attributes list."""
    group = zarr.open_group(target, mode="r")
    found = group.attrs.asdict()
    multiscale = found.get("ome", found)["multiscales"][0]
    return [np.asarray(group[dataset["path"]][...]) for dataset in multiscale["datasets"]]


def is_image(target: Any) -> bool:
    """Return whether any reader would take what is there for an OME-Zarr image."""
    try:
        found = zarr.open_group(target, mode="r").attrs.asdict()
    except FileNotFoundError:
        return False
    return "multiscales" in found.get("ome", found)


class Counting:
    """An array-like in chunks that counts how often each is read."""

    def __init__(self, array: np.ndarray[Any, Any], chunks: tuple[int, ...]) -> None:
        self.array, self.chunks = array, chunks
        self.shape, self.dtype = array.shape, array.dtype
        self.reads = np.zeros([-(-n // c) for n, c in zip(array.shape, chunks, strict=True)], int)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        self.reads[tuple(slice(i.start // c, -(-i.stop // c)) for i, c in zip(index, self.chunks, strict=True))] += 1
        return self.array[index]


@contextmanager
def lights_out(after: int) -> Iterator[None]:
    """Within it, units can't be written any more after so many of them."""
    stores, calls = unit_graph.stores, count()

    def broken(*args: Any) -> Any:
        if next(calls) >= after:
            raise OSError("the lights went out")
        return stores(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unit_graph, "stores", broken)
        yield
