"""A plan with all it needs to be carried out, now or later."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

from dask.delayed import Delayed, delayed
from zarr.storage import StorePath

from daskome import occupied, pools, run, storage
from daskome.metadata import merged
from daskome.plan import Plan
from daskome.sources import Source, stored_at


@dataclass(frozen=True, slots=True)
class Task:
    """What is written, from what, where, and what may be replaced there."""

    plan: Plan
    sources: Sequence[Source]
    place: StorePath
    overwrite: bool = False
    retries: int = 2

    def check(self) -> None:
        """Raise for what is in the way, or read while it is written."""
        occupied.check_apart(self.place, self.plan, [a for source in self.sources for a in stored_at(source)])
        occupied.replaceable(self.place, self.plan, self.overwrite)
        for group in self.plan.groups:
            if group.metadata.labels is not None or group.metadata.plate is not None:
                merged(storage.attributes(self.place / group.path) or {}, group.metadata)

    def create(self) -> None:
        """Make what is to be filled; what is there may have changed since it was checked."""
        storage.create(self.place, self.plan, occupied.replaceable(self.place, self.plan, self.overwrite))

    def now(self, progress: run.Progress | None) -> Plan:
        """Write, and publish."""
        self.create()
        run.run(self.plan, self.sources, self.place, self.retries, progress)
        run.finish(self.plan, self.place)
        return self.plan

    def later(self) -> "Later":
        """Return a graph that does the same: a task per unit, a barrier per stage."""
        barrier = _delay("create", _create, replace(self, sources=()), os.getpid())(None)
        for stage in range(len(self.plan.stages)):
            units = [self._unit(job, barrier) for job in run.jobs(self.plan, stage, self.sources, self.place)]
            barrier = _delay("barrier", _all_done)(units)
        done = _delay("finish", _finish, self.plan, self.place)(barrier)
        return Later(done.key, done.dask)

    def _unit(self, job: run.Job, barrier: Delayed) -> Delayed:
        """Return a unit as a task; what its image holds in memory comes to it as arguments."""
        bare, keys, values = pools.detached(job)
        name = f"stage-{job.unit.stage}"
        return _delay(name, pools.attempt, bare, keys, self.plan.describe(job.unit), self.retries)(values, barrier)


class Later(Delayed):  # type: ignore[misc]
    """A `Delayed` that is a list of itself, too: ome_zarr returns a list, so its users say ``dask.compute(*later)``."""

    __slots__ = ()

    def __iter__(self) -> Iterator["Later"]:
        yield self

    def __len__(self) -> int:
        return 1


def _delay(name: str, function: Callable[..., Any], *args: Any) -> Callable[..., Delayed]:
    """Return what makes a task of `function`; its `args` are kept from Dask, which would compute arrays in them."""
    call = delayed(partial(function, *args), traverse=False, pure=False)
    return partial(call, dask_key_name=f"daskome-{name}-{uuid4().hex}")


def _create(task: Task, builder: int, after: None) -> None:
    if storage.is_local_to_process(task.place) and os.getpid() != builder:
        raise ValueError(f"{task.place} lives in the process that opened it; other processes can't write it")
    task.create()


def _all_done(units: list[None]) -> None:
    return None


def _finish(plan: Plan, place: StorePath, after: None) -> Plan:
    run.finish(plan, place)
    return plan
