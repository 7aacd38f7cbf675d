"""Where the images of a saved run are opened: only where the words of the caller lead.

A plan comes from a store, which may be a stranger's: what it names as its images could be any file of this machine, or
any host that this machine reaches, and their pixels would go into that store. So an image is opened if it lies where
the run does, among the files of this machine, in its bucket or on its host, or at or below what the caller names.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daskome.execution.batch.saved import target_of
from daskome.model.source import Origin, Source
from daskome.model.urls import lies_in, place_of, without_credentials
from daskome.readers import read_again
from daskome.readers.inputs import Input, parse
from daskome.sources.adapt import as_source
from daskome.stores.journal import SavedRun
from daskome.stores.location import url_of

FileSystem = Mapping[str, Any]


def images_of(saved: SavedRun, image: Any, in_options: FileSystem | None) -> list[Source]:
    """Return the images of a run: those that the caller passes, or opened where they were."""
    named = named_in(image, in_options)
    if image is not None and not named:
        many = isinstance(image, list | tuple) and saved.plan.n_images > 1
        return [as_source(one) for one in (image if many else [image])]
    return [read_again(origin, options or None) for origin, options in _openable(saved, named, in_options)]


def named_in(image: Any, in_options: FileSystem | None = None) -> list[Input]:
    """Return the paths and URLs that a caller names; none where images are given, or nothing."""
    given = image if isinstance(image, list | tuple) else [image]
    if not given or not all(isinstance(one, str | os.PathLike) for one in given):
        return []
    paths = map(os.fspath, given)
    return [parse(path, dict(in_options or {}) if "://" in path else {}) for path in paths]


def check_named(saved: SavedRun, named: Sequence[Input]) -> None:
    """Raise a ValueError if an image of a run lies where the words of the caller do not lead."""
    for _ in _openable(saved, named, None):
        pass


def _openable(
    saved: SavedRun, named: Sequence[Input], in_options: FileSystem | None
) -> Iterator[tuple[Origin, FileSystem]]:
    """Yield where the images of a run are, each with the options of its file system."""
    here = place_of(url_of(target_of(saved)))
    for origin in saved.origins:
        if not origin.path:
            raise ValueError(
                "the image, such as a Dask or NumPy array, lived in the process that began the run; give it again, as"
                " in run_part(group, image)"
            )
        paths = _opened_for(origin)
        around = [next((one for one in named if lies_in(path, str(one))), None) for path in paths]
        for path, one in zip(paths, around, strict=True):
            if one is None and (named or place_of(path) != here):
                raise ValueError(_elsewhere(saved, path, named))
        beside = in_options or {} if "://" in paths[0] else {}
        yield origin, beside if around[0] is None else around[0].fs_options


def _opened_for(origin: Origin) -> list[str]:
    """Return the paths and URLs that an image is read from, and the pattern of what is read in them."""
    paths, pattern = origin.paths or (origin.path,), origin.words.get("pattern")
    return [*paths, *(f"{path}/{pattern}" for path in paths if pattern)]


def _elsewhere(saved: SavedRun, path: str, named: Sequence[Input]) -> str:
    """Return why an image is not opened, and what to do."""
    shown = without_credentials(path)
    where = f"not at or below {', '.join(map(str, named))}" if named else "elsewhere"
    return (
        f"the plan at {saved.journal.home} says that its image is {shown}, {where}. Because a store says so, nothing is"
        f" opened outside of it; if that is the image, name it: --source {shown}, or image={shown!r}"
    )
