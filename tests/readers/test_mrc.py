"""MRC files that mrcfile has written, and what its header can say."""

import mrcfile
import numpy as np
import pytest

from daskome.readers import read
from tests.readers.test_readers import check

pytestmark = pytest.mark.filterwarnings("ignore:Setting the dtype on a NumPy array")  # mrcfile does
VOLUME = np.random.default_rng(5).integers(-90, 90, (6, 17, 13)).astype("int16")


def save(path, array=VOLUME, **header):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(array)
        file.header.nlabl = 0
        file.voxel_size = header.pop("voxel_size", (2.5, 2.5, 5.0))
        for name, value in header.items():
            file.header[name] = value
    return path


def swapped(path, dtype=">i2"):
    """Make a file big-endian, as SGI wrote them."""
    with mrcfile.open(path) as file:
        data, header = file.data.copy(), file.header.copy()
    header["machst"] = [0x11, 0x11, 0, 0]
    path.write_bytes(
        header.newbyteorder(">").byteswap().tobytes() if False else _big(header) + data.astype(dtype).tobytes()
    )
    return path


def _big(header):
    words = np.frombuffer(header.tobytes(), "u1").copy()
    for field in header.dtype.names:
        kind, start = header.dtype.fields[field]
        if field in ("machst", "label", "map", "exttyp", "extra1", "extra2"):
            continue
        part = words[start : start + kind.itemsize].reshape(-1, 4)
        words[start : start + kind.itemsize] = part[:, ::-1].ravel()
    return words.tobytes()


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32", "float16"])
def test_a_volume(tmp_path, dtype):
    source = read(save(tmp_path / "a.mrc", VOLUME.astype(dtype)))
    assert (dict(source.scale), set(source.units.values())) == ({"z": 5, "y": 2.5, "x": 2.5}, {"angstrom"})
    check(source, VOLUME.astype(dtype))


@pytest.mark.parametrize("dtype", [">i2", ">i1", ">f4"])
def test_big_endian(tmp_path, dtype):
    array = VOLUME.astype(np.dtype(dtype).newbyteorder("="))
    source = read(swapped(save(tmp_path / "a.rec", array), dtype))
    assert source.scale["z"] == 5
    check(source, array)


def test_bytes_of_imod_are_unsigned(tmp_path):
    path = save(tmp_path / "a.st", VOLUME.astype("int8"))
    data = bytearray(path.read_bytes())
    data[152:156] = (1146047817).to_bytes(4, "little")
    path.write_bytes(data)
    check(read(path), VOLUME.astype("int8").view("uint8"))
    data[156] = 1
    path.write_bytes(data)
    check(read(path), VOLUME.astype("int8"))


def test_axes_in_another_order(tmp_path):
    source = read(save(tmp_path / "a.map", mapc=3, mapr=2, maps=1))
    check(source, VOLUME.transpose(2, 1, 0))


def test_several_volumes_are_times(tmp_path):
    path = save(tmp_path / "a.mrc", np.stack([VOLUME, VOLUME]), ispg=401, mz=6)
    source = read(path)
    assert source.dims == ("t", "z", "y", "x")
    check(source, np.stack([VOLUME, VOLUME]))


def test_a_stack_of_images_has_no_size_along_z(tmp_path):
    source = read(save(tmp_path / "a.mrcs", ispg=0, mz=1))
    assert set(source.scale) == {"y", "x"}


def test_position(tmp_path):
    assert dict(read(save(tmp_path / "a.mrc", nxstart=4, nystart=0, nzstart=-2)).translation) == {"x": 10, "z": -10}
    path = tmp_path / "b.mrc"
    save(path)
    with mrcfile.open(path, "r+") as file:
        file.header.origin = (7, 0, 3)
    assert dict(read(path).translation) == {"x": 7, "z": 3}


def test_labels_and_extended_headers_are_named(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(VOLUME)
        file.set_extended_header(np.zeros(80, "V1"))
        file.add_label("tilted by hand")
    with pytest.warns(UserWarning, match=r"its labels: .*tilted by hand; its extended header of 80 bytes"):
        check(read(tmp_path / "a.mrc"), VOLUME)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "a.mrc is cut short: .* end at byte"),
        (lambda path: path.write_bytes(path.read_bytes()[:900]), "a.mrc cannot be read as MRC"),
        (lambda path: path.write_bytes(b"x" * 2000), "a.mrc cannot be read as MRC"),
        (lambda path: save(path, np.ones((2, 3, 4), "complex64")), "a.mrc holds complex numbers"),
    ],
)
def test_what_cannot_be_read(tmp_path, spoil, message):
    path = save(tmp_path / "a.mrc")
    spoil(path)
    with pytest.raises(ValueError, match=message):
        read(path)


def test_one_image_alone_is_a_plane(tmp_path):
    for i, plane in enumerate(VOLUME[:3]):
        save(tmp_path / f"a{i}.mrc", plane)
    source = read(tmp_path / "a1.mrc")
    assert (source.dims, dict(source.scale)) == (("y", "x"), {"y": 2.5, "x": 2.5})
    check(source, VOLUME[1])
    check(read(tmp_path), VOLUME[:3], scale={"z": 1})
