"""Warnings that point at the line that called daskome, no matter how many of our functions lie between."""

import sys
import warnings


def warn(message: str) -> None:
    """Warn the caller of daskome.

    Python shows a warning once per line that it points at. If it pointed at a line of ours, a process would show it
    once, no matter how many images follow.
    """
    warnings.warn(message, UserWarning, stacklevel=_stacklevel())


def _stacklevel() -> int:
    """Return how many frames above `warn`, itself counted, the first one lies outside this package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
