"""Nothing existing is harmed by a mistake: what is at a target, and what of it goes."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client
from zarr.storage import LocalStore, LoggingStore, MemoryStore, WrapperStore, ZipStore

import daskome
from daskome.execution.write import Write
from daskome.stores import kinds
from tests.written import contents, is_image, levels

CUBE = np.arange(24000, dtype="uint16").reshape(20, 30, 40)


def foreign_image(path: Path, level: str = "0") -> None:
    """Write a v3 image as others name its levels."""
    group = zarr.create_group(path)
    group.create_array(level, data=CUBE)
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [{"name": n, "type": "space"} for n in "zyx"],
                "datasets": [{"path": level, "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}],
            }
        ],
    }


def test_a_source_that_is_a_level_of_the_image_to_be_replaced_is_kept(tmp_path: Path) -> None:
    foreign_image(tmp_path / "a")
    before = contents(tmp_path / "a")
    source = zarr.open_array(tmp_path / "a" / "0", mode="r")
    for image in (
        source,
        da.from_zarr(source),
        da.from_zarr(str(tmp_path / "a" / "0")) + 0,
        daskome.read(str(tmp_path / "a")),
    ):
        with pytest.raises(ValueError, match="overlaps the source"):
            daskome.write_image(image, tmp_path / "a", overwrite=True)
    assert contents(tmp_path / "a") == before


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fmt", ["0.4", "0.5"])
def test_a_source_in_the_target_that_is_not_touched_stays(tmp_path: Path, fmt: str) -> None:
    group = zarr.create_group(tmp_path / "a", zarr_format=2 if fmt == "0.4" else 3)
    for path in ("raw", "deep/er/raw"):
        source = group.create_array(path, data=CUBE, chunks=(4, 4, 4))
        before = contents(tmp_path / "a" / path)
        for image in (source, da.from_zarr(source) + 0):
            daskome.write_image(image, group, [2], fmt=fmt, overwrite=True)
            np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE)
        assert contents(tmp_path / "a" / path) == before


@pytest.mark.parametrize("path", ["s0", "s1", "s1/raw", ".daskome/raw"])
def test_a_source_in_the_target_that_is_written_over_is_not(tmp_path: Path, path: str) -> None:
    source = zarr.create_group(tmp_path / "a").create_array(path, data=CUBE)
    with pytest.raises(ValueError, match=r"overlaps the source .*another path in that group"):
        daskome.write_image(source, tmp_path / "a", [2], overwrite=True)


@pytest.mark.parametrize("litter", [".DS_Store", "Thumbs.db", "._a", ".nfs0000001", ".directory"])
def test_what_desktops_leave_in_a_folder_is_not_in_the_way(tmp_path: Path, litter: str) -> None:
    (tmp_path / litter).write_bytes(b"1")
    daskome.write_image(CUBE, tmp_path, [2])
    assert (tmp_path / litter).read_bytes() == b"1"


@pytest.mark.parametrize("level", ["0", "0/"])
def test_levels_of_other_names_go_when_the_image_is_replaced(tmp_path: Path, level: str) -> None:
    foreign_image(tmp_path / "a", level)
    daskome.write_image(CUBE + 1, tmp_path / "a", [2], overwrite=True)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["s0", "s1", "zarr.json"]


@pytest.mark.parametrize("url", ["{}", "file://{}"])
def test_one_place_has_one_address(tmp_path: Path, url: str) -> None:
    daskome.write_image(CUBE, tmp_path / "a", [2])
    (tmp_path / "link").symlink_to(tmp_path / "a")
    image = da.from_zarr(url.format(tmp_path / "a" / "s0")) + 0
    stores = [
        zarr.storage.LocalStore(tmp_path / "a"),
        zarr.storage.FsspecStore.from_url(f"file://{tmp_path}/a"),
        zarr.storage.LoggingStore(zarr.storage.LocalStore(tmp_path / "a")),
    ]
    for target in (tmp_path / "a", tmp_path / "link", tmp_path / "a" / "s0" / "deep", *stores):
        with pytest.raises(ValueError, match="overlaps the source"):
            daskome.write_image(image, target, overwrite=True)
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE)


DECODED = {"_FillValue": 9, "scale_factor": 2.0, "add_offset": 1.0, "_Unsigned": "true"}


@pytest.mark.parametrize(
    "view",
    [
        lambda image: image,
        lambda image: image.drop_encoding(),
        lambda image: image.rename(z="depth"),
        lambda image: image[::-1, 1:],
        lambda image: image.variable,
    ],
)
@pytest.mark.parametrize("attributes", [{}, DECODED])
def test_what_xarray_has_not_loaded_is_not_written_over(tmp_path: Path, view: Any, attributes: Any) -> None:
    xarray = pytest.importorskip("xarray")
    daskome.write_image(CUBE, tmp_path / "a", [])
    zarr.open_array(tmp_path / "a" / "s0", mode="r+").attrs.update(attributes)
    image = view(xarray.open_dataset(tmp_path / "a", engine="zarr", consolidated=False)["s0"])
    with pytest.raises(ValueError, match="overlaps the source"):
        daskome.write_image(image, tmp_path / "a", overwrite=True, axes="zyx")
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_array_is_never_in_the_way_of_a_level(tmp_path: Path, overwrite: bool) -> None:
    zarr.create_group(tmp_path / "a").create_group("s0").create_array("data", data=CUBE)
    before = contents(tmp_path / "a")
    with pytest.raises(FileExistsError, match="not an array"):
        daskome.write_image(CUBE, tmp_path / "a", [2], overwrite=overwrite)
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_group_of_another_zarr_format_keeps_what_it_holds(tmp_path: Path, overwrite: bool) -> None:
    zarr.create_group(tmp_path / "a", zarr_format=2).create_array("other", data=CUBE)
    before = contents(tmp_path / "a")
    with pytest.raises(FileExistsError, match="holds other besides"):
        daskome.write_image(CUBE, tmp_path / "a", [2], fmt="0.5", overwrite=overwrite)
    assert contents(tmp_path / "a") == before


@pytest.mark.parametrize(
    "found", [{"ome": {"version": "0.5", "plate": {}}}, {"well": {}}, {"bioformats2raw.layout": 3}]
)
def test_plates_and_the_like_are_no_place_for_an_image(tmp_path: Path, found: dict[str, Any]) -> None:
    zarr.create_group(tmp_path / "a", attributes=found)
    with pytest.raises(FileExistsError, match="group of its own"):
        daskome.write_image(CUBE, tmp_path / "a", overwrite=True)


def test_what_else_is_under_ome_is_kept(tmp_path: Path) -> None:
    group = zarr.create_group(tmp_path / "a", attributes={"ome": {"version": "0.5", "_creator": "me"}})
    for _ in range(2):
        daskome.write_image(CUBE, group, [2], overwrite=True)
        assert zarr.open_group(tmp_path / "a", mode="r").attrs["ome"]["_creator"] == "me"
        assert is_image(tmp_path / "a")


def test_no_level_of_an_unfinished_image_stays(tmp_path: Path) -> None:
    def broken(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        raise OSError("no")

    image = da.from_array(CUBE, chunks=10).map_blocks(broken, dtype="uint16", meta=np.empty((0, 0, 0), "uint16"))
    with pytest.raises(daskome.WriteError):
        daskome.write_image(image, tmp_path / "a", [2, 4, 8], retries=0)
    assert (tmp_path / "a" / "s3").exists()
    daskome.write_image(CUBE, tmp_path / "a", None, fmt="0.4", overwrite=True)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [".zattrs", ".zgroup", "s0"]


class Mortal(WrapperStore[LocalStore]):
    """A store that fails before anything is deleted."""

    async def delete_dir(self, prefix: str) -> None:
        raise OSError("gone")


def with_labels(target: Any, factors: list[int], overwrite: bool = False) -> None:
    labels = {"c": CUBE, "cc": CUBE}
    daskome.write_image(CUBE, target, factors, axes="zyx", labels=labels, overwrite=overwrite)


def plate(target: Any, factors: list[int], overwrite: bool = False) -> None:
    daskome.write_plate({"A/1": [CUBE, CUBE]}, target, factors, axes="zyx", overwrite=overwrite)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("write", [with_labels, plate])
def test_levels_in_groups_below_go_too_after_a_kill(tmp_path: Path, write: Callable[..., None]) -> None:
    """Each group's mark lists its own levels, by their paths in it, whatever groups lie below or beside it."""
    write(tmp_path / "a", [2, 4])
    with pytest.raises(daskome.WriteError, match="gone"):
        write(Mortal(LocalStore(tmp_path / "a")), [2], overwrite=True)
    marks = [
        zarr.open_group(p, mode="r").attrs.get("daskome") for p in (tmp_path / "a").rglob("*") if (p / "s0").is_dir()
    ]
    assert [mark["levels"] for mark in marks if mark] == [["s0", "s1", "s2"]] * 2
    write(tmp_path / "a", [2], overwrite=True)
    write(tmp_path / "b", [2])
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


class Dark(WrapperStore[LocalStore]):
    """A store that takes so many documents, and no more."""

    left = 0

    async def set(self, key: str, value: Any) -> None:
        self._take()
        await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        self._take()
        await super().set_if_not_exists(key, value)

    def _take(self) -> None:
        if self.left == 0:
            raise OSError("the lights went out")
        self.left -= 1


@pytest.mark.sampled(2)
@pytest.mark.parametrize("write", [with_labels, plate])
def test_killed_among_the_first_documents_it_is_written_anew(tmp_path: Path, write: Callable[..., None]) -> None:
    """A folder with groups in it has a group of its own: else it would be taken for somebody else's."""
    write(tmp_path / "calm", [2])
    for documents in range(8):
        store, folder = Dark(LocalStore(tmp_path / str(documents))), tmp_path / str(documents)
        store.left = documents
        with pytest.raises((OSError, daskome.WriteError), match="lights"):
            write(store, [2])
        write(folder, [2], overwrite=True)
        assert contents(folder) == contents(tmp_path / "calm"), documents


@pytest.mark.extended
def test_what_came_between_planning_and_computing_is_seen(tmp_path: Path) -> None:
    first = daskome.write_image(CUBE, tmp_path / "a", [2], compute=False)
    second = daskome.write_image(CUBE + 1, tmp_path / "a", [2], compute=False)
    first.compute()
    for lazy in (second, first):
        with pytest.raises(FileExistsError, match="overwrite=True"):
            lazy.compute()
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE)


@pytest.mark.extended
def test_a_delayed_tries_again_and_names_what_fails(tmp_path: Path) -> None:
    tries: list[int] = []

    def hiccup(block: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        tries.append(1)
        raise OSError("no such luck")

    image = da.from_array(CUBE, chunks=-1).map_blocks(hiccup, dtype="uint16", meta=np.empty((0, 0, 0), "uint16"))
    lazy = daskome.write_image(image, tmp_path / "a", None, retries=3, compute=False)
    with pytest.raises(daskome.WriteError, match=r"unit 0/0 .*z 0:20.*no such luck"):
        lazy.compute(scheduler="sync")
    assert len(tries) == 4
    assert not is_image(tmp_path / "a")


@pytest.mark.extended
def test_a_delayed_of_a_persisted_image_and_stores_in_memory(tmp_path: Path, client: Client) -> None:
    image = da.from_array(CUBE, chunks=10).persist()
    daskome.write_image(image, tmp_path / "a", [2], compute=False).compute()
    np.testing.assert_array_equal(levels(tmp_path / "a")[0], CUBE)
    memory = zarr.storage.MemoryStore()
    wrapped = zarr.storage.LoggingStore(memory)
    daskome.write_image(image, wrapped, [2])
    np.testing.assert_array_equal(levels(memory)[0], CUBE)
    with pytest.raises(ValueError, match="other processes cannot write"):
        daskome.write_image(CUBE, zarr.storage.MemoryStore(), compute=False).compute()


def test_what_a_kill_leaves_while_arrays_are_made_is_no_obstacle(tmp_path: Path) -> None:
    """LocalStore writes a file beside the one that is to be, and renames it."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "zarr.json.123.partial").write_text("{")
    mark = {"unfinished": True, "levels": ["s0", "s1", "../b"]}
    zarr.create_group(tmp_path / "b", attributes={"daskome": mark})
    (tmp_path / "b" / "s0").mkdir()
    (tmp_path / "b" / "s0" / "zarr.json.123.partial").write_text("{")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / ".zattrs").write_text('{"daskome": {"unfinished": true}}')
    for name in "abc":
        daskome.write_image(CUBE, tmp_path / name, [2], overwrite=True)
        np.testing.assert_array_equal(levels(tmp_path / name)[0], CUBE)
    assert not list((tmp_path / "b" / "s0").glob("*.partial"))


STORES: dict[str, Callable[[Path], Any]] = {
    "local": LocalStore,
    "logging": lambda path: LoggingStore(LocalStore(path)),
    "logging twice": lambda path: LoggingStore(LoggingStore(LocalStore(path))),
}
stores = pytest.mark.parametrize("store", STORES.values(), ids=STORES)


@stores
def test_files_of_others_are_seen_through_any_wrapper(tmp_path: Path, store: Callable[[Path], Any]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="not a zarr group"):
        daskome.write_image(CUBE, store(tmp_path / "a"), [2])
    assert contents(tmp_path) == {"a/letter.txt": b"dear"}


@stores
def test_a_place_that_cannot_be_written_is_seen_through_any_wrapper(
    tmp_path: Path, store: Callable[[Path], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(NotADirectoryError, match="is a file"):
        daskome.write_image(CUBE, store(tmp_path / "file" / "a"), [2])
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)  # root may write anywhere
    with pytest.raises(PermissionError, match="no permission"):
        daskome.write_image(CUBE, store(tmp_path / "a"), [2])


def test_a_zip_file_is_written_through_a_wrapper(tmp_path: Path) -> None:
    with ZipStore(tmp_path / "a.zip", mode="w") as store:
        daskome.write_image(CUBE, LoggingStore(store), [2])
    np.testing.assert_array_equal(levels(ZipStore(tmp_path / "a.zip", mode="r"))[0], CUBE)


@pytest.mark.parametrize(("version", "zarr_format"), [("0.5", 2), ("0.4", 3), ("0.6", 2)])
@pytest.mark.parametrize("path", ["", "a/b"])
@pytest.mark.parametrize("call", ["image", "labels", "plate", "plate metadata", "well metadata"])
def test_a_group_of_another_zarr_format_is_not_hidden(call: str, path: str, version: str, zarr_format: int) -> None:
    """Neither the group that is given, nor those above it."""
    store, pixels = MemoryStore(), np.ones((8, 8), "uint8")
    root = zarr.create_group(store, zarr_format=zarr_format, attributes={"mine": 1})  # type: ignore[arg-type]
    target = root.create_group(path) if path else root
    before = dict(store._store_dict)
    calls = {
        "image": lambda: daskome.write_image(pixels, target, None, axes="yx", fmt=version),
        "labels": lambda: daskome.write_labels(pixels, target, "x", None, axes="yx", fmt=version),
        "plate": lambda: daskome.write_plate({"A/1": [pixels]}, target, None, axes="yx", fmt=version),
        "plate metadata": lambda: daskome.write_plate_metadata(target, ["A"], ["1"], ["A/1"], fmt=version),
        "well metadata": lambda: daskome.write_well_metadata(target, ["0"], fmt=version),
    }
    with pytest.raises(ValueError, match=f"zarr v{zarr_format} group|zarr_format: {zarr_format}"):
        calls[call]()
    assert store._store_dict == before
    assert zarr.open_group(store, mode="r").attrs["mine"] == 1


@pytest.mark.parametrize("versions", [("0.4", "0.4"), ("0.4", "0.5"), ("0.5", "0.5"), ("0.5", "0.4")])
def test_consolidated_metadata_are_renewed_with_an_image_that_is_replaced(versions: tuple[str, str]) -> None:
    store = MemoryStore()
    for version, factors in zip(versions, ([2], [2, 4]), strict=True):
        daskome.write_image(np.ones((8, 8), "uint8"), store, factors, axes="yx", fmt=version, overwrite=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(store) if len(factors) == 1 else None
    assert sorted(zarr.open_consolidated(store).array_keys()) == ["s0", "s1", "s2"]
    assert not [problem for problem in daskome.validate(store) if "consolidate" in problem.message]


@pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
def test_what_another_process_finishes_before_arrays_are_created_is_not_replaced(
    monkeypatch: pytest.MonkeyPatch, far: bool
) -> None:
    """A call remembers what a far store has said, but not for long: an image of another may be there by now."""
    if far:
        monkeypatch.setattr(kinds, "KINDS", tuple(kinds.replace(row, in_flight=8) for row in kinds.KINDS))
    store, plane = zarr.storage.MemoryStore(), np.ones((8, 8), "u1")
    daskome.write_plate({"A/1": plane}, store, axes="yx")
    begun = Write.begun

    def later(write: Write) -> Any:
        monkeypatch.setattr(Write, "begun", begun)
        daskome.write_plate({"A/2": 7 * plane}, store, axes="yx")
        return begun(write)

    monkeypatch.setattr(Write, "begun", later)
    with pytest.raises(FileExistsError, match="holds an OME-Zarr image"):
        daskome.write_plate({"A/2": 3 * plane, "A/3": 3 * plane}, store, axes="yx")
    assert (zarr.open_array(store, path="A/2/0/s0", mode="r")[...] == 7).all()
