"""Laws of `daskome.planning.serialize`: what becomes JSON comes back equal, to the type."""

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, strategies as st

from daskome.kernels.methods import METHODS, Method
from daskome.model.axes import Axis
from daskome.ome.omero import Channel
from daskome.planning.serialize import from_json, to_json
from tests.strategies import law


@dataclass(frozen=True, slots=True)
class Leaf:
    """Every plain field there is."""

    text: str
    whole: int
    real: float
    flag: bool
    window: tuple[float, float] | None
    sizes: tuple[tuple[int, ...], ...]
    factors: tuple[float, ...]
    options: Any


@dataclass(frozen=True, slots=True)
class Tree:
    """Dataclasses within."""

    leaf: Leaf
    maybe: Leaf | None
    many: tuple[Leaf, ...]
    method: Method


real = st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | real | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
leaves = st.builds(
    Leaf,
    st.text(),
    st.integers(-(2**70), 2**70),
    real,
    st.booleans(),
    st.none() | st.tuples(real, real),
    st.lists(st.lists(st.integers(), max_size=3).map(tuple), max_size=3).map(tuple),
    st.lists(real | st.integers(), max_size=3).map(tuple),
    json_values,
)
trees = st.builds(
    Tree, leaves, st.none() | leaves, st.lists(leaves, max_size=2).map(tuple), st.sampled_from(list(METHODS.values()))
)
SPECIAL_TO, SPECIAL_FROM = {Method: lambda method: method.name}, {Method: METHODS.__getitem__}


def types(value: Any) -> Any:
    """Return the types within a value of plain tuples."""
    return tuple(map(types, value)) if isinstance(value, tuple) else type(value)


@pytest.mark.extended
@law(max_examples=150)
@given(tree=trees)
def test_there_and_back(tree: Tree) -> None:
    text = json.dumps(to_json(tree, SPECIAL_TO), allow_nan=False)
    back = from_json(Tree, json.loads(text), SPECIAL_FROM)
    assert back == tree
    assert types(back.leaf.factors) == types(tree.leaf.factors)
    assert back.leaf.window is None or types(back.leaf.window) == (float, float)
    assert math.copysign(1, back.leaf.real) == math.copysign(1, tree.leaf.real)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2.5, None)), [1, [2.5, None]]),
        (Axis("t", "time"), {"name": "t", "type": "time", "unit": None, "rest": {}, "orientation": None}),
        ([Axis("t")], [{"name": "t", "type": None, "unit": None, "rest": {}, "orientation": None}]),
        ({1: (Axis("t"),)}, {"1": [{"name": "t", "type": None, "unit": None, "rest": {}, "orientation": None}]}),
        ("text", "text"),
        ((), []),
    ],
)
def test_to_json(value: Any, expected: Any) -> None:
    assert to_json(value) == expected


def test_special_types_go_their_own_way_wherever_they_are() -> None:
    assert to_json((METHODS["mean"], {"a": METHODS["max"]}), SPECIAL_TO) == ["mean", {"a": "max"}]


def test_options_and_tuples_come_back() -> None:
    channel = Channel("µ", "00FF00", (0, 1.5, 0, 1), False)
    assert from_json(Channel, to_json(channel)) == channel
    assert from_json(Channel, to_json(Channel("a"))) == Channel("a")


def test_a_missing_field_is_not_guessed() -> None:
    with pytest.raises((KeyError, ValueError), match="unit"):
        from_json(Axis, {"name": "z", "type": "space"})
