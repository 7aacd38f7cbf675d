"""A Slurm of two nodes on this machine, of Debian's packages: what clusters run, with its queue, limits and signals."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import daemon, free_ports, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
MEMORY_CGROUP = Path("/sys/fs/cgroup/memory")
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "DEADLINE", "PREEMPTED"}


@dataclass(frozen=True)
class Slurm:
    """A running Slurm. Called with the words of a command, such as ``slurm("sbatch", …)``, it returns what that prints."""

    config: Path
    nodes: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What commands need to find it."""
        return {"SLURM_CONF": str(self.config)}

    def __call__(self, *command: str, cwd: Path | None = None, **environment: str) -> str:
        whole = os.environ | self.environment | environment
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=whole, cwd=cwd)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """Return the state of every job, by its number; of those in an array, by array and index, as in ``5_2``."""
        rows = self("squeue", "--array", "--noheader", "--states=all", "--format=%i %T").splitlines()
        return dict(sorted(row.split() for row in rows))

    def wait(self, *jobs: str, seconds: float = 60) -> dict[str, str]:
        """Wait until jobs, and all of their arrays, have ended; return their states."""
        deadline = time.monotonic() + seconds
        while True:
            states = {job: state for job, state in self.states().items() if job.partition("_")[0] in jobs}
            if all(state in ENDED for state in states.values()):
                return states
            if time.monotonic() > deadline:
                raise TimeoutError(f"jobs have not ended within {seconds} s:\n{self('squeue', '--array')}")
            time.sleep(0.2)


def missing() -> str:
    """Return why Slurm can't run here; empty if it can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"Slurm is not here ({', '.join(absent)}): apt-get install slurm-wlm munge slurm-client"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root to run jobs"


@contextmanager
def serve(folder: Path) -> Iterator[Slurm]:
    """Run the daemons: one that vouches for users, the controller, and one per node."""
    ports = free_ports(3)
    slurm = Slurm(folder / "slurm.conf", tuple(f"n{port}" for port in ports[1:]))
    _configure(folder, *ports)
    with ExitStack() as stack:

        def start(name: str, *command: str) -> tuple[subprocess.Popen[bytes], Path]:
            log = folder / f"{name}.out"
            return stack.enter_context(daemon(command, log)), log

        stack.callback(_remove_cgroups, slurm)
        with _environment(slurm.environment):
            munge, log = start("munged", *_munged(folder))
            wait_until((folder / "munge.socket").exists, munge, log)
            controller, log = start("slurmctld", "slurmctld", "-D", "-f", str(slurm.config))
            for node in slurm.nodes:
                start(node, "slurmd", "-D", "-f", str(slurm.config), "-N", node)
        stack.callback(_end_jobs, slurm)
        wait_until(lambda: _idle(slurm), controller, log)
        yield slurm


def _idle(slurm: Slurm) -> bool:
    with suppress(RuntimeError):  # The controller does not answer yet.
        return set(slurm("sinfo", "--noheader", "--Node", "--format=%T").split()) == {"idle"}
    return False


def _end_jobs(slurm: Slurm) -> None:
    """End all jobs, while there are daemons to do it."""
    with suppress(RuntimeError, subprocess.TimeoutExpired, TimeoutError):
        slurm("scancel", "--user=root")
        slurm.wait(*{job.partition("_")[0] for job in slurm.states()}, seconds=15)


@contextmanager
def _environment(extra: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(extra)
    try:
        yield
    finally:
        for key in extra:
            os.environ.pop(key)
        os.environ.update(before)


def _munged(folder: Path) -> list[str]:
    """Return the command of a munged of our own, with a new key; forced, since folders of tests are closed to others."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={folder / f'munge.{name}'}" for option, name in files.items()]
    return ["munged", "--foreground", "--force", *options]


def _configure(folder: Path, controller: int, *ports: int) -> None:
    """Write all that Slurm reads. Nodes are called by their ports: their control groups must be nobody else's."""
    (folder / "state").mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    nodes = [NODE.format(port=port, host=host) for port in ports]
    limits = BY_CGROUP if os.access(MEMORY_CGROUP, os.W_OK) else BY_POLLING
    text = CONFIG.format(host=host, folder=folder, controller=controller, limits=limits)
    (folder / "slurm.conf").write_text("\n".join([text, *nodes, PARTITIONS]))
    (folder / "cgroup.conf").write_text(CGROUP)


def _remove_cgroups(slurm: Slurm) -> None:
    """Remove the control groups that the nodes leave, which are folders; they are empty."""
    for node in slurm.nodes:
        for root in MEMORY_CGROUP.parent.glob(f"*/slurm_{node}"):
            for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
                folder.rmdir()
            root.rmdir()


CONFIG = """
ClusterName=daskome
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
{limits}"""
"""Memory is what jobs are given (CR_CPU_Memory; else --mem means nothing), all listen on loopback alone, and a job that
is requeued waits 6 s, not two minutes (cred_expire)."""
BY_CGROUP = "ProctrackType=proctrack/cgroup\nTaskPlugin=task/cgroup\nJobAcctGatherType=jobacct_gather/none"
BY_POLLING = """ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill"""
"""Who ends jobs that take too much memory: the kernel; or, without its control groups, Slurm, when it next looks."""
CGROUP = f"""CgroupPlugin=cgroup/v1
CgroupMountpoint={MEMORY_CGROUP.parent}
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedRAMSpace=100
"""
NODE = "NodeName=n{port} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=8000 State=UNKNOWN"
PARTITIONS = """PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""
