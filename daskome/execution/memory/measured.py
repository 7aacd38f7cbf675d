"""How many units of an image that is computed run at a time in a process: as many as its memory holds.

What a function of the image needs no graph tells. Where memory is short, the first unit in a process runs alone, and
what it takes is measured; if that is more than predicted, fewer run at a time from then on, and the journal says so.
"""

import logging
import mmap
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from daskome.execution.memory.allocator import release_free_memory
from daskome.model.text import format_nbytes, pluralize
from daskome.planning.plan import Plan, Stage
from daskome.planning.work import PROCESS_MEM, Pass
from daskome.stores.journal import Journal

log = logging.getLogger("daskome")
SHORT_BELOW = 4
"""Memory is short if units of all threads, each with this many times what is predicted, would not fit."""
SAMPLING_SECONDS = 0.002
"""Seconds between looks at what a process has in use."""
MEASURED_MARGIN = 1.1
"""How much more the next unit may take than the one that was measured."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a unit takes of the memory of its process.

    Attributes
    ----------
    of : hashable
        The same for units that are alike.
    nbytes : int
        What one is predicted to take.
    limit : int
        What all units of a process may take together.
    threads : int
        How many would run at a time.
    """

    of: Hashable
    nbytes: int
    limit: int
    threads: int

    @property
    def is_short(self) -> bool:
        """Whether a wrong prediction could take more memory than there is."""
        return SHORT_BELOW * self.threads * self.nbytes > self.limit


@dataclass(slots=True)
class Taken:
    """What a unit took, in bytes, if it was measured."""

    measured: int = 0


class _Gate:
    """Lets units of this process run while there is room for them; one always may."""

    def __init__(self) -> None:
        self.measured: dict[Hashable, int] = {}
        self._used = self._running = 0
        self._alone = False
        self._changed = threading.Condition()
        self._inside = threading.local()

    @contextmanager
    def enter(self, room: Room) -> Iterator[Taken]:
        """Wait for room, hold it, and yield what says at the end how much was taken."""
        if getattr(self._inside, "is_inside", False):  # An image that is computed by writing another.
            yield Taken()
            return
        nbytes, alone = self._take(room)
        self._inside.is_inside = True
        taken, watch = Taken(), _Watch() if alone else None
        try:
            yield taken
            taken.measured = watch.stop() if watch else 0
        finally:
            self._inside.is_inside = False
            if room.is_short:
                release_free_memory()
            self._give_back(room, nbytes, alone, taken.measured)

    def _take(self, room: Room) -> tuple[int, bool]:
        with self._changed:
            while True:
                nbytes = max(room.nbytes, self.measured.get(room.of, 0))
                alone = room.is_short and room.of not in self.measured
                fits = not alone and not self._alone and self._used + nbytes <= room.limit
                if fits or not self._running:
                    break
                self._changed.wait()
            self._used, self._running, self._alone = self._used + nbytes, self._running + 1, alone
            return nbytes, alone

    def _give_back(self, room: Room, nbytes: int, alone: bool, measured: int) -> None:
        with self._changed:
            self._used, self._running = self._used - nbytes, self._running - 1
            self._alone = self._alone and not alone
            if measured:
                self.measured[room.of] = int(MEASURED_MARGIN * measured) if measured > room.nbytes else room.nbytes
                _warn(room, self.measured[room.of], measured)
            self._changed.notify_all()


GATE = _Gate()


def _warn(room: Room, nbytes: int, measured: int) -> None:
    """Say that a unit took more than predicted, and what follows."""
    if measured <= room.nbytes:
        return
    at_a_time = min(max(room.limit // nbytes, 1), room.threads)
    log.warning(
        "a unit took %s of memory, and %s were predicted: its image is computed by functions that need more than their"
        " results; %s of %d run at a time in this process",
        format_nbytes(measured),
        format_nbytes(room.nbytes),
        pluralize(at_a_time, "unit"),
        room.threads,
    )


class _Watch:
    """Looks at what this process has in use, until it is stopped."""

    def __init__(self) -> None:
        self._start = self._peak = _resident()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stopped.wait(SAMPLING_SECONDS):
            self._peak = max(self._peak, _resident())

    def stop(self) -> int:
        """Return how many bytes came to what was in use at the start, at most; at least one."""
        self._stopped.set()
        self._thread.join()
        return max(self._peak - self._start, 1)


def _resident() -> int:
    """Return the bytes that this process has in use; where the system does not tell, the most that it has had."""
    try:
        with open("/proc/self/statm", encoding="ascii") as numbers:
            return int(numbers.read().split()[1]) * mmap.PAGESIZE
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def in_room(room: Room | None) -> Iterator[Taken]:
    """Wait until there is room for a unit in this process, and hold it; units of other images are not held up."""
    if room is None:
        yield Taken()
        return
    with GATE.enter(room) as taken:
        yield taken


def room_of(plan: Plan, pass_: Pass, journal: Journal) -> Room | None:
    """Return the room that units of a pass need, if their image is computed and memory is bounded."""
    if not pass_.computed or plan.workers.memory is None:
        return None
    limit = max(plan.workers.memory - PROCESS_MEM, 0)
    return Room(_kind(pass_, journal), pass_.unit_memory, limit, plan.workers.threads)


def _kind(pass_: Pass, journal: Journal) -> Hashable:
    return journal.id, pass_.group, pass_.first, pass_.image


def with_measured(plan: Plan, journal: Journal) -> Plan:
    """Return a plan with what its units took in this process, where that was more than predicted."""
    stages = tuple(Stage(tuple(_as_measured(plan, pass_, journal) for pass_ in stage.passes)) for stage in plan.stages)
    return plan if stages == plan.stages else replace(plan, stages=stages)


def _as_measured(plan: Plan, pass_: Pass, journal: Journal) -> Pass:
    room = room_of(plan, pass_, journal)
    nbytes = 0 if room is None else GATE.measured.get(room.of, 0)
    if room is None or nbytes <= pass_.unit_memory:
        return pass_
    at_a_time = min(max(room.limit // nbytes, 1), room.threads)
    return replace(pass_, unit_memory=nbytes, abreast=0 if at_a_time == room.threads else at_a_time)
