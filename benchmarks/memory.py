"""Whether memory stays flat as the volume grows, whatever its chunks, and below what the plan says.

``python -m benchmarks.memory [--tiny] [WORD …]``: peak RSS of the process against the prediction, of the cases
whose names have one of the words.
"""

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.process import Cost, measure
from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

MIB = 2**20
CUBE, WIDE = (128, 128, 128), (512, 1024, 1024)
LZ4 = {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1}}


@dataclass(frozen=True)
class Case:
    """A volume, how it comes, and how it is written.

    Attributes
    ----------
    chunks, stored_shards : tuple of int
        In which it comes; shards only where it is stored.
    target_chunks, shards : int or tuple of int
        In which its levels are stored.
    source : str
        A row of `SOURCES`.
    memory : str, optional
        The budget.
    """

    name: str
    shape: tuple[int, ...] = (1024, 1024, 1024)
    chunks: tuple[int, ...] = (128, 128, 128)
    stored_shards: tuple[int, ...] | None = None
    target_chunks: int | tuple[int, ...] = 128
    shards: int | tuple[int, ...] | None = None
    method: str = "mean"
    dtype: str = "uint16"
    source: str = "lazy"
    memory: str | None = None
    staging: bool = False


CASES = [
    Case("2 GiB, chunks 128³"),
    Case("8 GiB, chunks 128³", (4096, 1024, 1024)),
    Case("2 GiB, planes 1×1024²", chunks=(1, 1024, 1024)),
    Case("2 GiB, chunks 100³", chunks=(100, 100, 100)),
    Case("2 GiB, shards 256³", shards=256),
    Case("2 GiB, shards 512³", shards=512),
    Case("2 GiB, gaussian", method="gaussian"),
    Case("2 GiB, planes 1×2048²", (256, 2048, 2048), (1, 2048, 2048)),
    Case("2 GiB, planes 1×2048², stored", (256, 2048, 2048), (1, 2048, 2048), source="stored"),
    Case("2 GiB, planes 1×2048², dask", (256, 2048, 2048), (1, 2048, 2048), source="dask"),
    Case("1 GiB, dask chunks 512³", (1024, 1024, 512), (512, 512, 512), source="dask"),
    Case("1 GiB, dask computed 256³", (1024, 1024, 512), (256, 256, 256), source="computed"),
    Case("1 GiB, stored 512³", (1024, 1024, 512), (512, 512, 512), source="stored"),
    Case("1 GiB, dask 100³", (1024, 1024, 512), (100, 100, 100), source="dask"),
    Case("1 GiB, stored 100³", (1024, 1024, 512), (100, 100, 100), source="stored"),
    Case("1 GiB, median, float64", (512, 512, 512), method="median", dtype="float64"),
    Case("1 GiB, mean, float64", (512, 512, 512), dtype="float64"),
    Case("1 GiB, mean, uint8", (1024, 1024, 1024), dtype="uint8"),
    Case("1 GiB, mode, uint32", (512, 512, 1024), method="mode", dtype="uint32"),
    Case("1 GiB, gaussian, float32", (512, 512, 1024), method="gaussian", dtype="float32"),
    Case("1 GiB, contiguous, memory map", WIDE, source="mapped"),
    Case("1 GiB, contiguous, HDF5", WIDE, source="hdf5"),
    Case("1 GiB, stored slabs 32×1024², to shards 256³", WIDE, (32, 1024, 1024), shards=256, source="stored"),
    Case("1 GiB, stored in shards 128×1024², to 256³", WIDE, CUBE, (128, 1024, 1024), shards=256, source="stored"),
    Case("1 GiB, stored 128³, to shards 32×1024²", WIDE, CUBE, None, (32, 128, 128), (32, 1024, 1024), source="stored"),
    Case("1 GiB, whole in one chunk, stored", WIDE, WIDE, source="stored"),
    Case("1 GiB, whole in one chunk, dask", WIDE, WIDE, source="dask"),
]  # fmt: skip
TINY = [Case("tiny", (128, 128, 128)), Case("tiny planes", (128, 128, 128), (1, 128, 128))]


def _tiled(c: Case) -> Tiled:
    volume = Tiled(c.shape, c.chunks, c.dtype)
    volume.tile  # noqa: B018 (made now, so that it does not count as memory of a unit)
    return volume


def _dask(c: Case, folder: str) -> Any:
    import dask.array as da

    return da.from_array(_tiled(c), chunks=c.chunks)


def _computed(c: Case, folder: str) -> Any:
    return _dask(c, folder) + 1


def _stored(c: Case, folder: str) -> Any:
    """Stored by another process, so that its memory does not count here."""
    import zarr

    measure("benchmarks.memory:store", case=vars(c), path=f"{folder}/source")
    return zarr.open_array(f"{folder}/source", mode="r")


def _mapped(c: Case, folder: str) -> Any:
    import numpy as np

    measure("benchmarks.memory:store_contiguous", case=vars(c), path=f"{folder}/source.npy")
    return np.load(f"{folder}/source.npy", mmap_mode="r")


def _hdf5(c: Case, folder: str) -> Any:
    import h5py

    measure("benchmarks.memory:store_contiguous", case=vars(c), path=f"{folder}/source.h5")
    return h5py.File(f"{folder}/source.h5", "r")["image"]


SOURCES: Mapping[str, Callable[[Case, str], Any]] = {
    "lazy": lambda c, folder: _tiled(c),
    "dask": _dask,
    "computed": _computed,
    "stored": _stored,
    "mapped": _mapped,
    "hdf5": _hdf5,
}
"""How a volume comes: as an array-like, a Dask array, one that is computed, a zarr array, a file without chunks."""


def _case(values: Mapping[str, Any]) -> Case:
    return Case(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


def store(case: dict[str, Any], path: str) -> None:
    """Store the volume of a case as a zarr array in its chunks."""
    import dask.array as da
    import zarr

    c = _case(case)
    options = {"chunks": c.chunks, "shards": c.stored_shards, "compressors": LZ4}
    array = zarr.create_array(path, shape=c.shape, dtype=c.dtype, **options)
    da.store(da.from_array(_tiled(c), chunks=c.stored_shards or c.chunks), array, lock=False)


def store_contiguous(case: dict[str, Any], path: str) -> None:
    """Store the volume of a case in a file without chunks: .npy or HDF5."""
    import h5py
    import numpy as np

    c = _case(case)
    if path.endswith(".npy"):
        array = np.lib.format.open_memmap(path, "w+", c.dtype, c.shape)
    else:
        array = h5py.File(path, "w").create_dataset("image", c.shape, c.dtype)
    for start in range(0, c.shape[0], 128):
        array[start : start + 128] = _tiled(c)[slice(start, start + 128), slice(0, c.shape[1]), slice(0, c.shape[2])]


def write(case: dict[str, Any], threads: int = 2) -> int:
    """Write a case to a temporary folder, with 5 levels, and return the memory that the plan predicts."""
    import dask

    import daskome

    c = _case(case)
    folder = tempfile.mkdtemp()
    options = {"chunks": c.target_chunks, "compressors": LZ4}
    try:
        with dask.config.set(num_workers=threads):
            plan = daskome.write_image(
                SOURCES[c.source](c, folder), f"{folder}/a", [2, 4, 8, 16], method=c.method, memory=c.memory,
                storage_options=options | ({"shards": c.shards} if c.shards else {}),
                **({"staging": True} if c.staging else {}),
            )  # fmt: skip
    finally:
        shutil.rmtree(folder)
    return plan.memory


def run(case: Case) -> Cost:
    """Measure a case in a process of its own."""
    return measure("benchmarks.memory:write", case=vars(case))


def row(case: Case) -> list[str]:
    """Return a case as a row of the table."""
    cost = run(case)
    ratio = cost.result / cost.peak
    return [case.name, f"{cost.peak / MIB:.0f}", f"{cost.result / MIB:.0f}", f"{ratio:.2f}", f"{cost.wall:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("words", nargs="*")
    asked = parser.parse_args()
    every = TINY if asked.tiny else CASES
    cases = [case for case in every if not asked.words or any(word in case.name for word in asked.words)]
    head = ["5 levels, 2 threads; uint16 and mean, unless said", "peak MiB", "predicted MiB", "ratio", "wall s"]
    report("memory", Table(head, [row(case) for case in cases]), whole=cases == CASES)


if __name__ == "__main__":
    main()
