"""The commands that look after what is stored: is it whole, is it right, has it changed, may it go."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import click

from daskome.cli.arguments import CommandOptions, arguments_of, read_sources
from daskome.cli.console import FAILED, limited_threads, progress_bar, reporting_errors, stopping
from daskome.cli.options import (
    AS_JSON,
    FUNCTION,
    IN_OPTION,
    INPUT_ROWS,
    OF_LABELS,
    QUIET,
    TAKE_OVER,
    THREADS,
    URL_OPTION,
    Row,
    taking,
)
from daskome.cli.params import BlocksParam, PairsParam
from daskome.model.problem import errors
from daskome.model.urls import without_credentials


@click.command("status")
@click.argument("url")
@taking(OF_LABELS, URL_OPTION, AS_JSON)
def status_command(url: str, labels: str | None, fs_options: dict[str, Any] | None, as_json: bool) -> None:
    """Say what is at URL: an image and whether it is whole, how far a run is, something else, or nothing.

    Of what is unfinished: units, bytes, failures, time left, who writes it, how to go on, and how to give it up.
    The exit status is 1 if there is nothing.
    """
    with reporting_errors():
        import daskome
        from daskome.keeping.place import NOTHING

        state = daskome.status(url, labels=labels, fs_options=fs_options)
        click.echo(json.dumps(asdict(state), indent=2) if as_json else without_credentials(repr(state)))
        if state.kind == NOTHING:
            raise SystemExit(FAILED)


@click.command("remove")
@click.argument("url")
@taking(
    OF_LABELS,
    Row("-y --yes", "yes", bool, "Remove it without asking; needed where nobody can be asked."),
    Row("--dry-run", "dry_run", bool, "Remove nothing; list what would go."),
    TAKE_OVER,
    URL_OPTION,
    AS_JSON,
    QUIET,
)
def remove_command(url: str, yes: bool, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Remove the image, labels, plate or well at URL, finished or not, or what a kill has left there.

    It lists what goes, then asks. Readers see no image from the first change on; after a kill, run it again.

    \b
    daskome remove brain.ome.zarr
    daskome remove brain.ome.zarr --labels cells
    daskome remove s3://bucket/plate.ome.zarr/A/1 --yes
    daskome remove brain.ome.zarr/.daskome                # gives up the run, or the levels that were being added
    """
    with reporting_errors(url), stopping():
        import daskome

        removal = daskome.remove(url, dry_run=True, **options)
        if as_json:
            click.echo(json.dumps(removal.to_dict(), indent=2))
        elif not quiet or not yes:
            click.echo(without_credentials(repr(removal)))
        if dry_run:
            return
        if not yes:
            _ask(url)
        daskome.remove(url, **options)
        if not quiet and not as_json:
            click.echo(without_credentials(f"{removal.where}: removed"))


def _ask(url: str) -> None:
    """Ask whether to remove what was listed; raise a ValueError if the answer is no, or nobody can be asked."""
    if not sys.stdin.isatty():
        raise ValueError("nothing was removed: there is no terminal on which to ask; --yes removes it without asking")
    if not click.confirm(without_credentials(f"remove all of it from {url}?")):
        raise ValueError("nothing was removed")


@click.command("verify")
@click.argument("url")
@taking(
    Row(
        "--pixels",
        "pixels",
        BlocksParam(),
        "Recompute levels and compare: all blocks, or --pixels=N blocks per level.",
        {"default": False, "is_flag": False, "flag_value": "all"},
    ),
    Row(
        "--source",
        "source",
        None,
        "Compare the first level with this image, too: whatever `write` takes for IN; repeatable, as for --stack.",
        {"metavar": "IN", "multiple": True},
    ),
    Row("--in-option", "in_options", PairsParam(), "Option of the file system of --source; repeatable."),
    *INPUT_ROWS,
    Row(
        "--manifest",
        "manifest",
        None,
        "Compare all stored objects with this manifest, or with a zarr checksum such as 481a…-581--137699.",
        {"metavar": "FILE"},
    ),
    FUNCTION,
    THREADS,
    URL_OPTION,
    Row("--json", "as_json", bool, "Print all problems as JSON."),
    Row("-q --quiet", "quiet", bool, "Print nothing but problems."),
)
def verify_command(
    url: str, source: tuple[str, ...], threads: int | None, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Check the OME-Zarr image at URL: its metadata against its arrays and, on request, its pixels.

    \b
    daskome verify brain.ome.zarr --pixels
    daskome verify cells.ome.zarr --source dapi.tif --source gfp.tif --stack c
    daskome verify copy.ome.zarr --manifest brain.md5
    """
    with reporting_errors():
        import daskome

        pixels, manifest = options["pixels"], options["manifest"]
        image = _source(source, options)
        looks = "objects" if manifest and not (pixels or source) else "pieces" if manifest else "blocks"
        bar = progress_bar(f"verifying {url}", quiet or not (pixels or source or manifest), looks)
        with limited_threads(threads):
            problems = daskome.verify(url, source=image, progress=bar, **arguments_of(daskome.verify, options))
        if as_json:
            click.echo(json.dumps([asdict(problem) for problem in problems], indent=2))
        for problem in () if as_json else problems:
            click.echo(f"{'warning: ' * problem.warning}{problem.where}: {problem.message}", err=True)
        if errors(problems):
            raise SystemExit(FAILED)
        if not quiet and not as_json:
            found = "no error" if problems else "no problem"
            checked = ", ".join(["metadata", *([f"every object against {manifest}"] if manifest else [])])
            pixels_checked = _checked(pixels, ", ".join(source))
            click.echo(without_credentials(f"{url}: {found} found; checked: {checked}, {pixels_checked}"))
            for line in _not_compared(url, options["fs_options"]) if pixels and not source else ():
                click.echo(line)


def _source(paths: tuple[str, ...], options: CommandOptions) -> Any:
    """Return the image that is compared with, None if there is none; an option that says how it is read needs one."""
    if paths:
        return read_sources(paths, options)
    for row in (*INPUT_ROWS, IN_OPTION):
        if options[row.name] is not None:
            raise ValueError(f"{row.flags} is for --source, which is not given")
    return None


@click.command("manifest")
@click.argument("url")
@click.argument("file", required=False, type=click.Path(dir_okay=False))
@taking(URL_OPTION, QUIET)
def manifest_command(url: str, file: str | None, fs_options: dict[str, Any] | None, quiet: bool) -> None:
    """Write the MD5 of every object of the zarr hierarchy at URL to FILE, and print DANDI's zarr checksum of all.

    \b
    daskome manifest brain.ome.zarr brain.md5
    daskome verify s3://bucket/copy.ome.zarr --manifest brain.md5
    (cd brain.ome.zarr && md5sum -c ../brain.md5)

    Without FILE, nothing is written.
    """
    with reporting_errors():
        import daskome

        bar = progress_bar(f"reading {url}", quiet, "objects")
        click.echo(daskome.manifest(url, file, fs_options=fs_options, progress=bar))


def show_manifest(list_objects: Callable[[], str] | None, file: str | None, quiet: bool) -> None:
    """Write the manifest of what has been written, if one is wanted, and say so."""
    if list_objects is not None:
        checksum = list_objects()
        if not quiet:
            click.echo(f"{file}: the MD5 of every object; zarr checksum {checksum}")


def _not_compared(url: str, fs_options: dict[str, Any] | None) -> Iterator[str]:
    """Yield which images hold no checksums of their first level, in one line if there are any."""
    from daskome.inspection.verify import unrecorded

    paths = unrecorded(url, fs_options)
    if paths:
        more = [f"and {len(paths) - 10} more"] * (len(paths) > 10)
        yield (
            f"not compared: the first level of {', '.join([*paths[:10], *more])}, of which no checksums were recorded;"
            " --source compares it with an image"
        )


def _checked(pixels: bool | int, source: str) -> str:
    """Return which pixels were compared.

    >>> _checked(False, "a.npy")
    'the first level against a.npy, not the others (see --pixels)'
    """
    first = f"the first level against {without_credentials(source)}" if source else ""
    if pixels is False:
        return f"{first}, not the others (see --pixels)" if first else "not its pixels (see --pixels)"
    amount = "all pixels" if pixels is True else f"{pixels} blocks a level"
    return f"{amount}, {first}" if first else amount


COMMANDS = (status_command, verify_command, manifest_command, remove_command)
