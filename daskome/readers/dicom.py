"""DICOM: frames of a file, decoded one by one, and series of files in the order of their positions."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array

from daskome.model.directions import Directions, orientations_of, said_directions
from daskome.model.regions import Shape
from daskome.model.source import Source
from daskome.model.text import pluralize
from daskome.model.voxel_system import VoxelSystem
from daskome.readers.axes import ordered
from daskome.readers.body import directions_of, places_voxels, said_oblique, said_off_plane, system_of_body
from daskome.readers.described import Described, Quantities, described
from daskome.readers.inputs import Input, listed
from daskome.sources.views import Reopenable
from daskome.stores.objects.damage import locating_damage

PLACED = (
    "SeriesInstanceUID SeriesDescription Modality ImagePositionPatient ImageOrientationPatient InstanceNumber"
    " AnatomicalOrientationType".split()
)
"""What says where a file belongs."""
MEASURED = ("PT", "NM")
"""Modalities whose planes are scaled each by a factor of its own, which may be 1: their values are no whole numbers."""
AXIAL = (1, 0, 0, 0, 1, 0)
"""The directions of rows and columns along x and y."""
DESCRIBED_ATTRIBUTES = {
    "BitsAllocated", "BitsStored", "Columns", "FrameTime", "HighBit", "ImageOrientationPatient",
    "ImagePositionPatient", "LossyImageCompression", "NumberOfFrames", "PhotometricInterpretation",
    "PixelRepresentation", "PixelSpacing", "PlanarConfiguration", "RescaleIntercept", "RescaleSlope", "RescaleType",
    "Rows", "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "SeriesInstanceUID", "SpacingBetweenSlices",
    "WindowCenter", "WindowWidth", "InstanceNumber", "GridFrameOffsetVector", "SpecificCharacterSet",
    "PerFrameFunctionalGroupsSequence",
    "SharedFunctionalGroupsSequence", "AnatomicalOrientationType",
}  # fmt: skip
"""Attributes that describe pixels and where they are: they are read, or say nothing besides."""


class DicomFrames:
    """The frames of a file as an array-like, a chunk each, as the values that their stored numbers stand for."""

    def __init__(self, path: str, header: Any) -> None:
        self.path = path
        n, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
        self.shape: Shape = (n, int(header.Rows), int(header.Columns), samples)
        self.chunks: Shape = (1, *self.shape[1:])
        self.slope = float(_said(path, header, "PixelValueTransformationSequence", "RescaleSlope") or 1)
        self.intercept = float(_said(path, header, "PixelValueTransformationSequence", "RescaleIntercept") or 0)
        self.stored = np.dtype(f"{'iu'[not header.get('PixelRepresentation')]}{max(int(header.BitsAllocated) // 8, 1)}")
        measured = header.get("Modality") in MEASURED
        values = _dtype_of_values(self.stored, int(header.get("BitsStored") or 0), self.slope, self.intercept)
        self.dtype = np.dtype("f4") if measured else values

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray[Any, Any]:
        """Return a part; each frame in it is decoded."""
        first, *rest = index
        numbers = range(self.shape[0])[first]
        frames = [self._frame(i)[tuple(rest)] for i in numbers]
        return np.stack(frames) if frames else np.empty((0, *self.shape[1:]), self.dtype)[index]

    def _frame(self, i: int) -> np.ndarray[Any, Any]:
        try:
            stored: np.ndarray[Any, Any] = pixel_array(self.path, index=i).reshape(self.shape[1:])
        except Exception as error:
            raise ValueError(f"frame {i} of {self.path} cannot be decoded: {error}") from error
        if stored.dtype.itemsize != self.stored.itemsize or stored.dtype.kind != self.stored.kind:
            raise ValueError(f"{self.path} has {stored.dtype} pixels, but says {self.stored}")
        if (self.slope, self.intercept) == (1, 0):
            return stored.astype(self.dtype, copy=False)
        return np.asarray(stored * self.slope + self.intercept).astype(self.dtype)


@dataclass(frozen=True, slots=True)
class Series:
    """Files of one series in the order of their positions; in millimeters, their step, and where z begins.

    Where axes lead to in the body, and the way from one plane to the next, are known where the files say it of their
    planes.
    """

    paths: tuple[str, ...]
    step: float | None = None
    start: float | None = None
    orientations: Mapping[str, str] = field(default_factory=dict)
    way: tuple[float, ...] = ()


def read(input_: Input) -> Source:
    """Return the image in a file: its frames, if there are several, along z, or along t if they have a time."""
    header = _header(input_.path, None)
    _check_decodable(input_.path, header)
    array = Reopenable(partial(_open_frames, input_.path), DicomFrames(input_.path, header), input_.path)
    chunks = ((1,) * array.shape[0], *((n,) for n in array.shape[1:]))
    steps = _frame_step(input_.path, header)
    directions, place = _directions(header), _place(input_.path, header)
    names = ("" if array.shape[0] == 1 else next(iter(steps), "z"), "y", "x", "c" if array.shape[3] > 1 else "")
    source = ordered(Source(array, chunks), names)
    spacing = [float(v) for v in _said(input_.path, header, "PixelMeasuresSequence", "PixelSpacing") or ()]
    sizes: Quantities = {**{axis: (size, "mm") for axis, size in zip("yx", spacing, strict=False)}, **steps}
    along = "".join(axis for axis in "xyz" if axis in (source.dims or ()))
    systems, unplaced = _in_patient(header, place, {a: v for a, (v, _) in sizes.items()}, directions, along)
    position = _position(place, directions)
    if position and not systems and "z" not in along and not input_.member:
        unplaced = (*unplaced, f"position z={position['z'][0]:g} mm (the image has no such axis)")
    said = Described(sizes, position, _window(header, array.shape[3]), (*unplaced, *_left(header)))
    known = described(source, replace(said, orientations=_orientations(header, directions)))
    return replace(known, systems=systems)


def series_of(paths: Sequence[str], part: str) -> Series:
    """Return the files of the series with a number, or of the only one.

    Raises
    ------
    ValueError
        If there are several, files have other directions or two one position, planes are missing or the gantry was
        tilted.
    """
    headers = {path: _header(path, PLACED) for path in paths}
    chosen = _chosen(headers, part)
    if any("ImagePositionPatient" not in header for header in chosen.values()):
        return _by_instance(chosen)
    normal = _normal(chosen)
    places = {path: _numbers(path, header, "ImagePositionPatient", 3) for path, header in chosen.items()}
    along = {path: float(place @ normal) for path, place in places.items()}
    ordered_paths = tuple(sorted(along, key=along.__getitem__))
    _check_tilt(ordered_paths, places, normal)
    step = _step(ordered_paths, [along[path] for path in ordered_paths])
    first, start = chosen[ordered_paths[0]], float(f"{along[ordered_paths[0]]:.9g}")
    if not _directions(first):
        return Series(ordered_paths, step, start)
    oriented = _orientations(first, {**_directions(first), "z": normal})
    return Series(ordered_paths, step, start, oriented, tuple(float(v) for v in normal * (step or 1)))


def _open_frames(path: str) -> DicomFrames:
    return DicomFrames(path, _header(path, None))


def _header(path: str, tags: Sequence[str] | None) -> Any:
    """Return a header, or these of its attributes, whose values are parsed now: a damaged one is that of this file."""
    with locating_damage(lambda: path, "cannot be read as DICOM; it may be damaged"):
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=None if tags is None else list(tags))
        except InvalidDicomError as error:
            raise ValueError(
                f"{path} cannot be read as DICOM: it does not begin as such files do. If it is one without its header,"
                " save it anew: pydicom.dcmread(path, force=True).save_as(other, enforce_file_format=True)"
            ) from error
        for name in tags or ():
            header.get(name)
        return header


def _numbers(path: str, header: Any, name: str, n: int, default: Any = None) -> np.ndarray[Any, Any]:
    """Return so many numbers of a header, which may be damaged: pydicom leaves what is no number as text."""
    said = header.get(name)
    with suppress(TypeError, ValueError):
        found = np.ravel(np.array(default if said in (None, "") else said, float))
        if len(found) == n and np.isfinite(found).all():
            return found
    raise ValueError(
        f"{path} cannot be read as DICOM; it may be damaged: its {name} is {said}, not {pluralize(n, 'number')}"
    )


def _said(path: str, header: Any, sequence: str, name: str) -> Any:
    """Return what a header says of all frames: by itself, or in what they share."""
    if any(sequence in frame for frame in header.get("PerFrameFunctionalGroupsSequence") or ()):
        values = {str(f[sequence][0].get(name)) for f in header.PerFrameFunctionalGroupsSequence if sequence in f}
        if len(values) > 1:
            raise ValueError(f"{path} has another {name} for each frame; save the frames as files of their own")
        return header.PerFrameFunctionalGroupsSequence[0][sequence][0].get(name)
    shared = (header.get("SharedFunctionalGroupsSequence") or [{}])[0]
    return shared[sequence][0].get(name) if sequence in shared else header.get(name)


def _check_decodable(path: str, header: Any) -> None:
    """Raise if there are no pixels, or none that can be decoded with what is installed."""
    if "Rows" not in header or "BitsAllocated" not in header:
        kind = getattr(header.get("SOPClassUID"), "name", "unknown kind")
        raise ValueError(f"{path} is DICOM of {kind}, and no image")
    if header.get("PhotometricInterpretation") == "PALETTE COLOR":
        raise ValueError(f"{path} has colours of a palette; make them RGB first")
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_encapsulated:
        return
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise ImportError(f"{path} has pixels in {syntax.name}, which need a decoder: pip install 'pylibjpeg[all]'")


def _dtype_of_values(stored: "np.dtype[Any]", bits: int, slope: float, intercept: float) -> "np.dtype[Any]":
    """Return the smallest dtype for all values that stored numbers can stand for.

    >>> _dtype_of_values(np.dtype("u2"), 12, 1, -1024), _dtype_of_values(np.dtype("u2"), 16, 0.5, 0)
    (dtype('int16'), dtype('float32'))
    """
    if (slope, intercept) == (1, 0):
        return stored
    if not (float(slope).is_integer() and float(intercept).is_integer()):
        return np.dtype("f4" if stored.itemsize <= 2 else "f8")
    used = min(bits or 8 * stored.itemsize, 8 * stored.itemsize)
    low, high = (-(2 ** (used - 1)), 2 ** (used - 1) - 1) if stored.kind == "i" else (0, 2**used - 1)
    ends = sorted((low * slope + intercept, high * slope + intercept))
    fitting = (np.dtype(name) for name in ("u1", "i2", "u2", "i4", "u4", "i8"))
    return next(d for d in fitting if np.iinfo(d).min <= ends[0] and ends[1] <= np.iinfo(d).max)


def _chosen(headers: Mapping[str, Any], part: str) -> dict[str, Any]:
    """Return the files of a series, with its number among those that there are."""
    series: dict[str, dict[str, Any]] = {}
    for path, header in headers.items():
        series.setdefault(str(header.get("SeriesInstanceUID")), {})[path] = header
    if part.isdecimal() and int(part) < len(series):
        return list(series.values())[int(part)]
    if len(series) == 1 and not part:
        return next(iter(series.values()))
    folder = os.path.dirname(next(iter(headers)))
    choices = [
        f"{i} {header.get('Modality', '')} {header.get('SeriesDescription', '')!r}, {len(some)} files"
        for i, some in enumerate(series.values())
        for header in list(some.values())[:1]
    ]
    raise ValueError(f"{folder} has {len(series)} series; give one, as in {folder}::0, of {listed(choices, 'series')}")


def _normal(headers: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """Return the direction across the planes, which must be the same for all."""
    directions = {path: _numbers(path, header, "ImageOrientationPatient", 6, AXIAL) for path, header in headers.items()}
    first, own = next(iter(directions.items()))
    other = next((path for path, one in directions.items() if not np.allclose(one, own, atol=1e-3)), None)
    if other is not None:
        raise ValueError(f"{other} is a plane in another direction than {first}; give those of one direction")
    return np.cross(own[:3], own[3:])


def _check_tilt(paths: Sequence[str], places: Mapping[str, Any], normal: np.ndarray[Any, Any]) -> None:
    """Raise a ValueError if planes shift sideways from one to the next: they are no volume of straight columns."""
    shift = places[paths[-1]] - places[paths[0]]
    sideways = float(np.linalg.norm(shift - (shift @ normal) * normal))
    if sideways > 1e-3 * float(np.linalg.norm(shift)) and sideways > 1e-2:
        raise ValueError(
            f"{paths[-1]} is shifted sideways by {sideways:.4g} mm against {paths[0]}: the gantry was tilted; resample"
            " the series to a straight volume first"
        )


def _step(paths: Sequence[str], along: Sequence[float]) -> float | None:
    """Return the step between planes, which must always be the same."""
    steps = np.diff(along)
    if not len(steps):
        return None
    usual = float(np.median(steps))
    same = next((i for i, step in enumerate(steps) if step < 1e-3 * max(usual, 1e-3)), None)
    if same is not None:
        raise ValueError(
            f"{paths[same]} and {paths[same + 1]} have one position: the series holds several images of these planes;"
            " give those of each by a glob, and stack, the axis along which they follow each other"
        )
    odd = next((i for i, step in enumerate(steps) if abs(step - usual) > 0.01 * usual), None)
    if odd is not None:
        raise ValueError(
            f"between {paths[odd]} and {paths[odd + 1]} there are {steps[odd]:.4g} mm, elsewhere {usual:.4g} mm: planes"
            " are missing; put them there, or give the files of a part without a gap"
        )
    return float(f"{(along[-1] - along[0]) / len(steps):.9g}")


def _by_instance(headers: Mapping[str, Any]) -> Series:
    """Return files without positions in the order of their numbers."""
    numbers = {path: int(_numbers(path, header, "InstanceNumber", 1, 0)[0]) for path, header in headers.items()}
    ordered_paths = tuple(sorted(numbers, key=numbers.__getitem__))
    found = [numbers[path] for path in ordered_paths]
    if found != list(range(found[0], found[0] + len(found))):
        i = next(i for i, n in enumerate(found) if n != found[0] + i)
        raise ValueError(
            f"{ordered_paths[i]} has number {found[i]} after {found[i - 1]}, and no position: some are missing or twice"
        )
    return Series(ordered_paths)


def _frame_step(path: str, header: Any) -> Quantities:
    """Return the step between the frames of a file, along the axis along which they are."""
    if header.get("FrameTime"):
        return {"t": (float(header.FrameTime), "ms")}
    offsets = _offsets(header)
    steps = np.diff(offsets)
    if len(steps) and not np.allclose(steps, steps[0], rtol=0.01):
        raise ValueError(f"{path} has frames that are not evenly spaced, or not in order: {offsets[:5].tolist()}, …")
    places = {f"frame {i} of {path}": place for i, place in enumerate(_places_of_frames(header))}
    if len(places) > 1 and len(_stated_planes(header)) == 1:
        _check_tilt(list(places), places, _normal_of_frames(header))
    spacing = _said(path, header, "PixelMeasuresSequence", "SpacingBetweenSlices")
    return {"z": (abs(float(steps[0])), "mm")} if len(steps) else {"z": (float(spacing), "mm")} if spacing else {}


def _offsets(header: Any) -> np.ndarray[Any, Any]:
    """Return where frames are across their planes, as far as a file says it."""
    normal = _normal_of_frames(header)
    return np.array(header.get("GridFrameOffsetVector") or [p @ normal for p in _places_of_frames(header)], float)


def _normal_of_frames(header: Any) -> np.ndarray[Any, Any]:
    stated = _stated_planes(header)
    direction = np.array(stated.pop() if len(stated) == 1 else AXIAL, float)
    return np.cross(direction[:3], direction[3:])


def _places_of_frames(header: Any) -> list[np.ndarray[Any, Any]]:
    """Return where the frames of an enhanced image begin."""
    frames = header.get("PerFrameFunctionalGroupsSequence") or ()
    return [
        np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        for frame in frames
        if "PlanePositionSequence" in frame
    ]


def _place(path: str, header: Any) -> np.ndarray[Any, Any] | None:
    """Return where the first voxel lies, as the file says of itself or of its first frame; None if it does not."""
    if header.get("ImagePositionPatient"):
        return _numbers(path, header, "ImagePositionPatient", 3)
    return next(iter(_places_of_frames(header)), None)


def _in_patient(
    header: Any, place: np.ndarray[Any, Any] | None, sizes: Mapping[str, float], directions: Directions, along: str
) -> tuple[tuple[VoxelSystem, ...], tuple[str, ...]]:
    """Return the coordinate system of the patient (PS3.3 C.7.6.2.1.1), if a file says enough for it.

    What is lost without it, or because there is none, is in the note of the system, or returned in words.
    """
    ways: dict[str, Any] = {axis: np.array(directions[axis]) for axis in along if axis in directions}
    oblique = "" if _is_animal(header) else said_oblique(ways, "LPS")
    said = [sizes.get(axis, 0) > 0 for axis in ways]
    if place is None or _is_animal(header) or not all(said) or len(said) < len(along):
        return (), (oblique,) * bool(oblique)
    affine = np.stack([*(way * sizes[axis] for axis, way in ways.items()), place], 1)
    if not places_voxels(affine):
        return (), (oblique,) * bool(oblique)
    notes = filter(None, (oblique, said_off_plane(affine, "mm")))
    return (system_of_body("patient", "LPS", "millimeter", affine, along).noted("; ".join(notes)),), ()


def _directions(header: Any) -> dict[str, Any]:
    """Return where the axes of a file lead to in the body; z only if the planes of its frames say it.

    Positions along an axis are counted in its own direction: where x leads to the right, they rise to the right.
    """
    stated = _stated_planes(header)
    if len(stated) != 1:
        return {}
    (plane,) = stated
    row, column = np.array(plane[:3]), np.array(plane[3:])
    steps = np.diff(_offsets(header))
    normal = {"z": np.cross(row, column) * np.sign(steps[0])} if len(steps) else {}
    return {"x": row, "y": column, **normal}


def _stated_planes(header: Any) -> set[tuple[float, ...]]:
    """Return the directions of rows and columns that a file states: for all of its frames, or for each."""
    shared = header.get("SharedFunctionalGroupsSequence") or ()
    frames = [*shared, *(header.get("PerFrameFunctionalGroupsSequence") or ())]
    planes = [frame.PlaneOrientationSequence[0] for frame in frames if frame.get("PlaneOrientationSequence")]
    stated = (one.get("ImageOrientationPatient") for one in (header, *planes))
    return {tuple(map(float, plane)) for plane in stated if plane and len(plane) == 6}


def _orientations(header: Any, directions: Mapping[str, Any]) -> dict[str, str]:
    """Return the orientations of axes; those of animals have other names, which a file does not tell."""
    return {} if _is_animal(header) else orientations_of(directions, "LPS")


def _is_animal(header: Any) -> bool:
    return bool(header.get("AnatomicalOrientationType") == "QUADRUPED")


def _position(place: np.ndarray[Any, Any] | None, directions: Mapping[str, Any]) -> Quantities:
    """Return the position of the first voxel, along each axis in its own direction."""
    if place is None:
        return {}
    own = (
        {"z": np.cross(directions["x"], directions["y"]), **directions}
        if directions
        else dict(zip("xyz", np.eye(3), strict=True))
    )
    return {axis: (float(f"{place @ own[axis]:.9g}"), "mm") for axis in "xyz"}


def _window(header: Any, samples: int) -> list[dict[str, Any]]:
    """Return the range in which a grey image is shown."""
    center, width = (np.ravel(header.get(name) or ()) for name in ("WindowCenter", "WindowWidth"))
    if samples > 1 or not len(center) or not len(width):
        return []
    return [{"window": {"start": float(center[0] - width[0] / 2), "end": float(center[0] + width[0] / 2)}}]


def _left(header: Any) -> Iterator[str]:
    """Yield what else a header says."""
    if _is_animal(header):
        yield f"the orientation of its planes in an animal: {said_directions(_directions(header))}"
    if header.get("PhotometricInterpretation") == "MONOCHROME1":
        yield "that its small values are bright"
    others = [element.keyword or "private ones" for element in header if element.keyword not in DESCRIBED_ATTRIBUTES]
    if others:
        names = list(dict.fromkeys(others))
        yield f"{len(others)} attributes of its header, such as {', '.join(names[:3])}"


def with_step(source: Source, series: Series) -> Source:
    """Return an image of files with the step between them as its voxel size along z."""
    start = {} if series.start is None else {"z": series.start}
    source = replace(source, systems=tuple(_across(system, series) for system in source.systems))
    if series.step is None or "z" not in (source.dims or ()):
        return source
    return replace(
        source,
        scale={**source.scale, "z": series.step},
        units={**source.units, "z": "millimeter"},
        translation={**source.translation, **start},
        orientations={**source.orientations, **series.orientations},
    )


def _across(system: VoxelSystem, series: Series) -> VoxelSystem:
    """Return the system of the first plane of a series as that of all its planes."""
    if not series.way or "z" in system.inputs:
        return system
    y, x, place = np.array(system.matrix)[::-1].T
    affine = np.stack([x, y, series.way, place], 1)
    note = said_oblique(directions_of(affine, "xyz"), "LPS") if series.step else system.note
    return system_of_body("patient", "LPS", "millimeter", affine).noted(note)
