"""What a terminal shows: progress, errors and exit statuses."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from daskome.execution.progress import Pace

FAILED, REFUSED, STOPPED, INTERRUPTED = 1, 2, 75, 130


@contextmanager
def reporting_errors(written: str | None = None) -> Iterator[None]:
    """Turn what goes wrong into a message and an exit status; `written` is where the command writes an image."""
    try:
        with _warnings():
            yield
    except KeyboardInterrupt:
        unfinished = f"; what is at {written}, if writing had begun, is unfinished, and says so" if written else ""
        click.echo(f"\ninterrupted{unfinished}", err=True)
        raise SystemExit(INTERRUPTED) from None
    except _Stopped:
        click.echo("\nstopped by SIGTERM; run it again to go on (write: with --resume)", err=True)
        raise SystemExit(STOPPED) from None
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        message, status = _failure(error)
        click.echo(f"Error: {message}".replace("overwrite=True", "overwrite=True (--overwrite)"), err=True)
        raise SystemExit(status) from error


@contextmanager
def _warnings() -> Iterator[None]:
    """Print warnings as messages: the line that they point at is none that the user of a command has written."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        click.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _failure(error: Exception) -> tuple[str, int]:
    """Return message and exit status: our own messages unchanged, other errors in one line with their type."""
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return str(error), REFUSED
    from daskome.execution.unit_task import WriteError

    if isinstance(error, WriteError):
        return str(error), FAILED
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":"), FAILED


class _Stopped(BaseException):
    """SIGTERM has arrived: a batch system wants the machine back."""


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """On SIGTERM, end what is inside after the units in hand; on a second one, at once."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
        raise _Stopped

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Let Dask use this many threads in this process; by default, the number that it is set to."""
    import dask

    with dask.config.set({"num_workers": threads} if threads else {}):
        yield


@contextmanager
def progress_bar(label: str, quiet: bool, unit: str = "bytes") -> Iterator[Callable[[int, int], None] | None]:
    """Yield what draws a progress bar with amount, rate and time left; or None, to draw none.

    Where bytes are written, the first call says what was there before: neither rate nor time left are about that.
    """
    if quiet:
        yield None
        return
    pace = Pace(unit, None if unit == "bytes" else 0)
    with click.progressbar(length=1, label=label, file=sys.stderr, show_percent=True, show_eta=False) as bar:
        bar.item_show_func = lambda _: pace.text(bar.pos, bar.length or 1, time.monotonic())

        def progress(done: int, total: int) -> None:
            pace.begin(done, time.monotonic())
            bar.length = total
            bar.update(done - bar.pos)

        yield progress
