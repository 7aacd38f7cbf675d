"""What tests of several modules share."""

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator

import dask
import pytest
from distributed import Client, LocalCluster

import daskome
from daskome.model import limits
from daskome.stores import kinds
from tests import cuboid, strategies
from tests.servers import s3 as s3_server
from tests.servers.proxy import Proxy, proxy as run_proxy
from tests.servers.s3 import S3
from tests.written import contents

collect_ignore = ["house/typed_calls.py"]
"""Only type checkers read it."""
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
"""What gcsfs, when it is imported, takes to mean that it need not ask by gRPC, for a minute, what no emulator answers."""


def pytest_configure(config: pytest.Config) -> None:
    """Let laws try all of their examples, if not only the default suite runs.

    Ctrl-C works in the programs that tests start, too, where a shell in the background made this one ignore it.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    strategies.SHARE = strategies.SHARE if "not extended" in config.option.markexpr else 1


class TellAtOnce:
    """Names a test that failed when it did: a run that is stopped before its end prints no summary."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.reporter.write_line(f"\nFAILED {report.nodeid}, {report.when}, after {report.duration:.0f} s")


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        session.config.pluginmanager.register(TellAtOnce(reporter))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark most cases of tests with many as extended: ``sampled(5)`` leaves every fifth in the default suite."""
    seen: Counter[str] = Counter()
    for item in items:
        marker = item.get_closest_marker("sampled")
        if marker:
            name = item.nodeid.split("[")[0]
            if seen[name] % marker.args[0]:
                item.add_marker("extended")
            seen[name] += 1


TINY = limits.Limits(block_nbytes=1, frame_nbytes=1, unit_nbytes=2**14, tail_nbytes=2**12, copied_nbytes=2**12)


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan small images as if they were large ones: one stored object a block, many units, several stages."""
    plan_as_if_large(monkeypatch)


def plan_as_if_large(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(limits, "LIMITS", TINY)


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of `tests.cuboid`'s image, written block by block in one thread; whoever writes it must write these."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        plan_as_if_large(patch)
        plan = daskome.write_image(cuboid.image(), folder / "a", **cuboid.OPTIONS)
    assert plan.n_units > 10
    assert len(plan.stages) > 1
    return contents(folder / "a")


@pytest.fixture(autouse=True)
def _listening(caplog: pytest.LogCaptureFixture) -> None:
    """Let the handler of `caplog` hear everything again: a cluster with ``silence_logs``, as tests share, deafens it."""
    caplog.handler.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _limits_are_as_before() -> Iterator[None]:
    """No test leaves others to plan as if their images were large."""
    yield
    assert limits.Limits() == limits.LIMITS


@pytest.fixture(scope="session")
def _cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50) as local:
        yield local


@pytest.fixture
def client(_cluster: LocalCluster) -> Iterator[Client]:
    """Two workers, processes of their own, which all tests share; only within a test that asks are they Dask's default."""
    with Client(_cluster) as found:
        yield found


@pytest.fixture(params=["large", "small"])
def block_size(request: pytest.FixtureRequest) -> None:
    """Both ways of planning."""
    if request.param == "small":
        request.getfixturevalue("tiny_blocks")


@pytest.fixture(params=["obstore", pytest.param("fsspec", marks=pytest.mark.extended)])
def opened_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What opens URLs of buckets: obstore, or fsspec's file systems, as where obstore is not installed."""
    if request.param == "fsspec":
        monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    else:
        pytest.importorskip(request.param)
    return str(request.param)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """An S3 server on loopback; `s3.bucket()` makes a new bucket."""
    if not s3_server.has_ceph() and not s3_server.has_moto():
        missing = (
            "no S3 server is here: apt-get install ceph-mon ceph-osd radosgw ceph-common, or pip install moto[server]"
        )
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    with s3_server.serve(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def ceph(s3: S3) -> S3:
    """The S3 server, if it is Ceph's: it checks signatures, and throttles."""
    if s3.kind != "ceph":
        pytest.skip("this needs Ceph's gateway: apt-get install ceph-mon ceph-osd radosgw ceph-common")
    return s3


@pytest.fixture(scope="session")
def _proxy(s3: S3) -> Iterator[Proxy]:
    with run_proxy(s3.endpoint) as made:
        yield made


@pytest.fixture
def proxy(_proxy: Proxy) -> Proxy:
    """A way to the S3 server that counts requests, and makes the faults it is told: ``proxy.faults = Faults(…)``."""
    _proxy.reset()
    return _proxy
