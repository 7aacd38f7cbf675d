"""The fingerprints of the images of a run, from the records of the units that wrote the blocks in them."""

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np
import zarr

from daskome.execution.runner import Run
from daskome.model.paths import join_paths
from daskome.model.problem import WriteError
from daskome.model.pyramid import Level
from daskome.model.regions import Region, format_region, slices, spread
from daskome.ome.fingerprint import MOST_BLOCKS, Fingerprint, block_region, checksum, sampled
from daskome.planning.plan import Plan
from daskome.planning.work import Pass
from daskome.stores import journal as journals
from daskome.stores.arrays import open_levels
from daskome.stores.objects import sync_codecs


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
        return checksum(np.asarray(sync_codecs.read(array, slices(region)))) == recorded
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
