"""Dask arrays of a class that opens what it reads while it computes: they are read through their own `compute`."""

from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

import daskome
from daskome.sources.adapt import as_source
from tests.written import levels

VALUES = np.random.default_rng(0).integers(0, 255, (24, 40, 33)).astype("uint8")
OPTIONS: dict[str, Any] = {"axes": "zyx", "storage_options": {"chunks": 16}, "retries": 0}


class Resource:
    """A file of planes that can only be read while it is open."""

    def __init__(self, path: Path) -> None:
        self.path, self.is_open, self.opened = path, False, 0

    def plane(self, z: int) -> Any:
        if not self.is_open:
            raise OSError("I/O operation on closed file")
        return np.load(self.path, mmap_mode="r")[z : z + 1]


class Backed(da.Array):  # type: ignore[misc]
    """As nd2 and aicsimageio have them: it opens the file, and closes it, around `compute`."""

    def compute(self, **kwargs: Any) -> Any:
        self.resource.is_open = True
        self.resource.opened += 1
        try:
            return super().compute(**kwargs)
        finally:
            self.resource.is_open = False


@pytest.fixture
def backed(tmp_path: Path) -> Backed:
    np.save(tmp_path / "planes.npy", VALUES)
    resource = Resource(tmp_path / "planes.npy")

    def plane(block_info: Any = None) -> Any:
        return resource.plane(block_info[None]["array-location"][0][0])

    chunks = ((1,) * VALUES.shape[0], *((n,) for n in VALUES.shape[1:]))
    plain = da.map_blocks(plane, chunks=chunks, dtype="uint8", meta=np.empty((0, 0, 0), "uint8"))
    image = Backed(plain.dask, plain.name, plain.chunks, meta=plain._meta)
    image.resource = resource
    return image


@pytest.mark.parametrize("compute", [True, False])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_the_file_is_open_whenever_it_is_read(
    tmp_path: Path, backed: Backed, compute: bool, scheduler: str, tiny_blocks: None
) -> None:
    with dask.config.set(scheduler=scheduler, num_workers=4):
        dask.compute(daskome.write_image(backed, tmp_path / "a", [2], compute=compute, **OPTIONS))
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], VALUES)
    assert backed.resource.opened
    assert not backed.resource.is_open


def test_all_else_that_reads_an_image_reads_it_too(tmp_path: Path, backed: Backed) -> None:
    daskome.write_image(backed, tmp_path / "a", [2], **OPTIONS)
    daskome.write_image(backed, tmp_path / "a", [2], resume=True, **OPTIONS)
    assert daskome.verify(tmp_path / "a", source=backed) == []
    source = as_source(backed)
    assert (source.shape, source.dtype) == (VALUES.shape, "uint8")
    assert source.chunks[0] == (1,) * VALUES.shape[0]


def test_on_workers_it_opens_what_has_travelled_there(tmp_path: Path, backed: Backed, client: Client) -> None:
    daskome.write_image(backed, tmp_path / "a", [2], **OPTIONS)
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], VALUES)


def test_one_that_cannot_travel_to_the_workers_is_refused(tmp_path: Path, backed: Backed, client: Client) -> None:
    backed.resource.handle = (tmp_path / "planes.npy").open("rb")
    with backed.resource.handle, pytest.raises(TypeError, match="cannot travel to the workers"):
        daskome.write_image(backed, tmp_path / "a", [2], **OPTIONS)
    assert not (tmp_path / "a").exists()
