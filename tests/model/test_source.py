"""`daskome.model.source`: volumes that are only described are planned as those that are there, and never written."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

import daskome
from daskome.model.source import Volume
from daskome.sources.adapt import as_source


class Lazy:
    """An array-like that is there."""

    def __init__(self, shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...] | None) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        if chunks:
            self.chunks = chunks

    def __getitem__(self, index: Any) -> Any:
        return np.zeros([i.stop - i.start for i in index], self.dtype)


@pytest.mark.parametrize(
    ("shape", "dtype", "chunks"),
    [
        ((300, 400, 500), "uint16", None),
        ((300, 400, 500), "uint16", (1, 400, 500)),
        ((100_000, 90_000), "uint8", (1024, 1024)),
        ((10, 3, 200, 2048, 2048), "float32", (1, 1, 1, 2048, 2048)),
    ],
)
def test_what_is_described_is_planned_as_what_is_there(shape: Any, dtype: str, chunks: Any) -> None:
    plan = daskome.plan_image(Volume(shape, dtype, chunks), memory="8GB")
    assert plan == daskome.plan_image(Lazy(shape, dtype, chunks), memory="8GB")
    assert as_source(Volume(shape, dtype, chunks)).chunks == Volume(shape, dtype, chunks).source.chunks
    if chunks:
        dask = da.zeros(shape, dtype=dtype, chunks=chunks)
        assert plan == daskome.plan_image(dask, memory="8GB")


def test_labels_are_described_too() -> None:
    image, labels = Volume((64, 300, 300), "uint16"), Volume((64, 300, 300), "uint32", (16, 64, 64))
    plan = daskome.plan_image(image, labels={"cells": labels})
    assert [(group.path, pyramid.dtype) for group, pyramid in plan.images] == [
        ("", "uint16"),
        ("labels/cells", "uint32"),
    ]


@pytest.mark.parametrize("compute", [True, False])
@pytest.mark.parametrize("fmt", ["0.1", "0.5"])
def test_what_is_only_described_is_not_written(tmp_path: Path, compute: bool, fmt: str) -> None:
    with pytest.raises(TypeError, match=r"daskome\.Volume can only be planned: it has no pixels"):
        daskome.write_image(Volume((30, 40), "uint8"), tmp_path / "a", fmt=fmt, compute=compute)
    with pytest.raises(TypeError, match="can only be planned"):
        daskome.write_image(np.zeros((30, 40), "u1"), tmp_path / "a", labels={"a": Volume((30, 40), "uint8")}, fmt=fmt)
    assert not (tmp_path / "a").exists()


def test_a_described_volume_has_no_pixels() -> None:
    with pytest.raises(TypeError, match="can only be planned"):
        Volume((30, 40), "uint8")[0:3, 0:4]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (((30, 0), "uint8"), r"shape \(30, 0\) must be positive"),
        (((30, 1.5), "uint8"), r"shape \(30, 1.5\) must be whole numbers, one per axis"),
        ((30, "uint8"), "shape 30 must be whole numbers"),
        (((30, 40), "uint61"), "dtype 'uint61' is not known; it is a name such as uint8"),
        (((30, 40), "uint8", (30,)), r"chunks \(30,\) must have one length for each of shape \(30, 40\)"),
        (((30, 40), "uint8", (30, -1)), r"chunks \(30, -1\) must be positive"),
    ],
)
def test_bad_descriptions_are_refused(arguments: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Volume(*arguments)


def test_a_source_says_what_it_knows(tmp_path: Path) -> None:
    """Whatever it does not know is a dash."""
    known = {
        "axes": "czyx",
        "scale": {"z": 2, "y": 0.5},
        "axes_units": {"z": "micrometer"},
        "channels": ["DAPI", "GFP"],
        "name": "cells",
    }
    daskome.write_image(np.zeros((2, 4, 20, 30), "uint16"), tmp_path / "a.ome.zarr", None, **known)
    (tmp_path / "a.ome.zarr" / "notes.txt").write_text("beside")
    source = daskome.read(tmp_path / "a.ome.zarr")
    lines = repr(source).splitlines()
    assert lines[0] == "image cells: uint16, 9.4 KiB"
    assert lines[3].split() == ["z", "4", "4", "2", "0", "micrometer"]
    assert lines[6:8] == [f"from: {tmp_path}/a.ome.zarr", "channels: DAPI, GFP"]
    assert lines[-1].startswith("not written: ")
    assert source._repr_html_().count("<tr>") == 5
    unknown = repr(as_source(np.zeros((3, 4), "uint8"))).splitlines()
    assert [line.split() for line in unknown[2:]] == [["?", n, "1", "–", "–", "–"] for n in "34"]
