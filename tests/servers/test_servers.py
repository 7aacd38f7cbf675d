"""The servers that tests run against do what is said of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import s3fs
from botocore.exceptions import BotoCoreError

from tests.servers.process import answers, daemon, free_ports, wait_until
from tests.servers.proxy import Faults, Proxy
from tests.servers.s3 import S3

ONCE = {"config_kwargs": {"retries": {"total_max_attempts": 1}, "read_timeout": 0.5}}


def impatient(server: S3, monkeypatch: pytest.MonkeyPatch) -> s3fs.S3FileSystem:
    """Return a file system that never tries again."""
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    return s3fs.S3FileSystem(**server.options, **ONCE, skip_instance_cache=True, use_listings_cache=False)


def test_buckets_are_new_and_hold_what_is_put(s3: S3) -> None:
    first, second = s3.bucket(), s3.bucket()
    s3.filesystem().pipe(f"{first}/a/b", b"1")
    assert s3.contents(f"s3://{first}") == {"a/b": b"1"}
    assert s3.contents(f"s3://{second}") == {}


def test_ceph_checks_the_secret(ceph: S3) -> None:
    wrong = s3fs.S3FileSystem(key=ceph.key, secret="wrong", endpoint_url=ceph.endpoint, skip_instance_cache=True)
    with pytest.raises(PermissionError):
        wrong.ls(ceph.bucket())


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this looks at Linux' list of sockets")
def test_nothing_listens_beyond_loopback(s3: S3, proxy: Proxy) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    ports = [int(endpoint.rpartition(":")[2]) for endpoint in (s3.endpoint, proxy.endpoint)]
    for port in ports:
        assert [local for local in listening if int(local.split(":")[1], 16) == port] == [f"0100007F:{port:04X}"]


def test_a_proxy_passes_on_what_is_signed(s3: S3, proxy: Proxy) -> None:
    fs, bucket = s3.at(proxy.endpoint).filesystem(), s3.bucket()
    data = os.urandom(3 * 2**20)
    fs.pipe(f"{bucket}/a b/c+d=%", data)
    assert fs.cat(f"{bucket}/a b/c+d=%") == data
    assert fs.cat_file(f"{bucket}/a b/c+d=%", start=-5) == data[-5:]
    assert fs.ls(bucket) == [f"{bucket}/a b"]
    fs.rm(bucket, recursive=True)
    assert {method for method, _ in proxy.requests} >= {"PUT", "GET", "POST"}


@pytest.mark.extended
@pytest.mark.parametrize(
    "faults",
    [Faults(errors=1), Faults(hangs=1), Faults(drops=1), Faults(refused=r"/bad/"), Faults(errors=1, methods="GET")],
)
def test_a_proxy_makes_faults(s3: S3, proxy: Proxy, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    fs, bucket = impatient(s3.at(proxy.endpoint), monkeypatch), s3.bucket()
    for i in range(6):
        fs.pipe(f"{bucket}/bad/{i}", bytes(100_000))
    proxy.reset(faults)
    for i in range(6):
        with pytest.raises((OSError, BotoCoreError)):
            fs.cat_file(f"{bucket}/bad/{i}")
    assert proxy.failed.total() >= 6
    proxy.reset()
    assert fs.cat(f"{bucket}/bad/0") == bytes(100_000)
    assert proxy.requests
    assert not proxy.failed


def test_faults_depend_on_the_request_and_on_nothing_else() -> None:
    faults = Faults(errors=0.05, hangs=0.01, drops=0.01, seed=3)
    kinds = [faults.kind("PUT", f"/b/{i}", 1) for i in range(10_000)]
    assert kinds == [faults.kind("PUT", f"/b/{i}", 1) for i in range(10_000)]
    assert 400 < kinds.count("error") < 600
    assert 50 < kinds.count("hang") < 150
    assert 50 < len([kind for kind in kinds if kind not in ("", "error", "hang")]) < 150
    assert kinds != [faults.kind("PUT", f"/b/{i}", 2) for i in range(10_000)]


SERVER = "import http.server as h; h.HTTPServer(('127.0.0.1', {port}), h.BaseHTTPRequestHandler).serve_forever()"


def test_a_server_ends_with_its_block_and_on_failure(tmp_path: Path) -> None:
    [port] = free_ports(1)
    with pytest.raises(ZeroDivisionError):
        fail_beside_a_server(port, tmp_path / "log")
    assert not answers(port)


def fail_beside_a_server(port: int, log: Path) -> None:
    with daemon([sys.executable, "-c", SERVER.format(port=port)], log) as process:
        wait_until(lambda: answers(port), process, log)
        raise ZeroDivisionError


def test_a_server_that_does_not_start_is_an_error_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no disk')"]
    with daemon(command, tmp_path / "log") as p, pytest.raises(RuntimeError, match="no disk"):
        wait_until(lambda: False, p, tmp_path / "log")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends the children of what is killed")
def test_a_server_dies_with_tests_that_are_killed(tmp_path: Path) -> None:
    [port] = free_ports(1)
    code = f"""
import sys, time
from pathlib import Path
from tests.servers.process import answers, daemon, wait_until
with daemon([sys.executable, "-c", {SERVER.format(port=port)!r}], Path({str(tmp_path / "log")!r})) as p:
    wait_until(lambda: answers({port}), p, Path("log"))
    print("up", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"up\n"
        tests.kill()
    deadline = time.monotonic() + 10
    while answers(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not answers(port)
