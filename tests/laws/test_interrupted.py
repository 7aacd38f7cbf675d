"""Any changes of a stored image, each killed at any of its own changes, and any way to go on.

Nobody ever takes a mixture for an image, no right way to go on is refused, and in the end the store holds the bytes of
the whole image written anew. Where a change was given up for another one, some of its voxels may have been written:
then levels follow from level 0 as it is.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore, StorePath

import daskome
from daskome.inspection.stored_image import read_pyramid
from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes
from daskome.model.image import DTYPES, Image
from daskome.model.problem import REFUSALS
from daskome.model.regions import Region, Shape, slices
from daskome.ome.detect import ome_of
from daskome.stores.groups import as_image, change_in, is_consolidated
from daskome.stores.journal import CURRENT, JOURNAL
from tests.kills import MINE, Death, Mortal, an_image, calm, consolidate, copied, digest, updated
from tests.laws.test_changes import Array, as_if_large, written
from tests.laws.test_laws import random_image
from tests.strategies import AXES, Case

LONGEST = {2: 20, 3: 9, 4: 6, 5: 4}
"""The longest axis of an image of so many dimensions."""


@dataclass(frozen=True)
class Change:
    """A call that changes an image.

    Attributes
    ----------
    region : tuple of (int, int)
        Of the image as it is then.
    values : array
        What is there then.
    axis : str, optional
        Along which it gets longer; None: a region is updated.
    starts : bool
        Whether the call says where what it appends begins.
    as_written : bool
        Whether another program writes level 0 before.
    """

    region: Region
    values: Array
    axis: str | None = None
    starts: bool = True
    as_written: bool = False

    def __call__(self, store: Any, **options: Any) -> None:
        if self.axis is None:
            daskome.update(store, self.region, None if self.as_written else self.values, retries=0, **options)
        else:
            start = next(a for (a, _), name in zip(self.region, names_of(store), strict=True) if name == self.axis)
            more = {"start": start} if self.starts else {}
            daskome.append(store, self.values, self.axis, retries=0, **more, **options)

    def of(self, image: Array) -> Array:
        """Return an image after it."""
        shape = tuple(max(b, n) for (_, b), n in zip(self.region, image.shape, strict=True))
        made = np.pad(image, [(0, m - n) for m, n in zip(shape, image.shape, strict=True)])
        made[slices(self.region)] = self.values
        return made


def names_of(store: Any) -> list[str]:
    """Return the names of the axes of an image, also while it changes."""
    multiscales = ome_of(as_image(attributes_of(store)))["multiscales"]
    return [axis["name"] for axis in multiscales[0]["axes"]]


def random_case(rng: Random) -> Case:
    """Return an image, and how it is stored: lengths of 1, shards, any method, in zarr v2 and v3."""
    axes = rng.choice(AXES)
    shape = tuple(rng.randint(1, LONGEST[len(axes)]) for _ in axes)
    version, factors = rng.choice(["0.4", "0.5"]), list[dict[str, int]]()
    before = {name: 1 for name in axes if name in "zyx"}
    for _ in range(rng.choice([0, 1, 1, 2, 2])):
        before = {name: k * rng.choice([1, 2, 2, 3]) for name, k in before.items()}
        factors.append(before)
    each = [random_layout(rng, shape, version == "0.5") for _ in range(len(factors) + 1)]
    image = Image(shape, rng.choice(DTYPES), parse_axes(axes, len(axes)), (1.0,) * len(axes), (0.0,) * len(axes))
    stored: Any = rng.choice([each, each[0]])
    return Case(image, tuple((n,) for n in shape), rng.choice(list(METHODS)), version, factors, stored)


def random_layout(rng: Random, shape: Shape, sharded: bool) -> dict[str, Any]:
    chunks = tuple(rng.randint((n + 3) // 4, n + 1) for n in shape)
    shards = {"shards": tuple(c * rng.randint(1, 3) for c in chunks)} if sharded and rng.random() < 0.5 else {}
    return {"chunks": chunks, **shards}


def random_change(rng: Random, image: Array, names: Sequence[str]) -> Change:
    """Return a change of an image; it may write nothing but zeros."""
    axis = rng.choice([*range(image.ndim), *[None] * image.ndim])
    region = tuple(
        (0, n) if axis is not None and i != axis else (n, n + rng.randint(1, 4)) if i == axis else random_span(rng, n)
        for i, n in enumerate(image.shape)
    )
    values = random_image(tuple(b - a for a, b in region), image.dtype.name, rng.randrange(99))
    values = values * np.asarray(rng.choice([1, 1, 0]), image.dtype)
    if axis is None:
        return Change(region, values, as_written=rng.random() < 0.3)
    tail = image[tuple(slice(-values.shape[i], None) if i == axis else slice(None) for i in range(image.ndim))]
    return Change(region, values, names[axis], rng.random() < 0.5 or np.array_equal(tail, values))


def random_span(rng: Random, n: int) -> tuple[int, int]:
    start = rng.randrange(n)
    return start, rng.randint(start + 1, n)


@dataclass
class Stored:
    """A store with an image, and what it has to hold.

    Attributes
    ----------
    case : Case
    store : MemoryStore
    image : array
        Level 0.
    consolidated : bool
        Whether its metadata are.
    others : list of array
        What level 0 may hold instead, voxel by voxel: what was given up may have been written.
    is_padded : bool
        Whether an append was given up: what lies beyond the end, in the last chunks or in others, is nobody's.
    log : list of str
        What was called, for whoever reads of a failure.
    """

    case: Case
    store: MemoryStore
    image: Array
    consolidated: bool
    others: list[Array] = field(default_factory=list)
    is_padded: bool = False
    log: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        return [axis.name for axis in self.case.image.axes]

    @property
    def noted(self) -> Any:
        """What the image says of a change that is not completed; None for a whole one."""
        return change_in(attributes_of(self.store))

    @property
    def state(self) -> tuple[Any, Any]:
        """The attributes, and the current run."""
        current = self.store._store_dict.get(f"{JOURNAL}/{CURRENT}")
        return attributes_of(self.store), current and current.to_bytes()

    @property
    def views(self) -> tuple[Any, Any]:
        """What readers take for the image: by its documents, and by consolidated metadata."""
        return shown(self.store), shown(self.store, None) if self.consolidated else None

    def prepare(self, store: MemoryStore) -> None:
        """Give a new image what ours has: an attribute of another program, and consolidated metadata."""
        zarr.open_group(store, mode="r+").attrs.update(MINE)
        if self.consolidated:
            consolidate(store)

    def whole(self) -> MemoryStore:
        """Return a store with the image written anew, in the chunks and by the factors that are stored."""
        levels = read_pyramid(self.store).levels
        stored: Any = [{"chunks": level.layout.chunks, "shards": level.layout.shards} for level in levels]
        factors: Any = [dict(zip(self.names, map(int, level.factors), strict=True)) for level in levels[1:]]
        store = written(replace(self.case, scale_factors=factors, storage_options=stored), self.image)
        self.prepare(store)
        return store

    def write_before(self, change: Change) -> None:
        """Write level 0 as another program, of which an update is only told."""
        zarr.open_array(self.store, path="s0", mode="r+")[slices(change.region)] = change.values
        self.image, self.others = change.of(self.image), [change.of(one) for one in self.others]

    def give_up(self, change: Change) -> None:
        """Take into account that a change may have been written, in part."""
        if not self.has(change):
            self.others.append(change.of(self.image)[tuple(map(slice, self.image.shape))])
            self.is_padded |= change.axis is not None

    def has(self, change: Change) -> bool:
        """Whether readers see that an append is done."""
        stops = tuple(stop for _, stop in change.region)
        return change.axis is not None and self.noted is None and self.image.shape == stops

    def check(self, change: Change) -> None:
        """Check that a change has ended in what the image written anew would be."""
        self.check_shown(change)
        ours, theirs = digest(self.store), digest(self.whole())
        if self.is_padded:
            ours, theirs = ({k: v for k, v in each.items() if not isinstance(v, bytes)} for each in (ours, theirs))
        assert ours == theirs, sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))

    def check_shown(self, change: Change) -> None:
        """Check that readers see the image after a change, and take it for what it has to be from now on."""
        level_0 = np.asarray(zarr.open_array(self.store, path="s0", mode="r")[...])
        assert level_0.shape == change.of(self.image).shape
        may_be = [change.of(one) == level_0 for one in (self.image, *self.others)]
        assert may_be[0][slices(change.region)].all()
        assert np.any(may_be, axis=0).all(), "level 0 holds what nobody wrote"
        self.image, self.others = level_0, []
        assert shown(self.store) == shown(self.whole()), "levels do not follow from level 0"


def attributes_of(store: Any) -> dict[str, Any]:
    return zarr.open_group(store, mode="r", use_consolidated=False).attrs.asdict()


def shown(store: MemoryStore, consolidated: bool | None = False) -> Any:
    """Return what a reader takes for the image, attributes and pixels of all levels; None where there is none."""
    group = zarr.open_group(store, mode="r", use_consolidated=consolidated)
    multiscales = ome_of(group.attrs.asdict()).get("multiscales")
    if not multiscales:
        return None
    levels: Any = [group[dataset["path"]] for dataset in multiscales[0]["datasets"]]
    return repr(multiscales), *(np.asarray(level[...]).tobytes() for level in levels)


def unclaimed(store: MemoryStore) -> dict[str, Any]:
    """Return the objects of a store, but for a journal: a refusal may have ended one."""
    return {key: value for key, value in digest(store).items() if JOURNAL not in key}


ENDED, KILLED = "ended", "killed"
"""How a call comes out; or why it is refused."""


@dataclass
class Story:
    """Calls, one after the other, that change a stored image.

    Attributes
    ----------
    rng : random.Random
    stored : Stored
    change : Change
        The one that is to be made now.
    found : tuple
        The state of the store when it was called first.
    is_second : bool
        Whether it was called with ``overwrite=True``, where another was given up.
    """

    rng: Random
    stored: Stored
    change: Change
    found: Any = None
    is_second: bool = False

    def begin(self) -> str:
        """Call the change for the first time."""
        if self.change.as_written:
            self.stored.write_before(self.change)
        self.found = self.stored.state
        return self.call(**({"overwrite": True} if self.is_second else {}))

    def call(self, **options: Any) -> str:
        """Call the change, and kill it at one of its changes, likely at its beginning or its end; or do not."""
        n = changes_in(self.change, self.stored.store, options)
        spans = [(0, n), (0, min(n, 8)), (max(n - 8, 0), n)] if n else []
        ends = [self.rng.randrange(*span) for span in spans]
        return called(self.stored, self.change, self.rng.choice([NEVER, *ends]), self.rng.choice(FAILS), **options)

    def resume(self) -> str:
        """Go on: refused only where the call had not done anything but to end the run that it found."""
        state, outcome = self.stored.state, self.call(resume=True)
        if outcome in (ENDED, KILLED):
            return outcome
        assert self.is_second, outcome
        assert state in (self.found, (self.found[0], None)), outcome
        return self.call(overwrite=True)

    def overwrite(self) -> str:
        """Begin anew: refused only where all has been done."""
        if not self.stored.has(self.change):
            return self.call(overwrite=True)
        if self.change.starts:
            assert "the image ends at" in called(self.stored, self.change, overwrite=True)
        return KILLED

    def again(self) -> str:
        """Call it as if nothing had happened: refused where the image says that something has, or all has been done."""
        is_done = self.stored.has(self.change)
        if is_done and not self.change.starts:
            return KILLED  # It would be appended twice.
        why = "the image ends at" if is_done else "was not completed" if self.stored.noted else None
        outcome = self.call()
        assert (outcome in (ENDED, KILLED)) if why is None else why in outcome, outcome
        return outcome if why is None else KILLED

    def another(self) -> str:
        """Give the change up for another."""
        if self.may_be_forgotten:
            return KILLED
        self.stored.give_up(self.change)
        self.change, self.is_second = random_change(self.rng, self.stored.image, self.stored.names), True
        return self.begin()

    def mistake(self) -> str:
        """Go on with another one: refused, unless nothing has begun."""
        other = replace(random_change(self.rng, self.stored.image, self.stored.names), as_written=False, starts=True)
        if other.region == self.change.region or self.change.as_written:
            return KILLED
        is_whole = self.stored.noted is None
        self.stored.is_padded |= is_whole and self.change.axis is not None
        outcome = called(self.stored, other, resume=True)
        assert outcome != ENDED or is_whole, "it takes another's for its own"
        self.change = other if outcome == ENDED else self.change
        return ENDED if outcome == ENDED else KILLED

    @property
    def may_be_forgotten(self) -> bool:
        """Whether level 0 has been written by another program, and the image does not say so."""
        noted = self.stored.noted
        spans = zip(noted["region"], self.change.region, strict=True) if noted else ()
        is_noted = noted is not None and all(a <= c and d <= b for (a, b), (c, d) in spans)
        return self.change.as_written and not is_noted


WAYS = (Story.resume, Story.resume, Story.overwrite, Story.again, Story.another, Story.mistake)
NEVER = float("inf")
FAILS = ("dies", "dies", "once")


def changes_in(change: Change, store: MemoryStore, options: Any) -> int:
    """Return how many objects a call changes; 0 if it is refused."""
    watched = Mortal(copied(store))
    with suppress(*REFUSALS):
        change(watched, **options)
        return watched.changes
    return 0


def called(stored: Stored, change: Change, at: float = NEVER, fails: str = "dies", **options: Any) -> str:
    """Call a change that is killed, or whose store fails once; check what is there then."""
    before, views, store = unclaimed(stored.store), stored.views, Mortal(stored.store, at, fails)
    outcome = outcome_of(change, store, options)
    stored.log.append(f"{change.axis or 'update'} {change.region} {options} {fails} at {at}: {outcome}")
    stored.store = copied(stored.store)
    if outcome not in (ENDED, KILLED):
        assert unclaimed(stored.store) == before, outcome
    if store.changes > at:  # What hinders the end of a journal is only logged.
        check_views(stored, change, *views)
        return KILLED
    if outcome == ENDED:
        stored.check(change)
    return outcome


def outcome_of(change: Change, store: Mortal, options: Any) -> str:
    try:
        change(store, **options)
    except (Death, daskome.WriteError):
        assert store.changes > store.state["at"]
        return KILLED
    except REFUSALS as error:
        return str(error)
    return ENDED


def check_views(stored: Stored, change: Change, before: Any, consolidated: Any) -> None:
    """Check that readers see an image as it was, or as it is to be, or none."""
    now, by_copies = stored.views
    if now and now != before:
        stored.check_shown(change)
    assert by_copies is None or now is not None, "consolidated metadata show an image that changes"
    assert by_copies in (None, now, consolidated), "consolidated metadata show a mixture"


def check_changes(seed: int, log: Callable[[Stored], None] = lambda stored: None) -> None:
    """Make changes of an image, each however often it is killed, given up and begun again, until one has ended."""
    rng = Random(seed)
    with as_if_large(rng.random() < 0.5), calm():
        stored = random_stored(rng)
        log(stored)
        for _ in range(rng.randint(1, 4)):
            story = Story(rng, stored, random_change(rng, stored.image, stored.names))
            outcome, tries = story.begin(), iter(range(3))
            while outcome == KILLED:
                outcome = rng.choice(WAYS)(story) if next(tries, None) is not None else finished(story)
            assert outcome == ENDED, outcome


def finished(story: Story) -> str:
    """Go on with a change, undisturbed."""
    stored, change = story.stored, story.change
    outcome = called(stored, change, resume=True)
    return outcome if outcome == ENDED else called(stored, change, overwrite=True)


def random_stored(rng: Random) -> Stored:
    """Return a stored image; where there is no room for its factors, another."""
    case = random_case(rng)
    image = random_image(case.image.shape, case.image.dtype, rng.randrange(99))
    try:
        stored = Stored(case, written(case, image), image, rng.random() < 0.3)
    except ValueError:
        return random_stored(rng)
    stored.prepare(stored.store)
    return stored


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_consolidated_metadata_outlive_a_kill_at_an_end_and_one_at_a_beginning(fmt: str) -> None:
    first = MemoryStore()
    with as_if_large(False), calm():
        an_image(first, fmt=fmt, consolidated=True)
        whole = updated_until(first, NEVER)
        stores = (updated_until(first, at) for at in count())
        published = next(store for store in stores if shown(store) == shown(whole))
        for at in range(10):
            store = updated_until(published, at, overwrite=True)
            assert digest(updated_until(store, NEVER, resume=True)) == digest(whole)


@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_consolidated_metadata_outlive_a_kill_before_levels_are_added(fmt: str) -> None:
    first = MemoryStore()
    with as_if_large(False), calm():
        an_image(first, fmt=fmt, factors=(), consolidated=True)
        whole = updated_until(first, NEVER)
        for at in count():
            store = updated_until(first, at)
            if digest(store) == digest(whole):
                break
            if shown(store) == shown(whole):
                daskome.add_levels(store, [2])
                assert is_consolidated(StorePath(store))


def updated_until(store: MemoryStore, at: float, **options: Any) -> MemoryStore:
    """Return a store after an update that was killed at its n-th change."""
    made = copied(store)
    with suppress(Death):
        updated(Mortal(made, at), **options)
    return made


@pytest.mark.parametrize("seed", [0, 1, 2, 4, 127, 174])
def test_changes_that_are_killed_and_go_on_or_are_given_up(seed: int) -> None:
    check_changes(seed)


@pytest.mark.extended
@pytest.mark.parametrize("seed", range(100, 160))
def test_any_changes_that_are_killed_and_go_on_or_are_given_up(seed: int) -> None:
    check_changes(seed)
