"""What a command took: time, work and memory, beside what was predicted."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskome.model.text import format_duration, format_nbytes, pluralize

OF_THIS_PROCESS = Path("/proc/self/status")


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, and of those that it has started and that have ended."""
    return sum(os.times()[:4])


def peak_nbytes() -> int | None:
    """Return the most memory that this process has held; None where the system does not say."""
    if OF_THIS_PROCESS.exists():  # ru_maxrss starts with that of the process that started it.
        lines = OF_THIS_PROCESS.read_text("utf-8").splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), None)
    return None


@dataclass(frozen=True, slots=True)
class Measured:
    """What was written, and what that took.

    Attributes
    ----------
    images, levels : int
        Of the plan; the levels of its largest image.
    nbytes : int
        Of pixels, written now.
    seconds, cpu_seconds : float
    peak, predicted : int, optional
        Bytes of memory.
    """

    images: int
    levels: int
    nbytes: int
    seconds: float
    cpu_seconds: float
    peak: int | None
    predicted: int

    def text(self) -> str:
        """Return it for people to read.

        >>> Measured(1, 5, 3 * 2**30, 30.0, 55.0, 2**28, 2**28).text()
        '5 levels, 3.0 GiB of pixels in 30 s (102 MiB/s), 55 s of CPU time, peak memory 256 MiB (256 MiB predicted)'
        """
        what = pluralize(self.images, "image") if self.images > 1 else pluralize(self.levels, "level")
        amount = f"{format_nbytes(self.nbytes)} of pixels in {format_duration(self.seconds)}"
        speed = f" ({format_nbytes(self.nbytes / self.seconds)}/s)" if self.nbytes and self.seconds >= 1 else ""
        work = f"{format_duration(self.cpu_seconds)} of CPU time"
        predicted = f"({format_nbytes(self.predicted)} predicted)"
        memory = [f"peak memory {format_nbytes(self.peak)} {predicted}"] if self.peak else []
        return ", ".join([what, f"{amount}{speed}", work, *memory])


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """When something began, and the CPU seconds that were spent by then."""

    began: float
    cpu: float

    @classmethod
    def started(cls) -> "Stopwatch":
        """Return one that is started now."""
        return cls(time.monotonic(), cpu_seconds())

    def measured(self, plan: Any, nbytes: int) -> Measured:
        """Return what a plan took, of which so many bytes were written since."""
        levels = max((len(pyramid.levels) for _, pyramid in plan.images), default=0)
        seconds = time.monotonic() - self.began
        work = cpu_seconds() - self.cpu
        return Measured(len(plan.images), levels, nbytes, seconds, work, peak_nbytes(), plan.memory)
