"""What pictures and planes of TIFF say besides their pixels is named, where OME-Zarr has no place for it."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from daskome.readers import read
from tests.readers.test_readers import pixels

PLANE = np.add.outer(np.arange(24), np.arange(32)).astype("uint8")


@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("turned", [None, 1, 6])
def test_exif_of_a_jpeg(tmp_path, endian, turned):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker"
    if turned:
        exif[0x0112] = turned
    Image.fromarray(PLANE).save(tmp_path / "a.jpg", exif=exif)
    source = read(tmp_path / "a.jpg")
    how = ", by which it is to be shown turned or mirrored (orientation 6)"
    assert source.left == (f"its EXIF{how if turned == 6 else ''}",)
    np.testing.assert_array_equal(pixels(source), np.asarray(Image.open(tmp_path / "a.jpg")))


def test_comments_and_texts(tmp_path):
    Image.fromarray(PLANE).save(tmp_path / "a.jpg", comment=b"stained by hand")
    texts = PngInfo()
    texts.add_text("Author", "me")
    texts.add_itxt("Title", "Zellen")
    Image.fromarray(PLANE).save(tmp_path / "a.png", pnginfo=texts)
    Image.fromarray(PLANE).save(tmp_path / "b.png")
    left = [read(tmp_path / name).left for name in ("a.jpg", "a.png", "b.png")]
    assert left == [("its comment",), ("its texts Author, Title",), ()]


def palette(path):
    tifffile.imwrite(path, PLANE, photometric="palette", colormap=np.zeros((3, 256), "uint16"))


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (palette, "the palette that gives its values colours"),
        (lambda path: tifffile.imwrite(path, PLANE, photometric="miniswhite"), "that its small values are bright"),
        (
            lambda path: tifffile.imwrite(path, np.stack([PLANE] * 4, -1), photometric="separated"),
            "that its channels are inks, of which more is darker",
        ),
        (
            lambda path: tifffile.imwrite(path, PLANE, extratags=[(274, 3, 1, 8, True)]),
            "that it is to be shown turned or mirrored (orientation 8)",
        ),
    ],
)
def test_what_numbers_of_a_tiff_mean(tmp_path, save, said):
    save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").left == (said,)


def test_a_plain_tiff_says_nothing_besides(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PLANE)
    assert read(tmp_path / "a.tif").left == ()
