"""Folders that hold no images, that have odd names, or files of more than one plane."""

import nibabel
import numpy as np
import pytest

import daskome
from daskome.readers import read
from tests.readers.test_readers import pixels

VOLUME = np.random.default_rng(3).integers(0, 99, (3, 4, 5), "uint8")


def planes(folder, volume=VOLUME):
    folder.mkdir(parents=True)
    for z, plane in enumerate(volume):
        np.save(folder / f"z{z}.npy", plane)
    return folder


@pytest.mark.parametrize("name", ["scan [2]", "[x]", "a*b", "what?", "[a-"])
def test_folders_are_named_as_they_are_in_a_glob(tmp_path, name):
    folder = planes(tmp_path / name / "in")
    planes(tmp_path / "scan 2" / "in", VOLUME + 1)
    for path in (folder, f"{folder}/*.npy", f"{folder}/z[0-9].npy", f"{folder.parent}/*/z?.npy"):
        np.testing.assert_array_equal(pixels(read(path)), VOLUME)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ((), "a is a folder of neither zarr nor images; in it there is nothing$"),
        (("notes",), "in it there is notes$"),
        (
            ("t10", "t9", "notes"),
            r"in it there are notes, t9, t10. Give one of its folders, as in .*/a/t9; or a pattern",
        ),
    ],
)
def test_a_folder_without_images_says_what_is_in_it(tmp_path, folders, message):
    (tmp_path / "a").mkdir()
    for name in folders:
        (tmp_path / "a" / name).mkdir() if name == "notes" else planes(tmp_path / "a" / name)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "a")


@pytest.mark.parametrize(("shape", "axis"), [((5, 4, 3), "t"), ((5, 4, 3, 1), "t"), ((5, 4, 1, 1), "z")])
def test_files_follow_each_other_along_an_axis_of_which_each_has_one_step(tmp_path, shape, axis):
    images = [np.arange(np.prod(shape)).reshape(shape).astype("int16") + i for i in range(2)]
    for i, image in enumerate(images):
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / f"a{i}.nii")
    source = read(tmp_path)
    assert dict(zip(source.dims, source.shape, strict=True))[axis] == 2
    np.testing.assert_array_equal(pixels(source).ravel(), np.concatenate([image.T.ravel() for image in images]))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("a.mrc.gz", "unpack it with gunzip"),
        ("a.xml", "give the file that it describes"),
        ("a.gif", "save it as PNG or TIFF"),
        ("DICOMDIR", "is a file of unknown kind"),
    ],
)
def test_files_that_are_not_read_say_what_to_do(tmp_path, name, hint):
    (tmp_path / name).write_bytes(bytes(128) + b"DICM" * (name == "DICOMDIR"))
    with pytest.raises(ValueError, match=f"{name} .*{hint}"):
        daskome.read(tmp_path / name)
