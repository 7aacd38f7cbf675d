"""DICOM that pydicom ships, and series that it has written."""

import os
import re
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import zarr
from hypothesis import example, given, strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from zarr.storage import MemoryStore

import daskome
from daskome.model.orientations import LETTERS
from daskome.model.problem import errors
from daskome.readers import read
from tests.readers.test_readers import check, pixels
from tests.strategies import law

FILES = Path(pydicom.__file__).parent / "data" / "test_files"
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*not written.*attributes of its header"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR"),
]
VOLUME = np.random.default_rng(8).integers(-900, 2000, (5, 128, 128)).astype("int16")


def series(folder, volume=VOLUME, suffix=".dcm", step=2.5, uid=None, **said):
    """Save a volume as the CT that pydicom ships would be, in an order that is not that of the names."""
    folder.mkdir(exist_ok=True)
    uid = uid or generate_uid()
    paths = []
    for i, plane in enumerate(volume):
        file = pydicom.dcmread(FILES / "CT_small.dcm")
        file.PixelData, file.SeriesInstanceUID, file.SOPInstanceUID = plane.tobytes(), uid, generate_uid()
        file.ImagePositionPatient = [-30, -40, 7 + i * step]
        file.RescaleIntercept = 0
        for name, value in said.items():
            setattr(file, name, value(i) if callable(value) else value)
        paths.append(folder / f"IM{(i * 3) % len(volume)}{suffix}")
        file.save_as(paths[-1])
    return paths


@pytest.mark.parametrize(
    ("name", "shape", "dims", "dtype"),
    [
        ("MR_small.dcm", (64, 64), "yx", "int16"),
        ("MR_small_bigendian.dcm", (64, 64), "yx", "int16"),
        ("MR_small_RLE.dcm", (64, 64), "yx", "int16"),
        ("CT_small.dcm", (128, 128), "yx", "int32"),
        ("rtdose.dcm", (15, 10, 10), "zyx", "uint32"),
        ("SC_rgb_rle_2frame.dcm", (3, 2, 100, 100), "czyx", "uint8"),
        ("SC_ybr_full_422_uncompressed.dcm", (3, 100, 100), "cyx", "uint8"),
    ],
)
def test_files_of_pydicom(name, shape, dims, dtype):
    source, file = read(FILES / name), pydicom.dcmread(FILES / name)
    assert (source.shape, "".join(source.dims), source.dtype) == (shape, dims, dtype)
    values = file.pixel_array.astype("f8") * float(file.get("RescaleSlope", 1)) + float(file.get("RescaleIntercept", 0))
    values = values.reshape(shape) if "c" not in dims else np.moveaxis(values, -1, 0)
    with pytest.warns(UserWarning, match="attributes of its header"):
        check(source, values.astype(dtype), **({"scale": {"z": 1}} if "z" in dims else {}))


def test_sizes_and_positions_of_frames():
    source = read(FILES / "rtdose.dcm")
    assert (dict(source.scale), set(source.units.values())) == ({"z": 5, "y": 10, "x": 10}, {"millimeter"})


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_series_is_in_the_order_of_its_positions(tmp_path, suffix):
    series(tmp_path / "ct", suffix=suffix)
    source = read(tmp_path / "ct")
    assert (source.dims, dict(source.scale)) == (("z", "y", "x"), {"z": 2.5, "y": 0.661468, "x": 0.661468})
    assert dict(source.translation) == {"z": 7, "y": -40, "x": -30}
    np.testing.assert_array_equal(pixels(source), VOLUME)
    with pytest.warns(UserWarning, match="attributes of its header, such as"):
        check(read(source.origin.path), VOLUME)


def test_values_are_those_that_numbers_stand_for(tmp_path):
    series(tmp_path / "ct", RescaleSlope=2, RescaleIntercept=-1000)
    np.testing.assert_array_equal(pixels(read(tmp_path / "ct")), VOLUME.astype("i4") * 2 - 1000)
    series(tmp_path / "pet", Modality="PT", RescaleSlope=lambda i: 0.5 + i / 8)
    expected = VOLUME * (0.5 + np.arange(5) / 8)[:, None, None]
    np.testing.assert_array_equal(pixels(read(tmp_path / "pet")), expected.astype("f4"))


def test_one_of_two_series(tmp_path):
    series(tmp_path / "ct", suffix=".dcm", uid="1.2.3", SeriesDescription="lung")
    series(tmp_path / "ct", VOLUME + 1, suffix="b.dcm", uid="1.2.4", SeriesDescription="bone")
    with pytest.raises(ValueError, match=r"ct has 2 series; give one, as in .*ct::0, of .*0 CT 'lung', 5 files"):
        read(tmp_path / "ct")
    found = [pixels(read(f"{tmp_path}/ct::{i}")) for i in (0, 1)]
    assert sorted(int(one[0, 0, 0] - VOLUME[0, 0, 0]) for one in found) == [0, 1]


def test_planes_that_are_not_axial_say_where_they_lead(tmp_path):
    """x leads to the back, y to the feet, so z to the right: positions count in these directions (LPS, of DICOM)."""
    series(tmp_path / "ct", ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=lambda i: [i * 3, 5, 6])
    source = read(tmp_path / "ct")
    assert source.scale["z"] == 3
    oriented = {"x": "anterior-to-posterior", "y": "superior-to-inferior", "z": "left-to-right"}
    assert dict(source.orientations) == oriented
    assert dict(source.translation) == {"x": 5, "y": -6, "z": -12}
    assert not any("direction" in note for note in source.left)
    with pytest.warns(UserWarning, match="attributes of its header"):
        daskome.write_image(source, tmp_path / "a", [2])
    assert daskome.open(tmp_path / "a").orientations == oriented


def test_oblique_planes_name_their_exact_directions(tmp_path):
    (path,) = series(tmp_path / "ct", VOLUME[:1], ImageOrientationPatient=[0.8, 0.6, 0, -0.6, 0.8, 0])
    source = read(path)
    assert dict(source.orientations) == {"x": "right-to-left", "y": "anterior-to-posterior"}
    exact = (
        "the exact directions of its axes, x (0.8, 0.6, 0), y (-0.6, 0.8, 0), near right-to-left anterior-to-posterior"
    )
    place = "position z=7 mm (the image has no such axis)"
    assert [system.note for system in source.systems] == [f"{exact}; {place}"]
    with pytest.warns(UserWarning, match=re.escape(exact)):
        daskome.write_image(source, MemoryStore(), None, fmt="0.5")
    file = pydicom.dcmread(path)
    del file.PixelSpacing
    file.save_as(path)
    source = read(path)
    assert source.systems == ()
    assert {exact, place} < {*source.left}


def where_pixels_lie(file, column, row, frame=0):
    """Return the place of a pixel by the formula of PS3.3 C.7.6.2.1.1, written out."""
    px, py, pz = map(float, file.ImagePositionPatient)
    xx, xy, xz, yx, yy, yz = map(float, file.ImageOrientationPatient)
    down, right = map(float, file.PixelSpacing)
    return (
        xx * right * column + yx * down * row + px,
        xy * right * column + yy * down * row + py,
        xz * right * column + yz * down * row + pz,
    )


def turned(angles):
    """Return the directions of rows and columns, and that across them, of planes that are turned."""
    return np.round(nibabel.eulerangles.euler2mat(*angles), 10).T


@law(16)
@given(
    angles=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    start=st.lists(st.integers(-200, 200), min_size=3, max_size=3),
    spacing=st.lists(st.integers(1, 30).map(lambda n: n / 10), min_size=2, max_size=2),
    step=st.sampled_from([0.7, 2.5, -3]),
)
@example([0.69, -0.7, 2.98], [0, 0, 0], [1, 1], 1)  # z takes what x and y alone would have.
def test_voxels_of_a_series_lie_where_dicom_says(tmp_path_factory, angles, start, spacing, step):
    """In the system of the patient, of three axes; before 0.6 along each axis, which has a direction of its own."""
    x, y, normal = turned(angles)
    folder, store, old, volume = tmp_path_factory.mktemp("series"), MemoryStore(), MemoryStore(), VOLUME[:4]
    series(
        folder, volume, PixelSpacing=spacing, ImageOrientationPatient=[*x, *y],
        ImagePositionPatient=lambda i: [f"{v:.9g}" for v in start + normal * step * i],
    )  # fmt: skip
    source = read(folder)
    files = sorted(map(pydicom.dcmread, folder.iterdir()), key=lambda f: float(np.dot(f.ImagePositionPatient, normal)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*not written: the exact directions", UserWarning)
        daskome.write_image(source, store, [2], fmt="0.6")
        daskome.write_image(source, old, None, fmt="0.5")
    assert errors(daskome.validate(store)) == []
    patient, (plain,) = daskome.open(store).systems["patient"], daskome.open(old).systems.values()
    assert [axis.orientation for axis in patient.axes] == [LETTERS[letter] for letter in "SPL"]
    assert {axis.unit for axis in patient.axes} == {"millimeter"}
    for z, row, column in ((0, 0, 0), (2, 5, 100), (1, 127, 3)):
        want = where_pixels_lie(files[z], column, row)
        np.testing.assert_allclose(patient.positions([z, row, column]), want[::-1], rtol=0, atol=1e-3)
        along = plain.positions([z, row, column])
        np.testing.assert_allclose(along @ (normal, y, x), want, rtol=0, atol=1e-3)


def test_a_plane_of_dicom_keeps_its_place(tmp_path):
    """One file, also one of several times, and a series of one; copies and flat labels lie there too."""
    x, y, _ = turned([0.3, 0.2, 0.1])
    said = {"ImageOrientationPatient": [*x, *y], "ImagePositionPatient": [5, 6, 7]}
    (path,) = series(tmp_path / "ct", VOLUME[:1], **said)
    file = pydicom.dcmread(path)
    times = pydicom.dcmread(path)
    times.NumberOfFrames, times.FrameTime, times.PixelData = 5, 40, VOLUME.tobytes()
    times.save_as(tmp_path / "times.dcm")
    for source in (read(path), read(tmp_path / "times.dcm"), read(path.parent, stack="z")):
        store = MemoryStore()
        daskome.write_image(source, store, None, fmt="0.6")
        daskome.write_labels(np.ones(source.shape[-2:], "uint8"), store, "flat", axes="yx")
        assert errors(daskome.validate(store)) == []
        for place in ("", "labels/flat"):
            patient = daskome.open(zarr.open_group(store, path=place, mode="r")).systems["patient"]
            voxel = [0] * (len(patient.scale) - 2) + [9, 4]
            want = where_pixels_lie(file, 4, 9)[::-1]
            np.testing.assert_allclose(patient.positions(voxel)[-3:], want, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("shift", "message"), [(0, None), (0.5, r"frame 4 of .*a.dcm is shifted sideways by 2 mm")])
def test_frames_of_an_enhanced_image_lie_where_they_say(tmp_path, shift, message):
    x, y, normal = turned([0.3, 0.2, 0.1])
    file = pydicom.dcmread(FILES / "CT_small.dcm")
    spacing = file.PixelSpacing
    del file.ImagePositionPatient, file.ImageOrientationPatient, file.PixelSpacing
    file.NumberOfFrames, file.PixelData = 5, VOLUME.tobytes()
    shared, frames = Dataset(), [Dataset() for _ in range(5)]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [Dataset()], [Dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*x, *y]
    shared.PixelMeasuresSequence[0].PixelSpacing = spacing
    for i, frame in enumerate(frames):
        frame.PlanePositionSequence = [Dataset()]
        place = np.array([5, 6, 7]) - normal * 2 * i + x * shift * i
        frame.PlanePositionSequence[0].ImagePositionPatient = [f"{v:.9g}" for v in place]
    file.SharedFunctionalGroupsSequence, file.PerFrameFunctionalGroupsSequence = [shared], frames
    file.save_as(tmp_path / "a.dcm")
    if message:
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "a.dcm")
        return
    store = MemoryStore()
    daskome.write_image(read(tmp_path / "a.dcm"), store, None, fmt="0.6")
    want = np.array([5, 6, 7]) - normal * 2 * 3 + x * spacing[1] * 10 + y * spacing[0] * 20
    found = daskome.open(store).systems["patient"].positions([3, 20, 10])
    np.testing.assert_allclose(found, want[::-1], rtol=0, atol=1e-4)


def test_animals_and_files_that_do_not_say_it_have_no_orientation(tmp_path):
    (path,) = series(tmp_path / "mouse", VOLUME[:1], AnatomicalOrientationType="QUADRUPED")
    source = read(path)
    assert source.orientations == {}
    assert "the orientation of its planes in an animal: x (1, 0, 0), y (0, 1, 0)" in source.left
    file = pydicom.dcmread(path)
    del file.ImageOrientationPatient
    file.save_as(path)
    assert read(path).orientations == {}
    series(tmp_path / "unsaid", ImageOrientationPatient=None)
    assert (read(tmp_path / "unsaid").orientations, read(tmp_path / "unsaid").systems) == ({}, ())


@pytest.mark.parametrize(("step", "along"), [(2, "inferior-to-superior"), (-2, "superior-to-inferior")])
def test_frames_may_lead_to_the_feet(tmp_path, step, along):
    file = pydicom.dcmread(FILES / "rtdose.dcm")
    file.GridFrameOffsetVector = [step * i for i in range(15)]
    file.save_as(tmp_path / "a.dcm")
    source = read(tmp_path / "a.dcm")
    assert (source.orientations["z"], source.scale["z"]) == (along, 2)
    place = file.ImagePositionPatient[2] if step > 0 else -file.ImagePositionPatient[2]
    assert source.translation["z"] == pytest.approx(place)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda paths: paths[2].unlink(), r"between .*IM3.dcm and .*IM4.dcm there are 5 mm, elsewhere 2.5 mm"),
        (lambda paths: series(paths[0].parent, ImagePositionPatient=lambda i: [0, i, i * 2]), r"shifted sideways by 4 mm .*gantry was tilted"),
        (lambda paths: series(paths[0].parent, ImagePositionPatient=lambda i: [0, 0, i // 2]), "have one position"),
        (lambda paths: series(paths[0].parent, ImageOrientationPatient=lambda i: [1, 0, 0, 0, 1, 0] if i else [0, 1, 0, 1, 0, 0]), "in another direction"),
        (lambda paths: paths[1].write_bytes(b""), "is empty"),
        (lambda paths: paths[1].write_bytes(bytes(500)), "cannot be read as DICOM"),
        (lambda paths: series(paths[0].parent, VOLUME[:, :64], Rows=lambda i: 64 if i else 32), r"is int16 of \(64, 128\), but the first"),
    ],
)  # fmt: skip
def test_series_that_are_no_volume(tmp_path, spoil, message):
    spoil(series(tmp_path / "ct"))
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "ct")


def test_files_without_positions_are_in_the_order_of_their_numbers(tmp_path):
    paths = series(tmp_path / "xa", InstanceNumber=lambda i: i + 1)
    for path in paths:
        file = pydicom.dcmread(path)
        del file.ImagePositionPatient
        file.save_as(path)
    np.testing.assert_array_equal(pixels(read(tmp_path / "xa")), VOLUME)
    paths[2].unlink()
    with pytest.raises(ValueError, match="has number 4 after 2, and no position"):
        read(tmp_path / "xa")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("rtplan.dcm", ValueError, "rtplan.dcm is DICOM of RT Plan Storage, and no image"),
        ("no_meta.dcm", ValueError, "no_meta.dcm cannot be read as DICOM"),
        ("examples_palette.dcm", ValueError, "colours of a palette"),
        ("badVR.dcm", ValueError, "badVR.dcm cannot be read as DICOM"),
    ],
)
def test_files_that_are_no_image(name, error, message):
    with pytest.raises(error, match=message):
        read(FILES / name)


def test_a_frame_that_is_cut_short_is_named_when_it_is_read(tmp_path):
    with pytest.raises(daskome.WriteError, match=r"MR_truncated.dcm cannot be decoded"):
        daskome.write_image(read(FILES / "MR_truncated.dcm"), tmp_path / "out.zarr", retries=0)


def test_stack_says_nothing_that_positions_do_not(tmp_path):
    series(tmp_path / "ct")
    with pytest.raises(ValueError, match="leave stack out"):
        read(os.fspath(tmp_path / "ct"), stack="t")


def test_the_index_of_a_disk_is_no_image(tmp_path):
    paths = series(tmp_path / "a", suffix="")
    (tmp_path / "a" / "DICOMDIR").write_bytes(paths[0].read_bytes()[:400])
    source = read(tmp_path / "a")
    assert "also in its folder: DICOMDIR" in source.left
    np.testing.assert_array_equal(pixels(source), VOLUME)


def test_a_file_without_its_header_says_how_it_gets_one(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes((FILES / "MR_small_implicit.dcm").read_bytes()[132:])
    with pytest.raises(ValueError, match=r"a.dcm cannot be read as DICOM: it does not begin .* save it anew: pydicom"):
        read(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("ImagePositionPatient", [1, 2]), ("ImagePositionPatient", [1, 2, "nan"]), ("ImageOrientationPatient", [1, 0, 0])],
)
def test_a_damaged_place_is_that_of_its_file(tmp_path, name, value):
    paths = series(tmp_path / "a")
    file = pydicom.dcmread(paths[2])
    setattr(file, name, value)
    file.save_as(paths[2])
    with pytest.raises(ValueError, match=f"{paths[2].name} cannot be read as DICOM; it may be damaged: its {name} is"):
        read(tmp_path / "a")
