"""Storage options before it is known how many levels there are."""

from typing import Any

import pytest

from daskome.model.storage.level_options import LevelOptions, parse_level_options

SHARED, EACH = {"chunks": 8}, [{"chunks": 8}, {"chunks": 4}]


@pytest.mark.parametrize(
    ("options", "plain", "first", "of_two"),
    [
        (None, {}, {}, [{}, {}]),
        (SHARED, SHARED, SHARED, [SHARED, SHARED]),
        (EACH, EACH, SHARED, EACH),
        (tuple(EACH), EACH, SHARED, EACH),
    ],
)
def test_what_callers_give(options: Any, plain: Any, first: Any, of_two: Any) -> None:
    parsed = parse_level_options(options)
    assert (parsed.plain, parsed.first, parsed.per_level(2)) == (plain, first, of_two)
    assert parse_level_options(parsed) is parsed


def test_no_levels_have_no_first_options() -> None:
    assert parse_level_options([]).first == {}
    assert parse_level_options([]).per_level(0) == []


@pytest.mark.parametrize(
    ("options", "message"), [(5, "5: give a dict"), ("x", "'x': give a dict"), ([5], "has 5 for a")]
)
def test_what_is_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_level_options(options)


def test_a_dict_per_level_is_for_as_many_levels() -> None:
    with pytest.raises(ValueError, match="has 2 entries, but the pyramid has 3 levels"):
        parse_level_options(EACH).per_level(3)


@pytest.mark.parametrize(
    ("above", "below", "plain"),
    [
        ({"order": "C"}, SHARED, {"chunks": 8, "order": "C"}),
        ({"chunks": 2}, EACH, [{"chunks": 2}, {"chunks": 2}]),
        (EACH, {"chunks": 2, "order": "C"}, [{"chunks": 8, "order": "C"}, {"chunks": 4, "order": "C"}]),
        ([{}, {"chunks": 1}], EACH, [{"chunks": 8}, {"chunks": 1}]),
    ],
)
def test_options_over_others(above: Any, below: Any, plain: Any) -> None:
    assert parse_level_options(above).over(parse_level_options(below)).plain == plain


def test_a_level_before_the_others() -> None:
    assert parse_level_options(EACH).after({}).plain == [{}, *EACH]
    assert parse_level_options(SHARED).after({}).plain == SHARED
    assert LevelOptions().map(lambda options: {**options, "chunks": 8}).plain == SHARED
