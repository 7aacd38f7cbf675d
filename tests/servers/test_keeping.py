"""Buckets: what is removed goes with few requests, and a manifest is the same as of a folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskome
from daskome.model.paths import join_paths
from daskome.stores.opened import pages
from tests.servers.distance import Far, distance
from tests.servers.s3 import S3
from tests.written import contents

pytestmark = pytest.mark.usefixtures("opened_by")
VALUES = np.arange(1, 48**3 + 1, dtype="uint32").reshape(48, 48, 48)
IMAGE: dict[str, Any] = {"axes": "zyx", "scale_factors": [2], "storage_options": {"chunks": 6}}


def test_many_objects_go_with_few_requests(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for each page of a list, and one to delete what is on it; and some for documents, however many pages."""
    monkeypatch.setattr(pages, "PAGE_LENGTH", 50)
    url = f"s3://{s3.bucket()}/folder"
    daskome.write_image(VALUES, f"{url}/a*", fs_options=s3.options, **IMAGE)
    daskome.write_image(VALUES[:4], f"{url}/ab", fs_options=s3.options, **IMAGE)
    before = s3.contents(f"{url}/ab")
    with distance(s3.endpoint, Far(0)) as near:
        options = {**s3.options, "endpoint_url": near.endpoint}
        gone = daskome.remove(f"{url}/a*", fs_options=options)
        requests = near.set().requests
    assert gone.objects == 8**3 + 4**3 + 3
    assert sum(requests.values()) < 120, requests
    assert s3.contents(url) == {join_paths("ab", key): value for key, value in before.items()}


def test_labels_of_an_image_in_a_bucket(s3: S3) -> None:
    url = f"s3://{s3.bucket()}/a"
    small = {**IMAGE, "storage_options": {"chunks": 24}}
    daskome.write_image(VALUES, url, labels={"cells": VALUES, "more": VALUES}, fs_options=s3.options, **small)
    daskome.remove(f"{url}/labels/cells", fs_options=s3.options)
    assert daskome.status(url, fs_options=s3.options).holds == ("labels/more",)
    daskome.remove(url, labels="more", fs_options=s3.options)
    assert not [key for key in s3.contents(url) if "labels" in key]
    assert daskome.verify(url, pixels=True, fs_options=s3.options) == []


def test_a_manifest_is_that_of_a_folder(s3: S3, tmp_path: Path) -> None:
    url = f"s3://{s3.bucket()}/a"
    for target, options in ((tmp_path / "a", None), (url, s3.options)):
        daskome.write_image(VALUES, target, fs_options=options, **{**IMAGE, "storage_options": {"chunks": 16}})
    said = daskome.manifest(url, tmp_path / "a.md5", fs_options=s3.options)
    assert said == daskome.manifest(tmp_path / "a")
    assert daskome.verify(tmp_path / "a", manifest=tmp_path / "a.md5") == []
    fs = s3.filesystem()
    fs.pipe(f"{url}/s0/c/0/0/0", b"")
    fs.rm_file(f"{url}/s1/zarr.json")
    found = daskome.verify(url, manifest=tmp_path / "a.md5", fs_options=s3.options)
    assert [problem.where for problem in found][-2:] == ["s0/c/0/0/0", "s1/zarr.json"]
    assert contents(tmp_path / "a")
