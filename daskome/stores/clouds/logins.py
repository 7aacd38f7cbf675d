"""Credentials for S3, with which obstore signs: those that a caller gives, or those that botocore finds.

obstore knows neither ``~/.aws`` nor profiles. Imported only where a bucket is opened with it.
"""

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FRESH = timedelta(minutes=5)
"""How long credentials of the environment are used until they are looked up again; botocore renews those that expire
earlier than this."""

LOOKING_UP = threading.Lock()
"""Held by the thread of obstore that looks credentials up, which may take seconds, and by a process that ends."""
CERTIFICATES = "AWS_CA_BUNDLE"
VARIABLES = ("region", "ca_bundle", "use_fips_endpoint", "use_dualstack_endpoint")


@dataclass(frozen=True, repr=False)
class GivenLogin:
    """Credentials that a caller has given."""

    key: str
    secret: str
    token: str | None = None

    def __call__(self) -> dict[str, Any]:
        """Return them as obstore wants them."""
        return _credential(self.key, self.secret, self.token, None)


@dataclass(frozen=True)
class FoundLogin:
    """Credentials of the process that signs, as botocore finds them: the environment's, a profile's, a role's."""

    profile: str | None = None

    def __call__(self) -> dict[str, Any]:
        """Return them as obstore wants them."""
        with LOOKING_UP:
            found = _session(self.profile).get_credentials()
            if found is None:
                raise PermissionError("no credentials found; give key and secret, or anon=True for what is public")
            now = found.get_frozen_credentials()
        return _credential(now.access_key, now.secret_key, now.token, datetime.now(UTC) + FRESH)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment and ``~/.aws`` say of S3, but for credentials.

    Attributes
    ----------
    region, endpoint : str, optional
    certificates : str
        The file of those that are trusted; empty for those of the system.
    special : bool
        Whether there are settings that only botocore knows.
    """

    region: str | None = None
    endpoint: str | None = None
    certificates: str = ""
    special: bool = False


def surroundings(profile: str | None) -> Surroundings:
    """Return what is configured here. Where nothing is, botocore need not be imported to know."""
    files = any(Path(name).expanduser().exists() for name in ("~/.aws/config", "~/.aws/credentials"))
    if not files and profile is None and not {name for name in os.environ if name.startswith("AWS_")} - {CERTIFICATES}:
        return Surroundings(certificates=os.environ.get(CERTIFICATES, ""))
    from botocore.configprovider import ConfiguredEndpointProvider

    session = _session(profile)
    scoped: Mapping[str, Any] = session.get_scoped_config()
    region, certificates, fips, dual = (session.get_config_variable(name) for name in VARIABLES)
    endpoint = ConfiguredEndpointProvider(session.full_config, scoped, "s3").provide()
    return Surroundings(region, endpoint, certificates or "", bool(fips or dual or "s3" in scoped))


def _session(profile: str | None) -> Any:
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session

    session = Session(profile=profile)
    try:
        session.get_scoped_config()
    except ProfileNotFound as error:
        raise ValueError(f"{error}; profiles are in ~/.aws/config") from error
    return session


def _credential(key: str, secret: str, token: str | None, expires: datetime | None) -> dict[str, Any]:
    return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": expires}
