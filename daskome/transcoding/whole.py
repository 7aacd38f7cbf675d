"""The plan of a whole hierarchy: its images, put together, and the groups around them."""

from dataclasses import replace

from zarr.storage import StorePath

from daskome.model.paths import depth_of
from daskome.model.source import Source
from daskome.model.types import FormatLike
from daskome.ome.detect import ome_keys, version_in
from daskome.ome.image_label import LABELS
from daskome.ome.versions import DEFAULT_VERSION, VERSIONS, Version, likely_version, stated_version
from daskome.planning.build import together
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.stores.groups import find_group, read_attributes
from daskome.stores.location import address_of
from daskome.transcoding.images import ImagePlanner
from daskome.transcoding.stored import StoredHierarchy
from daskome.upgrade.tree import Tree
from daskome.writing.description import ImageOptions, Planned
from daskome.writing.target import choose_version


def version_for(tree: Tree, target: StorePath | None, fmt: FormatLike | None) -> Version:
    """Return the version to write: the caller's, that of the target, or the source's unless the default is newer."""
    if fmt is not None or (target is not None and find_group(target) is not None):
        return choose_version(fmt, target)
    attributes = tree.attributes("")
    own = stated_version(version_in(attributes) or likely_version(attributes).name) or DEFAULT_VERSION
    order = list(VERSIONS)
    return max(own, DEFAULT_VERSION, key=lambda version: order.index(version.name))


def plan_hierarchy(
    hierarchy: StoredHierarchy, version: Version, choices: ImageOptions, options: PlanOptions
) -> Planned:
    """Return the plan of all images of a hierarchy and the groups around them, and the images that it reads."""
    images = [group for group in hierarchy.groups if group.metadata.multiscales]
    if not images:
        raise ValueError(f"{hierarchy.place} holds no image to transcode")
    planner = ImagePlanner(hierarchy, version, choices, replace(options, images=len(images)))
    parts: dict[str, Plan] = {}
    sources: list[Source] = []
    for group in images:
        labelled = parts.get(_labelled(group.path))
        plan, read = planner.plan(group, None if labelled is None else labelled.pyramids[0])
        parts[group.path] = plan
        sources += read
    around = [
        Group(group.path, group.metadata, attributes=group.attributes, documents=group.documents)
        for group in hierarchy.groups
        if not group.metadata.multiscales
    ]
    deepest_first = sorted(around, key=lambda group: depth_of(group.path), reverse=True)
    return together(list(parts.items()), deepest_first, keeper=""), sources


def _labelled(path: str) -> str:
    """Return the path of the image that labels at a path are of; one where there is no image for all else."""
    folder, _, _ = path.rpartition("/")
    image, _, name = folder.rpartition("/")
    return image if name == LABELS else "?"


def check_apart(target: StorePath, source: StorePath) -> None:
    """Raise a ValueError for a target that is the source, or lies in it and would be taken for a part of it."""
    outer = address_of(source)
    if address_of(target)[: len(outer)] == outer:
        raise ValueError(f"the target {target} overlaps the source {source}; write somewhere else")


def check_target(target: StorePath, hierarchy: StoredHierarchy) -> None:
    """Raise a FileExistsError for a target that holds something else than an image, or a plate for a plate."""
    there = ome_keys(read_attributes(target) or {})
    if there and ("multiscales" not in there or not hierarchy.groups[0].metadata.multiscales):
        raise FileExistsError(f"{target} holds {', '.join(there)}; a hierarchy is written to a new path")
