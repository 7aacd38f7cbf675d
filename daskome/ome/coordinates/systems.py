"""Coordinate systems besides that of the levels: as a caller gives them, or a file knows them (0.6).

They come in two forms: a dict from names to what leads there, or lists as the specification has them. Both become
`Systems`, which are checked with the rest of the metadata.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np

from daskome.model.axes import Axis, parse_axes, reject_unknown, typed
from daskome.model.image import Image
from daskome.model.json_values import MALFORMED, JSONDict, to_plain_json
from daskome.model.types import SystemsLike, TransformationsLike
from daskome.model.voxel_system import VoxelSystem
from daskome.ome.coordinates.transforms import Matrix, is_closed, is_singular, matrix_of, placing, simplest
from daskome.ome.metadata import (
    DEFAULT_SYSTEM,
    ONE_SYSTEM,
    TRANSFORMS,
    CoordinateSystem,
    Multiscale,
    PlacedDataset,
    Systems,
)
from daskome.ome.rules.systems import Link, circles, link_dimensions, links_of
from daskome.ome.versions import Version

OF_SYSTEMS = "(section 'coordinateSystems')"
USUAL = ("intrinsic", DEFAULT_SYSTEM)
"""What the specification calls the system of the levels in its examples; where it has both, levels lie in the first."""
WITH_AXES = ("axes", "transformation")
"""Keys of a system that has axes of its own."""


def parse_systems(
    systems: SystemsLike | None, transformations: TransformationsLike | None, axes: Sequence[Axis], version: Version
) -> Systems:
    """Return the coordinate systems that a caller gives to an image with these axes.

    Parameters
    ----------
    systems, transformations
        As in `daskome.write_image`: ``coordinate_systems`` and ``coordinate_transformations``.
    axes : sequence of Axis
        Of the image.
    version : Version
        Of OME-Zarr, one that has such systems.

    Raises
    ------
    ValueError
        If they have another form, a matrix does not fit the axes or cannot be inverted, or two ways lead to one system.

    Examples
    --------
    >>> from daskome.ome.versions import VERSIONS
    >>> stage = {"stage": [[1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0]]}
    >>> parse_systems(stage, None, parse_axes("zyx", 3), VERSIONS["0.6"]).links[0]["output"]
    {'name': 'stage'}
    """
    parsed = _parsed(systems, transformations, axes)
    every = (CoordinateSystem(parsed.intrinsic, tuple(axes)), *parsed.others)
    sizes = [{"name": system.name, "axes": [axis.name for axis in system.axes]} for system in every]
    stored = {"coordinateSystems": sizes, TRANSFORMS: parsed.links}
    # What is wrong beyond doubt is found with the rest of the metadata; here, what a reader could live with.
    checks = (circles, link_dimensions)
    doubtful = [problem for check in checks for problem in check(stored, "", version) if problem.warning]
    if doubtful:
        raise ValueError("\n".join(map(str, doubtful)))
    return parsed


def _parsed(systems: SystemsLike | None, transformations: TransformationsLike | None, axes: Sequence[Axis]) -> Systems:
    if isinstance(systems, Mapping):
        if transformations is not None:
            raise ValueError(
                f"coordinate_systems is a dict, which says what leads to each; leave coordinate_transformations out"
                f" {OF_SYSTEMS}"
            )
        pairs = [_named(name, value, axes) for name, value in systems.items()]
        return Systems(tuple(system for system, _ in pairs), tuple(link for _, link in pairs))
    if not _are_objects(systems or ()) or not _are_objects(transformations or ()):
        raise ValueError(
            "coordinate_systems and coordinate_transformations must be lists of dicts, as the specification has them,"
            f" or the first a dict from names to matrices or transformations {OF_SYSTEMS}"
        )
    return _listed(list(systems or ()), list(transformations or ()), axes)


def _are_objects(value: Any) -> bool:
    return not isinstance(value, str) and isinstance(value, Iterable) and all(isinstance(i, Mapping) for i in value)


def with_system_of_levels(systems: Systems, name: str) -> Systems:
    """Return systems where that of the levels has another name, which none of the others has."""
    links = tuple(_from(name, systems.intrinsic, link) for link in systems.links)
    return replace(systems, links=links, intrinsic=name)


def free_name(systems: Iterable[str]) -> str:
    """Return a name for the system of the levels that no other has: images of others may call another one so.

    >>> free_name(["scanner"]), free_name(["physical", "intrinsic"])
    ('physical', 'intrinsic 2')
    """
    taken = set(systems)
    names = (DEFAULT_SYSTEM, USUAL[0], *(f"{USUAL[0]} {i}" for i in range(2, len(taken) + 2)))
    return next(name for name in names if name not in taken)


def with_more_systems(systems: Systems, more: Systems) -> Systems:
    """Return systems and others, without those that have the name of one of the first."""
    known = {systems.intrinsic, *(system.name for system in systems.others)}
    new = tuple(system for system in more.others if system.name not in known)
    names = {system.name for system in new}
    links = [_from(systems.intrinsic, more.intrinsic, link) for link in more.links if names & _ends(link)]
    return replace(systems, others=(*systems.others, *new), links=(*systems.links, *links))


# ---- as a dict


def _named(name: Any, value: Any, axes: Sequence[Axis]) -> tuple[CoordinateSystem, JSONDict]:
    """Return a system by its name and what leads to it from the system of the levels."""
    if not isinstance(name, str) or not name or name == DEFAULT_SYSTEM:
        why = "that of the levels" if name == DEFAULT_SYSTEM else "not a name"
        raise ValueError(
            f"coordinate_systems: {name!r} is {why}; give others, as in {{'scanner': matrix}} {OF_SYSTEMS}"
        )
    where, own, transform = f"coordinate_systems[{name!r}]", tuple(axes), value
    if isinstance(value, Mapping) and "type" not in value:
        reject_unknown(value, WITH_AXES, f"key of {where}")
        transform = value.get("transformation", {"type": "identity"})
        own = _axes(value["axes"]) if "axes" in value else own
    spelt = transform if isinstance(transform, Mapping) else _affine(transform, axes, where)
    return CoordinateSystem(name, own), _linked(to_plain_json(spelt, where), DEFAULT_SYSTEM, name)


def _axes(given: Any) -> tuple[Axis, ...]:
    listed = list(given)
    return parse_axes(listed, len(listed))


def _linked(transform: JSONDict, start: str, end: str) -> JSONDict:
    return {**transform, "input": {"name": start}, "output": {"name": end}}


def _affine(value: Any, axes: Sequence[Axis], where: str) -> JSONDict:
    """Return a matrix as a transformation; one for the axes of space leaves the others as they are."""
    n, n_space = len(axes), sum(axis.spatial for axis in axes)
    rows = _rows(value, where)
    if rows.shape[1] - 1 not in (n, n_space) or rows.shape[0] != rows.shape[1] - 1:
        wanted = " or ".join(f"{k} rows of {k + 1} numbers" for k in dict.fromkeys((n, n_space)))
        raise ValueError(
            f"{where} has {rows.shape[0]} rows of {rows.shape[1]} numbers; an affine matrix has {wanted} for axes"
            f" {''.join(axis.name for axis in axes)!r}, and may have a last row of zeros and a one (section 'affine')"
        )
    if is_singular(rows.tolist()):
        raise ValueError(f"{where} is singular: it takes several points to one; give a matrix that can be inverted")
    some = [axis.spatial or len(rows) == n for axis in axes]
    return {"type": "affine", "affine": _in_all_axes(rows, some, some)[:-1].tolist()}


def _rows(value: Any, where: str) -> Matrix:
    """Return the rows of a matrix, without the last one of zeros and a one."""
    try:
        matrix = np.array(value, float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is neither a matrix nor a transformation with a type: {error}") from error
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ValueError(f"{where} must be a matrix of finite numbers, or a transformation with a type")
    homogeneous = matrix.shape[0] == matrix.shape[1] and (matrix[-1] == np.eye(len(matrix))[-1]).all()
    return matrix[:-1] if homogeneous else matrix


def _in_all_axes(rows: Matrix, before: Sequence[bool], after: Sequence[bool]) -> Matrix:
    """Return the rows of a matrix between some axes, before and after it, as one of all that keeps the others."""
    (start, kept), (end, same) = (
        [[i for i, one in enumerate(side) if one is some] for some in (True, False)] for side in (before, after)
    )
    matrix = np.zeros((len(after) + 1, len(before) + 1))
    matrix[[*same, -1], [*kept, -1]] = 1
    matrix[np.ix_(end, [*start, len(before)])] = rows
    return matrix


# ---- as lists


def _listed(systems: list[Any], links: list[Any], axes: Sequence[Axis]) -> Systems:
    """Return systems as the specification lists them; the one of the levels may be among them, under any name."""
    plain_systems = [to_plain_json(one, f"coordinate_systems[{i}]") for i, one in enumerate(systems)]
    plain_links = [to_plain_json(one, f"coordinate_transformations[{i}]") for i, one in enumerate(links)]
    for i, one in enumerate(plain_systems):
        if not one.get("name") or not isinstance(one["name"], str) or not isinstance(one.get("axes"), list):
            raise ValueError(f"coordinate_systems[{i}] must have a name and a list of axes {OF_SYSTEMS}")
    parsed = [CoordinateSystem(s["name"], _axes(s["axes"]), _rest(s)) for s in plain_systems]
    own = _intrinsic_of(parsed, plain_links, axes)
    if own is not None and not all(map(_agree, own.axes, axes)):
        given, taken = (", ".join(map(_said, one)) for one in (own.axes, axes))
        raise ValueError(
            f"coordinate system {own.name!r} is that of the levels and has axes {given}, but the image has {taken};"
            f" give these as axes, axes_units and orientation {OF_SYSTEMS}"
        )
    if own is not None and own.rest:
        raise ValueError(
            f"coordinate system {own.name!r} is that of the levels, which has a name and axes alone; leave"
            f" {', '.join(map(repr, own.rest))} out {OF_SYSTEMS}"
        )
    others = tuple(system for system in parsed if own is None or system.name != own.name)
    return Systems(others, tuple(plain_links), DEFAULT_SYSTEM if own is None else own.name)


def _rest(stored: Mapping[str, Any]) -> JSONDict:
    return {key: value for key, value in stored.items() if key not in ("name", "axes")}


def _agree(listed: Axis, own: Axis) -> bool:
    """Whether all that a listed axis states is so of an axis of the image, which may have an orientation besides."""
    same = (listed.name, listed.type, listed.unit) == (own.name, own.type, own.unit)
    return same and listed.orientation in (None, own.orientation) and listed.rest.items() <= own.rest.items()


def _said(axis: Axis) -> str:
    more = [f"{key}={value!r}" for key, value in axis.rest.items()]
    return " ".join(filter(None, (axis.name, axis.type, axis.unit, axis.orientation, *more)))


def _intrinsic_of(
    systems: Sequence[CoordinateSystem], links: Sequence[JSONDict], axes: Sequence[Axis]
) -> CoordinateSystem | None:
    """Return which of the listed systems is that of the levels; None if it is not listed.

    It has the axes of the image and is an end of every link. Of several, it is one with a usual name, or where they
    start, or the first.
    """
    ends, named = [_ends(link) for link in links], [axis.name for axis in axes]
    default = next((system for system in systems if system.name == DEFAULT_SYSTEM), None)
    if default is None and any(DEFAULT_SYSTEM in one for one in ends):
        return None
    shared = [s for s in systems if all(s.name in one for one in ends) and [a.name for a in s.axes] == named]
    usual = [system for name in USUAL for system in shared if system.name == name]
    starts = [s for s in shared if all(s.name in _ends(link, ("input",)) for link in links)]
    return next(iter([*usual, *starts, *shared]), default) if links else next(iter(usual), None)


def _ends(link: Mapping[str, Any], sides: Sequence[str] = ("input", "output")) -> set[str]:
    ends = (link.get(side) for side in sides)
    return {str(end.get("name")) for end in ends if isinstance(end, Mapping) and not end.get("path")}


def _from(new: str, old: str, link: JSONDict) -> JSONDict:
    """Return a link whose end in the system of the levels has that system's new name."""
    sides = {side: link[side] for side in ("input", "output")}
    return {**link, **{side: {"name": new} if end.get("name") == old else end for side, end in sides.items()}}


# ---- of files


def fits_voxels(system: VoxelSystem, axes: Sequence[Axis]) -> bool:
    """Whether a system of a file can be one of an image with these axes: it is of the same axes of space, or more."""
    space = [axis.name for axis in axes if axis.spatial]
    return len(system.axes) >= len(space) and sorted(system.inputs) == sorted(space)


def systems_of_voxels(systems: Sequence[VoxelSystem], image: Image) -> Systems:
    """Return the systems that a file knows, connected to that of the levels; all of them fit its axes."""
    own = free_name(system.name for system in systems)
    pairs = [_of_voxels(system, image, own) for system in systems]
    return Systems(tuple(system for system, _ in pairs), tuple(link for _, link in pairs), own)


def _of_voxels(system: VoxelSystem, image: Image, own_name: str) -> tuple[CoordinateSystem, JSONDict]:
    space = [axis.name for axis in image.axes if axis.spatial]
    columns = [*(system.inputs.index(name) for name in space), len(space)]
    axes, spatial = _in_place_of_space(system.axes, image.axes), [axis.spatial for axis in image.axes]
    to_system = _in_all_axes(np.array(system.matrix, float)[:, columns], spatial, [a in system.axes for a in axes])
    scale, translation = np.where(spatial, image.scale, 1.0), np.where(spatial, image.translation, 0.0)
    to_levels = placing(scale.tolist(), translation.tolist())
    link = simplest(to_system @ np.linalg.inv(to_levels))
    return CoordinateSystem(system.name, axes), _linked(link, own_name, system.name)


def _in_place_of_space(own: Sequence[Axis], axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Return axes of an image with others in place of those of space; where they are more, they begin together."""
    rest, more = list(own), len(own) - sum(axis.spatial for axis in axes)
    found: list[Axis] = []
    for axis in axes:
        n = 1 + more if axis.spatial else 0
        found, rest, more = [*found, *(rest[:n] or [axis])], rest[n:], 0 if n else more
    return tuple(found)


def voxel_systems_of(image: Multiscale, level: PlacedDataset) -> tuple[VoxelSystem, ...]:
    """Return the systems of a stored image that another of the same voxels could have: affine, and of space alone."""
    links = [
        link for link in links_of(image.rest) if link.input.here and link.output.here and is_closed(link.transform)
    ]
    found = [_of_space(image, link, placing(level.scale, level.translation)) for link in links]
    return tuple({system.name: system for system in found if system is not None}.values())


def _of_space(image: Multiscale, link: Link, to_levels: Matrix) -> VoxelSystem | None:
    """Return a system by its matrix from voxels; None if it is not connected to the levels, or not so simple."""
    ends, n = [link.input.name, link.output.name], len(image.axes)
    other = next((s for s in image.systems if s.name in ends and s is not image.system), None)
    if other is None or image.system.name not in ends or other.rest:
        return None
    kinds = typed(other.axes)
    own = tuple(axis for axis, kind in zip(other.axes, kinds, strict=True) if kind.spatial)
    n_space = sum(axis.spatial for axis in image.axes)
    matrix = _from_levels(link.transform, n, len(other.axes), ends[0] == image.system.name)
    if matrix is None or len(own) < n_space or is_singular(matrix[:-1].tolist()):
        return None
    placed = [axis in own for axis in _in_place_of_space(own, image.axes)]
    (space, rest), (to, kept) = map(_some_and_rest, ([axis.spatial for axis in image.axes], placed))
    if placed != [kind.spatial for kind in kinds] or _mixed(matrix, (space, rest), (to, kept)):
        return None
    rows = (matrix @ to_levels)[np.ix_(to, [*space, n])]
    note = f"coordinate system {other.name!r}, and the transformation to it"
    inputs = tuple(image.axes[i].name for i in space)
    return VoxelSystem(other.name, own, inputs, tuple(map(tuple, rows.tolist())), note)


def _from_levels(transform: Mapping[str, Any], n: int, m: int, forward: bool) -> Matrix | None:
    """Return what leads from a system of n axes to one of m, by a stored transformation or back; None for nothing."""
    before, after = (n, m) if forward else (m, n)
    try:
        matrix = matrix_of(transform, before)
    except MALFORMED:
        return None
    fits = matrix.shape == (after + 1, before + 1) and np.isfinite(matrix).all()
    if not fits or forward:
        return matrix if fits else None
    return None if n != m or is_singular(matrix[:-1].tolist()) else np.linalg.inv(matrix)


def _some_and_rest(flags: Sequence[bool]) -> tuple[list[int], list[int]]:
    return [i for i, one in enumerate(flags) if one], [i for i, one in enumerate(flags) if not one]


_Split = tuple[list[int], list[int]]
"""The positions of some axes, and of the rest."""


def _mixed(matrix: Matrix, before: _Split, after: _Split) -> bool:
    """Whether a matrix does anything to some axes that depends on the rest, or anything at all to the rest."""
    (some, rest), (to, kept) = before, after
    apart = matrix[np.ix_(kept, [*some, matrix.shape[1] - 1])].any() or matrix[np.ix_(to, rest)].any()
    return bool(apart) or not np.array_equal(matrix[np.ix_(kept, rest)], np.eye(len(rest)))


# ---- of labels


def systems_like(image: Multiscale, axes: Sequence[Axis], planes: Mapping[str, float]) -> Systems:
    """Return the systems of an image for labels of it, which may lack some of its axes.

    What cannot be said without those, or leads to arrays of the image, is of the image alone. Labels that lack an axis
    along which the image is one plane lie in that.

    Parameters
    ----------
    image : Multiscale
    axes : sequence of Axis
        Of the labels.
    planes : dict of str to float
        Where the image lies along axes of space along which it is one plane, by their names.
    """
    names, kept = [axis.name for axis in image.system.axes], [axis.name for axis in axes]
    if [name for name in names if name in kept] != kept:
        return ONE_SYSTEM
    links = [link for link in links_of(image.rest) if link.input.here and link.output.here]
    own = free_name(system.name for system in image.systems if system is not image.system)
    pairs = [_like(image, link, [names.index(name) for name in kept], planes, own) for link in links]
    found = [pair for pair in pairs if pair is not None]
    return Systems(tuple(system for system, _ in found), tuple(link for _, link in found), own)


def lost_for_labels(
    image: Multiscale, axes: Sequence[Axis], planes: Mapping[str, float], given: Set[str]
) -> Iterator[str]:
    """Yield, in words, which systems of an image labels of it do not have: neither by `systems_like` nor given."""
    known = {system.name for system in systems_like(image, axes, planes).others} | given
    lost = [repr(s.name) for s in image.systems if s is not image.system and s.name not in known]
    if lost:
        why = "which need axes, or arrays, that only the image has"
        yield f"coordinate systems {', '.join(lost)} of the image that these labels are of, {why}"


def _like(
    image: Multiscale, link: Link, positions: list[int], planes: Mapping[str, float], own_name: str
) -> tuple[CoordinateSystem, JSONDict] | None:
    """Return a system and the link to it, for labels with some of the axes of their image."""
    ends = [link.input.name, link.output.name]
    system = next((s for s in image.systems if s.name in ends and s is not image.system), None)
    plain = {key: value for key, value in link.transform.items() if key not in ("input", "output")}
    if system is None or image.system.name not in ends or not is_closed(plain):
        return None
    forward = ends[0] == image.system.name
    if len(positions) == len(image.system.axes):
        start, end = (own_name, system.name) if forward else (system.name, own_name)
        return system, _linked(plain, start, end)
    matrix = _from_levels(plain, len(image.system.axes), len(system.axes), forward)
    return None if matrix is None else _with_fewer_axes(image, system, matrix, positions, planes, own_name)


def _with_fewer_axes(
    image: Multiscale,
    system: CoordinateSystem,
    matrix: Matrix,
    positions: list[int],
    planes: Mapping[str, float],
    own_name: str,
) -> tuple[CoordinateSystem, JSONDict] | None:
    """Return a system for labels that lack axes: those that the transformation leaves alone go, or they are planes."""
    n, own = len(image.system.axes), image.system.axes
    rest = [i for i in range(n) if i not in positions]
    flat = [i for i in rest if own[i].name in planes]
    gone, ends = [i for i in rest if i not in flat], [axis.name for axis in system.axes]
    away = gone if len(ends) == n else [ends.index(own[i].name) for i in gone if own[i].name in ends]
    to = [i for i in range(len(ends)) if i not in away]
    if len(away) < len(gone) or _mixed(matrix, (positions, gone), (to, away)):
        return None
    shift = matrix[:, n] + matrix[:, flat] @ np.array([planes[own[i].name] for i in flat])
    chosen = np.column_stack([matrix[:, positions], shift])[[*to, -1]]
    axes = tuple(system.axes[i] for i in to)
    return CoordinateSystem(system.name, axes, system.rest), _linked(simplest(chosen), own_name, system.name)


# ---- without orientations


def without_orientations(systems: Systems) -> Systems:
    """Return systems whose axes do not say where in a body they lead, nor in words."""
    others = (replace(system, axes=tuple(map(_without_orientation, system.axes))) for system in systems.others)
    return replace(systems, others=tuple(others))


def _without_orientation(axis: Axis) -> Axis:
    words = (axis.orientation or "").replace("-", " ")
    rest = {key: value for key, value in axis.rest.items() if (key, value) != ("longName", words)}
    return replace(axis, orientation=None, rest=rest)
