"""Which scheduler runs the units of a call: the one that Dask is set to, as far as it can from where the call is made.

=========================  ==========================================================
``scheduler`` of Dask      who runs units
=========================  ==========================================================
not set                    the workers of the active client; without one, threads
"threads"                  threads of this process
"synchronous"              the thread that calls
"processes"                processes of this machine, one unit each at a time
"distributed", a client    the workers of the client
a function, an executor    that function, one unit a call
=========================  ==========================================================

A store that only this process can reach is written by its threads, whatever is set.

A call in a task of a cluster writes there, with the task's share of its worker: units sent to the cluster might wait
for the thread that waits for them. A task that has left its thread to others (`distributed.worker_client`,
`distributed.secede`) keeps nobody waiting, so its units go to the whole cluster.
"""

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dask
import dask.multiprocessing
import dask.threaded
from dask.base import get_scheduler, named_schedulers
from dask.local import get_sync
from zarr.storage import StorePath

from daskome.stores.location import is_local_to_process

Get = Callable[..., Any]
"""A scheduler as Dask knows it: ``get(graph, keys)``."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process; 0 for the thread that calls."""

    n: int


@dataclass(frozen=True, slots=True)
class Processes:
    """Processes of this machine."""

    n: int


@dataclass(frozen=True, slots=True)
class SchedulingFunction:
    """A function that schedules graphs, called by threads of this process with one unit each."""

    get: Get
    n: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """The workers of a client."""

    client: Any


Scheduling = Threads | Processes | SchedulingFunction | Cluster
BY_NAME: dict[Any, Callable[[int], Scheduling]] = {
    dask.threaded.get: Threads,
    get_sync: lambda n: Threads(0),
    dask.multiprocessing.get: Processes,
}
"""What Dask's own schedulers, by the functions behind their names, are here; each made from a number of threads."""
UNIT_PREFIX = "daskome-from-"
"""Before the names of tasks of units: what they read follows."""
DISTRIBUTED = ("distributed", "dask.distributed")
"""Names of the active client."""


def scheduler_for(target: StorePath | None) -> Scheduling:
    """Return what runs the units of a target; without one, those of any target that workers can reach.

    Raises
    ------
    RuntimeError
        If that is an asynchronous client, whose event loop the call would block.
    ValueError
        If Dask is set to something that is not a scheduler.
    """
    setting, n = _setting(), n_threads()
    if target is not None and is_local_to_process(target):
        return Threads(0 if setting is get_sync else n)
    client = active_client() if setting is None else getattr(setting, "__self__", setting)
    if client is None or (is_client(client) and _would_wait_for_itself(client)):
        return Threads(n)
    if not is_client(client):
        return _made_of(setting, n)
    return _made_of(_fallback(), n) if client.asynchronous else Cluster(client)


def is_client(value: Any) -> bool:
    """Whether a value is a client of `distributed`, or of what behaves as one."""
    return hasattr(value, "scheduler_info")


def _made_of(setting: Any, n: int) -> Scheduling:
    """Return one of Dask's schedulers by its name or function, or what stands for another function or executor."""
    get = get_scheduler(scheduler=setting)
    return BY_NAME[get](n) if get in BY_NAME else SchedulingFunction(get, n)


def _fallback() -> str:
    """Return what Dask is set to use instead of an asynchronous client (its ``admin.async-client-fallback``)."""
    fallback = dask.config.get("admin.async-client-fallback", None)
    if not fallback:
        raise RuntimeError(
            "the active Dask client is asynchronous, and this call would block the event loop that it needs. Call it in"
            " a thread, as in `await asyncio.to_thread(daskome.write_image, …)`; or let threads of this process write,"
            " with dask.config.set(scheduler='threads')"
        )
    return str(fallback)


def _would_wait_for_itself(client: Any) -> bool:
    """Whether this call holds a thread of the client's cluster, and so may wait for units that wait for that thread."""
    worker = task_worker()
    return worker is not None and (client.asynchronous or worker.address in workers_of(client))


def workers_of(client: Any) -> dict[str, Any]:
    """Return what the scheduler knows of each worker, by their addresses."""
    workers: dict[str, Any] = client.scheduler_info(n_workers=-1)["workers"]
    return workers


def _setting() -> Any:
    """Return the scheduler that Dask is set to, Dask's own as functions; None for the active client."""
    setting = dask.config.get("scheduler", None)
    if not isinstance(setting, str):
        return setting
    name = setting.lower()
    return None if name in DISTRIBUTED else named_schedulers.get(name) or get_scheduler(scheduler=name)


def active_client() -> Any:
    """Return the active `distributed.Client`, or None; distributed is slow to import, and not imported for this."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed and distributed.Client.current()
    except ValueError:
        return None


def n_threads() -> int:
    """Return how many threads of this process are to be used: as Dask is set; in a task of a cluster, the task's."""
    if _setting() is get_sync:
        return 1
    return int(dask.config.get("num_workers", None) or (1 if task_worker() else dask.system.CPU_COUNT))


def task_worker() -> Any:
    """Return the worker one of whose tasks makes this call, and holds a thread meanwhile; None elsewhere.

    A thread that a task has started is not known to Dask. In a process whose workers are busy, any thread but the first
    may be one.
    """
    if "distributed" not in sys.modules:
        return None
    from distributed import get_worker
    from distributed.threadpoolexecutor import thread_state

    try:
        worker = get_worker()
    except ValueError:
        return None if threading.current_thread() is threading.main_thread() else _busy_worker()
    return worker if getattr(thread_state, "proceed", True) else None


def _busy_worker() -> Any:
    """Return a worker in this process that runs a task, other than units of another call."""
    from distributed import Worker

    keys = {worker: [*worker.active_threads.values()] for worker in tuple(Worker._instances)}
    return next(
        (worker for worker, all_ in keys.items() if any(not str(k).startswith(UNIT_PREFIX) for k in all_)), None
    )
