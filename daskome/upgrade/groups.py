"""Each group of a hierarchy in the terms of the target version: attributes, names of axes, checks of its arrays."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from daskome.model.json_values import JSONDict
from daskome.model.paths import join_paths
from daskome.model.problem import errors
from daskome.model.regions import Shape
from daskome.ome.detect import OME_KEYS, as_of_all, ome_keys, ome_of, version_in
from daskome.ome.metadata import Dataset, Metadata, Multiscale
from daskome.ome.read import read_metadata
from daskome.ome.rules.walk import find_problems
from daskome.ome.versions import VERSIONS, Version, likely_version, stated_version
from daskome.ome.write import to_attributes as ome_attributes
from daskome.stores.groups import ARRAY_DIMENSIONS
from daskome.upgrade.metadata import convert_attributes, with_every_axis
from daskome.upgrade.tree import Tree


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One group of a tree in the terms of the target.

    Attributes
    ----------
    path : str
    attributes : dict
        All attributes, as they are to be written.
    names : dict
        The names of the axes of each level, by the path of its array.
    beside : dict
        Attributes that its levels repeat, in zarr v2.
    changed : bool
        Whether it was of another version.
    lines : tuple of str
        What is lost, and what was inferred, in words.
    """

    path: str
    attributes: JSONDict
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: JSONDict = field(default_factory=dict)
    changed: bool = False
    lines: tuple[str, ...] = ()


# ---- one group


def read_group(tree: Tree, path: str, target: Version, rewritten: bool = False) -> GroupChange:
    """Return a group in the terms of the target, checked.

    Where pixels are `rewritten`, too, images get the axes that the target requires, and metadata of the same version
    that are wrong are mended or refused as on the way to any other version.
    """
    attributes = tree.attributes(path)
    unlisted = _unlisted(tree, path) if target.root is not None else ()
    if unlisted:
        listing = _merged(attributes, ome_attributes(target, Metadata(labels=unlisted)), target)
        return GroupChange(path, listing, changed=True, lines=(f"labels {', '.join(unlisted)} are listed",))
    if not ome_keys(attributes):
        return GroupChange(path, attributes)
    name = version_in(attributes) or likely_version(attributes).name
    source = stated_version(name)
    if source is None:
        raise ValueError(f"version {name!r} is not one of {', '.join(VERSIONS)}")
    metadata = read_metadata(attributes)
    if name == target.name and not (rewritten and errors(find_problems(attributes, name))):
        return GroupChange(path, attributes, _names(path, metadata))
    shapes = [[_shape(tree, _array_path(path, d)) for d in m.datasets] for m in metadata.multiscales]
    if rewritten:
        metadata, shapes = with_every_axis(metadata, shapes, target)
    names = _names(path, metadata)
    new, lines = convert_attributes(metadata, source, target, shapes)
    _check_dtypes(tree, path, new, target)
    changed = _merged(attributes, ome_attributes(target, new), target)
    beside = next((target.beside(multiscale) for multiscale in new.multiscales), {})
    lines_of_group = (f"OME-Zarr {name} to {target.name}", *lines) if changed != attributes else tuple(lines)
    return GroupChange(path, changed, names, beside, changed != attributes, lines_of_group)


def _unlisted(tree: Tree, path: str) -> tuple[str, ...]:
    """Return the label images of a group of labels without a list, which older versions allow."""
    image, _, name = path.rpartition("/")
    if name != "labels" or ome_keys(tree.attributes(path)) or "multiscales" not in ome_of(tree.attributes(image)):
        return ()
    images = (p for p in tree.nodes if is_below(p, [path]) and "multiscales" in ome_of(tree.attributes(p)))
    return tuple(p.removeprefix(f"{path}/") for p in images)


def _names(path: str, metadata: Metadata) -> dict[str, tuple[str, ...]]:
    """Return the names of the axes of each level, by the path of its array."""
    pairs = ((_array_path(path, d), m) for m in metadata.multiscales for d in m.datasets)
    return {array: _axis_names(m) for array, m in pairs}


def _array_path(path: str, dataset: Dataset) -> str:
    """Return where the array of a level lies in the tree; slashes at its end count for nothing (`is_inside`)."""
    return join_paths(path, *dataset.path.split("/"))


def _axis_names(multiscale: Multiscale) -> tuple[str, ...]:
    return tuple(axis.name for axis in multiscale.axes)


def _shape(tree: Tree, path: str) -> Shape:
    array = tree.array(path)
    if array is None:
        raise ValueError(f"lists level {path}, but there is no array (section 'multiscales')")
    return tuple(array["shape"])


def _check_dtypes(tree: Tree, path: str, metadata: Metadata, target: Version) -> None:
    """Raise for data types of levels that the target forbids."""
    for multiscale in metadata.multiscales:
        paths = [_array_path(path, dataset) for dataset in multiscale.datasets]
        dtypes = {str(_dtype(tree, array)): None for array in paths}
        if len(dtypes) > 1 and target.one_dtype:
            raise ValueError(
                f"levels have data types {', '.join(dtypes)}; OME-Zarr {target.name} has one for all (section"
                " 'multiscales'); write the image again"
            )
        if metadata.image_label is not None and target.integer_labels:
            _check_integers(dtypes, target)


def _dtype(tree: Tree, path: str) -> Any:
    array = tree.array(path) or {}
    return array.get("dtype", array.get("data_type"))


def _check_integers(dtypes: Iterable[str], target: Version) -> None:
    """Raise unless all data types, by their names in zarr v2 or v3, are of integers."""
    for dtype in dtypes:
        if not dtype.lstrip("<>|").startswith(("i", "u")):
            raise ValueError(
                f"labels are {dtype!r}; OME-Zarr {target.name} has integers only (section 'labels'); write them again"
            )


def _merged(attributes: Mapping[str, Any], new: JSONDict, target: Version) -> JSONDict:
    """Return new attributes together with those of other programs, also those under ``ome``."""
    ours = () if "ome" in attributes else ome_keys(attributes)
    gone = {"ome", *ours, *((ARRAY_DIMENSIONS,) if "multiscales" in ome_of(attributes) else ())}
    beside = {key: value for key, value in attributes.items() if key not in gone}
    under = ome_of(attributes) if "ome" in attributes else {}
    rest = {key: value for key, value in under.items() if key not in ("version", *OME_KEYS)}
    if target.root is None:
        return {**rest, **beside, **new}
    return {**beside, **new, target.root: target.document.write({**rest, **as_of_all(new[target.root])})}


def upwards(path: str) -> Iterator[str]:
    """Yield a path and those above it, the root excepted."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def is_below(path: str, tops: Iterable[str]) -> bool:
    """Whether a path is one of these, or below one."""
    return not set(upwards(path)).isdisjoint(tops)
