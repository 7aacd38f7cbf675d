"""The groups of a plan: what each holds, and what of it is there already, stays, or changes in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from daskome.model.paths import depth_of
from daskome.model.pyramid import Level, Pyramid
from daskome.model.regions import Region, Shape
from daskome.ome.metadata import Metadata


@dataclass(frozen=True, slots=True)
class Change:
    """What changes in an image that is there.

    Attributes
    ----------
    region : tuple of (int, int)
        Of level 0: all that is made of its voxels is made again.
    given : tuple of (int, int), optional
        The part of it that gets the voxels of an image; what is appended begins where the image ended. None: level 0
        has its voxels already.
    shapes : tuple of tuple of int
        Those of the levels before it. Where something is appended, the levels get longer.
    is_seen : bool
        Whether readers see the image as it was until the end, as none of its voxels changes before; if not, it says
        that it is unfinished.
    """

    region: Region
    given: Region | None
    shapes: tuple[Shape, ...]
    is_seen: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One zarr group that the plan makes: its path relative to the target, its metadata, and the pyramid it holds.

    Attributes
    ----------
    path : str
    metadata : Metadata
        What is published when everything is written; of a `change`, only what is added.
    pyramid : Pyramid, optional
        The image that lies in it. Groups of like images share one, so that a plate of thousands stays small.
    kept : int
        How many of the pyramid's levels, the finest, are there already, and stay.
    temporary : bool
        Whether it is only read back, and deleted with the journal (see `STAGING`).
    attributes : dict
        Those of other programs, which are published with it; those beside OME-Zarr's own objects under ``ome``.
    documents : dict of str to str
        Further documents in it, by their paths, which are published with it: ``METADATA.ome.xml``.
    change : Change, optional
        What changes in levels that are kept, which are all.
    """

    path: str
    metadata: Metadata
    pyramid: Pyramid | None = None
    kept: int = 0
    temporary: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    documents: Mapping[str, str] = field(default_factory=dict, hash=False)
    change: Change | None = None

    @property
    def depth(self) -> int:
        """How many groups of the hierarchy lie above it."""
        return depth_of(self.path)

    @property
    def is_marked(self) -> bool:
        """Whether it says that it is unfinished until it is published: not if readers see an image all the while."""
        seen = self.kept if self.change is None else self.change.is_seen
        return self.pyramid is not None and not seen

    @property
    def touched(self) -> Sequence[Level]:
        """The levels of which something is written."""
        levels = () if self.pyramid is None else self.pyramid.levels
        return levels if self.change is not None else levels[self.kept :]
