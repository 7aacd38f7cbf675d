"""Options that several commands share."""

from typing import Any

import click

from daskome.cli.params import Factors, Pairs, Values

FS_OPTION = click.option(
    "--fs-option",
    "fs_options",
    type=Pairs(),
    multiple=True,
    help="Option of the file system of OUT's URL, such as endpoint_url=https://…; repeatable. Never stored.",
)
IN_OPTION = click.option(
    "--in-option",
    "in_options",
    type=Pairs(),
    multiple=True,
    help="Option of the file system of IN's URL; repeatable.",
)
MEMORY = click.option("--memory", metavar="SIZE", help="What a worker may use, such as 2GB.")
THREADS = click.option("--threads", type=click.IntRange(1), help="Threads to use; by default all cores.")
RETRIES = click.option(
    "--retries", type=click.IntRange(0), default=2, show_default=True, help="How often a failing unit is tried again."
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
LABELS = click.option("--labels", metavar="NAME", help="The labels of this name, of the image at OUT.")
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
        help="OME-Zarr version, such as 0.4 (zarr v2), or 0.5 (zarr v3, the default).",
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
    MEMORY,
    click.option("--staging", is_flag=True, help="Allow a temporary copy of an IN that would be read over four times."),
    THREADS,
    FS_OPTION,
    IN_OPTION,
    click.option("--overwrite", is_flag=True, help="Replace an image that is there."),
]


def describing(command: Any) -> Any:
    """Give a command the options that describe an image."""
    for option in reversed(_DESCRIBE):
        command = option(command)
    return command
