"""The options of s3fs and adlfs in obstore's words: the same ``fs_options`` open a bucket with either.

What obstore cannot do is left to s3fs and adlfs, so that no option is without effect. Imported only where a bucket is
opened.
"""

import http.client
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from daskome.stores.clouds.logins import FoundLogin, GivenLogin, surroundings
from daskome.stores.clouds.store import Bucket, CloudStore, is_forked

AWS = "s3.amazonaws.com"
"""Answers for every bucket where it is."""
PLACE = re.compile(r"(?P<scheme>\w+)://(?P<name>[^/@?#]+)(?P<path>(/[^?]*)?)")


class Unheard(Exception):
    """An option, or a value of one, that obstore cannot do."""


@dataclass(frozen=True, slots=True)
class Word:
    """Where an option goes: the part of a `Bucket`, its name there, and its value as said there."""

    part: str
    name: str
    value: Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unheard
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unheard
    return value


def _flag(value: Any) -> str:
    return "true" if value else "false"


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unheard
    return float(value)


def _duration(value: Any) -> str:
    return f"{round(_seconds(value) * 1000)}ms"


def _only(*values: Any) -> Callable[[Any], None]:
    """Return the value of an option that obstore only knows with some values, which then change nothing."""

    def check(value: Any) -> None:
        if value not in values:
            raise Unheard

    return check


def _same(*values: Any) -> Word:
    return Word("nothing", "", _only(*values))


OF_FSSPEC = {"skip_instance_cache": _same(True, False), "use_listings_cache": _same(False), "asynchronous": _same(True)}
"""Options of any file system: obstore remembers no lists."""
S3_WORDS: Mapping[str, Word] = {
    **OF_FSSPEC,
    "key": Word("login", "key", _text),
    "secret": Word("login", "secret", _text),
    "token": Word("login", "token", _text),
    "profile": Word("login", "profile", _text),
    "anon": Word("config", "skip_signature", _flag),
    "endpoint_url": Word("config", "endpoint", _text),
    "requester_pays": Word("config", "request_payer", _flag),
    "use_ssl": _same(True),
    "max_concurrency": _same(1),
    "client_kwargs.aws_access_key_id": Word("login", "key", _text),
    "client_kwargs.aws_secret_access_key": Word("login", "secret", _text),
    "client_kwargs.aws_session_token": Word("login", "token", _text),
    "client_kwargs.endpoint_url": Word("config", "endpoint", _text),
    "client_kwargs.region_name": Word("config", "region", _text),
    "client_kwargs.use_ssl": _same(True),
    "client_kwargs.verify": Word("client", "allow_invalid_certificates", lambda value: _flag(not _truth(value))),
    "config_kwargs.region_name": Word("config", "region", _text),
    "config_kwargs.signature_version": _same("s3v4"),
    "config_kwargs.s3.addressing_style": _same("auto", "path"),
    "config_kwargs.read_timeout": Word("bucket", "patience", lambda v: 2 * _seconds(v)),
    "config_kwargs.connect_timeout": Word("client", "connect_timeout", _duration),
    "config_kwargs.retries.mode": _same("standard", "legacy"),
    "config_kwargs.retries.total_max_attempts": Word("bucket", "retries", lambda v: int(_seconds(v)) - 1),
    "config_kwargs.retries.max_attempts": Word("bucket", "retries", lambda v: int(_seconds(v))),
}
"""Options of s3fs; a point leads into a dictionary. As with it, patience counts twice."""
AZURE_WORDS: Mapping[str, Word] = {
    **OF_FSSPEC,
    "account_name": Word("config", "account_name", _text),
    "account_key": Word("config", "account_key", _text),
    "sas_token": Word("config", "sas_key", lambda value: _text(value).removeprefix("?")),
    "credential": Word("config", "sas_key", lambda value: _text(value).removeprefix("?")),
    "client_id": Word("config", "client_id", _text),
    "client_secret": Word("config", "client_secret", _text),
    "tenant_id": Word("config", "tenant_id", _text),
    "anon": Word("config", "skip_signature", _flag),
    "account_host": Word("config", "endpoint", lambda value: f"https://{_text(value)}"),
    "connection_timeout": Word("client", "connect_timeout", _duration),
    "read_timeout": Word("bucket", "patience", _seconds),
}
"""Options of adlfs."""
LOGINS = {
    "access_key": ("account_key",),
    "sas_token": ("sas_key",),
    "client_secret": ("client_id", "client_secret", "tenant_id"),
}
"""What each way to sign in to Azure takes, by obstore's name. The first counts, as with adlfs."""
CONNECTION = {
    "AccountName": "account_name",
    "AccountKey": "account_key",
    "SharedAccessSignature": "sas_key",
    "BlobEndpoint": "endpoint",
}
IN_ENVIRONMENT = (
    *("connection_string", "account_name", "account_key", "sas_token", "client_id", "client_secret", "tenant_id"),
)
"""Options of adlfs that are variables, too, as ``AZURE_STORAGE_ACCOUNT_NAME``."""


def open_bucket(
    bucket: Callable[[str, Mapping[str, Any]], Bucket], url: str, options: Mapping[str, Any], read_only: bool
) -> CloudStore | None:
    """Return the store at a URL, opened with obstore; None if it cannot do what is asked, or not in this process."""
    if is_forked():
        return None
    try:
        return CloudStore(bucket(url, options), read_only=read_only)
    except Unheard:
        return None


def s3_bucket(url: str, options: Mapping[str, Any]) -> Bucket:
    """Return a bucket of S3 and how to ask it, from a URL and options of s3fs.

    >>> s3_bucket("s3://b/a.zarr", {"anon": True, "endpoint_url": "https://example.org"}).config
    (('endpoint', 'https://example.org'), ('region', 'us-east-1'), ('skip_signature', 'true'))
    """
    name, prefix = _place(url)
    said = _said({**_configured("s3", "s3a"), **options}, S3_WORDS)
    config, login = said["config"], said["login"]
    here = surroundings(login.get("profile"))
    if here.special:
        raise Unheard
    endpoint = config.get("endpoint") or here.endpoint
    region = config.get("region") or here.region or "us-east-1"
    config |= {"endpoint": endpoint} if endpoint else {}
    config["region"] = region if endpoint else region_of(name) or region
    if config["region"].startswith("cn-"):
        raise Unheard
    is_encrypted = not (endpoint or "").startswith("http://")
    said["bucket"]["certificates"] = here.certificates if is_encrypted else ""
    is_signed = config.get("skip_signature") != "true"
    if is_encrypted and is_signed and said["client"].get("allow_invalid_certificates") != "true":
        config["unsigned_payload"] = "true"  # Nobody changes what TLS carries.
    return _bucket("s3", name, prefix, said, _login(config, login))


def azure_bucket(url: str, options: Mapping[str, Any]) -> Bucket:
    """Return a container of Azure and how to ask it, from a URL and options of adlfs.

    >>> azure_bucket("az://c/a.zarr", {"account_name": "lab", "anon": True}).config
    (('account_name', 'lab'), ('skip_signature', 'true'))
    """
    name, prefix = _place(url)
    merged = {**_configured("abfs", "az", "abfss"), **options}
    for word in IN_ENVIRONMENT:
        if merged.get(word) is None and f"AZURE_STORAGE_{word.upper()}" in os.environ:
            merged[word] = os.environ[f"AZURE_STORAGE_{word.upper()}"]
    connection = merged.pop("connection_string", None)
    said = _said(merged, AZURE_WORDS)
    said["config"] |= _connection(connection) if connection else {}
    said["config"] = _azure_login(said["config"])
    return _bucket("az", name, prefix, said, None)


def _bucket(scheme: str, name: str, prefix: str, said: dict[str, dict[str, Any]], login: Any) -> Bucket:
    client, config = said["client"], said["config"]
    if str(config.get("endpoint", "")).startswith("http://"):
        client["allow_http"] = "true"
    return Bucket(scheme, name, prefix, _pairs(config), _pairs(client), login, **said["bucket"])


def _place(url: str) -> tuple[str, str]:
    """Return the bucket of a URL, and the path in it."""
    found = PLACE.fullmatch(url)
    path = found["path"].removeprefix("/").rstrip("/") if found else ""
    if not found or (path and {"", ".", ".."} & set(path.split("/"))):
        raise Unheard
    return found["name"], path


def _configured(*protocols: str) -> dict[str, Any]:
    """Return the options that fsspec's own configuration, such as ``FSSPEC_S3_KEY``, sets for a file system."""
    from fsspec.config import conf

    return {word: value for protocol in protocols for word, value in conf.get(protocol, {}).items()}


def _said(options: Mapping[str, Any], words: Mapping[str, Word]) -> dict[str, dict[str, Any]]:
    """Return options by the parts to which they go. What is None is not set; what comes first counts."""
    said: dict[str, dict[str, Any]] = {part: {} for part in ("config", "client", "login", "bucket", "nothing")}
    for name, value in _flat(options):
        if name not in words:
            raise Unheard
        word = words[name]
        said[word.part].setdefault(word.name, word.value(value))
    return said


def _flat(options: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield options, those in dictionaries after those beside them, which count more.

    >>> list(_flat({"client_kwargs": {"verify": False}, "key": "k", "token": None}))
    [('key', 'k'), ('client_kwargs.verify', False)]
    """
    for name, value in options.items():
        if not isinstance(value, Mapping) and value is not None:
            yield f"{above}{name}", value
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")


def _pairs(settings: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, str(value)) for name, value in settings.items() if value is not None))


def _login(config: dict[str, Any], login: Mapping[str, str]) -> Any:
    """Return how a bucket of S3 is signed in to; None where nothing is signed."""
    if config.get("skip_signature") == "true":
        return None
    given = {name: value for name, value in login.items() if name != "profile"}
    if not given:
        return FoundLogin(login.get("profile"))
    if "profile" in login or not {"key", "secret"} <= set(given):
        raise Unheard
    return GivenLogin(**given)


def _azure_login(config: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an account with one way to sign in. Others, such as the machine's, are adlfs's."""
    way = next((way for way, names in LOGINS.items() if set(names) <= set(config)), None)
    if not config.get("account_name") or (way is None and config.get("skip_signature") != "true"):
        raise Unheard
    used = LOGINS[way] if way else ("skip_signature",)
    others = {"skip_signature", *(name for names in LOGINS.values() for name in names)} - set(used)
    return {name: value for name, value in config.items() if name not in others} | (
        {"credential_type": way} if way else {}
    )


def _connection(text: str) -> dict[str, str]:
    """Return the settings in a connection string of Azure's.

    >>> _connection("AccountName=lab;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/lab")
    {'account_name': 'lab', 'account_key': 'a2V5', 'endpoint': 'http://127.0.0.1:1/lab'}
    """
    pairs = dict(pair.split("=", 1) for pair in text.split(";") if "=" in pair)
    known = {**CONNECTION, "DefaultEndpointsProtocol": "", "EndpointSuffix": ""}
    suffix = pairs.get("EndpointSuffix", "core.windows.net")
    if not set(pairs) <= set(known) or (suffix != "core.windows.net" and "BlobEndpoint" not in pairs):
        raise Unheard
    return {known[name]: value for name, value in pairs.items() if known[name]}


def region_of(bucket: str) -> str | None:
    """Return where a bucket of Amazon's lies, by one request; None if it is not known. Other regions refuse it."""
    with suppress(OSError, http.client.HTTPException):
        return _answered_region(bucket)
    return None


@lru_cache
def _answered_region(bucket: str) -> str | None:
    """Return the region that Amazon answers; an error is not kept."""
    with closing(http.client.HTTPSConnection(AWS, timeout=5)) as connection:
        connection.request("HEAD", f"/{bucket}")
        return connection.getresponse().getheader("x-amz-bucket-region")
