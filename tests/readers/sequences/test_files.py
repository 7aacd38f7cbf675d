"""Folders, globs, patterns and lists of real files are the volume that was cut into them."""

import os
import pickle
import sys
from itertools import product
from pathlib import Path

import h5py
import imagecodecs
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from PIL import Image
from zarr.storage import MemoryStore

import daskome
from daskome.cli.main import main
from daskome.execution.batch import parts
from daskome.readers import read
from daskome.sources.pieces import source_piece

RNG = np.random.default_rng(3)
VOLUME = RNG.integers(0, 2**16, (11, 24, 20), dtype="uint16")


def save_tiff(path, plane, **how):
    tifffile.imwrite(path, plane, photometric="minisblack", compression="zlib", metadata=None, **how)


def save_picture(path, plane):
    Image.fromarray(plane).save(path)


def save_nifti(path, plane):
    nibabel.save(nibabel.Nifti1Image(plane.T, np.eye(4)), path)


def save_hdf5(path, plane):
    with h5py.File(path, "w") as file:
        file["raw"] = plane


SAVE = {".tif": save_tiff, ".png": save_picture, ".npy": np.save, ".nii.gz": save_nifti, ".h5": save_hdf5}


def cut(folder, volume=VOLUME, suffix=".tif", names="z{}", **how):
    """Save the planes of a volume, and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{names.format(i + 8)}{suffix}" for i in range(len(volume))]
    for path, plane in zip(paths, volume, strict=True):
        SAVE[suffix](path, plane, **how)
    return paths


def pixels(source):
    return source_piece(source, tuple((0, n) for n in source.shape), source.shape).compute(scheduler="sync")


def check(source, expected, dims="zyx", **said):
    """A source holds `expected`: here, in another process' copy, and when written."""
    assert (source.shape, source.dtype, "".join(source.dims)) == (expected.shape, expected.dtype.name, dims)
    assert tuple(map(sum, source.chunks)) == expected.shape
    for one in (source, pickle.loads(pickle.dumps(source))):
        np.testing.assert_array_equal(pixels(one), expected)
    store = MemoryStore()
    daskome.write_image(source, store, storage_options={"chunks": (1,) * (len(dims) - 2) + (8, 8)}, **said)
    np.testing.assert_array_equal(zarr.open_group(store, mode="r")["s0"][:], expected)


def opened_files(call, suffix=".tif"):
    """Return what a call returns, and how many times files of a suffix were opened."""
    counts = [0, True]

    def count(event, arguments):
        if counts[1] and event == "open" and str(arguments[0]).endswith(suffix):
            counts[0] += 1

    sys.addaudithook(count)
    try:
        return call(), counts[0]
    finally:
        counts[1] = False


# the ways to say it


@pytest.mark.parametrize("suffix", SAVE)
def test_a_folder_of_files_is_a_volume(tmp_path, suffix):
    volume = VOLUME.astype("uint8") if suffix == ".png" else VOLUME
    cut(tmp_path / "slices", volume, suffix)
    source = read(tmp_path / "slices")
    assert source.name == "slices"
    check(source, volume, **({"scale": {"z": 2}} if suffix == ".nii.gz" else {}))


def test_all_ways_to_say_the_same(tmp_path, monkeypatch):
    paths = cut(tmp_path / "slices")
    monkeypatch.chdir(tmp_path)
    whole = read("slices")
    listed = [str(path) for path in sorted(paths)]
    ways = ["slices/", "slices/*.tif", "slices/z{z}.tif", listed, [os.path.relpath(path) for path in listed]]
    for way in ways:
        source = read(way)
        assert (source.shape, source.dims, source.name) == (whole.shape, whole.dims, whole.name)
        assert source.origin.stamp == whole.origin.stamp
        assert source.array.parts == whole.array.parts
    assert read("slices", pattern="z{z}.tif").array.parts == whole.array.parts
    assert read(listed, pattern="z{z}.tif").array.parts == whole.array.parts
    assert read(listed).origin.path == str(tmp_path / "slices" / "z*.tif"), "a list of all is kept as a glob"
    assert read(listed[:2]).origin.paths == tuple(sorted(listed[:2]))


def test_a_shell_may_put_the_files_in_place_of_a_glob(tmp_path):
    paths = cut(tmp_path / "slices")
    expanded = [*map(str, sorted(paths))]
    outputs = {}
    for name, said in {
        "quoted": [f"{tmp_path}/slices/*.tif"],
        "expanded": expanded,
        "folder": [f"{tmp_path}/slices"],
    }.items():
        done = CliRunner().invoke(main, ["write", *said, f"{tmp_path}/{name}.zarr", "--scale", "2,1,1", "-q"])
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(zarr.open_group(tmp_path / f"{name}.zarr", mode="r")["s0"][:], VOLUME)
        outputs[name] = CliRunner().invoke(main, ["plan", *said]).output.splitlines()[1:]
    assert outputs["quoted"] == outputs["expanded"] == outputs["folder"]
    done = CliRunner().invoke(main, ["write", *expanded])
    assert (done.exit_code, "give OUT last" in done.output) == (2, True)


def test_files_of_several_axes(tmp_path):
    volume = RNG.integers(0, 255, (2, 3, 4, 9, 7), dtype="uint8")
    for t, c, z in product(range(2), range(3), range(4)):
        (tmp_path / f"t{t}").mkdir(exist_ok=True)
        save_picture(tmp_path / f"t{t}" / f"z{z + 9}_{('DAPI', 'GFP', 'RFP')[c]}.png", volume[t, c, z])
    source = read(tmp_path, pattern="t{t}/z{z}_{c}.png")
    assert [channel["label"] for channel in source.omero["channels"]] == ["DAPI", "GFP", "RFP"]
    check(source, volume, "tczyx")
    again = read(source.origin.path)
    assert (again.shape, again.origin) == (source.shape, source.origin)


def test_files_that_have_z_by_themselves_follow_each_other_in_time(tmp_path):
    volumes = RNG.integers(0, 255, (3, 4, 9, 7), dtype="uint8")
    for t, volume in enumerate(volumes):
        tifffile.imwrite(
            tmp_path / f"s{t}.ome.tif",
            volume,
            metadata={"axes": "ZYX", **{f"PhysicalSize{axis}": 3.0 for axis in "XYZ"}},
        )
    source = read(tmp_path)
    assert source.scale["z"] == 3
    check(read(source.origin.path), volumes, "tzyx")
    slabs = read(tmp_path / "*.tif", stack="z")
    np.testing.assert_array_equal(pixels(slabs), volumes.reshape(12, 9, 7))


def test_a_part_is_that_of_each_file(tmp_path):
    cut(tmp_path / "slices", suffix=".h5")
    check(read(f"{tmp_path}/slices/*.h5::raw"), VOLUME)


def test_colours_are_channels(tmp_path):
    colours = RNG.integers(0, 255, (4, 16, 8, 3), dtype="uint8")
    for suffix, how in ((".png", {}), (".jpg", {"quality": 100, "subsampling": 0})):
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        for i, plane in enumerate(colours):
            Image.fromarray(plane).save(folder / f"p{i}{suffix}", **how)
        decoded = np.stack([np.asarray(Image.open(folder / f"p{i}{suffix}")) for i in range(4)])
        source = read(folder)
        assert source.dims == ("c", "z", "y", "x")
        difference = pixels(source).astype(int) - decoded.transpose(3, 0, 1, 2)
        assert abs(difference).max() <= (0 if suffix == ".png" else 2), "decoders of JPEG round differently"


def test_one_file_in_a_folder_is_what_it_is_by_itself(tmp_path):
    tifffile.imwrite(tmp_path / "only.tif", VOLUME, photometric="minisblack")
    check(read(tmp_path), VOLUME)
    assert read(tmp_path / "*.tif").origin == read(tmp_path / "only.tif").origin


# several images in a row


def test_stacked_images_are_named_channels(tmp_path):
    for i, name in enumerate(("dapi", "gfp")):
        tifffile.imwrite(tmp_path / f"{name}.tif", VOLUME + i, photometric="minisblack", metadata={"axes": "ZYX"})
    paths = [tmp_path / "gfp.tif", tmp_path / "dapi.tif"]
    source = read(paths, stack="c")
    assert [channel["label"] for channel in source.omero["channels"]] == ["gfp", "dapi"]
    check(source, np.stack([VOLUME + 1, VOLUME]), "czyx")
    done = CliRunner().invoke(main, ["write", *map(str, paths), f"{tmp_path}/out.zarr", "--stack", "c", "-q"])
    assert done.exit_code == 0, done.output
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert [channel["label"] for channel in group.attrs["ome"]["omero"]["channels"]] == ["gfp", "dapi"]
    np.testing.assert_array_equal(group["s0"][:], np.stack([VOLUME + 1, VOLUME]))


def test_stacked_folders_and_slabs(tmp_path):
    cut(tmp_path / "a")
    cut(tmp_path / "b", VOLUME + 1)
    check(read([f"{tmp_path}/a/*.tif", tmp_path / "b"], stack="c"), np.stack([VOLUME, VOLUME + 1]), "czyx")
    np.save(tmp_path / "low.npy", VOLUME[:4])
    zarr.create_array(tmp_path / "high.zarr", data=VOLUME[4:], dimension_names=["z", "y", "x"])
    check(read([tmp_path / "low.npy", tmp_path / "high.zarr"], stack="z"), VOLUME)


@pytest.mark.parametrize(
    ("others", "stack", "message"),
    [
        ([VOLUME[:, :9]], "c", "b0.npy has length along y 9, but .*a.npy has 24"),
        ([VOLUME.astype("u1")], "c", "b0.npy has dtype uint8, but .*a.npy has uint16"),
        ([VOLUME[0]], "z", "b0.npy has axes y, x, but .* has z, y, x"),
        ([VOLUME], "q", "stack 'q' is no axis; give one of t, c, z, y, x"),
        ([VOLUME] * 12, "t", "a2?b?9?.*in the order of the alphabet; .*globs?|.*order of the alphabet"),
    ],
)
def test_images_that_cannot_follow_each_other(tmp_path, others, stack, message):
    np.save(tmp_path / "a.npy", VOLUME)
    for i, other in enumerate(others):
        np.save(tmp_path / f"b{i}.npy", other)
    with pytest.raises(ValueError, match=message):
        read(sorted(tmp_path.iterdir()), stack=stack)


# what is wrong is named before anything is written


@pytest.mark.parametrize(
    ("break_", "error", "message"),
    [
        (lambda paths: paths[4].unlink(), ValueError, "1 of 11 files are missing: .*z12.tif"),
        (lambda paths: paths[4].write_bytes(b""), ValueError, "z12.tif is empty"),
        (lambda paths: paths[4].write_bytes(b"II*\0 no TIFF at all"), ValueError, "z12.tif"),
        (lambda paths: save_tiff(paths[4], VOLUME[4, :9]), ValueError, r"z12.tif is uint16 of \(9, 20\), but the first .* \(24, 20\)"),
        (lambda paths: save_tiff(paths[4], VOLUME[4].astype("f4")), ValueError, "z12.tif is float32 of .* uint16"),
        (lambda paths: paths[4].rename(paths[4].with_name("zz.tif")), ValueError, "differ in more than a number"),
        (lambda paths: save_picture(paths[4].with_suffix(".png"), VOLUME[4]), ValueError, "several kinds: 11 of TIFF, .*1 of PNG"),
        (lambda paths: paths[4].write_bytes(paths[4].read_bytes()[:-60]), ValueError, "z12.tif is cut short"),
    ],
)  # fmt: skip
def test_a_folder_with_something_wrong(tmp_path, break_, error, message):
    break_(cut(tmp_path / "slices"))
    with pytest.raises(error, match=message):
        read(tmp_path / "slices")


@pytest.mark.parametrize(
    ("path", "said", "error", "message"),
    [
        ("slices/*.png", {}, FileNotFoundError, r"\*.png matches no file; in .*slices there are z8.tif, .*and 6 more"),
        ("slices/q{z}.tif", {}, FileNotFoundError, r"q\{z\}.tif matches no file"),
        ("nothing/*.tif", {}, FileNotFoundError, "matches no file"),
        ("slices/z{z}.tif", {"pattern": "z{z}.tif"}, ValueError, "is a pattern already"),
        ("slices", {"pattern": "z{z}.tif", "stack": "z"}, ValueError, "leave stack out"),
        ("slices/z8.tif", {"pattern": "z{z}.tif"}, ValueError, "pattern is for several files"),
        ("slices/z8.tif", {"stack": "c"}, ValueError, "stack is for several files"),
        ("slices/*", {"stack": "w"}, ValueError, "stack 'w' is no axis"),
    ],
)
def test_paths_that_mean_no_files(tmp_path, path, said, error, message):
    cut(tmp_path / "slices")
    with pytest.raises(error, match=message):
        read(f"{tmp_path}/{path}", **said)


def test_lists_that_are_no_image(tmp_path):
    paths = cut(tmp_path / "slices")
    for wrong, error, message in [
        ([], ValueError, "list of paths is empty"),
        ([paths[0], paths[0]], ValueError, "given twice"),
        ([paths[0], tmp_path / "gone.tif"], FileNotFoundError, "gone.tif does not exist"),
        ([paths[0], tmp_path / "slices"], ValueError, "can be one of several"),
    ]:
        with pytest.raises(error, match=message):
            read(wrong)


def test_files_of_one_image_of_ome_are_not_put_together(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}0.ome.tif", VOLUME[0], metadata={"axes": "YX"})
    uuids = [f"urn:uuid:{i}" for i in (1, 2)]
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{}"><Image ID="Image:0"><Pixels ID="Pixels:0"'
        ' DimensionOrder="XYZCT" Type="uint16" SizeX="20" SizeY="24" SizeZ="2" SizeC="1" SizeT="1">'
        + "".join(f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="m{i}.ome.tif">{uuids[i]}</UUID></TiffData>' for i in (0, 1))
        + "</Pixels></Image></OME>"
    )  # fmt: skip
    folder = tmp_path / "several"
    folder.mkdir()
    for i in (0, 1):
        tifffile.imwrite(folder / f"m{i}.ome.tif", VOLUME[i], description=xml.format(uuids[i]), metadata=None)
    with pytest.raises(ValueError, match=r"m0.ome.tif describes an image in several files.*give that file alone"):
        read(folder)
    np.testing.assert_array_equal(pixels(read(folder / "m0.ome.tif")), VOLUME[:2])


def test_what_else_is_in_the_folder_is_named(tmp_path):
    cut(tmp_path / "slices")
    (tmp_path / "slices" / "notes.txt").write_text("bright")
    (tmp_path / "slices" / ".DS_Store").write_text("")
    with pytest.warns(UserWarning, match=r"not written: also in its folder: notes.txt$"):
        check(read(tmp_path / "slices"), VOLUME)


def test_sizes_are_those_of_the_planes(tmp_path):
    cut(tmp_path / "slices", resolution=(20_000, 40_000), resolutionunit="CENTIMETER")
    source = read(tmp_path / "slices")
    assert dict(source.scale) == {"y": 0.25, "x": 0.5}
    with pytest.warns(UserWarning, match=r"the voxel size along z, which it does not say, and is taken for 1"):
        daskome.plan_image(source)
    assert daskome.plan_image(source, scale={"z": 2}).pyramids[0].levels[0].scale == (2, 0.25, 0.5)


# read when it is read


def test_few_are_opened_beforehand_and_each_as_often_as_planned(tmp_path):
    cut(tmp_path / "slices", np.repeat(VOLUME, 9, axis=0))
    source, n = opened_files(lambda: read(tmp_path / "slices"))
    assert n <= 17
    chunks = {"chunks": (16, 8, 8)}
    plan, n = opened_files(lambda: daskome.plan_image(source, storage_options=chunks))
    assert (n, plan.amplification) == (0, 1)
    _, n = opened_files(lambda: daskome.write_image(source, tmp_path / "out.zarr", storage_options=chunks))
    assert n == 99


def test_a_file_that_is_wrong_is_named_when_it_is_read(tmp_path):
    paths = cut(tmp_path / "slices", np.repeat(VOLUME, 4, axis=0))
    save_tiff(paths[1], VOLUME[1, :9])
    source = read(tmp_path / "slices")
    with pytest.raises(daskome.WriteError, match=r"z9.tif is uint16 of \(9, 20\), but the first"):
        daskome.write_image(source, tmp_path / "out.zarr", retries=0)
    paths[1].write_bytes(b"II*\0 no TIFF at all")
    with pytest.raises(daskome.WriteError, match=r"z9.tif has no series 0"):
        daskome.write_image(read(tmp_path / "slices"), tmp_path / "two.zarr", retries=0)


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    paths = cut(tmp_path / "slices", suffix=".npy")
    source = read(tmp_path / "slices")
    np.testing.assert_array_equal(pixels(source), VOLUME)
    paths[3].unlink()
    np.save(paths[3], VOLUME[3] + 1)
    np.testing.assert_array_equal(pixels(source)[3], VOLUME[3] + 1)


def test_a_plane_that_cannot_be_decoded_is_named(tmp_path):
    folder = tmp_path / "slices"
    folder.mkdir()
    for i in range(3):
        (folder / f"z{i}.png").write_bytes(imagecodecs.png_encode(VOLUME[i]))
    data = bytearray((folder / "z1.png").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (folder / "z1.png").write_bytes(data)
    with pytest.raises(daskome.WriteError, match=r"z1.png \[0:\d+, 0:\d+\] cannot be read"):
        daskome.write_image(read(folder), tmp_path / "out.zarr", retries=0)


def test_resuming_notices_that_a_file_has_changed(tmp_path):
    paths = cut(tmp_path / "slices")
    daskome.write_image(read(tmp_path / "slices"), tmp_path / "out.zarr", compute="init")
    save_tiff(paths[3], VOLUME[3] + 1)
    with pytest.raises(ValueError, match=r"slices has changed since writing began: it had 11 files of"):
        daskome.write_image(read(tmp_path / "slices"), tmp_path / "out.zarr", resume=True)


@pytest.mark.parametrize("how", [{}, {"stack": "c"}])
def test_another_process_reads_what_was_begun(tmp_path, how):
    paths = cut(tmp_path / "slices")
    said = [str(tmp_path / "slices")] if not how else [str(paths[0]), str(paths[1])]
    daskome.write_image(read(said if how else said[0], **how), tmp_path / "out.zarr", compute="init")
    parts.run_part(tmp_path / "out.zarr")
    daskome.finish(tmp_path / "out.zarr")
    expected = VOLUME[:2] if how else VOLUME
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "out.zarr", mode="r")["s0"][:], expected)


def test_a_field_of_a_plate_may_be_many_files(tmp_path):
    cut(tmp_path / "slices")
    daskome.write_plate({"A/1": read(tmp_path / "slices")}, tmp_path / "plate.zarr")
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "plate.zarr", mode="r")["A/1/0/s0"][:], VOLUME)


def test_files_are_closed_again(tmp_path):
    paths = cut(tmp_path / "slices", np.repeat(VOLUME[:1, :4, :4], 60, axis=0))
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    source = read(paths, stack="z")
    assert pixels(source).shape == (60, 4, 4)
    assert len(list(descriptors.iterdir())) < before + 40
