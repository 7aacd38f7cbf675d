"""Names of files as places in a grid: by a number that tells them apart, or a pattern such as ``t{t}_c{c}_z{z}.tif``.

Names are arithmetic: no file is looked at.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

from daskome.model.axes import TYPES

PLACES: Mapping[str, str] = {axis: r"(?P<c>[^/]+?)" if axis == "c" else rf"(?P<{axis}>\d+)" for axis in TYPES}
"""What stands in a name for each axis: a number; of channels, any word."""
MOST_NAMED_FILES = 10
DIGITS = re.compile(r"(\d+)")
BETWEEN_WORDS = re.compile(r"([-_. /]+)")


@dataclass(frozen=True, slots=True)
class Grid:
    """Files in a grid.

    Attributes
    ----------
    axes : tuple of str
        From the slowest to the fastest.
    labels : tuple of tuple of str
        What the names call each step along each axis.
    paths : tuple of str
        In the order of C.
    """

    axes: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    paths: tuple[str, ...]


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts numbers in names as numbers.

    >>> sorted(["z10", "z9", "z1"], key=natural_order)
    ['z1', 'z9', 'z10']
    """
    parts = DIGITS.split(name)
    return tuple((1, int(part), part) if i % 2 else (0, 0, part) for i, part in enumerate(parts))


def has_places(path: str) -> bool:
    """Whether a path is a pattern.

    >>> has_places("t{t}_z{z}.tif"), has_places("{a}.tif"), has_places("a.tif")
    (True, True, False)
    """
    return re.search(r"\{\w*\}", path) is not None


def glob_of(pattern: str) -> str:
    """Return a pattern as a glob.

    >>> glob_of("t{t}_c{c}/[a]?.tif")
    't*_c*/[[]a]?.tif'
    """
    return "".join("*" if _is_place(part) else part.replace("[", "[[]") for part in _parts(pattern))


def by_number(paths: Sequence[str], axis: str) -> Grid:
    """Return files in the order of the number in their names that tells them apart.

    Raises
    ------
    ValueError
        If no one number does, or numbers are left out.

    Examples
    --------
    >>> by_number(["a/z10.tif", "a/z9.tif"], "z").paths
    ('a/z9.tif', 'a/z10.tif')
    """
    names = sorted((DIGITS.split(path) for path in paths), key=lambda parts: natural_order("".join(parts)))
    _check_one_counter(names)
    varying = [i for i in range(1, len(names[0]), 2) if len({int(parts[i]) for parts in names}) == len(names)]
    counted = [(i, sorted(int(parts[i]) for parts in names)) for i in varying]
    if not counted:
        raise ValueError(_several_numbers(names))
    position, numbers = next((one for one in counted if _step(one[1])), counted[-1])
    if not _step(numbers):
        like = min(names, key=lambda parts: int(parts[position]))
        raise ValueError(_gap(like, position, numbers))
    ordered = sorted(names, key=lambda parts: int(parts[position]))
    return Grid((axis,), (tuple(parts[position] for parts in ordered),), tuple(map("".join, ordered)))


def by_pattern(paths: Sequence[str], pattern: str) -> Grid:
    """Return files in the grid of a pattern that the ends of their paths have.

    Raises
    ------
    ValueError
        If a path does not have it, two are in one place, or a place is empty.

    Examples
    --------
    >>> by_pattern(["b/z1_GFP.tif", "b/z1_DAPI.tif"], "z{z}_{c}.tif").labels
    (('DAPI', 'GFP'), ('1',))
    """
    regex = _regex(pattern)
    axes = tuple(axis for axis in TYPES if axis in regex.groupindex)
    places: dict[tuple[str, ...], str] = {}
    for path in sorted(paths, key=natural_order):
        matched = regex.fullmatch(path)
        if matched is None:
            raise ValueError(f"{path} is not as the pattern {pattern} says; leave it out, or correct the pattern")
        place = tuple(matched[axis].lstrip("0") or "0" if matched[axis].isdecimal() else matched[axis] for axis in axes)
        if place in places:
            where = ", ".join(f"{axis}={label}" for axis, label in zip(axes, place, strict=True))
            raise ValueError(f"{places[place]} and {path} are both at {where} of the pattern {pattern}; leave one out")
        places[place] = path
    labels = tuple(tuple(sorted(dict.fromkeys(column), key=natural_order)) for column in zip(*places, strict=True))
    _check_steps(pattern, axes, labels)
    _check_full(pattern, axes, labels, places)
    return Grid(axes, labels, tuple(places[place] for place in product(*labels)))


def _parts(pattern: str) -> list[str]:
    return [part for part in re.split(r"(\{\w*\}|\*|\?)", pattern) if part]


def _is_place(part: str) -> bool:
    return part.startswith("{") and part.endswith("}")


def _regex(pattern: str) -> re.Pattern[str]:
    named = [part[1:-1] for part in _parts(pattern) if _is_place(part)]
    wrong = [name for i, name in enumerate(named) if name not in PLACES or name in named[:i]]
    if wrong or not named:
        what = f"{{{wrong[0]}}} {'twice' if wrong[0] in PLACES else ''}".rstrip() if wrong else "no axis"
        raise ValueError(
            f"the pattern {pattern} has {what}; it has each of t, c, z, y, x once at most, as in 't{{t}}_z{{z}}.tif'"
        )
    wild = {"*": "[^/]*", "?": "[^/]"}
    texts = (PLACES[part[1:-1]] if _is_place(part) else wild.get(part) or re.escape(part) for part in _parts(pattern))
    return re.compile(f"(?:.*/)?{''.join(texts).removeprefix('/')}")


def _check_one_counter(names: Sequence[Sequence[str]]) -> None:
    """Raise a ValueError if names differ in more than numbers."""
    other = next((parts for parts in names if parts[::2] != names[0][::2]), None)
    if other is not None:
        raise ValueError(
            f"{''.join(names[0])} and {''.join(other)} differ in more than a number, so their names do not say how they"
            f" belong together; give a pattern of their names such as '{_suggested(names)}', or stack, the axis along"
            " which they follow each other as they are given"
        )


def _suggested(names: Sequence[Sequence[str]]) -> str:
    """Return a pattern of names that differ in a word, and perhaps in numbers; one that shows the form, if none fits.

    >>> _suggested([["a/t", "0", "_DAPI.tif"], ["a/t", "0", "_GFP.tif"], ["a/t", "1", "_GFP.tif"]])
    't{t}_{c}.tif'
    """
    tokens = [BETWEEN_WORDS.split("".join(parts)) for parts in names]
    free = list(TYPES)
    columns = zip(*tokens, strict=True) if len({*map(len, tokens)}) == 1 else ()
    path = "".join(_common(column, free) for column in columns)
    return _from_folder(path) if "{c}" in path and "{}" not in path else "{c}_z{z}.tif"


def _common(tokens: Sequence[str], free: list[str]) -> str:
    """Return what tokens of names have in common: all, all but a number, or nothing: they are names of channels."""
    if len({*tokens}) == 1:
        return tokens[0]
    matches = [re.fullmatch(r"(\D*)\d+(\D*)", token) for token in tokens]
    around = {match.groups() for match in matches if match}
    counted = len(around) == 1 and all(matches)
    before, after = around.pop() if counted else ("", "")
    axis = _axis_of(before, free, "tz") if counted else "".join({"c"} & set(free))
    free[:] = [one for one in free if one != axis]
    return f"{before}{{{axis}}}{after}"


def _axis_of(before: str, free: Sequence[str], others: str) -> str:
    """Return the axis that a number counts: that of the letter before it, or the first of others; empty for none."""
    letter = before[-1:].lower()
    return letter if letter in free else next((axis for axis in others if axis in free), "")


def _from_folder(path: str) -> str:
    """Return a pattern from the folder on in which names begin to differ."""
    return path[path.rfind("/", 0, path.index("{")) + 1 :]


def _several_numbers(names: Sequence[Sequence[str]]) -> str:
    """Return why no number tells names apart: two files have the same one, or several numbers count."""
    varying = [i for i in range(1, len(names[0]), 2) if len({int(parts[i]) for parts in names}) > 1]
    if not varying:
        return f"{''.join(names[0])} and {''.join(names[1])} have the same number; leave one out"
    if len(varying) == 1:
        seen: dict[int, Sequence[str]] = {}
        for parts in names:
            same = seen.setdefault(int(parts[varying[0]]), parts)
            if same is not parts:
                return f"{''.join(same)} and {''.join(parts)} have the same number; leave one out"
    free, suggested = list(TYPES), list(names[0])
    for i in varying:
        axis = _axis_of(names[0][i - 1], free, "tcz")
        free = [one for one in free if one != axis]
        suggested[i] = f"{{{axis}}}"
    return (
        f"the names of {len(names):,} files such as {''.join(names[0])} differ in {len(varying)} numbers, of which none"
        f" tells all apart; give a pattern that says which axis each counts, as in {_from_folder(''.join(suggested))!r}"
    )


def _step(numbers: Sequence[int]) -> int:
    """Return the step between rising numbers; 0 where it is not always the same."""
    steps = {b - a for a, b in pairwise(numbers)} or {1}
    return steps.pop() if len(steps) == 1 else 0


def _missing(numbers: Sequence[int]) -> tuple[int, list[int]]:
    """Return how many numbers are left out, and the first of them; 0 if they have no step in common."""
    step = min(b - a for a, b in pairwise(numbers))
    if any((n - numbers[0]) % step for n in numbers):
        return 0, []
    gaps: Iterator[int] = (n for a, b in pairwise(numbers) for n in range(a + step, b, step))
    return (numbers[-1] - numbers[0]) // step + 1 - len(numbers), [n for n, _ in zip(gaps, range(10), strict=False)]


def _gap(like: Sequence[str], position: int, numbers: Sequence[int]) -> str:
    n, first = _missing(numbers)
    if not n:
        return f"the numbers of {''.join(like)} and others have no step in common: {_listed_names(map(str, numbers))}"
    padded = len(like[position]) if like[position].startswith("0") else 1
    names = ("".join([*like[:position], f"{number:0{padded}}", *like[position + 1 :]]) for number in first)
    return (
        f"{n:,} of {n + len(numbers):,} files are missing: {_listed_names(names, n)}. Put them there; or, if nothing"
        " was ever there, pass the files one by one, and stack, the axis along which they follow each other"
    )


def _listed_names(names: Iterable[str], n: int = 0) -> str:
    few = [name for name, _ in zip(names, range(MOST_NAMED_FILES), strict=False)]
    return ", ".join([*few, *[f"and {n - len(few):,} more"] * (n > len(few))])


def _check_steps(pattern: str, axes: Sequence[str], labels: Sequence[Sequence[str]]) -> None:
    """Raise a ValueError if a number is left out in all names."""
    for axis, names in zip(axes, labels, strict=True):
        numbers = sorted(int(name) for name in names if name.isdecimal())
        if len(numbers) == len(names) and not _step(numbers):
            n, first = _missing(numbers)
            few = _listed_names(map(str, first), n) if n else "they have no step in common"
            raise ValueError(f"files of the pattern {pattern} leave out numbers along {axis}: {few}")


def _check_full(
    pattern: str, axes: Sequence[str], labels: Sequence[Sequence[str]], places: Mapping[tuple[str, ...], str]
) -> None:
    """Raise a ValueError if there is no file in a place of the grid."""
    total = prod(map(len, labels))
    if len(places) < total:
        empty = (place for place in product(*labels) if place not in places)
        where = (" ".join(f"{axis}={label}" for axis, label in zip(axes, place, strict=True)) for place in empty)
        n = total - len(places)
        raise ValueError(f"{n:,} of {total:,} files of the pattern {pattern} are missing: at {_listed_names(where, n)}")
