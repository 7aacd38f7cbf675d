"""Chunks that are not stored are counted on request, and told: they may be empty, or lost."""

from itertools import product
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from hypothesis import given, strategies as st

import daskome
from daskome.cli.main import main
from daskome.model.source import StoredChunks
from daskome.planning.plan import Plan
from daskome.sources.adapt import as_source
from daskome.sources.stored_chunks import count_chunks
from tests.strategies import law

ONES = np.ones((40, 50), "uint8")


@pytest.mark.extended
@law(max_examples=15, derandomize=False)
@given(data=st.data(), zarr_format=st.sampled_from([2, 3]), path=st.sampled_from(["", "a", "a/b"]))
def test_every_chunk_that_is_stored_is_counted(data: st.DataObject, zarr_format: Any, path: str) -> None:
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, name=path, shape=(40, 50), chunks=(16, 16), dtype="uint8", zarr_format=zarr_format)
    chunks = data.draw(st.sets(st.sampled_from(list(product(range(3), range(4))))))
    for i, j in chunks:
        array[16 * i : 16 * i + 16, 16 * j : 16 * j + 16] = 1
    if path == "a":
        zarr.create_array(store, name="ab", data=ONES, chunks=(1, 1))
    (count,) = count_chunks(as_source(array))
    assert (count.stored, count.total) == (len(chunks), 12)


def test_shards_count_as_one_and_chunks_beyond_the_edge_as_none(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(64, 64), chunks=(8, 8), shards=(32, 32), dtype="uint8")
    array[:8, :8] = 1
    (count,) = count_chunks(as_source(array))
    assert (count.stored, count.total) == (1, 4)
    (tmp_path / "a/c/7").mkdir()
    (tmp_path / "a/c/7/7").write_bytes(b"old")
    assert list(count_chunks(as_source(da.from_zarr(array) + 1))) == [count]


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("chunked", (40, 50), "u1", chunks=(16, 16))[:16] = 1
        file.create_dataset("whole", data=ONES)
        file.create_dataset("nothing", (40, 50), "u1")
    counts = [next(count_chunks(daskome.read(f"{tmp_path}/a.h5::{n}"))) for n in ("chunked", "whole", "nothing")]
    assert [(count.stored, count.total) for count in counts] == [(4, 12), (1, 1), (0, 1)]


def test_the_plan_says_so_and_a_warning(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a", shape=(40, 50), chunks=(16, 16), dtype="uint8", fill_value=7)
    array[:16] = 1
    message = r"a: 8 of 12 chunks are not stored, and are read as the fill value, 7"
    with pytest.warns(UserWarning, match=message):
        plan = daskome.write_image(array, tmp_path / "b", None, axes="yx", check_source=True)
    assert message in plan.text()
    assert Plan.from_json(plan.to_json()) == plan
    assert daskome.plan_image(array, scale_factors=None, axes="yx").fingerprint == plan.fingerprint
    assert (zarr.open_array(tmp_path / "b/s0")[16:] == 7).all()


def test_one_whose_chunks_are_all_there_is_no_matter() -> None:
    plan = daskome.plan_image(zarr.array(ONES, chunks=(16, 16)), axes="yx", check_source=True)
    assert plan.counted == (StoredChunks(plan.counted[0].path, 12, 12, "0"),)
    assert "all of its 12 chunks are stored" in plan.text()


def test_there_must_be_chunks_to_count() -> None:
    with pytest.raises(ValueError, match="check_source counts the chunks of zarr and HDF5"):
        daskome.plan_image(ONES, axes="yx", check_source=True)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", [["plan"], ["write"]])
def test_on_the_command_line(tmp_path: Path, command: list[str]) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(40, 50), chunks=(16, 16), dtype="uint8", dimension_names=["y", "x"])
    arguments = [*command, f"{tmp_path}/a.zarr", f"{tmp_path}/b.zarr", "--check-source"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "12 of 12 chunks are not stored" in result.output
