"""Real clusters: the same bytes whatever dies, news of what hurts, and nothing left behind."""

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

import daskome
from daskome.execution import cluster as clusters
from daskome.execution.executors import available_workers
from tests import habits
from tests.cuboid import OPTIONS, VALUES
from tests.servers.process import answers, daemon, free_ports, wait_until
from tests.servers.s3 import S3
from tests.written import contents, is_image


def image(nap: float = 0) -> da.Array:
    def block(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        time.sleep(nap)
        return values

    return da.from_array(VALUES, chunks=16).map_blocks(block, dtype="uint32", meta=np.empty((0, 0, 0), "uint32"))


@contextmanager
def cluster(n: int = 2, **options: Any) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=n, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50, **options
        ) as local,
        Client(local) as client,
    ):
        yield client


def on_scheduler(client: Client, function: Callable[..., Any]) -> Any:
    return client.run_on_scheduler(function)


# ---- what a plan knows of a cluster


def test_units_use_what_a_limit_leaves_before_dask_spills() -> None:
    with cluster(1, memory_limit=10**9, processes=False):
        assert available_workers().memory == int(0.7e9)
        assert available_workers(memory=10**8).memory == 10**8


@pytest.mark.extended
def test_more_memory_than_workers_have_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tiny_blocks: None
) -> None:
    big = da.zeros((256, 512, 512), dtype="uint8", chunks=256)
    with cluster(1, memory_limit=250 * 10**6), caplog.at_level(logging.WARNING, "daskome"):
        daskome.write_image(big, tmp_path / "a", [2], storage_options={"chunks": 128}, memory="2GB")
    said = [record.getMessage() for record in caplog.records if record.name == "daskome"]
    assert len(said) == 1
    assert said[0].startswith("a worker is limited to 238 MiB, but ")
    assert "memory=" in said[0]


@pytest.mark.parametrize(("saturation", "warned"), [("inf", True), (1.1, False)])
def test_a_scheduler_that_keeps_no_units_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, saturation: Any, warned: bool
) -> None:
    with (
        dask.config.set({"distributed.scheduler.worker-saturation": saturation}),
        cluster(1, processes=False),
        caplog.at_level(logging.WARNING, "daskome"),
    ):
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    assert ("worker-saturation is inf" in caplog.text) == warned


# ---- workers that can't write


@contextmanager
def changed(client: Client, change: Callable[[Any], Any], new: Any, old: Any, workers: int) -> Iterator[None]:
    """Within it, some of the workers are not as they were."""
    chosen = list(client.nthreads())[:workers]
    client.run(change, new, workers=chosen)
    try:
        yield
    finally:
        client.run(change, old, workers=chosen)


def test_workers_that_see_another_disk_are_refused(tmp_path: Path, client: Client) -> None:
    (tmp_path / "elsewhere").mkdir()
    here = next(iter(client.run(os.getcwd).values()))
    with (
        changed(client, os.chdir, str(tmp_path / "elsewhere"), here, 2),
        pytest.raises(daskome.WriteError, match=r"does not see .*that all workers share; 2 of 2"),
    ):
        daskome.write_image(image(), f"/proc/self/cwd/{os.path.relpath(tmp_path)}/a", **OPTIONS)


def set_version(version: str) -> None:
    clusters.__version__ = version


def test_workers_with_another_daskome_are_refused(tmp_path: Path, client: Client) -> None:
    with (
        changed(client, set_version, "0.0.7", clusters.__version__, 1),
        pytest.raises(daskome.WriteError, match=r"has daskome 0\.0\.7, but .* 1 of 2 workers"),
    ):
        daskome.write_image(image(), tmp_path / "a", **OPTIONS)


# ---- as seen from the dashboard


def test_units_have_names_and_a_span_and_leave_nothing(tmp_path: Path, client: Client, tiny_blocks: None) -> None:
    def seen(dask_scheduler: Any) -> tuple[set[str], set[tuple[str, ...]]]:
        spans = dask_scheduler.extensions["spans"].spans.values()
        return set(dask_scheduler.task_prefixes), {span.name for span in spans}

    daskome.write_image(image(), tmp_path / "a", name="heart", **OPTIONS)
    names, spans = on_scheduler(client, seen)
    assert {"daskome-from-image", "daskome-from-copy"} <= names
    assert ("daskome", "heart") in spans


@pytest.mark.sampled(18)
@pytest.mark.parametrize("kind", ["lazy", "numpy", "persisted"])
def test_nothing_is_left_on_the_scheduler(
    tmp_path: Path, tiny_blocks: None, client: Client, expected: Any, kind: str
) -> None:
    array = {"lazy": image, "numpy": lambda: VALUES, "persisted": lambda: image().persist()}[kind]()
    daskome.write_image(array, tmp_path / "a", **OPTIONS)
    del array
    gc.collect()  # errors that zarr raises and catches within refer to themselves, and to the frames of all callers
    deadline = time.monotonic() + 10
    while on_scheduler(client, lambda dask_scheduler: len(dask_scheduler.tasks)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert contents(tmp_path / "a") == expected


# ---- the same bytes


def test_units_that_are_lost_are_written_again(
    tmp_path: Path, tiny_blocks: None, client: Client, expected: dict[str, bytes]
) -> None:
    """As after ``client.restart()``, which forgets every future."""
    restarting: list[threading.Thread] = []

    def restart(done: int, total: int) -> None:
        """After the first unit."""
        if not restarting:
            restarting.append(threading.Thread(target=client.restart))
            restarting[0].start()

    daskome.write_image(image(0.05), tmp_path / "a", retries=0, progress=restart, **OPTIONS)
    restarting[0].join()
    assert contents(tmp_path / "a") == expected


@pytest.mark.slow
def test_a_cluster_that_adapts_grows(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]) -> None:
    with cluster(1) as client:
        client.cluster.adapt(minimum=0, maximum=3, interval="100ms", target_duration="200ms")
        deadline = time.monotonic() + 30
        while client.nthreads():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        seen: list[int] = []
        daskome.write_image(
            image(0.1), tmp_path / "a", progress=lambda *_: seen.append(len(client.nthreads())), **OPTIONS
        )
    assert max(seen) > 1
    assert contents(tmp_path / "a") == expected


def pid() -> int:
    return os.getpid()


@contextmanager
def killing(client: Client, every: float, seed: int) -> Iterator[list[int]]:
    """SIGKILL a worker now and then; their nannies start new ones."""
    stop, killed, chance = threading.Event(), [], random.Random(seed)

    def kill() -> None:
        while not stop.wait(every * chance.uniform(0.5, 1.5)):
            found = [answer for answer in client.run(pid, on_error="return").values() if isinstance(answer, int)]
            if found:
                killed.append(chance.choice(found))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lazy", "numpy", "persisted"])
def test_workers_that_are_killed_change_nothing(
    tmp_path: Path, tiny_blocks: None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**OPTIONS, "method": habits.largest}
    daskome.write_image(image(), tmp_path / "expected", **options)
    monkeypatch.setenv("NAP", "0.05")
    seen: list[bool] = []
    with cluster(3) as client:
        array = {"lazy": image, "numpy": lambda: VALUES, "persisted": lambda: image().persist()}[kind]()
        with killing(client, 2, seed=1) as killed:
            daskome.write_image(
                array, tmp_path / "a", progress=lambda *_: seen.append(is_image(tmp_path / "a")), **options
            )
    assert len(killed) >= 2
    assert not any(seen)
    assert contents(tmp_path / "a") == contents(tmp_path / "expected")


@contextmanager
def scheduler(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler and two workers, each a process of its own, as on a cluster."""
    (port,) = free_ports(1)
    address, log, dask_command = f"tcp://127.0.0.1:{port}", folder / "log", [sys.executable, "-m", "distributed.cli"]
    serve = [*dask_command[:2], "distributed.cli.dask_scheduler", "--port", str(port), "--no-dashboard"]
    work = [*dask_command[:2], "distributed.cli.dask_worker", address, "--nworkers", "2", "--nthreads", "1"]
    with daemon(serve, log) as process:
        wait_until(lambda: answers(port), process, log)
        with daemon([*work, "--no-dashboard", "--death-timeout", "5"], log):
            yield process, address


@pytest.mark.slow
def test_after_the_scheduler_is_killed_it_is_resumed(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]
) -> None:
    with scheduler(tmp_path) as (process, address), Client(address) as client:
        client.wait_for_workers(2)
        killed: list[float] = []

        def kill(done: int, total: int) -> None:
            if done:
                process.kill()
                killed.append(time.monotonic())

        with pytest.raises(daskome.WriteError, match=f"connection to the scheduler at {address} is lost.*resume=True"):
            daskome.write_image(image(0.2), tmp_path / "a", progress=kill, **OPTIONS)
        assert time.monotonic() - killed[0] < 20
    assert not is_image(tmp_path / "a")
    missing = len(daskome.status(tmp_path / "a").missing)
    with cluster(2):
        plan = daskome.write_image(image(), tmp_path / "a", resume=True, **OPTIONS)
    assert 0 < missing < plan.n_units
    assert contents(tmp_path / "a") == expected


@pytest.mark.slow
def test_four_ways_give_the_same_bytes(tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes], s3: S3) -> None:
    """Threads, a cluster, parts in processes of their own (here: at random), S3."""
    with dask.config.set(num_workers=3):
        daskome.write_image(image(), tmp_path / "threads", **OPTIONS)
    with cluster(2):
        daskome.write_image(image(), tmp_path / "cluster", **OPTIONS)
        daskome.write_image(image(), f"s3://{(bucket := s3.bucket())}/a", fs_options=s3.options, **OPTIONS)
    plan = daskome.write_image(image(), tmp_path / "parts", compute="init", **OPTIONS)
    for stage in range(len(plan.stages)):
        for i in random.sample(range(5), 5):
            daskome.run_part(tmp_path / "parts", image(), stage, (i, 5))
    daskome.finish(tmp_path / "parts")
    for way in ("threads", "cluster", "parts"):
        assert contents(tmp_path / way) == expected, way
    assert s3.contents(f"{bucket}/a") == expected
