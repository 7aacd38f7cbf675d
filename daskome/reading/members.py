"""What lies below a group by name, each opened when it is taken."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, repr=False)
class Members(Mapping[str, _T], Generic[_T]):
    """The names of what is below a group, and how one of them is opened.

    Examples
    --------
    >>> wells = Members("well", ("A/1", "B/2"), str.lower)
    >>> wells, wells["B/2"]
    (Members(A/1, B/2), 'b/2')
    """

    kind: str
    names: tuple[str, ...]
    opened: Callable[[str], _T]

    def __getitem__(self, name: str) -> _T:
        """Open one."""
        if name not in self.names:
            raise KeyError(f"there is no {self.kind} {name!r}; there are {', '.join(self.names) or 'none'}")
        return self.opened(name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.names)

    def readable(self) -> tuple[dict[str, _T], list[str]]:
        """Return what can be opened, by name, and in words why the rest cannot."""
        found: dict[str, _T] = {}
        troubles: list[str] = []
        for name in self.names:
            try:
                found[name] = self.opened(name)
            except (ValueError, OSError) as error:
                troubles.append(f"{self.kind} {name} cannot be read: {error}")
        return found, troubles

    def __repr__(self) -> str:
        return f"Members({', '.join(self.names)})"
