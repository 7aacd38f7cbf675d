"""The journal: which run is under way, whenever a process is killed, and what it costs to ask."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore, StorePath

import daskome
from daskome.execution import runner
from daskome.sources.adapt import as_source
from daskome.stores import journal as journals
from daskome.stores.journal import CURRENT, JOURNAL, PLAN
from daskome.stores.location import locate, url_of
from daskome.stores.ownership.claims import OwnershipLost
from tests.written import contents

VALUES = np.arange(48**2, dtype="uint16").reshape(48, 48)
OPTIONS: dict[str, Any] = {"scale_factors": [2], "axes": "yx", "storage_options": {"chunks": 16}}


class Metered(MemoryStore):
    """A store that counts the bytes that are read from it."""

    nbytes = 0

    async def get(self, *args: Any, **options: Any) -> Any:
        found = await super().get(*args, **options)
        self.nbytes += 0 if found is None else len(found)
        return found


class Mortal(MemoryStore):
    """A store that fails for good after so many changes."""

    changes = count(1)
    after = 10**9

    def _change(self) -> None:
        if next(self.changes) > self.after:
            raise OSError("the lights went out")

    async def set(self, *args: Any, **options: Any) -> None:
        self._change()
        await super().set(*args, **options)

    async def delete(self, key: str) -> None:
        self._change()
        await super().delete(key)

    async def delete_dir(self, prefix: str) -> None:
        for key in [key for key in self._store_dict if key.startswith(f"{prefix}/")]:
            await self.delete(key)


def as_version_0_1(home: StorePath) -> None:
    """Turn the journal of a run into what version 0.1 of daskome would have kept of it."""
    begun = journals.find_run(home)
    assert begun is not None
    files = home.store._store_dict if isinstance(home.store, MemoryStore) else None
    folder = f"{JOURNAL}/{begun.journal.id}"
    if files is not None:
        files[f"{JOURNAL}/{PLAN}"] = files.pop(f"{folder}/{PLAN}")
        del files[f"{JOURNAL}/{CURRENT}"]
    else:
        root = Path(url_of(home))
        (root / folder / PLAN).rename(root / JOURNAL / PLAN)
        (root / JOURNAL / CURRENT).unlink()


@pytest.mark.parametrize("wells", [2, 40])
def test_what_a_unit_reads_to_see_whether_it_is_wanted_does_not_grow_with_the_plan(wells: int) -> None:
    store = Metered()
    images = {f"A/{column}": VALUES for column in range(wells)}
    plan = daskome.write_plate(images, store, [2], axes="yx", compute="init")
    begun = journals.find_run(StorePath(store) / plan.home)
    assert begun is not None
    store.nbytes = 0
    assert journals.is_current(begun.journal)
    assert store.nbytes == len(begun.journal.id)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("old", [False, True], ids=["this version", "version 0.1"])
def test_killed_at_any_change_either_a_whole_run_is_current_or_none(old: bool) -> None:
    """Law: whoever asks the journal is told the same as every unit, and an old run is never current again."""
    for after in count():
        store = Mortal()
        place = StorePath(store)
        daskome.write_image(VALUES, store, compute="init", **OPTIONS)
        if old:
            as_version_0_1(place)
        first = journals.find_run(place)
        assert first is not None
        store.changes, store.after = count(1), after
        try:
            daskome.write_image(VALUES + 1, store, overwrite=True, compute="init", **OPTIONS)
            whole = True
        except (OSError, daskome.WriteError):
            whole = False
        store.after = 10**9
        found = journals.find_run(place)
        arrays = [key for key in store._store_dict if key.endswith("s1/zarr.json")]
        assert journals.is_current(first.journal) == (found is not None and found.journal == first.journal)
        if found is not None:
            assert journals.is_current(found.journal)
            assert arrays
        daskome.write_image(VALUES, store, overwrite=True, **OPTIONS)
        assert not [key for key in store._store_dict if JOURNAL in key]
        if whole:
            assert found is not None
            assert found.journal != first.journal
            break
    assert after > 8


@pytest.mark.parametrize("how", ["resume", "parts"])
def test_what_version_0_1_has_begun_goes_on(tmp_path: Path, how: str) -> None:
    daskome.write_image(VALUES, tmp_path / "whole", **OPTIONS)
    plan = daskome.write_image(VALUES, tmp_path / "a", compute="init", **OPTIONS)
    as_version_0_1(locate(tmp_path / "a"))
    begun = journals.find_run(locate(tmp_path / "a"))
    assert begun is not None
    start = runner.Run(plan, [as_source(VALUES)], locate(tmp_path / "a"), begun.journal)
    next(runner.unit_tasks(start, runner.Part(0, [0])))()
    assert daskome.status(tmp_path / "a").stages[0].done == 1
    if how == "resume":
        daskome.write_image(VALUES, tmp_path / "a", resume=True, **OPTIONS)
    else:
        daskome.run_part(tmp_path / "a", VALUES)
        daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_units_of_version_0_1_stop_once_their_image_is_started_anew() -> None:
    store = MemoryStore()
    plan = daskome.write_image(VALUES, store, compute="init", **OPTIONS)
    as_version_0_1(StorePath(store))
    begun = journals.find_run(StorePath(store))
    assert begun is not None
    stale = next(
        runner.unit_tasks(runner.Run(plan, [as_source(VALUES)], StorePath(store), begun.journal), runner.Part(0, [0]))
    )
    daskome.write_image(VALUES, store, overwrite=True, compute="init", **OPTIONS)
    with pytest.raises(OwnershipLost, match="started anew"):
        stale()
    group = zarr.open_group(store, mode="r")
    assert not np.asarray(group["s0"][...]).any()  # type: ignore[index]


# ---- stores in which nothing may be deleted


class AppendOnly(MemoryStore):
    """A store whose key has no permission to delete."""

    async def delete(self, key: str) -> None:
        if key in self._store_dict:
            raise PermissionError("AccessDenied: DeleteObject")

    async def delete_dir(self, prefix: str) -> None:
        for key in [key for key in self._store_dict if key.startswith(f"{prefix}/")]:
            await self.delete(key)


@pytest.mark.parametrize("write", [daskome.write_image, daskome.write_labels])
def test_an_image_is_finished_where_its_journal_cannot_be_deleted(write: Any, caplog: pytest.LogCaptureFixture) -> None:
    store, labels = AppendOnly(), "labels" if write is daskome.write_labels else None
    write(VALUES, store, **OPTIONS)
    assert "cannot be deleted: PermissionError('AccessDenied: DeleteObject')" in caplog.text
    before = dict(store._store_dict)
    write(VALUES, store, resume=True, **OPTIONS)
    assert dict(store._store_dict) == before
    assert daskome.status(store, labels=labels).whole
    with pytest.raises(FileNotFoundError, match="is finished"):
        daskome.finish(store, labels=labels)
    daskome.convert_metadata(store, "0.6")
    write(VALUES + 1, store, name="other", **OPTIONS) if labels else None


def test_more_levels_where_nothing_can_be_deleted() -> None:
    store = AppendOnly()
    daskome.write_image(VALUES, store, **OPTIONS)
    daskome.add_levels(store, [4])
    daskome.add_levels(store, [4], resume=True)
    assert daskome.status(store).whole
    assert daskome.verify(store, pixels=True) == []


def test_records_of_a_process_that_went_on_too_long_leave_an_image_finished(tmp_path: Path) -> None:
    daskome.write_image(VALUES, tmp_path / "a", **OPTIONS)
    record = tmp_path / "a" / JOURNAL / "0123" / "0" / "5"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert daskome.status(tmp_path / "a").whole
    daskome.convert_metadata(tmp_path / "a", "0.6")
    assert daskome.verify(tmp_path / "a") == []
