"""The way to a server that is far away delays, bounds and counts, and changes nothing."""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers import http
from tests.servers.distance import Distance, End, Far, Traffic, distance
from tests.servers.s3 import S3

SLOW = Far(latency=0.1, bandwidth=10e6)
SIZE, AT_ONCE = 2**18, 64


@pytest.fixture(scope="module")
def _far(s3: S3) -> Iterator[Distance]:
    with distance(s3.endpoint) as made:
        yield made


@pytest.fixture
def far(_far: Distance) -> Distance:
    _far.set(Far(latency=0))
    return _far


@pytest.mark.extended
def test_it_changes_nothing(s3: S3, far: Distance) -> None:
    fs, bucket, data = s3.at(far.endpoint).filesystem(), s3.bucket(), os.urandom(3 * 2**20)
    for key in ("a b/c+d=%", "s0/c/0/0/0", "s0/zarr.json", ".daskome/current"):
        fs.pipe(f"{bucket}/{key}", data)
        assert fs.cat(f"{bucket}/{key}") == data
    assert fs.cat_file(f"{bucket}/s0/c/0/0/0", start=-5) == data[-5:]
    assert fs.info(f"{bucket}/s0/zarr.json")["size"] == len(data)
    assert len(fs.find(bucket)) == 4
    fs.rm(bucket, recursive=True)
    requests = far.set().requests
    asked = {kind: requests[f"PUT {kind}"] for kind in ("chunk", "document", "run", "other")}
    assert asked == {"chunk": 1, "document": 1, "run": 1, "other": 1}
    assert requests["GET chunk"] >= 2
    assert requests["GET list"] >= 1


def test_every_answer_comes_later_and_bytes_take_their_time(s3: S3, far: Distance) -> None:
    fs, bucket, data = s3.at(far.endpoint).filesystem(), s3.bucket(), bytes(2**20)
    fs.pipe(f"{bucket}/a", data)
    far.set(SLOW)
    for ask in (lambda: fs.pipe(f"{bucket}/a", data), lambda: fs.cat_file(f"{bucket}/a")):
        began = time.perf_counter()
        ask()
        assert time.perf_counter() - began >= SLOW.latency + len(data) / SLOW.bandwidth
    traffic = far.set()
    assert traffic.most == 1
    assert traffic.trips == traffic.requests.total()


def test_what_is_asked_at_once_waits_at_once(s3: S3, far: Distance) -> None:
    fs, bucket = s3.at(far.endpoint).filesystem(), s3.bucket()
    fs.pipe(f"{bucket}/a", b"1")
    far.set(Far(latency=0.5))
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: fs.cat_file(f"{bucket}/a"), range(8))) == [b"1"] * 8
    assert 0.5 <= time.perf_counter() - began < 3  # One after the other would take 4.
    traffic = far.set()
    assert traffic.most > 4
    assert traffic.trips < 4


class Sink(End):
    """A server that takes everything, and keeps nothing."""

    def begins(self, head: bytes) -> http.Parts:
        return http.body(head)

    def passes(self, piece: bytes) -> None:
        pass

    def ends(self) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def put(port: int, times: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(times):
        writer.write(f"PUT /b/s0/c/0 HTTP/1.1\r\nHost: b\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        writer.write(bytes(SIZE))
        await reader.readuntil(http.END)
    writer.close()


async def put_through_it(times: int) -> Traffic:
    """Return what was counted while many put objects at the same time."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    with distance(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Far(0.05)) as far:
        port = int(far.endpoint.rpartition(":")[2])
        await asyncio.gather(*(put(port, times) for _ in range(AT_ONCE)))
        traffic = far.set()
    server.close()
    return traffic


def test_it_carries_as_many_as_are_sent_at_once() -> None:
    traffic = asyncio.run(put_through_it(5))
    assert traffic.requests == {"PUT chunk": AT_ONCE * 5}
    assert traffic.most == AT_ONCE
    assert traffic.busy > 0
