"""A coordinate system that a file knows by name, and where its voxels lie in it."""

from dataclasses import dataclass, replace

from daskome.model.axes import Axis


@dataclass(frozen=True, slots=True)
class VoxelSystem:
    """A coordinate system of space, and the affine matrix from indices of voxels to it.

    Attributes
    ----------
    name : str
    axes : tuple of Axis
        Of space, in their order: as many as the image has, or more, for a plane in space.
    inputs : tuple of str
        The axes of the image that the columns of the matrix are of.
    matrix : tuple of tuple of float
        A row for each axis of the system; in it a number for each input, and the position of the first voxel.
    note : str
        What is lost, in words, where it cannot be written; empty if scale and translation say it all.

    Examples
    --------
    >>> axes = (Axis("y", "space"), Axis("x", "space"))
    >>> VoxelSystem("stage", axes, ("y", "x"), ((0, 2, 5), (2, 0, 7))).inputs
    ('y', 'x')
    """

    name: str
    axes: tuple[Axis, ...]
    inputs: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]
    note: str = ""

    def renamed(self, names: dict[str, str]) -> "VoxelSystem":
        """Return it for an image whose axes have other names."""
        return replace(self, inputs=tuple(names.get(name, name) for name in self.inputs))

    def noted(self, note: str) -> "VoxelSystem":
        """Return it with what is lost where it cannot be written."""
        return replace(self, note=note)
