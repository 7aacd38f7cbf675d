"""A keyword that would have no effect is an error that says what was meant; any other is metadata."""

from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import daskome
from daskome.calls.signatures import PUBLIC, calls_of
from daskome.calls.slips import ARGUMENTS_OF_OTHERS, DESCRIPTIONS, OTHER_WAYS, SLIPS, meant, says_how
from daskome.model.storage.layout import FIXED_OPTIONS, OPTIONS

PLANE = np.zeros((64, 64), "u2")
import_module("daskome.writer")  # Its functions are public once they are imported.
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
        ({"path": "0"}, "give the path to the group"),
        ({"parallel": True}, "set the scheduler of Dask"),
        ({"region": None}, "slice it"),
        ({"attrs": {}}, "'attributes'"),
        ({"transform": None}, "only scale and translation"),
        ({"anatomical_orientation": "RAS"}, "did you mean 'orientation'"),
        ({"label_name": "cells"}, "labels="),
        ({"interval": 2}, "did you mean 'scale'"),
        ({"endian": ">"}, "convert the image first"),
        ({"sacle": 2}, "did you mean 'scale'"),
        ({"voxelSize": 2}, "did you mean 'scale'"),
        ({"batch_size": 2}, r"has no effect here; if it describes the image, give metadata=\{'batch_size': …\}"),
        ({"use_tensorstore": True}, "has no effect here"),
    ],
)
def test_slips_are_explained_before_anything_is_written(tmp_path: Path, slip: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{next(iter(slip))}'.*{said}"):
        daskome.write_image(PLANE, tmp_path / "a", None, axes="yx", **slip)
    assert not (tmp_path / "a").exists()


def test_what_a_call_does_not_take_is_not_metadata(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="'n_levels'; it takes no 'scale_factors'"):
        daskome.write_multiscale([PLANE], tmp_path / "a", axes="yx", n_levels=2)


OURS = [
    *["read", "transcode", "verify", "validate", "preview", "run_part", "finish", "status", "convert_metadata"],
    *["manifest", "remove"],
]
IN_BOTH = {"source", "stage", "part", "version", "jobs"}
"""Arguments of other calls that also describe an image."""
WRITERS = [word for words in ARGUMENTS_OF_OTHERS.values() for word in words.split()]
COINED = (
    "n_jobs num_threads maxWorkers cache_size log_level temp_folder scratch_dir memory_pool write_mode chunk_strategy"
    " max_retries async_write dask_client zarr_store use_gpu path_prefix n_cores retry_policy lazy_mode"
).split()
MINE = (
    "type microscope acquired objective description license mine acquisition_date instrument na wavelength exposure"
    " exposure_time species organism tissue stain staining antibody sample donor protocol doi author authors creator"
    " institution project sample_id subject session stage comment notes keywords tags modality camera detector gain"
    " binning laser power filter dye treatment timepoint position plate batch run experiment date provenance"
    " history source rights contact orcid slide section specimen age sex strain genotype temperature pinhole rotation"
    " tilt angle view deconvolved registered processing kind datetime quality checksum uuid id series number count"
    " total info extra operator owner brain_region atlas structure annotation mask segmentation model threshold score"
    " source_file source_path original_filename args kwargs parameters settings factor label condition replicate round"
    " cycle marker gene probe buffer core storage cluster software bit_depth depth_um type_of_cells"
).split()


@pytest.mark.parametrize("call", OURS)
def test_arguments_of_other_calls_are_no_metadata(call: str) -> None:
    known = calls_of(daskome.write_image).known
    for name in set(signature(getattr(daskome, call)).parameters) - IN_BOTH - set(known):
        assert meant(name, known) or says_how(name), name


def test_words_about_writing_are_no_metadata() -> None:
    known = calls_of(daskome.write_image).known
    assert [name for name in [*WRITERS, *COINED] if not (name in known or meant(name, known) or says_how(name))] == []


@pytest.mark.parametrize("call", [daskome.write_image, daskome.write_labels, daskome.write_plate])
def test_words_about_images_are_metadata(call: Any) -> None:
    known = calls_of(call).known
    assert [name for name in [*MINE, *DESCRIPTIONS] if meant(name, known) or says_how(name)] == []


@pytest.mark.parametrize("name", ["type", "microscope", "stain", "filter"])
def test_other_keywords_are_metadata(name: str) -> None:
    plan = daskome.plan_image(PLANE, axes="yx", **{name: "x"})  # type: ignore[arg-type]
    assert plan.groups[0].metadata.multiscales[0].rest == {name: "x"} or name == "type"


def test_the_dict_metadata_takes_any_word() -> None:
    how = dict.fromkeys([*MINE, *WRITERS, *COINED, *SLIPS, *OTHER_WAYS, "method", "version", "shards"], "x")
    plan = daskome.plan_image(PLANE, axes="yx", metadata=how)
    assert how.items() <= dict(plan.groups[0].metadata.multiscales[0].metadata or {}).items()


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
