"""Labels of an image: ``labels/<name>`` inside its group, planned like any image, and listed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise, product
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import delayed
from zarr.storage import StorePath

from daskome.inspection.stored_image import StoredImage, pyramid_of, read_stored_image
from daskome.model.axes import Axis
from daskome.model.chunks import consolidated
from daskome.model.factors import ScaleFactors
from daskome.model.image import Image
from daskome.model.pyramid import Pyramid
from daskome.model.source import Source
from daskome.ome.detect import ome_keys, ome_of
from daskome.ome.image_label import LABELS, colored, parse_image_label
from daskome.ome.metadata import Metadata
from daskome.ome.problem import Problem
from daskome.ome.versions import Version
from daskome.planning.plan import Group, Plan
from daskome.planning.work import PlanOptions
from daskome.sources.adapt import as_source
from daskome.sources.dask_graphs import compute_shared
from daskome.sources.pieces import source_piece, with_shared_results
from daskome.stores.conflicts import OTHER_KINDS
from daskome.stores.groups import UNFINISHED_KEY, read_attributes
from daskome.writing.description import ImageOptions

DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@dataclass(frozen=True, slots=True)
class LabelImage:
    """A label image as its caller asks for it.

    Attributes
    ----------
    name : str
        Of its group in ``labels``.
    sources : sequence of Source
        The image, or all its levels.
    given : bool
        Whether all levels are given.
    asked : ImageOptions
    """

    name: str
    sources: Sequence[Source]
    given: bool
    asked: ImageOptions

    @property
    def path(self) -> str:
        """Where it lies in the group of its image."""
        return f"{LABELS}/{self.name}"

    def plan(self, image: Pyramid | None, version: Version, options: PlanOptions) -> tuple[Plan, list[Source]]:
        """Return the plan of the label image alone, and what is read.

        Parameters
        ----------
        image : Pyramid, optional
            That was labelled, if it is known: levels, scales and units are its own, unless the caller says otherwise.

        Raises
        ------
        ValueError
            For what can't be the labels of this image.
        """
        asked = replace(_following(self.asked, self.sources[0], image), name=self.name)
        whole = asked.image(self.sources[0])
        _check_dtype(whole)
        if self.given:
            plan, sources = asked.plan_levels(self.sources, version, options)
        else:
            asked = replace(asked, scale_factors=factors_like(asked.scale_factors, whole, image))
            plan, source = asked.plan(self.sources[0], version, options)
            sources = [source]
        if image is not None:
            _check_like(plan.pyramids[0], image)
        return plan, sources


def label_image(
    name: str,
    levels: Sequence[Any],
    asked: ImageOptions,
    colors: Any = None,
    properties: Any = None,
    label_metadata: Mapping[str, Any] | None = None,
    given: bool = False,
) -> LabelImage:
    """Return a label image from what the caller gives.

    Parameters
    ----------
    name : str
    levels : sequence of array-like
    asked : ImageOptions
    colors, properties, label_metadata
        As in `daskome.write_labels`.
    given : bool
        Whether `levels` are all levels.

    Raises
    ------
    ValueError
        If the name or what is said of label values can't be.
    """
    check_name(name)
    if not levels:
        raise ValueError("the pyramid has no levels")
    sources = [as_source(level) for level in levels]
    said = {"colors": colors, "properties": properties}
    said |= {key: value for key, value in (label_metadata or {}).items() if said.get(key) is None}
    if said["colors"] is True:
        said["colors"] = colored(label_values(sources[0]))
    whole = replace(asked, image_label=parse_image_label(**said), method=asked.method or "mode")
    return LabelImage(name, sources, given, whole)


def label_values(labels: Any) -> list[int]:
    """Return all values of a label image but 0, the background.

    Parameters
    ----------
    labels : array-like
        Integers. It is read whole, block by block.

    Returns
    -------
    list of int
        In rising order.

    Raises
    ------
    TypeError
        If it is no array.

    Examples
    --------
    >>> import numpy as np
    >>> label_values(np.array([[0, 3], [3, 7]], "uint16"))
    [3, 7]
    """
    source, found = with_shared_results(as_source(labels), compute_shared), set[int]()
    pieces = _pieces(source)
    while some := list(islice(pieces, PIECES_AT_ONCE)):
        found.update(*dask.compute(*map(_values, some)))
    return sorted(found - {0})


def _pieces(source: Source) -> Iterator[da.Array]:
    """Yield a label image in pieces of whole source chunks, one at a time: a petabyte has millions."""
    sides = [pairwise(accumulate(consolidated(sizes, PIECE), initial=0)) for sizes in source.chunks]
    for region in product(*sides):
        yield source_piece(source, region, (PIECE,) * len(region))


@delayed(pure=False)  # type: ignore[untyped-decorator]
def _values(piece: Any) -> list[int]:
    return [int(value) for value in np.unique(piece)]


PIECE = 256
"""Voxels along each axis of what is looked at in one task; more where source chunks are larger."""
PIECES_AT_ONCE = 256
"""Pieces whose tasks are in one graph, so that it doesn't grow with the image."""


def image_at(place: StorePath) -> Pyramid | None:
    """Return the image at a place, as far as it can be read; None if there is none.

    Raises
    ------
    ValueError
        If it is unfinished, or a group of another kind.
    """
    found = read_attributes(place)
    for kind in OTHER_KINDS:
        if found is not None and kind in ome_keys(found):
            raise ValueError(
                f"{place} is a {kind.split('.')[0]}; labels go into the group of their image (section 'labels')"
            )
    if found is None or "multiscales" not in ome_keys(found):
        if found is not None and UNFINISHED_KEY in found:
            raise ValueError(
                f"{place} holds an unfinished image: finish it first, or write its labels together with it"
            )
        return None
    image = read_stored_image(place)
    return None if isinstance(image, Problem) or not image.complete else pyramid_of(image)


def stored_labels(place: StorePath) -> Iterator[tuple[str, StoredImage]]:
    """Yield the listed label images of the image at a place, that can be read, with their paths in it."""
    listed = ome_of(read_attributes(place / LABELS) or {}).get("labels")
    for name in listed if isinstance(listed, list) else ():
        found = read_stored_image(place / LABELS / str(name))
        if isinstance(found, StoredImage):
            yield f"{LABELS}/{name}", found


def image_of_labels(place: StorePath) -> Pyramid | None:
    """Return the image whose labels lie at a place, ``labels/<name>`` in its group; None if they are none."""
    above, _, _ = place.path.rpartition("/")
    image, _, labels = above.rpartition("/")
    return image_at(StorePath(place.store, image)) if labels == LABELS else None


def label_list_groups(names: Sequence[str]) -> list[Group]:
    """Return the group that lists label images, and their image's own, if it isn't there yet."""
    return [Group(LABELS, Metadata(labels=tuple(names))), Group("", Metadata())]


def check_name(name: Any) -> None:
    """Raise a ValueError for what can't be the name of a label image."""
    text = name if isinstance(name, str) else ""
    odd = text.startswith((".", "__")) or text == "zarr.json" or not text.isprintable()
    if odd or not text.strip() or "/" in text or "\\" in text:
        raise ValueError(
            f"label name {name!r} must be text without a slash, and not begin with a dot: it is the name of a group"
            " inside 'labels' (section 'labels')"
        )


def _check_dtype(image: Image) -> None:
    if image.dtype not in DTYPES:
        raise ValueError(
            f"labels are {image.dtype}, but must be one of {', '.join(DTYPES)} (section 'labels');"
            " convert them, as in labels.astype('uint8')"
        )


def _following(asked: ImageOptions, source: Source, image: Pyramid | None) -> ImageOptions:
    """Return what is asked for with what the labelled image says where the caller and the labels say nothing."""
    if image is None:
        return asked
    axes = asked.axes or source.dims or _likely_axes(image, len(source.shape))
    if axes is None:
        return asked
    parsed = asked.image(source) if asked.axes or source.dims else replace(asked, axes=axes).image(source)
    level, own = image.levels[0], {axis.name: i for i, axis in enumerate(image.axes)}
    sizes = {axis.name: n for axis, n in zip(parsed.axes, parsed.shape, strict=True)}
    same = [name for name, n in sizes.items() if name in own and n == level.shape[own[name]]]
    scale, translation = ({name: values[own[name]] for name in same} for values in (level.scale, level.translation))
    units = {name: image.axes[own[name]].unit for name in same}
    return replace(
        asked,
        axes=axes,
        scale=asked.scale if asked.scale is not None or source.scale else scale,
        translation=asked.translation if asked.translation is not None or source.translation else translation,
        axes_units=asked.axes_units or source.units or {name: unit for name, unit in units.items() if unit},
    )


def _likely_axes(image: Pyramid, ndim: int) -> tuple[Axis, ...] | None:
    """Return the axes of labels of an image: all of it, or those without its channels, or those of space."""
    without = tuple(axis for axis in image.axes if axis.type != "channel")
    space = tuple(axis for axis in image.axes if axis.spatial)
    return next((axes for axes in (image.axes, without, space, space[-ndim:]) if len(axes) == ndim), None)


def factors_like(scale_factors: ScaleFactors, labels: Image, image: Pyramid | None) -> ScaleFactors:
    """Return the factors of the labelled image where the caller gives none: labels have as many levels."""
    if image is None or scale_factors != "auto":
        return scale_factors
    rows = [dict(zip((axis.name for axis in image.axes), level.factors, strict=True)) for level in image.levels[1:]]
    long = {axis.name for axis, n in zip(labels.axes, labels.shape, strict=True) if n > 1}
    if any(factor != int(factor) for row in rows for factor in row.values()):
        return scale_factors
    return [{name: int(factor) for name, factor in row.items() if name in long} for row in rows]


def _check_like(labels: Pyramid, image: Pyramid) -> None:
    """Raise for labels that can't be those of an image: as many levels, each axis as long, or 1 (section "labels")."""
    if len(labels.levels) != len(image.levels):
        raise ValueError(
            f"labels {labels.name!r} would have {len(labels.levels)} levels, but the image has {len(image.levels)};"
            " they must have as many (section 'labels'): leave scale_factors out to follow the image"
        )
    for k, (own, level) in enumerate(zip(labels.levels, image.levels, strict=True)):
        sizes = {axis.name: n for axis, n in zip(image.axes, level.shape, strict=True)}
        for axis, n in zip(labels.axes, own.shape, strict=True):
            if n not in (1, sizes.get(axis.name, n)):
                raise ValueError(
                    f"level {own.path} of labels {labels.name!r} would be {n} along axis {axis.name!r}, but the image"
                    f" is {sizes[axis.name]}; they must be as long, or 1 (section 'labels')"
                    + (": give all levels, in the sizes of the image's, to write_multiscale_labels" if k else "")
                )
