"""The nouns of OME-Zarr metadata: the content of a group's attributes, independent of the version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from daskome._version import __version__
from daskome.model.axes import GUESSES, Axis, typed
from daskome.model.json_values import JSONDict
from daskome.model.pyramid import Pyramid
from daskome.ome.fingerprint import FINGERPRINT, Fingerprint
from daskome.ome.image_label import ImageLabel
from daskome.ome.omero import Omero
from daskome.ome.plate import Plate, Well

Numbers = tuple[float, ...]
DEFAULT_SYSTEM = "physical"
"""The name of the coordinate system of images that daskome writes, or whose version does not name it."""
TRANSFORMS = "coordinateTransformations"
COORDINATES = "coordinates"
"""Where ``multiscales[].metadata`` keeps, in the form of 0.4, the axes and scales that 0.1 to 0.3 cannot store."""
TCZYX = tuple(Axis(name) for name in GUESSES[5])


@dataclass(frozen=True, slots=True)
class Dataset:
    """One level as the metadata describe it; None for a scale or translation that they do not state."""

    path: str
    scale: Numbers | None = None
    translation: Numbers | None = None
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class PlacedDataset:
    """One level with a scale and a translation: ones and zeros where the metadata do not state them."""

    path: str
    scale: Numbers
    translation: Numbers


@dataclass(frozen=True, slots=True)
class CoordinateSystem:
    """A coordinate system: its name, and its axes."""

    name: str
    axes: tuple[Axis, ...]
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Systems:
    """Coordinate systems besides that of the levels, and transformations between them and it (0.6).

    Attributes
    ----------
    others : tuple of CoordinateSystem
    links : tuple of dict
        As they are stored, each with an input and an output.
    intrinsic : str
        The name of the system that the levels lie in.
    """

    others: tuple[CoordinateSystem, ...] = ()
    links: tuple[JSONDict, ...] = ()
    intrinsic: str = DEFAULT_SYSTEM


ONE_SYSTEM = Systems()
"""That of the levels alone."""


@dataclass(frozen=True, slots=True)
class Multiscale:
    """One multiscale image as the metadata describe it, whatever their version.

    Attributes
    ----------
    datasets : tuple of Dataset
        From fine to coarse.
    systems : tuple of CoordinateSystem
        Only 0.6 can have several.
    name : str, optional
    method : str, optional
        The ``type``.
    metadata : dict, optional
        How it was made, as a free-form object.
    intrinsic : int
        Index of the system in which the levels lie.
    rest : dict
        All other keys.
    """

    datasets: tuple[Dataset, ...]
    systems: tuple[CoordinateSystem, ...]
    name: str | None = None
    method: str | None = None
    metadata: Mapping[str, Any] | None = None
    intrinsic: int = 0
    rest: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def system(self) -> CoordinateSystem:
        """The system that the levels lie in."""
        return self.systems[self.intrinsic]

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes, with the types that their names suggest where none are stated."""
        return typed(self.system.axes)

    @property
    def shared(self) -> list[Any] | None:
        """The transformations that apply to all levels (0.4, 0.5); those between coordinate systems (0.6) do not."""
        steps = self.rest.get(TRANSFORMS)
        if not isinstance(steps, list) or any(isinstance(step, Mapping) and "output" in step for step in steps):
            return None
        return steps

    @property
    def placed(self) -> tuple[PlacedDataset, ...]:
        """The datasets with a scale and a translation each, what applies to all of them (0.4, 0.5) included."""
        ones, zeros = (1.0,) * len(self.axes), (0.0,) * len(self.axes)
        placed = (PlacedDataset(d.path, d.scale or ones, d.translation or zeros) for d in self.datasets)
        return tuple(_after(level, self.shared or ()) for level in placed)


@dataclass(frozen=True, slots=True)
class Metadata:
    """All OME-Zarr metadata of one group; None or empty for what the group is not.

    Attributes
    ----------
    multiscales : tuple of Multiscale
    omero : Omero, optional
    image_label : ImageLabel, optional
    labels : tuple of str, optional
        Paths of label images, in a group of labels.
    plate : Plate, optional
    well : Well, optional
    layout : int, optional
        ``bioformats2raw.layout``.
    series : tuple of str, optional
        Paths of images, in the group ``OME`` of that layout.
    scene : dict, optional
        How images below the group lie to each other, as it is stored (0.6).
    stated : tuple of str, optional
        The objects that state the version; None for those that should.
    """

    multiscales: tuple[Multiscale, ...] = ()
    omero: Omero | None = None
    image_label: ImageLabel | None = None
    labels: tuple[str, ...] | None = None
    plate: Plate | None = None
    well: Well | None = None
    layout: int | None = None
    series: tuple[str, ...] | None = None
    scene: Mapping[str, Any] | None = field(default=None, hash=False)
    stated: tuple[str, ...] | None = None


def image_metadata(
    pyramid: Pyramid,
    omero: Omero | None = None,
    image_label: ImageLabel | None = None,
    name: str | None = None,
    how: Mapping[str, Any] | None = None,
    rest: Mapping[str, Any] | None = None,
    systems: Systems = ONE_SYSTEM,
) -> Metadata:
    """Return the metadata of the group of an image.

    Parameters
    ----------
    pyramid : Pyramid
    omero : Omero, optional
    image_label : ImageLabel, optional
        For a label image.
    name : str, optional
        Instead of that of the pyramid.
    how : dict, optional
        Entries that the caller adds to the ``metadata`` of the multiscale.
    rest : dict, optional
        All other keys of the multiscale.
    systems : Systems
        Further coordinate systems.
    """
    links = {TRANSFORMS: list(systems.links)} if systems.links else {}
    multiscale = Multiscale(
        tuple(Dataset(level.path, level.scale, _unless_zero(level.translation)) for level in pyramid.levels),
        (CoordinateSystem(systems.intrinsic, pyramid.axes), *systems.others),
        name or pyramid.name,
        pyramid.method.name,
        {**_how(pyramid), **(how or {})},
        rest={**(rest or {}), **links},
    )
    return Metadata((multiscale,), omero, image_label)


def _how(pyramid: Pyramid) -> JSONDict:
    method, where = pyramid.method.name, pyramid.method.address
    if len(pyramid.levels) == 1:
        return {"description": "one level, not downsampled", "method": where, "version": __version__}
    windows = "x".join(f"{b / a:g}" for a, b in zip(pyramid.levels[0].factors, pyramid.levels[1].factors, strict=True))
    factors = [dict(zip((a.name for a in pyramid.axes), level.factors, strict=True)) for level in pyramid.levels[1:]]
    return {
        "description": f"{method} of {windows} windows",
        "method": where,
        "version": __version__,
        "kwargs": {"scale_factors": factors},
    }


def with_fingerprint(metadata: Metadata, fingerprint: Fingerprint | None) -> Metadata:
    """Return the metadata of an image with its fingerprint; what the caller has put in its place stays."""
    if fingerprint is None or not metadata.multiscales:
        return metadata
    first, *others = metadata.multiscales
    how = {**(first.metadata or {})}
    how.setdefault(FINGERPRINT, fingerprint.to_dict())
    return replace(metadata, multiscales=(replace(first, metadata=how), *others))


def _unless_zero(translation: Numbers) -> Numbers | None:
    return translation if any(translation) else None


def _after(level: PlacedDataset, transforms: Sequence[Any]) -> PlacedDataset:
    """Return a level with the transformations of its multiscale, which come after its own (0.4 and 0.5)."""
    for step in transforms:
        vector = step.get(step.get("type")) if isinstance(step, Mapping) else None
        if isinstance(vector, list) and len(vector) == len(level.scale):
            factors = vector if step["type"] == "scale" else [1] * len(vector)
            shifts = vector if step["type"] == "translation" else [0] * len(vector)
            scale = tuple(s * f for s, f in zip(level.scale, factors, strict=True))
            translation = tuple(t * f + d for t, f, d in zip(level.translation, factors, shifts, strict=True))
            level = replace(level, scale=scale, translation=translation)
    return level
