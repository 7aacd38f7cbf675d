"""The ``daskome`` command. It imports Dask and zarr only when there is work to do."""

import json
from dataclasses import asdict
from typing import Any

import click

from daskome._version import __version__
from daskome.cli.arguments import added_levels, planned, run_arguments, tried_codecs, written
from daskome.cli.console import FAILED, limited_threads, progress_bar, reporting_errors, stopping_on_sigterm
from daskome.cli.options import FS_OPTION, IN_OPTION, LABELS, MEMORY, QUIET, RETRIES, THREADS, describing
from daskome.cli.params import Blocks, Pairs, Part, Values
from daskome.model.text import parse_nbytes, pluralize


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="daskome")
def main() -> None:
    """Write image volumes of any size as OME-Zarr pyramids, and look after them.

    IN is a zarr array or OME-Zarr image (path or URL), a .npy, TIFF, OME-TIFF or NIfTI file, or a
    dataset of an HDF5 file (file.h5::dataset); file.tif::1 is the second series of a TIFF. OUT is a
    path or a URL that fsspec knows (s3://, gs://, az://, …).

    \b
    Exit status: 0 done, 1 failed or problems found, 2 refused before anything was written,
    75 told to stop (SIGTERM) and to be run again, 130 interrupted.
    """


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="[OUT]", required=False)
@describing
@click.option("--labels", metavar="NAME", help="IN are labels of the image at OUT: write them to labels/NAME in it.")
@click.option("--add-levels", is_flag=True, help="Add coarser levels to the image at IN, which stays as it is.")
@click.option("--resume", is_flag=True, help="Go on with what was interrupted; begin where nothing was begun.")
@RETRIES
@QUIET
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
    with reporting_errors(target or source):
        call = added_levels(source, options) if target is None else written(source, target, labels, options)
        how = {key: options[key] for key in ("retries", "resume")}
        with (
            limited_threads(options["threads"]),
            stopping_on_sigterm(),
            progress_bar(f"writing {target or source}", quiet) as progress,
        ):
            plan = call(progress=progress, **how)
        if not quiet:
            click.echo(repr(plan))


@main.command()
@click.argument("source", metavar="[IN]", required=False)
@click.argument("target", metavar="[OUT]", required=False)
@describing
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
    with reporting_errors():
        if try_codecs:
            click.echo(repr(tried_codecs(source, options)))
            return
        speed = parse_nbytes(rate.removesuffix("/s"))
        found = planned(source, target, options)
        click.echo(found.to_json() if as_json else found.text(speed))


@main.command()
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT")
@describing
@click.option("--labels", metavar="NAME", help="IN are labels of the image at OUT: write them to labels/NAME in it.")
@QUIET
def init(source: str, target: str, labels: str | None, quiet: bool, **options: Any) -> None:
    """Begin to write IN to OUT: make the empty arrays, for any number of `daskome run` to fill.

    \b
    daskome init brain.nii.gz brain.ome.zarr --chunks 64
    daskome script brain.ome.zarr --slurm --jobs 64 > submit.sh      # or by hand:
    daskome run brain.ome.zarr --stage 0 --part 3/64                 # each part in any job, in any order
    daskome status brain.ome.zarr
    daskome finish brain.ome.zarr
    """
    with reporting_errors(target):
        with limited_threads(options["threads"]):
            plan = written(source, target, labels, options)(compute="init")
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
@LABELS
@MEMORY
@THREADS
@FS_OPTION
@IN_OPTION
@RETRIES
@QUIET
def run(
    target: str, part: tuple[int | None, int], one_based: bool, threads: int | None, quiet: bool, **options: Any
) -> None:
    """Write a part of what `daskome init` has begun at OUT. Units that are finished are left out.

    With --part auto/64 the part is taken from SLURM_ARRAY_TASK_ID, PBS_ARRAY_INDEX, SGE_TASK_ID or LSB_JOBINDEX.
    SIGTERM ends it after the unit in hand, with exit status 75: run it again, and it goes on.
    """
    with reporting_errors(target):
        import daskome

        chosen = run_arguments(part, one_based)
        options |= {key: dict(options[key]) or None for key in ("fs_options", "in_options")}
        with limited_threads(threads), stopping_on_sigterm(), progress_bar(f"writing {target}", quiet) as progress:
            found = daskome.run_part(target, part=chosen, progress=progress, **options)
        if not quiet:
            click.echo(repr(found))


@main.command()
@click.argument("target", metavar="OUT")
@LABELS
@FS_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(target: str, labels: str | None, fs_options: tuple[Any, ...], as_json: bool) -> None:
    """Show how far it is, what was begun at OUT or was interrupted: units, bytes, failures, time left."""
    with reporting_errors():
        import daskome

        found = daskome.status(target, labels=labels, fs_options=dict(fs_options) or None)
        click.echo(json.dumps(asdict(found), indent=2) if as_json else repr(found))


@main.command()
@click.argument("target", metavar="OUT")
@LABELS
@FS_OPTION
@QUIET
def finish(target: str, labels: str | None, fs_options: tuple[Any, ...], quiet: bool) -> None:
    """Publish what `daskome run` has written to OUT; refuse, and list what is missing, while anything is."""
    with reporting_errors():
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
@LABELS
@FS_OPTION
def script(target: str, fs_options: tuple[Any, ...], **chosen: Any) -> None:
    """Print a shell script that submits what was begun at OUT: arrays of jobs, a stage after the other, and the end.

    \b
    daskome script brain.ome.zarr --slurm --jobs 64 --option=--partition=long > submit.sh
    bash submit.sh
    """
    with reporting_errors():
        import daskome

        click.echo(daskome.batch_script(target, fs_options=dict(fs_options) or None, **chosen), nl=False)


@main.command()
@click.argument("url")
@click.option("--fs-option", "fs_options", type=Pairs(), multiple=True, help="Option of the file system; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print the attributes as they are stored.")
def info(url: str, fs_options: tuple[Any, ...], as_json: bool) -> None:
    """Show what is at URL: levels, axes, sizes, metadata."""
    with reporting_errors():
        from daskome.inspection import describe as information

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
    with reporting_errors():
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
@click.option(
    "--in-option", "in_options", type=Pairs(), multiple=True, help="Option of the file system of --source; repeatable."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but problems.")
def verify(
    url: str,
    pixels: bool | int,
    source: str | None,
    threads: int | None,
    fs_options: tuple[Any, ...],
    in_options: tuple[Any, ...],
    quiet: bool,
) -> None:
    """Check the OME-Zarr image at URL: its metadata against its arrays and, on request, its pixels.

    With --pixels, a store that names its method as module:function decides what is imported: use it on
    stores you trust.
    """
    with reporting_errors():
        import daskome

        if in_options and not source:
            raise ValueError("--in-option goes with --source, which is not given")
        image = daskome.read(source, dict(in_options) or None) if source else None
        with (
            limited_threads(threads),
            progress_bar(f"verifying {url}", quiet or not (pixels or source), "blocks") as progress,
        ):
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
    with reporting_errors():
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
    with reporting_errors():
        import daskome

        daskome.preview(url, image, dict(fs_options) or None)
        click.echo(f"{image}: the middle slice of every level of {url}")


def _counted(warnings: list[bool]) -> str:
    """Return how many problems there are, of those that are warnings and those that are not.

    >>> _counted([True, False, True])
    '1 error, 2 warnings'
    """
    n_warnings = sum(warnings)
    return f"{pluralize(len(warnings) - n_warnings, 'error')}, {pluralize(n_warnings, 'warning')}"


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
