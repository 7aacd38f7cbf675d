"""The fingerprints of the images of a run, from the records of the units that wrote the blocks in them."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np
import zarr
from zarr.storage import StorePath

from daskome.execution.runner import Run
from daskome.model import regions
from daskome.model.paths import join_paths
from daskome.model.problem import WriteError
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, format_region, slices, spread
from daskome.ome.detect import ome_of
from daskome.ome.fingerprint import (
    FINGERPRINT,
    MOST_BLOCKS,
    Fingerprint,
    block_region,
    checksum,
    parse_fingerprint,
    sampled,
)
from daskome.planning.groups.group import Change
from daskome.planning.plan import Plan
from daskome.planning.work import Pass
from daskome.stores import journal as journals
from daskome.stores.arrays import keeps_all, open_levels
from daskome.stores.objects import sync_codecs
from daskome.stores.remembered import for_each

CHECKED_NBYTES = 32 * 2**20
"""How many bytes of an image are held at a time, beside one block, to tell their checksums."""


class _Finest(NamedTuple):
    """The pass that writes level 0 of an image: its stage, and the index there of its first unit."""

    pass_: Pass
    stage: int
    first: int


def recorded_fingerprints(run: Run) -> dict[str, Fingerprint]:
    """Return the fingerprints of images by the paths of their groups.

    An image of which a record lacks a checksum, as one whose store keeps no journal, has none.
    """
    plan = run.plan
    finest = {one.pass_.group: one for one in _finest(plan)}
    images = [group.path for group, _ in plan.images if group.path in finest and not group.kept]
    wanted = {path: _keys(plan, finest[path]) for path in images}
    found = journals.readable_records(run.journal, list({key for each in wanted.values() for key in each.values()}))
    fingerprints = {}
    for path, keys in wanted.items():
        level = plan.pyramid_at(path).levels[0]
        crc32 = [found[key].checksums.get(number, "") if key in found else "" for number, key in keys.items()]
        if all(crc32):
            fingerprints[path] = Fingerprint(level.shape, level.layout.chunks, tuple(crc32))
    return fingerprints


def with_checksums(image: Mapping[str, Any], place: StorePath, pyramid: Pyramid, change: Change) -> dict[str, Any]:
    """Return the attributes of an image that has changed with the checksums of its blocks as they are now.

    One without checksums that are its own gets none.
    """
    level, whole = pyramid.levels[0], deepcopy(dict(image))
    how = ome_of(whole)["multiscales"][0].get("metadata")
    old = parse_fingerprint(how, change.shapes[0])
    if old is None:
        return whole
    (array,) = open_levels(place, [level])
    new, objects = Fingerprint(level.shape, old.block, ()), level.layout.objects
    others = change.region if keeps_all(array) else regions.widened(change.region, objects, level.shape)
    kept = {region: crc32 for region, crc32 in old.by_region.items() if not regions.overlap(region, others)}
    kept |= _checksums(array, [region for region in new.regions if region not in kept])
    how[FINGERPRINT] = replace(new, crc32=tuple(kept[region] for region in new.regions)).to_dict()
    return whole


def _checksums(array: zarr.Array[Any], some: Sequence[Region]) -> dict[Region, str]:
    """Return the checksums of regions by these; of a far array, some are read at a time."""
    nbytes = max((regions.size(region) * array.dtype.itemsize for region in some), default=1)
    at_once, found = max(1, CHECKED_NBYTES // nbytes), list[str]()
    for start in range(0, len(some), at_once):
        found += for_each(array.store_path, partial(_checksum, array), some[start : start + at_once])
    return dict(zip(some, found, strict=True))


def _checksum(array: zarr.Array[Any], region: Region) -> str:
    return checksum(np.asarray(sync_codecs.read(array, slices(region))))


def check_still_written(run: Run) -> None:
    """Raise a WriteError if blocks of finished units are no longer what these wrote; a few of all images are read."""
    plan, recorded = run.plan, recorded_fingerprints(run)
    blocks = [(path, k) for path, one in recorded.items() for k in range(len(one.crc32))]
    for path, k in (blocks[i] for i in spread(len(blocks), MOST_BLOCKS)):
        region, level = recorded[path].regions[k], plan.pyramid_at(path).levels[0]
        (array,) = open_levels(run.target / path, [level])
        if not _holds(array, region, recorded[path].crc32[k]):
            names = [axis.name for axis in plan.pyramid_at(path).axes]
            where = f"{join_paths(path, level.path)} {format_region(region, names)}"
            raise WriteError(
                f"{run.target} cannot be finished: {where} is no longer what a finished unit has written there, as if"
                " its chunks had been removed or written over; overwrite=True starts anew"
            )


def _holds(array: zarr.Array[Any], region: Region, recorded: str) -> bool:
    """Whether a region of an array has a checksum; one that cannot be decoded has none."""
    try:
        return _checksum(array, region) == recorded
    except ValueError:
        return False


def _finest(plan: Plan) -> Iterator[_Finest]:
    for k, stage in enumerate(plan.stages):
        first = 0
        for pass_ in stage.passes:
            if pass_.first == 0:
                yield _Finest(pass_, k, first)
            first += prod(plan.grid(pass_))


def _keys(plan: Plan, finest: _Finest) -> dict[int, str]:
    """Return the keys of the units that write the sampled blocks of level 0, by the numbers of these."""
    level: Level = plan.pyramid(finest.pass_).levels[0]
    grid, keys = plan.grid(finest.pass_), {}
    for number in sampled(level.shape, level.layout.chunks):
        region = block_region(number, level.shape, level.layout.chunks)
        index = 0
        for (start, _), size, count in zip(region, finest.pass_.unit, grid, strict=True):
            index = index * count + start // size
        keys[number] = f"{finest.stage}/{finest.first + index}"
    return keys
