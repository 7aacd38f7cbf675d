"""The owner of a claim: a process on a machine, and whether it still lives."""

import os
import platform
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

SEEN_EVERY = 15.0
"""Seconds after which an owner says again that it is alive."""
DEAD_AFTER = 90.0
"""Seconds after which an owner on another machine that has not said so seems dead, and is watched."""
HELD = set[str]()
"""The tokens of claims that this process holds now."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that may write, or a client whose workers do.

    Attributes
    ----------
    token : str
        Tells its claim apart from all others.
    host : str
    machine : str
        What tells a machine since it was started, and its processes, apart from all others (`machine`).
    pid : int
    started : str
        When the process began, as `started_at` returns it.
    since : float
        When it became the owner, in seconds since 1970.
    alone : bool
        Whether threads of the process write, and nothing writes any more once it is dead.
    attended : bool
        Whether the process knows when the write ends; one of a Dask graph (``compute=False``) does not.
    """

    token: str
    host: str
    machine: str
    pid: int
    started: str
    since: float
    alone: bool = True
    attended: bool = True

    def __post_init__(self) -> None:
        """Raise a TypeError or ValueError for what no process has said of itself."""
        texts = (self.token, self.host, self.machine, self.started)
        if not (all(isinstance(text, str) and text.isprintable() for text in texts) and isinstance(self.pid, int)):
            raise TypeError(f"{texts}, process {self.pid}, is no owner")
        if not (0 < self.pid < 2**31 and 0 <= self.since < 2**36):
            raise ValueError(f"process {self.pid} since {self.since} is no owner")

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.since, UTC).isoformat(" ", "seconds")
        return f"process {self.pid} on {self.host}, since {when}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine."""
        return bool(self.machine) and self.machine == machine()

    def is_alive(self, seen: float) -> bool:
        """Whether it still lives, as far as anybody can tell from here; `seen` is when it last said so, by its clock.

        If that is right: one that is not alive may be watched (`may_be_watched`).
        """
        if not self.attended:
            return False
        if not self.is_here:
            return abs(time.time() - max(self.since, seen)) < DEAD_AFTER
        if self.pid == os.getpid():
            return self.token in HELD
        now = started_at(self.pid)
        return now is not None and (not now or not self.started or now == self.started)

    def may_be_watched(self, seen: float) -> bool:
        """Whether its clock alone says that it is dead: it is alive if it says so again."""
        return self.attended and not self.is_here and not self.is_alive(seen)

    def is_gone(self, seen: float) -> bool:
        """Whether it, and all that wrote for it, has certainly ended."""
        return self.attended and self.alone and self.is_here and not self.is_alive(seen)


def this_process(alone: bool, attended: bool) -> Owner:
    """Return this process as an owner from now on."""
    pid = os.getpid()
    return Owner(
        uuid4().hex, platform.node(), machine(), pid, started_at(pid) or "", round(time.time(), 3), alone, attended
    )


@cache
def machine() -> str:
    """Return what tells a machine since it was started, and its processes, apart from all others; empty on Windows.

    Containers on one host number their processes apart from each other.
    """
    if os.name != "posix":
        return ""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def started_at(pid: int) -> str | None:
    """Return when a process of this machine began, empty if that is not known; None if it has ended."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    if os.name == "posix":
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            return ""
    return ""


def mark_of_this_process() -> str:
    """Return what names of files say of the process that writes them, as `is_of_the_dead` reads it."""
    return _mark(os.getpid())


@cache
def _mark(pid: int) -> str:
    return f"{pid}-{started_at(pid) or ''}-{sha256(machine().encode()).hexdigest()[:8]}"


def is_of_the_dead(mark: str) -> bool:
    """Whether a process of this machine has left a mark, and has ended.

    >>> is_of_the_dead(mark_of_this_process()), is_of_the_dead("1--elsewhere"), is_of_the_dead("")
    (False, False, False)
    """
    pid, _, rest = mark.partition("-")
    started, _, where = rest.partition("-")
    if not (pid.isdecimal() and len(pid) < 10 and machine()) or where != mark_of_this_process().rpartition("-")[2]:
        return False
    now = started_at(int(pid))
    return now is None or bool(started and now and now != started)
