"""Which scheduler writes: what Dask is set to, wherever the call is made; never one that waits for the call itself."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.multiprocessing
import numpy as np
import pytest
from distributed import Client, LocalCluster, as_completed, get_client, rejoin, secede, worker_client
from zarr.storage import MemoryStore

import daskome
from daskome.execution.executors import available_workers
from daskome.execution.schedulers import Cluster, Processes, SchedulingFunction, Threads, scheduler_for
from tests.written import is_image

IMAGE = np.arange(64 * 64, dtype="uint16").reshape(64, 64)
SECONDS = 60
"""How long a task may take until it counts as hanging."""


def write(path: Path) -> int:
    """Write a small image, and return how many workers and threads it was planned for."""
    plan = daskome.write_image(IMAGE, path, [2], axes="yx", storage_options={"chunks": 16})
    return int(plan.workers.count)


# ---- in a task of a cluster: every way in which its worker comes to have a client


def plainly(path: Path) -> int:
    return write(path)


def after_a_nested_compute(path: Path) -> int:
    da.ones(10, chunks=5).sum().compute()
    return write(path)


def after_get_client(path: Path) -> int:
    get_client()
    return write(path)


def after_nested_tasks(path: Path) -> int:
    client = get_client()
    secede()
    done = [future.result() for future in as_completed(client.map(abs, [-1, -2]))]
    rejoin()
    assert sorted(done) == [1, 2]
    return write(path)


def in_nested_tasks(path: Path) -> int:
    client = get_client()
    futures = client.map(after_a_nested_compute, [path / "1", path / "2"])
    secede()
    written = [future.result() for future in as_completed(futures)]
    rejoin()
    return write(path / "3") if written == [1, 1] else 0


def in_a_worker_client(path: Path) -> int:
    with worker_client():
        return write(path)


def after_seceding(path: Path) -> int:
    get_client()
    secede()
    return write(path)


def in_a_thread_of_the_task(path: Path) -> int:
    get_client()
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(write, path).result()


def in_a_delayed(path: Path) -> int:
    get_client()
    (count,) = dask.compute(dask.delayed(write)(path), scheduler="threads")
    return int(count)


def later(path: Path) -> int:
    get_client()
    plan = daskome.write_image(IMAGE, path, [2], axes="yx", compute=False).compute()
    return int(plan.workers.count)


async def in_a_coroutine(path: Path) -> int:
    return write(path)


async def in_a_thread_of_a_coroutine(path: Path) -> int:
    return await asyncio.to_thread(write, path)


def with_a_cluster_of_its_own(path: Path) -> int:
    with (
        LocalCluster(n_workers=2, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50) as local,
        Client(local),
    ):
        return write(path)


HERE = [
    plainly,
    after_a_nested_compute,
    after_get_client,
    after_nested_tasks,
    in_nested_tasks,
    in_a_thread_of_the_task,
    in_a_delayed,
    later,
    in_a_coroutine,
    in_a_thread_of_a_coroutine,
]
ON_THE_CLUSTER = [in_a_worker_client, after_seceding]


@pytest.fixture(scope="module", params=[True, False], ids=["processes", "threads"])
def single(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=request.param, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as local:
        yield local


@pytest.mark.sampled(30)
@pytest.mark.parametrize("task", [*HERE, *ON_THE_CLUSTER, with_a_cluster_of_its_own])
def test_a_call_in_a_task_of_a_cluster_of_one_thread_returns(
    tmp_path: Path, single: LocalCluster, task: Callable[[Path], int]
) -> None:
    with Client(single) as client:
        assert client.submit(task, tmp_path / "a", pure=False).result(SECONDS) in (1, 2)
        written = [tmp_path / "a", *(tmp_path / "a").iterdir()] if task is in_nested_tasks else [tmp_path / "a"]
        assert any(map(is_image, written))


def test_a_call_on_the_event_loop_of_a_worker_or_the_scheduler_is_refused(tmp_path: Path, single: LocalCluster) -> None:
    with Client(single) as client, ThreadPoolExecutor(1) as threads:
        client.submit(after_get_client, tmp_path / "a", pure=False).result(SECONDS)
        for run, path in ((client.run, tmp_path / "b"), (client.run_on_scheduler, tmp_path / "c")):
            error = threads.submit(run, write, path).exception(SECONDS)
            assert is_image(path) if error is None else "asyncio.to_thread" in str(error)


@pytest.mark.extended
def test_a_task_has_its_share_of_its_worker() -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=4, memory_limit=2 * 10**9, dashboard_address="127.0.0.1:0"
        ) as local,
        Client(local) as client,
    ):
        workers = client.submit(available_workers, pure=False).result(SECONDS)
    assert (workers.count, workers.threads) == (1, 1)
    assert 1.4e9 / 4 < workers.memory < 1.4e9 / 2


# ---- what Dask is set to


class Seen:
    """An image that notes the process and the thread in which it is read."""

    shape, dtype = (64, 64), np.dtype("uint8")

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __getitem__(self, index: Any) -> Any:
        (self.folder / f"{os.getpid()}-{threading.get_ident()}").touch()
        return np.ones((64, 64), "uint8")[index]


def readers_of(folder: Path) -> tuple[set[int], set[int]]:
    """Return the processes and the threads that read an image while it was written to a folder."""
    seen = folder / "seen"
    seen.mkdir()
    daskome.write_image(Seen(seen), folder / "a", [2], axes="yx", storage_options={"chunks": 16})
    assert is_image(folder / "a")
    pids, threads = zip(*(path.name.split("-") for path in seen.iterdir()), strict=True)
    return set(map(int, pids)), set(map(int, threads))


def test_the_active_client_writes_by_default(tmp_path: Path, client: Client) -> None:
    pids, _ = readers_of(tmp_path)
    assert pids <= set(client.run(os.getpid).values())
    with dask.config.set(scheduler="distributed"):
        assert scheduler_for(None) == Cluster(client)
    with dask.config.set(scheduler=client.get):
        assert scheduler_for(None) == Cluster(client)


@pytest.mark.parametrize("name", ["threads", "Threading", dask.threaded.get])
def test_threads_write_when_dask_is_set_to_them_while_a_client_is_active(
    tmp_path: Path, client: Client, name: Any
) -> None:
    with dask.config.set(scheduler=name, num_workers=3):
        assert scheduler_for(None) == Threads(3)
        pids, threads = readers_of(tmp_path)
    assert pids == {os.getpid()}
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("name", ["sync", "single-threaded", "synchronous", dask.get])
def test_the_thread_that_calls_writes_when_dask_is_synchronous(tmp_path: Path, client: Client, name: Any) -> None:
    with dask.config.set(scheduler=name):
        assert readers_of(tmp_path) == ({os.getpid()}, {threading.get_ident()})


@pytest.mark.slow
def test_processes_write_when_dask_is_set_to_them(tmp_path: Path, client: Client) -> None:
    with dask.config.set(scheduler="processes", num_workers=2):
        assert scheduler_for(None) == Processes(2)
        pids, _ = readers_of(tmp_path)
        assert os.getpid() not in pids
        assert not pids & set(client.run(os.getpid).values())
        daskome.write_image(IMAGE, store := MemoryStore(), [2], axes="yx")
        assert is_image(store)
        with pytest.raises(TypeError, match="cannot travel"):
            daskome.write_image(da.from_array(IMAGE).map_blocks(Lock().keep, dtype="uint16"), tmp_path / "b", axes="yx")
    assert not (tmp_path / "b").exists()


class Lock:
    """What cannot travel to another process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def keep(self, block: Any) -> Any:
        with self.lock:
            return block


def test_a_function_or_an_executor_writes_when_dask_is_set_to_it(tmp_path: Path, client: Client) -> None:
    graphs = []

    def counting(graph: Any, keys: Any, **kwargs: Any) -> Any:
        graphs.append(graph)
        return dask.get(graph, keys, **kwargs)

    with dask.config.set(scheduler=counting):
        assert isinstance(scheduler_for(None), SchedulingFunction)
        assert readers_of(tmp_path)[0] == {os.getpid()}
    assert graphs
    (tmp_path / "pool").mkdir()
    with ThreadPoolExecutor(1) as pool, dask.config.set(scheduler=pool):
        ident = pool.submit(threading.get_ident).result()
        assert readers_of(tmp_path / "pool") == ({os.getpid()}, {ident})


def test_a_failure_in_any_scheduler_fails_the_call(tmp_path: Path) -> None:
    def broken(block: Any) -> Any:
        raise OSError("no light")

    image = da.from_array(IMAGE).map_blocks(broken, dtype="uint16", meta=np.empty((0, 0), "uint16"))
    for i, scheduler in enumerate(["sync", "threads", lambda graph, keys, **_: dask.get(graph, keys)]):
        with dask.config.set(scheduler=scheduler), pytest.raises(daskome.WriteError, match="no light"):
            daskome.write_image(image, tmp_path / str(i), axes="yx", retries=0)
        assert not is_image(tmp_path / str(i))


def test_what_is_no_scheduler_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for scheduler in ("quantum", 5):
        with dask.config.set(scheduler=scheduler), pytest.raises(ValueError):
            write(tmp_path / "a")
    assert not (tmp_path / "a").exists()


# ---- asynchronous clients


def in_an_event_loop(call: Callable[[], Any], cluster: LocalCluster) -> Any:
    async def main() -> Any:
        async with Client(cluster.scheduler_address, asynchronous=True):
            made = call()
            return await made if asyncio.iscoroutine(made) else made

    return asyncio.run(main())


def test_an_asynchronous_client_is_refused_at_once_with_what_to_do(tmp_path: Path, single: LocalCluster) -> None:
    for call in (partial(write, tmp_path / "a"), partial(daskome.plan_image, IMAGE, tmp_path / "a", axes="yx")):
        with pytest.raises(RuntimeError, match=r"asynchronous.*asyncio\.to_thread\(daskome\.write_image"):
            in_an_event_loop(call, single)
    assert not (tmp_path / "a").exists()


def test_an_asynchronous_client_writes_from_a_thread_as_the_error_says(tmp_path: Path, single: LocalCluster) -> None:
    in_an_event_loop(lambda: asyncio.to_thread(write, tmp_path / "a"), single)
    assert is_image(tmp_path / "a")


@pytest.mark.parametrize("setting", ["scheduler", "admin.async-client-fallback"])
def test_threads_write_beside_an_asynchronous_client_when_dask_is_set_to_them(
    tmp_path: Path, single: LocalCluster, setting: str
) -> None:
    def call() -> Any:
        with dask.config.set({setting: "threads"}):
            return readers_of(tmp_path)

    assert in_an_event_loop(call, single)[0] == {os.getpid()}
