"""Who may write: one at a time, whoever asks; who is it no longer writes nothing, wherever it was stopped."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath

import daskome
from daskome.stores.documents import list_names, read_text, write_text
from daskome.stores.objects.complete import CompleteStore
from daskome.stores.opened.pages import delete_keys
from daskome.stores.ownership import claims, owner as owners, taking
from daskome.stores.ownership.claims import CLAIMS, UPGRADE, WHOLE_RUN, Claim, OwnershipLost, fetch_owner
from daskome.stores.ownership.owned_store import JOURNAL_FOLDER, delete_partial_documents, owned
from daskome.stores.ownership.owner import DEAD_AFTER, Owner, mark_of_this_process, this_process
from daskome.stores.ownership.taking import claimed, end, owning_place, take
from daskome.stores.remembered import Remembered
from tests.cuboid import OPTIONS, VALUES
from tests.strategies import law

DATA = default_buffer_prototype().buffer.from_bytes(b"voxels")


@pytest.fixture(params=["folder", "memory"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> StorePath:
    return StorePath(LocalStore(tmp_path / "a") if request.param == "folder" else MemoryStore(), "image")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody believes what a store has said, nor waits until another has noticed."""
    monkeypatch.setattr(claims, "LEASE", 0)
    for name in ("LEASE", "LANDING", "FAR_LANDING", "WATCHED"):
        monkeypatch.setattr(taking, name, 0)


def hanging(home: StorePath, slot: str = WHOLE_RUN, **others: Any) -> Claim:
    """Return the claim of a process on another machine, which was seen just now."""
    return take(home, slot, replace(this_process(True, True), machine="elsewhere", host="node7", **others), False)


@pytest.mark.usefixtures("at_once")
def test_of_many_that_begin_at_once_one_at_a_time_writes(home: StorePath) -> None:
    inside, most, entered, refused = [0], [0], [0], list[str]()
    start, met = threading.Barrier(6), threading.Event()

    def write() -> None:
        start.wait()
        for _ in range(4):
            try:
                with claimed(home, WHOLE_RUN):
                    inside[0] += 1
                    most[0], entered[0] = max(most[0], inside[0]), entered[0] + 1
                    met.wait(10)
                    inside[0] -= 1
            except FileExistsError as error:
                refused.append(str(error))
                met.set()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert entered[0] + len(refused) == 24
    assert refused
    assert list_names(home / CLAIMS) == []


def test_the_second_is_told_who_the_first_is(home: StorePath) -> None:
    with (
        claimed(home, WHOLE_RUN) as first,
        pytest.raises(FileExistsError, match=rf"process {first.owner.pid} on \S+, since 2.*--take-over"),
    ):
        take(home, WHOLE_RUN, this_process(True, True), take_over=False)
    assert list_names(home / CLAIMS) == []


@pytest.mark.parametrize("slot", [WHOLE_RUN, "part-0-of-2", UPGRADE])
@pytest.mark.usefixtures("at_once")
def test_what_was_remembered_lets_nobody_in_beside_another(home: StorePath, slot: str) -> None:
    looked = StorePath(Remembered(home.store), home.path)
    sync(looked.store.look(home.path))
    with claimed(home, slot) as first:
        with pytest.raises(FileExistsError, match=f"process {first.owner.pid}"):
            take(looked, WHOLE_RUN, this_process(True, True), take_over=False)
        first.check()
        assert list_names(home / CLAIMS) == [first.name]
        with claimed(looked, WHOLE_RUN, take_over=True) as second:
            assert list_names(home / CLAIMS) == [second.name]
    assert list_names(home / CLAIMS) == []


@pytest.mark.usefixtures("at_once")
def test_who_takes_over_stays_and_who_was_the_owner_is_told(home: StorePath) -> None:
    first = hanging(home)
    first.check()
    with claimed(home, WHOLE_RUN, take_over=True) as second:
        assert second.took_over
        with pytest.raises(OwnershipLost, match="no longer, and writes nothing more"):
            first.check()
        assert first.heir() == second.owner
        second.check()
    assert list_names(home / CLAIMS) == []


@pytest.mark.usefixtures("at_once")
def test_who_wakes_late_ends_no_claim_but_its_own(home: StorePath) -> None:
    """Names come again: the third has that of the first."""
    first = hanging(home)
    with claimed(home, WHOLE_RUN, take_over=True):
        pass
    with claimed(home, WHOLE_RUN) as third:
        assert third.name == first.name
        end(first)
        third.check()
    assert list_names(home / CLAIMS) == []


def test_parts_are_owned_one_by_one_and_the_whole_by_nobody_else(home: StorePath) -> None:
    with claimed(home, "part-0-of-2"), claimed(home, "part-1-of-2"):
        for slot in ("part-0-of-2", WHOLE_RUN):
            with pytest.raises(FileExistsError, match=r"part 0 of 2"), claimed(home, slot):
                pass
    with claimed(home, WHOLE_RUN), pytest.raises(FileExistsError), claimed(home, "part-0-of-2"):
        pass


def test_one_that_has_ended_here_is_not_waited_for(home: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "LANDING", 1e6)
    process = subprocess.Popen(["sleep", "60"])
    started = owners.started_at(process.pid)
    take(home, WHOLE_RUN, replace(this_process(True, True), pid=process.pid, started=started), False)
    with pytest.raises(FileExistsError, match=f"process {process.pid}"), claimed(home, WHOLE_RUN):
        pass
    process.kill()
    while owners.started_at(process.pid):  # It is a zombie of Unix' own until somebody waits for it.
        time.sleep(0.01)
    with claimed(home, WHOLE_RUN) as claim:
        assert not claim.took_over
    process.wait()
    assert owners.started_at(process.pid) is None


@pytest.mark.parametrize(
    ("ago", "seen", "alive"),
    [
        (0, None, True),
        (DEAD_AFTER + 9, None, False),
        (DEAD_AFTER + 9, 5, True),
        (DEAD_AFTER + 9, DEAD_AFTER + 1, False),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_one_elsewhere_lives_as_long_as_it_says_so(
    home: StorePath, ago: float, seen: float | None, alive: bool
) -> None:
    first = hanging(home, since=time.time() - ago)
    if seen is not None:
        write_text(home / CLAIMS / f"{first.name}{claims.LAST_SEEN}", str(time.time() - seen))
    if alive:
        with pytest.raises(FileExistsError, match=r"node7.*last seen \d s ago"), claimed(home, WHOLE_RUN):
            pass
    else:
        with claimed(home, WHOLE_RUN) as claim:
            assert claim.took_over


@pytest.mark.parametrize("ahead", [-3600, 3600])
@pytest.mark.usefixtures("at_once")
def test_one_whose_clock_is_wrong_lives_as_long_as_it_says_so(
    home: StorePath, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    monkeypatch.setattr(taking, "WATCHED", 0.1)
    first, over = hanging(home, since=time.time() + ahead), threading.Event()

    def say() -> None:
        while not over.wait(0.01):
            write_text(home / CLAIMS / f"{first.name}{claims.LAST_SEEN}", str(time.time() + ahead))

    thread = threading.Thread(target=say)
    thread.start()
    try:
        with pytest.raises(FileExistsError, match=r"node7.*last seen 0 s ago"), claimed(home, WHOLE_RUN):
            pass
    finally:
        over.set()
        thread.join()
    with claimed(home, WHOLE_RUN) as claim:
        assert claim.took_over


def test_an_owner_says_that_it_lives(home: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking, "SEEN_EVERY", 0.01)
    with claimed(home, WHOLE_RUN) as claim:
        deadline = time.monotonic() + 30
        while (
            not (said := read_text(home / CLAIMS / f"{claim.name}{claims.LAST_SEEN}")) and time.monotonic() < deadline
        ):
            time.sleep(0.01)
    assert said
    assert abs(float(said) - time.time()) < 60


CHANGES: dict[str, Callable[[Any], Any]] = {
    "set": lambda store: sync(store.set("image/s0/c/0", DATA)),
    "set_sync": lambda store: store.set_sync("image/s0/c/0", DATA),
    "set_if_not_exists": lambda store: sync(store.set_if_not_exists("image/s0/c/0", DATA)),
    "delete": lambda store: sync(store.delete("image/zarr.json")),
    "delete_sync": lambda store: store.delete_sync("image/zarr.json"),
    "delete_dir": lambda store: sync(store.delete_dir("image/s1")),
    "delete_many": lambda store: sync(delete_keys(store, ["image/zarr.json", "image/s1/zarr.json"])),
    "clear": lambda store: sync(store.clear()),
}


def keys_of(store: Any) -> list[str]:
    async def keys() -> list[str]:
        return [key async for key in store.list()]

    return sorted(sync(keys()))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("at_once")
def test_who_is_the_owner_no_longer_changes_nothing(home: StorePath, change: str) -> None:
    """Law: every change of a store passes by the claim."""
    if change.endswith("_sync") and not hasattr(home.store, change):
        pytest.skip("this zarr has no such method")
    for path in (home / "zarr.json", home / "s1" / "zarr.json"):
        write_text(path, "{}")
    first = hanging(home)
    with claimed(home, WHOLE_RUN, take_over=True):
        before = keys_of(home.store)
        with pytest.raises(OwnershipLost):
            CHANGES[change](owned(home, first).store)
        assert keys_of(home.store) == before


@pytest.mark.parametrize("change", [change for change in CHANGES if change != "clear"])
def test_an_owner_changes_a_store_as_anybody_does(home: StorePath, change: str) -> None:
    if change.endswith("_sync") and not hasattr(home.store, change):
        pytest.skip("this zarr has no such method")
    found = []
    for own in (False, True):
        for path in (home / "zarr.json", home / "s1" / "zarr.json"):
            write_text(path, "{}")
        with claimed(home, WHOLE_RUN) as claim:
            CHANGES[change](owned(home, claim).store if own else home.store)
        found.append(keys_of(home.store))
        sync(home.store.clear())
    assert found[0] == found[1]


class Interrupted:
    """Bytes that, while they are written, let something happen."""

    def __init__(self, happening: Callable[[], Any]) -> None:
        self.happening = happening

    def as_buffer_like(self) -> bytes:
        self.happening()
        return b"late"


def stopped_while_it_puts(home: StorePath, key: str, happening: Callable[[], Any]) -> None:
    """Write an object of an owner that is stopped between opening a file and giving it its name."""
    first = hanging(home)
    first.check()
    late: Any = Interrupted(happening)
    with pytest.raises(OwnershipLost):
        owned(home, first).store.set_sync(f"image/{key}", late)


def test_what_was_opened_before_its_folder_was_replaced_gets_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the process has been stopped, and even if it does not ask again."""
    monkeypatch.setattr(taking, "LEASE", 0)
    monkeypatch.setattr(taking, "LANDING", 0)
    home = StorePath(LocalStore(tmp_path), "image")
    write_text(home / "s0" / "zarr.json", "old")

    def replaced() -> None:
        with claimed(home, WHOLE_RUN, take_over=True) as claim:
            sync((owned(home, claim) / "s0").delete_dir())
            write_text(owned(home, claim) / "s0" / "zarr.json", "new")

    stopped_while_it_puts(home, "s0/0", replaced)
    assert [path.name for path in (tmp_path / "image" / "s0").iterdir()] == ["zarr.json"]


def test_documents_that_were_opened_before_another_took_over_get_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "LEASE", 0)
    monkeypatch.setattr(taking, "LANDING", 0)
    home = StorePath(LocalStore(tmp_path), "image")
    write_text(home / "zarr.json", "old")

    def published() -> None:
        with claimed(home, WHOLE_RUN, take_over=True) as claim:
            delete_partial_documents(home, [""])
            write_text(owned(home, claim) / "zarr.json", "new")

    stopped_while_it_puts(home, "zarr.json", published)
    assert read_text(home / "zarr.json") == "new"


@pytest.mark.parametrize("compute", [True, False, "init"])
@pytest.mark.usefixtures("at_once")
def test_every_call_that_takes_over_lets_no_older_document_get_its_name(tmp_path: Path, compute: Any) -> None:
    """Nor the one that makes a run current: it would be that of the process that wakes."""
    daskome.write_image(VALUES, tmp_path / "a", compute="init", **OPTIONS)
    hanging(StorePath(LocalStore(tmp_path / "a")))
    late = [tmp_path / "a" / path for path in ("zarr.0.partial", f"{JOURNAL_FOLDER}/current.0.partial")]
    for path in late:
        path.write_text("late")
    call = daskome.write_image(VALUES, tmp_path / "a", overwrite=True, take_over=True, compute=compute, **OPTIONS)
    if compute is False:
        call.compute(scheduler="sync")
    assert not any(path.exists() for path in late)


DELETIONS: dict[str, Callable[[Any, str], Any]] = {
    "delete": lambda store, key: sync(store.delete(key)),
    "delete_sync": lambda store, key: store.delete_sync(key),
    "delete_many": lambda store, key: sync(delete_keys(store, [key])),
    "delete_dir": lambda store, key: sync(store.delete_dir(key.rpartition("/")[0])),
}


@pytest.mark.parametrize("delete", DELETIONS)
@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.usefixtures("at_once")
def test_who_was_stopped_before_it_deletes_deletes_nothing_of_another(tmp_path: Path, ended: bool, delete: str) -> None:
    home = StorePath(LocalStore(tmp_path), "image")
    first = hanging(home)
    with claimed(home, WHOLE_RUN, take_over=True) as second:
        write_text(owned(home, second) / "s0" / "c" / "0", "new")
        if ended:
            sync((home / JOURNAL_FOLDER).delete_dir())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "LEASE", 1e6)
            claims._LEASES[first.owner.token].asked = claims.moment()
            with pytest.raises(OwnershipLost):
                DELETIONS[delete](owned(home, first).store, "image/s0/c/0")
    assert read_text(home / "s0" / "c" / "0") == "new"
    assert not list(tmp_path.rglob("deleted/*"))


@pytest.mark.usefixtures("at_once")
def test_nobody_makes_the_folder_of_a_journal_again(tmp_path: Path) -> None:
    home = StorePath(LocalStore(tmp_path), "image")
    with claimed(home, WHOLE_RUN) as claim:
        write_text(owned(home, claim) / JOURNAL_FOLDER / "id" / "0" / "5", "{}")
        sync((home / JOURNAL_FOLDER).delete_dir())
        claims._LEASES[claim.owner.token].asked = claims.moment()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "LEASE", 1e6)
            with pytest.raises(OwnershipLost):
                write_text(owned(home, claim) / JOURNAL_FOLDER / "id" / "0" / "6", "{}")
    assert not (tmp_path / "image" / JOURNAL_FOLDER).exists()


def test_a_store_is_asked_again_only_when_its_last_answer_is_old(home: StorePath) -> None:
    with claimed(home, WHOLE_RUN) as claim:
        sync(claim.path.delete())
        claim.renew()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(claims, "LEASE", 0)
            with pytest.raises(OwnershipLost):
                claim.renew()


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@law(max_examples=30, derandomize=False)
@given(changes=st.dictionaries(st.sampled_from([*Owner.__dataclass_fields__, "other"]), JSONS), rest=JSONS)
def test_claims_of_strangers_are_data(changes: dict[str, Any], rest: Any) -> None:
    """Whatever lies there is an owner that can be named and judged, or none."""
    home = StorePath(MemoryStore())
    for document in ({**asdict(this_process(True, True)), **changes}, rest):
        write_text(home / CLAIMS / "run-1", json.dumps(document))
        found = sync(fetch_owner(home, "run-1"))
        if found is not None:
            assert str(found).isprintable()
            assert found.is_alive(0) in (True, False)


def test_a_chunk_that_is_gone_from_a_temporary_copy_is_an_error(home: StorePath) -> None:
    write_text(home / "0", "voxels")
    copy = StorePath(CompleteStore(home.store), home.path)
    assert read_text(copy / "0") == "voxels"
    with pytest.raises(RuntimeError, match="is gone"):
        read_text(copy / "1")


def test_a_write_is_refused_while_another_writes_and_the_image_has_no_claim(tmp_path: Path) -> None:
    def refused(done: int, total: int) -> None:
        for options in ({"overwrite": True}, {"resume": True}):
            with pytest.raises(FileExistsError, match="is being written by process"):
                daskome.write_image(VALUES, tmp_path / "a", **OPTIONS, **options)

    daskome.write_image(VALUES, tmp_path / "a", progress=refused, **OPTIONS)
    assert not (tmp_path / "a" / JOURNAL_FOLDER).exists()
    assert daskome.verify(tmp_path / "a", pixels=True) == []


def test_what_failed_is_owned_by_nobody(tmp_path: Path) -> None:
    def broken(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        daskome.write_image(VALUES, tmp_path / "a", progress=broken, **OPTIONS)
    assert not list((tmp_path / "a").rglob(f"{CLAIMS}/*"))
    daskome.write_image(VALUES, tmp_path / "a", resume=True, **OPTIONS)


@pytest.mark.usefixtures("at_once")
def test_a_call_that_was_taken_over_says_by_whom(tmp_path: Path) -> None:
    later = list[Claim]()

    def taken_over(done: int, total: int) -> None:
        if not later:
            later.append(take(StorePath(LocalStore(tmp_path / "a")), WHOLE_RUN, this_process(True, True), True))

    with pytest.raises(daskome.WriteError, match=r"owns .* no longer.*: it was taken over by process \d+ on"):
        daskome.write_image(VALUES, tmp_path / "a", progress=taken_over, **OPTIONS)
    later[0].check()


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_document_written_unless_there_is_one_bears_the_mark_of_its_process_until_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    """Those that zarr writes so bear none, and stayed in plates when a process was killed."""
    link, half_written = os.link, list[str]()

    def linked(partial: Path, path: Path) -> None:
        half_written.append(partial.name)
        if not hard_links:
            raise OSError(95, "Operation not supported")
        link(partial, path)

    monkeypatch.setattr(os, "link", linked)
    key, prototype = "image/a/zarr.json", default_buffer_prototype()
    with owning_place(StorePath(LocalStore(tmp_path), "image")) as place:
        half_written.clear()
        for document in (b"first", b"second"):
            sync(place.store.set_if_not_exists(key, prototype.buffer.from_bytes(document)))
    assert (tmp_path / key).read_bytes() == b"first"
    assert [name.split(".")[1] for name in half_written] == [mark_of_this_process()] * 2
    assert list(tmp_path.rglob("*.partial")) == []
