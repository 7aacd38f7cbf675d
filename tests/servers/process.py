"""Server processes that end with the tests, whatever happens to these."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PR_SET_PDEATHSIG = 1


def free_ports(n: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def answers(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def daemon(
    command: Sequence[str | os.PathLike[str]], log: Path | None, grace: float = 10
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the foreground as a child that dies with us; its output goes to `log`.

    Without a log, its input and output are pipes.
    """
    with ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        pipes = [subprocess.DEVNULL, output, subprocess.STDOUT] if output else [subprocess.PIPE, subprocess.PIPE, None]
        process = subprocess.Popen(
            command, stdin=pipes[0], stdout=pipes[1], stderr=pipes[2], preexec_fn=_die_with_parent
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in filter(None, (process.stdin, process.stdout)):
            pipe.close()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    """Wait until a server is ready; if it ends or takes too long, say why."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "still starts" if process.poll() is None else f"ended with status {process.poll()}"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{process.args!r} {state}; its log ends:\n{tail}")
        time.sleep(0.05)


def _die_with_parent() -> None:
    """Ask Linux to end this process when the tests are killed; elsewhere they are only ended in the ordinary way."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
