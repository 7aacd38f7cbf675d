"""The options of s3fs and adlfs, as obstore gets them; what it cannot do is left to them."""

import os
import pickle
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import adlfs
import pytest
import s3fs
from fsspec.config import conf
from zarr.storage import FsspecStore

from daskome.stores.clouds import options as cloud_options
from daskome.stores.clouds.logins import FoundLogin
from daskome.stores.clouds.options import Unheard, azure_bucket, region_of, s3_bucket
from daskome.stores.clouds.store import ANSWERED_WITHIN, MOST_RETRIES, Bucket, CloudStore
from daskome.stores.location import locate

pytest.importorskip("obstore")
KEYS = {"key": "CANARY-key", "secret": "CANARY-secret", "token": "CANARY-token"}
HOME = {"endpoint_url": "https://example.org"}
LAB = {"account_name": "lab", "account_key": "Q0FOQVJZ"}


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take away what the environment says of clouds."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cloud_options, "region_of", lambda bucket: None)


def settings(bucket: Bucket) -> dict[str, Any]:
    return {**dict(bucket.config), **dict(bucket.client), "patience": bucket.patience, "retries": bucket.retries}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, {"region": "us-east-1", "patience": ANSWERED_WITHIN, "retries": MOST_RETRIES}),
        (HOME, {"endpoint": "https://example.org", "unsigned_payload": "true"}),
        ({"endpoint_url": "http://h"}, {"endpoint": "http://h", "allow_http": "true", "unsigned_payload": None}),
        ({"client_kwargs": {"endpoint_url": "http://h"}}, {"endpoint": "http://h", "allow_http": "true"}),
        ({**HOME, "client_kwargs": {"endpoint_url": "http://h"}}, {"endpoint": "https://example.org"}),
        ({"client_kwargs": {"region_name": "r"}}, {"region": "r"}),
        ({"config_kwargs": {"region_name": "r"}}, {"region": "r"}),
        ({"client_kwargs": {"verify": False}}, {"allow_invalid_certificates": "true", "unsigned_payload": None}),
        ({"requester_pays": True}, {"request_payer": "true"}),
        ({"anon": True}, {"skip_signature": "true"}),
        ({"config_kwargs": {"read_timeout": 3, "connect_timeout": 0.5}}, {"patience": 6, "connect_timeout": "500ms"}),
        ({"config_kwargs": {"retries": {"total_max_attempts": 1}}}, {"retries": 0}),
        ({"config_kwargs": {"retries": {"max_attempts": 4, "mode": "standard"}}}, {"retries": 4}),
        ({"key": None, "config_kwargs": None, "use_listings_cache": False, "use_ssl": True}, {}),
    ],
    ids=str,
)
def test_options_of_s3fs(options: dict[str, Any], said: dict[str, Any]) -> None:
    found = settings(s3_bucket("s3://bucket/a/b", options))
    assert {name: found.get(name) for name in said} == said


@pytest.mark.parametrize(
    "options",
    [
        {"key": "k"},
        {"cache_regions": True},
        {"use_listings_cache": True},
        {"use_ssl": False},
        {"version_aware": True},
        {"endpoint_url": Path("x")},
        {"s3_additional_kwargs": {"ACL": "public-read"}},
        {"client_kwargs": {"verify": "/etc/ca.pem"}},
        {"client_kwargs": {"region_name": "cn-north-1"}},
        {"config_kwargs": {"s3": {"addressing_style": "virtual"}}},
        {"config_kwargs": {"proxies": {"https": "proxy"}}},
        {"config_kwargs": {"retries": {"mode": "adaptive"}}},
        {"config_kwargs": {"max_pool_connections": 3}},
        {"no_such_option": 1},
    ],
    ids=str,
)
def test_what_obstore_cannot_do_is_left_to_s3fs(options: dict[str, Any]) -> None:
    with pytest.raises(Unheard):
        s3_bucket("s3://bucket/a", options)


@pytest.mark.parametrize("url", ["s3://b//a", "s3://b/a/../c", "s3://b/a?versionId=3", "s3://", "s3://me@b/a"])
def test_urls_that_only_s3fs_reads(url: str) -> None:
    with pytest.raises(Unheard):
        s3_bucket(url, HOME)


def test_s3fs_opens_what_is_left_to_it_with_all_options() -> None:
    store = locate("s3://bucket/a", {**HOME, "key": "k", "secret": "s", "cache_regions": True}).store
    assert isinstance(store, FsspecStore)
    assert isinstance(store.fs, s3fs.S3FileSystem)
    assert store.fs.cache_regions
    adl = locate("az://container/a", {**LAB, "version_aware": True}).store
    assert isinstance(adl, FsspecStore)
    assert isinstance(adl.fs, adlfs.AzureBlobFileSystem)
    assert isinstance(locate("s3://bucket/a", HOME).store, CloudStore)
    assert isinstance(locate("az://container/a", LAB).store, CloudStore)


@pytest.mark.filterwarnings("ignore:.*asynchronous=True")
def test_a_cache_and_a_chain_are_fsspecs(tmp_path: Path) -> None:
    assert isinstance(locate("simplecache::s3://bucket/a", {"s3": HOME}).store, FsspecStore)


# ---- credentials


def credentials(options: dict[str, Any]) -> tuple[Any, ...]:
    said = s3_bucket("s3://bucket/a", {**HOME, **options}).login()
    return said["access_key_id"], said["secret_access_key"], said["token"]


def test_given_credentials_count_before_those_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "t")
    assert credentials({}) == ("k", "s", "t")
    assert credentials({"key": "k2", "secret": "s2"}) == ("k2", "s2", None)
    inner = {"aws_access_key_id": "k3", "aws_secret_access_key": "s3", "aws_session_token": "t3"}
    assert credentials({"client_kwargs": inner}) == ("k3", "s3", "t3")
    assert s3_bucket("s3://bucket/a", {**HOME, "anon": True}).login is None


def test_profiles_have_credentials_a_region_and_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text("[lab]\naws_access_key_id = k\naws_secret_access_key = s\n")
    (folder / "config").write_text("[profile lab]\nregion = r\nendpoint_url = http://h\n[profile odd]\ns3 =\n  a = b\n")
    for profile, options in (("lab", {}), ("", {"profile": "lab"})):
        monkeypatch.setenv("AWS_PROFILE", profile) if profile else monkeypatch.delenv("AWS_PROFILE")
        bucket = s3_bucket("s3://bucket/a", options)
        assert dict(bucket.config) == {"endpoint": "http://h", "region": "r"}
        assert bucket.login()["access_key_id"] == "k"
    for options in ({"profile": "odd"}, {"profile": "lab", "key": "k", "secret": "s"}):
        with pytest.raises(Unheard):
            s3_bucket("s3://bucket/a", options)
    with pytest.raises(ValueError, match=r"profile \(nobody\) could not be found"):
        locate("s3://bucket/a", {"profile": "nobody"})


def test_variables_say_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://here")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "r")
    assert dict(s3_bucket("s3://bucket/a", {}).config) == {
        "endpoint": "https://here",
        "region": "r",
        "unsigned_payload": "true",
    }
    monkeypatch.setenv("AWS_CA_BUNDLE", "/etc/mine.pem")
    assert s3_bucket("s3://bucket/a", {}).certificates == "/etc/mine.pem"
    assert s3_bucket("s3://bucket/a", {"endpoint_url": "http://h"}).certificates == ""
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    with pytest.raises(Unheard):
        s3_bucket("s3://bucket/a", {})


def test_fsspecs_own_configuration_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(conf, "s3", {"endpoint_url": "https://configured", "anon": True})
    assert dict(s3_bucket("s3://bucket/a", {}).config)["endpoint"] == "https://configured"
    assert dict(s3_bucket("s3://bucket/a", HOME).config)["endpoint"] == "https://example.org"


@pytest.mark.parametrize(
    "store", [lambda: locate("s3://b/a", {**HOME, **KEYS}), lambda: locate("az://c/a", {**LAB, "sas_token": "CANARY"})]
)
def test_secrets_are_in_no_text_and_travel_once(store: Any) -> None:
    path = store()
    for text in map(str, (path, repr(path.store), path.store.bucket, repr(path.store.store), path.store.bucket.url)):
        assert "CANARY" not in text
        assert "Q0FOQVJZ" not in text
    again = pickle.loads(pickle.dumps(path.store))
    assert again == path.store
    assert again.store is path.store.store, "a worker has one client, however many tasks bring it"


def test_credentials_that_are_found_do_not_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "CANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "CANARY")
    store = locate("s3://bucket/a", HOME).store
    assert store.bucket.login()["access_key_id"] == "CANARY"  # type: ignore[attr-defined]
    assert b"CANARY" not in pickle.dumps(store)


# ---- Azure


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (LAB, {**LAB, "credential_type": "access_key"}),
        (
            {"account_name": "lab", "sas_token": "?sv=1"},
            {"account_name": "lab", "sas_key": "sv=1", "credential_type": "sas_token"},
        ),
        ({**LAB, "sas_token": "?sv=1", "anon": False}, {**LAB, "credential_type": "access_key"}),
        (
            {"connection_string": "AccountName=lab;AccountKey=a2V5;DefaultEndpointsProtocol=https;"},
            {"account_name": "lab", "account_key": "a2V5", "credential_type": "access_key"},
        ),
        (
            {"account_name": "lab", "account_host": "lab.example.org", "anon": True},
            {"account_name": "lab", "endpoint": "https://lab.example.org", "skip_signature": "true"},
        ),
    ],
    ids=str,
)
def test_options_of_adlfs(options: dict[str, Any], said: dict[str, Any]) -> None:
    assert dict(azure_bucket("az://container/a", options).config) == said


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"account_name": "lab"},
        {"account_key": "k"},
        {"account_name": "lab", "credential": 1.5},
        {**LAB, "max_concurrency": 3},
        {"connection_string": "UseDevelopmentStorage=true"},
        {"connection_string": "AccountName=lab;AccountKey=k;EndpointSuffix=core.chinacloudapi.cn"},
    ],
    ids=str,
)
def test_what_obstore_cannot_do_is_left_to_adlfs(options: dict[str, Any]) -> None:
    with pytest.raises(Unheard):
        azure_bucket("az://container/a", options)


def test_variables_of_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "lab")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    found = dict(azure_bucket("abfs://container/a", {}).config)
    assert found == {"account_name": "lab", "account_key": "a2V5", "credential_type": "access_key"}


# ---- Amazon's regions


class _Amazon(BaseHTTPRequestHandler):
    """Answers as Amazon does for a bucket that is elsewhere."""

    def do_HEAD(self) -> None:
        self.send_response(301 if self.path == "/there" else 404)
        if self.path == "/there":
            self.send_header("x-amz-bucket-region", "eu-west-1")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), _Amazon) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(cloud_options, "AWS", f"127.0.0.1:{server.server_port}")
        monkeypatch.setattr("http.client.HTTPSConnection", HTTPConnection)
        cloud_options._answered_region.cache_clear()
        monkeypatch.setattr(cloud_options, "region_of", region_of)
        yield
        server.shutdown()
    cloud_options._answered_region.cache_clear()


def test_amazons_buckets_are_asked_where_they_are(amazon: None) -> None:
    told = {"client_kwargs": {"region_name": "us-west-2"}}
    assert dict(s3_bucket("s3://there/a", {}).config)["region"] == "eu-west-1"
    assert dict(s3_bucket("s3://there/a", told).config)["region"] == "eu-west-1", "another would refuse"
    assert dict(s3_bucket("s3://not/a", told).config)["region"] == "us-west-2"


def test_a_moment_without_a_network_is_not_kept(amazon: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as away:
        away.setattr(cloud_options, "AWS", "127.0.0.1:9")
        assert cloud_options.region_of("there") is None
    assert cloud_options.region_of("there") == "eu-west-1"


def test_credentials_that_come_later_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    login = FoundLogin()
    with pytest.raises(PermissionError, match="no credentials found"):
        login()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "later")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert login()["access_key_id"] == "later"
