"""What a terminal shows: progress, errors, exit statuses, and the command that goes on with what was stopped."""

import os
import re
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from daskome.execution.progress import Pace, TextBar
from daskome.model.problem import REFUSALS
from daskome.model.urls import without_credentials

FAILED, REFUSED, STOPPED, INTERRUPTED = 1, 2, 75, 130
STATUSES: Mapping[int, int] = {signal.SIGTERM: STOPPED, signal.SIGINT: INTERRUPTED}
"""By the signal that ends a command: SIGTERM of a batch system that wants its machine back, Ctrl-C."""
SECRETS = re.compile(r"(\w*(?:key|secret|token|pass|sas|sig|cred|connection|auth|header|param)\w*=).+", re.IGNORECASE)
"""Options of file systems that are not shown."""


class Command(click.Group):
    """The command, which remembers how it was called, and whose own words about a URL leave out its login and query."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> click.Context:
        """Return the context, with the words of the command line."""
        return super().make_context(info_name, args, *more, **{"obj": tuple(args), **extra})

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            message = error.format_message()
            shown = without_credentials(message)
            if shown == message:
                raise
            raise click.UsageError(shown, error.ctx) from None


@contextmanager
def reporting_errors(written: str | None = None) -> Iterator[None]:
    """Turn what goes wrong into a message and an exit status; `written` is where the command writes an image."""
    try:
        with _warnings():
            yield
    except KeyboardInterrupt:
        raise _ended(signal.SIGINT, written) from None
    except Stopped as stopped:
        raise _ended(stopped.signal, written) from None
    except (click.ClickException, click.Abort, click.exceptions.Exit):
        raise
    except Exception as error:
        message, status = _failure(error)
        message = without_credentials(message).replace("overwrite=True", "overwrite=True (--overwrite)")
        click.echo(f"Error: {message}{_going_on() if written and can_go_on(error) else ''}", err=True)
        raise SystemExit(status) from error


def _ended(number: int, written: str | None) -> SystemExit:
    """Say that a signal ended the command, and how to go on; return its exit status."""
    how = "interrupted" if number == signal.SIGINT else "stopped by SIGTERM"
    unfinished = f"; what is at {written}, if writing had begun, is unfinished, and says so" if written else ""
    click.echo(without_credentials(f"\n{how}{unfinished}{_going_on() if written else ''}"), err=True)
    return SystemExit(STATUSES[number])


def _going_on() -> str:
    """Return the command that goes on where this one has ended, on a line of its own."""
    context = click.get_current_context(silent=True)
    words = () if context is None else context.find_root().obj or ()
    return f"\nto go on: {going_on(words)}" if words else ""


def going_on(words: Sequence[str]) -> str:
    """Return the command that goes on with a write that was called with these words.

    >>> going_on(["write", "my cells.tif", "a.zarr", "--overwrite", "--fs-option", "secret=abc"])
    "daskome write 'my cells.tif' a.zarr --fs-option secret=… --resume"
    >>> going_on(["run", "a.zarr", "--part", "3/64"])
    'daskome run a.zarr --part 3/64'
    """
    again = ["--resume"] if words[0] in ("write", "update", "append") else []
    kept = [word for word in words if word not in ("--resume", *(["--overwrite"] if again else []))]
    return " ".join(["daskome", *map(_shown, kept), *again])


def _shown(word: str) -> str:
    word = SECRETS.sub(r"\1…", without_credentials(word))
    return word if re.fullmatch(r"[\w@%+=:,./…*-]+", word) and "*" not in word else shlex.quote(word)


@contextmanager
def _warnings() -> Iterator[None]:
    """Print warnings as messages: the line that they point at is none that the user of a command has written."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        click.echo(f"warning: {without_credentials(str(message))}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def _failure(error: Exception) -> tuple[str, int]:
    """Return message and exit status: our own messages unchanged, other errors in one line with their type."""
    if isinstance(error, REFUSALS):
        return str(error), REFUSED
    if can_go_on(error):
        return str(error), FAILED
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":"), FAILED


def can_go_on(error: Exception) -> bool:
    """Whether what was written stays, and the rest can be written later."""
    from daskome.model.problem import WriteError

    return isinstance(error, WriteError)


class Stopped(BaseException):
    """A signal has arrived that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


@contextmanager
def stopping() -> Iterator[None]:
    """On SIGTERM and Ctrl-C, end what is inside after the units in hand; on a second one, end the process at once."""

    def at_once(number: int, *_: Any) -> None:
        with suppress(OSError):
            os.write(2, f"\nstopped at once; what was being written is unfinished, and says so{_going_on()}\n".encode())
        os._exit(STATUSES[number])

    def stop(number: int, *_: Any) -> None:
        for each in STATUSES:
            signal.signal(each, at_once)
        with suppress(OSError):
            os.write(2, b"\nfinishing the units in hand; again to stop now\n")
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in STATUSES}
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is stop:  # A command that ends after a signal is still stopped by the next.
            for number, handler in before.items():
                signal.signal(number, handler)


def has_screen() -> bool:
    """Return whether a browser would open where the user sees it: not on a machine that is reached by a terminal."""
    if os.environ.get("SSH_CONNECTION"):
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def wait_for_interrupt(begin: Callable[[], Any] | None) -> None:
    """Begin what there is to begin, and wait until Ctrl-C or SIGTERM, either of which ends the command as it should."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        click.echo("Ctrl-C ends it", err=True)
        if begin is not None:
            begin()
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("", err=True)
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def limited_threads(threads: int | None) -> Iterator[None]:
    """Let Dask use this many threads in this process; by default, the number that it is set to."""
    import dask

    with dask.config.set({"num_workers": threads} if threads else {}):
        yield


def progress_bar(label: str, quiet: bool, unit: str = "bytes") -> TextBar | None:
    """Say what begins, and return what shows how far it is, how fast, and how long it will take; None if quiet.

    Where bytes are written, the first call says what was there before: neither rate nor time left are about that.
    """
    if quiet:
        return None
    click.echo(without_credentials(label), err=True)
    return TextBar(Pace(unit, None if unit == "bytes" else 0))
