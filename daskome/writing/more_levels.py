"""More levels for a stored image, made from its coarsest; readers see it as before until they are complete."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from dask.delayed import Delayed
from zarr.storage import StorePath

from daskome.inspection.stored_image import StoredImage, layout_of, pyramid_of, read_stored_image
from daskome.kernels.methods import Method, find_method
from daskome.model.factors import ScaleFactors, list_factors
from daskome.model.image import Image
from daskome.model.problem import Problem
from daskome.model.pyramid import image_pyramid
from daskome.model.storage.codecs import with_codecs
from daskome.model.storage.level_options import LevelOptions, StorageOptions, parse_level_options
from daskome.ome.checked import with_more_levels
from daskome.ome.detect import ome_keys
from daskome.ome.read import read_metadata
from daskome.ome.versions import Version
from daskome.planning.build import plan_more_levels, together
from daskome.planning.more_levels import factors_from_coarsest, with_levels_below
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.stores.location import locate
from daskome.writing.carry_out import carry_out
from daskome.writing.labels import factors_like, image_of_labels, stored_labels
from daskome.writing.options import Arguments, chosen
from daskome.writing.target import PlanRequest, plan_options


def write_more_levels(arguments: Arguments) -> Plan | Delayed:
    """Plan `daskome.add_levels`, and carry the plan out: more levels of an image, and of its labels."""
    store_path = locate(arguments["group"], arguments["fs_options"])
    image, version = _whole_image(store_path)
    options = plan_options(store_path, chosen(PlanRequest, arguments))
    is_label = "image-label" in ome_keys(image.attributes) or image_of_labels(store_path) is not None
    default = "mode" if is_label else "mean"
    method = find_method(image.method or default if arguments["method"] is None else arguments["method"])
    factors, storage = arguments["scale_factors"], arguments["storage_options"]

    def planned(stored: StoredImage) -> Plan:
        return plan_added(stored, version, method, factors, storage, options)

    plan = (_finished_before(image, factors, planned) if arguments["resume"] else None) or planned(image)
    labels = list(_plans_of_labels(store_path, plan, version, options, bool(arguments["resume"])))
    return carry_out(together([("", plan), *labels]) if labels else plan, [], store_path, arguments)


def _finished_before(image: StoredImage, factors: ScaleFactors, planned: Callable[[StoredImage], Plan]) -> Plan | None:
    """Return the plan by which a call would have added the last levels of an image, if it has them; "auto" the last."""
    n = len(image.levels) - (len(list_factors(factors)) or 1)
    if n < 1:
        return None
    try:
        plan = planned(replace(image, levels=image.levels[:n]))
    except ValueError:
        return None
    shapes = [level.shape for level in plan.pyramids[0].levels]
    return plan if shapes == [tuple(array.shape) for _, array in image.complete] else None


def _whole_image(store_path: StorePath) -> tuple[StoredImage, Version]:
    """Return the image at a target, all of whose levels can be read, and its version.

    Raises
    ------
    ValueError
        If there is none, or a part of it cannot be read.
    """
    return whole_image(store_path, read_stored_image(store_path))


def whole_image(store_path: StorePath, image: StoredImage | Problem) -> tuple[StoredImage, Version]:
    """Return an image and its version; raise a ValueError if some of it cannot be read."""
    if isinstance(image, Problem):
        raise ValueError(f"{store_path}: {image}")
    if image.version is None or image.problems or len(image.complete) != len(image.levels):
        why = f": {image.problems[0]}" if image.problems else ""
        raise ValueError(f"{store_path}: some of the image cannot be read{why}; `daskome validate` says more")
    return image, image.version


def _plans_of_labels(
    store_path: StorePath, plan: Plan, version: Version, options: PlanOptions, resume: bool
) -> Iterator[tuple[str, Plan]]:
    """Yield the paths and plans of an image's labels, which must have as many levels as it (section "labels").

    Where a call goes on, some of them may have all their levels already: they are published before their image.
    """
    (group, pyramid), *_ = plan.images
    counts = (group.kept, len(pyramid.levels)) if resume else (group.kept,)
    for path, labels in stored_labels(store_path):
        if len(labels.levels) in counts:
            labels = replace(labels, levels=labels.levels[: group.kept])
            stored = pyramid_of(labels)
            level = stored.levels[0]
            image = Image(level.shape, stored.dtype, stored.axes, level.scale, level.translation, stored.name)
            factors = factors_like("auto", image, pyramid)
            new = factors[group.kept - 1 :] if isinstance(factors, list) else factors
            yield path, plan_added(labels, version, find_method(labels.method or "mode"), new, None, options)


def plan_added(
    stored: StoredImage,
    version: Version,
    method: Method,
    scale_factors: ScaleFactors,
    storage_options: StorageOptions,
    options: PlanOptions,
) -> Plan:
    """Return the plan that adds levels to an image.

    Parameters
    ----------
    stored : StoredImage
        The image, all of whose levels can be read.
    version : Version
    method : Method
    scale_factors, storage_options
        Of the new levels, as in `daskome.add_levels`.
    options : PlanOptions

    Raises
    ------
    ValueError
        If there are no levels to add.
    """
    old = pyramid_of(stored)
    base = old.levels[-1]
    image = Image(base.shape, old.dtype, old.axes, base.scale, base.translation, old.name)
    shared = _like(stored) if storage_options is None else parse_level_options(storage_options)
    storage = shared.map(partial(with_codecs, stored_as=version.arrays)).after({})
    factors = factors_from_coarsest(scale_factors, old)
    new = image_pyramid(image, method, factors, storage, version.arrays, options.limits).levels[1:]
    if not new:
        raise ValueError(f"{old.name!r} has all its levels: the coarsest, {base.shape}, fits in one chunk")
    pyramid = replace(with_levels_below(old, new), method=method)
    metadata = with_more_levels(read_metadata(stored.attributes), pyramid, version)
    return plan_more_levels(pyramid, len(old.levels), version, metadata, options)


def _like(stored: StoredImage) -> LevelOptions:
    """Return the storage options that the new levels share with those that are stored."""
    layout = layout_of(stored.complete[-1][1])
    options: dict[str, Any] = {"chunks": layout.chunks, "compressors": layout.options["compressors"] or None}
    return LevelOptions(({**options, "shards": layout.shards} if layout.shards else options,))
