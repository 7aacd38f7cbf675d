"""Whether memory stays flat as the volume grows, whatever its chunks, and below what the plan says.

``python -m benchmarks.memory [--tiny]``: peak RSS of the process against the prediction.
"""

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any

from benchmarks.process import Cost, markdown, measure
from benchmarks.volumes import Tiled

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """A volume, how it is stored, and how it is written."""

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...] = (128, 128, 128)
    shards: int | None = None
    method: str = "mean"


CASES = [
    Case("2 GiB, chunks 128³", (1024, 1024, 1024)),
    Case("8 GiB, chunks 128³", (4096, 1024, 1024)),
    Case("2 GiB, planes 1×1024²", (1024, 1024, 1024), (1, 1024, 1024)),
    Case("2 GiB, chunks 100³", (1024, 1024, 1024), (100, 100, 100)),
    Case("2 GiB, shards 256³", (1024, 1024, 1024), shards=256),
    Case("2 GiB, gaussian", (1024, 1024, 1024), method="gaussian"),
]
TINY = [Case("tiny", (128, 128, 128)), Case("tiny planes", (128, 128, 128), (1, 128, 128))]


def write(case: dict[str, Any], threads: int = 2) -> int:
    """Write a case to a temporary folder, with 5 levels, and return the memory that the plan predicts."""
    import dask

    import daskome

    c = Case(**{k: tuple(v) if isinstance(v, list) else v for k, v in case.items()})
    folder = tempfile.mkdtemp()
    options = {"chunks": 128, "compressors": {"name": "blosc", "configuration": {"cname": "lz4", "clevel": 1}}}
    try:
        with dask.config.set(num_workers=threads):
            plan = daskome.write_image(
                Tiled(c.shape, c.chunks), f"{folder}/a", [2, 4, 8, 16], method=c.method,
                storage_options=options | ({"shards": c.shards} if c.shards else {}),
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
    return [case.name, f"{cost.peak / MIB:.0f}", f"{cost.result / MIB:.0f}", f"{cost.wall:.1f}", f"{cost.cpu:.1f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    cases = TINY if parser.parse_args().tiny else CASES
    head = ["uint16 volume, 5 levels, 2 threads", "peak MiB", "predicted MiB", "wall s", "CPU s"]
    print(markdown(head, [row(case) for case in cases]))


if __name__ == "__main__":
    main()
