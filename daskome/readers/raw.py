"""Raw: numbers one after the other, behind a header or none, as the caller describes them; mapped into memory."""

import os
from math import prod
from typing import Any

import numpy as np

from daskome.model.source import Source, Volume
from daskome.readers.inputs import Input
from daskome.sources.adapt import as_source


def read(input_: Input) -> Source:
    """Return the array in a file of raw numbers; its length must be that of shape and dtype."""
    words, path = input_.words, input_.path
    if not {"shape", "dtype"} <= set(words):
        raise ValueError(
            f"{path} does not describe itself; give shape and dtype, such as (512, 2048, 2048) and 'uint16'"
        )
    described = Volume(words["shape"], words["dtype"])
    dtype, offset, order = np.dtype(words["dtype"]), int(words.get("offset", 0)), words.get("order", "C")
    if order not in ("C", "F"):
        raise ValueError(f"order {order!r} must be 'C', the last axis being the fastest, or 'F', the first")
    _check_length(path, described, dtype, offset)
    memory_order: Any = order
    return as_source(np.memmap(path, dtype, "r", offset, described.shape, memory_order))


def _check_length(path: str, described: Volume, dtype: "np.dtype[Any]", offset: int) -> None:
    """Raise a ValueError unless a file is as long as its description says."""
    if offset < 0:
        raise ValueError(f"offset {offset} must be the number of bytes before the pixels, 0 or more")
    pixels, size = prod(described.shape) * dtype.itemsize, os.path.getsize(path)
    if offset + pixels == size:
        return
    said = f"{described.shape} of {dtype} are {pixels:,} bytes"
    header = f"; if there is a header of {size - pixels:,} bytes, give that as offset" if size > pixels else ""
    raise ValueError(f"{path} has {size:,} bytes, but {said}, from byte {offset:,}{header}")
