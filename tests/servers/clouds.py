"""Google's and Azure's storage on loopback: gcp-storage-emulator from PyPI, Azurite from npm."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import fsspec

from tests.servers.process import answers, daemon, free_ports, wait_until

ACCOUNT = "devstoreaccount1"
SECRET = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that every Azurite has, and its well-known key."""


@dataclass(frozen=True)
class Cloud:
    """A running server: the scheme of its URLs, and the ``fs_options`` for it."""

    scheme: str
    options: dict[str, Any]
    suffixes: bool
    """Whether the last bytes of an object can be read, as of the real cloud."""
    _numbers: Iterator[int] = field(default_factory=count)

    def url(self) -> str:
        """Return the address of a new bucket or container."""
        name = f"t{next(self._numbers)}-daskome-tests"
        self.filesystem().mkdir(name)
        return f"{self.scheme}://{name}"

    def filesystem(self) -> Any:
        return fsspec.filesystem(self.scheme, **self.options, skip_instance_cache=True, use_listings_cache=False)

    def contents(self, url: str) -> dict[str, bytes]:
        """Return every object below a URL and its bytes, by its path from there."""
        fs, root = self.filesystem(), url.removeprefix(f"{self.scheme}://").rstrip("/")
        return {path.removeprefix(f"{root}/"): fs.cat_file(path) for path in sorted(fs.find(root))}


@contextmanager
def google(folder: Path) -> Iterator[Cloud]:
    [port] = free_ports(1)
    log, options = folder / "gcs.log", {"token": "anon", "endpoint_url": f"http://127.0.0.1:{port}", "project": "t"}
    command = [sys.executable, "-c", "from gcp_storage_emulator.__main__ import main; main()"]
    with daemon([*command, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"], log) as process:
        wait_until(lambda: answers(port), process, log)
        yield Cloud("gs", options, suffixes=False)


@contextmanager
def azure(folder: Path) -> Iterator[Cloud]:
    [port] = free_ports(1)
    log, program = folder / "azure.log", shutil.which("azurite-blob") or ""
    flags = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    with daemon([program, *where, *flags], log) as process:
        wait_until(lambda: answers(port), process, log)
        endpoint = f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        login = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={SECRET};{endpoint}"
        yield Cloud("az", {"connection_string": login}, suffixes=True)


def has_azure() -> bool:
    return shutil.which("azurite-blob") is not None


SERVERS = {"gs": google, "az": azure}
