"""Objects of finished units that are gone: never published, named, and written again."""

import asyncio
import logging
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from zarr.core.sync import sync
from zarr.storage import LocalStore, MemoryStore, StorePath, WrapperStore

import daskome
from daskome.execution.finished import lost
from daskome.model import limits
from daskome.model.problem import WriteError
from daskome.stores import kinds
from daskome.stores.objects import inventory
from daskome.stores.ownership.claims import WHOLE_RUN, Claim
from daskome.stores.ownership.owner import this_process
from daskome.stores.ownership.taking import claimed
from tests.conftest import TINY
from tests.cuboid import OPTIONS, VALUES
from tests.strategies import law
from tests.written import contents, lights_out

HALF = VALUES * (np.arange(48) >= 24)
"""Half of it is fill value, of which nothing is stored."""


@pytest.fixture(params=["0.5", "0.4", "shards"])
def layout(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "shards":
        return {**OPTIONS, "storage_options": {"chunks": 4, "shards": 8}}
    return {**OPTIONS, "fmt": request.param}


def begun(folder: Path, values: Any, **options: Any) -> daskome.Plan:
    """Write all units of an image, which is not finished."""
    plan = daskome.write_image(values, folder, axes="zyx", compute="init", **options)
    daskome.run_part(folder, values)
    return plan


def objects(folder: Path) -> list[Path]:
    """Return the stored objects of an image's levels."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".daskome" not in path.parts)
    return [path for path in files if path.name[-1].isdecimal()]


@pytest.mark.sampled(3)
def test_an_object_that_is_gone_is_named_and_written_again(
    tmp_path: Path, layout: dict[str, Any], tiny_blocks: None
) -> None:
    daskome.write_image(HALF, tmp_path / "whole", axes="zyx", **layout)
    plan = begun(tmp_path / "a", HALF, **layout)
    assert len(plan.stages) > 1
    there = objects(tmp_path / "a")
    assert len(there) < plan.n_objects
    gone = there[len(there) // 3]
    gone.unlink()
    with pytest.raises(WriteError, match=r"(?s)cannot be finished.*unit \d+/\d+") as error:
        daskome.finish(tmp_path / "a")
    assert gone.relative_to(tmp_path / "a").as_posix() in str(error.value)
    assert daskome.status(tmp_path / "a").missing
    daskome.run_part(tmp_path / "a", HALF)
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


@pytest.mark.extended
@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.extended) for n in range(1, 20))])
def test_whatever_is_gone_whenever_the_bytes_are_those_of_an_undisturbed_run(
    tmp_path: Path, tiny_blocks: None, seed: int
) -> None:
    """Law: lost before the end or in the middle, by resume or by parts, levels above what was lost included."""
    dice = random.Random(seed)
    daskome.write_image(HALF, tmp_path / "whole", axes="zyx", **OPTIONS)
    with lights_out(dice.randrange(5, 60)), dask.config.set(scheduler="sync"):
        try:
            daskome.write_image(HALF, tmp_path / "a", axes="zyx", **OPTIONS, retries=0)
        except WriteError:
            pass
        else:
            daskome.write_image(HALF, tmp_path / "a", axes="zyx", **OPTIONS, overwrite=True, compute="init")
    for path in dice.sample(there := objects(tmp_path / "a"), min(len(there), dice.randrange(1, 9))):
        path.unlink()
    daskome.write_image(HALF, tmp_path / "a", axes="zyx", **OPTIONS, resume=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_levels_made_of_what_was_gone_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: dict[str, bytes]
) -> None:
    monkeypatch.setattr(limits, "LIMITS", replace(TINY, copied_nbytes=2**40))
    plan = daskome.write_image(VALUES, tmp_path / "a", axes="zyx", compute="init", **OPTIONS)
    daskome.run_part(tmp_path / "a", VALUES, 0)
    below = plan.stages[1].passes[0].first - 1
    next(path for path in objects(tmp_path / "a") if f"s{below}" in path.parts).unlink()
    daskome.run_part(tmp_path / "a", VALUES)  # of fill value, where that object was
    with pytest.raises(WriteError, match=f"s{below}/c/"):
        daskome.finish(tmp_path / "a")
    assert set(daskome.status(tmp_path / "a").missing) > {f"1/{k}" for k in range(plan.count(1))}
    daskome.run_part(tmp_path / "a", VALUES)
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == expected


@pytest.mark.sampled(2)
@pytest.mark.parametrize("staging", [True, False], ids=["of an image", "of a level"])
def test_a_chunk_of_a_temporary_copy_that_is_gone_is_no_fill_value(
    tmp_path: Path, tiny_blocks: None, staging: bool
) -> None:
    slabs = dask.array.from_array(VALUES, chunks=(1, 32, 48))
    options: dict[str, Any] = {**OPTIONS, "staging": staging}
    daskome.write_image(slabs, tmp_path / "whole", axes="zyx", **options)
    plan = daskome.write_image(slabs, tmp_path / "a", axes="zyx", compute="init", **options)
    if not plan.temporary:
        pytest.skip("no copy is planned")
    reading = next(k for k, stage in enumerate(plan.stages) if stage.passes[0].reads_copy)
    for stage in range(reading):
        daskome.run_part(tmp_path / "a", slabs, stage)
    copies = sorted((tmp_path / "a/.daskome/staging").rglob("c/**/[0-9]*"))
    next(path for path in copies if path.is_file()).unlink()
    with pytest.raises(WriteError, match=r"of a temporary copy in .* is gone"):
        daskome.run_part(tmp_path / "a", slabs, reading, retries=0)
    assert [key for key in daskome.status(tmp_path / "a").missing if key.startswith(f"{reading - 1}/")]
    daskome.run_part(tmp_path / "a", slabs)
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == contents(tmp_path / "whole")


def test_a_call_that_goes_on_says_what_it_writes_again(
    tmp_path: Path, tiny_blocks: None, caplog: pytest.LogCaptureFixture
) -> None:
    begun(tmp_path / "a", VALUES, **OPTIONS)
    objects(tmp_path / "a")[0].unlink()
    with caplog.at_level(logging.WARNING, "daskome"):
        daskome.write_image(VALUES, tmp_path / "a", axes="zyx", **OPTIONS, resume=True)
    assert "s0/c/0/0/0 of" in caplog.text


def test_a_call_that_is_refused_lets_no_unit_of_another_count_as_missing(tmp_path: Path, tiny_blocks: None) -> None:
    begun(tmp_path / "a", VALUES, **OPTIONS)
    objects(tmp_path / "a")[0].unlink()
    with (
        claimed(StorePath(LocalStore(tmp_path / "a")), WHOLE_RUN),
        pytest.raises(FileExistsError, match="is being written by process"),
    ):
        daskome.write_image(VALUES, tmp_path / "a", axes="zyx", **OPTIONS, resume=True)
    assert daskome.status(tmp_path / "a").missing == ()


def change_records(folder: Path, stored: str) -> None:
    """Let the records of units say something else of what they have stored."""
    for path in folder.glob(".daskome/*-*/[0-9]*/*"):
        path.write_text(path.read_text().partition(', "stored"')[0] + stored + "}")


def test_records_of_older_versions_say_nothing(tmp_path: Path, tiny_blocks: None) -> None:
    begun(tmp_path / "a", HALF, **OPTIONS)
    change_records(tmp_path / "a", "")
    daskome.finish(tmp_path / "a")


def test_a_record_that_was_changed_is_said_to_be_unreadable(tmp_path: Path, tiny_blocks: None) -> None:
    begun(tmp_path / "a", HALF, **OPTIONS)
    change_records(tmp_path / "a", ', "stored": ["zz"]')
    with pytest.raises(ValueError, match=r"record of unit \d+/\d+ cannot be read"):
        daskome.finish(tmp_path / "a")


@pytest.mark.parametrize(
    "text", ['{"time": 1.0, "sec', *(pytest.param(text, marks=pytest.mark.extended) for text in ("", "[]", "{}"))]
)
def test_a_unit_whose_record_was_cut_short_is_written_again(
    tmp_path: Path, tiny_blocks: None, text: str, expected: dict[str, bytes]
) -> None:
    begun(tmp_path / "a", VALUES, **OPTIONS)
    record = next((tmp_path / "a").glob(".daskome/*-*/0/1"))
    record.write_text(text)
    daskome.status(tmp_path / "a")
    with pytest.raises(WriteError, match=r"record.* cannot be read, such as 0/1; .* missing again"):
        daskome.finish(tmp_path / "a")
    assert daskome.status(tmp_path / "a").missing == ("0/1",)
    daskome.run_part(tmp_path / "a", VALUES)
    daskome.finish(tmp_path / "a")
    assert contents(tmp_path / "a") == expected


def test_what_a_record_that_was_cut_short_does_not_say_counts_as_stored(
    tmp_path: Path, tiny_blocks: None, expected: dict[str, bytes]
) -> None:
    begun(tmp_path / "a", VALUES, **OPTIONS)
    next((tmp_path / "a").glob(".daskome/*-*/0/0")).write_text("")
    objects(tmp_path / "a")[0].unlink()
    daskome.write_image(VALUES, tmp_path / "a", axes="zyx", **OPTIONS, resume=True)
    assert contents(tmp_path / "a") == expected


def test_where_lists_are_slow_all_is_looked_for_on_request(tiny_blocks: None, monkeypatch: pytest.MonkeyPatch) -> None:
    store = WrapperStore(MemoryStore())
    monkeypatch.setattr(lost, "kind_of", lambda target: (kinds.KINDS[-1], target.store))
    monkeypatch.setattr(lost.time, "sleep", lambda seconds: None)
    daskome.write_image(VALUES, store, axes="zyx", compute="init", **OPTIONS)
    daskome.run_part(store, VALUES)
    del store._store._store_dict["s1/c/0/0/0"]
    with pytest.raises(WriteError, match="s1/c/0/0/0"):
        daskome.finish(store, check=True)
    daskome.run_part(store, VALUES)
    del store._store._store_dict["s1/c/0/0/0"]
    daskome.finish(store)


# ---- what is noted, and what is listed


@law(derandomize=False)
@given(st.data())
def test_a_note_says_which_objects_are_stored(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple))
    array = zarr.create_array({}, name="a/s0", shape=shape, chunks=(1,) * len(shape), dtype="uint8")
    starts = [data.draw(st.integers(0, n - 1)) for n in shape]
    region = tuple((a, data.draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True))
    positions = list(np.ndindex(*(b - a for a, b in region)))
    stored = data.draw(st.sets(st.sampled_from(positions)))
    keys = {f"a/s0/{array.metadata.encode_chunk_key(tuple(np.add(p, starts).tolist()))}" for p in stored}
    notes = inventory.notes([array], [region], keys)
    if len(stored) == len(positions):
        assert notes == inventory.ALL
    else:
        found = inventory.noted(notes[0], inventory.objects_in(array, region))
        assert {tuple(map(int, p)) for p in np.argwhere(found)} == stored


@pytest.mark.sampled(5)
@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("page", [1, 4, 1000])
@pytest.mark.parametrize("path", ["", "a/s0"])
def test_a_list_says_which_objects_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, separator: Any, zarr_format: Any, page: int, path: str
) -> None:
    """Law: slabs are each listed once, and together are the array."""
    monkeypatch.setattr(inventory, "PAGE", page)
    array: zarr.Array[Any] = zarr.create_array(
        LocalStore(tmp_path), name=path, shape=(3, 11, 2), chunks=(1, 1, 1), dtype="uint8", zarr_format=zarr_format,
        chunk_key_encoding={"name": "default" if zarr_format == 3 else "v2", "separator": separator},
    )  # fmt: skip
    values = np.random.default_rng(page).integers(0, 2, array.shape, "uint8")
    array[...] = values
    slabs = list(inventory.slabs(array))
    assert inventory.can_list(array)
    assert len(slabs) == (1 if separator == "." else {1: 33, 4: 3, 1000: 1}[page])
    found = np.zeros(array.shape, bool)
    for slab, there in zip(slabs, inventory.listed_objects([(array, slab) for slab in slabs]), strict=True):
        found[slab] = there
    np.testing.assert_array_equal(found, values.astype(bool))


def test_objects_on_another_disk_are_there(tmp_path: Path) -> None:
    """Folders of them may be links."""
    array = zarr.create_array(LocalStore(tmp_path / "a"), shape=(3, 2), chunks=(1, 1), dtype="uint8")
    array[...] = 1
    (tmp_path / "a/c/1").rename(tmp_path / "other")
    (tmp_path / "a/c/1").symlink_to(tmp_path / "other")
    assert inventory.listed_objects([(array, ())])[0].all()


class Queued(WrapperStore[MemoryStore]):
    """A store that answers some time later, and counts how often it is asked for records or claims while it is idle."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.asked, self.turns, self.waiting = 0, 0, 0

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if re.search(r"\.daskome/(claims/|.*/\d+/\d+$)", key):
            self.asked, self.turns = self.asked + 1, self.turns + (not self.waiting)
            self.waiting += 1
            await asyncio.sleep(0.002)
            self.waiting -= 1
        return await super().get(key, *args, **kwargs)


def test_records_of_many_arrays_are_read_at_once(tiny_blocks: None) -> None:
    """Where nothing is stored, as of fill value, only the records say that nothing was to be."""
    store, wells = MemoryStore(), {f"A/{n}": [np.zeros((8, 8), "uint8")] for n in range(1, 13)}
    daskome.write_plate(wells, store, [2], axes="yx", storage_options={"chunks": 4}, compute="init")
    daskome.run_part(store, [field for fields in wells.values() for field in fields], stage=0)
    queued = Queued(store)
    daskome.finish(StorePath(queued, "A"))
    assert queued.asked > 24
    assert queued.turns < 10


def test_claims_of_many_parts_are_read_and_deleted_at_once() -> None:
    store = MemoryStore()
    plan = daskome.write_image(VALUES, store, **OPTIONS, axes="zyx", compute="init")
    daskome.run_part(store, VALUES) if len(plan.stages) == 1 else [
        daskome.run_part(store, VALUES, stage=k) for k in range(len(plan.stages))
    ]
    for k in range(50):
        sync(Claim(StorePath(store), f"part-{k}-of-50-1", this_process(True, True)).make())
    queued = Queued(store)
    daskome.finish(queued)
    assert queued.asked > 200
    assert queued.turns < 30
    assert not [key for key in store._store_dict if ".daskome" in key]
