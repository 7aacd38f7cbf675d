"""Levels that come later: like those of a pyramid written at once; what is there stays, whole at every moment."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import daskome
from daskome.execution import unit_graph
from tests.written import contents, levels

IMAGE = np.random.default_rng(0).integers(0, 1000, (20, 64, 65)).astype("uint16")
ALL = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6"]


def ome(target: Any) -> dict[str, Any]:
    found = zarr.open_group(target, mode="r").attrs.asdict()
    return dict(found.get("ome", found))


@pytest.mark.sampled(40)
@pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store:UserWarning")
@pytest.mark.parametrize("version", ALL)
@pytest.mark.parametrize("method", ["mean", "mode", "nearest", "gaussian"])
@pytest.mark.parametrize("first", [None, [2]])
def test_the_same_as_written_at_once(tmp_path: Path, version: str, method: str, first: Any) -> None:
    how = {
        "axes": "zyx",
        "scale": (3, 0.5, 0.5),
        "translation": (1, 2, 3),
        "fmt": version,
        "channels": ["a"],
        "name": "b",
    }
    how["storage_options"] = {"chunks": 16}
    daskome.write_image(IMAGE, tmp_path / "once", [2, {"z": 2, "y": 4, "x": 4}], method=method, **how)
    daskome.write_image(IMAGE, tmp_path / "later", first, method=method, **how)
    before = contents(tmp_path / "later")
    window = ome(tmp_path / "later")["omero"]
    rest = [2, {"z": 2, "y": 4, "x": 4}][len(first or []) :]
    plan = daskome.add_levels(tmp_path / "later", rest, method=None if first else method)
    once, later = contents(tmp_path / "once"), contents(tmp_path / "later")
    said = ("zarr.json", ".zattrs")
    assert {key: value for key, value in later.items() if key not in said} == {
        k: v for k, v in once.items() if k not in said
    }
    assert all(later[key] == before[key] for key in before if key not in said)
    a, b = ome(tmp_path / "once"), ome(tmp_path / "later")
    assert b["omero"] == window
    assert a["multiscales"][0] | {"metadata": 0} == b["multiscales"][0] | {"metadata": 0}
    assert plan.groups[0].kept == 1 + len(first or [])
    assert daskome.verify(tmp_path / "later", pixels=True) == []


def test_levels_of_others_get_names_like_theirs() -> None:
    store = MemoryStore()
    group = zarr.create_group(store)
    group.create_array("scale0/image", data=IMAGE, chunks=(20, 32, 32), dimension_names=["z", "y", "x"])
    scale = [{"type": "scale", "scale": [1, 2, 2]}]
    daskome.write_multiscales_metadata(
        group, [{"path": "scale0/image", "coordinateTransformations": scale}], axes="zyx", custom={"a": 1}
    )
    daskome.add_levels(group, [2, 4])
    found = ome(store)["multiscales"][0]
    assert [dataset["path"] for dataset in found["datasets"]] == ["scale0/image", "scale1/image", "scale2/image"]
    assert found["custom"] == {"a": 1}
    assert zarr.open_array(store, path="scale1/image", mode="r").chunks == (10, 32, 32)
    assert daskome.verify(store, pixels=True) == []


def test_what_applied_to_all_levels_is_in_each() -> None:
    store = MemoryStore()
    daskome.write_image(IMAGE, store, None, axes="zyx")
    group = zarr.open_group(store)
    found = group.attrs.asdict()
    found["ome"]["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [10, 10, 10]}]
    group.attrs.put(found)
    daskome.add_levels(store, [2])
    multiscale = ome(store)["multiscales"][0]
    assert "coordinateTransformations" not in multiscale
    assert [d["coordinateTransformations"][0]["scale"][0] for d in multiscale["datasets"]] == [10, 20]
    assert daskome.verify(store, pixels=True) == []


def test_a_function_that_only_the_image_names_is_given_again(tmp_path: Path) -> None:
    daskome.write_image(np.ones((64, 64), "u1"), tmp_path / "a", [2], axes="yx", method="numpy:max")
    before = contents(tmp_path / "a")
    with pytest.raises(ValueError, match=r"nothing that a store names is imported.*method='numpy:max'"):
        daskome.add_levels(tmp_path / "a", [4])
    assert contents(tmp_path / "a") == before
    assert len(daskome.add_levels(tmp_path / "a", [4], method="numpy:max").pyramids[0].levels) == 3


def test_auto_goes_on_where_the_image_ends() -> None:
    store = MemoryStore()
    daskome.write_image(np.zeros((512, 512), "uint8"), store, [2], axes="yx", storage_options={"chunks": 32})
    daskome.add_levels(store)
    assert [level.shape for level in levels(store)] == [(512, 512), (256, 256), (128, 128), (64, 64), (32, 32)]


def test_a_failure_leaves_the_image_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", None, axes="zyx", name="a")
    before = ome(tmp_path / "a")

    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(unit_graph.Target, "__setitem__", broken)
        with pytest.raises(daskome.WriteError):
            daskome.add_levels(tmp_path / "a", [2], retries=0)
    assert ome(tmp_path / "a") == before
    assert daskome.verify(tmp_path / "a", pixels=True) == []
    with pytest.raises(FileExistsError, match="overwrite=True"):
        daskome.add_levels(tmp_path / "a", [2, 4])
    daskome.add_levels(tmp_path / "a", [2, 4], overwrite=True)
    assert [level.shape for level in levels(tmp_path / "a")] == [(20, 64, 65), (10, 32, 33), (5, 16, 17)]
    assert daskome.verify(tmp_path / "a", pixels=True) == []


@pytest.mark.filterwarnings("ignore:OME-Zarr 0.[123] cannot store:UserWarning")
@pytest.mark.sampled(3)
@pytest.mark.parametrize("version", ALL)
def test_labels_get_levels_with_their_image(tmp_path: Path, version: str) -> None:
    cells = (IMAGE % 5).astype("uint8")
    how = {
        "axes": "zyx",
        "scale": (3, 0.5, 0.5),
        "fmt": version,
        "labels": {"cells": cells, "max": {"labels": cells, "method": "max"}},
    }
    daskome.write_image(IMAGE, tmp_path / "once", [2, {"z": 2, "y": 4, "x": 4}], **how)
    daskome.write_image(IMAGE, tmp_path / "later", None, **how)
    daskome.add_levels(tmp_path / "later", [2, {"z": 2, "y": 4, "x": 4}])
    for path in ("", "labels/cells", "labels/max"):
        for a, b in zip(levels(tmp_path / "once" / path), levels(tmp_path / "later" / path), strict=True):
            np.testing.assert_array_equal(a, b)
    assert ome(tmp_path / "later/labels/max")["multiscales"][0]["type"] == "max"
    assert daskome.verify(tmp_path / "later", pixels=True) == []


def test_arrays_of_others_are_in_the_way(tmp_path: Path) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", None, axes="zyx")
    zarr.open_group(tmp_path / "a").create_array("s1", shape=(3,), dtype="uint8")
    with pytest.raises(FileExistsError, match="has an array s1 already"):
        daskome.add_levels(tmp_path / "a", [2])


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        ([2], "2 after 2|not smaller"),
        ([3], "3 after 2"),
        (None, "has all its levels"),
        ([0], "scale factor"),
    ],
)
def test_levels_that_cannot_be(tmp_path: Path, factors: Any, message: str) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", [2], axes="zyx")
    before = contents(tmp_path / "a")
    with pytest.raises(ValueError, match=message):
        daskome.add_levels(tmp_path / "a", factors)
    assert contents(tmp_path / "a") == before


def test_what_is_no_whole_image_gets_no_levels(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no zarr group"):
        daskome.add_levels(tmp_path / "nothing")
    daskome.write_image(IMAGE, tmp_path / "a", [2], axes="zyx")
    group = zarr.open_group(tmp_path / "a")
    group.attrs["daskome"] = {"unfinished": True}
    with pytest.raises(ValueError, match="unfinished"):
        daskome.add_levels(tmp_path / "a", [4])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("labels", [None, {"cells": IMAGE}])
@pytest.mark.parametrize("factors", [[4], [4, 8], "auto"])
def test_resume_begins_on_an_untouched_image_and_does_nothing_on_a_finished_one(
    tmp_path: Path, labels: Any, factors: Any, caplog: pytest.LogCaptureFixture
) -> None:
    daskome.write_image(IMAGE, tmp_path / "a", [2], axes="zyx", labels=labels, storage_options={"chunks": 16})
    daskome.add_levels(tmp_path / "a", factors, resume=True)
    before, n = contents(tmp_path / "a"), len(levels(tmp_path / "a"))
    assert n > 2
    assert not caplog.records
    daskome.add_levels(tmp_path / "a", factors, resume=True)
    assert contents(tmp_path / "a") == before
    assert "finished already" in caplog.text
    daskome.add_levels(tmp_path / "a", [2**n], resume=True)
    assert len(levels(tmp_path / "a")) == n + 1
    assert daskome.verify(tmp_path / "a", pixels=True) == []
