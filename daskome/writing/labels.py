"""Labels of an image: ``labels/<name>`` in its group, planned like any image, and listed in ``labels``."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from itertools import accumulate, islice, pairwise, product
from math import inf
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import delayed
from zarr.storage import StorePath

from daskome.execution.memory.allocator import release_free_memory
from daskome.inspection.stored_image import StoredImage, pyramid_of, read_stored_image
from daskome.model.axes import Axis, parse_axes, reject_unknown
from daskome.model.chunks import consolidated
from daskome.model.factors import ScaleFactors
from daskome.model.image import Image
from daskome.model.problem import Problem
from daskome.model.pyramid import Pyramid
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.model.types import ColorsLike, ImageLike, PropertiesLike
from daskome.ome.detect import ome_keys, ome_of
from daskome.ome.image_label import LABELS, ImageLabel, check_label_name, colored, labelled_path, parse_image_label
from daskome.ome.metadata import Metadata, Multiscale
from daskome.ome.read import read_multiscale
from daskome.ome.versions import Version
from daskome.planning.build import together
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.sources.adapt import as_source
from daskome.sources.graphs.shared_results import compute_shared
from daskome.sources.pieces import source_piece, with_shared_results
from daskome.stores.groups import UNFINISHED_KEY, read_attributes
from daskome.stores.targets.conflicts import OTHER_KINDS
from daskome.writing.description import ImageOptions, Planned, image_options
from daskome.writing.options import Arguments, chosen
from daskome.writing.target import check_same_version

NOT_FOR_LABELS = ("name", "channels", "omero", "image_label", "like", "labelled", "planes", "metadata")
"""Fields of `ImageOptions` that have no meaning for labels that come with an image."""
LABEL_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What a caller says of the values of a label image: the arguments of the same names of `daskome.write_labels`."""

    colors: ColorsLike | None = None
    properties: PropertiesLike | None = None
    label_metadata: Mapping[str, Any] | None = None

    def image_label(self, source: Source) -> ImageLabel:
        """Return the ``image-label`` object; ``colors=True`` reads all labels.

        Raises
        ------
        ValueError
            If a color or property is invalid.
        """
        if not isinstance(self.label_metadata, Mapping | None):
            raise ValueError(f"label_metadata {self.label_metadata!r} must be a dict (section 'image-label')")
        for key in self.label_metadata or {}:
            if not isinstance(key, str):
                raise ValueError(f"label_metadata has the key {key!r}, but keys of JSON are text; give a str")
        stated = {"colors": self.colors, "properties": self.properties}
        known = {key: value for key, value in (source.image_label or {}).items() if key not in ("version", "source")}
        stated |= {k: v for k, v in {**known, **(self.label_metadata or {})}.items() if stated.get(k) is None}
        if stated["colors"] is True:
            stated["colors"] = _colored(source)
        return parse_image_label(**stated)


_FIELDS = [field.name for kind in (ImageOptions, LabelOptions) for field in fields(kind)]
LABEL_ARGUMENTS = ("labels", *(name for name in _FIELDS if name not in NOT_FOR_LABELS))
"""Arguments of labels that come with an image."""


def planned_labels(arguments: Arguments, store_path: StorePath, version: Version, options: PlanOptions) -> Planned:
    """Return the plan of `daskome.write_labels`, and the images that it reads."""
    source = as_source(arguments["labels"])
    labels = replace(label_options(arguments, source), labelled=_multiscale_at(store_path))
    check_same_version(store_path, version)
    return _listed(labels, plan_labels(labels, source, image_at(store_path), version, options))


def planned_multiscale_labels(
    arguments: Arguments, store_path: StorePath, version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of `daskome.write_multiscale_labels`, and the levels that it reads."""
    sources = [as_source(level) for level in arguments["pyramid"]]
    if not sources:
        raise ValueError("the pyramid has no levels")
    labels = replace(label_options(arguments, sources[0]), labelled=_multiscale_at(store_path))
    check_same_version(store_path, version)
    return _listed(labels, plan_label_levels(labels, sources, image_at(store_path), version, options))


def with_labels(
    plan: Plan, source: Source, labels: Mapping[str, Any], version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of an image together with those of its labels, and what they read.

    Parameters
    ----------
    plan, source
        The plan of the image, and what it reads.
    labels : dict
        As in `daskome.write_image`.
    """
    parts, sources = [("", plan)], [source]
    for name, value in labels.items():
        arguments = _label_arguments(name, value)
        read = as_source(arguments["labels"])
        named = replace(label_options(arguments, read), labelled=plan.groups[0].metadata.multiscales[0])
        part, (read,) = plan_labels(named, read, plan.pyramids[0], version, options)
        parts.append((f"{LABELS}/{name}", part))
        sources.append(read)
    return together(parts, label_list_groups(list(labels))[:1]), sources


def label_options(arguments: Arguments, source: Source) -> ImageOptions:
    """Return the options of a label image: those of an image with an ``image-label``, named by its path.

    Raises
    ------
    ValueError
        If the name, a color or a property is invalid.
    """
    check_label_name(arguments["name"])
    image = image_options(arguments)
    method = "mode" if image.method is None else image.method
    return replace(image, image_label=chosen(LabelOptions, arguments).image_label(source), method=method)


def plan_labels(
    labels: ImageOptions, source: Source, image: Pyramid | None, version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of a label image alone, and what it reads.

    Parameters
    ----------
    labels : ImageOptions
    source : Source
    image : Pyramid, optional
        The labelled image, if it is known: levels, scale and units follow it where the caller says nothing else.

    Raises
    ------
    ValueError
        If they cannot be labels of this image.
    """
    labels, (source,) = _following(labels, [source], image)
    described = labels.image(source)
    _check_dtype(described)
    factors = factors_like(labels.scale_factors, described, image)
    paths = paths_like(image) if labels.level_paths is None else labels.level_paths
    labels = replace(labels, scale_factors=factors, like=shapes_like(described, image), level_paths=paths)
    plan, source = labels.plan(source, version, options)
    _check_like(plan.pyramids[0], image)
    return plan, [source]


def plan_label_levels(
    labels: ImageOptions, sources: Sequence[Source], image: Pyramid | None, version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of a label image all of whose levels are given, and what it reads, as `plan_labels` does."""
    labels, sources = _following(labels, sources, image)
    _check_dtype(labels.image(sources[0]))
    labels = replace(labels, level_paths=paths_like(image) if labels.level_paths is None else labels.level_paths)
    plan, expanded = labels.plan_levels(sources, version, options)
    _check_like(plan.pyramids[0], image)
    return plan, expanded


def _listed(labels: ImageOptions, planned: Planned) -> Planned:
    """Return the plan of a label image put under its path, and listed among the labels."""
    (plan, sources), name = planned, str(labels.name)
    return together([(f"{LABELS}/{name}", plan)], label_list_groups([name])), sources


def _label_arguments(name: str, value: Any) -> Arguments:
    """Return the arguments of labels that come with an image as pixels, or as a dict of pixels and arguments."""
    arguments = dict(value) if isinstance(value, Mapping) else {"labels": value}
    if "labels" not in arguments:
        raise ValueError(f"labels {name!r}: give an array, or a dict with 'labels' and arguments of write_labels")
    reject_unknown(arguments, LABEL_ARGUMENTS, "argument of labels")
    return {**arguments, "name": name}


def label_values(labels: ImageLike) -> list[int]:
    """Return all values of a label image but 0, the background.

    Parameters
    ----------
    labels : array-like
        Integers. All of it is read, block by block.

    Returns
    -------
    list of int
        In rising order.

    Raises
    ------
    TypeError
        If it is not an array.

    Examples
    --------
    >>> import numpy as np
    >>> label_values(np.array([[0, 3], [3, 7]], "uint16"))
    [3, 7]
    """
    return _found_values(as_source(labels))


def _colored(source: Source) -> dict[int, tuple[int, int, int, int]]:
    """Return a color for each value; raise a ValueError if they are more than `MOST_COLORS`."""
    values = _found_values(source, MOST_COLORS)
    if len(values) > MOST_COLORS:
        raise ValueError(
            f"colors=True would list more than {MOST_COLORS:,} labels in a document that every reader loads whole;"
            " leave it out, for viewers give each label a color, or say colors for those that matter"
        )
    return colored(values)


def _found_values(labels: Source, most: float = inf) -> list[int]:
    """Return the values of a label image but 0; where they are more than so many, not all of them."""
    pieces, values = _pieces(with_shared_results(labels, compute_shared)), {0}
    while len(values) <= most + 1 and (some := list(islice(pieces, PIECES_AT_ONCE))):
        values.update(*dask.compute(*map(_values, some)))
    release_free_memory()
    return sorted(values - {0})


def _pieces(source: Source) -> Iterator[da.Array]:
    """Yield a label image in pieces of whole source chunks, one at a time: a petabyte has millions."""
    sides = [pairwise(accumulate(consolidated(sizes, PIECE), initial=0)) for sizes in source.chunks]
    for region in product(*sides):
        yield source_piece(source, region, (PIECE,) * len(region))


@delayed(pure=False)  # type: ignore[untyped-decorator]
def _values(piece: Any) -> list[int]:
    return [int(value) for value in np.unique(piece)]


MOST_COLORS = 2**15
"""Colors that labels get at most with ``colors=True``: they are some 2 MB of JSON."""
PIECE = 128
"""Voxels along each axis of the piece that one task reads; more where source chunks are larger."""
PIECES_AT_ONCE = 256
"""Pieces whose tasks are in one graph, so that the graph does not grow with the image."""


def image_at(store_path: StorePath) -> Pyramid | None:
    """Return the pyramid of a stored image; None if there is none.

    Raises
    ------
    ValueError
        If it is unfinished, some of it cannot be read, or the group is of another kind.
    """
    attributes = read_attributes(store_path)
    for kind in OTHER_KINDS:
        if attributes is not None and kind in ome_keys(attributes):
            raise ValueError(
                f"{store_path} is a {kind.split('.')[0]}; labels go into the group of their image (section 'labels')"
            )
    if attributes is None or "multiscales" not in ome_keys(attributes):
        if attributes is not None and UNFINISHED_KEY in attributes:
            raise ValueError(
                f"{store_path} holds an unfinished image: finish it first, or write its labels together with it"
            )
        return None
    image = read_stored_image(store_path)
    if isinstance(image, Problem) or len(image.complete) < len(image.levels) or image.problems:
        problem = image if isinstance(image, Problem) else next(iter(image.problems), "a level cannot be opened")
        raise ValueError(
            f"{store_path}: the image cannot be read, and its labels must have its levels: {problem}; `daskome"
            " validate` says more"
        )
    return pyramid_of(image)


def _multiscale_at(store_path: StorePath) -> Multiscale | None:
    """Return the metadata of a stored image; None if there is none, or they cannot be read."""
    attributes = read_attributes(store_path) or {}
    with suppress(ValueError):
        return read_multiscale(attributes) if "multiscales" in ome_keys(attributes) else None
    return None


def stored_labels(store_path: StorePath) -> Iterator[tuple[str, StoredImage]]:
    """Yield the paths and contents of an image's listed label images.

    Raises
    ------
    ValueError
        If one of them, or one of its levels, cannot be read.
    """
    listed = ome_of(read_attributes(store_path / LABELS) or {}).get("labels")
    for name in listed if isinstance(listed, list) else ():
        labels = read_stored_image(store_path / LABELS / str(name))
        if isinstance(labels, Problem) or labels.problems or len(labels.complete) != len(labels.levels):
            raise ValueError(
                f"{store_path / LABELS / str(name)}: some of these labels cannot be read, and they must have as many"
                " levels as their image (section 'labels'); `daskome validate` says why"
            )
        yield f"{LABELS}/{name}", labels


def image_of_labels(store_path: StorePath) -> Pyramid | None:
    """Return the image to which a target ``labels/<name>`` belongs; None for any other target."""
    path = labelled_path(store_path.path)
    return None if path is None else image_at(StorePath(store_path.store, path))


def label_list_groups(names: Sequence[str]) -> list[Group]:
    """Return the group that lists label images, and the group of their image, which may not exist yet."""
    return [Group(LABELS, Metadata(labels=tuple(names))), Group("", Metadata())]


def _check_dtype(image: Image) -> None:
    if image.dtype not in LABEL_DTYPES:
        raise ValueError(
            f"labels are {image.dtype}, but must be one of {', '.join(LABEL_DTYPES)} (section 'labels');"
            " convert them, as in labels.astype('uint8')"
        )


def _following(
    options: ImageOptions, sources: Sequence[Source], image: Pyramid | None
) -> tuple[ImageOptions, Sequence[Source]]:
    """Return options and levels of labels that follow the image where neither they nor the caller say anything."""
    stated = sources[0].dims if options.axes is None else options.axes
    axes = stated if image is None or stated is not None else _likely_axes(image, len(sources[0].shape))
    if image is None or axes is None:
        return options, sources
    if options.orientation is False and stated is None:
        axes = [replace(axis, orientation=None) for axis in parse_axes(axes, len(sources[0].shape))]
    level, each = image.levels[0], list(enumerate(image.axes))
    planes = {axis.name: level.translation[i] for i, axis in each if axis.spatial and level.shape[i] == 1}
    options = replace(options, axes=axes, planes=planes)
    labels, position = options.image(sources[0]), {axis.name: i for i, axis in each}
    sizes = {axis.name: n for axis, n in zip(labels.axes, labels.shape, strict=True)}
    same = [name for name, n in sizes.items() if name in position and n == level.shape[position[name]]]
    scale = {name: level.scale[position[name]] for name in same}
    translation = {name: level.translation[position[name]] for name in same}
    units = {name: unit for name in same if (unit := image.axes[position[name]].unit)}
    oriented = {name: value for name in same if (value := image.axes[position[name]].orientation)}
    named = (source.by_axes(list(sizes)) for source in sources)
    return options, [
        replace(
            own,
            scale=scale | {**own.scale},
            translation=translation | {**own.translation},
            units=units | {**own.units},
            orientations=oriented | {**own.orientations},
        )
        for own in named
    ]


def _likely_axes(image: Pyramid, ndim: int) -> tuple[Axis, ...] | None:
    """Return the axes of labels of `ndim` dimensions: the image's, those without channels, or those of space."""
    without = tuple(axis for axis in image.axes if axis.type != "channel")
    space = tuple(axis for axis in image.axes if axis.spatial)
    return next((axes for axes in (image.axes, without, space, space[-ndim:]) if len(axes) == ndim), None)


def factors_like(scale_factors: ScaleFactors, labels: Image, image: Pyramid | None) -> ScaleFactors:
    """Return the caller's factors, or, for "auto", those of the labelled image: labels have as many levels."""
    if image is None or scale_factors != "auto":
        return scale_factors
    rows = [dict(zip((axis.name for axis in image.axes), level.factors, strict=True)) for level in image.levels[1:]]
    long = {axis.name for axis, n in zip(labels.axes, labels.shape, strict=True) if n > 1}
    if any(factor != int(factor) for row in rows for factor in row.values()):
        return scale_factors
    return [{name: int(factor) for name, factor in row.items() if name in long} for row in rows]


def paths_like(image: Pyramid | None) -> str | None:
    """Return the paths of an image's levels, with ``{}`` for their number; None if they have no number."""
    if image is None:
        return None
    before, number, after = image.levels[0].path.rpartition("0")
    paths = f"{before}{{}}{after}"
    follow = number and set("{}").isdisjoint(before + after)
    return paths if follow and all(paths.format(k) == level.path for k, level in enumerate(image.levels)) else None


def shapes_like(labels: Image, image: Pyramid | None) -> list[Shape]:
    """Return the shapes that levels of labels should have: as long as those of the image, or 1."""
    sizes = [] if image is None else [zip(image.axes, level.shape, strict=True) for level in image.levels]
    by_name = [{axis.name: n for axis, n in level} for level in sizes]
    each = list(zip(labels.axes, labels.shape, strict=True))
    return [tuple(1 if n == 1 else level.get(axis.name, n) for axis, n in each) for level in by_name]


def _check_like(labels: Pyramid, image: Pyramid | None) -> None:
    """Raise for labels that cannot be those of an image: as many levels, each axis as long or 1 (section "labels")."""
    if image is None:
        return
    if len(labels.levels) != len(image.levels):
        raise ValueError(
            f"labels {labels.name!r} would have {len(labels.levels)} levels, but the image has {len(image.levels)};"
            " they must have as many (section 'labels'): leave scale_factors out to follow the image"
        )
    for k, (labelled, level) in enumerate(zip(labels.levels, image.levels, strict=True)):
        sizes = {axis.name: n for axis, n in zip(image.axes, level.shape, strict=True)}
        for axis, n in zip(labels.axes, labelled.shape, strict=True):
            if n not in (1, sizes.get(axis.name, n)):
                raise ValueError(
                    f"level {labelled.path} of labels {labels.name!r} would be {n} along axis {axis.name!r}, but the"
                    f" image is {sizes[axis.name]}; they must be as long or 1 (section 'labels')"
                    + (": give all levels, in the sizes of the image's, to write_multiscale_labels" if k else "")
                )
