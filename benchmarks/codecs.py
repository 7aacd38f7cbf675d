"""Which compressor suits which data: ratio, and MB/s of one thread to encode and decode.

``python -m benchmarks.codecs [--tiny]``: `daskome.try_codecs` on real images that come with Python packages, and on
synthetic ones where there are none: noise as of a light sheet, and cells (regions next to random points, labelled).
The brain is MNI152 from nilearn, if that is installed.
"""

import argparse
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.report import Table, report
from benchmarks.volumes import Tiled

EDGE = 256
COMPRESSORS = [
    "none",
    "zstd:1",
    "zstd:3",
    *(f"blosc:lz4:5:{shuffle}" for shuffle in ("noshuffle", "shuffle", "bitshuffle")),
    *(f"blosc:zstd:1:{shuffle}" for shuffle in ("noshuffle", "shuffle", "bitshuffle")),
    *(f"blosc:zstd:{level}:bitshuffle" for level in (3, 5)),
]


def brain() -> Any:
    """Return the T1 image of an average brain."""
    import nibabel

    spec = find_spec("nilearn")
    if spec is None or not spec.submodule_search_locations:
        return None
    name = "datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    return np.asarray(nibabel.load(Path(spec.submodule_search_locations[0]) / name).dataobj)


def brain_labels() -> Any:
    """Return connected parts of the brain that are bright."""
    from scipy.ndimage import label

    found = brain()
    return None if found is None else label(found > 60)[0].astype("uint32")


def magnetic_resonance() -> Any:
    """Return an MR image of 16 bits."""
    import nibabel

    return np.asarray(nibabel.load(Path(nibabel.__file__).parent / "tests/data/example4d.nii.gz").dataobj)[..., 0]


def bundled(name: str) -> Any:
    """Return an image that comes with scikit-image, channels first."""
    import skimage.data

    image = np.asarray(getattr(skimage.data, name)())
    return image if image.ndim == 2 else image.transpose(2, 0, 1)


def cells() -> Any:
    """Return regions next to random points, labelled."""
    from scipy.spatial import cKDTree

    points = np.random.default_rng(0).integers(0, EDGE, (600, 3))
    grid = np.stack(np.meshgrid(*[np.arange(EDGE)] * 3, indexing="ij"), -1)
    return cKDTree(points).query(grid.reshape(-1, 3))[1].reshape((EDGE,) * 3).astype("uint32") + 1


IMAGES: dict[str, Callable[[], Any]] = {
    "MR, brain, uint8": brain,
    "MR, int16": magnetic_resonance,
    "micrograph of a cell, uint8": lambda: bundled("cell"),
    "retina, RGB uint8": lambda: bundled("retina"),
    "light sheet, uint16, synthetic": lambda: Tiled((512,) * 3),
    "noise, uint8, synthetic": lambda: Tiled((512,) * 3, dtype_name="uint8"),
    "labels of a brain, uint32": brain_labels,
    "labels of cells, uint32, synthetic": cells,
}
TINY = ["micrograph of a cell, uint8"]
COMPARED = ["blosc:zstd:1:bitshuffle", "blosc:zstd:1:shuffle", "zstd:1", "blosc:lz4:5:bitshuffle"]
"""The compressors of the short table."""


def rows(name: str) -> Iterator[list[str]]:
    """Yield a row per compressor; none for an image that is not here."""
    import daskome

    image = IMAGES[name]()
    for trial in () if image is None else daskome.try_codecs(image, COMPRESSORS).trials:
        speeds = [f"{speed / 1e6:,.0f}" for speed in (trial.encode, trial.decode)]
        yield [name, trial.compressor, f"{trial.ratio:.2f}", *speeds]


def compared(found: list[list[str]]) -> Iterator[list[str]]:
    """Yield a row per image, with some compressors side by side."""
    by_place = {(name, compressor): ", ".join(cells) for name, compressor, *cells in found}
    for name in dict.fromkeys(row[0] for row in found):
        yield [name, *(by_place[name, compressor] for compressor in COMPARED)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true")
    names = TINY if parser.parse_args().tiny else list(IMAGES)
    head = ["image", "compressor", "ratio", "encode MB/s", "decode MB/s"]
    found = [row for name in names for row in rows(name)]
    short = Table(["ratio, encode MB/s, decode MB/s", *COMPARED], list(compared(found)))
    report("codecs", Table(head, found, drawn="ratio"), short, whole=names == list(IMAGES))


if __name__ == "__main__":
    main()
