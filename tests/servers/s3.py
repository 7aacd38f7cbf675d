"""An S3 server on loopback: Ceph's RGW where Debian's packages are installed, else moto's.

RGW is what many institutes run in earnest: it checks signatures, throttles with real 503s, and can refuse. moto comes from
PyPI and needs no root, but takes any secret.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import s3fs

from tests.servers.process import answers, daemon, free_ports, wait_until

KEY = "AKIDASKOMETESTS"
SECRET = "s3cr3t-that-nobody-must-ever-read"
CEPH = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "rados", "monmaptool", "ceph-authtool")


@dataclass(frozen=True)
class S3:
    """A running server: where it is, who may use it, and whether it is Ceph or moto.

    `options` are the ``fs_options`` for it; `bucket()` makes a new bucket and returns its name.
    """

    endpoint: str
    kind: str
    key: str = KEY
    secret: str = SECRET
    config: Path | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def options(self) -> dict[str, Any]:
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.endpoint}

    def filesystem(self) -> s3fs.S3FileSystem:
        """Return a file system of its own, with nothing cached: what other programs see."""
        return s3fs.S3FileSystem(**self.options, skip_instance_cache=True, use_listings_cache=False)

    def bucket(self) -> str:
        name = f"t{next(self._numbers)}-{uuid4().hex[:12]}"
        self.filesystem().mkdir(name)
        return name

    def contents(self, url: str) -> dict[str, bytes]:
        """Return every object below a URL and its bytes, by its path from there: as `tests.stores.contents`."""
        fs, root = self.filesystem(), url.removeprefix("s3://").rstrip("/")
        paths = sorted(fs.find(root))  # fs.cat takes paths for patterns.
        with ThreadPoolExecutor(8) as threads:
            return {
                path.removeprefix(f"{root}/"): data
                for path, data in zip(paths, threads.map(fs.cat_file, paths), strict=True)
            }

    def at(self, endpoint: str) -> "S3":
        """Return the same server as it is reached by another way, such as a proxy."""
        return replace(self, endpoint=endpoint)


def has_ceph() -> bool:
    return all(map(shutil.which, CEPH))


def has_moto() -> bool:
    return shutil.which("moto_server") is not None or (Path(sys.executable).parent / "moto_server").exists()


@contextmanager
def serve(folder: Path) -> Iterator[S3]:
    """Run the best S3 server that is installed."""
    with (ceph if has_ceph() else moto)(folder) as server:
        yield server


@contextmanager
def moto(folder: Path) -> Iterator[S3]:
    [port] = free_ports(1)
    log = folder / "moto.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with daemon(command, log) as process:
        wait_until(lambda: answers(port), process, log)
        yield S3(f"http://127.0.0.1:{port}", "moto")


@contextmanager
def ceph(folder: Path) -> Iterator[S3]:
    """Run a monitor, an OSD that keeps its objects in memory, and the gateway: a whole cluster, in about three seconds."""
    config, port = _configured(folder)
    with ExitStack() as stack:

        def start(*command: str) -> tuple[subprocess.Popen[bytes], Path]:
            log = folder / f"{command[0]}.out"
            return stack.enter_context(daemon([*command, "-f", "-c", str(config)], log)), log

        run = _Run(config)
        _make_monitor(run, folder)
        start("ceph-mon", "-i", "a")
        run("ceph", "--connect-timeout", "30", "-s")
        _make_osd(run, folder)
        osd, log = start("ceph-osd", "-i", "0")
        wait_until(lambda: "1 up" in run("ceph", "osd", "stat"), osd, log)
        gateway, log = start("radosgw", "-n", "client.rgw.a")
        wait_until(lambda: answers(port), gateway, log)
        user = ["--uid=test", "--display-name=test", f"--access-key={KEY}", f"--secret={SECRET}"]
        run("radosgw-admin", "-n", "client.rgw.a", "--admin-socket=", "user", "create", *user)
        _weigh_down(run, folder / "ballast")
        yield S3(f"http://127.0.0.1:{port}", "ceph", config=config)


@contextmanager
def throttled(server: S3, at_once: int = 2) -> Iterator[S3]:
    """Run a second gateway to the same buckets, which answers 503 SlowDown to more than so many requests at once."""
    options = {"rgw-scheduler-type": "throttler", "rgw-max-concurrent-requests": str(at_once)}
    with _second_gateway(server, "endpoint=127.0.0.1:{port}", options) as port:
        yield server.at(f"http://127.0.0.1:{port}")


@contextmanager
def secured(server: S3, folder: Path) -> Iterator[S3]:
    """Run a second gateway to the same buckets, reached by TLS alone; who trusts ``certificate.pem`` trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *named]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    frontend = f"ssl_endpoint=127.0.0.1:{{port}} ssl_certificate={certificate} ssl_private_key={key}"
    with _second_gateway(server, frontend, {}) as port:
        yield server.at(f"https://127.0.0.1:{port}")


@contextmanager
def _second_gateway(server: S3, frontend: str, options: dict[str, str]) -> Iterator[int]:
    assert server.config is not None, "only Ceph has further gateways"
    [port] = free_ports(1)
    folder = server.config.parent
    common = {
        "rgw-frontends": f"beast {frontend.format(port=port)} tcp_nodelay=1",
        "admin-socket": "",
        "log-file": str(folder / f"{port}.log"),
        "pid-file": str(folder / f"{port}.pid"),
    }
    command = ["radosgw", "-n", "client.rgw.a", "-f", "-c", str(server.config)]
    log = folder / f"{port}.out"
    with daemon([*command, *(f"--{key}={value}" for key, value in {**common, **options}.items())], log) as process:
        wait_until(lambda: answers(port), process, log)
        yield port


@dataclass(frozen=True)
class _Run:
    """A command of Ceph's, run to its end."""

    config: Path

    def __call__(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self.environment)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "CEPH_CONF": str(self.config)}


def _configured(folder: Path) -> tuple[Path, int]:
    for name in ("mon", "osd", "rgw", "log", "crash"):
        (folder / name).mkdir(parents=True)
    monitor, gateway = free_ports(2)
    config = folder / "ceph.conf"
    config.write_text(CONFIG.format(fsid=str(uuid4()), folder=folder, monitor=monitor, gateway=gateway))
    return config, gateway


def _make_monitor(run: _Run, folder: Path) -> None:
    """Make keys, and a monitor that knows them. (Without keys radosgw hangs when it starts.)"""
    settings = dict(line.split(" = ", 1) for line in run.config.read_text().splitlines() if " = " in line)
    keyring, monmap, fsid = str(folder / "keyring"), str(folder / "monmap"), settings["fsid"]
    run("monmaptool", "--create", "--addv", "a", settings["mon_host"], "--fsid", fsid, monmap)
    run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name, caps in KEYS.items():
        allowed = [word for service, may in caps.items() for word in ("--cap", service, may)]
        run("ceph-authtool", keyring, "--gen-key", "-n", name, *allowed)
    run("ceph-mon", "-i", "a", "--mkfs", "--keyring", keyring, "--monmap", monmap, "--fsid", fsid)


def _make_osd(run: _Run, folder: Path) -> None:
    number = str(uuid4())
    run("ceph", "osd", "new", number)
    run("ceph", "auth", "import", "-i", str(folder / "keyring"))
    run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)


def _weigh_down(run: _Run, ballast: Path) -> None:
    """Store what is never deleted, beside all buckets.

    What objects in memory are counted to take drifts as they come and go. Where all are deleted, it was less than nothing
    once in a while: for a store that counts without signs that is full, and it answered no write any more.
    """
    ballast.write_bytes(bytes(BALLAST_NBYTES))
    run("rados", "-p", ".rgw.root", "-N", "ballast", "put", "ballast", str(ballast))


BALLAST_NBYTES = 2**26
KEYS = {
    "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
    "client.rgw.a": {"mon": "allow rw", "osd": "allow rwx"},
    "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
}
CONFIG = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v2:127.0.0.1:{monitor}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
pid_file = {folder}/$name.pid
log_file = {folder}/log/$name.log
crash_dir = {folder}/crash
ms_bind_ipv4 = true
ms_bind_ipv6 = false
ms_bind_msgr1 = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/log/cluster.log
mon_data_avail_crit = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 6442450944
osd_class_load_list = *
osd_class_default_list = *
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1
rgw_data = {folder}/rgw
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
rgw_enable_ops_log = false
"""
"""Everything in one folder and on loopback. The two paxos settings cut the start from 13 s to 3 s."""
