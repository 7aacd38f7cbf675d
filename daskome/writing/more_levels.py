"""More levels for an image that is there: made from its coarsest, while it stays as it is until they are whole."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from dask.delayed import Delayed
from zarr.storage import StorePath

from daskome.inspection.stored_image import StoredImage, layout_of, pyramid_of, read_stored_image
from daskome.kernels.methods import Method, find_method
from daskome.model.codecs import with_codecs
from daskome.model.factors import ScaleFactors
from daskome.model.image import Image
from daskome.model.level_options import LevelOptions, StorageOptions, parse_level_options
from daskome.model.pyramid import Level, Pyramid, image_pyramid
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Dataset, Metadata, image_metadata
from daskome.ome.problem import Problem
from daskome.ome.read import read_metadata
from daskome.ome.versions import Version
from daskome.planning.build import plan_more_levels, together
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.stores.location import locate
from daskome.writing.carry_out import carry_out
from daskome.writing.description import checked
from daskome.writing.labels import factors_like, image_of_labels, stored_labels
from daskome.writing.options import Arguments, chosen
from daskome.writing.target import PlanRequest, plan_options


def write_more_levels(arguments: Arguments) -> Plan | Delayed:
    """Plan `daskome.add_levels`, and carry the plan out: more levels of an image, and of its labels."""
    store_path = locate(arguments["group"], arguments["fs_options"])
    image, version = _whole_image(store_path)
    options = plan_options(store_path, chosen(PlanRequest, arguments))
    is_label = "image-label" in ome_keys(image.attributes) or image_of_labels(store_path) is not None
    method = find_method(arguments["method"] or image.method or ("mode" if is_label else "mean"))
    plan = plan_added(image, version, method, arguments["scale_factors"], arguments["storage_options"], options)
    labels = list(_plans_of_labels(store_path, plan, version, options))
    return carry_out(together([("", plan), *labels]) if labels else plan, [], store_path, arguments)


def _whole_image(store_path: StorePath) -> tuple[StoredImage, Version]:
    """Return the image at a target, all of whose levels can be read, and its version.

    Raises
    ------
    ValueError
        If there is none, or a part of it cannot be read.
    """
    image = read_stored_image(store_path)
    if isinstance(image, Problem):
        raise ValueError(f"{store_path}: {image}")
    if image.version is None or image.problems or len(image.complete) != len(image.levels):
        raise ValueError(f"{store_path}: some of the image cannot be read; `daskome validate` says why")
    return image, image.version


def _plans_of_labels(
    store_path: StorePath, plan: Plan, version: Version, options: PlanOptions
) -> Iterator[tuple[str, Plan]]:
    """Yield the paths and plans of an image's labels, which must have as many levels as it (section "labels")."""
    (group, pyramid), *_ = plan.images
    for path, labels in stored_labels(store_path):
        if len(labels.complete) == len(labels.levels) == group.kept and not labels.problems:
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
    given = _like(stored) if storage_options is None else parse_level_options(storage_options)
    storage = given.map(partial(with_codecs, stored_as=version.arrays)).after({})
    factors = _relative(scale_factors, old)
    more = image_pyramid(image, method, factors, storage, version.arrays, options.limits).levels[1:]
    if not more:
        raise ValueError(f"{old.name!r} has all its levels: the coarsest, {base.shape}, fits in one chunk")
    n = len(old.levels)
    levels = [_added(level, base, n + k, n) for k, level in enumerate(more)]
    whole = replace(old, method=method, levels=(*old.levels, *levels))
    return plan_more_levels(whole, len(old.levels), version, _metadata(stored, whole, version), options)


def _like(stored: StoredImage) -> LevelOptions:
    """Return the storage options that the new levels share with those that are stored."""
    layout = layout_of(stored.complete[-1][1])
    options: dict[str, Any] = {"chunks": layout.chunks, "compressors": layout.options["compressors"] or None}
    return LevelOptions(({**options, "shards": layout.shards} if layout.shards else options,))


def _relative(scale_factors: ScaleFactors, old: Pyramid) -> ScaleFactors:
    """Return factors, which are relative to level 0, relative to the coarsest level."""
    if scale_factors is None or isinstance(scale_factors, str):
        return scale_factors
    base = dict(zip((axis.name for axis in old.axes), old.levels[-1].factors, strict=True))
    space = [axis.name for axis in old.axes if axis.spatial]
    rows = [e if isinstance(e, Mapping) else dict.fromkeys(space, e) for e in scale_factors]
    return [{name: _divided(f, base.get(name, 1), name) for name, f in row.items()} for row in rows]


def _divided(factor: Any, base: float, name: str) -> int:
    if base != int(base) or factor % base:
        raise ValueError(
            f"scale factors are relative to level 0, each a multiple of the one before:"
            f" axis {name!r} has {factor} after {base:g}"
        )
    return int(factor // base)


def _added(level: Level, base: Level, k: int, n: int) -> Level:
    factors = tuple(a * b for a, b in zip(base.factors, level.factors, strict=True))
    return replace(level, path=_next_path(base.path, k, n - 1), factors=factors)


def _next_path(path: str, k: int, base: int) -> str:
    """Return the path of level k, named like that of level `base`, which is there.

    >>> _next_path("s0", 1, 0), _next_path("0", 2, 0), _next_path("scale0/image", 1, 0), _next_path("c1/0", 1, 0)
    ('s1', '2', 'scale1/image', 'c1/1')
    >>> _next_path("1", 1, 0), _next_path("full", 1, 0)
    ('2', 's1')
    """
    found = list(re.finditer(r"\d+", path))
    last = [match for match in found if match.start() > path.rfind("/")]
    chosen = [match for match in found if int(match[0]) == base][-1:] or last[-1:]
    if not chosen:
        return f"s{k}"
    return path[: chosen[0].start()] + str(int(chosen[0][0]) + k - base) + path[chosen[0].end() :]


def _metadata(stored: StoredImage, whole: Pyramid, version: Version) -> Metadata:
    """Return what the image says, and its new levels; what applied to all levels is in each of them."""
    old, new = read_metadata(stored.attributes), image_metadata(whole)
    first = old.multiscales[0]
    rest = {key: value for key, value in first.rest.items() if key != "coordinateTransformations"}
    folded = "coordinateTransformations" in first.rest
    placed = [Dataset(p.path, p.scale, p.translation) for p in first.placed]
    levels = placed if folded or version.transforms is None else first.datasets
    added = new.multiscales[0].datasets[len(placed) :]
    multiscale = replace(
        first,
        datasets=(*levels, *added),
        method=new.multiscales[0].method,
        metadata={**(first.metadata or {}), **(new.multiscales[0].metadata or {})},
        rest=rest if folded else first.rest,
    )
    return checked(version, replace(old, multiscales=(multiscale, *old.multiscales[1:])))
