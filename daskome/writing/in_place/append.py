"""More of a stored image along one of its axes: what is new is written, and what shares a window with it made again."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from dask.array import Array
from dask.delayed import Delayed
from dask.local import get_sync

from daskome.execution.write import Write
from daskome.model import regions
from daskome.model.axes import channel_axis
from daskome.model.limits import Limits
from daskome.model.pyramid import Level, Pyramid, write_block
from daskome.model.regions import Region
from daskome.model.source import Source
from daskome.ome.metadata import Metadata
from daskome.ome.omero import Omero, parse_channels
from daskome.planning.groups.passes import Changing, plan_change
from daskome.planning.plan import Plan
from daskome.sources.pieces import source_piece
from daskome.stores.location import locate
from daskome.stores.objects import sync_codecs
from daskome.stores.remembered import looked_at
from daskome.writing.carry_out import carry_out
from daskome.writing.in_place.changes import Changeable, changeable, chunks_around, given_source
from daskome.writing.options import Arguments, check_bool, check_whole, chosen
from daskome.writing.target import PlanRequest, plan_options

SAMPLED_BLOCKS = 64
"""How many chunks of what may have been appended before are compared with the image."""


def write_append(arguments: Arguments) -> Plan | Delayed:
    """Plan `daskome.append`, and carry the plan out."""
    check_bool("dry_run", arguments["dry_run"])
    store_path = looked_at(locate(arguments["group"], arguments["fs_options"]))
    found = changeable(store_path, arguments)
    axis = _position(arguments["axis"], found)
    options = plan_options(store_path, chosen(PlanRequest, arguments))
    old = found.pyramid.levels[0].shape
    lengths = [None if i == axis else n for i, n in enumerate(old)]
    source = given_source(arguments["image"], found, lengths, (axis,), "the image to append")
    finished = _is_appended(found, source, axis, arguments)
    end = old[axis] - source.shape[axis] if finished else old[axis]
    pyramid = longer(found.pyramid, axis, end + source.shape[axis], options.limits)
    given = tuple((end if i == axis else 0, n) for i, n in enumerate(pyramid.levels[0].shape))
    region = found.with_left(given, arguments["resume"])
    added = _channels(found, axis, source, arguments["channels"])
    changing = Changing(region, given, found.shapes, found.exact, added)
    objects = regions.widened(given, pyramid.levels[0].layout.objects, pyramid.levels[0].shape)
    plan = plan_change(pyramid, changing, found.version, options, chunks_around(source, given, objects))
    if arguments["dry_run"]:
        Write(plan, [source], store_path, arguments["overwrite"]).checked()
        return plan
    return carry_out(plan, [source], store_path, arguments, finished)


def _position(axis: Any, found: Changeable) -> int:
    """Return the position of the axis along which an image gets longer."""
    if axis not in found.names:
        raise ValueError(f"axis {axis!r} is none of the image's, which are {', '.join(found.names)}")
    return found.names.index(axis)


def longer(pyramid: Pyramid, axis: int, length: int, limits: Limits) -> Pyramid:
    """Return a pyramid whose level 0 has a length along an axis, and whose other levels follow, with no level more.

    Windows that the end cuts are dropped where they were before, as other programs do. Where the end of a level has cut
    none, the others tell.
    """
    others = not all(map(pyramid.is_whole, range(1, len(pyramid.levels))))
    levels = [_with_length(pyramid, pyramid.levels[0], axis, length, limits)]
    for k, level in enumerate(pyramid.levels[1:], start=1):
        n, before, factor = levels[-1].shape[axis], pyramid.levels[k - 1].shape[axis], pyramid.factors(k)[axis]
        drops = level.shape[axis] == before // factor if before % factor else others
        levels.append(_with_length(pyramid, level, axis, n // factor if drops else regions.ceil_div(n, factor), limits))
    return replace(pyramid, levels=tuple(levels))


def _with_length(pyramid: Pyramid, level: Level, axis: int, length: int, limits: Limits) -> Level:
    shape = tuple(length if i == axis else n for i, n in enumerate(level.shape))
    blocks = (
        write_block(shape, sizes, pyramid.axes, pyramid.itemsize, limits)
        for sizes in (level.layout.objects, level.layout.chunks)
    )
    write_chunks, read_chunks = blocks
    return replace(level, shape=shape, write_chunks=write_chunks, read_chunks=read_chunks)


def _channels(found: Changeable, axis: int, source: Source, channels: Any) -> Metadata:
    """Return how viewers first show new channels, if the image says it of the others."""
    known = (found.image.ome.get("omero") or {}).get("channels")
    along = axis == channel_axis(found.image.axes)
    if channels is not None and not (along and known):
        why = "has no channels in its omero metadata" if along else f"gets no new ones along axis {found.names[axis]!r}"
        raise ValueError(f"channels are given, but the image {why}; leave them out")
    if not (along and known):
        return Metadata()
    n, m = found.shapes[0][axis], source.shape[axis]
    stated = channels if channels is not None else (source.omero or {}).get("channels")
    if stated is None or stated is True or (channels is None and len(stated) != m):
        stated = [f"channel {i}" for i in range(n, n + m)]
    if isinstance(stated, str) or not hasattr(stated, "__len__") or len(stated) != m:
        raise ValueError(f"channels {stated!r}: give a list of {m}, one for each new channel")
    shape = [n + m if i == axis else length for i, length in enumerate(found.shapes[0])]
    parsed = parse_channels([*("old",) * n, *stated], found.image.axes, shape)
    return Metadata(omero=Omero(parsed[n:]))


def _is_appended(found: Changeable, source: Source, axis: int, arguments: Arguments) -> bool:
    """Return whether an image has been appended already, and all is done; raise if it does not begin where it should.

    Where nobody says where it begins, its pixels tell, of which some are compared.
    """
    n, m, start, resume = found.shapes[0][axis], source.shape[axis], arguments["start"], arguments["resume"]
    if start is not None:
        check_whole("start", start, 0)
    may_be = bool(resume) and not found.begun and m <= n and start in (None, n - m)
    if may_be and _ends_with(found, source, axis):
        return True
    if start is not None and start != n:
        raise ValueError(
            f"start={start}, but the image ends at {n} along axis {found.names[axis]!r}; what is appended begins there"
        )
    return False


def _ends_with(found: Changeable, source: Source, axis: int) -> bool:
    """Whether some chunks at the end of an image hold what an image would have put there."""
    array, shape = found.image.complete[0][1], found.shapes[0]
    tail = tuple((n - source.shape[i] if i == axis else 0, n) for i, n in enumerate(shape))
    sampled = list(_sampled(tail, array.chunks))
    stored = (sync_codecs.read(array, regions.slices(region)) for region in sampled)
    given = (_pixels_of(source, tail, region) for region in sampled)
    return all(np.array_equal(*pair, equal_nan=True) for pair in zip(stored, given, strict=True))


def _sampled(region: Region, chunks: tuple[int, ...]) -> Iterator[Region]:
    blocks = list(regions.blocks_of(region, chunks))
    yield from (blocks[i] for i in regions.spread(len(blocks), SAMPLED_BLOCKS))


def _pixels_of(source: Source, tail: Region, region: Region) -> Any:
    piece: Array = source_piece(source, regions.within(region, tail), regions.shape_of(region))
    return np.asarray(piece.compute(scheduler=get_sync))
