"""The ``daskome`` command. It imports Dask and zarr only when there is work to do."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import click

from daskome import __version__, table

FAILED, REFUSED, STOPPED, INTERRUPTED = 1, 2, 75, 130


class Values(click.ParamType[Any]):
    """Values along axes: one number, numbers by commas, or name=value pairs by commas; or JSON."""

    def __init__(self, number: Callable[[str], Any]) -> None:
        self.name = "VALUES"
        self.number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return an int or float, a list, or a dict by axis name."""
        if not isinstance(value, str):
            return value
        try:
            if value[:1] in "[{":
                return json.loads(value)
            parts = [part.strip() for part in value.split(",")]
            if all("=" in part for part in parts):
                return {k.strip(): self.number(v) for k, v in (part.split("=", 1) for part in parts)}
            return self.number(parts[0]) if len(parts) == 1 else [self.number(part) for part in parts]
        except ValueError:
            self.fail(
                f"{value!r} is none of: a number, numbers as in 2,0.5,0.5, names as in z=2,y=0.5, JSON", param, ctx
            )


class Factors(Values):
    """What scale_factors may be."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return "auto", None, or a list."""
        if value in ("auto", "none"):
            return None if value == "none" else value
        found = super().convert(value, param, ctx)
        return found if isinstance(found, list) else [found]


class Blocks(click.ParamType[Any]):
    """How many blocks of a level: all, or a positive number."""

    name = "[all|N]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return True for all, or an int."""
        if not isinstance(value, str) or value == "all":
            return True if value == "all" else value
        if value.isdecimal() and int(value) > 0:
            return int(value)
        return self.fail(f"{value!r} is neither 'all' nor a positive number of blocks, as in --pixels=8", param, ctx)


class Pairs(click.ParamType[Any]):
    """A key and its value, as in key=value; the value may be JSON."""

    name = "KEY=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return key and value."""
        if isinstance(value, tuple):
            return value
        key, separator, text = value.partition("=")
        if not separator:
            self.fail(f"{value!r} has no '='", param, ctx)
        try:
            return key, json.loads(text)
        except ValueError:
            return key, text


class Part(click.ParamType[Any]):
    """Part i of n of a stage; "auto" for i asks the batch scheduler."""

    name = "I/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return i, or None for "auto", and n."""
        if not isinstance(value, str):
            return value
        i, _, n = value.partition("/")
        if (i.isdecimal() or i == "auto") and n.isdecimal() and int(n):
            return (None if i == "auto" else int(i)), int(n)
        return self.fail(f"{value!r} is neither i/n, as in 3/64, nor auto/n", param, ctx)


_FS_OPTION = click.option(
    "--fs-option",
    "fs_options",
    type=Pairs(),
    multiple=True,
    help="Option of the file system of OUT's URL; repeatable.",
)
_IN_OPTION = click.option(
    "--in-option",
    "in_options",
    type=Pairs(),
    multiple=True,
    help="Option of the file system of IN's URL; repeatable.",
)
_MEMORY = click.option("--memory", metavar="SIZE", help="What a worker may use, such as 2GB.")
_THREADS = click.option("--threads", type=click.IntRange(1), help="Threads to use; by default all cores.")
_RETRIES = click.option(
    "--retries", type=click.IntRange(0), default=2, show_default=True, help="How often a failing unit is tried again."
)
_QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
_LABELS = click.option("--labels", metavar="NAME", help="The labels of this name, of the image at OUT.")

_DESCRIBE = [
    click.option("--axes", metavar="AXES", help="Names of the axes, such as tczyx; if the input has none."),
    click.option("--scale", type=Values(float), help="Voxel size: 2,0.5,0.5 or z=2,y=0.5,x=0.5."),
    click.option("--translation", type=Values(float), help="Position of the centre of the first voxel."),
    click.option("--unit", help="Unit of the axes of space, such as micrometer."),
    click.option("--name", help="Name of the image."),
    click.option(
        "--method",
        help="mean, the default (of labels: mode), median, mode, min, max, nearest, gaussian, resize, zoom, laplacian,"
        " module:function.",
    ),
    click.option(
        "--scale-factors",
        type=Factors(int),
        default="auto",
        show_default=True,
        help='Relative to the input: 2,4,8; JSON as in \'[{"y": 2, "x": 2}]\'; none.',
    ),
    click.option(
        "--fmt",
        "--ome-version",
        "fmt",
        help="OME-Zarr version: 0.5 (the default), 0.6 (zarr v3), 0.1 to 0.4 (zarr v2).",
    ),
    click.option("--chunks", type=Values(int), help="Chunk shape: 128, or 64,256,256, or z=1,y=512,x=512."),
    click.option("--shards", type=Values(int), help="Shard shape, whole multiples of the chunks."),
    click.option("--compressor", metavar="CODEC", help="none, zstd:3, gzip:5, blosc:lz4:5:bitshuffle."),
    click.option(
        "--storage-options",
        type=Values(str),
        metavar="JSON",
        help="One object for all levels, or a list with one per level.",
    ),
    click.option("--channels", metavar="NAMES", help="Add display metadata: names of the channels by commas, or JSON."),
    _MEMORY,
    click.option("--staging", is_flag=True, help="Allow a temporary copy of an IN that would be read over four times."),
    _THREADS,
    _FS_OPTION,
    _IN_OPTION,
    click.option("--overwrite", is_flag=True, help="Replace an image that is there."),
]


def _describing(command: Any) -> Any:
    for option in reversed(_DESCRIBE):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="daskome")
def main() -> None:
    """Write image volumes of any size as OME-Zarr pyramids, and look after them.

    IN is a zarr array or OME-Zarr image (path or URL), a .npy, TIFF, OME-TIFF or NIfTI file, or a
    dataset of an HDF5 file (file.h5::dataset). OUT is a path or a URL that fsspec knows (s3://,
    gs://, az://, …).

    \b
    Exit status: 0 done, 1 failed or problems found, 2 refused before anything was written,
    75 told to stop (SIGTERM) and to be run again, 130 interrupted.
    """


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="[OUT]", required=False)
@_describing
@click.option("--labels", metavar="NAME", help="IN are labels of the image at OUT: write them to labels/NAME in it.")
@click.option("--add-levels", is_flag=True, help="Add coarser levels to the image at IN, which stays as it is.")
@click.option("--resume", is_flag=True, help="Go on with what was interrupted; begin where nothing was begun.")
@_RETRIES
@_QUIET
def write(source: str, target: str | None, labels: str | None, add_levels: bool, quiet: bool, **options: Any) -> None:
    """Write IN as an OME-Zarr pyramid to OUT, or as labels of the image there; or add levels to the image at IN.

    \b
    daskome write brain.nii.gz brain.ome.zarr
    daskome write cells.tif brain.ome.zarr --labels cells
    daskome write brain.ome.zarr --add-levels
    daskome write stack.h5::raw s3://bucket/stack.ome.zarr --scale 2,0.5,0.5 --unit micrometer \\
        --chunks 64 --shards 512 --compressor blosc:zstd:3
    """
    if add_levels == (target is not None):
        raise click.UsageError("give IN and OUT, or --add-levels with one image alone")
    with _reporting(target or source):
        call = _adding(source, options) if target is None else _writing(source, target, labels, options)
        how = {key: options[key] for key in ("retries", "resume")}
        with _threads(options["threads"]), _stopping(), _bar(f"writing {target or source}", quiet) as progress:
            plan = call(progress=progress, **how)
        if not quiet:
            click.echo(repr(plan))


@main.command()
@click.argument("source", metavar="[IN]", required=False)
@click.argument("target", metavar="[OUT]", required=False)
@_describing
@click.option("--shape", type=Values(int), help="Plan a volume of this shape that is not there; instead of IN.")
@click.option("--dtype", help="Its dtype, such as uint16.")
@click.option("--source-chunks", type=Values(int), help="The pieces in which it will be stored, as in 1,2048,2048.")
@click.option("--workers", type=click.IntRange(1), help="Plan it for so many workers of --threads and --memory each.")
@click.option("--rate", default="100MB/s", show_default=True, help="What a thread reads of pixels; for the hours.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, as Plan.from_json reads it.")
@click.option("--try-codecs", is_flag=True, help="Compress some chunks of IN with each of many compressors; a table.")
def plan(source: str | None, target: str | None, rate: str, as_json: bool, try_codecs: bool, **options: Any) -> None:
    """Show what `daskome write` would do, and write nothing; of a volume that is not there, with --shape.

    \b
    daskome plan stack.h5::raw --chunks 64 --shards 512
    daskome plan stack.h5::raw --chunks 64 --try-codecs    # which --compressor is small and fast for it
    daskome plan --shape 100000,100000,100000 --dtype uint8 --source-chunks 1,100000,100000 \\
        --workers 200 --threads 4 --memory 64GB --rate 80MB/s

    Reading, downsampling, compressing and writing count in the rate, in bytes of uncompressed pixels that are read.
    """
    with _reporting():
        if try_codecs:
            click.echo(repr(_tried(source, options)))
            return
        speed = table.parsed_nbytes(rate.removesuffix("/s"))
        found = _planned(source, target, options)
        click.echo(found.to_json() if as_json else found.text(speed))


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@_describing
@click.option("--labels", metavar="NAME", help="IN are labels of the image at OUT: write them to labels/NAME in it.")
@_QUIET
def init(source: str, target: str, labels: str | None, quiet: bool, **options: Any) -> None:
    """Begin to write IN to OUT: make the empty arrays, for any number of `daskome run` to fill.

    \b
    daskome init brain.nii.gz brain.ome.zarr --chunks 64
    daskome script brain.ome.zarr --slurm --jobs 64 > submit.sh      # or by hand:
    daskome run brain.ome.zarr --stage 0 --part 3/64                 # each part in any job, in any order
    daskome status brain.ome.zarr
    daskome finish brain.ome.zarr
    """
    with _reporting(target):
        with _threads(options["threads"]):
            plan = _writing(source, target, labels, options)(compute="init")
        if not quiet:
            click.echo(repr(plan))
            which = f"{target} --labels {labels}" if labels else target
            click.echo(
                f"begun; next: daskome script {which} --slurm, or daskome run {which}, then daskome finish {which}"
            )


@main.command()
@click.argument("target", metavar="OUT")
@click.option("--stage", type=click.IntRange(0), help="Which stage; without it all, one after the other.")
@click.option("--part", type=Part(), default="0/1", help="Part i of n of the stage, from 0; auto/n: by the job array.")
@click.option("--one-based", is_flag=True, help="Parts are counted from 1.")
@_LABELS
@_MEMORY
@_THREADS
@_FS_OPTION
@_IN_OPTION
@_RETRIES
@_QUIET
def run(
    target: str, part: tuple[int | None, int], one_based: bool, threads: int | None, quiet: bool, **options: Any
) -> None:
    """Write a part of what `daskome init` has begun at OUT. Units that are finished are left out.

    With --part auto/64 the part is taken from SLURM_ARRAY_TASK_ID, PBS_ARRAY_INDEX, SGE_TASK_ID or LSB_JOBINDEX.
    SIGTERM ends it after the unit in hand, with exit status 75: run it again, and it goes on.
    """
    with _reporting(target):
        import daskome

        chosen = _part(part, one_based)
        options |= {key: dict(options[key]) or None for key in ("fs_options", "in_options")}
        with _threads(threads), _stopping(), _bar(f"writing {target}", quiet) as progress:
            found = daskome.run_part(target, part=chosen, progress=progress, **options)
        if not quiet:
            click.echo(repr(found))


@main.command()
@click.argument("target", metavar="OUT")
@_LABELS
@_FS_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(target: str, labels: str | None, fs_options: tuple[Any, ...], as_json: bool) -> None:
    """Show how far it is, what was begun at OUT or was interrupted: units, bytes, failures, time left."""
    with _reporting():
        import daskome

        found = daskome.status(target, labels=labels, fs_options=dict(fs_options) or None)
        click.echo(json.dumps(asdict(found), indent=2) if as_json else repr(found))


@main.command()
@click.argument("target", metavar="OUT")
@_LABELS
@_FS_OPTION
@_QUIET
def finish(target: str, labels: str | None, fs_options: tuple[Any, ...], quiet: bool) -> None:
    """Publish what `daskome run` has written to OUT; refuse, and list what is missing, while anything is."""
    with _reporting():
        import daskome

        plan = daskome.finish(target, labels=labels, fs_options=dict(fs_options) or None)
        if not quiet:
            click.echo(repr(plan))


@main.command()
@click.argument("target", metavar="OUT")
@click.option("--slurm", "scheduler", flag_value="slurm", default=True, help="For Slurm (the default).")
@click.option("--pbs", "scheduler", flag_value="pbs", help="For PBS Pro and OpenPBS.")
@click.option("--sge", "scheduler", flag_value="sge", help="For Grid Engine.")
@click.option("--lsf", "scheduler", flag_value="lsf", help="For LSF.")
@click.option("--jobs", type=click.IntRange(1), default=64, show_default=True, help="Of each stage, at most.")
@click.option("--threads", type=click.IntRange(1), help="Of each job; by default those for which it was planned.")
@click.option("--hours", type=click.IntRange(1), default=24, show_default=True, help="Of each job, at most.")
@click.option("--memory", metavar="SIZE", help="Of each job; by default what is predicted, and a quarter to spare.")
@click.option(
    "--option", "options", multiple=True, help="Of the submitting command, as in --option=-plong; repeatable."
)
@_LABELS
@_FS_OPTION
def script(target: str, fs_options: tuple[Any, ...], **chosen: Any) -> None:
    """Print a shell script that submits what was begun at OUT: arrays of jobs, a stage after the other, and the end.

    \b
    daskome script brain.ome.zarr --slurm --jobs 64 --option=--partition=long > submit.sh
    bash submit.sh
    """
    with _reporting():
        import daskome

        click.echo(daskome.batch_script(target, fs_options=dict(fs_options) or None, **chosen), nl=False)


@main.command()
@click.argument("url")
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the attributes as they are stored.")
def info(url: str, fs_options: tuple[Any, ...], as_json: bool) -> None:
    """Show what is at URL: levels, axes, sizes, metadata."""
    with _reporting():
        from daskome import information

        click.echo(information.describe(url, dict(fs_options), as_json))


@main.command()
@click.argument("url")
@click.option("--version", help='To check against, "0.1" to "0.6"; by default what the store states.')
@click.option("--strict", is_flag=True, help="Warnings count as problems.")
@click.option("--json", "as_json", is_flag=True, help="Print all problems as JSON.")
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors; with --strict, warnings too.")
def validate(
    url: str, version: str | None, strict: bool, as_json: bool, fs_options: tuple[Any, ...], quiet: bool
) -> None:
    """Check that what is at URL, an image, labels or a plate, is what OME-Zarr says.

    \b
    daskome validate plate.ome.zarr --strict
    """
    with _reporting():
        import daskome

        problems = daskome.validate(url, version, fs_options=dict(fs_options) or None)
        wrong = [problem for problem in problems if strict or not problem.warning]
        if as_json:
            click.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
        for problem in () if as_json else wrong if quiet else problems:
            click.echo(f"{'warning' if problem.warning else 'error'}: {problem}", err=True)
        if not quiet and not as_json:
            click.echo(f"{url}: {_counted([problem.warning for problem in problems])}")
        if wrong:
            raise SystemExit(FAILED)


@main.command()
@click.argument("url")
@click.option(
    "--pixels",
    type=Blocks(),
    default=False,
    is_flag=False,
    flag_value="all",
    help="Recompute levels and compare: all blocks, or --pixels=N blocks a level.",
)
@click.option("--source", help="Compare the first level with this image, too.")
@click.option("--threads", type=click.IntRange(1), help="Threads to use; by default all cores.")
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but problems.")
def verify(
    url: str, pixels: bool | int, source: str | None, threads: int | None, fs_options: tuple[Any, ...], quiet: bool
) -> None:
    """Check the OME-Zarr image at URL: its metadata against its arrays and, on request, its pixels.

    With --pixels, a store that names its method as module:function decides what is imported: use it on
    stores you trust.
    """
    with _reporting():
        import daskome

        image = daskome.read(source) if source else None
        with _threads(threads), _bar(f"verifying {url}", quiet or not (pixels or source), "blocks") as progress:
            problems = daskome.verify(
                url, pixels=pixels, source=image, fs_options=dict(fs_options) or None, progress=progress
            )
        for problem in problems:
            click.echo(f"{problem.where}: {problem.message}", err=True)
        if problems:
            raise SystemExit(FAILED)
        if not quiet:
            click.echo(f"{url}: no problem found; checked: metadata, {_checked(pixels, source)}")


@main.command()
@click.argument("url")
@click.option(
    "--version", "--fmt", "--ome-version", "version", required=True, help="OME-Zarr version to convert to, such as 0.5."
)
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def upgrade(url: str, version: str, dry_run: bool, fs_options: tuple[Any, ...], quiet: bool) -> None:
    """Convert the OME-Zarr image or plate at URL to another version, in place, without touching its pixels.

    \b
    daskome upgrade brain.ome.zarr --version 0.5 --dry-run

    If it is interrupted, run it again: readers see the old version until the new one is whole.
    """
    with _reporting():
        import daskome

        lines = daskome.convert_metadata(url, version, fs_options=dict(fs_options) or None, dry_run=dry_run)
        if not quiet:
            click.echo("\n".join(["nothing is written; this would be done:", *lines] if dry_run else lines))


@main.command()
@click.argument("url")
@click.argument("image", metavar="PNG", type=click.Path(dir_okay=False, writable=True))
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
def preview(url: str, image: str, fs_options: tuple[Any, ...]) -> None:
    """Draw the middle slice of every level at URL side by side into PNG."""
    with _reporting():
        from daskome import preview

        preview.draw(url, image, dict(fs_options) or None)
        click.echo(f"{image}: the middle slice of every level of {url}")


def _writing(source: str, target: str, labels: str | None, options: dict[str, Any]) -> Callable[..., Any]:
    """Return the call that writes an image, or labels of the one at the target."""
    import daskome

    arguments = _arguments(source, **options)
    if labels is None:
        return partial(daskome.write_image, group=target, **arguments)
    if not _is_group(target, arguments["fs_options"]):
        raise ValueError(f"there is no image at {target}, whose labels these could be; write it first")
    arguments |= {"labels": arguments.pop("image"), "name": labels}
    if arguments.pop("channels") is not None:
        raise ValueError("labels have no channels; leave --channels out")
    return partial(daskome.write_labels, group=target, **arguments)


def _planned(source: str | None, target: str | None, options: dict[str, Any]) -> Any:
    """Return the plan of an image for whoever would write it now, or for the workers that the options describe."""
    described = [key for key in ("shape", "dtype", "source_chunks") if options[key] is not None]
    if source is None and not {"shape", "dtype"} <= set(described):
        raise ValueError("give an image, or --shape and --dtype of one that is not there, as in --dtype uint16")
    if source is not None and described:
        raise ValueError(f"--{described[0].replace('_', '-')} describes a volume that is not there; leave {source} out")
    if source is None or options["workers"]:
        return _planned_for_others(source, target, options)
    import daskome

    with _threads(options["threads"]):
        return daskome.plan_image(group=target, **_arguments(source, **options))


def _tried(source: str | None, options: dict[str, Any]) -> Any:
    """Return what compressors do to some chunks of an image."""
    if source is None:
        raise ValueError("--try-codecs needs an image: its chunks are compressed")
    import daskome

    told = _arguments(source, **options)
    return daskome.try_codecs(told["image"], axes=told.get("axes"), chunks=options["chunks"], fmt=told.get("fmt"))


def _planned_for_others(source: str | None, target: str | None, options: dict[str, Any]) -> Any:
    """Return the plan for other workers than there are here. Without IN, neither Dask nor zarr need be imported."""
    from daskome.asked import Asked, warn_of_loss
    from daskome.metadata import DEFAULT_VERSION, find_version
    from daskome.plan import Capacity

    if target is not None:
        raise ValueError(
            f"--workers plans for others than are here, and does not look at {target}; leave one of them out"
        )
    image = _described(options) if source is None else _read(source, options)
    version = find_version(options["fmt"]) if options["fmt"] else DEFAULT_VERSION
    memory = None if options["memory"] is None else table.parsed_nbytes(options["memory"])
    asked = Asked(**_asked(options))
    found, _ = asked.plan(
        image, version, Capacity(options["workers"] or 1, options["threads"] or 1, memory, staging=options["staging"])
    )
    warn_of_loss(version, found.groups[0].metadata)
    return found


def _described(options: dict[str, Any]) -> Any:
    """Return the source that --shape, --dtype and --source-chunks describe."""
    from daskome.images import Volume

    for key in ("shape", "source_chunks"):
        if options[key] is not None and not isinstance(options[key], list):
            raise ValueError(f"--{key.replace('_', '-')} {options[key]} must be numbers by commas, one per axis")
    return Volume(options["shape"], options["dtype"], options["source_chunks"]).source


def _read(source: str, options: dict[str, Any]) -> Any:
    import daskome
    from daskome.sources import as_source

    return as_source(daskome.read(source, dict(options["in_options"]) or None))


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the options say of an image, beside its pixels."""
    keys = ("axes", "scale", "translation", "name", "method", "scale_factors")
    return {
        **{key: options[key] for key in keys},
        "axes_units": options["unit"],
        "channels": _channels(options["channels"]),
        "storage_options": _storage_options(options),
    }


def _is_group(url: str, fs_options: dict[str, Any] | None) -> bool:
    from daskome import storage

    return storage.find_group(storage.locate(url, fs_options)) is not None


def _part(part: tuple[int | None, int], one_based: bool) -> tuple[int, int]:
    """Return part i of n, counted from 0."""
    from daskome.schedulers import part_of_array

    i, n = part
    if i is None:
        return part_of_array(os.environ, n, one_based)
    if not 0 <= i - one_based < n:
        first = int(one_based)
        raise ValueError(f"there is no part {i} of {n}; parts are counted from {first} to {n - 1 + first}")
    return i - one_based, n


def _adding(url: str, options: dict[str, Any]) -> Callable[..., Any]:
    """Return the call that adds levels to an image."""
    import daskome

    said = [key for key in ("axes", "scale", "translation", "unit", "name", "fmt", "channels") if options[key]]
    if said:
        raise ValueError(f"--add-levels takes no --{said[0]}: the image at {url} says it")
    if options["staging"]:
        raise ValueError("--add-levels takes no --staging: the levels are made from one that is stored already")
    keys = ("scale_factors", "method", "memory", "overwrite")
    storage = _storage_options(options) or None
    fs_options = dict(options["fs_options"] or options["in_options"]) or None
    chosen = {key: options[key] for key in keys}
    return partial(daskome.add_levels, url, storage_options=storage, fs_options=fs_options, **chosen)


def _counted(warnings: list[bool]) -> str:
    """Return how many problems there are, of those that are warnings and those that are not.

    >>> _counted([True, False, True])
    '1 error, 2 warnings'
    """
    n_warnings = sum(warnings)
    return f"{table.count(len(warnings) - n_warnings, 'error')}, {table.count(n_warnings, 'warning')}"


def _checked(pixels: bool | int, source: str | None) -> str:
    """Return which pixels were compared.

    >>> _checked(False, "a.npy")
    'the first level against a.npy, not the others (see --pixels)'
    """
    first = f"the first level against {source}" if source else ""
    if pixels is False:
        return f"{first}, not the others (see --pixels)" if first else "not its pixels (see --pixels)"
    amount = "all pixels" if pixels is True else f"{pixels} blocks a level"
    return f"{amount}, {first}" if first else amount


def _arguments(source: str, **options: Any) -> dict[str, Any]:
    """Return the arguments of `daskome.write_image` that the options stand for."""
    import daskome

    return {
        **_asked(options),
        **{key: options[key] for key in ("fmt", "memory", "staging", "overwrite")},
        "image": daskome.read(source, dict(options["in_options"]) or None),
        "fs_options": dict(options["fs_options"]) or None,
    }


def _channels(text: str | None) -> Any:
    if text is None or text[:1] in "[{":
        return None if text is None else json.loads(text)
    return [name.strip() for name in text.split(",")]


def _storage_options(options: dict[str, Any]) -> Any:
    """Return the storage options of all levels, or a list of one per level, with those of their own flags."""
    from daskome.layout import codec
    from daskome.metadata import DEFAULT_VERSION, find_version

    flags = {key: options[key] for key in ("chunks", "shards") if options[key] is not None}
    if options["compressor"]:
        version = find_version(options["fmt"]) if options["fmt"] else DEFAULT_VERSION
        flags["compressors"] = codec(options["compressor"], version.arrays)
    given = options["storage_options"] or {}
    return [{**flags, **level} for level in given] if isinstance(given, list) else {**flags, **given}


@contextmanager
def _reporting(written: str | None = None) -> Iterator[None]:
    """Turn what goes wrong into a message and an exit status; `written` is where the command writes an image."""
    try:
        yield
    except KeyboardInterrupt:
        unfinished = f"; what is at {written}, if writing had begun, is unfinished, and says so" if written else ""
        click.echo(f"\ninterrupted{unfinished}", err=True)
        raise SystemExit(INTERRUPTED) from None
    except _Stopped:
        click.echo("\nstopped by SIGTERM; run it again to go on (write: with --resume)", err=True)
        raise SystemExit(STOPPED) from None
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        message, status = _failure(error)
        click.echo(f"Error: {message}".replace("overwrite=True", "overwrite=True (--overwrite)"), err=True)
        raise SystemExit(status) from error


def _failure(error: Exception) -> tuple[str, int]:
    """Return message and exit status: our own refusals as they are, what others raise in one line with its type."""
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return str(error), REFUSED
    from daskome.jobs import WriteError

    if isinstance(error, WriteError):
        return str(error), FAILED
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":"), FAILED


class _Stopped(BaseException):
    """SIGTERM has come: a batch system wants the machine back."""


@contextmanager
def _stopping() -> Iterator[None]:
    """On SIGTERM, end what is inside after the units in hand; on a second one, at once."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    import dask

    with dask.config.set({"num_workers": threads} if threads else {}):
        yield


@contextmanager
def _bar(label: str, quiet: bool, unit: str = "bytes") -> Iterator[Callable[[int, int], None] | None]:
    """Yield what draws a progress bar with amount, rate and time left; or None, to draw none.

    Where bytes are written, the first call says what was there before: neither rate nor time left are about that.
    """
    if quiet:
        yield None
        return
    pace = _Pace(unit, None if unit == "bytes" else 0)
    with click.progressbar(length=1, label=label, file=sys.stderr, show_percent=True, show_eta=False) as bar:
        bar.item_show_func = lambda _: pace.text(bar.pos, bar.length or 1, time.monotonic())

        def progress(done: int, total: int) -> None:
            pace.begin(done, time.monotonic())
            bar.length = total
            bar.update(done - bar.pos)

        yield progress


@dataclass(slots=True)
class _Pace:
    """How fast something goes on, from when it began, and from what was there `before`, once that is known."""

    unit: str
    before: int | None = None
    began: float = field(default_factory=time.monotonic)

    def begin(self, done: int, now: float) -> None:
        """Note where it begins, unless that is known."""
        if self.before is None:
            self.before, self.began = done, now

    def text(self, done: int, total: int, now: float) -> str:
        """Return how far it is, how fast, and how long it will take.

        >>> pace = _Pace("bytes")
        >>> pace.begin(2**30, 100.0)
        >>> pace.text(2**30, 2**31, 100.0)
        '1.0 GiB of 2.0 GiB'
        >>> pace.text(2**30 + 2**20, 2**31, 102.0)
        '1.0 GiB of 2.0 GiB, 512 KiB/s, 34 min left'
        """
        mine, seconds = done - (self.before or 0), max(now - self.began, 1e-6)
        words = [f"{done:,} of {total:,} {self.unit}"]
        if self.unit == "bytes":
            words = [f"{table.nbytes(done)} of {table.nbytes(total)}"]
            words += [f"{table.nbytes(mine / seconds)}/s"] if mine > 0 else []
        words += [f"{table.duration(seconds * (total - done) / mine)} left"] if mine > 0 and done < total else []
        return ", ".join(words)
