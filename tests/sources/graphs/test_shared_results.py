"""Results that all blocks of an image need: which they are, and that they are computed once."""

import logging
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.graphs.layers import materialize
from daskome.sources.graphs.shared_results import compute_shared, shared_keys
from daskome.sources.views import expand_axes
from tests.sources.graphs.images import CHUNKS, IMAGES, centred, flattened, volume
from tests.written import contents


@pytest.mark.parametrize(
    ("name", "shared", "repeated"),
    [
        ("numpy", 0, ()),
        ("computed", 0, ()),
        ("blurred", 0, ()),
        ("centred", 1, ()),
        ("flattened", 0, (0,)),
        ("rechunked", 0, (1, 2)),
        ("legacy", 0, ()),
        ("delayed", 0, ()),
    ],
)
def test_what_blocks_have_in_common(name: str, shared: int, repeated: tuple[int, ...]) -> None:
    array = IMAGES[name]()
    keys, axes = shared_keys(materialize(array))
    assert (len(keys), axes) == (shared, repeated)


def test_an_expanded_image_repeats_along_the_same_axes() -> None:
    source = as_source(flattened(volume()))
    assert expand_axes(source, (0, 1)).repeated == (2,)


def counted(image: da.Array, log: Path) -> da.Array:
    """Return an image whose blocks note in a file that they are computed, whichever process does it."""

    def block(part: np.ndarray) -> np.ndarray:
        with log.open("a") as file:
            file.write("1")
        return part

    return image.map_blocks(block, dtype=image.dtype, meta=np.empty((0, 0, 0), image.dtype))


def written(log: Path) -> int:
    return len(log.read_text())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("way", ["now", "cluster", "later", "parts"])
def test_what_all_units_need_is_computed_once(tmp_path: Path, way: str, request: pytest.FixtureRequest) -> None:
    plain, log = volume(), tmp_path / "log"
    image = centred(counted(plain, log))
    n, target, options = plain.npartitions, str(tmp_path / "a.zarr"), {"storage_options": {"chunks": CHUNKS}}
    if way == "now":
        daskome.write_image(image, target, **options)
    elif way == "cluster":
        request.getfixturevalue("client")
        daskome.write_image(image, target, **options)
    elif way == "later":
        dask.compute(*daskome.write_image(image, target, compute=False, **options))
    else:
        daskome.write_image(image, target, compute="init", **options)
        daskome.run_part(target, image)
        daskome.finish(target)
    assert written(log) == 2 * n  # once for the mean, once for the units
    daskome.write_image(np.asarray(centred(plain)), tmp_path / "b.zarr", **options)
    assert contents(tmp_path / "a.zarr") == contents(tmp_path / "b.zarr")


@pytest.mark.extended
def test_a_plan_says_what_its_units_share() -> None:
    chunks = {"storage_options": {"chunks": CHUNKS}}
    assert "1 result that all units need: computed once, before them" in str(
        daskome.plan_image(centred(volume()), **chunks)
    )
    image = flattened(da.zeros((4096, 512, 512), chunks=(64, 64, 64), dtype="uint16"))
    assert "units side by side along z compute the same parts of the image, each anew" in str(daskome.plan_image(image))
    assert "need: computed" not in str(daskome.plan_image(volume()))
    plan = daskome.plan_image(centred(volume()))
    assert type(plan).from_json(plan.to_json()) == plan


def test_what_is_too_large_to_travel_is_said(caplog: pytest.LogCaptureFixture) -> None:
    table = dask.delayed(np.zeros)(2**20)
    keys = [table.key]
    with caplog.at_level(logging.WARNING, "daskome"):
        assert compute_shared(table.dask, keys) == {}
    assert "8.0 MiB" in caplog.text
    assert "persist()" in caplog.text


def test_parts_that_each_compute_what_all_need_make_the_whole(tmp_path: Path) -> None:
    image = centred(volume())
    options = {"storage_options": {"chunks": CHUNKS}}
    daskome.write_image(image, tmp_path / "a.zarr", compute="init", **options)
    units = daskome.plan_image(image, **options).count(0)
    for part in range(units):
        daskome.run_part(tmp_path / "a.zarr", image, part=(part, units))
    daskome.finish(tmp_path / "a.zarr")
    daskome.write_image(np.asarray(centred(volume())), tmp_path / "b.zarr", **options)
    assert contents(tmp_path / "a.zarr") == contents(tmp_path / "b.zarr")


def test_zarr_arrays_are_no_results_to_share(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(64, 64), chunks=(8, 8), dtype="uint8")
    image = da.from_zarr(array)
    assert shared_keys(image) == ((), ())
