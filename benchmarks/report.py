"""The form of all reports: Markdown on the screen; of whole runs also in benchmarks/results/, with a picture."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("daskome", "dask", "distributed", "zarr", "numcodecs", "numpy")


@dataclass(frozen=True)
class Table:
    """Rows under a head; the column named by `drawn`, if any, is drawn, a group of bars for each value of the first."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    drawn: str = ""
    note: str = ""

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{text}\n\n{self.note}" if self.note else text


def report(name: str, *tables: Table, whole: bool) -> None:
    """Print tables, and what they were measured on; write them to `RESULTS`, if all was measured.

    Parameters
    ----------
    name : str
        Of the benchmark, with a word for a part of it: ``peers-slide``.
    *tables : Table
    whole : bool
        Whether all cases are in them, in full.
    """
    text = "\n\n".join([*(table.markdown for table in tables), machine()])
    print(text, flush=True)
    if not whole:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(
        f"`python -m benchmarks.{name.replace('-', ' ')}`\n\n{text}\n", encoding="utf-8"
    )
    drawn = [table for table in tables if table.drawn]
    if drawn and find_spec("matplotlib"):
        _draw(drawn[0], RESULTS / f"{name}.png")


def machine() -> str:
    """Return date, machine and versions in a line."""
    found = ", ".join(f"{package} {_version(package)}" for package in PACKAGES)
    date, python = time.strftime("%Y-%m-%d"), platform.python_version()
    return f"{date}, {os.cpu_count()} cores {_processor()}, Python {python}, {found}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not here"


def _processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _draw(table: Table, path: Path) -> None:
    """Draw a column as bars."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    column = list(table.head).index(table.drawn)
    groups = list(dict.fromkeys(row[0] for row in table.rows))
    figure, axes = pyplot.subplots(
        len(groups), squeeze=False, figsize=(8, 0.6 + 0.35 * (len(table.rows) + len(groups)))
    )
    for group, place in zip(groups, axes[:, 0], strict=True):
        bars = [(row[1], _number(row[column])) for row in table.rows if row[0] == group]
        place.barh([label for label, _ in bars], [value for _, value in bars])
        place.invert_yaxis()
        place.set_title(f"{group}: {table.drawn}", fontsize=9)
        place.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def _number(cell: str) -> float:
    try:
        return float(cell.replace(",", ""))
    except ValueError:
        return 0.0


__all__: list[Any] = ["Table", "machine", "report"]
