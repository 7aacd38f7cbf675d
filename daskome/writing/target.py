"""What a caller asks for, as far as it depends on the world: the version of what is there, and who will write."""

from typing import Any

from zarr.storage import StorePath

from daskome.execution.executors import available_workers
from daskome.ome.detect import version_in
from daskome.ome.versions import DEFAULT_VERSION, VERSIONS, Version, find_version, version_of
from daskome.planning.work import PlanOptions
from daskome.stores.groups import find_group, read_attributes


def choose_version(fmt: Any, place: StorePath | None) -> Version:
    """Return the version asked for; else that of the group that is there, or the newest in use.

    A group without OME metadata has the newest version that fits its zarr format.
    """
    group = None if place is None else find_group(place)
    if fmt is not None:
        return find_version(fmt)
    if group is None:
        return DEFAULT_VERSION
    stated = VERSIONS.get(version_in(group.attrs.asdict()) or "")
    fits = stated is not None and stated.arrays.zarr_format == group.metadata.zarr_format
    return stated if stated is not None and fits else version_of(group.metadata.zarr_format)


def check_same_version(place: StorePath, version: Version) -> None:
    """Raise a ValueError if a group states another version: one hierarchy has one (0.5 and newer, "version")."""
    stated = version_in(read_attributes(place) or {})
    if stated is not None and stated != version.name:
        raise ValueError(
            f"{place} is in OME-Zarr {stated}, so what is added to it can't be in {version.name} (section 'version');"
            " leave fmt out to follow it"
        )


def target_workers(place: StorePath | None, memory: int | str | None, staging: bool = False) -> PlanOptions:
    """Return who would write there, each with this much memory, and whether a plan may use temporary copies."""
    deletes = place is None or place.store.supports_deletes
    return PlanOptions(available_workers(place, memory), staging=staging, deletes=deletes)
