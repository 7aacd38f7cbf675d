"""The plan of one image of a hierarchy: each of its levels copied as it is, or made anew from the first."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import zarr

from daskome.kernels.methods import COPIED, METHODS, Method, find_method
from daskome.model.axes import joined_names
from daskome.model.factors import ScaleFactors
from daskome.model.image import DTYPES, Image
from daskome.model.limits import Limits
from daskome.model.paths import join_paths
from daskome.model.pyramid import Level, Pyramid, write_block
from daskome.model.source import Source
from daskome.model.storage.layout import SINGLE_FILE, Layout, options_per_level, parser
from daskome.model.storage.level_options import LevelOptions
from daskome.ome.checked import checked
from daskome.ome.image_label import ImageLabel
from daskome.ome.metadata import TRANSFORMS, Metadata, Multiscale, PlacedDataset, image_metadata
from daskome.ome.missing_axes import put_in
from daskome.ome.versions import Version
from daskome.planning.build import plan_copies, plan_downsampled
from daskome.planning.groups.group import Group
from daskome.planning.plan import Plan
from daskome.planning.serialize import to_json
from daskome.planning.work import PlanOptions
from daskome.sources.adapt import as_source
from daskome.sources.views import expand_axes
from daskome.stores.groups import ARRAY_DIMENSIONS
from daskome.transcoding.stored import StoredGroup, StoredHierarchy
from daskome.upgrade.metadata import factors_between
from daskome.writing.description import ImageOptions, Planned, source_chunks
from daskome.writing.labels import factors_like
from daskome.writing.verbatim import could_take, with_taken

STORED = "stored"
"""Scale factors of a transcode that copies levels as they are."""


@dataclass(frozen=True, slots=True)
class StoredArray:
    """An array that is a level of an image, as it will be: its axes put in, and the level it becomes.

    Attributes
    ----------
    dataset : PlacedDataset
        Its path, scale and translation.
    multiscale : Multiscale
        Of which it is a level.
    array : zarr.Array
    source : Source
        With axes put in.
    positions : tuple of int
        Of those axes.
    """

    dataset: PlacedDataset
    multiscale: Multiscale
    array: zarr.Array[Any]
    source: Source
    positions: tuple[int, ...]

    @property
    def kept(self) -> dict[str, Any]:
        """The storage options that it keeps unless others are given: fill value, and attributes of other programs."""
        attributes = {key: value for key, value in self.array.attrs.items() if key != ARRAY_DIMENSIONS}
        fill = getattr(self.array.fill_value, "item", lambda: self.array.fill_value)()
        return {**({"fill_value": fill} if fill else {}), **({"attributes": attributes} if attributes else {})}

    def expanded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape with a 1 for each axis that is put in."""
        return put_in(shape, self.positions, (1,) * (len(shape) + len(self.positions)))


@dataclass(frozen=True, slots=True)
class ImagePlanner:
    """Makes the plans of images, those that are alike once.

    Attributes
    ----------
    hierarchy : StoredHierarchy
    version : Version
    choices : ImageOptions
        The storage options, method and scale factors that the caller gives; `STORED` to copy levels.
    options : PlanOptions
    made : dict
        Pyramids and passes that were planned, by the pyramid as JSON and the chunks that are read.
    """

    hierarchy: StoredHierarchy
    version: Version
    choices: ImageOptions
    options: PlanOptions
    made: dict[Any, Plan] = field(default_factory=dict)

    def plan(self, group: StoredGroup, labelled: Pyramid | None) -> Planned:
        """Return the plan of an image, and what it reads; labels that are made anew follow the image they are of.

        Raises
        ------
        ValueError
            If its arrays cannot be levels of one image, or not be stored as the caller wants.
        """
        arrays = self._arrays(group)
        found = Group("", group.metadata, attributes=group.attributes, documents=group.documents)
        if copies_levels(self.choices.scale_factors):
            return self._copied(found, arrays), [one.source for one in arrays]
        return self._made_anew(found, arrays[0], labelled), [arrays[0].source]

    def _arrays(self, group: StoredGroup) -> list[StoredArray]:
        """Return the levels of all multiscales of a group, each array once."""
        arrays: dict[str, StoredArray] = {}
        for multiscale, positions in zip(group.metadata.multiscales, group.put_in, strict=True):
            for dataset in multiscale.placed:
                path = join_paths(*dataset.path.split("/"))
                if path not in arrays:
                    where = join_paths(group.path, path)
                    arrays[path] = self._array(where, replace(dataset, path=path), multiscale, positions)
        levels = list(arrays.values())
        _check_alike(group.path, levels)
        return levels

    def _array(
        self, path: str, dataset: PlacedDataset, multiscale: Multiscale, positions: tuple[int, ...]
    ) -> StoredArray:
        if self.hierarchy.tree.array(path) is None:
            raise ValueError(f"{path} is listed as a level, but there is no array (section 'multiscales')")
        array = self.hierarchy.array(path)
        source = expand_axes(self.choices.reading(as_source(array)), positions)
        return StoredArray(dataset, multiscale, array, source, positions)

    def _copied(self, group: Group, arrays: list[StoredArray]) -> Plan:
        """Return the plan that copies levels; pyramids and passes of images that are alike are the same objects."""
        pyramid = self._pyramid(group.metadata, arrays)
        key = json.dumps(to_json(pyramid, {Method: str}), sort_keys=True), str([one.source.chunks for one in arrays])
        if key not in self.made:
            first = arrays[0]
            offers = self._offers(self._storage(group.metadata, first).map(partial(self._over_own, first)), first)
            chunks = [source_chunks(one.source, offers) for one in arrays]
            self.made[key] = plan_copies(pyramid, chunks, self.version, Group("", Metadata()), self.options)
        plan = self.made[key]
        return replace(plan, groups=(replace(group, pyramid=plan.groups[0].pyramid),))

    def _pyramid(self, metadata: Metadata, arrays: list[StoredArray]) -> Pyramid:
        first = arrays[0]
        storage = self._storage(metadata, first)
        storage = self._taking(storage, arrays)
        options = options_per_level(storage, len(arrays))
        levels = [
            _level(one, self._layout(one, chosen, parser(storage, k)), first, self.options.limits)
            for k, (one, chosen) in enumerate(zip(arrays, options, strict=True))
        ]
        return Pyramid("image", first.multiscale.axes, first.source.dtype, COPIED, tuple(levels))

    def _storage(self, metadata: Metadata, first: StoredArray) -> LevelOptions:
        """Return the storage options that the caller gives; labels have the codec that suits them."""
        label = None if metadata.image_label is None else ImageLabel()
        return replace(self.choices, image_label=label).stored_with(self.version, first.positions, self.options.sharded)

    def _taking(self, storage: LevelOptions, arrays: list[StoredArray]) -> LevelOptions:
        """Return storage options with which levels take the chunks of these arrays over, if the caller wants that."""
        return with_taken(storage, [one.source for one in arrays]) if self.choices.verbatim else storage

    def _offers(self, storage: LevelOptions, first: StoredArray) -> bool:
        """Whether the caller could want that."""
        axes = first.multiscale.axes
        return not self.choices.verbatim and could_take(storage, first.source, axes, self.version)

    def _over_own(self, one: StoredArray, chosen: Mapping[str, Any]) -> dict[str, Any]:
        """Return storage options over those that an array has: its chunks and shards if neither is given."""
        own, shards = one.kept, one.array.shards if self.version.arrays.zarr_format == 3 else None
        if shards is not None and chosen.get("shards") == SINGLE_FILE:
            chosen = {key: value for key, value in chosen.items() if key != "shards"}
        given = chosen.get("chunks") is not None or chosen.get("shards") not in (None, SINGLE_FILE)
        if not given and not self.choices.verbatim:
            own["chunks"] = one.expanded(one.array.chunks)
            if shards is not None:
                own["shards"] = one.expanded(shards)
        attributes = {**own.get("attributes", {}), **(chosen.get("attributes") or {})}
        return {**own, **chosen, **({"attributes": attributes} if attributes else {})}

    def _layout(self, one: StoredArray, chosen: Mapping[str, Any], parse: Callable[..., Layout]) -> Layout:
        options, axes = self._over_own(one, chosen), one.multiscale.axes
        itemsize, chunks = one.array.dtype.itemsize, one.expanded(one.array.chunks)
        return parse(options, one.source.shape, axes, itemsize, self.version.arrays, chunks)

    def _made_anew(self, group: Group, first: StoredArray, labelled: Pyramid | None) -> Plan:
        """Return the plan that makes the levels of an image from its first."""
        metadata, multiscale = group.metadata, first.multiscale
        if len(metadata.multiscales) > 1:
            raise ValueError("a group has several multiscales, whose levels cannot be made anew; leave the factors out")
        dataset, dtype, shape = first.dataset, first.source.dtype, first.source.shape
        image = Image(shape, dtype, multiscale.axes, dataset.scale, dataset.translation)
        stored = METHODS.get(multiscale.method or "", METHODS["mean"])
        own = stored if self.choices.method is None else self.choices.method
        method = METHODS["mode"] if metadata.image_label is not None else find_method(own)
        factors = factors_like(self.choices.scale_factors, image, labelled)
        plain = self._storage(metadata, first).map(partial(self._over_own, first))
        storage = self._taking(plain, [first])
        key = str((image, method.name, factors, storage, first.source.chunks))
        if key not in self.made:
            self.made[key] = plan_downsampled(
                image,
                source_chunks(first.source, self._offers(plain, first)),
                method,
                self.version,
                scale_factors=factors,
                storage_options=storage,
                options=self.options,
            )
        plan = self.made[key]
        planned, *copies = plan.groups
        described = _with_new_levels(metadata, self.version, plan.pyramids[0])
        return replace(plan, groups=(replace(group, metadata=described, pyramid=planned.pyramid), *copies))


def copies_levels(scale_factors: ScaleFactors) -> bool:
    """Whether levels are copied, rather than made anew."""
    return isinstance(scale_factors, str) and scale_factors == STORED


def _level(one: StoredArray, layout: Layout, first: StoredArray, limits: Limits) -> Level:
    shape, axes, itemsize = one.source.shape, one.multiscale.axes, one.array.dtype.itemsize
    return Level(
        one.dataset.path,
        shape,
        layout,
        write_block(shape, layout.objects, axes, itemsize, limits),
        write_block(shape, layout.chunks, axes, itemsize, limits),
        factors_between(first.source.shape, shape),
        one.dataset.scale,
        one.dataset.translation,
    )


def _check_alike(path: str, levels: list[StoredArray]) -> None:
    """Raise a ValueError for arrays that cannot be levels of one image as it is written here."""
    where = path or "the image"
    for level in levels:
        dtype, shape, axes = level.source.dtype, level.source.shape, level.multiscale.axes
        if dtype not in DTYPES:
            raise ValueError(f"{where}: level {level.dataset.path} has dtype {dtype}, which no image has")
        if len(shape) != len(axes):
            names = joined_names([axis.name for axis in axes])
            raise ValueError(f"{where}: level {level.dataset.path} has shape {shape}, but the axes are {names!r}")
    if len({level.source.dtype for level in levels}) > 1 or len({level.multiscale.axes for level in levels}) > 1:
        raise ValueError(f"{where}: its levels differ in dtype or axes; write each with daskome.write_image")


def _with_new_levels(metadata: Metadata, version: Version, pyramid: Pyramid) -> Metadata:
    """Return the metadata of an image whose levels are made anew, checked."""
    (first,) = metadata.multiscales
    (made,) = image_metadata(pyramid).multiscales
    rest = {key: value for key, value in first.rest.items() if key != TRANSFORMS or version.named_systems}
    how = {**(first.metadata or {}), **(made.metadata or {})}
    anew = replace(first, datasets=made.datasets, method=made.method, metadata=how, rest=rest)
    return checked(version, replace(metadata, multiscales=(anew,)))
