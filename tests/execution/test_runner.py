"""Units on schedulers: threads and real clusters, failures, retries, kills."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, ClassVar

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client
from zarr.storage import StorePath

import daskome
from daskome.execution import runner
from daskome.execution.attempt import BACK_OFF
from daskome.execution.publish import publish_plan
from daskome.sources.adapt import as_source
from daskome.stores import journal as journals
from tests.cuboid import OPTIONS, image
from tests.written import contents, is_image, levels


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_write_the_same_bytes(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], threads: int
) -> None:
    with dask.config.set(num_workers=threads):
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    assert contents(tmp_path / "a") == expected


def test_a_cluster_writes_the_same_bytes(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], client: Client
) -> None:
    before = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    assert contents(tmp_path / "a") == expected
    assert client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter) > before


def test_a_cluster_of_one_thread_in_this_process(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0"):
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    assert contents(tmp_path / "a") == expected


@pytest.mark.sampled(3)
@pytest.mark.parametrize("kind", ["numpy", "persisted", "lazy", "stored"])
def test_images_travel_to_a_cluster(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], client: Client, kind: str
) -> None:
    zarr.create_array(tmp_path / "stored", data=image().compute(), chunks=(16, 16, 16))
    kinds = {
        "numpy": lambda: image().compute(),
        "persisted": lambda: image().persist(),
        "lazy": lambda: image() * np.uint32(2) // 2,
        "stored": lambda: zarr.open_array(tmp_path / "stored", mode="r"),
    }
    daskome.write_image(kinds[kind](), tmp_path / "a", **OPTIONS)
    assert contents(tmp_path / "a") == expected


def test_a_store_in_memory_is_written_by_threads_beside_a_cluster(client: Client) -> None:
    store = zarr.storage.MemoryStore()
    daskome.write_image(image(), store, **OPTIONS)
    np.testing.assert_array_equal(levels(store)[0], image().compute())


def test_compute_false_on_a_cluster(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], client: Client
) -> None:
    client.compute(daskome.write_image(image(), tmp_path / "a", compute=False, **OPTIONS)).result()
    assert contents(tmp_path / "a") == expected


def broken(block: np.ndarray[Any, Any], tries: Path, failures: int, block_info: Any = None) -> np.ndarray[Any, Any]:
    """Fail for one block, so many times."""
    if block_info[0]["chunk-location"] == (1, 0, 2):
        with (tries / str(time.monotonic_ns())).open("w"):
            if len(list(tries.iterdir())) <= failures:
                raise OSError("the disk hiccuped")
    return block


def hiccup(tmp_path: Path, failures: int) -> da.Array:
    (tmp_path / "tries").mkdir()
    return image().map_blocks(
        broken, tries=tmp_path / "tries", failures=failures, dtype="uint32", meta=np.empty((0, 0, 0), "uint32")
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_a_unit_that_fails_is_tried_again(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], where: str, request: pytest.FixtureRequest
) -> None:
    if where == "cluster":
        request.getfixturevalue("client")
    with dask.config.set(num_workers=2):
        daskome.write_image(hiccup(tmp_path, 2), tmp_path / "a", retries=2, **OPTIONS)
    assert contents(tmp_path / "a") == expected


@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_a_unit_that_fails_for_good_is_named_and_nothing_is_published(
    tmp_path: Path, tiny_blocks: None, where: str, request: pytest.FixtureRequest
) -> None:
    if where == "cluster":
        request.getfixturevalue("client")
    with pytest.raises(
        daskome.WriteError, match=r"1 unit.*\n.*unit 0/\d+ .*z 16:24, y 0:16, x 32:48 of s0.*hiccuped"
    ) as failure:
        daskome.write_image(hiccup(tmp_path, 99), tmp_path / "a", retries=1, **OPTIONS)
    assert isinstance(failure.value.__cause__, OSError)
    assert len(list((tmp_path / "tries").iterdir())) == 2
    assert not is_image(tmp_path / "a")
    group = zarr.open_group(tmp_path / "a", mode="r")
    assert group.attrs["daskome"]["unfinished"]
    # The others are finished.
    assert np.count_nonzero(group["s0"][...]) == image().size - 8 * 16 * 16 - 1
    with pytest.raises(FileExistsError, match="unfinished image; overwrite=True"):
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("compute", [True, False])
def test_a_failure_is_noted_and_retries_wait(tmp_path: Path, tiny_blocks: None, compute: bool) -> None:
    """One rule, whether units are written now or as tasks of a graph."""
    with pytest.raises(daskome.WriteError, match="hiccuped"), dask.config.set(scheduler="threads", num_workers=2):
        dask.compute(daskome.write_image(hiccup(tmp_path, 99), tmp_path / "a", retries=2, compute=compute, **OPTIONS))
    (reason,) = daskome.status(tmp_path / "a").failures.values()
    assert "hiccuped" in reason
    first, second, third = sorted(int(path.name) for path in (tmp_path / "tries").iterdir())
    assert second - first > 0.5 * BACK_OFF * 1e9
    assert third - second > 0.5 * 4 * BACK_OFF * 1e9


def test_a_disk_that_is_full_is_an_error_and_no_image(tmp_path: Path) -> None:
    class Full(zarr.storage.MemoryStore):
        async def set(self, key: str, value: Any, byte_range: Any = None) -> None:
            if "/c/" in key:
                raise OSError(28, "No space left on device")
            await super().set(key, value)

    store = Full()
    with pytest.raises(daskome.WriteError, match="No space left"):
        daskome.write_image(image(), store, retries=0, **OPTIONS)
    assert not is_image(zarr.storage.MemoryStore(store._store_dict))


def test_progress_counts_all_bytes_of_all_levels(tmp_path: Path, tiny_blocks: None) -> None:
    seen: list[tuple[int, int]] = []
    plan = daskome.write_image(image(), tmp_path / "a", progress=lambda *done: seen.append(done), **OPTIONS)
    total = plan.nbytes + plan.temporary_nbytes
    assert [expected for _, expected in seen] == [total] * (1 + plan.n_units)
    assert (seen[0][0], seen[-1][0]) == (0, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


SLOW_WRITER = """
import sys, time
from pathlib import Path
import numpy as np, dask.array as da, daskome
from daskome.model import limits
limits.LIMITS = limits.Limits(1, 1, unit_nbytes=2**14, tail_nbytes=2**12, copied_nbytes=2**12)

def slowly(block):
    time.sleep(0.2)  # Twelve blocks in two threads: more than a second, so that it is killed before its end.
    return block

image = da.from_array(np.arange(24 * 32 * 48, dtype="uint32").reshape(24, 32, 48), chunks=16)
image = image.map_blocks(slowly, dtype=image.dtype, meta=np.empty((0, 0, 0), image.dtype))
print("ready", flush=True)
daskome.write_image(image, sys.argv[1], [2, 4, 8], storage_options={"chunks": 8}, overwrite=True)
"""


@pytest.mark.sampled(10)
@pytest.mark.parametrize("when", [0.0, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_point_it_is_no_image_and_can_be_written_again(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], when: float, how: signal.Signals
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SLOW_WRITER))
    environment = os.environ | {"PYTHONPATH": str(Path(daskome.__file__).parents[1]), "DASK_NUM_WORKERS": "2"}
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "a"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    while not (tmp_path / "a" / "s0").exists() and process.poll() is None:
        time.sleep(0.001)
    deadline = time.monotonic() + when
    while time.monotonic() < deadline and process.poll() is None:
        assert not is_image(tmp_path / "a") or process.poll() is not None or not (tmp_path / "a" / ".daskome").exists()
        time.sleep(0.002)
    process.send_signal(how)
    process.wait()
    process.stdout.close()
    assert process.returncode != 0
    assert not is_image(tmp_path / "a")
    daskome.write_image(image(), tmp_path / "a", overwrite=True, **OPTIONS)
    assert contents(tmp_path / "a") == expected


def test_a_reader_never_sees_an_image_that_is_not_whole(tmp_path: Path, tiny_blocks: None) -> None:
    """Law 6, looked at after every unit: no OME metadata until all is there; replacing takes the old ones first."""
    for _ in range(2):
        seen: list[bool] = []
        daskome.write_image(
            image(),
            tmp_path / "a",
            overwrite=True,
            progress=lambda *_, seen=seen: seen.append(is_image(tmp_path / "a")),
            **OPTIONS,
        )
        assert seen
        assert not any(seen)
        assert is_image(tmp_path / "a")
        assert not (tmp_path / "a" / ".daskome").exists()


class Asked(zarr.storage.MemoryStore):
    """A store that notes what is asked of it."""

    keys: ClassVar[list[str]] = []

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        self.keys.append(key)
        return await super().get(key, *args, **options)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("n_levels", [3, 6])
def test_a_unit_opens_no_array(n_levels: int, tiny_blocks: None) -> None:
    """However many levels there are, a unit asks whether it is still wanted, and for the chunks that it reads."""
    store = Asked()
    options = {"scale_factors": [2**k for k in range(1, n_levels)], "storage_options": {"chunks": 4}}
    plan = daskome.write_image(image(), store, compute="init", **options)
    begun = journals.find_run(StorePath(store))
    assert begun is not None
    start = runner.Run(plan, [as_source(image())], StorePath(store), begun.journal)
    for stage in range(len(plan.stages)):
        for task in runner.unit_tasks(start, runner.Part(stage, range(plan.count(stage)))):
            store.keys.clear()
            task()
            chunks = [key for key in store.keys if "/c/" in key]
            assert set(store.keys) - set(chunks) == {f"{journals.JOURNAL}/{journals.CURRENT}"}
            assert len(store.keys) - len(chunks) == 2, "before and after"
            assert bool(chunks) == (task.piece is None)
    store.keys.clear()
    publish_plan(start)
    assert not [key for key in store.keys if "/zarr.json" in key]
