"""What clients raise for what is not allowed, not there, or has failed; each as its own package makes it."""

from collections.abc import Callable

import pytest

from daskome.stores.opened.refusals import is_denied, is_withheld


def of_gcsfs(code: int) -> Exception:
    error: Exception = pytest.importorskip("gcsfs.retry").HttpError({"code": code, "message": "it says why"})
    return error


def of_azure(status: int) -> Exception:
    error: Exception = pytest.importorskip("azure.core.exceptions").HttpResponseError("it says why")
    error.status_code = status  # type: ignore[attr-defined]
    return error


def of_obstore(name: str) -> Exception:
    error: Exception = getattr(pytest.importorskip("obstore.exceptions"), name)("it says why")
    return error


class OfOthers(OSError):
    """An error of a client's own, of which Python makes no PermissionError."""


DENIED: list[Callable[[], Exception]] = [
    lambda: PermissionError("no"),
    lambda: OSError(30, "Read-only file system"),
    lambda: OSError("Access denied"),
    lambda: OSError("Permission denied: user=me, access=WRITE"),
    lambda: OfOthers(13, "Permission denied"),
    lambda: OfOthers(1, "Operation not permitted"),
    lambda: OfOthers("[Error 0xc0000022] STATUS_ACCESS_DENIED"),
    lambda: of_gcsfs(403),
    lambda: of_azure(401),
    lambda: of_azure(403),
    lambda: of_obstore("PermissionDeniedError"),
    lambda: of_obstore("UnauthenticatedError"),
]
ABSENT: list[Callable[[], Exception]] = [
    lambda: FileNotFoundError("no"),
    lambda: NotADirectoryError("no"),
    lambda: of_gcsfs(404),
    lambda: of_azure(404),
    lambda: of_obstore("NotFoundError"),
]
FAILED: list[Callable[[], Exception]] = [
    lambda: OSError("503"),
    lambda: OSError(5, "Input/output error"),
    lambda: TimeoutError("late"),
    lambda: ConnectionError("refused"),
    lambda: of_gcsfs(503),
    lambda: of_azure(503),
    lambda: of_obstore("GenericError"),
]


@pytest.mark.parametrize("error", DENIED)
def test_what_a_login_may_not(error: Callable[[], Exception]) -> None:
    assert is_denied(error())
    assert is_withheld(error())


@pytest.mark.parametrize("error", ABSENT)
def test_what_is_not_there(error: Callable[[], Exception]) -> None:
    assert not is_denied(error())
    assert is_withheld(error())


@pytest.mark.parametrize("error", FAILED)
def test_what_has_failed(error: Callable[[], Exception]) -> None:
    assert not is_denied(error())
    assert not is_withheld(error())
