"""Coordinate systems of an open image: where its voxels lie in each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from daskome.model.axes import Axis
from daskome.model.json_values import MALFORMED, JSONObject
from daskome.ome.coordinates.transforms import Matrix, matrix_of, placing
from daskome.ome.metadata import Multiscale
from daskome.ome.rules.systems import links_of


@dataclass(frozen=True, slots=True, repr=False)
class OpenSystem:
    """A coordinate system of an image, and how a level of the image lies in it.

    Attributes
    ----------
    name : str
    axes : tuple of Axis
    scale, translation : tuple of float
        Of the level, in the image's own system.
    transform : dict
        The transformation between that and this one, as it is stored; empty for the image's own.
    backwards : bool
        Whether the transformation leads from this one to that.
    """

    name: str
    axes: tuple[Axis, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]
    transform: JSONObject = field(default_factory=dict, hash=False)
    backwards: bool = False

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def matrix(self) -> Matrix:
        """The homogeneous matrix from indices of voxels of the level to coordinates of the system.

        Raises
        ------
        ValueError
            If the transformation has none, as displacements do not, or cannot be inverted where that is needed.
        """
        own = placing(self.scale, self.translation)
        if not self.transform:
            return own
        try:
            matrix = matrix_of(self.transform, len(self.axes if self.backwards else self.scale))
            return np.asarray((np.linalg.inv(matrix) if self.backwards else matrix) @ own)
        except (*MALFORMED, np.linalg.LinAlgError) as error:
            raise ValueError(f"coordinate system {self.name!r}: voxels cannot be placed in it: {error}") from error

    def positions(self, indices: Sequence[float] | Sequence[Sequence[float]]) -> Matrix:
        """Return where voxels lie in the system.

        Parameters
        ----------
        indices : sequence of float, or of such sequences
            Indices of a voxel of the level along its axes, those of its centre; or of many voxels.

        Returns
        -------
        numpy.ndarray
            Coordinates along `axes`, in their units.

        Examples
        --------
        >>> import daskome, numpy as np, zarr
        >>> store = zarr.storage.MemoryStore()
        >>> turned = {"stage": [[0, -1, 100], [1, 0, 50]]}
        >>> plan = daskome.write_image(np.zeros((8, 8)), store, scale=2, coordinate_systems=turned, fmt="0.6")
        >>> daskome.open(store).systems["stage"].positions([[0, 0], [1, 3]])
        array([[100.,  50.],
               [ 94.,  52.]])
        """
        points = np.asarray(indices, float)
        matrix = self.matrix
        return np.asarray(points @ matrix[:-1, :-1].T + matrix[:-1, -1])

    def __repr__(self) -> str:
        axes = ", ".join(" ".join(filter(None, (axis.name, axis.type, axis.unit))) for axis in self.axes)
        way = f"{self.transform['type']}{' back' * self.backwards}" if self.transform else "that of the levels"
        return f"coordinate system {self.name!r}: {axes}; {way}"

    def _repr_html_(self) -> str:
        return f"<p>{escape(repr(self))}</p>"


def systems_of(
    multiscale: Multiscale, scale: tuple[float, ...], translation: tuple[float, ...]
) -> Mapping[str, OpenSystem]:
    """Return the coordinate systems of an image that are connected to its own, by name, for one of its levels."""
    own = OpenSystem(multiscale.system.name, multiscale.axes, scale, translation)
    return {own.name: own, **{one.name: one for one in _linked_to(own, multiscale)}}


def _linked_to(own: OpenSystem, multiscale: Multiscale) -> Iterator[OpenSystem]:
    axes = {system.name: system.axes for system in multiscale.systems}
    for link in links_of(multiscale.rest):
        names = [link.input.name or "", link.output.name or ""]
        if link.input.here and link.output.here and own.name in names:
            other = names[0] if names[1] == own.name else names[1]
            if other in axes and other != own.name:
                yield OpenSystem(other, axes[other], own.scale, own.translation, link.transform, names[1] == own.name)
