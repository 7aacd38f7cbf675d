"""What names of files say: laws, and the cases that are no image."""

import re
from itertools import product

import pytest
from hypothesis import given, strategies as st

from daskome.readers.sequences.names import by_number, by_pattern, glob_of

WIDTHS = st.sampled_from((1, 2, 5))
PREFIXES = st.sampled_from(("a/", "a/img_", "a7/b2_z", "2024-05-01/", "a/ch00_s"))


@given(st.data(), st.integers(1, 25), st.integers(0, 12), st.sampled_from((1, 3, 10)), WIDTHS, PREFIXES)
def test_files_are_in_the_order_of_their_number_in_whatever_order_they_come(data, n, first, step, width, prefix):
    names = [f"{prefix}{first + i * step:0{width}}.tif" for i in range(n)]
    assert by_number(data.draw(st.permutations(names)), "z").paths == tuple(names)


@given(st.data(), st.integers(3, 20), WIDTHS, PREFIXES)
def test_a_number_that_is_left_out_is_named(data, n, width, prefix):
    names = [f"{prefix}{i:0{width}}.tif" for i in range(n)]
    gone = names.pop(data.draw(st.integers(1, n - 2)))
    if n > 3:
        with pytest.raises(ValueError, match=rf"^1 of {n} files are missing: {gone.replace('.', '[.]')}\. "):
            by_number(names, "z")


@given(st.data(), st.lists(st.integers(1, 3), min_size=3, max_size=3), WIDTHS)
def test_a_pattern_is_a_grid_in_the_order_of_t_c_z(data, shape, width):
    places = list(product(*map(range, shape)))
    names = [f"d/z{z:0{width}}_c{c}/t{t}.tif" for t, c, z in places]
    grid = by_pattern(data.draw(st.permutations(names)), "z{z}_c{c}/t{t}.tif")
    assert (grid.axes, grid.paths) == (("t", "c", "z"), tuple(names))
    assert tuple(map(len, grid.labels)) == tuple(shape)


@given(st.data(), st.lists(st.integers(2, 3), min_size=3, max_size=3))
def test_an_empty_place_in_a_grid_is_named(data, shape):
    places = list(product(*map(range, shape)))
    t, c, z = places.pop(data.draw(st.integers(0, len(places) - 1)))
    with pytest.raises(ValueError, match=rf"^1 of {len(places) + 1} files .*: at t={t} c={c} z={z}$"):
        by_pattern([f"t{t}_c{c}_z{z}.tif" for t, c, z in places], "t{t}_c{c}_z{z}.tif")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["z1.tif", "z01.tif"], "z1.tif and z01.tif have the same number|z01.tif and z1.tif have the same number"),
        (["a.tif", "b.tif"], "a.tif and b.tif differ in more than a number.* pattern .*stack"),
        (["z1.tif", "z2.tif", "z2 (copy).tif"], "differ in more than a number"),
        ([f"d/t{t}_z{z}.tif" for t in (0, 1) for z in (0, 1)], r"differ in 2 numbers.*as in 't\{t\}_z\{z\}.tif'"),
        ([f"d/t{t}/z{z}.tif" for t in (0, 1) for z in (0, 1)], r"as in 't\{t\}/z\{z\}.tif'"),
        ([f"{a}_{b}.tif" for a in (0, 1) for b in (0, 1)], r"as in '\{t\}_\{c\}.tif'"),
        (["z1.tif", "z3.tif", "z8.tif"], "no step in common|files are missing"),
        (["z1.tif", "z2.tif", "z5.tif"], "2 of 5 files are missing: z3.tif, z4.tif"),
        (["z0.tif", "z1.tif", "z99.tif"], "97 of 100 files are missing: z2.tif, .* and 87 more"),
        (["z08.tif", "z09.tif", "z12.tif"], "missing: z10.tif, z11.tif"),
        (["z001.tif", "z002.tif", "z004.tif"], "missing: z003.tif"),
    ],
)
def test_names_that_tell_no_order(names, message):
    with pytest.raises(ValueError, match=message):
        by_number(names, "z")


def test_the_number_that_counts_is_the_one_with_a_step():
    names = [f"20240501_{hour}_z{i}.tif" for i, hour in enumerate((110355, 110411, 110502))]
    assert by_number(names[::-1], "t").paths == tuple(names)


@pytest.mark.parametrize(
    ("names", "pattern", "message"),
    [
        (["z1.tif", "z01.tif"], "z{z}.tif", "both at z=1 of the pattern"),
        (["z1.tif", "zx.tif"], "z{z}.tif", "zx.tif is not as the pattern z{z}.tif says"),
        (["z1.tif"], "s{s}.tif", r"has \{s\}; it has each of t, c, z, y, x once at most"),
        (["z1_1.tif"], "z{z}_{z}.tif", r"has \{z\} twice"),
        (["z1.tif"], "z*.tif", "has no axis"),
        (["z1.tif", "z2.tif", "z4.tif"], "z{z}.tif", "leave out numbers along z: 3"),
    ],
)
def test_patterns_that_fit_no_grid(names, pattern, message):
    with pytest.raises(ValueError, match=message):
        by_pattern(names, pattern)


def test_channels_may_be_words():
    grid = by_pattern(["x/w1 GFP-z2.png", "x/w1 DAPI-z2.png"], "w1 {c}-z{z}.png")
    assert grid.labels == (("DAPI", "GFP"), ("2",))
    assert grid.paths == ("x/w1 DAPI-z2.png", "x/w1 GFP-z2.png")


def test_what_is_special_in_a_glob_is_itself_in_a_pattern():
    assert glob_of("a[1]/z{z}*.tif") == "a[[]1]/z**.tif"
    assert by_pattern(["a[1]/z1b.tif"], "a[1]/z{z}*.tif").labels == (("1",),)


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["t0_DAPI_z00.tif", "t0_Cy5_z01.tif", "t1_GFP_z02.tif"], "t{t}_{c}_z{z}.tif"),
        (["dapi.tif", "gfp.tif"], "{c}.tif"),
        (["t1/red 1.tif", "t2/green 2.tif"], "t{t}/{c} {z}.tif"),
        (["w1DAPI_s1.tif", "w2GFP_s2.tif"], "{c}_s{t}.tif"),
        (["a_b.tif", "c_d.tif"], "{c}_z{z}.tif"),
        (["a_b.tif", "cd.tif"], "{c}_z{z}.tif"),
    ],
)
def test_names_that_differ_in_a_word_suggest_a_pattern(names, pattern):
    with pytest.raises(ValueError, match=f"such as {re.escape(repr(pattern))}, or stack"):
        by_number([f"/folder/{name}" for name in names], "z")


@given(st.data())
def test_a_pattern_that_is_suggested_has_all_names(data):
    words = data.draw(st.lists(st.sampled_from(["DAPI", "GFP", "Cy5", "647"]), min_size=2, max_size=3, unique=True))
    form = data.draw(st.sampled_from(["t{}_{}_z{}.tif", "{}-{}/x {}.tif", "s{}.{}_{}_1.tif"]))
    names = [f"/f/{form.format(t, word, z)}" for t in range(2) for word in words for z in (8, 9, 10)]
    try:
        by_number(names, "z")
    except ValueError as error:
        found = re.search("such as '(.*)', or stack", str(error))
    if found is not None:
        assert len(by_pattern(names, found[1]).paths) == len(names)
