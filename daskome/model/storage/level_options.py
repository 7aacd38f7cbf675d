"""Storage options of a pyramid's levels, before it is known how many levels there are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Union

from daskome.model.regions import Shape
from daskome.model.storage.storage_values import check_values

StorageOptions = Union[Mapping[str, Any], Sequence[Mapping[str, Any]], "LevelOptions", None]
"""As callers give them: one dict for all levels, a sequence of one dict per level, or nothing."""


LEVEL_PATHS = "s{}"


@dataclass(frozen=True, slots=True)
class LevelOptions:
    """Storage options: one dict per level, or a single one for every level.

    Attributes
    ----------
    levels : tuple of dict
        One per level; a single one if `shared`.
    shared : bool
        Whether the single dict is for every level, however many there will be.
    paths : str
        The paths of levels, with ``{}`` for their number. By default those of the specification's own examples.
    like : sequence of tuple of int
        The shapes of levels of another pyramid, which are taken as far as that only drops windows that an edge cuts.
    taken : sequence of callable
        What parses the options of the first levels instead of `parse_layout`: their chunks are taken over.
    fallback : dict
        Options of all other levels where their own do not say them.

    Examples
    --------
    >>> LevelOptions(({"chunks": 64},)).per_level(2)
    [{'chunks': 64}, {'chunks': 64}]
    """

    levels: tuple[Mapping[str, Any], ...] = ({},)
    shared: bool = True
    paths: str = LEVEL_PATHS
    like: Sequence[Shape] = ()
    taken: Sequence[Callable[..., Any]] = ()
    fallback: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> Mapping[str, Any]:
        """The options of the first level."""
        return self.per_level(1)[0] if self.levels else {}

    @property
    def plain(self) -> dict[str, Any] | list[dict[str, Any]]:
        """A dict for all levels, or a list of one per level."""
        dicts = [dict(level) for level in self.levels]
        return dicts[0] if self.shared else dicts

    def map(self, change: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> "LevelOptions":
        """Return the options, each dict changed."""
        return replace(self, levels=tuple(map(change, self.levels)))

    def over(self, others: "LevelOptions") -> "LevelOptions":
        """Return these options, with those of others where these have none.

        >>> LevelOptions(({"order": "C"},)).over(LevelOptions(({"chunks": 8}, {"chunks": 4}), shared=False)).plain
        [{'chunks': 8, 'order': 'C'}, {'chunks': 4, 'order': 'C'}]
        """
        n = len((self if others.shared else others).levels)
        pairs = zip(others.per_level(n), self.per_level(n), strict=True)
        levels = tuple({**below, **above} for below, above in pairs)
        return replace(self, levels=levels, shared=self.shared and others.shared)

    def after(self, options: Mapping[str, Any]) -> "LevelOptions":
        """Return the options of a pyramid with one more level before these; shared ones stay shared."""
        return self if self.shared else replace(self, levels=(options, *self.levels))

    def per_level(self, n: int) -> list[dict[str, Any]]:
        """Return one dict for each of `n` levels; those of further levels, which an image may have, are left out.

        Raises
        ------
        ValueError
            If there are not enough.
        """
        if not self.shared and len(self.levels) < n:
            raise ValueError(f"storage_options has {len(self.levels)} entries, but the pyramid has {n} levels")
        levels = self.levels * n if self.shared else self.levels[:n]
        return [{**({} if k < len(self.taken) else self.fallback), **level} for k, level in enumerate(levels)]


NO_OPTIONS = LevelOptions()
"""What a caller who gives no storage options gives."""


def parse_level_options(storage_options: StorageOptions) -> LevelOptions:
    """Return storage options from what a caller gives.

    Raises
    ------
    ValueError
        If they are neither a dict nor a sequence of dicts, or an option has a value that it cannot have.
    """
    if isinstance(storage_options, LevelOptions):
        return storage_options
    if storage_options is None or isinstance(storage_options, Mapping):
        check_values(storage_options or {})
        return LevelOptions((storage_options or {},))
    if isinstance(storage_options, str) or not isinstance(storage_options, Sequence):
        raise ValueError(f"storage_options {storage_options!r}: give a dict for all levels, or a list of one per level")
    for level in storage_options:
        if not isinstance(level, Mapping):
            raise ValueError(f"storage_options has {level!r} for a level; give a dict")
        check_values(level)
    return LevelOptions(tuple(storage_options), shared=False)
