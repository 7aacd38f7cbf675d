"""What follows from the target of a call: the version of what is there, who will write, and what a plan may do.

zarr and Dask are imported where they are needed: planning for other workers without a target needs neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from daskome._caller import warn
from daskome.model.source import Source, StoredChunks
from daskome.model.text import parse_nbytes
from daskome.model.types import FormatLike, Nbytes
from daskome.ome.detect import version_in
from daskome.ome.versions import DEFAULT_VERSION, Version, find_version, stated_version, version_of
from daskome.planning.work import PlanOptions, Workers
from daskome.writing.description import Planned, warn_of_loss, warn_of_what_is_left
from daskome.writing.options import Arguments, check_bool, check_whole, chosen

if TYPE_CHECKING:
    from zarr.storage import StorePath

TargetPath = TypeVar("TargetPath", bound="StorePath | None")


def choose_version(fmt: FormatLike | None, store_path: "StorePath | None") -> Version:
    """Return the version that the caller names; without one, that of the group at the target, or the default.

    A group without OME metadata has the newest version that fits its zarr format.
    """
    if fmt is not None:
        return find_version(fmt)
    if store_path is None:
        return DEFAULT_VERSION
    from daskome.stores.groups import find_group

    group = find_group(store_path)
    if group is None:
        return DEFAULT_VERSION
    stated = stated_version(version_in(group.attrs.asdict()))
    fits = stated is not None and stated.arrays.zarr_format == group.metadata.zarr_format
    return stated if stated is not None and fits else version_of(group.metadata.zarr_format)


def check_zarr_format(group: Any, version: Version) -> None:
    """Raise a ValueError for an open group of another zarr format than that of the version."""
    document = getattr(group, "metadata", None)
    stored = getattr(document, "zarr_format", version.arrays.zarr_format)
    if stored != version.arrays.zarr_format:
        raise ValueError(
            f"Group is zarr_format: {stored}, but OME-Zarr {version.name} is stored in {version.arrays.zarr_format};"
            " leave fmt out to follow the group"
        )


def check_same_version(store_path: "StorePath", version: Version) -> None:
    """Raise a ValueError if a group states another version: one hierarchy has one (0.5 and newer, "version")."""
    from daskome.stores.groups import read_attributes

    stated = version_in(read_attributes(store_path) or {})
    if stated is not None and stated_version(stated) != version:
        raise ValueError(
            f"{store_path} is in OME-Zarr {stated}, so what is added to it cannot be in {version.name} (section"
            " 'version'); leave fmt out to follow it"
        )


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """For whom a caller wants a plan, and what it may do: the arguments of the same names of `daskome.plan_image`."""

    memory: Nbytes | None = None
    staging: bool = False
    check_source: bool = False
    in_flight: int | None = None
    workers: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("staging", "check_source"):
            check_bool(name, getattr(self, name))
        for name, least in (("workers", 1), ("threads", 1), ("in_flight", 0)):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), least)
        if self.memory is not None:
            parse_nbytes(self.memory, "memory")


def plan_call(
    planner: "Callable[[Arguments, TargetPath, Version, PlanOptions], Planned]",
    arguments: Arguments,
    target: TargetPath,
) -> Planned:
    """Return the plan of a call, and the images that it reads; warn of what its version cannot store.

    Parameters
    ----------
    planner : callable
        Makes the plan from the arguments, the target, the version and the options of the planner.
    arguments : dict
        All arguments of the public function by name.
    target : StorePath, optional
    """
    version = choose_version(arguments["fmt"], target)
    if not arguments.get("overwrite"):
        check_zarr_format(arguments["group"], version)
    request = chosen(PlanRequest, arguments)
    plan, sources = planner(arguments, target, version, plan_options(target, request))
    if request.check_source:
        plan = replace(plan, counted=counted_chunks(sources))
    warn_of_loss(version, plan.groups[0].metadata)
    warn_of_what_is_left(sources)
    return plan, sources


def counted_chunks(sources: Sequence[Source]) -> tuple[StoredChunks, ...]:
    """Return how many chunks of each image are stored; warn if some are not."""
    from daskome.sources.stored_chunks import count_chunks

    counted = tuple(count for source in sources for count in count_chunks(source))
    if not counted:
        raise ValueError("check_source counts the chunks of zarr and HDF5 arrays; the image is none, so leave it out")
    for count in counted:
        if count.missing:
            warn(str(count))
    return counted


def plan_options(store_path: "StorePath | None", request: PlanRequest) -> PlanOptions:
    """Return the options of the planner: the only place that makes them from what a caller wants."""
    deletes = store_path is None or store_path.store.supports_deletes
    sharded = store_path is not None and _is_in_one_file(store_path)
    return PlanOptions(_workers(store_path, request), staging=request.staging, deletes=deletes, sharded=sharded)


def _is_in_one_file(store_path: "StorePath") -> bool:
    """Whether a target is a single file, or is to be one."""
    from daskome.stores.archives.archive_store import ArchiveStore
    from daskome.stores.kinds import unwrap_store
    from daskome.stores.location import single_file_of

    return isinstance(unwrap_store(store_path.store), ArchiveStore) or single_file_of(store_path) is not None


def _workers(store_path: "StorePath | None", request: PlanRequest) -> Workers:
    """Return the workers that a caller describes; without a number of them, those that would write now."""
    if request.workers is not None:
        memory = None if request.memory is None else parse_nbytes(request.memory, "memory")
        return Workers(request.workers, request.threads or 1, memory, in_flight=_in_flight(store_path, request))
    from daskome.execution.executors import available_workers

    now = available_workers(store_path, request.memory)
    in_flight = now.in_flight if request.in_flight is None else request.in_flight
    return replace(now, threads=request.threads or now.threads, in_flight=in_flight)


def _in_flight(store_path: "StorePath | None", request: PlanRequest) -> int:
    """Return how many objects may be on their way: as many as the caller says, or as the store takes."""
    if request.in_flight is not None or store_path is None:
        return request.in_flight or 0
    from daskome.stores.kinds import in_flight_to

    return in_flight_to(store_path)
