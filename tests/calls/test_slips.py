"""A keyword that would have no effect is an error that says what was meant; any other is metadata."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskome
from daskome.calls.signatures import PUBLIC, calls_of
from daskome.calls.slips import OTHER_WAYS, SLIPS, meant
from daskome.model.layout import FIXED_OPTIONS, OPTIONS

PLANE = np.zeros((64, 64), "u2")
TAKING = [calls_of(function) for function in PUBLIC if "storage_options" in calls_of(function).known]


@pytest.mark.parametrize("calls", TAKING, ids=lambda calls: calls.name)
def test_storage_options_are_never_metadata(calls: Any) -> None:
    for name in {*OPTIONS, *FIXED_OPTIONS} - set(calls.known):
        assert meant(name, calls.known)


@pytest.mark.parametrize("name", SLIPS)
def test_every_slip_leads_to_an_argument(name: str) -> None:
    known = calls_of(daskome.write_image).known
    assert SLIPS[name] in known
    assert name not in known
    assert meant(name, known)


@pytest.mark.parametrize(
    ("slip", "said"),
    [
        ({"shards": (64, 64)}, r"did you mean storage_options=\{'shards': …\}"),
        ({"compressors": None}, r"storage_options=\{'compressors': …\}"),
        ({"compresor": None}, r"storage_options=\{'compressor': …\}"),
        ({"fill_value": 7}, r"storage_options=\{'fill_value': …\}"),
        ({"zarr_format": 2}, "it follows from fmt"),
        ({"dtype": "u1"}, "convert the image first"),
        ({"unit": "um"}, "did you mean 'axes_units'"),
        ({"spacing": (2, 1)}, "did you mean 'scale'"),
        ({"spacng": (2, 1)}, "did you mean 'scale'"),
        ({"physical_pixel_sizes": (2, 1)}, "did you mean 'scale'"),
        ({"n_levels": 3}, "did you mean 'scale_factors'"),
        ({"dims": "yx"}, "did you mean 'axes'"),
        ({"client": None}, "open a distributed.Client"),
        ({"anon": True}, "did you mean 'fs_options'"),
        ({"contrast_limits": [(0, 255)]}, "did you mean 'channels'"),
        ({"time_increment": 2}, "did you mean 'scale'"),
        ({"mode": "w"}, "give overwrite or resume"),
    ],
)
def test_slips_are_explained_before_anything_is_written(tmp_path: Path, slip: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(slip))}'.*{said}"):
        daskome.write_image(PLANE, tmp_path / "a", None, axes="yx", **slip)
    assert not (tmp_path / "a").exists()


def test_what_a_call_does_not_take_is_not_metadata(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'n_levels'; it takes no 'scale_factors'"):
        daskome.write_multiscale([PLANE], tmp_path / "a", axes="yx", n_levels=2)


@pytest.mark.parametrize("name", ["type", "microscope", "acquired", "objective", "description", "license", "mine"])
def test_other_keywords_are_metadata(name: str) -> None:
    plan = daskome.plan_image(PLANE, axes="yx", **{name: "x"})  # type: ignore[arg-type]
    assert plan.groups[0].metadata.multiscales[0].rest == {name: "x"} or name == "type"


def test_what_a_call_does_not_take_is_not_suggested() -> None:
    assert meant("shards", ["axes"]) is None
    assert meant("unit", ["storage_options"]) == "it takes no 'axes_units'"
    assert all(meant(name, []) for name in OTHER_WAYS)


ARRAYS: list[dict[str, Any]] = [
    {"scale_factors": np.array([2, 4])},
    {"scale_factors": [np.int64(2), np.uint8(4)]},
    {"scale_factors": [{"y": np.int32(2), "x": np.int64(2)}]},
    {"storage_options": {"chunks": np.array([32, 32])}},
    {"storage_options": [{"chunks": np.array([32, 32])}] * 9},
    {"storage_options": {"chunks": np.array([32, 32]), "shards": np.array([64, 64])}},
    {"storage_options": {"chunks": np.int64(32)}},
    {"chunks": np.array([32, 32])},
    {"axes": np.array(["y", "x"])},
    {"scale": np.array([2.0, 1.0]), "translation": np.array([0, 1])},
    {"channels": np.array(["DAPI"])},
]


@pytest.mark.parametrize("options", ARRAYS, ids=str)
def test_arrays_of_numpy_are_lists(options: dict[str, Any]) -> None:
    listed = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in options.items()}
    assert daskome.plan_image(PLANE, **options) == daskome.plan_image(PLANE, **listed)


def test_bools_of_numpy_are_bools(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"compute": np.False_, "progress": np.False_, "overwrite": np.True_}
    daskome.write_image(PLANE, tmp_path / "a", None, axes="yx", **options).compute()
    daskome.write_image(PLANE, tmp_path / "a", None, axes="yx", **{**options, "compute": np.True_})
    assert capsys.readouterr().err == ""


def test_arrays_of_numpy_by_position() -> None:
    factors: Any = np.array([2, 4])
    plan = daskome.plan_image(PLANE, None, factors)
    assert [level.factors for level in plan.pyramids[0].levels] == [(1, 1), (2, 2), (4, 4)]
