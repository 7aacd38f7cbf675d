"""From a region of level 0 to what depends on it: whole stored objects of each level, and a pass for each.

::

    level 0   ░░░░▓▓▓▓▓▓▓░░░░    ▓ given, ░ what is stored around it, up to whole objects: written as it is
                  │
    level 1   ░░▓▓▓▓▓▓░░         ▓ made of windows that hold a voxel of ▓ below; the objects around them are made again
                  │
    level 2   ▓▓▓▓▓
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from daskome.model import regions
from daskome.model.chunks import regular_chunks
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, Shape
from daskome.ome.metadata import Metadata
from daskome.ome.versions import Version
from daskome.planning.choose import best_pass
from daskome.planning.groups.group import Change, Group
from daskome.planning.plan import Plan, Stage
from daskome.planning.work import Pass, PlanOptions, SourceChunks, Workers

AROUND_COPIES = 2
"""What is stored around a part of a block is read with the block, while that is in memory."""


@dataclass(frozen=True, slots=True)
class ChangedPart:
    """What changes in a level: the voxels that are others, and the whole stored objects that hold them."""

    k: int
    changed: Region
    objects: Region


@dataclass(frozen=True, slots=True)
class Changing:
    """What is to change in an image.

    Attributes
    ----------
    region : tuple of (int, int)
        Of level 0: all that is made of it is made again.
    given : tuple of (int, int), optional
        The part of it that an image holds; None: level 0 is as it is to be.
    shapes : tuple of tuple of int
        Of the levels before.
    exact : sequence of bool
        Whether each level keeps all of a value: if not, whole objects change when they are encoded again.
    metadata : Metadata
        What is added to that of the image.
    """

    region: Region
    given: Region | None
    shapes: tuple[Shape, ...]
    exact: Sequence[bool]
    metadata: Metadata = field(default_factory=Metadata)


def plan_change(
    pyramid: Pyramid, changing: Changing, version: Version, options: PlanOptions, source: SourceChunks | None = None
) -> Plan:
    """Return the plan that changes a stored image, of which `pyramid` says how it is to be, in place.

    Parameters
    ----------
    pyramid : Pyramid
    changing : Changing
    version : Version
    options : PlanOptions
    source : SourceChunks, optional
        Of the image that holds what is given.

    Raises
    ------
    ValueError
        If it cannot be done within the memory of a worker.
    """
    parts = list(changed_parts(pyramid, changing))
    passes = [
        changing_pass(pyramid, part, options, *((source, changing.given) if part.k == 0 else ())) for part in parts
    ]
    is_seen = bool(parts) and all(_is_beyond(part.changed, changing.shapes[part.k]) for part in parts)
    change = Change(changing.region, changing.given, changing.shapes, is_seen)
    group = Group("", changing.metadata, pyramid, len(pyramid.levels), change=change)
    return Plan(version.name, (group,), tuple(Stage((pass_,)) for pass_ in passes), options.workers)


def changed_parts(pyramid: Pyramid, changing: Changing) -> Iterator[ChangedPart]:
    """Yield what changes in each level, as far as anything does: what is given of level 0, and what depends on it.

    Examples
    --------
    >>> from daskome.model.axes import parse_axes
    >>> from daskome.model.image import Image
    >>> from daskome.model.pyramid import image_pyramid
    >>> from daskome.kernels.methods import METHODS
    >>> from daskome.ome.versions import VERSIONS
    >>> image = Image((64, 64), "uint8", parse_axes("yx", 2), (1.0, 1.0), (0.0, 0.0))
    >>> pyramid = image_pyramid(image, METHODS["mean"], [2], {"chunks": 8}, VERSIONS["0.5"].arrays)
    >>> region, shapes = ((3, 17), (60, 61)), ((64, 64), (32, 32))
    >>> [part.objects for part in changed_parts(pyramid, Changing(region, region, shapes, [True, True]))]
    [((0, 24), (56, 64)), ((0, 16), (24, 32))]
    """
    changed, levels = _stored_with(changing.region, pyramid.levels[0], changing.exact[0]), pyramid.levels
    if changing.given is not None:
        own = _stored_with(changing.given, levels[0], changing.exact[0])
        changed = regions.around(changed, own)
        yield ChangedPart(0, own, _stored_with(changing.given, levels[0], False))
    for k, level in enumerate(levels[1:], start=1):
        changed = pyramid.depends(k, changed)
        if regions.is_empty(changed):
            return
        objects = _stored_with(changed, level, False)
        changed = _stored_with(changed, level, changing.exact[k])
        yield ChangedPart(k, changed, objects)


def _stored_with(region: Region, level: Level, exact: bool) -> Region:
    """Return the voxels that are others when a region of a level is: all in its objects, unless these are exact."""
    return region if exact else regions.widened(region, level.layout.objects, level.shape)


def _is_beyond(region: Region, shape: Shape) -> bool:
    """Whether nothing of a region lies in an array of this shape."""
    return any(start >= n for (start, _), n in zip(region, shape, strict=True))


def changing_pass(
    pyramid: Pyramid,
    part: ChangedPart,
    options: PlanOptions,
    source: SourceChunks | None = None,
    given: Region | None = None,
) -> Pass:
    """Return the pass that writes a part of a level: from an image, `given` of it, or the level below.

    Raises
    ------
    ValueError
        If its units need more memory than there is.
    """
    k, level = part.k, pyramid.levels[part.k]
    own = _cropped(level, part.objects)
    if source is None:
        below = pyramid.levels[k - 1]
        fine = _cropped(below, pyramid.reads(k, part.objects))
        stored = SourceChunks(regular_chunks(fine.shape, below.layout.chunks), of_level=True)
        work = best_pass(replace(pyramid, levels=(fine, own)), 1, 2, stored, options)
    else:
        alone = replace(pyramid, levels=(own,))
        around = 0 if given == part.objects else AROUND_COPIES * prod(level.write_chunks) * pyramid.itemsize
        less = replace(options, workers=_leaving(options.workers, around))
        work = best_pass(alone, 0, 1, replace(source, image=0), less)
        work = replace(work, unit_memory=work.unit_memory + around)
    return replace(work, first=k, stop=k + 1, region=part.objects, given=given)


def _cropped(level: Level, region: Region) -> Level:
    return replace(level, shape=regions.shape_of(region))


def _leaving(workers: Workers, nbytes: int) -> Workers:
    """Return workers with less memory for each thread."""
    if workers.memory is None:
        return workers
    return replace(workers, memory=max(workers.memory - nbytes * workers.threads, 0))
