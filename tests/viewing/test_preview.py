"""A preview shows what is stored: levels beside each other, colours of channels, labels over them, wells of a plate."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, strategies as st
from PIL import Image

import daskome
from daskome.reading.images import OpenImage
from daskome.viewing import preview as previews
from daskome.viewing.overview import HEAD
from daskome.viewing.pictures import MARGIN, bar_length, level_picture
from daskome.viewing.planes import shown_channels

RED, GREEN, BLUE, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255)
WINDOW = (0, 100, 0, 100)


def drawn(place: Any, path: Path) -> Any:
    daskome.preview(place, path)
    return np.asarray(Image.open(path).convert("RGB"))


def two_channels(*shape: int) -> Any:
    """Return the left half of the first channel bright, and the upper half of the second."""
    image = np.zeros((2, *shape), "uint8")
    image[0, ..., : shape[-1] // 2], image[1, ..., : shape[-2] // 2, :] = 100, 100
    return image


COLORED = [{"label": "a", "color": "FF0000", "window": WINDOW}, {"label": "b", "color": "00FF00", "window": WINDOW}]


@pytest.mark.parametrize(("axes", "shape"), [("cyx", (40, 60)), ("czyx", (5, 40, 60)), ("tczyx", (5, 40, 60))])
@pytest.mark.parametrize("version", ["0.4", "0.6"])
def test_channels_add_up_in_their_colours_at_every_level(axes: str, shape: Any, version: str, tmp_path: Path) -> None:
    image = two_channels(*shape)
    image = np.stack([image, 0 * image]) if "t" in axes else image
    daskome.write_image(image, tmp_path / "a", [2, 4], axes=axes, channels=COLORED, fmt=version)
    opened = daskome.open(tmp_path / "a")
    assert isinstance(opened, OpenImage)
    picture, channels = drawn(tmp_path / "a", tmp_path / "a.png"), shown_channels(opened)
    for level, (height, width) in zip(opened.levels, ((40, 60), (20, 30), (10, 15)), strict=True):
        one = level_picture(level, channels, (), 1)
        assert one.shape == (height, width, 3)
        corners = [tuple(one[y, x]) for y in (0, height - 1) for x in (0, width - 1)]
        assert corners == [(255, 255, 0), GREEN, RED, BLACK]
    assert np.array_equal(
        picture[MARGIN : MARGIN + 40, MARGIN : MARGIN + 60], level_picture(opened.levels[0], channels, (), 1)
    )
    assert (picture[MARGIN] == GREEN).all(-1).sum() == 30 + 15 + 7  # All levels stand on one line.
    assert (picture[MARGIN + 40 :] == BLACK).all(-1).sum() > 60  # Names, and scale bars.


def test_inactive_channels_are_not_drawn(tmp_path: Path) -> None:
    channels = [COLORED[0], {**COLORED[1], "active": False}]
    daskome.write_image(two_channels(40, 60), tmp_path / "a", None, axes="cyx", channels=channels)
    picture = drawn(tmp_path / "a", tmp_path / "a.png")
    assert tuple(picture[MARGIN, MARGIN]) == RED
    assert not (picture == GREEN).all(-1).any()


def test_labels_lie_over_the_image_in_their_colours(tmp_path: Path) -> None:
    labels = np.zeros((40, 60), "uint32")
    labels[:20, :30], labels[20:, 30:] = 1, 2
    both = {"cells": {"labels": labels, "colors": {1: (255, 0, 0, 255), 2: (0, 0, 255, 0)}}}
    daskome.write_image(
        np.zeros((40, 60), "uint8"), tmp_path / "a", [2], axes="yx", channels=[{"window": WINDOW}], labels=both
    )
    picture = drawn(tmp_path / "a", tmp_path / "a.png")
    assert tuple(picture[MARGIN, MARGIN]) == (128, 0, 0)
    assert tuple(picture[MARGIN + 30, MARGIN + 10]) == BLACK
    assert tuple(picture[MARGIN + 30, MARGIN + 40]) == BLACK  # Its colour is transparent.
    coarse = np.argwhere((picture == (128, 0, 0)).all(-1))[:, 1].max()
    assert coarse > MARGIN + 60


def test_planes_are_the_middle_of_the_volume_and_the_first_time(tmp_path: Path) -> None:
    image = np.zeros((2, 5, 16, 16), "uint8")
    image[0, 2] = 100
    daskome.write_image(image, tmp_path / "a", None, axes="tzyx", channels=[{"window": WINDOW}])
    picture = drawn(tmp_path / "a", tmp_path / "a.png")
    assert (picture[MARGIN : MARGIN + 16, MARGIN : MARGIN + 16] == 255).all()


def test_wells_stand_in_the_grid_of_their_plate_between_the_same_limits(tmp_path: Path) -> None:
    bright, dim = np.full((2, 32, 32), 200, "uint8"), np.full((2, 32, 32), 100, "uint8")
    bright[:, :2], dim[:, :2] = 0, 0
    daskome.write_plate(
        {"A/1": [bright], "B/3": [dim, bright]},
        tmp_path / "p",
        axes="cyx",
        scale_factors=[2],
        rows="ABC",
        columns=range(1, 5),
    )
    picture = drawn(tmp_path / "p", tmp_path / "p.png")
    pitch = (picture.shape[1] - HEAD) // 4
    middles = {
        (i, k): tuple(map(int, picture[HEAD + i * pitch + pitch // 2, HEAD + k * pitch + pitch // 2]))
        for i in range(3)
        for k in range(4)
    }
    assert middles.pop((0, 0)) == (0, 255, 255)
    assert middles.pop((1, 2)) == pytest.approx((0, 127, 127), abs=2)
    assert len(set(middles.values())) == 1
    row = drawn(tmp_path / "p" / "B" / "3", tmp_path / "w.png")
    assert row.shape[1] >= 2 * 32


def test_levels_that_are_too_large_are_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daskome.write_image(
        np.full((64, 64), 100, "uint8"), tmp_path / "a", [2, 4], axes="yx", channels=[{"window": WINDOW}]
    )
    whole = drawn(tmp_path / "a", tmp_path / "a.png")
    monkeypatch.setattr(previews, "DRAWN_MAX", 32 * 32)
    less = drawn(tmp_path / "a", tmp_path / "b.png")
    assert less.shape[0] < whole.shape[0]
    monkeypatch.setattr(previews, "DRAWN_MAX", 1)
    assert drawn(tmp_path / "a", tmp_path / "c.png").shape[0] < less.shape[0]


def test_axes_of_others_in_another_order_are_drawn_upright(tmp_path: Path) -> None:
    daskome.write_image(np.zeros((2, 30, 40), "uint8"), tmp_path / "a", None, axes="zyx", channels=[{"window": WINDOW}])
    file = tmp_path / "a" / "zarr.json"
    file.write_text(
        file.read_text()
        .replace('"name": "z"', '"name": "q"')
        .replace('"name": "x"', '"name": "z"')
        .replace('"q"', '"x"')
    )
    image = daskome.open(tmp_path / "a")
    assert isinstance(image, OpenImage)
    assert image.dims == ("x", "y", "z")
    assert drawn(tmp_path / "a", tmp_path / "a.png").shape[0] > 30


@given(st.floats(1e-9, 1e9), st.integers(1, 2000))
def test_a_scale_bar_is_a_round_length_that_fits(size: float, longest: int) -> None:
    length = bar_length(size, longest)
    assert length <= size * longest * (1 + 1e-6)
    assert length * 2.5 > size * longest * (1 - 1e-6)
    assert f"{length:e}"[0] in "125"


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "plain")
    with pytest.raises(ValueError, match="is no image, plate or well"):
        daskome.preview(tmp_path / "plain", tmp_path / "a.png")
    daskome.write_image(np.ones((8, 8), "uint8"), tmp_path / "b", None, axes="yx", compute="init")
    with pytest.raises(ValueError, match="unfinished image"):
        daskome.preview(tmp_path / "b", tmp_path / "b.png")
    assert not list(tmp_path.glob("*.png"))


def test_labels_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    daskome.write_image(
        np.ones((40, 60), "uint8"), tmp_path / "a", None, axes="yx", labels={"cells": np.ones((40, 60), "uint8")}
    )
    whole = drawn(tmp_path / "a", tmp_path / "a.png")
    (tmp_path / "a" / "labels" / "cells" / "s0" / "zarr.json").write_text("{")
    assert drawn(tmp_path / "a", tmp_path / "b.png").shape[0] > whole.shape[0]


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("a.xyz", ValueError, "a.xyz is no name of a picture: give it the suffix .png"),
        ("picture", ValueError, "no name of a picture"),
        ("gone/a.png", FileNotFoundError, "there is no folder .*gone"),
    ],
)
def test_a_picture_that_cannot_be_saved_is_refused_before_it_is_drawn(
    name: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        daskome.preview(tmp_path / "no image.zarr", tmp_path / name)
