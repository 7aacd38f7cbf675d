"""How often a store is asked: by each unit, and once for all of them. The tables hold what may only become less."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import dask
import pytest
from zarr.abc.store import Store
from zarr.storage import MemoryStore, WrapperStore

import daskome
from daskome.model.regions import Region, Shape, ceil_div
from daskome.planning.plan import Plan, Unit
from daskome.stores import kinds
from daskome.stores.ownership import claims
from tests.cuboid import VALUES
from tests.servers.distance import kind_of

IMAGE = VALUES + 1
"""No chunk of it is all fill value, which would not be stored."""
PLANE = IMAGE[0].astype("uint16")
PER_UNIT = {"set journal": 1}
"""What a unit asks besides its objects, however many levels it writes: its record. Whether it may write was asked lately."""
PER_RECORD = 1
"""How often a record is read when all units are written, of those that read an image: they have checksums."""
PER_IMAGE = {"get document": 39, "set document": 12, "list other": 3}
"""What each further image of a plate costs before and after its units: a list for each level, too."""
DELETED = {"delete run": 1, "delete journal": 1, "delete other": 1}
"""The journal goes; before a call begins, that of another."""
CLAIM = {"list claim": 2, "set claim": 1, "get claim": 1}
BELOW = {"list claim": 4}
"""Groups around the one that is written, as around labels, are asked at once whether somebody converts them."""
BEGINNING = {"set run": 1, "set journal": 1, "list other": 3, **CLAIM, **DELETED}
ONCE = {
    "image": (
        {**BEGINNING, "get document": 43, "set document": 6},
        {**DELETED, "list other": 4, "get document": 12, "set document": 1},
    ),
    "labels": (
        {**BEGINNING, **BELOW, "get document": 121, "set document": 10},
        {**DELETED, "list other": 5, "get document": 28, "set document": 2},
    ),
    "plate": (
        {**BEGINNING, **BELOW, "list other": 4, "get document": 144, "set document": 33},
        {**DELETED, "list other": 11, "get document": 68, "set document": 7},
    ),
}
ONCE["image in shards"] = ONCE["image"]
"""What a call asks before the first of its units, and after the last: a list for each level, and of labels or wells."""
FAR = {
    "image": (
        {"set run": 1, "set journal": 1, "list other": 1, "get document": 9, "set document": 6, **CLAIM},
        {**DELETED, "list other": 4, "get document": 8, "set document": 1},
    ),
    "labels": (
        {**BEGINNING, **BELOW, "list other": 3, "get document": 35, "set document": 10},
        {**DELETED, "list other": 5, "get document": 24, "set document": 2},
    ),
    "plate": (
        {**BEGINNING, **BELOW, "list other": 3, "get document": 56, "set document": 33},
        {**DELETED, "list other": 11, "get document": 44, "set document": 7},
    ),
}
FAR["image in shards"] = FAR["image"]
"""The same where the store is far away: what is asked for twice is remembered."""


class Counted(WrapperStore[MemoryStore]):
    """A store that counts what it is asked, by kind; `marks` has the counts at chosen moments, which copies share."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        super().__init__(store or MemoryStore())
        self.requests: Counter[str] = Counter()
        self.marks: list[Counter[str]] = []

    def _with_store(self, store: MemoryStore) -> "Counted":
        """Return the same store as zarr opens it to be read."""
        made = Counted(store)
        made.requests, made.marks = self.requests, self.marks
        return made

    def mark(self, *_: int) -> None:
        """Begin to count anew: it is what calls show their progress to, before the first unit and after each."""
        self.marks.append(Counter(self.requests))
        self.requests.clear()


def counted(verb: str, method: str) -> Callable[..., Any]:
    """Return a method of the store that counts and passes on."""

    def ask(store: Counted, *args: Any, **kwargs: Any) -> Any:
        key = next(iter((*args, *kwargs.values())), "")
        store.requests[f"{verb} {kind_of(f'/bucket/{key}')}"] += 1
        return getattr(store._store, method)(*args, **kwargs)

    return ask


ASKED = {
    "get": ("get", "exists", "getsize"),
    "set": ("set", "set_if_not_exists"),
    "delete": ("delete", "delete_dir"),
    "list": ("list", "list_dir", "list_prefix", "is_empty"),
}
for _verb, _methods in ASKED.items():
    for _method in _methods:
        setattr(Counted, _method, counted(_verb, _method))


def image(store: Store, progress: Any = None, **stored: int) -> Plan:
    factors = [2, 4, 8]
    return daskome.write_image(IMAGE, store, factors, axes="zyx", storage_options=stored, progress=progress)


def labels(store: Counted) -> Plan:
    image(store, chunks=8)
    store.requests.clear()
    cells, factors = (IMAGE % 7 + 1).astype("uint8"), [2, 4, 8]
    return daskome.write_labels(
        cells, store, "cells", factors, axes="zyx", storage_options={"chunks": 8}, progress=store.mark
    )


def plate(store: Counted, n_images: int = 3) -> Plan:
    wells = {f"A/{n + 1}": {0: [PLANE]} for n in range(n_images)}
    return daskome.write_plate(
        wells, store, [2, 4], "screen", axes="yx", storage_options={"chunks": 8}, progress=store.mark
    )


CALLS: dict[str, Callable[[Counted], Plan]] = {
    "image": lambda store: image(store, store.mark, chunks=8),
    "image in shards": lambda store: image(store, store.mark, chunks=4, shards=8),
    "labels": labels,
    "plate": plate,
}


@pytest.fixture(params=CALLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["near", "far"])
def distance(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether stores in memory count as far away: then many objects are on their way at a time."""
    if request.param == "far":
        monkeypatch.setattr(kinds, "KINDS", tuple(replace(row, in_flight=8) for row in kinds.KINDS))
    return str(request.param)


@pytest.fixture
def written(name: str, distance: str, tiny_blocks: None, monkeypatch: pytest.MonkeyPatch) -> tuple[Counted, Plan]:
    """A store and the plan of what was written there, unit after unit, before a claim has to be looked at again."""
    monkeypatch.setattr(claims, "LEASE", 1e6)
    store = Counted()
    with dask.config.set(scheduler="sync"):
        return store, CALLS[name](store)


Regions = Sequence[tuple[Region, Shape]]
"""Regions, each with the shape of the stored objects there."""


def written_by(plan: Plan, unit: Unit) -> tuple[Regions, Regions]:
    """Return what a unit writes: of levels, and of temporary copies."""
    work = unit.pass_
    levels = plan.pyramid(work).levels[work.first : work.stop]
    copies = [] if work.writes_copy is None else plan.pyramid_at(work.writes_copy).levels
    return tuple(
        [(region, level.layout.objects) for region, level in zip(regions, arrays, strict=True)]
        for regions, arrays in ((unit.regions, levels), (unit.copied, copies))
    )


def read_by(plan: Plan, unit: Unit) -> tuple[Regions, Regions]:
    """Return what a unit reads, likewise; nothing if it reads an image."""
    work = unit.pass_
    if not work.reads_below:
        copy = [] if work.reads_copy is None else plan.pyramid_at(work.reads_copy).levels
        return [], [(plan.reads(unit), level.layout.objects) for level in copy]
    return [(plan.reads(unit), plan.pyramid(work).levels[work.first - 1].layout.objects)], []


def count(parts: Regions) -> int:
    """Return how many stored objects there are."""
    return sum(prod(ceil_div(stop, n) - start // n for (start, stop), n in zip(*part, strict=True)) for part in parts)


@pytest.mark.sampled(8)
def test_a_unit_asks_for_its_objects_and_for_little_else(written: tuple[Counted, Plan]) -> None:
    store, plan = written
    units = [unit for stage in range(len(plan.stages)) for unit in plan.units(stage)]
    assert len(units) == len(store.marks) - 1 == plan.n_units > 5
    for unit, asked in zip(units, store.marks[1:], strict=True):
        (levels, copies), (below, copy) = written_by(plan, unit), read_by(plan, unit)
        expected = {
            **PER_UNIT,
            "set chunk": count(levels),
            "set copy": count(copies),
            "get chunk": count(below),
            "get copy": count(copy),
        }
        assert asked == {kind: n for kind, n in expected.items() if n}, plan.describe(unit)


@pytest.mark.sampled(8)
def test_a_call_asks_little_before_and_after_its_units(written: tuple[Counted, Plan], name: str, distance: str) -> None:
    store, plan = written
    before, after = map(Counter, (ONCE if distance == "near" else FAR)[name])
    assert store.requests.pop("get journal") == PER_RECORD * plan.count(0)
    assert store.marks[0] <= before  # Versions of zarr differ.
    assert store.requests <= after


def test_images_of_a_plate_cost_documents_and_nothing_else(tiny_blocks: None) -> None:
    asked = {}
    for n in (3, 6):
        store = Counted()
        with dask.config.set(scheduler="sync"):
            plate(store, n)
        asked[n] = store.marks[0] + store.requests
        del asked[n]["get journal"]
    assert asked[6] - asked[3] <= Counter({kind: 3 * n for kind, n in PER_IMAGE.items()})
