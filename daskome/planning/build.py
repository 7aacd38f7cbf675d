"""Make plans: for an image, for levels the caller has, for more levels, and several plans as one."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from daskome.kernels.methods import Method
from daskome.model.factors import ScaleFactors
from daskome.model.image import Image
from daskome.model.level_options import StorageOptions
from daskome.model.pyramid import Pyramid, given_pyramid, image_pyramid
from daskome.ome.metadata import Metadata, image_metadata
from daskome.ome.versions import Version
from daskome.planning.cascade import choose_route, copies_written, copying_pass, plan_passes
from daskome.planning.plan import Describe, Group, Plan, Stage
from daskome.planning.temporary_copies import STAGING
from daskome.planning.work import Pass, PlanOptions, SourceChunks, Workers


def plan_image(
    image: Image,
    pieces: SourceChunks,
    method: Method,
    version: Version,
    *,
    scale_factors: ScaleFactors = "auto",
    storage_options: StorageOptions = None,
    describe: Describe = image_metadata,
    options: PlanOptions | None = None,
) -> Plan:
    """Return the plan for one image that is read once and downsampled on the way.

    Parameters
    ----------
    image : Image
    pieces : SourceChunks
        In which the image is stored or computed.
    method : Method
    version : Version
    scale_factors, storage_options
        As in `daskome.write_image`.
    describe : callable
        From the pyramid to what its group says.
    options : PlanOptions, optional
        Who will write it, and what the plan may do for that.

    Raises
    ------
    ValueError
        For anything that can't be written as asked, or not within the memory of a worker.
    """
    version.check_axes(image.axes)
    pyramid = image_pyramid(image, method, scale_factors, storage_options, version.arrays)
    options = options or PlanOptions()
    passes, copies = choose_route(pyramid, replace(pieces, image=0), options)
    return _plan_of(version, Group("", describe(pyramid), 0), [pyramid, *copies], passes, options.workers)


def plan_levels(
    levels: Sequence[Image],
    pieces: Sequence[SourceChunks],
    method: Method,
    version: Version,
    *,
    storage_options: StorageOptions = None,
    describe: Describe = image_metadata,
    options: PlanOptions | None = None,
) -> Plan:
    """Return the plan for levels that the caller has already: all of them independent, in one stage."""
    pyramid = given_pyramid(levels, method, storage_options, version.arrays)
    version.check_axes(pyramid.axes)
    options = options or PlanOptions()
    passes = tuple(copying_pass(pyramid, k, replace(own, image=k), options) for k, own in enumerate(pieces))
    return Plan(version.name, (Group("", describe(pyramid), 0),), (pyramid,), (Stage(passes),), options.workers)


def plan_more_levels(
    pyramid: Pyramid, kept: int, version: Version, metadata: Metadata, options: PlanOptions | None = None
) -> Plan:
    """Return the plan that adds to the first `kept` levels of a pyramid, which are stored, the others."""
    options = options or PlanOptions()
    passes = plan_passes(pyramid, SourceChunks(()), options, kept)
    return _plan_of(
        version, Group("", metadata, 0, kept), [pyramid, *copies_written(pyramid, passes)], passes, options.workers
    )


def _plan_of(
    version: Version, group: Group, pyramids: Sequence[Pyramid], passes: Sequence[Pass], workers: Workers
) -> Plan:
    """Return the plan of a group with the first pyramid; the others are temporary copies, in the order of groups."""
    copies = (Group(f"{STAGING}/{k}", Metadata(), 1 + k, temporary=True) for k in range(len(pyramids) - 1))
    return Plan(version.name, (group, *copies), tuple(pyramids), tuple(Stage((work,)) for work in passes), workers)


def together(parts: Sequence[tuple[str, Plan]], groups: Sequence[Group] = ()) -> Plan:
    """Return plans, each put under a path, as one: their stages run side by side.

    Parameters
    ----------
    parts : sequence of (str, Plan)
        All of one version, for the same workers. What is equal by identity is kept once, so that a plate of a
        thousand like images has one pyramid.
    groups : sequence of Group
        Without pyramids, which are published after those of the parts.
    """
    pyramids: dict[int, tuple[int, Pyramid]] = {}
    made: list[Group] = []
    stages: list[list[Pass]] = []
    images = 0
    for path, part in parts:
        first = len(made)
        for group in part.groups:
            number = None if group.pyramid is None else _numbered(pyramids, part.pyramids[group.pyramid])
            made.append(replace(group, path="/".join(filter(None, (path, group.path))), pyramid=number))
        for k, stage in enumerate(part.stages):
            stages += [[] for _ in range(k + 1 - len(stages))]
            stages[k] += (_shifted(work, first, images) for work in stage.passes)
        images += part.n_images
    whole = parts[0][1]
    return _with_staging_at_home(
        Plan(
            whole.version,
            (*made, *groups),
            tuple(pyramid for _, pyramid in pyramids.values()),
            tuple(Stage(tuple(passes)) for passes in stages),
            whole.workers,
        )
    )


def _with_staging_at_home(plan: Plan) -> Plan:
    """Return a plan whose temporary groups lie beside its journal, so that they go with it."""
    folder, numbers = "/".join(filter(None, (plan.home, STAGING))), count()
    groups = (replace(g, path=f"{folder}/{next(numbers)}") if g.temporary else g for g in plan.groups)
    return replace(plan, groups=tuple(groups))


def _numbered(pyramids: dict[int, tuple[int, Pyramid]], pyramid: Pyramid) -> int:
    """Return the number of a pyramid among those there are, which it joins if it is new."""
    return pyramids.setdefault(id(pyramid), (len(pyramids), pyramid))[0]


def _shifted(work: Pass, groups: int, images: int) -> Pass:
    return replace(
        work,
        group=work.group + groups,
        image=None if work.image is None else work.image + images,
        staged=None if work.staged is None else work.staged + groups,
        leaves=None if work.leaves is None else work.leaves + groups,
    )
