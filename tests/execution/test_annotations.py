"""Dask annotations of an image reach its units: as Dask combines those of the tasks of which it makes one."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask.blockwise import _fuse_annotations
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from distributed import Client, Scheduler, SpecCluster, Worker, get_worker
from hypothesis import given, strategies as st

import daskome
from daskome.sources.adapt import as_source
from daskome.sources.graphs.annotations import annotations_of
from tests.written import is_image, levels

OPTIONS: dict[str, Any] = {"axes": "yx", "storage_options": {"chunks": 32}, "memory": "300MB", "retries": 0}
META = np.empty((0, 0), "uint16")
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        "resources": st.dictionaries(st.sampled_from(["GPU", "RAM", "LICENCE"]), st.integers(1, 4), min_size=1),
        "priority": st.integers(-5, 5),
        "retries": st.integers(0, 5),
        "workers": st.lists(st.sampled_from(["a", "b", "c"]), min_size=3, max_size=5).map(lambda w: ["a", *w]),
        "allow_other_workers": st.booleans(),
    },
)


def named(worker: str) -> Any:
    """Return a function of a block that only one of the workers can compute."""

    def block(values: Any) -> Any:
        assert get_worker().name == worker, f"ran on {get_worker().name}"
        return values

    return block


@pytest.fixture(scope="module")
def cluster() -> Iterator[SpecCluster]:
    """Two workers, of which one has a GPU."""
    workers = {
        "gpu": {"cls": Worker, "options": {"nthreads": 1, "resources": {"GPU": 1}}},
        "cpu": {"cls": Worker, "options": {"nthreads": 1}},
    }
    with SpecCluster(
        workers, scheduler={"cls": Scheduler, "options": {"dashboard_address": ":0"}}, silence_logs=50
    ) as made:
        yield made


def image(worker: str) -> da.Array:
    ones = da.from_array(np.ones((128, 128), "uint16"), chunks=32, name=f"ones for {worker}")
    return ones.map_blocks(named(worker), dtype="uint16", meta=META)


@given(st.lists(ANNOTATIONS, min_size=1, max_size=4))
def test_annotations_are_combined_as_dask_combines_them(stated: list[dict[str, Any]]) -> None:
    layers = {str(i): MaterializedLayer({}, annotations=one) for i, one in enumerate(stated)}
    expected = _fuse_annotations(*stated)
    if "workers" not in expected:
        expected.pop("allow_other_workers", None)
    found = annotations_of(HighLevelGraph(layers, {name: set() for name in layers}))
    assert {k: set(v) if k == "workers" else v for k, v in found.items()} == {
        k: set(v) if k == "workers" else v for k, v in expected.items()
    }


@pytest.mark.sampled(5)
@pytest.mark.parametrize("asked", [{"resources": {"GPU": 1}}, {"workers": "gpu"}, {"workers": ["gpu"]}])
@pytest.mark.parametrize("compute", [True, False])
def test_units_run_where_their_image_is_to_be_computed(
    tmp_path: Path, cluster: SpecCluster, asked: Any, compute: bool
) -> None:
    with dask.annotate(**asked):
        made = image("gpu")
    with Client(cluster):
        written = daskome.write_image(made + 1, tmp_path / "a", [2], compute=compute, **OPTIONS)
        dask.compute(written)
    assert (levels(tmp_path / "a")[0] == 2).all()


def test_parts_of_an_image_run_each_on_its_own_worker(tmp_path: Path, cluster: SpecCluster, tiny_blocks: None) -> None:
    parts = []
    for worker in ("gpu", "cpu"):
        with dask.annotate(workers=worker):
            parts.append(image(worker))
    with Client(cluster):
        daskome.write_image(da.concatenate(parts), tmp_path / "a", None, **OPTIONS)
        with pytest.raises(ValueError, match=r"different workers.*persist\(\)"):
            daskome.write_image(parts[0] + parts[1], tmp_path / "b", None, **OPTIONS)
    assert is_image(tmp_path / "a")
    assert not (tmp_path / "b").exists()


def test_what_all_units_need_is_computed_where_it_is_to_be(tmp_path: Path, cluster: SpecCluster) -> None:
    with dask.annotate(resources={"GPU": 1}):
        mean = da.ones((256, 64), dtype="uint16", chunks=(32, 64)).map_blocks(named("gpu"), dtype="uint16", meta=META)
        mean = mean.sum()
    made = (da.ones((256, 64), dtype="uint32", chunks=(32, 64)) * mean).astype("uint32")
    assert as_source(made).shared
    with Client(cluster):
        daskome.write_image(made, tmp_path / "a", None, **OPTIONS)
    assert (levels(tmp_path / "a")[0] == 256 * 64).all()


def test_priority_and_retries_reach_the_scheduler(tmp_path: Path, cluster: SpecCluster) -> None:
    def block(values: Any) -> Any:
        failed = tmp_path / "failed"
        if not failed.exists():
            failed.touch()
            raise OSError("once")
        return values

    with dask.annotate(retries=2, priority=lambda key: key[1]):
        made = da.ones((32, 32), dtype="uint16").map_blocks(block, dtype="uint16", meta=META)
    assert annotations_of(made.dask) == {"retries": 2, "priority": 0}
    with Client(cluster):
        daskome.write_image(made, tmp_path / "a", None, **OPTIONS)
    assert is_image(tmp_path / "a")


def test_resources_that_no_worker_has_are_warned_of(
    tmp_path: Path, cluster: SpecCluster, caplog: pytest.LogCaptureFixture
) -> None:
    with dask.annotate(resources={"TPU": 1}):
        made = image("gpu")
    with Client(cluster), caplog.at_level(logging.WARNING, "daskome"):
        daskome.write_image(made, tmp_path / "a", None, compute="init", **OPTIONS)
    assert "no worker of the cluster has the resources {'TPU': 1}" in caplog.text
