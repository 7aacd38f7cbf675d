"""A way to a server that is far away: every answer comes later, and no connection carries more than so much.

It runs as a process of its own, so that what is measured shares no interpreter with it. Each connection has one of its
own to the server, for as long as it lasts. An answer begins no earlier than the latency after the last byte of its
request could have arrived at the bandwidth of the connection, and its bytes come at this bandwidth, too. A client that
asks whether it may send a body waits for that, as on any network.

It changes nothing of what it passes on, and counts requests by kind: `KINDS`.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.servers import http
from tests.servers.process import daemon

KINDS = {
    "list": r"^/[^/?]*/?\?|[?&](list-type|prefix|delete|uploads?|uploadId)\b",
    "document": r"/(zarr\.json|\.z\w+)$",
    "run": r"/\.daskome/current$",
    "copy": r"/\.daskome/staging/",
    "claim": r"/\.daskome/claims(/|$)",
    "journal": r"/\.daskome/",
    "chunk": r"/c?(/?\d+)([./]\d+)*$|/c$",
}
"""What is asked for, by patterns of the target, of which the first counts; "other" if none does."""
ROOT = str(Path(__file__).parents[2])
HELD = 8 * 2**20
"""How many bytes of an answer wait here, on a connection, before the server has to wait."""


@dataclass(frozen=True)
class Far:
    """How far away: seconds until an answer comes, and bytes a second that a connection carries each way."""

    latency: float = 0.05
    bandwidth: float = 60e6


@dataclass
class Traffic:
    """What has passed: requests by method and kind, the most that were open at a time, bytes, and the work it made.

    `trips` are the round trips that had to be made one after another: the most requests of which each was sent when the
    one before it had been answered. `busy` is the share of one core that the proxy took; with more than about 0.8 it would be measured itself.
    """

    requests: Counter[str] = field(default_factory=Counter)
    most: int = 0
    trips: int = 0
    sent: int = 0
    received: int = 0
    cpu: float = 0
    seconds: float = 0

    @property
    def busy(self) -> float:
        return self.cpu / self.seconds if self.seconds else 0


def kind_of(target: str) -> str:
    """Return what a request is for.

    >>> [kind_of(target) for target in ("/b/a/s0/c/0/1", "/b/a/zarr.json", "/b?list-type=2", "/b/a/.daskome/current")]
    ['chunk', 'document', 'list', 'run']
    """
    url = urlsplit(target)
    found = (
        kind for kind, pattern in KINDS.items() if re.search(pattern, f"{unquote(url.path)}?{url.query}".rstrip("?"))
    )
    return next(found, "other")


class Proxy:
    """What all connections share: how far it is, and what has passed."""

    def __init__(self, upstream: tuple[str, int], far: Far) -> None:
        self.upstream, self.far = upstream, far
        self.reset()

    def reset(self) -> None:
        self.traffic, self.open = Traffic(), 0
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def seen(self) -> Traffic:
        self.traffic.cpu = time.process_time() - self.cpu
        self.traffic.seconds = time.perf_counter() - self.began
        return self.traffic

    def begin(self, method: str, target: str) -> int:
        """Count a request; return the number of its round trip."""
        self.traffic.requests[f"{method} {kind_of(target)}"] += 1
        self.open += 1
        self.traffic.most = max(self.traffic.most, self.open)
        return self.traffic.trips + 1

    def end(self, trip: int) -> None:
        """Count an answer."""
        self.open -= 1
        self.traffic.trips = max(self.traffic.trips, trip)


class End(asyncio.Protocol):
    """One end of a connection, which tells where the messages that come there end."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._held, self._needs, self._body = bytearray(), -1, http.body(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            if self._needs > 0:  # Bytes of a body: nothing is looked at, and hardly ever anything copied.
                piece, data = (data, b"") if len(data) <= self._needs else (data[: self._needs], data[self._needs :])
                self._needs -= len(piece)
                self.passes(piece)
                if not self._needs:
                    self._next()
            else:
                data = self._line(data)

    def _line(self, data: bytes) -> bytes:
        """Take a head, or the line of a chunk, when all of it is here; return what is left."""
        end = b"\r\n" if self._needs == 0 else http.END
        self._held += data
        at = self._held.find(end)
        if at < 0:
            return b""
        line, rest = bytes(self._held[: at + len(end)]), bytes(self._held[at + len(end) :])
        self._held.clear()
        if self._needs < 0:
            self._body = self.begins(line)
        self.passes(line)
        self._next(None if self._needs < 0 else line)
        return rest

    def _next(self, line: bytes | None = None) -> None:
        try:
            self._needs = next(self._body) if line is None else self._body.send(line)
        except StopIteration:
            self._needs = -1
            self.ends()

    def begins(self, head: bytes) -> http.Parts:
        raise NotImplementedError

    def passes(self, piece: bytes) -> None:
        raise NotImplementedError

    def ends(self) -> None:
        raise NotImplementedError


class Near(End):
    """Where a client has connected: what it sends is passed on at once, and when it could have arrived is noted."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self.proxy, self.server = proxy, Server(self)
        self.arrived = self.due = 0.0
        self.methods: deque[str] = deque()
        self.trips: deque[int] = deque()
        self.connecting: asyncio.Task[object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        self.connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self.server, *self.proxy.upstream)
            if self.transport.is_closing():  # The client has given up meanwhile.
                self.server.transport.close()
            else:
                self.transport.resume_reading()
        except OSError:
            self.transport.abort()

    def begins(self, head: bytes) -> http.Parts:
        method, target = http.asked(head)
        self.methods.append(method)
        self.trips.append(self.proxy.begin(method, target))
        return http.body(head)

    def passes(self, piece: bytes) -> None:
        self.arrived = max(self.arrived, self.now()) + len(piece) / self.proxy.far.bandwidth
        self.due = self.arrived + self.proxy.far.latency
        self.proxy.traffic.sent += len(piece)
        self.server.transport.write(piece)

    def ends(self) -> None:
        """A request is whole: its answer may come after `due`."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def connection_lost(self, _: Exception | None) -> None:
        self.proxy.open -= len(self.methods)
        self.methods.clear()
        self.trips.clear()
        if hasattr(self.server, "transport"):
            self.server.transport.close()


class Server(End):
    """The connection to the server: what comes from there is kept until its time has come."""

    def __init__(self, near: Near) -> None:
        super().__init__()
        self.near, self.free, self.waiting, self.interim = near, 0.0, 0, False

    def begins(self, head: bytes) -> http.Parts:
        self.interim = http.is_interim(head)
        return http.answer_body(self.near.methods[0] if self.near.methods else "", head)

    def passes(self, piece: bytes) -> None:
        near = self.near
        self.free = max(self.free, near.now(), near.due) + len(piece) / near.proxy.far.bandwidth
        near.proxy.traffic.received += len(piece)
        self.waiting += len(piece)
        if self.waiting > HELD:
            self.transport.pause_reading()
        asyncio.get_running_loop().call_at(self.free, self._release, piece)

    def _release(self, piece: bytes) -> None:
        self.near.transport.write(piece)
        self.waiting -= len(piece)
        if self.waiting <= HELD and not self.transport.is_reading() and not self.transport.is_closing():
            self.transport.resume_reading()

    def ends(self) -> None:
        if not self.interim:
            asyncio.get_running_loop().call_at(self.free, self._answered)

    def _answered(self) -> None:
        if self.near.methods:
            self.near.methods.popleft()
            self.near.proxy.end(self.near.trips.popleft())

    def pause_writing(self) -> None:
        self.near.transport.pause_reading()

    def resume_writing(self) -> None:
        self.near.transport.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        asyncio.get_running_loop().call_at(self.free + 1e-3, self.near.transport.close)


@dataclass
class Distance:
    """A running proxy: where it listens."""

    endpoint: str
    process: subprocess.Popen[bytes]

    def set(self, far: Far | None = None) -> Traffic:
        """Return what has passed since the last call, and begin anew; from now on it may be nearer or farther."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(far) if far else None).encode() + b"\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return Traffic(**{**found, "requests": Counter(found["requests"])})


@contextmanager
def distance(endpoint: str, far: Far | None = None) -> Iterator[Distance]:
    """Run a proxy to a server, in a process of its own, on a free port of loopback."""
    url = urlsplit(endpoint)
    start = f"import sys; sys.path.insert(0, {ROOT!r}); from tests.servers.distance import main; main()"
    with daemon([sys.executable, "-c", start, str(url.hostname), str(url.port or 80)], None) as process:
        assert process.stdout is not None
        made = Distance(process.stdout.readline().decode().strip(), process)
        made.set(far or Far())
        yield made


async def _run(proxy: Proxy) -> None:
    """Listen; for every line that comes, be as far away as it says, and answer what has passed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Near(proxy), "127.0.0.1", 0, backlog=1000)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(vars(proxy.seen())), flush=True)
        told = json.loads(line)
        proxy.far = Far(**told) if told else proxy.far
        proxy.reset()


def main() -> None:
    """Listen until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    given = parser.parse_args()
    asyncio.run(_run(Proxy((given.host, given.port), Far())))
