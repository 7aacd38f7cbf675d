"""PNG and JPEG: a plane, with its colours as channels, decoded whole each time it is read."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

import imagecodecs
import numpy as np

from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.readers.axes import ordered
from daskome.readers.described import Described, Quantities, described
from daskome.readers.inputs import Input
from daskome.readers.tiff_metadata import PAPER
from daskome.sources.views import Reopenable

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
SAMPLES: Mapping[int, int] = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""How many samples a pixel of a PNG has, by its type of colour; those of a palette are its colours."""
NO_LENGTH = {0x01, *range(0xD0, 0xDA)}
"""Markers of JPEG without a length."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin the description of its pixels."""
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
"""Chunks of PNG with a name and a text."""
ORIENTATION = 0x0112
"""Tag of EXIF that says how a picture is to be turned."""
PER_METER = {1: 1 / 0.0254, 2: 100.0}
"""Inches and centimeters of a JPEG, in a meter."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture says before its pixels: shape, dtype, how many are in a meter, and in words what else."""

    shape: Shape
    dtype: str
    per_meter: tuple[float, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def sizes(self) -> Quantities:
        """The sizes of pixels, unless they are those on paper or on a screen."""
        sizes = {axis: 1e6 / n for axis, n in zip("yx", self.per_meter, strict=False) if n > 0}
        on_paper = any(size > PAPER for size in sizes.values())
        return {} if on_paper else {axis: (round(size, 9), "micrometer") for axis, size in sizes.items()}


class Picture:
    """A picture in a file as an array-like of one chunk."""

    def __init__(self, path: str, header: Header) -> None:
        self.path, self.shape, self.dtype = path, header.shape, np.dtype(header.dtype)
        self.chunks = header.shape

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part of the picture, all of which is decoded."""
        data = Path(self.path).read_bytes()
        pixels = (imagecodecs.png_decode if data.startswith(PNG) else imagecodecs.jpeg_decode)(data)
        if (pixels.shape, pixels.dtype) != (self.shape, self.dtype):
            raise ValueError(f"it is {pixels.dtype} of {pixels.shape}; its header says {self.dtype} of {self.shape}")
        return np.asarray(pixels[index])


def read(input_: Input) -> Source:
    """Return the picture in a PNG or JPEG file."""
    with open(input_.path, "rb") as file:
        start = file.read(8)
        if start != PNG and not start.startswith(JPEG):
            raise ValueError(f"{input_.path} is neither PNG nor JPEG, whatever its name says")
        header = _png(input_.path, file) if start == PNG else _jpeg(input_.path, file)
    array = Reopenable(partial(Picture, input_.path, header), place=input_.path)
    source = Source(array, tuple((n,) for n in header.shape))
    source = ordered(source, "yxc"[: len(header.shape)])
    return described(source, Described(header.sizes, left=header.left))


def _png(path: str, file: BinaryIO) -> Header:
    """Return the header of a PNG, up to its pixels."""
    listed = list(_png_chunks(file))
    chunks = dict(listed)
    width, height, bits, color = struct.unpack(">IIBB", chunks.get(b"IHDR", b"")[:10].ljust(10, b"\0"))
    if color not in SAMPLES or not width or b"IDAT" not in chunks:
        raise ValueError(f"{path} is cut short or damaged: it has no header of PNG, or no pixels")
    samples = SAMPLES[color] + (b"tRNS" in chunks)
    shape = (height, width, samples) if samples > 1 else (height, width)
    x, y, unit = struct.unpack(">IIB", chunks.get(b"pHYs", bytes(9)))
    texts = [data.partition(b"\0")[0].decode("latin-1") for name, data in listed if name in TEXTS]
    left = [f"its texts {', '.join(texts)}"] * bool(texts) + ["its EXIF"] * (b"eXIf" in chunks)
    return Header(shape, "uint16" if bits == 16 else "uint8", (y, x) if unit == 1 else (), tuple(left))


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG by their names, until its pixels begin."""
    while len(head := file.read(8)) == 8:
        n, name = struct.unpack(">I4s", head)
        if name == b"IDAT":
            yield name, b""
            return
        yield name, file.read(n)
        file.seek(4, 1)


def _jpeg(path: str, file: BinaryIO) -> Header:
    """Return the header of a JPEG, up to the description of its pixels."""
    per_meter: tuple[float, ...] = ()
    left: list[str] = []
    for marker, data in _jpeg_segments(file):
        left += ["its comment"] * (marker == 0xFE)
        if marker == 0xE1 and data.startswith(b"Exif\0\0"):
            left.append(f"its EXIF{_turned(data[6:])}")
        if marker == 0xE0 and data.startswith(b"JFIF\0") and len(data) >= 12:
            unit, x, y = struct.unpack(">BHH", data[7:12])
            per_meter = (y * PER_METER[unit], x * PER_METER[unit]) if unit in PER_METER else ()
        if marker in FRAMES and len(data) >= 6:
            bits, height, width, samples = struct.unpack(">BHHB", data[:6])
            if samples not in (1, 3) or bits != 8:
                raise ValueError(f"{path} has {samples} samples of {bits} bits a pixel; make it RGB or grey, of 8 bits")
            shape = (height, width, 3) if samples == 3 else (height, width)
            return Header(shape, "uint8", per_meter, tuple(left))
    raise ValueError(f"{path} is cut short or damaged: it does not describe its pixels")


def _turned(exif: bytes) -> str:
    """Return, in words, that a picture is to be turned, if its EXIF says so."""
    order: Literal["little", "big"] = "little" if exif.startswith(b"II") else "big"
    start = int.from_bytes(exif[4:8], order) + 2
    n = int.from_bytes(exif[start - 2 : start], order)
    entries = (exif[i : i + 12] for i in range(start, min(start + 12 * n, len(exif)), 12))
    tags = {int.from_bytes(entry[:2], order): int.from_bytes(entry[8:10], order) for entry in entries}
    value = tags.get(ORIENTATION, 1)
    return f", by which it is to be shown turned or mirrored (orientation {value})" if 1 < value < 9 else ""


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(2)
    while len(head := file.read(2)) == 2 and head[0] == 0xFF:
        if head[1] in NO_LENGTH:
            continue
        n = int.from_bytes(file.read(2), "big")
        yield head[1], file.read(max(n - 2, 0))
