"""What it takes to write into a bucket, near and far, and from one bucket into another; beside files, and by others.

``python -m benchmarks.cloud [--tiny] [--latency 50 --edge 512 --stored 64 --threads 2 8 --who daskome …]``: a real S3
server (Ceph's RGW with its objects in memory where Debian's packages are installed, else moto's), reached through a
process that delays every answer and bounds each connection (`tests.servers.distance`). A stored zarr array, in files or
in the same far bucket (``--source s3``), is written in four levels, Blosc zstd-3; each time by a process of its own, in
turns, medians of the rounds; imports are not counted, nor the CPU seconds of the server, which shares the machine.
*Trips* are the round trips that were made one after another. ``files`` instead of a latency writes files.
`benchmarks/programs.py` shows how each program is called. Any option makes a comparison of its own: all that it names
with each other.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby, product
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.process import Cost, measure
from benchmarks.report import Table, report
from tests.servers import s3
from tests.servers.distance import Distance, Far, Traffic, distance

LEVELS = 4
ZARR = ["dask.array", "zarr", "s3fs", "aiobotocore.session"]
PROGRAMS = {
    "daskome": [*ZARR, "daskome.writer"],
    "tensorstore": ["tensorstore"],
    "ome_zarr": [*ZARR, "ome_zarr.writer"],
    "dask_alone": ZARR,
}
"""Who writes, and what each imports before the clock starts. Dask alone writes level 0 and nothing else."""
FILES = "files"


@dataclass(frozen=True)
class Volume:
    """A cube of so many voxels along each edge, in chunks and shards of so many (0: no shards), read from `source`."""

    edge: int
    chunk: int
    shard: int = 0
    source: str = FILES

    @property
    def name(self) -> str:
        """What is written."""
        shards = f" in shards of {self.shard}³" if self.shard else ""
        return f"{self.edge}³ uint16, chunks {self.chunk}³{shards}{', S3 to S3' if self.source == 's3' else ''}"


@dataclass(frozen=True)
class Case:
    """A volume that a program writes: so many milliseconds away, or into files; with so many threads."""

    volume: Volume
    latency: str
    threads: int
    program: str

    @property
    def name(self) -> str:
        """Who writes, and how."""
        place = FILES if self.latency == FILES else f"{self.latency} ms"
        return f"{self.program}, {self.threads} threads, {place}"


@dataclass(frozen=True)
class Run:
    """What one run took, what it asked of the server, and what is wrong with what it left."""

    cost: Cost
    traffic: Traffic
    wrong: str


@dataclass(frozen=True)
class Place:
    """Where an image lies, as a folder and in a bucket, and its mean; and the server, near and far."""

    server: s3.S3
    far: Distance
    folder: str
    bucket: str
    mean: float


def cases(
    volumes: Sequence[Volume], latencies: Sequence[str], threads: Sequence[int], programs: Sequence[str]
) -> list[Case]:
    """Return every volume with every latency, number of threads and program."""
    return [Case(*each) for each in product(volumes, latencies, threads, programs)]


def full() -> list[Case]:
    """Return the cases of the report."""
    ours, small = ["daskome", "tensorstore"], Volume(512, 64)
    large = [Volume(512, 128), Volume(512, 64, 256), Volume(1024, 64), Volume(1024, 64, 512)]
    copies = [Volume(512, chunk, source="s3") for chunk in (64, 128)]
    return [
        *cases([small], [FILES, "0", "20", "50", "100"], [2], ours),
        *cases([small], ["50"], [2], [other for other in PROGRAMS if other not in ours]),
        *cases([small], ["50"], [8], ours),
        *cases(large, [FILES, "50"], [2], ours),
        *cases(copies, ["50"], [2, 8], ours),
    ]


TINY = cases([Volume(64, 32, source="s3")], ["20"], [2], list(PROGRAMS))


@contextmanager
def place(volume: Volume) -> Iterator[Place]:
    """Start a server, and store the image of a volume: in a folder, or in a bucket."""
    import zarr

    with tempfile.TemporaryDirectory(dir=peers.memory()) as folder, s3.serve(Path(folder, "server")) as server:
        peers.store(peers.Case("", "", "zyx", (volume.edge,) * 3, (volume.chunk,) * 3), f"{folder}/image/")
        mean, bucket = float(zarr.open_array(f"{folder}/image")[:128, :128, :128].mean()), ""
        if volume.source != FILES:
            bucket = server.bucket()
            server.filesystem().put(f"{folder}/image", f"{bucket}/image", recursive=True)
        with distance(server.endpoint) as far:
            yield Place(server, far, f"{folder}/image/", bucket, mean)


def run(case: Case, place: Place) -> Run:
    """Write a pyramid once."""
    with _target(case, place) as (target, options):
        source = place.folder if case.volume.source == FILES else f"s3://{place.bucket}/image/"
        told = {"axes": "zyx", "levels": LEVELS, "method": "mean", "threads": case.threads, "shard": case.volume.shard}
        call, python = f"benchmarks.programs:{case.program}", peers.python(case.program) or sys.executable
        place.far.set(Far(latency=0 if case.latency == FILES else float(case.latency) / 1000))
        cost = measure(call, python, PROGRAMS[case.program], source=source, target=target, **told)
        traffic = place.far.set()
        levels = 1 if case.program == "dask_alone" else LEVELS
        return Run(cost, traffic, ", ".join(peers.wrong(target, levels, place.mean, options)))


@contextmanager
def _target(case: Case, place: Place) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Make a place for a pyramid; yield its address, and the options by which it is reached without a delay."""
    if case.latency == FILES:
        with tempfile.TemporaryDirectory(dir=peers.memory()) as folder:
            yield f"{folder}/a", None
        return
    os.environ.update(_environment(place))
    bucket = place.server.bucket()
    yield f"s3://{bucket}/a", place.server.options | {"use_listings_cache": False, "skip_instance_cache": True}
    place.server.filesystem().rm(bucket, recursive=True)


def _environment(place: Place) -> dict[str, str]:
    """Return who asks, and of whom, as Amazon's own tools, s3fs and TensorStore find it."""
    return {
        "AWS_ACCESS_KEY_ID": place.server.key,
        "AWS_SECRET_ACCESS_KEY": place.server.secret,
        "AWS_ENDPOINT_URL": place.far.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def runs(asked: Sequence[Case], rounds: int) -> Iterator[tuple[Case, list[Run]]]:
    """Yield the cases with their runs; those of a volume take turns, on a server of their own."""
    for volume, group in groupby(asked, lambda case: case.volume):
        found: dict[Case, list[Run]] = {case: [] for case in group}
        with place(volume) as where:
            for _, case in product(range(rounds), found):
                try:
                    found[case].append(run(case, where))
                except subprocess.CalledProcessError as error:
                    print(f"{volume.name}, {case.name}: {error}", file=sys.stderr)
        yield from found.items()


def rows(measured: Sequence[tuple[Case, list[Run]]]) -> Iterator[list[str]]:
    """Yield a row per case: medians, and ratios to daskome's, or whoever was first."""
    first: dict[tuple[Volume, str, int], Run] = {}
    for case, all_ in measured:
        if not all_:
            yield [case.volume.name, case.name, *["–"] * 8, "failed"]
            continue
        middle = _median(all_)
        base = first.setdefault((case.volume, case.latency, case.threads), middle).cost
        cost, traffic = middle.cost, middle.traffic
        seconds = [f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.wall / base.wall:.2f}", f"{cost.cpu / base.cpu:.2f}"]
        asked = ", ".join(f"{count:,} {kind}" for kind, count in sorted(traffic.requests.items()))
        sizes = [f"{cost.peak / 2**20:.0f}", f"{traffic.most}", f"{traffic.trips}", asked]
        yield [case.volume.name, case.name, *seconds, *sizes, middle.wrong]


def _median(all_: Sequence[Run]) -> Run:
    """Return the run whose wall time is in the middle, with the medians of all."""
    middle = sorted(all_, key=lambda one: one.cost.wall)[len(all_) // 2]
    values = {what: statistics.median(getattr(one.cost, what) for one in all_) for what in ("wall", "cpu", "peak")}
    return replace(middle, cost=replace(middle.cost, **values))


def _cases(given: argparse.Namespace) -> list[Case]:
    if given.tiny:
        return TINY
    chosen = {key: value for key, value in vars(given).items() if key not in ("tiny", "rounds") and value}
    if not chosen:
        return full()
    stored = [tuple(map(int, text.split("/"))) for text in given.stored or ["64"]]
    edges, sources = given.edge or [512], given.source or [FILES]
    volumes = [Volume(edge, *(*sizes, 0)[:2], source) for edge, sizes, source in product(edges, stored, sources)]
    return cases(volumes, given.latency or ["50"], given.threads or [2], given.who or ["daskome", "tensorstore"])


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--latency", nargs="+", metavar="MS", help="milliseconds, or files")
    parser.add_argument("--edge", nargs="+", type=int, metavar="VOXELS")
    parser.add_argument("--stored", nargs="+", metavar="CHUNK[/SHARD]", help="edges: 64, or 64/256 for shards")
    parser.add_argument("--threads", nargs="+", type=int)
    parser.add_argument("--who", nargs="+", choices=PROGRAMS)
    parser.add_argument("--source", nargs="+", choices=[FILES, "s3"], help="where the image lies")
    parser.add_argument("--rounds", type=int, default=3)
    return parser


def main() -> None:
    """Print the table."""
    given = _arguments().parse_args()
    asked = _cases(given)
    measured = list(runs(asked, 1 if given.tiny else given.rounds))
    busiest = max((one.traffic.busy for _, all_ in measured for one in all_), default=0)
    head = ["volume", "written by", "wall s", "CPU s", "wall, ×ours", "CPU, ×ours", "peak MiB", "most open", "trips"]
    note = f"The delay takes at most {busiest:.0%} of a core."
    table = Table([*head, "requests", "what is wrong"], list(rows(measured)), drawn="wall s", note=note)
    report("cloud", table, whole=asked == full())


if __name__ == "__main__":
    main()
