"""The names of ``ome_zarr.scale``: `Methods`, and `Scaler`, which makes a list of levels in memory or in Dask.

Each method of `daskome.METHODS` is here by its name, too: metadata name ``daskome.scale.mean`` as what made an image.

The work is daskome's (`daskome.kernels`): every voxel counts, also the last of an odd size, integers are rounded and
never wrap, and a result does not depend on chunks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final

from daskome.calls.translation import plane_factors
from daskome.kernels.downsample import downsample
from daskome.kernels.methods import METHODS, Method, find_method
from daskome.model.chunks import align_to_factor
from daskome.model.regions import ceil_div

__all__ = ["Methods", "Scaler"]


class Methods(Enum):
    """Methods by the names of ``ome_zarr``; every function takes them, or their values.

    Examples
    --------
    >>> [method.value for method in Methods]
    ['resize', 'nearest', 'local_mean', 'zoom']
    """

    RESIZE = "resize"
    NEAREST = "nearest"
    LOCAL_MEAN = "local_mean"
    ZOOM = "zoom"


FORMER_METHODS: Final = ("gaussian", "laplacian", "local_mean", "nearest", "resize_image", "zoom")
"""The methods of a `Scaler`, each of which is one."""


@dataclass
class Scaler:
    """How to make a pyramid of planes: the last two axes are downsampled, level from level.

    Attributes
    ----------
    copy_metadata, in_place
        Accepted, but without effect.
    downscale
        Voxels per window along y and x.
    labeled
        Whether every value of a level must be one of the image's.
    max_layer
        Levels below the image; fewer where a plane is too small.
    method
        One of `methods`.
    order
        Of `resize_image`: 0 takes the nearest voxel, 1 interpolates.

    Examples
    --------
    >>> import numpy as np
    >>> [level.shape for level in Scaler(max_layer=2).nearest(np.zeros((3, 64, 65)))]
    [(3, 64, 65), (3, 32, 33), (3, 16, 17)]
    """

    copy_metadata: bool = False
    downscale: int = 2
    in_place: bool = False
    labeled: bool = False
    max_layer: int = 4
    method: str = "nearest"
    order: int = 1

    @staticmethod
    def methods() -> Iterator[str]:
        """Yield the names that `method` may have."""
        yield from FORMER_METHODS

    @property
    def func(self) -> Callable[[Any], Any]:
        """The method by its name."""
        if self.method not in FORMER_METHODS:
            raise ValueError(f"unknown method {self.method!r}: use one of {', '.join(FORMER_METHODS)}")
        return getattr(self, self.method)  # type: ignore[no-any-return]

    def resize_image(self, image: Any) -> Any:
        """Return the next level of a NumPy or Dask array, as an array and not a list."""
        return _smaller(image, self.downscale, find_method("resize" if self.order else "nearest"))

    def nearest(self, base: Any) -> list[Any]:
        """Return levels of the first voxel of every window."""
        return self._levels(base, "nearest")

    def gaussian(self, base: Any) -> list[Any]:
        """Return levels smoothed by a Gaussian."""
        return self._levels(base, "gaussian")

    def laplacian(self, base: Any) -> list[Any]:
        """Return the image, and Laplacian bands of it (`daskome.kernels.filters.LAPLACIAN`)."""
        return self._levels(base, "laplacian")

    def local_mean(self, base: Any) -> list[Any]:
        """Return levels of means."""
        return self._levels(base, "local_mean")

    def zoom(self, base: Any) -> list[Any]:
        """Return levels of values at the middles of windows."""
        return self._levels(base, "zoom")

    def _levels(self, base: Any, method: str) -> list[Any]:
        if self.labeled and method != "nearest":
            raise ValueError(f"method {method!r} makes values that are not among the labels; use 'nearest'")
        levels, row = [base], find_method(method)
        for _ in plane_factors(base.shape, self.downscale, self.max_layer):
            levels.append(_smaller(levels[-1], self.downscale, row))
        return levels


def __getattr__(name: str) -> Method:
    """Return a row of `daskome.METHODS`: metadata name them so, as in ``daskome.scale.mean``.

    >>> import numpy as np
    >>> from daskome.scale import mean
    >>> mean(np.arange(8.0).reshape(2, 4), (2, 2))
    array([[2.5, 4.5]])
    """
    if name not in METHODS:
        raise AttributeError(f"module 'daskome.scale' has no attribute {name!r}")
    return METHODS[name]


def _smaller(image: Any, downscale: int, method: Method) -> Any:
    """Return an array with the windows of its planes reduced: Dask for Dask, else NumPy."""
    factors = (*(1,) * (image.ndim - 2), downscale, downscale)
    if not hasattr(image, "map_blocks"):
        import numpy as np

        return downsample(np.asarray(image), factors, method)
    reduce = partial(downsample, factors=factors, method=method)
    chunks = tuple(align_to_factor(sizes, f) for sizes, f in zip(image.chunks, factors, strict=True))
    if method.halo(downscale):
        chunks = (*chunks[:-2], *((n,) for n in image.shape[-2:]))
    smaller = tuple(tuple(ceil_div(n, f) for n in sizes) for sizes, f in zip(chunks, factors, strict=True))
    return image.rechunk(chunks).map_blocks(reduce, chunks=smaller, dtype=image.dtype, meta=image._meta)
