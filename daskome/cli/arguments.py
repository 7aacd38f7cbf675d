"""From options of the command line to arguments of the calls in Python: by name."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

from daskome.cli.options import AS_LABELS, IMAGE_ROWS, INPUT_ROWS, Row
from daskome.model.text import format_nbytes

CommandOptions = Mapping[str, Any]
Sources = Sequence[str]
"""The INs of a command."""
STORAGE = ("chunks", "shards", "compressors")
"""Options that are written into the storage options."""
SAID = tuple(row.name for row in INPUT_ROWS)
"""Options that say how an input is read."""
ELSEWHERE = (*STORAGE, *SAID, "threads", "in_options")
"""Options that are used before a function is called."""


def arguments_of(function: Callable[..., Any], options: CommandOptions) -> dict[str, Any]:
    """Return the options that are parameters of a function."""
    return {name: options[name] for name in signature(function).parameters if name in options}


def parted(paths: Sequence[str], *, needs_target: bool) -> tuple[Sources, str | None]:
    """Return the inputs, and the output, which is the last of several paths unless that is a file of images.

    A shell puts all files of a folder in place of a glob: without an output, the last file would be taken for it.
    """
    from daskome.readers.kinds import is_image_file

    *sources, target = paths
    if sources and not is_image_file(target):
        return sources, target
    if needs_target and sources:
        raise ValueError(f"{target} is a file of images; give OUT last, as in {target}.ome.zarr")
    return paths, None


def written(sources: Sources, target: str, options: CommandOptions) -> Callable[..., Any]:
    """Return the call that writes an image, a whole hierarchy, or labels of the image at the target."""
    import daskome

    name = options["labels"]
    if options["all_series"]:
        return partial(daskome.write_series, sources, target, **_collecting(sources, options))
    if name is None and _is_whole(sources, options):
        return partial(daskome.transcode, sources[0], target, **_transcoding(sources[0], options))
    image, options = read_sources(sources, options), _with_storage(options)
    if name is None:
        options = {**options, "labels": None}
        return partial(daskome.write_image, image, target, **arguments_of(daskome.write_image, options))
    if not _is_group(target, options["fs_options"]):
        raise ValueError(f"there is no image at {target} for these labels; write it first")
    _reject_unused(daskome.write_labels, options, IMAGE_ROWS, "--labels", "labels have none")
    if options["name"]:
        raise ValueError(f"--labels {name} names the labels; leave --name out")
    options = {**options, "labels": image, "name": name}
    return partial(daskome.write_labels, group=target, **arguments_of(daskome.write_labels, options))


def planned(sources: Sources, target: str | None, options: CommandOptions) -> Any:
    """Return the plan of an image, or of a volume that is only described, which is planned for one worker or more."""
    described = [key for key in ("shape", "dtype", "source_chunks") if options[key] is not None]
    if not sources and not {"shape", "dtype"} <= set(described):
        raise ValueError("give an image, or --shape and --dtype of one that does not exist yet, as in --dtype uint16")
    if sources and options["source_chunks"] is not None:
        raise ValueError(f"--source-chunks describes a volume that does not exist yet; leave {sources[0]} out")
    options = {**_with_storage(options), "group": target}
    unread = [key for key in SAID if options[key] is not None and key not in described]
    if not sources and unread:
        raise ValueError(f"--{unread[0]} says how an image is read; give one, or leave it out")
    if not sources:  # As `daskome.plan_image`, which imports Dask and zarr: for a second, where they are not used.
        from daskome.writing.dry_run import dry_run

        return dry_run({**options, "image": _described(options), "labels": None, "workers": options["workers"] or 1})
    import daskome

    if options["all_series"]:
        from daskome.writing.collections.series import planned_collection

        for_whom = {key: options[key] for key in ("workers", "threads")}
        return planned_collection({"series": sources, **_collecting(sources, options), "group": target, **for_whom})
    if _is_whole(sources, options):
        from daskome.transcoding.call import planned_transcode

        for_whom = {key: options[key] for key in ("workers", "threads")}
        return planned_transcode(sources[0], target, {**_transcoding(sources[0], options), **for_whom})
    options = {**options, "image": read_sources(sources, options)}
    return daskome.plan_image(**arguments_of(daskome.plan_image, options))


def lack_of_room(plan: Any, target: str, fs_options: dict[str, Any] | None) -> str:
    """Return that a disk has less room than a plan may take; empty if it has enough, or is none of this machine's."""
    from daskome.stores.location import free_nbytes, locate

    free, most = free_nbytes(locate(target, fs_options)), plan.nbytes + plan.temporary_nbytes
    if free is None or free >= most:
        return ""
    return (
        f"{target} has {format_nbytes(free)} of room, and the image may take up to {format_nbytes(most)}, if it cannot"
        " be compressed; make room, or write elsewhere"
    )


def _is_whole(sources: Sources, options: CommandOptions) -> bool:
    """Whether an input is a group of OME-Zarr, all of which is written unless the image alone is wanted."""
    if len(sources) > 1:
        if options["only_image"]:
            raise ValueError("--only-image is for one group of OME-Zarr; of several INs only the images are read")
        return False
    (source,) = sources
    from daskome.ome.detect import kinds_of
    from daskome.readers.inputs import parse
    from daskome.stores.groups import read_attributes
    from daskome.stores.location import locate

    given = parse(source, options["in_options"] or {})
    attributes = None if given.part else read_attributes(locate(given.path, given.fs_options, read_only=True))
    is_group = bool(kinds_of(attributes or {}))
    if options["only_image"] and not is_group:
        raise ValueError(f"--only-image is for groups of OME-Zarr, and {source} is none; leave it out")
    return is_group and not options["only_image"]


def _transcoding(source: str, options: CommandOptions) -> dict[str, Any]:
    """Return the arguments of `daskome.transcode`; factors that nobody gives keep the levels that there are."""
    import daskome

    why = f"all of {source} is written as it is; add --only-image to describe the image anew"
    _reject_unused(daskome.transcode, options, IMAGE_ROWS, "a group of OME-Zarr", why)
    _reject_said(options, "a group of OME-Zarr", why)
    chosen = arguments_of(daskome.transcode, _with_storage(options))
    if chosen["scale_factors"] == "auto":
        del chosen["scale_factors"]
    return chosen


def _collecting(sources: Sources, options: CommandOptions) -> dict[str, Any]:
    """Return the arguments of `daskome.write_series`."""
    import daskome

    why = "each image of a collection is described by its file, and axes and sizes by what is given for all"
    rows = tuple(row for row in (*IMAGE_ROWS, AS_LABELS) if row.name in options and row.name != "all_series")
    _reject_unused(daskome.write_series, options, rows, "--all-series", why)
    _reject_said(options, "--all-series", "it reads each IN by itself")
    return arguments_of(daskome.write_series, _with_storage(options))


def tried_codecs(sources: Sources, options: CommandOptions) -> Any:
    """Return the sizes and speeds of compressors on some chunks of an image."""
    if not sources:
        raise ValueError("--try-codecs needs an image: its chunks are compressed")
    import daskome

    chosen = arguments_of(daskome.try_codecs, {key: value for key, value in options.items() if key != "compressors"})
    return daskome.try_codecs(read_sources(sources, options), **chosen)


def added_levels(url: str, options: CommandOptions) -> Callable[..., Any]:
    """Return the call that adds levels to an image."""
    import daskome

    reason = f"new levels are made from what is stored at {url}"
    _reject_unused(daskome.add_levels, options, (*IMAGE_ROWS, AS_LABELS), "--add-levels", reason)
    _reject_said(options, "--add-levels", reason)
    options = {**_with_storage(options), "fs_options": options["fs_options"] or options["in_options"]}
    return partial(daskome.add_levels, url, **arguments_of(daskome.add_levels, options))


def manifest_of(target: str, path: str | None, fs_options: dict[str, Any] | None) -> Callable[[], str] | None:
    """Return the call that writes a manifest of a target, once that is written; None if none is wanted.

    Raises
    ------
    OSError, ValueError
        If the manifest cannot be written to its file.
    """
    if path is None:
        return None
    import daskome
    from daskome.inspection.manifest import check_manifest_path
    from daskome.stores.location import locate

    check_manifest_path(path, locate(target, fs_options))
    return partial(daskome.manifest, target, path, fs_options=fs_options)


def run_arguments(part: tuple[int | None, int | None], one_based: bool) -> tuple[int, int]:
    """Return part i of n, counted from 0."""
    from daskome.execution.batch.schedulers import part_of_array

    i, n = part
    if i is None or n is None:
        return part_of_array(os.environ, n, one_based)
    if not 0 <= i - one_based < n:
        first = int(one_based)
        raise ValueError(f"there is no part {i} of {n}; parts are counted from {first} to {n - 1 + first}")
    return i - one_based, n


def read_sources(sources: Sources, options: CommandOptions) -> Any:
    """Return the image that is in one input, or in several."""
    import daskome

    said = {name: options[name] for name in SAID}
    return daskome.read(sources[0] if len(sources) == 1 else sources, options["in_options"], **said)


def _described(options: CommandOptions) -> Any:
    """Return the volume that --shape, --dtype and --source-chunks describe."""
    import daskome

    for key in ("shape", "source_chunks"):
        if options[key] is not None and not isinstance(options[key], list):
            raise ValueError(f"--{key.replace('_', '-')} {options[key]} must be numbers by commas, one per axis")
    return daskome.Volume(options["shape"], options["dtype"], options["source_chunks"])


def _with_storage(options: CommandOptions) -> CommandOptions:
    """Return options with those of `STORAGE` in the storage options, where these say nothing else; None for none."""
    from daskome.model.storage.level_options import LevelOptions, parse_level_options

    flags = {key: options[key] for key in STORAGE if options[key] is not None}
    storage = parse_level_options(options["storage_options"]).over(LevelOptions((flags,))).plain
    return {**options, "storage_options": storage or None}


def _reject_unused(
    function: Callable[..., Any], options: CommandOptions, rows: tuple[Row, ...], flag: str, reason: str
) -> None:
    """Raise a ValueError for an option that is given and would have no effect."""
    used = {*signature(function).parameters, *ELSEWHERE}
    for row in rows:
        if row.name not in used and row.is_given(options[row.name]):
            raise ValueError(f"{flag} takes no {row.flags.split()[0]}: {reason}; leave it out")


def _reject_said(options: CommandOptions, what: str, reason: str) -> None:
    """Raise a ValueError for an option that says how files are read, where there are none."""
    for row in INPUT_ROWS:
        if options[row.name] is not None:
            raise ValueError(f"{what} takes no {row.flags}: {reason}; leave it out")


def _is_group(url: str, fs_options: dict[str, Any] | None) -> bool:
    from daskome.stores.groups import find_group
    from daskome.stores.location import locate

    return find_group(locate(url, fs_options)) is not None
