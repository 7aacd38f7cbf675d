"""Make plans: for an image, for levels that exist already, for more levels, and for several plans together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count

from daskome.kernels.methods import Method
from daskome.model.factors import ScaleFactors
from daskome.model.image import Image
from daskome.model.paths import common_path, join_paths
from daskome.model.pyramid import Pyramid, given_pyramid, image_pyramid
from daskome.model.storage.level_options import StorageOptions
from daskome.ome.metadata import Metadata, image_metadata
from daskome.ome.versions import Version
from daskome.planning.cascade import choose_route, copies_written, copying_pass, plan_passes
from daskome.planning.groups.group import Group
from daskome.planning.plan import Describe, Plan, Stage
from daskome.planning.temporary_copies import copy_path
from daskome.planning.work import Pass, PlanOptions, SourceChunks, Workers


def plan_downsampled(
    image: Image,
    source: SourceChunks,
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
    source : SourceChunks
        The chunks in which the image is stored or computed.
    method : Method
    version : Version
    scale_factors, storage_options
        As in `daskome.write_image`.
    describe : callable
        Returns the metadata of the group that holds a pyramid.
    options : PlanOptions, optional
        Who will write the plan, and what it may do.

    Raises
    ------
    ValueError
        If the image cannot be written with these options, or not within the memory of a worker.
    """
    version.check_axes(image.axes)
    options = options or PlanOptions()
    pyramid = image_pyramid(image, method, scale_factors, storage_options, version.arrays, options.limits)
    passes, copies = choose_route(pyramid, replace(source, image=0), options)
    return _plan_of(version, Group("", describe(pyramid), pyramid), copies, passes, options.workers)


def plan_levels(
    levels: Sequence[Image],
    sources: Sequence[SourceChunks],
    method: Method,
    version: Version,
    *,
    storage_options: StorageOptions = None,
    describe: Describe = image_metadata,
    options: PlanOptions | None = None,
) -> Plan:
    """Return the plan that writes levels which the caller has already made: independent passes, in one stage."""
    options = options or PlanOptions()
    pyramid = given_pyramid(levels, method, storage_options, version.arrays, options.limits)
    version.check_axes(pyramid.axes)
    passes = tuple(copying_pass(pyramid, k, replace(source, image=k), options) for k, source in enumerate(sources))
    return Plan(version.name, (Group("", describe(pyramid), pyramid),), (Stage(passes),), options.workers)


def plan_copies(
    pyramid: Pyramid, sources: Sequence[SourceChunks], version: Version, group: Group, options: PlanOptions
) -> Plan:
    """Return the plan that writes the levels of a stored image as they are: a pass for each, in one stage."""
    passes = tuple(copying_pass(pyramid, k, replace(source, image=k), options) for k, source in enumerate(sources))
    return Plan(version.name, (replace(group, pyramid=pyramid),), (Stage(passes),), options.workers)


def plan_more_levels(
    pyramid: Pyramid, kept: int, version: Version, metadata: Metadata, options: PlanOptions | None = None
) -> Plan:
    """Return the plan that writes the levels of a pyramid beyond the first `kept`, which are stored already."""
    options = options or PlanOptions()
    passes = plan_passes(pyramid, SourceChunks(()), options, kept)
    copies = copies_written(pyramid, passes, options.limits)
    return _plan_of(version, Group("", metadata, pyramid, kept), copies, passes, options.workers)


def _plan_of(
    version: Version, group: Group, copies: Sequence[Pyramid], passes: Sequence[Pass], workers: Workers
) -> Plan:
    """Return the plan of one group and the temporary copies that its passes use, in the order of their numbers."""
    groups = [Group(copy_path(k), Metadata(), copy, temporary=True) for k, copy in enumerate(copies)]
    return Plan(version.name, (group, *groups), tuple(Stage((pass_,)) for pass_ in passes), workers)


def together(parts: Sequence[tuple[str, Plan]], groups: Sequence[Group] = (), keeper: str | None = None) -> Plan:
    """Return one plan that holds several, each under a path; their stages run side by side.

    Parameters
    ----------
    parts : sequence of (str, Plan)
        All of one version, for the same workers.
    groups : sequence of Group
        Groups without pyramids, to be published after those of the parts.
    keeper : str, optional
        As in `Plan`.
    """
    home = (
        keeper
        if keeper is not None
        else common_path([join_paths(path, group.path) for path, plan in parts for group, _ in plan.images])
    )
    n_copies, n_images = count(), 0
    moved: list[Group] = []
    stages: list[list[Pass]] = []
    for path, plan in parts:
        paths = {
            group.path: join_paths(home, copy_path(next(n_copies))) if group.temporary else join_paths(path, group.path)
            for group in plan.groups
        }
        moved += (replace(group, path=paths[group.path]) for group in plan.groups)
        for k, stage in enumerate(plan.stages):
            stages += [[] for _ in range(k + 1 - len(stages))]
            stages[k] += (_moved(pass_, paths, n_images) for pass_ in stage.passes)
        n_images += plan.n_images
    whole = parts[0][1]
    own_stages = tuple(Stage(tuple(passes)) for passes in stages)
    return Plan(whole.version, (*moved, *groups), own_stages, whole.workers, keeper=keeper)


def _moved(pass_: Pass, paths: Mapping[str, str], n_images: int) -> Pass:
    """Return a pass whose groups have new paths, and whose image comes after `n_images` others."""
    return replace(
        pass_,
        group=paths[pass_.group],
        image=None if pass_.image is None else pass_.image + n_images,
        reads_copy=pass_.reads_copy and paths[pass_.reads_copy],
        writes_copy=pass_.writes_copy and paths[pass_.writes_copy],
    )
