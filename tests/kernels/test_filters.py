"""The filters of scikit-image and SciPy by windows: equal to theirs on whole images, and blind to how one is cut."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from scipy import ndimage
from skimage.transform import pyramid_laplacian, resize

from daskome.kernels import downsample as downsampling
from daskome.kernels.downsample import SLAB_NBYTES, downsample
from daskome.kernels.methods import METHODS, Method, find_method
from tests.strategies import law

NAMES = ["resize", "zoom", "laplacian"]
DTYPES = ["u1", "u2", "i2", "f4", "f8", "i8", "?"]
names = pytest.mark.parametrize("name", NAMES)
factors_2_to_5 = pytest.mark.parametrize("factor", [2, 3, 4, 5])

PEERS: dict[str, Any] = {
    "resize": lambda image, shape, f: resize(image, shape, order=1, anti_aliasing=True, preserve_range=True),
    "zoom": lambda image, shape, f: ndimage.zoom(image, 1 / f, order=1, grid_mode=True, mode="mirror"),
    "laplacian": lambda image, shape, f: list(pyramid_laplacian(image, downscale=f, max_layer=1, preserve_range=True))[
        1
    ],
}


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape) * 1000
    return values.astype(dtype) if dtype in ("f4", "f8") else rng.integers(0, 2**16, shape).astype(dtype)


def in_pieces(image: np.ndarray, factors: tuple[int, ...], method: Method, windows: tuple[int, ...]) -> np.ndarray:
    """The image downsampled in pieces of so many windows, each with the halo that there is."""
    result = np.empty([-(-n // f) for n, f in zip(image.shape, factors, strict=True)], image.dtype)
    for index in product(*(range(0, count, step) for count, step in zip(result.shape, windows, strict=True))):
        spans = [
            (i * f, min((i + step) * f, n)) for i, step, f, n in zip(index, windows, factors, image.shape, strict=True)
        ]
        halo = tuple(
            (min(method.halo(f), a), min(method.halo(f), n - b))
            for (a, b), f, n in zip(spans, factors, image.shape, strict=True)
        )
        source = tuple(slice(a - low, b + high) for (a, b), (low, high) in zip(spans, halo, strict=True))
        target = tuple(slice(i, i + step) for i, step in zip(index, windows, strict=True))
        result[target] = downsample(image[source], factors, method, halo)
    return result


@pytest.mark.sampled(4)
@names
@pytest.mark.parametrize("slab", [SLAB_NBYTES, 64])
@law(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 25)),
    factors=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    windows=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
@example(shape=(59, 23), factors=(2, 4), windows=(1, 1), dtype="f8", seed=0)
@example(shape=(5, 1), factors=(4, 4), windows=(1, 1), dtype="f4", seed=0)
def test_the_cut_does_not_matter(
    name: str, slab: int, shape: Any, factors: Any, windows: Any, dtype: str, seed: int
) -> None:
    """To the bit: whatever the pieces, and whatever the slabs that they are cut into."""
    image, method = noise(shape, dtype, seed), METHODS[name]
    whole = downsample(image, factors, method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downsampling, "SLAB_NBYTES", slab)
        assert in_pieces(image, factors, method, windows).tobytes() == whole.tobytes()


@names
def test_the_cut_does_not_matter_in_three_dimensions(name: str) -> None:
    image, factors = noise((23, 31, 18), "f4"), (2, 3, 4)
    whole = downsample(image, factors, METHODS[name])
    assert in_pieces(image, factors, METHODS[name], (3, 2, 1)).tobytes() == whole.tobytes()


@names
@factors_2_to_5
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_floats_equal_the_peers(name: str, factor: int, dtype: str) -> None:
    image = noise((factor * 13, factor * 8), dtype)
    want = PEERS[name](image.astype("f8"), (13, 8), factor)
    got = downsample(image, (factor, factor), METHODS[name])
    assert got.dtype == image.dtype
    np.testing.assert_allclose(got, want, rtol=1e-6 if dtype == "f4" else 1e-12, atol=1e-4 if dtype == "f4" else 1e-11)


@pytest.mark.parametrize("name", ["resize", "zoom"])
@factors_2_to_5
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2"])
def test_integers_are_those_of_the_peers_rounded(name: str, factor: int, dtype: str) -> None:
    image = noise((factor * 13, factor * 8), dtype)
    want = PEERS[name](image.astype("f8"), (13, 8), factor)
    got = downsample(image, (factor, factor), METHODS[name])
    assert abs(got - want).max() <= 0.5 + 1e-9


@factors_2_to_5
def test_a_laplacian_of_integers_has_two_signs_or_is_clipped(factor: int) -> None:
    image = noise((factor * 13, factor * 8), "u1")
    want = np.rint(PEERS["laplacian"](image.astype("f8"), (13, 8), factor))
    assert want.min() < 0
    np.testing.assert_array_equal(downsample(image.astype("i2"), (factor, factor), METHODS["laplacian"]), want)
    np.testing.assert_array_equal(downsample(image, (factor, factor), METHODS["laplacian"]), want.clip(0, 255))


@pytest.mark.parametrize(("values", "want"), [([0, 1], 0), ([1, 2], 2), ([2, 3], 2), ([254, 255], 254)])
def test_halves_are_rounded_to_even(values: list[int], want: int) -> None:
    assert downsample(np.array(values, "u1"), (2,), METHODS["zoom"]).item() == want


@names
@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_samples_lie_where_the_metadata_say(name: str, factor: int) -> None:
    """A ramp keeps its values at the middles of windows; the band of a ramp is nothing."""
    method = METHODS[name]
    edge = -(-method.halo(factor) // factor)
    got = downsample(np.arange(40.0 * factor), (factor,), method)[edge:-edge] if edge else None
    want = (np.arange(40) * factor + method.offset(factor))[edge:-edge] if edge else None
    if got is not None:
        np.testing.assert_allclose(got, 0 * want if name == "laplacian" else want, atol=1e-9)
    assert method.centred


@pytest.mark.parametrize("name", ["resize", "zoom"])
def test_a_window_cut_by_the_end_has_its_sample_at_the_middle_of_what_is_left(name: str) -> None:
    assert downsample(np.array([1, 1, 1, 1, 7.0]), (4,), METHODS["zoom"]).tolist() == [1, 7]
    assert downsample(np.array([1, 1, 1, 1, 7.0, 8]), (4,), METHODS["zoom"]).tolist() == [1, 7.5]
    assert downsample(np.full((9, 7), 3.0), (4, 2), METHODS[name]) == pytest.approx(3)


@names
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant(name: str, dtype: str) -> None:
    image = np.full((11, 6), 1, dtype)
    for factors in product((1, 2, 3, 16), repeat=2):
        want = 1 if name != "laplacian" or factors == (1, 1) else 0
        assert downsample(image, factors, METHODS[name]) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("name", ["resize", "zoom"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u8", "i8"])
def test_nothing_wraps(name: str, dtype: str) -> None:
    info = np.iinfo(dtype)
    image = np.random.default_rng(0).choice(np.array([info.min, info.max], dtype), (20, 20))
    got = downsample(image, (2, 2), METHODS[name]).astype("f8")
    want = PEERS[name](image.astype("f8"), (10, 10), 2)
    np.testing.assert_allclose(got, want, atol=max(0.51, info.max * 1e-15), rtol=1e-12)


@names
def test_infinity_and_nan_stay_within_reach(name: str) -> None:
    for value in (np.nan, np.inf):
        image = np.ones(200)
        image[100] = value
        bad = ~np.isfinite(downsample(image, (2,), METHODS[name]))
        assert bad[50]
        assert bad.sum() <= METHODS[name].halo(2) + 2
    assert downsample(np.array([-np.nan, -0.0, -0.0, -0.0]), (2,), METHODS["zoom"]).tobytes() == (
        np.array([np.nan, 0.0]).tobytes()
    )


@names
def test_a_filter_is_blind_along_axes_that_are_not_downsampled(name: str) -> None:
    image = noise((12, 20), "f8")
    rows = [downsample(row, (2,), METHODS[name]) for row in image]
    np.testing.assert_array_equal(downsample(image, (1, 2), METHODS[name]), rows)


@names
def test_the_halo_is_as_wide_as_needed(name: str) -> None:
    """A voxel just within it matters to some window, one just outside to none."""
    method = METHODS[name]
    assert method.halo(1) == 0
    for factor in (2, 3, 4):
        image = np.zeros(101 * factor + 1)
        reach = []
        for window in (50, 101):
            middle = image.copy()
            hits = []
            for voxel in range(len(image)):
                middle[voxel] = 1
                if downsample(middle, (factor,), method)[window]:
                    hits.append(voxel)
                middle[voxel] = 0
            reach += [window * factor - hits[0], hits[-1] - min((window + 1) * factor, len(image)) + 1]
        assert max(reach) == method.halo(factor)


@pytest.mark.parametrize("factor", [64, 1000])
def test_great_factors(factor: int) -> None:
    image = noise((3, 2 * factor + 5), "f4")
    for name in NAMES:
        assert np.isfinite(downsample(image, (2, factor), METHODS[name])).all()
    assert downsample(image, (1, factor), METHODS["resize"]).std() < image.std() / math.sqrt(factor)


def test_names() -> None:
    assert find_method("local_mean") is METHODS["mean"]
    for name in [*NAMES, "nearest", "gaussian"]:
        assert find_method(name) is METHODS[name]
    with pytest.raises(ValueError, match="unknown method 'resise', nearest 'resize'"):
        find_method("resise")
