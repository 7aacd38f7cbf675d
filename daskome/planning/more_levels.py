"""More levels of a pyramid, made from its coarsest: their factors, which are relative to level 0, and their paths."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daskome.model.factors import ScaleFactors, factors_by_axis, list_factors, whole_factor
from daskome.model.pyramid import Level, Pyramid


def factors_from_coarsest(scale_factors: ScaleFactors, pyramid: Pyramid) -> ScaleFactors:
    """Return factors, given relative to level 0, relative to the coarsest level.

    Raises
    ------
    ValueError
        If one is not a multiple of that of the coarsest level.
    """
    if isinstance(scale_factors, str) and scale_factors == "auto":
        return scale_factors
    base = dict(zip((axis.name for axis in pyramid.axes), pyramid.levels[-1].factors, strict=True))
    rows = [factors_by_axis(entry, pyramid.axes) for entry in list_factors(scale_factors)]
    return [{name: _divided(factor, base.get(name, 1), name) for name, factor in row.items()} for row in rows]


def with_levels_below(pyramid: Pyramid, new: Sequence[Level]) -> Pyramid:
    """Return a pyramid with levels that were made from its coarsest, as if that were level 0."""
    base, n = pyramid.levels[-1], len(pyramid.levels)
    levels = (_placed(level, base, n + k, n - 1) for k, level in enumerate(new))
    return replace(pyramid, levels=(*pyramid.levels, *levels))


def _divided(given: Any, base: float, name: str) -> int:
    factor = whole_factor(given, name)
    if base != int(base) or factor % base:
        raise ValueError(
            f"scale factors are relative to level 0, each a multiple of the one before:"
            f" axis {name!r} has {factor} after {base:g}"
        )
    return int(factor // base)


def _placed(level: Level, base: Level, k: int, coarsest: int) -> Level:
    factors = tuple(a * b for a, b in zip(base.factors, level.factors, strict=True))
    return replace(level, path=next_path(base.path, k, coarsest), factors=factors)


def next_path(path: str, k: int, base: int) -> str:
    """Return a path for level k, named like the path of level `base`.

    >>> next_path("s0", 1, 0), next_path("0", 2, 0), next_path("scale0/image", 1, 0), next_path("c1/0", 1, 0)
    ('s1', '2', 'scale1/image', 'c1/1')
    >>> next_path("1", 1, 0), next_path("full", 1, 0)
    ('2', 's1')
    """
    numbers = list(re.finditer(r"\d+", path))
    in_name = [match for match in numbers if match.start() > path.rfind("/")]
    chosen = [match for match in numbers if int(match[0]) == base][-1:] or in_name[-1:]
    if not chosen:
        return f"s{k}"
    return path[: chosen[0].start()] + str(int(chosen[0][0]) + k - base) + path[chosen[0].end() :]
