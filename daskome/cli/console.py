"""What a terminal shows: progress, errors and exit statuses."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from daskome.cli.main import warnings_as_messages
from daskome.model.text import format_nbytes

FAILED, REFUSED, STOPPED, INTERRUPTED = 1, 2, 75, 130


@contextmanager
def reporting_errors(written: str | None = None) -> Iterator[None]:
    """Turn what goes wrong into a message and an exit status; `written` is where the command writes an image."""
    try:
        with warnings_as_messages():
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


def _failure(error: Exception) -> tuple[str, int]:
    """Return message and exit status: our own refusals as they are, what others raise in one line with its type."""
    if isinstance(error, ValueError | TypeError | OSError | ImportError):
        return str(error), REFUSED
    from daskome.execution.unit_task import WriteError

    if isinstance(error, WriteError):
        return str(error), FAILED
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":"), FAILED


class _Stopped(BaseException):
    """SIGTERM has come: a batch system wants the machine back."""


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
    """Let Dask use so many threads in this process; its own number if none is given."""
    import dask

    with dask.config.set({"num_workers": threads} if threads else {}):
        yield


@contextmanager
def progress_bar(label: str, quiet: bool, unit: str = "bytes") -> Iterator[Callable[[int, int], None] | None]:
    """Yield what draws a progress bar with amount, rate and time left; or None, to draw none."""
    if quiet:
        yield None
        return
    start = time.monotonic()
    with click.progressbar(length=1, label=label, file=sys.stderr, show_percent=True, show_eta=True) as bar:
        bar.item_show_func = lambda _: _rate(bar.pos, bar.length or 1, time.monotonic() - start, unit)

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield progress


def _rate(done: int, total: int, seconds: float, unit: str) -> str:
    """Return how far it is, and how fast.

    >>> _rate(2**20, 2**21, 2.0, "bytes")
    '1.0 MiB of 2.0 MiB, 512 KiB/s'
    """
    if unit != "bytes":
        return f"{done:,} of {total:,} {unit}"
    return f"{format_nbytes(done)} of {format_nbytes(total)}, {format_nbytes(done / max(seconds, 1e-6))}/s"
