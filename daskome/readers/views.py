"""Arrays in files seen otherwise: axes in another order, stored numbers as the values they stand for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskome.regions import Shape

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class View:
    """Some axes of an array-like, in another order, itself an array-like; the axes left out have length 1.

    Examples
    --------
    >>> import numpy as np
    >>> View(np.zeros((1, 64, 48, 3)), (3, 1, 2)).shape
    (3, 64, 48)
    """

    array: Any
    order: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        """The lengths of the axes in their order."""
        return tuple(int(self.array.shape[axis]) for axis in self.order)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the array."""
        found: np.dtype[Any] = np.dtype(self.array.dtype)
        return found

    def __getitem__(self, index: tuple[slice, ...]) -> Array:
        """Return a part, by one slice per axis."""
        inner = [slice(0, 1)] * len(self.array.shape)
        for axis, part in zip(self.order, index, strict=True):
            inner[axis] = part
        dropped = [axis for axis in range(len(inner)) if axis not in self.order]
        found: Array = np.asarray(self.array[tuple(inner)]).transpose(*self.order, *dropped)
        return found.reshape(found.shape[: len(self.order)])


@dataclass(frozen=True, slots=True)
class Scaled:
    """Stored numbers as the values that they stand for, ``stored * slope + inter``, in the dtype that nibabel gives."""

    array: Any
    slope: float
    inter: float

    @property
    def shape(self) -> Shape:
        """That of the stored numbers."""
        return tuple(map(int, self.array.shape))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values, which depends on that of the stored numbers and the size of slope and inter."""
        found: np.dtype[Any] = self._scaled(np.zeros((1,), self.array.dtype)).dtype
        return found

    def __getitem__(self, index: Any) -> Array:
        """Return the values of a part."""
        return self._scaled(np.asarray(self.array[index]))

    def _scaled(self, stored: Array) -> Array:
        from nibabel.volumeutils import apply_read_scaling

        return np.asarray(apply_read_scaling(stored, self.slope, self.inter))
