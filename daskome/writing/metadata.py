"""The calls that write metadata alone, for groups whose arrays exist or are written by other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import zarr
from zarr.storage import StorePath

from daskome._caller import warn
from daskome.calls.translation import accepts_ome_zarr_calls
from daskome.model.axes import Axis, parse_axes, typed
from daskome.model.json_values import is_list, to_plain_json
from daskome.model.paths import is_inside
from daskome.model.problem import errors
from daskome.model.types import AxesLike, ColorsLike, FormatLike, GroupLike, PropertiesLike, UnitsLike
from daskome.ome.checked import checked
from daskome.ome.detect import ome_keys, ome_of
from daskome.ome.image_label import LABELS, ImageLabel, check_label_name, parse_image_label
from daskome.ome.metadata import TRANSFORMS, Metadata
from daskome.ome.omero import parse_omero
from daskome.ome.plate import parse_plate, parse_well
from daskome.ome.read import read_metadata
from daskome.ome.rules.addresses import objects_of
from daskome.ome.rules.walk import check_attributes, find_problems
from daskome.ome.versions import FLAT_FORM, Version, axis_object
from daskome.stores import publish
from daskome.stores.groups import (
    check_ome,
    check_parents,
    find_array,
    find_group,
    read_attributes,
    reload_attributes,
    write_attributes,
)
from daskome.stores.location import address_of, locate
from daskome.stores.ownership.claims import WHOLE_RUN, listing_slot
from daskome.stores.ownership.taking import owning_place
from daskome.stores.targets.single_files import check_no_single_file
from daskome.writing.description import warn_of_loss
from daskome.writing.target import check_zarr_format, choose_version


@accepts_ome_zarr_calls
def write_multiscales_metadata(
    group: GroupLike,
    datasets: Sequence[Mapping[str, Any] | str],
    fmt: FormatLike | None = None,
    axes: AxesLike | None = None,
    axes_units: UnitsLike | None = None,
    name: str | None = None,
    **metadata: Any,
) -> None:
    """Write the metadata of an image whose levels exist or are written by other programs.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of the image.
    datasets : sequence of dict or str
        From fine to coarse: ``{"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}``;
        or paths alone, for 0.1 to 0.3.
    fmt : str or object with a version, optional
        Default: the version of the group.
    axes, axes_units
        As in `daskome.write_image`. Default: the axes that the arrays name, or a guess from their dimensions.
    name : str, optional
    **metadata
        ``omero``, ``metadata`` (how the image was made), ``type``, and further entries of the multiscale.

    Raises
    ------
    ValueError
        If the specification forbids something; nothing has been written.

    Examples
    --------
    >>> import zarr
    >>> from daskome import write_multiscales_metadata
    >>> group = zarr.create_group(zarr.storage.MemoryStore())
    >>> array = group.create_array("s0", shape=(8, 8), dtype="uint8", dimension_names=["y", "x"])
    >>> scale = {"type": "scale", "scale": [0.5, 0.5]}
    >>> write_multiscales_metadata(group, [{"path": "s0", "coordinateTransformations": [scale]}], axes="yx")
    >>> group.attrs["ome"]["multiscales"][0]["axes"]
    [{'name': 'y', 'type': 'space'}, {'name': 'x', 'type': 'space'}]
    """
    store_path, version = _target(group, fmt)
    listed = [{"path": dataset} if isinstance(dataset, str) else dataset for dataset in datasets]
    if not _are_objects(listed):
        raise TypeError(f"datasets {datasets!r}: give paths, or dicts with 'path' (section 'multiscales')")
    if version.transforms is not None and any(list(dataset) == ["path"] for dataset in listed):
        raise TypeError(
            f"datasets {listed!r}: OME-Zarr {version.name} needs the scale of each level beside its path, as in"
            " 'coordinateTransformations': [{'type': 'scale', 'scale': [1, 1]}] (section 'multiscales')"
        )
    paths = [str(dataset["path"]) for dataset in listed if is_inside(dataset.get("path"))]
    array = next(filter(None, (find_array(store_path / path) for path in paths)), None)
    parsed = _axes(axes, axes_units, array, listed, version)
    version.check_axes(parsed)
    entries, omero = _without_omero(metadata)
    described = {"name": name or "image", "axes": [axis_object(axis) for axis in parsed], "datasets": listed}
    checked_metadata = _read_as_given({"multiscales": [{**entries, **described}]}, version)
    shape = (1,) * len(parsed) if array is None else array.shape
    channels = parse_omero(omero, None, parsed, shape, name or "image")
    checked_metadata = replace(checked_metadata, omero=channels and channels.shown, stated=None)
    warn_of_loss(version, checked_metadata)
    _write(store_path, version, checked_metadata)
    reload_attributes(group)


@accepts_ome_zarr_calls
def write_plate_metadata(
    group: GroupLike,
    rows: Sequence[str],
    columns: Sequence[str],
    wells: Sequence[str | Mapping[str, Any]],
    fmt: FormatLike | None = None,
    acquisitions: Sequence[Mapping[str, Any]] | None = None,
    field_count: int | None = None,
    name: str | None = None,
) -> None:
    """Write the metadata of a plate. `daskome.write_plate` writes a plate with its images.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of the plate.
    rows, columns : sequence of str
        Names of all rows and columns, letters and digits.
    wells : sequence of str or dict
        Paths such as "A/1"; or dicts with ``path`` and, optionally, the right ``rowIndex`` and ``columnIndex``.
        Wells that the plate already lists stay listed.
    fmt : str or object with a version, optional
        Default: the version of the group.
    acquisitions : sequence of dict, optional
        Each with an ``id`` and, optionally, a ``name`` and ``maximumfieldcount``.
    field_count : int, optional
        The largest number of fields in a well.
    name : str, optional

    Raises
    ------
    ValueError
        If the specification, section "plate", forbids something; nothing has been written.

    Examples
    --------
    >>> import zarr
    >>> from daskome import write_plate_metadata
    >>> group = zarr.create_group(zarr.storage.MemoryStore())
    >>> write_plate_metadata(group, ["A", "B"], ["1"], ["B/1"])
    >>> group.attrs["ome"]["plate"]["wells"]
    [{'path': 'B/1', 'rowIndex': 1, 'columnIndex': 0}]
    """
    store_path, version = _target(group, fmt)
    plate = parse_plate(rows, columns, wells, acquisitions, field_count, name)
    _write(store_path, version, checked(version, Metadata(plate=plate)), listing_slot())
    reload_attributes(group)


@accepts_ome_zarr_calls
def write_well_metadata(
    group: GroupLike, images: Sequence[str | Mapping[str, Any]], fmt: FormatLike | None = None
) -> None:
    """Write the metadata of a well.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group of the well.
    images : sequence of str or dict
        Paths of its images, such as "0"; or dicts with ``path`` and the id of the ``acquisition``.
    fmt : str or object with a version, optional
        Default: the version of the group.

    Raises
    ------
    ValueError
        If the specification, section "well", forbids something; nothing has been written.

    Examples
    --------
    >>> import zarr
    >>> from daskome import write_well_metadata
    >>> group = zarr.create_group(zarr.storage.MemoryStore())
    >>> write_well_metadata(group, ["0", "1"])
    >>> group.attrs["ome"]["well"]["images"]
    [{'path': '0'}, {'path': '1'}]
    """
    store_path, version = _target(group, fmt)
    _write(store_path, version, checked(version, Metadata(well=parse_well(images))))
    reload_attributes(group)


@accepts_ome_zarr_calls
def write_label_metadata(
    group: GroupLike,
    name: str,
    colors: ColorsLike | None = None,
    properties: PropertiesLike | None = None,
    fmt: FormatLike | None = None,
    **metadata: Any,
) -> None:
    """Write colors and properties of the values of a label image, and list it among the labels.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
        The group ``labels`` that holds the label image, or the group of the image above it.
    name : str
        Name of the label image, or its path, such as "labels/cells".
    colors : sequence of dict, or dict of label value to colour, optional
        ``[{"label-value": 1, "rgba": [255, 0, 0, 255]}, …]`` or ``{1: (255, 0, 0, 255)}``.
    properties : sequence of dict, or dict of label value to dict, optional
        ``[{"label-value": 1, "area": 7}, …]`` or ``{1: {"area": 7}}``.
    fmt : str or object with a version, optional
        Default: the version of the group.
    **metadata
        ``source``, and further entries of the ``image-label``.

    Raises
    ------
    FileNotFoundError
        If the label image does not exist.
    ValueError
        If the specification, section "image-label", forbids something; nothing has been written.

    Examples
    --------
    >>> import numpy as np, zarr
    >>> from daskome import write_label_metadata, write_labels
    >>> store = zarr.storage.MemoryStore()
    >>> plan = write_labels(np.ones((8, 8), "uint8"), store, "cells", axes="yx")
    >>> write_label_metadata(store, "cells", colors={1: (255, 0, 0, 255)}, properties={1: {"area": 64}})
    >>> zarr.open_group(store, path="labels/cells", mode="r").attrs["ome"]["image-label"]["properties"]
    [{'label-value': 1, 'area': 64}]
    """
    store_path, version = _target(group, fmt)
    label = parse_image_label(colors, properties, **metadata)
    name = name.strip("/").removeprefix(f"{LABELS}/") if isinstance(name, str) else name
    check_label_name(name)
    is_labels = address_of(store_path)[-1] == LABELS
    parent = store_path if is_labels else store_path / LABELS
    if "multiscales" not in ome_keys(read_attributes(parent / name) or {}):
        raise FileNotFoundError(f"{store_path} has no label image {name!r}; write it first, as with write_labels")
    check_ome(parent, read_attributes(parent) or {})
    labels = checked(version, Metadata(labels=(name,)))
    with owning_place(parent / name, take_over=None) as ours:
        old = read_metadata(read_attributes(ours) or {})
        image_label = _updated(old.image_label, label, "source" in metadata)
        publish.publish_at_once(ours, version, checked(version, replace(old, image_label=image_label)))
        publish.publish_at_once(StorePath(ours.store, parent.path), version, labels)
    reload_attributes(group)


def _updated(old: ImageLabel | None, new: ImageLabel, says_source: bool) -> ImageLabel:
    """Return the new ``image-label``, with entries of the old one that the new one does not have."""
    if old is None:
        return new
    return ImageLabel(
        old.colors if new.colors is None else new.colors,
        old.properties if new.properties is None else new.properties,
        new.source if says_source or old.source is None else old.source,
        {**old.rest, **new.rest},
    )


def get_metadata(group: GroupLike) -> dict[str, Any]:
    """Return the OME-Zarr metadata of a group: the attribute ``ome``; for 0.4 and older, all attributes.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
    """
    return dict(ome_of(read_attributes(locate(group, read_only=True)) or {}))


def add_metadata(group: GroupLike, metadata: Mapping[str, Any], fmt: FormatLike | None = None) -> None:
    """Merge entries into the OME-Zarr metadata of a group, in one write.

    Parameters
    ----------
    group : str, path, zarr.Group or zarr store
    metadata : dict
        Such as ``{"omero": {…}}``, in the form of the version.
    fmt : str or object with a version, optional
        Default: the version of the group.

    Raises
    ------
    ValueError
        If the specification forbids something, or a value cannot be stored as JSON; nothing has been written.
    """
    store_path, version = _target(group, fmt)
    new: dict[str, Any] = to_plain_json(dict(ome_of(metadata)), "metadata")
    with owning_place(store_path, take_over=None) as ours:
        old = read_attributes(ours) or {}
        attributes = {**old, **new} if version.root is None else _under(old, version, new)
        if ome_keys(attributes):
            check_attributes(attributes, version.name)
        write_attributes(ours, version, attributes)
    reload_attributes(group)


def open_group_for(group: GroupLike, fmt: FormatLike | None, mode: str) -> tuple[zarr.Group, Version]:
    """Return a group, created if necessary, and the version that is written to it."""
    store_path, version = _target(group, fmt, read_only=mode == "r")
    if mode.startswith(("a", "w")) and find_group(store_path) is None:
        write_attributes(store_path, version, {})
    zarr_group = find_group(store_path, writable=mode != "r")
    if zarr_group is None:
        raise FileNotFoundError(f"there is no zarr group at {store_path}")
    return zarr_group, version


def version_written(group: GroupLike, fmt: FormatLike | None) -> Version:
    """Return the version that is written to a group; raise a ValueError if it does not fit the group's zarr format."""
    return _target(group, fmt, read_only=True)[1]


def _target(group: GroupLike, fmt: FormatLike | None, read_only: bool = False) -> tuple[StorePath, Version]:
    store_path = locate(group, read_only=read_only)
    if not read_only:
        check_no_single_file(store_path)
    version = choose_version(fmt, store_path)
    check_zarr_format(find_group(store_path), version)
    check_parents(store_path, version)
    check_ome(store_path, read_attributes(store_path) or {})
    return store_path, version


def _write(store_path: StorePath, version: Version, metadata: Metadata, slot: str = WHOLE_RUN) -> None:
    """Write the metadata of a group, while no other process writes there, nor converts what it lies in."""
    _check_kind(store_path, metadata)
    with owning_place(store_path, slot, take_over=None) as ours:
        publish.publish_at_once(ours, version, metadata)


def _check_kind(store_path: StorePath, metadata: Metadata) -> None:
    """Raise a FileExistsError for a group of another kind: images, plates and wells have a group each."""
    new = {"multiscales": metadata.multiscales, "plate": metadata.plate, "well": metadata.well}
    others = [kind for kind, value in new.items() if not value and kind in ome_keys(read_attributes(store_path) or {})]
    if others and any(new.values()):
        raise FileExistsError(
            f"{store_path} holds {others[0]} metadata; images, plates and wells go into groups of their own"
        )


def _under(attributes: Mapping[str, Any], version: Version, new: Mapping[str, Any]) -> dict[str, Any]:
    usual = {"version": version.name, **ome_of({"ome": {}, **attributes}), **new}
    return {**attributes, "ome": version.document.write(usual)}


def _without_omero(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the entries of a multiscale, and the ``omero`` beside them or, as ome_zarr has it, in their metadata."""
    entries = dict(metadata)
    how = entries.get("metadata")
    if isinstance(how, Mapping) and "omero" in how:
        entries.setdefault("omero", how["omero"])
        entries["metadata"] = {key: value for key, value in how.items() if key != "omero"}
        entries = {key: value for key, value in entries.items() if key != "metadata" or value}
    return entries, entries.pop("omero", None)


def _axes(
    axes: AxesLike | None,
    units: Mapping[str, str] | str | None,
    array: Any,
    listed: Sequence[Mapping[str, Any]],
    version: Version,
) -> tuple[Axis, ...]:
    """Return the caller's axes, or those that the array names; one per dimension of the array or of its scale."""
    if version.every_axis:
        return _every_axis(axes, version)
    names = getattr(getattr(array, "metadata", None), "dimension_names", None)
    scales = [t["scale"] for d in listed for t in _steps(d) if is_list(t.get("scale"))]
    stated = axes if isinstance(axes, str) or axes is None else list(axes)
    ndim = array.ndim if array is not None else next(map(len, (*scales, stated or ())), 0)
    return parse_axes(stated or (names if names and all(names) else None), ndim, units)


def _every_axis(axes: AxesLike | None, version: Version) -> tuple[Axis, ...]:
    """Return the axes that all images of a version have; as in ome_zarr, the caller's are ignored."""
    every = typed(version.every_axis)
    given = [axis.get("name") if isinstance(axis, Mapping) else getattr(axis, "name", axis) for axis in axes or every]
    if given != [axis.name for axis in every]:
        warn(f"axes {given} are ignored: OME-Zarr {version.name} has images of {', '.join(a.name for a in every)} only")
    return every


def _read_as_given(attributes: Mapping[str, Any], version: Version) -> Metadata:
    """Return metadata given in the form of 0.5 or 0.6, checked in that form and then in that of the version."""
    plain_form: dict[str, Any] = to_plain_json(attributes, "metadata")
    (multiscale,) = plain_form["multiscales"]
    bare = [{key: value for key, value in d.items() if key != TRANSFORMS} for d in multiscale["datasets"]]
    placed = [{**d, TRANSFORMS: _flat(dataset)} for d, dataset in zip(bare, multiscale["datasets"], strict=True)]
    flat = {"ome": {"version": FLAT_FORM.name, "multiscales": [{**multiscale, "datasets": placed}]}}
    is_placed = version.transforms is not None or any(d.get(TRANSFORMS, []) != [] for d in multiscale["datasets"])
    wrong = errors(find_problems(flat, FLAT_FORM.name)) if is_placed else []
    if version.transforms is None and any(TRANSFORMS in problem.where for problem in wrong):
        warn(f"coordinate transformations are ignored: OME-Zarr {version.name} stores none, and {wrong[0]}")
        return checked(version, read_metadata({"multiscales": [{**multiscale, "datasets": bare}]}))
    if wrong:
        raise ValueError("\n".join(map(str, wrong)))
    return checked(version, read_metadata(plain_form))


def _flat(dataset: Mapping[str, Any]) -> Any:
    """Return the transformations of a level in the form of 0.5: those inside sequences, without input and output."""
    listed = dataset.get(TRANSFORMS, [])
    if not _are_objects(listed):
        return listed
    steps = [step for t in listed for step in (t["transformations"] if _are_objects(t.get("transformations")) else [t])]
    return [{key: value for key, value in step.items() if key not in ("input", "output")} for step in steps]


def _are_objects(values: Any) -> bool:
    """Whether a value is a list of objects."""
    return is_list(values) and all(isinstance(value, Mapping) for value in values)


def _steps(dataset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the transformations of a level that are objects; none if they are no list."""
    return [step for _, step in objects_of(dataset, TRANSFORMS)]
