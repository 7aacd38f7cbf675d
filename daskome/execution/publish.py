"""The last step of a write: measure display windows, then write the attributes of each group, in one write.

That write is the commit: only then do readers take the group for an image.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from threading import BoundedSemaphore
from typing import Any

import numpy as np
import zarr
from zarr.storage import StorePath

from daskome.execution.finished.fingerprints import recorded_fingerprints, with_checksums
from daskome.execution.finished.packed import pack_published
from daskome.execution.runner import Run
from daskome.model import regions
from daskome.model.axes import channel_axis
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Region
from daskome.ome.fingerprint import Fingerprint
from daskome.ome.metadata import with_fingerprint
from daskome.ome.omero import Channel, Omero, with_more_channels
from daskome.ome.read import with_levels
from daskome.ome.versions import find_version
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.stores import journal as journals, publish
from daskome.stores.arrays import find_shape, open_levels, set_shape
from daskome.stores.documents import write_text
from daskome.stores.groups import (
    CONSOLIDATED,
    UNFINISHED_KEY,
    as_image,
    change_in,
    read_attributes,
    reconsolidate,
    set_attributes,
)
from daskome.stores.kinds import in_flight_to
from daskome.stores.objects import sync_codecs
from daskome.stores.ownership.owned_store import owned
from daskome.stores.remembered import for_each, forgotten, remembered
from daskome.stores.targets.collection import describe_longer
from daskome.stores.targets.create import mark_as_changing

PERCENTILES = (0.1, 99.9)
"""What a window shows: outliers at both ends are cut off."""
MEASURING = BoundedSemaphore(2)
"""How many images are sampled at a time: a sample is held in memory."""
SAMPLE_BLOCKS = 64
"""How many blocks of the coarsest level are read at most, evenly spread."""


def with_display_windows(
    channels: Sequence[Channel], array: zarr.Array[Any], pyramid: Pyramid, first: int = 0
) -> list[Channel]:
    """Return the channels, each with a window.

    Parameters
    ----------
    channels : sequence of Channel
        Those without a window get one: min and max are the range of the dtype (of the data for floats),
        start and end are `PERCENTILES`.
    array : zarr.Array
        The coarsest level.
    pyramid : Pyramid
    first : int
        The number of the first of them.
    """
    return [
        channel if channel.window else replace(channel, window=_window(array, pyramid, i))
        for i, channel in enumerate(channels, start=first)
    ]


def _window(array: zarr.Array[Any], pyramid: Pyramid, channel: int) -> tuple[float, float, float, float]:
    values = _sample(array, pyramid, channel)
    if not values.size:
        return (0.0, 1.0, 0.0, 1.0)
    start, end = (float(v) for v in np.percentile(values.astype(np.float64), PERCENTILES))
    if pyramid.dtype == "bool" or values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
    else:
        low, high = float(np.iinfo(values.dtype).min), float(np.iinfo(values.dtype).max)
    return (low, high, start, end if end > start else start + 1)


def _sample(array: zarr.Array[Any], pyramid: Pyramid, channel: int) -> np.ndarray[Any, Any]:
    """Return finite values of a channel, from blocks spread evenly over the array."""
    of_channels = channel_axis(pyramid.axes)
    region: Region = tuple((channel, channel + 1) if i == of_channels else (0, n) for i, n in enumerate(array.shape))
    blocks = list(regions.blocks_of(region, pyramid.levels[-1].write_chunks))
    sample = (blocks[i] for i in regions.spread(len(blocks), SAMPLE_BLOCKS))
    values = np.concatenate([np.ravel(sync_codecs.read(array, regions.slices(block))) for block in sample])
    return values[np.isfinite(values)]


def publish_plan(run: Run, check: Callable[[], None] = lambda: None) -> None:
    """Publish a plan whose units are all written: each group in one write, the deepest first, the target last.

    In a store that cannot rewrite, such as a zip file, the target comes first: zarr creates a group with its parents.
    If `check` raises, nothing is published; meanwhile a far store is asked for what comes next.
    """
    plan, target = run.plan, remembered(owned(run.target, run.journal.claim))
    run.journal.renew()
    publish.delete_partial_files(target, plan)
    lasting, consolidated = [group for group in plan.groups if not group.temporary], set[str]()
    by_depth = sorted(lasting, key=attrgetter("depth"), reverse=target.store.supports_deletes)
    look = [partial(read_attributes, target / by_depth[0].path)] if in_flight_to(target) else []
    is_asked = not run.is_new or any(group.kept for group in lasting)
    asked = partial(journals.consolidated_groups, run.journal) if is_asked else list[str]
    steps: list[Callable[[], Any]] = [check, partial(recorded_fingerprints, run), asked, *look]
    _, fingerprints, held_before, *_ = for_each(target, lambda step: step(), steps)
    consolidated.update(held_before)
    for _, groups in groupby(by_depth, key=attrgetter("depth")):
        held = for_each(target, lambda group: _publish(run, target, group, fingerprints.get(group.path)), groups)
        consolidated.update(path for path in held if path is not None)
    reconsolidate(target, consolidated)
    pack_published(run)
    journals.end_journal(target / plan.home, run.journal.claim)


def publish_lists(plan: Plan, target: StorePath) -> None:
    """Publish again the lists of a plan that was finished before: others may have overwritten them since."""
    for group in plan.groups:
        if group.metadata.labels is not None or group.metadata.plate is not None:
            place = forgotten(target / group.path)
            before = read_attributes(place)
            publish.publish_group(place, find_version(plan.version), group.metadata)
            if read_attributes(place) != before:
                reconsolidate(place)


def _publish(run: Run, target: StorePath, group: Group, fingerprint: Fingerprint | None) -> str | None:
    """Publish a group; return its path if it held consolidated metadata before its image was replaced."""
    if group.change is not None:
        return _publish_change(run.plan, target, group)
    place, metadata = target / group.path, with_fingerprint(group.metadata, fingerprint)
    if group.pyramid is not None and not group.kept and metadata.omero:
        metadata = replace(metadata, omero=_with_windows(place, metadata.omero, group.pyramid))
    if group.kept:
        metadata = with_levels(read_attributes(place) or {}, metadata)
    for path, text in group.documents.items():
        write_text(place / path, text)
    version = find_version(run.plan.version)
    held = publish.publish_group(place, version, metadata, group.attributes)
    return group.path if held else None


def _with_windows(place: StorePath, omero: Omero, pyramid: Pyramid, first: int = 0) -> Omero:
    """Return what is said of channels, counted from `first`, with a window for each that has none."""
    with MEASURING:
        (coarsest,) = open_levels(place, pyramid.levels[-1:])
        return replace(omero, channels=tuple(with_display_windows(omero.channels or (), coarsest, pyramid, first)))


def _publish_change(plan: Plan, target: StorePath, group: Group) -> str | None:
    """Publish an image that has changed in place: it has its new shape, and is an image again, in one write."""
    place, pyramid, version = target / group.path, group.pyramid, find_version(plan.version)
    if group.change is None or pyramid is None:
        return None
    shapes = for_each(place, lambda level: find_shape(place / level.path), pyramid.levels)
    longer = [level for level, shape in zip(pyramid.levels, shapes, strict=True) if shape != level.shape]
    if longer and change_in(read_attributes(place) or {}) is None:
        mark_as_changing(target, plan, group)
    for_each(place, lambda level: set_shape(place / level.path, level.shape), longer)
    found = read_attributes(place) or {}
    is_published = change_in(found) is None and group.change.shapes != tuple(level.shape for level in pyramid.levels)
    if is_published:  # A kill came before the journal went.
        return None
    describe_longer(place, group)
    image = with_checksums(as_image(found), place, pyramid, group.change)
    axis = channel_axis(pyramid.axes)
    if group.metadata.omero is not None and group.change.given is not None and axis is not None:
        first, _ = group.change.given[axis]
        image = with_more_channels(image, _with_windows(place, group.metadata.omero, pyramid, first), first)
    if image != found:
        set_attributes(place, version.arrays, image, last=True)
    mark = found.get(UNFINISHED_KEY)
    return group.path if isinstance(mark, dict) and mark.get(CONSOLIDATED) else None
