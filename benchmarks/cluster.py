"""What a cluster costs beside threads, on work that is long enough to tell: 16 GiB.

``python -m benchmarks.cluster [--tiny]``: as in `benchmarks/floor.py`, whose volumes are so small that a second of
distributed's own work counts: its processes live, listen and watch themselves, whatever they do.
"""

import argparse

from benchmarks.floor import TINY, Case, rows
from benchmarks.report import Table, report

CASES = [Case(2048, "lz4", 5), Case(2048, "zstd", 1)]
WAYS = [
    "daskome, threads",
    "daskome, processes",
    "daskome, LocalCluster of 1×2",
    "daskome, LocalCluster of 2×1",
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    cases = TINY if parser.parse_args().tiny else CASES
    head = ["volume", "written by", "wall s", "CPU s", "wall, ×threads", "CPU, ×threads", "peak MiB", "stored MiB"]
    table = Table(head, [row for case in cases for row in rows(case, WAYS)], drawn="CPU s")
    report("cluster", table, whole=cases == CASES)


if __name__ == "__main__":
    main()
