"""Single files far away: read by ranges of bytes from a web server and from S3, and written into a bucket."""

import os
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client

import daskome
from daskome.stores.archives import file_output, packing
from tests.servers import web
from tests.servers.s3 import S3
from tests.stores.archives.archived import CHUNKS, IMAGE, LABELS, PIXELS, image_folder
from tests.written import contents

OPTIONS: dict[str, Any] = {"scale_factors": [2], **IMAGE, **CHUNKS, **LABELS}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A single file that others have the bytes of, too."""
    path = tmp_path_factory.mktemp("file") / "a.ozx"
    daskome.write_image(PIXELS, path, **OPTIONS)
    return path


def check_reads(url: str, **options: Any) -> None:
    given = {"fs_options": options} if options else {}
    opened = daskome.open(url, **given)
    np.testing.assert_array_equal(opened.dask.compute(), PIXELS)
    np.testing.assert_array_equal(daskome.read(f"{url}/s0", **given).array[...], PIXELS)
    assert daskome.read(url, **given).far
    assert daskome.validate(url, **given) == []
    assert daskome.verify(url, pixels=True, **given) == []


def test_it_is_read_from_the_web(file: Path) -> None:
    with web.serve(file.parent, login="me:secret", ranges=True) as server:
        check_reads(server.url("a.ozx").replace("://", "://me:secret@"))
    with web.serve(file.parent, query="sig=abc", ranges=True) as server:
        check_reads(server.url("a.ozx"), params={"sig": "abc"})


@pytest.mark.extended
def test_a_web_server_without_ranges_is_no_garbage(file: Path) -> None:
    with web.serve(file.parent) as server:
        (problem,) = daskome.validate(server.url("a.ozx"))
        assert "does not answer ranges" in problem.message
        with pytest.raises((FileNotFoundError, ValueError), match=r"nothing\.ozx"):
            daskome.open(server.url("nothing.ozx"))


@pytest.mark.extended
@pytest.mark.usefixtures("opened_by")
def test_it_is_written_and_read_in_a_bucket(s3: S3, file: Path, tmp_path: Path) -> None:
    """The bytes are those of one on a disk; there is nothing else in the bucket; refusals and resume are the same."""
    bucket = s3.bucket()
    for url in (f"s3://{bucket}/a.ozx", f"s3://{bucket}/some/folder/a.ozx"):
        daskome.write_image(PIXELS, url, fs_options=s3.options, **OPTIONS)
        check_reads(url, **s3.options)
        with pytest.raises(FileExistsError, match="cannot be changed: unpack it"):
            daskome.write_image(PIXELS, url, fs_options=s3.options, **OPTIONS)
        daskome.write_image(PIXELS, url, fs_options=s3.options, resume=True, **OPTIONS)
        daskome.write_image(PIXELS, url, fs_options=s3.options, overwrite=True, **OPTIONS)
    assert set(s3.contents(f"s3://{bucket}")) == {"a.ozx", "some/folder/a.ozx"}
    assert set(s3.contents(f"s3://{bucket}").values()) == {file.read_bytes()}
    daskome.unpack(f"s3://{bucket}/a.ozx", f"s3://{bucket}/b.ome.zarr", in_options=s3.options, fs_options=s3.options)
    daskome.unpack(file, tmp_path / "b.ome.zarr")
    assert s3.contents(f"s3://{bucket}/b.ome.zarr") == contents(tmp_path / "b.ome.zarr")
    options = {"in_options": s3.options, "fs_options": s3.options}
    daskome.pack(f"s3://{bucket}/b.ome.zarr", f"s3://{bucket}/c.ozx", **options)
    assert s3.filesystem().cat_file(f"{bucket}/c.ozx") == file.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.pack(f"s3://{bucket}/b.ome.zarr", f"s3://{bucket}/c.ozx", **options)


@pytest.mark.extended
@pytest.mark.usefixtures("opened_by")
def test_what_fails_while_it_is_sent_leaves_no_object(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where parts of it have been sent; then resume sends it again."""
    bucket, parts = s3.bucket(), 5 * 2**20
    monkeypatch.setattr(file_output, "PART_NBYTES", parts)
    image = np.frombuffer(os.urandom(4 * parts), "uint8").reshape(4096, -1)
    url, options = f"s3://{bucket}/a.ozx", {"axes": "yx", "scale_factors": None, "fs_options": s3.options}
    options |= {"storage_options": {"chunks": 512, "shards": 1024, "compressors": None}}
    read = packing.object_bytes

    def broken(place: Any) -> bytes:
        if str(place).endswith("c/3/4"):
            raise OSError("the lights went out")
        return read(place)

    with monkeypatch.context() as patch, dask.config.set(num_workers=2):
        patch.setattr(packing, "object_bytes", broken)
        with pytest.raises(daskome.WriteError, match="the lights went out"):
            daskome.write_image(image, url, **options)
    names = s3.contents(f"s3://{bucket}")
    assert not any(name.startswith("a.ozx") and not name.startswith("a.ozx.partial/") for name in names)
    daskome.write_image(image, url, resume=True, **options)
    assert set(s3.contents(f"s3://{bucket}")) == {"a.ozx"}
    np.testing.assert_array_equal(daskome.open(url, fs_options=s3.options).dask.compute(), image)


@pytest.mark.extended
def test_workers_write_one_and_read_one(client: Client, s3: S3, tmp_path: Path) -> None:
    for target, options in ((str(tmp_path / "a.ozx"), {}), (f"s3://{s3.bucket()}/a.ozx", {"fs_options": s3.options})):
        daskome.write_image(PIXELS, target, **OPTIONS, **options)
        np.testing.assert_array_equal(daskome.open(target, **options).dask.compute(), PIXELS)
        daskome.transcode(target, tmp_path / f"{len(options)}.zip", in_options=options.get("fs_options"))
        assert daskome.verify(tmp_path / f"{len(options)}.zip", pixels=True) == []


@pytest.mark.extended
def test_a_folder_of_that_name_in_a_bucket_is_a_folder(s3: S3, tmp_path: Path) -> None:
    """As older releases have written them."""
    url = f"s3://{s3.bucket()}/a.ozx"
    for name, data in image_folder(tmp_path / "a").items():
        s3.filesystem().pipe_file(f"{url.removeprefix('s3://')}/{name}", data)
    np.testing.assert_array_equal(daskome.open(url, fs_options=s3.options).dask.compute(), PIXELS)
