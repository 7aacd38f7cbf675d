"""OME-TIFFs whose OME-XML describes a plate, as microscopes and converters write them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ome_types
import tifffile
from ome_types.model import (
    OME,
    Channel,
    Image,
    ImageRef,
    Pixels,
    Plate,
    PlateAcquisition,
    TiffData,
    Well,
    WellSample,
    WellSampleRef,
)

SHAPE = (2, 40, 36)
"""Of a field: c, y, x."""


def image(number: int, name: str) -> Image:
    """Return an image whose planes follow those of the images before it."""
    n, height, width = SHAPE
    channels = [Channel(id=f"Channel:{number}:{c}", name="ab"[c], samples_per_pixel=1) for c in range(n)]
    planes = [TiffData(ifd=number * n + c, first_c=c, plane_count=1) for c in range(n)]
    sizes: dict[str, Any] = {"size_x": width, "size_y": height, "size_z": 1, "size_c": n, "size_t": 1}
    pixels = Pixels(
        id=f"Pixels:{number}",
        dimension_order="XYZCT",
        type="uint16",
        **sizes,
        physical_size_x=0.5,
        physical_size_y=0.5,
        channels=channels,
        tiff_data_blocks=planes,
    )
    return Image(id=f"Image:{number}", name=name, pixels=pixels)


def plate_xml(
    wells: Sequence[tuple[int, int, int]], acquisitions: int = 0, others: Sequence[str] = (), **plate: Any
) -> OME:
    """Return OME-XML of a plate.

    Parameters
    ----------
    wells : sequence of (int, int, int)
        Row, column, and how many fields.
    acquisitions : int
        To which the fields of a well belong in turn.
    others : sequence of str
        Names of images that are no fields.
    plate : optional
        Further attributes.
    """
    images, samples, described = list[Image](), list[list[WellSampleRef]](), list[Well]()
    samples = [[] for _ in range(acquisitions)]
    for row, column, n in wells:
        fields = []
        for k in range(n):
            i = len(images)
            images.append(image(i, f"cells {row} {column} {k}"))
            fields.append(WellSample(id=f"WellSample:{i}", index=i, image_ref=ImageRef(id=f"Image:{i}")))
            if acquisitions:
                samples[k % acquisitions].append(WellSampleRef(id=f"WellSample:{i}"))
        described.append(Well(id=f"Well:{len(described)}", row=row, column=column, well_samples=fields))
    images += [image(len(images) + i, name) for i, name in enumerate(others)]
    acquired = [
        PlateAcquisition(id=f"PlateAcquisition:{k}", name=f"run {k}", well_sample_refs=refs)
        for k, refs in enumerate(samples)
    ]
    said: dict[str, Any] = {"name": "screen 7", **plate}
    return OME(plates=[Plate(id="Plate:0", wells=described, plate_acquisitions=acquired, **said)], images=images)


def plate_tiff(
    path: Path, described: OME, edited: Callable[[str], str] = str, n: int | None = None
) -> list[np.ndarray[Any, Any]]:
    """Write the OME-TIFF of a plate, with planes of n images; return their pixels."""
    xml = edited(described.to_xml())
    if edited is str:
        ome_types.validate_xml(xml)
    n_images = len(described.images) if n is None else n
    pixels = np.random.default_rng(5).integers(0, 999, (n_images, *SHAPE), dtype="uint16")
    with tifffile.TiffWriter(path) as file:
        for k, plane in enumerate(pixels.reshape(-1, *SHAPE[1:])):
            file.write(plane, photometric="minisblack", metadata=None, description=xml if k == 0 else None)
    return list(pixels)
