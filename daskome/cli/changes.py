"""The commands that change an image in place: `daskome update` and `daskome append`."""

from collections.abc import Callable
from typing import Any

import click

from daskome.cli.arguments import SAID
from daskome.cli.console import limited_threads, progress_bar, reporting_errors, stopping
from daskome.cli.measured import Stopwatch
from daskome.cli.options import (
    IN_OPTION,
    INPUT_ROWS,
    MEMORY,
    QUIET,
    RESUME,
    RETRIES,
    TAKE_OVER,
    THREADS,
    URL_OPTION,
    Row,
    taking,
)
from daskome.cli.params import ChannelsParam, RegionParam
from daskome.model.urls import without_credentials

CHANGE_ROWS = (
    Row("--method", "method", None, "How levels are made; by default as the metadata of the image say."),
    MEMORY,
    THREADS,
    Row("--in-flight", "in_flight", int, "Objects on their way to a far store at a time, from each process [64]."),
    URL_OPTION,
    IN_OPTION,
    Row("--dry-run", "dry_run", bool, "Check everything and print the plan, but write nothing."),
    RESUME,
    Row("--overwrite", "overwrite", bool, "Begin anew where changing the image was interrupted."),
    TAKE_OVER,
    RETRIES,
    QUIET,
)
"""What the commands take that change an image."""


@click.command("update")
@click.argument("url")
@taking(
    Row("--region", "region", RegionParam(), "What is written: z=0:64,t=5; other axes are whole.", {"required": True}),
    Row(
        "--data",
        "data",
        None,
        "What is written there, of the shape of the region; without it, it has been written to level 0 already.",
        {"metavar": "IN"},
    ),
    *INPUT_ROWS,
    *CHANGE_ROWS,
)
def update_command(url: str, data: str | None, quiet: bool, threads: int | None, **options: Any) -> None:
    """Write a region of the image or labels at URL, and make again what depends on it, at every level.

    While it runs, the image says that it is unfinished. The bytes are those of the whole image written anew.

    \b
    daskome update brain.ome.zarr --region z=0:64 --data corrected.tif
    daskome update brain.ome.zarr/labels/cells --region z=100:164,y=0:512,x=0:512    # level 0 is written already
    """
    with reporting_errors(url), stopping():
        import daskome

        said = {name: options.pop(name) for name in SAID}
        in_options = options.pop("in_options")
        if data is None and (in_options or any(value is not None for value in said.values())):
            raise ValueError("options that say how an image is read are for --data, which is not given")
        source = None if data is None else daskome.read(data, in_options, **said)
        _change(url, quiet, threads, lambda bar: daskome.update(url, data=source, progress=bar, **options))


@click.command("append")
@click.argument("url")
@click.argument("paths", metavar="IN...", nargs=-1, required=True)
@taking(
    Row("--axis", "axis", None, "The axis along which it gets longer.", {"default": "t", "show_default": True}),
    Row("--start", "start", click.IntRange(0), "Where along the axis IN begins; an error if the image ends elsewhere."),
    Row("--channels", "channels", ChannelsParam(), "Names of new channels by commas, or JSON."),
    *INPUT_ROWS,
    *CHANGE_ROWS,
)
def append_command(url: str, paths: tuple[str, ...], quiet: bool, threads: int | None, **options: Any) -> None:
    """Make the image or labels at URL longer along an axis, by IN; it costs what is new.

    Where nothing that is there changes, as along t and c, readers see the image as it was until all is written.

    \b
    daskome append series.ome.zarr t0005.tif
    daskome append series.ome.zarr t0005.tif --start 5 --resume    # again and again: it is appended once
    daskome append brain.ome.zarr slab7.tif --axis z
    """
    with reporting_errors(url), stopping():
        import daskome

        said = {name: options.pop(name) for name in SAID}
        image = daskome.read(paths[0] if len(paths) == 1 else paths, options.pop("in_options"), **said)
        _change(url, quiet, threads, lambda bar: daskome.append(url, image, progress=bar, **options))


CHANGING = (update_command, append_command)


def _change(url: str, quiet: bool, threads: int | None, call: Callable[[Any], Any]) -> None:
    """Change an image, and say how long it took; or print the plan, if that is all that is wanted."""
    dry = bool(click.get_current_context().params["dry_run"])
    watch, bar = Stopwatch.started(), progress_bar(f"changing {url}", quiet or dry)
    with limited_threads(threads):
        plan = call(bar)
    if dry:
        click.echo(repr(plan))
    elif bar:
        click.echo(without_credentials(f"{url}: {watch.measured(plan, bar.written).text()}"))
