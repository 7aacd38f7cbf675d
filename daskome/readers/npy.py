"""NumPy's own files, mapped into memory."""

import numpy as np

from daskome.readers.given import Input
from daskome.sources import Source, as_source


def read(given: Input) -> Source:
    """Return the array of a ``.npy`` file."""
    return as_source(np.load(given.path, mmap_mode="r"))
