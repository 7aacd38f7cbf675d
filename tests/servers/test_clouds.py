"""Google's and Azure's storage, by the same path as S3, as far as their emulators reach."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from fsspec.registry import known_implementations

import daskome
from daskome.stores import kinds
from tests.servers.clouds import SECRET, SERVERS, Cloud, has_azure
from tests.written import contents

VALUES = np.arange(48**3, dtype="uint16").reshape(48, 48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2, 4], "storage_options": {"chunks": 16}, "axes": "zyx"}
CASES = {
    "v3": OPTIONS,
    "v2": {**OPTIONS, "fmt": "0.4"},
    "shards": {**OPTIONS, "storage_options": {"chunks": 8, "shards": 16}},
    "labels": {**OPTIONS, "labels": {"cells": VALUES // 1000}},
}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    if request.param == "az" and not has_azure():
        pytest.skip("Azurite is not here: npm install -g azurite")
    pytest.importorskip("gcsfs" if request.param == "gs" else "adlfs")
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.mark.sampled(32)
@pytest.mark.parametrize("case", CASES)
def test_the_bytes_are_those_on_disk(
    tmp_path: Path, cloud: Cloud, case: str, tiny_blocks: None, opened_by: str
) -> None:
    options, url = CASES[case], f"{cloud.url()}/folder/a.ome.zarr"
    if case == "shards" and not cloud.suffixes:
        pytest.skip("the emulator does not read the end of an object, as Google does")
    image = da.from_array(VALUES, chunks=16)
    daskome.write_image(image, tmp_path / "a.ome.zarr", **options)
    daskome.write_image(image, url, fs_options=cloud.options, **options)
    assert cloud.contents(url) == contents(tmp_path / "a.ome.zarr")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.write_image(image, url, fs_options=cloud.options, **options)
    daskome.write_image(image, url, fs_options=cloud.options, overwrite=True, **options)
    assert daskome.verify(url, pixels=True, source=VALUES, fs_options=cloud.options) == []


@pytest.mark.extended
def test_a_failed_image_is_resumed_there_and_says_no_secret(
    tmp_path: Path, cloud: Cloud, tiny_blocks: None, opened_by: str, caplog: pytest.LogCaptureFixture
) -> None:
    url, flag = f"{cloud.url()}/a.ome.zarr", tmp_path / "fails"
    flag.touch()

    def block(part: Any, block_info: Any) -> Any:
        if flag.exists() and block_info[0]["chunk-location"] == (1, 1, 1):
            raise OSError("no such tape")
        return part

    image = da.from_array(VALUES, chunks=16).map_blocks(block, dtype="uint16", name="tape")
    with caplog.at_level(logging.INFO), pytest.raises(daskome.WriteError, match="unit") as failure:
        daskome.write_image(image, url, fs_options=cloud.options, retries=0, **OPTIONS)
    stored = cloud.contents(url)
    assert not [path for path, data in stored.items() if b"multiscales" in data and "plan.json" not in path]
    assert any(".daskome/" in path for path in stored)
    for text in (str(failure.value), caplog.text, *map(repr, stored.values())):
        assert SECRET not in text
    flag.unlink()
    daskome.write_image(image, url, fs_options=cloud.options, resume=True, **OPTIONS)
    daskome.write_image(VALUES, tmp_path / "a.ome.zarr", **OPTIONS)
    assert cloud.contents(url) == contents(tmp_path / "a.ome.zarr")


@pytest.mark.extended
def test_a_program_ends_without_a_word(cloud: Cloud) -> None:
    write = f"daskome.write_image(numpy.ones((8, 8)), {cloud.url()!r} + '/a', [2], fs_options={cloud.options!r})"
    ended = subprocess.run([sys.executable, "-c", f"import daskome, numpy; {write}"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_an_address_of_no_kind_says_which_there_are() -> None:
    with pytest.raises(ValueError, match=r"minio:// is not a URL that fsspec knows.*s3://, gs://, az://"):
        daskome.write_image(VALUES, "minio://bucket/a", **OPTIONS)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"class": "no_such_package.Core", "err": "Please install it"}
    monkeypatch.setitem(known_implementations, "cloud", broken)
    row = replace(kinds.FSSPEC, name="cloud", schemes=("cloud",), extra="gcs")
    monkeypatch.setattr(kinds, "KINDS", (row, *kinds.KINDS))
    with pytest.raises(ImportError, match=r"cloud:// needs a package.*Please install it.*pip install 'daskome\[gcs\]'"):
        daskome.write_image(VALUES, "cloud://bucket/a", **OPTIONS)
