"""MRC: volumes and stacks of electron microscopy, mapped into memory."""

import os
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.readers.axes import ordered
from daskome.readers.described import Described, Quantities, described
from daskome.readers.inputs import Input
from daskome.sources.adapt import as_source

HEADER = np.dtype(
    [
        *((name, "i4") for name in ("nx", "ny", "nz", "mode", "nxstart", "nystart", "nzstart", "mx", "my", "mz")),
        *((f"cell_{name}", "f4") for name in ("x", "y", "z", "alpha", "beta", "gamma")),
        *((name, "i4") for name in ("mapc", "mapr", "maps")),
        *((name, "f4") for name in ("dmin", "dmax", "dmean")),
        *((name, "i4") for name in ("ispg", "nsymbt")),
        ("extra1", "V8"), ("exttyp", "S4"), ("nversion", "i4"),
        ("extra2", "V40"), ("imod", "i4"), ("imod_flags", "i4"), ("extra3", "V36"),
        *((f"origin_{name}", "f4") for name in "xyz"),
        ("map", "S4"), ("machst", "V4"), ("rms", "f4"), ("nlabl", "i4"), ("label", "S80", (10,)),
    ]
)  # fmt: skip
"""MRC2014, and what IMOD puts into the bytes that it leaves free."""
LENGTHS = ("nz", "ny", "nx")
MODES: Mapping[int, str] = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
COMPLEX = (3, 4)
IMOD = 1146047817
"""The stamp of IMOD, of whose files bytes are unsigned unless a flag says otherwise."""
VOLUME_STACK = 401
"""Space groups from here on mean several volumes in a row."""


def read(input_: Input) -> Source:
    """Return the volume, stack of images or row of volumes in a file."""
    header = _header(input_.path)
    dtype = _dtype(input_.path, header)
    shape, names = _shape(input_.path, header)
    start = HEADER.itemsize + int(header["nsymbt"])
    end, size = start + prod(shape) * dtype.itemsize, os.path.getsize(input_.path)
    if end > size:
        raise ValueError(
            f"{input_.path} is cut short: {shape} of {dtype} end at byte {end:,}, but it has {size:,}; copy it anew"
        )
    pixels = as_source(np.memmap(input_.path, dtype, "r", start, shape))
    return described(ordered(pixels, names), _described(header))


def _header(path: str) -> Any:
    """Return the header, in the byte order in which its numbers are smallest: what says the order is often wrong."""
    with open(path, "rb") as file:
        data = file.read(HEADER.itemsize)
    if len(data) < HEADER.itemsize:
        raise ValueError(f"{path} cannot be read as MRC: its header of {HEADER.itemsize} bytes is cut short")
    headers = [np.frombuffer(data, HEADER.newbyteorder(order))[0] for order in ("<", ">")]
    header = min(headers, key=lambda header: max(abs(int(header[name])) for name in LENGTHS))
    if int(header["mode"]) in (*MODES, *COMPLEX) and min(int(header[name]) for name in LENGTHS) > 0:
        return header
    modes = ", ".join(map(str, MODES))
    raise ValueError(f"{path} cannot be read as MRC: it has mode {header['mode']}; those that are read are {modes}")


def _dtype(path: str, header: Any) -> "np.dtype[Any]":
    mode = int(header["mode"])
    if mode in COMPLEX:
        raise ValueError(
            f"{path} holds complex numbers (mode {mode}), which OME-Zarr cannot; write their absolute values or phases"
            " as another file"
        )
    if mode == 0 and int(header["imod"]) == IMOD and not int(header["imod_flags"]) & 1:
        return np.dtype("u1")
    return np.dtype(f"{header.dtype['mode'].str[0]}{MODES[mode]}")


def _shape(path: str, header: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the shape of what is stored, and its axes: the header says which of x, y, z is the fastest.

    One image alone has no axis across it.
    """
    shape = tuple(int(header[name]) for name in LENGTHS)
    fast = [int(header[name]) for name in ("maps", "mapr", "mapc")]
    names = tuple("xyz"[i - 1] for i in fast) if sorted(fast) == [1, 2, 3] else ("z", "y", "x")
    n = int(header["mz"])
    if int(header["ispg"]) < VOLUME_STACK:
        return shape, names if shape[0] > 1 or int(header["ispg"]) else ("", *names[1:])
    if n < 1 or shape[0] % n:
        raise ValueError(f"{path} has {shape[0]} sections, which are no whole number of volumes of {n}")
    return (shape[0] // n, n, *shape[1:]), ("t", *names)


def _described(header: Any) -> Described:
    """Return sizes and position, in angstrom; a stack of images has no size along z."""
    is_stack = int(header["ispg"]) == 0 and int(header["nz"]) > 1
    steps = {axis: float(header[f"cell_{axis}"]) / (int(header[f"m{axis}"]) or 1) for axis in "xyz"}
    sizes: Quantities = {
        axis: (float(f"{size:.7g}"), "angstrom")
        for axis, size in steps.items()
        if size > 0 and not (is_stack and axis == "z")
    }
    origin = {axis: float(header[f"origin_{axis}"]) for axis in "xyz"}
    starts = {axis: int(header[f"n{axis}start"]) * steps[axis] for axis in "xyz"}
    placed = origin if any(origin.values()) else starts
    positions: Quantities = {axis: (value, "angstrom") for axis, value in placed.items() if axis in sizes}
    return Described(sizes, positions, left=tuple(_left(header)))


def _left(header: Any) -> Iterator[str]:
    """Yield what else a header says."""
    labels = [bytes(label).decode("latin-1").split() for label in header["label"][: int(header["nlabl"])]]
    if any(labels):
        yield f"its labels: {'; '.join(' '.join(words) for words in labels if words)}"
    if int(header["nsymbt"]):
        kind = bytes(header["exttyp"]).decode("latin-1").strip("\0 ")
        yield f"its extended header of {pluralize(int(header['nsymbt']), 'byte')}{f' ({kind})' if kind else ''}"
    angles = [float(header[f"cell_{name}"]) for name in ("alpha", "beta", "gamma")]
    if any(angle not in (0, 90) for angle in angles):
        yield f"the angles of its cell, {', '.join(f'{angle:g}' for angle in angles)}"
