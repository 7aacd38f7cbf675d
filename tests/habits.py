"""A method for tests that takes time and memory as the environment says; its pixels are always the same."""

import os
import time
from typing import Any

import numpy as np

hoarded: list[Any] = []


def largest(windows: np.ndarray[Any, Any], axis: Any) -> Any:
    """Return the largest value of each window; every call takes NAP seconds, and keeps HOARD MiB for good."""
    time.sleep(float(os.environ.get("NAP", "0")))
    hoarded.append(np.ones(int(os.environ.get("HOARD", "0")) << 17))
    return np.max(windows, axis)
