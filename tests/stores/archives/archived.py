"""Archives as others make them, by Python's zipfile, and a damaged one of each kind."""

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import daskome

PIXELS = np.arange(40 * 30, dtype="uint16").reshape(40, 30)
CELLS = (PIXELS % 5 + 1).astype("uint8")
IMAGE: dict[str, Any] = {"axes": "yx", "axes_units": "micrometer"}
CHUNKS = {"storage_options": {"chunks": 8, "shards": 16}}
LABELS = {"labels": {"cells": {"labels": CELLS, "colors": {1: (255, 0, 0, 255)}}}}


def image_folder(folder: Path, **options: Any) -> dict[str, bytes]:
    """Write an image with labels, and return its files."""
    daskome.write_image(PIXELS, folder, [2], **{**IMAGE, **CHUNKS, **LABELS, **options})
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zipped(
    path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"", zip64: bool = True
) -> Path:
    """Return an archive of files, in their order."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as file:
                file.write(data)
        archive.comment = comment
    return path


def with_end(path: Path, **fields: int) -> Path:
    """Change fields of the end of an archive without a comment: disk, first, here, members, nbytes, offset."""
    data = bytearray(path.read_bytes())
    at = len(data) - 22
    places = {"disk": 4, "first": 6, "here": 8, "members": 10, "nbytes": 12, "offset": 16}
    for name, value in fields.items():
        struct.pack_into("<H" if places[name] < 12 else "<L", data, at + places[name], value)
    path.write_bytes(bytes(data))
    return path
