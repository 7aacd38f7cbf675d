"""How far something is: what callers give as ``progress``, and the bar of text that True stands for."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import signature

from daskome.model.text import Progress, ShowProgress, format_duration, format_nbytes

SECONDS_BETWEEN = 0.1
"""How often a bar is drawn at most."""
WIDTH = 40
"""Characters of a bar."""


def drawn(progress: ShowProgress, unit: str = "bytes") -> Progress | None:
    """Return what is called as something goes on: a bar for True, nothing for False and None.

    Raises
    ------
    ValueError
        If it is neither a bool nor can be called with two numbers.

    Examples
    --------
    >>> drawn(5)
    Traceback (most recent call last):
    ValueError: progress=5 must be True, for a bar, or a function that is called as progress(done, total)
    """
    import numpy as np  # The command shows bars, and must not wait for it.

    if progress is None or (isinstance(progress, bool | np.bool_) and not progress):
        return None
    if isinstance(progress, bool | np.bool_):
        return TextBar(Pace(unit, None if unit == "bytes" else 0))
    if not callable(progress) or not _takes_two(progress):
        raise ValueError(
            f"progress={progress!r} must be True, for a bar, or a function that is called as progress(done, total)"
        )
    return progress


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        signature(function).bind(0, 1)
    except TypeError:
        return False
    except ValueError:  # Functions in C may not say what they take.
        return True
    return True


@dataclass(slots=True)
class Pace:
    """How fast something goes on, from when it began, and from what was there `before`, once that is known."""

    unit: str
    before: int | None = None
    began: float = field(default_factory=time.monotonic)

    def begin(self, done: int, now: float) -> None:
        """Note where it begins, unless that is known."""
        if self.before is None:
            self.before, self.began = done, now

    def text(self, done: int, total: int, now: float) -> str:
        """Return how far it is, how fast, and how long it will take.

        >>> pace = Pace("bytes")
        >>> pace.begin(2**30, 100.0)
        >>> pace.text(2**30, 2**31, 100.0)
        '1.0 GiB of 2.0 GiB'
        >>> pace.text(2**30 + 2**20, 2**31, 102.0)
        '1.0 GiB of 2.0 GiB, 512 KiB/s, 34 min left'
        """
        mine, seconds = done - (self.before or 0), max(now - self.began, 1e-6)
        words = [f"{done:,} of {total:,} {self.unit}"]
        if self.unit == "bytes":
            words = [f"{format_nbytes(done)} of {format_nbytes(total)}"]
            words += [f"{format_nbytes(mine / seconds)}/s"] if mine > 0 else []
        words += [f"{format_duration(seconds * (total - done) / mine)} left"] if mine > 0 and done < total else []
        return ", ".join(words)


@dataclass(slots=True)
class TextBar:
    """A bar on stderr, drawn anew on its line as something goes on; the first call says what was there before."""

    pace: Pace
    drawn: float = 0.0
    longest: int = 0

    def __call__(self, done: int, total: int) -> None:
        """Draw how far it is."""
        now = time.monotonic()
        self.pace.begin(done, now)
        if done < total and now - self.drawn < SECONDS_BETWEEN:
            return
        line = f"{bar(done, total)} {self.pace.text(done, total, now)}"
        self.drawn, self.longest = now, max(self.longest, len(line))
        end = "\n" if done >= total else ""
        print(f"\r{line:<{self.longest}}", end=end, file=sys.stderr, flush=True)


def bar(done: int, total: int) -> str:
    """Return a bar of text.

    >>> bar(1, 4)
    '[##########                              ]  25%'
    """
    share = done / total if total else 1
    return f"[{'#' * int(WIDTH * share):<{WIDTH}}] {share:4.0%}"
