"""A store over HTTP, for a viewer on this machine: its objects and their byte ranges, read-only, behind a secret."""

import logging
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import MemoryStore, StorePath

from daskome.model.paths import is_inside

LOOPBACK = "127.0.0.1"
ANYWHERE = ("", "0.0.0.0")
"""Addresses that mean all of this machine's; links to them go by loopback."""
CORS: Mapping[str, str] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, *",
    "Access-Control-Expose-Headers": "Content-Range, Content-Length, Accept-Ranges",
    "Access-Control-Allow-Private-Network": "true",
    "Accept-Ranges": "bytes",
    "Cache-Control": "no-store",
}
"""What lets a page of another site read. It has to know the secret for that; copies are not kept on disk."""
GONE = (FileNotFoundError, KeyError, IsADirectoryError, NotADirectoryError)
"""What stores raise where there is no object."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request: its status, its headers, and its body."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Served:
    """A store that is being served, until it is closed: the URL of its root."""

    url: str
    server: ThreadingHTTPServer
    thread: Thread

    def close(self) -> None:
        """Answer nothing any more, and give the port back."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def serve(root: StorePath, documents: Mapping[str, str], address: str = LOOPBACK, port: int = 0) -> Served:
    """Serve what lies below a path of a store, in threads of this process.

    Parameters
    ----------
    root : StorePath
    documents : dict of str to str
        What is answered instead of some of its documents, by their paths.
    address, port
        Where to listen; port 0 is any that is free.

    Raises
    ------
    OSError
        If nothing can listen there.
    """
    token = secrets.token_urlsafe(18)
    try:
        server = _Server((address, port), _Handler)
    except OSError as error:
        raise OSError(f"cannot listen on {address}:{port}: {error.strerror or error}; choose another --port") from error
    server.objects = Objects(root, _stored(documents), token)
    thread = Thread(target=server.serve_forever, name="daskome-server", daemon=True)
    thread.start()
    host = LOOPBACK if address in ANYWHERE else address
    return Served(f"http://{host}:{server.server_address[1]}/{token}", server, thread)


def _stored(documents: Mapping[str, str]) -> MemoryStore:
    made = default_buffer_prototype().buffer.from_bytes
    return MemoryStore({path: made(text.encode()) for path, text in documents.items()})


@dataclass(frozen=True, slots=True)
class Objects:
    """What can be asked for by those who know the token: what lies below a path of a store, some of it replaced."""

    root: StorePath
    replaced: MemoryStore
    token: str

    def answer(self, path: str, wanted: str | None, only_size: bool) -> Answer:
        """Return the answer to a request for a path of a URL, with its ``Range`` if it has one."""
        key = key_of(path, self.token)
        if key is None:
            return Answer(HTTPStatus.NOT_FOUND)
        place = StorePath(self.replaced, key) if sync(self.replaced.exists(key)) else self.root / key
        try:
            return _size(place) if only_size else _read(place, byte_request(wanted))
        except GONE:
            return Answer(HTTPStatus.NOT_FOUND)
        except Exception as error:  # Stores raise errors of many types.
            log.warning("%s cannot be read: %r", place, error)
            return Answer(HTTPStatus.BAD_GATEWAY, f"{type(error).__name__}: {error}".encode())


def key_of(path: str, token: str) -> str | None:
    """Return the path below the root that the path of a URL leads to; None if it leads nowhere, or the token is wrong.

    >>> key_of("/secret/a/b%20c?x=1", "secret")
    'a/b c'
    >>> [key_of(path, "secret") for path in ("/a", "/secret/../a", "/secret/%2e%2e/a", "/secret//etc", "/secret/a%00")]
    [None, None, None, None, None]
    """
    given, _, rest = path.partition("?")[0].removeprefix("/").partition("/")
    key = unquote(rest)
    known = secrets.compare_digest(given.encode(), token.encode())
    return key if known and is_inside(key) and not set(key) & {"\\", "\0"} else None


def byte_request(header: str | None) -> ByteRequest | None:
    """Return the part of an object that a ``Range`` asks for; None for all of it, or for a form that means nothing.

    >>> byte_request("bytes=0-9"), byte_request("bytes=-4"), byte_request("bytes=7-"), byte_request("bytes=0-1,5-6")
    (RangeByteRequest(start=0, end=10), SuffixByteRequest(suffix=4), OffsetByteRequest(offset=7), None)
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", (header or "").strip())
    first, last = found.groups() if found else ("", "")
    if first and last:
        return RangeByteRequest(int(first), int(last) + 1) if int(last) >= int(first) else None
    if first:
        return OffsetByteRequest(int(first))
    return SuffixByteRequest(int(last)) if last and int(last) else None


def _size(place: StorePath) -> Answer:
    if not sync(place.exists()):
        raise FileNotFoundError(str(place))
    return Answer(HTTPStatus.OK, headers={"Content-Length": str(sync(place.store.getsize(place.path)))})


def _read(place: StorePath, request: ByteRequest | None) -> Answer:
    body = _bytes(place, request)
    if request is None:
        return Answer(HTTPStatus.OK, body)
    if not body:
        return _unsatisfiable(place)
    start, total = _extent(place, request, len(body))
    return Answer(HTTPStatus.PARTIAL_CONTENT, body, {"Content-Range": f"bytes {start}-{start + len(body) - 1}/{total}"})


def _bytes(place: StorePath, request: ByteRequest | None) -> bytes:
    """Return an object, or a part of it; nothing where the part lies behind its end, at which some stores fail."""
    try:
        found = sync(place.get(default_buffer_prototype(), request))
    except GONE:
        raise
    except Exception:
        if not isinstance(request, RangeByteRequest | OffsetByteRequest):
            raise
        start = request.start if isinstance(request, RangeByteRequest) else request.offset
        if start < sync(place.store.getsize(place.path)):
            raise
        return b""
    if found is None:
        raise FileNotFoundError(str(place))
    return found.to_bytes()


def _extent(place: StorePath, request: ByteRequest, n: int) -> tuple[int, int | str]:
    """Return where a part begins, and the size of its object, "*" where only another request would tell it."""
    if isinstance(request, RangeByteRequest):
        return request.start, "*"
    if isinstance(request, OffsetByteRequest):
        return request.offset, request.offset + n
    total = sync(place.store.getsize(place.path))
    return total - n, total


def _unsatisfiable(place: StorePath) -> Answer:
    size = sync(place.store.getsize(place.path))
    return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers={"Content-Range": f"bytes */{size}"})


class _Server(ThreadingHTTPServer):
    """Threads that end with the process, and what they answer."""

    daemon_threads = True
    objects: Objects

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has hung up."""
        log.debug("a request of %s was broken off", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One connection; it may ask several times."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Send an object or a part of it."""
        self._send(self.server.objects.answer(self.path, self.headers.get("Range"), only_size=False))

    def do_HEAD(self) -> None:
        """Send its size."""
        self._send(self.server.objects.answer(self.path, None, only_size=True))

    def do_OPTIONS(self) -> None:
        """Let pages of other sites ask."""
        self._send(Answer(HTTPStatus.NO_CONTENT))

    def log_message(self, *_: Any) -> None:
        """Print nothing: there is a request for every chunk, and the secret is in each."""

    def _send(self, answer: Answer) -> None:
        """Send an answer, of which HEAD wants no body."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(answer.body))}
        self.send_response(answer.status)
        for name, value in {**CORS, **headers, **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)
