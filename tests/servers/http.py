"""How a message of HTTP says where it ends, without a socket: what proxies need to know of it, and no more."""

import re
from collections.abc import Generator

END = b"\r\n\r\n"
Parts = Generator[int, bytes, None]
"""The parts of a body, as they have to be read."""


def asked(head: bytes) -> tuple[str, str]:
    """Return the method and the target of a request."""
    method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    return method, target


def expects(head: bytes) -> bool:
    """Whether the client sends the body only when it has been told to go on."""
    return b"\r\nexpect: 100-continue" in head.lower()


def is_interim(head: bytes) -> bool:
    """Whether an answer only tells the client to go on."""
    return head.startswith(b"HTTP/1.1 100")


def answer_body(method: str, head: bytes) -> Parts:
    """Return the body of an answer to a request, as `body` does; some have none, whatever their headers say."""
    bare = method == "HEAD" or head.split(b" ", 2)[1] in (b"100", b"204", b"304")
    return body(b"" if bare else head)


def body(head: bytes) -> Parts:
    """Yield the parts of the body that follows a head: how many bytes, or 0 for a line, which is sent back.

    >>> list(body(b"PUT /a HTTP/1.1\\r\\nContent-Length: 5\\r\\n\\r\\n"))
    [5]
    """
    headers = head.lower()
    if b"\r\ntransfer-encoding: chunked" in headers:
        yield from _chunked()
    length = re.search(rb"\r\ncontent-length: *(\d+)", headers)
    if length and int(length.group(1)):
        yield int(length.group(1))


def _chunked() -> Parts:
    while size := int((yield 0).split(b";")[0], 16):
        yield size + 2
    while (yield 0) != b"\r\n":  # Trailers, such as checksums.
        pass
