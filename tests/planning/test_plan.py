"""Laws of `daskome.planning.plan`: units own whole stored objects and tile every level once, within the memory predicted."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from daskome.kernels.methods import METHODS, find_method
from daskome.model.axes import parse_axes
from daskome.model.chunks import Chunks, regular_chunks
from daskome.model.image import Image
from daskome.model.limits import Limits
from daskome.model.regions import Region, ceil_div, coarser, slices
from daskome.ome.image_label import parse_image_label
from daskome.ome.metadata import Metadata, image_metadata
from daskome.ome.omero import parse_omero
from daskome.ome.plate import parse_plate, parse_well
from daskome.ome.versions import VERSIONS
from daskome.planning.build import plan_downsampled, plan_levels, together
from daskome.planning.choose import PassCandidates, _read_chunks, _time
from daskome.planning.groups.group import Group
from daskome.planning.plan import FORMAT, Plan, Unit
from daskome.planning.work import PROCESS_MEM, Pass, PlanOptions, SourceChunks, Workers
from tests.strategies import (
    Case,
    cases,
    equal_chunks,
    images,
    law,
    options,
    regular,
    source_chunks,
    volume,
)

windowed = st.sampled_from([name for name, method in METHODS.items() if not method.halo(2)])
MIB = 2**20


def units(plan: Plan) -> Iterator[Unit]:
    """Yield the units of all stages."""
    for stage in range(len(plan.stages)):
        yield from plan.units(stage)


def passes(plan: Plan) -> list[Pass]:
    """Return the passes of all stages."""
    return [pass_ for stage in plan.stages for pass_ in stage.passes]


def written(plan: Plan) -> Iterator[tuple[Unit, int, Region]]:
    """Yield what is written: by which unit, of which level, which region."""
    for unit in units(plan):
        for k, region in enumerate(unit.regions, start=unit.pass_.first):
            yield unit, k, region


# ---- units


@law(max_examples=80)
@given(case=cases())
def test_units_tile_every_level_exactly_once(case: Case) -> None:
    plan = case.plan()
    writes = [np.zeros(level.shape, "u4") for level in plan.pyramids[0].levels]
    for _, k, region in written(plan):
        writes[k][slices(region)] += 1
    assert all((level == 1).all() for level in writes)


@law(max_examples=80)
@given(case=cases())
def test_units_write_whole_stored_objects(case: Case) -> None:
    plan = case.plan()
    for _, k, region in written(plan):
        level = plan.pyramids[0].levels[k]
        for (start, stop), stored, n in zip(region, level.layout.objects, level.shape, strict=True):
            assert 0 <= start < stop <= n
            assert start % stored == 0
            assert stop % stored == 0 or stop == n


@law(max_examples=40)
@given(case=cases())
def test_no_two_units_write_one_object(case: Case) -> None:
    plan = case.plan()
    owners: Counter[Any] = Counter()
    for _, k, region in written(plan):
        stored = plan.pyramids[0].levels[k].layout.objects
        spans = [range(a // s, ceil_div(b, s)) for (a, b), s in zip(region, stored, strict=True)]
        owners.update((k, *position) for position in product(*spans))
    assert set(owners.values()) == {1}
    assert len(owners) == plan.n_objects


@law(max_examples=40)
@given(case=cases())
def test_the_regions_of_a_unit_nest(case: Case) -> None:
    plan = case.plan()
    for unit in units(plan):
        assert len(unit.regions) == unit.pass_.stop - unit.pass_.first
        for k, (fine, coarse) in enumerate(pairwise(unit.regions), start=unit.pass_.first + 1):
            assert coarse == coarser(fine, plan.pyramids[0].factors(k))
            assert all(a % f == 0 for (a, _), f in zip(fine, plan.pyramids[0].factors(k), strict=True))


@law(max_examples=40)
@given(case=cases())
def test_units_are_counted_and_numbered(case: Case) -> None:
    plan = case.plan()
    for stage in range(len(plan.stages)):
        found = list(plan.units(stage))
        assert [unit.index for unit in found] == list(range(plan.count(stage)))
        assert {unit.stage for unit in found} == {stage}
        assert found == list(plan.units(stage))
    keys = [unit.key for unit in units(plan)]
    assert len(set(keys)) == len(keys) == plan.n_units
    assert sum(map(plan.writes, units(plan))) == plan.nbytes + plan.temporary_nbytes


@law(max_examples=40)
@given(case=cases())
def test_what_a_unit_reads_is_what_the_method_needs(case: Case) -> None:
    plan = case.plan()
    pyramid = plan.pyramids[0]
    for unit in units(plan):
        first = unit.pass_.first
        if not unit.pass_.reads_below:
            assert plan.reads(unit) == unit.regions[0]
            continue
        below, halo = pyramid.levels[first - 1].shape, pyramid.method.halo
        assert plan.reads(unit) == tuple(
            (max(a * f - halo(f), 0), min(min(b * f, n) + halo(f), n))
            for (a, b), f, n in zip(unit.regions[0], pyramid.factors(first), below, strict=True)
        )


# ---- passes and stages


@law(max_examples=40)
@given(case=cases())
def test_passes_cover_the_levels_in_order_each_read_from_below(case: Case) -> None:
    plan = case.plan()
    assert [len(stage.passes) for stage in plan.stages] == [1] * len(plan.stages)
    covered = [k for pass_ in passes(plan) for k in range(pass_.first, pass_.stop)]
    assert covered == list(range(len(plan.pyramids[0].levels)))
    assert [pass_.image for pass_ in passes(plan)] == [0] + [None] * (len(plan.stages) - 1)


@law(max_examples=40)
@given(case=cases(st.just("gaussian")))
def test_a_halo_reaches_beyond_a_unit_so_every_level_is_read_from_the_store(case: Case) -> None:
    plan = case.plan()
    assert [(pass_.first, pass_.stop) for pass_ in passes(plan)] == [
        (k, k + 1) for k in range(len(plan.pyramids[0].levels))
    ]


def test_levels_that_nest_are_written_in_one_pass() -> None:
    plan = volume().plan()
    assert [(pass_.first, pass_.stop) for pass_ in passes(plan)] == [(0, 3), (3, 4)]
    assert volume(8192).plan().n_units < 2100
    assert len(volume(8192).plan().stages) == 3


@law(max_examples=50)
@given(data=st.data(), first=images())
def test_levels_of_the_caller_are_copied_in_one_stage(data: st.DataObject, first: Image) -> None:
    assume(prod(n for n, axis in zip(first.shape, first.axes, strict=True)) > 1)
    levels = [first]
    while len(levels) < 4 and prod(levels[-1].shape) > 1:
        sizes = zip(first.axes, levels[-1].shape, strict=True)
        shape = tuple(data.draw(st.integers(1, n)) if axis.spatial else n for axis, n in sizes)
        if shape == levels[-1].shape:
            break
        levels.append(replace(first, shape=shape))
    chunks = [data.draw(source_chunks(level.shape)) for level in levels]
    stored = [data.draw(options(level.shape, True)) for level in levels]
    plan = plan_levels(
        levels, list(map(SourceChunks, chunks)), METHODS["mean"], VERSIONS["0.5"], storage_options=stored
    )
    assert len(plan.stages) == 1
    assert [(w.image, w.first, w.stop) for w in passes(plan)] == [(k, k, k + 1) for k in range(len(levels))]
    assert [level.shape for level in plan.pyramids[0].levels] == [level.shape for level in levels]
    assert [unit.index for unit in plan.units(0)] == list(range(plan.count(0)))
    assert all(plan.reads(unit) == unit.regions[0] for unit in plan.units(0))
    writes = [np.zeros(level.shape, "u4") for level in levels]
    for unit, k, region in written(plan):
        assert unit.pass_.first == k
        assert all(a % s == 0 for (a, _), s in zip(region, plan.pyramids[0].levels[k].layout.objects, strict=True))
        writes[k][slices(region)] += 1
    assert all((level == 1).all() for level in writes)
    assert Plan.from_json(plan.to_json()) == plan


def test_no_levels_are_refused() -> None:
    with pytest.raises(ValueError, match="no levels"):
        plan_levels([], [], METHODS["mean"], VERSIONS["0.5"])


# ---- reading


def read_amplification(plan: Plan, pass_: Pass, chunks: Chunks, shape: tuple[int, ...]) -> float:
    """Count how often the average voxel is read, if a unit reads every chunk that it needs something of."""
    edges = [np.cumsum((0, *sizes)) for sizes in chunks]
    total = 0
    for unit in units(plan):
        if unit.pass_ == pass_:
            spans = zip(plan.reads(unit), edges, strict=True)
            total += prod(
                sum(int(b - a) for a, b in pairwise(axis) if a < stop and b > start) for (start, stop), axis in spans
            )
    return total / prod(shape)


@law(max_examples=80)
@given(case=cases(windowed))
def test_the_amplification_is_what_counting_finds(case: Case) -> None:
    check_amplification(case)


@law(max_examples=50)
@given(case=cases(st.just("gaussian")))
def test_the_amplification_counts_halos(case: Case) -> None:
    check_amplification(case)


def check_amplification(case: Case) -> None:
    """Hold every pass of a case to what counting finds."""
    plan = case.plan()
    for pass_ in passes(plan):
        chunks, shape = case.source_chunks, case.image.shape
        if pass_.image is None:
            own = (
                plan.pyramids[0].levels[pass_.first - 1]
                if pass_.reads_copy is None
                else plan.pyramid_at(pass_.reads_copy).levels[0]
            )
            shape, chunks = own.shape, tuple(map(regular, own.shape, own.layout.chunks))
        assert pass_.amplification == pytest.approx(read_amplification(plan, pass_, chunks, shape))
        assert pass_.amplification >= 1
    assert plan.amplification == pytest.approx(passes(plan)[0].amplification)


@law(max_examples=40)
@given(case=cases(), data=st.data())
def test_a_source_in_the_chunks_of_the_target_is_read_once(case: Case, data: st.DataObject) -> None:
    stored = case.plan().pyramids[0].levels[0].layout.objects
    divisors = [data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0])) for n in stored]
    case = replace(case, source_chunks=tuple(map(regular, case.image.shape, divisors)), workers=Workers(2, 2))
    assert case.plan().amplification == 1.0


@law(max_examples=40)
@given(case=cases(), data=st.data())
def test_one_thread_reads_equal_source_chunks_once_if_memory_allows(case: Case, data: st.DataObject) -> None:
    chunks = tuple(data.draw(equal_chunks(n)) for n in case.image.shape)
    limits = replace(case.limits, unit_nbytes=Limits().unit_nbytes)
    plan = replace(case, source_chunks=chunks, workers=Workers(), limits=limits).plan()
    assert plan.amplification <= 1.1


@law(max_examples=40)
@given(case=cases())
def test_pieces_are_not_longer_than_a_source_chunk_or_a_block(case: Case) -> None:
    plan = case.plan()
    pass_ = passes(plan)[0]
    limits = plan.pyramids[0].levels[0].read_chunks
    for read, sizes, limit in zip(pass_.read_chunks, case.source_chunks, limits, strict=True):
        assert 1 <= read <= max(*sizes, limit)


@pytest.mark.parametrize("chunks", [(128, 128, 128), (1, 2048, 2048), (2048, 2048, 1), (2048, 1, 2048), (1, 1, 1)])
@pytest.mark.parametrize("threads", [1, 16])
def test_a_volume_is_read_once(chunks: tuple[int, ...], threads: int) -> None:
    case = replace(volume(2048), source_chunks=tuple(regular(2048, c) for c in chunks), workers=Workers(1, threads))
    assert case.plan().amplification == 1.0


def sourced(shape: tuple[int, ...], chunks: tuple[int, ...], threads: int) -> Case:
    """Return a uint16 image in source chunks, to be stored as nobody said how."""
    axes = parse_axes("zyx"[-len(shape) :], len(shape))
    image = Image(shape, "uint16", axes, (1.0,) * len(shape), (0.0,) * len(shape))
    return Case(image, tuple(map(regular, shape, chunks)), workers=Workers(1, threads))


@pytest.mark.parametrize("threads", [1, 4, 8])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((1024,) * 3, (100,) * 3),
        ((1024,) * 3, (97, 101, 103)),
        ((2000,) * 3, (250,) * 3),
        ((20_000,) * 2, (1000,) * 2),
        ((8000,) * 3, (250,) * 3),
    ],
)
def test_chunks_that_do_not_nest_are_cut_into_units_for_all_threads(
    shape: tuple[int, ...], chunks: tuple[int, ...], threads: int
) -> None:
    plan = sourced(shape, chunks, threads).plan()
    assert plan.count(0) >= threads
    assert prod(passes(plan)[0].unit) * 2 <= Limits().largest_unit_nbytes
    assert 1 < plan.amplification < 2
    assert f"the source is read {plan.amplification:.2f} times" in repr(plan)


@pytest.mark.parametrize("threads", [1, 4, 8, 32])
def test_planes_are_read_once(threads: int) -> None:
    plan = sourced((512, 2048, 2048), (1, 2048, 2048), threads).plan()
    assert plan.amplification == 1.0
    assert plan.count(0) == 4


@pytest.mark.parametrize(("edge", "units"), [(1024, 8), (2048, 32), (4096, 256)])
def test_units_of_large_shards_are_small_and_leave_a_copy_of_the_next_level(edge: int, units: int) -> None:
    plan = volume(edge, storage_options={"chunks": 64, "shards": 512}, workers=Workers(1, 2)).plan()
    assert (passes(plan)[0].stop, plan.count(0)) == (1, units)
    assert plan.pyramids[1].levels[0].shape == plan.pyramids[0].levels[1].shape
    assert plan.thread_memory < 4.1 * 2 * 512**3


@pytest.mark.parametrize(("edge", "levels", "units"), [(1024, 1, 8), (2048, 2, 8), (4096, 2, 64)])
def test_without_copies_levels_of_large_shards_are_written_together_where_there_is_work_for_all_threads(
    edge: int, levels: int, units: int
) -> None:
    case = volume(edge, storage_options={"chunks": 64, "shards": 512}, workers=Workers(1, 2), deletes=False)
    first = passes(case.plan())[0]
    assert (first.stop, case.plan().count(0)) == (levels, units)
    little = replace(case, workers=Workers(1, 2, 2300 * 2**20)).plan()
    assert (passes(little)[0].stop, little.memory <= 2300 * 2**20) == (1, True)


def test_a_large_unit_is_chosen_only_for_what_it_saves() -> None:
    unit, large = 10, 40
    assert _time(1.0, 4 * unit, 99 * unit, 1, unit, large) == 1
    assert _time(1.0, 16 * unit, 99 * unit, 1, unit, large) == 2
    assert _time(2.0, 2 * unit, 8 * unit, 4, unit, large) == 1.5
    assert _time(1.0, 4 * unit, 8 * unit, 4, unit, large) == 2
    assert _time(1.0, unit, unit, 4, unit, large) == 1  # too little to be worth dividing


def test_small_levels_are_left_to_one_unit_however_many_threads_there_are() -> None:
    plan = volume(2048, workers=Workers(1, 32)).plan()
    assert plan.count(len(plan.stages) - 1) == 1


@pytest.mark.parametrize("memory", [350, 450, 667, 900, 1200, 2000])
def test_planes_are_read_as_seldom_as_memory_allows(memory: int) -> None:
    case = replace(sourced((256, 2048, 2048), (1, 2048, 2048), 1), workers=Workers(memory=memory * 2**20))
    plan, chunks, source = case.plan(), case.source_chunks, SourceChunks(case.source_chunks)
    read = _read_chunks(plan.pyramids[0], 0, chunks)
    units = ((128, y, x) for y, x in product(range(128, 2049, 128), repeat=2))
    step = PassCandidates(plan.pyramids[0], 0, source, read, {}, "", Limits(), case.workers)
    every = [pass_ for unit in units for pass_ in step.passes(1, unit)]
    least = min(pass_.amplification for pass_ in every if pass_.unit_memory <= case.workers.thread_memory)
    assert plan.amplification == least


def test_a_source_that_does_not_fit_in_memory_is_read_again_and_the_plan_says_so() -> None:
    case = replace(volume(2048), source_chunks=((1,) * 2048, (2048,), (2048,)))
    tight = replace(case, workers=Workers(1, 1, PROCESS_MEM + case.plan().thread_memory)).plan()
    assert tight.memory <= tight.workers.memory
    assert f"the source is read {tight.amplification:.2f} times" in repr(tight)


# ---- memory


@law(max_examples=40)
@given(case=cases(), threads=st.lists(st.integers(1, 64), min_size=2, max_size=5))
def test_memory_is_positive_and_grows_with_threads(case: Case, threads: list[int]) -> None:
    plan = case.plan()
    assert all(pass_.unit_memory > 0 for pass_ in passes(plan))
    predicted = [replace(plan, workers=Workers(1, t)).memory for t in sorted(threads)]
    assert predicted == sorted(predicted)
    assert predicted[0] > PROCESS_MEM
    assert plan.memory == PROCESS_MEM + plan.workers.threads * plan.thread_memory
    assert replace(plan, workers=Workers(99, 2)).memory == replace(plan, workers=Workers(1, 2)).memory


@pytest.mark.extended
@law(max_examples=80)
@given(case=cases(), spare=st.integers(-100, 200_000), threads=st.integers(1, 4))
def test_a_memory_budget_is_kept_or_refused(case: Case, spare: int, threads: int) -> None:
    budget = PROCESS_MEM + spare
    case = replace(case, workers=Workers(1, threads, budget))
    plan = planned_or_refused(case)
    if isinstance(plan, Plan):
        assert plan.memory <= budget
    else:
        assert f"one unit of {case.image.name!r} needs" in plan
        assert len(re.findall(r"\d+(?:\.\d)? [KMG]?i?B\b", plan)) >= 3


def planned_or_refused(case: Case) -> Plan | str:
    """Return the plan of a case, or why there is none."""
    try:
        return case.plan()
    except ValueError as refusal:
        return str(refusal)


def nbytes(text: str) -> int:
    """Return the bytes that a text such as '1.5 KiB' names."""
    number, unit = text.split()
    return int(float(number) * 1024 ** ["B", "KiB", "MiB", "GiB", "TiB"].index(unit))


@law(max_examples=50)
@given(chunk=st.integers(30, 700), threads=st.integers(1, 16), spare=st.integers(0, 10**6))
def test_who_follows_the_advice_of_a_refusal_is_not_refused_for_it_again(chunk: int, threads: int, spare: int) -> None:
    case = volume(600, chunk, storage_options={"chunks": chunk}, workers=Workers(1, threads, PROCESS_MEM + spare))
    asked = []
    while isinstance(found := planned_or_refused(case), str):  # once for each pass that needs more than those before
        asked.append(nbytes(re.search(r"memory='([^']+)'", found)[1]))
        case = replace(case, workers=Workers(1, threads, asked[-1]))
        assert len(asked) < 2 or asked[-1] > asked[-2]
    assert found.memory <= case.workers.memory


@pytest.mark.parametrize("method", ["mean", "gaussian"])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_memory_does_not_grow_with_the_volume(method: str, dtype: str) -> None:
    predicted = [volume(edge, dtype=dtype, method=method).plan().thread_memory for edge in (2048, 4096, 16384)]
    assert len(set(predicted)) == 1
    assert predicted[0] < 1024 * MIB


@pytest.mark.parametrize("smaller", [{"chunks": 64}, {"chunks": 32, "shards": 64}])
def test_smaller_objects_need_no_more_memory(smaller: dict[str, int]) -> None:
    case = volume(2048, storage_options={"chunks": 256})
    assert replace(case, storage_options=smaller).plan().memory <= case.plan().memory


def test_memory_is_that_of_as_many_chunks_at_once_as_zarr_is_set_to() -> None:
    case = volume(1024, storage_options={"chunks": 64, "shards": 256})
    plans = [replace(case, workers=Workers(at_once=n)).plan() for n in (1, 10, 32, None)]
    predicted = [plan.thread_memory for plan in plans]
    assert predicted == sorted(set(predicted))
    for n, plan in zip((1, 10, 32, None), plans, strict=True):
        assert plans[1].memory_at(Workers(at_once=n)) >= plan.memory - 1  # Bytes are rounded.
    assert plans[1].memory_at(Workers(2, 3)) == plans[1].memory_of(3)


def test_workers_do_not_change_what_is_written() -> None:
    plan = volume().plan()
    assert replace(plan, workers=Workers(at_once=64)).fingerprint == plan.fingerprint


def test_a_refusal_names_the_numbers_and_the_way_out() -> None:
    case = volume(storage_options={"chunks": 256}, workers=Workers(2, 3, 200 * MIB))
    with pytest.raises(ValueError, match=r"'brain' needs .* MiB of memory, but a thread has 3\.3 MiB; give memory='"):
        case.plan()
    with pytest.raises(ValueError, match="for 3 threads, use fewer threads, or smaller chunks or shards"):
        case.plan()
    with pytest.raises(ValueError, match="a thread has 0 B"):
        replace(case, workers=Workers(1, 1, 1)).plan()


# ---- identity


@law(max_examples=40)
@given(case=cases())
def test_a_plan_survives_json(case: Case) -> None:
    plan = case.plan()
    text = plan.to_json()
    assert Plan.from_json(text) == plan
    assert Plan.from_json(text).to_json() == text
    assert Plan.from_json(text).fingerprint == plan.fingerprint
    assert list(units(Plan.from_json(text))) == list(units(plan))
    json.loads(text, parse_constant=pytest.fail)


def test_a_plan_with_everything_survives_json() -> None:
    image = volume().image
    shown = [{"label": "µ", "color": "00FF00", "window": (0, 1, 0.25, 1)}]
    said = {
        "omero": parse_omero(None, shown, image.axes, image.shape, "a"),
        "image_label": parse_image_label({1: [1, 2, 3, 4]}),
    }
    plan = plan_downsampled(
        replace(image, name="ümläut \"'</x>", scale=(0.1, 1 / 3, 1e-9)),
        SourceChunks(volume().source_chunks),
        METHODS["median"],
        VERSIONS["0.5"],
        scale_factors=[2, {"z": 2, "y": 4, "x": 4}],
        storage_options={"chunks": 32, "shards": 128, "fill_value": 7, "attributes": {"a": [1, {"b": None}]}},
        describe=lambda pyramid: image_metadata(pyramid, **said, how={"a": [1.5]}, rest={"b": {"c": None}}),
        options=PlanOptions(Workers(3, 2, 10**12)),
    )
    plate = Metadata(
        plate=parse_plate("AB", "12", ["A/1"], [{"id": 0}], 1, "p"), labels=("x",), series=("0",), layout=3
    )
    groups = [Group("A/1", Metadata(well=parse_well(["0"]))), Group("", plate)]
    plan = together([("A/1/0", plan), ("A/1/1", plan)], groups)
    assert len(plan.pyramids) == 2
    assert len(plan.temporary) == 2
    assert Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["format"] == FORMAT


def test_like_images_share_a_pyramid_in_memory_and_as_json() -> None:
    case = volume(storage_options={"chunks": 64, "shards": 512})
    part = case.plan()
    assert part.temporary
    plan = together([(f"A/{k}/0", part) for k in range(50)])
    for same in (plan, Plan.from_json(plan.to_json())):
        assert len(same.pyramids) == len(part.pyramids)
        assert len({id(group.pyramid) for group in same.groups}) == len(part.pyramids)
    assert len(plan.to_dict()["pyramids"]) == len(part.pyramids)
    assert plan.home == "A"
    assert all(group.path.startswith("A/.daskome/staging/") for group, _ in plan.temporary)
    assert len({group.path for group in plan.groups}) == len(plan.groups) == 50 * len(part.groups)
    assert [pass_.image for pass_ in plan.image_passes] == list(range(50))


def test_a_plan_of_a_callable_names_it() -> None:
    from daskome.kernels.methods import find_method

    case = volume()
    plan = plan_downsampled(case.image, SourceChunks(case.source_chunks), find_method(np.std), VERSIONS["0.5"])
    copy = Plan.from_json(plan.to_json())
    assert copy.pyramids[0].method.name == "numpy:std"
    assert copy.fingerprint == plan.fingerprint


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"format": 0}', '{"format": 1}', '{"format": "1"}', '{"format": 1, "stages": 3}']
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Plan.from_json(text)


def test_a_plan_of_another_format_is_refused() -> None:
    found = json.loads(volume().plan().to_json())
    with pytest.raises(ValueError, match=f"format {FORMAT}"):
        Plan.from_json(json.dumps({**found, "format": 1}))
    with pytest.raises(ValueError, match="another version of daskome may have made it: plan again, or finish with"):
        Plan.from_json(json.dumps({**found, "format": FORMAT - 1}))
    with pytest.raises(ValueError, match="damaged"):
        Plan.from_json(json.dumps({**found, "pyramids": []}))


OUTSIDE = ["/tmp/x", "../x", "a/../../x", "..", "."]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("where", ["group", "level", "pass", "copy", "keeper", "document"])
def test_a_plan_that_leads_out_of_its_store_is_refused(where: str, path: str) -> None:
    found = json.loads(volume().plan().to_json())
    change: Any = {
        "group": lambda: found["groups"][0].update(path=path),
        "level": lambda: found["pyramids"][0]["levels"][0].update(path=path),
        "pass": lambda: found["stages"][0]["passes"][0].update(group=path),
        "copy": lambda: found["stages"][0]["passes"][0].update(reads_copy=path),
        "keeper": lambda: found.update(keeper=path),
        "document": lambda: found["groups"][0].update(documents={path: "x"}),
    }
    change[where]()
    with pytest.raises(ValueError, match="leads out of its group"):
        Plan.from_json(json.dumps(found))


def test_what_a_plan_names_is_not_imported() -> None:
    found = json.loads(volume().plan().to_json())
    found["pyramids"][0]["method"] = "antigravity:geohash"
    plan = Plan.from_json(json.dumps(found))
    assert "antigravity" not in sys.modules
    assert json.loads(plan.to_json()) == found
    assert not plan.pyramids[0].method.loaded
    given = find_method(np.max)
    found["pyramids"][0]["method"] = given.name
    assert Plan.from_json(json.dumps(found), given).function == given


@law(max_examples=50)
@given(case=cases(), workers=st.integers(1, 999), threads=st.integers(1, 99), memory=st.none() | st.integers(0, 2**60))
def test_the_fingerprint_does_not_know_the_workers(case: Case, workers: int, threads: int, memory: int | None) -> None:
    plan = case.plan()
    assert replace(plan, workers=Workers(workers, threads, memory)).fingerprint == plan.fingerprint
    assert re.fullmatch(r"[0-9a-f]{32}", plan.fingerprint)
    assert case.plan().fingerprint == plan.fingerprint


def test_the_fingerprint_does_not_know_the_units() -> None:
    case = volume(300)
    plan, other = case.plan(), replace(case, limits=Limits(unit_nbytes=2**20)).plan()
    assert other.stages != plan.stages
    assert other.fingerprint == plan.fingerprint


def test_the_fingerprint_knows_all_that_changes_bytes() -> None:
    case = volume(300)
    image = case.image
    named = replace(case, storage_options={"chunks": 128, "shards": 256})
    changed = [
        case,
        named,
        *(replace(case, method=name) for name in METHODS if name != "mean"),
        *(replace(case, scale_factors=f) for f in (None, [2], [{"x": 2}], [3])),
        *(replace(case, storage_options={"chunks": 128, **o}) for o in (
            {"chunks": 64}, {"fill_value": 1}, {"compressors": None}, {"dimension_separator": "."},
            {"write_empty_chunks": True}, {"attributes": {"a": 1}},
        )),
        *(replace(case, image=i) for i in (
            replace(image, shape=(300, 300, 299)), replace(image, dtype="int16"), replace(image, name="heart"),
            replace(image, scale=(1.0, 1.0, 1.1)), replace(image, translation=(0.0, 0.0, 0.5)),
            replace(image, axes=parse_axes("zyx", 3, "nanometer")),
        )),
        replace(case, version="0.4"),
    ]  # fmt: skip
    found = [one.plan().fingerprint for one in changed]
    plan = case.plan()
    groups = [replace(plan.groups[0], path="labels/cells"), replace(plan.groups[0], metadata=Metadata(labels=("a",)))]
    found += [replace(plan, groups=(group,)).fingerprint for group in groups]
    assert len(set(found)) == len(found)


def test_plans_are_values() -> None:
    plan = volume().plan()
    assert plan == volume().plan()
    assert hash(passes(plan)[0]) == hash(passes(volume().plan())[0])
    with pytest.raises(AttributeError):
        plan.version = "0.4"  # type: ignore[misc]


# ---- size


class Counted(tuple[int, ...]):
    """Chunks of an axis that count how often one of them is looked at."""

    looks = 0

    def __iter__(self) -> Iterator[int]:
        Counted.looks += len(self)
        return super().__iter__()


@pytest.mark.parametrize("source", [(1024, 1024, 1024), (64, 64, 64), (1, 1024, 1024), (1000, 1000, 1000)])
def test_a_petabyte_is_planned_with_little_work(source: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    tried, candidate = [], PassCandidates._pass
    monkeypatch.setattr(PassCandidates, "_pass", lambda *args: tried.append(args) or candidate(*args))
    monkeypatch.setattr(Counted, "looks", 0)
    edge, workers = 102_400, Workers(256, 4, 16 * 2**30)
    chunks = tuple(Counted(regular(edge, chunk)) for chunk in source)
    plan = replace(volume(edge, dtype="uint8", workers=workers), source_chunks=chunks).plan()
    assert plan.nbytes > 2**50 * 0.9
    assert plan.memory <= 16 * 2**30
    assert len(plan.stages) <= len(plan.pyramids[0].levels) / 2
    assert plan.n_units / (plan.nbytes / 2**40) < 5000
    assert next(plan.units(0)).regions[0][0][0] == 0
    assert len(plan.to_json()) < 20_000
    assert len(tried) < 10_000
    assert Counted.looks < 8_000_000  # a second


@pytest.mark.extended
@law(max_examples=100)
@given(cases(), st.data())
def test_the_bytes_of_units_are_the_sum_of_theirs(case: Case, data: Any) -> None:
    plan = case.plan()
    for stage in range(len(plan.stages)):
        own = list(plan.units(stage))
        assert plan.nbytes_of(stage) == sum(map(plan.writes, own))
        chosen = sorted(data.draw(st.sets(st.integers(0, len(own) - 1))))
        assert plan.nbytes_of(stage, chosen) == sum(plan.writes(own[index]) for index in chosen)
        assert plan.nbytes_of(stage, range(len(own) // 2)) == sum(map(plan.writes, own[: len(own) // 2]))


def test_the_bytes_of_units_of_many_passes_and_of_copies() -> None:
    limits = Limits(1, 1, unit_nbytes=2**14, tail_nbytes=2**12, copied_nbytes=2**12)
    small = volume(48, 16, "uint32", scale_factors=[2, 4, 8], storage_options={"chunks": 8}, limits=limits)
    parts = [(f"{n}", small.plan()) for n in range(3)]
    plan = together(parts)
    assert plan.temporary
    assert sum(map(plan.nbytes_of, range(len(plan.stages)))) == plan.nbytes + plan.temporary_nbytes
    for stage in range(len(plan.stages)):
        chosen = range(0, plan.count(stage), 3)
        assert plan.nbytes_of(stage, chosen) == sum(map(plan.writes, plan.units(stage, chosen)))


def test_a_few_thousand_units_per_tebibyte() -> None:
    plan = volume(8192, 128, "uint16").plan()
    assert plan.n_units * 2**40 / plan.nbytes < 5000


def test_few_units_are_made_for_few_threads_and_enough_for_many() -> None:
    few, many = (volume(1024, workers=Workers(1, t)).plan() for t in (1, 16))
    assert few.n_units <= many.n_units
    assert many.count(0) >= 16 * Limits().units_per_thread


# ---- what it prints


@pytest.mark.parametrize("form", ["text", "html"])
def test_a_plan_prints_everything(form: str) -> None:
    image = Image((10, 401, 333), "uint16", parse_axes("zyx", 3), (2.5, 0.325, 0.325), (7.0, 0.0, 0.0), "brain <b>")
    plan = plan_downsampled(
        image,
        SourceChunks(((10,), (401,), (333,))),
        METHODS["mean"],
        VERSIONS["0.5"],
        scale_factors=[{"y": 2, "x": 2}, {"z": 2, "y": 6, "x": 4}],
        storage_options=[{"chunks": (5, 64, 64), "shards": (10, 128, 64)}, {"chunks": 50}, {"chunks": (3, 20, 30)}],
        options=PlanOptions(Workers(3, 2, 2**40)),
    )
    shown = repr(plan) if form == "text" else plan._repr_html_()
    rows = [
        ["s0", "10, 401, 333", "5, 64, 64", "10, 128, 64", "1, 1, 1", "2.5, 0.325, 0.325", "7, 0, 0", "2.5 MiB", "24"],
        ["s1", "10, 201, 167", "10, 50, 50", "–", "1, 2, 2", "2.5, 0.65, 0.65", "7, 0.1625, 0.1625", "656 KiB", "20"],
        ["s2", "5, 67, 84", "3, 20, 30", "–", "2, 6, 4", "5, 1.95, 1.3", "8.25, 0.8125, 0.4875", "55.0 KiB", "24"],
    ]
    title = "brain <b>: zyx uint16, mean, OME-Zarr 0.5"
    heads = ["level", "shape", "chunks", "shards", "factors", "scale", "translation", "bytes", "objects"]
    if form == "html":
        assert "<b>" not in shown
        assert f"<caption>{title.replace('<', '&lt;').replace('>', '&gt;')}</caption>" in shown
        first, second = shown.split("</table>")[:2]
        assert [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", first)][1:] == rows
        assert re.findall(r"<th>(.*?)</th>", first) == heads
        assert second.count("<tr>") == 1 + len(plan.stages)
        shown = unescape(shown)
    else:
        lines = [re.split(r" {2,}", line.strip()) for line in shown.splitlines()]
        assert [lines[0], lines[1], *lines[2:5]] == [[title], heads, *rows]
    assert f"in 68 stored objects ({68 + plan.n_units + 3 + 2} PUT requests); {plan.n_units} unit" in shown
    assert f"in {len(plan.stages)} stage" in shown
    assert "takes under 1 s, if a thread reads, downsamples and writes 100 MB/s of pixels" in shown
    assert "3 workers of 2 threads: peak memory" in shown
    assert f"{plan.memory / MIB:.0f} MiB each (190 MiB, and" in shown
    assert f"the source is read {plan.amplification:.2f} times" in shown


def test_stages_say_what_they_read_how_long_they_take_and_what_bounds_them() -> None:
    """The first reads 16 GiB in units for 32 threads, the second a copy of s2."""
    plan = volume(2048, scale_factors=[2, 4, 8, 16], workers=Workers(8, 4)).plan()
    assert [(load.units, load.nbytes / MIB, load.largest / MIB) for load in plan.loads] == [
        (128, 16 * 1024, 128),
        (1, 256, 256),
    ]
    lines = plan.text(rate=2**20).splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("stages"))
    rows = [re.split(r" {2,}", line.strip()) for line in lines[head + 1 : head + 4]]
    assert rows == [
        ["stage", "levels", "units", "reads", "largest", "time", "bound by"],
        ["0", "s0, s1", "128", "16.0 GiB", "128 MiB", "9 min", "threads"],
        ["1", "s2, s3, s4", "1", "256 MiB", "256 MiB", "4 min", "its units"],
    ]
    assert lines[-1] == "takes 13 min, if a thread reads, downsamples and writes 1.049 MB/s of pixels"


@law(max_examples=40)
@given(case=cases())
def test_what_stages_read_is_what_their_units_read(case: Case) -> None:
    assume(not METHODS[case.method].halo(2))
    plan = case.plan()
    for stage, load in enumerate(plan.loads):
        pass_ = plan.stages[stage].passes[0]
        found = [pass_.amplification * nbytes_read(plan, unit) for unit in plan.units(stage)]
        assert (load.units, load.nbytes, load.largest) == (
            len(found),
            pytest.approx(sum(found)),
            pytest.approx(max(found)),
        )


def nbytes_read(plan: Plan, unit: Unit) -> int:
    """Return the bytes of what a unit covers."""
    return prod(b - a for a, b in plan.reads(unit)) * plan.pyramids[0].itemsize


@pytest.mark.parametrize("edge", [8192, 17000])
@pytest.mark.parametrize(
    "chunks", [None, (128,) * 3, (256,) * 3, (64, 64, 64), (1, 2048, 2048), (32, 512, 512)], ids=str
)
def test_a_tebibyte_is_a_few_thousand_units(edge: int, chunks: tuple[int, ...] | None) -> None:
    """Of uint16 in six levels, for up to 64 threads of 2 GB; each unit is one task of a scheduler."""
    shape = (edge,) * 3
    case = volume(edge, scale_factors=[2, 4, 8, 16, 32], workers=Workers(16, 4, 8 * 10**9))
    plan = replace(case, source_chunks=regular_chunks(shape, chunks or (1, 1, 1))).plan()
    assert plan.n_units < 6000 * max(edge / 8192, 1) ** 3
    assert len(plan.stages) <= 4


def test_units_are_counted_without_being_made() -> None:
    """A petabyte has millions; what a plan says of it takes as long as what it says of a gigabyte."""
    plan = volume(80_000, scale_factors="auto").plan()
    assert plan.n_units > 10**6
    assert 10**6 < plan.nbytes / 10**9 < 2 * 10**6
    assert "units in" in repr(plan)
    assert next(plan.units(0)).index == 0


def test_a_unit_says_what_it_writes() -> None:
    plan = volume(scale_factors=[2]).plan()
    last = list(plan.units(0))[-1]
    axes = ", ".join(f"{name} {a}:{b}" for name, (a, b) in zip("zyx", last.regions[0], strict=True))
    assert plan.describe(last) == f"unit 0/{plan.n_units - 1} (brain: s0, s1; {axes} of s0)"


# ---- bad input


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("ctyx", "order time, channel, space"),
        ("tcx", "have 1 of space; an image has 2 or 3"),
    ],
)
def test_axes_that_the_version_forbids_are_refused(axes: str, message: str) -> None:
    image = Image((8,) * len(axes), "uint8", parse_axes(axes, len(axes)), (1.0,) * len(axes), (0.0,) * len(axes))
    with pytest.raises(ValueError, match=message):
        plan_downsampled(image, SourceChunks(tuple((8,) for _ in axes)), METHODS["mean"], VERSIONS["0.5"])
    with pytest.raises(ValueError, match=message):
        plan_levels([image], [SourceChunks(tuple((8,) for _ in axes))], METHODS["mean"], VERSIONS["0.5"])
