"""Images whose Dask graphs differ in kind: of what their blocks are made, and what blocks share."""

import dask
import dask.array as da
import numpy as np

CHUNKS = (8, 16, 16)


def volume(chunks: tuple[int, ...] = CHUNKS) -> da.Array:
    numbers = np.random.default_rng(0).integers(0, 1000, (32, 64, 64), "uint16")
    return da.from_array(numbers, chunks=chunks)


def centred(image: da.Array) -> da.Array:
    return (image + image.mean().astype("uint16")).astype("uint16")


def flattened(image: da.Array) -> da.Array:
    return (image + image.mean(axis=0).astype("uint16")).astype("uint16")


def blurred(image: da.Array) -> da.Array:
    return image.map_overlap(lambda block: block, depth=2, boundary="reflect")


IMAGES = {
    "numpy": volume,
    "computed": lambda: volume() * 2 + 1,
    "centred": lambda: centred(volume()),
    "flattened": lambda: flattened(volume()),
    "blurred": lambda: blurred(volume()),
    "rechunked": lambda: (volume((4, 64, 64)) + 1).rechunk((16, 16, 16)),
    "stacked": lambda: da.stack([volume()[0], *volume()[1:9]]),
    "legacy": lambda: da.Array({("old", i): (np.full, 4, i) for i in range(3)}, "old", ((4, 4, 4),), dtype=int),
    "delayed": lambda: da.from_delayed(dask.delayed(np.ones)((4, 4)), (4, 4), float),
}
