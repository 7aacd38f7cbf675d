"""Calls as users write them, for type checkers: `test_types` runs mypy on this file, and nothing runs it.

A call that must be refused says which error it is; mypy reports such a comment if the call is accepted.
"""

from pathlib import Path
from typing import assert_type

import dask.array as da
import numpy as np
import zarr
from dask.delayed import Delayed
from zarr.storage import MemoryStore

import daskome
from daskome.format import FormatV05
from daskome.scale import Methods

image = np.zeros((2, 64, 64), "uint16")
lazy = da.zeros((2, 64, 64), dtype="uint16")
stored = zarr.create_array(MemoryStore(), shape=(2, 64, 64), dtype="uint16")
volume = daskome.Volume((10, 64, 64), "uint8", chunks=(1, 64, 64))
labels = np.zeros((64, 64), "uint8")
group = zarr.create_group(MemoryStore())

assert_type(daskome.write_image(image, "a.ome.zarr"), daskome.Plan | Delayed)
daskome.write_image(lazy, Path("a.ome.zarr"), [2, 4], "cells", "median", fmt="0.4", axes="zyx", scale=0.5)
daskome.write_image(
    stored, group, [{"y": 2, "x": 2}], fmt=0.5, axes=["z", "y", "x"], scale={"y": 0.5}, translation=(0, 1.0, 2)
)
daskome.write_image(daskome.read("a.npy"), MemoryStore(), None, method=np.max, fmt=FormatV05(), axes_units="micrometer")
daskome.write_image(
    image, "a", method=Methods.NEAREST, channels=["DAPI", {"label": "GFP"}, daskome.Channel("RFP")], compute="init"
)
daskome.write_image(
    image,
    "a",
    method=daskome.METHODS["mean"],
    channels=True,
    labels={"a": labels, "b": {"labels": lazy, "colors": True}},
)
daskome.write_image(
    image,
    "s3://bucket/a",
    storage_options=[{"chunks": 64}, {"chunks": (1, 32, 32)}],
    fs_options={"anon": True},
    memory="2GB",
)
daskome.write_image(
    image, "a", progress=lambda done, total: print(done / total), retries=3, resume=True, type="gaussian"
)
assert_type(daskome.plan_image(volume, workers=100, threads=4, memory="16GB"), daskome.Plan)
daskome.write_multiscale([image, image[:, ::2, ::2]], group, axes_units={"y": "micrometer", "x": "micrometer"})
daskome.write_labels(labels, "a", "cells", colors={1: (255, 0, 0, 255)}, properties={1: {"area": 7}})
daskome.write_labels(labels, "a", "cells", colors=[{"label-value": 1, "rgba": [255, 0, 0, 255]}])
daskome.write_multiscale_labels([labels, labels[::2, ::2]], "a", "cells")
daskome.write_plate({"A/1": [image, lazy], "B/2": image}, "p", rows="ABCD", columns=range(1, 13))
daskome.write_plate({("A", 1): {0: [image], 1: [image]}}, "p", acquisitions=[{"id": 0}, {"id": 1}])
daskome.add_levels("a", [2, 4], memory=2**30)
daskome.try_codecs(image, ["zstd:3"], chunks={"z": 1})
daskome.write_multiscales_metadata(group, ["0", {"path": "1"}], axes="zyx")
daskome.write_label_metadata(group, "cells", {1: (255, 0, 0, 255)}, source={"image": "../.."})

daskome.write_image("a.npy", "a")  # type: ignore[arg-type]
daskome.write_image(image, 5)  # type: ignore[arg-type]
daskome.write_image(image, "a", fmt=["0.5"])  # type: ignore[arg-type]
daskome.write_image(image, "a", scale="big")  # type: ignore[arg-type]
daskome.write_image(image, "a", method=5)  # type: ignore[arg-type]
daskome.write_image(image, "a", channels=5)  # type: ignore[arg-type]
daskome.write_image(image, "a", memory=2.5)  # type: ignore[arg-type]
daskome.write_image(image, "a", compute="later")  # type: ignore[arg-type]
daskome.write_image(image, "a", storage_options=64)  # type: ignore[arg-type]
daskome.write_labels(labels, "a", colors="red")  # type: ignore[arg-type]
daskome.write_plate([image], "p")  # type: ignore[arg-type]
daskome.plan_image(volume, workers="many")  # type: ignore[arg-type]

daskome.validate("a.ome.zarr", "0.5")
daskome.validate(3)  # type: ignore[arg-type]
daskome.verify(Path("a.ome.zarr"), source=image, pixels=True)
daskome.preview(group, Path("a.png"))
assert_type(daskome.view("a.ome.zarr", port=8765).link, str)
daskome.view(3)  # type: ignore[arg-type]
daskome.open("a.ome.zarr", 1).dask.sum()
daskome.open(Path("a.ome.zarr"), "s1", fs_options={"anon": True}).xarray.mean()
daskome.open(group, scale={"z": 2})
daskome.open(group, level=[0])  # type: ignore[arg-type]
daskome.preview(group, 3)  # type: ignore[arg-type]
daskome.convert_metadata("a.ome.zarr", 0.5, dry_run=True)
daskome.run_part("a.ome.zarr", lazy, part=(0, 4), memory="2GB")
daskome.finish(None)  # type: ignore[arg-type]
