"""What a plan in a store may have opened: what lies where the store does, and what the caller names."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st
from zarr.storage import StorePath

import daskome
from daskome.cli.main import main
from daskome.execution.batch import origins
from daskome.execution.batch.saved import saved_run
from daskome.model.source import Origin
from daskome.model.urls import lies_in, place_of
from daskome.stores import journal as journals
from daskome.stores.location import locate
from tests.servers.web import serve
from tests.written import contents, is_image

VALUES = np.arange(48**2, dtype="uint16").reshape(48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2], "axes": "yx", "storage_options": {"chunks": 16}}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    np.save(tmp_path / "image.npy", VALUES)
    return tmp_path / "image.npy"


@pytest.fixture
def begun(tmp_path: Path, image: Path) -> Path:
    daskome.write_image(daskome.read(image), tmp_path / "a", compute="init", **OPTIONS)
    return tmp_path / "a"


def forge(home: StorePath, *paths: str) -> None:
    """Save the plan of a run anew, with other images: its id says so, and all that can be checked is right."""
    saved = journals.find_run(home)
    assert saved is not None
    forged = [Origin(path) for path in paths]
    journal = journals.new_journal(home, saved.plan, forged)
    journals.save_plan(journal, saved.plan, forged)
    journals.begin(journal)


ELSEWHERE = (
    "http://169.254.169.254/latest/meta-data",
    "https://example.org/a.zarr",
    "s3://bucket/a.zarr",
    "simplecache::file:///etc/a.zarr",
    "reference://::https://example.org/a.json",
    "github://org:repo@main/a.zarr",
)


@pytest.mark.parametrize("path", ELSEWHERE)
def test_a_plan_among_files_opens_no_url(begun: Path, path: str) -> None:
    forge(locate(begun), path)
    before = contents(begun)
    for call in (daskome.run_part, daskome.batch_script):
        with pytest.raises(ValueError, match="--source"):
            call(begun)
    done = CliRunner().invoke(main, ["run", str(begun)])
    assert (done.exit_code, "--source" in done.output) == (2, True)
    assert contents(begun) == before


HERE = ("/etc/passwd.npy", "file:///etc/passwd.npy", "a.npy", "s3://other/a.zarr", "https://bucket/a.zarr")


@pytest.mark.parametrize("path", HERE)
def test_a_plan_in_a_bucket_opens_neither_files_nor_other_buckets(path: str) -> None:
    assert place_of(path) != place_of("s3://bucket/a")
    assert place_of("s3://bucket/b/c") == place_of("s3://bucket/a")


@pytest.mark.extended
def test_what_is_named_is_opened_and_jobs_are_told(tmp_path: Path, image: Path) -> None:
    """The image is on the web, the run among files: the script names the one, and its jobs write the other."""
    import zarr

    zarr.create_array(tmp_path / "web" / "image.zarr", data=VALUES, chunks=(16, 16))
    with serve(tmp_path / "web") as web:
        url, out = web.url("image.zarr"), tmp_path / "a"
        daskome.write_image(daskome.read(url), out, compute="init", **OPTIONS)
        with pytest.raises(ValueError, match=f"its image is {url}, elsewhere.*--source {url}"):
            daskome.batch_script(out)
        script = daskome.batch_script(out, image=url, command=["daskome"])
        assert f"--source {url}" in script
        for wrong in (web.url("image"), f"{url}/below", str(image)):
            with pytest.raises(ValueError, match="not at or below"):
                daskome.run_part(out, wrong)
        for named in (web.url(""), url, [str(image), url]):
            assert origins.images_of(saved_run(locate(out), None), named, None)[0].origin.path == url
        assert not daskome.run_part(out, url).missing
        daskome.finish(out)
    daskome.write_image(VALUES, tmp_path / "b", name="image", **OPTIONS)
    assert contents(out) == contents(tmp_path / "b")


def test_a_job_array_among_files_needs_no_words(begun: Path) -> None:
    assert "--source" not in daskome.batch_script(begun)
    assert not daskome.run_part(begun).missing
    daskome.finish(begun)
    assert is_image(begun)


def test_the_command_that_begins_says_what_to_name(tmp_path: Path, image: Path) -> None:
    import zarr

    def said(source: str, out: str) -> str:
        done = CliRunner().invoke(main, ["init", source, out, "--axes=yx"])
        assert done.exit_code == 0, done.output
        return done.output

    assert "--source" not in said(str(image), str(tmp_path / "a"))
    zarr.create_array(tmp_path / "web" / "image.zarr", data=VALUES, chunks=(16, 16))
    with serve(tmp_path / "web") as web:
        assert f"--source {web.url('image.zarr')}" in said(web.url("image.zarr"), str(tmp_path / "b"))


PATHS = st.lists(st.sampled_from(["a", "b", ".", "..", "%2e%2e", "a.h5", ""]), max_size=6).map("/".join)


@given(named=PATHS, path=PATHS)
def test_what_lies_in_a_place_does_not_lead_out_of_it(named: str, path: str) -> None:
    from os.path import normpath
    from urllib.parse import unquote

    root = f"/{named.replace('%2e', 'x').replace('..', 'x')}".rstrip("/") or "/r"
    full = f"{root}/{path}"
    if lies_in(full, root):
        assert normpath(unquote(full)).startswith(normpath(root))
    assert lies_in(f"{root}::part", root)
    assert not lies_in(f"{root}x", root)


def test_a_plan_whose_images_were_changed_by_hand_is_refused(begun: Path) -> None:
    (plan,) = begun.glob(".daskome/*/plan.json")
    saved = json.loads(plan.read_text())
    saved["images"][0]["path"] = "/etc/passwd.npy"
    plan.write_text(json.dumps(saved))
    calls: tuple[Callable[[Path], Any], ...] = (daskome.run_part, daskome.status, daskome.finish, daskome.batch_script)
    for call in calls:
        with pytest.raises(ValueError, match="changed since it was saved"):
            call(begun)
