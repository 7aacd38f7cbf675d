"""A web server on loopback that wants a login, or a signed query, as those of institutes and clouds do."""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl


@dataclass(frozen=True)
class Web:
    """A running server; `login` is ``user:password``, `query` what every request must have, `ranges` whether parts of files are sent."""

    host: str
    login: str = ""
    query: str = ""
    ranges: bool = False

    @property
    def header(self) -> str:
        return f"Basic {base64.b64encode(self.login.encode()).decode()}"

    def url(self, path: str) -> str:
        return f"http://{self.host}/{path}"


class _Guarded(SimpleHTTPRequestHandler):
    def __init__(self, login: str, query: str, ranges: bool, *args: Any, **options: Any) -> None:
        self.web = Web("", login, query, ranges)
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        self.path, _, query = self.path.partition("?")
        if self.web.login and self.headers.get("Authorization") != self.web.header:
            self.send_error(401)
        elif parse_qsl(query) != parse_qsl(self.web.query):
            self.send_error(403)
        elif self.web.ranges and (asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))):
            self._send_range(int(asked[1]), asked[2])
        else:
            super().do_GET()

    def _send_range(self, first: int, last: str) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        part = data[first : int(last) + 1 if last else None]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path, login: str = "", query: str = "", ranges: bool = False) -> Iterator[Web]:
    """Serve the files in a folder to those who sign in, also parts of them if `ranges`."""
    handler = partial(_Guarded, login, query, ranges, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Web(f"127.0.0.1:{server.server_port}", login, query)
        finally:
            server.shutdown()
