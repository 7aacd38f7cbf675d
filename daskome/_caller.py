"""Whose line a warning points at: that of whoever called daskome, however many of our functions lie between."""

import sys
import warnings


def warn(message: str) -> None:
    """Warn whoever called daskome.

    Python shows a warning once for each line that it points at. One that pointed at a line of ours would be shown once
    in a process, whatever is written after that.
    """
    warnings.warn(message, UserWarning, stacklevel=_stacklevel())


def _stacklevel() -> int:
    """Return how many frames above `warn`, itself counted, the first one lies that is not in this package."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level
