"""`Problem`: one finding of validation or verification. `WriteError`: what a call began, and could not end."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from daskome.model.urls import shown_error


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a stored image, and where.

    Attributes
    ----------
    where : str
        An address, such as ``"multiscales/0/datasets/1"``, ``"A/1/0 omero/channels/0/color"`` or
        ``"s2 z 0:128, y 0:64"``.
    message : str
        What is wrong, and what would be right.
    warning : bool
        Whether the specification only advises against it (SHOULD), or readers fail on it though it is allowed.
    section : str, optional
        Of the specification.

    Examples
    --------
    >>> print(Problem("omero/channels/0/color", "is missing", section="omero"))
    omero/channels/0/color: is missing (section 'omero')
    """

    where: str
    message: str
    warning: bool = False
    section: str | None = None

    def covers(self, other: "Problem") -> bool:
        """Return whether another problem lies at the same address, or below it.

        >>> Problem("datasets/1", "").covers(Problem("datasets/1/path", ""))
        True
        >>> Problem("datasets/1", "").covers(Problem("datasets/10", ""))
        False
        """
        return f"{other.where}/".startswith(f"{self.where}/")

    def __str__(self) -> str:
        section = f" (section {self.section!r})" if self.section else ""
        return f"{self.where}: {self.message}{section}"


def below(path: str, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Yield problems of a group inside a hierarchy, its path put before their addresses."""
    return (replace(p, where=f"{path} {p.where}") if path else p for p in problems)


class WriteError(RuntimeError):
    """Some of it could not be written; what is there says that it is unfinished."""


REFUSALS = (ValueError, TypeError, OSError, ImportError)
"""What calls raise when they refuse something before anything is written."""
GO_ON = (
    "what is there says that it is unfinished. Once the cause is fixed, resume=True goes on, overwrite=True starts anew"
)


@contextmanager
def or_unfinished(place: object, what: str, then: str = GO_ON) -> Iterator[None]:
    """Turn what goes wrong after a store has been changed into a `WriteError`: it would look like a refusal."""
    try:
        yield
    except REFUSALS as error:
        raise WriteError(f"{place} {what}: {shown_error(error)}; {then}") from error


def errors(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that are not warnings."""
    return [problem for problem in problems if not problem.warning]


class BrokenObjectError(ValueError):
    """Something is in the way of a stored object; the message begins with its address."""


class MissingObjectError(RuntimeError):
    """An object that a finished unit has stored is gone."""
