"""The path or URL of an image with its ``::part``, and lists of the parts there are."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daskome.stores.location import without_login


@dataclass(frozen=True, slots=True)
class Input:
    """The path or URL of an image, as a user writes it.

    Attributes
    ----------
    path : str
        A URL, without its login and query, or an absolute path.
    fs_options : dict
        For the file system of a URL.
    part : str
        What stands after ``::``, such as a dataset of an HDF5 file; empty for none.
    words : dict
        What a caller says besides, such as the shape of a file that does not.
    member : bool
        Whether it is one of several files that are put together, so it must hold what it describes.
    whole : bool
        Whether all other images of the file are read, too, so that all it says goes along.
    """

    path: str
    fs_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    part: str = ""
    words: Mapping[str, Any] = field(default_factory=dict)
    member: bool = False
    whole: bool = False

    def __str__(self) -> str:
        return f"{self.path}::{self.part}" if self.part else self.path

    @property
    def is_url(self) -> bool:
        """Whether the path is a URL, other than that of a local file."""
        return "://" in self.path


def parse(path: str, fs_options: Mapping[str, Any]) -> Input:
    """Return a path or URL as an `Input`; a path is that of a file that exists, or has its part after ``::``."""
    scheme, separator, after = path.partition("://")
    if separator and scheme not in ("file", "local"):
        return Input(*without_login(path, fs_options))
    if fs_options:
        raise ValueError(f"fs_options go with a URL; {path} is a local path")
    local = after if separator else path
    local, _, part = (local, "", "") if os.path.exists(local) else local.partition("::")
    return Input(Path(local).expanduser().absolute().as_posix(), part=part)


def listed(choices: Sequence[str], what: str) -> str:
    """Return what an input holds, as the end of a message.

    >>> listed(["raw (4, 5)", "mask (4, 5)"], "arrays")
    'the arrays in it: raw (4, 5); mask (4, 5)'
    """
    more = [f"{len(choices) - 20} more"] * (len(choices) > 20)
    return (
        f"the {what} in it: {'; '.join([*choices[:20], *more])}" if choices else f"the {what} in it, but there are none"
    )
