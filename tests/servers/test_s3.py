"""S3 as users have it: a real server, its errors, its hanging and dropped requests, its refusals."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from distributed import Client
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync

import daskome
from daskome.cli.main import main
from daskome.stores import kinds
from daskome.stores.location import locate
from tests.servers.proxy import Faults, Proxy
from tests.servers.s3 import S3
from tests.written import contents

pytestmark = pytest.mark.usefixtures("opened_by")
VALUES = np.arange(48**3, dtype="uint16").reshape(48, 48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4], "storage_options": {"chunks": 16}, "axes": "zyx"}


def image() -> da.Array:
    return da.from_array(VALUES, chunks=16)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        {**OPTIONS, "fmt": "0.4"},
        {**OPTIONS, "storage_options": {"chunks": 8, "shards": 16}},
        {**OPTIONS, "labels": {"cells": VALUES // 1000}},
    ],
    ids=["v3", "v2", "shards", "labels"],
)
def test_the_bytes_are_those_on_disk(tmp_path: Path, s3: S3, options: dict[str, Any]) -> None:
    url = f"s3://{s3.bucket()}/folder/a.ome.zarr"
    daskome.write_image(image(), tmp_path / "a.ome.zarr", **options)
    daskome.write_image(image(), url, fs_options=s3.options, **options)
    assert s3.contents(url) == contents(tmp_path / "a.ome.zarr")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.write_image(image(), url, fs_options=s3.options, **options)
    daskome.write_image(image(), url, fs_options=s3.options, overwrite=True, **options)
    assert s3.contents(url) == contents(tmp_path / "a.ome.zarr")
    assert daskome.verify(url, pixels=True, source=VALUES, fs_options=s3.options) == []
    assert [p for p in daskome.validate(url, fs_options=s3.options) if not p.warning] == []


@pytest.mark.extended
def test_what_changes_in_place_there(tmp_path: Path, s3: S3, tiny_blocks: None) -> None:
    """Its bytes are those on disk; objects of nothing but fill value are deleted."""
    url, part = f"s3://{s3.bucket()}/a.ome.zarr", {"z": (1, 9), "x": 3}
    for group, options in {str(tmp_path / "a"): {}, url: {"fs_options": s3.options}}.items():
        daskome.write_image(image(), group, **OPTIONS, **options)
        daskome.update(group, part, 0, **options)
        daskome.append(group, VALUES[:5], "z", **options)
        daskome.update(group, {"y": (0, 16)}, 0, **options)
    assert s3.contents(url) == contents(tmp_path / "a")
    assert daskome.verify(url, pixels=True, fs_options=s3.options) == []


def test_what_is_there_stays_where_it_is_made_unless_there(s3: S3) -> None:
    """Whatever words a server refuses with: Ceph's do not say which condition has failed."""
    document = locate(f"s3://{s3.bucket()}/a", s3.options) / "zarr.json"
    for text in (b"first", b"second"):
        sync(document.store.set_if_not_exists(document.path, default_buffer_prototype().buffer.from_bytes(text)))
    found = sync(document.get())
    assert found is not None
    assert found.to_bytes() == b"first"


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("name", "other"), [("st*r", "star"), ("q?m", "qum"), ("br[0-9]", "br5")])
def test_a_name_is_no_pattern(tmp_path: Path, s3: S3, name: str, other: str) -> None:
    """What is deleted lies at the path, and not at others that it would match."""
    bucket, values = s3.bucket(), VALUES[:32, :32, :32]
    half = np.where(values < 2**15, 0, values)
    here, there = f"s3://{bucket}/{name}/a", f"s3://{bucket}/{other}/a"
    for url in (there, here):
        daskome.write_image(values, url, fs_options=s3.options, **OPTIONS)
    before = s3.contents(there)
    daskome.write_image(half, here, fs_options=s3.options, overwrite=True, **OPTIONS)
    daskome.write_image(half, tmp_path / "a", **OPTIONS)
    assert s3.contents(here) == contents(tmp_path / "a")
    assert s3.contents(there) == before


@pytest.mark.extended
def test_an_object_that_is_gone_is_named_and_written_again(tmp_path: Path, s3: S3, proxy: Proxy) -> None:
    """One list for each level is what finish asks for more, and no object; half the image is not stored."""
    half, url, way = VALUES * (np.arange(48) >= 24), f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint).options
    daskome.write_image(half, tmp_path / "a", **OPTIONS)
    for name in ("a", "b"):
        daskome.write_image(half, f"{url}/{name}", fs_options=way, compute="init", **OPTIONS)
        daskome.run_part(f"{url}/{name}", half, fs_options=way)
    s3.filesystem().rm_file(f"{url.removeprefix('s3://')}/a/s1/c/0/1/1")
    with pytest.raises(daskome.WriteError, match="s1/c/0/1/1"):
        daskome.finish(f"{url}/a", fs_options=way)
    daskome.write_image(half, f"{url}/a", fs_options=way, resume=True, **OPTIONS)
    proxy.reset()
    daskome.finish(f"{url}/b", fs_options=way)
    lists = [parse_qs(urlsplit(target).query).get("prefix", [""])[0] for _, target in proxy.requests]
    assert sorted(prefix.rstrip("/")[-6:] for prefix in lists if "/s" in prefix) == ["b/s0/c", "b/s1/c", "b/s2/c"]
    assert s3.contents(f"{url}/a") == s3.contents(f"{url}/b") == contents(tmp_path / "a")


@pytest.mark.extended
def test_a_plate_and_its_upgrade(tmp_path: Path, s3: S3) -> None:
    url, field = f"s3://{s3.bucket()}/p", VALUES[:2]
    wells = {"A/1": [field], "B/2": [field, field]}
    for target, fs_options in ((tmp_path / "p", None), (url, s3.options)):
        daskome.write_plate(wells, target, axes="cyx", fs_options=fs_options)
        daskome.convert_metadata(target, "0.6", fs_options=fs_options)
    assert s3.contents(url) == contents(tmp_path / "p")


@pytest.mark.extended
def test_a_store_that_the_caller_opened(tmp_path: Path, s3: S3) -> None:
    url = f"s3://{s3.bucket()}/a"
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    daskome.write_image(image(), zarr.storage.FsspecStore.from_url(url, storage_options=s3.options), **OPTIONS)
    assert s3.contents(url) == contents(tmp_path / "a")


@pytest.mark.extended
def test_a_cluster_writes_there(tmp_path: Path, s3: S3, client: Client, tiny_blocks: None) -> None:
    url = f"s3://{s3.bucket()}/a"
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    daskome.write_image(image(), url, fs_options=s3.options, **OPTIONS)
    assert s3.contents(url) == contents(tmp_path / "a")


@pytest.mark.extended
def test_parts_there_with_options_of_their_own(tmp_path: Path, s3: S3, tiny_blocks: None) -> None:
    bucket = s3.bucket()
    source, url = f"s3://{bucket}/source", f"s3://{bucket}/a"
    zarr.create_array(source, data=VALUES, chunks=(16, 16, 16), storage_options=s3.options)
    daskome.write_image(VALUES, tmp_path / "a", name="source", **OPTIONS)
    options = [f"--fs-option={key}={value}" for key, value in s3.options.items()]
    options_in = [option.replace("--fs-option", "--in-option") for option in options]
    flags = ["--scale-factors=2,4", "--chunks=16", "--axes=zyx"]
    for words in (
        ["init", source, url, *flags, *options, *options_in],
        ["run", url, "-q", *options, *options_in],
        ["status", url, *options],
        ["finish", url, *options],
    ):
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        assert s3.secret not in done.output
    assert s3.contents(url) == contents(tmp_path / "a")


@pytest.mark.extended
def test_a_plan_there_opens_no_file_here_unless_it_is_named(tmp_path: Path, s3: S3) -> None:
    np.save(tmp_path / "source.npy", VALUES)
    url, other = f"s3://{s3.bucket()}/a", f"s3://{s3.bucket()}/source"
    zarr.create_array(other, data=VALUES, chunks=(16, 16, 16), storage_options=s3.options)
    for place, options in ((str(tmp_path / "source.npy"), None), (other, s3.options)):
        source = daskome.read(place, options)
        daskome.write_image(source, url, compute="init", overwrite=True, fs_options=s3.options, **OPTIONS)
        for call in (daskome.run_part, daskome.batch_script):
            with pytest.raises(ValueError, match=f"its image is {place}, elsewhere"):
                call(url, fs_options=s3.options)
        assert not daskome.run_part(url, place, fs_options=s3.options, in_options=options).missing
        daskome.finish(url, fs_options=s3.options)


def test_what_is_there_is_verified_against_what_is_there(s3: S3) -> None:
    bucket = s3.bucket()
    source, url = f"s3://{bucket}/source", f"s3://{bucket}/a"
    zarr.create_array(source, data=VALUES, chunks=(16, 16, 16), storage_options=s3.options)
    daskome.write_image(VALUES, url, fs_options=s3.options, **OPTIONS)
    options = [f"--{kind}-option={key}={value}" for kind in ("fs", "in") for key, value in s3.options.items()]
    done = CliRunner().invoke(main, ["verify", url, "--source", source, *options])
    assert done.exit_code == 0, done.output
    assert f"the first level against {source}" in done.output
    assert s3.secret not in done.output


def test_a_wrong_secret_is_an_early_error(ceph: S3) -> None:
    url = f"s3://{ceph.bucket()}/a"
    with pytest.raises(PermissionError):
        daskome.write_image(image(), url, fs_options={**ceph.options, "secret": "wrong"}, **OPTIONS)
    assert ceph.contents(url) == {}


@pytest.mark.extended
def test_secrets_are_nowhere(s3: S3, proxy: Proxy, tiny_blocks: None, caplog: pytest.LogCaptureFixture) -> None:
    url = f"s3://{s3.bucket()}/a"
    way = s3.at(proxy.endpoint)
    proxy.reset(Faults(refused=r"/a/s1/c/1/1/1", methods="PUT"))
    quick = {**way.options, "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    with caplog.at_level(logging.INFO), pytest.raises(daskome.WriteError, match="unit") as failure:
        daskome.write_image(image(), url, fs_options=quick, retries=1, **OPTIONS)
    for text in (str(failure.value), repr(failure.value.__cause__), caplog.text):
        assert s3.secret not in text
        assert s3.key not in text
    stored = s3.contents(url)
    assert any(".daskome/" in path for path in stored)
    assert not [path for path, data in stored.items() if s3.secret.encode() in data or s3.key.encode() in data]


@pytest.mark.extended
def test_a_permanent_fault_names_the_unit_and_resume_completes_once_it_is_lifted(
    tmp_path: Path, s3: S3, proxy: Proxy, tiny_blocks: None
) -> None:
    url = f"s3://{s3.bucket()}/a"
    quick = {**s3.at(proxy.endpoint).options, "config_kwargs": {"retries": {"total_max_attempts": 1}}}
    proxy.reset(Faults(refused=r"/a/s0/c/1/1/1", methods="PUT"))
    with pytest.raises(daskome.WriteError, match=r"unit 0/\d+ \(image: s0.*of s0\)"):
        daskome.write_image(image(), url, fs_options=quick, retries=0, **OPTIONS)
    assert not [path for path, data in s3.contents(url).items() if b"multiscales" in data and "plan.json" not in path]
    proxy.reset()
    daskome.write_image(image(), url, fs_options=quick, resume=True, **OPTIONS)
    daskome.write_image(image(), tmp_path / "a", **OPTIONS)
    assert s3.contents(url) == contents(tmp_path / "a")


@pytest.mark.timeout(60)
def test_a_server_that_accepts_and_never_answers_is_given_up(s3: S3, proxy: Proxy, tiny_blocks: None) -> None:
    """aiohttp's timeouts don't count while a PUT waits for leave to send its body."""
    url, way = f"s3://{s3.bucket()}/a", s3.at(proxy.endpoint)
    quick = {**way.options, "config_kwargs": {"retries": {"total_max_attempts": 1}, "read_timeout": 0.2}}
    task = daskome.write_image(image(), url, fs_options=quick, compute=False, **OPTIONS)
    proxy.reset(Faults(hangs=1, methods="PUT"))
    with pytest.raises(Exception, match=r"timeout|timed out"):
        dask.compute(task)
    assert proxy.failed["hang"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_faults_in_passing_lose_nothing(tmp_path: Path, s3: S3, proxy: Proxy, tiny_blocks: None, seed: int) -> None:
    url = f"s3://{s3.bucket()}/a"
    options = {**OPTIONS, "storage_options": {"chunks": 8}}
    proxy.reset(Faults(errors=0.05, hangs=0.01, drops=0.02, seed=seed))
    fs_options = {**s3.at(proxy.endpoint).options, "config_kwargs": {"read_timeout": 3}}
    with dask.config.set(num_workers=4):
        daskome.write_image(image(), url, fs_options=fs_options, **options)
    assert proxy.failed["error"]
    assert proxy.failed.total() > proxy.failed["error"]
    daskome.write_image(image(), tmp_path / "a", **options)
    assert s3.contents(url) == contents(tmp_path / "a")


def test_patience_is_a_default_that_the_caller_changes_by_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    place = locate("s3://bucket/a", {"key": "k", "config_kwargs": {"read_timeout": 3}})
    told = place.store.fs.config_kwargs  # type: ignore[attr-defined]
    assert told["read_timeout"] == 3
    assert told["retries"]["total_max_attempts"] > 1


@pytest.mark.extended
def test_few_requests_are_made_and_levels_ask_for_one_document_each(s3: S3, proxy: Proxy) -> None:
    way, counts = s3.at(proxy.endpoint), {}
    for levels in (2, 5):
        proxy.reset()
        factors = [2**k for k in range(1, levels)]
        daskome.write_image(VALUES, f"s3://{s3.bucket()}/a", factors, axes="zyx", fs_options=way.options)
        counts[levels] = Counter(method for method, _ in proxy.requests)
        assert counts[levels]["HEAD"] <= 6  # Three times: is there a group around it, which is converted, or lists it?
    per_level = {method: (counts[5][method] - counts[2][method]) / 3 for method in ("GET", "HEAD", "PUT")}
    assert per_level == {"GET": 1, "HEAD": 0, "PUT": 2}  # Its document and its one chunk are written, and it is listed.
