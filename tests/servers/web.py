"""A web server on loopback that wants a login, or a signed query, as those of institutes and clouds do."""

import base64
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
    """A running server; `login` is ``user:password``, `query` what every request must have."""

    host: str
    login: str = ""
    query: str = ""

    @property
    def header(self) -> str:
        return f"Basic {base64.b64encode(self.login.encode()).decode()}"

    def url(self, path: str) -> str:
        return f"http://{self.host}/{path}"


class _Guarded(SimpleHTTPRequestHandler):
    def __init__(self, login: str, query: str, *args: Any, **options: Any) -> None:
        self.web = Web("", login, query)
        super().__init__(*args, **options)

    def do_GET(self) -> None:
        self.path, _, query = self.path.partition("?")
        if self.web.login and self.headers.get("Authorization") != self.web.header:
            self.send_error(401)
        elif parse_qsl(query) != parse_qsl(self.web.query):
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path, login: str = "", query: str = "") -> Iterator[Web]:
    """Serve the files in a folder to those who sign in."""
    handler = partial(_Guarded, login, query, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield Web(f"127.0.0.1:{server.server_port}", login, query)
        finally:
            server.shutdown()
