"""Laws of `daskome.model.pyramid`: shapes by ceil, scales by factors, positions by method, in every dtype and size."""

from dataclasses import replace
from itertools import pairwise
from math import log2, prod
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from daskome.kernels.methods import METHODS
from daskome.model.axes import parse_axes
from daskome.model.factors import parse_factors
from daskome.model.image import DTYPES, ITEMSIZES, Image, check_image, check_ndim
from daskome.model.limits import Limits
from daskome.model.pyramid import given_pyramid, image_pyramid, write_block
from daskome.model.regions import Shape, ceil_div
from daskome.model.storage.layout import ZARR_V2, ZARR_V3
from tests.strategies import factors, images, law, methods, options, per

CHUNKS = (64, 64, 64)


def volume(shape: Shape = (100, 200, 300), axes: str = "zyx", scale: Any = None, dtype: str = "uint16") -> Image:
    """Return an image of some shape."""
    parsed = parse_axes(axes, len(axes))
    return Image(shape, dtype, parsed, scale or (1.0,) * len(shape), (0.0,) * len(shape))


# ---- levels


@law(max_examples=150)
@given(image=images(), method=methods, data=st.data())
def test_every_level_follows_from_the_factors(image: Image, method: str, data: st.DataObject) -> None:
    wanted = data.draw(factors(image))
    given_options = {"chunks": data.draw(options(image.shape, False))["chunks"]}
    found = image_pyramid(image, METHODS[method], wanted, given_options, ZARR_V3)
    assert len(found.levels) == len(wanted) + 1
    for k, (level, entry) in enumerate(zip(found.levels, [{}, *wanted], strict=True)):
        fs = [entry.get(axis.name, 1) for axis in image.axes]
        assert level.path == f"s{k}"
        assert level.factors == tuple(fs)
        assert level.shape == tuple(-(-n // f) for n, f in zip(image.shape, fs, strict=True))
        assert level.shape == np.empty(image.shape, "b")[tuple(slice(None, None, f) for f in fs)].shape
        assert level.scale == tuple(f * s for f, s in zip(fs, image.scale, strict=True))
        shift = [0 if method == "nearest" else (f - 1) / 2 * s for f, s in zip(fs, image.scale, strict=True)]
        assert level.translation == pytest.approx([t + d for t, d in zip(image.translation, shift, strict=True)])
    assert found.levels[0].translation == image.translation
    for k in range(1, len(found.levels)):
        steps = [b // a for a, b in zip(found.levels[k - 1].factors, found.levels[k].factors, strict=True)]
        assert found.factors(k) == tuple(steps)
        assert found.levels[k].voxels < found.levels[k - 1].voxels
        chained = [-(-n // f) for n, f in zip(found.levels[k - 1].shape, steps, strict=True)]
        assert found.levels[k].shape == tuple(chained)
    assert found.nbytes == sum(np.prod(level.shape) for level in found.levels) * np.dtype(image.dtype).itemsize
    assert (found.name, found.dtype, found.axes) == (image.name, image.dtype, image.axes)


@law(max_examples=100)
@given(image=images(), method=methods, data=st.data())
def test_windows_lie_where_the_metadata_place_them(image: Image, method: str, data: st.DataObject) -> None:
    """A ramp: the sample of each whole window, by its method, is the position that scale and translation give."""
    wanted = data.draw(factors(image))
    assume(wanted)
    level = image_pyramid(image, METHODS[method], wanted, None, ZARR_V3).levels[-1]
    for axis, n in enumerate(image.shape):
        ramp = image.translation[axis] + image.scale[axis] * np.arange(n)
        f = int(level.factors[axis])
        windows = ramp[: n // f * f].reshape(-1, f)
        samples = windows[:, 0] if method == "nearest" else windows.mean(axis=1)
        placed = level.translation[axis] + level.scale[axis] * np.arange(len(samples))
        np.testing.assert_allclose(samples, placed, rtol=1e-9, atol=1e-6)


@law(max_examples=100)
@given(image=images(), data=st.data(), stored_as=st.sampled_from([ZARR_V2, ZARR_V3]))
def test_what_a_task_writes_and_reads_are_whole_objects(image: Image, data: st.DataObject, stored_as: Any) -> None:
    wanted = data.draw(factors(image))
    given_options = data.draw(options(image.shape, stored_as is ZARR_V3))
    for level in image_pyramid(image, METHODS["mean"], wanted, given_options, stored_as).levels:
        stored, chunks = level.layout.objects, level.layout.chunks
        assert all(w % s == 0 for w, s in zip(level.write_chunks, stored, strict=True))
        assert all(r % c == 0 for r, c in zip(level.read_chunks, chunks, strict=True))
        assert level.n_objects == prod(-(-n // s) for n, s in zip(level.shape, stored, strict=True))


@law(max_examples=200)
@given(image=images(), data=st.data(), block=st.sampled_from([1, 100, 4000, Limits().block_nbytes]))
def test_blocks_grow_to_a_size_and_not_beyond(image: Image, data: st.DataObject, block: int) -> None:
    objects = data.draw(per(image.shape, lambda n: st.integers(1, n)))
    limits = Limits(block_nbytes=block, frame_nbytes=block // 4)
    found = write_block(image.shape, objects, image.axes, image.itemsize, limits)
    nbytes = prod(found) * image.itemsize
    assert nbytes <= max(block, prod(objects) * image.itemsize)
    for b, o, n, axis in zip(found, objects, image.shape, image.axes, strict=True):
        assert b % o == 0
        assert b < 2 * n or b == o
        assert b // o & (b // o - 1) == 0
        assert axis.spatial or b == o or nbytes <= max(block // 4, prod(objects) * image.itemsize)
        assert b >= n or 2 * nbytes > (block if axis.spatial else block // 4)


@pytest.mark.parametrize(
    ("shape", "objects", "axes", "itemsize", "expected"),
    [
        ((500, 500, 500), (64, 64, 64), "zyx", 2, (128, 128, 128)),
        ((500, 500, 500), (256, 256, 256), "zyx", 2, (256, 256, 256)),
        ((1000, 1000), (64, 64), "yx", 1, (1024, 1024)),
        ((9, 3, 64, 64), (1, 1, 64, 64), "tcyx", 1, (16, 4, 64, 64)),
        ((9, 3, 1024, 1024), (1, 1, 1024, 1024), "tcyx", 2, (1, 1, 1024, 1024)),
        ((1, 1), (1, 1), "yx", 8, (1, 1)),
    ],
)
def test_blocks(shape: Shape, objects: Shape, axes: str, itemsize: int, expected: Shape) -> None:
    assert write_block(shape, objects, parse_axes(axes, len(axes)), itemsize, Limits()) == expected
    assert Limits().frame_nbytes < Limits().block_nbytes


# ---- factors


@law(max_examples=200)
@given(image=images(), data=st.data())
def test_automatic_factors_halve_space_until_a_level_fits_in_one_chunk(image: Image, data: st.DataObject) -> None:
    chunks = data.draw(per(image.shape, lambda n: st.integers(1, n)))
    found = parse_factors("auto", image, chunks)
    assert found[0] == (1,) * len(image.shape)
    shapes = [tuple(ceil_div(n, f) for n, f in zip(image.shape, fs, strict=True)) for fs in found]
    space = [i for i, axis in enumerate(image.axes) if axis.spatial]
    fits = [all(shape[i] <= chunks[i] for i in space) for shape in shapes]
    assert fits == [False] * (len(found) - 1) + [True]
    for before, after, shape in zip(found, found[1:], shapes, strict=False):
        halved = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if b == 2 * a]
        kept = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if b == a]
        assert halved
        assert sorted(halved + kept) == list(range(len(before)))
        assert all(i in space and shape[i] > 1 for i in halved)
        voxel = {i: image.scale[i] * before[i] for i in space if shape[i] > 1}
        fine = {i for i in voxel if log2(max(voxel.values()) / voxel[i]) >= 0.5}
        assert set(halved) == (fine or set(voxel))


@law(max_examples=100)
@given(image=images(), data=st.data())
def test_automatic_factors_are_factors_that_could_be_given(image: Image, data: st.DataObject) -> None:
    found = parse_factors("auto", image, data.draw(per(image.shape, lambda n: st.integers(1, n))))
    named = [{axis.name: f for axis, f in zip(image.axes, fs, strict=True)} for fs in found[1:]]
    assert parse_factors(named, image, image.shape) == found


@law(max_examples=50)
@given(
    shape=st.lists(st.integers(1, 2**40), min_size=3, max_size=3), scale=per("zyx", lambda _: st.floats(1e-200, 1e200))
)
def test_automatic_factors_end_for_any_shape(shape: list[int], scale: tuple[float, ...]) -> None:
    found = parse_factors("auto", volume(tuple(shape), scale=scale), CHUNKS)
    assert len(found) <= 3 * 41
    assert all(ceil_div(n, f) <= 64 for n, f in zip(shape, found[-1], strict=True))


@pytest.mark.parametrize(
    ("shape", "scale", "axes", "expected"),
    [
        ((100, 400, 400), (4, 1, 1), "zyx", [(1, 2, 2), (1, 4, 4), (2, 8, 8)]),
        ((64, 64, 64), (1, 1, 1), "zyx", []),
        ((65, 64, 64), (1, 1, 1), "zyx", [(2, 2, 2)]),
        ((1, 256, 256), (9, 1, 1), "zyx", [(1, 2, 2), (1, 4, 4)]),
        ((5, 200, 200), (1, 1, 1), "zyx", [(2, 2, 2), (4, 4, 4)]),
        ((500, 500, 64, 64), (1, 1, 1, 1), "tcyx", []),
        ((500, 3, 100, 100), (9, 9, 1, 1), "tcyx", [(1, 1, 2, 2)]),
        ((200, 200), (1, 1.4), "yx", [(2, 2), (4, 4)]),
        ((200, 200), (1, 1.5), "yx", [(2, 1), (4, 2), (8, 4)]),
    ],
)
def test_automatic_factors(shape: Shape, scale: Any, axes: str, expected: list[Shape]) -> None:
    image = volume(shape, axes, tuple(map(float, scale)))
    assert parse_factors("auto", image, (64,) * len(shape))[1:] == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, []),
        ([], []),
        ([2, 4], [(1, 2, 2, 2), (1, 4, 4, 4)]),
        ((3, 6), [(1, 3, 3, 3), (1, 6, 6, 6)]),
        ([2.0], [(1, 2, 2, 2)]),
        ([np.uint8(2)], [(1, 2, 2, 2)]),
        ([{"x": 2}], [(1, 1, 1, 2)]),
        ([{"c": 1, "x": 2}, 2], [(1, 1, 1, 2), (1, 2, 2, 2)]),
        ([{"y": 3}, {"z": 2, "y": 6, "x": 5}], [(1, 1, 3, 1), (1, 2, 6, 5)]),
    ],
)
def test_forms_of_factors(wanted: Any, expected: list[Shape]) -> None:
    found = parse_factors(wanted, volume((3, 20, 30, 40), "czyx"), (1, 64, 64, 64))
    assert found == [(1, 1, 1, 1), *expected]
    assert all(type(f) is int for fs in found for f in fs)


def test_an_axis_of_one_voxel_keeps_its_factor() -> None:
    assert parse_factors([2, 4], volume((1, 9, 9)), CHUNKS) == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]
    assert parse_factors([2, 4, 8], volume((2, 16, 16)), CHUNKS)[1:] == [(2, 2, 2), (2, 4, 4), (2, 8, 8)]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([0], "scale factor 0 of axis 'z' must be a whole number, 1 or more"),
        ([-2], "scale factor -2 of axis 'z' must be a whole number"),
        ([1.5], "scale factor 1.5 of axis 'z' must be a whole number"),
        ([{"x": 2.5}], "scale factor 2.5 of axis 'x' must be a whole number"),
        (["2"], "scale factor '2' of axis 'z' must be a whole number"),
        ([float("nan")], "scale factor nan of axis 'z'"),
        ([float("inf")], "scale factor inf of axis 'z'"),
        ([None], "scale factor None of axis 'z'"),
        ([{"c": 2}], "axis 'c' of type channel has scale factor 2; only space is downsampled"),
        ([{"t": 2, "x": 2}], "axis 't' of type time has scale factor 2; only space is downsampled"),
        ([2, 3], "relative to level 0, each a multiple of the previous one: axis 'z' has 3 after 2"),
        ([4, 2], "each a multiple of the previous one: axis 'z' has 2 after 4"),
        ([{"x": 2}, {"y": 2}], "axis 'x' has 1 after 2"),
        ([1], "make a level that is not smaller than the previous one"),
        (
            [2, 2],
            r"scale factors \(1, 1, 2, 2, 2\) make .* not smaller .* \(2, 3, 20, 30, 40\) allows fewer levels",
        ),
        ([{}], "make a level that is not smaller"),
        ([{"q": 2}], "unknown scale factor for axis 'q'"),
        ("double", "scale_factors 'double': give a list such as"),
        ("", "scale_factors '': give a list such as"),
        (2, r"scale_factors 2: give a list such as \[2, 4, 8\], or 'auto'"),
        (0, "scale_factors 0: give a list"),
        (np.int64(2), "scale_factors .*2.*: give a list"),
        (2.0, "scale_factors 2.0: give a list"),
        ([2**k for k in range(1, 10)], "make a level that is not smaller than the previous one"),
    ],
)
def test_factors_that_cannot_be(wanted: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_factors(wanted, volume((2, 3, 20, 30, 40), "tczyx"), (1, 1, 64, 64, 64))


@pytest.mark.parametrize(
    ("wanted", "f"), [([{"x": 2}], 2), ([{"y": 2, "x": 3}], 3), ([2, {"z": 2, "y": 2, "x": 4}], 4)]
)
def test_one_voxel_is_not_downsampled(wanted: Any, f: int) -> None:
    message = f"scale factor {f} of axis 'x': the previous level has only one voxel there"
    with pytest.raises(ValueError, match=message):
        parse_factors(wanted, volume((20, 30, 1)), CHUNKS)


# ---- levels of the caller


@law(max_examples=100)
@given(
    shape=st.lists(st.integers(1, 5000), min_size=2, max_size=3).map(tuple),
    rounded=st.sampled_from([lambda n: (n + 1) // 2, lambda n: n // 2]),
    method=methods,
)
def test_halves_made_elsewhere_are_placed_like_our_own(shape: Shape, rounded: Any, method: str) -> None:
    """By ceil, or by dropping the last voxel: a level is half the one before, and so at twice the scale."""
    axes = "zyx"[-len(shape) :]
    levels, expected = [volume(shape, axes)], [(1.0,) * len(shape)]
    while max(levels[-1].shape) > 3:
        before = levels[-1].shape
        levels.append(volume(tuple(rounded(n) if n > 3 else n for n in before), axes))
        expected.append(tuple(f * 2 if n > 3 else f for f, n in zip(expected[-1], before, strict=True)))
    found = given_pyramid(levels, METHODS[method], None, ZARR_V3).levels
    assert [level.factors for level in found] == expected
    assert [level.scale for level in found] == expected


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(100, 100), (50, 50), (25, 25)], [(1, 1), (2, 2), (4, 4)]),
        ([(101, 101), (51, 50)], [(1, 1), (2, 2)]),
        ([(7, 9), (3, 3)], [(1, 1), (2, 3)]),
        ([(9, 33), (5, 17), (3, 9), (2, 5)], [(1, 1), (2, 2), (4, 4), (8, 8)]),
        ([(5, 8), (1, 8)], [(1, 1), (5, 1)]),
        ([(9, 27), (3, 9), (1, 3), (1, 1)], [(1, 1), (3, 3), (9, 9), (9, 27)]),
        ([(100, 100), (100, 30)], [(1, 1), (1, 100 / 30)]),
        ([(5, 10), (4, 10)], [(1, 1), (1.25, 1)]),
    ],
)
def test_ratios_of_levels(shapes: list[Shape], expected: list[tuple[float, ...]]) -> None:
    levels = [volume(shape, "yx", (0.5, 2.0)) for shape in shapes]
    found = given_pyramid(levels, METHODS["mean"], None, ZARR_V3).levels
    assert [level.factors for level in found] == [pytest.approx(e) for e in expected]
    assert [level.scale for level in found] == [pytest.approx((0.5 * a, 2 * b)) for a, b in expected]
    assert [level.translation for level in found] == [pytest.approx(((a - 1) / 4, b - 1)) for a, b in expected]


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([], "the pyramid has no levels"),
        ([volume((8, 8), "yx"), volume((8, 8), "yx")], r"level 1 of shape \(8, 8\) does not shrink from level 0"),
        (
            [volume((8, 8), "yx"), volume((4, 9), "yx")],
            r"level 1 of shape \(4, 9\) does not shrink .*; give levels from fine",
        ),
        ([volume((4, 4), "yx"), volume((8, 8), "yx")], "does not shrink"),
        ([volume((8, 8), "yx"), volume((4, 4), "yx"), volume((4, 4), "yx")], "level 2 .* does not shrink from level 1"),
        ([volume((8, 8), "yx"), volume((4, 0), "yx")], "level 1 .* does not shrink"),
        (
            [volume((8, 8), "yx"), volume((4, 4), "yx", dtype="uint8")],
            "level 1 has dtype uint8, but level 0 has uint16",
        ),
        ([volume((8, 8), "yx"), volume((4, 4, 4), "zyx")], "level 1 has axes .*; they must be equal"),
        ([volume((8, 8, 8), "zyx"), volume((4, 4, 4), "cyx")], "level 1 has axes"),
        (
            [volume((4, 8, 8), "cyx"), volume((2, 4, 4), "cyx")],
            "level 1 has 2 along axis 'c' of type channel, but level 0 has 4; only space is downsampled",
        ),
        (
            [volume((4, 8, 8), "tyx"), volume((4, 4, 4), "tyx"), volume((3, 2, 2), "tyx")],
            "level 2 has 3 .* 't' of type",
        ),
        ([volume((8, 0), "yx")], "axis of length 0"),
        ([volume((8, 8), "yx", dtype="complex64")], "complex64"),
    ],
)
def test_levels_that_are_no_pyramid(levels: list[Image], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_pyramid(levels, METHODS["mean"], None, ZARR_V3)


# ---- images


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_dtypes_of_images(dtype: str) -> None:
    image = volume(dtype=dtype)
    check_image(image)
    assert np.dtype(dtype).name == dtype
    assert image.itemsize == ITEMSIZES[dtype] == np.dtype(dtype).itemsize
    assert image_pyramid(image, METHODS["mean"], [2], None, ZARR_V3).itemsize == np.dtype(dtype).itemsize


def test_there_are_twelve_dtypes() -> None:
    kinds = {np.dtype(dtype).kind + str(np.dtype(dtype).itemsize) for dtype in DTYPES}
    assert kinds == {"b1", *(f"{kind}{n}" for kind in "iu" for n in (1, 2, 4, 8)), "f2", "f4", "f8"}
    assert len(DTYPES) == 12


@pytest.mark.parametrize(
    "dtype",
    ["complex64", "complex128", "object", "str64", "bytes8", "datetime64[ns]", "timedelta64[s]", "void32", "float128"],
)
def test_other_dtypes_are_refused_by_name(dtype: str) -> None:
    with pytest.raises(
        ValueError, match=r"dtype .* cannot be stored as an image; convert it to one of bool, int8"
    ) as caught:
        image_pyramid(volume(dtype=dtype), METHODS["mean"], "auto", None, ZARR_V3)
    assert f"dtype {dtype} " in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((), "has dimensions; a single number has none"),
        ((8, 0), r"the image is empty: shape \(8, 0\) has an axis of length 0"),
    ],
)
def test_shapes_that_are_no_image(shape: Shape, message: str) -> None:
    axes = parse_axes("tczyx", 5)
    if "dimensions" in message:
        with pytest.raises(ValueError, match=message):
            check_ndim(shape)
    with pytest.raises(ValueError, match=message):
        check_image(Image(shape, "uint8", (axes * 2)[-len(shape) :], (1.0,) * len(shape), (0.0,) * len(shape)))


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0, float("nan"), float("inf"), -float("inf")])
def test_a_voxel_has_a_positive_finite_size(value: float) -> None:
    with pytest.raises(ValueError, match=f"scale of axis 'y' is {value}"):
        check_image(volume(scale=(1.0, value, 1.0)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_position_is_finite(value: float) -> None:
    with pytest.raises(ValueError, match=f"translation of axis 'x' is {value}"):
        check_image(replace(volume(), translation=(0.0, 0.0, value)))


def test_options_per_level_are_as_many_as_levels() -> None:
    pyramid = image_pyramid(volume(), METHODS["mean"], [2, 4], [{"chunks": 64}, {"chunks": 32}, {}], ZARR_V3)
    assert [level.layout.chunks for level in pyramid.levels] == [(64,) * 3, (32,) * 3, (25, 50, 75)]
    with pytest.raises(ValueError, match="storage_options has 2 entries, but the pyramid has 3 levels"):
        image_pyramid(volume(), METHODS["mean"], [2, 4], [{}, {}], ZARR_V3)


def test_each_level_is_smaller_than_the_one_before() -> None:
    levels = image_pyramid(volume((1001, 999, 1)), METHODS["mean"], "auto", {"chunks": 10}, ZARR_V3).levels
    assert all(b.voxels < a.voxels for a, b in pairwise(levels))
    assert [level.shape for level in levels][-1] == (8, 8, 1)
