"""NumPy's own files, mapped into memory."""

import numpy as np

from daskome.model.source import Source
from daskome.readers.inputs import Input
from daskome.sources.adapt import as_source


def read(input_: Input) -> Source:
    """Return the array of a ``.npy`` file."""
    return as_source(np.load(input_.path, mmap_mode="r"))
