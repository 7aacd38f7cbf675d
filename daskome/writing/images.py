"""Plans of images: one that is downsampled, with its labels if there are any, and one all of whose levels are given.

Dask and zarr are imported where they are needed: planning a `Volume` for other workers needs neither.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from daskome.model.source import Source, Volume
from daskome.ome.image_label import labelled_path
from daskome.ome.versions import Version
from daskome.planning.work import PlanOptions
from daskome.writing.description import ImageOptions, Planned, image_options
from daskome.writing.options import Arguments

if TYPE_CHECKING:
    from zarr.storage import StorePath


def planned_image(
    arguments: Arguments, store_path: "StorePath | None", version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of `daskome.write_image`, and the images that it reads."""
    source = _source(arguments["image"])
    image = _like_labelled(image_options(arguments), source, store_path)
    plan, source = image.plan(source, version, options)
    labels = arguments["labels"]
    if labels is not None and not isinstance(labels, Mapping):
        raise ValueError("labels come with an image as a dict from their names to arrays, as in {'cells': array}")
    if not labels:
        return plan, [source]
    from daskome.writing.labels import with_labels

    return with_labels(plan, source, labels, version, options)


def planned_multiscale(
    arguments: Arguments, store_path: "StorePath", version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of `daskome.write_multiscale`, and the levels that it reads."""
    return image_options(arguments).plan_levels([_source(level) for level in arguments["pyramid"]], version, options)


def _source(image: Any) -> Source:
    if isinstance(image, Volume):
        return image.source
    from daskome.sources.adapt import as_source

    return as_source(image)


def _like_labelled(image: ImageOptions, source: Source, store_path: "StorePath | None") -> ImageOptions:
    """Return the options of an image; if it is written among labels, with their method, and their image's levels."""
    if store_path is None or labelled_path(store_path.path) is None:
        return image
    from daskome.writing.labels import factors_like, image_of_labels, shapes_like

    labelled = image_of_labels(store_path)
    if labelled is None:
        return image
    described = image.image(source)
    factors = factors_like(image.scale_factors, described, labelled)
    return replace(
        image,
        method="mode" if image.method is None else image.method,
        scale_factors=factors,
        like=shapes_like(described, labelled),
    )
