"""The ``daskome`` command. It imports Dask and zarr only when there is work to do."""

import json
from dataclasses import asdict
from typing import Any

import click

from daskome._version import __version__
from daskome.cli.arguments import (
    added_levels,
    lack_of_room,
    manifest_of,
    parted,
    planned,
    run_arguments,
    tried_codecs,
    written,
)
from daskome.cli.caring import COMMANDS, show_manifest
from daskome.cli.changes import CHANGING
from daskome.cli.console import (
    FAILED,
    Command,
    has_screen,
    limited_threads,
    progress_bar,
    reporting_errors,
    stopping,
    wait_for_interrupt,
)
from daskome.cli.measured import Stopwatch
from daskome.cli.options import (
    ADDRESS,
    AS_JSON,
    AS_LABELS,
    CHECK,
    FS_OPTION,
    FUNCTION,
    IMAGE_PLACE,
    IMAGE_ROWS,
    IN_OPTION,
    INPUT_ROWS,
    JOBS,
    MANIFEST,
    MEMORY,
    OF_LABELS,
    QUIET,
    RESUME,
    RETRIES,
    TAKE_OVER,
    THREADS,
    UNSET,
    URL_OPTION,
    VERSION,
    Row,
    taking,
)
from daskome.cli.params import PartParam, ValuesParam
from daskome.execution.batch.schedulers import JOB_ARRAYS, PART_ITSELF
from daskome.model.text import parse_nbytes, pluralize
from daskome.model.urls import place_of, without_credentials


def _parts() -> str:
    """Return the help of --part."""
    variables = ", ".join(row.index for row in JOB_ARRAYS)
    counted = ", ".join(row.title for row in JOB_ARRAYS if row.count and row is not PART_ITSELF)
    return (
        f"Part i of n of the stage, from 0; auto/n takes i from the job array ({variables}), auto also n ({counted}, or"
        " PARTS)."
    )


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="daskome")
def main() -> None:
    """Write image volumes of any size as OME-Zarr pyramids, and look after them.

    IN is a zarr array or OME-Zarr image (path or URL), a .npy, TIFF, OME-TIFF, PNG, JPEG, NIfTI, MRC,
    DICOM or raw file, N5, precomputed, what bioio reads, or a dataset of an HDF5 file
    (file.h5::dataset); file.tif::1 is the second series of a TIFF. A folder of such files, or a glob of
    them, is one volume (see --pattern), and so are several INs (see --stack). OUT is a path or a URL
    that fsspec knows (s3://, gs://, az://, …). OME-Zarr may be a single file, .ozx or .zip.

    \b
    Exit status: 0 done, 1 failed or problems found, 2 refused before anything was written,
    75 stopped by SIGTERM, to be run again, 130 interrupted.
    """


@main.command()
@click.argument("paths", metavar="IN... [OUT]", nargs=-1, required=True)
@taking(
    *IMAGE_ROWS,
    *INPUT_ROWS,
    AS_LABELS,
    CHECK,
    Row("--add-levels", "add_levels", bool, "Add coarser levels to the image at IN, which stays as it is."),
    RESUME,
    TAKE_OVER,
    RETRIES,
    MANIFEST,
    AS_JSON,
    QUIET,
)
def write(
    paths: tuple[str, ...], add_levels: bool, manifest: str | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Write IN as an OME-Zarr pyramid to OUT, or as labels of the image there; or add levels to the image at IN.

    If IN is a group of OME-Zarr (an image, a plate, …), all that is below goes along, its levels as they are.

    \b
    daskome write brain.nii.gz brain.ome.zarr
    daskome write cells.tif brain.ome.zarr --labels cells
    daskome write brain.ome.zarr --add-levels
    daskome write slices/ brain.ome.zarr --scale z=2                 # or 'slices/*.tif'
    daskome write dapi.tif gfp.tif cells.ome.zarr --stack c
    daskome write stack.h5::raw s3://bucket/stack.ome.zarr --scale 2,0.5,0.5 --unit micrometer \\
        --chunks 64 --shards 512 --compressor blosc:zstd:3
    """
    if add_levels == (len(paths) > 1):
        raise click.UsageError("give IN and OUT, or --add-levels with one image alone")
    with reporting_errors(paths[-1]), stopping():
        sources, target = parted(paths, needs_target=True)
        call = added_levels(paths[0], options) if target is None else written(sources, target, options)
        list_objects = manifest_of(paths[-1], manifest, options["fs_options"])
        watch, bar = Stopwatch.started(), progress_bar(f"writing {paths[-1]}", quiet)
        with limited_threads(options["threads"]):
            plan = call(progress=bar)
        if bar:
            found = watch.measured(plan, bar.written)
            text = without_credentials(f"{paths[-1]}: {found.text()}")
            click.echo(json.dumps(asdict(found)) if as_json else text)
        show_manifest(list_objects, manifest, quiet or as_json)


@main.command()
@click.argument("paths", metavar="[IN]... [OUT]", nargs=-1)
@taking(
    *IMAGE_ROWS,
    *INPUT_ROWS,
    Row(
        "--source-chunks",
        "source_chunks",
        ValuesParam(int),
        "The pieces in which a volume will be stored that is not there yet, as in 1,2048,2048.",
    ),
    Row("--workers", "workers", click.IntRange(1), "Plan it for this many workers of --threads and --memory each."),
    Row(
        "--rate",
        "rate",
        None,
        "Bytes of pixels that a thread processes; the hours follow from it.",
        {"default": "100MB/s", "show_default": True},
    ),
    Row("--json", "as_json", bool, "Print the plan as JSON, as Plan.from_json reads it."),
    Row("--try-codecs", "try_codecs", bool, "Compress some chunks of IN with each of many compressors; a table."),
)
def plan(paths: tuple[str, ...], rate: str, as_json: bool, try_codecs: bool, **options: Any) -> None:
    """Show what `daskome write` would do, and write nothing; of a volume that is not there, with --shape.

    \b
    daskome plan stack.h5::raw --chunks 64 --shards 512
    daskome plan stack.h5::raw --chunks 64 --try-codecs    # which --compressor is small and fast for it
    daskome plan --shape 100000,100000,100000 --dtype uint8 --source-chunks 1,100000,100000 \\
        --workers 200 --threads 4 --memory 64GB --rate 80MB/s

    Reading, downsampling, compressing and writing count in the rate, in bytes of uncompressed pixels that are read.
    """
    with reporting_errors():
        sources, target = parted(paths, needs_target=False) if paths else ((), None)
        if try_codecs:
            click.echo(repr(tried_codecs(sources, options)))
            return
        speed = parse_nbytes(rate.removesuffix("/s"))
        result = planned(sources, target, options)
        click.echo(result.to_json() if as_json else result.text(speed))
        if target and (warning := lack_of_room(result, target, options["fs_options"])):
            click.echo(f"warning: {warning}", err=True)


@main.command()
@click.argument("paths", metavar="IN... OUT", nargs=-1, required=True)
@taking(*IMAGE_ROWS, *INPUT_ROWS, AS_LABELS, RESUME, TAKE_OVER, QUIET)
def init(paths: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Begin to write IN to OUT: make the empty arrays, for any number of `daskome run` to fill.

    \b
    daskome init brain.nii.gz brain.ome.zarr --chunks 64
    daskome script brain.ome.zarr --slurm --jobs 64 > submit.sh      # or by hand:
    daskome run brain.ome.zarr --stage 0 --part 3/64                 # each part in any job, in any order
    daskome status brain.ome.zarr
    daskome finish brain.ome.zarr
    """
    with reporting_errors(paths[-1]), stopping():
        sources, target = parted(paths, needs_target=True)
        if target is None:
            raise click.UsageError("give IN and OUT")
        with limited_threads(options["threads"]):
            plan = written(sources, target, options)(compute="init")
        if not quiet:
            click.echo(repr(plan))
            which = f"{target} --labels {options['labels']}" if options["labels"] else target
            elsewhere = [source for source in sources if place_of(source) != place_of(target)]
            reading = " ".join([which, *(f"--source {source}" for source in elsewhere)])
            after = f"daskome script {reading} --slurm, or daskome run {reading}, then daskome finish {which}"
            click.echo(without_credentials(f"begun; next: {after}"))


@main.command()
@click.argument("target", metavar="OUT")
@taking(
    Row("--stage", "stage", click.IntRange(0), "Which stage; without it all, one after the other."),
    Row("--part", "part", PartParam(), _parts(), {"default": "0/1"}),
    Row("--one-based", "one_based", bool, "Parts are counted from 1."),
    OF_LABELS,
    MEMORY,
    THREADS,
    FS_OPTION,
    IMAGE_PLACE,
    IN_OPTION,
    FUNCTION,
    TAKE_OVER,
    RETRIES,
    AS_JSON,
    QUIET,
)
def run(
    target: str,
    part: tuple[int | None, int | None],
    one_based: bool,
    threads: int | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write a part of what `daskome init` has begun at OUT. Units that are finished are left out.

    With --part auto/64 the part is taken from the job array of the batch scheduler.
    SIGTERM ends it after the unit in hand, with exit status 75: run it again, and it continues.
    """
    with reporting_errors(target), stopping():
        import daskome

        chosen = run_arguments(part, one_based)
        bar = progress_bar(f"writing {target}", quiet)
        with limited_threads(threads):
            state = daskome.run_part(target, part=chosen, progress=bar, **options)
        if not quiet:
            click.echo(json.dumps(asdict(state), indent=2) if as_json else repr(state))


@main.command()
@click.argument("target", metavar="OUT")
@taking(OF_LABELS, FS_OPTION, CHECK, TAKE_OVER, MANIFEST, AS_JSON, QUIET)
def finish(target: str, manifest: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Publish what `daskome run` has written to OUT; refuse, and list what is missing, while anything is."""
    with reporting_errors():
        import daskome

        list_objects = manifest_of(target, manifest, options["fs_options"])
        plan = daskome.finish(target, **options)
        if not quiet:
            click.echo(plan.to_json() if as_json else repr(plan))
        show_manifest(list_objects, manifest, quiet or as_json)


@main.command()
@click.argument("target", metavar="OUT")
@taking(*JOBS, OF_LABELS, IMAGE_PLACE, FUNCTION, FS_OPTION)
def script(target: str, **options: Any) -> None:
    """Print a shell script that submits what was begun at OUT: one array of jobs per stage, and a last job.

    \b
    daskome script brain.ome.zarr --slurm --jobs 64 --option=--partition=long > submit.sh
    bash submit.sh
    daskome script s3://bucket/brain.ome.zarr --kubernetes --container ghcr.io/me/daskome:1 --secret s3 | bash
    """
    with reporting_errors():
        import daskome

        click.echo(daskome.batch_script(target, **options), nl=False)


@main.command()
@click.argument("url")
@taking(URL_OPTION, Row("--json", "as_json", bool, "Print the attributes as they are stored."))
def info(url: str, fs_options: dict[str, Any] | None, as_json: bool) -> None:
    """Show levels, axes, sizes and metadata of the image, labels or plate at URL."""
    with reporting_errors():
        from daskome.inspection import describe as information

        click.echo(information.describe(url, fs_options or {}, as_json))


@main.command()
@click.argument("url")
@taking(
    VERSION,
    Row("--strict", "strict", bool, "Warnings count as problems."),
    Row("--json", "as_json", bool, "Print all problems as JSON."),
    URL_OPTION,
    Row("-q --quiet", "quiet", bool, "Print nothing but errors; with --strict, warnings too."),
)
def validate(
    url: str, version: str | None, strict: bool, as_json: bool, fs_options: dict[str, Any] | None, quiet: bool
) -> None:
    """Check the image, labels or plate at URL against the OME-Zarr specification.

    \b
    daskome validate plate.ome.zarr --strict
    """
    with reporting_errors():
        import daskome

        problems = daskome.validate(url, version, fs_options=fs_options)
        wrong = [problem for problem in problems if strict or not problem.warning]
        if as_json:
            click.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
        for problem in () if as_json else wrong if quiet else problems:
            click.echo(f"{'warning' if problem.warning else 'error'}: {problem}", err=True)
        if not quiet and not as_json:
            click.echo(f"{without_credentials(url)}: {_counted([problem.warning for problem in problems])}")
        if wrong:
            raise SystemExit(FAILED)


@main.command()
@click.argument("url")
@taking(
    Row(
        "--version --fmt --ome-version",
        "version",
        None,
        "OME-Zarr version to convert to, such as 0.5.",
        {"required": True},
    ),
    Row("--dry-run", "dry_run", bool, "Write nothing; show what would be done."),
    TAKE_OVER,
    URL_OPTION,
    AS_JSON,
    QUIET,
)
def upgrade(url: str, version: str, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Convert the OME-Zarr image or plate at URL to another version, in place, without touching its pixels.

    \b
    daskome upgrade brain.ome.zarr --version 0.5 --dry-run

    If it is interrupted, run it again: readers see the old version until the new one is complete.
    """
    with reporting_errors():
        import daskome

        lines = daskome.convert_metadata(url, version, dry_run=dry_run, **options)
        if as_json:
            click.echo(json.dumps(lines, indent=2))
        elif not quiet:
            click.echo("\n".join(["nothing is written; this would be done:", *lines] if dry_run else lines))


@main.command()
@click.argument("url")
@click.argument("image", metavar="PNG", type=click.Path(dir_okay=False, writable=True))
@taking(URL_OPTION)
def preview(url: str, image: str, fs_options: dict[str, Any] | None) -> None:
    """Draw every level of the image at URL side by side into PNG, or the wells of the plate there."""
    with reporting_errors():
        import daskome

        daskome.preview(url, image, fs_options)
        click.echo(f"{image}: a picture of {without_credentials(url)}")


@main.command()
@click.argument("url")
@taking(
    Row("--open/--no-open", "in_browser", bool, "Open it in a browser; by default, if there is a screen.", UNSET),
    Row("--napari", "napari", bool, "Open it in napari instead."),
    Row("--port", "port", click.IntRange(0, 65535), "Port to listen on; by default any that is free.", {"default": 0}),
    ADDRESS,
    URL_OPTION,
)
def view(url: str, in_browser: bool | None, napari: bool, fs_options: dict[str, Any] | None, **where: Any) -> None:
    """Show the image at URL in Neuroglancer: serve its store to this machine, and print the link that opens it.

    \b
    daskome view brain.ome.zarr
    daskome view s3://bucket/brain.ome.zarr --fs-option endpoint_url=https://...
    daskome view brain.ome.zarr --no-open --port 8765    # on a remote machine, after: ssh -L 8765:localhost:8765

    Whoever has the link can read the image until Ctrl-C ends the command.
    """
    with reporting_errors():
        import daskome

        if napari:
            from daskome.viewing.napari import show_in_napari

            show_in_napari(url, fs_options)
            return
        with daskome.view(url, fs_options, **where) as viewing:
            click.echo(repr(viewing))
            wait_for_interrupt(viewing.open if (has_screen() if in_browser is None else in_browser) else None)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes SHELL complete the words of daskome.

    \b
    eval "$(daskome completion bash)"           # in ~/.bashrc
    daskome completion fish > ~/.config/fish/completions/daskome.fish
    """
    from click.shell_completion import get_completion_class

    completing = get_completion_class(shell)
    assert completing is not None
    click.echo(completing(main, {}, "daskome", "_DASKOME_COMPLETE").source())


def _counted(warnings: list[bool]) -> str:
    """Return how many problems there are, of those that are warnings and those that are not.

    >>> _counted([True, False, True])
    '1 error, 2 warnings'
    """
    n_warnings = sum(warnings)
    return f"{pluralize(len(warnings) - n_warnings, 'error')}, {pluralize(n_warnings, 'warning')}"


for _command in (*COMMANDS, *CHANGING):
    main.add_command(_command)
