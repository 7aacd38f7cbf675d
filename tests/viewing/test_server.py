"""A served store answers with its own bytes, whole or in ranges, to who knows the secret; nothing else can be read."""

import http.client
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given, strategies as st
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.stores.location import locate
from daskome.viewing.server import Served, byte_request, key_of, serve
from tests.servers.s3 import S3
from tests.strategies import law

CONTENT = bytes(range(256)) * 3
DOCUMENT = '{"replaced": true}'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.txt").write_bytes(b"not below the root")
    (folder / "root" / "c").mkdir(parents=True)
    (folder / "root" / "c" / "0 1").write_bytes(CONTENT)
    (folder / "root" / "zarr.json").write_text("{}")
    served = serve(StorePath(LocalStore(folder / "root")), {"zarr.json": DOCUMENT})
    yield served
    served.close()


def ask(served: Served, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path below the secret; one that begins with two slashes is taken as it is."""
    url = urlsplit(served.url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=30)
    connection.request(method, path[1:] if path.startswith("//") else f"{url.path}/{path}", headers=headers)
    answer = connection.getresponse()
    try:
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


# ---- laws


@law(max_examples=25)
@given(st.integers(0, 900), st.integers(0, 900))
def test_a_range_is_that_part_of_the_object(served: Served, first: int, last: int) -> None:
    status, headers, body = ask(served, "c/0%201", Range=f"bytes={first}-{last}")
    if last < first:
        assert (status, body) == (200, CONTENT)
    elif first >= len(CONTENT):
        assert (status, body, headers["content-range"]) == (416, b"", f"bytes */{len(CONTENT)}")
    else:
        assert (status, body) == (206, CONTENT[first : last + 1])
        assert headers["content-range"] == f"bytes {first}-{min(last, len(CONTENT) - 1)}/*"


@law(max_examples=10)
@given(st.integers(1, 900))
def test_a_suffix_is_the_end_of_the_object(served: Served, n: int) -> None:
    status, headers, body = ask(served, "c/0%201", Range=f"bytes=-{n}")
    assert (status, body) == (206, CONTENT[-n:])
    assert headers["content-range"] == f"bytes {max(len(CONTENT) - n, 0)}-{len(CONTENT) - 1}/{len(CONTENT)}"


@given(st.text(st.sampled_from("./%2eE5cab\\ \0?"), max_size=12))
def test_no_path_leads_out_of_the_root(path: str) -> None:
    key = key_of(f"/t/{path}", "t")
    assert key is None or (not key.startswith("/") and all(part.strip(".") or not part for part in key.split("/")))


# ---- answers


def test_whole_objects_sizes_and_replaced_documents(served: Served) -> None:
    assert ask(served, "c/0%201")[::2] == (200, CONTENT)
    status, headers, body = ask(served, "c/0%201", "HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(CONTENT)), b"")
    assert ask(served, "zarr.json")[::2] == (200, DOCUMENT.encode())
    assert ask(served, "zarr.json", Range="bytes=2-9")[2] == b"replaced"
    assert ask(served, "c/0%201", Range="bytes=760-")[1]["content-range"] == "bytes 760-767/768"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pages_of_other_sites_may_read(served: Served, method: str) -> None:
    status, headers, _ = ask(served, "zarr.json", method, Origin="https://example.org")
    assert status in (200, 204)
    assert headers["access-control-allow-origin"] == "*"
    assert "Range" in headers["access-control-allow-headers"]
    assert "Content-Range" in headers["access-control-expose-headers"]
    assert headers["access-control-allow-private-network"] == "true"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "c",
        "nothing",
        "../secret.txt",
        "%2e%2e/secret.txt",
        "..%2fsecret.txt",
        "c/..%5c..%5csecret.txt",
        "c/0%201/x",
    ],
)
def test_what_is_not_below_the_root_is_not_there(served: Served, path: str, method: str) -> None:
    assert ask(served, path, method)[0] == 404


@pytest.mark.parametrize("path", ["///zarr.json", "///wrong/zarr.json", "//zarr.json", "//", "///c/0%201"])
def test_who_does_not_know_the_secret_reads_nothing(served: Served, path: str) -> None:
    assert ask(served, path)[0] == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_nothing_is_written(served: Served, method: str) -> None:
    assert ask(served, "zarr.json", method)[0] == 501


def test_ranges_of_other_forms_mean_nothing() -> None:
    for header in ("", "bytes=", "bytes=-", "bytes=-0", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=a-b"):
        assert byte_request(header) is None


def test_only_this_machine_is_answered_and_the_port_is_given_back() -> None:
    served = serve(StorePath(MemoryStore()), {})
    address, port = served.server.server_address[:2]
    assert address == "127.0.0.1"
    with pytest.raises(OSError, match=rf"cannot listen on 127.0.0.1:{port}: .*; choose another --port"):
        serve(StorePath(MemoryStore()), {}, port=int(port))
    served.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


class Broken(WrapperStore[MemoryStore]):
    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        raise PermissionError(f"no access to {key}")


def test_a_store_that_fails_is_not_taken_for_an_empty_one() -> None:
    served = serve(StorePath(Broken(MemoryStore())), {})
    try:
        status, _, body = ask(served, "c/0")
        assert (status, body) == (502, b"PermissionError: no access to c/0")
        assert ask(served, "c/0", Range="bytes=0-1")[0] in (404, 502)
    finally:
        served.close()


@pytest.mark.extended
def test_buckets_are_read_with_the_caller_s_credentials(s3: S3) -> None:
    url, image = f"s3://{s3.bucket()}/viewed", np.arange(64 * 64, dtype="uint16").reshape(64, 64)
    options = {"chunks": (16, 16), "shards": (32, 32)}
    daskome.write_image(image, url, None, axes="yx", storage_options=options, fs_options=s3.options)
    place = locate(url, s3.options, read_only=True)
    served = serve(place, {})
    try:
        status, _, shard = ask(served, "s0/c/0/0")
        assert status == 200
        assert ask(served, "s0/c/0/0", "HEAD")[1]["content-length"] == str(len(shard))
        assert ask(served, "s0/c/0/0", Range="bytes=3-11")[2] == shard[3:12]
        assert ask(served, "s0/c/0/0", Range="bytes=-8")[2] == shard[-8:]
        assert ask(served, "s0/c/0/0", Range="bytes=99999-")[0] == 416
        assert ask(served, "s0/c/9/9")[0] == 404
    finally:
        served.close()
