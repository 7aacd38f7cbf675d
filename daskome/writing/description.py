"""The description of an image by its caller, completed from its source and checked. No store is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from daskome._caller import warn
from daskome.kernels.methods import find_method
from daskome.model.axes import Axis, names_axis, parse_axes, parse_orientations, per_axis
from daskome.model.image import Image, check_ndim
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.model.storage.codecs import parse_codec, with_codecs
from daskome.model.storage.layout import SINGLE_FILE
from daskome.model.storage.level_options import LEVEL_PATHS, NO_OPTIONS, LevelOptions, parse_level_options
from daskome.model.types import (
    AxesLike,
    ChannelsLike,
    OrientationLike,
    PerAxis,
    ScaleFactors,
    SystemsLike,
    TransformationsLike,
    UnitsLike,
)
from daskome.ome.checked import checked
from daskome.ome.coordinates.systems import (
    fits_voxels,
    free_name,
    lost_for_labels,
    parse_systems,
    systems_like,
    systems_of_voxels,
    with_more_systems,
    with_system_of_levels,
    without_orientations,
)
from daskome.ome.image_label import ImageLabel
from daskome.ome.metadata import ONE_SYSTEM, Metadata, Multiscale, Systems, image_metadata
from daskome.ome.missing_axes import missing_axes, put_in, with_missing_axes
from daskome.ome.omero import parse_omero
from daskome.ome.versions import Version, unsupported
from daskome.planning import build
from daskome.planning.build import plan_downsampled
from daskome.planning.plan import Describe, Plan
from daskome.planning.work import PlanOptions, SourceChunks
from daskome.writing.options import Arguments, check_bool, chosen
from daskome.writing.verbatim import could_take, taken_source, with_taken

Planned = tuple[Plan, list[Source]]
"""A plan, and the images that it reads in the order of `Pass.image`."""
RESERVED = ("axes", "coordinateSystems", "coordinateTransformations", "datasets", "version")
"""Entries of a multiscale that follow from the image."""


@dataclass(frozen=True, slots=True)
class ImageOptions:
    """What a caller says of an image besides its pixels; None where the image itself decides.

    Attributes are the arguments of `daskome.write_image` of the same names; `metadata` holds all further keywords,
    `like` the shapes of levels that those of the image should have; `labelled` is the image that labels are of, and
    `planes` says where that lies along axes of space along which it is one plane.
    """

    name: str | None = None
    axes: AxesLike | None = None
    scale: PerAxis | None = None
    translation: PerAxis | None = None
    axes_units: UnitsLike | None = None
    orientation: OrientationLike | None = None
    coordinate_systems: SystemsLike | None = None
    coordinate_transformations: TransformationsLike | None = None
    channels: ChannelsLike | None = None
    omero: Mapping[str, Any] | None = None
    image_label: ImageLabel | None = None
    method: str | Callable[..., Any] | None = None
    scale_factors: ScaleFactors = "auto"
    storage_options: LevelOptions = NO_OPTIONS
    level_paths: str | None = None
    like: Sequence[Shape] = ()
    labelled: Multiscale | None = None
    planes: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Any] | None = None
    verbatim: bool = False

    def __post_init__(self) -> None:
        check_bool("verbatim", self.verbatim)
        if not isinstance(self.name, str | None):
            raise ValueError(f"name {self.name!r} must be a str")

    def plan(self, source: Source, version: Version, options: PlanOptions) -> tuple[Plan, Source]:
        """Return the plan of an image that is downsampled, and the source that it reads.

        Raises
        ------
        ValueError
            If the image cannot be written as described.
        """
        version.check_ndim(len(source.shape))
        described = self.image(source)
        source = self._with_unknown_sizes(source, described.axes)
        source = self.reading(self._writable(source, version, described))
        positions = missing_axes(described, version.every_axis)
        image, source = with_missing_axes(described, positions, version.every_axis), _with_axes(source, positions)
        storage = self.stored_with(version, positions, options.sharded)
        offers = not self.verbatim and could_take(storage, source, image.axes, version)
        plan = plan_downsampled(
            image,
            source_chunks(source, offers),
            find_method("mean" if self.method is None else self.method),
            version,
            scale_factors=self.scale_factors,
            storage_options=with_taken(storage, [source]) if self.verbatim else storage,
            describe=self.describe(version, image, source),
            options=options,
        )
        return _with_attributes(plan, source), source

    def plan_levels(self, sources: Sequence[Source], version: Version, options: PlanOptions) -> Planned:
        """Return the plan of an image whose levels exist already, and the sources that it reads.

        Raises
        ------
        ValueError
            If the levels cannot be those of one image.
        """
        if not sources:
            raise ValueError("the pyramid has no levels")
        version.check_ndim(len(sources[0].shape))
        described = [self.image(source) for source in sources]
        sources = [self.reading(self._writable(source, version, described[0])) for source in sources]
        positions = missing_axes(described[0], version.every_axis)
        storage = self.stored_with(version, positions, options.sharded)
        levels = [with_missing_axes(level, positions, version.every_axis) for level in described]
        expanded = [_with_axes(source, positions) for source in sources]
        plan = build.plan_levels(
            levels,
            list(map(source_chunks, expanded)),
            find_method("mean" if self.method is None else self.method),
            version,
            storage_options=with_taken(storage, expanded) if self.verbatim else storage,
            describe=self.describe(version, levels[0], sources[0]),
            options=options,
        )
        return _with_attributes(plan, sources[0]), expanded

    def reading(self, source: Source) -> Source:
        """Return an image as it is read: the zarr array that it is, if its chunks are taken over."""
        return taken_source(source) if self.verbatim else source

    def _with_unknown_sizes(self, source: Source, axes: Sequence[Axis]) -> Source:
        """Return a source that names the axes of space whose voxel size nobody says, if it says that of others."""
        space = [axis for axis in axes if axis.spatial]
        known = source.by_axes([axis.name for axis in axes]).scale
        unknown = [axis.name for axis in space if axis.name not in known and not names_axis(self.scale, axis)]
        if not unknown or not known or not any(axis.name in known for axis in space):
            return source
        note = f"the voxel size along {', '.join(unknown)}, which it does not say, and is taken for 1 (see scale)"
        return replace(source, left=(*source.left, note))

    def _writable(self, source: Source, version: Version, image: Image) -> Source:
        """Return a source with only what can be written of it; images have no `image_label`, labels no channels."""
        source = _with_systems_of(source, version, image)
        if self.labelled is not None:
            given = self.coordinate_systems if isinstance(self.coordinate_systems, Mapping) else ()
            lost = lost_for_labels(self.labelled, image.axes, self.planes, {*given, *(s.name for s in source.systems)})
            source = replace(source, left=(*source.left, *lost))
        if self.image_label is None and source.image_label is not None:
            return replace(source, image_label=None, left=(*source.left, "colors and properties of labels"))
        if self.image_label is not None and source.omero is not None:
            return replace(source, omero=None, left=(*source.left, "how its channels are shown"))
        return source

    def stored_with(self, version: Version, positions: tuple[int, ...], sharded: bool = False) -> LevelOptions:
        """Return the storage options for a version, and for an image with axes put in; those of labels suit labels.

        `sharded` has levels stored in shards where the options say nothing of them, if the version has any.
        """
        like = [put_in(shape, positions, (1,) * (len(shape) + len(positions))) for shape in self.like]
        options = replace(
            self.storage_options, paths=LEVEL_PATHS if self.level_paths is None else self.level_paths, like=like
        )
        options = options.map(partial(with_codecs, stored_as=version.arrays))
        if self.image_label is not None:
            options = _with_codec_of_labels(options, version)
        if sharded and version.arrays.zarr_format == 3:
            options = replace(options, fallback={**options.fallback, "shards": SINGLE_FILE})
        return options.map(partial(_padded, positions=positions)) if positions else options

    def image(self, source: Source) -> Image:
        """Return the shape, dtype, axes and sizes of an image: the caller's, and the source's where there are none."""
        check_ndim(source.shape)
        named = parse_axes(source.dims if self.axes is None else self.axes, len(source.shape))
        source = source.by_axes(tuple(axis.name for axis in named))
        for axis in named:
            if axis.name in source.irregular and not names_axis(self.scale, axis):
                raise ValueError(f"coordinate {axis.name!r} is not regular and rising; drop it, or pass scale=")
        axes = parse_axes(named, len(named), self._units(source, named), self._orientations(source, named))
        ones, zeros = (dict.fromkeys(source.dims or (), number) for number in (1.0, 0.0))
        return Image(
            source.shape,
            source.dtype,
            axes,
            per_axis(self.scale, axes, "scale", {**ones, **source.scale}),
            per_axis(self.translation, axes, "translation", {**zeros, **source.translation}),
            self.name or source.name or "image",
        )

    def _units(self, source: Source, axes: Sequence[Axis]) -> UnitsLike:
        """Return the units of axes: the caller's, where they say something, over the source's.

        A size that the caller gives is in the unit of the source's other axes of space, if they have one in common.
        """
        known = {**source.units, **{axis.name: axis.unit for axis in axes if axis.unit}}
        common = {known.get(axis.name) for axis in axes if axis.spatial and axis.name in source.scale}
        if len(common) == 1 and (unit := common.pop()):
            sized = [axis.name for axis in axes if axis.spatial and names_axis(self.scale, axis)]
            known = {**dict.fromkeys(sized, unit), **known}
        if isinstance(self.axes_units, str):
            return {**known, **{axis.name: self.axes_units for axis in axes if axis.spatial}}
        if self.axes_units is None:
            return known
        return {**known, **self.axes_units} if isinstance(self.axes_units, Mapping) else self.axes_units

    def _orientations(self, source: Source, axes: Sequence[Axis]) -> dict[str, str]:
        """Return the orientations of axes: the caller's, where they say something, over the source's."""
        own = {axis.name: axis.orientation for axis in axes if axis.orientation}
        known = {} if self.orientation is False else source.orientations
        return {**known, **own, **parse_orientations(self.orientation, axes)}

    def describe(self, version: Version, image: Image, source: Source) -> Describe:
        """Return a function from a pyramid to the metadata of its group, checked.

        Raises
        ------
        ValueError
            If the specification forbids something, or a value cannot be stored as JSON.
        """
        entries = dict(self.metadata or {})
        how = entries.pop("metadata", None)
        if how is not None and not isinstance(how, Mapping):
            raise ValueError(
                f"metadata {how!r} must be a dict: it describes how the image was made (section 'multiscales')"
            )
        for key in entries:
            if key in RESERVED:
                raise ValueError(f"metadata cannot set {key!r}: it follows from the image and the other arguments")
        omero = parse_omero(self.omero, self.channels, image.axes, image.shape, image.name, source.omero)
        systems = self.systems(version, image, source)
        made = partial(
            image_metadata,
            omero=omero,
            image_label=self.image_label,
            name=self.name,
            how=how,
            rest=entries,
            systems=systems,
        )
        return lambda pyramid: checked(version, made(pyramid))

    def systems(self, version: Version, image: Image, source: Source) -> Systems:
        """Return the coordinate systems besides that of the levels: the caller's, then those that the source knows.

        Raises
        ------
        ValueError
            If the version has no others, or the caller's have no form that can be read.
        """
        given = self.coordinate_systems is not None or self.coordinate_transformations is not None
        if not version.named_systems:
            if given:
                raise ValueError(
                    f"OME-Zarr {version.name} has no coordinate systems besides that of the levels (section"
                    " 'coordinateSystems'); write it with fmt='0.6', or leave coordinate_systems out"
                )
            return ONE_SYSTEM
        own = parse_systems(self.coordinate_systems, self.coordinate_transformations, image.axes, version)
        known = systems_of_voxels(source.by_axes([axis.name for axis in image.axes]).systems, image)
        labelled = ONE_SYSTEM if self.labelled is None else systems_like(self.labelled, image.axes, self.planes)
        if self.orientation is False:
            known, labelled = map(without_orientations, (known, labelled))
        if not given or isinstance(self.coordinate_systems, Mapping):
            others = [system.name for systems in (own, known, labelled) for system in systems.others]
            own = with_system_of_levels(own, free_name(others))
        return with_more_systems(with_more_systems(own, known), labelled)


def _with_systems_of(source: Source, version: Version, image: Image) -> Source:
    """Return a source without the coordinate systems that cannot be written, which it names."""
    named = source.by_axes([axis.name for axis in image.axes]).systems
    kept = [version.named_systems and fits_voxels(system, image.axes) for system in named]
    lost = tuple(s.note for s, keep in zip(source.systems, kept, strict=True) if s.note and not keep)
    systems = tuple(s for s, keep in zip(source.systems, kept, strict=True) if keep)
    return replace(source, systems=systems, left=(*source.left, *lost)) if source.systems else source


def image_options(arguments: Arguments) -> ImageOptions:
    """Return what the arguments of a call say of an image, with storage options per level."""
    storage_options = parse_level_options(arguments.get("storage_options"))
    return chosen(ImageOptions, {**arguments, "storage_options": storage_options})


def _with_axes(source: Source, positions: tuple[int, ...]) -> Source:
    """Return a source with axes put in; zarr is imported only if there are any."""
    if not positions:
        return source
    from daskome.sources.views import expand_axes

    return expand_axes(source, positions)


def _with_attributes(plan: Plan, source: Source) -> Plan:
    """Return the plan of an image whose group has the attributes that other programs gave its source."""
    group, *others = plan.groups
    return replace(plan, groups=(replace(group, attributes=source.attributes), *others))


def source_chunks(source: Source, offers_verbatim: bool = False) -> SourceChunks:
    """Return what the planner must know of a source."""
    return SourceChunks(
        source.chunks,
        source.buffer_copies,
        shared=len(source.shared),
        repeated=source.repeated,
        offers_verbatim=offers_verbatim,
        far=source.far,
        **_computed(source),
    )


def _computed(source: Source) -> dict[str, Any]:
    """Return what the planner must know of an image that Dask computes; others need neither Dask nor zarr."""
    graph = getattr(source.array, "__dask_graph__", None)
    if not source.buffer_copies or graph is None or graph() is None:  # A variable of xarray may have one.
        return {}
    from daskome.execution.memory.unit import UnitMemory, made_in

    return {"held": UnitMemory(source), "made_in": made_in(source)}


def _with_codec_of_labels(options: LevelOptions, version: Version) -> LevelOptions:
    """Return storage options with the compressor that suits labels, for levels that have none."""
    codec = parse_codec(version.arrays.labels, version.arrays)
    return replace(options.map(_renamed), fallback={"compressors": codec})


def _renamed(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return storage options that call a compressor as zarr v3 does."""
    return {"compressors" if key == "compressor" else key: value for key, value in options.items()}


def _padded(options: Mapping[str, Any], positions: tuple[int, ...]) -> Mapping[str, Any]:
    """Return storage options whose chunks and shards have a 1 for every axis that is put in."""
    ones = (1,) * (len(positions) + 5)
    short = [k for k in ("chunks", "shards") if isinstance(options.get(k), list | tuple)]
    short = [key for key in short if len(options[key]) + len(positions) == 5]
    return {**options, **{key: put_in(options[key], positions, ones) for key in short}}


def warn_of_what_is_left(sources: Sequence[Source]) -> None:
    """Warn of what files and stores hold besides what is written."""
    warn_together(
        (source.origin.path or source.name or "the image", f"not written: {'; '.join(source.left)}")
        for source in sources
        if source.left
    )


def warn_together(notes: Iterable[tuple[str, str]]) -> None:
    """Warn of notes on paths, once for all paths that share one."""
    by_note: dict[str, list[str]] = {}
    for path, note in notes:
        by_note.setdefault(note, []).append(path)
    for note, paths in by_note.items():
        more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
        warn(f"{', '.join(paths[:MOST_NAMED])}{more}: {note}")


MOST_NAMED = 3
"""How many paths a warning names."""


def warn_of_loss(version: Version, metadata: Metadata) -> None:
    """Warn of parts of an image that a version cannot store."""
    for multiscale in metadata.multiscales:
        losses = unsupported(version, multiscale)
        if losses:
            warn(
                f"OME-Zarr {version.name} cannot store {', '.join(losses)} where readers look for it. It is kept in the"
                " metadata of the multiscale; use fmt='0.4' or newer to store it"
            )
