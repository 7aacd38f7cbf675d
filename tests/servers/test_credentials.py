"""Canaries: whatever way a login or a signature comes in, it comes out nowhere."""

import json
import logging
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import cloudpickle
import dask.array as da
import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from fsspec.config import conf
from zarr.storage import FsspecStore

import daskome
from daskome.cli.main import main
from daskome.execution.batch.saved import saved_run
from daskome.stores.location import locate, origin_of, url_of
from tests.servers.web import Web, serve
from tests.written import contents

VALUES = np.arange(48**2, dtype="uint16").reshape(48, 48)
PASSWORD, SIGNATURE = "CANARY/p:a@ss", "CANARY+sig="
FLAGS = ["--axes=yx", "--chunks=16", "--scale-factors=2"]
OPTIONS: dict[str, Any] = {"scale_factors": [2], "axes": "yx", "storage_options": {"chunks": 16}}


@dataclass(frozen=True)
class Way:
    """A way in: the URL and the options that a caller gives, and what is set around the process."""

    url: Callable[[Web], str]
    options: Callable[[Web], dict[str, Any]] = lambda web: {}
    around: Callable[[Web], dict[str, Any]] = lambda web: {}


def signed(web: Web) -> str:
    return f"http://me:{quote(PASSWORD, safe='')}@{web.host}/img.zarr?{web.query}"


WAYS = {
    "URL": Way(signed),
    "URL, not quoted": Way(lambda web: f"http://{web.login}@{web.host}/img.zarr?{web.query}"),
    "options": Way(
        lambda web: web.url("img.zarr"),
        lambda web: {"headers": {"Authorization": web.header}, "params": {"sig": SIGNATURE}},
    ),
    "environment": Way(
        lambda web: web.url("img.zarr"),
        around=lambda web: {"headers": {"Authorization": web.header}, "params": {"sig": SIGNATURE}},
    ),
}
SECRETS = {
    *(PASSWORD, SIGNATURE, "CANARY"),
    *(f(secret) for f in (quote, quote_plus, lambda text: quote(text, safe="")) for secret in (PASSWORD, SIGNATURE)),
    Web("", f"me:{PASSWORD}").header.removeprefix("Basic "),
}


def check_none(text: str | bytes, where: Any) -> None:
    words = text if isinstance(text, str) else text.decode("utf-8", "replace")
    assert not [secret for secret in SECRETS if secret in words], (where, words[:2000])


def check_store(folder: Path) -> None:
    for path, data in contents(folder).items():
        check_none(data, path)
        check_none(path, path)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    zarr.create_array(folder / "img.zarr", data=VALUES, chunks=(16, 16))
    with serve(folder, f"me:{PASSWORD}", f"sig={quote_plus(SIGNATURE)}") as server:
        yield server


MORE = ("URL, not quoted", "options")


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.extended] * (name in MORE)) for name in WAYS])
def way(request: pytest.FixtureRequest, web: Web, monkeypatch: pytest.MonkeyPatch) -> Way:
    found = WAYS[request.param]
    if found.around(web):
        monkeypatch.setitem(conf, "http", found.around(web))
    return found


def command(*words: str, status: int | None = 0) -> str:
    done = CliRunner().invoke(main, words)
    assert done.exit_code == status or (status is None and done.exit_code in (1, 2)), done.output
    check_none(done.output, words)
    return done.output


def words_of(options: dict[str, Any]) -> list[str]:
    return [f"--in-option={key}={json.dumps(value)}" for key, value in options.items()]


@pytest.mark.sampled(2)
def test_no_step_of_a_batch_tells(
    tmp_path: Path, web: Web, way: Way, tiny_blocks: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "daskome")
    url, out, flags = way.url(web), tmp_path / "a", words_of(way.options(web))
    given = [f"--source={url}", *flags]
    command("plan", url, *FLAGS, *flags)
    assert "--source" in command("init", url, str(out), *FLAGS, *flags)
    check_store(out)
    check_none(command("script", str(out), "--source", url), "script")
    command("run", str(out), "--stage=0", "--part=0/2", *given)
    check_store(out)
    saved = saved_run(locate(out), None)
    check_none(repr(saved), "a saved run")
    command("status", str(out))
    command("run", str(out), *given)
    command("finish", str(out))
    check_store(out)
    command("verify", str(out), f"--source={url}", *flags)
    command("info", url, *[flag.replace("--in-", "--fs-") for flag in flags])
    daskome.write_image(VALUES, tmp_path / "b", name="img", **OPTIONS)
    assert contents(out) == contents(tmp_path / "b")
    check_none(caplog.text, "the log")


def test_what_is_read_and_planned_does_not_show_it(tmp_path: Path, web: Web, way: Way) -> None:
    source = daskome.read(way.url(web), way.options(web))
    later = daskome.write_image(source, tmp_path / "a", compute=False, **OPTIONS)
    plan = daskome.plan_image(source, **OPTIONS)
    for thing in (source, source.array, origin_of(source), later, plan, plan._repr_html_(), plan.to_json()):
        check_none(f"{thing!r} {thing}", type(thing))
    check_none(" ".join(map(str, later.dask)), "keys")
    later.compute(scheduler="sync")
    travelled = cloudpickle.loads(cloudpickle.dumps(source))
    assert np.array_equal(travelled.array[...], VALUES)


@pytest.mark.parametrize(
    "url", ["http://me:CANARY@{0}/img.zarr?sig=CANARY", "http://CANARY@{0}/img.zarr", "http://{0}/x"]
)
def test_a_refused_login_is_an_error_that_says_so_and_does_not_quote_it(tmp_path: Path, web: Web, url: str) -> None:
    url = url.format(web.host)
    with pytest.raises(PermissionError, match=r"40[13].*logins are never stored.*FSSPEC_HTTP_HEADERS") as failure:
        daskome.read(url)
    check_none("".join(traceback.format_exception(failure.value)).replace(url, ""), "the traceback")
    assert failure.value.__cause__ is None
    assert failure.value.__context__ is None
    for words in (["write", url, str(tmp_path / "a")], ["info", url], ["validate", url], ["verify", url]):
        command(*words, status=None)
    command("info", url, url, status=2)
    assert not (tmp_path / "a").exists()


def test_an_array_that_a_caller_opened_does_not_tell_either(tmp_path: Path, web: Web) -> None:
    login = f"http://me:{quote(PASSWORD, safe='')}@{web.host}"
    with serve(Path(tmp_path), f"me:{PASSWORD}") as other:
        zarr.create_array(tmp_path / "img.zarr", data=VALUES, chunks=(16, 16))
        store = FsspecStore.from_url(login.replace(web.host, other.host) + "/img.zarr", read_only=True)
        array = zarr.open_array(store, mode="r")
        assert np.array_equal(zarr.open_array(locate(array), mode="r")[...], VALUES)
        check_none(f"{locate(array)!r} {locate(array)} {url_of(array.store_path)}", "a store")
        daskome.write_image(array, tmp_path / "a", compute="init", **OPTIONS)
        check_store(tmp_path / "a")
        with pytest.raises(ValueError, match="--source http://127") as failure:
            daskome.run_part(tmp_path / "a")
        check_none(str(failure.value), "an error")
        assert not daskome.run_part(tmp_path / "a", array).missing
        check_store(tmp_path / "a")
    with pytest.raises(OSError) as late:
        daskome.write_image(da.from_zarr(array, chunks=16), tmp_path / "b", retries=0, **OPTIONS)
    check_none("".join(traceback.format_exception(late.value)), "the traceback")


@pytest.mark.filterwarnings("ignore:.*asynchronous=True")  # zarr's words on fsspec's caches
def test_a_chain_tells_as_little(tmp_path: Path, web: Web) -> None:
    """zarr does not read the web through fsspec's caches: what is known of the image stays clean all the same."""
    url, options = f"simplecache::{signed(web)}", dict[str, Any](cache_storage=str(tmp_path))
    place = locate(url, options)
    check_none(f"{place!r} {place} {url_of(place)}", "a place")
    options["http"] = {"params": {"token": "CANARY"}}
    with pytest.raises(ValueError, match="SimpleCache") as failure:
        daskome.read(url, options)
    check_none("".join(traceback.format_exception(failure.value)).replace(url, ""), "the traceback")


def test_options_that_are_no_options_are_not_quoted(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="give a dict") as failure:
        daskome.write_image(VALUES, "s3://bucket/a", fs_options="key=CANARY", **OPTIONS)  # type: ignore[arg-type]
    check_none(str(failure.value), "an error")
    command("info", "s3://bucket/a", "--fs-option=CANARY", status=2)


@pytest.mark.parametrize(
    "url", ["s3://key:CANARY@bucket/a", "s3://bucket/a?X-Amz-Signature=CANARY", "az://c/a?sig=CANARY"]
)
def test_a_login_that_would_be_of_no_use_is_refused_with_where_it_goes(url: str) -> None:
    for call in (daskome.read, daskome.validate):
        with pytest.raises(ValueError, match="fs_options") as failure:
            call(url)
        check_none(str(failure.value), "an error")
    command("info", url, status=2)


@pytest.mark.extended
def test_a_program_without_credentials_ends_with_its_message(tmp_path: Path) -> None:
    """Other requests may still look for them, on threads that would abort the process."""
    pytest.importorskip("obstore")
    outside = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")} | {"HOME": str(tmp_path)}
    command = [sys.executable, "-m", "daskome", "info", "s3://bucket/a.ome.zarr"]
    ended = subprocess.run(command, env=outside, capture_output=True, text=True)
    assert ended.returncode == 2
    (said,) = ended.stderr.splitlines()
    advice = "give key and secret, or anon=True for what is public"
    assert re.fullmatch(rf"Error: s3://bucket/a\.ome\.zarr/\.?z\w+(\.json)?: no credentials found; {advice}", said)
