"""How far something is: what callers give as ``progress``, and what True shows: a bar, or lines where nobody looks on.

A write counts its bytes in a `Tally`. What the caller gave hears of each unit that is finished; a bar of ours also of
blocks within the units that run here, and of stages.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from daskome.model.text import Progress, ShowProgress, format_duration, format_nbytes

SECONDS_BETWEEN = 0.1
"""How often a bar is drawn at most."""
SECONDS_BETWEEN_LINES = 10.0
"""How often a line is printed at most, where nobody looks on."""
WIDTH = 40
"""Characters of a bar at most."""
LEAST_WIDTH = 8
"""A shorter bar is left out."""
WORDS_WIDTH = 62
"""Characters that are kept for the words beside a bar."""


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
    from daskome.kernels.methods import takes_two

    if not callable(progress) or not takes_two(progress):
        raise ValueError(
            f"progress={progress!r} must be True, for a bar, or a function that is called as progress(done, total)"
        )
    return progress


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

    def words(self, done: int, total: int, now: float) -> list[str]:
        """Return how far it is, how fast, and how long it will take.

        >>> pace = Pace("bytes")
        >>> pace.begin(2**30, 100.0)
        >>> pace.words(2**30, 2**31, 100.0)
        ['1.0 GiB of 2.0 GiB']
        >>> pace.words(2**30 + 2**20, 2**31, 102.0)
        ['1.0 GiB of 2.0 GiB', '34 min left', '512 KiB/s']
        """
        mine, seconds = done - (self.before or 0), max(now - self.began, 1e-6)
        in_bytes = self.unit == "bytes"
        show = format_nbytes if in_bytes else "{:,}".format
        amount = f"{show(done)} of {show(total)}" + ("" if in_bytes else f" {self.unit}")
        left = [f"{format_duration(seconds * (total - done) / mine)} left"] if mine > 0 and done < total else []
        return [amount, *left, *([f"{show(mine / seconds)}/s"] if mine > 0 and in_bytes else [])]


@dataclass(slots=True)
class TextBar:
    """A bar on stderr, drawn anew on its line as something goes on; the first call says what was there before.

    Where stderr is a file or a pipe, it is a line every `SECONDS_BETWEEN_LINES`.

    Attributes
    ----------
    pace : Pace
    stage : str
        Where in the work it is, such as ``"stage 1 of 2"``.
    """

    pace: Pace
    stage: str = ""
    _drawn: float = 0.0
    _within: int = 0
    _amount: tuple[int, int] = (0, 0)
    _lock: Lock = field(default_factory=Lock)

    @property
    def written(self) -> int:
        """How much was done since it began."""
        return self._amount[0] - (self.pace.before or 0)

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        with self._lock:
            now = time.monotonic()
            self.pace.begin(done, now)
            self._within = max(0, self._within - max(0, done - self._amount[0]))
            self._amount = (done, total)
            self._show(now)

    def within(self, nbytes: int) -> None:
        """Show that some more bytes are written of what is not finished."""
        with self._lock:
            self._within += nbytes
            self._show(time.monotonic())

    def _show(self, now: float) -> None:
        done, total = self._amount
        ended, on_screen = done >= total, watched()
        if not ended and now - self._drawn < (SECONDS_BETWEEN if on_screen else SECONDS_BETWEEN_LINES):
            return
        self._drawn = now
        seen = min(done + self._within, total)
        words = self.pace.words(seen, total, now)
        words += [self.stage] * bool(self.stage and not ended)
        if on_screen:
            columns = terminal_columns() - 1
            print(f"\r{line(seen, total, words, columns):<{columns}}", end="\n" * ended, file=sys.stderr, flush=True)
        else:
            print(f"{portion(seen, total):.0%}, {', '.join(words)}", file=sys.stderr, flush=True)


def watched() -> bool:
    """Whether somebody looks on, who sees a line change: at a terminal, or in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def terminal_columns() -> int:
    """Return the width of the terminal; 80 where that is not known."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):  # A notebook's stderr has no descriptor.
        return shutil.get_terminal_size().columns


def portion(done: int, total: int) -> float:
    """Return how much of all is done; all of nothing."""
    return done / total if total else 1.0


def line(done: int, total: int, words: list[str], columns: int) -> str:
    """Return a bar and words beside it, as many as there is room for.

    >>> line(1, 4, ["1 of 4 blocks", "9 s left", "stage 1 of 2"], 90)
    ' 25% [#######                     ] 1 of 4 blocks, 9 s left, stage 1 of 2'
    >>> line(1, 4, ["1 of 4 blocks", "9 s left", "stage 1 of 2"], 32)
    ' 25% 1 of 4 blocks, 9 s left'
    """
    width = min(WIDTH, columns - WORDS_WIDTH)
    bar = f"[{'#' * int(width * portion(done, total)):<{width}}] " if width >= LEAST_WIDTH else ""
    head, text = f"{portion(done, total):4.0%} {bar}", words[0]
    for more in words[1:]:
        if len(f"{head}{text}, {more}") > columns:
            break
        text = f"{text}, {more}"
    return f"{head}{text}"[:columns]


@dataclass(slots=True)
class Tally:
    """Bytes that are written, of those that are to be, and who hears of it."""

    done: int
    total: int
    progress: Progress | None

    def begin(self, stage: int, n_stages: int) -> None:
        """Say that a stage begins."""
        if isinstance(self.progress, TextBar) and n_stages > 1:
            self.progress.stage = f"stage {stage + 1} of {n_stages}"

    def add(self, nbytes: int) -> None:
        """Count some more."""
        self.done += nbytes
        if self.progress:
            self.progress(self.done, self.total)


LISTENERS: list[Callable[[int], None]] = []
"""Who hears of each block that this process has stored."""


@contextmanager
def hearing_of_blocks(progress: Progress | None) -> Iterator[None]:
    """Let a bar move with each block that is stored here, until its unit is finished and counts whole."""
    if not isinstance(progress, TextBar):
        yield
        return
    LISTENERS.append(progress.within)
    try:
        yield
    finally:
        LISTENERS.remove(progress.within)


def block_stored(nbytes: int) -> None:
    """Tell who listens that a block of so many bytes is stored."""
    for listener in LISTENERS:
        listener(nbytes)
