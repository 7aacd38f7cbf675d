"""The commands ``daskome pack`` and ``daskome unpack``: a hierarchy as one file, and back."""

from typing import Any

import click

from daskome.cli.console import progress_bar, reporting_errors, stopping
from daskome.cli.main import main
from daskome.cli.options import FILE_OPTION, FS_OPTION, IN_OPTION, QUIET, TAKE_OVER, Row, taking
from daskome.model.urls import without_credentials


@main.command("pack")
@click.argument("source", metavar="IN")
@click.argument("file", metavar="FILE")
@taking(
    Row("--overwrite", "overwrite", bool, "Replace FILE if it is there; it stays whole until the new one is."),
    FILE_OPTION,
    IN_OPTION,
    QUIET,
)
def pack_command(source: str, file: str, quiet: bool, **options: Any) -> None:
    r"""Pack the OME-Zarr hierarchy at IN into one file, .ozx (RFC-9) or .zip, as it is stored.

    \b
    daskome pack plate.ome.zarr plate.ozx
    daskome pack old.zip new.ozx              # an archive again: uncompressed, its documents first
    """
    with reporting_errors(), stopping():
        import daskome

        packed = daskome.pack(source, file, progress=progress_bar(f"packing {file}", quiet, "objects"), **options)
        if not quiet:
            click.echo(without_credentials(str(packed)))


@main.command("unpack")
@click.argument("file", metavar="FILE")
@click.argument("target", metavar="OUT")
@taking(FS_OPTION, IN_OPTION, TAKE_OVER, QUIET)
def unpack_command(file: str, target: str, quiet: bool, **options: Any) -> None:
    r"""Unpack FILE, an .ozx or .zip of OME-Zarr, to OUT: a folder, or a URL.

    \b
    daskome unpack plate.ozx plate.ome.zarr
    """
    with reporting_errors(), stopping():
        import daskome

        bar = progress_bar(f"unpacking {file}", quiet, "objects")
        unpacked = daskome.unpack(file, target, progress=bar, **options)
        if not quiet:
            click.echo(without_credentials(str(unpacked)))
