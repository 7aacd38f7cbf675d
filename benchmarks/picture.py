"""The picture in the README: ``python -m benchmarks.picture`` writes the brain of ``make demo`` and draws its levels.

Each level is the middle slice of the stored array, laid flat, with the edges of its chunks; coarser levels lie above.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zarr

import daskome
from benchmarks.report import RESULTS
from tests.volumes import brain

LEAN, FLATTEN = 0.55, 0.42
"""Drawn width gained and drawn height per row of a slice."""
GAP = 16
"""Between levels, in columns of level 0."""


def main() -> None:
    """Write the brain to a temporary folder, and its picture to `RESULTS`."""
    with TemporaryDirectory() as folder:
        daskome.write_image(daskome.read(brain()), folder, axes_units="millimeter", storage_options={"chunks": 64})
        assert daskome.verify(folder, pixels=True) == []
        draw(zarr.open_group(folder, mode="r"), RESULTS / "pyramid.png")


def draw(group: zarr.Group, path: Path) -> None:
    """Draw the levels of an image, the finest at the bottom."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4))
    ome: Any = group.attrs["ome"]
    bottom = 0.0
    for dataset in ome["multiscales"][0]["datasets"]:
        array: Any = group[dataset["path"]]
        height = array.shape[-2] * FLATTEN
        _draw_level(axes, array, bottom)
        axes.text(190, bottom + height / 2, _caption(array, dataset), fontsize=10, va="center")
        bottom += height + GAP
    axes.set(xlim=(-170, 480), ylim=(-2, bottom), aspect="equal")
    axes.axis("off")
    figure.savefig(path, dpi=110, bbox_inches="tight", pad_inches=0.05, facecolor="white")
    pyplot.close(figure)


def _draw_level(axes: Any, array: Any, bottom: float) -> None:
    """Draw the middle slice of an array and its chunks, centred at x = 0."""
    from matplotlib.transforms import Affine2D

    rows, columns = array.shape[-2:]
    lean = Affine2D.from_values(1, 0, LEAN * FLATTEN, FLATTEN, -(columns + LEAN * FLATTEN * rows) / 2, bottom)
    place = {"transform": lean + axes.transData, "clip_on": False}
    axes.imshow(array[array.shape[0] // 2], cmap="gray", extent=(0, columns, 0, rows), origin="lower", **place)
    y, x = ([*range(0, n, chunk), n] for n, chunk in zip((rows, columns), array.chunks[-2:], strict=True))
    axes.hlines(y, 0, columns, color="tab:orange", linewidth=0.9, **place)
    axes.vlines(x, 0, rows, color="tab:orange", linewidth=0.9, **place)


def _caption(array: Any, dataset: Any) -> str:
    scale = dataset["coordinateTransformations"][0]["scale"][-1]
    shape, chunks = " × ".join(map(str, array.shape)), f"{array.nchunks} chunk{'s' * (array.nchunks > 1)}"
    return f"{dataset['path']}:  {shape} voxels of {scale:g} mm, {chunks}"


if __name__ == "__main__":
    main()
