"""Whether memory is kept below what the plan says, and below what was allowed, where that is hardest to tell.

``python -m benchmarks.awkward [--tiny] [--json FILE] [WORD …]``: images that are computed, rechunked, overlapped, in
memory, mapped or in odd chunks, and codecs, methods and stores that need memory of their own. Peak RSS of a process
each against the prediction and the budget, of the cases whose names have one of the words.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.process import Cost, forget_peak, measure, resident
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

MIB = 2**20
LZ4 = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1}}
NOISE = 1.03
"""How much more than predicted may be in use: an allocator's last pages, and what other threads have just freed."""
SLACK = 1.5
"""How many times the peak may be predicted, in nine of ten cases."""


@dataclass(frozen=True)
class Case:
    """An image, how it is made, and how it is written.

    Attributes
    ----------
    image : str
        A row of `IMAGES`.
    chunks : tuple of int
        In which it comes.
    memory : str, optional
        The budget.
    options : dict
        Of the call; ``"chunks"`` of the target are 128 along each axis, and ``compressors`` lz4, unless said.
    call : str
        A row of `CALLS`.
    settings : dict
        Of zarr.
    """

    name: str
    image: str
    shape: tuple[int, ...] = (256, 1024, 1024)
    chunks: tuple[int, ...] = (128, 128, 128)
    dtype: str = "uint16"
    memory: str | None = "900MB"
    threads: int = 4
    storage: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    call: str = "write_image"
    settings: Mapping[str, Any] = field(default_factory=dict)


def zstd(level: int) -> dict[str, Any]:
    """Return the codec as zarr v3 spells it."""
    return {"name": "zstd", "configuration": {"level": level, "checksum": False}}


def blosc(cname: str, level: int) -> dict[str, Any]:
    """Return the codec as zarr v3 spells it."""
    return {"name": "blosc", "configuration": {"cname": cname, "clevel": level}}


GIB = (256, 1024, 1024)
CASES = [
    # Dask images whose graph holds more than their blocks
    Case("planes to cubes", "rechunked", GIB, (1, 1024, 1024)),
    Case("columns to planes", "to planes", GIB, (256, 128, 128)),
    Case("cubes to planes", "to planes", GIB),
    Case("slabs to cubes", "rechunked", GIB, (16, 1024, 1024)),
    Case("rechunked twice", "rechunked twice", GIB, (1, 1024, 1024), memory="1500MB"),
    Case("map_blocks that needs much", "hungry", memory="700MB"),
    Case("map_blocks that needs much, one thread", "hungry", memory="700MB", threads=1),
    Case("map_blocks in float64", "in float64"),
    Case("map_blocks of a chain", "chain"),
    Case("one big block", "big block", (256, 512, 1024), (256, 512, 1024), memory="2GB"),
    Case("one big block, one thread", "big block", (256, 512, 1024), (256, 512, 1024), memory="2GB", threads=1),
    Case("map_overlap", "overlapped"),
    Case("map_overlap, one thread", "overlapped", threads=1),
    Case("map_overlap of planes", "overlapped", chunks=(16, 1024, 1024), memory="1500MB"),
    Case("irregular chunks", "irregular"),
    Case("a sum of three images", "sum of three"),
    Case("x - x.mean()", "less its mean"),
    Case("x - x.mean(axis=0)", "less its mean along z", memory="1500MB"),
    Case("transposed", "transposed"),
    Case("a stack of planes", "stacked", chunks=(1, 1024, 1024)),
    Case("a stack of planes, one thread", "stacked", chunks=(1, 1024, 1024), threads=1),
    Case("concatenated", "concatenated"),
    Case("sliced by two", "sliced", (256, 1024, 2048)),
    Case("from uint8 to float32", "to float32"),
    Case("where(x > t, x, 0)", "where"),
    Case("da.from_zarr, rechunked", "from zarr, rechunked", chunks=(1, 1024, 1024)),
    Case("da.from_zarr, plus one", "from zarr, plus one", chunks=(1, 1024, 1024)),
    Case("5-D, many channels", "computed", (2, 16, 32, 512, 512), (1, 1, 32, 512, 512), options={"axes": "tczyx"}),
    Case("5-D, all channels in a chunk", "computed", (2, 16, 32, 512, 512), (1, 16, 1, 512, 512),
         options={"axes": "tczyx"}, memory="1500MB"),
    # What is in memory or mapped
    Case("NumPy, 512 MiB", "numpy", GIB, memory="500MB"),
    Case("NumPy, 512 MiB, Fortran order", "numpy, F", GIB, memory="500MB"),
    Case("da.from_array of NumPy", "from numpy", GIB, memory="500MB"),
    Case("np.load(mmap_mode)[1:], 256 MiB", "map of a part", (128, 1024, 1024), memory="500MB"),
    Case("np.load(mmap_mode)[1:], 1 GiB", "map of a part", (512, 1024, 1024), memory="500MB"),
    Case("np.load(mmap_mode).T", "map transposed", memory="500MB"),
    # Codecs
    *[Case(f"zstd {n}", "lazy", (128, 512, 1024), storage={"compressors": zstd(n)}, memory="700MB")
      for n in (1, 3, 12, 19)],
    Case("zstd 22, chunks 256³", "lazy", (256, 512, 512), (256, 256, 256),
         storage={"compressors": zstd(22), "chunks": 256}, memory="2500MB"),
    Case("gzip 6", "lazy", (128, 512, 1024), storage={"compressors": {"name": "gzip", "configuration": {"level": 6}}}),
    *[Case(f"blosc {name} {n}", "lazy", (128, 512, 1024), storage={"compressors": blosc(name, n)})
      for name, n in (("zstd", 9), ("lz4hc", 9), ("zlib", 6))],
    Case("no codec", "lazy", (128, 512, 1024), storage={"compressors": None}),
    # Methods
    Case("median of noise, uint16", "noise", (256, 512, 512), options={"method": "median"}),
    Case("mode of noise, uint64", "noise", (256, 512, 512), dtype="uint64", options={"method": "mode"}),
    Case("mode of noise, uint64, one thread", "noise", (256, 512, 512), dtype="uint64",
         options={"method": "mode"}, threads=1),
    Case("gaussian, float32", "noise", (256, 512, 512), dtype="float32", options={"method": "gaussian"},
         memory="1500MB"),
    # Labels
    Case("labels, colors=True", "labels", (256, 512, 512), dtype="uint32", call="write_labels",
         options={"colors": True}, memory="500MB"),
    Case("labels, colors=True, as many as may be", "many labels", (256, 512, 512), dtype="uint32",
         call="write_labels", options={"colors": True}, memory="500MB"),
    # Stored
    Case("stored planes", "stored", chunks=(1, 1024, 1024)),
    Case("stored slabs to shards", "stored", chunks=(32, 1024, 1024), storage={"shards": 256}, memory="1500MB"),
    Case("stored columns", "stored", chunks=(256, 64, 64)),
    Case("stored in odd chunks", "stored", chunks=(100, 90, 110)),
    Case("stored whole in one chunk", "stored", (128, 512, 512), (128, 512, 512)),
    # zarr and stores
    Case("zarr's concurrency of 64", "lazy", storage={"chunks": 32}, settings={"async.concurrency": 64}),
    Case("uploads in flight", "lazy", (256, 512, 512), call="in flight", memory="1500MB"),
    Case("uploads in flight, no codec", "lazy", (256, 512, 512), storage={"compressors": None}, call="in flight",
         memory="1500MB"),
]  # fmt: skip
TINY = [Case("tiny", "hungry", (64, 64, 64), (32, 32, 32)), Case("tiny planes", "rechunked", (64, 64, 64), (1, 64, 64))]


# ---- images


class Read(Tiled):
    """Tiles as a file gives them: each time in memory of their own."""

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        return super().__getitem__(index).copy()


def _tiled(c: Case, chunks: tuple[int, ...] | None = None) -> Any:
    import dask.array as da

    volume = Read(c.shape, c.chunks, c.dtype)
    volume.tile  # noqa: B018 (made now, so that it does not count as memory of a unit)
    return da.from_array(volume, chunks=chunks or c.chunks)


def _hungry(block: Any) -> Any:
    """Take eight times the memory of a block, in steps that no graph shows."""
    return np.stack([block.astype("float64"), block.astype("float64") * 2]).max(axis=0).astype(block.dtype)


def _smoothed(block: Any) -> Any:
    return (block // 2 + np.roll(block, 1, 0) // 2).astype(block.dtype)


def _random(c: Case, folder: str) -> Any:
    import dask.array as da

    high = min(np.iinfo(c.dtype).max, 2**62) if np.dtype(c.dtype).kind in "iu" else 2**16
    return da.random.default_rng(0).integers(0, high, c.shape, chunks=c.chunks, dtype="int64").astype(c.dtype)


def _noise(block: Any, block_info: Any = None) -> Any:
    rng = np.random.default_rng(0)
    return rng.integers(0, 2**15, block.shape, "uint16").astype(block.dtype)


def _stored(c: Case, folder: str, dask: bool = False) -> Any:
    """Stored by another process, so that its memory does not count here."""
    import zarr

    measure("benchmarks.awkward:store", case=vars(c), path=f"{folder}/source")
    return zarr.open_array(f"{folder}/source", mode="r")


def _from_zarr(c: Case, folder: str) -> Any:
    import dask.array as da

    _stored(c, folder)
    return da.from_zarr(f"{folder}/source")


def _map(c: Case, folder: str) -> Any:
    measure("benchmarks.awkward:store_contiguous", case=vars(c), path=f"{folder}/source.npy")
    return np.load(f"{folder}/source.npy", mmap_mode="r")


def _numpy(c: Case, folder: str, order: Any = "C") -> Any:
    array = np.zeros(c.shape, c.dtype, order)
    for start in range(0, c.shape[0], 128):
        array[start : start + 128] = Tiled(c.shape, c.chunks, c.dtype)[
            slice(start, start + 128), slice(0, c.shape[1]), slice(0, c.shape[2])
        ]
    return array


def _irregular(c: Case, folder: str) -> Any:
    def sizes(n: int) -> tuple[int, ...]:
        own = [n // 2 + 7, n // 8 + 3, n // 16]
        return (*own, n - sum(own))

    return _tiled(c, tuple(map(sizes, c.shape))) + 1


def _labels(c: Case, folder: str) -> Any:
    import dask.array as da

    return da.from_array(Tiled(c.shape, c.chunks, c.dtype, "cells"), chunks=c.chunks)


def _numbered(block: Any, block_info: Any = None) -> Any:
    """Label runs of 64 voxels, each with a number of its own."""
    spans = block_info[0]["array-location"]
    z, y, x = np.ix_(*(np.arange(a, b, dtype="uint32") for a, b in spans))
    return ((z * 512 + y) * 512 + x) // 64 % 2**15 + 1


def _sum(c: Case, folder: str) -> Any:
    return _tiled(c) + _tiled(c) // 2 + _tiled(c) // 3


def _stack(c: Case, folder: str) -> Any:
    import dask.array as da

    planes = _tiled(c)
    return da.stack([planes[z] + 1 for z in range(c.shape[0])])


def _less_mean(c: Case, folder: str, axis: Any = None) -> Any:
    x = _tiled(c)
    return (x - x.mean(axis=axis)).astype(c.dtype)


def _concatenated(c: Case, folder: str) -> Any:
    import dask.array as da

    half = c.shape[0] // 2
    return da.concatenate([_tiled(c)[:half], _tiled(c)[half:] + 1])


def _where(c: Case, folder: str) -> Any:
    import dask.array as da

    x = _tiled(c)
    return da.where(x > 100, x, 0).astype(c.dtype)


IMAGES: Mapping[str, Callable[[Case, str], Any]] = {
    "lazy": lambda c, _: Read(c.shape, c.chunks, c.dtype),
    "computed": lambda c, _: _tiled(c) + 1,
    "rechunked": lambda c, _: (_tiled(c) + 1).rechunk((128, 128, 128)),
    "to planes": lambda c, _: (_tiled(c) + 1).rechunk((1, *c.shape[1:])),
    "rechunked twice": lambda c, _: (_tiled(c) + 1).rechunk((128, 256, 256)).rechunk((32, 512, 512)) + 1,
    "hungry": lambda c, _: _tiled(c).map_blocks(_hungry, dtype=c.dtype),
    "in float64": lambda c, _: (_tiled(c).astype("float64") * 1.5).astype(c.dtype),
    "chain": lambda c, _: _tiled(c).map_blocks(_smoothed).map_blocks(_smoothed).map_blocks(_smoothed),
    "big block": lambda c, _: _tiled(c) + 1,
    "overlapped": lambda c, _: _tiled(c).map_overlap(_smoothed, depth=8, boundary="reflect", dtype=c.dtype),
    "irregular": _irregular,
    "sum of three": _sum,
    "less its mean": _less_mean,
    "less its mean along z": lambda c, folder: _less_mean(c, folder, 0),
    "transposed": lambda c, _: (_tiled(c) + 1).transpose(2, 1, 0),
    "stacked": _stack,
    "concatenated": _concatenated,
    "sliced": lambda c, _: (_tiled(c) + 1)[..., ::2],
    "to float32": lambda c, _: _tiled(c).astype("uint8").astype("float32") / 3,
    "where": _where,
    "from zarr, rechunked": lambda c, folder: _from_zarr(c, folder).rechunk((128, 128, 128)),
    "from zarr, plus one": lambda c, folder: _from_zarr(c, folder) + 1,
    "numpy": _numpy,
    "numpy, F": lambda c, folder: _numpy(c, folder, "F"),
    "from numpy": lambda c, folder: __import__("dask.array").array.from_array(_numpy(c, folder), chunks=c.chunks),
    "map of a part": lambda c, folder: _map(c, folder)[1:],
    "map transposed": lambda c, folder: _map(c, folder).T,
    "noise": lambda c, _: _tiled(c).map_blocks(_noise, dtype=c.dtype),
    "labels": _labels,
    "many labels": lambda c, _: _tiled(c).map_blocks(_numbered, dtype=c.dtype),
    "stored": _stored,
}
"""Images by name."""
HELD = ("numpy", "numpy, F", "from numpy")
"""Images that the caller holds in memory: what they take counts neither as peak nor as predicted."""


# ---- calls


def _write_image(image: Any, folder: str, **options: Any) -> Any:
    import daskome

    return daskome.write_image(image, f"{folder}/a", **options)


def _write_labels(image: Any, folder: str, **options: Any) -> Any:
    import daskome

    daskome.write_image(Tiled(image.shape, dtype_name="uint8"), f"{folder}/a", options["scale_factors"], axes="zyx")
    return daskome.write_labels(image, f"{folder}/a", "cells", **{k: options[k] for k in ("colors", "memory")})


def _write_far(image: Any, folder: str, **options: Any) -> Any:
    """Write to a store that answers late, so that as much is on its way as may be."""
    import asyncio

    from zarr.storage import LocalStore, WrapperStore

    import daskome

    class Late(WrapperStore[LocalStore]):
        async def set(self, *each: Any, **named: Any) -> None:
            await asyncio.sleep(0.5)
            await super().set(*each, **named)

    return daskome.write_image(image, Late(LocalStore(f"{folder}/a")), **options, in_flight=64)


CALLS: Mapping[str, Callable[..., Any]] = {
    "write_image": _write_image,
    "write_labels": _write_labels,
    "in flight": _write_far,
}


def _case(values: Mapping[str, Any]) -> Case:
    return Case(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def store(case: dict[str, Any], path: str) -> None:
    """Store the volume of a case as a zarr array in its chunks."""
    import dask.array as da
    import zarr

    c = _case(case)
    array = zarr.create_array(path, shape=c.shape, dtype=c.dtype, chunks=c.chunks, compressors=LZ4)
    da.store(_tiled(c), array, lock=False)


def store_contiguous(case: dict[str, Any], path: str) -> None:
    """Store the volume of a case, and one slice more, in a .npy file."""
    c = _case(case)
    array = np.lib.format.open_memmap(path, "w+", c.dtype, (c.shape[0] + 1, *c.shape[1:]))
    for start in range(0, c.shape[0], 128):
        array[start : start + 128] = Tiled(c.shape, c.chunks, c.dtype)[
            slice(start, start + 128), slice(0, c.shape[1]), slice(0, c.shape[2])
        ]


def write(case: dict[str, Any]) -> dict[str, int]:
    """Write a case to a temporary folder, and return what the plan predicts and what the image itself takes."""
    import dask
    import zarr

    c = _case(case)
    folder = tempfile.mkdtemp()
    storage = {"compressors": LZ4, **({"chunks": 128} if len(c.shape) == 3 else {}), **c.storage}
    options = {"scale_factors": [2, 4], "memory": c.memory, "storage_options": storage, **c.options}
    try:
        with dask.config.set(num_workers=c.threads), zarr.config.set(dict(c.settings)):
            before = resident()
            image = IMAGES[c.image](c, folder)
            held = resident() - before if c.image in HELD else 0
            forget_peak()
            plan = CALLS[c.call](image, folder, **options)
    finally:
        shutil.rmtree(folder)
    return {"predicted": plan.memory, "held": held, "threads": getattr(plan, "threads", c.threads)}


@dataclass(frozen=True)
class Found:
    """What a case took, was predicted to take, and was allowed, in bytes; none of these where it was refused."""

    peak: int
    predicted: int
    allowed: int | None
    wall: float
    refusal: str = ""

    @property
    def holds(self) -> bool:
        """Whether neither the prediction nor the budget was exceeded."""
        within = self.peak <= NOISE * self.predicted
        return bool(self.refusal) or (within and (self.allowed is None or self.peak <= self.allowed))


def run(case: Case) -> Found:
    """Measure a case in a process of its own."""
    from daskome.model.text import parse_nbytes

    allowed = None if case.memory is None else parse_nbytes(case.memory, "memory")
    cost: Cost = measure("benchmarks.awkward:write", case=vars(case))
    found = cost.result
    return Found(cost.peak - found["held"], found["predicted"], allowed, cost.wall)


def row(case: Case, found: Found) -> list[str]:
    """Return a case as a row of the table."""
    allowed = "" if found.allowed is None else f"{found.allowed / MIB:.0f}"
    held = "" if found.holds else "exceeded"
    numbers = [f"{found.peak / MIB:.0f}", f"{found.predicted / MIB:.0f}", allowed]
    return [case.name, *numbers, f"{found.predicted / found.peak:.2f}", held, f"{found.wall:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    every = TINY if asked.tiny else CASES
    cases = [case for case in every if not asked.words or any(word in case.name for word in asked.words)]
    found = []
    for case in cases:
        try:
            found.append((case, run(case)))
            print("|", " | ".join(row(*found[-1])), "|", flush=True)
        except Exception as error:
            print("|", case.name, "|", repr(error)[:100], "|", flush=True)
    if asked.json:
        Path(asked.json).write_text(json.dumps({case.name: vars(one) for case, one in found}))
    head = ["4 threads, unless said", "peak MiB", "predicted MiB", "allowed MiB", "ratio", "", "wall s"]
    report("awkward", Table(head, [row(*each) for each in found], note=_summary(found)), whole=cases == CASES)


def _summary(found: list[tuple[Case, Found]]) -> str:
    exceeded = sum(not one.holds for _, one in found)
    close = sum(one.predicted <= SLACK * one.peak for _, one in found)
    return f"{exceeded} of {len(found)} exceed; {close} are predicted at no more than {SLACK} times their peak"


if __name__ == "__main__":
    main()
