"""Whether a TIFF is all there: tifffile reads missing planes as zeros, and of a file that is cut what is left."""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from daskome._caller import warn


def check_complete(path: str, file: Any, series: Any) -> None:
    """Raise if a TIFF ends before its last page does; warn if it is one of several files, and does not name the others.

    Raises
    ------
    ValueError
    """
    _check_chain(path, file)
    _check_last_page(path, series)
    if file.is_ome and "BinaryOnly" in file.ome_metadata:
        warn(f"{path} is one of several files that a companion file describes: only what is in this one is read")


def check_planes(path: str, file: Any, series: Any, number: int) -> None:
    """Raise a FileNotFoundError if planes of a series are missing, as when it is in several files and one is gone."""
    pages = list(series) if series.dataoffset is None else []
    missing = [i for i, page in enumerate(pages) if page is None]
    if missing:
        files = list(_missing_files(path, file.ome_metadata))
        where = f"missing: {_listed(files)}" if files else f"missing: plane {_listed(list(map(str, missing)))}"
        raise FileNotFoundError(
            f"{path}: {len(missing)} of {len(pages)} planes of series {number} are not there, and would be read as"
            f" zeros; {where}. Put the files beside it, or pass daskome.write_image what"
            f" tifffile.imread({Path(path).name!r}) returns, zeros and all"
        )


def _check_chain(path: str, file: Any) -> None:
    """Raise a ValueError if the list of pages, each of which names the place of the next, leads out of the file."""
    if file.is_lsm or file.is_scanimage:  # tifffile finds their pages in another way.
        return
    handle, size = file.filehandle, file.tiff.offsetsize
    handle.seek(file.pages.next_page_offset)
    following = handle.read(size)
    (start,) = struct.unpack(file.tiff.offsetformat, following) if len(following) == size else (handle.size,)
    if start >= handle.size - size:
        raise ValueError(_cut(path, handle.size, f"page {len(file.pages)} is not in it"))


def _check_last_page(path: str, series: Any) -> None:
    page = next((page for page in reversed(list(series)) if page is not None), None)
    if series.dataoffset is not None or page is None:
        return
    end = max((a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
    size = page.parent.filehandle.size
    if end > size:
        raise ValueError(_cut(page.parent.filehandle.path, size, f"page {page.index} ends at byte {end:,}"))


def _cut(path: str, size: int, what: str) -> str:
    return (
        f"{path} is cut short: of a file of {size:,} bytes, {what}. Copy it anew; what is left of it can be read with"
        " tifffile, and passed to daskome.write_image as an array"
    )


def _missing_files(path: str, xml: str | None) -> Iterator[str]:
    """Yield the files that OME-XML names and that are not beside the one that holds it."""
    named = ElementTree.fromstring(xml).findall(".//{*}UUID") if xml else ()
    for name in sorted({one.attrib["FileName"] for one in named if "FileName" in one.attrib}):
        if not (Path(path).parent / name).exists():
            yield name


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*names[:10], *[f"and {len(names) - 10} more"] * (len(names) > 10)])
