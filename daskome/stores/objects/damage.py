"""What libraries raise over a damaged file, document or chunk, errors of any type, as one of ours that says where.

What is not there may have a default. What is there and cannot be read has none: it is an error, or a problem that names
it, so that nothing is written, skipped or called valid because of a disk or a network.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from daskome.model.problem import BrokenObjectError, MissingObjectError
from daskome.model.regions import Region, blocks_of

OF_THE_MACHINE = (
    ImportError,
    ConnectionError,
    TimeoutError,
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    MissingObjectError,
)
"""Errors of the machine, what is installed on it, its file system, or the network; and what says itself where it is."""


def is_damage(error: Exception) -> bool:
    """Whether an error is about what is read. One of the file system has a number, also if it is no file system's type.

    Memory is mostly lacking because a damaged header says that it needs too much.

    >>> is_damage(KeyError("shape")), is_damage(OSError("bad heap")), is_damage(OSError(28, "No space left on device"))
    (True, True, False)
    """
    if isinstance(error, OF_THE_MACHINE):
        return False
    return not isinstance(error, OSError) or error.errno is None


def lists_nothing(error: Exception) -> bool:
    """Whether an error says that a store does not list its names, as on the web, rather than that listing failed.

    >>> lists_nothing(PermissionError(13, "Forbidden")), lists_nothing(OSError(5, "Input/output error"))
    (True, False)
    """
    return isinstance(error, PermissionError) or not isinstance(error, OSError) or error.errno is None


def reason(error: BaseException) -> str:
    """Return the message of an error, with its type unless it is a ValueError.

    >>> reason(ValueError("has no axes")), reason(KeyError("shape"))
    ('has no axes', "KeyError('shape')")
    """
    return str(error) if isinstance(error, ValueError) and str(error) else repr(error)


@contextmanager
def locating_damage(where: Callable[[], str], what: str = "cannot be read") -> Iterator[None]:
    """Turn what is raised inside over damaged content into a ValueError that says where; one that does so stays.

    Parameters
    ----------
    where : callable
        Returns the address, which is asked for after an error only.
    what : str
        What is the matter with it.

    Examples
    --------
    >>> with locating_damage(lambda: "a.zarr/zarr.json"):
    ...     {}["shape"]
    Traceback (most recent call last):
    ValueError: a.zarr/zarr.json cannot be read: KeyError('shape')
    """
    try:
        yield
    except Exception as error:
        address = where()
        says_where = isinstance(error, BrokenObjectError) or (isinstance(error, ValueError) and address in str(error))
        if says_where or not is_damage(error):
            raise
        raise ValueError(f"{address} {what}: {reason(error)}") from error


def first_damaged(read: Callable[[Region], Any], region: Region, grid: Sequence[int]) -> Region:
    """Return the first of the blocks of a grid in a region that cannot be read; the region if each alone can be.

    >>> first_damaged(lambda block: 1 // block[0][0], ((-4, 4),), (2,))
    ((0, 2),)
    """
    for block in blocks_of(region, grid):
        try:
            read(block)
        except Exception:
            return block
    return region
