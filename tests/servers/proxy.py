"""A way to a server that can be made bad: requests that fail, hang, break off, or are refused for good.

It changes nothing of what it passes on: clients sign the Host header of the address they were given, which is ours, and
the server checks it as it was signed.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from urllib.parse import unquote, urlsplit

from tests.servers import http

DROPS = ("before", "unanswered", "halfway")
"""When a connection is dropped: before the request is passed on, after it is done, in the middle of the answer."""


@dataclass(frozen=True)
class Faults:
    """Which share of requests goes wrong, how; and which always do.

    Attributes
    ----------
    errors, hangs, drops : float
        Shares of requests that are answered 500 or 503, never answered, or whose connection is closed.
    refused : str
        A pattern of keys, as in ``bucket/path``; any request for one that matches is answered 500.
    methods : str
        Only these requests go wrong.
    seed : int
        The same requests go wrong in every run: it depends on the request and how often it has come, not on the order,
        nor on the name of the bucket, which is another one each time.
    """

    errors: float = 0
    hangs: float = 0
    drops: float = 0
    refused: str = ""
    methods: str = "GET HEAD PUT POST DELETE"
    seed: int = 0

    def kind(self, method: str, target: str, count: int) -> str:
        """Return what happens to a request that comes for the `count`-th time; "" if it is passed on."""
        if method not in self.methods.split():
            return ""
        if self.refused and re.search(self.refused, unquote(urlsplit(target).path).lstrip("/")):
            return "error"
        within = re.sub(r"^/[^/?]*", "", target)
        chance = Random(f"{self.seed} {method} {within} {count}")
        at = chance.random()
        for kind, share in (("error", self.errors), ("hang", self.hangs), ("drop", self.drops)):
            if at < share:
                return kind if kind != "drop" else chance.choice(DROPS)
            at -= share
        return ""


@dataclass
class Proxy:
    """A running proxy: where it listens, what it was asked, and the faults it makes, which may be set at any time.

    Attributes
    ----------
    endpoint : str
    faults : Faults
    requests : list of (str, str)
        Method and target of every request, in the order in which they came; `requests.clear()` starts anew.
    failed : Counter
        How many requests went wrong, by kind.
    most : int
        The most requests that were open at a time.
    """

    endpoint: str
    upstream: tuple[str, int]
    faults: Faults = field(default_factory=Faults)
    requests: list[tuple[str, str]] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    most: int = 0
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    _open: int = 0

    def reset(self, faults: Faults | None = None) -> None:
        """Forget what came, and make these faults from now on."""
        self.faults = faults or Faults()
        self.requests.clear()
        self.failed.clear()
        self._seen.clear()
        self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        broken = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
        try:
            with suppress(*broken):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection stays open."""
        head = await reader.readuntil(http.END)
        method, target = http.asked(head)
        self._open += 1
        self.most = max(self.most, self._open)
        try:
            kind = self._kind(method, target)
            if kind == "hang":
                await reader.read()  # Until the client gives up. What it sends is never taken for a request.
                return False
            if http.expects(head):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await writer.drain()
            body = await _body(reader, http.body(head))
            if kind == "error":
                writer.write(_error(len(self.requests) % 2 == 0, method))
                await writer.drain()
                return True
            return kind != "before" and await self._forward(method, _without_expect(head) + body, writer, kind)
        finally:
            self._open -= 1

    def _kind(self, method: str, target: str) -> str:
        self.requests.append((method, target))
        self._seen[method, target] += 1
        kind = self.faults.kind(method, target, self._seen[method, target])
        if kind:
            self.failed[kind] += 1
        return kind

    async def _forward(self, method: str, request: bytes, writer: asyncio.StreamWriter, kind: str) -> bool:
        from_server, to_server = await asyncio.open_connection(*self.upstream)
        try:
            to_server.write(request)
            await to_server.drain()
            head = await from_server.readuntil(http.END)
            while http.is_interim(head):
                head = await from_server.readuntil(http.END)
            answer = head + await _body(from_server, http.answer_body(method, head))
        finally:
            to_server.close()
        writer.write({"unanswered": b"", "halfway": answer[: len(answer) // 2]}.get(kind, answer))
        await writer.drain()
        return not kind


async def _body(reader: asyncio.StreamReader, parts: http.Parts) -> bytes:
    """Return a body as it comes."""
    body = piece = b""
    with suppress(StopIteration):
        size = next(parts)
        while True:
            piece = await (reader.readexactly(size) if size else reader.readuntil(b"\r\n"))
            body += piece
            size = parts.send(piece)
    return body


def _without_expect(head: bytes) -> bytes:
    """Return a head for a request whose body comes with it. (This header is never signed.)"""
    return re.sub(rb"\r\nexpect: 100-continue", b"", head, flags=re.IGNORECASE)


def _error(slow_down: bool, method: str) -> bytes:
    """Return what S3 answers when it is overloaded, or has trouble of its own."""
    status, code = ("503 Slow Down", "SlowDown") if slow_down else ("500 Internal Server Error", "InternalError")
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made by the tests</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + (b"" if method == "HEAD" else body)


@contextmanager
def proxy(endpoint: str) -> Iterator[Proxy]:
    """Run a proxy to a server, in a thread of its own, on a free port of loopback."""
    url = urlsplit(endpoint)
    made = Proxy("", (str(url.hostname), int(url.port or 80)))
    ready, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(_run(made, ready, stop),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _run(made: Proxy, ready: threading.Event, stop: asyncio.Event) -> None:
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            await made.serve(reader, writer)
        finally:
            handlers.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    made.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ready.set()
    await stop.wait()
    server.close()
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)
