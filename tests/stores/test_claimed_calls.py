"""Every call that writes does so under a claim; and while a hierarchy is converted, nobody else writes in it."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.stores.ownership import claims, taking
from daskome.stores.ownership.claims import CLAIMS, UPGRADE, WHOLE_RUN
from daskome.stores.ownership.owner import this_process
from daskome.stores.ownership.taking import end, take
from daskome.upgrade import tree
from tests.conftest import plan_as_if_large
from tests.kills import CELLS, IMAGE, OPERATIONS, PLANE, a_plate, an_image, calm, digest, labelled
from tests.written import contents

Call = Callable[[Any], Any]
SCALE = [{"type": "scale", "scale": [1, 1]}]


def later(store: Any) -> None:
    dask.compute(daskome.write_image(PLANE, store, [2], compute=False, **IMAGE))


def begin(store: Any) -> None:
    daskome.write_image(PLANE, store, [2], compute="init", **IMAGE)


OTHERS: dict[str, tuple[Callable[[MemoryStore], None], Call]] = {
    "write_multiscales_metadata": (
        an_image,
        lambda s: daskome.write_multiscales_metadata(
            s, [{"path": "s0", "coordinateTransformations": SCALE}], axes="yx"
        ),
    ),
    "write_label_metadata": (labelled, lambda s: daskome.write_label_metadata(s, "cells", properties={1: {"area": 3}})),
    "write_plate_metadata": (a_plate, lambda s: daskome.write_plate_metadata(s, ["A"], ["1"], ["A/1"])),
    "write_well_metadata": (a_plate, lambda s: daskome.write_well_metadata(StorePath(s, "A/1"), ["0"])),
    "write_image later": (lambda s: None, later),
    "run_part": (lambda s: begin(s), lambda s: daskome.run_part(s, PLANE)),
    "write_multiscale_labels": (
        lambda s: an_image(s, factors=(2,)),
        lambda s: daskome.write_multiscale_labels([CELLS, CELLS[::2, ::2]], s, "cells", axes="yx"),
    ),
}
CALLS: dict[str, tuple[Callable[[MemoryStore], None], Call]] = OTHERS | {
    name: (each.before, lambda s, each=each: each.call(s, **each.first))  # type: ignore[misc]
    for name, each in OPERATIONS.items()
}
BY_OPERATION = {
    "add_levels": "levels", "append": "append y", "convert_metadata": "upgrade 0.4 to 0.5", "finish": "finish",
    "remove": "remove an image", "transcode": "transcode", "unpack": "unpack", "update": "update",
    "write_image": "image", "write_labels": "labels", "write_multiscale": "multiscale", "write_plate": "plate",
    "write_series": "a collection",
}  # fmt: skip
"""Which row of the table is that of a public call."""
CHANGE_NO_STORE = {
    "METHODS", "Channel", "Plan", "Problem", "Volume", "WriteError", "batch_script", "label_values", "manifest", "open",
    "plan_image", "preview", "read", "status", "try_codecs", "validate", "verify", "view",
}  # fmt: skip
WHOLE_FILES = {"pack"}
"""What appears under its name when all of it is there, and replaces what was there as a whole."""


class Watched(WrapperStore[Any]):
    """A store that notes what is changed while nobody has a claim there."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.unclaimed: list[str] = []

    def _with_store(self, store: Any) -> "Watched":
        made = Watched(store)
        made.unclaimed = self.unclaimed
        return made

    def _look(self, key: str) -> None:
        inner = self._store
        if CLAIMS not in key and not any(CLAIMS in each for each in inner._store_dict):
            self.unclaimed.append(key)

    async def set(self, key: str, value: Any) -> None:
        self._look(key)
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        self._look(key)
        await super().set_if_not_exists(key, value)

    async def delete(self, key: str) -> None:
        if await self.exists(key):
            self._look(key)
        await super().delete(key)


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    plan_as_if_large(monkeypatch)
    with dask.config.set(scheduler="sync"), calm():
        yield


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_changed_without_a_claim_and_none_is_left(name: str) -> None:
    before, call = CALLS[name]
    store = MemoryStore()
    before(store)
    watched = Watched(store)
    call(watched)
    assert watched.unclaimed == []
    assert not [key for key in store._store_dict if CLAIMS in key]


def test_the_table_has_every_public_call() -> None:
    assert {*BY_OPERATION, *OTHERS, *CHANGE_NO_STORE, *WHOLE_FILES} - {"write_image later"} == set(daskome._HOMES)
    assert set(BY_OPERATION.values()) <= set(OPERATIONS)


# ---- one converts, another writes


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody believes what a store has said, nor waits until another has noticed."""
    monkeypatch.setattr(claims, "LEASE", 0)
    for name in ("LEASE", "LANDING", "FAR_LANDING", "WATCHED"):
        monkeypatch.setattr(taking, name, 0)


def elsewhere(home: StorePath, slot: str) -> claims.Claim:
    """Return the claim of a process on another machine, which was seen just now."""
    return take(home, slot, replace(this_process(True, True), machine="elsewhere", host="node7"), False)


@pytest.mark.sampled(8)
@pytest.mark.parametrize("name", CALLS)
def test_while_a_hierarchy_is_converted_nobody_writes_in_it(name: str) -> None:
    before, call = CALLS[name]
    store = MemoryStore()
    before(store)
    claim = elsewhere(StorePath(store), UPGRADE)
    there = dict(store._store_dict)
    with pytest.raises(FileExistsError, match=r"is being converted to another version by process \d+ on node7"):
        call(store)
    assert store._store_dict == there
    claim.check()


def by_path(target: Path, call: str) -> None:
    """Write in a hierarchy by the path of a part of it, around which a store shows nothing."""
    if call == "labels":
        daskome.write_image(CELLS, target / "labels" / "cells", None, overwrite=True, **IMAGE)
    elif call == "new":
        daskome.write_image(CELLS, target / "B" / "1" / "0", None, **IMAGE)
    else:
        daskome.remove(target / "labels" / "cells")


@pytest.mark.parametrize("call", ["labels", "new", "remove"])
def test_nor_by_the_path_of_a_part_of_it(tmp_path: Path, call: str) -> None:
    daskome.write_image(PLANE, tmp_path / "a", [2], labels={"cells": CELLS}, **IMAGE)
    before = contents(tmp_path / "a")
    claim = elsewhere(StorePath(LocalStore(tmp_path / "a")), UPGRADE)
    with pytest.raises(FileExistsError, match="is being converted to another version"):
        by_path(tmp_path / "a", call)
    end(claim)
    assert contents(tmp_path / "a") == before


WRITERS = [(labelled, "0.6", home) for home in ("", "labels/cells", "labels/new", "new/labels/cells")]
WRITERS += [(a_plate, "0.6", home) for home in ("", "A/1/0", "A/2/0", "B/2/0", "A/1/0/labels/cells")]
WRITERS += [(partial(a_plate, fmt="0.4"), "0.5", home) for home in ("A/1/0", "B/2/0")]


@pytest.mark.parametrize(("before", "version", "home"), WRITERS)
@pytest.mark.usefixtures("at_once")
def test_while_somebody_writes_in_a_hierarchy_it_is_not_converted(before: Any, version: str, home: str) -> None:
    """Not even if there is no group yet where it is written."""
    store = MemoryStore()
    before(store)
    writer = elsewhere(StorePath(store, home), WHOLE_RUN)
    there = dict(store._store_dict)
    with pytest.raises(FileExistsError, match=r"is being written by process \d+ on node7.*take_over=True"):
        daskome.convert_metadata(store, version)
    assert store._store_dict == there
    assert daskome.convert_metadata(store, version, take_over=True)
    with pytest.raises(claims.OwnershipLost):
        writer.check()
    assert not [key for key in store._store_dict if CLAIMS in key]


@pytest.mark.usefixtures("at_once")
def test_a_run_is_not_taken_over_in_vain() -> None:
    store = MemoryStore()
    begin(store)
    writer = elsewhere(StorePath(store), WHOLE_RUN)
    with pytest.raises(ValueError, match="is unfinished: finish writing it"):
        daskome.convert_metadata(store, "0.6", take_over=True)
    writer.check()


@pytest.mark.usefixtures("at_once")
def test_a_write_that_takes_over_ends_the_upgrade_around_it() -> None:
    store = MemoryStore()
    labelled(store)
    upgrade = elsewhere(StorePath(store), UPGRADE)
    daskome.write_labels(CELLS, store, "more", take_over=True, **IMAGE)
    with pytest.raises(claims.OwnershipLost):
        upgrade.check()
    assert [problem for problem in daskome.validate(store) if not problem.warning] == []


@pytest.mark.usefixtures("at_once")
def test_an_upgrade_whose_claim_cannot_be_deleted_goes_on_alone() -> None:
    class Kept(WrapperStore[MemoryStore]):
        async def delete(self, key: str) -> None:
            if key.startswith(CLAIMS):
                raise PermissionError(key)
            await super().delete(key)

    store = MemoryStore()
    labelled(store)
    upgrade = elsewhere(StorePath(store), UPGRADE)
    there = dict(store._store_dict)
    with pytest.raises(PermissionError, match=r"is owned by process \d+ on node7.*cannot be deleted"):
        daskome.write_labels(CELLS, Kept(store), "more", take_over=True, **IMAGE)
    upgrade.check()
    assert store._store_dict == there


class TakenOver(WrapperStore[MemoryStore]):
    """A store in which another process takes over before the n-th document is written."""

    def __init__(self, store: MemoryStore, left: int) -> None:
        super().__init__(store)
        self.left = left

    async def set(self, key: str, value: Any) -> None:
        await super().set(key, value)
        self.left -= CLAIMS not in key
        if self.left == 0:
            for claim in [key for key in self._store._store_dict if CLAIMS in key]:
                del self._store._store_dict[claim]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_an_upgrade_that_was_taken_over_writes_nothing_more(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(tree, "REQUESTS_AT_ONCE", 1)
    store = MemoryStore()
    a_plate(store, fmt="0.4")
    there = dict(store._store_dict)
    with pytest.raises(daskome.WriteError, match="writes nothing more"):
        daskome.convert_metadata(TakenOver(store, n), "0.5")
    assert len(store._store_dict) == len(there) + n
    assert daskome.convert_metadata(store, "0.5")
    assert [problem for problem in daskome.validate(store) if not problem.warning] == []


class ReadByOneThatSlept(WrapperStore[MemoryStore]):
    """A store in which another process takes over, and has done half of its work, when the first has its claim and begins to read."""

    async def get(self, key: str, *args: Any, **options: Any) -> Any:
        there = self._store._store_dict
        claim = next((name for name in there if CLAIMS in name), None)
        if key.endswith(".zattrs") and claim is not None:
            there[".zattrs"] = default_buffer_prototype().buffer.from_bytes(b"{")
            del there[claim]
        return await super().get(key, *args, **options)


@pytest.mark.usefixtures("at_once")
def test_what_an_upgrade_reads_that_was_taken_over_is_not_called_wrong() -> None:
    store = MemoryStore()
    a_plate(store, fmt="0.4")
    with pytest.raises(daskome.WriteError, match="writes nothing more"):
        daskome.convert_metadata(ReadByOneThatSlept(store), "0.5")


def test_of_upgrades_at_once_one_goes_on_and_the_others_are_told() -> None:
    store, undisturbed = MemoryStore(), MemoryStore()
    for each in (store, undisturbed):
        a_plate(each, fmt="0.4", wells=("A/1", "B/1"))
    daskome.convert_metadata(undisturbed, "0.5")
    start, said = threading.Barrier(4), list[str]()

    def upgrade() -> None:
        start.wait()
        try:
            said.append(daskome.convert_metadata(store, "0.5")[-1])
        except FileExistsError as error:
            said.append(str(error))

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 4
    assert sum("documents of zarr v3" in one for one in said) == 1
    assert digest(store) == digest(undisturbed)


@pytest.mark.parametrize("over", ["begun", "created"])
def test_a_graph_whose_run_is_over_leaves_no_claim(over: str) -> None:
    """Whether another has finished what it was to go on with, or has written where it was to begin."""
    store = MemoryStore()
    if over == "begun":
        begin(store)
    graph = daskome.write_image(PLANE, store, [2], compute=False, resume=over == "begun", **IMAGE)
    daskome.write_image(PLANE, store, [2], resume=over == "begun", **IMAGE)
    with pytest.raises((daskome.WriteError, FileExistsError)):
        dask.compute(graph)
    assert not [key for key in store._store_dict if CLAIMS in key]
