"""A plate as one plan: its wells and their images, each put under its path."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zarr.storage import StorePath

from daskome.model.paths import LONGEST_NAME, has_short_names
from daskome.model.source import Source
from daskome.model.types import WellsLike
from daskome.ome.checked import checked
from daskome.ome.detect import ome_keys
from daskome.ome.metadata import Metadata
from daskome.ome.missing_axes import missing_axes
from daskome.ome.plate import Field, Plate, Well, joined, list_given, natural, parse_acquisitions, parse_plate
from daskome.ome.read import read_metadata
from daskome.ome.versions import Version
from daskome.planning.build import together
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.planning.work import PlanOptions
from daskome.sources.adapt import as_source
from daskome.sources.stored_whole import encoding_in
from daskome.sources.views import expand_axes
from daskome.stores.groups import read_attributes
from daskome.writing.description import ImageOptions, Planned, image_options
from daskome.writing.options import Arguments, chosen
from daskome.writing.target import check_same_version


@dataclass(frozen=True, slots=True)
class PlateImage:
    """One image of a plate: its well, its path in it, its acquisition, and the image."""

    well: str
    path: str
    acquisition: int | None
    source: Source


@dataclass(frozen=True, slots=True)
class PlateOptions:
    """What a caller says of a plate: the arguments of the same names of `daskome.write_plate`."""

    wells: WellsLike
    rows: Sequence[str] | None = None
    columns: Sequence[str | int] | None = None
    acquisitions: Sequence[Mapping[str, Any]] | None = None
    name: str | None = None

    def images(self) -> tuple[PlateImage, ...]:
        """Return the images of all wells.

        Raises
        ------
        ValueError
            If there are no wells, a well has no images, or the name of a well is invalid.
        """
        if not isinstance(self.wells, Mapping) or not self.wells:
            raise ValueError("a plate needs wells: give a dict such as {'A/1': [image, …], …}")
        return tuple(image for key, value in self.wells.items() for image in _fields(_path(key), value))

    def plate(self, images: Sequence[PlateImage]) -> Plate:
        """Return the metadata of the plate with these images."""
        paths = list(dict.fromkeys(image.well for image in images))
        used = [sorted({path.split("/")[i] for path in paths}, key=natural) for i in (0, 1)]
        rows, columns = (
            names if side is None else [str(n) for n in list_given(side, f"plate/{key}")]
            for names, side, key in zip(used, (self.rows, self.columns), ("rows", "columns"), strict=True)
        )
        field_count = max(Counter(image.well for image in images).values())
        return parse_plate(rows, columns, paths, acquisitions_of(images, self.acquisitions), field_count, self.name)


def planned_plate(arguments: Arguments, store_path: StorePath, version: Version, options: PlanOptions) -> Planned:
    """Return the plan of `daskome.write_plate`, and the images that it reads."""
    described = chosen(PlateOptions, arguments)
    images = described.images()
    plate = described.plate(images)
    check_same_version(store_path, version)
    check_new_wells(store_path, plate, images, bool(arguments["overwrite"] or arguments["resume"]))
    return plan_plate(plate, images, image_options({**arguments, "name": None}), version, options)


def plan_plate(
    plate: Plate, images: Sequence[PlateImage], image: ImageOptions, version: Version, options: PlanOptions
) -> Planned:
    """Return the plan of all images of a plate, and what it reads."""
    parts, sources = planned_fields(images, image, version, options)
    return together(parts, [*well_groups(images, version), Group("", checked(version, Metadata(plate=plate)))]), sources


def planned_fields(
    images: Sequence[PlateImage], image: ImageOptions, version: Version, options: PlanOptions
) -> tuple[list[tuple[str, Plan]], list[Source]]:
    """Return the plan of each image with its path, and what they read. Images that are alike are planned once."""
    options = replace(options, images=len(images))
    plans: dict[Any, Plan] = {}
    parts, sources = [], []
    for one in images:
        described = image.image(one.source)
        source, read = image.reading(one.source), None
        said = repr((source.omero, source.attributes, source.systems, image.verbatim and encoding_in(source)))
        key = (described, source.chunks, source.buffer_copies, said)
        if key not in plans:
            plans[key], read = image.plan(one.source, version, options)
        path = f"{one.well}/{one.path}"
        parts.append((path, named_by_path(plans[key], path)))
        own = expand_axes(source, missing_axes(described, version.every_axis)) if read is None else read
        sources.append(own)
    return parts, sources


def named_by_path(plan: Plan, path: str) -> Plan:
    """Return the plan of an image that is named by its path if it has no name."""
    group, *others = plan.groups
    named = tuple(m if m.name != "image" else replace(m, name=path) for m in group.metadata.multiscales)
    return replace(plan, groups=(replace(group, metadata=replace(group.metadata, multiscales=named)), *others))


def well_groups(images: Sequence[PlateImage], version: Version) -> list[Group]:
    """Return the groups of wells, and of rows."""
    wells: dict[str, list[Field]] = {}
    for image in images:
        wells.setdefault(image.well, []).append(Field(image.path, image.acquisition))
    rows = dict.fromkeys(path.partition("/")[0] for path in wells)
    return [
        *(Group(path, checked(version, Metadata(well=Well(tuple(fields))))) for path, fields in wells.items()),
        *(Group(row, Metadata()) for row in rows),
    ]


def check_new_wells(store_path: StorePath, plate: Plate, images: Sequence[PlateImage], overwrite: bool) -> None:
    """Raise for wells that cannot join a plate: it has them already, is not a plate, or lacks their acquisitions."""
    attributes = read_attributes(store_path)
    if attributes is None:
        _check_acquisitions(images, plate)
        return
    kinds = [kind for kind in ome_keys(attributes) if kind != "plate"]
    if kinds:
        raise FileExistsError(f"{store_path} holds {', '.join(kinds)}; a plate goes into a group of its own")
    old = read_metadata(attributes).plate
    stored = {well.path for well in old.wells} if old else set()
    both = [well.path for well in plate.wells if well.path in stored]
    if both and not overwrite:
        raise FileExistsError(f"{store_path} has wells {', '.join(both[:10])} already; overwrite=True replaces them")
    merged = joined(old, plate) if old else plate
    _check_acquisitions(images, merged)
    if old and len(merged.acquisitions or ()) > 1:
        _check_old_wells(store_path, [well.path for well in old.wells if well.path not in both])


def _check_old_wells(store_path: StorePath, paths: Sequence[str]) -> None:
    """Raise a ValueError for stored wells whose images do not name their acquisition."""
    for path in paths:
        well = read_metadata(read_attributes(store_path / path) or {}).well
        if well and any(image.acquisition is None for image in well.images):
            raise ValueError(
                f"with several acquisitions, every image of the plate must name its own, but those of well {path} do"
                " not (section 'well')"
            )


def _check_acquisitions(images: Sequence[PlateImage], plate: Plate) -> None:
    """Raise a ValueError for images that do not name their acquisition where there are several."""
    silent = [f"{image.well}/{image.path}" for image in images if image.acquisition is None]
    if len(plate.acquisitions or ()) > 1 and silent:
        raise ValueError(
            f"image {silent[0]} does not name its acquisition, of which the plate has {len(plate.acquisitions or ())}"
            " (section 'well'); give a dict from the id of an acquisition to its images"
        )


def _path(key: Any) -> str:
    """Return the path of a well from "A/1" or ("A", 1)."""
    path = "/".join(map(str, key)) if isinstance(key, tuple) else key
    if not isinstance(path, str) or len(path.split("/")) != 2 or not all(path.split("/")):
        raise ValueError(f"well {key!r} must be row and column: 'A/1' or ('A', 1) (section 'plate')")
    if not has_short_names(path):
        raise ValueError(f"well {key!r} has a name of more than {LONGEST_NAME} bytes, which file systems do not take")
    return path


def _fields(well: str, value: Any) -> Iterator[PlateImage]:
    """Yield the images of a well: of one, of a list of them, or of a dict with a list per acquisition."""
    by_acquisition = value if isinstance(value, Mapping) else {None: value}
    number = 0
    for acquisition, images in by_acquisition.items():
        for image in images if isinstance(images, list | tuple) else [images]:
            yield PlateImage(well, str(number), acquisition, _source(image, f"{well}/{number}"))
            number += 1
    if not number:
        raise ValueError(f"well {well!r} has no images; leave it out (section 'plate')")


def _source(image: Any, path: str) -> Source:
    try:
        return as_source(image)
    except (TypeError, ValueError) as error:
        raise type(error)(f"image {path}: {error}") from error


def acquisitions_of(
    images: Sequence[PlateImage], acquisitions: Sequence[Mapping[str, Any]] | None
) -> Sequence[Mapping[str, Any]] | None:
    """Return the acquisitions that images have, each with the largest number of its images in a well."""
    counts = Counter((image.acquisition, image.well) for image in images if image.acquisition is not None)
    most: dict[Any, int] = {}
    for (number, _), n in counts.items():
        most[number] = max(most.get(number, 0), n)
    used = {number: {"id": number, "name": str(number), "maximumfieldcount": n} for number, n in most.items()}
    described = [{**used.get(item.get("id"), {}), **item} for item in parse_acquisitions(acquisitions) or ()]
    return [
        *described,
        *(item for number, item in used.items() if number not in [one.get("id") for one in described]),
    ] or None
