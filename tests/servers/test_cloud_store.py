"""Buckets opened with obstore, at a real server: what it outlasts, what it says, how its process ends and forks."""

import asyncio
import logging
import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3fs
import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.buffer.cpu import Buffer
from zarr.core.sync import sync
from zarr.storage import FsspecStore, ObjectStore, StorePath

import daskome
from daskome.planning import cost
from daskome.stores.clouds import store as cloud_store
from daskome.stores.clouds.store import CloudStore, plain_error
from daskome.stores.location import locate
from daskome.stores.ownership import claims, owned_store
from daskome.stores.ownership.claims import LEASE, WHOLE_RUN, Claim, OwnershipLost
from daskome.stores.ownership.owned_store import KNOWN_WITHIN, owned
from daskome.stores.ownership.owner import this_process
from daskome.stores.ownership.taking import take
from tests.servers.proxy import Faults, Proxy
from tests.servers.s3 import S3, secured, throttled
from tests.written import contents

obstore = pytest.importorskip("obstore")
VALUES = np.arange(32**3, dtype="uint16").reshape(32, 32, 32)
OPTIONS: dict[str, Any] = {"scale_factors": [2], "storage_options": {"chunks": 16}, "axes": "zyx"}
ONCE = {"config_kwargs": {"retries": {"total_max_attempts": 1}, "read_timeout": 0.2}}


def opened(url: str, options: dict[str, Any]) -> CloudStore:
    store = locate(url, options).store
    assert isinstance(store, CloudStore)
    return store


def put(store: Any, keys: list[str], data: bytes, at_once: int = 64) -> None:
    async def put_all() -> None:
        slots = asyncio.Semaphore(at_once)

        async def put_one(key: str) -> None:
            async with slots:
                await store.set(key, Buffer.from_bytes(data))

        await asyncio.gather(*map(put_one, keys))

    sync(put_all())


def got(store: Any, key: str) -> bytes | None:
    found = sync(store.get(key, default_buffer_prototype()))
    return None if found is None else found.to_bytes()


# ---- encrypted connections


def test_a_certificate_that_is_trusted_encrypts_what_is_sent_and_none_is_trusted_untold(
    ceph: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured(ceph, tmp_path) as server:
        url, once = f"s3://{ceph.bucket()}/a", server.options | ONCE
        with pytest.raises((OSError, RuntimeError)):
            daskome.write_image(VALUES, url, fs_options=once, **OPTIONS)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
        assert dict(opened(url, server.options).bucket.config)["unsigned_payload"] == "true"
        daskome.write_image(VALUES, url, fs_options=server.options, **OPTIONS)
        assert (daskome.open(url, fs_options=server.options).dask.compute() == VALUES).all()
    assert daskome.verify(url, fs_options=ceph.options) == []


# ---- trouble


def test_a_list_that_breaks_off_is_asked_for_again(s3: S3, proxy: Proxy) -> None:
    """obstore asks again for what is not answered, and for the rest of an object; not for the rest of a list."""
    bucket, keys = s3.bucket(), [f"a/{n:02}" for n in range(60)]
    put(opened(f"s3://{bucket}", s3.options), keys, b"x")
    for seed in range(6):
        proxy.reset(Faults(drops=0.5, methods="GET", seed=seed))
        store = opened(f"s3://{bucket}", s3.at(proxy.endpoint).options)
        assert listed(store.list_prefix("a")) == listed(store.list()) == keys
        assert listed(store.list_dir("a")) == [key[2:] for key in keys]


def test_that_there_is_nothing_is_asked_for_again_if_the_answer_breaks_off(s3: S3, proxy: Proxy) -> None:
    """obstore does not ask again for the rest of an answer that says what is wrong."""
    bucket = s3.bucket()
    for seed in range(1, 4):  # With 0, an answer breaks off as often as it is asked for.
        proxy.reset(Faults(drops=0.5, methods="GET", seed=seed))
        store = opened(f"s3://{bucket}", s3.at(proxy.endpoint).options)
        assert [got(store, f"{n}/.zgroup") for n in range(20)] == [None] * 20


def listed(names: Any) -> list[str]:
    async def collect() -> list[str]:
        return sorted([name async for name in names])

    return sync(collect())


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [64, 300])
def test_a_server_with_two_slots_loses_nothing(ceph: S3, at_once: int) -> None:
    bucket, keys, data = ceph.bucket(), [f"c/{n}" for n in range(300)], os.urandom(2**20)
    with throttled(ceph, at_once=2) as narrow:
        put(opened(f"s3://{bucket}/a", narrow.options), keys, data, at_once)
    stored = ceph.contents(f"s3://{bucket}/a")
    assert stored.keys() == set(keys)
    assert set(stored.values()) == {data}


@pytest.mark.sampled(3)
@pytest.mark.parametrize("faults", [Faults(errors=0.3), Faults(drops=0.3), Faults(hangs=0.1)], ids=str)
def test_trouble_in_passing_is_outlasted(s3: S3, proxy: Proxy, faults: Faults) -> None:
    way = {**s3.at(proxy.endpoint).options, "config_kwargs": {"read_timeout": 0.25}}
    store = opened(f"s3://{s3.bucket()}/a", way)
    proxy.reset(faults)
    put(store, [f"c/{n}" for n in range(40)], os.urandom(50_000))
    assert all(len(got(store, f"c/{n}") or b"") == 50_000 for n in range(40))
    assert proxy.failed.total()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("faults", "error", "words"),
    [
        (Faults(hangs=1), TimeoutError, "timed out"),
        (Faults(errors=1), OSError, "50[03] [A-Z]"),
        (Faults(drops=1, methods="PUT"), OSError, "after 2 retries"),
    ],
    ids=str,
)
def test_trouble_that_stays_has_an_end(s3: S3, proxy: Proxy, faults: Faults, error: type[OSError], words: str) -> None:
    quick = {"config_kwargs": {"retries": {"total_max_attempts": 3}, "read_timeout": 0.1}}
    url = f"s3://{s3.bucket()}/a"
    store = opened(url, {**s3.at(proxy.endpoint).options, **quick})
    proxy.reset(faults)
    with pytest.raises(error, match=rf"^{url}/c/0: .*{words}"):
        put(store, ["c/0"], bytes(100_000))


def test_a_server_that_is_not_there_is_named() -> None:
    for endpoint, words in (("http://127.0.0.1:9", "connection refused"), ("http://no.such.invalid", "no such host")):
        store = opened("s3://bucket/a", {"key": "k", "secret": "s", "endpoint_url": endpoint, **ONCE})
        with pytest.raises(ConnectionError, match=f"^s3://bucket/a/k: {words}$"):
            got(store, "k")


# ---- who is the owner no longer


def owned_by_proxy(s3: S3, proxy: Proxy) -> tuple[StorePath, Claim]:
    """Return a place that is reached by a proxy, and the claim under which it is written."""
    home = locate(f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint).options)
    claim = take(home, WHOLE_RUN, this_process(True, True), False)
    return owned(home, claim), claim


@pytest.mark.timeout(60)
def test_an_object_that_is_tried_again_is_given_up_with_the_claim(s3: S3, proxy: Proxy) -> None:
    """For minutes it would be sent again, and land in what its new owner has finished."""
    place, claim = owned_by_proxy(s3, proxy)
    proxy.reset(Faults(refused="/a/c/0$", methods="PUT"))
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(put, place.store, ["c/0"], b"voxels")
        time.sleep(0.5)
        assert proxy.failed.total()
        claim.end()
        with pytest.raises(OwnershipLost, match="writes nothing more"):
            late.result(LEASE + KNOWN_WITHIN)
    proxy.reset()
    time.sleep(2 * cloud_store.LONGEST_WAIT)
    assert [method for method, _ in proxy.requests] == []
    assert got(place.store, "c/0") is None


@pytest.mark.timeout(60)
def test_an_owner_outlasts_what_it_did_before(s3: S3, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if nothing is answered for so long that it cannot know whether it is the owner still."""
    monkeypatch.setattr(owned_store, "KNOWN_WITHIN", 0.3)
    monkeypatch.setattr(owned_store, "LEASE", 0.2)
    monkeypatch.setattr(claims, "LEASE", 0.2)
    place, _ = owned_by_proxy(s3, proxy)
    proxy.reset(Faults(errors=1))
    with ThreadPoolExecutor(1) as thread:
        late = thread.submit(put, place.store, ["c/0"], b"voxels")
        time.sleep(3)
        proxy.reset()
        late.result(30)
    assert got(place.store, "c/0") == b"voxels"


# ---- requests


def test_each_object_is_one_request(s3: S3, proxy: Proxy) -> None:
    """As obstore is, an object of more than 5 MiB would take three waits."""
    store = opened(f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint).options)
    proxy.reset()
    for nbytes in (10, 2**22, 2**22 + 1, 2**24):
        put(store, ["c"], bytes(nbytes))
        assert len(got(store, "c") or b"") == nbytes
    assert [method for method, _ in proxy.requests] == ["PUT", "GET"] * 4
    assert not sync(store.exists("d"))
    assert got(store, "d") is None
    assert [method for method, _ in proxy.requests[8:]] == ["HEAD", "GET"]


@pytest.mark.extended
def test_huge_objects_are_sent_in_parts(s3: S3, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_store, "LARGEST_PUT", 2**24)
    monkeypatch.setattr(cloud_store, "PART_NBYTES", 2**23)
    monkeypatch.setattr(cost, "LARGEST_PUT", 2**24)
    monkeypatch.setattr(cost, "PART_NBYTES", 2**23)
    store, data = opened(f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint).options), os.urandom(2**24 + 1)
    proxy.reset()
    put(store, ["c"], data)
    assert len(proxy.requests) == cost.puts(1, len(data))
    assert got(store, "c") == data


@pytest.mark.extended
def test_what_is_below_a_path_is_deleted_with_one_request(s3: S3, proxy: Proxy) -> None:
    store = opened(f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint).options)
    put(store, [*(f"c/{n}" for n in range(30)), "cc", "d/e"], b"1")
    proxy.reset()
    sync(store.delete_dir("c"))
    sync(store.delete_dir("nothing"))
    assert len(proxy.requests) == 3
    assert {*s3.contents(f"s3://{store.bucket.name}/a")} == {"cc", "d/e"}
    assert sorted(sync(names(store, ""))) == ["cc", "d"]


async def names(store: CloudStore, path: str) -> list[str]:
    return [name async for name in store.list_dir(path)]


# ---- errors and secrets


def test_refusals_are_errors_of_python_without_what_was_signed(ceph: S3, caplog: pytest.LogCaptureFixture) -> None:
    url = f"s3://{ceph.bucket()}/a"
    store = opened(url, {**ceph.options, "secret": "CANARY", "token": None})
    with caplog.at_level(logging.DEBUG), pytest.raises(PermissionError) as refused:
        put(store, ["k"], b"1")
    assert str(refused.value) == f"{url}/k: 403 Forbidden, SignatureDoesNotMatch"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
    assert ceph.key not in caplog.text
    with pytest.raises(FileNotFoundError, match=r"^s3://no-such-bucket/a/k: 404 Not Found, NoSuchBucket$"):
        put(opened("s3://no-such-bucket/a", ceph.options), ["k"], b"1")


def test_an_error_quotes_no_request() -> None:
    quoted = "Error performing PUT https://h/c?sig=CANARY in 1s - Server returned non-2xx status code: 403 Forbidden: "
    body = "<Error><Code>AuthenticationFailed</Code><AWSAccessKeyId>CANARY</AWSAccessKeyId></Error>"
    for text in (quoted + body, quoted, quoted.partition(" - ")[0], body, "CANARY"):
        said = plain_error(obstore.exceptions.GenericError(text), "az://c/k")
        assert "CANARY" not in str(said)
        assert str(said).startswith("az://c/k: ")


def test_nobody_signs_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: S3) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermissionError, match=r"no credentials found; give key and secret, or anon=True"):
        daskome.write_image(VALUES, "s3://bucket/a", fs_options={"endpoint_url": s3.endpoint}, **OPTIONS)


@pytest.mark.extended
def test_credentials_of_the_environment_and_of_a_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ceph: S3
) -> None:
    url, where = f"s3://{ceph.bucket()}/a", {"endpoint_url": ceph.endpoint}
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ceph.key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", ceph.secret)
        put(opened(url, where), ["a"], b"1")
    (tmp_path / ".aws").mkdir()
    lines = (
        f"aws_access_key_id = {ceph.key}",
        f"aws_secret_access_key = {ceph.secret}",
        f"endpoint_url = {ceph.endpoint}",
    )
    (tmp_path / ".aws" / "credentials").write_text("[lab]\n" + "\n".join(lines))
    monkeypatch.setenv("HOME", str(tmp_path))
    put(opened(url, {"profile": "lab"}), ["b"], b"1")
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert got(opened(url, {}), "b") == b"1"
    assert ceph.contents(url).keys() == {"a", "b"}


def test_what_is_public_is_read_by_anybody(ceph: S3) -> None:
    bucket, public = ceph.bucket(), {"s3_additional_kwargs": {"ACL": "public-read"}}
    store = locate(f"s3://{bucket}/a", {**ceph.options, **public}).store
    assert isinstance(store, FsspecStore), "obstore sets no ACL"
    daskome.write_image(VALUES, f"s3://{bucket}/a", fs_options={**ceph.options, **public}, **OPTIONS)
    s3fs.S3FileSystem(**ceph.options).chmod(bucket, "public-read")
    anybody = {"anon": True, "endpoint_url": ceph.endpoint}
    assert isinstance(locate(f"s3://{bucket}/a", anybody).store, CloudStore)
    source = daskome.read(f"s3://{bucket}/a", fs_options=anybody)
    np.testing.assert_array_equal(np.asarray(source.array[...]), VALUES)
    with pytest.raises(PermissionError, match="403 Forbidden, AccessDenied"):
        daskome.write_image(VALUES, f"s3://{bucket}/b", fs_options=anybody, **OPTIONS)


# ---- stores that users have opened


def users_store(s3: S3, bucket: str, prefix: str | None) -> ObjectStore[Any]:
    login = {"access_key_id": s3.key, "secret_access_key": s3.secret}
    of_obstore = obstore.store.S3Store(
        bucket, prefix=prefix, endpoint=s3.endpoint, client_options={"allow_http": True}, **login
    )
    return ObjectStore(of_obstore)


@pytest.mark.extended
def test_stores_of_obstore_are_written(tmp_path: Path, s3: S3) -> None:
    bucket = s3.bucket()
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS)
    memory = ObjectStore(obstore.store.MemoryStore())
    for target in (
        users_store(s3, bucket, "a"),
        StorePath(memory, "a"),
        ObjectStore(obstore.store.LocalStore(tmp_path / "b", mkdir=True)),
    ):
        daskome.write_image(VALUES, target, **OPTIONS)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            daskome.write_image(VALUES, target, **OPTIONS)
        daskome.write_image(VALUES, target, resume=True, **OPTIONS)
        daskome.write_labels(VALUES // 1000, target, "cells")
        assert daskome.verify(target, pixels=True, source=VALUES) == []
    daskome.write_labels(VALUES // 1000, tmp_path / "a", "cells")
    assert s3.contents(f"s3://{bucket}/a") == contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.extended
def test_a_target_inside_its_source_is_refused_whoever_opens_which(s3: S3) -> None:
    bucket = s3.bucket()
    url = f"s3://{bucket}/a"
    daskome.write_image(VALUES, url, fs_options=s3.options, **OPTIONS)
    stores = (
        FsspecStore.from_url(url, storage_options=s3.options),
        users_store(s3, bucket, "a"),
        opened(url, s3.options),
    )
    for source in stores:
        image = zarr.open_array(source, path="s0", mode="r")
        for target in (*stores, StorePath(users_store(s3, bucket, None), "a")):
            with pytest.raises(ValueError, match="overlaps the source"):
                daskome.write_image(image, target, overwrite=True, **OPTIONS)
    assert daskome.verify(url, pixels=True, source=VALUES, fs_options=s3.options) == []


# ---- processes


@pytest.mark.slow
def test_a_program_ends_well(s3: S3) -> None:
    """Without a rest at the end, every seventh such program was aborted by a thread of obstore's."""
    write = f"daskome.write_image(numpy.ones((8, 8)), 's3://{s3.bucket()}/a', [2], fs_options={s3.options!r}, overwrite=1>0)"
    command = [sys.executable, "-c", f"import daskome, numpy; {write}"]
    for _ in range(8):
        ended = subprocess.run(command, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def _in_a_fork(store: CloudStore, url: str, options: dict[str, Any], answers: Any) -> None:
    try:
        got(store, "a")
    except RuntimeError as error:
        answers.put(str(error))
    answers.put(type(locate(url, options).store).__name__)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_is_told_and_opens_anew_without(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/a"
    store = opened(url, s3.options)
    put(store, ["a"], b"1")
    forking = multiprocessing.get_context("fork")
    answers = forking.SimpleQueue()
    process = forking.Process(target=_in_a_fork, args=(store, url, s3.options, answers))
    process.start()
    process.join(30)
    assert "start processes with 'spawn' or 'forkserver'" in answers.get()
    assert answers.get() == "ExactPathStore"


@pytest.mark.extended
def test_little_is_imported_and_only_for_a_bucket() -> None:
    code = "import sys, daskome; from daskome.stores.location import locate; locate('/tmp/a'); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"obstore", "daskome.stores.clouds.options", "botocore"} & {*modules}
    given = {"key": "k", "secret": "s", "endpoint_url": "http://127.0.0.1:9", "client_kwargs": {"region_name": "r"}}
    code = code.replace("'/tmp/a'", f"'s3://b/a', {given}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {"HOME": "/nowhere"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    assert "obstore" in done.stdout.split()
    assert not {"botocore", "s3fs", "aiohttp"} & {*done.stdout.split()}
