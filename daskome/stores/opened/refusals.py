"""What stores raise where they give no object: a login may not, or nothing is there.

Each client has errors of its own for that, many of them no OSErrors: a row of all for each refusal.
"""

import errno
from dataclasses import dataclass

STATUS_NAMES = ("code", "status", "status_code")
"""What clients call the status of HTTP in their errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A kind of refusal, told by errors of these types or names, with these statuses of HTTP or numbers of the system.

    Of some errors, only `words` in their text tell it, in lower case.
    """

    errors: tuple[type[Exception], ...]
    names: frozenset[str]
    statuses: frozenset[str]
    numbers: frozenset[int] = frozenset()
    words: tuple[str, ...] = ()

    def is_told_by(self, error: Exception) -> bool:
        """Whether an error is of this kind."""
        statuses = {str(getattr(error, name, "")) for name in STATUS_NAMES}
        text = str(error).lower()
        return (
            isinstance(error, self.errors)
            or type(error).__name__ in self.names
            or bool(statuses & self.statuses)
            or getattr(error, "errno", None) in self.numbers
            or any(word in text for word in self.words)
        )


DENIED = Refusal(
    errors=(PermissionError,),
    names=frozenset(("PermissionDeniedError", "UnauthenticatedError")),
    statuses=frozenset(("401", "403")),
    numbers=frozenset((errno.EACCES, errno.EPERM, errno.EROFS)),
    words=("access denied", "accessdenied", "access_denied", "permission denied"),
)
ABSENT = Refusal(
    errors=(FileNotFoundError, NotADirectoryError), names=frozenset(("NotFoundError",)), statuses=frozenset(("404",))
)


def is_denied(error: Exception) -> bool:
    """Whether a store refuses a request for good, rather than that it failed.

    >>> is_denied(PermissionError()), is_denied(OSError(30, "Read-only file system")), is_denied(TimeoutError())
    (True, True, False)
    """
    return DENIED.is_told_by(error)


def is_withheld(error: Exception) -> bool:
    """Whether an error says that something is not there, or not to be seen.

    >>> is_withheld(PermissionError()), is_withheld(FileNotFoundError()), is_withheld(TimeoutError())
    (True, True, False)
    """
    return DENIED.is_told_by(error) or ABSENT.is_told_by(error)
