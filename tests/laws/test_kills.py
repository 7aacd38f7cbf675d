"""A kill at any change of any object, and a disk that fails there: what was there is whole, or says that it is not.

Every operation that writes (`tests.kills.OPERATIONS`) is killed at its n-th change. Then readers see an image as it was
or as it is to be, and never a mixture; attributes of other programs are there; what is no image any more says that it
is unfinished. Each way of going on is accepted, and ends in the bytes of a run that nothing disturbed.
"""

import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dask
import numpy as np
import pytest
from zarr.storage import MemoryStore

import daskome
from daskome.model.paths import parents_of
from daskome.model.problem import REFUSALS
from daskome.stores.groups import UNFINISHED_KEY
from daskome.stores.journal import JOURNAL
from daskome.stores.ownership.claims import CLAIMS
from daskome.stores.targets.create import TRIAL
from daskome.upgrade import tree
from tests import kills
from tests.conftest import plan_as_if_large
from tests.kills import OPERATIONS, Death, Mortal, attributes, calm, copied, digest, in_folder, in_memory, seen

READERS: list[dict[str, Any]] = [
    {},
    {"zarr_format": 2},
    {"zarr_format": 3},
    {"zarr_format": 2, "consolidated": None},
    {"zarr_format": 3, "consolidated": None},
]
FAILS = ("dies", "once", "for ever")
operations = pytest.mark.parametrize("name", OPERATIONS)


class Undisturbed(NamedTuple):
    """An operation as it is without a kill: what was there, what is there then, and how many changes lie between."""

    first: MemoryStore
    whole: MemoryStore
    changes: int


@pytest.fixture(autouse=True)
def _one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Units and documents in one order, so that the n-th change is the same in every run."""
    monkeypatch.setattr(tree, "REQUESTS_AT_ONCE", 1)
    plan_as_if_large(monkeypatch)
    with dask.config.set(scheduler="sync"), calm():
        yield


@cache
def undisturbed(name: str) -> Undisturbed:
    operation, first = OPERATIONS[name], MemoryStore()
    operation.before(first)
    store = Mortal(copied(first))
    operation.call(store, **operation.first)
    return Undisturbed(first, store._store, store.changes)


def kill(name: str, store: Any, at: int, fails: str, way: Mapping[str, Any] | None = None) -> None:
    """Run an operation until it is killed; an error that looks like a refusal is one."""
    options, kept = (OPERATIONS[name].first, unclaimed) if way is None else (way, lasting)
    before = kept(store)
    try:
        OPERATIONS[name].call(Mortal(store, at, fails), **options)
    except (Death, daskome.WriteError):
        pass
    except REFUSALS:
        assert kept(store) == before, "an error that says that nothing was written"


def unclaimed(store: Any) -> dict[str, Any]:
    """Return the objects of a store, but for what may be left where nothing can be deleted: it counts for nothing.

    A claim of the dead goes, whoever comes next.
    """
    return {key: value for key, value in digest(store).items() if not key.endswith(TRIAL) and CLAIMS not in key}


def lasting(store: Any) -> dict[str, Any]:
    """Return the same without journals: what begins anew ends the run that was there first, which may then fail."""
    return {key: value for key, value in unclaimed(store).items() if JOURNAL not in key.split("/")}


@cache
def views(name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return what each of the readers sees before an operation, and after."""
    first, whole, _ = undisturbed(name)
    return [(seen(first, **reader), seen(whole, **reader)) for reader in READERS]


def check_readers(name: str, store: MemoryStore) -> None:
    """Check that any reader finds each image as it was or as it is to be, or that it is said to be unfinished."""
    first = undisturbed(name).first
    for reader, (old, new) in zip(READERS, views(name), strict=True):
        now = seen(store, **reader)
        mixed = [path for path, image in now.items() if image not in (old.get(path), new.get(path))]
        assert not mixed, f"{reader} sees a mixture"
    before, after, images = attributes(first), attributes(store), seen(store)
    stay = [path for path in before if not is_removed(name, path)]
    assert [path for path in stay if "mine" in before[path] and "mine" not in after.get(path, {})] == []
    gone = [path for path in seen(first) if path not in images]
    assert [path for path in gone if path in stay and UNFINISHED_KEY not in after[path]] == []
    assert [path for path in gone if path not in stay and not is_said_to_go(store, after, path)] == []


def is_removed(name: str, path: str) -> bool:
    """Whether an operation removes a group."""
    removes = OPERATIONS[name].removes
    return removes is not None and f"{path}/".startswith(f"{removes}/" if removes else "")


def is_said_to_go(store: MemoryStore, after: dict[str, Any], path: str) -> bool:
    """Whether a group that was an image is marked, or one around it is; or nothing but claims and a mark is left."""
    marked = any(UNFINISHED_KEY in after.get(each, {}) for each in (path, *parents_of(path)))
    prefix = f"{path}/" if path else ""
    left = {key for key in store._store_dict if key.startswith(prefix) and JOURNAL not in key}
    return marked or left <= {f"{prefix}.zattrs"}


def check_goes_on(name: str, store: MemoryStore, place: Any) -> None:
    """Check that each way of going on is accepted, and ends in the same bytes."""
    whole = undisturbed(name).whole
    for way, options in OPERATIONS[name].ways.items():
        target = place(store)
        refusal = refused(name, target, options)
        if refusal:
            assert unclaimed(target) == unclaimed(store), f"{way} is refused, and changes something"
            assert may_refuse(name, way, store, refusal), f"{way} is refused: {refusal}"
        else:
            assert digest(target) == digest(whole), f"{way} ends in other bytes"


def refused(name: str, store: Any, options: Any) -> str | None:
    """Go on with an operation; return why it is refused, None if it is not."""
    try:
        OPERATIONS[name].call(store, **options)
    except (*REFUSALS, daskome.WriteError) as error:
        return str(error) or repr(error)
    return None


def may_refuse(name: str, way: str, store: MemoryStore, refusal: str) -> bool:
    """Whether nothing has been replaced yet, so that there is another image; or all has been done, which is said."""
    operation, (first, whole, _) = OPERATIONS[name], undisturbed(name)
    another = bool(operation.first) and way == "resume" and attributes(store) == attributes(first)
    return another or (operation.ends in refusal and seen(store) == seen(whole))


def check(name: str, at: int, fails: str) -> None:
    store = copied(undisturbed(name).first)
    kill(name, store, at, fails)
    check_readers(name, store)
    check_goes_on(name, store, copied)


@pytest.mark.sampled(3)
@operations
def test_killed_at_one_change(name: str) -> None:
    """Which one, goes through all parts of what operations do: their beginnings, units and ends."""
    check(name, at=undisturbed(name).changes * (list(OPERATIONS).index(name) % 8) // 8, fails="dies")


@pytest.mark.extended
@operations
def test_killed_at_every_change(name: str) -> None:
    """States that differ in nothing but the id of a run and times are gone on with once."""
    states: list[dict[str, Any]] = []
    for fails in FAILS:
        for at in range(undisturbed(name).changes):
            store = copied(undisturbed(name).first)
            kill(name, store, at, fails)
            state = without_ids(store)
            if state not in states:
                states.append(state)
                check_readers(name, store)
                check_goes_on(name, store, copied)


def without_ids(store: MemoryStore) -> dict[str, Any]:
    """Return the objects of a store, those of a journal only by what they are."""
    each = ((key.split("/"), value) for key, value in digest(store).items())
    return {
        "/".join("id" if len(name) > 40 else name for name in names): None if JOURNAL in names else value
        for names, value in each
    }


def kill_again(name: str, draw: random.Random) -> None:
    """Kill an operation, then what goes on, and so on, each at another change, by any of the ways."""
    store, way = copied(undisturbed(name).first), None
    for _ in range(draw.randint(2, 4)):
        kill(name, store, draw.randrange(undisturbed(name).changes + 4), draw.choice(FAILS), way)
        check_readers(name, store)
        way = draw.choice(list(OPERATIONS[name].ways.values()))
    for key in [key for key in store._store_dict if key.endswith(TRIAL)]:
        store._store_dict.pop(key)
    check_goes_on(name, store, copied)


@pytest.mark.sampled(8)
@operations
def test_what_goes_on_is_killed_too(name: str) -> None:
    kill_again(name, random.Random(name))


@pytest.mark.extended
@operations
def test_what_goes_on_is_killed_again_and_again(name: str) -> None:
    draw = random.Random(f"{name}, again")
    for _ in range(4):
        kill_again(name, draw)


@pytest.mark.extended
@pytest.mark.parametrize("way", ["resume", "overwrite"])
def test_a_second_append_is_killed_at_every_change(way: str) -> None:
    """The first had marked the image; where the second had published it, nothing told any more where both began."""
    name = "append y 0.4, consolidated"
    for at in range(undisturbed(name).changes + 8):
        store = copied(undisturbed(name).first)
        kill(name, store, 16, "dies")
        kill(name, store, at, "dies", OPERATIONS[name].ways[way])
        check_goes_on(name, store, copied)


IN_FOLDERS = [
    *["image with labels 0.4", "plate", "levels with labels", "overwrite 0.4 with 0.5, consolidated", "labels"],
    *["remove an image 0.4", "remove labels, consolidated", "remove a well", "remove the last labels"],
    *["overwrite in a collection", "remove an image of a collection"],
]


@pytest.mark.extended
@pytest.mark.parametrize("name", IN_FOLDERS)
def test_killed_at_every_change_of_a_folder(name: str, tmp_path: Path) -> None:
    """Folders have more: files of which half is written, and folders without a document in them."""
    for at in range(undisturbed(name).changes):
        check_in_folder(name, at, tmp_path / str(at))


@pytest.mark.parametrize(("name", "at"), [("image with labels 0.4", 1), ("levels with labels", 2)])
def test_killed_in_a_folder(name: str, at: int, tmp_path: Path) -> None:
    check_in_folder(name, at, tmp_path)


def check_in_folder(name: str, at: int, folder: Path) -> None:
    folders = (folder / str(k) for k in range(9))
    store = in_folder(undisturbed(name).first, next(folders))
    kill(name, store, at, "dies")
    check_readers(name, in_memory(store))
    halves = [str(path.relative_to(store.root)) for path in store.root.rglob("*.partial")]

    def place(memory: MemoryStore) -> Any:
        made = in_folder(memory, next(folders))
        for half in halves:
            kills.write_half(made.root / half)
        return made

    check_goes_on(name, in_memory(store), place)


WORDS = ["--axes", "yx", "--name", "image", "--chunks", "8", "--scale-factors", "2", "--quiet"]


@pytest.mark.extended
@pytest.mark.parametrize("at", [0, 4, 9, 14, 19])
def test_a_process_that_ends_at_a_change_and_the_command_that_goes_on(at: int, tmp_path: Path) -> None:
    """For real: the process is gone in the middle, and another one, of the command, goes on; then nothing is left."""
    first, whole, changes = undisturbed("overwrite")
    target, source = in_folder(first, tmp_path / "a"), tmp_path / "in.npy"
    np.save(source, kills.PLANE)
    child = f"from tests.kills import exit_at; exit_at('overwrite', {str(target.root)!r}, {at})"
    assert subprocess.run([sys.executable, "-c", child]).returncode == (9 if at < changes else 0)
    check_readers("overwrite", in_memory(target))
    command = [sys.executable, "-m", "daskome", "write", str(source), str(target.root), *WORDS]
    for option in ("--overwrite", "--resume"):
        before = digest(target)
        assert subprocess.run([*command, option]).returncode == 0
    assert digest(target) == before
    assert seen(in_memory(target)) == seen(whole)


@pytest.mark.parametrize("name", ["image with labels", "plate", "levels with labels", "upgrade a plate"])
def test_where_nothing_is_left_to_do_nothing_changes(name: str) -> None:
    """The same words again, as after a kill: on what is finished, and on what was never begun."""
    operation, (first, whole, _) = OPERATIONS[name], undisturbed(name)
    way = next(iter(operation.ways.values()))
    for start in (first, whole):
        store = Mortal(copied(start))
        operation.call(store, **way)
        assert digest(store._store) == digest(whole)
    assert store.changes == 0


def test_a_store_that_refuses_deletes_keeps_the_old_image() -> None:
    class Refusing(Mortal):
        async def delete(self, key: str) -> None:
            raise PermissionError(f"{key} may not be deleted")

        delete_dir = delete

    store = copied(undisturbed("overwrite").first)
    before = seen(store)
    with pytest.raises(PermissionError, match="may not be deleted"):
        kills.image(Refusing(store), overwrite=True)
    assert seen(store) == before


def test_the_harness_sees_what_it_is_for() -> None:
    """A mixture, a lost attribute, and an image that is gone without a word."""
    first = undisturbed("overwrite").first
    for key, harm in {"s1/zarr.json": b"", "zarr.json": b'{"zarr_format": 3, "node_type": "group"}'}.items():
        store = copied(first)
        store._store_dict.pop(key)
        if harm:
            store._store_dict[key] = type(first._store_dict[key]).from_bytes(harm)
        with pytest.raises(AssertionError):
            check_readers("overwrite", store)
