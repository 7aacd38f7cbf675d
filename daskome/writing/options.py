"""Options by name: from the arguments of a call, those that are the fields of a frozen dataclass.

A new option of a public call is a parameter there, and a field of one of these: `ImageOptions` (what the caller says
of an image), `LabelOptions`, `PlateOptions`, `WriteOptions` (how a plan is carried out). Nothing in between lists it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from daskome.execution.progress import drawn
from daskome.model.types import Compute, PathLike, ShowProgress

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")
Arguments = Mapping[str, Any]
"""The arguments of a public call by the names of its parameters; further keywords are a dict under ``metadata``."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How a plan is carried out: the arguments of the same names of `daskome.write_image`."""

    overwrite: bool
    resume: bool
    take_over: bool
    retries: int
    progress: ShowProgress
    compute: Compute
    temporary: PathLike | None = None

    def __post_init__(self) -> None:
        for name in ("overwrite", "resume", "take_over"):
            check_bool(name, getattr(self, name))
        drawn(self.progress)
        if not (isinstance(self.compute, bool | np.bool_) or self.compute == "init"):
            raise ValueError(f"compute={self.compute!r} must be True, False or 'init'")
        check_whole("retries", self.retries, 0)


def check_bool(name: str, value: Any) -> None:
    """Raise a ValueError unless an argument is True or False: any text, "no" too, would count as True.

    >>> check_bool("overwrite", "no")
    Traceback (most recent call last):
    ValueError: overwrite='no' must be True or False
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}={value!r} must be True or False")


def check_whole(name: str, value: Any, least: int) -> None:
    """Raise a ValueError unless an argument is a whole number, at least `least`.

    >>> check_whole("workers", True, 1)
    Traceback (most recent call last):
    ValueError: workers=True must be a whole number, 1 or more
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}={value!r} must be a whole number, {least} or more")


def chosen(kind: type[Options], arguments: Arguments) -> Options:
    """Return a dataclass made of the arguments that have the names of its fields; its defaults stand for the others.

    Examples
    --------
    >>> chosen(WriteOptions, {"image": 1, "overwrite": True, "resume": False, "take_over": False,
    ...                       "retries": 2, "progress": None, "compute": "init"})
    WriteOptions(overwrite=True, resume=False, take_over=False, retries=2, progress=None, compute='init',
                 temporary=None)
    """
    names = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in arguments.items() if name in names})
