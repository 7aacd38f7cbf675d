"""Laws of `daskome.kernels.methods`: equal to TensorStore or exact arithmetic, and blind to how an image is cut."""

import math
import pickle
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorstore as ts
from hypothesis import given, strategies as st

from daskome.kernels import downsample as downsampling
from daskome.kernels.downsample import SLAB_NBYTES, downsample
from daskome.kernels.methods import METHODS, Method, find_method
from daskome.kernels.rank import _ordered
from tests.strategies import law

DTYPES = [*"?bBhHefd", "i4", "u4", "i8", "u8"]
INTEGERS = [c for c in DTYPES if np.dtype(c).kind in "iu"]
FLOATS = [c for c in DTYPES if np.dtype(c).kind == "f"]
FILTERS = ["gaussian", "resize", "zoom", "laplacian"]
WINDOWED = [name for name in METHODS if name not in FILTERS]
KEEPING = [name for name in METHODS if name != "laplacian"]
ORDERED = ["median", "mode", "min", "max"]

in_any_slabs = pytest.mark.usefixtures("slabs")


@pytest.fixture(params=[SLAB_NBYTES, 64], ids=["slabs", "tiny slabs"])
def slabs(request: pytest.FixtureRequest) -> Iterator[None]:
    """A law holds however a block is divided for the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downsampling, "SLAB_NBYTES", request.param)
        yield


def noise(shape: Any, dtype: Any, seed: int = 0, values: int | None = None) -> np.ndarray:
    """Values over a dtype's whole range (floats: ordinary ones); or a few, so that windows hold ties."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind == "f" and not values:
        return np.asarray(rng.normal(size=shape) * 100, dtype)
    low, high = (0, values or 2) if dtype.kind == "b" or values else (np.iinfo(dtype).min, np.iinfo(dtype).max + 1)
    wide = "u8" if dtype == "u8" else "i8"
    return np.asarray(rng.integers(low, high, shape, wide), dtype)


@st.composite
def cases(draw: Any, max_factor: int = 4) -> SimpleNamespace:
    """An image of one to five axes, with sizes odd, prime and one, and factors for it."""
    ndim = draw(st.integers(1, 5))
    shape = tuple(draw(st.integers(1, {1: 60, 2: 30, 3: 13, 4: 7, 5: 5}[ndim])) for _ in range(ndim))
    factors = tuple(draw(st.integers(1, max_factor)) for _ in range(ndim))
    values = draw(st.sampled_from([None, 2, 5]))
    image = noise(shape, draw(st.sampled_from(DTYPES)), draw(st.integers(0, 999)), values)
    return SimpleNamespace(image=image, factors=factors)


def tensorstore(image: np.ndarray, factors: tuple[int, ...], name: str) -> np.ndarray:
    """What TensorStore makes of it."""
    method: Any = "stride" if name == "nearest" else name
    return np.asarray(ts.downsample(ts.array(image), list(factors), method).read().result())


def by_window(image: np.ndarray, factors: tuple[int, ...], function: Any) -> np.ndarray:
    """A function of the list of each window's values, one window after the other."""
    counts = [-(-n // f) for n, f in zip(image.shape, factors, strict=True)]
    result = np.empty(counts, object)
    for index in np.ndindex(*counts):
        window = image[tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))]
        result[index] = function(window.ravel().tolist())
    return result


def in_blocks(image: np.ndarray, factors: tuple[int, ...], method: Method, windows: tuple[int, ...]) -> np.ndarray:
    """The image downsampled block by block, of so many windows each, with the halo that there is."""
    result = np.empty([-(-n // f) for n, f in zip(image.shape, factors, strict=True)], image.dtype)
    starts = [range(0, count, step) for count, step in zip(result.shape, windows, strict=True)]
    for index in product(*starts):
        source, target, halo = [], [], []
        for start, step, n, f in zip(index, windows, image.shape, factors, strict=True):
            low, high = start * f, min((start + step) * f, n)
            before, after = min(method.halo(f), low), min(method.halo(f), n - high)
            source.append(slice(low - before, high + after))
            target.append(slice(start, start + step))
            halo.append((before, after))
        result[tuple(target)] = downsample(image[tuple(source)], factors, method, tuple(halo))
    return result


# ---- TensorStore


@pytest.mark.sampled(10)
@in_any_slabs
@pytest.mark.parametrize("name", WINDOWED)
@law(max_examples=120)
@given(case=cases())
def test_equals_tensorstore(name: str, case: SimpleNamespace) -> None:
    got = downsample(case.image, case.factors, METHODS[name])
    np.testing.assert_array_equal(got, tensorstore(case.image, case.factors, name), strict=True)


@in_any_slabs
@pytest.mark.parametrize("name", WINDOWED)
@law(max_examples=25)
@given(case=cases(max_factor=23))
def test_equals_tensorstore_for_big_windows(name: str, case: SimpleNamespace) -> None:
    got = downsample(case.image, case.factors, METHODS[name])
    np.testing.assert_array_equal(got, tensorstore(case.image, case.factors, name), strict=True)


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", WINDOWED)
def test_equals_tensorstore_for_every_dtype(name: str) -> None:
    every_factors = [(2, 2, 2), (1, 2, 2), (2, 1, 1), (3, 5, 7), (16, 16, 16)]
    for dtype, factors, values in product(DTYPES, every_factors, (None, 3)):
        image = noise((19, 23, 40), dtype, values=values)
        got = downsample(image, factors, METHODS[name])
        want = tensorstore(image, factors, name)
        np.testing.assert_array_equal(got, want, f"{dtype}, {factors}, {values}", strict=True)


def test_mean_of_floats_is_added_in_tensorstores_order() -> None:
    image = np.array([[1e8, 1, -1e8, 1]], "f4").repeat(2, axis=0)
    assert downsample(image, (2, 4), METHODS["mean"]).item() == 0.125 == tensorstore(image, (2, 4), "mean").item()


# ---- exact arithmetic


@in_any_slabs
@pytest.mark.parametrize("dtype", INTEGERS)
@law(max_examples=40)
@given(seed=st.integers(0, 999), factors=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_mean_is_exact_at_the_extremes(dtype: str, seed: int, factors: tuple[int, int]) -> None:
    info = np.iinfo(dtype)
    edge = np.array([info.min, info.min + 1, info.max - 1, info.max], dtype)
    image = edge[np.random.default_rng(seed).integers(0, 4, (7, 11))]
    exact = by_window(image, factors, lambda window: round(Fraction(sum(window), len(window))))
    np.testing.assert_array_equal(downsample(image, factors, METHODS["mean"]), exact.astype(dtype))


@pytest.mark.sampled(4)
@in_any_slabs
@pytest.mark.parametrize("name", KEEPING)
def test_a_constant_stays(name: str) -> None:
    for dtype, end in product(INTEGERS, ("min", "max")):
        image = np.full((9, 14), getattr(np.iinfo(dtype), end), dtype)
        for factors in product((1, 2, 3, 16), repeat=2):
            assert (downsample(image, factors, METHODS[name]) == image[0, 0]).all(), (dtype, end, factors)


@pytest.mark.parametrize(
    ("values", "mean"),
    [([0, 1], 0), ([1, 2], 2), ([2, 3], 2), ([0, 0, 1, 1], 0), ([1, 1, 2, 2], 2), ([0, 1, 1], 1), ([1, 1, 2], 1)],
)
def test_mean_rounds_half_to_even(values: list[int], mean: int) -> None:
    for dtype in INTEGERS:
        assert downsample(np.array(values, dtype), (len(values),), METHODS["mean"]).item() == mean
    for dtype in "bhilq":
        assert downsample(-np.array(values, dtype), (len(values),), METHODS["mean"]).item() == -mean


@in_any_slabs
@pytest.mark.parametrize("dtype", ["i8", "u8", "f8"])
@law(max_examples=40)
@given(seed=st.integers(0, 999), factors=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_median_and_mode_tell_big_neighbours_apart(dtype: str, seed: int, factors: tuple[int, int]) -> None:
    top = np.array(np.iinfo("i8").max if dtype == "i8" else 2**64 - 1 if dtype == "u8" else 2**53, dtype)
    image = top - noise((10, 17), dtype, seed, values=4)
    mode = by_window(image, factors, lambda w: min(Counter(w).items(), key=lambda item: (-item[1], item[0]))[0])
    median = by_window(image, factors, lambda w: sorted(w)[(len(w) - 1) // 2])
    np.testing.assert_array_equal(downsample(image, factors, METHODS["mode"]), mode.astype(dtype))
    np.testing.assert_array_equal(downsample(image, factors, METHODS["median"]), median.astype(dtype))


@pytest.mark.parametrize("n", [*range(1, 17), 27, 32, 45, 64])
def test_the_network_sorts(n: int) -> None:
    """All inputs of zeros and ones, which proves it for any (Knuth 5.3.4, theorem Z); from 17 on, some."""
    planes = np.arange(2**n) >> np.arange(n)[:, None] & 1 if n < 17 else noise((n, 10_000), "B", values=2)
    want = np.sort(planes, axis=0)
    np.testing.assert_array_equal(_ordered(list(planes)), want)
    for wanted in range(n):
        np.testing.assert_array_equal(_ordered(list(planes), wanted)[wanted], want[wanted])


# ---- floats


@pytest.mark.parametrize("dtype", FLOATS)
def test_mean_of_the_greatest_floats_is_finite(dtype: str) -> None:
    for n, sign in product([2, 3, 7, 8, 64, 100], [-1, 1]):
        top = np.finfo(dtype).max * np.dtype(dtype).type(sign)
        assert downsample(np.full(n, top, dtype), (n,), METHODS["mean"]).item() == top, (n, sign)
        mixed = np.resize(np.array([top, top, -top, -top], dtype), 4 * n)
        assert downsample(mixed, (4,), METHODS["mean"]).tolist() == [0.0] * n, (n, sign)


@in_any_slabs
@pytest.mark.parametrize("name", WINDOWED)
def test_nan_and_infinity_propagate(name: str) -> None:
    """NaN as in NumPy: a window that holds one becomes one (of `nearest`, if it is the one taken)."""
    for dtype, factor in product(FLOATS, (2, 3, 8, 70)):
        check_nan_and_infinity(dtype, name, factor)


def check_nan_and_infinity(dtype: str, name: str, factor: int) -> None:
    rng = np.random.default_rng(factor)
    image = rng.choice(
        np.array([0, 1, -1, np.inf, -np.inf, np.nan], dtype), (20, 210), p=[0.3, 0.25, 0.4, 0.02, 0.02, 0.01]
    )
    got = downsample(image, (1, factor), METHODS[name])
    if name == "nearest":
        np.testing.assert_array_equal(got, image[:, ::factor])
        return
    windows = [image[:, start : start + factor] for start in range(0, 210, factor)]
    if name in ("mean", "min", "max"):
        with np.errstate(invalid="ignore"):
            want = np.stack([getattr(np, name)(w.astype("f8"), axis=1) for w in windows], axis=1)
        np.testing.assert_allclose(got, want.astype(dtype), rtol=1e-6 if dtype != "e" else 1e-3)
    else:
        np.testing.assert_array_equal(np.isnan(got), np.stack([np.isnan(w).any(axis=1) for w in windows], axis=1))


def test_floats_have_one_nan_and_one_zero() -> None:
    image = np.array([-0.0, -0.0, -np.nan, 1.0])
    for name in ["mean", *ORDERED, "gaussian"]:
        method = METHODS[name]
        got = np.concatenate([downsample(part, (2,), method) for part in (image[:2], image[2:])])
        assert got.tobytes() == np.array([0.0, np.nan]).tobytes()


# ---- cuts


@pytest.mark.sampled(10)
@in_any_slabs
@pytest.mark.parametrize("name", METHODS)
@law(max_examples=60)
@given(case=cases(), data=st.data())
def test_the_cut_does_not_matter(name: str, case: SimpleNamespace, data: Any) -> None:
    windows = tuple(data.draw(st.integers(1, 4)) for _ in case.factors)
    whole = downsample(case.image, case.factors, METHODS[name])
    assert in_blocks(case.image, case.factors, METHODS[name], windows).tobytes() == whole.tobytes()


@in_any_slabs
def test_more_halo_than_wanted_is_ignored() -> None:
    image = noise((40, 40), "u2")
    for method in METHODS.values():
        whole = downsample(image, (2, 4), method)
        inner = downsample(image, (2, 4), method, ((10, 10), (12, 8)))
        np.testing.assert_array_equal(inner, whole[5:15, 3:8])


@pytest.mark.sampled(4)
@in_any_slabs
@pytest.mark.parametrize("name", METHODS)
@law(max_examples=15)
@given(case=cases(max_factor=3))
def test_a_chain_of_levels(name: str, case: SimpleNamespace) -> None:
    level = blocks = case.image
    for _ in range(3):
        level = downsample(level, case.factors, METHODS[name])
        blocks = in_blocks(blocks, case.factors, METHODS[name], (2,) * blocks.ndim)
    assert blocks.tobytes() == level.tobytes()


# ---- arrays of all sorts


@pytest.mark.sampled(5)
@in_any_slabs
@pytest.mark.parametrize("name", METHODS)
def test_layout_and_byte_order_do_not_matter(name: str) -> None:
    for dtype in DTYPES:
        image = noise((8, 7, 6), dtype)
        want = downsample(image, (2, 3, 2), METHODS[name])
        sliced = np.empty((16, 14, 12), dtype)[::2, ::-2, 1::2]
        sliced[:] = image
        swapped = image.astype(image.dtype.newbyteorder())
        for other in (np.asfortranarray(image), sliced, swapped):
            other.flags.writeable = False
            got = downsample(other, (2, 3, 2), METHODS[name])
            assert got.dtype == other.dtype
            np.testing.assert_array_equal(got, want, dtype)


@pytest.mark.parametrize("name", METHODS)
def test_the_block_is_never_written_to(name: str) -> None:
    for image in (noise((9, 9), "u2", values=3), np.array([[np.nan, -0.0, 1, np.nan]])):
        before = image.copy()
        for image.flags.writeable in (True, False):
            for factors in product((1, 2, 3), repeat=2):
                downsample(image, factors, METHODS[name])
        assert image.tobytes() == before.tobytes()


@pytest.mark.parametrize("name", METHODS)
def test_sizes_at_the_edge_of_sense(name: str) -> None:
    assert downsample(np.zeros((0, 5), "u2"), (2, 2), METHODS[name]).shape == (0, 3)
    assert downsample(np.zeros((1,) * 8, "u2"), (2,) * 8, METHODS[name]).shape == (1,) * 8
    image = noise((3, 4), "f4")
    assert downsample(image, (1, 1), METHODS[name]).tobytes() == image.tobytes()
    assert downsample(image, (1, 1), METHODS[name], ((1, 0), (1, 2))).tobytes() == image[1:, 1:2].tobytes()
    assert downsample(noise(5, "u1"), (1000,), METHODS[name]).shape == (1,)


def test_temporary_memory_is_a_few_slabs() -> None:
    import tracemalloc

    image = noise((192, 192, 192), "u2", values=9)
    for method in METHODS.values():
        tracemalloc.start()
        result = downsample(image, (2, 2, 2), method)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak - result.nbytes < (3 if method.name == "laplacian" else 1.6) * SLAB_NBYTES, method.name


# ---- positions and the gaussian


@pytest.mark.parametrize("name", KEEPING)
@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_a_ramp_stays_a_ramp(name: str, factor: int) -> None:
    method, inner = METHODS[name], slice(2, -2)
    got = downsample(np.arange(20.0 * factor), (factor,), method)[inner]
    np.testing.assert_allclose(np.diff(got), factor, rtol=1e-12)
    if name in ("mean", "gaussian", "nearest") or (name == "median" and factor % 2):
        np.testing.assert_allclose(got, (np.arange(20) * factor + method.offset(factor))[inner], rtol=1e-12)


def test_offsets() -> None:
    assert [METHODS["mean"].offset(f) for f in (1, 2, 3, 4)] == [0, 0.5, 1, 1.5]
    assert {METHODS["nearest"].offset(f) for f in (1, 2, 3, 4)} == {0}


@in_any_slabs
@pytest.mark.parametrize("factors", [(2, 2), (1, 3), (4, 1), (5, 2)])
def test_gaussian_is_the_sum_of_its_definition(factors: tuple[int, int]) -> None:
    image = noise((17, 13), "f8")
    matrices = []
    for n, f in zip(image.shape, factors, strict=True):
        offsets = np.arange(n) - (np.arange(-(-n // f))[:, None] * f + (f - 1) / 2)
        variance = max(f * f - 1, 1e-9) / (8 * math.log(2))
        weights = np.exp(-0.5 * offsets**2 / variance) * (abs(offsets) < METHODS["gaussian"].halo(f) + f / 2)
        matrices.append(weights / weights.sum(axis=1, keepdims=True))
    want = np.einsum("ai,bj,ij->ab", *matrices, image)
    np.testing.assert_allclose(downsample(image, factors, METHODS["gaussian"]), want, rtol=1e-12, atol=1e-12)


def test_gaussian_halo_covers_three_to_four_sigma() -> None:
    assert METHODS["gaussian"].halo(1) == 0
    for factor in range(2, 20):
        reach = METHODS["gaussian"].halo(factor) + (factor - 1) / 2
        assert 3 <= reach / math.sqrt((factor**2 - 1) / (8 * math.log(2))) < 4


def test_only_filters_need_a_halo() -> None:
    assert {name for name, method in METHODS.items() if method.halo(4)} == {*FILTERS} - {"zoom"}


# ---- callables and names


@in_any_slabs
@pytest.mark.parametrize(("function", "name"), [(np.max, "max"), (np.min, "min"), (np.mean, "mean")])
@law(max_examples=25)
@given(case=cases(max_factor=3))
def test_a_callable_does_what_the_row_does(function: Any, name: str, case: SimpleNamespace) -> None:
    if case.image.dtype.kind == "f" or case.image.itemsize == 8:
        case.image = case.image.astype("i4")
    got = downsample(case.image, case.factors, find_method(function))
    np.testing.assert_array_equal(got, downsample(case.image, case.factors, METHODS[name]), strict=True)


def test_callables_of_all_sorts() -> None:
    image = noise((6, 8), "u1")
    for method in ("numpy:std", np.std, find_method("numpy:std")):
        std = find_method(method)
        assert std.name == "numpy:std"
        want = np.rint(image.reshape(3, 2, 4, 2).std(axis=(1, 3))).astype("u1")
        np.testing.assert_array_equal(downsample(image, (2, 2), std), want)
    high = find_method(lambda w, axis: np.percentile(w, 90, axis=axis))
    assert high.name == f"{__name__}:test_callables_of_all_sorts.<locals>.<lambda>"
    assert high.centred
    assert high.halo(2) == 0
    assert downsample(image, (3, 3), high).dtype == "u1"
    half = find_method(lambda w, axis: w.max(axis=axis).astype("e") / 2)
    assert downsample(np.array([6, 1, 5, 3], "u8"), (2,), half).tolist() == [3, 2]
    assert find_method(METHODS["mean"]) is METHODS["mean"]


@pytest.mark.parametrize("method", [*METHODS, "numpy:max", np.std])
def test_methods_travel_to_workers(method: Any) -> None:
    method, image = find_method(method), noise((5, 5), "u2")
    copy = pickle.loads(pickle.dumps(method))
    assert copy.name == method.name
    np.testing.assert_array_equal(downsample(image, (2, 2), copy), downsample(image, (2, 2), method))


@pytest.mark.parametrize(
    ("function", "dtype", "message"),
    [
        (lambda w, axis: w.sum(axis=axis), "u1", "must stay in 0 … 255"),
        (lambda w, axis: w.max(axis=axis) - 300.0, "i1", "must stay in -128 … 127"),
        (lambda w, axis: w.max(axis=axis) * np.nan, "u2", "returned nan for uint16"),
        (lambda w, axis: w.max(axis=axis) * 0 + 2.0**64, "u8", "must stay in 0 …"),
        (lambda w, axis: w.max(axis=axis) * 0 + 2.0**63, "i8", "must stay in"),
        (lambda w, axis: w.max(axis=axis) + 1.0, "?", "must stay in 0 … 1"),
        (lambda w, axis: w.max(axis=axis[0]), "u1", "must return numbers shaped"),
        (lambda w, axis: w.max(axis=axis) + 1j, "f4", "must return numbers"),
    ],
)
def test_what_a_callable_returns_is_checked(function: Any, dtype: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"test_methods:<lambda>.*{message}"):
        downsample(np.ones((300, 300), dtype), (300, 300), find_method(function))


def test_a_callable_cannot_write_to_the_image() -> None:
    def clear(windows: np.ndarray, axis: tuple[int, ...]) -> Any:
        windows[:] = 0

    with pytest.raises(ValueError, match="read-only"):
        downsample(np.ones((4, 4)), (2, 2), find_method(clear))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("meen", "'meen', nearest 'mean': use one of mean, median, mode, min, max, nearest, gaussian"),
        ("gausian", "nearest 'gaussian'"),
        ("zzz", "use one of mean"),
        ("numpy:no_such", "no_such"),
        ("no_such_module:max", "no_such_module"),
        (":max", "cannot be imported"),
        ("numpy:pi", "is a float"),
    ],
)
def test_unknown_methods(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_method(name)


@pytest.mark.parametrize(
    ("dtype", "factors", "halo", "message"),
    [
        ("c8", (2, 2), None, "complex64"),
        ("M8[s]", (2, 2), None, "cannot downsample dtype"),
        ("u1", (2,), None, "factors"),
        ("u1", (2, 0), None, "factors"),
        ("u1", (2, 2), ((0, 0),), "halo"),
        ("u1", (2, 2), ((0, 0), (-1, 0)), "halo"),
        ("u1", (2, 2), ((0, 0), (3, 3)), "halo"),
    ],
)
def test_arguments_are_checked(dtype: str, factors: Any, halo: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        downsample(np.zeros((4, 5), dtype), factors, METHODS["mean"], halo)
