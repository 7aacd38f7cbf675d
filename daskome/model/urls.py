"""URLs as they may be shown: without the logins and signed queries by which others could do what a caller can."""

import re
from urllib.parse import unquote

URL_LOGIN = re.compile(r"(?P<scheme>[\w.+-]+)://(?:[^/\s\[]*:(?!\d+(?:[/\s]|$))[^\s@]*@(?:[^/\s]*@)?|[^/\s]*@)")
"""What stands before the host of a URL. Passwords may hold anything but spaces; what looks like a port is one."""
QUERY = re.compile(r"(?P<url>[\w.+-]+://[^\s?'\"<>]*)\?[^\s'\"<>]*")
SIGNED = re.compile(r"\?(?:[^\s]*&)?(?P<name>[\w-]*(?:sig|signature|token|credential|secret|password))=", re.IGNORECASE)
"""A query that lets others in."""
WEB = frozenset(("http", "https"))
"""The schemes whose requests sign in by a header, and have a query."""
NO_LOGINS = frozenset(("abfs", "abfss", "az", "git", "github"))
"""The schemes that have something else before an @, such as the name of a container."""


def without_credentials(text: str) -> str:
    """Return a URL, or a text with URLs in it, without what stands before their hosts and in their queries.

    >>> without_credentials("reading http://me:secret@host:80/a.zarr?sig=abc failed")
    'reading http://host:80/a.zarr?… failed'
    >>> without_credentials("simplecache::https://token@host/a"), without_credentials("abfs://container@account/a?b")
    ('simplecache::https://host/a', 'abfs://container@account/a?…')
    """
    if "://" not in text:
        return text
    return QUERY.sub(r"\g<url>?…", URL_LOGIN.sub(_without_login, text))


def _without_login(found: re.Match[str]) -> str:
    return found[0] if found["scheme"] in NO_LOGINS else f"{found['scheme']}://"


def shown_error(error: BaseException) -> str:
    """Return what an error says, with its type, and without credentials in the URLs that it quotes.

    That is its repr; but for a file, whose name the repr leaves out.

    >>> shown_error(FileNotFoundError(2, "No such file", "a.tif")), shown_error(KeyError("shape"))
    ("FileNotFoundError: [Errno 2] No such file: 'a.tif'", "KeyError('shape')")
    """
    names_a_file = isinstance(error, OSError) and error.filename is not None
    return without_credentials(f"{type(error).__name__}: {error}" if names_a_file else repr(error))


def cause_of(error: BaseException) -> BaseException | None:
    """Return an error as the cause of another; None if it, or what led to it, quotes credentials."""
    chain: list[BaseException] = [error]
    while (following := chain[-1].__cause__ or chain[-1].__context__) is not None and following not in chain:
        chain.append(following)
    texts = [text for one in chain for text in (str(one), repr(one))]
    return error if all(without_credentials(text) == text for text in texts) else None


def place_of(path: str) -> str:
    """Return what of a path or URL says who answers there: the host or bucket; of files of this machine, nothing.

    Of chained URLs it is the whole of them: each is a place of its own.

    >>> place_of("s3://bucket/a/b.zarr"), place_of("/data/a.tif"), place_of("simplecache::s3://bucket/a")
    ('s3://bucket', '', 'simplecache::s3://bucket/a')
    """
    if "::" in path and "://" in path:
        return path
    scheme, separator, rest = path.partition("://")
    local = not separator or scheme in ("file", "local")
    return "" if local else f"{scheme}://{rest.partition('/')[0]}".lower()


def lies_in(path: str, named: str) -> bool:
    """Whether a path or URL is another one, lies below it, or is a part of what is there, such as ``a.h5::raw``.

    >>> lies_in("/data/plate/A/1", "/data/plate"), lies_in("/data/plates", "/data/plate"), lies_in("/a/../b", "/a")
    (True, False, False)
    """
    inside = path == named or path.startswith((f"{named.rstrip('/')}/", f"{named}::"))
    return inside and ".." not in unquote(path).split("/")
