"""A plate at a glance: its wells in rows and columns, a small picture of the first field of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from daskome.reading.images import OpenGroup, OpenImage, OpenPlate
from daskome.reading.levels import OpenLevel
from daskome.viewing.pictures import RGB, captioned, level_picture
from daskome.viewing.planes import ShownChannel, plane_shape, shown_channels

SHEET = 1536
"""Pixels across an overview, at most, unless its pictures would be smaller than the smallest."""
LARGEST_CELL, SMALLEST_CELL = 128, 24
GAP = 2
EMPTY = 232
"""The gray of a well without an image."""
HEAD = 28
"""Pixels for the names of rows and columns."""


def overview(group: OpenPlate | OpenGroup) -> RGB:
    """Return the first field of every well in the grid of a plate, or the images of a group in one row.

    Channels are shown between the same limits in all of them, so that wells can be compared.

    Raises
    ------
    ValueError
        If there is no image.
    """
    images = _first_fields(group) if isinstance(group, OpenPlate) else group.images.readable()[0]
    if not images:
        raise ValueError(f"there is no image in {group.store_path} that can be read")
    rows, columns = (group.rows, group.columns) if isinstance(group, OpenPlate) else ((), tuple(images))
    names = [[f"{row}/{column}" for column in columns] for row in rows] or [list(images)]
    cell = min(max(SHEET // max(len(columns), 1) - GAP, SMALLEST_CELL), LARGEST_CELL)
    shown = {name: shown_channels(image) for name, image in images.items()}
    common = common_windows(list(shown.values()))
    cells = {name: _cell(images[name], [_in(channel, common) for channel in shown[name]], cell) for name in images}
    return _named(_grid(names, cells, cell), rows, columns, cell, group)


def common_windows(shown: Sequence[Sequence[ShownChannel]]) -> dict[int, tuple[float, float]]:
    """Return limits by channel that hold those of every image.

    >>> one, other = (ShownChannel(0, "DAPI", "0000FF", window) for window in ((0, 5), (2, 9)))
    >>> common_windows([[one], [other]])
    {0: (0, 9)}
    """
    windows: dict[int, list[tuple[float, float]]] = {}
    for channels in shown:
        for channel in channels:
            windows.setdefault(channel.k, []).append(channel.window)
    return {k: (min(low for low, _ in some), max(high for _, high in some)) for k, some in windows.items()}


def _in(channel: ShownChannel, windows: Mapping[int, tuple[float, float]]) -> ShownChannel:
    return replace(channel, window=windows[channel.k])


def _first_fields(plate: OpenPlate) -> dict[str, OpenImage]:
    wells, _ = plate.wells.readable()
    fields = {path: next(iter(well.images.readable()[0].values()), None) for path, well in wells.items()}
    return {path: image for path, image in fields.items() if image is not None}


def _cell(image: OpenImage, channels: Sequence[ShownChannel], cell: int) -> RGB:
    """Return an image in a square of so many pixels, from the coarsest level that fills it."""
    level = _filling(image.levels, cell)
    picture = _fitted(level_picture(level, channels, (), max(max(plane_shape(level)) // cell, 1)), cell)
    square = np.full((cell, cell, 3), EMPTY, np.uint8)
    down, right = ((cell - n) // 2 for n in picture.shape[:2])
    square[down : down + len(picture), right : right + picture.shape[1]] = picture
    return square


def _fitted(picture: RGB, cell: int) -> RGB:
    """Return a picture that is at most so many pixels high and wide, by leaving rows and columns out."""
    shrink = max(*picture.shape[:2], cell) / cell
    rows, columns = ((np.arange(int(n / shrink)) * shrink).astype(int) for n in picture.shape[:2])
    return picture[np.ix_(rows, columns)]


def _filling(levels: Sequence[OpenLevel], cell: int) -> OpenLevel:
    large = [level for level in levels if max(plane_shape(level)) >= cell]
    return large[-1] if large else levels[0]


def _grid(names: Sequence[Sequence[str]], cells: Mapping[str, RGB], cell: int) -> RGB:
    pitch = cell + GAP
    sheet = np.full((len(names) * pitch, len(names[0]) * pitch, 3), 255, np.uint8)
    for i, row in enumerate(names):
        for k, name in enumerate(row):
            here = slice(i * pitch, i * pitch + cell), slice(k * pitch, k * pitch + cell)
            sheet[here] = cells.get(name, EMPTY)
    return sheet


def _named(grid: RGB, rows: Sequence[str], columns: Sequence[str], cell: int, group: OpenPlate | OpenGroup) -> RGB:
    """Return a grid with the names of its rows and columns, and that of the plate below it."""
    from PIL import Image, ImageDraw

    height, width, _ = grid.shape
    drawn = Image.new("RGB", (width + HEAD, height + HEAD), "white")
    drawn.paste(Image.fromarray(grid), (HEAD, HEAD))
    pen = ImageDraw.Draw(drawn)
    for k, column in enumerate(columns):
        pen.text((HEAD + k * (cell + GAP) + cell // 2, HEAD // 2), column, fill="black", anchor="mm")
    for i, row in enumerate(rows):
        pen.text((HEAD // 2, HEAD + i * (cell + GAP) + cell // 2), row, fill="black", anchor="mm")
    return captioned(np.asarray(drawn), repr(group).splitlines()[:1])
