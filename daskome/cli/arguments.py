"""From what the command line says to the arguments of the calls in Python."""

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from daskome.cli.console import limited_threads
from daskome.model.text import parse_nbytes


def written(source: str, target: str, labels: str | None, options: dict[str, Any]) -> Callable[..., Any]:
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


def planned(source: str | None, target: str | None, options: dict[str, Any]) -> Any:
    """Return the plan of an image for whoever would write it now, or for the workers that the options describe."""
    described = [key for key in ("shape", "dtype", "source_chunks") if options[key] is not None]
    if source is None and not {"shape", "dtype"} <= set(described):
        raise ValueError("give an image, or --shape and --dtype of one that is not there, as in --dtype uint16")
    if source is not None and described:
        raise ValueError(f"--{described[0].replace('_', '-')} describes a volume that is not there; leave {source} out")
    if source is None or options["workers"]:
        return _planned_for_others(source, target, options)
    import daskome

    with limited_threads(options["threads"]):
        return daskome.plan_image(group=target, **_arguments(source, **options))


def tried_codecs(source: str | None, options: dict[str, Any]) -> Any:
    """Return what compressors do to some chunks of an image."""
    if source is None:
        raise ValueError("--try-codecs needs an image: its chunks are compressed")
    import daskome

    told = _arguments(source, **options)
    return daskome.try_codecs(told["image"], axes=told.get("axes"), chunks=options["chunks"], fmt=told.get("fmt"))


def _planned_for_others(source: str | None, target: str | None, options: dict[str, Any]) -> Any:
    """Return the plan for other workers than there are here. Without IN, neither Dask nor zarr need be imported."""
    from daskome.ome.versions import DEFAULT_VERSION, find_version
    from daskome.planning.work import PlanOptions, Workers
    from daskome.writing.description import ImageOptions, warn_of_loss

    if target is not None:
        raise ValueError(
            f"--workers plans for others than are here, and does not look at {target}; leave one of them out"
        )
    image = _described(options) if source is None else _read(source, options)
    version = find_version(options["fmt"]) if options["fmt"] else DEFAULT_VERSION
    memory = None if options["memory"] is None else parse_nbytes(options["memory"])
    asked = ImageOptions(**_asked(options))
    workers = Workers(options["workers"] or 1, options["threads"] or 1, memory)
    found, _ = asked.plan(image, version, PlanOptions(workers, staging=options["staging"]))
    warn_of_loss(version, found.groups[0].metadata)
    return found


def _described(options: dict[str, Any]) -> Any:
    """Return the source that --shape, --dtype and --source-chunks describe."""
    from daskome.model.source import Volume

    for key in ("shape", "source_chunks"):
        if options[key] is not None and not isinstance(options[key], list):
            raise ValueError(f"--{key.replace('_', '-')} {options[key]} must be numbers by commas, one per axis")
    return Volume(options["shape"], options["dtype"], options["source_chunks"]).source


def _read(source: str, options: dict[str, Any]) -> Any:
    import daskome
    from daskome.sources.adapt import as_source

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
    from daskome.stores.groups import find_group
    from daskome.stores.location import locate

    return find_group(locate(url, fs_options)) is not None


def run_arguments(part: tuple[int | None, int], one_based: bool) -> tuple[int, int]:
    """Return part i of n, counted from 0."""
    from daskome.execution.batch.schedulers import part_of_array

    i, n = part
    if i is None:
        return part_of_array(os.environ, n, one_based)
    if not 0 <= i - one_based < n:
        first = int(one_based)
        raise ValueError(f"there is no part {i} of {n}; parts are counted from {first} to {n - 1 + first}")
    return i - one_based, n


def added_levels(url: str, options: dict[str, Any]) -> Callable[..., Any]:
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
    from daskome.model.codecs import parse_codec
    from daskome.ome.versions import DEFAULT_VERSION, find_version

    flags = {key: options[key] for key in ("chunks", "shards") if options[key] is not None}
    if options["compressor"]:
        version = find_version(options["fmt"]) if options["fmt"] else DEFAULT_VERSION
        flags["compressors"] = parse_codec(options["compressor"], version.arrays)
    given = options["storage_options"] or {}
    return [{**flags, **level} for level in given] if isinstance(given, list) else {**flags, **given}
