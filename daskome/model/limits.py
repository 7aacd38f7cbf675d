"""The sizes at which blocks and units stop growing, and at which temporary copies begin to pay."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How finely images are cut into blocks and units, and how long a planner looks for the best cut.

    With small limits, small images are planned as large ones are.

    Attributes
    ----------
    block_nbytes : int
        Stored objects smaller than this are written several at a time, neighbours in space together.
    frame_nbytes : int
        Only objects smaller than this are written together with those of other times and channels.
    unit_nbytes : int
        Units grow while they read at most this much: some seconds of work, a few thousand units per TiB. Larger units
        are those that a block forces, and those that avoid reading source chunks twice (see `largest_unit`).
    largest_unit : int
        How many times `unit_nbytes` a unit may read before it counts as slow: a retry loses all of it.
    tail_nbytes : int
        Coarse levels that are together at most this large are left to one unit: about a second of work, instead of
        another stage.
    units_per_thread : int
        With fewer units per thread than this, units are made smaller, so that all threads finish together.
    copied_nbytes : int
        A pass writes the next level to a temporary copy if what would otherwise be read for it is at least this large.
    staged_above : float
        If an image would be read more often than this, a temporary copy of it is considered.
    staged_nbytes : int
        The smallest size of the chunks of such a copy, if its image and target allow it.
    staged_doublings : int
        How many lengths of such chunks are tried along an axis, each twice the previous one.
    doublings : int
        How many times a block is doubled, at most, towards source chunks that do not nest with it.
    fine_shapes_above : float
        If the source would be read this often or more, shapes of units are tried that fit the memory more closely.
    fine_doublings : int
        How many times a block is doubled, at most, towards source chunks that memory does not hold as a whole.
    fine_shapes : int
        If there are no more shapes than this, lengths half-way between the doubled ones are tried too.
    """

    block_nbytes: int = 4 * 2**20
    frame_nbytes: int = 2**18
    unit_nbytes: int = 512 * 2**20
    largest_unit: int = 4
    tail_nbytes: int = 256 * 2**20
    units_per_thread: int = 4
    copied_nbytes: int = 64 * 2**20
    staged_above: float = 4
    staged_nbytes: int = 2 * 2**20
    staged_doublings: int = 4
    doublings: int = 4
    fine_shapes_above: float = 2
    fine_doublings: int = 8
    fine_shapes: int = 256

    @property
    def largest_unit_nbytes(self) -> int:
        """The bytes that a unit may read before it counts as slow."""
        return self.largest_unit * self.unit_nbytes


LIMITS = Limits()
"""What `default_limits` returns. Nothing else reads it, so a test that replaces it replaces all limits at once."""


def default_limits() -> Limits:
    """Return the limits of whatever is planned without limits of its own."""
    return LIMITS
