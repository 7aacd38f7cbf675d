"""What changes in place: the bytes of the whole image written anew, and no object touched that does not depend on it."""

import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, Phase, given, reject, settings, strategies as st
from zarr.storage import MemoryStore, WrapperStore

import daskome
from daskome.inspection.stored_image import read_pyramid
from daskome.kernels.methods import METHODS
from daskome.model.regions import Region, slices
from daskome.stores.remembered import LOOKED_FOR
from tests.conftest import plan_as_if_large
from tests.execution.test_resume import killed, kills_until_it_ends, slowly
from tests.kills import digest
from tests.laws.test_laws import random_image
from tests.strategies import Case, cases
from tests.written import contents

Array = np.ndarray[Any, Any]
Keys = set[str]


class Watched(WrapperStore[Any]):
    """A store that notes which of its objects are written or deleted."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.changed = Keys()

    async def set(self, key: str, value: Any) -> None:
        self.changed.add(key)
        await super().set(key, value)

    async def delete(self, key: str) -> None:
        self.changed.add(key)
        await super().delete(key)

    @property
    def touched(self) -> Keys:
        """The chunks and shards among them."""
        return {key for key in self.changed if ".daskome" not in key and key.rpartition("/")[2] not in LOOKED_FOR}


@contextmanager
def as_if_large(large: bool = True) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, dask.config.set(scheduler="sync"):
        if large:
            plan_as_if_large(patch)
        yield


def written(case: Case, image: Array) -> MemoryStore:
    """Return a store with an image as a case describes it."""
    store = MemoryStore()
    axes = "".join(axis.name for axis in case.image.axes)
    factors: Any = case.scale_factors or None
    options = {"axes": axes, "method": case.method, "fmt": case.version, "storage_options": case.storage_options}
    daskome.write_image(image, store, factors, scale=case.image.scale, **options)
    return store


def depending(store: Any, region: Region, first: int = 0) -> Keys:
    """Return the keys of the objects that hold a voxel of a region, or one that is made of it, by following masks.

    Windows are enumerated one by one; those of methods with a halo take the voxels around them in.
    """
    pyramid = read_pyramid(store)
    mask, keys = np.zeros(pyramid.levels[0].shape, bool), Keys()
    mask[slices(region)] = True
    for k, level in enumerate(pyramid.levels):
        mask = mask if k == 0 else coarser_mask(mask, pyramid.factors(k), pyramid.method.halo, level.shape)
        array = zarr.open_array(store, path=level.path, mode="r")
        objects = np.argwhere(mask) // (array.shards or array.chunks)
        names = {array.metadata.encode_chunk_key(tuple(map(int, one))) for one in np.unique(objects, axis=0)}
        keys |= {f"{level.path}/{name}" for name in names} if k >= first else set()
    return keys


def coarser_mask(mask: Array, factors: Any, halo: Any, shape: Any) -> Array:
    coarse = np.zeros(shape, bool)
    for where in product(*map(range, shape)):
        window = tuple(
            slice(max(i * f - halo(f), 0), (i + 1) * f + halo(f)) for i, f in zip(where, factors, strict=True)
        )
        coarse[where] = mask[window].any()
    return coarse


@st.composite
def regions_of(draw: st.DrawFn, shape: tuple[int, ...]) -> Region:
    edges = [sorted(draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape]
    return tuple((a, max(b, a + 1)) for a, b in edges)


def check_update(data: st.DataObject, as_written: bool, large: bool) -> None:
    case = data.draw(cases(st.sampled_from(list(METHODS))))
    region, seed = data.draw(regions_of(case.image.shape)), data.draw(st.integers(0, 99))
    old, new = (random_image(case.image.shape, case.image.dtype, s) for s in (seed, seed + 1))
    with as_if_large(large):
        both = old.copy()
        both[slices(region)] = new[slices(region)]
        store, whole = written(case, old), written(case, both)
        watched = Watched(store)
        if as_written:
            path = read_pyramid(store).levels[0].path
            zarr.open_array(store, path=path, mode="r+")[slices(region)] = new[slices(region)]
        daskome.update(watched, region, None if as_written else new[slices(region)])
    assert digest(store) == digest(whole)
    assert watched.touched <= depending(store, region, first=int(as_written))
    if not as_written:
        assert {key for key in depending(store, region) if key in store._store_dict} <= watched.touched


FEW = settings(
    max_examples=4, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
MANY = settings(FEW, max_examples=60)


@pytest.mark.parametrize("as_written", [False, True])
@FEW
@given(data=st.data())
def test_an_update_leaves_what_writing_the_whole_would(data: st.DataObject, as_written: bool) -> None:
    check_update(data, as_written, large=False)


@pytest.mark.extended
@pytest.mark.parametrize("as_written", [False, True])
@MANY
@given(data=st.data())
def test_any_update_leaves_what_writing_the_whole_would(data: st.DataObject, as_written: bool) -> None:
    check_update(data, as_written, data.draw(st.booleans()))


def check_append(data: st.DataObject, large: bool) -> None:
    case = data.draw(cases(st.sampled_from(list(METHODS))))
    axis = data.draw(st.sampled_from([i for i, n in enumerate(case.image.shape) if n > 1]))
    stop = data.draw(st.integers(1, case.image.shape[axis] - 1))
    image = random_image(case.image.shape, case.image.dtype, data.draw(st.integers(0, 99)))
    first, rest = np.split(image, [stop], axis)
    with as_if_large(large):
        try:
            store = written(case, first)
        except ValueError:  # It has no room for these factors.
            reject()
        pyramid = read_pyramid(store)
        names = [axis.name for axis in pyramid.axes]
        stored: Any = [{"chunks": one.layout.chunks, "shards": one.layout.shards} for one in pyramid.levels]
        factors: Any = [dict(zip(names, map(int, one.factors), strict=True)) for one in pyramid.levels[1:]]
        whole = written(replace(case, scale_factors=factors, storage_options=stored), image)
        watched = Watched(store)
        daskome.append(watched, rest, names[axis])
    assert digest(store) == digest(whole)
    region = tuple((stop if i == axis else 0, n) for i, n in enumerate(image.shape))
    assert watched.touched <= depending(store, region)


@FEW
@given(data=st.data())
def test_to_append_leaves_what_writing_the_whole_would(data: st.DataObject) -> None:
    check_append(data, large=False)


@pytest.mark.extended
@MANY
@given(data=st.data())
def test_to_append_anything_leaves_what_writing_the_whole_would(data: st.DataObject) -> None:
    check_append(data, data.draw(st.booleans()))


VALUES = random_image((24, 16, 16), "uint16")
ANOTHER = random_image((19, 16, 16), "uint16", 1)
KEPT: Any = {"axes": "zyx", "scale_factors": [2, 4], "storage_options": {"chunks": 8}}


def update_slowly(target: Path, log: Path) -> None:
    with as_if_large():
        daskome.update(target, {"z": (3, 22)}, slowly(ANOTHER, 8, log), resume=True)


def append_slowly(target: Path, log: Path) -> None:
    with as_if_large():
        daskome.append(target, slowly(ANOTHER, 8, log), "z", start=21, resume=True)


@pytest.mark.extended
@pytest.mark.parametrize("change", [update_slowly, append_slowly])
@pytest.mark.timeout(600)
def test_killed_at_15_moments_it_ends_with_the_same_bytes(tmp_path: Path, change: Any) -> None:
    """By SIGKILL, for real; `killed` sees to it that nobody takes it for an image meanwhile."""
    first = VALUES[: 24 if change is update_slowly else 21]
    both = np.concatenate([VALUES[:3], ANOTHER, VALUES[22:]]) if change is update_slowly else [*first, *ANOTHER]
    with as_if_large():
        daskome.write_image(first, tmp_path / "first", **KEPT)
        stored = [{"chunks": one.layout.chunks} for one in read_pyramid(tmp_path / "first").levels]
        daskome.write_image(np.asarray(both), tmp_path / "whole", **{**KEPT, "storage_options": stored})
    draw, kills, target, started = random.Random(1), 0, tmp_path / "a", time.monotonic()
    shutil.copytree(tmp_path / "first", target)
    assert killed(change, target, tmp_path / "log", 300)
    takes = time.monotonic() - started
    while kills < 15:
        shutil.rmtree(target)
        shutil.copytree(tmp_path / "first", target)
        kills += kills_until_it_ends(change, target, tmp_path / "log", draw, takes)
        assert contents(target) == contents(tmp_path / "whole")
