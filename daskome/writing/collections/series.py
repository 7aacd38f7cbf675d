"""Several images as one collection: a bioformats2raw layout, with its list of series and its OME-XML, as one plan."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dask.delayed import Delayed
from zarr.storage import StorePath

from daskome.calls.signatures import as_lists
from daskome.execution.write import Write
from daskome.model.source import Source
from daskome.model.types import (
    AxesLike,
    Compute,
    FileSystemOptions,
    FormatLike,
    GroupLike,
    MethodLike,
    Nbytes,
    PathLike,
    PerAxis,
    ScaleFactors,
    SeriesLike,
    ShowProgress,
    StorageOptions,
    UnitsLike,
)
from daskome.ome.checked import checked
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.versions import Version
from daskome.ome.xml.collection_xml import DescribedImage, collection_xml, lacks_pixel_type, metadata_only
from daskome.ome.xml.names import COLLECTION_XML, OME
from daskome.planning.build import together
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.readers import read_series
from daskome.sources.adapt import as_source
from daskome.stores.groups import UNFINISHED_KEY, read_attributes
from daskome.stores.location import locate
from daskome.stores.remembered import looked_at
from daskome.writing.carry_out import carry_out
from daskome.writing.collections.plate import FoundPlate, common_xml, plate_of
from daskome.writing.description import ImageOptions, Planned, image_options, warn_together
from daskome.writing.options import Arguments, check_bool
from daskome.writing.plates import named_by_path, planned_fields, well_groups
from daskome.writing.target import plan_call

LAYOUT_NUMBER = 3
"""The value of ``bioformats2raw.layout``."""


def write_series(
    series: SeriesLike,
    group: GroupLike | None,
    scale_factors: ScaleFactors = "auto",
    method: MethodLike | None = None,
    *,
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    scale: PerAxis | None = None,
    translation: PerAxis | None = None,
    axes_units: UnitsLike | None = None,
    storage_options: StorageOptions = None,
    level_paths: str | None = None,
    in_options: FileSystemOptions | None = None,
    fs_options: FileSystemOptions | None = None,
    memory: Nbytes | None = None,
    staging: bool = False,
    check_source: bool = False,
    in_flight: int | None = None,
    temporary: PathLike | None = None,
    overwrite: bool = False,
    resume: bool = False,
    take_over: bool = False,
    retries: int = 2,
    progress: ShowProgress = None,
    compute: Compute = True,
    dry_run: bool = False,
) -> Plan | Delayed:
    """Write several images, such as all of a file, as one collection: a bioformats2raw layout.

    The images are the groups ``0``, ``1``, … in their order, which ``OME`` lists; ``OME/METADATA.ome.xml`` holds what
    the file says in OME-XML, with the sizes that are written, or what is known of the images if it says nothing so. If
    the OME-XML of a file makes all its images fields of a plate, they become that plate: ``A/1/0``, ``A/1/1``, …, with
    the rows, columns and acquisitions that it names. It is one plan, so it resumes, keeps within memory, and runs on
    clusters and in parts like every other.

    Parameters
    ----------
    series : str, path, or sequence of str, path or array-like
        A file, all of whose images are written: the series of a TIFF, the datasets of an HDF5 file, the scenes of what
        bioio reads. Or images, and files with images, in the order of the collection.
    group : str, path, zarr.Group or zarr store, or None
        A new place; None if it is a dry run for a place that is not known yet.
    scale_factors, method, fmt, axes, scale, translation, axes_units, storage_options, level_paths
        As in `daskome.write_image`, for every image.
    in_options, fs_options : dict, optional
        For the file systems of the URLs of images, and of the target's. They are never stored.
    memory, staging, check_source, in_flight, temporary, take_over, retries, progress, compute
        As in `daskome.write_image`.
    overwrite : bool
        Begin anew what was begun and not finished; a collection that is finished is not replaced.
    resume : bool
        Continue what was interrupted; begin where nothing was begun.
    dry_run : bool
        Write nothing; return the plan.

    Returns
    -------
    Plan or dask.delayed.Delayed
        As `daskome.write_image` returns it.

    Raises
    ------
    ValueError, TypeError, WriteError
        As `daskome.write_image` and `daskome.read`; if there is no image; and if fields of a plate refer to images that
        are not there, or would lie at one place.
    FileExistsError
        If there is an image, a plate or a collection at the target.

    Examples
    --------
    >>> import daskome, numpy as np, zarr
    >>> store = zarr.storage.MemoryStore()
    >>> plan = daskome.write_series([np.zeros((64, 64), "uint8"), np.ones((9, 32, 32), "uint16")], store, [2])
    >>> zarr.open_group(store, path="OME", mode="r").attrs["ome"]["series"]
    ['0', '1']
    >>> list(daskome.open(store).images)
    ['0', '1']
    """
    arguments = {name: value if name in ("series", "group") else as_lists(value) for name, value in locals().items()}
    check_bool("dry_run", dry_run)
    if group is None and not dry_run:
        raise ValueError("without a target there is nothing to write; give one, or dry_run=True")
    if dry_run or group is None:
        return planned_collection(arguments)
    place = looked_at(locate(group, fs_options))
    plan, sources = plan_call(_planned_series, arguments, place)
    return carry_out(plan, sources, place, arguments)


def planned_collection(arguments: Arguments) -> Plan:
    """Return the plan of a collection; with a target, check that it can be written there."""
    group = arguments["group"]
    place = None if group is None else looked_at(locate(group, arguments["fs_options"]))
    plan, sources = plan_call(_planned_series, arguments, place)
    if place is not None:
        Write(plan, sources, place, arguments["overwrite"]).checked()
    return plan


def _planned_series(
    arguments: Arguments, store_path: StorePath | None, version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of a collection, and the images that it reads."""
    if not version.collections:
        raise ValueError(
            f"OME-Zarr {version.name} has no collections of images; use 0.4 or newer, or write each image to a target"
        )
    sources = _sources(arguments["series"], arguments["in_options"])
    if store_path is not None and not arguments.get("resume"):
        _check_new(store_path)
    image, options = image_options({**arguments, "name": None}), replace(options, images=len(sources))
    found = plate_of(sources)
    several = (image, version, options)
    parts, read, wells = _planned_images(sources, *several) if found is None else _planned_wells(found, *several)
    top = checked(version, Metadata(layout=LAYOUT_NUMBER, plate=found and found.plate))
    listed = checked(version, Metadata(series=tuple(path for path, _ in parts)))
    lists = Group(OME, listed, documents=_documents_of(parts, sources, image))
    return together(parts, [*wells, lists, Group("", top)], keeper=""), read


Parts = tuple[list[tuple[str, Plan]], list[Source], list[Group]]
"""The plan of each image with its path, what they read, and the groups of the wells that they lie in."""


def _planned_images(sources: Sequence[Source], image: ImageOptions, version: Version, options: PlanOptions) -> Parts:
    planned = [image.plan(source, version, options) for source in sources]
    parts = [(str(i), named_by_path(plan, str(i))) for i, (plan, _) in enumerate(planned)]
    return parts, [source for _, source in planned], []


def _planned_wells(found: FoundPlate, image: ImageOptions, version: Version, options: PlanOptions) -> Parts:
    return *planned_fields(found.images, image, version, options), well_groups(found.images, version)


def _sources(series: SeriesLike, in_options: FileSystemOptions | None) -> list[Source]:
    """Return all images, of which files may hold several."""
    given = [series] if isinstance(series, str | os.PathLike) else list(series)
    found: list[Source] = []
    for one in given:
        found += read_series(one, in_options) if isinstance(one, str | os.PathLike) else [as_source(one)]
    if not found:
        raise ValueError("a collection needs an image at least; give a file, or a list of images")
    return found


def _check_new(store_path: StorePath) -> None:
    """Raise a FileExistsError for a target that holds something; what was begun there is looked at with its images."""
    attributes = read_attributes(store_path) or {}
    there = ome_keys(attributes)
    if there and UNFINISHED_KEY not in attributes:
        raise FileExistsError(f"{store_path} holds {', '.join(there)}; a collection is written to a new path")


def _documents_of(
    parts: Sequence[tuple[str, Plan]], sources: Sequence[Source], options: ImageOptions
) -> Mapping[str, str]:
    """Return the OME-XML of a collection: that of the file that all images are of, or made from what is known."""
    images = [_described_image(plan, source, options) for (_, plan), source in zip(parts, sources, strict=True)]
    lacking = lacks_pixel_type(images)
    if lacking:
        warn_together([(f"{OME}/{COLLECTION_XML}", f"not written: OME-XML has no pixels of {', '.join(lacking)}")])
        return {}
    own = common_xml(sources)
    xml = metadata_only(own, [source.ome_image for source in sources], images) if own else collection_xml(images)
    return {COLLECTION_XML: xml}


def _described_image(plan: Plan, source: Source, options: ImageOptions) -> DescribedImage:
    metadata: Any = plan.groups[0].metadata
    image = options.image(source)
    return DescribedImage(replace(image, name=metadata.multiscales[0].name or image.name), metadata.omero)
