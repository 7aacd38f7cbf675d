"""Options as rows: a flag, the parameter of the Python function that it stands for, its type, and its help."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from daskome.cli.params import AxesParam, ChannelsParam, FactorsParam, OrientationParam, PairsParam, ValuesParam
from daskome.execution.batch.schedulers import SCHEDULERS


def _methods() -> str:
    from daskome.kernels.methods import METHODS

    return f"{', '.join(METHODS)}, or module:function; by default mean, of labels mode."


def _versions() -> str:
    from daskome.ome.versions import DEFAULT_VERSION, VERSIONS

    names: dict[int, list[str]] = {}
    for version in VERSIONS.values():
        names.setdefault(version.arrays.zarr_format, []).append(version.name)
    by_format = ", ".join(f"{', '.join(some)} (zarr v{number})" for number, some in names.items())
    return f"OME-Zarr version: {by_format}; {DEFAULT_VERSION.name} by default."


def _checked_versions() -> str:
    from daskome.ome.versions import VERSIONS

    return f"Version to check against: {', '.join(VERSIONS)}; by default the one that the store states."


@dataclass(frozen=True, slots=True)
class Row:
    """An option of the command line.

    Attributes
    ----------
    flags : str
        Such as ``"--fmt --ome-version"``.
    name : str
        The parameter of the Python function that takes its value.
    type : click.ParamType or type, optional
        Converts the value; `bool` for a flag without one, none for text.
    help : str or callable
        A callable makes it when help is shown, from a table that need not be imported before.
    settings : dict
        Further arguments of `click.option`.
    """

    flags: str
    name: str
    type: Any
    help: str | Callable[[], str]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def is_given(self, value: Any) -> bool:
        """Whether a value is of an option that was given: False is that of a flag that was not."""
        return bool(value) if self.type is bool else value is not None

    def option(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Give a command this option."""
        settings: dict[str, Any] = {"help": self.help, **self.settings}
        settings |= {"is_flag": True} if self.type is bool else {"type": self.type}
        if isinstance(self.type, PairsParam):
            settings |= {"multiple": True, "callback": lambda context, option, pairs: dict(pairs) or None}
        return click.option(*self.flags.split(), self.name, cls=Option, **settings)(command)


class Option(click.Option):
    """An option whose help may be a callable, and which does not take the next option for its value."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        self._help: str | Callable[[], str] = settings.pop("help")
        super().__init__(*args, **settings)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the flags and the help."""
        self.help = self._help if isinstance(self._help, str) else self._help()
        return super().get_help_record(ctx)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Return a value of its type; an error, if it is another option: its own is missing then."""
        flags = {flag for option in ctx.command.get_params(ctx) for flag in option.opts}
        for word in value if isinstance(value, tuple | list) else (value,):
            if isinstance(word, str) and word.startswith("-") and word in flags:
                raise click.BadOptionUsage(self.opts[0], f"{self.opts[0]} needs a value; {word} is another option", ctx)
        return super().type_cast_value(ctx, value)


def taking(*rows: Row) -> Callable[[Any], Any]:
    """Return a decorator that gives a command options, which its help shows in this order."""

    def decorate(command: Any) -> Any:
        for row in reversed(rows):
            command = row.option(command)
        return command

    return decorate


def _schedulers() -> Iterator[Row]:
    """Yield a flag for each batch scheduler; the first is the default."""
    for number, row in enumerate(SCHEDULERS.values()):
        default, words = ({}, "") if number else ({"default": True}, " (the default)")
        yield Row(f"--{row.name}", "scheduler", None, f"For {row.title}{words}.", {"flag_value": row.name, **default})
    yield Row("--kubernetes", "scheduler", None, "For Kubernetes: an indexed Job.", {"flag_value": "kubernetes"})


AS_FOLDER: Mapping[str, Any] = {"metavar": "FOLDER"}
UNSET: Mapping[str, Any] = {"default": None}
"""Settings of a flag of which it counts whether it was given."""
ADDRESS = Row(
    "--address",
    "address",
    None,
    "Address to listen on; by default, only this machine is answered.",
    {"default": "127.0.0.1", "show_default": True},
)
MEMORY = Row("--memory", "memory", None, "Memory that a worker may use, such as 2GB.", {"metavar": "SIZE"})
THREADS = Row("--threads", "threads", click.IntRange(1), "Threads to use; by default all cores.")
FS_OPTION = Row(
    "--fs-option",
    "fs_options",
    PairsParam(),
    "Option of the file system of OUT's URL, as s3fs, gcsfs or adlfs call it, such as endpoint_url=https://…;"
    " repeatable. Never stored.",
)
FILE_OPTION = Row("--fs-option", "fs_options", PairsParam(), "Option of the file system of FILE's URL; repeatable.")
URL_OPTION = Row("--fs-option", "fs_options", PairsParam(), "Option of the file system of the URL; repeatable.")
IN_OPTION = Row("--in-option", "in_options", PairsParam(), "Option of the file system of IN's URL; repeatable.")
RETRIES = Row(
    "--retries",
    "retries",
    click.IntRange(0),
    "How many times a failing unit is tried again.",
    {"default": 2, "show_default": True},
)
CHECK = Row(
    "--check",
    "check",
    bool,
    "Look for every stored object even where lists are slow, as over sftp; folders and clouds are always asked.",
)
QUIET = Row("-q --quiet", "quiet", bool, "Print nothing but errors.")
OF_LABELS = Row(
    "--labels", "labels", None, "Name of the labels, if labels of the image at OUT are meant.", {"metavar": "NAME"}
)
FUNCTION = Row(
    "--method",
    "method",
    None,
    "The function by which levels are made, if it is your own: what only the store names is never imported.",
    {"metavar": "MODULE:FUNCTION"},
)
IMAGE_PLACE = Row(
    "--source",
    "image",
    None,
    "Where the image lies, if not where OUT does, in its bucket or on its host: a store alone cannot have it opened;"
    " repeatable.",
    {"metavar": "IN", "multiple": True, "callback": lambda context, option, paths: list(paths) or None},
)
AS_LABELS = Row(
    "--labels",
    "labels",
    None,
    "IN are labels of the image at OUT: write them to labels/NAME in it.",
    {"metavar": "NAME"},
)
RESUME = Row("--resume", "resume", bool, "Continue what was interrupted; begin where nothing was begun.")
TAKE_OVER = Row(
    "--take-over", "take_over", bool, "Go on although another process that may be alive writes there; it stops."
)
MANIFEST = Row(
    "--manifest",
    "manifest",
    None,
    "Write the MD5 of every object at OUT to this file in the end, for `verify --manifest`; all is read once for it.",
    {"metavar": "FILE"},
)
AS_JSON = Row("--json", "as_json", bool, "Print it as JSON.")
VERSION = Row("--version", "version", None, _checked_versions)
INPUT_ROWS = (
    Row(
        "--pattern",
        "pattern",
        None,
        "How the names of the files of IN tell where they belong: 't{t}_c{c}_z{z}.tif', in quotes.",
        {"metavar": "PATTERN"},
    ),
    Row(
        "--stack", "stack", None, "The axis, such as c, along which several INs follow each other.", {"metavar": "AXIS"}
    ),
    Row("--shape", "shape", ValuesParam(int), "Shape of a raw IN; for `plan`, or of a volume that is not there yet."),
    Row("--dtype", "dtype", None, "Its dtype, such as uint16; >u2 for big-endian numbers."),
    Row("--offset", "offset", click.IntRange(0), "Bytes before the pixels of a raw IN [0]."),
    Row("--order", "order", click.Choice(["C", "F"]), "F: the first axis of a raw IN is the fastest [C]."),
)
"""What is said of an IN that does not say it: how many files are one, and what raw numbers are."""
IMAGE_ROWS = (
    Row("--axes", "axes", AxesParam(), "Names of the axes, if the input has none: tczyx; or angle:other,t,z,y,x."),
    Row("--scale", "scale", ValuesParam(float), "Voxel size: 2,0.5,0.5 or z=2,y=0.5,x=0.5."),
    Row("--translation", "translation", ValuesParam(float), "Position of the centre of the first voxel."),
    Row("--unit", "axes_units", ValuesParam(str), "Unit of the axes of space: micrometer; or by name: z=nm."),
    Row(
        "--coordinate-systems",
        "coordinate_systems",
        ValuesParam(str),
        "Further coordinate systems (0.6), each with an affine matrix: '{\"stage\": [[1, 0, 5], [0, 1, 7]]}'.",
        {"metavar": "JSON"},
    ),
    Row(
        "--orientation",
        "orientation",
        OrientationParam(),
        "Where x, y and z lead to in the body: RAS; by name: z=inferior-to-superior; none: leave out what IN says.",
    ),
    Row("--name", "name", None, "Name of the image."),
    Row("--method", "method", None, _methods),
    Row(
        "--scale-factors",
        "scale_factors",
        FactorsParam(int),
        'Relative to the input: 2,4,8; JSON as in \'[{"y": 2, "x": 2}]\'; none.',
        {"default": "auto", "show_default": True},
    ),
    Row("--fmt --ome-version", "fmt", None, _versions),
    Row("--chunks", "chunks", ValuesParam(int), "Chunk shape: 128, or 64,256,256, or z=1,y=512,x=512."),
    Row("--shards", "shards", ValuesParam(int), "Shard shape, whole multiples of the chunks."),
    Row("--compressor", "compressors", None, "none, zstd:3, gzip:5, blosc:lz4:5:bitshuffle.", {"metavar": "CODEC"}),
    Row(
        "--storage-options",
        "storage_options",
        ValuesParam(str),
        "One object for all levels, or a list with one per level.",
        {"metavar": "JSON"},
    ),
    Row("--level-paths", "level_paths", None, "Paths of the levels, {} for the number.", {"metavar": "PATH"}),
    Row("--channels", "channels", ChannelsParam(), "Add display metadata: names of the channels by commas, or JSON."),
    MEMORY,
    Row("--staging", "staging", bool, "Allow a temporary copy of an IN that would be read over four times."),
    Row("--in-flight", "in_flight", int, "Objects on their way to a far store at a time, from each process [64]."),
    Row("--check-source", "check_source", bool, "Count chunks of IN that are not stored, and read as the fill value."),
    Row("--verbatim", "verbatim", bool, "Store the chunks of a zarr IN as those of level 0, not encoded anew."),
    THREADS,
    FS_OPTION,
    IN_OPTION,
    Row("--temporary", "temporary", None, "Folder in which a single file is written before it is packed.", AS_FOLDER),
    Row("--overwrite", "overwrite", bool, "Replace an existing image."),
    Row(
        "--all-series",
        "all_series",
        bool,
        "Write all images of IN, such as the series of a TIFF, as one collection (bioformats2raw.layout), or as the"
        " plate that its OME-XML describes.",
    ),
    Row(
        "--only-image",
        "only_image",
        bool,
        "Write level 0 of an OME-Zarr IN as any image; without it, all below IN goes along, its levels as they are.",
    ),
)
"""What the commands that write or plan an image take."""
JOBS = (
    *_schedulers(),
    Row("--jobs", "jobs", click.IntRange(1), "Jobs per stage, at most.", {"default": 64, "show_default": True}),
    Row("--threads", "threads", click.IntRange(1), "Threads of each job; by default those of the plan."),
    Row("--hours", "hours", click.IntRange(1), "Hours of each job, at most.", {"default": 24, "show_default": True}),
    Row(
        "--memory",
        "memory",
        None,
        "Memory of each job; by default what is predicted, and a quarter to spare.",
        {"metavar": "SIZE"},
    ),
    Row(
        "--option",
        "options",
        None,
        "Option of the submitting command, as in --option=-plong; repeatable.",
        {"multiple": True},
    ),
    Row("--container", "container", None, "Kubernetes: a container image that has daskome.", {"metavar": "IMAGE"}),
    Row("--secret", "secret", None, "Kubernetes: a secret whose keys are in the environment.", {"metavar": "NAME"}),
    Row("--claim", "claim", None, "Kubernetes: a volume claim, and where it is mounted.", {"metavar": "NAME:/PATH"}),
)
"""What a job script takes; one flag per row of `SCHEDULERS`."""
