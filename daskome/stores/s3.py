"""Settings of S3 clients: retries, each after a longer wait, and an end to every wait for an answer.

Imported only where an S3 address is opened.
"""

import asyncio
from typing import Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import ReadTimeoutError

from daskome.stores.kinds import IN_FLIGHT

SLOWEST = 1_000_000
"""Bytes per second: a request that sends its body more slowly counts as hanging."""


class Session(AIOHTTPSession):  # type: ignore[misc]  # It has no types.
    """Connections whose every request has an end, and needs one answer.

    botocore asks servers to confirm a PUT before it sends the body (``Expect: 100-continue``), which doubles the time
    that a far one takes. aiohttp starts to count the read timeout only after the body: a server that accepts the
    connection and then says nothing would be waited for without end.
    """

    async def send(self, request: Any) -> Any:
        """Send a request; give up after twice the read timeout, and the time that its body may take."""
        request.headers.pop("Expect", None)
        patience = 2 * (self._timeout.sock_read or 60) + _length(request.body) / SLOWEST
        try:
            return await asyncio.wait_for(super().send(request), patience)
        except TimeoutError as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error


PATIENCE: dict[str, Any] = {
    "retries": {"mode": "standard", "total_max_attempts": 8},
    "read_timeout": 20,
    "http_session_cls": Session,
    "max_pool_connections": 2 * IN_FLIGHT,
}
"""``config_kwargs`` of s3fs, each unless the caller sets it: what is answered with 5xx, asked to slow down, dropped or
not answered is tried again."""
REQUESTS_PER_FILE = 1
"""``max_concurrency`` of s3fs: the parts of an object that travel at once. With more, s3fs asks for the size of every
object before it reads it, and looks below one that isn't there: twice the requests for chunks and documents, which are
whole in one. Many objects travel at once anyway."""


def _length(body: Any) -> int:
    """Return the bytes of the body of a request: None, bytes, or a file."""
    if hasattr(body, "seek"):
        at = body.tell()
        size: int = body.seek(0, 2) - at
        body.seek(at)
        return size
    return len(body or b"")
